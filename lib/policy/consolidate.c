/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/consolidate-pack-priv.h"

#include "model/cluster-priv.h"

#include <stdlib.h>
#include <string.h>

/*
 * Hosts are emptied one after the other, those that are cheap to empty or small first, each VM
 * going where it fills a host best.  Where the bound allows more than that frees, exchanges are
 * looked for that make room for one host more.
 */

enum {
    FAILURES = 64,    /* hosts that could not be emptied before it ends */
    EXTRA_TRIES = 4,  /* hosts that exchanges may make room for, one at a time */
    EXTRA_HOSTS = 512,
    SWAP_EFFORT = 2000000
};

#define EXTRA_EFFORT 0.1
#define RELIEF_EFFORT 0.3

void
imig__consolidate_limits(const imig__space *space, double threshold, imig__limits *limits)
{
    for (uint32_t h = 0; h < space->load->hosts; h++) {
        if (!space->accepts[h])
            continue;
        limits->cpu[h] = threshold * space->load->cores[h];
        limits->memory[h] = MAX(space->room[h], 0);
    }
}

/* First of all below the threshold; a host that cannot get there takes no more. */
static void
relieve(const imig__space *space, imig__state *state, const imig__consolidate_options *options,
        imig__limits *limits)
{
    const imig__level_options level = {
        .seed = options->seed, .effort = RELIEF_EFFORT, .cancel = options->cancel,
    };
    gboolean over = FALSE;

    for (uint32_t h = 0; h < space->load->hosts; h++)
        over |= space->accepts[h] && imig__level_over(space, limits, state, h);
    if (over)
        imig__level(space, state, limits, &level);
    for (uint32_t h = 0; h < space->load->hosts; h++)
        limits->cpu[h] = MAX(limits->cpu[h], state->sums[h].cpu);
}

struct candidate {
    uint32_t host;
    double key, bytes;
};

static int
compare_key(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? -1 : 1;
    return (x->host > y->host) - (x->host < y->host);
}

static uint32_t
pack(imig__packing *p, const imig__state *state, const struct candidate *candidate, uint32_t n)
{
    uint32_t freed = 0, failures = 0;

    imig__pack_begin(p, state);
    for (uint32_t i = 0; i < n && failures < FAILURES && !imig_cancel_level(p->options->cancel);
         i++) {
        if (!imig__pack_can_do_without(p, candidate[i].host))
            continue;
        if (imig__pack_empty(p, candidate[i].host))
            freed++;
        else
            failures++;
    }
    return freed;
}

/* -- a pool -- */

struct pool {
    imig__packing packing;
    struct candidate *candidate; /* [candidates] hosts that could be emptied, cheapest first */
    uint32_t candidates;
    imig__state *state;          /* before; in the end what was found */
    uint8_t *frees;              /* [hosts] the best so far */
    uint32_t freed;
    double bytes;
    uint32_t *best;              /* [vms] hosts of that placement */
};

static double
bytes_freed(const struct pool *pool, const uint8_t *frees)
{
    double bytes = 0;

    for (uint32_t i = 0; i < pool->candidates; i++)
        bytes += frees[pool->candidate[i].host] ? pool->candidate[i].bytes : 0;
    return bytes;
}

static gboolean
keep_if_better(struct pool *pool, uint32_t freed)
{
    const imig__packing *p = &pool->packing;
    double bytes = bytes_freed(pool, p->frees);

    if (freed < pool->freed || (freed == pool->freed && bytes >= pool->bytes))
        return FALSE;
    pool->freed = freed;
    pool->bytes = bytes;
    for (uint32_t i = 0; i < p->n; i++)
        pool->frees[p->host[i]] = p->frees[p->host[i]];
    memcpy(pool->best, p->places.host, p->space->load->vms * sizeof *pool->best);
    return TRUE;
}

/* Cheap hosts first; small ones; both together.  A size is in shares of what there is to spare. */
static void
try_sequences(struct pool *pool)
{
    imig__packing *p = &pool->packing;
    struct candidate *sequence = g_new(struct candidate, pool->candidates + 1);
    double cpu = MAX(p->spare_cpu, 1e-9), memory = MAX(p->spare_memory, 1);

    for (int kind = 0; kind < 3; kind++) {
        for (uint32_t i = 0; i < pool->candidates; i++) {
            uint32_t h = pool->candidate[i].host;
            double size = p->limits->cpu[h] / cpu + p->limits->memory[h] / memory;

            sequence[i] = pool->candidate[i];
            sequence[i].key = kind == 0 ? sequence[i].bytes
                              : kind == 1 ? size : size * (1 + sequence[i].bytes);
        }
        qsort(sequence, pool->candidates, sizeof *sequence, compare_key);
        keep_if_better(pool, pack(p, pool->state, sequence, pool->candidates));
    }
    g_free(sequence);
}

