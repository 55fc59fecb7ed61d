/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/base-priv.h"
#include "policy/random-priv.h"

#include <imig/order.h>
#include <math.h>

/*
 * The linear ordering problem.  Only the difference cost(i, j) - cost(j, i) of a pair decides, so
 * the strongly connected components of "i rather before j" can be ordered one by one.  Inside a
 * component the differences are integers, in a unit so small that it is below the precision of the
 * costs' sum: no sum is rounded, and a tie is a tie in whatever sequence it is added up.
 */

enum {
    EXACT_MOST = 20,  /* 2^20 sums are 8 MB */
    PACK_MOST = 256,  /* triangles grow with n^3 */
};

/* One component. */
struct part {
    size_t n;
    const int64_t *d;  /* [n * n] what it costs more to have the row before the column */
    uint32_t *order;   /* [n] in: ascending; out: the best */
    gboolean proven;
    int64_t bound;     /* no order is further above the sum of least costs */
    uint64_t effort, seed;
};

/* ---- Components: Tarjan 1972, without recursion ------------------------------------------- */

struct tarjan {
    uint32_t *number, *low, *next; /* [n] 1 + when it was found; next one to look at */
    uint32_t *open, *path;         /* stacks: not yet in a component; being visited */
    size_t open_count, path_count;
    gboolean *is_open;
};

static void
visit(struct tarjan *t, uint32_t v, uint32_t *found)
{
    t->number[v] = t->low[v] = ++*found;
    t->open[t->open_count++] = v;
    t->is_open[v] = TRUE;
    t->path[t->path_count++] = v;
}

static int
compare_positions(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;

    return (x > y) - (x < y);
}

/* Moves the component that ends with v from the stack to just before order[end]. */
static size_t
close_component(struct tarjan *t, uint32_t v, uint32_t *order, size_t end)
{
    size_t start = end;
    uint32_t w;

    do {
        w = t->open[--t->open_count];
        t->is_open[w] = FALSE;
        order[--start] = w;
    } while (w != v);
    qsort(order + start, end - start, sizeof *order, compare_positions);
    return start;
}

/* Puts the components into order, and the length of each where it begins; the sinks come last. */
static void
find_components(const double *cost, size_t n, uint32_t *order, size_t *length)
{
    uint32_t *words = g_new0(uint32_t, 5 * n), found = 0;
    struct tarjan t = { .number = words, .low = words + n, .next = words + 2 * n,
                        .open = words + 3 * n, .path = words + 4 * n,
                        .is_open = g_new0(gboolean, n) };
    size_t end = n;

    for (uint32_t root = 0; root < n; root++) {
        if (t.number[root] == 0)
            visit(&t, root, &found);
        while (t.path_count > 0) {
            uint32_t v = t.path[t.path_count - 1];

            if (t.next[v] < n) {
                uint32_t w = t.next[v]++;

                if (w == v || !(cost[v * n + w] < cost[w * n + v]))
                    continue;
                if (t.number[w] == 0)
                    visit(&t, w, &found);
                else if (t.is_open[w])
                    t.low[v] = MIN(t.low[v], t.number[w]);
                continue;
            }
            t.path_count--;
            if (t.path_count > 0) {
                uint32_t parent = t.path[t.path_count - 1];

                t.low[parent] = MIN(t.low[parent], t.low[v]);
            }
            if (t.low[v] == t.number[v]) {
                size_t start = close_component(&t, v, order, end);

                length[start] = end - start;
                end = start;
            }
        }
    }
    g_free(t.is_open);
    g_free(words);
}

/* ---- Exact: dynamic programming over subsets, Held and Karp 1962 -------------------------- */

/* sum[set * n + i]: what it costs more to have i before each of the set, items from `first`. */
static void
sum_over_sets(const struct part *p, size_t first, size_t count, int64_t *sum)
{
    for (size_t i = 0; i < p->n; i++)
        sum[i] = 0;
    for (size_t set = 1; set < (size_t) 1 << count; set++) {
        size_t item = first + (size_t) __builtin_ctzl(set);
        const int64_t *rest = sum + (set & (set - 1)) * p->n;

        for (size_t i = 0; i < p->n; i++)
            sum[set * p->n + i] = rest[i] + p->d[i * p->n + item];
    }
}

