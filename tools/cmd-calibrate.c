/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands.h"
#include "csv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct calibrate {
    ui_common common;
    char *csv;
    int dry_run;
} calibrate;

/* From the table, or from the store. */
static int
get_records(const calibrate *c, imig_store *store, imig_records **records)
{
    imig_error *error = NULL;
    csv_table table;
    int status;

    if (!c->csv) {
        if (imig_store_records(store, NULL, records, &error) != IMIG_OK)
            return ui_fail_error(NULL, error);
        return UI_DONE;
    }
    status = csv_read(c->csv, &table);
    if (status == UI_DONE)
        status = csv_to_records(&table, records);
    csv_clear(&table);
    return status;
}

static const char *
percent(double ratio)
{
    return ratio > 0 ? ui_text("%.1f %%", 100 * ratio) : "-";
}

static void
print_errors(const imig_calibration *learned)
{
    static const char *const headings[] = {
        "hypervisor", "hosts", ">migrations", ">plans", ">time, half", ">nine of ten",
        ">without, half", ">nine of ten", ">downtime, half", ">nine of ten", ">sent, half",
        ">nine of ten", NULL,
    };
    ui_table *table = ui_table_new(headings);

    for (size_t i = 0; i < imig_calibration_count(learned); i++) {
        imig_constants c = IMIG_CONSTANTS_INIT;

        imig_calibration_get(learned, i, &c, NULL);
        ui_table_add(table, c.hypervisor);
        ui_table_add(table, c.from ? ui_text("%s to %s", c.from, c.to) : "all");
        ui_table_add(table, ui_text("%u", c.migrations));
        ui_table_add(table, ui_text("%u", c.plans));
        ui_table_add(table, percent(c.time_p50_ratio));
        ui_table_add(table, percent(c.time_p90_ratio));
        ui_table_add(table, percent(c.assumed_time_p50_ratio));
        ui_table_add(table, percent(c.assumed_time_p90_ratio));
        ui_table_add(table, percent(c.downtime_p50_ratio));
        ui_table_add(table, percent(c.downtime_p90_ratio));
        ui_table_add(table, percent(c.bytes_p50_ratio));
        ui_table_add(table, percent(c.bytes_p90_ratio));
    }
    ui_table_print(table);
}

static void
print_constants(const imig_calibration *learned)
{
    static const char *const headings[] = {
        "hypervisor", "hosts", ">link share", ">set-up", ">downtime", ">dirtied", ">receive hold",
        ">dirty hold", NULL,
    };
    ui_table *table = ui_table_new(headings);
    gboolean assumed = TRUE;

    for (size_t i = 0; i < imig_calibration_count(learned); i++) {
        imig_constants c = IMIG_CONSTANTS_INIT, was = IMIG_CONSTANTS_INIT;

        imig_calibration_get(learned, i, &c, NULL);
        imig_constants_assumed(c.hypervisor, &was, NULL);
        ui_table_add(table, c.hypervisor);
        ui_table_add(table, c.from ? ui_text("%s to %s", c.from, c.to) : "all");
        const struct {
            double now, before;
        } values[] = {
            { c.link_share_ratio, was.link_share_ratio }, { c.setup_s, was.setup_s },
            { c.downtime_s, was.downtime_s }, { c.dirty_ratio, was.dirty_ratio },
            { c.receive_hold_ratio, was.receive_hold_ratio },
            { c.dirty_hold_ratio, was.dirty_hold_ratio },
        };

        for (size_t k = 0; k < G_N_ELEMENTS(values); k++) {
            gboolean is_assumed = values[k].now == values[k].before;

            ui_table_add(table, ui_text(is_assumed ? "(%.3f)" : "%.3f", values[k].now));
        }
        assumed = assumed && ui_all_assumed(&c);
    }
    ui_table_print(table);
    printf("%s\n", assumed
                       ? "All stay as assumed: whatever was learned made some predictions worse, "
                         "or none better."
                       : "(in parentheses: as assumed, since learning it did not help)");
}

