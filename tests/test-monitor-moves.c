/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Rates of a VM that moves between hosts with connections and clocks of their own: B's clock is
   1000 s ahead of A's and C's. */

#include "fake-hosts.h"

#include <imig/monitor.h>

enum { LOOKS = 6 };

/* What v1 is every 10 s. */
typedef struct look {
    const char *host;  /* NULL: nowhere */
    const char *to;    /* on its way there, and seen there as well */
    double cpu_s;      /* its counter, which begins anew where it arrives */
    const char *down;  /* this host is silent */
    double want;       /* the rate in cores that the snapshot says; NaN: none, or no such VM */
} look;

static const struct move_case {
    const char *name;
    look looks[LOOKS];
} move_cases[] = {
    { "a move: the old rate until the new host has one, then only that",
      { { "A", 0, 0, 0, NAN }, { "A", 0, 5, 0, .5 }, { "B", 0, 1, 0, .5 }, { "B", 0, 3, 0, .2 },
        { "B", 0, 5, 0, .2 }, { "B", 0, 7, 0, .2 } } },
    { "a counter that is beyond the old one all the same",
      { { "A", 0, 0, 0, NAN }, { "A", 0, 5, 0, .5 }, { "C", 0, 900, 0, .5 },
        { "C", 0, 902, 0, .2 }, { "C", 0, 904, 0, .2 }, { "C", 0, 906, 0, .2 } } },
    { "there and back to a clock that is far behind",
      { { "A", 0, 0, 0, NAN }, { "B", 0, 5, 0, NAN }, { "B", 0, 10, 0, .5 }, { "A", 0, 1, 0, .5 },
        { "A", 0, 3, 0, .2 }, { "A", 0, 5, 0, .2 } } },
    { "seen on both hosts while it moves: the one that runs it counts",
      { { "C", 0, 0, 0, NAN }, { "C", "A", 5, 0, .5 }, { "C", "A", 10, 0, .5 },
        { "C", "A", 15, 0, .5 }, { "A", 0, 1, 0, .5 }, { "A", 0, 3, 0, .2 } } },
    { "a migration that fails leaves nothing behind",
      { { "C", 0, 0, 0, NAN }, { "C", "A", 5, 0, .5 }, { "C", 0, 10, 0, .5 },
        { "C", "B", 15, 0, .5 }, { "C", 0, 20, 0, .5 }, { "C", 0, 25, 0, .5 } } },
    { "a restart on the same host",
      { { "A", 0, 50, 0, NAN }, { "A", 0, 55, 0, .5 }, { "A", 0, 0, 0, .5 }, { "A", 0, 5, 0, .5 },
        { "A", 0, 0, 0, .5 }, { "A", 0, 5, 0, .5 } } },
    { "stopped for a while, and started elsewhere",
      { { "A", 0, 50, 0, NAN }, { "A", 0, 55, 0, .5 }, { 0, 0, 0, 0, NAN }, { 0, 0, 0, 0, NAN },
        { "B", 0, 99, 0, .5 }, { "B", 0, 101, 0, .2 } } },
    { "its host is silent for a while: the mean over that time",
      { { "B", 0, 0, 0, NAN }, { "B", 0, 5, 0, .5 }, { "B", 0, 10, "B", NAN },
        { "B", 0, 15, "B", NAN }, { "B", 0, 20, 0, .5 }, { "B", 0, 25, 0, .5 } } },
    { "it arrives while its old host is silent",
      { { "B", "A", 0, 0, NAN }, { "B", "A", 5, 0, .5 }, { "B", "A", 10, "B", NAN },
        { "A", 0, 1, "B", .5 }, { "A", 0, 3, "B", .2 }, { "A", 0, 5, 0, .2 } } },
};

