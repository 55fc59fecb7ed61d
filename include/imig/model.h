/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_MODEL_H
#define IMIG_MODEL_H

/**
 * @file
 * The one model of hosts, VMs, flows and rules: a snapshot of a cluster.
 *
 * Made by the monitor, read from a document (`imig-cluster/1`), or built by hand: add hosts, then
 * VMs, then flows and rules, then finish.  A finished cluster never changes, so threads may share
 * it.
 *
 * Every text is UTF-8 without control characters, at most 1024 bytes and, labels' values apart,
 * not empty.  Every number is finite and, the cluster's time apart, at most 1e18; what must be
 * above 0 is at least 1e-6.  That keeps whatever is computed from them finite too.
 */

#include <imig/error.h>

IMIG_BEGIN_DECLS

/* How VMs may be migrated: what a plan may count on, and what a backend is asked for. */
#define IMIG_MIGRATE_COPY_DISKS    (UINT64_C(1) << 0) /**< copy disks that are not shared */
#define IMIG_MIGRATE_UNSAFE        (UINT64_C(1) << 1) /**< even where it is called unsafe */
#define IMIG_MIGRATE_AUTO_CONVERGE (UINT64_C(1) << 2) /**< throttle the VM until it converges */
#define IMIG_MIGRATE_POST_COPY     (UINT64_C(1) << 3) /**< switch to post-copy where it does not */
#define IMIG_MIGRATE_ENCRYPT       (UINT64_C(1) << 4) /**< TLS for the memory and the disks, too */

/** What a VM does; the classes of the paper's section 3.3.  Travels as `int32_t`. */
typedef enum imig_workload {
    IMIG_WORKLOAD_UNKNOWN = -1,    /**< not stated: classify from measurements */
    IMIG_WORKLOAD_IDLE = 0,        /**< no pressure to speak of */
    IMIG_WORKLOAD_CPU = 1,         /**< computes */
    IMIG_WORKLOAD_DISK_IO = 2,     /**< waits for disks */
    IMIG_WORKLOAD_MEMORY_DIRTY = 3,/**< rewrites its memory fast */
    IMIG_WORKLOAD_WEB_SERVER = 4,  /**< sends over the network */
    IMIG_WORKLOAD_NET_RECEIVE = 5, /**< receives over the network */
    IMIG_WORKLOAD_COUNT = 6
} imig_workload;

/** Whether a host takes part.  Travels as `int32_t`. */
typedef enum imig_host_state {
    IMIG_HOST_ACTIVE = 0,      /**< gives and takes VMs */
    IMIG_HOST_MAINTENANCE = 1, /**< gives VMs, takes none */
    IMIG_HOST_OFFLINE = 2      /**< cannot be reached; its VMs stay */
} imig_host_state;

/** What a VM would rather have short: section 3.3's compromise.  Travels as `int32_t`. */
typedef enum imig_prefer {
    IMIG_PREFER_NONE = 0,     /**< no preference stated */
    IMIG_PREFER_TIME = 1,     /**< a short migration */
    IMIG_PREFER_DOWNTIME = 2  /**< a short downtime */
} imig_prefer;

/** Kind of a rule.  Travels as `int32_t`. */
typedef enum imig_rule_kind {
    IMIG_RULE_TOGETHER = 0, /**< on one host (or one label) */
    IMIG_RULE_APART = 1     /**< no two on one host (or one label) */
} imig_rule_kind;

/** How a VM writes its working set: the curve between slope and plateau.  Travels as `int32_t`. */
typedef enum imig_writes {
    IMIG_WRITES_RANDOM = 0, /**< dirtied in t seconds: W (1 - exp(-D t / W)); the default */
    IMIG_WRITES_CYCLIC = 1  /**< min(D t, W) */
} imig_writes;

/** What is measured on a VM; index into `noise`. */
typedef enum imig_metric {
    IMIG_METRIC_CPU_CORES = 0,
    IMIG_METRIC_CPU_WAIT_CORES = 1,
    IMIG_METRIC_MEMORY_USED_BYTES = 2,
    IMIG_METRIC_MEMORY_NONZERO_BYTES = 3,
    IMIG_METRIC_MEMORY_POPULATED_BYTES = 4,
    IMIG_METRIC_DISK_OPS_PER_S = 5,
    IMIG_METRIC_DISK_READ_BYTES_PER_S = 6,
    IMIG_METRIC_DISK_WRITE_BYTES_PER_S = 7,
    IMIG_METRIC_NET_RX_BYTES_PER_S = 8,
    IMIG_METRIC_NET_TX_BYTES_PER_S = 9,
    IMIG_METRIC_DIRTY_BYTES_PER_S = 10,
    IMIG_METRIC_WORKING_SET_BYTES = 11,
    IMIG_METRIC_COUNT = 12
} imig_metric;

