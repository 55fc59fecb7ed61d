/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_SEARCH_PRIV_H
#define IMIG_SEARCH_PRIV_H

/*
 * The search for the least loss: who should be where?  Moves, swaps and repairs from the state it
 * is given, each evaluated in O(workloads); ends by itself; deterministic.
 */

#include "policy/space-priv.h"

#include <imig/cancel.h>

typedef struct imig__search_options {
    const double *price;      /* [vms] lost cores that leaving home must gain */
    double noise_ratio;       /* and this many standard errors of what was measured */
    double noise_assumed;     /* relative error of a demand whose error is not stated */
    double noise_share;       /* of what both hosts lose, added to the error */
    imig__load *const *doubt; /* [doubts] further views of the cluster in which it must stand out */
    int doubts;
    const uint8_t *sheds;     /* [hosts] only VMs at home here may move; NULL: all */
    const uint8_t *empties;   /* [hosts] these must be emptied; NULL: none */
    double relief_price;      /* lost cores for each core above the threshold */
    gboolean descends_only;   /* no disturbances, which small clusters have */
    uint64_t seed;            /* of these */
    const imig_cancel *cancel;
} imig__search_options;

/* Changes the state; VMs at home in load->home pay for leaving. */
void imig__search(const imig__space *space, imig__state *state,
                  const imig__search_options *options);

/* Standard error of what moving a VM, which is on either host, from one to the other is worth. */
double imig__search_error(const imig__space *space, const imig__state *state, uint32_t vm,
                          uint32_t from, uint32_t to, double noise_assumed);

/* Goal relieve: lost cores for each core above the threshold. */
#define IMIG__RELIEF_PRICE 10.0

#endif
