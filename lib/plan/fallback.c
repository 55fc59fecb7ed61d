/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/planner-priv.h"

#include "model/cluster-priv.h"
#include "policy/search-priv.h"

/*
 * What must be comes before the loss, and the search is no better than anybody at packing where
 * memory is short: a placement of least loss may have no way there, or leave out the wrong VMs.
 */

/* VMs x hosts up to which every rule of thumb makes a plan; and smallest-first, which gets the most
   VMs out where there is no room for all. */
#define EFFORT 20000.0
#define EFFORT_SMALLEST 1e6

/* Share of the loss by which one must be better where it leaves as much unmet; assumed. */
#define BETTER 0.02

struct outcome {
    uint32_t unmet; /* how much of what must be is not so */
    double loss;    /* what the search makes small */
};

static gboolean
is_broken(const imig_cluster *cluster, const imig__state *state, uint32_t r)
{
    const imig_rule_info *rule = &cluster->rules[r];

    for (size_t i = 0; i < rule->vm_count; i++) {
        uint32_t place = imig__rule_place(cluster, r, state->host[rule->vms[i]]);

        for (size_t j = 0; j < i; j++)
            if ((imig__rule_place(cluster, r, state->host[rule->vms[j]]) == place)
                == (rule->kind == IMIG_RULE_APART))
                return TRUE;
    }
    return FALSE;
}

static struct outcome
outcome_of(const imig__planner *planner)
{
    const imig_cluster *cluster = planner->cluster;
    const imig__space *space = planner->problem.space;
    imig__state *state = imig__state_copy(planner->before);
    struct outcome o = { 0, 0 };

    for (size_t i = 0; i < planner->schedule.step_count; i++) {
        const imig__scheduled *step = &planner->schedule.steps[i];

        imig__state_move(state, step->vm, step->to);
        o.loss += imig__planner_move_loss(planner, step->vm, &step->cost);
    }
    o.loss += imig__state_loss(state);
    for (uint32_t v = 0; v < cluster->vm_count; v++) {
        if (space->fixed[v] && !planner->kept[v])
            continue; /* nobody can change that */
        o.unmet += planner->empties[state->host[v]];
        o.unmet += !imig__space_allows(space, v, state->host[v]);
    }
    for (uint32_t h = 0; h < cluster->host_count; h++) {
        double over = state->sums[h].cpu
                      - imig__space_threshold(space, h) * state->load->cores[h];

        o.unmet += imig__space_excess(space, state, h) > 0;
        if (planner->goal == IMIG__RELIEVE && over > 0)
            o.loss += IMIG__RELIEF_PRICE * over;
    }
    for (uint32_t r = 0; r < cluster->rule_count; r++)
        o.unmet += cluster->rules[r].hard && is_broken(cluster, state, r);
    imig__state_free(state);
    return o;
}

static gboolean
is_better(struct outcome a, struct outcome b)
{
    return a.unmet != b.unmet ? a.unmet < b.unmet : a.loss < (1 - BETTER) * b.loss;
}

/* Was anything left undone that was wanted? */
static gboolean
gave_up(const imig__planner *planner)
{
    for (size_t v = 0; v < planner->cluster->vm_count; v++)
        if (planner->kept[v])
            return TRUE;
    return FALSE;
}

int
imig__planner_fall_back(imig__planner *planner, imig_error **error)
{
    double effort = (double) planner->problem.load->vms * planner->problem.load->hosts;
    struct outcome best;
    int r = IMIG_OK;

    if (effort > EFFORT_SMALLEST || planner->aim)
        return IMIG_OK;
    best = outcome_of(planner);
    if (best.unmet == 0 && !gave_up(planner))
        return IMIG_OK;
    for (uint32_t p = IMIG__POLICY_INFORMED + 1; imig_plan_policy_name(p) && r == IMIG_OK; p++) {
        imig__planner other = {
            .cluster = planner->cluster, .opt = planner->opt, .goal = planner->goal, .policy = p,
            .predict = planner->predict,
        };
        struct outcome found;

        if (effort > EFFORT && !g_str_equal(imig_plan_policy_name(p), "smallest-first"))
            continue;
        r = imig__planner_prepare(&other, error);
        if (r != IMIG_OK)
            break;
        r = imig__planner_decide(&other, TRUE, error);
        found = r == IMIG_OK ? outcome_of(&other) : best;
        if (is_better(found, best)) {
            imig__planner swap = *planner;

            best = found;
            *planner = other;
            planner->policy = IMIG__POLICY_INFORMED;
            other = swap;
        }
        imig__planner_clear(&other);
    }
    return r;
}
