/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "build.h"
#include "plans.h"

/* Nobody there, or nowhere to be: a plan without steps, whoever makes it. */
static void
a_cluster_may_be_empty(void **unused)
{
    (void) unused;
    for (uint32_t hosts = 0; hosts < 3; hosts++)
        for (uint32_t g = 0; imig_plan_goal_name(g); g++)
            for (uint32_t p = 0; imig_plan_policy_name(p); p++) {
                imig_cluster *cluster = imig_cluster_new(0);
                imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
                const uint32_t drain[] = { 0 };
                imig_plan *plan;

                if (hosts > 0)
                    add_host(cluster, "a", 8, 64);
                if (hosts > 1)
                    add_host(cluster, "b", 8, 64);
                finish(cluster);
                options.goal = imig_plan_goal_name(g);
                options.policy = imig_plan_policy_name(p);
                options.drain = drain;
                options.drain_count = strcmp(options.goal, "drain") == 0;
                options.explain = 1;
                if (hosts >= options.drain_count) {
                    plan = make(cluster, &options);
                    assert_int_equal(imig_plan_step_count(plan), 0);
                    assert_true(summary_of(plan).complete);
                    imig_plan_unref(plan);
                }
                imig_cluster_unref(cluster);
            }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cluster_may_be_empty),
    };

    return cmocka_run_group_tests_name("planner-empty", tests, NULL, NULL);
}
