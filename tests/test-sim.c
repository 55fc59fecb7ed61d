/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The simulated cluster at rest: what VMs get, and what is measured of it. */

#include "sim-fixture.h"

static double
work_of(lab *l, const char *vm)
{
    uint32_t index = imig__sim_find_vm(sim_of(l), vm);

    imig__sim_settle(sim_of(l), index);
    return sim_of(l)->vms[index].work_s;
}

/* ---- demand is the truth ---- */

static void
an_overloaded_host_shares_its_cores_by_demand(void **state)
{
    lab l = lab_new();
    imig_vm_info vm;
    imig_vm_counters c;

    (void) state;
    add_host(&l, plain_host("a", NULL));
    vm = idle_vm("used", 0);
    vm.vcpus = 8;
    vm.cpu_cores = 6;
    add_vm(&l, vm);
    vm = idle_vm("waits", 0);
    vm.vcpus = 8;
    vm.cpu_cores = 4;
    vm.cpu_wait_cores = 2;
    vm.present |= METRIC(CPU_WAIT_CORES);
    add_vm(&l, vm);
    vm = idle_vm("capped", 0); /* cannot want more than its vCPUs */
    vm.vcpus = 4;
    vm.cpu_cores = 3;
    vm.cpu_wait_cores = 7;
    vm.present |= METRIC(CPU_WAIT_CORES);
    add_vm(&l, vm);
    lab_open(&l, "");
    run_for(&l, 30); /* 16 cores wanted, 8 there */
    c = counters_of(&l, "used");
    assert_near(c.cpu_s, 6 * 0.5 * 30, 1e-12, "used");
    assert_near(c.cpu_wait_s, 6 * 0.5 * 30, 1e-12, "used, waiting");
    c = counters_of(&l, "waits");
    assert_near(c.cpu_s, 90, 1e-12, "waits");
    assert_near(c.cpu_wait_s, 90, 1e-12, "waits, waiting");
    c = counters_of(&l, "capped");
    assert_near(c.cpu_s, 60, 1e-12, "capped");
    assert_near(c.cpu_wait_s, 60, 1e-12, "capped, waiting");
    lab_close(&l);
}

static void
counters_are_exact_across_changes(void **state)
{
    lab l = lab_new();
    imig_vm_info vm = idle_vm("stays", 0);
    imig_vm_counters c;
    imig_job job;
    double gone_s;

    (void) state;
    add_host(&l, plain_host("a", NULL));
    add_host(&l, plain_host("b", NULL));
    vm.vcpus = 16;
    vm.cpu_cores = 8;
    vm.net_rx_bytes_per_s = 1000;
    vm.present |= METRIC(NET_RX_BYTES_PER_S);
    add_vm(&l, vm);
    vm.id = "goes";
    vm.present &= ~METRIC(NET_RX_BYTES_PER_S);
    add_vm(&l, vm);
    lab_open(&l, "");
    job = run(&l, move("goes", "b"));
    gone_s = job.ended_s - job.downtime_s; /* it stands still: all cores are for the other one */
    run_for(&l, 100);
    c = counters_of(&l, "stays");
    assert_near(c.cpu_s, 4 * (gone_s - 1000) + 8 * (job.ended_s + 100 - gone_s), 1e-9, "stays");
    assert_near(c.cpu_wait_s, 4 * (gone_s - 1000), 1e-9, "stays, waiting");
    assert_near(c.net_rx_bytes, 1000 * (job.ended_s + 100 - 1000), 1e-9, "received");
    c = counters_of(&l, "goes");
    assert_near(c.cpu_s, 8 * 100, 1e-9, "its counters restarted where it came to");
    lab_close(&l);
}

