/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "build.h"
#include "clusters.h"
#include "plans.h"

#include <math.h>
#include <stdlib.h>

enum { CPU = IMIG_WORKLOAD_CPU, IDLE = IMIG_WORKLOAD_IDLE, DISK = IMIG_WORKLOAD_DISK_IO };

/* Memory and places at every start and end, replayed without the scheduler's help. */
static void
assert_feasible(const imig_cluster *cluster, const imig_plan *plan)
{
    size_t n = imig_plan_step_count(plan), hosts = imig_cluster_host_count(cluster);

    for (size_t s = 0; s < n; s++) {
        imig_plan_step now = step_of(plan, s);

        for (uint32_t h = 0; h < hosts; h++) {
            imig_host_info host = IMIG_HOST_INFO_INIT;
            double used = 0, before = 0, room;
            uint32_t out = 0, in = 0;

            imig_cluster_get_host(cluster, h, &host, NULL);
            room = host.memory_bytes * host.memory_overcommit_ratio - host.reserved_memory_bytes;
            for (uint32_t v = 0; v < imig_cluster_vm_count(cluster); v++) {
                imig_vm_info vm = IMIG_VM_INFO_INIT;
                gboolean here;

                imig_cluster_get_vm(cluster, v, &vm, NULL);
                here = vm.host == h;
                before += here ? vm.memory_bytes + host.vm_overhead_bytes : 0;
                for (size_t t = 0; t < n; t++) {
                    imig_plan_step step = step_of(plan, t);
                    gboolean started = step.start_s <= now.start_s;
                    gboolean ended = step.start_s + step.duration_s <= now.start_s;

                    if (strcmp(step.vm, vm.id) != 0 || !started)
                        continue;
                    if (ended && strcmp(step.from, host.id) == 0)
                        here = FALSE;
                    if (strcmp(step.to, host.id) == 0)
                        here = TRUE;
                    if (!ended) {
                        out += strcmp(step.from, host.id) == 0;
                        in += strcmp(step.to, host.id) == 0;
                    }
                }
                used += here ? vm.memory_bytes + host.vm_overhead_bytes : 0;
            }
            assert_true(used <= MAX(room, before) + 1);
            assert_true(out <= 1 && in <= 1);
        }
    }
}

static void
a_balanced_cluster_gives_an_empty_plan(void **unused)
{
    imig_cluster *cluster = imig_cluster_new(0);
    static const char *const ids[] = { "a", "b", "c", "d", "e", "f" };
    imig_plan *plan;

    (void) unused;
    add_host(cluster, "h1", 8, 64);
    add_host(cluster, "h2", 8, 64);
    for (uint32_t i = 0; i < 6; i++)
        add_vm(cluster, ids[i], i % 2, 1.2, 4, CPU);
    finish(cluster);
    for (uint32_t g = 0; g < 2; g++) {
        imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;

        options.goal = imig_plan_goal_name(g);
        plan = make(cluster, &options);
        assert_int_equal(imig_plan_step_count(plan), 0);
        assert_true(summary_of(plan).complete);
        assert_true(summary_of(plan).migration_loss == 0);
        imig_plan_unref(plan);
    }
    imig_cluster_unref(cluster);
}

static imig_cluster *
overloaded_cluster(void)
{
    static const char *const ids[] = { "a", "b", "c", "d", "e", "f", "g", "h", "i", "j" };
    imig_cluster *cluster = imig_cluster_new(0);

    add_host(cluster, "full", 8, 64);
    add_host(cluster, "half", 8, 64);
    add_host(cluster, "empty", 8, 64);
    for (uint32_t i = 0; i < 8; i++)
        add_vm(cluster, ids[i], 0, 1.3, 2 + i % 3, CPU);
    add_vm(cluster, ids[8], 1, 2, 4, CPU);
    add_vm(cluster, ids[9], 1, 2, 4, CPU);
    finish(cluster);
    return cluster;
}

