/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_LOSS_PRIV_H
#define IMIG_LOSS_PRIV_H

/*
 * Lost cores: the one unit in which contention, interference and communication are compared
 * (contention: Sakasegawa's approximation of the M/M/C queue, 1977; the rest: doc/paper-map.md).
 *
 * A load is what every VM brings and every host has, as arrays; it is only read.  A state is who is
 * where, with sums per host, so that a move is evaluated in O(workloads) and never in O(VMs).
 */

#include "base/base-priv.h"

#include <imig/model.h>

/* Beyond this utilisation the queue follows its tangent, so that overload is finite and convex. */
#define IMIG__KNEE 0.9

enum { IMIG__CURVE_STEPS = 2048, IMIG__CURVE = 2 * (IMIG__CURVE_STEPS + 1) };

#define IMIG__NO_CURVE UINT32_MAX

typedef struct imig__loss_options {
    double network_price;       /* lost cores of a link's queue, DESIGN section 5 */
    double communication_price; /* lost cores for each byte per second between hosts */
} imig__loss_options;

/* What one VM adds to its host, and what a host has in all. */
typedef struct imig__sums {
    double cpu;       /* demand, cores */
    double cpu_w;     /* the same, each VM's share times its weight */
    double memory;    /* bytes, without the host's overhead for each VM */
    double rx, tx;    /* bytes/s */
    double net_w;     /* (rx + tx) x weight */
    double disk;      /* operations/s */
    double disk_use;  /* weight x cores (at least the floor), of VMs that depend on their disk */
    double disk_own;  /* disk_use x disk of the same VM: nobody slows itself */
    double local;     /* flows between VMs of this host, bytes/s */
    double cross;     /* sum over ordered pairs: weight x n_i x s(i, j) x n_j */
    double count;     /* VMs */
} imig__sums;

typedef struct imig__load {
    uint32_t hosts, vms, labels;
    imig__loss_options options;

    /* hosts */
    double *cores, *net, *disk;            /* net: NaN where not stated */
    double *exponent, *knee, *knee_slope; /* of the queue, see queue.c */
    uint32_t *curve;                      /* which of the curves is the host's; IMIG__NO_CURVE */
    double *curves;                       /* [curves * IMIG__CURVE] value and slope at each point */

    /* VMs; demand 0 where it was not measured */
    imig__sums *brings;
    double *cpu;                           /* brings[].cpu, packed: it is asked for most */
    uint32_t *label;
    uint32_t *home;                        /* host in the snapshot */
    double *weight;
    double *noise;                         /* standard error of the demand; NaN: not stated */

    double *slowdown;                      /* [labels * labels] victim, neighbour */
    double *slows;                         /* the same, transposed */
    uint8_t *silent;                       /* [labels] neither slows nor is slowed */

    /* flows of VM v: flow_begin[v] .. flow_begin[v + 1] */
    uint32_t *flow_begin, *flow_peer;
    double *flow_bytes, *flow_price;       /* bytes/s; lost cores where it crosses hosts */
} imig__load;

typedef struct imig__state {
    const imig__load *load;
    uint32_t *host;      /* [vms] */
    imig__sums *sums;    /* [hosts] */
    double *label_cpu;   /* [hosts * labels] */
    double *label_cpu_w; /* [hosts * labels] */
    double *value;       /* [hosts] contention + interference */
    double communication;
} imig__state;

void imig__sums_add(imig__sums *into, const imig__sums *s, double sign);

/* By cause: cpu + network is contention, neighbours + disk is interference. */
typedef struct imig__losses {
    double cpu, network, neighbours, disk, communication;
} imig__losses;

extern const imig__loss_options imig__loss_defaults;

/*
 * workload: [vms] classes; label: [vms] row and column in slowdown [labels * labels]
 * (victim, neighbour).  Everything is copied.
 */
imig__load *imig__load_new(const imig_cluster *cluster, const int32_t *workload,
                           const uint32_t *label, uint32_t labels, const double *slowdown,
                           const imig__loss_options *options);
void imig__load_free(imig__load *load);

/* Everybody at home. */
imig__state *imig__state_new(const imig__load *load);
imig__state *imig__state_copy(const imig__state *state);
void imig__state_free(imig__state *state);

void imig__state_move(imig__state *state, uint32_t vm, uint32_t host);
imig__losses imig__state_losses(const imig__state *state);
imig__losses imig__state_host_losses(const imig__state *state, uint32_t host); /* no flows */
double imig__state_loss(const imig__state *state);

/*
 * The change of the loss by a move falls into three parts that do not touch each other: what the
 * host left behind gains, what the new host loses, and flows that cross hosts then.
 */
double imig__state_leave(const imig__state *state, uint32_t vm);                /* gained */
double imig__state_join(const imig__state *state, uint32_t vm, uint32_t host);  /* lost */
double imig__state_flows(const imig__state *state, uint32_t vm, uint32_t host); /* lost */
double imig__state_delta(const imig__state *state, uint32_t vm, uint32_t host); /* all three */

/* What a VM that brings this, and is nowhere yet, would lose and make others lose on a host. */
double imig__state_join_like(const imig__state *state, const imig__sums *brings, uint32_t label,
                             uint32_t host);

/* The share of that which its neighbours have, for each core of a VM of weight 1. */
double imig__state_cross_price(const imig__state *state, uint32_t label, uint32_t host);

/*
 * Swaps between two hosts.  prepare() computes once what every VM of a list would be worth on the
 * other host; delta() is then O(1).  Neither VM may have flows.
 */
double imig__state_cross(const imig__state *state, uint32_t vm, uint32_t host);
double imig__state_disk(const imig__state *state, uint32_t vm, uint32_t host); /* by its disk */
double imig__state_swap_delta(const imig__state *state, uint32_t v, uint32_t w, double v_here,
                              double v_there, double w_here, double w_there);

/* No more than this does its host gain when the VM leaves: CPU contention aside; by its link. */
double imig__state_other_gain(const imig__state *state, uint32_t vm, double cross);
double imig__state_link_gain(const imig__state *state, uint32_t vm);

/* The queue on a host at a CPU utilisation: its length, and what one more core of demand adds. */
double imig__queue(const imig__load *load, uint32_t host, double utilisation);
double imig__queue_price(const imig__load *load, uint32_t host, double utilisation);

/*
 * The same as imig__queue(), read off a curve in a hundredth of the time of a power and as good to
 * 1e-9: for the loss, which is asked for millions of times.
 */
double imig__queue_fast(const imig__load *load, uint32_t host, double utilisation);

/* The slope of that curve: imig__queue_price() as well as a search needs it. */
double imig__queue_price_fast(const imig__load *load, uint32_t host, double utilisation);

/* Prepares the queues of all hosts from their cores; for load.c. */
void imig__queue_init(imig__load *load);

/* How fast that price rises: for the standard error of a gain. */
double imig__queue_curvature(const imig__load *load, uint32_t host, double utilisation);

#endif
