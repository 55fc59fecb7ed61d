/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_CLUSTER_STORE_PRIV_H
#define IMIG_CLUSTER_STORE_PRIV_H

/* What a cluster owns besides its arrays: memory for strings and inner arrays, and the look-ups. */

#include "model/check-priv.h"
#include "model/cluster-priv.h"

#include <stddef.h>

/* Sizes in the release that introduced the structs. */
#define IMIG__END_OF(type, field) (offsetof(type, field) + sizeof(((type *) 0)->field))
enum {
    IMIG__HOST_FIRST_SIZE = IMIG__END_OF(imig_host_info, migration_bytes_per_s),
    IMIG__VM_FIRST_SIZE = IMIG__END_OF(imig_vm_info, movable),
    IMIG__RULE_FIRST_SIZE = IMIG__END_OF(imig_rule_info, vm_count),
};

typedef struct imig__cluster_store {
    size_t host_room, vm_room, flow_room, rule_room;

    GPtrArray *chunks;     /* shared with copies: what is in them never moves or changes */
    char *free;            /* in the last chunk, unless it is a copy's */
    size_t left;
    GHashTable *texts;     /* set of the strings that many share: pools, labels, ... */

    GHashTable *host_ids;  /* id -> index */
    GHashTable *vm_ids;    /* id -> index */
    GHashTable *flow_pairs;/* set of the flows' (a, b); gone once finished */

    GPtrArray *places;     /* of the rules' labels; once finished */

    gsize names_ready;     /* what follows is made at the first question, by whoever asks first */
    GHashTable *vm_names;  /* name -> index, IMIG_NO_INDEX where several share it */
    gsize sha256_ready;
    char sha256[65];
} imig__cluster_store;

imig__cluster_store *imig__store_new(void);
void imig__store_free(imig__cluster_store *store);

/* Copies that live as long as the cluster and its copies; NULL or 0 bytes give NULL. */
void *imig__store_bytes(imig__cluster_store *store, const void *bytes, size_t length);
const char *imig__store_text(imig__cluster_store *store, const char *text);
const char *imig__store_shared_text(imig__cluster_store *store, const char *text);

/* Hash of a uint64_t made of two indices. */
guint imig__pair_hash(gconstpointer pair);

/* FALSE where there is such a flow already. */
gboolean imig__store_add_pair(imig__cluster_store *store, uint32_t a, uint32_t b);

/* A number of a host or VM as documents name it.  low: the least it may be; default_value: what
   stands for it where it is absent, and is left out of documents. */
typedef struct imig__number_field {
    const char *key;
    size_t offset;      /* of the double in the info struct */
    uint64_t bit;       /* in `present`; 0: required */
    double low;
    double default_value;
} imig__number_field;

enum { IMIG__HOST_NUMBERS = 8 };
extern const imig__number_field imig__host_numbers[IMIG__HOST_NUMBERS];
extern const imig__number_field imig__vm_metrics[IMIG_METRIC_COUNT]; /* by imig_metric */

/* Names in documents, by imig_host_state, imig_prefer (0 has none), imig_rule_kind. */
extern const char *const imig__host_states[], *const imig__prefer_names[],
                  *const imig__rule_kinds[];

#define IMIG__CLUSTER_FORMAT "imig-cluster/1"
#define IMIG__DEFAULT_POOL "default"

/* The field of a struct that starts at `info`. */
static inline double *
imig__number_in(void *info, const imig__number_field *field)
{
    return (double *) (void *) ((char *) info + field->offset);
}

/* cluster-check.c: what can only be checked as a whole; pools and places are numbered. */
int imig__cluster_check(const imig_cluster *cluster, imig_error **error);

#endif
