/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/search-run-priv.h"

#include "model/cluster-priv.h"

/* Lost cores of a broken soft rule: less than anything that matters. */
#define SOFT_PRICE 0.05

double
imig__run_price(const imig__search_run *run, uint32_t host)
{
    return imig__queue_price(run->load, host,
                             run->state->sums[host].cpu / run->load->cores[host]);
}

/* Memory that is short, and what goal relieve asks for, as lost cores. */
static double
host_penalty(const imig__search_run *run, uint32_t host, double memory, double cpu)
{
    const imig__search_options *o = run->options;
    double room = run->space->room[host], penalty = 0;
    double limit = run->space->threshold * run->load->cores[host];

    if (memory > room + 1)
        penalty = IMIG__VIOLATION * (memory - room) / run->cluster_memory;
    if (o->relief_price > 0 && cpu > limit)
        penalty += o->relief_price * (cpu - limit);
    return penalty;
}

static double
penalty_delta(const imig__search_run *run, uint32_t vm, uint32_t from, uint32_t host)
{
    const imig__space *space = run->space;
    const imig__sums *a = &run->state->sums[from], *b = &run->state->sums[host];
    const imig__sums *v = &run->load->brings[vm];
    double memory_a = a->memory + a->count * space->overhead[from];
    double memory_b = b->memory + b->count * space->overhead[host];
    double delta;

    delta = host_penalty(run, from, memory_a - v->memory - space->overhead[from],
                         a->cpu - v->cpu)
            - host_penalty(run, from, memory_a, a->cpu)
            + host_penalty(run, host, memory_b + v->memory + space->overhead[host],
                           b->cpu + v->cpu)
            - host_penalty(run, host, memory_b, b->cpu);
    if (run->options->empties)
        delta += IMIG__VIOLATION * (run->options->empties[host] - run->options->empties[from]);
    if (space->tied[vm] & IMIG__TIED_HOSTS)
        delta += IMIG__VIOLATION * (imig__vm_may_be_on(space->cluster, vm, from)
                                    - imig__vm_may_be_on(space->cluster, vm, host));
    if (space->tied[vm] & IMIG__TIED_RULE)
        for (int hard = 0; hard < 2; hard++)
            delta += (hard ? IMIG__VIOLATION : SOFT_PRICE)
                     * ((double) imig__space_conflicts(space, run->state, vm, host, hard)
                        - imig__space_conflicts(space, run->state, vm, from, hard));
    return delta;
}

double
imig__run_price_delta(const imig__search_run *run, uint32_t vm, uint32_t from, uint32_t host)
{
    uint32_t home = run->load->home[vm];

    return (from == home ? run->price[vm] : 0) - (host == home ? run->price[vm] : 0);
}

double
imig__run_delta(const imig__search_run *run, uint32_t vm, uint32_t host)
{
    uint32_t from = run->state->host[vm];

    return imig__state_delta(run->state, vm, host) + imig__run_price_delta(run, vm, from, host)
           + penalty_delta(run, vm, from, host);
}

static void
list_remove(imig__search_run *run, uint32_t vm, uint32_t host)
{
    uint32_t next = run->next[vm], prev = run->prev[vm];

    if (prev == IMIG_NO_INDEX)
        run->first[host] = next;
    else
        run->next[prev] = next;
    if (next != IMIG_NO_INDEX)
        run->prev[next] = prev;
}

void
imig__run_list_add(imig__search_run *run, uint32_t vm, uint32_t host)
{
    run->prev[vm] = IMIG_NO_INDEX;
    run->next[vm] = run->first[host];
    if (run->first[host] != IMIG_NO_INDEX)
        run->prev[run->first[host]] = vm;
    run->first[host] = vm;
}

void
imig__run_move(imig__search_run *run, uint32_t vm, uint32_t host)
{
    run->touched[run->state->host[vm]] = run->touched[host] = 1;
    list_remove(run, vm, run->state->host[vm]);
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
