/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cost/minimise-priv.h"

#include <glib.h>
#include <string.h>

static const double CLOSE = 1e-7; /* best and worst corner differ by less than this share */

typedef struct simplex {
    double point[IMIG__MINIMISE_MAX + 1][IMIG__MINIMISE_MAX], at[IMIG__MINIMISE_MAX + 1];
    size_t n;
    imig__minimise_fn *value;
    void *data;
} simplex;

/* Best first; corners that are equal keep their places. */
static void
sort(simplex *s)
{
    for (size_t i = 1; i <= s->n; i++)
        for (size_t k = i; k > 0 && s->at[k] < s->at[k - 1]; k--) {
            double at = s->at[k], point[IMIG__MINIMISE_MAX];

            memcpy(point, s->point[k], sizeof point);
            s->at[k] = s->at[k - 1];
            memcpy(s->point[k], s->point[k - 1], sizeof point);
            s->at[k - 1] = at;
            memcpy(s->point[k - 1], point, sizeof point);
        }
}

/* The point so many times as far from the centre of the others as the worst one, away from it. */
static double
move(simplex *s, const double *centre, double times, double *point)
{
    for (size_t i = 0; i < s->n; i++)
        point[i] = centre[i] + times * (centre[i] - s->point[s->n][i]);
    return s->value(point, s->data);
}

static void
replace_worst(simplex *s, const double *point, double at)
{
    memcpy(s->point[s->n], point, s->n * sizeof *point);
    s->at[s->n] = at;
}

static void
shrink(simplex *s)
{
    for (size_t k = 1; k <= s->n; k++) {
        for (size_t i = 0; i < s->n; i++)
            s->point[k][i] = (s->point[0][i] + s->point[k][i]) / 2;
        s->at[k] = s->value(s->point[k], s->data);
    }
}

/* Returns how often the function was asked. */
static size_t
step_once(simplex *s)
{
    double centre[IMIG__MINIMISE_MAX] = { 0 }, point[IMIG__MINIMISE_MAX], other[IMIG__MINIMISE_MAX];
    double at, further;

    for (size_t k = 0; k < s->n; k++)
        for (size_t i = 0; i < s->n; i++)
            centre[i] += s->point[k][i] / (double) s->n;
    at = move(s, centre, 1, point);
    if (at < s->at[0]) {
        further = move(s, centre, 2, other);
        replace_worst(s, further < at ? other : point, MIN(further, at));
        return 2;
    }
    if (at < s->at[s->n - 1]) {
        replace_worst(s, point, at);
        return 1;
    }
    further = move(s, centre, at < s->at[s->n] ? 0.5 : -0.5, other);
    if (further < MIN(at, s->at[s->n])) {
        replace_worst(s, other, further);
        return 2;
    }
    shrink(s);
    return 2 + s->n;
}

double
imig__minimise(imig__minimise_fn *value, void *data, double *x, const double *step, size_t n,
               size_t evaluations)
{
    simplex s = { .n = n, .value = value, .data = data };
    size_t asked = n + 1;

    g_assert(n >= 1 && n <= IMIG__MINIMISE_MAX);
    for (size_t k = 0; k <= n; k++) {
        memcpy(s.point[k], x, n * sizeof *x);
        if (k > 0)
            s.point[k][k - 1] += step[k - 1];
        s.at[k] = value(s.point[k], data);
    }
    for (sort(&s); asked < evaluations && s.at[n] - s.at[0] > CLOSE * s.at[0]; sort(&s))
        asked += step_once(&s);
    sort(&s);
    memcpy(x, s.point[0], n * sizeof *x);
    return s.at[0];
}
