/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/order-pairs-priv.h"
#include "policy/random-priv.h"

#include <string.h>

/*
 * Insertion local search (Schiavinotto and Stuetzle 2004), begun again and again from the order it
 * is at with a few items moved.  What comes out may be a little worse than before, less and less as
 * the rounds go by: that leads out of places from which every small step is uphill.
 */

enum {
    PACK_MOST = 500, /* looking for triangles takes n^3 */
    KICKS = 8,       /* items moved, */
    REACH = 50,      /* and how far; */
    FAR_EVERY = 5,   /* one time in so many fewer of them, anywhere; */
    FAR_KICKS = 4,
    BLOCK_EVERY = 7, /* one time in so many a block in one piece: the best of those tried */
};

/* How much worse an order may be at first, in what one item contributes. */
#define SLACK 3.0

struct search {
    size_t n;
    const int64_t *d;
    uint32_t *item;   /* [n] by position */
    uint32_t *at;     /* [n] position by item */
    int64_t above;    /* what it costs above the sum of least costs */
    uint32_t *queue;  /* [n] ring of items to look at */
    gboolean *queued; /* [n] by item */
    size_t queue_head, queue_count;
    uint64_t seed, drawn;
};

struct kept {
    uint32_t *item; /* [n] */
    int64_t above;
};

static size_t
draw(struct search *s, size_t below)
{
    return (size_t) (imig__random(s->seed, s->drawn++) % below);
}

static void
keep(struct kept *kept, const struct search *s)
{
    memcpy(kept->item, s->item, s->n * sizeof *s->item);
    kept->above = s->above;
}

static void
go_back(struct search *s, const struct kept *kept)
{
    memcpy(s->item, kept->item, s->n * sizeof *s->item);
    for (size_t i = 0; i < s->n; i++)
        s->at[s->item[i]] = (uint32_t) i;
    s->above = kept->above;
}

static void
enqueue(struct search *s, uint32_t x)
{
    size_t tail = s->queue_head + s->queue_count;

    if (s->queued[x])
        return;
    s->queued[x] = TRUE;
    s->queue[tail < s->n ? tail : tail - s->n] = x;
    s->queue_count++;
}

/*
 * Takes the item at a position out and puts it back at another.  Of those it passes, the ones that
 * now stand the wrong way round with it are looked at: they gain the most often, though not only
 * they do, and a restart is worth more than to look at the rest.
 */
static void
insert(struct search *s, size_t from, size_t to)
{
    uint32_t x = s->item[from];
    const int64_t *row = s->d + x * s->n;

    for (; from < to; from++) {
        uint32_t y = s->item[from + 1];

        s->item[from] = y;
        s->at[y] = (uint32_t) from;
        s->above -= row[y];
        if (row[y] < 0)
            enqueue(s, y);
    }
    for (; from > to; from--) {
        uint32_t y = s->item[from - 1];

        s->item[from] = y;
        s->at[y] = (uint32_t) from;
        s->above += row[y];
        if (row[y] > 0)
            enqueue(s, y);
    }
    s->item[to] = x;
    s->at[x] = (uint32_t) to;
}

/*
 * The best position for the item at one; first the least change, because it is mostly 0.  Both
 * ways at once: each sum waits for the one before.
 */
static size_t
find_place(const struct search *s, size_t from)
{
    const uint32_t *item = s->item, *down = item + from, *up = down;
    const int64_t *row = s->d + item[from] * s->n;
    int64_t left_sum = 0, right_sum = 0, left = 0, right = 0;
    size_t below = from, above = s->n - 1 - from, both = MIN(below, above), to = from;

    for (size_t k = 0; k < both; k++) {
        left_sum += row[*--down];
        right_sum -= row[*++up];
        left = MIN(left, left_sum);
        right = MIN(right, right_sum);
    }
    for (size_t k = both; k < below; k++) {
        left_sum += row[*--down];
        left = MIN(left, left_sum);
    }
    for (size_t k = both; k < above; k++) {
        right_sum -= row[*++up];
        right = MIN(right, right_sum);
    }
    left_sum = right_sum = 0;
    if (left < 0 && left <= right)
        while (left_sum != left)
            left_sum += row[item[--to]];
    else if (right < 0)
        while (right_sum != right)
            right_sum -= row[item[++to]];
    return to;
}

static void
descend(struct search *s)
{
    while (s->queue_count > 0) {
        uint32_t x = s->queue[s->queue_head];
        size_t from = s->at[x], to = find_place(s, from);

        s->queue_head = s->queue_head + 1 < s->n ? s->queue_head + 1 : 0;
        s->queue_count--;
        s->queued[x] = FALSE;
        if (to != from)
            insert(s, from, to);
    }
}

