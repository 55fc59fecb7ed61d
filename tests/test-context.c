/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/connect-priv.h"
#include "context/context-priv.h"

#include <gmodule.h>
#include <imig/connect.h>
#include <imig/context.h>
#include <imig/monitor.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

/* Backends before those of the program and of modules. */
enum { BUILT_IN = 2 };

/* Where the modules made from module-example.c are. */
static const char *
modules(void)
{
    const char *directory = g_getenv("IMIG_TEST_MODULES");

    assert_non_null(directory);
    return directory;
}

/* ---- a backend of the program's own ---- */

static int
own_probe(const char *uri)
{
    return strncmp(uri, "own:", 4) == 0 || strncmp(uri, "sim:own", 7) == 0;
}

static int
own_open(const char *uri, void **ret_state, imig_error **error)
{
    (void) error;
    *ret_state = g_strdup(uri);
    return IMIG_OK;
}

static double
own_clock(void *state)
{
    (void) state;
    return 17;
}

static int
own_sample(void *state, imig_sample *into, imig_error **error)
{
    (void) state;
    (void) into;
    (void) error;
    return IMIG_OK;
}

static int
own_locate(void *state, const char *vm, imig_location *into, imig_error **error)
{
    (void) state;
    (void) vm;
    (void) into;
    (void) error;
    return IMIG_OK;
}

static int
own_wait(void *state, double deadline_s, imig_error **error)
{
    (void) state;
    (void) deadline_s;
    (void) error;
    return IMIG_OK;
}

static const imig_backend_ops own_ops = {
    .size = sizeof own_ops, .name = "own", .probe = own_probe, .open = own_open, .close = g_free,
    .clock = own_clock, .sample = own_sample, .locate = own_locate, .wait = own_wait,
};

static int
never_read(void *state, const char *vm, imig_dirty_point *into, imig_error **error)
{
    (void) state;
    (void) vm;
    (void) into;
    return imig_error_set(error, IMIG_ERR_UNSUPPORTED, 0, "never");
}

static int
never_start(void *state, const char *vm, imig_error **error)
{
    return never_read(state, vm, NULL, error);
}

static int
never_migrate(void *state, const imig_migration *migration, uint64_t *job, imig_error **error)
{
    (void) job;
    return never_read(state, migration->vm, NULL, error);
}

/* ---- register ---- */

static void
a_context_begins_with_sim_and_agent(void **state)
{
    imig_context *context = imig_context_new();

    (void) state;
    assert_string_equal(imig_context_backend_name(context, 0), "sim");
    assert_string_equal(imig_context_backend_name(context, 1), "agent");
    assert_null(imig_context_backend_name(context, BUILT_IN));
    assert_null(imig_context_backend_name(NULL, 0));
    imig_context_unref(context);
    imig_context_unref(NULL);
}

static void
a_program_s_own_backend_takes_its_uris_even_from_sim(void **state)
{
    imig_context *context = imig_context_new();
    const char *uris[] = { "own:x", "sim:own" };

    (void) state;
    assert_int_equal(imig_context_register_backend(context, &own_ops, NULL), IMIG_OK);
    assert_string_equal(imig_context_backend_name(context, BUILT_IN), "own");
    for (size_t i = 0; i < G_N_ELEMENTS(uris); i++) {
        imig_connection *connection;
        imig_error *error = NULL;

        assert_int_equal(imig_connect(context, &uris[i], 1, &connection, &error), IMIG_OK);
        assert_null(error);
        assert_true(imig_connection_clock(connection) == 17);
        imig_connection_unref(connection);
    }
    imig_context_unref(context);
}

static void
a_connection_holds_its_context(void **state)
{
    imig_context *context = imig_context_new();
    imig_connection *connection;
    const char *uri = "own:x";

    (void) state;
    assert_int_equal(imig_context_register_backend(context, &own_ops, NULL), IMIG_OK);
    assert_int_equal(imig_connect(context, &uri, 1, &connection, NULL), IMIG_OK);
    imig_context_unref(context);
    assert_int_equal(imig_connection_wait(connection, 20, NULL), IMIG_OK);
    imig_connection_unref(connection);
}

