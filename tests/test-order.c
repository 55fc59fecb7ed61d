/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/base-priv.h"
#include "policy/random-priv.h"

#include <imig/order.h>
#include <imig/workload.h>
#include <math.h>
#include <string.h>

enum {
    CPU = IMIG_WORKLOAD_CPU, DIRTY = IMIG_WORKLOAD_MEMORY_DIRTY, WEB = IMIG_WORKLOAD_WEB_SERVER,
    RECV = IMIG_WORKLOAD_NET_RECEIVE, DISK = IMIG_WORKLOAD_DISK_IO,
    MOST = 7,  /* every sequence of so many can be tried */
    MANY = 900 /* more than the exact matrix is made for */
};

/* -- the paper's rule -- */

static const struct order_case {
    const char *name;
    size_t n;
    int32_t workload[4];
    double predicted_s[4];
    uint32_t want[4];
} cases[] = {
    { "memory-dirty before cpu (3.3)", 2,
      { CPU, DIRTY },         { 5, 90 },                { 1, 0 } },
    { "web first, receive last (3.3)", 3,
      { RECV, CPU, WEB },     { 1, 9, 50 },             { 2, 1, 0 } },
    { "shortest first otherwise (3.4)", 3,
      { DISK, CPU, CPU },     { 214.51, 26.69, 31.25 }, { 1, 2, 0 } },
    { "the shortest dirty one first", 3,
      { CPU, DIRTY, WEB },    { 1, 9, 8 },              { 2, 1, 0 } },
    { "equal VMs keep their place", 4,
      { CPU, CPU, CPU, CPU }, { 3, 3, 3, 3 },           { 0, 1, 2, 3 } },
};

static void
order_agrees_with_the_table(void **state)
{
    const struct order_case *c = *state;
    imig_error *error = NULL;
    uint32_t got[4] = { 0 };

    imig_order_options paper = IMIG_ORDER_OPTIONS_INIT;

    paper.policy = "paper";
    assert_int_equal(imig_order(c->workload, c->predicted_s, c->n, &paper, got, &error), IMIG_OK);
    assert_null(error);
    assert_memory_equal(got, c->want, sizeof got);
}

/* -- the pairwise model, DESIGN section 7 -- */

struct job_set {
    size_t n;
    int32_t workload[MANY];
    double time_s[MANY], downtime_s[MANY], a[MANY], b[MANY];
    uint32_t source[MANY], destination[MANY];
    imig_order_options options;
};

static double
uniform(uint64_t seed, uint64_t key)
{
    return (double) (imig__random(seed, key) >> 11) / 9007199254740992.0;
}

static void
fill(struct job_set *s, size_t n, uint32_t hosts, uint64_t seed)
{
    s->n = n;
    s->options = (imig_order_options) IMIG_ORDER_OPTIONS_INIT;
    for (size_t i = 0; i < n; i++) {
        uint64_t key = 8 * i;

        s->workload[i] = CPU;
        s->time_s[i] = floor(30 * uniform(seed, key)); /* 0 and ties occur */
        s->downtime_s[i] = uniform(seed, key + 1);
        s->a[i] = floor(4 * uniform(seed, key + 2)) / 4;
        s->b[i] = floor(4 * uniform(seed, key + 3)) / 4;
        s->source[i] = (uint32_t) (imig__random(seed, key + 4) % hosts);
        s->destination[i] = hosts + (uint32_t) (imig__random(seed, key + 5) % hosts);
    }
    s->options.source = s->source;
    s->options.destination = s->destination;
    s->options.hold_source = s->a;
    s->options.hold_destination = s->b;
    s->options.downtime_s = s->downtime_s;
}

/* What a sequence costs, from the description alone. */
static double
cost_of(const struct job_set *s, const uint32_t *order)
{
    double sum = 0;

    for (size_t i = 0; i < s->n; i++)
        for (size_t j = i + 1; j < s->n; j++) {
            uint32_t x = order[i], y = order[j];
            double px = s->time_s[x], py = s->time_s[y];

            if (s->options.order_by == IMIG_ORDER_BY_DOWNTIME) {
                px = s->downtime_s[x];
                py = s->downtime_s[y];
            }
            if (s->source[x] == s->source[y])
                sum += px * s->a[y];
            if (s->destination[x] == s->destination[y])
                sum += py * s->b[x];
            if (s->options.order_by == IMIG_ORDER_BY_COMPLETION)
                sum += px;
        }
    return sum;
}

static void
try_all(const struct job_set *s, uint32_t *order, size_t k, double *least)
{
    if (k == s->n)
        *least = MIN(*least, cost_of(s, order));
    for (size_t i = k; i < s->n; i++) {
        uint32_t x = order[i];

        order[i] = order[k];
        order[k] = x;
        try_all(s, order, k + 1, least);
        order[k] = order[i];
        order[i] = x;
    }
}

