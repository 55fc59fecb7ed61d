/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_CLASSIFY_PRIV_H
#define IMIG_CLASSIFY_PRIV_H

#include <imig/model.h>

/*
 * imig_classify() with every default threshold scaled: what would the classes be if everybody did
 * a little more or less?  workload: [vm_count].
 */
void imig__classify_scaled(const imig_cluster *cluster, double scale, int32_t *workload);

#endif
