/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib.h>
#include <imig/model.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 20 };

struct result {
    double slope, plateau, residual;
    int32_t writes;
};

static struct result
fit(const double *elapsed_s, const double *dirtied_bytes, size_t n)
{
    struct result r = { NAN, -1, NAN, -1 };
    imig_error *error = NULL;

    assert_int_equal(imig_dirty_fit(elapsed_s, dirtied_bytes, n, &r.slope, &r.plateau, &r.writes,
                                    &r.residual, &error), IMIG_OK);
    assert_null(error);
    return r;
}

static double
curve(int32_t writes, double slope, double plateau, double elapsed_s)
{
    return writes == IMIG_WRITES_CYCLIC ? MIN(slope * elapsed_s, plateau)
                                        : plateau * (1 - exp(-slope * elapsed_s / plateau));
}

static void
assert_near(double got, double want, double relative)
{
    if (!(fabs(got - want) <= fabs(want) * relative))
        fail_msg("%g is not within %g %% of %g", got, relative * 100, want);
}

/* Points of a curve, each off by up to `noise` of itself, upwards and downwards in turn. */
static const struct curve_case {
    const char *name;
    double slope, plateau, period_s, noise, within;
    int32_t writes;
    uint32_t n;
} curve_cases[] = {
    { "random writer, exact", 20e6, 64e6, 1, 0, 1e-6, IMIG_WRITES_RANDOM, 12 },
    { "cyclic writer, exact", 20e6, 64e6, 1, 0, 1e-6, IMIG_WRITES_CYCLIC, 12 },
    { "cyclic writer, the knee on a point", 20e6, 60e6, 1, 0, 1e-6, IMIG_WRITES_CYCLIC, 12 },
    { "random writer, first looks after a minute", 1e6, 300e6, 60, 0, 1e-6, IMIG_WRITES_RANDOM, 8 },
    { "random writer, a few bytes", 3, 10, 1, 0, 1e-6, IMIG_WRITES_RANDOM, 8 },
    { "random writer, very large", 1e200, 3e200, 1, 0, 1e-6, IMIG_WRITES_RANDOM, 8 },
    { "random writer, 2 % noise", 20e6, 64e6, 1, 0.02, 0.15, IMIG_WRITES_RANDOM, 20 },
    { "cyclic writer, 2 % noise", 20e6, 64e6, 1, 0.02, 0.1, IMIG_WRITES_CYCLIC, 20 },
    { "two points of a random writer", 20e6, 64e6, 2, 0, 1e-3, IMIG_WRITES_RANDOM, 2 },
};

static void
curve_is_found_again(void **state)
{
    const struct curve_case *c = *state;
    double elapsed_s[MOST], dirtied_bytes[MOST], most = 0;
    struct result r;

    for (uint32_t i = 0; i < c->n; i++) {
        double exact, off = 1 + c->noise * (i % 2 ? 1 : -1);

        elapsed_s[i] = (i + 1) * c->period_s;
        exact = curve(c->writes, c->slope, c->plateau, elapsed_s[i]);
        most = dirtied_bytes[i] = MAX(exact * off, most);
    }
    r = fit(elapsed_s, dirtied_bytes, c->n);
    assert_int_equal(r.writes, c->writes);
    assert_near(r.slope, c->slope, c->within);
    assert_near(r.plateau, c->plateau, c->within);
    assert_true(r.residual <= c->plateau * (c->noise * 1.5 + 1e-6));
}

/* What does not bend has no plateau: the line through it. */
static const struct line_case {
    const char *name;
    double elapsed_s[6], dirtied_bytes[6], slope;
    uint32_t n;
} line_cases[] = {
    { "one point gives a lower bound", { 2 }, { 50e6 }, 25e6, 1 },
    { "one point of nothing", { 2 }, { 0 }, 0, 1 },
    { "nothing dirtied", { 1, 2, 3 }, { 0, 0, 0 }, 0, 3 },
    { "two points on a line", { 1, 2 }, { 10e6, 20e6 }, 10e6, 2 },
    { "still rising steadily", { 1, 2, 3, 4, 5, 6 }, { 1e6, 2e6, 3e6, 4e6, 5e6, 6e6 }, 1e6, 6 },
    { "steadily but for noise", { 1, 2, 3, 4, 5, 6 },
      { 1.02e6, 1.97e6, 3.02e6, 3.99e6, 5.03e6, 5.97e6 }, 1e6, 6 },
    { "rising ever faster", { 1, 2, 3, 4, 5, 6 }, { 1, 2, 4, 8, 16, 32 }, 3.57, 6 },
};

static void
line_has_no_plateau(void **state)
{
    const struct line_case *c = *state;
    struct result r = fit(c->elapsed_s, c->dirtied_bytes, c->n);

    assert_true(isnan(r.plateau));
    assert_near(r.slope, c->slope, 0.02);
    assert_int_equal(r.writes, IMIG_WRITES_RANDOM);
}

