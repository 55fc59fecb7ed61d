/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/cluster-priv.h"
#include "policy/classify-priv.h"

#include <imig/workload.h>
#include <math.h>
#include <stdlib.h>

/* Capacities of a host that does not state them, and when a pressure shows: doc/paper-map.md. */
static const double assumed_net_bytes_per_s = 1.25e8;
static const double assumed_disk_ops_per_s = 2000;
static const double default_hysteresis_ratio = 0.2;

static const struct {
    int32_t workload;
    double threshold;
} shows[IMIG_PRESSURE_COUNT] = {
    [IMIG_PRESSURE_CPU]      = { IMIG_WORKLOAD_CPU,          0.25 },
    [IMIG_PRESSURE_DISK]     = { IMIG_WORKLOAD_DISK_IO,      0.1 },
    [IMIG_PRESSURE_DIRTY]    = { IMIG_WORKLOAD_MEMORY_DIRTY, 0.1 },
    [IMIG_PRESSURE_RECEIVE]  = { IMIG_WORKLOAD_NET_RECEIVE,  0.1 },
    [IMIG_PRESSURE_TRANSMIT] = { IMIG_WORKLOAD_WEB_SERVER,   0.1 },
};

/* Size in the release that introduced the struct, for ever. */
#define OPTIONS_FIRST_SIZE \
    (offsetof(imig_classify_options, hysteresis_ratio) + sizeof(double))

/* The options with their defaults filled in. */
struct rules {
    double threshold[IMIG_PRESSURE_COUNT];
    double hysteresis_ratio;
    const int32_t *previous;
};

static int
make_rules(const imig_classify_options *options, size_t n, struct rules *rules, imig_error **error)
{
    imig_classify_options opt;
    int rc = imig__copy_struct(&opt, sizeof opt, options, OPTIONS_FIRST_SIZE, error);

    if (rc != IMIG_OK)
        return rc;
    for (int p = 0; p < IMIG_PRESSURE_COUNT; p++) {
        rules->threshold[p] = opt.threshold ? opt.threshold[p] : shows[p].threshold;
        if (!isfinite(rules->threshold[p]) || rules->threshold[p] <= 0)
            return imig__fail(error, IMIG_ERR_ARGUMENT, "threshold[%d]: %g is not a number > 0", p,
                              rules->threshold[p]);
    }
    rules->hysteresis_ratio = opt.set & IMIG_CLASSIFY_HAS_HYSTERESIS ? opt.hysteresis_ratio
                                                                     : default_hysteresis_ratio;
    if (!(rules->hysteresis_ratio >= 0 && rules->hysteresis_ratio < 1))
        return imig__fail(error, IMIG_ERR_ARGUMENT, "hysteresis_ratio: %g is not in [0, 1)",
                          rules->hysteresis_ratio);
    rules->previous = opt.previous;
    for (size_t i = 0; opt.previous && i < n; i++)
        if (opt.previous[i] < IMIG_WORKLOAD_UNKNOWN || opt.previous[i] >= IMIG_WORKLOAD_COUNT)
            return imig__fail(error, IMIG_ERR_ARGUMENT, "previous[%zu]: %d is no imig_workload", i,
                              opt.previous[i]);
    return IMIG_OK;
}

/* The class that shows most, every threshold in favour of the class before, if there was one. */
static int32_t
strongest(const double *pressure, const struct rules *rules, int32_t before)
{
    double most = 1;
    int32_t workload = IMIG_WORKLOAD_IDLE;

    for (int p = 0; p < IMIG_PRESSURE_COUNT; p++) {
        double favour = before == IMIG_WORKLOAD_UNKNOWN ? 1
            : shows[p].workload == before ? 1 - rules->hysteresis_ratio
                                          : 1 + rules->hysteresis_ratio;
        double above = pressure[p] / (rules->threshold[p] * favour);

        if (above < most)
            continue;
        /* Everything uses some CPU: that counts only where nothing else shows. */
        most = p == IMIG_PRESSURE_CPU ? 1 : above;
        workload = shows[p].workload;
    }
    return workload;
}

static int32_t
classify_one(const double *pressure, const struct rules *rules, size_t i)
{
    int32_t before = rules->previous ? rules->previous[i] : IMIG_WORKLOAD_UNKNOWN;

    if (before != IMIG_WORKLOAD_UNKNOWN && strongest(pressure, rules, before) == before)
        return before;
    return strongest(pressure, rules, IMIG_WORKLOAD_UNKNOWN);
}

/* What the hosts of a pool have. */
struct capacity {
    double net, disk, link;
};

static int
compare_doubles(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;

    return (x > y) - (x < y);
}

static double
median(double *value, size_t n)
{
    qsort(value, n, sizeof *value, compare_doubles);
    return value[(n - 1) / 2];
}

/*
 * The capacities of the middle host of each pool.  Not those of the host a VM is on: what a VM does
 * would look different after every migration between hosts that differ.
 */
