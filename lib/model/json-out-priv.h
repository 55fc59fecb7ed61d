/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_JSON_OUT_PRIV_H
#define IMIG_JSON_OUT_PRIV_H

/*
 * Writing a document, always in the same way: members of the document on lines of their own, so are
 * the elements of its arrays, and whatever is further down stays on that line.  One host or VM is
 * one line, for diff and grep.  Or, where documents follow each other, the whole of it is one line.
 */

#include "base/base-priv.h"

enum { IMIG__JSON_DEPTH = 8 };

typedef void imig__json_sink(void *data, const char *text, size_t length);

typedef struct imig__json_out {
    imig__json_sink *sink;
    void *data;
    char buffer[8192];
    size_t used;
    gboolean one_line;
    unsigned depth;
    char close[IMIG__JSON_DEPTH]; /* what ends each level */
    gboolean any[IMIG__JSON_DEPTH]; /* is there something in it yet? */
} imig__json_out;

/* The document's braces. */
void imig__json_begin(imig__json_out *out, imig__json_sink *sink, void *data);
void imig__json_begin_line(imig__json_out *out, imig__json_sink *sink, void *data);
void imig__json_end(imig__json_out *out);

/* key: NULL for an element of an array. */
void imig__json_put_object(imig__json_out *out, const char *key);
void imig__json_put_array(imig__json_out *out, const char *key);
void imig__json_put_end(imig__json_out *out);
void imig__json_put_text(imig__json_out *out, const char *key, const char *value);
void imig__json_put_number(imig__json_out *out, const char *key, double value);
void imig__json_put_bool(imig__json_out *out, const char *key, gboolean value);

/* Sinks: data is a GString, or a GChecksum. */
imig__json_sink imig__json_to_string, imig__json_to_checksum;

#endif
