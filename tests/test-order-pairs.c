/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "order-instances.h"
#include "policy/order-pairs-priv.h"

#include <float.h>
#include <imig/order.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BRUTE_MOST = 8, SETS_MOST = 14 };

static void
assert_permutation(const uint32_t *order, size_t n)
{
    gboolean *seen = g_new0(gboolean, n);

    for (size_t i = 0; i < n; i++) {
        assert_true(order[i] < n);
        assert_false(seen[order[i]]);
        seen[order[i]] = TRUE;
    }
    g_free(seen);
}

/* Orders, checks what holds for every answer, and returns what the order costs. */
static double
order_pairs(const double *cost, size_t n, const imig_order_pairs_options *options,
            uint32_t *order, double *bound)
{
    imig_error *error = NULL;
    double paid, least = 0;

    *bound = NAN;
    if (imig_order_pairs(cost, n, options, order, bound, &error) != IMIG_OK)
        fail_msg("%s", imig_error_message(error));
    assert_null(error);
    assert_permutation(order, n);
    paid = order_paid(cost, n, order);
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++)
            least += fmin(cost[i * n + j], cost[j * n + i]);
    if (!(*bound <= paid) || !(*bound >= least - 1e-12 * fabs(least)))
        fail_msg("%.17g paid, %.17g at least, bound %.17g", paid, least, *bound);
    return paid;
}

/* ---- Small: against every permutation, against sets ---------------------------------------- */

/* Sets *least to the least sum over all permutations that begin with the first k of order. */
static void
try_all(const double *cost, size_t n, uint32_t *order, size_t k, double *least)
{
    if (k == n)
        *least = fmin(*least, order_paid(cost, n, order));
    for (size_t i = k; i < n; i++) {
        uint32_t x = order[i];

        order[i] = order[k];
        order[k] = x;
        try_all(cost, n, order, k + 1, least);
        order[k] = order[i];
        order[i] = x;
    }
}

/* The least sum by the plainest recursion over the set of those that have gone. */
static double
try_sets(const double *cost, size_t n, size_t gone, double *known)
{
    double least = INFINITY;

    if (gone == ((size_t) 1 << n) - 1)
        return 0;
    if (!isnan(known[gone]))
        return known[gone];
    for (size_t i = 0; i < n; i++) {
        double sum = 0;

        if (gone >> i & 1)
            continue;
        for (size_t j = 0; j < n; j++)
            if (j != i && !(gone >> j & 1))
                sum += cost[i * n + j];
        least = fmin(least, sum + try_sets(cost, n, gone | (size_t) 1 << i, known));
    }
    return known[gone] = least;
}

static double
least_cost(const double *cost, size_t n)
{
    double least = INFINITY;

    if (n <= BRUTE_MOST) {
        uint32_t order[BRUTE_MOST];

        for (size_t i = 0; i < n; i++)
            order[i] = (uint32_t) i;
        try_all(cost, n, order, 0, &least);
    } else {
        double *known = g_new(double, (size_t) 1 << n);

        for (size_t i = 0; i < (size_t) 1 << n; i++)
            known[i] = NAN;
        least = try_sets(cost, n, 0, known);
        g_free(known);
    }
    return least;
}

static const struct kind {
    const char *name;
    int least, most; /* costs are drawn from these, and scaled */
    double scale;
} kinds[] = {
    { "least cost: coarse, many ties",         0,   3,    1 },
    { "least cost: both signs",                -5,  5,    1 },
    { "least cost: negative",                  -9,  -1,   1 },
    { "least cost: fractions, rounded sums",   0,   10,   0.1 },
    { "least cost: tiny",                      0,   1000, 1e-9 },
    { "least cost: huge",                      -99, 99,   1e12 },
    { "least cost: differences would overflow", -1,  1,   DBL_MAX / 100 },
    { "least cost: all zero",                  0,   0,    1 },
};

