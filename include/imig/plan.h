/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_PLAN_H
#define IMIG_PLAN_H

/**
 * @file
 * Plan: the whole chain in one call, and its result.
 */

#include <imig/affinity.h>
#include <imig/cancel.h>
#include <imig/cost.h>
#include <imig/error.h>
#include <imig/model.h>
#include <imig/order.h>

IMIG_BEGIN_DECLS

/** Options of imig_plan_make(). */
typedef struct imig_plan_options {
    size_t      size;     /**< sizeof(imig_plan_options) */
    uint64_t    set;      /**< IMIG_PLAN_HAS_*: which of the numbers count */
    const char *goal;     /**< NULL is "balance"; see imig_plan_goal_name() */
    const char *policy;   /**< of every step; NULL is "informed"; see imig_plan_policy_name() */
    const char *order_policy; /**< of the sequence alone; NULL: as `policy` says */
    const imig_affinity *affinity; /**< NULL: the built-in matrix */
    const int32_t *workload;  /**< [vm_count] classes; NULL: imig_classify() with the defaults */
    const uint32_t *drain;    /**< [drain_count] hosts to empty, for goal "drain" */
    size_t      drain_count;  /**< of `drain` */
    const imig_cancel *cancel; /**< ends the search with the best so far; may be NULL */
    uint64_t    seed;         /**< for "random" and for restarts */
    double      threshold;    /**< overloaded above this CPU utilisation, > 0; default 0.8 */
    double      horizon_s;    /**< losses are averaged over it, > 0; default 3600 */
    double      gain_ratio;   /**< a group gains this many times its migration loss; default 3 */
    double      noise_ratio;  /**< and this many standard errors of its measurements; default 2 */
    double      network_price;       /**< cores, >= 0; default 1 */
    double      communication_price; /**< cores for each byte per second that crosses hosts, >= 0 */
    double      bandwidth_bytes_per_s; /**< cap of each migration, > 0; default none */
    double      downtime_limit_s;      /**< > 0; default 0.3 */
    double      max_bytes;    /**< memory moved in all, >= 0; default no limit */
    double      now_s;        /**< for cool-downs; default the time of the cluster */
    uint32_t    max_moves;    /**< migrations in all; default no limit */
    uint32_t    concurrency;  /**< out of and into each host at a time, >= 1; default 1 */
    uint32_t    max_parallel; /**< migrations in all at a time, >= 1; default no limit */
    uint32_t    spare_hosts;  /**< of each pool, may fail without another getting overloaded;
                                   default 0 */
    int32_t     order_by;     /**< an #imig_order_by */
    int32_t     explain;      /**< 1: a reason for every VM that stays */
    uint64_t    migrate_flags; /**< IMIG_MIGRATE_*, as in imig_execute_options: a VM with a disk
                                    that is not shared only moves with #IMIG_MIGRATE_COPY_DISKS, or
                                    with #IMIG_MIGRATE_UNSAFE as if the disk were shared; one that
                                    would not converge only with #IMIG_MIGRATE_AUTO_CONVERGE or
                                    #IMIG_MIGRATE_POST_COPY */
    const imig_calibration *calibration; /**< learned constants; NULL: all assumed */
    double      tolerance;    /**< goal "level": how far a host may be above the mean utilisation of
                                    its pool, >= 0; default 0.1; no other goal takes one */
} imig_plan_options;

