/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands.h"
#include "simulate.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char *
make_uri(const char *file, int64_t seed)
{
    return g_strdup_printf("sim:%s?seed=%u", file, seed < 0 ? 0 : (uint32_t) seed);
}

/*
 * Reads the cluster once and hands it to the simulator by a file of its own: standard input can be
 * read only once, and a name may hold a comma, which ends it in a URI.
 */
static int
stage_cluster(simulation *s, const char *path, char **staged)
{
    g_autofree char *text = NULL;
    imig_error *error = NULL;
    size_t length;
    int status = ui_read(path, &text, &length), fd;

    if (status != UI_DONE)
        return status;
    if (imig_cluster_from_json(text, length, &s->cluster, &error) != IMIG_OK)
        return ui_fail_error(path, error);
    if (!g_str_equal(path, "-") && !strchr(path, ',')) {
        s->uri = make_uri(path, s->common.seed);
        return UI_DONE;
    }
    fd = g_file_open_tmp("imig-XXXXXX", staged, NULL);
    if (fd < 0)
        return ui_fail(UI_FAILED, "no temporary file: %s", g_strerror(errno));
    close(fd);
    s->uri = make_uri(*staged, s->common.seed);
    return ui_write(*staged, text, length);
}

int
simulate_replay(const simulation *s, const imig_plan *plan, gboolean progress, imig_run **run)
{
    g_autoptr(imig_connection) connection = NULL;
    imig_execute_options options = IMIG_EXECUTE_OPTIONS_INIT;
    char *uris[] = { s->uri, NULL };
    ui_common common = s->common;
    int status;

    common.uris = uris;
    status = ui_connect(&common, &connection);
    if (status != UI_DONE)
        return status;
    ui_execute_options(&s->planner.migration, &options);
    return ui_execute(&s->common, connection, plan, s->cluster, &options, progress, run);
}

static json_t *
totals_as_json(const imig_plan *plan)
{
    imig_plan_totals before = IMIG_PLAN_TOTALS_INIT, after = IMIG_PLAN_TOTALS_INIT;
    imig_plan_summary summary = IMIG_PLAN_SUMMARY_INIT;

    imig_plan_get_totals(plan, &before, &after, NULL);
    imig_plan_get_summary(plan, &summary, NULL);
    return json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:b, s:i, s:i}", "goal", imig_plan_goal(plan),
                     "policy", imig_plan_policy(plan), "loss_before", before.loss, "loss_after",
                     after.loss, "migration_loss", summary.migration_loss,
                     "predicted_makespan_s", summary.makespan_s, "complete", summary.complete,
                     "overloaded_before", (int) before.overloaded_hosts,
                     "overloaded_after", (int) after.overloaded_hosts);
}

json_t *
simulate_figures(const imig_plan *plan, const imig_run *run)
{
    json_t *figures = totals_as_json(plan), *measured = ui_run_figures(run, plan);

    json_object_update(figures, measured);
    json_decref(measured);
    return figures;
}

static int
simulate_one(simulation *s, const char *plan_path)
{
    g_autoptr(imig_plan) plan = NULL;
    g_autoptr(imig_run) run = NULL;
    gboolean human = !s->common.json && !s->common.quiet;
    imig_error *error = NULL;
    int status = plan_path ? ui_load_plan(plan_path, &s->planner.migration, &plan)
                           : ui_make_plan(&s->planner, &s->common, s->cluster, NULL, &plan);

    if (status != UI_DONE)
        return status;
    if (imig_plan_check(plan, s->cluster, &error) != IMIG_OK)
        return ui_fail_error("the plan does not fit the cluster", error);
    if (human) {
        ui_print_plan(plan, s->cluster, &s->planner);
        putchar('\n');
    }
    status = simulate_replay(s, plan, human, &run);
    if (status != UI_DONE)
        return status;
    if (s->common.json) {
        g_autoptr(json_t) figures = simulate_figures(plan, run);

        status = ui_write_json("-", figures);
    } else if (human && imig_plan_step_count(plan) > 0) {
        putchar('\n');
        ui_print_run(run, plan, s->cluster);
        printf("\nAll ended after %s, as measured in the simulator.\n",
               ui_time(imig_run_duration_s(run)));
    }
    if (status == UI_DONE)
        status = ui_flush();
    if (status == UI_DONE)
        status = ui_run_status(run, plan);
    return status == UI_DONE && !plan_path ? ui_plan_status(plan) : status;
}

static int
simulate(simulation *s, const char *path, const char *plan_path)
{
    char *staged = NULL;
    int status;

    if (plan_path && s->compare)
        return ui_fail(UI_USAGE, "--compare makes its own plans");
    status = stage_cluster(s, path, &staged);
    if (status == UI_DONE)
        status = s->compare ? simulate_compare(s) : simulate_one(s, plan_path);
    if (staged)
        g_unlink(staged);
    g_free(staged);
    g_free(s->uri);
    imig_cluster_unref(s->cluster);
    return status;
}

int
cmd_simulate(int argc, char **argv)
{
    static const ui_command command = {
        "simulate", "CLUSTER.json [PLAN.json]",
        "Carry a plan out in the simulator, or the one that the planner makes.\n"
        "With --compare every policy in turn, under the same limits.", 1, 2,
    };
    simulation s = { .common = UI_COMMON_INIT };
    const ui_option options[] = {
        { "compare", 0, UI_FLAG, &s.compare, NULL, "a table of all policies" },
        UI_OPTION_JSON(&s.common),
        UI_OPTION_QUIET(&s.common),
        UI_OPTION_SEED(&s.common),
        UI_OPTION_AFFINITY(&s.common),
        UI_OPTION_END,
    };
    int status;

    ui_planner_init(&s.planner, UI_DECIDES | UI_CARRIES_OUT);
    status = ui_parse(&command, options, s.planner.table, &argc, argv);
    if (status == UI_GO_ON) {
        status = ui_planner_read(&s.planner, 0, NULL);
        if (status == UI_DONE)
            status = simulate(&s, argv[1], argc > 2 ? argv[2] : NULL);
    }
    ui_planner_clear(&s.planner);
    ui_clear(options);
    return status;
}
