/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim-fixture.h"

#include <imig/monitor.h>

/* ---- the monitor on a simulated cluster ---- */

static imig_monitor_options
options(double interval_s, double dirty_for_s, uint32_t window)
{
    imig_monitor_options o = IMIG_MONITOR_OPTIONS_INIT;

    o.set = IMIG_MONITOR_HAS_INTERVAL | IMIG_MONITOR_HAS_DIRTY_FOR | IMIG_MONITOR_HAS_WINDOW;
    o.interval_s = interval_s;
    o.dirty_for_s = dirty_for_s;
    o.window = window;
    return o;
}

static imig_vm_info
busy_vm(const char *id, uint32_t host)
{
    imig_vm_info vm = idle_vm(id, host);

    vm.vcpus = 4;
    vm.cpu_cores = 1.5;
    vm.disk_ops_per_s = 300;
    vm.disk_read_bytes_per_s = 1e6;
    vm.disk_write_bytes_per_s = 2e6;
    vm.net_rx_bytes_per_s = 3e6;
    vm.net_tx_bytes_per_s = 4e6;
    vm.dirty_bytes_per_s = 2e7;
    vm.working_set_bytes = 16 * MIB;
    vm.memory_used_bytes = 5e8;
    vm.present = ((UINT64_C(1) << IMIG_METRIC_COUNT) - 1) & ~METRIC(CPU_WAIT_CORES) &
                 ~METRIC(MEMORY_NONZERO_BYTES) & ~METRIC(MEMORY_POPULATED_BYTES);
    return vm;
}

static imig_vm_info
vm_of(const imig_cluster *cluster, const char *id)
{
    imig_vm_info vm = { .size = sizeof vm };

    assert_int_equal(imig_cluster_get_vm(cluster, imig_cluster_find_vm(cluster, id), &vm, NULL),
                     IMIG_OK);
    return vm;
}

static void
an_observed_cluster_is_the_one_that_is_simulated(void **state)
{
    imig_monitor_options o = options(10, 2, 60);
    imig_rule_info rule = IMIG_RULE_INFO_INIT;
    static const uint32_t both[] = { 0, 1 };
    lab l = lab_new();
    imig_cluster *cluster;
    imig_vm_info vm;
    double flow;

    (void) state;
    add_host(&l, plain_host("a", "qemu"));
    add_host(&l, plain_host("b", "qemu"));
    add_vm(&l, busy_vm("v", 0));
    add_vm(&l, idle_vm("w", 1));
    assert_int_equal(imig_cluster_add_flow(l.cluster, 0, 1, 1e5, NULL), IMIG_OK);
    rule.vms = both;
    rule.vm_count = 2;
    assert_int_equal(imig_cluster_add_rule(l.cluster, &rule, NULL), IMIG_OK);
    lab_open(&l, "");
    assert_int_equal(imig_observe(l.connection, 60, &o, &cluster, NULL), IMIG_OK);
    assert_near(imig_cluster_time_s(cluster), 1060, 1e-12, "time");
    vm = vm_of(cluster, "v");
    assert_near(vm.cpu_cores, 1.5, 1e-9, "CPU");
    assert_near(vm.cpu_wait_cores, 0, 1e-9, "CPU wait");
    assert_near(vm.disk_ops_per_s, 300, 1e-9, "disk operations");
    assert_near(vm.disk_read_bytes_per_s, 1e6, 1e-9, "read");
    assert_near(vm.disk_write_bytes_per_s, 2e6, 1e-9, "written");
    assert_near(vm.net_rx_bytes_per_s, 3e6, 1e-9, "received");
    assert_near(vm.net_tx_bytes_per_s, 4e6, 1e-9, "sent");
    assert_near(vm.memory_used_bytes, 5e8, 1e-9, "memory");
    assert_near(vm.dirty_bytes_per_s, 2e7, 0.01, "dirty rate");
    assert_near(vm.working_set_bytes, 16 * MIB, 0.01, "working set");
    assert_int_equal(vm.workload_class, IMIG_WORKLOAD_UNKNOWN);
    assert_false(vm.present & METRIC(MEMORY_NONZERO_BYTES));
    assert_int_equal(imig_cluster_rule_count(cluster), 1);
    assert_int_equal(imig_cluster_get_flow(cluster, 0, NULL, NULL, &flow, NULL), IMIG_OK);
    assert_near(flow, 1e5, 1e-9, "flow");
    vm = vm_of(cluster, "w");
    assert_near(vm.dirty_bytes_per_s, 0, 1e-9, "nothing dirtied is a measurement");
    assert_true(vm.present & METRIC(DIRTY_BYTES_PER_S));
    assert_false(vm.present & METRIC(NET_RX_BYTES_PER_S)); /* absent is not 0 */
    imig_cluster_unref(cluster);
    lab_close(&l);
}

