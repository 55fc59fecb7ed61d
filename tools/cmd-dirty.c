/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands.h"
#include "ui.h"

#include <math.h>
#include <stdio.h>

enum { POINTS = 10 };

static const char *const curve_names[] = {
    [IMIG_WRITES_RANDOM] = "random",
    [IMIG_WRITES_CYCLIC] = "cyclic",
};

/* What was seen, and the curve through it. */
typedef struct curve {
    double elapsed_s[POINTS], dirtied[POINTS], grain[POINTS];
    size_t count;
    double rate, set, residual;
    int32_t writes;
} curve;

static int
write_json(const imig_connection *connection, const char *vm, const curve *c)
{
    g_autoptr(json_t) document = NULL;
    json_t *points = json_array();

    for (size_t i = 0; i < c->count; i++)
        json_array_append_new(points, json_pack("{s:f, s:f, s:f}", "elapsed_s", c->elapsed_s[i],
                                                "dirtied_bytes", c->dirtied[i],
                                                "grain_bytes", c->grain[i]));
    document = json_pack("{s:s, s:f, s:o, s:s, s:f, s:o, s:o}", "vm", vm, "dirty_bytes_per_s",
                         c->rate, "working_set_bytes",
                         isnan(c->set) ? json_null() : json_real(c->set),
                         "writes", curve_names[c->writes], "residual_bytes", c->residual,
                         "points", points, "missing", ui_missing(connection));
    return ui_write_json("-", document);
}

static void
print_curve(const char *vm, const curve *c)
{
    static const char *const headings[] = { ">after", ">dirtied", "", NULL };
    ui_table *table = ui_table_new(headings);
    double most = 0;

    printf("%s dirties %s at first, working set %s, %s writes, fitted within %s\n\n", vm,
           ui_rate(c->rate), isnan(c->set) ? "larger than was seen" : ui_bytes(c->set),
           curve_names[c->writes], ui_bytes(c->residual));
    for (size_t i = 0; i < c->count; i++) /* what was sampled may fall */
        most = fmax(most, c->dirtied[i]);
    for (size_t i = 0; i < c->count; i++) {
        ui_table_add(table, ui_time(c->elapsed_s[i]));
        ui_table_add(table, ui_bytes(c->dirtied[i]));
        ui_table_add(table, ui_bar(most > 0 ? c->dirtied[i] / most : 0, 40));
    }
    ui_table_print(table);
}

static int
measure(const ui_common *common, const char *text, double for_s)
{
    g_autoptr(imig_connection) connection = NULL;
    curve c = { .count = POINTS };
    g_autofree char *vm = NULL;
    imig_error *error = NULL;
    int code, status = ui_connect(common, &connection);

    if (status == UI_DONE)
        status = ui_resolve_vm(connection, text, &vm);
    if (status != UI_DONE)
        return status;
    code = imig_connection_dirty_sampled(connection, vm, for_s, ui_catch_signals(), &c.count,
                                         c.elapsed_s, c.dirtied, c.grain, &error);
    if (code == IMIG_OK)
        code = imig_dirty_fit_sampled(c.elapsed_s, c.dirtied, c.grain, c.count, &c.rate, &c.set,
                                      &c.writes, &c.residual, &error);
    if (code != IMIG_OK) {
        status = ui_fail_error(text, error);
        return code == IMIG_ERR_CANCELLED ? UI_INTERRUPTED : status;
    }
    if (common->json)
        return write_json(connection, vm, &c);
    print_curve(text, &c);
    return ui_flush();
}

int
cmd_dirty(int argc, char **argv)
{
    static const ui_command command = {
        "dirty", "VM", "Dirty rate and working set of a VM, by dirty logging.", 1, 1,
    };
    ui_common common = UI_COMMON_INIT;
    double for_s = 10;
    const ui_option options[] = {
        UI_OPTION_CONNECT(&common),
        { "for", 0, UI_SECONDS, &for_s, "TIME", "log for so long (10s)" },
        UI_OPTION_JSON(&common),
        UI_OPTION_END,
    };
    int status = ui_parse(&command, options, NULL, &argc, argv);

    ui_measure_dirty = TRUE; /* it is all that this command is for */
    if (status == UI_GO_ON)
        status = measure(&common, argv[1], for_s);
    ui_clear(options);
    return status;
}
