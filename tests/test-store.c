/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib.h>
#include <glib/gstdio.h>
#include <imig/store.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A folder of its own for each test. */
static char *
new_path(void)
{
    char *folder = g_dir_make_tmp("imig-store-XXXXXX", NULL);
    char *path = g_build_filename(folder, "imig.db", NULL);

    assert_non_null(folder);
    g_free(folder);
    return path;
}

static void
forget(char *path)
{
    g_autofree char *folder = g_path_get_dirname(path);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(folder, name, NULL);

        g_unlink(file);
    }
    g_rmdir(folder);
    g_free(path);
}

static imig_store *
open_store(const char *path, uint64_t flags)
{
    imig_store *store = NULL;
    imig_error *error = NULL;

    if (imig_store_open(path, flags, &store, &error) != IMIG_OK)
        fail_msg("%s", imig_error_message(error));
    return store;
}

static imig_record
make_record(const char *vm, double start_s)
{
    imig_record r = IMIG_RECORD_INIT;

    r.present = IMIG_RECORD_HAS_START | IMIG_RECORD_HAS_DIRTY | IMIG_RECORD_HAS_PREDICTED;
    r.run = "run";
    r.vm = vm;
    r.from = "a";
    r.to = "b";
    r.start_s = start_s;
    r.memory_bytes = 4e9;
    r.bandwidth_bytes_per_s = 1.25e8;
    r.dirty_bytes_per_s = 0; /* measured, and nothing: not the same as not measured */
    r.predicted_s = 30;
    r.workload_class = IMIG_WORKLOAD_CPU;
    return r;
}

static int64_t
add_one(imig_store *store, const imig_record *record)
{
    imig_records *one = imig_records_new();
    int64_t id = 0;

    assert_int_equal(imig_records_add(one, record, NULL), IMIG_OK);
    assert_int_equal(imig_store_add(store, one, &id, NULL), IMIG_OK);
    imig_records_free(one);
    return id;
}

static size_t
count(imig_store *store, const imig_store_filter *filter)
{
    imig_records *records = NULL;
    size_t n;

    assert_int_equal(imig_store_records(store, filter, &records, NULL), IMIG_OK);
    n = imig_records_count(records);
    imig_records_free(records);
    return n;
}

static void
what_is_written_is_read(void **state)
{
    char *path = new_path();
    imig_store *store = open_store(path, 0);
    imig_record r = make_record("v1", 1790000000.25), got = IMIG_RECORD_INIT;
    imig_records *records = NULL;
    int64_t id = add_one(store, &r);

    (void) state;
    r.present |= IMIG_RECORD_HAS_DURATION;
    r.duration_s = 31.5;
    r.outcome = IMIG_OUTCOME_DONE;
    r.rounds = 4;
    assert_int_equal(imig_store_replace(store, id, &r, NULL), IMIG_OK);
    assert_int_equal(imig_store_replace(store, id + 1, &r, NULL), IMIG_ERR_NOT_FOUND);
    imig_store_close(store);

    store = open_store(path, IMIG_STORE_READ_ONLY);
    assert_int_equal(imig_store_records(store, NULL, &records, NULL), IMIG_OK);
    assert_int_equal(imig_records_count(records), 1);
    assert_int_equal(imig_records_get(records, 0, &got, NULL), IMIG_OK);
    assert_int_equal(got.id, id);
    assert_string_equal(got.vm, "v1");
    assert_string_equal(got.run, "run");
    assert_null(got.hypervisor);
    assert_int_equal(got.present, r.present);
    assert_true(got.start_s == r.start_s && got.duration_s == 31.5 && got.dirty_bytes_per_s == 0);
    assert_int_equal(got.workload_class, IMIG_WORKLOAD_CPU);
    assert_int_equal(got.outcome, IMIG_OUTCOME_DONE);
    assert_int_equal(got.rounds, 4);
    imig_records_free(records);
    /* Read-only means it. */
    assert_int_equal(imig_store_set_constants(store, "x", NULL), IMIG_ERR_IO);
    imig_store_close(store);
    forget(path);
}