#define IMIG_PLAN_HAS_THRESHOLD           (UINT64_C(1) << 0)  /**< `threshold` */
#define IMIG_PLAN_HAS_HORIZON             (UINT64_C(1) << 1)  /**< `horizon_s` */
#define IMIG_PLAN_HAS_GAIN_RATIO          (UINT64_C(1) << 2)  /**< `gain_ratio` */
#define IMIG_PLAN_HAS_NOISE_RATIO         (UINT64_C(1) << 3)  /**< `noise_ratio` */
#define IMIG_PLAN_HAS_NETWORK_PRICE       (UINT64_C(1) << 4)  /**< `network_price` */
#define IMIG_PLAN_HAS_COMMUNICATION_PRICE (UINT64_C(1) << 5)  /**< `communication_price` */
#define IMIG_PLAN_HAS_BANDWIDTH           (UINT64_C(1) << 6)  /**< `bandwidth_bytes_per_s` */
#define IMIG_PLAN_HAS_DOWNTIME_LIMIT      (UINT64_C(1) << 7)  /**< `downtime_limit_s` */
#define IMIG_PLAN_HAS_MAX_BYTES           (UINT64_C(1) << 8)  /**< `max_bytes` */
#define IMIG_PLAN_HAS_NOW                 (UINT64_C(1) << 9)  /**< `now_s` */
#define IMIG_PLAN_HAS_MAX_MOVES           (UINT64_C(1) << 10) /**< `max_moves` */
#define IMIG_PLAN_HAS_CONCURRENCY         (UINT64_C(1) << 11) /**< `concurrency` */
#define IMIG_PLAN_HAS_MAX_PARALLEL        (UINT64_C(1) << 12) /**< `max_parallel` */
#define IMIG_PLAN_HAS_TOLERANCE           (UINT64_C(1) << 13) /**< `tolerance` */

/** All defaults. */
#define IMIG_PLAN_OPTIONS_INIT { sizeof(imig_plan_options), 0, NULL, NULL, NULL, NULL, NULL, NULL, \
    0, NULL, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0, 0, 0, 0, 0, 0, NULL, \
    0.0 }

/** One migration of a plan. */
typedef struct imig_plan_step {
    size_t      size;        /**< sizeof(imig_plan_step) */
    const char *vm;          /**< id */
    const char *from;        /**< id of its host before */
    const char *to;          /**< id of its host after */
    const char *reason_code; /**< such as "relieves-cpu"; imig-plan(5) lists them */
    const char *reason_text; /**< the same in words, with figures */
    double      start_s;           /**< from the start of the plan */
    double      duration_s;        /**< predicted */
    double      downtime_s;        /**< predicted */
    double      transferred_bytes; /**< predicted */
    double      slowdown_ratio;    /**< predicted, of the VM itself while it migrates */
    double      gain;              /**< lost cores more without this step, all others being done, so
                                        that gains do not add up; in a group also negative */
    uint32_t    group;             /**< steps with the same number only make sense together */
    uint32_t    rounds;            /**< predicted rounds of pre-copy */
    int32_t     converges;         /**< 0: only with a raised limit, throttling or post-copy */
    int32_t     reserved;          /**< 0 */
} imig_plan_step;

/** An empty step to be filled. */
#define IMIG_PLAN_STEP_INIT { sizeof(imig_plan_step), NULL, NULL, NULL, NULL, NULL, \
    0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0, 0, 0 }

/** The state of a cluster in figures: losses in lost cores, utilisations with 1 = full. */
typedef struct imig_plan_totals {
    size_t   size;             /**< sizeof(imig_plan_totals) */
    double   loss;             /**< contention + interference + communication */
    double   contention;       /**< vCPUs that wait, and the network's queue */
    double   interference;     /**< neighbours that slow each other */
    double   communication;    /**< traffic between VMs that crosses hosts */
    double   cpu_max;          /**< over active hosts */
    double   cpu_mean;         /**< total demand / total cores of active hosts */
    double   cpu_stddev;       /**< over active hosts */
    double   memory_max;       /**< over active hosts */
    double   memory_stddev;    /**< over active hosts */
    uint32_t overloaded_hosts; /**< above the threshold, or short of memory */
    uint32_t reserved;         /**< 0 */
} imig_plan_totals;

/** Empty totals to be filled. */
#define IMIG_PLAN_TOTALS_INIT { sizeof(imig_plan_totals), \
    0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0 }

