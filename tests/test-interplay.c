/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cost/interplay-priv.h"
#include "interplay-fixture.h"

/* A stream of numbers in [0, 1) that is the same everywhere. */
static double
next_number(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double) (*seed >> 11) / 9007199254740992.0;
}

enum { HOSTS = 5, VMS = 24, FLOWS = 40 };

/* A cluster of all kinds of VMs, with VM i on host[i]; everything else depends on the seed.  cores:
   [HOSTS], NULL: any. */
static imig_cluster *
any_cluster(uint64_t seed, const uint32_t *host, const double *cores)
{
    imig_cluster *cluster = imig_cluster_new(0);

    for (uint32_t h = 0; h < HOSTS; h++) {
        const char *const ids[HOSTS] = { "a", "b", "c", "d", "e" };

        double any = 2 + 10 * next_number(&seed);

        add_host(cluster, ids[h], cores ? cores[h] : any, (50 + 100 * next_number(&seed)) * MB,
                 h == 4 ? 300 * MB : 0);
    }
    for (uint32_t i = 0; i < VMS; i++) {
        double memory = exp(next_number(&seed) * 5) * 64 * MB;
        const struct load load = {
            .cpu_cores = next_number(&seed) * 2,
            .tx = next_number(&seed) < 0.4 ? next_number(&seed) * 60 * MB : 0,
            .rx = next_number(&seed) < 0.4 ? next_number(&seed) * 60 * MB : 0,
            .dirty = next_number(&seed) < 0.6 ? next_number(&seed) * 80 * MB : 0,
            .working_set = next_number(&seed) * memory,
            .workload = (int32_t) (next_number(&seed) * IMIG_WORKLOAD_COUNT),
        };

        add_vm(cluster, i, host[i], memory, &load);
    }
    for (uint32_t i = 0; i < FLOWS; i++) {
        uint32_t a = (uint32_t) (next_number(&seed) * VMS);
        uint32_t b = (uint32_t) (next_number(&seed) * VMS);

        if (a != b) /* a pair that comes twice is refused, which is all right here */
            imig_cluster_add_flow(cluster, a, b, next_number(&seed) * 20 * MB, NULL);
    }
    finish(cluster);
    return cluster;
}

static void
any_places(uint64_t *seed, uint32_t *host)
{
    for (int i = 0; i < VMS; i++)
        host[i] = (uint32_t) (next_number(seed) * HOSTS);
}

/* Cores of which at least half are wanted in one of both places, and no more than there are in
   either: what VMs dirty would be another thing where they lack some. */
static void
enough_cores(const imig_cluster *cluster, const uint32_t *start, const uint32_t *end,
             uint64_t *seed, double *cores)
{
    for (uint32_t h = 0; h < HOSTS; h++) {
        double first = 0, last = 0;

        for (uint32_t i = 0; i < VMS; i++) {
            const double wanted = imig_cluster_vm_demand_cores(cluster, i);

            first += start[i] == h ? wanted : 0;
            last += end[i] == h ? wanted : 0;
        }
        cores[h] = MAX(MAX(first, last), 1) * (1 + next_number(seed));
    }
}

static imig_cost
predict_to(const imig__traffic *traffic, uint32_t vm, uint32_t to)
{
    imig_cost cost = IMIG_COST_INIT;

    imig__traffic_predict(traffic, vm, to, 1, 1, &cost);
    return cost;
}

