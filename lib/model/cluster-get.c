/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/cluster-store-priv.h"

#include <math.h>
#include <string.h>

double
imig_cluster_time_s(const imig_cluster *cluster)
{
    return cluster ? cluster->time_s : NAN;
}

size_t
imig_cluster_host_count(const imig_cluster *cluster)
{
    return cluster ? cluster->host_count : 0;
}

size_t
imig_cluster_vm_count(const imig_cluster *cluster)
{
    return cluster ? cluster->vm_count : 0;
}

size_t
imig_cluster_flow_count(const imig_cluster *cluster)
{
    return cluster ? cluster->flow_count : 0;
}

size_t
imig_cluster_rule_count(const imig_cluster *cluster)
{
    return cluster ? cluster->rule_count : 0;
}

static int
check_get(const imig_cluster *cluster, const char *what, size_t index, size_t count,
          const void *info, imig_error **error)
{
    if (!cluster || !info)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%s is NULL", cluster ? "info" : "cluster");
    if (index >= count)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%s %zu of %zu", what, index, count);
    return IMIG_OK;
}

int
imig_cluster_get_host(const imig_cluster *cluster, uint32_t index, imig_host_info *info,
                      imig_error **error)
{
    int code = check_get(cluster, "host", index, imig_cluster_host_count(cluster), info, error);

    return code != IMIG_OK ? code
        : imig__fill_struct(info, &cluster->hosts[index], sizeof *info, IMIG__HOST_FIRST_SIZE,
                            error);
}

int
imig_cluster_get_vm(const imig_cluster *cluster, uint32_t index, imig_vm_info *info,
                    imig_error **error)
{
    int code = check_get(cluster, "VM", index, imig_cluster_vm_count(cluster), info, error);

    return code != IMIG_OK ? code
        : imig__fill_struct(info, &cluster->vms[index], sizeof *info, IMIG__VM_FIRST_SIZE, error);
}

int
imig_cluster_get_flow(const imig_cluster *cluster, size_t index, uint32_t *a, uint32_t *b,
                      double *bytes_per_s, imig_error **error)
{
    int code = check_get(cluster, "flow", index, imig_cluster_flow_count(cluster), cluster, error);

    if (code != IMIG_OK)
        return code;
    if (a)
        *a = cluster->flows[index].a;
    if (b)
        *b = cluster->flows[index].b;
    if (bytes_per_s)
        *bytes_per_s = cluster->flows[index].bytes_per_s;
    return IMIG_OK;
}

int
imig_cluster_get_rule(const imig_cluster *cluster, size_t index, imig_rule_info *info,
                      imig_error **error)
{
    int code = check_get(cluster, "rule", index, imig_cluster_rule_count(cluster), info, error);

    return code != IMIG_OK ? code
        : imig__fill_struct(info, &cluster->rules[index], sizeof *info, IMIG__RULE_FIRST_SIZE,
                            error);
}

static uint32_t
index_of(GHashTable *table, const char *id)
{
    void *index;

    return g_hash_table_lookup_extended(table, id, NULL, &index) ? GPOINTER_TO_UINT(index)
                                                                 : IMIG_NO_INDEX;
}

uint32_t
imig_cluster_find_host(const imig_cluster *cluster, const char *id)
{
    return cluster && id ? index_of(cluster->store->host_ids, id) : IMIG_NO_INDEX;
}

uint32_t
imig__cluster_vm_by_id(const imig_cluster *cluster, const char *id)
{
    return index_of(cluster->store->vm_ids, id);
}

static GHashTable *
names_of(const imig_cluster *cluster)
{
    GHashTable *names = g_hash_table_new(g_str_hash, g_str_equal);

    for (size_t i = 0; i < cluster->vm_count; i++) {
        const char *name = cluster->vms[i].name;

        g_hash_table_insert(names, (void *) name, g_hash_table_contains(names, name)
                            ? GUINT_TO_POINTER(IMIG_NO_INDEX) : GSIZE_TO_POINTER(i));
    }
    return names;
}

