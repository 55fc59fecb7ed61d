/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-hosts.h"

/* ---- migrations ---- */

static void
a_migration_is_told_how_to_reach_the_destination(void **state)
{
    imig_connection *connection = connect_abc();
    imig_migration m = IMIG_MIGRATION_INIT;
    uint64_t first, second;

    (void) state;
    m.vm = "v1";
    m.to = "B";
    assert_int_equal(imig_connection_migrate(connection, &m, &first, NULL), IMIG_OK);
    assert_string_equal(world.asked, "v1 A B fake:B tcp://10.0.0.2");
    m.vm = "v3";
    m.to = "A";
    m.migrate_uri = "rdma://a"; /* the caller knows better */
    assert_int_equal(imig_connection_migrate(connection, &m, &second, NULL), IMIG_OK);
    assert_string_equal(world.asked, "v3 B A fake:A rdma://a");
    assert_int_not_equal(first, second);
    imig_connection_unref(connection);
}

static void
a_job_lives_until_its_result_is_fetched(void **state)
{
    imig_connection *connection = connect_abc();
    imig_migration m = IMIG_MIGRATION_INIT;
    imig_job got = { .size = sizeof got };
    imig_location location = { .size = sizeof location };
    uint64_t job;

    (void) state;
    world.clock_s = 10;
    m.vm = "v3"; /* on B, whose clock is 1000 s ahead */
    m.to = "A";
    assert_int_equal(imig_connection_migrate(connection, &m, &job, NULL), IMIG_OK);
    assert_int_equal(imig_connection_result(connection, job, &got, NULL), IMIG_ERR_BUSY);
    assert_int_equal(imig_connection_migrate(connection, &m, &job, NULL), IMIG_ERR_BUSY);
    assert_int_equal(imig_connection_poll(connection, job, &got, NULL), IMIG_OK);
    assert_int_equal(got.state, IMIG_JOB_RUNNING);
    assert_int_equal(imig_connection_wait(connection, 100, NULL), IMIG_OK);
    assert_true(imig_connection_clock(connection) == 12.5); /* not until the deadline */
    assert_int_equal(imig_connection_result(connection, job, &got, NULL), IMIG_OK);
    assert_int_equal(got.state, IMIG_JOB_DONE);
    assert_true(got.started_s == 10 && got.ended_s == 12.5); /* on the connection's clock */
    assert_int_equal(imig_connection_result(connection, job, &got, NULL), IMIG_ERR_NOT_FOUND);
    assert_int_equal(imig_connection_poll(connection, job, &got, NULL), IMIG_ERR_NOT_FOUND);
    assert_int_equal(imig_connection_cancel(connection, job, NULL), IMIG_ERR_NOT_FOUND);
    assert_int_equal(imig_connection_locate(connection, "v3", &location, NULL), IMIG_OK);
    assert_string_equal(location.host, "A");
    imig_connection_unref(connection);
}

static void
a_result_that_cannot_be_given_is_not_lost(void **state)
{
    imig_connection *connection = connect_abc();
    imig_migration m = IMIG_MIGRATION_INIT;
    imig_job got = { .size = 16 };
    uint64_t job;

    (void) state;
    m.vm = "v1";
    m.to = "B";
    assert_int_equal(imig_connection_migrate(connection, &m, &job, NULL), IMIG_OK);
    assert_int_equal(imig_connection_wait(connection, 100, NULL), IMIG_OK);
    assert_int_equal(imig_connection_result(connection, job, &got, NULL), IMIG_ERR_ABI);
    got.size = sizeof got;
    assert_int_equal(imig_connection_result(connection, job, &got, NULL), IMIG_OK);
    imig_connection_unref(connection);
}

