/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_EXECUTE_H
#define IMIG_EXECUTE_H

/**
 * @file
 * Execute: carry a plan out, say how it goes, set prediction beside measurement.
 */

#include <imig/connect.h>
#include <imig/error.h>
#include <imig/plan.h>

IMIG_BEGIN_DECLS

/** What happened to a step.  Travels as `int32_t`. */
typedef enum imig_step_state {
    IMIG_STEP_WAITING = 0,   /**< not begun */
    IMIG_STEP_RUNNING = 1,   /**< migrating */
    IMIG_STEP_DONE = 2,      /**< the VM runs on its destination */
    IMIG_STEP_FAILED = 3,    /**< tried, and once again where that was right; see the message */
    IMIG_STEP_SKIPPED = 4,   /**< not begun because it was no longer right; see the message */
    IMIG_STEP_CANCELLED = 5, /**< stopped or not begun on request */
    IMIG_STEP_IN_DOUBT = 6   /**< an attempt failed, and where the VM is has not been found out yet;
                                  at the end of a run: nobody waited for it any more */
} imig_step_state;

/** Predicted beside measured, for one step. */
typedef struct imig_step_report {
    size_t      size;    /**< sizeof(imig_step_report) */
    uint64_t    present; /**< IMIG_JOB_HAS_*: which measurements are there */
    const char *vm;      /**< id */
    const char *from;    /**< id of the host before */
    const char *to;      /**< id of the host after */
    const char *message; /**< why it failed or was skipped, and where the VM is; in doubt, what the
                              hypervisor said; "" otherwise */
    double      predicted_s;          /**< duration */
    double      predicted_downtime_s; /**< downtime */
    double      predicted_bytes;      /**< transferred */
    double      start_s;              /**< from the start of the run */
    double      measured_s;           /**< duration; 0 where it did not end well */
    double      measured_downtime_s;  /**< downtime */
    double      measured_bytes;       /**< transferred; so far, while it runs */
    double      remaining_bytes;      /**< while it runs */
    uint32_t    step;                 /**< index in the plan */
    uint32_t    rounds;               /**< measured */
    uint32_t    attempts;             /**< how often it was begun */
    int32_t     state;                /**< an #imig_step_state */
    int64_t     backend_code;         /**< the hypervisor's own code where it failed; 0: none */
} imig_step_report;

/** An empty report to be filled. */
#define IMIG_STEP_REPORT_INIT { sizeof(imig_step_report), 0, NULL, NULL, NULL, NULL, \
    0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0, 0, 0, 0 }

/**
 * Called when a step begins, advances or ends.
 *
 * Runs on the thread that called imig_execute(), between two looks at the backend; may trigger the
 * cancel object and call imig_recorder_step(), nothing else of the library.
 *
 * @param report     the step; lent for the call
 * @param clock_s    the connection's clock, from the start of the run
 * @param user_data  as given
 */
typedef void (*imig_execute_fn)(const imig_step_report *report, double clock_s, void *user_data);

/** Options of imig_execute(). */
typedef struct imig_execute_options {
    size_t   size;           /**< sizeof(imig_execute_options) */
    uint64_t set;            /**< IMIG_EXECUTE_HAS_* */
    uint64_t flags;          /**< IMIG_MIGRATE_*, of every migration */
    imig_execute_fn event;   /**< NULL: none */
    void    *user_data;      /**< of `event` */
    const imig_cancel *cancel; /**< NULL: cannot be stopped */
    double   poll_s;         /**< between two looks at running jobs, > 0; default 0.5 */
    double   bandwidth_bytes_per_s; /**< cap of each migration, > 0; default none */
    double   downtime_limit_s;      /**< > 0; default the hypervisor's own */
    double   timeout_s;      /**< of each, > 0; default 4 times the predicted, at least 60, and
                                  3600 where nothing is predicted */
    uint32_t concurrency;    /**< migrations out of and into each host at a time; default 1 */
    uint32_t max_parallel;   /**< migrations in all at a time; default no limit */
    uint32_t retries;        /**< further attempts at a step that failed; default 1 */
    int32_t  on_stall;       /**< an #imig_stall_action, where rounds no longer shrink */
    double   max_downtime_s; /**< of #IMIG_STALL_RAISE_DOWNTIME, > 0; default 10 */
    double   doubt_s;        /**< a VM that cannot be found is asked for so long, >= 0; default
                                  60 */
} imig_execute_options;

