/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Replies of imig-agent/1: what is written is read again, and what is broken is refused. */

#include "backend/agent-priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "small-cluster.h"

/* ---- there and back ---- */

static imig__agent_reply
full_reply(void)
{
    return (imig__agent_reply) {
        .id = 9, .clock_s = 1790000000.25, .job = UINT64_MAX,
        .location = { .size = sizeof(imig_location), .state = IMIG_VM_MOVING, .host = "h1" },
        .point = { .size = sizeof(imig_dirty_point), .elapsed_s = 0.5, .dirtied_bytes = 4096,
                   .grain_bytes = 512, .waiting = 2 },
        .report = {
            .size = sizeof(imig_job), .state = IMIG_JOB_FAILED, .error_code = IMIG_ERR_TIMEOUT,
            .present = IMIG_JOB_HAS_DOWNTIME | IMIG_JOB_HAS_ROUNDS | IMIG_JOB_HAS_REMAINING,
            .started_s = 1, .ended_s = 2, .downtime_s = 0.25, .rounds = 5, .remaining_bytes = 0,
            .message = "too slow", .backend_code = -38,
        },
    };
}

static imig_sample *
full_sample(void)
{
    imig_sample *sample = imig__sample_new(0);
    imig_cluster *cluster = small_cluster();
    imig_rule_info rule = IMIG_RULE_INFO_INIT;
    static const uint32_t together[] = { 0, 1 };

    for (size_t i = 0; i < cluster->host_count; i++)
        assert_int_equal(imig_sample_add_host(sample, &cluster->hosts[i], NULL), IMIG_OK);
    for (size_t i = 0; i < cluster->vm_count; i++) {
        imig_vm_counters counters = IMIG_VM_COUNTERS_INIT;

        counters.present = i ? UINT64_C(1) << (i - 1) | IMIG_COUNTER_HAS_NET_TX : 0;
        counters.time_s = 5 + (double) i;
        counters.net_tx_bytes = 1e15;
        assert_int_equal(imig_sample_add_vm(sample, &cluster->vms[i], &counters, NULL), IMIG_OK);
    }
    assert_int_equal(imig_sample_add_flow(sample, 0, 4, 17, NULL), IMIG_OK);
    rule.vms = together;
    rule.vm_count = 2;
    assert_int_equal(imig_sample_add_rule(sample, &rule, NULL), IMIG_OK);
    imig_cluster_unref(cluster);
    return sample;
}

static void
a_reply_comes_through_whole(void **state)
{
    imig__agent_reply sent = full_reply();

    (void) state;
    sent.sample = full_sample();
    for (int32_t op = 0; op < IMIG__AGENT_OPS; op++) {
        GString *line = g_string_new(NULL), *again = g_string_new(NULL);
        imig__agent_reply got = { .sample = imig__sample_new(0) };
        imig_error *error = NULL;

        imig__agent_put_reply(line, op, &sent);
        assert_ptr_equal(strchr(line->str, '\n'), line->str + line->len - 1);
        if (imig__agent_read_reply(line->str, line->len, op, &got, &error) != IMIG_OK)
            fail_msg("%s: %s", imig__agent_op_names[op], imig_error_message(error));
        imig__agent_put_reply(again, op, &got);
        assert_string_equal(again->str, line->str);
        assert_true(got.clock_s == sent.clock_s);
        if (op == IMIG__AGENT_SAMPLE) {
            assert_int_equal(got.sample->cluster->rule_count, 1);
            assert_true(got.sample->cluster->flows[0].bytes_per_s == 17);
            assert_int_equal(got.sample->counters[4].present, sent.sample->counters[4].present);
        }
        imig__sample_free(got.sample);
        g_string_free(line, TRUE);
        g_string_free(again, TRUE);
    }
    imig__sample_free(sent.sample);
}

static void
a_failure_comes_through_whole(void **state)
{
    (void) state;
    for (int code = IMIG_ERR_ARGUMENT; code >= IMIG_ERR_IO; code--) {
        imig__agent_reply sent = {
            .id = 1, .failure = { .code = code, .backend_code = -38, .message = (char *) "no\xff" },
        };
        imig__agent_reply got = { .sample = NULL };
        GString *line = g_string_new(NULL);

        imig__agent_put_reply(line, IMIG__AGENT_SAMPLE, &sent);
        assert_int_equal(imig__agent_read_reply(line->str, line->len, IMIG__AGENT_SAMPLE, &got,
                                                NULL), IMIG_OK);
        assert_int_equal(got.failure.code, code);
        assert_int_equal(got.failure.backend_code, -38);
        assert_string_equal(got.failure.message, "no\xef\xbf\xbd");
        imig__agent_failure_clear(&got.failure);
        g_string_free(line, TRUE);
    }
}

