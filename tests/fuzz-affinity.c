/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Any bytes at all, as an affinity matrix: refused in one line, or read and written stably. */

#include <glib.h>
#include <imig/affinity.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    imig_affinity *first = NULL, *second = NULL;
    imig_error *error = NULL;
    char *once, *twice;
    /* Not NUL-ended, as the caller promises nothing of the kind. */
    int code = imig_affinity_from_csv((const char *) data, size, &first, &error);

    if (code != IMIG_OK) {
        g_assert_true(code == IMIG_ERR_SYNTAX || code == IMIG_ERR_INVALID);
        g_assert_cmpint(imig_error_code(error), ==, code);
        g_assert_null(strchr(imig_error_message(error), '\n'));
        g_assert_null(first);
        imig_error_free(error);
        return 0;
    }
    g_assert_null(error);
    g_assert_cmpint(imig_affinity_to_csv(first, &once, NULL), ==, IMIG_OK);
    g_assert_cmpint(imig_affinity_from_csv(once, strlen(once), &second, NULL), ==, IMIG_OK);
    g_assert_cmpint(imig_affinity_to_csv(second, &twice, NULL), ==, IMIG_OK);
    g_assert_cmpstr(once, ==, twice);
    for (size_t i = 0; i < imig_affinity_count(first); i++)
        g_assert_cmpfloat(imig_affinity_max_difference(first, i), >=, 0);
    imig_affinity_unref(first);
    imig_affinity_unref(second);
    imig_free(once);
    imig_free(twice);
    return 0;
}
