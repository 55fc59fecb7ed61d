/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_PLANNER_PRIV_H
#define IMIG_PLANNER_PRIV_H

/* One plan in the making; shared by the files of this folder. */

#include "plan/plan-priv.h"
#include "plan/schedule-priv.h"
#include "policy/problem-priv.h"

typedef enum imig__goal {
    IMIG__BALANCE, IMIG__RELIEVE, IMIG__DRAIN, IMIG__LEVEL, IMIG__CONSOLIDATE,
} imig__goal;

typedef struct imig__planner {
    const imig_cluster *cluster;
    imig_plan_options opt;    /* every number is set */
    imig__goal goal;
    uint32_t policy;          /* row of select.c and place.c */
    imig_predict_options predict;
    imig__problem problem;    /* its state holds the placement that is wished for */
    imig__state *before;      /* everybody at home */
    uint32_t *home;           /* [vms] */
    imig__traffic *traffic;   /* everybody at home */
    double *move_loss;        /* [vms] lost cores of one migration at its cheapest */
    double *move_price;       /* [vms] what it must gain */
    uint8_t *sheds;           /* [hosts] may be left, under this goal and policy */
    uint8_t *empties;         /* [hosts] must be emptied */
    const char **kept;        /* [vms] why the plan gave it up; NULL */
    uint8_t *unpaid;          /* [vms] would move, were it not for the budget */
    imig__schedule schedule;
    struct imig__aim *aim;    /* goals level and consolidate; NULL for the others */
} imig__planner;

/* What a VM loses by one migration, averaged over the horizon. */
double imig__planner_move_loss(const imig__planner *planner, uint32_t vm, const imig_cost *cost);

/* Fills what follows opt, goal, policy and predict; on failure nothing is left to be cleared. */
int imig__planner_prepare(imig__planner *planner, imig_error **error);
void imig__planner_clear(imig__planner *planner);

/* The placement by the policy, and its schedule. */
int imig__planner_decide(imig__planner *planner, gboolean may_park, imig_error **error);

/* Where the plan leaves something unmet, it becomes that of the rule of thumb that leaves least. */
int imig__planner_fall_back(imig__planner *planner, imig_error **error);

/* Lowers the thresholds so that hosts of each pool may fail; fails where it has too few. */
int imig__planner_spare_hosts(imig__planner *planner, imig_error **error);

/* Everybody at home again. */
void imig__planner_reset(imig__planner *planner);

/* The placement that is wished for: by the search, or by the rule of thumb of the policy. */
void imig__planner_place_informed(imig__planner *planner);
void imig__planner_place_by_rule(imig__planner *planner);

/* Do memory, rules or the goal ask for moves, whatever they gain? */
gboolean imig__planner_is_demanded(const imig__planner *planner);

/* Does the schedule gain anything, or is it demanded whatever it gains? */
gboolean imig__planner_is_worthwhile(const imig__planner *planner);

/* What a plan has spent of max_moves and max_bytes. */
typedef struct imig__budget {
    uint32_t moves;
    double bytes;
} imig__budget;

gboolean imig__planner_has_budget(const imig__planner *planner);

/* Adds what moving a unit takes; FALSE, and nothing is added, where that is too much. */
gboolean imig__planner_spend(const imig__planner *planner, uint32_t vm, uint32_t to,
                             imig__budget *spent);

/* What a placement takes of it. */
imig__budget imig__planner_spent(const imig__planner *planner, const imig__state *state);

/* Is that within the budget? */
gboolean imig__planner_can_pay(const imig__planner *planner, const imig__budget *spent);

/* place_by_rule() from the placement as it is, and with what is spent already. */
void imig__planner_relieve_by_rule(imig__planner *planner, imig__budget *spent);

/* Sends VMs home until the plan is within its budget, least gain per cost first. */
void imig__planner_keep_budget(imig__planner *planner);

/* Adds the VMs that stay in a state, and why; returns whether the goal is reached whole. */
gboolean imig__planner_add_kept(const imig__planner *planner, imig_plan *plan,
                                const imig__state *state);

/* Steps with their reasons and gains, kept VMs with theirs, totals; into a new plan. */
imig_plan *imig__planner_explain(imig__planner *planner);

#endif
