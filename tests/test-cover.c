/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "cost/cover-priv.h"
#include "policy/random-priv.h"

#include <math.h>
#include <string.h>

enum { MOST = 12 };

static double
uniform(uint64_t seed, uint64_t *key)
{
    return (double) (imig__random(seed, (*key)++) >> 11) / 9007199254740992.0;
}

/* The bytes of the cheapest of all sets. */
static double
try_all(const imig__cover_item *items, size_t n, double need_memory, double need_cpu)
{
    double least = INFINITY;

    for (uint32_t set = 0; set < 1u << n; set++) {
        double bytes = 0, memory = 0, cpu = 0;

        for (size_t i = 0; i < n; i++)
            if (set & 1u << i) {
                bytes += items[i].bytes;
                memory += items[i].memory;
                cpu += items[i].cpu;
            }
        if (memory >= need_memory && cpu >= need_cpu && bytes < least)
            least = bytes;
    }
    return least;
}

struct chosen {
    double bytes, memory, cpu;
};

static struct chosen
sum_chosen(const imig__cover_item *items, size_t n, const uint8_t *chosen)
{
    struct chosen sum = { 0, 0, 0 };

    for (size_t i = 0; i < n; i++)
        if (chosen[i]) {
            sum.bytes += items[i].bytes;
            sum.memory += items[i].memory;
            sum.cpu += items[i].cpu;
        }
    return sum;
}

/* Sizes that are whole, that are not, and of all magnitudes; with and without overhead. */
static void
no_set_is_cheaper(void **unused)
{
    imig__cover *cover = imig__cover_new();
    uint32_t exact = 0, near = 0, finite = 0;

    (void) unused;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        imig__cover_item items[MOST];
        uint8_t chosen[MOST];
        uint64_t key = 0;
        size_t n = (size_t) (uniform(seed, &key) * (MOST + 1));
        double memory = 0, cpu = 0, need_memory, need_cpu, least, bound;
        int kind = (int) (seed % 4);
        double overhead = seed % 3 ? 0 : 0.25;

        for (size_t i = 0; i < n; i++) {
            double size = 1 + uniform(seed, &key) * 31;

            items[i].bytes = kind == 0 ? floor(size) : kind == 1 ? size
                             : kind == 2 ? exp(size / 3) : floor(size) * 1073741824.0;
            items[i].memory = items[i].bytes * (1 + overhead);
            items[i].cpu = seed % 5 ? uniform(seed, &key) * 4 : floor(uniform(seed, &key) * 3);
            memory += items[i].memory;
            cpu += items[i].cpu;
        }
        need_memory = memory * (uniform(seed, &key) * 1.3 - 0.3);
        need_cpu = cpu * (uniform(seed, &key) * 1.3 - 0.3);
        least = try_all(items, n, need_memory, need_cpu);
        bound = imig__cover_least(cover, items, n, need_memory, need_cpu, chosen);
        if (isinf(least)) {
            assert_true(isinf(bound));
            continue;
        }
        finite++;
        if (bound > least * (1 + 1e-12))
            fail_msg("seed %d: bound %.12g, but a set has %.12g", (int) seed, bound, least);
        exact += bound >= least * (1 - 1e-8);
        near += bound >= least * 0.99;
        if (kind == 0 || kind == 3) {
            struct chosen sum = sum_chosen(items, n, chosen);

            assert_true(sum.memory >= need_memory * (1 - 1e-8) - 1e-6);
            assert_true(sum.cpu >= need_cpu * (1 - 1e-8) - 1e-6);
            assert_true(sum.bytes <= least * (1 + 1e-8));
            assert_true(bound >= least * (1 - 1e-8));
        }
    }
    assert_true(finite > 2000);
    print_message("%u bounds, %u exact, %u within 1 %%\n", finite, exact, near);
    assert_true(exact > finite * 3 / 4 && near > finite * 95 / 100);
    imig__cover_free(cover);
}

static void
nothing_is_needed(void **unused)
{
    static const imig__cover_item items[] = { { 4, 4, 1 }, { 8, 8, 1 } };
    imig__cover *cover = imig__cover_new();
    uint8_t chosen[] = { 7, 7 };

    (void) unused;
    assert_true(imig__cover_least(cover, items, 2, 0, -1, chosen) == 0);
    assert_int_equal(chosen[0] + chosen[1], 0);
    assert_true(imig__cover_least(cover, items, 0, -5, 0, chosen) == 0);
    assert_true(isinf(imig__cover_least(cover, items, 0, 0, 1, chosen)));
    imig__cover_free(cover);
}

/* All that is there has to go, one needs a little more than there is, the larger is the cheaper. */
static void
the_limits_are_exact(void **unused)
{
    static const imig__cover_item items[] = { { 4, 4, 1 }, { 8, 8, 1 }, { 5, 5, 2.5 } };
    imig__cover *cover = imig__cover_new();
    uint8_t chosen[3];

    (void) unused;
    assert_true(fabs(imig__cover_least(cover, items, 3, 17, 4.5, chosen) - 17) < 1e-6);
    assert_int_equal(chosen[0] + chosen[1] + chosen[2], 3);
    assert_true(isinf(imig__cover_least(cover, items, 3, 17.1, 0, chosen)));
    assert_true(isinf(imig__cover_least(cover, items, 3, 0, 4.6, chosen)));
    assert_true(fabs(imig__cover_least(cover, items, 3, 0, 2, chosen) - 5) < 1e-6);
    assert_int_equal(chosen[2], 1);
    assert_int_equal(chosen[0] + chosen[1], 0);
    imig__cover_free(cover);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_set_is_cheaper),
        cmocka_unit_test(nothing_is_needed),
        cmocka_unit_test(the_limits_are_exact),
    };

    return cmocka_run_group_tests_name("cover", tests, NULL, NULL);
}
