/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * How good are the orders that imig_order_pairs() finds with the default effort, beside what 100
 * times the effort (or the argument) finds?  Prints, for each kind and size, by how much more they
 * cost, how far the bound is below, and CPU milliseconds.  Never fails on a time.
 */

#include "order-instances.h"

#include <imig/order.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { INSTANCES = 4 };

static const struct {
    const char *name;
    enum order_kind kind;
} kinds[] = {
    { "input-output", ORDER_INPUT_OUTPUT },
    { "skewed", ORDER_SKEWED },
    { "uniform", ORDER_UNIFORM },
};

static const size_t sizes[] = { 20, 44, 75, 100, 150 };

static double
run(const double *cost, size_t n, const imig_order_pairs_options *options, double *bound)
{
    uint32_t *order = g_new(uint32_t, n);
    imig_error *error = NULL;
    double paid;

    if (imig_order_pairs(cost, n, options, order, bound, &error) != IMIG_OK) {
        fprintf(stderr, "%s\n", imig_error_message(error));
        exit(1);
    }
    paid = order_paid(cost, n, order);
    g_free(order);
    return paid;
}

static void
compare(const char *name, enum order_kind kind, size_t n, uint64_t times)
{
    double mean = 0, worst = 0, gap = 0, seconds = 0;

    for (guint32 seed = 100; seed < 100 + INSTANCES; seed++) {
        imig_order_pairs_options much = IMIG_ORDER_PAIRS_OPTIONS_INIT;
        double *cost = order_instance(kind, n, seed), bound, ignored, paid, best;
        clock_t start = clock();

        paid = run(cost, n, NULL, &bound);
        seconds += (double) (clock() - start) / CLOCKS_PER_SEC;
        much.set = IMIG_ORDER_PAIRS_HAS_EFFORT;
        much.effort = times * (260000 / n);
        much.seed = 1;
        best = MIN(run(cost, n, &much, &ignored), paid);
        mean += (paid / best - 1) / INSTANCES;
        worst = MAX(worst, paid / best - 1);
        gap += (1 - bound / best) / INSTANCES;
        g_free(cost);
    }
    printf("%-12s %4zu: %.4f %% more, worst %.4f %%; bound %.2f %% below; %.1f ms\n", name, n,
           100 * mean, 100 * worst, 100 * gap, 1e3 * seconds / INSTANCES);
    fflush(stdout);
}

int
main(int argc, char **argv)
{
    uint64_t times = argc > 1 ? strtoull(argv[1], NULL, 10) : 100;

    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            compare(kinds[k].name, kinds[k].kind, sizes[i], times);
    return 0;
}
