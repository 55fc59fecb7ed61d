/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "build.h"

enum { CPU = IMIG_WORKLOAD_CPU, DISK = IMIG_WORKLOAD_DISK_IO, DIRTY = IMIG_WORKLOAD_MEMORY_DIRTY,
       WEB = IMIG_WORKLOAD_WEB_SERVER, IDLE = IMIG_WORKLOAD_IDLE, VMS = 5 };

/* Five VMs on a host of 8 cores; the rest of the row says how they differ. */
static const struct select_case {
    const char *name, *policy;
    double cores[VMS], memory_gib[VMS], working_set_gib[VMS];
    int32_t class[VMS];
    uint32_t want[VMS];
    size_t count;
} cases[] = {
    { "paper: CPU and disk-I/O before the others (3.4)", "paper",
      { 2, 2, 2, 2, 2 }, { 1, 8, 2, 8, 1 }, { 0 }, { DIRTY, CPU, WEB, DISK, DIRTY },
      { 1, 3 }, 2 },
    { "paper: of equals, less memory first (3.4)", "paper",
      { 2, 2, 2, 2, 2 }, { 8, 4, 2, 6, 10 }, { 0 }, { CPU, CPU, DISK, CPU, CPU },
      { 2, 1 }, 2 },
    { "paper: of equal memory, smaller dirty size first (3.4)", "paper",
      { 2, 2, 2, 2, 2 }, { 4, 4, 4, 4, 4 }, { .5, .1, .4, .2, .3 }, { CPU, CPU, CPU, CPU, CPU },
      { 1, 3 }, 2 },
    { "least-loaded: largest CPU demand first", "least-loaded",
      { 1, 3.2, 1, 2, 2.2 }, { 4, 4, 4, 4, 4 }, { 0 }, { CPU, CPU, CPU, CPU, CPU },
      { 1, 4 }, 1 },
    { "smallest-first: by memory", "smallest-first",
      { 2, 2, 2, 2, 2 }, { 8, 4, 2, 6, 10 }, { 0 }, { DIRTY, DIRTY, DIRTY, CPU, CPU },
      { 2, 1 }, 2 },
    { "largest-first: by memory", "largest-first",
      { 2, 2, 2, 2, 2 }, { 8, 4, 2, 6, 10 }, { 0 }, { CPU, CPU, CPU, CPU, CPU },
      { 4, 0 }, 2 },
    { "as-given: by position", "as-given",
      { 2, 2, 2, 2, 2 }, { 8, 4, 2, 6, 10 }, { 0 }, { WEB, DIRTY, CPU, CPU, CPU },
      { 0, 1 }, 2 },
    { "a host at its threshold gives none", "paper",
      { 1, 1, 1, 1, 2.4 }, { 1, 1, 1, 1, 1 }, { 0 }, { CPU, CPU, CPU, CPU, CPU },
      { 0 }, 0 },
};

static imig_cluster *
cluster_of(const struct select_case *c)
{
    static const char *const ids[] = { "a", "b", "c", "d", "e" };
    imig_cluster *cluster = imig_cluster_new(0);

    add_host(cluster, "full", 8, 64);
    add_host(cluster, "free", 8, 64);
    for (size_t i = 0; i < VMS; i++) {
        imig_vm_info vm = a_vm(ids[i], 0, c->cores[i], c->memory_gib[i], c->class[i]);

        vm.working_set_bytes = c->working_set_gib[i] * GIB;
        vm.present |= METRIC(IMIG_METRIC_WORKING_SET_BYTES);
        put_vm(cluster, &vm);
    }
    finish(cluster);
    return cluster;
}

