/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The side that asks: agents that answer wrongly, end, or start again. */

#include "agent-fixture.h"

/* ---- agents that do not go on well ---- */

static const struct answer_case {
    const char *name, *script;
    double timeout_s;
    int code;
    const char *says;
} answers[] = {
    { "garbage", ASKED SAY("\001\002") IDLE, 20, IMIG_ERR_BACKEND,
      "agent:x: locate: the agent does not speak imig-agent/1: line 1 column 1: '{' expected" },
    { "an empty line", ASKED SAY("") IDLE, 20, IMIG_ERR_BACKEND, "'{' expected" },
    { "another id", ASKED REPLY("17", "\"ok\": {\"state\": \"absent\"}") IDLE, 20,
      IMIG_ERR_BACKEND, "id: 17: must be 1" },
    { "no id", ASKED SAY("{\"clock_s\": 1, \"ok\": {}}") IDLE, 20, IMIG_ERR_BACKEND,
      "state: missing" },
    { "neither ok nor error", ASKED REPLY("1", "\"x-ok\": 1") IDLE, 20, IMIG_ERR_BACKEND,
      "either ok or error" },
    { "ok and error", ASKED REPLY("1", "\"ok\": {\"state\": \"absent\"}, \"error\": "
                                  "{\"code\": \"io\", \"message\": \"m\"}") IDLE, 20,
      IMIG_ERR_BACKEND, "either ok or error" },
    { "an unknown key", ASKED REPLY("1", "\"ok\": {\"state\": \"absent\", \"y\": 1}") IDLE, 20,
      IMIG_ERR_BACKEND, "ok: \"y\": no such key" },
    { "a key of another answer", ASKED REPLY("1", "\"ok\": {\"state\": \"absent\"}, \"vms\": []")
      IDLE, 20, IMIG_ERR_BACKEND, "\"vms\": no such key" },
    { "no number", ASKED SAY("{\"id\": 1, \"clock_s\": NaN, \"ok\": {}}") IDLE, 20,
      IMIG_ERR_BACKEND, "invalid token" },
    { "infinite", ASKED SAY("{\"id\": 1, \"clock_s\": 1e999, \"ok\": {}}") IDLE, 20,
      IMIG_ERR_BACKEND, "real number overflow" },
    { "a state of its own", ASKED REPLY("1", "\"ok\": {\"state\": \"flying\"}") IDLE, 20,
      IMIG_ERR_BACKEND, "ok.state: \"flying\": no such state" },
    { "an answer before the question", SAY("{}") IDLE, 20, IMIG_ERR_BACKEND, "does not speak" },
    { "a line without an end", ASKED "exec tr '\\0' a </dev/zero", 20, IMIG_ERR_BACKEND,
      "too long a line" },
    { "a hang", ASKED "sleep 60", 0.3, IMIG_ERR_TIMEOUT,
      "agent:x: locate: no answer from the agent within 0.3 s, it was killed" },
    { "a hang in the middle", ASKED "printf '{\"id\": 1, '; sleep 60", 0.3, IMIG_ERR_TIMEOUT,
      "no answer" },
    { "an end", ASKED "exit 3", 20, IMIG_ERR_BACKEND,
      "agent:x: locate: the agent is gone: it ended with status 3" },
    { "an end in the middle", ASKED "printf '{\"id\": 1, '; exit 3", 20, IMIG_ERR_BACKEND,
      "it ended with status 3" },
    { "an end before the question", "exit 4", 20, IMIG_ERR_BACKEND, "it ended with status 4" },
    { "a signal", ASKED "kill -SEGV $$", 20, IMIG_ERR_BACKEND, "it was ended by signal 11" },
};

static void
what_does_not_go_on_well_is_said_in_one_line(void **state)
{
    const struct answer_case *c = *state;
    char *script = g_strconcat(GREET "sleep 0.05; ", c->script, NULL);
    imig_context *context = context_with(script, c->timeout_s);
    imig_location location = { .size = sizeof location, .state = -1 };
    imig_error *error = NULL;
    void *agent = open_agent(context, "agent:x");

    assert_int_equal(ops->locate(agent, "v", &location, &error), c->code);
    assert_int_equal(location.state, -1); /* untouched */
    assert_says(error, c->code, c->says);
    ops->close(agent);
    imig_context_unref(context);
    g_free(script);
}

