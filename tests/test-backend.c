/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What every backend promises, whatever is behind its URI:
 *
 *     test-backend [URI]...        or  IMIG_TEST_URIS="URI URI" test-backend
 *
 * IMIG_TEST_AGENT is the `imig` that serves agent:URI; without it, the one in PATH.
 * IMIG_TEST_BACKENDS is where the modules are; without it, where they are installed.
 *
 * All URIs make one connection.  Without one, a simulated cluster.  On real hypervisors a VM that
 * can be migrated there and back is needed for the second half; where there is none, it is skipped.
 */

#include "backend/connect-priv.h"

#include <imig/connect.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static const double PATIENCE_S = 600; /* for one migration, on the connection's clock */

static imig_connection *connection;
static char **uris;

/* A VM that may go to another host; NULL: none. */
static struct {
    char *vm, *from, *to;
} mobile;

static int
connect_all(void **state)
{
    const char *command[] = { g_getenv("IMIG_TEST_AGENT"), "agent", NULL };
    imig_agent_options agent = IMIG_AGENT_OPTIONS_INIT;
    imig_context *context = imig_context_new();
    imig_error *error = NULL;
    int code;

    (void) state;
    if (g_getenv("IMIG_TEST_BACKENDS"))
        imig_context_set_module_directory(context, g_getenv("IMIG_TEST_BACKENDS"), NULL);
    agent.command = command[0] ? command : NULL;
    assert_int_equal(imig_context_set_agent(context, &agent, NULL), IMIG_OK);
    assert_int_equal(imig_context_set_process(context, IMIG_PROCESS_MEASURE_DIRTY, NULL), IMIG_OK);
    code = imig_connect(context, (const char *const *) uris, g_strv_length(uris), &connection,
                        &error);
    if (code != IMIG_OK)
        print_error("%s\n", imig_error_message(error));
    imig_error_free(error);
    imig_context_unref(context);
    return code;
}

static int
disconnect_all(void **state)
{
    (void) state;
    imig_connection_unref(connection);
    g_free(mobile.vm);
    g_free(mobile.from);
    g_free(mobile.to);
    return 0;
}

static void
assert_ok(int code, imig_error *error)
{
    if (code != IMIG_OK)
        fail_msg("%s", imig_error_message(error));
    assert_null(error);
}

static imig_sample *
take_sample(void)
{
    imig_sample *sample;
    imig_error *error = NULL;

    assert_ok(imig__connection_sample(connection, &sample, &error), error);
    return sample;
}

static imig_location
locate(const char *vm)
{
    imig_location location = { .size = sizeof location };
    imig_error *error = NULL;

    assert_ok(imig_connection_locate(connection, vm, &location, &error), error);
    return location;
}

static void
wait_for(double for_s)
{
    double until_s = imig_connection_clock(connection) + for_s;
    imig_error *error = NULL;

    while (imig_connection_clock(connection) < until_s)
        assert_ok(imig_connection_wait(connection, until_s, &error), error);
}

static gboolean
may_go(const char *vm, const char *host)
{
    return imig_connection_check(connection, vm, host, NULL) == IMIG_OK;
}

/* The first VM that runs and may go to another host and back. */
static void
find_mobile(void)
{
    imig_sample *sample;
    const imig_cluster *c;

    if (mobile.vm)
        return;
    sample = take_sample();
    c = sample->cluster;
    for (size_t i = 0; i < c->vm_count && !mobile.vm; i++) {
        const imig_vm_info *vm = &c->vms[i];

        if (locate(vm->id).state != IMIG_VM_RUNNING)
            continue;
        for (size_t h = 0; h < c->host_count && !mobile.vm; h++)
            if (h != vm->host && may_go(vm->id, c->hosts[h].id) &&
                c->hosts[vm->host].state == IMIG_HOST_ACTIVE) {
                mobile.vm = g_strdup(vm->id);
                mobile.from = g_strdup(c->hosts[vm->host].id);
                mobile.to = g_strdup(c->hosts[h].id);
            }
    }
    imig__sample_free(sample);
}

/* ---- looking ---- */

static void
a_sample_shows_hosts_and_vms(void **state)
{
    imig_sample *sample = take_sample();
    const imig_cluster *c = sample->cluster;

    (void) state;
    assert_true(c->host_count > 0);
    for (size_t i = 0; i < c->host_count; i++)
        assert_true(c->hosts[i].cpu_cores > 0 && c->hosts[i].memory_bytes > 0);
    for (size_t i = 0; i < c->vm_count; i++) {
        assert_true(c->vms[i].host < c->host_count);
        assert_true(c->vms[i].vcpus >= 1);
        assert_true(isfinite(sample->counters[i].time_s));
        assert_false(c->vms[i].present & UINT64_C(1) << IMIG_METRIC_CPU_CORES); /* no rates */
    }
    imig__sample_free(sample);
}

