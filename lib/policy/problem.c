/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/problem-priv.h"

#include "model/cluster-priv.h"
#include "policy/affinity-priv.h"

#include <imig/workload.h>

static int
copy_workload(const imig_cluster *cluster, const int32_t *workload, int32_t *copy,
              imig_error **error)
{
    if (!workload)
        return imig_classify(cluster, NULL, copy, error);
    for (size_t v = 0; v < cluster->vm_count; v++) {
        if (workload[v] < 0 || workload[v] >= IMIG_WORKLOAD_COUNT)
            return imig__fail(error, IMIG_ERR_ARGUMENT, "workload[%zu]: %d: no such class", v,
                              workload[v]);
        copy[v] = workload[v];
    }
    return IMIG_OK;
}

int
imig__problem_init(imig__problem *problem, const imig_cluster *cluster, const int32_t *workload,
                   const imig_affinity *affinity, const imig__loss_options *options,
                   double threshold, double now_s, imig_error **error)
{
    int32_t *copy = g_new(int32_t, cluster->vm_count);
    imig_affinity *own = NULL;
    uint32_t *label, labels;
    double *slowdown;
    int r = copy_workload(cluster, workload, copy, error);

    if (r != IMIG_OK) {
        g_free(copy);
        return r;
    }
    if (!affinity)
        affinity = own = imig_affinity_new_default();
    label = g_new(uint32_t, cluster->vm_count);
    labels = imig__affinity_label_vms(affinity, cluster, copy, label, &slowdown);
    problem->cluster = cluster;
    problem->workload = copy;
    problem->load = imig__load_new(cluster, copy, label, labels, slowdown, options);
    problem->space = imig__space_new(cluster, problem->load, threshold, now_s);
    problem->state = imig__state_new(problem->load);
    g_free(label);
    g_free(slowdown);
    imig_affinity_unref(own);
    return IMIG_OK;
}

void
imig__problem_clear(imig__problem *problem)
{
    imig__state_free(problem->state);
    imig__space_free(problem->space);
    imig__load_free(problem->load);
    g_free(problem->workload);
}