#define WITHOUT(slot) \
    static void without_##slot(imig_backend_ops *ops) { ops->slot = NULL; }

WITHOUT(name)
WITHOUT(probe)
WITHOUT(open)
WITHOUT(close)
WITHOUT(clock)
WITHOUT(sample)
WITHOUT(locate)
WITHOUT(wait)

static void
half_dirty(imig_backend_ops *ops)
{
    ops->dirty_start = never_start;
    ops->dirty_read = never_read;
}

static void
half_migrate(imig_backend_ops *ops)
{
    ops->migrate = never_migrate;
}

static void
short_size(imig_backend_ops *ops)
{
    ops->size -= sizeof(void *);
}

static void
taken_name(imig_backend_ops *ops)
{
    ops->name = "sim";
}

static const struct refused_case {
    const char *name;
    void (*spoil)(imig_backend_ops *ops);
    int code;
    const char *says;
} refused[] = {
    { "no name", without_name, IMIG_ERR_ARGUMENT, "name is missing" },
    { "no probe", without_probe, IMIG_ERR_ARGUMENT, "probe is missing" },
    { "no open", without_open, IMIG_ERR_ARGUMENT, "open is missing" },
    { "no close", without_close, IMIG_ERR_ARGUMENT, "close is missing" },
    { "no clock", without_clock, IMIG_ERR_ARGUMENT, "clock is missing" },
    { "no sample", without_sample, IMIG_ERR_ARGUMENT, "sample is missing" },
    { "no locate", without_locate, IMIG_ERR_ARGUMENT, "locate is missing" },
    { "no wait", without_wait, IMIG_ERR_ARGUMENT, "wait is missing" },
    { "dirty_start without dirty_stop", half_dirty, IMIG_ERR_ARGUMENT, "dirty_stop is missing" },
    { "migrate without poll", half_migrate, IMIG_ERR_ARGUMENT, "poll is missing" },
    { "a size that was never released", short_size, IMIG_ERR_ABI, "size" },
    { "a name that is taken", taken_name, IMIG_ERR_ARGUMENT, "\"sim\" already" },
};

static void
a_backend_that_is_not_whole_is_refused(void **state)
{
    const struct refused_case *c = *state;
    imig_context *context = imig_context_new();
    imig_backend_ops ops = own_ops;
    imig_error *error = NULL;

    c->spoil(&ops);
    assert_int_equal(imig_context_register_backend(context, &ops, &error), c->code);
    assert_int_equal(imig_error_code(error), c->code);
    assert_non_null(strstr(imig_error_message(error), c->says));
    assert_null(imig_context_backend_name(context, BUILT_IN));
    imig_error_free(error);
    imig_context_unref(context);
}

