/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a URI holds that nobody but its backend may see. */

#include "fake-hosts.h"

static const struct shown_case {
    const char *uri, *want;
} shown_cases[] = {
    { "qemu+ssh://root@host/system", "qemu+ssh://root@host/system" },
    { "qemu+tls://user:secret@host/system", "qemu+tls://user:***@host/system" },
    { "esx://user:p%40ss:w@host", "esx://user:***@host" },
    { "esx://user:p@ss@host", "esx://user:***@host" },
    { "esx://user:a/b@host", "esx://user:***@host" },
    { "esx://user:@host", "esx://user:@host" },
    { "qemu+ssh://[::1]:22/system", "qemu+ssh://[::1]:22/system" },
    { "qemu+ssh://host:22/system?user=me@here", "qemu+ssh://host:22/system?user=me@here" },
    { "qemu+unix:///a:b@c/sock", "qemu+unix:///a:b@c/sock" },
    { "sim:/tmp/a:b@c.json", "sim:/tmp/a:b@c.json" },
    { "mycloud:user:secret@eu-1", "mycloud:user:***@eu-1" },
    { "agent:qemu+ssh://u:secret@h/system", "agent:qemu+ssh://u:***@h/system" },
    { "x://h/?password=a1b2&n=1", "x://h/?password=***&n=1" },
    { "x://h/?n=1&PassWD=a1b2;token=t&", "x://h/?n=1&PassWD=***;token=***&" },
    { "x://h/?client_secret=a&api_key=b#d", "x://h/?client_secret=***&api_key=***#d" },
    { "x://h/?keyfile=/root/id&known=1", "x://h/?keyfile=/root/id&known=1" },
    { "x://h/?via=http://u:secret@proxy", "x://h/?via=http://u:***@proxy" },
    { "x://u:one@h,migrate=y://v:two@g,id=n", "x://u:***@h,migrate=y://v:***@g,id=n" },
    { "?password=", "?password=" },
    { "", "" },
};

static void
a_uri_is_shown_without_its_secrets(void **state)
{
    const struct shown_case *c = *state;
    char *shown = imig__uri_shown(c->uri);

    assert_string_equal(shown, c->want);
    g_free(shown);
}

static const struct hidden_case {
    const char *name, *uri, *text, *want;
} hidden_cases[] = {
    { "the URI itself", "x://u:secret@h", "cannot open x://u:secret@h", "cannot open x://u:***@h" },
    { "the secret alone, as often as it comes", "x://u:secret@h", "secret, secrets",
      "***, ***s" },
    { "decoded", "x://u:p%40ss@h", "p@ss and p%40ss", "*** and ***" },
    { "one that is part of another", "x://u:abcd@h?key=abcdef", "abcdef abcd", "*** ***" },
    { "a short one only where it stands alone", "x://u:a1@h", "a1: a10 ba1 u:a1@", "***: a10 ba1 "
      "u:***@" },
    { "a text without any", "x://u:secret@h", "all is well", "all is well" },
    { "a URI without any", "x://h", "x://h", "x://h" },
};

static void
a_text_loses_the_secrets(void **state)
{
    const struct hidden_case *c = *state;
    GPtrArray *secrets = g_ptr_array_new_with_free_func(g_free);
    char *clean;

    imig__secrets_add(secrets, c->uri);
    imig__secrets_add(secrets, c->uri);
    clean = imig__secrets_hide(secrets, c->text);
    assert_string_equal(clean, c->want);
    g_free(clean);
    g_ptr_array_unref(secrets);
}

/* ---- a backend that says everything it was told ---- */

static char *told;

static int
loud_probe(const char *uri)
{
    return g_str_has_prefix(uri, "loud:");
}

static int
say(imig_error **error)
{
    char *message = g_strdup_printf("cannot log in to %s with \"p@ssword\"", told);
    int code = imig_error_set(error, IMIG_ERR_BACKEND, 7, message);

    g_free(message);
    return code;
}

static int
loud_open(const char *uri, void **ret_state, imig_error **error)
{
    g_free(told);
    told = g_strdup(uri);
    *ret_state = &told;
    return strstr(uri, "closed") ? say(error) : IMIG_OK;
}

static void
loud_close(void *state)
{
    (void) state;
}

static double
loud_clock(void *state)
{
    (void) state;
    return 0;
}

static int
loud_sample(void *state, imig_sample *into, imig_error **error)
{
    (void) state;
    (void) into;
    return say(error);
}

static int
loud_locate(void *state, const char *vm, imig_location *into, imig_error **error)
{
    (void) state;
    if (strcmp(vm, "v") != 0)
        return say(error);
    into->state = IMIG_VM_RUNNING;
    g_strlcpy(into->host, "h", sizeof into->host);
    return IMIG_OK;
}

static int
loud_wait(void *state, double deadline_s, imig_error **error)
{
    (void) state;
    (void) deadline_s;
    return say(error);
}

static int
loud_migrate(void *state, const imig_migration *m, uint64_t *ret_job, imig_error **error)
{
    (void) state;
    (void) m;
    (void) error;
    *ret_job = 1;
    return IMIG_OK;
}

static int
loud_poll(void *state, uint64_t job, imig_job *into, imig_error **error)
{
    (void) state;
    (void) job;
    (void) error;
    into->state = IMIG_JOB_FAILED;
    g_snprintf(into->message, sizeof into->message, "lost %s", told);
    return IMIG_OK;
}

static int
loud_cancel(void *state, uint64_t job, imig_error **error)
{
    (void) state;
    (void) job;
    return say(error);
}

