/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/cluster-json-priv.h"
#include "model/cluster-store-priv.h"
#include "model/workload-priv.h"

#include <imig/workload.h>
#include <string.h>

/* Keys whose value needs more than its own field have offset 0, and so are handed the whole. */
typedef imig__cluster_reader reader;

static int
find_host(imig__json_in *in, const imig__path *path, json_t *value, const reader *r,
          uint32_t *index)
{
    const char *id;

    if (imig__json_text(in, path, value, &id) != IMIG_OK)
        return IMIG_ERR_INVALID;
    *index = imig_cluster_find_host(r->cluster, id);
    return *index != IMIG_NO_INDEX ? IMIG_OK : imig__json_refuse(in, path, value, "no such host");
}

int
imig__read_vm_id(imig__json_in *in, const imig__path *path, json_t *value,
                 const imig__cluster_reader *r, uint32_t *index)
{
    const char *id;

    if (imig__json_text(in, path, value, &id) != IMIG_OK)
        return IMIG_ERR_INVALID;
    *index = imig__cluster_vm_by_id(r->cluster, id);
    return *index != IMIG_NO_INDEX ? IMIG_OK : imig__json_refuse(in, path, value, "no such VM");
}

/* ---- hosts ---- */

#define TEXT(key, field) { key, imig__json_text, offsetof(reader, field), 0, FALSE }
#define NUMBER(key, field, bit) { key, imig__json_number, offsetof(reader, field), bit, FALSE }
#define REQUIRED(key, read, field) { key, read, offsetof(reader, field), 0, TRUE }
#define SPECIAL(key, read) { key, read, 0, 0, FALSE }

int
imig__read_host(imig__json_in *in, const imig__path *path, json_t *element, void *state)
{
    reader *r = state;

    if (imig__host_read(in, path, element, TRUE, &r->host) != IMIG_OK)
        return IMIG_ERR_INVALID;
    return imig_cluster_add_host(r->cluster, &r->host.info, imig__json_error(in));
}

/* ---- VMs ---- */

static int
read_vm_host(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    reader *r = field;

    return find_host(in, path, value, r, &r->vm.host);
}

#define NOISE(metric, key) { key, imig__json_number, (metric) * sizeof(double), 0, FALSE }

static const imig__json_key noise_keys[IMIG_METRIC_COUNT] = {
    NOISE(IMIG_METRIC_CPU_CORES, "cpu_cores"),
    NOISE(IMIG_METRIC_CPU_WAIT_CORES, "cpu_wait_cores"),
    NOISE(IMIG_METRIC_MEMORY_USED_BYTES, "memory_used_bytes"),
    NOISE(IMIG_METRIC_MEMORY_NONZERO_BYTES, "memory_nonzero_bytes"),
    NOISE(IMIG_METRIC_MEMORY_POPULATED_BYTES, "memory_populated_bytes"),
    NOISE(IMIG_METRIC_DISK_OPS_PER_S, "disk_ops_per_s"),
    NOISE(IMIG_METRIC_DISK_READ_BYTES_PER_S, "disk_read_bytes_per_s"),
    NOISE(IMIG_METRIC_DISK_WRITE_BYTES_PER_S, "disk_write_bytes_per_s"),
    NOISE(IMIG_METRIC_NET_RX_BYTES_PER_S, "net_rx_bytes_per_s"),
    NOISE(IMIG_METRIC_NET_TX_BYTES_PER_S, "net_tx_bytes_per_s"),
    NOISE(IMIG_METRIC_DIRTY_BYTES_PER_S, "dirty_bytes_per_s"),
    NOISE(IMIG_METRIC_WORKING_SET_BYTES, "working_set_bytes"),
};

static int
read_noise(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    reader *r = field;

    r->vm.noise_count = IMIG_METRIC_COUNT;
    return imig__json_object(in, path, value, noise_keys, IMIG_METRIC_COUNT, r->noise, NULL);
}

struct disk {
    double bytes;
    int32_t shared;
};

static const imig__json_key disk_keys[] = {
    { "bytes", imig__json_number, offsetof(struct disk, bytes), 0, TRUE },
    { "shared", imig__json_bool, offsetof(struct disk, shared), 0, FALSE },
};

static int
read_disks(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    reader *r = field;
    json_t *element;
    size_t i;

    if (imig__json_want_array(in, path, value) != IMIG_OK)
        return IMIG_ERR_INVALID;
    json_array_foreach(value, i, element) {
        struct disk disk = { 0, 0 };

        if (imig__json_object(in, IMIG__AT(path, i), element, disk_keys, G_N_ELEMENTS(disk_keys),
                              &disk, NULL) != IMIG_OK)
            return IMIG_ERR_INVALID;
        g_array_append_val(r->disk_bytes, disk.bytes);
        g_array_append_val(r->disk_shared, disk.shared);
    }
    return IMIG_OK;
}

