/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/base-priv.h"

#include <imig/model.h>
#include <math.h>

/*
 * Both curves are W h(t / tau) with tau = W / D.  For a given tau the best W has a closed form, so
 * one number is searched for: on a grid, then between the neighbours of its best point.
 */
enum { GRID = 96, STEPS = 60 };

/* Counted points bend where a line misses them by more than this share of the last one ... */
static const double line_misses_ratio = 0.01;
/* ... and where the curve misses them by less than this share of what the line does. */
static const double curve_misses_ratio = 0.7;
/* Two curves that miss them by the same share, but for rounding, are as good as each other. */
static const double same_ratio = 1e-6;
/* Sampled ones bend where the curve's deviance is less by this. */
static const double curve_gains = 2;

/* In units of the last point. */
struct points {
    double *elapsed, *dirtied;
    double *grain; /* NULL: all pages were counted */
    double middle; /* of the times, geometrically */
    size_t n;
};

struct fit {
    double tau, plateau;
    double misses; /* root mean square; of sampled points the deviance from the likeliest curve */
    double cost;   /* what the best has least of: the same, or with how unlikely tau is */
};

static double
shape(int32_t writes, double taus)
{
    return writes == IMIG_WRITES_CYCLIC ? MIN(taus, 1) : -expm1(-taus);
}

static double
root_mean_square(const struct points *p, int32_t writes, const struct fit *fit)
{
    double squares = 0;

    for (size_t i = 0; i < p->n; i++) {
        double misses = p->dirtied[i] - fit->plateau * shape(writes, p->elapsed[i] / fit->tau);

        squares += misses * misses;
    }
    return sqrt(squares / (double) p->n);
}

/* Least squares. */
static struct fit
fit_counted(const struct points *p, int32_t writes, double tau)
{
    struct fit fit = { .tau = tau };
    double yh = 0, hh = 0;

    for (size_t i = 0; i < p->n; i++) {
        double h = shape(writes, p->elapsed[i] / tau);

        yh += p->dirtied[i] * h;
        hh += h * h;
    }
    fit.plateau = yh / hh;
    fit.misses = fit.cost = root_mean_square(p, writes, &fit);
    return fit;
}

/* The largest likelihood of Poisson's distribution. */
static struct fit
fit_sampled(const struct points *p, int32_t writes, double tau)
{
    struct fit fit = { .tau = tau };
    double pages = 0, expected = 0, off = log(tau / p->middle);

    for (size_t i = 0; i < p->n; i++) {
        pages += p->dirtied[i] / p->grain[i];
        expected += shape(writes, p->elapsed[i] / tau) / p->grain[i];
    }
    fit.plateau = pages / expected;
    for (size_t i = 0; i < p->n; i++) {
        double mean = fit.plateau * shape(writes, p->elapsed[i] / tau), seen = p->dirtied[i];

        fit.misses += 2 * ((seen > 0 ? seen * log(seen / mean) : 0) - (seen - mean)) / p->grain[i];
    }
    fit.cost = fit.misses + off * off;
    return fit;
}

static struct fit
fit_at(const struct points *p, int32_t writes, double tau)
{
    return p->grain ? fit_sampled(p, writes, tau) : fit_counted(p, writes, tau);
}

/* The best fit with tau from .. to: golden section in its logarithm, around the best of a grid. */
static struct fit
fit_between(const struct points *p, int32_t writes, double from, double to)
{
    const double golden = (sqrt(5) - 1) / 2;
    double step = log(to / from) / GRID, low, high;
    struct fit best = { .cost = INFINITY };
    int best_at = 0;

    for (int i = 0; i <= GRID; i++) {
        struct fit fit = fit_at(p, writes, from * exp(i * step));

        if (fit.cost < best.cost) {
            best = fit;
            best_at = i;
        }
    }
    low = MAX(best_at - 1, 0) * step;
    high = MIN(best_at + 1, GRID) * step;
    for (int i = 0; i < STEPS; i++) {
        struct fit a = fit_at(p, writes, from * exp(high - golden * (high - low)));
        struct fit b = fit_at(p, writes, from * exp(low + golden * (high - low)));

        if (a.cost < b.cost)
            high = low + golden * (high - low);
        else
            low = high - golden * (high - low);
        best = a.cost < best.cost ? a : best;
        best = b.cost < best.cost ? b : best;
    }
    return best;
}

