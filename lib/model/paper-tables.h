/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_PAPER_TABLES_H
#define IMIG_PAPER_TABLES_H

/* Tables 1 and 2 of the paper, and nothing else. */

enum { IMIG__TABLE1_ROWS = 5, IMIG__TABLE2_SIZE = 5 };

typedef struct imig__table1_row {
    const char *workload; /* as printed */
    double time_s, downtime_s, overhead_ratio;
} imig__table1_row;

extern const imig__table1_row imig__table1[IMIG__TABLE1_ROWS];

/* Row: already on the destination.  Column: being migrated, whose running time the cell is. */
extern const char *const imig__table2_names[IMIG__TABLE2_SIZE];
extern const double imig__table2_s[IMIG__TABLE2_SIZE][IMIG__TABLE2_SIZE];

#endif
