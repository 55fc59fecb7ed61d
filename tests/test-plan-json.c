/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <imig/plan.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include "broken.h"

#define HEAD "{\"format\": \"imig-plan/1\", \"goal\": \"relieve\", \"policy\": \"paper\", "

static imig_plan *
must_read(const char *text, size_t length)
{
    imig_plan *plan = NULL;
    imig_error *error = NULL;

    if (imig_plan_from_json(text, length, &plan, &error) != IMIG_OK)
        fail_msg("%s", imig_error_message(error));
    assert_null(error);
    assert_non_null(plan);
    return plan;
}

static char *
must_write(const imig_plan *plan, size_t *length)
{
    char *text = NULL;

    assert_int_equal(imig_plan_to_json(plan, &text, length, NULL), IMIG_OK);
    return text;
}

static void
broken_document_is_refused(void **state)
{
    const broken_row *row = *state;
    char *name = g_build_filename("broken", row->file, NULL);
    imig_plan *untouched = (imig_plan *) (void *) &untouched, *plan = untouched;
    imig_error *error = NULL;
    size_t length;
    char *text = read_test_file(name, &length);

    assert_int_equal(imig_plan_from_json(text, length, &plan, &error), row->code);
    assert_string_equal(imig_error_message(error), row->message);
    assert_ptr_equal(plan, untouched);
    assert_int_equal(imig_plan_from_json(text, length, &plan, NULL), row->code);
    imig_error_free(error);
    g_free(text);
    g_free(name);
}

static void
nothing_is_lost(void **state)
{
    size_t length;
    char *text = read_test_file("good/plan-any-order.json", &length);
    imig_plan *plan = must_read(text, length);
    imig_plan_step step = IMIG_PLAN_STEP_INIT;
    imig_plan_totals before = IMIG_PLAN_TOTALS_INIT, after = IMIG_PLAN_TOTALS_INIT;
    imig_plan_summary summary = IMIG_PLAN_SUMMARY_INIT;
    const char *vm, *code, *why;

    (void) state;
    assert_string_equal(imig_plan_goal(plan), "balance");
    assert_string_equal(imig_plan_policy(plan), "informed");
    assert_int_equal(strlen(imig_plan_cluster_sha256(plan)), 64);
    assert_int_equal(imig_plan_step_count(plan), 2);
    assert_int_equal(imig_plan_get_step(plan, 0, &step, NULL), IMIG_OK);
    assert_string_equal(step.vm, "v1");
    assert_string_equal(step.from, "h1");
    assert_string_equal(step.to, "h3");
    assert_string_equal(step.reason_code, "relieves-cpu");
    assert_string_equal(step.reason_text, "cpu 1.2 \xe2\x86\x92 0.7");
    assert_true(step.duration_s == 12.3 && step.downtime_s == 0.08 && step.gain == 0.8);
    assert_true(step.transferred_bytes == 4.1e9 && step.slowdown_ratio == 0.08);
    assert_int_equal(step.rounds, 5);
    assert_int_equal(step.converges, 1);
    assert_int_equal(imig_plan_get_step(plan, 1, &step, NULL), IMIG_OK);
    assert_true(step.group == 7 && step.converges == 0 && step.gain == -1);
    assert_int_equal(imig_plan_kept_count(plan), 2);
    assert_int_equal(imig_plan_get_kept(plan, 0, &vm, &code, &why, NULL), IMIG_OK);
    assert_string_equal(vm, "v9");
    assert_string_equal(code, "no-host-fits");
    assert_string_equal(why, "8 GiB, the most free is 4 GiB");
    assert_int_equal(imig_plan_get_totals(plan, &before, &after, NULL), IMIG_OK);
    assert_true(before.loss == 2 && before.cpu_max == 1.25 && before.memory_stddev == 0.5);
    assert_int_equal(before.overloaded_hosts, 3);
    assert_true(after.loss == 1 && after.cpu_max == 0);
    assert_int_equal(imig_plan_get_summary(plan, &summary, NULL), IMIG_OK);
    assert_true(summary.migration_loss == 1e-7 && summary.gap_ratio == 0.125);
    assert_true(summary.makespan_s == 20.5 && summary.makespan_bound_s == 5);
    assert_int_equal(summary.complete, 0);
    imig_plan_unref(plan);
    g_free(text);
}

static void
same_content_same_bytes(void **state)
{
    size_t length, want_length;
    char *text = read_test_file("good/plan-any-order.json", &length);
    char *want = read_test_file("good/plan-canonical.json", &want_length);
    imig_plan *plan = must_read(text, length), *again;
    char *once = must_write(plan, &length), *twice;

    (void) state;
    assert_string_equal(once, want);
    assert_int_equal(length, want_length);
    again = must_read(once, length);
    twice = must_write(again, NULL);
    assert_string_equal(twice, want);
    imig_plan_unref(plan);
    imig_plan_unref(again);
    imig_free(once);
    imig_free(twice);
    g_free(text);
    g_free(want);
}

