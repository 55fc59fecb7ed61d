/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_WORKLOAD_PRIV_H
#define IMIG_WORKLOAD_PRIV_H

/*
 * One row per workload class: what the paper says about it, as data.  Later floors ask the row,
 * never the class.
 */

#include <imig/model.h>

/* Section 3.4, third rule. */
typedef enum imig__tier { IMIG__TIER_FIRST, IMIG__TIER_SHORTEST, IMIG__TIER_LAST } imig__tier;

typedef struct imig__workload_row {
    const char *name;
    imig__tier tier;
    const char *nonsharable; /* section 3.2: "disk", or NULL */
    int preferred;           /* section 3.4, first rule: chosen first to migrate */
    double overhead_ratio;   /* Table 1: work lost while it migrates */
    double hold_source;      /* section 3.3: lengthens migrations out of its host by this share */
    double hold_destination; /* section 3.3: lengthens migrations into its host by this share */
} imig__workload_row;

/* imig_workload_name(), up to NULL. */
const char *imig__class_name(uint32_t index);

extern const imig__workload_row imig__workload_rows[IMIG_WORKLOAD_COUNT];

#endif
