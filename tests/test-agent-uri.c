/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which command serves which URI, word by word. */

#include "backend/agent-priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "small-cluster.h"

enum { WORDS = 8 };

#define SSH "ssh", "-T", "-o", "BatchMode=yes"
#define FAR "imig", "agent", "xenctl:"

static const struct command_case {
    const char *name, *command[WORDS], *transport[WORDS];
    const char *uri;
    const char *want[12]; /* none: refused, and so */
    const char *says;
} cases[] = {
    { "here", { NULL }, { NULL }, "agent:xenctl:", { "imig", "agent", "xenctl:" }, NULL },
    { "an agent's agent", { NULL }, { NULL }, "agent:agent:sim:f",
      { "imig", "agent", "agent:sim:f" }, NULL },
    { "another command", { "/opt/imig", "-v", "agent" }, { NULL }, "agent:qemu:///system",
      { "/opt/imig", "-v", "agent", "qemu:///system" }, NULL },
    { "no shell", { NULL }, { NULL }, "agent:sim:a b;$(c)", { "imig", "agent", "sim:a b;$(c)" },
      NULL },
    { "there", { NULL }, { NULL }, "xenctl+ssh://node1", { SSH, "node1", FAR }, NULL },
    { "an idle slash", { NULL }, { NULL }, "xenctl+ssh://node1/", { SSH, "node1", FAR }, NULL },
    { "as somebody", { NULL }, { NULL }, "xenctl+ssh://root@n-1.example.org",
      { SSH, "root@n-1.example.org", FAR }, NULL },
    { "at a port", { NULL }, { NULL }, "xenctl+ssh://node1:2222",
      { SSH, "ssh://node1:2222", FAR }, NULL },
    { "everything", { NULL }, { NULL }, "xenctl+ssh://root@node1:2222/",
      { SSH, "ssh://root@node1:2222", FAR }, NULL },
    { "an address", { NULL }, { NULL }, "xenctl+ssh://root@[fe80::1%eth0]",
      { SSH, "root@fe80::1%eth0", FAR }, NULL },
    { "an address and a port", { NULL }, { NULL }, "xenctl+ssh://[2001:db8::1]:22",
      { SSH, "ssh://[2001:db8::1]:22", FAR }, NULL },
    { "another transport", { NULL }, { "rsh", "100%%h", "-h%h.lan", "%d", "%h", "%" },
      "xenctl+ssh://n1", { "rsh", "100%h", "-hn1.lan", "%d", "n1", "%", FAR }, NULL },
    { "its command does not count", { "/opt/imig", "agent" }, { NULL }, "xenctl+ssh://n1",
      { SSH, "n1", FAR }, NULL },
    { "nothing here", { NULL }, { NULL }, "agent:", { NULL }, "no URI follows agent:" },
    { "an option", { NULL }, { NULL }, "agent:--help", { NULL }, "no URI follows agent:" },
    { "no host", { NULL }, { NULL }, "xenctl+ssh://", { NULL }, "[USER@]HOST[:PORT]" },
    { "no host, a user", { NULL }, { NULL }, "xenctl+ssh://root@", { NULL }, "[USER@]HOST[:PORT]" },
    { "a host like an option", { NULL }, { NULL }, "xenctl+ssh://-oProxyCommand=x", { NULL },
      "[USER@]HOST[:PORT]" },
    { "a user like an option", { NULL }, { NULL }, "xenctl+ssh://-l@node1", { NULL },
      "[USER@]HOST[:PORT]" },
    { "two users", { NULL }, { NULL }, "xenctl+ssh://a@b@node1", { NULL }, "[USER@]HOST[:PORT]" },
    { "a host like a command", { NULL }, { NULL }, "xenctl+ssh://n1;reboot", { NULL },
      "[USER@]HOST[:PORT]" },
    { "no port", { NULL }, { NULL }, "xenctl+ssh://node1:", { NULL }, "[USER@]HOST[:PORT]" },
    { "port 0", { NULL }, { NULL }, "xenctl+ssh://node1:0", { NULL }, "[USER@]HOST[:PORT]" },
    { "port 65536", { NULL }, { NULL }, "xenctl+ssh://node1:65536", { NULL },
      "[USER@]HOST[:PORT]" },
    { "an address cut off", { NULL }, { NULL }, "xenctl+ssh://[fe80::1", { NULL },
      "[USER@]HOST[:PORT]" },
    { "an empty address", { NULL }, { NULL }, "xenctl+ssh://[]", { NULL }, "[USER@]HOST[:PORT]" },
    { "a path", { NULL }, { NULL }, "xenctl+ssh://node1/system", { NULL },
      "nothing may follow the host" },
    { "a query", { NULL }, { NULL }, "xenctl+ssh://node1?x=1", { NULL },
      "nothing may follow the host" },
};

