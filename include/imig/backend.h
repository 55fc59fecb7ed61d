/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_BACKEND_H
#define IMIG_BACKEND_H

/**
 * @file
 * The operations a hypervisor offers.
 *
 * A backend is a const table of these.  A cluster manager registers its own with
 * imig_context_register_backend(); a module in the module directory exports
 * #imig_backend_entry_fn under the name `imig_backend_entry` and calls back only through the table
 * it is given, so it needs no link to the library.
 *
 * A backend reports counters and a time, never rates: differences are the monitor's work.  Times
 * are seconds on the backend's own clock, which runs on while it waits: real for hypervisors,
 * virtual for the simulator.
 */

#include <imig/error.h>
#include <imig/log.h>
#include <imig/model.h>

IMIG_BEGIN_DECLS

/** What a backend fills in one round of sampling; opaque. */
typedef struct imig_sample imig_sample;

/** Counters of one VM: they only grow, and restart at 0 when the VM starts or moves. */
typedef struct imig_vm_counters {
    size_t   size;             /**< sizeof(imig_vm_counters) */
    uint64_t present;          /**< IMIG_COUNTER_HAS_* */
    double   time_s;           /**< when they were read, on the backend's clock */
    double   cpu_s;            /**< CPU time used */
    double   cpu_wait_s;       /**< runnable but waiting */
    double   disk_ops;         /**< reads and writes */
    double   disk_read_bytes;  /**< read */
    double   disk_write_bytes; /**< written */
    double   net_rx_bytes;     /**< received */
    double   net_tx_bytes;     /**< sent */
} imig_vm_counters;

#define IMIG_COUNTER_HAS_CPU        (UINT64_C(1) << 0) /**< `cpu_s` */
#define IMIG_COUNTER_HAS_CPU_WAIT   (UINT64_C(1) << 1) /**< `cpu_wait_s` */
#define IMIG_COUNTER_HAS_DISK_OPS   (UINT64_C(1) << 2) /**< `disk_ops` */
#define IMIG_COUNTER_HAS_DISK_READ  (UINT64_C(1) << 3) /**< `disk_read_bytes` */
#define IMIG_COUNTER_HAS_DISK_WRITE (UINT64_C(1) << 4) /**< `disk_write_bytes` */
#define IMIG_COUNTER_HAS_NET_RX     (UINT64_C(1) << 5) /**< `net_rx_bytes` */
#define IMIG_COUNTER_HAS_NET_TX     (UINT64_C(1) << 6) /**< `net_tx_bytes` */

/** Nothing present. */
#define IMIG_VM_COUNTERS_INIT { sizeof(imig_vm_counters), 0, \
    0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0 }

/** State of a VM as its hypervisor sees it.  Travels as `int32_t`. */
typedef enum imig_vm_state {
    IMIG_VM_ABSENT = 0,  /**< not on any host of this backend */
    IMIG_VM_RUNNING = 1, /**< runs */
    IMIG_VM_PAUSED = 2,  /**< there, but stands still */
    IMIG_VM_MOVING = 3,  /**< runs, and is being migrated */
    IMIG_VM_STOPPED = 4  /**< defined, does not run */
} imig_vm_state;

/** Where a VM is. */
typedef struct imig_location {
    size_t  size;     /**< sizeof(imig_location) */
    char    host[1032];/**< id of the host, at most 1024 bytes; "" where absent */
    int32_t state;    /**< an #imig_vm_state */
    int32_t reserved; /**< 0 */
} imig_location;

/**
 * What becomes of a migration whose rounds no longer shrink.  Travels as `int32_t`.
 *
 * With #IMIG_MIGRATE_POST_COPY it is switched to post-copy instead, with
 * #IMIG_MIGRATE_AUTO_CONVERGE the hypervisor has throttled as far as it can before it counts.  A
 * backend that cannot watch its rounds knows only the time-out.
 */
typedef enum imig_stall_action {
    IMIG_STALL_ABORT = 0,          /**< give up; the VM stays on the source */
    IMIG_STALL_RAISE_DOWNTIME = 1, /**< allow a longer downtime, step by step; then give up */
    IMIG_STALL_GO_ON = 2           /**< until the time-out */
} imig_stall_action;

