/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_COMMON_H
#define IMIG_COMMON_H

/**
 * @file
 * What every other header needs: integer types, the export mark, the version.
 *
 * Conventions that hold for the whole interface:
 *
 * - A function that can fail returns #IMIG_OK or a negative #imig_errcode and takes an optional
 *   `imig_error **` last, which must point to NULL: an error that is there already is kept.  It
 *   sets the error exactly when it fails, and on failure leaves every other output untouched.
 * - Structs begin with their size.  Initialise them with the `_INIT` macro beside them: zero is not
 *   the default of every field.  They grow at the end only; a size or a bit that is newer than the
 *   library is #IMIG_ERR_ABI.
 * - Strings are UTF-8.  A getter lends; what is given away goes back to imig_free().
 * - Units are SI and stand in the name: seconds, bytes, cores, bytes per second.
 * - When memory is exhausted the process aborts (GLib).
 */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define IMIG_BEGIN_DECLS extern "C" {
#define IMIG_END_DECLS }
#else
/** Opens the declarations of a header. */
#define IMIG_BEGIN_DECLS
/** Closes the declarations of a header. */
#define IMIG_END_DECLS
#endif

/** Marks a function as part of the public interface. */
#define IMIG_EXPORT __attribute__((visibility("default")))

/** Version of these headers: 1.2.3 is 1002003. */
#define IMIG_VERSION 1000

/** No such index: no host takes this VM, no such VM. */
#define IMIG_NO_INDEX UINT32_MAX

/** No host can take this VM; an answer, not an error. */
#define IMIG_NO_HOST IMIG_NO_INDEX

IMIG_BEGIN_DECLS

/**
 * The version of the library that is running.
 *
 * @return "1.2.3"; never NULL
 * @ownership{lent, static}
 * @threads{safe from any thread}
 */
IMIG_EXPORT const char *imig_version(void);

/**
 * Give back what a function of this library gave away.
 *
 * @param memory  may be NULL
 * @threads{safe from any thread}
 */
IMIG_EXPORT void imig_free(void *memory);

IMIG_END_DECLS

#endif
