/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/aim-priv.h"

#include "model/cluster-priv.h"

#include <math.h>
#include <string.h>

void
imig__aim_make(imig__planner *planner)
{
    const imig__problem *problem = &planner->problem;
    uint32_t hosts = problem->load->hosts, pools = planner->cluster->pool_count;
    imig__aim *aim;

    if (planner->goal != IMIG__LEVEL && planner->goal != IMIG__CONSOLIDATE)
        return;
    planner->aim = aim = g_new0(imig__aim, 1);
    aim->limits = imig__limits_new(hosts);
    aim->mean_cpu = g_new0(double, pools + 1);
    aim->mean_memory = g_new0(double, pools + 1);
    aim->frees = g_new0(uint8_t, hosts + 1);
    if (planner->goal == IMIG__LEVEL)
        imig__level_limits(problem->space, problem->state, planner->empties,
                           planner->opt.tolerance, &aim->limits, aim->mean_cpu,
                           aim->mean_memory);
    else
        imig__consolidate_limits(problem->space, planner->opt.threshold, &aim->limits);
}

void
imig__aim_clear(imig__planner *planner)
{
    imig__aim *aim = planner->aim;

    if (!aim)
        return;
    imig__limits_clear(&aim->limits);
    g_free(aim->mean_cpu);
    g_free(aim->mean_memory);
    g_free(aim->frees);
    g_free(aim->repair);
    g_free(aim);
    planner->aim = NULL;
}

uint32_t
imig__aim_group(const imig__planner *planner, uint32_t vm)
{
    const imig__space *space = planner->problem.space;
    uint32_t home = planner->home[vm];

    return planner->goal == IMIG__CONSOLIDATE && planner->aim->frees[home]
               ? space->units + home : space->unit[vm];
}

void
imig__aim_give_up(imig__planner *planner)
{
    const imig__state *state = planner->problem.state;
    const char **why;

    if (planner->goal != IMIG__CONSOLIDATE)
        return;
    why = g_new0(const char *, state->load->hosts + 1);
    for (uint32_t v = 0; v < state->load->vms; v++)
        if (planner->kept[v] && planner->aim->frees[planner->home[v]])
            why[planner->home[v]] = planner->kept[v];
    for (uint32_t v = 0; v < state->load->vms; v++)
        if (why[planner->home[v]] && !planner->kept[v])
            planner->kept[v] = why[planner->home[v]];
    g_free(why);
}

/* The rules of thumb: hosts that are over shed VMs, and none takes more than its limits allow. */
static void
level_by_rule(imig__planner *planner)
{
    imig__space *space = planner->problem.space;
    const imig__limits *limits = &planner->aim->limits;
    uint32_t hosts = space->load->hosts;
    uint8_t *sheds = g_memdup2(planner->sheds, hosts);
    double *room = g_memdup2(space->room, hosts * sizeof *room);
    double *share = g_memdup2(space->share, hosts * sizeof *share);
    imig__budget spent = imig__planner_spent(planner, planner->problem.state);

    for (uint32_t h = 0; h < hosts; h++) {
        if (!space->accepts[h])
            continue;
        planner->sheds[h] |= imig__level_over(space, limits, planner->problem.state, h) ? 1 : 0;
        space->room[h] = limits->memory[h];
        space->share[h] = limits->cpu[h] / space->load->cores[h] / space->threshold;
    }
    imig__planner_relieve_by_rule(planner, &spent);
    memcpy(planner->sheds, sheds, hosts);
    memcpy(space->room, room, hosts * sizeof *room);
    memcpy(space->share, share, hosts * sizeof *share);
    g_free(sheds);
    g_free(room);
    g_free(share);
}

/* What rules and limits ask for, whatever it costs: how much of it is paid for is seen later. */
static void
repair(imig__planner *planner)
{
    uint32_t max_moves = planner->opt.max_moves;
    double max_bytes = planner->opt.max_bytes;

    planner->opt.max_moves = UINT32_MAX;
    planner->opt.max_bytes = NAN;
    imig__planner_place_informed(planner);
    planner->opt.max_moves = max_moves;
    planner->opt.max_bytes = max_bytes;
}

/* The least of it: memory has the whole room, CPU no limit. */
static void
keep_repair(imig__planner *planner, const imig__level_options *options)
{
    const imig__space *space = planner->problem.space;
    uint32_t hosts = space->load->hosts, vms = space->load->vms;
    imig__limits limits = imig__limits_new(hosts);

    for (uint32_t h = 0; h < hosts; h++)
        limits.memory[h] = MAX(space->room[h], 0);
    imig__level(space, planner->problem.state, &limits, options);
    imig__limits_clear(&limits);
    g_free(planner->aim->repair);
    planner->aim->repair = g_memdup2(planner->problem.state->host, vms * sizeof(uint32_t));
}

static void
level_informed(imig__planner *planner, gboolean demanded)
{
    const imig__level_options options = {
        .seed = planner->opt.seed,
        .cancel = planner->opt.cancel,
    };

    if (demanded && imig__planner_has_budget(planner))
        keep_repair(planner, &options);
    imig__level(planner->problem.space, planner->problem.state, &planner->aim->limits, &options);
}

static void
consolidate(imig__planner *planner)
{
    const imig__consolidate_options options = {
        .threshold = planner->opt.threshold,
        .spare_hosts = planner->opt.spare_hosts,
        .seed = planner->opt.seed,
        .cancel = planner->opt.cancel,
    };

    memset(planner->aim->frees, 0, planner->problem.load->hosts);
    imig__consolidate(planner->problem.space, planner->problem.state, &options,
                      planner->aim->frees);
}

/* What limits and rules ask for comes first, as under goal drain; then the goal's own. */
void
imig__aim_place(imig__planner *planner)
{
    gboolean informed = planner->policy == IMIG__POLICY_INFORMED;
    gboolean demanded = !planner->aim || imig__planner_is_demanded(planner);

    memset(planner->unpaid, 0, planner->problem.load->vms);
    if (demanded) {
        if (informed && planner->goal == IMIG__LEVEL)
            repair(planner);
        else if (informed)
            imig__planner_place_informed(planner);
        else
            imig__planner_place_by_rule(planner);
    }
    if (!planner->aim)
        return;
    if (planner->goal == IMIG__CONSOLIDATE)
        consolidate(planner);
    else if (informed)
        level_informed(planner, demanded);
    else if (planner->cluster->host_count > 0)
        level_by_rule(planner);
    if (planner->goal == IMIG__CONSOLIDATE || informed)
        imig__aim_keep_budget(planner);
}
