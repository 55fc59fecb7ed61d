/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "simulate.h"

#include <stdio.h>

static void
add_policy(ui_table *table, const imig_plan *plan, const imig_run *run)
{
    imig_plan_totals before = IMIG_PLAN_TOTALS_INIT, after = IMIG_PLAN_TOTALS_INIT;
    imig_plan_summary summary = IMIG_PLAN_SUMMARY_INIT;
    ui_measured m;
    double n;

    imig_plan_get_totals(plan, &before, &after, NULL);
    imig_plan_get_summary(plan, &summary, NULL);
    ui_measure(run, plan, &m);
    n = m.done > 0 ? (double) m.done : 1;
    ui_table_add(table, imig_plan_policy(plan));
    ui_table_add(table, ui_text("%.3f", before.loss));
    ui_table_add(table, ui_text("%.3f", after.loss + summary.migration_loss));
    ui_table_add(table, ui_text("%zu", m.done));
    ui_table_add(table, ui_bytes(m.bytes));
    ui_table_add(table, ui_time(m.time_s / n));
    ui_table_add(table, ui_time(m.time_s));
    ui_table_add(table, ui_time(m.downtime_s / n));
    ui_table_add(table, ui_time(m.worst_downtime_s));
    ui_table_add(table, ui_time(imig_run_duration_s(run)));
    ui_table_add(table, m.done < imig_plan_step_count(plan) ? "some steps did not end well"
                        : summary.complete ? "" : "goal not reached whole");
}

int
simulate_compare(const simulation *s)
{
    static const char *const headings[] = {
        "policy", ">loss before", ">loss after", ">migrations", ">sent", ">mean time",
        ">total time", ">mean downtime", ">worst", ">makespan", "", NULL,
    };
    ui_table *table = ui_table_new(headings);
    g_autoptr(json_t) all = json_array();
    const char *policy;
    int status = UI_DONE;

    for (uint32_t i = 0; (policy = imig_plan_policy_name(i)) && status == UI_DONE; i++) {
        g_autoptr(imig_plan) plan = NULL;
        g_autoptr(imig_run) run = NULL;

        status = ui_make_plan(&s->planner, &s->common, s->cluster, policy, &plan);
        if (status == UI_DONE)
            status = simulate_replay(s, plan, FALSE, &run);
        if (status != UI_DONE)
            break;
        if (imig_cancel_level(ui_catch_signals()) > 0)
            status = UI_INTERRUPTED;
        add_policy(table, plan, run);
        json_array_append_new(all, simulate_figures(plan, run));
    }
    if (status != UI_DONE || s->common.json) {
        ui_table_free(table);
        return status == UI_DONE ? ui_write_json("-", all) : status;
    }
    ui_table_print(table);
    puts("\nLosses in lost cores, as planned, the migrations included; all about migrations as "
         "measured\nin the simulator.");
    return ui_flush();
}
