/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ui.h"

#include <math.h>
#include <stdio.h>

int
ui_observe(imig_connection *connection, const ui_watch *watch, imig_cluster **cluster)
{
    imig_monitor_options options = IMIG_MONITOR_OPTIONS_INIT;
    double for_s = isfinite(watch->for_s) ? watch->for_s : 60;
    imig_error *error = NULL;
    int code, status;

    options.set = IMIG_MONITOR_HAS_INTERVAL | (watch->no_dirty ? IMIG_MONITOR_HAS_DIRTY_FOR : 0);
    options.interval_s = isfinite(watch->interval_s) ? watch->interval_s : fmin(10, for_s / 6);
    if (options.interval_s > for_s)
        return ui_fail(UI_USAGE, "--interval is longer than --for");
    options.cancel = ui_catch_signals();
    ui_countdown_begin(for_s);
    code = imig_observe(connection, for_s, &options, cluster, &error);
    ui_countdown_end();
    if (code == IMIG_OK)
        return UI_DONE;
    status = ui_fail_error("observing", error);
    return code == IMIG_ERR_CANCELLED ? UI_INTERRUPTED : status;
}

int
ui_load_cluster(const char *path, imig_cluster **cluster)
{
    g_autofree char *text = NULL;
    imig_error *error = NULL;
    size_t length;
    int status = ui_read(path, &text, &length);

    if (status != UI_DONE)
        return status;
    if (imig_cluster_from_json(text, length, cluster, &error) != IMIG_OK)
        return ui_fail_error(path, error);
    return UI_DONE;
}

int
ui_write_cluster(const char *path, const imig_cluster *cluster)
{
    imig_error *error = NULL;
    char *text;
    size_t length;
    int status;

    if (imig_cluster_to_json(cluster, &text, &length, &error) != IMIG_OK)
        return ui_fail_error(NULL, error);
    status = ui_write(path, text, length);
    imig_free(text);
    return status;
}

int
ui_get_cluster(const ui_common *common, const ui_watch *watch, const char *path,
               imig_connection **connection, imig_cluster **cluster)
{
    int status;

    if (path && common->uris)
        return ui_fail(UI_USAGE, "both a file and -c are given");
    if (path && common->capacities)
        return ui_fail(UI_USAGE, "--host-capacity goes with -c; the file has its own");
    if (path)
        return ui_load_cluster(path, cluster);
    if (!common->uris)
        return ui_fail(UI_USAGE, "neither a file nor -c is given");
    status = ui_connect(common, connection);
    return status == UI_DONE ? ui_observe(*connection, watch, cluster) : status;
}

/* An id needs one question, a name a look at everything.  While a host is missing nobody can say
   that there is no such id. */
int
ui_resolve_vm(imig_connection *connection, const char *text, char **id)
{
    g_autoptr(imig_cluster) cluster = NULL;
    imig_location at = { .size = sizeof at };
    imig_vm_info vm = IMIG_VM_INFO_INIT;
    ui_watch watch = { 1, NAN, 1 };
    imig_error *doubt = NULL;
    uint32_t index;
    int status;

    if (imig_connection_locate(connection, text, &at, &doubt) == IMIG_OK
        && at.state != IMIG_VM_ABSENT) {
        *id = g_strdup(text);
        return UI_DONE;
    }
    status = ui_observe(connection, &watch, &cluster);
    index = status == UI_DONE ? imig_cluster_find_vm(cluster, text) : IMIG_NO_INDEX;
    if (index == IMIG_NO_INDEX) {
        if (status == UI_DONE && doubt)
            return ui_fail_error(text, doubt);
        imig_error_free(doubt);
        return status == UI_DONE ? ui_fail_vm(cluster, text) : status;
    }
    imig_error_free(doubt);
    imig_cluster_get_vm(cluster, index, &vm, NULL);
    *id = g_strdup(vm.id);
    return UI_DONE;
}

/* As many as have the name. */
static int
fail_name(const char *what, const char *text, uint32_t named)
{
    return named > 1 ? ui_fail(UI_USAGE, "%u %ss are named \"%s\"; say the id", named, what, text)
                     : ui_fail(UI_USAGE, "no %s \"%s\"", what, text);
}