static void
counters_never_fall_and_time_goes_on(void **state)
{
    imig_sample *before = take_sample(), *after;
    double clock_s = imig_connection_clock(connection);

    (void) state;
    wait_for(2);
    assert_true(imig_connection_clock(connection) >= clock_s + 2);
    after = take_sample();
    for (size_t i = 0; i < before->cluster->vm_count; i++) {
        double old[IMIG__COUNTER_COUNT], new[IMIG__COUNTER_COUNT];
        size_t k = 0;

        while (k < after->cluster->vm_count &&
               strcmp(after->cluster->vms[k].id, before->cluster->vms[i].id) != 0)
            k++;
        if (k == after->cluster->vm_count)
            continue; /* somebody stopped it meanwhile */
        assert_true(after->counters[k].time_s > before->counters[i].time_s);
        imig__counters(&before->counters[i], old);
        imig__counters(&after->counters[k], new);
        for (unsigned n = 0; n < IMIG__COUNTER_COUNT; n++)
            if (before->counters[i].present & after->counters[k].present & UINT64_C(1) << n)
                assert_true(new[n] >= old[n]);
    }
    imig__sample_free(before);
    imig__sample_free(after);
}

static void
every_vm_of_a_sample_is_found_on_its_host(void **state)
{
    imig_sample *sample = take_sample();
    const imig_cluster *c = sample->cluster;

    (void) state;
    for (size_t i = 0; i < c->vm_count; i++) {
        imig_location location = locate(c->vms[i].id);

        assert_int_not_equal(location.state, IMIG_VM_ABSENT);
        assert_string_equal(location.host, c->hosts[c->vms[i].host].id);
    }
    imig__sample_free(sample);
}

static void
who_is_not_there_is_absent(void **state)
{
    imig_location location = locate("no-such-vm-here");

    (void) state;
    assert_int_equal(location.state, IMIG_VM_ABSENT);
    assert_string_equal(location.host, "");
}

static void
what_is_not_known_is_not_found(void **state)
{
    imig_sample *sample = take_sample();
    imig_migration m = IMIG_MIGRATION_INIT;
    imig_job job = { .size = sizeof job };
    double elapsed_s, dirtied;
    size_t one = 1;
    uint64_t number = 0;

    (void) state;
    m.vm = "no-such-vm-here";
    m.to = sample->cluster->hosts[0].id;
    assert_int_equal(imig_connection_migrate(connection, &m, &number, NULL), IMIG_ERR_NOT_FOUND);
    assert_int_equal(imig_connection_check(connection, m.vm, m.to, NULL), IMIG_ERR_NOT_FOUND);
    assert_int_equal(imig_connection_dirty(connection, m.vm, 1, &one, &elapsed_s, &dirtied, NULL),
                     IMIG_ERR_NOT_FOUND);
    if (sample->cluster->vm_count > 0)
        assert_int_equal(imig_connection_check(connection, sample->cluster->vms[0].id,
                                               "no-such-host", NULL), IMIG_ERR_NOT_FOUND);
    assert_int_equal(imig_connection_poll(connection, 999, &job, NULL), IMIG_ERR_NOT_FOUND);
    assert_int_equal(imig_connection_cancel(connection, 999, NULL), IMIG_ERR_NOT_FOUND);
    assert_int_equal(imig_connection_result(connection, 999, &job, NULL), IMIG_ERR_NOT_FOUND);
    imig__sample_free(sample);
}

/* ---- dirty pages ---- */

static void
a_dirty_log_grows_and_stays_below_the_memory(void **state)
{
    imig_sample *sample = take_sample();
    gboolean any = FALSE;

    (void) state;
    for (size_t i = 0; i < sample->cluster->vm_count; i++) {
        const imig_vm_info *vm = &sample->cluster->vms[i];
        double elapsed_s[4], dirtied[4];
        size_t count = 4;
        imig_error *error = NULL;
        int code = imig_connection_dirty(connection, vm->id, 1, &count, elapsed_s, dirtied, &error);

        if (code == IMIG_ERR_UNSUPPORTED) {
            imig_error_free(error);
            continue;
        }
        assert_ok(code, error);
        any = TRUE;
        /* Who estimates over whole seconds has fewer. */
        assert_true(count >= 1 && count <= 4);
        if (g_str_has_prefix(uris[0], "sim:"))
            assert_int_equal(count, 4);
        for (size_t k = 0; k < count; k++) {
            assert_true(elapsed_s[k] > (k > 0 ? elapsed_s[k - 1] : 0));
            assert_true(dirtied[k] >= (k > 0 ? dirtied[k - 1] : 0));
            assert_true(dirtied[k] <= vm->memory_bytes);
        }
    }
    imig__sample_free(sample);
    if (!any)
        skip();
}

