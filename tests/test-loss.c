/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "clusters.h"
#include "cost/loss-priv.h"

#include <math.h>

enum { LABELS = IMIG_WORKLOAD_COUNT };

struct world {
    imig_cluster *cluster;
    imig__load *load;
    imig__state *state;
    double slowdown[LABELS * LABELS];
};

static void
world_init(struct world *w, const cluster_shape *shape, uint64_t seed)
{
    int32_t *workload = g_new(int32_t, shape->vms);
    uint32_t *label = g_new(uint32_t, shape->vms);
    uint64_t key = 1 << 20;

    w->cluster = make_cluster(shape, seed, workload);
    for (uint32_t v = 0; v < shape->vms; v++)
        label[v] = (uint32_t) workload[v];
    for (int i = 0; i < LABELS * LABELS; i++)
        w->slowdown[i] = uniform(seed, &key, 0, 0.4);
    w->load = imig__load_new(w->cluster, workload, label, LABELS, w->slowdown,
                             &imig__loss_defaults);
    w->state = imig__state_new(w->load);
    g_free(workload);
    g_free(label);
}

static void
world_clear(struct world *w)
{
    imig__state_free(w->state);
    imig__load_free(w->load);
    imig_cluster_unref(w->cluster);
}

static const cluster_shape busy = { .hosts = 7, .vms = 60, .cpu = 0.7, .memory = 0.5,
                                    .flows = 40, .skew = 1, .unequal = 1, .measured = 1 };

/* The objective written down as it is defined: sums over pairs, nothing incremental. */
static double
loss_by_definition(const struct world *w)
{
    const imig__load *load = w->load;
    double loss = 0;

    for (uint32_t h = 0; h < load->hosts; h++) {
        double c = load->cores[h], cpu = 0, rx = 0, tx = 0, ops = load->disk[h];
        double k = sqrt(2 * (c + 1)), u, at = 0.9;

        for (uint32_t i = 0; i < load->vms; i++) {
            if (w->state->host[i] != h)
                continue;
            cpu += load->brings[i].cpu;
            rx += load->brings[i].rx;
            tx += load->brings[i].tx;
            for (uint32_t j = 0; j < load->vms; j++) {
                double s = w->slowdown[load->label[i] * LABELS + load->label[j]];

                if (j == i || w->state->host[j] != h)
                    continue;
                loss += load->brings[i].cpu * s * load->brings[j].cpu / c;
                loss += load->brings[i].disk_use * load->brings[j].disk / ops;
            }
        }
        for (size_t f = 0; f < w->cluster->flow_count; f++) {
            const imig__flow *flow = &w->cluster->flows[f];

            if (w->state->host[flow->a] == h && w->state->host[flow->b] == h) {
                rx -= flow->bytes_per_s;
                tx -= flow->bytes_per_s;
            }
        }
        u = cpu / c;
        if (u > at) {
            double q = pow(at, k) / (1 - at);

            loss += q + q * (k / at + 1 / (1 - at)) * (u - at);
        } else {
            loss += pow(u, k) / (1 - u);
        }
        rx = MAX(rx, 0) / load->net[h];
        tx = MAX(tx, 0) / load->net[h];
        assert_true(rx < at && tx < at);
        loss += rx * rx / (1 - rx) + tx * tx / (1 - tx);
    }
    for (size_t f = 0; f < w->cluster->flow_count; f++) {
        const imig__flow *flow = &w->cluster->flows[f];

        if (w->state->host[flow->a] != w->state->host[flow->b])
            loss += flow->bytes_per_s * imig__loss_defaults.communication_price;
    }
    return loss;
}

static void
assert_close(double a, double b)
{
    if (fabs(a - b) > 1e-8 * (1 + fabs(a)))
        fail_msg("%.17g is not %.17g", a, b);
}

static void
the_sums_are_the_definition(void **unused)
{
    (void) unused;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct world w;
        uint64_t key = 0;

        world_init(&w, &busy, seed);
        assert_close(imig__state_loss(w.state), loss_by_definition(&w));
        for (int i = 0; i < 300; i++) {
            uint32_t v = (uint32_t) uniform(seed, &key, 0, busy.vms);
            uint32_t h = (uint32_t) uniform(seed, &key, 0, busy.hosts);
            double before = imig__state_loss(w.state);
            double delta = imig__state_delta(w.state, v, h);

            imig__state_move(w.state, v, h);
            assert_close(imig__state_loss(w.state) - before, delta);
        }
        assert_close(imig__state_loss(w.state), loss_by_definition(&w));
        world_clear(&w);
    }
}

static void
a_swap_is_two_moves(void **unused)
{
    cluster_shape shape = busy;
    struct world w;
    uint64_t key = 0;

    (void) unused;
    shape.flows = 0;
    world_init(&w, &shape, 3);
    for (int i = 0; i < 200; i++) {
        uint32_t v = (uint32_t) uniform(3, &key, 0, shape.vms);
        uint32_t u = (uint32_t) uniform(3, &key, 0, shape.vms);
        uint32_t a = w.state->host[v], b = w.state->host[u];
        double before = imig__state_loss(w.state), delta;

        if (a == b)
            continue;
        delta = imig__state_swap_delta(w.state, v, u, imig__state_cross(w.state, v, a),
                                       imig__state_cross(w.state, v, b),
                                       imig__state_cross(w.state, u, b),
                                       imig__state_cross(w.state, u, a));
        imig__state_move(w.state, v, b);
        imig__state_move(w.state, u, a);
        assert_close(imig__state_loss(w.state) - before, delta);
    }
    world_clear(&w);
}

static void
an_empty_host_is_exactly_empty(void **unused)
{
    struct world w;

    (void) unused;
    world_init(&w, &busy, 9);
    for (uint32_t v = 0; v < busy.vms; v++)
        imig__state_move(w.state, v, 1);
    for (uint32_t h = 0; h < busy.hosts; h++)
        if (h != 1)
            assert_true(w.state->sums[h].cpu == 0 && w.state->value[h] == 0);
    assert_close(imig__state_loss(w.state), loss_by_definition(&w));
    world_clear(&w);
}

/* Sakasegawa's approximation is exact for one server; beyond the knee, convex and finite. */
static void
the_queue_is_convex(void **unused)
{
    struct world w;

    (void) unused;
    world_init(&w, &busy, 1);
    for (double u = 0.01; u < 1.5; u += 0.01) {
        double step = 1e-5, c = w.load->cores[0];
        double slope = (imig__queue(w.load, 0, u + step) - imig__queue(w.load, 0, u - step))
                       / (2 * step);

        assert_true(imig__queue(w.load, 0, u + 0.01) > imig__queue(w.load, 0, u));
        assert_true(imig__queue_price(w.load, 0, u + 0.01)
                    >= imig__queue_price(w.load, 0, u) - 1e-12);
        if (fabs(u - 0.9) > 2e-5 && fabs(slope / c - imig__queue_price(w.load, 0, u))
                                        > 1e-4 * imig__queue_price(w.load, 0, u) + 1e-6)
            fail_msg("slope at %g: %g, not %g", u, slope / c,
                     imig__queue_price(w.load, 0, u));
    }
    assert_true(imig__queue(w.load, 0, 0) == 0);
    world_clear(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sums_are_the_definition),
        cmocka_unit_test(a_swap_is_two_moves),
        cmocka_unit_test(an_empty_host_is_exactly_empty),
        cmocka_unit_test(the_queue_is_convex),
    };

    return cmocka_run_group_tests_name("loss", tests, NULL, NULL);
}
