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

enum { CPU = IMIG_WORKLOAD_CPU };

static imig_cluster *
apply(const imig_plan *plan, const imig_cluster *cluster)
{
    imig_cluster *after = NULL;

    assert_int_equal(imig_plan_apply(plan, cluster, &after, NULL), IMIG_OK);
    return after;
}

static uint32_t
vms_on(const imig_cluster *cluster, uint32_t host)
{
    uint32_t n = 0;

    for (size_t v = 0; v < cluster->vm_count; v++)
        n += cluster->vms[v].host == host;
    return n;
}

/* Four hosts; the VMs of the first two are more than their share. */
static imig_cluster *
uneven_cluster(int32_t first_state)
{
    imig_cluster *cluster = imig_cluster_new(0);

    for (uint32_t h = 0; h < 4; h++) {
        imig_host_info host = IMIG_HOST_INFO_INIT;
        char id[8];

        g_snprintf(id, sizeof id, "h%u", h);
        host.id = id;
        host.cpu_cores = 16;
        host.memory_bytes = 128 * GIB;
        host.net_bytes_per_s = 1.25e9;
        host.present = IMIG_HOST_HAS_NET;
        host.state = h == 0 ? first_state : IMIG_HOST_ACTIVE;
        assert_int_equal(imig_cluster_add_host(cluster, &host, NULL), IMIG_OK);
    }
    for (uint32_t v = 0; v < 24; v++) {
        char id[8];

        g_snprintf(id, sizeof id, "v%u", v);
        add_vm(cluster, id, v < 10 ? 0 : v < 18 ? 1 : v < 21 ? 2 : 3, 0.6 + 0.1 * (v % 5),
               1 + v % 6, CPU);
    }
    finish(cluster);
    return cluster;
}

static void
level_says_what_it_moves_and_what_it_must(void **unused)
{
    imig_cluster *cluster = uneven_cluster(IMIG_HOST_ACTIVE), *after;
    imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
    imig_plan_summary s;
    double bytes = 0, cpu[4] = { 0 }, memory[4] = { 0 }, all_cpu = 0, all_memory = 0;
    imig_plan *plan;

    (void) unused;
    options.goal = "level";
    plan = make(cluster, &options);
    s = summary_of(plan);
    after = apply(plan, cluster);
    for (size_t i = 0; i < imig_plan_step_count(plan); i++) {
        imig_plan_step step = step_of(plan, i);

        bytes += cluster->vms[imig_cluster_find_vm(cluster, step.vm)].memory_bytes;
        assert_true(strncmp(step.reason_code, "levels-", 7) == 0
                    || strcmp(step.reason_code, "makes-room") == 0);
    }
    for (size_t v = 0; v < 24; v++) {
        cpu[after->vms[v].host] += after->vms[v].cpu_cores;
        memory[after->vms[v].host] += after->vms[v].memory_bytes;
        all_cpu += after->vms[v].cpu_cores;
        all_memory += after->vms[v].memory_bytes;
    }
    for (uint32_t h = 0; h < 4; h++) {
        assert_true(cpu[h] <= 1.1 * all_cpu / 4 + 1e-9);
        assert_true(memory[h] <= 1.1 * all_memory / 4 + 1);
        assert_true(cpu[h] <= s.cpu_to_mean * all_cpu / 4 + 1e-9);
        assert_true(memory[h] <= s.memory_to_mean * all_memory / 4 + 1);
    }
    assert_true(s.complete && imig_plan_step_count(plan) > 3);
    assert_true(s.moved_bytes == bytes && s.moved_bytes_bound > 0);
    assert_true(s.moved_bytes_bound <= s.moved_bytes);
    assert_true(s.cpu_to_mean <= 1.1 + 1e-9 && s.memory_to_mean <= 1.1 + 1e-9);
    assert_int_equal(imig_plan_empty_host_count(plan), 0);
    assert_null(imig_plan_empty_host(plan, 0));
    imig_plan_unref(plan);
    /* Levelled, there is nothing to do. */
    plan = make(after, &options);
    assert_int_equal(imig_plan_step_count(plan), 0);
    assert_true(summary_of(plan).complete && summary_of(plan).moved_bytes_bound == 0);
    imig_plan_unref(plan);
    imig_cluster_unref(after);
    imig_cluster_unref(cluster);
}

