/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands.h"
#include "csv.h"
#include "predict-csv.h"
#include "ui.h"

#include <math.h>
#include <stdio.h>

typedef struct asked {
    ui_common common;
    double memory, dirty, working_set, bandwidth, nonzero, populated, disk, downtime_limit_s;
    char *hypervisor, *writes, *workload, *csv;
} asked;

/* Present only where it was given. */
static void
set_optional(imig_migration_profile *profile, uint64_t bit, double *field, double value)
{
    if (!isnan(value)) {
        *field = value;
        profile->present |= bit;
    }
}

/* What cannot be, or would be passed over: the library takes measurements, and minds neither. */
static int
check_together(const asked *a)
{
    const struct {
        const char *name;
        double value;
    } parts[] = {
        { "working-set", a->working_set }, { "nonzero", a->nonzero }, { "populated", a->populated },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++)
        if (parts[i].value > a->memory)
            return ui_fail(UI_USAGE, "--%s %s is more than --memory %s", parts[i].name,
                           ui_bytes(parts[i].value), ui_bytes(a->memory));
    if (a->nonzero > a->populated)
        return ui_fail(UI_USAGE, "--nonzero %s is more than --populated %s", ui_bytes(a->nonzero),
                       ui_bytes(a->populated));
    if (isnan(a->dirty) && (!isnan(a->working_set) || a->writes))
        return ui_fail(UI_USAGE, "--%s needs --dirty-rate", a->writes ? "writes" : "working-set");
    if (!isnan(a->downtime_limit_s) && g_strcmp0(a->hypervisor, "xen") == 0)
        return ui_fail(UI_USAGE, "--downtime-limit is of qemu alone: xen stops after its rounds");
    return UI_DONE;
}

static int
read_profile(const asked *a, imig_migration_profile *profile)
{
    if (isnan(a->memory) || isnan(a->bandwidth))
        return ui_fail(UI_USAGE, "--memory and --bandwidth are needed, or --csv");
    profile->hypervisor = a->hypervisor;
    profile->memory_bytes = a->memory;
    profile->bandwidth_bytes_per_s = a->bandwidth;
    profile->dirty_bytes_per_s = isnan(a->dirty) ? 0 : a->dirty;
    profile->disk_bytes = isnan(a->disk) ? 0 : a->disk;
    set_optional(profile, IMIG_PROFILE_HAS_WORKING_SET, &profile->working_set_bytes,
                 a->working_set);
    set_optional(profile, IMIG_PROFILE_HAS_NONZERO, &profile->memory_nonzero_bytes, a->nonzero);
    set_optional(profile, IMIG_PROFILE_HAS_POPULATED, &profile->memory_populated_bytes,
                 a->populated);
    set_optional(profile, IMIG_PROFILE_HAS_DOWNTIME_LIMIT, &profile->downtime_limit_s,
                 a->downtime_limit_s);
    if (a->writes && !csv_writes_from_name(a->writes, &profile->writes))
        return ui_fail(UI_USAGE, "--writes \"%s\" is not random or cyclic", a->writes);
    if (a->workload && ui_read_class(a->workload, &profile->workload_class) != UI_DONE)
        return UI_USAGE;
    return check_together(a);
}

/* "8.4 %" more or less in nine of ten cases. */
static const char *
within(double ratio)
{
    return ratio > 0 ? ui_text("\302\261%.1f %%", 100 * ratio) : "";
}

static void
print_cost(const imig_cost *cost)
{
    static const char *const headings[] = {
        ">time", ">nine of ten", ">downtime", ">nine of ten", ">sent", ">rounds", ">slowdown", NULL,
    };
    static const char *const assumed[] = {
        ">time", ">downtime", ">sent", ">rounds", ">slowdown", NULL,
    };
    gboolean learned = cost->migrations > 0;
    ui_table *table = ui_table_new(learned ? headings : assumed);

    ui_table_add(table, ui_time(cost->time_s));
    if (learned)
        ui_table_add(table, within(cost->time_p90_ratio));
    ui_table_add(table, ui_time(cost->downtime_s));
    if (learned)
        ui_table_add(table, within(cost->downtime_p90_ratio));
    ui_table_add(table, ui_bytes(cost->transferred_bytes));
    ui_table_add(table, ui_text("%u", cost->rounds));
    ui_table_add(table, ui_percent(cost->slowdown_ratio));
    ui_table_print(table);
}

