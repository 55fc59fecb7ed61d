/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "clusters.h"
#include "cost/bound-priv.h"
#include "policy/problem-priv.h"

#include <math.h>

enum { HOSTS = 4, VMS = 7 };

struct world {
    imig_cluster *cluster;
    imig__problem problem;
    double move_loss[64];
    uint8_t movable[64], takes[64];
};

static void
put_host(imig_cluster *cluster, uint32_t i, double cores, const char *pool, int32_t state)
{
    imig_host_info host = IMIG_HOST_INFO_INIT;
    char id[16];

    g_snprintf(id, sizeof id, "h%u", i);
    host.id = id;
    host.pool = pool;
    host.cpu_cores = cores;
    host.memory_bytes = 1e12;
    host.state = state;
    assert_int_equal(imig_cluster_add_host(cluster, &host, NULL), IMIG_OK);
}

static void
put_vm(imig_cluster *cluster, uint32_t i, uint32_t host, double cores, double weight)
{
    imig_vm_info vm = IMIG_VM_INFO_INIT;
    char id[16];

    g_snprintf(id, sizeof id, "v%u", i);
    vm.id = id;
    vm.host = host;
    vm.vcpus = 64;
    vm.memory_bytes = 1e9;
    vm.cpu_cores = cores;
    vm.weight = weight;
    vm.present = UINT64_C(1) << IMIG_METRIC_CPU_CORES | IMIG_VM_HAS_WEIGHT;
    vm.workload_class = IMIG_WORKLOAD_CPU;
    assert_int_equal(imig_cluster_add_vm(cluster, &vm, NULL), IMIG_OK);
}

static void
world_finish(struct world *w)
{
    assert_int_equal(imig_cluster_finish(w->cluster, NULL), IMIG_OK);
    assert_int_equal(imig__problem_init(&w->problem, w->cluster, NULL, NULL,
                                        &imig__loss_defaults, 0.8, 0, NULL), IMIG_OK);
    for (uint32_t h = 0; h < w->problem.load->hosts; h++)
        w->takes[h] = w->problem.space->accepts[h];
}

static void
world_clear(struct world *w)
{
    imig__problem_clear(&w->problem);
    imig_cluster_unref(w->cluster);
}

static double
bound_of(const struct world *w)
{
    return imig__bound(w->problem.load, w->move_loss, w->movable, w->cluster->host_pool,
                       w->cluster->pool_count, w->takes);
}

/* The least contention + migration of all placements that respect pools and hosts. */
static double
try_all(const struct world *w, imig__state *state, uint32_t v, double moving)
{
    const uint32_t *pool = w->cluster->host_pool;
    uint32_t home = state->host[v < state->load->vms ? v : 0];
    double least;

    if (v == state->load->vms)
        return imig__state_losses(state).cpu + moving;
    least = try_all(w, state, v + 1, moving);
    for (uint32_t h = 0; w->movable[v] && h < state->load->hosts; h++) {
        if (h == home || !w->takes[h] || pool[h] != pool[home])
            continue;
        imig__state_move(state, v, h);
        least = MIN(least, try_all(w, state, v + 1, moving + w->move_loss[v]));
    }
    imig__state_move(state, v, home);
    return least;
}

/* Weights, VMs that must stay, pools, hosts that take nothing, hosts of all sizes and loads. */
static void
no_placement_is_below_the_bound(void **unused)
{
    uint32_t positive = 0;

    (void) unused;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct world w = { .cluster = imig_cluster_new(0) };
        uint64_t key = 0;
        double bound, least;
        imig__state *state;

        for (uint32_t h = 0; h < HOSTS; h++)
            put_host(w.cluster, h, uniform(seed, &key, 1, 12), seed % 3 && h % 2 ? "b" : "a",
                     seed % 4 == 1 && h == 0 ? IMIG_HOST_MAINTENANCE : IMIG_HOST_ACTIVE);
        for (uint32_t v = 0; v < VMS; v++) {
            double weight = seed % 2 ? 1 : uniform(seed, &key, 0.2, 10);

            put_vm(w.cluster, v, (uint32_t) uniform(seed, &key, 0, HOSTS),
                   uniform(seed, &key, 0, seed % 5 ? 4 : 9), weight);
            w.movable[v] = seed % 5 < 3 || v % 3 != 0;
            w.move_loss[v] = weight * uniform(seed, &key, 0, seed % 7 ? 0.01 : 0.5);
        }
        world_finish(&w);
        state = imig__state_new(w.problem.load);
        least = try_all(&w, state, 0, 0);
        bound = bound_of(&w);
        if (bound > least + 1e-9 || !(bound >= 0))
            fail_msg("seed %d: bound %.9g, but a placement has %.9g", (int) seed, bound, least);
        positive += bound > 0.1 * least;
        imig__state_free(state);
        world_clear(&w);
    }
    assert_true(positive > 20); /* it says something more often than not */
}

/* Many small VMs are nearly divisible: spread evenly they leave little more than the bound. */
static void
it_is_tight_where_vms_are_small(void **unused)
{
    struct world w = { .cluster = imig_cluster_new(0) };
    double least;

    (void) unused;
    for (uint32_t h = 0; h < 4; h++)
        put_host(w.cluster, h, 8, "a", IMIG_HOST_ACTIVE);
    for (uint32_t v = 0; v < 64; v++) {
        put_vm(w.cluster, v, v < 32 ? 0 : v % 4, 0.4, 1);
        w.movable[v] = 1;
    }
    world_finish(&w);
    for (uint32_t v = 0; v < 64; v++)
        imig__state_move(w.problem.state, v, v % 4);
    least = imig__state_losses(w.problem.state).cpu;
    assert_true(bound_of(&w) <= least);
    assert_true(bound_of(&w) >= 0.999 * least);
    world_clear(&w);
}

/* Where nothing can move the bound is what is there. */
static void
it_is_exact_where_nothing_moves(void **unused)
{
    (void) unused;
    for (int how = 0; how < 3; how++) {
        struct world w = { .cluster = imig_cluster_new(0) };
        double now;

        for (uint32_t h = 0; h < 3; h++)
            put_host(w.cluster, h, 8, how == 0 && h == 0 ? "alone" : "a", IMIG_HOST_ACTIVE);
        for (uint32_t v = 0; v < 6; v++) {
            put_vm(w.cluster, v, 0, 1.5, 1);
            w.movable[v] = how != 1;
        }
        world_finish(&w);
        if (how == 2)
            memset(w.takes, 0, sizeof w.takes);
        now = imig__state_losses(w.problem.state).cpu;
        assert_true(now > 1);
        assert_true(fabs(bound_of(&w) - now) < 1e-6 * now);
        world_clear(&w);
    }
}

static void
nobody_demands_anything(void **unused)
{
    struct world w = { .cluster = imig_cluster_new(0) };

    (void) unused;
    put_host(w.cluster, 0, 8, "a", IMIG_HOST_ACTIVE);
    put_vm(w.cluster, 0, 0, 0, 1);
    world_finish(&w);
    assert_true(bound_of(&w) == 0);
    world_clear(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_placement_is_below_the_bound),
        cmocka_unit_test(it_is_tight_where_vms_are_small),
        cmocka_unit_test(it_is_exact_where_nothing_moves),
        cmocka_unit_test(nobody_demands_anything),
    };

    return cmocka_run_group_tests_name("bound", tests, NULL, NULL);
}
