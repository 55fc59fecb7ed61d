/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schedule-check.h"
#include "small-cluster.h"

enum { NOBODY = 99 };

static uint64_t
next_number(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

static uint32_t
below(uint64_t *seed, uint32_t n)
{
    return (uint32_t) (next_number(seed) % n);
}

/* Puts every VM on a host where it fits and breaks no rule; FALSE where one finds none. */
static gboolean
place_all(uint64_t *seed, uint32_t hosts, uint32_t vms, const double *size, double room,
          const uint32_t *rule, uint32_t racks, uint32_t *host)
{
    double *used = g_new0(double, hosts);
    gboolean fits = TRUE;

    for (uint32_t v = 0; v < vms && fits; v++) {
        uint32_t h = below(seed, hosts), tries = 0;

        for (fits = FALSE; tries < hosts && !fits; tries++, h = (h + 1) % hosts) {
            fits = used[h] + size[v] <= room;
            for (uint32_t other = 0; other < v; other++)
                fits &= rule[other] != rule[v] || rule[v] == NOBODY
                        || host[other] % racks != h % racks;
            if (fits) {
                host[v] = h;
                used[h] += size[v];
                break;
            }
        }
    }
    g_free(used);
    return fits;
}

/* One rack per value of h modulo racks; rules of up to three VMs. */
static imig_cluster *
any_cluster(uint64_t *seed, uint32_t hosts, uint32_t vms, uint32_t fill_percent,
            imig__move *moves, size_t *n)
{
    double *size = g_new(double, vms), all = 0, room;
    uint32_t *rule = g_new(uint32_t, 3 * vms), *from = rule + vms, *to = rule + 2 * vms;
    uint32_t racks = MAX(hosts / 2, 3);
    gboolean all_moves = below(seed, 4) > 0; /* else the end need not fit */
    imig_cluster *cluster = NULL;
    char id[16];

    for (uint32_t v = 0; v < vms; v++) {
        size[v] = (1 + below(seed, 8)) * GIB;
        all += size[v];
        rule[v] = below(seed, 4) ? NOBODY : below(seed, MAX(vms / 8, 1)) + 100;
        for (uint32_t i = 0, same = 0; i < v; i++)
            if (rule[i] == rule[v] && rule[v] != NOBODY && ++same == 3)
                rule[v] = NOBODY;
    }
    room = all * 100 / fill_percent / hosts;
    *n = 0;
    if (!place_all(seed, hosts, vms, size, room, rule, racks, from)
        || !place_all(seed, hosts, vms, size, room, rule, racks, to))
        goto out;
    cluster = imig_cluster_new(0);
    for (uint32_t h = 0; h < hosts; h++) {
        imig_host_info host = IMIG_HOST_INFO_INIT;
        char rack[16];
        const char *labels[] = { "rack", rack };

        g_snprintf(id, sizeof id, "h%u", h);
        g_snprintf(rack, sizeof rack, "r%u", h % racks);
        host.id = id;
        host.cpu_cores = 16;
        host.memory_bytes = room;
        host.labels = labels;
        host.label_count = 1;
        assert_int_equal(imig_cluster_add_host(cluster, &host, NULL), IMIG_OK);
    }
    for (uint32_t v = 0; v < vms; v++) {
        imig_vm_info vm = IMIG_VM_INFO_INIT;

        g_snprintf(id, sizeof id, "v%u", v);
        vm.id = id;
        vm.host = from[v];
        vm.vcpus = 1;
        vm.memory_bytes = size[v];
        vm.dirty_bytes_per_s = below(seed, 40) * 1e6;
        vm.working_set_bytes = size[v] / 4;
        vm.present = UINT64_C(1) << IMIG_METRIC_DIRTY_BYTES_PER_S
                     | UINT64_C(1) << IMIG_METRIC_WORKING_SET_BYTES;
        assert_int_equal(imig_cluster_add_vm(cluster, &vm, NULL), IMIG_OK);
        if (from[v] != to[v] && (all_moves || below(seed, 10) > 0))
            moves[(*n)++] = (imig__move) { v, to[v], below(seed, 5) ? v : v - v % 4 };
    }
    for (uint32_t v = 0; v < vms; v++) {
        imig_rule_info info = IMIG_RULE_INFO_INIT;
        uint32_t members[3];

        info.kind = IMIG_RULE_APART;
        info.label = "rack";
        info.vms = members;
        for (uint32_t i = v; i < vms && rule[v] != NOBODY; i++)
            if (rule[i] == rule[v])
                members[info.vm_count++] = i;
        for (uint32_t i = 0; i < info.vm_count; i++)
            rule[members[i]] = NOBODY;
        if (info.vm_count > 1)
            assert_int_equal(imig_cluster_add_rule(cluster, &info, NULL), IMIG_OK);
    }
    assert_int_equal(imig_cluster_finish(cluster, NULL), IMIG_OK);
    for (size_t i = *n; i > 1; i--) {
        uint32_t j = below(seed, (uint32_t) i);
        imig__move swap = moves[i - 1];

        moves[i - 1] = moves[j];
        moves[j] = swap;
    }
out:
    g_free(size);
    g_free(rule);
    return cluster;
}

static void
assert_same(const imig__schedule *a, const imig__schedule *b)
{
    assert_int_equal(a->step_count, b->step_count);
    assert_int_equal(a->stuck_count, b->stuck_count);
    for (size_t i = 0; i < a->step_count; i++) {
        assert_int_equal(a->steps[i].vm, b->steps[i].vm);
        assert_int_equal(a->steps[i].to, b->steps[i].to);
        assert_true(a->steps[i].start_s == b->steps[i].start_s);
    }
}

/* What holds at every moment holds in clusters from half empty to nearly full. */
static void
nothing_is_violated_at_any_moment(void **state)
{
    static const uint32_t fills[] = { 50, 80, 90, 95 };
    uint64_t seed = 7;
    imig__move moves[400];

    (void) state;
    for (size_t f = 0; f < G_N_ELEMENTS(fills); f++) {
        size_t wanted = 0, stuck = 0, parked = 0, clusters = 0;
        double makespan = 0, bound = 0;

        for (int round = 0; round < 80; round++) {
            uint32_t hosts = 4 + below(&seed, 12), vms = hosts * (3 + below(&seed, 8));
            imig__schedule_options options = { 1 + below(&seed, 3), below(&seed, 3) * 3, TRUE };
            imig__schedule schedule = { 0 }, again = { 0 };
            imig_cluster *cluster;
            size_t n;

            cluster = any_cluster(&seed, hosts, vms, fills[f], moves, &n);
            if (!cluster)
                continue;
            make_schedule(cluster, moves, n, &options, &schedule);
            check_schedule(cluster, moves, n, &options, &schedule);
            make_schedule(cluster, moves, n, &options, &again);
            assert_same(&schedule, &again);
            clusters++;
            wanted += n;
            stuck += schedule.stuck_count;
            parked += schedule.step_count + schedule.stuck_count - n;
            makespan += schedule.makespan_s;
            bound += schedule.makespan_bound_s;
            imig__schedule_clear(&schedule);
            imig__schedule_clear(&again);
            imig_cluster_unref(cluster);
        }
        assert_true(clusters > 10);
        print_message("# %u %% full: %zu clusters, %zu moves, %zu stuck, %zu parked, makespan "
                      "%.3f of the bound\n", fills[f], clusters, wanted, stuck, parked,
                      makespan / bound);
    }
}

/* -- what the verifier finds, or it would prove nothing -- */

/*
 * Hosts of 8 GiB in racks r0, r1, r2, r1; VMs of 4 GiB, the first on host 0, the others on host 1;
 * the first two are kept apart by rack.
 */
static const struct fault_case {
    const char *name, *want; /* NULL: nothing is wrong */
    verify_step steps[2];    /* one where the second takes no time at 0 */
    uint32_t ends[3];
} faults[] = {
    { "verifier: one after the other", NULL,
      { { 1, 1, 2, 0, 2 }, { 0, 0, 1, 2, 3 } }, { 1, 2, 1 } },
    { "verifier: no memory before the other is gone", "memory is short",
      { { 1, 1, 2, 0, 2 }, { 0, 0, 1, 1, 3 } }, { 1, 2, 1 } },
    { "verifier: apart", NULL, { { 1, 1, 2, 0, 2 }, { 0, 0, 3, 2, 3 } }, { 3, 2, 1 } },
    { "verifier: not apart before the other is gone", "not kept apart",
      { { 1, 1, 2, 0, 2 }, { 0, 0, 3, 1, 3 } }, { 3, 2, 1 } },
    { "verifier: from elsewhere", "does not rest", { { 2, 0, 2, 0, 1 } }, { 0, 1, 2 } },
    { "verifier: before it has arrived", "does not rest",
      { { 2, 1, 2, 0, 2 }, { 2, 2, 0, 1, 2 } }, { 0, 1, 0 } },
    { "verifier: two out of one host", "too many migrations",
      { { 1, 1, 2, 0, 2 }, { 2, 1, 3, 1, 2 } }, { 0, 2, 3 } },
    { "verifier: two into one host", "too many migrations",
      { { 0, 0, 2, 0, 2 }, { 2, 1, 2, 1, 2 } }, { 2, 1, 2 } },
    { "verifier: not in sequence", "not in starting order",
      { { 0, 0, 2, 1, 2 }, { 2, 1, 3, 0, 1 } }, { 2, 1, 3 } },
    { "verifier: no time", "takes no time", { { 2, 1, 2, 1, 1 } }, { 0, 1, 2 } },
    { "verifier: not at its end", "not where it is to be", { { 2, 1, 2, 0, 1 } }, { 0, 1, 0 } },
};

static void
the_verifier_finds(void **state)
{
    static const char *const names[] = { "0", "1", "2", "3" };
    static const char *const racks[] = { "r0", "r1", "r2", "r1" };
    const struct fault_case *c = *state;
    imig_cluster *cluster = imig_cluster_new(0);
    imig_rule_info rule = IMIG_RULE_INFO_INIT;
    char *what;

    for (uint32_t h = 0; h < 4; h++) {
        imig_host_info host = IMIG_HOST_INFO_INIT;
        const char *labels[] = { "rack", racks[h] };

        host.id = names[h];
        host.cpu_cores = 16;
        host.memory_bytes = 8 * GIB;
        host.labels = labels;
        host.label_count = 1;
        assert_int_equal(imig_cluster_add_host(cluster, &host, NULL), IMIG_OK);
    }
    for (uint32_t v = 0; v < 3; v++) {
        imig_vm_info vm = IMIG_VM_INFO_INIT;

        vm.id = names[v];
        vm.host = v > 0;
        vm.vcpus = 1;
        vm.memory_bytes = 4 * GIB;
        assert_int_equal(imig_cluster_add_vm(cluster, &vm, NULL), IMIG_OK);
    }
    rule.kind = IMIG_RULE_APART;
    rule.label = "rack";
    rule.vms = (const uint32_t[]) { 0, 1 };
    rule.vm_count = 2;
    assert_int_equal(imig_cluster_add_rule(cluster, &rule, NULL), IMIG_OK);
    assert_int_equal(imig_cluster_finish(cluster, NULL), IMIG_OK);
    what = verify_steps(cluster, c->steps, c->steps[1].end_s > 0 ? 2 : 1, 1, 0, c->ends);
    if (c->want && (!what || !strstr(what, c->want)))
        fail_msg("%s instead of %s", what ? what : "nothing", c->want);
    if (!c->want && what)
        fail_msg("%s", what);
    g_free(what);
    imig_cluster_unref(cluster);
}

int
main(void)
{
    struct CMUnitTest tests[G_N_ELEMENTS(faults) + 1] = {
        cmocka_unit_test(nothing_is_violated_at_any_moment),
    };
    size_t count = 1;

    ROWS(faults, the_verifier_finds);
    return cmocka_run_group_tests_name("schedule-any", tests, NULL, NULL);
}
