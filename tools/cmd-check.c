/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands.h"
#include "ui.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* What there is to say of each step; NaN and NULL where it does not hold. */
typedef struct checked {
    size_t n, wrong;
    char **faults;
    double *start_s, *time_s, *downtime_s, *bytes, *slowdown;
    int32_t *converges;
    double end_s;
    imig_plan *before, *after; /* without steps, of the cluster before and after */
} checked;

static void
checked_init(checked *c, size_t n)
{
    double *numbers = g_new(double, 5 * n + 1);

    for (size_t i = 0; i < 5 * n; i++)
        numbers[i] = NAN;
    *c = (checked) {
        .n = n, .faults = g_new0(char *, n + 1), .start_s = numbers, .time_s = numbers + n,
        .downtime_s = numbers + 2 * n, .bytes = numbers + 3 * n, .slowdown = numbers + 4 * n,
        .converges = g_new0(int32_t, n + 1),
    };
}

static void
checked_clear(checked *c)
{
    for (size_t i = 0; i < c->n; i++)
        imig_free(c->faults[i]);
    g_free(c->faults);
    g_free(c->start_s);
    g_free(c->converges);
    imig_plan_unref(c->before);
    imig_plan_unref(c->after);
}

/* Those that hold, one after the other. */
static int
predict_steps(checked *c, const imig_plan *plan, const imig_cluster *cluster,
              const ui_planner *planner, const ui_common *common)
{
    imig_predict_options options = IMIG_PREDICT_OPTIONS_INIT;
    const ui_migration *m = &planner->migration;
    g_autofree uint32_t *vm = g_new(uint32_t, c->n + 1);
    g_autofree uint32_t *to = g_new(uint32_t, c->n + 1);
    g_autofree int32_t *converges = g_new(int32_t, c->n + 1);
    g_autofree double *numbers = g_new(double, 4 * c->n + 1);
    double *time_s = numbers, *downtime_s = numbers + c->n, *bytes = numbers + 2 * c->n;
    double *slowdown = numbers + 3 * c->n;
    imig_error *error = NULL;
    size_t n = 0;

    if (!isnan(m->bandwidth))
        options.set |= IMIG_PREDICT_HAS_BANDWIDTH;
    if (!isnan(m->downtime_limit_s))
        options.set |= IMIG_PREDICT_HAS_DOWNTIME_LIMIT;
    options.bandwidth_bytes_per_s = m->bandwidth;
    options.downtime_limit_s = m->downtime_limit_s;
    options.migrate_flags = m->flags;
    options.calibration = common->calibration;
    for (size_t i = 0; i < c->n; i++) {
        imig_plan_step step = IMIG_PLAN_STEP_INIT;

        imig_plan_get_step(plan, i, &step, NULL);
        if (c->faults[i])
            continue;
        vm[n] = imig_cluster_find_vm(cluster, step.vm);
        to[n++] = imig_cluster_find_host(cluster, step.to);
    }
    if (imig_predict_sequence(cluster, NULL, vm, to, n, &options, time_s, downtime_s, bytes,
                              slowdown, converges, &error) != IMIG_OK)
        return ui_fail_error(NULL, error);
    for (size_t i = 0, at = 0; i < c->n; i++) {
        if (c->faults[i])
            continue;
        c->start_s[i] = c->end_s;
        c->end_s += c->time_s[i] = time_s[at];
        c->downtime_s[i] = downtime_s[at];
        c->bytes[i] = bytes[at];
        c->slowdown[i] = slowdown[at];
        c->converges[i] = converges[at++];
    }
    c->wrong = c->n - n;
    return UI_DONE;
}

/* The plan without the steps that do not hold. */
static int
drop_faults(const checked *c, const imig_plan *plan, imig_plan **rest)
{
    g_autoptr(json_t) document = ui_plan_as_json(plan);
    g_autofree char *text = NULL;
    imig_error *error = NULL;

    for (size_t i = c->n; i-- > 0;)
        if (c->faults[i])
            json_array_remove(json_object_get(document, "steps"), i);
    text = json_dumps(document, JSON_REAL_PRECISION(17));
    return imig_plan_from_json(text, strlen(text), rest, &error) == IMIG_OK
               ? UI_DONE : ui_fail_error(NULL, error);
}

static int
check_plan(checked *c, const imig_plan *plan, const imig_cluster *cluster, ui_planner *planner,
           const ui_common *common)
{
    g_autoptr(imig_cluster) after = NULL;
    g_autoptr(imig_plan) rest = NULL;
    imig_error *error = NULL;
    int status;

    if (imig_plan_check_steps(plan, cluster, c->faults, &error) != IMIG_OK)
        return ui_fail_error(NULL, error);
    status = predict_steps(c, plan, cluster, planner, common);
    if (status == UI_DONE)
        status = drop_faults(c, plan, &rest);
    if (status == UI_DONE && imig_plan_apply(rest, cluster, &after, &error) != IMIG_OK)
        status = ui_fail_error(NULL, error);
    planner->max_moves = 0;
    if (status == UI_DONE)
        status = ui_make_plan(planner, common, cluster, NULL, &c->before);
    if (status == UI_DONE)
        status = ui_make_plan(planner, common, after, NULL, &c->after);
    return status;
}

