/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/libvirt-priv.h"

void *
lv_call_new(size_t size, int (*run)(lv_call *), void (*clear)(lv_call *))
{
    lv_call *call = g_malloc0(size);

    call->refs = 1;
    call->run = run;
    call->clear = clear;
    g_mutex_init(&call->lock);
    g_cond_init(&call->ended);
    return call;
}

void
lv_call_unref(lv_call *call)
{
    if (!call || !g_atomic_int_dec_and_test(&call->refs))
        return;
    if (call->clear)
        call->clear(call);
    lv_session_unref(call->session);
    g_free(call->uri);
    g_mutex_clear(&call->lock);
    g_cond_clear(&call->ended);
    g_free(call);
}

/* Over the session that is there, or a new one where there is none or it turns out to be lost. */
static void
try_twice(lv_call *call)
{
    if (call->session && (call->run(call) == IMIG_OK || !call->failure.lost))
        return;
    lv_session_unref(call->session);
    call->failure = (lv_failure) { IMIG_OK };
    call->session = lv_session_open(call->uri, &call->failure);
    if (call->session)
        call->run(call);
}

static void *
call_thread(void *data)
{
    lv_call *call = data;

    try_twice(call);
    g_mutex_lock(&call->lock);
    call->done = TRUE;
    g_cond_signal(&call->ended);
    g_mutex_unlock(&call->lock);
    lv_call_unref(call);
    return NULL;
}

void
lv_call_goes_on(lv_call *call)
{
    g_mutex_lock(&call->lock);
    call->alive_us = g_get_monotonic_time();
    g_mutex_unlock(&call->lock);
}

/* Has it ended, or been without an answer for so long that it counts no more? */
static gboolean
is_over(lv_call *call, double patience_s)
{
    gint64 patience_us = (gint64) (patience_s * G_USEC_PER_SEC);
    gboolean over;

    g_mutex_lock(&call->lock);
    over = call->done || g_get_monotonic_time() - call->alive_us > patience_us;
    g_mutex_unlock(&call->lock);
    return over;
}

/* FALSE: it has not got an answer for so long. */
static gboolean
wait_for_end(lv_call *call, double for_s)
{
    gint64 for_us = (gint64) (for_s * G_USEC_PER_SEC);
    gboolean done;

    g_mutex_lock(&call->lock);
    while (!call->done && g_get_monotonic_time() - call->alive_us < for_us)
        g_cond_wait_until(&call->ended, &call->lock, call->alive_us + for_us);
    done = call->done;
    g_mutex_unlock(&call->lock);
    return done;
}

/*
 * Calls that were left behind, by URI.  Another one would hang as well and cost another time-out,
 * whoever makes it.  But not for ever: a connection may be dead while the host is back.
 */
static GMutex stuck_lock;
static GHashTable *stuck_calls;

static gboolean
hangs_still(const char *uri)
{
    lv_call *call;

    g_mutex_lock(&stuck_lock);
    call = stuck_calls ? g_hash_table_lookup(stuck_calls, uri) : NULL;
    if (call && is_over(call, LV_HANG_S)) {
        g_hash_table_remove(stuck_calls, uri);
        call = NULL;
    }
    g_mutex_unlock(&stuck_lock);
    return call != NULL;
}

/* Takes a reference. */
static void
leave_behind(lv_call *call)
{
    g_atomic_int_inc(&call->refs);
    g_mutex_lock(&stuck_lock);
    if (!stuck_calls)
        stuck_calls = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                            (GDestroyNotify) lv_call_unref);
    g_hash_table_replace(stuck_calls, g_strdup(call->uri), call);
    g_mutex_unlock(&stuck_lock);
}

static void
set_session(lv_host *host, lv_session *session)
{
    if (session == host->session)
        return;
    lv_session_unref(host->session);
    host->session = session ? lv_session_ref(session) : NULL;
    if (session)
        lv_host_rename(host, session->hostname);
}

/* Under the lock of the host: its calls are one after the other. */
static int
make(lv_host *host, lv_call *call, imig_error **error)
{
    if (hangs_still(host->uri))
        return lv_fail(error, IMIG_ERR_TIMEOUT, "the host still does not answer");
    call->uri = g_strdup(host->uri);
    call->session = host->session ? lv_session_ref(host->session) : NULL;
    call->alive_us = g_get_monotonic_time();
    g_atomic_int_inc(&call->refs);
    if (!lv_thread("imig-call", call_thread, call)) {
        lv_call_unref(call);
        return lv_fail(error, IMIG_ERR_BACKEND, "no thread can be started to ask it");
    }
    if (!wait_for_end(call, LV_CALL_S)) {
        leave_behind(call);
        set_session(host, NULL);
        return lv_fail(error, IMIG_ERR_TIMEOUT, "no answer within %g s", LV_CALL_S);
    }
    set_session(host, call->failure.lost ? NULL : call->session);
    return call->failure.code == IMIG_OK ? IMIG_OK : lv_failure_give(&call->failure, error);
}

int
lv_call_make(lv_host *host, lv_call *call, imig_error **error)
{
    int code;

    g_mutex_lock(&host->lock);
    code = make(host, call, error);
    g_mutex_unlock(&host->lock);
    return code;
}

void
lv_call_anew(lv_host *host)
{
    g_mutex_lock(&host->lock);
    set_session(host, NULL);
    g_mutex_unlock(&host->lock);
}
