/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib.h>
#include <imig/workload.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MB    1e6
#define IDLE  IMIG_WORKLOAD_IDLE
#define CPU   IMIG_WORKLOAD_CPU
#define DISK  IMIG_WORKLOAD_DISK_IO
#define DIRTY IMIG_WORKLOAD_MEMORY_DIRTY
#define WEB   IMIG_WORKLOAD_WEB_SERVER
#define RECV  IMIG_WORKLOAD_NET_RECEIVE
#define NONE  IMIG_WORKLOAD_UNKNOWN

/* A host and the VM on it; 0: not stated, not measured. */
struct setting {
    double net, link, disk;
    double cpu_cores, cpu_wait, ops, dirty, rx, tx;
    uint32_t vcpus;
    int32_t stated;
};

static imig_cluster *
make_cluster(const struct setting *s)
{
    imig_cluster *cluster = imig_cluster_new(0);
    imig_host_info host = IMIG_HOST_INFO_INIT;
    imig_vm_info vm = IMIG_VM_INFO_INIT;
#define SET(field, metric, value) \
    if (value > 0) { vm.field = value; vm.present |= UINT64_C(1) << IMIG_METRIC_##metric; }

    host.id = "h";
    host.cpu_cores = 64;
    host.memory_bytes = 1e12;
    host.net_bytes_per_s = s->net;
    host.migration_bytes_per_s = s->link;
    host.disk_ops_per_s = s->disk;
    host.present = (s->net > 0 ? IMIG_HOST_HAS_NET : 0)
        | (s->link > 0 ? IMIG_HOST_HAS_MIGRATION : 0) | (s->disk > 0 ? IMIG_HOST_HAS_DISK_OPS : 0);
    vm.id = "v";
    vm.host = 0;
    vm.vcpus = MAX(s->vcpus, 1);
    vm.memory_bytes = 1e8;
    vm.workload_class = s->stated;
    SET(cpu_cores, CPU_CORES, s->cpu_cores)
    SET(cpu_wait_cores, CPU_WAIT_CORES, s->cpu_wait)
    SET(disk_ops_per_s, DISK_OPS_PER_S, s->ops)
    SET(dirty_bytes_per_s, DIRTY_BYTES_PER_S, s->dirty)
    SET(net_rx_bytes_per_s, NET_RX_BYTES_PER_S, s->rx)
    SET(net_tx_bytes_per_s, NET_TX_BYTES_PER_S, s->tx)
#undef SET
    assert_int_equal(imig_cluster_add_host(cluster, &host, NULL), IMIG_OK);
    assert_int_equal(imig_cluster_add_vm(cluster, &vm, NULL), IMIG_OK);
    assert_int_equal(imig_cluster_finish(cluster, NULL), IMIG_OK);
    return cluster;
}

static const struct class_case {
    const char *name;
    struct setting setting;
    int32_t want;
} class_cases[] = {
    { "lab: idle, 100 pages/s of background on 400 mbit",
      { .net = 50 * MB, .cpu_cores = 0.02, .dirty = 0.41 * MB, .stated = NONE }, IDLE },
    { "lab: cpu, 1 core of 1 vCPU",
      { .net = 50 * MB, .cpu_cores = 1, .dirty = 0.41 * MB, .stated = NONE }, CPU },
    { "lab: web, 25 MB/s on 400 mbit",
      { .net = 50 * MB, .cpu_cores = 0.9, .tx = 25 * MB, .rx = 1 * MB, .stated = NONE }, WEB },
    { "lab: netrecv, 14 MB/s on 200 mbit",
      { .net = 25 * MB, .cpu_cores = 0.7, .rx = 14 * MB, .tx = 0.5 * MB, .stated = NONE }, RECV },
    { "lab: memdirty, 16 MB/s on 400 mbit",
      { .net = 50 * MB, .cpu_cores = 1, .dirty = 16 * MB, .stated = NONE }, DIRTY },
    { "lab: memdirty, 16 MB/s read as 6 by page sampling",
      { .net = 50 * MB, .cpu_cores = 1, .dirty = 6 * MB, .stated = NONE }, DIRTY },
    { "lab: diskio, 5 MB/s in 4 KiB, host not stated",
      { .net = 50 * MB, .cpu_cores = 0.3, .ops = 1200, .stated = NONE }, DISK },
    { "nothing measured", { .stated = NONE }, IDLE },
    { "a stated class wins", { .cpu_cores = 1, .stated = RECV }, RECV },
    { "waiting for a CPU is demand", { .cpu_cores = 0.2, .cpu_wait = 0.5, .stated = NONE }, CPU },
    { "two of sixteen vCPUs are next to idle",
      { .cpu_cores = 2, .vcpus = 16, .stated = NONE }, IDLE },
    { "the same sending is little on a host of 10 gbit",
      { .net = 1250 * MB, .cpu_cores = 0.1, .tx = 25 * MB, .stated = NONE }, IDLE },
    { "dirtying counts against the migration link",
      { .net = 1250 * MB, .link = 125 * MB, .cpu_cores = 0.1, .dirty = 20 * MB, .stated = NONE },
      DIRTY },
    { "the same disk operations are little on a fast disk",
      { .disk = 100000, .cpu_cores = 0.1, .ops = 1200, .stated = NONE }, IDLE },
    { "1 gbit is assumed where nothing is stated",
      { .cpu_cores = 0.1, .tx = 13 * MB, .stated = NONE }, WEB },
    { "several at once: the largest against its threshold",
      { .net = 100 * MB, .cpu_cores = 1, .tx = 30 * MB, .rx = 20 * MB, .dirty = 25 * MB,
        .stated = NONE }, WEB },
    { "several at once, the other way",
      { .net = 100 * MB, .cpu_cores = 1, .tx = 30 * MB, .rx = 20 * MB, .dirty = 35 * MB,
        .stated = NONE }, DIRTY },
};

static void
vm_has_its_class(void **state)
{
    const struct class_case *c = *state;
    imig_cluster *cluster = make_cluster(&c->setting);
    double pressure[IMIG_PRESSURE_COUNT];
    int32_t workload = -7, from_pressures = -7;

    assert_int_equal(imig_classify(cluster, NULL, &workload, NULL), IMIG_OK);
    assert_int_equal(workload, c->want);
    assert_int_equal(imig_cluster_pressures(cluster, pressure, NULL), IMIG_OK);
    assert_int_equal(imig_classify_pressures(pressure, 1, NULL, &from_pressures, NULL), IMIG_OK);
    if (c->setting.stated == NONE)
        assert_int_equal(from_pressures, c->want);
    imig_cluster_unref(cluster);
}

static void
pressures_are_shares_of_what_the_host_can_give(void **state)
{
    const struct setting s = {
        .net = 100 * MB, .link = 200 * MB, .disk = 1000, .cpu_cores = 1, .cpu_wait = 0.5,
        .ops = 300, .dirty = 50 * MB, .rx = 10 * MB, .tx = 20 * MB, .vcpus = 3, .stated = CPU,
    };
    const struct setting plain = {
        .ops = 200, .dirty = 25 * MB, .rx = 12.5 * MB, .tx = 250 * MB, .stated = NONE,
    };
    imig_cluster *cluster = make_cluster(&s);
    double p[IMIG_PRESSURE_COUNT];

    (void) state;
    assert_int_equal(imig_cluster_pressures(cluster, p, NULL), IMIG_OK);
    assert_true(fabs(p[IMIG_PRESSURE_CPU] - 0.5) < 1e-12);
    assert_true(fabs(p[IMIG_PRESSURE_DISK] - 0.3) < 1e-12);
    assert_true(fabs(p[IMIG_PRESSURE_DIRTY] - 0.25) < 1e-12);
    assert_true(fabs(p[IMIG_PRESSURE_RECEIVE] - 0.1) < 1e-12);
    assert_true(fabs(p[IMIG_PRESSURE_TRANSMIT] - 0.2) < 1e-12);
    imig_cluster_unref(cluster);

    cluster = make_cluster(&plain);
    assert_int_equal(imig_cluster_pressures(cluster, p, NULL), IMIG_OK);
    assert_true(p[IMIG_PRESSURE_CPU] == 0);
    assert_true(fabs(p[IMIG_PRESSURE_DISK] - 0.1) < 1e-12);
    assert_true(fabs(p[IMIG_PRESSURE_DIRTY] - 0.2) < 1e-12);
    assert_true(fabs(p[IMIG_PRESSURE_RECEIVE] - 0.1) < 1e-12);
    assert_true(fabs(p[IMIG_PRESSURE_TRANSMIT] - 2) < 1e-12);
    imig_cluster_unref(cluster);
}

/* Thresholds are 0.1, but 0.25 for CPU; hysteresis 0.2.  cpu, disk, dirty, receive, transmit. */
static const struct border_case {
    const char *name;
    double pressure[IMIG_PRESSURE_COUNT];
    int32_t previous, want;
} border_cases[] = {
    { "on the threshold shows", { 0, 0, 0, 0, 0.1 }, NONE, WEB },
    { "just below does not", { 0, 0, 0, 0, 0.0999 }, NONE, IDLE },
    { "web a little below its threshold stays web", { 0, 0, 0, 0, 0.081 }, WEB, WEB },
    { "web well below is idle", { 0, 0, 0, 0, 0.079 }, WEB, IDLE },
    { "idle a little above a threshold stays idle", { 0, 0, 0, 0, 0.119 }, IDLE, IDLE },
    { "idle well above is web", { 0, 0, 0, 0, 0.121 }, IDLE, WEB },
    { "cpu stays cpu beside a weak rival", { 1, 0, 0.119, 0, 0 }, CPU, CPU },
    { "cpu gives way to a strong one", { 1, 0, 0.121, 0, 0 }, CPU, DIRTY },
    { "cpu never displaces another class", { 1, 0, 0.081, 0, 0 }, DIRTY, DIRTY },
    { "cpu remains when the other class ends", { 1, 0, 0.079, 0, 0 }, DIRTY, CPU },
    { "cpu a little below stays", { 0.21, 0, 0, 0, 0 }, CPU, CPU },
    { "cpu well below is idle", { 0.19, 0, 0, 0, 0 }, CPU, IDLE },
    { "a rival that is larger by a little does not win", { 0, 0, 0.31, 0.3, 0 }, RECV, RECV },
    { "a rival that is larger by far does", { 0, 0, 0.46, 0.3, 0 }, RECV, DIRTY },
    { "when a class ends, what shows counts as it is", { 0, 0, 0.105, 0.05, 0 }, RECV, DIRTY },
    { "not known before: as it is", { 0, 0, 0.31, 0.3, 0 }, NONE, DIRTY },
};

static void
border_is_kept(void **state)
{
    const struct border_case *c = *state;
    imig_classify_options options = IMIG_CLASSIFY_OPTIONS_INIT;
    int32_t workload = -7;

    options.previous = &c->previous;
    assert_int_equal(imig_classify_pressures(c->pressure, 1, &options, &workload, NULL), IMIG_OK);
    assert_int_equal(workload, c->want);
}

static double
next_number(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double) (*seed >> 11) / 9007199254740992.0;
}

