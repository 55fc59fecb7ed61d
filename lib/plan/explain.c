/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/aim-priv.h"
#include "plan/broken-priv.h"

#include "cost/bound-priv.h"
#include "model/cluster-priv.h"
#include "policy/search-priv.h"

#include <math.h>

#define PERCENT(state, host) (100 * (state)->sums[host].cpu / (state)->load->cores[host])

static const char *
host_id(const imig__planner *planner, uint32_t host)
{
    return planner->cluster->hosts[host].id;
}

/* What people call it, in texts. */
static const char *
host_name(const imig__planner *planner, uint32_t host)
{
    return planner->cluster->hosts[host].name;
}

/* -- totals -- */

static double
memory_ratio(const imig__space *space, const imig__state *state, uint32_t host)
{
    /* A host that keeps everything for itself is full. */
    return space->room[host] > 0
               ? imig__space_memory(space, state, host) / space->room[host] : 1;
}

static imig_plan_totals
totals_of(const imig__planner *planner, const imig__state *state)
{
    const imig__space *space = planner->problem.space;
    imig_plan_totals t = IMIG_PLAN_TOTALS_INIT;
    imig__losses losses = imig__state_losses(state);
    double cpu = 0, cores = 0, cpu_sum = 0, cpu_squares = 0, memory = 0, memory_squares = 0;
    uint32_t active = 0;

    t.contention = losses.cpu + losses.network;
    t.interference = losses.neighbours + losses.disk;
    t.communication = losses.communication;
    t.loss = t.contention + t.interference + t.communication;
    for (uint32_t h = 0; h < state->load->hosts; h++) {
        double u = state->sums[h].cpu / state->load->cores[h], m;

        if (planner->cluster->hosts[h].state != IMIG_HOST_ACTIVE)
            continue;
        m = memory_ratio(space, state, h);
        active++;
        cpu += state->sums[h].cpu;
        cores += state->load->cores[h];
        cpu_sum += u;
        cpu_squares += u * u;
        memory += m;
        memory_squares += m * m;
        t.cpu_max = MAX(t.cpu_max, u);
        t.memory_max = MAX(t.memory_max, m);
        t.overloaded_hosts += imig__space_overloaded(space, state, h) ? 1 : 0;
    }
    if (active > 0) {
        t.cpu_mean = cpu / cores;
        t.cpu_stddev = sqrt(MAX(cpu_squares / active - pow(cpu_sum / active, 2), 0));
        t.memory_stddev = sqrt(MAX(memory_squares / active - pow(memory / active, 2), 0));
    }
    return t;
}

/* -- why a step is taken -- */

static const struct {
    const char *code, *text;
} causes[] = {
    { "relieves-cpu", "takes CPU load off %s" },
    { "relieves-network", "takes traffic off the link of %s" },
    { "avoids-interference", "leaves neighbours on %s that slow it or are slowed by it" },
    { "separates-disk-users", "leaves another user of the disk of %s" },
    { "joins-communicating", "leaves %s for the VMs it talks to" },
    { "makes-room", "makes room on %s" },
    { "drains-host", "%s is to be emptied" },
    { "frees-memory", "%s is short of memory" },
    { "repairs-rule", "its list of hosts leaves out %s" },
    { "stays-together", "goes with its group from %s" },
    { "parks", "leaves %s until its destination has room" },
    { "levels-cpu", "the CPU of %s is too far above the mean" },
    { "levels-memory", "the memory of %s is too far above the mean" },
    { "frees-host", "%s is emptied to be switched off" },
};

enum cause {
    RELIEVES_CPU, RELIEVES_NETWORK, AVOIDS_INTERFERENCE, SEPARATES_DISK_USERS,
    JOINS_COMMUNICATING, MAKES_ROOM, DRAINS_HOST, FREES_MEMORY, REPAIRS_RULE, STAYS_TOGETHER,
    PARKS, LEVELS_CPU, LEVELS_MEMORY, FREES_HOST,
};

#define ROUNDING 1e-9     /* a gain as small is what sums of losses leave in their last digits */
#define WORTH_SAYING 1e-3 /* lost cores */

/* What a move is worth once everything else is done: more would be lost without it. */
struct worth {
    imig__losses less; /* by cause */
    double gain;
};