/* All that the goals have to say comes back from the document, with the same bytes. */
static void
figures_survive_the_document(void **unused)
{
    imig_cluster *cluster = uneven_cluster(IMIG_HOST_ACTIVE);
    static const char *const goals[] = { "level", "consolidate" };

    (void) unused;
    for (size_t g = 0; g < 2; g++) {
        imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
        imig_plan_summary s, t;
        imig_plan *plan, *copy = NULL;
        char *text = NULL, *again = NULL;
        size_t length = 0;

        options.goal = goals[g];
        plan = make(cluster, &options);
        assert_int_equal(imig_plan_to_json(plan, &text, &length, NULL), IMIG_OK);
        assert_non_null(strstr(text, "\"x-figures\""));
        assert_int_equal(imig_plan_from_json(text, length, &copy, NULL), IMIG_OK);
        assert_int_equal(imig_plan_to_json(copy, &again, NULL, NULL), IMIG_OK);
        assert_string_equal(text, again);
        s = summary_of(plan);
        t = summary_of(copy);
        assert_true(s.moved_bytes == t.moved_bytes && s.moved_bytes > 0);
        assert_true(s.moved_bytes_bound == t.moved_bytes_bound);
        assert_true(s.cpu_to_mean == t.cpu_to_mean && s.memory_to_mean == t.memory_to_mean);
        assert_int_equal(s.hosts_in_use, t.hosts_in_use);
        assert_int_equal(s.hosts_in_use_bound, t.hosts_in_use_bound);
        assert_int_equal(imig_plan_empty_host_count(plan), imig_plan_empty_host_count(copy));
        for (size_t i = 0; i < imig_plan_empty_host_count(plan); i++)
            assert_string_equal(imig_plan_empty_host(plan, i), imig_plan_empty_host(copy, i));
        assert_true((imig_plan_empty_host_count(plan) > 0) == (g == 1));
        imig_free(text);
        imig_free(again);
        imig_plan_unref(plan);
        imig_plan_unref(copy);
    }
    imig_cluster_unref(cluster);
}

/* A pinned VM and one that is too large keep hosts above: the rest is levelled, and it is said. */
static void
what_is_out_of_reach_is_said(void **unused)
{
    imig_cluster *cluster = imig_cluster_new(0);
    imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
    imig_plan_summary s;
    imig_vm_info pinned = a_vm("pinned", 0, 6, 8, CPU), large = a_vm("large", 1, 7, 8, CPU);
    imig_plan *plan;

    (void) unused;
    for (uint32_t h = 0; h < 4; h++)
        add_host(cluster, h == 0 ? "a" : h == 1 ? "b" : h == 2 ? "c" : "d", 16, 64);
    pinned.movable = 0;
    put_vm(cluster, &pinned);
    put_vm(cluster, &large);
    for (uint32_t v = 0; v < 8; v++) {
        char id[8];

        g_snprintf(id, sizeof id, "v%u", v);
        add_vm(cluster, id, v < 4 ? 0 : 2 + v % 2, 1, 0.25, CPU);
    }
    finish(cluster);
    options.goal = "level";
    options.explain = 1;
    plan = make(cluster, &options);
    s = summary_of(plan);
    assert_false(s.complete);
    assert_string_equal(kept_code(plan, "pinned"), "pinned");
    assert_string_equal(kept_code(plan, "large"), "too-large");
    assert_true(s.cpu_to_mean > 1.1);
    /* What can leave the pinned one does, and nobody joins the large one. */
    assert_true(imig_plan_step_count(plan) > 0);
    for (size_t i = 0; i < imig_plan_step_count(plan); i++) {
        assert_string_equal(step_of(plan, i).from, "a");
        assert_string_not_equal(step_of(plan, i).to, "b");
    }
    assert_true(s.moved_bytes_bound > 0 && s.moved_bytes_bound <= s.moved_bytes);
    imig_plan_unref(plan);
    imig_cluster_unref(cluster);
}

