/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_STORE_H
#define IMIG_STORE_H

/**
 * @file
 * The store: what migrations were predicted to cost and did cost, what workloads got done beside
 * which others, and the constants that were learned; one SQLite file.
 *
 * Several processes may have it open.  Whatever a call writes is there as a whole or not at all,
 * also where the process is killed.
 */

#include <imig/error.h>
#include <imig/records.h>

IMIG_BEGIN_DECLS

/** An open store; opaque. */
typedef struct imig_store imig_store;

#define IMIG_STORE_READ_ONLY (UINT64_C(1) << 0) /**< writes nothing, and does not create it */

/**
 * Open a store, or create it.
 *
 * @param path        of the file; its directory exists
 * @param flags       IMIG_STORE_*
 * @param[out] store  what was opened
 * @param[out] error  set on failure; may be NULL
 * @ownership{@p store is the caller's; end it with imig_store_close()}
 * @threads{safe from any thread}
 * @retval IMIG_OK            @p store is set
 * @retval IMIG_ERR_ARGUMENT  NULL, or an unknown flag
 * @retval IMIG_ERR_NOT_FOUND read-only, and there is no such file
 * @retval IMIG_ERR_INVALID   not a store, or one of a newer release: it is untouched
 * @retval IMIG_ERR_BUSY      others kept it locked for 10 s
 * @retval IMIG_ERR_IO        it cannot be read or written
 */
IMIG_EXPORT int imig_store_open(const char *path, uint64_t flags, imig_store **store,
                                imig_error **error);

/**
 * Close a store.
 *
 * @param store  may be NULL
 * @threads{one thread at a time}
 */
IMIG_EXPORT void imig_store_close(imig_store *store);

/**
 * Add records, all of them or none.
 *
 * @param store       not NULL
 * @param records     what to add
 * @param[out] ids    [imig_records_count()] what they are called there; may be NULL
 * @param[out] error  set on failure; may be NULL
 * @threads{one thread at a time for one store}
 * @retval IMIG_OK            they are written
 * @retval IMIG_ERR_ARGUMENT  NULL
 * @retval IMIG_ERR_BUSY      others kept it locked for 10 s
 * @retval IMIG_ERR_IO        it cannot be written
 */
IMIG_EXPORT int imig_store_add(imig_store *store, const imig_records *records, int64_t *ids,
                               imig_error **error);

/**
 * Write another record in the place of one.
 *
 * @param store       not NULL
 * @param id          of the one that is there
 * @param record      what it becomes
 * @param[out] error  set on failure; may be NULL
 * @threads{one thread at a time for one store}
 * @retval IMIG_OK            it is written
 * @retval IMIG_ERR_ARGUMENT  NULL
 * @retval IMIG_ERR_INVALID   a value out of range
 * @retval IMIG_ERR_ABI       `record->size` is not known
 * @retval IMIG_ERR_NOT_FOUND there is no such record
 * @retval IMIG_ERR_BUSY      others kept it locked for 10 s
 * @retval IMIG_ERR_IO        it cannot be written
 */
IMIG_EXPORT int imig_store_replace(imig_store *store, int64_t id, const imig_record *record,
                                   imig_error **error);

/** Which records are wanted. */
typedef struct imig_store_filter {
    size_t      size;           /**< sizeof(imig_store_filter) */
    uint64_t    set;            /**< IMIG_FILTER_HAS_* */
    const char *vm;             /**< id or name; NULL: any */
    const char *host;           /**< id of the source or the destination; NULL: any */
    const char *hypervisor;     /**< NULL: any */
    double      since_s;        /**< began then or later */
    double      until_s;        /**< began before */
    int32_t     workload_class; /**< an #imig_workload */
    int32_t     outcome;        /**< an #imig_outcome */
    uint32_t    latest;         /**< no more than the latest so many; 0: all */
    uint32_t    reserved;       /**< 0 */
} imig_store_filter;

#define IMIG_FILTER_HAS_SINCE   (UINT64_C(1) << 0) /**< `since_s` */
#define IMIG_FILTER_HAS_UNTIL   (UINT64_C(1) << 1) /**< `until_s` */
#define IMIG_FILTER_HAS_CLASS   (UINT64_C(1) << 2) /**< `workload_class` */
#define IMIG_FILTER_HAS_OUTCOME (UINT64_C(1) << 3) /**< `outcome` */

/** All records. */
#define IMIG_STORE_FILTER_INIT { sizeof(imig_store_filter), 0, NULL, NULL, NULL, 0.0, 0.0, 0, 0, \
    0, 0 }

