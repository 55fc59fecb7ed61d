/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "observe/monitor-priv.h"

#include <math.h>
#include <stdlib.h>

/* Readings of one VM: enough to tell the curves apart, few enough to cost the host nothing; and
   room for what waits to be read besides. */
enum { READINGS = 5, POINTS = 16 };

/* A VM whose dirty pages are to be logged. */
typedef struct turn {
    uint32_t vm;    /* index in the snapshot */
    uint32_t host;
    uint32_t slot;
    uint32_t tries; /* so far: the least tried come first */
    uint32_t round; /* its place among those of its host */
    gboolean running;
    size_t count;   /* points so far */
    double elapsed_s[POINTS], dirtied_bytes[POINTS], grain_bytes[POINTS];
} turn;

typedef struct logging {
    imig_monitor *monitor;
    imig_cluster *cluster; /* as it was when the turns were made; samples go on meanwhile */
    turn *turns;           /* sorted by round */
    size_t count;
    double for_s;          /* each */
    double most_s;         /* each, where pages are sampled */
    double end_s;          /* of all */
} logging;

static int
compare_in_host(const void *a, const void *b)
{
    const turn *x = a, *y = b;

    if (x->host != y->host)
        return x->host < y->host ? -1 : 1;
    if (x->tries != y->tries)
        return x->tries < y->tries ? -1 : 1;
    return (x->vm > y->vm) - (x->vm < y->vm);
}

static int
compare_rounds(const void *a, const void *b)
{
    const turn *x = a, *y = b;

    if (x->round != y->round)
        return x->round < y->round ? -1 : 1;
    return (x->host > y->host) - (x->host < y->host);
}

/* One VM of each host makes a round. */
static void
make_turns(logging *l)
{
    const imig_monitor *monitor = l->monitor;

    l->cluster = imig_cluster_ref(monitor->latest->cluster);
    l->count = l->cluster->vm_count;
    l->turns = g_new0(turn, l->count);
    for (uint32_t i = 0; i < l->count; i++) {
        uint32_t slot = monitor->latest_slot[i];

        l->turns[i] = (turn) {
            .vm = i, .host = l->cluster->vms[i].host, .slot = slot,
            .tries = monitor->watched[slot].dirty_tries,
        };
    }
    if (l->count == 0)
        return;
    qsort(l->turns, l->count, sizeof *l->turns, compare_in_host);
    for (size_t i = 1; i < l->count; i++)
        if (l->turns[i].host == l->turns[i - 1].host)
            l->turns[i].round = l->turns[i - 1].round + 1;
    qsort(l->turns, l->count, sizeof *l->turns, compare_rounds);
}

/* A VM that cannot be logged is no reason to see nothing of the others. */
static void
pass_over(const logging *l, const turn *t, imig_error *error)
{
    gboolean expected = imig_error_code(error) == IMIG_ERR_UNSUPPORTED;

    imig__context_log(l->monitor->connection->context, expected ? IMIG_LOG_DEBUG : IMIG_LOG_WARNING,
                      "dirty pages of VM %s: %s", l->cluster->vms[t->vm].id,
                      imig_error_message(error));
    imig_error_free(error);
}

static gboolean
start(const logging *l, turn *t)
{
    imig_error *error = NULL;

    l->monitor->watched[t->slot].dirty_tries++;
    t->running = imig__connection_dirty_start(l->monitor->connection, l->cluster->hosts[t->host].id,
                                              l->cluster->vms[t->vm].id, &error) == IMIG_OK;
    if (!t->running)
        pass_over(l, t, error);
    return t->running;
}

static void
stop(const logging *l, turn *t)
{
    imig_error *error = NULL;

    t->running = FALSE;
    if (imig__connection_dirty_stop(l->monitor->connection, l->cluster->hosts[t->host].id,
                                    l->cluster->vms[t->vm].id, &error) != IMIG_OK)
        pass_over(l, t, error);
}

static void
read_points(const logging *l, turn *t)
{
    imig__dirty_points points = {
        t->elapsed_s, t->dirtied_bytes, t->grain_bytes, t->count, POINTS,
    };
    imig_error *error = NULL;

    if (imig__dirty_collect(l->monitor->connection, l->cluster->hosts[t->host].id,
                            l->cluster->vms[t->vm].id, &points, &error) != IMIG_OK) {
        pass_over(l, t, error);
        stop(l, t);
    }
    t->count = points.count;
}

static void
fit(const logging *l, const turn *t)
{
    imig__watched *w = &l->monitor->watched[t->slot];
    imig_error *error = NULL;
    double rate, set;
    int32_t writes;

    if (g_strcmp0(w->id, l->cluster->vms[t->vm].id) != 0)
        return; /* it is gone, and its slot has another VM */
    if (imig_dirty_fit_sampled(t->elapsed_s, t->dirtied_bytes, t->grain_bytes, t->count, &rate,
                               &set, &writes, NULL, &error) != IMIG_OK) {
        pass_over(l, t, error);
        return;
    }
    w->dirty_bytes_per_s = rate;
    w->working_set_bytes = set;
}

