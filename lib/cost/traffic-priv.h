/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_TRAFFIC_PRIV_H
#define IMIG_TRAFFIC_PRIV_H

/* The pieces of a prediction, for whoever asks what it would be with one VM more or less. */

#include "cost/interplay-priv.h"

/* What a VM does on a host, or all of its VMs together. */
typedef struct imig__usage {
    double tx, rx; /* through the NIC */
    double dirty;  /* dirty rates with all CPU they want, each relative to the NIC and at most 1 */
    double demand; /* cores; nothing where it was not measured */
} imig__usage;

typedef struct imig__side {
    uint32_t host;
    double net, link, cores; /* link: a separate one for migrations; 0: none */
    const imig_constants *constants; /* of its hypervisor */
    imig__usage usage;
} imig__side;

static inline void
imig__side_add(imig__side *side, const imig__usage *usage, double sign)
{
    side->usage.tx += sign * usage->tx;
    side->usage.rx += sign * usage->rx;
    side->usage.dirty += sign * usage->dirty;
    side->usage.demand += sign * usage->demand;
}

/* Of the CPU that its VMs want, what they get. */
double imig__side_cpu_share(const imig__side *side);

/* What VMs that take so much of its link leave to migrations. */
double imig__side_link_left(const imig__side *side, double taken);

const imig__side *imig__traffic_side(const imig__traffic *traffic, uint32_t host);

/* Of a VM, where it is now. */
imig__usage imig__traffic_usage(const imig__traffic *traffic, uint32_t vm);
double imig__traffic_dirty(const imig__traffic *traffic, uint32_t vm); /* bytes/s */

/* Bytes of the stream in a second while a VM, which is own on side from, runs and stands still. */
void imig__traffic_rates(const imig__traffic *traffic, const imig__usage *own,
                         const imig__side *from, const imig__side *into, uint32_t out_sharing,
                         uint32_t in_sharing, double *live, double *stop);
void imig__traffic_predict_at(const imig__traffic *traffic, uint32_t vm, double live, double stop,
                              imig_cost *cost);

#endif
