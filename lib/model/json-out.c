/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/json-out-priv.h"

#include <math.h>
#include <string.h>

static void
flush(imig__json_out *out)
{
    out->sink(out->data, out->buffer, out->used);
    out->used = 0;
}

static void
put(imig__json_out *out, const char *text, size_t length)
{
    if (length > sizeof out->buffer - out->used)
        flush(out);
    if (length > sizeof out->buffer) {
        out->sink(out->data, text, length);
        return;
    }
    memcpy(out->buffer + out->used, text, length);
    out->used += length;
}

static void
put_string(imig__json_out *out, const char *text)
{
    put(out, text, strlen(text));
}

/* Texts are UTF-8; all that has to be escaped is what JSON forbids. */
static void
put_quoted(imig__json_out *out, const char *text)
{
    put(out, "\"", 1);
    for (;;) {
        size_t plain = 0;
        char escape[8];
        unsigned char c;

        while ((c = (unsigned char) text[plain]) >= 0x20 && c != '"' && c != '\\')
            plain++;
        put(out, text, plain);
        if (c == 0)
            break;
        if (c < 0x20)
            g_snprintf(escape, sizeof escape, "\\u%04x", c);
        else
            g_snprintf(escape, sizeof escape, "\\%c", c);
        put_string(out, escape);
        text += plain + 1;
    }
    put(out, "\"", 1);
}

/* Inside the document, and inside its arrays, everything has a line of its own. */
static gboolean
has_lines(const imig__json_out *out)
{
    return !out->one_line && (out->depth == 1 || (out->depth == 2 && out->close[1] == ']'));
}

static void
put_line(imig__json_out *out)
{
    put(out, "\n        ", 1 + 2 * out->depth);
}

/* What stands before a value. */
static void
put_key(imig__json_out *out, const char *key)
{
    gboolean *any = &out->any[out->depth - 1];

    if (*any)
        put(out, ",", 1);
    if (has_lines(out))
        put_line(out);
    else if (*any)
        put(out, " ", 1);
    *any = TRUE;
    if (key) {
        put_quoted(out, key);
        put(out, ": ", 2);
    }
}

static void
open_level(imig__json_out *out, char c)
{
    g_assert(out->depth < IMIG__JSON_DEPTH);
    put(out, &c, 1);
    out->close[out->depth] = c == '{' ? '}' : ']';
    out->any[out->depth] = FALSE;
    out->depth++;
}

void
imig__json_put_end(imig__json_out *out)
{
    gboolean lines = has_lines(out) && out->any[out->depth - 1];

    out->depth--;
    if (lines)
        put_line(out);
    put(out, &out->close[out->depth], 1);
}

void
imig__json_begin(imig__json_out *out, imig__json_sink *sink, void *data)
{
    out->sink = sink;
    out->data = data;
    out->used = 0;
    out->one_line = FALSE;
    out->depth = 0;
    open_level(out, '{');
}

void
imig__json_begin_line(imig__json_out *out, imig__json_sink *sink, void *data)
{
    imig__json_begin(out, sink, data);
    out->one_line = TRUE;
}

void
imig__json_end(imig__json_out *out)
{
    imig__json_put_end(out);
    put(out, "\n", 1);
    flush(out);
}

void
imig__json_put_object(imig__json_out *out, const char *key)
{
    put_key(out, key);
    open_level(out, '{');
}

void
imig__json_put_array(imig__json_out *out, const char *key)
{
    put_key(out, key);
    open_level(out, '[');
}

void
imig__json_put_text(imig__json_out *out, const char *key, const char *value)
{
    put_key(out, key);
    put_quoted(out, value);
}

void
imig__json_put_number(imig__json_out *out, const char *key, double value)
{
    char number[IMIG__NUMBER_LENGTH];

    g_assert(isfinite(value));
    put_key(out, key);
    put_string(out, imig__number(value, number));
}

void
imig__json_put_bool(imig__json_out *out, const char *key, gboolean value)
{
    put_key(out, key);
    put_string(out, value ? "true" : "false");
}

void
imig__json_to_string(void *data, const char *text, size_t length)
{
    g_string_append_len(data, text, (gssize) length);
}

void
imig__json_to_checksum(void *data, const char *text, size_t length)
{
    g_checksum_update(data, (const guchar *) text, (gssize) length);
}
