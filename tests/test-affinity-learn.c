/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib.h>
#include <imig/affinity.h>
#include <imig/error.h>
#include <imig/model.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static unsigned seed = 3;

static double
next(void)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) / 16777216.0;
}

/* VMs of one class that get so much done alone, beside neighbours that slow them by two slopes. */
static void
observe(imig_affinity_learner *learner, int vms, int each, double by_cpu, double by_disk,
        double noise)
{
    for (int v = 0; v < vms; v++) {
        double alone = 1 + 9 * next();
        char id[16];

        snprintf(id, sizeof id, "vm%d", v);
        for (int i = 0; i < each; i++) {
            double beside[IMIG_WORKLOAD_COUNT] = { 0 };

            beside[IMIG_WORKLOAD_CPU] = 0.6 * next();
            beside[IMIG_WORKLOAD_DISK_IO] = 0.4 * next();
            assert_int_equal(imig_affinity_learner_add(
                learner, id, IMIG_WORKLOAD_CPU, alone * (1 - by_cpu * beside[IMIG_WORKLOAD_CPU]
                    - by_disk * beside[IMIG_WORKLOAD_DISK_IO]) * (1 + noise * (next() - 0.5)),
                beside, IMIG_WORKLOAD_COUNT, NULL), IMIG_OK);
        }
    }
}

static imig_slowdown
find(const imig_affinity_learner *learner, size_t count, int32_t neighbour)
{
    imig_slowdown s = IMIG_SLOWDOWN_INIT;

    for (size_t i = 0; i < count; i++) {
        assert_int_equal(imig_affinity_learner_get(learner, i, &s, NULL), IMIG_OK);
        if (s.neighbour == neighbour)
            return s;
    }
    fail_msg("nothing about class %d", neighbour);
    return s;
}

static void
slowdowns_that_were_so_are_found(void **state)
{
    imig_affinity_learner *learner = imig_affinity_learner_new();
    imig_slowdown cpu, disk;
    size_t count;

    (void) state;
    observe(learner, 10, 6, 0.5, 0.2, 0);
    assert_int_equal(imig_affinity_learner_finish(learner, &count, NULL), IMIG_OK);
    assert_int_equal(count, 2);
    cpu = find(learner, count, IMIG_WORKLOAD_CPU);
    disk = find(learner, count, IMIG_WORKLOAD_DISK_IO);
    assert_true(fabs(cpu.slowdown_ratio - 0.5) < 1e-3 && cpu.standard_error < 1e-3);
    assert_true(fabs(disk.slowdown_ratio - 0.2) < 1e-3);
    assert_true(cpu.sure && disk.sure && cpu.p_value < 1e-6);
    assert_int_equal(cpu.observations, 60);
    assert_int_equal(cpu.vms, 10);
    assert_int_equal(cpu.victim, IMIG_WORKLOAD_CPU);
    imig_affinity_learner_free(learner);
}

/* In 95 of 100 cases the truth is within two standard errors: looked at many times. */
static void
the_standard_error_is_one(void **state)
{
    int inside = 0;
    enum { TIMES = 200 };

    (void) state;
    for (int i = 0; i < TIMES; i++) {
        imig_affinity_learner *learner = imig_affinity_learner_new();
        imig_slowdown cpu;
        size_t count;

        observe(learner, 8, 5, 0.3, 0.1, 0.2);
        assert_int_equal(imig_affinity_learner_finish(learner, &count, NULL), IMIG_OK);
        cpu = find(learner, count, IMIG_WORKLOAD_CPU);
        inside += fabs(cpu.slowdown_ratio - 0.3) < 2 * cpu.standard_error;
        imig_affinity_learner_free(learner);
    }
    assert_in_range(inside, 0.9 * TIMES, 0.99 * TIMES);
}

/* Nobody slows anybody: in one of twenty tables, no more, something looks sure.  Means of a VM are
   no matter of its own, so the fewer there are the less is sure. */
static void
chance_is_seldom_sure(void **state)
{
    enum { TIMES = 200 };
    int wrong = 0;

    (void) state;
    for (int i = 0; i < TIMES; i++) {
        imig_affinity_learner *learner = imig_affinity_learner_new();
        imig_slowdown s = IMIG_SLOWDOWN_INIT;
        gboolean any = FALSE;
        size_t count;

        observe(learner, 7, 5, 0, 0, 0.5);
        assert_int_equal(imig_affinity_learner_finish(learner, &count, NULL), IMIG_OK);
        for (size_t k = 0; k < count; k++) {
            assert_int_equal(imig_affinity_learner_get(learner, k, &s, NULL), IMIG_OK);
            any = any || s.p_value < 0.05;
        }
        wrong += any;
        imig_affinity_learner_free(learner);
    }
    assert_in_range(wrong, 0, 0.05 * TIMES);
}

