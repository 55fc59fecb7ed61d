/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CSV_H
#define CSV_H

/* Tables of migrations as CSV: cells, and the records that rows are. */

#include "ui.h"

typedef struct csv_table {
    const char *path;      /* for messages */
    char *text;            /* ended at every cell; cells point into it */
    GPtrArray *cells;      /* const char *, header first, row by row */
    GArray *lines;         /* guint: where each row begins, header first; from 1 */
    guint width;
} csv_table;

/* "-" is standard input. */
int csv_read(const char *path, csv_table *table);
void csv_clear(csv_table *table);

static inline guint
csv_rows(const csv_table *table)
{
    return table->cells->len / table->width - 1;
}

/* row: from 0, without the header. */
static inline const char *
csv_cell(const csv_table *table, guint row, guint column)
{
    return table->cells->pdata[(row + 1) * table->width + column];
}

/* The line of the file, for messages. */
static inline guint
csv_line(const csv_table *table, guint row)
{
    return g_array_index(table->lines, guint, row + 1);
}

static inline const char *
csv_heading(const csv_table *table, guint column)
{
    return table->cells->pdata[column];
}

/* A comma and a cell behind it; text NULL and NaN are empty. */
void csv_put(GString *line, const char *cell);
void csv_put_number(GString *line, double value);

/* The rows as migrations, as imig(1) lists the columns; what was measured makes a row one that is
   done, unless its outcome says otherwise. */
int csv_to_records(const csv_table *table, imig_records **records);

/* All of them, as text. */
char *csv_from_records(const imig_records *records);

gboolean csv_read_number(const char *cell, double *value);
gboolean csv_outcome_from_name(const char *name, int32_t *outcome); /* FALSE: no such */
gboolean csv_writes_from_name(const char *name, int32_t *writes);
const char *csv_outcome_name(uint32_t index); /* NULL behind the last one */
const char *csv_writes_name(uint32_t index);

#endif