int
ui_fail_vm(const imig_cluster *cluster, const char *text)
{
    uint32_t named = 0;

    for (uint32_t v = 0; v < imig_cluster_vm_count(cluster); v++) {
        imig_vm_info vm = IMIG_VM_INFO_INIT;

        imig_cluster_get_vm(cluster, v, &vm, NULL);
        named += g_str_equal(vm.name, text);
    }
    return fail_name("VM", text, named);
}

int
ui_fail_host(const imig_cluster *cluster, const char *text)
{
    uint32_t named = 0;

    for (uint32_t h = 0; h < imig_cluster_host_count(cluster); h++) {
        imig_host_info host = IMIG_HOST_INFO_INIT;

        imig_cluster_get_host(cluster, h, &host, NULL);
        named += g_str_equal(host.name, text);
    }
    return fail_name("host", text, named);
}

int32_t *
ui_classes(const imig_cluster *cluster)
{
    int32_t *classes = g_new(int32_t, imig_cluster_vm_count(cluster) + 1);

    if (imig_classify(cluster, NULL, classes, NULL) != IMIG_OK)
        for (size_t v = 0; v < imig_cluster_vm_count(cluster); v++)
            classes[v] = IMIG_WORKLOAD_UNKNOWN;
    return classes;
}

uint32_t
ui_find_host(const imig_cluster *cluster, const char *text)
{
    uint32_t found = imig_cluster_find_host(cluster, text);

    if (found != IMIG_NO_INDEX)
        return found;
    for (uint32_t h = 0; h < imig_cluster_host_count(cluster); h++) {
        imig_host_info host = IMIG_HOST_INFO_INIT;

        imig_cluster_get_host(cluster, h, &host, NULL);
        if (!g_str_equal(host.name, text))
            continue;
        if (found != IMIG_NO_INDEX)
            return IMIG_NO_INDEX;
        found = h;
    }
    return found;
}

const char *
ui_vm_name(const imig_cluster *cluster, const char *id)
{
    imig_vm_info vm = IMIG_VM_INFO_INIT;
    uint32_t index = cluster ? imig_cluster_find_vm(cluster, id) : IMIG_NO_INDEX;

    return index != IMIG_NO_INDEX && imig_cluster_get_vm(cluster, index, &vm, NULL) == IMIG_OK
               ? vm.name : id;
}

const char *
ui_host_name(const imig_cluster *cluster, const char *id)
{
    imig_host_info host = IMIG_HOST_INFO_INIT;
    uint32_t index = cluster ? imig_cluster_find_host(cluster, id) : IMIG_NO_INDEX;

    return index != IMIG_NO_INDEX && imig_cluster_get_host(cluster, index, &host, NULL) == IMIG_OK
               ? host.name : id;
}

double
ui_host_memory(const imig_host_info *host)
{
    double ratio = host->present & IMIG_HOST_HAS_MEMORY_OVERCOMMIT
                       ? host->memory_overcommit_ratio : 1;
    double reserved = host->present & IMIG_HOST_HAS_RESERVED_MEMORY
                          ? host->reserved_memory_bytes : 0;

    return host->memory_bytes * ratio - reserved;
}

static gboolean
has(const imig_vm_info *vm, imig_metric metric)
{
    return (vm->present >> metric & 1) != 0;
}

ui_load *
ui_loads(const imig_cluster *cluster, const int32_t *classes)
{
    ui_load *loads = g_new0(ui_load, imig_cluster_host_count(cluster) + 1);

    for (uint32_t v = 0; v < imig_cluster_vm_count(cluster); v++) {
        imig_vm_info vm = IMIG_VM_INFO_INIT;
        imig_host_info host = IMIG_HOST_INFO_INIT;
        double demand = imig_cluster_vm_demand_cores(cluster, v);
        ui_load *load;

        imig_cluster_get_vm(cluster, v, &vm, NULL);
        imig_cluster_get_host(cluster, vm.host, &host, NULL);
        load = &loads[vm.host];
        load->vms++;
        load->memory_bytes += vm.memory_bytes;
        if (host.present & IMIG_HOST_HAS_VM_OVERHEAD)
            load->memory_bytes += host.vm_overhead_bytes;
        if (isfinite(demand))
            load->cpu_cores += demand;
        else
            load->unmeasured++;
        if (has(&vm, IMIG_METRIC_NET_RX_BYTES_PER_S))
            load->net_rx_bytes_per_s += vm.net_rx_bytes_per_s;
        if (has(&vm, IMIG_METRIC_NET_TX_BYTES_PER_S))
            load->net_tx_bytes_per_s += vm.net_tx_bytes_per_s;
        if (classes[v] >= 0 && classes[v] < IMIG_WORKLOAD_COUNT)
            load->classes[classes[v]]++;
    }
    return loads;
}

