/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cost/calibrate-priv.h"

#include <math.h>
#include <string.h>

enum { LEAST_MIGRATIONS = 20, LEAST_PLANS = 3 };

static const double FAR = 0.5;           /* of a log of a ratio: not explained at all */
static const double PAIR_WORTH = 0.9;    /* likewise constants of their own for a pair */

static double
bandwidth(const imig_record *r)
{
    return r->bandwidth_bytes_per_s;
}

static double
dirty_rate(const imig_record *r)
{
    return r->dirty_bytes_per_s;
}

static void
write_errors(const imig__off *off, const imig__off *assumed, imig_constants *c)
{
    c->time_p50_ratio = off->p50[IMIG__OFF_TIME];
    c->time_p90_ratio = off->p90[IMIG__OFF_TIME];
    c->downtime_p50_ratio = off->p50[IMIG__OFF_DOWNTIME];
    c->downtime_p90_ratio = off->p90[IMIG__OFF_DOWNTIME];
    c->bytes_p50_ratio = off->p50[IMIG__OFF_BYTES];
    c->bytes_p90_ratio = off->p90[IMIG__OFF_BYTES];
    c->assumed_time_p50_ratio = assumed->p50[IMIG__OFF_TIME];
    c->assumed_time_p90_ratio = assumed->p90[IMIG__OFF_TIME];
}

static void
write_ranges(const imig__learner *l, imig_constants *c)
{
    imig__find_range(l, imig__record_first_bytes, &c->memory_low_bytes, &c->memory_high_bytes);
    imig__find_range(l, bandwidth, &c->bandwidth_low_bytes_per_s, &c->bandwidth_high_bytes_per_s);
    imig__find_range(l, dirty_rate, &c->dirty_low_bytes_per_s, &c->dirty_high_bytes_per_s);
}

/* Plans are dealt out to the folds in turn, as they come.  Returns how many there are. */
static uint32_t
deal(imig__learner *l)
{
    g_autoptr(GHashTable) plans = g_hash_table_new(g_str_hash, g_str_equal);
    uint32_t count = 0;

    for (size_t i = 0; i < l->n; i++) {
        const imig_record *r = imig__learner_record(l, i);
        const char *plan = r->plan ? r->plan : r->run;
        gpointer number;

        if (!plan) {
            l->fold[i] = count++ % IMIG__FOLDS;
        } else if (g_hash_table_lookup_extended(plans, plan, NULL, &number)) {
            l->fold[i] = GPOINTER_TO_UINT(number) % IMIG__FOLDS;
        } else {
            g_hash_table_insert(plans, (gpointer) plan, GUINT_TO_POINTER(count));
            l->fold[i] = count++ % IMIG__FOLDS;
        }
    }
    return count;
}

static int
check_enough(const imig__learner *l, uint32_t plans, imig_error **error)
{
    double least = INFINITY, most = 0;

    if (l->n < LEAST_MIGRATIONS)
        return imig__fail(error, IMIG_ERR_INVALID, "too few to learn from: %zu migration%s of %s "
                          "that ended well and whose duration is known, %d are needed", l->n,
                          l->n == 1 ? "" : "s", l->constants.hypervisor, LEAST_MIGRATIONS);
    if (plans < LEAST_PLANS)
        return imig__fail(error, IMIG_ERR_INVALID, "too few to learn from: the migrations of %s "
                          "belong to %u plan%s, %d are needed", l->constants.hypervisor, plans,
                          plans == 1 ? "" : "s", LEAST_PLANS);
    for (size_t i = 0; i < l->n; i++) {
        least = fmin(least, imig__learner_record(l, i)->duration_s);
        most = fmax(most, imig__learner_record(l, i)->duration_s);
    }
    if (least == most)
        return imig__fail(error, IMIG_ERR_INVALID, "nothing to learn: all %zu migrations of %s "
                          "took %g s", l->n, l->constants.hypervisor, least);
    return IMIG_OK;
}

