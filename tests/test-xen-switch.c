/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who turns the log-dirty switch of a domain off, and when, on a hypervisor that is not there. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake-xen.h"

static const xe_handle handle = { NULL, NULL };

static void
remove_file(const char *path)
{
    char *whole = g_build_filename(xen.files->top, path, NULL);

    remove_tree(whole);
    g_free(whole);
}

static void
end_saver(void)
{
    remove_file("proc/100");
}

static void
begin_own_process(uint64_t start)
{
    char *path = g_strdup_printf("proc/%d/stat", (int) getpid());
    char *stat = g_strdup_printf("1 (x) R 1 1 1 0 -1 4194560 1 0 0 0 1 1 0 0 20 0 1 0 %" PRIu64
                                 " 1 1\n", start);

    put(xen.files, path, stat, -1);
    g_free(stat);
    g_free(path);
}

/* A record of a process that has ended, under a lock that is free. */
static void
put_record(xe_use use)
{
    xe_lock lock = XE_LOCK_INIT;

    begin_own_process(1);
    assert_int_equal(xe_lock_take(&xen.files->places, VM, &lock, NULL), IMIG_OK);
    assert_int_equal(xe_lock_note(&xen.files->places, &lock, use, DOMID, NULL), IMIG_OK);
    xe_lock_release(&lock);
    begin_own_process(4711); /* another one, with the same number */
}

/* ---- finding a domain ---- */

static void
xenstore_is_asked_about_one_domain(void **state)
{
    xe_domain domain;
    gboolean found;

    (void) state;
    assert_int_equal(xe_domain_find(&handle, "86143fbe-e9c6-11f1-8865-b12ae59b3af7", &domain,
                                    &found, NULL), IMIG_OK);
    assert_false(found);
    assert_int_equal(xen.questions, 0);
    assert_int_equal(xe_domain_find(&handle, "86143FBE-E9C6-11F1-8865-B12AE59B3AF6", &domain,
                                    &found, NULL), IMIG_OK);
    assert_true(found);
    assert_int_equal(domain.info.domain, DOMID);
    assert_string_equal(domain.uuid, VM);
    assert_string_equal(domain.name, "web");
    assert_int_equal(xen.questions, 2);
    xe_domain_clear(&domain);
    xen.list_errno = EPERM;
    assert_int_equal(xe_domain_find(&handle, VM, &domain, &found, NULL), IMIG_ERR_BACKEND);
}

/* ---- in doubt it stays on ---- */

/* says: why; NULL: nobody does. */
static void
looks_saved(const char *says)
{
    char *who = NULL;
    gboolean saved = xe_saved_elsewhere(&handle, &xen.files->places, DOMID, VM, &who);

    assert_true(saved == (says != NULL));
    if (says && !strstr(who, says))
        fail_msg("\"%s\" does not say \"%s\"", who, says);
    g_free(who);
}

static void
who_cannot_tell_is_in_doubt(void **state)
{
    (void) state;
    looks_saved(NULL);
    xen.info.flags = SUSPENDED;
    looks_saved("suspended");
    xen.info.flags = RUNNING;
    xen.name = "web--migratedaway";
    looks_saved("web--migratedaway");
    xen.list_errno = EFAULT;
    looks_saved("the hypervisor does not say");
    xen.list_errno = ESRCH;
    looks_saved(NULL); /* that is an answer */
    xen.list_errno = 0;
    xen.info.flags = SUSPENDED | XEN_DOMINF_dying;
    looks_saved(NULL); /* its switch goes with it */
}

static void
a_domain_that_has_no_name_may_be_any(void **state)
{
    (void) state;
    put_saver("xl migrate other host");
    looks_saved(NULL);
    xen.name = NULL;
    looks_saved("process 100 (xl) saves it");
    put_saver("xl list");
    looks_saved(NULL);
    put_saver("libxl-save-helper --save-domain 1 2 8 1 1 0");
    looks_saved(NULL); /* helpers are told the number */
}

