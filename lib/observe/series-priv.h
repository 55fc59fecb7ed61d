/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_SERIES_PRIV_H
#define IMIG_SERIES_PRIV_H

/*
 * Rates of things that count, over a sliding window of samples.  A thing has a slot; a slot whose
 * thing has not been seen for a window is given to another one.
 */

#include "base/base-priv.h"

#include <imig/common.h>

typedef struct imig__series {
    uint32_t counter_count; /* of each thing */
    uint32_t window;        /* intervals that are kept */
    uint32_t slot_count, slot_room;
    uint64_t begun;         /* samples so far */
    uint64_t *seen;         /* [slot_count] number of the sample it was last seen in; 0: free */
    double *last;           /* [slot_count * (1 + counter_count)] time and counters then */
    gboolean *elsewhere;    /* [slot_count] its intervals are those of the host it has left */
    GArray *free_slots;     /* of uint32_t */
    double **frames;        /* [window] ring of intervals between samples, each
                               [slots then * (1 + counter_count)]: length, 0 for none, and rates */
    uint32_t *frame_slots;  /* [window] slots then */
} imig__series;

imig__series *imig__series_new(uint32_t counter_count, uint32_t window);
void imig__series_free(imig__series *series);

/* A slot for a new thing. */
uint32_t imig__series_take(imig__series *series);

/* Begins a sample; the oldest interval of a full window goes. */
void imig__series_begin(imig__series *series);

/* Has this slot not been seen for a whole window?  Then it is free from now on. */
gboolean imig__series_expire(imig__series *series, uint32_t slot);

/*
 * What a thing counts at time_s; NaN: not counted.  From the reading before to this one is an
 * interval, unless it is `broken` by a move, time stands still, or a counter fell: then it began
 * anew.  The first interval after a move takes the place of all before it.
 */
void imig__series_add(imig__series *series, uint32_t slot, double time_s, const double *counters,
                      gboolean broken);

/* Mean rate of a counter over the window, and its standard error (0: not known); FALSE: none. */
gboolean imig__series_rate(const imig__series *series, uint32_t slot, uint32_t counter,
                           double *rate, double *standard_error);

#endif
