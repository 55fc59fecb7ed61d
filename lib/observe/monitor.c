/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/cluster-store-priv.h"
#include "observe/monitor-priv.h"

#include <math.h>

static const uint64_t OPTION_BITS = IMIG_MONITOR_HAS_INTERVAL | IMIG_MONITOR_HAS_DIRTY_FOR |
    IMIG_MONITOR_HAS_WINDOW;

/* What the rate of each counter is called in the model. */
static const imig_metric metric_of[IMIG__COUNTER_COUNT] = {
    IMIG_METRIC_CPU_CORES, IMIG_METRIC_CPU_WAIT_CORES, IMIG_METRIC_DISK_OPS_PER_S,
    IMIG_METRIC_DISK_READ_BYTES_PER_S, IMIG_METRIC_DISK_WRITE_BYTES_PER_S,
    IMIG_METRIC_NET_RX_BYTES_PER_S, IMIG_METRIC_NET_TX_BYTES_PER_S,
};

static int
read_options(const imig_monitor_options *options, imig_monitor_options *read, imig_error **error)
{
    int code = imig__copy_struct(read, sizeof *read, options,
                                 IMIG__END_OF(imig_monitor_options, reserved), error);

    if (code != IMIG_OK)
        return code;
    if (read->set & ~OPTION_BITS)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "monitor options: an unknown bit in set");
    if (!(read->set & IMIG_MONITOR_HAS_INTERVAL))
        read->interval_s = 10;
    if (!(read->set & IMIG_MONITOR_HAS_DIRTY_FOR))
        read->dirty_for_s = IMIG__DIRTY_LEAST_S;
    if (!(read->set & IMIG_MONITOR_HAS_WINDOW))
        read->window = 60;
    if (!(read->interval_s > 0 && isfinite(read->interval_s)))
        return imig__fail(error, IMIG_ERR_ARGUMENT, "interval_s: %g: must be finite and > 0",
                          read->interval_s);
    if (!(read->dirty_for_s >= 0 && isfinite(read->dirty_for_s)))
        return imig__fail(error, IMIG_ERR_ARGUMENT, "dirty_for_s: %g: must be finite and >= 0",
                          read->dirty_for_s);
    if (read->window < 2)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "window: %u: must be at least 2", read->window);
    return IMIG_OK;
}

int
imig_monitor_new(imig_connection *connection, const imig_monitor_options *options,
                 imig_monitor **ret_monitor, imig_error **error)
{
    imig_monitor_options read;
    imig_monitor *monitor;
    int code;

    if (!connection || !ret_monitor)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%s is NULL",
                          connection ? "monitor" : "connection");
    code = read_options(options, &read, error);
    if (code != IMIG_OK)
        return code;
    monitor = g_new0(imig_monitor, 1);
    monitor->connection = imig_connection_ref(connection);
    monitor->options = read;
    monitor->vms = imig__series_new(IMIG__COUNTER_COUNT, read.window - 1);
    monitor->flows = imig__series_new(1, read.window - 1);
    monitor->slots = g_hash_table_new(g_str_hash, g_str_equal); /* keys are watched[].id */
    monitor->flow_slots = g_hash_table_new_full(imig__pair_hash, g_int64_equal, g_free, NULL);
    monitor->hosts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    monitor->cooldowns = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    *ret_monitor = monitor;
    return IMIG_OK;
}

void
imig_monitor_free(imig_monitor *monitor)
{
    if (!monitor)
        return;
    for (uint32_t i = 0; i < monitor->watched_count; i++)
        g_free(monitor->watched[i].id);
    g_free(monitor->watched);
    g_free(monitor->latest_slot);
    imig__sample_free(monitor->latest);
    g_hash_table_unref(monitor->slots);
    g_hash_table_unref(monitor->flow_slots);
    g_hash_table_unref(monitor->hosts);
    g_hash_table_unref(monitor->cooldowns);
    imig__series_free(monitor->vms);
    imig__series_free(monitor->flows);
    imig_connection_unref(monitor->connection);
    g_free(monitor);
}