static void
who_saves_a_domain_that_is_gone_counts(void **state)
{
    (void) state;
    put_saver("xl migrate 7 host");
    xen.info.domain = 0;
    looks_saved("process 100 (xl) saves it");
    put_saver("xl migrate other host");
    looks_saved(NULL);
}

static void
what_is_left_on_in_doubt_is_written_down_and_said(void **state)
{
    const fake *f = *state;
    xe_lock lock = XE_LOCK_INIT;
    imig_error *error = NULL;

    xen.is_on = TRUE;
    assert_int_equal(xe_lock_take(&f->places, VM, &lock, NULL), IMIG_OK);
    xen.list_errno = EFAULT;
    assert_int_equal(xe_switch_off(&handle, &f->places, &lock, DOMID, &error), IMIG_ERR_BUSY);
    xe_lock_release(&lock);
    assert_non_null(strstr(imig_error_message(error), "was left on: the hypervisor does not say"));
    assert_non_null(strstr(xen.log->str, "was left on"));
    assert_string_equal(xen.calls->str, "");
    assert_int_equal(noted(), XE_USE_LEFT);
    imig_error_free(error);

    assert_int_equal(xe_lock_take(&f->places, VM, &lock, NULL), IMIG_OK);
    xen.list_errno = 0;
    assert_int_equal(xe_switch_off(&handle, &f->places, &lock, DOMID, NULL), IMIG_OK);
    xe_lock_release(&lock);
    assert_string_equal(xen.calls->str, "off ");
    assert_int_equal(noted(), XE_USE_NONE);
}

/* ---- a save that begins at the worst moment ---- */

static void
xl_saves_it(void)
{
    put_saver("xl save web /tmp/web");
}

static void
xl_has_failed_to_save_it(void)
{
    xen.info.domain = 0;
    xl_saves_it();
}

/* Its helper is fast: it turns the switch on right after we have turned it off. */
static void
xl_turns_it_on(void)
{
    xl_saves_it();
    xen.turns_on = TRUE;
}

static const struct race_case {
    const char *name;
    void (*at_off)(void);
    int code;
    const char *calls;
    int use; /* what is written in the end */
    gboolean is_said;
} race_cases[] = {
    { "nobody", NULL, IMIG_OK, "off ", XE_USE_NONE, FALSE },
    { "a save that had begun", xl_saves_it, IMIG_ERR_BUSY, "off on ", XE_USE_LEFT, TRUE },
    { "a save that begins right after", xl_turns_it_on, IMIG_OK, "off ", XE_USE_NONE, FALSE },
    { "the domain is gone", xl_has_failed_to_save_it, IMIG_OK, "off ", XE_USE_NONE, FALSE },
};

static void
a_save_that_began_meanwhile_is_seen(void **state)
{
    const fake *f = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(race_cases); i++) {
        const struct race_case *c = &race_cases[i];
        xe_lock lock = XE_LOCK_INIT;
        imig_error *error = NULL;

        xen.at_off = c->at_off;
        xen.is_on = TRUE;
        assert_int_equal(xe_lock_take(&f->places, VM, &lock, NULL), IMIG_OK);
        assert_int_equal(xe_lock_note(&f->places, &lock, XE_USE_LOGGING, DOMID, NULL), IMIG_OK);
        if (xe_switch_off(&handle, &f->places, &lock, DOMID, &error) != c->code)
            fail_msg("%s: %s", c->name, imig_error_message(error));
        xe_lock_release(&lock);
        assert_string_equal(xen.calls->str, c->calls);
        assert_int_equal(noted(), c->use);
        assert_true(c->is_said == (error && strstr(imig_error_message(error), "be repeated")));
        assert_true(c->is_said == (strstr(xen.log->str, "be repeated") != NULL));
        imig_error_free(error);
        g_string_truncate(xen.calls, 0);
        g_string_truncate(xen.log, 0);
        end_saver();
    }
}

/* ---- what processes that have ended left ---- */