static void
a_move_between_two_samples_spoils_nothing(void **state)
{
    imig_monitor_options o = options(10, 0, 60);
    lab l = lab_new();
    imig_monitor *monitor;
    imig_cluster *cluster;
    imig_vm_info vm;
    double flow;

    (void) state;
    add_host(&l, plain_host("a", "qemu"));
    add_host(&l, plain_host("b", "qemu"));
    add_vm(&l, busy_vm("v", 0));
    add_vm(&l, idle_vm("w", 1));
    assert_int_equal(imig_cluster_add_flow(l.cluster, 0, 1, 1e5, NULL), IMIG_OK);
    lab_open(&l, "");
    assert_int_equal(imig_monitor_new(l.connection, &o, &monitor, NULL), IMIG_OK);
    assert_int_equal(imig_monitor_sample(monitor, NULL), IMIG_OK);
    run_for(&l, 10);
    assert_int_equal(imig_monitor_sample(monitor, NULL), IMIG_OK);
    run(&l, move("v", "b"));
    run_for(&l, 3600); /* its counters, restarted, have long passed the old ones by now */
    assert_int_equal(imig_monitor_sample(monitor, NULL), IMIG_OK);
    run_for(&l, 10);
    assert_int_equal(imig_monitor_sample(monitor, NULL), IMIG_OK);
    assert_int_equal(imig_monitor_snapshot(monitor, &cluster, NULL), IMIG_OK);
    vm = vm_of(cluster, "v");
    assert_int_equal(vm.host, 1);
    assert_near(vm.cpu_cores, 1.5, 1e-9, "CPU");
    assert_near(vm.net_tx_bytes_per_s, 4e6, 1e-9, "sent");
    assert_int_equal(imig_cluster_get_flow(cluster, 0, NULL, NULL, &flow, NULL), IMIG_OK);
    assert_near(flow, 1e5, 1e-9, "flow");
    imig_cluster_unref(cluster);
    imig_monitor_free(monitor);
    lab_close(&l);
}

static void
noise_shows_as_standard_error(void **state)
{
    imig_monitor_options o = options(10, 1, 61);
    lab l = lab_new();
    imig_cluster *cluster;
    imig_vm_info vm;

    (void) state;
    add_host(&l, plain_host("a", "qemu"));
    add_vm(&l, busy_vm("v", 0));
    lab_open(&l, "?noise=0.05&seed=3");
    assert_int_equal(imig_observe(l.connection, 600, &o, &cluster, NULL), IMIG_OK);
    vm = vm_of(cluster, "v");
    /* 60 intervals with 5 % each: 0.65 % of the mean, and the mean within four of that. */
    assert_true(vm.noise_count > IMIG_METRIC_NET_TX_BYTES_PER_S);
    assert_near(vm.noise[IMIG_METRIC_CPU_CORES], 1.5 * 0.05 / sqrt(60), 0.4, "standard error");
    assert_near(vm.noise[IMIG_METRIC_NET_TX_BYTES_PER_S], 4e6 * 0.05 / sqrt(60), 0.4,
                "standard error");
    assert_near(vm.cpu_cores, 1.5, 4 * 0.05 / sqrt(60), "CPU");
    assert_near(vm.dirty_bytes_per_s, 2e7, 0.2, "dirty rate");
    assert_true(vm.noise[IMIG_METRIC_MEMORY_USED_BYTES] == 0); /* not known */
    imig_cluster_unref(cluster);
    lab_close(&l);
}