static void
least_cost_is_found(void **state)
{
    const struct kind *kind = *state;
    GRand *random = g_rand_new_with_seed(7);

    for (size_t n = 0; n <= SETS_MOST; n++)
        for (int round = 0; round < (n < BRUTE_MOST ? 30 : 3); round++) {
            double cost[SETS_MOST * SETS_MOST], bound, paid, want;
            uint32_t order[SETS_MOST];

            for (size_t i = 0; i < n * n; i++)
                cost[i] = kind->scale * g_rand_int_range(random, kind->least, kind->most + 1);
            for (size_t i = 0; i < n; i++)
                cost[i * n + i] = round % 2 ? NAN : 1e300;
            paid = order_pairs(cost, n, NULL, order, &bound);
            want = least_cost(cost, n);
            if (!(fabs(paid - want) <= 1e-13 * (kind->most - kind->least) * kind->scale))
                fail_msg("n %zu: %.17g, the least is %.17g", n, paid, want);
            assert_true(bound == paid);
        }
    g_rand_free(random);
}

static int64_t
part_above(imig__order_part *part, void (*solve)(imig__order_part *))
{
    int64_t above = 0;

    for (size_t i = 0; i < part->n; i++)
        part->order[i] = (uint32_t) i;
    solve(part);
    assert_permutation(part->order, part->n);
    for (size_t i = 0; i < part->n; i++)
        for (size_t j = i + 1; j < part->n; j++)
            above += MAX(part->d[part->order[i] * part->n + part->order[j]], 0);
    assert_true(part->bound <= above);
    return above;
}

/* Two ways that have nothing in common agree at the largest size that is exact. */
static void
search_finds_what_sets_prove(void **state)
{
    enum { N = IMIG__ORDER_EXACT_MOST };

    (void) state;
    for (guint32 seed = 0; seed < 6; seed++) {
        double *cost = order_instance((enum order_kind) (seed % 3), N, seed);
        int64_t d[N * N];
        uint32_t order[N];
        imig__order_part part = { .n = N, .d = d, .order = order, .effort = 2000 };
        int64_t least;

        for (size_t i = 0; i < N; i++)
            for (size_t j = 0; j < N; j++)
                d[i * N + j] = (int64_t) (cost[i * N + j] - cost[j * N + i]);
        least = part_above(&part, imig__order_exactly);
        assert_true(part.proven);
        assert_int_equal(part_above(&part, imig__order_by_search), least);
        g_free(cost);
    }
}

/* 1e-9 decides among some of them while others cost 1e12: each component has its own unit. */
static void
small_differences_count_beside_large_ones(void **state)
{
    /* Two cycles of three, in which the last pair is the cheapest to turn round. */
    double cost[6 * 6] = { 0 }, bound;
    uint32_t order[6];

    (void) state;
    for (size_t k = 0; k < 2; k++) {
        double unit = k ? 1e-9 : 1e12;
        size_t a = k, b = k + 2, c = k + 4;

        cost[b * 6 + a] = 3 * unit;
        cost[c * 6 + b] = 2 * unit;
        cost[a * 6 + c] = 1 * unit;
    }
    order_pairs(cost, 6, NULL, order, &bound);
    assert_memory_equal(order, ((uint32_t[]) { 0, 1, 2, 3, 4, 5 }), sizeof order);
}

/* ---- Ties --------------------------------------------------------------------------------- */

static void
equal_costs_keep_their_place(void **state)
{
    enum { N = 60 };
    double *cost = g_new(double, N * N), bound;
    uint32_t order[N];

    (void) state;
    for (size_t i = 0; i < N * N; i++)
        cost[i] = 0.1;
    order_pairs(cost, N, NULL, order, &bound);
    for (uint32_t i = 0; i < N; i++)
        assert_int_equal(order[i], i);
    /* Only the last wants to be before the one in the middle. */
    cost[30 * N + 59] = 1;
    order_pairs(cost, N, NULL, order, &bound);
    for (uint32_t i = 0; i < 30; i++)
        assert_int_equal(order[i], i);
    for (uint32_t i = 31; i < 59; i++)
        assert_int_equal(order[i - 1], i);
    assert_int_equal(order[58], 59);
    assert_int_equal(order[59], 30);
    g_free(cost);
}

