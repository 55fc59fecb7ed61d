/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ui.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* What the progress lines need from one event to the next. */
struct progress {
    const imig_cluster *cluster;
    imig_recorder *recorder; /* NULL: none */
    gboolean recorder_failed;
    size_t steps, ended, running;
    gboolean shown, terminal, line_shown;
};

/* The line at the bottom of a terminal, drawn again and again. */
static void
draw_line(struct progress *p, const imig_step_report *report)
{
    double ratio = report->predicted_bytes > 0 ? report->measured_bytes / report->predicted_bytes
                                               : 0;
    g_autofree char *line = g_strdup_printf(
        "%zu of %zu done, %zu under way  %s %s -> %s  %s  %s", p->ended, p->steps, p->running,
        ui_vm_name(p->cluster, report->vm), ui_host_name(p->cluster, report->from),
        ui_host_name(p->cluster, report->to), ui_bar(ratio, 20), ui_bytes(report->measured_bytes));
    g_autofree char *cut = g_utf8_substring(line, 0, MIN(g_utf8_strlen(line, -1), ui_width() - 1));

    printf("\r\033[K%s", cut);
    p->line_shown = TRUE;
}

static void
print_end(const struct progress *p, const imig_step_report *report)
{
    const char *vm = ui_vm_name(p->cluster, report->vm);
    const char *to = ui_host_name(p->cluster, report->to);

    switch (report->state) {
    case IMIG_STEP_DONE:
        printf("%s%s runs on %s%s after %s, stood still %s", ui_colour_on(UI_GREEN), vm, to,
               ui_colour_off(), ui_time(report->measured_s),
               ui_time(report->present & IMIG_JOB_HAS_DOWNTIME ? report->measured_downtime_s
                                                               : NAN));
        break;
    case IMIG_STEP_FAILED:
        printf("%s%s failed%s: %s", ui_colour_on(UI_RED), vm, ui_colour_off(), report->message);
        break;
    case IMIG_STEP_SKIPPED:
        printf("%s%s skipped%s: %s", ui_colour_on(UI_YELLOW), vm, ui_colour_off(),
               report->message);
        break;
    default:
        printf("%s%s cancelled%s", ui_colour_on(UI_YELLOW), vm, ui_colour_off());
    }
    putchar('\n');
}

static void
show_event(struct progress *p, const imig_step_report *report, double clock_s)
{
    gboolean begins = report->state == IMIG_STEP_RUNNING && report->measured_bytes == 0;
    gboolean doubted = report->state == IMIG_STEP_IN_DOUBT;
    gboolean ends = report->state != IMIG_STEP_RUNNING && !doubted;

    if (p->line_shown)
        printf("\r\033[K");
    p->line_shown = FALSE;
    if (begins && report->present == 0) {
        p->running += report->attempts == 1;
        printf("[%8.1f s] %s leaves %s for %s%s\n", clock_s, ui_vm_name(p->cluster, report->vm),
               ui_host_name(p->cluster, report->from), ui_host_name(p->cluster, report->to),
               report->attempts > 1 ? ", another attempt" : "");
    } else if (doubted) {
        printf("[%8.1f s] %s%s in doubt%s: %s; asking where it is\n", clock_s,
               ui_colour_on(UI_YELLOW), ui_vm_name(p->cluster, report->vm), ui_colour_off(),
               report->message[0] ? report->message : "it cannot be begun now");
    } else if (ends) {
        p->running -= report->attempts > 0 && p->running > 0;
        p->ended++;
        printf("[%8.1f s] ", clock_s);
        print_end(p, report);
    }
    if (p->terminal && !ends)
        draw_line(p, report);
    fflush(stdout);
}

/* How the steps ended of which no event told. */
static void
record_end(struct progress *p, const imig_run *run)
{
    for (size_t i = 0; run && i < p->steps; i++) {
        imig_step_report report = IMIG_STEP_REPORT_INIT;

        imig_run_get_step(run, i, &report, NULL);
        ui_recorder_step(p->recorder, &report, &p->recorder_failed);
    }
    imig_recorder_free(p->recorder);
}

static void
take_event(const imig_step_report *report, double clock_s, void *user_data)
{
    struct progress *p = user_data;

    ui_recorder_step(p->recorder, report, &p->recorder_failed);
    if (p->shown)
        show_event(p, report, clock_s);
}

