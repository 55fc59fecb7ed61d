/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_PLAN_PRIV_H
#define IMIG_PLAN_PRIV_H

/* A plan while it is being made; closed by whoever made it, unchanged afterwards. */

#include "base/base-priv.h"

#include <imig/plan.h>

/* One reference; strings are copied.  sha256 may be "". */
imig_plan *imig__plan_new(const char *goal, const char *policy, double cluster_time_s,
                          const char *sha256);

/* Made from this cluster: a reference is kept, and its digest computed when it is asked for, which
   takes longer on a large cluster than the plan itself. */
void imig__plan_set_cluster(imig_plan *plan, const imig_cluster *cluster);

/* An entry of "options": what the plan was made with.  Kept in the order given. */
void imig__plan_add_option(imig_plan *plan, const char *key, double value);
void imig__plan_add_option_text(imig_plan *plan, const char *key, const char *value);

/* Strings are copied. */
void imig__plan_add_step(imig_plan *plan, const imig_plan_step *step);
void imig__plan_add_kept(imig_plan *plan, const char *vm, const char *code, const char *text);

void imig__plan_add_empty_host(imig_plan *plan, const char *host);
void imig__plan_add_above(imig_plan *plan, const char *host, const char *code, const char *text);

void imig__plan_set_totals(imig_plan *plan, const imig_plan_totals *before,
                           const imig_plan_totals *after);
void imig__plan_set_summary(imig_plan *plan, const imig_plan_summary *summary);

#endif
