/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_JSON_IN_PRIV_H
#define IMIG_JSON_IN_PRIV_H

/*
 * Reading a document as a stream.  The document is an object; where a member is an array, its
 * elements are parsed one by one, so that the tree of the whole never exists.  A reader answers
 * IMIG_OK, or what imig__json_refuse() or imig__json_failed() answered.
 */

#include "model/check-priv.h"

#include <jansson.h>

typedef struct imig__json_in imig__json_in;

/* A member of the document. */
typedef struct imig__json_member {
    const char *name;
    /* Either: takes the value whole. */
    int (*value)(imig__json_in *in, const imig__path *path, json_t *value, void *state);
    /* Or: takes the elements of the array, in order. */
    int (*element)(imig__json_in *in, const imig__path *path, json_t *element, void *state);
    /* The member that has to be read before, wherever it stands in the text; NULL: none. */
    const char *needs;
    gboolean required;
} imig__json_member;

/* members: [n], n at most 16, each after what it needs.  `format` and `optional` are dealt with
   here, and so are unknown members.  format: NULL for a document that has neither of the two. */
int imig__json_read(const char *text, size_t length, const char *format,
                    const imig__json_member *members, size_t n, void *state, imig_error **error);

/* A key of an object further down. */
typedef struct imig__json_key {
    const char *name;
    int (*read)(imig__json_in *in, const imig__path *path, json_t *value, void *field);
    size_t offset;     /* of the field in the struct to be filled */
    uint64_t bit;      /* to be set in `present` */
    gboolean required;
} imig__json_key;

/* Reads an object into a struct.  keys: [n], n at most 64.  present: may be NULL. */
int imig__json_object(imig__json_in *in, const imig__path *path, json_t *value,
                      const imig__json_key *keys, size_t n, void *into, uint64_t *present);

/* Readers for keys; the field is a double, a const char * (lent by the value), a uint32_t, an
   int32_t that becomes 0 or 1. */
int imig__json_number(imig__json_in *in, const imig__path *path, json_t *value, void *field);
int imig__json_text(imig__json_in *in, const imig__path *path, json_t *value, void *field);
int imig__json_whole(imig__json_in *in, const imig__path *path, json_t *value, void *field);
int imig__json_bool(imig__json_in *in, const imig__path *path, json_t *value, void *field);

/* One of names[n], of which some may be NULL; *index is its place.  rule: what is said
   otherwise, before the names. */
int imig__json_name(imig__json_in *in, const imig__path *path, json_t *value,
                    const char *const *names, int32_t n, const char *rule, int32_t *index);

/* Is it an array or object?  Otherwise refused. */
int imig__json_want_array(imig__json_in *in, const imig__path *path, json_t *value);
int imig__json_want_object(imig__json_in *in, const imig__path *path, json_t *value);

/* IMIG_ERR_INVALID, saying path, value and rule. */
int imig__json_refuse(imig__json_in *in, const imig__path *path, json_t *value, const char *rule);

/* Where to put errors. */
imig_error **imig__json_error(imig__json_in *in);

#endif