static void
every_policy_relieves_the_overloaded_host(void **unused)
{
    imig_cluster *cluster = overloaded_cluster();
    double least = INFINITY;

    (void) unused;
    for (uint32_t p = 0; imig_plan_policy_name(p); p++) {
        imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
        imig_plan_totals before = IMIG_PLAN_TOTALS_INIT, after;
        imig_plan *plan;

        options.goal = "relieve";
        options.policy = imig_plan_policy_name(p);
        plan = make(cluster, &options);
        assert_int_equal(imig_plan_get_totals(plan, &before, NULL, NULL), IMIG_OK);
        after = after_of(plan);
        assert_string_equal(imig_plan_policy(plan), options.policy);
        assert_int_equal(before.overloaded_hosts, 1);
        assert_int_equal(after.overloaded_hosts, 0);
        assert_true(after.cpu_max <= 0.8 + 1e-9);
        assert_true(fabs(before.cpu_mean - after.cpu_mean) < 1e-12);
        assert_true(summary_of(plan).complete);
        assert_true(summary_of(plan).migration_loss > 0);
        assert_true(after.contention + summary_of(plan).migration_loss
                    >= summary_of(plan).loss_bound);
        assert_true(summary_of(plan).makespan_s >= summary_of(plan).makespan_bound_s - 1e-9);
        assert_feasible(cluster, plan);
        for (size_t i = 0; i < imig_plan_step_count(plan); i++) {
            imig_plan_step step = step_of(plan, i);

            assert_string_equal(step.from, "full");
            assert_true(strlen(step.reason_code) > 0 && strlen(step.reason_text) > 0);
            assert_true(step.duration_s > 0 && step.converges);
        }
        if (p == 0)
            least = after.loss + summary_of(plan).migration_loss;
        assert_true(after.loss + summary_of(plan).migration_loss >= least - 1e-12);
        imig_plan_unref(plan);
    }
    imig_cluster_unref(cluster);
}

static void
what_a_plan_reached_is_left_alone(void **unused)
{
    (void) unused;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        const cluster_shape shape = {
            .hosts = 3 + (uint32_t) seed, .vms = 60, .cpu = 0.5 + 0.02 * (double) seed,
            .memory = 0.6, .flows = 10, .rules = 6, .skew = 1, .unequal = 1, .measured = 1,
        };
        int32_t workload[60];
        imig_cluster *cluster = make_cluster(&shape, seed, workload), *later = NULL;
        imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
        imig_plan *plan;

        options.workload = workload;
        plan = make(cluster, &options);
        assert_true(imig_plan_step_count(plan) > 0);
        assert_feasible(cluster, plan);
        assert_int_equal(imig_plan_apply(plan, cluster, &later, NULL), IMIG_OK);
        imig_plan_unref(plan);
        plan = make(later, &options);
        assert_int_equal(imig_plan_step_count(plan), 0);
        imig_plan_unref(plan);
        imig_cluster_unref(later);
        imig_cluster_unref(cluster);
    }
}

static void
drain_empties_the_host_or_says_why_not(void **unused)
{
    imig_cluster *cluster = imig_cluster_new(0);
    imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
    imig_vm_info vm = a_vm("pinned", 1, 0.5, 4, CPU);
    const uint32_t first[] = { 0 }, both[] = { 0, 1 };
    imig_plan *plan;

    (void) unused;
    add_host(cluster, "h1", 8, 64);
    add_host(cluster, "h2", 8, 64);
    add_host(cluster, "h3", 8, 64);
    add_vm(cluster, "a", 0, 1, 8, CPU);
    add_vm(cluster, "b", 0, 0.01, 8, IDLE);
    vm.movable = 0;
    put_vm(cluster, &vm);
    finish(cluster);
    options.goal = "drain";
    options.drain = first;
    options.drain_count = 1;
    plan = make(cluster, &options);
    assert_int_equal(imig_plan_step_count(plan), 2);
    assert_true(summary_of(plan).complete);
    assert_string_equal(step_of(plan, 0).reason_code, "drains-host");
    imig_plan_unref(plan);

    options.drain = both;
    options.drain_count = 2;
    plan = make(cluster, &options);
    assert_int_equal(imig_plan_step_count(plan), 2);
    assert_string_equal(step_of(plan, 0).to, "h3");
    assert_false(summary_of(plan).complete);
    assert_string_equal(kept_code(plan, "pinned"), "pinned");
    imig_plan_unref(plan);
    imig_cluster_unref(cluster);
}

