/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "build.h"
#include "plans.h"

#include <glib.h>

/* What a plan says of hard rules: of those it repairs, and of those that cannot be kept. */

enum { CPU = IMIG_WORKLOAD_CPU, APART = IMIG_RULE_APART, TOGETHER = IMIG_RULE_TOGETHER };

/* Hosts of 16 cores and 64 GiB, the first in rack r1, the others in r2. */
static imig_cluster *
hosts(uint32_t n)
{
    imig_cluster *cluster = imig_cluster_new(0);

    for (uint32_t h = 0; h < n; h++) {
        const char *labels[] = { "rack", h == 0 ? "r1" : "r2" };
        imig_host_info host = IMIG_HOST_INFO_INIT;
        char id[16], name[16];

        g_snprintf(id, sizeof id, "id%u", h + 1);
        g_snprintf(name, sizeof name, "h%u", h + 1);
        host.id = id;
        host.name = name;
        host.cpu_cores = 16;
        host.memory_bytes = 64 * GIB;
        host.labels = labels;
        host.label_count = 1;
        assert_int_equal(imig_cluster_add_host(cluster, &host, NULL), IMIG_OK);
    }
    return cluster;
}

static void
rule_of(imig_cluster *cluster, int32_t kind, const char *label, const uint32_t *vms, size_t n)
{
    imig_rule_info rule = IMIG_RULE_INFO_INIT;

    rule.kind = kind;
    rule.label = label;
    rule.vms = vms;
    rule.vm_count = n;
    assert_int_equal(imig_cluster_add_rule(cluster, &rule, NULL), IMIG_OK);
}

static void
vm_on(imig_cluster *cluster, const char *id, const char *name, uint32_t host, double gib,
      int32_t movable)
{
    imig_vm_info vm = a_vm(id, host, 1, gib, CPU);

    vm.name = name;
    vm.movable = movable;
    put_vm(cluster, &vm);
}

static void
assert_begins(const char *text, const char *beginning)
{
    if (!g_str_has_prefix(text, beginning))
        fail_msg("\"%s\" does not begin with \"%s\"", text, beginning);
}

static void
assert_ends(const char *text, const char *end)
{
    if (!g_str_has_suffix(text, end))
        fail_msg("\"%s\" does not end with \"%s\"", text, end);
}

static const char *
kept_text(const imig_plan *plan, const char *wanted)
{
    for (size_t i = 0; i < imig_plan_kept_count(plan); i++) {
        const char *vm, *text;

        assert_int_equal(imig_plan_get_kept(plan, i, &vm, NULL, &text, NULL), IMIG_OK);
        if (strcmp(vm, wanted) == 0)
            return text;
    }
    fail_msg("%s is not listed", wanted);
    return NULL;
}

/* No host is near its threshold: what goal relieve does here it does for the rule. */
static void
a_step_names_the_rule_it_repairs(void **unused)
{
    static const struct {
        int32_t kind;
        const char *label;
        uint32_t second_host;
        const char *begins;
    } cases[] = {
        { APART, NULL, 0, "repairs rules[1] (apart: web, db); " },
        { TOGETHER, NULL, 1, "repairs rules[1] (together: web, db); " },
        { APART, "rack", 0, "repairs rules[1] (apart by rack: web, db); " },
        { TOGETHER, "rack", 1, "repairs rules[1] (together by rack: web, db); " },
    };
    const uint32_t pair[] = { 0, 1 }, others[] = { 2, 3 };

    (void) unused;
    for (size_t c = 0; c < G_N_ELEMENTS(cases); c++)
        for (uint32_t g = 0; g < 2; g++) {
            imig_cluster *cluster = hosts(3);
            imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
            imig_plan *plan;

            vm_on(cluster, "a", "web", 0, 4, 1);
            vm_on(cluster, "b", "db", cases[c].second_host, 4, 1);
            add_vm(cluster, "c", 0, 3, 4, CPU);
            add_vm(cluster, "d", 1, 3, 4, CPU);
            rule_of(cluster, APART, NULL, others, 2);
            rule_of(cluster, cases[c].kind, cases[c].label, pair, 2);
            finish(cluster);
            options.goal = g == 0 ? "relieve" : "balance";
            plan = make(cluster, &options);
            assert_true(summary_of(plan).complete);
            for (size_t i = 0, named = 0; i < imig_plan_step_count(plan) || !named; i++) {
                imig_plan_step step = step_of(plan, i);

                if (g == 1 && strcmp(step.reason_code, "repairs-rule") != 0)
                    continue;
                named++;
                assert_string_equal(step.reason_code, "repairs-rule");
                assert_begins(step.reason_text, cases[c].begins);
            }
            imig_plan_unref(plan);
            imig_cluster_unref(cluster);
        }
}

