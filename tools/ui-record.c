/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ui.h"

#include <math.h>
#include <stdio.h>

struct ui_recorder {
    imig_store *store;
    const imig_calibration *calibration;
    const imig_plan *plan;
    const imig_cluster *cluster;
    const imig_execute_options *options;
    int32_t *classes;  /* [vm_count] */
    ui_load *loads;    /* [host_count] as they are after the steps so far */
    double *dirty;     /* [vm_count] bytes/s, with as much CPU as the VM wants */
    double *dirtying;  /* [host_count] dirty rates of its VMs, each as a share of its network */
    uint32_t *on;      /* [vm_count] host of each VM, likewise */
    imig_record *records; /* [steps] what was known when each began */
    int64_t *ids;      /* [steps] 0: not written yet */
    int32_t *written;  /* [steps] outcome that is written */
    char *run;
    double began_s;
    gboolean knows_dirty; /* of some VM at least */
    gboolean failed;
};

static void
fail_once(ui_recorder *r, imig_error *error)
{
    if (!r->failed)
        fprintf(stderr, "imig: warning: the history of this run is not complete: %s\n",
                imig_error_message(error));
    r->failed = TRUE;
    imig_error_free(error);
}

static gboolean
has(const imig_vm_info *vm, imig_metric metric)
{
    return (vm->present & UINT64_C(1) << metric) != 0;
}

static double
net_of(const imig_host_info *host)
{
    return host->present & IMIG_HOST_HAS_NET ? host->net_bytes_per_s : 1.25e8;
}

static double
dirtying_of(const ui_recorder *r, uint32_t vm, const imig_host_info *host)
{
    return fmin(r->dirty[vm] / net_of(host), 1);
}

/* Of the CPU that the VMs of a host want, what they get. */
static double
cpu_share(const ui_recorder *r, uint32_t host_index, const imig_host_info *host)
{
    double wanted = r->loads[host_index].cpu_cores;

    return wanted > host->cpu_cores ? host->cpu_cores / wanted : 1;
}

/* Who is short of CPU dirties less than he would, as the cost model has it. */
static void
read_vms(ui_recorder *r)
{
    size_t count = imig_cluster_vm_count(r->cluster);

    r->on = g_new(uint32_t, count + 1);
    r->dirty = g_new0(double, count + 1);
    r->dirtying = g_new0(double, imig_cluster_host_count(r->cluster) + 1);
    for (uint32_t i = 0; i < count; i++) {
        imig_vm_info vm = IMIG_VM_INFO_INIT;
        imig_host_info host = IMIG_HOST_INFO_INIT;

        imig_cluster_get_vm(r->cluster, i, &vm, NULL);
        imig_cluster_get_host(r->cluster, vm.host, &host, NULL);
        r->on[i] = vm.host;
        if (!has(&vm, IMIG_METRIC_DIRTY_BYTES_PER_S))
            continue;
        r->knows_dirty = TRUE;
        r->dirty[i] = vm.dirty_bytes_per_s / cpu_share(r, vm.host, &host);
        r->dirtying[vm.host] += dirtying_of(r, i, &host);
    }
}

ui_recorder *
ui_recorder_new(const ui_common *common, const imig_plan *plan, const imig_cluster *cluster,
                const imig_execute_options *options)
{
    ui_recorder *r;
    size_t steps = imig_plan_step_count(plan);

    if (!common->store || !cluster || steps == 0)
        return NULL;
    r = g_new0(ui_recorder, 1);
    r->store = common->store;
    r->calibration = common->calibration;
    r->plan = plan;
    r->cluster = cluster;
    r->options = options;
    r->classes = ui_classes(cluster);
    r->loads = ui_loads(cluster, r->classes);
    read_vms(r);
    r->records = g_new0(imig_record, steps);
    r->ids = g_new0(int64_t, steps);
    r->written = g_new0(int32_t, steps);
    r->run = g_uuid_string_random();
    r->began_s = (double) g_get_real_time() / G_USEC_PER_SEC;
    return r;
}

/* Of a link, what VMs that take so much leave: as the cost model has it. */
static double
link_left(const imig_host_info *host, double taken)
{
    if (host->present & IMIG_HOST_HAS_MIGRATION)
        return host->migration_bytes_per_s;
    return fmax(net_of(host) - taken, 0.1 * net_of(host));
}

