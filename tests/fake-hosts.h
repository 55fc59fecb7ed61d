/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FAKE_HOSTS_H
#define FAKE_HOSTS_H

#include "backend/connect-priv.h"

#include <imig/connect.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

/*
 * A world of hypervisor hosts, one behind each URI "fake:NAME", as libvirt shows them: every host
 * knows its own VMs only, and during a migration the VM on both sides.  All share one real clock,
 * each with an offset of its own.
 */

enum { VMS = 4 };

typedef struct fake_vm {
    const char *id, *host;
    const char *to;   /* being migrated there */
    double until_s;
    double cpu_s;     /* counted on its host, besides 7 */
} fake_vm;

static struct world {
    double clock_s;
    fake_vm vms[VMS];
    int logging;      /* dirty_start less dirty_stop */
    int fail_read;    /* the n-th reading fails */
    double period_s;  /* dirty pages are estimated over such periods; 0: exactly, at any time */
    const double *estimates; /* at the end of each */
    double logging_s; /* the last one began then */
    int sampled;      /* samples of pages are looked at: 4 and 8 seconds long after 11 and 30 */
    int given;        /* the longest look that was read */
    imig_cancel *cancel; /* triggered once somebody waits until cancel_s; NULL: nobody is there */
    double cancel_s;
    const char *down; /* this host does not answer */
    const char *shut; /* this one cannot be opened, "*" none can */
    int down_code;    /* what both return, if not IMIG_ERR_BACKEND */
    int opened;       /* how often one was */
    double ahead_s;   /* clocks of hosts that are opened from now on */
    int strange_code; /* what locate returns, if not 0 */
    char asked[1024]; /* the last migration, as it arrived */
    uint64_t last_job;
} world;

typedef struct fake {
    char *host;
    double offset_s;
    int many; /* shows two hosts, as no libvirt would */
} fake;

static int
fake_probe(const char *uri)
{
    return g_str_has_prefix(uri, "fake:");
}

static int
is_down(const char *host, imig_error **error)
{
    return imig_error_set(error, world.down_code ? world.down_code : IMIG_ERR_BACKEND, 38,
                          strcmp(host, "A") == 0 ? "A is down" : "host is down");
}

static int
fake_open(const char *uri, void **ret_state, imig_error **error)
{
    fake *f = g_new0(fake, 1);

    f->host = g_strdup(uri + strlen("fake:"));
    *ret_state = f;
    if (world.shut && (*world.shut == '*' || strcmp(world.shut, f->host) == 0))
        return is_down(f->host, error);
    world.opened++;
    f->offset_s = (f->host[0] == 'B' ? 1000 : 0) + world.ahead_s;
    f->many = strcmp(f->host, "many") == 0;
    return IMIG_OK;
}

static void
fake_close(void *state)
{
    fake *f = state;

    g_free(f->host);
    g_free(f);
}

static double
fake_clock(void *state)
{
    return world.clock_s + ((fake *) state)->offset_s;
}

static fake_vm *
find(const char *id)
{
    for (int i = 0; i < VMS; i++)
        if (world.vms[i].id && strcmp(world.vms[i].id, id) == 0)
            return &world.vms[i];
    return NULL;
}

static int
add_vm(const fake *f, const fake_vm *v, imig_sample *into, imig_error **error)
{
    static const uint32_t here[] = { 0 };
    static const double bytes[] = { 1e9 };
    static const int32_t shared[] = { 1 };
    imig_vm_info vm = IMIG_VM_INFO_INIT;
    imig_vm_counters counters = IMIG_VM_COUNTERS_INIT;

    vm.id = v->id;
    vm.host = 0;
    vm.vcpus = 2;
    vm.memory_bytes = 1e9;
    vm.disk_bytes = bytes;
    vm.disk_shared = shared;
    vm.disk_count = 1;
    if (g_str_has_prefix(v->id, "pinned")) {
        vm.hosts = here;
        vm.host_count = 1;
    }
    counters.present = IMIG_COUNTER_HAS_CPU;
    counters.time_s = world.clock_s + f->offset_s;
    counters.cpu_s = strcmp(v->host, f->host) == 0 ? 7 + v->cpu_s : 0;
    return imig_sample_add_vm(into, &vm, &counters, error);
}