/**
 * One host.  Optional numbers count where their bit in `present` is set; the library fills in the
 * stated default otherwise when it lends a host.  Labels are lent in the order of their keys.
 */
typedef struct imig_host_info {
    size_t      size;       /**< sizeof(imig_host_info) */
    uint64_t    present;    /**< IMIG_HOST_HAS_* */
    const char *id;         /**< required, unique, not empty */
    const char *name;       /**< NULL: the id */
    const char *pool;       /**< VMs never leave their pool; NULL: "default" */
    const char *hypervisor; /**< "qemu", "xen"; NULL: not known */
    const char *const *labels; /**< [2 * label_count] key, value, ...; keys unique */
    uint32_t    label_count;  /**< pairs in `labels` */
    int32_t     state;      /**< an #imig_host_state */
    double      cpu_cores;    /**< required, > 0 */
    double      memory_bytes; /**< required, > 0 */
    double      memory_overcommit_ratio; /**< > 0; default 1 */
    double      reserved_memory_bytes;   /**< >= 0; default 0 */
    double      vm_overhead_bytes;       /**< for each VM, >= 0; default 0 */
    double      disk_ops_per_s;          /**< > 0; capacity */
    double      net_bytes_per_s;         /**< > 0; capacity each way */
    double      migration_bytes_per_s;   /**< > 0; a link of its own; absent: the net's rest */
} imig_host_info;

#define IMIG_HOST_HAS_MEMORY_OVERCOMMIT (UINT64_C(1) << 0) /**< `memory_overcommit_ratio` */
#define IMIG_HOST_HAS_RESERVED_MEMORY   (UINT64_C(1) << 1) /**< `reserved_memory_bytes` */
#define IMIG_HOST_HAS_VM_OVERHEAD       (UINT64_C(1) << 2) /**< `vm_overhead_bytes` */
#define IMIG_HOST_HAS_DISK_OPS          (UINT64_C(1) << 3) /**< `disk_ops_per_s` */
#define IMIG_HOST_HAS_NET               (UINT64_C(1) << 4) /**< `net_bytes_per_s` */
#define IMIG_HOST_HAS_MIGRATION         (UINT64_C(1) << 5) /**< `migration_bytes_per_s` */

/** A host with everything absent. */
#define IMIG_HOST_INFO_INIT { sizeof(imig_host_info), 0, NULL, NULL, NULL, NULL, NULL, 0, 0, \
    0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0 }

/**
 * One VM.  A measurement counts where its bit in `present` is set; absent is not 0.  The bit of
 * metric m is `UINT64_C(1) << m`, see #imig_metric.  Allowed hosts are lent in ascending order.
 */
typedef struct imig_vm_info {
    size_t      size;     /**< sizeof(imig_vm_info) */
    uint64_t    present;  /**< bit m: the metric m is there; and IMIG_VM_HAS_* */
    const char *id;       /**< required, unique, not empty */
    const char *name;     /**< NULL: the id */
    uint32_t    host;     /**< index of the host it is on */
    uint32_t    vcpus;    /**< required, >= 1 */
    double      memory_bytes;           /**< required, > 0; what it may use */
    double      cpu_cores;              /**< used */
    double      cpu_wait_cores;         /**< runnable but waiting (steal) */
    double      memory_used_bytes;      /**< used inside the guest */
    double      memory_nonzero_bytes;   /**< pages that are not all zero */
    double      memory_populated_bytes; /**< pages the hypervisor has backed */
    double      disk_ops_per_s;         /**< reads and writes */
    double      disk_read_bytes_per_s;  /**< read */
    double      disk_write_bytes_per_s; /**< written */
    double      net_rx_bytes_per_s;     /**< received */
    double      net_tx_bytes_per_s;     /**< sent */
    double      dirty_bytes_per_s;      /**< initial slope of the dirtied set */
    double      working_set_bytes;      /**< its plateau */
    const double *noise;                /**< [noise_count] standard error by #imig_metric, or 0 */
    const double *disk_bytes;           /**< [disk_count] sizes */
    const int32_t *disk_shared;         /**< [disk_count] 1: every host of the pool sees it */
    const uint32_t *hosts;              /**< [host_count] allowed; NULL: any of the pool */
    const char *workload;               /**< a finer label such as "milc"; NULL: none */
    const char *blocked;                /**< why it cannot move, as "backup-job"; or NULL */
    double      weight;                 /**< scales its losses, >= 0; default 1 */
    double      cooldown_until_s;       /**< it moved recently: not before this time */
    uint32_t    noise_count;            /**< of `noise` */
    uint32_t    disk_count;             /**< of `disk_bytes` and `disk_shared` */
    uint32_t    host_count;             /**< of `hosts` */
    int32_t     workload_class;         /**< an #imig_workload; unknown: classify it */
    int32_t     prefer;                 /**< an #imig_prefer */
    int32_t     movable;                /**< 0: pinned; default 1 */
} imig_vm_info;