/* The same number of hosts at fewer bytes: a cheaper one in the place of one that is freed. */
static void
try_swaps(struct pool *pool)
{
    struct candidate *chosen = g_new(struct candidate, pool->candidates + 1);
    double effort = 0, each = (double) pool->packing.n * 16 * (pool->freed + 1);
    gboolean better = TRUE;

    while (better && effort < SWAP_EFFORT) {
        better = FALSE;
        for (uint32_t in = 0; in < pool->candidates && !better; in++)
            for (uint32_t out = pool->candidates; out-- > in + 1 && effort < SWAP_EFFORT;) {
                uint32_t n = 0;

                if (pool->frees[pool->candidate[in].host]
                    || !pool->frees[pool->candidate[out].host]
                    || pool->candidate[in].bytes >= pool->candidate[out].bytes)
                    continue;
                for (uint32_t i = 0; i < pool->candidates; i++)
                    if (i != out && (i == in || pool->frees[pool->candidate[i].host]))
                        chosen[n++] = pool->candidate[i];
                effort += each;
                if (keep_if_better(pool, pack(&pool->packing, pool->state, chosen, n))) {
                    better = TRUE;
                    break;
                }
            }
    }
    g_free(chosen);
}

/* One host more, where others exchange VMs to make room: hosts to be freed have no limits left. */
static gboolean
try_exchanges(struct pool *pool, uint32_t extra)
{
    imig__packing *p = &pool->packing;
    const imig__space *space = p->space;
    const imig__level_options options = {
        .seed = p->options->seed, .effort = EXTRA_EFFORT, .cancel = p->options->cancel,
    };
    imig__limits limits = imig__limits_new(space->load->hosts);
    imig__state *state;
    gboolean done;

    for (uint32_t h = 0; h < space->load->hosts; h++) {
        gboolean frees = pool->frees[h] || h == extra;

        limits.cpu[h] = frees ? 0 : p->limits->cpu[h];
        limits.memory[h] = frees ? 0 : p->limits->memory[h];
    }
    state = imig__state_copy(pool->state);
    done = imig__level(space, state, &limits, &options);
    if (done) {
        pool->frees[extra] = 1;
        pool->freed++;
        memcpy(pool->best, state->host, space->load->vms * sizeof *pool->best);
    }
    imig__state_free(state);
    imig__limits_clear(&limits);
    return done;
}

/* The packing of the pool with what has been freed so far. */
static void
begin_freed(struct pool *pool)
{
    imig__packing *p = &pool->packing;

    imig__pack_begin(p, pool->state);
    for (uint32_t i = 0; i < p->n; i++)
        if (pool->frees[p->host[i]])
            imig__pack_free(p, p->host[i]);
}

static void
try_more(struct pool *pool)
{
    begin_freed(pool);
    for (uint32_t i = 0, tries = 0; i < pool->candidates && tries < EXTRA_TRIES; i++) {
        uint32_t h = pool->candidate[i].host;

        if (pool->frees[h] || !imig__pack_can_do_without(&pool->packing, h))
            continue;
        tries++;
        if (try_exchanges(pool, h))
            begin_freed(pool);
    }
}

static gboolean
can_be_emptied(const struct pool *pool, uint32_t host, double *bytes)
{
    const imig__space *space = pool->packing.space;

    *bytes = 0;
    if (!space->accepts[host])
        return FALSE;
    for (uint32_t i = pool->packing.begin[host]; i < pool->packing.begin[host + 1]; i++) {
        uint32_t vm = pool->packing.vm[i], u = space->unit[vm];

        if (imig__space_unit_fixed(space, vm))
            return FALSE;
        for (uint32_t k = space->unit_begin[u]; k < space->unit_begin[u + 1]; k++)
            if (pool->state->host[space->unit_vm[k]] != host)
                return FALSE;
        if (space->load->home[vm] == host)
            *bytes += space->load->brings[vm].memory;
    }
    return TRUE;
}

