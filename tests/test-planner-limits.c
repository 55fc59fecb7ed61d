/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "build.h"
#include "clusters.h"
#include "plans.h"
#include "verify.h"

#include <math.h>

/* What no plan may do, whatever the goal, the policy and the cluster. */

enum { CPU = IMIG_WORKLOAD_CPU, IDLE = IMIG_WORKLOAD_IDLE };

/* Hosts and VMs with the same numbers: VM i on host i % hosts_used. */
static imig_cluster *
rows_of_hosts(uint32_t hosts, uint32_t used, uint32_t vms, double cores, uint32_t pools)
{
    imig_cluster *cluster = imig_cluster_new(0);

    for (uint32_t h = 0; h < hosts; h++) {
        imig_host_info host = IMIG_HOST_INFO_INIT;
        char id[16], pool[16];

        g_snprintf(id, sizeof id, "h%u", h);
        g_snprintf(pool, sizeof pool, "p%u", h * pools / hosts);
        host.id = id;
        host.pool = pool;
        host.cpu_cores = 8;
        host.memory_bytes = 64 * GIB;
        assert_int_equal(imig_cluster_add_host(cluster, &host, NULL), IMIG_OK);
    }
    for (uint32_t v = 0; v < vms; v++) {
        char id[16];

        g_snprintf(id, sizeof id, "v%u", v);
        add_vm(cluster, id, v % used, cores, 2, CPU);
    }
    return cluster;
}

/* More empty hosts than are looked at as destinations: none of them may be one. */
static void
a_drain_of_many_hosts_finds_the_others(void **unused)
{
    enum { DRAINED = 100, HOSTS = 200 };
    imig_cluster *cluster = rows_of_hosts(HOSTS, HOSTS, HOSTS, 2, 1);
    uint32_t drain[DRAINED];

    (void) unused;
    finish(cluster);
    for (uint32_t i = 0; i < DRAINED; i++)
        drain[i] = i;
    for (uint32_t p = 0; imig_plan_policy_name(p); p++) {
        imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
        imig_plan *plan;

        options.goal = "drain";
        options.policy = imig_plan_policy_name(p);
        options.drain = drain;
        options.drain_count = DRAINED;
        plan = make(cluster, &options);
        assert_true(summary_of(plan).complete);
        assert_int_equal(imig_plan_step_count(plan), DRAINED);
        imig_plan_unref(plan);
    }
    imig_cluster_unref(cluster);
}

/* The coldest hosts of all are in the other pool, and there are many. */
static void
each_pool_has_its_own_destinations(void **unused)
{
    imig_cluster *cluster = rows_of_hosts(200, 50, 250, 2, 2);
    imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
    imig_plan *plan;

    (void) unused;
    finish(cluster);
    plan = make(cluster, &options);
    assert_true(after_of(plan).cpu_max <= 0.8);
    imig_plan_unref(plan);
    imig_cluster_unref(cluster);
}

/* Why a VM stays is said of the hosts of its own pool. */
static void
reasons_look_at_the_own_pool(void **unused)
{
    imig_cluster *cluster = rows_of_hosts(120, 60, 60, 0.5, 2);
    imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
    imig_plan *plan;

    (void) unused;
    finish(cluster);
    options.explain = 1;
    plan = make(cluster, &options);
    assert_int_equal(imig_plan_kept_count(plan), 60);
    for (size_t i = 0; i < 60; i++) {
        const char *code;

        assert_int_equal(imig_plan_get_kept(plan, i, NULL, &code, NULL, NULL), IMIG_OK);
        assert_string_equal(code, "no-gain");
    }
    imig_plan_unref(plan);
    imig_cluster_unref(cluster);
}

/* A host that must be emptied, or is short of memory, overloads another where all are busy. */
static void
what_must_leave_may_overload_as_a_last_resort(void **unused)
{
    const uint32_t drain[] = { 0 };

    (void) unused;
    for (int memory = 0; memory < 2; memory++)
        for (uint32_t p = 0; imig_plan_policy_name(p); p++)
            for (int limited = 0; limited < 2; limited++) {
                imig_cluster *cluster = imig_cluster_new(0);
                imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
                imig_plan *plan;

                add_host(cluster, "leaves", 8, memory ? 4 : 64);
                add_host(cluster, "busy", 8, 64);
                add_host(cluster, "busier", 8, 64);
                add_vm(cluster, "a", 0, 1, 4, CPU);
                add_vm(cluster, "b", 0, 1, 4, CPU);
                add_vm(cluster, "c", 1, 7, 4, CPU);
                add_vm(cluster, "d", 2, 7.5, 4, CPU);
                finish(cluster);
                options.policy = imig_plan_policy_name(p);
                if (!memory) {
                    options.goal = "drain";
                    options.drain = drain;
                    options.drain_count = 1;
                }
                if (limited) {
                    options.set |= IMIG_PLAN_HAS_MAX_MOVES;
                    options.max_moves = 1;
                }
                plan = make(cluster, &options);
                assert_int_equal(summary_of(plan).complete, memory || !limited);
                assert_true(imig_plan_step_count(plan) >= (memory || limited ? 1 : 2));
                assert_true(!limited || imig_plan_step_count(plan) == 1);
                imig_plan_unref(plan);
                imig_cluster_unref(cluster);
            }
}

