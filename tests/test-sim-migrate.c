/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One simulated migration: rounds, stop rules, links, life and faults. */

#include "sim-fixture.h"

/* ---- rounds ---- */

static void
zero_pages_are_headers_for_qemu_and_pages_for_xen(void **state)
{
    imig_vm_info vm = idle_vm("v", 0);
    double zero_pages = 0.75 * 1024 * MIB / 4096;
    imig_job job;
    lab l;

    (void) state;
    vm.memory_nonzero_bytes = 256 * MIB;
    vm.memory_populated_bytes = 512 * MIB;
    vm.present |= METRIC(MEMORY_NONZERO_BYTES) | METRIC(MEMORY_POPULATED_BYTES);

    l = lab_with("qemu", vm);
    lab_open(&l, "");
    job = run(&l, move("v", "b"));
    assert_near(job.transferred_bytes, 256 * MIB * PAGE + 9 * zero_pages + QEMU_STATE, 1e-9,
                "bytes, QEMU");
    lab_close(&l);

    l = lab_with("xen", vm);
    lab_open(&l, "");
    job = run(&l, move("v", "b"));
    assert_near(job.transferred_bytes, (512 * MIB + XEN_SUSPEND) * PAGE + XEN_STREAM, 1e-9,
                "bytes, Xen");
    lab_close(&l);
}

static void
qemu_stops_with_a_downtime_limit_s_worth_left(void **state)
{
    static const double limits[] = { 0.04, 0.3, 2 };

    (void) state;
    for (size_t i = 0; i < G_N_ELEMENTS(limits); i++) {
        lab l = lab_with("qemu", dirtying_vm(0.2 * LINK, 512 * MIB));
        imig_migration m = move("v", "b");
        imig_job job;
        double left_s;

        lab_open(&l, "");
        m.downtime_limit_s = limits[i];
        job = run(&l, m);
        assert_int_equal(job.state, IMIG_JOB_DONE);
        /* Half a look later than it would fit, or at the end of a round that dirtied so much. */
        left_s = job.downtime_s - QEMU_DOWN_S - QEMU_STATE / LINK;
        if (left_s < 0.99 * (limits[i] - QEMU_LOOK_S / 2) || left_s > 1.01 * limits[i])
            fail_msg("%g s are left at a limit of %g s", left_s, limits[i]);
        assert_near(duration_s(&job), QEMU_SETUP_S + job.transferred_bytes / LINK + QEMU_DOWN_S,
                    1e-9, "time");
        lab_close(&l);
    }
}

/* QEMU lifts it when it stops the VM: what is left goes at the rate of the link. */
static void
a_cap_holds_until_qemu_stops_the_vm(void **state)
{
    lab l = lab_with("qemu", dirtying_vm(0.01 * LINK, 512 * MIB));
    imig_migration m = move("v", "b");
    imig_job job;

    (void) state;
    lab_open(&l, "");
    m.downtime_limit_s = 1;
    m.bandwidth_bytes_per_s = LINK / 4;
    job = run(&l, m);
    assert_int_equal(job.state, IMIG_JOB_DONE);
    assert_near(job.downtime_s - QEMU_DOWN_S - (QEMU_STATE - QEMU_QUEUE) / LINK,
                (1 - QEMU_LOOK_S / 2) / 4, 0.02, "downtime");
    assert_true(job.transferred_bytes > 512 * MIB + QEMU_STATE);
    lab_close(&l);
}

static void
qemu_never_gives_up_by_itself(void **state)
{
    lab l = lab_with("qemu", dirtying_vm(2 * LINK, 512 * MIB));
    imig_migration m = move("v", "b");
    imig_job job = { .size = sizeof job };
    uint64_t number;

    (void) state;
    lab_open(&l, "");
    m.timeout_s = 3600;
    number = begin(&l, m);
    run_for(&l, 3599);
    assert_int_equal(imig_connection_poll(l.connection, number, &job, NULL), IMIG_OK);
    assert_int_equal(job.state, IMIG_JOB_RUNNING);
    assert_true(job.rounds > 100);
    assert_true(job.transferred_bytes > 100 * 1024 * MIB);
    job = end(&l, number);
    assert_int_equal(job.state, IMIG_JOB_FAILED);
    assert_int_equal(job.error_code, IMIG_ERR_TIMEOUT);
    assert_near(duration_s(&job), 3600, 1e-9, "time");
    assert_string_equal(host_of(&l, "v"), "a");
    assert_false(job.present & IMIG_JOB_HAS_DOWNTIME);
    lab_close(&l);
}

