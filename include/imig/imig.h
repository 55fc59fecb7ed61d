/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_H
#define IMIG_H

/**
 * @file
 * The whole public interface: observe, model, classify, select, place, order, predict, execute.
 */

#include <imig/affinity.h>
#include <imig/agent.h>
#include <imig/backend.h>
#include <imig/calibration.h>
#include <imig/cancel.h>
#include <imig/common.h>
#include <imig/connect.h>
#include <imig/context.h>
#include <imig/cost.h>
#include <imig/error.h>
#include <imig/execute.h>
#include <imig/log.h>
#include <imig/model.h>
#include <imig/monitor.h>
#include <imig/order.h>
#include <imig/place.h>
#include <imig/plan.h>
#include <imig/recorder.h>
#include <imig/records.h>
#include <imig/select.h>
#include <imig/store.h>
#include <imig/workload.h>

#endif
