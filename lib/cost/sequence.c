/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cost/interplay-priv.h"
#include "model/cluster-priv.h"

#include <imig/workload.h>
#include <math.h>

/* Size in the release that introduced the struct, for ever. */
#define OPTIONS_FIRST_SIZE IMIG__END_OF(imig_predict_options, calibration)

static int
check_options(const imig_predict_options *options, imig_error **error)
{
    const struct {
        const char *name;
        uint64_t bit;
        double value;
    } fields[] = {
        { "bandwidth_bytes_per_s", IMIG_PREDICT_HAS_BANDWIDTH, options->bandwidth_bytes_per_s },
        { "downtime_limit_s", IMIG_PREDICT_HAS_DOWNTIME_LIMIT, options->downtime_limit_s },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
        if (options->set & fields[i].bit && !(isfinite(fields[i].value) && fields[i].value > 0))
            return imig__fail(error, IMIG_ERR_ARGUMENT, "%s: %g is not a number > 0",
                              fields[i].name, fields[i].value);
    if (options->migrate_flags & ~IMIG__MIGRATE_FLAGS)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "migrate_flags: an unknown flag");
    return IMIG_OK;
}

static int
check_workload(const int32_t *workload, size_t n, imig_error **error)
{
    for (size_t i = 0; i < n; i++)
        if (workload[i] < IMIG_WORKLOAD_UNKNOWN || workload[i] >= IMIG_WORKLOAD_COUNT)
            return imig__fail(error, IMIG_ERR_ARGUMENT, "workload[%zu]: %d is no imig_workload", i,
                              workload[i]);
    return IMIG_OK;
}

static int
check_moves(const imig_cluster *cluster, const uint32_t *vm, const uint32_t *to, size_t n,
            imig_error **error)
{
    uint32_t *host = g_new(uint32_t, cluster->vm_count);
    int rc = IMIG_OK;

    for (size_t i = 0; i < cluster->vm_count; i++)
        host[i] = cluster->vms[i].host;
    for (size_t i = 0; i < n && rc == IMIG_OK; i++) {
        if (vm[i] >= cluster->vm_count)
            rc = imig__fail(error, IMIG_ERR_ARGUMENT, "vm[%zu]: there is no VM %u", i, vm[i]);
        else if (to[i] >= cluster->host_count)
            rc = imig__fail(error, IMIG_ERR_ARGUMENT, "to[%zu]: there is no host %u", i, to[i]);
        else if (host[vm[i]] == to[i])
            rc = imig__fail(error, IMIG_ERR_ARGUMENT, "to[%zu]: VM \"%s\" is there already", i,
                            cluster->vms[vm[i]].id);
        else
            host[vm[i]] = to[i];
    }
    g_free(host);
    return rc;
}

int
imig_predict_sequence(const imig_cluster *cluster, const int32_t *workload, const uint32_t *vm,
                      const uint32_t *to, size_t n, const imig_predict_options *options,
                      double *time_s, double *downtime_s, double *transferred_bytes,
                      double *slowdown_ratio, int32_t *converges, imig_error **error)
{
    imig_predict_options opt;
    int32_t *classified = NULL;
    imig__traffic *traffic;
    int rc;

    if (!cluster || !cluster->finished)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "the cluster is NULL or not finished");
    if (n > 0 && (!vm || !to))
        return imig__fail(error, IMIG_ERR_ARGUMENT, "vm or to is NULL");
    rc = imig__copy_struct(&opt, sizeof opt, options, OPTIONS_FIRST_SIZE, error);
    if (rc == IMIG_OK)
        rc = check_options(&opt, error);
    if (rc == IMIG_OK && workload)
        rc = check_workload(workload, cluster->vm_count, error);
    if (rc == IMIG_OK)
        rc = check_moves(cluster, vm, to, n, error);
    if (rc == IMIG_OK && !workload) {
        workload = classified = g_new(int32_t, cluster->vm_count + 1);
        rc = imig_classify(cluster, NULL, classified, error);
    }
    if (rc != IMIG_OK) {
        g_free(classified);
        return rc;
    }

    traffic = imig__traffic_new(cluster, workload, &opt);
    for (size_t i = 0; i < n; i++) {
        imig_cost cost = IMIG_COST_INIT;

        imig__traffic_predict(traffic, vm[i], to[i], 1, 1, &cost);
        imig__traffic_move(traffic, vm[i], to[i]);
        if (time_s)
            time_s[i] = cost.time_s;
        if (downtime_s)
            downtime_s[i] = cost.downtime_s;
        if (transferred_bytes)
            transferred_bytes[i] = cost.transferred_bytes;
        if (slowdown_ratio)
            slowdown_ratio[i] = cost.slowdown_ratio;
        if (converges)
            converges[i] = cost.converges;
    }
    imig__traffic_free(traffic);
    g_free(classified);
    return IMIG_OK;
}
