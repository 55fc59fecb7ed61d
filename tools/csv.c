/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "csv.h"

#include <math.h>
#include <string.h>

/* One cell: *at is moved behind it and its separator is returned, which is overwritten; *line
   counts on. */
static char
take_cell(char **at, const char **cell, guint *line)
{
    char *from = *at, *to = *at, end;

    *cell = to;
    if (*from == '"') {
        for (from++; *from && !(*from == '"' && from[1] != '"'); from++) {
            from += *from == '"';
            *line += *from == '\n';
            *to++ = *from;
        }
        from += *from == '"';
    } else {
        while (*from && !strchr(",\r\n", *from))
            *to++ = *from++;
    }
    from += *from == '\r';
    end = *from;
    *line += end == '\n';
    *at = from + (end != '\0');
    *to = '\0';
    return end;
}

/* All cells, every row as wide as the first; empty lines are passed over. */
static int
split(csv_table *t)
{
    char *at = t->text;
    guint line = 1, begins = 1, in_row = 0;

    if (g_str_has_prefix(at, "\xef\xbb\xbf"))
        at += 3;
    while (*at || in_row > 0) {
        const char *cell;
        char end;

        begins = in_row == 0 ? line : begins;
        end = take_cell(&at, &cell, &line);
        if (end != ',' && end != '\n' && end != '\0')
            return ui_fail(UI_USAGE, "%s: line %u: a stray character behind a cell", t->path, line);
        g_ptr_array_add(t->cells, (char *) cell);
        in_row++;
        if (end == ',')
            continue;
        if (in_row == 1 && *cell == '\0')
            g_ptr_array_set_size(t->cells, (gint) t->cells->len - 1);
        else if (t->width > 0 && in_row != t->width)
            return ui_fail(UI_USAGE, "%s: line %u: %u cell%s, not %u as in the header", t->path,
                           begins, in_row, in_row == 1 ? "" : "s", t->width);
        else
            g_array_append_val(t->lines, begins);
        if (t->width == 0 && t->lines->len > 0)
            t->width = in_row;
        in_row = 0;
    }
    if (t->width == 0)
        return ui_fail(UI_USAGE, "%s: no columns", t->path);
    if (t->width == 1 && strchr(csv_heading(t, 0), ';'))
        return ui_fail(UI_USAGE, "%s: cells stand behind \",\", not \";\", and numbers have a "
                       "point", t->path);
    return UI_DONE;
}

int
csv_read(const char *path, csv_table *t)
{
    size_t length;
    int status;

    *t = (csv_table) {
        .path = g_str_equal(path, "-") ? "standard input" : path, .cells = g_ptr_array_new(),
        .lines = g_array_new(FALSE, FALSE, sizeof(guint)),
    };
    status = ui_read(path, &t->text, &length);
    if (status != UI_DONE)
        return status;
    if (!g_utf8_validate_len(t->text, length, NULL))
        return ui_fail(UI_USAGE, "%s: not UTF-8", t->path);
    return split(t);
}

void
csv_clear(csv_table *t)
{
    g_ptr_array_free(t->cells, TRUE);
    g_array_free(t->lines, TRUE);
    g_free(t->text);
}

void
csv_put(GString *line, const char *cell)
{
    g_string_append_c(line, ',');
    if (!cell)
        return;
    if (!strpbrk(cell, ",\"\r\n")) {
        g_string_append(line, cell);
        return;
    }
    g_string_append_c(line, '"');
    for (; *cell; cell++)
        g_string_append_printf(line, *cell == '"' ? "\"%c" : "%c", *cell);
    g_string_append_c(line, '"');
}

void
csv_put_number(GString *line, double value)
{
    enum { EXACT_DIGITS = 17 };
    char text[G_ASCII_DTOSTR_BUF_SIZE] = "", format[8];
    int digits = 10;

    if (isfinite(value)) {
        /* Bytes without an exponent: not every spreadsheet reads one. */
        if (fabs(value) >= 1e9)
            digits = MIN((int) log10(fabs(value)) + 1, EXACT_DIGITS);
        /* What is read back is what was written: learning from it has to come to the same. */
        do {
            g_snprintf(format, sizeof format, "%%.%dg", digits);
            g_ascii_formatd(text, sizeof text, format, value);
        } while (g_ascii_strtod(text, NULL) != value && digits++ < EXACT_DIGITS);
    }
    csv_put(line, text);
}

gboolean
csv_read_number(const char *cell, double *value)
{
    char *end;

    *value = g_ascii_strtod(cell, &end);
    return *cell != '\0' && *end == '\0' && isfinite(*value);
}

const char *
csv_writes_name(uint32_t index)
{
    static const char *const names[] = {
        [IMIG_WRITES_RANDOM] = "random", [IMIG_WRITES_CYCLIC] = "cyclic",
    };

    return index < G_N_ELEMENTS(names) ? names[index] : NULL;
}

gboolean
csv_writes_from_name(const char *name, int32_t *writes)
{
    int index = ui_find_name(csv_writes_name, name);

    *writes = MAX(index, 0);
    return index >= 0;
}
