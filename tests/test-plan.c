/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/cluster-priv.h"
#include "plan/plan-priv.h"

#include <imig/plan.h>
#include <stdarg.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

static const double GIB = 1024.0 * 1024 * 1024;

enum { A, B, C, D };

/*
 * Hosts of 8 GiB: a and b in rack r1, c in r2, d in a pool of its own.  VMs with their GiB:
 * v0 (4) and v1 (2) on a, v2 (4) and v3 (1) on b, v4 (1) on d.
 */
static imig_cluster *
new_cluster(void)
{
    static const char *const rack1[] = { "rack", "r1" }, *const rack2[] = { "rack", "r2" };
    static const struct { const char *id; uint32_t host; double gib; } vms[] = {
        { "v0", A, 4 }, { "v1", A, 2 }, { "v2", B, 4 }, { "v3", B, 1 }, { "v4", D, 1 },
    };
    imig_cluster *cluster = imig_cluster_new(100);

    for (int i = 0; i < 4; i++) {
        imig_host_info host = IMIG_HOST_INFO_INIT;
        char id[2] = { (char) ('a' + i), 0 };

        host.id = id;
        host.pool = i == D ? "other" : NULL;
        host.cpu_cores = 8;
        host.memory_bytes = 8 * GIB;
        host.labels = i < C ? rack1 : rack2;
        host.label_count = 1;
        assert_int_equal(imig_cluster_add_host(cluster, &host, NULL), IMIG_OK);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(vms); i++) {
        imig_vm_info vm = IMIG_VM_INFO_INIT;

        vm.id = vms[i].id;
        vm.name = i == 0 ? "web" : NULL;
        vm.host = vms[i].host;
        vm.vcpus = 1;
        vm.memory_bytes = vms[i].gib * GIB;
        assert_int_equal(imig_cluster_add_vm(cluster, &vm, NULL), IMIG_OK);
    }
    return cluster;
}

typedef struct step {
    const char *vm, *from, *to;
    double start_s, duration_s;
} step;

static imig_plan *
new_plan(const step *steps, size_t n)
{
    imig_plan *plan = imig__plan_new("balance", "informed", 100, "");

    for (size_t i = 0; i < n && steps[i].vm; i++) {
        imig_plan_step s = IMIG_PLAN_STEP_INIT;

        s.vm = steps[i].vm;
        s.from = steps[i].from;
        s.to = steps[i].to;
        s.start_s = steps[i].start_s;
        s.duration_s = steps[i].duration_s;
        imig__plan_add_step(plan, &s);
    }
    return plan;
}

/* ---- does a plan still hold? ---- */

static void overhead_on_c(imig_cluster *c) { c->hosts[C].vm_overhead_bytes = 4.5 * GIB; }
static void b_is_too_full(imig_cluster *c) { c->hosts[B].memory_bytes = 4 * GIB; }
static void c_in_maintenance(imig_cluster *c) { c->hosts[C].state = IMIG_HOST_MAINTENANCE; }
static void a_in_maintenance(imig_cluster *c) { c->hosts[A].state = IMIG_HOST_MAINTENANCE; }
static void a_offline(imig_cluster *c) { c->hosts[A].state = IMIG_HOST_OFFLINE; }
static void v0_pinned(imig_cluster *c) { c->vms[0].movable = 0; }
static void v0_blocked(imig_cluster *c) { c->vms[0].blocked = "backup-job"; }
static void
v0_on_a_and_b_only(imig_cluster *c)
{
    static const uint32_t hosts[] = { A, B };

    c->vms[0].hosts = hosts;
    c->vms[0].host_count = 2;
}

static void
add_rule(imig_cluster *c, int32_t kind, int32_t hard, const char *label, uint32_t v, uint32_t w)
{
    uint32_t vms[] = { v, w };
    imig_rule_info rule = { sizeof rule, kind, hard, label, vms, 2 };

    assert_int_equal(imig_cluster_add_rule(c, &rule, NULL), IMIG_OK);
}

static void v1_v2_apart(imig_cluster *c) { add_rule(c, IMIG_RULE_APART, 1, NULL, 1, 2); }
static void v1_v2_rather_apart(imig_cluster *c) { add_rule(c, IMIG_RULE_APART, 0, NULL, 1, 2); }
static void v1_v2_apart_by_rack(imig_cluster *c) { add_rule(c, IMIG_RULE_APART, 1, "rack", 1, 2); }
static void v0_v1_together(imig_cluster *c) { add_rule(c, IMIG_RULE_TOGETHER, 1, NULL, 0, 1); }
static void v0_v2_together(imig_cluster *c) { add_rule(c, IMIG_RULE_TOGETHER, 1, NULL, 0, 2); }
static void
v0_v1_v2_together(imig_cluster *c)
{
    static const uint32_t vms[] = { 0, 1, 2 };

    v0_v1_together(c);
    c->rules[0].vm_count = 3;
    c->rules[0].vms = vms;
}

