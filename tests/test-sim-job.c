/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The life of simulated migrations: progress, end, refusals, faults, and many at a time. */

#include "sim-fixture.h"

/* ---- life ---- */

static void
progress_is_told(void **state)
{
    lab l = lab_with("xen", dirtying_vm(1e6, 100 * MIB));
    imig_job job = { .size = sizeof job };
    imig_location location = { .size = sizeof location };
    uint64_t number;

    (void) state;
    lab_open(&l, "");
    number = begin(&l, move("v", "b"));
    assert_int_equal(imig_connection_locate(l.connection, "v", &location, NULL), IMIG_OK);
    assert_int_equal(location.state, IMIG_VM_MOVING);
    assert_string_equal(location.host, "a");
    run_for(&l, XEN_SETUP_S + 4);
    assert_int_equal(imig_connection_poll(l.connection, number, &job, NULL), IMIG_OK);
    assert_int_equal(job.state, IMIG_JOB_RUNNING);
    assert_int_equal(job.rounds, 1);
    assert_near(job.transferred_bytes, 4 * LINK, 1e-9, "transferred");
    assert_near(job.remaining_bytes, 1024 * MIB * PAGE + XEN_STREAM - 4 * LINK, 1e-9, "remaining");
    assert_near(job.dirty_bytes_per_s, 1e6, 1e-9, "dirty rate");
    assert_near(job.started_s, 1000, 1e-12, "started");
    assert_near(job.ended_s, 1000 + XEN_SETUP_S + 4, 1e-12, "now");
    job = end(&l, number);
    assert_int_equal(imig_connection_locate(l.connection, "v", &location, NULL), IMIG_OK);
    assert_int_equal(location.state, IMIG_VM_RUNNING);
    assert_string_equal(location.host, "b");
    assert_string_equal(job.message, "");
    lab_close(&l);
}

static void
a_cancelled_vm_stays_and_its_place_is_free_again(void **state)
{
    lab l = lab_with("qemu", idle_vm("v", 0));
    imig_job job;
    uint64_t number;

    (void) state;
    lab_open(&l, "");
    number = begin(&l, move("v", "b"));
    run_for(&l, 3);
    assert_int_equal(imig_connection_cancel(l.connection, number, NULL), IMIG_OK);
    assert_int_equal(imig_connection_wait(l.connection, 1e6, NULL), IMIG_OK);
    assert_true(imig_connection_clock(l.connection) == 1003); /* it has happened already */
    job = end(&l, number);
    assert_int_equal(job.state, IMIG_JOB_CANCELLED);
    assert_near(duration_s(&job), 3, 1e-12, "time");
    assert_string_equal(host_of(&l, "v"), "a");
    assert_near(sim_of(&l)->hosts[1].memory_left, 65536 * MIB, 1e-12, "memory");
    job = run(&l, move("v", "b")); /* and it may go once more */
    assert_int_equal(job.state, IMIG_JOB_DONE);
    assert_near(sim_of(&l)->hosts[0].memory_left, 65536 * MIB, 1e-12, "memory");
    lab_close(&l);
}

static void
a_vm_is_migrated_or_measured_not_both(void **state)
{
    lab l = lab_with("qemu", dirtying_vm(1e6, 100 * MIB));
    imig_migration m = move("v", "b");
    double elapsed_s, dirtied;
    size_t one = 1;
    uint64_t job;

    (void) state;
    lab_open(&l, "");
    begin(&l, m);
    assert_int_equal(imig_connection_migrate(l.connection, &m, &job, NULL), IMIG_ERR_BUSY);
    assert_int_equal(imig_connection_dirty(l.connection, "v", 1, &one, &elapsed_s, &dirtied, NULL),
                     IMIG_ERR_BUSY);
    assert_int_equal(imig_connection_result(l.connection, 1, &(imig_job) {
        .size = sizeof(imig_job) }, NULL), IMIG_ERR_BUSY);
    lab_close(&l);

    l = lab_with("qemu", dirtying_vm(1e6, 100 * MIB));
    lab_open(&l, "");
    assert_int_equal(imig__connection_dirty_start(l.connection, "a", "v", NULL), IMIG_OK);
    assert_int_equal(imig_connection_migrate(l.connection, &m, &job, NULL), IMIG_ERR_BUSY);
    assert_int_equal(imig__connection_dirty_start(l.connection, "a", "v", NULL), IMIG_ERR_BUSY);
    assert_int_equal(imig__connection_dirty_stop(l.connection, "a", "v", NULL), IMIG_OK);
    assert_int_equal(imig__connection_dirty_stop(l.connection, "a", "v", NULL), IMIG_ERR_NOT_FOUND);
    assert_int_equal(imig_connection_migrate(l.connection, &m, &job, NULL), IMIG_OK);
    lab_close(&l);
}

