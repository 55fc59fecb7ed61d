/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/cluster-store-priv.h"

#include <math.h>
#include <string.h>

imig_cluster *
imig_cluster_new(double time_s)
{
    imig_cluster *cluster;

    if (!isfinite(time_s))
        return NULL;
    cluster = g_atomic_rc_box_new0(imig_cluster);
    cluster->time_s = time_s;
    cluster->store = imig__store_new();
    return cluster;
}

imig_cluster *
imig_cluster_ref(imig_cluster *cluster)
{
    return cluster ? g_atomic_rc_box_acquire(cluster) : NULL;
}

static void
cluster_clear(void *data)
{
    imig_cluster *cluster = data;

    g_free(cluster->hosts);
    g_free(cluster->vms);
    g_free(cluster->flows);
    g_free(cluster->rules);
    g_free(cluster->host_pool);
    g_free(cluster->rule_place);
    imig__store_free(cluster->store);
}

void
imig_cluster_unref(imig_cluster *cluster)
{
    if (cluster)
        g_atomic_rc_box_release_full(cluster, cluster_clear);
}

/* Pools and places get numbers, in the order in which hosts first name them. */
static uint32_t
number_of(GHashTable *numbers, const char *text, uint32_t next)
{
    void *known;

    if (g_hash_table_lookup_extended(numbers, text, NULL, &known))
        return GPOINTER_TO_UINT(known);
    g_hash_table_insert(numbers, (void *) text, GUINT_TO_POINTER(next));
    return next;
}

static void
number_pools(imig_cluster *cluster)
{
    GHashTable *numbers = g_hash_table_new(g_direct_hash, g_direct_equal); /* shared texts */

    g_free(cluster->host_pool);
    cluster->host_pool = g_new(uint32_t, cluster->host_count);
    cluster->pool_count = 0;
    for (size_t i = 0; i < cluster->host_count; i++) {
        cluster->host_pool[i] = number_of(numbers, cluster->hosts[i].pool, cluster->pool_count);
        cluster->pool_count = MAX(cluster->pool_count, cluster->host_pool[i] + 1);
    }
    g_hash_table_unref(numbers);
}

static const char *
label_value(const imig_host_info *host, const char *key)
{
    for (uint32_t i = 0; i < host->label_count; i++)
        if (strcmp(host->labels[2 * i], key) == 0)
            return host->labels[2 * i + 1];
    return NULL;
}

static uint32_t *
places_of_label(const imig_cluster *cluster, const char *label)
{
    GHashTable *numbers = g_hash_table_new(g_str_hash, g_str_equal);
    uint32_t *place = g_new(uint32_t, cluster->host_count), next = 0;

    for (size_t i = 0; i < cluster->host_count; i++) {
        const char *value = label_value(&cluster->hosts[i], label);

        place[i] = value ? number_of(numbers, value, next) : next;
        next = MAX(next, place[i] + 1);
    }
    g_hash_table_unref(numbers);
    return place;
}

static void
number_places(imig_cluster *cluster)
{
    GHashTable *known = g_hash_table_new(g_direct_hash, g_direct_equal); /* shared texts */

    g_free(cluster->rule_place);
    g_clear_pointer(&cluster->store->places, g_ptr_array_unref);
    cluster->store->places = g_ptr_array_new_with_free_func(g_free);
    cluster->rule_place = g_new0(const uint32_t *, cluster->rule_count);
    for (size_t i = 0; i < cluster->rule_count; i++) {
        const char *label = cluster->rules[i].label;

        if (label && !g_hash_table_contains(known, label)) {
            uint32_t *place = places_of_label(cluster, label);

            g_ptr_array_add(cluster->store->places, place);
            g_hash_table_insert(known, (void *) label, place);
        }
        cluster->rule_place[i] = label ? g_hash_table_lookup(known, label) : NULL;
    }
    g_hash_table_unref(known);
}

int
imig_cluster_finish(imig_cluster *cluster, imig_error **error)
{
    int code;

    if (!cluster || cluster->finished)
        return imig__fail(error, IMIG_ERR_ARGUMENT,
                          cluster ? "the cluster is finished" : "cluster is NULL");
    number_pools(cluster);
    number_places(cluster);
    code = imig__cluster_check(cluster, error);
    if (code != IMIG_OK)
        return code;
    g_clear_pointer(&cluster->store->flow_pairs, g_hash_table_unref);
    cluster->finished = TRUE;
    return IMIG_OK;
}

static void *
copied(const void *array, size_t count, size_t element, size_t *room)
{
    *room = count;
    return g_memdup2(array, count * element);
}

imig_cluster *
imig__cluster_copy(const imig_cluster *cluster)
{
    imig_cluster *copy = imig_cluster_new(cluster->time_s);
    imig__cluster_store *store = copy->store, *from = cluster->store;
    GHashTableIter iter;
    void *text;

    for (unsigned i = 0; i < from->chunks->len; i++)
        g_ptr_array_add(store->chunks, g_atomic_rc_box_acquire(from->chunks->pdata[i]));
    g_hash_table_iter_init(&iter, from->texts);
    while (g_hash_table_iter_next(&iter, &text, NULL))
        g_hash_table_add(store->texts, text);
    copy->host_count = cluster->host_count;
    copy->vm_count = cluster->vm_count;
    copy->flow_count = cluster->flow_count;
    copy->rule_count = cluster->rule_count;
    copy->hosts = copied(cluster->hosts, copy->host_count, sizeof *copy->hosts, &store->host_room);
    copy->vms = copied(cluster->vms, copy->vm_count, sizeof *copy->vms, &store->vm_room);
    copy->flows = copied(cluster->flows, copy->flow_count, sizeof *copy->flows, &store->flow_room);
    copy->rules = copied(cluster->rules, copy->rule_count, sizeof *copy->rules, &store->rule_room);
    for (size_t i = 0; i < copy->host_count; i++)
        g_hash_table_insert(store->host_ids, (void *) copy->hosts[i].id, GSIZE_TO_POINTER(i));
    for (size_t i = 0; i < copy->vm_count; i++)
        g_hash_table_insert(store->vm_ids, (void *) copy->vms[i].id, GSIZE_TO_POINTER(i));
    for (size_t i = 0; i < copy->flow_count; i++)
        imig__store_add_pair(store, copy->flows[i].a, copy->flows[i].b);
    return copy;
}