/* ---- migrations ---- */

static uint64_t
begin(const char *to, double bandwidth_bytes_per_s)
{
    imig_migration m = IMIG_MIGRATION_INIT;
    imig_error *error = NULL;
    uint64_t number;

    m.vm = mobile.vm;
    m.to = to;
    m.bandwidth_bytes_per_s = bandwidth_bytes_per_s;
    m.timeout_s = PATIENCE_S;
    m.flags = IMIG_MIGRATE_UNSAFE; /* labs have disks on local file systems */
    assert_ok(imig_connection_migrate(connection, &m, &number, &error), error);
    return number;
}

static imig_job
end(uint64_t number)
{
    imig_job job = { .size = sizeof job };
    imig_error *error = NULL;
    double give_up_s = imig_connection_clock(connection) + 2 * PATIENCE_S;

    for (;;) {
        assert_ok(imig_connection_poll(connection, number, &job, &error), error);
        if (job.state >= IMIG_JOB_DONE)
            break;
        assert_true(imig_connection_clock(connection) < give_up_s);
        assert_ok(imig_connection_wait(connection, imig_connection_clock(connection) + 1, &error),
                  error);
    }
    assert_ok(imig_connection_result(connection, number, &job, &error), error);
    assert_int_equal(imig_connection_poll(connection, number, &job, NULL), IMIG_ERR_NOT_FOUND);
    return job;
}

static void
assert_runs_on(const char *host)
{
    imig_sample *sample = take_sample();
    imig_location location = locate(mobile.vm);
    int shown = 0;

    assert_string_equal(location.host, host);
    assert_int_equal(location.state, IMIG_VM_RUNNING);
    for (size_t i = 0; i < sample->cluster->vm_count; i++)
        if (strcmp(sample->cluster->vms[i].id, mobile.vm) == 0) {
            assert_string_equal(sample->cluster->hosts[sample->cluster->vms[i].host].id, host);
            shown++;
        }
    assert_int_equal(shown, 1); /* on exactly one host */
    imig__sample_free(sample);
}

static void
a_migrated_vm_runs_on_the_destination(void **state)
{
    (void) state;
    find_mobile();
    if (!mobile.vm)
        skip();
    for (int way = 0; way < 2; way++) {
        const char *to = way == 0 ? mobile.to : mobile.from;
        double clock_s = imig_connection_clock(connection);
        imig_job job = end(begin(to, 0));

        if (job.state != IMIG_JOB_DONE)
            fail_msg("%s", job.message);
        assert_true(job.started_s >= clock_s && job.ended_s > job.started_s);
        assert_true(job.ended_s <= imig_connection_clock(connection));
        if (job.present & IMIG_JOB_HAS_DOWNTIME)
            assert_true(job.downtime_s >= 0 && job.downtime_s <= job.ended_s - job.started_s);
        if (job.present & IMIG_JOB_HAS_TRANSFERRED)
            assert_true(job.transferred_bytes > 0);
        assert_runs_on(to);
    }
}

static void
a_cancelled_vm_runs_on_one_host_still(void **state)
{
    uint64_t number;
    imig_job job;

    (void) state;
    find_mobile();
    if (!mobile.vm)
        skip();
    number = begin(mobile.to, 2e6); /* slow, so that it is still on its way */
    wait_for(0.2);
    assert_int_equal(imig_connection_cancel(connection, number, NULL), IMIG_OK);
    job = end(number);
    if (g_str_has_prefix(uris[0], "sim:") || g_str_has_prefix(uris[0], "agent:sim:"))
        assert_int_equal(job.state, IMIG_JOB_CANCELLED);
    if (job.state == IMIG_JOB_DONE) { /* it was faster, as it may be */
        assert_runs_on(mobile.to);
        assert_int_equal(end(begin(mobile.from, 0)).state, IMIG_JOB_DONE);
    } else {
        assert_int_equal(job.state, IMIG_JOB_CANCELLED);
    }
    assert_runs_on(mobile.from);
}