static void
waiting_on_two_hosts_ends_with_the_first_of_their_jobs(void **state)
{
    imig_connection *connection = connect_abc();
    imig_migration m = IMIG_MIGRATION_INIT;
    imig_job got = { .size = sizeof got };
    uint64_t first, second;

    (void) state;
    m.vm = "v1";
    m.to = "C";
    assert_int_equal(imig_connection_migrate(connection, &m, &first, NULL), IMIG_OK);
    world.vms[0].until_s = 50;
    m.vm = "v3";
    m.to = "A";
    assert_int_equal(imig_connection_migrate(connection, &m, &second, NULL), IMIG_OK);
    world.vms[2].until_s = 7.02; /* within a slice */
    assert_int_equal(imig_connection_wait(connection, 100, NULL), IMIG_OK);
    assert_true(imig_connection_clock(connection) >= 7 && imig_connection_clock(connection) < 7.5);
    assert_int_equal(imig_connection_result(connection, second, &got, NULL), IMIG_OK);
    assert_int_equal(imig_connection_wait(connection, 100, NULL), IMIG_OK);
    assert_true(imig_connection_clock(connection) == 50);
    assert_int_equal(imig_connection_result(connection, first, &got, NULL), IMIG_OK);
    assert_int_equal(imig_connection_wait(connection, 100, NULL), IMIG_OK);
    assert_true(imig_connection_clock(connection) == 100);
    imig_connection_unref(connection);
}

static const struct migrate_case {
    const char *name;
    imig_migration m;
    int code;
    const char *says;
} migrate_cases[] = {
#define M(...) { .size = sizeof(imig_migration), __VA_ARGS__ }
    { "no VM named", M(.to = "B"), IMIG_ERR_ARGUMENT, "migration.vm is NULL" },
    { "no destination", M(.vm = "v1"), IMIG_ERR_ARGUMENT, "migration.to is NULL" },
    { "a size that is not known", { .size = 16 }, IMIG_ERR_ABI, "size" },
    { "a flag that is not known", M(.vm = "v1", .to = "B", .flags = 1 << 20), IMIG_ERR_ARGUMENT,
      "flag" },
    { "a negative cap", M(.vm = "v1", .to = "B", .bandwidth_bytes_per_s = -1), IMIG_ERR_ARGUMENT,
      "bandwidth_bytes_per_s: -1" },
    { "a downtime that is no number", M(.vm = "v1", .to = "B", .downtime_limit_s = NAN),
      IMIG_ERR_ARGUMENT, "downtime_limit_s" },
    { "a timeout without end", M(.vm = "v1", .to = "B", .timeout_s = INFINITY), IMIG_ERR_ARGUMENT,
      "timeout_s" },
    { "no such VM", M(.vm = "v9", .to = "B"), IMIG_ERR_NOT_FOUND, "no VM \"v9\"" },
    { "no such host", M(.vm = "v1", .to = "Z"), IMIG_ERR_NOT_FOUND, "no host \"Z\"" },
    { "it is elsewhere", M(.vm = "v1", .from = "B", .to = "C"), IMIG_ERR_NOT_FOUND,
      "is on host A, not on B" },
    { "it is there already", M(.vm = "v1", .to = "A"), IMIG_ERR_ARGUMENT, "already" },
    { "to another kind of hypervisor", M(.vm = "v1", .to = "D"), IMIG_ERR_UNSUPPORTED,
      "belongs to backend plain" },
};

static void
a_migration_that_cannot_be_is_refused(void **state)
{
    static const char *const uris[] = { "fake:A", "fake:B", "plain:D" };
    const struct migrate_case *c = *state;
    imig_connection *connection;
    imig_error *error = NULL;
    uint64_t job = 77;

    assert_int_equal(connect_to(uris, 3, &connection, NULL), IMIG_OK);
    assert_int_equal(imig_connection_migrate(connection, &c->m, &job, &error), c->code);
    if (!strstr(imig_error_message(error), c->says))
        fail_msg("\"%s\" does not say \"%s\"", imig_error_message(error), c->says);
    assert_int_equal(job, 77);
    assert_string_equal(world.asked, "");
    imig_error_free(error);
    imig_connection_unref(connection);
}

static void
what_a_backend_lacks_is_unsupported(void **state)
{
    static const char *const uris[] = { "plain:A", "plain:B" };
    imig_connection *connection;
    imig_migration m = IMIG_MIGRATION_INIT;
    imig_error *error = NULL;
    double elapsed_s, dirtied;
    size_t one = 1;
    uint64_t job;

    (void) state;
    assert_int_equal(connect_to(uris, 2, &connection, NULL), IMIG_OK);
    m.vm = "v1";
    m.to = "B";
    assert_int_equal(imig_connection_migrate(connection, &m, &job, &error), IMIG_ERR_UNSUPPORTED);
    assert_string_equal(imig_error_message(error), "plain:A: backend plain cannot migrate");
    imig_error_free(error);
    assert_int_equal(imig_connection_dirty(connection, "v1", 1, &one, &elapsed_s, &dirtied, NULL),
                     IMIG_ERR_UNSUPPORTED);
    assert_int_equal(imig_connection_check(connection, "v1", "B", NULL), IMIG_OK);
    imig_connection_unref(connection);
}