static int
fake_sample(void *state, imig_sample *into, imig_error **error)
{
    const fake *f = state;
    imig_host_info host = IMIG_HOST_INFO_INIT;
    uint32_t pair[2] = { 0, 1 }, count = 0;
    imig_rule_info rule = IMIG_RULE_INFO_INIT;
    int code;

    if (world.down && strcmp(world.down, f->host) == 0)
        return is_down(f->host, error);
    host.id = strncmp(f->host, "twin", 4) == 0 ? "twin" : f->host;
    host.cpu_cores = 8;
    host.memory_bytes = 16e9;
    code = imig_sample_add_host(into, &host, error);
    host.id = "second";
    if (code == IMIG_OK && f->many)
        code = imig_sample_add_host(into, &host, error);
    for (int i = 0; i < VMS && code == IMIG_OK; i++) {
        const fake_vm *v = &world.vms[i];

        if (v->id && (strcmp(v->host, f->host) == 0 || g_strcmp0(v->to, f->host) == 0)) {
            code = add_vm(f, v, into, error);
            count++;
        }
    }
    if (code == IMIG_OK && count == 2) {
        rule.vms = pair;
        rule.vm_count = 2;
        code = imig_sample_add_flow(into, 0, 1, 5000, error);
        if (code == IMIG_OK)
            code = imig_sample_add_rule(into, &rule, error);
    }
    return code;
}

static int
fake_locate(void *state, const char *vm, imig_location *into, imig_error **error)
{
    const fake *f = state;
    const fake_vm *v = find(vm);

    if (world.strange_code)
        return world.strange_code;
    if (world.down && strcmp(world.down, f->host) == 0)
        return is_down(f->host, error);
    if (!v)
        return IMIG_OK;
    if (strcmp(v->host, f->host) == 0)
        into->state = v->to ? IMIG_VM_MOVING : IMIG_VM_RUNNING;
    else if (g_strcmp0(v->to, f->host) == 0)
        into->state = IMIG_VM_PAUSED; /* waits for its pages */
    else
        return IMIG_OK;
    g_strlcpy(into->host, f->host, sizeof into->host);
    return IMIG_OK;
}

static int
fake_wait(void *state, double deadline_s, imig_error **error)
{
    fake *f = state;
    double until_s = deadline_s - f->offset_s;
    fake_vm *next = NULL;

    if (world.down && strcmp(world.down, f->host) == 0)
        return is_down(f->host, error);
    for (int i = 0; i < VMS; i++) { /* only its own jobs wake a connection */
        fake_vm *v = &world.vms[i];

        if (v->to && strcmp(v->host, f->host) == 0 && v->until_s <= until_s)
            next = v;
    }
    if (world.cancel && until_s >= world.cancel_s)
        imig_cancel_trigger(world.cancel);
    if (next) {
        world.clock_s = MAX(world.clock_s, next->until_s);
        next->host = next->to;
        next->to = NULL;
    } else {
        world.clock_s = MAX(world.clock_s, until_s);
    }
    return IMIG_OK;
}

static int
fake_check(void *state, const char *vm, const char *host, imig_error **error)
{
    (void) state;
    if (strcmp(host, "C") == 0)
        return imig_error_set(error, IMIG_ERR_UNSUPPORTED, 0, "another CPU");
    return find(vm) ? IMIG_OK : imig_error_set(error, IMIG_ERR_NOT_FOUND, 0, "no such VM");
}

static int
fake_migrate(void *state, const imig_migration *m, uint64_t *ret_job, imig_error **error)
{
    fake_vm *v = find(m->vm);

    (void) state;
    (void) error;
    g_snprintf(world.asked, sizeof world.asked, "%s %s %s %s %s", m->vm, m->from, m->to,
               m->to_uri ? m->to_uri : "-", m->migrate_uri ? m->migrate_uri : "-");
    for (const char *host = "A\0B\0C\0D\0"; *host; host += strlen(host) + 1)
        if (strcmp(m->to, host) == 0)
            v->to = host;
    v->until_s = world.clock_s + 2.5;
    world.last_job = (uint64_t) (v - world.vms) + 1; /* numbers of two hosts may coincide */
    *ret_job = world.last_job;
    return IMIG_OK;
}

static int
fake_poll(void *state, uint64_t job, imig_job *into, imig_error **error)
{
    const fake_vm *v = &world.vms[job - 1];

    (void) error;
    into->started_s = v->until_s - 2.5 + ((fake *) state)->offset_s;
    into->ended_s = v->until_s + ((fake *) state)->offset_s;
    into->state = v->to ? IMIG_JOB_RUNNING : IMIG_JOB_DONE;
    return IMIG_OK;
}

static int
fake_cancel(void *state, uint64_t job, imig_error **error)
{
    (void) state;
    (void) error;
    world.vms[job - 1].to = NULL;
    return IMIG_OK;
}

