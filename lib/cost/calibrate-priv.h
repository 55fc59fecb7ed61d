/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_CALIBRATE_PRIV_H
#define IMIG_CALIBRATE_PRIV_H

/* Learning: constants that fit some records best, judged on others. */

#include "cost/beside-priv.h"

enum { IMIG__FOLDS = 5 };

enum { IMIG__OFF_TIME, IMIG__OFF_DOWNTIME, IMIG__OFF_BYTES, IMIG__OFF_KINDS };

/* How far predictions are off, as a share of what was measured; 0 where nothing was. */
typedef struct imig__off {
    double p50[IMIG__OFF_KINDS], p90[IMIG__OFF_KINDS];
} imig__off;

typedef struct imig__learner {
    const imig_records *records;
    imig__beside *beside;
    double *rate, *holds;  /* [records] at the hold below */
    double hold;
    const uint32_t *row;   /* [n] records to learn from */
    size_t n;
    uint32_t *fold;        /* [n] */
    int left_out;          /* this fold; -1: none */
    imig_constants constants;
    int constant[IMIG__CONSTANT_COUNT]; /* [free_count] those that vary */
    size_t free_count;
    gboolean passed_over[IMIG__OFF_KINDS]; /* nothing is learned from these measurements */
} imig__learner;

static inline const imig_record *
imig__learner_record(const imig__learner *learner, size_t i)
{
    return imig__records_at(learner->records, learner->row[i]);
}

/* What was measured of a record and counts; 0: nothing. */
double imig__learner_measured(const imig__learner *learner, const imig_record *record, int kind);

/* The same of a prediction. */
double imig__predicted(const imig_cost *cost, int kind);

/* Predictions of each row by constants that it was not learned into. */
typedef struct imig__judged {
    double loss;
    imig_cost *cost; /* [n] */
    imig__off off;   /* of cost */
} imig__judged;

void imig__judged_clear(imig__judged *judged);

/* Each fold in turn is left out, and predicted by what the others teach.  To be cleared. */
imig__judged imig__judge(imig__learner *learner);

/* Is no error larger than before, the usual ones and the worst ones, of any kind? */
gboolean imig__no_worse(const imig__off *now, const imig__off *before);

/* Sets those constants that vary to what is best for the rows that are not left out. */
void imig__fit(imig__learner *learner);

/*
 * Learns stage by stage; what is left in *best is the judgement of the constants that stay: those
 * that were assumed, where the learned ones make anything worse.
 */
void imig__learn(imig__learner *learner, imig__judged *best);

/* One of ten is below low, nine of ten are not above high. */
void imig__find_range(const imig__learner *learner, double (*of)(const imig_record *), double *low,
                      double *high);

#endif
