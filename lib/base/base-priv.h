/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_BASE_PRIV_H
#define IMIG_BASE_PRIV_H

/* Errors and growing structs; included by every other file of the library. */

#include <glib.h>
#include <imig/error.h>
#include <stddef.h>

/* Sets *error (unless there is one already) and returns code.  One line, no full stop. */
int imig__fail(imig_error **error, int code, const char *format, ...) G_GNUC_PRINTF(3, 4);

/*
 * "no such class; there are idle, cpu, ...": a rule, and all names that there are, up to the first
 * NULL.  To be freed.
 */
char *imig__there_are(const char *rule, const char *(*name)(uint32_t index));

/* Sets *error to `what "name"; there are ...`. */
int imig__fail_name(imig_error **error, int code, const char *what, const char *given,
                    const char *(*name)(uint32_t index));

/* Puts "prefix: " in front of the message of an error that is there. */
void imig__error_prefix(imig_error **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Gives an error that is there other words; takes them. */
void imig__error_reword(imig_error *error, char *message);

/*
 * Copies a caller's struct into today's shape.  Old caller: the missing tail becomes 0.  New
 * caller: the unknown tail must be 0.  first_size is the size in the release that introduced it.
 */
int imig__copy_struct(void *dst, size_t dst_size, const void *src, size_t first_size,
                      imig_error **error);

/* Size of a struct that ends with this field: the first_size of a struct that grew since. */
#define IMIG__END_OF(type, field) (offsetof(type, field) + sizeof(((type *) 0)->field))

/* Refuses a bit of `set` that is not below `end`: a newer caller meant something by it. */
int imig__check_set(uint64_t set, uint64_t end, imig_error **error);

/* Fills a caller's struct from today's shape: no more than the caller's size, which is kept. */
int imig__fill_struct(void *dst, const void *src, size_t src_size, size_t first_size,
                      imig_error **error);

/* Is the size in front of a caller's struct one that can be filled? */
int imig__check_size(const void *dst, size_t first_size, imig_error **error);

/* Shortest decimal text that reads back as the same double; integers without exponent. */
#define IMIG__NUMBER_LENGTH 40
const char *imig__number(double value, char text[IMIG__NUMBER_LENGTH]);

/* A URI as it may be printed: "***" for its passwords, and for the values of a query that are named
   like one.  To be freed. */
char *imig__uri_shown(const char *uri);

/* The secrets of a URI, as they stand in it and decoded, into an array of texts to be freed. */
void imig__secrets_add(GPtrArray *secrets, const char *uri);

/* The text without any of these secrets.  To be freed. */
char *imig__secrets_hide(const GPtrArray *secrets, const char *text);

/* The text in double quotes, for a message: valid UTF-8, cut after 60 characters. */
#define IMIG__QUOTE_LENGTH 256
const char *imig__quote(const char *text, char quoted[IMIG__QUOTE_LENGTH]);

#endif
