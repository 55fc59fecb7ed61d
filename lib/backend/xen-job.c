/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/xen-host-priv.h"

/* What jobs get to stop when their host is closed: more than xen-migrate.c and -settle.c wait, but
   where a VM stands still and nothing is sent. */
static const double END_S = 180;

xe_bell *
xe_bell_new(void)
{
    xe_bell *bell = g_new0(xe_bell, 1);

    bell->refs = 1;
    g_mutex_init(&bell->lock);
    g_cond_init(&bell->rung);
    return bell;
}

xe_bell *
xe_bell_ref(xe_bell *bell)
{
    g_atomic_int_inc(&bell->refs);
    return bell;
}

void
xe_bell_unref(xe_bell *bell)
{
    if (!g_atomic_int_dec_and_test(&bell->refs))
        return;
    g_mutex_clear(&bell->lock);
    g_cond_clear(&bell->rung);
    g_free(bell);
}

static xe_job *
job_ref(xe_job *job)
{
    g_atomic_int_inc(&job->refs);
    return job;
}

void
xe_job_unref(xe_job *job)
{
    if (!g_atomic_int_dec_and_test(&job->refs))
        return;
    xe_lock_release(&job->lock);
    xe_places_clear(&job->places);
    xe_target_clear(&job->target);
    g_free(job->limiter);
    xe_bell_unref(job->bell);
    g_free(job->vm);
    g_free(job);
}

double
xe_job_clock(const xe_job *job)
{
    return job->epoch_s + (double) g_get_monotonic_time() / G_USEC_PER_SEC;
}

static gboolean
is_under_way(const imig_job *info)
{
    return info->state == IMIG_JOB_RUNNING || info->state == IMIG_JOB_FINISHING;
}

gboolean
xe_job_runs(xe_host *host, const char *vm)
{
    GHashTableIter iter;
    gpointer value;
    gboolean runs = FALSE;

    g_mutex_lock(&host->bell->lock);
    g_hash_table_iter_init(&iter, host->jobs);
    while (!runs && g_hash_table_iter_next(&iter, NULL, &value)) {
        const xe_job *job = value;

        runs = is_under_way(&job->info) && g_ascii_strcasecmp(job->vm, vm) == 0;
    }
    g_mutex_unlock(&host->bell->lock);
    return runs;
}

/* What xl cannot do is said before anything begins. */
static int
check_wishes(const imig_migration *m, const xe_target *target, imig_error **error)
{
    if (m->flags & IMIG_MIGRATE_COPY_DISKS)
        return xe_fail(error, IMIG_ERR_UNSUPPORTED, "VM %s: the toolstack of Xen copies no disks",
                       m->vm);
    if (m->flags & IMIG_MIGRATE_ENCRYPT && !target->is_ssh)
        return xe_fail(error, IMIG_ERR_UNSUPPORTED, "VM %s: whether transport \"%s\" encrypts is "
                       "not known", m->vm, target->transport);
    if (m->downtime_limit_s > 0)
        xe_log(IMIG_LOG_WARNING, "VM %s: the toolstack of Xen knows no limit of downtime", m->vm);
    return IMIG_OK;
}

/* xl has no cap: what it sends goes through a pipe that has one. */
static int
cap(const imig_migration *m, xe_job *job, imig_error **error)
{
    if (!(m->bandwidth_bytes_per_s > 0))
        return IMIG_OK;
    job->limiter = xe_limiter(m->bandwidth_bytes_per_s);
    return job->limiter ? IMIG_OK
                        : xe_fail(error, IMIG_ERR_UNSUPPORTED, "VM %s: neither imig nor pv is in "
                                  "the PATH here, to cap its bandwidth", m->vm);
}

static int
check_domain(const xe_host *host, const imig_migration *m, const xe_domain *domain,
             imig_error **error)
{
    const char *reason = xe_domain_blocked(&host->handle, &host->limits, domain);
    char *disk;

    if (reason)
        return xe_fail(error, IMIG_ERR_UNSUPPORTED, "VM %s cannot be moved: %s", m->vm, reason);
    if (m->flags & IMIG_MIGRATE_UNSAFE)
        return IMIG_OK;
    disk = xe_domain_own_disk(&host->handle, host->places.sys, domain->info.domain);
    if (!disk)
        return IMIG_OK;
    xe_fail(error, IMIG_ERR_UNSUPPORTED, "VM %s: disk %s is not known to be shared with host %s",
            m->vm, disk, m->to);
    g_free(disk);
    return IMIG_ERR_UNSUPPORTED;
}

static xe_job *
job_new(const xe_host *host, const imig_migration *m, const xe_domain *domain)
{
    xe_job *job = g_new0(xe_job, 1);

    *job = (xe_job) {
        .refs = 1, .vm = g_strdup(domain->uuid),
        .domid = domain->info.domain, .timeout_s = m->timeout_s, .epoch_s = host->epoch_s,
        .bell = xe_bell_ref(host->bell), .lock = XE_LOCK_INIT,
        .places = {
            .proc = g_strdup(host->places.proc), .sys = g_strdup(host->places.sys),
            .lock_dir = g_strdup(host->places.lock_dir),
        },
    };
    job->info.size = sizeof job->info;
    job->info.started_s = xe_job_clock(job);
    return job;
}

