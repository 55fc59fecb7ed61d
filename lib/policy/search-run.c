/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/search-run-priv.h"

#include "model/cluster-priv.h"

#include <math.h>

/* Lost cores of a broken soft rule: less than anything that matters. */
#define SOFT_PRICE 0.05

double
imig__run_price(const imig__search_run *run, uint32_t host)
{
    return imig__queue_price_fast(run->load, host,
                                  run->state->sums[host].cpu / run->load->cores[host]);
}

/* Memory that is short, and what goal relieve asks for, as lost cores. */
static double
host_penalty(const imig__search_run *run, uint32_t host, double memory, double cpu)
{
    const imig__search_options *o = run->options;
    double room = run->space->room[host], penalty = 0;
    double limit = imig__space_threshold(run->space, host) * run->load->cores[host];

    if (memory > room + 1)
        penalty = IMIG__VIOLATION * (memory - room) / run->cluster_memory;
    if (o->relief_price > 0 && cpu > limit)
        penalty += o->relief_price * (cpu - limit);
    return penalty;
}

/* What the VM makes broken by being on a host, itself. */
static double
broken_by(const imig__search_run *run, uint32_t vm, uint32_t host)
{
    const imig__space *space = run->space;
    double broken = 0;

    if (run->options->empties && run->options->empties[host])
        broken += IMIG__VIOLATION;
    if (space->tied[vm] & IMIG__TIED_HOSTS && !imig__vm_may_be_on(space->cluster, vm, host))
        broken += IMIG__VIOLATION;
    if (space->tied[vm] & IMIG__TIED_RULE)
        for (int hard = 0; hard < 2; hard++)
            broken += (hard ? IMIG__VIOLATION : SOFT_PRICE)
                      * imig__space_conflicts(space, run->state, vm, host, hard);
    return broken;
}

/* What a host's own violations become worse by if a VM comes (sign 1) or goes (-1). */
static double
penalty_delta(const imig__search_run *run, uint32_t vm, uint32_t host, double sign)
{
    const imig__sums *s = &run->state->sums[host], *v = &run->load->brings[vm];
    double memory = imig__space_memory(run->space, run->state, host);

    return host_penalty(run, host, memory + sign * (v->memory + run->space->overhead[host]),
                        s->cpu + sign * v->cpu)
           - host_penalty(run, host, memory, s->cpu);
}

double
imig__run_leave(const imig__search_run *run, uint32_t vm)
{
    const imig__card *card = imig__card_of(run, vm);
    uint32_t from = run->state->host[vm];

    return (from == card->home ? card->price : 0)
           - imig__state_leave(run->state, vm) + penalty_delta(run, vm, from, -1)
           - broken_by(run, vm, from);
}

double
imig__run_join(const imig__search_run *run, uint32_t vm, uint32_t host)
{
    const imig__card *card = imig__card_of(run, vm);

    return imig__state_join(run->state, vm, host) + imig__state_flows(run->state, vm, host)
           - (host == card->home ? card->price : 0)
           + penalty_delta(run, vm, host, 1) + broken_by(run, vm, host);
}

/* What a VM pays for leaving home, or gets back for returning. */
static double
price_delta(const imig__search_run *run, uint32_t vm, uint32_t from, uint32_t host)
{
    const imig__card *card = imig__card_of(run, vm);

    return (from == card->home ? card->price : 0) - (host == card->home ? card->price : 0);
}

double
imig__run_delta(const imig__search_run *run, uint32_t vm, uint32_t host)
{
    return imig__run_leave(run, vm) + imig__run_join(run, vm, host);
}

double
imig__run_swap_delta(const imig__search_run *run, uint32_t v, uint32_t w, const double cross[4])
{
    uint32_t a = run->state->host[v], b = run->state->host[w];
    const imig__sums *sa = &run->state->sums[a], *sb = &run->state->sums[b];
    double memory_a = imig__space_memory(run->space, run->state, a);
    double memory_b = imig__space_memory(run->space, run->state, b);
    double cpu = run->load->brings[v].cpu - run->load->brings[w].cpu;
    double memory = run->load->brings[v].memory - run->load->brings[w].memory;

    return imig__state_swap_delta(run->state, v, w, cross[0], cross[1], cross[2], cross[3])
           + price_delta(run, v, a, b) + price_delta(run, w, b, a)
           + host_penalty(run, a, memory_a - memory, sa->cpu - cpu)
           - host_penalty(run, a, memory_a, sa->cpu)
           + host_penalty(run, b, memory_b + memory, sb->cpu + cpu)
           - host_penalty(run, b, memory_b, sb->cpu);
}

static void
list_remove(imig__search_run *run, uint32_t vm, uint32_t host)
{
    const imig__card *card = imig__card_of(run, vm);

    if (card->prev == IMIG_NO_INDEX)
        run->first[host] = card->next;
    else
        run->cards[card->prev].next = card->next;
    if (card->next != IMIG_NO_INDEX)
        run->cards[card->next].prev = card->prev;
}

void
imig__run_list_add(imig__search_run *run, uint32_t vm, uint32_t host)
{
    uint32_t c = run->card[vm], first = run->first[host];

    run->cards[c].prev = IMIG_NO_INDEX;
    run->cards[c].next = first;
    if (first != IMIG_NO_INDEX)
        run->cards[first].prev = c;
    run->first[host] = c;
}

void
imig__run_move(imig__search_run *run, uint32_t vm, uint32_t host)
{
    uint32_t from = run->state->host[vm];
    double memory = imig__card_of(run, vm)->memory;

    run->touched[from] = run->touched[host] = 1;
    run->most_other[from] = run->most_other[host] = NAN;
    run->left[from] += memory + run->space->overhead[from];
    run->left[host] -= memory + run->space->overhead[host];
    list_remove(run, vm, from);
    imig__state_move(run->state, vm, host);
    imig__run_list_add(run, vm, host);
}

void
imig__run_unit_move(imig__search_run *run, uint32_t vm, uint32_t host)
{
    const imig__space *space = run->space;
    uint32_t u = space->unit[vm];

    for (uint32_t i = space->unit_begin[u]; i < space->unit_begin[u + 1]; i++)
        if (run->state->host[space->unit_vm[i]] != host)
            imig__run_move(run, space->unit_vm[i], host);
}

double
imig__run_unit_delta(imig__search_run *run, uint32_t vm, uint32_t host)
{
    const imig__space *space = run->space;
    uint32_t u = space->unit[vm], begin = space->unit_begin[u], end = space->unit_begin[u + 1];
    double delta = 0;

    if (end - begin == 1)
        return imig__run_delta(run, vm, host);
    for (uint32_t i = begin; i < end; i++) {
        uint32_t v = space->unit_vm[i];

        run->list[i] = run->state->host[v];
        if (run->list[i] == host)
            continue;
        delta += imig__run_delta(run, v, host);
        imig__state_move(run->state, v, host);
    }
    for (uint32_t i = begin; i < end; i++)
        imig__state_move(run->state, space->unit_vm[i], run->list[i]);
    return delta;
}