int
ui_execute(const ui_common *common, imig_connection *connection, const imig_plan *plan,
           const imig_cluster *cluster, imig_execute_options *options, gboolean progress,
           imig_run **run)
{
    struct progress p = {
        .cluster = cluster, .recorder = ui_recorder_new(common, cluster, options),
        .steps = imig_plan_step_count(plan), .shown = progress, .terminal = ui_on_terminal(),
    };
    imig_error *error = NULL;
    int code;

    options->cancel = ui_catch_signals();
    ui_outlive_reader();
    options->event = take_event;
    options->user_data = &p;
    code = imig_execute(connection, plan, options, run, &error);
    record_end(&p, code == IMIG_OK ? *run : NULL);
    if (p.line_shown)
        printf("\r\033[K");
    return code == IMIG_OK ? UI_DONE : ui_fail_error(NULL, error);
}

void
ui_measure(const imig_run *run, const imig_plan *plan, ui_measured *into)
{
    *into = (ui_measured) { 0 };
    for (size_t i = 0; i < imig_plan_step_count(plan); i++) {
        imig_step_report report = IMIG_STEP_REPORT_INIT;
        gboolean predicted;

        imig_run_get_step(run, i, &report, NULL);
        if (report.state != IMIG_STEP_DONE)
            continue;
        into->done++;
        into->time_s += report.measured_s;
        into->downtime_s += report.measured_downtime_s;
        into->worst_downtime_s = fmax(into->worst_downtime_s, report.measured_downtime_s);
        into->bytes += report.measured_bytes;
        predicted = ui_is_predicted(report.predicted_s);
        into->predicted_s += predicted ? report.predicted_s : NAN;
        into->predicted_downtime_s += predicted ? report.predicted_downtime_s : NAN;
        into->predicted_bytes += predicted ? report.predicted_bytes : NAN;
    }
}

static const char *const state_names[] = {
    [IMIG_STEP_WAITING] = "waiting",     [IMIG_STEP_RUNNING] = "under way",
    [IMIG_STEP_DONE] = "done",           [IMIG_STEP_FAILED] = "failed",
    [IMIG_STEP_SKIPPED] = "skipped",     [IMIG_STEP_CANCELLED] = "cancelled",
    [IMIG_STEP_IN_DOUBT] = "in doubt",
};

static void
add_compared(ui_table *table, const char *(*format)(double), double predicted, double measured,
             gboolean is_measured)
{
    ui_table_add(table, format(predicted));
    ui_table_add(table, is_measured ? format(measured) : "-");
    ui_table_add(table, is_measured ? ui_off(predicted, measured) : "-");
}

/* The message without the state that the row shows already. */
static const char *
unlike_state(const imig_step_report *report)
{
    const char *state = state_names[report->state], *rest = report->message;

    if (!g_str_has_prefix(rest, state))
        return rest;
    rest += strlen(state);
    return *rest == '\0' ? rest : g_str_has_prefix(rest, "; ") ? rest + 2 : report->message;
}

static void
add_sum(ui_table *table, const ui_measured *m)
{
    for (int blank = 0; blank < 3; blank++)
        ui_table_add(table, blank == 0 ? "all that are done" : "");
    ui_table_add(table, ui_text("%zu", m->done));
    add_compared(table, ui_time, m->predicted_s, m->time_s, TRUE);
    add_compared(table, ui_time, m->predicted_downtime_s, m->downtime_s, TRUE);
    add_compared(table, ui_bytes, m->predicted_bytes, m->bytes, TRUE);
    ui_table_add(table, "");
}

