/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/sample-priv.h"
#include "backend/sim-priv.h"

#include <math.h>
#include <string.h>

#define METRIC(name) (UINT64_C(1) << IMIG_METRIC_##name)

/* A factor to measure with: 1 on average, never below 0. */
static double
noise(imig__sim *sim)
{
    double radius, angle;

    if (sim->options.noise <= 0)
        return 1;
    radius = sqrt(-2 * log(1 - g_rand_double(sim->rand)));
    angle = 2 * G_PI * g_rand_double(sim->rand);
    return fmax(0, 1 + sim->options.noise * radius * cos(angle));
}

/* A counter as measured: what it grew by is measured with noise, so it never falls. */
static double
measure(imig__sim *sim, double now, double *truth, double *shown)
{
    *shown += (now - *truth) * noise(sim);
    *truth = now;
    return *shown;
}

static double
measure_gauge(imig__sim *sim, double value, double most)
{
    return fmin(value * noise(sim), most);
}

void
imig__sim_counters_restart(imig__sim *sim, uint32_t vm)
{
    if (!sim->shown)
        return;
    memset(&sim->shown[(size_t) vm * IMIG__COUNTER_COUNT], 0, IMIG__COUNTER_COUNT * sizeof(double));
    memset(&sim->truth[(size_t) vm * IMIG__COUNTER_COUNT], 0, IMIG__COUNTER_COUNT * sizeof(double));
    for (uint32_t i = sim->flow_start[vm]; i < sim->flow_start[vm + 1]; i++) {
        uint32_t flow = sim->flow_list[i];

        if (sim->cluster->flows[flow].a == vm)
            sim->shown_flow[flow] = sim->truth_flow[flow] = 0;
    }
}

/* The hypervisor accounts for used and waiting time alike, whatever the document states. */
static uint64_t
counters_present(const imig_vm_info *info)
{
    static const struct { uint64_t metric, counter; } pairs[] = {
        { METRIC(CPU_CORES), IMIG_COUNTER_HAS_CPU | IMIG_COUNTER_HAS_CPU_WAIT },
        { METRIC(DISK_OPS_PER_S), IMIG_COUNTER_HAS_DISK_OPS },
        { METRIC(DISK_READ_BYTES_PER_S), IMIG_COUNTER_HAS_DISK_READ },
        { METRIC(DISK_WRITE_BYTES_PER_S), IMIG_COUNTER_HAS_DISK_WRITE },
        { METRIC(NET_RX_BYTES_PER_S), IMIG_COUNTER_HAS_NET_RX },
        { METRIC(NET_TX_BYTES_PER_S), IMIG_COUNTER_HAS_NET_TX },
    };
    uint64_t present = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++)
        if (info->present & pairs[i].metric)
            present |= pairs[i].counter;
    return present;
}

static void
count(imig__sim *sim, uint32_t vm, imig_vm_counters *counters)
{
    const imig_vm_info *info = &sim->cluster->vms[vm];
    const imig__sim_vm *v = &sim->vms[vm];
    double value[IMIG__COUNTER_COUNT];

    imig__sim_settle(sim, vm);
    value[0] = v->demand_cores * v->cpu_s;
    value[1] = v->demand_cores * v->wait_s;
    value[2] = info->disk_ops_per_s * v->disk_s;
    value[3] = info->disk_read_bytes_per_s * v->disk_s;
    value[4] = info->disk_write_bytes_per_s * v->disk_s;
    value[5] = info->net_rx_bytes_per_s * v->active_s;
    value[6] = info->net_tx_bytes_per_s * v->active_s;
    if (sim->shown)
        for (size_t k = 0; k < IMIG__COUNTER_COUNT; k++) {
            size_t at = (size_t) vm * IMIG__COUNTER_COUNT + k;

            value[k] = measure(sim, value[k], &sim->truth[at], &sim->shown[at]);
        }
    *counters = (imig_vm_counters) {
        .size = sizeof *counters, .present = counters_present(info), .time_s = sim->clock_s,
        .cpu_s = value[0], .cpu_wait_s = value[1], .disk_ops = value[2],
        .disk_read_bytes = value[3], .disk_write_bytes = value[4],
        .net_rx_bytes = value[5], .net_tx_bytes = value[6],
    };
}

