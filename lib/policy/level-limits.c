/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cost/cover-priv.h"
#include "model/cluster-priv.h"
#include "policy/level-priv.h"

#include <math.h>
#include <string.h>

/* The limits of goal level, what is over them, and how few bytes it takes at least. */

imig__limits
imig__limits_new(uint32_t hosts)
{
    imig__limits limits = { g_new(double, hosts + 1), g_new(double, hosts + 1) };

    for (uint32_t h = 0; h < hosts; h++)
        limits.cpu[h] = limits.memory[h] = INFINITY;
    return limits;
}

void
imig__limits_clear(imig__limits *limits)
{
    g_free(limits->cpu);
    g_free(limits->memory);
    limits->cpu = limits->memory = NULL;
}

void
imig__level_limits(const imig__space *space, const imig__state *home, const uint8_t *empties,
                   double tolerance, imig__limits *limits, double *mean_cpu, double *mean_memory)
{
    const imig__load *load = space->load;
    uint32_t pools = space->cluster->pool_count, *pool = space->cluster->host_pool;
    double *cores = g_new0(double, 2 * pools + 1), *room = cores + pools;

    memset(mean_cpu, 0, pools * sizeof *mean_cpu);
    memset(mean_memory, 0, pools * sizeof *mean_memory);
    for (uint32_t h = 0; h < load->hosts; h++) {
        if (!space->accepts[h])
            continue;
        cores[pool[h]] += load->cores[h];
        room[pool[h]] += MAX(space->room[h], 0);
        mean_cpu[pool[h]] += home->sums[h].cpu;
        mean_memory[pool[h]] += imig__space_memory(space, home, h);
    }
    for (uint32_t v = 0; v < load->vms; v++) {
        uint32_t h = home->host[v];

        if (!empties[h] || space->accepts[h] || imig__space_unit_fixed(space, v))
            continue;
        mean_cpu[pool[h]] += load->brings[v].cpu;
        mean_memory[pool[h]] += load->brings[v].memory + space->overhead[h];
    }
    for (uint32_t p = 0; p < pools; p++) {
        mean_cpu[p] = cores[p] > 0 ? mean_cpu[p] / cores[p] : 0;
        mean_memory[p] = room[p] > 0 ? mean_memory[p] / room[p] : 0;
    }
    for (uint32_t h = 0; h < load->hosts; h++) {
        if (!space->accepts[h])
            continue;
        limits->cpu[h] = (1 + tolerance) * mean_cpu[pool[h]] * load->cores[h];
        limits->memory[h] = MIN((1 + tolerance) * mean_memory[pool[h]], 1)
                            * MAX(space->room[h], 0);
    }
    g_free(cores);
}

gboolean
imig__level_over_cpu(const imig__limits *limits, const imig__state *state, uint32_t host)
{
    return imig__level_is_over(state->sums[host].cpu, limits->cpu[host]);
}

gboolean
imig__level_over(const imig__space *space, const imig__limits *limits, const imig__state *state,
                 uint32_t host)
{
    return imig__level_over_cpu(limits, state, host)
           || imig__level_is_over(imig__space_memory(space, state, host), limits->memory[host]);
}

/* -- the bound -- */

/*
 * What leaves with a VM: the VMs of its unit, where they stand together; where they are split, each
 * by itself, which makes the bound no higher.  FALSE where it cannot leave, or another stands for
 * it.
 */
static gboolean
make_item(const imig__space *space, const imig__state *home, const char *const *fixed, uint32_t vm,
          imig__cover_item *item)
{
    const imig__load *load = space->load;
    uint32_t begin = space->unit_begin[space->unit[vm]];
    uint32_t end = space->unit_begin[space->unit[vm] + 1], host = home->host[vm];
    gboolean split = FALSE, stays = FALSE;

    for (uint32_t i = begin; i < end; i++) {
        split |= home->host[space->unit_vm[i]] != host;
        stays |= fixed[space->unit_vm[i]] != NULL;
    }
    if (split ? fixed[vm] != NULL : stays || imig__space_unit_first(space, vm) != vm)
        return FALSE;
    *item = (imig__cover_item) { 0, 0, 0 };
    for (uint32_t i = begin; i < end; i++) {
        uint32_t v = space->unit_vm[i];

        if (split && v != vm)
            continue;
        item->bytes += load->brings[v].memory;
        item->memory += load->brings[v].memory + space->overhead[host];
        item->cpu += load->brings[v].cpu;
    }
    return TRUE;
}

double
imig__level_bound(const imig__space *space, const imig__state *home, const imig__limits *limits,
                  const char *const *fixed)
{
    const imig__load *load = space->load;
    uint32_t hosts = load->hosts, *begin = g_new0(uint32_t, hosts + 1), *fill;
    imig__cover_item *items = g_new(imig__cover_item, load->vms + 1), item;
    uint8_t *chosen = g_new(uint8_t, load->vms + 1);
    imig__cover *cover = imig__cover_new();
    double bound = 0;

    for (uint32_t v = 0; v < load->vms; v++)
        if (make_item(space, home, fixed, v, &item))
            begin[home->host[v] + 1]++;
    for (uint32_t h = 0; h < hosts; h++)
        begin[h + 1] += begin[h];
    fill = g_memdup2(begin, (hosts + 1) * sizeof *fill);
    for (uint32_t v = 0; v < load->vms; v++)
        if (make_item(space, home, fixed, v, &item))
            items[fill[home->host[v]]++] = item;
    for (uint32_t h = 0; h < hosts; h++) {
        uint32_t n = begin[h + 1] - begin[h];

        if (!isinf(limits->cpu[h]) || !isinf(limits->memory[h]))
            bound += imig__cover_least(cover, items + begin[h], n,
                                       imig__space_memory(space, home, h) - limits->memory[h],
                                       home->sums[h].cpu - limits->cpu[h], chosen);
    }
    imig__cover_free(cover);
    g_free(begin);
    g_free(fill);
    g_free(items);
    g_free(chosen);
    return bound;
}
