/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ui.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Names come from the library alone; the first is the default: "balance (default), relieve". */
static char *
list_names(const char *(*name)(uint32_t), const char *before)
{
    g_autofree char *all = ui_list_names(name);
    const char *comma = strchr(all, ',');

    return g_strdup_printf("%s%.*s (default)%s", before, (int) (comma - all), all, comma);
}

static const char *
order_by_name(uint32_t index)
{
    static const char *const names[] = {
        [IMIG_ORDER_BY_TIME] = "time",
        [IMIG_ORDER_BY_COMPLETION] = "completion",
        [IMIG_ORDER_BY_DOWNTIME] = "downtime",
    };

    return index < G_N_ELEMENTS(names) ? names[index] : NULL;
}

void
ui_planner_init(ui_planner *p, unsigned int takes)
{
    size_t n = 0;

    memset(p, 0, sizeof *p);
    p->threshold = p->horizon_s = p->gain_ratio = p->noise_ratio = p->max_bytes = NAN;
    p->tolerance = p->time_limit_s = NAN;
    p->max_moves = p->spare_hosts = -1;
    p->goal_help = list_names(imig_plan_goal_name, "");
    p->policy_help = list_names(imig_plan_policy_name, "");
    p->order_policy_help = list_names(imig_order_policy_name, "of the sequence alone: ");

    const ui_option table[] = {
        { "goal", 'g', UI_TEXT, &p->goal, "GOAL", p->goal_help },
        { "policy", 'p', UI_TEXT, &p->policy, "POLICY", p->policy_help },
        { "order-policy", 0, UI_TEXT, &p->order_policy, "POLICY", p->order_policy_help },
        { "order-by", 0, UI_TEXT, &p->order_by, "WHAT",
          "what the sequence makes small: time (default), completion, downtime" },
        { "drain", 0, UI_TEXTS, &p->drain, "HOST", "a host to empty, may be repeated" },
        { "spare-hosts", 0, UI_COUNT, &p->spare_hosts, "N",
          "hosts that may fail without another getting overloaded (0)" },
        { "threshold", 0, UI_NUMBER, &p->threshold, "RATIO",
          "CPU utilisation from which a host is overloaded (0.8)" },
        { "tolerance", 0, UI_NUMBER, &p->tolerance, "RATIO",
          "goal level: how far a host may be above the mean of its pool (0.1)" },
        { "horizon", 0, UI_SECONDS, &p->horizon_s, "TIME", "losses are averaged over it (1h)" },
        { "gain-ratio", 0, UI_NUMBER, &p->gain_ratio, "RATIO",
          "gain a group must have over its migration loss (3)" },
        { "noise-ratio", 0, UI_NUMBER, &p->noise_ratio, "RATIO",
          "and over the standard error of its measurements (2)" },
        { "max-moves", 0, UI_COUNT, &p->max_moves, "N", "no more migrations than this" },
        { "max-bytes", 0, UI_BYTES, &p->max_bytes, "BYTES", "no more memory moved than this" },
        { "time-limit", 0, UI_SECONDS, &p->time_limit_s, "TIME",
          "decide by then: the best plan found so far (no limit)" },
        { "explain", 0, UI_FLAG, &p->explain, NULL, "a reason for every VM that stays, too" },
        UI_OPTION_END,
    };

    G_STATIC_ASSERT(G_N_ELEMENTS(table) + G_N_ELEMENTS(p->migration.table)
                    <= G_N_ELEMENTS(p->table));
    ui_migration_init(&p->migration, takes);
    for (const ui_option *o = table; o->name; o++)
        p->table[n++] = *o;
    memcpy(&p->table[n], p->migration.table, sizeof p->migration.table);
}

void
ui_planner_clear(ui_planner *p)
{
    ui_clear(p->table);
    g_free(p->goal_help);
    g_free(p->policy_help);
    g_free(p->order_policy_help);
}

static gboolean
is_informed(const char *policy)
{
    return !policy || g_str_equal(policy, imig_plan_policy_name(0));
}

/* What only the search weighs is not passed over in silence. */
static int
check_rules_of_thumb(const ui_planner *p)
{
    const char *policy = p->policy;
    const char *sequence = p->order_policy ? p->order_policy : policy;

    if (!is_informed(policy) && (!isnan(p->gain_ratio) || !isnan(p->noise_ratio)))
        return ui_fail(UI_USAGE, "--%s needs policy informed; %s does not weigh gains",
                       isnan(p->gain_ratio) ? "noise-ratio" : "gain-ratio", policy);
    if (!is_informed(sequence) && p->order_by)
        return ui_fail(UI_USAGE, "--order-by needs the sequence of policy informed, not of %s",
                       sequence);
    return UI_DONE;
}

