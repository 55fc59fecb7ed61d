/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/connect-priv.h"

#include <math.h>
#include <string.h>

/* A migration that was begun; its number here is not its number at the backend. */
typedef struct job {
    int64_t number;
    imig__member *member;
    uint64_t own_number;
    gboolean ended;
} job;

static int
check_migration(const imig_migration *m, imig_error **error)
{
    const double limits[] = {
        m->bandwidth_bytes_per_s, m->downtime_limit_s, m->timeout_s, m->max_downtime_s,
    };
    static const char *const names[] = {
        "bandwidth_bytes_per_s", "downtime_limit_s", "timeout_s", "max_downtime_s",
    };

    if (!m->vm || !m->to)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "migration.%s is NULL", m->vm ? "to" : "vm");
    if (m->flags & ~IMIG__MIGRATE_FLAGS)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "migration.flags: an unknown flag");
    if (m->on_stall < IMIG_STALL_ABORT || m->on_stall > IMIG_STALL_GO_ON)
        return imig__fail(error, IMIG_ERR_ARGUMENT,
                          "migration.on_stall: %d is no imig_stall_action", m->on_stall);
    for (size_t i = 0; i < G_N_ELEMENTS(limits); i++)
        if (!(limits[i] >= 0 && isfinite(limits[i])))
            return imig__fail(error, IMIG_ERR_ARGUMENT, "migration.%s: %g: must be finite and >= 0",
                              names[i], limits[i]);
    return IMIG_OK;
}

/* Is the VM where it can leave from? */
static int
check_source(const imig_migration *m, const imig__member *member, const imig_location *location,
             imig_error **error)
{
    const char *host;

    if (!member)
        return imig__fail(error, IMIG_ERR_NOT_FOUND, "no VM \"%s\"", m->vm);
    host = member->id ? member->id : location->host;
    if (location->state == IMIG_VM_MOVING)
        return imig__fail(error, IMIG_ERR_BUSY, "VM %s is being migrated", m->vm);
    if (m->from && strcmp(m->from, host) != 0)
        return imig__fail(error, IMIG_ERR_NOT_FOUND, "VM %s is on host %s, not on %s", m->vm, host,
                          m->from);
    if (strcmp(m->to, host) == 0)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "VM %s is on host %s already", m->vm, host);
    if (!member->ops->migrate)
        return imig__member_unsupported(member, "migrate", error);
    return IMIG_OK;
}

/* A host that was missing may be back; a migration to one that is not would hang in its turn. */
static int
find_destination(imig_connection *connection, const char *id, const imig__host_entry **entry,
                 imig_error **error)
{
    imig_sample *sample;
    int code = imig__connection_find_host(connection, id, entry, error);

    if (code != IMIG_OK || !(*entry)->member->missing)
        return code;
    code = imig__connection_sample(connection, &sample, error);
    if (code != IMIG_OK)
        return code;
    imig__sample_free(sample);
    code = imig__connection_find_host(connection, id, entry, error);
    if (code == IMIG_OK && (*entry)->member->missing)
        code = imig__fail(error, IMIG_ERR_BACKEND, "%s", (*entry)->member->missing);
    return code;
}

/* Says how to reach the destination, unless the caller did. */
static int
fill_destination(imig_connection *connection, const imig__member *member, imig_migration *m,
                 imig_error **error)
{
    const imig__host_entry *entry;
    int code;

    if (m->to_uri)
        return IMIG_OK;
    code = find_destination(connection, m->to, &entry, error);
    if (code != IMIG_OK)
        return code;
    if (!imig__member_is_alike(entry->member, member))
        return imig__fail(error, IMIG_ERR_UNSUPPORTED,
                          "VM %s: host %s belongs to backend %s, not %s",
                          m->vm, m->to, entry->member->ops->name, member->ops->name);
    m->to = entry->own_id;
    if (entry->member == member)
        return IMIG_OK;
    m->to_uri = entry->member->uri;
    if (!m->migrate_uri)
        m->migrate_uri = entry->member->migrate_uri;
    return IMIG_OK;
}

int
imig_connection_migrate(imig_connection *connection, const imig_migration *migration,
                        uint64_t *ret_job, imig_error **error)
{
    imig__member *member;
    imig_location location;
    imig_migration m;
    uint64_t own_number;
    job *j;
    int code;

    if (!connection || !migration || !ret_job)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%s is NULL",
                          !connection ? "connection" : migration ? "job" : "migration");
    code = imig__copy_struct(&m, sizeof m, migration, IMIG__END_OF(imig_migration, timeout_s),
                             error);
    m.size = sizeof m;
    if (code == IMIG_OK)
        code = check_migration(&m, error);
    if (code == IMIG_OK)
        code = imig__connection_find_vm(connection, m.vm, &member, &location, error);
    if (code == IMIG_OK)
        code = check_source(&m, member, &location, error);
    if (code == IMIG_OK)
        code = fill_destination(connection, member, &m, error);
    if (code != IMIG_OK)
        return code;
    m.from = location.host;
    if (m.to_uri)
        imig__context_keep_secret(connection->context, m.to_uri);
    if (m.migrate_uri)
        imig__context_keep_secret(connection->context, m.migrate_uri);
    code = member->ops->migrate(member->state, &m, &own_number, error);
    if (code != IMIG_OK)
        return imig__member_answer(member, "migrate", code, error);
    member->running++;
    member->jobs++;
    j = g_new(job, 1);
    *j = (job) {
        .number = (int64_t) ++connection->last_job, .member = member, .own_number = own_number,
    };
    g_hash_table_insert(connection->jobs, &j->number, j);
    *ret_job = connection->last_job;
    imig__context_log(connection->context, IMIG_LOG_INFO, "VM %s: from %s to %s begins", m.vm,
                      m.from, migration->to);
    return IMIG_OK;
}

