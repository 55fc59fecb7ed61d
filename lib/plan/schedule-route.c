/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/cluster-priv.h"
#include "plan/schedule-run-priv.h"

static size_t
memory_queue(uint32_t host)
{
    return IMIG__WAITS_MEMORY + (size_t) host;
}

static size_t
rule_queue(const imig__route *route, uint32_t rule)
{
    return IMIG__WAITS_MEMORY + route->cluster->host_count + rule;
}

static gboolean
is_possible(const imig__route *route, const imig__move *move)
{
    const imig_cluster *c = route->cluster;

    return c->hosts[move->to].state == IMIG_HOST_ACTIVE
           && c->hosts[c->vms[move->vm].host].state != IMIG_HOST_OFFLINE
           && imig__vm_may_be_on(c, move->vm, move->to);
}

void
imig__route_wake(imig__route *route, uint32_t vm, uint32_t host)
{
    const imig__room *room = route->room;

    imig__queues_pour(&route->queues, memory_queue(host), IMIG__WAITS_READY);
    for (uint32_t i = room->rule_begin[vm]; i < room->rule_begin[vm + 1]; i++)
        imig__queues_pour(&route->queues, rule_queue(route, room->rules[i]), IMIG__WAITS_READY);
}

void
imig__route_go(imig__route *route, uint32_t move, uint32_t to, gboolean parking)
{
    uint32_t vm = route->moves[move].vm, from = route->at[move];
    imig__hop *hop = &route->hops[route->hop_count++];

    *hop = (imig__hop) {
        move, vm, from, to, parking, route->turn_count, imig__room_size(route->room, vm, to), 0,
    };
    route->turn_count += imig__room_turns(route->room, vm, to, &route->turns[hop->turns]);
    imig__room_enter(route->room, vm, from, to);
    hop->slack = imig__room_left(route->room, to);
    imig__room_leave(route->room, vm, from, to);
    route->at[move] = to;
    route->state[move] |= parking ? IMIG__MOVE_PARKED : IMIG__MOVE_DONE;
    if (!parking)
        route->due[to] -= hop->size;
    if (route->spare) {
        imig__spare_update(route->spare, route, from);
        imig__spare_update(route->spare, route, to);
    }
}

/*
 * Goes, or waits.  Where others wait for memory it takes none from them before nothing else can
 * go: they may be what a third host waits for.
 */
static void
try_move(imig__route *route, uint32_t move, gboolean last_resort)
{
    uint32_t vm = route->moves[move].vm, to = route->moves[move].to, from = route->at[move], rule;

    if (imig__room_size(route->room, vm, to) > imig__room_left(route->room, to)) {
        imig__queues_push(&route->queues, memory_queue(to), move, 0);
        return;
    }
    rule = imig__room_conflict(route->room, vm, from, to, NULL);
    if (rule != IMIG_NO_INDEX) {
        imig__queues_push(&route->queues, rule_queue(route, rule), move, 0);
    } else if (!last_resort && route->queues.head[memory_queue(to)] != IMIG_NO_INDEX) {
        imig__queues_push(&route->queues, IMIG__WAITS_LAST, move, 0);
    } else {
        imig__route_go(route, move, to, FALSE);
        imig__route_wake(route, vm, from);
    }
}

/* The first in the wished sequence of those that may be able to go, or IMIG_NO_INDEX. */
static uint32_t
next_ready(imig__route *route)
{
    uint32_t woken = route->queues.head[IMIG__WAITS_READY];

    while (route->next < route->n && route->state[route->next] & IMIG__MOVE_IMPOSSIBLE)
        route->next++;
    if (route->next < route->n && (woken == IMIG_NO_INDEX || route->next < woken))
        return route->next++;
    return imig__queues_pop(&route->queues, IMIG__WAITS_READY);
}

void
imig__route_settle(imig__route *route)
{
    for (;;) {
        uint32_t move = next_ready(route);
        gboolean last_resort = move == IMIG_NO_INDEX;

        if (last_resort)
            move = imig__queues_pop(&route->queues, IMIG__WAITS_LAST);
        if (move == IMIG_NO_INDEX)
            return;
        try_move(route, move, last_resort);
    }
}

void
imig__route_init(imig__route *route, imig__room *room, const imig__move *moves, size_t n,
                 gboolean may_park)
{
    const imig_cluster *c = room->cluster;
    size_t turns = 0;

    route->cluster = c;
    route->room = room;
    route->moves = moves;
    route->n = n;
    imig__queues_init(&route->queues, IMIG__WAITS_MEMORY + c->host_count + c->rule_count, n);
    route->at = g_new(uint32_t, n);
    route->move_of = g_new(uint32_t, c->vm_count);
    route->state = g_new0(uint8_t, n);
    route->due = g_new0(double, c->host_count);
    route->hops = g_new(imig__hop, 2 * n);
    route->hop_count = route->turn_count = route->next = 0;
    route->spare = NULL;
    for (size_t v = 0; v < c->vm_count; v++)
        route->move_of[v] = IMIG_NO_INDEX;
    for (uint32_t m = 0; m < n; m++) {
        uint32_t vm = moves[m].vm;

        g_assert(vm < c->vm_count && moves[m].to < c->host_count);
        g_assert(moves[m].to != c->vms[vm].host && route->move_of[vm] == IMIG_NO_INDEX);
        route->at[m] = c->vms[vm].host;
        route->move_of[vm] = m;
        turns += 2 * (room->rule_begin[vm + 1] - room->rule_begin[vm]);
        if (is_possible(route, &moves[m]))
            route->due[moves[m].to] += imig__room_size(room, vm, moves[m].to);
        else
            route->state[m] |= IMIG__MOVE_IMPOSSIBLE;
    }
    route->turns = g_new(uint32_t, turns);
    do
        imig__route_settle(route);
    while (may_park && imig__route_park(route) > 0);
}

void
imig__route_clear(imig__route *route)
{
    imig__queues_clear(&route->queues);
    imig__spare_free(route->spare);
    g_free(route->at);
    g_free(route->move_of);
    g_free(route->state);
    g_free(route->due);
    g_free(route->hops);
    g_free(route->turns);
}
