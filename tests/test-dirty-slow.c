/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Watching VMs of a hypervisor that estimates dirty pages over whole periods. */

#include "fake-hosts.h"

#include <imig/monitor.h>

static const double estimates[] = { 0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000 };

static const struct slow_case {
    const char *name;
    double period_s, watch_s, for_s; /* 0: as long as there is time */
    int measured; /* of the four VMs of host B, in the first call */
    int again;    /* in all, after a second one */
    const char *says;
} slow_cases[] = {
    { "exact readings at any time", 0, 8, 0, 4, 4, NULL },
    { "whole seconds, and time for all", 1, 40, 0, 4, 4, NULL },
    { "whole seconds: fewer VMs rather than none", 1, 8, 0, 2, 4, NULL },
    { "the first point comes late: it is waited for", 3, 8, 0, 2, 4, NULL },
    { "the time that was asked for is not changed, but waited beyond", 1, 7, 0.5, 4, 4, NULL },
    { "no time for even one", 1, 0.9, 0, 0, 0, NULL },
    { "never a point: said, and passed over", 60, 8, 0, 0, 0,
      "1 dirty pages of VM v0: no reading within 6.8 s\n" },
};

static void
take_line(int32_t level, const char *line, void *user_data)
{
    g_string_append_printf(user_data, "%d %s\n", level, line);
}

static int
count_measured(imig_monitor *monitor)
{
    imig_cluster *cluster;
    int measured = 0;

    assert_int_equal(imig_monitor_snapshot(monitor, &cluster, NULL), IMIG_OK);
    for (uint32_t i = 0; i < imig_cluster_vm_count(cluster); i++) {
        imig_vm_info vm = { .size = sizeof vm };

        assert_int_equal(imig_cluster_get_vm(cluster, i, &vm, NULL), IMIG_OK);
        if (!(vm.present & UINT64_C(1) << IMIG_METRIC_DIRTY_BYTES_PER_S))
            continue;
        assert_true(fabs(vm.dirty_bytes_per_s - 100) < 1e-6 || world.period_s != 1);
        measured++;
    }
    imig_cluster_unref(cluster);
    return measured;
}

/* Watches host B; for_s: dirty pages of a VM, 0: as long as there is time. */
static imig_monitor *
watch_b(imig_context *context, double for_s, imig_connection **connection)
{
    static const char *const uri = "fake:B";
    imig_monitor_options o = IMIG_MONITOR_OPTIONS_INIT;
    imig_monitor *monitor;

    assert_int_equal(imig_connect(context, &uri, 1, connection, NULL), IMIG_OK);
    imig_context_unref(context);
    if (for_s > 0) {
        o.set = IMIG_MONITOR_HAS_DIRTY_FOR;
        o.dirty_for_s = for_s;
    }
    assert_int_equal(imig_monitor_new(*connection, &o, &monitor, NULL), IMIG_OK);
    return monitor;
}

static void
slow_readings_are_given_the_time_they_need(void **state)
{
    static const char *const ids[VMS] = { "v0", "v1", "v2", "v3" };
    const struct slow_case *c = *state;
    GString *log = g_string_new(NULL);
    imig_context *context = begin_world();
    imig_connection *connection;
    imig_monitor *monitor;

    for (int i = 0; i < VMS; i++)
        world.vms[i] = (fake_vm) { ids[i], "B", NULL, 0, 0 };
    world.period_s = c->period_s;
    world.estimates = estimates;
    imig_context_set_log(context, IMIG_LOG_WARNING, take_line, log, NULL);
    monitor = watch_b(context, c->for_s, &connection);
    assert_int_equal(imig_monitor_watch(monitor, c->watch_s, NULL), IMIG_OK);
    assert_true(fabs(world.clock_s - c->watch_s) < 1e-9);
    assert_int_equal(count_measured(monitor), c->measured);
    assert_string_equal(log->str, c->says ? c->says : "");
    assert_int_equal(world.logging, 0);
    assert_int_equal(imig_monitor_watch(monitor, c->watch_s, NULL), IMIG_OK);
    assert_int_equal(count_measured(monitor), c->again);
    assert_int_equal(world.logging, 0);
    imig_monitor_free(monitor);
    imig_connection_unref(connection);
    g_string_free(log, TRUE);
}