/* ---- samples ---- */

#define HOSTS "\"hosts\": [{\"id\": \"h\", \"cpu_cores\": 4, \"memory_bytes\": 8e9}]"
#define VM "{\"id\": \"v\", \"host\": \"h\", \"vcpus\": 1, \"memory_bytes\": 1e9}"

static const struct sample_case {
    const char *name, *arrays, *says; /* says NULL: a good one */
} samples[] = {
    { "whole", HOSTS ", \"vms\": [" VM "], \"counters\": [{\"time_s\": 1, \"cpu_s\": 2}]", NULL },
    { "counters come first", "\"counters\": [{\"time_s\": 1}], " HOSTS ", \"vms\": [" VM "]",
      NULL },
    { "rates are passed over", HOSTS ", \"vms\": [{\"id\": \"v\", \"host\": \"h\", \"vcpus\": 1, "
      "\"memory_bytes\": 1e9, \"cpu_cores\": 1}], \"counters\": [{\"time_s\": 1}]", NULL },
    { "a VM nowhere", "\"vms\": [" VM "], \"counters\": [{\"time_s\": 1}]", "no such host" },
    { "a counter is missing", HOSTS ", \"vms\": [" VM "]", "0 counters for 1 VMs" },
    { "a counter too many", HOSTS ", \"counters\": [{\"time_s\": 1}]", "1 counters for 0 VMs" },
    { "counters without a time", HOSTS ", \"vms\": [" VM "], \"counters\": [{\"cpu_s\": 2}]",
      "counters[0].time_s: missing" },
    { "a counter below 0", HOSTS ", \"vms\": [" VM "], \"counters\": [{\"time_s\": 1, "
      "\"cpu_s\": -2}]", "VM v: cpu_s: -2: must be finite and >= 0" },
    { "a counter of its own", HOSTS ", \"vms\": [" VM "], \"counters\": [{\"time_s\": 1, "
      "\"gpu_s\": 2}]", "\"gpu_s\": no such key" },
    { "a flow from nowhere", HOSTS ", \"vms\": [" VM "], \"counters\": [{\"time_s\": 1}], "
      "\"flows\": [{\"a\": \"v\", \"b\": \"w\", \"bytes\": 1}]", "no such VM" },
    { "a flow as a rate", HOSTS ", \"vms\": [" VM "], \"counters\": [{\"time_s\": 1}], "
      "\"flows\": [{\"a\": \"v\", \"b\": \"v\", \"bytes_per_s\": 1}]",
      "flows[0].bytes: missing" },
    { "one host twice", "\"hosts\": [{\"id\": \"h\", \"cpu_cores\": 4, \"memory_bytes\": 8e9}, "
      "{\"id\": \"h\", \"cpu_cores\": 4, \"memory_bytes\": 8e9}]", "hosts[1].id" },
};

static void
a_sample_is_read_strictly(void **state)
{
    const struct sample_case *c = *state;
    char *line = g_strconcat("{\"id\": 1, \"clock_s\": 7, \"ok\": {}, ", c->arrays, "}\n", NULL);
    imig__agent_reply reply = { .sample = imig__sample_new(0) };
    imig_error *error = NULL;
    int code = imig__agent_read_reply(line, strlen(line), IMIG__AGENT_SAMPLE, &reply, &error);

    if (c->says) {
        assert_int_equal(code, IMIG_ERR_INVALID);
        if (!strstr(imig_error_message(error), c->says))
            fail_msg("\"%s\" does not say \"%s\"", imig_error_message(error), c->says);
        imig_error_free(error);
    } else {
        assert_int_equal(code, IMIG_OK);
        assert_int_equal(reply.sample->cluster->vm_count, 1);
        assert_true(reply.sample->counters[0].time_s == 1);
        assert_int_equal(reply.sample->cluster->vms[0].present, 0);
        assert_true(reply.clock_s == 7);
    }
    imig__sample_free(reply.sample);
    g_free(line);
}

