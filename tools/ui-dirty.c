/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ui.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { POINTS = 10 };

static const double LOGGED_S = 5;

/* What was measured of a VM, into its document. */
static void
put(json_t *document, const char *id, double rate, double set)
{
    json_t *vm;
    size_t index;

    json_array_foreach(json_object_get(document, "vms"), index, vm) {
        if (g_strcmp0(json_string_value(json_object_get(vm, "id")), id) != 0)
            continue;
        json_object_set_new(vm, "dirty_bytes_per_s", json_real(rate));
        if (isfinite(set))
            json_object_set_new(vm, "working_set_bytes", json_real(set));
    }
}

/* A finished cluster does not change: its copy, with what was measured, takes its place. */
static int
replace(imig_cluster **cluster, const char *id, double rate, double set)
{
    imig_cluster *with = NULL;
    imig_error *error = NULL;
    char *text = NULL;
    size_t length;
    int code = imig_cluster_to_json(*cluster, &text, &length, &error);

    if (code == IMIG_OK) {
        g_autoptr(json_t) document = json_loadb(text, length, 0, NULL);
        char *changed;

        put(document, id, rate, set);
        changed = json_dumps(document, JSON_REAL_PRECISION(17));
        code = imig_cluster_from_json(changed, strlen(changed), &with, &error);
        free(changed);
    }
    imig_free(text);
    if (code != IMIG_OK)
        return ui_fail_error(NULL, error);
    imig_cluster_unref(*cluster);
    *cluster = with;
    return UI_DONE;
}

int
ui_know_dirty(imig_connection *connection, imig_cluster **cluster, uint32_t vm)
{
    double elapsed_s[POINTS], dirtied[POINTS], grain[POINTS], rate = NAN, set = NAN;
    imig_vm_info info = IMIG_VM_INFO_INIT;
    imig_error *error = NULL;
    size_t count = POINTS;
    int32_t writes;
    int code;

    imig_cluster_get_vm(*cluster, vm, &info, NULL);
    if (info.present >> IMIG_METRIC_DIRTY_BYTES_PER_S & 1)
        return UI_DONE;
    code = imig_connection_dirty_sampled(connection, info.id, LOGGED_S, ui_catch_signals(), &count,
                                         elapsed_s, dirtied, grain, &error);
    if (code == IMIG_ERR_CANCELLED) {
        ui_fail_error(info.name, error);
        return UI_INTERRUPTED;
    }
    if (code == IMIG_OK
        && imig_dirty_fit_sampled(elapsed_s, dirtied, grain, count, &rate, &set, &writes, NULL,
                                  &error) == IMIG_OK)
        return replace(cluster, info.id, rate, set);
    ui_fail(UI_DONE, "warning: %s: its dirty rate is not known, the prediction takes it for none: "
            "%s", info.name, imig_error_message(error));
    imig_error_free(error);
    return UI_DONE;
}
