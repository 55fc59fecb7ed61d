/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/schedule-priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "small-cluster.h"
#include "verify.h"

enum { HOSTS = 7, VMS = 9, RULES = 2, NOBODY = 99 };

/* A host of a row; racks from 1, 0: without that label. */
struct host {
    int gib, rack, overhead_gib, state, pool;
};

struct vm {
    uint32_t host;
    int gib;
    uint32_t only; /* the one host it is allowed besides its own, counted from 1; 0: any */
};

struct apart {
    uint32_t vms[3];
    size_t count;
    const char *label;
};

/*
 * want: the steps, as VM>host, with "p" where it parks, a "+" where a step starts together with the
 * one before, "," where it starts later but others still run, " " where none does; then after "!"
 * the moves that are stuck.  No group is stated: every move is one.
 */
static const struct schedule_case {
    const char *name, *want;
    struct host hosts[HOSTS];
    struct vm vms[VMS];
    imig__move moves[VMS];
    struct apart rules[RULES];
    uint32_t concurrency, max_parallel;
    int grouped, no_parking;
} cases[] = {
    { "nothing to do", "", .hosts = { { 8 } }, .vms = { { 0, 4 } } },
    { "a move", "0>1", .hosts = { { 8 }, { 8 } }, .vms = { { 0, 4 } }, .moves = { { 0, 1 } } },
    { "one link, one after the other", "0>1 1>1", .hosts = { { 8 }, { 8 } },
      .vms = { { 0, 4 }, { 0, 4 } }, .moves = { { 0, 1 }, { 1, 1 } } },
    { "one link shared by two", "0>1+1>1", .hosts = { { 8 }, { 8 } },
      .vms = { { 0, 4 }, { 0, 4 } }, .moves = { { 0, 1 }, { 1, 1 } }, .concurrency = 2 },
    { "the wished sequence", "1>1 0>1", .hosts = { { 8 }, { 8 } },
      .vms = { { 0, 4 }, { 0, 4 } }, .moves = { { 1, 1 }, { 0, 1 } } },
    { "in and out at a time", "0>1+1>2", .hosts = { { 8 }, { 8 }, { 8 } },
      .vms = { { 0, 4 }, { 1, 4 } }, .moves = { { 0, 1 }, { 1, 2 } } },
    { "other links at a time", "0>1+1>3", .hosts = { { 8 }, { 8 }, { 8 }, { 8 } },
      .vms = { { 0, 4 }, { 2, 4 } }, .moves = { { 0, 1 }, { 1, 3 } } },
    { "other links, but one in all", "0>1 1>3", .hosts = { { 8 }, { 8 }, { 8 }, { 8 } },
      .vms = { { 0, 4 }, { 2, 4 } }, .moves = { { 0, 1 }, { 1, 3 } }, .max_parallel = 1 },
    { "a sliding window, no batches", "0>1+1>3,2>3", .hosts = { { 8 }, { 8 }, { 8 }, { 8 } },
      .vms = { { 0, 8 }, { 2, 1 }, { 2, 1 } }, .moves = { { 0, 1 }, { 1, 3 }, { 2, 3 } } },
    { "a busy link holds up nobody else", "0>1+2>3,1>1",
      .hosts = { { 8 }, { 9 }, { 8 }, { 8 } }, .vms = { { 0, 2 }, { 0, 2 }, { 2, 8 } },
      .moves = { { 0, 1 }, { 1, 1 }, { 2, 3 } } },
    { "a group one after the other", "0>1 2>1 1>1", .hosts = { { 9 }, { 9 } },
      .vms = { { 0, 2 }, { 0, 2 }, { 0, 2 } },
      .moves = { { 0, 1, 7 }, { 1, 1, 3 }, { 2, 1, 7 } }, .grouped = 1 },

    { "into what another leaves, once it has left", "1>2 0>1",
      .hosts = { { 8 }, { 8 }, { 8 } }, .vms = { { 0, 8 }, { 1, 8 } },
      .moves = { { 0, 1 }, { 1, 2 } } },
    { "a VM in flight counts on its source", "0>1 1>0",
      .hosts = { { 8 }, { 8 } }, .vms = { { 0, 4 }, { 1, 3 }, { 0, 4 } },
      .moves = { { 0, 1 }, { 1, 0 } } },
    { "what waits for memory is overtaken where it still fits", "1>1+2>3 0>1",
      .hosts = { { 8 }, { 16 }, { 8 }, { 16 } }, .vms = { { 0, 8 }, { 2, 4 }, { 1, 12 } },
      .moves = { { 0, 1 }, { 1, 1 }, { 2, 3 } } },
    { "but not where that would close its way", "2>3 0>1 3>0 1>1",
      .hosts = { { 8 }, { 12 }, { 8 }, { 8 } },
      .vms = { { 0, 8 }, { 2, 4 }, { 1, 4 }, { 1, 4 } },
      .moves = { { 0, 1 }, { 1, 1 }, { 2, 3 }, { 3, 0 } } },
    { "what each VM takes besides its memory", "1>2 0>1",
      .hosts = { { 8 }, { 8, .overhead_gib = 1 }, { 8 } }, .vms = { { 0, 4 }, { 1, 3 } },
      .moves = { { 0, 1 }, { 1, 2 } } },
    { "too large", "!0", .hosts = { { 8 }, { 8 } }, .vms = { { 0, 6 }, { 1, 4 } },
      .moves = { { 0, 1 } } },
    { "an over-committed host may give", "0>1", .hosts = { { 8 }, { 8 } },
      .vms = { { 0, 6 }, { 0, 6 } }, .moves = { { 0, 1 } } },
    { "an over-committed host takes nothing before it has given", "0>1 2>0",
      .hosts = { { 8 }, { 8 } }, .vms = { { 0, 6 }, { 0, 6 }, { 1, 2 } },
      .moves = { { 2, 0 }, { 0, 1 } } },
    { "nor where it would still be short", "0>1!1", .hosts = { { 8 }, { 8 } },
      .vms = { { 0, 3 }, { 0, 4 }, { 1, 2 }, { 0, 6 } }, .moves = { { 0, 1 }, { 2, 0 } } },
    { "hosts that take none, cannot be reached, are not allowed, in another pool",
      "4>1!0,1,2,3", .hosts = { { 16 }, { 64 }, { 16, .state = IMIG_HOST_MAINTENANCE },
                                { 16, .state = IMIG_HOST_OFFLINE }, { 16, .pool = 1 } },
      .vms = { { 0, 1 }, { 3, 1 }, { 0, 1, 3 }, { 0, 1 }, { 2, 1 } },
      .moves = { { 0, 2 }, { 1, 1 }, { 2, 1 }, { 3, 4 }, { 4, 1 } } },
    { "what is stuck takes its group along", "2>1!0,1", .hosts = { { 8 }, { 8 }, { 8 } },
      .vms = { { 0, 1 }, { 0, 7 }, { 0, 1 }, { 2, 4 } },
      .moves = { { 0, 1, 5 }, { 1, 2, 5 }, { 2, 1, 6 } }, .grouped = 1 },
    { "and who needed what the group leaves", "!0,1,2", .hosts = { { 8 }, { 8 }, { 8 }, { 8 } },
      .vms = { { 0, 7 }, { 0, 1 }, { 2, 8 }, { 3, 4 } },
      .moves = { { 0, 3, 5 }, { 1, 1, 5 }, { 2, 0, 6 } }, .grouped = 1 },

    { "two full hosts swap through a third", "1>2p 0>1 1>0", .hosts = { { 8 }, { 8 }, { 8 } },
      .vms = { { 0, 8 }, { 1, 8 } }, .moves = { { 0, 1 }, { 1, 0 } } },
    { "the smaller VM is parked", "1>2p 0>1 1>0", .hosts = { { 8 }, { 8 }, { 8 } },
      .vms = { { 0, 8 }, { 1, 6 } }, .moves = { { 0, 1 }, { 1, 0 } } },
    { "no third host", "!0,1", .hosts = { { 8 }, { 8 } },
      .vms = { { 0, 8 }, { 1, 8 } }, .moves = { { 0, 1 }, { 1, 0 } } },
    { "the third host is too small", "!0,1", .hosts = { { 8 }, { 8 }, { 7 } },
      .vms = { { 0, 8 }, { 1, 8 } }, .moves = { { 0, 1 }, { 1, 0 } } },
    { "the third host is in another pool", "!0,1", .hosts = { { 8 }, { 8 }, { 8, .pool = 1 } },
      .vms = { { 0, 8 }, { 1, 8 } }, .moves = { { 0, 1 }, { 1, 0 } } },
    { "the third host is in maintenance", "!0,1",
      .hosts = { { 8 }, { 8 }, { 8, .state = IMIG_HOST_MAINTENANCE } },
      .vms = { { 0, 8 }, { 1, 8 } }, .moves = { { 0, 1 }, { 1, 0 } } },
    { "only one of them is allowed there", "1>2p 0>1 1>0", .hosts = { { 8 }, { 8 }, { 8 } },
      .vms = { { 0, 8, 2 }, { 1, 8 } }, .moves = { { 0, 1 }, { 1, 0 } } },
    { "parking is not wanted", "!0,1", .hosts = { { 8 }, { 8 }, { 8 } },
      .vms = { { 0, 8 }, { 1, 8 } }, .moves = { { 0, 1 }, { 1, 0 } }, .no_parking = 1 },
    { "a cycle of three", "1>3p 0>1 2>0 1>2", .hosts = { { 8 }, { 8 }, { 8 }, { 8 } },
      .vms = { { 0, 8 }, { 1, 8 }, { 2, 8 } }, .moves = { { 0, 1 }, { 1, 2 }, { 2, 0 } } },
    { "a cycle of five", "2>5p 1>2 0>1 4>0 3>4 2>3",
      .hosts = { { 8 }, { 8 }, { 8 }, { 8 }, { 8 }, { 8 } },
      .vms = { { 0, 8 }, { 1, 8 }, { 2, 7 }, { 3, 7 }, { 4, 8 } },
      .moves = { { 0, 1 }, { 1, 2 }, { 2, 3 }, { 3, 4 }, { 4, 0 } } },
    { "one large against two small", "0>2p 1>3p 2>0 0>1 1>1",
      .hosts = { { 8 }, { 8 }, { 4 }, { 4 } }, .vms = { { 0, 4 }, { 0, 4 }, { 1, 8 } },
      .moves = { { 0, 1 }, { 1, 1 }, { 2, 0 } } },
    { "two cycles, two third hosts", "1>4p+3>5p 0>1+2>3 1>0+3>2",
      .hosts = { { 8 }, { 8 }, { 8 }, { 8 }, { 8 }, { 8 } },
      .vms = { { 0, 8 }, { 1, 8 }, { 2, 8 }, { 3, 8 } },
      .moves = { { 0, 1 }, { 1, 0 }, { 2, 3 }, { 3, 2 } } },
    { "two cycles, one third host", "1>4p 0>1 1>0 3>4p 2>3 3>2",
      .hosts = { { 8 }, { 8 }, { 8 }, { 8 }, { 8 } },
      .vms = { { 0, 8 }, { 1, 8 }, { 2, 8 }, { 3, 8 } },
      .moves = { { 0, 1 }, { 1, 0 }, { 2, 3 }, { 3, 2 } } },

    { "apart, also while the other is in flight", "1>2 0>1",
      .hosts = { { 9 }, { 9 }, { 9 } }, .vms = { { 0, 1 }, { 1, 1 } },
      .moves = { { 0, 1 }, { 1, 2 } }, .rules = { { { 0, 1 }, 2 } } },
    { "apart by rack", "1>3 0>1", .hosts = { { 9, 1 }, { 9, 2 }, { 9, 2 }, { 9, 3 } },
      .vms = { { 0, 1 }, { 2, 1 } }, .moves = { { 0, 1 }, { 1, 3 } },
      .rules = { { { 0, 1 }, 2, "rack" } } },
    { "hosts without the label are apart", "0>1+1>3",
      .hosts = { { 9, 1 }, { 9 }, { 9 }, { 9, 3 } }, .vms = { { 0, 1 }, { 2, 1 } },
      .moves = { { 0, 1 }, { 1, 3 } }, .rules = { { { 0, 1 }, 2, "rack" } } },
    { "within its rack it disturbs nobody more", "0>1", .hosts = { { 9, 1 }, { 9, 1 } },
      .vms = { { 0, 1 }, { 0, 1 } }, .moves = { { 0, 1 } },
      .rules = { { { 0, 1 }, 2, "rack" } } },
    { "two that are apart swap through a third host", "1>2p 0>1 1>0",
      .hosts = { { 9 }, { 9 }, { 9 } }, .vms = { { 0, 1 }, { 1, 1 } },
      .moves = { { 0, 1 }, { 1, 0 } }, .rules = { { { 0, 1 }, 2 } } },
    { "not where a third of them is", "!0,1", .hosts = { { 9 }, { 9 }, { 9 } },
      .vms = { { 0, 1 }, { 1, 1 }, { 2, 1 } }, .moves = { { 0, 1 }, { 1, 0 } },
      .rules = { { { 0, 1, 2 }, 3 } } },
    { "a broken rule is mended", "0>1", .hosts = { { 9 }, { 9 } },
      .vms = { { 0, 1 }, { 0, 1 } }, .moves = { { 0, 1 } }, .rules = { { { 0, 1 }, 2 } } },
    { "and not broken elsewhere", "!0", .hosts = { { 9 }, { 9 } },
      .vms = { { 0, 1 }, { 0, 1 }, { 1, 1 } }, .moves = { { 0, 1 } },
      .rules = { { { 0, 1, 2 }, 3 } } },
};

