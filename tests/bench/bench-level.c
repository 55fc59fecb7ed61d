/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Goal level on clusters of 15 VMs a host: bytes over the proven bound, the worst utilisation over
 * the mean, CPU time of the whole plan; then goal consolidate on the same.  A fifth of the hosts
 * begins with about twice its share, a quarter with a third of it; memory is in whole GiB, or (odd)
 * in whole MiB.  Prints; asserts nothing.
 *
 *     bench-level [TOLERANCE [HOSTS]...]
 */

#include "policy/random-priv.h"

#include <glib.h>
#include <imig/imig.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define GIB 1073741824.0
#define MIB 1048576.0

enum { EACH = 15 };

static double
cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

static double
uniform(uint64_t seed, uint64_t *key)
{
    return (double) (imig__random(seed, (*key)++) >> 11) / 9007199254740992.0;
}

static imig_cluster *
make_cluster(uint32_t hosts, uint64_t seed, gboolean odd, gboolean unequal)
{
    static const double sizes[] = { 2, 4, 4, 8, 8, 8, 12, 16, 16, 24, 32, 48 };
    imig_cluster *cluster = imig_cluster_new(0);
    double *share = g_new(double, hosts), all = 0;
    double *left = g_new(double, hosts);
    uint64_t key = 0;

    for (uint32_t h = 0; h < hosts; h++) {
        imig_host_info host = IMIG_HOST_INFO_INIT;
        double big = unequal && h % 3 == 0 ? 2 : 1;
        char id[16];

        snprintf(id, sizeof id, "h%u", h);
        host.id = id;
        host.cpu_cores = 48 * big;
        host.memory_bytes = left[h] = 384 * GIB * big;
        host.net_bytes_per_s = 1.25e9;
        host.present = IMIG_HOST_HAS_NET;
        if (imig_cluster_add_host(cluster, &host, NULL) != IMIG_OK)
            abort();
        share[h] = big * (h % 10 < 2 ? 2.2 : h % 20 < 7 ? 0.35 : 1);
        all += share[h];
    }
    for (uint32_t v = 0; v < hosts * EACH; v++) {
        imig_vm_info vm = IMIG_VM_INFO_INIT;
        double at = uniform(seed, &key) * all;
        char id[16];
        uint32_t h = 0;

        while (h + 1 < hosts && at >= share[h])
            at -= share[h++];
        snprintf(id, sizeof id, "v%u", v);
        vm.id = id;
        vm.memory_bytes = sizes[(int) (uniform(seed, &key) * G_N_ELEMENTS(sizes))] * GIB;
        if (odd)
            vm.memory_bytes = floor(vm.memory_bytes / MIB * (0.8 + 0.19 * uniform(seed, &key)))
                              * MIB;
        vm.vcpus = (uint32_t) MAX(vm.memory_bytes / GIB / 4, 1);
        vm.cpu_cores = MIN(vm.vcpus, 0.1 + 4 * uniform(seed, &key) * sqrt(vm.vcpus) / 2);
        while (left[h] < vm.memory_bytes)
            h = (h + 1) % hosts;
        left[h] -= vm.memory_bytes;
        vm.host = h;
        vm.workload_class = IMIG_WORKLOAD_CPU;
        vm.present = UINT64_C(1) << IMIG_METRIC_CPU_CORES;
        if (imig_cluster_add_vm(cluster, &vm, NULL) != IMIG_OK)
            abort();
    }
    g_free(share);
    g_free(left);
    if (imig_cluster_finish(cluster, NULL) != IMIG_OK)
        abort();
    return cluster;
}

static void
measure(double tolerance, uint32_t hosts, uint64_t seed, gboolean odd, gboolean unequal)
{
    imig_cluster *cluster = make_cluster(hosts, seed, odd, unequal);
    imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
    imig_plan_summary s = IMIG_PLAN_SUMMARY_INIT;
    imig_plan_totals before = IMIG_PLAN_TOTALS_INIT, after = IMIG_PLAN_TOTALS_INIT;
    imig_plan *plan = NULL;
    double start = cpu_s(), took;

    options.goal = "level";
    options.tolerance = tolerance;
    options.set = IMIG_PLAN_HAS_TOLERANCE;
    if (imig_plan_make(cluster, &options, &plan, NULL) != IMIG_OK)
        abort();
    took = cpu_s() - start;
    imig_plan_get_summary(plan, &s, NULL);
    imig_plan_get_totals(plan, &before, &after, NULL);
    printf("%6u hosts, seed %u%s%s: %9.1f GiB, %.4f x the bound, CPU %.4f and memory %.4f x the "
           "mean%s, CPU max %.2f -> %.2f, %zu steps, %.4f s\n", hosts, (unsigned) seed,
           odd ? ", odd" : "", unequal ? ", unequal" : "", s.moved_bytes / GIB,
           s.moved_bytes_bound > 0 ? s.moved_bytes / s.moved_bytes_bound : 1, s.cpu_to_mean,
           s.memory_to_mean, s.complete ? "" : " (not reached)", before.cpu_max, after.cpu_max,
           imig_plan_step_count(plan), took);
    imig_plan_unref(plan);
    imig_cluster_unref(cluster);
}

static void
measure_consolidation(uint32_t hosts, uint64_t seed)
{
    imig_cluster *cluster = make_cluster(hosts, seed, FALSE, TRUE);
    imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
    imig_plan_summary s = IMIG_PLAN_SUMMARY_INIT;
    imig_plan *plan = NULL;
    double start = cpu_s(), took;

    options.goal = "consolidate";
    if (imig_plan_make(cluster, &options, &plan, NULL) != IMIG_OK)
        abort();
    took = cpu_s() - start;
    imig_plan_get_summary(plan, &s, NULL);
    printf("%6u hosts, consolidated: %u in use, at least %u needed, %9.1f GiB in %zu steps, "
           "%.4f s\n", hosts, s.hosts_in_use, s.hosts_in_use_bound, s.moved_bytes / GIB,
           imig_plan_step_count(plan), took);
    imig_plan_unref(plan);
    imig_cluster_unref(cluster);
}

int
main(int argc, char **argv)
{
    static const uint32_t sizes[] = { 10, 20, 30, 50, 100, 200 }, large[] = { 1000, 10000 };
    double tolerance = argc > 1 ? atof(argv[1]) : 0.1;

    for (int i = 2; i < argc; i++)
        for (uint64_t seed = 1; seed <= 3; seed++)
            measure(tolerance, (uint32_t) atoi(argv[i]), seed, FALSE, FALSE);
    for (size_t i = 0; argc <= 2 && i < G_N_ELEMENTS(sizes); i++)
        for (uint64_t seed = 1; seed <= 3; seed++)
            for (int kind = 0; kind < 3; kind++)
                measure(tolerance, sizes[i], seed, kind == 1, kind == 2);
    for (size_t i = 0; argc <= 2 && i < G_N_ELEMENTS(large); i++)
        measure(tolerance, large[i], 1, FALSE, FALSE);
    for (size_t i = 0; argc <= 2 && i < G_N_ELEMENTS(sizes); i++)
        measure_consolidation(sizes[i], 1);
    for (size_t i = 0; argc <= 2 && i < G_N_ELEMENTS(large); i++)
        measure_consolidation(large[i], 1);
    return 0;
}
