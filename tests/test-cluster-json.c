/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/cluster-priv.h"

#include <imig/model.h>
#include <math.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include "broken.h"

#define FORMAT "\"format\": \"imig-cluster/1\""
#define HOST "{\"id\": \"h1\", \"cpu_cores\": 4, \"memory_bytes\": 8e9}"
#define VM "{\"id\": \"v1\", \"host\": \"h1\", \"vcpus\": 2, \"memory_bytes\": 4e9}"

static imig_cluster *
must_read(const char *text, size_t length)
{
    imig_cluster *cluster = NULL;
    imig_error *error = NULL;

    if (imig_cluster_from_json(text, length, &cluster, &error) != IMIG_OK)
        fail_msg("%s", imig_error_message(error));
    assert_null(error);
    assert_non_null(cluster);
    return cluster;
}

static char *
must_write(const imig_cluster *cluster, size_t *length)
{
    char *text = NULL;

    assert_int_equal(imig_cluster_to_json(cluster, &text, length, NULL), IMIG_OK);
    return text;
}

static void
must_refuse(const char *text, size_t length, int code, const char *message)
{
    imig_cluster *untouched = (imig_cluster *) (void *) &untouched, *cluster = untouched;
    imig_error *error = NULL;

    assert_int_equal(imig_cluster_from_json(text, length, &cluster, &error), code);
    assert_string_equal(imig_error_message(error), message);
    assert_ptr_equal(cluster, untouched);
    imig_error_free(error);
    assert_int_equal(imig_cluster_from_json(text, length, &cluster, NULL), code);
}

/* ---- broken documents, each with its message ---- */

static void
broken_document_is_refused(void **state)
{
    const broken_row *row = *state;
    char *name = g_build_filename("broken", row->file, NULL);
    size_t length;
    char *text = read_test_file(name, &length);

    must_refuse(text, length, row->code, row->message);
    g_free(text);
    g_free(name);
}

/* Once only: it takes its time under valgrind. */
static void
a_hundred_megabytes_in_one_line(void **state)
{
    enum { MANY = 100 * 1000 * 1000 };
    static const char head[] = "{" FORMAT ", \"hosts\": [{\"cpu_cores\": 1, \"memory_bytes\": 1, "
                               "\"id\": \"", tail[] = "\"}]}";
    GString *text = g_string_sized_new(MANY + 200);
    imig_cluster *cluster = NULL;
    imig_error *error = NULL;

    (void) state;
    g_string_append(text, head);
    g_string_set_size(text, text->len + MANY);
    memset(text->str + sizeof head - 1, 'a', MANY);
    g_string_append(text, tail);
    assert_int_equal(imig_cluster_from_json(text->str, text->len, &cluster, &error),
                     IMIG_ERR_INVALID);
    assert_string_equal(imig_error_message(error), "hosts[0].id: \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaa...\": must be at most 1024 bytes long");
    assert_null(cluster);
    imig_error_free(error);
    g_string_free(text, TRUE);
}

#define TOO_DEEP "maximum parsing depth reached near '['"

static void
deep_nesting_ends_early(void **state)
{
    enum { DEEP = 100 * 1000 };
    static const struct {
        const char *head, *message;
    } rows[] = {
        { "{" FORMAT ", \"hosts\": ", "line 1 column 2088: " TOO_DEEP },
        { "{" FORMAT ", \"time_s\": ", "line 1 column 2088: " TOO_DEEP },
        { "{" FORMAT ", \"x-mine\": ", "line 1 column 2089: " TOO_DEEP },
        { "", "line 1 column 1: '{' expected" },
    };

    (void) state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        GString *text = g_string_new(rows[i].head);

        for (int j = 0; j < DEEP; j++)
            g_string_append_c(text, '[');
        must_refuse(text->str, text->len, IMIG_ERR_SYNTAX, rows[i].message);
        g_string_free(text, TRUE);
    }
}

/* ---- what may be there ---- */

