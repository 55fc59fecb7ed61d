/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/level-run-priv.h"

#include "model/cluster-priv.h"
#include "policy/random-priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/*
 * A large pool is levelled in parts, each with its share of the full and of the empty hosts: the
 * time grows with the pool and not faster, and a part stays in the processor's cache.
 */
enum {
    PART_HOSTS = 256,
    PART_ITEMS = 5000,
    LEAST_PROPOSALS = 1000000, /* for a part */
    ITEM_PROPOSALS = 200,      /* for each item, where that is more */
    TRIES = 2,                 /* where the first is not close to the bound */
    SMALL_ITEMS = 200,         /* below it several shorter tries do better than one */
    SMALL_TRIES = 8,
    LARGE_ITEMS = 2000,
    RETRIES = 3                /* with what is still over, and other hosts */
};

/* So close to the bound it is not tried again; where a try takes longer, a little less close. */
#define GOOD 1.004
#define GOOD_LARGE 1.012

/* Lost cores for each core of a full host: hosts that are even are what the goal is about, beside
   fewer bytes. */
#define EVEN 0.1

/* -- what there is -- */

static gboolean
may_leave(const imig__space *space, const imig__state *state, uint32_t vm)
{
    uint32_t u = space->unit[vm], host = state->host[vm];

    if (!space->accepts[host] || imig__space_unit_fixed(space, vm))
        return FALSE;
    for (uint32_t i = space->unit_begin[u]; i < space->unit_begin[u + 1]; i++)
        if (state->host[space->unit_vm[i]] != host)
            return FALSE;
    return TRUE;
}

static imig__level_item
make_item(const imig__space *space, const imig__state *state, uint32_t vm, double unit_bytes,
          gboolean *tied)
{
    const imig__load *load = space->load;
    uint32_t u = space->unit[vm], home = load->home[vm];
    imig__level_item item = { .host = state->host[vm] };

    *tied = FALSE;
    for (uint32_t i = space->unit_begin[u]; i < space->unit_begin[u + 1]; i++) {
        uint32_t v = space->unit_vm[i];

        item.cpu += load->brings[v].cpu;
        item.memory += load->brings[v].memory / unit_bytes;
        item.count++;
        *tied |= (space->tied[v] & (IMIG__TIED_UNIT | IMIG__TIED_RULE | IMIG__TIED_HOSTS)) != 0;
        if (load->home[v] != home)
            home = IMIG_NO_HOST;
    }
    /* What had to leave, or was never in one place, is nowhere at home: it moves in any case. */
    item.home = home != IMIG_NO_HOST && space->accepts[home] ? home : IMIG_NO_HOST;
    item.bytes = item.memory;
    return item;
}

static double
unit_of(const imig__load *load)
{
    double all = 0;

    for (uint32_t v = 0; v < load->vms; v++)
        all += load->brings[v].memory;
    return load->vms > 0 && all > 0 ? exp2(floor(log2(all / load->vms / 8))) : 1;
}

static void
make_items(imig__level_run *run, const imig__state *state)
{
    const imig__space *space = run->space;
    uint32_t hosts = space->load->hosts, *fill = NULL, nowhere;

    run->begin = g_new0(uint32_t, hosts + 2);
    for (int pass = 0; pass < 2; pass++) {
        fill = pass ? g_memdup2(run->begin, (hosts + 2) * sizeof *fill) : NULL;
        for (uint32_t u = 0; u < space->units; u++) {
            uint32_t vm = space->unit_vm[space->unit_begin[u]], at;
            imig__level_item item;
            gboolean tied;

            if (!may_leave(space, state, vm))
                continue;
            item = make_item(space, state, vm, run->unit_bytes, &tied);
            nowhere = item.home == IMIG_NO_HOST ? hosts : item.home;
            if (!pass) {
                run->begin[nowhere + 1]++;
                continue;
            }
            at = fill[nowhere]++;
            run->items[at] = item;
            run->vm[at] = vm;
            run->tied[at] = (uint8_t) tied;
        }
        if (pass)
            break;
        for (uint32_t h = 0; h <= hosts; h++)
            run->begin[h + 1] += run->begin[h];
        run->count = run->begin[hosts + 1];
        run->items = g_new(imig__level_item, run->count + 1);
        run->vm = g_new(uint32_t, run->count + 1);
        run->tied = g_new(uint8_t, run->count + 1);
    }
    g_free(fill);
}

