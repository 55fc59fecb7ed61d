/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cost/loss-priv.h"

#include "model/cluster-priv.h"
#include "model/workload-priv.h"

#include <math.h>
#include <string.h>

/* Assumed (doc/paper-map.md): what a VM that waits for its disk counts with at least, and what
   stands for a capacity or a rate that is not stated. */
#define DISK_FLOOR_CORES 0.5
#define DISK_OPS_ASSUMED 2000.0
#define DISK_SHARE_ASSUMED 0.5

const imig__loss_options imig__loss_defaults = {
    .network_price = 1.0,
    .communication_price = 8e-9, /* one core for 1 Gbit/s; assumed */
};

static double
metric(const imig_vm_info *vm, imig_metric m, double value)
{
    return vm->present & (UINT64_C(1) << m) ? value : 0;
}

static void
load_vm(imig__load *load, uint32_t v, const imig_vm_info *vm, int32_t class)
{
    imig__sums *b = &load->brings[v];
    gboolean depends = imig__workload_rows[class].nonsharable != NULL;
    double demand = imig__vm_demand(vm);

    load->cpu[v] = isnan(demand) ? 0 : demand;
    *b = (imig__sums) {
        .cpu = load->cpu[v], .cpu_w = load->cpu[v] * vm->weight, .memory = vm->memory_bytes,
    };
    b->rx = metric(vm, IMIG_METRIC_NET_RX_BYTES_PER_S, vm->net_rx_bytes_per_s);
    b->tx = metric(vm, IMIG_METRIC_NET_TX_BYTES_PER_S, vm->net_tx_bytes_per_s);
    b->net_w = (b->rx + b->tx) * vm->weight;
    b->disk = metric(vm, IMIG_METRIC_DISK_OPS_PER_S, vm->disk_ops_per_s);
    if (depends && b->disk <= 0)
        b->disk = DISK_SHARE_ASSUMED * DISK_OPS_ASSUMED;
    if (depends)
        b->disk_use = vm->weight * MAX(b->cpu, DISK_FLOOR_CORES);
    b->disk_own = b->disk_use * b->disk;
    load->home[v] = vm->host;
    load->weight[v] = vm->weight;
    load->noise[v] = NAN;
    if (vm->noise_count > IMIG_METRIC_CPU_CORES && vm->noise[IMIG_METRIC_CPU_CORES] > 0) {
        double used = vm->noise[IMIG_METRIC_CPU_CORES];
        double wait = vm->noise_count > IMIG_METRIC_CPU_WAIT_CORES
                          ? vm->noise[IMIG_METRIC_CPU_WAIT_CORES] : 0;

        load->noise[v] = hypot(used, wait);
    }
}

static void
load_flows(imig__load *load, const imig_cluster *cluster)
{
    uint32_t *fill, entries = 0;

    load->flow_begin = g_new0(uint32_t, load->vms + 1);
    for (size_t i = 0; i < cluster->flow_count; i++) {
        load->flow_begin[cluster->flows[i].a + 1]++;
        load->flow_begin[cluster->flows[i].b + 1]++;
    }
    for (uint32_t v = 0; v < load->vms; v++)
        load->flow_begin[v + 1] += load->flow_begin[v];
    entries = load->flow_begin[load->vms];
    load->flow_peer = g_new(uint32_t, entries);
    load->flow_bytes = g_new(double, entries);
    load->flow_price = g_new(double, entries);
    fill = g_memdup2(load->flow_begin, (load->vms + 1) * sizeof *fill);
    for (size_t i = 0; i < cluster->flow_count; i++) {
        const imig__flow *flow = &cluster->flows[i];
        double weight = (load->weight[flow->a] + load->weight[flow->b]) / 2;
        const uint32_t ends[] = { flow->a, flow->b, flow->a };

        for (int end = 0; end < 2; end++) {
            uint32_t at = fill[ends[end]]++;

            load->flow_peer[at] = ends[end + 1];
            load->flow_bytes[at] = flow->bytes_per_s;
            load->flow_price[at] =
                flow->bytes_per_s * weight * load->options.communication_price;
        }
    }
    g_free(fill);
}

imig__load *
imig__load_new(const imig_cluster *cluster, const int32_t *workload, const uint32_t *label,
               uint32_t labels, const double *slowdown, const imig__loss_options *options)
{
    imig__load *load = g_new0(imig__load, 1);
    size_t hosts = cluster->host_count, vms = cluster->vm_count;

    load->hosts = (uint32_t) hosts;
    load->vms = (uint32_t) vms;
    load->options = *options;
    load->labels = labels;
    load->slowdown = g_memdup2(slowdown, (gsize) labels * labels * sizeof *slowdown);
    load->slows = g_new(double, (gsize) labels * labels);
    load->silent = g_new(uint8_t, labels + 1);
    memset(load->silent, 1, labels);
    for (size_t i = 0; i < labels; i++)
        for (size_t j = 0; j < labels; j++) {
            load->slows[j * labels + i] = slowdown[i * labels + j];
            if (slowdown[i * labels + j] > 0)
                load->silent[i] = load->silent[j] = 0;
        }
    load->label = g_memdup2(label, vms * sizeof *label);
    load->cores = g_new(double, hosts);
    load->net = g_new(double, hosts);
    load->disk = g_new(double, hosts);
    load->exponent = g_new(double, hosts);
    load->knee = g_new(double, hosts);
    load->knee_slope = g_new(double, hosts);
    load->curve = g_new(uint32_t, hosts);
    for (size_t h = 0; h < hosts; h++) {
        const imig_host_info *host = &cluster->hosts[h];

        load->cores[h] = host->cpu_cores;
        load->net[h] = host->present & IMIG_HOST_HAS_NET ? host->net_bytes_per_s : NAN;
        load->disk[h] = host->present & IMIG_HOST_HAS_DISK_OPS ? host->disk_ops_per_s
                                                               : DISK_OPS_ASSUMED;
    }
    imig__queue_init(load);
    load->brings = g_new(imig__sums, vms);
    load->cpu = g_new(double, vms);
    load->home = g_new(uint32_t, vms);
    load->weight = g_new(double, vms);
    load->noise = g_new(double, vms);
    for (uint32_t v = 0; v < vms; v++)
        load_vm(load, v, &cluster->vms[v], workload[v]);
    load_flows(load, cluster);
    return load;
}

void
imig__load_free(imig__load *load)
{
    if (!load)
        return;
    g_free(load->cores);
    g_free(load->net);
    g_free(load->disk);
    g_free(load->exponent);
    g_free(load->knee);
    g_free(load->knee_slope);
    g_free(load->curve);
    g_free(load->curves);
    g_free(load->brings);
    g_free(load->cpu);
    g_free(load->label);
    g_free(load->home);
    g_free(load->weight);
    g_free(load->noise);
    g_free(load->slowdown);
    g_free(load->slows);
    g_free(load->silent);
    g_free(load->flow_begin);
    g_free(load->flow_peer);
    g_free(load->flow_bytes);
    g_free(load->flow_price);
    g_free(load);
}
