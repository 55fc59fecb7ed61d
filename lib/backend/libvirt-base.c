/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/libvirt-priv.h"

#include <signal.h>
#include <stdarg.h>

/* What is no plain "the hypervisor said no". */
static const struct {
    int backend_code, code;
} codes[] = {
    { VIR_ERR_NO_DOMAIN,              IMIG_ERR_NOT_FOUND },
    { VIR_ERR_NO_SUPPORT,             IMIG_ERR_UNSUPPORTED },
    { VIR_ERR_CONFIG_UNSUPPORTED,     IMIG_ERR_UNSUPPORTED },
    { VIR_ERR_OPERATION_UNSUPPORTED,  IMIG_ERR_UNSUPPORTED },
    { VIR_ERR_ARGUMENT_UNSUPPORTED,   IMIG_ERR_UNSUPPORTED },
    { VIR_ERR_MIGRATE_UNSAFE,         IMIG_ERR_UNSUPPORTED },
    { VIR_ERR_CPU_INCOMPATIBLE,       IMIG_ERR_UNSUPPORTED },
    { VIR_ERR_OPERATION_TIMEOUT,      IMIG_ERR_TIMEOUT },
    { VIR_ERR_OPERATION_ABORTED,      IMIG_ERR_CANCELLED },
    { VIR_ERR_RESOURCE_BUSY,          IMIG_ERR_BUSY },
};

static int
code_of(int backend_code)
{
    for (size_t i = 0; i < G_N_ELEMENTS(codes); i++)
        if (codes[i].backend_code == backend_code)
            return codes[i].code;
    return IMIG_ERR_BACKEND;
}

/* Failures of the way to the daemon, not answers of it. */
static gboolean
is_lost(const virError *e)
{
    return e->domain == VIR_FROM_RPC || e->domain == VIR_FROM_REMOTE || e->domain == VIR_FROM_SSH
           || e->code == VIR_ERR_NO_CONNECT
           || e->code == VIR_ERR_INVALID_CONN
           || (e->code == VIR_ERR_INTERNAL_ERROR && e->message
               && g_str_has_prefix(e->message, "client socket is closed"));
}

int
lv_failure_take(lv_failure *failure, const char *what)
{
    const virError *e = virGetLastError();

    if (!e)
        return lv_failure_set(failure, IMIG_ERR_BACKEND, "%s failed without a reason", what);
    lv_failure_set(failure, code_of(e->code), "%s: %s (libvirt error %d)", what,
                   e->message ? e->message : "no reason given", e->code);
    failure->backend_code = e->code;
    failure->lost = is_lost(e);
    return failure->code;
}

int
lv_failure_set(lv_failure *failure, int code, const char *format, ...)
{
    va_list args;

    *failure = (lv_failure) { .code = code };
    va_start(args, format);
    g_vsnprintf(failure->message, sizeof failure->message, format, args);
    va_end(args);
    g_strdelimit(failure->message, "\r\n", ' ');
    return code;
}

int
lv_failure_give(const lv_failure *failure, imig_error **error)
{
    return lv_api->error_set(error, failure->code, failure->backend_code, failure->message);
}

int
lv_fail(imig_error **error, int code, const char *format, ...)
{
    va_list args;
    char *message;

    va_start(args, format);
    message = g_strdup_vprintf(format, args);
    va_end(args);
    lv_api->error_set(error, code, 0, message);
    g_free(message);
    return code;
}

void
lv_log(int32_t level, const char *format, ...)
{
    va_list args;
    char *line;

    va_start(args, format);
    line = g_strdup_vprintf(format, args);
    va_end(args);
    g_strdelimit(line, "\r\n", ' ');
    lv_api->log(lv_api->log_data, level, line);
    g_free(line);
}

static void
ignore(void *user_data, virErrorPtr error)
{
    (void) user_data;
    (void) error;
}

void
lv_keep_quiet(virConnectPtr connection)
{
    if (connection)
        virConnSetErrorFunc(connection, NULL, ignore);
    else if (lv_api->process & IMIG_PROCESS_QUIET)
        virSetErrorFunc(NULL, ignore);
}

gboolean
lv_thread(const char *name, GThreadFunc run, void *data)
{
    sigset_t all, before;
    GThread *thread;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before); /* what a thread begins with is what its maker has */
    thread = g_thread_try_new(name, run, data, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (thread)
        g_thread_unref(thread);
    return thread != NULL;
}
