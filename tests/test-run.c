/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "plan/plan-priv.h"

#include <glib/gstdio.h>
#include <imig/context.h>
#include <imig/execute.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * Many VMs between many hosts in the simulator, in a random but fixed plan: no host ever has more
 * migrations than it may, those that share a host begin in the plan's order, and every VM ends
 * where the plan wants it.
 */
enum { CROWD = 300, CROWD_HOSTS = 20, CROWD_CONCURRENCY = 2 };

struct crowd {
    imig_plan *plan;
    char *path;
    imig_connection *connection;
    uint32_t running[2][CROWD_HOSTS]; /* out of, into */
    uint32_t latest[2][CROWD_HOSTS];  /* step that began last; from 1 */
};

static void
watch_crowd(const imig_step_report *report, double clock_s, void *user_data)
{
    struct crowd *crowd = user_data;
    uint32_t host[2] = { (uint32_t) atoi(report->from + 1), (uint32_t) atoi(report->to + 1) };
    gboolean begins = report->state == IMIG_STEP_RUNNING && report->present == 0
                      && report->attempts == 1;

    (void) clock_s;
    for (int way = 0; way < 2; way++) {
        uint32_t *running = &crowd->running[way][host[way]];
        uint32_t *latest = &crowd->latest[way][host[way]];

        if (begins) {
            assert_in_range(++*running, 1, CROWD_CONCURRENCY);
            assert_true(report->step + 1 > *latest);
            *latest = report->step + 1;
        } else if (report->state != IMIG_STEP_RUNNING) {
            --*running;
        }
    }
}

static char *
write_crowd(imig_plan *plan)
{
    static const imig_plan_totals totals = IMIG_PLAN_TOTALS_INIT;
    static const imig_plan_summary summary = { .size = sizeof summary, .complete = 1 };
    imig_cluster *cluster = imig_cluster_new(0);
    GRand *random = g_rand_new_with_seed(1);
    char *path, *text, id[8], to[8];
    size_t length;
    int fd = g_file_open_tmp("imig-XXXXXX", &path, NULL);

    assert_true(fd >= 0);
    for (int h = 0; h < CROWD_HOSTS; h++) {
        imig_host_info host = IMIG_HOST_INFO_INIT;

        g_snprintf(id, sizeof id, "h%d", h);
        host.id = id;
        host.cpu_cores = 64;
        host.memory_bytes = 1e12;
        host.net_bytes_per_s = 1e9;
        host.present = IMIG_HOST_HAS_NET;
        assert_int_equal(imig_cluster_add_host(cluster, &host, NULL), IMIG_OK);
    }
    for (uint32_t v = 0; v < CROWD; v++) {
        imig_vm_info vm = IMIG_VM_INFO_INIT;
        imig_plan_step step = IMIG_PLAN_STEP_INIT;
        char from[8];

        g_snprintf(id, sizeof id, "v%u", v);
        vm.id = id;
        vm.vcpus = 1;
        vm.memory_bytes = 1e9 * g_rand_int_range(random, 1, 9);
        vm.host = (uint32_t) g_rand_int_range(random, 0, CROWD_HOSTS);
        assert_int_equal(imig_cluster_add_vm(cluster, &vm, NULL), IMIG_OK);
        g_snprintf(from, sizeof from, "h%u", vm.host);
        g_snprintf(to, sizeof to, "h%u", (vm.host + (uint32_t) g_rand_int_range(random, 1, 20))
                                            % CROWD_HOSTS);
        step.vm = id;
        step.from = from;
        step.to = to;
        step.start_s = v;
        step.duration_s = 1;
        step.group = v;
        step.reason_code = step.reason_text = "test";
        imig__plan_add_step(plan, &step);
    }
    imig__plan_set_totals(plan, &totals, &totals);
    imig__plan_set_summary(plan, &summary);
    assert_int_equal(imig_cluster_finish(cluster, NULL), IMIG_OK);
    assert_int_equal(imig_cluster_to_json(cluster, &text, &length, NULL), IMIG_OK);
    assert_true(g_file_set_contents(path, text, (gssize) length, NULL));
    imig_free(text);
    imig_cluster_unref(cluster);
    g_rand_free(random);
    close(fd);
    return path;
}

static int
set_up(void **state)
{
    struct crowd *crowd = g_new0(struct crowd, 1);
    imig_context *context = imig_context_new();
    char *uri;

    crowd->plan = imig__plan_new("balance", "informed", 0, "");
    crowd->path = write_crowd(crowd->plan);
    uri = g_strconcat("sim:", crowd->path, "?fail=v7&fail=v9:2", NULL);
    assert_int_equal(imig_connect(context, (const char *const *) &uri, 1, &crowd->connection,
                                  NULL), IMIG_OK);
    imig_context_unref(context);
    g_free(uri);
    *state = crowd;
    return 0;
}

