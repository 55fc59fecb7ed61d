/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "build.h"
#include "plans.h"

#include <glib.h>

/* Where the search leaves something unmet, what a rule of thumb does better is taken. */

enum { IDLE = IMIG_WORKLOAD_IDLE };

/* Memory of h1 is short, and v1 is to go to its group: both fit, but the two cheapest do not. */
static void
what_must_be_comes_before_the_loss(void **unused)
{
    static const struct {
        uint32_t host;
        double cores, memory_gib;
    } vms[] = {
        { 0, 0.46, 2 }, { 1, 8, 2 }, { 1, 2.66, 4 }, { 1, 0.41, 4 }, { 0, 2.69, 4 }, { 0, 0.34, 2 },
        { 1, 1.52, 4 }, { 1, 0.18, 16 }, { 0, 1, 4 }, { 0, 0.8, 1 }, { 0, 1.52, 2 }, { 0, 0.15, 2 },
    };
    imig_cluster *cluster = imig_cluster_new(0);

    (void) unused;
    add_host(cluster, "h0", 20, 25);
    add_host(cluster, "h1", 20, 25);
    for (uint32_t v = 0; v < G_N_ELEMENTS(vms); v++) {
        char id[16];

        g_snprintf(id, sizeof id, "v%u", v);
        add_vm(cluster, id, vms[v].host, vms[v].cores, vms[v].memory_gib, IDLE);
    }
    add_rule(cluster, IMIG_RULE_TOGETHER, 1, 1, 5);
    add_rule(cluster, IMIG_RULE_TOGETHER, 1, 5, 11);
    finish(cluster);
    for (uint32_t g = 0; g < 2; g++) {
        imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
        imig_plan *plan;

        options.goal = g ? "relieve" : "balance";
        plan = make(cluster, &options);
        assert_true(after_of(plan).memory_max <= 1);
        assert_true(summary_of(plan).complete || g); /* relief is not to be had */
        assert_string_equal(imig_plan_policy(plan), "informed");
        imig_plan_unref(plan);
    }
    imig_cluster_unref(cluster);
}

/* One large VM, or four small ones: the latter leave less to be done. */
static void
where_not_all_can_leave_most_do(void **unused)
{
    imig_cluster *cluster = imig_cluster_new(0);
    imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
    const uint32_t drain[] = { 0 };
    imig_plan *plan;

    (void) unused;
    add_host(cluster, "drained", 16, 64);
    add_host(cluster, "other", 16, 17);
    add_vm(cluster, "large", 0, 1, 16, IDLE);
    add_vm(cluster, "a", 0, 1, 4, IDLE);
    add_vm(cluster, "b", 0, 1, 4, IDLE);
    add_vm(cluster, "c", 0, 1, 4, IDLE);
    add_vm(cluster, "d", 0, 1, 4, IDLE);
    finish(cluster);
    options.goal = "drain";
    options.drain = drain;
    options.drain_count = 1;
    plan = make(cluster, &options);
    assert_int_equal(imig_plan_step_count(plan), 4);
    assert_int_equal(imig_plan_kept_count(plan), 1);
    assert_false(summary_of(plan).complete);
    assert_string_equal(imig_plan_policy(plan), "informed");
    imig_plan_unref(plan);
    imig_cluster_unref(cluster);
}

/* Nothing is gained by it, and no rule of thumb does it; it is a rule all the same. */
static void
a_split_group_is_brought_together(void **unused)
{
    imig_cluster *cluster = imig_cluster_new(0);
    imig_plan *plan;

    (void) unused;
    add_host(cluster, "h0", 16, 64);
    add_host(cluster, "h1", 16, 64);
    add_vm(cluster, "a", 0, 2, 8, IDLE);
    add_vm(cluster, "b", 1, 2, 8, IDLE);
    add_rule(cluster, IMIG_RULE_TOGETHER, 1, 0, 1);
    finish(cluster);
    plan = make(cluster, NULL);
    assert_int_equal(imig_plan_step_count(plan), 1);
    assert_true(summary_of(plan).complete);
    imig_plan_unref(plan);
    imig_cluster_unref(cluster);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_must_be_comes_before_the_loss),
        cmocka_unit_test(where_not_all_can_leave_most_do),
        cmocka_unit_test(a_split_group_is_brought_together),
    };

    return cmocka_run_group_tests_name("fallback", tests, NULL, NULL);
}
