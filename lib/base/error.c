/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/base-priv.h"

#include <math.h>
#include <string.h>

struct imig_error {
    int64_t backend_code;
    int code;
    char *message;
};

static const char *const names[] = {
    "ok",          "argument", "abi",     "syntax",    "invalid", "not-found", "unsupported",
    "backend",     "timeout",  "cancelled", "busy",    "stale",   "io",
};

static gboolean
is_failure(int code)
{
    return code < 0 && code > -(int) G_N_ELEMENTS(names);
}

/* One line: a message may quote input, and input may hold anything. */
static char *
one_line(char *text)
{
    char *valid = g_utf8_make_valid(text, -1);

    g_free(text);
    for (unsigned char *c = (unsigned char *) valid; *c; c++)
        if (*c < 0x20 || *c == 0x7f)
            *c = ' ';
    return valid;
}

static int
set_error(imig_error **error, int code, int64_t backend_code, char *message)
{
    if (!error || *error) {
        g_free(message);
        return code;
    }
    *error = g_new(imig_error, 1);
    **error = (imig_error) {
        .backend_code = backend_code, .code = code, .message = one_line(message),
    };
    return code;
}

int
imig__fail(imig_error **error, int code, const char *format, ...)
{
    va_list args;

    g_assert(is_failure(code));
    if (!error || *error)
        return code;
    va_start(args, format);
    set_error(error, code, 0, g_strdup_vprintf(format, args));
    va_end(args);
    return code;
}

char *
imig__there_are(const char *rule, const char *(*name)(uint32_t index))
{
    GString *text = g_string_new(rule);

    for (uint32_t i = 0; name(i); i++)
        g_string_append_printf(text, "%s%s", i == 0 ? "; there are " : ", ", name(i));
    return g_string_free(text, FALSE);
}

int
imig__fail_name(imig_error **error, int code, const char *what, const char *given,
                const char *(*name)(uint32_t index))
{
    char quoted[IMIG__QUOTE_LENGTH];
    char *rule = g_strdup_printf("%s %s", what, imig__quote(given, quoted));
    char *text = imig__there_are(rule, name);

    imig__fail(error, code, "%s", text);
    g_free(rule);
    g_free(text);
    return code;
}

void
imig__error_reword(imig_error *error, char *message)
{
    g_free(error->message);
    error->message = one_line(message);
}

void
imig__error_prefix(imig_error **error, const char *format, ...)
{
    va_list args;
    char *prefix, *message;

    if (!error || !*error)
        return;
    va_start(args, format);
    prefix = g_strdup_vprintf(format, args);
    va_end(args);
    message = g_strdup_printf("%s: %s", prefix, (*error)->message);
    g_free(prefix);
    imig__error_reword(*error, message);
}

int
imig_error_set(imig_error **error, int code, int64_t backend_code, const char *message)
{
    if (!is_failure(code) || !message)
        return set_error(error, IMIG_ERR_ARGUMENT, 0,
                         g_strdup("imig_error_set: not the code of a failure, or no message"));
    return set_error(error, code, backend_code, g_strdup(message));
}

int
imig_error_code(const imig_error *error)
{
    return error ? error->code : IMIG_OK;
}

const char *
imig_error_message(const imig_error *error)
{
    return error ? error->message : "no error";
}

int64_t
imig_error_backend_code(const imig_error *error)
{
    return error ? error->backend_code : 0;
}

void
imig_error_free(imig_error *error)
{
    if (!error)
        return;
    g_free(error->message);
    g_free(error);
}

const char *
imig_errcode_name(int code)
{
    return code == IMIG_OK || is_failure(code) ? names[-code] : "unknown";
}
