/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "execute/window-priv.h"

#include <imig/common.h>
#include <math.h>
#include <stdlib.h>

enum { WAITING, BEGUN, ENDED };

/* Rows of steps, one for each host or group: row r is list[first[r]] .. list[first[r + 1] - 1]. */
struct rows {
    uint32_t *first, *list, *cursor; /* cursor: up to where they are passed over */
    uint32_t count;
};

struct imig__window {
    imig__window_step *steps;
    size_t n;
    struct rows out, in, group; /* in the plan's order */
    struct rows leaving;        /* by planned end: out of each host */
    uint32_t *stayed;           /* [hosts] position of the first in `leaving` that did not move */
    uint32_t *need;             /* [n] how many of `leaving` of the destination must have ended */
    uint32_t *later;            /* [n] the next step of the same VM */
    uint32_t *earlier;          /* [n] the step before of the same VM */
    uint32_t *because;          /* [n] for steps in `lost` */
    uint8_t *state, *moved, *queued;
    uint32_t *out_running, *in_running; /* [hosts] */
    GTree *ready;               /* steps that may begin as soon as max_parallel allows */
    GArray *lost;               /* uint32_t */
    uint32_t concurrency, max_parallel, running, waiting_cursor;
};

static void
rows_make(struct rows *rows, uint32_t count, const imig__window_step *steps, size_t n,
          size_t key_offset)
{
    rows->count = count;
    rows->first = g_new0(uint32_t, count + 1);
    rows->list = g_new(uint32_t, n + 1);
    rows->cursor = g_new(uint32_t, count + 1);
    for (size_t i = 0; i < n; i++)
        rows->first[G_STRUCT_MEMBER(uint32_t, &steps[i], key_offset) + 1]++;
    for (uint32_t r = 0; r < count; r++)
        rows->first[r + 1] += rows->first[r];
    memcpy(rows->cursor, rows->first, (count + 1) * sizeof *rows->cursor);
    for (uint32_t i = 0; i < n; i++)
        rows->list[rows->cursor[G_STRUCT_MEMBER(uint32_t, &steps[i], key_offset)]++] = i;
    memcpy(rows->cursor, rows->first, (count + 1) * sizeof *rows->cursor);
}

static void
rows_clear(struct rows *rows)
{
    g_free(rows->first);
    g_free(rows->list);
    g_free(rows->cursor);
}

/* The first of a row that still waits. */
static uint32_t
rows_head(const imig__window *w, struct rows *rows, uint32_t row)
{
    uint32_t *cursor = &rows->cursor[row];

    while (*cursor < rows->first[row + 1] && w->state[rows->list[*cursor]] != WAITING)
        ++*cursor;
    return *cursor < rows->first[row + 1] ? rows->list[*cursor] : IMIG_NO_INDEX;
}

static int
by_planned_end(const void *a, const void *b, void *steps_data)
{
    const imig__window_step *steps = steps_data;
    uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;

    if (steps[x].end_s != steps[y].end_s)
        return steps[x].end_s < steps[y].end_s ? -1 : 1;
    return (x > y) - (x < y);
}

/*
 * How many of those that leave the destination are planned to have left before the step begins?
 * Only earlier steps count, so that no two can wait for each other whatever the times say.
 */
static uint32_t
count_needed(const imig__window *w, const uint32_t *highest, uint32_t step)
{
    const imig__window_step *s = &w->steps[step];
    uint32_t low = w->leaving.first[s->to], high = w->leaving.first[s->to + 1];
    double until_s = s->start_s + 1e-9 * (1 + fabs(s->start_s)); /* times are sums, and rounded */

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (w->steps[w->leaving.list[middle]].end_s <= until_s && highest[middle] < step)
            low = middle + 1;
        else
            high = middle;
    }
    return low - w->leaving.first[s->to];
}

static void
find_needs(imig__window *w)
{
    uint32_t *highest = g_new(uint32_t, w->n + 1);

    for (uint32_t h = 0; h < w->leaving.count; h++) {
        uint32_t first = w->leaving.first[h], end = w->leaving.first[h + 1];

        g_qsort_with_data(&w->leaving.list[first], (int) (end - first), sizeof(uint32_t),
                          by_planned_end, w->steps);
        for (uint32_t p = first; p < end; p++)
            highest[p] = p > first ? MAX(highest[p - 1], w->leaving.list[p]) : w->leaving.list[p];
        w->stayed[h] = IMIG_NO_INDEX;
    }
    for (uint32_t s = 0; s < w->n; s++)
        w->need[s] = count_needed(w, highest, s);
    g_free(highest);
}

