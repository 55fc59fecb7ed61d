/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_SEARCH_RUN_PRIV_H
#define IMIG_SEARCH_RUN_PRIV_H

/* One search at work; shared by the search*.c files alone. */

#include "policy/search-priv.h"

/* Up to so many hosts, everything is tried everywhere. */
enum { IMIG__SMALL = 64 };

enum { IMIG__ROOMS = 32 }; /* powers of two, from 64 KiB on */

/*
 * Where VMs could go.  VMs fall into a few kinds that find the same hosts good or bad; for each
 * kind the hosts of a pool are kept in order of what one more VM of it would cost there.
 */
typedef struct imig__where {
    uint32_t kinds, pools;
    size_t hosts;
    uint8_t *kind;        /* [vms] */
    imig__sums *mean;     /* [kinds] what such a VM brings in the mean */
    uint32_t *label;      /* [kinds] */
    uint32_t *pool_begin; /* [pools + 1] of each pool in each order */
    uint32_t *count;      /* [pools] hosts that accept VMs */
    double *key;          /* [kinds * hosts] what one more would cost; INFINITY: accepts none */
    uint32_t *order;      /* [kinds * hosts] least key first */
    double *price;        /* [pools] of a core where everything is at its best */
    uint8_t *misses;      /* [as floor] VMs in a row that found no room since then */
    double *floor;        /* [kinds * pools * IMIG__ROOMS] the cheapest core, when last found, of
                             hosts that have room for a power of two bytes */
} imig__where;

/*
 * What is asked of a VM again and again, in one place, beside the others of its host: most of them
 * are only looked at.
 */
typedef struct imig__card {
    double cpu;          /* its demand */
    double memory;       /* bytes */
    double price;        /* what leaving home must gain */
    uint32_t next, prev; /* cards of its host, a doubly linked list */
    uint32_t vm, home, label;
    uint8_t kind;        /* see imig__where */
    uint8_t fixed;       /* it or its unit cannot move at all */
    uint8_t may_move;    /* they can, and its home may be left */
    uint8_t leads;       /* first of its unit: the others go with it */
    uint8_t tied;        /* IMIG__TIED_* */
    uint8_t plain;       /* brings nothing that a host or a VM could suffer from but CPU demand */
    uint8_t reserved[6];
} imig__card;

typedef struct imig__search_run {
    const imig__space *space;
    const imig__load *load;
    imig__state *state;
    const imig__search_options *options;
    imig__card *cards;         /* [vms] in the order of the hosts where they were first */
    uint32_t *card;            /* [vms] which of these */
    uint32_t *first;           /* [hosts] cards of a host, or IMIG_NO_INDEX */
    imig__where where;
    uint32_t *by_price;        /* [hosts] pool by pool, in order of price, coldest first */
    double *left;              /* [hosts] memory; less than 0 where it is short */
    double *most_other;        /* [hosts] see search-swaps.c; NaN: not known */
    double *pairs;             /* [labels * labels] slowdown, both ways together */
    double *worst_pair;        /* [labels] the largest of each */
    uint32_t failures;         /* VMs that found no better host since floors were found */
    uint8_t *active;           /* [hosts] looked at in this round */
    uint8_t *touched;          /* [hosts] changed since the round began */
    double *scratch;           /* [max(16 * vms, hosts)] */
    uint32_t *list;            /* [4 * vms] */
    double cluster_memory;     /* of all hosts */
    double worth;              /* lost cores below which nothing counts as an improvement */
    gboolean weighted;         /* some VM's weight is not 1 */
    gboolean plain;            /* every VM is */
} imig__search_run;

static inline const imig__card *
imig__card_of(const imig__search_run *run, uint32_t vm)
{
    return &run->cards[run->card[vm]];
}

/* What is not near is asked for before its turn: so many VMs or hosts ahead. */
enum { IMIG__AHEAD = 4 };

static inline void
imig__prefetch(const void *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64)
        __builtin_prefetch((const char *) data + i);
}

/* The cards of a host: most of them lie together. */
static inline void
imig__run_prefetch(const imig__search_run *run, uint32_t host)
{
    if (run->first[host] != IMIG_NO_INDEX)
        imig__prefetch(&run->cards[run->first[host]],
                       (size_t) run->state->sums[host].count * sizeof *run->cards);
}

/* Cost of a violation: above every loss that a cluster can have. */
#define IMIG__VIOLATION 1e6

/* VMs that must leave, units that are split, rules that are broken, memory that is short. */
void imig__run_repair(imig__search_run *run);

/* What none of that could solve may overload its destination; TRUE where anything moved. */
gboolean imig__run_last_resort(imig__search_run *run);

/* -- search-run.c -- */

/*
 * Change of loss + price + violations by moving one VM (its unit aside), and its two halves: the
 * host that it leaves, once for all destinations, and the host that it joins.
 */
double imig__run_delta(const imig__search_run *run, uint32_t vm, uint32_t host);
double imig__run_leave(const imig__search_run *run, uint32_t vm);
double imig__run_join(const imig__search_run *run, uint32_t vm, uint32_t host);
void imig__run_move(imig__search_run *run, uint32_t vm, uint32_t host);

/*
 * The same by an exchange of two VMs without flows and rules.  cross: of the first here and where
 * it would go, of the second likewise, as imig__state_swap_delta() takes them.
 */
double imig__run_swap_delta(const imig__search_run *run, uint32_t v, uint32_t w,
                            const double cross[4]);

/* The same for its unit, by trying. */
double imig__run_unit_delta(imig__search_run *run, uint32_t vm, uint32_t host);
void imig__run_unit_move(imig__search_run *run, uint32_t vm, uint32_t host);

/* What one more core of demand costs on a host. */
double imig__run_price(const imig__search_run *run, uint32_t host);

void imig__run_list_add(imig__search_run *run, uint32_t vm, uint32_t host);

/* -- search-where.c -- */

void imig__where_init(imig__where *where, const imig__space *space);
void imig__where_clear(imig__where *where);
void imig__where_sort(imig__where *where, const imig__space *space, const imig__state *state);
void imig__where_find_floors(imig__where *where, const imig__space *space,
                             const imig__state *state, const double *left);

/* Where as many bytes fit; smaller ones, too, as far as the powers of two tell them apart. */
double *imig__where_floor(const imig__where *where, uint32_t kind, uint32_t pool, double bytes);

/* A host has changed: it changes its place. */
void imig__where_update(imig__where *where, const imig__space *space, const imig__state *state,
                        uint32_t host);

/* The hosts that a VM of a kind could go to, what it costs least first; returns how many. */
uint32_t imig__where_look(const imig__where *where, const imig__space *space, uint32_t kind,
                          uint32_t home, const uint32_t **order);

/* -- search-moves.c -- */

struct imig__best {
    double delta;
    uint32_t vm, host;
};

/*
 * The best of the first `looks` hosts, of `scans` that are asked, that can take a VM; of home, of
 * where its partners are, and of its list of hosts, where that is short.  FALSE: none of those that
 * were asked has room.
 */
gboolean imig__run_try(imig__search_run *run, uint32_t vm, uint32_t looks, uint32_t scans,
                       struct imig__best *best);

void imig__run_make_move(imig__search_run *run, const struct imig__best *best);

/* Makes single moves; returns what they gained. */
double imig__run_relieve_hosts(imig__search_run *run);

/* -- search-swaps.c: the same with exchanges -- */

/* Orders the hosts of each pool by price, coldest first. */
void imig__run_sort_hosts(imig__search_run *run);
double imig__run_swap_round(imig__search_run *run, uint32_t round);

#endif