/* Every step counts, of a group as well. */
static void
budgets_count_every_step(void **unused)
{
    imig_cluster *cluster = imig_cluster_new(0);

    (void) unused;
    add_host(cluster, "full", 8, 64);
    add_host(cluster, "empty", 8, 64);
    for (uint32_t i = 0; i < 6; i++) {
        const char *const ids[] = { "a", "b", "c", "d", "e", "f" };

        add_vm(cluster, ids[i], 0, 1.5, 4, CPU);
    }
    add_rule(cluster, IMIG_RULE_TOGETHER, 1, 0, 1);
    add_rule(cluster, IMIG_RULE_TOGETHER, 1, 2, 3);
    add_rule(cluster, IMIG_RULE_TOGETHER, 1, 4, 5);
    finish(cluster);
    for (uint32_t p = 0; imig_plan_policy_name(p); p++) {
        imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
        imig_plan *plan;

        options.policy = imig_plan_policy_name(p);
        options.set = IMIG_PLAN_HAS_MAX_MOVES;
        options.max_moves = 1;
        plan = make(cluster, &options);
        assert_int_equal(imig_plan_step_count(plan), 0);
        imig_plan_unref(plan);
        options.set = IMIG_PLAN_HAS_MAX_BYTES;
        options.max_bytes = 7 * GIB;
        plan = make(cluster, &options);
        assert_int_equal(imig_plan_step_count(plan), 0);
        imig_plan_unref(plan);
        options.max_bytes = 8 * GIB;
        plan = make(cluster, &options);
        assert_int_equal(imig_plan_step_count(plan), 2);
        imig_plan_unref(plan);
    }
    imig_cluster_unref(cluster);
}

/* A group that is split is drained by the one that is there, whoever comes first in the cluster. */
static void
a_split_group_leaves_the_drained_host(void **unused)
{
    const uint32_t drain[] = { 1 };
    imig_cluster *cluster = imig_cluster_new(0);

    (void) unused;
    add_host(cluster, "h1", 8, 64);
    add_host(cluster, "h2", 8, 64);
    add_vm(cluster, "first", 0, 1, 4, CPU);
    add_vm(cluster, "second", 1, 1, 4, CPU);
    add_rule(cluster, IMIG_RULE_TOGETHER, 1, 0, 1);
    finish(cluster);
    for (uint32_t p = 0; imig_plan_policy_name(p); p++) {
        imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
        imig_plan *plan;

        options.goal = "drain";
        options.policy = imig_plan_policy_name(p);
        options.drain = drain;
        options.drain_count = 1;
        plan = make(cluster, &options);
        assert_true(summary_of(plan).complete);
        assert_int_equal(imig_plan_step_count(plan), 1);
        imig_plan_unref(plan);
    }
    imig_cluster_unref(cluster);
}

/* Two rules apart are broken on h1; leaving it alone would break the rule for the rack. */
static void
no_rule_is_broken_for_the_sake_of_another(void **unused)
{
    imig_cluster *cluster = imig_cluster_new(0);
    imig_rule_info rule = IMIG_RULE_INFO_INIT;
    const uint32_t rack[] = { 0, 3 };

    (void) unused;
    for (int h = 0; h < 2; h++) {
        imig_host_info host = IMIG_HOST_INFO_INIT;
        const char *const labels[] = { "rack", h ? "r2" : "r1" };

        host.id = h ? "h2" : "h1";
        host.cpu_cores = 8;
        host.memory_bytes = 64 * GIB;
        host.labels = labels;
        host.label_count = 1;
        assert_int_equal(imig_cluster_add_host(cluster, &host, NULL), IMIG_OK);
    }
    add_vm(cluster, "small", 0, 3, 2, CPU);
    add_vm(cluster, "b", 0, 3, 4, CPU);
    add_vm(cluster, "c", 0, 3, 4, CPU);
    add_vm(cluster, "d", 0, 0.1, 4, IDLE);
    add_rule(cluster, IMIG_RULE_APART, 1, 0, 1);
    add_rule(cluster, IMIG_RULE_APART, 1, 0, 2);
    rule.kind = IMIG_RULE_TOGETHER;
    rule.label = "rack";
    rule.vms = rack;
    rule.vm_count = 2;
    assert_int_equal(imig_cluster_add_rule(cluster, &rule, NULL), IMIG_OK);
    finish(cluster);
    for (uint32_t p = 0; imig_plan_policy_name(p); p++) {
        imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
        imig_plan *plan;

        options.policy = imig_plan_policy_name(p);
        plan = make(cluster, &options);
        assert_true(imig_plan_step_count(plan) > 0);
        assert_int_equal(imig_plan_check(plan, cluster, NULL), IMIG_OK);
        imig_plan_unref(plan);
    }
    imig_cluster_unref(cluster);
}