/* ---- Large -------------------------------------------------------------------------------- */

/* Nobody has to be asked twice when all pairs agree: proven at any size. */
static void
a_hidden_sequence_is_found(void **state)
{
    enum { N = 400 };
    double *cost = g_new0(double, N * N), bound, paid;
    uint32_t order[N];

    (void) state;
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++)
            cost[i * N + j] = i * 7 % N < j * 7 % N ? 1 : 2 + (double) ((i + j) % 5);
    for (size_t i = 0; i < N; i++)
        cost[i * N + i] = NAN;
    paid = order_pairs(cost, N, NULL, order, &bound);
    for (uint32_t i = 0; i < N; i++)
        assert_int_equal(order[i] * 7 % N, i);
    assert_true(bound == paid);
    g_free(cost);
}

/* bench-order.c compares with 100 times the effort, on more instances. */
static const struct large {
    const char *name;
    enum order_kind kind;
    size_t n;
} larges[] = {
    { "10 times the effort gains 0.1 %: input-output, 44",  ORDER_INPUT_OUTPUT, 44 },
    { "10 times the effort gains 0.1 %: input-output, 75",  ORDER_INPUT_OUTPUT, 75 },
    { "10 times the effort gains 0.1 %: input-output, 100", ORDER_INPUT_OUTPUT, 100 },
    { "10 times the effort gains 0.1 %: input-output, 150", ORDER_INPUT_OUTPUT, 150 },
    { "10 times the effort gains 0.1 %: skewed, 44",        ORDER_SKEWED,       44 },
    { "10 times the effort gains 0.1 %: uniform, 44",       ORDER_UNIFORM,      44 },
};

static void
more_effort_gains_little(void **state)
{
    const struct large *c = *state;
    imig_order_pairs_options options = IMIG_ORDER_PAIRS_OPTIONS_INIT;
    uint32_t *order = g_new(uint32_t, c->n);
    double usual = 0, much = 0;

    options.set = IMIG_ORDER_PAIRS_HAS_EFFORT;
    options.effort = 10 * 200000 / c->n;
    options.seed = 1;
    for (guint32 seed = 0; seed < 2; seed++) {
        double *cost = order_instance(c->kind, c->n, seed), bound, much_bound, paid;

        paid = order_pairs(cost, c->n, NULL, order, &bound);
        usual += paid;
        much += order_pairs(cost, c->n, &options, order, &much_bound);
        assert_true(much_bound <= paid);
        g_free(cost);
    }
    if (!(usual <= 1.001 * much))
        fail_msg("%.9g, with more effort %.9g", usual, much);
    g_free(order);
}

/* Of three in a circle one pair stands the wrong way round in every order. */
static void
a_bound_is_more_than_the_least_costs(void **state)
{
    enum { N = 30 };
    double *cost = order_instance(ORDER_UNIFORM, N, 5), bound, least = 0;
    uint32_t order[N];

    (void) state;
    order_pairs(cost, N, NULL, order, &bound);
    for (size_t i = 0; i < N; i++)
        for (size_t j = i + 1; j < N; j++)
            least += fmin(cost[i * N + j], cost[j * N + i]);
    assert_true(bound > least);
    g_free(cost);
}

/* A circle of 30 that each like the next, and do not care about the others: one must give way. */
static void
a_circle_gives_way_where_it_is_weakest(void **state)
{
    enum { N = 30 };
    double *cost = g_new0(double, N * N), bound;
    uint32_t order[N];

    (void) state;
    for (size_t i = 0; i < N; i++)
        cost[(i + 1) % N * N + i] = i == 11 ? 1 : 2 + (double) (i % 3);
    assert_true(order_pairs(cost, N, NULL, order, &bound) == 1);
    for (uint32_t i = 0; i < N; i++)
        assert_int_equal(order[i], (i + 12) % N);
    g_free(cost);
}

