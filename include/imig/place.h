/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_PLACE_H
#define IMIG_PLACE_H

/**
 * @file
 * Place: which host takes each VM?
 */

#include <imig/affinity.h>
#include <imig/error.h>
#include <imig/model.h>

IMIG_BEGIN_DECLS

/** Options of imig_place(). */
typedef struct imig_place_options {
    size_t      size;      /**< sizeof(imig_place_options) */
    uint64_t    set;       /**< IMIG_PLACE_HAS_* */
    const char *policy;    /**< name; NULL is "informed" */
    double      threshold; /**< utilisation no destination may pass, > 0; default 0.8 */
    uint64_t    seed;      /**< for "random" */
} imig_place_options;

#define IMIG_PLACE_HAS_THRESHOLD (UINT64_C(1) << 0) /**< `threshold` */

/** All defaults. */
#define IMIG_PLACE_OPTIONS_INIT { sizeof(imig_place_options), 0, NULL, 0.0, 0 }

/**
 * Find a destination for each chosen VM, one after the other; each is placed before the next is
 * looked at.  Memory, pools, allowed hosts and hard rules hold; no destination is lifted over the
 * threshold unless it still ends below where the source was.  VMs that may not move (pinned,
 * blocked, cooling down, not measured) find no host.
 *
 * @param cluster    finished
 * @param workload   [vm_count] class of each VM; NULL: imig_classify() with the defaults
 * @param affinity   NULL: the built-in matrix
 * @param chosen     [n] indices of the VMs to place, none twice
 * @param n          0 is allowed
 * @param options    NULL for the defaults
 * @param[out] host  [n] index of the destination; #IMIG_NO_HOST where none fits
 * @param[out] error set on failure; may be NULL
 * @ownership{nothing is kept}
 * @threads{safe from any thread: no state, no I/O, no clock}
 * @paper{section 3.2; section 3.4, second rule}
 * @retval IMIG_OK            @p host is filled
 * @retval IMIG_ERR_ARGUMENT  NULL, no such VM or policy, a VM twice, a value out of range
 * @retval IMIG_ERR_ABI       `options->size` is not known
 */
IMIG_EXPORT int imig_place(const imig_cluster *cluster, const int32_t *workload,
                           const imig_affinity *affinity, const uint32_t *chosen, size_t n,
                           const imig_place_options *options, uint32_t *host, imig_error **error);

/**
 * The policies of this step.
 *
 * @param index  from 0; 0 is the default
 * @return the name; NULL beyond the last
 * @ownership{lent, static}
 * @threads{safe from any thread}
 */
IMIG_EXPORT const char *imig_place_policy_name(uint32_t index);

IMIG_END_DECLS

#endif