static double
rate_of(imig_monitor *monitor, const char *id, const char **host)
{
    static imig_host_info where;
    imig_vm_info vm = { .size = sizeof vm };
    imig_cluster *cluster;
    uint32_t index;
    double rate = NAN;

    assert_int_equal(imig_monitor_snapshot(monitor, &cluster, NULL), IMIG_OK);
    index = imig_cluster_find_vm(cluster, id);
    if (index != IMIG_NO_INDEX) {
        assert_int_equal(imig_cluster_get_vm(cluster, index, &vm, NULL), IMIG_OK);
        if (vm.present & UINT64_C(1) << IMIG_METRIC_CPU_CORES)
            rate = vm.cpu_cores;
        where.size = sizeof where;
        assert_int_equal(imig_cluster_get_host(cluster, vm.host, &where, NULL), IMIG_OK);
        *host = strcmp(where.id, "A") == 0 ? "A" : strcmp(where.id, "B") == 0 ? "B" : "C";
    }
    imig_cluster_unref(cluster);
    return rate;
}

static void
rates_are_those_of_the_host_it_is_on(void **state)
{
    const struct move_case *c = *state;
    imig_connection *connection = connect_abc();
    imig_monitor *monitor;

    assert_int_equal(imig_monitor_new(connection, NULL, &monitor, NULL), IMIG_OK);
    for (int i = 0; i < LOOKS; i++) {
        const look *l = &c->looks[i];
        const char *host = NULL;
        double rate;

        world.down = NULL;
        assert_int_equal(imig_connection_wait(connection, 10 * i, NULL), IMIG_OK);
        world.vms[0] = (fake_vm) { l->host ? "v1" : NULL, l->host, l->to, 1e6, l->cpu_s };
        world.down = l->down;
        assert_int_equal(imig_monitor_sample(monitor, NULL), IMIG_OK);
        if (i == 0)
            continue;
        rate = rate_of(monitor, "v1", &host);
        if (isnan(rate) != isnan(l->want) || fabs(rate - l->want) > 1e-9)
            fail_msg("at %d s: %g, not %g", 10 * i, rate, l->want);
        if (!isnan(rate))
            assert_string_equal(host, l->host);
    }
    imig_monitor_free(monitor);
    imig_connection_unref(connection);
}

/* A hypervisor that was silent may be reached by a new connection, whose clock begins anew. */
static void
a_clock_that_begins_anew_is_no_time_travel(void **state)
{
    static const double steps_s[] = { -5000, 0, 5000 };

    (void) state;
    for (size_t k = 0; k < G_N_ELEMENTS(steps_s); k++) {
        imig_connection *connection = connect_abc();
        const char *host = NULL;
        imig_monitor *monitor;

        assert_int_equal(imig_monitor_new(connection, NULL, &monitor, NULL), IMIG_OK);
        world.ahead_s = steps_s[k];
        for (int i = 0; i < 8; i++) {
            world.down = NULL;
            assert_int_equal(imig_connection_wait(connection, 10 * i, NULL), IMIG_OK);
            world.down = i == 2 || i == 3 || i == 4 ? "B" : NULL;
            world.vms[2].cpu_s = 5 * i; /* v3, on B */
            assert_int_equal(imig_monitor_sample(monitor, NULL), IMIG_OK);
            if (i > 0 && !world.down)
                assert_true(fabs(rate_of(monitor, "v3", &host) - 0.5) < 1e-9);
        }
        assert_true(world.opened > 3);
        imig_monitor_free(monitor);
        imig_connection_unref(connection);
    }
}

int
main(void)
{
    struct CMUnitTest tests[1 + G_N_ELEMENTS(move_cases)] = {
        cmocka_unit_test(a_clock_that_begins_anew_is_no_time_travel),
    };

    for (size_t i = 0; i < G_N_ELEMENTS(move_cases); i++)
        tests[1 + i] = (struct CMUnitTest) {
            .name = move_cases[i].name, .test_func = rates_are_those_of_the_host_it_is_on,
            .initial_state = (void *) &move_cases[i],
        };
    return cmocka_run_group_tests_name("monitor-moves", tests, NULL, NULL);
}
