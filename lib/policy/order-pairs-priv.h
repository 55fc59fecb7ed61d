/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_ORDER_PAIRS_PRIV_H
#define IMIG_ORDER_PAIRS_PRIV_H

/*
 * One strongly connected component of a linear ordering problem.  Its differences are integers, so
 * small that no sum of all of them overflows: nothing is rounded, and a tie is a tie in whatever
 * sequence it is added up.
 */

#include "base/base-priv.h"

#include <stdint.h>

/* Up to here over subsets: 2^20 sums are 8 MB. */
enum { IMIG__ORDER_EXACT_MOST = 20 };

typedef struct imig__order_part {
    size_t n;
    const int64_t *d; /* [n * n] what it costs more to have the row before the column */
    uint32_t *order;  /* [n] in: a first order; out: the best */
    uint64_t effort, seed;
    int64_t bound;    /* no order is less above the sum of least costs */
    gboolean proven;  /* no order is better */
} imig__order_part;

/* Both set order, bound and proven. */
void imig__order_exactly(imig__order_part *part); /* n <= IMIG__ORDER_EXACT_MOST; no bound */
void imig__order_by_search(imig__order_part *part);

#endif