static int
sample_vm(imig__sim *sim, uint32_t vm, imig_sample *into, imig_error **error)
{
    imig_vm_info info = sim->cluster->vms[vm];
    imig_vm_counters counters;

    count(sim, vm, &counters);
    info.host = sim->vms[vm].host;
    info.workload_class = IMIG_WORKLOAD_UNKNOWN; /* to be found out */
    info.noise_count = 0;
    info.memory_used_bytes = measure_gauge(sim, info.memory_used_bytes, info.memory_bytes);
    info.memory_nonzero_bytes = measure_gauge(sim, info.memory_nonzero_bytes, info.memory_bytes);
    info.memory_populated_bytes = measure_gauge(sim, info.memory_populated_bytes,
                                                info.memory_bytes);
    return imig_sample_add_vm(into, &info, &counters, error);
}

int
imig__sim_sample(void *state, imig_sample *into, imig_error **error)
{
    imig__sim *sim = state;
    const imig_cluster *cluster = sim->cluster;
    int code = IMIG_OK;

    for (size_t i = 0; i < cluster->host_count && code == IMIG_OK; i++)
        code = imig_sample_add_host(into, &cluster->hosts[i], error);
    for (uint32_t i = 0; i < cluster->vm_count && code == IMIG_OK; i++)
        code = sample_vm(sim, i, into, error);
    for (size_t i = 0; i < cluster->flow_count && code == IMIG_OK; i++) {
        const imig__flow *flow = &cluster->flows[i];
        double bytes = flow->bytes_per_s * sim->vms[flow->a].active_s;

        if (sim->shown)
            bytes = measure(sim, bytes, &sim->truth_flow[i], &sim->shown_flow[i]);
        code = imig_sample_add_flow(into, flow->a, flow->b, bytes, error);
    }
    for (size_t i = 0; i < cluster->rule_count && code == IMIG_OK; i++)
        code = imig_sample_add_rule(into, &cluster->rules[i], error);
    return code;
}

int
imig__sim_dirty_start(void *state, const char *vm, imig_error **error)
{
    imig__sim *sim = state;
    uint32_t index = imig__sim_find_vm(sim, vm);
    imig__sim_vm *v;

    if (index == IMIG_NO_INDEX)
        return imig__fail(error, IMIG_ERR_NOT_FOUND, "no VM \"%s\"", vm);
    v = &sim->vms[index];
    if (v->job || v->log)
        return imig__fail(error, IMIG_ERR_BUSY, "VM %s is being %s", vm,
                          v->job ? "migrated" : "measured");
    if (!(sim->cluster->vms[index].present & METRIC(DIRTY_BYTES_PER_S)))
        return imig__fail(error, IMIG_ERR_UNSUPPORTED, "VM %s: its dirty pages cannot be logged",
                          vm);
    v->log = g_new(imig__sim_log, 1);
    *v->log = (imig__sim_log) {
        .start_s = sim->clock_s, .cpu_s = imig__sim_cpu_s(sim, v->host),
    };
    return IMIG_OK;
}

static int
find_log(const imig__sim *sim, const char *vm, uint32_t *index, imig_error **error)
{
    *index = imig__sim_find_vm(sim, vm);
    if (*index == IMIG_NO_INDEX)
        return imig__fail(error, IMIG_ERR_NOT_FOUND, "no VM \"%s\"", vm);
    if (!sim->vms[*index].log)
        return imig__fail(error, IMIG_ERR_NOT_FOUND, "VM %s is not being measured", vm);
    return IMIG_OK;
}

int
imig__sim_dirty_read(void *state, const char *vm, imig_dirty_point *into, imig_error **error)
{
    imig__sim *sim = state;
    imig__sim_log *log;
    uint32_t index;
    double dirtied;
    int code = find_log(sim, vm, &index, error);

    if (code != IMIG_OK)
        return code;
    log = sim->vms[index].log;
    dirtied = imig__sim_dirtied(sim, index,
                                imig__sim_cpu_s(sim, sim->vms[index].host) - log->cpu_s);
    *into = (imig_dirty_point) {
        .size = sizeof *into, .elapsed_s = sim->clock_s - log->start_s,
        .dirtied_bytes = measure(sim, dirtied, &log->truth_bytes, &log->shown_bytes),
    };
    return IMIG_OK;
}

int
imig__sim_dirty_stop(void *state, const char *vm, imig_error **error)
{
    imig__sim *sim = state;
    uint32_t index;
    int code = find_log(sim, vm, &index, error);

    if (code != IMIG_OK)
        return code;
    g_free(g_steal_pointer(&sim->vms[index].log));
    return IMIG_OK;
}