static void
migrating_costs_work(void **state)
{
    lab l = lab_with("xen", dirtying_vm(1e9, 100 * MIB));
    imig__sim_vm *v;
    imig_job job;
    double live_s;

    (void) state;
    lab_open(&l, "");
    job = run(&l, move("v", "b"));
    imig__sim_settle(sim_of(&l), 0);
    v = &sim_of(&l)->vms[0];
    live_s = duration_s(&job) - job.downtime_s;
    assert_near(v->work_s, live_s * (1 - 0.03 - 0.3), 1e-9, "as fast a dirtier as can be");
    run_for(&l, 10);
    imig__sim_settle(sim_of(&l), 0);
    assert_near(v->work_s, live_s * (1 - 0.03 - 0.3) + 10, 1e-9, "and nothing afterwards");
    lab_close(&l);
}

/* ---- refusals ---- */

static const struct refusal {
    const char *name, *vm, *to;
    const char *to_uri;
    int check, migrate; /* what both say */
    const char *says;
} refusals[] = {
    { "an offline host", "v", "offline", NULL, IMIG_ERR_UNSUPPORTED, IMIG_ERR_UNSUPPORTED,
      "offline" },
    { "a host in maintenance", "v", "maintenance", NULL, IMIG_ERR_UNSUPPORTED, IMIG_ERR_UNSUPPORTED,
      "in maintenance" },
    { "another pool", "v", "other-pool", NULL, IMIG_ERR_UNSUPPORTED, IMIG_ERR_UNSUPPORTED,
      "is in pool p2, not default" },
    { "a host it may not be on", "choosy", "b", NULL, IMIG_ERR_UNSUPPORTED, IMIG_ERR_UNSUPPORTED,
      "may not be on host b" },
    { "a blocked VM", "blocked", "b", NULL, IMIG_ERR_UNSUPPORTED, IMIG_ERR_UNSUPPORTED,
      "blocked: backup" },
    { "a VM on an offline host", "lost", "b", NULL, IMIG_ERR_UNSUPPORTED, IMIG_ERR_UNSUPPORTED,
      "host offline is offline" },
    { "no memory there: now, not for ever", "large", "b", NULL, IMIG_OK, IMIG_ERR_UNSUPPORTED,
      "needs 53687091200 bytes" },
    { "another cluster", "v", "b", "sim:other", IMIG_OK, IMIG_ERR_UNSUPPORTED, "sim:other" },
    { "no such VM", "nobody", "b", NULL, IMIG_ERR_NOT_FOUND, IMIG_ERR_NOT_FOUND, "nobody" },
    { "no such host", "v", "nowhere", NULL, IMIG_ERR_NOT_FOUND, IMIG_ERR_NOT_FOUND, "nowhere" },
};

