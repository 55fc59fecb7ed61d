/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_CONNECT_H
#define IMIG_CONNECT_H

/**
 * @file
 * Open URIs, and reach every hypervisor behind them as if it were one.
 */

#include <imig/backend.h>
#include <imig/cancel.h>
#include <imig/context.h>
#include <imig/error.h>

IMIG_BEGIN_DECLS

/** One or several open backends; opaque, reference-counted; for one thread at a time. */
typedef struct imig_connection imig_connection;

/**
 * Open one or several URIs: `sim:FILE`, `xenctl:`, `agent:URI`, a registered backend's own, or
 * libvirt's.
 *
 * `sim:FILE?QUERY` is a simulated cluster; the query takes `noise=R`, `seed=N`, `state=PATH`,
 * `pace=N`, `fail=VM:N` and `stuck=VM`, see doc/extending.md.
 *
 * `agent:URI` is any other URI, served by a process of its own: where a hypervisor does not answer
 * in time (imig_context_set_agent()), that process is killed, the operation fails with
 * #IMIG_ERR_TIMEOUT, and the next one starts another.  Jobs that ran in it are not known any more:
 * imig_connection_locate() says where their VMs are.  `xenctl+ssh://[USER@]HOST[:PORT]` is
 * `xenctl:` on another machine, which has the command `imig`, too.
 *
 * Each may be followed by `,migrate=URI` (the address that other hosts reach it by) and `,id=NAME`
 * (instead of the host's own id).
 *
 * Passwords never reach a message or a log line: of `user:secret@host`, and of values of the query
 * whose name holds `pass`, `pwd`, `secret`, `token` or `credential` or ends with `key`, only `***`
 * is shown, also where a backend's own text holds them.  The backend gets the URI as it is.
 *
 * Where one of several hypervisors cannot be reached, the rest is observed without it: a warning
 * goes to the log hook, imig_connection_missing() names it, and it is tried again at every sample.
 *
 * @param context          not NULL
 * @param uri              [n] URIs
 * @param n                at least 1
 * @param[out] connection  one reference
 * @param[out] error       set on failure; may be NULL; names the URI
 * @ownership{@p connection is the caller's and holds the context}
 * @threads{one thread at a time for one context}
 * @retval IMIG_OK              at least one is open
 * @retval IMIG_ERR_ARGUMENT    NULL, no URI, an unknown option behind a comma
 * @retval IMIG_ERR_UNSUPPORTED no backend takes this URI, or its module cannot be loaded
 * @retval IMIG_ERR_ABI         the module was made for another interface
 * @retval IMIG_ERR_BACKEND     no hypervisor can be reached, no agent started; the message is about
 *                              the first
 * @retval IMIG_ERR_TIMEOUT     the same, where the first did not answer in time
 * @retval IMIG_ERR_NOT_FOUND   `sim:`: no such file; further codes of its document as
 *                              imig_cluster_from_json()
 * @retval IMIG_ERR_IO          `sim:`: a file cannot be read or written
 */
IMIG_EXPORT int imig_connect(imig_context *context, const char *const *uri, size_t n,
                             imig_connection **connection, imig_error **error);

/**
 * Take a reference.
 *
 * @param connection  not NULL
 * @return @p connection
 * @threads{safe from any thread}
 */
IMIG_EXPORT imig_connection *imig_connection_ref(imig_connection *connection);

/**
 * Drop a reference; the last one closes every backend.
 *
 * @param connection  may be NULL
 * @threads{safe from any thread}
 */
IMIG_EXPORT void imig_connection_unref(imig_connection *connection);

/**
 * Which of the URIs is missing?
 *
 * A hypervisor that does not answer (#IMIG_ERR_BACKEND, #IMIG_ERR_TIMEOUT) is missing as long as
 * another one of the connection does.  Hosts that it showed before are #IMIG_HOST_OFFLINE then and
 * have no VMs.  The log hook gets a warning when it goes missing and one when it is back.
 *
 * @param connection  may be NULL
 * @param index       from 0, among those that were missing at the last sample or have failed since
 * @return "URI: reason", without secrets; NULL beyond the last
 * @ownership{lent until the connection is used again}
 * @threads{one thread at a time}
 */
IMIG_EXPORT const char *imig_connection_missing(const imig_connection *connection, size_t index);

/**
 * Say what is known better of hosts than their hypervisors report: an imig-capacity/1 document.
 *
 * What an item states replaces, at every sample from now on, what the backend says of the host with
 * that id (the one behind `,id=`, where that was given); whoever asks this connection sees nothing
 * else.  A host that is missing stays #IMIG_HOST_OFFLINE.  A later call replaces all of an earlier
 * one.  An id that no host has is refused by the first sample in which every hypervisor answers
 * (#IMIG_ERR_INVALID).
 *
 * @param connection  not NULL
 * @param text        the document, UTF-8; needs no NUL at its end
 * @param length      bytes of @p text
 * @param[out] error  set on failure; may be NULL
 * @ownership{the text is copied}
 * @threads{one thread at a time}
 * @retval IMIG_OK            counts from the next sample on
 * @retval IMIG_ERR_ARGUMENT  NULL
 * @retval IMIG_ERR_SYNTAX    not well-formed; names line and column
 * @retval IMIG_ERR_INVALID   a rule of imig-cluster/1 for hosts is broken; names path, value and
 *                            rule; what was said before stays
 */
