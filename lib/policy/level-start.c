/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/level-run-priv.h"

#include "model/cluster-priv.h"

#include <math.h>
#include <string.h>

/* Where annealing begins: the cheapest sets leave the hosts that are over, and are packed. */

/* A host that both resources fill evenly is better than one that is merely emptier. */
#define EMPTIER 0.3

gboolean
imig__level_allows(imig__level_run *run, uint32_t item, uint32_t host)
{
    const imig__space *space = run->space;
    uint32_t unit = space->unit[run->vm[item]], from = run->items[item].host;

    for (uint32_t u = space->unit_begin[unit]; u < space->unit_begin[unit + 1]; u++) {
        uint32_t vm = space->unit_vm[u], there;

        if (!imig__space_allows(space, vm, host))
            return FALSE;
        if (!(space->tied[vm] & IMIG__TIED_RULE))
            continue;
        there = imig__space_conflicts(space, &run->places, vm, host, TRUE);
        if (there > 0 && there > imig__space_conflicts(space, &run->places, vm, from, TRUE))
            return FALSE;
    }
    return TRUE;
}

static void
put(imig__level_host *host, const imig__level_item *item, double sign)
{
    host->cpu += sign * item->cpu;
    host->memory += sign * (item->memory + item->count * host->overhead);
}

static void
list_away(imig__level_run *run, uint32_t item)
{
    if (run->items[item].host != run->items[item].home) {
        run->away_at[item] = run->away_count;
        run->away[run->away_count++] = item;
    } else {
        uint32_t last = run->away[--run->away_count];

        run->away[run->away_at[item]] = last;
        run->away_at[last] = run->away_at[item];
    }
}

void
imig__level_move(imig__level_run *run, uint32_t i, uint32_t to)
{
    imig__level_item *item = &run->items[i];
    imig__level_host *from = &run->hosts[item->host], *host = &run->hosts[to];
    gboolean was_away = item->host != item->home, is_away = to != item->home;

    run->over_count -= (uint32_t) imig__level_host_over(from)
                       + (uint32_t) imig__level_host_over(host);
    put(from, item, -1);
    put(host, item, 1);
    run->over_count += (uint32_t) imig__level_host_over(from)
                       + (uint32_t) imig__level_host_over(host);
    item->host = to;
    if (was_away != is_away) {
        run->bytes += is_away ? item->bytes : -item->bytes;
        list_away(run, i);
    }
    if (!run->is_changed[i]) {
        run->is_changed[i] = 1;
        run->changed[run->changed_count++] = i;
    }
    if (run->tied[i]) {
        const imig__space *space = run->space;
        uint32_t unit = space->unit[run->vm[i]];

        for (uint32_t u = space->unit_begin[unit]; u < space->unit_begin[unit + 1]; u++)
            run->places.host[space->unit_vm[u]] = to;
    }
}

static void
take_items(imig__level_run *run, const uint8_t *in_part, gboolean hot)
{
    uint32_t hosts = run->space->load->hosts;

    for (uint32_t p = 0; p <= run->part_count; p++) {
        uint32_t h = p < run->part_count ? run->part[p] : hosts;
        gboolean over = h == hosts || imig__level_host_over(&run->hosts[h]);

        for (uint32_t i = run->begin[h]; over == hot && i < run->begin[h + 1]; i++) {
            const imig__level_item *item = &run->items[i];

            if (!in_part[item->host])
                continue;
            run->movable[run->movable_count++] = i;
            run->best[i] = item->host;
            run->is_changed[i] = 0;
            if (item->host != item->home) {
                run->away_at[i] = run->away_count;
                run->away[run->away_count++] = i;
                run->bytes += item->bytes;
            }
        }
    }
}

void
imig__level_begin_part(imig__level_run *run)
{
    uint8_t *in_part = g_new0(uint8_t, run->space->load->hosts + 1);

    run->target_count = run->movable_count = run->away_count = run->over_count = 0;
    run->changed_count = 0;
    run->bytes = run->bound = 0;
    run->has_best = FALSE;
    for (uint32_t p = 0; p < run->part_count; p++) {
        uint32_t h = run->part[p];
        imig__level_host *host = &run->hosts[h];

        in_part[h] = 1;
        run->over_count += (uint32_t) imig__level_host_over(host);
        if (host->memory_limit > 0)
            run->target[run->target_count++] = h;
    }
    take_items(run, in_part, TRUE);
    run->hot_count = run->movable_count;
    take_items(run, in_part, FALSE);
    g_free(in_part);
}