/**
 * Read records, in the order in which they began.
 *
 * @param store         not NULL
 * @param filter        NULL: all
 * @param[out] records  what is there
 * @param[out] error    set on failure; may be NULL
 * @ownership{@p records is the caller's; end it with imig_records_free()}
 * @threads{one thread at a time for one store}
 * @retval IMIG_OK            @p records is set
 * @retval IMIG_ERR_ARGUMENT  NULL
 * @retval IMIG_ERR_ABI       `filter->size` is not known
 * @retval IMIG_ERR_BUSY      others kept it locked for 10 s
 * @retval IMIG_ERR_INVALID   what is there is not what this library writes
 * @retval IMIG_ERR_IO        it cannot be read
 */
IMIG_EXPORT int imig_store_records(imig_store *store, const imig_store_filter *filter,
                                   imig_records **records, imig_error **error);

/**
 * Keep learned constants, in the place of those that are there.
 *
 * @param store       not NULL
 * @param text        imig-constants/1, see imig_calibration_to_json(); NULL: forget them
 * @param[out] error  set on failure; may be NULL
 * @threads{one thread at a time for one store}
 * @retval IMIG_OK            they are written
 * @retval IMIG_ERR_ARGUMENT  NULL
 * @retval IMIG_ERR_BUSY      others kept it locked for 10 s
 * @retval IMIG_ERR_IO        it cannot be written
 */
IMIG_EXPORT int imig_store_set_constants(imig_store *store, const char *text, imig_error **error);

/**
 * The constants that are kept.
 *
 * @param store       not NULL
 * @param[out] text   imig-constants/1, see imig_calibration_from_json(); NULL: none
 * @param[out] error  set on failure; may be NULL
 * @ownership{@p text goes back to imig_free()}
 * @threads{one thread at a time for one store}
 * @retval IMIG_OK            @p text is set
 * @retval IMIG_ERR_ARGUMENT  NULL
 * @retval IMIG_ERR_BUSY      others kept it locked for 10 s
 * @retval IMIG_ERR_IO        it cannot be read
 */
IMIG_EXPORT int imig_store_constants(imig_store *store, char **text, imig_error **error);

/**
 * Write down what each VM of a snapshot got done, and beside whom: what affinity is learned from.
 * Hosts whose CPUs are in demand by more than 90 % are left out, for there VMs wait for each other.
 *
 * @param store       not NULL
 * @param cluster     finished
 * @param workload    [vm_count] class of each VM
 * @param time_s      of the snapshot, since 1970
 * @param[out] error  set on failure; may be NULL
 * @threads{one thread at a time for one store}
 * @retval IMIG_OK            it is written
 * @retval IMIG_ERR_ARGUMENT  NULL, or a class that is none
 * @retval IMIG_ERR_BUSY      others kept it locked for 10 s
 * @retval IMIG_ERR_IO        it cannot be written
 */
IMIG_EXPORT int imig_store_observe(imig_store *store, const imig_cluster *cluster,
                                   const int32_t *workload, double time_s, imig_error **error);

/** Receives one observation of imig_store_observations(). */
typedef struct imig_observation {
    size_t      size;       /**< sizeof(imig_observation) */
    const char *vm;         /**< id */
    const char *workload;   /**< workload, or class where it has none */
    double      time_s;     /**< since 1970 */
    double      work_per_s; /**< what it got done in its own unit: cores, operations or bytes */
    const double *beside;       /**< [beside_count] cores that its neighbours of each class, an
                                     #imig_workload, ask for, as a share of the host's cores */
    uint32_t    beside_count;   /**< number of classes */
    int32_t     workload_class; /**< an #imig_workload */
} imig_observation;

/**
 * Called with each observation, by VM and then by time.
 *
 * @param observation  lent for the call
 * @param user_data    as given
 */
typedef void (*imig_observation_fn)(const imig_observation *observation, void *user_data);

/**
 * Read what was observed.
 *
 * @param store       not NULL
 * @param each        called on this thread; calls nothing of this store
 * @param user_data   of @p each
 * @param[out] error  set on failure; may be NULL
 * @threads{one thread at a time for one store}
 * @retval IMIG_OK            all were given
 * @retval IMIG_ERR_ARGUMENT  NULL
 * @retval IMIG_ERR_BUSY      others kept it locked for 10 s
 * @retval IMIG_ERR_IO        it cannot be read
 */
IMIG_EXPORT int imig_store_observations(imig_store *store, imig_observation_fn each,
                                        void *user_data, imig_error **error);

IMIG_END_DECLS

#endif
