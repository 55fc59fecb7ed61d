/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Hosts that hang, vanish and come back. */

#include "fake-hosts.h"

#include <imig/monitor.h>

enum { HOSTS = 3 };

static GString *log_lines;
static imig_connection *connection;

static void
take_line(int32_t level, const char *line, void *user_data)
{
    g_string_append_printf(user_data, "%d %s\n", level, line);
}

/* With this host shut. */
static int
connect_with(const char *shut, int code, imig_error **error)
{
    imig_context *context = begin_world();

    world.shut = shut;
    world.down_code = code;
    imig_context_set_log(context, IMIG_LOG_WARNING, take_line, log_lines, NULL);
    code = imig_connect(context, abc, HOSTS, &connection, error);
    imig_context_unref(context);
    return code;
}

static int
set_up(void **state)
{
    (void) state;
    log_lines = g_string_new(NULL);
    return 0;
}

static int
tear_down(void **state)
{
    (void) state;
    imig_connection_unref(g_steal_pointer(&connection));
    g_string_free(log_lines, TRUE);
    return 0;
}

static void
assert_logged(const char *want)
{
    assert_string_equal(log_lines->str, want);
    g_string_truncate(log_lines, 0);
}

/* "A B- C: v1 shy": its hosts, '-' behind those that are offline, and its VMs. */
static void
assert_sample(const char *want)
{
    imig_sample *sample;
    imig_error *error = NULL;
    GString *got = g_string_new(NULL);

    if (imig__connection_sample(connection, &sample, &error) != IMIG_OK)
        fail_msg("%s", imig_error_message(error));
    for (size_t i = 0; i < sample->cluster->host_count; i++) {
        const imig_host_info *host = &sample->cluster->hosts[i];

        g_string_append_printf(got, "%s%s%s", i ? " " : "", host->id,
                               host->state == IMIG_HOST_OFFLINE ? "-" : "");
        assert_true(host->cpu_cores == 8 && host->memory_bytes == 16e9); /* as last seen */
    }
    g_string_append_c(got, ':');
    for (size_t i = 0; i < sample->cluster->vm_count; i++)
        g_string_append_printf(got, " %s", sample->cluster->vms[i].id);
    assert_string_equal(got->str, want);
    g_string_free(got, TRUE);
    imig__sample_free(sample);
}

/* ---- one goes missing ---- */

static const struct down_case {
    const char *name, *down;
    const char *sample, *line, *log, *back;
} down_cases[] = {
    { "the first one", "A", "A- B C: pinned2 v3 shy", "fake:A: A is down",
      "1 fake:A: A is down; the rest goes on without it\n", "1 fake:A: it is back\n" },
    { "one in the middle", "B", "A B- C: v1 shy", "fake:B: host is down",
      "1 fake:B: host is down; the rest goes on without it\n", "1 fake:B: it is back\n" },
    { "the last one", "C", "A B C-: v1 pinned2 v3", "fake:C: host is down",
      "1 fake:C: host is down; the rest goes on without it\n", "1 fake:C: it is back\n" },
};

static void
a_host_that_vanishes_is_offline_until_it_is_back(void **state)
{
    const struct down_case *c = *state;

    for (int code = IMIG_ERR_TIMEOUT; code <= IMIG_ERR_BACKEND; code++) {
        const imig__host_entry *entry;

        assert_int_equal(connect_with(NULL, code, NULL), IMIG_OK);
        assert_sample("A B C: v1 pinned2 v3 shy");
        assert_null(imig_connection_missing(connection, 0));
        assert_logged("");

        world.down = c->down;
        assert_sample(c->sample);
        assert_logged(c->log);
        assert_sample(c->sample);
        assert_sample(c->sample);
        assert_logged(""); /* said once */
        assert_string_equal(imig_connection_missing(connection, 0), c->line);
        assert_null(imig_connection_missing(connection, 1));
        assert_int_equal(imig__connection_find_host(connection, c->down, &entry, NULL), IMIG_OK);
        assert_string_equal(entry->own_id, c->down);

        world.down = NULL;
        assert_sample("A B C: v1 pinned2 v3 shy");
        assert_logged(c->back);
        assert_sample("A B C: v1 pinned2 v3 shy");
        assert_logged("");
        assert_null(imig_connection_missing(connection, 0));
        imig_connection_unref(g_steal_pointer(&connection));
    }
    assert_null(imig_connection_missing(NULL, 0));
}

