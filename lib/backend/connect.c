/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/connect-priv.h"

#include <math.h>
#include <string.h>

/* Where several backends have jobs, all are waited on for so long in turn. */
static const double WAIT_SLICE_S = 0.2;

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

/* The first ",key=" of a URI, or NULL. */
static char *
find_option(char *text)
{
    for (char *comma = strchr(text, ','); comma; comma = strchr(comma + 1, ',')) {
        size_t length = strspn(comma + 1, "abcdefghijklmnopqrstuvwxyz_-");

        if (length > 0 && comma[1 + length] == '=')
            return comma;
    }
    return NULL;
}

static char **
option_slot(imig__member *member, const char *key, size_t length)
{
    if (length == strlen("migrate") && strncmp(key, "migrate", length) == 0)
        return &member->migrate_uri;
    if (length == strlen("id") && strncmp(key, "id", length) == 0)
        return &member->id;
    return NULL;
}

/* Splits "URI,migrate=URI,id=NAME".  shown: the text, without its secrets. */
static int
split_uri(const char *text, const char *shown, imig__member *member, imig_error **error)
{
    char *next;

    member->uri = g_strdup(text);
    next = find_option(member->uri);
    while (next) {
        char *key = next + 1, *value = strchr(key, '=') + 1;
        size_t length = (size_t) (value - 1 - key);
        char **slot = option_slot(member, key, length);

        *next = '\0';
        next = find_option(value);
        if (next)
            *next = '\0';
        if (!slot || *slot || !*value)
            return imig__fail(error, IMIG_ERR_ARGUMENT, "%s: option \"%.*s\" %s", shown,
                              (int) length, key,
                              !slot ? "is not known" : *slot ? "comes twice" : "is empty");
        *slot = g_strdup(value);
    }
    return *member->uri ? IMIG_OK : imig__fail(error, IMIG_ERR_ARGUMENT, "%s: no URI", shown);
}

static int
parse_uri(imig_context *context, const char *text, imig__member *member, imig_error **error)
{
    char *shown;
    int code;

    if (!text || !*text)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "a URI is NULL or empty");
    shown = imig__uri_shown(text);
    code = split_uri(text, shown, member, error);
    g_free(shown);
    if (code != IMIG_OK)
        return code;
    member->context = context;
    member->shown = imig__uri_shown(member->uri);
    imig__context_keep_secret(context, member->uri);
    if (member->migrate_uri)
        imig__context_keep_secret(context, member->migrate_uri);
    return IMIG_OK;
}

static int
open_member(imig_connection *connection, const char *text, imig__member *member,
            imig_error **error)
{
    int code = parse_uri(connection->context, text, member, error);

    if (code != IMIG_OK)
        return code;
    code = imig__context_find_backend(connection->context, member->uri, &member->ops, error);
    if (code == IMIG_OK) {
        code = imig__context_open(connection->context, member->ops, member->uri, &member->state,
                                  error);
        if (code != IMIG_OK) {
            member->ops->close(member->state); /* half open, as far as it got */
            member->ops = NULL;
        }
    }
    if (code != IMIG_OK) {
        code = imig__member_answer(member, "open", code, error);
        imig__member_prefix(member, error);
    }
    return code;
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

        if (member->ops)
            member->ops->close(member->state);
        g_free(member->uri);
        g_free(member->shown);
        g_free(member->migrate_uri);
        g_free(member->id);
    }
    g_free(connection->members);
    g_hash_table_unref(connection->hosts);
    g_hash_table_unref(connection->jobs);
    imig_context_unref(connection->context);
}

int
imig_connect(imig_context *context, const char *const *uri, size_t n,
             imig_connection **ret_connection, imig_error **error)
{
    imig_connection *connection;
    int code = IMIG_OK;

    if (!context || !uri || !ret_connection)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%s is NULL",
                          !context ? "context" : uri ? "connection" : "uri");
    if (n == 0)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "no URI");
    connection = g_atomic_rc_box_new0(imig_connection);
    connection->context = imig_context_ref(context);
    connection->members = g_new0(imig__member, n);
    connection->hosts = imig__hosts_new();
    connection->jobs = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    while (code == IMIG_OK && connection->member_count < n) {
        size_t i = connection->member_count++;

        code = open_member(connection, uri[i], &connection->members[i], error);
    }
    if (code != IMIG_OK) {
        imig_connection_unref(connection);
        return code;
    }
    for (size_t i = 1; i < n; i++) {
        imig__member *member = &connection->members[i];

        member->clock_offset_s = member->ops->clock(member->state) -
                                 imig_connection_clock(connection);
    }
    *ret_connection = connection;
    return IMIG_OK;
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

double
imig_connection_clock(imig_connection *connection)
{
    return connection ? member_clock(&connection->members[0]) : (double) NAN;
}

static int
member_wait(const imig__member *member, double deadline_s, imig_error **error)
{
    int code = member->ops->wait(member->state, deadline_s + member->clock_offset_s, error);

    return imig__member_answer(member, "wait", code, error);
}

