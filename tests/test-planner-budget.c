/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Plans under a budget of moves or bytes, beside all that could be done with it: every sequence of
 * moves that memory allows, on clusters so small that all of them can be tried.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "clusters.h"
#include "cost/loss-priv.h"
#include "policy/problem-priv.h"

#include <imig/imig.h>
#include <math.h>

enum { HOSTS = 3, VMS = 7, SEEDS = 40, MOST_MOVES = 3 };

struct search {
    const imig__problem *problem;
    imig__state *state;
    double best; /* the least loss so far */
};

/* A VM moves once at most: twice would be worse than at once, or the way around somebody. */
static void
try_all(struct search *s, double bytes, uint32_t moves)
{
    s->best = MIN(s->best, imig__state_loss(s->state));
    if (moves == 0)
        return;
    for (uint32_t v = 0; v < VMS; v++) {
        uint32_t home = s->problem->load->home[v];
        double size = s->problem->load->brings[v].memory;

        if (s->state->host[v] != home || size > bytes)
            continue;
        for (uint32_t h = 0; h < HOSTS; h++) {
            if (!imig__space_fits(s->problem->space, s->state, v, h, IMIG_NO_INDEX))
                continue;
            imig__state_move(s->state, v, h);
            try_all(s, bytes - size, moves - 1);
            imig__state_move(s->state, v, home);
        }
    }
}

/* The least loss within a budget; *before: with nothing done. */
static double
best_within(const imig_cluster *cluster, const int32_t *workload, const imig_plan_options *options,
            double *before)
{
    imig__problem problem;
    struct search s = { .problem = &problem };

    assert_int_equal(imig__problem_init(&problem, cluster, workload, NULL, &imig__loss_defaults,
                                        options->threshold, 0, NULL), IMIG_OK);
    s.state = problem.state;
    s.best = *before = imig__state_loss(problem.state);
    try_all(&s, options->set & IMIG_PLAN_HAS_MAX_BYTES ? options->max_bytes : INFINITY,
            options->set & IMIG_PLAN_HAS_MAX_MOVES ? options->max_moves : MOST_MOVES + 1);
    imig__problem_clear(&problem);
    return s.best;
}

/* What a plan that takes whatever gains leaves of what could be gained within the budget. */
static double
left_of(const imig_cluster *cluster, const int32_t *workload, imig_plan_options *options,
        double *gain)
{
    imig_plan_totals before = IMIG_PLAN_TOTALS_INIT, after = IMIG_PLAN_TOTALS_INIT;
    imig_plan *plan = NULL;
    double bytes = 0, loss, best;

    options->workload = workload;
    options->set |= IMIG_PLAN_HAS_GAIN_RATIO | IMIG_PLAN_HAS_NOISE_RATIO | IMIG_PLAN_HAS_THRESHOLD;
    options->gain_ratio = options->noise_ratio = 0;
    options->threshold = 100;
    assert_int_equal(imig_plan_make(cluster, options, &plan, NULL), IMIG_OK);
    for (size_t i = 0; i < imig_plan_step_count(plan); i++) {
        imig_plan_step step = IMIG_PLAN_STEP_INIT;

        imig_plan_get_step(plan, i, &step, NULL);
        for (uint32_t v = 0; v < VMS; v++)
            if (g_str_equal(cluster->vms[v].id, step.vm))
                bytes += cluster->vms[v].memory_bytes;
    }
    if (options->set & IMIG_PLAN_HAS_MAX_MOVES)
        assert_true(imig_plan_step_count(plan) <= options->max_moves);
    if (options->set & IMIG_PLAN_HAS_MAX_BYTES)
        assert_true(bytes <= options->max_bytes);
    imig_plan_get_totals(plan, &before, &after, NULL);
    best = best_within(cluster, workload, options, &loss);
    assert_true(fabs(loss - before.loss) <= 1e-6 * loss);
    assert_true(after.loss <= before.loss * (1 + 1e-9));
    imig_plan_unref(plan);
    *gain = before.loss - best;
    return MAX(after.loss - best, 0);
}

/* Of what can be gained with so much: less than 1 % is left in all, and nothing gets worse. */
static void
little_is_left_within_a_budget(void **unused)
{
    (void) unused;
    for (uint32_t i = 0; i < 2 * MOST_MOVES; i++) {
        gboolean bytes = i % 2;
        double all = 0, all_left = 0;

        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            const cluster_shape shape = {
                .hosts = HOSTS, .vms = VMS, .cpu = 0.6, .memory = 0.6 + 0.1 * (double) (seed % 4),
                .skew = seed / 2 % 2 == 1, .unequal = seed / 4 % 2 == 1,
            };
            int32_t workload[VMS];
            imig_cluster *cluster = make_cluster(&shape, 1000 * i + seed, workload);
            imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
            double gain;

            options.set = bytes ? IMIG_PLAN_HAS_MAX_BYTES : IMIG_PLAN_HAS_MAX_MOVES;
            options.max_moves = 1 + i / 2;
            options.max_bytes = 4e9 * (1 + i / 2);
            all_left += left_of(cluster, workload, &options, &gain);
            all += gain;
            imig_cluster_unref(cluster);
        }
        print_message("# %s %u: %.3f %% left\n", bytes ? "4e9 bytes x" : "moves", 1 + i / 2,
                      100 * all_left / all);
        assert_true(all > 0 && all_left <= 0.01 * all);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(little_is_left_within_a_budget),
    };

    return cmocka_run_group_tests_name("planner-budget", tests, NULL, NULL);
}
