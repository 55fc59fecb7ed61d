/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/base-priv.h"

#include <imig/model.h>
#include <math.h>

/*
 * Both curves are W h(t / tau) with tau = W / D.  For a given tau the best W has a closed form, so
 * one number is searched for: on a grid, then between the neighbours of its best point.
 */
enum { GRID = 96, STEPS = 60 };

/* Points bend where a line misses them by more than this share of the last one ... */
static const double line_misses_ratio = 0.01;
/* ... and where the curve misses them by less than this share of what the line does. */
static const double curve_misses_ratio = 0.7;
/* Two curves that miss them by the same share, but for rounding, are as good as each other. */
static const double same_ratio = 1e-6;

/* In units of the last point. */
struct points {
    double *elapsed, *dirtied;
    size_t n;
};

struct fit {
    double tau, plateau, residual;
};

static double
shape(int32_t writes, double taus)
{
    return writes == IMIG_WRITES_CYCLIC ? MIN(taus, 1) : -expm1(-taus);
}

static struct fit
fit_at(const struct points *p, int32_t writes, double tau)
{
    struct fit fit = { .tau = tau };
    double yh = 0, hh = 0, squares = 0;

    for (size_t i = 0; i < p->n; i++) {
        double h = shape(writes, p->elapsed[i] / tau);

        yh += p->dirtied[i] * h;
        hh += h * h;
    }
    fit.plateau = yh / hh;
    for (size_t i = 0; i < p->n; i++) {
        double misses = p->dirtied[i] - fit.plateau * shape(writes, p->elapsed[i] / tau);

        squares += misses * misses;
    }
    fit.residual = sqrt(squares / (double) p->n);
    return fit;
}

/* The best fit with tau from .. to: golden section in its logarithm, around the best of a grid. */
static struct fit
fit_between(const struct points *p, int32_t writes, double from, double to)
{
    const double golden = (sqrt(5) - 1) / 2;
    double step = log(to / from) / GRID, low, high;
    struct fit best = { .residual = INFINITY };
    int best_at = 0;

    for (int i = 0; i <= GRID; i++) {
        struct fit fit = fit_at(p, writes, from * exp(i * step));

        if (fit.residual < best.residual) {
            best = fit;
            best_at = i;
        }
    }
    low = MAX(best_at - 1, 0) * step;
    high = MIN(best_at + 1, GRID) * step;
    for (int i = 0; i < STEPS; i++) {
        struct fit a = fit_at(p, writes, from * exp(high - golden * (high - low)));
        struct fit b = fit_at(p, writes, from * exp(low + golden * (high - low)));

        if (a.residual < b.residual)
            high = low + golden * (high - low);
        else
            low = high - golden * (high - low);
        best = a.residual < best.residual ? a : best;
        best = b.residual < best.residual ? b : best;
    }
    return best;
}

static int
check_points(const double *elapsed_s, const double *dirtied_bytes, size_t n, imig_error **error)
{
    for (size_t i = 0; i < n; i++) {
        double before_s = i > 0 ? elapsed_s[i - 1] : 0, before = i > 0 ? dirtied_bytes[i - 1] : 0;

        if (!isfinite(elapsed_s[i]) || elapsed_s[i] <= before_s)
            return imig__fail(error, IMIG_ERR_ARGUMENT, "elapsed_s[%zu]: %g is not a number > %g",
                              i, elapsed_s[i], before_s);
        if (!isfinite(dirtied_bytes[i]) || dirtied_bytes[i] < before)
            return imig__fail(error, IMIG_ERR_ARGUMENT,
                              "dirtied_bytes[%zu]: %g is not a number >= %g", i, dirtied_bytes[i],
                              before);
    }
    return IMIG_OK;
}

int
imig_dirty_fit(const double *elapsed_s, const double *dirtied_bytes, size_t n,
               double *dirty_bytes_per_s, double *working_set_bytes, int32_t *writes,
               double *residual_bytes, imig_error **error)
{
    struct points p;
    struct fit line, curve, cyclic;
    double last_s, last_bytes;
    int32_t form = IMIG_WRITES_RANDOM;
    int rc;

    if (!elapsed_s || !dirtied_bytes || n == 0)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "there are no points");
    if (!dirty_bytes_per_s || !working_set_bytes || !writes)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "an output is NULL");
    rc = check_points(elapsed_s, dirtied_bytes, n, error);
    if (rc != IMIG_OK)
        return rc;

    last_s = elapsed_s[n - 1];
    last_bytes = dirtied_bytes[n - 1] > 0 ? dirtied_bytes[n - 1] : 1;
    p = (struct points) { g_new(double, n), g_new(double, n), n };
    for (size_t i = 0; i < n; i++) {
        p.elapsed[i] = elapsed_s[i] / last_s;
        p.dirtied[i] = dirtied_bytes[i] / last_bytes;
    }
    /* A cycle that is not through by the last point is a line. */
    line = curve = fit_at(&p, IMIG_WRITES_CYCLIC, 1);
    if (line.residual > line_misses_ratio) {
        /* What is full before the first point might have been so at any time before. */
        curve = fit_between(&p, IMIG_WRITES_RANDOM, p.elapsed[0] / 8, 8);
        cyclic = fit_between(&p, IMIG_WRITES_CYCLIC, p.elapsed[0], 1);
        if (cyclic.residual < curve.residual - same_ratio) {
            curve = cyclic;
            form = IMIG_WRITES_CYCLIC;
        }
    }
    g_free(p.elapsed);
    g_free(p.dirtied);

    if (curve.residual < line.residual * curve_misses_ratio) {
        *working_set_bytes = curve.plateau * last_bytes;
    } else {
        curve = line;
        form = IMIG_WRITES_RANDOM;
        *working_set_bytes = NAN;
    }
    *dirty_bytes_per_s = curve.plateau / curve.tau * last_bytes / last_s;
    *writes = form;
    if (residual_bytes)
        *residual_bytes = curve.residual * last_bytes;
    return IMIG_OK;
}
