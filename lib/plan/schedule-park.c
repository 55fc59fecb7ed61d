/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/cluster-priv.h"
#include "plan/schedule-run-priv.h"

#include <math.h>

/* Waiting moves that are looked at, pass by pass, before the rest is given up. */
enum { PASS_MOVES = 2000000 };

/*
 * Hosts by pool, under a tree of maxima, so that one with room is found without looking at all.
 * Two kinds of room: what is left now, and what is left once everybody has come who will.
 */
enum { CALM, NOW, KINDS };

typedef struct imig__spare {
    size_t leaves;          /* a power of two */
    double *most[KINDS];    /* [2 leaves] of the leaves below; the root is 1 */
    uint32_t *host, *leaf;  /* [host_count] of each leaf, of each host */
    uint32_t *pool_begin;   /* [pool_count + 1] leaves of each pool */
    size_t next;            /* where to look first: parked VMs are spread */
} imig__spare;

static double
value_of(const imig__route *route, uint32_t host, int kind)
{
    double left = imig__room_left(route->room, host);

    if (route->cluster->hosts[host].state != IMIG_HOST_ACTIVE)
        return -INFINITY;
    /* What is parked there is not to be in the way. */
    return kind == CALM ? left - MAX(route->due[host], 0) : left;
}

void
imig__spare_update(imig__spare *spare, const imig__route *route, uint32_t host)
{
    for (int kind = 0; kind < KINDS; kind++) {
        double *most = spare->most[kind];
        size_t i = spare->leaves + spare->leaf[host];

        most[i] = value_of(route, host, kind);
        for (i /= 2; i > 0; i /= 2)
            most[i] = MAX(most[2 * i], most[2 * i + 1]);
    }
}

imig__spare *
imig__spare_new(const imig__route *route)
{
    const imig_cluster *c = route->cluster;
    imig__spare *spare = g_new0(imig__spare, 1);
    uint32_t *fill;

    spare->leaves = 1;
    while (spare->leaves < c->host_count)
        spare->leaves *= 2;
    spare->host = g_new(uint32_t, c->host_count);
    spare->leaf = g_new(uint32_t, c->host_count);
    spare->pool_begin = g_new0(uint32_t, c->pool_count + 1);
    for (size_t h = 0; h < c->host_count; h++)
        spare->pool_begin[c->host_pool[h] + 1]++;
    for (size_t p = 0; p < c->pool_count; p++)
        spare->pool_begin[p + 1] += spare->pool_begin[p];
    fill = g_memdup2(spare->pool_begin, c->pool_count * sizeof *fill);
    for (uint32_t h = 0; h < c->host_count; h++) {
        spare->leaf[h] = fill[c->host_pool[h]]++;
        spare->host[spare->leaf[h]] = h;
    }
    g_free(fill);
    for (int kind = 0; kind < KINDS; kind++) {
        double *most = g_new(double, 2 * spare->leaves);

        for (size_t i = 0; i < spare->leaves; i++)
            most[spare->leaves + i] = i < c->host_count
                ? value_of(route, spare->host[i], kind) : -INFINITY;
        for (size_t i = spare->leaves - 1; i > 0; i--)
            most[i] = MAX(most[2 * i], most[2 * i + 1]);
        spare->most[kind] = most;
    }
    return spare;
}

void
imig__spare_free(imig__spare *spare)
{
    if (!spare)
        return;
    for (int kind = 0; kind < KINDS; kind++)
        g_free(spare->most[kind]);
    g_free(spare->host);
    g_free(spare->leaf);
    g_free(spare->pool_begin);
    g_free(spare);
}

/* The first leaf from `from` that has as much; spare->leaves where none has. */
static size_t
next_leaf(const imig__spare *spare, int kind, size_t from, double bytes)
{
    const double *most = spare->most[kind];
    size_t i;

    if (from >= spare->leaves)
        return spare->leaves;
    i = spare->leaves + from;
    while (most[i] < bytes) {
        while (i & 1) /* a right child, or the root: what follows is further up */
            i /= 2;
        if (i == 0)
            return spare->leaves;
        i++;
    }
    while (i < spare->leaves)
        i = most[2 * i] >= bytes ? 2 * i : 2 * i + 1;
    return i - spare->leaves;
}

