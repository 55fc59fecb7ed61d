/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/base-priv.h"
#include "model/workload-priv.h"
#include "policy/random-priv.h"

#include <imig/order.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* VMs up to here are ordered by a matrix of all pairs; larger sets by those that share a host. */
enum {
    PAIRS_LIMIT = 300,
    SWEEPS = 20,
    INSERT_EFFORT = 300000 /* pairs looked at: below 0.1 s */
};

#define DOWNTIME_PRICE 10.0

/* One migration, as the policies look at it. */
struct job {
    double key, second; /* the smaller goes first; what they are is the policy's business */
    uint32_t position;
};

/* The arguments with every NULL filled in. */
struct problem {
    size_t n;
    const int32_t *workload, *prefer;
    const double *time_s, *downtime_s, *memory_bytes;
    const uint32_t *source, *destination;
    double *hold_source, *hold_destination; /* [n] */
    double *weight;                         /* [n] what lengthening a migration by its time costs */
    double downtime_price;
    uint64_t seed;
    int32_t order_by;
};

static int
compare_jobs(const void *a, const void *b)
{
    const struct job *x = a, *y = b;

    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    if (x->second != y->second)
        return x->second < y->second ? -1 : 1;
    return (x->position > y->position) - (x->position < y->position);
}

static void
sort_jobs(struct job *jobs, size_t n, uint32_t *order)
{
    qsort(jobs, n, sizeof *jobs, compare_jobs);
    for (size_t i = 0; i < n; i++)
        order[i] = jobs[i].position;
}

/* -- the rules of thumb -- */

/* Section 3.4, third rule: tiers, then the shortest first. */
static void
key_paper(const struct problem *p, size_t i, struct job *job)
{
    job->key = imig__workload_rows[p->workload[i]].tier;
    job->second = p->time_s[i];
}

static void
key_small(const struct problem *p, size_t i, struct job *job)
{
    job->key = p->memory_bytes[i];
}

static void
key_large(const struct problem *p, size_t i, struct job *job)
{
    job->key = -p->memory_bytes[i];
}

static void
key_random(const struct problem *p, size_t i, struct job *job)
{
    job->key = (double) (imig__random(p->seed, i) >> 11);
}

static void
key_position(const struct problem *p, size_t i, struct job *job)
{
    (void) p;
    (void) i;
    (void) job;
}

static const struct {
    const char *name;
    void (*key)(const struct problem *p, size_t i, struct job *job);
} policies[] = {
    { "informed", NULL }, /* the pairwise model */
    { "paper", key_paper },
    { "least-loaded", key_position },
    { "smallest-first", key_small },
    { "largest-first", key_large },
    { "random", key_random },
    { "as-given", key_position },
};

const char *
imig_order_policy_name(uint32_t index)
{
    return index < G_N_ELEMENTS(policies) ? policies[index].name : NULL;
}

/* -- the pairwise model: DESIGN section 7 -- */

/* Having i before j costs this much. */
static double
pair_cost(const struct problem *p, size_t i, size_t j)
{
    double cost = 0;

    if (p->source[i] == p->source[j])
        cost += p->weight[i] * p->hold_source[j];
    if (p->destination[i] == p->destination[j])
        cost += p->weight[j] * p->hold_destination[i];
    if (p->order_by == IMIG_ORDER_BY_COMPLETION)
        cost += p->time_s[i]; /* j waits for i */
    return cost;
}

/*
 * With one source, one destination and time alone the best sequence sorts by (a - b) / p, highest
 * first (an exchange argument, as for Smith's rule); p = 0: first where a > b, last where a < b.
 * Ties: the shortest first.
 */
static void
sort_by_ratio(const struct problem *p, uint32_t *order)
{
    struct job *jobs = g_new(struct job, p->n);

    for (size_t i = 0; i < p->n; i++) {
        double a = p->hold_source[i], b = p->hold_destination[i], w = p->weight[i];

        jobs[i].position = (uint32_t) i;
        jobs[i].second = p->time_s[i];
        if (p->order_by == IMIG_ORDER_BY_COMPLETION)
            jobs[i].key = p->time_s[i] - w * (a - b);
        else if (w > 0)
            jobs[i].key = -(a - b) / w;
        else
            jobs[i].key = a > b ? -INFINITY : a < b ? INFINITY : 0;
    }
    sort_jobs(jobs, p->n, order);
    g_free(jobs);
}

