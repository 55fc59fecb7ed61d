/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/cluster-store-priv.h"

#include <stdlib.h>
#include <string.h>

static const uint64_t HOST_BITS = IMIG_HOST_HAS_MEMORY_OVERCOMMIT | IMIG_HOST_HAS_RESERVED_MEMORY |
    IMIG_HOST_HAS_VM_OVERHEAD | IMIG_HOST_HAS_DISK_OPS | IMIG_HOST_HAS_NET |
    IMIG_HOST_HAS_MIGRATION;
static const uint64_t VM_BITS = ((UINT64_C(1) << IMIG_METRIC_COUNT) - 1) | IMIG_VM_HAS_WEIGHT |
    IMIG_VM_HAS_COOLDOWN;

static const imig__number_field vm_numbers[] = {
    { "weight", offsetof(imig_vm_info, weight), IMIG_VM_HAS_WEIGHT, 0, 1 },
    { "cooldown_until_s", offsetof(imig_vm_info, cooldown_until_s), IMIG_VM_HAS_COOLDOWN,
      -IMIG__NUMBER_MAX, 0 },
};

static const char NO_SUCH_HOST[] = "no such host", NO_SUCH_VM[] = "no such VM",
                  COMES_TWICE[] = "must not come twice";

/* Room for one more element at the end of an array. */
static void *
grown(void *array, size_t count, size_t *room, size_t element)
{
    if (count < *room)
        return array;
    *room = MAX(2 * *room, (size_t) 16);
    return g_realloc_n(array, *room, element);
}

static int
check_open(const imig_cluster *cluster, const void *info, imig_error **error)
{
    if (!cluster || !info)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%s is NULL", cluster ? "info" : "cluster");
    if (cluster->finished)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "the cluster is finished");
    return IMIG_OK;
}

static int
check_bits(const imig__path *path, uint64_t present, uint64_t known, imig_error **error)
{
    char *where;

    if (!(present & ~known))
        return IMIG_OK;
    where = imig__path_text(path);
    imig__fail(error, IMIG_ERR_ABI, "%s.present: has a bit that is newer than this library", where);
    g_free(where);
    return IMIG_ERR_ABI;
}

/* Checks the numbers of a struct; what is absent, or as good as absent, gets its default. */
static int
check_numbers(const imig__path *path, const imig__number_field *fields, size_t n, void *info,
              uint64_t *present, imig_error **error)
{
    for (size_t i = 0; i < n; i++) {
        double *value = imig__number_in(info, &fields[i]);

        if (fields[i].bit && !(*present & fields[i].bit))
            *value = fields[i].default_value;
        else if (imig__check_number(IMIG__KEY(path, fields[i].key), *value, fields[i].low,
                                    IMIG__NUMBER_MAX, error) != IMIG_OK)
            return IMIG_ERR_INVALID;
    }
    return IMIG_OK;
}

static int
check_optional_text(const imig__path *path, const char *key, const char *text, imig_error **error)
{
    return text ? imig__check_text(IMIG__KEY(path, key), text, IMIG__TEXT_MAX, error) : IMIG_OK;
}

static int
check_id(const imig__path *path, const char *id, GHashTable *taken, imig_error **error)
{
    const imig__path *key = IMIG__KEY(path, "id");

    if (imig__check_text(key, id, IMIG__TEXT_MAX, error) != IMIG_OK)
        return IMIG_ERR_INVALID;
    return g_hash_table_contains(taken, id)
               ? imig__refuse_text(key, id, "is taken already", error) : IMIG_OK;
}

typedef struct label {
    const char *key, *value;
} label;

static int
compare_labels(const void *a, const void *b)
{
    const label *x = a, *y = b;

    return strcmp(x->key, y->key);
}

