/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/search-run-priv.h"

#include "model/cluster-priv.h"

#include <math.h>
#include <string.h>

/* Kinds that are told apart: the most frequent ones; the others count as the first. */
enum { KINDS = 12 };

/* Labels that neither slow nor are slowed are one; users of a nonsharable disk are their own. */
static uint32_t
sort_of(const imig__load *load, uint32_t vm)
{
    uint32_t label = load->label[vm];

    return 2 * (load->silent[label] ? load->labels : label) + (load->brings[vm].disk_use > 0);
}

struct sort {
    uint32_t vms, sort;
};

static int
compare_sorts(const void *a, const void *b)
{
    const struct sort *x = a, *y = b;

    if (x->vms != y->vms)
        return x->vms > y->vms ? -1 : 1;
    return (x->sort > y->sort) - (x->sort < y->sort);
}

static void
sums_scale(imig__sums *sums, double factor)
{
    sums->cpu *= factor;
    sums->cpu_w *= factor;
    sums->memory *= factor;
    sums->rx *= factor;
    sums->tx *= factor;
    sums->net_w *= factor;
    sums->disk *= factor;
    sums->disk_use *= factor;
    sums->disk_own *= factor;
}

/* Finds the kinds and what their VMs bring in the mean. */
static void
find_kinds(imig__where *where, const imig__load *load)
{
    size_t sorts = 2 * (size_t) (load->labels + 1);
    struct sort *sort = g_new(struct sort, sorts);
    imig__sums *all = g_new0(imig__sums, sorts);
    uint32_t *label = g_new0(uint32_t, sorts), *of = g_new(uint32_t, load->vms);
    uint8_t *kind_of = g_new0(uint8_t, sorts);

    for (uint32_t i = 0; i < sorts; i++)
        sort[i] = (struct sort) { 0, i };
    for (uint32_t v = 0; v < load->vms; v++) {
        of[v] = sort_of(load, v);
        sort[of[v]].vms++;
        imig__sums_add(&all[of[v]], &load->brings[v], 1);
        label[of[v]] = load->label[v];
    }
    qsort(sort, sorts, sizeof *sort, compare_sorts);
    while (where->kinds < MIN(sorts, KINDS) && (where->kinds == 0 || sort[where->kinds].vms > 0)) {
        kind_of[sort[where->kinds].sort] = (uint8_t) where->kinds;
        where->kinds++;
    }
    where->kind = g_new(uint8_t, load->vms + 1);
    where->mean = g_new(imig__sums, where->kinds);
    where->label = g_new(uint32_t, where->kinds);
    for (uint32_t v = 0; v < load->vms; v++)
        where->kind[v] = kind_of[of[v]];
    for (uint32_t k = 0; k < where->kinds; k++) {
        where->mean[k] = all[sort[k].sort];
        where->label[k] = label[sort[k].sort];
        sums_scale(&where->mean[k], 1.0 / MAX(sort[k].vms, 1));
        where->mean[k].count = 1;
    }
    g_free(sort);
    g_free(all);
    g_free(label);
    g_free(of);
    g_free(kind_of);
}

void
imig__where_init(imig__where *where, const imig__space *space)
{
    const imig_cluster *cluster = space->cluster;
    const imig__load *load = space->load;

    *where = (imig__where) { .hosts = load->hosts, .pools = cluster->pool_count };
    find_kinds(where, load);
    where->pool_begin = g_new0(uint32_t, where->pools + 1);
    where->count = g_new0(uint32_t, where->pools);
    where->key = g_new(double, where->kinds * where->hosts);
    where->order = g_new(uint32_t, where->kinds * where->hosts);
    where->price = g_new0(double, where->pools);
    where->misses = g_new0(uint8_t, (size_t) where->kinds * where->pools * IMIG__ROOMS);
    /* Until floors are found: no core costs less than nothing. */
    where->floor = g_new0(double, (size_t) where->kinds * where->pools * IMIG__ROOMS);
    for (uint32_t h = 0; h < load->hosts; h++) {
        where->pool_begin[cluster->host_pool[h] + 1]++;
        where->count[cluster->host_pool[h]] += space->accepts[h];
    }
    for (uint32_t p = 0; p < where->pools; p++)
        where->pool_begin[p + 1] += where->pool_begin[p];
}

void
imig__where_clear(imig__where *where)
{
    g_free(where->kind);
    g_free(where->mean);
    g_free(where->label);
    g_free(where->pool_begin);
    g_free(where->count);
    g_free(where->key);
    g_free(where->order);
    g_free(where->price);
    g_free(where->misses);
    g_free(where->floor);
}

