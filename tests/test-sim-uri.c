/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What sim:FILE reads, what its query takes, and what it leaves behind. */

#include "sim-fixture.h"

/* ---- state from run to run ---- */

static void
a_second_run_finds_what_the_first_one_left(void **state)
{
    lab l = lab_new();
    imig_vm_info vm = idle_vm("v", 0);
    char *path, *query, *first, *second;
    imig_vm_counters c;
    int fd = g_file_open_tmp("imig-state-XXXXXX", &path, NULL);

    (void) state;
    assert_true(fd >= 0 && g_close(fd, NULL) && g_remove(path) == 0);
    query = g_strdup_printf("?state=%s", path);
    add_host(&l, plain_host("a", NULL));
    add_host(&l, plain_host("b", NULL));
    vm.vcpus = 16;
    vm.cpu_cores = 6;
    vm.dirty_bytes_per_s = 3e5;
    add_vm(&l, vm);
    vm.id = "w";
    add_vm(&l, vm);
    lab_open(&l, query);
    run(&l, move("v", "b"));
    run_for(&l, 3);
    imig_connection_unref(l.connection);
    assert_true(g_file_get_contents(path, &first, NULL, NULL));

    assert_int_equal(connect_file(l.file, query, &l.connection, NULL), IMIG_OK);
    assert_true(imig_connection_clock(l.connection) > 1003); /* time goes on, too */
    assert_string_equal(host_of(&l, "v"), "b");
    run_for(&l, 10);
    c = counters_of(&l, "v");
    assert_near(c.cpu_s, 60, 1e-9, "no neighbour any more");
    assert_near(c.cpu_wait_s, 0, 1e-9, "so nothing waits");
    imig_connection_unref(l.connection);

    /* What it dirties is what it dirtied: at the beginning it had two thirds of the CPU. */
    assert_int_equal(connect_file(path, "", &l.connection, NULL), IMIG_OK);
    assert_near(sim_of(&l)->vms[0].dirty_bytes_per_s, 4.5e5, 1e-9, "dirty rate");
    imig_connection_unref(l.connection);

    /* Nothing done: nothing changed, but for the time. */
    assert_int_equal(connect_file(path, query, &l.connection, NULL), IMIG_OK);
    imig_connection_unref(l.connection);
    assert_true(g_file_get_contents(path, &second, NULL, NULL));
    g_free(first);
    first = second;
    assert_int_equal(connect_file(path, query, &l.connection, NULL), IMIG_OK);
    imig_connection_unref(l.connection);
    l.connection = NULL;
    assert_true(g_file_get_contents(path, &second, NULL, NULL));
    assert_string_equal(first, second);
    g_free(first);
    g_free(second);
    g_free(query);
    g_remove(path);
    g_free(path);
    lab_close(&l);
}

static void
closing_takes_running_jobs_back_and_finishes_a_hand_over(void **state)
{
    lab l = lab_new();
    char *path, *query;
    imig_job job = { .size = sizeof job };
    imig_migration m = move("late", "b");
    uint64_t late;
    int fd = g_file_open_tmp("imig-state-XXXXXX", &path, NULL);

    (void) state;
    assert_true(fd >= 0 && g_close(fd, NULL) && g_remove(path) == 0);
    query = g_strdup_printf("?state=%s", path);
    add_host(&l, plain_host("a", "xen"));
    add_host(&l, plain_host("b", "xen"));
    add_vm(&l, idle_vm("early", 0));
    add_vm(&l, idle_vm("late", 0));
    lab_open(&l, query);
    late = begin(&l, m);
    do {
        run_for(&l, 0.01);
        assert_int_equal(imig_connection_poll(l.connection, late, &job, NULL), IMIG_OK);
    } while (job.state == IMIG_JOB_RUNNING);
    assert_int_equal(job.state, IMIG_JOB_FINISHING);
    begin(&l, move("early", "b"));
    imig_connection_unref(l.connection);

    assert_int_equal(connect_file(l.file, query, &l.connection, NULL), IMIG_OK);
    assert_string_equal(host_of(&l, "late"), "b");
    assert_string_equal(host_of(&l, "early"), "a");
    g_free(query);
    lab_close(&l);
    g_remove(path);
    g_free(path);
}

