/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/workload-priv.h"

#include <imig/workload.h>
#include <string.h>

/*
 * One row per class.  Sources: section 3.3 (tier), 3.2 (nonsharable), 3.4 (preferred), Table 1
 * (overhead: SPEC-CPU, IOZONE, WEBBENCH; memory-dirty is the mean of OLTP and SPEC-jbb, which
 * section 3.1 groups).  The holds, and the overhead of net-receive, are assumed: doc/paper-map.md.
 */
#define FIRST    IMIG__TIER_FIRST
#define SHORTEST IMIG__TIER_SHORTEST
#define LAST     IMIG__TIER_LAST

const imig__workload_row imig__workload_rows[IMIG_WORKLOAD_COUNT] = {
    [IMIG_WORKLOAD_IDLE]         = { "idle",         SHORTEST, NULL,   0, 0.0,     0.0,  0.0 },
    [IMIG_WORKLOAD_CPU]          = { "cpu",          SHORTEST, NULL,   1, 0.0331,  0.0,  0.0 },
    [IMIG_WORKLOAD_DISK_IO]      = { "disk-io",      SHORTEST, "disk", 1, 0.0793,  0.0,  0.0 },
    [IMIG_WORKLOAD_MEMORY_DIRTY] = { "memory-dirty", FIRST,    NULL,   0, 0.20775, 0.35, 0.0 },
    [IMIG_WORKLOAD_WEB_SERVER]   = { "web-server",   FIRST,    NULL,   0, 0.2903,  0.8,  0.0 },
    [IMIG_WORKLOAD_NET_RECEIVE]  = { "net-receive",  LAST,     NULL,   0, 0.2903,  0.0,  0.8 },
};

const char *
imig_workload_name(int32_t workload)
{
    return workload >= 0 && workload < IMIG_WORKLOAD_COUNT ? imig__workload_rows[workload].name
                                                           : NULL;
}

const char *
imig__class_name(uint32_t index)
{
    return index < IMIG_WORKLOAD_COUNT ? imig__workload_rows[index].name : NULL;
}

int32_t
imig_workload_from_name(const char *name)
{
    for (int32_t i = 0; name && i < IMIG_WORKLOAD_COUNT; i++)
        if (strcmp(imig__workload_rows[i].name, name) == 0)
            return i;
    return IMIG_WORKLOAD_UNKNOWN;
}