static void
what_cannot_go_there_is_refused(void **state)
{
    static const uint32_t only_a[] = { 0 };
    const struct refusal *r = *state;
    lab l = lab_new();
    imig_host_info host = plain_host("a", NULL);
    imig_vm_info vm = idle_vm("v", 0);
    imig_migration m = move(r->vm, r->to);
    imig_error *error = NULL;
    uint64_t job;

    add_host(&l, host);
    host.id = "b";
    add_host(&l, host);
    host.id = "offline";
    host.state = IMIG_HOST_OFFLINE;
    add_host(&l, host);
    host.id = "maintenance";
    host.state = IMIG_HOST_MAINTENANCE;
    add_host(&l, host);
    host = plain_host("other-pool", NULL);
    host.pool = "p2";
    add_host(&l, host);
    add_vm(&l, vm);
    vm.id = "choosy";
    vm.hosts = only_a;
    vm.host_count = 1;
    add_vm(&l, vm);
    vm = idle_vm("blocked", 0);
    vm.blocked = "backup";
    add_vm(&l, vm);
    add_vm(&l, idle_vm("lost", 2));
    vm = idle_vm("large", 0);
    vm.memory_bytes = 50 * 1024 * MIB;
    add_vm(&l, vm);
    vm.id = "in the way";
    vm.host = 1;
    add_vm(&l, vm);
    lab_open(&l, "");
    assert_int_equal(imig_connection_check(l.connection, r->vm, r->to, NULL), r->check);
    m.to_uri = r->to_uri;
    assert_int_equal(imig_connection_migrate(l.connection, &m, &job, &error), r->migrate);
    if (!strstr(imig_error_message(error), r->says))
        fail_msg("\"%s\" does not say \"%s\"", imig_error_message(error), r->says);
    imig_error_free(error);
    lab_close(&l);
}

static void
memory_is_taken_from_the_start(void **state)
{
    lab l = lab_new();
    imig_vm_info vm = idle_vm("first", 0);
    imig_host_info host = plain_host("b", NULL);
    imig_migration m = move("second", "b");
    uint64_t job;

    (void) state;
    add_host(&l, plain_host("a", NULL));
    host.memory_bytes = 3072 * MIB;
    host.vm_overhead_bytes = 100 * MIB;
    host.reserved_memory_bytes = 900 * MIB;
    host.memory_overcommit_ratio = 1;
    host.present |= IMIG_HOST_HAS_VM_OVERHEAD | IMIG_HOST_HAS_RESERVED_MEMORY;
    add_host(&l, host); /* 2172 MiB: room for one of 1124 MiB, not for two */
    add_vm(&l, vm);
    vm.id = "second";
    add_vm(&l, vm);
    lab_open(&l, "");
    begin(&l, move("first", "b"));
    assert_int_equal(imig_connection_migrate(l.connection, &m, &job, NULL), IMIG_ERR_UNSUPPORTED);
    end(&l, 1);
    assert_int_equal(imig_connection_migrate(l.connection, &m, &job, NULL), IMIG_ERR_UNSUPPORTED);
    run(&l, move("first", "a"));
    assert_int_equal(imig_connection_migrate(l.connection, &m, &job, NULL), IMIG_OK);
    lab_close(&l);
}

/* ---- faults ---- */

static void
a_migration_fails_half_way_as_often_as_the_uri_says(void **state)
{
    lab l = lab_with("qemu", idle_vm("v", 0));

    (void) state;
    lab_open(&l, "?fail=v:2");
    for (int i = 0; i < 2; i++) {
        imig_job job = run(&l, move("v", "b"));

        assert_int_equal(job.state, IMIG_JOB_FAILED);
        assert_int_equal(job.error_code, IMIG_ERR_BACKEND);
        assert_non_null(strstr(job.message, "half way"));
        assert_near(job.transferred_bytes, 512 * MIB * PAGE, 1e-9, "half of it");
        assert_string_equal(host_of(&l, "v"), "a");
    }
    assert_int_equal(run(&l, move("v", "b")).state, IMIG_JOB_DONE);
    assert_string_equal(host_of(&l, "v"), "b");
    lab_close(&l);
}

static void
a_stuck_vm_never_converges(void **state)
{
    static const char *const hypervisors[] = { "qemu", "xen" };

    (void) state;
    for (size_t i = 0; i < G_N_ELEMENTS(hypervisors); i++) {
        lab l = lab_with(hypervisors[i], idle_vm("v", 0));
        imig_migration m = move("v", "b");
        imig_job job;

        lab_open(&l, "?stuck=v");
        m.timeout_s = 500;
        job = run(&l, m);
        assert_int_equal(job.state, IMIG_JOB_FAILED);
        assert_int_equal(job.error_code, IMIG_ERR_TIMEOUT);
        assert_near(duration_s(&job), 500, 1e-9, "time");
        lab_close(&l);
    }
}

