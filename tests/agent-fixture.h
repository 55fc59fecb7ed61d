/* SPDX-License-Identifier: LGPL-2.1-or-later */

#ifndef IMIG_TESTS_AGENT_FIXTURE_H
#define IMIG_TESTS_AGENT_FIXTURE_H

/*
 * Agents that misbehave: small scripts for /bin/sh, whose $1 is what stands behind "agent:".  After
 * each of them no process, no zombie and no descriptor is left.
 */

#include "backend/connect-priv.h"
#include "context/context-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <imig/connect.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define SAY(text) "printf '%s\\n' '" text "'; "
#define ASKED "read -r line || exit 9; "
#define GREETING "{\"format\": \"imig-agent/1\", \"version\": \"0\", \"backend\": \"b\", "
#define REFUSAL "{\"format\": \"imig-agent/1\", \"version\": \"0\", \"error\": "
#define GREET SAY(GREETING "\"clock\": \"real\", \"clock_s\": 100}")
#define REPLY(id, rest) SAY("{\"id\": " id ", \"clock_s\": 100, " rest "}")
#define IDLE "while read -r line; do :; done; "

static const imig_backend_ops *const ops = &imig__agent_ops;
static const double SHORT_S = 0.3, LONG_S = 20;

static inline unsigned
count_descriptors(void)
{
    GDir *directory = g_dir_open("/proc/self/fd", 0, NULL);
    unsigned n = 0;

    assert_non_null(directory);
    while (g_dir_read_name(directory))
        n++;
    g_dir_close(directory);
    return n;
}

static unsigned descriptors;

static inline int
look_before(void **state)
{
    (void) state;
    descriptors = count_descriptors();
    return 0;
}

static inline int
look_after(void **state)
{
    (void) state;
    if (waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD) {
        print_error("a process is left\n");
        return 1;
    }
    if (count_descriptors() != descriptors) {
        print_error("%u descriptors, now %u\n", descriptors, count_descriptors());
        return 1;
    }
    return 0;
}

static inline imig_context *
context_with(const char *script, double timeout_s)
{
    const char *command[] = { "/bin/sh", "-c", script, "agent", NULL };
    imig_agent_options options = IMIG_AGENT_OPTIONS_INIT;
    imig_context *context = imig_context_new();

    options.command = command;
    options.timeout_s = timeout_s;
    assert_int_equal(imig_context_set_agent(context, &options, NULL), IMIG_OK);
    return context;
}

/* An agent that has greeted. */
static inline void *
open_agent(imig_context *context, const char *uri)
{
    imig_error *error = NULL;
    void *agent = NULL;

    if (imig__agent_open(context, uri, &agent, &error) != IMIG_OK)
        fail_msg("%s", imig_error_message(error));
    return agent;
}

static inline void
assert_says(imig_error *error, int code, const char *says)
{
    const char *message = imig_error_message(error);

    if (imig_error_code(error) != code || !strstr(message, says) || strchr(message, '\n'))
        fail_msg("%s: \"%s\", not %s: \"%s\"", imig_errcode_name(imig_error_code(error)), message,
                 imig_errcode_name(code), says);
    assert_true(g_utf8_validate(message, -1, NULL));
    imig_error_free(error);
}

/* No such file yet; g_free() it. */
static inline char *
new_name(void)
{
    char *name;

    g_close(g_file_open_tmp("imig-agent-XXXXXX", &name, NULL), NULL);
    g_remove(name);
    return name;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, look_before, look_after)

/* As ROWS of small-cluster.h, and what is left behind is looked for. */
#define AGENT_ROWS(cases, function) \
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) \
        tests[count++] = (struct CMUnitTest) { \
            .name = cases[i].name, .test_func = function, .setup_func = look_before, \
            .teardown_func = look_after, .initial_state = (void *) &cases[i] }

#endif
