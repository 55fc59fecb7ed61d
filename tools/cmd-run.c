/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands.h"
#include "ui.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char holds_not[] = "the plan no longer holds";

/* Is the VM where this step or a later one takes it? */
static gboolean
is_where_it_goes(const imig_plan *plan, size_t first, const char *vm, const char *host)
{
    for (size_t i = first; i < imig_plan_step_count(plan); i++) {
        imig_plan_step step = IMIG_PLAN_STEP_INIT;

        imig_plan_get_step(plan, i, &step, NULL);
        if (g_str_equal(step.vm, vm) && g_str_equal(step.to, host))
            return TRUE;
    }
    return FALSE;
}

static int
fail_moved(const imig_plan *plan, size_t i, const imig_plan_step *step,
           const imig_cluster *cluster, const imig_host_info *host)
{
    return ui_fail(UI_FAILED, "%s: step %zu takes %s from %s to %s, but it is on %s%s", holds_not,
                   i + 1, ui_vm_name(cluster, step->vm), ui_host_name(cluster, step->from),
                   ui_host_name(cluster, step->to), host->name,
                   is_where_it_goes(plan, i, step->vm, host->id) ? "; was it carried out already?"
                                                                 : "");
}

/* The library knows the place in the document, and ids; a user knows names. */
static int
fail_stale(const imig_plan *plan, const imig_cluster *cluster, imig_error *error)
{
    static const char where[] = "steps[";
    const char *message = imig_error_message(error);
    imig_plan_step step = IMIG_PLAN_STEP_INIT;
    imig_host_info host = IMIG_HOST_INFO_INIT;
    imig_vm_info vm = IMIG_VM_INFO_INIT;
    guint64 i = G_MAXUINT64;
    char *key = NULL;
    uint32_t index;

    if (g_str_has_prefix(message, where))
        i = g_ascii_strtoull(message + strlen(where), &key, 10);
    if (i >= imig_plan_step_count(plan))
        return ui_fail_error(holds_not, error);
    imig_plan_get_step(plan, i, &step, NULL);
    index = imig_cluster_find_vm(cluster, step.vm);
    if (strstr(key, ": the VM is on ") && index != IMIG_NO_INDEX) {
        imig_cluster_get_vm(cluster, index, &vm, NULL);
        imig_cluster_get_host(cluster, vm.host, &host, NULL);
        if (!g_str_equal(host.id, step.from)) {
            imig_error_free(error);
            return fail_moved(plan, i, &step, cluster, &host);
        }
    }
    return ui_fail_error(ui_text("%s: %s", holds_not, ui_vm_name(cluster, step.vm)), error);
}

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
        return fail_stale(plan, *cluster, error);
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
    gboolean human = !common->json && !common->quiet, asks;
    int status = ui_load_plan(path, migration, &plan);

    asks = status == UI_DONE && imig_plan_step_count(plan) > 0 && !yes;
    if (asks)
        status = ui_can_confirm();
    if (status == UI_DONE)
        status = ui_connect(common, &connection);
    if (status == UI_DONE)
        status = check_plan(connection, plan, watch, &cluster);
    if (status != UI_DONE)
        return status;
    if (asks) {
        status = ui_confirm(ui_text("Migrate in %zu steps?", imig_plan_step_count(plan)));
        if (status != UI_DONE)
            return status;
    }
    ui_execute_options(migration, &options);
    status = ui_execute(common, connection, plan, cluster, &options, human, &run);
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
        UI_OPTION_MEASURE_DIRTY,
        UI_OPTION_JSON(&common),
        UI_OPTION_QUIET(&common),
        UI_OPTION_CONSTANTS(&common),
        UI_OPTION_END,
    };
    status = ui_parse(&command, table, migration.table, &argc, argv);
    if (status == UI_GO_ON) {
        status = ui_migration_read(&migration);
        if (status == UI_DONE)
            status = ui_store_use(&common, UI_STORE_WRITE);
        watch.no_dirty = common.store == NULL; /* history is of what was known before */
        if (status == UI_DONE)
            status = run_plan(&common, &watch, &migration, argv[1], yes);
    }
    ui_store_leave(&common);
    ui_clear(table);
    ui_migration_clear(&migration);
    return status;
}
