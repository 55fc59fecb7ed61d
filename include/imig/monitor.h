/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_MONITOR_H
#define IMIG_MONITOR_H

/**
 * @file
 * Observe: samples over time in, a snapshot out.
 */

#include <imig/cancel.h>
#include <imig/connect.h>
#include <imig/error.h>
#include <imig/model.h>

IMIG_BEGIN_DECLS

/** Options of imig_monitor_new() and imig_observe(). */
typedef struct imig_monitor_options {
    size_t   size;       /**< sizeof(imig_monitor_options) */
    uint64_t set;        /**< IMIG_MONITOR_HAS_* */
    double   interval_s; /**< between two samples, > 0; default 10 */
    double   dirty_for_s;/**< log dirty pages of a VM for so long, one VM of each host at a time;
                              0: do not measure; default: as long as there is time for every VM,
                              from 1 (3.5 where a hypervisor is seen to need it) to 12 (32 where
                              it samples pages) */
    uint32_t window;     /**< samples that count, newest first, >= 2; default 60 */
    uint32_t reserved;   /**< 0 */
    const imig_cancel *cancel; /**< asked at least twice a second, lives as long as the monitor;
                                    NULL: cannot be stopped */
} imig_monitor_options;

#define IMIG_MONITOR_HAS_INTERVAL  (UINT64_C(1) << 0) /**< `interval_s` */
#define IMIG_MONITOR_HAS_DIRTY_FOR (UINT64_C(1) << 1) /**< `dirty_for_s` */
#define IMIG_MONITOR_HAS_WINDOW    (UINT64_C(1) << 2) /**< `window` */

/** All defaults. */
#define IMIG_MONITOR_OPTIONS_INIT { sizeof(imig_monitor_options), 0, 0.0, 0.0, 0, 0, NULL }

/** Turns counters into rates; opaque; for one thread at a time. */
typedef struct imig_monitor imig_monitor;

/**
 * Begin to observe.
 *
 * @param connection    not NULL; a reference is taken
 * @param options       NULL for the defaults
 * @param[out] monitor  the monitor
 * @param[out] error    set on failure; may be NULL
 * @ownership{@p monitor is the caller's; end it with imig_monitor_free()}
 * @threads{one thread at a time}
 * @retval IMIG_OK            @p monitor is set
 * @retval IMIG_ERR_ARGUMENT  NULL, or an option out of range
 * @retval IMIG_ERR_ABI       `options->size` is not known
 */
IMIG_EXPORT int imig_monitor_new(imig_connection *connection, const imig_monitor_options *options,
                                 imig_monitor **monitor, imig_error **error);

/**
 * End a monitor.
 *
 * @param monitor  may be NULL
 * @threads{one thread at a time}
 */
IMIG_EXPORT void imig_monitor_free(imig_monitor *monitor);

/**
 * Take one sample now.
 *
 * @param monitor    not NULL
 * @param[out] error set on failure; may be NULL; earlier samples are kept
 * @threads{one thread at a time}
 * @retval IMIG_OK            taken
 * @retval IMIG_ERR_ARGUMENT  NULL
 * @retval IMIG_ERR_BACKEND   no hypervisor answered; see imig_connection_missing() about some
 * @retval IMIG_ERR_TIMEOUT   none answered in time
 * @retval IMIG_ERR_INVALID   it reported something that breaks a rule of the model
 */
IMIG_EXPORT int imig_monitor_sample(imig_monitor *monitor, imig_error **error);

