/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The paper's figures as the simulator shows them: trends, never its absolute numbers. */

#include "sim-fixture.h"

/* ---- Fig. 1: one VM, its memory and its dirty size ---- */

static imig_job
migrate_alone(double memory_bytes, double dirty_size_bytes)
{
    lab l = lab_new();
    imig_vm_info vm = idle_vm("v", 0);
    imig_job job;

    add_host(&l, plain_host("a", "xen"));
    add_host(&l, plain_host("b", "xen"));
    vm.memory_bytes = memory_bytes;
    vm.cpu_cores = 1;
    vm.dirty_bytes_per_s = dirty_size_bytes > 0 ? 1e9 : 0; /* "continuously and randomly" */
    vm.working_set_bytes = dirty_size_bytes;
    vm.present |= METRIC(WORKING_SET_BYTES);
    add_vm(&l, vm);
    lab_open(&l, "");
    job = run(&l, move("v", "b"));
    assert_int_equal(job.state, IMIG_JOB_DONE);
    lab_close(&l);
    return job;
}

static void
time_grows_with_memory_and_dirty_size_downtime_with_dirty_size_alone(void **state)
{
    static const double memory[] = { 512, 1024, 2048 }, dirty[] = { 0, 64, 128, 256 };
    imig_job job[3][4];

    (void) state;
    for (int m = 0; m < 3; m++)
        for (int d = 0; d < 4; d++)
            job[m][d] = migrate_alone(memory[m] * MIB, dirty[d] * MIB);
    for (int m = 0; m < 3; m++)
        for (int d = 0; d < 4; d++) {
            if (m > 0) {
                assert_true(duration_s(&job[m][d]) > 1.2 * duration_s(&job[m - 1][d]));
                assert_near(job[m][d].downtime_s, job[0][d].downtime_s, 1e-6, "the same downtime");
            }
            if (d > 0)
                assert_true(duration_s(&job[m][d]) > duration_s(&job[m][d - 1]));
            /* In proportion: the fixed part aside, twice the dirty size is twice the downtime. */
            if (d > 1)
                assert_near(job[m][d].downtime_s - job[m][0].downtime_s,
                            2 * (job[m][d - 1].downtime_s - job[m][0].downtime_s), 0.01,
                            "downtime is proportional to the dirty size");
        }
}

/* ---- Figs. 4 to 6: eight VMs leave one after the other, one of them has a workload ---- */

enum { VMS = 8 };

typedef struct kind {
    double cpu_cores;         /* of the workload */
    double others_cpu_cores;  /* a source that is short of CPU, where that matters */
    double others_dirty;      /* bytes/s: enough that a downtime can be told from another */
    double dirty_bytes_per_s, working_set_bytes, rx, tx, disk_ops;
} kind;

static const kind
    DIRTY = { 2, 1, 0, 1e9, 256 * 1048576.0, 0, 0, 0 },
    RECEIVE = { 0.5, 0, 1e6, 0, 0, 6e7, 0, 0 },
    WEB = { 0.5, 0, 1e6, 0, 0, 0, 6e7, 0 },
    DISK = { 0.5, 0, 1e6, 0, 0, 0, 0, 5000 },
    CPU = { 2, 0, 1e6, 0, 0, 0, 0, 0 };

typedef struct averages {
    double time_s, downtime_s, bytes;
} averages;

/*
 * Averages of the VMs that migrate before and after the one at `position`, itself left out; of the
 * downtime what is above that of a VM that dirties nothing.
 */
static void
migrate_eight(const kind *k, int position, averages *before, averages *after)
{
    double fixed_s = k->others_dirty > 0 ? migrate_alone(64 * MIB, 0).downtime_s : 0;
    static const char *const ids[VMS] = { "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7" };
    lab l = lab_new();

    *before = *after = (averages) { 0, 0, 0 };
    add_host(&l, plain_host("a", "xen"));
    add_host(&l, plain_host("b", "xen"));
    for (int i = 0; i < VMS; i++) {
        imig_vm_info vm = idle_vm(ids[i], 0);

        vm.cpu_cores = k->others_cpu_cores;
        vm.dirty_bytes_per_s = k->others_dirty;
        vm.working_set_bytes = 8 * MIB;
        vm.present |= METRIC(WORKING_SET_BYTES);
        if (i == position) {
            vm.cpu_cores = k->cpu_cores;
            vm.dirty_bytes_per_s = k->dirty_bytes_per_s;
            vm.working_set_bytes = k->working_set_bytes;
            vm.net_rx_bytes_per_s = k->rx;
            vm.net_tx_bytes_per_s = k->tx;
            vm.disk_ops_per_s = k->disk_ops;
            vm.present |= METRIC(NET_RX_BYTES_PER_S) | METRIC(NET_TX_BYTES_PER_S) |
                          METRIC(DISK_OPS_PER_S);
        }
        add_vm(&l, vm);
    }
    lab_open(&l, "");
    for (int i = 0; i < VMS; i++) {
        imig_job job = run(&l, move(ids[i], "b"));
        averages *of = i < position ? before : after;

        assert_int_equal(job.state, IMIG_JOB_DONE);
        if (i == position)
            continue;
        of->time_s += duration_s(&job);
        of->downtime_s += job.downtime_s - fixed_s;
        of->bytes += job.transferred_bytes;
    }
    if (position > 0)
        *before = (averages) { before->time_s / position, before->downtime_s / position,
                               before->bytes / position };
    if (position < VMS - 1)
        *after = (averages) { after->time_s / (VMS - 1 - position),
                              after->downtime_s / (VMS - 1 - position),
                              after->bytes / (VMS - 1 - position) };
    lab_close(&l);
}