static void
qemu_converges_just_where_the_fixed_point_fits_the_limit(void **state)
{
    /* Rounds of a plateau W come down to what is dirtied while W itself is sent, and no further. */
    static const struct {
        double working_set_s; /* of the link */
        int converges;
    } cases[] = { { 0.2, 1 }, { 0.29, 1 }, { 0.6, 0 }, { 2, 0 } };

    (void) state;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        lab l = lab_with("qemu", dirtying_vm(100 * LINK, cases[i].working_set_s * LINK));
        imig_migration m = move("v", "b");
        imig_job job;

        lab_open(&l, "");
        m.timeout_s = 600;
        job = run(&l, m);
        assert_int_equal(job.state, cases[i].converges ? IMIG_JOB_DONE : IMIG_JOB_FAILED);
        lab_close(&l);
    }
}

static void
auto_converge_throttles_until_it_fits(void **state)
{
    lab l = lab_with("qemu", dirtying_vm(1.5 * LINK, 1024 * MIB));
    imig_migration m = move("v", "b");
    imig_job job = { .size = sizeof job };
    double slowest = INFINITY;
    uint64_t number;

    (void) state;
    lab_open(&l, "");
    m.flags = IMIG_MIGRATE_AUTO_CONVERGE;
    m.timeout_s = 1e5;
    number = begin(&l, m);
    do {
        run_for(&l, 5);
        assert_int_equal(imig_connection_poll(l.connection, number, &job, NULL), IMIG_OK);
        if (job.state == IMIG_JOB_RUNNING)
            slowest = fmin(slowest, job.dirty_bytes_per_s);
    } while (job.state < IMIG_JOB_DONE);
    assert_int_equal(job.state, IMIG_JOB_DONE);
    assert_true(slowest < 0.81 * 1.5 * LINK);
    assert_near(slowest / (1.5 * LINK) * 10, round(slowest / (1.5 * LINK) * 10), 1e-6,
                "steps of a tenth");
    assert_near(imig__sim_dirty_rate(sim_of(&l), 0), 1.5 * LINK, 1e-9, "and lets go afterwards");
    lab_close(&l);
}

static void
post_copy_ends_what_would_not(void **state)
{
    lab l = lab_with("qemu", dirtying_vm(10 * LINK, 512 * MIB));
    imig_migration m = move("v", "b");
    imig_job job = { .size = sizeof job };
    imig_location location = { .size = sizeof location };
    uint64_t number;

    (void) state;
    lab_open(&l, "");
    m.flags = IMIG_MIGRATE_POST_COPY;
    m.timeout_s = 1000;
    number = begin(&l, m);
    do {
        run_for(&l, 0.1);
        assert_int_equal(imig_connection_poll(l.connection, number, &job, NULL), IMIG_OK);
    } while (job.state == IMIG_JOB_RUNNING);
    run_for(&l, 0.2);
    assert_int_equal(imig_connection_locate(l.connection, "v", &location, NULL), IMIG_OK);
    assert_string_equal(location.host, "b"); /* runs there before all of it is */
    assert_int_equal(location.state, IMIG_VM_MOVING);
    assert_int_equal(imig_connection_cancel(l.connection, number, NULL), IMIG_OK); /* too late */
    job = end(&l, number);
    assert_int_equal(job.state, IMIG_JOB_DONE);
    assert_near(job.downtime_s, QEMU_DOWN_S, 1e-9, "downtime");
    assert_true(job.rounds >= 3);
    assert_near(duration_s(&job), QEMU_SETUP_S + QEMU_DOWN_S + job.transferred_bytes / LINK, 1e-9,
                "time");
    lab_close(&l);
}

static void
xen_makes_five_live_rounds_or_ends_with_one_below_fifty_pages(void **state)
{
    static const struct {
        double dirty_bytes_per_s;
        uint32_t rounds;
    } cases[] = { { 0, 3 }, { 1e3, 3 }, { 1e5, 4 }, { 1e9, 6 } }; /* the final one included */

    (void) state;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        lab l = lab_with("xen", dirtying_vm(cases[i].dirty_bytes_per_s, 100 * MIB));
        imig_job job;

        lab_open(&l, "");
        job = run(&l, move("v", "b"));
        assert_int_equal(job.state, IMIG_JOB_DONE);
        assert_int_equal(job.rounds, cases[i].rounds);
        if (cases[i].dirty_bytes_per_s >= 1e9) {
            assert_near(job.transferred_bytes,
                        ((1024 + 5 * 100) * MIB + XEN_SUSPEND) * PAGE + XEN_STREAM, 1e-3, "bytes");
            assert_near(job.downtime_s, XEN_DOWN_S + (100 * MIB + XEN_SUSPEND) * PAGE / LINK, 1e-3,
                        "downtime");
            assert_near(duration_s(&job), XEN_SETUP_S + 5 * XEN_ROUND_S + XEN_DOWN_S +
                        job.transferred_bytes / LINK, 1e-9, "time");
        }
        lab_close(&l);
    }
}