/* What is known here beside the library is what the names are. */
static int
check_options(const ui_planner *p)
{
    if (p->goal && ui_find_name(imig_plan_goal_name, p->goal) < 0)
        return ui_fail(UI_USAGE, "no goal \"%s\"; there are %s", p->goal, p->goal_help);
    if (p->policy && ui_find_name(imig_plan_policy_name, p->policy) < 0)
        return ui_fail(UI_USAGE, "no policy \"%s\"; there are %s", p->policy, p->policy_help);
    if (p->order_policy && ui_find_name(imig_order_policy_name, p->order_policy) < 0)
        return ui_fail(UI_USAGE, "no --order-policy \"%s\"; %s", p->order_policy,
                       p->order_policy_help);
    if (p->order_by && ui_find_name(order_by_name, p->order_by) < 0)
        return ui_fail(UI_USAGE, "--order-by \"%s\" is not time, completion or downtime",
                       p->order_by);
    if (g_strcmp0(p->goal, "drain") == 0 && !p->drain)
        return ui_fail(UI_USAGE, "goal drain needs --drain HOST");
    if (!isnan(p->tolerance) && g_strcmp0(p->goal, "level") != 0)
        return ui_fail(UI_USAGE, "--tolerance needs --goal level");
    if (check_rules_of_thumb(p) != UI_DONE)
        return UI_USAGE;
    if (p->threshold > 10)
        return ui_fail(UI_USAGE, "--threshold %g is a ratio, not per cent: 80 %% is 0.8",
                       p->threshold);
    if (p->tolerance > 10)
        return ui_fail(UI_USAGE, "--tolerance %g is a ratio, not per cent: 10 %% is 0.1",
                       p->tolerance);
    return UI_DONE;
}

int
ui_planner_read(ui_planner *p, int n, char *const *hosts)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    int status = ui_migration_read(&p->migration);

    if (status != UI_DONE)
        return status;

    for (char **host = p->drain; host && *host; host++)
        g_ptr_array_add(all, *host);
    for (int i = 0; i < n; i++)
        g_ptr_array_add(all, g_strdup(hosts[i]));
    if (all->len == 0)
        return check_options(p);
    g_ptr_array_add(all, NULL);
    g_free(p->drain); /* the strings live on */
    p->drain = g_memdup2(all->pdata, all->len * sizeof *all->pdata);
    if (!p->goal)
        p->goal = g_strdup("drain");
    if (!g_str_equal(p->goal, "drain"))
        return ui_fail(UI_USAGE, "hosts to drain are given, but the goal is \"%s\"", p->goal);
    return check_options(p);
}

static void
set_number(imig_plan_options *o, uint64_t bit, double *field, double value)
{
    if (!isnan(value)) {
        *field = value;
        o->set |= bit;
    }
}

static void
set_count(imig_plan_options *o, uint64_t bit, uint32_t *field, int64_t value)
{
    if (value >= 0) {
        *field = (uint32_t) MIN(value, UINT32_MAX);
        o->set |= bit;
    }
}

static void
read_numbers(const ui_planner *p, imig_plan_options *o)
{
    const ui_migration *m = &p->migration;

    set_number(o, IMIG_PLAN_HAS_THRESHOLD, &o->threshold, p->threshold);
    set_number(o, IMIG_PLAN_HAS_TOLERANCE, &o->tolerance, p->tolerance);
    set_number(o, IMIG_PLAN_HAS_HORIZON, &o->horizon_s, p->horizon_s);
    set_number(o, IMIG_PLAN_HAS_GAIN_RATIO, &o->gain_ratio, p->gain_ratio);
    set_number(o, IMIG_PLAN_HAS_NOISE_RATIO, &o->noise_ratio, p->noise_ratio);
    set_number(o, IMIG_PLAN_HAS_BANDWIDTH, &o->bandwidth_bytes_per_s, m->bandwidth);
    set_number(o, IMIG_PLAN_HAS_DOWNTIME_LIMIT, &o->downtime_limit_s, m->downtime_limit_s);
    set_number(o, IMIG_PLAN_HAS_MAX_BYTES, &o->max_bytes, p->max_bytes);
    set_count(o, IMIG_PLAN_HAS_MAX_MOVES, &o->max_moves, p->max_moves);
    set_count(o, IMIG_PLAN_HAS_CONCURRENCY, &o->concurrency, m->concurrency);
    set_count(o, IMIG_PLAN_HAS_MAX_PARALLEL, &o->max_parallel, m->max_parallel);
    set_count(o, 0, &o->spare_hosts, p->spare_hosts);
    o->explain = p->explain;
    o->migrate_flags = m->flags;
}

