/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "watch.h"

#include <math.h>

/* Some steps are no matter of balance: a host is to be emptied, a rule or memory to be mended; and
   some goals have limits of their own. */
static gboolean
has_to_move(const imig_plan *plan)
{
    static const char *const codes[] = {
        "drains-host", "repairs-rule", "frees-memory", "levels-cpu", "levels-memory", "frees-host",
    };

    for (size_t i = 0; i < imig_plan_step_count(plan); i++) {
        imig_plan_step step = IMIG_PLAN_STEP_INIT;

        imig_plan_get_step(plan, i, &step, NULL);
        for (size_t c = 0; c < G_N_ELEMENTS(codes); c++)
            if (g_str_equal(step.reason_code, codes[c]))
                return TRUE;
    }
    return FALSE;
}

int
watch_check_dead_band(watcher *w)
{
    const char *goal = w->planner.goal;

    if (isnan(w->dead_band))
        w->dead_band = 0.1;
    else if (goal && (g_str_equal(goal, "level") || g_str_equal(goal, "consolidate")))
        return ui_fail(UI_USAGE, "--dead-band does not go with goal %s, which has limits of its "
                       "own", goal);
    if (w->dead_band < 0 || w->dead_band > 10)
        return ui_fail(UI_USAGE, "--dead-band %g is a ratio from 0 on: 10 %% is 0.1",
                       w->dead_band);
    return UI_DONE;
}

watch_end
watch_decide(const watcher *w, const imig_plan *plan)
{
    imig_plan_totals before = IMIG_PLAN_TOTALS_INIT;

    imig_plan_get_totals(plan, &before, NULL, NULL);
    if (!has_to_move(plan) && before.overloaded_hosts == 0
        && before.cpu_max - before.cpu_mean < w->dead_band)
        return WATCH_DEAD_BAND;
    if (imig_plan_step_count(plan) == 0)
        return WATCH_NOTHING;
    return w->dry_run ? WATCH_DRY_RUN : WATCH_MIGRATED;
}

/*
 * A VM that moves again soon after it has rested goes back and forth between hosts that are equally
 * good, or cannot be moved at all: each time it rests twice as long.
 */
static const double AGAIN_RATIO = 3;    /* of its last rest: "soon" */
static const double LONGEST_RATIO = 16; /* of --cooldown */

typedef struct rest {
    double from_s, for_s;
} rest;

GHashTable *
watch_rests_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

static void
let_rest(watcher *w, const char *vm, double now_s)
{
    rest *last = g_hash_table_lookup(w->rests, vm);

    if (!last) {
        last = g_new0(rest, 1);
        g_hash_table_insert(w->rests, g_strdup(vm), last);
    }
    if (last->for_s > 0 && now_s < last->from_s + last->for_s * (1 + AGAIN_RATIO))
        last->for_s = MIN(2 * last->for_s, LONGEST_RATIO * w->cooldown_s);
    else
        last->for_s = w->cooldown_s;
    last->from_s = now_s;
    imig_monitor_set_cooldown(w->monitor, vm, now_s + last->for_s, NULL);
}

void
watch_let_rest(watcher *w, const imig_run *run, const imig_plan *plan)
{
    GHashTable *seen = g_hash_table_new(g_str_hash, g_str_equal); /* chains have several steps */
    double now_s = imig_connection_clock(w->connection);

    for (size_t i = 0; i < imig_plan_step_count(plan); i++) {
        imig_step_report r = IMIG_STEP_REPORT_INIT;

        imig_run_get_step(run, i, &r, NULL);
        if (r.attempts > 0 && g_hash_table_add(seen, (gpointer) r.vm))
            let_rest(w, r.vm, now_s);
    }
    g_hash_table_destroy(seen);
}
