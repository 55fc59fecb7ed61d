/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands.h"
#include "csv.h"
#include "history.h"

#include <math.h>
#include <stdio.h>

typedef struct history {
    ui_common common;
    char *vm, *host, *workload, *outcome, *hypervisor, *since, *until;
    int64_t latest; /* -1: not given */
    int errors;
} history;

enum { SHOWN = 50 };

/* "2h": so long ago; a date, with a time of day or without, in this place's time. */
static gboolean
read_time(const char *text, double *time_s)
{
    g_autoptr(GTimeZone) zone = g_time_zone_new_local();
    g_autofree char *day = g_strdup_printf("%sT00:00:00", text);
    g_autoptr(GDateTime) at = NULL;
    double ago_s;

    if (ui_parse_quantity(UI_SECONDS, text, &ago_s)) {
        *time_s = (double) g_get_real_time() / G_USEC_PER_SEC - ago_s;
        return TRUE;
    }
    at = g_date_time_new_from_iso8601(text, zone);
    if (!at)
        at = g_date_time_new_from_iso8601(day, zone);
    if (at)
        *time_s = (double) g_date_time_to_unix(at);
    return at != NULL;
}

static int
read_filter(const history *h, imig_store_filter *f)
{
    f->vm = h->vm;
    f->host = h->host;
    f->hypervisor = h->hypervisor;
    f->latest = h->latest < 0 ? 0 : (uint32_t) MIN(h->latest, UINT32_MAX);
    if (h->workload) {
        f->set |= IMIG_FILTER_HAS_CLASS;
        if (ui_read_class(h->workload, &f->workload_class) != UI_DONE)
            return UI_USAGE;
    }
    if (h->outcome) {
        f->set |= IMIG_FILTER_HAS_OUTCOME;
        if (!csv_outcome_from_name(h->outcome, &f->outcome))
            return ui_fail(UI_USAGE, "--outcome \"%s\" is not unfinished, done, failed or "
                           "cancelled", h->outcome);
    }
    if (h->since) {
        f->set |= IMIG_FILTER_HAS_SINCE;
        if (!read_time(h->since, &f->since_s))
            return ui_fail(UI_USAGE, "--since \"%s\" is no time such as 2h or 2026-01-31",
                           h->since);
    }
    if (h->until) {
        f->set |= IMIG_FILTER_HAS_UNTIL;
        if (!read_time(h->until, &f->until_s))
            return ui_fail(UI_USAGE, "--until \"%s\" is no time such as 2h or 2026-01-31",
                           h->until);
    }
    return UI_DONE;
}

static const char *
time_text(double time_s)
{
    g_autoptr(GDateTime) at = g_date_time_new_from_unix_local((gint64) time_s);
    g_autofree char *text = at ? g_date_time_format(at, "%Y-%m-%d %H:%M:%S") : NULL;

    return ui_text("%s", text ? text : "-");
}

static const char *
off_text(const imig_record *r, double predicted, double measured, uint64_t bit)
{
    return r->present & bit && r->present & IMIG_RECORD_HAS_PREDICTED
               ? ui_off(predicted, measured) : "-";
}

static double
if_measured(const imig_record *r, uint64_t bit, double value)
{
    return r->present & bit ? value : NAN;
}

static void
add_row(ui_table *table, const imig_record *r)
{
    ui_table_add(table, r->present & IMIG_RECORD_HAS_START ? time_text(r->start_s) : "-");
    ui_table_add(table, r->vm_name ? r->vm_name : r->vm ? r->vm : "-");
    ui_table_add(table, r->from ? r->from : "-");
    ui_table_add(table, r->to ? r->to : "-");
    ui_table_add(table, r->workload_class == IMIG_WORKLOAD_UNKNOWN
                            ? "-" : imig_workload_name(r->workload_class));
    ui_table_add_coloured(table, r->outcome == IMIG_OUTCOME_DONE ? UI_GREEN : UI_RED,
                          imig_outcome_name(r->outcome));
    ui_table_add(table, ui_time(if_measured(r, IMIG_RECORD_HAS_DURATION, r->duration_s)));
    ui_table_add(table, off_text(r, r->predicted_s, r->duration_s, IMIG_RECORD_HAS_DURATION));
    ui_table_add(table, ui_time(if_measured(r, IMIG_RECORD_HAS_DOWNTIME, r->downtime_s)));
    ui_table_add(table, off_text(r, r->predicted_downtime_s, r->downtime_s,
                                 IMIG_RECORD_HAS_DOWNTIME));
    ui_table_add(table, ui_bytes(if_measured(r, IMIG_RECORD_HAS_TRANSFERRED,
                                             r->transferred_bytes)));
    ui_table_add(table, off_text(r, r->predicted_bytes, r->transferred_bytes,
                                 IMIG_RECORD_HAS_TRANSFERRED));
    ui_table_add(table, r->message ? r->message : "");
}