static imig_cluster *
cluster_of(const struct schedule_case *c)
{
    static const char *const names[] = { "0", "1", "2", "3", "4", "5", "6", "7", "8" };
    imig_cluster *cluster = imig_cluster_new(0);

    for (uint32_t h = 0; h < HOSTS && c->hosts[h].gib; h++) {
        imig_host_info host = IMIG_HOST_INFO_INIT;
        const char *labels[] = { "rack", names[c->hosts[h].rack] };

        host.id = names[h];
        host.pool = names[c->hosts[h].pool];
        host.cpu_cores = 16;
        host.memory_bytes = c->hosts[h].gib * GIB;
        host.vm_overhead_bytes = c->hosts[h].overhead_gib * GIB;
        host.present = IMIG_HOST_HAS_VM_OVERHEAD;
        host.state = c->hosts[h].state;
        host.labels = labels;
        host.label_count = c->hosts[h].rack > 0;
        assert_int_equal(imig_cluster_add_host(cluster, &host, NULL), IMIG_OK);
    }
    for (uint32_t v = 0; v < VMS && c->vms[v].gib; v++) {
        imig_vm_info vm = IMIG_VM_INFO_INIT;
        uint32_t allowed[2] = { c->vms[v].host, c->vms[v].only - 1 };

        vm.id = names[v];
        vm.host = c->vms[v].host;
        vm.vcpus = 1;
        vm.memory_bytes = c->vms[v].gib * GIB;
        vm.hosts = c->vms[v].only ? allowed : NULL;
        vm.host_count = c->vms[v].only ? 2 : 0;
        assert_int_equal(imig_cluster_add_vm(cluster, &vm, NULL), IMIG_OK);
    }
    for (size_t i = 0; i < RULES && c->rules[i].count; i++) {
        imig_rule_info rule = IMIG_RULE_INFO_INIT;

        rule.kind = IMIG_RULE_APART;
        rule.vms = c->rules[i].vms;
        rule.vm_count = c->rules[i].count;
        rule.label = c->rules[i].label;
        assert_int_equal(imig_cluster_add_rule(cluster, &rule, NULL), IMIG_OK);
    }
    return cluster;
}