static void
make_hosts(imig__level_run *run, const imig__state *state, const imig__limits *limits)
{
    const imig__space *space = run->space;
    uint32_t hosts = space->load->hosts, pools = space->cluster->pool_count;
    double *cpu = g_new0(double, pools), *memory = g_new0(double, pools);

    run->hosts = g_new(imig__level_host, hosts + 1);
    for (uint32_t h = 0; h < hosts; h++) {
        uint32_t pool = space->cluster->host_pool[h];

        if (!space->accepts[h] || isinf(limits->cpu[h]) || isinf(limits->memory[h]))
            continue;
        cpu[pool] += limits->cpu[h];
        memory[pool] += limits->memory[h] / run->unit_bytes;
    }
    for (uint32_t h = 0; h < hosts; h++) {
        uint32_t pool = space->cluster->host_pool[h];
        double scale = cpu[pool] > 0 && memory[pool] > 0 ? memory[pool] / cpu[pool] : 1;

        run->hosts[h] = (imig__level_host) {
            .cpu = state->sums[h].cpu * scale,
            .memory = imig__space_memory(space, state, h) / run->unit_bytes,
            .cpu_limit = limits->cpu[h] * scale,
            .memory_limit = limits->memory[h] / run->unit_bytes,
            .overhead = space->overhead[h] / run->unit_bytes,
        };
        for (uint32_t i = run->begin[h]; i < run->begin[h + 1]; i++)
            run->items[i].cpu *= scale;
    }
    for (uint32_t i = run->begin[hosts]; i < run->count; i++) {
        uint32_t pool = space->cluster->host_pool[run->items[i].host];

        run->items[i].cpu *= cpu[pool] > 0 && memory[pool] > 0 ? memory[pool] / cpu[pool] : 1;
    }
    g_free(cpu);
    g_free(memory);
}

/*
 * Nothing helps a host whose VMs that cannot leave are over its limit; all it can do is shed the
 * others.  A VM that is over the limits of every host does as well alone at home as anywhere.
 */
static void
lift_limits(imig__level_run *run)
{
    const uint32_t *pool = run->space->cluster->host_pool;
    uint32_t hosts = run->space->load->hosts, pools = run->space->cluster->pool_count;
    double *cpu = g_new(double, 2 * hosts + 1), *memory = cpu + hosts;
    double *most_cpu = g_new0(double, 2 * pools + 1), *most_memory = most_cpu + pools;

    for (uint32_t h = 0; h < hosts; h++) {
        cpu[h] = run->hosts[h].cpu;
        memory[h] = run->hosts[h].memory;
    }
    for (uint32_t h = 0; h < hosts; h++) {
        if (!run->space->accepts[h])
            continue;
        most_cpu[pool[h]] = MAX(most_cpu[pool[h]], run->hosts[h].cpu_limit);
        most_memory[pool[h]] = MAX(most_memory[pool[h]], run->hosts[h].memory_limit);
    }
    for (uint32_t i = 0; i < run->count; i++) {
        const imig__level_item *item = &run->items[i];
        uint32_t h = item->host;

        if (h == item->home && (imig__level_is_over(item->cpu, most_cpu[pool[h]])
                                || imig__level_is_over(item->memory, most_memory[pool[h]])))
            continue;
        cpu[h] -= item->cpu;
        memory[h] -= item->memory + item->count * run->hosts[h].overhead;
    }
    for (uint32_t h = 0; h < hosts; h++) {
        run->hosts[h].cpu_limit = MAX(run->hosts[h].cpu_limit, cpu[h]);
        run->hosts[h].memory_limit = MAX(run->hosts[h].memory_limit, memory[h]);
    }
    g_free(most_cpu);
    g_free(cpu);
}

