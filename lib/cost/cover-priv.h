/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_COVER_PRIV_H
#define IMIG_COVER_PRIV_H

/*
 * The cheapest set of VMs whose departure brings one host under its limits: a covering knapsack
 * with two demands, memory and CPU.  What others send to the host only makes it dearer, so the sum
 * over all hosts is a proven lower bound on the bytes that any plan moves.
 */

#include "base/base-priv.h"

/* One thing that may leave, all of it or not: a VM, or VMs that go together. */
typedef struct imig__cover_item {
    double bytes;  /* what moving it costs, > 0 */
    double memory; /* what its departure frees, >= bytes: the host's overhead for it is in it */
    double cpu;    /* cores in demand, >= 0 */
} imig__cover_item;

/* Room to work in, to be used for one host after the other. */
typedef struct imig__cover imig__cover;

imig__cover *imig__cover_new(void);
void imig__cover_free(imig__cover *cover);

/*
 * A lower bound on the bytes of every set that frees at least need_memory and need_cpu; exact where
 * all sizes are multiples of a common unit that is not too fine, rounded in the safe direction
 * otherwise.
 * chosen: [n] 1 for the items of a set that is about as cheap.  INFINITY, and nothing is chosen,
 * where all of them together do not free enough.
 */
double imig__cover_least(imig__cover *cover, const imig__cover_item *items, size_t n,
                         double need_memory, double need_cpu, uint8_t *chosen);

#endif
