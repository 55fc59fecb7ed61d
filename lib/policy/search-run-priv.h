/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_SEARCH_RUN_PRIV_H
#define IMIG_SEARCH_RUN_PRIV_H

/* One search at work; shared by the search*.c files alone. */

#include "policy/search-priv.h"

enum { IMIG__WINDOW = 64 }; /* destinations looked at for one VM: the coldest of its pool */

typedef struct imig__search_run {
    const imig__space *space;
    const imig__load *load;
    imig__state *state;
    const imig__search_options *options;
    const double *price;       /* [vms] what leaving home must gain */
    uint8_t *fixed;            /* [vms] the unit cannot move at all */
    uint32_t *first;           /* [hosts] VMs of a host, a doubly linked list */
    uint32_t *next, *prev;     /* [vms] */
    uint32_t *pool_begin;      /* [pools + 1] where the hosts of a pool begin in these two: */
    uint32_t *reserve;         /* [hosts] in order of price, coldest first */
    uint32_t *window;          /* [hosts] the first are looked at as destinations */
    uint32_t *window_size;     /* [pools] how many those are */
    uint32_t *reserve_next;    /* [pools] the coldest that was not among them yet */
    uint8_t *active;           /* [hosts] looked at in this round */
    uint8_t *touched;          /* [hosts] changed since the round began */
    double *scratch;           /* [max(3 * vms, hosts)] */
    uint32_t *list;            /* [2 * vms] */
    double cluster_memory;     /* of all hosts */
    double worth;              /* lost cores below which nothing counts as an improvement */
    gboolean weighted;         /* some VM's weight is not 1 */
} imig__search_run;

/* Cost of a violation: above every loss that a cluster can have. */
#define IMIG__VIOLATION 1e6

/* Change of loss + price + violations by moving one VM (its unit aside). */
double imig__run_delta(const imig__search_run *run, uint32_t vm, uint32_t host);
void imig__run_move(imig__search_run *run, uint32_t vm, uint32_t host);

/* The same for its unit, by trying. */
double imig__run_unit_delta(imig__search_run *run, uint32_t vm, uint32_t host);
void imig__run_unit_move(imig__search_run *run, uint32_t vm, uint32_t host);

/* VMs that must leave, units that are split, rules that are broken, memory that is short. */
void imig__run_repair(imig__search_run *run);

/* What none of that could solve may overload its destination; TRUE where anything moved. */
gboolean imig__run_last_resort(imig__search_run *run);

/* -- search-run.c -- */

/* What one more core of demand costs on a host. */
double imig__run_price(const imig__search_run *run, uint32_t host);

/* What a VM pays for leaving home, or gets back for returning. */
double imig__run_price_delta(const imig__search_run *run, uint32_t vm, uint32_t from,
                             uint32_t host);
void imig__run_list_add(imig__search_run *run, uint32_t vm, uint32_t host);

/* -- search-moves.c: all return what they gained -- */

gboolean imig__run_may_move(const imig__search_run *run, uint32_t vm);

/* Orders the hosts of each pool by price, coldest first, and takes the coldest as destinations. */
void imig__run_sort_hosts(imig__search_run *run);
void imig__run_fill_window(imig__search_run *run);

/* The destinations that are looked at for VMs of a host; returns how many. */
uint32_t imig__run_window(const imig__search_run *run, uint32_t host, const uint32_t **window);

double imig__run_relieve_hosts(imig__search_run *run);
double imig__run_swap_round(imig__search_run *run, uint32_t round);

#endif