static void
the_source_s_backend_checks_a_place(void **state)
{
    imig_connection *connection = connect_abc();
    imig_error *error = NULL;

    (void) state;
    assert_int_equal(imig_connection_check(connection, "v1", "B", NULL), IMIG_OK);
    assert_int_equal(imig_connection_check(connection, "v1", "C", &error), IMIG_ERR_UNSUPPORTED);
    assert_string_equal(imig_error_message(error), "another CPU");
    assert_int_equal(imig_connection_check(connection, "v9", "B", NULL), IMIG_ERR_NOT_FOUND);
    assert_int_equal(imig_connection_check(connection, "v1", "Z", NULL), IMIG_ERR_NOT_FOUND);
    imig_error_free(error);
    imig_connection_unref(connection);
}

/* ---- dirty pages ---- */

static void
dirty_readings_are_close_together_at_first(void **state)
{
    static const double want[] = { 1, 2, 4, 8, 16, 32 };
    imig_connection *connection = connect_abc();
    double elapsed_s[6], dirtied[6];
    size_t count = 6;

    (void) state;
    assert_int_equal(imig_connection_dirty(connection, "v3", 32, &count, elapsed_s, dirtied, NULL),
                     IMIG_OK);
    assert_int_equal(count, 6);
    for (int k = 0; k < 6; k++) {
        assert_true(fabs(elapsed_s[k] - want[k]) < 1e-9);
        assert_true(fabs(dirtied[k] - 100 * want[k]) < 1e-6);
    }
    assert_int_equal(world.logging, 0);
    imig_connection_unref(connection);
}

static void
dirty_logging_ends_on_every_path(void **state)
{
    imig_connection *connection = connect_abc();
    double elapsed_s[3] = { -1, -1, -1 }, dirtied[3] = { -1, -1, -1 };
    size_t count = 3;
    imig_error *error = NULL;

    (void) state;
    world.fail_read = 2;
    assert_int_equal(imig_connection_dirty(connection, "v1", 1, &count, elapsed_s, dirtied, &error),
                     IMIG_ERR_BACKEND);
    assert_string_equal(imig_error_message(error), "the log is gone");
    assert_int_equal(world.logging, 0);
    assert_int_equal(count, 3);
    assert_true(elapsed_s[0] == -1 && dirtied[0] == -1); /* nothing of what had been read */
    imig_error_free(error);
    imig_connection_unref(connection);
}

static void
dirty_logging_ends_soon_where_that_is_wished(void **state)
{
    imig_connection *connection = connect_abc();
    double elapsed_s[3] = { -1, -1, -1 }, dirtied[3] = { -1, -1, -1 };
    size_t count = 3;
    imig_error *error = NULL;

    (void) state;
    world.cancel = imig_cancel_new();
    world.cancel_s = 7; /* the first reading is at 3.2 s, the next at 18.1 */
    assert_int_equal(imig_connection_dirty_cancellable(connection, "v1", 102.4, world.cancel,
                                                       &count, elapsed_s, dirtied, &error),
                     IMIG_ERR_CANCELLED);
    assert_string_equal(imig_error_message(error), "stopped on request");
    assert_true(world.clock_s >= 7 && world.clock_s <= 7.5);
    assert_int_equal(world.logging, 0);
    assert_int_equal(count, 3);
    assert_true(elapsed_s[0] == -1 && dirtied[0] == -1); /* nothing of what had been read */
    imig_error_free(error);
    imig_cancel_unref(world.cancel);
    imig_connection_unref(connection);
}