#define IMIG_VM_HAS_WEIGHT   (UINT64_C(1) << 32) /**< `weight` */
#define IMIG_VM_HAS_COOLDOWN (UINT64_C(1) << 33) /**< `cooldown_until_s` */

/** A VM with everything absent, movable, class not stated. */
#define IMIG_VM_INFO_INIT { sizeof(imig_vm_info), 0, NULL, NULL, IMIG_NO_HOST, 0, \
    0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, \
    NULL, NULL, NULL, NULL, NULL, NULL, 0.0, 0.0, 0, 0, 0, IMIG_WORKLOAD_UNKNOWN, 0, 1 }

/**
 * One rule.  With `label`, "one host" reads "one value of this host label"; a host without that
 * label stands alone.
 */
typedef struct imig_rule_info {
    size_t          size;     /**< sizeof(imig_rule_info) */
    int32_t         kind;     /**< an #imig_rule_kind */
    int32_t         hard;     /**< 1: always; 0: where nothing else is lost */
    const char     *label;    /**< such as "rack"; NULL: the host itself */
    const uint32_t *vms;      /**< [vm_count] indices, at least two, none twice */
    size_t          vm_count; /**< of `vms` */
} imig_rule_info;

/** A hard rule of no VMs. */
#define IMIG_RULE_INFO_INIT { sizeof(imig_rule_info), 0, 1, NULL, NULL, 0 }

/** A snapshot; opaque, reference-counted. */
typedef struct imig_cluster imig_cluster;

/**
 * Begin a cluster.
 *
 * @param time_s  when it was observed, seconds since 1970 or the backend's clock; finite
 * @return an empty cluster with one reference; NULL where @p time_s is not finite
 * @ownership{the caller's; end it with imig_cluster_unref()}
 * @threads{one thread until imig_cluster_finish(); afterwards any}
 */
IMIG_EXPORT imig_cluster *imig_cluster_new(double time_s);

/**
 * Take a reference.
 *
 * @param cluster  not NULL
 * @return @p cluster
 * @threads{safe from any thread}
 */
IMIG_EXPORT imig_cluster *imig_cluster_ref(imig_cluster *cluster);

/**
 * Drop a reference; the last one frees.
 *
 * @param cluster  may be NULL
 * @threads{safe from any thread}
 */
IMIG_EXPORT void imig_cluster_unref(imig_cluster *cluster);

/**
 * Add a host; its index is the number of hosts before it.
 *
 * @param cluster    not finished
 * @param info       the host
 * @param[out] error set on failure; may be NULL; the message begins with the path,
 *                   `hosts[3].cpu_cores`
 * @ownership{strings and arrays are copied}
 * @threads{one thread at a time}
 * @retval IMIG_OK            added
 * @retval IMIG_ERR_ARGUMENT  NULL, or @p cluster is finished
 * @retval IMIG_ERR_ABI       `info->size` is not known
 * @retval IMIG_ERR_INVALID   a value breaks a rule, or the id is taken; the cluster is unchanged
 */
IMIG_EXPORT int imig_cluster_add_host(imig_cluster *cluster, const imig_host_info *info,
                                      imig_error **error);

