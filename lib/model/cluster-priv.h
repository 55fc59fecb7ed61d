/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_CLUSTER_PRIV_H
#define IMIG_CLUSTER_PRIV_H

/*
 * The snapshot as the floors above read it: arrays, indexed as the public getters index them.
 * Strings and inner arrays live in chunks owned by the cluster.  Defaults are filled in, so that a
 * reader needs `present` only where "absent" means something.
 */

#include "base/base-priv.h"

#include <imig/model.h>

typedef struct imig__flow {
    uint32_t a, b;
    double bytes_per_s;
} imig__flow;

struct imig_cluster {
    double time_s;
    gboolean finished;

    imig_host_info *hosts;  /* [host_count] name, pool, overcommit, ... never absent */
    imig_vm_info *vms;      /* [vm_count] name, weight never absent */
    imig__flow *flows;      /* [flow_count] */
    imig_rule_info *rules;  /* [rule_count] */
    size_t host_count, vm_count, flow_count, rule_count;

    uint32_t *host_pool;    /* [host_count] number of the pool, 0 .. pool_count-1; once finished */
    uint32_t pool_count;

    /* [rule_count] what "one host" means for the rule, once finished: NULL for the host itself,
       else [host_count] the number, below host_count, of the host's value of the rule's label.
       A host without that label is a place of its own.  Rules with one label share one array. */
    const uint32_t **rule_place;

    /* Owned by cluster.c. */
    struct imig__cluster_store *store;
};

/* The place of a host as a rule sees it. */
static inline uint32_t
imig__rule_place(const imig_cluster *cluster, size_t rule, uint32_t host)
{
    return cluster->rule_place[rule] ? cluster->rule_place[rule][host] : host;
}

/* "rules[2] (apart by rack: a, b)", with names of VMs, cut where there are many.  To be freed. */
char *imig__rule_text(const imig_cluster *cluster, size_t rule);

/* A separator and a name, cut after 60 characters. */
void imig__append_name(GString *text, const char *separator, const char *name);

/* Bytes of memory a host can give to VMs: memory x overcommit - reserved. */
double imig__host_usable_memory(const imig_host_info *host);

/* The VM with this id, never by its name; IMIG_NO_INDEX where there is none. */
uint32_t imig__cluster_vm_by_id(const imig_cluster *cluster, const char *id);

/* CPU demand: used + waiting, at most the vCPUs; NaN where it was not measured. */
double imig__vm_demand(const imig_vm_info *vm);

/* Does the document allow this VM to move at this time?  NULL, or a reason code ("pinned",
   "blocked", "cooldown", "no-measurement"). */
const char *imig__vm_why_fixed(const imig_vm_info *vm, double now_s);

/* Every IMIG_MIGRATE_* there is. */
#define IMIG__MIGRATE_FLAGS (IMIG_MIGRATE_COPY_DISKS | IMIG_MIGRATE_UNSAFE | \
    IMIG_MIGRATE_AUTO_CONVERGE | IMIG_MIGRATE_POST_COPY | IMIG_MIGRATE_ENCRYPT)

/* Do these flags let a VM with a disk that is not shared go, and is the disk copied then? */
static inline gboolean
imig__flags_move_disks(uint64_t flags)
{
    return (flags & (IMIG_MIGRATE_COPY_DISKS | IMIG_MIGRATE_UNSAFE)) != 0;
}

static inline gboolean
imig__flags_copy_disks(uint64_t flags)
{
    return flags & IMIG_MIGRATE_COPY_DISKS || !(flags & IMIG_MIGRATE_UNSAFE);
}

/* Has this VM a disk that only its host sees?  *bytes, may be NULL: of all such disks. */
gboolean imig__vm_has_local_disk(const imig_vm_info *vm, double *bytes);

/* May this VM be on this host, as far as pool and allowed hosts go? */
gboolean imig__vm_may_be_on(const imig_cluster *cluster, uint32_t vm, uint32_t host);

/* A copy that can be added to and changed before it is finished again; one reference. */
imig_cluster *imig__cluster_copy(const imig_cluster *cluster);

#endif