static void
one_that_was_never_seen_has_no_hosts(void **state)
{
    const imig__host_entry *entry;

    (void) state;
    assert_int_equal(connect_with(NULL, 0, NULL), IMIG_OK);
    world.down = "B";
    assert_sample("A C: v1 shy");
    assert_int_equal(imig__connection_find_host(connection, "B", &entry, NULL),
                     IMIG_ERR_NOT_FOUND);
}

static void
other_failures_are_failures_of_the_sample(void **state)
{
    static const int codes[] = { IMIG_ERR_INVALID, IMIG_ERR_UNSUPPORTED, IMIG_ERR_ARGUMENT };

    (void) state;
    for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
        imig_error *error = NULL;
        imig_sample *sample;

        assert_int_equal(connect_with(NULL, codes[i], NULL), IMIG_OK);
        world.down = "B";
        assert_int_equal(imig__connection_sample(connection, &sample, &error), codes[i]);
        assert_string_equal(imig_error_message(error), "fake:B: host is down");
        assert_null(imig_connection_missing(connection, 0));
        assert_logged("");
        imig_error_free(error);
        imig_connection_unref(g_steal_pointer(&connection));
    }
}

static void
where_nobody_answers_the_sample_fails(void **state)
{
    static const char *const only[] = { "fake:A" };
    imig_error *error = NULL;
    imig_sample *sample;

    (void) state;
    assert_int_equal(connect_to(only, 1, &connection, NULL), IMIG_OK);
    world.down = "A";
    for (int i = 0; i < 3; i++) {
        assert_int_equal(imig__connection_sample(connection, &sample, &error), IMIG_ERR_BACKEND);
        assert_string_equal(imig_error_message(error), "fake:A: A is down");
        imig_error_free(g_steal_pointer(&error));
        assert_null(imig_connection_missing(connection, 0));
    }
    world.down = NULL;
    assert_sample("A: v1");
}

/* ---- whose VM it is ---- */

static const struct where_case {
    const char *name, *vm, *host;
    int code;
} where_cases[] = {
    { "one that another host runs", "v1", "A", IMIG_OK },
    { "one that nobody shows is not called absent", "nobody", NULL, IMIG_ERR_BACKEND },
    { "one of the host that is missing", "v3", NULL, IMIG_ERR_BACKEND },
};

static void
a_vm_is_not_absent_while_a_host_is_missing(void **state)
{
    const struct where_case *c = *state;

    for (int opened = 0; opened < 2; opened++) {
        imig_location at = { .size = sizeof at };
        imig_error *error = NULL;

        assert_int_equal(connect_with(opened ? NULL : "B", 0, NULL), IMIG_OK);
        world.down = "B";
        if (opened)
            assert_sample("A C: v1 shy");
        assert_int_equal(imig_connection_locate(connection, c->vm, &at, &error), c->code);
        if (c->host)
            assert_string_equal(at.host, c->host);
        else
            assert_string_equal(imig_error_message(error), "fake:B: host is down");
        imig_error_free(error);
        if (!c->host)
            assert_int_equal(imig_connection_check(connection, c->vm, "A", NULL), c->code);
        imig_connection_unref(g_steal_pointer(&connection));
    }
}