/* Points in the order in which a backend tells them, and the curve they make. */
static const struct keep_case {
    const char *name;
    size_t n, kept;
    double elapsed_s[4], dirtied[4];
    double kept_s[4], kept_bytes[4];
    double grain;
    size_t room; /* 0: for all */
} keep_cases[] = {
    { "later points follow", 3, 3, { 1, 2, 4 }, { 10, 15, 20 }, { 1, 2, 4 }, { 10, 15, 20 } },
    { "a union does not shrink", 2, 2, { 1, 2 }, { 10, 8 }, { 1, 2 }, { 10, 10 } },
    { "the same time again: the newer figure", 3, 2, { 1, 1, 2 }, { 10, 7, 9 }, { 1, 2 },
      { 7, 9 } },
    { "the same again does not shrink the union", 3, 2, { 1, 2, 2 }, { 10, 15, 8 }, { 1, 2 },
      { 10, 10 } },
    { "none yet, and none that is earlier", 4, 1, { 0, 2, 1, 0 }, { 0, 5, 9, 9 }, { 2 }, { 5 } },
    { "what is no number is no point", 2, 1, { NAN, 1 }, { 1, 3 }, { 1 }, { 3 } },
    { "an estimate may be smaller", 2, 2, { 1, 2 }, { 10, 8 }, { 1, 2 }, { 10, 8 }, .grain = 2 },
    { "a grain that is no number", 1, 0, { 1 }, { 10 }, .grain = NAN },
    { "a negative grain", 1, 0, { 1 }, { 10 }, .grain = -1 },
    { "no room: the last counts", 3, 2, { 1, 2, 4 }, { 10, 15, 20 }, { 1, 4 }, { 10, 20 },
      .room = 2 },
};

static void
points_make_one_curve(void **state)
{
    const struct keep_case *c = *state;
    double elapsed_s[4], dirtied[4], grain[4];
    imig__dirty_points points = { elapsed_s, dirtied, grain, 0, c->room ? c->room : 4 };

    for (size_t i = 0; i < c->n; i++) {
        imig_dirty_point point = {
            .size = sizeof point, .elapsed_s = c->elapsed_s[i], .dirtied_bytes = c->dirtied[i],
            .grain_bytes = c->grain,
        };

        imig__dirty_keep(&point, &points);
    }
    assert_int_equal(points.count, c->kept);
    assert_memory_equal(elapsed_s, c->kept_s, points.count * sizeof *elapsed_s);
    assert_memory_equal(dirtied, c->kept_bytes, points.count * sizeof *dirtied);
    for (size_t i = 0; i < points.count; i++)
        assert_true(grain[i] == c->grain);
}

static const struct sampled_case {
    const char *name;
    double watch_s, for_s; /* 0: as long as there is time */
    int given;             /* the longest look that was read, in seconds */
} sampled_cases[] = {
    { "samples: what waits is read, too", 14, 0, 4 },
    { "samples: looked at for longer where there is time", 40, 0, 8 },
    { "samples: not longer than was asked for", 40, 12, 4 },
};

static void
samples_are_looked_at_for_longer(void **state)
{
    const struct sampled_case *c = *state;
    imig_context *context = begin_world();
    imig_vm_info vm = { .size = sizeof vm };
    imig_connection *connection;
    imig_monitor *monitor;
    imig_cluster *cluster;

    memset(world.vms, 0, sizeof world.vms);
    world.vms[0] = (fake_vm) { "v0", "B", NULL, 0, 0 };
    world.sampled = 1;
    monitor = watch_b(context, c->for_s, &connection);
    assert_int_equal(imig_monitor_watch(monitor, c->watch_s, NULL), IMIG_OK);
    assert_int_equal(world.given, c->given);
    assert_int_equal(world.logging, 0);
    assert_int_equal(imig_monitor_snapshot(monitor, &cluster, NULL), IMIG_OK);
    assert_int_equal(imig_cluster_get_vm(cluster, 0, &vm, NULL), IMIG_OK);
    assert_true(fabs(vm.working_set_bytes - 100) < 0.1);
    assert_true(fabs(vm.dirty_bytes_per_s - 25) < 0.1);
    imig_cluster_unref(cluster);
    imig_monitor_free(monitor);
    imig_connection_unref(connection);
}

int
main(void)
{
    enum {
        SLOW = G_N_ELEMENTS(slow_cases), KEEP = G_N_ELEMENTS(keep_cases),
        SAMPLED = G_N_ELEMENTS(sampled_cases),
    };
    struct CMUnitTest tests[SLOW + KEEP + SAMPLED];

    for (size_t i = 0; i < SLOW; i++)
        tests[i] = (struct CMUnitTest) {
            .name = slow_cases[i].name, .test_func = slow_readings_are_given_the_time_they_need,
            .initial_state = (void *) &slow_cases[i],
        };
    for (size_t i = 0; i < KEEP; i++)
        tests[SLOW + i] = (struct CMUnitTest) {
            .name = keep_cases[i].name, .test_func = points_make_one_curve,
            .initial_state = (void *) &keep_cases[i],
        };
    for (size_t i = 0; i < SAMPLED; i++)
        tests[SLOW + KEEP + i] = (struct CMUnitTest) {
            .name = sampled_cases[i].name, .test_func = samples_are_looked_at_for_longer,
            .initial_state = (void *) &sampled_cases[i],
        };
    return cmocka_run_group_tests_name("dirty-slow", tests, NULL, NULL);
}
