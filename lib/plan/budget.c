/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/planner-priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What is asked for is worth more than any loss. */
#define ASKED_WORTH 1e6

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

gboolean
imig__planner_has_budget(const imig__planner *planner)
{
    return planner->opt.max_moves != UINT32_MAX || !isnan(planner->opt.max_bytes);
}

gboolean
imig__planner_can_pay(const imig__planner *planner, const imig__budget *spent)
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
    if (!imig__planner_can_pay(planner, &cost))
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
    uint32_t *was;
    double gain = 0;

    if (n == 1)
        return -imig__state_delta(problem->state, vm, to);
    was = g_new(uint32_t, n);
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

/* What the search wants to move; returns how many entries there are. */
static size_t
list_moves(const imig__planner *planner, struct entry *entry)
{
    const imig__problem *problem = &planner->problem;
    size_t n = 0;

    for (uint32_t v = 0; v < problem->load->vms; v++) {
        uint32_t to = problem->state->host[v];

        if (to != planner->home[v] && first_mover(planner, v) == v)
            entry[n++] = (struct entry) { v, to, 0 };
    }
    return n;
}

/* Is a unit split, on a host to be emptied, or where a rule or its list of hosts forbids it? */
static gboolean
is_broken(const imig__planner *planner, uint32_t vm)
{
    const imig__space *space = planner->problem.space;
    const imig__state *state = planner->problem.state;
    uint32_t u = space->unit[vm], host = state->host[vm];

    for (uint32_t i = space->unit_begin[u]; i < space->unit_begin[u + 1]; i++) {
        uint32_t v = space->unit_vm[i];

        if (state->host[v] != host || planner->empties[host]
            || imig__space_misplaced(space, state, v))
            return TRUE;
    }
    return FALSE;
}

/* Is a move asked for, whatever it gains by itself? */
static gboolean
is_asked_for(const imig__planner *planner, uint32_t vm, uint32_t to)
{
    const imig__problem *problem = &planner->problem;
    const imig__space *space = problem->space;
    uint32_t from = problem->state->host[vm];

    return is_broken(planner, vm) || imig__space_excess(space, problem->state, from) > 0
           || (planner->goal == IMIG__RELIEVE
               && imig__space_overloaded(space, problem->state, from)
               && !imig__space_overloaded(space, problem->state, to));
}

/* What a move is worth now, per cost; -INFINITY: it is not to be made. */
static double
worth_now(imig__planner *planner, const struct entry *entry, const imig__budget *spent)
{
    imig__problem *problem = &planner->problem;
    imig__budget cost = unit_cost(planner, entry->vm, entry->to), all = *spent;
    gboolean asked;
    double gain;

    if (problem->state->host[entry->vm] == entry->to)
        return -INFINITY;
    asked = is_asked_for(planner, entry->vm, entry->to);
    if ((problem->space->may_overload && !asked)
        || !imig__space_unit_fits(problem->space, problem->state, entry->vm, entry->to)
        || !imig__planner_spend(planner, entry->vm, entry->to, &all))
        return -INFINITY;
    gain = unit_gain(problem, entry->vm, entry->to) + (asked ? ASKED_WORTH : 0);
    if (gain <= 0)
        return -INFINITY;
    return gain / (isnan(planner->opt.max_bytes) ? (double) cost.moves : cost.bytes);
}

/* Restores the heap below entry i: none is worth more than the one above it. */
static void
sink(struct entry *entry, size_t n, size_t i)
{
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        struct entry swap = entry[i];

        if (child + 1 < n && compare(&entry[child + 1], &entry[child]) < 0)
            child++;
        if (compare(&entry[child], &entry[i]) >= 0)
            return;
        entry[i] = entry[child];
        entry[child] = swap;
    }
}

/*
 * Takes what is worth most while the budget lasts.  Worth changes with every move, mostly falls: so
 * only the one on top is asked again, until it stays there (the lazy greedy of Minoux 1978).
 * Returns whether anything was taken.
 */
static gboolean
take_moves(imig__planner *planner, struct entry *entry, size_t n, imig__budget *spent)
{
    imig__problem *problem = &planner->problem;
    gboolean taken = FALSE;

    for (size_t i = 0; i < n; i++)
        entry[i].worth = worth_now(planner, &entry[i], spent);
    for (size_t i = n / 2; i-- > 0;)
        sink(entry, n, i);
    while (n > 0 && entry[0].worth > -INFINITY) {
        double was = entry[0].worth;

        entry[0].worth = worth_now(planner, &entry[0], spent);
        if (entry[0].worth >= was) {
            imig__planner_spend(planner, entry[0].vm, entry[0].to, spent);
            imig__space_unit_move(problem->space, problem->state, entry[0].vm, entry[0].to);
            entry[0].worth = -INFINITY;
            taken = TRUE;
        }
        sink(entry, n, 0);
    }
    return taken;
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
    imig__budget wanted = imig__planner_spent(planner, problem->state), spent = { 0, 0 };
    uint32_t *wished = g_memdup2(problem->state->host, problem->load->vms * sizeof *wished);
    size_t n = list_moves(planner, entry);

    if (!imig__planner_can_pay(planner, &wanted)) {
        imig__planner_reset(planner);
        while (take_moves(planner, entry, n, &spent))
            continue;
        problem->space->may_overload = TRUE;
        while (take_moves(planner, entry, n, &spent))
            continue;
        problem->space->may_overload = FALSE;
    }
    for (uint32_t v = 0; v < problem->load->vms; v++)
        planner->unpaid[v] = wished[v] != planner->home[v] && problem->state->host[v] != wished[v];
    g_free(wished);
    g_free(entry);
}
