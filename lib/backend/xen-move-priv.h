/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_XEN_MOVE_PRIV_H
#define IMIG_XEN_MOVE_PRIV_H

/* What the thread of one migration works with. */

#include "backend/xen-host-priv.h"

#define XE_TICK_US 20000 /* between two looks */

/* A migration as its thread sees it. */
typedef struct xe_moving {
    xe_job *job;
    xe_handle handle;
    GPid pid;
    int said_fd;             /* the file that xl writes to */
    off_t said;              /* of it, so far */
    xe_progress progress;
    int helper;              /* pid; 0: not there */
    gboolean had_helper;
    gint64 looked_us, suspended_us, started_us;
    gint64 stirred_us;       /* when xl last said, or its helper sent, anything */
    double helper_bytes;
    gint64 peeked_us;
    uint32_t first_pages;    /* counted dirty before it logged any */
    xe_rounds rounds;
    double stop_s;           /* when it was asked to stop; 0: it was not */
    double asked_s;          /* when its helper was last seen asking xl, since then */
    gboolean stopped_helper, killed, timed_out, stuck;
    int status;              /* of xl; -1: not known */
} xe_moving;

/* ---- xen-follow.c ---- */

/* What xl has said since it was last listened to. */
void xe_moving_listen(xe_moving *moving);

/* What its helper has sent and the domain has done, for whoever polls. */
void xe_moving_look(xe_moving *moving);

/* Sets `helper`, where there is one; looking through all processes costs, so not at each tick. */
void xe_moving_find_helper(xe_moving *moving);

/* ---- xen-settle.c ---- */

/*
 * xl has failed: the VM is to run here, as it was.  xl sees to that itself unless it was killed.
 * Where the destination may have been told to start it, nothing is touched.  Says in words what is
 * not as it was; NULL: nothing.
 */
const char *xe_moving_settle(xe_moving *moving);

#endif
