/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "execute/place-priv.h"

gboolean
imig__place_runs(const imig_location *at)
{
    return at->state == IMIG_VM_RUNNING || at->state == IMIG_VM_MOVING;
}

const char *
imig__place_state(int32_t state)
{
    static const char *const names[] = {
        [IMIG_VM_ABSENT] = "absent",   [IMIG_VM_RUNNING] = "running",
        [IMIG_VM_PAUSED] = "paused",   [IMIG_VM_MOVING] = "being migrated already",
        [IMIG_VM_STOPPED] = "stopped",
    };

    return state >= 0 && state < (int32_t) G_N_ELEMENTS(names) ? names[state]
                                                               : "in an unknown state";
}

/* Which of two answers says more about where the VM is. */
static int
rank(const imig_location *at)
{
    static const int of_state[] = {
        [IMIG_VM_ABSENT] = 0, [IMIG_VM_STOPPED] = 1, [IMIG_VM_PAUSED] = 2, [IMIG_VM_RUNNING] = 3,
        [IMIG_VM_MOVING] = 4,
    };

    return at->state >= 0 && at->state < (int32_t) G_N_ELEMENTS(of_state) ? of_state[at->state]
                                                                          : 0;
}

static int
ask_member(const imig__member *member, const char *vm, imig_location *at, imig_error **error)
{
    int code;

    *at = (imig_location) { .size = sizeof *at };
    code = member->ops->locate(member->state, vm, at, error);
    if (code != IMIG_OK)
        return imig__member_answer(member, "locate", code, error);
    at->host[sizeof at->host - 1] = '\0';
    if (member->id && at->state != IMIG_VM_ABSENT)
        g_strlcpy(at->host, member->id, sizeof at->host);
    return IMIG_OK;
}

static const imig__member *
member_of(const imig_connection *connection, const char *host)
{
    const imig__host_entry *entry = g_hash_table_lookup(connection->hosts, host);

    return entry ? entry->member : NULL;
}

/* A VM that is only defined somewhere is no copy of one that is on another host. */
static void
note_other(imig__place *place, const imig_location *other)
{
    if (rank(other) > rank(&place->other) && other->state != IMIG_VM_STOPPED
        && !g_str_equal(other->host, place->at.host))
        place->other = *other;
}

static void
note_answer(imig__place *place, const imig_location *here)
{
    imig_location before = place->at;

    if (rank(here) > rank(&before))
        place->at = *here;
    note_other(place, rank(here) > rank(&before) ? &before : here);
}

void
imig__place_ask(imig_connection *connection, const char *vm, const char *to, imig__place *place)
{
    const imig__member *destination = member_of(connection, to);

    memset(place, 0, sizeof *place);
    for (size_t i = 0; i < connection->member_count; i++) {
        const imig__member *member = &connection->members[i];
        imig_location here;

        if (ask_member(member, vm, &here, &place->silent) == IMIG_OK)
            note_answer(place, &here);
        else if (member == destination)
            place->to_silent = TRUE;
    }
}

void
imig__place_clear(imig__place *place)
{
    imig_error_free(place->silent);
    place->silent = NULL;
}

gboolean
imig__place_is_home(imig_connection *connection, const char *vm, const char *host)
{
    const imig__member *member = member_of(connection, host);
    imig_location here;

    return member && ask_member(member, vm, &here, NULL) == IMIG_OK
           && here.state == IMIG_VM_RUNNING && g_str_equal(here.host, host);
}
