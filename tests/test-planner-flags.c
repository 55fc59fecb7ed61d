/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "build.h"

#include <math.h>

/* A disk that only its host sees keeps a VM there, as hypervisors do, and so does memory that is
   dirtied too fast, until flags say more. */

static const double DISK = 20 * GIB, MEMORY = 2 * GIB;

static const struct disk_case {
    const char *name;
    uint64_t flags;
    int local, moves, copied;
} cases[] = {
    { "a VM whose disks are shared moves", 0, 0, 1, 0 },
    { "a disk that is not shared keeps it", 0, 1, 0, 0 },
    { "flags that are not about disks change nothing",
      IMIG_MIGRATE_POST_COPY | IMIG_MIGRATE_ENCRYPT, 1, 0, 0 },
    { "copied, the disk counts", IMIG_MIGRATE_COPY_DISKS, 1, 1, 1 },
    { "taken for shared, it does not", IMIG_MIGRATE_UNSAFE, 1, 1, 0 },
    { "copied all the same", IMIG_MIGRATE_UNSAFE | IMIG_MIGRATE_COPY_DISKS, 1, 1, 1 },
};

static imig_cluster *
make_cluster(int local)
{
    const double bytes[] = { 5 * GIB, DISK };
    const int32_t shared[] = { 1, !local };
    imig_cluster *cluster = imig_cluster_new(0);
    imig_vm_info vm = a_vm("db", 0, 1, MEMORY / GIB, IMIG_WORKLOAD_CPU);

    add_host(cluster, "h0", 8, 32);
    add_host(cluster, "h1", 8, 32);
    vm.disk_bytes = bytes;
    vm.disk_shared = shared;
    vm.disk_count = 2;
    put_vm(cluster, &vm);
    finish(cluster);
    return cluster;
}

static double
predicted_bytes(const imig_cluster *cluster, uint64_t flags)
{
    imig_predict_options options = IMIG_PREDICT_OPTIONS_INIT;
    const uint32_t vm = 0, to = 1;
    double bytes;

    options.migrate_flags = flags;
    assert_int_equal(imig_predict_sequence(cluster, NULL, &vm, &to, 1, &options, NULL, NULL, &bytes,
                                           NULL, NULL, NULL), IMIG_OK);
    return bytes;
}

static void
assert_kept(const imig_plan *plan)
{
    const char *vm, *code, *text;
    imig_plan_summary summary = IMIG_PLAN_SUMMARY_INIT;

    assert_int_equal(imig_plan_step_count(plan), 0);
    assert_int_equal(imig_plan_kept_count(plan), 1);
    assert_int_equal(imig_plan_get_kept(plan, 0, &vm, &code, &text, NULL), IMIG_OK);
    assert_string_equal(vm, "db");
    assert_string_equal(code, "local-disk");
    assert_non_null(strstr(text, "IMIG_MIGRATE_COPY_DISKS"));
    assert_int_equal(imig_plan_get_summary(plan, &summary, NULL), IMIG_OK);
    assert_false(summary.complete);
}

static void
a_drained_host_keeps_or_sheds_it(void **state)
{
    const struct disk_case *c = *state;
    imig_cluster *cluster = make_cluster(c->local);
    imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
    const uint32_t drain[] = { 0 };

    options.goal = "drain";
    options.drain = drain;
    options.drain_count = 1;
    options.migrate_flags = c->flags;
    for (uint32_t p = 0; (options.policy = imig_plan_policy_name(p)); p++) {
        imig_plan_step step = IMIG_PLAN_STEP_INIT;
        imig_plan *plan;

        assert_int_equal(imig_plan_make(cluster, &options, &plan, NULL), IMIG_OK);
        if (c->moves) {
            assert_int_equal(imig_plan_step_count(plan), 1);
            assert_int_equal(imig_plan_get_step(plan, 0, &step, NULL), IMIG_OK);
            assert_true(fabs(step.transferred_bytes - (c->copied ? DISK : 0) - MEMORY)
                        < 0.05 * MEMORY);
            assert_true(fabs(step.transferred_bytes - predicted_bytes(cluster, c->flags)) < 1);
        } else {
            assert_kept(plan);
        }
        imig_plan_unref(plan);
    }
    imig_cluster_unref(cluster);
}