/* What a person may write: who goes where, and nothing else. */
static void
little_is_required(void **state)
{
    static const char text[] = HEAD "\"steps\": ["
        "{\"vm\": \"v1\", \"from\": \"h1\", \"to\": \"h2\"},"
        "{\"vm\": \"v1\", \"from\": \"h2\", \"to\": \"h3\"}]}";
    imig_plan *plan = must_read(text, sizeof text - 1);
    imig_plan_step step = IMIG_PLAN_STEP_INIT;
    imig_plan_summary summary = IMIG_PLAN_SUMMARY_INIT;
    char *written = must_write(plan, NULL);

    (void) state;
    assert_int_equal(imig_plan_get_step(plan, 1, &step, NULL), IMIG_OK);
    assert_true(step.start_s == 0 && step.converges == 1);
    assert_string_equal(imig_plan_cluster_sha256(plan), "");
    assert_int_equal(imig_plan_get_summary(plan, &summary, NULL), IMIG_OK);
    assert_int_equal(summary.complete, 1);
    assert_non_null(strstr(written, "\n  \"kept\": [],\n"));
    assert_null(strstr(written, "complete"));
    imig_free(written);
    imig_plan_unref(plan);
}

static void
every_cut_is_noticed(void **state)
{
    size_t length;
    char *text = read_test_file("good/plan-any-order.json", &length);

    (void) state;
    while (length > 0 && text[length - 1] != '}')
        length--;
    for (size_t cut = 0; cut < length; cut++) {
        imig_plan *plan = NULL;

        assert_int_equal(imig_plan_from_json(text, cut, &plan, NULL), IMIG_ERR_SYNTAX);
        assert_null(plan);
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
    char *text = read_test_file("good/plan-any-order.json", &length);

    (void) state;
    for (size_t at = 0; at < length; at++) {
        char kept = text[at];
        imig_plan *plan = NULL;
        imig_error *error = NULL;
        int code;

        text[at] = bytes[at % sizeof bytes];
        code = imig_plan_from_json(text, length, &plan, &error);
        text[at] = kept;
        if (code == IMIG_OK) {
            size_t once_length;
            char *once = must_write(plan, &once_length), *twice;

            imig_plan_unref(plan);
            plan = must_read(once, once_length);
            twice = must_write(plan, NULL);
            assert_string_equal(once, twice);
            imig_plan_unref(plan);
            imig_free(once);
            imig_free(twice);
        } else {
            assert_true(code == IMIG_ERR_SYNTAX || code == IMIG_ERR_INVALID);
            assert_null(plan);
            assert_true(strlen(imig_error_message(error)) < 400);
            imig_error_free(error);
        }
    }
    g_free(text);
}

static void
wrong_arguments_are_answered(void **state)
{
    imig_plan *plan = NULL;
    char *text = NULL;

    (void) state;
    assert_int_equal(imig_plan_from_json(NULL, 0, &plan, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_plan_from_json("{}", 2, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_plan_to_json(NULL, &text, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_null(plan);
    assert_null(text);
    plan = must_read(HEAD "\"steps\": []}", strlen(HEAD "\"steps\": []}"));
    assert_int_equal(imig_plan_to_json(plan, NULL, NULL, NULL), IMIG_ERR_ARGUMENT);
    imig_plan_unref(plan);
}

static void
broken_figures_are_refused(void **unused)
{
    static const struct {
        const char *figures, *want;
    } cases[] = {
        { "7", "x-figures" },
        { "{ \"moved_bytes\": -1 }", "x-figures.moved_bytes" },
        { "{ \"hosts_in_use\": 1.5 }", "x-figures.hosts_in_use" },
        { "{ \"empty_hosts\": 1 }", "x-figures.empty_hosts" },
        { "{ \"empty_hosts\": [ 1 ] }", "x-figures.empty_hosts" },
        { "{ \"hosts_above\": 1 }", "x-figures.hosts_above" },
        { "{ \"hosts_above\": [ { } ] }", "x-figures.hosts_above[0].host: missing" },
        { "{ \"hosts_above\": [ { \"host\": \"h\", \"reason\": 1 } ] }",
          "x-figures.hosts_above[0].reason" },
        { "{ \"moved\": 1 }", "x-figures: \"moved\"" },
    };

    (void) unused;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        char *text = g_strdup_printf("{ \"format\": \"imig-plan/1\", \"goal\": \"level\", "
                                     "\"policy\": \"informed\", \"steps\": [], "
                                     "\"x-figures\": %s }", cases[i].figures);
        imig_error *error = NULL;
        imig_plan *plan = NULL;

        assert_int_equal(imig_plan_from_json(text, strlen(text), &plan, &error),
                         IMIG_ERR_INVALID);
        if (!strstr(imig_error_message(error), cases[i].want))
            fail_msg("%s: %s", cases[i].figures, imig_error_message(error));
        assert_null(plan);
        imig_error_free(error);
        g_free(text);
    }
}

int
main(void)
{
    static const struct CMUnitTest single[] = {
        cmocka_unit_test(nothing_is_lost),
        cmocka_unit_test(same_content_same_bytes),
        cmocka_unit_test(little_is_required),
        cmocka_unit_test(every_cut_is_noticed),
        cmocka_unit_test(changed_bytes_do_no_harm),
        cmocka_unit_test(broken_figures_are_refused),
        cmocka_unit_test(wrong_arguments_are_answered),
    };
    GArray *rows = broken_rows("plan-");
    struct CMUnitTest *tests = g_new0(struct CMUnitTest, rows->len + G_N_ELEMENTS(single));
    int failed;

    for (unsigned i = 0; i < rows->len; i++) {
        broken_row *row = &g_array_index(rows, broken_row, i);

        tests[i] = (struct CMUnitTest) {
            .name = row->file, .test_func = broken_document_is_refused, .initial_state = row,
        };
    }
    memcpy(tests + rows->len, single, sizeof single);
    failed = _cmocka_run_group_tests("plan-json", tests, rows->len + G_N_ELEMENTS(single), NULL,
                                     NULL);
    g_free(tests);
    broken_rows_free(rows);
    return failed;
}