static const struct dirty_case {
    const char *name, *vm;
    double for_s;
    size_t points;
    int code;
} dirty_cases[] = {
    { "no such VM", "v9", 1, 1, IMIG_ERR_NOT_FOUND },
    { "a VM without a dirty log", "shy", 1, 1, IMIG_ERR_UNSUPPORTED },
    { "no time", "v1", 0, 1, IMIG_ERR_ARGUMENT },
    { "no end", "v1", INFINITY, 1, IMIG_ERR_ARGUMENT },
    { "no points", "v1", 1, 0, IMIG_ERR_ARGUMENT },
    { "more points than there is memory", "v1", 1, SIZE_MAX / 2, IMIG_ERR_ARGUMENT },
    { "no VM", NULL, 1, 1, IMIG_ERR_ARGUMENT },
};

static void
dirty_logging_that_cannot_be_is_refused(void **state)
{
    const struct dirty_case *c = *state;
    imig_connection *connection = connect_abc();
    double elapsed_s, dirtied;
    size_t count = c->points;

    assert_int_equal(imig_connection_dirty(connection, c->vm, c->for_s, &count, &elapsed_s,
                                           &dirtied, NULL), c->code);
    assert_int_equal(world.logging, 0);
    imig_connection_unref(connection);
}

/* Of a hypervisor that estimates over periods: point k stands at k periods and says so many bytes,
   which fall at the fourth. */
static const double estimates[] = { 0, 100, 220, 300, 250, 500, 600, 700, 800 };

static const struct period_case {
    const char *name;
    double period_s, for_s;
    size_t asked, count;
    double elapsed_s[4], dirtied[4];
    double until_s; /* on the clock at the end */
} period_cases[] = {
    { "what is not new is dropped", 1, 2, 8, 2, { 1, 2 }, { 100, 220 }, 2 },
    { "one point may be all there is", 1, 4, 2, 1, { 4 }, { 250 }, 4 },
    { "an estimate that falls is no union: it is made level", 2, 8, 33, 4, { 2, 4, 6, 8 },
      { 100, 220, 300, 300 }, 8 },
    { "a first point that comes late is waited for", 3, 1, 5, 1, { 3 }, { 100 }, 3 },
    { "as long as it takes, and no longer", 5.5, 1, 5, 1, { 5.5 }, { 100 }, 5.5 },
    { "none in all that time", 60, 1, 5, 0, { 0 }, { 0 }, 6 },
};

static void
a_dirty_log_yields_what_it_can(void **state)
{
    const struct period_case *c = *state;
    imig_connection *connection = connect_abc();
    double elapsed_s[40], dirtied[40];
    size_t count = c->asked;
    imig_error *error = NULL;
    int code;

    world.period_s = c->period_s;
    world.estimates = estimates;
    code = imig_connection_dirty(connection, "v3", c->for_s, &count, elapsed_s, dirtied, &error);
    assert_int_equal(world.logging, 0);
    assert_true(fabs(world.clock_s - c->until_s) < 1e-9);
    if (c->count == 0) {
        assert_int_equal(code, IMIG_ERR_TIMEOUT);
        assert_string_equal(imig_error_message(error), "VM v3: no reading within 6 s");
        assert_int_equal(count, c->asked);
        imig_error_free(error);
    } else {
        assert_int_equal(code, IMIG_OK);
        assert_int_equal(count, c->count);
        for (size_t k = 0; k < count; k++)
            assert_true(elapsed_s[k] == c->elapsed_s[k] && dirtied[k] == c->dirtied[k]);
    }
    imig_connection_unref(connection);
}

static const struct point_case {
    const char *name;
    double elapsed_s, dirtied;
    int kept;
    double as;
} point_cases[] = {
    { "a point that is new", 2, 200, 1, 200 },
    { "one that has shrunk", 2, 50, 1, 100 },
    { "the same once more", 1, 100, 0, 0 },
    { "an older one", 0.5, 50, 0, 0 },
    { "none yet", 0, 0, 0, 0 },
    { "one that is no number", NAN, 200, 0, 0 },
    { "bytes that are none", 2, NAN, 0, 0 },
    { "no end of bytes", 2, INFINITY, 0, 0 },
    { "fewer than none", 2, -1, 0, 0 },
};