static void
moving_step_by_step_is_the_same_as_starting_there(void **state)
{
    int32_t workload[VMS] = { 0 };
    uint64_t seed = 3;

    (void) state;
    for (uint64_t round = 0; round < 60; round++) {
        uint32_t start[VMS], end[VMS];
        double cores[HOSTS];
        imig_cluster *before, *after;
        imig__traffic *moved, *fresh;

        any_places(&seed, start);
        any_places(&seed, end);
        before = any_cluster(round, start, NULL);
        enough_cores(before, start, end, &seed, cores);
        imig_cluster_unref(before);
        before = any_cluster(round, start, cores);
        after = any_cluster(round, end, cores);
        moved = imig__traffic_new(before, workload, NULL);
        fresh = imig__traffic_new(after, workload, NULL);
        for (uint32_t i = 0; i < VMS; i++) {
            imig__traffic_move(moved, i, (uint32_t) (next_number(&seed) * HOSTS));
            imig__traffic_move(moved, i, end[i]);
        }
        for (uint32_t i = 0; i < VMS; i++)
            for (uint32_t to = 0; to < HOSTS; to++) {
                imig_cost a = predict_to(moved, i, to), b = predict_to(fresh, i, to);
                double hold_a[2], hold_b[2];

                assert_near(a.time_s, b.time_s, 1e-6);
                assert_near(a.downtime_s, b.downtime_s, 1e-6);
                imig__traffic_hold(moved, i, to, &hold_a[0], &hold_a[1]);
                imig__traffic_hold(fresh, i, to, &hold_b[0], &hold_b[1]);
                assert_true(fabs(hold_a[0] - hold_b[0]) < 1e-9);
                assert_true(fabs(hold_a[1] - hold_b[1]) < 1e-9);
            }
        imig__traffic_free(moved);
        imig__traffic_free(fresh);
        imig_cluster_unref(before);
        imig_cluster_unref(after);
    }
}

static void
no_migration_costs_less_than_the_idle_one(void **state)
{
    int32_t workload[VMS] = { 0 };
    uint64_t seed = 4;

    (void) state;
    for (uint64_t round = 0; round < 60; round++) {
        uint32_t start[VMS];
        imig_cluster *cluster;
        imig__traffic *traffic;
        imig_cost idle[VMS];

        any_places(&seed, start);
        cluster = any_cluster(round, start, NULL);
        traffic = imig__traffic_new(cluster, workload, NULL);
        for (uint32_t i = 0; i < VMS; i++)
            imig__traffic_predict_idle(traffic, i, &idle[i]);
        for (int k = 0; k < 100; k++) {
            uint32_t vm = (uint32_t) (next_number(&seed) * VMS);
            uint32_t to = (uint32_t) (next_number(&seed) * HOSTS);
            imig_cost cost;

            /* Others move about; the VM itself leaves from where it was. */
            imig__traffic_move(traffic, (vm + 1) % VMS, (uint32_t) (next_number(&seed) * HOSTS));
            imig__traffic_move(traffic, vm, start[vm]);
            cost = predict_to(traffic, vm, to);
            assert_true(cost.time_s >= idle[vm].time_s * (1 - 1e-9));
            assert_true(cost.downtime_s >= idle[vm].downtime_s * (1 - 1e-9));
            assert_true(cost.transferred_bytes >= idle[vm].transferred_bytes * (1 - 1e-9));
        }
        imig__traffic_free(traffic);
        imig_cluster_unref(cluster);
    }
}

/* On a host with half of the CPU that its VMs want, until one of the two leaves it. */
static void
who_gets_more_cpu_dirties_more(void **state)
{
    static const struct load busy = { 4, 0, 0, 10 * MB, 1e12, IMIG_WORKLOAD_MEMORY_DIRTY };
    int32_t workload[2] = { IMIG_WORKLOAD_MEMORY_DIRTY, IMIG_WORKLOAD_MEMORY_DIRTY };
    imig_cluster *cluster = imig_cluster_new(0);
    imig__traffic *traffic;
    imig_cost beside, alone;
    const double stream = 1 + 8 / 4096.0, rate = 94 * MB;
    const double hold = 1 + 0.35 * 10 / 100.0, first = 2e9 * stream;

    (void) state;
    add_host(cluster, "a", 4, 100 * MB, 0);
    add_host(cluster, "b", 16, 100 * MB, 0);
    add_vm(cluster, 0, 0, 2e9, &busy);
    add_vm(cluster, 1, 0, 2e9, &busy);
    finish(cluster);
    traffic = imig__traffic_new(cluster, workload, NULL);
    beside = predict_to(traffic, 0, 1);
    imig__traffic_move(traffic, 1, 1);
    alone = predict_to(traffic, 0, 1);
    /* Each round sends what was dirtied in the one before: 10 MB/s, then 20; pages that are written
       twice make it a little less. */
    assert_near(beside.transferred_bytes, first / (1 - 10 * MB * hold / rate), 0.03);
    assert_near(alone.transferred_bytes, first / (1 - 20 * MB / rate), 0.03);
    imig__traffic_free(traffic);
    imig_cluster_unref(cluster);
}

