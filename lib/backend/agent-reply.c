/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/agent-json-priv.h"

#include <string.h>

static const char *const vm_states[] = { "absent", "running", "paused", "moving", "stopped" };
static const char *const job_states[] = { "running", "finishing", "done", "failed", "cancelled" };

/* ---- tables: what is read by one is written by the same ---- */

#define COUNTER(field, bit) \
    { #field, imig__json_number, offsetof(imig_vm_counters, field), bit, FALSE }

static const imig__json_key counter_keys[] = {
    { "time_s", imig__json_number, offsetof(imig_vm_counters, time_s), 0, TRUE },
    COUNTER(cpu_s, IMIG_COUNTER_HAS_CPU),
    COUNTER(cpu_wait_s, IMIG_COUNTER_HAS_CPU_WAIT),
    COUNTER(disk_ops, IMIG_COUNTER_HAS_DISK_OPS),
    COUNTER(disk_read_bytes, IMIG_COUNTER_HAS_DISK_READ),
    COUNTER(disk_write_bytes, IMIG_COUNTER_HAS_DISK_WRITE),
    COUNTER(net_rx_bytes, IMIG_COUNTER_HAS_NET_RX),
    COUNTER(net_tx_bytes, IMIG_COUNTER_HAS_NET_TX),
};

static int
read_vm_state(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    return imig__json_name(in, path, value, vm_states, G_N_ELEMENTS(vm_states), "no such state",
                           field);
}

static int
read_job_state(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    return imig__json_name(in, path, value, job_states, G_N_ELEMENTS(job_states), "no such state",
                           field);
}

static int
copy_text(imig__json_in *in, const imig__path *path, json_t *value, char *to, size_t size)
{
    const char *text;

    if (imig__json_text(in, path, value, &text) != IMIG_OK)
        return IMIG_ERR_INVALID;
    if (g_strlcpy(to, text, size) >= size)
        return imig__json_refuse(in, path, value, "is too long");
    return IMIG_OK;
}

static int
read_location_host(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    return copy_text(in, path, value, field, sizeof((imig_location *) NULL)->host);
}

static int
read_job_message(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    return copy_text(in, path, value, field, sizeof((imig_job *) NULL)->message);
}

#define REPORT(field, bit) \
    { #field, imig__json_number, offsetof(imig_job, field), bit, FALSE }

static const imig__json_key report_keys[] = {
    { "state", read_job_state, offsetof(imig_job, state), 0, TRUE },
    { "started_s", imig__json_number, offsetof(imig_job, started_s), 0, TRUE },
    { "ended_s", imig__json_number, offsetof(imig_job, ended_s), 0, TRUE },
    REPORT(downtime_s, IMIG_JOB_HAS_DOWNTIME),
    REPORT(transferred_bytes, IMIG_JOB_HAS_TRANSFERRED),
    REPORT(remaining_bytes, IMIG_JOB_HAS_REMAINING),
    REPORT(dirty_bytes_per_s, IMIG_JOB_HAS_DIRTY),
    { "rounds", imig__json_whole, offsetof(imig_job, rounds), IMIG_JOB_HAS_ROUNDS, FALSE },
    { "error", imig__agent_read_code, offsetof(imig_job, error_code), 0, FALSE },
    { "backend_code", imig__agent_read_backend_code, offsetof(imig_job, backend_code), 0, FALSE },
    { "message", read_job_message, offsetof(imig_job, message), 0, FALSE },
};

static const imig__json_key location_keys[] = {
    { "state", read_vm_state, offsetof(imig_location, state), 0, TRUE },
    { "host", read_location_host, offsetof(imig_location, host), 0, FALSE },
};

static const imig__json_key point_keys[] = {
    { "elapsed_s", imig__json_number, offsetof(imig_dirty_point, elapsed_s), 0, TRUE },
    { "dirtied_bytes", imig__json_number, offsetof(imig_dirty_point, dirtied_bytes), 0, TRUE },
    { "grain_bytes", imig__json_number, offsetof(imig_dirty_point, grain_bytes), 0, FALSE },
    { "waiting", imig__json_whole, offsetof(imig_dirty_point, waiting), 0, FALSE },
};

static const imig__json_key migrate_keys[] = {
    { "job", imig__agent_read_job, 0, 0, TRUE },
};

/* The numbers of a struct, by the table that reads them. */
static void
put_numbers(imig__json_out *out, const imig__json_key *keys, size_t n, const void *from,
            uint64_t present)
{
    for (size_t i = 0; i < n; i++) {
        double number;

        if (keys[i].read != imig__json_number || !(keys[i].required || (present & keys[i].bit)))
            continue;
        memcpy(&number, (const char *) from + keys[i].offset, sizeof number);
        imig__json_put_number(out, keys[i].name, number);
    }
}

/* ---- writing ---- */

static void
put_report(imig__json_out *out, const imig_job *job)
{
    imig__json_put_text(out, "state", job_states[job->state]);
    put_numbers(out, report_keys, G_N_ELEMENTS(report_keys), job, job->present);
    if (job->present & IMIG_JOB_HAS_ROUNDS)
        imig__json_put_number(out, "rounds", job->rounds);
    if (job->error_code != IMIG_OK)
        imig__json_put_text(out, "error", imig_errcode_name(job->error_code));
    imig__agent_put_backend_code(out, job->backend_code);
    if (job->message[0])
        imig__agent_put_text(out, "message", job->message, sizeof job->message - 1);
}

static void
put_location(imig__json_out *out, const imig_location *location)
{
    imig__json_put_text(out, "state", vm_states[location->state]);
    if (location->host[0])
        imig__agent_put_text(out, "host", location->host, sizeof location->host - 1);
}

/* What counts pages says nothing of samples, which older programs would not understand. */
static void
put_point(imig__json_out *out, const imig_dirty_point *point)
{
    put_numbers(out, point_keys, G_N_ELEMENTS(point_keys), point, 0);
    if (point->grain_bytes > 0)
        imig__json_put_number(out, "grain_bytes", point->grain_bytes);
    if (point->waiting > 0)
        imig__json_put_number(out, "waiting", point->waiting);
}

static void
put_ok(imig__json_out *out, int32_t op, const imig__agent_reply *reply)
{
    imig__json_put_object(out, "ok");
    switch (op) {
    case IMIG__AGENT_LOCATE:
        put_location(out, &reply->location);
        break;
    case IMIG__AGENT_DIRTY_READ:
        put_point(out, &reply->point);
        break;
    case IMIG__AGENT_MIGRATE:
        imig__agent_put_job(out, reply->job);
        break;
    case IMIG__AGENT_POLL:
    case IMIG__AGENT_RESULT:
        put_report(out, &reply->report);
        break;
    default:
        break;
    }
    imig__json_put_end(out);
}

static void
put_counters(imig__json_out *out, const imig_sample *sample)
{
    imig__json_put_array(out, "counters");
    for (size_t i = 0; i < sample->cluster->vm_count; i++) {
        const imig_vm_counters *counters = &sample->counters[i];

        imig__json_put_object(out, NULL);
        put_numbers(out, counter_keys, G_N_ELEMENTS(counter_keys), counters, counters->present);
        imig__json_put_end(out);
    }
    imig__json_put_end(out);
}

static void
put_flows(imig__json_out *out, const imig_cluster *cluster)
{
    imig__json_put_array(out, "flows");
    for (size_t i = 0; i < cluster->flow_count; i++) {
        const imig__flow *flow = &cluster->flows[i];

        imig__json_put_object(out, NULL);
        imig__json_put_text(out, "a", cluster->vms[flow->a].id);
        imig__json_put_text(out, "b", cluster->vms[flow->b].id);
        imig__json_put_number(out, "bytes", flow->bytes_per_s); /* a counter, in a sample */
        imig__json_put_end(out);
    }
    imig__json_put_end(out);
}

/* Beside `ok`, where both ends can deal with one element at a time. */
static void
put_sample(imig__json_out *out, const imig_sample *sample)
{
    const imig_cluster *cluster = sample->cluster;

    imig__json_put_array(out, "hosts");
    for (size_t i = 0; i < cluster->host_count; i++)
        imig__put_host(out, &cluster->hosts[i]);
    imig__json_put_end(out);
    imig__json_put_array(out, "vms");
    for (size_t i = 0; i < cluster->vm_count; i++)
        imig__put_vm(out, cluster, &cluster->vms[i]);
    imig__json_put_end(out);
    put_counters(out, sample);
    put_flows(out, cluster);
    imig__json_put_array(out, "rules");
    for (size_t i = 0; i < cluster->rule_count; i++)
        imig__put_rule(out, cluster, &cluster->rules[i]);
    imig__json_put_end(out);
}

void
imig__agent_put_reply(GString *line, int32_t op, const imig__agent_reply *reply)
{
    imig__json_out out;

    imig__json_begin_line(&out, imig__json_to_string, line);
    imig__json_put_number(&out, "id", reply->id);
    imig__json_put_number(&out, "clock_s", reply->clock_s);
    if (reply->failure.code != IMIG_OK) {
        imig__agent_put_failure(&out, &reply->failure);
    } else {
        put_ok(&out, op, reply);
        if (op == IMIG__AGENT_SAMPLE)
            put_sample(&out, reply->sample);
    }
    imig__json_end(&out);
}

/* ---- reading ---- */

typedef struct reply_reader {
    imig__cluster_reader cluster; /* first: the elements of a sample are read into it */
    GArray *counters;             /* imig_vm_counters */
    imig__agent_reply *reply;
    int32_t op;
    int parts;                    /* of ok and error */
} reply_reader;

static int
read_id(imig__json_in *in, const imig__path *path, json_t *value, void *state)
{
    const reply_reader *r = state;

    return imig__json_whole(in, path, value, &r->reply->id);
}

static int
read_time(imig__json_in *in, const imig__path *path, json_t *value, void *state)
{
    const reply_reader *r = state;

    return imig__json_number(in, path, value, &r->reply->clock_s);
}

static int
read_failure(imig__json_in *in, const imig__path *path, json_t *value, void *state)
{
    reply_reader *r = state;

    r->parts++;
    return imig__agent_read_failure(in, path, value, &r->reply->failure);
}

static int
read_ok(imig__json_in *in, const imig__path *path, json_t *value, void *state)
{
    reply_reader *r = state;
    imig__agent_reply *reply = r->reply;

    r->parts++;
    switch (r->op) {
    case IMIG__AGENT_LOCATE:
        return imig__json_object(in, path, value, location_keys, G_N_ELEMENTS(location_keys),
                                 &reply->location, NULL);
    case IMIG__AGENT_DIRTY_READ:
        return imig__json_object(in, path, value, point_keys, G_N_ELEMENTS(point_keys),
                                 &reply->point, NULL);
    case IMIG__AGENT_MIGRATE:
        return imig__json_object(in, path, value, migrate_keys, G_N_ELEMENTS(migrate_keys),
                                 &reply->job, NULL);
    case IMIG__AGENT_POLL:
    case IMIG__AGENT_RESULT:
        return imig__json_object(in, path, value, report_keys, G_N_ELEMENTS(report_keys),
                                 &reply->report, &reply->report.present);
    default:
        return imig__json_object(in, path, value, NULL, 0, reply, NULL);
    }
}

static int
read_counters(imig__json_in *in, const imig__path *path, json_t *element, void *state)
{
    reply_reader *r = state;
    imig_vm_counters counters = IMIG_VM_COUNTERS_INIT;
    int code = imig__json_object(in, path, element, counter_keys, G_N_ELEMENTS(counter_keys),
                                 &counters, &counters.present);

    if (code == IMIG_OK)
        g_array_append_val(r->counters, counters);
    return code;
}

static int
read_flow_end(imig__json_in *in, const imig__path *path, json_t *value, reply_reader *r,
              uint32_t *index)
{
    return imig__read_vm_id(in, path, value, &r->cluster, index);
}

static int
read_sender(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    reply_reader *r = field;

    return read_flow_end(in, path, value, r, &r->cluster.flow.a);
}

static int
read_receiver(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    reply_reader *r = field;

    return read_flow_end(in, path, value, r, &r->cluster.flow.b);
}

static const imig__json_key flow_keys[] = {
    { "a", read_sender, 0, 0, TRUE },
    { "b", read_receiver, 0, 0, TRUE },
    { "bytes", imig__json_number, offsetof(reply_reader, cluster.flow.bytes_per_s), 0, TRUE },
};

static int
read_flow(imig__json_in *in, const imig__path *path, json_t *element, void *state)
{
    reply_reader *r = state;
    imig__flow *flow = &r->cluster.flow;
    int code = imig__json_object(in, path, element, flow_keys, G_N_ELEMENTS(flow_keys), r, NULL);

    if (code != IMIG_OK)
        return code;
    return imig_cluster_add_flow(r->cluster.cluster, flow->a, flow->b, flow->bytes_per_s,
                                 imig__json_error(in));
}

/* The first four are those of every reply. */
enum { PLAIN = 4 };

static const imig__json_member members[] = {
    { "id", read_id, NULL, NULL, TRUE },
    { "clock_s", read_time, NULL, NULL, TRUE },
    { "ok", read_ok, NULL, NULL, FALSE },
    { "error", read_failure, NULL, NULL, FALSE },
    { "hosts", NULL, imig__read_host, NULL, FALSE },
    { "vms", NULL, imig__read_vm, "hosts", FALSE },
    { "counters", NULL, read_counters, NULL, FALSE },
    { "flows", NULL, read_flow, "vms", FALSE },
    { "rules", NULL, imig__read_rule, "vms", FALSE },
};

/* What has been read goes where any backend's sample goes, and is checked there. */
static int
fill_sample(const reply_reader *r, imig_sample *into, imig_error **error)
{
    const imig_cluster *cluster = r->cluster.cluster;
    int code = IMIG_OK;

    if (r->counters->len != cluster->vm_count)
        return imig__fail(error, IMIG_ERR_INVALID, "%u counters for %zu VMs", r->counters->len,
                          cluster->vm_count);
    for (size_t i = 0; i < cluster->host_count && code == IMIG_OK; i++)
        code = imig_sample_add_host(into, &cluster->hosts[i], error);
    for (guint i = 0; i < cluster->vm_count && code == IMIG_OK; i++)
        code = imig_sample_add_vm(into, &cluster->vms[i],
                                  &g_array_index(r->counters, imig_vm_counters, i), error);
    for (size_t i = 0; i < cluster->flow_count && code == IMIG_OK; i++)
        code = imig_sample_add_flow(into, cluster->flows[i].a, cluster->flows[i].b,
                                    cluster->flows[i].bytes_per_s, error);
    for (size_t i = 0; i < cluster->rule_count && code == IMIG_OK; i++)
        code = imig_sample_add_rule(into, &cluster->rules[i], error);
    return code;
}

int
imig__agent_read_reply(const char *line, size_t length, int32_t op, imig__agent_reply *reply,
                       imig_error **error)
{
    gboolean is_sample = op == IMIG__AGENT_SAMPLE;
    reply_reader r = { .reply = reply, .op = op };
    int code;

    reply->location = (imig_location) { .size = sizeof reply->location };
    reply->point = (imig_dirty_point) { .size = sizeof reply->point };
    reply->report = (imig_job) { .size = sizeof reply->report };
    imig__cluster_reader_init(&r.cluster, imig_cluster_new(0));
    r.counters = g_array_new(FALSE, FALSE, sizeof(imig_vm_counters));
    code = imig__json_read(line, length, NULL, members, is_sample ? G_N_ELEMENTS(members) : PLAIN,
                           &r, error);
    if (code == IMIG_OK && r.parts != 1)
        code = imig__fail(error, IMIG_ERR_INVALID, "either ok or error must be there");
    if (code == IMIG_OK && is_sample && reply->failure.code == IMIG_OK)
        code = fill_sample(&r, reply->sample, error);
    g_array_unref(r.counters);
    imig_cluster_unref(r.cluster.cluster);
    imig__cluster_reader_clear(&r.cluster);
    return code;
}
