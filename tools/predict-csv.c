/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "predict-csv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER, HYPERVISOR, WRITES, CLASS, MEASURED, LABEL };

/* What a column may be called. */
static const struct column {
    const char *name;
    int kind;
    size_t offset; /* in the profile; MEASURED: in imig_cost */
    uint64_t bit;
} columns[] = {
#define FIELD(field) offsetof(imig_migration_profile, field)
    { "memory_bytes", NUMBER, FIELD(memory_bytes), 0 },
    { "bandwidth_bytes_per_s", NUMBER, FIELD(bandwidth_bytes_per_s), 0 },
    { "dirty_bytes_per_s", NUMBER, FIELD(dirty_bytes_per_s), 0 },
    { "working_set_bytes", NUMBER, FIELD(working_set_bytes), IMIG_PROFILE_HAS_WORKING_SET },
    { "memory_nonzero_bytes", NUMBER, FIELD(memory_nonzero_bytes), IMIG_PROFILE_HAS_NONZERO },
    { "memory_populated_bytes", NUMBER, FIELD(memory_populated_bytes),
      IMIG_PROFILE_HAS_POPULATED },
    { "disk_bytes", NUMBER, FIELD(disk_bytes), 0 },
    { "downtime_limit_s", NUMBER, FIELD(downtime_limit_s), IMIG_PROFILE_HAS_DOWNTIME_LIMIT },
    { "hypervisor", HYPERVISOR, 0, 0 },
    { "writes", WRITES, 0, 0 },
    { "class", CLASS, 0, 0 },
    { "vm", LABEL, 0, 0 },
    { "duration_s", MEASURED, offsetof(imig_cost, time_s), 0 },
    { "downtime_s", MEASURED, offsetof(imig_cost, downtime_s), 0 },
    { "transferred_bytes", MEASURED, offsetof(imig_cost, transferred_bytes), 0 },
#undef FIELD
};

static const struct column label = { "x-", LABEL, 0, 0 };

typedef struct table {
    const char *path;
    char *text;                /* ended at every cell; cells point into it */
    GPtrArray *cells;          /* const char *, header first, row by row */
    const struct column **kind;/* [width] */
    GArray **errors;           /* [width] double, of MEASURED columns */
    guint width;
} table;

gboolean
predict_writes_from_name(const char *name, int32_t *writes)
{
    if (g_str_equal(name, "random"))
        *writes = IMIG_WRITES_RANDOM;
    else if (g_str_equal(name, "cyclic"))
        *writes = IMIG_WRITES_CYCLIC;
    else
        return FALSE;
    return TRUE;
}

json_t *
predict_as_json(const imig_cost *cost)
{
    return json_pack("{s:f, s:f, s:f, s:i, s:b, s:f}", "duration_s", cost->time_s, "downtime_s",
                     cost->downtime_s, "transferred_bytes", cost->transferred_bytes, "rounds",
                     (int) cost->rounds, "converges", (int) cost->converges, "slowdown_ratio",
                     cost->slowdown_ratio);
}

/* One cell: *at is moved behind it and its separator is returned, which is overwritten. */
static char
take_cell(char **at, const char **cell)
{
    char *from = *at, *to = *at, end;

    *cell = to;
    if (*from == '"') {
        for (from++; *from && !(*from == '"' && from[1] != '"'); from++) {
            from += *from == '"';
            *to++ = *from;
        }
        from += *from == '"';
    } else {
        while (*from && !strchr(",\r\n", *from))
            *to++ = *from++;
    }
    from += *from == '\r';
    end = *from;
    *at = from + (end != '\0');
    *to = '\0';
    return end;
}

/* All cells, every row as wide as the first; empty lines are passed over. */
static int
split(table *t)
{
    char *at = t->text;
    guint line = 1, in_row = 0;

    if (g_str_has_prefix(at, "\xef\xbb\xbf"))
        at += 3;
    while (*at || in_row > 0) {
        const char *cell;
        char end = take_cell(&at, &cell);

        if (end != ',' && end != '\n' && end != '\0')
            return ui_fail(UI_USAGE, "%s:%u: a stray character behind a cell", t->path, line);
        g_ptr_array_add(t->cells, (char *) cell);
        in_row++;
        if (end == ',')
            continue;
        if (in_row == 1 && *cell == '\0')
            g_ptr_array_set_size(t->cells, (gint) t->cells->len - 1);
        else if (t->width == 0)
            t->width = in_row;
        else if (in_row != t->width)
            return ui_fail(UI_USAGE, "%s:%u: %u cells, not %u as in the first line", t->path, line,
                           in_row, t->width);
        in_row = 0;
        line++;
    }
    return t->width > 0 ? UI_DONE : ui_fail(UI_USAGE, "%s: no columns", t->path);
}

