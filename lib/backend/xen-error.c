/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/xen-priv.h"

#include <stdarg.h>

const imig_module_api *xe_api;

/* An error is the library's, and a module does not look into it. */
static _Thread_local char last[256];

const char *
xe_last_failure(void)
{
    return last;
}

static char *
one_line(const char *format, va_list args)
{
    char *line = g_strdup_vprintf(format, args);

    return g_strdelimit(line, "\r\n", ' ');
}

int
xe_fail(imig_error **error, int code, const char *format, ...)
{
    va_list args;
    char *message;

    va_start(args, format);
    message = one_line(format, args);
    va_end(args);
    g_strlcpy(last, message, sizeof last);
    xe_api->error_set(error, code, 0, message);
    g_free(message);
    return code;
}

int
xe_fail_errno(imig_error **error, int number, const char *format, ...)
{
    va_list args;
    char *what, *message;

    va_start(args, format);
    what = one_line(format, args);
    va_end(args);
    message = g_strdup_printf("%s: %s", what, g_strerror(number));
    g_strlcpy(last, message, sizeof last);
    xe_api->error_set(error, IMIG_ERR_BACKEND, number, message);
    g_free(message);
    g_free(what);
    return IMIG_ERR_BACKEND;
}

void
xe_log(int32_t level, const char *format, ...)
{
    va_list args;
    char *line;

    va_start(args, format);
    line = one_line(format, args);
    va_end(args);
    xe_api->log(xe_api->log_data, level, line);
    g_free(line);
}