/** Figures of a plan as a whole. */
typedef struct imig_plan_summary {
    size_t   size;             /**< sizeof(imig_plan_summary) */
    double   migration_loss;   /**< lost cores, over the horizon */
    double   loss_bound;       /**< proven: no plan leaves less contention plus migration loss */
    double   gap_ratio;        /**< (contention + migration - bound) / (contention + migration) */
    double   makespan_s;       /**< predicted, first start to last end */
    double   makespan_bound_s; /**< the busiest link's total */
    int32_t  complete;         /**< 0: the goal is out of reach; see the kept VMs' reasons */
    int32_t  reserved;         /**< 0 */
    double   moved_bytes;      /**< memory of every step's VM, of one that is parked twice */
    double   moved_bytes_bound; /**< goals level and consolidate, proven: no plan that brings every
                                     host as far down moves less; else 0 */
    double   cpu_to_mean;      /**< goal level: the highest CPU utilisation after, over the mean of
                                     its pool; else 0 */
    double   memory_to_mean;   /**< the same of memory */
    uint32_t hosts_in_use;     /**< goal consolidate: active hosts that stay switched on; else 0 */
    uint32_t hosts_in_use_bound; /**< goal consolidate, proven: no plan needs fewer; else 0 */
} imig_plan_summary;

/** An empty summary to be filled. */
#define IMIG_PLAN_SUMMARY_INIT { sizeof(imig_plan_summary), 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0, \
    0.0, 0.0, 0.0, 0.0, 0, 0 }

/** A plan; opaque, reference-counted; never changes once made. */
typedef struct imig_plan imig_plan;

/**
 * Decide which VMs move, where and when: select, place, order, predict, schedule.
 *
 * At every moment of the schedule memory, pools, allowed hosts and hard `apart` hold, a VM in
 * flight counting on both hosts; what is broken before is never made worse.  The result depends on
 * the arguments alone.  A cluster where nothing is worth doing gives a plan without steps.
 *
 * @param cluster    finished
 * @param options    NULL for the defaults
 * @param[out] plan  one reference
 * @param[out] error set on failure; may be NULL
 * @ownership{@p plan is the caller's; it keeps a reference to @p cluster}
 * @threads{safe from any thread: no state, no I/O, no clock}
 * @paper{section 3.4}
 * @retval IMIG_OK            @p plan is set; imig_plan_get_summary() says whether it is complete
 * @retval IMIG_ERR_ARGUMENT  NULL, no such goal or policy, a value out of range, drain without
 *                            hosts, tolerance without level, no host left beside those to spare
 * @retval IMIG_ERR_ABI       `options->size` is not known
 */
IMIG_EXPORT int imig_plan_make(const imig_cluster *cluster, const imig_plan_options *options,
                               imig_plan **plan, imig_error **error);

/**
 * Take a reference.
 *
 * @param plan  not NULL
 * @return @p plan
 * @threads{safe from any thread}
 */
IMIG_EXPORT imig_plan *imig_plan_ref(imig_plan *plan);

/**
 * Drop a reference; the last one frees.
 *
 * @param plan  may be NULL
 * @threads{safe from any thread}
 */
IMIG_EXPORT void imig_plan_unref(imig_plan *plan);

/**
 * The goals.
 *
 * @param index  from 0; 0 is the default
 * @return the name; NULL beyond the last
 * @ownership{lent, static}
 * @threads{safe from any thread}
 */
IMIG_EXPORT const char *imig_plan_goal_name(uint32_t index);

/**
 * The policies that every step knows.
 *
 * @param index  from 0; 0 is the default
 * @return the name; NULL beyond the last
 * @ownership{lent, static}
 * @threads{safe from any thread}
 */
IMIG_EXPORT const char *imig_plan_policy_name(uint32_t index);

/**
 * The goal a plan was made for.
 *
 * @param plan  not NULL
 * @return its name
 * @ownership{lent as long as the plan}
 * @threads{safe from any thread}
 */
IMIG_EXPORT const char *imig_plan_goal(const imig_plan *plan);

/**
 * The policy a plan was made by.
 *
 * @param plan  not NULL
 * @return its name
 * @ownership{lent as long as the plan}
 * @threads{safe from any thread}
 */
IMIG_EXPORT const char *imig_plan_policy(const imig_plan *plan);

/**
 * The digest of the cluster a plan was made from; see imig_cluster_sha256().
 *
 * @param plan  not NULL
 * @return 64 hexadecimal digits, or "" where it is not known
 * @ownership{lent as long as the plan}
 * @threads{safe from any thread}
 */
IMIG_EXPORT const char *imig_plan_cluster_sha256(const imig_plan *plan);

/**
 * Number of steps.
 *
 * @param plan  not NULL
 * @return the count
 * @threads{safe from any thread}
 */