/* What a host in maintenance carries counts for the others; its VMs leave under both goals. */
static void
hosts_in_maintenance_are_emptied(void **unused)
{
    static const char *const goals[] = { "level", "consolidate", "drain" };

    (void) unused;
    for (size_t g = 0; g < G_N_ELEMENTS(goals); g++) {
        const uint32_t drain[] = { 2, 3 };
        imig_cluster *cluster = uneven_cluster(IMIG_HOST_MAINTENANCE), *after;
        imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
        imig_plan *plan;

        options.goal = goals[g];
        if (g == 2) {
            options.drain = drain;
            options.drain_count = 2;
            options.threshold = 2;
            options.set = IMIG_PLAN_HAS_THRESHOLD;
        }
        plan = make(cluster, &options);
        after = apply(plan, cluster);
        assert_int_equal(vms_on(after, 0), 0);
        if (g == 0)
            assert_true(summary_of(plan).moved_bytes_bound >= 10 * GIB);
        if (g == 2)
            assert_int_equal(vms_on(after, 1), 24);
        assert_true(summary_of(plan).complete);
        imig_plan_unref(plan);
        imig_cluster_unref(after);
        imig_cluster_unref(cluster);
    }
}

/* Two hosts at once, and one of the VMs cannot leave: said, and the other host is empty. */
static void
drain_takes_several_hosts(void **unused)
{
    imig_cluster *cluster = imig_cluster_new(0), *after;
    const uint32_t drain[] = { 0, 1, 0 }; /* one of them twice */
    imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
    imig_vm_info pinned = a_vm("pinned", 0, 1, 4, CPU);
    imig_plan *plan;

    (void) unused;
    for (uint32_t h = 0; h < 4; h++)
        add_host(cluster, h == 0 ? "a" : h == 1 ? "b" : h == 2 ? "c" : "d", 16, 64);
    pinned.movable = 0;
    put_vm(cluster, &pinned);
    for (uint32_t v = 0; v < 8; v++) {
        char id[8];

        g_snprintf(id, sizeof id, "v%u", v);
        add_vm(cluster, id, v % 4, 1, 4, CPU);
    }
    finish(cluster);
    options.goal = "drain";
    options.drain = drain;
    options.drain_count = 3;
    plan = make(cluster, &options);
    after = apply(plan, cluster);
    assert_false(summary_of(plan).complete);
    assert_string_equal(kept_code(plan, "pinned"), "pinned");
    assert_int_equal(vms_on(after, 0), 1);
    assert_int_equal(vms_on(after, 1), 0);
    for (size_t i = 0; i < imig_plan_step_count(plan); i++)
        assert_true(strchr("cd", step_of(plan, i).to[0]) != NULL);
    imig_plan_unref(plan);
    imig_cluster_unref(after);
    imig_cluster_unref(cluster);
}

/* Random clusters with rules, flows, unequal hosts. */
static imig_cluster *
random_cluster(uint64_t seed, uint32_t hosts, uint32_t vms, int32_t *workload)
{
    const cluster_shape shape = {
        .hosts = hosts, .vms = vms, .cpu = 0.35 + 0.02 * (double) (seed % 10), .memory = 0.6,
        .flows = 6, .rules = 6, .skew = 1, .unequal = seed % 2 == 0, .measured = seed % 3 != 0,
    };

    return make_cluster(&shape, seed, workload);
}

/* Whatever the budget: kept, and where it is consolidated no host is left half emptied. */
static void
budgets_are_kept(void **unused)
{
    static const char *const goals[] = { "level", "consolidate" };
    uint32_t cut = 0, partial = 0;

    (void) unused;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        int32_t workload[60];
        imig_cluster *cluster = random_cluster(seed, 8, 60, workload);

        for (size_t i = 0; i < 12; i++) {
            imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
            imig_plan_summary s;
            imig_plan *plan;

            options.goal = goals[i % 2];
            options.workload = workload;
            if (i % 4 < 2) {
                options.max_moves = (uint32_t) i;
                options.set = IMIG_PLAN_HAS_MAX_MOVES;
            } else {
                options.max_bytes = 4e9 * (double) i;
                options.set = IMIG_PLAN_HAS_MAX_BYTES;
            }
            plan = make(cluster, &options);
            s = summary_of(plan);
            if (i % 4 < 2)
                assert_true(imig_plan_step_count(plan) <= i);
            else
                assert_true(s.moved_bytes <= options.max_bytes);
            cut += imig_plan_step_count(plan) > 0;
            partial += !s.complete;
            imig_plan_unref(plan);
        }
        imig_cluster_unref(cluster);
    }
    assert_true(cut > 40 && partial > 10);
}

