/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands.h"
#include "ui.h"

#include <math.h>
#include <stdio.h>

typedef struct balance {
    ui_common common;
    ui_watch watch;
    ui_planner planner;
    char *after;
    int dry_run, yes;
    gboolean human;
} balance;

static void
show_cluster(const balance *b, const imig_connection *connection, const char *title,
             const imig_cluster *cluster)
{
    g_auto(GStrv) unseen = NULL;

    if (!b->human)
        return;
    unseen = ui_unseen(connection, &b->common, cluster);
    printf("%s%s%s\n\n", ui_colour_on(UI_BOLD), title, ui_colour_off());
    ui_print_hosts(cluster, unseen);
    putchar('\n');
    fflush(stdout);
}

static const char *
verdict(const imig_plan_totals *before, const imig_plan_totals *observed)
{
    double less = before->cpu_max - observed->cpu_max;

    if (observed->overloaded_hosts != before->overloaded_hosts)
        less = observed->overloaded_hosts < before->overloaded_hosts ? 1 : -1;
    return less >= 0.005 ? "It helped" : less <= -0.005 ? "It did not help" : "It changed little";
}

/* A plan without moves sums up what was observed afterwards as the first one did what was before.
   Who empties hosts crowds the others, and means to. */
static void
show_effect(const balance *b, const imig_plan *plan, const imig_cluster *after)
{
    imig_plan_totals was = IMIG_PLAN_TOTALS_INIT, predicted = IMIG_PLAN_TOTALS_INIT;
    imig_plan_totals is = IMIG_PLAN_TOTALS_INIT, unused = IMIG_PLAN_TOTALS_INIT;
    g_autoptr(imig_plan) next = NULL;
    ui_planner planner = b->planner;
    ui_common common = b->common;

    if (!b->human || g_str_equal(imig_plan_goal(plan), "drain")
        || g_str_equal(imig_plan_goal(plan), "consolidate"))
        return;
    planner.max_moves = 0;
    common.affinity = NULL; /* changes no load, and may have been standard input */
    if (ui_make_plan(&planner, &common, after, NULL, &next) != UI_DONE)
        return;
    imig_plan_get_totals(plan, &was, &predicted, NULL);
    imig_plan_get_totals(next, &is, &unused, NULL);
    printf("%s: busiest host, CPU %s -> %s (predicted %s); overloaded hosts %u -> %u (predicted "
           "%u).\n", verdict(&was, &is), ui_percent(was.cpu_max), ui_percent(is.cpu_max),
           ui_percent(predicted.cpu_max), was.overloaded_hosts, is.overloaded_hosts,
           predicted.overloaded_hosts);
}

/* Migrates, looks again, and shows what became of it. */
static int
carry_out(const balance *b, imig_connection *connection, const imig_plan *plan,
          const imig_cluster *before, json_t *document)
{
    g_autoptr(imig_cluster) after = NULL;
    g_autoptr(imig_run) run = NULL;
    imig_execute_options options = IMIG_EXECUTE_OPTIONS_INIT;
    int status;

    ui_execute_options(&b->planner.migration, &options);
    if (b->human)
        printf("\n%sMigrating%s\n\n", ui_colour_on(UI_BOLD), ui_colour_off());
    status = ui_execute(&b->common, connection, plan, before, &options, b->human, &run);
    if (status != UI_DONE)
        return status;
    if (b->human) {
        putchar('\n');
        ui_print_run(run, plan, before);
        putchar('\n');
    }
    json_object_set_new(document, "run", ui_run_figures(run, plan));
    status = ui_run_status(run, plan);
    if (status != UI_INTERRUPTED) {
        int looked = ui_observe(connection, &b->watch, &after);

        if (looked == UI_DONE && b->after)
            looked = ui_write_cluster(b->after, after);
        if (looked != UI_DONE)
            return looked;
        ui_record_observation(&b->common, after);
        json_object_set_new(document, "after", ui_cluster_figures(after));
        show_cluster(b, connection, "After", after);
        show_effect(b, plan, after);
    }
    return status == UI_DONE ? ui_plan_status(plan) : status;
}

