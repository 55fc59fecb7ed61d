/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_CONSOLIDATE_PACK_PRIV_H
#define IMIG_CONSOLIDATE_PACK_PRIV_H

/* Emptying hosts one after the other; shared by the consolidate*.c files alone. */

#include "policy/consolidate-priv.h"

/* One pool being packed. */
typedef struct imig__packing {
    const imig__space *space;
    const imig__consolidate_options *options;
    const imig__limits *limits;
    imig__state places;     /* only what rules ask for: who is where */
    double *cpu, *memory;   /* [hosts] on them */
    uint32_t *first, *next, *prev; /* [hosts], [vms], [vms] who is on each host; of a unit one */
    uint32_t *leaving;      /* [vms] room to work in */
    const uint32_t *begin, *vm; /* [hosts + 1], [vms] VMs by host before */
    const uint32_t *host;   /* [n] that take VMs, of the pool */
    uint32_t n;
    uint8_t *frees;         /* [hosts] */
    uint32_t *takes;        /* [n] hosts that are left, in any sequence */
    uint32_t takes_count, *takes_at; /* [hosts] */
    double spare_cpu, spare_memory;  /* of what is left, less what is needed */
    uint64_t drawn;
} imig__packing;

/* Everybody of the pool where the state, that before, has them, and nothing freed. */
void imig__pack_begin(imig__packing *packing, const imig__state *state);

/* Counts a host as freed without moving anybody. */
void imig__pack_free(imig__packing *packing, uint32_t host);

/* Do the hosts that are left without this one have what all need, with the largest to spare? */
gboolean imig__pack_can_do_without(const imig__packing *packing, uint32_t host);

/*
 * Moves all that is on a host, largest first, each VM to where it fills a host best.  FALSE, and
 * nothing moved, where one does not fit.
 */
gboolean imig__pack_empty(imig__packing *packing, uint32_t host);

#endif
