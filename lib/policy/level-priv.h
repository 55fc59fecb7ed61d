/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_LEVEL_PRIV_H
#define IMIG_LEVEL_PRIV_H

/*
 * Every host within a limit of CPU and one of memory, moving as few bytes as possible: goals level
 * (the limits follow the mean of the pool) and consolidate (a host to be switched off has none).
 */

#include "policy/space-priv.h"

#include <imig/cancel.h>

typedef struct imig__limits {
    double *cpu;    /* [hosts] cores; INFINITY where there is no limit */
    double *memory; /* [hosts] bytes, with the overhead for each VM; never above the room */
} imig__limits;

typedef struct imig__level_options {
    uint64_t seed;
    double effort; /* share of the usual time; 0: all of it */
    const imig_cancel *cancel;
} imig__level_options;

imig__limits imig__limits_new(uint32_t hosts);
void imig__limits_clear(imig__limits *limits);

/*
 * (1 + tolerance) times the mean utilisation of the pool, as VMs stand at home; VMs of hosts that
 * are to be emptied count where they will go.  mean_cpu, mean_memory: [pools] those means.
 */
void imig__level_limits(const imig__space *space, const imig__state *home, const uint8_t *empties,
                        double tolerance, imig__limits *limits, double *mean_cpu,
                        double *mean_memory);

#define IMIG__LEVEL_SLACK 1e-9 /* of a limit */

static inline gboolean
imig__level_is_over(double value, double limit)
{
    return value > limit + IMIG__LEVEL_SLACK * limit;
}

/* Where it is in a state, does a host pass its limit of CPU, or any? */
gboolean imig__level_over_cpu(const imig__limits *limits, const imig__state *state, uint32_t host);
gboolean imig__level_over(const imig__space *space, const imig__limits *limits,
                          const imig__state *state, uint32_t host);

/*
 * Moves VMs until every host is within its limits, as few bytes away from home as are found; where
 * that cannot be done, as little over as is found.  TRUE where it is done.  VMs that are away from
 * home may be put elsewhere or go home; what is over the room of a host does not get worse.
 */
gboolean imig__level(const imig__space *space, imig__state *state, const imig__limits *limits,
                     const imig__level_options *options);

/*
 * Proven: no placement within the limits has fewer bytes away from home.  fixed: [vms] not NULL
 * where a VM cannot leave.  INFINITY where a host cannot get within its limits.
 */
double imig__level_bound(const imig__space *space, const imig__state *home,
                         const imig__limits *limits, const char *const *fixed);

/*
 * The same bytes with less loss: other destinations for VMs that move anyway.  even: lost cores for
 * each core of a host that uses its limits whole and not at all, by the square; 0: never mind.
 */
void imig__level_polish(const imig__space *space, imig__state *state, const imig__limits *limits,
                        double even, uint64_t seed);

#endif
