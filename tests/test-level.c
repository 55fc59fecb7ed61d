/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "aim-fixture.h"

static gboolean
is_within(const aim_world *w, const imig__state *state)
{
    for (uint32_t h = 0; h < state->load->hosts; h++)
        if (imig__level_over(w->problem.space, &w->limits, state, h))
            return FALSE;
    return TRUE;
}

static void
set_limits(aim_world *w, double tolerance)
{
    imig__level_limits(w->problem.space, w->home, w->empties, tolerance, &w->limits, w->mean_cpu,
                       w->mean_memory);
}

static double
bound_of(const aim_world *w)
{
    return imig__level_bound(w->problem.space, w->home, &w->limits, w->problem.space->fixed);
}

static void
visit_bytes(const aim_world *w, const imig__state *state, void *data)
{
    double *least = data, bytes = aim_bytes(state);

    if (bytes < *least && is_within(w, state))
        *least = bytes;
}

static gboolean
level(aim_world *w, imig__state *state, uint64_t seed)
{
    const imig__level_options options = { .seed = seed, .effort = 1 };

    return imig__level(w->problem.space, state, &w->limits, &options);
}

/*
 * Every placement of small clusters: none within the limits is below the bound, and the search
 * finds the cheapest, or, where there is none, says so.
 */
static void
small_clusters_are_levelled_at_least_bytes(void **unused)
{
    uint32_t reached = 0, best = 0, tight = 0;

    (void) unused;
    for (uint64_t seed = 1; seed <= 120; seed++) {
        const aim_shape shape = {
            .hosts = seed % 2 ? 3 : 4, .vms = seed % 2 ? 9 : 7, .whole = seed % 3 != 0,
            .unequal = seed % 4 == 1, .reserved = seed % 5 == 2, .pools = seed % 6 == 4,
            .tied = seed % 2 == 0,
        };
        aim_world w;
        double least = INFINITY, bound;
        imig__state *state;
        gboolean within;

        aim_world_init(&w, &shape, seed);
        set_limits(&w, seed % 7 ? 0.25 : 0.1);
        state = imig__state_new(w.problem.load);
        aim_try_all(&w, state, 0, visit_bytes, &least);
        bound = bound_of(&w);
        within = level(&w, state, seed);
        assert_int_equal(within, is_within(&w, state));
        assert_true(aim_is_allowed(&w, state));
        if (bound > least * (1 + 1e-12))
            fail_msg("seed %d: bound %.12g, but a placement has %.12g", (int) seed, bound, least);
        if (isinf(least) && within)
            fail_msg("seed %d: within limits that no placement keeps", (int) seed);
        if (!isinf(least)) {
            reached += (uint32_t) within;
            best += within && aim_bytes(state) <= least * (1 + 1e-9);
            tight += bound >= least * 0.98;
            if (!within)
                fail_msg("seed %d: not reached, but it can be with %.6g bytes", (int) seed, least);
        }
        imig__state_free(state);
        aim_world_clear(&w);
    }
    print_message("%u reached, %u of them with the fewest bytes, bound within 2 %% of %u\n",
                  reached, best, tight);
    assert_true(reached > 50 && best == reached);
}

struct least_over {
    double over;
};

static double
all_over(const aim_world *w, const imig__state *state)
{
    const imig__space *space = w->problem.space;
    double over = 0;

    for (uint32_t h = 0; h < state->load->hosts; h++) {
        const imig__sums *sums = &state->sums[h];
        double memory = sums->memory + sums->count * space->overhead[h];

        over += MAX(sums->cpu / w->limits.cpu[h] - 1, 0)
                + MAX(memory / w->limits.memory[h] - 1, 0);
    }
    return over;
}

/* A VM that no host can hold within its limits: the rest is levelled, and nothing loops. */
static void
what_cannot_be_reached_is_as_near_as_it_gets(void **unused)
{
    uint32_t cases = 0;

    (void) unused;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        const aim_shape shape = { .hosts = 6, .vms = 30, .whole = TRUE, .tied = seed % 2 };
        aim_world w;
        imig__state *state;
        double before, after, bytes;

        aim_world_init(&w, &shape, seed);
        set_limits(&w, 0.0);
        state = imig__state_new(w.problem.load);
        before = all_over(&w, state);
        if (!level(&w, state, seed)) {
            cases++;
            after = all_over(&w, state);
            bytes = aim_bytes(state);
            assert_true(after < 0.5 * before);
            assert_true(bytes > 0);
        }
        assert_true(aim_is_allowed(&w, state));
        for (uint32_t h = 0; h < shape.hosts; h++)
            assert_true(imig__space_excess(w.problem.space, state, h) == 0);
        imig__state_free(state);
        aim_world_clear(&w);
    }
    assert_true(cases > 10);
}

