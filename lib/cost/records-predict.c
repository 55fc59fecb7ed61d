/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cost/beside-priv.h"

#include <math.h>

/* Where nothing was measured, times decide who runs beside whom, and that decides times. */
enum { TURNS = 30 };
static const double SETTLED = 1e-3;

struct prediction {
    const imig_records *records;
    const imig_constants **constants; /* [n] */
    double *hold, *duration_s, *rate; /* [n] */
    imig_cost *cost;                  /* [n] */
};

static gboolean
is_measured(const imig_record *r)
{
    return r->present & IMIG_RECORD_HAS_DURATION && r->duration_s > 0;
}

/* Returns by how much a time changed, at most, as a share of it. */
static double
turn(struct prediction *p)
{
    imig__beside *beside = imig__beside_new(p->records, p->duration_s);
    double change = 0;

    imig__beside_rates(beside, p->hold, p->rate);
    imig__beside_free(beside);
    for (size_t i = 0; i < imig_records_count(p->records); i++) {
        const imig_record *r = imig__records_at(p->records, i);

        imig__record_predict(r, p->constants[i], p->rate[i], &p->cost[i]);
        if (is_measured(r))
            continue;
        change = fmax(change, fabs(p->cost[i].time_s / p->duration_s[i] - 1));
        p->duration_s[i] = (p->duration_s[i] + p->cost[i].time_s) / 2;
    }
    return change;
}

static void
predict(struct prediction *p)
{
    for (size_t i = 0; i < imig_records_count(p->records); i++) {
        const imig_record *r = imig__records_at(p->records, i);

        if (is_measured(r)) {
            p->duration_s[i] = r->duration_s;
            continue;
        }
        imig__record_predict(r, p->constants[i], r->bandwidth_bytes_per_s, &p->cost[i]);
        p->duration_s[i] = p->cost[i].time_s;
    }
    for (int i = 0; i < TURNS && turn(p) > SETTLED; i++)
        ;
}

int
imig_records_predict(const imig_records *records, const imig_calibration *calibration,
                     double *time_s, double *downtime_s, double *transferred_bytes,
                     double *slowdown_ratio, uint32_t *rounds, int32_t *converges,
                     double *time_p90_ratio, imig_error **error)
{
    g_autofree imig_constants *assumed = imig__constants_all_assumed();
    struct prediction p = { .records = records };
    size_t n;

    if (!records)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "records is NULL");
    n = imig_records_count(records);
    p.constants = g_new(const imig_constants *, n + 1);
    p.hold = g_new(double, n + 1);
    p.duration_s = g_new(double, n + 1);
    p.rate = g_new(double, n + 1);
    p.cost = g_new0(imig_cost, n + 1);
    for (size_t i = 0; i < n; i++) {
        const imig_record *r = imig__records_at(records, i);
        const imig_constants *pair = imig__calibration_pair(calibration, r->hypervisor, r->from,
                                                            r->to);

        p.constants[i] = pair ? pair
                              : imig__calibration_lookup(calibration, assumed, r->hypervisor);
        p.hold[i] = p.constants[i]->receive_hold_ratio;
    }
    predict(&p);
    for (size_t i = 0; i < n; i++) {
        imig__record_errors(imig__records_at(records, i), p.constants[i], &p.cost[i]);
        if (time_s)
            time_s[i] = p.cost[i].time_s;
        if (downtime_s)
            downtime_s[i] = p.cost[i].downtime_s;
        if (transferred_bytes)
            transferred_bytes[i] = p.cost[i].transferred_bytes;
        if (slowdown_ratio)
            slowdown_ratio[i] = p.cost[i].slowdown_ratio;
        if (rounds)
            rounds[i] = p.cost[i].rounds;
        if (converges)
            converges[i] = p.cost[i].converges;
        if (time_p90_ratio)
            time_p90_ratio[i] = p.cost[i].time_p90_ratio;
    }
    g_free(p.constants);
    g_free(p.hold);
    g_free(p.duration_s);
    g_free(p.rate);
    g_free(p.cost);
    return IMIG_OK;
}
