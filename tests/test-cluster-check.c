/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/cluster-priv.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include "small-cluster.h"

/* ---- what only shows as a whole ---- */

enum { T = IMIG_RULE_TOGETHER, A = IMIG_RULE_APART };
#define RULE(kind, hard, label, count, ...) { kind, hard, label, count, { __VA_ARGS__ } }

static const struct whole_case {
    const char *name;
    struct { int32_t kind, hard; const char *label; size_t count; uint32_t vms[3]; } rules[3];
    const char *message; /* NULL: allowed */
} whole_cases[] = {
    { "no rules", { { 0 } }, NULL },
    { "together and apart, directly",
      { RULE(T, 1, NULL, 2, 0, 1), RULE(A, 1, NULL, 2, 1, 0) },
      "rules[1].vms: \"v1\" and \"v0\": apart, but rules[0] keeps them together" },
    { "apart comes first", { RULE(A, 1, NULL, 3, 0, 2, 1), RULE(T, 1, NULL, 2, 0, 1) },
      "rules[0].vms: \"v0\" and \"v1\": apart, but rules[1] keeps them together" },
    { "over a third VM",
      { RULE(T, 1, NULL, 2, 0, 1), RULE(T, 1, NULL, 2, 1, 2), RULE(A, 1, NULL, 2, 2, 0) },
      "rules[2].vms: \"v2\" and \"v0\": apart, but rules[0] and rules[1] keep them together" },
    { "one host is one rack", { RULE(T, 1, NULL, 2, 0, 1), RULE(A, 1, "rack", 2, 0, 1) },
      "rules[1].vms: \"v0\" and \"v1\": apart, but rules[0] keeps them together" },
    { "one rack", { RULE(T, 1, "rack", 2, 0, 1), RULE(A, 1, "rack", 2, 0, 1) },
      "rules[1].vms: \"v0\" and \"v1\": apart, but rules[0] keeps them together" },
    { "one rack over one host",
      { RULE(T, 1, "rack", 2, 0, 1), RULE(T, 1, NULL, 2, 1, 2), RULE(A, 1, "rack", 2, 2, 0) },
      "rules[2].vms: \"v2\" and \"v0\": apart, but rules[0] and rules[1] keep them together" },
    { "one rack has several hosts", { RULE(T, 1, "rack", 2, 0, 1), RULE(A, 1, NULL, 2, 0, 1) },
      NULL },
    { "a rack is no row", { RULE(T, 1, "rack", 2, 0, 1), RULE(A, 1, "row", 2, 0, 1) }, NULL },
    { "a wish contradicts nothing", { RULE(T, 0, NULL, 2, 0, 1), RULE(A, 1, NULL, 2, 1, 0) },
      NULL },
    { "apart as a wish", { RULE(T, 1, NULL, 2, 0, 1), RULE(A, 0, NULL, 2, 1, 0) }, NULL },
    { "pools", { RULE(T, 1, NULL, 3, 0, 1, 4) },
      "rules[0].vms: \"v0\" and \"v4\": together, but in two pools" },
    { "a label may span pools", { RULE(T, 1, "site", 2, 0, 4) }, NULL },
};

static void
whole_is_judged(void **state)
{
    const struct whole_case *c = *state;
    imig_cluster *cluster = small_cluster();
    imig_error *error = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(c->rules) && c->rules[i].count; i++) {
        imig_rule_info rule = { sizeof rule, c->rules[i].kind, c->rules[i].hard,
                                c->rules[i].label, c->rules[i].vms, c->rules[i].count };

        assert_int_equal(imig_cluster_add_rule(cluster, &rule, NULL), IMIG_OK);
    }
    if (c->message) {
        assert_int_equal(imig_cluster_finish(cluster, &error), IMIG_ERR_INVALID);
        assert_string_equal(imig_error_message(error), c->message);
        assert_false(cluster->finished);
        imig_error_free(error);
    } else {
        assert_int_equal(imig_cluster_finish(cluster, &error), IMIG_OK);
        assert_null(error);
    }
    imig_cluster_unref(cluster);
}

/* Two VMs of 4 GiB and a rule that holds them together, as far as `hosts` lets them. */
static const struct allowed_case {
    const char *name;
    uint32_t hosts[2][2];
    uint32_t host_count[2];
    double memory_bytes;
    const char *label;
    const char *message;
} allowed_cases[] = {
    { "a common host", { { 0, 1 }, { 1, 2 } }, { 2, 2 }, 1, NULL, NULL },
    { "one may be anywhere", { { 1 } }, { 1, 0 }, 1, NULL, NULL },
    { "no common host", { { 0 }, { 1 } }, { 1, 1 }, 1, NULL,
      "rules[0].vms: \"x0\" and \"x1\": together, but the hosts they are allowed have none in "
      "common" },
    { "a common rack", { { 0 }, { 1 } }, { 1, 1 }, 1, "rack", NULL },
    { "no common row: unlabelled hosts stand alone", { { 0 }, { 1 } }, { 1, 1 }, 1, "row",
      "rules[0].vms: \"x0\" and \"x1\": together, but the hosts they are allowed have none in "
      "common" },
    { "a common host in another pool is none", { { 0, 2 }, { 1, 2 } }, { 2, 2 }, 1, NULL,
      "rules[0].vms: \"x0\" and \"x1\": together, but the hosts they are allowed have none in "
      "common" },
    { "allowed in another pool only", { { 2 } }, { 1, 0 }, 1, NULL,
      "vms[5].hosts: none of them is in the VM's pool" },
    { "as large as a host", { { 0 } }, { 0, 0 }, 64, NULL, NULL },
    { "larger than any host", { { 0 } }, { 0, 0 }, 65, NULL,
      "vms[5].memory_bytes: 69793218560: larger than every host the VM may be on" },
};

static void
allowed_hosts_are_judged(void **state)
{
    const struct allowed_case *c = *state;
    static const uint32_t both[] = { 5, 6 };
    imig_cluster *cluster = small_cluster();
    imig_rule_info rule = { sizeof rule, T, 1, c->label, both, 2 };
    imig_error *error = NULL;
    int code;

    for (int i = 0; i < 2; i++) {
        imig_vm_info vm = IMIG_VM_INFO_INIT;

        vm.id = i ? "x1" : "x0";
        vm.host = 0;
        vm.vcpus = 1;
        vm.memory_bytes = c->memory_bytes * GIB;
        vm.hosts = c->host_count[i] ? c->hosts[i] : NULL;
        vm.host_count = c->host_count[i];
        assert_int_equal(imig_cluster_add_vm(cluster, &vm, NULL), IMIG_OK);
    }
    assert_int_equal(imig_cluster_add_rule(cluster, &rule, NULL), IMIG_OK);
    code = imig_cluster_finish(cluster, &error);
    assert_int_equal(code, c->message ? IMIG_ERR_INVALID : IMIG_OK);
    assert_string_equal(imig_error_message(error), c->message ? c->message : "no error");
    imig_error_free(error);
    imig_cluster_unref(cluster);
}

int
main(void)
{
    struct CMUnitTest tests[G_N_ELEMENTS(whole_cases) +
                            G_N_ELEMENTS(allowed_cases)];
    size_t count = 0;

    ROWS(whole_cases, whole_is_judged);
    ROWS(allowed_cases, allowed_hosts_are_judged);
    return cmocka_run_group_tests_name("cluster-check", tests, NULL, NULL);
}