static void
broken_rules_are_repaired(void **unused)
{
    imig_cluster *cluster = imig_cluster_new(0), *later = NULL;
    imig_plan *plan;
    imig_vm_info vm = IMIG_VM_INFO_INIT, other = IMIG_VM_INFO_INIT;

    (void) unused;
    add_host(cluster, "h1", 8, 64);
    add_host(cluster, "h2", 8, 64);
    add_vm(cluster, "apart-1", 0, 0.1, 4, IDLE);
    add_vm(cluster, "apart-2", 0, 0.1, 4, IDLE);
    add_vm(cluster, "together-1", 0, 0.1, 4, IDLE);
    add_vm(cluster, "together-2", 1, 0.1, 4, IDLE);
    add_rule(cluster, IMIG_RULE_APART, 1, 0, 1);
    add_rule(cluster, IMIG_RULE_TOGETHER, 1, 2, 3);
    finish(cluster);
    plan = make(cluster, NULL);
    assert_int_equal(imig_plan_step_count(plan), 2);
    assert_int_equal(imig_plan_apply(plan, cluster, &later, NULL), IMIG_OK);
    imig_cluster_get_vm(later, 0, &vm, NULL);
    imig_cluster_get_vm(later, 1, &other, NULL);
    assert_int_not_equal(vm.host, other.host);
    imig_cluster_get_vm(later, 2, &vm, NULL);
    imig_cluster_get_vm(later, 3, &other, NULL);
    assert_int_equal(vm.host, other.host);
    imig_plan_unref(plan);
    imig_cluster_unref(later);
    imig_cluster_unref(cluster);
}

static void
short_memory_is_relieved(void **unused)
{
    imig_cluster *cluster = imig_cluster_new(0);
    imig_plan *plan;

    (void) unused;
    add_host(cluster, "over-committed", 8, 16);
    add_host(cluster, "free", 8, 64);
    add_vm(cluster, "a", 0, 0.1, 12, IDLE);
    add_vm(cluster, "b", 0, 0.1, 8, IDLE);
    finish(cluster);
    plan = make(cluster, NULL);
    assert_int_equal(imig_plan_step_count(plan), 1);
    assert_string_equal(step_of(plan, 0).reason_code, "frees-memory");
    assert_true(summary_of(plan).complete);
    imig_plan_unref(plan);
    imig_cluster_unref(cluster);
}

static void
explain_has_a_reason_for_every_vm_that_stays(void **unused)
{
    imig_cluster *cluster = overloaded_cluster();

    (void) unused;
    for (uint32_t p = 0; imig_plan_policy_name(p); p++) {
        imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
        imig_plan *plan;

        options.explain = 1;
        options.policy = imig_plan_policy_name(p);
        plan = make(cluster, &options);
        assert_int_equal(imig_plan_kept_count(plan) + imig_plan_step_count(plan), 10);
        imig_plan_unref(plan);
    }
    imig_cluster_unref(cluster);
}