static gboolean
all_equal(const uint32_t *value, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (value[i] != value[0])
            return FALSE;
    return TRUE;
}

/* The sort is the start; the solver works on the matrix in that order, so that ties keep it. */
static int
solve_pairs(const struct problem *p, uint32_t *order, imig_error **error)
{
    double *cost = g_new(double, p->n * p->n);
    uint32_t *by_pairs = g_new(uint32_t, p->n), *sorted = g_memdup2(order, p->n * sizeof *sorted);
    imig_order_pairs_options options = IMIG_ORDER_PAIRS_OPTIONS_INIT;
    int r;

    for (size_t i = 0; i < p->n; i++)
        for (size_t j = 0; j < p->n; j++)
            cost[i * p->n + j] = i == j ? 0 : pair_cost(p, sorted[i], sorted[j]);
    options.seed = p->seed;
    r = imig_order_pairs(cost, p->n, &options, by_pairs, NULL, error);
    for (size_t i = 0; i < p->n && r == IMIG_OK; i++)
        order[i] = sorted[by_pairs[i]];
    g_free(cost);
    g_free(by_pairs);
    g_free(sorted);
    return r;
}

/* VMs by host: those of VM i are vm[begin[i]] .. vm[end[i] - 1], itself included. */
struct sharers {
    uint32_t *vm, *begin, *end;
};

static int
compare_host(const void *a, const void *b, void *data)
{
    const uint32_t *host = data, x = *(const uint32_t *) a, y = *(const uint32_t *) b;

    if (host[x] != host[y])
        return host[x] < host[y] ? -1 : 1;
    return (x > y) - (x < y);
}

static struct sharers
sharers_of(const uint32_t *host, size_t n)
{
    struct sharers s = { g_new(uint32_t, 3 * n), NULL, NULL };

    s.begin = s.vm + n;
    s.end = s.vm + 2 * n;
    for (uint32_t i = 0; i < n; i++)
        s.vm[i] = i;
    g_qsort_with_data(s.vm, (gint) n, sizeof *s.vm, compare_host, (gpointer) host);
    for (uint32_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && host[s.vm[end]] == host[s.vm[i]]; end++)
            continue;
        for (uint32_t k = i; k < end; k++) {
            s.begin[s.vm[k]] = i;
            s.end[s.vm[k]] = end;
        }
    }
    return s;
}

/* Another VM as one that looks for its best place sees it. */
struct other {
    double at;    /* its place */
    double later; /* what it costs less to go after it than before it */
};

static int
compare_other(const void *a, const void *b)
{
    const struct other *x = a, *y = b;

    return (x->at > y->at) - (x->at < y->at);
}

/* The best place of a VM among those that share a host with it; at: [n] where each stands. */
static double
best_place(const double *at, uint32_t i, struct other *other, size_t count)
{
    double sum = 0, here = 0, least = 0;
    size_t best = 0;

    qsort(other, count, sizeof *other, compare_other);
    for (size_t k = 0; k < count; k++) {
        sum -= other[k].later;
        if (other[k].at < at[i])
            here = sum;
        if (sum < least) {
            least = sum;
            best = k + 1;
        }
    }
    if (here <= least + 1e-12 * fabs(least) || count == 0)
        return at[i];
    if (best == 0)
        return other[0].at - 1;
    return best == count ? other[count - 1].at + 1 : (other[best - 1].at + other[best].at) / 2;
}

/*
 * Only VMs that share a host depend on each other: each in turn goes to its best place among those,
 * until nobody gains by it.
 */
