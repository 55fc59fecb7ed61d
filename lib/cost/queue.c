/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cost/loss-priv.h"

#include <math.h>

enum { CURVES = 256 }; /* at most, 32 KiB each; hosts of further sizes do without */

/* Waiting vCPUs on a host with C cores: u^sqrt(2(C+1)) / (1-u) (Sakasegawa 1977). */
double
imig__queue(const imig__load *load, uint32_t host, double u)
{
    if (u <= 0)
        return 0;
    if (u > IMIG__KNEE)
        return load->knee[host] + load->knee_slope[host] * (u - IMIG__KNEE);
    return pow(u, load->exponent[host]) / (1 - u);
}

static double
queue_slope(double u, double exponent)
{
    return pow(u, exponent) / (1 - u) * (exponent / u + 1 / (1 - u));
}

double
imig__queue_price(const imig__load *load, uint32_t host, double u)
{
    if (u <= 0)
        return 0;
    return (u >= IMIG__KNEE ? load->knee_slope[host] : queue_slope(u, load->exponent[host]))
           / load->cores[host];
}

double
imig__queue_curvature(const imig__load *load, uint32_t host, double u)
{
    double k = load->exponent[host], a;

    if (u <= 0 || u > IMIG__KNEE)
        return 0;
    a = k / u + 1 / (1 - u);
    return pow(u, k) / (1 - u) * (a * a - k / (u * u) + 1 / ((1 - u) * (1 - u)))
           / (load->cores[host] * load->cores[host]);
}

/* The point of a host's curve before u, below the knee; t: how far beyond it, of a step. */
static const double *
point_before(const imig__load *load, uint32_t host, double u, double *t)
{
    double x = u * (IMIG__CURVE_STEPS / IMIG__KNEE);
    size_t step = MIN((size_t) x, IMIG__CURVE_STEPS - 1);

    *t = x - (double) step;
    return load->curves + (size_t) load->curve[host] * IMIG__CURVE + 2 * step;
}

/* A cubic between two points that has their values and slopes (Hermite). */
double
imig__queue_fast(const imig__load *load, uint32_t host, double u)
{
    const double *point;
    double t;

    if (u <= 0)
        return 0;
    if (u >= IMIG__KNEE)
        return load->knee[host] + load->knee_slope[host] * (u - IMIG__KNEE);
    if (load->curve[host] == IMIG__NO_CURVE)
        return imig__queue(load, host, u);
    point = point_before(load, host, u, &t);
    return (point[0] * (1 + 2 * t) + point[1] * t) * (1 - t) * (1 - t)
           + (point[2] * (3 - 2 * t) + point[3] * (t - 1)) * t * t;
}

double
imig__queue_price_fast(const imig__load *load, uint32_t host, double u)
{
    const double *point;
    double t;

    if (u <= 0 || u >= IMIG__KNEE || load->curve[host] == IMIG__NO_CURVE)
        return imig__queue_price(load, host, u);
    point = point_before(load, host, u, &t);
    return (6 * t * (1 - t) * (point[2] - point[0]) + point[1] * (1 - t) * (1 - 3 * t)
            + point[3] * t * (3 * t - 2))
           * (IMIG__CURVE_STEPS / IMIG__KNEE) / load->cores[host];
}

static void
draw_curve(const imig__load *load, uint32_t host, double *curve)
{
    const double step = IMIG__KNEE / IMIG__CURVE_STEPS;

    for (int i = 0; i <= IMIG__CURVE_STEPS; i++) {
        double u = i * step;

        curve[2 * i] = i > 0 ? pow(u, load->exponent[host]) / (1 - u) : 0;
        curve[2 * i + 1] = i > 0 ? step * queue_slope(u, load->exponent[host]) : 0;
    }
}

/* Hosts with the same number of cores share a curve. */
void
imig__queue_init(imig__load *load)
{
    GHashTable *known = g_hash_table_new(g_double_hash, g_double_equal);
    GArray *curves = g_array_new(FALSE, FALSE, IMIG__CURVE * sizeof(double));

    for (uint32_t h = 0; h < load->hosts; h++) {
        gpointer curve;

        load->exponent[h] = sqrt(2 * (load->cores[h] + 1));
        load->knee[h] = pow(IMIG__KNEE, load->exponent[h]) / (1 - IMIG__KNEE);
        load->knee_slope[h] = queue_slope(IMIG__KNEE, load->exponent[h]);
        load->curve[h] = IMIG__NO_CURVE;
        if (!g_hash_table_lookup_extended(known, &load->cores[h], NULL, &curve)) {
            if (curves->len >= CURVES)
                continue;
            curve = GUINT_TO_POINTER(curves->len);
            g_hash_table_insert(known, &load->cores[h], curve);
            g_array_set_size(curves, curves->len + 1);
            draw_curve(load, h, (double *) (void *) curves->data
                                    + (size_t) GPOINTER_TO_UINT(curve) * IMIG__CURVE);
        }
        load->curve[h] = GPOINTER_TO_UINT(curve);
    }
    load->curves = (double *) (void *) g_array_free(curves, FALSE);
    g_hash_table_unref(known);
}