double *
imig__where_floor(const imig__where *where, uint32_t kind, uint32_t pool, double bytes)
{
    int power = bytes > 1 ? ilogb(bytes) - 16 : 0;

    return where->floor + ((size_t) kind * where->pools + pool) * IMIG__ROOMS
           + CLAMP(power, 0, IMIG__ROOMS - 1);
}

static double
key_of(const imig__where *where, const imig__space *space, const imig__state *state, uint32_t kind,
       uint32_t host)
{
    if (!space->accepts[host])
        return INFINITY;
    /* Where nobody waits yet, the emptiest is still the best. */
    return imig__state_join_like(state, &where->mean[kind], where->label[kind], host)
           + 1e-6 * state->sums[host].cpu / state->load->cores[host];
}

static int
compare_keys(const void *a, const void *b, void *data)
{
    const double *key = data;
    uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;

    if (key[x] != key[y])
        return key[x] < key[y] ? -1 : 1;
    return (x > y) - (x < y);
}

void
imig__where_find_floors(imig__where *where, const imig__space *space, const imig__state *state,
                        const double *left)
{
    const imig__load *load = space->load;
    const uint32_t *pool = space->cluster->host_pool;

    for (size_t i = 0; i < (size_t) where->kinds * where->pools * IMIG__ROOMS; i++)
        where->floor[i] = INFINITY;
    memset(where->misses, 0, (size_t) where->kinds * where->pools * IMIG__ROOMS);
    for (uint32_t h = 0; h < load->hosts; h++) {
        double price;

        if (!space->accepts[h])
            continue;
        price = MAX(imig__queue_price_fast(load, h, state->sums[h].cpu / load->cores[h]),
                    where->price[pool[h]]);
        for (uint32_t k = 0; k < where->kinds; k++) {
            double *floor = imig__where_floor(where, k, pool[h], left[h] - space->overhead[h] + 1);

            *floor = MIN(*floor, price + imig__state_cross_price(state, where->label[k], h));
        }
    }
    for (uint32_t k = 0; k < where->kinds; k++)
        for (uint32_t p = 0; p < where->pools; p++) {
            double *floor = imig__where_floor(where, k, p, 0);

            for (int i = IMIG__ROOMS - 2; i >= 0; i--)
                floor[i] = MIN(floor[i], floor[i + 1]);
        }
}

void
imig__where_sort(imig__where *where, const imig__space *space, const imig__state *state)
{
    const uint32_t *pool = space->cluster->host_pool;
    uint32_t *fill = g_new(uint32_t, where->pools);

    for (uint32_t k = 0; k < where->kinds; k++) {
        double *key = where->key + k * where->hosts;
        uint32_t *order = where->order + k * where->hosts;

        memcpy(fill, where->pool_begin, where->pools * sizeof *fill);
        for (uint32_t h = 0; h < where->hosts; h++) {
            order[fill[pool[h]]++] = h;
            key[h] = key_of(where, space, state, k, h);
        }
        for (uint32_t p = 0; p < where->pools; p++)
            g_qsort_with_data(order + where->pool_begin[p],
                              (gint) (where->pool_begin[p + 1] - where->pool_begin[p]),
                              sizeof *order, compare_keys, key);
    }
    g_free(fill);
}

/* How many of n hosts stand before one with this key. */
static uint32_t
count_before(const uint32_t *order, uint32_t n, const double *keys, double key, uint32_t host)
{
    uint32_t low = 0, high = n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2, h = order[middle];

        if (keys[h] < key || (keys[h] == key && h < host))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void
imig__where_update(imig__where *where, const imig__space *space, const imig__state *state,
                   uint32_t host)
{
    uint32_t pool = space->cluster->host_pool[host], n = where->count[pool];

    if (!space->accepts[host])
        return;
    for (uint32_t k = 0; k < where->kinds; k++) {
        double *keys = where->key + k * where->hosts;
        uint32_t *order = where->order + k * where->hosts + where->pool_begin[pool];
        double key = key_of(where, space, state, k, host);
        uint32_t was = count_before(order, n, keys, keys[host], host);
        uint32_t is = count_before(order, n, keys, key, host);

        if (is > was) {
            is--; /* it stood before that place itself */
            memmove(order + was, order + was + 1, (is - was) * sizeof *order);
        } else {
            memmove(order + is + 1, order + is, (was - is) * sizeof *order);
        }
        order[is] = host;
        keys[host] = key;
    }
}

uint32_t
imig__where_look(const imig__where *where, const imig__space *space, uint32_t kind, uint32_t home,
                 const uint32_t **order)
{
    uint32_t pool = space->cluster->host_pool[home];

    *order = where->order + kind * where->hosts + where->pool_begin[pool];
    return where->count[pool];
}
