/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_LEVEL_RUN_PRIV_H
#define IMIG_LEVEL_RUN_PRIV_H

/* Levelling at work; shared by the level*.c files alone. */

#include "cost/cover-priv.h"
#include "policy/level-priv.h"

/*
 * One thing that moves: a VM, or the VMs of a unit.  Memory is in units that are a power of two, so
 * that sums of it are exact; CPU in the same units by what the pool has of both.
 */
typedef struct imig__level_item {
    double cpu, memory;
    double bytes;    /* its price away from home, in units of memory */
    double count;    /* VMs */
    uint32_t home, host;
} imig__level_item;

typedef struct imig__level_host {
    double cpu, memory;             /* in demand */
    double cpu_limit, memory_limit;
    double overhead;                /* memory for each VM */
    double weight;                  /* price of being over the limits */
} imig__level_host;

typedef struct imig__level_run {
    const imig__space *space;
    const imig__level_options *options;
    imig__state places;         /* only what rules ask for: who is where */
    imig__level_host *hosts;    /* [hosts] */
    imig__level_item *items;    /* [count] by home, those of one host next to each other */
    uint32_t *begin;            /* [hosts + 1] where the items of a home begin */
    uint32_t *vm;               /* [count] one that stands for the item */
    uint8_t *tied;              /* [count] rules or a list of hosts: has to be asked about */
    uint32_t count;
    imig__cover *cover;
    imig__cover_item *leaving;  /* [count] room to work in */
    uint8_t *chosen;            /* [count] the same */
    double unit_bytes;

    /* The hosts that are being levelled now, and what is on them. */
    uint32_t *part;             /* [hosts] */
    uint32_t part_count;
    uint32_t *target;           /* [hosts] those that may take something */
    uint32_t target_count;
    uint32_t *movable;          /* [count] items of these homes, those of hosts over first */
    uint32_t movable_count, hot_count;
    uint32_t *away, *away_at;   /* [count] items not at home; where each is in that list */
    uint32_t away_count;
    uint32_t over_count;        /* hosts over a limit */
    double bytes;               /* away from home */
    double bound;               /* no less than that */
    uint32_t *best;             /* [count] hosts of the best placement so far */
    uint32_t *changed;          /* [count] items that moved since */
    uint8_t *is_changed;        /* [count] */
    uint32_t changed_count;
    gboolean has_best;
    double best_bytes;
} imig__level_run;

static inline gboolean
imig__level_host_over(const imig__level_host *host)
{
    return imig__level_is_over(host->cpu, host->cpu_limit)
           || imig__level_is_over(host->memory, host->memory_limit);
}

/* May it go there, its limits aside? */
gboolean imig__level_allows(imig__level_run *run, uint32_t item, uint32_t host);
void imig__level_move(imig__level_run *run, uint32_t item, uint32_t host);

/* run->part is levelled next; items of other parts stay, and count as part of the load. */
void imig__level_begin_part(imig__level_run *run);

/* What is away though its home can have it again: less loss is not what is asked for. */
void imig__level_send_home(imig__level_run *run);

/* Takes the cheapest sets off the hosts that are over and packs them. */
void imig__level_begin(imig__level_run *run);

/* In units, of which the mean VM has 8 to 16: keeps what is good about the start; forgets it. */
#define IMIG__LEVEL_WARM 2.0
#define IMIG__LEVEL_HOT 16.0

/* Simulated annealing from where it stands; ends at the best placement within all limits, or, where
   it found none (has_best), at one that is as little over as was found. */
void imig__level_anneal(imig__level_run *run, uint64_t seed, uint64_t proposals, double heat);

#endif