static void
consolidate_pool(struct pool *pool)
{
    imig__packing *p = &pool->packing;
    const imig__load *load = p->space->load;

    if (load->vms > 0)
        memcpy(p->places.host, pool->state->host, load->vms * sizeof *p->places.host);
    imig__pack_begin(p, pool->state);
    pool->candidates = pool->freed = 0;
    pool->bytes = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        struct candidate *c = &pool->candidate[pool->candidates];

        c->host = p->host[i];
        if (can_be_emptied(pool, c->host, &c->bytes)) {
            c->key = c->bytes;
            pool->candidates++;
        }
    }
    qsort(pool->candidate, pool->candidates, sizeof *pool->candidate, compare_key);
    if (load->vms > 0)
        memcpy(pool->best, pool->state->host, load->vms * sizeof *pool->best);
    try_sequences(pool);
    try_swaps(pool);
    if (p->n <= EXTRA_HOSTS)
        try_more(pool);
    for (uint32_t v = 0; v < load->vms; v++)
        if (pool->state->host[v] != pool->best[v])
            imig__state_move(pool->state, v, pool->best[v]);
}

/* -- from outside -- */

static uint32_t *
list_vms(const imig__state *state, uint32_t *begin)
{
    uint32_t vms = state->load->vms, *vm = g_new(uint32_t, vms + 1), *fill;

    for (uint32_t v = 0; v < vms; v++)
        begin[state->host[v] + 1]++;
    for (uint32_t h = 0; h < state->load->hosts; h++)
        begin[h + 1] += begin[h];
    fill = g_memdup2(begin, (state->load->hosts + 1) * sizeof *fill);
    for (uint32_t v = 0; v < vms; v++)
        vm[fill[state->host[v]]++] = v;
    g_free(fill);
    return vm;
}

void
imig__consolidate(const imig__space *space, imig__state *state,
                  const imig__consolidate_options *options, uint8_t *frees)
{
    uint32_t hosts = space->load->hosts, vms = space->load->vms, *host = g_new(uint32_t, hosts + 1);
    uint32_t *begin = g_new0(uint32_t, hosts + 1), *vm;
    imig__limits limits = imig__limits_new(hosts);
    struct pool pool = {
        .packing = {
            .space = space, .options = options, .limits = &limits,
            .places = { .load = space->load, .host = g_new(uint32_t, vms + 1) },
            .cpu = g_new(double, hosts + 1), .memory = g_new(double, hosts + 1),
            .first = g_new(uint32_t, hosts + 1), .next = g_new(uint32_t, vms + 1),
            .prev = g_new(uint32_t, vms + 1), .leaving = g_new(uint32_t, vms + 1),
            .begin = begin, .host = host, .frees = g_new0(uint8_t, hosts + 1),
            .takes = g_new(uint32_t, hosts + 1), .takes_at = g_new(uint32_t, hosts + 1),
        },
        .candidate = g_new(struct candidate, hosts + 1),
        .state = state, .frees = frees, .best = g_new(uint32_t, vms + 1),
    };

    imig__consolidate_limits(space, options->threshold, &limits);
    relieve(space, state, options, &limits);
    pool.packing.vm = vm = list_vms(state, begin);
    for (uint32_t number = 0; number < space->cluster->pool_count; number++) {
        pool.packing.n = 0;
        for (uint32_t h = 0; h < hosts; h++)
            if (space->cluster->host_pool[h] == number && space->accepts[h])
                host[pool.packing.n++] = h;
        consolidate_pool(&pool);
    }
    /* A host that is switched off takes nobody, also where that would cost less. */
    for (uint32_t h = 0; h < hosts; h++)
        if (frees[h])
            limits.cpu[h] = limits.memory[h] = -1;
    imig__level_polish(space, state, &limits, 0, options->seed);
    imig__limits_clear(&limits);
    g_free(pool.packing.places.host);
    g_free(pool.packing.cpu);
    g_free(pool.packing.memory);
    g_free(pool.packing.frees);
    g_free(pool.packing.first);
    g_free(pool.packing.next);
    g_free(pool.packing.prev);
    g_free(pool.packing.leaving);
    g_free(pool.packing.takes);
    g_free(pool.packing.takes_at);
    g_free(pool.candidate);
    g_free(pool.best);
    g_free(host);
    g_free(begin);
    g_free(vm);
}
