/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/cluster-priv.h"

#include <math.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include "small-cluster.h"

/* ---- what one host, VM, flow or rule may not be ---- */

#define BAD_HOST(field, value) \
    static void bad_host_##field(imig_host_info *h) { h->field = value; }
#define BAD_VM(field, value) \
    static void bad_vm_##field(imig_vm_info *v) { v->field = value; }

static const char *const twice[] = { "rack", "r1", "rack", "r2" };
static const uint32_t hosts_0_7[] = { 0, 7 }, hosts_1_1[] = { 1, 1 };
static const double one_disk[] = { -1 }, negative_noise[] = { 0, -0.5 };
static const int32_t shared_2[] = { 2 };

BAD_HOST(id, NULL)
BAD_HOST(name, "a\nb")
BAD_HOST(pool, "")
BAD_HOST(hypervisor, "\xff")
BAD_HOST(cpu_cores, 0)
BAD_HOST(memory_bytes, NAN)
BAD_HOST(state, 3)
static void bad_host_taken(imig_host_info *h) { h->id = "h2"; }
static void bad_host_twice(imig_host_info *h) { h->labels = twice; h->label_count = 2; }
static void
bad_host_overcommit(imig_host_info *h)
{
    h->present = IMIG_HOST_HAS_MEMORY_OVERCOMMIT;
    h->memory_overcommit_ratio = INFINITY;
}
static void
bad_host_reserved(imig_host_info *h)
{
    h->present = IMIG_HOST_HAS_RESERVED_MEMORY;
    h->reserved_memory_bytes = -1;
}
static void
bad_host_net(imig_host_info *h)
{
    h->present = IMIG_HOST_HAS_NET;
    h->net_bytes_per_s = 0;
}

static const struct host_case {
    const char *name;
    void (*spoil)(imig_host_info *);
    const char *message;
} host_cases[] = {
    { "a host has an id", bad_host_id, "hosts[3].id: missing" },
    { "ids are unique", bad_host_taken, "hosts[3].id: \"h2\": is taken already" },
    { "one line", bad_host_name, "hosts[3].name: \"a b\": must not hold control characters" },
    { "not empty", bad_host_pool, "hosts[3].pool: \"\": must not be empty" },
    { "UTF-8", bad_host_hypervisor, "hosts[3].hypervisor: \"?\": must be UTF-8" },
    { "cores", bad_host_cpu_cores, "hosts[3].cpu_cores: 0: must be from 1e-06 to 1e+18" },
    { "memory", bad_host_memory_bytes, "hosts[3].memory_bytes: nan: must be from 1e-06 to 1e+18" },
    { "overcommit", bad_host_overcommit,
      "hosts[3].memory_overcommit_ratio: inf: must be from 1e-06 to 1e+18" },
    { "reserved", bad_host_reserved,
      "hosts[3].reserved_memory_bytes: -1: must be from 0 to 1e+18" },
    { "a capacity of nothing is absent", bad_host_net,
      "hosts[3].net_bytes_per_s: 0: must be from 1e-06 to 1e+18" },
    { "states", bad_host_state, "hosts[3].state: 3: no such state" },
    { "labels once", bad_host_twice, "hosts[3].labels: \"rack\": must not come twice" },
};

static void
host_is_refused(void **state)
{
    const struct host_case *c = *state;
    imig_cluster *cluster = small_cluster();
    imig_host_info host = IMIG_HOST_INFO_INIT;
    imig_error *error = NULL;

    host.id = "h9";
    host.cpu_cores = 8;
    host.memory_bytes = GIB;
    c->spoil(&host);
    assert_int_equal(imig_cluster_add_host(cluster, &host, &error), IMIG_ERR_INVALID);
    assert_string_equal(imig_error_message(error), c->message);
    assert_int_equal(imig_cluster_host_count(cluster), 3);
    assert_int_equal(imig_cluster_find_host(cluster, "h9"), IMIG_NO_INDEX);
    imig_error_free(error);
    imig_cluster_unref(cluster);
}

BAD_VM(host, 3)
BAD_VM(vcpus, 0)
BAD_VM(memory_bytes, 0)
BAD_VM(workload_class, 6)
BAD_VM(prefer, -1)
BAD_VM(movable, 2)
static void bad_vm_taken(imig_vm_info *v) { v->id = "v4"; }
static void
bad_vm_metric(imig_vm_info *v)
{
    v->present = UINT64_C(1) << IMIG_METRIC_DIRTY_BYTES_PER_S;
    v->dirty_bytes_per_s = -0.5;
}
static void
bad_vm_weight(imig_vm_info *v)
{
    v->present = IMIG_VM_HAS_WEIGHT;
    v->weight = NAN;
}
static void bad_vm_allowed(imig_vm_info *v) { v->hosts = hosts_0_7; v->host_count = 2; }
static void bad_vm_nowhere(imig_vm_info *v) { v->hosts = hosts_0_7; }
static void bad_vm_twin(imig_vm_info *v) { v->hosts = hosts_1_1; v->host_count = 2; }
static void bad_vm_noise(imig_vm_info *v) { v->noise = negative_noise; v->noise_count = 2; }
static void
bad_vm_disk(imig_vm_info *v)
{
    v->disk_bytes = one_disk;
    v->disk_shared = shared_2;
    v->disk_count = 1;
}
static void
bad_vm_shared(imig_vm_info *v)
{
    v->disk_bytes = &GIB;
    v->disk_shared = shared_2;
    v->disk_count = 1;
}

