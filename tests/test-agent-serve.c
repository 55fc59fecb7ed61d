/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The side that answers: requests from a file, replies to a pipe. */

#include "base/base-priv.h"

#include <glib/gstdio.h>
#include <imig/agent.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "small-cluster.h"

/* ---- a backend that gives nonsense ---- */

static int opened, closed;
static gboolean running; /* its clock */

static int
odd_probe(const char *uri)
{
    return g_str_has_prefix(uri, "odd:");
}

static int
odd_open(const char *uri, void **ret_state, imig_error **error)
{
    (void) ret_state;
    opened++;
    if (strstr(uri, "silent"))
        return 17; /* neither a code nor words */
    return strstr(uri, "refuse") ? imig_error_set(error, IMIG_ERR_BUSY, 38, "not now") : IMIG_OK;
}

static void
odd_close(void *state)
{
    (void) state;
    closed++;
}

static double
odd_clock(void *state)
{
    static double now_s;

    (void) state;
    return running ? ++now_s : 5;
}

static int
odd_sample(void *state, imig_sample *into, imig_error **error)
{
    (void) state;
    (void) into;
    (void) error;
    return IMIG_ERR_UNSUPPORTED;
}

static int
odd_locate(void *state, const char *vm, imig_location *into, imig_error **error)
{
    (void) state;
    (void) error;
    into->state = strcmp(vm, "flies") == 0 ? 99 : IMIG_VM_RUNNING;
    memset(into->host, '\xe9', sizeof into->host); /* no end, no UTF-8 */
    return IMIG_OK;
}

static int
odd_wait(void *state, double deadline_s, imig_error **error)
{
    (void) state;
    return imig_error_set(error, IMIG_ERR_BACKEND, (int64_t) deadline_s, "no patience");
}

static int
odd_dirty(void *state, const char *vm, imig_error **error)
{
    (void) state;
    (void) vm;
    (void) error;
    return IMIG_OK;
}

static int
odd_dirty_read(void *state, const char *vm, imig_dirty_point *into, imig_error **error)
{
    odd_dirty(state, vm, error);
    into->elapsed_s = INFINITY;
    return IMIG_OK;
}

static int
odd_migrate(void *state, const imig_migration *m, uint64_t *ret_job, imig_error **error)
{
    odd_dirty(state, m->vm, error);
    *ret_job = UINT64_MAX;
    return IMIG_OK;
}

static int
odd_poll(void *state, uint64_t job, imig_job *into, imig_error **error)
{
    odd_dirty(state, NULL, error);
    into->state = job == 1 ? 7 : IMIG_JOB_RUNNING;
    into->started_s = job == 2 ? (double) NAN : 0;
    into->present = job == 3 ? IMIG_JOB_HAS_DIRTY : 0;
    into->dirty_bytes_per_s = (double) NAN;
    into->error_code = job == 4 ? 1 : 0;
    memset(into->message, 'm', job == 5 ? sizeof into->message : 0);
    return IMIG_OK;
}

static int
odd_cancel(void *state, uint64_t job, imig_error **error)
{
    odd_dirty(state, NULL, error);
    return job == 1 ? IMIG_ERR_IO - 1 : IMIG_OK;
}

static const imig_backend_ops odd_ops = {
    .size = sizeof odd_ops, .name = "odd", .probe = odd_probe, .open = odd_open,
    .close = odd_close, .clock = odd_clock, .sample = odd_sample, .locate = odd_locate,
    .wait = odd_wait, .dirty_start = odd_dirty, .dirty_read = odd_dirty_read,
    .dirty_stop = odd_dirty, .migrate = odd_migrate, .poll = odd_poll, .cancel = odd_cancel,
    .result = odd_poll,
};

static int
bare_probe(const char *uri)
{
    return g_str_has_prefix(uri, "bare:");
}

/* Only what is mandatory. */
static const imig_backend_ops bare_ops = {
    .size = sizeof bare_ops, .name = "bare", .probe = bare_probe, .open = odd_open,
    .close = odd_close, .clock = odd_clock, .sample = odd_sample, .locate = odd_locate,
    .wait = odd_wait,
};