/* The limits follow the pool's mean, and never leave the room of a host. */
static void
limits_follow_the_mean_of_the_pool(void **unused)
{
    const aim_shape shape = { .hosts = 4, .vms = 12, .whole = TRUE, .unequal = TRUE,
                              .reserved = TRUE, .pools = TRUE };
    aim_world w;

    (void) unused;
    aim_world_init(&w, &shape, 3);
    set_limits(&w, 0.1);
    for (uint32_t pool = 0; pool < 2; pool++) {
        double cpu = 0, memory = 0, cores = 0, room = 0;

        for (uint32_t h = 2 * pool; h < 2 * pool + 2; h++) {
            cpu += w.home->sums[h].cpu;
            memory += w.home->sums[h].memory + 2e8 * w.home->sums[h].count;
            cores += w.problem.load->cores[h];
            room += w.problem.space->room[h];
        }
        assert_true(fabs(w.mean_cpu[pool] - cpu / cores) < 1e-12);
        assert_true(fabs(w.mean_memory[pool] - memory / room) < 1e-12);
        for (uint32_t h = 2 * pool; h < 2 * pool + 2; h++) {
            assert_true(fabs(w.limits.cpu[h] - 1.1 * cpu / cores * w.problem.load->cores[h])
                        < 1e-9);
            assert_true(w.limits.memory[h] <= w.problem.space->room[h]);
        }
    }
    set_limits(&w, 100);
    for (uint32_t h = 0; h < 4; h++)
        assert_true(w.limits.memory[h] == w.problem.space->room[h]);
    aim_world_clear(&w);
}

/* What is within its limits stays as it is. */
static void
nothing_moves_where_nothing_is_over(void **unused)
{
    const aim_shape shape = { .hosts = 4, .vms = 20, .whole = TRUE };
    aim_world w;
    imig__state *state;

    (void) unused;
    aim_world_init(&w, &shape, 1);
    set_limits(&w, 100);
    state = imig__state_new(w.problem.load);
    assert_true(level(&w, state, 1));
    assert_true(aim_bytes(state) == 0);
    assert_true(bound_of(&w) == 0);
    imig__state_free(state);
    aim_world_clear(&w);
}

/* More hosts than are levelled at a time; the sum of the parts is as good. */
static void
a_large_pool_is_levelled_in_parts(void **unused)
{
    const aim_shape shape = { .hosts = 800, .vms = 4800, .whole = TRUE };
    aim_world w;
    imig__state *state;
    double bytes, bound;

    (void) unused;
    aim_world_init(&w, &shape, 5);
    set_limits(&w, 0.2);
    state = imig__state_new(w.problem.load);
    assert_true(level(&w, state, 1));
    bytes = aim_bytes(state);
    bound = bound_of(&w);
    print_message("%.4f x the bound\n", bytes / bound);
    assert_true(bound > 0 && bytes >= bound && bytes <= 1.02 * bound);
    imig__state_free(state);
    aim_world_clear(&w);
}

/* The same seed, the same placement. */
static void
it_depends_on_the_seed_alone(void **unused)
{
    const aim_shape shape = { .hosts = 8, .vms = 50, .tied = TRUE };
    aim_world w;
    imig__state *one, *two;

    (void) unused;
    aim_world_init(&w, &shape, 9);
    set_limits(&w, 0.15);
    one = imig__state_new(w.problem.load);
    two = imig__state_new(w.problem.load);
    level(&w, one, 4);
    level(&w, two, 4);
    assert_memory_equal(one->host, two->host, shape.vms * sizeof(uint32_t));
    imig__state_free(one);
    imig__state_free(two);
    aim_world_clear(&w);
}

/* Other destinations of VMs that move: no bytes more, within the limits, and less loss. */
static void
polishing_costs_no_bytes(void **unused)
{
    (void) unused;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        const aim_shape shape = { .hosts = 8, .vms = 40, .whole = TRUE, .tied = seed % 2 };
        aim_world w;
        imig__state *state;
        double bytes, loss;

        aim_world_init(&w, &shape, seed);
        set_limits(&w, 0.3);
        state = imig__state_new(w.problem.load);
        if (level(&w, state, seed)) {
            bytes = aim_bytes(state);
            loss = imig__state_loss(state);
            imig__level_polish(w.problem.space, state, &w.limits, 0, seed);
            assert_true(aim_bytes(state) == bytes);
            assert_true(imig__state_loss(state) <= loss + 1e-9);
            assert_true(is_within(&w, state));
            assert_true(aim_is_allowed(&w, state));
        }
        imig__state_free(state);
        aim_world_clear(&w);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_clusters_are_levelled_at_least_bytes),
        cmocka_unit_test(what_cannot_be_reached_is_as_near_as_it_gets),
        cmocka_unit_test(limits_follow_the_mean_of_the_pool),
        cmocka_unit_test(nothing_moves_where_nothing_is_over),
        cmocka_unit_test(a_large_pool_is_levelled_in_parts),
        cmocka_unit_test(it_depends_on_the_seed_alone),
        cmocka_unit_test(polishing_costs_no_bytes),
    };

    return cmocka_run_group_tests_name("level", tests, NULL, NULL);
}