static void
what_is_full_at_once_has_the_least_slope_that_fits(void **state)
{
    const double elapsed_s[] = { 0.5, 1, 2, 4 }, dirtied_bytes[] = { 32e6, 32e6, 32e6, 32e6 };
    struct result r = fit(elapsed_s, dirtied_bytes, 4);

    (void) state;
    assert_near(r.plateau, 32e6, 1e-6);
    assert_near(r.slope, 64e6, 1e-6);
    assert_int_equal(r.writes, IMIG_WRITES_CYCLIC);
}

static void
xen_lab_windows_give_rate_and_size(void **state)
{
    /* 1000 pages/s round and round in 4096 pages and about 100 pages of background, unions. */
    const double page = 4096;
    double elapsed_s[10], dirtied_bytes[10];
    struct result r;

    (void) state;
    for (int i = 0; i < 10; i++) {
        elapsed_s[i] = i + 1;
        dirtied_bytes[i] = (MIN(1010 * (i + 1), 4096) + 100 + i) * page;
    }
    r = fit(elapsed_s, dirtied_bytes, 10);
    assert_int_equal(r.writes, IMIG_WRITES_CYCLIC);
    assert_near(r.slope, 1100 * page, 0.1);
    assert_near(r.plateau, 4210 * page, 0.02);
}

/* -- samples of pages -- */

static const double grain = 2 << 20; /* what QEMU's sample of 512 pages in a GiB makes of one */

/* Poisson's distribution, by Knuth's product of uniform numbers. */
static double
poisson(GRand *random, double mean)
{
    double product = g_rand_double(random), least = exp(-mean);
    int count = 0;

    for (; product > least; count++)
        product *= g_rand_double(random);
    return count;
}

static const struct sampled_case {
    const char *name;
    int32_t writes;
    double slope, plateau; /* in grains, and a second */
} sampled_cases[] = {
    { "sample: random writer, full after a second", IMIG_WRITES_RANDOM, 20, 10 },
    { "sample: random writer, full after some seconds", IMIG_WRITES_RANDOM, 10, 20 },
    { "sample: random writer, not full within the looks", IMIG_WRITES_RANDOM, 8, 60 },
    { "sample: cyclic writer", IMIG_WRITES_CYCLIC, 5, 15 },
};

/*
 * Looks of 1 to 8 seconds, each a new sample.  Who knew the form of the curve would be off in what
 * is dirtied in 4 s by no more than the error of as many pages as were seen; who fits two numbers
 * and a form may be twice as far.  And no dirty rate is out of all proportion, which would make a
 * migration that never ends of one that does.
 */
static void
sampled_curve_is_about_as_good_as_the_sample(void **state)
{
    static const struct { double period_s; int looks; } looks[] = {
        { 1, 3 }, { 2, 2 }, { 4, 2 }, { 8, 2 }
    };
    enum { SEEDS = 400, LOOKS = G_N_ELEMENTS(looks) };
    const struct sampled_case *c = *state;
    double want = curve(c->writes, c->slope, c->plateau, 4), pages = 0, sum = 0, squares = 0;

    for (size_t k = 0; k < LOOKS; k++)
        pages += looks[k].looks * curve(c->writes, c->slope, c->plateau, looks[k].period_s);
    for (uint32_t seed = 0; seed < SEEDS; seed++) {
        GRand *random = g_rand_new_with_seed(seed);
        double elapsed_s[LOOKS], dirtied[LOOKS], grains[LOOKS], got;
        struct result r;

        for (size_t k = 0; k < LOOKS; k++) {
            elapsed_s[k] = looks[k].period_s;
            grains[k] = grain / looks[k].looks;
            dirtied[k] = grains[k] * poisson(random, looks[k].looks
                * curve(c->writes, c->slope, c->plateau, looks[k].period_s));
        }
        assert_int_equal(imig_dirty_fit_sampled(elapsed_s, dirtied, grains, LOOKS, &r.slope,
                                                &r.plateau, &r.writes, &r.residual, NULL),
                         IMIG_OK);
        assert_true(r.slope < 4 * c->slope * grain);
        got = isnan(r.plateau) ? r.slope * 4 : curve(r.writes, r.slope, r.plateau, 4);
        sum += got / grain / want - 1;
        squares += (got / grain / want - 1) * (got / grain / want - 1);
        g_rand_free(random);
    }
    assert_true(fabs(sum / SEEDS) < 0.06);
    assert_true(sqrt(squares / SEEDS) < 2 / sqrt(pages));
}

/* With no chance in it a sample is as good as counted pages. */
static void
fine_grains_find_the_curve_again(void **state)
{
    double elapsed_s[] = { 1, 2, 4, 8 }, dirtied[4], grains[4];

    (void) state;
    for (int32_t writes = IMIG_WRITES_RANDOM; writes <= IMIG_WRITES_CYCLIC; writes++) {
        struct result r;

        for (size_t k = 0; k < 4; k++) {
            dirtied[k] = curve(writes, 20e6, 70e6, elapsed_s[k]);
            grains[k] = 1;
        }
        assert_int_equal(imig_dirty_fit_sampled(elapsed_s, dirtied, grains, 4, &r.slope,
                                                &r.plateau, &r.writes, &r.residual, NULL),
                         IMIG_OK);
        assert_int_equal(r.writes, writes);
        assert_near(r.slope, 20e6, 1e-3);
        assert_near(r.plateau, 70e6, 1e-3);
        assert_true(r.residual < 1e5);
    }
}