static const char *const state_names[] = {
    [IMIG_HOST_ACTIVE] = "active",
    [IMIG_HOST_MAINTENANCE] = "maintenance",
    [IMIG_HOST_OFFLINE] = "offline",
};

static ui_colour
colour_of_use(double ratio)
{
    return ratio > 1 ? UI_RED : ratio > 0.8 ? UI_YELLOW : UI_PLAIN;
}

static char *
count_classes(const ui_load *load)
{
    GString *text = g_string_new(NULL);

    for (int32_t c = 0; c < IMIG_WORKLOAD_COUNT; c++)
        if (load->classes[c] > 0)
            g_string_append_printf(text, "%s%u %s", text->len ? ", " : "", load->classes[c],
                                   imig_workload_name(c));
    return g_string_free(text, FALSE);
}

/* Nothing but its name is known. */
static void
add_unseen(ui_table *table, const char *name)
{
    ui_table_add(table, name);
    ui_table_add_coloured(table, UI_YELLOW, state_names[IMIG_HOST_OFFLINE]);
    for (int i = 0; i < 8; i++)
        ui_table_add(table, i == 2 || i == 7 ? "" : "-"); /* no bar, no classes */
}

void
ui_print_hosts(const imig_cluster *cluster, char *const *unseen)
{
    static const char *const headings[] = {
        "host", "state", ">cores", ">CPU", "", ">memory", ">VMs", ">received", ">sent", "classes",
        NULL,
    };
    g_autofree int32_t *classes = ui_classes(cluster);
    g_autofree ui_load *loads = ui_loads(cluster, classes);
    ui_table *table = ui_table_new(headings);

    for (uint32_t h = 0; h < imig_cluster_host_count(cluster); h++) {
        const ui_load *load = &loads[h];
        imig_host_info host = IMIG_HOST_INFO_INIT;
        g_autofree char *what = count_classes(load);
        double cpu, memory;

        imig_cluster_get_host(cluster, h, &host, NULL);
        cpu = load->cpu_cores / host.cpu_cores;
        memory = load->memory_bytes / ui_host_memory(&host);
        ui_table_add(table, host.name);
        ui_table_add_coloured(table, host.state == IMIG_HOST_OFFLINE ? UI_YELLOW : UI_PLAIN,
                              state_names[host.state]);
        ui_table_add(table, ui_text("%g", host.cpu_cores));
        ui_table_add_coloured(table, colour_of_use(cpu), ui_percent(cpu));
        ui_table_add_coloured(table, colour_of_use(cpu), ui_bar(cpu, 20));
        ui_table_add_coloured(table, memory > 1 ? UI_RED : UI_PLAIN, ui_percent(memory));
        ui_table_add(table, ui_text("%u", load->vms));
        ui_table_add(table, ui_rate(load->net_rx_bytes_per_s));
        ui_table_add(table, ui_rate(load->net_tx_bytes_per_s));
        ui_table_add(table, what);
    }
    for (; unseen && *unseen; unseen++)
        add_unseen(table, *unseen);
    ui_table_print(table);
}

/* Why a VM stays where it is, as far as its document says. */
static const char *
why_fixed(const imig_vm_info *vm, double now_s)
{
    if (!vm->movable)
        return "pinned";
    if (vm->blocked)
        return vm->blocked;
    return vm->present & IMIG_VM_HAS_COOLDOWN && vm->cooldown_until_s > now_s ? "cool-down" : "";
}

