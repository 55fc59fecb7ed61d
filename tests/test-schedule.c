/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schedule-check.h"
#include "small-cluster.h"

enum { HOSTS = 7, VMS = 9, RULES = 2 };

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
    { "room is kept for who would be stuck otherwise", "2>3 0>1 3>0 1>1",
      .hosts = { { 8 }, { 12 }, { 8 }, { 8 } },
      .vms = { { 0, 8 }, { 2, 4 }, { 1, 4 }, { 1, 4 } },
      .moves = { { 1, 1 }, { 0, 1 }, { 2, 3 }, { 3, 0 } } },
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
    make_schedule(cluster, moves, n, &options, &schedule);
    text = text_of(&schedule);
    assert_string_equal(text, c->want);
    check_schedule(cluster, moves, n, &options, &schedule);
    g_free(text);
    imig__schedule_clear(&schedule);
    imig_cluster_unref(cluster);
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
    make_schedule(cluster, c->moves, 2, &options, &schedule);
    assert_true(schedule.makespan_s > 0);
    assert_true(schedule.makespan_s == schedule.makespan_bound_s);
    imig__schedule_clear(&schedule);
    assert_null(schedule.steps);
    imig_cluster_unref(cluster);
}

int
main(void)
{
    struct CMUnitTest tests[G_N_ELEMENTS(cases) + 1] = {
        cmocka_unit_test(a_busy_link_is_never_idle),
    };
    size_t count = 1;

    ROWS(cases, schedule_agrees_with_the_table);
    return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