static void
a_sample_of_which_nothing_was_dirtied_is_idle(void **state)
{
    const double elapsed_s[] = { 1, 2, 4 }, none[] = { 0, 0, 0 }, grains[] = { 9, 9, 9 };
    struct result r;

    (void) state;
    assert_int_equal(imig_dirty_fit_sampled(elapsed_s, none, grains, 3, &r.slope, &r.plateau,
                                            &r.writes, &r.residual, NULL), IMIG_OK);
    assert_true(r.slope == 0 && isnan(r.plateau) && r.residual == 0);
}

static void
wrong_grains_are_refused(void **state)
{
    const double good[] = { 1, 2, 3 }, falling[] = { 2, 1, 3 }, some[] = { 1, 0, 1 };
    const double none[] = { 0, 0, 0 }, odd[] = { 1, NAN, 1 }, negative[] = { 1, 1, -1 };
    const double *const wrong[] = { some, odd, negative };
    struct result r = { 0 };

    (void) state;
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
        assert_int_equal(imig_dirty_fit_sampled(good, good, wrong[i], 3, &r.slope, &r.plateau,
                                                &r.writes, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_dirty_fit_sampled(good, falling, none, 3, &r.slope, &r.plateau,
                                            &r.writes, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_dirty_fit_sampled(good, falling, good, 3, &r.slope, &r.plateau,
                                            &r.writes, NULL, NULL), IMIG_OK);
}

static void
wrong_points_are_refused(void **state)
{
    const double good[] = { 1, 2, 3 }, falling[] = { 1, 2, 1.5 }, twice[] = { 1, 2, 2 };
    const double zero[] = { 0, 1, 2 }, none[] = { 1, NAN, 3 }, endless[] = { 1, 2, INFINITY };
    const double negative[] = { -1, 2, 3 };
    double slope = 42, plateau = 42;
    int32_t writes = 42;
    imig_error *error = NULL;
    const struct {
        const double *elapsed_s, *dirtied_bytes;
        size_t n;
    } wrong[] = {
        { NULL, good, 3 }, { good, NULL, 3 }, { good, good, 0 }, { zero, good, 3 },
        { twice, good, 3 }, { falling, good, 3 }, { none, good, 3 }, { endless, good, 3 },
        { good, falling, 3 }, { good, none, 3 }, { good, endless, 3 }, { good, negative, 3 },
    };

    (void) state;
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        assert_int_equal(imig_dirty_fit(wrong[i].elapsed_s, wrong[i].dirtied_bytes, wrong[i].n,
                                        &slope, &plateau, &writes, NULL, &error),
                         IMIG_ERR_ARGUMENT);
        assert_non_null(error);
        imig_error_free(error);
        error = NULL;
    }
    assert_int_equal(imig_dirty_fit(good, good, 3, NULL, &plateau, &writes, NULL, NULL),
                     IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_dirty_fit(good, good, 3, &slope, NULL, &writes, NULL, NULL),
                     IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_dirty_fit(good, good, 3, &slope, &plateau, NULL, NULL, NULL),
                     IMIG_ERR_ARGUMENT);
    assert_true(slope == 42 && plateau == 42 && writes == 42);
}

int
main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(what_is_full_at_once_has_the_least_slope_that_fits),
        cmocka_unit_test(xen_lab_windows_give_rate_and_size),
        cmocka_unit_test(fine_grains_find_the_curve_again),
        cmocka_unit_test(a_sample_of_which_nothing_was_dirtied_is_idle),
        cmocka_unit_test(wrong_grains_are_refused),
        cmocka_unit_test(wrong_points_are_refused),
    };
    enum {
        N_CURVES = G_N_ELEMENTS(curve_cases), N_LINES = G_N_ELEMENTS(line_cases),
        N_OTHERS = G_N_ELEMENTS(others), N_SAMPLED = G_N_ELEMENTS(sampled_cases),
    };
    struct CMUnitTest tests[N_CURVES + N_LINES + N_SAMPLED + N_OTHERS], *t = tests;

    for (size_t i = 0; i < N_CURVES; i++)
        *t++ = (struct CMUnitTest) { .name = curve_cases[i].name,
            .test_func = curve_is_found_again, .initial_state = (void *) &curve_cases[i] };
    for (size_t i = 0; i < N_LINES; i++)
        *t++ = (struct CMUnitTest) { .name = line_cases[i].name,
            .test_func = line_has_no_plateau, .initial_state = (void *) &line_cases[i] };
    for (size_t i = 0; i < N_SAMPLED; i++)
        *t++ = (struct CMUnitTest) { .name = sampled_cases[i].name,
            .test_func = sampled_curve_is_about_as_good_as_the_sample,
            .initial_state = (void *) &sampled_cases[i] };
    memcpy(t, others, sizeof others);
    return cmocka_run_group_tests_name("dirty-fit", tests, NULL, NULL);
}
