/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_SCHEDULE_PRIV_H
#define IMIG_SCHEDULE_PRIV_H

/*
 * When may each step start?  From a set of moves and a wished sequence to a schedule in which
 * memory and hard rules hold at every moment, swap cycles going through a third host.
 */

#include "base/base-priv.h"
#include "cost/interplay-priv.h"

#include <imig/model.h>

/* One move that is wanted: vm goes from where the cluster has it to `to`. */
typedef struct imig__move {
    uint32_t vm;
    uint32_t to;
    uint32_t group; /* moves with the same number only make sense together */
} imig__move;

/* One step as scheduled; a parked VM has two. */
typedef struct imig__scheduled {
    uint32_t vm, from, to;
    uint32_t move;    /* index of the move it belongs to */
    int32_t  parking; /* 1: to a third host, to break a cycle; the final step follows */
    double   start_s;
    imig_cost cost;   /* as predicted at its start */
} imig__scheduled;

typedef struct imig__schedule_options {
    uint32_t concurrency;  /* out of and into each host at a time */
    uint32_t max_parallel; /* in all at a time; 0: no limit */
    gboolean may_park;
} imig__schedule_options;

typedef struct imig__schedule {
    imig__scheduled *steps; /* [step_count] in starting order */
    size_t step_count;
    uint32_t *stuck;        /* [stuck_count] indices of moves for which no order was found */
    size_t stuck_count;
    double makespan_s, makespan_bound_s;
} imig__schedule;

/*
 * home: everybody where the cluster has him.  moves: [n] in the wished sequence; hosts that are
 * shared are served in this order where memory allows.  A move that is stuck does not happen; nor
 * do the other moves of its group.  The threshold-free limits (memory, pools, allowed hosts, hard
 * apart; hard together at the end) are the cluster's own.  Never fails: what cannot be done is in
 * `stuck`.
 */
void imig__schedule_make(const imig_cluster *cluster, const imig__traffic *home,
                         const imig__move *moves, size_t n,
                         const imig__schedule_options *options, imig__schedule *schedule);
void imig__schedule_clear(imig__schedule *schedule);

#endif
