/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/base-priv.h"

#include <imig/common.h>
#include <math.h>
#include <string.h>

const char *
imig_version(void)
{
    G_STATIC_ASSERT(IMIG_VERSION == 1000);
    return "0.1.0";
}

void
imig_free(void *memory)
{
    g_free(memory);
}

const char *
imig__number(double value, char text[IMIG__NUMBER_LENGTH])
{
    if (value == 0)
        value = 0; /* no "-0" */
    if (fabs(value) < 1e15 && value == trunc(value))
        return g_ascii_formatd(text, IMIG__NUMBER_LENGTH, "%.0f", value);
    for (int digits = 15; digits < 17; digits++) {
        char format[8];

        g_snprintf(format, sizeof format, "%%.%dg", digits);
        g_ascii_formatd(text, IMIG__NUMBER_LENGTH, format, value);
        if (g_ascii_strtod(text, NULL) == value)
            return text;
    }
    return g_ascii_formatd(text, IMIG__NUMBER_LENGTH, "%.17g", value);
}

const char *
imig__quote(const char *text, char quoted[IMIG__QUOTE_LENGTH])
{
    enum { LONGEST = 60 };
    char *to = quoted;
    int count = 0;

    *to++ = '"';
    while (*text && count++ < LONGEST) {
        gunichar c = g_utf8_get_char_validated(text, -1);

        if (c == (gunichar) -1 || c == (gunichar) -2) {
            *to++ = '?';
            text++;
        } else {
            size_t length = (size_t) (g_utf8_next_char(text) - text);

            memcpy(to, text, length);
            to += length;
            text += length;
        }
    }
    strcpy(to, *text ? "...\"" : "\"");
    return quoted;
}