static void
print_records(const imig_records *records, gboolean all)
{
    static const char *const headings[] = {
        "began", "VM", "from", "to", "class", "", ">time", ">predicted", ">downtime",
        ">predicted", ">sent", ">predicted", "|", NULL,
    };
    ui_table *table = ui_table_new(headings);
    size_t n = imig_records_count(records), first = all || n <= SHOWN ? 0 : n - SHOWN;

    for (size_t i = first; i < n; i++) {
        imig_record r = IMIG_RECORD_INIT;

        imig_records_get(records, i, &r, NULL);
        add_row(table, &r);
    }
    ui_table_print(table);
    if (first > 0)
        printf("(the latest %d of %zu: say --latest %zu for all)\n", SHOWN, n, n);
}

static int
show(const history *h)
{
    imig_store_filter filter = IMIG_STORE_FILTER_INIT;
    g_autoptr(imig_records) records = NULL;
    g_autoptr(imig_store) store = NULL;
    imig_error *error = NULL;
    int status = read_filter(h, &filter);

    if (status == UI_DONE)
        status = ui_store_open(&h->common, IMIG_STORE_READ_ONLY, &store);
    if (status != UI_DONE)
        return status;
    if (imig_store_records(store, &filter, &records, &error) != IMIG_OK)
        return ui_fail_error(NULL, error);
    if (h->common.output) {
        g_autofree char *text = csv_from_records(records);

        return ui_write(h->common.output, text, strlen(text));
    }
    if (h->common.json) {
        g_autoptr(json_t) document = history_as_json(records);

        return ui_write_json("-", document);
    }
    if (imig_records_count(records) == 0) {
        printf("No such migrations.\n");
        return ui_flush();
    }
    if (!h->errors) {
        print_records(records, h->latest >= 0);
        putchar('\n');
    }
    history_print_errors(records);
    return ui_flush();
}

int
cmd_history(int argc, char **argv)
{
    static const ui_command command = {
        "history", "",
        "Migrations that were carried out, predicted beside measured.\n"
        "The errors are summed up by hypervisor, class and host.", 0, 0,
    };
    history h = { .common = UI_COMMON_INIT, .latest = -1 };
    const ui_option options[] = {
        { "store", 0, UI_TEXT, &h.common.store_path, "FILE",
          "where the history is ($XDG_STATE_HOME/imig/imig.db)" },
        { "vm", 0, UI_TEXT, &h.vm, "VM", "of this VM, an id or a name" },
        { "host", 0, UI_TEXT, &h.host, "HOST", "from or to this host, an id" },
        { "class", 0, UI_TEXT, &h.workload, "CLASS", "of this class" },
        { "hypervisor", 0, UI_TEXT, &h.hypervisor, "NAME", "on this hypervisor" },
        { "outcome", 0, UI_TEXT, &h.outcome, "WHAT", "done, failed, cancelled or unfinished" },
        { "since", 0, UI_TEXT, &h.since, "WHEN", "begun then or later: 2h (ago), 2026-01-31" },
        { "until", 0, UI_TEXT, &h.until, "WHEN", "begun before" },
        { "latest", 0, UI_COUNT1, &h.latest, "N", "no more than the latest so many" },
        { "errors", 0, UI_FLAG, &h.errors, NULL, "only how far predictions were off" },
        UI_OPTION_OUTPUT(&h.common, "write them there as CSV, for imig calibrate --csv"),
        UI_OPTION_JSON(&h.common),
        UI_OPTION_END,
    };
    int status = ui_parse(&command, options, NULL, &argc, argv);

    if (status == UI_GO_ON)
        status = show(&h);
    ui_clear(options);
    return status;
}
