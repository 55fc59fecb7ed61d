/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/cluster-priv.h"
#include "store/store-priv.h"

#include <math.h>
#include <string.h>

static double
measured(const imig_vm_info *vm, imig_metric metric, double value)
{
    return vm->present & UINT64_C(1) << metric ? value : NAN;
}

/* What a VM of such a class is there for, in its own unit; NaN where that was not measured. */
static double
work_of(const imig_vm_info *vm, int32_t workload)
{
    switch (workload) {
    case IMIG_WORKLOAD_CPU:
    case IMIG_WORKLOAD_MEMORY_DIRTY:
        return measured(vm, IMIG_METRIC_CPU_CORES, vm->cpu_cores);
    case IMIG_WORKLOAD_DISK_IO:
        return measured(vm, IMIG_METRIC_DISK_OPS_PER_S, vm->disk_ops_per_s);
    case IMIG_WORKLOAD_NET_RECEIVE:
        return measured(vm, IMIG_METRIC_NET_RX_BYTES_PER_S, vm->net_rx_bytes_per_s);
    case IMIG_WORKLOAD_WEB_SERVER:
        return measured(vm, IMIG_METRIC_NET_TX_BYTES_PER_S, vm->net_tx_bytes_per_s);
    default:
        return NAN; /* an idle one gets nothing done that could be slowed */
    }
}

/* Above this the VMs of a host wait for its CPUs, which says nothing about who slows whom. */
static const double crowded = 0.9;

static double
demand_of(const imig_vm_info *vm)
{
    double demand = imig__vm_demand(vm);

    return isnan(demand) ? 0 : demand;
}

static int
write_all(imig_store *store, const imig_cluster *c, const int32_t *workload, double time_s,
          const double *cores, imig_error **error)
{
    sqlite3_stmt *statement;
    int rc = imig__store_prepare(store, "INSERT OR REPLACE INTO observation VALUES "
                                        "(?, ?, ?, ?, ?, ?)", &statement, error);

    for (size_t i = 0; rc == IMIG_OK && i < c->vm_count; i++) {
        const imig_vm_info *vm = &c->vms[i];
        double work = work_of(vm, workload[i]), demand = 0;
        g_autoptr(GString) beside = NULL;
        gboolean row;

        for (int32_t k = 0; k < IMIG_WORKLOAD_COUNT; k++)
            demand += cores[vm->host * IMIG_WORKLOAD_COUNT + (size_t) k];
        if (!(work > 0) || demand > crowded * c->hosts[vm->host].cpu_cores)
            continue;
        beside = g_string_new(NULL);
        for (int32_t k = 0; k < IMIG_WORKLOAD_COUNT; k++) {
            double of_class = cores[vm->host * IMIG_WORKLOAD_COUNT + (size_t) k];
            char number[G_ASCII_DTOSTR_BUF_SIZE];

            if (k == workload[i])
                of_class -= demand_of(vm);
            of_class /= c->hosts[vm->host].cpu_cores;
            if (of_class > 1e-6)
                g_string_append_printf(beside, "%s=%s ", imig_workload_name(k),
                                       g_ascii_formatd(number, sizeof number, "%.6g", of_class));
        }
        imig__store_bind_text(statement, 1, vm->id);
        imig__store_bind_number(statement, 2, time_s);
        imig__store_bind_text(statement, 3, vm->workload ? vm->workload
                                                         : imig_workload_name(workload[i]));
        imig__store_bind_text(statement, 4, imig_workload_name(workload[i]));
        imig__store_bind_number(statement, 5, work);
        imig__store_bind_text(statement, 6, beside->str);
        rc = imig__store_step(store, statement, &row, error);
        sqlite3_reset(statement);
    }
    sqlite3_finalize(statement);
    return rc;
}

int
imig_store_observe(imig_store *store, const imig_cluster *cluster, const int32_t *workload,
                   double time_s, imig_error **error)
{
    g_autofree double *cores = NULL;
    int rc;

    if (!store || !cluster || !cluster->finished || (!workload && cluster->vm_count > 0)
        || !isfinite(time_s))
        return imig__fail(error, IMIG_ERR_ARGUMENT, "store, cluster or workload is NULL, or "
                          "the cluster is not finished");
    cores = g_new0(double, cluster->host_count * IMIG_WORKLOAD_COUNT + 1);
    for (size_t i = 0; i < cluster->vm_count; i++) {
        const imig_vm_info *vm = &cluster->vms[i];

        if (workload[i] < IMIG_WORKLOAD_UNKNOWN || workload[i] >= IMIG_WORKLOAD_COUNT)
            return imig__fail(error, IMIG_ERR_ARGUMENT, "workload[%zu]: %d is no imig_workload", i,
                              workload[i]);
        if (workload[i] != IMIG_WORKLOAD_UNKNOWN)
            cores[vm->host * IMIG_WORKLOAD_COUNT + (size_t) workload[i]] += demand_of(vm);
    }
    rc = imig__store_begin(store, error);
    if (rc != IMIG_OK)
        return rc;
    return imig__store_end(store, write_all(store, cluster, workload, time_s, cores, error), error);
}

static void
read_beside(const char *text, double *beside)
{
    g_auto(GStrv) words = g_strsplit(text, " ", -1);

    for (char **word = words; *word; word++) {
        char *equals = strchr(*word, '=');
        int32_t workload;

        if (!equals)
            continue;
        *equals = '\0';
        workload = imig_workload_from_name(*word);
        if (workload != IMIG_WORKLOAD_UNKNOWN)
            beside[workload] = g_ascii_strtod(equals + 1, NULL);
    }
}

int
imig_store_observations(imig_store *store, imig_observation_fn each, void *user_data,
                        imig_error **error)
{
    sqlite3_stmt *statement;
    gboolean row;
    int rc;

    if (!store || !each)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "store or each is NULL");
    rc = imig__store_prepare(store, "SELECT vm, time_s, workload, class, work_per_s, beside "
                                    "FROM observation ORDER BY vm, time_s", &statement, error);
    if (rc != IMIG_OK)
        return rc;
    while ((rc = imig__store_step(store, statement, &row, error)) == IMIG_OK && row) {
        double beside[IMIG_WORKLOAD_COUNT] = { 0 };
        imig_observation o = {
            .size = sizeof o,
            .beside = beside,
            .beside_count = IMIG_WORKLOAD_COUNT,
            .vm = (const char *) sqlite3_column_text(statement, 0),
            .time_s = sqlite3_column_double(statement, 1),
            .workload = (const char *) sqlite3_column_text(statement, 2),
            .work_per_s = sqlite3_column_double(statement, 4),
        };

        o.workload_class = imig_workload_from_name(
            (const char *) sqlite3_column_text(statement, 3));
        read_beside((const char *) sqlite3_column_text(statement, 5), beside);
        if (o.workload_class != IMIG_WORKLOAD_UNKNOWN)
            each(&o, user_data);
    }
    sqlite3_finalize(statement);
    return rc;
}
