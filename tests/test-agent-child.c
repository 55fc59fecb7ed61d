/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The process of an agent: how it begins, and how it ends. */

#include "agent-fixture.h"

/* ---- agents that do not begin well ---- */

static const struct opening_case {
    const char *name, *script;
    double timeout_s;
    int code;
    const char *says;
} openings[] = {
    { "a shell's noise", SAY("Welcome to Debian!") GREET IDLE, 20, IMIG_ERR_BACKEND,
      "agent:x: open: the agent does not speak imig-agent/1: line 1 column 1: '{' expected, in "
      "\"Welcome to Debian!\"" },
    { "noise, and nothing more", SAY("Last login: Monday") IDLE, 20, IMIG_ERR_BACKEND,
      "\"Last login: Monday\"" },
    { "another version", SAY("{\"format\": \"imig-agent/2\", \"version\": \"9\", \"new\": 1}") IDLE,
      20, IMIG_ERR_BACKEND, "must be \"imig-agent/1\"" },
    { "no format", SAY("{\"version\": \"9\"}") IDLE, 20, IMIG_ERR_BACKEND, "format: missing" },
    { "no clock", SAY(GREETING "\"x-clock\": 1}") IDLE, 20, IMIG_ERR_BACKEND,
      "either error or backend, clock and clock_s must be there" },
    { "error and clock", SAY(GREETING "\"clock\": \"real\", \"clock_s\": 1, \"error\": "
                             "{\"code\": \"io\", \"message\": \"m\"}}") IDLE, 20,
      IMIG_ERR_BACKEND, "either error or backend" },
    { "a clock of its own kind", SAY(GREETING "\"clock\": \"sundial\", \"clock_s\": 1}") IDLE, 20,
      IMIG_ERR_BACKEND, "clock: \"sundial\": no such kind of clock" },
    { "no number", SAY(GREETING "\"clock\": \"real\", \"clock_s\": NaN}") IDLE, 20,
      IMIG_ERR_BACKEND, "invalid token" },
    { "an unknown key", SAY(GREETING "\"clock\": \"real\", \"clock_s\": 1, \"y\": 1}") IDLE, 20,
      IMIG_ERR_BACKEND, "\"y\": no such key" },
    { "a line without an end", "exec tr '\\0' a </dev/zero", 20, IMIG_ERR_BACKEND,
      "too long a line, in \"aaaaaa" },
    { "nothing at all", IDLE, 0.3, IMIG_ERR_TIMEOUT,
      "agent:x: open: no answer from the agent within 0.3 s, it was killed" },
    { "a hang that others share", "sleep 60 & sleep 60", 0.3, IMIG_ERR_TIMEOUT, "it was killed" },
    { "an end", "exit 7", 20, IMIG_ERR_BACKEND,
      "agent:x: open: the agent is gone: it ended with status 7" },
    { "a signal", "kill -KILL $$", 20, IMIG_ERR_BACKEND, "it was ended by signal 9 (Killed)" },
    { "output closed", "exec >&- <&-; exec sleep 60", 20, IMIG_ERR_BACKEND,
      "the agent is gone: it was killed" },
    { "half a greeting", "printf '{\"format\":'; exit 0", 20, IMIG_ERR_BACKEND,
      "it ended with status 0" },
    { "its own refusal", SAY(REFUSAL "{\"code\": \"not-found\", \"backend_code\": 38, "
                             "\"message\": \"no such hypervisor\"}}") "exit 2", 20,
      IMIG_ERR_NOT_FOUND, "agent:x: no such hypervisor" },
    { "a refusal without a code", SAY(REFUSAL "{\"code\": \"ok\", \"message\": \"m\"}}") IDLE, 20,
      IMIG_ERR_BACKEND,
      "error.code: \"ok\": no such code" },
    { "a descriptor of ours", "for f in /proc/$$/fd/*; do case ${f##*/} in 0|1|2) ;; *) "
      "[ ! -e $f ] || exit 8;; esac; done; exit 7", 20, IMIG_ERR_BACKEND, "status 7" },
    { "our terminal", "set -- $(cat /proc/$$/stat); [ $6 = $$ ] && exit 7", 20, IMIG_ERR_BACKEND,
      "status 7" },
};

