/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/libvirt-priv.h"

#include <math.h>
#include <string.h>

static const double MIB = 1048576;

/* Ours to libvirt's. */
static const struct {
    uint64_t ours;
    unsigned int theirs;
} flag_map[] = {
    { IMIG_MIGRATE_COPY_DISKS, VIR_MIGRATE_NON_SHARED_DISK },
    { IMIG_MIGRATE_UNSAFE, VIR_MIGRATE_UNSAFE },
    { IMIG_MIGRATE_AUTO_CONVERGE, VIR_MIGRATE_AUTO_CONVERGE },
    { IMIG_MIGRATE_POST_COPY, VIR_MIGRATE_POSTCOPY },
    { IMIG_MIGRATE_ENCRYPT, VIR_MIGRATE_TLS },
};

/*
 * Who is told to do it: where the destination's daemon can be reached from the source's, the
 * source's (peer to peer); otherwise we talk to both.  "tcp://address" is no daemon but where
 * QEMU is to connect to.
 */
static gboolean
is_peer_to_peer(const lv_job *job)
{
    return job->migrate_uri && !g_str_has_prefix(job->migrate_uri, "tcp:")
           && !g_str_has_prefix(job->migrate_uri, "rdma:")
           && !g_str_has_prefix(job->migrate_uri, "unix:");
}

/* Without a list libvirt copies every disk, also those that the destination has already. */
static gboolean
add_disks(const lv_job *job, virDomainPtr domain, virTypedParameterPtr *params, int *n, int *room,
          gboolean *any, lv_failure *failure)
{
    lv_facts *facts;
    GHashTableIter iter;
    gpointer target, kind;

    if (!(job->flags & IMIG_MIGRATE_COPY_DISKS))
        return TRUE;
    facts = lv_facts_read(virDomainGetConnect(domain), domain, failure);
    if (!facts)
        return FALSE;
    g_hash_table_iter_init(&iter, facts->shared);
    while (g_hash_table_iter_next(&iter, &target, &kind))
        if (GPOINTER_TO_INT(kind) == 2) {
            virTypedParamsAddString(params, n, room, VIR_MIGRATE_PARAM_MIGRATE_DISKS, target);
            *any = TRUE;
        }
    lv_facts_free(facts);
    return TRUE;
}

static unsigned int
flags_of(const lv_job *job, virDomainPtr domain)
{
    unsigned int flags = VIR_MIGRATE_LIVE | VIR_MIGRATE_ABORT_ON_ERROR;

    for (size_t i = 0; i < G_N_ELEMENTS(flag_map); i++)
        if (job->flags & flag_map[i].ours)
            flags |= flag_map[i].theirs;
    if (is_peer_to_peer(job))
        flags |= VIR_MIGRATE_PEER2PEER;
    if (virDomainIsPersistent(domain) == 1)
        flags |= VIR_MIGRATE_PERSIST_DEST | VIR_MIGRATE_UNDEFINE_SOURCE;
    return flags;
}

/* Returns when the migration has ended, one way or the other. */
static gboolean
move(const lv_job *job, virDomainPtr domain, virConnectPtr destination, lv_failure *failure)
{
    virTypedParameterPtr params = NULL;
    int n = 0, room = 0;
    unsigned int flags = flags_of(job, domain);
    gboolean moved = FALSE, copies = FALSE;

    if (!add_disks(job, domain, &params, &n, &room, &copies, failure))
        return FALSE;
    if (!copies)
        flags &= ~(unsigned int) VIR_MIGRATE_NON_SHARED_DISK;
    if (job->bandwidth_bytes_per_s > 0) /* whole MiB/s, no more than that, but at least one */
        virTypedParamsAddULLong(&params, &n, &room, VIR_MIGRATE_PARAM_BANDWIDTH,
                                (unsigned long long) fmax(job->bandwidth_bytes_per_s / MIB, 1));
    if (flags & VIR_MIGRATE_PEER2PEER) {
        moved = virDomainMigrateToURI3(domain, job->migrate_uri, params, (unsigned int) n,
                                       flags) == 0;
    } else {
        virDomainPtr there;

        if (job->migrate_uri)
            virTypedParamsAddString(&params, &n, &room, VIR_MIGRATE_PARAM_URI, job->migrate_uri);
        there = virDomainMigrate3(domain, destination, params, (unsigned int) n, flags);
        moved = there != NULL;
        if (there)
            virDomainFree(there);
    }
    if (!moved)
        lv_failure_take(failure, "migrating");
    virTypedParamsFree(params, n);
    return moved;
}

