/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ui.h"

#include <stdio.h>

static void
warn(const char *what, imig_error *error)
{
    fprintf(stderr, "imig: warning: %s: %s\n", what, imig_error_message(error));
    imig_error_free(error);
}

imig_recorder *
ui_recorder_new(const ui_common *common, const imig_cluster *cluster,
                const imig_execute_options *options)
{
    imig_recorder *recorder = NULL;
    imig_error *error = NULL;

    if (common->store && cluster
        && imig_recorder_new(common->store, cluster, common->calibration, options, &recorder,
                             &error) != IMIG_OK)
        warn("no history of this run", error);
    return recorder;
}

void
ui_recorder_step(imig_recorder *recorder, const imig_step_report *report, gboolean *failed)
{
    imig_error *error = NULL;

    if (!recorder || imig_recorder_step(recorder, report, &error) == IMIG_OK)
        return;
    if (*failed)
        imig_error_free(error);
    else
        warn("the history of this run is not complete", error);
    *failed = TRUE;
}

void
ui_record_observation(const ui_common *common, const imig_cluster *cluster)
{
    g_autofree int32_t *classes = NULL;
    imig_error *error = NULL;

    if (!common->store)
        return;
    classes = ui_classes(cluster);
    if (imig_store_observe(common->store, cluster, classes,
                           (double) g_get_real_time() / G_USEC_PER_SEC, &error) != IMIG_OK)
        warn("what VMs got done is not written down", error);
}
