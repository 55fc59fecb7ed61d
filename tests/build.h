/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TESTS_BUILD_H
#define TESTS_BUILD_H

/* A few lines to write a small cluster down in a test. */

#include <imig/imig.h>
#include <string.h>

#define GIB 1073741824.0
#define METRIC(m) (UINT64_C(1) << (m))

static inline void
add_host(imig_cluster *cluster, const char *id, double cores, double memory_gib)
{
    imig_host_info host = IMIG_HOST_INFO_INIT;

    host.id = id;
    host.cpu_cores = cores;
    host.memory_bytes = memory_gib * GIB;
    host.net_bytes_per_s = 1.25e8;
    host.disk_ops_per_s = 2000;
    host.present = IMIG_HOST_HAS_NET | IMIG_HOST_HAS_DISK_OPS;
    assert_int_equal(imig_cluster_add_host(cluster, &host, NULL), IMIG_OK);
}

/* A VM of a class, with cores in demand. */
static inline imig_vm_info
a_vm(const char *id, uint32_t host, double cores, double memory_gib, int32_t class)
{
    imig_vm_info vm = IMIG_VM_INFO_INIT;

    vm.id = id;
    vm.host = host;
    vm.vcpus = 8;
    vm.memory_bytes = memory_gib * GIB;
    vm.cpu_cores = cores;
    vm.workload_class = class;
    vm.present = METRIC(IMIG_METRIC_CPU_CORES);
    return vm;
}

static inline void
put_vm(imig_cluster *cluster, const imig_vm_info *vm)
{
    assert_int_equal(imig_cluster_add_vm(cluster, vm, NULL), IMIG_OK);
}

static inline void
add_vm(imig_cluster *cluster, const char *id, uint32_t host, double cores, double memory_gib,
       int32_t class)
{
    imig_vm_info vm = a_vm(id, host, cores, memory_gib, class);

    put_vm(cluster, &vm);
}

static inline void
add_rule(imig_cluster *cluster, int32_t kind, int32_t hard, uint32_t a, uint32_t b)
{
    imig_rule_info rule = IMIG_RULE_INFO_INIT;
    uint32_t vms[] = { a, b };

    rule.kind = kind;
    rule.hard = hard;
    rule.vms = vms;
    rule.vm_count = 2;
    assert_int_equal(imig_cluster_add_rule(cluster, &rule, NULL), IMIG_OK);
}

static inline void
finish(imig_cluster *cluster)
{
    imig_error *error = NULL;

    if (imig_cluster_finish(cluster, &error) != IMIG_OK)
        fail_msg("%s", imig_error_message(error));
}

#endif
