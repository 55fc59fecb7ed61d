/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-hosts.h"

/* ---- URIs ---- */

static const struct uri_case {
    const char *uri;
    int code;
    const char *want; /* "uri migrate id", or what the message says */
} uri_cases[] = {
    { "fake:A", IMIG_OK, "fake:A - -" },
    { "fake:A,migrate=tcp://h:1", IMIG_OK, "fake:A tcp://h:1 -" },
    { "fake:A,id=rack1,migrate=tcp://h", IMIG_OK, "fake:A tcp://h rack1" },
    { "fake:A,b", IMIG_OK, "fake:A,b - -" },
    { "fake:A?x=1", IMIG_OK, "fake:A?x=1 - -" },
    { "fake:A,colour=red", IMIG_ERR_ARGUMENT, "\"colour\" is not known" },
    { "fake:A,id=", IMIG_ERR_ARGUMENT, "\"id\" is empty" },
    { "fake:A,id=a,id=b", IMIG_ERR_ARGUMENT, "\"id\" comes twice" },
    { ",id=a", IMIG_ERR_ARGUMENT, "no URI" },
    { "", IMIG_ERR_ARGUMENT, "empty" },
    { NULL, IMIG_ERR_ARGUMENT, "NULL" },
};

static void
a_uri_may_have_options(void **state)
{
    (void) state;
    for (size_t i = 0; i < G_N_ELEMENTS(uri_cases); i++) {
        const struct uri_case *c = &uri_cases[i];
        imig_connection *connection;
        imig_error *error = NULL;

        assert_int_equal(connect_to(&c->uri, 1, &connection, &error), c->code);
        if (c->code == IMIG_OK) {
            const imig__member *m = &connection->members[0];
            char *got = g_strdup_printf("%s %s %s", m->uri, m->migrate_uri ? m->migrate_uri : "-",
                                        m->id ? m->id : "-");

            assert_string_equal(got, c->want);
            g_free(got);
            imig_connection_unref(connection);
        } else if (!strstr(imig_error_message(error), c->want)) {
            fail_msg("\"%s\" does not say \"%s\"", imig_error_message(error), c->want);
        }
        imig_error_free(error);
    }
}

/* ---- several hosts as one ---- */

static void
samples_of_all_are_one(void **state)
{
    imig_connection *connection = connect_abc();
    imig_sample *sample;
    const imig_cluster *c;

    (void) state;
    assert_int_equal(imig__connection_sample(connection, &sample, NULL), IMIG_OK);
    c = sample->cluster;
    assert_int_equal(c->host_count, 3);
    assert_string_equal(c->hosts[1].id, "B");
    assert_int_equal(c->vm_count, 4);
    assert_string_equal(c->vms[1].id, "pinned2");
    assert_int_equal(c->vms[1].host, 1);
    assert_int_equal(c->vms[1].host_count, 1);
    assert_int_equal(c->vms[1].hosts[0], 1); /* an index of this sample, not of its backend's */
    assert_int_equal(c->vms[3].host, 2);
    assert_true(sample->counters[3].cpu_s == 7);
    assert_int_equal(c->flow_count, 1);
    assert_int_equal(c->flows[0].a, 1);
    assert_int_equal(c->flows[0].b, 2);
    assert_true(c->flows[0].bytes_per_s == 5000);
    assert_int_equal(c->rule_count, 1);
    assert_int_equal(c->rules[0].vms[1], 2);
    imig__sample_free(sample);
    imig_connection_unref(connection);
}

static void
a_vm_that_is_moving_is_seen_once_on_its_source(void **state)
{
    static const struct { const char *from, *to; uint32_t host; } ways[] = {
        { "A", "C", 0 }, /* the copy that runs is seen first */
        { "C", "A", 2 }, /* the copy that waits is */
    };

    (void) state;
    for (size_t way = 0; way < G_N_ELEMENTS(ways); way++) {
        imig_connection *connection = connect_abc();
        imig_sample *sample;

        world.vms[2].host = ways[way].from;
        world.vms[2].to = ways[way].to;
        world.vms[2].until_s = 9;
        assert_int_equal(imig__connection_sample(connection, &sample, NULL), IMIG_OK);
        assert_int_equal(sample->cluster->vm_count, 4);
        for (size_t i = 0; i < 4; i++)
            if (strcmp(sample->cluster->vms[i].id, "v3") == 0) {
                assert_int_equal(sample->cluster->vms[i].host, ways[way].host);
                assert_true(sample->counters[i].cpu_s == 7);
            }
        imig__sample_free(sample);
        imig_connection_unref(connection);
    }
}

