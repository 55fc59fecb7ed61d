/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cost/traffic-priv.h"
#include "execute/run-priv.h"
#include "model/cluster-priv.h"

#include <imig/recorder.h>
#include <imig/workload.h>
#include <math.h>

#define REPORT_FIRST_SIZE IMIG__END_OF(imig_step_report, backend_code)

/* What of a step is in the store. */
typedef struct entry {
    imig_record record; /* what was known when it began; size 0: it has not */
    int64_t id;         /* 0: not written yet */
    int32_t outcome;    /* that is written */
} entry;

struct imig_recorder {
    imig_store *store;
    imig_cluster *cluster;
    const imig_calibration *calibration;
    imig_execute_options options;
    int32_t *classes;       /* [vm_count] */
    imig__traffic *traffic; /* with every VM where the steps so far have put it */
    GArray *entries;        /* entry, by step */
    char *run;
    double began_s;
    gboolean knows_dirty;   /* of some VM at least */
};

static gboolean
has(const imig_vm_info *vm, imig_metric metric)
{
    return (vm->present & UINT64_C(1) << metric) != 0;
}

int
imig_recorder_new(imig_store *store, const imig_cluster *cluster,
                  const imig_calibration *calibration, const imig_execute_options *options,
                  imig_recorder **recorder, imig_error **error)
{
    imig_predict_options predict = IMIG_PREDICT_OPTIONS_INIT;
    imig_execute_options known;
    imig_recorder *r;
    int code;

    if (!store || !cluster || !recorder)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "store, cluster or recorder is NULL");
    if (!cluster->finished)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "the cluster is not finished");
    code = imig__run_read_options(&known, options, error);
    if (code != IMIG_OK)
        return code;
    r = g_new0(imig_recorder, 1);
    r->store = store;
    r->cluster = imig_cluster_ref((imig_cluster *) cluster);
    r->calibration = calibration;
    r->options = known;
    r->classes = g_new(int32_t, cluster->vm_count + 1);
    code = imig_classify(cluster, NULL, r->classes, error);
    if (code != IMIG_OK) {
        imig_recorder_free(r);
        return code;
    }
    r->traffic = imig__traffic_new(cluster, r->classes, &predict);
    r->entries = g_array_new(FALSE, TRUE, sizeof(entry));
    r->run = g_uuid_string_random();
    r->began_s = (double) g_get_real_time() / G_USEC_PER_SEC;
    for (size_t i = 0; i < cluster->vm_count; i++)
        r->knows_dirty |= has(&cluster->vms[i], IMIG_METRIC_DIRTY_BYTES_PER_S);
    *recorder = r;
    return IMIG_OK;
}

/* ---- what was known before ---- */

static void
describe_vm(const imig_recorder *r, uint32_t index, imig_record *record)
{
    const imig_vm_info *vm = &r->cluster->vms[index];
    const struct {
        imig_metric metric;
        double value, *field;
        uint64_t bit;
    } known[] = {
        { IMIG_METRIC_WORKING_SET_BYTES, vm->working_set_bytes, &record->working_set_bytes,
          IMIG_RECORD_HAS_WORKING_SET },
        { IMIG_METRIC_MEMORY_NONZERO_BYTES, vm->memory_nonzero_bytes,
          &record->memory_nonzero_bytes, IMIG_RECORD_HAS_NONZERO },
        { IMIG_METRIC_MEMORY_POPULATED_BYTES, vm->memory_populated_bytes,
          &record->memory_populated_bytes, IMIG_RECORD_HAS_POPULATED },
    };

    record->vm = vm->id;
    record->vm_name = vm->name;
    record->memory_bytes = vm->memory_bytes;
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
        if (has(vm, known[i].metric)) {
            *known[i].field = known[i].value;
            record->present |= known[i].bit;
        }
    if (has(vm, IMIG_METRIC_DIRTY_BYTES_PER_S))
        record->present |= IMIG_RECORD_HAS_DIRTY;
    record->dirty_bytes_per_s = imig__traffic_dirty(r->traffic, index);
    /* Where the others' dirty pages were logged and there was no time for those of this VM,
       whatever else it does says little of its class. */
    record->workload_class = r->knows_dirty && !has(vm, IMIG_METRIC_DIRTY_BYTES_PER_S)
                                 ? IMIG_WORKLOAD_UNKNOWN : r->classes[index];
    if (r->options.flags & IMIG_MIGRATE_UNSAFE && !(r->options.flags & IMIG_MIGRATE_COPY_DISKS))
        return; /* as if all disks were shared */
    for (uint32_t i = 0; i < vm->disk_count; i++)
        if (!vm->disk_shared[i])
            record->disk_bytes += vm->disk_bytes[i];
}

