/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef WATCH_H
#define WATCH_H

/* What `imig watch` keeps from round to round, and what it says. */

#include "ui.h"

typedef struct watcher {
    ui_common common;
    ui_planner planner;
    double interval_s, cooldown_s, dead_band;
    int64_t rounds; /* -1: for ever */
    int dry_run;
    gboolean human;
    imig_connection *connection;
    imig_monitor *monitor;
    GHashTable *rests; /* VM id -> how long it last rested, and since when */
} watcher;

/* What became of a round. */
typedef enum watch_end {
    WATCH_NOTHING,   /* nothing is worth doing */
    WATCH_DEAD_BAND, /* the difference is too small to do something about it */
    WATCH_DRY_RUN,   /* steps, but nothing is migrated */
    WATCH_MIGRATED,
    WATCH_ERROR,     /* something did not answer; the reason was said */
} watch_end;

typedef struct watch_round {
    int64_t number; /* from 1 */
    watch_end end;
    imig_cluster *cluster;
    imig_plan *plan;
    imig_run *run;
} watch_round;

/* ---- watch-policy.c ---- */

/* Fills in the default, and refuses what is none, or of no use. */
int watch_check_dead_band(watcher *watcher);

/* Is there something to do, and is it worth beginning? */
watch_end watch_decide(const watcher *watcher, const imig_plan *plan);

GHashTable *watch_rests_new(void);

/* VMs that were touched rest now; twice as long where they did so a short while ago. */
void watch_let_rest(watcher *watcher, const imig_run *run, const imig_plan *plan);

/* ---- watch-say.c ---- */

/* Before something is migrated: what is seen and what is done about it. */
void watch_say_decision(const watcher *watcher, const watch_round *round);

/* After it. */
void watch_say_result(const watcher *watcher, const watch_round *round);

/* The whole round as one line of JSON. */
int watch_write_round(const watcher *watcher, const watch_round *round);

#endif