static void
noise_at_a_border_does_not_flap(void **state)
{
    uint64_t seed = 11;

    (void) state;
    /* 10 % of noise around any point: at most one change, from what was not known to something. */
    for (int round = 0; round < 500; round++) {
        double around[IMIG_PRESSURE_COUNT], pressure[IMIG_PRESSURE_COUNT];
        imig_classify_options options = IMIG_CLASSIFY_OPTIONS_INIT;
        int32_t first = NONE, now = NONE;

        for (int p = 0; p < IMIG_PRESSURE_COUNT; p++)
            around[p] = next_number(&seed) * 0.4;
        if (round % 2)
            around[round / 2 % IMIG_PRESSURE_COUNT] = round / 2 % IMIG_PRESSURE_COUNT ? 0.1 : 0.25;
        for (int i = 0; i < 50; i++) {
            int32_t before = now;

            for (int p = 0; p < IMIG_PRESSURE_COUNT; p++)
                pressure[p] = around[p] * (0.91 + 0.18 * next_number(&seed));
            options.previous = &before;
            assert_int_equal(imig_classify_pressures(pressure, 1, &options, &now, NULL), IMIG_OK);
            if (i == 0)
                first = now;
            assert_int_equal(now, first);
        }
    }
}

static void
options_count(void **state)
{
    const double threshold[IMIG_PRESSURE_COUNT] = { 0.9, 0.5, 0.5, 0.5, 0.5 };
    const double pressure[2 * IMIG_PRESSURE_COUNT] = { 0.95, 0.4, 0.4, 0.4, 0.4,
                                                       0.89, 0.51, 0.4, 0.4, 0.4 };
    const int32_t previous[2] = { WEB, WEB };
    imig_classify_options options = IMIG_CLASSIFY_OPTIONS_INIT;
    int32_t workload[2];

    (void) state;
    options.threshold = threshold;
    assert_int_equal(imig_classify_pressures(pressure, 2, &options, workload, NULL), IMIG_OK);
    assert_int_equal(workload[0], CPU);
    assert_int_equal(workload[1], DISK);
    options.previous = previous;
    options.set = IMIG_CLASSIFY_HAS_HYSTERESIS;
    options.hysteresis_ratio = 0.21; /* 0.4 is more than 0.79 x 0.5 */
    assert_int_equal(imig_classify_pressures(pressure, 2, &options, workload, NULL), IMIG_OK);
    assert_int_equal(workload[0], WEB);
    assert_int_equal(workload[1], WEB);
    options.hysteresis_ratio = 0; /* as if nothing had been known */
    assert_int_equal(imig_classify_pressures(pressure, 2, &options, workload, NULL), IMIG_OK);
    assert_int_equal(workload[0], CPU);
    assert_int_equal(workload[1], DISK);
}

