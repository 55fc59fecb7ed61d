/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/xen-host-priv.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const double LONGEST_S = 1e9; /* to wait at once: a deadline may be as good as never */

static int
xe_probe(const char *uri)
{
    return g_str_has_prefix(uri, "xenctl:");
}

static char *
name_of_host(void)
{
    char name[256] = "";

    if (gethostname(name, sizeof name - 1) != 0 || !*name)
        return g_strdup("xen");
    return g_strdup(name);
}

static void
xe_close(void *state)
{
    xe_host *host = state;

    if (!host)
        return;
    xe_jobs_end(host);
    xe_dirty_end(host);
    xe_handle_close(&host->handle);
    xe_places_clear(&host->places);
    xe_bell_unref(host->bell);
    g_hash_table_unref(host->jobs);
    g_hash_table_unref(host->loggers);
    g_free(host->name);
    g_free(host);
}

static int
learn(xe_host *host, imig_error **error)
{
    xc_physinfo_t physical = { 0 };

    if (xc_physinfo(host->handle.xc, &physical) != 0)
        return xe_fail_errno(error, errno, "asking about the host");
    host->limits.shadow = (physical.capabilities & XEN_SYSCTL_PHYSCAP_shadow) != 0;
    return IMIG_OK;
}

static int
xe_open(const char *uri, void **ret_state, imig_error **error)
{
    static gint64 epoch_us;
    xe_places places;
    xe_handle handle;
    xe_host *host;
    int code = xe_uri_parse(uri, &places, error);

    if (code != IMIG_OK)
        return code;
    code = xe_handle_open(&handle, error);
    if (code != IMIG_OK) {
        xe_places_clear(&places);
        return code;
    }
    /* One for all: a time on one connection's clock is the same on another's. */
    if (g_once_init_enter(&epoch_us))
        g_once_init_leave(&epoch_us, g_get_real_time() - g_get_monotonic_time());
    host = g_new(xe_host, 1);
    *host = (xe_host) {
        .handle = handle, .places = places, .name = name_of_host(), .bell = xe_bell_new(),
        .epoch_s = (double) epoch_us / G_USEC_PER_SEC,
        .jobs = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
                                      (GDestroyNotify) xe_job_unref),
        .loggers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, xe_dirty_free),
    };
    *ret_state = host;
    code = learn(host, error);
    if (code == IMIG_OK)
        xe_switch_tidy(&host->handle, &host->places);
    return code;
}

double
xe_clock(void *state)
{
    return ((xe_host *) state)->epoch_s + (double) g_get_monotonic_time() / G_USEC_PER_SEC;
}

static int
xe_wait(void *state, double deadline_s, imig_error **error)
{
    xe_host *host = state;
    xe_bell *bell = host->bell;
    double left_s = CLAMP(deadline_s - xe_clock(host), 0, LONGEST_S);
    gint64 until_us = g_get_monotonic_time() + (gint64) (left_s * G_USEC_PER_SEC);

    (void) error;
    g_mutex_lock(&bell->lock);
    while (bell->rings == host->rings_seen
           && g_cond_wait_until(&bell->rung, &bell->lock, until_us))
        ;
    host->rings_seen = bell->rings;
    g_mutex_unlock(&bell->lock);
    return IMIG_OK;
}

/* One that has been handed over stands still here, and counts only where nobody else runs it. */
static int32_t
state_of(xe_host *host, const xe_domain *domain)
{
    GArray *savers;
    gboolean moves;

    if (xe_domain_is_away(domain))
        return IMIG_VM_PAUSED;
    savers = xe_savers_read(host->places.proc);
    moves = xe_job_runs(host, domain->uuid)
            || xe_savers_find(savers, domain->info.domain, domain->name, domain->uuid);
    g_array_unref(savers);
    if (moves)
        return IMIG_VM_MOVING;
    if (xe_domain_is_suspended(domain) || domain->info.flags & XEN_DOMINF_paused)
        return IMIG_VM_PAUSED;
    return xe_domain_is_shutdown(domain) ? IMIG_VM_STOPPED : IMIG_VM_RUNNING;
}

static int
xe_locate(void *state, const char *vm, imig_location *into, imig_error **error)
{
    xe_host *host = state;
    xe_domain domain;
    gboolean found;
    int code;

    into->state = IMIG_VM_ABSENT;
    if (!g_uuid_string_is_valid(vm))
        return IMIG_OK;
    code = xe_domain_find(&host->handle, vm, &domain, &found, error);
    if (code != IMIG_OK || !found)
        return code;
    into->state = state_of(host, &domain);
    g_strlcpy(into->host, host->name, sizeof into->host);
    xe_domain_clear(&domain);
    return IMIG_OK;
}

/* What this end alone can tell; the other one refuses by itself, and the VM stays. */
static int
xe_check(void *state, const char *vm, const char *to, imig_error **error)
{
    xe_host *host = state;
    const char *reason;
    xe_domain domain;
    gboolean found;
    int code = xe_domain_find(&host->handle, vm, &domain, &found, error);

    (void) to;
    if (code == IMIG_OK && !found)
        code = xe_fail(error, IMIG_ERR_NOT_FOUND, "no VM \"%s\"", vm);
    if (code != IMIG_OK)
        return code;
    reason = xe_domain_blocked(&host->handle, &host->limits, &domain);
    if (reason)
        code = xe_fail(error, IMIG_ERR_UNSUPPORTED, "VM %s cannot be moved: %s", vm, reason);
    xe_domain_clear(&domain);
    return code;
}

static const imig_backend_ops ops = {
    .size = sizeof ops,
    .name = "xenctl",
    .probe = xe_probe,
    .open = xe_open,
    .close = xe_close,
    .clock = xe_clock,
    .sample = xe_sample,
    .locate = xe_locate,
    .wait = xe_wait,
    .check = xe_check,
    .dirty_start = xe_dirty_start,
    .dirty_read = xe_dirty_read,
    .dirty_stop = xe_dirty_stop,
    .migrate = xe_migrate,
    .poll = xe_poll,
    .cancel = xe_cancel,
    .result = xe_result,
};

IMIG_EXPORT int
imig_backend_entry(const imig_module_api *api, const imig_backend_ops **ret_ops,
                   imig_error **error);

int
imig_backend_entry(const imig_module_api *api, const imig_backend_ops **ret_ops,
                   imig_error **error)
{
    (void) error;
    xe_api = api;
    *ret_ops = &ops;
    return IMIG_OK;
}