static void
describe_links(const imig_recorder *r, uint32_t vm, uint32_t from_index, uint32_t to_index,
               imig_record *record)
{
    const imig__side *from = imig__traffic_side(r->traffic, from_index);
    const imig__side *to = imig__traffic_side(r->traffic, to_index);
    imig__usage own = imig__traffic_usage(r->traffic, vm);

    record->from_link_bytes_per_s = imig__side_link_left(from, from->usage.tx);
    record->to_link_bytes_per_s = imig__side_link_left(to, to->usage.rx);
    record->bandwidth_bytes_per_s = fmin(record->from_link_bytes_per_s,
                                         record->to_link_bytes_per_s);
    if (r->options.set & IMIG_EXECUTE_HAS_BANDWIDTH)
        record->bandwidth_bytes_per_s = fmin(record->bandwidth_bytes_per_s,
                                             r->options.bandwidth_bytes_per_s);
    record->from_cpu_ratio = from->usage.demand / from->cores;
    record->from_dirty_ratio = fmax(from->usage.dirty - own.dirty, 0)
                               * imig__side_cpu_share(from);
    record->present |= IMIG_RECORD_HAS_FROM_LINK | IMIG_RECORD_HAS_TO_LINK;
}

/* FALSE: it is not in the cluster. */
static gboolean
describe(const imig_recorder *r, const imig_step_report *report, imig_record *record)
{
    uint32_t vm = imig_cluster_find_vm(r->cluster, report->vm);
    uint32_t from = imig_cluster_find_host(r->cluster, report->from);
    uint32_t to = imig_cluster_find_host(r->cluster, report->to);
    imig_constants constants = IMIG_CONSTANTS_INIT;

    if (vm == IMIG_NO_INDEX || from == IMIG_NO_INDEX || to == IMIG_NO_INDEX)
        return FALSE;
    *record = (imig_record) IMIG_RECORD_INIT;
    record->run = r->run;
    record->from = r->cluster->hosts[from].id;
    record->to = r->cluster->hosts[to].id;
    record->hypervisor = r->cluster->hosts[from].hypervisor;
    describe_vm(r, vm, record);
    describe_links(r, vm, from, to, record);
    if (r->options.set & IMIG_EXECUTE_HAS_DOWNTIME_LIMIT) {
        record->downtime_limit_s = r->options.downtime_limit_s;
        record->present |= IMIG_RECORD_HAS_DOWNTIME_LIMIT;
    }
    if (imig_calibration_find(r->calibration, record->hypervisor, record->from, record->to,
                              &constants, NULL) == IMIG_OK)
        record->learned_from = constants.migrations;
    record->start_s = r->began_s + report->start_s;
    record->present |= IMIG_RECORD_HAS_START;
    if (isfinite(report->predicted_s) && report->predicted_s > 0) {
        record->predicted_s = report->predicted_s;
        record->predicted_downtime_s = report->predicted_downtime_s;
        record->predicted_bytes = report->predicted_bytes;
        record->present |= IMIG_RECORD_HAS_PREDICTED;
    }
    return TRUE;
}

/* ---- what was measured after ---- */

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

static void
measure(const imig_step_report *report, imig_record *record)
{
    record->outcome = outcome_of(report->state);
    record->message = report->message && report->message[0] ? report->message : NULL;
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

static int
write_record(const imig_recorder *r, const imig_record *record, int64_t *id, imig_error **error)
{
    imig_records *one;
    int code;

    if (*id != 0)
        return imig_store_replace(r->store, *id, record, error);
    one = imig_records_new();
    code = imig_records_add(one, record, error);
    if (code == IMIG_OK)
        code = imig_store_add(r->store, one, id, error);
    imig_records_free(one);
    return code;
}

int
imig_recorder_step(imig_recorder *r, const imig_step_report *report, imig_error **error)
{
    imig_step_report known;
    imig_record record;
    int32_t outcome;
    entry *e;
    int code;

    if (!r || !report)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "recorder or report is NULL");
    code = imig__copy_struct(&known, sizeof known, report, REPORT_FIRST_SIZE, error);
    if (code != IMIG_OK)
        return code;
    if (!known.vm || !known.from || !known.to)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "vm, from or to of the report is NULL");
    if (known.attempts == 0)
        return IMIG_OK;
    if (known.step >= r->entries->len)
        g_array_set_size(r->entries, known.step + 1);
    e = &g_array_index(r->entries, entry, known.step);
    outcome = outcome_of(known.state);
    if (e->id != 0 && outcome == e->outcome)
        return IMIG_OK;
    if (e->record.size == 0 && !describe(r, &known, &e->record))
        return IMIG_OK;
    record = e->record;
    measure(&known, &record);
    if (outcome == IMIG_OUTCOME_DONE)
        imig__traffic_move(r->traffic, imig_cluster_find_vm(r->cluster, known.vm),
                           imig_cluster_find_host(r->cluster, known.to));
    code = write_record(r, &record, &e->id, error);
    if (code == IMIG_OK)
        e->outcome = outcome;
    return code;
}

void
imig_recorder_free(imig_recorder *r)
{
    if (!r)
        return;
    imig__traffic_free(r->traffic);
    imig_cluster_unref(r->cluster);
    if (r->entries)
        g_array_unref(r->entries);
    g_free(r->classes);
    g_free(r->run);
    g_free(r);
}