static void
effort_and_seed_decide(void **state)
{
    enum { N = 100 };
    imig_order_pairs_options options = IMIG_ORDER_PAIRS_OPTIONS_INIT;
    double *cost = order_instance(ORDER_UNIFORM, N, 3), bound, none, some;
    uint32_t first[N], second[N];
    gboolean differs = FALSE;

    (void) state;
    options.set = IMIG_ORDER_PAIRS_HAS_EFFORT;
    none = order_pairs(cost, N, &options, first, &bound);
    options.effort = 20;
    some = order_pairs(cost, N, &options, first, &bound);
    assert_true(some < none);
    order_pairs(cost, N, &options, second, &bound);
    assert_memory_equal(first, second, sizeof first);
    for (options.seed = 1; options.seed < 10 && !differs; options.seed++) {
        order_pairs(cost, N, &options, second, &bound);
        differs = memcmp(first, second, sizeof first) != 0;
    }
    assert_true(differs);
    g_free(cost);
}

/* ---- Refused ------------------------------------------------------------------------------ */

static void
assert_refused(int code, const double *cost, size_t n, const imig_order_pairs_options *options,
               gboolean with_order, const char *message)
{
    uint32_t order[3] = { 7, 8, 9 };
    double bound = 42;
    imig_error *error = NULL;

    assert_int_equal(imig_order_pairs(cost, n, options, with_order ? order : NULL, &bound, &error),
                     code);
    assert_non_null(strstr(imig_error_message(error), message));
    assert_memory_equal(order, ((uint32_t[]) { 7, 8, 9 }), sizeof order);
    assert_true(bound == 42);
    imig_error_free(error);
    assert_int_equal(imig_order_pairs(cost, n, options, with_order ? order : NULL, NULL, NULL),
                     code);
}

static void
bad_arguments_are_refused(void **state)
{
    static const double bad[] = { NAN, INFINITY, -INFINITY };
    imig_order_pairs_options options = IMIG_ORDER_PAIRS_OPTIONS_INIT;
    double cost[9] = { 0 };

    (void) state;
    for (size_t i = 0; i < 3; i++)
        for (size_t k = 1; k < 9; k++) {
            if (k % 4 == 0)
                continue;
            cost[k] = bad[i];
            assert_refused(IMIG_ERR_ARGUMENT, cost, 3, NULL, TRUE, "is not finite");
            cost[k] = 0;
        }
    assert_refused(IMIG_ERR_ARGUMENT, NULL, 3, NULL, TRUE, "NULL");
    assert_refused(IMIG_ERR_ARGUMENT, cost, 3, NULL, FALSE, "NULL");
    options.size = 3;
    assert_refused(IMIG_ERR_ABI, cost, 3, &options, TRUE, "size");
    options.size = sizeof options;
    assert_int_equal(imig_order_pairs(NULL, 0, &options, NULL, NULL, NULL), IMIG_OK);
}

int
main(void)
{
    enum { KINDS = sizeof kinds / sizeof *kinds, LARGES = sizeof larges / sizeof *larges };
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(search_finds_what_sets_prove),
        cmocka_unit_test(small_differences_count_beside_large_ones),
        cmocka_unit_test(equal_costs_keep_their_place),
        cmocka_unit_test(a_hidden_sequence_is_found),
        cmocka_unit_test(a_bound_is_more_than_the_least_costs),
        cmocka_unit_test(a_circle_gives_way_where_it_is_weakest),
        cmocka_unit_test(effort_and_seed_decide),
        cmocka_unit_test(bad_arguments_are_refused),
    };
    enum { OTHERS = sizeof others / sizeof *others };
    struct CMUnitTest tests[KINDS + LARGES + OTHERS];

    for (size_t i = 0; i < KINDS; i++)
        tests[i] = (struct CMUnitTest) {
            .name = kinds[i].name, .test_func = least_cost_is_found,
            .initial_state = (void *) &kinds[i],
        };
    for (size_t i = 0; i < LARGES; i++)
        tests[KINDS + i] = (struct CMUnitTest) {
            .name = larges[i].name, .test_func = more_effort_gains_little,
            .initial_state = (void *) &larges[i],
        };
    memcpy(tests + KINDS + LARGES, others, sizeof others);
    return cmocka_run_group_tests_name("order-pairs", tests, NULL, NULL);
}
