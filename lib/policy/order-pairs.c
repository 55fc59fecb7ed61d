/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/order-pairs-priv.h"

#include <imig/order.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/*
 * The linear ordering problem.  Only the difference cost(i, j) - cost(j, i) of a pair decides, so
 * the strongly connected components of "i rather before j" can be ordered one by one.
 */

/* ---- Components: Tarjan 1972, without recursion ------------------------------------------- */

struct tarjan {
    uint32_t *number, *low, *next; /* [n] 1 + when it was found; next one to look at */
    uint32_t *open, *path;         /* stacks: not yet in a component; being visited */
    size_t open_count, path_count;
    gboolean *is_open;
};

static void
visit(struct tarjan *t, uint32_t v, uint32_t *found)
{
    t->number[v] = t->low[v] = ++*found;
    t->open[t->open_count++] = v;
    t->is_open[v] = TRUE;
    t->path[t->path_count++] = v;
}

static int
compare_positions(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;

    return (x > y) - (x < y);
}

/* Moves the component that ends with v from the stack to just before order[end]. */
static size_t
close_component(struct tarjan *t, uint32_t v, uint32_t *order, size_t end)
{
    size_t start = end;
    uint32_t w;

    do {
        w = t->open[--t->open_count];
        t->is_open[w] = FALSE;
        order[--start] = w;
    } while (w != v);
    qsort(order + start, end - start, sizeof *order, compare_positions);
    return start;
}

/* Puts the components into order, and the length of each where it begins; the sinks come last. */
static void
find_components(const double *cost, size_t n, uint32_t *order, size_t *length)
{
    uint32_t *words = g_new0(uint32_t, 5 * n), found = 0;
    struct tarjan t = { .number = words, .low = words + n, .next = words + 2 * n,
                        .open = words + 3 * n, .path = words + 4 * n,
                        .is_open = g_new0(gboolean, n) };
    size_t end = n;

    for (uint32_t root = 0; root < n; root++) {
        if (t.number[root] == 0)
            visit(&t, root, &found);
        while (t.path_count > 0) {
            uint32_t v = t.path[t.path_count - 1];

            if (t.next[v] < n) {
                uint32_t w = t.next[v]++;

                if (w == v || !(cost[v * n + w] < cost[w * n + v]))
                    continue;
                if (t.number[w] == 0)
                    visit(&t, w, &found);
                else if (t.is_open[w])
                    t.low[v] = MIN(t.low[v], t.number[w]);
                continue;
            }
            t.path_count--;
            if (t.path_count > 0) {
                uint32_t parent = t.path[t.path_count - 1];

                t.low[parent] = MIN(t.low[parent], t.low[v]);
            }
            if (t.low[v] == t.number[v]) {
                size_t start = close_component(&t, v, order, end);

                length[start] = end - start;
                end = start;
            }
        }
    }
    g_free(t.is_open);
    g_free(words);
}

/* ---- The parts together --------------------------------------------------------------------- */

/* Half, because the whole may overflow. */
static double
half_difference(const double *cost, size_t n, size_t i, size_t j)
{
    return cost[i * n + j] / 2 - cost[j * n + i] / 2;
}

/* Differences of a component as integers; returns the exponent of their unit. */
static int
round_differences(const double *cost, size_t n, const uint32_t *item, size_t count, int64_t *d)
{
    double most = 0;
    int exponent, bits = 0;

    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            most = MAX(most, fabs(half_difference(cost, n, item[i], item[j])));
    while ((size_t) 1 << bits < count)
        bits++;
    frexp(most, &exponent);
    exponent -= 62 - 2 * bits;
    for (size_t i = 0; i < count; i++) {
        d[i * count + i] = 0;
        for (size_t j = 0; j < i; j++) {
            d[i * count + j] = llrint(ldexp(half_difference(cost, n, item[i], item[j]), -exponent));
            d[j * count + i] = -d[i * count + j];
        }
    }
    return exponent + 1;
}

