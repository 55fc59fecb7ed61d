/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cost/bound-priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What of the bound a better price might still add. */
#define CLOSE 1e-6

/* One VM that may leave: a host sheds in the order of what a core costs to move. */
struct item {
    double ratio; /* migration loss for each core of demand */
    double cores;
};

struct relaxation {
    const imig__load *load;
    const uint8_t *takes;
    struct item *items; /* by host; those of a host in order once they were asked for */
    size_t *begin;      /* [hosts + 1] */
    uint8_t *in_order;  /* [hosts] */
    double *cpu;        /* [hosts] demand now */
    double *price;      /* [hosts] of a core there now */
    double *guess;      /* [hosts] where the last solution was */
    double weight;      /* least weight of any VM that demands */
    gboolean exact;     /* the queue itself; else its curve, to find the price */
    double *asked, *answer, *queue; /* [hosts] of each curve: the last price, the utilisation at
                                       which a core costs so much, and the queue there */
};

static int
compare(const void *a, const void *b)
{
    const struct item *x = a, *y = b;

    return (x->ratio > y->ratio) - (x->ratio < y->ratio);
}

static double
price_at(const struct relaxation *r, uint32_t host, double cores)
{
    double u = cores / r->load->cores[host];

    return r->weight * (r->exact ? imig__queue_price(r->load, host, u)
                                 : imig__queue_price_fast(r->load, host, u));
}

static double
queue_at(const struct relaxation *r, uint32_t host, double cores)
{
    double u = cores / r->load->cores[host];

    return r->weight * (r->exact ? imig__queue(r->load, host, u)
                                 : imig__queue_fast(r->load, host, u));
}

/* How fast the price rises: by the curve, where the price is by it. */
static double
slope_at(const struct relaxation *r, uint32_t host, double cores)
{
    double step = 1e-4 * r->load->cores[host];

    if (r->exact)
        return r->weight * imig__queue_curvature(r->load, host, cores / r->load->cores[host]);
    return (price_at(r, host, cores + step) - price_at(r, host, cores)) / step;
}

/* The load in low .. high at which one more core costs `price`: Newton's method in a bracket. */
static double
load_at(struct relaxation *r, uint32_t host, double price, double low, double high)
{
    double x = r->guess[host], close = r->exact ? 1e-12 : 1e-7;

    if (price_at(r, host, low) >= price)
        return low;
    if (price_at(r, host, high) <= price)
        return high;
    for (int i = 0; i < 60 && high - low > 1e-10 * high; i++) {
        double slope, excess;

        if (!(x > low && x < high))
            x = (low + high) / 2;
        excess = price_at(r, host, x) - price;
        if (fabs(excess) <= close * price)
            break;
        if (excess > 0)
            high = x;
        else
            low = x;
        slope = slope_at(r, host, x);
        x = slope > 0 ? x - excess / slope : low;
    }
    return r->guess[host] = x;
}

/*
 * Where one more core costs `price` on any host with this curve; INFINITY: nowhere.  Hosts of one
 * size have it in common, so that most need not look.
 */
static void
ask_curve(struct relaxation *r, uint32_t host, double price)
{
    uint32_t curve = r->load->curve[host];
    double cores = r->load->cores[host], to = INFINITY;

    if (r->asked[curve] == price)
        return;
    if (price_at(r, host, cores * IMIG__KNEE) > price)
        to = load_at(r, host, price, 0, cores * IMIG__KNEE);
    r->asked[curve] = price;
    r->answer[curve] = to / cores;
    r->queue[curve] = isinf(to) ? INFINITY : queue_at(r, host, to);
}

/* The load that a host receives up to at a price; queue: how long it is then. */
static double
filled_to(struct relaxation *r, uint32_t host, double price, double most, double *queue)
{
    uint32_t curve = r->load->curve[host];
    double cpu = r->cpu[host], to;

    if (r->exact || curve == IMIG__NO_CURVE) {
        to = load_at(r, host, price, cpu, cpu + most);
    } else {
        ask_curve(r, host, price);
        to = r->answer[curve] * r->load->cores[host];
        if (to > cpu && to < cpu + most) {
            *queue = r->queue[curve];
            return to;
        }
        to = CLAMP(to, cpu, cpu + most);
    }
    *queue = queue_at(r, host, to);
    return to;
}