/* ---- URIs ---- */

static const struct uri_case {
    const char *query;
    int code;
    const char *says;
} uri_cases[] = {
    { "?noise=0", IMIG_OK, NULL },
    { "?seed=4294967295&pace=1e9&fail=v&stuck=a%20name", IMIG_OK, NULL },
    { "?fail=v:3", IMIG_OK, NULL },
    { "?noise=1.5", IMIG_ERR_ARGUMENT, "\"noise=1.5\"" },
    { "?noise=nan", IMIG_ERR_ARGUMENT, "\"noise=nan\"" },
    { "?noise=", IMIG_ERR_ARGUMENT, "\"noise=\"" },
    { "?noise", IMIG_ERR_ARGUMENT, "\"noise\"" },
    { "?seed=1.5", IMIG_ERR_ARGUMENT, "\"seed=1.5\"" },
    { "?seed=-1", IMIG_ERR_ARGUMENT, "\"seed=-1\"" },
    { "?pace=0", IMIG_ERR_ARGUMENT, "\"pace=0\"" },
    { "?speed=2", IMIG_ERR_ARGUMENT, "\"speed=2\"" },
    { "?seed=1&&pace=2", IMIG_ERR_ARGUMENT, "\"\"" },
    { "?fail=nobody", IMIG_ERR_ARGUMENT, "fail=nobody: no such VM" },
    { "?stuck=v:2", IMIG_ERR_ARGUMENT, "stuck=v:2: no such VM" },
    { "?state=/nowhere/at/all", IMIG_ERR_IO, "/nowhere/at/all" },
    { ".missing", IMIG_ERR_NOT_FOUND, ".missing" },
};

static void
a_uri_says_what_it_cannot_have(void **state)
{
    lab l = lab_new();
    imig_vm_info vm = idle_vm("v", 0);

    (void) state;
    add_host(&l, plain_host("a", NULL));
    add_vm(&l, vm);
    vm.id = "w";
    vm.name = "a name";
    add_vm(&l, vm);
    lab_open(&l, "");
    for (size_t i = 0; i < G_N_ELEMENTS(uri_cases); i++) {
        const struct uri_case *c = &uri_cases[i];
        imig_connection *connection = NULL;
        imig_error *error = NULL;
        int code = connect_file(l.file, c->query, &connection, &error);

        if (code != c->code)
            fail_msg("%s: %d %s", c->query, code, imig_error_message(error));
        if (c->says && !strstr(imig_error_message(error), c->says))
            fail_msg("%s: \"%s\" does not say it", c->query, imig_error_message(error));
        imig_connection_unref(connection);
        imig_error_free(error);
    }
    lab_close(&l);
}

static void
a_broken_document_is_named_with_its_fault(void **state)
{
    static const struct {
        const char *text;
        int code;
    } cases[] = {
        { "{", IMIG_ERR_SYNTAX },
        { "{ \"format\": \"imig-cluster/1\", \"colour\": 1 }", IMIG_ERR_INVALID },
    };
    char *path;
    int fd = g_file_open_tmp("imig-test-XXXXXX", &path, NULL);

    (void) state;
    assert_true(fd >= 0 && g_close(fd, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        imig_connection *connection;
        imig_error *error = NULL;

        assert_true(g_file_set_contents(path, cases[i].text, -1, NULL));
        assert_int_equal(connect_file(path, "", &connection, &error), cases[i].code);
        assert_non_null(strstr(imig_error_message(error), path));
        imig_error_free(error);
    }
    g_remove(path);
    g_free(path);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_run_finds_what_the_first_one_left),
        cmocka_unit_test(closing_takes_running_jobs_back_and_finishes_a_hand_over),
        cmocka_unit_test(a_uri_says_what_it_cannot_have),
        cmocka_unit_test(a_broken_document_is_named_with_its_fault),
    };

    return cmocka_run_group_tests_name("sim-uri", tests, NULL, NULL);
}