IMIG_EXPORT size_t imig_plan_step_count(const imig_plan *plan);

/**
 * Look at a step; steps stand in starting order.
 *
 * @param plan       not NULL
 * @param index      of the step
 * @param[out] step  filled up to `step->size`; set that before
 * @param[out] error set on failure; may be NULL
 * @ownership{strings are lent as long as the plan}
 * @threads{safe from any thread}
 * @retval IMIG_OK            @p step is filled
 * @retval IMIG_ERR_ARGUMENT  NULL, or no such step
 * @retval IMIG_ERR_ABI       `step->size` is not known
 */
IMIG_EXPORT int imig_plan_get_step(const imig_plan *plan, size_t index, imig_plan_step *step,
                                   imig_error **error);

/**
 * Number of VMs that stay and say why: every one with `explain`, else those the goal wanted to
 * move.  A VM that goes where a rule is still broken says so here, too, if nobody who stays can.
 *
 * @param plan  not NULL
 * @return the count
 * @threads{safe from any thread}
 */
IMIG_EXPORT size_t imig_plan_kept_count(const imig_plan *plan);

/**
 * Look at a VM that stays.
 *
 * @param plan       not NULL
 * @param index      from 0
 * @param[out] vm    its id; may be NULL
 * @param[out] code  such as "no-host-fits"; may be NULL
 * @param[out] text  the same in words; may be NULL
 * @param[out] error set on failure; may be NULL
 * @ownership{strings are lent as long as the plan}
 * @threads{safe from any thread}
 * @retval IMIG_OK            the outputs are set
 * @retval IMIG_ERR_ARGUMENT  NULL, or no such entry
 */
IMIG_EXPORT int imig_plan_get_kept(const imig_plan *plan, size_t index, const char **vm,
                                   const char **code, const char **text, imig_error **error);

/**
 * Number of hosts that carry nothing after the plan and could be switched off, for goal
 * consolidate; else 0.
 *
 * @param plan  not NULL
 * @return the count
 * @threads{safe from any thread}
 */
IMIG_EXPORT size_t imig_plan_empty_host_count(const imig_plan *plan);

/**
 * A host that could be switched off.
 *
 * @param plan   not NULL
 * @param index  from 0
 * @return its id; NULL beyond the last
 * @ownership{lent as long as the plan}
 * @threads{safe from any thread}
 */
IMIG_EXPORT const char *imig_plan_empty_host(const imig_plan *plan, size_t index);

/**
 * Number of hosts that stay above their limits, for goal level; else 0.
 *
 * @param plan  not NULL
 * @return the count
 * @threads{safe from any thread}
 */
IMIG_EXPORT size_t imig_plan_above_count(const imig_plan *plan);

/**
 * Look at a host that stays above its limits.
 *
 * @param plan       not NULL
 * @param index      from 0
 * @param[out] host  its id; may be NULL
 * @param[out] code  "fixed-vms", "too-large", "budget" or "above-level"; may be NULL
 * @param[out] text  the same in words, with figures and limits; may be NULL
 * @param[out] error set on failure; may be NULL
 * @ownership{strings are lent as long as the plan}
 * @threads{safe from any thread}
 * @retval IMIG_OK            the outputs are set
 * @retval IMIG_ERR_ARGUMENT  NULL, or no such entry
 */
IMIG_EXPORT int imig_plan_get_above(const imig_plan *plan, size_t index, const char **host,
                                    const char **code, const char **text, imig_error **error);

/**
 * The cluster in figures before and after.
 *
 * @param plan         not NULL
 * @param[out] before  filled up to its `size`; may be NULL
 * @param[out] after   filled up to its `size`; may be NULL
 * @param[out] error   set on failure; may be NULL
 * @threads{safe from any thread}
 * @retval IMIG_OK            the outputs are filled
 * @retval IMIG_ERR_ARGUMENT  @p plan is NULL
 * @retval IMIG_ERR_ABI       a `size` is not known
 */
IMIG_EXPORT int imig_plan_get_totals(const imig_plan *plan, imig_plan_totals *before,
                                     imig_plan_totals *after, imig_error **error);

