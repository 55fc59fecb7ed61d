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

static int
rank(const imig_location *at)
{
    return imig__state_rank(at->state);
}

/* One that could not be opened, or has stopped to answer, is opened anew; not at the price of jobs:
   a daemon that was killed has dropped its connections, and is asked through a new one. */
static int
ask_member(imig_connection *connection, imig__member *member, const char *vm, imig_location *at,
           imig_error **error)
{
    int code = IMIG_ERR_BACKEND;

    if (member->is_open)
        code = imig__member_locate(member, vm, at, error);
    if (imig__is_silence(code) && member->jobs == 0) {
        imig_error *again = NULL;

        code = imig__member_open(connection, member, &again);
        if (code == IMIG_OK)
            code = imig__member_locate(member, vm, at, &again);
        if (error && !*error)
            *error = g_steal_pointer(&again);
        imig_error_free(again);
    }
    if (code != IMIG_OK)
        return code;
    imig__member_back(member);
    if (member->id && at->state != IMIG_VM_ABSENT)
        g_strlcpy(at->host, member->id, sizeof at->host);
    return IMIG_OK;
}

static imig__member *
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
        imig__member *member = &connection->members[i];
        imig_error *reason = NULL;
        imig_location here;

        if (ask_member(connection, member, vm, &here, &reason) == IMIG_OK) {
            note_answer(place, &here);
            imig_error_free(reason);
            continue;
        }
        place->to_silent |= member == destination;
        if (!place->silent)
            place->silent = g_steal_pointer(&reason);
        imig_error_free(reason);
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
    imig__member *member = member_of(connection, host);
    imig_location here;

    return member && ask_member(connection, member, vm, &here, NULL) == IMIG_OK
           && here.state == IMIG_VM_RUNNING && g_str_equal(here.host, host);
}