IMIG_EXPORT int imig_connection_set_capacities(imig_connection *connection, const char *text,
                                               size_t length, imig_error **error);

/**
 * Now, on the clock of the first backend that was open when the connection was made.
 *
 * The clock goes on where that one is missing, by another one's, and never goes back.
 *
 * @param connection  not NULL
 * @return seconds; NaN where @p connection is NULL
 * @threads{one thread at a time}
 */
IMIG_EXPORT double imig_connection_clock(imig_connection *connection);

/**
 * Wait until something happens to a job, or until a deadline.
 *
 * A hypervisor that does not answer meanwhile is missing from then on; where jobs of it run, each
 * call waits a moment only, so that the caller can ask for them.
 *
 * @param connection  not NULL
 * @param deadline_s  on the connection's clock
 * @param[out] error  set on failure; may be NULL
 * @threads{one thread at a time}
 * @retval IMIG_OK            waited
 * @retval IMIG_ERR_ARGUMENT  NULL, or a deadline that is not finite
 * @retval IMIG_ERR_BACKEND   no hypervisor can be reached
 * @retval IMIG_ERR_TIMEOUT   none has answered in time
 */
IMIG_EXPORT int imig_connection_wait(imig_connection *connection, double deadline_s,
                                     imig_error **error);

/**
 * Where is a VM, and in which state?  All backends are asked; the one that runs the VM is right.
 *
 * @param connection     not NULL
 * @param vm             id
 * @param[out] location  filled up to its `size`; set that before
 * @param[out] error     set on failure; may be NULL
 * @threads{one thread at a time}
 * @retval IMIG_OK            @p location is filled; #IMIG_VM_ABSENT is an answer
 * @retval IMIG_ERR_ARGUMENT  NULL
 * @retval IMIG_ERR_ABI       `location->size` is not known
 * @retval IMIG_ERR_BACKEND   a hypervisor cannot be asked, such as one that is missing, and none of
 *                            the others runs the VM; names it
 * @retval IMIG_ERR_TIMEOUT   the same, where it did not answer in time
 */
IMIG_EXPORT int imig_connection_locate(imig_connection *connection, const char *vm,
                                       imig_location *location, imig_error **error);

/**
 * Can this VM go there?  What passes, such as memory that is taken now, is no matter.
 *
 * @param connection  not NULL
 * @param vm          id
 * @param host        id
 * @param[out] error  the reason; may be NULL
 * @threads{one thread at a time}
 * @retval IMIG_OK              nothing that is known speaks against it
 * @retval IMIG_ERR_ARGUMENT    NULL
 * @retval IMIG_ERR_NOT_FOUND   no such VM or host
 * @retval IMIG_ERR_UNSUPPORTED it cannot, the message says why
 */
IMIG_EXPORT int imig_connection_check(imig_connection *connection, const char *vm,
                                      const char *host, imig_error **error);

/**
 * Begin one live migration; returns at once.
 *
 * @param connection  not NULL
 * @param migration   `vm` and `to` are needed; `from`, `to_uri` and `migrate_uri` are filled in
 * @param[out] job    its number
 * @param[out] error  set on failure; may be NULL
 * @threads{one thread at a time}
 * @retval IMIG_OK              begun
 * @retval IMIG_ERR_ARGUMENT    NULL, a value out of range, the VM is there already
 * @retval IMIG_ERR_ABI         `migration->size` is not known
 * @retval IMIG_ERR_NOT_FOUND   no such VM or host
 * @retval IMIG_ERR_BUSY        it is being migrated or measured
 * @retval IMIG_ERR_UNSUPPORTED the backend cannot migrate, or not there
 * @retval IMIG_ERR_BACKEND     the hypervisor refused, or the destination's is missing
 */
IMIG_EXPORT int imig_connection_migrate(imig_connection *connection,
                                        const imig_migration *migration, uint64_t *job,
                                        imig_error **error);

/**
 * How far is a job?  Does not wait.
 *
 * @param connection  not NULL
 * @param job         its number
 * @param[out] into   filled up to its `size`; set that before
 * @param[out] error  set on failure; may be NULL
 * @threads{one thread at a time}
 * @retval IMIG_OK            @p into is filled
 * @retval IMIG_ERR_ARGUMENT  NULL
 * @retval IMIG_ERR_ABI       `into->size` is not known
 * @retval IMIG_ERR_NOT_FOUND no such job
 */
IMIG_EXPORT int imig_connection_poll(imig_connection *connection, uint64_t job, imig_job *into,
                                     imig_error **error);

/**
 * Ask a job to stop; the VM stays on the source.  A job that has ended is left as it is.
 *
 * @param connection  not NULL
 * @param job         its number
 * @param[out] error  set on failure; may be NULL
 * @threads{one thread at a time}
 * @retval IMIG_OK            asked
 * @retval IMIG_ERR_ARGUMENT  NULL
 * @retval IMIG_ERR_NOT_FOUND no such job
 */