/* Is there one who waits for his first point? */
static gboolean
any_without(const turn *turns, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (turns[i].running && turns[i].count == 0)
            return TRUE;
    return FALSE;
}

/* Is there one of whom every further look tells more? */
static gboolean
any_sampled(const turn *turns, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (turns[i].running && turns[i].count > 0 && turns[i].grain_bytes[0] > 0)
            return TRUE;
    return FALSE;
}

static int
read_round(const logging *l, turn *turns, size_t n, double at_s, imig_error **error)
{
    int code = imig__monitor_wait(l->monitor, at_s, error);

    for (size_t i = 0; i < n && code == IMIG_OK; i++)
        if (turns[i].running)
            read_points(l, &turns[i]);
    return code;
}

static void
end_turn(const logging *l, turn *t, double lasted_s)
{
    imig_error *error = NULL;

    stop(l, t);
    if (t->count < 2)
        l->monitor->dirty_is_slow = TRUE;
    if (t->count > 0) {
        fit(l, t);
        return;
    }
    imig__fail(&error, IMIG_ERR_TIMEOUT, "no reading within %.3g s", lasted_s);
    pass_over(l, t, error);
}

/* turns: [n] of one round, which takes no time where none of them can be logged. */
static int
run_round(const logging *l, turn *turns, size_t n, imig_error **error)
{
    double start_s = imig_connection_clock(l->monitor->connection), at_s = start_s + l->for_s;
    double patience_s = fmin(at_s + IMIG__DIRTY_PATIENCE_S, l->end_s);
    gboolean any = FALSE;
    int code = IMIG_OK;

    for (size_t i = 0; i < n; i++)
        any |= start(l, &turns[i]);
    if (!any)
        return IMIG_OK;
    for (size_t k = 0; k < READINGS && code == IMIG_OK; k++)
        code = read_round(l, turns, n, start_s + imig__dirty_reading_s(l->for_s, READINGS, k),
                          error);
    if (code == IMIG_OK && l->most_s > l->for_s && any_sampled(turns, n)) {
        at_s = fmin(start_s + l->most_s, l->end_s);
        code = read_round(l, turns, n, at_s, error);
    }
    while (code == IMIG_OK && at_s < patience_s && any_without(turns, n)) {
        at_s = fmin(at_s + IMIG__DIRTY_AGAIN_S, patience_s);
        code = read_round(l, turns, n, at_s, error);
    }
    for (size_t i = 0; i < n; i++) {
        if (!turns[i].running)
            continue;
        if (code == IMIG_OK)
            end_turn(l, &turns[i], at_s - start_s);
        else
            stop(l, &turns[i]);
    }
    return code;
}

/* As the options say, or so that every VM has its turn; some time is lost between turns. */
static void
share_time(logging *l)
{
    const imig_monitor *monitor = l->monitor;
    double left_s = l->end_s - imig_connection_clock(monitor->connection), share_s;

    l->for_s = l->most_s = monitor->options.dirty_for_s;
    if (monitor->options.set & IMIG_MONITOR_HAS_DIRTY_FOR || l->count == 0)
        return;
    share_s = fmax(0.9 * left_s / (l->turns[l->count - 1].round + 1), IMIG__DIRTY_LEAST_S);
    l->for_s = fmin(share_s, IMIG__DIRTY_MOST_S);
    l->most_s = fmin(share_s, IMIG__DIRTY_SAMPLED_MOST_S);
}

/* Fewer VMs with a reading are better than many without.  Where there is no time for even the first
   one, a shorter look may still show something. */
static double
slow_share(const logging *l, gboolean first)
{
    const imig_monitor *monitor = l->monitor;
    double left_s = l->end_s - imig_connection_clock(monitor->connection);

    if (!monitor->dirty_is_slow || monitor->options.set & IMIG_MONITOR_HAS_DIRTY_FOR)
        return l->for_s;
    return fmax(l->for_s, first ? fmin(IMIG__DIRTY_SLOW_S, left_s) : IMIG__DIRTY_SLOW_S);
}

int
imig__monitor_log_dirty(imig_monitor *monitor, double end_s, imig_error **error)
{
    logging l = { .monitor = monitor, .end_s = end_s };
    int code = IMIG_OK;

    make_turns(&l);
    share_time(&l);
    for (size_t i = 0, n; i < l.count && code == IMIG_OK; i += n) {
        for (n = 1; i + n < l.count && l.turns[i + n].round == l.turns[i].round; n++)
            ;
        l.for_s = slow_share(&l, i == 0);
        if (imig_connection_clock(monitor->connection) + l.for_s > end_s)
            break;
        code = run_round(&l, &l.turns[i], n, error);
    }
    imig_cluster_unref(l.cluster);
    g_free(l.turns);
    return code;
}
