/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/cluster-priv.h"
#include "model/workload-priv.h"

#include <imig/model.h>
#include <imig/workload.h>
#include <math.h>
#include <stdarg.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

static const double GIB = 1024.0 * 1024 * 1024;

/* Three hosts, h1 and h2 in rack r1, h3 in r2 and pool "b"; VMs v0..v3 on h1, v4 on h3. */
static imig_cluster *
small_cluster(void)
{
    static const char *const rack1[] = { "rack", "r1" }, *const rack2[] = { "rack", "r2" };
    imig_cluster *cluster = imig_cluster_new(1790000000.5);

    for (int i = 0; i < 3; i++) {
        imig_host_info host = IMIG_HOST_INFO_INIT;
        char id[8];

        g_snprintf(id, sizeof id, "h%d", i + 1);
        host.id = id;
        host.pool = i < 2 ? "a" : "b";
        host.cpu_cores = 16;
        host.memory_bytes = 64 * GIB;
        host.labels = i < 2 ? rack1 : rack2;
        host.label_count = 1;
        assert_int_equal(imig_cluster_add_host(cluster, &host, NULL), IMIG_OK);
    }
    for (int i = 0; i < 5; i++) {
        imig_vm_info vm = IMIG_VM_INFO_INIT;
        char id[8];

        g_snprintf(id, sizeof id, "v%d", i);
        vm.id = id;
        vm.host = i < 4 ? 0 : 2;
        vm.vcpus = 4;
        vm.memory_bytes = 4 * GIB;
        assert_int_equal(imig_cluster_add_vm(cluster, &vm, NULL), IMIG_OK);
    }
    return cluster;
}

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

/* ---- what only shows as a whole ---- */

enum { T = IMIG_RULE_TOGETHER, A = IMIG_RULE_APART };
#define RULE(kind, hard, label, count, ...) { kind, hard, label, count, { __VA_ARGS__ } }

static const struct whole_case {
    const char *name;
    struct { int32_t kind, hard; const char *label; size_t count; uint32_t vms[3]; } rules[3];
    const char *message; /* NULL: allowed */
} whole_cases[] = {
    { "no rules", { { 0 } }, NULL },
    { "together and apart, directly",
      { RULE(T, 1, NULL, 2, 0, 1), RULE(A, 1, NULL, 2, 1, 0) },
      "rules[1].vms: \"v1\" and \"v0\": apart, but rules[0] keeps them together" },
    { "apart comes first", { RULE(A, 1, NULL, 3, 0, 2, 1), RULE(T, 1, NULL, 2, 0, 1) },
      "rules[0].vms: \"v0\" and \"v1\": apart, but rules[1] keeps them together" },
    { "over a third VM",
      { RULE(T, 1, NULL, 2, 0, 1), RULE(T, 1, NULL, 2, 1, 2), RULE(A, 1, NULL, 2, 2, 0) },
      "rules[2].vms: \"v2\" and \"v0\": apart, but rules[0] and rules[1] keep them together" },
    { "one host is one rack", { RULE(T, 1, NULL, 2, 0, 1), RULE(A, 1, "rack", 2, 0, 1) },
      "rules[1].vms: \"v0\" and \"v1\": apart, but rules[0] keeps them together" },
    { "one rack", { RULE(T, 1, "rack", 2, 0, 1), RULE(A, 1, "rack", 2, 0, 1) },
      "rules[1].vms: \"v0\" and \"v1\": apart, but rules[0] keeps them together" },
    { "one rack over one host",
      { RULE(T, 1, "rack", 2, 0, 1), RULE(T, 1, NULL, 2, 1, 2), RULE(A, 1, "rack", 2, 2, 0) },
      "rules[2].vms: \"v2\" and \"v0\": apart, but rules[0] and rules[1] keep them together" },
    { "one rack has several hosts", { RULE(T, 1, "rack", 2, 0, 1), RULE(A, 1, NULL, 2, 0, 1) },
      NULL },
    { "a rack is no row", { RULE(T, 1, "rack", 2, 0, 1), RULE(A, 1, "row", 2, 0, 1) }, NULL },
    { "a wish contradicts nothing", { RULE(T, 0, NULL, 2, 0, 1), RULE(A, 1, NULL, 2, 1, 0) },
      NULL },
    { "apart as a wish", { RULE(T, 1, NULL, 2, 0, 1), RULE(A, 0, NULL, 2, 1, 0) }, NULL },
    { "pools", { RULE(T, 1, NULL, 3, 0, 1, 4) },
      "rules[0].vms: \"v0\" and \"v4\": together, but in two pools" },
    { "a label may span pools", { RULE(T, 1, "site", 2, 0, 4) }, NULL },
};

