// SPDX-License-Identifier: LGPL-2.1-or-later
// The public headers as C++11: everything can be included, initialised and called.
#include <imig/imig.h>

#include <cstdio>
#include <cstring>

#define STARTS_WITH_ITS_SIZE(type, init) \
    do { \
        type value = init; \
        if (value.size != sizeof value) { \
            std::printf("%s does not begin with its size\n", #type); \
            faults++; \
        } \
    } while (0)

int
main()
{
    int faults = 0;

    STARTS_WITH_ITS_SIZE(imig_host_info, IMIG_HOST_INFO_INIT);
    STARTS_WITH_ITS_SIZE(imig_vm_info, IMIG_VM_INFO_INIT);
    STARTS_WITH_ITS_SIZE(imig_rule_info, IMIG_RULE_INFO_INIT);
    STARTS_WITH_ITS_SIZE(imig_vm_counters, IMIG_VM_COUNTERS_INIT);
    STARTS_WITH_ITS_SIZE(imig_migration, IMIG_MIGRATION_INIT);
    STARTS_WITH_ITS_SIZE(imig_migration_profile, IMIG_MIGRATION_PROFILE_INIT);
    STARTS_WITH_ITS_SIZE(imig_cost, IMIG_COST_INIT);
    STARTS_WITH_ITS_SIZE(imig_predict_options, IMIG_PREDICT_OPTIONS_INIT);
    STARTS_WITH_ITS_SIZE(imig_agent_options, IMIG_AGENT_OPTIONS_INIT);
    STARTS_WITH_ITS_SIZE(imig_execute_options, IMIG_EXECUTE_OPTIONS_INIT);
    STARTS_WITH_ITS_SIZE(imig_step_report, IMIG_STEP_REPORT_INIT);
    STARTS_WITH_ITS_SIZE(imig_monitor_options, IMIG_MONITOR_OPTIONS_INIT);
    STARTS_WITH_ITS_SIZE(imig_order_options, IMIG_ORDER_OPTIONS_INIT);
    STARTS_WITH_ITS_SIZE(imig_order_pairs_options, IMIG_ORDER_PAIRS_OPTIONS_INIT);
    STARTS_WITH_ITS_SIZE(imig_place_options, IMIG_PLACE_OPTIONS_INIT);
    STARTS_WITH_ITS_SIZE(imig_plan_options, IMIG_PLAN_OPTIONS_INIT);
    STARTS_WITH_ITS_SIZE(imig_plan_step, IMIG_PLAN_STEP_INIT);
    STARTS_WITH_ITS_SIZE(imig_plan_totals, IMIG_PLAN_TOTALS_INIT);
    STARTS_WITH_ITS_SIZE(imig_plan_summary, IMIG_PLAN_SUMMARY_INIT);
    STARTS_WITH_ITS_SIZE(imig_select_options, IMIG_SELECT_OPTIONS_INIT);
    STARTS_WITH_ITS_SIZE(imig_classify_options, IMIG_CLASSIFY_OPTIONS_INIT);

    if (std::strcmp(imig_errcode_name(IMIG_ERR_STALE), "stale") != 0) {
        std::printf("IMIG_ERR_STALE is called %s\n", imig_errcode_name(IMIG_ERR_STALE));
        faults++;
    }
    return faults;
}
