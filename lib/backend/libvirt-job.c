/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/libvirt-priv.h"

#include <string.h>

static const double END_S = 10;   /* what jobs get to stop when their host is closed */
static const double GRACE_S = 30; /* from a job's time-out until it is out of our hands */

lv_bell *
lv_bell_new(void)
{
    lv_bell *bell = g_new0(lv_bell, 1);

    bell->refs = 1;
    g_mutex_init(&bell->lock);
    g_cond_init(&bell->rung);
    return bell;
}

lv_bell *
lv_bell_ref(lv_bell *bell)
{
    g_atomic_int_inc(&bell->refs);
    return bell;
}

void
lv_bell_unref(lv_bell *bell)
{
    if (!g_atomic_int_dec_and_test(&bell->refs))
        return;
    g_mutex_clear(&bell->lock);
    g_cond_clear(&bell->rung);
    g_free(bell);
}

lv_job *
lv_job_ref(lv_job *job)
{
    g_atomic_int_inc(&job->refs);
    return job;
}

void
lv_job_unref(lv_job *job)
{
    if (!g_atomic_int_dec_and_test(&job->refs))
        return;
    lv_bell_unref(job->bell);
    g_free(job->vm);
    g_free(job->uri);
    g_free(job->to_uri);
    g_free(job->migrate_uri);
    g_free(job->to);
    g_free(job);
}

double
lv_job_clock(const lv_job *job)
{
    return job->epoch_s + (double) g_get_monotonic_time() / G_USEC_PER_SEC;
}

static gboolean
is_under_way(const imig_job *info)
{
    return info->state == IMIG_JOB_RUNNING || info->state == IMIG_JOB_FINISHING;
}

gboolean
lv_job_runs(lv_host *host, const char *vm)
{
    GHashTableIter iter;
    gpointer value;
    gboolean runs = FALSE;

    g_mutex_lock(&host->bell->lock);
    g_hash_table_iter_init(&iter, host->jobs);
    while (!runs && g_hash_table_iter_next(&iter, NULL, &value)) {
        const lv_job *job = value;

        runs = is_under_way(&job->info) && strcmp(job->vm, vm) == 0;
    }
    g_mutex_unlock(&host->bell->lock);
    return runs;
}

static lv_job *
job_new(lv_host *host, const imig_migration *m)
{
    lv_job *job = g_new0(lv_job, 1);

    *job = (lv_job) {
        .refs = 1, .vm = g_strdup(m->vm), .uri = g_strdup(host->uri),
        .to_uri = g_strdup(m->to_uri), .migrate_uri = g_strdup(m->migrate_uri),
        .to = g_strdup(m->to), .flags = m->flags,
        .bandwidth_bytes_per_s = m->bandwidth_bytes_per_s,
        .downtime_limit_s = m->downtime_limit_s, .max_downtime_s = m->max_downtime_s,
        .timeout_s = m->timeout_s, .on_stall = m->on_stall, .epoch_s = host->epoch_s,
        .bell = lv_bell_ref(host->bell),
    };
    job->info.size = sizeof job->info;
    job->info.started_s = lv_job_clock(job);
    return job;
}

/* Nothing is moved that nobody watches. */
static void
start(lv_job *job)
{
    if (!lv_thread("imig-watch", lv_job_watch, lv_job_ref(job))) {
        lv_job_unref(job);
    } else if (lv_thread("imig-move", lv_job_move, lv_job_ref(job))) {
        return;
    } else {
        lv_job_unref(job);
    }
    g_mutex_lock(&job->bell->lock);
    job->returned = TRUE;
    g_cond_broadcast(&job->bell->rung);
    lv_job_end(job, IMIG_JOB_FAILED, IMIG_ERR_BACKEND, "no thread can be started to migrate it");
    g_mutex_unlock(&job->bell->lock);
}

int
lv_migrate(void *state, const imig_migration *m, uint64_t *ret_job, imig_error **error)
{
    lv_host *host = state;
    int64_t *number;
    lv_job *job;

    if (!m->to_uri)
        return lv_fail(error, IMIG_ERR_NOT_FOUND,
                       "no connection to host %s: name it with its own URI", m->to);
    if (lv_dirty_runs(host, m->vm))
        return lv_fail(error, IMIG_ERR_BUSY, "VM %s: its dirty pages are being logged", m->vm);
    if (lv_job_runs(host, m->vm))
        return lv_fail(error, IMIG_ERR_BUSY, "VM %s is being migrated", m->vm);
    job = job_new(host, m);
    number = g_new(int64_t, 1);
    *number = (int64_t) ++host->last_job;
    g_mutex_lock(&host->bell->lock);
    g_hash_table_insert(host->jobs, number, job);
    g_mutex_unlock(&host->bell->lock);
    start(job);
    *ret_job = host->last_job;
    return IMIG_OK;
}

