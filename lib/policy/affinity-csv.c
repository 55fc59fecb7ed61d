/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/affinity-priv.h"

#include <math.h>
#include <string.h>

/* CSV as RFC 4180 has it, and as spreadsheets write it: a BOM, LF alone, blanks around a cell. */
struct reader {
    const char *at, *end;
    size_t line;
    GString *cell;
    gboolean row_ends; /* behind the cell that was read last */
};

static const char digits[] = "+-.0123456789Ee";

static gboolean
at_end(const struct reader *r)
{
    return r->at == r->end;
}

static void
skip_blanks(struct reader *r)
{
    while (!at_end(r) && (*r->at == ' ' || *r->at == '\t'))
        r->at++;
}

/* Takes a line end where one is; the end of the text counts. */
static gboolean
take_line_end(struct reader *r)
{
    if (at_end(r))
        return TRUE;
    if (*r->at == '\r' && r->at + 1 < r->end && r->at[1] == '\n')
        r->at++;
    if (*r->at != '\n')
        return FALSE;
    r->at++;
    r->line++;
    return TRUE;
}

/* From the quote that opens a cell to the blanks behind the one that closes it. */
static int
read_quoted(struct reader *r, imig_error **error)
{
    size_t opened = r->line;

    for (r->at++; !at_end(r); r->at++) {
        if (*r->at == '"') {
            r->at++;
            if (at_end(r) || *r->at != '"') {
                skip_blanks(r);
                return IMIG_OK;
            }
        }
        if (*r->at == '\n')
            r->line++;
        g_string_append_c(r->cell, *r->at);
    }
    return imig__fail(error, IMIG_ERR_SYNTAX, "line %zu: a quote is never closed", opened);
}

static void
read_plain(struct reader *r)
{
    const char *from = r->at, *to;

    while (!at_end(r) && !strchr(",\n\r\"", *r->at))
        r->at++;
    for (to = r->at; to > from && (to[-1] == ' ' || to[-1] == '\t'); to--)
        ;
    g_string_append_len(r->cell, from, to - from);
}

static int
read_cell(struct reader *r, imig_error **error)
{
    g_string_truncate(r->cell, 0);
    skip_blanks(r);
    if (!at_end(r) && *r->at == '"') {
        int rc = read_quoted(r, error);

        if (rc != IMIG_OK)
            return rc;
    } else {
        read_plain(r);
    }
    r->row_ends = take_line_end(r);
    if (!r->row_ends && *r->at != ',')
        return imig__fail(error, IMIG_ERR_SYNTAX,
                          "line %zu: neither a comma nor a new line follows a cell", r->line);
    if (!r->row_ends)
        r->at++;
    return IMIG_OK;
}

static void
skip_empty_lines(struct reader *r)
{
    while (!at_end(r)) {
        const char *begin = r->at;

        skip_blanks(r);
        if (!take_line_end(r)) {
            r->at = begin;
            return;
        }
    }
}

static int
add_name(GPtrArray *names, GHashTable *known, const struct reader *r, size_t line,
         const char *what, imig_error **error)
{
    char *name;

    if (r->cell->len == 0)
        return imig__fail(error, IMIG_ERR_INVALID, "line %zu: a %s has no name", line, what);
    if (g_hash_table_contains(known, r->cell->str))
        return imig__fail(error, IMIG_ERR_INVALID, "line %zu: there are two %ss \"%s\"", line, what,
                          r->cell->str);
    if (names->len == IMIG__AFFINITY_MOST + 1)
        return imig__fail(error, IMIG_ERR_INVALID, "line %zu: more than %d %ss", line,
                          IMIG__AFFINITY_MOST, what);
    name = g_strdup(r->cell->str);
    g_ptr_array_add(names, name);
    g_hash_table_add(known, name);
    return IMIG_OK;
}

static int
read_header(struct reader *r, imig__affinity_table *table, imig_error **error)
{
    GHashTable *known = g_hash_table_new(g_str_hash, g_str_equal);
    size_t line = r->line;
    int rc = read_cell(r, error);

    if (rc == IMIG_OK)
        table->corner = g_strdup(r->cell->str);
    while (rc == IMIG_OK && !r->row_ends) {
        rc = read_cell(r, error);
        if (rc == IMIG_OK)
            rc = add_name(table->columns, known, r, line, "column", error);
    }
    g_hash_table_unref(known);
    if (rc == IMIG_OK && table->columns->len == 0)
        rc = imig__fail(error, IMIG_ERR_INVALID, "line %zu: no column names a workload", line);
    if (rc == IMIG_OK && table->columns->len > IMIG__AFFINITY_MOST)
        rc = imig__fail(error, IMIG_ERR_INVALID, "line %zu: more than %d columns", line,
                        IMIG__AFFINITY_MOST);
    return rc;
}

/* A number > 0 in plain decimal digits; NaN where the text is none. */
static double
parse_time(const char *text)
{
    char *end;
    double value;

    if (*text == '\0' || text[strspn(text, digits)] != '\0')
        return NAN;
    value = g_ascii_strtod(text, &end);
    return *end == '\0' && isfinite(value) && value > 0 ? value : NAN;
}