static const struct good_case {
    const char *name, *text;
    size_t hosts, vms;
} good_cases[] = {
    { "nothing but the tag", "{" FORMAT "}", 0, 0 },
    { "white space of every kind", " \r\n\t{ " FORMAT "\t,\n\"hosts\" : [ " HOST " ] } \n", 1, 0 },
    { "a number before a comma", "{\"time_s\": 1.5," FORMAT ",\"hosts\":[" HOST "]}", 1, 0 },
    { "keys of one's own, anywhere",
      "{" FORMAT ", \"x-a\": [1, [2]], \"hosts\": [{\"x-b\": {}, \"id\": \"h1\", \"cpu_cores\": 1, "
      "\"memory_bytes\": 1, \"x-c\": null}], \"x-d\": {\"e\": 1}}", 1, 0 },
    { "optional keys, said first",
      "{" FORMAT ", \"optional\": [\"numa\"], \"numa\": [], \"hosts\": [{\"numa\": 2, \"id\": "
      "\"h1\", \"cpu_cores\": 1, \"memory_bytes\": 1}]}", 1, 0 },
    { "optional keys, said last",
      "{" FORMAT ", \"numa\": 1, \"hosts\": [{\"numa\": 2, \"id\": \"h1\", \"cpu_cores\": 1, "
      "\"memory_bytes\": 1}], \"optional\": [\"numa\"]}", 1, 0 },
    { "keys in alphabetical order",
      "{\"flows\": [], " FORMAT ", \"rules\": [], \"vms\": [" VM "], \"hosts\": [" HOST "]}",
      1, 1 },
    { "whole numbers with a point",
      "{" FORMAT ", \"hosts\": [" HOST "], \"vms\": [{\"id\": \"v1\", \"host\": \"h1\", \"vcpus\": "
      "2.0, \"memory_bytes\": 40e8}]}", 1, 1 },
};

static void
good_document_is_read(void **state)
{
    const struct good_case *c = *state;
    imig_cluster *cluster = must_read(c->text, strlen(c->text));

    assert_int_equal(imig_cluster_host_count(cluster), c->hosts);
    assert_int_equal(imig_cluster_vm_count(cluster), c->vms);
    imig_cluster_unref(cluster);
}

static void
nothing_is_lost(void **state)
{
    size_t length;
    char *text = read_test_file("good/cluster-any-order.json", &length);
    imig_cluster *cluster = must_read(text, length);
    imig_host_info host = IMIG_HOST_INFO_INIT;
    imig_vm_info vm = IMIG_VM_INFO_INIT;
    imig_rule_info rule = IMIG_RULE_INFO_INIT;
    uint32_t a, b;
    double rate;

    (void) state;
    assert_true(imig_cluster_time_s(cluster) == 1790000000.5);
    assert_int_equal(imig_cluster_get_host(cluster, 0, &host, NULL), IMIG_OK);
    assert_string_equal(host.name, "rack1-node1");
    assert_string_equal(host.pool, "kvm-a");
    assert_string_equal(host.hypervisor, "qemu");
    assert_int_equal(host.state, IMIG_HOST_MAINTENANCE);
    assert_true(host.disk_ops_per_s == 20000 && host.net_bytes_per_s == 1.25e9);
    assert_true(host.migration_bytes_per_s == 1.25e9);
    assert_int_equal(host.label_count, 2);
    assert_int_equal(imig_cluster_get_vm(cluster, 0, &vm, NULL), IMIG_OK);
    assert_int_equal(vm.host, 0);
    assert_int_equal(vm.vcpus, 4);
    assert_true((vm.present & 0xfff) == 0xfff);
    assert_true(vm.cpu_cores == 1.5 && vm.cpu_wait_cores == 0.2);
    assert_true(vm.memory_populated_bytes == 4e9);
    assert_int_equal(vm.noise_count, 1);
    assert_true(vm.noise[0] == 0.1);
    assert_int_equal(vm.disk_count, 1);
    assert_int_equal(vm.disk_shared[0], 1);
    assert_int_equal(vm.workload_class, IMIG_WORKLOAD_CPU);
    assert_string_equal(vm.workload, "milc");
    assert_string_equal(vm.blocked, "backup-job");
    assert_true(vm.weight == 2 && (vm.present & IMIG_VM_HAS_COOLDOWN));
    assert_int_equal(vm.prefer, IMIG_PREFER_TIME);
    assert_int_equal(vm.movable, 0);
    assert_int_equal(vm.host_count, 2);
    assert_int_equal(imig_cluster_get_vm(cluster, 1, &vm, NULL), IMIG_OK);
    assert_string_equal(vm.id, "v\xc3\xa9\"\\2");
    assert_true(vm.present == 0);
    assert_int_equal(imig_cluster_get_flow(cluster, 0, &a, &b, &rate, NULL), IMIG_OK);
    assert_true(a == 0 && b == 1 && rate == 1e6);
    assert_int_equal(imig_cluster_get_rule(cluster, 1, &rule, NULL), IMIG_OK);
    assert_true(rule.kind == IMIG_RULE_APART && !rule.hard && rule.vms[1] == 1);
    assert_string_equal(rule.label, "rack");
    imig_cluster_unref(cluster);
    g_free(text);
}

