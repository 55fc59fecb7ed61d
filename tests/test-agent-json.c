/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Requests of imig-agent/1: what is written is read again, and what is broken is refused. */

#include "backend/agent-priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "small-cluster.h"

/* ---- there and back ---- */

static void
a_request_comes_through_whole(void **state)
{
    imig__agent_request sent = {
        .id = 4000000000u, .vm = "v \"1\"\n\xff", .host = "h\xc3\xa9", .deadline_s = -1.5,
        .job = UINT64_MAX, .migration = {
            .size = sizeof sent.migration, .vm = "v", .from = "a", .to = "b", .to_uri = "u:",
            .bandwidth_bytes_per_s = 0.1, .timeout_s = 7, .on_stall = IMIG_STALL_GO_ON,
            .flags = IMIG_MIGRATE_UNSAFE | IMIG_MIGRATE_ENCRYPT,
        },
    };

    (void) state;
    for (sent.op = 0; sent.op < IMIG__AGENT_OPS; sent.op++) {
        GString *line = g_string_new(NULL);
        imig__agent_request got;
        imig_error *error = NULL;

        imig__agent_put_request(line, &sent);
        assert_ptr_equal(strchr(line->str, '\n'), line->str + line->len - 1); /* one line */
        assert_int_equal(imig__agent_read_request(line->str, line->len, &got, &error), IMIG_OK);
        assert_int_equal(got.op, sent.op);
        assert_int_equal(got.id, sent.id);
        if (got.vm)
            assert_string_equal(got.vm, "v \"1\"\n\xef\xbf\xbd"); /* always UTF-8 */
        if (got.host)
            assert_string_equal(got.host, sent.host);
        if (sent.op == IMIG__AGENT_WAIT)
            assert_true(got.deadline_s == -1.5);
        if (sent.op == IMIG__AGENT_POLL)
            assert_true(got.job == UINT64_MAX);
        if (sent.op == IMIG__AGENT_MIGRATE) {
            assert_string_equal(got.migration.from, "a");
            assert_string_equal(got.migration.to_uri, "u:");
            assert_null(got.migration.migrate_uri);
            assert_true(got.migration.bandwidth_bytes_per_s == 0.1);
            assert_true(got.migration.timeout_s == 7);
            assert_int_equal(got.migration.on_stall, IMIG_STALL_GO_ON);
            assert_int_equal(got.migration.flags, sent.migration.flags);
        }
        imig__agent_request_clear(&got);
        g_string_free(line, TRUE);
    }
}

/* ---- broken requests ---- */

