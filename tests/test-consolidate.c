/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "aim-fixture.h"
#include "policy/consolidate-priv.h"

#include <stdlib.h>

#define THRESHOLD 0.8

static uint32_t
in_use(const imig__state *state)
{
    uint32_t n = 0;

    for (uint32_t h = 0; h < state->load->hosts; h++)
        n += state->sums[h].count > 0;
    return n;
}

/* Nobody above the threshold, nobody above its memory. */
static gboolean
is_fine(const aim_world *w, const imig__state *state)
{
    for (uint32_t h = 0; h < state->load->hosts; h++)
        if (imig__level_over(w->problem.space, &w->limits, state, h))
            return FALSE;
    return TRUE;
}

struct best {
    uint32_t hosts;
    double bytes;
};

static void
visit_hosts(const aim_world *w, const imig__state *state, void *data)
{
    struct best *best = data;
    uint32_t n = in_use(state);
    double bytes = aim_bytes(state);

    if (n > best->hosts || !is_fine(w, state))
        return;
    if (n < best->hosts || bytes < best->bytes)
        best->bytes = bytes;
    best->hosts = n;
}

static uint32_t
consolidate(aim_world *w, imig__state *state, uint32_t spare_hosts, uint8_t *frees)
{
    const imig__consolidate_options options = { .threshold = THRESHOLD,
                                                .spare_hosts = spare_hosts, .seed = 1 };
    uint32_t n = 0;

    memset(frees, 0, state->load->hosts);
    imig__consolidate(w->problem.space, state, &options, frees);
    for (uint32_t h = 0; h < state->load->hosts; h++)
        n += frees[h];
    return state->load->hosts - n;
}

static uint32_t
bound_of(const aim_world *w, uint32_t spare_hosts)
{
    return imig__consolidate_bound(w->problem.space, w->home, &w->limits, w->problem.space->fixed,
                                   spare_hosts);
}

static void
small_clusters_need_the_fewest_hosts(void **unused)
{
    uint32_t cases = 0, fewest = 0, cheapest = 0, proved = 0, freed = 0;

    (void) unused;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        const aim_shape shape = {
            .hosts = seed % 2 ? 4 : 3, .vms = seed % 2 ? 7 : 9, .whole = seed % 3 != 0,
            .unequal = seed % 4 == 1, .reserved = seed % 5 == 2, .pools = seed % 6 == 4,
            .tied = seed % 3 == 0,
        };
        struct best best = { UINT32_MAX, INFINITY };
        uint8_t frees[8];
        aim_world w;
        imig__state *state;
        uint32_t hosts, bound;

        aim_world_init(&w, &shape, seed);
        imig__consolidate_limits(w.problem.space, THRESHOLD, &w.limits);
        state = imig__state_new(w.problem.load);
        aim_try_all(&w, state, 0, visit_hosts, &best);
        bound = bound_of(&w, 0);
        hosts = consolidate(&w, state, 0, frees);
        assert_true(aim_is_allowed(&w, state));
        assert_int_equal(is_fine(&w, state), best.hosts != UINT32_MAX);
        for (uint32_t h = 0; h < shape.hosts; h++)
            assert_int_equal(frees[h], state->sums[h].count <= 0);
        if (is_fine(&w, state) && (bound > best.hosts || hosts < best.hosts))
            fail_msg("seed %d: bound %u, fewest %u, found %u", (int) seed, bound, best.hosts,
                     hosts);
        cases += best.hosts != UINT32_MAX;
        fewest += hosts == best.hosts;
        cheapest += hosts == best.hosts && aim_bytes(state) <= best.bytes * (1 + 1e-9);
        proved += bound == best.hosts;
        freed += is_fine(&w, state) ? shape.hosts - hosts : 0;
        imig__state_free(state);
        aim_world_clear(&w);
    }
    print_message("%u clusters: fewest hosts in %u, with the fewest bytes in %u, proved in %u; %u "
                  "hosts freed\n", cases, fewest, cheapest, proved, freed);
    assert_true(cases > 80 && fewest >= cases * 98 / 100 && freed > cases / 2);
    assert_true(cheapest >= cases * 80 / 100 && proved >= cases * 60 / 100);
}

