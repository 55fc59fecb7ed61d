/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_COST_H
#define IMIG_COST_H

/**
 * @file
 * Predict: how long a migration takes, how long the VM stands still, what is sent, what is lost.
 *
 * The model is pre-copy, round by round (Clark et al., NSDI 2005), with the stop rule of each
 * hypervisor as data.  doc/paper-map.md lists every constant as measured or assumed; those of
 * #imig_constants can be learned from migrations that were measured, see calibration.h.
 */

#include <imig/error.h>
#include <imig/model.h>

IMIG_BEGIN_DECLS

/**
 * Constants of the model: assumed, or learned from measured migrations together with how far
 * predictions were off on migrations that they were not learned from.
 */
typedef struct imig_constants {
    size_t      size;               /**< sizeof(imig_constants) */
    const char *hypervisor;         /**< whose; NULL: of any */
    const char *from;               /**< id of the source that they hold for; NULL: all */
    const char *to;                 /**< id of the destination that they hold for; NULL: all */
    double      link_share_ratio;   /**< of a link's bytes, those that carry memory; in (0, 2] */
    double      setup_s;            /**< fixed, before the first round, >= 0 */
    double      downtime_s;         /**< fixed, at the end, >= 0 */
    double      dirty_ratio;        /**< dirtied during a migration over what was measured before,
                                         >= 0 */
    double      receive_hold_ratio; /**< by how much longer receiving takes on a host that sends
                                         other migrations at the rate of its link, >= 0 */
    double      dirty_hold_ratio;   /**< by how much longer sending takes beside a neighbour that
                                         dirties at the rate of the link on a host whose CPUs are
                                         all busy, >= 0 */
    double      time_p50_ratio;     /**< |predicted / measured - 1| of the time that half of the
                                         migrations did not exceed */
    double      time_p90_ratio;     /**< that nine of ten did not exceed */
    double      downtime_p50_ratio; /**< likewise of the downtime; 0: it was not measured */
    double      downtime_p90_ratio; /**< likewise */
    double      bytes_p50_ratio;    /**< likewise of the bytes sent; 0: they were not measured */
    double      bytes_p90_ratio;    /**< likewise */
    double      assumed_time_p50_ratio; /**< what the assumed constants gave for the same ones */
    double      assumed_time_p90_ratio; /**< likewise */
    double      memory_low_bytes;   /**< nine of ten had as much memory to send, or more ... */
    double      memory_high_bytes;  /**< ... and nine of ten no more than this */
    double      bandwidth_low_bytes_per_s;  /**< likewise of the bandwidth */
    double      bandwidth_high_bytes_per_s; /**< likewise */
    double      dirty_low_bytes_per_s;      /**< likewise of the dirty rate */
    double      dirty_high_bytes_per_s;     /**< likewise */
    uint32_t    migrations;         /**< that they were learned from; 0: assumed, no errors known */
    uint32_t    plans;              /**< that these belonged to */
} imig_constants;

/** To be filled. */
#define IMIG_CONSTANTS_INIT { sizeof(imig_constants), NULL, NULL, NULL, 0.0, 0.0, 0.0, 0.0, 0.0, \
    0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0 }

/**
 * The constants that are assumed where nothing was learned.
 *
 * @param hypervisor      NULL: "qemu"
 * @param[out] constants  filled up to `constants->size`; set that before
 * @param[out] error      set on failure; may be NULL
 * @ownership{strings are lent, static}
 * @threads{safe from any thread}
 * @retval IMIG_OK            @p constants is filled
 * @retval IMIG_ERR_ARGUMENT  NULL, or an unknown hypervisor
 * @retval IMIG_ERR_ABI       `constants->size` is not known
 */
IMIG_EXPORT int imig_constants_assumed(const char *hypervisor, imig_constants *constants,
                                       imig_error **error);

/** Learned constants, by hypervisor and by pair of hosts; opaque, see calibration.h. */
typedef struct imig_calibration imig_calibration;

/** One migration to predict. */
typedef struct imig_migration_profile {
    size_t      size;         /**< sizeof(imig_migration_profile) */
    uint64_t    present;      /**< IMIG_PROFILE_HAS_* */
    const char *hypervisor;   /**< "qemu" or "xen"; NULL: "qemu" */
    double      memory_bytes; /**< > 0 */
    double      bandwidth_bytes_per_s;  /**< of the link, as far as the migration gets it, > 0; what
                                             the network's own headers take is taken off */
    double      dirty_bytes_per_s;      /**< initial slope D, >= 0; 0: nothing is dirtied */
    double      working_set_bytes;      /**< plateau W, >= 0; absent: the memory */
    double      memory_nonzero_bytes;   /**< absent: the memory; QEMU sends zero pages as headers */
    double      memory_populated_bytes; /**< absent: the memory; Xen sends every populated page */
    double      disk_bytes;             /**< copied before memory: disks that are not shared */
    double      downtime_limit_s;       /**< > 0; default 0.3; only QEMU has one */
    int32_t     writes;                 /**< an #imig_writes */
    int32_t     workload_class;         /**< for the slowdown; #IMIG_WORKLOAD_UNKNOWN: 0.08 */
    const imig_constants *constants;    /**< NULL: those assumed for the hypervisor */
} imig_migration_profile;

#define IMIG_PROFILE_HAS_WORKING_SET    (UINT64_C(1) << 0) /**< `working_set_bytes` */
#define IMIG_PROFILE_HAS_NONZERO        (UINT64_C(1) << 1) /**< `memory_nonzero_bytes` */
#define IMIG_PROFILE_HAS_POPULATED      (UINT64_C(1) << 2) /**< `memory_populated_bytes` */
#define IMIG_PROFILE_HAS_DOWNTIME_LIMIT (UINT64_C(1) << 3) /**< `downtime_limit_s` */