static void
one_vm_migrates_once_at_a_time(void **state)
{
    imig_migration m = IMIG_MIGRATION_INIT;
    imig_job job = { .size = sizeof job };
    uint64_t number, second;

    (void) state;
    find_mobile();
    if (!mobile.vm)
        skip();
    number = begin(mobile.to, 2e6);
    m.vm = mobile.vm;
    m.to = mobile.to;
    assert_int_equal(imig_connection_migrate(connection, &m, &second, NULL), IMIG_ERR_BUSY);
    assert_int_equal(imig_connection_result(connection, number, &job, NULL), IMIG_ERR_BUSY);
    assert_int_equal(imig_connection_cancel(connection, number, NULL), IMIG_OK);
    if (end(number).state == IMIG_JOB_DONE)
        assert_int_equal(end(begin(mobile.from, 0)).state, IMIG_JOB_DONE);
    assert_runs_on(mobile.from);
}

static void
measuring_and_migrating_exclude_each_other(void **state)
{
    imig_migration m = IMIG_MIGRATION_INIT;
    imig_error *error = NULL;
    double elapsed_s, dirtied;
    size_t one = 1;
    uint64_t number;
    int code;

    (void) state;
    find_mobile();
    if (!mobile.vm)
        skip();
    code = imig__connection_dirty_start(connection, mobile.from, mobile.vm, &error);
    imig_error_free(error);
    if (code == IMIG_ERR_UNSUPPORTED)
        skip();
    assert_int_equal(code, IMIG_OK);
    m.vm = mobile.vm;
    m.to = mobile.to;
    m.flags = IMIG_MIGRATE_UNSAFE;
    assert_int_equal(imig_connection_migrate(connection, &m, &number, NULL), IMIG_ERR_BUSY);
    code = imig__connection_dirty_stop(connection, mobile.from, mobile.vm, NULL);
    assert_int_equal(code, IMIG_OK);

    number = begin(mobile.to, 2e6);
    code = imig_connection_dirty(connection, mobile.vm, 0.1, &one, &elapsed_s, &dirtied, NULL);
    assert_int_equal(code, IMIG_ERR_BUSY);
    assert_int_equal(imig_connection_cancel(connection, number, NULL), IMIG_OK);
    if (end(number).state == IMIG_JOB_DONE)
        assert_int_equal(end(begin(mobile.from, 0)).state, IMIG_JOB_DONE);
    assert_runs_on(mobile.from);
}

static void
a_vm_cannot_go_where_it_is_nor_nowhere(void **state)
{
    imig_migration m = IMIG_MIGRATION_INIT;
    uint64_t number;

    (void) state;
    find_mobile();
    if (!mobile.vm)
        skip();
    m.vm = mobile.vm;
    m.to = mobile.from;
    assert_int_equal(imig_connection_migrate(connection, &m, &number, NULL), IMIG_ERR_ARGUMENT);
    m.to = "no-such-host";
    assert_int_equal(imig_connection_migrate(connection, &m, &number, NULL), IMIG_ERR_NOT_FOUND);
    assert_runs_on(mobile.from);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sample_shows_hosts_and_vms),
        cmocka_unit_test(counters_never_fall_and_time_goes_on),
        cmocka_unit_test(every_vm_of_a_sample_is_found_on_its_host),
        cmocka_unit_test(who_is_not_there_is_absent),
        cmocka_unit_test(what_is_not_known_is_not_found),
        cmocka_unit_test(a_dirty_log_grows_and_stays_below_the_memory),
        cmocka_unit_test(a_migrated_vm_runs_on_the_destination),
        cmocka_unit_test(a_cancelled_vm_runs_on_one_host_still),
        cmocka_unit_test(one_vm_migrates_once_at_a_time),
        cmocka_unit_test(measuring_and_migrating_exclude_each_other),
        cmocka_unit_test(a_vm_cannot_go_where_it_is_nor_nowhere),
    };
    int failed;

    if (argc > 1) {
        uris = g_strdupv(argv + 1);
    } else if (g_getenv("IMIG_TEST_URIS")) {
        char *list = g_strstrip(g_strdup(g_getenv("IMIG_TEST_URIS")));

        uris = g_strsplit(list, " ", -1);
        g_free(list);
    } else {
        char *uri = g_strdup_printf("sim:%s/backend.json", g_getenv("IMIG_TEST_DATA"));

        uris = g_strsplit(uri, "\n", -1);
        g_free(uri);
    }
    failed = cmocka_run_group_tests_name("backend", tests, connect_all, disconnect_all);
    g_strfreev(uris);
    return failed;
}
