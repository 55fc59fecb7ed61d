/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands.h"
#include "ui.h"

#include <math.h>
#include <stdio.h>

/* A plan that no longer fits what the hypervisors show is refused before anybody is asked. */
static int
check_plan(imig_connection *connection, const imig_plan *plan, const ui_watch *watch,
           imig_cluster **cluster)
{
    imig_error *error = NULL;
    int status = ui_observe(connection, watch, cluster);

    if (status != UI_DONE)
        return status;
    if (imig_plan_check(plan, *cluster, &error) != IMIG_OK)
        return ui_fail_error("the plan no longer holds", error);
    return UI_DONE;
}

static int
run_plan(const ui_common *common, const ui_watch *watch, ui_migration *migration, const char *path,
         gboolean yes)
{
    imig_execute_options options = IMIG_EXECUTE_OPTIONS_INIT;
    g_autoptr(imig_connection) connection = NULL;
    g_autoptr(imig_cluster) cluster = NULL;
    g_autoptr(imig_plan) plan = NULL;
    g_autoptr(imig_run) run = NULL;
    gboolean human = !common->json && !common->quiet;
    int status = ui_load_plan(path, migration, &plan);

    if (status == UI_DONE)
        status = ui_connect(common, &connection);
    if (status == UI_DONE)
        status = check_plan(connection, plan, watch, &cluster);
    if (status != UI_DONE)
        return status;
    if (imig_plan_step_count(plan) > 0 && !yes) {
        status = ui_confirm(ui_text("Migrate in %zu steps?", imig_plan_step_count(plan)));
        if (status != UI_DONE)
            return status;
    }
    ui_execute_options(migration, &options);
    status = ui_execute(connection, plan, cluster, &options, human, &run);
    if (status != UI_DONE)
        return status;
    if (common->json) {
        g_autoptr(json_t) figures = ui_run_figures(run, plan);

        json_object_set_new(figures, "missing", ui_missing(connection));
        status = ui_write_json("-", figures);
    } else if (imig_plan_step_count(plan) == 0) {
        printf("The plan has no steps: nothing to do.\n");
    } else if (!common->quiet) {
        putchar('\n');
        ui_print_run(run, plan, cluster);
    }
    if (status == UI_DONE)
        status = ui_flush();
    if (status == UI_DONE)
        status = ui_run_status(run, plan);
    return ui_missing_status(connection, status);
}

int
cmd_run(int argc, char **argv)
{
    static const ui_command command = {
        "run", "PLAN.json",
        "Carry a plan out with live migrations; predicted beside measured.\n"
        "Ctrl-C begins nothing new and stops what can be stopped; a second one stops waiting.\n"
        "Exit status 3: some steps did not end well.", 1, 1,
    };
    ui_common common = UI_COMMON_INIT;
    ui_watch watch = { 10, NAN, 1 };
    ui_migration migration;
    int yes = 0, status;

    ui_migration_init(&migration, UI_CARRIES_OUT);
    const ui_option table[] = {
        UI_OPTION_CONNECT(&common),
        { "yes", 'y', UI_FLAG, &yes, NULL, "do not ask" },
        { "for", 0, UI_SECONDS, &watch.for_s, "TIME",
          "watch for so long before, to check the plan (10s)" },
        UI_OPTION_JSON(&common),
        UI_OPTION_QUIET(&common),
        UI_OPTION_END,
    };
    status = ui_parse(&command, table, migration.table, &argc, argv);
    if (status == UI_GO_ON) {
        status = ui_migration_read(&migration);
        if (status == UI_DONE)
            status = run_plan(&common, &watch, &migration, argv[1], yes);
    }
    ui_clear(table);
    ui_migration_clear(&migration);
    return status;
}
