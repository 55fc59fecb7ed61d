/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_CONSTANTS_PRIV_H
#define IMIG_CONSTANTS_PRIV_H

/* The constants of the model as a table, for whoever reads, writes, checks or learns them. */

#include "base/base-priv.h"

#include <imig/cost.h>

enum {
    IMIG__LINK_SHARE, IMIG__SETUP, IMIG__DOWNTIME, IMIG__DIRTY, IMIG__RECEIVE_HOLD,
    IMIG__DIRTY_HOLD, IMIG__CONSTANT_COUNT,
};

typedef struct imig__constant {
    const char *name;
    size_t offset;
    double least, most;
} imig__constant;

extern const imig__constant imig__constants[IMIG__CONSTANT_COUNT];

/* Those given, checked and in today's shape; the assumed ones for NULL. */
int imig__constants_of(const char *hypervisor, const imig_constants *given,
                       imig_constants *constants, imig_error **error);

/* Fills a caller's struct. */
int imig__constants_fill(imig_constants *into, const imig_constants *from, imig_error **error);

#endif
