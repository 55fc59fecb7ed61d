/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * How long a plan takes, how much memory, and how good it is: CPU time and its growth, peak memory
 * of the process (the cluster included), moves, the share of what could be gained (contention
 * before - bound) that is left, makespan against its bound.  Prints; asserts nothing.
 *
 *     bench-plan [HOSTS VMS MEMORY_PERCENT VARIANT]      one case; the variants are those below
 */

#include "clusters.h"

#include <imig/imig.h>
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What is in the cluster beside contention and memory. */
static const struct variant {
    const char *name;
    gboolean classes, flows, unequal;
    int32_t explain;
} variants[] = {
    { "plain", FALSE, FALSE, FALSE, 0 },
    { "unequal", FALSE, FALSE, TRUE, 0 },
    { "classes", TRUE, FALSE, FALSE, 0 },
    { "flows", TRUE, TRUE, FALSE, 0 },
    { "explain", FALSE, FALSE, FALSE, 1 },
};

static double
cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

/* A host for a VM: 20 % of the hosts are liked 2.2 times as much, 25 % about a third as much. */
static uint32_t
pick_host(uint32_t hosts, const double *left, double size, uint64_t seed, uint64_t *key)
{
    for (int tries = 0; tries < 200; tries++) {
        uint32_t h = (uint32_t) uniform(seed, key, 0, hosts);
        uint32_t kind = (uint32_t) (imig__random(seed + 1, h) % 20);
        double weight = kind < 4 ? 2.2 : kind < 9 ? 0.35 : 1;

        if (left[h] >= size && uniform(seed, key, 0, 2.2) < weight)
            return h;
    }
    for (uint32_t h = (uint32_t) uniform(seed, key, 0, hosts);; h = (h + 1) % hosts)
        if (left[h] >= size)
            return h;
}

static void
add_hosts(imig_cluster *cluster, uint32_t hosts, double cores, double memory, gboolean unequal,
          double *left)
{
    for (uint32_t h = 0; h < hosts; h++) {
        imig_host_info host = IMIG_HOST_INFO_INIT;
        double scale = !unequal ? 1 : h % 10 < 3 ? 2 : 0.7;
        char id[32];

        snprintf(id, sizeof id, "h%u", h);
        host.id = id;
        host.cpu_cores = floor(cores * scale);
        host.memory_bytes = memory * scale * 1.01; /* 1 %: the last VM has to fit somewhere */
        host.net_bytes_per_s = 1.25e9;
        host.disk_ops_per_s = 20000;
        host.present = IMIG_HOST_HAS_NET | IMIG_HOST_HAS_DISK_OPS;
        left[h] = host.memory_bytes;
        if (imig_cluster_add_host(cluster, &host, NULL) != IMIG_OK)
            abort();
    }
}

static imig_cluster *
make(uint32_t hosts, uint32_t vms, double memory, const struct variant *variant, uint64_t seed,
     int32_t *workload)
{
    static const double vcpus[] = { 1, 2, 2, 4, 4, 8 };
    imig_cluster *cluster = imig_cluster_new(0);
    double *left = g_new(double, hosts), *size = g_new(double, vms), *cpu = g_new(double, vms);
    uint32_t *cores = g_new(uint32_t, vms);
    double all_cpu = 0, all_memory = 0;
    uint64_t key = 0;

    for (uint32_t v = 0; v < vms; v++) {
        cores[v] = (uint32_t) vcpus[(int) uniform(seed, &key, 0, G_N_ELEMENTS(vcpus))];
        all_cpu += cpu[v] = cores[v] * uniform(seed, &key, 0.02, 0.8);
        all_memory += size[v] = cores[v] * (double) (1 << (int) uniform(seed, &key, 0, 3))
                                * 1073741824.0 * 2;
    }
    add_hosts(cluster, hosts, all_cpu / 0.6 / hosts, all_memory / memory / hosts,
              variant->unequal, left);
    for (uint32_t v = 0; v < vms; v++) {
        imig_vm_info vm = IMIG_VM_INFO_INIT;
        char id[32];

        snprintf(id, sizeof id, "v%u", v);
        vm.id = id;
        vm.host = pick_host(hosts, left, size[v], seed, &key);
        left[vm.host] -= size[v];
        vm.vcpus = cores[v];
        vm.memory_bytes = size[v];
        vm.cpu_cores = cpu[v];
        vm.dirty_bytes_per_s = uniform(seed, &key, 0, 2e7);
        vm.working_set_bytes = size[v] * uniform(seed, &key, 0.01, 0.2);
        vm.present = UINT64_C(1) << IMIG_METRIC_CPU_CORES
                     | UINT64_C(1) << IMIG_METRIC_DIRTY_BYTES_PER_S
                     | UINT64_C(1) << IMIG_METRIC_WORKING_SET_BYTES;
        workload[v] = variant->classes
                          ? (int32_t) uniform(seed, &key, 0, IMIG_WORKLOAD_COUNT)
                          : IMIG_WORKLOAD_IDLE;
        if (workload[v] == IMIG_WORKLOAD_DISK_IO) {
            vm.disk_ops_per_s = uniform(seed, &key, 100, 2000);
            vm.present |= UINT64_C(1) << IMIG_METRIC_DISK_OPS_PER_S;
        }
        if (imig_cluster_add_vm(cluster, &vm, NULL) != IMIG_OK)
            abort();
    }
    for (uint32_t i = 0; variant->flows && i < vms / 2; i++)
        if (imig_cluster_add_flow(cluster, (uint32_t) uniform(seed, &key, 0, vms),
                                  (uint32_t) uniform(seed, &key, 0, vms),
                                  uniform(seed, &key, 0, 1e7), NULL) == IMIG_ERR_ABI)
            abort();
    if (imig_cluster_finish(cluster, NULL) != IMIG_OK)
        abort();
    g_free(left);
    g_free(size);
    g_free(cpu);
    g_free(cores);
    return cluster;
}