static const struct vm_case {
    const char *name;
    void (*spoil)(imig_vm_info *);
    const char *message;
} vm_cases[] = {
    { "VM ids are unique", bad_vm_taken, "vms[5].id: \"v4\": is taken already" },
    { "a host that is there", bad_vm_host, "vms[5].host: 3: no such host" },
    { "vCPUs", bad_vm_vcpus, "vms[5].vcpus: 0: must be at least 1" },
    { "VM memory", bad_vm_memory_bytes, "vms[5].memory_bytes: 0: must be from 1e-06 to 1e+18" },
    { "a measurement", bad_vm_metric,
      "vms[5].dirty_bytes_per_s: -0.5: must be from 0 to 1e+18" },
    { "weight", bad_vm_weight, "vms[5].weight: nan: must be from 0 to 1e+18" },
    { "classes", bad_vm_workload_class, "vms[5].class: 6: no such class" },
    { "preferences", bad_vm_prefer, "vms[5].prefer: -1: no such preference" },
    { "movable", bad_vm_movable, "vms[5].movable: 2: must be 0 or 1" },
    { "allowed hosts are there", bad_vm_allowed, "vms[5].hosts[1]: 7: no such host" },
    { "allowed somewhere", bad_vm_nowhere, "vms[5].hosts: must name at least one host" },
    { "allowed once", bad_vm_twin, "vms[5].hosts: \"h2\": must not come twice" },
    { "noise", bad_vm_noise, "vms[5].noise.cpu_wait_cores: -0.5: must be from 0 to 1e+18" },
    { "disk size", bad_vm_disk, "vms[5].disks[0].bytes: -1: must be from 0 to 1e+18" },
    { "disk shared", bad_vm_shared, "vms[5].disks[0].shared: 2: must be 0 or 1" },
};

static void
vm_is_refused(void **state)
{
    const struct vm_case *c = *state;
    imig_cluster *cluster = small_cluster();
    imig_vm_info vm = IMIG_VM_INFO_INIT;
    imig_error *error = NULL;

    vm.id = "v9";
    vm.host = 1;
    vm.vcpus = 1;
    vm.memory_bytes = GIB;
    c->spoil(&vm);
    assert_int_equal(imig_cluster_add_vm(cluster, &vm, &error), IMIG_ERR_INVALID);
    assert_string_equal(imig_error_message(error), c->message);
    assert_int_equal(imig_cluster_vm_count(cluster), 5);
    assert_int_equal(imig_cluster_find_vm(cluster, "v9"), IMIG_NO_INDEX);
    imig_error_free(error);
    imig_cluster_unref(cluster);
}

static const struct flow_case {
    const char *name;
    uint32_t a, b;
    double bytes_per_s;
    const char *message;
} flow_cases[] = {
    { "sender is there", 5, 0, 1, "flows[1].a: 5: no such VM" },
    { "receiver is there", 0, 9, 1, "flows[1].b: 9: no such VM" },
    { "not to itself", 2, 2, 1, "flows[1].b: \"v2\": must be another VM than a" },
    { "a pair once", 0, 1, 1, "flows[1].b: \"v1\": there is such a flow already" },
    { "a rate", 0, 2, -1, "flows[1].bytes_per_s: -1: must be from 0 to 1e+18" },
};

static void
flow_is_refused(void **state)
{
    const struct flow_case *c = *state;
    imig_cluster *cluster = small_cluster();
    imig_error *error = NULL;

    assert_int_equal(imig_cluster_add_flow(cluster, 0, 1, 5, NULL), IMIG_OK);
    assert_int_equal(imig_cluster_add_flow(cluster, c->a, c->b, c->bytes_per_s, &error),
                     IMIG_ERR_INVALID);
    assert_string_equal(imig_error_message(error), c->message);
    assert_int_equal(imig_cluster_flow_count(cluster), 1);
    imig_error_free(error);
    imig_cluster_unref(cluster);
}

static const struct rule_case {
    const char *name;
    int32_t kind, hard;
    const char *label;
    uint32_t vms[3];
    size_t vm_count;
    const char *message;
} rule_cases[] = {
    { "kinds", 2, 1, NULL, { 0, 1 }, 2, "rules[0].kind: 2: no such kind" },
    { "hard or not", 0, 2, NULL, { 0, 1 }, 2, "rules[0].hard: 2: must be 0 or 1" },
    { "a label has a name", 0, 1, "", { 0, 1 }, 2, "rules[0].label: \"\": must not be empty" },
    { "one VM is no rule", 0, 1, NULL, { 0 }, 1, "rules[0].vms: must name at least two VMs" },
    { "rule VMs are there", 0, 1, NULL, { 0, 8 }, 2, "rules[0].vms[1]: 8: no such VM" },
    { "rule VMs once", 1, 1, NULL, { 3, 0, 3 }, 3, "rules[0].vms: \"v3\": must not come twice" },
};

static void
rule_is_refused(void **state)
{
    const struct rule_case *c = *state;
    imig_cluster *cluster = small_cluster();
    imig_rule_info rule = { sizeof rule, c->kind, c->hard, c->label, c->vms, c->vm_count };
    imig_error *error = NULL;

    assert_int_equal(imig_cluster_add_rule(cluster, &rule, &error), IMIG_ERR_INVALID);
    assert_string_equal(imig_error_message(error), c->message);
    assert_int_equal(imig_cluster_rule_count(cluster), 0);
    imig_error_free(error);
    imig_cluster_unref(cluster);
}

int
main(void)
{
    struct CMUnitTest tests[G_N_ELEMENTS(host_cases) +
                            G_N_ELEMENTS(vm_cases) +
                            G_N_ELEMENTS(flow_cases) +
                            G_N_ELEMENTS(rule_cases)];
    size_t count = 0;

    ROWS(host_cases, host_is_refused);
    ROWS(vm_cases, vm_is_refused);
    ROWS(flow_cases, flow_is_refused);
    ROWS(rule_cases, rule_is_refused);
    return cmocka_run_group_tests_name("cluster-add", tests, NULL, NULL);
}