static void
wrong_arguments_are_refused(void **state)
{
    const struct setting s = { .stated = NONE };
    double pressure[IMIG_PRESSURE_COUNT] = { 0 };
    double threshold[IMIG_PRESSURE_COUNT] = { 1, 1, 1, 1, 1 };
    imig_classify_options options = IMIG_CLASSIFY_OPTIONS_INIT;
    imig_cluster *cluster = make_cluster(&s), *open = imig_cluster_new(0);
    int32_t workload = 42, previous = IMIG_WORKLOAD_COUNT;
    imig_error *error = NULL;

    (void) state;
#define CLASSIFY() imig_classify_pressures(pressure, 1, &options, &workload, NULL)
    assert_int_equal(imig_classify_pressures(NULL, 1, NULL, &workload, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_classify_pressures(pressure, 1, NULL, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_classify_pressures(NULL, 0, NULL, NULL, NULL), IMIG_OK);
    pressure[3] = -0.1;
    assert_int_equal(CLASSIFY(), IMIG_ERR_ARGUMENT);
    pressure[3] = NAN;
    assert_int_equal(imig_classify_pressures(pressure, 1, NULL, &workload, &error),
                     IMIG_ERR_ARGUMENT);
    assert_non_null(strstr(imig_error_message(error), "pressure[3]"));
    imig_error_free(error);
    pressure[3] = 0;
    options.threshold = threshold;
    threshold[2] = 0;
    assert_int_equal(CLASSIFY(), IMIG_ERR_ARGUMENT);
    threshold[2] = INFINITY;
    assert_int_equal(CLASSIFY(), IMIG_ERR_ARGUMENT);
    threshold[2] = 1;
    options.previous = &previous;
    assert_int_equal(CLASSIFY(), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_classify(cluster, &options, &workload, NULL), IMIG_ERR_ARGUMENT);
    previous = NONE;
    options.set = IMIG_CLASSIFY_HAS_HYSTERESIS;
    options.hysteresis_ratio = 1;
    assert_int_equal(CLASSIFY(), IMIG_ERR_ARGUMENT);
    options.hysteresis_ratio = NAN;
    assert_int_equal(CLASSIFY(), IMIG_ERR_ARGUMENT);
    options.set = 0;
    options.size--;
    assert_int_equal(CLASSIFY(), IMIG_ERR_ABI);
    assert_int_equal(imig_classify(cluster, &options, &workload, NULL), IMIG_ERR_ABI);
    assert_int_equal(imig_classify(NULL, NULL, &workload, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_classify(open, NULL, &workload, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_classify(cluster, NULL, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_cluster_pressures(NULL, pressure, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_cluster_pressures(open, pressure, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_cluster_pressures(cluster, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(workload, 42);
#undef CLASSIFY
    imig_cluster_unref(open);
    imig_cluster_unref(cluster);
}

int
main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(pressures_are_shares_of_what_the_host_can_give),
        cmocka_unit_test(noise_at_a_border_does_not_flap),
        cmocka_unit_test(options_count),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    enum {
        N_CLASSES = G_N_ELEMENTS(class_cases), N_BORDERS = G_N_ELEMENTS(border_cases),
        N_OTHERS = G_N_ELEMENTS(others),
    };
    struct CMUnitTest tests[N_CLASSES + N_BORDERS + N_OTHERS], *t = tests;

    for (size_t i = 0; i < N_CLASSES; i++)
        *t++ = (struct CMUnitTest) { .name = class_cases[i].name,
            .test_func = vm_has_its_class, .initial_state = (void *) &class_cases[i] };
    for (size_t i = 0; i < N_BORDERS; i++)
        *t++ = (struct CMUnitTest) { .name = border_cases[i].name,
            .test_func = border_is_kept, .initial_state = (void *) &border_cases[i] };
    memcpy(t, others, sizeof others);
    return cmocka_run_group_tests_name("classify", tests, NULL, NULL);
}
