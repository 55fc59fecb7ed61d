/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cost/interplay-priv.h"
#include "cost/traffic-priv.h"
#include "model/cluster-priv.h"

#include <math.h>
#include <string.h>

/*
 * Only migrations that touch one of a migration's two hosts care where it stands among them.  Each
 * keeps what its hosts looked like at its turn, so that a change of place is priced without going
 * through the sequence: it comes before, or no longer comes before, the ones that it passes.
 */
struct step {
    uint32_t vm, from, to;
    double key;               /* orders the sequence */
    double price;             /* of downtime */
    imig__usage leaves, comes; /* what the source loses and the destination gains */
    imig__side source, destination; /* at its turn */
    double live, stop, value; /* rates then, and time + price x downtime at them */
};

struct improver {
    const imig__traffic *traffic;
    struct step *steps;       /* [n], as vm and to are */
    size_t n;
    size_t *first;            /* [host_count + 1] into touching */
    uint32_t *touching;       /* steps from or to a host, in sequence */
    uint32_t *around;         /* the steps that touch either host of the one that is looked at */
    double *without, *with;   /* of those, with that one still to come and over already */
    size_t work;              /* done so far, see WORK_* */
};

/* What it costs to look at the rates of two hosts, and to predict where they have changed. */
enum { WORK_RATES = 1, WORK_PREDICTION = 8 };

/* Times and prices of a step at the rates of its hosts; asked for only where they differ. */
static void
evaluate(struct improver *m, struct step *s, const imig__side *source,
         const imig__side *destination)
{
    imig_cost cost = IMIG_COST_INIT;
    double live, stop;

    imig__traffic_rates(m->traffic, &s->leaves, source, destination, 1, 1, &live, &stop);
    m->work += WORK_RATES;
    if (live == s->live && stop == s->stop)
        return;
    imig__traffic_predict_at(m->traffic, s->vm, live, stop, &cost);
    m->work += WORK_PREDICTION;
    s->live = live;
    s->stop = stop;
    s->value = cost.time_s + s->price * cost.downtime_s;
}

/* What one step does to a host; sign -1 undoes it. */
static void
apply(const struct step *s, uint32_t host, imig__side *side, double sign)
{
    if (host == s->from)
        imig__side_add(side, &s->leaves, -sign);
    if (host == s->to)
        imig__side_add(side, &s->comes, sign);
}

static void
apply_to(const struct step *done, struct step *later, double sign)
{
    apply(done, later->from, &later->source, sign);
    apply(done, later->to, &later->destination, sign);
}

static gboolean
is_before(const struct improver *m, uint32_t a, uint32_t b)
{
    return m->steps[a].key < m->steps[b].key;
}

/* All but step e that touch its hosts, in sequence; returns how many. */
static size_t
look_around(struct improver *m, uint32_t e)
{
    const struct step *s = &m->steps[e];
    size_t i = m->first[s->from], i_end = m->first[s->from + 1];
    size_t j = m->first[s->to], j_end = m->first[s->to + 1], n = 0;

    while (i < i_end || j < j_end) {
        uint32_t next;

        if (j == j_end || (i < i_end && !is_before(m, m->touching[j], m->touching[i])))
            next = m->touching[i++];
        else
            next = m->touching[j++];
        if (j < j_end && m->touching[j] == next)
            j++;
        if (next != e)
            m->around[n++] = next;
    }
    return n;
}

/* Puts a step whose key has changed where it belongs in the list of a host. */
static void
resort(struct improver *m, uint32_t host, uint32_t e)
{
    uint32_t *list = m->touching + m->first[host];
    size_t n = m->first[host + 1] - m->first[host], i = 0;

    while (list[i] != e)
        i++;
    for (; i > 0 && is_before(m, e, list[i - 1]); i--)
        list[i] = list[i - 1];
    for (; i + 1 < n && is_before(m, list[i + 1], e); i++)
        list[i] = list[i + 1];
    list[i] = e;
}

static void
price_around(struct improver *m, const struct step *s, size_t n, size_t now)
{
    for (size_t i = 0; i < n; i++) {
        struct step other = m->steps[m->around[i]];

        m->without[i] = m->with[i] = other.value;
        apply_to(s, &other, i < now ? 1 : -1);
        evaluate(m, &other, &other.source, &other.destination);
        *(i < now ? &m->with[i] : &m->without[i]) = other.value;
    }
}

