/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_ORDER_INSTANCES_H
#define IMIG_ORDER_INSTANCES_H

/* Made instances of the linear ordering problem, and what an order of them costs. */

#include <glib.h>
#include <math.h>

enum order_kind {
    ORDER_INPUT_OUTPUT, /* as between sectors of an economy: sizes differ, 20 % are zero */
    ORDER_SKEWED,       /* the same with sizes that differ extremely, 40 % are zero */
    ORDER_UNIFORM       /* 0 .. 100, no structure */
};

/* About normal, from the sum of 12 uniform numbers. */
static inline double
order_normal(GRand *random)
{
    double sum = -6;

    for (int i = 0; i < 12; i++)
        sum += g_rand_double(random);
    return sum;
}

/* [n * n], integers, shuffled; g_free() it. */
static inline double *
order_instance(enum order_kind kind, size_t n, guint32 seed)
{
    GRand *random = g_rand_new_with_seed(seed);
    double *cost = g_new0(double, n * n), *size = g_new(double, n);
    double spread = kind == ORDER_SKEWED ? 1.3 : 0.8, zero = kind == ORDER_SKEWED ? 0.4 : 0.2;
    size_t *place = g_new(size_t, n);

    for (size_t i = 0; i < n; i++) {
        size_t other = (size_t) g_rand_int_range(random, 0, (gint32) i + 1);

        size[i] = exp(spread * order_normal(random));
        place[i] = place[other];
        place[other] = i;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            double *cell = &cost[place[i] * n + place[j]];

            if (kind == ORDER_UNIFORM)
                *cell = g_rand_int_range(random, 0, 101);
            else if (g_rand_double(random) >= zero)
                *cell = floor((i < j ? 20 : 10) * size[i] * size[j]
                              * exp(spread * order_normal(random)));
        }
    g_free(place);
    g_free(size);
    g_rand_free(random);
    return cost;
}

static inline double
order_paid(const double *cost, size_t n, const guint32 *order)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++)
            sum += cost[order[i] * n + order[j]];
    return sum;
}

#endif
