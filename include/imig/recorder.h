/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_RECORDER_H
#define IMIG_RECORDER_H

/**
 * @file
 * The history of a run: each of its migrations becomes a record of the store, with what was known
 * before it began and what was measured after.
 */

#include <imig/calibration.h>
#include <imig/execute.h>
#include <imig/store.h>

IMIG_BEGIN_DECLS

/** One run being written down; opaque. */
typedef struct imig_recorder imig_recorder;

/**
 * Prepare to write down a run.
 *
 * What a record says of links, CPU and neighbours is what the cost model makes of the cluster, with
 * every VM where the steps that are done have put it.
 *
 * @param store          where to; must outlive the recorder
 * @param cluster        what is known, finished; a reference is taken
 * @param calibration    what the plan was predicted with; NULL: with what is assumed; must outlive
 *                       the recorder
 * @param options        what imig_execute() is given; NULL: all defaults
 * @param[out] recorder  what was prepared
 * @param[out] error     set on failure; may be NULL
 * @ownership{@p recorder is the caller's; end it with imig_recorder_free()}
 * @threads{safe from any thread}
 * @retval IMIG_OK            @p recorder is set
 * @retval IMIG_ERR_ARGUMENT  NULL, or a cluster that is not finished
 * @retval IMIG_ERR_ABI       `options->size` is not known
 */
IMIG_EXPORT int imig_recorder_new(imig_store *store, const imig_cluster *cluster,
                                  const imig_calibration *calibration,
                                  const imig_execute_options *options, imig_recorder **recorder,
                                  imig_error **error);

/**
 * Write down how a step stands: a record when it begins, so that there is one whatever happens
 * then, and the same filled in when it has ended.
 *
 * May be called from the event function of imig_execute(), and for every step once more when the
 * run has ended.  A step that was never begun, one of a VM or host that the cluster does not have,
 * and one that stands as it did are passed over.
 *
 * @param recorder    not NULL
 * @param report      of the step
 * @param[out] error  set on failure; may be NULL
 * @threads{one thread at a time for one recorder and its store}
 * @retval IMIG_OK            it is written, or there was nothing to write
 * @retval IMIG_ERR_ARGUMENT  NULL
 * @retval IMIG_ERR_ABI       `report->size` is not known
 * @retval IMIG_ERR_INVALID   a measurement that cannot be, as imig_records_add()
 * @retval IMIG_ERR_BUSY      others kept the store locked for 10 s
 * @retval IMIG_ERR_IO        it cannot be written
 */
IMIG_EXPORT int imig_recorder_step(imig_recorder *recorder, const imig_step_report *report,
                                   imig_error **error);

/**
 * Free a recorder.  What it wrote stays.
 *
 * @param recorder  may be NULL
 * @threads{one thread at a time}
 */
IMIG_EXPORT void imig_recorder_free(imig_recorder *recorder);

IMIG_END_DECLS

#endif
