/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_ORDER_H
#define IMIG_ORDER_H

/**
 * @file
 * Order: in which sequence do the VMs go?
 */

#include <imig/error.h>
#include <imig/model.h>

IMIG_BEGIN_DECLS

/** What the sequence should make small.  Travels as `int32_t`. */
typedef enum imig_order_by {
    IMIG_ORDER_BY_TIME = 0,       /**< the sum of migration times; ties by shortest first */
    IMIG_ORDER_BY_COMPLETION = 1, /**< the mean completion time */
    IMIG_ORDER_BY_DOWNTIME = 2    /**< the sum of downtimes; ties by time */
} imig_order_by;

/** Options of imig_order(). */
typedef struct imig_order_options {
    size_t        size;        /**< sizeof(imig_order_options) */
    const char   *policy;      /**< name; NULL is "informed" */
    uint64_t      set;         /**< IMIG_ORDER_HAS_* */
    double        downtime_price; /**< seconds of migration time that one second of downtime is
                                       worth for a VM that prefers short downtime; default 10 */
    const uint32_t *source;      /**< [n] host each VM leaves; NULL: all the same */
    const uint32_t *destination; /**< [n] host each VM goes to; NULL: all the same */
    const double *hold_source;   /**< [n] share by which a VM that is still there lengthens the
                                      migrations out of its source; NULL: by class */
    const double *hold_destination; /**< [n] share by which a VM that has arrived lengthens the
                                      migrations into its destination; NULL: by class */
    const double *downtime_s;    /**< [n] predicted downtime; NULL: 0 */
    const double *memory_bytes;  /**< [n] for "smallest-first", "largest-first"; NULL: by time */
    const int32_t *prefer;       /**< [n] an #imig_prefer each; NULL: none */
    uint64_t      seed;          /**< for "random" and for restarts */
    int32_t       order_by;      /**< an #imig_order_by */
    int32_t       reserved;      /**< 0 */
} imig_order_options;

#define IMIG_ORDER_HAS_DOWNTIME_PRICE (UINT64_C(1) << 0) /**< `downtime_price` */

/** All defaults. */
#define IMIG_ORDER_OPTIONS_INIT { sizeof(imig_order_options), NULL, 0, 0.0, NULL, NULL, NULL, \
    NULL, NULL, NULL, NULL, 0, 0, 0 }

/**
 * Put migrations in the sequence that disturbs the neighbours least.
 *
 * VMs that dirty memory or serve web pages leave first; VMs that receive from the network leave
 * last; the rest run shortest first.  Equal VMs keep their place, so the result depends on the
 * arguments alone.
 *
 * @param workload     [n] class of each VM, an #imig_workload
 * @param predicted_s  [n] predicted time of each migration alone, finite and >= 0
 * @param n            number of VMs; 0 is allowed
 * @param options      NULL for the defaults
 * @param[out] order   [n] positions 0 .. n-1, first to migrate first
 * @param[out] error   set on failure; may be NULL
 * @units{times in seconds}
 * @ownership{nothing is kept; every array belongs to the caller}
 * @threads{safe from any thread: no state, no I/O, no clock}
 * @paper{section 3.3; section 3.4, third rule}
 * @retval IMIG_OK            @p order holds a permutation
 * @retval IMIG_ERR_ARGUMENT  a class, time or share is out of range, no such policy; @p order is
 *                            untouched
 * @retval IMIG_ERR_ABI       `options->size` is not known; @p order is untouched
 */
IMIG_EXPORT int imig_order(const int32_t *workload, const double *predicted_s, size_t n,
                           const imig_order_options *options, uint32_t *order, imig_error **error);

/**
 * The policies of this step.
 *
 * @param index  from 0; 0 is the default
 * @return the name; NULL beyond the last
 * @ownership{lent, static}
 * @threads{safe from any thread}
 */
IMIG_EXPORT const char *imig_order_policy_name(uint32_t index);

/** Options of imig_order_pairs(). */
typedef struct imig_order_pairs_options {
    size_t   size;   /**< sizeof(imig_order_pairs_options) */
    uint64_t set;    /**< IMIG_ORDER_PAIRS_HAS_* */
    uint64_t effort; /**< restarts of the search above the exact limit; default 260,000 / n, at
                          least 50 */
    uint64_t seed;   /**< of the restarts; the same seed gives the same order */
} imig_order_pairs_options;

#define IMIG_ORDER_PAIRS_HAS_EFFORT (UINT64_C(1) << 0) /**< `effort` */

/** All defaults. */
#define IMIG_ORDER_PAIRS_OPTIONS_INIT { sizeof(imig_order_pairs_options), 0, 0, 0 }

/**
 * The linear ordering problem: the permutation with the least sum of cost[i * n + j] over all
 * pairs in which i stands before j.
 *
 * Taken apart where preferences never form a circle.  What is left is exact by dynamic programming
 * over subsets (Held and Karp 1962) up to 20; above, insertion local search with restarts
 * (Schiavinotto and Stützle 2004).  Deterministic; where pairs are equal, smaller positions first.
 *
 * @param cost         [n * n] row-major, finite, may be negative; the diagonal is ignored
 * @param n            0 is allowed
 * @param options      NULL for the defaults
 * @param[out] order   [n] a permutation of 0 .. n-1, first first
 * @param[out] bound   no order costs less; the cost itself where that is proven; may be NULL
 * @param[out] error   set on failure; may be NULL
 * @ownership{nothing is kept}
 * @threads{safe from any thread: no state, no I/O, no clock}
 * @paper{section 3.3, its findings as pairs}
 * @retval IMIG_OK            the outputs are set
 * @retval IMIG_ERR_ARGUMENT  NULL, or a cost that is not finite; the outputs are untouched
 * @retval IMIG_ERR_ABI       `options->size` is not known; the outputs are untouched
 */
IMIG_EXPORT int imig_order_pairs(const double *cost, size_t n,
                                 const imig_order_pairs_options *options, uint32_t *order,
                                 double *bound, imig_error **error);

IMIG_END_DECLS

#endif