static struct capacity *
pool_capacities(const imig_cluster *cluster)
{
    struct capacity *pools = g_new0(struct capacity, cluster->pool_count);
    double *net = g_new(double, 3 * cluster->host_count + 1);
    double *disk = net + cluster->host_count, *link = disk + cluster->host_count;
    uint32_t *begin = g_new0(uint32_t, cluster->pool_count + 1), *fill;

    for (size_t h = 0; h < cluster->host_count; h++)
        begin[cluster->host_pool[h] + 1]++;
    for (uint32_t p = 0; p < cluster->pool_count; p++)
        begin[p + 1] += begin[p];
    fill = g_memdup2(begin, (cluster->pool_count + 1) * sizeof *fill);
    for (size_t h = 0; h < cluster->host_count; h++) {
        const imig_host_info *host = &cluster->hosts[h];
        uint32_t at = fill[cluster->host_pool[h]]++;

        net[at] = host->present & IMIG_HOST_HAS_NET ? host->net_bytes_per_s
                                                    : assumed_net_bytes_per_s;
        disk[at] = host->present & IMIG_HOST_HAS_DISK_OPS ? host->disk_ops_per_s
                                                          : assumed_disk_ops_per_s;
        link[at] = host->present & IMIG_HOST_HAS_MIGRATION ? host->migration_bytes_per_s
                                                           : net[at];
    }
    for (uint32_t p = 0; p < cluster->pool_count; p++) {
        size_t n = begin[p + 1] - begin[p];

        pools[p].net = median(net + begin[p], n);
        pools[p].disk = median(disk + begin[p], n);
        pools[p].link = median(link + begin[p], n);
    }
    g_free(net);
    g_free(begin);
    g_free(fill);
    return pools;
}

static void
measure(const imig_vm_info *vm, const struct capacity *pool, double *pressure)
{
    double demand = imig__vm_demand(vm), net = pool->net, disk = pool->disk, link = pool->link;
    const struct {
        imig_metric metric;
        double value, capacity;
    } shares[IMIG_PRESSURE_COUNT] = {
        [IMIG_PRESSURE_DISK]     = { IMIG_METRIC_DISK_OPS_PER_S, vm->disk_ops_per_s, disk },
        [IMIG_PRESSURE_DIRTY]    = { IMIG_METRIC_DIRTY_BYTES_PER_S, vm->dirty_bytes_per_s, link },
        [IMIG_PRESSURE_RECEIVE]  = { IMIG_METRIC_NET_RX_BYTES_PER_S, vm->net_rx_bytes_per_s, net },
        [IMIG_PRESSURE_TRANSMIT] = { IMIG_METRIC_NET_TX_BYTES_PER_S, vm->net_tx_bytes_per_s, net },
    };

    for (int p = 0; p < IMIG_PRESSURE_COUNT; p++)
        pressure[p] = p != IMIG_PRESSURE_CPU && vm->present & UINT64_C(1) << shares[p].metric
            ? shares[p].value / shares[p].capacity : 0;
    if (!isnan(demand))
        pressure[IMIG_PRESSURE_CPU] = demand / vm->vcpus;
}

int
imig_cluster_pressures(const imig_cluster *cluster, double *pressure, imig_error **error)
{
    struct capacity *pools;

    if (!cluster || !cluster->finished)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "the cluster is NULL or not finished");
    if (!pressure && cluster->vm_count > 0)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "pressure is NULL");
    pools = pool_capacities(cluster);
    for (size_t i = 0; i < cluster->vm_count; i++)
        measure(&cluster->vms[i], &pools[cluster->host_pool[cluster->vms[i].host]],
                pressure + i * IMIG_PRESSURE_COUNT);
    g_free(pools);
    return IMIG_OK;
}

int
imig_classify_pressures(const double *pressure, size_t n, const imig_classify_options *options,
                        int32_t *workload, imig_error **error)
{
    struct rules rules;
    int rc;

    if (n > 0 && (!pressure || !workload))
        return imig__fail(error, IMIG_ERR_ARGUMENT, "pressure or workload is NULL");
    rc = make_rules(options, n, &rules, error);
    if (rc != IMIG_OK)
        return rc;
    for (size_t i = 0; i < n * IMIG_PRESSURE_COUNT; i++)
        if (!isfinite(pressure[i]) || pressure[i] < 0)
            return imig__fail(error, IMIG_ERR_ARGUMENT, "pressure[%zu]: %g is not a number >= 0", i,
                              pressure[i]);
    for (size_t i = 0; i < n; i++)
        workload[i] = classify_one(pressure + i * IMIG_PRESSURE_COUNT, &rules, i);
    return IMIG_OK;
}

static void
classify_all(const imig_cluster *cluster, const struct rules *rules, int32_t *workload)
{
    struct capacity *pools = pool_capacities(cluster);

    for (size_t i = 0; i < cluster->vm_count; i++) {
        const imig_vm_info *vm = &cluster->vms[i];
        double pressure[IMIG_PRESSURE_COUNT];

        measure(vm, &pools[cluster->host_pool[vm->host]], pressure);
        workload[i] = vm->workload_class != IMIG_WORKLOAD_UNKNOWN
            ? vm->workload_class : classify_one(pressure, rules, i);
    }
    g_free(pools);
}

void
imig__classify_scaled(const imig_cluster *cluster, double scale, int32_t *workload)
{
    struct rules rules = { .hysteresis_ratio = default_hysteresis_ratio };

    for (int p = 0; p < IMIG_PRESSURE_COUNT; p++)
        rules.threshold[p] = scale * shows[p].threshold;
    classify_all(cluster, &rules, workload);
}

int
imig_classify(const imig_cluster *cluster, const imig_classify_options *options, int32_t *workload,
              imig_error **error)
{
    struct rules rules;
    int rc;

    if (!cluster || !cluster->finished)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "the cluster is NULL or not finished");
    if (!workload && cluster->vm_count > 0)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "workload is NULL");
    rc = make_rules(options, cluster->vm_count, &rules, error);
    if (rc != IMIG_OK)
        return rc;
    classify_all(cluster, &rules, workload);
    return IMIG_OK;
}