static void
disk_operations_are_nonsharable(void **state)
{
    static const struct {
        const char *name;
        double wanted[2];
        uint32_t host; /* of the second VM at first; it comes to the first one's */
        double done;
    } cases[] = {
        { "within the capacity", { 4000, 5000 }, 1, 1 },
        { "a third more than a disk that did 1.5 times its capacity", { 15000, 5000 }, 1, 0.75 },
        { "twice what one disk can: half of each", { 10000, 10000 }, 1, 0.5 },
        { "what a document says is done", { 15000, 5000 }, 0, 1 },
    };

    (void) state;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        lab l = lab_new();
        imig_host_info host = plain_host("a", NULL);
        imig_vm_info vm = idle_vm("x", 0);
        imig_vm_counters c, since;

        host.disk_ops_per_s = 10000;
        host.present |= IMIG_HOST_HAS_DISK_OPS;
        add_host(&l, host);
        host.id = "b";
        add_host(&l, host);
        vm.disk_ops_per_s = cases[i].wanted[0];
        vm.disk_write_bytes_per_s = 1e6;
        vm.present |= METRIC(DISK_OPS_PER_S) | METRIC(DISK_WRITE_BYTES_PER_S);
        add_vm(&l, vm);
        vm.id = "y";
        vm.host = cases[i].host;
        vm.disk_ops_per_s = cases[i].wanted[1];
        add_vm(&l, vm);
        lab_open(&l, "");
        if (cases[i].host != 0)
            assert_int_equal(run(&l, move("y", "a")).state, IMIG_JOB_DONE);
        since = counters_of(&l, "x");
        run_for(&l, 20);
        c = counters_of(&l, "x");
        assert_near(c.disk_ops - since.disk_ops, cases[i].wanted[0] * cases[i].done * 20, 1e-9,
                    cases[i].name);
        assert_near(c.disk_write_bytes - since.disk_write_bytes, 1e6 * cases[i].done * 20, 1e-9,
                    "bytes with them");
        lab_close(&l);
    }
}

static void
what_a_document_says_of_dirtying_holds_where_the_vm_is(void **state)
{
    lab l = lab_new();
    imig_vm_info vm = idle_vm("d", 0);
    double elapsed_s, dirtied, factor;
    size_t one = 1;

    (void) state;
    add_host(&l, plain_host("a", NULL));
    add_host(&l, plain_host("b", NULL));
    vm.vcpus = 8;
    vm.cpu_cores = 8;
    vm.dirty_bytes_per_s = 1e6;
    add_vm(&l, vm);
    vm.id = "other";
    add_vm(&l, vm);
    lab_open(&l, "");
    /* W (1 - exp(-D t / W)) with the whole memory as W, which it does not state. */
    factor = -expm1(-1e6 * 10 / (1024 * MIB)) * 1024 * MIB;
    assert_int_equal(imig_connection_dirty(l.connection, "d", 10, &one, &elapsed_s, &dirtied, NULL),
                     IMIG_OK);
    assert_near(dirtied, factor, 1e-9, "half the CPU, as the document saw it");
    run(&l, move("other", "b"));
    factor = -expm1(-2e6 * 10 / (1024 * MIB)) * 1024 * MIB;
    assert_int_equal(imig_connection_dirty(l.connection, "d", 10, &one, &elapsed_s, &dirtied, NULL),
                     IMIG_OK);
    assert_near(dirtied, factor, 1e-9, "all the CPU it wants: twice as fast");
    lab_close(&l);
}

/* ---- interference ---- */

static double
work_beside(double cpu_cores, double disk_ops, double other_cpu_cores, double other_disk_ops)
{
    lab l = lab_new();
    imig_host_info host = plain_host("a", NULL);
    imig_vm_info vm = idle_vm("v", 0);
    double work_s;

    host.disk_ops_per_s = 10000;
    host.present |= IMIG_HOST_HAS_DISK_OPS;
    add_host(&l, host);
    vm.vcpus = 4;
    vm.cpu_cores = cpu_cores;
    vm.disk_ops_per_s = disk_ops;
    vm.present |= METRIC(DISK_OPS_PER_S);
    add_vm(&l, vm);
    vm.id = "other";
    vm.cpu_cores = other_cpu_cores;
    vm.disk_ops_per_s = other_disk_ops;
    add_vm(&l, vm);
    lab_open(&l, "");
    run_for(&l, 100);
    work_s = work_of(&l, "v");
    lab_close(&l);
    return work_s;
}

