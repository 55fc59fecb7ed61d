/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_CLUSTER_JSON_PRIV_H
#define IMIG_CLUSTER_JSON_PRIV_H

/* The elements of an imig-cluster/1 document, for other documents that hold hosts and VMs, too. */

#include "model/cluster-priv.h"
#include "model/host-read-priv.h"
#include "model/json-in-priv.h"
#include "model/json-out-priv.h"

/* What is being read.  The structs point into the arrays and into the element at hand. */
typedef struct imig__cluster_reader {
    imig_cluster *cluster; /* lent; not finished */
    imig__host_in host;
    imig_vm_info vm;
    imig__flow flow;
    imig_rule_info rule;
    GArray *disk_bytes;  /* double */
    GArray *disk_shared; /* int32_t */
    GArray *indices;     /* uint32_t: the VM's allowed hosts, or the rule's VMs */
    double noise[IMIG_METRIC_COUNT];
} imig__cluster_reader;

void imig__cluster_reader_init(imig__cluster_reader *reader, imig_cluster *cluster);
void imig__cluster_reader_clear(imig__cluster_reader *reader);

/* For imig__json_member: add an element of `hosts`, `vms` or `rules`.  The state is the reader, or
   a struct that begins with one. */
int imig__read_host(imig__json_in *in, const imig__path *path, json_t *element, void *state);
int imig__read_vm(imig__json_in *in, const imig__path *path, json_t *element, void *state);
int imig__read_rule(imig__json_in *in, const imig__path *path, json_t *element, void *state);

/* The VM with this id. */
int imig__read_vm_id(imig__json_in *in, const imig__path *path, json_t *value,
                     const imig__cluster_reader *reader, uint32_t *index);

/* The same elements, written. */
void imig__put_host(imig__json_out *out, imig_host_info *host);
void imig__put_vm(imig__json_out *out, const imig_cluster *cluster, imig_vm_info *vm);
void imig__put_rule(imig__json_out *out, const imig_cluster *cluster, const imig_rule_info *rule);

#endif
