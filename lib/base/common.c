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

/* digits / 10^decimals, without idle zeros behind the point. */
static const char *
put_digits(uint64_t digits, int decimals, gboolean negative, char text[IMIG__NUMBER_LENGTH])
{
    char reversed[IMIG__NUMBER_LENGTH];
    char *to = text;
    int n = 0;

    for (; decimals && digits % 10 == 0; decimals--)
        digits /= 10;
    for (int left = decimals; digits || left >= 0; left--) {
        reversed[n++] = (char) ('0' + digits % 10);
        digits /= 10;
        if (left == 1)
            reversed[n++] = '.';
    }
    if (negative)
        *to++ = '-';
    while (n > 0)
        *to++ = reversed[--n];
    *to = '\0';
    return text;
}

#ifdef __SIZEOF_INT128__
__extension__ typedef unsigned __int128 wide;

/*
 * The shortest of 15, 16 and 17 digits that reads back as the same double, by exact arithmetic:
 * with value = m / 2^shift, D digits of which `decimals` are behind the point differ from it by
 * (D * 2^shift - m * 10^decimals) / (2^shift * 10^decimals), and half the gap to the next double is
 * 1 / 2^(shift + 1).  Everything fits in 128 bits from 1e-4 to 1e15, where %g writes no exponent.
 * Printing and reading back does the same thirty times as slowly.
 */
static const char *
put_exactly(double value, char text[IMIG__NUMBER_LENGTH])
{
    int exponent, shift, decimals = 18;
    double size = fabs(value);
    wide m, power = 1, digits = 0;

    if (!(size >= 1e-4 && size < 1e15))
        return NULL;
    m = (wide) ldexp(frexp(size, &exponent), 53);
    shift = 53 - exponent;
    for (double limit = 1e-3; decimals > 0 && size >= limit; limit *= 10)
        decimals--;
    for (int i = 0; i < decimals; i++)
        power *= 10;
    for (int count = 15; count <= 17; count++, decimals++, power *= 10) {
        wide exact = m * power, gap;

        digits = (exact + ((wide) 1 << (shift - 1))) >> shift;
        if (digits << shift == exact + ((wide) 1 << (shift - 1)))
            digits &= ~(wide) 1; /* halfway: the even one */
        gap = digits << shift > exact ? (digits << shift) - exact : exact - (digits << shift);
        /* Below a power of two doubles stand twice as close. */
        if (digits << shift < exact && m == (wide) 1 << 52)
            gap *= 2;
        if (count == 17 || 2 * gap < power || (2 * gap == power && m % 2 == 0))
            break;
    }
    return put_digits((uint64_t) digits, decimals, value < 0, text);
}
#endif

const char *
imig__number(double value, char text[IMIG__NUMBER_LENGTH])
{
    if (fabs(value) < 1e15 && value == trunc(value))
        return put_digits((uint64_t) fabs(value), 0, value < 0, text);
#ifdef __SIZEOF_INT128__
    if (put_exactly(value, text))
        return text;
#endif
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