/* Four hosts, two of them out of use: with one to spare each may be half as full, not 3/4. */
static void
hosts_out_of_use_are_not_to_spare(void **unused)
{
    imig_cluster *cluster = imig_cluster_new(0);
    imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
    imig_plan_totals before = IMIG_PLAN_TOTALS_INIT;
    imig_plan *plan = NULL;
    imig_error *error = NULL;

    (void) unused;
    for (uint32_t h = 0; h < 4; h++) {
        imig_host_info host = IMIG_HOST_INFO_INIT;
        const char *const ids[] = { "h1", "h2", "h3", "h4" };

        host.id = ids[h];
        host.cpu_cores = 8;
        host.memory_bytes = 64 * GIB;
        host.state = h < 2 ? IMIG_HOST_ACTIVE : IMIG_HOST_MAINTENANCE;
        assert_int_equal(imig_cluster_add_host(cluster, &host, NULL), IMIG_OK);
    }
    add_vm(cluster, "a", 0, 2, 4, CPU);
    add_vm(cluster, "b", 0, 2, 4, CPU);
    finish(cluster);
    options.goal = "relieve";
    options.spare_hosts = 1; /* 0.8 / 2 = 0.4 < 4 / 8 */
    plan = make(cluster, &options);
    assert_int_equal(imig_plan_get_totals(plan, &before, NULL, NULL), IMIG_OK);
    assert_int_equal(before.overloaded_hosts, 1);
    assert_int_equal(imig_plan_step_count(plan), 1);
    imig_plan_unref(plan);
    plan = NULL;
    options.spare_hosts = 2;
    assert_int_equal(imig_plan_make(cluster, &options, &plan, &error), IMIG_ERR_ARGUMENT);
    assert_string_equal(imig_error_message(error), "spare_hosts 2: there are 2 hosts in use");
    assert_null(plan);
    imig_error_free(error);
    imig_cluster_unref(cluster);
}

/* Two pools of two hosts: each has to live with one, 0.8 / 2 = 0.4; of all four it were 0.6. */
static void
each_pool_has_its_own_hosts_to_spare(void **unused)
{
    imig_cluster *cluster = rows_of_hosts(4, 1, 2, 2, 2);
    imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
    imig_plan_totals before = IMIG_PLAN_TOTALS_INIT;
    imig_plan *plan = NULL;
    imig_error *error = NULL;

    (void) unused;
    finish(cluster);
    options.goal = "relieve";
    options.spare_hosts = 1;
    plan = make(cluster, &options);
    assert_int_equal(imig_plan_get_totals(plan, &before, NULL, NULL), IMIG_OK);
    assert_int_equal(before.overloaded_hosts, 1);
    assert_int_equal(after_of(plan).overloaded_hosts, 0);
    imig_plan_unref(plan);
    imig_cluster_unref(cluster);

    plan = NULL;
    cluster = rows_of_hosts(3, 1, 1, 1, 2);
    finish(cluster);
    assert_int_equal(imig_plan_make(cluster, &options, &plan, &error), IMIG_ERR_ARGUMENT);
    assert_string_equal(imig_error_message(error),
                        "spare_hosts 1: there are 1 hosts in use in pool p1");
    assert_null(plan);
    imig_error_free(error);
    imig_cluster_unref(cluster);
}

/* -- any cluster -- */