static void
whole_is_judged(void **state)
{
    const struct whole_case *c = *state;
    imig_cluster *cluster = small_cluster();
    imig_error *error = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(c->rules) && c->rules[i].count; i++) {
        imig_rule_info rule = { sizeof rule, c->rules[i].kind, c->rules[i].hard,
                                c->rules[i].label, c->rules[i].vms, c->rules[i].count };

        assert_int_equal(imig_cluster_add_rule(cluster, &rule, NULL), IMIG_OK);
    }
    if (c->message) {
        assert_int_equal(imig_cluster_finish(cluster, &error), IMIG_ERR_INVALID);
        assert_string_equal(imig_error_message(error), c->message);
        assert_false(cluster->finished);
        imig_error_free(error);
    } else {
        assert_int_equal(imig_cluster_finish(cluster, &error), IMIG_OK);
        assert_null(error);
    }
    imig_cluster_unref(cluster);
}

/* Two VMs of 4 GiB and a rule that holds them together, as far as `hosts` lets them. */
static const struct allowed_case {
    const char *name;
    uint32_t hosts[2][2];
    uint32_t host_count[2];
    double memory_bytes;
    const char *label;
    const char *message;
} allowed_cases[] = {
    { "a common host", { { 0, 1 }, { 1, 2 } }, { 2, 2 }, 1, NULL, NULL },
    { "one may be anywhere", { { 1 } }, { 1, 0 }, 1, NULL, NULL },
    { "no common host", { { 0 }, { 1 } }, { 1, 1 }, 1, NULL,
      "rules[0].vms: \"x0\" and \"x1\": together, but the hosts they are allowed have none in "
      "common" },
    { "a common rack", { { 0 }, { 1 } }, { 1, 1 }, 1, "rack", NULL },
    { "no common row: unlabelled hosts stand alone", { { 0 }, { 1 } }, { 1, 1 }, 1, "row",
      "rules[0].vms: \"x0\" and \"x1\": together, but the hosts they are allowed have none in "
      "common" },
    { "a common host in another pool is none", { { 0, 2 }, { 1, 2 } }, { 2, 2 }, 1, NULL,
      "rules[0].vms: \"x0\" and \"x1\": together, but the hosts they are allowed have none in "
      "common" },
    { "allowed in another pool only", { { 2 } }, { 1, 0 }, 1, NULL,
      "vms[5].hosts: none of them is in the VM's pool" },
    { "as large as a host", { { 0 } }, { 0, 0 }, 64, NULL, NULL },
    { "larger than any host", { { 0 } }, { 0, 0 }, 65, NULL,
      "vms[5].memory_bytes: 69793218560: larger than every host the VM may be on" },
};

static void
allowed_hosts_are_judged(void **state)
{
    const struct allowed_case *c = *state;
    static const uint32_t both[] = { 5, 6 };
    imig_cluster *cluster = small_cluster();
    imig_rule_info rule = { sizeof rule, T, 1, c->label, both, 2 };
    imig_error *error = NULL;
    int code;

    for (int i = 0; i < 2; i++) {
        imig_vm_info vm = IMIG_VM_INFO_INIT;

        vm.id = i ? "x1" : "x0";
        vm.host = 0;
        vm.vcpus = 1;
        vm.memory_bytes = c->memory_bytes * GIB;
        vm.hosts = c->host_count[i] ? c->hosts[i] : NULL;
        vm.host_count = c->host_count[i];
        assert_int_equal(imig_cluster_add_vm(cluster, &vm, NULL), IMIG_OK);
    }
    assert_int_equal(imig_cluster_add_rule(cluster, &rule, NULL), IMIG_OK);
    code = imig_cluster_finish(cluster, &error);
    assert_int_equal(code, c->message ? IMIG_ERR_INVALID : IMIG_OK);
    assert_string_equal(imig_error_message(error), c->message ? c->message : "no error");
    imig_error_free(error);
    imig_cluster_unref(cluster);
}

/* ---- what is kept, and what stands for what is absent ---- */

