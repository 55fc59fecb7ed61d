/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_PLAN_DATA_PRIV_H
#define IMIG_PLAN_DATA_PRIV_H

/* What a plan is made of; for the files that build, read, write and check one. */

#include "model/cluster-priv.h"
#include "plan/plan-priv.h"

#define IMIG__PLAN_FORMAT "imig-plan/1"

/* Whether the goal is reached whole is no key of the format: written as one of our own, and only
   where it is not. */
#define IMIG__PLAN_COMPLETE "x-complete"

/* So is what only some goals have to say; written where there is any. */
#define IMIG__PLAN_FIGURES "x-figures"

typedef struct imig__plan_option {
    const char *key;
    const char *text; /* NULL: a number */
    double number;
} imig__plan_option;

/* A VM that stays, or a host that stays above its limits. */
typedef struct imig__plan_kept {
    const char *id, *code, *text;
} imig__plan_kept;

struct imig_plan {
    const char *goal, *policy, *cluster_sha256; /* never NULL */
    imig_cluster *cluster; /* its digest is asked for when somebody wants to know; may be NULL */
    double cluster_time_s;
    GArray *options; /* imig__plan_option */
    GArray *steps;   /* imig_plan_step; texts never NULL */
    GArray *kept;    /* imig__plan_kept; texts never NULL */
    GArray *empty_hosts; /* const char *; ids */
    GArray *above; /* imig__plan_kept, of hosts */
    imig_plan_totals before, after;
    imig_plan_summary summary;
    GStringChunk *texts; /* all of the above */
};

static inline const imig_plan_step *
imig__plan_step(const imig_plan *plan, size_t index)
{
    return &g_array_index(plan->steps, imig_plan_step, index);
}

/*
 * A step in the indices of a cluster.  IMIG_ERR_STALE where the cluster does not have its VM or
 * hosts; where the VM is does not count.
 */
typedef struct imig__plan_move {
    uint32_t vm, from, to;
} imig__plan_move;

int imig__plan_find_move(const imig_plan *plan, size_t step, const imig_cluster *cluster,
                         imig__plan_move *move, imig_error **error);

/* Sets IMIG_ERR_STALE where the VM is not where the step takes it from. */
int imig__plan_check_origin(const imig_plan *plan, size_t step, const imig_cluster *cluster,
                            uint32_t is_on, const imig__plan_move *move, imig_error **error);

#endif