static const struct busy_case {
    const char *name;
    uint64_t flags;
    size_t moves;
} busy_cases[] = {
    { "who would not converge stays", 0, 0 },
    { "also where only its disks may go", IMIG_MIGRATE_UNSAFE, 0 },
    { "throttled, it goes", IMIG_MIGRATE_AUTO_CONVERGE, 1 },
    { "with post-copy, it goes", IMIG_MIGRATE_POST_COPY, 1 },
};

static void
who_would_not_converge_goes_where_it_is_made_to(void **state)
{
    const struct busy_case *c = *state;
    imig_cluster *cluster = imig_cluster_new(0);
    imig_vm_info vm = a_vm("busy", 0, 1, 4, IMIG_WORKLOAD_MEMORY_DIRTY);
    imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
    const uint32_t drain[] = { 0 };
    imig_plan *plan;

    add_host(cluster, "h0", 8, 32);
    add_host(cluster, "h1", 8, 32);
    vm.dirty_bytes_per_s = 1e10;
    vm.working_set_bytes = 3 * GIB;
    vm.present |= UINT64_C(1) << IMIG_METRIC_DIRTY_BYTES_PER_S;
    vm.present |= UINT64_C(1) << IMIG_METRIC_WORKING_SET_BYTES;
    put_vm(cluster, &vm);
    finish(cluster);
    options.goal = "drain";
    options.drain = drain;
    options.drain_count = 1;
    options.migrate_flags = c->flags;
    assert_int_equal(imig_plan_make(cluster, &options, &plan, NULL), IMIG_OK);
    assert_int_equal(imig_plan_step_count(plan), c->moves);
    if (c->moves == 0) {
        const char *id, *code;

        assert_int_equal(imig_plan_get_kept(plan, 0, &id, &code, NULL, NULL), IMIG_OK);
        assert_string_equal(code, "will-not-converge");
    }
    imig_plan_unref(plan);
    imig_cluster_unref(cluster);
}

/* What a migration would cost is said also where nothing lets the VM go yet. */
static void
unknown_flags_are_refused_and_no_flags_copy(void **state)
{
    imig_predict_options predict = IMIG_PREDICT_OPTIONS_INIT;
    imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
    imig_cluster *cluster = make_cluster(1);
    imig_plan *plan = NULL;

    (void) state;
    assert_true(predicted_bytes(cluster, 0) > DISK);
    predict.migrate_flags = options.migrate_flags = UINT64_C(1) << 63;
    assert_int_equal(imig_plan_make(cluster, &options, &plan, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_predict_sequence(cluster, NULL, NULL, NULL, 0, &predict, NULL, NULL, NULL,
                                           NULL, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_null(plan);
    imig_cluster_unref(cluster);
}

int
main(void)
{
    enum { ROWS = sizeof cases / sizeof *cases, BUSY = sizeof busy_cases / sizeof *busy_cases };
    struct CMUnitTest tests[ROWS + BUSY + 1];

    for (size_t i = 0; i < ROWS; i++)
        tests[i] = (struct CMUnitTest) {
            .name = cases[i].name, .test_func = a_drained_host_keeps_or_sheds_it,
            .initial_state = (void *) &cases[i],
        };
    for (size_t i = 0; i < BUSY; i++)
        tests[ROWS + i] = (struct CMUnitTest) {
            .name = busy_cases[i].name,
            .test_func = who_would_not_converge_goes_where_it_is_made_to,
            .initial_state = (void *) &busy_cases[i],
        };
    tests[ROWS + BUSY] =
        (struct CMUnitTest) cmocka_unit_test(unknown_flags_are_refused_and_no_flags_copy);
    return cmocka_run_group_tests_name("planner-flags", tests, NULL, NULL);
}
