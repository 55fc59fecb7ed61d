/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_AIM_PRIV_H
#define IMIG_AIM_PRIV_H

/*
 * The goals that bring every host within limits of their own, level and consolidate; for the files
 * of this folder.
 */

#include "plan/planner-priv.h"
#include "policy/consolidate-priv.h"
#include "policy/level-priv.h"

typedef struct imig__aim {
    imig__limits limits;             /* consolidate: of the hosts that stay in use */
    double *mean_cpu, *mean_memory;  /* [pools] level */
    uint8_t *frees;                  /* [hosts] consolidate: to be switched off */
    uint32_t *repair;                /* [vms] level: where broken rules and memory that is short
                                        want them, at least bytes; NULL: nothing is asked for */
    gboolean is_cut;                 /* the budget did not allow all that was found */
} imig__aim;

/* For the goals that have one: makes planner->aim from the cluster as it is. */
void imig__aim_make(imig__planner *planner);
void imig__aim_clear(imig__planner *planner);

/* The placement that is wished for, whatever the goal and the policy. */
void imig__aim_place(imig__planner *planner);

/* What moves as one, and is given up as one: a unit, or all that leaves a host to be freed. */
uint32_t imig__aim_group(const imig__planner *planner, uint32_t vm);

/* Hosts with a VM that was given up stay in use: half of one is not worth emptying. */
void imig__aim_give_up(imig__planner *planner);

/* Back within max_moves and max_bytes: what brings most for each byte comes first. */
void imig__aim_keep_budget(imig__planner *planner);

/* -- what the plan says of it -- */

/* Is the host not where the goal wants it? */
gboolean imig__aim_misses(const imig__planner *planner, const imig__state *state, uint32_t host);

/* Why a VM that could go somewhere stays; NULL: the goal has nothing to say of it. */
const char *imig__aim_stay_code(const imig__planner *planner, const imig__state *state,
                                uint32_t vm, char **text);

typedef enum imig__aim_cause {
    IMIG__AIM_NONE, IMIG__AIM_CPU, IMIG__AIM_MEMORY, IMIG__AIM_FREES, IMIG__AIM_ROOM,
    IMIG__AIM_SHORT, /* of memory, whatever the mean */
} imig__aim_cause;

imig__aim_cause imig__aim_why(const imig__planner *planner, uint32_t vm);

/* Bytes, bounds, hosts in use; and the hosts that are empty. */
void imig__aim_sum_up(const imig__planner *planner, const imig__state *after,
                      imig_plan_summary *summary, imig_plan *plan);

#endif