static void
budgets_hold(void **unused)
{
    const cluster_shape shape = { .hosts = 9, .vms = 90, .cpu = 0.7, .memory = 0.6, .skew = 1 };
    int32_t workload[90];
    imig_cluster *cluster = make_cluster(&shape, 4, workload);
    double last = INFINITY;

    (void) unused;
    for (uint32_t moves = 0; moves <= 12; moves += 3) {
        imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
        imig_plan *plan;

        options.set = IMIG_PLAN_HAS_MAX_MOVES;
        options.max_moves = moves;
        plan = make(cluster, &options);
        assert_true(imig_plan_step_count(plan) <= moves);
        assert_true(moves == 0 || imig_plan_step_count(plan) > 0);
        assert_true(after_of(plan).loss <= last);
        last = after_of(plan).loss;
        imig_plan_unref(plan);
    }
    imig_cluster_unref(cluster);
}

static void
the_same_plan_has_the_same_bytes(void **unused)
{
    const cluster_shape shape = { .hosts = 6, .vms = 50, .cpu = 0.7, .memory = 0.7, .skew = 1,
                                  .flows = 9, .rules = 4, .measured = 1 };

    (void) unused;
    for (uint32_t p = 0; imig_plan_policy_name(p); p++) {
        char *text[2];

        for (int i = 0; i < 2; i++) {
            int32_t workload[50];
            imig_cluster *cluster = make_cluster(&shape, 8, workload);
            imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
            imig_plan *plan;

            options.policy = imig_plan_policy_name(p);
            options.explain = 1;
            plan = make(cluster, &options);
            assert_int_equal(imig_plan_to_json(plan, &text[i], NULL, NULL), IMIG_OK);
            imig_plan_unref(plan);
            imig_cluster_unref(cluster);
        }
        assert_string_equal(text[0], text[1]);
        imig_free(text[0]);
        imig_free(text[1]);
    }
}

static void
wrong_options_are_answered(void **unused)
{
    static const struct {
        const char *message;
        imig_plan_options options;
    } rows[] = {
        { "no goal \"happiness\"; there are balance, relieve, drain, level, consolidate",
          { .goal = "happiness" } },
        { "no policy \"luck\"; there are informed, paper, least-loaded, smallest-first, "
          "largest-first, random, as-given", { .policy = "luck" } },
        { "goal drain needs the hosts to drain", { .goal = "drain" } },
        { "threshold -1: must be > 0",
          { .set = IMIG_PLAN_HAS_THRESHOLD, .threshold = -1 } },
        { "gain_ratio nan: must be >= 0",
          { .set = IMIG_PLAN_HAS_GAIN_RATIO, .gain_ratio = NAN } },
        { "horizon_s 0: must be > 0", { .set = IMIG_PLAN_HAS_HORIZON } },
        { "order_by 9: not known", { .order_by = 9 } },
    };
    imig_cluster *cluster = overloaded_cluster();

    (void) unused;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        imig_plan_options options = rows[i].options;
        imig_plan *plan = NULL;
        imig_error *error = NULL;

        options.size = sizeof options;
        assert_int_equal(imig_plan_make(cluster, &options, &plan, &error), IMIG_ERR_ARGUMENT);
        assert_string_equal(imig_error_message(error), rows[i].message);
        assert_null(plan);
        imig_error_free(error);
    }
    imig_cluster_unref(cluster);
}

