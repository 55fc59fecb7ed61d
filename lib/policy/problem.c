/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/problem-priv.h"

#include "model/cluster-priv.h"
#include "policy/affinity-priv.h"
#include "policy/classify-priv.h"

#include <imig/workload.h>
#include <string.h>

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

static imig__load *
make_load(const imig_cluster *cluster, const int32_t *workload, const imig_affinity *affinity,
          const imig__loss_options *options)
{
    uint32_t *label = g_new(uint32_t, cluster->vm_count), labels;
    double *slowdown;
    imig__load *load;

    labels = imig__affinity_label_vms(affinity, cluster, workload, label, &slowdown);
    load = imig__load_new(cluster, workload, label, labels, slowdown, options);
    g_free(label);
    g_free(slowdown);
    return load;
}

/* A VM at the border between two classes must not move because it was found on the other side. */
static void
make_doubts(imig__problem *problem, const imig_affinity *affinity,
            const imig__loss_options *options)
{
    static const double scale[IMIG__DOUBTS] = { 0.8, 1.25 };
    int32_t *workload = g_new(int32_t, problem->cluster->vm_count);

    for (int i = 0; i < IMIG__DOUBTS; i++) {
        imig__classify_scaled(problem->cluster, scale[i], workload);
        problem->doubt[i] = make_load(problem->cluster, workload, affinity, options);
    }
    g_free(workload);
}

int
imig__problem_init(imig__problem *problem, const imig_cluster *cluster, const int32_t *workload,
                   const imig_affinity *affinity, const imig__loss_options *options,
                   double threshold, double now_s, imig_error **error)
{
    int32_t *copy = g_new(int32_t, cluster->vm_count);
    imig_affinity *own = NULL;
    int r = copy_workload(cluster, workload, copy, error);

    if (r != IMIG_OK) {
        g_free(copy);
        return r;
    }
    if (!affinity)
        affinity = own = imig_affinity_new_default();
    memset(problem, 0, sizeof *problem);
    problem->cluster = cluster;
    problem->workload = copy;
    problem->load = make_load(cluster, copy, affinity, options);
    if (!workload)
        make_doubts(problem, affinity, options);
    problem->space = imig__space_new(cluster, problem->load, threshold, now_s);
    problem->state = imig__state_new(problem->load);
    imig_affinity_unref(own);
    return IMIG_OK;
}

void
imig__problem_clear(imig__problem *problem)
{
    imig__state_free(problem->state);
    imig__space_free(problem->space);
    imig__load_free(problem->load);
    for (int i = 0; i < IMIG__DOUBTS; i++)
        imig__load_free(problem->doubt[i]);
    g_free(problem->workload);
}
