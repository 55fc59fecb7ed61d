/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * How long a plan takes and how good it is, on clusters of growing size: CPU time, growth, the
 * share of what could be gained (loss before - bound) that is left.  Prints; asserts nothing.
 *
 *     bench-plan [HOSTS VMS]...
 */

#include "clusters.h"

#include <imig/imig.h>
#include <stdlib.h>
#include <time.h>

static double
cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

static void
measure(uint32_t hosts, uint32_t vms, double memory, double *last_s)
{
    const cluster_shape shape = { .hosts = hosts, .vms = vms, .cpu = 0.6, .memory = memory,
                                  .skew = 1, .unequal = 1 };
    int32_t *workload = g_new(int32_t, vms);
    imig_cluster *cluster = make_cluster(&shape, 1, workload);
    imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
    imig_plan_totals before = IMIG_PLAN_TOTALS_INIT, after = IMIG_PLAN_TOTALS_INIT;
    imig_plan_summary summary = IMIG_PLAN_SUMMARY_INIT;
    imig_plan *plan = NULL;
    double start, took;

    for (uint32_t v = 0; v < vms; v++)
        workload[v] = IMIG_WORKLOAD_IDLE; /* contention and migration alone: the bound's share */
    options.workload = workload;
    start = cpu_s();
    if (imig_plan_make(cluster, &options, &plan, NULL) != IMIG_OK)
        abort();
    took = cpu_s() - start;
    imig_plan_get_totals(plan, &before, &after, NULL);
    imig_plan_get_summary(plan, &summary, NULL);
    printf("%6u hosts %7u VMs, memory %2.0f %%: %8.4f s CPU", hosts, vms, 100 * memory, took);
    if (*last_s > 0)
        printf(" (%4.1f x)", took / *last_s);
    printf(", %6zu steps, loss %.3f -> %.3f, bound %.3f, left %.2f %%, makespan %.2f x its bound\n",
           imig_plan_step_count(plan), before.loss, after.loss + summary.migration_loss,
           summary.loss_bound,
           100 * (after.contention + summary.migration_loss - summary.loss_bound)
               / (before.contention - summary.loss_bound),
           summary.makespan_s / summary.makespan_bound_s);
    *last_s = took;
    imig_plan_unref(plan);
    imig_cluster_unref(cluster);
    g_free(workload);
}

int
main(int argc, char **argv)
{
    static const uint32_t sizes[][2] = {
        { 10, 150 }, { 100, 1500 }, { 200, 3000 }, { 1000, 20000 }, { 10000, 200000 },
    };
    double last_s = 0;

    for (int i = 1; i + 1 < argc; i += 2)
        measure((uint32_t) atoi(argv[i]), (uint32_t) atoi(argv[i + 1]), 0.7, &last_s);
    for (size_t i = 0; argc < 2 && i < G_N_ELEMENTS(sizes); i++)
        measure(sizes[i][0], sizes[i][1], 0.7, &last_s);
    last_s = 0;
    for (size_t i = 0; argc < 2 && i < 4; i++)
        measure(sizes[i][0], sizes[i][1], 0.92, &last_s);
    return 0;
}
