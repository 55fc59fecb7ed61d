/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_BOUND_PRIV_H
#define IMIG_BOUND_PRIV_H

#include "cost/loss-priv.h"

/*
 * A proven lower bound of CPU contention plus migration loss over all placements.
 *
 * VMs are divisible, memory and rules do not hold, a VM goes anywhere in its pool at its cheapest
 * price: a convex problem, whose Lagrangian dual in one price per core of moved load is a bound
 * for every price (weak duality); the best price is found by bisection.
 *
 * move_loss: [vms] lost cores of one migration at its cheapest; movable: [vms] 0 where a VM must
 * stay; pool: [hosts]; takes: [hosts] 0 where a host receives nothing.
 */
double imig__bound(const imig__load *load, const double *move_loss, const uint8_t *movable,
                   const uint32_t *pool, uint32_t pools, const uint8_t *takes);

/*
 * The price itself, of each pool: where everything is at its best, one more core costs this on
 * every host that takes load.  By the curves of the queues, and no bound.
 */
void imig__bound_prices(const imig__load *load, const double *move_loss, const uint8_t *movable,
                        const uint32_t *pool, uint32_t pools, const uint8_t *takes, double *price);

#endif