static void
defaults_are_filled_in(void **state)
{
    imig_cluster *cluster = small_cluster();
    imig_host_info host = IMIG_HOST_INFO_INIT;
    imig_vm_info vm = IMIG_VM_INFO_INIT;

    (void) state;
    assert_int_equal(imig_cluster_get_host(cluster, 2, &host, NULL), IMIG_OK);
    assert_string_equal(host.id, "h3");
    assert_string_equal(host.name, "h3");
    assert_string_equal(host.pool, "b");
    assert_null(host.hypervisor);
    assert_true(host.present == 0);
    assert_true(host.memory_overcommit_ratio == 1);
    assert_string_equal(host.labels[1], "r2");
    assert_int_equal(imig_cluster_get_vm(cluster, 1, &vm, NULL), IMIG_OK);
    assert_string_equal(vm.name, "v1");
    assert_true(vm.weight == 1);
    assert_true(vm.present == 0);
    assert_null(vm.hosts);
    assert_int_equal(vm.workload_class, IMIG_WORKLOAD_UNKNOWN);
    assert_true(imig_cluster_time_s(cluster) == 1790000000.5);
    imig_cluster_unref(cluster);
}

static void
arrays_are_copied_and_sorted(void **state)
{
    imig_cluster *cluster = small_cluster();
    const char *labels[] = { "rack", "r9", "row", "", "cage", "c" };
    char name[] = "web one";
    double noise[] = { 0.5, 0, 3, 0 }, bytes[] = { 1e10, 0 };
    int32_t shared[] = { 1, 0 };
    uint32_t hosts[] = { 2, 0 };
    imig_host_info host = IMIG_HOST_INFO_INIT;
    imig_vm_info vm = IMIG_VM_INFO_INIT;

    (void) state;
    host.id = "h4";
    host.cpu_cores = host.memory_bytes = 1;
    host.labels = labels;
    host.label_count = 3;
    assert_int_equal(imig_cluster_add_host(cluster, &host, NULL), IMIG_OK);
    vm.id = "v5";
    vm.name = name;
    vm.host = 0;
    vm.vcpus = 1;
    vm.memory_bytes = 1;
    vm.noise = noise;
    vm.noise_count = 4;
    vm.disk_bytes = bytes;
    vm.disk_shared = shared;
    vm.disk_count = 2;
    vm.hosts = hosts;
    vm.host_count = 2;
    assert_int_equal(imig_cluster_add_vm(cluster, &vm, NULL), IMIG_OK);
    memset(name, 'x', sizeof name - 1);
    memset(noise, 0, sizeof noise);
    memset(hosts, 0, sizeof hosts);
    memset(shared, 0, sizeof shared);
    assert_int_equal(imig_cluster_get_host(cluster, 3, &host, NULL), IMIG_OK);
    assert_string_equal(host.labels[0], "cage");
    assert_string_equal(host.labels[4], "row");
    assert_string_equal(host.labels[5], "");
    assert_int_equal(imig_cluster_get_vm(cluster, 5, &vm, NULL), IMIG_OK);
    assert_string_equal(vm.name, "web one");
    assert_int_equal(vm.noise_count, 3);
    assert_true(vm.noise[0] == 0.5 && vm.noise[2] == 3);
    assert_int_equal(vm.disk_shared[0], 1);
    assert_int_equal(vm.hosts[0], 0);
    assert_int_equal(vm.hosts[1], 2);
    imig_cluster_unref(cluster);
}

static void
ids_come_before_names(void **state)
{
    imig_cluster *cluster = small_cluster();
    imig_vm_info vm = IMIG_VM_INFO_INIT;
    static const char *const names[][2] = {
        { "x5", "web" }, { "x6", "db" }, { "x7", "db" }, { "x8", "v0" }, { "x9", "x6" },
    };

    (void) state;
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        vm.id = names[i][0];
        vm.name = names[i][1];
        vm.host = 0;
        vm.vcpus = 1;
        vm.memory_bytes = GIB;
        assert_int_equal(imig_cluster_add_vm(cluster, &vm, NULL), IMIG_OK);
    }
    for (int round = 0; round < 2; round++) { /* before and after it is finished */
        assert_int_equal(imig_cluster_find_vm(cluster, "web"), 5);
        assert_int_equal(imig_cluster_find_vm(cluster, "db"), IMIG_NO_INDEX);
        assert_int_equal(imig_cluster_find_vm(cluster, "v0"), 0);
        assert_int_equal(imig_cluster_find_vm(cluster, "x6"), 6);
        assert_int_equal(imig_cluster_find_vm(cluster, "none"), IMIG_NO_INDEX);
        assert_int_equal(imig__cluster_vm_by_id(cluster, "web"), IMIG_NO_INDEX);
        assert_int_equal(imig__cluster_vm_by_id(cluster, "x9"), 9);
        if (round == 0)
            assert_int_equal(imig_cluster_finish(cluster, NULL), IMIG_OK);
    }
    imig_cluster_unref(cluster);
}