/** One live migration to begin. */
typedef struct imig_migration {
    size_t      size;   /**< sizeof(imig_migration) */
    uint64_t    flags;  /**< IMIG_MIGRATE_* */
    const char *vm;     /**< id */
    const char *from;   /**< id of its host */
    const char *to;     /**< id of the destination */
    const char *to_uri; /**< URI of the destination's connection; NULL where it is the same one */
    const char *migrate_uri; /**< address that other hosts reach the destination by; NULL: any */
    double      bandwidth_bytes_per_s; /**< 0: no cap */
    double      downtime_limit_s;      /**< 0: the hypervisor's own */
    double      timeout_s;             /**< give up and stay on the source after it; 0: never */
    double      max_downtime_s; /**< #IMIG_STALL_RAISE_DOWNTIME goes no further; 0: 10 s */
    int32_t     on_stall;       /**< an #imig_stall_action */
    int32_t     reserved;       /**< 0 */
} imig_migration;

/** Nothing set. */
#define IMIG_MIGRATION_INIT { sizeof(imig_migration), 0, NULL, NULL, NULL, NULL, NULL, \
    0.0, 0.0, 0.0, 0.0, 0, 0 }

/** How far a job is.  Travels as `int32_t`. */
typedef enum imig_job_state {
    IMIG_JOB_RUNNING = 0,   /**< copying */
    IMIG_JOB_FINISHING = 1, /**< the hand-over; cannot be cancelled any more */
    IMIG_JOB_DONE = 2,      /**< the VM runs on the destination */
    IMIG_JOB_FAILED = 3,    /**< see the result's message; ask locate() where the VM is */
    IMIG_JOB_CANCELLED = 4  /**< the VM runs on the source */
} imig_job_state;

/** Progress or result of one migration; what is not known is absent. */
typedef struct imig_job {
    size_t      size;              /**< sizeof(imig_job) */
    uint64_t    present;           /**< IMIG_JOB_HAS_* */
    double      started_s;         /**< on the backend's clock */
    double      ended_s;           /**< on the backend's clock; while it runs, now */
    double      downtime_s;        /**< the VM stood still */
    double      transferred_bytes; /**< so far */
    double      remaining_bytes;   /**< of this round; may grow again */
    double      dirty_bytes_per_s; /**< while it migrates */
    uint32_t    rounds;            /**< of pre-copy, so far */
    int32_t     state;             /**< an #imig_job_state */
    int32_t     error_code;        /**< an #imig_errcode where it failed */
    int32_t     reserved;          /**< 0 */
    char        message[256];      /**< why it failed; "" otherwise */
    int64_t     backend_code;      /**< the hypervisor's own code where it failed; 0: none */
} imig_job;

#define IMIG_JOB_HAS_DOWNTIME    (UINT64_C(1) << 0) /**< `downtime_s` */
#define IMIG_JOB_HAS_TRANSFERRED (UINT64_C(1) << 1) /**< `transferred_bytes` */
#define IMIG_JOB_HAS_REMAINING   (UINT64_C(1) << 2) /**< `remaining_bytes` */
#define IMIG_JOB_HAS_DIRTY       (UINT64_C(1) << 3) /**< `dirty_bytes_per_s` */
#define IMIG_JOB_HAS_ROUNDS      (UINT64_C(1) << 4) /**< `rounds` */

/** One point of dirty logging: the union of the pages dirtied since it began. */
typedef struct imig_dirty_point {
    size_t size;          /**< sizeof(imig_dirty_point) */
    double elapsed_s;     /**< since the logging began */
    double dirtied_bytes; /**< of the union */
    double grain_bytes;   /**< 0: pages were counted.  Else a sample of them was, and each page
                               found dirtied stands for so many bytes: the variance of
                               `dirtied_bytes` is its product with this.  A point that is the mean
                               of n looks has the n-th part of the grain of one. */
    uint32_t waiting;     /**< finished points with a later `elapsed_s` that wait to be read */
    uint32_t reserved;    /**< 0 */
} imig_dirty_point;

