/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands.h"
#include "csv.h"

#include <stdio.h>
#include <string.h>

static void
take(const imig_observation *o, void *user_data)
{
    /* What a store holds was checked when it was written; one that is not whole teaches nothing. */
    imig_affinity_learner_add(user_data, o->vm, o->workload_class, o->work_per_s, o->beside,
                              o->beside_count, NULL);
}

static int
learn(const ui_common *common, imig_affinity_learner *learner, size_t *count)
{
    g_autoptr(imig_store) store = NULL;
    imig_error *error = NULL;
    int status = ui_store_open(common, IMIG_STORE_READ_ONLY, &store);

    if (status != UI_DONE)
        return status;
    if (imig_store_observations(store, take, learner, &error) != IMIG_OK
        || imig_affinity_learner_finish(learner, count, &error) != IMIG_OK)
        return ui_fail_error(NULL, error);
    return UI_DONE;
}

static imig_slowdown
slowdown_at(const imig_affinity_learner *learner, size_t index)
{
    imig_slowdown s = IMIG_SLOWDOWN_INIT;

    imig_affinity_learner_get(learner, index, &s, NULL);
    return s;
}

static const char *
doubt(const imig_slowdown *s)
{
    if (s->sure)
        return "";
    return s->slowdown_ratio < 0 ? "not used: nobody gets more done beside others"
           : s->slowdown_ratio > 1 ? "not used: nobody gets less than nothing done"
                                   : ui_text("not sure: p = %.2g", s->p_value);
}

static void
print_slowdowns(const imig_affinity_learner *learner, size_t count)
{
    static const char *const headings[] = {
        "class", "beside", ">slowdown", ">standard error", ">observations", ">VMs", "", NULL,
    };
    ui_table *table = ui_table_new(headings);

    for (size_t i = 0; i < count; i++) {
        imig_slowdown s = slowdown_at(learner, i);

        ui_table_add(table, imig_workload_name(s.victim));
        ui_table_add(table, imig_workload_name(s.neighbour));
        ui_table_add(table, ui_text("%.1f %%", 100 * s.slowdown_ratio));
        ui_table_add(table, ui_text("%.1f %%", 100 * s.standard_error));
        ui_table_add(table, ui_text("%u", s.observations));
        ui_table_add(table, ui_text("%u", s.vms));
        ui_table_add(table, doubt(&s));
    }
    ui_table_print(table);
    printf("Slowdown beside neighbours that ask for all cores of the host; half of them, half of "
           "it.\nSure where p < 0.05, allowing for how many VMs and slowdowns there are; where\n"
           "not, the built-in one is used.\n");
}

static json_t *
slowdowns_as_json(const imig_affinity_learner *learner, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++) {
        imig_slowdown s = slowdown_at(learner, i);

        json_array_append_new(list, json_pack(
            "{s:s, s:s, s:f, s:f, s:i, s:i, s:f, s:b}", "class",
            imig_workload_name(s.victim), "beside", imig_workload_name(s.neighbour),
            "slowdown_ratio", s.slowdown_ratio, "standard_error", s.standard_error, "observations",
            (int) s.observations, "vms", (int) s.vms, "p_value", s.p_value, "sure", s.sure));
    }
    return json_pack("{s:o}", "slowdowns", list);
}

/* 1 and the slowdown: what was learned and is sure, else what is built in. */
static double
cell(const imig_affinity_learner *learner, size_t count, const imig_affinity *built_in,
     int32_t victim, int32_t neighbour)
{
    for (size_t i = 0; i < count; i++) {
        imig_slowdown s = slowdown_at(learner, i);

        if (s.victim == victim && s.neighbour == neighbour && s.sure)
            return 1 + s.slowdown_ratio;
    }
    return 1 + imig_affinity_slowdown(built_in, NULL, victim, NULL, neighbour);
}

static char *
as_table(const imig_affinity_learner *learner, size_t count)
{
    g_autoptr(imig_affinity) built_in = imig_affinity_new_default();
    GString *out = g_string_new(NULL);

    for (int32_t victim = 0; victim < IMIG_WORKLOAD_COUNT; victim++)
        csv_put(out, imig_workload_name(victim));
    g_string_append(out, "\nsolo");
    for (int32_t victim = 0; victim < IMIG_WORKLOAD_COUNT; victim++)
        csv_put_number(out, 1);
    for (int32_t neighbour = 0; neighbour < IMIG_WORKLOAD_COUNT; neighbour++) {
        g_string_append_printf(out, "\n%s", imig_workload_name(neighbour));
        for (int32_t victim = 0; victim < IMIG_WORKLOAD_COUNT; victim++)
            csv_put_number(out, cell(learner, count, built_in, victim, neighbour));
    }
    g_string_append_c(out, '\n');
    return g_string_free(out, FALSE);
}

static int
learn_and_show(const ui_common *common)
{
    imig_affinity_learner *learner = imig_affinity_learner_new();
    size_t count = 0;
    int status = learn(common, learner, &count);

    if (status == UI_DONE && common->output) {
        g_autofree char *text = as_table(learner, count);

        status = ui_write(common->output, text, strlen(text));
    }
    if (status == UI_DONE && common->json) {
        g_autoptr(json_t) document = slowdowns_as_json(learner, count);

        status = ui_write_json("-", document);
    } else if (status == UI_DONE && g_strcmp0(common->output, "-") != 0) {
        print_slowdowns(learner, count);
        status = ui_flush();
    }
    imig_affinity_learner_free(learner);
    return status;
}

/* The table that is used: the one given, or the built-in one. */
static int
show(const char *path)
{
    g_autoptr(imig_affinity) affinity = NULL;
    imig_error *error = NULL;
    char *text;
    int status = UI_DONE;

    if (path)
        status = ui_load_affinity(path, &affinity);
    else
        affinity = imig_affinity_new_default();
    if (status != UI_DONE)
        return status;
    if (imig_affinity_to_csv(affinity, &text, &error) != IMIG_OK)
        return ui_fail_error(NULL, error);
    status = ui_write("-", text, strlen(text));
    imig_free(text);
    return status;
}

int
cmd_affinity(int argc, char **argv)
{
    static const ui_command command = {
        "affinity", "learn|show [TABLE.csv]",
        "How workloads slow each other on one host.  learn: from what VMs got done before and\n"
        "after they or their neighbours moved, as balance and watch write it down; -o writes a\n"
        "table for --affinity, with the built-in figures where nothing sure was learned.  show:\n"
        "the table that is built in, or a given one.", 1, 2,
    };
    ui_common common = UI_COMMON_INIT;
    const ui_option options[] = {
        { "store", 0, UI_TEXT, &common.store_path, "FILE",
          "where observations are ($XDG_STATE_HOME/imig/imig.db)" },
        UI_OPTION_OUTPUT(&common, "write what was learned there, as imig-affinity/1"),
        UI_OPTION_JSON(&common),
        UI_OPTION_END,
    };
    int status = ui_parse(&command, options, NULL, &argc, argv);

    if (status == UI_GO_ON) {
        if (g_str_equal(argv[1], "learn") && argc == 2)
            status = learn_and_show(&common);
        else if (g_str_equal(argv[1], "show"))
            status = show(argv[2]);
        else
            status = ui_fail(UI_USAGE, "affinity: learn, or show [TABLE.csv]");
    }
    ui_clear(options);
    return status;
}