/* Numbers for host ids, so that a move is seen without comparing strings that come and go. */
static uint32_t
host_number(imig_monitor *monitor, const char *id)
{
    uint32_t number = GPOINTER_TO_UINT(g_hash_table_lookup(monitor->hosts, id));

    if (number == 0) {
        number = g_hash_table_size(monitor->hosts) + 1;
        g_hash_table_insert(monitor->hosts, g_strdup(id), GUINT_TO_POINTER(number));
    }
    return number;
}

static uint32_t
vm_slot(imig_monitor *monitor, const char *id, gboolean *is_new)
{
    uint32_t slot = GPOINTER_TO_UINT(g_hash_table_lookup(monitor->slots, id));
    imig__watched *w;

    *is_new = slot == 0;
    if (slot != 0)
        return slot - 1;
    slot = imig__series_take(monitor->vms);
    if (slot >= monitor->watched_count) {
        uint32_t count = MAX(2 * monitor->watched_count, slot + 16);

        monitor->watched = g_renew(imig__watched, monitor->watched, count);
        while (monitor->watched_count < count)
            monitor->watched[monitor->watched_count++] = (imig__watched) { NULL };
    }
    w = &monitor->watched[slot];
    *w = (imig__watched) {
        .id = g_strdup(id), .dirty_bytes_per_s = NAN, .working_set_bytes = NAN,
    };
    g_hash_table_insert(monitor->slots, w->id, GUINT_TO_POINTER(slot + 1));
    return slot;
}

static gboolean
flow_expired(void *key, void *value, void *user_data)
{
    (void) key;
    return imig__series_expire(user_data, GPOINTER_TO_UINT(value) - 1);
}

/* Forgets VMs and flows that have not been there for a whole window. */
static void
forget(imig_monitor *monitor)
{
    g_hash_table_foreach_remove(monitor->flow_slots, flow_expired, monitor->flows);
    for (uint32_t slot = 0; slot < monitor->vms->slot_count; slot++) {
        imig__watched *w = &monitor->watched[slot];

        if (!w->id || !imig__series_expire(monitor->vms, slot))
            continue;
        g_hash_table_remove(monitor->slots, w->id);
        g_free(g_steal_pointer(&w->id));
    }
}

static void
add_vm(imig_monitor *monitor, const imig_sample *sample, size_t vm, uint32_t *ret_slot,
       gboolean *moved)
{
    const imig_vm_info *info = &sample->cluster->vms[vm];
    const imig_vm_counters *counters = &sample->counters[vm];
    uint32_t host = host_number(monitor, sample->cluster->hosts[info->host].id);
    double values[IMIG__COUNTER_COUNT];
    gboolean is_new;
    uint32_t slot = vm_slot(monitor, info->id, &is_new);

    imig__counters(counters, values);
    for (unsigned k = 0; k < IMIG__COUNTER_COUNT; k++)
        if (!(counters->present >> k & 1))
            values[k] = NAN;
    *moved = !is_new && monitor->watched[slot].host != host;
    monitor->watched[slot].host = host;
    imig__series_add(monitor->vms, slot, counters->time_s, values, *moved);
    *ret_slot = slot;
}

static void
add_flow(imig_monitor *monitor, const imig_sample *sample, const imig__flow *flow,
         const uint32_t *slots, gboolean moved)
{
    uint64_t key = (uint64_t) slots[flow->a] << 32 | slots[flow->b];
    uint32_t slot = GPOINTER_TO_UINT(g_hash_table_lookup(monitor->flow_slots, &key));

    if (slot == 0) {
        slot = imig__series_take(monitor->flows) + 1;
        g_hash_table_insert(monitor->flow_slots, g_memdup2(&key, sizeof key),
                            GUINT_TO_POINTER(slot));
    }
    imig__series_add(monitor->flows, slot - 1, sample->counters[flow->a].time_s,
                     &flow->bytes_per_s, moved);
}