static const imig_backend_ops loud_ops = {
    .size = sizeof loud_ops, .name = "loud", .probe = loud_probe, .open = loud_open,
    .close = loud_close, .clock = loud_clock, .sample = loud_sample, .locate = loud_locate,
    .wait = loud_wait, .migrate = loud_migrate, .poll = loud_poll, .cancel = loud_cancel,
    .result = loud_poll,
};

static const char SECRET_URI[] = "loud://user:p%40ssword@h?token=t0ps3cret";
static const char SHOWN[] = "loud://user:***@h?token=***: cannot log in to "
                            "loud://user:***@h?token=*** with \"***\"";

static void
take_line(int32_t level, const char *line, void *user_data)
{
    (void) level;
    g_string_append(user_data, line);
}

/* An installed module would take the URI of nobody. */
static imig_context *
context_without_modules(void)
{
    imig_context *context = imig_context_new();

    imig_context_set_module_directory(context, "/nonexistent", NULL);
    return context;
}

static imig_context *
loud_context(GString *log)
{
    imig_context *context = context_without_modules();

    assert_int_equal(imig_context_register_backend(context, &loud_ops, NULL), IMIG_OK);
    imig_context_set_log(context, IMIG_LOG_DEBUG, take_line, log, NULL);
    return context;
}

static void
assert_says(imig_error *error, const char *want)
{
    assert_string_equal(imig_error_message(error), want);
    assert_int_equal(imig_error_backend_code(error), 7);
    imig_error_free(error);
}

static void
what_a_backend_answers_holds_no_secret(void **state)
{
    const char *uri = SECRET_URI;
    GString *log = g_string_new(NULL);
    imig_context *context = loud_context(log);
    imig_location at = { .size = sizeof at };
    imig_job job = { .size = sizeof job };
    imig_migration m = IMIG_MIGRATION_INIT;
    imig_connection *connection;
    imig_sample *sample;
    imig_error *error = NULL;
    uint64_t number;

    (void) state;
    assert_int_equal(imig_connect(context, &uri, 1, &connection, NULL), IMIG_OK);
    assert_string_equal(told, SECRET_URI); /* it has to log in, after all */
    assert_int_equal(imig__connection_sample(connection, &sample, &error), IMIG_ERR_BACKEND);
    assert_says(error, SHOWN);
    error = NULL;
    assert_int_equal(imig_connection_locate(connection, "w", &at, &error), IMIG_ERR_BACKEND);
    assert_null(strstr(imig_error_message(error), "ssword"));
    imig_error_free(error);
    error = NULL;
    assert_int_equal(imig_connection_wait(connection, 1, &error), IMIG_ERR_BACKEND);
    assert_null(strstr(imig_error_message(error), "ssword"));
    imig_error_free(error);

    m.vm = "v";
    m.to = "g";
    m.to_uri = "loud://g?key=0ther";
    m.migrate_uri = "tcp://u:th1rd@g";
    assert_int_equal(imig_connection_migrate(connection, &m, &number, NULL), IMIG_OK);
    assert_int_equal(imig_connection_result(connection, number, &job, NULL), IMIG_OK);
    assert_string_equal(job.message, "lost loud://user:***@h?token=***");

    g_string_truncate(log, 0);
    imig__context_log(context, IMIG_LOG_INFO, "%s, p@ssword", uri);
    imig__context_log(context, IMIG_LOG_INFO, "; 0ther, th1rd");
    assert_string_equal(log->str, "loud://user:***@h?token=***, ***; ***, ***");
    imig_connection_unref(connection);
    imig_context_unref(context);
    g_string_free(log, TRUE);
}

static const struct refused_case {
    const char *name, *uri, *want;
} refused_cases[] = {
    { "one that cannot be opened", "loud://user:p%40ssword@closed",
      "loud://user:***@closed: cannot log in to loud://user:***@closed with \"***\"" },
    { "an option that is not known", "loud://user:p%40ssword@h,colour=red",
      "loud://user:***@h,colour=red: option \"colour\" is not known" },
    { "a URI of nobody", "nobody://user:p%40ssword@h", "nobody://user:***@h: no backend takes" },
};

static void
what_is_refused_holds_no_secret(void **state)
{
    const struct refused_case *c = *state;
    GString *log = g_string_new(NULL);
    imig_context *context = loud_context(log);
    imig_connection *connection;
    imig_error *error = NULL;

    assert_true(imig_connect(context, &c->uri, 1, &connection, &error) < 0);
    if (!g_str_has_prefix(imig_error_message(error), c->want))
        fail_msg("\"%s\" does not begin with \"%s\"", imig_error_message(error), c->want);
    assert_null(strstr(log->str, "ssword"));
    imig_error_free(error);
    imig_context_unref(context);
    g_string_free(log, TRUE);
}

static int
forget_told(void **state)
{
    (void) state;
    g_free(told);
    return 0;
}

int
main(void)
{
    struct CMUnitTest tests[1 + G_N_ELEMENTS(shown_cases) + G_N_ELEMENTS(hidden_cases)
                            + G_N_ELEMENTS(refused_cases)];
    size_t n = 0;

#define ROWS(table, column, function) \
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) \
        tests[n++] = (struct CMUnitTest) { .name = table[i].column, .test_func = function, \
                                           .initial_state = (void *) &table[i] };
    tests[n++] = (struct CMUnitTest) cmocka_unit_test(what_a_backend_answers_holds_no_secret);
    ROWS(shown_cases, want, a_uri_is_shown_without_its_secrets)
    ROWS(hidden_cases, name, a_text_loses_the_secrets)
    ROWS(refused_cases, name, what_is_refused_holds_no_secret)
    return cmocka_run_group_tests_name("secrets", tests, NULL, forget_told);
}
