/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What the module for Xen does without Xen: locks and their records, who saves a domain.  What it
 * says to xl and hears of it: test-xen-xl.c; devices: test-xen-device.c; the log-dirty switch:
 * test-xen-switch.c.  All else is tested on a real hypervisor, see tests/lab/xen.
 */

#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <cmocka.h>
#include <imig/context.h>
#include "xen-fixture.h"

#define HELPER "libxl-save-helper\0--save-domain\0" "1\0" "2\0"
#define VM "86143fbe-e9c6-11f1-8865-b12ae59b3af6"

static void
put_process(const fake *f, int pid, int parent, uint64_t start, const char *words, gssize length)
{
    char *path = g_strdup_printf("proc/%d/cmdline", pid), *stat;

    put(f, path, words, length);
    g_free(path);
    path = g_strdup_printf("proc/%d/stat", pid);
    stat = g_strdup_printf("%d (a) b)) S %d 1 1 0 -1 4194560 1 0 0 0 1 1 0 0 20 0 1 0 %" PRIu64
                           " 1000 100\n", pid, parent, start);
    put(f, path, stat, -1);
    g_free(stat);
    g_free(path);
}

#define PUT_PROCESS(f, pid, parent, start, words) \
    put_process(f, pid, parent, start, words, (gssize) sizeof words)

/* ---- the lock ---- */

static void
a_domain_is_locked_once(void **state)
{
    const fake *f = *state;
    xe_lock one = XE_LOCK_INIT, two = XE_LOCK_INIT, other = XE_LOCK_INIT;
    imig_error *error = NULL;

    assert_int_equal(xe_lock_take(&f->places, VM, &one, NULL), IMIG_OK);
    assert_int_equal(one.found.use, XE_USE_NONE);
    assert_int_equal(xe_lock_note(&f->places, &one, XE_USE_LOGGING, 7, NULL), IMIG_OK);
    assert_int_equal(xe_lock_take(&f->places, VM, &two, &error), IMIG_ERR_BUSY);
    assert_non_null(strstr(imig_error_message(error), "are being logged"));
    imig_error_free(error);
    assert_int_equal(xe_lock_take(&f->places, "86143fbe-e9c6-11f1-8865-b12ae59b3af7", &other, NULL),
                     IMIG_OK);
    xe_lock_release(&other);
    xe_lock_release(&one);
    assert_int_equal(xe_lock_take(&f->places, VM, &two, NULL), IMIG_OK);
    xe_lock_release(&two);
}

/* A child that has it as well does not keep it once it is released, and keeps it where its parent
   is killed. */
static void
a_lock_outlives_its_process_in_a_child(void **state)
{
    const fake *f = *state;
    xe_lock lock = XE_LOCK_INIT;
    int ready[2], go[2], status;
    char byte;
    pid_t parent;

    assert_int_equal(pipe(ready) | pipe(go), 0);
    parent = fork();
    if (parent == 0) {
        close(go[1]);
        if (xe_lock_take(&f->places, VM, &lock, NULL) != IMIG_OK)
            _exit(1);
        if (fork() == 0) {
            close(ready[0]);
            if (write(ready[1], "r", 1) != 1 || read(go[0], &byte, 1) < 0)
                _exit(1);
            _exit(0); /* releases nothing by itself: the last one that has it closes it */
        }
        _exit(0);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(waitpid(parent, &status, 0), parent);
    assert_int_equal(xe_lock_take(&f->places, VM, &lock, NULL), IMIG_ERR_BUSY);
    close(go[0]);
    close(go[1]);
    while (xe_lock_take(&f->places, VM, &lock, NULL) != IMIG_OK)
        g_usleep(1000);
    xe_lock_release(&lock);
    close(ready[0]);
}

static void
a_record_tells_the_dead_from_the_living(void **state)
{
    const fake *f = *state;
    xe_lock lock = XE_LOCK_INIT;
    xe_record r;
    char **records;

    assert_int_equal(xe_lock_take(&f->places, VM, &lock, NULL), IMIG_OK);
    assert_int_equal(xe_lock_note(&f->places, &lock, XE_USE_LOGGING, 7, NULL), IMIG_OK);
    xe_lock_release(&lock);
    assert_int_equal(xe_lock_take(&f->places, VM, &lock, NULL), IMIG_OK);
    r = lock.found;
    assert_int_equal(r.use, XE_USE_LOGGING);
    assert_int_equal(r.pid, getpid());
    assert_int_equal(r.start, 4711);
    assert_string_equal(r.uuid, VM);
    assert_int_equal(xe_record_judge(&f->places, &r, 7), XE_RECORD_ALIVE);
    assert_int_equal(xe_record_judge(&f->places, &r, 8), XE_RECORD_VOID); /* it started anew */
    r.start++; /* another process has that number now */
    assert_int_equal(xe_record_judge(&f->places, &r, 7), XE_RECORD_DEAD);
    r.pid = 999999;
    assert_int_equal(xe_record_judge(&f->places, &r, 7), XE_RECORD_DEAD);
    r.boot[0] = 'e'; /* the machine has booted since */
    assert_int_equal(xe_record_judge(&f->places, &r, 7), XE_RECORD_VOID);

    records = xe_lock_records(&f->places);
    assert_int_equal(g_strv_length(records), 1);
    assert_string_equal(records[0], VM);
    g_strfreev(records);
    assert_int_equal(xe_lock_note(&f->places, &lock, XE_USE_NONE, 7, NULL), IMIG_OK);
    records = xe_lock_records(&f->places);
    assert_int_equal(g_strv_length(records), 0);
    g_strfreev(records);
    xe_lock_release(&lock);
}

/* ---- who saves a domain ---- */

static const struct saver_case {
    const char *name, *words;
    size_t length;
    gboolean saves;
} saver_cases[] = {
#define CASE(name, words, saves) { name, words, sizeof words, saves }
    CASE("xl migrates it by its number", "xl\0migrate\0" "7\0host", TRUE),
    CASE("xl migrates it by its name", "/usr/sbin/xl\0-vvv\0migrate\0-s\0ssh\0web 1\0host", TRUE),
    CASE("xl saves it by its UUID", "xl\0save\0-c\0" VM "\0/tmp/f", TRUE),
    CASE("zeros before the number", "xl\0migrate\0" "007\0host", TRUE),
    CASE("a script that will be xl", "/bin/sh\0-e\0/usr/sbin/xl\0migrate\0" "7\0host", TRUE),
    CASE("a script that will list it", "/bin/sh\0/usr/sbin/xl\0list\0web 1", FALSE),
    CASE("a script that will migrate another one", "sh\0/usr/sbin/xl\0save\0" "8\0f", FALSE),
    CASE("the transport's shell", "sh\0-c\0exec ssh host xl migrate-receive", FALSE),
    CASE("another script", "/bin/sh\0/root/backup\0migrate\0" "7", FALSE),
    CASE("a shell", "-sh", FALSE),
    CASE("xl migrates another one", "xl\0migrate\0" "8\0host", FALSE),
    CASE("xl lists it", "xl\0list\0web 1", FALSE),
    CASE("xl receives", "xl\0migrate-receive", FALSE),
    CASE("the helper saves it",
         "/usr/lib/xen-4.17/bin/libxl-save-helper\0--save-domain\0" "16\0" "12\0" "7\0" "1\0"
         "136\0" "0", TRUE),
    CASE("the helper saves another one",
         "libxl-save-helper\0--save-domain\0" "7\0" "7\0" "8\0" "7\0" "136\0" "0", FALSE),
    CASE("a helper of another release", "libxl-save-helper\0--save-domain\0" "16\0" "7", TRUE),
    CASE("a helper that is starting", "libxl-save-helper", TRUE),
    CASE("the helper receives", "libxl-save-helper\0--restore-domain\0" "16\0" "12\0" "7", FALSE),
    CASE("XAPI's may mean any", "/usr/libexec/xen/bin/xenguest\0-mode\0listen", TRUE),
    CASE("no toolstack", "vi\0migrate\0" "7", FALSE),
#undef CASE
};

static void
savers_are_found(void **state)
{
    const fake *f = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(saver_cases); i++) {
        const struct saver_case *c = &saver_cases[i];
        GArray *savers;

        put_process(f, 100, 50, 1, c->words, (gssize) c->length);
        savers = xe_savers_read(f->places.proc);
        if ((xe_savers_find(savers, 7, "web 1", VM) != NULL) != c->saves)
            fail_msg("%s", c->name);
        g_array_unref(savers);
    }
}

