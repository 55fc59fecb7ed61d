/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/planner-priv.h"

#include <math.h>
#include <stdlib.h>

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

struct cost {
    uint32_t moves;
    double bytes;
};

static struct cost
unit_cost(const imig__planner *planner, uint32_t vm, uint32_t to)
{
    const imig__space *space = planner->problem.space;
    struct cost cost = { 0, 0 };
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

/*
 * Ranks what the search wants to move by gain per cost, then begins again from home and takes one
 * after the other while they fit the budget and the hosts: what made room for others is retried.
 */
void
imig__planner_keep_budget(imig__planner *planner)
{
    imig__problem *problem = &planner->problem;
    const imig_plan_options *opt = &planner->opt;
    double limit_bytes = isnan(opt->max_bytes) ? INFINITY : opt->max_bytes, bytes = 0;
    struct entry *entry = g_new(struct entry, problem->load->vms);
    size_t n = 0;
    uint32_t moves = 0;
    gboolean taken = TRUE;

    for (uint32_t v = 0; v < problem->load->vms; v++) {
        uint32_t to = problem->state->host[v];
        struct cost cost;
        double gain;

        if (to == planner->home[v])
            continue;
        moves++;
        bytes += problem->load->brings[v].memory;
        if (first_mover(planner, v) != v)
            continue;
        cost = unit_cost(planner, v, to);
        gain = imig__state_delta(problem->state, v, planner->home[v]);
        if (planner->empties[planner->home[v]])
            gain += 1e6;
        entry[n++] = (struct entry) {
            v, to, gain / (isinf(limit_bytes) ? (double) cost.moves : cost.bytes),
        };
    }
    if (moves > opt->max_moves || bytes > limit_bytes) {
        qsort(entry, n, sizeof *entry, compare);
        imig__state_free(problem->state);
        problem->state = imig__state_new(problem->load);
        moves = 0;
        bytes = 0;
        while (taken) {
            taken = FALSE;
            for (size_t i = 0; i < n; i++) {
                struct cost cost = unit_cost(planner, entry[i].vm, entry[i].to);

                if (problem->state->host[entry[i].vm] == entry[i].to
                    || moves + cost.moves > opt->max_moves || bytes + cost.bytes > limit_bytes
                    || !imig__space_unit_fits(problem->space, problem->state, entry[i].vm,
                                              entry[i].to))
                    continue;
                imig__space_unit_move(problem->space, problem->state, entry[i].vm, entry[i].to);
                moves += cost.moves;
                bytes += cost.bytes;
                taken = TRUE;
            }
        }
    }
    g_free(entry);
}