static void
holds_are_what_a_neighbour_adds(void **state)
{
    static const struct load loads[] = {
        { 4, 0, 0, 0, 0, IMIG_WORKLOAD_CPU }, /* makes the source CPU-bound by itself */
        { 0.001, 0, 0, 0, 0, IMIG_WORKLOAD_IDLE },
        { 0.001, 25 * MB, 0, 0, 0, IMIG_WORKLOAD_WEB_SERVER },
        { 0.001, 0, 40 * MB, 0, 0, IMIG_WORKLOAD_NET_RECEIVE },
        { 0.001, 0, 0, 50 * MB, 10 * MB, IMIG_WORKLOAD_MEMORY_DIRTY },
        { 0.001, 0, 0, 0, 0, IMIG_WORKLOAD_WEB_SERVER },
        { 0.001, 0, 0, 0, 0, IMIG_WORKLOAD_NET_RECEIVE },
    };
    int32_t workload[G_N_ELEMENTS(loads)];
    imig_cluster *cluster = imig_cluster_new(0);
    imig__traffic *traffic;

    (void) state;
    add_host(cluster, "a", 4, 100 * MB, 0);
    add_host(cluster, "b", 16, 100 * MB, 0);
    for (uint32_t i = 0; i < G_N_ELEMENTS(loads); i++) {
        add_vm(cluster, i, 0, 1e12, &loads[i]); /* long enough for fixed parts not to count */
        workload[i] = loads[i].workload;
    }
    finish(cluster);
    traffic = imig__traffic_new(cluster, workload, NULL);
    for (uint32_t i = 1; i < 5; i++) {
        double hold[2], now, left;

        imig__traffic_hold(traffic, i, 1, &hold[0], &hold[1]);
        now = predict_to(traffic, 0, 1).time_s;
        imig__traffic_move(traffic, i, 1);
        left = predict_to(traffic, 0, 1).time_s;
        /* The web server left 75 MB/s, then the receiver 60 of 100: only the least counts. */
        assert_near(left, i == 3 ? now * (1 + hold[1]) * 0.75 : now * (1 - hold[0]), 1e-3);
        imig__traffic_move(traffic, i, 0);
        assert_true((hold[0] > 0.1) == (i == 2 || i == 4));
        assert_true((hold[1] > 0.1) == (i == 3));
    }
    for (uint32_t i = 5; i < 7; i++) {
        double hold[2];

        /* Not measured: the class speaks. */
        imig__traffic_hold(traffic, i, 1, &hold[0], &hold[1]);
        assert_true((hold[0] > 0.1) == (i == 5));
        assert_true((hold[1] > 0.1) == (i == 6));
    }
    imig__traffic_free(traffic);
    imig_cluster_unref(cluster);
}

