/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "build.h"

enum { CPU = IMIG_WORKLOAD_CPU, DISK = IMIG_WORKLOAD_DISK_IO, IDLE = IMIG_WORKLOAD_IDLE };

/* Host 0 is full; VM 0 leaves it.  Hosts 1 to 3 have 8 cores each and one VM, described per row. */
static const struct place_case {
    const char *name, *policy;
    const char *workload; /* of VM 0 */
    int32_t class;
    const char *neighbour[3];
    int32_t neighbour_class[3];
    double neighbour_cores[3];
    int flow_with; /* host whose VM talks to VM 0; 0: none */
    uint32_t want;
} cases[] = {
    { "paper: no two users of a nonsharable disk (3.2)", "paper", NULL, DISK,
      { NULL }, { DISK, CPU, DISK }, { 1, 4, 1 }, 0, 2 },
    { "informed: no two users of a nonsharable disk (3.2)", NULL, NULL, DISK,
      { NULL }, { DISK, CPU, DISK }, { 1, 1.2, 1 }, 0, 2 },
    { "paper: VMs that communicate meet (3.2)", "paper", NULL, CPU,
      { NULL }, { CPU, CPU, CPU }, { 1, 2, 3 }, 3, 3 },
    { "informed: VMs that communicate meet (3.2)", NULL, NULL, CPU,
      { NULL }, { CPU, CPU, CPU }, { 1, 1.5, 2 }, 3, 3 },
    { "paper: libquantum beside games, not bwaves (Table 2)", "paper", "libquantum", CPU,
      { "bwaves", "libquantum", "games" }, { CPU, CPU, CPU }, { 1, 1, 1 }, 0, 3 },
    { "informed: libquantum beside games, not bwaves (Table 2)", NULL, "libquantum", CPU,
      { "bwaves", "libquantum", "games" }, { CPU, CPU, CPU }, { 1, 1, 1 }, 0, 3 },
    { "paper: the nonsharable disk weighs more than communication", "paper", NULL, DISK,
      { NULL }, { CPU, CPU, DISK }, { 2, 1, 1 }, 3, 2 },
    { "least-loaded: the host with most free CPU", "least-loaded", NULL, CPU,
      { NULL }, { CPU, CPU, CPU }, { 3, 1, 2 }, 1, 2 },
    { "as-given: the first host that fits", "as-given", NULL, CPU,
      { NULL }, { CPU, CPU, CPU }, { 6, 3, 2 }, 0, 2 },
    { "no host is lifted over the threshold", "least-loaded", NULL, CPU,
      { NULL }, { CPU, CPU, CPU }, { 7, 7, 7 }, 0, IMIG_NO_HOST },
};

static imig_cluster *
cluster_of(const struct place_case *c)
{
    static const char *const hosts[] = { "full", "h1", "h2", "h3" };
    static const char *const ids[] = { "a", "b", "c" };
    imig_cluster *cluster = imig_cluster_new(0);
    imig_vm_info vm = a_vm("leaves", 0, 2, 4, c->class);

    for (int h = 0; h < 4; h++)
        add_host(cluster, hosts[h], 8, 64);
    vm.workload = c->workload;
    vm.disk_ops_per_s = c->class == DISK ? 900 : 0;
    vm.present |= METRIC(IMIG_METRIC_DISK_OPS_PER_S);
    put_vm(cluster, &vm);
    for (uint32_t i = 0; i < 3; i++) {
        vm = a_vm(ids[i], i + 1, c->neighbour_cores[i], 4, c->neighbour_class[i]);
        vm.workload = c->neighbour[i];
        vm.disk_ops_per_s = c->neighbour_class[i] == DISK ? 900 : 0;
        vm.present |= METRIC(IMIG_METRIC_DISK_OPS_PER_S);
        put_vm(cluster, &vm);
    }
    add_vm(cluster, "stays", 0, 6, 4, CPU);
    if (c->flow_with)
        assert_int_equal(imig_cluster_add_flow(cluster, 0, (uint32_t) c->flow_with, 4e7, NULL),
                         IMIG_OK);
    finish(cluster);
    return cluster;
}

static void
place_agrees_with_the_table(void **state)
{
    const struct place_case *c = *state;
    imig_cluster *cluster = cluster_of(c);
    imig_place_options options = IMIG_PLACE_OPTIONS_INIT;
    const uint32_t chosen[] = { 0 };
    uint32_t host[] = { 77 };

    options.policy = c->policy;
    assert_int_equal(imig_place(cluster, NULL, NULL, chosen, 1, &options, host, NULL), IMIG_OK);
    assert_int_equal(host[0], c->want);
    imig_cluster_unref(cluster);
}

