/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How agents are started, as a context is told. */

#include "context/context-priv.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "small-cluster.h"

static const char *const nothing[] = { NULL }, *const empty[] = { "", NULL },
    *const somewhere[] = { "ssh", "%%h", "%", NULL }, *const there[] = { "ssh", "%h", NULL };

static const struct agent_case {
    const char *name;
    imig_agent_options options;
    int code;
    const char *says;
} agents[] = {
    { "all of it", { sizeof(imig_agent_options), there, there, 0.5 }, IMIG_OK, NULL },
    { "the defaults", IMIG_AGENT_OPTIONS_INIT, IMIG_OK, NULL },
    { "a command of no words", { sizeof(imig_agent_options), nothing, NULL, 0 },
      IMIG_ERR_ARGUMENT, "the command of agents names no program" },
    { "a transport of an empty word", { sizeof(imig_agent_options), NULL, empty, 0 },
      IMIG_ERR_ARGUMENT, "the transport of agents names no program" },
    { "a transport to nobody", { sizeof(imig_agent_options), NULL, somewhere, 0 },
      IMIG_ERR_ARGUMENT, "no word has %h" },
    { "a time below 0", { sizeof(imig_agent_options), NULL, NULL, -1 }, IMIG_ERR_ARGUMENT,
      "the time-out of agents: -1: must be finite and >= 0" },
    { "no time", { sizeof(imig_agent_options), NULL, NULL, (double) NAN }, IMIG_ERR_ARGUMENT,
      "nan: must be finite" },
    { "a size that was never released", { 8, NULL, NULL, 0 }, IMIG_ERR_ABI, "size" },
};

static void
how_agents_are_started_is_checked(void **state)
{
    const struct agent_case *c = *state;
    imig_context *context = imig_context_new();
    const imig__agent_settings *settings = imig__context_agent(context);
    imig_error *error = NULL;

    assert_int_equal(imig_context_set_agent(context, &c->options, &error), c->code);
    assert_int_equal(imig_error_code(error), c->code);
    if (c->says && !strstr(imig_error_message(error), c->says))
        fail_msg("\"%s\" does not say \"%s\"", imig_error_message(error), c->says);
    if (c->options.transport == there) {
        assert_string_equal(settings->command[0], "ssh");
        assert_true(settings->timeout_s == 0.5);
        assert_int_equal(imig_context_set_agent(context, NULL, NULL), IMIG_OK);
    }
    assert_string_equal(settings->command[0], "imig"); /* unchanged, or the default again */
    assert_string_equal(settings->command[1], "agent");
    assert_true(settings->timeout_s == 30);
    assert_int_equal(imig_context_set_agent(NULL, &c->options, NULL), IMIG_ERR_ARGUMENT);
    imig_error_free(error);
    imig_context_unref(context);
}

int
main(void)
{
    struct CMUnitTest tests[G_N_ELEMENTS(agents)];
    size_t count = 0;

    ROWS(agents, how_agents_are_started_is_checked);
    return cmocka_run_group_tests_name("context-agent", tests, NULL, NULL);
}
