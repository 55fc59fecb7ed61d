/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_HOST_READ_PRIV_H
#define IMIG_HOST_READ_PRIV_H

/* Hosts, as more than one document describes them. */

#include "model/json-in-priv.h"

#include <imig/model.h>

/* A host while it is read; it points into the element at hand. */
typedef struct imig__host_in {
    imig_host_info info;
    GPtrArray *labels;     /* key, value, ...; the caller's */
    gboolean labels_given; /* be it that there are none */
} imig__host_in;

/*
 * whole: every key that a host cannot do without has to be there, and what may be absent has its
 * default.  Otherwise only the id has to: texts that are absent are NULL, the state is -1, numbers
 * that have no bit are NaN.
 */
int imig__host_read(imig__json_in *in, const imig__path *path, json_t *element, gboolean whole,
                    imig__host_in *host);

#endif