static void
demand_is_not_usage(void **state)
{
    static const struct {
        uint64_t present;
        double used, waiting, want; /* of 4 vCPUs; want < 0: not measured */
    } rows[] = {
        { 0, 1, 1, -1 }, { 1, 1.5, 1, 1.5 }, { 3, 1.5, 1, 2.5 }, { 3, 3.5, 1, 4 }, { 2, 1, 1, -1 },
    };

    (void) state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        imig_cluster *cluster = small_cluster();
        imig_vm_info vm = IMIG_VM_INFO_INIT;
        double got;

        vm.id = "x";
        vm.host = 0;
        vm.vcpus = 4;
        vm.memory_bytes = GIB;
        vm.present = rows[i].present;
        vm.cpu_cores = rows[i].used;
        vm.cpu_wait_cores = rows[i].waiting;
        assert_int_equal(imig_cluster_add_vm(cluster, &vm, NULL), IMIG_OK);
        got = imig_cluster_vm_demand_cores(cluster, 5);
        assert_true(rows[i].want < 0 ? isnan(got) : got == rows[i].want);
        imig_cluster_unref(cluster);
    }
}

static void
a_fixed_vm_says_why(void **state)
{
    static const struct {
        int32_t movable;
        const char *blocked;
        uint64_t present;
        const char *want;
    } rows[] = {
        { 1, NULL, 1, NULL },
        { 0, "backup", 1, "pinned" },
        { 1, "backup", 1, "blocked" },
        { 1, NULL, 1 | IMIG_VM_HAS_COOLDOWN, "cooldown" },
        { 1, NULL, 0, "no-measurement" },
    };

    (void) state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        imig_vm_info vm = IMIG_VM_INFO_INIT;
        const char *got;

        vm.movable = rows[i].movable;
        vm.blocked = rows[i].blocked;
        vm.present = rows[i].present;
        vm.cooldown_until_s = 100;
        got = imig__vm_why_fixed(&vm, 99);
        assert_string_equal(got ? got : "free", rows[i].want ? rows[i].want : "free");
        if (vm.present & IMIG_VM_HAS_COOLDOWN)
            assert_null(imig__vm_why_fixed(&vm, 100));
    }
}

static void
places_and_pools_have_numbers(void **state)
{
    imig_cluster *cluster = small_cluster();
    static const uint32_t vms[] = { 0, 1 };
    static const char *const labels[] = { "rack", NULL, "row", "rack" };

    (void) state;
    for (size_t i = 0; i < G_N_ELEMENTS(labels); i++) {
        imig_rule_info rule = { sizeof rule, A, 0, labels[i], vms, 2 };

        assert_int_equal(imig_cluster_add_rule(cluster, &rule, NULL), IMIG_OK);
    }
    assert_int_equal(imig_cluster_finish(cluster, NULL), IMIG_OK);
    assert_int_equal(cluster->pool_count, 2);
    assert_int_equal(cluster->host_pool[1], 0);
    assert_int_equal(cluster->host_pool[2], 1);
    assert_int_equal(imig__rule_place(cluster, 0, 0), imig__rule_place(cluster, 0, 1));
    assert_int_not_equal(imig__rule_place(cluster, 0, 0), imig__rule_place(cluster, 0, 2));
    assert_int_equal(imig__rule_place(cluster, 1, 2), 2);
    assert_int_not_equal(imig__rule_place(cluster, 2, 0), imig__rule_place(cluster, 2, 1));
    assert_ptr_equal(cluster->rule_place[0], cluster->rule_place[3]);
    assert_true(imig__vm_may_be_on(cluster, 0, 1));
    assert_false(imig__vm_may_be_on(cluster, 0, 2));
    imig_cluster_unref(cluster);
}