static int
find_job(imig_connection *connection, uint64_t number, job **ret_job, imig_error **error)
{
    int64_t key = (int64_t) number;

    if (!connection)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "connection is NULL");
    *ret_job = g_hash_table_lookup(connection->jobs, &key);
    if (!*ret_job)
        return imig__fail(error, IMIG_ERR_NOT_FOUND, "no job %" G_GUINT64_FORMAT, number);
    return IMIG_OK;
}

static void
note_state(job *j, const imig_job *state)
{
    if (j->ended || state->state < IMIG_JOB_DONE)
        return;
    j->ended = TRUE;
    j->member->running--;
}

gboolean
imig__connection_job_ended(imig_connection *connection)
{
    GHashTableIter iter;
    gpointer value;
    gboolean ended = FALSE;

    g_hash_table_iter_init(&iter, connection->jobs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        imig_job state = { .size = sizeof state };
        job *j = value;

        if (j->ended)
            continue;
        /* One that cannot be asked is the caller's to find out about. */
        if (j->member->ops->poll(j->member->state, j->own_number, &state, NULL) == IMIG_OK)
            note_state(j, &state);
        else
            ended = TRUE;
        ended |= j->ended;
    }
    return ended;
}

/* Times on the connection's clock, into the caller's struct; the reason without secrets. */
static int
give_job(const job *j, imig_job *job_info, imig_job *into, imig_error **error)
{
    char *clean;

    job_info->started_s -= j->member->clock_offset_s;
    job_info->ended_s -= j->member->clock_offset_s;
    job_info->message[sizeof job_info->message - 1] = '\0';
    clean = imig__context_hide(j->member->context, job_info->message);
    g_strlcpy(job_info->message, clean, sizeof job_info->message);
    g_free(clean);
    return imig__fill_struct(into, job_info, sizeof *job_info, IMIG__END_OF(imig_job, message),
                             error);
}

/* Before a result is fetched, and lost where it cannot be given. */
static int
check_size(const imig_job *into, imig_error **error)
{
    imig_job probe;

    if (!into)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "into is NULL");
    memcpy(&probe.size, &into->size, sizeof probe.size);
    if (probe.size < IMIG__END_OF(imig_job, message))
        return imig__fail(error, IMIG_ERR_ABI, "struct size %zu is not known", probe.size);
    return IMIG_OK;
}

int
imig_connection_poll(imig_connection *connection, uint64_t number, imig_job *into,
                     imig_error **error)
{
    imig_job state = { .size = sizeof state };
    job *j;
    int code = check_size(into, error);

    if (code == IMIG_OK)
        code = find_job(connection, number, &j, error);
    if (code != IMIG_OK)
        return code;
    code = j->member->ops->poll(j->member->state, j->own_number, &state, error);
    if (code != IMIG_OK)
        return imig__member_answer(j->member, "poll", code, error);
    note_state(j, &state);
    return give_job(j, &state, into, error);
}

int
imig_connection_cancel(imig_connection *connection, uint64_t number, imig_error **error)
{
    job *j;
    int code = find_job(connection, number, &j, error);

    if (code != IMIG_OK || j->ended)
        return code;
    code = j->member->ops->cancel(j->member->state, j->own_number, error);
    return imig__member_answer(j->member, "cancel", code, error);
}

int
imig_connection_result(imig_connection *connection, uint64_t number, imig_job *into,
                       imig_error **error)
{
    imig_job state = { .size = sizeof state };
    job *j;
    int code = check_size(into, error);

    if (code == IMIG_OK)
        code = find_job(connection, number, &j, error);
    if (code != IMIG_OK)
        return code;
    code = j->member->ops->result(j->member->state, j->own_number, &state, error);
    if (code != IMIG_OK)
        return imig__member_answer(j->member, "result", code, error);
    note_state(j, &state);
    if (!j->ended) { /* a backend that answers for a running job */
        return imig__fail(error, IMIG_ERR_BUSY, "job %" G_GUINT64_FORMAT " has not ended", number);
    }
    code = give_job(j, &state, into, error);
    j->member->jobs--;
    g_hash_table_remove(connection->jobs, &j->number);
    return code;
}