/* ---- what it answers ---- */

static imig_context *
context_with_both(void)
{
    imig_context *context = imig_context_new();

    assert_int_equal(imig_context_register_backend(context, &odd_ops, NULL), IMIG_OK);
    assert_int_equal(imig_context_register_backend(context, &bare_ops, NULL), IMIG_OK);
    return context;
}

/* Everything that is said to these requests. */
static char *
serve(const char *uri, const char *requests, size_t length, int want, imig_error **error)
{
    imig_context *context = context_with_both();
    char *replies = g_malloc0(1 << 16);
    char *file;
    int in = g_file_open_tmp("imig-requests-XXXXXX", &file, NULL), out[2], code;

    opened = closed = 0;
    assert_true(in >= 0 && g_remove(file) == 0 && pipe(out) == 0);
    assert_int_equal(write(in, requests, length), (ssize_t) length);
    assert_int_equal(lseek(in, 0, SEEK_SET), 0);
    code = imig_agent_serve(context, uri, in, out[1], NULL, error);
    g_free(file);
    close(in);
    close(out[1]);
    assert_int_equal(code, want);
    assert_true(read(out[0], replies, (1 << 16) - 1) >= 0);
    close(out[0]);
    assert_int_equal(opened, closed);
    imig_context_unref(context);
    return replies;
}

#define FAILED(id, code, message) "{\"id\": " id ", \"clock_s\": 5, \"error\": {\"code\": \"" code \
    "\", \"message\": \"" message "\"}}\n"

static const struct answer_case {
    const char *name, *uri, *request, *says; /* behind the greeting */
} cases[] = {
    { "the clock", "odd:", "{\"id\": 1, \"op\": \"clock\"}",
      "{\"id\": 1, \"clock_s\": 5, \"ok\": {}}\n" },
    { "a request without an end is none", "odd:", "{\"id\": 1, \"op\": \"clock\"", "" },
    { "two requests at a time", "odd:",
      "{\"id\": 1, \"op\": \"clock\"}\n{\"id\": 2, \"op\": \"clock\"}\n",
      "{\"id\": 1, \"clock_s\": 5, \"ok\": {}}\n{\"id\": 2, \"clock_s\": 5, \"ok\": {}}\n" },
    { "what cannot be understood is passed over", "odd:",
      "what?\n{\"id\": 3, \"op\": \"dance\"}\n{\"id\": 4, \"op\": \"clock\"}\n",
      FAILED("0", "syntax", "line 1 column 1: '{' expected")
      FAILED("3", "invalid", "op: \\\"dance\\\": no such operation; there are clock, sample, "
             "locate, wait, check, dirty_start, dirty_read, dirty_stop, migrate, poll, cancel, "
             "result")
      "{\"id\": 4, \"clock_s\": 5, \"ok\": {}}\n" },
    { "a failure without words", "odd:", "{\"id\": 1, \"op\": \"sample\"}",
      FAILED("1", "unsupported", "sample failed without a reason") },
    { "a failure without a code", "odd:", "{\"id\": 1, \"op\": \"cancel\", \"job\": \"1\"}",
      FAILED("1", "backend", "cancel failed without a reason") },
    { "a code of the backend", "odd:", "{\"id\": 1, \"op\": \"wait\", \"deadline_s\": -38}",
      "{\"code\": \"backend\", \"backend_code\": -38, \"message\": \"no patience\"}}\n" },
    { "a text without an end", "odd:", "{\"id\": 1, \"op\": \"locate\", \"vm\": \"v\"}",
      "\"ok\": {\"state\": \"running\", \"host\": \"\xef\xbf\xbd" },
    { "no state", "odd:", "{\"id\": 1, \"op\": \"locate\", \"vm\": \"flies\"}",
      FAILED("1", "backend", "the backend gave a value out of range") },
    { "an infinite time", "odd:", "{\"id\": 1, \"op\": \"dirty_read\", \"vm\": \"v\"}",
      "a value out of range" },
    { "a high job", "odd:",
      "{\"id\": 1, \"op\": \"migrate\", \"migration\": {\"vm\": \"v\", \"to\": \"h\"}}",
      "\"ok\": {\"job\": \"18446744073709551615\"}}\n" },
    { "no state of a job", "odd:", "{\"id\": 1, \"op\": \"poll\", \"job\": \"1\"}",
      "out of range" },
    { "no time", "odd:", "{\"id\": 1, \"op\": \"poll\", \"job\": \"2\"}", "out of range" },
    { "no rate", "odd:", "{\"id\": 1, \"op\": \"result\", \"job\": \"3\"}", "out of range" },
    { "no code", "odd:", "{\"id\": 1, \"op\": \"poll\", \"job\": \"4\"}", "out of range" },
    { "what is absent does not count", "odd:", "{\"id\": 1, \"op\": \"poll\", \"job\": \"6\"}",
      "\"ok\": {\"state\": \"running\", \"started_s\": 0, \"ended_s\": 0}}\n" },
    { "a message without an end", "odd:", "{\"id\": 1, \"op\": \"poll\", \"job\": \"5\"}",
      "mmm\"}}\n" },
    { "nothing known speaks against it", "bare:",
      "{\"id\": 1, \"op\": \"check\", \"vm\": \"v\", \"host\": \"h\"}", "\"ok\": {}}\n" },
    { "no dirty logging", "bare:", "{\"id\": 1, \"op\": \"dirty_start\", \"vm\": \"v\"}",
      FAILED("1", "unsupported", "backend bare cannot log dirty pages") },
    { "no migration", "bare:",
      "{\"id\": 1, \"op\": \"migrate\", \"migration\": {\"vm\": \"v\", \"to\": \"h\"}}",
      FAILED("1", "unsupported", "backend bare cannot migrate") },
    { "so no jobs", "bare:", "{\"id\": 1, \"op\": \"poll\", \"job\": \"1\"}",
      "bare cannot migrate" },
};

