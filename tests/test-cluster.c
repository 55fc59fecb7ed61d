/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/cluster-priv.h"

#include <math.h>
#include <stdarg.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "small-cluster.h"

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
        imig_rule_info rule = { sizeof rule, IMIG_RULE_APART, 0, labels[i], vms, 2 };

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
    imig_rule_info rule = { sizeof rule, IMIG_RULE_APART, 1, "rack", vms, 2 };
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
    imig_rule_info rule = { sizeof rule, IMIG_RULE_APART, 1, NULL, vms, 2 };
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

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_filled_in),
        cmocka_unit_test(arrays_are_copied_and_sorted),
        cmocka_unit_test(ids_come_before_names),
        cmocka_unit_test(demand_is_not_usage),
        cmocka_unit_test(a_fixed_vm_says_why),
        cmocka_unit_test(places_and_pools_have_numbers),
        cmocka_unit_test(a_copy_is_its_own),
        cmocka_unit_test(a_finished_cluster_is_closed),
        cmocka_unit_test(wrong_arguments_are_answered),
    };

    return cmocka_run_group_tests_name("cluster", tests, NULL, NULL);
}