static void
solve_sharers(const struct problem *p, uint32_t *order)
{
    struct sharers from = sharers_of(p->source, p->n), to = sharers_of(p->destination, p->n);
    struct job *jobs = g_new0(struct job, p->n);
    struct other *other = g_new(struct other, 2 * p->n);
    double *at = g_new(double, p->n);
    size_t effort = 0;
    gboolean changed = TRUE;

    for (int sweep = 0; sweep < SWEEPS && changed && effort < INSERT_EFFORT; sweep++) {
        changed = FALSE;
        for (size_t k = 0; k < p->n; k++) /* whole numbers again, so that places can be halved */
            at[order[k]] = (double) k;
        for (size_t k = 0; k < p->n && effort < INSERT_EFFORT; k++) {
            uint32_t i = order[k];
            size_t count = 0;
            double place;

            for (uint32_t m = from.begin[i]; m < from.end[i]; m++) {
                uint32_t j = from.vm[m];

                if (j != i)
                    other[count++] = (struct other) {
                        at[j], p->weight[i] * p->hold_source[j] - p->weight[j] * p->hold_source[i],
                    };
            }
            for (uint32_t m = to.begin[i]; m < to.end[i]; m++) {
                uint32_t j = to.vm[m];

                if (j != i)
                    other[count++] = (struct other) {
                        at[j], p->weight[j] * p->hold_destination[i]
                               - p->weight[i] * p->hold_destination[j],
                    };
            }
            effort += count;
            place = best_place(at, i, other, count);
            changed |= place != at[i];
            at[i] = place;
        }
        for (uint32_t i = 0; i < p->n; i++)
            jobs[i] = (struct job) { .key = at[i], .position = i };
        sort_jobs(jobs, p->n, order);
    }
    g_free(from.vm);
    g_free(to.vm);
    g_free(jobs);
    g_free(other);
    g_free(at);
}

/* For mean completion everybody depends on everybody: neighbours in the sequence change places. */
static void
solve_neighbours(const struct problem *p, uint32_t *order)
{
    for (int sweep = 0; sweep < SWEEPS; sweep++) {
        gboolean changed = FALSE;

        for (size_t k = 0; k + 1 < p->n; k++) {
            uint32_t i = order[k], j = order[k + 1];

            if (pair_cost(p, j, i) < pair_cost(p, i, j)) {
                order[k] = j;
                order[k + 1] = i;
                changed = TRUE;
            }
        }
        if (!changed)
            return;
    }
}

static int
order_informed(const struct problem *p, uint32_t *order, imig_error **error)
{
    sort_by_ratio(p, order);
    if (p->order_by == IMIG_ORDER_BY_TIME && all_equal(p->source, p->n)
        && all_equal(p->destination, p->n))
        return IMIG_OK; /* provably the best */
    if (p->n <= PAIRS_LIMIT)
        return solve_pairs(p, order, error);
    if (p->order_by == IMIG_ORDER_BY_COMPLETION)
        solve_neighbours(p, order);
    else
        solve_sharers(p, order);
    return IMIG_OK;
}

/* -- arguments -- */

static int
check_array(const double *value, size_t n, const char *name, imig_error **error)
{
    for (size_t i = 0; value && i < n; i++)
        if (!isfinite(value[i]) || value[i] < 0)
            return imig__fail(error, IMIG_ERR_ARGUMENT, "%s[%zu]: %g: must be finite and >= 0",
                              name, i, value[i]);
    return IMIG_OK;
}

static int
check(const int32_t *workload, const double *predicted_s, size_t n, const imig_order_options *opt,
      const uint32_t *order, imig_error **error)
{
    const struct {
        const double *value;
        const char *name;
    } arrays[] = {
        { predicted_s, "predicted_s" },
        { opt->hold_source, "hold_source" },
        { opt->hold_destination, "hold_destination" },
        { opt->downtime_s, "downtime_s" },
        { opt->memory_bytes, "memory_bytes" },
    };
    int r = IMIG_OK;

    if (n > 0 && (!workload || !predicted_s || !order))
        return imig__fail(error, IMIG_ERR_ARGUMENT, "imig_order: NULL");
    if (n > UINT32_MAX - 1)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%zu VMs: too many", n);
    if (opt->order_by < 0 || opt->order_by > IMIG_ORDER_BY_DOWNTIME)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "order_by %d: not known", opt->order_by);
    r = check_array(&opt->downtime_price, 1, "downtime_price", error);
    for (size_t i = 0; i < G_N_ELEMENTS(arrays) && r == IMIG_OK; i++)
        r = check_array(arrays[i].value, n, arrays[i].name, error);
    for (size_t i = 0; i < n && r == IMIG_OK; i++) {
        if (workload[i] < 0 || workload[i] >= IMIG_WORKLOAD_COUNT)
            r = imig__fail(error, IMIG_ERR_ARGUMENT, "workload[%zu]: %d: no such class", i,
                           workload[i]);
        else if (opt->prefer && (opt->prefer[i] < 0 || opt->prefer[i] > IMIG_PREFER_DOWNTIME))
            r = imig__fail(error, IMIG_ERR_ARGUMENT, "prefer[%zu]: %d: not known", i,
                           opt->prefer[i]);
    }
    return r;
}