static void
check_plan(const imig_cluster *cluster, const imig_plan *plan)
{
    size_t n = imig_plan_step_count(plan), vms = imig_cluster_vm_count(cluster);
    verify_step *steps = g_new(verify_step, n + 1);
    uint32_t *want = g_new(uint32_t, vms);
    char *wrong;

    for (uint32_t v = 0; v < vms; v++)
        want[v] = cluster->vms[v].host;
    for (size_t i = 0; i < n; i++) {
        imig_plan_step step = IMIG_PLAN_STEP_INIT;

        assert_int_equal(imig_plan_get_step(plan, i, &step, NULL), IMIG_OK);
        assert_true(step.converges && *step.reason_code && *step.reason_text);
        steps[i] = (verify_step) {
            imig_cluster_find_vm(cluster, step.vm), imig_cluster_find_host(cluster, step.from),
            imig_cluster_find_host(cluster, step.to), step.start_s,
            step.start_s + step.duration_s,
        };
        want[steps[i].vm] = steps[i].to;
    }
    wrong = verify_steps(cluster, steps, n, 1, 0, want);
    if (wrong)
        fail_msg("%s", wrong);
    assert_int_equal(imig_plan_check(plan, cluster, NULL), IMIG_OK);
    assert_true(summary_of(plan).loss_bound
                <= after_of(plan).contention + summary_of(plan).migration_loss + 1e-9);
    /* What is out of reach has reasons: of VMs that stay, or of those that came. */
    assert_true(summary_of(plan).complete || imig_plan_kept_count(plan) > 0 || n > 0);
    g_free(steps);
    g_free(want);
}

static void
every_plan_can_be_carried_out(void **unused)
{
    (void) unused;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        const cluster_shape shape = {
            .hosts = 3 + (uint32_t) seed % 6, .vms = 40, .cpu = 0.4 + 0.05 * (double) (seed % 15),
            .memory = 0.6 + 0.02 * (double) (seed % 15), .flows = 8, .rules = 8, .skew = 1,
            .unequal = seed % 2 == 0, .measured = seed % 3 != 0,
        };
        int32_t workload[40];
        imig_cluster *cluster = make_cluster(&shape, seed, workload);
        const uint32_t drain[] = { 0, 1 };

        for (uint32_t g = 0; imig_plan_goal_name(g); g++)
            for (uint32_t p = 0; imig_plan_policy_name(p); p++) {
                imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
                imig_plan *plan;

                options.goal = imig_plan_goal_name(g);
                options.policy = imig_plan_policy_name(p);
                options.workload = workload;
                if (strcmp(options.goal, "drain") == 0) {
                    options.drain = drain;
                    options.drain_count = 2;
                }
                plan = make(cluster, &options);
                check_plan(cluster, plan);
                imig_plan_unref(plan);
            }
        imig_cluster_unref(cluster);
    }
}

/* Who leaves a host in maintenance overloads the only other one: relief is not to be had. */
static void
relief_that_overloads_another_host_is_not_complete(void **unused)
{
    imig_cluster *cluster = imig_cluster_new(0);
    imig_host_info closed = IMIG_HOST_INFO_INIT;
    imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;

    (void) unused;
    add_host(cluster, "open", 8, 64);
    closed.id = "closed";
    closed.cpu_cores = 16;
    closed.memory_bytes = 64 * GIB;
    closed.state = IMIG_HOST_MAINTENANCE;
    assert_int_equal(imig_cluster_add_host(cluster, &closed, NULL), IMIG_OK);
    add_vm(cluster, "resident", 0, 4, 4, IDLE);
    add_vm(cluster, "evacuee", 1, 4, 4, IDLE);
    finish(cluster);
    for (uint32_t p = 0; (options.policy = imig_plan_policy_name(p)); p++)
        for (uint32_t relieve = 0; relieve < 2; relieve++) {
            imig_plan *plan;

            options.goal = relieve ? "relieve" : "balance";
            plan = make(cluster, &options);
            assert_int_equal(imig_plan_step_count(plan), 1);
            assert_int_equal(after_of(plan).overloaded_hosts, 1);
            assert_int_equal(summary_of(plan).complete, !relieve);
            assert_int_equal(imig_plan_kept_count(plan), relieve);
            imig_plan_unref(plan);
        }
    imig_cluster_unref(cluster);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_drain_of_many_hosts_finds_the_others),
        cmocka_unit_test(each_pool_has_its_own_destinations),
        cmocka_unit_test(reasons_look_at_the_own_pool),
        cmocka_unit_test(what_must_leave_may_overload_as_a_last_resort),
        cmocka_unit_test(budgets_count_every_step),
        cmocka_unit_test(a_split_group_leaves_the_drained_host),
        cmocka_unit_test(no_rule_is_broken_for_the_sake_of_another),
        cmocka_unit_test(hosts_out_of_use_are_not_to_spare),
        cmocka_unit_test(each_pool_has_its_own_hosts_to_spare),
        cmocka_unit_test(relief_that_overloads_another_host_is_not_complete),
        cmocka_unit_test(every_plan_can_be_carried_out),
    };

    return cmocka_run_group_tests_name("planner-limits", tests, NULL, NULL);
}
