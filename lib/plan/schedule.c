/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/cluster-priv.h"
#include "plan/schedule-run-priv.h"

#include <stdlib.h>
#include <string.h>

/* -- the timed pass -- */

/* What hops wait for: READY is to be tried, RUNNING ends at its key; and for each host and rule. */
enum { READY, RUNNING, QUEUES };
enum { WAITS_OUT, WAITS_IN, WAITS_MEMORY, WAITS };

typedef struct run {
    const imig_cluster *cluster;
    imig__route *route;
    imig__room *room;
    const imig__schedule_options *options;
    imig__traffic *traffic;
    imig__queues queues;
    uint32_t *hop;           /* [n] the next or running hop of each move */
    uint32_t *last;          /* [n] its last one */
    uint8_t *started;        /* [hop_count] */
    uint32_t *arrival_begin; /* [host_count + 1] of each host's hops in arrivals[] */
    uint32_t *arrivals;      /* [hop_count] in the route's order */
    uint32_t *out, *in;      /* [host_count] running now */
    double *sending;         /* [host_count] bytes/s that these send */
    double *rate;            /* [n] of the running hop of each move */
    uint32_t running, most;
    double now_s;
    imig__scheduled *steps;  /* [hop_count] */
    size_t step_count;
} run;

static size_t
host_queue(uint32_t host, int what)
{
    return QUEUES + (size_t) host * WAITS + (size_t) what;
}

static size_t
rule_queue(const run *r, uint32_t rule)
{
    return QUEUES + r->cluster->host_count * WAITS + rule;
}

/*
 * May it arrive now although hops that the route has before it have not yet set out for its host?
 * Only where each of them would still fit in its turn.
 */
static gboolean
may_overtake(run *r, uint32_t index, gboolean take)
{
    const imig__hop *hop = &r->route->hops[index];
    uint32_t *begin = &r->arrival_begin[hop->to];

    while (r->started[r->arrivals[*begin]])
        ++*begin;
    for (uint32_t i = *begin; r->arrivals[i] != index; i++) {
        imig__hop *earlier = &r->route->hops[r->arrivals[i]];

        if (r->started[r->arrivals[i]])
            continue;
        if (take)
            earlier->slack -= hop->size;
        else if (earlier->slack < hop->size)
            return FALSE;
    }
    return TRUE;
}

static void
wake_rules(run *r, uint32_t vm)
{
    for (uint32_t i = r->room->rule_begin[vm]; i < r->room->rule_begin[vm + 1]; i++)
        imig__queues_pour(&r->queues, rule_queue(r, r->room->rules[i]), READY);
}

/* A link that is free asks the first that waits for it; if that cannot go, the next is asked. */
static void
ask_next(run *r, uint32_t host, int what, const uint32_t *count)
{
    uint32_t move;

    if (count[host] >= r->options->concurrency)
        return;
    move = imig__queues_pop(&r->queues, host_queue(host, what));
    if (move != IMIG_NO_INDEX)
        imig__queues_push(&r->queues, READY, move, 0);
}

static void
start(run *r, uint32_t index)
{
    const imig__hop *hop = &r->route->hops[index];
    imig__scheduled *step = &r->steps[r->step_count++];
    uint32_t vm = hop->vm;

    *step = (imig__scheduled) {
        .vm = vm, .from = hop->from, .to = hop->to, .move = hop->move, .parking = hop->parking,
        .start_s = r->now_s, .cost = IMIG_COST_INIT,
    };
    may_overtake(r, index, TRUE);
    imig__room_enter(r->room, vm, hop->from, hop->to);
    r->started[index] = 1;
    r->out[hop->from]++;
    r->in[hop->to]++;
    r->running++;
    imig__traffic_predict_beside(r->traffic, vm, hop->to, r->out[hop->from], r->in[hop->to],
                                 r->sending[hop->to], &step->cost, &r->rate[hop->move]);
    r->sending[hop->from] += r->rate[hop->move];
    imig__queues_push(&r->queues, RUNNING, hop->move, r->now_s + step->cost.time_s);
    /* Those that it came before in the route need not wait for it any more. */
    imig__queues_pour(&r->queues, host_queue(hop->to, WAITS_MEMORY), READY);
    wake_rules(r, vm);
}

static void
try_hop(run *r, uint32_t move)
{
    const imig__hop *hop = &r->route->hops[r->hop[move]];
    uint32_t rule;
    size_t queue = SIZE_MAX;

    if (r->out[hop->from] >= r->options->concurrency) {
        queue = host_queue(hop->from, WAITS_OUT);
    } else if (r->in[hop->to] >= r->options->concurrency) {
        queue = host_queue(hop->to, WAITS_IN);
    } else if (hop->size > imig__room_left(r->room, hop->to)
               || !may_overtake(r, r->hop[move], FALSE)) {
        queue = host_queue(hop->to, WAITS_MEMORY);
    } else {
        rule = imig__room_conflict(r->room, hop->vm, hop->from, hop->to,
                                   &r->route->turns[hop->turns]);
        if (rule != IMIG_NO_INDEX)
            queue = rule_queue(r, rule);
    }
    if (queue == SIZE_MAX)
        start(r, r->hop[move]);
    else
        imig__queues_push(&r->queues, queue, move, 0);
    ask_next(r, hop->from, WAITS_OUT, r->out);
    ask_next(r, hop->to, WAITS_IN, r->in);
}