static void
limits_hold_for_every_policy(void **unused)
{
    (void) unused;
    for (uint32_t p = 0; imig_place_policy_name(p); p++) {
        imig_cluster *cluster = imig_cluster_new(0);
        imig_place_options options = IMIG_PLACE_OPTIONS_INIT;
        imig_host_info host = IMIG_HOST_INFO_INIT;
        imig_vm_info vm = a_vm("fenced", 0, 1, 8, CPU);
        const uint32_t fence[] = { 0, 1, 6 }, chosen[] = { 0, 1, 2, 3 };
        uint32_t got[4];

        add_host(cluster, "full", 4, 64);
        add_host(cluster, "small", 16, 7);  /* no memory for 8 GiB */
        host.id = "other-pool";
        host.pool = "b";
        host.cpu_cores = 16;
        host.memory_bytes = 64 * GIB;
        assert_int_equal(imig_cluster_add_host(cluster, &host, NULL), IMIG_OK);
        host.id = "in-maintenance";
        host.pool = NULL;
        host.state = IMIG_HOST_MAINTENANCE;
        assert_int_equal(imig_cluster_add_host(cluster, &host, NULL), IMIG_OK);
        host.id = "gone";
        host.state = IMIG_HOST_OFFLINE;
        assert_int_equal(imig_cluster_add_host(cluster, &host, NULL), IMIG_OK);
        add_host(cluster, "enemy", 16, 64); /* 5: has what VM 3 must not meet */
        add_host(cluster, "tiny", 16, 12);  /* 6: room for one of 8 GiB */
        vm.hosts = fence;
        vm.host_count = 3;
        put_vm(cluster, &vm);
        add_vm(cluster, "b", 0, 1, 8, CPU);
        add_vm(cluster, "c", 0, 1, 30, CPU);
        add_vm(cluster, "apart", 0, 1, 4, CPU);
        add_vm(cluster, "its-enemy", 5, 1, 4, CPU);
        add_rule(cluster, IMIG_RULE_APART, 1, 3, 4);
        finish(cluster);
        options.policy = imig_place_policy_name(p);
        assert_int_equal(imig_place(cluster, NULL, NULL, chosen, 4, &options, got, NULL), IMIG_OK);
        assert_int_equal(got[0], 6);
        assert_int_equal(got[1], 5);
        assert_int_equal(got[2], 5);
        assert_true(got[3] == 1 || got[3] == 6);
        imig_cluster_unref(cluster);
    }
}

static void
wrong_arguments_are_answered(void **unused)
{
    imig_cluster *cluster = cluster_of(&cases[0]);
    const uint32_t twice[] = { 0, 0 }, none[] = { 99 };
    uint32_t host[2] = { 7, 7 };
    imig_place_options options = IMIG_PLACE_OPTIONS_INIT;
    imig_error *error = NULL;

    (void) unused;
    assert_int_equal(imig_place(cluster, NULL, NULL, twice, 2, NULL, host, &error),
                     IMIG_ERR_ARGUMENT);
    assert_string_equal(imig_error_message(error), "chosen[1]: 0: twice");
    imig_error_free(error);
    assert_int_equal(imig_place(cluster, NULL, NULL, none, 1, NULL, host, NULL),
                     IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_place(NULL, NULL, NULL, none, 1, NULL, host, NULL), IMIG_ERR_ARGUMENT);
    options.policy = "nowhere";
    assert_int_equal(imig_place(cluster, NULL, NULL, none, 0, &options, host, NULL),
                     IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_place(cluster, NULL, NULL, NULL, 0, NULL, NULL, NULL), IMIG_OK);
    assert_int_equal(host[0], 7);
    imig_cluster_unref(cluster);
}

int
main(void)
{
    enum { N = sizeof cases / sizeof *cases };
    struct CMUnitTest tests[N + 2];

    for (size_t i = 0; i < N; i++)
        tests[i] = (struct CMUnitTest) {
            .name = cases[i].name, .test_func = place_agrees_with_the_table,
            .initial_state = (void *) &cases[i],
        };
    tests[N] = (struct CMUnitTest) cmocka_unit_test(limits_hold_for_every_policy);
    tests[N + 1] = (struct CMUnitTest) cmocka_unit_test(wrong_arguments_are_answered);
    return cmocka_run_group_tests_name("place", tests, NULL, NULL);
}