static imig__losses
losses_of_pair(const imig__state *state, uint32_t a, uint32_t b)
{
    imig__losses x = imig__state_host_losses(state, a), y = imig__state_host_losses(state, b);

    return (imig__losses) {
        x.cpu + y.cpu, x.network + y.network, x.neighbours + y.neighbours, x.disk + y.disk,
        state->communication,
    };
}

static struct worth
worth_of(imig__state *end, uint32_t vm, uint32_t home)
{
    uint32_t host = end->host[vm];
    imig__losses with = losses_of_pair(end, home, host), without;
    struct worth w;

    imig__state_move(end, vm, home);
    without = losses_of_pair(end, home, host);
    w.less.cpu = without.cpu - with.cpu;
    w.less.network = without.network - with.network;
    w.less.neighbours = without.neighbours - with.neighbours;
    w.less.disk = without.disk - with.disk;
    w.less.communication = without.communication - with.communication;
    w.gain = w.less.cpu + w.less.network + w.less.neighbours + w.less.disk + w.less.communication;
    if (fabs(w.gain) < ROUNDING)
        w.gain = 0;
    return w;
}

/* Of the VMs that move, few of all. */
struct worths {
    uint32_t *of; /* [vms] in worth[]; 0: nothing, for it does not move */
    struct worth *worth;
};

/*
 * For every VM that moves; the VMs of a unit one after the other, so that their gains add up to
 * what the unit is worth.
 */
static struct worths
worth_of_moves(const imig__planner *planner, const imig__state *end)
{
    const imig__space *space = planner->problem.space;
    struct worths worths = {
        g_new0(uint32_t, end->load->vms), g_new0(struct worth, planner->schedule.step_count + 1),
    };
    imig__state *now = imig__state_copy(end);
    uint32_t n = 0;

    for (uint32_t u = 0; u < space->units; u++) {
        uint32_t begin = space->unit_begin[u], last = space->unit_begin[u + 1];

        for (uint32_t i = begin; i < last; i++) {
            uint32_t v = space->unit_vm[i];

            if (end->host[v] == planner->home[v])
                continue;
            worths.of[v] = ++n;
            worths.worth[n] = worth_of(now, v, planner->home[v]);
        }
        for (uint32_t i = begin; i < last; i++)
            imig__state_move(now, space->unit_vm[i], end->host[space->unit_vm[i]]);
    }
    imig__state_free(now);
    return worths;
}

/* A move that is not worth its price by itself was made for the sake of others. */
static enum cause
main_cause(const struct worth *worth, double price)
{
    const double gains[] = {
        worth->less.cpu, worth->less.network, worth->less.neighbours, worth->less.disk,
        worth->less.communication,
    };
    enum cause best = RELIEVES_CPU;

    for (size_t i = 1; i < G_N_ELEMENTS(gains); i++)
        if (gains[i] > gains[best])
            best = (enum cause) i;
    return gains[best] > 0 && worth->gain > price ? best : MAKES_ROOM;
}

/* rule: the one that is repaired, where one is. */
static enum cause
step_cause(const imig__planner *planner, const imig__state *state, const imig__scheduled *step,
           const struct worth *worth, uint32_t *rule)
{
    static const enum cause for_aim[] = {
        [IMIG__AIM_CPU] = LEVELS_CPU, [IMIG__AIM_MEMORY] = LEVELS_MEMORY,
        [IMIG__AIM_FREES] = FREES_HOST, [IMIG__AIM_ROOM] = MAKES_ROOM,
        [IMIG__AIM_SHORT] = FREES_MEMORY,
    };
    const imig__space *space = planner->problem.space;
    uint32_t vm = step->vm, from = step->from;
    imig__aim_cause aim = imig__aim_why(planner, vm);

    *rule = IMIG_NO_INDEX;
    if (step->parking)
        return PARKS;
    if (planner->empties[planner->home[vm]])
        return DRAINS_HOST;
    if (!imig__space_allows(space, vm, from))
        return REPAIRS_RULE;
    *rule = imig__broken_repairs(planner, state, vm, from, step->to);
    if (*rule != IMIG_NO_INDEX)
        return REPAIRS_RULE;
    if (imig__space_excess(space, state, from) > 0)
        return FREES_MEMORY;
    if (!imig__space_unit_alone(space, vm) && worth->gain <= 0)
        return STAYS_TOGETHER;
    if (aim != IMIG__AIM_NONE)
        return for_aim[aim];
    /* These goals touch other hosts only for the sake of rules, memory, or hosts of their own. */
    if (planner->goal != IMIG__BALANCE && !planner->aim && !planner->sheds[planner->home[vm]])
        return MAKES_ROOM;
    if (PERCENT(state, from) > 100 * imig__space_threshold(space, from) && worth->less.cpu > 0)
        return RELIEVES_CPU;
    return main_cause(worth, planner->policy == IMIG__POLICY_INFORMED
                                 ? planner->move_price[vm] : 0);
}