static void
make(const imig_cluster *cluster, const imig__move *moves, size_t n,
     const imig__schedule_options *options, imig__schedule *schedule)
{
    int32_t *workload = g_new(int32_t, cluster->vm_count);

    for (size_t i = 0; i < cluster->vm_count; i++)
        workload[i] = IMIG_WORKLOAD_CPU;
    imig__schedule_make(cluster, workload, moves, n, NULL, options, schedule);
    g_free(workload);
}

/* Everything that must hold of every schedule. */
static void
check(const imig_cluster *cluster, const imig__move *moves, size_t n,
      const imig__schedule_options *options, const imig__schedule *schedule)
{
    verify_step *steps = g_new(verify_step, schedule->step_count);
    uint32_t *want = g_new(uint32_t, cluster->vm_count);
    double last = 0;
    char *what;

    for (size_t i = 0; i < cluster->vm_count; i++)
        want[i] = cluster->vms[i].host;
    for (size_t i = 0; i < n; i++)
        want[moves[i].vm] = moves[i].to;
    for (size_t i = 0; i < schedule->stuck_count; i++) {
        uint32_t vm = moves[schedule->stuck[i]].vm;

        want[vm] = cluster->vms[vm].host;
        assert_true(i == 0 || schedule->stuck[i - 1] < schedule->stuck[i]);
        for (size_t j = 0; j < n; j++)
            if (moves[j].group == moves[schedule->stuck[i]].group)
                want[moves[j].vm] = cluster->vms[moves[j].vm].host;
    }
    for (size_t i = 0; i < schedule->step_count; i++) {
        const imig__scheduled *s = &schedule->steps[i];

        assert_int_equal(moves[s->move].vm, s->vm);
        assert_int_equal(s->parking, s->to != moves[s->move].to);
        steps[i] = (verify_step) { s->vm, s->from, s->to, s->start_s,
                                   s->start_s + s->cost.time_s };
        last = MAX(last, steps[i].end_s);
    }
    what = verify_steps(cluster, steps, schedule->step_count, options->concurrency,
                        options->max_parallel, want);
    if (what)
        fail_msg("%s", what);
    assert_true(schedule->makespan_s == last);
    assert_true(schedule->makespan_bound_s <= last * (1 + 1e-9));
    g_free(steps);
    g_free(want);
}