/* Any order of keys, defaults spelled out, one line or many: the same bytes. */
static void
same_content_same_bytes(void **state)
{
    static const char *const pairs[][2] = {
        { "{" FORMAT ", \"time_s\": 0, \"hosts\": [{\"memory_bytes\": 8000000000, "
          "\"cpu_cores\": 4, \"id\": \"h1\", \"name\": \"h1\", \"pool\": \"default\", "
          "\"state\": \"active\", "
          "\"memory_overcommit_ratio\": 1.0, \"reserved_memory_bytes\": 0, \"vm_overhead_bytes\": "
          "-0.0, \"labels\": {}}], \"vms\": [{\"weight\": 1, \"movable\": true, \"noise\": "
          "{\"cpu_cores\": 0}, \"disks\": [], \"vcpus\": 2e0, \"name\": \"v1\", \"host\": \"h1\", "
          "\"memory_bytes\": 4000000000, \"id\": \"v1\"}], \"flows\": [], \"rules\": [], "
          "\"x-by\": \"hand\"}",
          "{" FORMAT ", \"hosts\": [" HOST "], \"vms\": [" VM "]}" },
    };
    size_t length, want_length;
    char *text = read_test_file("good/cluster-any-order.json", &length);
    char *want = read_test_file("good/cluster-canonical.json", &want_length);
    imig_cluster *cluster = must_read(text, length), *again;
    char *got = must_write(cluster, &length), *got_again;

    (void) state;
    assert_string_equal(got, want);
    assert_int_equal(length, want_length);
    again = must_read(got, length);
    got_again = must_write(again, NULL);
    assert_string_equal(got_again, want);
    assert_string_equal(imig_cluster_sha256(cluster), imig_cluster_sha256(again));
    imig_cluster_unref(cluster);
    imig_cluster_unref(again);
    g_free(text);
    g_free(want);
    imig_free(got);
    imig_free(got_again);
    for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
        cluster = must_read(pairs[i][0], strlen(pairs[i][0]));
        again = must_read(pairs[i][1], strlen(pairs[i][1]));
        got = must_write(cluster, NULL);
        got_again = must_write(again, NULL);
        assert_string_equal(got, got_again);
        imig_cluster_unref(cluster);
        imig_cluster_unref(again);
        imig_free(got);
        imig_free(got_again);
    }
}

static void
a_measured_zero_is_not_absent(void **state)
{
    static const char text[] = "{" FORMAT ", \"hosts\": [" HOST "], \"vms\": [{\"id\": \"v\", "
        "\"host\": \"h1\", \"vcpus\": 1, \"memory_bytes\": 1, \"cpu_cores\": 0}]}";
    imig_cluster *cluster = must_read(text, sizeof text - 1);
    char *got = must_write(cluster, NULL);

    (void) state;
    assert_non_null(strstr(got, "\"cpu_cores\": 0}"));
    assert_true(imig_cluster_vm_demand_cores(cluster, 0) == 0);
    imig_free(got);
    imig_cluster_unref(cluster);
}

