/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/libvirt-priv.h"

#include <string.h>

const imig_module_api *lv_api;

static const double LONGEST_S = 86400; /* one wait; longer ones are made of several */

/* Every open URI, so that check() can ask the other end. */
static GMutex hosts_lock;
static GPtrArray *hosts;

void
lv_host_unref(lv_host *host)
{
    if (!g_atomic_int_dec_and_test(&host->refs))
        return;
    lv_session_unref(host->session);
    lv_bell_unref(host->bell);
    g_hash_table_unref(host->jobs);
    g_hash_table_unref(host->loggers);
    g_mutex_clear(&host->lock);
    g_free(host->uri);
    g_free(host->name);
    g_free(host);
}

/* All that no other backend takes; "test:///default" is libvirt's own mock. */
static int
lv_probe(const char *uri)
{
    return strstr(uri, "://") != NULL;
}

static int
nothing(lv_call *call)
{
    (void) call;
    return IMIG_OK;
}

/* Connects where that is possible; where it is not now, later calls try again. */
static int
lv_open(const char *uri, void **ret_state, imig_error **error)
{
    lv_host *host = g_new0(lv_host, 1);
    lv_call *call = lv_call_new(sizeof *call, nothing, NULL);
    int code;

    static gsize known;
    static gint64 epoch_us;

    lv_loop_start();
    /* One for all: a time on one host's clock is the same on another's. */
    if (g_once_init_enter(&known)) {
        epoch_us = g_get_real_time() - g_get_monotonic_time();
        g_once_init_leave(&known, 1);
    }
    *host = (lv_host) {
        .refs = 1, .uri = g_strdup(uri), .bell = lv_bell_new(),
        .epoch_s = (double) epoch_us / G_USEC_PER_SEC,
        .jobs = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
                                      (GDestroyNotify) lv_job_unref),
        .loggers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, lv_dirty_free),
    };
    g_mutex_init(&host->lock);
    g_mutex_lock(&hosts_lock);
    g_ptr_array_add(hosts, host);
    g_mutex_unlock(&hosts_lock);
    *ret_state = host;
    code = lv_call_make(host, call, error);
    lv_call_unref(call);
    return code;
}

static void
lv_close(void *state)
{
    lv_host *host = state;

    if (!host)
        return;
    lv_jobs_end(host);
    g_hash_table_remove_all(host->loggers);
    g_mutex_lock(&hosts_lock);
    g_ptr_array_remove_fast(hosts, host);
    g_mutex_unlock(&hosts_lock);
    lv_host_unref(host);
}

double
lv_clock(void *state)
{
    return ((lv_host *) state)->epoch_s + (double) g_get_monotonic_time() / G_USEC_PER_SEC;
}

static int
lv_wait(void *state, double deadline_s, imig_error **error)
{
    lv_host *host = state;
    lv_bell *bell = host->bell;
    double left_s = CLAMP(deadline_s - lv_clock(host), 0, LONGEST_S);
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

/* ---- where is it? ---- */

typedef struct locating {
    lv_call call;
    char *vm;
    int32_t state;
} locating;

static void
locating_clear(lv_call *call)
{
    g_free(((locating *) call)->vm);
}

static int32_t
state_of(virDomainPtr domain, int state)
{
    switch (state) {
    case VIR_DOMAIN_RUNNING:
    case VIR_DOMAIN_BLOCKED:
        return lv_operation(domain) == VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT ? IMIG_VM_MOVING
                                                                              : IMIG_VM_RUNNING;
    case VIR_DOMAIN_SHUTDOWN: /* still at it */
        return IMIG_VM_RUNNING;
    case VIR_DOMAIN_PAUSED:
    case VIR_DOMAIN_PMSUSPENDED:
        return IMIG_VM_PAUSED;
    default:
        return IMIG_VM_STOPPED;
    }
}

static int
locate_run(lv_call *call)
{
    locating *l = (locating *) call;
    virDomainPtr domain = virDomainLookupByUUIDString(call->session->connection, l->vm);
    int state = 0;

    l->state = IMIG_VM_ABSENT;
    if (!domain) {
        if (lv_failure_take(&call->failure, "looking for the VM") == IMIG_ERR_NOT_FOUND)
            call->failure = (lv_failure) { IMIG_OK };
        return call->failure.code;
    }
    if (virDomainGetState(domain, &state, NULL, 0) < 0)
        lv_failure_take(&call->failure, "asking for its state");
    else
        l->state = state_of(domain, state);
    virDomainFree(domain);
    return call->failure.code;
}

static int
lv_locate(void *state, const char *vm, imig_location *into, imig_error **error)
{
    lv_host *host = state;
    locating *l;
    int code;

    into->state = IMIG_VM_ABSENT;
    if (!g_uuid_string_is_valid(vm))
        return IMIG_OK;
    l = lv_call_new(sizeof *l, locate_run, locating_clear);
    l->vm = g_strdup(vm);
    code = lv_call_make(host, &l->call, error);
    if (code == IMIG_OK && l->state != IMIG_VM_ABSENT) {
        into->state = lv_job_runs(host, vm) ? IMIG_VM_MOVING : l->state;
        g_strlcpy(into->host, l->call.session->hostname, sizeof into->host);
    }
    lv_call_unref(&l->call);
    return code;
}

static const imig_backend_ops ops = {
    .size = sizeof ops,
    .name = "libvirt",
    .probe = lv_probe,
    .open = lv_open,
    .close = lv_close,
    .clock = lv_clock,
    .sample = lv_sample,
    .locate = lv_locate,
    .wait = lv_wait,
    .check = lv_check,
    .dirty_start = lv_dirty_start,
    .dirty_read = lv_dirty_read,
    .dirty_stop = lv_dirty_stop,
    .migrate = lv_migrate,
    .poll = lv_poll,
    .cancel = lv_cancel,
    .result = lv_result,
};

void
lv_host_rename(lv_host *host, const char *name)
{
    g_mutex_lock(&hosts_lock);
    if (g_strcmp0(host->name, name) != 0) {
        g_free(host->name);
        host->name = g_strdup(name);
    }
    g_mutex_unlock(&hosts_lock);
}

lv_host *
lv_host_find(const lv_host *besides, const char *name)
{
    lv_host *found = NULL;

    g_mutex_lock(&hosts_lock);
    for (guint i = 0; i < hosts->len && !found; i++) {
        lv_host *host = g_ptr_array_index(hosts, i);

        if (host != besides && g_strcmp0(host->name, name) == 0)
            found = host;
    }
    if (found)
        g_atomic_int_inc(&found->refs);
    g_mutex_unlock(&hosts_lock);
    return found;
}

IMIG_EXPORT int
imig_backend_entry(const imig_module_api *api, const imig_backend_ops **ret_ops,
                   imig_error **error);

int
imig_backend_entry(const imig_module_api *api, const imig_backend_ops **ret_ops,
                   imig_error **error)
{
    /* What the first context gave stays: threads of its connections use it at any time, and what is
       called in it is the same in all.  Log lines go to its hook, therefore. */
    g_mutex_lock(&hosts_lock);
    if (!hosts) {
        lv_api = api;
        hosts = g_ptr_array_new();
    }
    g_mutex_unlock(&hosts_lock);
    lv_keep_quiet(NULL);
    if (virInitialize() < 0) {
        lv_failure failure;

        lv_failure_take(&failure, "libvirt");
        return lv_failure_give(&failure, error);
    }
    *ret_ops = &ops;
    return IMIG_OK;
}
