/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Goal level on clusters of 15 VMs a host: bytes over the better of two proven bounds (the plan's
 * own, by knapsacks, and up to 200 hosts that of the linear program), the worst utilisation over
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

enum { EACH = 15, LP_HOSTS = 200, LP_STEPS = 4000, LP_PATIENCE = 60 };

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

/* -- the bound of the linear program: VMs are divisible -- */

struct priced {
    double limit[2], price[2], excess[2]; /* of CPU and memory */
};

/* A VM stays, or goes to where it is cheapest: what that costs at these prices. */
static double
price_vm(struct priced *hosts, uint32_t n, uint32_t home, const double need[2], double bytes)
{
    double stays = 0, goes = INFINITY;
    uint32_t to = home;

    for (uint32_t h = 0; h < n; h++) {
        double price = hosts[h].price[0] * need[0] + hosts[h].price[1] * need[1];

        if (h == home) {
            stays = price;
        } else if (price + bytes < goes) {
            goes = price + bytes;
            to = h;
        }
    }
    if (stays <= goes)
        to = home;
    for (int r = 0; r < 2; r++)
        hosts[to].excess[r] += need[r];
    return MIN(stays, goes);
}

/* The dual at the prices there are; excess: its slope. */
static double
price_all(const imig_cluster *cluster, struct priced *hosts, uint32_t n, const double unit[2])
{
    double dual = 0;

    for (uint32_t h = 0; h < n; h++)
        for (int r = 0; r < 2; r++) {
            hosts[h].excess[r] = -hosts[h].limit[r];
            dual -= hosts[h].price[r] * hosts[h].limit[r];
        }
    for (uint32_t v = 0; v < imig_cluster_vm_count(cluster); v++) {
        imig_vm_info vm = IMIG_VM_INFO_INIT;
        double need[2];

        imig_cluster_get_vm(cluster, v, &vm, NULL);
        need[0] = vm.cpu_cores / unit[0];
        need[1] = vm.memory_bytes / unit[1];
        dual += price_vm(hosts, n, vm.host, need, vm.memory_bytes / unit[1]);
    }
    return dual;
}

/*
 * Every price of a core and a byte on each host gives a bound (weak duality).  The subgradient
 * method comes near the best, from below; most: bytes of a plan (Polyak's step).
 */
static double
lp_bound(const imig_cluster *cluster, double tolerance, double most)
{
    uint32_t n = (uint32_t) imig_cluster_host_count(cluster);
    struct priced *hosts = g_new0(struct priced, n);
    double all[2] = { 0, 0 }, there[2] = { 0, 0 }, unit[2], best = 0, share = 1;

    for (uint32_t v = 0; v < imig_cluster_vm_count(cluster); v++) {
        imig_vm_info vm = IMIG_VM_INFO_INIT;

        imig_cluster_get_vm(cluster, v, &vm, NULL);
        all[0] += vm.cpu_cores;
        all[1] += vm.memory_bytes;
    }
    unit[1] = GIB;
    unit[0] = all[0] / (all[1] / GIB); /* both resources count alike */
    for (uint32_t h = 0; h < n; h++) {
        imig_host_info host = IMIG_HOST_INFO_INIT;

        imig_cluster_get_host(cluster, h, &host, NULL);
        there[0] += hosts[h].limit[0] = host.cpu_cores;
        there[1] += hosts[h].limit[1] = host.memory_bytes;
    }
    for (uint32_t h = 0; h < n; h++)
        for (int r = 0; r < 2; r++)
            hosts[h].limit[r] *= (1 + tolerance) * all[r] / there[r] / unit[r];
    for (int step = 0, since = 0; step < LP_STEPS; step++) {
        double dual = price_all(cluster, hosts, n, unit), square = 0;

        since = dual > best ? 0 : since + 1;
        best = MAX(best, dual);
        if (since == LP_PATIENCE) {
            share /= 2;
            since = 0;
        }
        for (uint32_t h = 0; h < n; h++)
            for (int r = 0; r < 2; r++)
                if (hosts[h].price[r] > 0 || hosts[h].excess[r] > 0)
                    square += hosts[h].excess[r] * hosts[h].excess[r];
        for (uint32_t h = 0; h < n && square > 0; h++)
            for (int r = 0; r < 2; r++)
                hosts[h].price[r] = MAX(hosts[h].price[r] + share * (most / GIB - dual) / square
                                                                * hosts[h].excess[r], 0);
    }
    g_free(hosts);
    return best * GIB;
}

static void
measure(double tolerance, uint32_t hosts, uint64_t seed, gboolean odd, gboolean unequal)
{
    imig_cluster *cluster = make_cluster(hosts, seed, odd, unequal);
    imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
    imig_plan_summary s = IMIG_PLAN_SUMMARY_INIT;
    imig_plan_totals before = IMIG_PLAN_TOTALS_INIT, after = IMIG_PLAN_TOTALS_INIT;
    imig_plan *plan = NULL;
    double start = cpu_s(), took, lp, bound;
    char text[48] = "";

    options.goal = "level";
    options.tolerance = tolerance;
    options.set = IMIG_PLAN_HAS_TOLERANCE;
    if (imig_plan_make(cluster, &options, &plan, NULL) != IMIG_OK)
        abort();
    took = cpu_s() - start;
    imig_plan_get_summary(plan, &s, NULL);
    imig_plan_get_totals(plan, &before, &after, NULL);
    lp = hosts <= LP_HOSTS ? lp_bound(cluster, tolerance, s.moved_bytes) : 0;
    bound = MAX(s.moved_bytes_bound, lp);
    if (hosts <= LP_HOSTS)
        g_snprintf(text, sizeof text, ", at least %.1f by the LP", lp / GIB);
    printf("%6u hosts, seed %u%s%s: %9.1f GiB, %.4f x the bound (%.1f GiB by knapsacks%s), CPU "
           "%.4f and memory %.4f x the mean%s, CPU max %.2f -> %.2f, %zu steps, %.4f s\n", hosts,
           (unsigned) seed, odd ? ", odd" : "", unequal ? ", unequal" : "", s.moved_bytes / GIB,
           bound > 0 ? s.moved_bytes / bound : 1, s.moved_bytes_bound / GIB, text, s.cpu_to_mean,
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