int
ui_load_affinity(const char *path, imig_affinity **affinity)
{
    g_autofree char *text = NULL;
    imig_error *error = NULL;
    size_t length;
    int status = ui_read(path, &text, &length);

    if (status == UI_DONE && imig_affinity_from_csv(text, length, affinity, &error) != IMIG_OK)
        return ui_fail_error(path, error);
    return status;
}

int
ui_make_plan(const ui_planner *p, const ui_common *common, const imig_cluster *cluster,
             const char *policy, imig_plan **plan)
{
    imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
    g_autoptr(imig_affinity) affinity = NULL;
    g_autoptr(GArray) drain = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    imig_error *error = NULL;
    ui_deadline *deadline;
    int r;

    options.goal = p->goal;
    options.policy = policy ? policy : p->policy;
    read_numbers(p, &options);
    options.order_policy = p->order_policy;
    options.calibration = common->calibration;
    options.seed = (uint64_t) MAX(common->seed, 0);
    if (p->order_by)
        options.order_by = ui_find_name(order_by_name, p->order_by);
    if (common->affinity) {
        int status = ui_load_affinity(common->affinity, &affinity);

        if (status != UI_DONE)
            return status;
        options.affinity = affinity;
    }
    for (char **host = p->drain; host && *host; host++) {
        uint32_t index = ui_find_host(cluster, *host);

        if (index == IMIG_NO_INDEX)
            return ui_fail_host(cluster, *host);
        g_array_append_val(drain, index);
    }
    options.drain = (const uint32_t *) (void *) drain->data;
    options.drain_count = drain->len;
    deadline = ui_deadline_new(p->time_limit_s);
    options.cancel = ui_deadline_cancel(deadline);
    r = imig_plan_make(cluster, &options, plan, &error);
    if (ui_deadline_free(deadline) && r == IMIG_OK && !common->quiet)
        fprintf(stderr, "imig: the time limit is over: this is the best plan found so far\n");
    return r == IMIG_OK ? UI_DONE : ui_fail_error(NULL, error);
}

/* What the plan was made for is how it is carried out, unless the user says otherwise. */
static void
take_limits(const char *text, size_t length, ui_migration *limits)
{
    g_autoptr(json_t) document = json_loadb(text, length, 0, NULL);
    const json_t *options = json_object_get(document, "options");
    const struct {
        const char *key;
        int64_t *count;
        double *number;
        uint64_t flag;
    } known[] = {
        { "concurrency", &limits->concurrency, NULL, 0 },
        { "max_parallel", &limits->max_parallel, NULL, 0 },
        { "bandwidth_bytes_per_s", NULL, &limits->bandwidth, 0 },
        { "downtime_limit_s", NULL, &limits->downtime_limit_s, 0 },
        { "copy_disks", NULL, NULL, IMIG_MIGRATE_COPY_DISKS },
        { "unsafe", NULL, NULL, IMIG_MIGRATE_UNSAFE },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        const json_t *value = json_object_get(options, known[i].key);

        if (known[i].count && *known[i].count < 0 && json_is_integer(value))
            *known[i].count = json_integer_value(value);
        else if (known[i].number && isnan(*known[i].number) && json_is_number(value))
            *known[i].number = json_number_value(value);
        else if (known[i].flag && json_number_value(value) > 0)
            limits->flags |= known[i].flag;
    }
}

int
ui_load_plan(const char *path, ui_migration *migration, imig_plan **plan)
{
    g_autofree char *text = NULL;
    imig_error *error = NULL;
    size_t length;
    int status = ui_read(path, &text, &length);

    if (status != UI_DONE)
        return status;
    if (imig_plan_from_json(text, length, plan, &error) != IMIG_OK)
        return ui_fail_error(path, error);
    take_limits(text, length, migration);
    return UI_DONE;
}

json_t *
ui_plan_as_json(const imig_plan *plan)
{
    json_t *document = NULL;
    char *text;
    size_t length;

    if (imig_plan_to_json(plan, &text, &length, NULL) == IMIG_OK) {
        document = json_loadb(text, length, 0, NULL);
        imig_free(text);
    }
    return document;
}

int
ui_plan_status(const imig_plan *plan)
{
    imig_plan_summary summary = IMIG_PLAN_SUMMARY_INIT;

    imig_plan_get_summary(plan, &summary, NULL);
    return summary.complete ? UI_DONE : UI_PARTIAL;
}
