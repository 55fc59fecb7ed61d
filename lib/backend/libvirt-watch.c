/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/libvirt-priv.h"

#include <math.h>

static const gulong TICK_US = 200000;
static const double default_limit_s = 0.3;     /* QEMU's own downtime limit */
static const double default_max_downtime_s = 10;

/*
 * A migration stalls where no round has begun with less to send than the best one before it, by
 * this share, for so many rounds and so long.
 */
static const double better_ratio = 0.95;
static const uint32_t stalled_rounds = 2;
static const double stalled_s = 5;
static const double throttled_percent = 99; /* more is not possible */

/* What the watch has seen of one migration. */
typedef struct watch {
    lv_job *job;
    virConnectPtr connection; /* NULL: none at the moment */
    virDomainPtr domain;      /* NULL with it */
    gboolean said;            /* that there is none */
    double limit_s;           /* downtime limit, as last set */
    gboolean limit_set;
    uint32_t round, best_round;
    double round_bytes;       /* most of this round that was left */
    double best_bytes, best_at_s;
    double throttle;          /* per cent, the most so far */
} watch;

/* The statistics of the job that count here. */
typedef struct progress {
    gboolean ours;     /* a migration from here is under way, not another job */
    gboolean known;    /* and past its set-up */
    gboolean handover; /* the VM stands still: it is nearly over */
    double transferred, remaining, rounds, dirty_pages_per_s, page_bytes, bytes_per_s, throttle;
} progress;

static double
get(virTypedParameterPtr params, int n, const char *name)
{
    double value = lv_stat(params, n, name);

    return value > 0 ? value : 0; /* NaN, too */
}

static void
hang_up(watch *w)
{
    if (w->domain)
        virDomainFree(w->domain);
    if (w->connection)
        virConnectClose(w->connection);
    w->domain = NULL;
    w->connection = NULL;
}

/* A daemon may be away for a while; the migration may go on all the same. */
static gboolean
reach(watch *w)
{
    lv_failure failure = { IMIG_OK };

    if (w->domain)
        return TRUE;
    w->connection = lv_connect(w->job->uri, &failure);
    if (w->connection)
        w->domain = virDomainLookupByUUIDString(w->connection, w->job->vm);
    if (!w->domain) {
        if (w->connection)
            lv_failure_take(&failure, "looking for the VM");
        if (!w->said)
            lv_log(IMIG_LOG_WARNING, "VM %s: nobody watches its migration for now: %s",
                   w->job->vm, failure.message);
        w->said = TRUE;
        hang_up(w);
    }
    return w->domain != NULL;
}

static gboolean
stands_still(virDomainPtr domain)
{
    int state = 0, reason = 0;

    return virDomainGetState(domain, &state, &reason, 0) == 0 && state == VIR_DOMAIN_PAUSED
           && (reason == VIR_DOMAIN_PAUSED_MIGRATION || reason == VIR_DOMAIN_PAUSED_POSTCOPY);
}

static void
look(watch *w, progress *p)
{
    virTypedParameterPtr params = NULL;
    int n = 0, type = VIR_DOMAIN_JOB_NONE;
    lv_failure failure = { IMIG_OK };

    *p = (progress) { FALSE };
    if (virDomainGetJobStats(w->domain, &type, &params, &n, 0) < 0) {
        lv_failure_take(&failure, "watching");
        if (failure.lost)
            hang_up(w);
        return;
    }
    *p = (progress) {
        .ours = type != VIR_DOMAIN_JOB_NONE
                && lv_stat(params, n, VIR_DOMAIN_JOB_OPERATION)
                       == VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT,
        .known = get(params, n, VIR_DOMAIN_JOB_MEMORY_TOTAL) > 0,
        .transferred = get(params, n, VIR_DOMAIN_JOB_DATA_PROCESSED),
        .remaining = get(params, n, VIR_DOMAIN_JOB_MEMORY_REMAINING),
        .rounds = get(params, n, VIR_DOMAIN_JOB_MEMORY_ITERATION),
        .dirty_pages_per_s = get(params, n, VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE),
        .page_bytes = get(params, n, VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE),
        .bytes_per_s = get(params, n, VIR_DOMAIN_JOB_MEMORY_BPS),
        .throttle = get(params, n, VIR_DOMAIN_JOB_AUTO_CONVERGE_THROTTLE),
    };
    virTypedParamsFree(params, n);
    p->handover = p->ours && stands_still(w->domain);
}

