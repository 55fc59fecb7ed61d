/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_ERROR_H
#define IMIG_ERROR_H

/**
 * @file
 * Return codes and the error object.
 */

#include <imig/common.h>

IMIG_BEGIN_DECLS

/** What a function returns.  Travels as `int`; values never change their meaning. */
typedef enum imig_errcode {
    IMIG_OK = 0,               /**< done */
    IMIG_ERR_ARGUMENT = -1,    /**< a wrong argument: NULL, out of range, an unknown name */
    IMIG_ERR_ABI = -2,         /**< the size of a struct is not known to this library */
    IMIG_ERR_SYNTAX = -3,      /**< a document is not well-formed; names line and column */
    IMIG_ERR_INVALID = -4,     /**< a rule is broken; names path, value and rule */
    IMIG_ERR_NOT_FOUND = -5,   /**< no such VM, host, job or file */
    IMIG_ERR_UNSUPPORTED = -6, /**< the backend or hypervisor cannot do this */
    IMIG_ERR_BACKEND = -7,     /**< the hypervisor said no; see imig_error_backend_code() */
    IMIG_ERR_TIMEOUT = -8,     /**< no answer in time */
    IMIG_ERR_CANCELLED = -9,   /**< ended on request */
    IMIG_ERR_BUSY = -10,       /**< somebody else is working on this VM or host */
    IMIG_ERR_STALE = -11,      /**< the cluster no longer looks as it did for the plan */
    IMIG_ERR_IO = -12          /**< reading or writing failed */
} imig_errcode;

/** One failure in words; opaque. */
typedef struct imig_error imig_error;

/**
 * The code of an error, an #imig_errcode.
 *
 * @param error  NULL gives #IMIG_OK
 * @return the code
 * @threads{safe from any thread while nobody frees @p error}
 */
IMIG_EXPORT int imig_error_code(const imig_error *error);

/**
 * What went wrong: one line, no full stop, naming the item and the rule.
 *
 * @param error  NULL gives "no error"
 * @return never NULL
 * @ownership{lent until imig_error_free()}
 * @threads{safe from any thread while nobody frees @p error}
 */
IMIG_EXPORT const char *imig_error_message(const imig_error *error);

/**
 * The hypervisor library's own code (libvirt's virErrorNumber, an errno of Xen), or 0.
 *
 * @param error  NULL gives 0
 * @return the backend's code
 * @threads{safe from any thread while nobody frees @p error}
 */
IMIG_EXPORT int64_t imig_error_backend_code(const imig_error *error);

/**
 * Free an error.
 *
 * @param error  may be NULL
 * @threads{one thread at a time for one object}
 */
IMIG_EXPORT void imig_error_free(imig_error *error);

/**
 * Make an error; for backends that live in the calling program.
 *
 * @param[out] error    where to put it; may be NULL; an error that is already there is kept
 * @param code          a negative #imig_errcode; returned again
 * @param backend_code  the hypervisor library's own code, or 0
 * @param message       one line; control characters are replaced by spaces
 * @return @p code, so that a function can end with `return imig_error_set(...)`;
 *         #IMIG_ERR_ARGUMENT where @p code is not a negative #imig_errcode or @p message is NULL
 * @ownership{the text is copied}
 * @threads{safe from any thread}
 */
IMIG_EXPORT int imig_error_set(imig_error **error, int code, int64_t backend_code,
                               const char *message);

/**
 * The name of a code, such as "invalid"; "unknown" for a number that is none.
 *
 * @param code  an #imig_errcode
 * @return never NULL
 * @ownership{lent, static}
 * @threads{safe from any thread}
 */
IMIG_EXPORT const char *imig_errcode_name(int code);

IMIG_END_DECLS

#endif
