/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a measurement on Xen gives, and what makes it void, on a hypervisor that is not there. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake-xen.h"

static xe_host host;

static int
set_up_host(void **state)
{
    set_up_xen(state);
    host = (xe_host) {
        .places = xen.files->places,
        .loggers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, xe_dirty_free),
    };
    return 0;
}

static int
tear_down_host(void **state)
{
    g_hash_table_unref(host.loggers);
    return tear_down_xen(state);
}

#define WITH_HOST(test) cmocka_unit_test_setup_teardown(test, set_up_host, tear_down_host)

static void
pages_are_counted_from_where_the_last_logging_ended(void **state)
{
    imig_dirty_point point = { .size = sizeof point };

    (void) state;
    xen.dirty = UINT32_MAX - 9; /* the count may run over */
    assert_int_equal(xe_dirty_start(&host, VM, NULL), IMIG_OK);
    assert_true(xen.is_on);
    xen.dirty += 30;
    assert_int_equal(xe_dirty_read(&host, VM, &point, NULL), IMIG_OK);
    assert_true(point.dirtied_bytes == 30 * 4096 && point.elapsed_s >= 0);
    xen.dirty += 5000; /* pages that the guest has not, such as those of its devices */
    assert_int_equal(xe_dirty_read(&host, VM, &point, NULL), IMIG_OK);
    assert_true(point.dirtied_bytes == 1000 * 4096);
    assert_int_equal(xe_dirty_stop(&host, VM, NULL), IMIG_OK);
    assert_string_equal(xen.calls->str, "on off ");
    assert_string_equal(xen.log->str, "");
    assert_int_equal(noted(), XE_USE_NONE);
}

/* ---- what others do to it between two looks ---- */

static void
xl_saves_it(void)
{
    put_saver("xl save -c web /tmp/web");
}

static void
a_save_has_ended(void)
{
    xen.dirty = 0;
    xen.is_on = FALSE;
}

/* Its count has caught up since. */
static void
a_save_has_ended_long_ago(void)
{
    xen.dirty = 1000000;
    xen.is_on = FALSE;
}

static void
somebody_cleans_it(void)
{
    xen.dirty = 3;
}

static void
it_is_destroyed(void)
{
    xen.info.flags = SUSPENDED | XEN_DOMINF_dying;
}

static void
it_is_gone(void)
{
    xen.info.domain = 0;
}

static void
the_hypervisor_does_not_answer(void)
{
    xen.list_errno = EFAULT;
}

static const struct fate_case {
    const char *name;
    void (*befalls)(void);
    int read;
    const char *says;
    int stop;
    gboolean is_on; /* in the end */
} fate_cases[] = {
    { "a save is under way", xl_saves_it, IMIG_ERR_BUSY, "by others has begun: process 100",
      IMIG_ERR_BUSY, TRUE },
    { "a save has ended", a_save_has_ended, IMIG_ERR_BUSY, "turned off while it was measured",
      IMIG_OK, FALSE },
    { "a save has ended long ago", a_save_has_ended_long_ago, IMIG_ERR_BUSY,
      "turned off while it was measured", IMIG_OK, FALSE },
    { "pages were taken", somebody_cleans_it, IMIG_ERR_BUSY, "taken by somebody else", IMIG_OK,
      FALSE },
    { "it is being destroyed", it_is_destroyed, IMIG_ERR_BACKEND, "has gone", IMIG_OK, TRUE },
    { "it is gone", it_is_gone, IMIG_ERR_BACKEND, "has gone", IMIG_OK, TRUE },
    { "nobody knows", the_hypervisor_does_not_answer, IMIG_ERR_BACKEND, "asking how it is",
      IMIG_ERR_BUSY, TRUE },
};

static void
a_measurement_that_was_disturbed_is_void(void **state)
{
    const struct fate_case *c = *state;
    imig_dirty_point point = { .size = sizeof point, .dirtied_bytes = -1 };
    imig_error *error = NULL;
    void *files = NULL;

    set_up_host(&files);
    assert_int_equal(xe_dirty_start(&host, VM, NULL), IMIG_OK);
    xen.dirty += 10;
    assert_int_equal(xe_dirty_read(&host, VM, &point, NULL), IMIG_OK);
    assert_true(point.dirtied_bytes == 10 * 4096);
    point.dirtied_bytes = -1;
    c->befalls();
    assert_int_equal(xe_dirty_read(&host, VM, &point, &error), c->read);
    if (!strstr(imig_error_message(error), c->says))
        fail_msg("\"%s\" does not say \"%s\"", imig_error_message(error), c->says);
    assert_true(point.dirtied_bytes == -1);
    assert_int_equal(xe_dirty_stop(&host, VM, NULL), c->stop);
    assert_int_equal(xen.is_on, c->is_on);
    assert_int_equal(noted(), c->stop == IMIG_OK ? XE_USE_NONE : XE_USE_LEFT);
    imig_error_free(error);
    tear_down_host(&files);
}

int
main(void)
{
    enum { FATES = sizeof fate_cases / sizeof *fate_cases };
    struct CMUnitTest tests[1 + FATES] = {
        WITH_HOST(pages_are_counted_from_where_the_last_logging_ended),
    };

    for (size_t i = 0; i < FATES; i++)
        tests[1 + i] = (struct CMUnitTest) {
            .name = fate_cases[i].name, .test_func = a_measurement_that_was_disturbed_is_void,
            .initial_state = (void *) &fate_cases[i],
        };
    return cmocka_run_group_tests_name("xen-dirty", tests, NULL, NULL);
}
