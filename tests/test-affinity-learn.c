/* SPDX-License-Identifier: LGPL-2.1-or-later */
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
        cmocka_unit_test(too_few_are_refused),
    };

    return cmocka_run_group_tests_name("affinity-learn", tests, NULL, NULL);
}