/** Everything absent, class not known. */
#define IMIG_MIGRATION_PROFILE_INIT { sizeof(imig_migration_profile), 0, NULL, \
    0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, IMIG_WORKLOAD_UNKNOWN, NULL }

/** What a migration costs. */
typedef struct imig_cost {
    size_t   size;              /**< sizeof(imig_cost) */
    double   time_s;            /**< from its start to the VM running on the destination; where it
                                     does not converge: if it were stopped after 100 rounds */
    double   downtime_s;        /**< the VM stands still; where it does not converge: likewise */
    double   transferred_bytes; /**< over the network */
    double   slowdown_ratio;    /**< work the VM loses while it migrates; 0.08 is 8 % */
    uint32_t rounds;            /**< of pre-copy, the final one included */
    int32_t  converges;         /**< 0: the hypervisor would copy for ever */
    double   time_p50_ratio;     /**< the time is within this of the measured one in half of all
                                      cases: from the constants, and wider where the migration is
                                      unlike those they were learned from; 0: not known */
    double   time_p90_ratio;     /**< in nine of ten cases */
    double   downtime_p50_ratio; /**< likewise of the downtime */
    double   downtime_p90_ratio; /**< likewise */
    double   bytes_p50_ratio;    /**< likewise of the bytes */
    double   bytes_p90_ratio;    /**< likewise */
    double   unlike;             /**< how far it is outside of what was learned from: doublings of
                                      memory, bandwidth and dirty rate, added up; each widens the
                                      errors by themselves once */
    uint32_t migrations;         /**< that the constants were learned from; 0: assumed */
    uint32_t reserved;           /**< 0 */
} imig_cost;

/** Nothing. */
#define IMIG_COST_INIT { sizeof(imig_cost), 0.0, 0.0, 0.0, 0.0, 0, 0, \
    0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0 }

/**
 * Predict one migration over a link of its own.
 *
 * @param profile    the VM and the link
 * @param[out] cost  filled up to `cost->size`; set that before
 * @param[out] error set on failure; may be NULL
 * @threads{safe from any thread: no state, no I/O, no clock}
 * @paper{section 2, metrics; section 3.1, Fig. 1: time grows with memory and dirty size, downtime
 *        with dirty size only}
 * @retval IMIG_OK            @p cost is filled
 * @retval IMIG_ERR_ARGUMENT  NULL, a value not finite or out of range, an unknown hypervisor or
 *                            enum
 * @retval IMIG_ERR_ABI       a size is not known
 */
IMIG_EXPORT int imig_predict(const imig_migration_profile *profile, imig_cost *cost,
                             imig_error **error);

/**
 * The hypervisors whose stop rules are known.
 *
 * @param index  from 0
 * @return "qemu", "xen", ...; NULL beyond the last
 * @ownership{lent, static}
 * @threads{safe from any thread}
 */
IMIG_EXPORT const char *imig_hypervisor_name(uint32_t index);

/** Options of imig_predict_sequence(). */
typedef struct imig_predict_options {
    size_t   size;                  /**< sizeof(imig_predict_options) */
    uint64_t set;                   /**< IMIG_PREDICT_HAS_* */
    double   bandwidth_bytes_per_s; /**< cap of each migration, > 0; default none */
    double   downtime_limit_s;      /**< > 0; default 0.3 */
    uint64_t migrate_flags;         /**< IMIG_MIGRATE_*; disks that are not shared are copied,
                                         unless #IMIG_MIGRATE_UNSAFE stands without
                                         #IMIG_MIGRATE_COPY_DISKS */
    const imig_calibration *calibration; /**< learned constants; NULL: all assumed */
} imig_predict_options;

#define IMIG_PREDICT_HAS_BANDWIDTH      (UINT64_C(1) << 0) /**< `bandwidth_bytes_per_s` */
#define IMIG_PREDICT_HAS_DOWNTIME_LIMIT (UINT64_C(1) << 1) /**< `downtime_limit_s` */

/** All defaults. */
#define IMIG_PREDICT_OPTIONS_INIT { sizeof(imig_predict_options), 0, 0.0, 0.0, 0, NULL }

/**
 * Predict migrations that run one after the other, each meeting the cluster as the ones before
 * left it: VMs still on its source and already at its destination take from its bandwidth.
 *
 * @param cluster   finished
 * @param workload  [vm_count] class of each VM; NULL: imig_classify() with the defaults
 * @param vm        [n] index of the VM, in sequence
 * @param to        [n] index of its destination
 * @param n         number of migrations; 0 is allowed
 * @param options   NULL for the defaults
 * @param[out] time_s            [n] may be NULL
 * @param[out] downtime_s        [n] may be NULL
 * @param[out] transferred_bytes [n] may be NULL
 * @param[out] slowdown_ratio    [n] may be NULL
 * @param[out] converges         [n] may be NULL
 * @param[out] error             set on failure; may be NULL
 * @ownership{nothing is kept}
 * @threads{safe from any thread: no state, no I/O, no clock}
 * @paper{section 3.3, Figs. 4 to 6}
 * @retval IMIG_OK            the outputs are filled
 * @retval IMIG_ERR_ARGUMENT  NULL, no such VM or host, a VM already there, an option out of range
 * @retval IMIG_ERR_ABI       `options->size` is not known
 */
IMIG_EXPORT int imig_predict_sequence(const imig_cluster *cluster, const int32_t *workload,
                                      const uint32_t *vm, const uint32_t *to, size_t n,
                                      const imig_predict_options *options, double *time_s,
                                      double *downtime_s, double *transferred_bytes,
                                      double *slowdown_ratio, int32_t *converges,
                                      imig_error **error);

IMIG_END_DECLS

#endif
