/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "build.h"
#include "plans.h"
#include "model/cluster-priv.h"

#include <glib.h>
#include <math.h>

enum { CPU = IMIG_WORKLOAD_CPU };

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

static double
memory_on(const imig_cluster *cluster, uint32_t host)
{
    double bytes = 0;

    for (size_t v = 0; v < cluster->vm_count; v++)
        bytes += cluster->vms[v].host == host ? cluster->vms[v].memory_bytes : 0;
    return bytes;
}

/* A small budget goes to broken rules and memory that is short; who stays for it is told so. */
static void
a_budget_repairs_first(void **unused)
{
    imig_cluster *cluster = overcommitted_cluster(), *after = NULL;
    imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
    imig_plan *plan;
    uint32_t told = 0;

    (void) unused;
    options.goal = "level";
    options.max_bytes = 18 * GIB;
    options.set = IMIG_PLAN_HAS_MAX_BYTES;
    plan = make(cluster, &options);
    assert_int_equal(imig_plan_apply(plan, cluster, &after, NULL), IMIG_OK);
    assert_false(summary_of(plan).complete);
    assert_true(summary_of(plan).moved_bytes <= 18 * GIB);
    assert_true(memory_on(after, 0) <= 64 * GIB && memory_on(after, 1) <= 64 * GIB);
    assert_int_not_equal(after->vms[0].host, after->vms[1].host);
    for (size_t i = 0; i < imig_plan_kept_count(plan); i++) {
        const char *id, *code, *text;

        assert_int_equal(imig_plan_get_kept(plan, i, &id, &code, &text, NULL), IMIG_OK);
        assert_string_not_equal(code, "above-level");
        assert_null(strstr(text, "nothing better"));
        told += strcmp(code, "budget") == 0;
    }
    assert_true(told > 0);
    imig_plan_unref(plan);
    imig_cluster_unref(after);
    imig_cluster_unref(cluster);
}

/* Even hosts of 60 %: enough for all that is there, but not for one that fails. */
static void
a_wish_for_spare_hosts_that_cannot_be_had_is_said(void **unused)
{
    static const char *const goals[] = { "balance", "relieve", "level" };
    imig_cluster *cluster = imig_cluster_new(0);

    (void) unused;
    for (uint32_t h = 0; h < 2; h++) {
        add_host(cluster, h ? "b" : "a", 8, 64);
        add_vm(cluster, h ? "y" : "x", h, 4.8, 4, CPU);
    }
    finish(cluster);
    for (size_t g = 0; g < 3; g++)
        for (uint32_t spare = 0; spare < 2; spare++) {
            imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
            imig_plan_totals after = IMIG_PLAN_TOTALS_INIT;
            imig_plan *plan;

            options.goal = goals[g];
            options.spare_hosts = spare;
            plan = make(cluster, &options);
            assert_int_equal(imig_plan_get_totals(plan, NULL, &after, NULL), IMIG_OK);
            assert_int_equal(summary_of(plan).complete, !spare);
            assert_int_equal(after.overloaded_hosts, spare ? 2 : 0);
            imig_plan_unref(plan);
        }
    imig_cluster_unref(cluster);
}

/* Neither host gets within its limits; one VM that moves is as near as two that change places. */
static void
two_do_not_move_where_one_does(void **unused)
{
    imig_cluster *cluster = imig_cluster_new(0);
    imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
    imig_plan_step step = IMIG_PLAN_STEP_INIT;

    (void) unused;
    add_host(cluster, "a", 8, 32);
    add_host(cluster, "b", 8, 32);
    add_vm(cluster, "x", 0, 3.6, 8e9 / GIB, CPU);
    add_vm(cluster, "y", 0, 3.5, 8e9 / GIB, CPU);
    add_vm(cluster, "z", 1, 1, 8e9 / GIB, CPU);
    finish(cluster);
    options.goal = "level";
    for (uint64_t seed = 0; seed < 5; seed++) {
        imig_plan *plan;

        options.seed = seed;
        plan = make(cluster, &options);
        assert_int_equal(imig_plan_step_count(plan), 1);
        assert_int_equal(imig_plan_get_step(plan, 0, &step, NULL), IMIG_OK);
        assert_string_equal(step.vm, "y");
        imig_plan_unref(plan);
    }
    imig_cluster_unref(cluster);
}