static void
order_exactly(struct part *p)
{
    size_t n = p->n, low_bits = n / 2, low_mask = ((size_t) 1 << low_bits) - 1;
    size_t all = ((size_t) 1 << n) - 1;
    int64_t *low = g_new(int64_t, n << low_bits), *high = g_new(int64_t, n << (n - low_bits));
    int64_t *best = g_new(int64_t, all + 1); /* of ordering a set */
    size_t k = 0;

    sum_over_sets(p, 0, low_bits, low);
    sum_over_sets(p, low_bits, n - low_bits, high);
    best[0] = 0;
    for (size_t set = 1; set <= all; set++) {
        const int64_t *a = low + (set & low_mask) * n, *b = high + (set >> low_bits) * n;
        int64_t least = INT64_MAX;

        for (size_t rest = set; rest; rest &= rest - 1) {
            size_t i = (size_t) __builtin_ctzl(rest);
            int64_t sum = a[i] + b[i] + best[set ^ ((size_t) 1 << i)];

            least = MIN(least, sum);
        }
        best[set] = least;
    }
    for (size_t set = all; set; k++) {
        const int64_t *a = low + (set & low_mask) * n, *b = high + (set >> low_bits) * n;
        size_t i = 0;

        while (!(set >> i & 1) || a[i] + b[i] + best[set ^ ((size_t) 1 << i)] != best[set])
            i++;
        p->order[k] = (uint32_t) i;
        set ^= (size_t) 1 << i;
    }
    p->proven = TRUE;
    g_free(best);
    g_free(high);
    g_free(low);
}

/* ---- Search: insertion moves ---------------------------------------------------------------- */

struct search {
    size_t n;
    const int64_t *d;
    uint32_t *item;      /* [n] by position */
    uint32_t *best;      /* [n] the best so far */
    int64_t above, best_above; /* the sum of least costs */
    uint32_t *queue;     /* [n] ring of positions' items whose move is to be looked at */
    gboolean *queued;    /* [n] */
    uint32_t *at;        /* [n] position by item */
    size_t queue_head, queue_count;
    uint64_t seed, drawn;
};