static void
what_is_written_of_a_vm_that_has_left_is_void(void **state)
{
    const fake *f = *state;

    put_record(XE_USE_MIGRATING);
    xen.list_errno = EIO; /* it may still be here */
    xe_switch_tidy(&handle, &f->places);
    assert_int_equal(noted(), XE_USE_MIGRATING);
    xen.list_errno = 0;
    xen.info.domain = 0;
    xe_switch_tidy(&handle, &f->places);
    assert_int_equal(noted(), XE_USE_NONE);
    assert_string_equal(xen.calls->str, "");
    assert_string_equal(xen.log->str, "");
}

static int
take(xe_use purpose, imig_error **error)
{
    xe_lock lock = XE_LOCK_INIT;
    xe_domain domain;
    gboolean found;
    int code;

    assert_int_equal(xe_domain_find(&handle, VM, &domain, &found, NULL), IMIG_OK);
    assert_true(found);
    code = xe_switch_take(&handle, &xen.files->places, &domain, purpose, &lock, error);
    assert_true((lock.fd >= 0) == (code == IMIG_OK));
    xe_lock_release(&lock);
    xe_domain_clear(&domain);
    return code;
}

static const struct left_case {
    const char *name;
    xe_use written;
    gboolean is_on;
    const char *words; /* of a toolstack's process; NULL: none */
    xe_use purpose;
    int code;
    const char *calls;
    int use;           /* what is written in the end */
    const char *said;  /* to the log; NULL: nothing */
} left_cases[] = {
    { "nothing", XE_USE_NONE, TRUE, NULL, XE_USE_LOGGING, IMIG_OK, "", XE_USE_NONE, NULL },
    { "ours", XE_USE_LOGGING, TRUE, NULL, XE_USE_LOGGING, IMIG_OK, "off ", XE_USE_NONE,
      "turned on by process" },
    { "ours, while it is saved", XE_USE_LOGGING, TRUE, "xl save web", XE_USE_LOGGING,
      IMIG_ERR_BUSY, "", XE_USE_LOGGING, NULL },
    { "left on", XE_USE_LEFT, TRUE, NULL, XE_USE_MIGRATING, IMIG_OK, "off ", XE_USE_NONE,
      "left on by process" },
    { "perhaps ours, and off", XE_USE_ENABLING, FALSE, NULL, XE_USE_LOGGING, IMIG_OK, "on off ",
      XE_USE_NONE, "turned on by process" },
    { "perhaps ours: not measured", XE_USE_ENABLING, TRUE, NULL, XE_USE_LOGGING, IMIG_ERR_BUSY, "",
      XE_USE_ENABLING, NULL },
    { "perhaps ours: a migration clears it", XE_USE_ENABLING, TRUE, NULL, XE_USE_MIGRATING,
      IMIG_OK, "", XE_USE_ENABLING, "this migration clears it" },
    { "perhaps ours, and saved", XE_USE_ENABLING, TRUE, "xl migrate web", XE_USE_MIGRATING,
      IMIG_ERR_BUSY, "", XE_USE_ENABLING, NULL },
};

static void
what_a_process_left_is_brought_in_order(void **state)
{
    (void) state;
    for (size_t i = 0; i < G_N_ELEMENTS(left_cases); i++) {
        const struct left_case *c = &left_cases[i];
        imig_error *error = NULL;

        put_record(c->written);
        xen.is_on = c->is_on;
        if (c->words)
            put_saver(c->words);
        if (take(c->purpose, &error) != c->code)
            fail_msg("%s: %s", c->name, error ? imig_error_message(error) : "taken");
        assert_string_equal(xen.calls->str, c->calls);
        assert_int_equal(noted(), c->use);
        if (c->said ? !strstr(xen.log->str, c->said) : xen.log->len > 0)
            fail_msg("%s: it says \"%s\"", c->name, xen.log->str);
        imig_error_free(error);
        g_string_truncate(xen.calls, 0);
        g_string_truncate(xen.log, 0);
        end_saver();
    }
}