uint32_t
imig_cluster_find_vm(const imig_cluster *cluster, const char *id)
{
    imig__cluster_store *store;
    uint32_t index;

    if (!cluster || !id)
        return IMIG_NO_INDEX;
    store = cluster->store;
    index = index_of(store->vm_ids, id);
    if (index != IMIG_NO_INDEX)
        return index;
    if (!cluster->finished) { /* names still come: keep nothing */
        GHashTable *names = names_of(cluster);

        index = index_of(names, id);
        g_hash_table_unref(names);
        return index;
    }
    if (g_once_init_enter(&store->names_ready)) {
        store->vm_names = names_of(cluster);
        g_once_init_leave(&store->names_ready, 1);
    }
    return index_of(store->vm_names, id);
}

double
imig__vm_demand(const imig_vm_info *vm)
{
    double wanted = vm->cpu_cores + vm->cpu_wait_cores; /* 0 where it is absent */

    if (!(vm->present & (UINT64_C(1) << IMIG_METRIC_CPU_CORES)))
        return NAN;
    return MIN(wanted, vm->vcpus);
}

double
imig_cluster_vm_demand_cores(const imig_cluster *cluster, uint32_t index)
{
    return index < imig_cluster_vm_count(cluster) ? imig__vm_demand(&cluster->vms[index]) : NAN;
}

double
imig__host_usable_memory(const imig_host_info *host)
{
    double usable = host->memory_bytes * host->memory_overcommit_ratio
                    - host->reserved_memory_bytes;

    return MAX(usable, 0);
}

const char *
imig__vm_why_fixed(const imig_vm_info *vm, double now_s)
{
    if (!vm->movable)
        return "pinned";
    if (vm->blocked)
        return "blocked";
    if ((vm->present & IMIG_VM_HAS_COOLDOWN) && now_s < vm->cooldown_until_s)
        return "cooldown";
    if (!(vm->present & (UINT64_C(1) << IMIG_METRIC_CPU_CORES)))
        return "no-measurement";
    return NULL;
}

gboolean
imig__vm_has_local_disk(const imig_vm_info *vm, double *bytes)
{
    gboolean has = FALSE;
    double sum = 0;

    for (uint32_t i = 0; i < vm->disk_count; i++)
        if (!vm->disk_shared[i]) {
            has = TRUE;
            sum += vm->disk_bytes[i];
        }
    if (bytes)
        *bytes = sum;
    return has;
}

gboolean
imig__vm_may_be_on(const imig_cluster *cluster, uint32_t vm, uint32_t host)
{
    const imig_vm_info *info = &cluster->vms[vm];
    size_t low = 0, high = info->host_count; /* the allowed hosts ascend */

    if (cluster->host_pool[host] != cluster->host_pool[info->host])
        return FALSE;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (info->hosts[middle] == host)
            return TRUE;
        if (info->hosts[middle] < host)
            low = middle + 1;
        else
            high = middle;
    }
    return info->host_count == 0;
}

void
imig__append_name(GString *text, const char *separator, const char *name)
{
    enum { MOST = 60 };
    const char *end = g_utf8_strlen(name, -1) > MOST ? g_utf8_offset_to_pointer(name, MOST) : NULL;

    g_string_append(text, separator);
    g_string_append_len(text, name, end ? end - name : -1);
    g_string_append(text, end ? "..." : "");
}

char *
imig__rule_text(const imig_cluster *cluster, size_t rule)
{
    enum { MOST = 4 };
    const imig_rule_info *info = &cluster->rules[rule];
    GString *text = g_string_new(NULL);

    g_string_printf(text, "rules[%zu] (%s", rule,
                    info->kind == IMIG_RULE_APART ? "apart" : "together");
    if (info->label)
        imig__append_name(text, " by ", info->label);
    for (size_t i = 0; i < info->vm_count && i < MOST; i++)
        imig__append_name(text, i == 0 ? ": " : ", ", cluster->vms[info->vms[i]].name);
    if (info->vm_count > MOST)
        g_string_append_printf(text, " and %zu more", info->vm_count - MOST);
    g_string_append_c(text, ')');
    return g_string_free(text, FALSE);
}