/**
 * The operations.  Each slot says whether it is mandatory; the library answers
 * #IMIG_ERR_UNSUPPORTED for one that is missing.  All return #IMIG_OK or a negative #imig_errcode
 * and set the error when they fail.  One connection is used by one thread at a time.
 */
typedef struct imig_backend_ops {
    size_t size; /**< sizeof(imig_backend_ops) */

    /** Mandatory.  Unique, such as "libvirt". */
    const char *name;

    /** Mandatory.  1 where this URI is ours; does not connect. */
    int (*probe)(const char *uri);

    /** Mandatory.  Connect; leave the backend's own state in *ret_state.  Is called again for the
        same URI where it failed, and where a state has stopped to answer: that one is closed once
        the new one is open. */
    int (*open)(const char *uri, void **ret_state, imig_error **error);

    /** Mandatory.  Disconnect and free; running jobs are cancelled first; NULL is allowed. */
    void (*close)(void *state);

    /** Mandatory.  Now, on the backend's clock. */
    double (*clock)(void *state);

    /** Mandatory.  Every host and VM with its counters; never half a host.  #IMIG_ERR_BACKEND and
        #IMIG_ERR_TIMEOUT say that the hypervisor does not answer: other URIs of the connection go
        on without it, and it is asked again at the next sample. */
    int (*sample)(void *state, imig_sample *into, imig_error **error);

    /** Mandatory.  Where is this VM, and in which state?  Absent is an answer, not an error. */
    int (*locate)(void *state, const char *vm, imig_location *into, imig_error **error);

    /** Mandatory.  Until something happens to a job, or until the deadline on our own clock. */
    int (*wait)(void *state, double deadline_s, imig_error **error);

    /** Optional.  Can this VM go there?  #IMIG_OK, or #IMIG_ERR_UNSUPPORTED with the reason.  The
        host may belong to another connection of this backend.  Without this slot it can. */
    int (*check)(void *state, const char *vm, const char *host, imig_error **error);

    /** Optional.  Begin to log dirty pages of a VM. */
    int (*dirty_start)(void *state, const char *vm, imig_error **error);

    /** Required with dirty_start.  The union so far; does not wait.  A hypervisor that estimates
        over periods gives the next point that is finished, or the same as before, and `elapsed_s` 0
        as long as there is none.  Estimates of longer periods may be smaller: where pages were
        counted the library lets no union shrink; a new figure for the same time takes the place of
        the old. */
    int (*dirty_read)(void *state, const char *vm, imig_dirty_point *into, imig_error **error);

    /** Required with dirty_start.  End the logging. */
    int (*dirty_stop)(void *state, const char *vm, imig_error **error);

    /** Optional.  Begin one live migration and return its number at once. */
    int (*migrate)(void *state, const imig_migration *migration, uint64_t *ret_job,
                   imig_error **error);

    /** Required with migrate.  How far is it?  Does not wait. */
    int (*poll)(void *state, uint64_t job, imig_job *into, imig_error **error);

    /** Required with migrate.  Ask a job to stop; the VM stays where it is.  Not an
        error once the job has ended. */
    int (*cancel)(void *state, uint64_t job, imig_error **error);

    /** Required with migrate.  The outcome of a job that has ended; forgets the job. */
    int (*result)(void *state, uint64_t job, imig_job *into, imig_error **error);
} imig_backend_ops;

/**
 * Put a host into a sample; its index is the number of hosts before it.
 *
 * @param sample     being filled
 * @param info       the host
 * @param[out] error set on failure; may be NULL
 * @ownership{copied}
 * @threads{the thread that samples}
 * @retval IMIG_OK            added
 * @retval IMIG_ERR_ARGUMENT  NULL
 * @retval IMIG_ERR_ABI       a size is not known
 * @retval IMIG_ERR_INVALID   as imig_cluster_add_host()
 */
IMIG_EXPORT int imig_sample_add_host(imig_sample *sample, const imig_host_info *info,
                                     imig_error **error);

