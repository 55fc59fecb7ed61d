/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SIMULATE_H
#define SIMULATE_H

/* One plan in the simulator, or one of every policy. */

#include "ui.h"

typedef struct simulation {
    ui_common common;
    ui_planner planner;
    int compare;
    imig_cluster *cluster;
    char *uri; /* sim:FILE... */
} simulation;

/* Carries a plan out on a simulator that begins with the cluster as it is in the file. */
int simulate_replay(const simulation *s, const imig_plan *plan, gboolean progress, imig_run **run);

/* What was planned and what was measured. */
json_t *simulate_figures(const imig_plan *plan, const imig_run *run);

/* A table of all policies, or the figures of all as JSON. */
int simulate_compare(const simulation *s);

#endif