static int
read_row(struct reader *r, imig__affinity_table *table, GHashTable *known, imig_error **error)
{
    size_t line = r->line;
    const char *name;
    int rc = read_cell(r, error);

    if (rc == IMIG_OK)
        rc = add_name(table->rows, known, r, line, "row", error);
    if (rc != IMIG_OK)
        return rc;
    name = table->rows->pdata[table->rows->len - 1];
    for (uint32_t column = 0; column < table->columns->len; column++) {
        double time;

        if (r->row_ends)
            return imig__fail(error, IMIG_ERR_INVALID, "line %zu, row \"%s\": %u times, not %u",
                              line, name, column, table->columns->len);
        rc = read_cell(r, error);
        if (rc != IMIG_OK)
            return rc;
        time = parse_time(r->cell->str);
        if (isnan(time))
            return imig__fail(error, IMIG_ERR_INVALID,
                              "line %zu, row \"%s\", column \"%s\": \"%s\" is not a time > 0", line,
                              name, (char *) table->columns->pdata[column], r->cell->str);
        g_array_append_val(table->times, time);
    }
    if (!r->row_ends)
        return imig__fail(error, IMIG_ERR_INVALID, "line %zu, row \"%s\": more than %u times", line,
                          name, table->columns->len);
    return IMIG_OK;
}

static int
read_table(struct reader *r, imig__affinity_table *table, imig_error **error)
{
    GHashTable *known = g_hash_table_new(g_str_hash, g_str_equal);
    uint32_t neighbours;
    int rc;

    skip_empty_lines(r);
    rc = at_end(r) ? imig__fail(error, IMIG_ERR_SYNTAX, "line %zu: there is no table", r->line)
                   : read_header(r, table, error);
    skip_empty_lines(r);
    while (rc == IMIG_OK && !at_end(r)) {
        rc = read_row(r, table, known, error);
        skip_empty_lines(r);
    }
    neighbours = table->rows->len - (g_hash_table_contains(known, IMIG__AFFINITY_SOLO) ? 1 : 0);
    if (rc == IMIG_OK && neighbours == 0)
        rc = imig__fail(error, IMIG_ERR_INVALID, "line %zu: no row names a neighbour", r->line);
    if (rc == IMIG_OK && neighbours > IMIG__AFFINITY_MOST)
        rc = imig__fail(error, IMIG_ERR_INVALID, "line %zu: more than %d rows", r->line,
                        IMIG__AFFINITY_MOST);
    g_hash_table_unref(known);
    return rc;
}

static size_t
line_of(const char *text, const char *at)
{
    size_t line = 1;

    for (; text < at; text++)
        line += *text == '\n';
    return line;
}

int
imig__affinity_table_from_csv(const char *text, size_t length, imig__affinity_table **table,
                              imig_error **error)
{
    struct reader reader = { .at = text, .end = text + length, .line = 1 };
    imig__affinity_table *read;
    const char *wrong;
    int rc;

    if (!g_utf8_validate_len(text, length, &wrong))
        return imig__fail(error, IMIG_ERR_SYNTAX, "line %zu: not UTF-8", line_of(text, wrong));
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        reader.at += 3;
    read = imig__affinity_table_new();
    reader.cell = g_string_new(NULL);
    rc = read_table(&reader, read, error);
    g_string_free(reader.cell, TRUE);
    if (rc == IMIG_OK)
        *table = read;
    else
        imig__affinity_table_free(read);
    return rc;
}

static void
write_cell(GString *text, const char *cell)
{
    size_t length = strlen(cell);
    gboolean quote = cell[strcspn(cell, ",\"\r\n")] != '\0'
                     || (length > 0 && (strchr(" \t", cell[0]) || strchr(" \t", cell[length - 1])));

    if (quote)
        g_string_append_c(text, '"');
    for (; *cell; cell++) {
        if (*cell == '"')
            g_string_append_c(text, '"');
        g_string_append_c(text, *cell);
    }
    if (quote)
        g_string_append_c(text, '"');
}

char *
imig__affinity_table_to_csv(const imig__affinity_table *table)
{
    GString *text = g_string_new(NULL);
    const double *time = (const double *) (const void *) table->times->data;

    write_cell(text, table->corner);
    for (uint32_t i = 0; i < table->columns->len; i++) {
        g_string_append_c(text, ',');
        write_cell(text, table->columns->pdata[i]);
    }
    g_string_append_c(text, '\n');
    for (uint32_t row = 0; row < table->rows->len; row++) {
        write_cell(text, table->rows->pdata[row]);
        for (uint32_t i = 0; i < table->columns->len; i++) {
            char number[IMIG__NUMBER_LENGTH];

            g_string_append_c(text, ',');
            g_string_append(text, imig__number(*time++, number));
        }
        g_string_append_c(text, '\n');
    }
    return g_string_free(text, FALSE);
}
