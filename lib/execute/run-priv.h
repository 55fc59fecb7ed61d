/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_RUN_PRIV_H
#define IMIG_RUN_PRIV_H

/* What becomes of a plan, step by step: written by the executor, then read by the caller. */

#include "execute/window-priv.h"

#include <imig/execute.h>

struct imig_run {
    imig_plan *plan;         /* lends its strings to the reports */
    GStringChunk *messages;
    imig_step_report *steps; /* [n] */
    size_t n;
    double duration_s;
};

/* The caller's options in today's shape, with every default filled in. */
int imig__run_read_options(imig_execute_options *into, const imig_execute_options *options,
                           imig_error **error);

/* A report for each step, all waiting; *window_steps, [n], is g_free()d by the caller. */
imig_run *imig__run_new(const imig_plan *plan, imig__window_step **window_steps);

/* The text is copied. */
void imig__run_set_message(imig_run *run, uint32_t step, const char *message);

#endif