int
imig_monitor_sample(imig_monitor *monitor, imig_error **error)
{
    imig_sample *sample;
    gboolean *moved;
    int code;

    if (!monitor)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "monitor is NULL");
    code = imig__connection_sample(monitor->connection, &sample, error);
    if (code != IMIG_OK)
        return code;
    forget(monitor);
    imig__series_begin(monitor->vms);
    imig__series_begin(monitor->flows);
    imig__sample_free(monitor->latest);
    monitor->latest = sample;
    monitor->latest_s = sample->cluster->time_s;
    monitor->latest_slot = g_renew(uint32_t, monitor->latest_slot, sample->cluster->vm_count);
    moved = g_new(gboolean, sample->cluster->vm_count);
    for (size_t i = 0; i < sample->cluster->vm_count; i++)
        add_vm(monitor, sample, i, &monitor->latest_slot[i], &moved[i]);
    for (size_t i = 0; i < sample->cluster->flow_count; i++) {
        const imig__flow *flow = &sample->cluster->flows[i];

        add_flow(monitor, sample, flow, monitor->latest_slot, moved[flow->a]);
    }
    g_free(moved);
    return IMIG_OK;
}

static void
set_metric(imig_vm_info *vm, imig_metric metric, double value)
{
    *imig__number_in(vm, &imig__vm_metrics[metric]) = value;
    vm->present |= UINT64_C(1) << metric;
}

static void
fill_vm(const imig_monitor *monitor, imig_cluster *cluster, size_t index)
{
    imig_vm_info *vm = &cluster->vms[index];
    uint32_t slot = monitor->latest_slot[index];
    const imig__watched *w = &monitor->watched[slot];
    double noise[IMIG_METRIC_COUNT] = { 0 }, rate;

    for (uint32_t k = 0; k < IMIG__COUNTER_COUNT; k++)
        if (imig__series_rate(monitor->vms, slot, k, &rate, &noise[metric_of[k]]))
            set_metric(vm, metric_of[k], rate);
    if (!isnan(w->dirty_bytes_per_s))
        set_metric(vm, IMIG_METRIC_DIRTY_BYTES_PER_S, w->dirty_bytes_per_s);
    if (!isnan(w->working_set_bytes))
        set_metric(vm, IMIG_METRIC_WORKING_SET_BYTES, fmin(w->working_set_bytes, vm->memory_bytes));
    vm->noise_count = IMIG_METRIC_COUNT;
    while (vm->noise_count > 0 && noise[vm->noise_count - 1] == 0)
        vm->noise_count--;
    vm->noise = imig__store_bytes(cluster->store, noise, vm->noise_count * sizeof *noise);
}

int
imig_monitor_set_cooldown(imig_monitor *monitor, const char *vm_id, double until_s,
                          imig_error **error)
{
    if (!monitor || !vm_id || !*vm_id)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%s",
                          !monitor ? "monitor is NULL" : vm_id ? "vm_id is empty" :
                          "vm_id is NULL");
    if (!isfinite(until_s))
        return imig__fail(error, IMIG_ERR_ARGUMENT, "until_s: %g: must be finite", until_s);
    g_hash_table_insert(monitor->cooldowns, g_strdup(vm_id), g_memdup2(&until_s, sizeof until_s));
    return IMIG_OK;
}

static gboolean
has_passed(void *key, void *value, void *user_data)
{
    const double *until_s = value, *now_s = user_data;

    (void) key;
    return *until_s <= *now_s;
}

static void
fill_cooldowns(const imig_monitor *monitor, imig_cluster *cluster)
{
    g_hash_table_foreach_remove(monitor->cooldowns, has_passed, &cluster->time_s);
    if (g_hash_table_size(monitor->cooldowns) == 0)
        return;
    for (size_t i = 0; i < cluster->vm_count; i++) {
        imig_vm_info *vm = &cluster->vms[i];
        const double *until_s = g_hash_table_lookup(monitor->cooldowns, vm->id);

        if (!until_s || (vm->present & IMIG_VM_HAS_COOLDOWN && vm->cooldown_until_s >= *until_s))
            continue;
        vm->cooldown_until_s = *until_s;
        vm->present |= IMIG_VM_HAS_COOLDOWN;
    }
}

