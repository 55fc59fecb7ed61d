/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_WINDOW_PRIV_H
#define IMIG_WINDOW_PRIV_H

/*
 * Which step of a plan may begin next?  The sliding window: a step begins when it is the first that
 * waits at its source and at its destination, both have a free place, its VM's step before has
 * ended, and so has every step that was planned to have left its destination by then, for the plan
 * counted on what that one frees.  Pure; every call costs O(log n) and what it changes.
 */

#include "base/base-priv.h"

typedef struct imig__window imig__window;

/* One step; indices are dense, from 0. */
typedef struct imig__window_step {
    uint32_t vm, from, to, group;
    double start_s, end_s; /* as planned */
} imig__window_step;

/* steps: [n] in starting order, copied.  max_parallel 0: no limit. */
imig__window *imig__window_new(const imig__window_step *steps, size_t n, uint32_t concurrency,
                               uint32_t max_parallel);
void imig__window_free(imig__window *window);

/* The first step that may begin now; it has begun then.  IMIG_NO_INDEX: none. */
uint32_t imig__window_next(imig__window *window);

/* A step that has begun ended; moved: its VM is on the destination now. */
void imig__window_end(imig__window *window, uint32_t step, gboolean moved);

/*
 * A step that must not begin any more, because an earlier step of its VM or one of its group did
 * not move its VM; *because is that step.  It has ended then.  IMIG_NO_INDEX: no further one.
 */
uint32_t imig__window_take_lost(imig__window *window, uint32_t *because);

/* A step that has not begun will not begin; call in any order until IMIG_NO_INDEX. */
uint32_t imig__window_take_waiting(imig__window *window);

/*
 * The step that was to leave this step's destination before it begins, and did not;
 * IMIG_NO_INDEX where all that the plan counted on has happened.
 */
uint32_t imig__window_doubt(const imig__window *window, uint32_t step);

#endif