static size_t
draw(struct search *s, size_t below)
{
    return (size_t) (imig__random(s->seed, s->drawn++) % below);
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

/* Takes the item at a position out and puts it back at another; those it passes are looked at. */
static void
insert(struct search *s, size_t from, size_t to)
{
    uint32_t x = s->item[from];

    for (; from < to; from++) {
        s->item[from] = s->item[from + 1];
        s->at[s->item[from]] = (uint32_t) from;
        enqueue(s, s->item[from]);
    }
    for (; from > to; from--) {
        s->item[from] = s->item[from - 1];
        s->at[s->item[from]] = (uint32_t) from;
        enqueue(s, s->item[from]);
    }
    s->item[to] = x;
    s->at[x] = (uint32_t) to;
}

/* What it changes to move an item; *to is its best position. */
static int64_t
find_move(const struct search *s, size_t from, size_t *to)
{
    const int64_t *row = s->d + s->item[from] * s->n;
    int64_t change = 0, least = 0;

    *to = from;
    for (size_t k = from; k-- > 0;) {
        change += row[s->item[k]];
        if (change < least) {
            least = change;
            *to = k;
        }
    }
    change = 0;
    for (size_t k = from + 1; k < s->n; k++) {
        change -= row[s->item[k]];
        if (change < least) {
            least = change;
            *to = k;
        }
    }
    return least;
}

static void
descend(struct search *s)
{
    while (s->queue_count > 0) {
        uint32_t x = s->queue[s->queue_head];
        size_t from = s->at[x], to;
        int64_t change;

        s->queue_head = s->queue_head + 1 < s->n ? s->queue_head + 1 : 0;
        s->queue_count--;
        s->queued[x] = FALSE;
        change = find_move(s, from, &to);
        if (change < 0) {
            insert(s, from, to);
            s->above += change;
        }
    }
}

static int64_t
measure(const struct part *p, const uint32_t *item)
{
    int64_t above = 0;

    for (size_t i = 0; i < p->n; i++)
        for (size_t j = i + 1; j < p->n; j++)
            above += MAX(p->d[item[i] * p->n + item[j]], 0);
    return above;
}

/* Becker 1967, with differences because quotients want positive costs. */
static void
order_greedily(const struct part *p, uint32_t *item)
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

static void
start_from(struct search *s, const struct part *p, const uint32_t *item)
{
    memcpy(s->item, item, s->n * sizeof *item);
    for (size_t i = 0; i < s->n; i++)
        s->at[s->item[i]] = (uint32_t) i;
    s->above = measure(p, item);
    for (size_t i = 0; i < s->n; i++)
        enqueue(s, s->item[i]);
    descend(s);
}

enum { REACH = 10, KICKS = 2 };

/* Moves a few items a little, anywhere. */
static void
kick(struct search *s)
{
    for (int k = 0; k < KICKS; k++) {
        size_t from = draw(s, s->n), to;
        int64_t change = 0;
        uint32_t x = s->item[from];
        size_t lo = from > REACH ? from - REACH : 0, hi = MIN(from + REACH, s->n - 1);

        to = lo + draw(s, hi - lo + 1);
        for (size_t i = from + 1; i <= to; i++)
            change -= s->d[x * s->n + s->item[i]];
        for (size_t i = to; i < from; i++)
            change += s->d[x * s->n + s->item[i]];
        insert(s, from, to);
        s->above += change;
        enqueue(s, x);
    }
}

static void
keep(struct search *s)
{
    memcpy(s->best, s->item, s->n * sizeof *s->best);
    s->best_above = s->above;
}

static void
go_back(struct search *s)
{
    memcpy(s->item, s->best, s->n * sizeof *s->best);
    for (size_t i = 0; i < s->n; i++)
        s->at[s->item[i]] = (uint32_t) i;
    s->above = s->best_above;
}

static void
order_by_search(struct part *p)
{
    size_t n = p->n;
    uint32_t *words = g_new(uint32_t, 4 * n);
    struct search s = { .n = n, .d = p->d, .item = words, .best = words + n, .queue = words + 2 * n,
                        .at = words + 3 * n, .queued = g_new0(gboolean, n), .seed = p->seed };

    start_from(&s, p, p->order);
    keep(&s);
    order_greedily(p, p->order);
    start_from(&s, p, p->order);
    if (s.above < s.best_above)
        keep(&s);
    else
        go_back(&s);
    for (uint64_t k = 0; k < p->effort && s.best_above > p->bound; k++) {
        kick(&s);
        descend(&s);
        if (s.above <= s.best_above)
            keep(&s);
        else
            go_back(&s);
    }
    memcpy(p->order, s.best, n * sizeof *s.best);
    p->proven = s.best_above == p->bound;
    g_free(s.queued);
    g_free(words);
}

/* Of i before j before k before i one pair at least stands the wrong way round. */
static int64_t
pack_triangles(const struct part *p)
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

/* ---- The parts together --------------------------------------------------------------------- */

/* Half, because the whole may overflow. */
static double
half_difference(const double *cost, size_t n, size_t i, size_t j)
{
    return cost[i * n + j] / 2 - cost[j * n + i] / 2;
}

/* Differences of a component as integers; returns the exponent of their unit. */
static int
round_differences(const double *cost, size_t n, const uint32_t *item, size_t count, int64_t *d)
{
    double most = 0;
    int exponent, bits = 0;

    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            most = MAX(most, fabs(half_difference(cost, n, item[i], item[j])));
    while ((size_t) 1 << bits < count)
        bits++;
    frexp(most, &exponent);
    exponent -= 62 - 2 * bits;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++)
            d[i * count + j] = i == j ? 0 : llrint(ldexp(
                half_difference(cost, n, item[i], item[j]), -exponent));
    return exponent + 1;
}

