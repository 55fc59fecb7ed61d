/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_MONITOR_PRIV_H
#define IMIG_MONITOR_PRIV_H

/* What a monitor remembers of each VM, beside its counters. */

#include "backend/connect-priv.h"
#include "observe/series-priv.h"

#include <imig/monitor.h>

/* By slot of the series of VMs. */
typedef struct imig__watched {
    char *id;              /* NULL: the slot is free */
    uint32_t host;         /* number of its host, see imig_monitor.hosts */
    uint32_t dirty_tries;  /* how often its dirty pages were logged, or refused to be */
    double dirty_bytes_per_s; /* NaN: never measured */
    double working_set_bytes; /* NaN: not known */
} imig__watched;

struct imig_monitor {
    imig_connection *connection;
    imig_monitor_options options; /* with the defaults filled in */
    imig__series *vms, *flows;
    GHashTable *slots;      /* VM id -> slot + 1 */
    GHashTable *flow_slots; /* (slot of a, slot of b) -> slot + 1 */
    GHashTable *hosts;      /* host id -> number + 1, never forgotten */
    GHashTable *cooldowns;  /* VM id -> double, seen yet or not */
    imig__watched *watched; /* [watched_count] by slot */
    uint32_t watched_count;

    gboolean dirty_is_slow; /* a hypervisor has shown that it estimates over whole seconds */

    imig_sample *latest;
    uint32_t *latest_slot;  /* [vm_count of latest] */
    double latest_s;        /* on the connection's clock */
    double next_sample_s;   /* while watching */
};

/* Where the caller does not say how long dirty pages are logged: a shorter look shows no plateau, a
   longer one is time that other VMs of the host lack. */
#define IMIG__DIRTY_LEAST_S 1.0
#define IMIG__DIRTY_MOST_S  12.0
/* Where pages are sampled, which costs the VM nothing, and every further look makes chance less. */
#define IMIG__DIRTY_SAMPLED_MOST_S 32.0
/* At least so long where a hypervisor estimates over whole seconds: three of them, and some time
   for the answer. */
#define IMIG__DIRTY_SLOW_S  3.5

/* Waits, and takes the samples that become due meanwhile. */
int imig__monitor_wait(imig_monitor *monitor, double until_s, imig_error **error);

/* dirty-log.c: logs dirty pages of one VM of each host after the other, until `end_s`. */
int imig__monitor_log_dirty(imig_monitor *monitor, double end_s, imig_error **error);

#endif