static int
check_points(const double *elapsed_s, const double *dirtied_bytes, const double *grain_bytes,
             size_t n, imig_error **error)
{
    for (size_t i = 0; i < n; i++) {
        double before_s = i > 0 ? elapsed_s[i - 1] : 0;
        double least = i > 0 && !grain_bytes ? dirtied_bytes[i - 1] : 0;

        if (!isfinite(elapsed_s[i]) || elapsed_s[i] <= before_s)
            return imig__fail(error, IMIG_ERR_ARGUMENT, "elapsed_s[%zu]: %g is not a number > %g",
                              i, elapsed_s[i], before_s);
        if (!isfinite(dirtied_bytes[i]) || dirtied_bytes[i] < least)
            return imig__fail(error, IMIG_ERR_ARGUMENT,
                              "dirtied_bytes[%zu]: %g is not a number >= %g", i, dirtied_bytes[i],
                              least);
        if (grain_bytes && !(isfinite(grain_bytes[i]) && grain_bytes[i] > 0))
            return imig__fail(error, IMIG_ERR_ARGUMENT, "grain_bytes[%zu]: %g is not a number > 0",
                              i, grain_bytes[i]);
    }
    return IMIG_OK;
}

static gboolean
is_any(const double *values, size_t n)
{
    for (size_t i = 0; values && i < n; i++)
        if (values[i] != 0)
            return TRUE;
    return FALSE;
}

/* FALSE: the points do not bend, and the line is the best that can be said. */
static gboolean
bends(const struct points *p, const struct fit *line, struct fit *curve, int32_t *writes)
{
    double enough = p->grain ? line->misses - curve_gains : line->misses * curve_misses_ratio;
    struct fit cyclic;

    if (line->misses <= (p->grain ? curve_gains : line_misses_ratio))
        return FALSE;
    /* What is full before the first point might have been so at any time before. */
    *curve = fit_between(p, IMIG_WRITES_RANDOM, p->elapsed[0] / 8, 8);
    cyclic = fit_between(p, IMIG_WRITES_CYCLIC, p->elapsed[0], 1);
    *writes = IMIG_WRITES_RANDOM;
    if (cyclic.cost < curve->cost - same_ratio) {
        *curve = cyclic;
        *writes = IMIG_WRITES_CYCLIC;
    }
    return curve->misses < enough;
}

int
imig_dirty_fit_sampled(const double *elapsed_s, const double *dirtied_bytes,
                       const double *grain_bytes, size_t n, double *dirty_bytes_per_s,
                       double *working_set_bytes, int32_t *writes, double *residual_bytes,
                       imig_error **error)
{
    gboolean sampled = is_any(grain_bytes, n);
    struct fit line, curve;
    struct points p;
    double last_s, last_bytes;
    int32_t form = IMIG_WRITES_RANDOM;
    int rc;

    if (!elapsed_s || !dirtied_bytes || n == 0)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "there are no points");
    if (!dirty_bytes_per_s || !working_set_bytes || !writes)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "an output is NULL");
    rc = check_points(elapsed_s, dirtied_bytes, sampled ? grain_bytes : NULL, n, error);
    if (rc != IMIG_OK)
        return rc;

    last_s = elapsed_s[n - 1];
    last_bytes = dirtied_bytes[n - 1] > 0 ? dirtied_bytes[n - 1] : 1;
    p = (struct points) {
        g_new(double, n), g_new(double, n), sampled ? g_new(double, n) : NULL,
        sqrt(elapsed_s[0] / last_s), n,
    };
    for (size_t i = 0; i < n; i++) {
        p.elapsed[i] = elapsed_s[i] / last_s;
        p.dirtied[i] = dirtied_bytes[i] / last_bytes;
        if (sampled)
            p.grain[i] = grain_bytes[i] / last_bytes;
    }
    /* A cycle that is not through by the last point is a line. */
    line = fit_at(&p, IMIG_WRITES_CYCLIC, 1);
    if (bends(&p, &line, &curve, &form)) {
        *working_set_bytes = curve.plateau * last_bytes;
    } else {
        curve = line;
        form = IMIG_WRITES_CYCLIC;
        *working_set_bytes = NAN;
    }
    *dirty_bytes_per_s = curve.plateau / curve.tau * last_bytes / last_s;
    *writes = isnan(*working_set_bytes) ? IMIG_WRITES_RANDOM : form;
    if (residual_bytes)
        *residual_bytes = root_mean_square(&p, form, &curve) * last_bytes;
    g_free(p.elapsed);
    g_free(p.dirtied);
    g_free(p.grain);
    return IMIG_OK;
}

int
imig_dirty_fit(const double *elapsed_s, const double *dirtied_bytes, size_t n,
               double *dirty_bytes_per_s, double *working_set_bytes, int32_t *writes,
               double *residual_bytes, imig_error **error)
{
    return imig_dirty_fit_sampled(elapsed_s, dirtied_bytes, NULL, n, dirty_bytes_per_s,
                                  working_set_bytes, writes, residual_bytes, error);
}