static const struct disk_case {
    const char *name;
    uint64_t flags;
    double bytes; /* of the disks that are sent; negative: refused */
} disk_cases[] = {
    { "disks that are not shared are copied first", IMIG_MIGRATE_COPY_DISKS, 3e9 },
    { "also beside the flag that takes them for shared",
      IMIG_MIGRATE_COPY_DISKS | IMIG_MIGRATE_UNSAFE, 3e9 },
    { "disks that are taken for shared are not copied", IMIG_MIGRATE_UNSAFE, 0 },
    { "a disk on its host only keeps a VM there", 0, -1 },
};

static void
disks_go_as_the_flags_say(void **state)
{
    static const double bytes[] = { 1e9, 5e9, 2e9 };
    static const int32_t shared[] = { 0, 1, 0 };
    const struct disk_case *c = *state;
    imig_vm_info vm = idle_vm("v", 0);
    imig_migration m = move("v", "b");
    uint64_t number;
    imig_job job;
    lab l;

    vm.disk_bytes = bytes;
    vm.disk_shared = shared;
    vm.disk_count = 3;
    l = lab_with("xen", vm);
    lab_open(&l, "");
    m.flags = c->flags;
    if (c->bytes < 0) {
        assert_int_equal(imig_connection_migrate(l.connection, &m, &number, &l.error),
                         IMIG_ERR_UNSUPPORTED);
        assert_string_equal(imig_error_message(l.error), "VM v has a disk on its host only; "
                            "IMIG_MIGRATE_COPY_DISKS copies it");
    } else {
        job = run(&l, m);
        assert_near(job.transferred_bytes,
                    c->bytes + (1024 * MIB + XEN_SUSPEND) * PAGE + XEN_STREAM, 1e-9, "bytes");
    }
    lab_close(&l);
}

/* ---- links ---- */

typedef struct link_case {
    const char *name;
    double source_tx, source_rx, destination_rx, destination_tx; /* of neighbours */
    double own_link, cap;
    double bytes_per_s; /* what the migration gets */
} link_case;

static const link_case link_cases[] = {
    { "an idle network is all for the migration", 0, 0, 0, 0, 0, 0, 0.94 * 1.25e8 },
    { "senders take from the source", 5e7, 0, 0, 0, 0, 0, 0.94 * 7.5e7 },
    { "receivers take from the destination", 0, 0, 5e7, 0, 0, 0, 0.94 * 7.5e7 },
    { "both: the tighter end counts", 5e7, 0, 9e7, 0, 0, 0, 0.94 * 3.5e7 },
    { "full duplex: the other way is no matter", 0, 9e7, 0, 9e7, 0, 0, 0.94 * 1.25e8 },
    { "a tenth is always left", 3e8, 0, 0, 0, 0, 0, 0.94 * 1.25e7 },
    { "a link of its own does not see the VMs", 1e8, 0, 1e8, 0, 2.5e8, 0, 0.94 * 2.5e8 },
    { "a cap", 0, 0, 0, 0, 0, 2e7, 2e7 },
};

static void
a_migration_gets_what_is_left_of_the_network(void **state)
{
    const link_case *c = *state;
    lab l = lab_new();
    imig_host_info host = plain_host("a", "xen");
    imig_vm_info vm = idle_vm("v", 0);
    imig_migration m = move("v", "b");
    imig_job job;

    if (c->own_link > 0) {
        host.migration_bytes_per_s = c->own_link;
        host.present |= IMIG_HOST_HAS_MIGRATION;
    }
    add_host(&l, host);
    host.id = "b";
    add_host(&l, host);
    add_vm(&l, vm);
    vm.present |= METRIC(NET_TX_BYTES_PER_S) | METRIC(NET_RX_BYTES_PER_S);
    vm.id = "neighbour at the source";
    vm.net_tx_bytes_per_s = c->source_tx;
    vm.net_rx_bytes_per_s = c->source_rx;
    add_vm(&l, vm);
    vm.id = "neighbour at the destination";
    vm.host = 1;
    vm.net_tx_bytes_per_s = c->destination_tx;
    vm.net_rx_bytes_per_s = c->destination_rx;
    add_vm(&l, vm);
    lab_open(&l, "");
    m.bandwidth_bytes_per_s = c->cap;
    job = run(&l, m);
    assert_near(job.transferred_bytes /
                (duration_s(&job) - XEN_SETUP_S - 2 * XEN_ROUND_S - XEN_DOWN_S), c->bytes_per_s,
                1e-9, c->name);
    lab_close(&l);
}