static gboolean
may_park_on(const imig__route *route, uint32_t move, uint32_t host, int kind)
{
    uint32_t vm = route->moves[move].vm, at = route->at[move];

    return host != at && host != route->moves[move].to
           && imig__room_size(route->room, vm, host) <= value_of(route, host, kind)
           && imig__vm_may_be_on(route->cluster, vm, host)
           && imig__room_conflict(route->room, vm, at, host, NULL) == IMIG_NO_INDEX;
}

static uint32_t
find_in_pool(const imig__route *route, uint32_t move, int kind)
{
    const imig__spare *spare = route->spare;
    uint32_t vm = route->moves[move].vm;
    uint32_t pool = route->cluster->host_pool[route->at[move]];
    size_t begin = spare->pool_begin[pool], end = spare->pool_begin[pool + 1];
    size_t middle = CLAMP(spare->next, begin, end);
    double bytes = route->room->memory[vm];

    for (size_t i = next_leaf(spare, kind, middle, bytes); i < end;
         i = next_leaf(spare, kind, i + 1, bytes))
        if (may_park_on(route, move, spare->host[i], kind))
            return spare->host[i];
    for (size_t i = next_leaf(spare, kind, begin, bytes); i < middle;
         i = next_leaf(spare, kind, i + 1, bytes))
        if (may_park_on(route, move, spare->host[i], kind))
            return spare->host[i];
    return IMIG_NO_HOST;
}

static uint32_t
find_third_host(const imig__route *route, uint32_t move)
{
    const imig_vm_info *vm = &route->cluster->vms[route->moves[move].vm];

    for (int kind = 0; kind < KINDS; kind++) {
        uint32_t host = IMIG_NO_HOST;

        if (vm->host_count == 0)
            host = find_in_pool(route, move, kind);
        for (uint32_t i = 0; i < vm->host_count && host == IMIG_NO_HOST; i++)
            if (may_park_on(route, move, vm->hosts[i], kind))
                host = vm->hosts[i];
        if (host != IMIG_NO_HOST)
            return host;
    }
    return IMIG_NO_HOST;
}

/* -- what makes room for a move that waits -- */

typedef struct blocked {
    imig__route *route;
    uint32_t *begin, *moves; /* [host_count + 1], those that wait on each host */
    uint32_t *next;          /* [host_count] of moves: where the search goes on */
    uint8_t *colour;         /* [host_count] */
    uint8_t *hopeless;       /* [n] nothing made way for this move; not asked again in this pass */
    uint32_t *stack, *via;   /* [host_count] hosts, and the moves that lead to them */
    size_t depth;
} blocked;

enum { WHITE, GREY, BLACK };

static gboolean
may_be_parked(const imig__route *route, uint32_t move, uint32_t host)
{
    return route->at[move] == host && !(route->state[move] & (IMIG__MOVE_PARKED | IMIG__MOVE_DONE));
}

/* The VM with a move of its own that a rule keeps this move waiting for. */
static uint32_t
find_blocker(const imig__route *route, uint32_t move, uint32_t rule)
{
    const imig_cluster *c = route->cluster;
    const imig_rule_info *info = &c->rules[rule];
    uint32_t place = imig__rule_place(c, rule, route->moves[move].to);

    for (size_t i = 0; i < info->vm_count; i++) {
        uint32_t other = route->move_of[info->vms[i]];

        if (other != IMIG_NO_INDEX && other != move
            && !(route->state[other] & (IMIG__MOVE_DONE | IMIG__MOVE_IMPOSSIBLE))
            && imig__rule_place(c, rule, route->at[other]) == place)
            return other;
    }
    return IMIG_NO_INDEX;
}

/* The least VM that leaves as many bytes, failing that the largest; IMIG_NO_INDEX: there is none.
   *third: where it can be parked. */