/**
 * The figures of the plan as a whole.
 *
 * @param plan          not NULL
 * @param[out] summary  filled up to its `size`
 * @param[out] error    set on failure; may be NULL
 * @threads{safe from any thread}
 * @retval IMIG_OK            @p summary is filled
 * @retval IMIG_ERR_ARGUMENT  NULL
 * @retval IMIG_ERR_ABI       `summary->size` is not known
 */
IMIG_EXPORT int imig_plan_get_summary(const imig_plan *plan, imig_plan_summary *summary,
                                      imig_error **error);

/**
 * Check a plan against a cluster as it is now: does every VM still stand where the plan says, do
 * memory and hard rules still hold at every step?
 *
 * @param plan       not NULL
 * @param cluster    finished, observed later
 * @param[out] error set on failure; may be NULL; names the first step that no longer holds
 * @threads{safe from any thread}
 * @retval IMIG_OK            the plan can be carried out
 * @retval IMIG_ERR_ARGUMENT  NULL
 * @retval IMIG_ERR_STALE     it cannot
 */
IMIG_EXPORT int imig_plan_check(const imig_plan *plan, const imig_cluster *cluster,
                                imig_error **error);

/**
 * The same of every step, for a plan that was written by hand: one that does not hold is left out,
 * and the rest goes on without it.
 *
 * @param plan        not NULL
 * @param cluster     finished
 * @param[out] faults [step_count] what is wrong with each step, such as
 *                    `to: "h2": no memory for the VM then`; NULL where nothing is
 * @param[out] error  set on failure; may be NULL
 * @ownership{each of @p faults goes back to imig_free()}
 * @threads{safe from any thread}
 * @retval IMIG_OK            @p faults is filled, whether there are any or not
 * @retval IMIG_ERR_ARGUMENT  NULL
 */
IMIG_EXPORT int imig_plan_check_steps(const imig_plan *plan, const imig_cluster *cluster,
                                      char **faults, imig_error **error);

/**
 * Read an `imig-plan/1` document.
 *
 * Goal, policy and the steps' VMs and hosts are required; everything else has 0, "" or nothing as
 * default, so that a plan may be written by hand.  The steps of one VM have to be a chain.
 *
 * @param text       [length] UTF-8
 * @param length     bytes
 * @param[out] plan  one reference
 * @param[out] error set on failure; may be NULL
 * @ownership{@p plan is the caller's}
 * @threads{safe from any thread}
 * @retval IMIG_OK            @p plan is set
 * @retval IMIG_ERR_ARGUMENT  NULL
 * @retval IMIG_ERR_SYNTAX    not JSON; the message has line and column
 * @retval IMIG_ERR_INVALID   a rule of the format is broken; the message has path, value and rule
 */
IMIG_EXPORT int imig_plan_from_json(const char *text, size_t length, imig_plan **plan,
                                    imig_error **error);

/**
 * Write a plan as an `imig-plan/1` document: same content, same bytes.
 *
 * A plan that is not complete carries `"x-complete": false`, which imig_plan_from_json() knows.
 *
 * @param plan        not NULL
 * @param[out] text   NUL-ended
 * @param[out] length bytes without the NUL; may be NULL
 * @param[out] error  set on failure; may be NULL
 * @ownership{@p text goes back to imig_free()}
 * @threads{safe from any thread}
 * @retval IMIG_OK            @p text is set
 * @retval IMIG_ERR_ARGUMENT  NULL
 */
IMIG_EXPORT int imig_plan_to_json(const imig_plan *plan, char **text, size_t *length,
                                  imig_error **error);

/**
 * The cluster as it will be after a plan: every VM at its destination, everything else unchanged.
 *
 * @param plan         not NULL
 * @param cluster      finished; the one the plan was made from
 * @param[out] after   finished, one reference
 * @param[out] error   set on failure; may be NULL
 * @ownership{@p after is the caller's}
 * @threads{safe from any thread}
 * @retval IMIG_OK            @p after is set
 * @retval IMIG_ERR_ARGUMENT  NULL
 * @retval IMIG_ERR_STALE     a VM or host of the plan is not there, or the VM stands elsewhere
 */
IMIG_EXPORT int imig_plan_apply(const imig_plan *plan, const imig_cluster *cluster,
                                imig_cluster **after, imig_error **error);

IMIG_END_DECLS

#endif