/* Two cells; the smaller of their p-values counts twice, the other one once. */
static void
p_values_are_those_of_tables(void **state)
{
    imig_affinity_learner *learner = imig_affinity_learner_new();
    imig_slowdown cpu, disk;
    double t_cpu, t_disk;
    size_t count;

    (void) state;
    observe(learner, 3, 8, 0.3, 0.05, 0.6); /* two degrees of freedom: 1 - t / sqrt(t^2 + 2) */
    assert_int_equal(imig_affinity_learner_finish(learner, &count, NULL), IMIG_OK);
    assert_int_equal(count, 2);
    cpu = find(learner, count, IMIG_WORKLOAD_CPU);
    disk = find(learner, count, IMIG_WORKLOAD_DISK_IO);
    t_cpu = fabs(cpu.slowdown_ratio / cpu.standard_error);
    t_disk = fabs(disk.slowdown_ratio / disk.standard_error);
    t_cpu = 1 - t_cpu / sqrt(t_cpu * t_cpu + 2);
    t_disk = 1 - t_disk / sqrt(t_disk * t_disk + 2);
    assert_true(fabs(fmin(cpu.p_value, disk.p_value) - fmin(1, 2 * fmin(t_cpu, t_disk))) < 1e-9);
    assert_true(fabs(fmax(cpu.p_value, disk.p_value)
                     - fmin(1, fmax(2 * fmin(t_cpu, t_disk), fmax(t_cpu, t_disk)))) < 1e-9);
    imig_affinity_learner_free(learner);
}

/* More than everything is lost, or something won: however little noise, there is another reason. */
static void
what_cannot_be_is_not_sure(void **state)
{
    imig_affinity_learner *learner = imig_affinity_learner_new();
    imig_slowdown s;
    size_t count;

    (void) state;
    observe(learner, 10, 6, 1.4, -0.5, 0.01);
    assert_int_equal(imig_affinity_learner_finish(learner, &count, NULL), IMIG_OK);
    s = find(learner, count, IMIG_WORKLOAD_CPU);
    assert_true(s.slowdown_ratio > 1 && s.p_value < 0.001 && !s.sure);
    s = find(learner, count, IMIG_WORKLOAD_DISK_IO);
    assert_true(s.slowdown_ratio < 0 && s.p_value < 0.001 && !s.sure);
    imig_affinity_learner_free(learner);
}

static void
too_few_are_refused(void **state)
{
    imig_affinity_learner *learner = imig_affinity_learner_new();
    const double alone[IMIG_WORKLOAD_COUNT] = { 0 }, wrong[] = { NAN };
    imig_error *error = NULL;
    size_t count = 7;

    (void) state;
    assert_int_equal(imig_affinity_learner_finish(learner, &count, &error), IMIG_ERR_INVALID);
    assert_non_null(strstr(imig_error_message(error), "too few"));
    imig_error_free(error);
    observe(learner, 2, 5, 0.5, 0.2, 0);
    assert_int_equal(imig_affinity_learner_finish(learner, &count, NULL), IMIG_ERR_INVALID);
    /* Many, but nobody's neighbours change. */
    for (int i = 0; i < 100; i++)
        assert_int_equal(imig_affinity_learner_add(learner, i % 2 ? "x" : "y", IMIG_WORKLOAD_CPU,
                                                   1 + i % 2, alone, IMIG_WORKLOAD_COUNT, NULL),
                         IMIG_OK);
    assert_int_equal(imig_affinity_learner_finish(learner, &count, NULL), IMIG_ERR_INVALID);
    assert_int_equal(count, 7);
    assert_int_equal(imig_affinity_learner_add(learner, "v", IMIG_WORKLOAD_COUNT, 1, alone, 1,
                                               NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_affinity_learner_add(learner, "v", 1, 0, alone, 1, NULL),
                     IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_affinity_learner_add(learner, "v", 1, 1, wrong, 1, NULL),
                     IMIG_ERR_ARGUMENT);
    imig_affinity_learner_free(learner);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slowdowns_that_were_so_are_found),
        cmocka_unit_test(the_standard_error_is_one),
        cmocka_unit_test(chance_is_seldom_sure),
        cmocka_unit_test(p_values_are_those_of_tables),
        cmocka_unit_test(what_cannot_be_is_not_sure),
        cmocka_unit_test(too_few_are_refused),
    };

    return cmocka_run_group_tests_name("affinity-learn", tests, NULL, NULL);
}