static const struct sample_case {
    const char *name;
    const char *uris[2];
    const char *says;
} sample_cases[] = {
    { "two hosts of one id: both URIs are named", { "fake:twin1", "fake:twin2" },
      "fake:twin1 and fake:twin2 both show a host \"twin\"" },
    { "id= cannot stand for two hosts", { "fake:many,id=x", "fake:A" }, "here are 2" },
    { "an id may clash with a host", { "fake:A,id=B", "fake:B" }, "both show a host \"B\"" },
};

static void
samples_that_cannot_be_one_are_refused(void **state)
{
    const struct sample_case *c = *state;
    imig_connection *connection;
    imig_sample *sample = NULL;
    imig_error *error = NULL;

    assert_int_equal(connect_to(c->uris, 2, &connection, NULL), IMIG_OK);
    assert_int_equal(imig__connection_sample(connection, &sample, &error), IMIG_ERR_INVALID);
    assert_null(sample);
    if (!strstr(imig_error_message(error), c->says))
        fail_msg("\"%s\" does not say \"%s\"", imig_error_message(error), c->says);
    imig_error_free(error);
    imig_connection_unref(connection);
}

static void
id_stands_for_the_host_everywhere(void **state)
{
    static const char *const uris[] = { "fake:A,id=left", "fake:B,id=right" };
    imig_migration m = IMIG_MIGRATION_INIT;
    imig_location location = { .size = sizeof location };
    imig_connection *connection;
    imig_sample *sample;
    uint64_t job;

    (void) state;
    assert_int_equal(connect_to(uris, 2, &connection, NULL), IMIG_OK);
    assert_int_equal(imig__connection_sample(connection, &sample, NULL), IMIG_OK);
    assert_string_equal(sample->cluster->hosts[1].id, "right");
    imig__sample_free(sample);
    assert_int_equal(imig_connection_locate(connection, "v3", &location, NULL), IMIG_OK);
    assert_string_equal(location.host, "right");
    m.vm = "v1";
    m.from = "left";
    m.to = "right";
    assert_int_equal(imig_connection_migrate(connection, &m, &job, NULL), IMIG_OK);
    assert_string_equal(world.asked, "v1 A B fake:B -"); /* the backend's own names */
    imig_connection_unref(connection);
}

static void
where_a_vm_is_takes_who_runs_it(void **state)
{
    imig_connection *connection = connect_abc();
    imig_location location = { .size = sizeof location };
    imig_error *error = NULL;

    (void) state;
    assert_int_equal(imig_connection_locate(connection, "v3", &location, NULL), IMIG_OK);
    assert_string_equal(location.host, "B");
    assert_int_equal(location.state, IMIG_VM_RUNNING);
    world.vms[2].to = "A"; /* A knows it as paused, and is asked first */
    world.vms[2].until_s = 9;
    assert_int_equal(imig_connection_locate(connection, "v3", &location, NULL), IMIG_OK);
    assert_string_equal(location.host, "B");
    assert_int_equal(location.state, IMIG_VM_MOVING);
    assert_int_equal(imig_connection_locate(connection, "nobody", &location, NULL), IMIG_OK);
    assert_string_equal(location.host, "");
    assert_int_equal(location.state, IMIG_VM_ABSENT);

    /* A host that is down is no matter where another one runs the VM; else nobody knows. */
    world.down = "C";
    assert_int_equal(imig_connection_locate(connection, "v1", &location, NULL), IMIG_OK);
    assert_string_equal(location.host, "A");
    assert_int_equal(imig_connection_locate(connection, "shy", &location, &error),
                     IMIG_ERR_BACKEND);
    assert_int_equal(imig_error_backend_code(error), 38);
    assert_string_equal(location.host, "A"); /* untouched */
    imig_error_free(error);
    imig_connection_unref(connection);
}