static void
filters_choose(void **state)
{
    char *path = new_path();
    imig_store *store = open_store(path, 0);
    imig_store_filter f = IMIG_STORE_FILTER_INIT;
    imig_records *records = NULL;
    imig_record got = IMIG_RECORD_INIT;

    (void) state;
    for (int i = 9; i >= 0; i--) {
        imig_record r = make_record(i % 2 ? "odd" : "even", 100 + i);

        r.vm_name = i == 3 ? "three" : NULL;
        r.to = i == 4 ? "c" : "b";
        r.workload_class = i < 5 ? IMIG_WORKLOAD_UNKNOWN : IMIG_WORKLOAD_DISK_IO;
        r.outcome = i == 5 ? IMIG_OUTCOME_FAILED : IMIG_OUTCOME_DONE;
        r.hypervisor = i == 6 ? "xen" : NULL;
        add_one(store, &r);
    }
    assert_int_equal(count(store, &f), 10);
    f.vm = "odd";
    assert_int_equal(count(store, &f), 5);
    f.vm = "three";
    assert_int_equal(count(store, &f), 1);
    f.vm = "o'dd\"; DROP TABLE migration; --";
    assert_int_equal(count(store, &f), 0);
    f.vm = NULL;
    f.host = "c";
    assert_int_equal(count(store, &f), 1);
    f.host = "a";
    assert_int_equal(count(store, &f), 10);
    f.host = NULL;
    f.hypervisor = "qemu"; /* where none was named, too */
    assert_int_equal(count(store, &f), 9);
    f.hypervisor = NULL;
    f.set = IMIG_FILTER_HAS_SINCE | IMIG_FILTER_HAS_UNTIL;
    f.since_s = 102;
    f.until_s = 105;
    assert_int_equal(count(store, &f), 3);
    f.set = IMIG_FILTER_HAS_CLASS;
    f.workload_class = IMIG_WORKLOAD_DISK_IO;
    assert_int_equal(count(store, &f), 5);
    f.set = IMIG_FILTER_HAS_OUTCOME;
    f.outcome = IMIG_OUTCOME_FAILED;
    assert_int_equal(count(store, &f), 1);
    f.set = 0;
    f.latest = 2;
    assert_int_equal(imig_store_records(store, &f, &records, NULL), IMIG_OK);
    assert_int_equal(imig_records_count(records), 2);
    imig_records_get(records, 0, &got, NULL);
    assert_true(got.start_s == 108); /* the latest, in the order in which they began */
    imig_records_free(records);
    f.set = IMIG_FILTER_HAS_OUTCOME << 1;
    assert_int_equal(imig_store_records(store, &f, &records, NULL), IMIG_ERR_ABI);
    imig_store_close(store);
    forget(path);
}

static void
all_records_or_none(void **state)
{
    char *path = new_path();
    imig_store *store = open_store(path, 0);
    imig_records *records = imig_records_new();
    imig_record r = make_record("v", 1);
    sqlite3 *db;

    (void) state;
    for (int i = 0; i < 5; i++)
        imig_records_add(records, &r, NULL);
    r.vm = "last";
    imig_records_add(records, &r, NULL);
    /* The last one is refused by the database. */
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TRIGGER no BEFORE INSERT ON migration WHEN "
                                      "new.vm = 'last' BEGIN SELECT raise(ABORT, 'no'); END",
                                  NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(imig_store_add(store, records, NULL, NULL), IMIG_ERR_IO);
    assert_int_equal(count(store, NULL), 0);
    r.vm = "another";
    add_one(store, &r);
    assert_int_equal(count(store, NULL), 1);
    imig_records_free(records);
    imig_store_close(store);
    forget(path);
}

/* What a file may be that is not ours, and one word of what is said about it. */
static const struct foreign {
    const char *name, *sql, *content, *word;
    int code;
} foreigns[] = {
    { "a text", NULL, "this is a text, and a long one, so that it is no empty database file; "
      "indeed it goes on for more than a hundred bytes", "not a store", IMIG_ERR_INVALID },
    { "somebody else's database", "CREATE TABLE t(x)", NULL, "not a store", IMIG_ERR_INVALID },
    { "somebody else's application", "PRAGMA application_id = 7", NULL, "not a store",
      IMIG_ERR_INVALID },
    { "a store of a newer release",
      "PRAGMA application_id = 1768778087; PRAGMA user_version = 2; CREATE TABLE t(x)", NULL,
      "version is 2", IMIG_ERR_INVALID },
};

