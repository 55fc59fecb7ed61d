/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/connect-priv.h"

#include <math.h>
#include <string.h>

/* Where several backends have jobs, all are waited on for so long in turn. */
static const double WAIT_SLICE_S = 0.2;

/* A wish to stop is looked for as often. */
static const double LOOK_S = 0.5;

int
imig__member_answer(const imig__member *member, const char *what, int code, imig_error **error)
{
    if (code == IMIG_OK)
        return IMIG_OK;
    if (code > 0 || code < IMIG_ERR_IO)
        code = IMIG_ERR_BACKEND;
    imig__fail(error, code, "%s: %s failed without a reason", member->shown, what);
    if (error)
        imig__error_reword(*error, imig__context_hide(member->context,
                                                      imig_error_message(*error)));
    return code;
}

void
imig__member_prefix(const imig__member *member, imig_error **error)
{
    size_t length = strlen(member->shown);
    const char *message = imig_error_message(error ? *error : NULL);

    if (strncmp(message, member->shown, length) != 0 || message[length] != ':')
        imig__error_prefix(error, "%s", member->shown);
}

int
imig__member_unsupported(const imig__member *member, const char *what, imig_error **error)
{
    return imig__fail(error, IMIG_ERR_UNSUPPORTED, "%s: backend %s cannot %s", member->shown,
                      member->ops->name, what);
}

static void
host_entry_free(void *data)
{
    imig__host_entry *entry = data;

    g_free(entry->own_id);
    g_free(entry);
}

GHashTable *
imig__hosts_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, host_entry_free);
}

static void
connection_clear(void *data)
{
    imig_connection *connection = data;

    for (size_t i = 0; i < connection->member_count; i++) {
        imig__member *member = &connection->members[i];

        if (member->is_open)
            member->ops->close(member->state);
        imig_cluster_unref(member->last);
        g_free(member->missing);
        g_free(member->uri);
        g_free(member->shown);
        g_free(member->migrate_uri);
        g_free(member->id);
    }
    g_free(connection->members);
    g_hash_table_unref(connection->hosts);
    imig__capacities_free(connection->capacities);
    g_hash_table_unref(connection->jobs);
    imig_context_unref(connection->context);
}

imig_connection *
imig__connection_new(imig_context *context, size_t n)
{
    imig_connection *connection = g_atomic_rc_box_new0(imig_connection);

    connection->context = imig_context_ref(context);
    connection->members = g_new0(imig__member, n);
    connection->member_count = n;
    connection->hosts = imig__hosts_new();
    connection->jobs = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    connection->clock_s = -INFINITY;
    return connection;
}

imig_connection *
imig_connection_ref(imig_connection *connection)
{
    return connection ? g_atomic_rc_box_acquire(connection) : NULL;
}

void
imig_connection_unref(imig_connection *connection)
{
    if (connection)
        g_atomic_rc_box_release_full(connection, connection_clear);
}

static double
member_clock(const imig__member *member)
{
    return member->ops->clock(member->state) - member->clock_offset_s;
}

static gboolean
takes_part(const imig__member *member)
{
    return member->is_open && !member->missing;
}

/* The first that takes part; NULL: none but this one does. */
static imig__member *
other_that_takes_part(imig_connection *connection, const imig__member *member)
{
    for (size_t i = 0; i < connection->member_count; i++)
        if (&connection->members[i] != member && takes_part(&connection->members[i]))
            return &connection->members[i];
    return NULL;
}

/* All clocks go on alike, so that another one can be read where this one is missing; small
   differences show as time that stands still. */
double
imig_connection_clock(imig_connection *connection)
{
    imig__member *other;
    double now_s;

    if (!connection)
        return (double) NAN;
    if (!connection->reference)
        return connection->clock_s;
    if (!takes_part(connection->reference)) {
        other = other_that_takes_part(connection, connection->reference);
        connection->reference = other ? other : connection->reference;
    }
    now_s = member_clock(connection->reference);
    if (now_s > connection->clock_s)
        connection->clock_s = now_s;
    return connection->clock_s;
}

/* Waits for one; where it does not answer and another takes part, it is missing from now on. */
static int
member_wait(imig_connection *connection, imig__member *member, double deadline_s,
            imig_error **error)
{
    imig_error *reason = NULL;
    int code = member->ops->wait(member->state, deadline_s + member->clock_offset_s, &reason);

    if (code == IMIG_OK)
        return IMIG_OK;
    code = imig__member_answer(member, "wait", code, &reason);
    imig__member_prefix(member, &reason);
    if (imig__is_silence(code) && other_that_takes_part(connection, member)) {
        imig__member_lost(member, reason);
        code = IMIG_OK;
    } else if (error && !*error) {
        *error = g_steal_pointer(&reason);
    }
    imig_error_free(reason);
    return code;
}

/* All clocks up to the deadline. */
static int
wait_for_all(imig_connection *connection, double deadline_s, imig_error **error)
{
    int code = IMIG_OK;

    for (size_t i = 0; i < connection->member_count && code == IMIG_OK; i++)
        if (takes_part(&connection->members[i]))
            code = member_wait(connection, &connection->members[i], deadline_s, error);
    return code;
}

/* While one is waited on, jobs of the others end unseen: so all are asked after each slice. */
static int
wait_in_slices(imig_connection *connection, double deadline_s, imig_error **error)
{
    double now_s = imig_connection_clock(connection);
    int code;

    do {
        now_s = MIN(now_s + WAIT_SLICE_S, deadline_s);
        code = wait_for_all(connection, now_s, error);
    } while (code == IMIG_OK && now_s < deadline_s && !imig__connection_job_ended(connection));
    return code;
}

/* The one that is waited on alone; NULL: several have to be, or one that is missing has jobs. */
static imig__member *
find_busy(imig_connection *connection)
{
    imig__member *busy = NULL;

    for (size_t i = 0; i < connection->member_count; i++) {
        imig__member *member = &connection->members[i];

        if (member->running == 0)
            continue;
        if (busy || !takes_part(member))
            return NULL;
        busy = member;
    }
    if (busy)
        return busy;
    imig_connection_clock(connection); /* its clock is one that takes part */
    return connection->reference;
}

int
imig_connection_wait(imig_connection *connection, double deadline_s, imig_error **error)
{
    imig__member *busy;
    int code;

    if (!connection || !isfinite(deadline_s))
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%s",
                          connection ? "the deadline is not finite" : "connection is NULL");
    busy = find_busy(connection);
    if (!busy)
        return wait_in_slices(connection, deadline_s, error);
    code = member_wait(connection, busy, deadline_s, error);
    if (code != IMIG_OK || connection->member_count == 1)
        return code;
    if (busy->missing) /* since a moment ago: the others are still to be waited for */
        return imig_connection_wait(connection, deadline_s, error);
    return wait_for_all(connection, MIN(deadline_s, member_clock(busy)), error);
}

int
imig__connection_wait_until(imig_connection *connection, double until_s, const imig_cancel *cancel,
                            imig_error **error)
{
    double now_s;

    while ((now_s = imig_connection_clock(connection)) < until_s) {
        double next_s = cancel ? MIN(until_s, now_s + LOOK_S) : until_s;
        int code;

        if (imig_cancel_level(cancel) > 0)
            return imig__fail(error, IMIG_ERR_CANCELLED, "stopped on request");
        code = imig_connection_wait(connection, next_s, error);
        if (code != IMIG_OK)
            return code;
    }
    return IMIG_OK;
}