/* A host that shed VMs to be switched off is empty; one that is named was not given any. */
static void
hosts_are_emptied_whole(void **unused)
{
    uint32_t freed = 0;

    (void) unused;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        int32_t workload[50];
        imig_cluster *cluster = random_cluster(seed, 9, 50, workload), *after;
        imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
        imig_plan_summary s;
        imig_plan *plan;

        options.goal = "consolidate";
        options.workload = workload;
        options.spare_hosts = (uint32_t) (seed % 3);
        if (seed % 4 == 0) {
            options.max_bytes = 3e10;
            options.set = IMIG_PLAN_HAS_MAX_BYTES;
        }
        plan = make(cluster, &options);
        after = apply(plan, cluster);
        s = summary_of(plan);
        for (size_t i = 0; i < imig_plan_step_count(plan); i++) {
            imig_plan_step step = step_of(plan, i);

            if (strcmp(step.reason_code, "frees-host") == 0
                && vms_on(after, imig_cluster_find_host(after, step.from)) > 0)
                fail_msg("seed %d: %s is not empty", (int) seed, step.from);
        }
        for (size_t i = 0; i < imig_plan_empty_host_count(plan); i++)
            assert_int_equal(
                vms_on(after, imig_cluster_find_host(after, imig_plan_empty_host(plan, i))), 0);
        assert_int_equal(s.hosts_in_use + imig_plan_empty_host_count(plan), 9);
        assert_true(s.hosts_in_use_bound <= s.hosts_in_use && s.hosts_in_use_bound > 0);
        freed += (uint32_t) imig_plan_empty_host_count(plan);
        imig_plan_unref(plan);
        imig_cluster_unref(after);
        imig_cluster_unref(cluster);
    }
    assert_true(freed > 40);
}

/* The rules of thumb have the same limits, and none needs fewer bytes to get as far. */
static void
no_policy_levels_with_fewer_bytes(void **unused)
{
    uint32_t reached = 0, others = 0;

    (void) unused;
    for (uint64_t seed = 1; seed <= 15; seed++) {
        int32_t workload[90];
        imig_cluster *cluster = random_cluster(seed, 8, 90, workload);
        double least = INFINITY;

        for (uint32_t p = 0; imig_plan_policy_name(p); p++) {
            imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
            imig_plan_summary s;
            imig_plan *plan;

            options.goal = "level";
            options.policy = imig_plan_policy_name(p);
            options.workload = workload;
            options.tolerance = 0.15;
            options.set = IMIG_PLAN_HAS_TOLERANCE;
            plan = make(cluster, &options);
            s = summary_of(plan);
            assert_true(s.moved_bytes_bound <= s.moved_bytes);
            if (p == 0) {
                least = s.moved_bytes;
                reached += (uint32_t) s.complete;
            } else if (s.complete) {
                others++;
                assert_true(s.moved_bytes >= least);
            }
            imig_plan_unref(plan);
        }
        imig_cluster_unref(cluster);
    }
    print_message("informed reached %u of 15, the others %u together\n", reached, others);
    assert_true(reached >= 13);
}

/* One that the goal would pass over is refused, too. */
static void
a_tolerance_that_is_none_is_refused(void **unused)
{
    static const struct {
        double value;
        const char *goal;
    } wrong[] = {
        { -0.1, "level" }, { NAN, "level" }, { INFINITY, "level" }, { 0.1, NULL },
        { 0.1, "relieve" }, { 0.1, "consolidate" },
    };
    imig_cluster *cluster = uneven_cluster(IMIG_HOST_ACTIVE);

    (void) unused;
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
        imig_error *error = NULL;
        imig_plan *plan = NULL;

        options.goal = wrong[i].goal;
        options.tolerance = wrong[i].value;
        options.set = IMIG_PLAN_HAS_TOLERANCE;
        assert_int_equal(imig_plan_make(cluster, &options, &plan, &error), IMIG_ERR_ARGUMENT);
        assert_non_null(strstr(imig_error_message(error), "tolerance"));
        imig_error_free(error);
    }
    imig_cluster_unref(cluster);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(level_says_what_it_moves_and_what_it_must),
        cmocka_unit_test(figures_survive_the_document),
        cmocka_unit_test(what_is_out_of_reach_is_said),
        cmocka_unit_test(hosts_in_maintenance_are_emptied),
        cmocka_unit_test(drain_takes_several_hosts),
        cmocka_unit_test(budgets_are_kept),
        cmocka_unit_test(hosts_are_emptied_whole),
        cmocka_unit_test(no_policy_levels_with_fewer_bytes),
        cmocka_unit_test(a_tolerance_that_is_none_is_refused),
    };

    return cmocka_run_group_tests_name("planner-aim", tests, NULL, NULL);
}