/* The cause, what happens to the CPU of both hosts at this step, and what it is worth. */
static char *
step_text(const imig__planner *planner, imig__state *state, const imig__scheduled *step,
          enum cause cause, uint32_t rule, double gain)
{
    double from = PERCENT(state, step->from), to = PERCENT(state, step->to);
    char *named = rule != IMIG_NO_INDEX ? imig__rule_text(planner->cluster, rule) : NULL;
    GString *text;
    char *first = named ? g_strdup_printf("repairs %s", named)
                        : g_strdup_printf(causes[cause].text, host_name(planner, step->from));

    imig__state_move(state, step->vm, step->to);
    text = g_string_new(first);
    g_string_append_printf(text, "; CPU of %s %.0f -> %.0f %%, of %s %.0f -> %.0f %%",
                           host_name(planner, step->from), from, PERCENT(state, step->from),
                           host_name(planner, step->to), to, PERCENT(state, step->to));
    if (fabs(gain) >= WORTH_SAYING)
        g_string_append_printf(text, "; %s %.3g lost cores", gain >= 0 ? "saves" : "costs",
                               fabs(gain));
    g_free(first);
    g_free(named);
    return g_string_free(text, FALSE);
}

static void
add_steps(imig__planner *planner, imig_plan *plan, const struct worths *worths,
          double *migration_loss)
{
    const imig__schedule *schedule = &planner->schedule;
    GHashTable *groups = g_hash_table_new(NULL, NULL);
    imig__state *state = imig__state_copy(planner->before);

    for (size_t i = 0; i < schedule->step_count; i++) {
        const imig__scheduled *s = &schedule->steps[i];
        imig_plan_step step = IMIG_PLAN_STEP_INIT;
        gpointer unit = GUINT_TO_POINTER(imig__aim_group(planner, s->vm)), known;
        const struct worth *worth = &worths->worth[worths->of[s->vm]];
        uint32_t rule;
        enum cause cause = step_cause(planner, state, s, worth, &rule);
        char *text;

        if (!g_hash_table_lookup_extended(groups, unit, NULL, &known)) {
            known = GUINT_TO_POINTER(g_hash_table_size(groups));
            g_hash_table_insert(groups, unit, known);
        }
        step.vm = planner->cluster->vms[s->vm].id;
        step.from = host_id(planner, s->from);
        step.to = host_id(planner, s->to);
        step.gain = s->parking ? 0 : worth->gain;
        step.reason_code = causes[cause].code;
        step.reason_text = text = step_text(planner, state, s, cause, rule, step.gain);
        step.start_s = s->start_s;
        step.duration_s = s->cost.time_s;
        step.downtime_s = s->cost.downtime_s;
        step.transferred_bytes = s->cost.transferred_bytes;
        step.slowdown_ratio = s->cost.slowdown_ratio;
        step.group = GPOINTER_TO_UINT(known);
        step.rounds = s->cost.rounds;
        step.converges = s->cost.converges;
        imig__plan_add_step(plan, &step);
        g_free(text);
        *migration_loss += imig__planner_move_loss(planner, s->vm, &s->cost);
    }
    g_hash_table_unref(groups);
    imig__state_free(state);
}

/* -- the plan -- */