static void
a_copy_is_its_own(void **state)
{
    imig_cluster *cluster = small_cluster(), *copy;
    static const uint32_t vms[] = { 0, 4 };
    imig_rule_info rule = { sizeof rule, A, 1, "rack", vms, 2 };
    imig_vm_info vm = IMIG_VM_INFO_INIT;

    (void) state;
    assert_int_equal(imig_cluster_add_flow(cluster, 0, 1, 5, NULL), IMIG_OK);
    assert_int_equal(imig_cluster_add_rule(cluster, &rule, NULL), IMIG_OK);
    assert_int_equal(imig_cluster_finish(cluster, NULL), IMIG_OK);
    copy = imig__cluster_copy(cluster);
    copy->vms[0].host = 1;
    imig_cluster_unref(cluster);
    assert_int_equal(imig_cluster_get_vm(copy, 0, &vm, NULL), IMIG_OK);
    assert_string_equal(vm.id, "v0");
    assert_int_equal(vm.host, 1);
    vm.id = "x";
    assert_int_equal(imig_cluster_add_vm(copy, &vm, NULL), IMIG_OK);
    vm.id = "v3";
    assert_int_equal(imig_cluster_add_vm(copy, &vm, NULL), IMIG_ERR_INVALID);
    assert_int_equal(imig_cluster_add_flow(copy, 0, 1, 5, NULL), IMIG_ERR_INVALID);
    assert_int_equal(imig_cluster_finish(copy, NULL), IMIG_OK);
    assert_int_equal(imig_cluster_find_vm(copy, "x"), 5);
    assert_int_equal(imig_cluster_rule_count(copy), 1);
    imig_cluster_unref(copy);
}

