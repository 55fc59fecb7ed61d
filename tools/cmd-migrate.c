/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands.h"
#include "ui.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of the only step: where it stands in a plan that nobody wrote is no news. */
static int
fail_step(imig_error *error)
{
    const char *message = imig_error_message(error), *at = strstr(message, "[0]");
    const char *reason = at ? strstr(at, ": ") : NULL;
    int status = ui_fail(ui_status_of(error), "%s", reason ? reason + 2 : message);

    imig_error_free(error);
    return status;
}

static gboolean
has_local_disk(const imig_vm_info *vm)
{
    for (uint32_t i = 0; i < vm->disk_count; i++)
        if (!vm->disk_shared[i])
            return TRUE;
    return FALSE;
}

/* One migration is a plan of one step: what carries plans out carries this out, too. */
static int
make_plan(const ui_common *common, const imig_cluster *cluster, uint32_t vm_index,
          uint32_t to_index, const ui_migration *limits, imig_plan **plan)
{
    imig_predict_options options = IMIG_PREDICT_OPTIONS_INIT;
    imig_vm_info vm = IMIG_VM_INFO_INIT;
    imig_host_info from = IMIG_HOST_INFO_INIT, to = IMIG_HOST_INFO_INIT;
    double time_s, downtime_s, bytes, slowdown;
    g_autoptr(json_t) document = NULL;
    imig_error *error = NULL;
    int32_t converges;
    char *text;
    int code;

    imig_cluster_get_vm(cluster, vm_index, &vm, NULL);
    if (has_local_disk(&vm) && !(limits->flags & (IMIG_MIGRATE_COPY_DISKS | IMIG_MIGRATE_UNSAFE)))
        return ui_fail(UI_FAILED, "%s: imig cannot tell whether other hosts see its disk: mark it "
                       "shareable, or say --unsafe, where they do; --copy-disks copies it", vm.id);
    options.migrate_flags = limits->flags;
    options.calibration = common->calibration;
    if (!isnan(limits->bandwidth)) {
        options.bandwidth_bytes_per_s = limits->bandwidth;
        options.set |= IMIG_PREDICT_HAS_BANDWIDTH;
    }
    if (!isnan(limits->downtime_limit_s)) {
        options.downtime_limit_s = limits->downtime_limit_s;
        options.set |= IMIG_PREDICT_HAS_DOWNTIME_LIMIT;
    }
    if (imig_predict_sequence(cluster, NULL, &vm_index, &to_index, 1, &options, &time_s,
                              &downtime_s, &bytes, &slowdown, &converges, &error) != IMIG_OK)
        return fail_step(error);
    imig_cluster_get_host(cluster, vm.host, &from, NULL);
    imig_cluster_get_host(cluster, to_index, &to, NULL);
    document = json_pack(
        "{s:s, s:s, s:s, s:[{s:s, s:s, s:s, s:f, s:f, s:f, s:b, s:f, s:{s:s, s:s}}], s:f, s:f}",
        "format", "imig-plan/1", "goal", imig_plan_goal_name(0), "policy",
        imig_plan_policy_name(0), "steps", "vm", vm.id, "from", from.id, "to", to.id,
        "duration_s", time_s, "downtime_s", downtime_s, "transferred_bytes", bytes, "converges",
        (int) converges, "slowdown_ratio", slowdown, "reason", "code", "asked-for", "text",
        "asked for", "makespan_s", time_s, "makespan_bound_s", time_s);
    text = json_dumps(document, JSON_REAL_PRECISION(17));
    code = imig_plan_from_json(text, strlen(text), plan, &error);
    free(text);
    if (code == IMIG_OK)
        code = imig_plan_check(*plan, cluster, &error);
    if (code != IMIG_OK)
        return fail_step(error);
    if (!converges && !ui_migration_ends(limits) && !limits->force)
        return ui_fail(UI_FAILED, "%s dirties its memory faster than the link carries, so that "
                       "its migration would never end; allow it an end by --on-stall throttle, "
                       "post-copy or raise-downtime, or say --force", vm.id);
    return UI_DONE;
}

