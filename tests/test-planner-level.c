/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "build.h"

#include <glib.h>
#include <math.h>

enum { CPU = IMIG_WORKLOAD_CPU };

static imig_plan *
make(const imig_cluster *cluster, const imig_plan_options *options)
{
    imig_error *error = NULL;
    imig_plan *plan = NULL;

    if (imig_plan_make(cluster, options, &plan, &error) != IMIG_OK)
        fail_msg("%s", imig_error_message(error));
    return plan;
}

static imig_plan_summary
summary_of(const imig_plan *plan)
{
    imig_plan_summary summary = IMIG_PLAN_SUMMARY_INIT;

    assert_int_equal(imig_plan_get_summary(plan, &summary, NULL), IMIG_OK);
    return summary;
}

/* Six hosts of 64 GiB; the first two carry 72, and two VMs of the first are to be apart. */
static imig_cluster *
overcommitted_cluster(void)
{
    imig_cluster *cluster = imig_cluster_new(0);

    for (uint32_t h = 0; h < 6; h++) {
        char id[8];

        g_snprintf(id, sizeof id, "h%u", h);
        add_host(cluster, id, 16, 64);
    }
    for (uint32_t v = 0; v < 30; v++) {
        char id[8];

        g_snprintf(id, sizeof id, "v%u", v);
        add_vm(cluster, id, v < 12 ? 0 : v < 24 ? 1 : 2 + v % 4, 1 + 0.1 * (v % 6),
               v < 24 ? 1 + 2 * (v % 6) : 4, CPU);
    }
    add_rule(cluster, IMIG_RULE_APART, TRUE, 0, 1);
    finish(cluster);
    return cluster;
}

/* Whatever broken rules and memory that is short ask for, more tolerance never moves more. */
static void
more_tolerance_moves_no_more(void **unused)
{
    static const double tolerances[] = { 0.1, 0.5, 0.8, 1, 2, 10 };
    imig_cluster *cluster = overcommitted_cluster();
    double last = INFINITY;

    (void) unused;
    for (size_t t = 0; t < G_N_ELEMENTS(tolerances); t++) {
        imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
        imig_plan *plan;
        imig_plan_summary s;

        options.goal = "level";
        options.tolerance = tolerances[t];
        options.set = IMIG_PLAN_HAS_TOLERANCE;
        plan = make(cluster, &options);
        s = summary_of(plan);
        assert_true(s.complete && s.moved_bytes > 0);
        assert_true(s.moved_bytes <= last);
        last = s.moved_bytes;
        for (size_t i = 0; i < imig_plan_step_count(plan) && tolerances[t] > 2; i++) {
            imig_plan_step step = IMIG_PLAN_STEP_INIT;

            assert_int_equal(imig_plan_get_step(plan, i, &step, NULL), IMIG_OK);
            assert_string_not_equal(step.reason_code, "levels-memory");
        }
        imig_plan_unref(plan);
    }
    /* 8 GiB from each host. */
    assert_true(last <= 17 * GIB);
    imig_cluster_unref(cluster);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_tolerance_moves_no_more),
    };

    return cmocka_run_group_tests_name("planner-level", tests, NULL, NULL);
}
