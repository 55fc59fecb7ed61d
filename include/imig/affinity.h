/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_AFFINITY_H
#define IMIG_AFFINITY_H

/**
 * @file
 * The workload affinity matrix: how much each workload slows each other one on the same host.
 *
 * Read and written as `imig-affinity/1`, a CSV in the layout of the paper's Table 2: a cell is the
 * running time of the column's workload while the row's is its neighbour; an optional row `solo`
 * gives the running time alone, otherwise the column's minimum stands for it.  The slowdown is
 * cell / solo - 1, never negative.
 */

#include <imig/error.h>
#include <imig/model.h>

IMIG_BEGIN_DECLS

/** Slowdowns between workloads; opaque, reference-counted, never changes. */
typedef struct imig_affinity imig_affinity;

/**
 * The matrix derived from the paper: Table 2 for its five workloads, and class against class as
 * doc/paper-map.md lists it.
 *
 * @return one reference; never NULL
 * @ownership{the caller's; end it with imig_affinity_unref()}
 * @threads{safe from any thread}
 * @paper{Table 2; section 3.2}
 */
IMIG_EXPORT imig_affinity *imig_affinity_new_default(void);

/**
 * Read a matrix.  Rows and columns name workloads (or classes); where a pair is not in it, the
 * defaults of imig_affinity_new_default() answer for the classes.
 *
 * @param text          [length] CSV, UTF-8; a BOM, CRLF and quotes are understood
 * @param length        bytes
 * @param[out] affinity one reference
 * @param[out] error    set on failure; may be NULL
 * @ownership{@p affinity is the caller's; @p text is not kept}
 * @threads{safe from any thread}
 * @paper{Table 2}
 * @retval IMIG_OK            @p affinity is set
 * @retval IMIG_ERR_ARGUMENT  NULL
 * @retval IMIG_ERR_SYNTAX    not CSV, not UTF-8; the message has the line
 * @retval IMIG_ERR_INVALID   a name twice, a row of another length, no or more than 128 columns or
 *                            neighbours, a time that is not a finite number > 0; the message has
 *                            row, column, value and rule
 */
IMIG_EXPORT int imig_affinity_from_csv(const char *text, size_t length, imig_affinity **affinity,
                                       imig_error **error);

/**
 * Write the times of a matrix as it was read, or Table 2 for the default: same content, same bytes.
 *
 * @param affinity    not NULL
 * @param[out] text   NUL-ended
 * @param[out] error  set on failure; may be NULL
 * @ownership{@p text goes back to imig_free()}
 * @threads{safe from any thread}
 * @retval IMIG_OK            @p text is set
 * @retval IMIG_ERR_ARGUMENT  NULL
 */
IMIG_EXPORT int imig_affinity_to_csv(const imig_affinity *affinity, char **text,
                                     imig_error **error);

/**
 * Take a reference.
 *
 * @param affinity  not NULL
 * @return @p affinity
 * @threads{safe from any thread}
 */
IMIG_EXPORT imig_affinity *imig_affinity_ref(imig_affinity *affinity);

/**
 * Drop a reference; the last one frees.
 *
 * @param affinity  may be NULL
 * @threads{safe from any thread}
 */
IMIG_EXPORT void imig_affinity_unref(imig_affinity *affinity);

/**
 * Number of columns: the workloads whose running time is in the table.
 *
 * @param affinity  not NULL
 * @return the count
 * @threads{safe from any thread}
 */
IMIG_EXPORT size_t imig_affinity_count(const imig_affinity *affinity);

/**
 * The name of a column.
 *
 * @param affinity  not NULL
 * @param index     of the column
 * @return its name; NULL beyond the last
 * @ownership{lent as long as the matrix}
 * @threads{safe from any thread}
 */
IMIG_EXPORT const char *imig_affinity_name(const imig_affinity *affinity, size_t index);

/**
 * How far a column's times differ: (max - min) / max.
 *
 * @param affinity  not NULL
 * @param index     of the column
 * @return a ratio; NaN beyond the last
 * @threads{safe from any thread}
 * @paper{Table 2, last row: 25.1, 22.7, 33.6, 37.5, 3.9 %}
 */
IMIG_EXPORT double imig_affinity_max_difference(const imig_affinity *affinity, size_t index);

/**
 * How much a VM loses beside a neighbour: looked up by workload, then by class.
 *
 * A victim or neighbour whose workload the matrix does not know counts as its class.
 *
 * @param affinity         not NULL
 * @param victim           workload of the VM that is slowed; NULL: none
 * @param victim_class     its class, an #imig_workload; one that is not known counts as idle
 * @param neighbour        workload of the neighbour; NULL: none
 * @param neighbour_class  its class
 * @return slowdown ratio, >= 0: 0.33 is a third more time
 * @threads{safe from any thread}
 * @paper{section 3.2}
 */
IMIG_EXPORT double imig_affinity_slowdown(const imig_affinity *affinity, const char *victim,
                                          int32_t victim_class, const char *neighbour,
                                          int32_t neighbour_class);

