/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cost/calibration-priv.h"
#include "cost/precopy-priv.h"
#include "model/cluster-priv.h"

#include <math.h>
#include <string.h>

struct imig__pairs {
    GHashTable *share; /* uint64_t * -> double * */
    double *best;      /* [host_count] 0: no pair */
};

imig_calibration *
imig__calibration_new(void)
{
    imig_calibration *c = g_atomic_rc_box_new0(imig_calibration);

    c->items = g_array_new(FALSE, FALSE, sizeof(imig_constants));
    c->texts = g_string_chunk_new(1024);
    return c;
}

static const char *
keep(imig_calibration *c, const char *text)
{
    return text ? g_string_chunk_insert_const(c->texts, text) : NULL;
}

void
imig__calibration_add(imig_calibration *c, const imig_constants *constants)
{
    imig_constants item = *constants;

    item.size = sizeof item;
    item.hypervisor = keep(c, item.hypervisor);
    item.from = keep(c, item.from);
    item.to = keep(c, item.to);
    c->has_pairs = c->has_pairs || item.from;
    g_array_append_val(c->items, item);
}

imig_calibration *
imig_calibration_ref(imig_calibration *calibration)
{
    return g_atomic_rc_box_acquire(calibration);
}

static void
calibration_clear(gpointer box)
{
    imig_calibration *c = box;

    g_array_unref(c->items);
    g_string_chunk_free(c->texts);
}

void
imig_calibration_unref(imig_calibration *calibration)
{
    if (calibration)
        g_atomic_rc_box_release_full(calibration, calibration_clear);
}

size_t
imig_calibration_count(const imig_calibration *calibration)
{
    return calibration->items->len;
}

int
imig_calibration_get(const imig_calibration *calibration, size_t index, imig_constants *constants,
                     imig_error **error)
{
    if (!calibration || !constants)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "calibration or constants is NULL");
    if (index >= calibration->items->len)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "there are no constants %zu", index);
    return imig__constants_fill(constants,
                                &g_array_index(calibration->items, imig_constants, index), error);
}

imig_constants *
imig__constants_all_assumed(void)
{
    uint32_t n = 0;
    imig_constants *assumed;

    while (imig_hypervisor_name(n))
        n++;
    assumed = g_new(imig_constants, n);
    for (uint32_t i = 0; i < n; i++)
        imig__constants_assumed(imig__hypervisor_find(imig_hypervisor_name(i)), &assumed[i]);
    return assumed;
}

/* from NULL: of all hosts. */
static const imig_constants *
find(const imig_calibration *c, const char *hypervisor, const char *from, const char *to)
{
    for (guint i = 0; c && i < c->items->len; i++) {
        const imig_constants *item = &g_array_index(c->items, imig_constants, i);

        if (strcmp(item->hypervisor, hypervisor) == 0 && g_strcmp0(item->from, from) == 0
            && g_strcmp0(item->to, to) == 0)
            return item;
    }
    return NULL;
}

const imig_constants *
imig__calibration_lookup(const imig_calibration *calibration, const imig_constants *assumed,
                         const char *hypervisor)
{
    const imig__hypervisor *row = imig__hypervisor_find(hypervisor);
    const imig_constants *learned;
    uint32_t index = 0;

    if (!row)
        row = imig__hypervisor_find(NULL);
    learned = find(calibration, row->name, NULL, NULL);
    while (!learned && strcmp(imig_hypervisor_name(index), row->name) != 0)
        index++;
    return learned ? learned : &assumed[index];
}

const imig_constants *
imig__calibration_pair(const imig_calibration *calibration, const char *hypervisor,
                       const char *from, const char *to)
{
    const imig__hypervisor *row = imig__hypervisor_find(hypervisor);

    if (!calibration || !calibration->has_pairs || !from || !to || !row)
        return NULL;
    return find(calibration, row->name, from, to);
}

int
imig_calibration_find(const imig_calibration *calibration, const char *hypervisor,
                      const char *from, const char *to, imig_constants *constants,
                      imig_error **error)
{
    imig_constants assumed;
    const imig_constants *found;
    int rc;

    if (!constants)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "constants is NULL");
    rc = imig__constants_of(hypervisor, NULL, &assumed, error);
    if (rc != IMIG_OK)
        return rc;
    found = imig__calibration_pair(calibration, hypervisor, from, to);
    if (!found)
        found = find(calibration, assumed.hypervisor, NULL, NULL);
    return imig__constants_fill(constants, found ? found : &assumed, error);
}

imig__pairs *
imig__pairs_new(const imig_calibration *calibration, const imig_cluster *cluster)
{
    imig__pairs *pairs;

    if (!calibration || !calibration->has_pairs)
        return NULL;
    pairs = g_new0(imig__pairs, 1);
    pairs->share = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    pairs->best = g_new0(double, cluster->host_count);
    for (guint i = 0; i < calibration->items->len; i++) {
        const imig_constants *item = &g_array_index(calibration->items, imig_constants, i);
        uint32_t from, to;
        uint64_t key;

        if (!item->from || (from = imig_cluster_find_host(cluster, item->from)) == IMIG_NO_INDEX
            || (to = imig_cluster_find_host(cluster, item->to)) == IMIG_NO_INDEX)
            continue;
        key = (uint64_t) from << 32 | to;
        g_hash_table_insert(pairs->share, g_memdup2(&key, sizeof key),
                            g_memdup2(&item->link_share_ratio, sizeof item->link_share_ratio));
        pairs->best[from] = fmax(pairs->best[from], item->link_share_ratio);
    }
    return pairs;
}

void
imig__pairs_free(imig__pairs *pairs)
{
    if (!pairs)
        return;
    g_hash_table_unref(pairs->share);
    g_free(pairs->best);
    g_free(pairs);
}

double
imig__pairs_link_share(const imig__pairs *pairs, uint32_t from, uint32_t to, double other)
{
    uint64_t key = (uint64_t) from << 32 | to;
    const double *share = pairs ? g_hash_table_lookup(pairs->share, &key) : NULL;

    return share ? *share : other;
}

double
imig__pairs_best_share(const imig__pairs *pairs, uint32_t from, double other)
{
    return pairs ? fmax(pairs->best[from], other) : other;
}