static void
link_steps_of_vms(imig__window *w, uint32_t vms)
{
    uint32_t *last = g_new(uint32_t, vms + 1);

    memset(last, 0xff, (vms + 1) * sizeof *last);
    for (uint32_t s = 0; s < w->n; s++) {
        uint32_t before = last[w->steps[s].vm];

        w->later[s] = IMIG_NO_INDEX;
        w->earlier[s] = before;
        if (before != IMIG_NO_INDEX)
            w->later[before] = s;
        last[w->steps[s].vm] = s;
    }
    g_free(last);
}

static int
compare_steps(const void *a, const void *b, void *data)
{
    guint x = GPOINTER_TO_UINT(a), y = GPOINTER_TO_UINT(b);

    (void) data;
    return (x > y) - (x < y);
}

/* How many left a host, in the order of their planned ends, before the first that has not ended. */
static uint32_t
count_left(imig__window *w, uint32_t host)
{
    uint32_t *cursor = &w->leaving.cursor[host], first = w->leaving.first[host];

    while (*cursor < w->leaving.first[host + 1]
           && w->state[w->leaving.list[*cursor]] == ENDED) {
        if (!w->moved[w->leaving.list[*cursor]] && w->stayed[host] == IMIG_NO_INDEX)
            w->stayed[host] = *cursor;
        ++*cursor;
    }
    return *cursor - first;
}

/* Puts a step among those that may begin, once nothing but max_parallel holds it back. */
static void
consider(imig__window *w, uint32_t step)
{
    const imig__window_step *s;

    if (step == IMIG_NO_INDEX || w->queued[step] || w->state[step] != WAITING)
        return;
    s = &w->steps[step];
    if (rows_head(w, &w->out, s->from) != step || rows_head(w, &w->in, s->to) != step
        || w->out_running[s->from] >= w->concurrency || w->in_running[s->to] >= w->concurrency
        || count_left(w, s->to) < w->need[step]
        || (w->earlier[step] != IMIG_NO_INDEX && w->state[w->earlier[step]] != ENDED))
        return;
    w->queued[step] = TRUE;
    g_tree_insert(w->ready, GUINT_TO_POINTER(step), NULL);
}

/* Something changed on this host: only the first that wait there can be concerned. */
static void
consider_host(imig__window *w, uint32_t host)
{
    consider(w, rows_head(w, &w->out, host));
    consider(w, rows_head(w, &w->in, host));
}

static void
consider_step(imig__window *w, uint32_t step)
{
    consider_host(w, w->steps[step].from);
    consider_host(w, w->steps[step].to);
    consider(w, w->later[step]);
}

imig__window *
imig__window_new(const imig__window_step *steps, size_t n, uint32_t concurrency,
                 uint32_t max_parallel)
{
    imig__window *w = g_new0(imig__window, 1);
    uint32_t vms = 0, hosts = 0, groups = 0;

    g_assert(n < IMIG_NO_INDEX && concurrency > 0);
    for (size_t i = 0; i < n; i++) {
        vms = MAX(vms, steps[i].vm + 1);
        hosts = MAX(hosts, MAX(steps[i].from, steps[i].to) + 1);
        groups = MAX(groups, steps[i].group + 1);
    }
    w->n = n;
    w->steps = g_memdup2(steps, n * sizeof *steps);
    w->concurrency = concurrency;
    w->max_parallel = max_parallel ? max_parallel : IMIG_NO_INDEX;
    rows_make(&w->out, hosts, steps, n, G_STRUCT_OFFSET(imig__window_step, from));
    rows_make(&w->in, hosts, steps, n, G_STRUCT_OFFSET(imig__window_step, to));
    rows_make(&w->group, groups, steps, n, G_STRUCT_OFFSET(imig__window_step, group));
    rows_make(&w->leaving, hosts, steps, n, G_STRUCT_OFFSET(imig__window_step, from));
    w->stayed = g_new(uint32_t, hosts + 1);
    w->need = g_new(uint32_t, n + 1);
    w->later = g_new(uint32_t, n + 1);
    w->earlier = g_new(uint32_t, n + 1);
    w->because = g_new(uint32_t, n + 1);
    w->state = g_new0(uint8_t, n + 1);
    w->moved = g_new0(uint8_t, n + 1);
    w->queued = g_new0(uint8_t, n + 1);
    w->out_running = g_new0(uint32_t, hosts + 1);
    w->in_running = g_new0(uint32_t, hosts + 1);
    w->ready = g_tree_new_full(compare_steps, NULL, NULL, NULL);
    w->lost = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    find_needs(w);
    link_steps_of_vms(w, vms);
    for (uint32_t h = 0; h < hosts; h++)
        consider_host(w, h);
    return w;
}