static void
links_are_shared_capped_and_never_taken_whole(void **state)
{
    static const struct load idle = { 0.1, 0, 0, 0, 0, IMIG_WORKLOAD_IDLE };
    static const struct load web = { 0.1, 300 * MB, 0, 0, 0, IMIG_WORKLOAD_WEB_SERVER };
    imig_predict_options cap = IMIG_PREDICT_OPTIONS_INIT;
    int32_t workload[2] = { 0, 0 };
    imig_cluster *cluster = imig_cluster_new(0);
    imig__traffic *traffic;
    imig_cost cost = IMIG_COST_INIT;
    const double stream = 1e12 * (1 + 8 / 4096.0);

    (void) state;
    add_host(cluster, "a", 16, 100 * MB, 0);
    add_host(cluster, "b", 16, 100 * MB, 0);
    add_host(cluster, "link", 16, 100 * MB, 1000 * MB);
    add_host(cluster, "plain", 16, 0, 0);
    add_vm(cluster, 0, 0, 1e12, &idle);
    add_vm(cluster, 1, 1, 1e12, &web);
    finish(cluster);
    traffic = imig__traffic_new(cluster, workload, NULL);

    imig__traffic_predict(traffic, 0, 1, 1, 1, &cost);
    assert_near(cost.time_s, stream / (94 * MB), 1e-3);
    imig__traffic_predict(traffic, 0, 1, 2, 1, &cost);
    assert_near(cost.time_s, stream / (47 * MB), 1e-3);
    imig__traffic_predict(traffic, 0, 1, 2, 4, &cost);
    assert_near(cost.time_s, stream / (23.5 * MB), 1e-3);
    /* A tenth is left, but not in the pause: QEMU leaves a tenth for it, which takes a tenth. */
    imig__traffic_predict(traffic, 1, 0, 1, 1, &cost);
    assert_near(cost.time_s, stream / (9.4 * MB), 1e-3);
    assert_near(predict_to(traffic, 0, 1).downtime_s - cost.downtime_s,
                0.9 * 0.275 * (1 + 8 / 4096.0), 1e-6);
    imig__traffic_move(traffic, 1, 0);
    imig__traffic_predict(traffic, 0, 1, 1, 1, &cost);
    assert_near(cost.time_s, stream / (9.4 * MB), 1e-3);
    imig__traffic_move(traffic, 0, 2); /* to a host with a link for migrations */
    imig__traffic_move(traffic, 1, 2);
    imig__traffic_predict(traffic, 0, 3, 1, 1, &cost); /* 1 gbit where nothing is stated */
    assert_near(cost.time_s, stream / (117.5 * MB), 1e-3);
    imig__traffic_free(traffic);

    cap.set = IMIG_PREDICT_HAS_BANDWIDTH;
    cap.bandwidth_bytes_per_s = 50 * MB;
    traffic = imig__traffic_new(cluster, workload, &cap);
    imig__traffic_predict(traffic, 0, 1, 1, 1, &cost);
    assert_near(cost.time_s, stream / (50 * MB), 1e-3);
    /* QEMU lifts it for the pause, and nothing stands in its socket. */
    assert_near(cost.downtime_s, 0.04 + (0.275 * 50 * MB * (1 + 8 / 4096.0) + 0.2 * MB) / (94 * MB),
                1e-3);
    imig__traffic_free(traffic);
    imig_cluster_unref(cluster);
}

static void
flows_on_one_host_spare_its_link(void **state)
{
    static const struct load idle = { 0.1, 0, 0, 0, 0, IMIG_WORKLOAD_IDLE };
    static const struct load sender = { 0.1, 50 * MB, 0, 0, 0, IMIG_WORKLOAD_WEB_SERVER };
    imig_cluster *cluster = imig_cluster_new(0);
    int32_t workload[3] = { 0, 0, 0 };
    imig__traffic *traffic;
    double local, crossing;

    (void) state;
    add_host(cluster, "a", 16, 100 * MB, 0);
    add_host(cluster, "b", 16, 100 * MB, 0);
    add_vm(cluster, 0, 0, 1e12, &sender);
    add_vm(cluster, 1, 0, 1e12, &idle);
    add_vm(cluster, 2, 0, 1e12, &idle);
    assert_int_equal(imig_cluster_add_flow(cluster, 0, 1, 50 * MB, NULL), IMIG_OK);
    finish(cluster);
    traffic = imig__traffic_new(cluster, workload, NULL);
    local = predict_to(traffic, 2, 1).time_s;
    imig__traffic_move(traffic, 1, 1);
    crossing = predict_to(traffic, 2, 1).time_s; /* half of either link is taken now */
    assert_near(crossing, 2 * local, 1e-3);
    imig__traffic_move(traffic, 0, 1);
    assert_near(predict_to(traffic, 2, 1).time_s, local, 1e-3);
    imig__traffic_free(traffic);
    imig_cluster_unref(cluster);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(moving_step_by_step_is_the_same_as_starting_there),
        cmocka_unit_test(no_migration_costs_less_than_the_idle_one),
        cmocka_unit_test(who_gets_more_cpu_dirties_more),
        cmocka_unit_test(holds_are_what_a_neighbour_adds),
        cmocka_unit_test(links_are_shared_capped_and_never_taken_whole),
        cmocka_unit_test(flows_on_one_host_spare_its_link),
    };

    return cmocka_run_group_tests_name("interplay", tests, NULL, NULL);
}