static uint32_t
pick_for_memory(const blocked *b, uint32_t host, double bytes, uint32_t *third)
{
    const imig__route *route = b->route;
    uint32_t best = IMIG_NO_INDEX;
    double best_size = 0;

    for (uint32_t i = b->begin[host]; i < b->begin[host + 1]; i++) {
        uint32_t move = b->moves[i], there;
        double size;

        if (!may_be_parked(route, move, host))
            continue;
        size = imig__room_size(route->room, route->moves[move].vm, host);
        if (best != IMIG_NO_INDEX
            && (best_size >= bytes ? size < bytes || size >= best_size : size <= best_size))
            continue;
        there = find_third_host(route, move);
        if (there == IMIG_NO_HOST)
            continue;
        best = move;
        best_size = size;
        *third = there;
    }
    return best;
}

/* The next VM to be parked so that a move can go; IMIG_NO_INDEX with third IMIG_NO_HOST: no way,
   else nothing is left to do. */
static uint32_t
pick(const blocked *b, uint32_t move, uint32_t *third)
{
    const imig__route *route = b->route;
    uint32_t vm = route->moves[move].vm, to = route->moves[move].to, rule, other;
    double missing = imig__room_size(route->room, vm, to) - imig__room_left(route->room, to);

    *third = IMIG_NO_HOST;
    if (missing > 0)
        return pick_for_memory(b, to, missing, third);
    rule = imig__room_conflict(route->room, vm, route->at[move], to, NULL);
    if (rule == IMIG_NO_INDEX) {
        *third = to;
        return IMIG_NO_INDEX;
    }
    other = find_blocker(route, move, rule);
    if (other == IMIG_NO_INDEX || !may_be_parked(route, other, route->at[other]))
        return IMIG_NO_INDEX;
    *third = find_third_host(route, other);
    return *third == IMIG_NO_HOST ? IMIG_NO_INDEX : other;
}

static void
take_back(imig__route *route, size_t hop_count)
{
    while (route->hop_count > hop_count) {
        const imig__hop *hop = &route->hops[--route->hop_count];

        imig__room_undo(route->room, hop->vm, hop->from, hop->to);
        route->turn_count = hop->turns;
        route->at[hop->move] = hop->from;
        route->state[hop->move] &= (uint8_t) ~IMIG__MOVE_PARKED;
        imig__spare_update(route->spare, route, hop->from);
        imig__spare_update(route->spare, route, hop->to);
    }
}

/* Parks until the move can go; returns how many VMs, 0 where there is no way. */
static size_t
make_way(blocked *b, uint32_t move, double *bytes)
{
    imig__route *route = b->route;
    size_t before = route->hop_count;
    uint32_t third, other;

    *bytes = 0;
    while ((other = pick(b, move, &third)) != IMIG_NO_INDEX) {
        *bytes += route->room->memory[route->moves[other].vm];
        imig__route_go(route, other, third, TRUE);
    }
    if (third == IMIG_NO_HOST)
        take_back(route, before);
    return route->hop_count - before;
}

/* The cycle is the stack from `first` on and one more move that leads back there. */
static size_t
break_cycle(blocked *b, size_t first, uint32_t last)
{
    imig__route *route = b->route;
    uint32_t best = IMIG_NO_INDEX;
    size_t best_count = 0, before = route->hop_count;
    double best_bytes = 0, bytes;

    for (size_t i = first; i < b->depth; i++) {
        uint32_t move = i + 1 < b->depth ? b->via[i + 1] : last;
        size_t count = b->hopeless[move] ? 0 : make_way(b, move, &bytes);

        take_back(route, before);
        b->hopeless[move] = count == 0;
        if (count > 0 && (best == IMIG_NO_INDEX || count < best_count
                          || (count == best_count
                              && (bytes < best_bytes
                                  || (bytes <= best_bytes && move < best))))) {
            best = move;
            best_count = count;
            best_bytes = bytes;
        }
    }
    if (best == IMIG_NO_INDEX)
        return 0;
    best_count = make_way(b, best, &bytes);
    route->spare->next = (size_t) route->spare->leaf[route->hops[route->hop_count - 1].to] + 1;
    return best_count;
}

/* -- finding cycles: from host to host, along the moves that wait -- */