/* Restarts times items: a restart takes about as long as there are items. */
enum { EFFORT = 260000, LEAST = 50 };

/* Orders one component in place; returns what is proven to be paid above the least costs. */
static double
order_component(const double *cost, size_t n, uint32_t *order, size_t count,
                const imig_order_pairs_options *opt, gboolean *proven)
{
    int64_t *d = g_new(int64_t, count * count);
    uint32_t *local = g_new(uint32_t, count);
    imig__order_part part = { .n = count, .d = d, .order = local, .seed = opt->seed };
    int exponent = round_differences(cost, n, order, count, d);

    part.effort = opt->set & IMIG_ORDER_PAIRS_HAS_EFFORT ? opt->effort : MAX(EFFORT / count, LEAST);
    for (size_t i = 0; i < count; i++)
        local[i] = (uint32_t) i;
    if (count <= IMIG__ORDER_EXACT_MOST)
        imig__order_exactly(&part);
    else
        imig__order_by_search(&part);
    *proven = *proven && part.proven;
    for (size_t i = 0; i < count; i++)
        local[i] = order[local[i]];
    memcpy(order, local, count * sizeof *order);
    g_free(local);
    g_free(d);
    return ldexp((double) part.bound, exponent);
}

/* Of the orders that agree on every pair that matters: smaller positions first. */
static void
settle_ties(const double *cost, size_t n, uint32_t *order)
{
    uint32_t *before = g_new0(uint32_t, n), *from = g_new(uint32_t, n);
    uint32_t *at = g_new(uint32_t, n);

    memcpy(from, order, n * sizeof *from);
    for (size_t i = 0; i < n; i++) {
        at[from[i]] = (uint32_t) i;
        for (size_t j = i + 1; j < n; j++)
            before[from[j]] += cost[from[i] * n + from[j]] != cost[from[j] * n + from[i]];
    }
    for (size_t k = 0; k < n; k++) {
        uint32_t x = 0;

        while (before[x] > 0)
            x++;
        before[x] = UINT32_MAX;
        order[k] = x;
        for (size_t j = at[x] + 1; j < n; j++)
            before[from[j]] -= cost[x * n + from[j]] != cost[from[j] * n + x];
    }
    g_free(at);
    g_free(from);
    g_free(before);
}

static int
check_costs(const double *cost, size_t n, imig_error **error)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            if (i != j && !isfinite(cost[i * n + j]))
                return imig__fail(error, IMIG_ERR_ARGUMENT, "cost[%zu][%zu]: %g is not finite", i,
                                  j, cost[i * n + j]);
    return IMIG_OK;
}

int
imig_order_pairs(const double *cost, size_t n, const imig_order_pairs_options *options,
                 uint32_t *order, double *bound, imig_error **error)
{
    imig_order_pairs_options opt;
    double paid = 0, least = 0, above = 0;
    gboolean proven = TRUE;
    size_t *length;
    int r;

    if (n > 0 && (!cost || !order))
        return imig__fail(error, IMIG_ERR_ARGUMENT, "cost or order is NULL");
    if (n >= UINT32_MAX)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "n: %zu is too many", n);
    r = imig__copy_struct(&opt, sizeof opt, options, sizeof(imig_order_pairs_options), error);
    if (r == IMIG_OK)
        r = check_costs(cost, n, error);
    if (r != IMIG_OK)
        return r;

    if (n == 0) {
        if (bound)
            *bound = 0;
        return IMIG_OK;
    }
    length = g_new0(size_t, n);
    find_components(cost, n, order, length);
    for (size_t i = 0; i < n; i += length[i])
        if (length[i] > 1)
            above += order_component(cost, n, order + i, length[i], &opt, &proven);
    g_free(length);
    settle_ties(cost, n, order);
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++) {
            double one = cost[order[i] * n + order[j]], other = cost[order[j] * n + order[i]];

            paid += one;
            least += MIN(one, other);
        }
    if (bound)
        *bound = proven ? paid : MIN(paid, least + above);
    return IMIG_OK;
}