static void
report(const watch *w, const progress *p)
{
    imig_job *info = &w->job->info;

    g_mutex_lock(&w->job->bell->lock);
    w->job->seen_s = lv_job_clock(w->job);
    if (info->state == IMIG_JOB_RUNNING && p->handover)
        info->state = IMIG_JOB_FINISHING;
    if (info->state == IMIG_JOB_RUNNING || info->state == IMIG_JOB_FINISHING) {
        info->transferred_bytes = p->transferred;
        info->remaining_bytes = p->remaining;
        info->rounds = (uint32_t) p->rounds;
        info->present |= IMIG_JOB_HAS_TRANSFERRED | IMIG_JOB_HAS_REMAINING | IMIG_JOB_HAS_ROUNDS;
        if (p->dirty_pages_per_s > 0) {
            info->dirty_bytes_per_s = p->dirty_pages_per_s * p->page_bytes;
            info->present |= IMIG_JOB_HAS_DIRTY;
        }
    }
    g_mutex_unlock(&w->job->bell->lock);
}

static gboolean
set_limit(watch *w, double limit_s)
{
    if (virDomainMigrateSetMaxDowntime(w->domain, (unsigned long long) ceil(limit_s * 1000), 0)
        < 0) {
        lv_log(IMIG_LOG_WARNING, "VM %s: downtime limit: %s", w->job->vm,
               virGetLastErrorMessage());
        return FALSE;
    }
    w->limit_s = limit_s;
    return TRUE;
}

/* Ends it; the thread that moves says what came of it. */
static void
stop(watch *w, int code, const char *why)
{
    g_mutex_lock(&w->job->bell->lock);
    if (!w->job->stopped) {
        w->job->stopped = why;
        w->job->stopped_code = code;
    }
    g_mutex_unlock(&w->job->bell->lock);
    virDomainAbortJob(w->domain); /* asked again at the next tick where it was too early */
}

/* Something has changed: the rounds from here on are compared with each other. */
static void
forget_best(watch *w, const progress *p)
{
    w->best_bytes = INFINITY;
    w->best_at_s = lv_job_clock(w->job);
    w->best_round = (uint32_t) p->rounds;
}

/* Follows the sizes of the rounds; TRUE: they no longer shrink. */
static gboolean
is_stalled(watch *w, const progress *p)
{
    uint32_t round = (uint32_t) p->rounds;

    if (round < 2)
        return FALSE; /* the first one sends all there is */
    if (round == w->round) {
        w->round_bytes = fmax(w->round_bytes, p->remaining);
    } else {
        /* The round that has just ended counts: all of it has been seen. */
        if (w->round < 2 || w->round_bytes < better_ratio * w->best_bytes) {
            w->best_bytes = w->round < 2 ? INFINITY : w->round_bytes;
            w->best_at_s = lv_job_clock(w->job);
            w->best_round = round;
        }
        w->round = round;
        w->round_bytes = p->remaining;
    }
    return round >= w->best_round + stalled_rounds
           && lv_job_clock(w->job) - w->best_at_s >= stalled_s;
}

static void
raise_downtime(watch *w, const progress *p)
{
    double most_s = w->job->max_downtime_s > 0 ? w->job->max_downtime_s : default_max_downtime_s;
    double needed_s = p->bytes_per_s > 0 ? 1.2 * w->round_bytes / p->bytes_per_s : 0;

    if (w->limit_s >= most_s) {
        stop(w, IMIG_ERR_UNSUPPORTED, "its rounds no longer shrink, and a longer downtime is not "
                                      "allowed; it was stopped");
        return;
    }
    if (set_limit(w, fmin(most_s, fmax(2 * w->limit_s, needed_s))))
        lv_log(IMIG_LOG_INFO, "VM %s: rounds no longer shrink, downtime limit raised to %g s",
               w->job->vm, w->limit_s);
    forget_best(w, p);
}