void
ui_print_run(const imig_run *run, const imig_plan *plan, const imig_cluster *cluster)
{
    static const char *const headings[] = {
        "VM", "from", "to", "", ">time", ">measured", ">off", ">downtime", ">measured", ">off",
        ">sent", ">measured", ">off", "|", NULL,
    };
    ui_table *table = ui_table_new(headings);
    ui_measured m;

    for (size_t i = 0; i < imig_plan_step_count(plan); i++) {
        imig_step_report r = IMIG_STEP_REPORT_INIT;
        gboolean done;

        imig_run_get_step(run, i, &r, NULL);
        done = r.state == IMIG_STEP_DONE && r.present != 0;
        if (!ui_is_predicted(r.predicted_s))
            r.predicted_s = r.predicted_downtime_s = r.predicted_bytes = NAN;
        ui_table_add(table, ui_vm_name(cluster, r.vm));
        ui_table_add(table, ui_host_name(cluster, r.from));
        ui_table_add(table, ui_host_name(cluster, r.to));
        ui_table_add_coloured(table, r.state == IMIG_STEP_DONE ? UI_GREEN : UI_RED,
                              state_names[r.state]);
        add_compared(table, ui_time, r.predicted_s, r.measured_s, done);
        add_compared(table, ui_time, r.predicted_downtime_s, r.measured_downtime_s,
                     done && r.present & IMIG_JOB_HAS_DOWNTIME);
        add_compared(table, ui_bytes, r.predicted_bytes, r.measured_bytes,
                     done && r.present & IMIG_JOB_HAS_TRANSFERRED);
        ui_table_add(table, unlike_state(&r));
    }
    ui_measure(run, plan, &m);
    if (m.done > 0)
        add_sum(table, &m);
    ui_table_print(table);
}

static json_t *
compared(double predicted, double measured, gboolean is_measured)
{
    return json_pack("{s:o, s:o}", "predicted",
                     isfinite(predicted) ? json_real(predicted) : json_null(), "measured",
                     is_measured ? json_real(measured) : json_null());
}

json_t *
ui_run_figures(const imig_run *run, const imig_plan *plan)
{
    json_t *steps = json_array();
    ui_measured m;

    for (size_t i = 0; i < imig_plan_step_count(plan); i++) {
        imig_step_report r = IMIG_STEP_REPORT_INIT;
        gboolean done;

        imig_run_get_step(run, i, &r, NULL);
        done = r.state == IMIG_STEP_DONE && r.present != 0;
        if (!ui_is_predicted(r.predicted_s))
            r.predicted_s = r.predicted_downtime_s = r.predicted_bytes = NAN;
        json_array_append_new(steps, json_pack(
            "{s:s, s:s, s:s, s:s, s:s, s:I, s:f, s:i, s:i, s:o, s:o, s:o}",
            "vm", r.vm, "from", r.from, "to", r.to, "state", state_names[r.state], "message",
            r.message, "backend_code", (json_int_t) r.backend_code, "start_s", r.start_s,
            "attempts", (int) r.attempts, "rounds", (int) r.rounds, "duration_s",
            compared(r.predicted_s, r.measured_s, done),
            "downtime_s", compared(r.predicted_downtime_s, r.measured_downtime_s,
                                   done && r.present & IMIG_JOB_HAS_DOWNTIME),
            "transferred_bytes", compared(r.predicted_bytes, r.measured_bytes,
                                          done && r.present & IMIG_JOB_HAS_TRANSFERRED)));
    }
    ui_measure(run, plan, &m);
    return json_pack("{s:i, s:i, s:i, s:i, s:f, s:o, s:o, s:o, s:o}",
                     "done", (int) imig_run_count(run, IMIG_STEP_DONE),
                     "failed", (int) imig_run_count(run, IMIG_STEP_FAILED),
                     "skipped", (int) imig_run_count(run, IMIG_STEP_SKIPPED),
                     "cancelled", (int) imig_run_count(run, IMIG_STEP_CANCELLED),
                     "makespan_s", imig_run_duration_s(run),
                     "duration_s", compared(m.predicted_s, m.time_s, TRUE),
                     "downtime_s", compared(m.predicted_downtime_s, m.downtime_s, TRUE),
                     "transferred_bytes", compared(m.predicted_bytes, m.bytes, TRUE),
                     "steps", steps);
}

int
ui_run_status(const imig_run *run, const imig_plan *plan)
{
    if (imig_run_count(run, IMIG_STEP_CANCELLED) + imig_run_count(run, IMIG_STEP_RUNNING)
            + imig_run_count(run, IMIG_STEP_IN_DOUBT) > 0)
        return UI_INTERRUPTED;
    return imig_run_count(run, IMIG_STEP_DONE) == imig_plan_step_count(plan) ? UI_DONE
                                                                             : UI_PARTIAL;
}
