/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_CANCEL_H
#define IMIG_CANCEL_H

/**
 * @file
 * A wish to stop, shared by whoever works and whoever wants it to end.
 */

#include <imig/common.h>

IMIG_BEGIN_DECLS

/** A wish to stop; opaque, reference-counted; may be made known from a signal handler. */
typedef struct imig_cancel imig_cancel;

/**
 * Make a wish that is not expressed yet.
 *
 * @return one reference; never NULL
 * @ownership{the caller's; end it with imig_cancel_unref()}
 * @threads{safe from any thread}
 */
IMIG_EXPORT imig_cancel *imig_cancel_new(void);

/**
 * Take a reference.
 *
 * @param cancel  not NULL
 * @return @p cancel
 * @threads{safe from any thread}
 */
IMIG_EXPORT imig_cancel *imig_cancel_ref(imig_cancel *cancel);

/**
 * Drop a reference.
 *
 * @param cancel  may be NULL
 * @threads{safe from any thread}
 */
IMIG_EXPORT void imig_cancel_unref(imig_cancel *cancel);

/**
 * Express the wish; a second call is more urgent: nothing is waited for any more.
 *
 * @param cancel  not NULL
 * @threads{safe from any thread and from a signal handler}
 */
IMIG_EXPORT void imig_cancel_trigger(imig_cancel *cancel);

/**
 * How often the wish was expressed.
 *
 * @param cancel  NULL gives 0
 * @return 0, 1 or 2
 * @threads{safe from any thread}
 */
IMIG_EXPORT int imig_cancel_level(const imig_cancel *cancel);

IMIG_END_DECLS

#endif