static void
every_number_comes_back(void **state)
{
    GRand *random = g_rand_new_with_seed(7);
    imig_cluster *cluster = imig_cluster_new(g_rand_double(random) * 1e9), *again;
    imig_host_info host = IMIG_HOST_INFO_INIT;
    size_t length;
    char *text;

    (void) state;
    host.id = "h";
    host.cpu_cores = host.memory_bytes = 1e18;
    assert_int_equal(imig_cluster_add_host(cluster, &host, NULL), IMIG_OK);
    for (int i = 0; i < 2000; i++) {
        imig_vm_info vm = IMIG_VM_INFO_INIT;
        double *metric = &vm.cpu_cores, noise[IMIG_METRIC_COUNT];
        char id[16];

        g_snprintf(id, sizeof id, "v%d", i);
        vm.id = id;
        vm.host = 0;
        vm.vcpus = g_rand_int(random) | 1;
        vm.memory_bytes = 1 + g_rand_double(random) * 1e15;
        vm.present = g_rand_int(random) & 0xfff;
        for (int m = 0; m < IMIG_METRIC_COUNT; m++) { /* large and small, down to 1e-308 */
            metric[m] = g_rand_double(random) * pow(10, g_rand_int_range(random, -308, 18));
            noise[m] = g_rand_double(random);
        }
        vm.noise = noise;
        vm.noise_count = IMIG_METRIC_COUNT;
        assert_int_equal(imig_cluster_add_vm(cluster, &vm, NULL), IMIG_OK);
    }
    assert_int_equal(imig_cluster_finish(cluster, NULL), IMIG_OK);
    text = must_write(cluster, &length);
    again = must_read(text, length);
    assert_true(again->time_s == cluster->time_s);
    for (size_t i = 0; i < cluster->vm_count; i++) {
        const imig_vm_info *x = &cluster->vms[i], *y = &again->vms[i];

        assert_true(x->present == y->present && x->vcpus == y->vcpus);
        assert_memory_equal(&x->memory_bytes, &y->memory_bytes, 13 * sizeof(double));
        assert_memory_equal(x->noise, y->noise, IMIG_METRIC_COUNT * sizeof(double));
    }
    imig_cluster_unref(cluster);
    imig_cluster_unref(again);
    imig_free(text);
    g_rand_free(random);
}

/* ---- robustness ---- */

/* Cut off anywhere, it is never well-formed. */
static void
every_cut_is_noticed(void **state)
{
    size_t length;
    char *text = read_test_file("good/cluster-any-order.json", &length);

    (void) state;
    while (length > 0 && text[length - 1] != '}')
        length--;
    for (size_t cut = 0; cut < length; cut++) {
        imig_cluster *cluster = NULL;
        char *exact = g_memdup2(text, cut + 1); /* so that reading on is reading out of bounds */

        exact = g_realloc(exact, MAX(cut, (size_t) 1));
        assert_int_equal(imig_cluster_from_json(exact, cut, &cluster, NULL), IMIG_ERR_SYNTAX);
        assert_null(cluster);
        g_free(exact);
    }
    g_free(text);
}