static void
a_host_that_states_no_network_has_a_gigabit(void **state)
{
    lab l = lab_new();
    imig_host_info host = plain_host("a", "xen");
    imig_job job;

    (void) state;
    host.present = 0;
    add_host(&l, host);
    host.id = "b";
    add_host(&l, host);
    add_vm(&l, idle_vm("v", 0));
    lab_open(&l, "");
    job = run(&l, move("v", "b"));
    assert_near(job.transferred_bytes /
                (duration_s(&job) - XEN_SETUP_S - 2 * XEN_ROUND_S - XEN_DOWN_S), LINK, 1e-9,
                "rate");
    lab_close(&l);
}

static void
flows_on_one_host_do_not_use_the_network(void **state)
{
    lab l = lab_new();
    imig_vm_info vm = idle_vm("v", 0);
    imig_job job;

    (void) state;
    add_host(&l, plain_host("a", "xen"));
    add_host(&l, plain_host("b", "xen"));
    add_vm(&l, vm);
    vm.present |= METRIC(NET_TX_BYTES_PER_S) | METRIC(NET_RX_BYTES_PER_S);
    vm.id = "sender";
    vm.net_tx_bytes_per_s = 8e7;
    add_vm(&l, vm);
    vm.id = "receiver";
    vm.net_tx_bytes_per_s = 0;
    vm.net_rx_bytes_per_s = 5e7;
    add_vm(&l, vm);
    assert_int_equal(imig_cluster_add_flow(l.cluster, 1, 2, 5e7, NULL), IMIG_OK);
    lab_open(&l, "");
    assert_near(sim_of(&l)->hosts[0].link[IMIG__SIM_OUT].bytes_per_s, PAYLOAD * (NET - 3e7), 1e-9,
                "what is sent elsewhere");
    assert_near(sim_of(&l)->hosts[0].link[IMIG__SIM_IN].bytes_per_s, LINK, 1e-9,
                "all is from here");
    job = run(&l, move("receiver", "b"));
    assert_int_equal(job.state, IMIG_JOB_DONE);
    assert_near(sim_of(&l)->hosts[0].link[IMIG__SIM_OUT].bytes_per_s, PAYLOAD * (NET - 8e7), 1e-9,
                "now the flow leaves the host");
    assert_near(sim_of(&l)->hosts[1].link[IMIG__SIM_IN].bytes_per_s, PAYLOAD * (NET - 5e7), 1e-9,
                "and arrives at the other");
    lab_close(&l);
}

static void
a_vm_s_own_traffic_counts_until_it_stands_still(void **state)
{
    imig_vm_info vm = dirtying_vm(1e9, 100 * MIB);
    imig_job job;
    lab l;

    (void) state;
    vm.net_tx_bytes_per_s = 1e8;
    vm.present |= METRIC(NET_TX_BYTES_PER_S);
    l = lab_with("xen", vm);
    lab_open(&l, "");
    job = run(&l, move("v", "b"));
    assert_near(job.downtime_s, XEN_DOWN_S + (100 * MIB + XEN_SUSPEND) * PAGE / LINK, 1e-3,
                "downtime at full speed");
    assert_near(duration_s(&job) - job.downtime_s, XEN_SETUP_S + 5 * XEN_ROUND_S +
                ((1024 + 400) * MIB * PAGE + XEN_STREAM) / (PAYLOAD * 2.5e7), 1e-3,
                "rounds at what it leaves");
    lab_close(&l);
}

