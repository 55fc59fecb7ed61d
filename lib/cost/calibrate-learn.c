/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cost/calibrate-priv.h"
#include "cost/minimise-priv.h"

#include <math.h>
#include <string.h>

enum { EVALUATIONS = 400 };

static const double BOUND = 0.3;         /* of a log of a ratio: more than this is an outlier */
#define DOWNTIME_WEIGHT 0.3              /* downtimes vary so much more than times and bytes */
static const double WORTH = 0.99;        /* another constant has to leave less than this */

static const double ROUNDING = 1e-9;     /* no difference at all */
static const double VARIED = 1.5;        /* nine of ten over one of ten, or it is all the same */

static double
dirty_share(const imig_record *r)
{
    return r->dirty_bytes_per_s / r->bandwidth_bytes_per_s;
}

static double
dirty_neighbours(const imig_record *r)
{
    return r->from_dirty_ratio;
}

/* What is learned together, in turn; each on top of those before that were worth it. */
static const struct stage {
    size_t n;
    int constant[3];
    /* What has to vary, or else others explain as much; NULL: nothing. */
    double (*varies)(const imig_record *record);
    uint64_t measured; /* IMIG_RECORD_HAS_*: of half of them at least; 0: nothing */
} stages[] = {
    /* A faster link makes downtimes shorter, too: it cannot be judged by a downtime besides copying
       that is wrong itself. */
    { 3, { IMIG__LINK_SHARE, IMIG__SETUP, IMIG__DOWNTIME }, NULL, IMIG_RECORD_HAS_DOWNTIME },
    { 2, { IMIG__LINK_SHARE, IMIG__SETUP }, NULL, 0 },
    { 1, { IMIG__RECEIVE_HOLD }, NULL, 0 },
    { 1, { IMIG__DOWNTIME }, NULL, IMIG_RECORD_HAS_DOWNTIME },
    { 3, { IMIG__LINK_SHARE, IMIG__SETUP, IMIG__DIRTY }, dirty_share, 0 },
    { 1, { IMIG__DIRTY_HOLD }, dirty_neighbours, 0 },
};

/* Further than this from what is assumed it is not the constant that is wrong. */
static const struct range {
    double least, most;
} ranges[IMIG__CONSTANT_COUNT] = {
    [IMIG__LINK_SHARE] = { 0.01, 2 }, [IMIG__SETUP] = { 0, 600 }, [IMIG__DOWNTIME] = { 0, 60 },
    [IMIG__DIRTY] = { 0.5, 2 }, [IMIG__RECEIVE_HOLD] = { 0, 2 }, [IMIG__DIRTY_HOLD] = { 0, 2 },
};

static const double first_steps[IMIG__CONSTANT_COUNT] = {
    [IMIG__LINK_SHARE] = 0.05, [IMIG__SETUP] = 0.5, [IMIG__DOWNTIME] = 0.05, [IMIG__DIRTY] = 0.3,
    [IMIG__RECEIVE_HOLD] = 0.1, [IMIG__DIRTY_HOLD] = 0.2,
};

static double *
constant_in(imig_constants *c, int which)
{
    return &G_STRUCT_MEMBER(double, c, imig__constants[which].offset);
}

static void
know_rates(imig__learner *l)
{
    double hold = l->constants.receive_hold_ratio;
    size_t count = imig_records_count(l->records);

    if (hold == l->hold)
        return;
    for (size_t i = 0; i < count; i++)
        l->holds[i] = hold;
    imig__beside_rates(l->beside, l->holds, l->rate);
    l->hold = hold;
}

static double
off_by(double predicted, double measured)
{
    return fabs(log(fmax(predicted, 1e-9) / measured));
}

double
imig__learner_measured(const imig__learner *l, const imig_record *r, int kind)
{
    if (l->passed_over[kind])
        return 0;
    if (kind == IMIG__OFF_TIME)
        return r->duration_s;
    if (kind == IMIG__OFF_DOWNTIME)
        return r->present & IMIG_RECORD_HAS_DOWNTIME ? r->downtime_s : 0;
    return r->present & IMIG_RECORD_HAS_TRANSFERRED ? r->transferred_bytes : 0;
}

double
imig__predicted(const imig_cost *cost, int kind)
{
    if (kind == IMIG__OFF_TIME)
        return cost->time_s;
    return kind == IMIG__OFF_DOWNTIME ? cost->downtime_s : cost->transferred_bytes;
}

/* How far a prediction is off, the mean of what was measured, and never more than a bound. */
static double
loss_of(const imig__learner *l, const imig_record *r, const imig_cost *cost)
{
    static const double weight[IMIG__OFF_KINDS] = { 1, DOWNTIME_WEIGHT, 1 };
    double sum = 0;
    int terms = 0;

    for (int k = 0; k < IMIG__OFF_KINDS; k++) {
        double measured = imig__learner_measured(l, r, k);

        if (measured <= 0)
            continue;
        sum += fmin(weight[k] * off_by(imig__predicted(cost, k), measured), BOUND);
        terms++;
    }
    return sum / terms;
}

