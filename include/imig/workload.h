/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_WORKLOAD_H
#define IMIG_WORKLOAD_H

/**
 * @file
 * Classify: what is each VM doing?  Pressures measured on the VM in, one of six classes out.
 */

#include <imig/error.h>
#include <imig/model.h>

IMIG_BEGIN_DECLS

/** What is measured to tell the classes apart; index into a row of pressures. */
typedef enum imig_pressure {
    IMIG_PRESSURE_CPU = 0,      /**< CPU demand / vCPUs */
    IMIG_PRESSURE_DISK = 1,     /**< disk operations / a host's capacity */
    IMIG_PRESSURE_DIRTY = 2,    /**< dirty rate / a host's migration bandwidth */
    IMIG_PRESSURE_RECEIVE = 3,  /**< bytes received / a host's network capacity */
    IMIG_PRESSURE_TRANSMIT = 4, /**< bytes sent / a host's network capacity */
    IMIG_PRESSURE_COUNT = 5
} imig_pressure;

/** Options of imig_classify(). */
typedef struct imig_classify_options {
    size_t         size;      /**< sizeof(imig_classify_options) */
    const double  *threshold; /**< [IMIG_PRESSURE_COUNT] a VM shows a pressure from here on; NULL
                                   for the defaults */
    const int32_t *previous;  /**< [n] class found the last time, or #IMIG_WORKLOAD_UNKNOWN; NULL
                                   for none */
    uint64_t       set;       /**< IMIG_CLASSIFY_HAS_*: which of the following count */
    double         hysteresis_ratio; /**< a class is kept until its pressure falls below (1 - this)
                                          of the threshold, or another passes its own by more
                                          than (1 + this); default 0.2 */
} imig_classify_options;

#define IMIG_CLASSIFY_HAS_HYSTERESIS (UINT64_C(1) << 0) /**< `hysteresis_ratio` counts */

/** All defaults. */
#define IMIG_CLASSIFY_OPTIONS_INIT { sizeof(imig_classify_options), NULL, NULL, 0, 0.0 }

/**
 * The name of a class, as documents and tables write it: "memory-dirty".
 *
 * @param workload  an #imig_workload
 * @return the name; NULL for a number that is no class
 * @ownership{lent, static}
 * @threads{safe from any thread}
 */
IMIG_EXPORT const char *imig_workload_name(int32_t workload);

/**
 * The class with this name.
 *
 * @param name  such as "disk-io"; NULL is allowed
 * @return an #imig_workload; #IMIG_WORKLOAD_UNKNOWN where no class has this name
 * @threads{safe from any thread}
 */
IMIG_EXPORT int32_t imig_workload_from_name(const char *name);

/**
 * The pressures of every VM of a cluster, relative to the capacity of the middle host of its pool:
 * what a VM does must not look different after it moved to a larger host.
 *
 * Where a host does not state a capacity, a documented one is assumed (doc/paper-map.md).
 * A measurement that is missing gives 0 here: no sign of that pressure.
 *
 * @param cluster       finished
 * @param[out] pressure [vm_count * IMIG_PRESSURE_COUNT] one row a VM
 * @param[out] error    set on failure; may be NULL
 * @units{ratios; 1 is the whole capacity}
 * @threads{safe from any thread: no state, no I/O, no clock}
 * @paper{section 3.3 names the kinds of workload; section 5, "workload automatic monitoring"}
 * @retval IMIG_OK            @p pressure is filled
 * @retval IMIG_ERR_ARGUMENT  NULL, or @p cluster is not finished
 */
IMIG_EXPORT int imig_cluster_pressures(const imig_cluster *cluster, double *pressure,
                                       imig_error **error);

/**
 * The class of each VM from its pressures.
 *
 * The dominant pressure names the class: the one furthest above its threshold, CPU only where no
 * other passes.  Below all thresholds a VM is idle.  `previous` keeps a VM at a border in its
 * class.
 *
 * @param pressure      [n * IMIG_PRESSURE_COUNT] finite, >= 0
 * @param n             number of VMs; 0 is allowed
 * @param options       NULL for the defaults
 * @param[out] workload [n] an #imig_workload each
 * @param[out] error    set on failure; may be NULL
 * @units{ratios}
 * @ownership{nothing is kept}
 * @threads{safe from any thread: no state, no I/O, no clock}
 * @paper{section 3.3; section 5}
 * @retval IMIG_OK            @p workload is filled
 * @retval IMIG_ERR_ARGUMENT  NULL, a pressure that is not finite and >= 0, a threshold that is not
 *                            finite and > 0, an unknown class, a hysteresis not in [0, 1)
 * @retval IMIG_ERR_ABI       `options->size` is not known
 */
IMIG_EXPORT int imig_classify_pressures(const double *pressure, size_t n,
                                        const imig_classify_options *options, int32_t *workload,
                                        imig_error **error);

/**
 * The class of every VM of a cluster: the one its document states, else the one its pressures show.
 *
 * @param cluster       finished
 * @param options       NULL for the defaults; `previous` is [vm_count]
 * @param[out] workload [vm_count] an #imig_workload each
 * @param[out] error    set on failure; may be NULL
 * @threads{safe from any thread: no state, no I/O, no clock}
 * @paper{section 3.3; section 5}
 * @retval IMIG_OK            @p workload is filled
 * @retval IMIG_ERR_ARGUMENT  NULL, @p cluster is not finished, or an option is out of range
 * @retval IMIG_ERR_ABI       `options->size` is not known
 */
IMIG_EXPORT int imig_classify(const imig_cluster *cluster, const imig_classify_options *options,
                              int32_t *workload, imig_error **error);

IMIG_END_DECLS

#endif