typedef enum effect { SAME, LONGER } effect;

/* A VM that migrates before, after the workload: is it slower than with no workload at all? */
static const struct figure {
    const char *name;
    const kind *workload;
    effect time_before, time_after, downtime_before, downtime_after;
} figures[] = {
    { "Fig. 4: memory dirtying holds up those before it, in time", &DIRTY,
      LONGER, SAME, SAME, SAME },
    { "Fig. 5: receiving holds up those after it, in time and downtime", &RECEIVE,
      SAME, LONGER, SAME, LONGER },
    { "Fig. 6: a web server holds up those before it, in time and downtime", &WEB,
      LONGER, SAME, LONGER, SAME },
    { "section 3.3: disk I/O holds up nobody", &DISK, SAME, SAME, SAME, SAME },
    { "section 3.3: CPU holds up nobody", &CPU, SAME, SAME, SAME, SAME },
};

static void
assert_effect(double got, double without, effect want, const char *what, int position)
{
    if (want == LONGER ? !(got > 1.1 * without) : !(fabs(got - without) <= 0.02 * without))
        fail_msg("workload at %d, %s: %g s against %g s without it", position, what, got, without);
}

static void
a_workload_holds_up_whom_the_figure_says(void **state)
{
    const struct figure *f = *state;
    kind nothing = { .cpu_cores = f->workload->others_cpu_cores,
                     .others_cpu_cores = f->workload->others_cpu_cores,
                     .others_dirty = f->workload->others_dirty };
    averages none, unused;

    migrate_eight(&nothing, 0, &unused, &none);
    for (int k = 0; k < VMS; k++) {
        averages before, after;

        migrate_eight(f->workload, k, &before, &after);
        if (k > 0) {
            assert_effect(before.time_s, none.time_s, f->time_before, "time before it", k);
            assert_effect(before.downtime_s, none.downtime_s, f->downtime_before,
                          "downtime before it", k);
        }
        if (k < VMS - 1) {
            assert_effect(after.time_s, none.time_s, f->time_after, "time after it", k);
            assert_effect(after.downtime_s, none.downtime_s, f->downtime_after, "downtime after it",
                          k);
        }
    }
}

static void
fig_4b_others_send_as_much_beside_a_dirtying_vm(void **state)
{
    averages before, after, late_before, unused;

    (void) state;
    migrate_eight(&DIRTY, 4, &before, &after);
    migrate_eight(&DIRTY, 7, &late_before, &unused);
    assert_near(before.bytes, after.bytes, 0.02, "bytes before and after");
    assert_near(late_before.bytes, after.bytes, 0.02, "bytes, the workload last");
}

/* "With the workload migrating backwards": how the average over the sequence changes (3.3, end). */
static const struct trend {
    const char *name;
    const kind *workload;
    int time, downtime; /* 1 grows, -1 falls, 0 stays, with a later workload */
} trends[] = {
    { "the later memory dirtying, the longer (3.3)", &DIRTY, 1, 0 },
    /* The paper adds "but a longer average downtime", against its own Fig. 5b, where those after
       the receiver stand still longer: fewer of them come after a later one. */
    { "the later receiving, the shorter (3.3)", &RECEIVE, -1, -1 },
    { "the later the web server, the longer (3.3)", &WEB, 1, 1 },
    { "disk I/O anywhere is the same (3.3)", &DISK, 0, 0 },
    { "CPU anywhere is the same (3.3)", &CPU, 0, 0 },
};

static void
assert_trend(double early, double late, int want, const char *what)
{
    int got = fabs(late - early) <= 0.02 * early ? 0 : late > early ? 1 : -1;

    if (got != want)
        fail_msg("%s: %g s with the workload early, %g s late", what, early, late);
}