static imig__level_run *
run_new(const imig__space *space, const imig__state *state, const imig__limits *limits,
        const imig__level_options *options)
{
    imig__level_run *run = g_new0(imig__level_run, 1);
    uint32_t hosts = space->load->hosts;

    run->space = space;
    run->options = options;
    run->unit_bytes = unit_of(space->load);
    run->places.load = space->load;
    run->places.host = g_memdup2(state->host, space->load->vms * sizeof(uint32_t));
    make_items(run, state);
    make_hosts(run, state, limits);
    lift_limits(run);
    run->cover = imig__cover_new();
    run->leaving = g_new(imig__cover_item, run->count + 1);
    run->chosen = g_new(uint8_t, run->count + 1);
    run->part = g_new(uint32_t, hosts + 1);
    run->target = g_new(uint32_t, hosts + 1);
    run->movable = g_new(uint32_t, run->count + 1);
    run->away = g_new(uint32_t, run->count + 1);
    run->away_at = g_new(uint32_t, run->count + 1);
    run->best = g_new(uint32_t, run->count + 1);
    run->changed = g_new(uint32_t, run->count + 1);
    run->is_changed = g_new0(uint8_t, run->count + 1);
    return run;
}

static void
run_free(imig__level_run *run)
{
    g_free(run->places.host);
    g_free(run->hosts);
    g_free(run->items);
    g_free(run->begin);
    g_free(run->vm);
    g_free(run->tied);
    imig__cover_free(run->cover);
    g_free(run->leaving);
    g_free(run->chosen);
    g_free(run->part);
    g_free(run->target);
    g_free(run->movable);
    g_free(run->away);
    g_free(run->away_at);
    g_free(run->best);
    g_free(run->changed);
    g_free(run->is_changed);
    g_free(run);
}

/* -- one part -- */

/* What cannot be reached is as near as it gets: from there on it counts as the limit. */
static void
accept_excess(imig__level_run *run)
{
    for (uint32_t p = 0; p < run->part_count; p++) {
        imig__level_host *host = &run->hosts[run->part[p]];

        host->cpu_limit = MAX(host->cpu_limit, host->cpu);
        host->memory_limit = MAX(host->memory_limit, host->memory);
    }
    run->over_count = 0;
    run->bound = -1;
}

/* How long is tried, and how often at least and at most. */
struct effort {
    uint64_t proposals;
    int least_tries, tries;
};

static struct effort
effort_of(const imig__level_run *run)
{
    gboolean small = run->movable_count < SMALL_ITEMS;
    double proposals = MAX(LEAST_PROPOSALS, (double) ITEM_PROPOSALS * run->movable_count);
    struct effort effort = { .least_tries = 1, .tries = TRIES };

    if (run->options->effort > 0)
        proposals *= run->options->effort;
    if (small) {
        proposals /= SMALL_TRIES;
        effort.least_tries = effort.tries = SMALL_TRIES;
    }
    effort.proposals = (uint64_t) proposals;
    return effort;
}

static gboolean
is_good(const imig__level_run *run)
{
    double good = run->movable_count < LARGE_ITEMS ? GOOD : GOOD_LARGE;

    return run->has_best && run->best_bytes <= run->bound * good;
}

static void
level_part(imig__level_run *run, uint64_t seed)
{
    struct effort effort;
    gboolean as_it_was;

    imig__level_begin_part(run);
    effort = effort_of(run);
    if (run->over_count == 0 && run->away_count == 0)
        return;
    as_it_was = run->away_count == 0;
    imig__level_begin(run);
    if (!as_it_was)
        run->bound = -1; /* what is away already changes what has to leave */
    for (int t = 0; t < effort.tries && (t < effort.least_tries || !is_good(run)); t++)
        imig__level_anneal(run, imig__random(seed, (uint64_t) t), effort.proposals,
                           t % 2 ? IMIG__LEVEL_HOT : IMIG__LEVEL_WARM);
}

/* -- a pool -- */

struct ranked {
    uint32_t host;
    double fill;
};

static int
compare_fill(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    if (x->fill != y->fill)
        return x->fill > y->fill ? -1 : 1;
    return (x->host > y->host) - (x->host < y->host);
}

static double
fill_of(const imig__level_host *host)
{
    double cpu = host->cpu_limit > 0 ? host->cpu / host->cpu_limit : 1;
    double memory = host->memory_limit > 0 ? host->memory / host->memory_limit : 1;

    return isinf(host->cpu_limit) ? memory : cpu + memory;
}