/* The mean over the rows that are not left out. */
static double
mean_loss(imig__learner *l)
{
    double sum = 0;
    size_t count = 0;

    know_rates(l);
    for (size_t i = 0; i < l->n; i++) {
        imig_cost cost = IMIG_COST_INIT;

        if ((int) l->fold[i] == l->left_out)
            continue;
        imig__record_predict(imig__learner_record(l, i), &l->constants, l->rate[l->row[i]], &cost);
        sum += loss_of(l, imig__learner_record(l, i), &cost);
        count++;
    }
    return sum / (double) MAX(count, 1);
}

static double
value_at(const double *x, void *data)
{
    imig__learner *l = data;

    for (size_t i = 0; i < l->free_count; i++) {
        const struct range *range = &ranges[l->constant[i]];

        if (!(x[i] >= range->least && x[i] <= range->most))
            return INFINITY;
        *constant_in(&l->constants, l->constant[i]) = x[i];
    }
    return mean_loss(l);
}

static int
compare_doubles(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;

    return (x > y) - (x < y);
}

/* The smallest value that this share does not exceed (nearest rank); 0 where there is none. */
static double
quantile(GArray *values, double share)
{
    double rank = ceil(share * values->len);

    if (values->len == 0)
        return 0;
    g_array_sort(values, compare_doubles);
    return g_array_index(values, double, rank > 0 ? (guint) rank - 1 : 0);
}

/* Where bounded losses have no slope any more, a search does not come near: so that half of the
   predictions are too long, and half too short. */
static void
begin_near(imig__learner *l)
{
    g_autoptr(GArray) ratios = g_array_new(FALSE, FALSE, sizeof(double));
    const struct range *range = &ranges[IMIG__LINK_SHARE];
    double share;

    know_rates(l);
    for (size_t i = 0; i < l->n; i++) {
        imig_cost cost = IMIG_COST_INIT;
        double ratio;

        if ((int) l->fold[i] == l->left_out)
            continue;
        imig__record_predict(imig__learner_record(l, i), &l->constants, l->rate[l->row[i]], &cost);
        ratio = cost.time_s / imig__learner_record(l, i)->duration_s;
        g_array_append_val(ratios, ratio);
    }
    share = l->constants.link_share_ratio * quantile(ratios, 0.5);
    l->constants.link_share_ratio = CLAMP(share, range->least, range->most);
}

void
imig__fit(imig__learner *l)
{
    double x[IMIG__CONSTANT_COUNT], step[IMIG__CONSTANT_COUNT];

    for (size_t i = 0; i < l->free_count; i++)
        if (l->constant[i] == IMIG__LINK_SHARE)
            begin_near(l);

    for (size_t i = 0; i < l->free_count; i++) {
        x[i] = *constant_in(&l->constants, l->constant[i]);
        step[i] = first_steps[l->constant[i]];
    }
    imig__minimise(value_at, l, x, step, l->free_count, EVALUATIONS);
    for (size_t i = 0; i < l->free_count; i++)
        *constant_in(&l->constants, l->constant[i]) = x[i];
}

static void
add_off(GArray *offs, double predicted, double measured)
{
    double off = fabs(predicted / measured - 1);

    if (isfinite(off))
        g_array_append_val(offs, off);
}

static imig__off
find_off(const imig__learner *l, const imig_cost *cost)
{
    GArray *offs[IMIG__OFF_KINDS];
    imig__off found;

    for (int k = 0; k < IMIG__OFF_KINDS; k++)
        offs[k] = g_array_sized_new(FALSE, FALSE, sizeof(double), (guint) l->n);
    for (size_t i = 0; i < l->n; i++) {
        for (int k = 0; k < IMIG__OFF_KINDS; k++)
            add_off(offs[k], imig__predicted(&cost[i], k),
                    imig__learner_measured(l, imig__learner_record(l, i), k));
    }
    for (int k = 0; k < IMIG__OFF_KINDS; k++) {
        found.p50[k] = quantile(offs[k], 0.5);
        found.p90[k] = quantile(offs[k], 0.9);
        g_array_unref(offs[k]);
    }
    return found;
}

gboolean
imig__no_worse(const imig__off *now, const imig__off *before)
{
    for (int k = 0; k < IMIG__OFF_KINDS; k++)
        if (now->p50[k] > before->p50[k] + ROUNDING || now->p90[k] > before->p90[k] + ROUNDING)
            return FALSE;
    return TRUE;
}

static gboolean
is_better(const imig__off *now, const imig__off *before)
{
    for (int k = 0; k < IMIG__OFF_KINDS; k++)
        if (now->p50[k] < WORTH * before->p50[k] || now->p90[k] < WORTH * before->p90[k])
            return TRUE;
    return FALSE;
}