static void
print_endless(const imig_cost *cost)
{
    printf("%sIt never ends by itself: memory is dirtied faster than the link carries it, and does "
           "not converge.%s\nStopped by force after %u rounds it would have taken %s, with %s sent "
           "and a downtime of %s.\n", ui_colour_on(UI_RED), ui_colour_off(), cost->rounds - 1,
           ui_time(cost->time_s), ui_bytes(cost->transferred_bytes), ui_time(cost->downtime_s));
}

static int
predict_one(const asked *a)
{
    imig_migration_profile profile = IMIG_MIGRATION_PROFILE_INIT;
    imig_constants constants = IMIG_CONSTANTS_INIT;
    imig_cost cost = IMIG_COST_INIT;
    g_autoptr(json_t) document = NULL;
    g_autofree char *text = NULL;
    imig_error *error = NULL;
    int status = read_profile(a, &profile);

    if (status != UI_DONE)
        return status;
    if (imig_calibration_find(a->common.calibration, profile.hypervisor, NULL, NULL, &constants,
                              &error) != IMIG_OK)
        return ui_fail_error(NULL, error);
    profile.constants = &constants;
    if (imig_predict(&profile, &cost, &error) != IMIG_OK)
        return ui_fail_error(NULL, error);
    if (a->common.json) {
        document = predict_as_json(&cost);
        return ui_write_json("-", document);
    }
    if (cost.converges)
        print_cost(&cost);
    else
        print_endless(&cost);
    text = ui_constants_text(a->common.calibration, profile.hypervisor);
    printf("\n%s\n", text);
    if (cost.unlike > 0.05)
        printf("This one is unlike those: %.1f doublings outside of their memory, bandwidth and "
               "dirty rates, and so less certain.\n", cost.unlike);
    return ui_flush();
}

static int
predict(asked *a)
{
    int status;

    if (a->csv && (!isnan(a->memory) || !isnan(a->bandwidth)))
        return ui_fail(UI_USAGE, "--csv has its own memory and bandwidth in every row");
    status = ui_store_use(&a->common, UI_STORE_READ);
    if (status == UI_DONE)
        status = a->csv ? predict_csv(a->csv, a->common.calibration, a->common.json)
                        : predict_one(a);
    ui_store_leave(&a->common);
    return status;
}

int
cmd_predict(int argc, char **argv)
{
    static const ui_command command = {
        "predict", "",
        "What a live migration will cost: time, downtime, bytes, slowdown.\n"
        "With --csv a prediction for each row; where rows have duration_s, downtime_s or\n"
        "transferred_bytes as measured, the error and its quantiles.", 0, 0,
    };
    asked a = {
        UI_COMMON_INIT, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NULL, NULL, NULL, NULL,
    };
    g_autofree char *hypervisors = ui_list_names(imig_hypervisor_name);
    g_autofree char *classes = ui_list_names(ui_class_name);
    g_autofree char *hypervisor_help = g_strconcat(hypervisors, " (qemu)", NULL);
    g_autofree char *class_help = g_strconcat("for the slowdown: ", classes, NULL);
    const ui_option options[] = {
        { "memory", 0, UI_BYTES, &a.memory, "BYTES", "of the VM, such as 4GiB" },
        { "bandwidth", 0, UI_RATE, &a.bandwidth, "RATE", "of the link, such as 1Gbit/s" },
        { "dirty-rate", 0, UI_RATE0, &a.dirty, "RATE", "memory written at first (0)" },
        { "working-set", 0, UI_BYTES0, &a.working_set, "BYTES",
          "memory that is written again and again (all of it)" },
        { "nonzero", 0, UI_BYTES0, &a.nonzero, "BYTES", "memory that is not all zero (all of it)" },
        { "populated", 0, UI_BYTES0, &a.populated, "BYTES",
          "memory that the hypervisor has backed (all of it)" },
        { "disk", 0, UI_BYTES0, &a.disk, "BYTES", "disks that are copied along (0)" },
        { "downtime-limit", 0, UI_SECONDS, &a.downtime_limit_s, "TIME", "of the hypervisor" },
        { "hypervisor", 0, UI_TEXT, &a.hypervisor, "NAME", hypervisor_help },
        { "writes", 0, UI_TEXT, &a.writes, "HOW", "random (default) or cyclic" },
        { "class", 0, UI_TEXT, &a.workload, "CLASS", class_help },
        { "csv", 0, UI_TEXT, &a.csv, "FILE", "one migration a row, columns as imig(1) lists them" },
        UI_OPTION_CONSTANTS(&a.common),
        UI_OPTION_JSON(&a.common),
        UI_OPTION_END,
    };
    int status = ui_parse(&command, options, NULL, &argc, argv);

    if (status == UI_GO_ON)
        status = predict(&a);
    ui_clear(options);
    return status;
}