static int
read_class(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    reader *r = field;
    char *rule;

    r->vm.workload_class = imig_workload_from_name(json_string_value(value));
    if (r->vm.workload_class != IMIG_WORKLOAD_UNKNOWN)
        return IMIG_OK;
    rule = imig__there_are("no such class", imig__class_name);
    imig__json_refuse(in, path, value, rule);
    g_free(rule);
    return IMIG_ERR_INVALID;
}

static int
read_prefer(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    return imig__json_name(in, path, value, imig__prefer_names, IMIG_PREFER_DOWNTIME + 1,
                           "no such preference", field);
}

static int
read_allowed(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    reader *r = field;
    json_t *element;
    size_t i;

    if (imig__json_want_array(in, path, value) != IMIG_OK)
        return IMIG_ERR_INVALID;
    json_array_foreach(value, i, element) {
        uint32_t host;

        if (find_host(in, IMIG__AT(path, i), element, r, &host) != IMIG_OK)
            return IMIG_ERR_INVALID;
        g_array_append_val(r->indices, host);
    }
    r->vm.hosts = (const uint32_t *) (void *) r->indices->data; /* not NULL, even if empty */
    return IMIG_OK;
}

#define METRIC(metric, key) \
    { #key, imig__json_number, offsetof(reader, vm.key), UINT64_C(1) << (metric), FALSE }

static const imig__json_key vm_keys[] = {
    REQUIRED("id", imig__json_text, vm.id),
    TEXT("name", vm.name),
    { "host", read_vm_host, 0, 0, TRUE },
    REQUIRED("vcpus", imig__json_whole, vm.vcpus),
    REQUIRED("memory_bytes", imig__json_number, vm.memory_bytes),
    METRIC(IMIG_METRIC_CPU_CORES, cpu_cores),
    METRIC(IMIG_METRIC_CPU_WAIT_CORES, cpu_wait_cores),
    METRIC(IMIG_METRIC_MEMORY_USED_BYTES, memory_used_bytes),
    METRIC(IMIG_METRIC_MEMORY_NONZERO_BYTES, memory_nonzero_bytes),
    METRIC(IMIG_METRIC_MEMORY_POPULATED_BYTES, memory_populated_bytes),
    METRIC(IMIG_METRIC_DISK_OPS_PER_S, disk_ops_per_s),
    METRIC(IMIG_METRIC_DISK_READ_BYTES_PER_S, disk_read_bytes_per_s),
    METRIC(IMIG_METRIC_DISK_WRITE_BYTES_PER_S, disk_write_bytes_per_s),
    METRIC(IMIG_METRIC_NET_RX_BYTES_PER_S, net_rx_bytes_per_s),
    METRIC(IMIG_METRIC_NET_TX_BYTES_PER_S, net_tx_bytes_per_s),
    METRIC(IMIG_METRIC_DIRTY_BYTES_PER_S, dirty_bytes_per_s),
    METRIC(IMIG_METRIC_WORKING_SET_BYTES, working_set_bytes),
    SPECIAL("noise", read_noise),
    SPECIAL("disks", read_disks),
    SPECIAL("class", read_class),
    TEXT("workload", vm.workload),
    NUMBER("weight", vm.weight, IMIG_VM_HAS_WEIGHT),
    { "prefer", read_prefer, offsetof(reader, vm.prefer), 0, FALSE },
    { "movable", imig__json_bool, offsetof(reader, vm.movable), 0, FALSE },
    TEXT("blocked", vm.blocked),
    SPECIAL("hosts", read_allowed),
    NUMBER("cooldown_until_s", vm.cooldown_until_s, IMIG_VM_HAS_COOLDOWN),
};

int
imig__read_vm(imig__json_in *in, const imig__path *path, json_t *element, void *state)
{
    reader *r = state;

    r->vm = (imig_vm_info) IMIG_VM_INFO_INIT;
    memset(r->noise, 0, sizeof r->noise);
    g_array_set_size(r->disk_bytes, 0);
    g_array_set_size(r->disk_shared, 0);
    g_array_set_size(r->indices, 0);
    if (imig__json_object(in, path, element, vm_keys, G_N_ELEMENTS(vm_keys), r,
                          &r->vm.present) != IMIG_OK)
        return IMIG_ERR_INVALID;
    r->vm.noise = r->noise;
    r->vm.disk_bytes = (const double *) (void *) r->disk_bytes->data;
    r->vm.disk_shared = (const int32_t *) (void *) r->disk_shared->data;
    r->vm.disk_count = r->disk_bytes->len;
    r->vm.host_count = r->indices->len;
    return imig_cluster_add_vm(r->cluster, &r->vm, imig__json_error(in));
}

/* ---- flows and rules ---- */

static int
read_sender(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    reader *r = field;

    return imig__read_vm_id(in, path, value, r, &r->flow.a);
}

static int
read_receiver(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    reader *r = field;

    return imig__read_vm_id(in, path, value, r, &r->flow.b);
}

static const imig__json_key flow_keys[] = {
    { "a", read_sender, 0, 0, TRUE },
    { "b", read_receiver, 0, 0, TRUE },
    REQUIRED("bytes_per_s", imig__json_number, flow.bytes_per_s),
};

static int
read_flow(imig__json_in *in, const imig__path *path, json_t *element, void *state)
{
    reader *r = state;

    if (imig__json_object(in, path, element, flow_keys, G_N_ELEMENTS(flow_keys), r, NULL)
        != IMIG_OK)
        return IMIG_ERR_INVALID;
    return imig_cluster_add_flow(r->cluster, r->flow.a, r->flow.b, r->flow.bytes_per_s,
                                 imig__json_error(in));
}

static int
read_kind(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    return imig__json_name(in, path, value, imig__rule_kinds, IMIG_RULE_APART + 1, "no such kind",
                           field);
}

static int
read_rule_vms(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    reader *r = field;
    json_t *element;
    size_t i;

    if (imig__json_want_array(in, path, value) != IMIG_OK)
        return IMIG_ERR_INVALID;
    json_array_foreach(value, i, element) {
        uint32_t vm;

        if (imig__read_vm_id(in, IMIG__AT(path, i), element, r, &vm) != IMIG_OK)
            return IMIG_ERR_INVALID;
        g_array_append_val(r->indices, vm);
    }
    return IMIG_OK;
}

static const imig__json_key rule_keys[] = {
    { "kind", read_kind, offsetof(reader, rule.kind), 0, TRUE },
    { "vms", read_rule_vms, 0, 0, TRUE },
    { "hard", imig__json_bool, offsetof(reader, rule.hard), 0, FALSE },
    TEXT("label", rule.label),
};

int
imig__read_rule(imig__json_in *in, const imig__path *path, json_t *element, void *state)
{
    reader *r = state;

    r->rule = (imig_rule_info) IMIG_RULE_INFO_INIT;
    g_array_set_size(r->indices, 0);
    if (imig__json_object(in, path, element, rule_keys, G_N_ELEMENTS(rule_keys), r, NULL)
        != IMIG_OK)
        return IMIG_ERR_INVALID;
    r->rule.vms = (const uint32_t *) (void *) r->indices->data;
    r->rule.vm_count = r->indices->len;
    return imig_cluster_add_rule(r->cluster, &r->rule, imig__json_error(in));
}

/* ---- the document ---- */

static int
read_time(imig__json_in *in, const imig__path *path, json_t *value, void *state)
{
    reader *r = state;

    return imig__json_number(in, path, value, &r->cluster->time_s);
}

static const imig__json_member members[] = {
    { "time_s", read_time, NULL, NULL, FALSE },
    { "hosts", NULL, imig__read_host, NULL, FALSE },
    { "vms", NULL, imig__read_vm, "hosts", FALSE },
    { "flows", NULL, read_flow, "vms", FALSE },
    { "rules", NULL, imig__read_rule, "vms", FALSE },
};

void
imig__cluster_reader_init(imig__cluster_reader *r, imig_cluster *cluster)
{
    *r = (imig__cluster_reader) {
        .cluster = cluster,
        .host.labels = g_ptr_array_new(),
        .disk_bytes = g_array_sized_new(FALSE, FALSE, sizeof(double), 8),
        .disk_shared = g_array_sized_new(FALSE, FALSE, sizeof(int32_t), 8),
        .indices = g_array_sized_new(FALSE, FALSE, sizeof(uint32_t), 8),
    };
}

void
imig__cluster_reader_clear(imig__cluster_reader *r)
{
    g_ptr_array_unref(r->host.labels);
    g_array_unref(r->disk_bytes);
    g_array_unref(r->disk_shared);
    g_array_unref(r->indices);
}

int
imig_cluster_from_json(const char *text, size_t length, imig_cluster **cluster,
                       imig_error **error)
{
    imig__cluster_reader r;
    int code;

    if (!text || !cluster)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%s is NULL", text ? "cluster" : "text");
    imig__cluster_reader_init(&r, imig_cluster_new(0));
    code = imig__json_read(text, length, IMIG__CLUSTER_FORMAT, members, G_N_ELEMENTS(members), &r,
                           error);
    imig__cluster_reader_clear(&r);
    if (code == IMIG_OK)
        code = imig_cluster_finish(r.cluster, error);
    if (code == IMIG_OK)
        *cluster = r.cluster;
    else
        imig_cluster_unref(r.cluster);
    return code;
}
