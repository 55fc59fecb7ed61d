/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/check-priv.h"

#include <string.h>

static void
append_path(GString *text, const imig__path *path)
{
    if (!path)
        return;
    append_path(text, path->up);
    if (!path->key)
        g_string_append_printf(text, "[%zu]", path->index);
    else
        /* Most keys are ours, but a label's may be anything; a character cut in two is mended. */
        g_string_append_printf(text, "%s%.60s", text->len ? "." : "", path->key);
}

char *
imig__path_text(const imig__path *path)
{
    GString *text = g_string_new(NULL);

    append_path(text, path);
    return g_string_free(text, FALSE);
}

int
imig__refuse(const imig__path *path, const char *value, const char *rule, imig_error **error)
{
    char *where;

    if (!error)
        return IMIG_ERR_INVALID;
    where = imig__path_text(path);
    imig__fail(error, IMIG_ERR_INVALID, "%s%s%s: %s", where, value ? ": " : "",
               value ? value : "", rule);
    g_free(where);
    return IMIG_ERR_INVALID;
}

int
imig__refuse_text(const imig__path *path, const char *value, const char *rule, imig_error **error)
{
    char quoted[IMIG__QUOTE_LENGTH];

    return imig__refuse(path, imig__quote(value, quoted), rule, error);
}

int
imig__refuse_number(const imig__path *path, double value, const char *rule, imig_error **error)
{
    char number[IMIG__NUMBER_LENGTH];

    return imig__refuse(path, imig__number(value, number), rule, error);
}

int
imig__check_number(const imig__path *path, double value, double low, double high,
                   imig_error **error)
{
    char from[IMIG__NUMBER_LENGTH], to[IMIG__NUMBER_LENGTH];
    char rule[2 * IMIG__NUMBER_LENGTH + 16];

    if (value >= low && value <= high) /* not so for NaN */
        return IMIG_OK;
    g_snprintf(rule, sizeof rule, "must be from %s to %s", imig__number(low, from),
               imig__number(high, to));
    return imig__refuse_number(path, value, rule, error);
}

/* Of UTF-8: C0, DEL, and C1, which begins with the byte C2. */
static gboolean
has_control(const char *text)
{
    for (const unsigned char *c = (const unsigned char *) text; *c; c++)
        if (*c < 0x20 || *c == 0x7f || (*c == 0xc2 && c[1] < 0xa0))
            return TRUE;
    return FALSE;
}

int
imig__check_text(const imig__path *path, const char *text, size_t max, imig_error **error)
{
    size_t length;
    char rule[48];

    if (!text)
        return imig__refuse(path, NULL, "missing", error);
    length = strlen(text);
    if (length == 0)
        return imig__refuse_text(path, text, "must not be empty", error);
    if (length > max) {
        g_snprintf(rule, sizeof rule, "must be at most %zu bytes long", max);
        return imig__refuse_text(path, text, rule, error);
    }
    if (!g_utf8_validate_len(text, length, NULL))
        return imig__refuse_text(path, text, "must be UTF-8", error);
    if (has_control(text))
        return imig__refuse_text(path, text, "must not hold control characters", error);
    return IMIG_OK;
}