static void
what_does_not_begin_well_is_said_in_one_line(void **state)
{
    const struct opening_case *c = *state;
    imig_context *context = context_with(c->script, c->timeout_s);
    imig_connection *connection = NULL;
    imig_error *error = NULL;
    const char *uri = "agent:x";
    int leak = open("/dev/null", O_RDONLY); /* not marked to be closed */

    assert_int_equal(imig_connect(context, &uri, 1, &connection, &error), c->code);
    assert_null(connection);
    if (c->code == IMIG_ERR_NOT_FOUND)
        assert_int_equal(imig_error_backend_code(error), 38);
    assert_says(error, c->code, c->says);
    imig_context_unref(context);
    close(leak);
}

/* ---- the end ---- */

static void
an_agent_that_does_not_want_to_end_is_killed(void **state)
{
    imig_context *context = context_with(GREET "exec sleep 60", SHORT_S);
    void *agent = open_agent(context, "agent:x");
    int64_t begin_us = g_get_monotonic_time();

    (void) state;
    ops->close(agent);
    ops->close(NULL);
    assert_true(g_get_monotonic_time() - begin_us < 5 * G_USEC_PER_SEC);
    imig_context_unref(context);
}

static void
an_agent_may_finish_what_it_does(void **state)
{
    imig_context *context = context_with(GREET IDLE "sleep 0.2; touch $1", LONG_S);
    char *file = new_name(), *uri = g_strconcat("agent:", file, NULL);

    (void) state;
    ops->close(open_agent(context, uri));
    assert_int_equal(g_remove(file), 0);
    imig_context_unref(context);
    g_free(file);
    g_free(uri);
}

/* A program may ignore the end of its children; then nobody knows how they ended. */
static void
what_the_program_does_with_its_signals_stays(void **state)
{
    imig_context *context = context_with(GREET "exit 3", LONG_S);
    struct sigaction before, after;
    imig_location location = { .size = sizeof location };
    imig_error *error = NULL;
    void *agent;

    (void) state;
    signal(SIGCHLD, SIG_IGN);
    agent = open_agent(context, "agent:x");
    g_usleep(100000);
    assert_int_equal(ops->locate(agent, "v", &location, &error), IMIG_ERR_BACKEND);
    assert_says(error, IMIG_ERR_BACKEND, "the agent is gone: it has ended");
    ops->close(agent);
    sigaction(SIGCHLD, NULL, &after);
    assert_ptr_equal(after.sa_handler, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    sigaction(SIGPIPE, NULL, &before);
    assert_ptr_equal(before.sa_handler, SIG_DFL); /* and it has not come */
    imig_context_unref(context);
}

static void
a_command_that_is_not_there_is_said(void **state)
{
    static const char *const command[] = { "/nowhere/imig", "agent", NULL };
    imig_agent_options options = IMIG_AGENT_OPTIONS_INIT;
    imig_context *context = imig_context_new();
    imig_connection *connection;
    imig_error *error = NULL;
    const char *uri = "agent:x";

    (void) state;
    options.command = command;
    assert_int_equal(imig_context_set_agent(context, &options, NULL), IMIG_OK);
    assert_int_equal(imig_connect(context, &uri, 1, &connection, &error), IMIG_ERR_BACKEND);
    assert_says(error, IMIG_ERR_BACKEND, "agent:x: the agent cannot be started: ");
    imig_context_unref(context);
}

int
main(void)
{
    const struct CMUnitTest single[] = {
        TEST(an_agent_that_does_not_want_to_end_is_killed),
        TEST(an_agent_may_finish_what_it_does),
        TEST(what_the_program_does_with_its_signals_stays),
        TEST(a_command_that_is_not_there_is_said),
    };
    struct CMUnitTest tests[G_N_ELEMENTS(single) + G_N_ELEMENTS(openings)];
    size_t count = G_N_ELEMENTS(single);

    memcpy(tests, single, sizeof single);
    AGENT_ROWS(openings, what_does_not_begin_well_is_said_in_one_line);
    return cmocka_run_group_tests_name("agent-child", tests, NULL, NULL);
}
