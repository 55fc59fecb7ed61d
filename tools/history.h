/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HISTORY_H
#define HISTORY_H

/* How far predictions were off, and records for programs. */

#include "ui.h"

#include <string.h>

void history_print_errors(const imig_records *records);
json_t *history_as_json(const imig_records *records);

#endif