static const struct still_case {
    const char *name, *said_by_xl; /* NULL: no file */
    const char *type, *domain_name, *words;
    uint32_t flags;
    int code;
    const char *calls;
    int use;          /* what is written in the end */
    const char *says; /* the log, or the error */
} still_cases[] = {
#define SENT "migration sender: Target has acknowledged transfer.\n"
    { "killed before it was told", SENT, "pvh", "web", NULL, SUSPENDED, IMIG_OK,
      "resume xs-resume off ", XE_USE_NONE, "it was resumed" },
    { "PV", "", "pv", "web", NULL, SUSPENDED, IMIG_OK, "resume xs-resume off ", XE_USE_NONE,
      "it was resumed" },
    { "it runs", SENT, "pvh", "web", NULL, RUNNING, IMIG_OK, "off ", XE_USE_NONE,
      "turned on for a migration" },
    { "the destination may have started it",
      SENT "migration sender: Giving target permission to start.", "pvh", "web", NULL, SUSPENDED,
      IMIG_ERR_BUSY, "", XE_USE_MIGRATING, "may have been told to start it" },
    { "what xl said is gone", NULL, "pvh", "web", NULL, SUSPENDED, IMIG_ERR_BUSY, "",
      XE_USE_MIGRATING, "may have been told to start it" },
    { "it was handed over", SENT, "pvh", "web--migratedaway", NULL, SUSPENDED, IMIG_ERR_BUSY, "",
      XE_USE_MIGRATING, "by others" },
    { "a helper lives", SENT, "pvh", "web", "libxl-save-helper --save-domain 1 2 7 1 1 0",
      SUSPENDED, IMIG_ERR_BUSY, "", XE_USE_MIGRATING, "by others" },
    { "its name is not known", SENT, "pvh", NULL, NULL, SUSPENDED, IMIG_ERR_BUSY, "",
      XE_USE_MIGRATING, "by others" },
    { "HVM has a device model", SENT, "hvm", "web", NULL, SUSPENDED, IMIG_ERR_BUSY, "",
      XE_USE_MIGRATING, "cannot be resumed from here" },
    { "made by another toolstack", SENT, NULL, "web", NULL, SUSPENDED, IMIG_ERR_BUSY, "",
      XE_USE_MIGRATING, "cannot be resumed from here" },
};

static void
what_a_killed_migration_left_suspended_goes_on(void **state)
{
    (void) state;
    for (size_t i = 0; i < G_N_ELEMENTS(still_cases); i++) {
        const struct still_case *c = &still_cases[i];
        imig_error *error = NULL;
        const char *said;

        put_record(XE_USE_MIGRATING);
        if (c->said_by_xl)
            put(xen.files, "locks/" VM ".xl", c->said_by_xl, -1);
        else
            remove_file("locks/" VM ".xl");
        if (c->words)
            put_saver(c->words);
        xen.info.flags = c->flags;
        xen.type = c->type;
        xen.name = c->domain_name;
        if (take(XE_USE_LOGGING, &error) != c->code)
            fail_msg("%s: %s", c->name, error ? imig_error_message(error) : "taken");
        if (strcmp(xen.calls->str, c->calls) != 0)
            fail_msg("%s: %s", c->name, xen.calls->str);
        assert_int_equal(noted(), c->use);
        said = error ? imig_error_message(error) : xen.log->str;
        if (!strstr(said, c->says))
            fail_msg("%s: it says \"%s\"", c->name, said);
        imig_error_free(error);
        g_string_truncate(xen.calls, 0);
        g_string_truncate(xen.log, 0);
        end_saver();
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_XEN(xenstore_is_asked_about_one_domain),
        WITH_XEN(who_cannot_tell_is_in_doubt),
        WITH_XEN(a_domain_that_has_no_name_may_be_any),
        WITH_XEN(who_saves_a_domain_that_is_gone_counts),
        WITH_XEN(what_is_left_on_in_doubt_is_written_down_and_said),
        WITH_XEN(a_save_that_began_meanwhile_is_seen),
        WITH_XEN(what_a_process_left_is_brought_in_order),
        WITH_XEN(what_a_killed_migration_left_suspended_goes_on),
        WITH_XEN(what_is_written_of_a_vm_that_has_left_is_void),
    };

    return cmocka_run_group_tests_name("xen-switch", tests, NULL, NULL);
}