/* Hosts that may fail are not switched off; the bound knows of them. */
static void
spare_hosts_stay(void **unused)
{
    (void) unused;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        const aim_shape shape = { .hosts = 10, .vms = 30, .whole = TRUE, .unequal = seed % 2 };
        aim_world w;
        uint32_t last = 0;
        uint8_t frees[10];

        aim_world_init(&w, &shape, seed);
        imig__consolidate_limits(w.problem.space, THRESHOLD, &w.limits);
        for (uint32_t spare = 0; spare <= 3; spare++) {
            imig__state *state = imig__state_new(w.problem.load);
            uint32_t hosts = consolidate(&w, state, spare, frees), n = 0;
            double cores[10], cpu = 0, left = 0;

            for (uint32_t h = 0; h < shape.hosts; h++) {
                cpu += state->sums[h].cpu;
                if (!frees[h])
                    cores[n++] = w.limits.cpu[h];
            }
            assert_int_equal(n, hosts);
            /* The largest ones fail. */
            for (uint32_t i = 0; i < n; i++) {
                uint32_t larger = 0;

                for (uint32_t k = 0; k < n; k++)
                    larger += cores[k] > cores[i] || (cores[k] >= cores[i] && k < i);
                left += larger >= spare ? cores[i] : 0;
            }
            assert_true(left >= cpu * (1 - 1e-6));
            assert_true(hosts >= last && hosts >= bound_of(&w, spare));
            assert_true(hosts <= bound_of(&w, spare) + 1);
            last = hosts;
            imig__state_free(state);
        }
        aim_world_clear(&w);
    }
}

/* A cluster that is one third full: the number of hosts is close to the bound. */
static void
a_large_cluster_comes_close_to_the_bound(void **unused)
{
    const aim_shape shape = { .hosts = 600, .vms = 2400, .whole = TRUE, .unequal = TRUE };
    uint8_t *frees = g_new0(uint8_t, shape.hosts);
    imig__state *state;
    aim_world w;
    uint32_t hosts, bound;

    (void) unused;
    aim_world_init(&w, &shape, 2);
    imig__consolidate_limits(w.problem.space, THRESHOLD, &w.limits);
    state = imig__state_new(w.problem.load);
    hosts = consolidate(&w, state, 0, frees);
    bound = bound_of(&w, 0);
    print_message("%u of %u hosts, bound %u\n", hosts, shape.hosts, bound);
    assert_true(is_fine(&w, state));
    assert_true(hosts >= bound && hosts <= bound * 105 / 100);
    imig__state_free(state);
    aim_world_clear(&w);
    g_free(frees);
}

/* Five VMs that are larger than half a host need five hosts, whatever the sum says. */
static void
halves_do_not_share_a_host(void **unused)
{
    imig_cluster *cluster = imig_cluster_new(0);
    aim_world w = { .cluster = cluster };
    const aim_shape shape = { .hosts = 6 };

    (void) unused;
    aim_add_hosts(cluster, &shape);
    w.limits = imig__limits_new(shape.hosts);
    for (uint32_t v = 0; v < 7; v++) {
        imig_vm_info vm = IMIG_VM_INFO_INIT;
        char id[8];

        g_snprintf(id, sizeof id, "v%u", v);
        vm.id = id;
        vm.host = v % 6;
        vm.vcpus = 8;
        vm.memory_bytes = (v < 5 ? 21 : 2) * 1073741824.0;
        vm.cpu_cores = 0.1;
        vm.present = UINT64_C(1) << IMIG_METRIC_CPU_CORES;
        vm.workload_class = IMIG_WORKLOAD_CPU;
        assert_int_equal(imig_cluster_add_vm(cluster, &vm, NULL), IMIG_OK);
    }
    assert_int_equal(imig_cluster_finish(cluster, NULL), IMIG_OK);
    assert_int_equal(imig__problem_init(&w.problem, cluster, NULL, NULL, &imig__loss_defaults, 0.8,
                                        0, NULL), IMIG_OK);
    w.home = imig__state_new(w.problem.load);
    imig__consolidate_limits(w.problem.space, THRESHOLD, &w.limits);
    assert_int_equal(bound_of(&w, 0), 5);
    imig__limits_clear(&w.limits);
    imig__state_free(w.home);
    imig__problem_clear(&w.problem);
    imig_cluster_unref(cluster);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_clusters_need_the_fewest_hosts),
        cmocka_unit_test(spare_hosts_stay),
        cmocka_unit_test(a_large_cluster_comes_close_to_the_bound),
        cmocka_unit_test(halves_do_not_share_a_host),
    };

    return cmocka_run_group_tests_name("consolidate", tests, NULL, NULL);
}