/**
 * Put n workloads on n hosts, one each, at the least total running time (the assignment problem,
 * solved exactly; Kuhn 1955, Munkres 1957).
 *
 * @param cost        [n * n] row-major: cost[i * n + j] when workload i goes to host j; finite
 * @param n           0 is allowed
 * @param[out] host   [n] host of each workload, a permutation
 * @param[out] total  sum of the chosen costs; may be NULL
 * @param[out] error  set on failure; may be NULL
 * @ownership{nothing is kept}
 * @threads{safe from any thread: no state}
 * @paper{section 3.2, Table 2: which host for each of the five workloads}
 * @retval IMIG_OK            @p host is filled
 * @retval IMIG_ERR_ARGUMENT  NULL, or a cost that is not finite
 */
IMIG_EXPORT int imig_affinity_assign(const double *cost, size_t n, uint32_t *host, double *total,
                                     imig_error **error);

/**
 * The running times of a matrix, as read: for imig_affinity_assign(), where row is the neighbour.
 *
 * @param affinity   not NULL
 * @param row        name of the neighbour
 * @param column     name of the workload whose time it is
 * @return seconds (or the file's unit); NaN where the table has no such cell
 * @threads{safe from any thread}
 * @paper{Table 2}
 */
IMIG_EXPORT double imig_affinity_time(const imig_affinity *affinity, const char *row,
                                      const char *column);

/** Learns slowdowns from what VMs got done beside changing neighbours; opaque. */
typedef struct imig_affinity_learner imig_affinity_learner;

/** What was learned of a workload class beside another. */
typedef struct imig_slowdown {
    size_t   size;            /**< sizeof(imig_slowdown) */
    double   slowdown_ratio;  /**< of the victim beside neighbours that ask for as many cores as the
                                   host has; negative where it got more done beside them */
    double   standard_error;  /**< of it */
    int32_t  victim;          /**< an #imig_workload */
    int32_t  neighbour;       /**< an #imig_workload */
    uint32_t observations;    /**< of the victim's class, of VMs whose neighbours changed */
    uint32_t vms;             /**< that these are of */
    double   p_value;         /**< how often as much as this, or more, is found in all that was
                                   learned where nobody slows anybody: Student's t with a degree of
                                   freedom less than there are VMs, two-sided, Holm's correction */
    int32_t  sure;            /**< 1: `p_value` < 0.05, and `slowdown_ratio` is from 0 to 1, since
                                   nobody gets less than nothing done; else it is not to be used */
    uint32_t reserved;        /**< 0 */
} imig_slowdown;

/** To be filled. */
#define IMIG_SLOWDOWN_INIT { sizeof(imig_slowdown), 0.0, 0.0, 0, 0, 0, 0, 0.0, 0, 0 }

/**
 * Nothing learned yet.
 *
 * @return never NULL
 * @ownership{the caller's; end it with imig_affinity_learner_free()}
 * @threads{safe from any thread}
 */
IMIG_EXPORT imig_affinity_learner *imig_affinity_learner_new(void);

/**
 * Free a learner.
 *
 * @param learner  may be NULL
 * @threads{one thread at a time}
 */
IMIG_EXPORT void imig_affinity_learner_free(imig_affinity_learner *learner);

/**
 * Add an observation, see imig_observation of store.h.
 *
 * @param learner       not NULL
 * @param vm            id: a VM is compared with itself only
 * @param workload      its class, an #imig_workload
 * @param work_per_s    what it got done, in its own unit, > 0
 * @param beside        [beside_count] cores that its neighbours of each class ask for, as a share
 *                      of the host's cores, >= 0
 * @param beside_count  number of classes; further ones count as 0
 * @param[out] error    set on failure; may be NULL
 * @threads{one thread at a time for one learner}
 * @retval IMIG_OK            it was added
 * @retval IMIG_ERR_ARGUMENT  NULL, no such class, or a number out of range
 */
IMIG_EXPORT int imig_affinity_learner_add(imig_affinity_learner *learner, const char *vm,
                                          int32_t workload, double work_per_s,
                                          const double *beside, size_t beside_count,
                                          imig_error **error);

/**
 * Learn: per class the least squares of what its VMs got done, each relative to itself, over what
 * their neighbours asked for.
 *
 * @param learner     not NULL
 * @param[out] count  how many slowdowns were learned, for imig_affinity_learner_get(); >= 1
 * @param[out] error  set on failure; may be NULL
 * @threads{one thread at a time for one learner}
 * @paper{section 3.2, Table 2: how much workloads slow each other}
 * @retval IMIG_OK            @p count is set
 * @retval IMIG_ERR_ARGUMENT  NULL
 * @retval IMIG_ERR_INVALID   too few: no class has 12 observations of VMs whose neighbours changed
 */
IMIG_EXPORT int imig_affinity_learner_finish(imig_affinity_learner *learner, size_t *count,
                                             imig_error **error);

/**
 * One slowdown, by victim and then by neighbour.
 *
 * @param learner        not NULL
 * @param index          from 0
 * @param[out] slowdown  filled up to its `size`; set that before
 * @param[out] error     set on failure; may be NULL
 * @threads{one thread at a time for one learner}
 * @retval IMIG_OK            @p slowdown is filled
 * @retval IMIG_ERR_ARGUMENT  NULL, or no such index
 * @retval IMIG_ERR_ABI       `slowdown->size` is not known
 */
IMIG_EXPORT int imig_affinity_learner_get(const imig_affinity_learner *learner, size_t index,
                                          imig_slowdown *slowdown, imig_error **error);

IMIG_END_DECLS

#endif
