/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "clusters.h"

#include <imig/imig.h>
#include <math.h>

/* Clusters of all kinds, most of them in a bad state: what is said of every plan must hold. */

enum { SEEDS = 60 };

static const uint32_t first_host[] = { 0 };

/* Two to sixteen hosts, from idle to far more load than they can carry. */
static imig_cluster *
any_cluster(uint64_t seed, int32_t **workload)
{
    uint64_t key = 0;
    uint32_t hosts = 2 + (uint32_t) uniform(seed, &key, 0, 14);
    uint32_t vms = hosts * (2 + (uint32_t) uniform(seed, &key, 0, 12));
    cluster_shape shape = {
        .hosts = hosts, .vms = vms, .cpu = uniform(seed, &key, 0.4, 1.6),
        .memory = uniform(seed, &key, 0.4, 0.97),
        .flows = uniform(seed, &key, 0, 1) < 0.4 ? (int) (vms / 2) : 0,
        .rules = uniform(seed, &key, 0, 1) < 0.4 ? MIN((int) (vms / 2), 12) : 0,
        .skew = uniform(seed, &key, 0, 1) < 0.7, .unequal = uniform(seed, &key, 0, 1) < 0.5,
        .measured = uniform(seed, &key, 0, 1) < 0.5,
    };

    *workload = g_new(int32_t, vms);
    return make_cluster(&shape, seed, *workload);
}

struct outcome {
    double loss; /* migrations included */
    gboolean complete;
    size_t kept;
};

static struct outcome
plan_with(const imig_cluster *cluster, const int32_t *workload, const char *goal, uint32_t policy)
{
    imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
    imig_plan_totals after = IMIG_PLAN_TOTALS_INIT;
    imig_plan_summary summary = IMIG_PLAN_SUMMARY_INIT;
    imig_plan *plan = NULL;
    struct outcome outcome;

    options.goal = goal;
    options.policy = imig_plan_policy_name(policy);
    options.workload = workload;
    options.drain = first_host;
    options.drain_count = strcmp(goal, "drain") == 0;
    assert_int_equal(imig_plan_make(cluster, &options, &plan, NULL), IMIG_OK);
    assert_int_equal(imig_plan_get_totals(plan, NULL, &after, NULL), IMIG_OK);
    assert_int_equal(imig_plan_get_summary(plan, &summary, NULL), IMIG_OK);
    outcome = (struct outcome) {
        after.loss + summary.migration_loss, summary.complete, imig_plan_kept_count(plan),
    };
    imig_plan_unref(plan);
    return outcome;
}

static void
a_plan_that_is_not_complete_says_why(void **unused)
{
    static const char *const goals[] = { "balance", "relieve", "drain" };
    int incomplete = 0;

    (void) unused;
    for (uint64_t seed = 1000000; seed < 1000000 + SEEDS; seed++) {
        int32_t *workload;
        imig_cluster *cluster = any_cluster(seed, &workload);

        for (size_t g = 0; g < G_N_ELEMENTS(goals); g++)
            for (uint32_t p = 0; imig_plan_policy_name(p); p++) {
                struct outcome outcome = plan_with(cluster, workload, goals[g], p);

                incomplete += !outcome.complete;
                if (!outcome.complete && outcome.kept == 0)
                    fail_msg("seed %d, %s, %s: no reason", (int) seed, goals[g],
                             imig_plan_policy_name(p));
            }
        imig_cluster_unref(cluster);
        g_free(workload);
    }
    assert_true(incomplete > 100);
}

/* But for what errors of measurement could pretend, which moves nothing. */
static void
no_rule_of_thumb_is_better(void **unused)
{
    int compared = 0;

    (void) unused;
    for (uint64_t seed = 1000000; seed < 1000000 + SEEDS; seed++) {
        int32_t *workload;
        imig_cluster *cluster = any_cluster(seed, &workload);
        struct outcome informed = plan_with(cluster, workload, "balance", 0);

        for (uint32_t p = 1; imig_plan_policy_name(p); p++) {
            struct outcome rule = plan_with(cluster, workload, "balance", p);

            if (!rule.complete && informed.complete)
                continue; /* it left a rule broken, which may well cost less */
            compared++;
            if (informed.loss > 1.01 * rule.loss)
                fail_msg("seed %d: %s loses %g, informed %g", (int) seed,
                         imig_plan_policy_name(p), rule.loss, informed.loss);
        }
        imig_cluster_unref(cluster);
        g_free(workload);
    }
    assert_true(compared > SEEDS);
}

/* Whoever does not want to wait gets what was found so far, nothing that is worse than before. */
static void
an_interrupted_search_gives_a_plan(void **unused)
{
    imig_cancel *cancel = imig_cancel_new();

    (void) unused;
    imig_cancel_trigger(cancel);
    for (uint64_t seed = 1000000; seed < 1000000 + SEEDS; seed++) {
        int32_t *workload;
        imig_cluster *cluster = any_cluster(seed, &workload), *later = NULL;
        imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
        imig_plan_totals before = IMIG_PLAN_TOTALS_INIT, after = IMIG_PLAN_TOTALS_INIT;
        imig_plan *plan = NULL;

        options.workload = workload;
        options.cancel = cancel;
        assert_int_equal(imig_plan_make(cluster, &options, &plan, NULL), IMIG_OK);
        assert_int_equal(imig_plan_get_totals(plan, &before, &after, NULL), IMIG_OK);
        assert_true(after.loss <= before.loss * (1 + 1e-9));
        assert_int_equal(imig_plan_apply(plan, cluster, &later, NULL), IMIG_OK);
        imig_cluster_unref(later);
        imig_plan_unref(plan);
        imig_cluster_unref(cluster);
        g_free(workload);
    }
    imig_cancel_unref(cancel);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_that_is_not_complete_says_why),
        cmocka_unit_test(no_rule_of_thumb_is_better),
        cmocka_unit_test(an_interrupted_search_gives_a_plan),
    };

    return cmocka_run_group_tests_name("planner-random", tests, NULL, NULL);
}
