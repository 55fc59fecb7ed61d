/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/paper-tables.h"

/* Table 1: the typical workload behavior in migration. */
const imig__table1_row imig__table1[IMIG__TABLE1_ROWS] = {
    { "IOZONE",   214.51, 1.028, 0.0793 },
    { "WEBBENCH",  47.67, 0.113, 0.2903 },
    { "OLTP",      69.32, 0.998, 0.3326 },
    { "SPEC-CPU",  26.69, 0.088, 0.0331 },
    { "SPEC-jbb",  31.25, 0.232, 0.0829 },
};

/* Table 2: SPEC-CPU workload affinity, running times in seconds. */
const char *const imig__table2_names[IMIG__TABLE2_SIZE] = {
    "milc", "bwaves", "bzip2", "libquantum", "games",
};

const double imig__table2_s[IMIG__TABLE2_SIZE][IMIG__TABLE2_SIZE] = {
    { 1100, 1280, 824, 1530, 1270 }, /* mig-to-milc */
    {  961, 1500, 633, 1470, 1270 }, /* mig-to-bwaves */
    {  824, 1160, 628, 1190, 1240 }, /* mig-to-bzip2 */
    { 1070, 1340, 886, 1760, 1290 }, /* mig-to-libquantum */
    {  843, 1180, 588, 1100, 1240 }, /* mig-to-games */
};