/* Sorted by key, so that the same labels are the same bytes in a document. */
static int
check_labels(const imig__path *path, const imig_host_info *info, label *sorted, imig_error **error)
{
    const imig__path *labels = IMIG__KEY(path, "labels");

    for (uint32_t i = 0; i < info->label_count; i++) {
        const char *key = info->labels[2 * i], *value = info->labels[2 * i + 1];

        if (imig__check_text(labels, key, IMIG__TEXT_MAX, error) != IMIG_OK)
            return IMIG_ERR_INVALID;
        if ((!value || *value) && imig__check_text(IMIG__KEY(labels, key), value, IMIG__TEXT_MAX,
                                                   error) != IMIG_OK)
            return IMIG_ERR_INVALID;
        sorted[i] = (label) { key, value };
    }
    qsort(sorted, info->label_count, sizeof *sorted, compare_labels);
    for (uint32_t i = 1; i < info->label_count; i++)
        if (strcmp(sorted[i - 1].key, sorted[i].key) == 0)
            return imig__refuse_text(labels, sorted[i].key, COMES_TWICE, error);
    return IMIG_OK;
}

static int
check_host(const imig_cluster *cluster, const imig__path *path, imig_host_info *host,
           label *labels, imig_error **error)
{
    if (check_bits(path, host->present, HOST_BITS, error) != IMIG_OK)
        return IMIG_ERR_ABI;
    if (host->label_count && !host->labels)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "labels is NULL");
    if (check_id(path, host->id, cluster->store->host_ids, error) != IMIG_OK ||
        check_optional_text(path, "name", host->name, error) != IMIG_OK ||
        check_optional_text(path, "pool", host->pool, error) != IMIG_OK ||
        check_optional_text(path, "hypervisor", host->hypervisor, error) != IMIG_OK ||
        check_numbers(path, imig__host_numbers, IMIG__HOST_NUMBERS, host, &host->present,
                      error) != IMIG_OK ||
        check_labels(path, host, labels, error) != IMIG_OK)
        return IMIG_ERR_INVALID;
    if (host->state < IMIG_HOST_ACTIVE || host->state > IMIG_HOST_OFFLINE)
        return imig__refuse_number(IMIG__KEY(path, "state"), host->state, "no such state", error);
    return IMIG_OK;
}

static void
keep_host(imig_cluster *cluster, imig_host_info *host, label *labels)
{
    imig__cluster_store *store = cluster->store;

    for (uint32_t i = 0; i < host->label_count; i++) {
        labels[i].key = imig__store_shared_text(store, labels[i].key);
        labels[i].value = imig__store_shared_text(store, labels[i].value);
    }
    for (size_t i = 0; i < IMIG__HOST_NUMBERS; i++) {
        const imig__number_field *field = &imig__host_numbers[i];

        /* A default that is spelled out is no other content.  A capacity has no default. */
        if (*imig__number_in(host, field) == field->default_value)
            host->present &= ~field->bit;
    }
    host->size = sizeof *host;
    host->id = imig__store_text(store, host->id);
    host->name = host->name && strcmp(host->name, host->id) != 0
                     ? imig__store_text(store, host->name) : host->id;
    host->pool = imig__store_shared_text(store, host->pool ? host->pool : IMIG__DEFAULT_POOL);
    host->hypervisor = imig__store_shared_text(store, host->hypervisor);
    host->labels = imig__store_bytes(store, labels, host->label_count * sizeof *labels);
    cluster->hosts = grown(cluster->hosts, cluster->host_count, &store->host_room, sizeof *host);
    g_hash_table_insert(store->host_ids, (void *) host->id,
                        GSIZE_TO_POINTER(cluster->host_count));
    cluster->hosts[cluster->host_count++] = *host;
}

int
imig_cluster_add_host(imig_cluster *cluster, const imig_host_info *info, imig_error **error)
{
    imig_host_info host;
    label few[8], *labels = few;
    int code = check_open(cluster, info, error);

    if (code == IMIG_OK)
        code = imig__copy_struct(&host, sizeof host, info, IMIG__HOST_FIRST_SIZE, error);
    if (code != IMIG_OK)
        return code;
    if (host.label_count > G_N_ELEMENTS(few))
        labels = g_new(label, host.label_count);
    code = check_host(cluster, IMIG__AT(IMIG__KEY(NULL, "hosts"), cluster->host_count), &host,
                      labels, error);
    if (code == IMIG_OK)
        keep_host(cluster, &host, labels);
    if (labels != few)
        g_free(labels);
    return code;
}