static double
bound_of(const imig__planner *planner)
{
    const imig__problem *problem = &planner->problem;
    uint32_t vms = problem->load->vms;
    uint8_t *movable = g_new(uint8_t, vms);
    double bound;

    /* Whatever the goal, rules are repaired and room is made for what has to move. */
    for (uint32_t v = 0; v < vms; v++)
        movable[v] = !problem->space->fixed[v] || planner->kept[v];
    bound = imig__bound(problem->load, planner->move_loss, movable, planner->cluster->host_pool,
                        planner->cluster->pool_count, problem->space->accepts);
    g_free(movable);
    return bound;
}

static void
add_options(const imig__planner *planner, imig_plan *plan)
{
    const imig_plan_options *opt = &planner->opt;
    const struct {
        const char *key;
        double value;
        gboolean given;
    } numbers[] = {
        { "threshold", opt->threshold, TRUE },
        { "horizon_s", opt->horizon_s, TRUE },
        { "gain_ratio", opt->gain_ratio, TRUE },
        { "noise_ratio", opt->noise_ratio, TRUE },
        { "network_price", opt->network_price, TRUE },
        { "communication_price", opt->communication_price, TRUE },
        { "bandwidth_bytes_per_s", opt->bandwidth_bytes_per_s,
          (opt->set & IMIG_PLAN_HAS_BANDWIDTH) != 0 },
        { "downtime_limit_s", opt->downtime_limit_s,
          (opt->set & IMIG_PLAN_HAS_DOWNTIME_LIMIT) != 0 },
        { "max_bytes", opt->max_bytes, (opt->set & IMIG_PLAN_HAS_MAX_BYTES) != 0 },
        { "max_moves", opt->max_moves, (opt->set & IMIG_PLAN_HAS_MAX_MOVES) != 0 },
        { "concurrency", opt->concurrency, TRUE },
        { "max_parallel", opt->max_parallel, (opt->set & IMIG_PLAN_HAS_MAX_PARALLEL) != 0 },
        { "spare_hosts", opt->spare_hosts, opt->spare_hosts > 0 },
        { "tolerance", opt->tolerance, planner->goal == IMIG__LEVEL },
        { "copy_disks", 1, (opt->migrate_flags & IMIG_MIGRATE_COPY_DISKS) != 0 },
        { "unsafe", 1, (opt->migrate_flags & IMIG_MIGRATE_UNSAFE) != 0 },
        { "seed", (double) opt->seed, TRUE },
    };
    static const char *const order_by[] = { "time", "completion", "downtime" };

    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
        if (numbers[i].given)
            imig__plan_add_option(plan, numbers[i].key, numbers[i].value);
    imig__plan_add_option_text(plan, "order_by", order_by[opt->order_by]);
    if (opt->order_policy)
        imig__plan_add_option_text(plan, "order_policy", opt->order_policy);
}

imig_plan *
imig__planner_explain(imig__planner *planner)
{
    imig_plan *plan = imig__plan_new(imig_plan_goal_name((uint32_t) planner->goal),
                                     imig_plan_policy_name(planner->policy),
                                     planner->cluster->time_s, "");
    imig__state *state = imig__state_copy(planner->before);
    imig_plan_totals before = totals_of(planner, state), after;
    imig_plan_summary summary = IMIG_PLAN_SUMMARY_INIT;
    struct worths worths;
    double reached;

    imig__plan_set_cluster(plan, planner->cluster);
    add_options(planner, plan);
    for (size_t i = 0; i < planner->schedule.step_count; i++)
        imig__state_move(state, planner->schedule.steps[i].vm, planner->schedule.steps[i].to);
    worths = worth_of_moves(planner, state);
    add_steps(planner, plan, &worths, &summary.migration_loss);
    g_free(worths.of);
    g_free(worths.worth);
    after = totals_of(planner, state);
    summary.complete = imig__planner_add_kept(planner, plan, state);
    imig__aim_sum_up(planner, state, &summary, plan);
    summary.loss_bound = bound_of(planner);
    reached = after.contention + summary.migration_loss;
    summary.gap_ratio = reached > 0 ? MAX(reached - summary.loss_bound, 0) / reached : 0;
    summary.makespan_s = planner->schedule.makespan_s;
    summary.makespan_bound_s = planner->schedule.makespan_bound_s;
    imig__plan_set_totals(plan, &before, &after);
    imig__plan_set_summary(plan, &summary);
    imig__state_free(state);
    return plan;
}
