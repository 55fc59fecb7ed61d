/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/connect-priv.h"

#include <math.h>
#include <string.h>

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

/* Everything that is wrong without asking a hypervisor. */
static int
prepare_member(imig_connection *connection, const char *text, imig__member *member,
               imig_error **error)
{
    int code = parse_uri(connection->context, text, member, error);

    if (code != IMIG_OK)
        return code;
    code = imig__context_find_backend(connection->context, member->uri, &member->ops, error);
    if (code != IMIG_OK) {
        code = imig__member_answer(member, "open", code, error);
        imig__member_prefix(member, error);
    }
    return code;
}

/* Clocks that agree as far as reading them one after the other can tell are the same one. */
static double
clock_offset(imig_connection *connection, const imig__member *member)
{
    double before_s, after_s, member_s;

    if (!connection->reference)
        return 0;
    before_s = imig_connection_clock(connection);
    member_s = member->ops->clock(member->state);
    after_s = imig_connection_clock(connection);
    return before_s <= member_s && member_s <= after_s ? 0 : member_s - after_s;
}

int
imig__member_open(imig_connection *connection, imig__member *member, imig_error **error)
{
    void *state = NULL;
    int code = imig__context_open(connection->context, member->ops, member->uri, &state, error);

    if (code != IMIG_OK) {
        code = imig__member_answer(member, "open", code, error);
        imig__member_prefix(member, error);
        member->ops->close(state); /* half open, as far as it got */
        return code;
    }
    if (member->is_open)
        member->ops->close(member->state);
    member->state = state;
    member->is_open = TRUE;
    member->clock_offset_s = clock_offset(connection, member);
    if (!connection->reference)
        connection->reference = member;
    return IMIG_OK;
}

gboolean
imig__is_silence(int code)
{
    return code == IMIG_ERR_BACKEND || code == IMIG_ERR_TIMEOUT;
}

void
imig__member_lost(imig__member *member, const imig_error *error)
{
    char *line = g_strdup(imig_error_message(error));

    if (!member->missing)
        imig__context_log(member->context, IMIG_LOG_WARNING, "%s; the rest goes on without it",
                          line);
    g_free(member->missing);
    member->missing = line;
}

void
imig__member_back(imig__member *member)
{
    if (!member->missing)
        return;
    g_free(g_steal_pointer(&member->missing));
    imig__context_log(member->context, IMIG_LOG_WARNING, "%s: it is back", member->shown);
}

/* Those that do not answer are missing, as long as one does. */
static int
open_members(imig_connection *connection, imig_error **error)
{
    imig_error **reasons = g_new0(imig_error *, connection->member_count);
    int code = IMIG_OK, first = IMIG_OK;

    for (size_t i = 0; i < connection->member_count && code == IMIG_OK; i++) {
        code = imig__member_open(connection, &connection->members[i], &reasons[i]);
        if (!imig__is_silence(code))
            continue;
        first = first != IMIG_OK ? first : code;
        code = IMIG_OK;
    }
    if (code == IMIG_OK && !connection->reference)
        code = first;
    for (size_t i = 0; i < connection->member_count; i++) {
        /* What ends it all, or else the first silence, is the last word. */
        if (reasons[i] && code == IMIG_OK)
            imig__member_lost(&connection->members[i], reasons[i]);
        else if (imig_error_code(reasons[i]) == code && error && !*error)
            *error = g_steal_pointer(&reasons[i]);
        imig_error_free(reasons[i]);
    }
    g_free(reasons);
    return code;
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
    connection = imig__connection_new(context, n);
    for (size_t i = 0; i < n && code == IMIG_OK; i++)
        code = prepare_member(connection, uri[i], &connection->members[i], error);
    if (code == IMIG_OK)
        code = open_members(connection, error);
    if (code == IMIG_OK)
        *ret_connection = connection;
    else
        imig_connection_unref(connection);
    return code;
}

const char *
imig_connection_missing(const imig_connection *connection, size_t index)
{
    for (size_t i = 0; connection && i < connection->member_count; i++)
        if (connection->members[i].missing && index-- == 0)
            return connection->members[i].missing;
    return NULL;
}