/**
 * Watch for a while: samples at the interval, at the beginning and at the end, and in between the
 * dirty pages of every VM that allows it.
 *
 * One VM of each host is logged at a time; those for whom there is no time come first at the next
 * call.  A VM that cannot be logged now, or of which there is no reading, is passed over, with a
 * line in the log.
 *
 * @param monitor    not NULL
 * @param for_s      > 0, on the connection's clock
 * @param[out] error set on failure; may be NULL; what was seen until then is kept
 * @threads{one thread at a time}
 * @paper{section 3.1, dirty rate and dirty size by dirty logging}
 * @retval IMIG_OK            watched
 * @retval IMIG_ERR_ARGUMENT  NULL, or a time that is not finite and > 0
 * @retval IMIG_ERR_BACKEND   no hypervisor answered; see imig_connection_missing() about some
 * @retval IMIG_ERR_TIMEOUT   none answered in time
 * @retval IMIG_ERR_INVALID   it reported something that breaks a rule of the model
 * @retval IMIG_ERR_CANCELLED stopped on request; no logging is left on
 */
IMIG_EXPORT int imig_monitor_watch(imig_monitor *monitor, double for_s, imig_error **error);

/**
 * The cluster as the samples in the window show it: rates from counters, with their standard
 * error, robust against counters that restart and VMs that come, go and move.
 *
 * The rates of a VM that has moved are those of its new host as soon as it has been seen there
 * twice, until then those of the old one.
 *
 * The class of a VM is the one its backend states, as a rule #IMIG_WORKLOAD_UNKNOWN: what was
 * measured is turned into classes by imig_classify().
 *
 * @param monitor       with at least two samples
 * @param[out] cluster  finished, one reference
 * @param[out] error    set on failure; may be NULL
 * @ownership{@p cluster is the caller's}
 * @threads{one thread at a time}
 * @retval IMIG_OK            @p cluster is set
 * @retval IMIG_ERR_ARGUMENT  NULL, or fewer than two samples
 * @retval IMIG_ERR_INVALID   what was reported breaks a rule of the model
 */
IMIG_EXPORT int imig_monitor_snapshot(imig_monitor *monitor, imig_cluster **cluster,
                                      imig_error **error);

/**
 * Let a VM rest: snapshots carry `cooldown_until_s` for it until that time has passed, so that no
 * plan moves it before.
 *
 * A later call for the same VM replaces an earlier one; a time that has passed ends the rest.  A
 * VM that has not been seen is remembered for when it is, as one that is between two hosts is not
 * seen for a moment.  Where the backend states a cool-down, too, the later of the two counts.
 *
 * @param monitor    not NULL
 * @param vm_id      id of the VM
 * @param until_s    finite, on the connection's clock, which is the snapshot's
 * @param[out] error set on failure; may be NULL
 * @ownership{the id is copied}
 * @threads{one thread at a time}
 * @retval IMIG_OK            counts for snapshots from now on
 * @retval IMIG_ERR_ARGUMENT  NULL, an empty id, or a time that is not finite
 */
IMIG_EXPORT int imig_monitor_set_cooldown(imig_monitor *monitor, const char *vm_id, double until_s,
                                          imig_error **error);

/**
 * Observe for a while and make a snapshot: imig_monitor_watch() and imig_monitor_snapshot() in one.
 *
 * @param connection    not NULL
 * @param for_s         > 0, on the connection's clock
 * @param options       NULL for the defaults
 * @param[out] cluster  finished, one reference; see imig_monitor_snapshot() about classes
 * @param[out] error    set on failure; may be NULL
 * @ownership{@p cluster is the caller's}
 * @threads{one thread at a time}
 * @paper{section 5, "workload automatic monitoring"}
 * @retval IMIG_OK            @p cluster is set
 * @retval IMIG_ERR_ARGUMENT  NULL, or a value out of range
 * @retval IMIG_ERR_ABI       `options->size` is not known
 * @retval IMIG_ERR_BACKEND   no hypervisor answered; see imig_connection_missing() about some
 * @retval IMIG_ERR_TIMEOUT   none answered in time
 * @retval IMIG_ERR_CANCELLED stopped on request
 */
IMIG_EXPORT int imig_observe(imig_connection *connection, double for_s,
                             const imig_monitor_options *options, imig_cluster **cluster,
                             imig_error **error);

IMIG_END_DECLS

#endif