static void
vms_of_a_host_take_turns_and_the_rest_comes_first_next_time(void **state)
{
    enum { VMS = 7 };
    imig_monitor_options o = options(10, 1, 60);
    lab l = lab_new();
    imig_monitor *monitor;
    char id[4];

    (void) state;
    add_host(&l, plain_host("a", "qemu"));
    add_host(&l, plain_host("b", "qemu"));
    for (int i = 0; i < VMS; i++) {
        imig_vm_info vm = busy_vm(id, i < 6 ? 0 : 1);

        g_snprintf(id, sizeof id, "v%d", i);
        if (i == 1)
            vm.present &= ~(METRIC(DIRTY_BYTES_PER_S) | METRIC(WORKING_SET_BYTES));
        add_vm(&l, vm);
    }
    lab_open(&l, "");
    assert_int_equal(imig_monitor_new(l.connection, &o, &monitor, NULL), IMIG_OK);
    /* Two rounds fit.  v1 cannot be logged and takes no time; v6 has a host of its own. */
    for (int watch = 0; watch < 3; watch++) {
        static const int measured_by[VMS] = { 0, -1, 0, 1, 1, 2, 0 };
        imig_cluster *cluster;

        assert_int_equal(imig_monitor_watch(monitor, 2.5, NULL), IMIG_OK);
        assert_int_equal(imig_monitor_snapshot(monitor, &cluster, NULL), IMIG_OK);
        for (int i = 0; i < VMS; i++) {
            imig_vm_info vm;

            g_snprintf(id, sizeof id, "v%d", i);
            vm = vm_of(cluster, id);
            assert_int_equal((vm.present & METRIC(DIRTY_BYTES_PER_S)) != 0,
                             measured_by[i] >= 0 && measured_by[i] <= watch);
        }
        imig_cluster_unref(cluster);
    }
    imig_monitor_free(monitor);
    lab_close(&l);
}

static void
samples_go_on_while_pages_are_logged(void **state)
{
    imig_monitor_options o = options(1, 5, 60);
    lab l = lab_new();
    imig_cluster *cluster;
    imig_vm_info vm;

    (void) state;
    add_host(&l, plain_host("a", "qemu"));
    add_vm(&l, busy_vm("v", 0));
    lab_open(&l, "?noise=0.05");
    assert_int_equal(imig_observe(l.connection, 6, &o, &cluster, NULL), IMIG_OK);
    vm = vm_of(cluster, "v");
    assert_true(vm.noise[IMIG_METRIC_CPU_CORES] > 0); /* more than two samples */
    assert_true(vm.present & METRIC(DIRTY_BYTES_PER_S));
    imig_cluster_unref(cluster);
    lab_close(&l);
}

/* ---- VMs that come and go: a backend of the test's own ---- */

static struct {
    double clock_s;
    uint32_t there; /* bit i: VM i is */
    int fails;
    double cooldown_s; /* of every VM; 0: none */
} crowd;

static int
crowd_probe(const char *uri)
{
    return strcmp(uri, "crowd:") == 0;
}

static int
crowd_open(const char *uri, void **ret_state, imig_error **error)
{
    (void) uri;
    (void) error;
    *ret_state = &crowd;
    return IMIG_OK;
}

static void
crowd_close(void *state)
{
    (void) state;
}

static double
crowd_clock(void *state)
{
    (void) state;
    return crowd.clock_s;
}