static void
end(run *r, uint32_t move)
{
    const imig__hop *hop = &r->route->hops[r->hop[move]];
    uint32_t vm = hop->vm;

    imig__traffic_move(r->traffic, vm, hop->to);
    imig__room_leave(r->room, vm, hop->from, hop->to);
    r->out[hop->from]--;
    r->in[hop->to]--;
    r->sending[hop->from] -= r->rate[hop->move];
    r->running--;
    ask_next(r, hop->from, WAITS_OUT, r->out);
    ask_next(r, hop->to, WAITS_IN, r->in);
    imig__queues_pour(&r->queues, host_queue(hop->from, WAITS_MEMORY), READY);
    wake_rules(r, vm);
    if (r->hop[move] != r->last[move]) {
        r->hop[move] = r->last[move];
        imig__queues_push(&r->queues, READY, move, 0);
    }
}

static void
go_on(run *r)
{
    for (;;) {
        uint32_t move;

        while (r->running < r->most) {
            move = imig__queues_pop(&r->queues, READY);
            if (move == IMIG_NO_INDEX)
                break;
            try_hop(r, move);
        }
        move = r->queues.head[RUNNING];
        if (move == IMIG_NO_INDEX)
            return;
        r->now_s = r->queues.key[move];
        while (move != IMIG_NO_INDEX && r->queues.key[move] == r->now_s) {
            end(r, imig__queues_pop(&r->queues, RUNNING));
            move = r->queues.head[RUNNING];
        }
    }
}

static void
list_hops(run *r)
{
    const imig__route *route = r->route;
    uint32_t *next;

    for (uint32_t i = 0; i < route->hop_count; i++) {
        const imig__hop *hop = &route->hops[i];

        r->arrival_begin[hop->to + 1]++;
        if (r->hop[hop->move] == IMIG_NO_INDEX) {
            r->hop[hop->move] = i;
            imig__queues_push(&r->queues, host_queue(hop->from, WAITS_OUT), hop->move, 0);
        }
        r->last[hop->move] = i;
    }
    for (size_t h = 0; h < r->cluster->host_count; h++)
        r->arrival_begin[h + 1] += r->arrival_begin[h];
    next = g_memdup2(r->arrival_begin, r->cluster->host_count * sizeof *next);
    for (uint32_t i = 0; i < route->hop_count; i++)
        r->arrivals[next[route->hops[i].to]++] = i;
    for (uint32_t h = 0; h < r->cluster->host_count; h++)
        ask_next(r, h, WAITS_OUT, r->out);
    g_free(next);
}

/* Fills steps and step_count; room: as the cluster has it.  What the route did in its sequence is
   possible here; only where bytes are too many for a double to count may a move not be done. */
static void
run_route(run *r, imig__route *route, const imig__traffic *home)
{
    size_t hosts = r->cluster->host_count;

    r->route = route;
    r->room = route->room;
    r->most = r->options->max_parallel ? r->options->max_parallel : UINT32_MAX;
    r->traffic = imig__traffic_copy(home);
    imig__queues_init(&r->queues, QUEUES + hosts * WAITS + r->cluster->rule_count, route->n);
    r->hop = g_new(uint32_t, 2 * route->n + 1);
    r->last = r->hop + route->n;
    for (size_t i = 0; i < route->n; i++)
        r->hop[i] = IMIG_NO_INDEX;
    r->started = g_new0(uint8_t, route->hop_count);
    r->arrival_begin = g_new0(uint32_t, hosts + 1);
    r->arrivals = g_new(uint32_t, route->hop_count);
    r->out = g_new0(uint32_t, 2 * hosts + 1);
    r->in = r->out + hosts;
    r->sending = g_new0(double, hosts);
    r->rate = g_new0(double, route->n);
    r->steps = g_new(imig__scheduled, route->hop_count);
    list_hops(r);
    go_on(r);
    for (size_t i = 0; i < route->hop_count; i++)
        if (!r->started[i])
            route->state[route->hops[i].move] &= (uint8_t) ~IMIG__MOVE_DONE;
    imig__traffic_free(r->traffic);
    imig__queues_clear(&r->queues);
    g_free(r->hop);
    g_free(r->started);
    g_free(r->arrival_begin);
    g_free(r->arrivals);
    g_free(r->out);
    g_free(r->sending);
    g_free(r->rate);
}

/* -- which moves, and in which sequence -- */

struct place {
    uint32_t group, move; /* group: its number, later the first move that has it */
};

static int
compare_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    return (x->move > y->move) - (x->move < y->move);
}

