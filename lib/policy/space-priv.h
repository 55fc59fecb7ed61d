/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_SPACE_PRIV_H
#define IMIG_SPACE_PRIV_H

/*
 * What limits a placement: memory, pools, allowed hosts, hard rules, and the rule that no
 * destination is overloaded for the sake of another host.  Read-only; every policy asks here, so
 * all of them work under the same limits.
 */

#include "cost/loss-priv.h"
#include "model/cluster-priv.h"

/* What a VM depends on beside itself and its hosts. */
enum {
    IMIG__TIED_UNIT = 1,  /* others move with it */
    IMIG__TIED_RULE = 2,  /* rules that are not units */
    IMIG__TIED_HOSTS = 4, /* a list of allowed hosts */
    IMIG__TIED_FLOWS = 8  /* it talks to others */
};

typedef struct imig__space {
    const imig_cluster *cluster;
    const imig__load *load;
    double threshold;        /* CPU utilisation above which a host is overloaded, times: */
    double *share;           /* [hosts] 1, or less where other hosts may fail */
    gboolean may_overload;   /* a destination may pass it: where a host must be emptied anyhow */

    double *room;            /* [hosts] memory it can give to VMs */
    double *overhead;        /* [hosts] for each VM */
    uint8_t *accepts;        /* [hosts] takes VMs */
    const char **fixed;      /* [vms] why it cannot move; NULL: it can */
    uint8_t *tied;           /* [vms] IMIG__TIED_*: most VMs are not tied to anything */

    /* VMs that hard rules keep on one host move as one: unit u is unit_vm[unit_begin[u] ..]. */
    uint32_t units;
    uint32_t *unit;          /* [vms] */
    uint32_t *unit_begin, *unit_vm;

    /* Rules of VM v, without those that units stand for: rule_of[rule_begin[v] ..]. */
    uint32_t *rule_begin, *rule_of;
} imig__space;

/* now_s: for cool-downs. */
imig__space *imig__space_new(const imig_cluster *cluster, const imig__load *load,
                             double threshold, double now_s);
void imig__space_free(imig__space *space);

/* CPU utilisation above which this host is overloaded. */
static inline double
imig__space_threshold(const imig__space *space, uint32_t host)
{
    return space->threshold * space->share[host];
}

/* Memory a host lacks in a state, bytes; 0 where it fits. */
double imig__space_excess(const imig__space *space, const imig__state *state, uint32_t host);

/* Is it above the threshold, or short of memory? */
gboolean imig__space_overloaded(const imig__space *space, const imig__state *state,
                                uint32_t host);

/*
 * Broken rules that a VM would take part in on a host: apart partners there, together partners
 * elsewhere.  Members of its own unit are not asked.
 */
uint32_t imig__space_conflicts(const imig__space *space, const imig__state *state, uint32_t vm,
                               uint32_t host, gboolean hard);

/* Of one rule. */
uint32_t imig__space_rule_conflicts(const imig__space *space, const imig__state *state,
                                    uint32_t vm, uint32_t host, uint32_t rule);

/* What the VMs of a host take there, with the overhead for each, bytes. */
static inline double
imig__space_memory(const imig__space *space, const imig__state *state, uint32_t host)
{
    const imig__sums *sums = &state->sums[host];

    return sums->memory + sums->count * space->overhead[host];
}

static inline gboolean
imig__space_unit_alone(const imig__space *space, uint32_t vm)
{
    return !(space->tied[vm] & IMIG__TIED_UNIT);
}

/* The VM that stands for the unit of this one. */
static inline uint32_t
imig__space_unit_first(const imig__space *space, uint32_t vm)
{
    return imig__space_unit_alone(space, vm) ? vm
                                             : space->unit_vm[space->unit_begin[space->unit[vm]]];
}

/* Is a VM where its list of hosts or a hard rule does not allow it to be? */
gboolean imig__space_misplaced(const imig__space *space, const imig__state *state, uint32_t vm);

/*
 * May this VM go there, other members of its unit aside?  `leaves` (or IMIG_NO_INDEX) goes the
 * opposite way at the same time.
 */
gboolean imig__space_fits(const imig__space *space, const imig__state *state, uint32_t vm,
                          uint32_t host, uint32_t leaves);

/* The first limit that keeps a VM from a host; IMIG__LIMIT_NONE where it fits. */
typedef enum imig__limit {
    IMIG__LIMIT_NONE, IMIG__LIMIT_PLACE, IMIG__LIMIT_MEMORY, IMIG__LIMIT_CPU, IMIG__LIMIT_RULE,
    IMIG__LIMITS,
} imig__limit;

imig__limit imig__space_limit(const imig__space *space, const imig__state *state, uint32_t vm,
                              uint32_t host);

/* May the whole unit of this VM go there?  FALSE where it is there already. */
gboolean imig__space_unit_fits(const imig__space *space, const imig__state *state, uint32_t vm,
                               uint32_t host);

/* Moves a VM and the rest of its unit. */
void imig__space_unit_move(const imig__space *space, imig__state *state, uint32_t vm,
                           uint32_t host);

/* The first reason that fixes any VM of the unit; NULL: it can move. */
const char *imig__space_unit_fixed(const imig__space *space, uint32_t vm);

/* imig__vm_may_be_on(), without looking at VMs that may be on every host of their pool. */
static inline gboolean
imig__space_allows(const imig__space *space, uint32_t vm, uint32_t host)
{
    const uint32_t *pool = space->cluster->host_pool;

    return space->tied[vm] & IMIG__TIED_HOSTS ? imig__vm_may_be_on(space->cluster, vm, host)
                                              : pool[host] == pool[space->load->home[vm]];
}

#endif
