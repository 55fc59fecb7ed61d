/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_INTERPLAY_PRIV_H
#define IMIG_INTERPLAY_PRIV_H

/*
 * What VMs do to the migrations of others (section 3.3), kept per host so that a step costs O(1):
 * whoever is on the source takes from what it can send, whoever is on the destination from what it
 * can receive.
 */

#include "base/base-priv.h"

#include <imig/cost.h>
#include <imig/model.h>

typedef struct imig__traffic imig__traffic;

/* options are in today's shape.  Keeps the arguments: they must outlive it. */
imig__traffic *imig__traffic_new(const imig_cluster *cluster, const int32_t *workload,
                                 const imig_predict_options *options);
void imig__traffic_free(imig__traffic *traffic);

/* A copy whose VMs can be moved by themselves; the first one must outlive it. */
imig__traffic *imig__traffic_copy(const imig__traffic *traffic);

/* The VM is on another host from now on. */
void imig__traffic_move(imig__traffic *traffic, uint32_t vm, uint32_t host);

/*
 * Predicts the migration of a VM from where it is to a host, while out_sharing migrations leave its
 * source and in_sharing enter its destination, itself included (1, 1: alone).
 */
void imig__traffic_predict(const imig__traffic *traffic, uint32_t vm, uint32_t to,
                           uint32_t out_sharing, uint32_t in_sharing, imig_cost *cost);

/* The same while the destination sends so many bytes of the stream in a second to others; *rate is
   what the source sends of this one while the VM runs. */
void imig__traffic_predict_beside(const imig__traffic *traffic, uint32_t vm, uint32_t to,
                                  uint32_t out_sharing, uint32_t in_sharing, double sending,
                                  imig_cost *cost, double *rate);

/* By how much VMs that dirty hold up those who leave their host, where it is bound by its CPUs. */
double imig__dirty_hold(double dirty_hold_ratio, double cpu_ratio, double dirty_ratio);

/* By how much longer it takes to receive on a host that sends migrations at such a share of its
   link. */
double imig__receive_hold(double receive_hold_ratio, double sent_ratio);

/*
 * Shares for the pairwise model of the sequence, of the time that imig__traffic_predict() gives
 * now, with everybody where he is: hold_source of a migration out of this VM's host is due to the
 * VM being there and goes when it leaves; hold_destination of a migration into host `to` comes on
 * top once the VM has arrived.  From what was measured, else from the class.
 */
void imig__traffic_hold(const imig__traffic *traffic, uint32_t vm, uint32_t to,
                        double *hold_source, double *hold_destination);

/*
 * Moves single migrations of a sequence to where the sum of time + price x downtime is least, as
 * long as that gains and the effort lasts (a million is about 0.1 s).  The pairwise model is where
 * to begin: it takes effects for shares that add up, but links are divided, and a VM that dirties
 * answers to less bandwidth out of proportion.
 *
 * home: everybody where the cluster has him.  vm, to: [n] as for imig_predict_sequence(), no VM
 * twice.  downtime_price: [n], NULL: 0.
 * order: [n] positions of vm in sequence, a permutation; never made worse.
 */
void imig__sequence_improve(const imig_cluster *cluster, const imig__traffic *home,
                            const uint32_t *vm, const uint32_t *to, size_t n,
                            const double *downtime_price, size_t effort, uint32_t *order);

/*
 * No migration of this VM costs less, wherever it goes and whoever has left or arrived before: idle
 * links at both ends, and of the downtime only what is fixed.
 */
void imig__traffic_predict_idle(const imig__traffic *traffic, uint32_t vm, imig_cost *cost);

#endif