/**
 * Add a VM; its index is the number of VMs before it.
 *
 * @param cluster    not finished
 * @param info       the VM; its host has been added before
 * @param[out] error set on failure; may be NULL; the message begins with the path, `vms[17].vcpus`
 * @ownership{strings and arrays are copied}
 * @threads{one thread at a time}
 * @retval IMIG_OK            added
 * @retval IMIG_ERR_ARGUMENT  NULL, or @p cluster is finished
 * @retval IMIG_ERR_ABI       `info->size` is not known
 * @retval IMIG_ERR_INVALID   a value breaks a rule, or the id is taken; the cluster is unchanged
 */
IMIG_EXPORT int imig_cluster_add_vm(imig_cluster *cluster, const imig_vm_info *info,
                                    imig_error **error);

/**
 * Add a flow: VM @p a sends to VM @p b.
 *
 * @param cluster     not finished
 * @param a           index of the sender
 * @param b           index of the receiver, another VM; a pair may come once in each direction
 * @param bytes_per_s finite, >= 0
 * @param[out] error  set on failure; may be NULL
 * @threads{one thread at a time}
 * @retval IMIG_OK            added
 * @retval IMIG_ERR_ARGUMENT  @p cluster is NULL or finished
 * @retval IMIG_ERR_INVALID   no such VM, a VM to itself, a pair twice, a rate out of range
 */
IMIG_EXPORT int imig_cluster_add_flow(imig_cluster *cluster, uint32_t a, uint32_t b,
                                      double bytes_per_s, imig_error **error);

/**
 * Add a rule.
 *
 * @param cluster    not finished
 * @param info       the rule
 * @param[out] error set on failure; may be NULL
 * @ownership{strings and arrays are copied}
 * @threads{one thread at a time}
 * @retval IMIG_OK            added
 * @retval IMIG_ERR_ARGUMENT  NULL, or @p cluster is finished
 * @retval IMIG_ERR_ABI       `info->size` is not known
 * @retval IMIG_ERR_INVALID   no such VM, fewer than two, one twice, an unknown kind
 */
IMIG_EXPORT int imig_cluster_add_rule(imig_cluster *cluster, const imig_rule_info *info,
                                      imig_error **error);

/**
 * Check what can only be checked as a whole, and close the cluster.
 *
 * Refused are: hard rules that contradict each other, also over other VMs and labels; a hard
 * `together` across pools, or of VMs whose allowed hosts have none in common; a VM that no host of
 * its pool is allowed, or that is larger than every host it may be on.  An over-committed host or
 * a rule that is broken now is no fault of the document: the planner improves it.
 *
 * @param cluster    not finished
 * @param[out] error set on failure; may be NULL
 * @threads{one thread; afterwards the cluster may be shared}
 * @retval IMIG_OK            finished
 * @retval IMIG_ERR_ARGUMENT  @p cluster is NULL or finished already
 * @retval IMIG_ERR_INVALID   the message names the item and the rule; not finished
 */
IMIG_EXPORT int imig_cluster_finish(imig_cluster *cluster, imig_error **error);

/**
 * When the cluster was observed.
 *
 * @param cluster  not NULL
 * @return seconds
 * @threads{safe from any thread once finished}
 */
IMIG_EXPORT double imig_cluster_time_s(const imig_cluster *cluster);

/**
 * Number of hosts.
 *
 * @param cluster  not NULL
 * @return the count
 * @threads{safe from any thread once finished}
 */
IMIG_EXPORT size_t imig_cluster_host_count(const imig_cluster *cluster);

/**
 * Number of VMs.
 *
 * @param cluster  not NULL
 * @return the count
 * @threads{safe from any thread once finished}
 */
IMIG_EXPORT size_t imig_cluster_vm_count(const imig_cluster *cluster);

/**
 * Number of flows.
 *
 * @param cluster  not NULL
 * @return the count
 * @threads{safe from any thread once finished}
 */
IMIG_EXPORT size_t imig_cluster_flow_count(const imig_cluster *cluster);

/**
 * Number of rules.
 *
 * @param cluster  not NULL
 * @return the count
 * @threads{safe from any thread once finished}
 */
IMIG_EXPORT size_t imig_cluster_rule_count(const imig_cluster *cluster);

