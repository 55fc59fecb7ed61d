/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_TESTS_BROKEN_H
#define IMIG_TESTS_BROKEN_H

/*
 * tests/data/broken/expected.tsv: every broken document with the class of its error and the exact
 * message.  To be included after <cmocka.h>.
 */

#include <glib.h>
#include <imig/error.h>
#include <string.h>

typedef struct broken_row {
    char *file, *message;
    int code;
} broken_row;

static inline char *
read_test_file(const char *name, size_t *length)
{
    const char *data = g_getenv("IMIG_TEST_DATA");
    char *path, *text = NULL;
    GError *error = NULL;

    assert_non_null(data);
    path = g_build_filename(data, name, NULL);
    if (!g_file_get_contents(path, &text, length, &error))
        fail_msg("%s", error->message);
    g_free(path);
    return text;
}

/* The rows whose file begins with the prefix; each document of that kind has to have one. */
static inline GArray *
broken_rows(const char *prefix)
{
    GArray *rows = g_array_new(FALSE, FALSE, sizeof(broken_row));
    char *all = read_test_file("broken/expected.tsv", NULL);
    char **lines = g_strsplit(all, "\n", -1);
    char *folder = g_build_filename(g_getenv("IMIG_TEST_DATA"), "broken", NULL);
    GDir *dir = g_dir_open(folder, 0, NULL);
    unsigned files = 0;
    const char *file;

    for (char **line = lines; *line; line++) {
        char **cell = g_strsplit(*line, "\t", -1);

        if (g_str_has_prefix(*line, prefix)) {
            broken_row row = { g_strdup(cell[0]), g_strdup(cell[2]), 0 };

            row.code = strcmp(cell[1], "syntax") == 0 ? IMIG_ERR_SYNTAX : IMIG_ERR_INVALID;
            assert_int_equal(g_strv_length(cell), 3);
            assert_string_equal(imig_errcode_name(row.code), cell[1]);
            g_array_append_val(rows, row);
        }
        g_strfreev(cell);
    }
    assert_non_null(dir);
    while ((file = g_dir_read_name(dir)))
        if (g_str_has_prefix(file, prefix))
            files++;
    assert_int_equal(files, rows->len);
    g_dir_close(dir);
    g_free(folder);
    g_strfreev(lines);
    g_free(all);
    return rows;
}

static inline void
broken_rows_free(GArray *rows)
{
    for (unsigned i = 0; i < rows->len; i++) {
        g_free(g_array_index(rows, broken_row, i).file);
        g_free(g_array_index(rows, broken_row, i).message);
    }
    g_array_unref(rows);
}

#endif
