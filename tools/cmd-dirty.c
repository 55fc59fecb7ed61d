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

static int
write_json(const char *vm, const double *elapsed_s, const double *dirtied, double rate, double set,
           int32_t writes, double residual)
{
    g_autoptr(json_t) document = NULL;
    json_t *points = json_array();

    for (int i = 0; i < POINTS; i++)
        json_array_append_new(points, json_pack("{s:f, s:f}", "elapsed_s", elapsed_s[i],
                                                "dirtied_bytes", dirtied[i]));
    document = json_pack("{s:s, s:f, s:o, s:s, s:f, s:o}", "vm", vm, "dirty_bytes_per_s", rate,
                         "working_set_bytes", isnan(set) ? json_null() : json_real(set),
                         "writes", curve_names[writes], "residual_bytes", residual,
                         "points", points);
    return ui_write_json("-", document);
}

static void
print_curve(const char *vm, const double *elapsed_s, const double *dirtied, double rate,
            double set, int32_t writes, double residual)
{
    static const char *const headings[] = { ">after", ">dirtied", "", NULL };
    ui_table *table = ui_table_new(headings);

    printf("%s dirties %s at first, working set %s, %s writes, fitted within %s\n\n", vm,
           ui_rate(rate), isnan(set) ? "larger than was seen" : ui_bytes(set),
           curve_names[writes], ui_bytes(residual));
    for (int i = 0; i < POINTS; i++) {
        ui_table_add(table, ui_time(elapsed_s[i]));
        ui_table_add(table, ui_bytes(dirtied[i]));
        ui_table_add(table, ui_bar(dirtied[POINTS - 1] > 0 ? dirtied[i] / dirtied[POINTS - 1] : 0,
                                   40));
    }
    ui_table_print(table);
}

static int
measure(const ui_common *common, const char *text, double for_s)
{
    g_autoptr(imig_connection) connection = NULL;
    double elapsed_s[POINTS], dirtied[POINTS], rate, set, residual;
    g_autofree char *vm = NULL;
    imig_error *error = NULL;
    int32_t writes;
    int status = ui_connect(common->uris, &connection);

    if (status == UI_DONE)
        status = ui_resolve_vm(connection, text, &vm);
    if (status != UI_DONE)
        return status;
    if (imig_connection_dirty(connection, vm, for_s, POINTS, elapsed_s, dirtied, &error) != IMIG_OK
        || imig_dirty_fit(elapsed_s, dirtied, POINTS, &rate, &set, &writes, &residual, &error)
               != IMIG_OK)
        return ui_fail_error(text, error);
    if (common->json)
        return write_json(vm, elapsed_s, dirtied, rate, set, writes, residual);
    print_curve(text, elapsed_s, dirtied, rate, set, writes, residual);
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

    if (status == UI_GO_ON)
        status = measure(&common, argv[1], for_s);
    ui_clear(options);
    return status;
}
