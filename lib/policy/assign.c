/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/base-priv.h"

#include <imig/affinity.h>
#include <math.h>

/*
 * The assignment problem by shortest augmenting paths with potentials (Kuhn and Munkres, in the
 * form of Jonker and Volgenant): n paths, each found in n^2.  Of equal costs the first one wins.
 */

struct solver {
    const double *cost;
    size_t n;
    double scale;
    double *row_price, *column_price; /* potentials: no cost is less than its two prices */
    size_t *row_of;                   /* [n + 1] row of a column; n: none; [n]: being placed */
    double *distance;                 /* [n + 1] of a column from the row being placed */
    size_t *from;                     /* [n] the column before it on that path */
    gboolean *done;                   /* [n + 1] */
};

/* Extends the shortest paths by one column; returns the one that is nearest. */
static size_t
reach(struct solver *s, size_t column)
{
    size_t row = s->row_of[column], nearest = s->n;
    double least = INFINITY;

    for (size_t j = 0; j < s->n; j++) {
        double reduced;

        if (s->done[j])
            continue;
        reduced = s->cost[row * s->n + j] * s->scale - s->row_price[row] - s->column_price[j];
        if (reduced < s->distance[j]) {
            s->distance[j] = reduced;
            s->from[j] = column;
        }
        if (s->distance[j] < least) {
            least = s->distance[j];
            nearest = j;
        }
    }
    for (size_t j = 0; j <= s->n; j++)
        if (s->done[j]) {
            s->row_price[s->row_of[j]] += least;
            if (j < s->n)
                s->column_price[j] -= least;
        } else {
            s->distance[j] -= least;
        }
    return nearest;
}

static void
place_row(struct solver *s, size_t row)
{
    size_t column = s->n;

    for (size_t j = 0; j <= s->n; j++) {
        s->distance[j] = INFINITY;
        s->done[j] = FALSE;
    }
    s->row_of[s->n] = row;
    do {
        s->done[column] = TRUE;
        column = reach(s, column);
    } while (s->row_of[column] != s->n);
    while (column != s->n) {
        s->row_of[column] = s->row_of[s->from[column]];
        column = s->from[column];
    }
}

int
imig_affinity_assign(const double *cost, size_t n, uint32_t *host, double *total,
                     imig_error **error)
{
    struct solver s = { .cost = cost, .n = n, .scale = 1 };
    double most = 0, sum = 0;

    if (n > 0 && (!cost || !host))
        return imig__fail(error, IMIG_ERR_ARGUMENT, "cost or host is NULL");
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            if (!isfinite(cost[i * n + j]))
                return imig__fail(error, IMIG_ERR_ARGUMENT, "cost[%zu][%zu]: %g is not finite", i,
                                  j, cost[i * n + j]);
            most = MAX(most, fabs(cost[i * n + j]));
        }
    /* Prices are sums of costs and must not overflow. */
    if (most > 1e100)
        s.scale = 1e100 / most;

    s.row_price = g_new0(double, n);
    s.column_price = g_new0(double, n);
    s.row_of = g_new(size_t, n + 1);
    s.distance = g_new(double, n + 1);
    s.from = g_new(size_t, n);
    s.done = g_new(gboolean, n + 1);
    for (size_t j = 0; j < n; j++)
        s.row_of[j] = n;
    for (size_t i = 0; i < n; i++)
        place_row(&s, i);
    for (size_t j = 0; j < n; j++)
        host[s.row_of[j]] = (uint32_t) j;
    for (size_t i = 0; i < n; i++)
        sum += cost[i * n + host[i]];
    if (total)
        *total = sum;
    g_free(s.row_price);
    g_free(s.column_price);
    g_free(s.row_of);
    g_free(s.distance);
    g_free(s.from);
    g_free(s.done);
    return IMIG_OK;
}
