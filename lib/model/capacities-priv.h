/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_CAPACITIES_PRIV_H
#define IMIG_CAPACITIES_PRIV_H

/* What somebody knows better of hosts than their hypervisors: the imig-capacity/1 document. */

#include "base/base-priv.h"

#include <imig/model.h>

typedef struct imig__capacities imig__capacities;

/* As imig_cluster_from_json(). */
int imig__capacities_from_json(const char *text, size_t length, imig__capacities **capacities,
                               imig_error **error);
void imig__capacities_free(imig__capacities *capacities);

/* Puts what is said of the host with this id in the place of what is there; texts are lent as long
   as the capacities. */
void imig__capacities_apply(const imig__capacities *capacities, imig_host_info *host);

/* Refuses an item that none of these hosts is meant by.  hosts: keyed by id. */
int imig__capacities_check(const imig__capacities *capacities, GHashTable *hosts,
                           imig_error **error);

#endif
