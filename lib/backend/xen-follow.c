/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/xen-move-priv.h"

#include <unistd.h>

static const gint64 LOOK_US = 200000;     /* looking through all processes costs more */
static const gint64 PEEK_US = 200000;
static const double SHORT_ROUND_BYTES = 16e6; /* these are peeked at with each look */
static const double MISSED_RATIO = 1.5;   /* no helper sends as much between two looks */
enum { SAID_MOST = 1 << 20 };

void
xe_moving_listen(xe_moving *m)
{
    char text[4096];
    ssize_t got;

    while (m->said < SAID_MOST && (got = pread(m->said_fd, text, sizeof text, m->said)) > 0) {
        size_t used = xe_progress_text(&m->progress, text, (size_t) got);

        if (used == 0 && (size_t) got < sizeof text)
            break; /* half a line */
        m->said += used > 0 ? (off_t) used : got;
        m->stirred_us = g_get_monotonic_time();
    }
    if (m->progress.started && m->started_us == 0)
        m->started_us = g_get_monotonic_time();
}

void
xe_moving_find_helper(xe_moving *m)
{
    GArray *savers;

    if (m->had_helper || g_get_monotonic_time() - m->looked_us < LOOK_US)
        return;
    m->looked_us = g_get_monotonic_time();
    savers = xe_savers_read(m->job->places.proc);
    m->helper = xe_savers_helper(savers, m->job->domid, m->pid);
    m->had_helper |= m->helper != 0;
    g_array_unref(savers);
}

/*
 * Bytes that the helper has sent.  What it wrote after it was last looked at shows when xl has
 * waited for it, for then it counts as xl's; but so does the transport, later: it is read once.
 */
static double
sent_bytes(xe_moving *m)
{
    double bytes = m->helper != 0 ? xe_written_bytes(m->job->places.proc, m->helper) : -1;
    double own;

    if (bytes > m->helper_bytes)
        m->stirred_us = g_get_monotonic_time();
    if (bytes >= 0) {
        m->helper_bytes = MAX(m->helper_bytes, bytes);
    } else if (m->helper != 0) {
        own = xe_written_bytes(m->job->places.proc, m->pid);
        m->helper = 0;
        if (own > m->helper_bytes && own < MISSED_RATIO * m->helper_bytes)
            m->helper_bytes = own;
    }
    return m->helper_bytes;
}

/* Pages counted dirty; FALSE: not now, as where the helper's clean is half done. */
static gboolean
peek(xe_moving *m, uint32_t *pages)
{
    gint64 now_us = g_get_monotonic_time(), rest_us = now_us - m->peeked_us;

    if (m->suspended_us != 0 || m->progress.acknowledged
        || (m->rounds.round_bytes > SHORT_ROUND_BYTES && rest_us < PEEK_US)
        || xe_dirty_peek(&m->handle, m->job->domid, pages) != 0)
        return FALSE;
    m->peeked_us = now_us;
    return TRUE;
}

static void
look_at_domain(xe_moving *m)
{
    xe_domain domain;
    uint32_t pages;
    double now_s = xe_job_clock(m->job);
    gboolean peeked = peek(m, &pages);

    if (m->suspended_us != 0 || !xe_domain_peek(&m->handle, m->job->domid, m->job->vm, &domain))
        return;
    if (xe_domain_is_suspended(&domain)) { /* what was peeked at may be older or newer than that */
        m->suspended_us = g_get_monotonic_time();
        if (m->rounds.rounds > 0)
            xe_rounds_last(&m->rounds, m->helper_bytes, now_s);
    } else if (peeked && !m->had_helper) {
        m->first_pages = pages; /* nothing is logged yet */
    } else if (peeked) {
        if (m->rounds.rounds == 0)
            xe_rounds_begin(&m->rounds, m->first_pages,
                            (double) domain.info.tot_pages * XE_PAGE_BYTES, now_s);
        xe_rounds_look(&m->rounds, pages, m->helper_bytes, now_s);
    }
}

static void
report(xe_moving *m)
{
    imig_job *info = &m->job->info;
    double sent = m->had_helper ? sent_bytes(m) : -1;

    g_mutex_lock(&m->job->bell->lock);
    if (sent > info->transferred_bytes) {
        info->transferred_bytes = sent;
        info->present |= IMIG_JOB_HAS_TRANSFERRED;
    }
    if (m->rounds.rounds > 0) {
        info->rounds = m->rounds.rounds;
        info->remaining_bytes = xe_rounds_remaining(&m->rounds, m->helper_bytes);
        info->present |= IMIG_JOB_HAS_ROUNDS | IMIG_JOB_HAS_REMAINING;
    }
    if (m->rounds.dirty_bytes_per_s >= 0 && m->rounds.rounds > 0) {
        info->dirty_bytes_per_s = m->rounds.dirty_bytes_per_s;
        info->present |= IMIG_JOB_HAS_DIRTY;
    }
    if ((m->suspended_us != 0 || m->progress.acknowledged) && info->state == IMIG_JOB_RUNNING
        && m->stop_s == 0)
        info->state = IMIG_JOB_FINISHING;
    g_mutex_unlock(&m->job->bell->lock);
}

void
xe_moving_look(xe_moving *m)
{
    look_at_domain(m);
    xe_moving_find_helper(m);
    report(m);
}