/* Whose leaving does it wait for?  IMIG_NO_HOST: nobody's that is going to leave. */
static uint32_t
waits_for(const imig__route *route, uint32_t move)
{
    uint32_t vm = route->moves[move].vm, to = route->moves[move].to, rule, other;

    if (imig__room_size(route->room, vm, to) > imig__room_left(route->room, to))
        return to;
    rule = imig__room_conflict(route->room, vm, route->at[move], to, NULL);
    other = rule == IMIG_NO_INDEX ? IMIG_NO_INDEX : find_blocker(route, move, rule);
    return other == IMIG_NO_INDEX ? IMIG_NO_HOST : route->at[other];
}

static void
descend(blocked *b, uint32_t host, uint32_t via)
{
    b->colour[host] = GREY;
    b->stack[b->depth] = host;
    b->via[b->depth++] = via;
}

/* Everything on the stack leads to a cycle that is broken now: the next pass looks at it again. */
static void
leave_stack(blocked *b)
{
    while (b->depth > 0)
        b->colour[b->stack[--b->depth]] = BLACK;
}

static size_t
search_from(blocked *b, uint32_t root)
{
    descend(b, root, IMIG_NO_INDEX);
    while (b->depth > 0) {
        uint32_t host = b->stack[b->depth - 1], move, to;
        size_t first = b->depth, parked;

        if (b->next[host] == b->begin[host + 1]) {
            b->colour[host] = BLACK;
            b->depth--;
            continue;
        }
        move = b->moves[b->next[host]++];
        if (b->route->at[move] != host)
            continue;
        to = waits_for(b->route, move);
        if (to == IMIG_NO_HOST || b->colour[to] == BLACK)
            continue;
        if (b->colour[to] == WHITE) {
            descend(b, to, move);
            continue;
        }
        while (b->stack[--first] != to)
            ;
        parked = break_cycle(b, first, move);
        if (parked > 0) {
            leave_stack(b);
            return parked;
        }
    }
    return 0;
}

static gboolean
is_blocked(const imig__route *route, uint32_t move)
{
    return !(route->state[move] & (IMIG__MOVE_DONE | IMIG__MOVE_IMPOSSIBLE));
}

static void
list_blocked(blocked *b, imig__route *route)
{
    size_t hosts = route->cluster->host_count;

    b->route = route;
    b->begin = g_new0(uint32_t, hosts + 1);
    for (uint32_t m = 0; m < route->n; m++)
        if (is_blocked(route, m))
            b->begin[route->at[m] + 1]++;
    for (size_t h = 0; h < hosts; h++)
        b->begin[h + 1] += b->begin[h];
    b->moves = g_new(uint32_t, b->begin[hosts]);
    b->next = g_memdup2(b->begin, (hosts + 1) * sizeof *b->next);
    for (uint32_t m = 0; m < route->n; m++)
        if (is_blocked(route, m))
            b->moves[b->next[route->at[m]]++] = m;
    for (size_t h = 0; h < hosts; h++)
        b->next[h] = b->begin[h];
    b->colour = g_new0(uint8_t, hosts);
    b->hopeless = g_new0(uint8_t, route->n);
    b->stack = g_new(uint32_t, 2 * hosts + 1);
    b->via = b->stack + hosts;
    b->depth = 0;
}

size_t
imig__route_park(imig__route *route)
{
    size_t count = 0;
    blocked b;

    if (route->looked_at > PASS_MOVES)
        return 0;
    list_blocked(&b, route);
    route->looked_at += b.begin[route->cluster->host_count];
    if (b.begin[route->cluster->host_count] > 0 && !route->spare)
        route->spare = imig__spare_new(route);
    for (uint32_t h = 0; h < route->cluster->host_count; h++)
        if (b.colour[h] == WHITE && b.begin[h] < b.begin[h + 1]) {
            size_t first = route->hop_count, parked = search_from(&b, h);

            for (size_t i = first; i < first + parked; i++) {
                const imig__hop *hop = &route->hops[i];

                imig__route_wake(route, hop->vm, hop->from);
            }
            imig__route_settle(route);
            count += parked;
        }
    g_free(b.begin);
    g_free(b.moves);
    g_free(b.next);
    g_free(b.colour);
    g_free(b.hopeless);
    g_free(b.stack);
    return count;
}