/* ---- many ---- */

enum { MANY_HOSTS = 300, MANY_VMS = 3000, MANY_JOBS = 1200 };

static double
many(double *ends)
{
    lab l = lab_new();
    char id[16], to[16];
    double total = 0;

    for (int i = 0; i < MANY_HOSTS; i++) {
        g_snprintf(id, sizeof id, "h%d", i);
        add_host(&l, plain_host(id, i % 2 ? "xen" : "qemu"));
    }
    for (int i = 0; i < MANY_VMS; i++) {
        imig_vm_info vm = idle_vm(id, (uint32_t) (i % MANY_HOSTS));

        g_snprintf(id, sizeof id, "v%d", i);
        vm.memory_bytes = (256 + i % 7 * 128) * MIB;
        vm.cpu_cores = 0.25 * (i % 5);
        vm.dirty_bytes_per_s = i % 11 * 1e6;
        vm.working_set_bytes = 64 * MIB;
        vm.net_rx_bytes_per_s = i % 13 * 1e5;
        vm.present |= METRIC(WORKING_SET_BYTES) | METRIC(NET_RX_BYTES_PER_S);
        add_vm(&l, vm);
    }
    lab_open(&l, "");
    for (int i = 0; i < MANY_JOBS; i++) { /* all at once, four and more to a link */
        g_snprintf(id, sizeof id, "v%d", i);
        g_snprintf(to, sizeof to, "h%d", (i * 7 + 1 + i % MANY_HOSTS) % MANY_HOSTS);
        if ((i * 7 + 1) % MANY_HOSTS == 0)
            g_snprintf(to, sizeof to, "h%d", (i + 1) % MANY_HOSTS);
        begin(&l, move(id, to));
    }
    for (int i = 0; i < MANY_JOBS; i++) {
        imig_job job = end(&l, (uint64_t) i + 1);

        assert_int_equal(job.state, IMIG_JOB_DONE);
        ends[i] = job.ended_s;
        total += duration_s(&job);
    }
    for (int i = 0; i < MANY_HOSTS; i++)
        for (int way = 0; way < IMIG__SIM_WAYS; way++)
            assert_null(sim_of(&l)->hosts[i].link[way].first);
    lab_close(&l);
    return total;
}

static void
a_thousand_at_a_time_end_and_end_alike_twice(void **state)
{
    static double first[MANY_JOBS], second[MANY_JOBS];

    (void) state;
    assert_true(many(first) > 0);
    many(second);
    assert_memory_equal(first, second, sizeof first);
}

int
main(void)
{
    const struct CMUnitTest single[] = {
        cmocka_unit_test(progress_is_told),
        cmocka_unit_test(a_cancelled_vm_stays_and_its_place_is_free_again),
        cmocka_unit_test(a_vm_is_migrated_or_measured_not_both),
        cmocka_unit_test(migrating_costs_work),
        cmocka_unit_test(memory_is_taken_from_the_start),
        cmocka_unit_test(a_migration_fails_half_way_as_often_as_the_uri_says),
        cmocka_unit_test(a_stuck_vm_never_converges),
        cmocka_unit_test(a_thousand_at_a_time_end_and_end_alike_twice),
    };
    enum { SINGLE = sizeof single / sizeof *single };
    struct CMUnitTest tests[SINGLE + G_N_ELEMENTS(refusals)];
    size_t n = SINGLE;

    memcpy(tests, single, sizeof single);
    for (size_t i = 0; i < G_N_ELEMENTS(refusals); i++)
        tests[n++] = (struct CMUnitTest) {
            .name = refusals[i].name, .test_func = what_cannot_go_there_is_refused,
            .initial_state = (void *) &refusals[i],
        };
    return cmocka_run_group_tests_name("sim-job", tests, NULL, NULL);
}
