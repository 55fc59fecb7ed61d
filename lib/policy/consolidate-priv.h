/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_CONSOLIDATE_PRIV_H
#define IMIG_CONSOLIDATE_PRIV_H

/*
 * Goal consolidate: which hosts can be emptied, and so switched off, while the others stay below a
 * CPU utilisation and within their memory.
 */

#include "policy/level-priv.h"

typedef struct imig__consolidate_options {
    double threshold;     /* no host gets above it */
    uint32_t spare_hosts; /* of those left in a pool, the largest so many may fail */
    uint64_t seed;
    const imig_cancel *cancel;
} imig__consolidate_options;

/* What a host may hold as long as it is in use. */
void imig__consolidate_limits(const imig__space *space, double threshold, imig__limits *limits);

/*
 * Empties as many hosts as it can, each whole or not at all, by moving few bytes; what is above the
 * threshold is brought below before, as far as that goes.  frees: [hosts] set to 1 for hosts that
 * take VMs, are empty now, and are not among those to spare.
 */
void imig__consolidate(const imig__space *space, imig__state *state,
                       const imig__consolidate_options *options, uint8_t *frees);

/*
 * Proven: so many of the hosts that take VMs are needed in any placement that keeps the limits,
 * with some to spare.  fixed: [vms] as in imig__level_bound().
 */
uint32_t imig__consolidate_bound(const imig__space *space, const imig__state *home,
                                 const imig__limits *limits, const char *const *fixed,
                                 uint32_t spare_hosts);

#endif