static void
what_was_not_asked_for_is_no_answer_later(void **state)
{
    imig_context *context = context_with(
        GREET ASKED REPLY("1", "\"ok\": {\"state\": \"absent\"}")
        REPLY("1", "\"ok\": {\"state\": \"absent\"}") IDLE, LONG_S);
    void *agent = open_agent(context, "agent:x");
    imig_location location = { .size = sizeof location };
    imig_error *error = NULL;

    (void) state;
    assert_int_equal(ops->locate(agent, "v", &location, NULL), IMIG_OK);
    assert_int_equal(ops->locate(agent, "v", &location, &error), IMIG_ERR_BACKEND);
    assert_says(error, IMIG_ERR_BACKEND, "id: 1: must be 2");
    ops->close(agent);
    imig_context_unref(context);
}

/* ---- starting again ---- */

/* $1 is a file: the first agent makes it and does as it is told, the second behaves. */
#define FIRST(script) "if [ ! -e $1 ]; then touch $1; " script " fi; "

static void
the_next_operation_starts_another_agent(void **state)
{
    imig_context *context = context_with(FIRST(GREET ASKED "sleep 60;") GREET ASKED
                                         REPLY("2", "\"ok\": {\"state\": \"running\", "
                                               "\"host\": \"h\"}") IDLE, SHORT_S);
    char *file = new_name(), *uri = g_strconcat("agent:", file, NULL);
    void *agent = open_agent(context, uri);
    imig_location location = { .size = sizeof location };
    imig_error *error = NULL;

    (void) state;
    assert_int_equal(ops->locate(agent, "v", &location, &error), IMIG_ERR_TIMEOUT);
    assert_says(error, IMIG_ERR_TIMEOUT, "locate: no answer");
    assert_int_equal(ops->locate(agent, "v", &location, NULL), IMIG_OK);
    assert_string_equal(location.host, "h");
    assert_int_equal(location.state, IMIG_VM_RUNNING);
    ops->close(agent);
    imig_context_unref(context);
    g_remove(file);
    g_free(file);
    g_free(uri);
}

/* What the second one says when it opens is no answer to what was asked. */
static void
an_agent_that_cannot_start_again_is_a_backend_error(void **state)
{
    imig_context *context = context_with(
        FIRST(GREET ASKED "exit 3;")
        SAY(REFUSAL "{\"code\": \"not-found\", \"message\": \"no file\"}}"), LONG_S);
    char *file = new_name(), *uri = g_strconcat("agent:", file, NULL);
    char *says = g_strdup_printf("%s: locate: no file", uri);
    void *agent = open_agent(context, uri);
    imig_location location = { .size = sizeof location };
    imig_error *error = NULL;

    (void) state;
    assert_int_equal(ops->locate(agent, "v", &location, NULL), IMIG_ERR_BACKEND);
    assert_int_equal(ops->locate(agent, "v", &location, &error), IMIG_ERR_BACKEND);
    assert_says(error, IMIG_ERR_BACKEND, says);
    ops->close(agent);
    imig_context_unref(context);
    g_remove(file);
    g_free(file);
    g_free(uri);
    g_free(says);
}

static void
jobs_of_an_agent_that_is_gone_are_not_known(void **state)
{
    imig_context *context = context_with(
        FIRST(GREET ASKED REPLY("1", "\"ok\": {\"job\": \"18446744073709551615\"}")
              ASKED "case $line in *18446744073709551615*) exit 3;; esac; exit 4;")
        GREET ASKED REPLY("3", "\"ok\": {\"job\": \"1\"}")
        ASKED REPLY("4", "\"ok\": {\"state\": \"running\", \"started_s\": 1, \"ended_s\": 2}") IDLE,
        LONG_S);
    char *file = new_name(), *uri = g_strconcat("agent:", file, NULL);
    void *agent = open_agent(context, uri);
    imig_migration m = IMIG_MIGRATION_INIT;
    imig_job job = { .size = sizeof job };
    imig_error *error = NULL;
    uint64_t first, second;

    (void) state;
    m.vm = "v";
    m.to = "h";
    assert_int_equal(ops->migrate(agent, &m, &first, NULL), IMIG_OK);
    assert_int_equal(ops->poll(agent, first, &job, &error), IMIG_ERR_BACKEND);
    assert_says(error, IMIG_ERR_BACKEND, "poll: the agent is gone: it ended with status 3");
    error = NULL;
    assert_int_equal(ops->poll(agent, first, &job, &error), IMIG_ERR_BACKEND);
    assert_says(error, IMIG_ERR_BACKEND, "poll: the agent was restarted");
    assert_int_equal(ops->migrate(agent, &m, &second, NULL), IMIG_OK);
    assert_int_equal(ops->cancel(agent, first, NULL), IMIG_ERR_BACKEND); /* not the new one's 1 */
    assert_int_equal(ops->result(agent, first, &job, NULL), IMIG_ERR_BACKEND);
    assert_int_equal(ops->poll(agent, second, &job, NULL), IMIG_OK);
    assert_int_equal(job.state, IMIG_JOB_RUNNING);
    assert_true(job.started_s == 1 && job.ended_s == 2 && job.present == 0);
    ops->close(agent);
    imig_context_unref(context);
    g_remove(file);
    g_free(file);
    g_free(uri);
}