static int
fake_result(void *state, uint64_t job, imig_job *into, imig_error **error)
{
    if (world.vms[job - 1].to)
        return imig_error_set(error, IMIG_ERR_BUSY, 0, "it runs");
    return fake_poll(state, job, into, error);
}

static int
fake_dirty_start(void *state, const char *vm, imig_error **error)
{
    (void) state;
    if (strcmp(vm, "shy") == 0)
        return imig_error_set(error, IMIG_ERR_UNSUPPORTED, 95, "no dirty log");
    world.logging++;
    world.logging_s = world.clock_s;
    world.given = 0;
    return IMIG_OK;
}

/* Looks of 1, 2, 4 and 8 seconds, one after the other as they are read. */
static void
fake_sampled(imig_dirty_point *into)
{
    double logged_s = world.clock_s - world.logging_s;
    int longest = logged_s > 30 ? 8 : logged_s > 11 ? 4 : 2;

    world.given = world.given > 0 ? MIN(2 * world.given, longest) : 1;
    into->elapsed_s = world.given;
    into->dirtied_bytes = 100 * -expm1(-world.given / 4.0);
    into->grain_bytes = 1e-3;
    into->waiting = world.given < longest;
}

static int
fake_dirty_read(void *state, const char *vm, imig_dirty_point *into, imig_error **error)
{
    (void) state;
    (void) vm;
    if (world.fail_read > 0 && --world.fail_read == 0)
        return imig_error_set(error, IMIG_ERR_BACKEND, 0, "the log is gone");
    if (world.sampled) {
        fake_sampled(into);
        return IMIG_OK;
    }
    if (world.period_s > 0) {
        int finished = (int) ((world.clock_s - world.logging_s) / world.period_s + 1e-9);

        into->elapsed_s = finished * world.period_s;
        into->dirtied_bytes = world.estimates[finished];
        return IMIG_OK;
    }
    into->elapsed_s = world.clock_s;
    into->dirtied_bytes = 100 * world.clock_s;
    return IMIG_OK;
}

static int
fake_dirty_stop(void *state, const char *vm, imig_error **error)
{
    (void) state;
    (void) vm;
    (void) error;
    world.logging--;
    return IMIG_OK;
}

static const imig_backend_ops fake_ops = {
    .size = sizeof fake_ops, .name = "fake", .probe = fake_probe, .open = fake_open,
    .close = fake_close, .clock = fake_clock, .sample = fake_sample, .locate = fake_locate,
    .wait = fake_wait, .check = fake_check, .dirty_start = fake_dirty_start,
    .dirty_read = fake_dirty_read, .dirty_stop = fake_dirty_stop, .migrate = fake_migrate,
    .poll = fake_poll, .cancel = fake_cancel, .result = fake_result,
};

/* The same hosts behind a backend that can do nothing that is optional. */
static int
plain_probe(const char *uri)
{
    return g_str_has_prefix(uri, "plain:");
}

static int
plain_open(const char *uri, void **ret_state, imig_error **error)
{
    return fake_open(uri + 1, ret_state, error); /* "plain:" is one letter longer than "fake:" */
}

static const imig_backend_ops plain_ops = {
    .size = sizeof plain_ops, .name = "plain", .probe = plain_probe, .open = plain_open,
    .close = fake_close, .clock = fake_clock, .sample = fake_sample, .locate = fake_locate,
    .wait = fake_wait,
};

/* The world as it begins, and a context that knows of it. */
static inline imig_context *
begin_world(void)
{
    imig_context *context = imig_context_new();

    world = (struct world) {
        .clock_s = 0,
        .vms = { { "v1", "A", NULL, 0, 0 }, { "pinned2", "B", NULL, 0, 0 },
                 { "v3", "B", NULL, 0, 0 }, { "shy", "C", NULL, 0, 0 } },
    };
    assert_int_equal(imig_context_register_backend(context, &fake_ops, NULL), IMIG_OK);
    assert_int_equal(imig_context_register_backend(context, &plain_ops, NULL), IMIG_OK);
    return context;
}

static inline int
connect_to(const char *const *uris, size_t n, imig_connection **connection, imig_error **error)
{
    imig_context *context = begin_world();
    int code = imig_connect(context, uris, n, connection, error);
    imig_context_unref(context);
    return code;
}

static const char *const abc[] = { "fake:A", "fake:B,migrate=tcp://10.0.0.2", "fake:C" };

static inline imig_connection *
connect_abc(void)
{
    imig_connection *connection;
    imig_error *error = NULL;

    assert_int_equal(connect_to(abc, 3, &connection, &error), IMIG_OK);
    assert_null(error);
    return connection;
}

#endif