static uint64_t
default_effort(size_t n)
{
    return MAX(1000000 / n, 100);
}

/* Orders one component in place; returns what is proven to be paid above the least costs. */
static double
order_component(const double *cost, size_t n, uint32_t *order, size_t count,
                const imig_order_pairs_options *opt, gboolean *proven)
{
    int64_t *d = g_new(int64_t, count * count);
    uint32_t *local = g_new(uint32_t, count);
    struct part p = { .n = count, .d = d, .order = local, .seed = opt->seed };
    int exponent = round_differences(cost, n, order, count, d);

    for (size_t i = 0; i < count; i++)
        local[i] = (uint32_t) i;
    if (count <= EXACT_MOST) {
        order_exactly(&p);
    } else {
        p.bound = count <= PACK_MOST ? pack_triangles(&p) : 0;
        p.effort = opt->set & IMIG_ORDER_PAIRS_HAS_EFFORT ? opt->effort : default_effort(count);
        order_by_search(&p);
    }
    *proven = *proven && p.proven;
    for (size_t i = 0; i < count; i++)
        local[i] = order[local[i]];
    memcpy(order, local, count * sizeof *order);
    g_free(local);
    g_free(d);
    return ldexp((double) p.bound, exponent);
}

/* Of the orders that agree on every pair that matters: smaller positions first. */
static void
settle_ties(const double *cost, size_t n, uint32_t *order)
{
    uint32_t *before = g_new0(uint32_t, n), *from = g_new(uint32_t, n);
    uint32_t *at = g_new(uint32_t, n);

    memcpy(from, order, n * sizeof *from);
    for (size_t i = 0; i < n; i++) {
        at[from[i]] = (uint32_t) i;
        for (size_t j = i + 1; j < n; j++)
            before[from[j]] += cost[from[i] * n + from[j]] != cost[from[j] * n + from[i]];
    }
    for (size_t k = 0; k < n; k++) {
        uint32_t x = 0;

        while (before[x] > 0)
            x++;
        before[x] = UINT32_MAX;
        order[k] = x;
        for (size_t j = at[x] + 1; j < n; j++)
            before[from[j]] -= cost[x * n + from[j]] != cost[from[j] * n + x];
    }
    g_free(at);
    g_free(from);
    g_free(before);
}

static int
check_costs(const double *cost, size_t n, imig_error **error)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            if (i != j && !isfinite(cost[i * n + j]))
                return imig__fail(error, IMIG_ERR_ARGUMENT, "cost[%zu][%zu]: %g is not finite", i,
                                  j, cost[i * n + j]);
    return IMIG_OK;
}

int
imig_order_pairs(const double *cost, size_t n, const imig_order_pairs_options *options,
                 uint32_t *order, double *bound, imig_error **error)
{
    imig_order_pairs_options opt;
    double paid = 0, least = 0, above = 0;
    gboolean proven = TRUE;
    size_t *length;
    int r;

    if (n > 0 && (!cost || !order))
        return imig__fail(error, IMIG_ERR_ARGUMENT, "cost or order is NULL");
    if (n >= UINT32_MAX)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "n: %zu is too many", n);
    r = imig__copy_struct(&opt, sizeof opt, options, sizeof(imig_order_pairs_options), error);
    if (r == IMIG_OK)
        r = check_costs(cost, n, error);
    if (r != IMIG_OK)
        return r;

    length = g_new0(size_t, n);
    find_components(cost, n, order, length);
    for (size_t i = 0; i < n; i += length[i])
        if (length[i] > 1)
            above += order_component(cost, n, order + i, length[i], &opt, &proven);
    g_free(length);
    settle_ties(cost, n, order);
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++) {
            double one = cost[order[i] * n + order[j]], other = cost[order[j] * n + order[i]];

            paid += one;
            least += MIN(one, other);
        }
    if (bound)
        *bound = proven ? paid : MIN(paid, least + above);
    return IMIG_OK;
}