static int
crowd_sample(void *state, imig_sample *into, imig_error **error)
{
    imig_host_info host = plain_host("a", NULL);
    int code;

    (void) state;
    if (crowd.fails)
        return imig_error_set(error, IMIG_ERR_BACKEND, 0, "the crowd is silent");
    code = imig_sample_add_host(into, &host, error);
    for (uint32_t i = 0; i < 32 && code == IMIG_OK; i++) {
        imig_vm_info vm = idle_vm(NULL, 0);
        imig_vm_counters counters = IMIG_VM_COUNTERS_INIT;
        char id[4];

        if (!(crowd.there >> i & 1))
            continue;
        g_snprintf(id, sizeof id, "c%u", i);
        vm.id = id;
        vm.cooldown_until_s = crowd.cooldown_s;
        if (crowd.cooldown_s != 0)
            vm.present |= IMIG_VM_HAS_COOLDOWN;
        counters.present = IMIG_COUNTER_HAS_CPU;
        counters.time_s = crowd.clock_s;
        counters.cpu_s = (0.1 + i) * crowd.clock_s;
        code = imig_sample_add_vm(into, &vm, &counters, error);
    }
    return code;
}

static int
crowd_locate(void *state, const char *vm, imig_location *into, imig_error **error)
{
    (void) state;
    (void) vm;
    (void) into;
    (void) error;
    return IMIG_OK;
}

static int
crowd_wait(void *state, double deadline_s, imig_error **error)
{
    (void) state;
    (void) error;
    crowd.clock_s = deadline_s;
    return IMIG_OK;
}

static const imig_backend_ops crowd_ops = {
    .size = sizeof crowd_ops, .name = "crowd", .probe = crowd_probe, .open = crowd_open,
    .close = crowd_close, .clock = crowd_clock, .sample = crowd_sample, .locate = crowd_locate,
    .wait = crowd_wait,
};

static imig_connection *
connect_crowd(void)
{
    const char *uri = "crowd:";
    imig_context *context = imig_context_new();
    imig_connection *connection;

    memset(&crowd, 0, sizeof crowd);
    assert_int_equal(imig_context_register_backend(context, &crowd_ops, NULL), IMIG_OK);
    assert_int_equal(imig_connect(context, &uri, 1, &connection, NULL), IMIG_OK);
    imig_context_unref(context);
    return connection;
}

static void
vms_come_and_go(void **state)
{
    imig_monitor_options o = options(10, 0, 4);
    imig_connection *connection = connect_crowd();
    imig_monitor *monitor;
    uint32_t seed = 12345, seen_before = 0;

    (void) state;
    assert_int_equal(imig_monitor_new(connection, &o, &monitor, NULL), IMIG_OK);
    for (int round = 0; round < 200; round++) {
        imig_cluster *cluster;

        seed = seed * 1664525 + 1013904223;
        crowd.there = seed ^ seed >> 16;
        crowd.clock_s += 10;
        assert_int_equal(imig_monitor_sample(monitor, NULL), IMIG_OK);
        if (round > 0) {
            assert_int_equal(imig_monitor_snapshot(monitor, &cluster, NULL), IMIG_OK);
            for (uint32_t i = 0; i < imig_cluster_vm_count(cluster); i++) {
                imig_vm_info vm = { .size = sizeof vm };
                uint32_t number;

                assert_int_equal(imig_cluster_get_vm(cluster, i, &vm, NULL), IMIG_OK);
                number = (uint32_t) atoi(vm.id + 1);
                assert_true(crowd.there >> number & 1); /* nobody who has gone */
                if (vm.present & METRIC(CPU_CORES))
                    assert_near(vm.cpu_cores, 0.1 + number, 1e-9, vm.id); /* never another's */
                else
                    assert_false(seen_before >> number & 1); /* new, so not measured yet */
            }
            imig_cluster_unref(cluster);
        }
        seen_before = crowd.there;
    }
    imig_monitor_free(monitor);
    imig_connection_unref(connection);
}