static void
neighbours_cost_work_as_section_3_2_says(void **state)
{
    (void) state;
    assert_near(work_beside(4, 0, 0, 0), 400, 1e-9, "alone: all it gets is work");
    assert_true(work_beside(4, 0, 4, 0) < 0.95 * 400);                /* Table 2: CPU beside CPU */
    assert_near(work_beside(0.5, 5000, 0, 0), 50, 1e-9, "disk alone");
    assert_true(work_beside(0.5, 5000, 0.5, 5000) < 0.8 * 50);        /* Fig. 3: disk beside disk */
    assert_true(work_beside(0.5, 5000, 0.5, 0) > 0.95 * 50);          /* Fig. 3: disk beside CPU */
}

/* ---- what a sample shows ---- */

static void
what_is_absent_stays_absent(void **state)
{
    lab l = lab_new();
    imig_vm_info vm = idle_vm("blind", 0);
    imig_vm_counters c;
    double elapsed_s, dirtied;
    size_t one = 1;

    (void) state;
    add_host(&l, plain_host("a", NULL));
    vm.present = 0;
    add_vm(&l, vm);
    vm.id = "cpu";
    vm.present = METRIC(CPU_CORES);
    add_vm(&l, vm);
    lab_open(&l, "");
    run_for(&l, 10);
    c = counters_of(&l, "blind");
    assert_true(c.present == 0);
    c = counters_of(&l, "cpu"); /* used and waiting are accounted together */
    assert_true(c.present == (IMIG_COUNTER_HAS_CPU | IMIG_COUNTER_HAS_CPU_WAIT));
    assert_int_equal(imig_connection_dirty(l.connection, "blind", 1, &one, &elapsed_s, &dirtied,
                                           NULL), IMIG_ERR_UNSUPPORTED);
    lab_close(&l);
}

static void
all_but_the_class_is_passed_on(void **state)
{
    static const uint32_t hosts[] = { 0, 1 }, both[] = { 0, 1 };
    static const double bytes[] = { 1e9, 2e9 };
    static const int32_t shared[] = { 1, 0 };
    static const char *const labels[] = { "rack", "r7" };
    lab l = lab_new();
    imig_host_info host = plain_host("a", "xen");
    imig_vm_info vm = idle_vm("v", 0);
    imig_rule_info rule = IMIG_RULE_INFO_INIT;
    const imig_vm_info *got;
    imig_sample *sample;

    (void) state;
    host.labels = labels;
    host.label_count = 1;
    add_host(&l, host);
    add_host(&l, plain_host("b", "xen"));
    vm.name = "web1";
    vm.workload = "milc";
    vm.workload_class = IMIG_WORKLOAD_CPU;
    vm.weight = 3;
    vm.prefer = IMIG_PREFER_DOWNTIME;
    vm.movable = 0;
    vm.blocked = "backup";
    vm.cooldown_until_s = 5000;
    vm.present |= IMIG_VM_HAS_WEIGHT | IMIG_VM_HAS_COOLDOWN | METRIC(MEMORY_NONZERO_BYTES);
    vm.memory_nonzero_bytes = 3e8;
    vm.hosts = hosts;
    vm.host_count = 2;
    vm.disk_bytes = bytes;
    vm.disk_shared = shared;
    vm.disk_count = 2;
    add_vm(&l, vm);
    add_vm(&l, idle_vm("w", 1));
    assert_int_equal(imig_cluster_add_flow(l.cluster, 0, 1, 500, NULL), IMIG_OK);
    rule.kind = IMIG_RULE_APART;
    rule.vms = both;
    rule.vm_count = 2;
    assert_int_equal(imig_cluster_add_rule(l.cluster, &rule, NULL), IMIG_OK);
    lab_open(&l, "");
    run_for(&l, 10);
    assert_int_equal(imig__connection_sample(l.connection, &sample, NULL), IMIG_OK);
    assert_string_equal(sample->cluster->hosts[0].labels[1], "r7");
    assert_string_equal(sample->cluster->hosts[0].hypervisor, "xen");
    got = &sample->cluster->vms[0];
    assert_int_equal(got->workload_class, IMIG_WORKLOAD_UNKNOWN); /* it has to be measured */
    assert_string_equal(got->name, "web1");
    assert_string_equal(got->workload, "milc");
    assert_string_equal(got->blocked, "backup");
    assert_true(got->weight == 3 && got->cooldown_until_s == 5000);
    assert_int_equal(got->prefer, IMIG_PREFER_DOWNTIME);
    assert_int_equal(got->movable, 0);
    assert_int_equal(got->host_count, 2);
    assert_true(got->disk_count == 2 && got->disk_bytes[1] == 2e9 && got->disk_shared[1] == 0);
    assert_true(got->memory_nonzero_bytes == 3e8);
    assert_false(got->present & METRIC(CPU_CORES)); /* rates are the monitor's work */
    assert_int_equal(sample->cluster->rule_count, 1);
    assert_near(sample->cluster->flows[0].bytes_per_s, 5000, 1e-12, "a flow counts its bytes");
    imig__sample_free(sample);
    lab_close(&l);
}