static void
each_request_gets_its_reply(void **state)
{
    const struct answer_case *c = *state;
    char *requests = strchr(c->request, '\n') || !g_str_has_suffix(c->request, "}")
                         ? g_strdup(c->request) : g_strconcat(c->request, "\n", NULL);
    char *replies = serve(c->uri, requests, strlen(requests), IMIG_OK, NULL);
    char *second = strchr(replies, '\n');

    assert_non_null(second);
    if (*c->says == '{' && g_str_has_prefix(c->says, "{\"id\""))
        assert_string_equal(second + 1, c->says);
    else if (!strstr(second + 1, c->says))
        fail_msg("\"%s\" does not say \"%s\"", second + 1, c->says);
    assert_true(g_str_has_prefix(replies, "{\"format\": \"imig-agent/1\", \"version\": "));
    g_free(replies);
    g_free(requests);
}

static void
the_greeting_says_what_the_clock_is(void **state)
{
    char *replies = serve("odd:", "", 0, IMIG_OK, NULL);

    (void) state;
    assert_non_null(strstr(replies, "\"odd\", \"clock\": \"virtual\", \"clock_s\": 5}\n"));
    g_free(replies);
    running = TRUE;
    replies = serve("odd:", "", 0, IMIG_OK, NULL);
    running = FALSE;
    assert_non_null(strstr(replies, "\"clock\": \"real\""));
    g_free(replies);
}

static const struct refused_case {
    const char *name, *uri;
    int code;
    const char *says;
} refused[] = {
    { "the backend says no", "odd:refuse", IMIG_ERR_BUSY,
      "\"error\": {\"code\": \"busy\", \"backend_code\": 38, \"message\": \"not now\"}}\n" },
    { "it says nothing", "odd:silent", IMIG_ERR_BACKEND, "open failed without a reason" },
    { "nobody takes the URI", "nothere:", IMIG_ERR_UNSUPPORTED, "no backend takes this URI" },
    { "no such file", "sim:/nothere", IMIG_ERR_NOT_FOUND, "/nothere" },
};