static void
describe_vm(const imig_vm_info *vm, imig_record *record)
{
    const struct {
        imig_metric metric;
        double value, *field;
        uint64_t bit;
    } known[] = {
        { IMIG_METRIC_DIRTY_BYTES_PER_S, vm->dirty_bytes_per_s, &record->dirty_bytes_per_s,
          IMIG_RECORD_HAS_DIRTY },
        { IMIG_METRIC_WORKING_SET_BYTES, vm->working_set_bytes, &record->working_set_bytes,
          IMIG_RECORD_HAS_WORKING_SET },
        { IMIG_METRIC_MEMORY_NONZERO_BYTES, vm->memory_nonzero_bytes,
          &record->memory_nonzero_bytes, IMIG_RECORD_HAS_NONZERO },
        { IMIG_METRIC_MEMORY_POPULATED_BYTES, vm->memory_populated_bytes,
          &record->memory_populated_bytes, IMIG_RECORD_HAS_POPULATED },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
        if (has(vm, known[i].metric)) {
            *known[i].field = known[i].value;
            record->present |= known[i].bit;
        }
    record->memory_bytes = vm->memory_bytes;
    for (uint32_t i = 0; i < vm->disk_count; i++)
        if (!vm->disk_shared[i])
            record->disk_bytes += vm->disk_bytes[i];
}

/* Where the others' dirty pages were logged and there was no time for those of this VM, whatever
   else it does says little of its class. */
static int32_t
class_of(const ui_recorder *r, uint32_t index, const imig_vm_info *vm)
{
    return r->knows_dirty && !has(vm, IMIG_METRIC_DIRTY_BYTES_PER_S) ? IMIG_WORKLOAD_UNKNOWN
                                                                    : r->classes[index];
}

/* Everything that was known before. */
static gboolean
describe(const ui_recorder *r, const imig_step_report *report, imig_record *record)
{
    uint32_t vm_index = imig_cluster_find_vm(r->cluster, report->vm);
    uint32_t from_index = imig_cluster_find_host(r->cluster, report->from);
    uint32_t to_index = imig_cluster_find_host(r->cluster, report->to);
    imig_vm_info vm = IMIG_VM_INFO_INIT;
    imig_host_info from = IMIG_HOST_INFO_INIT, to = IMIG_HOST_INFO_INIT;
    imig_constants constants = IMIG_CONSTANTS_INIT;
    const ui_load *source, *destination;
    double share;

    if (vm_index == IMIG_NO_INDEX || from_index == IMIG_NO_INDEX || to_index == IMIG_NO_INDEX)
        return FALSE;
    imig_cluster_get_vm(r->cluster, vm_index, &vm, NULL);
    imig_cluster_get_host(r->cluster, from_index, &from, NULL);
    imig_cluster_get_host(r->cluster, to_index, &to, NULL);
    source = &r->loads[from_index];
    destination = &r->loads[to_index];
    *record = (imig_record) IMIG_RECORD_INIT;
    record->run = r->run;
    record->vm = vm.id;
    record->vm_name = vm.name;
    record->from = from.id;
    record->to = to.id;
    record->hypervisor = from.hypervisor;
    record->workload_class = class_of(r, vm_index, &vm);
    describe_vm(&vm, record);
    share = cpu_share(r, from_index, &from);
    record->dirty_bytes_per_s = fmax(record->dirty_bytes_per_s, share * r->dirty[vm_index]);
    if (r->options->flags & IMIG_MIGRATE_UNSAFE && !(r->options->flags & IMIG_MIGRATE_COPY_DISKS))
        record->disk_bytes = 0;
    record->from_link_bytes_per_s = link_left(&from, source->net_tx_bytes_per_s);
    record->to_link_bytes_per_s = link_left(&to, destination->net_rx_bytes_per_s);
    record->bandwidth_bytes_per_s = fmin(record->from_link_bytes_per_s,
                                         record->to_link_bytes_per_s);
    if (r->options->set & IMIG_EXECUTE_HAS_BANDWIDTH)
        record->bandwidth_bytes_per_s = fmin(record->bandwidth_bytes_per_s,
                                             r->options->bandwidth_bytes_per_s);
    if (r->options->set & IMIG_EXECUTE_HAS_DOWNTIME_LIMIT) {
        record->downtime_limit_s = r->options->downtime_limit_s;
        record->present |= IMIG_RECORD_HAS_DOWNTIME_LIMIT;
    }
    record->from_cpu_ratio = source->cpu_cores / from.cpu_cores;
    record->from_dirty_ratio = share * fmax(0, r->dirtying[from_index]
                                               - dirtying_of(r, vm_index, &from));
    if (imig_calibration_find(r->calibration, from.hypervisor, from.id, to.id, &constants, NULL)
            == IMIG_OK)
        record->learned_from = constants.migrations;
    record->start_s = r->began_s + report->start_s;
    record->present |= IMIG_RECORD_HAS_START | IMIG_RECORD_HAS_FROM_LINK | IMIG_RECORD_HAS_TO_LINK;
    if (ui_is_predicted(report->predicted_s)) {
        record->predicted_s = report->predicted_s;
        record->predicted_downtime_s = report->predicted_downtime_s;
        record->predicted_bytes = report->predicted_bytes;
        record->present |= IMIG_RECORD_HAS_PREDICTED;
    }
    return TRUE;
}

static int32_t
outcome_of(int32_t state)
{
    switch (state) {
    case IMIG_STEP_DONE: return IMIG_OUTCOME_DONE;
    case IMIG_STEP_FAILED: return IMIG_OUTCOME_FAILED;
    case IMIG_STEP_CANCELLED: return IMIG_OUTCOME_CANCELLED;
    default: return IMIG_OUTCOME_UNFINISHED;
    }
}

/* Everything that was measured after. */
static void
measure(const imig_step_report *report, imig_record *record)
{
    record->outcome = outcome_of(report->state);
    record->message = report->message[0] ? report->message : NULL;
    if (report->state != IMIG_STEP_DONE || report->present == 0)
        return;
    record->duration_s = report->measured_s;
    record->present |= IMIG_RECORD_HAS_DURATION;
    record->rounds = report->rounds;
    /* By the hypervisor's clock, and the other by ours: where they contradict, it is not known. */
    if (report->present & IMIG_JOB_HAS_DOWNTIME
        && report->measured_downtime_s <= report->measured_s) {
        record->downtime_s = report->measured_downtime_s;
        record->present |= IMIG_RECORD_HAS_DOWNTIME;
    }
    if (report->present & IMIG_JOB_HAS_TRANSFERRED) {
        record->transferred_bytes = report->measured_bytes;
        record->present |= IMIG_RECORD_HAS_TRANSFERRED;
    }
}

static void
add_load(ui_recorder *r, uint32_t index, const imig_vm_info *vm, uint32_t host_index, double sign)
{
    double demand = imig_cluster_vm_demand_cores(r->cluster, index);
    imig_host_info host = IMIG_HOST_INFO_INIT;
    ui_load *load = &r->loads[host_index];

    imig_cluster_get_host(r->cluster, host_index, &host, NULL);
    r->dirtying[host_index] += sign * dirtying_of(r, index, &host);
    if (isfinite(demand))
        load->cpu_cores += sign * demand;
    if (has(vm, IMIG_METRIC_NET_RX_BYTES_PER_S))
        load->net_rx_bytes_per_s += sign * vm->net_rx_bytes_per_s;
    if (has(vm, IMIG_METRIC_NET_TX_BYTES_PER_S))
        load->net_tx_bytes_per_s += sign * vm->net_tx_bytes_per_s;
}

/* Those that begin later find the hosts without and with this VM. */
static void
move_vm(ui_recorder *r, const imig_step_report *report)
{
    uint32_t index = imig_cluster_find_vm(r->cluster, report->vm);
    uint32_t to = imig_cluster_find_host(r->cluster, report->to);
    imig_vm_info vm = IMIG_VM_INFO_INIT;

    if (index == IMIG_NO_INDEX || to == IMIG_NO_INDEX || r->on[index] == to)
        return;
    imig_cluster_get_vm(r->cluster, index, &vm, NULL);
    add_load(r, index, &vm, r->on[index], -1);
    add_load(r, index, &vm, to, 1);
    r->on[index] = to;
}

/* The record is there before its migration can have ended, and is filled when it has. */
static void
write_step(ui_recorder *r, const imig_step_report *report)
{
    int32_t outcome = outcome_of(report->state);
    g_autoptr(imig_records) one = NULL;
    imig_error *error = NULL;
    imig_record record, *known = &r->records[report->step];
    int code;

    if (report->attempts == 0
        || (r->ids[report->step] != 0 && outcome == r->written[report->step]))
        return;
    if (known->size == 0 && !describe(r, report, known))
        return;
    record = *known;
    measure(report, &record);
    if (outcome == IMIG_OUTCOME_DONE)
        move_vm(r, report);
    if (r->ids[report->step] != 0) {
        code = imig_store_replace(r->store, r->ids[report->step], &record, &error);
    } else {
        one = imig_records_new();
        code = imig_records_add(one, &record, &error);
        if (code == IMIG_OK)
            code = imig_store_add(r->store, one, &r->ids[report->step], &error);
    }
    if (code == IMIG_OK)
        r->written[report->step] = outcome;
    else
        fail_once(r, error);
}

void
ui_recorder_event(ui_recorder *r, const imig_step_report *report)
{
    if (r)
        write_step(r, report);
}

void
ui_recorder_end(ui_recorder *r, const imig_run *run)
{
    if (!r)
        return;
    for (size_t i = 0; run && i < imig_plan_step_count(r->plan); i++) {
        imig_step_report report = IMIG_STEP_REPORT_INIT;

        imig_run_get_step(run, i, &report, NULL);
        write_step(r, &report);
    }
    g_free(r->classes);
    g_free(r->loads);
    g_free(r->dirty);
    g_free(r->dirtying);
    g_free(r->on);
    g_free(r->records);
    g_free(r->ids);
    g_free(r->written);
    g_free(r->run);
    g_free(r);
}

void
ui_record_observation(const ui_common *common, const imig_cluster *cluster)
{
    g_autofree int32_t *classes = NULL;
    imig_error *error = NULL;

    if (!common->store)
        return;
    classes = ui_classes(cluster);
    if (imig_store_observe(common->store, cluster, classes,
                           (double) g_get_real_time() / G_USEC_PER_SEC, &error) == IMIG_OK)
        return;
    fprintf(stderr, "imig: warning: what VMs got done is not written down: %s\n",
            imig_error_message(error));
    imig_error_free(error);
}