static void
what_is_not_ours_is_refused_and_left_alone(void **state)
{
    const struct foreign *f = *state;
    char *path = new_path();
    g_autofree char *before = NULL, *after = NULL;
    gsize length, length_after;
    imig_store *store = NULL;

    if (f->content) {
        g_file_set_contents(path, f->content, -1, NULL);
    } else {
        sqlite3 *db;

        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, f->sql, NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
    }
    assert_true(g_file_get_contents(path, &before, &length, NULL));
    for (uint64_t flags = 0; flags <= IMIG_STORE_READ_ONLY; flags++) {
        imig_error *error = NULL;

        assert_int_equal(imig_store_open(path, flags, &store, &error), f->code);
        assert_null(store);
        assert_non_null(strstr(imig_error_message(error), f->word));
        assert_null(strchr(imig_error_message(error), '\n'));
        imig_error_free(error);
    }
    assert_true(g_file_get_contents(path, &after, &length_after, NULL));
    assert_int_equal(length, length_after);
    assert_memory_equal(before, after, length);
    forget(path);
}

static void
what_is_not_there(void **state)
{
    char *path = new_path();
    imig_store *store = NULL;

    (void) state;
    assert_int_equal(imig_store_open(path, IMIG_STORE_READ_ONLY, &store, NULL),
                     IMIG_ERR_NOT_FOUND);
    assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    assert_int_equal(imig_store_open("/nonexistent/folder/imig.db", 0, &store, NULL), IMIG_ERR_IO);
    assert_int_equal(imig_store_open(NULL, 0, &store, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_store_open(path, 2, &store, NULL), IMIG_ERR_ARGUMENT);
    assert_null(store);
    forget(path);
}

enum { WRITERS = 4, EACH = 40 };

/* Open at once, also to create it, and all write. */
static void
several_processes_write(void **state)
{
    char *path = new_path();
    pid_t child[WRITERS];
    imig_store *store;

    (void) state;
    for (int i = 0; i < WRITERS; i++) {
        child[i] = fork();
        if (child[i] == 0) {
            imig_record r = make_record("v", i);
            imig_records *two = imig_records_new();
            imig_store *own = NULL;
            imig_error *error = NULL;
            int rc = imig_store_open(path, 0, &own, &error);

            imig_records_add(two, &r, NULL);
            imig_records_add(two, &r, NULL);
            for (int k = 0; rc == IMIG_OK && k < EACH; k++)
                rc = imig_store_add(own, two, NULL, &error);
            if (rc != IMIG_OK)
                print_error("# %s\n", imig_error_message(error));
            imig_error_free(error);
            imig_records_free(two);
            imig_store_close(own);
            g_free(path);
            _exit(rc == IMIG_OK ? 0 : 1);
        }
    }
    for (int i = 0; i < WRITERS; i++) {
        int status;

        assert_int_equal(waitpid(child[i], &status, 0), child[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    store = open_store(path, IMIG_STORE_READ_ONLY);
    assert_int_equal(count(store, NULL), 2 * WRITERS * EACH);
    imig_store_close(store);
    forget(path);
}

/* Killed in the middle of writing: what is there are whole calls, and it can be written again. */
static void
a_killed_writer_leaves_nothing_half_written(void **state)
{
    char *path = new_path();
    imig_record r = make_record("v", 1);
    imig_store *store = open_store(path, 0);
    size_t before = 0;

    (void) state;
    for (int round = 0; round < 5; round++) {
        pid_t child = fork();
        int status;

        if (child == 0) {
            imig_records *seven = imig_records_new();
            imig_store *own = open_store(path, 0);

            for (int i = 0; i < 7; i++)
                imig_records_add(seven, &r, NULL);
            for (;;)
                imig_store_add(own, seven, NULL, NULL);
        }
        while (count(store, NULL) == before)
            g_usleep(1000);
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        before = count(store, NULL);
        assert_int_equal(before % 7, 0);
    }
    assert_true(before > 0);
    add_one(store, &r);
    assert_int_equal(count(store, NULL), before + 1);
    imig_store_close(store);
    forget(path);
}

static void
constants_are_kept(void **state)
{
    char *path = new_path(), *text = NULL;
    imig_store *store = open_store(path, 0);

    (void) state;
    assert_int_equal(imig_store_constants(store, &text, NULL), IMIG_OK);
    assert_null(text);
    assert_int_equal(imig_store_set_constants(store, "{1}", NULL), IMIG_OK);
    assert_int_equal(imig_store_set_constants(store, "{2}", NULL), IMIG_OK);
    assert_int_equal(imig_store_constants(store, &text, NULL), IMIG_OK);
    assert_string_equal(text, "{2}");
    imig_free(text);
    assert_int_equal(imig_store_set_constants(store, NULL, NULL), IMIG_OK);
    assert_int_equal(imig_store_constants(store, &text, NULL), IMIG_OK);
    assert_null(text);
    imig_store_close(store);
    forget(path);
}

struct seen {
    size_t n;
    double work, cpu_beside, disk_beside;
};

static void
see(const imig_observation *o, void *data)
{
    struct seen *s = data;

    s->n++;
    if (strcmp(o->vm, "v0") == 0) {
        s->work = o->work_per_s;
        s->cpu_beside = o->beside[IMIG_WORKLOAD_CPU];
        s->disk_beside = o->beside[IMIG_WORKLOAD_DISK_IO];
        assert_int_equal(o->beside_count, IMIG_WORKLOAD_COUNT);
        assert_string_equal(o->workload, "cpu");
    }
}

static void
what_vms_got_done_is_kept(void **state)
{
    static const int32_t workload[] = { IMIG_WORKLOAD_CPU, IMIG_WORKLOAD_CPU,
                                        IMIG_WORKLOAD_IDLE, IMIG_WORKLOAD_CPU };
    static const double cores[] = { 2, 3, 0.1, 4 };
    imig_cluster *cluster = imig_cluster_new(0);
    char *path = new_path();
    imig_store *store = open_store(path, 0);
    struct seen s = { 0 };

    (void) state;
    for (int h = 0; h < 2; h++) {
        imig_host_info host = IMIG_HOST_INFO_INIT;

        host.id = h == 0 ? "roomy" : "crowded";
        host.cpu_cores = h == 0 ? 10 : 4;
        host.memory_bytes = 1e12;
        assert_int_equal(imig_cluster_add_host(cluster, &host, NULL), IMIG_OK);
    }
    for (uint32_t i = 0; i < 4; i++) {
        static const char *const ids[] = { "v0", "v1", "v2", "v3" };
        imig_vm_info vm = IMIG_VM_INFO_INIT;

        vm.id = ids[i];
        vm.host = i == 3;
        vm.vcpus = 8;
        vm.memory_bytes = 1e9;
        vm.present = UINT64_C(1) << IMIG_METRIC_CPU_CORES;
        vm.cpu_cores = cores[i];
        assert_int_equal(imig_cluster_add_vm(cluster, &vm, NULL), IMIG_OK);
    }
    assert_int_equal(imig_cluster_finish(cluster, NULL), IMIG_OK);
    assert_int_equal(imig_store_observe(store, cluster, workload, 100, NULL), IMIG_OK);
    assert_int_equal(imig_store_observe(store, cluster, workload, 200, NULL), IMIG_OK);
    assert_int_equal(imig_store_observations(store, see, &s, NULL), IMIG_OK);
    /* Not the idle one, nor the one that has to wait for CPUs. */
    assert_int_equal(s.n, 4);
    assert_true(s.work == 2 && fabs(s.cpu_beside - 0.3) < 1e-6 && s.disk_beside == 0);
    imig_cluster_unref(cluster);
    imig_store_close(store);
    forget(path);
}

int
main(void)
{
    enum { FOREIGNS = G_N_ELEMENTS(foreigns), OTHERS = 8 };
    struct CMUnitTest tests[FOREIGNS + OTHERS] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(filters_choose),
        cmocka_unit_test(all_records_or_none),
        cmocka_unit_test(what_is_not_there),
        cmocka_unit_test(several_processes_write),
        cmocka_unit_test(a_killed_writer_leaves_nothing_half_written),
        cmocka_unit_test(constants_are_kept),
        cmocka_unit_test(what_vms_got_done_is_kept),
    };

    for (size_t i = 0; i < FOREIGNS; i++)
        tests[OTHERS + i] = (struct CMUnitTest) {
            .name = foreigns[i].name, .test_func = what_is_not_ours_is_refused_and_left_alone,
            .initial_state = (void *) &foreigns[i],
        };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