void
imig__level_send_home(imig__level_run *run)
{
    for (uint32_t m = 0; m < run->movable_count; m++) {
        uint32_t i = run->movable[m], from = run->items[i].host, home = run->items[i].home;
        uint32_t over = run->over_count;

        if (home == IMIG_NO_HOST || from == home || !imig__level_allows(run, i, home))
            continue;
        imig__level_move(run, i, home);
        if (run->over_count > over || imig__level_host_over(&run->hosts[home]))
            imig__level_move(run, i, from);
    }
}

/*
 * What must leave a host for it to be within its limits costs so many units at least; run->chosen:
 * of its items a set that is about as cheap.
 */
static double
leave(imig__level_run *run, uint32_t h)
{
    const imig__level_host *host = &run->hosts[h];
    uint32_t begin = run->begin[h], n = run->begin[h + 1] - begin;

    memset(run->chosen, 0, n);
    for (uint32_t i = 0; i < n; i++) {
        const imig__level_item *item = &run->items[begin + i];
        double unit = run->unit_bytes;

        run->leaving[i] = (imig__cover_item) {
            item->bytes * unit, (item->memory + item->count * host->overhead) * unit, item->cpu,
        };
    }
    return imig__cover_least(run->cover, run->leaving, n,
                             (host->memory - host->memory_limit) * run->unit_bytes,
                             host->cpu - host->cpu_limit, run->chosen)
           / run->unit_bytes;
}

struct packed {
    uint32_t item;
    double size; /* of the larger share of a host's limits */
};

static int
compare_size(const void *a, const void *b)
{
    const struct packed *x = a, *y = b;

    if (x->size != y->size)
        return x->size > y->size ? -1 : 1;
    return (x->item > y->item) - (x->item < y->item);
}

static double
share(double value, double limit)
{
    return limit > 0 && !isinf(limit) ? value / limit : 0;
}

/* The host that is filled best; where it fits nowhere, the one that is least over. */
static uint32_t
best_target(imig__level_run *run, uint32_t i)
{
    const imig__level_item *item = &run->items[i];
    double best = INFINITY, least = INFINITY;
    uint32_t to = item->host, fallback = item->host;

    for (uint32_t t = 0; t < run->target_count; t++) {
        uint32_t h = run->target[t];
        const imig__level_host *host = &run->hosts[h];
        double memory = host->memory + item->memory + item->count * host->overhead;
        double cpu = host->cpu + item->cpu, free_memory, free_cpu, fit, over;

        if (h == item->host || (run->tied[i] && !imig__level_allows(run, i, h)))
            continue;
        free_memory = 1 - share(memory, host->memory_limit);
        free_cpu = 1 - share(cpu, host->cpu_limit);
        fit = fabs(free_cpu - free_memory) - EMPTIER * (free_cpu + free_memory);
        over = MAX(-free_memory, 0) + MAX(-free_cpu, 0);
        if (over <= 0 && fit < best) {
            best = fit;
            to = h;
        } else if (over < least) {
            least = over;
            fallback = h;
        }
    }
    return isinf(best) ? fallback : to;
}

void
imig__level_begin(imig__level_run *run)
{
    GArray *pack = g_array_new(FALSE, FALSE, sizeof(struct packed));

    for (uint32_t p = 0; p < run->part_count; p++) {
        uint32_t h = run->part[p], begin = run->begin[h];
        const imig__level_host *host = &run->hosts[h];
        double least;

        if (!imig__level_host_over(host))
            continue;
        least = leave(run, h);
        run->bound += isinf(least) ? 0 : least;
        for (uint32_t i = 0; i < run->begin[h + 1] - begin; i++) {
            const imig__level_item *item = &run->items[begin + i];
            struct packed packed = {
                begin + i, MAX(share(item->cpu, host->cpu_limit),
                               share(item->memory, host->memory_limit)),
            };

            if (run->chosen[i] && item->host == h)
                g_array_append_val(pack, packed);
        }
    }
    g_array_sort(pack, compare_size);
    for (guint i = 0; i < pack->len; i++) {
        uint32_t item = g_array_index(pack, struct packed, i).item;

        imig__level_move(run, item, best_target(run, item));
    }
    g_array_unref(pack);
}