/* How many measurements of a kind no constants explain; *of so many. */
static size_t
count_far(const imig__learner *l, const imig__judged *best, int kind, size_t *of)
{
    size_t far = 0;

    *of = 0;
    for (size_t i = 0; i < l->n; i++) {
        double measured = imig__learner_measured(l, imig__learner_record(l, i), kind);

        if (measured <= 0)
            continue;
        far += !(fabs(log(imig__predicted(&best->cost[i], kind) / measured)) < FAR);
        (*of)++;
    }
    return far;
}

/* Learns; and again without such measurements as most of which no constants explain. */
static void
learn_explained(imig__learner *l, imig__judged *best)
{
    const imig_constants assumed = l->constants;
    gboolean again = FALSE;
    size_t of;

    imig__learn(l, best);
    for (int k = IMIG__OFF_DOWNTIME; k < IMIG__OFF_KINDS; k++)
        if (2 * count_far(l, best, k, &of) > of)
            again = l->passed_over[k] = TRUE;
    if (!again)
        return;
    imig__judged_clear(best);
    l->constants = assumed;
    imig__learn(l, best);
}

static int
check_explained(const imig__learner *l, const imig__judged *best, imig_error **error)
{
    size_t of, far = count_far(l, best, IMIG__OFF_TIME, &of);

    if (2 * far > of)
        return imig__fail(error, IMIG_ERR_INVALID, "nothing to learn: %zu of %zu migrations of %s "
                          "took far more or less than any constants explain", far, l->n,
                          l->constants.hypervisor);
    return IMIG_OK;
}

/* Constants of a hypervisor from l->row. */
static int
learn_hypervisor(imig__learner *l, imig_calibration *into, imig_error **error)
{
    imig__judged assumed, best;
    uint32_t plans;
    int rc;

    l->fold = g_new(uint32_t, l->n + 1);
    plans = deal(l);
    rc = check_enough(l, plans, error);
    if (rc == IMIG_OK) {
        l->free_count = 0;
        assumed = imig__judge(l);
        learn_explained(l, &best);
        rc = check_explained(l, &best, error);
        if (rc == IMIG_OK) {
            write_errors(&best.off, &assumed.off, &l->constants);
            write_ranges(l, &l->constants);
            l->constants.migrations = (uint32_t) l->n;
            l->constants.plans = plans;
            imig__calibration_add(into, &l->constants);
        }
        imig__judged_clear(&assumed);
        imig__judged_clear(&best);
    }
    g_free(l->fold);
    return rc;
}

/* The share of the link between two hosts, where it is not that of the others. */
static void
learn_pair(imig__learner *l, const char *from, const char *to, imig_calibration *into)
{
    const imig_constants common = l->constants;
    imig__judged before, now;
    uint32_t plans;

    l->fold = g_new(uint32_t, l->n + 1);
    plans = deal(l);
    if (l->n >= LEAST_MIGRATIONS && plans >= LEAST_PLANS) {
        l->free_count = 0;
        before = imig__judge(l);
        l->constant[l->free_count++] = IMIG__LINK_SHARE;
        now = imig__judge(l);
        if (now.loss < PAIR_WORTH * before.loss && imig__no_worse(&now.off, &before.off)) {
            imig__fit(l);
            write_errors(&now.off, &before.off, &l->constants);
            write_ranges(l, &l->constants);
            l->constants.from = from;
            l->constants.to = to;
            l->constants.migrations = (uint32_t) l->n;
            l->constants.plans = plans;
            imig__calibration_add(into, &l->constants);
        }
        imig__judged_clear(&before);
        imig__judged_clear(&now);
    }
    l->constants = common;
    g_free(l->fold);
}