/* Nobody is overloaded; the one that leaves makes room for a VM that its rule wants there. */
static void
room_for_a_repair_is_no_relief(void **unused)
{
    imig_cluster *cluster = hosts(2);
    imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
    const uint32_t pair[] = { 0, 1 }, here[] = { 1 };
    imig_vm_info vm = a_vm("b", 1, 1, 20, CPU);
    imig_plan *plan;
    int makes_room = 0;

    (void) unused;
    add_vm(cluster, "a", 0, 1, 20, CPU);
    vm.hosts = here;
    vm.host_count = 1;
    put_vm(cluster, &vm);
    add_vm(cluster, "c", 1, 4, 30, CPU);
    rule_of(cluster, TOGETHER, "rack", pair, 2);
    finish(cluster);
    options.goal = "relieve";
    plan = make(cluster, &options);
    assert_true(summary_of(plan).complete);
    for (size_t i = 0; i < imig_plan_step_count(plan); i++) {
        imig_plan_step step = step_of(plan, i);

        if (strcmp(step.vm, "c") == 0) {
            assert_string_equal(step.reason_code, "makes-room");
            makes_room++;
        }
    }
    assert_int_equal(makes_room, 1);
    imig_plan_unref(plan);
    imig_cluster_unref(cluster);
}

static void
what_cannot_be_kept_is_named_with_the_least_reason(void **unused)
{
    static const struct {
        int32_t kind;
        uint32_t host[3], hosts;
        size_t members;
        double gib;
        int32_t movable;
        const char *label, *ends;
    } cases[] = {
        { APART, { 0, 0, 1 }, 2, 3, 4, 1, NULL, "; rules[0] (apart: web, db, log) stays broken: "
          "web, db and log have only 2 hosts to be on: h1 and h2" },
        { APART, { 0, 1, 1 }, 3, 3, 4, 1, "rack", "; rules[0] (apart by rack: web, db, log) stays "
          "broken: web, db and log have only 2 places by rack to be on: h1, h2 and h3" },
        { APART, { 0, 0, 1 }, 3, 3, 4, 0, NULL, "it is marked as not movable; rules[0] (apart: "
          "web, db, log) stays broken: web and db have only 1 host to be on: h1" },
        { TOGETHER, { 0, 1, 1 }, 3, 2, 4, 0, NULL, "; rules[0] (together: web, db) stays broken: "
          "web stays on h1 and db on h2 (pinned, pinned)" },
        { TOGETHER, { 0, 1, 1 }, 3, 2, 40, 1, NULL, "no host can take it: 2 hosts lack memory; "
          "rules[0] (together: web, db) stays broken: they have 80 GiB in all, and no host they "
          "may share has more than 64 GiB for them" },
    };
    const uint32_t members[] = { 0, 1, 2 };

    (void) unused;
    for (size_t c = 0; c < G_N_ELEMENTS(cases); c++) {
        imig_cluster *cluster = hosts(cases[c].hosts);
        imig_plan *plan;
        char *json;
        size_t at;

        vm_on(cluster, "a", "web", cases[c].host[0], cases[c].gib, cases[c].movable);
        vm_on(cluster, "b", "db", cases[c].host[1], cases[c].gib, cases[c].movable);
        vm_on(cluster, "c", "log", cases[c].host[2], 4, 1);
        rule_of(cluster, cases[c].kind, cases[c].label, members, cases[c].members);
        if (cases[c].gib > 30) {
            const uint32_t apart[] = { 0, 2 };

            vm_on(cluster, "d", "big", 2, 40, 1);
            rule_of(cluster, APART, NULL, apart, 2);
        }
        finish(cluster);
        plan = make(cluster, NULL);
        assert_false(summary_of(plan).complete);
        assert_true(imig_plan_kept_count(plan) > 0);
        assert_ends(kept_text(plan, "b"), cases[c].ends);
        assert_int_equal(imig_plan_to_json(plan, &json, &at, NULL), IMIG_OK);
        assert_non_null(strstr(json, cases[c].ends));
        imig_free(json);
        imig_plan_unref(plan);
        imig_cluster_unref(cluster);
    }
}

