/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/level-run-priv.h"

#include "model/cluster-priv.h"
#include "policy/random-priv.h"

#include <math.h>
#include <string.h>

/*
 * Whom a VM that moves anyway meets costs no bytes: of several hosts it takes the one with the
 * least loss, and, where that is asked for, the one that leaves all of them the most even.
 */

enum { ROUNDS = 4, LOOKED_AT = 16 };

#define LEAST_GAIN 1e-9

struct polish {
    const imig__space *space;
    imig__state *state;
    const imig__limits *limits;
    double even;             /* lost cores for each core of a host, if it were full and not empty */
    uint64_t seed, drawn;
    uint32_t *host, *away;   /* of one pool: hosts; VMs that are not at home */
    uint32_t hosts, away_count;
};

static uint32_t
draw(struct polish *p, uint32_t n)
{
    return (uint32_t) (imig__random(p->seed, p->drawn++) % n);
}

/* The squares of what is used of the limits: least where all hosts are alike. */
static double
unevenness(const struct polish *p, uint32_t host, double cpu, double memory)
{
    const imig__sums *sums = &p->state->sums[host];
    double x = (sums->cpu + cpu) / p->limits->cpu[host];
    double y = (sums->memory + memory + sums->count * p->space->overhead[host])
               / p->limits->memory[host];

    return p->even * p->space->load->cores[host] * (x * x + y * y);
}

static double
even_delta(const struct polish *p, uint32_t host, double cpu, double memory)
{
    if (p->even <= 0 || !(p->limits->cpu[host] > 0) || !(p->limits->memory[host] > 0))
        return 0;
    return unevenness(p, host, cpu, memory) - unevenness(p, host, 0, 0);
}

/* With so much more on it, and so many VMs, is it within its limits? */
static gboolean
has_room(const struct polish *p, uint32_t host, double cpu, double memory, double count)
{
    const imig__sums *sums = &p->state->sums[host];

    return (memory <= 0
            || !imig__level_is_over(sums->memory + memory
                                        + (sums->count + count) * p->space->overhead[host],
                                    p->limits->memory[host]))
           && (cpu <= 0 || !imig__level_is_over(sums->cpu + cpu, p->limits->cpu[host]));
}

static gboolean
may_go(const struct polish *p, uint32_t vm, uint32_t host)
{
    const imig__space *space = p->space;

    return host != space->load->home[vm] && space->accepts[host] && p->limits->memory[host] >= 0
           && imig__space_allows(space, vm, host)
           && (!(space->tied[vm] & IMIG__TIED_RULE)
               || (imig__space_conflicts(space, p->state, vm, host, TRUE) == 0
                   && imig__space_conflicts(space, p->state, vm, host, FALSE)
                          <= imig__space_conflicts(space, p->state, vm, p->state->host[vm],
                                                   FALSE)));
}

static gboolean
try_hosts(struct polish *p, uint32_t vm)
{
    const imig__sums *in = &p->space->load->brings[vm];
    uint32_t from = p->state->host[vm], to = from;
    double best = -LEAST_GAIN;
    double leaves = even_delta(p, from, -in->cpu, -in->memory - p->space->overhead[from]);

    for (uint32_t i = 0; i < LOOKED_AT; i++) {
        uint32_t h = p->host[p->hosts <= LOOKED_AT ? i % p->hosts : draw(p, p->hosts)];
        double delta;

        if (h == from || !has_room(p, h, in->cpu, in->memory, 1) || !may_go(p, vm, h))
            continue;
        delta = leaves + even_delta(p, h, in->cpu, in->memory + p->space->overhead[h])
                + imig__state_delta(p->state, vm, h);
        if (delta < best) {
            best = delta;
            to = h;
        }
    }
    if (to != from)
        imig__state_move(p->state, vm, to);
    return to != from;
}

/* Two VMs that are both away take each other's place; what is more even first, then the loss. */
static gboolean
try_exchange(struct polish *p, uint32_t a, uint32_t b)
{
    const imig__sums *x = &p->space->load->brings[a], *y = &p->space->load->brings[b];
    uint32_t from = p->state->host[a], to = p->state->host[b];
    double cpu = x->cpu - y->cpu, memory = x->memory - y->memory, delta;

    if (from == to || !has_room(p, to, cpu, memory, 0) || !has_room(p, from, -cpu, -memory, 0))
        return FALSE;
    delta = even_delta(p, to, cpu, memory) + even_delta(p, from, -cpu, -memory);
    if (delta >= 0 || !may_go(p, a, to) || !may_go(p, b, from))
        return FALSE;
    delta += imig__state_delta(p->state, a, to);
    imig__state_move(p->state, a, to);
    delta += imig__state_delta(p->state, b, from);
    /* Two that are to be apart were each asked about as the other still stood there. */
    if (delta < -LEAST_GAIN && may_go(p, b, from)) {
        imig__state_move(p->state, b, from);
        return TRUE;
    }
    imig__state_move(p->state, a, from);
    return FALSE;
}

static void
polish_pool(struct polish *p)
{
    uint32_t moved = 1;

    for (int round = 0; round < ROUNDS && moved > 0 && p->hosts > 1; round++) {
        moved = 0;
        for (uint32_t i = 0; i < p->away_count; i++) {
            moved += (uint32_t) try_hosts(p, p->away[i]);
            for (uint32_t k = 0; k < LOOKED_AT && p->even > 0; k++)
                moved += (uint32_t) try_exchange(p, p->away[i], p->away[draw(p, p->away_count)]);
        }
    }
}

void
imig__level_polish(const imig__space *space, imig__state *state, const imig__limits *limits,
                   double even, uint64_t seed)
{
    const uint32_t *pool = space->cluster->host_pool;
    struct polish p = { .space = space, .state = state, .limits = limits, .even = even,
                        .seed = seed };

    p.host = g_new(uint32_t, space->load->hosts + 1);
    p.away = g_new(uint32_t, space->load->vms + 1);
    for (uint32_t number = 0; number < space->cluster->pool_count; number++) {
        p.hosts = p.away_count = 0;
        for (uint32_t h = 0; h < space->load->hosts; h++)
            if (pool[h] == number && space->accepts[h])
                p.host[p.hosts++] = h;
        for (uint32_t v = 0; v < space->load->vms; v++)
            if (pool[state->host[v]] == number && state->host[v] != space->load->home[v]
                && space->accepts[state->host[v]] && imig__space_unit_alone(space, v)
                && !space->fixed[v])
                p.away[p.away_count++] = v;
        polish_pool(&p);
    }
    g_free(p.host);
    g_free(p.away);
}