/**
 * Look at a host.
 *
 * @param cluster    not NULL
 * @param index      of the host
 * @param[out] info  filled up to `info->size`; set that before; defaults stand for what is absent
 * @param[out] error set on failure; may be NULL
 * @ownership{strings and arrays are lent as long as the cluster}
 * @threads{safe from any thread once finished}
 * @retval IMIG_OK            @p info is filled
 * @retval IMIG_ERR_ARGUMENT  NULL, or no such host
 * @retval IMIG_ERR_ABI       `info->size` is not known
 */
IMIG_EXPORT int imig_cluster_get_host(const imig_cluster *cluster, uint32_t index,
                                      imig_host_info *info, imig_error **error);

/**
 * Look at a VM.
 *
 * @param cluster    not NULL
 * @param index      of the VM
 * @param[out] info  filled up to `info->size`; set that before
 * @param[out] error set on failure; may be NULL
 * @ownership{strings and arrays are lent as long as the cluster}
 * @threads{safe from any thread once finished}
 * @retval IMIG_OK            @p info is filled
 * @retval IMIG_ERR_ARGUMENT  NULL, or no such VM
 * @retval IMIG_ERR_ABI       `info->size` is not known
 */
IMIG_EXPORT int imig_cluster_get_vm(const imig_cluster *cluster, uint32_t index,
                                    imig_vm_info *info, imig_error **error);

/**
 * Look at a flow.
 *
 * @param cluster          not NULL
 * @param index            of the flow
 * @param[out] a           index of the sender; may be NULL
 * @param[out] b           index of the receiver; may be NULL
 * @param[out] bytes_per_s may be NULL
 * @param[out] error       set on failure; may be NULL
 * @threads{safe from any thread once finished}
 * @retval IMIG_OK            filled
 * @retval IMIG_ERR_ARGUMENT  NULL, or no such flow
 */
IMIG_EXPORT int imig_cluster_get_flow(const imig_cluster *cluster, size_t index, uint32_t *a,
                                      uint32_t *b, double *bytes_per_s, imig_error **error);

/**
 * Look at a rule.
 *
 * @param cluster    not NULL
 * @param index      of the rule
 * @param[out] info  filled up to `info->size`; set that before
 * @param[out] error set on failure; may be NULL
 * @ownership{strings and arrays are lent as long as the cluster}
 * @threads{safe from any thread once finished}
 * @retval IMIG_OK            @p info is filled
 * @retval IMIG_ERR_ARGUMENT  NULL, or no such rule
 * @retval IMIG_ERR_ABI       `info->size` is not known
 */
IMIG_EXPORT int imig_cluster_get_rule(const imig_cluster *cluster, size_t index,
                                      imig_rule_info *info, imig_error **error);

/**
 * The host with this id.
 *
 * @param cluster  not NULL
 * @param id       NULL finds nothing
 * @return its index, or #IMIG_NO_INDEX
 * @threads{safe from any thread once finished}
 */
IMIG_EXPORT uint32_t imig_cluster_find_host(const imig_cluster *cluster, const char *id);

/**
 * The VM with this id; failing that, the only VM with this name.
 *
 * @param cluster  not NULL
 * @param id       NULL finds nothing
 * @return its index; #IMIG_NO_INDEX where there is none, or several VMs share the name
 * @threads{safe from any thread once finished}
 */
IMIG_EXPORT uint32_t imig_cluster_find_vm(const imig_cluster *cluster, const char *id);

/**
 * CPU demand of a VM: used plus waiting cores, at most its vCPUs.
 *
 * @param cluster  not NULL
 * @param index    of the VM
 * @return cores; NaN where its CPU was not measured or there is no such VM
 * @units{cores}
 * @threads{safe from any thread once finished}
 */
IMIG_EXPORT double imig_cluster_vm_demand_cores(const imig_cluster *cluster, uint32_t index);

/**
 * Read a cluster from an `imig-cluster/1` document.
 *
 * Read as a stream, one array element at a time.  Keys that begin with `x-`, or that the
 * document lists under `optional`, are passed over and not kept.
 *
 * @param text         [length] UTF-8
 * @param length       bytes
 * @param[out] cluster finished, one reference
 * @param[out] error   set on failure; may be NULL
 * @ownership{@p cluster is the caller's; @p text is not kept}
 * @threads{safe from any thread}
 * @retval IMIG_OK            @p cluster is set
 * @retval IMIG_ERR_ARGUMENT  NULL
 * @retval IMIG_ERR_SYNTAX    not JSON, not UTF-8, cut off; the message has line and column
 * @retval IMIG_ERR_INVALID   a rule of the format is broken; the message has path, value and rule
 */