/* ---- time ---- */

static void
a_wait_may_last_as_long_as_it_is_asked_to(void **state)
{
    imig_context *context = context_with(GREET ASKED "sleep 0.8; "
                                         SAY("{\"id\": 1, \"clock_s\": 100.8, \"ok\": {}}") IDLE,
                                         SHORT_S);
    void *agent = open_agent(context, "agent:x");

    (void) state;
    assert_int_equal(ops->wait(agent, 100.8, NULL), IMIG_OK);
    assert_true(ops->clock(agent) >= 100.8);
    ops->close(agent);
    imig_context_unref(context);
}

static void
a_wait_that_does_not_end_is_ended(void **state)
{
    imig_context *context = context_with(GREET ASKED "sleep 60", SHORT_S);
    void *agent = open_agent(context, "agent:x");
    imig_error *error = NULL;

    (void) state;
    assert_int_equal(ops->wait(agent, 100.2, &error), IMIG_ERR_TIMEOUT);
    assert_says(error, IMIG_ERR_TIMEOUT, "agent:x: wait: no answer from the agent within 0.");
    ops->close(agent);
    imig_context_unref(context);
}

static const struct clock_case {
    const char *name, *kind;
    double second_s, least_s, most_s; /* the clock of the reply, and ours after 50 ms */
} clocks[] = {
    { "a real clock goes on by itself", "real", 101, 101.05, 103 },
    { "a real clock never runs back by a little", "real", 99.99, 100, 102 },
    { "a real clock that was set back is followed", "real", 50, 50.05, 52 },
    { "a virtual clock stands still", "virtual", 101, 101, 101 },
    { "a virtual clock is what it is", "virtual", 99.99, 99.99, 99.99 },
};

static void
the_clock_is_the_agent_s(void **state)
{
    const struct clock_case *c = *state;
    char number[G_ASCII_DTOSTR_BUF_SIZE];
    char *script = g_strdup_printf(
        "printf '%%s\\n' '" GREETING "\"clock\": \"%s\", \"clock_s\": 100}'; "
        ASKED "printf '%%s\\n' '{\"id\": 1, \"clock_s\": %s, \"ok\": {}}'; " IDLE,
        c->kind, g_ascii_formatd(number, sizeof number, "%g", c->second_s));
    imig_context *context = context_with(script, LONG_S);
    void *agent = open_agent(context, "agent:x");
    double now_s = ops->clock(agent);

    assert_true(now_s >= 100 && now_s < 102);
    assert_int_equal(ops->check(agent, "v", "h", NULL), IMIG_OK);
    g_usleep(50000);
    now_s = ops->clock(agent);
    if (!(now_s >= c->least_s && now_s <= c->most_s))
        fail_msg("%g is not from %g to %g", now_s, c->least_s, c->most_s);
    ops->close(agent);
    imig_context_unref(context);
    g_free(script);
}

int
main(void)
{
    const struct CMUnitTest single[] = {
        TEST(what_was_not_asked_for_is_no_answer_later),
        TEST(the_next_operation_starts_another_agent),
        TEST(an_agent_that_cannot_start_again_is_a_backend_error),
        TEST(jobs_of_an_agent_that_is_gone_are_not_known),
        TEST(a_wait_may_last_as_long_as_it_is_asked_to),
        TEST(a_wait_that_does_not_end_is_ended),
    };
    struct CMUnitTest tests[G_N_ELEMENTS(single) + G_N_ELEMENTS(answers) + G_N_ELEMENTS(clocks)];
    size_t count = G_N_ELEMENTS(single);

    memcpy(tests, single, sizeof single);
    AGENT_ROWS(answers, what_does_not_go_on_well_is_said_in_one_line);
    AGENT_ROWS(clocks, the_clock_is_the_agent_s);
    return cmocka_run_group_tests_name("agent", tests, NULL, NULL);
}
