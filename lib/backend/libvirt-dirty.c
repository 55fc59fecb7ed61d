/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/libvirt-priv.h"

#include <stdlib.h>
#include <string.h>

/*
 * QEMU compares samples of pages at the beginning and at the end of a period of whole seconds.  So
 * the curve of the dirtied set is looked at with periods of growing length, one after the other,
 * and each length is one point of it: what was dirtied in so many seconds.  The longest is about
 * what a first round takes, for what is dirtied meanwhile is what the second one sends.  A sample
 * is small, and every look takes a new one: looks of the same length are averaged.
 */
static const int periods_s[] = { 1, 1, 2, 4, 4 };

static const gulong LOOK_US = 100000;
enum { PATIENCE_S = 5 }; /* with a look that somebody else began */

static const double SLACK_S = 10; /* a period that is so late never ends */
static const double MIB = 1048576;

/* Shared by a host and the thread that looks. */
typedef struct logger {
    gint refs;
    char *uri, *vm;
    gboolean begun; /* the first look */
    GMutex lock; /* guards what follows */
    gboolean stop, ended;
    lv_failure failure;
    imig_dirty_point point;
    int looks;   /* that the point is the average of */
} logger;

static void
logger_unref(logger *l)
{
    if (!g_atomic_int_dec_and_test(&l->refs))
        return;
    g_mutex_clear(&l->lock);
    g_free(l->uri);
    g_free(l->vm);
    g_free(l);
}

void
lv_dirty_free(void *data)
{
    logger *l = data;

    g_mutex_lock(&l->lock);
    l->stop = TRUE;
    g_mutex_unlock(&l->lock);
    logger_unref(l);
}

static gboolean
is_stopped(logger *l)
{
    gboolean stop;

    g_mutex_lock(&l->lock);
    stop = l->stop;
    g_mutex_unlock(&l->lock);
    return stop;
}

/* What the last finished look found: TRUE where it is the one with this period. */
static gboolean
read_rate(virDomainPtr domain, int period_s, double *bytes, lv_failure *failure)
{
    virDomainPtr domains[] = { domain, NULL };
    virDomainStatsRecordPtr *records = NULL;
    int status = -1, period = -1;
    long long rate = 0;

    if (virDomainListGetStats(domains, VIR_DOMAIN_STATS_DIRTYRATE, &records, 0) < 1) {
        lv_failure_take(failure, "reading the dirty rate");
        return FALSE;
    }
    virTypedParamsGetInt(records[0]->params, records[0]->nparams, "dirtyrate.calc_status",
                         &status);
    virTypedParamsGetInt(records[0]->params, records[0]->nparams, "dirtyrate.calc_period",
                         &period);
    virTypedParamsGetLLong(records[0]->params, records[0]->nparams,
                           "dirtyrate.megabytes_per_second", &rate);
    virDomainStatsRecordListFree(records);
    *bytes = (double) rate * period * MIB;
    return status == VIR_DOMAIN_DIRTYRATE_MEASURED && period == period_s;
}

/* One look, begun already; FALSE: no further ones. */
static gboolean
look(logger *l, virDomainPtr domain, int period_s, lv_failure *failure)
{
    gint64 begun_us = g_get_monotonic_time();
    double bytes = 0;

    do {
        g_usleep(LOOK_US);
        if (is_stopped(l))
            return FALSE;
        if ((double) (g_get_monotonic_time() - begun_us) > (period_s + SLACK_S) * G_USEC_PER_SEC) {
            lv_failure_set(failure, IMIG_ERR_TIMEOUT, "the dirty rate was not measured in time");
            return FALSE;
        }
        if (g_get_monotonic_time() - begun_us < period_s * G_USEC_PER_SEC)
            continue; /* until then the answer is that of the look before */
        if (read_rate(domain, period_s, &bytes, failure))
            break;
    } while (failure->code == IMIG_OK);
    if (failure->code != IMIG_OK)
        return FALSE;
    g_mutex_lock(&l->lock);
    l->looks = l->point.elapsed_s < period_s ? 1 : l->looks + 1;
    l->point.elapsed_s = period_s;
    if (l->looks == 1)
        l->point.dirtied_bytes = bytes;
    else
        l->point.dirtied_bytes += (bytes - l->point.dirtied_bytes) / l->looks;
    g_mutex_unlock(&l->lock);
    return TRUE;
}

/* QEMU looks once at a time, and goes on for a while where somebody began and went away. */
static gboolean
begin_look(virDomainPtr domain, int period_s, gboolean *busy, lv_failure *failure)
{
    const virError *e;

    *busy = FALSE;
    if (virDomainStartDirtyRateCalc(domain, period_s, 0) == 0)
        return TRUE;
    e = virGetLastError();
    *busy = e && e->message && strstr(e->message, "already being measured");
    lv_failure_take(failure, "measuring the dirty rate");
    if (*busy)
        failure->code = IMIG_ERR_BUSY;
    return FALSE;
}

