/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PREDICT_CSV_H
#define PREDICT_CSV_H

/* A prediction for each row of a table, and how far it is off where the row was measured. */

#include "ui.h"

json_t *predict_as_json(const imig_cost *cost);

/* The table with predictions behind each row on standard output; quantiles of the error on standard
   error, or all of it as JSON. */
int predict_csv(const char *path, const imig_calibration *calibration, gboolean json);

#endif
