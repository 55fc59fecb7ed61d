/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_LOG_H
#define IMIG_LOG_H

/**
 * @file
 * Levels and the type of a log hook; see imig_context_set_log().
 *
 * The library never writes to stdout or stderr.  Backends and the executor log; the steps from
 * model to plan do not: their decisions carry the reason in the plan.
 */

#include <imig/common.h>

IMIG_BEGIN_DECLS

/** How urgent a line is.  Travels as `int32_t`. */
typedef enum imig_log_level {
    IMIG_LOG_ERROR = 0,   /**< something failed */
    IMIG_LOG_WARNING = 1, /**< something is not as it should be; the work goes on */
    IMIG_LOG_INFO = 2,    /**< what is being done */
    IMIG_LOG_DEBUG = 3    /**< for those who look for a fault */
} imig_log_level;

/**
 * A log hook.
 *
 * Runs on the thread that logs, which may be a backend's own; may not call into the library.
 *
 * @param level      an #imig_log_level
 * @param line       finished text, one line without newline; lent for the call
 * @param user_data  as registered
 */
typedef void (*imig_log_fn)(int32_t level, const char *line, void *user_data);

/** Frees the user data of a hook when it is replaced or its context ends. */
typedef void (*imig_destroy_fn)(void *user_data);

IMIG_END_DECLS

#endif
