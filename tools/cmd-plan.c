/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands.h"
#include "ui.h"

#include <limits.h>
#include <math.h>

static int
write_plan(const imig_plan *plan, const char *path)
{
    imig_error *error = NULL;
    char *text;
    size_t length;
    int status;

    if (imig_plan_to_json(plan, &text, &length, &error) != IMIG_OK)
        return ui_fail_error(NULL, error);
    status = ui_write(path, text, length);
    imig_free(text);
    return status;
}

static int
plan_cluster(const ui_common *common, const ui_watch *watch, const ui_planner *planner,
             const char *path)
{
    g_autoptr(imig_connection) connection = NULL;
    g_autoptr(imig_cluster) cluster = NULL;
    g_autoptr(imig_plan) plan = NULL;
    gboolean on_stdout = g_strcmp0(common->output, "-") == 0;
    int status = ui_get_cluster(common, watch, path, &connection, &cluster);

    if (status == UI_DONE)
        status = ui_make_plan(planner, common, cluster, NULL, &plan);
    if (status == UI_DONE && common->output)
        status = write_plan(plan, common->output);
    if (status == UI_DONE && common->json && !common->output)
        status = write_plan(plan, "-");
    if (status != UI_DONE)
        return status;
    if (!common->json && !common->quiet && !on_stdout) {
        ui_print_plan(plan, cluster, planner);
        ui_print_constants(common, cluster, plan);
    }
    status = ui_flush();
    return status == UI_DONE ? ui_plan_status(plan) : status;
}

int
cmd_plan(int argc, char **argv)
{
    static const ui_command command = {
        "plan", "[CLUSTER.json] [HOST...]",
        "Decide which VMs move, where, and in which sequence, and say why.\n"
        "Hosts are those to empty, for goal drain.  Exit status 3: the goal cannot be reached "
        "whole.", 0, INT_MAX,
    };
    ui_common common = UI_COMMON_INIT;
    ui_watch watch = UI_WATCH_INIT;
    ui_planner planner;
    const ui_option options[] = {
        UI_OPTION_CONNECT(&common),
        UI_OPTION_FOR(&watch),
        UI_OPTION_INTERVAL(&watch),
        UI_OPTION_OUTPUT(&common, "write the plan there, as imig-plan/1"),
        UI_OPTION_JSON(&common),
        UI_OPTION_QUIET(&common),
        UI_OPTION_SEED(&common),
        UI_OPTION_AFFINITY(&common),
        UI_OPTION_CONSTANTS(&common),
        UI_OPTION_END,
    };
    int status;

    ui_planner_init(&planner, UI_DECIDES);
    status = ui_parse(&command, options, planner.table, &argc, argv);
    if (status == UI_GO_ON) {
        int first_host = common.uris ? 1 : MIN(2, argc);

        if (common.uris && argc > 1 && g_str_has_suffix(argv[1], ".json"))
            status = ui_fail(UI_USAGE, "both a file and -c are given");
        else
            status = ui_planner_read(&planner, argc - first_host, argv + first_host);
        if (status == UI_DONE)
            status = ui_store_use(&common, UI_STORE_READ);
        if (status == UI_DONE)
            status = plan_cluster(&common, &watch, &planner,
                                  first_host > 1 ? argv[1] : NULL);
    }
    ui_store_leave(&common);
    ui_planner_clear(&planner);
    ui_clear(options);
    return status;
}
