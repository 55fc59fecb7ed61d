/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FAKE_XEN_H
#define FAKE_XEN_H

/*
 * A hypervisor with one guest, for the part of the module for Xen that talks to one: the calls of
 * libxenctrl and libxenstore that it makes, answered as Xen 4.17 answers them.  Include cmocka.h
 * before.
 */

#include "backend/xen-host-priv.h"
#include "xen-fixture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xenguest.h>

#define VM "86143fbe-e9c6-11f1-8865-b12ae59b3af6"
enum { DOMID = 7 };
#define SUSPENDED (XEN_DOMINF_hvm_guest | XEN_DOMINF_hap | XEN_DOMINF_shutdown \
                   | SHUTDOWN_suspend << XEN_DOMINF_shutdownshift)

static struct xen {
    xc_domaininfo_t info;    /* of the guest; domain 0: there is none */
    const char *name, *type; /* in xenstore; NULL: not to be read */
    const char *control;     /* what it is asked to do, there; NULL: nothing */
    int suspends_after;      /* so many looks; 0: never */
    const char *const *more; /* paths there, each before its value, NULL-ended; NULL: no more */
    int list_errno;          /* asking for domains fails */
    gboolean is_on;          /* its log-dirty mode */
    uint32_t dirty;          /* pages counted */
    void (*at_off)(void);    /* happens just before it is turned off */
    gboolean turns_on;       /* somebody turns it on right after that */
    GString *calls;          /* what has changed anything, and peeks: a word each */
    guint questions;         /* to xenstore */
    GString *log;            /* lines of the module */
    fake *files;
} xen;

static void
keep_line(void *log_data, int32_t level, const char *line)
{
    (void) log_data;
    g_string_append_printf(xen.log, "%d %s\n", level, line);
}

static const imig_module_api loud = {
    .size = sizeof loud, .error_set = imig_error_set, .log = keep_line,
    .process = IMIG_PROCESS_MEASURE_DIRTY,
};

/* ---- libxenctrl ---- */

int
xc_domain_getinfolist(xc_interface *xc, uint32_t first, unsigned max, xc_domaininfo_t *infos)
{
    (void) xc;
    assert_true(max >= 1);
    if (xen.list_errno != 0) {
        errno = xen.list_errno;
        return -1;
    }
    if (xen.info.domain == 0 || first > xen.info.domain)
        return 0;
    if (xen.suspends_after > 0 && --xen.suspends_after == 0)
        xen.info.flags = SUSPENDED;
    infos[0] = xen.info;
    return 1;
}

static int
say_no(int number)
{
    errno = number;
    return -1;
}

int
xc_shadow_control(xc_interface *xc, uint32_t domid, unsigned sop, unsigned *mb, unsigned mode)
{
    (void) xc;
    (void) mb;
    (void) mode;
    if (domid != xen.info.domain)
        return say_no(ESRCH);
    if (xen.info.flags & XEN_DOMINF_dying)
        return 0;
    if (sop == XEN_DOMCTL_SHADOW_OP_OFF) {
        if (xen.at_off)
            xen.at_off();
        g_string_append(xen.calls, "off ");
        xen.is_on = xen.turns_on;
        xen.turns_on = FALSE;
        return 0;
    }
    assert_int_equal(sop, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY);
    if (xen.is_on)
        return say_no(EINVAL);
    g_string_append(xen.calls, "on ");
    xen.is_on = TRUE;
    return 0;
}

long long
xc_logdirty_control(xc_interface *xc, uint32_t domid, unsigned sop, xc_hypercall_buffer_t *bitmap,
                    unsigned long pages, unsigned mode, xc_shadow_op_stats_t *stats)
{
    (void) xc;
    (void) mode;
    assert_int_equal(sop, XEN_DOMCTL_SHADOW_OP_PEEK); /* nothing of ours ever cleans */
    assert_true(bitmap == NULL && pages == 0);
    if (domid != xen.info.domain)
        return say_no(ESRCH);
    stats->dirty_count = xen.info.flags & XEN_DOMINF_dying ? 0 : xen.dirty;
    return 0;
}

int
xc_domain_resume(xc_interface *xc, uint32_t domid, int fast)
{
    (void) xc;
    assert_int_equal(domid, xen.info.domain);
    assert_int_equal(fast, 1);
    g_string_append(xen.calls, "resume ");
    xen.info.flags = XEN_DOMINF_hvm_guest | XEN_DOMINF_hap;
    return 0;
}

xc_interface *
xc_interface_open(xentoollog_logger *logger, xentoollog_logger *dombuild_logger, unsigned flags)
{
    (void) logger;
    (void) dombuild_logger;
    (void) flags;
    fail_msg("nobody opens it here");
    return NULL;
}

