/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/consolidate-priv.h"

#include "model/cluster-priv.h"

#include <math.h>
#include <stdlib.h>

/*
 * How many hosts are needed at least.  Three arguments, each for CPU and for memory: hosts with VMs
 * that cannot leave stay in use; the largest hosts together must have what is in demand; and no
 * two VMs that are larger than half of the largest host share one (bound L2 of Martello and Toth
 * 1990, for bin packing).
 */

#define SLACK 1e-9

struct one_pool {
    double *capacity; /* [hosts] the hosts in use in any case first, then the largest first */
    double *size;     /* [vms] largest first */
    uint32_t hosts, forced, vms;
    double total;
};

static int
compare_down(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;

    return (x < y) - (x > y);
}

/* What the first n hosts have without the largest `spare` of them. */
static double
capacity_of(const struct one_pool *pool, uint32_t n, uint32_t spare)
{
    double *sorted = g_memdup2(pool->capacity, (n + 1) * sizeof *sorted), sum = 0;

    qsort(sorted, n, sizeof *sorted, compare_down);
    for (uint32_t i = MIN(spare, n); i < n; i++)
        sum += sorted[i];
    g_free(sorted);
    return sum;
}

static uint32_t
by_sum(const struct one_pool *pool, uint32_t spare)
{
    uint32_t low = MAX(pool->forced, pool->vms > 0), high = pool->hosts;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (capacity_of(pool, middle, spare) * (1 + SLACK) >= pool->total)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Bound L2: the most over all sizes that count as small. */
static uint32_t
by_size(const struct one_pool *pool)
{
    double largest = 0, *sum = g_new(double, pool->vms + 1);
    uint32_t halves = 0, most = 0;

    for (uint32_t h = 0; h < pool->hosts; h++)
        largest = MAX(largest, pool->capacity[h] * (1 + SLACK));
    sum[0] = 0;
    for (uint32_t i = 0; i < pool->vms; i++) {
        sum[i + 1] = sum[i] + pool->size[i];
        halves += pool->size[i] > largest / 2;
    }
    /* Nothing smaller than item i counts; the first `alone` have no room for it, and the other
       large ones take what still fits beside them. */
    for (uint32_t i = halves, alone = halves; i < pool->vms && largest > 0; i++) {
        double small = pool->size[i], left;
        uint32_t needed = halves;

        if (small <= 0)
            break;
        while (alone > 0 && pool->size[alone - 1] <= largest - small)
            alone--;
        left = sum[i + 1] - sum[halves]
               - ((halves - alone) * largest - (sum[halves] - sum[alone]));
        if (left > SLACK * largest)
            needed += (uint32_t) ceil(left / largest - SLACK);
        most = MAX(most, needed);
    }
    g_free(sum);
    return MAX(most, halves);
}

static uint32_t
bound_of(struct one_pool *pool, uint32_t spare)
{
    qsort(pool->size, pool->vms, sizeof *pool->size, compare_down);
    qsort(pool->capacity + pool->forced, pool->hosts - pool->forced, sizeof *pool->capacity,
          compare_down);
    return MIN(MAX(by_sum(pool, spare), by_size(pool)), pool->hosts);
}

/* The two resources of one pool; forced: [hosts] in use in any case. */
static uint32_t
pool_bound(const imig__space *space, const imig__state *home, const imig__limits *limits,
           const uint8_t *forced, uint32_t number, uint32_t spare, struct one_pool *cpu,
           struct one_pool *memory)
{
    const uint32_t *pool_of = space->cluster->host_pool;
    double overhead = INFINITY;

    *cpu = (struct one_pool) { cpu->capacity, cpu->size, 0, 0, 0, 0 };
    *memory = (struct one_pool) { memory->capacity, memory->size, 0, 0, 0, 0 };
    for (int in_any_case = 1; in_any_case >= 0; in_any_case--)
        for (uint32_t h = 0; h < space->load->hosts; h++) {
            if (pool_of[h] != number || !space->accepts[h] || forced[h] != in_any_case)
                continue;
            overhead = MIN(overhead, space->overhead[h]);
            cpu->capacity[cpu->hosts++] = limits->cpu[h];
            memory->capacity[memory->hosts++] = limits->memory[h];
            cpu->forced = memory->forced += (uint32_t) in_any_case;
        }
    for (uint32_t v = 0; v < space->load->vms; v++) {
        uint32_t h = home->host[v];

        if (pool_of[h] != number || !space->accepts[h])
            continue;
        cpu->total += cpu->size[cpu->vms++] = space->load->brings[v].cpu;
        memory->total += memory->size[memory->vms++] = space->load->brings[v].memory + overhead;
    }
    return MAX(bound_of(cpu, spare), bound_of(memory, spare));
}

uint32_t
imig__consolidate_bound(const imig__space *space, const imig__state *home,
                        const imig__limits *limits, const char *const *fixed,
                        uint32_t spare_hosts)
{
    uint32_t hosts = space->load->hosts, vms = space->load->vms, bound = 0;
    uint8_t *forced = g_new0(uint8_t, hosts + 1);
    struct one_pool cpu = { g_new(double, hosts + 1), g_new(double, vms + 1), 0, 0, 0, 0 };
    struct one_pool memory = { g_new(double, hosts + 1), g_new(double, vms + 1), 0, 0, 0, 0 };

    for (uint32_t v = 0; v < vms; v++)
        forced[home->host[v]] |= fixed[v] != NULL;
    for (uint32_t p = 0; p < space->cluster->pool_count; p++)
        bound += pool_bound(space, home, limits, forced, p, spare_hosts, &cpu, &memory);
    g_free(forced);
    g_free(cpu.capacity);
    g_free(cpu.size);
    g_free(memory.capacity);
    g_free(memory.size);
    return bound;
}