static void
print_checked(const checked *c, const imig_plan *plan, const imig_cluster *cluster)
{
    static const char *const headings[] = {
        ">step", "VM", "from", "to", ">start", ">time", ">downtime", ">sent", "", NULL,
    };
    imig_plan_totals before = IMIG_PLAN_TOTALS_INIT, after = IMIG_PLAN_TOTALS_INIT;
    ui_table *table = ui_table_new(headings);

    for (size_t i = 0; i < c->n; i++) {
        imig_plan_step step = IMIG_PLAN_STEP_INIT;
        gboolean endless = !c->faults[i] && !c->converges[i];

        imig_plan_get_step(plan, i, &step, NULL);
        ui_table_add(table, ui_text("%zu", i + 1));
        ui_table_add(table, ui_vm_name(cluster, step.vm));
        ui_table_add(table, ui_host_name(cluster, step.from));
        ui_table_add(table, ui_host_name(cluster, step.to));
        ui_table_add(table, c->faults[i] ? "-" : ui_text("%.1f s", c->start_s[i]));
        ui_table_add(table, ui_time(c->time_s[i]));
        ui_table_add_coloured(table, endless ? UI_RED : UI_PLAIN,
                              endless ? "never ends" : ui_time(c->downtime_s[i]));
        ui_table_add(table, ui_bytes(c->bytes[i]));
        ui_table_add_coloured(table, UI_RED, c->faults[i] ? c->faults[i] : "");
    }
    if (c->n > 0) {
        ui_table_print(table);
        putchar('\n');
    } else {
        ui_table_free(table);
    }
    imig_plan_get_totals(c->before, &before, NULL, NULL);
    imig_plan_get_totals(c->after, &after, NULL, NULL);
    ui_print_totals(&before, &after);
    printf("\n%zu of %zu step%s can be carried out, %s if one by one.\n", c->n - c->wrong, c->n,
           c->n == 1 ? "" : "s", ui_time(c->end_s));
}

static json_t *
totals_as_json(const imig_plan *plan)
{
    g_autoptr(json_t) document = ui_plan_as_json(plan);

    return json_incref(json_object_get(document, "before"));
}

static int
write_checked(const checked *c, const imig_plan *plan)
{
    g_autoptr(json_t) document = NULL;
    json_t *steps = json_array();

    for (size_t i = 0; i < c->n; i++) {
        imig_plan_step step = IMIG_PLAN_STEP_INIT;
        json_t *object;

        imig_plan_get_step(plan, i, &step, NULL);
        object = json_pack("{s:s, s:s, s:s}", "vm", step.vm, "from", step.from, "to", step.to);
        if (c->faults[i])
            json_object_set_new(object, "fault", json_string(c->faults[i]));
        else
            json_object_update_new(object, json_pack(
                "{s:f, s:f, s:f, s:f, s:f, s:b}", "start_s", c->start_s[i], "duration_s",
                c->time_s[i], "downtime_s", c->downtime_s[i], "transferred_bytes", c->bytes[i],
                "slowdown_ratio", c->slowdown[i], "converges", (int) c->converges[i]));
        json_array_append_new(steps, object);
    }
    document = json_pack("{s:b, s:o, s:o, s:o, s:f}", "feasible", c->wrong == 0, "steps", steps,
                         "before", totals_as_json(c->before), "after", totals_as_json(c->after),
                         "makespan_s", c->end_s);
    return ui_write_json("-", document);
}

static int
check(ui_common *common, const ui_watch *watch, ui_planner *planner, const char *plan_path,
      const char *path)
{
    g_autoptr(imig_connection) connection = NULL;
    g_autoptr(imig_cluster) cluster = NULL;
    g_autoptr(imig_plan) plan = NULL;
    checked c;
    int status = ui_load_plan(plan_path, &planner->migration, &plan);

    if (status == UI_DONE)
        status = ui_get_cluster(common, watch, path, &connection, &cluster);
    if (status != UI_DONE)
        return status;
    checked_init(&c, imig_plan_step_count(plan));
    status = check_plan(&c, plan, cluster, planner, common);
    if (status == UI_DONE && common->json) {
        status = write_checked(&c, plan);
    } else if (status == UI_DONE) {
        print_checked(&c, plan, cluster);
        ui_print_constants(common, cluster, plan);
        status = ui_flush();
    }
    if (status == UI_DONE && c.wrong > 0)
        status = UI_PARTIAL;
    checked_clear(&c);
    return status;
}

int
cmd_check(int argc, char **argv)
{
    static const ui_command command = {
        "check", "PLAN.json [CLUSTER.json]",
        "What a plan would do, such as one that was written by hand: whether each step can be\n"
        "carried out, what it costs one by one, and the cluster before and after.\n"
        "Exit status 3: some step cannot be carried out.", 1, 2,
    };
    ui_common common = UI_COMMON_INIT;
    ui_watch watch = UI_WATCH_INIT;
    ui_planner planner;
    const ui_option options[] = {
        UI_OPTION_CONNECT(&common),
        UI_OPTION_FOR(&watch),
        UI_OPTION_INTERVAL(&watch),
        UI_OPTION_JSON(&common),
        UI_OPTION_AFFINITY(&common),
        UI_OPTION_CONSTANTS(&common),
        UI_OPTION_END,
    };
    int status;

    ui_planner_init(&planner, UI_CHECKS);
    status = ui_parse(&command, options, planner.migration.table, &argc, argv);
    if (status == UI_GO_ON) {
        status = ui_planner_read(&planner, 0, NULL);
        if (status == UI_DONE)
            status = ui_store_use(&common, UI_STORE_READ);
        if (status == UI_DONE)
            status = check(&common, &watch, &planner, argv[1], argc > 2 ? argv[2] : NULL);
    }
    ui_store_leave(&common);
    ui_planner_clear(&planner);
    ui_clear(options);
    return status;
}