/* In a process of its own, so that its peak of memory is its own. */
static double
measure(uint32_t hosts, uint32_t vms, double memory, const struct variant *variant, double last_s)
{
    int32_t *workload = g_new(int32_t, vms);
    imig_cluster *cluster = make(hosts, vms, memory, variant, 1, workload);
    imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
    imig_plan_totals before = IMIG_PLAN_TOTALS_INIT, after = IMIG_PLAN_TOTALS_INIT;
    imig_plan_summary summary = IMIG_PLAN_SUMMARY_INIT;
    imig_plan *plan = NULL;
    struct rusage usage;
    double took = INFINITY, left;
    uint32_t parked = 0, stuck = 0;

    options.workload = workload;
    options.explain = variant->explain;
    /* Again and again, small ones most: caches may be cold, and others may use the machine. */
    for (uint32_t i = 0; i < 3 + 4000 / hosts; i++) {
        double start = cpu_s();

        imig_plan_unref(plan);
        if (imig_plan_make(cluster, &options, &plan, NULL) != IMIG_OK)
            abort();
        took = MIN(took, cpu_s() - start);
    }
    getrusage(RUSAGE_SELF, &usage);
    imig_plan_get_totals(plan, &before, &after, NULL);
    imig_plan_get_summary(plan, &summary, NULL);
    printf("%6u hosts %7u VMs %2.0f %% %-8s%9.4f s", hosts, vms, 100 * memory, variant->name,
           took);
    if (last_s > 0)
        printf(" (%4.1f x)", took / last_s);
    else
        printf("         ");
    for (size_t i = 0; i < imig_plan_step_count(plan); i++) {
        imig_plan_step step = IMIG_PLAN_STEP_INIT;

        imig_plan_get_step(plan, i, &step, NULL);
        parked += g_str_equal(step.reason_code, "parks");
    }
    for (size_t i = 0; i < imig_plan_kept_count(plan); i++) {
        const char *code;

        imig_plan_get_kept(plan, i, NULL, &code, NULL, NULL);
        stuck += g_str_equal(code, "no-path");
    }
    left = after.contention + summary.migration_loss - summary.loss_bound;
    printf(" %4ld MB, %6zu steps (%u park, %u without a way), loss %.2f -> %.2f, bound %.2f, "
           "left %.2f %%, makespan %.2f x bound\n", usage.ru_maxrss / 1024,
           imig_plan_step_count(plan), parked, stuck, before.loss,
           after.loss + summary.migration_loss, summary.loss_bound,
           100 * left / (before.contention - summary.loss_bound),
           summary.makespan_s / summary.makespan_bound_s);
    imig_plan_unref(plan);
    imig_cluster_unref(cluster);
    g_free(workload);
    return took;
}

/* Where children leave how long they took. */
static double *shared;

static void
measure_apart(uint32_t hosts, uint32_t vms, double memory, const struct variant *variant)
{
    pid_t child;
    int status = 0;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        *shared = measure(hosts, vms, memory, variant, *shared);
        exit(EXIT_SUCCESS);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        abort();
}

int
main(int argc, char **argv)
{
    static const uint32_t sizes[][2] = {
        { 20, 300 }, { 200, 3000 }, { 1000, 20000 }, { 10000, 200000 },
    };
    static const double memory[] = { 0.7, 0.85, 0.92 };

    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        abort();
    for (size_t v = 0; v < G_N_ELEMENTS(variants); v++)
        for (size_t m = 0; m < G_N_ELEMENTS(memory); m++) {
            *shared = 0;
            if (argc == 5 && g_str_equal(argv[4], variants[v].name) && m == 0)
                measure_apart((uint32_t) atoi(argv[1]), (uint32_t) atoi(argv[2]),
                              atof(argv[3]) / 100, &variants[v]);
            for (size_t i = 0; argc == 1 && i < G_N_ELEMENTS(sizes); i++)
                measure_apart(sizes[i][0], sizes[i][1], memory[m], &variants[v]);
        }
    return EXIT_SUCCESS;
}
