/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_CALIBRATION_H
#define IMIG_CALIBRATION_H

/**
 * @file
 * Learn the constants of the cost model from measured migrations; keep them as `imig-constants/1`.
 */

#include <imig/cost.h>
#include <imig/error.h>
#include <imig/records.h>

IMIG_BEGIN_DECLS

/**
 * Learn constants.
 *
 * For each hypervisor, and then for each pair of hosts that has enough of its own: of the constants
 * in turn those are learned that make predictions better on migrations that they were not learned
 * from.  The measured migrations are parted by plan for that, so that a plan is never on both
 * sides; what does not help there, or makes the median or the ninth decile of the errors in time,
 * downtime or bytes larger, stays as assumed: all of it, if need be.  The errors in the result are
 * those of that comparison.  Outliers count for no more than a bound.
 *
 * Migrations that did not end well are passed over, and so is a hypervisor with too little; so are
 * all downtimes or all bytes of a hypervisor where more than half of them are far from any
 * constants: nothing is learned from them, and their errors are 0, not known.
 *
 * @param records           what was measured
 * @param[out] calibration  one reference
 * @param[out] error        set on failure; may be NULL
 * @ownership{@p calibration is the caller's; end it with imig_calibration_unref()}
 * @threads{safe from any thread: no state, no I/O, no clock, no randomness}
 * @paper{section 5, its future work: a mathematical model}
 * @retval IMIG_OK            @p calibration is set
 * @retval IMIG_ERR_ARGUMENT  NULL
 * @retval IMIG_ERR_INVALID   nothing can be learned: fewer than 20 migrations or 3 plans, all of
 *                            them of one duration, or more than half of them far from any constants
 */
IMIG_EXPORT int imig_calibrate(const imig_records *records, imig_calibration **calibration,
                               imig_error **error);

/**
 * Read constants.
 *
 * @param text              [length] imig-constants/1
 * @param length            bytes
 * @param[out] calibration  one reference
 * @param[out] error        set on failure; may be NULL
 * @ownership{@p calibration is the caller's; @p text is not kept}
 * @threads{safe from any thread}
 * @retval IMIG_OK            @p calibration is set
 * @retval IMIG_ERR_ARGUMENT  NULL
 * @retval IMIG_ERR_SYNTAX    not JSON; the message has line and column
 * @retval IMIG_ERR_INVALID   a rule is broken; the message has path, value and rule
 */
IMIG_EXPORT int imig_calibration_from_json(const char *text, size_t length,
                                           imig_calibration **calibration, imig_error **error);

/**
 * Write constants: same content, same bytes.
 *
 * @param calibration  not NULL
 * @param[out] text    [@p length + 1] NUL-ended
 * @param[out] length  bytes; may be NULL
 * @param[out] error   set on failure; may be NULL
 * @ownership{@p text goes back to imig_free()}
 * @threads{safe from any thread}
 * @retval IMIG_OK            @p text is set
 * @retval IMIG_ERR_ARGUMENT  NULL
 */
IMIG_EXPORT int imig_calibration_to_json(const imig_calibration *calibration, char **text,
                                         size_t *length, imig_error **error);

/**
 * Take a reference.
 *
 * @param calibration  not NULL
 * @return @p calibration
 * @threads{safe from any thread}
 */
IMIG_EXPORT imig_calibration *imig_calibration_ref(imig_calibration *calibration);

/**
 * Drop a reference; the last one frees.
 *
 * @param calibration  may be NULL
 * @threads{safe from any thread}
 */
IMIG_EXPORT void imig_calibration_unref(imig_calibration *calibration);

/**
 * How many sets of constants there are.
 *
 * @param calibration  not NULL
 * @return the count
 * @threads{safe from any thread}
 */
IMIG_EXPORT size_t imig_calibration_count(const imig_calibration *calibration);

/**
 * One set of constants, in the order of the document.
 *
 * @param calibration     not NULL
 * @param index           from 0
 * @param[out] constants  filled up to `constants->size`; set that before
 * @param[out] error      set on failure; may be NULL
 * @ownership{strings are lent as long as @p calibration}
 * @threads{safe from any thread}
 * @retval IMIG_OK            @p constants is filled
 * @retval IMIG_ERR_ARGUMENT  NULL, or no such index
 * @retval IMIG_ERR_ABI       `constants->size` is not known
 */
IMIG_EXPORT int imig_calibration_get(const imig_calibration *calibration, size_t index,
                                     imig_constants *constants, imig_error **error);

/**
 * The constants for a migration: of its pair of hosts, else of its hypervisor, else assumed.
 *
 * @param calibration     NULL: nothing was learned
 * @param hypervisor      NULL: "qemu"
 * @param from            id of the source; NULL: any
 * @param to              id of the destination; NULL: any
 * @param[out] constants  filled up to `constants->size`; set that before
 * @param[out] error      set on failure; may be NULL
 * @ownership{strings are lent as long as @p calibration}
 * @threads{safe from any thread}
 * @retval IMIG_OK            @p constants is filled
 * @retval IMIG_ERR_ARGUMENT  NULL, or an unknown hypervisor
 * @retval IMIG_ERR_ABI       `constants->size` is not known
 */
IMIG_EXPORT int imig_calibration_find(const imig_calibration *calibration, const char *hypervisor,
                                      const char *from, const char *to, imig_constants *constants,
                                      imig_error **error);

/**
 * Predict migrations of records with what ran beside each of them.
 *
 * Records of one run share links: where two are under way at once, each gets its part, and who
 * receives on a host that sends at the same time is held up.  A record takes as long as was
 * measured, where that is known, for the others; its own measurement decides beside what it ran,
 * nothing else.  Where nothing was measured the predicted times decide.
 *
 * @param records      what is to be predicted
 * @param calibration  learned constants; NULL: assumed
 * @param[out] time_s            [imig_records_count()] may be NULL
 * @param[out] downtime_s        likewise
 * @param[out] transferred_bytes likewise
 * @param[out] slowdown_ratio    likewise
 * @param[out] rounds            likewise
 * @param[out] converges         likewise
 * @param[out] time_p90_ratio    likewise; 0 where nothing was learned
 * @param[out] error             set on failure; may be NULL
 * @ownership{nothing is kept}
 * @threads{safe from any thread: no state, no I/O, no clock}
 * @retval IMIG_OK            the outputs are filled
 * @retval IMIG_ERR_ARGUMENT  NULL
 */
IMIG_EXPORT int imig_records_predict(const imig_records *records,
                                     const imig_calibration *calibration, double *time_s,
                                     double *downtime_s, double *transferred_bytes,
                                     double *slowdown_ratio, uint32_t *rounds, int32_t *converges,
                                     double *time_p90_ratio, imig_error **error);

IMIG_END_DECLS

#endif
