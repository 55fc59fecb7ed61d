/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_AFFINITY_PRIV_H
#define IMIG_AFFINITY_PRIV_H

/*
 * Slowdowns by small numbers, for loops over many VMs.  A label stands for a workload the matrix
 * knows, or none, together with a class: what the matrix does not say about a pair the classes do.
 */

#include "base/base-priv.h"

#include <imig/affinity.h>

/* Columns, and rows without "solo": more than anybody measures, few enough for a dense matrix. */
enum { IMIG__AFFINITY_MOST = 128 };

#define IMIG__AFFINITY_SOLO "solo"

/* Running times as a file has them. */
typedef struct imig__affinity_table {
    char *corner;              /* the text left of the columns */
    GPtrArray *columns, *rows; /* of char *, in the order of the file, with "solo" */
    GArray *times;             /* of double, [rows->len * columns->len] */
} imig__affinity_table;

imig__affinity_table *imig__affinity_table_new(void);
void imig__affinity_table_free(imig__affinity_table *table);

/* affinity-csv.c */
int imig__affinity_table_from_csv(const char *text, size_t length, imig__affinity_table **table,
                                  imig_error **error);
char *imig__affinity_table_to_csv(const imig__affinity_table *table);

/* An imig_workload that is not known counts as idle. */
uint32_t imig__affinity_label(const imig_affinity *affinity, const char *workload,
                              int32_t workload_class);
size_t imig__affinity_label_count(const imig_affinity *affinity);

/* [victim * label_count + neighbour] */
const double *imig__affinity_matrix(const imig_affinity *affinity);

/*
 * Labels of the VMs of a cluster, renumbered from 0 so that only those in use have a number: sets
 * label [vm_count] and *matrix, which is the caller's to g_free(), and returns their count.
 */
uint32_t imig__affinity_label_vms(const imig_affinity *affinity, const imig_cluster *cluster,
                                  const int32_t *workload, uint32_t *label, double **matrix);

#endif