static const struct check_case {
    const char *name;
    void (*change)(imig_cluster *);
    step steps[3];
    const char *message; /* NULL: it holds */
} check_cases[] = {
    { "nothing to do", NULL, { { 0 } }, NULL },
    { "a move", NULL, { { "v0", "a", "c", 0, 10 } }, NULL },
    { "no such VM", NULL, { { "v9", "a", "c", 0, 10 } }, "steps[0].vm: \"v9\": no such VM" },
    { "a name is no id", NULL, { { "web", "a", "c", 0, 10 } },
      "steps[0].vm: \"web\": no such VM" },
    { "no such source", NULL, { { "v0", "x", "c", 0, 10 } }, "steps[0].from: \"x\": no such host" },
    { "no such destination", NULL, { { "v0", "a", "x", 0, 10 } },
      "steps[0].to: \"x\": no such host" },
    { "moved by somebody else", NULL, { { "v0", "b", "c", 0, 10 } },
      "steps[0].from: \"b\": the VM is on \"a\"" },
    { "another pool", NULL, { { "v0", "a", "d", 0, 10 } },
      "steps[0].to: \"d\": the VM is not allowed there" },
    { "a host that is not allowed", v0_on_a_and_b_only, { { "v0", "a", "c", 0, 10 } },
      "steps[0].to: \"c\": the VM is not allowed there" },
    { "pinned", v0_pinned, { { "v0", "a", "c", 0, 10 } }, "steps[0].vm: \"v0\": it is pinned" },
    { "blocked", v0_blocked, { { "v0", "a", "c", 0, 10 } },
      "steps[0].vm: \"v0\": it is blocked, \"backup-job\"" },
    { "out of maintenance", a_in_maintenance, { { "v0", "a", "c", 0, 10 } }, NULL },
    { "not into maintenance", c_in_maintenance, { { "v0", "a", "c", 0, 10 } },
      "steps[0].to: \"c\": the host takes no VMs now" },
    { "not out of nowhere", a_offline, { { "v0", "a", "c", 0, 10 } },
      "steps[0].from: \"a\": the host is offline" },

    { "too little memory", NULL, { { "v0", "a", "b", 0, 10 } },
      "steps[0].to: \"b\": no memory for the VM then" },
    { "every VM's overhead", overhead_on_c, { { "v0", "a", "c", 0, 10 } },
      "steps[0].to: \"c\": no memory for the VM then" },
    { "memory once another has left", NULL,
      { { "v2", "b", "c", 0, 10 }, { "v0", "a", "b", 10, 5 } }, NULL },
    { "rounding of the end is no fault", NULL,
      { { "v2", "b", "c", 0.1, 0.2 }, { "v0", "a", "b", 0.3, 5 } }, NULL },
    { "not while another is leaving", NULL,
      { { "v2", "b", "c", 0, 10 }, { "v0", "a", "b", 9, 5 } },
      "steps[1].to: \"b\": no memory for the VM then" },
    { "by hand, without times", NULL,
      { { "v2", "b", "c", 0, 0 }, { "v0", "a", "b", 0, 0 } }, NULL },
    { "a swap over a third host", NULL,
      { { "v0", "a", "c", 0, 10 }, { "v2", "b", "a", 10, 10 }, { "v0", "c", "b", 20, 10 } }, NULL },
    { "a swap at once", NULL, { { "v0", "a", "b", 0, 10 }, { "v2", "b", "a", 0, 10 } },
      "steps[0].to: \"b\": no memory for the VM then" },
    { "one step of a VM at a time", NULL,
      { { "v3", "b", "c", 0, 10 }, { "v3", "c", "a", 5, 10 } },
      "steps[1].vm: \"v3\": steps[0] is not over then" },
    { "out of an over-committed host", b_is_too_full, { { "v2", "b", "c", 0, 10 } }, NULL },
    { "not into an over-committed host", b_is_too_full, { { "v1", "a", "b", 0, 10 } },
      "steps[0].to: \"b\": no memory for the VM then" },

    { "kept apart", v1_v2_apart, { { "v1", "a", "b", 0, 10 } },
      "steps[0].to: \"b\": rules[0] (apart: v1, v2) keeps the VM away then" },
    { "kept apart as a wish", v1_v2_rather_apart, { { "v1", "a", "b", 0, 10 } }, NULL },
    { "kept apart from one that leaves", v1_v2_apart,
      { { "v2", "b", "c", 0, 10 }, { "v1", "a", "b", 5, 10 } },
      "steps[1].to: \"b\": rules[0] (apart: v1, v2) keeps the VM away then" },
    { "kept apart from one that has left", v1_v2_apart,
      { { "v2", "b", "c", 0, 10 }, { "v1", "a", "b", 10, 10 } }, NULL },
    { "kept apart from one that comes", v1_v2_apart,
      { { "v1", "a", "c", 0, 10 }, { "v2", "b", "c", 1, 10 } },
      "steps[1].to: \"c\": rules[0] (apart: v1, v2) keeps the VM away then" },
    { "there and back is not apart from itself", v1_v2_apart,
      { { "v1", "a", "c", 0, 10 }, { "v1", "c", "a", 10, 10 } }, NULL },
    { "in one rack already: no worse", v1_v2_apart_by_rack, { { "v1", "a", "b", 0, 10 } }, NULL },
    { "kept apart by rack", v1_v2_apart_by_rack,
      { { "v1", "a", "c", 0, 10 }, { "v2", "b", "c", 10, 10 } },
      "steps[1].to: \"c\": rules[0] (apart by rack: v1, v2) keeps the VM away then" },

    { "torn apart", v0_v1_together, { { "v0", "a", "c", 0, 10 } },
      "steps[0].vm: \"v0\": rules[0] (together: web, v1) keeps it together with others in the "
      "end" },
    { "moved together", v0_v1_together, { { "v0", "a", "c", 0, 10 }, { "v1", "a", "c", 10, 10 } },
      NULL },
    { "not together before: no worse", v0_v2_together, { { "v0", "a", "c", 0, 10 } }, NULL },
    { "further apart than before", v0_v1_v2_together,
      { { "v3", "b", "c", 0, 10 }, { "v1", "a", "c", 10, 10 } },
      "steps[1].vm: \"v1\": rules[0] (together: web, v1, v2) keeps it together with others in "
      "the end" },
};