static void
a_sample_that_fails_keeps_the_earlier_ones(void **state)
{
    imig_monitor_options o = options(10, 0, 4);
    imig_connection *connection = connect_crowd();
    imig_monitor *monitor;
    imig_cluster *cluster = (void *) &crowd;
    imig_error *error = NULL;

    (void) state;
    crowd.there = 1;
    assert_int_equal(imig_monitor_new(connection, &o, &monitor, NULL), IMIG_OK);
    assert_int_equal(imig_monitor_snapshot(monitor, &cluster, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_monitor_sample(monitor, NULL), IMIG_OK);
    assert_int_equal(imig_monitor_snapshot(monitor, &cluster, NULL), IMIG_ERR_ARGUMENT);
    crowd.fails = 1;
    crowd.clock_s = 10;
    assert_int_equal(imig_monitor_sample(monitor, &error), IMIG_ERR_BACKEND);
    assert_string_equal(imig_error_message(error), "crowd:: the crowd is silent");
    imig_error_free(error);
    assert_int_equal(imig_observe(connection, 10, &o, &cluster, NULL), IMIG_ERR_BACKEND);
    assert_ptr_equal(cluster, &crowd); /* untouched */
    crowd.fails = 0;
    crowd.clock_s = 20;
    assert_int_equal(imig_monitor_sample(monitor, NULL), IMIG_OK);
    assert_int_equal(imig_monitor_snapshot(monitor, &cluster, NULL), IMIG_OK);
    assert_near(vm_of(cluster, "c0").cpu_cores, 0.1, 1e-9, "CPU");
    imig_cluster_unref(cluster);
    imig_monitor_free(monitor);
    imig_connection_unref(connection);
}

/* A sample every 10 s: what the snapshot at `at_s` says of c0 and c1; 0: no cool-down. */
static const struct cooldown_case {
    const char *name;
    double until_s[2];  /* of two calls for c0 */
    double stated_s;    /* by the backend, for every VM; 0: none */
    uint32_t there_first;
    double want[3];     /* at 20, 30 and 40 s */
} cooldown_cases[] = {
    { "until its time has come", { 30, 30 }, 0, 3, { 30, 0, 0 } },
    { "a VM that has not been seen yet", { 35, 35 }, 0, 2, { 35, 35, 0 } },
    { "the last word counts, though it is the shorter", { 90, 35 }, 0, 3, { 35, 35, 0 } },
    { "a time that has passed ends it", { 90, 5 }, 0, 3, { 0, 0, 0 } },
    { "below 0, as a clock may begin", { -5, -5 }, 0, 3, { 0, 0, 0 } },
    { "what the backend states stays where it is later", { 35, 35 }, 50, 3, { 50, 50, 50 } },
    { "and goes where it is earlier", { 35, 35 }, 25, 3, { 35, 35, 25 } },
};

static void
a_vm_that_rests_says_so(void **state)
{
    const struct cooldown_case *c = *state;
    imig_monitor_options o = options(10, 0, 4);
    imig_connection *connection = connect_crowd();
    imig_monitor *monitor;

    crowd.there = c->there_first;
    crowd.cooldown_s = c->stated_s;
    crowd.clock_s = 10;
    assert_int_equal(imig_monitor_new(connection, &o, &monitor, NULL), IMIG_OK);
    assert_int_equal(imig_monitor_sample(monitor, NULL), IMIG_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(imig_monitor_set_cooldown(monitor, "c0", c->until_s[i], NULL), IMIG_OK);
    crowd.there = 3;
    for (int i = 0; i < 3; i++) {
        imig_cluster *cluster;
        imig_vm_info vm;

        crowd.clock_s += 10;
        assert_int_equal(imig_monitor_sample(monitor, NULL), IMIG_OK);
        assert_int_equal(imig_monitor_snapshot(monitor, &cluster, NULL), IMIG_OK);
        vm = vm_of(cluster, "c0");
        assert_int_equal((vm.present & IMIG_VM_HAS_COOLDOWN) != 0, c->want[i] != 0);
        if (c->want[i] != 0)
            assert_true(vm.cooldown_until_s == c->want[i]);
        vm = vm_of(cluster, "c1"); /* nobody else's */
        assert_int_equal((vm.present & IMIG_VM_HAS_COOLDOWN) != 0, c->stated_s != 0);
        imig_cluster_unref(cluster);
    }
    imig_monitor_free(monitor);
    imig_connection_unref(connection);
}

static const struct bad_option {
    const char *name;
    imig_monitor_options o;
    int code;
} bad_options[] = {
#define SET (IMIG_MONITOR_HAS_INTERVAL | IMIG_MONITOR_HAS_DIRTY_FOR | IMIG_MONITOR_HAS_WINDOW)
#define SIZE sizeof(imig_monitor_options)
    { "no interval", { SIZE, SET, 0, 1, 60, 0 }, IMIG_ERR_ARGUMENT },
    { "an interval that is no number", { SIZE, SET, NAN, 1, 60, 0 }, IMIG_ERR_ARGUMENT },
    { "dirty pages for less than no time", { SIZE, SET, 10, -1, 60, 0 }, IMIG_ERR_ARGUMENT },
    { "a window of one sample", { SIZE, SET, 10, 1, 1, 0 }, IMIG_ERR_ARGUMENT },
    { "an unknown bit", { SIZE, 1 << 9, 0, 0, 0, 0 }, IMIG_ERR_ARGUMENT },
    { "a size that is not known", { 8, 0, 0, 0, 0, 0 }, IMIG_ERR_ABI },
};

static void
options_out_of_range_are_refused(void **state)
{
    const struct bad_option *c = *state;
    imig_connection *connection = connect_crowd();
    imig_monitor *monitor;
    imig_cluster *cluster;

    assert_int_equal(imig_monitor_new(connection, &c->o, &monitor, NULL), c->code);
    assert_int_equal(imig_observe(connection, 10, &c->o, &cluster, NULL), c->code);
    imig_connection_unref(connection);
}

static void
null_is_an_argument_error(void **state)
{
    imig_connection *connection = connect_crowd();
    imig_monitor *monitor;
    imig_cluster *cluster;

    (void) state;
    assert_int_equal(imig_monitor_new(NULL, NULL, &monitor, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_monitor_new(connection, NULL, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_monitor_sample(NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_monitor_watch(NULL, 1, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_monitor_snapshot(NULL, &cluster, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_observe(NULL, 1, NULL, &cluster, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_observe(connection, 1, NULL, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_observe(connection, 0, NULL, &cluster, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_observe(connection, INFINITY, NULL, &cluster, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_monitor_new(connection, NULL, &monitor, NULL), IMIG_OK);
    assert_int_equal(imig_monitor_snapshot(monitor, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_monitor_set_cooldown(NULL, "c0", 1, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_monitor_set_cooldown(monitor, NULL, 1, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_monitor_set_cooldown(monitor, "", 1, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_monitor_set_cooldown(monitor, "c0", NAN, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_monitor_set_cooldown(monitor, "c0", INFINITY, NULL), IMIG_ERR_ARGUMENT);
    imig_monitor_free(monitor);
    imig_monitor_free(NULL);
    imig_connection_unref(connection);
}

int
main(void)
{
    const struct CMUnitTest single[] = {
        cmocka_unit_test(an_observed_cluster_is_the_one_that_is_simulated),
        cmocka_unit_test(a_move_between_two_samples_spoils_nothing),
        cmocka_unit_test(noise_shows_as_standard_error),
        cmocka_unit_test(vms_of_a_host_take_turns_and_the_rest_comes_first_next_time),
        cmocka_unit_test(samples_go_on_while_pages_are_logged),
        cmocka_unit_test(vms_come_and_go),
        cmocka_unit_test(a_sample_that_fails_keeps_the_earlier_ones),
        cmocka_unit_test(null_is_an_argument_error),
    };
    enum { SINGLE = sizeof single / sizeof *single };
    struct CMUnitTest tests[SINGLE + G_N_ELEMENTS(cooldown_cases) + G_N_ELEMENTS(bad_options)];
    size_t n = SINGLE;

#define ROWS(table, function) \
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) \
        tests[n++] = (struct CMUnitTest) { .name = table[i].name, .test_func = function, \
                                           .initial_state = (void *) &table[i] };
    memcpy(tests, single, sizeof single);
    ROWS(cooldown_cases, a_vm_that_rests_says_so)
    ROWS(bad_options, options_out_of_range_are_refused)
    return cmocka_run_group_tests_name("monitor", tests, NULL, NULL);
}