static void
a_copy_that_waits_for_a_missing_host_is_no_vm(void **state)
{
    (void) state;
    assert_int_equal(connect_with(NULL, 0, NULL), IMIG_OK);
    assert_sample("A B C: v1 pinned2 v3 shy");
    world.vms[2].to = "A"; /* v3 leaves B */
    world.vms[2].until_s = 9;
    assert_sample("A B C: v1 pinned2 v3 shy");
    world.down = "B";
    assert_sample("A B- C: v1 shy");
    world.vms[2].host = "A"; /* it has arrived */
    world.vms[2].to = NULL;
    assert_sample("A B- C: v1 v3 shy");
}

static void
a_host_that_has_changed_hands_is_shown_once(void **state)
{
    static const char *const twins[] = { "fake:twin1", "fake:twin2" };

    (void) state;
    assert_int_equal(connect_to(twins, 2, &connection, NULL), IMIG_OK);
    world.down = "twin2";
    assert_sample("twin:");
    world.down = "twin1";
    assert_sample("twin:"); /* of the one that answers */
    assert_int_equal(g_hash_table_size(connection->hosts), 1);
}

/* ---- one cannot be opened ---- */

static const struct shut_case {
    const char *name, *shut, *sample, *log;
    double clock_s; /* 1000 where it is B's */
} shut_cases[] = {
    { "the first one cannot be opened", "A", "B C: pinned2 v3 shy",
      "1 fake:A: A is down; the rest goes on without it\n", 1000 },
    { "another one cannot be opened", "B", "A C: v1 shy",
      "1 fake:B: host is down; the rest goes on without it\n", 0 },
};

static void
what_cannot_be_opened_is_tried_again(void **state)
{
    const struct shut_case *c = *state;
    char *line = g_strdup_printf("1 fake:%s: it is back\n", c->shut);
    double clock_s;

    for (int code = IMIG_ERR_TIMEOUT; code <= IMIG_ERR_BACKEND; code++) {
        assert_int_equal(connect_with(c->shut, code, NULL), IMIG_OK);
        assert_logged(c->log);
        assert_non_null(imig_connection_missing(connection, 0));
        assert_null(imig_connection_missing(connection, 1));
        assert_true(imig_connection_clock(connection) == c->clock_s);
        assert_int_equal(imig_connection_wait(connection, c->clock_s + 5, NULL), IMIG_OK);
        assert_true(imig_connection_clock(connection) == c->clock_s + 5);
        assert_sample(c->sample);
        assert_logged("");

        world.shut = NULL;
        clock_s = imig_connection_clock(connection);
        assert_sample("A B C: v1 pinned2 v3 shy");
        assert_logged(line);
        assert_true(imig_connection_clock(connection) == clock_s);
        for (size_t i = 0; i < HOSTS; i++) /* all clocks are told alike */
            assert_true(connection->members[i].ops->clock(connection->members[i].state)
                        - connection->members[i].clock_offset_s == clock_s);
        assert_int_equal(imig_connection_wait(connection, clock_s + 5, NULL), IMIG_OK);
        assert_true(imig_connection_clock(connection) == clock_s + 5);
        imig_connection_unref(g_steal_pointer(&connection));
    }
    g_free(line);
}

static void
where_nothing_can_be_opened_it_fails(void **state)
{
    imig_error *error = NULL;

    (void) state;
    assert_int_equal(connect_with("*", IMIG_ERR_TIMEOUT, &error), IMIG_ERR_TIMEOUT);
    assert_string_equal(imig_error_message(error), "fake:A: A is down");
    assert_null(connection);
    assert_logged("");
    imig_error_free(error);
    error = NULL;
    assert_int_equal(connect_with("B", IMIG_ERR_INVALID, &error), IMIG_ERR_INVALID);
    assert_string_equal(imig_error_message(error), "fake:B: host is down");
    assert_null(connection);
    imig_error_free(error);
}