/* Every measurement 5 % off, 50 times: no VM moves and moves back, and soon nothing moves. */
static void
noise_moves_nothing_back_and_forth(void **unused)
{
    (void) unused;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        enum { VMS = 48, HOSTS = 5 };
        const cluster_shape shape = {
            .hosts = HOSTS, .vms = VMS, .cpu = 0.55 + 0.05 * (double) seed, .memory = 0.6,
            .skew = 1, .unequal = seed % 2 == 0,
        };
        int32_t workload[VMS];
        imig_cluster *truth = make_cluster(&shape, seed, workload);
        uint8_t left[VMS][HOSTS] = { { 0 } };
        size_t late = 0;
        uint64_t key = 0;

        for (int round = 0; round < 50; round++) {
            imig_cluster *seen = imig_cluster_new(0), *next = NULL;
            imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
            imig_plan *plan;

            for (uint32_t h = 0; h < HOSTS; h++) {
                imig_host_info host = IMIG_HOST_INFO_INIT;

                imig_cluster_get_host(truth, h, &host, NULL);
                assert_int_equal(imig_cluster_add_host(seen, &host, NULL), IMIG_OK);
            }
            for (uint32_t v = 0; v < VMS; v++) {
                imig_vm_info vm = IMIG_VM_INFO_INIT;

                imig_cluster_get_vm(truth, v, &vm, NULL);
                vm.cpu_cores *= uniform(seed + 77, &key, 0.9134, 1.0866); /* 5 % standard error */
                put_vm(seen, &vm);
            }
            finish(seen);
            options.workload = workload;
            plan = make(seen, &options);
            for (size_t i = 0; i < imig_plan_step_count(plan); i++) {
                imig_plan_step step = step_of(plan, i);
                uint32_t v = imig_cluster_find_vm(truth, step.vm);
                uint32_t to = imig_cluster_find_host(truth, step.to);

                assert_false(left[v][to]);
                left[v][imig_cluster_find_host(truth, step.from)] = 1;
                late += round >= 3;
            }
            assert_int_equal(imig_plan_apply(plan, truth, &next, NULL), IMIG_OK);
            imig_cluster_unref(truth);
            truth = next;
            imig_plan_unref(plan);
            imig_cluster_unref(seen);
        }
        assert_int_equal(late, 0);
        imig_cluster_unref(truth);
    }
}

/* From a host to one that is like it: what is left of a difference of sums is no gain, and a reason
   has no figures like 1.42e-14. */
static void
rounding_is_no_gain(void **unused)
{
    uint32_t tiny = 0;

    (void) unused;
    for (uint32_t n = 1; n <= 12; n++) {
        imig_cluster *cluster = imig_cluster_new(0);
        imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
        const uint32_t drain[] = { 0 };
        imig_plan *plan;

        add_host(cluster, "from", 16, 64);
        add_host(cluster, "to", 16, 64);
        for (uint32_t v = 0; v < 2 * n; v++) {
            char id[16];

            snprintf(id, sizeof id, "v%u", v);
            add_vm(cluster, id, v % 2, 0.1 + 0.017 * (v / 2), 1, v % 4 < 2 ? CPU : IDLE);
        }
        add_host(cluster, "twin", 16, 64);
        finish(cluster);
        options.goal = "drain";
        options.drain = drain;
        options.drain_count = 1;
        plan = make(cluster, &options);
        assert_int_equal(imig_plan_step_count(plan), n);
        for (size_t i = 0; i < n; i++) {
            imig_plan_step step = step_of(plan, i);

            assert_true(step.gain == 0 || fabs(step.gain) >= 1e-9);
            assert_null(strstr(step.reason_text, "e-"));
            assert_int_equal(strstr(step.reason_text, "lost cores") != NULL,
                             fabs(step.gain) >= 1e-3);
            tiny += fabs(step.gain) < 1e-3;
        }
        imig_plan_unref(plan);
        imig_cluster_unref(cluster);
    }
    assert_true(tiny > 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_balanced_cluster_gives_an_empty_plan),
        cmocka_unit_test(every_policy_relieves_the_overloaded_host),
        cmocka_unit_test(what_a_plan_reached_is_left_alone),
        cmocka_unit_test(drain_empties_the_host_or_says_why_not),
        cmocka_unit_test(broken_rules_are_repaired),
        cmocka_unit_test(short_memory_is_relieved),
        cmocka_unit_test(explain_has_a_reason_for_every_vm_that_stays),
        cmocka_unit_test(budgets_hold),
        cmocka_unit_test(the_same_plan_has_the_same_bytes),
        cmocka_unit_test(wrong_options_are_answered),
        cmocka_unit_test(rounding_is_no_gain),
        cmocka_unit_test(noise_moves_nothing_back_and_forth),
    };

    return cmocka_run_group_tests_name("planner", tests, NULL, NULL);
}
