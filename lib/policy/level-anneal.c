/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/level-run-priv.h"

#include "policy/random-priv.h"

#include <math.h>
#include <string.h>

/*
 * Simulated annealing (Kirkpatrick, Gelatt, Vecchi 1983) over bytes away from home plus a price for
 * what is over the limits.  Each host has a price of its own, which rises while it is over and
 * falls while it is not: with one price for all, some host always stays over a little, or the price
 * is so high that nothing moves any more.
 */

enum {
    STAGES = 60,        /* between which the prices change; temperatures in equal ratios */
    EXTRA_STAGES = 60,  /* at the last temperature, where no host may be over and some is */
    LOGS = 4096         /* random numbers that are exponential */
};

/* In units: the mean VM has 8 to 16 of them. */
#define LAST_HEAT 0.1
#define EACH_OVER 0.5 /* for being over at all */
#define SOFT_PRICE 0.5 /* of a soft rule */

#define PROVED 1e-8 /* so close to the bound is as good as it gets */

#define LEAST_WEIGHT 2.0
#define WEIGHT_UP_EARLY 1.0272 /* the sixtieth root of 5 */
#define WEIGHT_UP 1.25
#define WEIGHT_DOWN 0.97

typedef struct annealing {
    imig__level_run *run;
    uint64_t seed, drawn;
    double heat;
    uint32_t over_first; /* of 100 moves are of VMs from hosts that were over */
    double exponential[LOGS];
} annealing;

static inline uint64_t
draw(annealing *a)
{
    return imig__random(a->seed, a->drawn++);
}

/* 0 .. n - 1 from 32 random bits. */
static inline uint32_t
below(uint64_t bits, uint32_t n)
{
    return (uint32_t) (((bits & UINT32_MAX) * n) >> 32);
}

static inline double
excess(double value, double limit)
{
    double over = value - limit;

    return over > IMIG__LEVEL_SLACK * limit ? over + EACH_OVER : 0;
}

static inline double
price(const imig__level_host *host, double cpu, double memory)
{
    return host->weight * (excess(cpu, host->cpu_limit) + excess(memory, host->memory_limit));
}

/* What a host's price rises by with so much more on it. */
static inline double
price_of(const imig__level_host *host, double cpu, double memory)
{
    return price(host, host->cpu + cpu, host->memory + memory)
           - price(host, host->cpu, host->memory);
}

static inline double
bytes_of(const imig__level_item *item, uint32_t host)
{
    return (host != item->home ? item->bytes : 0) - (item->host != item->home ? item->bytes : 0);
}

static double
soft_of(imig__level_run *run, uint32_t item, uint32_t host)
{
    const imig__space *space = run->space;
    uint32_t vm = run->vm[item];

    return SOFT_PRICE
           * ((double) imig__space_conflicts(space, &run->places, vm, host, FALSE)
              - imig__space_conflicts(space, &run->places, vm, run->items[item].host, FALSE));
}

static inline gboolean
accepts(annealing *a, double delta)
{
    return delta <= 0 || delta <= a->heat * a->exponential[draw(a) % LOGS];
}

static void
try_move(annealing *a, uint32_t i, uint32_t to)
{
    imig__level_run *run = a->run;
    const imig__level_item *item = &run->items[i];
    const imig__level_host *from = &run->hosts[item->host], *host = &run->hosts[to];
    double delta;

    if (item->host == to)
        return;
    delta = bytes_of(item, to)
            + price_of(from, -item->cpu, -item->memory - item->count * from->overhead)
            + price_of(host, item->cpu, item->memory + item->count * host->overhead);
    if (run->tied[i]) {
        if (!imig__level_allows(run, i, to))
            return;
        delta += soft_of(run, i, to);
    }
    if (accepts(a, delta))
        imig__level_move(run, i, to);
}

/* Two items change places: i goes where j is, and j where i is. */
static void
try_exchange(annealing *a, uint32_t i, uint32_t j)
{
    imig__level_run *run = a->run;
    const imig__level_item *x = &run->items[i], *y = &run->items[j];
    const imig__level_host *p = &run->hosts[x->host], *q = &run->hosts[y->host];
    uint32_t to = y->host, back = x->host;
    double cpu = y->cpu - x->cpu, memory = y->memory - x->memory, count = y->count - x->count;
    double delta;

    if (to == back)
        return;
    delta = bytes_of(x, to) + bytes_of(y, back)
            + price_of(p, cpu, memory + count * p->overhead)
            + price_of(q, -cpu, -memory - count * q->overhead);
    if (run->tied[i] || run->tied[j]) {
        if (!imig__level_allows(run, i, to) || !imig__level_allows(run, j, back))
            return;
        delta += soft_of(run, i, to) + soft_of(run, j, back);
    }
    if (!accepts(a, delta))
        return;
    imig__level_move(run, i, to);
    /* Each was asked for as the other still stood: two that are to be apart may meet now. */
    if (run->tied[j] && !imig__level_allows(run, j, back))
        imig__level_move(run, i, back);
    else
        imig__level_move(run, j, back);
}

/* A VM, mostly of a host that was over, goes anywhere; one that is away goes home, too. */
static void
propose_move(annealing *a, uint64_t bits)
{
    imig__level_run *run = a->run;
    uint32_t kind = (uint32_t) (bits >> 32) % 100, n = run->movable_count;
    uint64_t more = draw(a);
    uint32_t i = run->movable[below(bits, kind < a->over_first && run->hot_count
                                           ? run->hot_count : n)];
    const imig__level_item *item = &run->items[i];

    if (item->home != IMIG_NO_HOST && item->host != item->home && (more >> 32) % 100 < 40)
        try_move(a, i, item->home);
    else
        try_move(a, i, run->target[below(more, run->target_count)]);
}