static int
find(const imig_connection *connection, const ui_common *common, const imig_cluster *cluster,
     char *const *names, uint32_t *vm, uint32_t *host)
{
    imig_vm_info info = IMIG_VM_INFO_INIT;
    int status = ui_fail_missing(connection, common, cluster, names[1]);

    if (status != UI_DONE)
        return status;
    *vm = imig_cluster_find_vm(cluster, names[0]);
    *host = ui_find_host(cluster, names[1]);
    if (*vm == IMIG_NO_INDEX)
        return ui_missing_status(connection, ui_fail_vm(cluster, names[0]));
    imig_cluster_get_vm(cluster, *vm, &info, NULL);
    return info.host == *host ? ui_fail(UI_USAGE, "%s is on %s already", names[0], names[1])
                              : UI_DONE;
}

/* A name that nobody has is told before the long look, after a short one. */
static int
look(imig_connection *connection, const ui_common *common, const ui_watch *watch,
     char *const *names, imig_cluster **cluster, uint32_t *vm, uint32_t *host)
{
    g_autoptr(imig_cluster) first = NULL;
    ui_watch short_watch = { fmin(1, watch->for_s), NAN, 1 };
    int status = ui_observe(connection, &short_watch, &first);

    if (status == UI_DONE)
        status = find(connection, common, first, names, vm, host);
    if (status == UI_DONE)
        status = ui_observe(connection, watch, cluster);
    if (status == UI_DONE)
        status = find(connection, common, *cluster, names, vm, host);
    if (status == UI_DONE)
        status = ui_know_dirty(connection, cluster, *vm);
    return status;
}

static int
migrate(const ui_common *common, const ui_watch *watch, const ui_migration *limits,
        char *const *names)
{
    imig_execute_options options = IMIG_EXECUTE_OPTIONS_INIT;
    g_autoptr(imig_connection) connection = NULL;
    g_autoptr(imig_cluster) cluster = NULL;
    g_autoptr(imig_plan) plan = NULL;
    g_autoptr(imig_run) run = NULL;
    uint32_t vm = IMIG_NO_INDEX, host = IMIG_NO_INDEX;
    int status = ui_connect(common, &connection);

    if (status == UI_DONE)
        status = look(connection, common, watch, names, &cluster, &vm, &host);
    if (status == UI_DONE)
        status = make_plan(common, cluster, vm, host, limits, &plan);
    if (status != UI_DONE)
        return status;
    ui_execute_options(limits, &options);
    status = ui_execute(common, connection, plan, cluster, &options,
                        !common->json && !common->quiet, &run);
    if (status != UI_DONE)
        return status;
    if (common->json) {
        g_autoptr(json_t) figures = ui_run_figures(run, plan);

        json_object_set_new(figures, "missing", ui_missing(connection));
        status = ui_write_json("-", figures);
    } else if (!common->quiet) {
        putchar('\n');
        ui_print_run(run, plan, cluster);
        ui_print_constants(common, cluster, plan);
    }
    if (status == UI_DONE)
        status = ui_flush();
    if (status == UI_DONE)
        status = ui_run_status(run, plan);
    return status == UI_PARTIAL ? UI_FAILED : status; /* of one step nothing is left */
}

int
cmd_migrate(int argc, char **argv)
{
    static const ui_command command = {
        "migrate", "VM HOST",
        "One live migration, predicted and measured beside each other.\n"
        "VM and HOST are ids or names.", 2, 2,
    };
    ui_common common = UI_COMMON_INIT;
    ui_watch watch = { 10, NAN, 0 };
    ui_migration migration;
    int status;

    ui_migration_init(&migration, UI_MIGRATES);
    const ui_option table[] = {
        UI_OPTION_CONNECT(&common),
        UI_OPTION_MEASURE_DIRTY,
        { "for", 0, UI_SECONDS, &watch.for_s, "TIME",
          "watch for so long before, for the prediction (10s)" },
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
        if (status == UI_DONE)
            status = migrate(&common, &watch, &migration, argv + 1);
    }
    ui_store_leave(&common);
    ui_clear(table);
    ui_migration_clear(&migration);
    return status;
}