static int
find(lv_host *host, uint64_t number, lv_job **ret_job, imig_error **error)
{
    int64_t key = (int64_t) number;

    *ret_job = g_hash_table_lookup(host->jobs, &key);
    return *ret_job ? IMIG_OK
                    : lv_fail(error, IMIG_ERR_NOT_FOUND, "no job %" G_GUINT64_FORMAT, number);
}

void
lv_job_end(lv_job *job, int32_t state, int code, const char *message)
{
    imig_job *info = &job->info;

    if (!is_under_way(info))
        return; /* it was given up before */
    info->state = state;
    info->error_code = code;
    info->ended_s = lv_job_clock(job);
    info->remaining_bytes = 0;
    info->present &= ~(IMIG_JOB_HAS_REMAINING | IMIG_JOB_HAS_DIRTY);
    g_strlcpy(info->message, message, sizeof info->message);
    job->bell->rings++;
    g_cond_broadcast(&job->bell->rung);
}

/*
 * A daemon that hangs answers neither the thread that moves nor the one that watches.  Long after
 * its time-out, and after it was last seen under way, a job counts as failed; where the VM is has to
 * be asked then as after any failure.  One that libvirt has not been told of yet never will be.
 */
static void
give_up_hanging(lv_job *job)
{
    double now_s = lv_job_clock(job);

    if (!job->begun && job->cancel)
        lv_job_end(job, IMIG_JOB_CANCELLED, IMIG_OK, "cancelled");
    else if (job->timeout_s > 0 && now_s - job->info.started_s > job->timeout_s + GRACE_S
             && now_s - job->seen_s > GRACE_S)
        lv_job_end(job, IMIG_JOB_FAILED, IMIG_ERR_TIMEOUT, "it did not end in the time it was "
                   "given, and could not be stopped: a host does not answer");
}

int
lv_poll(void *state, uint64_t number, imig_job *into, imig_error **error)
{
    lv_host *host = state;
    lv_job *job;
    int code = find(host, number, &job, error);

    if (code != IMIG_OK)
        return code;
    g_mutex_lock(&host->bell->lock);
    give_up_hanging(job);
    if (is_under_way(&job->info))
        job->info.ended_s = lv_job_clock(job);
    *into = job->info;
    g_mutex_unlock(&host->bell->lock);
    return IMIG_OK;
}

int
lv_cancel(void *state, uint64_t number, imig_error **error)
{
    lv_host *host = state;
    lv_job *job;
    int code = find(host, number, &job, error);

    if (code != IMIG_OK)
        return code;
    g_mutex_lock(&host->bell->lock);
    job->cancel |= !job->switched; /* post-copy cannot be taken back */
    g_mutex_unlock(&host->bell->lock);
    return IMIG_OK;
}

int
lv_result(void *state, uint64_t number, imig_job *into, imig_error **error)
{
    lv_host *host = state;
    int64_t key = (int64_t) number;
    int code = lv_poll(state, number, into, error);

    if (code != IMIG_OK)
        return code;
    if (is_under_way(into))
        return lv_fail(error, IMIG_ERR_BUSY, "job %" G_GUINT64_FORMAT " has not ended", number);
    g_mutex_lock(&host->bell->lock);
    g_hash_table_remove(host->jobs, &key);
    g_mutex_unlock(&host->bell->lock);
    if (into->state == IMIG_JOB_FAILED)
        lv_call_anew(host);
    return IMIG_OK;
}

static gboolean
any_under_way(lv_host *host)
{
    GHashTableIter iter;
    gpointer value;
    gboolean any = FALSE;

    g_hash_table_iter_init(&iter, host->jobs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        lv_job *job = value;

        job->cancel |= !job->switched;
        give_up_hanging(job);
        any |= is_under_way(&job->info);
    }
    return any;
}

void
lv_jobs_end(lv_host *host)
{
    gint64 until_us = g_get_monotonic_time() + (gint64) (END_S * G_USEC_PER_SEC);

    g_mutex_lock(&host->bell->lock);
    while (any_under_way(host)
           && g_cond_wait_until(&host->bell->rung, &host->bell->lock, until_us))
        ;
    g_mutex_unlock(&host->bell->lock);
}
