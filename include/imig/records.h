/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_RECORDS_H
#define IMIG_RECORDS_H

/**
 * @file
 * Records of migrations: what was known before, what was predicted, what was measured.
 */

#include <imig/error.h>
#include <imig/model.h>
#include <imig/workload.h>

IMIG_BEGIN_DECLS

/** What became of a recorded migration.  Travels as `int32_t`. */
typedef enum imig_outcome {
    IMIG_OUTCOME_UNFINISHED = 0, /**< begun, and nobody wrote down how it ended */
    IMIG_OUTCOME_DONE = 1,       /**< the VM runs on its destination */
    IMIG_OUTCOME_FAILED = 2,     /**< it did not */
    IMIG_OUTCOME_CANCELLED = 3,  /**< stopped on request */
    IMIG_OUTCOME_COUNT = 4       /**< number of outcomes */
} imig_outcome;

/** One migration.  Numbers count where their bit in `present` is set, or where 0 says nothing. */
typedef struct imig_record {
    size_t      size;         /**< sizeof(imig_record) */
    uint64_t    present;      /**< IMIG_RECORD_HAS_* */
    int64_t     id;           /**< the store's; 0: none yet */
    const char *run;          /**< migrations of a run share its clock and run side by side; NULL:
                                   it ran alone */
    const char *plan;         /**< what must not be learned from and judged by; NULL: its run */
    const char *vm;           /**< id; NULL: not known, as are those that follow */
    const char *vm_name;      /**< for humans */
    const char *from;         /**< id of the source */
    const char *to;           /**< id of the destination */
    const char *hypervisor;   /**< NULL: "qemu" */
    const char *message;      /**< why it did not end well; NULL: none */
    double      start_s;      /**< since 1970, or since the run began */
    double      memory_bytes; /**< > 0 */
    double      bandwidth_bytes_per_s; /**< of the link, as far as the migration could have had it
                                            alone, > 0 */
    double      dirty_bytes_per_s;     /**< measured before, >= 0 */
    double      working_set_bytes;     /**< likewise */
    double      memory_nonzero_bytes;  /**< likewise */
    double      memory_populated_bytes; /**< likewise */
    double      disk_bytes;            /**< of disks copied along; 0: none */
    double      downtime_limit_s;      /**< > 0 */
    double      from_link_bytes_per_s; /**< of the source, for all migrations; else the bandwidth */
    double      to_link_bytes_per_s;   /**< likewise of the destination */
    double      from_cpu_ratio; /**< CPU utilisation of the source */
    double      from_dirty_ratio; /**< dirty rates of the neighbours on it, of its link's rate */
    double      predicted_s;          /**< before it began */
    double      predicted_downtime_s; /**< likewise */
    double      predicted_bytes;      /**< likewise */
    double      duration_s;        /**< measured, >= 0 */
    double      downtime_s;        /**< measured, >= 0, and no more than `duration_s` */
    double      transferred_bytes; /**< measured, >= 0; where it ended well, a byte for each 4096 of
                                        `memory_bytes` at least: pages of zeros have headers, too */
    int32_t     writes;            /**< an #imig_writes */
    int32_t     workload_class;    /**< an #imig_workload */
    int32_t     outcome;           /**< an #imig_outcome */
    uint32_t    rounds;            /**< measured; 0: not known */
    uint32_t    learned_from;      /**< migrations behind the constants of the prediction */
    uint32_t    reserved;          /**< 0 */
} imig_record;

#define IMIG_RECORD_HAS_DIRTY          (UINT64_C(1) << 0)  /**< `dirty_bytes_per_s` */
#define IMIG_RECORD_HAS_WORKING_SET    (UINT64_C(1) << 1)  /**< `working_set_bytes` */
#define IMIG_RECORD_HAS_NONZERO        (UINT64_C(1) << 2)  /**< `memory_nonzero_bytes` */
#define IMIG_RECORD_HAS_POPULATED      (UINT64_C(1) << 3)  /**< `memory_populated_bytes` */
#define IMIG_RECORD_HAS_DOWNTIME_LIMIT (UINT64_C(1) << 4)  /**< `downtime_limit_s` */
#define IMIG_RECORD_HAS_FROM_LINK      (UINT64_C(1) << 5)  /**< `from_link_bytes_per_s` */
#define IMIG_RECORD_HAS_TO_LINK        (UINT64_C(1) << 6)  /**< `to_link_bytes_per_s` */
#define IMIG_RECORD_HAS_PREDICTED      (UINT64_C(1) << 7)  /**< `predicted_s` and the next two */
#define IMIG_RECORD_HAS_DURATION       (UINT64_C(1) << 8)  /**< `duration_s` */
#define IMIG_RECORD_HAS_DOWNTIME       (UINT64_C(1) << 9)  /**< `downtime_s` */
#define IMIG_RECORD_HAS_TRANSFERRED    (UINT64_C(1) << 10) /**< `transferred_bytes` */
#define IMIG_RECORD_HAS_START          (UINT64_C(1) << 11) /**< `start_s` */

/** Nothing known. */
#define IMIG_RECORD_INIT { sizeof(imig_record), 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, \
    NULL, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, \
    0.0, 0.0, 0, IMIG_WORKLOAD_UNKNOWN, IMIG_OUTCOME_UNFINISHED, 0, 0, 0 }

/** A list of records; opaque. */
typedef struct imig_records imig_records;

/**
 * An empty list.
 *
 * @return never NULL
 * @ownership{the caller's; end it with imig_records_free()}
 * @threads{safe from any thread}
 */
IMIG_EXPORT imig_records *imig_records_new(void);

/**
 * Free a list.
 *
 * @param records  may be NULL
 * @threads{one thread at a time}
 */
IMIG_EXPORT void imig_records_free(imig_records *records);

/**
 * Append a record.
 *
 * @param records     not NULL
 * @param record      not NULL; checked
 * @param[out] error  set on failure; may be NULL
 * @ownership{@p record and its strings are copied}
 * @threads{one thread at a time for one list}
 * @retval IMIG_OK            it is the last one now
 * @retval IMIG_ERR_ARGUMENT  NULL
 * @retval IMIG_ERR_INVALID   a value out of range, or impossible beside another; the list is
 *                            untouched
 * @retval IMIG_ERR_ABI       `record->size` is not known
 */
IMIG_EXPORT int imig_records_add(imig_records *records, const imig_record *record,
                                 imig_error **error);

/**
 * How many records there are.
 *
 * @param records  not NULL
 * @return the count
 * @threads{safe from any thread while nobody adds}
 */
IMIG_EXPORT size_t imig_records_count(const imig_records *records);

/**
 * Look at a record.
 *
 * @param records      not NULL
 * @param index        from 0
 * @param[out] record  filled up to its `size`; set that before
 * @param[out] error   set on failure; may be NULL
 * @ownership{strings are lent as long as the list}
 * @threads{safe from any thread while nobody adds}
 * @retval IMIG_OK            @p record is filled
 * @retval IMIG_ERR_ARGUMENT  NULL, or no such record
 * @retval IMIG_ERR_ABI       `record->size` is not known
 */
IMIG_EXPORT int imig_records_get(const imig_records *records, size_t index, imig_record *record,
                                 imig_error **error);

/**
 * The name of an outcome.
 *
 * @param outcome  an #imig_outcome
 * @return "done", ...; NULL where there is none
 * @ownership{lent, static}
 * @threads{safe from any thread}
 */
IMIG_EXPORT const char *imig_outcome_name(int32_t outcome);

IMIG_END_DECLS

#endif
