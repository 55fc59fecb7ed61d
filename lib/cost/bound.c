/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cost/bound-priv.h"

#include <math.h>
#include <stdlib.h>

/* One VM that may leave: a host sheds in the order of what a core costs to move. */
struct item {
    uint32_t host;
    double ratio; /* migration loss for each core of demand */
    double cores;
};

struct relaxation {
    const imig__load *load;
    const uint8_t *takes;
    struct item *items; /* by host, then by ratio */
    size_t *begin;      /* [hosts + 1] */
    double *cpu;        /* [hosts] demand now */
    double *guess;      /* [hosts] where the last solution was */
    double weight;      /* least weight of any VM that demands */
};

static int
compare(const void *a, const void *b)
{
    const struct item *x = a, *y = b;

    if (x->host != y->host)
        return x->host < y->host ? -1 : 1;
    return (x->ratio > y->ratio) - (x->ratio < y->ratio);
}

static double
price_at(const struct relaxation *r, uint32_t host, double cores)
{
    return r->weight * imig__queue_price(r->load, host, cores / r->load->cores[host]);
}

static double
queue_at(const struct relaxation *r, uint32_t host, double cores)
{
    return r->weight * imig__queue(r->load, host, cores / r->load->cores[host]);
}

/* The load in low .. high at which one more core costs `price`: Newton's method in a bracket. */
static double
load_at(struct relaxation *r, uint32_t host, double price, double low, double high)
{
    double x = r->guess[host];

    if (price_at(r, host, low) >= price)
        return low;
    if (price_at(r, host, high) <= price)
        return high;
    for (int i = 0; i < 60 && high - low > 1e-10 * high; i++) {
        double slope, excess;

        if (!(x > low && x < high))
            x = (low + high) / 2;
        excess = price_at(r, host, x) - price;
        if (fabs(excess) <= 1e-12 * price)
            break;
        if (excess > 0)
            high = x;
        else
            low = x;
        slope = r->weight
                * imig__queue_curvature(r->load, host, x / r->load->cores[host]);
        x = slope > 0 ? x - excess / slope : low;
    }
    return r->guess[host] = x;
}

/*
 * One host's share of the dual: the least of queue + migration + price x (shed - received), shed
 * and received being free.  Adds shed - received to balance.
 */
static double
host_dual(struct relaxation *r, uint32_t host, double price, double most, double *balance)
{
    double cpu = r->cpu[host], value = 0;

    if (price_at(r, host, cpu) <= price) {
        double to = r->takes[host] ? load_at(r, host, price, cpu, cpu + most) : cpu;

        *balance -= to - cpu;
        return queue_at(r, host, to) - price * (to - cpu);
    }
    for (size_t i = r->begin[host]; i < r->begin[host + 1]; i++) {
        double each = price + r->items[i].ratio, least = MAX(cpu - r->items[i].cores, 0), to;

        if (price_at(r, host, cpu) <= each)
            break;
        to = load_at(r, host, each, least, cpu);
        value += each * (cpu - to);
        *balance += cpu - to;
        cpu = to;
        if (to > least)
            break;
    }
    return value + queue_at(r, host, cpu);
}

static double
pool_bound(struct relaxation *r, const uint32_t *hosts, size_t n)
{
    double low = 0, high = 0, best = 0, most = 0;

    for (size_t i = 0; i < n; i++) {
        high = MAX(high, price_at(r, hosts[i], INFINITY));
        for (size_t j = r->begin[hosts[i]]; j < r->begin[hosts[i] + 1]; j++)
            most += r->items[j].cores;
    }
    for (int i = 0; i < 40; i++) {
        double price = (low + high) / 2, balance = 0, value = 0;

        for (size_t k = 0; k < n; k++)
            value += host_dual(r, hosts[k], price, most, &balance);
        best = MAX(best, value);
        /* The dual is concave; its slope is the balance.  Stop where more price cannot matter. */
        if (fabs(balance) * (high - low) <= 1e-7 * MAX(best, 1e-6))
            break;
        if (balance > 0)
            low = price;
        else
            high = price;
    }
    return best;
}

double
imig__bound(const imig__load *load, const double *move_loss, const uint8_t *movable,
            const uint32_t *pool, uint32_t pools, const uint8_t *takes)
{
    struct relaxation r = { .load = load, .takes = takes, .weight = INFINITY };
    uint32_t *order = g_new(uint32_t, load->hosts);
    size_t *pool_begin = g_new0(size_t, pools + 1), *fill, items = 0;
    double bound = 0;

    r.items = g_new(struct item, load->vms + 1);
    r.begin = g_new0(size_t, load->hosts + 1);
    r.cpu = g_new0(double, load->hosts);
    for (uint32_t v = 0; v < load->vms; v++) {
        double cores = load->brings[v].cpu;

        if (cores <= 0)
            continue;
        r.cpu[load->home[v]] += cores;
        r.weight = MIN(r.weight, load->weight[v]);
        if (movable[v])
            r.items[items++] = (struct item) { load->home[v], move_loss[v] / cores, cores };
    }
    qsort(r.items, items, sizeof *r.items, compare);
    for (size_t i = 0; i < items; i++)
        r.begin[r.items[i].host + 1]++;
    for (uint32_t h = 0; h < load->hosts; h++)
        r.begin[h + 1] += r.begin[h];
    r.guess = g_memdup2(r.cpu, load->hosts * sizeof *r.guess);
    for (uint32_t h = 0; h < load->hosts; h++)
        pool_begin[pool[h] + 1]++;
    for (uint32_t p = 0; p < pools; p++)
        pool_begin[p + 1] += pool_begin[p];
    fill = g_memdup2(pool_begin, (pools + 1) * sizeof *fill);
    for (uint32_t h = 0; h < load->hosts; h++)
        order[fill[pool[h]]++] = h;
    for (uint32_t p = 0; p < pools && !isinf(r.weight); p++)
        bound += pool_bound(&r, order + pool_begin[p], pool_begin[p + 1] - pool_begin[p]);
    g_free(order);
    g_free(pool_begin);
    g_free(fill);
    g_free(r.items);
    g_free(r.begin);
    g_free(r.cpu);
    g_free(r.guess);
    return bound * (1 - 1e-9);
}
