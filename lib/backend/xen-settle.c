/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/xen-move-priv.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static const double LEAVE_S = 20;         /* the other end gets to destroy its copy */
static const double HELPER_S = 10;        /* helpers of one that was killed have gone by then */
static const double LATE_S = 10;          /* who has been asked to suspend itself has done so */

/* The transport ends when the other end has destroyed its copy: before that the name is taken
   there, and a second attempt would fail for it. */
static void
end_transport(const xe_moving *m)
{
    gint64 until_us = g_get_monotonic_time() + (gint64) (LEAVE_S * G_USEC_PER_SEC);

    while (kill(-m->pid, 0) == 0 && g_get_monotonic_time() < until_us)
        g_usleep(XE_TICK_US);
    kill(-m->pid, SIGTERM);
}

/* Processes that were started for it may take a moment longer. */
static gboolean
helper_is_gone(const xe_moving *m)
{
    gint64 until_us = g_get_monotonic_time() + (gint64) (HELPER_S * G_USEC_PER_SEC);

    for (;;) {
        GArray *savers = xe_savers_read(m->job->places.proc);
        gboolean gone = !xe_savers_find(savers, m->job->domid, NULL, m->job->vm);

        g_array_unref(savers);
        if (gone || g_get_monotonic_time() > until_us)
            return gone;
        g_usleep(XE_TICK_US);
    }
}

/* Takes the request to suspend itself back, as xl does after 60 s; FALSE: the domain has taken note
   of it, or there is none. */
static gboolean
take_back(const xe_moving *m)
{
    char *path = g_strdup_printf("/local/domain/%u/control/shutdown", m->job->domid);
    struct xs_handle *xs = m->handle.xs;
    gboolean there, done;

    do {
        xs_transaction_t t = xs_transaction_start(xs);
        unsigned int length;
        char *text = t == XBT_NULL ? NULL : xs_read(xs, t, path, &length);

        there = text && strcmp(text, "suspend") == 0 && xs_write(xs, t, path, "", 0);
        free(text);
        done = t != XBT_NULL && xs_transaction_end(xs, t, !there);
    } while (there && !done && errno == EAGAIN);
    g_free(path);
    return there && done;
}

/*
 * Its helper, or xl itself, may have ended while the domain was asked to suspend itself: nobody
 * would have it go on.  What it has not yet taken note of is taken back; else it is waited for.
 */
static void
await_suspension(const xe_moving *m)
{
    gint64 until_us = g_get_monotonic_time() + (gint64) (LATE_S * G_USEC_PER_SEC);
    xe_domain domain;

    if (!m->had_helper || (WIFEXITED(m->status) && !m->progress.helper_broke)
        || take_back(m))
        return;
    while (xe_domain_peek(&m->handle, m->job->domid, m->job->vm, &domain)
           && !xe_domain_is_suspended(&domain) && g_get_monotonic_time() < until_us)
        g_usleep(XE_TICK_US);
}

const char *
xe_moving_settle(xe_moving *m)
{
    xe_job *job = m->job;
    gboolean gone, handed_over;
    xe_domain domain;
    const char *words = NULL;

    end_transport(m);
    gone = helper_is_gone(m);
    if (gone && !m->progress.go)
        await_suspension(m);
    if (!xe_domain_get(&m->handle, job->domid, job->vm, &domain))
        return "; the VM is not here any more";
    /* A destination that could not start it gives it back: then it runs here, under its name. */
    handed_over = xe_domain_is_away(&domain)
                  || (m->progress.go && xe_domain_is_suspended(&domain));
    if (handed_over) {
        words = "; the destination was told to start it";
    } else if (xe_domain_is_suspended(&domain)) {
        if (!gone || !xe_domain_resume(&m->handle, job->domid))
            words = "; the VM stands still here";
    }
    xe_domain_clear(&domain);
    /* A helper that was killed has left it on; this lock is ours, and so was the helper. */
    if (gone && !handed_over)
        xe_switch_off(&m->handle, &job->places, &job->lock, job->domid, NULL);
    else
        xe_lock_note(&job->places, &job->lock, XE_USE_LEFT, job->domid, NULL);
    return words;
}