static void
null_is_an_argument_error(void **state)
{
    imig_context *context = imig_context_new();

    (void) state;
    assert_int_equal(imig_context_register_backend(NULL, &own_ops, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_context_register_backend(context, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_context_set_module_directory(NULL, "/", NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_context_set_module_directory(context, "", NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_context_set_module_directory(context, NULL, NULL), IMIG_OK);
    imig_context_unref(context);
}

/* ---- modules ---- */

typedef struct heard {
    GString *lines;
    int destroyed;
} heard;

static void
hear(int32_t level, const char *line, void *user_data)
{
    heard *h = user_data;

    g_string_append_printf(h->lines, "%d %s\n", level, line);
}

static void
end_hearing(void *user_data)
{
    ((heard *) user_data)->destroyed++;
}

static imig_context *
context_with_modules(void)
{
    imig_context *context = imig_context_new();

    assert_int_equal(imig_context_set_module_directory(context, modules(), NULL), IMIG_OK);
    return context;
}

static void
a_module_is_loaded_by_its_scheme_and_observed(void **state)
{
    static const char *const uris[] = { "example:one", "example+ssh://two" };
    imig_monitor_options options = IMIG_MONITOR_OPTIONS_INIT;

    (void) state;
    options.set = IMIG_MONITOR_HAS_DIRTY_FOR;
    for (size_t i = 0; i < G_N_ELEMENTS(uris); i++) {
        imig_context *context = context_with_modules();
        imig_connection *connection;
        imig_cluster *cluster;
        imig_error *error = NULL;

        assert_int_equal(imig_connect(context, &uris[i], 1, &connection, &error), IMIG_OK);
        assert_null(error);
        assert_string_equal(imig_context_backend_name(context, BUILT_IN), "example");
        assert_int_equal(imig_observe(connection, 20, &options, &cluster, &error), IMIG_OK);
        assert_int_equal(imig_cluster_vm_count(cluster), 1);
        assert_true(imig_cluster_vm_demand_cores(cluster, 0) == 0.5);
        imig_cluster_unref(cluster);
        imig_connection_unref(connection);
        imig_context_unref(context);
    }
}

/* What a thread of the module might do after everything that used it has ended. */
static void
log_from_the_example(void)
{
    char *path = g_build_filename(modules(), "example.so", NULL);
    GModule *module = g_module_open(path, G_MODULE_BIND_LOCAL);
    union { void *object; void (*function)(void); } log_line = { NULL };

    assert_non_null(module);
    assert_true(g_module_symbol(module, "imig_example_log", &log_line.object));
    log_line.function();
    g_module_close(module);
    g_free(path);
}

static void
one_module_serves_two_contexts_and_outlives_them(void **state)
{
    const char *uri = "example:one";
    heard h[2] = { { g_string_new(NULL), 0 }, { g_string_new(NULL), 0 } };

    (void) state;
    for (int i = 0; i < 2; i++) {
        imig_context *context = context_with_modules();
        imig_connection *connection;

        imig_context_set_log(context, IMIG_LOG_INFO, hear, &h[i], end_hearing);
        assert_int_equal(imig_connect(context, &uri, 1, &connection, NULL), IMIG_OK);
        assert_int_equal(h[i].destroyed, 0);
        imig_connection_unref(connection);
        imig_context_unref(context);
        assert_int_equal(h[i].destroyed, 1);
        assert_non_null(strstr(h[i].lines->str, "2 the example opens\n"));
        g_string_truncate(h[i].lines, 0);
        log_from_the_example();
        assert_string_equal(h[i].lines->str, ""); /* nobody listens any more, and nothing breaks */
        g_string_free(h[i].lines, TRUE);
    }
}

static void
a_hook_hears_its_levels_only(void **state)
{
    imig_context *context = imig_context_new();
    heard h = { g_string_new(NULL), 0 };

    (void) state;
    imig_context_set_log(context, IMIG_LOG_WARNING, hear, &h, end_hearing);
    imig__context_log(context, IMIG_LOG_WARNING, "one\nline of %d", 7);
    imig__context_log(context, IMIG_LOG_INFO, "not heard");
    assert_string_equal(h.lines->str, "1 one line of 7\n");
    imig_context_set_log(context, IMIG_LOG_DEBUG, NULL, NULL, NULL);
    assert_int_equal(h.destroyed, 1);
    imig__context_log(context, IMIG_LOG_ERROR, "nobody listens");
    imig_context_unref(context);
    imig_context_set_log(NULL, IMIG_LOG_DEBUG, hear, &h, end_hearing); /* passed on, all the same */
    assert_int_equal(h.destroyed, 2);
    assert_string_equal(h.lines->str, "1 one line of 7\n");
    g_string_free(h.lines, TRUE);
}

static void
without_a_module_the_scheme_falls_to_libvirt(void **state)
{
    char *directory = g_build_filename(modules(), "fallback", NULL);
    static const char *const uris[] = { "qemu+ssh://host/system", "xen:///", "no scheme" };

    (void) state;
    for (size_t i = 0; i < G_N_ELEMENTS(uris); i++) {
        imig_context *context = imig_context_new();
        imig_connection *connection;

        assert_int_equal(imig_context_set_module_directory(context, directory, NULL), IMIG_OK);
        assert_int_equal(imig_connect(context, &uris[i], 1, &connection, NULL), IMIG_OK);
        assert_string_equal(imig_context_backend_name(context, BUILT_IN), "takes-all");
        imig_connection_unref(connection);
        imig_context_unref(context);
    }
    g_free(directory);
}

static const struct broken_case {
    const char *name, *uri;
    int code;
    const char *says;
} broken[] = {
    { "no module", "nothere:x", IMIG_ERR_UNSUPPORTED, "no backend takes this URI" },
    { "no scheme, no libvirt", "plain", IMIG_ERR_UNSUPPORTED, "no backend takes this URI" },
    { "no way out of the directory", "../fallback/libvirt:x", IMIG_ERR_UNSUPPORTED, "no backend" },
    { "not a module at all", "garbage:x", IMIG_ERR_UNSUPPORTED, "garbage.so" },
    { "no entry", "noentry:x", IMIG_ERR_UNSUPPORTED, "imig_backend_entry" },
    { "an entry that fails", "fails:x", IMIG_ERR_BACKEND, "there is no example here" },
    { "of another interface", "otherage:x", IMIG_ERR_ABI, "size" },
    { "without a mandatory operation", "incomplete:x", IMIG_ERR_ARGUMENT, "wait is missing" },
    { "open fails", "example:refuse", IMIG_ERR_BACKEND, "example:refuse: the example refuses" },
};

static void
what_cannot_be_loaded_is_said(void **state)
{
    const struct broken_case *c = *state;
    imig_context *context = context_with_modules();
    imig_connection *connection = (void *) &broken;
    imig_error *error = NULL;

    assert_int_equal(imig_connect(context, &c->uri, 1, &connection, &error), c->code);
    assert_ptr_equal(connection, &broken); /* untouched */
    assert_int_equal(imig_error_code(error), c->code);
    if (!strstr(imig_error_message(error), c->says))
        fail_msg("\"%s\" does not say \"%s\"", imig_error_message(error), c->says);
    assert_non_null(strstr(imig_error_message(error), c->uri));
    if (c->code == IMIG_ERR_BACKEND && strstr(c->uri, "refuse"))
        assert_int_equal(imig_error_backend_code(error), 38);
    imig_error_free(error);
    imig_context_unref(context);
}

static void
what_the_process_has_is_said_once(void **state)
{
    imig_context *context = imig_context_new();

    (void) state;
    assert_int_equal(imig_context_set_process(context, IMIG_PROCESS_HAS_EVENT_LOOP |
                                              IMIG_PROCESS_QUIET, NULL), IMIG_OK);
    assert_int_equal(imig_context_set_process(context, UINT64_C(1) << 63, NULL),
                     IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_context_set_process(NULL, 0, NULL), IMIG_ERR_ARGUMENT);
    imig_context_unref(context);
}

#define ROW(table, i, function) \
    (struct CMUnitTest) { .name = table[i].name, .test_func = function, \
                          .initial_state = (void *) &table[i] }

int
main(void)
{
    const struct CMUnitTest single[] = {
        cmocka_unit_test(a_context_begins_with_sim_and_agent),
        cmocka_unit_test(a_program_s_own_backend_takes_its_uris_even_from_sim),
        cmocka_unit_test(a_connection_holds_its_context),
        cmocka_unit_test(null_is_an_argument_error),
        cmocka_unit_test(a_module_is_loaded_by_its_scheme_and_observed),
        cmocka_unit_test(one_module_serves_two_contexts_and_outlives_them),
        cmocka_unit_test(what_the_process_has_is_said_once),
        cmocka_unit_test(a_hook_hears_its_levels_only),
        cmocka_unit_test(without_a_module_the_scheme_falls_to_libvirt),
    };
    enum { SINGLE = sizeof single / sizeof *single, REFUSED = sizeof refused / sizeof *refused,
           BROKEN = sizeof broken / sizeof *broken };
    struct CMUnitTest tests[SINGLE + REFUSED + BROKEN];

    memcpy(tests, single, sizeof single);
    for (size_t i = 0; i < REFUSED; i++)
        tests[SINGLE + i] = ROW(refused, i, a_backend_that_is_not_whole_is_refused);
    for (size_t i = 0; i < BROKEN; i++)
        tests[SINGLE + REFUSED + i] = ROW(broken, i, what_cannot_be_loaded_is_said);
    return cmocka_run_group_tests_name("context", tests, NULL, NULL);
}
