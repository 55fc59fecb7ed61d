/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_PROBLEM_PRIV_H
#define IMIG_PROBLEM_PRIV_H

/* What select, place and the planner all begin with: classes, load, limits, the present state. */

#include "policy/space-priv.h"

#include <imig/affinity.h>

enum { IMIG__DOUBTS = 2 };

typedef struct imig__problem {
    const imig_cluster *cluster;
    int32_t *workload;   /* [vms] */
    imig__load *load;
    imig__load *doubt[IMIG__DOUBTS]; /* the same, had the classes at a border come out otherwise;
                                        NULL where they are given */
    imig__space *space;
    imig__state *state;  /* everybody at home */
} imig__problem;

/* workload and affinity may be NULL; fails where a class is out of range. */
int imig__problem_init(imig__problem *problem, const imig_cluster *cluster,
                       const int32_t *workload, const imig_affinity *affinity,
                       const imig__loss_options *options, double threshold, double now_s,
                       imig_error **error);
void imig__problem_clear(imig__problem *problem);

/* -- the rules of thumb, one VM or host at a time -- */

/*
 * Those of n VMs that may leave, in the order of a policy that is a row of select.c; one VM stands
 * for its unit.  ranked: [n]; may be vm itself.  Returns how many.
 */
size_t imig__select_rank(const imig__problem *problem, uint32_t policy, const uint32_t *vm,
                         size_t n, uint64_t seed, uint32_t *ranked);

/* The host a policy that is a row of place.c finds for a unit, or IMIG_NO_HOST. */
uint32_t imig__place_one(const imig__problem *problem, const imig__state *state, uint32_t policy,
                         uint32_t vm, uint64_t seed);

/* Index of a policy by name, NULL being the first; UINT32_MAX where there is none. */
uint32_t imig__select_policy(const char *name);
uint32_t imig__place_policy(const char *name);

#define IMIG__POLICY_INFORMED 0
#define IMIG__THRESHOLD 0.8 /* default: a host is overloaded above it */

#endif