/* What lengthening a migration by its own length costs: its time, or its downtime at a price. */
static double
weight_of(const struct problem *p, size_t i)
{
    double downtime = p->downtime_s ? p->downtime_s[i] : 0;

    if (p->order_by == IMIG_ORDER_BY_DOWNTIME)
        return downtime + 1e-6 * p->time_s[i];
    if (p->prefer && p->prefer[i] == IMIG_PREFER_DOWNTIME)
        return p->time_s[i] + p->downtime_price * downtime;
    return p->time_s[i];
}

int
imig_order(const int32_t *workload, const double *predicted_s, size_t n,
           const imig_order_options *options, uint32_t *order, imig_error **error)
{
    imig_order_options opt;
    struct problem p = { .n = n, .workload = workload, .time_s = predicted_s };
    uint32_t *same, *found;
    size_t policy = 0;
    int r = imig__copy_struct(&opt, sizeof opt, options, sizeof opt, error);

    if (r != IMIG_OK)
        return r;
    if (!(opt.set & IMIG_ORDER_HAS_DOWNTIME_PRICE))
        opt.downtime_price = DOWNTIME_PRICE;
    while (opt.policy && policy < G_N_ELEMENTS(policies)
           && strcmp(policies[policy].name, opt.policy) != 0)
        policy++;
    if (policy == G_N_ELEMENTS(policies))
        return imig__fail_name(error, IMIG_ERR_ARGUMENT, "no order policy", opt.policy,
                               imig_order_policy_name);
    r = check(workload, predicted_s, n, &opt, order, error);
    if (r != IMIG_OK || n == 0)
        return r;
    same = g_new0(uint32_t, n);
    found = g_new(uint32_t, n);
    p.source = opt.source ? opt.source : same;
    p.destination = opt.destination ? opt.destination : same;
    p.downtime_s = opt.downtime_s;
    p.memory_bytes = opt.memory_bytes ? opt.memory_bytes : predicted_s;
    p.prefer = opt.prefer;
    p.downtime_price = opt.downtime_price;
    p.seed = opt.seed;
    p.order_by = opt.order_by;
    p.hold_source = g_new(double, n);
    p.hold_destination = g_new(double, n);
    p.weight = g_new(double, n);
    for (size_t i = 0; i < n; i++) {
        const imig__workload_row *row = &imig__workload_rows[workload[i]];

        p.hold_source[i] = opt.hold_source ? opt.hold_source[i] : row->hold_source;
        p.hold_destination[i] =
            opt.hold_destination ? opt.hold_destination[i] : row->hold_destination;
        p.weight[i] = weight_of(&p, i);
    }
    if (policies[policy].key) {
        struct job *jobs = g_new0(struct job, n);

        for (size_t i = 0; i < n; i++) {
            jobs[i].position = (uint32_t) i;
            policies[policy].key(&p, i, &jobs[i]);
        }
        sort_jobs(jobs, n, found);
        g_free(jobs);
    } else {
        r = order_informed(&p, found, error);
    }
    if (r == IMIG_OK)
        memcpy(order, found, n * sizeof *order);
    g_free(same);
    g_free(found);
    g_free(p.hold_source);
    g_free(p.hold_destination);
    g_free(p.weight);
    return r;
}
