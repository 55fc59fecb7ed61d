/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/planner-priv.h"

#include <string.h>

/* The rules of thumb: select on each overloaded host, place each VM that was selected. */

struct by_host {
    uint32_t *begin, *vm;
};

static struct by_host
group_by_host(const imig__load *load)
{
    struct by_host g = { g_new0(uint32_t, load->hosts + 1), g_new(uint32_t, load->vms + 1) };
    uint32_t *fill;

    for (uint32_t v = 0; v < load->vms; v++)
        g.begin[load->home[v] + 1]++;
    for (uint32_t h = 0; h < load->hosts; h++)
        g.begin[h + 1] += g.begin[h];
    fill = g_memdup2(g.begin, (load->hosts + 1) * sizeof *fill);
    for (uint32_t v = 0; v < load->vms; v++)
        g.vm[fill[load->home[v]]++] = v;
    g_free(fill);
    return g;
}

static int
compare_load(const void *a, const void *b, void *data)
{
    const imig__state *state = data;
    uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;
    double ux = state->sums[x].cpu / state->load->cores[x];
    double uy = state->sums[y].cpu / state->load->cores[y];

    if (ux != uy)
        return ux > uy ? -1 : 1;
    return (x > y) - (x < y);
}

static gboolean
is_relieved(const imig__planner *planner, uint32_t host)
{
    const imig__problem *problem = &planner->problem;

    if (planner->empties[host])
        return problem->state->sums[host].count <= 0;
    return !imig__space_overloaded(problem->space, problem->state, host);
}

/* A host that has to be emptied, or is short of memory, may overload another as a last resort. */
static uint32_t
find_host(imig__planner *planner, uint32_t vm, uint32_t from)
{
    imig__problem *problem = &planner->problem;
    uint32_t to = imig__place_one(problem, problem->state, planner->policy, vm,
                                  planner->opt.seed);

    if (to == IMIG_NO_HOST
        && (planner->empties[from]
            || imig__space_excess(problem->space, problem->state, from) > 0)) {
        problem->space->may_overload = TRUE;
        to = imig__place_one(problem, problem->state, planner->policy, vm, planner->opt.seed);
        problem->space->may_overload = FALSE;
    }
    return to;
}

imig__budget
imig__planner_spent(const imig__planner *planner, const imig__state *state)
{
    imig__budget spent = { 0, 0 };

    for (uint32_t v = 0; v < state->load->vms; v++)
        if (state->host[v] != planner->home[v]) {
            spent.moves++;
            spent.bytes += state->load->brings[v].memory;
        }
    return spent;
}

void
imig__planner_relieve_by_rule(imig__planner *planner, imig__budget *spent)
{
    imig__problem *problem = &planner->problem;
    struct by_host by_host = group_by_host(problem->load);
    uint32_t *ranked = g_new(uint32_t, problem->load->vms), sources = 0;
    uint32_t *source = g_new(uint32_t, problem->load->hosts);

    for (uint32_t h = 0; h < problem->load->hosts; h++)
        if (planner->sheds[h])
            source[sources++] = h;
    g_qsort_with_data(source, (gint) sources, sizeof *source, compare_load, problem->state);
    for (uint32_t s = 0; s < sources; s++) {
        uint32_t h = source[s], begin = by_host.begin[h], end = by_host.begin[h + 1];
        size_t n = imig__select_rank(problem, planner->policy, by_host.vm + begin, end - begin,
                                     planner->opt.seed, ranked);

        for (size_t i = 0; i < n && !is_relieved(planner, h); i++) {
            uint32_t v = ranked[i], to;

            if (problem->state->host[v] != h)
                continue;
            to = find_host(planner, v, h);
            if (to == IMIG_NO_HOST)
                continue;
            planner->unpaid[v] = !imig__planner_spend(planner, v, to, spent);
            if (!planner->unpaid[v])
                imig__space_unit_move(problem->space, problem->state, v, to);
        }
    }
    g_free(by_host.begin);
    g_free(by_host.vm);
    g_free(source);
    g_free(ranked);
}

void
imig__planner_place_by_rule(imig__planner *planner)
{
    imig__budget spent = { 0, 0 };

    memset(planner->unpaid, 0, planner->problem.load->vms);
    imig__planner_relieve_by_rule(planner, &spent);
}
