/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_SAMPLE_PRIV_H
#define IMIG_SAMPLE_PRIV_H

/* One round of sampling: a cluster under construction, and the counters of its VMs. */

#include "base/base-priv.h"
#include "model/cluster-priv.h"

#include <imig/backend.h>

struct imig_sample {
    imig_cluster *cluster;      /* not finished; the "rate" of a flow is its counter of bytes */
    imig_vm_counters *counters; /* [vm_count] */
    size_t counter_room;
};

/* The counters in the order of their bits; index into imig__counters(). */
enum { IMIG__COUNTER_COUNT = 7 };

imig_sample *imig__sample_new(double time_s);
void imig__sample_free(imig_sample *sample);

/* The counters of a VM as an array, by number of their bit. */
void imig__counters(const imig_vm_counters *counters, double values[IMIG__COUNTER_COUNT]);

#endif