static int
compare_pairs(const void *a, const void *b, void *data)
{
    uint32_t i = *(const uint32_t *) a, j = *(const uint32_t *) b;
    const imig_record *x = imig__records_at(data, i), *y = imig__records_at(data, j);
    int order = g_strcmp0(x->from, y->from);

    if (order == 0)
        order = g_strcmp0(x->to, y->to);
    return order != 0 ? order : (i > j) - (i < j);
}

static void
learn_pairs(imig__learner *l, imig_calibration *into)
{
    size_t n = l->n;
    g_autofree uint32_t *row = g_memdup2(l->row, n * sizeof *row);

    g_qsort_with_data(row, (gint) n, sizeof *row, compare_pairs, (gpointer) l->records);
    for (size_t i = 0, end; i < n; i = end) {
        const imig_record *r = imig__records_at(l->records, row[i]), *other;

        for (end = i + 1; end < n; end++) {
            other = imig__records_at(l->records, row[end]);
            if (g_strcmp0(other->from, r->from) != 0 || g_strcmp0(other->to, r->to) != 0)
                break;
        }
        if (!r->from || !r->to)
            continue;
        l->row = row + i;
        l->n = end - i;
        learn_pair(l, r->from, r->to, into);
    }
}

static gboolean
teaches(const imig_record *r, const imig__hypervisor *hypervisor)
{
    const imig__hypervisor *own = imig__hypervisor_find(r->hypervisor);

    return own == hypervisor && r->outcome == IMIG_OUTCOME_DONE
           && r->present & IMIG_RECORD_HAS_DURATION && r->duration_s > 0;
}

static int
learn_all(const imig_records *records, imig__learner *l, imig_calibration *into, imig_error **error)
{
    size_t count = imig_records_count(records);
    g_autofree uint32_t *row = g_new(uint32_t, count + 1);
    imig_error *why = NULL;
    size_t most = 0;

    for (uint32_t h = 0; imig_hypervisor_name(h); h++) {
        const imig__hypervisor *hypervisor = imig__hypervisor_find(imig_hypervisor_name(h));
        imig_error *refused = NULL;

        l->row = row;
        l->n = 0;
        memset(l->passed_over, 0, sizeof l->passed_over);
        for (uint32_t i = 0; i < count; i++)
            if (teaches(imig__records_at(records, i), hypervisor))
                row[l->n++] = i;
        imig__constants_assumed(hypervisor, &l->constants);
        if (learn_hypervisor(l, into, &refused) == IMIG_OK) {
            learn_pairs(l, into);
        } else if (!why || l->n > most) {
            /* Of several that teach nothing, the one with most to say. */
            imig_error_free(why);
            why = g_steal_pointer(&refused);
            most = l->n;
        }
        imig_error_free(refused);
    }
    if (into->items->len == 0) {
        imig__fail(error, IMIG_ERR_INVALID, "%s", imig_error_message(why));
        imig_error_free(why);
        return IMIG_ERR_INVALID;
    }
    imig_error_free(why);
    return IMIG_OK;
}

int
imig_calibrate(const imig_records *records, imig_calibration **calibration, imig_error **error)
{
    imig__learner l = { .records = records, .hold = NAN, .left_out = -1 };
    imig_calibration *learned;
    double *duration_s;
    size_t count;
    int rc;

    if (!records || !calibration)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "records or calibration is NULL");
    count = imig_records_count(records);
    duration_s = g_new(double, count + 1);
    for (size_t i = 0; i < count; i++)
        duration_s[i] = imig__records_at(records, i)->duration_s;
    l.beside = imig__beside_new(records, duration_s);
    l.rate = g_new(double, count + 1);
    l.holds = g_new(double, count + 1);
    learned = imig__calibration_new();
    rc = learn_all(records, &l, learned, error);
    if (rc == IMIG_OK)
        *calibration = learned;
    else
        imig_calibration_unref(learned);
    imig__beside_free(l.beside);
    g_free(duration_s);
    g_free(l.rate);
    g_free(l.holds);
    return rc;
}