IMIG_EXPORT int imig_cluster_from_json(const char *text, size_t length, imig_cluster **cluster,
                                       imig_error **error);

/**
 * Write a cluster as an `imig-cluster/1` document: same content, same bytes.
 *
 * @param cluster     finished
 * @param[out] text   NUL-ended
 * @param[out] length bytes without the NUL; may be NULL
 * @param[out] error  set on failure; may be NULL
 * @ownership{@p text goes back to imig_free()}
 * @threads{safe from any thread}
 * @retval IMIG_OK            @p text is set
 * @retval IMIG_ERR_ARGUMENT  NULL, or @p cluster is not finished
 */
IMIG_EXPORT int imig_cluster_to_json(const imig_cluster *cluster, char **text, size_t *length,
                                     imig_error **error);

/**
 * The SHA-256 digest of what imig_cluster_to_json() writes, in hexadecimal.
 *
 * @param cluster  finished
 * @return 64 digits; NULL where @p cluster is NULL or not finished
 * @ownership{lent as long as the cluster}
 * @threads{safe from any thread; computed at the first call}
 */
IMIG_EXPORT const char *imig_cluster_sha256(const imig_cluster *cluster);

/**
 * Fit the dirtying curve to a growing set of dirtied pages.
 *
 * Both curves of #imig_writes are fitted by least squares; the one with the smaller residual wins.
 *
 * @param elapsed_s         [n] time since the logging began, > 0, rising
 * @param dirtied_bytes     [n] size of the union of all pages dirtied by then, >= 0, not falling
 * @param n                 at least 1; with 1 the rate is a lower bound and the plateau unknown
 * @param[out] dirty_bytes_per_s   the slope D
 * @param[out] working_set_bytes   the plateau W; NaN where the points do not bend
 * @param[out] writes              an #imig_writes
 * @param[out] residual_bytes      root mean square of what the curve misses; may be NULL
 * @param[out] error               set on failure; may be NULL
 * @threads{safe from any thread: no state, no I/O, no clock}
 * @paper{section 3.1, dirty rate and dirty size by dirty logging}
 * @retval IMIG_OK            the outputs are filled
 * @retval IMIG_ERR_ARGUMENT  NULL, n is 0, a point is not finite or out of order
 */
IMIG_EXPORT int imig_dirty_fit(const double *elapsed_s, const double *dirtied_bytes, size_t n,
                               double *dirty_bytes_per_s, double *working_set_bytes,
                               int32_t *writes, double *residual_bytes, imig_error **error);

/**
 * Fit the dirtying curve to points some of whose scatter is chance, because a sample of pages was
 * looked at.
 *
 * A point counts pages of the sample, each of which stands for @p grain_bytes, so its count has
 * Poisson's distribution, and the curve with the largest likelihood wins.  What is full before the
 * first point, or does not bend before the last, says little of how fast: the time W / D is taken
 * for lognormal about the middle of both, by a factor e (assumed).  A curve takes one number more
 * than a line and must be better by that (Akaike's criterion).
 *
 * @param elapsed_s         [n] as in imig_dirty_fit()
 * @param dirtied_bytes     [n] as there, but they may fall
 * @param grain_bytes       [n] each > 0; or NULL, or each 0: nothing was sampled, and this is
 *                          imig_dirty_fit()
 * @param n                 as there
 * @param[out] dirty_bytes_per_s   as there
 * @param[out] working_set_bytes   as there
 * @param[out] writes              as there
 * @param[out] residual_bytes      as there
 * @param[out] error               as there
 * @threads{safe from any thread: no state, no I/O, no clock}
 * @paper{section 3.1, dirty rate and dirty size by dirty logging}
 * @retval IMIG_OK            the outputs are filled
 * @retval IMIG_ERR_ARGUMENT  NULL, n is 0, a point is not finite or out of order, a grain is not
 *                            finite and > 0 where another one is
 */
IMIG_EXPORT int imig_dirty_fit_sampled(const double *elapsed_s, const double *dirtied_bytes,
                                       const double *grain_bytes, size_t n,
                                       double *dirty_bytes_per_s, double *working_set_bytes,
                                       int32_t *writes, double *residual_bytes,
                                       imig_error **error);

IMIG_END_DECLS

#endif
