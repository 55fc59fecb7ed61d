/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_CHECK_PRIV_H
#define IMIG_CHECK_PRIV_H

/*
 * Refusals, said alike whether a value came from a caller or from a document:
 * `vms[17].vcpus: 0: must be at least 1` - the path, the value, the rule.
 */

#include "base/base-priv.h"

/* Where a value stands; lives on the stack, and becomes text only when something is refused. */
typedef struct imig__path {
    const struct imig__path *up; /* NULL: the document */
    const char *key;             /* NULL: an element of an array */
    size_t index;                /* of that element */
} imig__path;

#define IMIG__KEY(up, key) (&(imig__path) { (up), (key), 0 })
#define IMIG__AT(up, index) (&(imig__path) { (up), NULL, (index) })

/* Nothing counts more than this, so that sums and squares stay finite; a capacity is not less. */
#define IMIG__NUMBER_MAX 1e18
#define IMIG__CAPACITY_MIN 1e-6

/* Longest id, name or label, and longest explanation, in bytes. */
enum { IMIG__TEXT_MAX = 1024, IMIG__REASON_MAX = 4096 };

/* The path as text, to be freed. */
char *imig__path_text(const imig__path *path);

/* All answer IMIG_ERR_INVALID or IMIG_OK.  value: as it is to be shown; NULL shows none. */
int imig__refuse(const imig__path *path, const char *value, const char *rule, imig_error **error);
int imig__refuse_text(const imig__path *path, const char *value, const char *rule,
                      imig_error **error);
int imig__refuse_number(const imig__path *path, double value, const char *rule,
                        imig_error **error);

/* From low to high, both allowed, and so finite. */
int imig__check_number(const imig__path *path, double value, double low, double high,
                       imig_error **error);

/* There, not empty, at most max bytes of UTF-8, no control characters. */
int imig__check_text(const imig__path *path, const char *text, size_t max, imig_error **error);

#endif
