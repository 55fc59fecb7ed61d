/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_CALIBRATION_PRIV_H
#define IMIG_CALIBRATION_PRIV_H

/* Learned constants inside the library: found by hypervisor once for each host, by pair of hosts
   only where pairs were learned. */

#include "cost/constants-priv.h"

#include <imig/calibration.h>

struct imig_calibration {
    GArray *items;         /* of imig_constants, in today's shape */
    GStringChunk *texts;
    gboolean has_pairs;
};

imig_calibration *imig__calibration_new(void);

/* Appends; copies the texts. */
void imig__calibration_add(imig_calibration *calibration, const imig_constants *constants);

/* [one for each hypervisor], to be freed. */
imig_constants *imig__constants_all_assumed(void);

/* Of a hypervisor; one that is not known counts as the first.  calibration: may be NULL. */
const imig_constants *imig__calibration_lookup(const imig_calibration *calibration,
                                               const imig_constants *assumed,
                                               const char *hypervisor);

/* Of a pair of hosts; NULL where nothing was learned of it. */
const imig_constants *imig__calibration_pair(const imig_calibration *calibration,
                                             const char *hypervisor, const char *from,
                                             const char *to);

/* The shares of links that were learned of pairs of a cluster's hosts. */
typedef struct imig__pairs imig__pairs;

imig__pairs *imig__pairs_new(const imig_calibration *calibration, const imig_cluster *cluster);
void imig__pairs_free(imig__pairs *pairs);
double imig__pairs_link_share(const imig__pairs *pairs, uint32_t from, uint32_t to, double other);

/* The largest of a source's pairs, or the other where that is larger. */
double imig__pairs_best_share(const imig__pairs *pairs, uint32_t from, double other);

#endif