/* Its list of hosts is a rule of its own. */
static void
a_list_of_hosts_is_said(void **unused)
{
    const uint32_t there[] = { 1 };

    (void) unused;
    for (int full = 0; full < 2; full++) {
        imig_cluster *cluster = hosts(2);
        imig_vm_info vm = a_vm("a", 0, 1, 40, CPU);
        imig_plan *plan;

        vm.hosts = there;
        vm.host_count = 1;
        put_vm(cluster, &vm);
        vm_on(cluster, "b", NULL, 1, full ? 40 : 4, 0);
        finish(cluster);
        plan = make(cluster, NULL);
        assert_int_equal(summary_of(plan).complete, !full);
        if (full)
            assert_ends(kept_text(plan, "a"), "; its list of hosts leaves out h1");
        else
            assert_begins(step_of(plan, 0).reason_text, "its list of hosts leaves out h1; ");
        imig_plan_unref(plan);
        imig_cluster_unref(cluster);
    }
}

/* Names as long as they may be, and many of them, stay within what a reason may have. */
static void
long_names_are_cut(void **unused)
{
    enum { MEMBERS = 12 };
    imig_cluster *cluster = hosts(1);
    imig_host_info long_host = IMIG_HOST_INFO_INIT;
    char *host_name = g_strnfill(1000, 'h');
    uint32_t members[MEMBERS];
    imig_plan *plan;
    char *json;
    size_t length;

    (void) unused;
    long_host.id = host_name;
    long_host.cpu_cores = 16;
    long_host.memory_bytes = 64 * GIB;
    assert_int_equal(imig_cluster_add_host(cluster, &long_host, NULL), IMIG_OK);
    for (uint32_t v = 0; v < MEMBERS; v++) {
        GString *name = g_string_new(NULL);
        char id[16];

        while (name->len < 1000)
            g_string_append(name, "\360\237\230\200");
        g_snprintf(id, sizeof id, "v%u", v);
        vm_on(cluster, id, name->str, v % 2, 1, 1);
        g_string_free(name, TRUE);
        members[v] = v;
    }
    g_free(host_name);
    rule_of(cluster, APART, NULL, members, MEMBERS);
    finish(cluster);
    plan = make(cluster, NULL);
    assert_non_null(strstr(kept_text(plan, "v0"), " and 8 more) stays broken: "));
    assert_ends(kept_text(plan, "v0"), "... have only 2 hosts to be on: h1 and "
                "hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh...");
    assert_int_equal(imig_plan_to_json(plan, &json, &length, NULL), IMIG_OK);
    imig_plan_unref(plan);
    assert_int_equal(imig_plan_from_json(json, length, &plan, NULL), IMIG_OK);
    imig_plan_unref(plan);
    imig_free(json);
    imig_cluster_unref(cluster);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_names_the_rule_it_repairs),
        cmocka_unit_test(room_for_a_repair_is_no_relief),
        cmocka_unit_test(what_cannot_be_kept_is_named_with_the_least_reason),
        cmocka_unit_test(a_list_of_hosts_is_said),
        cmocka_unit_test(long_names_are_cut),
    };

    return cmocka_run_group_tests_name("planner-rules", tests, NULL, NULL);
}