/* Becker (1967), with differences because quotients want positive costs. */
static void
order_greedily(const imig__order_part *p, uint32_t *item)
{
    int64_t *sum = g_new0(int64_t, p->n);

    for (size_t i = 0; i < p->n; i++) {
        item[i] = (uint32_t) i;
        for (size_t j = 0; j < p->n; j++)
            sum[i] += p->d[i * p->n + j];
    }
    for (size_t k = 0; k < p->n; k++) {
        size_t least = k;
        uint32_t x;

        for (size_t i = k + 1; i < p->n; i++)
            if (sum[item[i]] < sum[item[least]])
                least = i;
        x = item[least];
        for (; least > k; least--)
            item[least] = item[least - 1];
        item[k] = x;
        for (size_t i = k + 1; i < p->n; i++)
            sum[item[i]] -= p->d[item[i] * p->n + x];
    }
    g_free(sum);
}

/* Of i before j before k before i one pair at least stands the wrong way round. */
static int64_t
pack_triangles(const imig__order_part *p)
{
    size_t n = p->n;
    int64_t *left = g_new(int64_t, n * n), sum = 0;

    for (size_t i = 0; i < n * n; i++)
        left[i] = MAX(p->d[i], 0);
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++)
            for (size_t k = i + 1; k < n && left[i * n + j] > 0; k++) {
                int64_t least = MIN(left[j * n + k], left[k * n + i]);

                least = MIN(least, left[i * n + j]);
                left[i * n + j] -= least;
                left[j * n + k] -= least;
                left[k * n + i] -= least;
                sum += least;
            }
    g_free(left);
    return sum;
}

static void
move_item(struct search *s, size_t from, size_t to)
{
    uint32_t x = s->item[from];

    insert(s, from, to);
    enqueue(s, x);
}

/* Moves neighbours, whose sequence they keep. */
static void
move_block(struct search *s)
{
    size_t length = 2 + draw(s, s->n / 3), from = draw(s, s->n - length + 1);
    size_t to = draw(s, s->n - length + 1);

    for (size_t i = 0; i < length && to < from; i++)
        move_item(s, from + i, to + i);
    for (size_t i = length; i-- > 0 && to > from;)
        move_item(s, from + i, to + i);
}

/* Moves a few items a little, now and then fewer of them a long way, or a block. */
static void
kick(struct search *s)
{
    gboolean far = draw(s, FAR_EVERY) == 0;
    size_t reach = far ? s->n : REACH;

    if (draw(s, BLOCK_EVERY) == 0) {
        move_block(s);
        return;
    }
    for (int i = 0; i < (far ? FAR_KICKS : KICKS); i++) {
        size_t from = draw(s, s->n), first = from - MIN(from, reach);

        move_item(s, from, first + draw(s, MIN(from + reach, s->n - 1) - first + 1));
    }
}

/* The local optimum below an order. */
static void
start_from(struct search *s, const uint32_t *order)
{
    memcpy(s->item, order, s->n * sizeof *order);
    s->above = 0;
    for (size_t i = 0; i < s->n; i++) {
        s->at[order[i]] = (uint32_t) i;
        for (size_t j = i + 1; j < s->n; j++)
            s->above += MAX(s->d[order[i] * s->n + order[j]], 0);
        enqueue(s, order[i]);
    }
    descend(s);
}

/* From s->item on; leaves the best in *best. */
static void
search(struct search *s, const imig__order_part *p, struct kept *here, struct kept *best)
{
    double slack = SLACK * (double) best->above / (double) s->n;

    for (uint64_t k = 0; k < p->effort && best->above > p->bound; k++) {
        double left = 1 - (double) k / (double) p->effort;
        double worse = slack * left * left * (double) draw(s, 1 << 20) / (1 << 20);

        kick(s);
        descend(s);
        if (s->above > here->above + (int64_t) worse)
            go_back(s, here);
        else
            keep(here, s);
        if (here->above < best->above)
            keep(best, s);
    }
}

void
imig__order_by_search(imig__order_part *p)
{
    size_t n = p->n;
    uint32_t *words = g_new(uint32_t, 5 * n);
    struct search s = { .n = n, .d = p->d, .item = words, .at = words + n, .queue = words + 2 * n,
                        .queued = g_new0(gboolean, n), .seed = p->seed };
    struct kept here = { .item = words + 3 * n }, best = { .item = words + 4 * n };

    p->bound = n <= PACK_MOST ? pack_triangles(p) : 0;
    start_from(&s, p->order);
    keep(&here, &s);
    order_greedily(p, p->order);
    start_from(&s, p->order);
    if (s.above < here.above)
        keep(&here, &s);
    else
        go_back(&s, &here);
    keep(&best, &s);
    search(&s, p, &here, &best);
    /* No item alone can gain any more. */
    for (start_from(&s, best.item); s.above < best.above; start_from(&s, best.item))
        keep(&best, &s);
    memcpy(p->order, best.item, n * sizeof *best.item);
    p->proven = best.above == p->bound;
    g_free(s.queued);
    g_free(words);
}