/* The items of a host, in order: only a host that sheds is ever asked. */
static const struct item *
items_of(struct relaxation *r, uint32_t host)
{
    struct item *items = r->items + r->begin[host];

    if (!r->in_order[host])
        qsort(items, r->begin[host + 1] - r->begin[host], sizeof *items, compare);
    r->in_order[host] = 1;
    return items;
}

/*
 * One host's share of the dual: the least of queue + migration + price x (shed - received), shed
 * and received being free.  Adds shed - received to balance.
 */
static double
host_dual(struct relaxation *r, uint32_t host, double price, double most, double *balance)
{
    double cpu = r->cpu[host], value = 0;
    size_t n = r->begin[host + 1] - r->begin[host];
    const struct item *items;

    if (r->price[host] <= price) {
        double to = cpu, queue;

        if (r->takes[host])
            to = filled_to(r, host, price, most, &queue);
        else
            queue = queue_at(r, host, to);
        *balance -= to - cpu;
        return queue - price * (to - cpu);
    }
    items = items_of(r, host);
    for (size_t i = 0; i < n; i++) {
        double each = price + items[i].ratio, least = MAX(cpu - items[i].cores, 0), to;

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
pool_dual(struct relaxation *r, const uint32_t *hosts, size_t n, double price, double most,
          double *balance)
{
    double value = 0;

    *balance = 0;
    for (size_t i = 0; i < n; i++)
        value += host_dual(r, hosts[i], price, most, balance);
    return value;
}

/* All that could be received by any of these hosts. */
static double
all_cores(const struct relaxation *r, const uint32_t *hosts, size_t n)
{
    double all = 0;

    for (size_t i = 0; i < n; i++)
        for (size_t j = r->begin[hosts[i]]; j < r->begin[hosts[i] + 1]; j++)
            all += r->items[j].cores;
    return all;
}

static void
set_exact(struct relaxation *r, const uint32_t *hosts, size_t n, gboolean exact)
{
    r->exact = exact;
    for (size_t i = 0; i < n; i++)
        r->price[hosts[i]] = price_at(r, hosts[i], r->cpu[hosts[i]]);
}

/* A price to begin with: of a core on a host that is as full as all of them together. */
static double
first_price(const struct relaxation *r, const uint32_t *hosts, size_t n)
{
    double cpu = 0, cores = 0;

    for (size_t i = 0; i < n; i++) {
        cpu += r->cpu[hosts[i]];
        cores += r->load->cores[hosts[i]];
    }
    return price_at(r, hosts[0], cpu / cores * r->load->cores[hosts[0]]);
}

/*
 * The price at which as much is shed as received: the balance falls as the price rises.  Doubled or
 * halved until it is between two; then where a line through these says and the middle, in turn.
 */
static double
best_price(struct relaxation *r, const uint32_t *hosts, size_t n)
{
    double low = 0, high = 0, most = all_cores(r, hosts, n), price;
    double more = INFINITY, less = -INFINITY; /* the balance at low and at high */

    for (size_t i = 0; i < n; i++)
        high = MAX(high, price_at(r, hosts[i], INFINITY));
    set_exact(r, hosts, n, FALSE);
    price = MIN(first_price(r, hosts, n), high);
    for (int i = 0; i < 60; i++) {
        double value, balance;

        if (i > 0 && isinf(less))
            price = low > 0 ? MIN(2 * low, high) : high / 1024;
        else if (i > 0 && isinf(more))
            price = high / 2;
        else if (i > 0)
            price = i % 2 ? low + (high - low) * more / (more - less) : (low + high) / 2;
        value = pool_dual(r, hosts, n, price, most, &balance);
        /* The dual is concave; its slope is the balance.  Stop where more price cannot matter. */
        if (fabs(balance) * (high - low) <= CLOSE * MAX(value, 1e-6))
            break;
        if (balance > 0) {
            low = price;
            more = balance;
        } else {
            high = price;
            less = balance;
        }
    }
    return price;
}

/* The bound; price: [pools] or NULL, and then the bound is not wanted. */
static double
relax(const imig__load *load, const double *move_loss, const uint8_t *movable,
      const uint32_t *pool, uint32_t pools, const uint8_t *takes, double *prices)
{
    struct relaxation r = { .load = load, .takes = takes, .weight = INFINITY };
    uint32_t *order = g_new(uint32_t, load->hosts);
    size_t *pool_begin = g_new0(size_t, pools + 1), *fill, *next;
    double bound = 0;

    r.begin = g_new0(size_t, load->hosts + 1);
    r.in_order = g_new0(uint8_t, load->hosts);
    r.cpu = g_new0(double, load->hosts);
    for (uint32_t v = 0; v < load->vms; v++) {
        double cores = load->cpu[v];

        if (cores <= 0)
            continue;
        r.cpu[load->home[v]] += cores;
        r.weight = MIN(r.weight, load->weight[v]);
        r.begin[load->home[v] + 1] += movable[v] != 0;
    }
    for (uint32_t h = 0; h < load->hosts; h++)
        r.begin[h + 1] += r.begin[h];
    r.items = g_new(struct item, r.begin[load->hosts] + 1);
    next = g_memdup2(r.begin, load->hosts * sizeof *next);
    for (uint32_t v = 0; v < load->vms; v++) {
        double cores = load->cpu[v];

        if (cores > 0 && movable[v])
            r.items[next[load->home[v]]++] = (struct item) { move_loss[v] / cores, cores };
    }
    g_free(next);
    r.price = g_new(double, load->hosts);
    r.asked = g_new0(double, 3 * load->hosts + 1);
    r.answer = r.asked + load->hosts;
    r.queue = r.answer + load->hosts;
    r.guess = g_memdup2(r.cpu, load->hosts * sizeof *r.guess);
    for (uint32_t h = 0; h < load->hosts; h++)
        pool_begin[pool[h] + 1]++;
    for (uint32_t p = 0; p < pools; p++)
        pool_begin[p + 1] += pool_begin[p];
    fill = g_memdup2(pool_begin, (pools + 1) * sizeof *fill);
    for (uint32_t h = 0; h < load->hosts; h++)
        order[fill[pool[h]]++] = h;
    for (uint32_t p = 0; p < pools && !isinf(r.weight); p++) {
        const uint32_t *hosts = order + pool_begin[p];
        size_t n = pool_begin[p + 1] - pool_begin[p];
        double price = best_price(&r, hosts, n), balance;

        if (prices) {
            prices[p] = price;
            continue;
        }
        /* Every price gives a bound, once the queues are exact. */
        set_exact(&r, hosts, n, TRUE);
        bound += MAX(pool_dual(&r, hosts, n, price, all_cores(&r, hosts, n), &balance), 0);
    }
    g_free(order);
    g_free(pool_begin);
    g_free(fill);
    g_free(r.items);
    g_free(r.begin);
    g_free(r.in_order);
    g_free(r.cpu);
    g_free(r.guess);
    g_free(r.price);
    g_free(r.asked);
    return bound * (1 - 1e-9);
}

double
imig__bound(const imig__load *load, const double *move_loss, const uint8_t *movable,
            const uint32_t *pool, uint32_t pools, const uint8_t *takes)
{
    return relax(load, move_loss, movable, pool, pools, takes, NULL);
}

void
imig__bound_prices(const imig__load *load, const double *move_loss, const uint8_t *movable,
                   const uint32_t *pool, uint32_t pools, const uint8_t *takes, double *price)
{
    memset(price, 0, pools * sizeof *price);
    relax(load, move_loss, movable, pool, pools, takes, price);
}