/* The wished sequence, but the moves of a group one after the other. */
static struct place *
gather_groups(const imig__move *moves, size_t n)
{
    struct place *places = g_new(struct place, n);

    for (uint32_t i = 0; i < n; i++)
        places[i] = (struct place) { moves[i].group, i };
    if (n > 0)
        qsort(places, n, sizeof *places, compare_places);
    for (size_t begin = 0, i; begin < n; begin = i) {
        uint32_t group = places[begin].group, first = places[begin].move;

        for (i = begin; i < n && places[i].group == group; i++)
            places[i].group = first;
    }
    if (n > 0)
        qsort(places, n, sizeof *places, compare_places);
    return places;
}

static gboolean
is_done(const imig__route *route)
{
    for (size_t i = 0; i < route->n; i++)
        if (!(route->state[i] & IMIG__MOVE_DONE))
            return FALSE;
    return TRUE;
}

/* Leaves out the moves that are not done, and their groups; returns how many are left. */
static size_t
withdraw(const imig__route *route, struct place *places, imig__move *moves, uint8_t *stuck)
{
    size_t left = 0;

    for (size_t i = 0; i < route->n; i++)
        if (!(route->state[i] & IMIG__MOVE_DONE))
            stuck[places[i].group] = 1;
    for (size_t i = 0; i < route->n; i++)
        if (!stuck[places[i].group]) {
            places[left] = places[i];
            moves[left++] = moves[i];
        }
    return left;
}

static int
compare_steps(const void *a, const void *b)
{
    const imig__scheduled *x = a, *y = b;

    if (x->start_s != y->start_s)
        return x->start_s < y->start_s ? -1 : 1;
    return (x->move > y->move) - (x->move < y->move);
}

static void
add_figures(imig__schedule *schedule, const imig__schedule_options *options, size_t hosts)
{
    double *busy = g_new0(double, 2 * hosts), all = 0;

    schedule->makespan_s = schedule->makespan_bound_s = 0;
    for (size_t i = 0; i < schedule->step_count; i++) {
        const imig__scheduled *step = &schedule->steps[i];
        double time_s = step->cost.time_s;

        all += time_s;
        busy[2 * (size_t) step->from] += time_s;
        busy[2 * (size_t) step->to + 1] += time_s;
        schedule->makespan_s = MAX(schedule->makespan_s, step->start_s + time_s);
        schedule->makespan_bound_s = MAX(schedule->makespan_bound_s, time_s);
    }
    for (size_t i = 0; i < 2 * hosts; i++)
        schedule->makespan_bound_s = MAX(schedule->makespan_bound_s,
                                         busy[i] / options->concurrency);
    if (options->max_parallel)
        schedule->makespan_bound_s = MAX(schedule->makespan_bound_s, all / options->max_parallel);
    g_free(busy);
}

/* Takes out of the moves what cannot be done, schedules the rest, and returns how many that is. */
static size_t
find_schedule(imig__room *room, const imig__traffic *home, struct place *places,
              imig__move *moves, size_t n, const imig__schedule_options *options,
              imig__schedule *schedule)
{
    uint8_t *stuck = g_new0(uint8_t, n); /* of each group's first move */
    gboolean done;

    do {
        run r = { .cluster = room->cluster, .options = options };
        imig__route route;

        imig__route_find(&route, room, moves, n, options->may_park);
        done = is_done(&route);
        if (done) {
            imig__room_reset(room);
            run_route(&r, &route, home);
            done = is_done(&route);
        }
        if (done) {
            schedule->steps = r.steps;
            schedule->step_count = r.step_count;
        } else {
            n = withdraw(&route, places, moves, stuck);
            g_free(r.steps);
        }
        imig__route_clear(&route);
    } while (!done);
    g_free(stuck);
    return n;
}

void
imig__schedule_make(const imig_cluster *cluster, const imig__traffic *home,
                    const imig__move *moves, size_t n, const imig__schedule_options *options,
                    imig__schedule *schedule)
{
    struct place *places = gather_groups(moves, n);
    imig__move *wanted = g_new(imig__move, n);
    uint8_t *stays = g_new(uint8_t, n);
    imig__room room = { 0 };
    size_t left;

    g_assert(cluster->finished && options->concurrency >= 1);
    imig__room_init(&room, cluster);
    for (size_t i = 0; i < n; i++) {
        wanted[i] = moves[places[i].move];
        stays[i] = 1;
    }
    left = find_schedule(&room, home, places, wanted, n, options, schedule);
    for (size_t i = 0; i < schedule->step_count; i++)
        schedule->steps[i].move = places[schedule->steps[i].move].move;
    if (schedule->step_count > 0)
        qsort(schedule->steps, schedule->step_count, sizeof *schedule->steps, compare_steps);
    for (size_t i = 0; i < left; i++)
        stays[places[i].move] = 0;
    schedule->stuck = g_new(uint32_t, n - left);
    schedule->stuck_count = 0;
    for (uint32_t i = 0; i < n; i++)
        if (stays[i])
            schedule->stuck[schedule->stuck_count++] = i;
    add_figures(schedule, options, cluster->host_count);
    imig__room_clear(&room);
    g_free(places);
    g_free(wanted);
    g_free(stays);
}

void
imig__schedule_clear(imig__schedule *schedule)
{
    g_free(schedule->steps);
    g_free(schedule->stuck);
    memset(schedule, 0, sizeof *schedule);
}