void
ui_print_vms(const imig_cluster *cluster)
{
    static const char *const headings[] = {
        "VM", "host", "class", "workload", ">vCPUs", ">demand", ">memory", ">dirties",
        ">working set", "blocked", NULL,
    };
    g_autofree int32_t *classes = ui_classes(cluster);
    ui_table *table = ui_table_new(headings);

    for (uint32_t v = 0; v < imig_cluster_vm_count(cluster); v++) {
        imig_vm_info vm = IMIG_VM_INFO_INIT;
        imig_host_info host = IMIG_HOST_INFO_INIT;
        const char *class = imig_workload_name(classes[v]);

        imig_cluster_get_vm(cluster, v, &vm, NULL);
        imig_cluster_get_host(cluster, vm.host, &host, NULL);
        ui_table_add(table, vm.name);
        ui_table_add(table, host.name);
        ui_table_add(table, class ? class : "-");
        ui_table_add(table, vm.workload ? vm.workload : "");
        ui_table_add(table, ui_text("%u", vm.vcpus));
        ui_table_add(table, ui_cores(imig_cluster_vm_demand_cores(cluster, v)));
        ui_table_add(table, ui_bytes(vm.memory_bytes));
        ui_table_add(table, has(&vm, IMIG_METRIC_DIRTY_BYTES_PER_S)
                                ? ui_rate(vm.dirty_bytes_per_s) : "-");
        ui_table_add(table, has(&vm, IMIG_METRIC_WORKING_SET_BYTES)
                                ? ui_bytes(vm.working_set_bytes) : "-");
        ui_table_add(table, why_fixed(&vm, imig_cluster_time_s(cluster)));
    }
    ui_table_print(table);
}

static json_t *
number_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *
host_figures(const imig_host_info *host, const ui_load *load)
{
    json_t *classes = json_object();

    for (int32_t c = 0; c < IMIG_WORKLOAD_COUNT; c++)
        if (load->classes[c] > 0)
            json_object_set_new(classes, imig_workload_name(c), json_integer(load->classes[c]));
    return json_pack("{s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:i, s:f, s:f, s:o}",
                     "id", host->id, "name", host->name, "state", state_names[host->state],
                     "cpu_cores", host->cpu_cores, "cpu_demand_cores", load->cpu_cores,
                     "cpu_utilisation", load->cpu_cores / host->cpu_cores,
                     "memory_bytes", ui_host_memory(host), "memory_taken_bytes",
                     load->memory_bytes, "memory_utilisation",
                     load->memory_bytes / ui_host_memory(host), "vms", (int) load->vms,
                     "net_rx_bytes_per_s", load->net_rx_bytes_per_s, "net_tx_bytes_per_s",
                     load->net_tx_bytes_per_s, "classes", classes);
}

json_t *
ui_cluster_figures(const imig_cluster *cluster)
{
    g_autofree int32_t *classes = ui_classes(cluster);
    g_autofree ui_load *loads = ui_loads(cluster, classes);
    json_t *hosts = json_array(), *vms = json_array();

    for (uint32_t h = 0; h < imig_cluster_host_count(cluster); h++) {
        imig_host_info host = IMIG_HOST_INFO_INIT;

        imig_cluster_get_host(cluster, h, &host, NULL);
        json_array_append_new(hosts, host_figures(&host, &loads[h]));
    }
    for (uint32_t v = 0; v < imig_cluster_vm_count(cluster); v++) {
        imig_vm_info vm = IMIG_VM_INFO_INIT;
        imig_host_info host = IMIG_HOST_INFO_INIT;
        const char *blocked;

        imig_cluster_get_vm(cluster, v, &vm, NULL);
        imig_cluster_get_host(cluster, vm.host, &host, NULL);
        blocked = why_fixed(&vm, imig_cluster_time_s(cluster));
        json_array_append_new(vms, json_pack(
            "{s:s, s:s, s:s, s:s?, s:s?, s:i, s:o, s:f, s:o, s:o, s:s?}",
            "id", vm.id, "name", vm.name, "host", host.id, "class",
            imig_workload_name(classes[v]), "workload", vm.workload, "vcpus", (int) vm.vcpus,
            "cpu_demand_cores", number_or_null(imig_cluster_vm_demand_cores(cluster, v)),
            "memory_bytes", vm.memory_bytes, "dirty_bytes_per_s",
            number_or_null(has(&vm, IMIG_METRIC_DIRTY_BYTES_PER_S) ? vm.dirty_bytes_per_s : NAN),
            "working_set_bytes",
            number_or_null(has(&vm, IMIG_METRIC_WORKING_SET_BYTES) ? vm.working_set_bytes : NAN),
            "blocked", *blocked ? blocked : NULL));
    }
    return json_pack("{s:f, s:o, s:o}", "time_s", imig_cluster_time_s(cluster), "hosts", hosts,
                     "vms", vms);
}
