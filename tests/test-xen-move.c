/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A migration as its thread sees it, and what becomes of the VM where it fails, on a hypervisor
   that is not there. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "backend/xen-move-priv.h"
#include "fake-xen.h"

#include <signal.h>
#include <sys/wait.h>

static xe_bell bell;
static double clock_s;

double
xe_job_clock(const xe_job *job)
{
    (void) job;
    return clock_s;
}

/* ---- the request to suspend itself, in xenstore ---- */

xs_transaction_t
xs_transaction_start(struct xs_handle *xs)
{
    (void) xs;
    return 1;
}

bool
xs_transaction_end(struct xs_handle *xs, xs_transaction_t transaction, bool abort)
{
    (void) xs;
    (void) transaction;
    (void) abort;
    return true;
}

bool
xs_write(struct xs_handle *xs, xs_transaction_t transaction, const char *path, const void *text,
         unsigned length)
{
    (void) xs;
    (void) transaction;
    (void) text;
    assert_string_equal(path, "/local/domain/7/control/shutdown");
    assert_int_equal(length, 0);
    xen.control = "";
    xen.suspends_after = 0; /* it was asked in time */
    g_string_append(xen.calls, "take-back ");
    return true;
}

/* ---- a migration of which the toolstack has ended ---- */

static int
set_up_moving(void **state)
{
    set_up_xen(state);
    clock_s = 1000;
    return 0;
}

#define WITH_MOVING(test) cmocka_unit_test_setup_teardown(test, set_up_moving, tear_down_xen)

/* The number of a process that was, and of a group that nobody is in. */
static pid_t
ended_process(void)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    return pid;
}

static void
begin(xe_job *job, xe_moving *m)
{
    *job = (xe_job) {
        .vm = (char *) VM, .domid = DOMID, .places = xen.files->places, .bell = &bell,
        .lock = XE_LOCK_INIT,
    };
    *m = (xe_moving) { .job = job, .pid = ended_process(), .said_fd = -1, .had_helper = TRUE };
    assert_int_equal(xe_lock_take(&job->places, VM, &job->lock, NULL), IMIG_OK);
    assert_int_equal(xe_lock_note(&job->places, &job->lock, XE_USE_MIGRATING, DOMID, NULL),
                     IMIG_OK);
}

enum { FAILED = 1 << 8, KILLED = SIGKILL }; /* as waitpid() says it */

static const struct settle_case {
    const char *name;
    int status;
    xe_progress progress;
    uint32_t flags;
    const char *domain, *control, *type;
    int suspends_after;
    const char *words, *calls; /* what is said, and done; words NULL: nothing */
    int use;
} settle_cases[] = {
    { "cancelled, and all cleaned up", FAILED, { 0 }, RUNNING, "web", "", "pvh", 0, NULL, "off ",
      XE_USE_NONE },
    { "xl killed: it goes on", KILLED, { 0 }, SUSPENDED, "web", "", "pvh", 0, NULL,
      "resume xs-resume off ", XE_USE_NONE },
    { "xl killed: only xl could wake its device model", KILLED, { 0 }, SUSPENDED, "web", "", "hvm",
      0, "; the VM stands still here", "", XE_USE_LEFT },
    { "it has not taken note of the request", FAILED, { .helper_broke = TRUE }, RUNNING, "web",
      "suspend", "pvh", 50, NULL, "take-back off ", XE_USE_NONE },
    { "it has, and suspends itself later", FAILED, { .helper_broke = TRUE }, RUNNING, "web", "",
      "pvh", 5, NULL, "resume xs-resume off ", XE_USE_NONE },
    { "the destination gave it back", FAILED, { .acknowledged = TRUE, .go = TRUE }, RUNNING, "web",
      "", "pvh", 0, NULL, "off ", XE_USE_NONE },
    { "the destination may run it", KILLED, { .acknowledged = TRUE, .go = TRUE }, SUSPENDED,
      "web--migratedaway", "", "pvh", 0, "; the destination was told to start it", "",
      XE_USE_LEFT },
    { "the same, without a name", KILLED, { .acknowledged = TRUE, .go = TRUE }, SUSPENDED, NULL,
      "", "pvh", 0, "; the destination was told to start it", "", XE_USE_LEFT },
};

static void
what_failed_is_settled(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(settle_cases); i++) {
        const struct settle_case *c = &settle_cases[i];
        const char *words;
        xe_job job;
        xe_moving m;

        if (i > 0) {
            tear_down_xen(state);
            set_up_moving(state);
        }
        begin(&job, &m);
        m.status = c->status;
        m.progress = c->progress;
        xen.info.flags = c->flags;
        xen.name = c->domain;
        xen.type = c->type;
        xen.control = c->control;
        xen.suspends_after = c->suspends_after;
        words = xe_moving_settle(&m);
        if (g_strcmp0(words, c->words) != 0 || strcmp(xen.calls->str, c->calls) != 0)
            fail_msg("%s: \"%s\", %s", c->name, words ? words : "", xen.calls->str);
        xe_lock_release(&job.lock);
        assert_int_equal(noted(), c->use);
    }
}

/* ---- what is seen of one under way ---- */

/* The helper, and what it has written. */
static void
put_helper(const xe_moving *m, double pages)
{
    char *text = g_strdup_printf("100 (x) S %d 1\n", (int) m->pid);

    put_saver("libxl-save-helper --save-domain 1 2 7 1 1 0");
    put(xen.files, "proc/100/stat", text, -1);
    g_free(text);
    text = g_strdup_printf("wchar: %.0f\n", pages * XE_PAGE_BYTES);
    put(xen.files, "proc/100/io", text, -1);
    g_free(text);
}

static void
look(xe_moving *m, uint32_t dirty, double seconds)
{
    xen.dirty = dirty;
    clock_s += seconds;
    xe_moving_look(m);
}

static void
rounds_are_seen_as_they_go_by(void **state)
{
    xe_job job;
    xe_moving m;
    const imig_job *info = &job.info;

    (void) state;
    begin(&job, &m);
    m.had_helper = FALSE;
    look(&m, 7000, 0); /* left by an earlier logging */
    assert_int_equal(info->present, 0);
    m.looked_us = 0; /* it is looked for now and then only */
    put_helper(&m, 100);
    look(&m, 7000, 0.1);
    assert_int_equal(m.helper, 100);
    look(&m, 7050, 0.5);
    assert_int_equal(info->rounds, 1);
    assert_true(info->remaining_bytes == 900 * XE_PAGE_BYTES);
    put_helper(&m, 1000);
    look(&m, 7100, 0.5);
    assert_true(info->dirty_bytes_per_s == 200 * XE_PAGE_BYTES);
    look(&m, 3, 0.1); /* cleaned */
    assert_int_equal(info->rounds, 2);
    assert_true(info->remaining_bytes == 100 * XE_PAGE_BYTES);
    assert_true(info->present & IMIG_JOB_HAS_ROUNDS && info->present & IMIG_JOB_HAS_REMAINING
                && info->present & IMIG_JOB_HAS_DIRTY);
    look(&m, 20, 0.3);
    xen.info.flags = SUSPENDED;
    look(&m, 0, 0.1); /* cleaned once more: the round in which it stands still */
    look(&m, 0, 0.1);
    assert_int_equal(info->rounds, 3);
    assert_int_equal(info->state, IMIG_JOB_FINISHING);
    xe_lock_release(&job.lock);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MOVING(what_failed_is_settled),
        WITH_MOVING(rounds_are_seen_as_they_go_by),
    };

    return cmocka_run_group_tests_name("xen-move", tests, NULL, NULL);
}