static void
select_agrees_with_the_table(void **state)
{
    const struct select_case *c = *state;
    imig_cluster *cluster = cluster_of(c);
    imig_select_options options = IMIG_SELECT_OPTIONS_INIT;
    imig_error *error = NULL;
    uint32_t got[VMS];
    size_t count = 99;

    options.policy = c->policy;
    assert_int_equal(imig_select(cluster, NULL, 0, &options, got, &count, &error), IMIG_OK);
    assert_null(error);
    assert_int_equal(count, c->count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(got[i], c->want[i]);
    imig_cluster_unref(cluster);
}

static void
what_may_not_move_is_never_chosen(void **unused)
{
    (void) unused;
    for (uint32_t p = 0; imig_select_policy_name(p); p++) {
        imig_cluster *cluster = imig_cluster_new(100);
        imig_select_options options = IMIG_SELECT_OPTIONS_INIT;
        imig_vm_info vm;
        uint32_t got[6];
        size_t count;

        add_host(cluster, "full", 4, 64);
        add_host(cluster, "free", 16, 64);
        vm = a_vm("pinned", 0, 2, 1, CPU);
        vm.movable = 0;
        put_vm(cluster, &vm);
        vm = a_vm("in-backup", 0, 2, 1, CPU);
        vm.blocked = "backup-job";
        put_vm(cluster, &vm);
        vm = a_vm("moved-lately", 0, 2, 1, CPU);
        vm.present |= IMIG_VM_HAS_COOLDOWN;
        vm.cooldown_until_s = 200;
        put_vm(cluster, &vm);
        vm = a_vm("not-measured", 0, 2, 1, CPU);
        vm.present = 0;
        put_vm(cluster, &vm);
        add_vm(cluster, "movable", 0, 2, 1, CPU);
        finish(cluster);
        options.policy = imig_select_policy_name(p);
        assert_int_equal(imig_select(cluster, NULL, 0, &options, got, &count, NULL), IMIG_OK);
        assert_int_equal(count, 1);
        assert_int_equal(got[0], 4);
        imig_cluster_unref(cluster);
    }
}

static void
informed_relieves_the_host(void **unused)
{
    imig_cluster *cluster = cluster_of(&cases[0]);
    uint32_t got[VMS];
    size_t count;
    double left = 10;

    (void) unused;
    assert_int_equal(imig_select(cluster, NULL, 0, NULL, got, &count, NULL), IMIG_OK);
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++)
        left -= imig_cluster_vm_demand_cores(cluster, got[i]);
    assert_true(left <= 0.8 * 8);
    imig_cluster_unref(cluster);
}

static void
wrong_arguments_are_answered(void **unused)
{
    imig_cluster *cluster = cluster_of(&cases[0]);
    imig_select_options options = IMIG_SELECT_OPTIONS_INIT;
    imig_error *error = NULL;
    uint32_t got[VMS];
    int32_t classes[VMS] = { 0, 1, 2, 3, 77 };
    size_t count = 42;

    (void) unused;
    assert_int_equal(imig_select(NULL, NULL, 0, NULL, got, &count, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_select(cluster, NULL, 2, NULL, got, &count, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_select(cluster, NULL, 0, NULL, NULL, &count, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_select(cluster, classes, 0, NULL, got, &count, &error),
                     IMIG_ERR_ARGUMENT);
    assert_string_equal(imig_error_message(error), "workload[4]: 77: no such class");
    imig_error_free(error);
    error = NULL;
    options.policy = "clever";
    assert_int_equal(imig_select(cluster, NULL, 0, &options, got, &count, &error),
                     IMIG_ERR_ARGUMENT);
    assert_string_equal(imig_error_message(error), "no select policy \"clever\"; there are "
                        "informed, paper, least-loaded, smallest-first, largest-first, random, "
                        "as-given");
    imig_error_free(error);
    options.size = 3;
    assert_int_equal(imig_select(cluster, NULL, 0, &options, got, &count, NULL), IMIG_ERR_ABI);
    assert_int_equal(count, 42);
    imig_cluster_unref(cluster);
}

int
main(void)
{
    enum { N = sizeof cases / sizeof *cases };
    struct CMUnitTest tests[N + 3];

    for (size_t i = 0; i < N; i++)
        tests[i] = (struct CMUnitTest) {
            .name = cases[i].name, .test_func = select_agrees_with_the_table,
            .initial_state = (void *) &cases[i],
        };
    tests[N] = (struct CMUnitTest) cmocka_unit_test(what_may_not_move_is_never_chosen);
    tests[N + 1] = (struct CMUnitTest) cmocka_unit_test(informed_relieves_the_host);
    tests[N + 2] = (struct CMUnitTest) cmocka_unit_test(wrong_arguments_are_answered);
    return cmocka_run_group_tests_name("select", tests, NULL, NULL);
}