static void
a_wrong_uri_is_wrong_whoever_answers(void **state)
{
    static const char *const uris[] = { "fake:A", "nobody:B" };
    imig_context *context = begin_world();

    (void) state;
    assert_int_equal(imig_connect(context, uris, 2, &connection, NULL), IMIG_ERR_UNSUPPORTED);
    assert_null(connection);
    assert_int_equal(world.opened, 0);
    imig_context_unref(context);
}

/* ---- time ---- */

static void
the_clock_outlives_its_host(void **state)
{
    (void) state;
    assert_int_equal(connect_with(NULL, 0, NULL), IMIG_OK);
    assert_int_equal(imig_connection_wait(connection, 10, NULL), IMIG_OK);
    world.down = "A"; /* whose clock it is */
    assert_int_equal(imig_connection_wait(connection, 20, NULL), IMIG_OK);
    assert_logged("1 fake:A: A is down; the rest goes on without it\n");
    assert_true(imig_connection_clock(connection) == 20);
    assert_sample("B C: pinned2 v3 shy");
    assert_int_equal(imig_connection_wait(connection, 30, NULL), IMIG_OK);
    assert_true(imig_connection_clock(connection) == 30);
    world.down = NULL;
    assert_sample("A B C: v1 pinned2 v3 shy");
    assert_true(imig_connection_clock(connection) == 30);
    assert_int_equal(imig_connection_wait(connection, 40, NULL), IMIG_OK);
    assert_true(imig_connection_clock(connection) == 40);
}

static void
the_last_one_to_wait_for_fails(void **state)
{
    static const char *const only[] = { "fake:A" };
    imig_error *error = NULL;

    (void) state;
    assert_int_equal(connect_to(only, 1, &connection, NULL), IMIG_OK);
    world.down = "A";
    assert_int_equal(imig_connection_wait(connection, 20, &error), IMIG_ERR_BACKEND);
    assert_string_equal(imig_error_message(error), "fake:A: A is down");
    imig_error_free(error);
}

static void
a_job_of_a_missing_host_can_be_asked_for(void **state)
{
    imig_migration m = IMIG_MIGRATION_INIT;
    imig_job now = { .size = sizeof now };
    uint64_t job;

    (void) state;
    assert_int_equal(connect_with(NULL, 0, NULL), IMIG_OK);
    assert_sample("A B C: v1 pinned2 v3 shy");
    m.vm = "v3";
    m.to = "A";
    assert_int_equal(imig_connection_migrate(connection, &m, &job, NULL), IMIG_OK);
    world.down = "B";
    /* B keeps its state, as long as it has a job: fake_poll() answers. */
    for (int i = 0; i < 3; i++)
        assert_sample("A B- C: v1 shy");
    assert_int_equal(world.opened, HOSTS);
    assert_int_equal(imig_connection_wait(connection, 1, NULL), IMIG_OK);
    assert_true(imig_connection_clock(connection) == 1);
    assert_int_equal(imig_connection_poll(connection, job, &now, NULL), IMIG_OK);
    assert_int_equal(now.state, IMIG_JOB_RUNNING);
    world.down = NULL;
    assert_sample("A B C: v1 pinned2 v3 shy");
    while (now.state == IMIG_JOB_RUNNING) {
        assert_int_equal(imig_connection_wait(connection, 20, NULL), IMIG_OK);
        assert_int_equal(imig_connection_poll(connection, job, &now, NULL), IMIG_OK);
    }
    assert_true(imig_connection_clock(connection) < 20);
    assert_int_equal(imig_connection_result(connection, job, &now, NULL), IMIG_OK);

    world.down = "B"; /* nothing is lost by opening it anew */
    assert_sample("A B- C: v1 v3 shy");
    assert_int_equal(world.opened, HOSTS);
    assert_sample("A B- C: v1 v3 shy");
    assert_int_equal(world.opened, HOSTS + 1);
}

