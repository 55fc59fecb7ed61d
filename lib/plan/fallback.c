/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/planner-priv.h"

#include "model/cluster-priv.h"

/*
 * What must be comes before the loss, and the search is no better than anybody at packing where
 * memory is short: a placement of least loss may have no way there, or leave out the wrong VMs.
 */

/* VMs x hosts up to which every rule of thumb makes a plan. */
#define EFFORT 20000.0

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

/* How much of what must be is not so after the schedule. */
static uint32_t
count_unmet(const imig__planner *planner)
{
    const imig_cluster *cluster = planner->cluster;
    imig__state *state = imig__state_new(planner->problem.load);
    uint32_t unmet = 0;

    for (size_t i = 0; i < planner->schedule.step_count; i++)
        imig__state_move(state, planner->schedule.steps[i].vm, planner->schedule.steps[i].to);
    for (uint32_t v = 0; v < cluster->vm_count; v++) {
        unmet += planner->empties[state->host[v]];
        unmet += !imig__vm_may_be_on(cluster, v, state->host[v]);
    }
    for (uint32_t h = 0; h < cluster->host_count; h++)
        unmet += imig__space_excess(planner->problem.space, state, h) > 0;
    for (uint32_t r = 0; r < cluster->rule_count; r++)
        unmet += cluster->rules[r].hard && is_broken(cluster, state, r);
    imig__state_free(state);
    return unmet;
}

int
imig__planner_fall_back(imig__planner *planner, imig_error **error)
{
    uint32_t least = count_unmet(planner);
    int r = IMIG_OK;

    if ((double) planner->problem.load->vms * planner->problem.load->hosts > EFFORT)
        return r;
    for (uint32_t p = IMIG__POLICY_INFORMED + 1; least > 0 && imig_plan_policy_name(p); p++) {
        imig__planner other = {
            .cluster = planner->cluster, .opt = planner->opt, .goal = planner->goal, .policy = p,
            .predict = planner->predict,
        };
        uint32_t unmet;

        r = imig__planner_prepare(&other, error);
        if (r != IMIG_OK)
            break;
        r = imig__planner_decide(&other, TRUE, error);
        unmet = r == IMIG_OK ? count_unmet(&other) : least;
        other.policy = IMIG__POLICY_INFORMED;
        if (unmet < least) {
            imig__planner swap = *planner;

            *planner = other;
            other = swap;
            least = unmet;
        }
        imig__planner_clear(&other);
        if (r != IMIG_OK)
            break;
    }
    return r;
}