static void
a_small_location_of_an_older_caller_is_refused(void **state)
{
    imig_connection *connection = connect_abc();
    imig_location location = { .size = 8 };

    (void) state;
    assert_int_equal(imig_connection_locate(connection, "v1", &location, NULL), IMIG_ERR_ABI);
    imig_connection_unref(connection);
}

static void
strange_answers_become_errors_with_words(void **state)
{
    imig_connection *connection = connect_abc();
    imig_location location = { .size = sizeof location };

    (void) state;
    for (int code = -99; code <= 99; code += 198) {
        imig_error *error = NULL;

        world.strange_code = code;
        assert_int_equal(imig_connection_locate(connection, "v1", &location, &error),
                         IMIG_ERR_BACKEND);
        assert_string_equal(imig_error_message(error), "fake:A: locate failed without a reason");
        imig_error_free(error);
    }
    imig_connection_unref(connection);
}

static void
null_is_an_argument_error(void **state)
{
    imig_context *context = imig_context_new();
    imig_connection *connection = connect_abc();
    imig_job job = { .size = sizeof job };
    imig_location location = { .size = sizeof location };
    imig_migration m = IMIG_MIGRATION_INIT;
    uint64_t number;
    double d;
    size_t one = 1, none = 0;

    (void) state;
    assert_int_equal(imig_connect(NULL, abc, 3, &connection, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_connect(context, NULL, 3, &connection, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_connect(context, abc, 0, &connection, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_connect(context, abc, 3, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_true(isnan(imig_connection_clock(NULL)));
    assert_int_equal(imig_connection_wait(NULL, 1, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_connection_wait(connection, INFINITY, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_connection_locate(NULL, "v1", &location, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_connection_locate(connection, NULL, &location, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_connection_locate(connection, "v1", NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_connection_check(connection, NULL, "A", NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_connection_check(connection, "v1", NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_connection_migrate(NULL, &m, &number, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_connection_migrate(connection, NULL, &number, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_connection_migrate(connection, &m, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_connection_poll(connection, 1, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_connection_poll(NULL, 1, &job, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_connection_result(NULL, 1, &job, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_connection_cancel(NULL, 1, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_connection_dirty(connection, "v1", 1, &one, NULL, &d, NULL),
                     IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_connection_dirty(connection, "v1", 1, &one, &d, NULL, NULL),
                     IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_connection_dirty(connection, "v1", 1, NULL, &d, &d, NULL),
                     IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_connection_dirty(connection, "v1", 1, &none, &d, &d, NULL),
                     IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_connection_dirty_cancellable(connection, NULL, 1, NULL, &one, &d, &d,
                                                       NULL), IMIG_ERR_ARGUMENT);
    assert_null(imig_connection_ref(NULL));
    imig_connection_unref(NULL);
    imig_connection_unref(connection);
    imig_context_unref(context);
}

int
main(void)
{
    const struct CMUnitTest single[] = {
        cmocka_unit_test(a_uri_may_have_options),
        cmocka_unit_test(samples_of_all_are_one),
        cmocka_unit_test(a_vm_that_is_moving_is_seen_once_on_its_source),
        cmocka_unit_test(id_stands_for_the_host_everywhere),
        cmocka_unit_test(where_a_vm_is_takes_who_runs_it),
        cmocka_unit_test(a_small_location_of_an_older_caller_is_refused),
        cmocka_unit_test(strange_answers_become_errors_with_words),
        cmocka_unit_test(null_is_an_argument_error),
    };
    enum { SINGLE = sizeof single / sizeof *single };
    struct CMUnitTest tests[SINGLE + G_N_ELEMENTS(sample_cases)];
    size_t n = SINGLE;

#define ROWS(table, function) \
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) \
        tests[n++] = (struct CMUnitTest) { .name = table[i].name, .test_func = function, \
                                           .initial_state = (void *) &table[i] };
    memcpy(tests, single, sizeof single);
    ROWS(sample_cases, samples_that_cannot_be_one_are_refused)
    return cmocka_run_group_tests_name("connect", tests, NULL, NULL);
}
