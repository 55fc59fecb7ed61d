/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A migration of the module for Xen without Xen: what xl is told, what it says, how its helper is
   watched. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <cmocka.h>
#include "xen-fixture.h"

/* ---- the URI, and what xl is told ---- */

static void
uris_are_read(void **state)
{
    xe_places places;

    (void) state;
    assert_int_equal(xe_uri_parse("xenctl:", &places, NULL), IMIG_OK);
    assert_string_equal(places.lock_dir, "/run/imig");
    xe_places_clear(&places);
    assert_int_equal(xe_uri_parse("xenctl:?lock-dir=/a b", &places, NULL), IMIG_OK);
    assert_string_equal(places.lock_dir, "/a b");
    xe_places_clear(&places);
    assert_int_equal(xe_uri_parse("xenctl:?lock-dir=a", &places, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(xe_uri_parse("xenctl://host", &places, NULL), IMIG_ERR_ARGUMENT);
}

static const struct target_case {
    const char *migrate_uri, *to_uri;
    const char *transport, *host; /* host NULL: refused */
} target_cases[] = {
#define SSH "ssh -T -o BatchMode=yes"
    { NULL, "xenctl+ssh://hostb", SSH, "hostb" },
    { NULL, "xenctl+ssh://root@hostb/", SSH, "root@hostb" },
    { NULL, "xenctl+ssh://hostb:2222", SSH, "ssh://hostb:2222" },
    { "10.0.0.2", "xenctl+ssh://hostb", SSH, "10.0.0.2" },
    { "ssh://root@hostb:22", "xenctl:", SSH, "ssh://root@hostb:22" },
    { "fe80::1%eth0", NULL, SSH, "fe80::1%eth0" },
    { "labssh://10.0.0.2", "xenctl+ssh://hostb", "labssh", "10.0.0.2" },
    { NULL, "xenctl:", NULL, NULL },
    { NULL, NULL, NULL, NULL },
    { "-oProxyCommand=x", NULL, NULL, NULL },
    { "labssh://-x", NULL, NULL, NULL },
    { "host;reboot", NULL, NULL, NULL },
    { "host reboot", NULL, NULL, NULL },
    { "$(reboot)", NULL, NULL, NULL },
    { "`reboot`", NULL, NULL, NULL },
    { "host\nreboot", NULL, NULL, NULL },
    { "lab ssh://host", NULL, NULL, NULL },
    { "-x://host", NULL, NULL, NULL },
    { "://host", NULL, NULL, NULL },
    { "", NULL, NULL, NULL },
};

static void
only_safe_words_reach_xl(void **state)
{
    (void) state;
    for (size_t i = 0; i < G_N_ELEMENTS(target_cases); i++) {
        const struct target_case *c = &target_cases[i];
        imig_migration m = IMIG_MIGRATION_INIT;
        xe_target target;
        char **argv;

        m.to = "b";
        m.to_uri = c->to_uri;
        m.migrate_uri = c->migrate_uri;
        if (xe_target_find(&m, &target, NULL) != IMIG_OK) {
            if (c->host)
                fail_msg("%s is refused", c->host);
            continue;
        }
        if (!c->host)
            fail_msg("\"%s\" is taken", c->migrate_uri ? c->migrate_uri : c->to_uri);
        argv = xe_xl_command("/usr/sbin/xl", 7, &target, NULL);
        assert_int_equal(g_strv_length(argv), 6);
        assert_string_equal(argv[1], "migrate");
        assert_string_equal(argv[2], "-s");
        assert_string_equal(argv[3], c->transport);
        assert_string_equal(argv[4], "7");
        assert_string_equal(argv[5], c->host);
        g_strfreev(argv);
        xe_target_clear(&target);
    }
}

static void
make_program(const fake *f, const char *name)
{
    char *path = g_build_filename(f->top, name, NULL);

    put(f, name, "#!/bin/sh\n", -1);
    assert_int_equal(g_chmod(path, 0755), 0);
    g_free(path);
}

/* Whatever stands in the PATH: only a plain path reaches the shell of xl. */
static void
a_cap_is_a_pipe_before_the_transport(void **state)
{
    const fake *f = *state;
    char *path = g_strdup(g_getenv("PATH")), *odd = g_build_filename(f->top, "a b", NULL), *want;
    xe_target target = { .transport = (char *) "ssh -T", .host = (char *) "b" };
    char *limiter, **argv;

    g_setenv("PATH", f->top, TRUE);
    assert_null(xe_limiter(1e6));
    make_program(f, "pv");
    limiter = xe_limiter(1e6);
    want = g_strdup_printf("%s/pv -qL 1000000", f->top);
    assert_string_equal(limiter, want);
    g_free(limiter);
    g_free(want);
    make_program(f, "imig");
    limiter = xe_limiter(1234567.8);
    want = g_strdup_printf("%s/imig pipe --rate 1234567 | ssh -T", f->top);
    argv = xe_xl_command("xl", 7, &target, limiter);
    assert_string_equal(argv[3], want);
    assert_string_equal(argv[5], "b");
    g_strfreev(argv);
    g_free(limiter);
    g_free(want);
    make_program(f, "a b/imig");
    g_setenv("PATH", odd, TRUE);
    assert_null(xe_limiter(1e6));
    g_setenv("PATH", path, TRUE);
    g_free(odd);
    g_free(path);
}

/* ---- what xl says ---- */

static const char good[] =
    "migration target: Ready to receive domain.\n"
    "Saving to migration stream new xl format (info 0x3/0x0/990)\n"
    "xc: info: Saving domain 1, type x86 HVM\n"
    "xc: info: Restore successful\n"
    "migration sender: Target has acknowledged transfer.\n"
    "migration sender: Giving target permission to start.\n"
    "migration target: Domain started successsfully.\n"
    "migration sender: Target reports successful startup.\n"
    "Migration successful.\n";

static void
progress_is_read_in_pieces(void **state)
{
    (void) state;
    for (size_t piece = 1; piece < 200; piece += 13) {
        xe_progress p = { 0 };
        size_t at = 0, seen = 0;

        while (at < strlen(good)) {
            seen = MIN(seen + piece, strlen(good));
            at += xe_progress_text(&p, good + at, seen - at);
            if (at < (size_t) (strstr(good, "Giving") - good))
                assert_false(p.go);
        }
        assert_true(p.acknowledged && p.go && p.started && p.done);
    }
}

static const struct failure_case {
    const char *said, *reason;
} failure_cases[] = {
    { "ssh: connect to host b port 22: Connection refused\nlibxl: info: x\n"
      "migration target: Failure\n", "ssh: connect to host b port 22: Connection refused" },
    { "migration sender: libxl_domain_suspend failed (rc=-8)\nMigration failed, failed to suspend "
      "at sender.\n", "migration sender: libxl_domain_suspend failed (rc=-8)" },
    { "something\nlast words\n", "last words" },
    { "", "" },
};

static void
a_failure_is_told_in_xl_s_words(void **state)
{
    (void) state;
    for (size_t i = 0; i < G_N_ELEMENTS(failure_cases); i++) {
        xe_progress p = { 0 };

        xe_progress_text(&p, failure_cases[i].said, strlen(failure_cases[i].said));
        assert_string_equal(p.reason, failure_cases[i].reason);
        assert_false(p.done || p.go);
    }
}

static void
a_helper_that_broke_is_noticed(void **state)
{
    static const char broke[] =
        "libxl: error: libxl_utils.c:499:libxl_report_child_exitstatus: domain 1 save/restore "
        "helper [411] exited with error status 254\n"
        "migration sender: libxl_domain_suspend failed (rc=-3)\n";
    static const char stopped[] =
        "xc: error: Save failed (9 = Bad file descriptor): Internal error\n"
        "migration sender: libxl_domain_suspend failed (rc=-3)\n";
    xe_progress p = { 0 }, other = { 0 };

    (void) state;
    xe_progress_text(&p, broke, strlen(broke));
    assert_true(p.helper_broke);
    xe_progress_text(&other, stopped, strlen(stopped));
    assert_false(other.helper_broke);
}

/* ---- its helper ---- */

/* A signal to a helper that waits for xl's answer ends it before it has cleaned up. */
static void
a_helper_that_asks_is_left_alone(void **state)
{
    const fake *f = *state;
    char *in = g_strdup_printf("%ld 0x0 0x7ffc 0x4 0x0 0x0 0x0 0x7ffd 0x7f01\n", (long) SYS_read);
    char *other = g_strdup_printf("%ld 0x7 0x7ffc 0x4 0x0 0x0 0x0 0x7ffd 0x7f01\n",
                                  (long) SYS_read);
    char *out = g_strdup_printf("%ld 0x0 0x7ffc 0x4 0x0 0x0 0x0 0x7ffd 0x7f01\n",
                                (long) SYS_writev);

    put(f, "proc/9/syscall", in, -1);
    assert_true(xe_waits_for_answer(f->places.proc, 9));
    put(f, "proc/9/syscall", other, -1);
    assert_false(xe_waits_for_answer(f->places.proc, 9));
    put(f, "proc/9/syscall", out, -1);
    assert_false(xe_waits_for_answer(f->places.proc, 9));
    put(f, "proc/9/syscall", "running\n", -1);
    assert_false(xe_waits_for_answer(f->places.proc, 9));
    assert_false(xe_waits_for_answer(f->places.proc, 10));
    g_free(in);
    g_free(other);
    g_free(out);
}

/* ---- its rounds ---- */

enum { PAGE = 4096 };

static void
a_smaller_count_is_another_round(void **state)
{
    xe_rounds r;

    (void) state;
    xe_rounds_begin(&r, 7000, 1000 * PAGE, 10); /* counted when it was last logged */
    assert_int_equal(r.rounds, 1);
    assert_true(r.dirty_bytes_per_s < 0);
    xe_rounds_look(&r, 7050, 100 * PAGE, 10.1);
    assert_true(r.dirty_bytes_per_s < 0); /* too early to say */
    xe_rounds_look(&r, 7200, 400 * PAGE, 12);
    assert_int_equal(r.rounds, 1);
    assert_true(r.dirty_bytes_per_s == 100 * PAGE);
    assert_true(xe_rounds_remaining(&r, 400 * PAGE) == 600 * PAGE);
    xe_rounds_look(&r, 7250, 1000 * PAGE, 14);
    xe_rounds_look(&r, 5, 1010 * PAGE, 14.1);
    assert_int_equal(r.rounds, 2);
    assert_true(r.dirty_bytes_per_s == 62.5 * PAGE); /* of the round before */
    assert_true(xe_rounds_remaining(&r, 1110 * PAGE) == 150 * PAGE);
    assert_true(xe_rounds_remaining(&r, 1300 * PAGE) == 0);
    xe_rounds_look(&r, 45, 1200 * PAGE, 14.6);
    assert_true(fabs(r.dirty_bytes_per_s - 90 * PAGE) < 1);
    xe_rounds_last(&r, 1260 * PAGE, 15);
    assert_int_equal(r.rounds, 3);
    assert_true(xe_rounds_remaining(&r, 1260 * PAGE) == 45 * PAGE);
}

/* An idle VM's count need not grow between two rounds. */
static void
the_same_count_is_the_same_round(void **state)
{
    xe_rounds r;

    (void) state;
    xe_rounds_begin(&r, 0, 1000 * PAGE, 10);
    for (int i = 1; i < 100; i++)
        xe_rounds_look(&r, 0, i * 10.0 * PAGE, 10 + i);
    assert_int_equal(r.rounds, 1);
    assert_true(r.dirty_bytes_per_s == 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILES(uris_are_read),
        WITH_FILES(only_safe_words_reach_xl),
        WITH_FILES(a_cap_is_a_pipe_before_the_transport),
        WITH_FILES(progress_is_read_in_pieces),
        WITH_FILES(a_failure_is_told_in_xl_s_words),
        WITH_FILES(a_helper_that_broke_is_noticed),
        WITH_FILES(a_helper_that_asks_is_left_alone),
        cmocka_unit_test(a_smaller_count_is_another_round),
        cmocka_unit_test(the_same_count_is_the_same_round),
    };

    return cmocka_run_group_tests_name("xen-xl", tests, NULL, NULL);
}