static void
only_a_point_that_is_new_is_kept(void **state)
{
    const struct point_case *c = *state;
    imig_dirty_point point = {
        .size = sizeof point, .elapsed_s = c->elapsed_s, .dirtied_bytes = c->dirtied,
    };
    double elapsed_s[2] = { 1 }, dirtied[2] = { 100 }, grain[2] = { 0 };
    imig__dirty_points points = { elapsed_s, dirtied, grain, 1, 2 };

    assert_int_equal(imig__dirty_keep(&point, &points), c->kept);
    assert_int_equal(points.count, 1 + c->kept);
    if (c->kept)
        assert_true(elapsed_s[1] == c->elapsed_s && dirtied[1] == c->as);
}

static void
a_vm_on_the_way_is_not_logged(void **state)
{
    imig_connection *connection = connect_abc();
    double elapsed_s, dirtied;
    size_t one = 1;

    (void) state;
    world.vms[0].to = "B";
    world.vms[0].until_s = 9;
    assert_int_equal(imig_connection_dirty(connection, "v1", 1, &one, &elapsed_s, &dirtied, NULL),
                     IMIG_ERR_BUSY);
    imig_connection_unref(connection);
}

/* Hosts beside an agent and hosts behind one, where the agent serves that module. */
static void
what_an_agent_serves_counts(void **state)
{
    static const imig_backend_ops module = { .size = sizeof module, .name = "xenctl" };
    const imig_backend_ops agent = imig__agent_ops; /* a context has copies of all tables */
    const struct {
        const imig_backend_ops *ops;
        char *uri;
        gboolean alike; /* with "xenctl:" of that module */
    } rows[] = {
        { &module, (char *) "xenctl:?lock-dir=/a", TRUE },
        { &agent, (char *) "agent:xenctl:", TRUE },
        { &agent, (char *) "agent:agent:xenctl:", TRUE },
        { &agent, (char *) "xenctl+ssh://host", TRUE },
        { &agent, (char *) "agent:sim:xenctl", FALSE },
        { &agent, (char *) "agent:xenctl2:", FALSE },
        { &imig__sim_ops, (char *) "sim:xenctl", FALSE },
    };
    const imig__member here = { .ops = &module, .uri = (char *) "xenctl:" };

    (void) state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const imig__member other = { .ops = rows[i].ops, .uri = rows[i].uri };

        assert_int_equal(imig__member_is_alike(&here, &other), rows[i].alike);
        assert_int_equal(imig__member_is_alike(&other, &here), rows[i].alike);
    }
}

int
main(void)
{
    const struct CMUnitTest single[] = {
        cmocka_unit_test(a_migration_is_told_how_to_reach_the_destination),
        cmocka_unit_test(a_job_lives_until_its_result_is_fetched),
        cmocka_unit_test(a_result_that_cannot_be_given_is_not_lost),
        cmocka_unit_test(waiting_on_two_hosts_ends_with_the_first_of_their_jobs),
        cmocka_unit_test(what_a_backend_lacks_is_unsupported),
        cmocka_unit_test(the_source_s_backend_checks_a_place),
        cmocka_unit_test(dirty_readings_are_close_together_at_first),
        cmocka_unit_test(dirty_logging_ends_on_every_path),
        cmocka_unit_test(dirty_logging_ends_soon_where_that_is_wished),
        cmocka_unit_test(a_vm_on_the_way_is_not_logged),
        cmocka_unit_test(what_an_agent_serves_counts),
    };
    enum { SINGLE = sizeof single / sizeof *single };
    struct CMUnitTest tests[SINGLE + G_N_ELEMENTS(migrate_cases) + G_N_ELEMENTS(dirty_cases)
                            + G_N_ELEMENTS(period_cases) + G_N_ELEMENTS(point_cases)];
    size_t n = SINGLE;

#define ROWS(table, function) \
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) \
        tests[n++] = (struct CMUnitTest) { .name = table[i].name, .test_func = function, \
                                           .initial_state = (void *) &table[i] };
    memcpy(tests, single, sizeof single);
    ROWS(migrate_cases, a_migration_that_cannot_be_is_refused)
    ROWS(dirty_cases, dirty_logging_that_cannot_be_is_refused)
    ROWS(period_cases, a_dirty_log_yields_what_it_can)
    ROWS(point_cases, only_a_point_that_is_new_is_kept)
    return cmocka_run_group_tests_name("connect-job", tests, NULL, NULL);
}