static int
write_text(const calibrate *c, imig_store *store, const imig_calibration *learned)
{
    imig_error *error = NULL;
    size_t length;
    char *text;
    int status = UI_DONE;

    if (imig_calibration_to_json(learned, &text, &length, &error) != IMIG_OK)
        return ui_fail_error(NULL, error);
    if (store && !c->dry_run && imig_store_set_constants(store, text, &error) != IMIG_OK)
        status = ui_fail_error(NULL, error);
    if (status == UI_DONE && c->common.output)
        status = ui_write(c->common.output, text, length);
    if (status == UI_DONE && c->common.json && g_strcmp0(c->common.output, "-") != 0)
        status = ui_write("-", text, length);
    imig_free(text);
    return status;
}

static int
learn(const calibrate *c)
{
    gboolean keeps = !c->csv || (c->common.store_path && !c->dry_run);
    g_autoptr(imig_calibration) learned = NULL;
    g_autoptr(imig_records) records = NULL;
    g_autoptr(imig_store) store = NULL;
    imig_error *error = NULL;
    /* Rows of a table may be what a store that is not there yet begins with. */
    uint64_t flags = c->csv ? 0 : IMIG_STORE_READ_ONLY;
    int status = UI_DONE;

    if (keeps)
        status = ui_store_open(&c->common, flags, &store);
    if (status == UI_DONE)
        status = get_records(c, store, &records);
    if (status != UI_DONE)
        return status;
    if (imig_calibrate(records, &learned, &error) != IMIG_OK)
        return ui_fail_error(c->csv, error);
    if (!c->csv && !c->dry_run) {
        /* It was looked at only so far. */
        g_clear_pointer(&store, imig_store_close);
        status = ui_store_open(&c->common, 0, &store);
    }
    if (status == UI_DONE)
        status = write_text(c, store, learned);
    if (status != UI_DONE || c->common.json || c->common.quiet
        || g_strcmp0(c->common.output, "-") == 0)
        return status;
    print_errors(learned);
    printf("(predicted again, from what ran beside them; \"without\": by assumed constants;\n"
           "what was predicted before they began: \"imig history --errors\")\n");
    putchar('\n');
    print_constants(learned);
    printf("\n%s\n", c->dry_run ? "Nothing was kept."
                   : keeps ? "Kept in the store: predict, plan, run, migrate, balance and watch "
                             "use it from now on."
                   : c->common.output ? "Give that file to --constants."
                                      : "Not kept: say --store or -o where to.");
    return ui_flush();
}

int
cmd_calibrate(int argc, char **argv)
{
    static const ui_command command = {
        "calibrate", "",
        "Learn the constants of the cost model from measured migrations: those in the store, or\n"
        "the rows of a table.  What does not make predictions of other plans better stays as it\n"
        "was assumed.  Errors are those of migrations that were not learned from.", 0, 0,
    };
    calibrate c = { .common = UI_COMMON_INIT };
    const ui_option options[] = {
        { "store", 0, UI_TEXT, &c.common.store_path, "FILE",
          "history and constants ($XDG_STATE_HOME/imig/imig.db)" },
        { "csv", 0, UI_TEXT, &c.csv, "FILE",
          "learn from these migrations instead; columns as imig(1) lists them" },
        { "dry-run", 'n', UI_FLAG, &c.dry_run, NULL,
          "show what would be learned, and keep nothing" },
        UI_OPTION_OUTPUT(&c.common, "write the constants there, as imig-constants/1"),
        UI_OPTION_JSON(&c.common),
        UI_OPTION_QUIET(&c.common),
        UI_OPTION_END,
    };
    int status = ui_parse(&command, options, NULL, &argc, argv);

    if (status == UI_GO_ON)
        status = learn(&c);
    ui_clear(options);
    return status;
}
