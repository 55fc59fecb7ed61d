/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_RECORDS_PRIV_H
#define IMIG_RECORDS_PRIV_H

/* Records of migrations inside the library: their fields as a table, the list as an array. */

#include "base/base-priv.h"

#include <imig/records.h>

/* A number of a record, or a text. */
typedef struct imig__record_field {
    const char *name;
    size_t offset;
    uint64_t bit;       /* of `present`; 0: always there */
    gboolean above_zero;
} imig__record_field;

enum { IMIG__RECORD_NUMBERS = 19, IMIG__RECORD_TEXTS = 8 };
extern const imig__record_field imig__record_numbers[IMIG__RECORD_NUMBERS];
extern const imig__record_field imig__record_texts[IMIG__RECORD_TEXTS];

struct imig_records {
    GArray *items;          /* of imig_record, in today's shape */
    GStringChunk *texts;
};

static inline double *
imig__record_number(imig_record *record, const imig__record_field *field)
{
    return &G_STRUCT_MEMBER(double, record, field->offset);
}

static inline const char **
imig__record_text(imig_record *record, const imig__record_field *field)
{
    return &G_STRUCT_MEMBER(const char *, record, field->offset);
}

static inline const imig_record *
imig__records_at(const imig_records *records, size_t index)
{
    return &g_array_index(records->items, imig_record, index);
}

/* Copies a caller's record into today's shape and checks it. */
int imig__record_take(imig_record *into, const imig_record *record, imig_error **error);

#endif
