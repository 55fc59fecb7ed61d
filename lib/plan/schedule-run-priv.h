/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_SCHEDULE_RUN_PRIV_H
#define IMIG_SCHEDULE_RUN_PRIV_H

/*
 * A schedule is made in two passes.  The route puts the moves, one at a time and without a clock,
 * in a sequence that memory and rules allow, and parks VMs where there is none.  The timed pass
 * starts them as early as links and memory allow, and no hop where it could close the route to one
 * that stands before it in the route: so it never gets stuck.
 */

#include "plan/schedule-priv.h"

/* -- schedule-room.c: who is where, and what may go where -- */

struct imig__place; /* one place of one rule */

typedef struct imig__room {
    const imig_cluster *cluster;
    double *used, *room;    /* [host_count] bytes; a VM in flight counts on both hosts */
    double *overhead;       /* [host_count] for each VM */
    double *memory;         /* [vm_count] packed: these are read all the time */
    uint32_t *rule_begin;   /* [vm_count + 1] of each VM in rules[] */
    uint32_t *rules;        /* hard `apart` only */
    struct imig__place *places; /* [place_mask + 1] */
    size_t place_mask;
    double *used_first;         /* the same when the first VM sets out */
    struct imig__place *places_first;
} imig__room;

void imig__room_init(imig__room *room, const imig_cluster *cluster);
void imig__room_reset(imig__room *room); /* as the cluster has it */
void imig__room_clear(imig__room *room);

/* What the VM takes of this host. */
static inline double
imig__room_size(const imig__room *room, uint32_t vm, uint32_t host)
{
    return room->memory[vm] + room->overhead[host];
}

/* What is left there, less than 0 where it is short. */
static inline double
imig__room_left(const imig__room *room, uint32_t host)
{
    return room->room[host] - room->used[host];
}

/*
 * The rule that does not let a VM go, or IMIG_NO_INDEX.  turns: NULL, or what imig__room_turns()
 * gave in the route: places are then entered in the route's order only.
 */
uint32_t imig__room_conflict(const imig__room *room, uint32_t vm, uint32_t from, uint32_t to,
                             const uint32_t *turns);
uint32_t imig__room_turns(const imig__room *room, uint32_t vm, uint32_t to, uint32_t *turns);

/* A VM sets out, and has left; or never set out at all. */
void imig__room_enter(imig__room *room, uint32_t vm, uint32_t from, uint32_t to);
void imig__room_leave(imig__room *room, uint32_t vm, uint32_t from, uint32_t to);
void imig__room_undo(imig__room *room, uint32_t vm, uint32_t from, uint32_t to);

/* -- the same: queues of moves; a move is in one of them at most -- */

typedef struct imig__queues {
    uint32_t *head;         /* [queues] IMIG_NO_INDEX: empty */
    uint32_t *left, *right; /* [n] skew heaps */
    double *key;            /* [n] least first, then by number */
    size_t count;
} imig__queues;

void imig__queues_init(imig__queues *queues, size_t count, size_t n);
void imig__queues_clear(imig__queues *queues);
void imig__queues_push(imig__queues *queues, size_t queue, uint32_t move, double key);
uint32_t imig__queues_pop(imig__queues *queues, size_t queue); /* IMIG_NO_INDEX: empty */
void imig__queues_pour(imig__queues *queues, size_t from, size_t into); /* all of them */

/* -- schedule-route.c -- */

/* One migration of the route. */
typedef struct imig__hop {
    uint32_t move, vm, from, to;
    int32_t parking;
    uint32_t turns; /* in route.turns */
    double size;    /* what it takes of its destination */
    double slack;   /* room left there when it has arrived: what may overtake it */
} imig__hop;

/* What moves wait for. */
enum { IMIG__WAITS_READY, IMIG__WAITS_LAST, IMIG__WAITS_MEMORY };

typedef struct imig__route {
    const imig_cluster *cluster;
    const imig__move *moves; /* [n] in the wished sequence */
    size_t n;
    imig__room *room;
    imig__queues queues;     /* ready, last resort, memory of each host, each rule */
    uint32_t next;           /* nobody has asked this move yet, nor those after it */
    uint32_t *at;            /* [n] where the VM is now */
    uint32_t *move_of;       /* [vm_count] or IMIG_NO_INDEX */
    uint8_t *state;          /* [n] IMIG__MOVE_* */
    double *due;             /* [host_count] bytes that have yet to arrive for good */
    double *due_first;       /* [host_count] of these, those of moves that go first */
    const uint8_t *first;    /* [n] 1: room is kept for it */
    imig__hop *hops;         /* [2 n] */
    size_t hop_count;
    uint32_t *turns;
    uint32_t turn_count;
    struct imig__spare *spare; /* schedule-park.c */
    size_t looked_at;          /* the same: moves, in all passes */
} imig__route;

enum {
    IMIG__MOVE_PARKED = 1, IMIG__MOVE_DONE = 2, IMIG__MOVE_IMPOSSIBLE = 4,
    IMIG__MOVE_HELD_UP = 8, /* at a time when nothing could go */
};

/* Leaves the room as one of the routes that were tried leaves it. */
void imig__route_find(imig__route *route, imig__room *room, const imig__move *moves, size_t n,
                      gboolean may_park);
void imig__route_clear(imig__route *route);

/* -- schedule-park.c: cycles that only a third host breaks -- */

struct imig__spare *imig__spare_new(const imig__route *route);
void imig__spare_free(struct imig__spare *spare);
void imig__spare_update(struct imig__spare *spare, const imig__route *route, uint32_t host);

/* Parks VMs to break some of the cycles among the moves that wait; returns how many VMs. */
size_t imig__route_park(imig__route *route);

/* -- schedule-route.c, for it -- */

/* Goes at once; whoever waited for what it leaves is not woken. */
void imig__route_go(imig__route *route, uint32_t move, uint32_t to, gboolean parking);
void imig__route_wake(imig__route *route, uint32_t vm, uint32_t host);

/* Whoever can go goes, until nobody can. */
void imig__route_settle(imig__route *route);

#endif
