/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/workload-priv.h"

#include <imig/workload.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

/* Section 3.3 and 3.4 of the paper, by the class's name. */
static void
workload_rows_say_what_the_paper_says(void **state)
{
    static const struct {
        const char *name;
        imig__tier tier;
        int disk, preferred, holds_source, holds_destination;
    } rows[] = {
        { "idle", IMIG__TIER_SHORTEST, 0, 0, 0, 0 },
        { "cpu", IMIG__TIER_SHORTEST, 0, 1, 0, 0 },
        { "disk-io", IMIG__TIER_SHORTEST, 1, 1, 0, 0 },
        { "memory-dirty", IMIG__TIER_FIRST, 0, 0, 1, 0 },
        { "web-server", IMIG__TIER_FIRST, 0, 0, 1, 0 },
        { "net-receive", IMIG__TIER_LAST, 0, 0, 0, 1 },
    };

    (void) state;
    for (int32_t i = 0; i < IMIG_WORKLOAD_COUNT; i++) {
        const imig__workload_row *row = &imig__workload_rows[i];

        assert_string_equal(imig_workload_name(i), rows[i].name);
        assert_int_equal(imig_workload_from_name(rows[i].name), i);
        assert_int_equal(row->tier, rows[i].tier);
        assert_int_equal(row->nonsharable != NULL, rows[i].disk);
        assert_int_equal(row->preferred, rows[i].preferred);
        assert_int_equal(row->hold_source > 0, rows[i].holds_source);
        assert_int_equal(row->hold_destination > 0, rows[i].holds_destination);
    }
    assert_null(imig_workload_name(-1));
    assert_null(imig_workload_name(IMIG_WORKLOAD_COUNT));
    assert_int_equal(imig_workload_from_name("CPU"), IMIG_WORKLOAD_UNKNOWN);
    assert_int_equal(imig_workload_from_name(NULL), IMIG_WORKLOAD_UNKNOWN);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(workload_rows_say_what_the_paper_says),
    };

    return cmocka_run_group_tests_name("workload", tests, NULL, NULL);
}