static void
nothing_migrates_to_a_missing_host(void **state)
{
    imig_migration m = IMIG_MIGRATION_INIT;
    imig_error *error = NULL;
    uint64_t job;

    (void) state;
    assert_int_equal(connect_with(NULL, 0, NULL), IMIG_OK);
    assert_sample("A B C: v1 pinned2 v3 shy");
    world.down = "B";
    assert_sample("A B- C: v1 shy");
    m.vm = "v1";
    m.to = "B";
    assert_int_equal(imig_connection_migrate(connection, &m, &job, &error), IMIG_ERR_BACKEND);
    assert_string_equal(imig_error_message(error), "fake:B: host is down");
    imig_error_free(error);
    world.down = NULL; /* which is seen without another sample in between */
    assert_int_equal(imig_connection_migrate(connection, &m, &job, NULL), IMIG_OK);
}

static void
a_host_that_vanishes_is_no_end_to_observing(void **state)
{
    imig_monitor_options o = IMIG_MONITOR_OPTIONS_INIT;
    imig_host_info host = IMIG_HOST_INFO_INIT;
    imig_cluster *cluster;
    imig_monitor *monitor;

    (void) state;
    o.set = IMIG_MONITOR_HAS_DIRTY_FOR;
    assert_int_equal(connect_with(NULL, 0, NULL), IMIG_OK);
    assert_int_equal(imig_monitor_new(connection, &o, &monitor, NULL), IMIG_OK);
    assert_int_equal(imig_monitor_watch(monitor, 30, NULL), IMIG_OK);
    world.down = "B";
    assert_int_equal(imig_monitor_watch(monitor, 30, NULL), IMIG_OK);
    assert_int_equal(imig_monitor_snapshot(monitor, &cluster, NULL), IMIG_OK);
    assert_int_equal(imig_cluster_vm_count(cluster), 2);
    assert_int_equal(imig_cluster_get_host(cluster, 1, &host, NULL), IMIG_OK);
    assert_string_equal(host.id, "B");
    assert_int_equal(host.state, IMIG_HOST_OFFLINE);
    imig_cluster_unref(cluster);
    imig_monitor_free(monitor);
}

int
main(void)
{
#define SINGLE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest single[] = {
        SINGLE(one_that_was_never_seen_has_no_hosts),
        SINGLE(other_failures_are_failures_of_the_sample),
        SINGLE(where_nobody_answers_the_sample_fails),
        SINGLE(a_copy_that_waits_for_a_missing_host_is_no_vm),
        SINGLE(a_host_that_has_changed_hands_is_shown_once),
        SINGLE(where_nothing_can_be_opened_it_fails),
        SINGLE(a_wrong_uri_is_wrong_whoever_answers),
        SINGLE(the_clock_outlives_its_host),
        SINGLE(the_last_one_to_wait_for_fails),
        SINGLE(a_job_of_a_missing_host_can_be_asked_for),
        SINGLE(nothing_migrates_to_a_missing_host),
        SINGLE(a_host_that_vanishes_is_no_end_to_observing),
    };
    struct CMUnitTest tests[G_N_ELEMENTS(single) + G_N_ELEMENTS(down_cases)
                            + G_N_ELEMENTS(where_cases) + G_N_ELEMENTS(shut_cases)];
    size_t n = G_N_ELEMENTS(single);

#define ROWS(table, function) \
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) \
        tests[n++] = (struct CMUnitTest) { .name = table[i].name, .test_func = function, \
                                           .setup_func = set_up, .teardown_func = tear_down, \
                                           .initial_state = (void *) &table[i] };
    memcpy(tests, single, sizeof single);
    ROWS(down_cases, a_host_that_vanishes_is_offline_until_it_is_back)
    ROWS(where_cases, a_vm_is_not_absent_while_a_host_is_missing)
    ROWS(shut_cases, what_cannot_be_opened_is_tried_again)
    return cmocka_run_group_tests_name("connect-missing", tests, NULL, NULL);
}
