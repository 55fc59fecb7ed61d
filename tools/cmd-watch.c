/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands.h"
#include "watch.h"

#include <math.h>

static gboolean
is_interrupted(void)
{
    return imig_cancel_level(ui_catch_signals()) > 0;
}

/* A round that ended early leaves the hypervisors alone for the rest of its time. */
static void
wait_until(const watcher *w, double deadline_s)
{
    double now_s = imig_connection_clock(w->connection);

    while (now_s < deadline_s && !is_interrupted()) {
        double next_s = fmin(deadline_s, now_s + 0.5);

        if (imig_connection_wait(w->connection, next_s, NULL) != IMIG_OK
            && imig_connection_clock(w->connection) < next_s)
            g_usleep(500000);
        now_s = fmax(next_s, imig_connection_clock(w->connection));
    }
}

static int
look(watcher *w, watch_round *round)
{
    imig_error *error = NULL;
    int code = imig_monitor_watch(w->monitor, w->interval_s, &error);

    if (code == IMIG_OK)
        code = imig_monitor_snapshot(w->monitor, &round->cluster, &error);
    if (code == IMIG_OK)
        return UI_DONE;
    if (code == IMIG_ERR_CANCELLED) {
        imig_error_free(error);
        return UI_INTERRUPTED;
    }
    ui_fail_error("observing", error);
    return UI_FAILED;
}

static int
carry_out(watcher *w, watch_round *round)
{
    imig_execute_options options = IMIG_EXECUTE_OPTIONS_INIT;
    int status;

    ui_execute_options(&w->planner.migration, &options);
    status = ui_execute(&w->common, w->connection, round->plan, round->cluster, &options, w->human,
                        &round->run);
    if (status != UI_DONE)
        return UI_FAILED; /* a VM has moved since; the next round sees where it is */
    watch_let_rest(w, round->run, round->plan);
    watch_say_result(w, round);
    return imig_run_count(round->run, IMIG_STEP_CANCELLED)
                   + imig_run_count(round->run, IMIG_STEP_RUNNING)
                   + imig_run_count(round->run, IMIG_STEP_IN_DOUBT) > 0
               ? UI_INTERRUPTED : UI_DONE;
}

/* UI_DONE or UI_FAILED: there may be another one. */
static int
make_round(watcher *w, watch_round *round)
{
    int status = look(w, round);

    if (status != UI_DONE)
        return status;
    ui_record_observation(&w->common, round->cluster);
    status = ui_make_plan(&w->planner, &w->common, round->cluster, NULL, &round->plan);
    if (status != UI_DONE)
        return status;
    round->end = watch_decide(w, round->plan);
    watch_say_decision(w, round);
    return round->end == WATCH_MIGRATED ? carry_out(w, round) : UI_DONE;
}

static void
round_clear(watch_round *round)
{
    imig_run_free(round->run);
    imig_plan_unref(round->plan);
    imig_cluster_unref(round->cluster);
}

/* Interrupted while nothing was under way is as good an end as any, whatever failed long before. */
static int
end_status(const watcher *w, int64_t failed)
{
    if (is_interrupted())
        return UI_DONE;
    return ui_missing_status(w->connection, failed == 0 ? UI_DONE
                                            : failed < w->rounds ? UI_PARTIAL : UI_FAILED);
}

static int
go_round(watcher *w)
{
    int status = UI_DONE;
    int64_t failed = 0;

    for (int64_t n = 1; (w->rounds < 0 || n <= w->rounds) && !is_interrupted(); n++) {
        watch_round round = { .number = n, .end = WATCH_ERROR };
        double began_s = imig_connection_clock(w->connection);
        int written = UI_DONE;

        status = make_round(w, &round);
        if (status == UI_FAILED) {
            round.end = WATCH_ERROR;
            failed++;
        }
        if (w->common.json && (status != UI_INTERRUPTED || round.run))
            written = watch_write_round(w, &round);
        else
            written = ui_flush();
        if (status == UI_INTERRUPTED && !round.run)
            status = UI_DONE;
        round_clear(&round);
        if (written != UI_DONE)
            return written;
        if (status == UI_USAGE || status == UI_INTERRUPTED)
            return status;
        if (status == UI_FAILED && n != w->rounds)
            wait_until(w, began_s + w->interval_s);
    }
    return end_status(w, failed);
}

static int
watch(watcher *w)
{
    imig_monitor_options options = IMIG_MONITOR_OPTIONS_INIT;
    imig_error *error = NULL;
    int status = ui_connect(&w->common, &w->connection);

    if (status != UI_DONE)
        return status;
    options.set = IMIG_MONITOR_HAS_INTERVAL;
    options.interval_s = fmin(10, w->interval_s / 6);
    options.cancel = ui_catch_signals();
    if (imig_monitor_new(w->connection, &options, &w->monitor, &error) != IMIG_OK)
        return ui_fail_error(NULL, error);
    w->rests = watch_rests_new();
    status = go_round(w);
    g_hash_table_unref(w->rests);
    imig_monitor_free(w->monitor);
    return status;
}

int
cmd_watch(int argc, char **argv)
{
    static const ui_command command = {
        "watch", "", "Observe, plan and run, again and again: keep a cluster balanced.\n"
        "Migrates without asking.  Ends on Ctrl-C.\n"
        "Exit status with --rounds: 3 where some rounds failed, 1 where all did.", 0, 0,
    };
    watcher w = {
        .common = UI_COMMON_INIT, .interval_s = 60, .cooldown_s = 1800, .dead_band = NAN,
        .rounds = -1,
    };
    const ui_option options[] = {
        UI_OPTION_CONNECT(&w.common),
        UI_OPTION_MEASURE_DIRTY,
        { "interval", 0, UI_SECONDS, &w.interval_s, "TIME", "a round observes for so long (60s)" },
        { "cooldown", 0, UI_SECONDS, &w.cooldown_s, "TIME",
          "a VM that was moved rests for so long (30min), longer where it moves again" },
        { "dead-band", 0, UI_NUMBER, &w.dead_band, "RATIO",
          "nothing is done while no host is overloaded nor its CPU utilisation this much above the "
          "mean (0.1)" },
        { "rounds", 0, UI_COUNT1, &w.rounds, "N", "end after so many (never)" },
        { "dry-run", 'n', UI_FLAG, &w.dry_run, NULL, "migrate nothing" },
        UI_OPTION_JSON(&w.common),
        UI_OPTION_QUIET(&w.common),
        UI_OPTION_SEED(&w.common),
        UI_OPTION_AFFINITY(&w.common),
        UI_OPTION_CONSTANTS(&w.common),
        UI_OPTION_END,
    };
    int status;

    ui_planner_init(&w.planner, UI_DECIDES | UI_CARRIES_OUT);
    status = ui_parse(&command, options, w.planner.table, &argc, argv);
    if (status == UI_GO_ON) {
        w.human = !w.common.json && !w.common.quiet;
        status = ui_planner_read(&w.planner, 0, NULL);
        if (status == UI_DONE)
            status = watch_check_dead_band(&w);
        if (status == UI_DONE)
            status = ui_store_use(&w.common, UI_STORE_WRITE);
        if (status == UI_DONE)
            status = watch(&w);
    }
    ui_store_leave(&w.common);
    imig_connection_unref(w.connection);
    ui_planner_clear(&w.planner);
    ui_clear(options);
    return status;
}