static void
get_order(const struct job_set *s, uint32_t *order)
{
    uint8_t seen[MANY] = { 0 };

    assert_int_equal(imig_order(s->workload, s->time_s, s->n, &s->options, order, NULL), IMIG_OK);
    for (size_t i = 0; i < s->n; i++) {
        assert_true(order[i] < s->n);
        assert_false(seen[order[i]]++);
    }
}

static void
no_sequence_of_a_few_is_better(void **unused)
{
    static struct job_set s;

    (void) unused;
    for (uint64_t seed = 1; seed <= 120; seed++) {
        uint32_t order[MOST], all[MOST];
        double least = INFINITY;

        fill(&s, 2 + seed % (MOST - 1), 1 + (uint32_t) seed % 3, seed);
        s.options.order_by = (int32_t) (seed / 3 % 3);
        get_order(&s, order);
        for (uint32_t i = 0; i < s.n; i++)
            all[i] = i;
        try_all(&s, all, 0, &least);
        if (cost_of(&s, order) > least + 1e-3 * (s.options.order_by == IMIG_ORDER_BY_DOWNTIME)
                                     + 1e-9)
            fail_msg("seed %d: %.17g, possible: %.17g", (int) seed, cost_of(&s, order), least);
    }
}

static void
no_time_at_all_goes_by_what_is_held_up(void **unused)
{
    const double time_s[] = { 0, 5, 0, 0 }, a[] = { 0, 0.5, 0.8, 0.3 }, b[] = { 0.8, 0.5, 0, 0.3 };
    const int32_t workload[] = { CPU, CPU, CPU, CPU };
    const uint32_t want[] = { 2, 3, 1, 0 }; /* a > b first, a < b last; equal: shortest first */
    imig_order_options options = IMIG_ORDER_OPTIONS_INIT;
    uint32_t order[4];

    (void) unused;
    options.hold_source = a;
    options.hold_destination = b;
    assert_int_equal(imig_order(workload, time_s, 4, &options, order, NULL), IMIG_OK);
    assert_memory_equal(order, want, sizeof want);
}

/* Where nothing else is said: one source, one destination, shares by class, memory by time. */
static void
everything_but_class_and_time_may_be_absent(void **unused)
{
    const int32_t workload[] = { RECV, CPU, WEB, DIRTY };
    const double time_s[] = { 20, 10, 50, 40 };
    static const struct {
        const char *policy;
        uint32_t want[4];
    } rows[] = {
        { NULL,             { 2, 3, 1, 0 } }, /* (a - b) / p: .8/50, .35/40, 0, -.8/20 */
        { "informed",       { 2, 3, 1, 0 } },
        { "paper",          { 3, 2, 1, 0 } }, /* the dirty one is shorter than the web server */
        { "least-loaded",   { 0, 1, 2, 3 } },
        { "smallest-first", { 1, 0, 3, 2 } },
        { "largest-first",  { 2, 3, 0, 1 } },
        { "as-given",       { 0, 1, 2, 3 } },
    };
    uint32_t order[4];

    (void) unused;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        imig_order_options options = IMIG_ORDER_OPTIONS_INIT;

        options.policy = rows[i].policy;
        assert_int_equal(imig_order(workload, time_s, 4, rows[i].policy ? &options : NULL, order,
                                    NULL), IMIG_OK);
        assert_memory_equal(order, rows[i].want, sizeof order);
    }
    assert_int_equal(imig_order(NULL, NULL, 0, NULL, NULL, NULL), IMIG_OK);
}

/* The receiver holds up the VM that prefers short downtime: it goes first, if that is worth it. */
static void
a_preference_for_short_downtime_has_its_price(void **unused)
{
    const int32_t workload[] = { RECV, CPU, DIRTY }, prefer[] = { 0, IMIG_PREFER_DOWNTIME, 0 };
    const double time_s[] = { 10, 10, 10 }, downtime_s[] = { 0.1, 5, 0.1 }, a[] = { 0, 0.1, 0.35 };
    const uint32_t cheap[] = { 2, 1, 0 };
    imig_order_options options = IMIG_ORDER_OPTIONS_INIT;
    uint32_t order[3];

    (void) unused;
    options.hold_source = a;
    options.prefer = prefer;
    options.downtime_s = downtime_s;
    options.set = IMIG_ORDER_HAS_DOWNTIME_PRICE;
    options.downtime_price = 0;
    assert_int_equal(imig_order(workload, time_s, 3, &options, order, NULL), IMIG_OK);
    assert_memory_equal(order, cheap, sizeof order);
    options.downtime_price = -1;
    assert_int_equal(imig_order(workload, time_s, 3, &options, order, NULL), IMIG_ERR_ARGUMENT);
}