static int
tear_down(void **state)
{
    struct crowd *crowd = *state;

    imig_connection_unref(crowd->connection);
    imig_plan_unref(crowd->plan);
    assert_int_equal(g_unlink(crowd->path), 0);
    g_free(crowd->path);
    g_free(crowd);
    return 0;
}

static void
a_crowd_in_the_simulator_goes_where_it_should(void **state)
{
    struct crowd *crowd = *state;
    imig_execute_options options = IMIG_EXECUTE_OPTIONS_INIT;
    imig_run *run;

    options.set = IMIG_EXECUTE_HAS_CONCURRENCY;
    options.concurrency = CROWD_CONCURRENCY;
    options.event = watch_crowd;
    options.user_data = crowd;
    assert_int_equal(imig_execute(crowd->connection, crowd->plan, &options, &run, NULL), IMIG_OK);
    assert_int_equal(imig_run_count(run, IMIG_STEP_DONE), CROWD - 1);
    assert_int_equal(imig_run_count(run, IMIG_STEP_FAILED), 1);
    for (size_t i = 0; i < CROWD; i++) {
        imig_step_report report = IMIG_STEP_REPORT_INIT;
        imig_location at = { .size = sizeof at };

        assert_int_equal(imig_run_get_step(run, i, &report, NULL), IMIG_OK);
        assert_int_equal(imig_connection_locate(crowd->connection, report.vm, &at, NULL),
                         IMIG_OK);
        assert_int_equal(at.state, IMIG_VM_RUNNING);
        assert_string_equal(at.host, report.state == IMIG_STEP_DONE ? report.to : report.from);
        assert_int_equal(report.attempts, i == 7 || i == 9 ? 2 : 1);
        if (report.state == IMIG_STEP_DONE)
            assert_true(report.measured_s > 0 && report.measured_bytes > 0);
    }
    imig_run_free(run);
}

static void
wrong_arguments_begin_nothing(void **state)
{
    static const imig_execute_options wrong[] = {
        { .size = sizeof *wrong, .set = IMIG_EXECUTE_HAS_POLL, .poll_s = 0 },
        { .size = sizeof *wrong, .set = IMIG_EXECUTE_HAS_BANDWIDTH, .bandwidth_bytes_per_s = -1 },
        { .size = sizeof *wrong, .set = IMIG_EXECUTE_HAS_DOWNTIME_LIMIT, .downtime_limit_s = 0 },
        { .size = sizeof *wrong, .set = IMIG_EXECUTE_HAS_TIMEOUT, .timeout_s = 0.0 / 0.0 },
        { .size = sizeof *wrong, .set = IMIG_EXECUTE_HAS_CONCURRENCY, .concurrency = 0 },
        { .size = sizeof *wrong, .set = IMIG_EXECUTE_HAS_MAX_PARALLEL, .max_parallel = 0 },
        { .size = sizeof *wrong, .set = IMIG_EXECUTE_HAS_MAX_DOWNTIME },
        { .size = sizeof *wrong, .set = IMIG_EXECUTE_HAS_DOUBT, .doubt_s = -1 },
        { .size = sizeof *wrong, .on_stall = 99 },
        { .size = sizeof *wrong, .set = UINT64_C(1) << 63 },
        { .size = sizeof *wrong, .flags = UINT64_C(1) << 63 },
    };
    static const imig_execute_options strange = { .size = 1 };
    struct crowd *crowd = *state;
    double began_s = imig_connection_clock(crowd->connection);
    imig_step_report report = IMIG_STEP_REPORT_INIT;
    imig_error *error = NULL;
    imig_run *run = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        assert_int_equal(imig_execute(crowd->connection, crowd->plan, &wrong[i], &run, &error),
                         IMIG_ERR_ARGUMENT);
        assert_int_equal(imig_error_code(error), IMIG_ERR_ARGUMENT);
        imig_error_free(g_steal_pointer(&error));
    }
    assert_int_equal(imig_execute(crowd->connection, crowd->plan, &strange, &run, NULL),
                     IMIG_ERR_ABI);
    assert_int_equal(imig_execute(NULL, crowd->plan, NULL, &run, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_execute(crowd->connection, NULL, NULL, &run, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_execute(crowd->connection, crowd->plan, NULL, NULL, NULL),
                     IMIG_ERR_ARGUMENT);
    assert_null(run);
    assert_int_equal(imig_run_get_step(NULL, 0, &report, NULL), IMIG_ERR_ARGUMENT);
    assert_true(imig_connection_clock(crowd->connection) == began_s);
    imig_run_free(NULL);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_crowd_in_the_simulator_goes_where_it_should, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(wrong_arguments_begin_nothing, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("run", tests, NULL, NULL);
}
