/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/cluster-priv.h"
#include "plan/schedule-run-priv.h"

/* Where moves are stuck or parked, other routes are tried: so many, and so many moves in all. */
enum { ATTEMPTS = 5, ATTEMPT_MOVES = 60000 };

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
    if (!parking && route->first[move])
        route->due_first[to] -= hop->size;
    if (route->spare) {
        imig__spare_update(route->spare, route, from);
        imig__spare_update(route->spare, route, to);
    }
}

/* Would it take what others wait for, or what is kept for them? */
static gboolean
is_in_the_way(const imig__route *route, uint32_t move, double size)
{
    uint32_t to = route->moves[move].to;

    if (route->queues.head[memory_queue(to)] != IMIG_NO_INDEX)
        return TRUE;
    return !route->first[move] && route->due_first[to] > 0
           && imig__room_left(route->room, to) - size < route->due_first[to];
}

/*
 * Goes, or waits.  What is in the way of others only goes when nothing else can: they may be what
 * a third host waits for.
 */
static void
try_move(imig__route *route, uint32_t move, gboolean last_resort)
{
    uint32_t vm = route->moves[move].vm, to = route->moves[move].to, from = route->at[move], rule;
    double size = imig__room_size(route->room, vm, to);

    if (size > imig__room_left(route->room, to)) {
        imig__queues_push(&route->queues, memory_queue(to), move, 0);
        return;
    }
    rule = imig__room_conflict(route->room, vm, from, to, NULL);
    if (rule != IMIG_NO_INDEX) {
        imig__queues_push(&route->queues, rule_queue(route, rule), move, 0);
    } else if (!last_resort && is_in_the_way(route, move, size)) {
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

static void
expect(imig__route *route, uint32_t move)
{
    uint32_t vm = route->moves[move].vm, to = route->moves[move].to;
    double size = imig__room_size(route->room, vm, to);

    if (!is_possible(route, &route->moves[move])) {
        route->state[move] |= IMIG__MOVE_IMPOSSIBLE;
        return;
    }
    route->due[to] += size;
    if (route->first[move])
        route->due_first[to] += size;
}

static void
find_one(imig__route *route, imig__room *room, const imig__move *moves, size_t n,
         gboolean may_park, const uint8_t *first)
{
    const imig_cluster *c = room->cluster;
    size_t turns = 0;

    *route = (imig__route) {
        .cluster = c, .room = room, .moves = moves, .n = n, .first = first,
        .at = g_new(uint32_t, n),
        .move_of = g_new(uint32_t, c->vm_count),
        .state = g_new0(uint8_t, n),
        .due = g_new0(double, c->host_count),
        .due_first = g_new0(double, c->host_count),
        .hops = g_new(imig__hop, 2 * n),
    };
    imig__room_reset(room);
    imig__queues_init(&route->queues, IMIG__WAITS_MEMORY + c->host_count + c->rule_count, n);
    for (size_t v = 0; v < c->vm_count; v++)
        route->move_of[v] = IMIG_NO_INDEX;
    for (uint32_t m = 0; m < n; m++) {
        uint32_t vm = moves[m].vm;

        g_assert(vm < c->vm_count && moves[m].to < c->host_count);
        g_assert(moves[m].to != c->vms[vm].host && route->move_of[vm] == IMIG_NO_INDEX);
        route->at[m] = c->vms[vm].host;
        route->move_of[vm] = m;
        turns += 2 * (room->rule_begin[vm + 1] - room->rule_begin[vm]);
        expect(route, m);
    }
    route->turns = g_new(uint32_t, turns + 1);
    do {
        imig__route_settle(route);
        for (size_t m = 0; m < n; m++)
            if (!(route->state[m] & (IMIG__MOVE_DONE | IMIG__MOVE_IMPOSSIBLE)))
                route->state[m] |= IMIG__MOVE_HELD_UP;
    } while (may_park && imig__route_park(route) > 0);
}

static size_t
count_done(const imig__route *route)
{
    size_t done = 0;

    for (size_t i = 0; i < route->n; i++)
        done += (route->state[i] & IMIG__MOVE_DONE) != 0;
    return done;
}

/* More moves are done, or as many with fewer VMs parked. */
static gboolean
is_better(const imig__route *a, const imig__route *b)
{
    size_t done_a = count_done(a), done_b = count_done(b);

    return done_a != done_b ? done_a > done_b : a->hop_count < b->hop_count;
}

/* Next time there is to be room for who did not get it in time; FALSE where everybody did. */
static gboolean
learn(const imig__route *route, uint8_t *first)
{
    gboolean any = FALSE;

    for (size_t i = 0; i < route->n; i++)
        if (route->state[i] & IMIG__MOVE_HELD_UP)
            any = first[i] = 1;
    return any;
}

void
imig__route_find(imig__route *route, imig__room *room, const imig__move *moves, size_t n,
                 gboolean may_park)
{
    uint8_t *first = g_new0(uint8_t, n);
    gboolean is_free;
    size_t asked = n;

    find_one(route, room, moves, n, may_park, first);
    is_free = !learn(route, first);
    for (int i = 1; i < ATTEMPTS && !is_free && (asked += n) <= ATTEMPT_MOVES; i++) {
        imig__route other, better;

        find_one(&other, room, moves, n, may_park, first);
        is_free = !learn(&other, first);
        better = is_better(&other, route) ? other : *route;
        imig__route_clear(better.hops == other.hops ? route : &other);
        *route = better;
    }
    route->first = NULL;
    g_free(first);
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
    g_free(route->due_first);
    g_free(route->hops);
    g_free(route->turns);
}