/* Dealt like cards, there and back again: every part has its share of the full and the empty. */
static void
take_part(imig__level_run *run, const struct ranked *ranked, uint32_t n, uint32_t part,
          uint32_t parts)
{
    run->part_count = 0;
    for (uint32_t row = 0; row * parts < n; row++) {
        uint32_t at = row * parts + (row % 2 ? parts - 1 - part : part);

        if (at < n)
            run->part[run->part_count++] = ranked[at].host;
    }
}

/* The hosts that are still over, and as many others as make a part. */
static gboolean
take_leftovers(imig__level_run *run, const struct ranked *ranked, uint32_t n, uint64_t seed)
{
    uint32_t over;

    run->part_count = 0;
    for (uint32_t i = 0; i < n && run->part_count < PART_HOSTS / 2; i++)
        if (imig__level_host_over(&run->hosts[ranked[i].host]))
            run->part[run->part_count++] = ranked[i].host;
    over = run->part_count;
    for (uint32_t i = 0, from = (uint32_t) (seed % n); i < n && run->part_count < PART_HOSTS; i++) {
        uint32_t h = ranked[(from + i) % n].host;

        if (!imig__level_host_over(&run->hosts[h]))
            run->part[run->part_count++] = h;
    }
    return over > 0;
}

static void
level_pool(imig__level_run *run, struct ranked *ranked, uint32_t n, uint32_t items)
{
    uint32_t parts = MAX(MAX((n + PART_HOSTS / 2) / PART_HOSTS, items / PART_ITEMS), 1);
    uint64_t seed = run->options->seed;

    run->part_count = n;
    for (uint32_t i = 0; i < n; i++)
        run->part[i] = ranked[i].host;
    imig__level_begin_part(run);
    imig__level_send_home(run);
    for (uint32_t i = 0; i < n; i++)
        ranked[i].fill = fill_of(&run->hosts[ranked[i].host]);
    qsort(ranked, n, sizeof *ranked, compare_fill);
    for (uint32_t part = 0; part < parts; part++) {
        take_part(run, ranked, n, part, parts);
        level_part(run, imig__random(seed, part));
    }
    for (uint32_t retry = 0; parts > 1 && retry < RETRIES; retry++) {
        if (!take_leftovers(run, ranked, n, imig__random(seed, ~(uint64_t) retry)))
            return;
        level_part(run, imig__random(seed, parts + retry));
    }
    if (run->over_count > 0) {
        accept_excess(run);
        imig__level_anneal(run, imig__random(seed, parts + RETRIES), effort_of(run).proposals,
                           IMIG__LEVEL_WARM);
    }
}

static void
level_pools(imig__level_run *run)
{
    const imig__space *space = run->space;
    uint32_t hosts = space->load->hosts;
    struct ranked *ranked = g_new(struct ranked, hosts + 1);
    uint8_t *is_away = g_new0(uint8_t, space->cluster->pool_count + 1);

    for (uint32_t i = 0; i < run->count; i++)
        if (run->items[i].home != IMIG_NO_HOST && run->items[i].host != run->items[i].home)
            is_away[space->cluster->host_pool[run->items[i].home]] = 1;
    for (uint32_t pool = 0; pool < space->cluster->pool_count; pool++) {
        uint32_t n = 0, items = 0, over = 0;

        for (uint32_t h = 0; h < hosts; h++) {
            if (space->cluster->host_pool[h] != pool || !space->accepts[h])
                continue;
            ranked[n++].host = h;
            items += run->begin[h + 1] - run->begin[h];
            over += (uint32_t) imig__level_host_over(&run->hosts[h]);
        }
        if (over > 0 || is_away[pool])
            level_pool(run, ranked, n, items);
    }
    g_free(ranked);
    g_free(is_away);
}

/* -- from outside -- */

gboolean
imig__level(const imig__space *space, imig__state *state, const imig__limits *limits,
            const imig__level_options *options)
{
    imig__level_run *run = run_new(space, state, limits, options);
    gboolean within = TRUE;

    level_pools(run);
    for (uint32_t i = 0; i < run->count; i++)
        if (state->host[run->vm[i]] != run->items[i].host)
            imig__space_unit_move(space, state, run->vm[i], run->items[i].host);
    run_free(run);
    imig__level_polish(space, state, limits, EVEN, options->seed);
    for (uint32_t h = 0; h < space->load->hosts; h++)
        within &= !imig__level_over(space, limits, state, h);
    return within;
}