static int
check_noise(const imig__path *path, imig_vm_info *vm, imig_error **error)
{
    const imig__path *noise = IMIG__KEY(path, "noise");

    if (vm->noise_count > IMIG_METRIC_COUNT)
        return imig__refuse_number(noise, vm->noise_count, "more than there are metrics", error);
    for (uint32_t i = 0; i < vm->noise_count; i++)
        if (imig__check_number(IMIG__KEY(noise, imig__vm_metrics[i].key), vm->noise[i], 0,
                               IMIG__NUMBER_MAX, error) != IMIG_OK)
            return IMIG_ERR_INVALID;
    while (vm->noise_count && vm->noise[vm->noise_count - 1] == 0)
        vm->noise_count--;
    return IMIG_OK;
}

static int
check_disks(const imig__path *path, const imig_vm_info *vm, imig_error **error)
{
    const imig__path *disks = IMIG__KEY(path, "disks");

    for (uint32_t i = 0; i < vm->disk_count; i++) {
        const imig__path *disk = IMIG__AT(disks, i);

        if (imig__check_number(IMIG__KEY(disk, "bytes"), vm->disk_bytes[i], 0, IMIG__NUMBER_MAX,
                               error) != IMIG_OK)
            return IMIG_ERR_INVALID;
        if (vm->disk_shared[i] != 0 && vm->disk_shared[i] != 1)
            return imig__refuse_number(IMIG__KEY(disk, "shared"), vm->disk_shared[i],
                                       "must be 0 or 1", error);
    }
    return IMIG_OK;
}