static void
a_finished_cluster_is_closed(void **state)
{
    imig_cluster *cluster = small_cluster();
    static const uint32_t vms[] = { 0, 1 };
    imig_host_info host = IMIG_HOST_INFO_INIT;
    imig_vm_info vm = IMIG_VM_INFO_INIT;
    imig_rule_info rule = { sizeof rule, A, 1, NULL, vms, 2 };
    imig_error *error = NULL;

    (void) state;
    assert_int_equal(imig_cluster_finish(cluster, NULL), IMIG_OK);
    assert_int_equal(imig_cluster_add_host(cluster, &host, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_cluster_add_vm(cluster, &vm, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_cluster_add_flow(cluster, 0, 1, 1, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_cluster_add_rule(cluster, &rule, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_cluster_finish(cluster, &error), IMIG_ERR_ARGUMENT);
    assert_string_equal(imig_error_message(error), "the cluster is finished");
    imig_error_free(error);
    imig_cluster_unref(cluster);
}

static void
wrong_arguments_are_answered(void **state)
{
    imig_cluster *cluster = small_cluster();
    imig_host_info host = IMIG_HOST_INFO_INIT;
    imig_vm_info vm = IMIG_VM_INFO_INIT;
    imig_rule_info rule = IMIG_RULE_INFO_INIT;
    uint32_t a = 77;

    (void) state;
    assert_null(imig_cluster_new(NAN));
    assert_null(imig_cluster_ref(NULL));
    imig_cluster_unref(NULL);
    assert_int_equal(imig_cluster_add_host(NULL, &host, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_cluster_add_host(cluster, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_cluster_add_vm(cluster, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_cluster_add_flow(NULL, 0, 1, 1, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_cluster_add_rule(cluster, NULL, NULL), IMIG_ERR_ARGUMENT);
    rule.vm_count = 2;
    assert_int_equal(imig_cluster_add_rule(cluster, &rule, NULL), IMIG_ERR_ARGUMENT);
    host.label_count = 1;
    assert_int_equal(imig_cluster_add_host(cluster, &host, NULL), IMIG_ERR_ARGUMENT);
    vm.disk_count = 1;
    assert_int_equal(imig_cluster_add_vm(cluster, &vm, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_cluster_finish(NULL, NULL), IMIG_ERR_ARGUMENT);
    host.size = 8;
    assert_int_equal(imig_cluster_add_host(cluster, &host, NULL), IMIG_ERR_ABI);
    host = (imig_host_info) IMIG_HOST_INFO_INIT;
    host.present = UINT64_C(1) << 60;
    assert_int_equal(imig_cluster_add_host(cluster, &host, NULL), IMIG_ERR_ABI);
    assert_int_equal(imig_cluster_get_host(cluster, 3, &host, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_cluster_get_host(NULL, 0, &host, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_cluster_get_vm(cluster, 5, &vm, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_cluster_get_vm(cluster, 0, NULL, NULL), IMIG_ERR_ARGUMENT);
    vm.size = 1;
    assert_int_equal(imig_cluster_get_vm(cluster, 0, &vm, NULL), IMIG_ERR_ABI);
    assert_int_equal(imig_cluster_get_flow(cluster, 0, &a, NULL, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(a, 77);
    assert_int_equal(imig_cluster_get_rule(cluster, 0, &rule, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_cluster_find_vm(cluster, NULL), IMIG_NO_INDEX);
    assert_int_equal(imig_cluster_find_host(NULL, "h1"), IMIG_NO_INDEX);
    assert_true(isnan(imig_cluster_vm_demand_cores(cluster, 9)));
    assert_true(isnan(imig_cluster_time_s(NULL)));
    assert_int_equal(imig_cluster_vm_count(NULL), 0);
    imig_cluster_unref(cluster);
}

/* Section 3.3 and 3.4 of the paper, by the class's name. */
static void
workload_rows_say_what_the_paper_says(void **state)
{
    static const struct {
        const char *name;
        imig__tier tier;
        int disk, preferred, holds_source, holds_destination;
    } rows[] = {
        { "idle", IMIG__TIER_SHORTEST, 0, 0, 0, 0 },
        { "cpu", IMIG__TIER_SHORTEST, 0, 1, 0, 0 },
        { "disk-io", IMIG__TIER_SHORTEST, 1, 1, 0, 0 },
        { "memory-dirty", IMIG__TIER_FIRST, 0, 0, 1, 0 },
        { "web-server", IMIG__TIER_FIRST, 0, 0, 1, 0 },
        { "net-receive", IMIG__TIER_LAST, 0, 0, 0, 1 },
    };

    (void) state;
    for (int32_t i = 0; i < IMIG_WORKLOAD_COUNT; i++) {
        const imig__workload_row *row = &imig__workload_rows[i];

        assert_string_equal(imig_workload_name(i), rows[i].name);
        assert_int_equal(imig_workload_from_name(rows[i].name), i);
        assert_int_equal(row->tier, rows[i].tier);
        assert_int_equal(row->nonsharable != NULL, rows[i].disk);
        assert_int_equal(row->preferred, rows[i].preferred);
        assert_int_equal(row->hold_source > 0, rows[i].holds_source);
        assert_int_equal(row->hold_destination > 0, rows[i].holds_destination);
    }
    assert_null(imig_workload_name(-1));
    assert_null(imig_workload_name(IMIG_WORKLOAD_COUNT));
    assert_int_equal(imig_workload_from_name("CPU"), IMIG_WORKLOAD_UNKNOWN);
    assert_int_equal(imig_workload_from_name(NULL), IMIG_WORKLOAD_UNKNOWN);
}

#define ROWS(cases, function) \
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) \
        tests[count++] = (struct CMUnitTest) { .name = cases[i].name, .test_func = function, \
                                               .initial_state = (void *) &cases[i] }

int
main(void)
{
    static const struct CMUnitTest single[] = {
        cmocka_unit_test(defaults_are_filled_in),
        cmocka_unit_test(arrays_are_copied_and_sorted),
        cmocka_unit_test(ids_come_before_names),
        cmocka_unit_test(demand_is_not_usage),
        cmocka_unit_test(a_fixed_vm_says_why),
        cmocka_unit_test(places_and_pools_have_numbers),
        cmocka_unit_test(a_copy_is_its_own),
        cmocka_unit_test(a_finished_cluster_is_closed),
        cmocka_unit_test(wrong_arguments_are_answered),
        cmocka_unit_test(workload_rows_say_what_the_paper_says),
    };
    struct CMUnitTest tests[G_N_ELEMENTS(host_cases) + G_N_ELEMENTS(vm_cases) +
                            G_N_ELEMENTS(flow_cases) + G_N_ELEMENTS(rule_cases) +
                            G_N_ELEMENTS(whole_cases) + G_N_ELEMENTS(allowed_cases) +
                            G_N_ELEMENTS(single)];
    size_t count = 0;

    ROWS(host_cases, host_is_refused);
    ROWS(vm_cases, vm_is_refused);
    ROWS(flow_cases, flow_is_refused);
    ROWS(rule_cases, rule_is_refused);
    ROWS(whole_cases, whole_is_judged);
    ROWS(allowed_cases, allowed_hosts_are_judged);
    for (size_t i = 0; i < G_N_ELEMENTS(single); i++)
        tests[count++] = single[i];
    return cmocka_run_group_tests_name("cluster", tests, NULL, NULL);
}
