/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/planner-priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A unit that moves, and what it is worth. */
struct entry {
    uint32_t vm, to;
    double worth; /* gain per cost */
};

static int
compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->worth != y->worth)
        return x->worth > y->worth ? -1 : 1;
    return (x->vm > y->vm) - (x->vm < y->vm);
}

static imig__budget
unit_cost(const imig__planner *planner, uint32_t vm, uint32_t to)
{
    const imig__space *space = planner->problem.space;
    imig__budget cost = { 0, 0 };
    uint32_t u = space->unit[vm];

    for (uint32_t i = space->unit_begin[u]; i < space->unit_begin[u + 1]; i++) {
        uint32_t v = space->unit_vm[i];

        if (planner->home[v] == to)
            continue;
        cost.moves++;
        cost.bytes += planner->problem.load->brings[v].memory;
    }
    return cost;
}

static gboolean
is_within(const imig__planner *planner, const imig__budget *spent)
{
    return spent->moves <= planner->opt.max_moves
           && (isnan(planner->opt.max_bytes) || spent->bytes <= planner->opt.max_bytes);
}

gboolean
imig__planner_spend(const imig__planner *planner, uint32_t vm, uint32_t to, imig__budget *spent)
{
    imig__budget cost = unit_cost(planner, vm, to);

    cost.moves += spent->moves;
    cost.bytes += spent->bytes;
    if (!is_within(planner, &cost))
        return FALSE;
    *spent = cost;
    return TRUE;
}

/* The VM that stands for its unit: the first of it that moves. */
static uint32_t
first_mover(const imig__planner *planner, uint32_t vm)
{
    const imig__space *space = planner->problem.space;
    uint32_t i = space->unit_begin[space->unit[vm]];

    while (planner->problem.state->host[space->unit_vm[i]] == planner->home[space->unit_vm[i]])
        i++;
    return space->unit_vm[i];
}

/* What the loss falls by if a unit goes from where it is to a host; it stays. */
static double
unit_gain(imig__problem *problem, uint32_t vm, uint32_t to)
{
    const imig__space *space = problem->space;
    uint32_t begin = space->unit_begin[space->unit[vm]];
    uint32_t n = space->unit_begin[space->unit[vm] + 1] - begin;
    uint32_t *was = g_new(uint32_t, n);
    double gain = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t v = space->unit_vm[begin + i];

        was[i] = problem->state->host[v];
        gain -= imig__state_delta(problem->state, v, to);
        imig__state_move(problem->state, v, to);
    }
    for (uint32_t i = 0; i < n; i++)
        imig__state_move(problem->state, space->unit_vm[begin + i], was[i]);
    g_free(was);
    return gain;
}

/* Ranks what the search wants to move by gain per cost; returns how many entries there are. */
static size_t
list_moves(imig__planner *planner, struct entry *entry, imig__budget *wanted)
{
    imig__problem *problem = &planner->problem;
    size_t n = 0;

    for (uint32_t v = 0; v < problem->load->vms; v++) {
        uint32_t to = problem->state->host[v];
        imig__budget cost;
        double gain;

        if (to == planner->home[v])
            continue;
        wanted->moves++;
        wanted->bytes += problem->load->brings[v].memory;
        if (first_mover(planner, v) != v)
            continue;
        cost = unit_cost(planner, v, to);
        gain = imig__state_delta(problem->state, v, planner->home[v]);
        if (planner->empties[planner->home[v]])
            gain += 1e6;
        entry[n++] = (struct entry) {
            v, to, gain / (isnan(planner->opt.max_bytes) ? (double) cost.moves : cost.bytes),
        };
    }
    qsort(entry, n, sizeof *entry, compare);
    return n;
}

/* Is a move asked for, whatever it gains by itself? */
static gboolean
is_asked_for(const imig__planner *planner, uint32_t vm, uint32_t to)
{
    const imig__problem *problem = &planner->problem;
    const imig__space *space = problem->space;
    uint32_t from = problem->state->host[vm];

    return planner->empties[from] || !imig__space_unit_alone(space, vm)
           || (space->tied[vm] & (IMIG__TIED_RULE | IMIG__TIED_HOSTS))
           || imig__space_excess(space, problem->state, from) > 0
           || (planner->goal == IMIG__RELIEVE
               && imig__space_overloaded(space, problem->state, from)
               && !imig__space_overloaded(space, problem->state, to));
}

/*
 * Where the budget does not allow everything, begins again from home and takes one after the other
 * while they fit the hosts and still gain something: what made room for others is retried.  Last
 * come those that may overload their destination.
 */
void
imig__planner_keep_budget(imig__planner *planner)
{
    imig__problem *problem = &planner->problem;
    struct entry *entry = g_new(struct entry, problem->load->vms + 1);
    imig__budget wanted = { 0, 0 }, spent = { 0, 0 };
    size_t n = list_moves(planner, entry, &wanted);
    gboolean within = is_within(planner, &wanted), taken = !within;

    memset(planner->unpaid, 0, problem->load->vms);
    if (!within)
        imig__planner_reset(planner);
    while (taken) {
        taken = FALSE;
        for (size_t i = 0; i < n; i++) {
            uint32_t v = entry[i].vm, to = entry[i].to;
            gboolean asked;

            if (problem->state->host[v] == to)
                continue;
            asked = is_asked_for(planner, v, to);
            if ((problem->space->may_overload && !asked)
                || !imig__space_unit_fits(problem->space, problem->state, v, to)
                || (!asked && unit_gain(problem, v, to) <= 0)
                || !imig__planner_spend(planner, v, to, &spent))
                continue;
            imig__space_unit_move(problem->space, problem->state, v, to);
            taken = TRUE;
        }
        if (!taken && !within && !problem->space->may_overload)
            taken = problem->space->may_overload = TRUE;
    }
    problem->space->may_overload = FALSE;
    for (size_t i = 0; i < n; i++)
        planner->unpaid[entry[i].vm] = problem->state->host[entry[i].vm] != entry[i].to;
    g_free(entry);
}