void
imig__window_free(imig__window *w)
{
    if (!w)
        return;
    rows_clear(&w->out);
    rows_clear(&w->in);
    rows_clear(&w->group);
    rows_clear(&w->leaving);
    g_free(w->steps);
    g_free(w->stayed);
    g_free(w->need);
    g_free(w->later);
    g_free(w->earlier);
    g_free(w->because);
    g_free(w->state);
    g_free(w->moved);
    g_free(w->queued);
    g_free(w->out_running);
    g_free(w->in_running);
    g_tree_destroy(w->ready);
    g_array_free(w->lost, TRUE);
    g_free(w);
}

uint32_t
imig__window_next(imig__window *w)
{
    GTreeNode *node = g_tree_node_first(w->ready);
    uint32_t step;

    if (!node || w->running >= w->max_parallel)
        return IMIG_NO_INDEX;
    step = GPOINTER_TO_UINT(g_tree_node_key(node));
    g_tree_remove(w->ready, GUINT_TO_POINTER(step));
    w->state[step] = BEGUN;
    w->out_running[w->steps[step].from]++;
    w->in_running[w->steps[step].to]++;
    w->running++;
    consider_step(w, step);
    return step;
}

static void
lose(imig__window *w, uint32_t step, uint32_t because)
{
    if (w->state[step] != WAITING)
        return;
    w->state[step] = ENDED;
    w->because[step] = because;
    if (w->queued[step])
        g_tree_remove(w->ready, GUINT_TO_POINTER(step));
    g_array_append_val(w->lost, step);
}

/* What waits for a VM that did not move, or only makes sense with it, will not begin. */
static void
lose_what_follows(imig__window *w, uint32_t step)
{
    uint32_t group = w->steps[step].group, waiting;

    if (w->later[step] != IMIG_NO_INDEX)
        lose(w, w->later[step], step);
    while ((waiting = rows_head(w, &w->group, group)) != IMIG_NO_INDEX)
        lose(w, waiting, step);
}

void
imig__window_end(imig__window *w, uint32_t step, gboolean moved)
{
    g_assert(w->state[step] == BEGUN);
    w->state[step] = ENDED;
    w->moved[step] = moved != FALSE;
    w->out_running[w->steps[step].from]--;
    w->in_running[w->steps[step].to]--;
    w->running--;
    if (!moved)
        lose_what_follows(w, step);
    consider_step(w, step);
}

uint32_t
imig__window_take_lost(imig__window *w, uint32_t *because)
{
    uint32_t step;

    if (w->lost->len == 0)
        return IMIG_NO_INDEX;
    step = g_array_index(w->lost, uint32_t, w->lost->len - 1);
    g_array_set_size(w->lost, w->lost->len - 1);
    *because = w->because[step];
    lose_what_follows(w, step);
    consider_step(w, step);
    return step;
}

uint32_t
imig__window_take_waiting(imig__window *w)
{
    uint32_t step;

    while (w->waiting_cursor < w->n && w->state[w->waiting_cursor] != WAITING)
        w->waiting_cursor++;
    if (w->waiting_cursor == w->n)
        return IMIG_NO_INDEX;
    step = w->waiting_cursor++;
    w->state[step] = ENDED;
    if (w->queued[step])
        g_tree_remove(w->ready, GUINT_TO_POINTER(step));
    return step;
}

uint32_t
imig__window_doubt(const imig__window *w, uint32_t step)
{
    uint32_t host = w->steps[step].to, position = w->stayed[host];

    if (position == IMIG_NO_INDEX || position - w->leaving.first[host] >= w->need[step])
        return IMIG_NO_INDEX;
    return w->leaving.list[position];
}