/* Hundreds of VMs: as good as the solver for matrices with many restarts, within 5 %. */
static void
many_are_ordered_as_well(void **unused)
{
    static struct job_set s;
    static uint32_t order[MANY], solved[MANY];
    static double matrix[MANY * MANY];

    (void) unused;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        imig_order_pairs_options options = IMIG_ORDER_PAIRS_OPTIONS_INIT;
        double cost;

        fill(&s, MANY, seed % 2 ? 40 : 200, seed);
        get_order(&s, order);
        cost = cost_of(&s, order);
        for (uint32_t i = 0; i < MANY; i++)
            for (uint32_t j = 0; j < MANY; j++)
                matrix[i * MANY + j] =
                    (s.source[i] == s.source[j] ? s.time_s[i] * s.a[j] : 0)
                    + (s.destination[i] == s.destination[j] ? s.time_s[j] * s.b[i] : 0);
        options.set = IMIG_ORDER_PAIRS_HAS_EFFORT;
        options.effort = 300;
        assert_int_equal(imig_order_pairs(matrix, MANY, &options, solved, NULL, NULL), IMIG_OK);
        print_message("cost %.0f, %.4f of the solver's\n", cost, cost / cost_of(&s, solved));
        assert_true(cost <= 1.05 * cost_of(&s, solved));
    }
}

static void
wrong_arguments_are_answered(void **unused)
{
    static const double bad[] = { 1, -1 }, nan[] = { 1, NAN };
    static const int32_t prefer[] = { 0, 7 };
    static const struct {
        const char *message;
        int32_t workload[2];
        double time_s[2];
        imig_order_options options;
    } rows[] = {
        { "no order policy \"luck\"; there are informed, paper, least-loaded, smallest-first, "
          "largest-first, random, as-given", { 0, 0 }, { 1, 1 }, { .policy = "luck" } },
        { "workload[1]: 17: no such class", { 0, 17 }, { 1, 1 }, { .policy = NULL } },
        { "workload[0]: -1: no such class", { -1, 0 }, { 1, 1 }, { .policy = NULL } },
        { "predicted_s[1]: nan: must be finite and >= 0", { 0, 0 }, { 1, NAN },
          { .policy = NULL } },
        { "hold_source[1]: -1: must be finite and >= 0", { 0, 0 }, { 1, 1 },
          { .hold_source = bad } },
        { "hold_destination[1]: nan: must be finite and >= 0", { 0, 0 }, { 1, 1 },
          { .hold_destination = nan } },
        { "downtime_s[1]: -1: must be finite and >= 0", { 0, 0 }, { 1, 1 }, { .downtime_s = bad } },
        { "memory_bytes[1]: -1: must be finite and >= 0", { 0, 0 }, { 1, 1 },
          { .memory_bytes = bad } },
        { "prefer[1]: 7: not known", { 0, 0 }, { 1, 1 }, { .prefer = prefer } },
        { "order_by 3: not known", { 0, 0 }, { 1, 1 }, { .order_by = 3 } },
    };

    (void) unused;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        imig_order_options options = rows[i].options;
        uint32_t order[] = { 77, 77 };
        imig_error *error = NULL;

        options.size = sizeof options;
        assert_int_equal(imig_order(rows[i].workload, rows[i].time_s, 2, &options, order, &error),
                         IMIG_ERR_ARGUMENT);
        assert_string_equal(imig_error_message(error), rows[i].message);
        assert_true(order[0] == 77 && order[1] == 77);
        imig_error_free(error);
        options.size = 3;
        assert_int_equal(imig_order(rows[i].workload, rows[i].time_s, 2, &options, order, NULL),
                         IMIG_ERR_ABI);
    }
    assert_int_equal(imig_order(NULL, NULL, 1, NULL, NULL, NULL), IMIG_ERR_ARGUMENT);
}

int
main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(no_sequence_of_a_few_is_better),
        cmocka_unit_test(no_time_at_all_goes_by_what_is_held_up),
        cmocka_unit_test(everything_but_class_and_time_may_be_absent),
        cmocka_unit_test(a_preference_for_short_downtime_has_its_price),
        cmocka_unit_test(many_are_ordered_as_well),
        cmocka_unit_test(wrong_arguments_are_answered),
    };
    enum { N = G_N_ELEMENTS(cases) };
    struct CMUnitTest tests[N + G_N_ELEMENTS(others)];

    for (size_t i = 0; i < N; i++)
        tests[i] = (struct CMUnitTest) {
            .name = cases[i].name, .test_func = order_agrees_with_the_table,
            .initial_state = (void *) &cases[i],
        };
    memcpy(tests + N, others, sizeof others);
    return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}
