/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_TESTS_SCHEDULE_CHECK_H
#define IMIG_TESTS_SCHEDULE_CHECK_H

/* Schedules as the verifier wants them.  To be included after <cmocka.h>. */

#include "plan/schedule-priv.h"

#include "verify.h"

static inline void
make_schedule(const imig_cluster *cluster, const imig__move *moves, size_t n,
              const imig__schedule_options *options, imig__schedule *schedule)
{
    int32_t *workload = g_new(int32_t, cluster->vm_count);
    imig__traffic *home;

    for (size_t i = 0; i < cluster->vm_count; i++)
        workload[i] = IMIG_WORKLOAD_CPU;
    home = imig__traffic_new(cluster, workload, NULL);
    imig__schedule_make(cluster, home, moves, n, options, schedule);
    imig__traffic_free(home);
    g_free(workload);
}

/* Everything that must hold of every schedule. */
static inline void
check_schedule(const imig_cluster *cluster, const imig__move *moves, size_t n,
               const imig__schedule_options *options, const imig__schedule *schedule)
{
    verify_step *steps = g_new(verify_step, schedule->step_count);
    uint32_t *want = g_new(uint32_t, cluster->vm_count);
    double last = 0;
    char *what;

    for (size_t i = 0; i < cluster->vm_count; i++)
        want[i] = cluster->vms[i].host;
    for (size_t i = 0; i < n; i++)
        want[moves[i].vm] = moves[i].to;
    for (size_t i = 0; i < schedule->stuck_count; i++) {
        uint32_t vm = moves[schedule->stuck[i]].vm;

        want[vm] = cluster->vms[vm].host;
        assert_true(i == 0 || schedule->stuck[i - 1] < schedule->stuck[i]);
        for (size_t j = 0; j < n; j++)
            if (moves[j].group == moves[schedule->stuck[i]].group)
                want[moves[j].vm] = cluster->vms[moves[j].vm].host;
    }
    for (size_t i = 0; i < schedule->step_count; i++) {
        const imig__scheduled *s = &schedule->steps[i];

        assert_int_equal(moves[s->move].vm, s->vm);
        assert_int_equal(s->parking, s->to != moves[s->move].to);
        steps[i] = (verify_step) { s->vm, s->from, s->to, s->start_s,
                                   s->start_s + s->cost.time_s };
        last = MAX(last, steps[i].end_s);
    }
    what = verify_steps(cluster, steps, schedule->step_count, options->concurrency,
                        options->max_parallel, want);
    if (what)
        fail_msg("%s", what);
    assert_true(schedule->makespan_s == last);
    assert_true(schedule->makespan_bound_s <= last * (1 + 1e-9));
    g_free(steps);
    g_free(want);
}

#endif
