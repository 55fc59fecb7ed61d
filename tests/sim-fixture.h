/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SIM_FIXTURE_H
#define SIM_FIXTURE_H

/* A small cluster, written to a file and opened as sim:FILE; included by one test program each. */

#include "backend/connect-priv.h"
#include "backend/sim-priv.h"

#include <glib/gstdio.h>
#include <imig/connect.h>
#include <imig/model.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define METRIC(name) (UINT64_C(1) << IMIG_METRIC_##name)

static const double MIB = 1048576.0;
static const double NET = 1.25e8; /* of each host of a lab, as long as a test says nothing else */

/* What the simulator assumes or takes from measurements; see doc/paper-map.md. */
static const double PAYLOAD = 0.94;
static const double LINK = 0.94 * 1.25e8;     /* what a migration gets of an idle network */
static const double PAGE = 1 + 8 / 4096.0;    /* sent for a byte of memory */
static const double QEMU_SETUP_S = 0.4, QEMU_DOWN_S = 0.04, QEMU_STATE = 2e6, QEMU_QUEUE = 1.8e6,
                    QEMU_LOOK_S = 0.05;
static const double XEN_SETUP_S = 0.4, XEN_ROUND_S = 0.02, XEN_DOWN_S = 0.05;
static const double XEN_STREAM = 8.36e6, XEN_SUSPEND = 250 * 4096.0;

typedef struct lab {
    imig_cluster *cluster;
    char *file;
    imig_connection *connection;
    imig_error *error; /* of the last call that failed */
} lab;

static lab
lab_new(void)
{
    return (lab) { .cluster = imig_cluster_new(1000) };
}

/* 8 cores, 64 GiB, 1 Gbit/s. */
static imig_host_info
plain_host(const char *id, const char *hypervisor)
{
    imig_host_info host = IMIG_HOST_INFO_INIT;

    host.id = id;
    host.hypervisor = hypervisor;
    host.cpu_cores = 8;
    host.memory_bytes = 65536 * MIB;
    host.net_bytes_per_s = NET;
    host.present = IMIG_HOST_HAS_NET;
    return host;
}

/* 1 GiB and 2 vCPUs that do nothing. */
static imig_vm_info
idle_vm(const char *id, uint32_t host)
{
    imig_vm_info vm = IMIG_VM_INFO_INIT;

    vm.id = id;
    vm.host = host;
    vm.vcpus = 2;
    vm.memory_bytes = 1024 * MIB;
    vm.present = METRIC(CPU_CORES) | METRIC(DIRTY_BYTES_PER_S);
    return vm;
}

static inline void
add_host(lab *l, imig_host_info host)
{
    assert_int_equal(imig_cluster_add_host(l->cluster, &host, NULL), IMIG_OK);
}

static inline void
add_vm(lab *l, imig_vm_info vm)
{
    assert_int_equal(imig_cluster_add_vm(l->cluster, &vm, NULL), IMIG_OK);
}

static inline void
write_cluster(lab *l)
{
    char *text;
    size_t length;
    int fd;

    assert_int_equal(imig_cluster_finish(l->cluster, NULL), IMIG_OK);
    assert_int_equal(imig_cluster_to_json(l->cluster, &text, &length, NULL), IMIG_OK);
    fd = g_file_open_tmp("imig-test-XXXXXX", &l->file, NULL);
    assert_true(fd >= 0);
    assert_true(g_close(fd, NULL));
    assert_true(g_file_set_contents(l->file, text, (gssize) length, NULL));
    imig_free(text);
}

static inline int
connect_file(const char *file, const char *query, imig_connection **connection, imig_error **error)
{
    imig_context *context = imig_context_new();
    char *uri = g_strconcat("sim:", file, query, NULL);
    const char *uris[] = { uri };
    int code = imig_connect(context, uris, 1, connection, error);

    g_free(uri);
    imig_context_unref(context);
    return code;
}

static inline void
lab_open(lab *l, const char *query)
{
    write_cluster(l);
    if (connect_file(l->file, query, &l->connection, &l->error) != IMIG_OK)
        fail_msg("%s", imig_error_message(l->error));
}

static inline void
lab_close(lab *l)
{
    imig_connection_unref(l->connection);
    imig_error_free(l->error);
    imig_cluster_unref(l->cluster);
    assert_int_equal(g_remove(l->file), 0);
    g_free(l->file);
}

static inline imig__sim *
sim_of(const lab *l)
{
    return l->connection->members[0].state;
}

static inline void
run_for(lab *l, double for_s)
{
    double until_s = imig_connection_clock(l->connection) + for_s;

    while (imig_connection_clock(l->connection) < until_s)
        assert_int_equal(imig_connection_wait(l->connection, until_s, NULL), IMIG_OK);
}

static inline uint64_t
begin(lab *l, imig_migration m)
{
    uint64_t job;

    if (imig_connection_migrate(l->connection, &m, &job, &l->error) != IMIG_OK)
        fail_msg("%s", imig_error_message(l->error));
    return job;
}

static inline imig_migration
move(const char *vm, const char *to)
{
    imig_migration m = IMIG_MIGRATION_INIT;

    m.vm = vm;
    m.to = to;
    return m;
}

/* Waits for the job's end and gives its outcome. */
static inline imig_job
end(lab *l, uint64_t number)
{
    imig_job job = { .size = sizeof job };

    for (;;) {
        assert_int_equal(imig_connection_poll(l->connection, number, &job, NULL), IMIG_OK);
        if (job.state >= IMIG_JOB_DONE)
            break;
        assert_int_equal(imig_connection_wait(l->connection, job.ended_s + 1e6, NULL), IMIG_OK);
    }
    assert_int_equal(imig_connection_result(l->connection, number, &job, NULL), IMIG_OK);
    return job;
}

static inline imig_job
run(lab *l, imig_migration m)
{
    return end(l, begin(l, m));
}

static inline double
duration_s(const imig_job *job)
{
    return job->ended_s - job->started_s;
}

static inline imig_vm_counters
counters_of(lab *l, const char *vm)
{
    imig_vm_counters found;
    imig_sample *sample;

    assert_int_equal(imig__connection_sample(l->connection, &sample, NULL), IMIG_OK);
    found = sample->counters[imig__sim_find_vm(sim_of(l), vm)];
    imig__sample_free(sample);
    return found;
}

static inline const char *
host_of(lab *l, const char *vm)
{
    static imig_location location;

    location.size = sizeof location;
    assert_int_equal(imig_connection_locate(l->connection, vm, &location, NULL), IMIG_OK);
    return location.host;
}

/* Two hosts of this kind and one VM. */
static inline lab
lab_with(const char *hypervisor, imig_vm_info vm)
{
    lab l = lab_new();

    add_host(&l, plain_host("a", hypervisor));
    add_host(&l, plain_host("b", hypervisor));
    add_vm(&l, vm);
    return l;
}

static inline imig_vm_info
dirtying_vm(double dirty_bytes_per_s, double working_set_bytes)
{
    imig_vm_info vm = idle_vm("v", 0);

    vm.cpu_cores = 1;
    vm.dirty_bytes_per_s = dirty_bytes_per_s;
    vm.working_set_bytes = working_set_bytes;
    vm.present |= METRIC(WORKING_SET_BYTES);
    return vm;
}

static inline void
assert_near(double got, double want, double ratio, const char *what)
{
    if (!(fabs(got - want) <= ratio * fabs(want) + 1e-9))
        fail_msg("%s: got %.9g, want %.9g", what, got, want);
}

#endif