double
lv_stat(virTypedParameterPtr params, int n, const char *name)
{
    unsigned long long value = 0;
    int number = 0;

    if (virTypedParamsGetULLong(params, n, name, &value) == 1)
        return (double) value;
    if (virTypedParamsGetInt(params, n, name, &number) == 1)
        return number;
    return NAN;
}

static void
note(imig_job *info, uint64_t bit, double *field, double value)
{
    if (!(value >= 0))
        return;
    *field = value;
    info->present |= bit;
}

static void
note_stats(imig_job *info, virTypedParameterPtr params, int n)
{
    double rounds = lv_stat(params, n, VIR_DOMAIN_JOB_MEMORY_ITERATION);

    note(info, IMIG_JOB_HAS_TRANSFERRED, &info->transferred_bytes,
         lv_stat(params, n, VIR_DOMAIN_JOB_DATA_PROCESSED));
    if (!(rounds >= 1))
        return;
    info->rounds = (uint32_t) rounds;
    info->present |= IMIG_JOB_HAS_ROUNDS;
}

/* What the destination says of it afterwards; post-copy leaves nothing there. */
static void
note_completed(lv_job *job, virConnectPtr destination)
{
    virDomainPtr domain = virDomainLookupByUUIDString(destination, job->vm);
    virTypedParameterPtr params = NULL;
    int n = 0, type = 0;

    if (domain && virDomainGetJobStats(domain, &type, &params, &n,
                                       VIR_DOMAIN_JOB_STATS_COMPLETED) == 0 && n > 0) {
        g_mutex_lock(&job->bell->lock);
        note_stats(&job->info, params, n);
        note(&job->info, IMIG_JOB_HAS_DOWNTIME, &job->info.downtime_s,
             lv_stat(params, n, VIR_DOMAIN_JOB_DOWNTIME) / 1000);
        g_mutex_unlock(&job->bell->lock);
    }
    virTypedParamsFree(params, n);
    if (domain)
        virDomainFree(domain);
}

/* Under the lock of the bell.  Only what libvirt calls aborted is known to be where it was. */
static void
conclude(lv_job *job, gboolean moved, const lv_failure *failure)
{
    job->info.backend_code = failure->backend_code;
    if (moved)
        lv_job_end(job, IMIG_JOB_DONE, IMIG_OK, "");
    else if (job->stopped)
        lv_job_end(job, IMIG_JOB_FAILED, job->stopped_code, job->stopped);
    else if (job->cancel && (!job->begun || failure->code == IMIG_ERR_CANCELLED))
        lv_job_end(job, IMIG_JOB_CANCELLED, IMIG_OK, "cancelled");
    else
        lv_job_end(job, IMIG_JOB_FAILED, failure->code, failure->message);
}

static virConnectPtr
reach_destination(const lv_job *job, lv_failure *failure)
{
    virConnectPtr destination = lv_connect(job->to_uri, failure);

    if (!destination) {
        char *message = g_strdup_printf("host %s: %s", job->to, failure->message);

        g_strlcpy(failure->message, message, sizeof failure->message);
        g_free(message);
    }
    return destination;
}

/* It may have been given up while the hosts were being reached. */
static gboolean
may_begin(lv_job *job)
{
    gboolean may;

    g_mutex_lock(&job->bell->lock);
    may = !job->cancel && !job->stopped && job->info.state == IMIG_JOB_RUNNING;
    job->begun |= may;
    g_mutex_unlock(&job->bell->lock);
    return may;
}

void *
lv_job_move(void *data)
{
    lv_job *job = data;
    lv_failure failure = { IMIG_OK };
    virConnectPtr source = lv_connect(job->uri, &failure);
    virConnectPtr destination = source ? reach_destination(job, &failure) : NULL;
    virDomainPtr domain = destination ? virDomainLookupByUUIDString(source, job->vm) : NULL;
    gboolean moved = FALSE;

    if (destination && !domain)
        lv_failure_take(&failure, "looking for the VM");
    else if (domain && may_begin(job))
        moved = move(job, domain, destination, &failure);
    if (moved)
        note_completed(job, destination);
    g_mutex_lock(&job->bell->lock);
    job->returned = TRUE;
    conclude(job, moved, &failure);
    g_cond_broadcast(&job->bell->rung);
    g_mutex_unlock(&job->bell->lock);
    if (domain)
        virDomainFree(domain);
    if (destination)
        virConnectClose(destination);
    if (source)
        virConnectClose(source);
    lv_job_unref(job);
    return NULL;
}
