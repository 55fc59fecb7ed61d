/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TESTS_PLANS_H
#define TESTS_PLANS_H

/* Plans that must be made, and what stands in them; include cmocka.h before. */

#include <imig/imig.h>
#include <string.h>

static inline imig_plan *
make(const imig_cluster *cluster, const imig_plan_options *options)
{
    imig_error *error = NULL;
    imig_plan *plan = NULL;

    if (imig_plan_make(cluster, options, &plan, &error) != IMIG_OK)
        fail_msg("%s", imig_error_message(error));
    assert_non_null(plan);
    return plan;
}

static inline imig_plan_step
step_of(const imig_plan *plan, size_t index)
{
    imig_plan_step step = IMIG_PLAN_STEP_INIT;

    assert_int_equal(imig_plan_get_step(plan, index, &step, NULL), IMIG_OK);
    return step;
}

static inline imig_plan_summary
summary_of(const imig_plan *plan)
{
    imig_plan_summary summary = IMIG_PLAN_SUMMARY_INIT;

    assert_int_equal(imig_plan_get_summary(plan, &summary, NULL), IMIG_OK);
    return summary;
}

static inline imig_plan_totals
after_of(const imig_plan *plan)
{
    imig_plan_totals after = IMIG_PLAN_TOTALS_INIT;

    assert_int_equal(imig_plan_get_totals(plan, NULL, &after, NULL), IMIG_OK);
    return after;
}

/* Why a VM is said to stay. */
static inline const char *
kept_code(const imig_plan *plan, const char *vm)
{
    for (size_t i = 0; i < imig_plan_kept_count(plan); i++) {
        const char *id, *code, *text;

        assert_int_equal(imig_plan_get_kept(plan, i, &id, &code, &text, NULL), IMIG_OK);
        assert_true(strlen(text) > 0);
        if (strcmp(id, vm) == 0)
            return code;
    }
    return "not listed";
}

#endif