IMIG_EXPORT int imig_connection_cancel(imig_connection *connection, uint64_t job,
                                       imig_error **error);

/**
 * The outcome of a job that has ended; the job is forgotten.
 *
 * @param connection  not NULL
 * @param job         its number
 * @param[out] into   filled up to its `size`; set that before
 * @param[out] error  set on failure; may be NULL
 * @threads{one thread at a time}
 * @retval IMIG_OK            @p into is filled, also where the migration failed
 * @retval IMIG_ERR_ARGUMENT  NULL
 * @retval IMIG_ERR_ABI       `into->size` is not known
 * @retval IMIG_ERR_BUSY      it has not ended
 * @retval IMIG_ERR_NOT_FOUND no such job
 */
IMIG_EXPORT int imig_connection_result(imig_connection *connection, uint64_t job, imig_job *into,
                                       imig_error **error);

/**
 * Measure the dirty rate and working set of a VM, as the paper's dirty-logging tool does.
 *
 * Logs for a while, reads the growing union of dirtied pages @p count times and lends the points to
 * the caller, who fits them with imig_dirty_fit().  A hypervisor that estimates over whole seconds
 * has fewer points than were asked for; where it has none in the end, up to 5 seconds more are
 * given to it for the first.
 *
 * @param connection          not NULL
 * @param vm                  id
 * @param for_s               > 0, on the connection's clock
 * @param[in,out] count       readings, >= 1; then the points there are, from 1 to that
 * @param[out] elapsed_s      [count] since the logging began, rising
 * @param[out] dirtied_bytes  [count] of the union by then, never falling
 * @param[out] error          set on failure; may be NULL; the logging is off again then
 * @units{seconds, bytes}
 * @threads{one thread at a time}
 * @paper{section 3.1}
 * @retval IMIG_OK              the arrays and @p count are filled; nothing is touched otherwise
 * @retval IMIG_ERR_ARGUMENT    NULL, or a value out of range
 * @retval IMIG_ERR_NOT_FOUND   no such VM
 * @retval IMIG_ERR_BUSY        it is being migrated or measured
 * @retval IMIG_ERR_UNSUPPORTED the backend cannot log dirty pages
 * @retval IMIG_ERR_TIMEOUT     no reading in that time, or the hypervisor did not answer in time
 * @retval IMIG_ERR_BACKEND     the hypervisor said no
 */
IMIG_EXPORT int imig_connection_dirty(imig_connection *connection, const char *vm, double for_s,
                                      size_t *count, double *elapsed_s, double *dirtied_bytes,
                                      imig_error **error);

/**
 * The same, and it may be stopped: the logging is off again then, too.
 *
 * A program that is killed meanwhile may leave the logging on, which costs the VM time and on Xen
 * keeps others from migrating it; so who measures lets its signals express this wish.
 *
 * @param connection          not NULL
 * @param vm                  id
 * @param for_s               > 0, on the connection's clock
 * @param cancel              looked at twice in a second of that clock; may be NULL
 * @param[in,out] count       as above
 * @param[out] elapsed_s      as above
 * @param[out] dirtied_bytes  as above
 * @param[out] error          as above
 * @units{seconds, bytes}
 * @threads{one thread at a time; @p cancel from any thread or a signal handler}
 * @paper{section 3.1}
 * @retval IMIG_OK              as above, as are all other codes but one
 * @retval IMIG_ERR_CANCELLED   @p cancel was triggered
 */
IMIG_EXPORT int imig_connection_dirty_cancellable(imig_connection *connection, const char *vm,
                                                  double for_s, const imig_cancel *cancel,
                                                  size_t *count, double *elapsed_s,
                                                  double *dirtied_bytes, imig_error **error);

/**
 * The same, and how far chance has a part in it.
 *
 * A hypervisor that looks at a sample of pages knows no union exactly; imig_dirty_fit_sampled()
 * gives each point the weight that it deserves.
 *
 * @param connection          not NULL
 * @param vm                  id
 * @param for_s               > 0, on the connection's clock
 * @param cancel              as above
 * @param[in,out] count       as above
 * @param[out] elapsed_s      as above
 * @param[out] dirtied_bytes  as it was estimated: where pages were sampled it may fall
 * @param[out] grain_bytes    [count] 0 where pages were counted; else what one page of the sample
 *                            stands for, as in #imig_dirty_point
 * @param[out] error          as above
 * @units{seconds, bytes}
 * @threads{one thread at a time; @p cancel from any thread or a signal handler}
 * @paper{section 3.1}
 * @retval IMIG_OK              as above, as are all other codes
 */
IMIG_EXPORT int imig_connection_dirty_sampled(imig_connection *connection, const char *vm,
                                              double for_s, const imig_cancel *cancel,
                                              size_t *count, double *elapsed_s,
                                              double *dirtied_bytes, double *grain_bytes,
                                              imig_error **error);

IMIG_END_DECLS

#endif