int
xc_interface_close(xc_interface *xc)
{
    (void) xc;
    return 0;
}

int
xc_physinfo(xc_interface *xc, xc_physinfo_t *info)
{
    (void) xc;
    (void) info;
    return say_no(ENOSYS);
}

/* ---- libxenstore ---- */

struct xs_handle *
xs_open(unsigned long flags)
{
    (void) flags;
    return NULL;
}

void
xs_close(struct xs_handle *xs)
{
    (void) xs;
}

static const char *
more_of_store(const char *path)
{
    for (const char *const *at = xen.more; at && *at; at += 2)
        if (strcmp(*at, path) == 0)
            return at[1];
    return NULL;
}

void *
xs_read(struct xs_handle *xs, xs_transaction_t transaction, const char *path, unsigned *length)
{
    const char *text = strcmp(path, "/local/domain/7/name") == 0 ? xen.name
                       : strcmp(path, "/libxl/7/type") == 0 ? xen.type
                       : strcmp(path, "/local/domain/7/control/shutdown") == 0
                             ? xen.control : more_of_store(path);

    (void) xs;
    (void) transaction;
    xen.questions++;
    if (!text) {
        errno = ENOENT;
        return NULL;
    }
    *length = (unsigned) strlen(text);
    return strdup(text);
}

char **
xs_directory(struct xs_handle *xs, xs_transaction_t transaction, const char *path, unsigned *n)
{
    enum { MOST = 8, NAME_SIZE = 32 };
    char **children = malloc(MOST * (sizeof(char *) + NAME_SIZE)); /* one block, as xenstore's */
    size_t length = strlen(path);

    (void) xs;
    (void) transaction;
    *n = 0;
    for (const char *const *at = xen.more; at && *at; at += 2) {
        char *name = (char *) (children + MOST) + *n * NAME_SIZE;

        if (strncmp(*at, path, length) != 0 || (*at)[length] != '/')
            continue;
        assert_true(*n < MOST);
        g_strlcpy(name, *at + length + 1, NAME_SIZE);
        name[strcspn(name, "/")] = '\0';
        if (*n > 0 && strcmp(name, children[*n - 1]) == 0)
            continue;
        children[(*n)++] = name;
    }
    if (*n > 0)
        return children;
    free(children);
    errno = ENOENT;
    return NULL;
}

bool
xs_resume_domain(struct xs_handle *xs, unsigned domid)
{
    (void) xs;
    assert_int_equal(domid, xen.info.domain);
    g_string_append(xen.calls, "xs-resume ");
    return true;
}

/* ---- a guest, and what others do to it ---- */

enum { RUNNING = XEN_DOMINF_hvm_guest | XEN_DOMINF_hap | XEN_DOMINF_running };

static int
set_up_xen(void **state)
{
    static const uint8_t handle[16] = {
        0x86, 0x14, 0x3f, 0xbe, 0xe9, 0xc6, 0x11, 0xf1, 0x88, 0x65, 0xb1, 0x2a, 0xe5, 0x9b, 0x3a,
        0xf6,
    };

    set_up(state);
    xe_api = &loud;
    xen = (struct xen) {
        .info = { .domain = DOMID, .flags = RUNNING, .tot_pages = 1000 }, .name = "web",
        .type = "pvh", .dirty = 40, .calls = g_string_new(""), .log = g_string_new(""),
        .files = *state,
    };
    memcpy(xen.info.handle, handle, sizeof handle);
    return 0;
}

static int
tear_down_xen(void **state)
{
    g_string_free(xen.calls, TRUE);
    g_string_free(xen.log, TRUE);
    return tear_down(state);
}

#define WITH_XEN(test) cmocka_unit_test_setup_teardown(test, set_up_xen, tear_down_xen)

/* A process of a toolstack. */
static G_GNUC_UNUSED void
put_saver(const char *words)
{
    char *line = g_strdelimit(g_strdup(words), " ", '\0');

    put(xen.files, "proc/100/stat", "100 (x) S 1 1\n", -1);
    put(xen.files, "proc/100/cmdline", line, (gssize) strlen(words) + 1);
    g_free(line);
}

/* What is written now. */
static G_GNUC_UNUSED int
noted(void)
{
    xe_lock lock = XE_LOCK_INIT;
    int use;

    assert_int_equal(xe_lock_take(&xen.files->places, VM, &lock, NULL), IMIG_OK);
    use = lock.found.use;
    xe_lock_release(&lock);
    return use;
}

#endif