/* ---- noise ---- */

static void
measure_often(const char *query, double *values, int n)
{
    lab l = lab_new();
    imig_vm_info vm = idle_vm("v", 0);
    double last = 0;

    add_host(&l, plain_host("a", NULL));
    vm.cpu_cores = 1;
    add_vm(&l, vm);
    lab_open(&l, query);
    for (int i = 0; i < n; i++) {
        double now;

        run_for(&l, 10);
        now = counters_of(&l, "v").cpu_s;
        assert_true(now >= last); /* a counter never falls */
        values[i] = (now - last) / 10;
        last = now;
    }
    lab_close(&l);
}

static void
noise_is_on_every_measurement_and_repeats_with_its_seed(void **state)
{
    enum { N = 400 };
    double a[N], b[N], c[N], mean = 0, square = 0;

    (void) state;
    measure_often("?noise=0.05&seed=7", a, N);
    measure_often("?noise=0.05&seed=7", b, N);
    measure_often("?noise=0.05&seed=8", c, N);
    assert_memory_equal(a, b, sizeof a);
    assert_memory_not_equal(a, c, sizeof a);
    for (int i = 0; i < N; i++)
        mean += a[i] / N;
    for (int i = 0; i < N; i++)
        square += (a[i] - mean) * (a[i] - mean) / N;
    assert_near(mean, 1, 0.01, "mean of the noise");
    assert_near(sqrt(square), 0.05, 0.1, "standard deviation of the noise");
}

/* Once its neighbour has left, v gets all it wants, but for errors of rounding. */
static void
look_often(const char *query)
{
    lab l = lab_new();
    imig_vm_info vm = idle_vm("v", 0);
    double last_s = 0;

    add_host(&l, plain_host("a", NULL));
    add_host(&l, plain_host("b", NULL));
    vm.vcpus = 8;
    vm.cpu_cores = 6.3;
    add_vm(&l, vm);
    vm.id = "leaves";
    add_vm(&l, vm);
    lab_open(&l, query);
    assert_int_equal(run(&l, move("leaves", "b")).state, IMIG_JOB_DONE);
    assert_int_equal(run(&l, move("v", "b")).state, IMIG_JOB_DONE);
    assert_int_equal(run(&l, move("leaves", "a")).state, IMIG_JOB_DONE);
    for (int i = 0; i < 2000; i++) {
        double wait_s;

        run_for(&l, 0.7 + 0.1 * (i % 3));
        wait_s = counters_of(&l, "v").cpu_wait_s;
        if (!(wait_s >= last_s))
            fail_msg("\"%s\": look %d: %g s after %g s", query, i, wait_s, last_s);
        last_s = wait_s;
    }
    lab_close(&l);
}

static void
waiting_time_never_falls(void **state)
{
    (void) state;
    look_often("");
    look_often("?noise=0.05&seed=1");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_overloaded_host_shares_its_cores_by_demand),
        cmocka_unit_test(counters_are_exact_across_changes),
        cmocka_unit_test(disk_operations_are_nonsharable),
        cmocka_unit_test(what_a_document_says_of_dirtying_holds_where_the_vm_is),
        cmocka_unit_test(neighbours_cost_work_as_section_3_2_says),
        cmocka_unit_test(what_is_absent_stays_absent),
        cmocka_unit_test(all_but_the_class_is_passed_on),
        cmocka_unit_test(noise_is_on_every_measurement_and_repeats_with_its_seed),
        cmocka_unit_test(waiting_time_never_falls),
    };

    return cmocka_run_group_tests_name("sim", tests, NULL, NULL);
}