static void
each_word_is_as_wanted(void **state)
{
    const struct command_case *c = *state;
    imig_agent_options options = IMIG_AGENT_OPTIONS_INIT;
    imig__agent_settings settings;
    imig_error *error = NULL;
    char **argv = NULL;
    int code;

    options.command = c->command[0] ? c->command : NULL;
    options.transport = c->transport[0] ? c->transport : NULL;
    assert_int_equal(imig__agent_settings_init(&settings, &options, NULL), IMIG_OK);
    assert_true(settings.timeout_s == 30);
    assert_int_equal(imig__agent_probe(c->uri), 1);
    code = imig__agent_command(&settings, c->uri, &argv, &error);
    if (c->says) {
        assert_int_equal(code, IMIG_ERR_ARGUMENT);
        assert_null(argv);
        assert_non_null(strstr(imig_error_message(error), c->says));
        imig_error_free(error);
    } else {
        assert_int_equal(code, IMIG_OK);
        for (size_t i = 0; c->want[i] || argv[i]; i++)
            assert_string_equal(argv[i] ? argv[i] : "nothing", c->want[i] ? c->want[i] : "nothing");
        g_strfreev(argv);
    }
    imig__agent_settings_clear(&settings);
}

static void
agents_are_told_that_dirty_pages_may_be_logged(void **state)
{
    static const struct {
        const char *uri, *want;
    } rows[] = {
        { "agent:xenctl:", "imig agent --measure-dirty xenctl:" },
        { "xenctl+ssh://h", "ssh -T -o BatchMode=yes h imig agent --measure-dirty xenctl:" },
    };

    (void) state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        imig_context *context = imig_context_new();
        char **argv, *line;

        /* Whatever else of agents is set afterwards. */
        assert_int_equal(imig_context_set_process(context, IMIG_PROCESS_MEASURE_DIRTY, NULL),
                         IMIG_OK);
        assert_int_equal(imig_context_set_agent(context, NULL, NULL), IMIG_OK);
        assert_int_equal(imig__agent_command(imig__context_agent(context), rows[i].uri, &argv,
                                             NULL), IMIG_OK);
        line = g_strjoinv(" ", argv);
        assert_string_equal(line, rows[i].want);
        g_free(line);
        g_strfreev(argv);
        imig_context_unref(context);
    }
}

static void
libvirt_s_own_transports_stay_libvirt_s(void **state)
{
    static const char *const others[] = {
        "qemu+ssh://host/system", "xen+ssh://host/", "xenctl:", "xenctl+tls://host", "sim:agent:x",
        "agents:x", "xenctl+ssh:host", "",
    };

    (void) state;
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
        assert_int_equal(imig__agent_probe(others[i]), 0);
}

static void
the_far_side_sees_its_own_uris(void **state)
{
    (void) state;
    assert_string_equal(imig__agent_far_uri("agent:qemu+ssh://b/system"), "qemu+ssh://b/system");
    assert_string_equal(imig__agent_far_uri("xenctl+ssh://b"), "xenctl+ssh://b");
}

int
main(void)
{
    struct CMUnitTest tests[3 + G_N_ELEMENTS(cases)] = {
        cmocka_unit_test(libvirt_s_own_transports_stay_libvirt_s),
        cmocka_unit_test(agents_are_told_that_dirty_pages_may_be_logged),
        cmocka_unit_test(the_far_side_sees_its_own_uris),
    };
    size_t count = 3;

    ROWS(cases, each_word_is_as_wanted);
    return cmocka_run_group_tests_name("agent-uri", tests, NULL, NULL);
}