/* ---- any bytes at all ---- */

/* Read or refused; never more than that. */
static void
read_any(const char *line, size_t length, int32_t op)
{
    imig__agent_greeting greeting;
    imig__agent_request request;
    imig__agent_reply reply = { .sample = imig__sample_new(0) };
    imig_error *error[3] = { NULL };
    int code[3];

    code[0] = imig__agent_read_greeting(line, length, &greeting, &error[0]);
    code[1] = imig__agent_read_request(line, length, &request, &error[1]);
    code[2] = imig__agent_read_reply(line, length, op, &reply, &error[2]);
    for (int i = 0; i < 3; i++) {
        assert_true(code[i] == IMIG_OK || code[i] == IMIG_ERR_SYNTAX ||
                    code[i] == IMIG_ERR_INVALID);
        assert_int_equal(imig_error_code(error[i]), code[i]);
        assert_true(g_utf8_validate(imig_error_message(error[i]), -1, NULL));
        assert_null(strchr(imig_error_message(error[i]), '\n'));
        imig_error_free(error[i]);
    }
    imig__agent_failure_clear(&greeting.failure);
    imig__agent_failure_clear(&reply.failure);
    imig__agent_request_clear(&request);
    imig__sample_free(reply.sample);
}

static void
spoil(GRand *rand, const GString *line, int32_t op)
{
    char *copy = g_memdup2(line->str, line->len);
    size_t length = line->len;

    switch (g_rand_int_range(rand, 0, 3)) {
    case 0: /* cut off, in a buffer that ends there */
        length = (size_t) g_rand_int_range(rand, 0, (gint32) length);
        copy = g_realloc(copy, MAX(length, 1));
        break;
    case 1:
        for (int i = 0; i < 3; i++)
            copy[g_rand_int_range(rand, 0, (gint32) length)] =
                (char) g_rand_int_range(rand, 0, 256);
        break;
    default: /* one part instead of another */
        for (int i = 0; i < 2; i++) {
            gint32 size = g_rand_int_range(rand, 1, MIN(20, (gint32) length));
            gint32 from = g_rand_int_range(rand, 0, (gint32) length - size + 1);
            gint32 to = g_rand_int_range(rand, 0, (gint32) length - size + 1);

            memmove(copy + to, copy + from, (size_t) size);
        }
    }
    read_any(copy, length, op);
    g_free(copy);
}

static void
whatever_comes_is_read_or_refused(void **state)
{
    GRand *rand = g_rand_new_with_seed(7);
    imig__agent_reply sent = full_reply();
    imig__agent_greeting greeting = { .is_virtual = 1, .clock_s = 3 };
    imig__agent_request request = {
        .op = IMIG__AGENT_MIGRATE, .migration = {
            .size = sizeof request.migration, .vm = "v", .from = "a", .to = "b", .to_uri = "u:",
            .migrate_uri = "tcp:", .flags = 31, .on_stall = 1, .max_downtime_s = 1,
        },
    };

    (void) state;
    sent.sample = full_sample();
    for (int32_t op = -2; op < IMIG__AGENT_OPS; op++) {
        GString *line = g_string_new(NULL);

        if (op == -2)
            imig__agent_put_greeting(line, "b", &greeting);
        else if (op == -1)
            imig__agent_put_request(line, &request);
        else
            imig__agent_put_reply(line, op, &sent);
        for (int i = 0; i < 300; i++)
            spoil(rand, line, MAX(op, 0));
        g_string_free(line, TRUE);
    }
    imig__sample_free(sent.sample);
    g_rand_free(rand);
}

int
main(void)
{
    const struct CMUnitTest single[] = {
        cmocka_unit_test(a_reply_comes_through_whole),
        cmocka_unit_test(a_failure_comes_through_whole),
        cmocka_unit_test(whatever_comes_is_read_or_refused),
    };
    struct CMUnitTest tests[G_N_ELEMENTS(single) + G_N_ELEMENTS(samples)];
    size_t count = G_N_ELEMENTS(single);

    memcpy(tests, single, sizeof single);
    ROWS(samples, a_sample_is_read_strictly);
    return cmocka_run_group_tests_name("agent-reply", tests, NULL, NULL);
}
