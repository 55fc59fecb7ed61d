/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/libvirt-priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/*
 * QEMU compares samples of pages at the beginning and at the end of a period of whole seconds.  So
 * the curve of the dirtied set is looked at with periods of growing length, one after the other,
 * and each length is one point of it: what was dirtied in so many seconds.  The longest is about
 * what a first round takes, for what is dirtied meanwhile is what the second one sends.  A sample
 * is small, and every look takes a new one: looks of the same length are averaged.
 */
static const struct {
    int period_s;
    int looks; /* the longest is looked at until nobody wants to know more */
} lengths[] = { { 1, 3 }, { 2, 2 }, { 4, 2 }, { 8, 2 }, { 16, 1 } };

enum { LENGTHS = G_N_ELEMENTS(lengths) };

static const gulong LOOK_US = 100000;
enum { PATIENCE_S = 17 }; /* with a look that somebody else began */

static const double SLACK_S = 10; /* a period that is so late never ends */
static const double MIB = 1048576;

/* QEMU looks at 512 pages in a GiB, so each stands for so much. */
static const double GRAIN_MIB = 2;

/* Shared by a host and the thread that looks. */
typedef struct logger {
    gint refs;
    char *uri, *vm;
    gboolean begun; /* the first look */
    GMutex lock; /* guards what follows */
    gboolean stop;
    lv_failure failure;
    struct {
        double bytes; /* of the looks, on average */
        int looks;
    } seen[LENGTHS];
    int given, given_looks; /* the length that was read last, as the average of so many */
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

/* What the last finished look found, in whole MiB a second: TRUE where it is the one with this
   period. */
static gboolean
read_rate(virDomainPtr domain, int period_s, long long *mib_per_s, lv_failure *failure)
{
    virDomainPtr domains[] = { domain, NULL };
    virDomainStatsRecordPtr *records = NULL;
    int status = -1, period = -1;

    if (virDomainListGetStats(domains, VIR_DOMAIN_STATS_DIRTYRATE, &records, 0) < 1) {
        lv_failure_take(failure, "reading the dirty rate");
        return FALSE;
    }
    virTypedParamsGetInt(records[0]->params, records[0]->nparams, "dirtyrate.calc_status",
                         &status);
    virTypedParamsGetInt(records[0]->params, records[0]->nparams, "dirtyrate.calc_period",
                         &period);
    virTypedParamsGetLLong(records[0]->params, records[0]->nparams,
                           "dirtyrate.megabytes_per_second", mib_per_s);
    virDomainStatsRecordListFree(records);
    return status == VIR_DOMAIN_DIRTYRATE_MEASURED && period == period_s;
}

/*
 * QEMU drops what is less than a whole MiB a second, which over a long period is much: any number
 * of the pages that make no further one may have been dirtied, so half of them were, on average.
 * Where none is left, a union is no smaller than one of a shorter period, as far as that could have
 * been dropped.
 */
static double
undropped(const logger *l, int length, long long mib_per_s)
{
    double period_s = lengths[length].period_s;
    double most = fmax(period_s - GRAIN_MIB, 0), bytes = (double) mib_per_s * period_s * MIB;

    if (mib_per_s > 0)
        return bytes + most / 2 * MIB;
    return length > 0 ? fmin(l->seen[length - 1].bytes, most * MIB) : 0;
}

/* One look, begun already; FALSE: no further ones. */
static gboolean
look(logger *l, virDomainPtr domain, int length, lv_failure *failure)
{
    gint64 begun_us = g_get_monotonic_time();
    int period_s = lengths[length].period_s;
    long long mib_per_s = 0;
    double bytes;

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
        if (read_rate(domain, period_s, &mib_per_s, failure))
            break;
    } while (failure->code == IMIG_OK);
    if (failure->code != IMIG_OK)
        return FALSE;
    bytes = undropped(l, length, mib_per_s);
    g_mutex_lock(&l->lock);
    l->seen[length].looks++;
    l->seen[length].bytes += (bytes - l->seen[length].bytes) / l->seen[length].looks;
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
    for (int length = 0, looks = 0;; looks++) {
        if (length + 1 < LENGTHS && looks == lengths[length].looks) {
            length++;
            looks = 0;
        }
        if ((length > 0 || looks > 0 || !l->begun)
            && !begin_in_turn(l, domain, lengths[length].period_s, failure))
            return;
        if (!look(l, domain, length, failure))
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
    else if (!begin_look(domain, lengths[0].period_s, &b->busy, &call->failure) && b->busy)
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
    l->given = -1;
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

/* The length that was read last where it has been looked at since, else the next one, if any. */
static void
give_point(logger *l, imig_dirty_point *into)
{
    int last = 0;

    while (last + 1 < LENGTHS && l->seen[last + 1].looks > 0)
        last++;
    if (l->seen[last].looks == 0)
        return;
    if (l->given < 0 || l->seen[l->given].looks == l->given_looks)
        l->given = MIN(l->given + 1, last);
    l->given_looks = l->seen[l->given].looks;
    into->elapsed_s = lengths[l->given].period_s;
    into->dirtied_bytes = l->seen[l->given].bytes;
    into->grain_bytes = GRAIN_MIB * MIB / l->given_looks;
    into->waiting = (uint32_t) (last - l->given);
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
    give_point(l, into);
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
