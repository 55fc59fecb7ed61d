/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ui.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* What may stand behind a number; "" is the SI unit itself. */
static const struct {
    ui_kind kind;
    const char *suffix;
    double factor;
} units[] = {
    { UI_NUMBER, "", 1 },
    { UI_BYTES, "", 1 },
    { UI_BYTES, "B", 1 },
    { UI_BYTES, "kB", 1e3 }, { UI_BYTES, "KB", 1e3 }, { UI_BYTES, "MB", 1e6 },
    { UI_BYTES, "GB", 1e9 }, { UI_BYTES, "TB", 1e12 },
    { UI_BYTES, "KiB", 1024.0 }, { UI_BYTES, "MiB", 1048576.0 },
    { UI_BYTES, "GiB", 1073741824.0 }, { UI_BYTES, "TiB", 1099511627776.0 },
    { UI_RATE, "", 1 },
    { UI_RATE, "B/s", 1 },
    { UI_RATE, "kB/s", 1e3 }, { UI_RATE, "KB/s", 1e3 }, { UI_RATE, "MB/s", 1e6 },
    { UI_RATE, "GB/s", 1e9 },
    { UI_RATE, "KiB/s", 1024.0 }, { UI_RATE, "MiB/s", 1048576.0 },
    { UI_RATE, "GiB/s", 1073741824.0 },
    { UI_RATE, "bit/s", 0.125 }, { UI_RATE, "kbit/s", 125 }, { UI_RATE, "Mbit/s", 125e3 },
    { UI_RATE, "Gbit/s", 125e6 },
    { UI_SECONDS, "", 1 },
    { UI_SECONDS, "us", 1e-6 }, { UI_SECONDS, "ms", 1e-3 }, { UI_SECONDS, "s", 1 },
    { UI_SECONDS, "min", 60 }, { UI_SECONDS, "h", 3600 }, { UI_SECONDS, "d", 86400 },
};

gboolean
ui_parse_quantity(ui_kind kind, const char *text, double *value)
{
    gboolean zero_allowed = kind == UI_NUMBER || kind == UI_BYTES0 || kind == UI_RATE0;
    ui_kind unit = kind == UI_BYTES0 ? UI_BYTES : kind == UI_RATE0 ? UI_RATE : kind;
    char *end;
    double number;

    /* strtod() would also take "inf", "nan" and hexadecimal. */
    if (!g_ascii_isdigit(text[0]) && text[0] != '.' && text[0] != '-')
        return FALSE;
    if (strpbrk(text, "xX"))
        return FALSE;
    number = g_ascii_strtod(text, &end);
    while (*end == ' ')
        end++;
    for (size_t i = 0; i < G_N_ELEMENTS(units); i++)
        if (units[i].kind == unit && g_str_equal(end, units[i].suffix)) {
            number *= units[i].factor;
            if (!isfinite(number) || (kind != UI_NUMBER && number < 0)
                || (!zero_allowed && number == 0))
                return FALSE;
            *value = number;
            return TRUE;
        }
    return FALSE;
}

/* A zero that only rounding made has no sign. */
static void
unsign_zero(char *text)
{
    size_t zeros = text[0] == '-' || text[0] == '+' ? strspn(text + 1, "0.") : 0;

    if (zeros > 0 && strchr(" ", text[1 + zeros]))
        memmove(text, text + 1, strlen(text));
}

const char *
ui_text(const char *format, ...)
{
    static char ring[16][256];
    static unsigned int turn;
    char *text = ring[turn++ % G_N_ELEMENTS(ring)];
    va_list args;

    va_start(args, format);
    g_vsnprintf(text, sizeof ring[0], format, args);
    va_end(args);
    unsign_zero(text);
    return text;
}

/* Two or three digits that mean something. */
static const char *
scaled(double value, double base, const char *const *names, size_t n)
{
    size_t i = 0;

    if (!isfinite(value))
        return "-";
    while (i + 1 < n && fabs(value) >= base * (1 - 1e-3)) {
        value /= base;
        i++;
    }
    return ui_text(i > 0 && fabs(value) < 99.95 ? "%.1f %s" : "%.0f %s", value, names[i]);
}

const char *
ui_bytes(double value)
{
    static const char *const names[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };

    return scaled(value, 1024, names, G_N_ELEMENTS(names));
}

const char *
ui_rate(double value)
{
    static const char *const names[] = { "B/s", "kB/s", "MB/s", "GB/s", "TB/s" };

    return scaled(value, 1000, names, G_N_ELEMENTS(names));
}

const char *
ui_time(double value)
{
    if (!isfinite(value))
        return "-";
    if (fabs(value) < 0.9995)
        return ui_text("%.0f ms", value * 1e3);
    if (fabs(value) < 999.95)
        return ui_text("%.1f s", value);
    return ui_text("%.0f s", value);
}

const char *
ui_percent(double ratio)
{
    return isfinite(ratio) ? ui_text("%.0f %%", ratio * 100) : "-";
}

const char *
ui_cores(double value)
{
    return isfinite(value) ? ui_text("%.2f", value) : "-";
}

const char *
ui_off(double predicted, double measured)
{
    if (!(measured > 0) || !isfinite(predicted))
        return "-";
    return ui_text("%+.1f %%", (predicted / measured - 1) * 100);
}

int
ui_compare_doubles(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;

    return (x > y) - (x < y);
}

double
ui_quantile(const GArray *sorted, double share)
{
    guint rank = (guint) ceil(share * sorted->len);

    return sorted->len > 0 ? g_array_index(sorted, double, rank > 0 ? rank - 1 : 0) : NAN;
}