static void
links_are_shared_max_min_fairly(void **state)
{
    /* a sends to b, c and d; e sends to d as well; c's link is a fifth. */
    static const struct {
        const char *vm;
        uint32_t from;
        const char *to;
        double cap, want;
    } jobs[] = {
        { "ab", 0, "b", 0, 0.94 * 1.25e8 - 0.94 * 2.5e7 - 2e7 },
        { "ac", 0, "c", 0, 0.94 * 2.5e7 },
        { "ad", 0, "d", 2e7, 2e7 },
        { "ed", 4, "d", 0, 0.94 * 1.25e8 - 2e7 },
    };
    static const char *const hosts[] = { "a", "b", "c", "d", "e" };
    lab l = lab_new();

    (void) state;
    for (size_t i = 0; i < G_N_ELEMENTS(hosts); i++) {
        imig_host_info host = plain_host(hosts[i], "qemu");

        if (i == 2)
            host.net_bytes_per_s = NET / 5;
        add_host(&l, host);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(jobs); i++)
        add_vm(&l, idle_vm(jobs[i].vm, jobs[i].from));
    lab_open(&l, "");
    for (size_t i = 0; i < G_N_ELEMENTS(jobs); i++) {
        imig_migration m = move(jobs[i].vm, jobs[i].to);

        m.bandwidth_bytes_per_s = jobs[i].cap;
        begin(&l, m);
    }
    run_for(&l, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(jobs); i++) {
        imig_job job = { .size = sizeof job };

        assert_int_equal(imig_connection_poll(l.connection, i + 1, &job, NULL), IMIG_OK);
        assert_near(job.transferred_bytes, (1 - QEMU_SETUP_S) * jobs[i].want, 1e-9, jobs[i].vm);
    }
    lab_close(&l);
}

static void
rates_change_when_others_come_and_go(void **state)
{
    lab l = lab_new();
    imig_vm_info vm = idle_vm("small", 0);
    imig_job small, large;
    uint64_t first, second;
    double fixed_s = 2 * XEN_ROUND_S + XEN_DOWN_S, both_s;

    (void) state;
    add_host(&l, plain_host("a", "xen"));
    add_host(&l, plain_host("b", "xen"));
    vm.memory_bytes = 512 * MIB;
    add_vm(&l, vm);
    vm.id = "large";
    vm.memory_bytes = 1024 * MIB;
    add_vm(&l, vm);
    lab_open(&l, "");
    first = begin(&l, move("large", "b"));
    run_for(&l, 2);
    second = begin(&l, move("small", "b"));
    small = end(&l, second);
    large = end(&l, first);
    /* Alone for 2 s, the setup of small; then each has half the link until all of small is over,
       its fixed parts included; what is left of large goes alone. */
    both_s = small.transferred_bytes / (LINK / 2) + fixed_s;
    assert_near(small.ended_s, 1000 + 2 + XEN_SETUP_S + both_s, 1e-9, "small");
    assert_near(large.ended_s, small.ended_s + fixed_s +
                (large.transferred_bytes - 2 * LINK - both_s * LINK / 2) / LINK, 1e-9, "large");
    lab_close(&l);
}

int
main(void)
{
    const struct CMUnitTest single[] = {
        cmocka_unit_test(zero_pages_are_headers_for_qemu_and_pages_for_xen),
        cmocka_unit_test(qemu_stops_with_a_downtime_limit_s_worth_left),
        cmocka_unit_test(a_cap_holds_until_qemu_stops_the_vm),
        cmocka_unit_test(qemu_never_gives_up_by_itself),
        cmocka_unit_test(qemu_converges_just_where_the_fixed_point_fits_the_limit),
        cmocka_unit_test(auto_converge_throttles_until_it_fits),
        cmocka_unit_test(post_copy_ends_what_would_not),
        cmocka_unit_test(xen_makes_five_live_rounds_or_ends_with_one_below_fifty_pages),
        cmocka_unit_test(a_host_that_states_no_network_has_a_gigabit),
        cmocka_unit_test(flows_on_one_host_do_not_use_the_network),
        cmocka_unit_test(a_vm_s_own_traffic_counts_until_it_stands_still),
        cmocka_unit_test(links_are_shared_max_min_fairly),
        cmocka_unit_test(rates_change_when_others_come_and_go),
    };
    enum { SINGLE = sizeof single / sizeof *single };
    struct CMUnitTest tests[SINGLE + G_N_ELEMENTS(link_cases) + G_N_ELEMENTS(disk_cases)];
    size_t n = SINGLE;

    memcpy(tests, single, sizeof single);
    for (size_t i = 0; i < G_N_ELEMENTS(link_cases); i++)
        tests[n++] = (struct CMUnitTest) {
            .name = link_cases[i].name, .test_func = a_migration_gets_what_is_left_of_the_network,
            .initial_state = (void *) &link_cases[i],
        };
    for (size_t i = 0; i < G_N_ELEMENTS(disk_cases); i++)
        tests[n++] = (struct CMUnitTest) {
            .name = disk_cases[i].name, .test_func = disks_go_as_the_flags_say,
            .initial_state = (void *) &disk_cases[i],
        };
    return cmocka_run_group_tests_name("sim-migrate", tests, NULL, NULL);
}
