/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_PRECOPY_PRIV_H
#define IMIG_PRECOPY_PRIV_H

/* Pre-copy round by round; what a hypervisor does in its own way is a row of data. */

#include "base/base-priv.h"

#include <imig/cost.h>

#define IMIG__PAGE_BYTES 4096.0

#define IMIG__DOWNTIME_LIMIT_S 0.3

/* No row counts more live rounds than this. */
enum { IMIG__LIVE_ROUNDS_MAX = 100 };

/* doc/paper-map.md says where each number comes from. */
typedef struct imig__hypervisor {
    const char *name;
    gboolean skips_zero_pages;  /* sends them as headers at first; else all that is populated */
    gboolean caps_live_only;    /* a cap on bandwidth is off while the VM stands still */
    gboolean waits_for_limit;   /* stops the VM once the rest fits the downtime limit, if ever */
    uint32_t live_rounds;       /* at most; one that waits goes on, but the model does not */
    double look_s;              /* one that waits looks as often as that what is left */
    double few_pages;           /* a later live round with fewer pages is the last live one */
    double page_header_bytes;   /* with every page */
    double zero_page_bytes;     /* instead of a zero page, where they are skipped */
    double stream_bytes;        /* in the first round, besides pages */
    double suspend_pages;       /* dirtied by the guest while it suspends */
    double state_bytes;         /* sent while the VM stands still, besides memory */
    double queued_bytes;        /* of those: what waits in the sender's socket, and is not there
                                   where a cap holds; the rest is of devices and CPUs */
    double setup_s, round_s, downtime_s; /* fixed: before the first round, in each, at the end */
    double link_share;          /* of a link's bytes, those that carry memory */
} imig__hypervisor;

/* The row with this name, the first for NULL; NULL where there is none. */
const imig__hypervisor *imig__hypervisor_find(const char *name);

/* What is assumed of a hypervisor. */
void imig__constants_assumed(const imig__hypervisor *hypervisor, imig_constants *constants);

/* One migration, checked; rates in bytes of the stream, which is memory and its headers. */
typedef struct imig__precopy {
    const imig__hypervisor *hypervisor;
    double memory_bytes, nonzero_bytes, populated_bytes, disk_bytes;
    double dirty_bytes_per_s, working_set_bytes;
    double downtime_limit_s;
    double setup_s, downtime_s; /* fixed; the hypervisor's own, or learned */
    double live_bytes_per_s, stop_bytes_per_s; /* while the VM runs, and while it stands still */
    gboolean capped;            /* less than the link has is sent while the VM runs */
    int32_t writes, workload_class;
} imig__precopy;

/* Sets what constants say about a migration whose dirty rate is the measured one. */
void imig__precopy_learn(imig__precopy *precopy, const imig_constants *constants);

/* Memory that the first round sends. */
static inline double
imig__precopy_first_bytes(const imig__precopy *p)
{
    return p->hypervisor->skips_zero_pages ? p->nonzero_bytes : p->populated_bytes;
}

/* The errors to expect, into cost.  The dirty rate is the measured one. */
void imig__cost_errors(const imig__precopy *precopy, double bandwidth_bytes_per_s,
                       double dirty_bytes_per_s, const imig_constants *constants, imig_cost *cost);

/*
 * pages: [IMIG__LIVE_ROUNDS_MAX + 1] filled with the pages of each round, the final one last; may
 * be NULL.  cost->size is kept.
 */
void imig__precopy_predict(const imig__precopy *precopy, imig_cost *cost, double *pages);

#endif