/* Whole hosts or nothing: with moves left that is why, not that they are used up, nor the loss. */
static void
who_stays_as_no_host_is_emptied_is_told_so(void **unused)
{
    imig_cluster *cluster = imig_cluster_new(0);
    imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
    imig_plan *plan;
    uint32_t budget = 0, in_use = 0;

    (void) unused;
    for (uint32_t h = 0; h < 4; h++)
        add_host(cluster, h == 0 ? "a" : h == 1 ? "b" : h == 2 ? "c" : "d", 16, 64);
    for (uint32_t v = 0; v < 16; v++) {
        char id[8];

        /* a is above the threshold by what is pinned to it. */
        g_snprintf(id, sizeof id, "v%u", v);
        imig_vm_info vm = a_vm(id, v % 4, v % 4 ? 0.3 : 3.6, 1, CPU);
        vm.movable = v % 4 > 0 || v > 0;
        put_vm(cluster, &vm);
    }
    finish(cluster);
    options.goal = "consolidate";
    options.max_moves = 3;
    options.set = IMIG_PLAN_HAS_MAX_MOVES;
    options.explain = 1;
    plan = make(cluster, &options);
    for (size_t i = 0; i < imig_plan_kept_count(plan); i++) {
        const char *id, *code, *text;

        assert_int_equal(imig_plan_get_kept(plan, i, &id, &code, &text, NULL), IMIG_OK);
        if (strcmp(code, "pinned") == 0)
            continue;
        assert_non_null(strstr(text, "stays in use"));
        budget += strcmp(code, "budget") == 0;
        in_use += strcmp(code, "host-in-use") == 0;
    }
    assert_true(budget >= 4 && in_use >= 3);
    imig_plan_unref(plan);
    imig_cluster_unref(cluster);
}

/* Every host that stays outside is named, with its limits and the reason; read back, the same. */
static void
hosts_left_above_are_named(void **unused)
{
    static const struct {
        double cores[3]; /* the first two on h0, the third on h1 */
        int32_t movable[3];
        uint64_t set;
        const char *code, *text;
    } cases[] = {
        { { 6, 4, 2 }, { 0, 0, 1 }, 0, "fixed-vms", "CPU 62.5 % of at most 41.2 %; what cannot "
          "leave is more than that already: a (pinned), b (pinned)" },
        { { 8, 0, 2 }, { 1, 0, 1 }, 0, "too-large", "CPU 50.0 % of at most 34.4 %; each VM that "
          "could leave is above the limits of every host it may be on" },
        { { 6, 4, 2 }, { 1, 1, 1 }, IMIG_PLAN_HAS_MAX_MOVES, "budget", "CPU 62.5 % of at most "
          "41.2 %; the budget of migrations or bytes is used up" },
        { { 5, 5, 4.6 }, { 1, 1, 1 }, 0, "above-level", "CPU 62.5 % of at most 50.2 %; nothing "
          "better was found" },
    };

    (void) unused;
    for (size_t c = 0; c < G_N_ELEMENTS(cases); c++) {
        imig_cluster *cluster = imig_cluster_new(0);
        imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
        const char *host, *code, *text;
        imig_plan *plan, *copy = NULL;
        char *json, *again;

        add_host(cluster, "h0", 16, 640);
        add_host(cluster, "h1", 16, 640);
        for (uint32_t v = 0; v < 3; v++) {
            const char *const ids[] = { "a", "b", "c" };
            imig_vm_info vm = a_vm(ids[v], v == 2, cases[c].cores[v], v == 2 ? 8 : 4, CPU);

            vm.movable = cases[c].movable[v];
            put_vm(cluster, &vm);
        }
        finish(cluster);
        options.goal = "level";
        options.set = cases[c].set;
        plan = make(cluster, &options);
        assert_false(summary_of(plan).complete);
        assert_int_equal(imig_plan_above_count(plan), 1);
        assert_int_equal(imig_plan_get_above(plan, 0, &host, &code, &text, NULL), IMIG_OK);
        assert_string_equal(host, "h0");
        assert_string_equal(code, cases[c].code);
        assert_string_equal(text, cases[c].text);
        assert_int_equal(imig_plan_get_above(plan, 1, &host, NULL, NULL, NULL),
                         IMIG_ERR_ARGUMENT);
        assert_int_equal(imig_plan_to_json(plan, &json, NULL, NULL), IMIG_OK);
        assert_int_equal(imig_plan_from_json(json, strlen(json), &copy, NULL), IMIG_OK);
        assert_int_equal(imig_plan_to_json(copy, &again, NULL, NULL), IMIG_OK);
        assert_string_equal(json, again);
        imig_free(json);
        imig_free(again);
        imig_plan_unref(plan);
        imig_plan_unref(copy);
        imig_cluster_unref(cluster);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_tolerance_moves_no_more),
        cmocka_unit_test(a_budget_repairs_first),
        cmocka_unit_test(hosts_left_above_are_named),
        cmocka_unit_test(two_do_not_move_where_one_does),
        cmocka_unit_test(who_stays_as_no_host_is_emptied_is_told_so),
        cmocka_unit_test(a_wish_for_spare_hosts_that_cannot_be_had_is_said),
    };

    return cmocka_run_group_tests_name("planner-level", tests, NULL, NULL);
}
