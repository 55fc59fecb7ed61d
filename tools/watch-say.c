/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "watch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { SHOWN_STEPS = 4 }; /* of a plan, in its one line */

/* The busiest active host by its index, and how busy it is; IMIG_NO_INDEX: none is active. */
static uint32_t
find_busiest(const imig_cluster *cluster, double *use)
{
    g_autofree int32_t *classes = ui_classes(cluster);
    g_autofree ui_load *loads = ui_loads(cluster, classes);
    uint32_t busiest = IMIG_NO_INDEX;

    *use = 0;
    for (uint32_t h = 0; h < imig_cluster_host_count(cluster); h++) {
        imig_host_info host = IMIG_HOST_INFO_INIT;
        double now;

        imig_cluster_get_host(cluster, h, &host, NULL);
        now = loads[h].cpu_cores / host.cpu_cores;
        if (host.state == IMIG_HOST_ACTIVE && (busiest == IMIG_NO_INDEX || now > *use)) {
            busiest = h;
            *use = now;
        }
    }
    return busiest;
}

/* A point in time where the clock shows one; a simulator counts from what its document says. */
static void
print_time(double time_s)
{
    GDateTime *when = time_s > 1e8 ? g_date_time_new_from_unix_local((gint64) time_s) : NULL;
    g_autofree char *text = when ? g_date_time_format(when, "%F %T") : NULL;

    if (text)
        printf("%s  ", text);
    else
        printf("%10.1f s  ", time_s);
    if (when)
        g_date_time_unref(when);
}

static void
print_steps(const watch_round *round)
{
    size_t n = imig_plan_step_count(round->plan);

    printf("%zu migration%s%s: ", n, n == 1 ? "" : "s",
           round->end == WATCH_DRY_RUN ? " would be made" : "");
    for (size_t i = 0; i < MIN(n, SHOWN_STEPS); i++) {
        imig_plan_step step = IMIG_PLAN_STEP_INIT;

        imig_plan_get_step(round->plan, i, &step, NULL);
        printf("%s%s to %s", i > 0 ? ", " : "", ui_vm_name(round->cluster, step.vm),
               ui_host_name(round->cluster, step.to));
    }
    if (n > SHOWN_STEPS)
        printf(" and %zu more", n - SHOWN_STEPS);
}

void
watch_say_decision(const watcher *w, const watch_round *round)
{
    imig_plan_totals before = IMIG_PLAN_TOTALS_INIT;
    imig_plan_summary summary = IMIG_PLAN_SUMMARY_INIT;
    imig_host_info host = IMIG_HOST_INFO_INIT;
    uint32_t busiest;
    double use;

    if (!w->human)
        return;
    busiest = find_busiest(round->cluster, &use);
    imig_plan_get_totals(round->plan, &before, NULL, NULL);
    imig_plan_get_summary(round->plan, &summary, NULL);
    print_time(imig_cluster_time_s(round->cluster));
    if (busiest != IMIG_NO_INDEX) {
        imig_cluster_get_host(round->cluster, busiest, &host, NULL);
        printf("busiest host %s at %s, mean %s: ", host.name, ui_percent(use),
               ui_percent(before.cpu_mean));
    }
    if (round->end == WATCH_DEAD_BAND)
        fputs("within the dead band", stdout);
    else if (round->end == WATCH_NOTHING)
        fputs("nothing worth doing", stdout);
    else
        print_steps(round);
    puts(summary.complete ? "" : "; the goal cannot be reached whole");
    fflush(stdout);
}

void
watch_say_result(const watcher *w, const watch_round *round)
{
    static const struct {
        int32_t state;
        const char *word;
    } ends[] = {
        { IMIG_STEP_DONE, "done" },           { IMIG_STEP_FAILED, "failed" },
        { IMIG_STEP_SKIPPED, "skipped" },     { IMIG_STEP_CANCELLED, "cancelled" },
        { IMIG_STEP_RUNNING, "under way" },   { IMIG_STEP_IN_DOUBT, "in doubt" },
    };
    const char *separator = "";

    if (!w->human)
        return;
    print_time(imig_connection_clock(w->connection));
    for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
        size_t n = imig_run_count(round->run, ends[i].state);

        if (n > 0 || ends[i].state == IMIG_STEP_DONE) {
            printf("%s%zu %s", separator, n, ends[i].word);
            separator = ", ";
        }
    }
    printf(" after %s\n", ui_time(imig_run_duration_s(round->run)));
    fflush(stdout);
}

static json_t *
steps_as_json(const watch_round *round)
{
    json_t *steps = json_array();

    for (size_t i = 0; i < imig_plan_step_count(round->plan); i++) {
        imig_plan_step step = IMIG_PLAN_STEP_INIT;

        imig_plan_get_step(round->plan, i, &step, NULL);
        json_array_append_new(steps, json_pack("{s:s, s:s, s:s, s:s}", "vm", step.vm, "from",
                                               step.from, "to", step.to, "reason",
                                               step.reason_code));
    }
    return steps;
}

static void
add_decision(const watch_round *round, json_t *line)
{
    imig_plan_totals before = IMIG_PLAN_TOTALS_INIT;
    imig_plan_summary summary = IMIG_PLAN_SUMMARY_INIT;
    imig_host_info host = IMIG_HOST_INFO_INIT;
    double use;
    uint32_t busiest = find_busiest(round->cluster, &use);

    imig_plan_get_totals(round->plan, &before, NULL, NULL);
    imig_plan_get_summary(round->plan, &summary, NULL);
    if (busiest != IMIG_NO_INDEX)
        imig_cluster_get_host(round->cluster, busiest, &host, NULL);
    json_object_set_new(line, "busiest", host.id ? json_string(host.id) : json_null());
    json_object_set_new(line, "cpu_max", json_real(before.cpu_max));
    json_object_set_new(line, "cpu_mean", json_real(before.cpu_mean));
    json_object_set_new(line, "overloaded_hosts", json_integer(before.overloaded_hosts));
    json_object_set_new(line, "loss", json_real(before.loss));
    json_object_set_new(line, "complete", json_boolean(summary.complete));
    json_object_set_new(line, "steps", steps_as_json(round));
    if (round->run)
        json_object_set_new(line, "run", ui_run_figures(round->run, round->plan));
}

int
watch_write_round(const watcher *w, const watch_round *round)
{
    static const char *const names[] = {
        [WATCH_NOTHING] = "nothing", [WATCH_DEAD_BAND] = "dead-band",
        [WATCH_DRY_RUN] = "dry-run", [WATCH_MIGRATED] = "migrated", [WATCH_ERROR] = "error",
    };
    g_autoptr(json_t) line = json_pack("{s:I, s:f, s:s, s:o}", "round",
                                       (json_int_t) round->number, "time_s",
                                       imig_connection_clock(w->connection), "decision",
                                       names[round->end], "missing", ui_missing(w->connection));
    char *text;

    if (round->plan)
        add_decision(round, line);
    text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(15));
    puts(text);
    free(text);
    return ui_flush();
}
