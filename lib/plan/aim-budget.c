/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/aim-priv.h"

#include "model/cluster-priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/*
 * Where max_moves or max_bytes does not allow all that the goal wants.  Level: what broken rules
 * and memory that is short ask for, then the moves that take most off what is over, for what they
 * cost, as long as they do not put it on another.  Consolidate: whole hosts, the cheapest first.
 */

struct entry {
    uint32_t vm, from, to; /* vm: the first of its unit */
    double worth;
};

static int
compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->worth != y->worth)
        return x->worth > y->worth ? -1 : 1;
    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    return (x->vm > y->vm) - (x->vm < y->vm);
}

static gboolean
is_within(const imig__planner *planner)
{
    imig__budget spent = imig__planner_spent(planner, planner->problem.state);

    return imig__planner_can_pay(planner, &spent);
}

static double
over(double value, double limit)
{
    return value > limit ? (value - limit) / MAX(limit, 1e-6) : 0;
}

static double
excess(const imig__planner *planner, uint32_t host, double cpu, double memory)
{
    const imig__sums *sums = &planner->problem.state->sums[host];
    const imig__limits *limits = &planner->aim->limits;

    return over(sums->cpu + cpu, limits->cpu[host])
           + over(imig__space_memory(planner->problem.space, planner->problem.state, host) + memory,
                  limits->memory[host]);
}

/* How much less is over with a unit at its destination. */
static double
relief(const imig__planner *planner, uint32_t vm, uint32_t to)
{
    const imig__space *space = planner->problem.space;
    uint32_t from = planner->problem.state->host[vm], u = space->unit[vm];
    double cpu = 0, memory = 0, count = 0;

    for (uint32_t i = space->unit_begin[u]; i < space->unit_begin[u + 1]; i++) {
        const imig__sums *in = &space->load->brings[space->unit_vm[i]];

        cpu += in->cpu;
        memory += in->memory;
        count++;
    }
    return excess(planner, from, 0, 0)
           - excess(planner, from, -cpu, -memory - count * space->overhead[from])
           + excess(planner, to, 0, 0)
           - excess(planner, to, cpu, memory + count * space->overhead[to]);
}

/* Memory, rules or a host to be emptied ask for it. */
static gboolean
is_forced(const imig__planner *planner, uint32_t vm)
{
    const imig__problem *problem = &planner->problem;
    uint32_t from = problem->state->host[vm];

    return planner->empties[from] || imig__space_misplaced(problem->space, problem->state, vm)
           || imig__space_excess(problem->space, problem->state, from) > 0;
}

static size_t
list_moves(imig__planner *planner, struct entry *entry)
{
    const imig__space *space = planner->problem.space;
    uint32_t vms = space->load->vms, *to = g_memdup2(planner->problem.state->host,
                                                     vms * sizeof *to);
    size_t n = 0;

    imig__planner_reset(planner);
    for (uint32_t v = 0; v < vms; v++) {
        uint32_t first = imig__space_unit_first(space, v);
        double cost = isnan(planner->opt.max_bytes) ? 1 : space->load->brings[v].memory;

        if (to[v] == planner->home[v] || (n > 0 && space->unit[entry[n - 1].vm] == space->unit[v]))
            continue;
        entry[n++] = (struct entry) {
            v, planner->home[v], to[v],
            is_forced(planner, v) ? INFINITY : relief(planner, first, to[v]) / cost,
        };
    }
    qsort(entry, n, sizeof *entry, compare);
    g_free(to);
    return n;
}

/* What asks for a unit to move from where it stands, the most urgent first. */
enum demand { BY_RULE, BY_MEMORY, BY_EMPTYING, BY_NONE };

#define RANK 1e15 /* more than the bytes of any VM */

static enum demand
demand_of(const imig__planner *planner, uint32_t vm)
{
    const imig__problem *problem = &planner->problem;
    const imig__space *space = problem->space;
    uint32_t u = space->unit[vm], host = problem->state->host[vm];
    enum demand most = BY_NONE;

    for (uint32_t i = space->unit_begin[u]; i < space->unit_begin[u + 1]; i++) {
        uint32_t v = space->unit_vm[i], from = problem->state->host[v];

        if (from != host || imig__space_misplaced(space, problem->state, v))
            return BY_RULE;
        if (imig__space_excess(space, problem->state, from) > 0)
            most = BY_MEMORY;
        else if (planner->empties[from])
            most = MIN(most, BY_EMPTYING);
    }
    return most;
}

/* Broken rules, then memory that is short, then hosts to be emptied; of each the cheapest first. */
static void
take_repairs(imig__planner *planner, imig__budget *spent)
{
    imig__problem *problem = &planner->problem;
    const uint32_t *to = planner->aim->repair;
    uint32_t vms = problem->load->vms;
    struct entry *entry = g_new(struct entry, vms + 1);
    size_t n = 0;
    gboolean taken = TRUE;

    for (uint32_t v = 0; v < vms; v++)
        if (to[v] != planner->home[v]
            && (n == 0 || problem->space->unit[entry[n - 1].vm] != problem->space->unit[v]))
            entry[n++] = (struct entry) {
                v, planner->home[v], to[v],
                -RANK * (double) demand_of(planner, v) - problem->load->brings[v].memory,
            };
    qsort(entry, n, sizeof *entry, compare);
    while (taken) {
        taken = FALSE;
        for (size_t i = 0; i < n; i++) {
            uint32_t v = entry[i].vm;

            if (problem->state->host[v] == entry[i].to
                || demand_of(planner, v) == BY_NONE
                || !imig__space_unit_fits(problem->space, problem->state, v, entry[i].to)
                || !imig__planner_spend(planner, v, entry[i].to, spent))
                continue;
            imig__space_unit_move(problem->space, problem->state, v, entry[i].to);
            taken = TRUE;
        }
    }
    g_free(entry);
}