static int
compare_indices(const void *a, const void *b)
{
    uint32_t x, y;

    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

/* Sorts, so that what comes twice stands side by side; NULL or the first such. */
static const uint32_t *
sort_and_find_twin(uint32_t *indices, size_t n)
{
    qsort(indices, n, sizeof *indices, compare_indices);
    for (size_t i = 1; i < n; i++)
        if (indices[i - 1] == indices[i])
            return &indices[i];
    return NULL;
}

static int
check_index(const imig__path *path, uint32_t index, size_t count, const char *rule,
            imig_error **error)
{
    return index < count ? IMIG_OK : imig__refuse_number(path, index, rule, error);
}

/* sorted: [host_count] the allowed hosts in ascending order. */
static int
check_allowed(const imig_cluster *cluster, const imig__path *path, const imig_vm_info *vm,
              uint32_t *sorted, imig_error **error)
{
    const imig__path *hosts = IMIG__KEY(path, "hosts");
    const uint32_t *twin;

    if (vm->hosts && vm->host_count == 0)
        return imig__refuse(hosts, NULL, "must name at least one host", error);
    for (uint32_t i = 0; i < vm->host_count; i++) {
        sorted[i] = vm->hosts[i];
        if (check_index(IMIG__AT(hosts, i), sorted[i], cluster->host_count, NO_SUCH_HOST,
                        error) != IMIG_OK)
            return IMIG_ERR_INVALID;
    }
    twin = sort_and_find_twin(sorted, vm->host_count);
    return twin ? imig__refuse_text(hosts, cluster->hosts[*twin].id, COMES_TWICE, error) : IMIG_OK;
}

static int
check_vm_choices(const imig__path *path, const imig_vm_info *vm, imig_error **error)
{
    if (vm->workload_class < IMIG_WORKLOAD_UNKNOWN || vm->workload_class >= IMIG_WORKLOAD_COUNT)
        return imig__refuse_number(IMIG__KEY(path, "class"), vm->workload_class, "no such class",
                                   error);
    if (vm->prefer < IMIG_PREFER_NONE || vm->prefer > IMIG_PREFER_DOWNTIME)
        return imig__refuse_number(IMIG__KEY(path, "prefer"), vm->prefer, "no such preference",
                                   error);
    if (vm->movable != 0 && vm->movable != 1)
        return imig__refuse_number(IMIG__KEY(path, "movable"), vm->movable, "must be 0 or 1",
                                   error);
    return IMIG_OK;
}

static int
check_vm_numbers(const imig__path *path, imig_vm_info *vm, imig_error **error)
{
    if (vm->vcpus < 1)
        return imig__refuse_number(IMIG__KEY(path, "vcpus"), vm->vcpus, "must be at least 1",
                                   error);
    if (imig__check_number(IMIG__KEY(path, "memory_bytes"), vm->memory_bytes, IMIG__CAPACITY_MIN,
                           IMIG__NUMBER_MAX, error) != IMIG_OK)
        return IMIG_ERR_INVALID;
    return check_numbers(path, vm_numbers, G_N_ELEMENTS(vm_numbers), vm, &vm->present, error);
}

static int
check_vm(const imig_cluster *cluster, const imig__path *path, imig_vm_info *vm, uint32_t *allowed,
         imig_error **error)
{
    if (check_bits(path, vm->present, VM_BITS, error) != IMIG_OK)
        return IMIG_ERR_ABI;
    if ((vm->noise_count && !vm->noise) || (vm->host_count && !vm->hosts) ||
        (vm->disk_count && (!vm->disk_bytes || !vm->disk_shared)))
        return imig__fail(error, IMIG_ERR_ARGUMENT, "an array that has elements is NULL");
    if (check_id(path, vm->id, cluster->store->vm_ids, error) != IMIG_OK ||
        check_optional_text(path, "name", vm->name, error) != IMIG_OK ||
        check_index(IMIG__KEY(path, "host"), vm->host, cluster->host_count, NO_SUCH_HOST,
                    error) != IMIG_OK ||
        check_vm_numbers(path, vm, error) != IMIG_OK ||
        check_numbers(path, imig__vm_metrics, IMIG_METRIC_COUNT, vm, &vm->present,
                      error) != IMIG_OK ||
        check_noise(path, vm, error) != IMIG_OK ||
        check_disks(path, vm, error) != IMIG_OK ||
        check_optional_text(path, "workload", vm->workload, error) != IMIG_OK ||
        check_optional_text(path, "blocked", vm->blocked, error) != IMIG_OK ||
        check_vm_choices(path, vm, error) != IMIG_OK ||
        check_allowed(cluster, path, vm, allowed, error) != IMIG_OK)
        return IMIG_ERR_INVALID;
    return IMIG_OK;
}

static void
keep_vm(imig_cluster *cluster, imig_vm_info *vm, const uint32_t *allowed)
{
    imig__cluster_store *store = cluster->store;

    vm->size = sizeof *vm;
    vm->id = imig__store_text(store, vm->id);
    vm->name = vm->name && strcmp(vm->name, vm->id) != 0 ? imig__store_text(store, vm->name)
                                                         : vm->id;
    vm->noise = imig__store_bytes(store, vm->noise, vm->noise_count * sizeof *vm->noise);
    vm->disk_bytes = imig__store_bytes(store, vm->disk_bytes,
                                       vm->disk_count * sizeof *vm->disk_bytes);
    vm->disk_shared = imig__store_bytes(store, vm->disk_shared,
                                        vm->disk_count * sizeof *vm->disk_shared);
    vm->hosts = imig__store_bytes(store, allowed, vm->host_count * sizeof *allowed);
    vm->workload = imig__store_shared_text(store, vm->workload);
    vm->blocked = imig__store_shared_text(store, vm->blocked);
    if (vm->weight == 1)
        vm->present &= ~IMIG_VM_HAS_WEIGHT;
    cluster->vms = grown(cluster->vms, cluster->vm_count, &store->vm_room, sizeof *vm);
    g_hash_table_insert(store->vm_ids, (void *) vm->id, GSIZE_TO_POINTER(cluster->vm_count));
    cluster->vms[cluster->vm_count++] = *vm;
}

int
imig_cluster_add_vm(imig_cluster *cluster, const imig_vm_info *info, imig_error **error)
{
    imig_vm_info vm;
    uint32_t few[16], *allowed = few;
    int code = check_open(cluster, info, error);

    if (code == IMIG_OK)
        code = imig__copy_struct(&vm, sizeof vm, info, IMIG__VM_FIRST_SIZE, error);
    if (code != IMIG_OK)
        return code;
    if (vm.host_count > G_N_ELEMENTS(few))
        allowed = g_new(uint32_t, vm.host_count);
    code = check_vm(cluster, IMIG__AT(IMIG__KEY(NULL, "vms"), cluster->vm_count), &vm, allowed,
                    error);
    if (code == IMIG_OK)
        keep_vm(cluster, &vm, allowed);
    if (allowed != few)
        g_free(allowed);
    return code;
}

int
imig_cluster_add_flow(imig_cluster *cluster, uint32_t a, uint32_t b, double bytes_per_s,
                      imig_error **error)
{
    int code = check_open(cluster, cluster, error);
    const imig__path *path;

    if (code != IMIG_OK)
        return code;
    path = IMIG__AT(IMIG__KEY(NULL, "flows"), cluster->flow_count);
    if (check_index(IMIG__KEY(path, "a"), a, cluster->vm_count, NO_SUCH_VM, error) != IMIG_OK ||
        check_index(IMIG__KEY(path, "b"), b, cluster->vm_count, NO_SUCH_VM, error) != IMIG_OK ||
        imig__check_number(IMIG__KEY(path, "bytes_per_s"), bytes_per_s, 0, IMIG__NUMBER_MAX,
                           error) != IMIG_OK)
        return IMIG_ERR_INVALID;
    if (a == b)
        return imig__refuse_text(IMIG__KEY(path, "b"), cluster->vms[b].id,
                                 "must be another VM than a", error);
    if (!imig__store_add_pair(cluster->store, a, b))
        return imig__refuse_text(IMIG__KEY(path, "b"), cluster->vms[b].id,
                                 "there is such a flow already", error);
    cluster->flows = grown(cluster->flows, cluster->flow_count, &cluster->store->flow_room,
                           sizeof *cluster->flows);
    cluster->flows[cluster->flow_count++] = (imig__flow) { a, b, bytes_per_s };
    return IMIG_OK;
}

static int
check_rule(const imig_cluster *cluster, const imig__path *path, const imig_rule_info *rule,
           imig_error **error)
{
    const imig__path *vms = IMIG__KEY(path, "vms");
    const uint32_t *twin;
    uint32_t *sorted;
    int code = IMIG_OK;

    if (rule->kind != IMIG_RULE_TOGETHER && rule->kind != IMIG_RULE_APART)
        return imig__refuse_number(IMIG__KEY(path, "kind"), rule->kind, "no such kind", error);
    if (rule->hard != 0 && rule->hard != 1)
        return imig__refuse_number(IMIG__KEY(path, "hard"), rule->hard, "must be 0 or 1", error);
    if (check_optional_text(path, "label", rule->label, error) != IMIG_OK)
        return IMIG_ERR_INVALID;
    if (rule->vm_count < 2)
        return imig__refuse(vms, NULL, "must name at least two VMs", error);
    for (size_t i = 0; i < rule->vm_count; i++)
        if (check_index(IMIG__AT(vms, i), rule->vms[i], cluster->vm_count, NO_SUCH_VM,
                        error) != IMIG_OK)
            return IMIG_ERR_INVALID;
    sorted = g_memdup2(rule->vms, rule->vm_count * sizeof *sorted);
    twin = sort_and_find_twin(sorted, rule->vm_count);
    if (twin)
        code = imig__refuse_text(vms, cluster->vms[*twin].id, COMES_TWICE, error);
    g_free(sorted);
    return code;
}

int
imig_cluster_add_rule(imig_cluster *cluster, const imig_rule_info *info, imig_error **error)
{
    imig__cluster_store *store;
    imig_rule_info rule;
    int code = check_open(cluster, info, error);

    if (code == IMIG_OK)
        code = imig__copy_struct(&rule, sizeof rule, info, IMIG__RULE_FIRST_SIZE, error);
    if (code != IMIG_OK)
        return code;
    if (rule.vm_count && !rule.vms)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "vms is NULL");
    code = check_rule(cluster, IMIG__AT(IMIG__KEY(NULL, "rules"), cluster->rule_count), &rule,
                      error);
    if (code != IMIG_OK)
        return code;
    store = cluster->store;
    rule.size = sizeof rule;
    rule.label = imig__store_shared_text(store, rule.label);
    rule.vms = imig__store_bytes(store, rule.vms, rule.vm_count * sizeof *rule.vms);
    cluster->rules = grown(cluster->rules, cluster->rule_count, &store->rule_room, sizeof rule);
    cluster->rules[cluster->rule_count++] = rule;
    return IMIG_OK;
}