static int
find_columns(table *t)
{
    uint64_t seen = 0;

    if (t->width == 1 && strchr(t->cells->pdata[0], ';'))
        return ui_fail(UI_USAGE, "%s: cells stand behind \",\", not \";\", and numbers have a "
                       "point", t->path);
    t->kind = g_new0(const struct column *, t->width);
    t->errors = g_new0(GArray *, t->width);
    for (guint c = 0; c < t->width; c++) {
        const char *name = t->cells->pdata[c];

        if (g_str_has_prefix(name, "x-"))
            t->kind[c] = &label;
        for (size_t i = 0; i < G_N_ELEMENTS(columns) && !t->kind[c]; i++) {
            if (!g_str_equal(name, columns[i].name))
                continue;
            if (seen >> i & 1)
                return ui_fail(UI_USAGE, "%s: column \"%s\" twice", t->path, name);
            seen |= UINT64_C(1) << i;
            t->kind[c] = &columns[i];
        }
        if (!t->kind[c])
            return ui_fail(UI_USAGE, "%s: unknown column \"%s\"", t->path, name);
        if (t->kind[c]->kind == MEASURED)
            t->errors[c] = g_array_new(FALSE, FALSE, sizeof(double));
    }
    for (size_t i = 0; i < 2; i++)
        if (!(seen >> i & 1))
            return ui_fail(UI_USAGE, "%s: no column \"%s\"", t->path, columns[i].name);
    return UI_DONE;
}

static gboolean
read_number(const char *cell, double *value)
{
    char *end;

    *value = g_ascii_strtod(cell, &end);
    return *cell != '\0' && *end == '\0' && isfinite(*value);
}

static gboolean
read_cell(const struct column *column, const char *cell, imig_migration_profile *profile)
{
    double value;

    switch (column->kind) {
    case NUMBER:
        profile->present |= column->bit;
        if (!read_number(cell, &value))
            return FALSE;
        G_STRUCT_MEMBER(double, profile, column->offset) = value;
        return TRUE;
    case HYPERVISOR:
        profile->hypervisor = cell;
        return TRUE;
    case WRITES:
        return predict_writes_from_name(cell, &profile->writes);
    case CLASS:
        profile->workload_class = imig_workload_from_name(cell);
        return profile->workload_class != IMIG_WORKLOAD_UNKNOWN;
    case MEASURED:
        return read_number(cell, &value) && value >= 0;
    default:
        return TRUE;
    }
}

static int
predict_row(const table *t, guint row, imig_cost *cost)
{
    imig_migration_profile profile = IMIG_MIGRATION_PROFILE_INIT;
    imig_error *error = NULL;

    for (guint c = 0; c < t->width; c++) {
        const char *cell = t->cells->pdata[row * t->width + c];

        /* An empty cell is a value that is absent. */
        if (*cell != '\0' && !read_cell(t->kind[c], cell, &profile))
            return ui_fail(UI_USAGE, "%s: row %u: %s: \"%s\" is no %s", t->path, row,
                           t->kind[c]->name, cell,
                           t->kind[c]->kind == NUMBER || t->kind[c]->kind == MEASURED
                               ? "number such as 1250000, 1.25e6 or 0.3" : "such name");
    }
    if (imig_predict(&profile, cost, &error) != IMIG_OK)
        return ui_fail_error(ui_text("%s: row %u", t->path, row), error);
    return UI_DONE;
}

/* predicted / measured - 1; NaN where nothing was measured. */
static double
error_of(const table *t, guint row, guint column, const imig_cost *cost)
{
    const char *cell = t->cells->pdata[row * t->width + column];
    double measured;

    if (!read_number(cell, &measured) || measured <= 0)
        return NAN;
    return G_STRUCT_MEMBER(const double, cost, t->kind[column]->offset) / measured - 1;
}

static int
compare_doubles(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;

    return (x > y) - (x < y);
}

/* The smallest error that so many of the rows do not exceed (nearest rank); sorts. */
static double
quantile(GArray *errors, double share)
{
    guint rank = (guint) ceil(share * errors->len);

    g_array_sort(errors, compare_doubles);
    return g_array_index(errors, double, rank > 0 ? rank - 1 : 0);
}