static void
switch_to_post_copy(watch *w, const progress *p)
{
    if (virDomainMigrateStartPostCopy(w->domain, 0) < 0) {
        lv_log(IMIG_LOG_WARNING, "VM %s: post-copy: %s", w->job->vm, virGetLastErrorMessage());
        forget_best(w, p); /* tried again where it stalls again */
        return;
    }
    lv_log(IMIG_LOG_INFO, "VM %s: rounds no longer shrink, switched to post-copy", w->job->vm);
    g_mutex_lock(&w->job->bell->lock);
    w->job->switched = TRUE;
    if (w->job->info.state == IMIG_JOB_RUNNING)
        w->job->info.state = IMIG_JOB_FINISHING;
    g_mutex_unlock(&w->job->bell->lock);
}

static void
act_on_stall(watch *w, const progress *p)
{
    const lv_job *job = w->job;

    if (job->flags & IMIG_MIGRATE_AUTO_CONVERGE && p->throttle < throttled_percent)
        forget_best(w, p); /* being throttled still further */
    else if (job->flags & IMIG_MIGRATE_POST_COPY)
        switch_to_post_copy(w, p);
    else if (job->on_stall == IMIG_STALL_RAISE_DOWNTIME)
        raise_downtime(w, p);
    else if (job->on_stall == IMIG_STALL_ABORT)
        stop(w, IMIG_ERR_UNSUPPORTED, "it dirties memory faster than the link carries: its rounds "
                                      "no longer shrink; it was stopped");
}

/* What was asked for, or is due, whatever the rounds do; TRUE: it is to be stopped. */
static gboolean
is_to_stop(watch *w)
{
    lv_job *job = w->job;
    gboolean stop_it;

    g_mutex_lock(&job->bell->lock);
    if (!job->cancel && !job->stopped && job->timeout_s > 0
        && lv_job_clock(job) - job->info.started_s > job->timeout_s) {
        job->stopped = "it did not end in the time it was given; it was stopped";
        job->stopped_code = IMIG_ERR_TIMEOUT;
    }
    stop_it = job->cancel || job->stopped || job->info.state >= IMIG_JOB_DONE;
    if (!job->begun && job->stopped)
        lv_job_end(job, IMIG_JOB_FAILED, job->stopped_code, job->stopped);
    g_mutex_unlock(&job->bell->lock);
    return stop_it;
}

static gboolean
is_switched(const watch *w)
{
    gboolean switched;

    g_mutex_lock(&w->job->bell->lock);
    switched = w->job->switched;
    g_mutex_unlock(&w->job->bell->lock);
    return switched;
}

static void
tick(watch *w)
{
    const lv_job *job = w->job;
    progress p;

    if (!reach(w))
        return;
    look(w, &p);
    if (p.ours && p.known)
        report(w, &p);
    /* Neither post-copy nor a hand-over can be stopped, and neither stalls. */
    if (is_switched(w) || p.handover)
        return;
    if (is_to_stop(w)) {
        if (p.ours)
            virDomainAbortJob(w->domain); /* again at the next tick where it was too early */
        return;
    }
    if (!p.ours || !p.known)
        return;
    if (!w->limit_set)
        w->limit_set = job->downtime_limit_s <= 0 || set_limit(w, job->downtime_limit_s);
    if (p.throttle > w->throttle) {
        w->throttle = p.throttle;
        forget_best(w, &p);
    }
    if (is_stalled(w, &p))
        act_on_stall(w, &p);
}

/* TRUE: libvirt has answered.  One that was given up is watched until then, and stopped. */
static gboolean
rest(lv_job *job)
{
    gint64 until_us = g_get_monotonic_time() + (gint64) TICK_US;
    gboolean ended;

    g_mutex_lock(&job->bell->lock);
    while (!(ended = job->returned)
           && g_cond_wait_until(&job->bell->rung, &job->bell->lock, until_us))
        ;
    g_mutex_unlock(&job->bell->lock);
    return ended;
}

void *
lv_job_watch(void *data)
{
    lv_job *job = data;
    watch w = { .job = job, .limit_s = default_limit_s };

    while (!rest(job))
        tick(&w);
    hang_up(&w);
    lv_job_unref(job);
    return NULL;
}