static int
balance_hosts(const balance *b)
{
    g_autoptr(imig_connection) connection = NULL;
    g_autoptr(imig_cluster) before = NULL;
    g_autoptr(imig_plan) plan = NULL;
    g_autoptr(json_t) document = json_object();
    int status = b->yes || b->dry_run ? UI_DONE : ui_can_confirm(), written;

    if (status == UI_DONE && b->after && !b->dry_run)
        status = ui_can_write(b->after);
    if (status == UI_DONE)
        status = ui_connect(&b->common, &connection);
    if (status == UI_DONE)
        status = ui_observe(connection, &b->watch, &before);
    if (status == UI_DONE)
        status = ui_make_plan(&b->planner, &b->common, before, NULL, &plan);
    if (status != UI_DONE)
        return status;
    if (!b->dry_run)
        ui_record_observation(&b->common, before);
    json_object_set_new(document, "before", ui_cluster_figures(before));
    json_object_set_new(document, "plan", ui_plan_as_json(plan));
    show_cluster(b, connection, "Before", before);
    if (b->human) {
        ui_print_plan(plan, before, &b->planner);
        ui_print_constants(&b->common, before, plan);
    }
    status = ui_plan_status(plan);
    if (imig_plan_step_count(plan) > 0 && !b->dry_run) {
        fflush(stdout);
        status = b->yes ? UI_DONE
                        : ui_confirm(ui_text("Migrate in %zu steps?", imig_plan_step_count(plan)));
        if (status == UI_DONE)
            status = carry_out(b, connection, plan, before, document);
    } else if (b->after && !b->dry_run) {
        written = ui_write_cluster(b->after, before);
        status = written == UI_DONE ? status : written;
    }
    json_object_set_new(document, "missing", ui_missing(connection));
    if (b->common.json && (status == UI_DONE || status == UI_PARTIAL || status == UI_INTERRUPTED)) {
        written = ui_write_json("-", document);
        status = written == UI_DONE ? status : written;
    }
    written = ui_flush();
    return ui_missing_status(connection, written == UI_DONE ? status : written);
}

int
cmd_balance(int argc, char **argv)
{
    static const ui_command command = {
        "balance", "", "Observe, plan and run: see what is unbalanced, mend it, look again.", 0, 0,
    };
    balance b = { .common = UI_COMMON_INIT, .watch = UI_WATCH_INIT };
    const ui_option options[] = {
        UI_OPTION_CONNECT(&b.common),
        UI_OPTION_FOR(&b.watch),
        UI_OPTION_INTERVAL(&b.watch),
        { "dry-run", 'n', UI_FLAG, &b.dry_run, NULL, "show the plan and migrate nothing" },
        { "yes", 'y', UI_FLAG, &b.yes, NULL, "do not ask" },
        { "after", 0, UI_TEXT, &b.after, "FILE", "write there what is observed afterwards" },
        UI_OPTION_JSON(&b.common),
        UI_OPTION_QUIET(&b.common),
        UI_OPTION_SEED(&b.common),
        UI_OPTION_AFFINITY(&b.common),
        UI_OPTION_CONSTANTS(&b.common),
        UI_OPTION_END,
    };
    int status;

    ui_planner_init(&b.planner, UI_DECIDES | UI_CARRIES_OUT);
    status = ui_parse(&command, options, b.planner.table, &argc, argv);
    if (status == UI_GO_ON) {
        b.human = !b.common.json && !b.common.quiet;
        status = ui_planner_read(&b.planner, 0, NULL);
        if (status == UI_DONE)
            status = ui_store_use(&b.common, b.dry_run ? UI_STORE_REHEARSE : UI_STORE_WRITE);
        if (status == UI_DONE)
            status = balance_hosts(&b);
    }
    ui_store_leave(&b.common);
    ui_planner_clear(&b.planner);
    ui_clear(options);
    return status;
}