static gboolean
begin_in_turn(logger *l, virDomainPtr domain, int period_s, lv_failure *failure)
{
    gint64 until_us = g_get_monotonic_time() + PATIENCE_S * G_USEC_PER_SEC;
    gboolean busy;

    while (!begin_look(domain, period_s, &busy, failure)) {
        if (!busy || is_stopped(l) || g_get_monotonic_time() > until_us)
            return FALSE;
        g_usleep(LOOK_US);
    }
    *failure = (lv_failure) { IMIG_OK };
    return TRUE;
}

static void
look_on(logger *l, virDomainPtr domain, lv_failure *failure)
{
    for (size_t i = 0; i < G_N_ELEMENTS(periods_s); i++) {
        gboolean begun = i == 0 && l->begun;

        if (!begun && !begin_in_turn(l, domain, periods_s[i], failure))
            return;
        if (!look(l, domain, periods_s[i], failure))
            return;
    }
}

static void *
log_thread(void *data)
{
    logger *l = data;
    lv_failure failure = { IMIG_OK };
    virConnectPtr connection = lv_connect(l->uri, &failure);
    virDomainPtr domain = connection ? virDomainLookupByUUIDString(connection, l->vm) : NULL;

    if (domain)
        look_on(l, domain, &failure);
    else if (connection)
        lv_failure_take(&failure, "looking for the VM");
    g_mutex_lock(&l->lock);
    l->failure = failure;
    l->ended = TRUE;
    g_mutex_unlock(&l->lock);
    if (domain)
        virDomainFree(domain);
    if (connection)
        virConnectClose(connection);
    logger_unref(l);
    return NULL;
}

/* The first look; what the hypervisor cannot do shows here. */
typedef struct beginning {
    lv_call call;
    char *vm;
    gboolean busy; /* begun by somebody else; its turn will come */
} beginning;

static void
beginning_clear(lv_call *call)
{
    g_free(((beginning *) call)->vm);
}

static gboolean
is_migrating(virDomainPtr domain)
{
    virDomainJobInfo info = { 0 };

    return virDomainGetJobInfo(domain, &info) == 0 && info.type != VIR_DOMAIN_JOB_NONE;
}

static int
begin_run(lv_call *call)
{
    beginning *b = (beginning *) call;
    const char *vm = b->vm;
    virDomainPtr domain = virDomainLookupByUUIDString(call->session->connection, vm);

    if (!domain)
        return lv_failure_take(&call->failure, "looking for the VM");
    if (is_migrating(domain))
        lv_failure_set(&call->failure, IMIG_ERR_BUSY, "VM %s is being migrated or saved", vm);
    else if (!begin_look(domain, periods_s[0], &b->busy, &call->failure) && b->busy)
        call->failure = (lv_failure) { IMIG_OK };
    virDomainFree(domain);
    return call->failure.code;
}

gboolean
lv_dirty_runs(lv_host *host, const char *vm)
{
    return g_hash_table_contains(host->loggers, vm);
}

int
lv_dirty_start(void *state, const char *vm, imig_error **error)
{
    lv_host *host = state;
    beginning *b;
    logger *l;
    int code;

    if (lv_dirty_runs(host, vm))
        return lv_fail(error, IMIG_ERR_BUSY, "VM %s: its dirty pages are being logged", vm);
    if (lv_job_runs(host, vm))
        return lv_fail(error, IMIG_ERR_BUSY, "VM %s is being migrated", vm);
    b = lv_call_new(sizeof *b, begin_run, beginning_clear);
    b->vm = g_strdup(vm);
    code = lv_call_make(host, &b->call, error);
    if (code != IMIG_OK) {
        lv_call_unref(&b->call);
        return code;
    }
    l = g_new0(logger, 1);
    l->refs = 2;
    l->begun = !b->busy;
    lv_call_unref(&b->call);
    l->uri = g_strdup(host->uri);
    l->vm = g_strdup(vm);
    g_mutex_init(&l->lock);
    g_hash_table_insert(host->loggers, g_strdup(vm), l);
    if (lv_thread("imig-dirty", log_thread, l))
        return IMIG_OK;
    g_hash_table_remove(host->loggers, vm);
    logger_unref(l);
    return lv_fail(error, IMIG_ERR_BACKEND, "VM %s: no thread to measure its dirty rate", vm);
}

int
lv_dirty_read(void *state, const char *vm, imig_dirty_point *into, imig_error **error)
{
    lv_host *host = state;
    logger *l = g_hash_table_lookup(host->loggers, vm);
    lv_failure failure;

    if (!l)
        return lv_fail(error, IMIG_ERR_NOT_FOUND, "VM %s: its dirty pages are not logged", vm);
    g_mutex_lock(&l->lock);
    into->elapsed_s = l->point.elapsed_s;
    into->dirtied_bytes = l->point.dirtied_bytes;
    failure = l->failure;
    g_mutex_unlock(&l->lock);
    return failure.code == IMIG_OK ? IMIG_OK : lv_failure_give(&failure, error);
}

int
lv_dirty_stop(void *state, const char *vm, imig_error **error)
{
    lv_host *host = state;

    if (!g_hash_table_remove(host->loggers, vm))
        return lv_fail(error, IMIG_ERR_NOT_FOUND, "VM %s: its dirty pages are not logged", vm);
    return IMIG_OK;
}