/* Of the constants as they are, on all rows. */
static imig__off
off_of_all(imig__learner *l)
{
    g_autofree imig_cost *cost = g_new0(imig_cost, l->n);

    know_rates(l);
    for (size_t i = 0; i < l->n; i++)
        imig__record_predict(imig__learner_record(l, i), &l->constants, l->rate[l->row[i]],
                             &cost[i]);
    return find_off(l, cost);
}

void
imig__judged_clear(imig__judged *j)
{
    g_free(j->cost);
}

imig__judged
imig__judge(imig__learner *l)
{
    const imig_constants start = l->constants;
    g_autoptr(GArray) losses = g_array_new(FALSE, FALSE, sizeof(double));
    imig__judged j = { .cost = g_new0(imig_cost, l->n) };
    double sum = 0;

    for (l->left_out = 0; l->left_out < IMIG__FOLDS; l->left_out++) {
        l->constants = start;
        if (l->free_count > 0)
            imig__fit(l);
        know_rates(l);
        for (size_t i = 0; i < l->n; i++) {
            const imig_record *r;
            double loss;

            if ((int) l->fold[i] != l->left_out)
                continue;
            r = imig__learner_record(l, i);
            imig__record_predict(r, &l->constants, l->rate[l->row[i]], &j.cost[i]);
            loss = loss_of(l, r, &j.cost[i]);
            sum += loss;
            g_array_append_val(losses, loss);
        }
    }
    l->left_out = -1;
    l->constants = start;
    /* Neither the usual case is to get worse nor the worst ones. */
    j.loss = (sum / (double) l->n + quantile(losses, 0.5)) / 2;
    j.off = find_off(l, j.cost);
    return j;
}

void
imig__find_range(const imig__learner *l, double (*of)(const imig_record *), double *low,
                 double *high)
{
    g_autoptr(GArray) values = g_array_new(FALSE, FALSE, sizeof(double));

    for (size_t i = 0; i < l->n; i++) {
        double value = of(imig__learner_record(l, i));

        g_array_append_val(values, value);
    }
    *low = quantile(values, 0.1);
    *high = quantile(values, 0.9);
}

/* Does anything depend on these constants? */
static gboolean
matters(imig__learner *l, const struct stage *stage)
{
    double before, after, low = 0, high = 1;
    size_t measured = 0;
    const imig_constants start = l->constants;

    for (size_t i = 0; i < l->n; i++)
        measured += (imig__learner_record(l, i)->present & stage->measured) == stage->measured;
    if (2 * measured < l->n
        || (l->passed_over[IMIG__OFF_DOWNTIME] && stage->measured == IMIG_RECORD_HAS_DOWNTIME))
        return FALSE;
    if (stage->varies)
        imig__find_range(l, stage->varies, &low, &high);
    if (high <= VARIED * low)
        return FALSE;
    if (stage->constant[0] == IMIG__LINK_SHARE)
        return TRUE; /* all may be so far off that a little makes no difference */
    before = mean_loss(l);

    for (size_t i = 0; i < stage->n; i++)
        *constant_in(&l->constants, stage->constant[i]) += first_steps[stage->constant[i]];
    after = mean_loss(l);
    l->constants = start;
    return fabs(after - before) > 1e-6;
}

/* Lets a constant vary, unless it does. */
static void
add_free(imig__learner *l, int constant)
{
    for (size_t i = 0; i < l->free_count; i++)
        if (l->constant[i] == constant)
            return;
    l->constant[l->free_count++] = constant;
}

void
imig__learn(imig__learner *l, imig__judged *best)
{
    const imig_constants assumed = l->constants;
    imig__off before, after;
    gboolean taken[G_N_ELEMENTS(stages)] = { FALSE };
    size_t kept = 0;

    l->free_count = 0;
    *best = imig__judge(l);
    before = off_of_all(l);
    /* Twice: what does not help alone may help beside what was found later. */
    for (size_t turn = 0; turn < 2 * G_N_ELEMENTS(stages); turn++) {
        size_t s = turn % G_N_ELEMENTS(stages);
        imig__judged now;

        if (taken[s] || !matters(l, &stages[s]))
            continue;
        l->constants = assumed;
        l->free_count = kept;
        for (size_t i = 0; i < stages[s].n; i++)
            add_free(l, stages[s].constant[i]);
        now = imig__judge(l);
        if (now.loss < WORTH * best->loss && imig__no_worse(&now.off, &best->off)
            && is_better(&now.off, &best->off)) {
            imig__judged_clear(best);
            *best = now;
            kept = l->free_count;
            taken[s] = TRUE;
        } else {
            imig__judged_clear(&now);
        }
        l->free_count = kept;
        if (kept > 0)
            imig__fit(l);
    }
    /* The constants that are to be used are those of no fold. */
    after = off_of_all(l);
    if (kept > 0 && !imig__no_worse(&after, &before)) {
        imig__judged_clear(best);
        l->constants = assumed;
        l->free_count = 0;
        *best = imig__judge(l);
    }
}