static const struct request_case {
    const char *name, *line;
    int code;
    const char *says;
} requests[] = {
    { "nothing", "", IMIG_ERR_SYNTAX, "'{' expected" },
    { "cut off", "{\"id\": 1, \"op\"", IMIG_ERR_SYNTAX, "':' expected" },
    { "two documents", "{\"id\": 1, \"op\": \"clock\"} {}", IMIG_ERR_SYNTAX, "goes on" },
    { "an array", "[1]", IMIG_ERR_SYNTAX, "'{' expected" },
    { "one key twice", "{\"id\": 1, \"id\": 2, \"op\": \"clock\"}", IMIG_ERR_SYNTAX, "already" },
    { "no id", "{\"op\": \"clock\"}", IMIG_ERR_INVALID, "id: missing" },
    { "no operation", "{\"id\": 1}", IMIG_ERR_INVALID, "op: missing" },
    { "an id below 0", "{\"id\": -1, \"op\": \"clock\"}", IMIG_ERR_INVALID, "id: -1: must be" },
    { "half an id", "{\"id\": 0.5, \"op\": \"clock\"}", IMIG_ERR_INVALID, "id: 0.5: must be" },
    { "an id too high", "{\"id\": 4294967296, \"op\": \"clock\"}", IMIG_ERR_INVALID, "id: 42949" },
    { "no such operation", "{\"id\": 1, \"op\": \"dance\"}", IMIG_ERR_INVALID,
      "\"dance\": no such" },
    { "an operation by number", "{\"id\": 1, \"op\": 1}", IMIG_ERR_INVALID, "op: 1: no such" },
    { "an unknown key", "{\"id\": 1, \"op\": \"clock\", \"y\": 1}", IMIG_ERR_INVALID, "\"y\"" },
    { "format is unknown, too", "{\"id\": 1, \"op\": \"clock\", \"format\": 1}", IMIG_ERR_INVALID,
      "\"format\": no such key" },
    { "optional is unknown, too", "{\"id\": 1, \"op\": \"clock\", \"optional\": [\"y\"], \"y\": 1}",
      IMIG_ERR_INVALID, "\"optional\": no such key" },
    { "without its VM", "{\"id\": 1, \"op\": \"check\", \"host\": \"h\"}", IMIG_ERR_INVALID,
      "vm: check needs it" },
    { "without its job", "{\"id\": 1, \"op\": \"poll\"}", IMIG_ERR_INVALID, "job: poll needs it" },
    { "without its migration", "{\"id\": 1, \"op\": \"migrate\"}", IMIG_ERR_INVALID,
      "migration: migrate needs it" },
    { "a VM too much", "{\"id\": 1, \"op\": \"sample\", \"vm\": \"v\"}", IMIG_ERR_INVALID,
      "vm: sample does not take it" },
    { "a deadline that is none", "{\"id\": 1, \"op\": \"wait\", \"deadline_s\": \"now\"}",
      IMIG_ERR_INVALID, "deadline_s: \"now\": must be a number" },
    { "a deadline at no time", "{\"id\": 1, \"op\": \"wait\", \"deadline_s\": NaN}",
      IMIG_ERR_SYNTAX, "invalid token" },
    { "no deadline at all", "{\"id\": 1, \"op\": \"wait\", \"deadline_s\": 1e999}",
      IMIG_ERR_SYNTAX, "overflow" },
    { "a job by number", "{\"id\": 1, \"op\": \"poll\", \"job\": 7}", IMIG_ERR_INVALID,
      "job: 7: must be the number of a job, as a string" },
    { "a job too high", "{\"id\": 1, \"op\": \"poll\", \"job\": \"18446744073709551616\"}",
      IMIG_ERR_INVALID, "must be the number of a job" },
    { "a VM that is none", "{\"id\": 1, \"op\": \"locate\", \"vm\": null}", IMIG_ERR_INVALID,
      "vm: null: must be a string" },
    { "nowhere to go", "{\"id\": 1, \"op\": \"migrate\", \"migration\": {\"vm\": \"v\"}}",
      IMIG_ERR_INVALID, "migration.to: missing" },
    { "a cap below 0", "{\"id\": 1, \"op\": \"migrate\", \"migration\": {\"vm\": \"v\", "
      "\"to\": \"h\", \"bandwidth_bytes_per_s\": -1}}", IMIG_ERR_INVALID,
      "migration.bandwidth_bytes_per_s: -1: must be at least 0" },
    { "a flag of its own", "{\"id\": 1, \"op\": \"migrate\", \"migration\": {\"vm\": \"v\", "
      "\"to\": \"h\", \"flags\": [\"unsafe\", \"soon\"]}}", IMIG_ERR_INVALID,
      "migration.flags[1]: \"soon\": no such flag" },
    { "an action of its own", "{\"id\": 1, \"op\": \"migrate\", \"migration\": {\"vm\": \"v\", "
      "\"to\": \"h\", \"on_stall\": \"cry\"}}", IMIG_ERR_INVALID, "migration.on_stall: \"cry\"" },
};

static void
a_broken_request_is_refused(void **state)
{
    const struct request_case *c = *state;
    imig__agent_request request;
    imig_error *error = NULL;

    assert_int_equal(imig__agent_read_request(c->line, strlen(c->line), &request, &error), c->code);
    if (!strstr(imig_error_message(error), c->says))
        fail_msg("\"%s\" does not say \"%s\"", imig_error_message(error), c->says);
    imig_error_free(error);
    imig__agent_request_clear(&request);
}

static void
keys_of_one_s_own_are_passed_over(void **state)
{
    static const char line[] = "{\"id\": 1, \"x-why\": [{}], \"op\": \"locate\", \"vm\": \"v\"}";
    imig__agent_request request;

    (void) state;
    assert_int_equal(imig__agent_read_request(line, strlen(line), &request, NULL), IMIG_OK);
    assert_string_equal(request.vm, "v");
    imig__agent_request_clear(&request);
}

int
main(void)
{
    const struct CMUnitTest single[] = {
        cmocka_unit_test(a_request_comes_through_whole),
        cmocka_unit_test(keys_of_one_s_own_are_passed_over),
    };
    struct CMUnitTest tests[G_N_ELEMENTS(single) + G_N_ELEMENTS(requests)];
    size_t count = G_N_ELEMENTS(single);

    memcpy(tests, single, sizeof single);
    ROWS(requests, a_broken_request_is_refused);
    return cmocka_run_group_tests_name("agent-json", tests, NULL, NULL);
}