/* Whatever a changed byte makes of it: refused with a message, or read and written stably. */
static void
changed_bytes_do_no_harm(void **state)
{
    static const char bytes[] = { 0, '"', '{', '}', '[', ']', ',', ':', '-', '9', 'e', '\\', '\n',
                                  (char) 0x80, (char) 0xc3 };
    size_t length;
    char *text = read_test_file("good/cluster-any-order.json", &length);

    (void) state;
    for (size_t at = 0; at < length; at++) {
        char kept = text[at];
        imig_cluster *cluster = NULL;
        imig_error *error = NULL;
        int code;

        text[at] = bytes[at % sizeof bytes];
        code = imig_cluster_from_json(text, length, &cluster, &error);
        text[at] = kept;
        if (code == IMIG_OK) {
            size_t once_length;
            char *once = must_write(cluster, &once_length), *twice;

            imig_cluster_unref(cluster);
            cluster = must_read(once, once_length);
            twice = must_write(cluster, NULL);
            assert_string_equal(once, twice);
            imig_cluster_unref(cluster);
            imig_free(once);
            imig_free(twice);
        } else {
            assert_true(code == IMIG_ERR_SYNTAX || code == IMIG_ERR_INVALID);
            assert_null(cluster);
            assert_true(strlen(imig_error_message(error)) < 400);
            assert_true(g_utf8_validate(imig_error_message(error), -1, NULL));
            assert_null(strchr(imig_error_message(error), '\n'));
            imig_error_free(error);
        }
    }
    g_free(text);
}

static void *
ask_digest(void *cluster)
{
    return (void *) imig_cluster_sha256(cluster);
}

static void
digest_is_that_of_the_document(void **state)
{
    size_t length;
    char *text = read_test_file("good/cluster-canonical.json", &length);
    imig_cluster *cluster = must_read(text, length);
    char *want = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *) text, length);
    GThread *threads[4];

    (void) state;
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("digest", ask_digest, cluster);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        assert_string_equal(g_thread_join(threads[i]), want);
    imig_cluster_unref(cluster);
    g_free(want);
    g_free(text);
}

static void
wrong_arguments_are_answered(void **state)
{
    imig_cluster *cluster = imig_cluster_new(0), *none = NULL;
    char *text = NULL;

    (void) state;
    assert_int_equal(imig_cluster_from_json(NULL, 0, &none, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_cluster_from_json("{}", 2, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_cluster_to_json(NULL, &text, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_cluster_to_json(cluster, &text, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_null(text);
    assert_null(imig_cluster_sha256(cluster));
    assert_null(imig_cluster_sha256(NULL));
    assert_int_equal(imig_cluster_finish(cluster, NULL), IMIG_OK);
    assert_int_equal(imig_cluster_to_json(cluster, NULL, NULL, NULL), IMIG_ERR_ARGUMENT);
    imig_cluster_unref(cluster);
}

int
main(void)
{
    static const struct CMUnitTest single[] = {
        cmocka_unit_test(a_hundred_megabytes_in_one_line),
        cmocka_unit_test(deep_nesting_ends_early),
        cmocka_unit_test(nothing_is_lost),
        cmocka_unit_test(same_content_same_bytes),
        cmocka_unit_test(a_measured_zero_is_not_absent),
        cmocka_unit_test(every_number_comes_back),
        cmocka_unit_test(every_cut_is_noticed),
        cmocka_unit_test(changed_bytes_do_no_harm),
        cmocka_unit_test(digest_is_that_of_the_document),
        cmocka_unit_test(wrong_arguments_are_answered),
    };
    GArray *rows = broken_rows("cluster-");
    struct CMUnitTest *tests = g_new0(struct CMUnitTest, rows->len + G_N_ELEMENTS(good_cases) +
                                                          G_N_ELEMENTS(single));
    size_t count = 0;
    int failed;

    for (unsigned i = 0; i < rows->len; i++) {
        broken_row *row = &g_array_index(rows, broken_row, i);

        tests[count++] = (struct CMUnitTest) {
            .name = row->file, .test_func = broken_document_is_refused, .initial_state = row,
        };
    }
    for (size_t i = 0; i < G_N_ELEMENTS(good_cases); i++)
        tests[count++] = (struct CMUnitTest) {
            .name = good_cases[i].name, .test_func = good_document_is_read,
            .initial_state = (void *) &good_cases[i],
        };
    for (size_t i = 0; i < G_N_ELEMENTS(single); i++)
        tests[count++] = single[i];
    failed = _cmocka_run_group_tests("cluster-json", tests, count, NULL, NULL);
    g_free(tests);
    broken_rows_free(rows);
    return failed;
}
