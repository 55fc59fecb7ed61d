/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_SELECT_H
#define IMIG_SELECT_H

/**
 * @file
 * Select: which VMs leave an overloaded host?
 */

#include <imig/affinity.h>
#include <imig/error.h>
#include <imig/model.h>

IMIG_BEGIN_DECLS

/** Options of imig_select(). */
typedef struct imig_select_options {
    size_t      size;     /**< sizeof(imig_select_options) */
    uint64_t    set;      /**< IMIG_SELECT_HAS_* */
    const char *policy;   /**< name; NULL is "informed" */
    const imig_affinity *affinity; /**< NULL: the built-in matrix */
    double      threshold; /**< utilisation to come down to, > 0; default 0.8 */
    uint64_t    seed;      /**< for "random" */
} imig_select_options;

#define IMIG_SELECT_HAS_THRESHOLD (UINT64_C(1) << 0) /**< `threshold` */

/** All defaults. */
#define IMIG_SELECT_OPTIONS_INIT { sizeof(imig_select_options), 0, NULL, NULL, 0.0, 0 }

/**
 * Choose the VMs that leave a host, in the order in which they should be considered, until its CPU
 * is at or under the threshold and its memory fits.
 *
 * VMs that may not move (pinned, blocked, cooling down, not measured) are never chosen.  A host
 * that is not overloaded gives none.  `informed` chooses what leaves the least loss behind.
 *
 * @param cluster     finished
 * @param workload    [vm_count] class of each VM; NULL: imig_classify() with the defaults
 * @param host        index of the host to relieve
 * @param options     NULL for the defaults
 * @param[out] chosen [vm_count] room for every VM; the first @p count are set
 * @param[out] count  number of chosen VMs
 * @param[out] error  set on failure; may be NULL
 * @ownership{nothing is kept}
 * @threads{safe from any thread: no state, no I/O, no clock}
 * @paper{section 3.1; section 3.4, first rule}
 * @retval IMIG_OK            the outputs are set
 * @retval IMIG_ERR_ARGUMENT  NULL, no such host or policy, a value out of range
 * @retval IMIG_ERR_ABI       `options->size` is not known
 */
IMIG_EXPORT int imig_select(const imig_cluster *cluster, const int32_t *workload, uint32_t host,
                            const imig_select_options *options, uint32_t *chosen, size_t *count,
                            imig_error **error);

/**
 * The policies of this step.
 *
 * @param index  from 0; 0 is the default
 * @return the name; NULL beyond the last
 * @ownership{lent, static}
 * @threads{safe from any thread}
 */
IMIG_EXPORT const char *imig_select_policy_name(uint32_t index);

IMIG_END_DECLS

#endif