static void
who_sees_no_process_is_in_doubt(void **state)
{
    GArray *savers = xe_savers_read("/nonexistent");

    (void) state;
    assert_non_null(xe_savers_find(savers, 7, NULL, NULL));
    assert_int_equal(xe_savers_helper(savers, 7, 0), 0);
    g_array_unref(savers);
}

static void
our_own_helper_is_told_from_others(void **state)
{
    const fake *f = *state;
    GArray *savers;

    PUT_PROCESS(f, 100, 50, 1, HELPER "7\0" "1\0" "1\0" "0");
    PUT_PROCESS(f, 101, 51, 1, HELPER "8\0" "1\0" "1\0" "0");
    savers = xe_savers_read(f->places.proc);
    assert_int_equal(savers->len, 2);
    assert_int_equal(xe_savers_helper(savers, 7, 50), 100);
    assert_int_equal(xe_savers_helper(savers, 7, 51), 0);
    assert_int_equal(xe_savers_helper(savers, 8, 51), 101);
    g_array_unref(savers);
}

/* ---- the module on a machine without Xen ---- */

static int
open_fds(void)
{
    GDir *dir = g_dir_open("/proc/self/fd", 0, NULL);
    int n = 0;

    while (g_dir_read_name(dir))
        n++;
    g_dir_close(dir);
    return n;
}

static void
without_xen_one_line_says_so(void **state)
{
    imig_context *context;
    const char *uri = "xenctl:";
    imig_connection *connection = NULL;
    imig_error *error = NULL;

    (void) state;
    if (!g_getenv("IMIG_TEST_BACKENDS") || access("/proc/xen/privcmd", F_OK) == 0
        || access("/dev/xen/privcmd", F_OK) == 0)
        skip();
    context = imig_context_new();
    imig_context_set_module_directory(context, g_getenv("IMIG_TEST_BACKENDS"), NULL);
    for (int i = 0, before = 0; i < 3; i++) {
        assert_int_equal(imig_connect(context, &uri, 1, &connection, &error), IMIG_ERR_UNSUPPORTED);
        assert_string_equal(imig_error_message(error),
                            "xenctl:: this machine is no domain 0 of Xen");
        imig_error_free(error);
        error = NULL;
        if (i > 0)
            assert_int_equal(open_fds(), before); /* the module itself stays open */
        before = open_fds();
    }
    imig_context_unref(context);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILES(a_domain_is_locked_once),
        WITH_FILES(a_lock_outlives_its_process_in_a_child),
        WITH_FILES(a_record_tells_the_dead_from_the_living),
        WITH_FILES(savers_are_found),
        WITH_FILES(who_sees_no_process_is_in_doubt),
        WITH_FILES(our_own_helper_is_told_from_others),
        cmocka_unit_test(without_xen_one_line_says_so),
    };

    return cmocka_run_group_tests_name("xen", tests, NULL, NULL);
}
