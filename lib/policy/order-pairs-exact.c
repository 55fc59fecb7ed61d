/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/order-pairs-priv.h"

/* Dynamic programming over subsets (Held and Karp 1962): what the last ones cost by themselves. */

/* sum[set * n + i]: what it costs more to have i before each of the set, items from `first`. */
static void
sum_over_sets(const imig__order_part *p, size_t first, size_t count, int64_t *sum)
{
    for (size_t i = 0; i < p->n; i++)
        sum[i] = 0;
    for (size_t set = 1; set < (size_t) 1 << count; set++) {
        size_t item = first + (size_t) __builtin_ctzl(set);
        const int64_t *rest = sum + (set & (set - 1)) * p->n;

        for (size_t i = 0; i < p->n; i++)
            sum[set * p->n + i] = rest[i] + p->d[i * p->n + item];
    }
}

void
imig__order_exactly(imig__order_part *p)
{
    size_t n = p->n, low_bits = n / 2, low_mask = ((size_t) 1 << low_bits) - 1;
    size_t all = ((size_t) 1 << n) - 1;
    int64_t *low = g_new(int64_t, n << low_bits), *high = g_new(int64_t, n << (n - low_bits));
    int64_t *best = g_new(int64_t, all + 1); /* of ordering a set */
    size_t k = 0;

    g_assert(n <= IMIG__ORDER_EXACT_MOST);
    sum_over_sets(p, 0, low_bits, low);
    sum_over_sets(p, low_bits, n - low_bits, high);
    best[0] = 0;
    for (size_t set = 1; set <= all; set++) {
        const int64_t *a = low + (set & low_mask) * n, *b = high + (set >> low_bits) * n;
        int64_t least = INT64_MAX;

        for (size_t rest = set; rest; rest &= rest - 1) {
            size_t i = (size_t) __builtin_ctzl(rest);
            int64_t sum = a[i] + b[i] + best[set ^ ((size_t) 1 << i)];

            least = MIN(least, sum);
        }
        best[set] = least;
    }
    for (size_t set = all; set; k++) {
        const int64_t *a = low + (set & low_mask) * n, *b = high + (set >> low_bits) * n;
        size_t i = 0;

        while (!(set >> i & 1) || a[i] + b[i] + best[set ^ ((size_t) 1 << i)] != best[set])
            i++;
        p->order[k] = (uint32_t) i;
        set ^= (size_t) 1 << i;
    }
    p->bound = 0;
    p->proven = TRUE;
    g_free(best);
    g_free(high);
    g_free(low);
}