/* Finds the best place of a step among the n around it and puts it there; says whether it moved. */
static gboolean
move_step(struct improver *m, uint32_t e)
{
    struct step *s = &m->steps[e], at = *s;
    size_t n = look_around(m, e), now = 0, best;
    double sum = 0, here = 0, least;
    double low, high, key;

    while (now < n && is_before(m, m->around[now], e))
        now++;
    price_around(m, s, n, now);

    /* From the first place to the last. */
    for (size_t i = 0; i < n; i++)
        sum += m->with[i];
    for (size_t i = now; i-- > 0;) {
        apply(&m->steps[m->around[i]], s->from, &at.source, -1);
        apply(&m->steps[m->around[i]], s->to, &at.destination, -1);
    }
    least = INFINITY;
    best = now;
    for (size_t i = 0; i <= n; i++) {
        double total;

        evaluate(m, &at, &at.source, &at.destination);
        total = sum + at.value;
        if (i == now)
            here = total;
        if (total < least) {
            least = total;
            best = i;
        }
        if (i < n) {
            sum += m->without[i] - m->with[i];
            apply(&m->steps[m->around[i]], s->from, &at.source, 1);
            apply(&m->steps[m->around[i]], s->to, &at.destination, 1);
        }
    }
    if (best == now || !(least < here - 1e-9 * fabs(here)))
        return FALSE;

    low = best > 0 ? m->steps[m->around[best - 1]].key : m->steps[m->around[0]].key - 2;
    high = best < n ? m->steps[m->around[best]].key : m->steps[m->around[n - 1]].key + 2;
    key = low + (high - low) / 2;
    if (key <= low || key >= high)
        return FALSE;
    for (size_t i = MIN(best, now); i < MAX(best, now); i++) {
        struct step *passed = &m->steps[m->around[i]];

        apply_to(s, passed, best < now ? 1 : -1);
        apply_to(passed, s, best < now ? -1 : 1);
        evaluate(m, passed, &passed->source, &passed->destination);
    }
    s->key = key;
    evaluate(m, s, &s->source, &s->destination);
    resort(m, s->from, e);
    resort(m, s->to, e);
    return TRUE;
}

static int
compare_keys(const void *a, const void *b, void *data)
{
    const struct improver *m = data;
    double x = m->steps[*(const uint32_t *) a].key, y = m->steps[*(const uint32_t *) b].key;

    return (x > y) - (x < y);
}

/* Orders the steps by their keys and numbers these afresh: there is room again between any two. */
static void
sort_steps(struct improver *m, uint32_t *order)
{
    g_qsort_with_data(order, (int) m->n, sizeof *order, compare_keys, m);
    for (size_t i = 0; i < m->n; i++)
        m->steps[order[i]].key = (double) i;
}

/* Goes through the sequence once: what each step meets and what it changes.  Returns the sum. */
static double
run(struct improver *m, imig__traffic *traffic, const uint32_t *order)
{
    double sum = 0;

    for (size_t i = 0; i < m->n; i++) {
        struct step *s = &m->steps[order[i]];

        s->source = *imig__traffic_side(traffic, s->from);
        s->destination = *imig__traffic_side(traffic, s->to);
        s->leaves = imig__traffic_usage(traffic, s->vm);
        s->live = s->stop = -1;
        evaluate(m, s, &s->source, &s->destination);
        sum += s->value;
        imig__traffic_move(traffic, s->vm, s->to);
        s->comes = imig__traffic_usage(traffic, s->vm);
    }
    for (size_t i = 0; i < m->n; i++)
        imig__traffic_move(traffic, m->steps[i].vm, m->steps[i].from);
    return sum;
}

/* The steps that touch each host, in sequence; returns the largest number there is. */
static size_t
list_touching(struct improver *m, size_t hosts, const uint32_t *order)
{
    size_t *next, most = 0;

    m->first = g_new0(size_t, hosts + 1);
    for (size_t i = 0; i < m->n; i++) {
        m->first[m->steps[i].from + 1]++;
        m->first[m->steps[i].to + 1]++;
    }
    for (size_t i = 0; i < hosts; i++) {
        most = MAX(most, m->first[i + 1]);
        m->first[i + 1] += m->first[i];
    }
    next = g_memdup2(m->first, hosts * sizeof *next);
    m->touching = g_new(uint32_t, 2 * m->n);
    for (size_t i = 0; i < m->n; i++) {
        m->touching[next[m->steps[order[i]].from]++] = order[i];
        m->touching[next[m->steps[order[i]].to]++] = order[i];
    }
    g_free(next);
    return most;
}

void
imig__sequence_improve(const imig_cluster *cluster, const imig__traffic *home, const uint32_t *vm,
                       const uint32_t *to, size_t n, const double *downtime_price, size_t effort,
                       uint32_t *order)
{
    imig__traffic *traffic = imig__traffic_copy(home);
    struct improver m = { .traffic = traffic, .n = n, .steps = g_new0(struct step, n) };
    uint32_t *better = g_memdup2(order, n * sizeof *order);
    double before;
    size_t most;
    gboolean moved = n > 1;

    for (size_t i = 0; i < n; i++) {
        m.steps[i].vm = vm[i];
        m.steps[i].from = cluster->vms[vm[i]].host;
        m.steps[i].to = to[i];
        m.steps[i].price = downtime_price ? downtime_price[i] : 0;
    }
    for (size_t i = 0; i < n; i++)
        m.steps[order[i]].key = (double) i;
    before = run(&m, traffic, order);
    most = list_touching(&m, cluster->host_count, order);
    m.around = g_new(uint32_t, 2 * most);
    m.without = g_new(double, 2 * most);
    m.with = g_new(double, 2 * most);

    while (moved && m.work < effort) {
        moved = FALSE;
        for (size_t i = 0; i < n && m.work < effort; i++)
            moved |= move_step(&m, better[i]);
        sort_steps(&m, better);
    }
    /* Flows make usage depend on who moved before: what was priced without them may be wrong. */
    if (run(&m, traffic, better) < before)
        memcpy(order, better, n * sizeof *order);

    g_free(better);
    g_free(m.steps);
    g_free(m.first);
    g_free(m.touching);
    g_free(m.around);
    g_free(m.without);
    g_free(m.with);
    imig__traffic_free(traffic);
}
