/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/cluster-json-priv.h"
#include "model/cluster-store-priv.h"

#include <imig/workload.h>
#include <string.h>

static void
put_optional_text(imig__json_out *out, const char *key, const char *text)
{
    if (text)
        imig__json_put_text(out, key, text);
}

/* A name that is the id says nothing. */
static void
put_id(imig__json_out *out, const char *id, const char *name)
{
    imig__json_put_text(out, "id", id);
    if (strcmp(id, name) != 0)
        imig__json_put_text(out, "name", name);
}

static void
put_present(imig__json_out *out, const imig__number_field *fields, size_t n, void *info,
            uint64_t present)
{
    for (size_t i = 0; i < n; i++)
        if (!fields[i].bit || (present & fields[i].bit))
            imig__json_put_number(out, fields[i].key, *imig__number_in(info, &fields[i]));
}

void
imig__put_host(imig__json_out *out, imig_host_info *host)
{
    imig__json_put_object(out, NULL);
    put_id(out, host->id, host->name);
    if (strcmp(host->pool, IMIG__DEFAULT_POOL) != 0)
        imig__json_put_text(out, "pool", host->pool);
    put_present(out, imig__host_numbers, IMIG__HOST_NUMBERS, host, host->present);
    put_optional_text(out, "hypervisor", host->hypervisor);
    if (host->state != IMIG_HOST_ACTIVE)
        imig__json_put_text(out, "state", imig__host_states[host->state]);
    if (host->label_count) {
        imig__json_put_object(out, "labels");
        for (uint32_t i = 0; i < host->label_count; i++)
            imig__json_put_text(out, host->labels[2 * i], host->labels[2 * i + 1]);
        imig__json_put_end(out);
    }
    imig__json_put_end(out);
}

static void
put_noise(imig__json_out *out, const imig_vm_info *vm)
{
    if (!vm->noise_count)
        return;
    imig__json_put_object(out, "noise");
    for (uint32_t i = 0; i < vm->noise_count; i++)
        if (vm->noise[i] != 0)
            imig__json_put_number(out, imig__vm_metrics[i].key, vm->noise[i]);
    imig__json_put_end(out);
}

static void
put_disks(imig__json_out *out, const imig_vm_info *vm)
{
    if (!vm->disk_count)
        return;
    imig__json_put_array(out, "disks");
    for (uint32_t i = 0; i < vm->disk_count; i++) {
        imig__json_put_object(out, NULL);
        imig__json_put_number(out, "bytes", vm->disk_bytes[i]);
        imig__json_put_bool(out, "shared", vm->disk_shared[i]);
        imig__json_put_end(out);
    }
    imig__json_put_end(out);
}

void
imig__put_vm(imig__json_out *out, const imig_cluster *cluster, imig_vm_info *vm)
{
    imig__json_put_object(out, NULL);
    put_id(out, vm->id, vm->name);
    imig__json_put_text(out, "host", cluster->hosts[vm->host].id);
    imig__json_put_number(out, "vcpus", vm->vcpus);
    imig__json_put_number(out, "memory_bytes", vm->memory_bytes);
    put_present(out, imig__vm_metrics, IMIG_METRIC_COUNT, vm, vm->present);
    put_noise(out, vm);
    put_disks(out, vm);
    put_optional_text(out, "class", imig_workload_name(vm->workload_class));
    put_optional_text(out, "workload", vm->workload);
    if (vm->present & IMIG_VM_HAS_WEIGHT)
        imig__json_put_number(out, "weight", vm->weight);
    put_optional_text(out, "prefer", imig__prefer_names[vm->prefer]);
    if (!vm->movable)
        imig__json_put_bool(out, "movable", FALSE);
    put_optional_text(out, "blocked", vm->blocked);
    if (vm->host_count) {
        imig__json_put_array(out, "hosts");
        for (uint32_t i = 0; i < vm->host_count; i++)
            imig__json_put_text(out, NULL, cluster->hosts[vm->hosts[i]].id);
        imig__json_put_end(out);
    }
    if (vm->present & IMIG_VM_HAS_COOLDOWN)
        imig__json_put_number(out, "cooldown_until_s", vm->cooldown_until_s);
    imig__json_put_end(out);
}

static void
put_flow(imig__json_out *out, const imig_cluster *cluster, const imig__flow *flow)
{
    imig__json_put_object(out, NULL);
    imig__json_put_text(out, "a", cluster->vms[flow->a].id);
    imig__json_put_text(out, "b", cluster->vms[flow->b].id);
    imig__json_put_number(out, "bytes_per_s", flow->bytes_per_s);
    imig__json_put_end(out);
}

void
imig__put_rule(imig__json_out *out, const imig_cluster *cluster, const imig_rule_info *rule)
{
    imig__json_put_object(out, NULL);
    imig__json_put_text(out, "kind", imig__rule_kinds[rule->kind]);
    imig__json_put_array(out, "vms");
    for (size_t i = 0; i < rule->vm_count; i++)
        imig__json_put_text(out, NULL, cluster->vms[rule->vms[i]].id);
    imig__json_put_end(out);
    imig__json_put_bool(out, "hard", rule->hard);
    put_optional_text(out, "label", rule->label);
    imig__json_put_end(out);
}

static void
put_cluster(imig__json_out *out, const imig_cluster *cluster)
{
    imig__json_put_text(out, "format", IMIG__CLUSTER_FORMAT);
    imig__json_put_number(out, "time_s", cluster->time_s);
    imig__json_put_array(out, "hosts");
    for (size_t i = 0; i < cluster->host_count; i++)
        imig__put_host(out, &cluster->hosts[i]);
    imig__json_put_end(out);
    imig__json_put_array(out, "vms");
    for (size_t i = 0; i < cluster->vm_count; i++)
        imig__put_vm(out, cluster, &cluster->vms[i]);
    imig__json_put_end(out);
    if (cluster->flow_count) {
        imig__json_put_array(out, "flows");
        for (size_t i = 0; i < cluster->flow_count; i++)
            put_flow(out, cluster, &cluster->flows[i]);
        imig__json_put_end(out);
    }
    if (cluster->rule_count) {
        imig__json_put_array(out, "rules");
        for (size_t i = 0; i < cluster->rule_count; i++)
            imig__put_rule(out, cluster, &cluster->rules[i]);
        imig__json_put_end(out);
    }
}

int
imig_cluster_to_json(const imig_cluster *cluster, char **text, size_t *length, imig_error **error)
{
    imig__json_out out;
    GString *all;

    if (!cluster || !text)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%s is NULL", cluster ? "text" : "cluster");
    if (!cluster->finished)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "the cluster is not finished");
    all = g_string_new(NULL);
    imig__json_begin(&out, imig__json_to_string, all);
    put_cluster(&out, cluster);
    imig__json_end(&out);
    if (length)
        *length = all->len;
    *text = g_string_free(all, FALSE);
    return IMIG_OK;
}

const char *
imig_cluster_sha256(const imig_cluster *cluster)
{
    imig__cluster_store *store;

    if (!cluster || !cluster->finished)
        return NULL;
    store = cluster->store;
    if (g_once_init_enter(&store->sha256_ready)) {
        GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
        imig__json_out out;

        imig__json_begin(&out, imig__json_to_checksum, sum);
        put_cluster(&out, cluster);
        imig__json_end(&out);
        g_strlcpy(store->sha256, g_checksum_get_string(sum), sizeof store->sha256);
        g_checksum_free(sum);
        g_once_init_leave(&store->sha256_ready, 1);
    }
    return store->sha256;
}