/* The job is the host's from here on, and goes with its lock where nothing has begun. */
static int
start(xe_host *host, xe_job *job, uint64_t *ret_job, imig_error **error)
{
    GError *reason = NULL;
    GThread *thread = g_thread_try_new("imig-xl", xe_job_run, job_ref(job), &reason);
    int64_t *number;

    if (!thread) {
        xe_fail(error, IMIG_ERR_BACKEND, "VM %s: no thread for its migration: %s", job->vm,
                reason->message);
        g_error_free(reason);
        xe_job_unref(job); /* the thread's */
        xe_job_unref(job);
        return IMIG_ERR_BACKEND;
    }
    g_thread_unref(thread);
    number = g_new(int64_t, 1);
    *number = (int64_t) ++host->last_job;
    g_mutex_lock(&host->bell->lock);
    g_hash_table_insert(host->jobs, number, job);
    g_mutex_unlock(&host->bell->lock);
    *ret_job = host->last_job;
    return IMIG_OK;
}

int
xe_migrate(void *state, const imig_migration *m, uint64_t *ret_job, imig_error **error)
{
    xe_host *host = state;
    xe_target target;
    xe_domain domain;
    gboolean found;
    xe_job *job;
    int code = xe_target_find(m, &target, error);

    if (code != IMIG_OK)
        return code;
    code = xe_domain_find(&host->handle, m->vm, &domain, &found, error);
    if (code == IMIG_OK && !found)
        code = xe_fail(error, IMIG_ERR_NOT_FOUND, "no VM \"%s\"", m->vm);
    if (code != IMIG_OK) {
        xe_target_clear(&target);
        return code;
    }
    job = job_new(host, m, &domain);
    job->target = target;
    code = check_wishes(m, &target, error);
    if (code == IMIG_OK)
        code = cap(m, job, error);
    if (code == IMIG_OK)
        code = check_domain(host, m, &domain, error);
    if (code == IMIG_OK)
        code = xe_switch_take(&host->handle, &host->places, &domain, XE_USE_MIGRATING, &job->lock,
                              error);
    xe_domain_clear(&domain);
    if (code == IMIG_OK)
        return start(host, job, ret_job, error);
    xe_job_unref(job);
    return code;
}

static int
find(xe_host *host, uint64_t number, xe_job **ret_job, imig_error **error)
{
    int64_t key = (int64_t) number;

    *ret_job = g_hash_table_lookup(host->jobs, &key);
    return *ret_job ? IMIG_OK
                    : xe_fail(error, IMIG_ERR_NOT_FOUND, "no job %" G_GUINT64_FORMAT, number);
}

int
xe_poll(void *state, uint64_t number, imig_job *into, imig_error **error)
{
    xe_host *host = state;
    xe_job *job;
    int code = find(host, number, &job, error);

    if (code != IMIG_OK)
        return code;
    g_mutex_lock(&host->bell->lock);
    if (is_under_way(&job->info))
        job->info.ended_s = xe_job_clock(job);
    *into = job->info;
    g_mutex_unlock(&host->bell->lock);
    return IMIG_OK;
}

int
xe_cancel(void *state, uint64_t number, imig_error **error)
{
    xe_host *host = state;
    xe_job *job;
    int code = find(host, number, &job, error);

    if (code != IMIG_OK)
        return code;
    g_mutex_lock(&host->bell->lock);
    job->cancel = TRUE;
    g_mutex_unlock(&host->bell->lock);
    return IMIG_OK;
}

int
xe_result(void *state, uint64_t number, imig_job *into, imig_error **error)
{
    xe_host *host = state;
    int64_t key = (int64_t) number;
    int code = xe_poll(state, number, into, error);

    if (code != IMIG_OK)
        return code;
    if (is_under_way(into))
        return xe_fail(error, IMIG_ERR_BUSY, "job %" G_GUINT64_FORMAT " has not ended", number);
    g_mutex_lock(&host->bell->lock);
    g_hash_table_remove(host->jobs, &key);
    g_mutex_unlock(&host->bell->lock);
    return IMIG_OK;
}

static gboolean
any_under_way(xe_host *host)
{
    GHashTableIter iter;
    gpointer value;
    gboolean any = FALSE;

    g_hash_table_iter_init(&iter, host->jobs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        xe_job *job = value;

        job->cancel = TRUE;
        any |= is_under_way(&job->info);
    }
    return any;
}

void
xe_jobs_end(xe_host *host)
{
    gint64 until_us = g_get_monotonic_time() + (gint64) (END_S * G_USEC_PER_SEC);

    g_mutex_lock(&host->bell->lock);
    while (any_under_way(host)
           && g_cond_wait_until(&host->bell->rung, &host->bell->lock, until_us))
        ;
    g_mutex_unlock(&host->bell->lock);
}
