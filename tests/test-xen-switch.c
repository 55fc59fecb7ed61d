/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who turns the log-dirty switch of a domain off, and when, on a hypervisor that is not there. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake-xen.h"

static const xe_handle handle = { NULL, NULL };

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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_XEN(xenstore_is_asked_about_one_domain),
        WITH_XEN(what_is_written_of_a_vm_that_has_left_is_void),
    };

    return cmocka_run_group_tests_name("xen-switch", tests, NULL, NULL);
}
