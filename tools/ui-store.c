/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ui.h"

#include <stdio.h>
#include <string.h>

char *
ui_store_default(void)
{
    return g_build_filename(g_get_user_state_dir(), "imig", "imig.db", NULL);
}

/* What simulated hosts do teaches nothing about real ones. */
static gboolean
is_simulated(const ui_common *common)
{
    for (char **uri = common->uris; uri && *uri; uri++)
        if (g_str_has_prefix(*uri, "sim:") || strstr(*uri, ":sim:"))
            return TRUE;
    return FALSE;
}

static char *
path_of(const ui_common *common)
{
    return common->store_path ? g_strdup(common->store_path) : ui_store_default();
}

int
ui_store_open(const ui_common *common, uint64_t flags, imig_store **store)
{
    g_autofree char *path = path_of(common);
    imig_error *error = NULL;

    return imig_store_open(path, flags, store, &error) == IMIG_OK ? UI_DONE
                                                                 : ui_fail_error(NULL, error);
}

/* FALSE, and *error set, where it cannot be had.  One that is not written to need not be there,
   unless somebody named it to have it read. */
static gboolean
open_store(ui_common *common, ui_store_for purpose, imig_error **error)
{
    gboolean write = purpose == UI_STORE_WRITE;
    g_autofree char *path = path_of(common);
    g_autofree char *folder = g_path_get_dirname(path);

    if (write && !common->store_path)
        g_mkdir_with_parents(folder, 0700);
    if (imig_store_open(path, write ? 0 : IMIG_STORE_READ_ONLY, &common->store, error) == IMIG_OK)
        return TRUE;
    if (imig_error_code(*error) != IMIG_ERR_NOT_FOUND
        || (common->store_path && purpose != UI_STORE_REHEARSE))
        return FALSE;
    g_clear_pointer(error, imig_error_free);
    return TRUE;
}

static int
read_constants(ui_common *common)
{
    g_autofree char *given = NULL;
    char *learned = NULL;
    imig_error *error = NULL;
    size_t length;
    int code;

    if (common->constants) {
        int status = ui_read(common->constants, &given, &length);

        if (status != UI_DONE)
            return status;
        if (imig_calibration_from_json(given, length, &common->calibration, &error) != IMIG_OK)
            return ui_fail_error(common->constants, error);
        return UI_DONE;
    }
    if (!common->store)
        return UI_DONE;
    code = imig_store_constants(common->store, &learned, &error);
    if (code == IMIG_OK && learned)
        code = imig_calibration_from_json(learned, strlen(learned), &common->calibration, &error);
    imig_free(learned);
    return code == IMIG_OK ? UI_DONE : ui_fail_error("the constants in the store", error);
}

int
ui_store_use(ui_common *common, ui_store_for purpose)
{
    imig_error *error = NULL;

    if (common->no_store && common->store_path)
        return ui_fail(UI_USAGE, "--store and --no-store do not go together");
    if (!common->no_store && (common->store_path || !is_simulated(common))
        && !open_store(common, purpose, &error)) {
        if (common->store_path)
            return ui_fail_error(NULL, error);
        fprintf(stderr, "imig: warning: no history is written, nothing learned is used: %s\n",
                imig_error_message(error));
        imig_error_free(error);
    }
    return read_constants(common);
}

void
ui_store_leave(ui_common *common)
{
    g_clear_pointer(&common->store, imig_store_close);
    g_clear_pointer(&common->calibration, imig_calibration_unref);
}

gboolean
ui_all_assumed(const imig_constants *c)
{
    imig_constants assumed = IMIG_CONSTANTS_INIT;

    imig_constants_assumed(c->hypervisor, &assumed, NULL);
    return c->link_share_ratio == assumed.link_share_ratio && c->setup_s == assumed.setup_s
           && c->downtime_s == assumed.downtime_s && c->dirty_ratio == assumed.dirty_ratio
           && c->receive_hold_ratio == assumed.receive_hold_ratio
           && c->dirty_hold_ratio == assumed.dirty_hold_ratio;
}

char *
ui_constants_text(const imig_calibration *calibration, const char *hypervisor)
{
    imig_constants c = IMIG_CONSTANTS_INIT;

    if (imig_calibration_find(calibration, hypervisor, NULL, NULL, &c, NULL) != IMIG_OK)
        imig_constants_assumed(NULL, &c, NULL);
    if (c.migrations == 0 && ui_all_assumed(&c))
        return g_strdup_printf("Predicted with assumed constants of %s: imig calibrate learns "
                               "those of your hosts.", c.hypervisor);
    if (c.migrations == 0)
        return g_strdup_printf("Predicted with the given constants of %s; how far off they are is "
                               "not known.", c.hypervisor);
    return g_strdup_printf("Predicted with %s %u migrations%s: half of the times were within "
                           "%.1f %%, nine of ten within %.1f %%.",
                           ui_all_assumed(&c) ? ui_text("assumed constants of %s, which",
                                                     c.hypervisor)
                                           : ui_text("constants of %s learned from", c.hypervisor),
                           c.migrations, ui_all_assumed(&c) ? " could not better" : "",
                           100 * c.time_p50_ratio, 100 * c.time_p90_ratio);
}

void
ui_print_constants(const ui_common *common, const imig_cluster *cluster, const imig_plan *plan)
{
    g_autoptr(GHashTable) said = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (size_t i = 0; i < imig_plan_step_count(plan); i++) {
        imig_plan_step step = IMIG_PLAN_STEP_INIT;
        imig_host_info host = IMIG_HOST_INFO_INIT;
        uint32_t from;
        char *text;

        imig_plan_get_step(plan, i, &step, NULL);
        from = imig_cluster_find_host(cluster, step.from);
        if (from == IMIG_NO_INDEX || !ui_is_predicted(step.duration_s))
            continue;
        imig_cluster_get_host(cluster, from, &host, NULL);
        text = ui_constants_text(common->calibration, host.hypervisor);
        if (g_hash_table_contains(said, text)) {
            g_free(text);
            continue;
        }
        printf("%s%s\n", g_hash_table_size(said) == 0 ? "\n" : "", text);
        g_hash_table_add(said, text);
    }
}