/* All clocks up to the deadline. */
static int
wait_for_all(imig_connection *connection, double deadline_s, imig_error **error)
{
    int code = IMIG_OK;

    for (size_t i = 0; i < connection->member_count && code == IMIG_OK; i++)
        code = member_wait(&connection->members[i], deadline_s, error);
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

int
imig_connection_wait(imig_connection *connection, double deadline_s, imig_error **error)
{
    const imig__member *busy = NULL;
    size_t busy_count = 0;
    int code;

    if (!connection || !isfinite(deadline_s))
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%s",
                          connection ? "the deadline is not finite" : "connection is NULL");
    for (size_t i = 0; i < connection->member_count; i++)
        if (connection->members[i].running > 0) {
            busy = &connection->members[i];
            busy_count++;
        }
    if (busy_count > 1)
        return wait_in_slices(connection, deadline_s, error);
    if (!busy)
        busy = &connection->members[0];
    code = member_wait(busy, deadline_s, error);
    if (code != IMIG_OK || connection->member_count == 1)
        return code;
    return wait_for_all(connection, MIN(deadline_s, member_clock(busy)), error);
}

/* Of two answers about one VM: during a migration both ends know it, and the source's counts. */
static int
state_rank(int32_t state)
{
    static const int rank[] = {
        [IMIG_VM_ABSENT] = 0, [IMIG_VM_STOPPED] = 1, [IMIG_VM_PAUSED] = 2, [IMIG_VM_RUNNING] = 3,
        [IMIG_VM_MOVING] = 4,
    };

    return state >= 0 && state < (int32_t) G_N_ELEMENTS(rank) ? rank[state] : 0;
}

static int
member_locate(const imig__member *member, const char *vm, imig_location *location,
              imig_error **error)
{
    int code;

    *location = (imig_location) { .size = sizeof *location };
    code = member->ops->locate(member->state, vm, location, error);
    if (code != IMIG_OK)
        return imig__member_answer(member, "locate", code, error);
    location->host[sizeof location->host - 1] = '\0';
    return IMIG_OK;
}

int
imig__connection_find_vm(imig_connection *connection, const char *vm, imig__member **member,
                         imig_location *location, imig_error **error)
{
    imig_error *first = NULL;
    int failure = IMIG_OK;

    *member = NULL;
    *location = (imig_location) { .size = sizeof *location };
    for (size_t i = 0; i < connection->member_count; i++) {
        imig_location here;
        int code = member_locate(&connection->members[i], vm, &here, &first);

        if (code != IMIG_OK)
            failure = failure != IMIG_OK ? failure : code;
        else if (state_rank(here.state) > state_rank(location->state)) {
            *location = here;
            *member = &connection->members[i];
        }
    }
    /* Who does not answer does not matter where somebody runs it. */
    if (failure != IMIG_OK && state_rank(location->state) < state_rank(IMIG_VM_RUNNING)) {
        if (error && !*error)
            *error = first;
        else
            imig_error_free(first);
        return failure;
    }
    if (first)
        imig__context_log(connection->context, IMIG_LOG_WARNING, "looking for VM %s: %s", vm,
                          imig_error_message(first));
    imig_error_free(first);
    return IMIG_OK;
}

int
imig_connection_locate(imig_connection *connection, const char *vm, imig_location *location,
                       imig_error **error)
{
    imig__member *member;
    imig_location found;
    int code;

    if (!connection || !vm || !location)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%s is NULL",
                          !connection ? "connection" : vm ? "location" : "vm");
    code = imig__connection_find_vm(connection, vm, &member, &found, error);
    if (code != IMIG_OK)
        return code;
    if (member && member->id)
        g_strlcpy(found.host, member->id, sizeof found.host);
    return imig__fill_struct(location, &found, sizeof found, IMIG__END_OF(imig_location, reserved),
                             error);
}

int
imig_connection_check(imig_connection *connection, const char *vm, const char *host,
                      imig_error **error)
{
    const imig__host_entry *entry;
    imig__member *member;
    imig_location location;
    int code;

    if (!connection || !vm || !host)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%s is NULL",
                          !connection ? "connection" : vm ? "host" : "vm");
    code = imig__connection_find_vm(connection, vm, &member, &location, error);
    if (code == IMIG_OK && !member)
        code = imig__fail(error, IMIG_ERR_NOT_FOUND, "no VM \"%s\"", vm);
    if (code == IMIG_OK)
        code = imig__connection_find_host(connection, host, &entry, error);
    if (code != IMIG_OK)
        return code;
    if (entry->member->ops != member->ops)
        return imig__fail(error, IMIG_ERR_UNSUPPORTED,
                          "VM %s: host %s belongs to backend %s, not %s",
                          vm, host, entry->member->ops->name, member->ops->name);
    if (!member->ops->check)
        return IMIG_OK; /* nothing known speaks against it */
    code = member->ops->check(member->state, vm, entry->own_id, error);
    return imig__member_answer(member, "check", code, error);
}