/* Counters become rates; a flow that was seen only once is not one yet. */
static void
fill_flows(const imig_monitor *monitor, imig_cluster *cluster)
{
    size_t kept = 0;

    for (size_t i = 0; i < cluster->flow_count; i++) {
        imig__flow flow = cluster->flows[i];
        uint64_t key = (uint64_t) monitor->latest_slot[flow.a] << 32 | monitor->latest_slot[flow.b];
        uint32_t slot = GPOINTER_TO_UINT(g_hash_table_lookup(monitor->flow_slots, &key));
        double unused;

        if (!imig__series_rate(monitor->flows, slot - 1, 0, &flow.bytes_per_s, &unused))
            continue;
        cluster->flows[kept++] = flow;
    }
    cluster->flow_count = kept;
}

int
imig_monitor_snapshot(imig_monitor *monitor, imig_cluster **ret_cluster, imig_error **error)
{
    imig_cluster *cluster;
    int code;

    if (!monitor || !ret_cluster)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%s is NULL", monitor ? "cluster" : "monitor");
    if (monitor->vms->begun < 2)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%u samples: a rate needs two",
                          (unsigned) monitor->vms->begun);
    cluster = imig__cluster_copy(monitor->latest->cluster);
    for (size_t i = 0; i < cluster->vm_count; i++)
        fill_vm(monitor, cluster, i);
    fill_flows(monitor, cluster);
    fill_cooldowns(monitor, cluster);
    code = imig_cluster_finish(cluster, error);
    if (code != IMIG_OK)
        imig_cluster_unref(cluster);
    else
        *ret_cluster = cluster;
    return code;
}

int
imig__monitor_wait(imig_monitor *monitor, double until_s, imig_error **error)
{
    double now_s;

    while ((now_s = imig_connection_clock(monitor->connection)) < until_s) {
        int code = imig__connection_wait_until(monitor->connection,
                                               fmin(until_s, monitor->next_sample_s),
                                               monitor->options.cancel, error);

        now_s = imig_connection_clock(monitor->connection);
        if (code == IMIG_OK && now_s >= monitor->next_sample_s) {
            code = imig_monitor_sample(monitor, error);
            while (monitor->next_sample_s <= now_s)
                monitor->next_sample_s += monitor->options.interval_s;
        }
        if (code != IMIG_OK)
            return code;
    }
    return IMIG_OK;
}

int
imig_monitor_watch(imig_monitor *monitor, double for_s, imig_error **error)
{
    double end_s;
    int code;

    if (!monitor)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "monitor is NULL");
    if (!(for_s > 0 && isfinite(for_s)))
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%g seconds: must be finite and > 0", for_s);
    end_s = imig_connection_clock(monitor->connection) + for_s;
    monitor->next_sample_s = end_s - for_s + monitor->options.interval_s;
    code = imig_monitor_sample(monitor, error);
    if (code == IMIG_OK && monitor->options.dirty_for_s > 0)
        code = imig__monitor_log_dirty(monitor, end_s, error);
    if (code == IMIG_OK)
        code = imig__monitor_wait(monitor, end_s, error);
    if (code == IMIG_OK && monitor->latest_s < end_s)
        code = imig_monitor_sample(monitor, error);
    return code;
}

int
imig_observe(imig_connection *connection, double for_s, const imig_monitor_options *options,
             imig_cluster **cluster, imig_error **error)
{
    imig_monitor *monitor;
    int code;

    if (!cluster)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "cluster is NULL");
    code = imig_monitor_new(connection, options, &monitor, error);
    if (code != IMIG_OK)
        return code;
    code = imig_monitor_watch(monitor, for_s, error);
    if (code == IMIG_OK)
        code = imig_monitor_snapshot(monitor, cluster, error);
    imig_monitor_free(monitor);
    return code;
}