static void
what_cannot_be_opened_is_said_instead_of_a_greeting(void **state)
{
    const struct refused_case *c = *state;
    imig_error *error = NULL;
    char *replies = serve(c->uri, "", 0, c->code, &error);

    assert_int_equal(imig_error_code(error), c->code);
    assert_non_null(strstr(replies, c->says));
    assert_null(strstr(replies, "clock"));
    g_free(replies);
    imig_error_free(error);
}

static void
a_line_that_never_ends_ends_the_agent(void **state)
{
    char *line = g_strnfill(1 << 17, 'x');
    imig_error *error = NULL;
    char *replies = serve("odd:", line, strlen(line), IMIG_ERR_INVALID, &error);

    (void) state;
    assert_non_null(strstr(replies,
                           FAILED("0", "invalid", "a request is longer than 65536 bytes")));
    assert_string_equal(imig_error_message(error), "a request is longer than 65536 bytes");
    imig_error_free(error);
    g_free(replies);
    g_free(line);
}

static void
a_wish_to_stop_ends_the_agent(void **state)
{
    imig_context *context = context_with_both();
    imig_cancel *cancel = imig_cancel_new();
    int in[2], out[2];

    (void) state;
    assert_true(pipe(in) == 0 && pipe(out) == 0);
    opened = closed = 0;
    imig_cancel_trigger(cancel);
    assert_int_equal(imig_agent_serve(context, "odd:", in[0], out[1], cancel, NULL),
                     IMIG_ERR_CANCELLED);
    assert_int_equal(closed, 1);
    for (int i = 0; i < 2; i++) {
        close(in[i]);
        close(out[i]);
    }
    imig_cancel_unref(cancel);
    imig_context_unref(context);
}

static void
a_reader_that_has_gone_ends_the_agent(void **state)
{
    imig_context *context = context_with_both();
    imig_error *error = NULL;
    int in[2], out[2];

    (void) state;
    assert_true(pipe(in) == 0 && pipe(out) == 0);
    close(out[0]);
    opened = closed = 0;
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(imig_agent_serve(context, "odd:", in[0], out[1], NULL, &error), IMIG_ERR_IO);
    signal(SIGPIPE, SIG_DFL);
    assert_int_equal(closed, 1);
    assert_non_null(strstr(imig_error_message(error), "writing a reply: "));
    imig_error_free(error);
    close(in[0]);
    close(in[1]);
    close(out[1]);
    imig_context_unref(context);
}

static void
wrong_arguments_are_refused(void **state)
{
    imig_context *context = imig_context_new();

    (void) state;
    assert_int_equal(imig_agent_serve(NULL, "odd:", 0, 1, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_agent_serve(context, NULL, 0, 1, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_agent_serve(context, "odd:", -1, 1, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_agent_serve(context, "odd:", 0, -1, NULL, NULL), IMIG_ERR_ARGUMENT);
    imig_context_unref(context);
}

int
main(void)
{
    const struct CMUnitTest single[] = {
        cmocka_unit_test(the_greeting_says_what_the_clock_is),
        cmocka_unit_test(a_line_that_never_ends_ends_the_agent),
        cmocka_unit_test(a_wish_to_stop_ends_the_agent),
        cmocka_unit_test(a_reader_that_has_gone_ends_the_agent),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    struct CMUnitTest tests[G_N_ELEMENTS(single) + G_N_ELEMENTS(cases) + G_N_ELEMENTS(refused)];
    size_t count = G_N_ELEMENTS(single);

    memcpy(tests, single, sizeof single);
    ROWS(cases, each_request_gets_its_reply);
    ROWS(refused, what_cannot_be_opened_is_said_instead_of_a_greeting);
    return cmocka_run_group_tests_name("agent-serve", tests, NULL, NULL);
}