static void
propose_away(annealing *a, uint64_t bits)
{
    imig__level_run *run = a->run;
    uint32_t i = run->away[below(bits, run->away_count)];

    if (run->items[i].home != IMIG_NO_HOST && (bits >> 32) % 100 < 20)
        try_move(a, i, run->items[i].home);
    else
        try_move(a, i, run->target[below(draw(a), run->target_count)]);
}

/* One that is away goes home, and another of its home takes its place. */
static void
propose_substitution(annealing *a, uint64_t bits)
{
    imig__level_run *run = a->run;
    uint32_t i = run->away[below(bits, run->away_count)], home = run->items[i].home, n, j;

    if (home == IMIG_NO_HOST)
        return;
    n = run->begin[home + 1] - run->begin[home];
    j = run->begin[home] + below(draw(a), n);
    if (run->items[j].host == home)
        try_exchange(a, i, j);
}

static void
propose_exchange(annealing *a, uint64_t bits)
{
    imig__level_run *run = a->run;
    uint32_t i = run->away[below(bits, run->away_count)];
    uint64_t more = draw(a);

    if ((bits >> 32) % 100 < 80)
        try_exchange(a, i, run->away[below(more, run->away_count)]);
    else
        try_exchange(a, i, run->movable[below(more, run->movable_count)]);
}

static void
propose(annealing *a)
{
    uint64_t bits = draw(a);
    uint32_t kind = (uint32_t) (bits >> 48) % 100;

    if (kind < 35 || a->run->away_count == 0)
        propose_move(a, bits);
    else if (kind < 50)
        propose_away(a, bits);
    else if (kind < 75)
        propose_substitution(a, bits);
    else
        propose_exchange(a, bits);
}

/* Only what has changed since the last time is written down: improvements cost next to nothing. */
static void
keep_best(imig__level_run *run)
{
    if (run->has_best && run->bytes > run->best_bytes - 1e-9)
        return;
    for (uint32_t c = 0; c < run->changed_count; c++) {
        run->best[run->changed[c]] = run->items[run->changed[c]].host;
        run->is_changed[run->changed[c]] = 0;
    }
    run->changed_count = 0;
    run->best_bytes = run->bytes;
    run->has_best = TRUE;
}

static void
change_weights(imig__level_run *run, int stage)
{
    double up = stage < STAGES / 4 ? WEIGHT_UP_EARLY : WEIGHT_UP;

    for (uint32_t p = 0; p < run->part_count; p++) {
        imig__level_host *host = &run->hosts[run->part[p]];

        if (imig__level_host_over(host))
            host->weight *= up;
        else if (stage < STAGES * 6 / 10)
            host->weight = MAX(host->weight * WEIGHT_DOWN, LEAST_WEIGHT);
    }
}

/* How far over all limits together; memory that is not there counts above all. */
static double
all_excess(const imig__level_run *run)
{
    double all = 0;

    for (uint32_t p = 0; p < run->part_count; p++) {
        uint32_t h = run->part[p];
        const imig__level_host *host = &run->hosts[h];
        double room = run->space->room[h] / run->unit_bytes;

        all += MAX(host->cpu - host->cpu_limit, 0) + MAX(host->memory - host->memory_limit, 0)
               + 1e6 * MAX(host->memory - room * (1 + IMIG__LEVEL_SLACK), 0);
    }
    return all;
}

static void
go_to(imig__level_run *run, const uint32_t *host)
{
    for (uint32_t m = 0; m < run->movable_count; m++) {
        uint32_t i = run->movable[m];

        if (run->items[i].host != host[i])
            imig__level_move(run, i, host[i]);
    }
}

static void
remember(const imig__level_run *run, uint32_t *host)
{
    for (uint32_t m = 0; m < run->movable_count; m++)
        host[run->movable[m]] = run->items[run->movable[m]].host;
}

void
imig__level_anneal(imig__level_run *run, uint64_t seed, uint64_t proposals, double heat)
{
    annealing a = { .run = run, .seed = seed, .heat = heat,
                    .over_first = heat > IMIG__LEVEL_WARM ? 50 : 97 };
    uint32_t *nearest = g_new(uint32_t, run->count + 1);
    double least = all_excess(run), least_bytes = run->bytes;
    double cooling = pow(LAST_HEAT / heat, 1.0 / (STAGES - 1));
    uint64_t each = proposals / STAGES + 1;

    for (int i = 0; i < LOGS; i++)
        a.exponential[i] = -log((i + 0.5) / LOGS);
    for (uint32_t p = 0; p < run->part_count; p++)
        run->hosts[run->part[p]].weight = LEAST_WEIGHT;
    remember(run, nearest);
    if (run->over_count == 0)
        keep_best(run);
    for (int stage = 0; stage < STAGES + EXTRA_STAGES; stage++) {
        double now;

        if ((run->has_best && run->best_bytes <= run->bound * (1 + PROVED))
            || (stage >= STAGES && run->has_best) || imig_cancel_level(run->options->cancel))
            break;
        for (uint64_t i = 0; i < each && run->target_count > 0 && run->movable_count > 0; i++) {
            propose(&a);
            if (run->over_count == 0)
                keep_best(run);
        }
        if (stage < STAGES - 1)
            a.heat *= cooling;
        now = run->has_best ? 0 : all_excess(run);
        /* Hosts that change roles are as far over up to rounding: then fewer bytes count. */
        if (now < least - IMIG__LEVEL_SLACK * least
            || (now <= least + IMIG__LEVEL_SLACK * least && run->bytes < least_bytes)) {
            least = now;
            least_bytes = run->bytes;
            remember(run, nearest);
        }
        change_weights(run, stage);
    }
    go_to(run, run->has_best ? run->best : nearest);
    g_free(nearest);
}