static char *
text_of(const imig__schedule *schedule)
{
    GString *text = g_string_new(NULL);
    double end = 0;

    for (size_t i = 0; i < schedule->step_count; i++) {
        const imig__scheduled *s = &schedule->steps[i];

        if (i > 0)
            g_string_append_c(text, s->start_s == s[-1].start_s ? '+'
                                    : s->start_s < end ? ',' : ' ');
        g_string_append_printf(text, "%u>%u%s", s->vm, s->to, s->parking ? "p" : "");
        end = MAX(end, s->start_s + s->cost.time_s);
    }
    for (size_t i = 0; i < schedule->stuck_count; i++)
        g_string_append_printf(text, "%c%u", i ? ',' : '!', schedule->stuck[i]);
    return g_string_free(text, FALSE);
}

static void
schedule_agrees_with_the_table(void **state)
{
    const struct schedule_case *c = *state;
    imig_cluster *cluster = cluster_of(c);
    imig__schedule schedule = { 0 };
    imig__schedule_options options = {
        MAX(c->concurrency, 1), c->max_parallel, !c->no_parking,
    };
    imig__move moves[VMS];
    imig_error *error = NULL;
    size_t n = 0;
    char *text;

    if (imig_cluster_finish(cluster, &error) != IMIG_OK)
        fail_msg("%s", imig_error_message(error));
    for (; n < VMS && (c->moves[n].vm || c->moves[n].to); n++) {
        moves[n] = c->moves[n];
        if (!c->grouped)
            moves[n].group = (uint32_t) n;
    }
    make(cluster, moves, n, &options, &schedule);
    text = text_of(&schedule);
    assert_string_equal(text, c->want);
    check(cluster, moves, n, &options, &schedule);
    g_free(text);
    imig__schedule_clear(&schedule);
    imig_cluster_unref(cluster);
}

/* -- any cluster, any moves whose end fits -- */

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
            make(cluster, moves, n, &options, &schedule);
            check(cluster, moves, n, &options, &schedule);
            make(cluster, moves, n, &options, &again);
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

static void
a_busy_link_is_never_idle(void **state)
{
    const struct schedule_case *c = &cases[2];
    imig_cluster *cluster = cluster_of(c);
    imig__schedule_options options = { 1, 0, TRUE };
    imig__schedule schedule = { 0 };

    (void) state;
    assert_int_equal(imig_cluster_finish(cluster, NULL), IMIG_OK);
    make(cluster, c->moves, 2, &options, &schedule);
    assert_true(schedule.makespan_s > 0);
    assert_true(schedule.makespan_s == schedule.makespan_bound_s);
    imig__schedule_clear(&schedule);
    assert_null(schedule.steps);
    imig_cluster_unref(cluster);
}

int
main(void)
{
    struct CMUnitTest tests[G_N_ELEMENTS(cases) + 2] = {
        cmocka_unit_test(nothing_is_violated_at_any_moment),
        cmocka_unit_test(a_busy_link_is_never_idle),
    };
    size_t count = 2;

    ROWS(cases, schedule_agrees_with_the_table);
    return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
