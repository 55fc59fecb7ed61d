/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/sim-priv.h"

#include <math.h>
#include <string.h>

void
imig__sim_options_clear(imig__sim_options *options)
{
    g_free(options->file);
    g_free(options->state);
    if (options->faults)
        g_ptr_array_unref(options->faults);
    *options = (imig__sim_options) { NULL };
}

static gboolean
parse_number(const char *text, double low, double high, double *value)
{
    char *end;

    *value = g_ascii_strtod(text, &end);
    return end != text && !*end && *value >= low && *value <= high;
}

/* value has been decoded. */
static gboolean
set_option(imig__sim_options *options, const char *key, const char *value)
{
    double number;

    if (!*value)
        return FALSE;
    if (strcmp(key, "noise") == 0)
        return parse_number(value, 0, 1, &options->noise);
    if (strcmp(key, "pace") == 0)
        return parse_number(value, 1e-3, 1e9, &options->pace);
    if (strcmp(key, "seed") == 0) {
        if (!parse_number(value, 0, UINT32_MAX, &number) || number != trunc(number))
            return FALSE;
        options->seed = (uint32_t) number;
        return TRUE;
    }
    if (strcmp(key, "state") == 0) {
        g_free(options->state);
        options->state = g_strdup(value);
        return TRUE;
    }
    if (strcmp(key, "fail") == 0 || strcmp(key, "stuck") == 0) {
        g_ptr_array_add(options->faults, g_strdup_printf("%s=%s", key, value));
        return TRUE;
    }
    return FALSE;
}

static int
parse_query(const char *query, imig__sim_options *options, imig_error **error)
{
    char **parts = g_strsplit(query, "&", -1);
    int code = IMIG_OK;

    for (char **part = parts; *part && code == IMIG_OK; part++) {
        char *equals = strchr(*part, '=');
        char *value = equals ? g_uri_unescape_string(equals + 1, NULL) : NULL;

        if (equals)
            *equals = '\0';
        if (!value || !set_option(options, *part, value))
            code = imig__fail(error, IMIG_ERR_ARGUMENT,
                              "\"%s%s%s\": the query takes noise=0..1, seed=N, state=PATH, pace=N, "
                              "fail=VM or fail=VM:N, stuck=VM", *part, equals ? "=" : "",
                              equals ? equals + 1 : "");
        g_free(value);
    }
    g_strfreev(parts);
    return code;
}

int
imig__sim_parse(const char *uri, imig__sim_options *options, imig_error **error)
{
    const char *file = uri + strlen("sim:"), *query = strrchr(file, '?');
    int code = IMIG_OK;

    *options = (imig__sim_options) { .faults = g_ptr_array_new_with_free_func(g_free) };
    options->file = query ? g_strndup(file, (size_t) (query - file)) : g_strdup(file);
    if (!*options->file)
        code = imig__fail(error, IMIG_ERR_ARGUMENT, "sim: wants a file");
    if (code == IMIG_OK && query)
        code = parse_query(query + 1, options, error);
    if (code != IMIG_OK)
        imig__sim_options_clear(options);
    return code;
}

int
imig__sim_read_cluster(const imig__sim_options *options, imig_cluster **cluster,
                       imig_error **error)
{
    gboolean again = options->state && g_file_test(options->state, G_FILE_TEST_EXISTS);
    const char *path = again ? options->state : options->file;
    GError *failure = NULL;
    char *text;
    size_t length;
    int code;

    if (!g_file_get_contents(path, &text, &length, &failure)) {
        code = g_error_matches(failure, G_FILE_ERROR, G_FILE_ERROR_NOENT) ? IMIG_ERR_NOT_FOUND
                                                                          : IMIG_ERR_IO;
        imig__fail(error, code, "%s", failure->message);
        g_error_free(failure);
        return code;
    }
    code = imig_cluster_from_json(text, length, cluster, error);
    g_free(text);
    if (code != IMIG_OK)
        imig__error_prefix(error, "%s", path);
    return code;
}

/* "fail=VM:N", "fail=VM", "stuck=VM"; a VM may be named by id or name. */
static int
resolve_fault(imig__sim *sim, const char *text, imig_error **error)
{
    gboolean stuck = g_str_has_prefix(text, "stuck=");
    char *id = g_strdup(strchr(text, '=') + 1), *colon = strrchr(id, ':');
    uint32_t count = 1, vm;
    double number;

    if (!stuck && colon && parse_number(colon + 1, 1, 1e6, &number)) {
        count = (uint32_t) number;
        *colon = '\0';
    }
    vm = imig_cluster_find_vm(sim->cluster, id);
    g_free(id);
    if (vm == IMIG_NO_INDEX)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%s: no such VM", text);
    if (stuck)
        sim->faults[vm].stuck = TRUE;
    else
        sim->faults[vm].fail_count = count;
    return IMIG_OK;
}

int
imig__sim_resolve_faults(imig__sim *sim, imig_error **error)
{
    const GPtrArray *faults = sim->options.faults;
    int code = IMIG_OK;

    if (faults->len == 0)
        return IMIG_OK;
    sim->faults = g_new0(imig__sim_fault, sim->cluster->vm_count);
    for (size_t i = 0; i < faults->len && code == IMIG_OK; i++)
        code = resolve_fault(sim, g_ptr_array_index(faults, i), error);
    return code;
}

/* The document that describes the same VMs as they are now. */
static imig_cluster *
present_cluster(const imig__sim *sim)
{
    imig_cluster *cluster = imig__cluster_copy(sim->cluster);
    int code;

    cluster->time_s = sim->clock_s;
    for (size_t i = 0; i < cluster->vm_count; i++) {
        const imig__sim_vm *v = &sim->vms[i];
        const imig__sim_host *host = &sim->hosts[v->host];
        imig_vm_info *info = &cluster->vms[i];

        info->host = v->host;
        info->dirty_bytes_per_s = v->dirty_bytes_per_s * host->cpu_ratio;
        if (!(info->present & UINT64_C(1) << IMIG_METRIC_CPU_CORES))
            continue;
        info->cpu_cores = v->demand_cores * host->cpu_ratio;
        info->cpu_wait_cores = v->demand_cores - info->cpu_cores;
        if (info->cpu_wait_cores > 0)
            info->present |= UINT64_C(1) << IMIG_METRIC_CPU_WAIT_CORES;
    }
    code = imig_cluster_finish(cluster, NULL);
    g_assert(code == IMIG_OK); /* nothing in it can break a rule that the document kept */
    return cluster;
}

int
imig__sim_write_state(imig__sim *sim, imig_error **error)
{
    imig_cluster *cluster;
    GError *failure = NULL;
    char *text;
    size_t length;
    int code;

    if (!sim->options.state)
        return IMIG_OK;
    cluster = present_cluster(sim);
    code = imig_cluster_to_json(cluster, &text, &length, error);
    imig_cluster_unref(cluster);
    if (code != IMIG_OK)
        return code;
    if (!g_file_set_contents(sim->options.state, text, (gssize) length, &failure)) {
        code = imig__fail(error, IMIG_ERR_IO, "%s", failure->message);
        g_error_free(failure);
    }
    imig_free(text);
    return code;
}
