/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ui.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct cell {
    char *text;
    ui_colour colour;
};

struct ui_table {
    const char *const *headings;
    guint columns;
    GArray *cells; /* struct cell, row by row */
};

gboolean
ui_on_terminal(void)
{
    return isatty(STDOUT_FILENO) && g_strcmp0(g_getenv("TERM"), "dumb") != 0;
}

int
ui_width(void)
{
    struct winsize size;

    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

const char *
ui_colour_on(ui_colour colour)
{
    static const char *const codes[] = {
        [UI_PLAIN] = "", [UI_BOLD] = "\033[1m", [UI_RED] = "\033[31m", [UI_GREEN] = "\033[32m",
        [UI_YELLOW] = "\033[33m",
    };

    return ui_on_terminal() ? codes[colour] : "";
}

const char *
ui_colour_off(void)
{
    return ui_on_terminal() ? "\033[0m" : "";
}

static void
clear_cell(void *cell)
{
    g_free(((struct cell *) cell)->text);
}

ui_table *
ui_table_new(const char *const *headings)
{
    ui_table *table = g_new0(ui_table, 1);

    table->headings = headings;
    while (headings[table->columns])
        table->columns++;
    table->cells = g_array_new(FALSE, FALSE, sizeof(struct cell));
    g_array_set_clear_func(table->cells, clear_cell);
    return table;
}

void
ui_table_add_coloured(ui_table *table, ui_colour colour, const char *text)
{
    struct cell cell = { g_strdup(text), colour };

    for (char *c = cell.text; *c; c++)
        if (g_ascii_iscntrl(*c))
            *c = '?'; /* a name must not reach the terminal as a command */
    g_array_append_val(table->cells, cell);
}

void
ui_table_add(ui_table *table, const char *text)
{
    ui_table_add_coloured(table, UI_PLAIN, text);
}

void
ui_table_free(ui_table *table)
{
    g_array_free(table->cells, TRUE);
    g_free(table);
}

static const char *
heading(const ui_table *table, guint column)
{
    return table->headings[column] + (strchr(">|", table->headings[column][0]) != NULL
                                      && table->headings[column][0] != '\0');
}

static void
put_cell(const ui_table *table, GString *line, guint column, const int *width, const char *text,
         ui_colour colour)
{
    int fill = width[column] - (int) g_utf8_strlen(text, -1);
    gboolean right = table->headings[column][0] == '>';
    const char *on = colour == UI_PLAIN ? "" : ui_colour_on(colour);

    g_string_append_printf(line, "%s%*s%s%s%s%*s", column > 0 ? "  " : "", right ? fill : 0, "",
                           on, text, *on ? ui_colour_off() : "", right ? 0 : fill, "");
    if (column + 1 == table->columns) {
        puts(g_strchomp(line->str)); /* no blanks at the end of a line */
        g_string_truncate(line, 0);
    }
}

/* The last column of a line that is wider than the terminal. */
static void
put_below(GString *line, const char *text)
{
    puts(g_strchomp(line->str));
    if (*text)
        printf("      %s\n", text);
    g_string_truncate(line, 0);
}

static gboolean
is_too_wide(const ui_table *table, const int *width)
{
    int sum = 0;

    for (guint c = 0; c < table->columns; c++)
        sum += width[c] + (c > 0 ? 2 : 0);
    return table->headings[table->columns - 1][0] == '|' && ui_on_terminal() && sum > ui_width();
}

void
ui_table_print(ui_table *table)
{
    int *width = g_new0(int, table->columns);
    GString *line = g_string_new(NULL);
    gboolean below;

    for (guint c = 0; c < table->columns; c++)
        width[c] = (int) g_utf8_strlen(heading(table, c), -1);
    for (guint i = 0; i < table->cells->len; i++) {
        int length = (int) g_utf8_strlen(g_array_index(table->cells, struct cell, i).text, -1);

        width[i % table->columns] = MAX(width[i % table->columns], length);
    }
    below = is_too_wide(table, width);
    for (guint c = 0; c < table->columns; c++)
        put_cell(table, line, c, width, heading(table, c), UI_BOLD);
    for (guint i = 0; i < table->cells->len; i++) {
        const struct cell *cell = &g_array_index(table->cells, struct cell, i);

        if (below && i % table->columns == table->columns - 1)
            put_below(line, cell->text);
        else
            put_cell(table, line, i % table->columns, width, cell->text, cell->colour);
    }
    g_string_free(line, TRUE);
    g_free(width);
    ui_table_free(table);
}

const char *
ui_bar(double ratio, int columns)
{
    char full[65], empty[65];
    int n = (int) (CLAMP(ratio, 0, 1) * columns + 0.5);

    g_assert(columns < (int) sizeof full);
    memset(full, '#', sizeof full);
    memset(empty, '.', sizeof empty);
    return ui_text("[%.*s%.*s]", n, full, columns - n, empty);
}