static void
add_cell(GString *line, const char *cell)
{
    if (line->len > 0)
        g_string_append_c(line, ',');
    if (!strpbrk(cell, ",\"\r\n")) {
        g_string_append(line, cell);
        return;
    }
    g_string_append_c(line, '"');
    for (; *cell; cell++)
        g_string_append_printf(line, *cell == '"' ? "\"%c" : "%c", *cell);
    g_string_append_c(line, '"');
}

static void
add_number(GString *line, double value)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];

    /* Bytes without an exponent: not every spreadsheet reads one. */
    add_cell(line, isfinite(value) ? g_ascii_formatd(text, sizeof text, fabs(value) < 1e9 ? "%.10g"
                                                                                        : "%.0f",
                                                     value) : "");
}

static void
add_row(GString *out, const table *t, guint row, const imig_cost *cost)
{
    g_autoptr(GString) line = g_string_new(NULL);

    for (guint c = 0; c < t->width; c++)
        add_cell(line, t->cells->pdata[row * t->width + c]);
    if (row == 0) {
        g_string_append(line, ",predicted_duration_s,predicted_downtime_s,"
                        "predicted_transferred_bytes,predicted_rounds,predicted_converges,"
                        "predicted_slowdown_ratio");
    } else {
        add_number(line, cost->time_s);
        add_number(line, cost->downtime_s);
        add_number(line, cost->transferred_bytes);
        add_number(line, cost->rounds);
        add_number(line, cost->converges);
        add_number(line, cost->slowdown_ratio);
    }
    for (guint c = 0; c < t->width; c++)
        if (t->errors[c] && row == 0)
            g_string_append_printf(line, ",%s_error", t->kind[c]->name);
        else if (t->errors[c])
            add_number(line, error_of(t, row, c, cost));
    g_string_append_printf(out, "%s\n", line->str);
}

static json_t *
errors_as_json(const table *t)
{
    json_t *errors = json_object();

    for (guint c = 0; c < t->width; c++)
        if (t->errors[c] && t->errors[c]->len > 0)
            json_object_set_new(errors, t->kind[c]->name, json_pack(
                "{s:i, s:f, s:f}", "rows", (int) t->errors[c]->len, "p50",
                quantile(t->errors[c], 0.5), "p90", quantile(t->errors[c], 0.9)));
    return errors;
}

static int
predict_rows(table *t, gboolean json)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(json_t) rows = json_array();
    g_autoptr(json_t) document = NULL;
    guint count = t->cells->len / t->width;
    int status;

    add_row(out, t, 0, NULL);
    for (guint row = 1; row < count; row++) {
        imig_cost cost = IMIG_COST_INIT;

        status = predict_row(t, row, &cost);
        if (status != UI_DONE)
            return status;
        for (guint c = 0; c < t->width; c++) {
            double off = t->errors[c] ? fabs(error_of(t, row, c, &cost)) : NAN;

            if (!isnan(off))
                g_array_append_val(t->errors[c], off);
        }
        if (json)
            json_array_append_new(rows, predict_as_json(&cost));
        else
            add_row(out, t, row, &cost);
    }
    if (json) {
        document = json_pack("{s:O, s:o}", "rows", rows, "errors", errors_as_json(t));
        return ui_write_json("-", document);
    }
    status = ui_write("-", out->str, out->len);
    for (guint c = 0; c < t->width && status == UI_DONE; c++)
        if (t->errors[c] && t->errors[c]->len > 0)
            fprintf(stderr, "%s: %u row%s measured, error p50 %.1f %%, p90 %.1f %%\n",
                    t->kind[c]->name, t->errors[c]->len, t->errors[c]->len == 1 ? "" : "s",
                    100 * quantile(t->errors[c], 0.5), 100 * quantile(t->errors[c], 0.9));
    return status;
}

int
predict_csv(const char *path, gboolean json)
{
    table t = { .path = g_str_equal(path, "-") ? "standard input" : path };
    size_t length;
    int status = ui_read(path, &t.text, &length);

    if (status != UI_DONE)
        return status;
    t.cells = g_ptr_array_new();
    if (!g_utf8_validate_len(t.text, length, NULL))
        status = ui_fail(UI_USAGE, "%s: not UTF-8", t.path);
    if (status == UI_DONE)
        status = split(&t);
    if (status == UI_DONE)
        status = find_columns(&t);
    if (status == UI_DONE)
        status = predict_rows(&t, json);
    for (guint c = 0; t.errors && c < t.width; c++)
        if (t.errors[c])
            g_array_free(t.errors[c], TRUE);
    g_free(t.errors);
    g_free(t.kind);
    g_ptr_array_free(t.cells, TRUE);
    g_free(t.text);
    return status;
}
