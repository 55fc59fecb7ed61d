/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_BESIDE_PRIV_H
#define IMIG_BESIDE_PRIV_H

/*
 * Which recorded migrations ran beside which, and what of the links each of them got.  Time is cut
 * into segments in which the same ones are under way.
 */

#include "cost/calibration-priv.h"
#include "cost/precopy-priv.h"
#include "model/records-priv.h"

typedef struct imig__beside imig__beside;

/* duration_s: [count] how long each was under way, or for how long it is taken to be. */
imig__beside *imig__beside_new(const imig_records *records, const double *duration_s);
void imig__beside_free(imig__beside *beside);

/* [count] bytes/s of the link that each record had on average.  receive_hold_ratio: [count]. */
void imig__beside_rates(const imig__beside *beside, const double *receive_hold_ratio, double *rate);

/* A record at such a rate of the link; what follows from constants included. */
void imig__record_predict(const imig_record *record, const imig_constants *constants, double rate,
                          imig_cost *cost);

/* Memory that its first round sends. */
double imig__record_first_bytes(const imig_record *record);

/* The errors to expect of it, into cost. */
void imig__record_errors(const imig_record *record, const imig_constants *constants,
                         imig_cost *cost);

#endif