static void
take_reliefs(imig__planner *planner, const struct entry *entry, size_t n)
{
    imig__problem *problem = &planner->problem;
    imig__budget spent = { 0, 0 };
    gboolean taken = TRUE;

    problem->space->may_overload = TRUE;
    if (planner->aim->repair)
        take_repairs(planner, &spent);
    while (taken) {
        taken = FALSE;
        for (size_t i = 0; i < n; i++) {
            uint32_t v = entry[i].vm, to = entry[i].to;

            if (problem->state->host[v] != planner->home[v]
                || !imig__space_unit_fits(problem->space, problem->state, v, to)
                || (!is_forced(planner, v) && relief(planner, v, to) <= 1e-9)
                || !imig__planner_spend(planner, v, to, &spent))
                continue;
            imig__space_unit_move(problem->space, problem->state, v, to);
            taken = TRUE;
        }
    }
    problem->space->may_overload = FALSE;
}

static void
send_home(imig__planner *planner, uint32_t vm)
{
    const imig__space *space = planner->problem.space;
    uint32_t u = space->unit[vm];

    for (uint32_t i = space->unit_begin[u]; i < space->unit_begin[u + 1]; i++)
        imig__state_move(planner->problem.state, space->unit_vm[i],
                         planner->home[space->unit_vm[i]]);
}

/* All that leaves a host, or nothing; VMs that only made room for others do not come into it. */
static void
take_hosts(imig__planner *planner, struct entry *entry, size_t n)
{
    imig__problem *problem = &planner->problem;
    uint32_t hosts = problem->load->hosts;
    double *cost = g_new0(double, hosts);
    imig__budget spent = { 0, 0 };

    for (size_t i = 0; i < n; i++)
        cost[entry[i].from] += problem->load->brings[entry[i].vm].memory;
    for (size_t i = 0; i < n; i++)
        entry[i].worth = is_forced(planner, entry[i].vm)
                             ? INFINITY : -cost[entry[i].from];
    qsort(entry, n, sizeof *entry, compare);
    g_free(cost);
    problem->space->may_overload = TRUE;
    for (size_t i = 0, end; i < n; i = end) {
        uint32_t h = entry[i].from;
        imig__budget then = spent;
        gboolean fits = TRUE;

        for (end = i; end < n && entry[end].from == h; end++)
            continue;
        for (size_t j = i; j < end && fits; j++) {
            fits = imig__space_unit_fits(problem->space, problem->state, entry[j].vm, entry[j].to)
                   && imig__planner_spend(planner, entry[j].vm, entry[j].to, &then);
            if (fits)
                imig__space_unit_move(problem->space, problem->state, entry[j].vm, entry[j].to);
        }
        if (fits && (planner->aim->frees[h] || isinf(entry[i].worth))) {
            spent = then;
            continue;
        }
        for (size_t j = i; j < end; j++)
            send_home(planner, entry[j].vm);
        planner->aim->frees[h] = 0;
    }
    problem->space->may_overload = FALSE;
}

/* A unit that was split may have been counted for another host; half emptied is worth nothing. */
static void
keep_half_emptied(imig__planner *planner)
{
    imig__state *state = planner->problem.state;
    uint8_t *frees = planner->aim->frees;
    uint8_t *left = g_new0(uint8_t, state->load->hosts + 1);

    for (uint32_t v = 0; v < state->load->vms; v++)
        if (frees[state->host[v]])
            left[state->host[v]] = 1;
    for (uint32_t v = 0; v < state->load->vms; v++) {
        uint32_t home = planner->home[v], to = state->host[v];

        if (!left[home] || to == home)
            continue;
        imig__state_move(state, v, home);
        if (is_forced(planner, v))
            imig__state_move(state, v, to);
    }
    for (uint32_t h = 0; h < state->load->hosts; h++)
        frees[h] &= !left[h];
    g_free(left);
}

void
imig__aim_keep_budget(imig__planner *planner)
{
    imig__problem *problem = &planner->problem;
    struct entry *entry;
    size_t n;

    planner->aim->is_cut = FALSE;
    if (is_within(planner))
        return;
    entry = g_new(struct entry, problem->load->vms + 1);
    n = list_moves(planner, entry);
    planner->aim->is_cut = TRUE;
    if (planner->goal == IMIG__LEVEL) {
        take_reliefs(planner, entry, n);
    } else {
        take_hosts(planner, entry, n);
        keep_half_emptied(planner);
    }
    for (size_t i = 0; i < n; i++)
        planner->unpaid[entry[i].vm] = problem->state->host[entry[i].vm] != entry[i].to;
    g_free(entry);
}