static void
the_average_follows_the_position(void **state)
{
    const struct trend *t = *state;
    averages early, late, unused;

    migrate_eight(t->workload, 0, &unused, &early);
    migrate_eight(t->workload, VMS - 1, &late, &unused);
    assert_trend(early.time_s, late.time_s, t->time, "time");
    assert_trend(early.downtime_s, late.downtime_s, t->downtime, "downtime");
}

/* ---- Table 1: the five workloads, slowest to fastest ---- */

/*
 * Assumed: what each benchmark does, on VMs of 1 GiB over 1 Gbit/s.  IOzone rewrites a file through
 * a page cache as large as the VM; an OLTP database dirties its buffer pool; webbench sends;
 * SPECjbb has a small young generation; SPEC CPU writes little.
 */
static const struct table1_case {
    const char *name;
    double cpu_cores, dirty_bytes_per_s, working_set_bytes, tx, disk_ops;
    int downtime_rank; /* in Table 1, 0 the longest; the rows stand in the order of the time */
} table1[] = {
    { "IOZONE", 0.5, 8e8, 900 * 1048576.0, 0, 5000, 0 },
    { "OLTP", 1.5, 3e8, 600 * 1048576.0, 0, 1000, 1 },
    { "WEBBENCH", 1, 2e7, 40 * 1048576.0, 8e7, 0, 3 },
    { "SPEC-jbb", 2, 1.5e8, 60 * 1048576.0, 0, 0, 2 },
    { "SPEC-CPU", 2, 5e6, 20 * 1048576.0, 0, 0, 4 },
};

static imig_job
migrate_benchmark(const struct table1_case *c)
{
    lab l = lab_new();
    imig_vm_info vm = idle_vm("v", 0);
    imig_job job;

    add_host(&l, plain_host("a", "xen"));
    add_host(&l, plain_host("b", "xen"));
    vm.cpu_cores = c->cpu_cores;
    vm.dirty_bytes_per_s = c->dirty_bytes_per_s;
    vm.working_set_bytes = c->working_set_bytes;
    vm.net_tx_bytes_per_s = c->tx;
    vm.disk_ops_per_s = c->disk_ops;
    vm.present |= METRIC(WORKING_SET_BYTES) | METRIC(NET_TX_BYTES_PER_S) | METRIC(DISK_OPS_PER_S);
    add_vm(&l, vm);
    lab_open(&l, "");
    job = run(&l, move("v", "b"));
    lab_close(&l);
    return job;
}

static void
table_1_ranks_the_workloads(void **state)
{
    enum { N = G_N_ELEMENTS(table1) };
    imig_job job[N];

    (void) state;
    for (int i = 0; i < N; i++)
        job[i] = migrate_benchmark(&table1[i]);
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++) {
            if (i < k && !(duration_s(&job[i]) > 1.05 * duration_s(&job[k])))
                fail_msg("%s takes %g s, %s %g s", table1[i].name, duration_s(&job[i]),
                         table1[k].name, duration_s(&job[k]));
            if (table1[i].downtime_rank < table1[k].downtime_rank &&
                !(job[i].downtime_s > job[k].downtime_s))
                fail_msg("%s stands still for %g s, %s for %g s", table1[i].name,
                         job[i].downtime_s, table1[k].name, job[k].downtime_s);
        }
}

int
main(void)
{
    const struct CMUnitTest single[] = {
        { "Fig. 1: time by memory and dirty size, downtime by dirty size alone",
          time_grows_with_memory_and_dirty_size_downtime_with_dirty_size_alone, NULL, NULL, NULL },
        { "Fig. 4b: the others send as much as without it",
          fig_4b_others_send_as_much_beside_a_dirtying_vm, NULL, NULL, NULL },
        { "Table 1: the ranks of the five workloads in time and in downtime",
          table_1_ranks_the_workloads, NULL, NULL, NULL },
    };
    enum { SINGLE = sizeof single / sizeof *single };
    struct CMUnitTest tests[SINGLE + G_N_ELEMENTS(figures) + G_N_ELEMENTS(trends)];
    size_t n = SINGLE;

    memcpy(tests, single, sizeof single);
    for (size_t i = 0; i < G_N_ELEMENTS(figures); i++)
        tests[n++] = (struct CMUnitTest) {
            .name = figures[i].name, .test_func = a_workload_holds_up_whom_the_figure_says,
            .initial_state = (void *) &figures[i],
        };
    for (size_t i = 0; i < G_N_ELEMENTS(trends); i++)
        tests[n++] = (struct CMUnitTest) {
            .name = trends[i].name, .test_func = the_average_follows_the_position,
            .initial_state = (void *) &trends[i],
        };
    return cmocka_run_group_tests_name("sim-paper", tests, NULL, NULL);
}