#define IMIG_EXECUTE_HAS_POLL           (UINT64_C(1) << 0) /**< `poll_s` */
#define IMIG_EXECUTE_HAS_BANDWIDTH      (UINT64_C(1) << 1) /**< `bandwidth_bytes_per_s` */
#define IMIG_EXECUTE_HAS_DOWNTIME_LIMIT (UINT64_C(1) << 2) /**< `downtime_limit_s` */
#define IMIG_EXECUTE_HAS_TIMEOUT        (UINT64_C(1) << 3) /**< `timeout_s` */
#define IMIG_EXECUTE_HAS_CONCURRENCY    (UINT64_C(1) << 4) /**< `concurrency` */
#define IMIG_EXECUTE_HAS_MAX_PARALLEL   (UINT64_C(1) << 5) /**< `max_parallel` */
#define IMIG_EXECUTE_HAS_RETRIES        (UINT64_C(1) << 6) /**< `retries` */
#define IMIG_EXECUTE_HAS_MAX_DOWNTIME   (UINT64_C(1) << 7) /**< `max_downtime_s` */
#define IMIG_EXECUTE_HAS_DOUBT          (UINT64_C(1) << 8) /**< `doubt_s` */

/** All defaults. */
#define IMIG_EXECUTE_OPTIONS_INIT { sizeof(imig_execute_options), 0, 0, NULL, NULL, NULL, \
    0.0, 0.0, 0.0, 0.0, 0, 0, 0, 0, 0.0, 0.0 }

/** What became of a plan; opaque. */
typedef struct imig_run imig_run;

/**
 * Carry a plan out with real migrations; returns when nothing runs any more.
 *
 * A step begins as soon as its hosts have a free place, the memory it needs is free and the steps
 * that must come before it have ended: a sliding window, no batches.  Steps that share a source or
 * a destination begin in the plan's order.  A step that fails is tried again, then given up; what
 * no longer fits after that is skipped, the rest goes on.  On the first cancel nothing new begins
 * and running pre-copy is cancelled; a hand-over is waited for.
 *
 * After every failure the hypervisors are asked where the VM is.  Where that cannot be said at
 * once the step is in doubt: it is asked again, with growing pauses, for up to `doubt_s`, and keeps
 * the places on its hosts, while the others go on.  A VM that stands still, or is on no host or on
 * two, is looked at again before that counts.  One that is no longer where its step takes it from,
 * or does not run there, has its step skipped.
 *
 * @param connection  not NULL
 * @param plan        not NULL
 * @param options     NULL for the defaults
 * @param[out] run    what became of it; also set where steps failed
 * @param[out] error  set on failure; may be NULL
 * @ownership{@p run is the caller's; end it with imig_run_free()}
 * @threads{one thread at a time for one connection}
 * @retval IMIG_OK              finished; imig_run_count() says how the steps ended
 * @retval IMIG_ERR_ARGUMENT    NULL, or an option out of range
 * @retval IMIG_ERR_ABI         `options->size` is not known
 * @retval IMIG_ERR_STALE       a VM is not where the plan says; nothing was begun
 * @retval IMIG_ERR_UNSUPPORTED the backend cannot migrate
 * @retval IMIG_ERR_BACKEND     the hypervisors cannot be asked; nothing was begun
 */
IMIG_EXPORT int imig_execute(imig_connection *connection, const imig_plan *plan,
                             const imig_execute_options *options, imig_run **run,
                             imig_error **error);

/**
 * Free what became of a plan.
 *
 * @param run  may be NULL
 * @threads{one thread at a time}
 */
IMIG_EXPORT void imig_run_free(imig_run *run);

/**
 * How many steps ended in a state.
 *
 * @param run    not NULL
 * @param state  an #imig_step_state
 * @return the count
 * @threads{safe from any thread}
 */
IMIG_EXPORT size_t imig_run_count(const imig_run *run, int32_t state);

/**
 * Duration of a run on the connection's clock.
 *
 * @param run  not NULL
 * @return seconds
 * @threads{safe from any thread}
 */
IMIG_EXPORT double imig_run_duration_s(const imig_run *run);

/**
 * Look at a step of a run.
 *
 * @param run         not NULL
 * @param step        index in the plan
 * @param[out] report filled up to its `size`; set that before
 * @param[out] error  set on failure; may be NULL
 * @ownership{strings are lent as long as the run}
 * @threads{safe from any thread}
 * @retval IMIG_OK            @p report is filled
 * @retval IMIG_ERR_ARGUMENT  NULL, or no such step
 * @retval IMIG_ERR_ABI       `report->size` is not known
 */
IMIG_EXPORT int imig_run_get_step(const imig_run *run, size_t step, imig_step_report *report,
                                  imig_error **error);

IMIG_END_DECLS

#endif