/**
 * Put a VM into a sample.
 *
 * @param sample     being filled
 * @param info       what is known without counting: id, host (index in this sample), sizes, disks,
 *                   gauges; rates are the monitor's work and are passed over
 * @param counters   its counters
 * @param[out] error set on failure; may be NULL
 * @ownership{copied}
 * @threads{the thread that samples}
 * @retval IMIG_OK            added
 * @retval IMIG_ERR_ARGUMENT  NULL
 * @retval IMIG_ERR_ABI       a size is not known
 * @retval IMIG_ERR_INVALID   as imig_cluster_add_vm(), or a counter that is not finite and >= 0
 */
IMIG_EXPORT int imig_sample_add_vm(imig_sample *sample, const imig_vm_info *info,
                                   const imig_vm_counters *counters, imig_error **error);

/**
 * Put a flow into a sample: bytes that VM @p a has sent to VM @p b so far.
 *
 * @param sample     being filled
 * @param a          index of the sender in this sample
 * @param b          index of the receiver
 * @param bytes      counter, >= 0
 * @param[out] error set on failure; may be NULL
 * @threads{the thread that samples}
 * @retval IMIG_OK            added
 * @retval IMIG_ERR_ARGUMENT  @p sample is NULL
 * @retval IMIG_ERR_INVALID   as imig_cluster_add_flow()
 */
IMIG_EXPORT int imig_sample_add_flow(imig_sample *sample, uint32_t a, uint32_t b, double bytes,
                                     imig_error **error);

/**
 * Put a rule into a sample, where the hypervisor's side knows of one.
 *
 * @param sample     being filled
 * @param info       the rule; its VMs are indices in this sample
 * @param[out] error set on failure; may be NULL
 * @ownership{copied}
 * @threads{the thread that samples}
 * @retval IMIG_OK            added
 * @retval IMIG_ERR_ARGUMENT  NULL
 * @retval IMIG_ERR_ABI       a size is not known
 * @retval IMIG_ERR_INVALID   as imig_cluster_add_rule()
 */
IMIG_EXPORT int imig_sample_add_rule(imig_sample *sample, const imig_rule_info *info,
                                     imig_error **error);

/** What a module may call; it needs no link to the library. */
typedef struct imig_module_api {
    size_t size; /**< sizeof(imig_module_api) */
    /** imig_error_set() */
    int (*error_set)(imig_error **error, int code, int64_t backend_code, const char *message);
    /** imig_sample_add_host() */
    int (*sample_add_host)(imig_sample *sample, const imig_host_info *info, imig_error **error);
    /** imig_sample_add_vm() */
    int (*sample_add_vm)(imig_sample *sample, const imig_vm_info *info,
                         const imig_vm_counters *counters, imig_error **error);
    /** imig_sample_add_flow() */
    int (*sample_add_flow)(imig_sample *sample, uint32_t a, uint32_t b, double bytes,
                           imig_error **error);
    /** imig_sample_add_rule() */
    int (*sample_add_rule)(imig_sample *sample, const imig_rule_info *info, imig_error **error);
    /** Hand a line to the log hook of the context that loaded the module; any thread. */
    void (*log)(void *log_data, int32_t level, const char *line);
    /** First argument of `log`. */
    void *log_data;
    /** IMIG_PROCESS_*, as imig_context_set_process() said before the module was loaded. */
    uint64_t process;
} imig_module_api;

#define IMIG_PROCESS_HAS_EVENT_LOOP (UINT64_C(1) << 0) /**< the program runs libvirt's event loop
                                                            itself; modules start none */
#define IMIG_PROCESS_QUIET          (UINT64_C(1) << 1) /**< modules may keep hypervisor libraries
                                                            from printing, for the whole process */
#define IMIG_PROCESS_MEASURE_DIRTY  (UINT64_C(1) << 2) /**< dirty pages may be logged where that is
                                                            not without danger, too, as on Xen */

/**
 * What a module exports as `imig_backend_entry`.
 *
 * Called once for each context that loads the module; a module is never unloaded.
 *
 * @param api           valid as long as the process
 * @param[out] ret_ops  the module's operations, valid as long as the process
 * @param[out] error    set through `api->error_set` on failure
 * @return #IMIG_OK or a negative #imig_errcode
 */
typedef int (*imig_backend_entry_fn)(const imig_module_api *api, const imig_backend_ops **ret_ops,
                                     imig_error **error);

IMIG_END_DECLS

#endif
