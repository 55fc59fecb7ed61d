/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/connect-priv.h"

#include <string.h>

/* The table is the context's own copy. */
static gboolean
is_agent(const imig__member *member)
{
    return member->ops->probe == imig__agent_ops.probe;
}

/* "xenctl" of "xenctl:", "agent:xenctl:" and "xenctl+ssh://host"; its length. */
static size_t
served_scheme(const imig__member *member, const char **scheme)
{
    static const char agent[] = "agent:";

    *scheme = member->uri;
    while (is_agent(member) && g_str_has_prefix(*scheme, agent))
        *scheme += strlen(agent);
    return strcspn(*scheme, ":+");
}

gboolean
imig__member_is_alike(const imig__member *a, const imig__member *b)
{
    const char *scheme_a, *scheme_b;
    size_t length_a = served_scheme(a, &scheme_a), length_b = served_scheme(b, &scheme_b);

    if (a->ops == b->ops)
        return TRUE;
    return (is_agent(a) || is_agent(b)) && length_a == length_b
           && strncmp(scheme_a, scheme_b, length_a) == 0;
}

int
imig__state_rank(int32_t state)
{
    static const int rank[] = {
        [IMIG_VM_ABSENT] = 0, [IMIG_VM_STOPPED] = 1, [IMIG_VM_PAUSED] = 2, [IMIG_VM_RUNNING] = 3,
        [IMIG_VM_MOVING] = 4,
    };

    return state >= 0 && state < (int32_t) G_N_ELEMENTS(rank) ? rank[state] : 0;
}

int
imig__member_locate(const imig__member *member, const char *vm, imig_location *location,
                    imig_error **error)
{
    int code;

    *location = (imig_location) { .size = sizeof *location };
    code = member->ops->locate(member->state, vm, location, error);
    if (code != IMIG_OK) {
        code = imig__member_answer(member, "locate", code, error);
        imig__member_prefix(member, error);
        return code;
    }
    location->host[sizeof location->host - 1] = '\0';
    return IMIG_OK;
}

/* A better answer than what is there replaces it. */
static int
ask(imig__member *asked, const char *vm, imig__member **member, imig_location *location,
    imig_error **error)
{
    imig_location here;
    int code;

    if (!asked->is_open)
        return imig__fail(error, IMIG_ERR_BACKEND, "%s", asked->missing);
    code = imig__member_locate(asked, vm, &here, error);
    if (code == IMIG_OK && imig__state_rank(here.state) > imig__state_rank(location->state)) {
        *location = here;
        *member = asked;
    }
    return code;
}

static gboolean
runs(const imig_location *location)
{
    return imig__state_rank(location->state) >= imig__state_rank(IMIG_VM_RUNNING);
}

int
imig__connection_find_vm(imig_connection *connection, const char *vm, imig__member **member,
                         imig_location *location, imig_error **error)
{
    imig_error *first = NULL;
    int failure = IMIG_OK;

    *member = NULL;
    *location = (imig_location) { .size = sizeof *location };
    /* Those that are missing may take long to say nothing: only where nobody else runs it. */
    for (int missing = 0; missing < 2 && !(missing && runs(location)); missing++)
        for (size_t i = 0; i < connection->member_count; i++) {
            imig__member *asked = &connection->members[i];
            imig_error *reason = NULL;
            int code;

            if ((asked->missing != NULL) != missing)
                continue;
            code = ask(asked, vm, member, location, &reason);
            failure = failure != IMIG_OK ? failure : code;
            if (!first)
                first = g_steal_pointer(&reason);
            imig_error_free(reason);
        }
    /* Who does not answer does not matter where somebody runs it. */
    if (failure != IMIG_OK && !runs(location)) {
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
    if (!imig__member_is_alike(entry->member, member))
        return imig__fail(error, IMIG_ERR_UNSUPPORTED,
                          "VM %s: host %s belongs to backend %s, not %s",
                          vm, host, entry->member->ops->name, member->ops->name);
    if (!member->ops->check)
        return IMIG_OK; /* nothing known speaks against it */
    code = member->ops->check(member->state, vm, entry->own_id, error);
    return imig__member_answer(member, "check", code, error);
}