static void
plan_is_checked(void **state)
{
    const struct check_case *c = *state;
    imig_cluster *cluster = new_cluster();
    imig_plan *plan = new_plan(c->steps, G_N_ELEMENTS(c->steps));
    imig_error *error = NULL;
    int code;

    if (c->change)
        c->change(cluster);
    assert_int_equal(imig_cluster_finish(cluster, NULL), IMIG_OK);
    code = imig_plan_check(plan, cluster, &error);
    assert_string_equal(imig_error_message(error), c->message ? c->message : "no error");
    assert_int_equal(code, c->message ? IMIG_ERR_STALE : IMIG_OK);
    imig_error_free(error);
    imig_plan_unref(plan);
    imig_cluster_unref(cluster);
}

/* Every step has its own fault, and what follows goes on without it. */
static void
every_step_is_checked(void **state)
{
    static const step steps[] = {
        { "v9", "a", "b", 0, 0 }, { "v1", "a", "b", 0, 0 }, { "v1", "b", "c", 0, 0 },
        { "v2", "b", "c", 0, 0 }, { "v0", "a", "c", 0, 0 }, { "v3", "b", "x", 0, 0 },
        { "v3", "b", "a", 0, 0 },
    };
    static const char *const want[] = {
        "vm: \"v9\": no such VM", "to: \"b\": rules[0] (apart: v1, v2) keeps the VM away then",
        "from: \"b\": the VM is on \"a\"", NULL,
        "vm: \"v0\": rules[1] (together: web, v1) keeps it together with others in the end",
        "to: \"x\": no such host", NULL,
    };
    imig_cluster *cluster = new_cluster();
    imig_plan *plan = new_plan(steps, G_N_ELEMENTS(steps));
    char *faults[G_N_ELEMENTS(steps)];

    (void) state;
    v1_v2_apart(cluster);
    v0_v1_together(cluster);
    assert_int_equal(imig_plan_check_steps(plan, cluster, faults, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_cluster_finish(cluster, NULL), IMIG_OK);
    assert_int_equal(imig_plan_check_steps(NULL, cluster, faults, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_plan_check_steps(plan, cluster, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_plan_check_steps(plan, cluster, faults, NULL), IMIG_OK);
    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        if (want[i])
            assert_string_equal(faults[i], want[i]);
        else
            assert_null(faults[i]);
        imig_free(faults[i]);
    }
    imig_plan_unref(plan);
    imig_cluster_unref(cluster);
}

/* ---- the cluster afterwards ---- */

static void
plan_is_applied(void **state)
{
    static const step steps[] = {
        { "v0", "a", "c", 0, 10 }, { "v2", "b", "a", 10, 10 }, { "v0", "c", "b", 20, 10 },
    };
    static const uint32_t want[] = { B, A, A, B, D };
    imig_cluster *cluster = new_cluster(), *after = NULL;
    imig_plan *plan = new_plan(steps, G_N_ELEMENTS(steps));

    (void) state;
    assert_int_equal(imig_cluster_add_flow(cluster, 0, 2, 5, NULL), IMIG_OK);
    v1_v2_rather_apart(cluster);
    assert_int_equal(imig_cluster_finish(cluster, NULL), IMIG_OK);
    assert_int_equal(imig_plan_apply(plan, cluster, &after, NULL), IMIG_OK);
    for (uint32_t i = 0; i < G_N_ELEMENTS(want); i++) {
        imig_vm_info vm = IMIG_VM_INFO_INIT;

        assert_int_equal(imig_cluster_get_vm(after, i, &vm, NULL), IMIG_OK);
        assert_int_equal(vm.host, want[i]);
    }
    assert_int_equal(cluster->vms[0].host, A);
    assert_int_equal(imig_cluster_flow_count(after), 1);
    assert_int_equal(imig_cluster_rule_count(after), 1);
    assert_true(imig_cluster_time_s(after) == 100);
    assert_string_not_equal(imig_cluster_sha256(cluster), imig_cluster_sha256(after));
    imig_cluster_unref(cluster);
    assert_int_equal(imig_plan_check(plan, after, NULL), IMIG_ERR_STALE); /* done already */
    imig_cluster_unref(after);
    imig_plan_unref(plan);
}

static const struct apply_case {
    const char *name;
    step steps[2];
    const char *message;
} apply_cases[] = {
    { "applied to a cluster without the VM", { { "v9", "a", "c", 0, 1 } },
      "steps[0].vm: \"v9\": no such VM" },
    { "applied where the VM is not", { { "v0", "a", "c", 0, 1 }, { "v0", "a", "b", 1, 1 } },
      "steps[1].from: \"a\": the VM is on \"c\"" },
    { "applied across pools", { { "v0", "a", "d", 0, 1 } },
      "steps[0].to: \"d\": the VM is not allowed there" },
};

static void
plan_cannot_be_applied(void **state)
{
    const struct apply_case *c = *state;
    imig_cluster *cluster = new_cluster(), *after = NULL;
    imig_plan *plan = new_plan(c->steps, G_N_ELEMENTS(c->steps));
    imig_error *error = NULL;

    assert_int_equal(imig_cluster_finish(cluster, NULL), IMIG_OK);
    assert_int_equal(imig_plan_apply(plan, cluster, &after, &error), IMIG_ERR_STALE);
    assert_string_equal(imig_error_message(error), c->message);
    assert_null(after);
    imig_error_free(error);
    imig_plan_unref(plan);
    imig_cluster_unref(cluster);
}

/* ---- what was put in comes out ---- */

static void
getters_lend_what_was_added(void **state)
{
    imig_plan *plan = imig__plan_new("drain", "paper", 7, "00ff");
    imig_plan_step in = IMIG_PLAN_STEP_INIT, out = IMIG_PLAN_STEP_INIT;
    imig_plan_totals before = IMIG_PLAN_TOTALS_INIT, after = IMIG_PLAN_TOTALS_INIT;
    imig_plan_summary summary = IMIG_PLAN_SUMMARY_INIT;
    const char *vm, *code, *text;
    char id[] = "v1";

    (void) state;
    in.vm = id;
    in.from = "h1";
    in.to = "h2";
    in.group = 3;
    in.rounds = 5;
    in.converges = 1;
    in.gain = -0.25;
    in.transferred_bytes = 4.1e9;
    imig__plan_add_step(plan, &in);
    id[1] = 'x';
    imig__plan_add_kept(plan, "v9", "pinned", NULL);
    before.loss = 3;
    before.overloaded_hosts = 2;
    after.loss = 1;
    imig__plan_set_totals(plan, &before, &after);
    summary.gap_ratio = 0.5;
    imig__plan_set_summary(plan, &summary);

    assert_string_equal(imig_plan_goal(plan), "drain");
    assert_string_equal(imig_plan_policy(plan), "paper");
    assert_string_equal(imig_plan_cluster_sha256(plan), "00ff");
    assert_int_equal(imig_plan_step_count(plan), 1);
    assert_int_equal(imig_plan_get_step(plan, 0, &out, NULL), IMIG_OK);
    assert_string_equal(out.vm, "v1");
    assert_string_equal(out.to, "h2");
    assert_string_equal(out.reason_code, "");
    assert_true(out.gain == -0.25 && out.transferred_bytes == 4.1e9);
    assert_true(out.group == 3 && out.rounds == 5 && out.converges == 1);
    assert_int_equal(imig_plan_kept_count(plan), 1);
    assert_int_equal(imig_plan_get_kept(plan, 0, &vm, &code, &text, NULL), IMIG_OK);
    assert_string_equal(vm, "v9");
    assert_string_equal(code, "pinned");
    assert_string_equal(text, "");
    before = after = (imig_plan_totals) IMIG_PLAN_TOTALS_INIT;
    assert_int_equal(imig_plan_get_totals(plan, &before, &after, NULL), IMIG_OK);
    assert_true(before.loss == 3 && before.overloaded_hosts == 2 && after.loss == 1);
    assert_int_equal(imig_plan_get_summary(plan, &summary, NULL), IMIG_OK);
    assert_true(summary.gap_ratio == 0.5 && summary.complete == 0);
    imig_plan_unref(imig_plan_ref(plan));
    imig_plan_unref(plan);
}

static void
wrong_arguments_are_answered(void **state)
{
    static const step one = { "v0", "a", "c", 0, 1 };
    imig_plan *plan = new_plan(&one, 1);
    imig_cluster *cluster = new_cluster(), *after = NULL;
    imig_plan_step step_out = IMIG_PLAN_STEP_INIT;
    imig_plan_totals before = IMIG_PLAN_TOTALS_INIT, after_totals = IMIG_PLAN_TOTALS_INIT;
    imig_plan_summary summary = IMIG_PLAN_SUMMARY_INIT;

    (void) state;
    imig_plan_unref(NULL);
    assert_null(imig_plan_ref(NULL));
    assert_null(imig_plan_goal(NULL));
    assert_null(imig_plan_policy(NULL));
    assert_string_equal(imig_plan_cluster_sha256(NULL), "");
    assert_int_equal(imig_plan_step_count(NULL), 0);
    assert_int_equal(imig_plan_kept_count(NULL), 0);
    assert_int_equal(imig_plan_get_step(NULL, 0, &step_out, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_plan_get_step(plan, 1, &step_out, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_plan_get_step(plan, 0, NULL, NULL), IMIG_ERR_ARGUMENT);
    step_out.size = 3;
    assert_int_equal(imig_plan_get_step(plan, 0, &step_out, NULL), IMIG_ERR_ABI);
    assert_int_equal(imig_plan_get_kept(plan, 0, NULL, NULL, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_plan_get_totals(NULL, &before, NULL, NULL), IMIG_ERR_ARGUMENT);
    before.loss = 99;
    after_totals.size = 3;
    assert_int_equal(imig_plan_get_totals(plan, &before, &after_totals, NULL), IMIG_ERR_ABI);
    assert_true(before.loss == 99);
    assert_int_equal(imig_plan_get_totals(plan, NULL, NULL, NULL), IMIG_OK);
    assert_int_equal(imig_plan_get_summary(plan, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_plan_get_summary(NULL, &summary, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_plan_check(NULL, cluster, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_plan_check(plan, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_plan_check(plan, cluster, NULL), IMIG_ERR_ARGUMENT); /* not finished */
    assert_int_equal(imig_plan_apply(plan, cluster, &after, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_plan_apply(plan, NULL, &after, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_plan_apply(NULL, cluster, &after, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_plan_apply(plan, cluster, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_null(after);
    imig_cluster_unref(cluster);
    imig_plan_unref(plan);
}

int
main(void)
{
    static const struct CMUnitTest single[] = {
        cmocka_unit_test(every_step_is_checked),
        cmocka_unit_test(plan_is_applied),
        cmocka_unit_test(getters_lend_what_was_added),
        cmocka_unit_test(wrong_arguments_are_answered),
    };
    struct CMUnitTest tests[G_N_ELEMENTS(check_cases) + G_N_ELEMENTS(apply_cases) +
                            G_N_ELEMENTS(single)];
    size_t count = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(check_cases); i++)
        tests[count++] = (struct CMUnitTest) {
            .name = check_cases[i].name, .test_func = plan_is_checked,
            .initial_state = (void *) &check_cases[i],
        };
    for (size_t i = 0; i < G_N_ELEMENTS(apply_cases); i++)
        tests[count++] = (struct CMUnitTest) {
            .name = apply_cases[i].name, .test_func = plan_cannot_be_applied,
            .initial_state = (void *) &apply_cases[i],
        };
    for (size_t i = 0; i < G_N_ELEMENTS(single); i++)
        tests[count++] = single[i];
    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
