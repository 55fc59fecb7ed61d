/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/aim-priv.h"

#include "model/cluster-priv.h"

#include <imig/order.h>
#include <imig/select.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_ROUNDS = 20,     /* of pre-copy; assumed: with 10 % more bandwidth they would be half */
    ATTEMPTS = 3,         /* searches, where the schedule found no way for some moves */
    ORDER_EFFORT = 500000 /* of improving the sequence: below 0.1 s */
};

/*
 * What a migration takes from its two hosts, core-seconds, whatever the VM does.  Measured: 0.2 to
 * 1.0 s on the source and 0.8 s on the destination for a VM of 96 MB; assumed for each byte.  Part
 * of what a move must gain, so that an idle VM does not move for next to nothing.
 */
#define WORK_S 1.5
#define WORK_S_PER_BYTE 1e-9

/* Seconds of migration that a second of downtime is worth: by default as in imig_order(). */
#define ORDER_PREFER_DOWNTIME_PRICE 10.0
#define ORDER_BY_DOWNTIME_PRICE 1e6

static const char *const goals[] = {
    [IMIG__BALANCE] = "balance",
    [IMIG__RELIEVE] = "relieve",
    [IMIG__DRAIN] = "drain",
    [IMIG__LEVEL] = "level",
    [IMIG__CONSOLIDATE] = "consolidate",
};

const char *
imig_plan_goal_name(uint32_t index)
{
    return index < G_N_ELEMENTS(goals) ? goals[index] : NULL;
}

const char *
imig_plan_policy_name(uint32_t index)
{
    return imig_select_policy_name(index); /* every step knows the same names */
}

/* The numbers of the options: their defaults and their ranges, once. */
static const struct number {
    size_t offset;
    uint64_t bit;
    double preset;   /* NaN: none, and absent stays absent */
    double least;
    gboolean above;  /* must be greater than least, not just as great */
    const char *name;
} numbers[] = {
#define NUMBER(field, bit, preset, least, above) \
    { offsetof(imig_plan_options, field), IMIG_PLAN_HAS_##bit, preset, least, above, #field }
    NUMBER(threshold, THRESHOLD, IMIG__THRESHOLD, 0, TRUE),
    NUMBER(horizon_s, HORIZON, 3600, 0, TRUE),
    NUMBER(gain_ratio, GAIN_RATIO, 3, 0, FALSE),
    NUMBER(noise_ratio, NOISE_RATIO, 2, 0, FALSE),
    NUMBER(network_price, NETWORK_PRICE, 1, 0, FALSE),
    NUMBER(communication_price, COMMUNICATION_PRICE, 8e-9, 0, FALSE),
    NUMBER(bandwidth_bytes_per_s, BANDWIDTH, NAN, 0, TRUE),
    NUMBER(downtime_limit_s, DOWNTIME_LIMIT, NAN, 0, TRUE),
    NUMBER(max_bytes, MAX_BYTES, NAN, 0, FALSE),
    NUMBER(tolerance, TOLERANCE, 0.1, 0, FALSE),
#undef NUMBER
};

static int
check_numbers(imig_plan_options *opt, imig_error **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        const struct number *n = &numbers[i];
        double *value = (double *) (void *) ((char *) opt + n->offset);

        if (!(opt->set & n->bit)) {
            *value = n->preset;
            continue;
        }
        if (!isfinite(*value) || *value < n->least || (n->above && *value <= n->least))
            return imig__fail(error, IMIG_ERR_ARGUMENT, "%s %g: must be %s %g", n->name, *value,
                              n->above ? ">" : ">=", n->least);
    }
    return IMIG_OK;
}

static int
check_options(imig__planner *planner, imig_error **error)
{
    imig_plan_options *opt = &planner->opt;
    int r = check_numbers(opt, error);
    uint32_t goal = 0;

    if (r != IMIG_OK)
        return r;
    while (opt->goal && goal < G_N_ELEMENTS(goals) && strcmp(goals[goal], opt->goal) != 0)
        goal++;
    if (goal == G_N_ELEMENTS(goals))
        return imig__fail_name(error, IMIG_ERR_ARGUMENT, "no goal", opt->goal,
                               imig_plan_goal_name);
    planner->goal = (imig__goal) goal;
    if (opt->set & IMIG_PLAN_HAS_TOLERANCE && planner->goal != IMIG__LEVEL)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "a tolerance needs goal level, not %s",
                          goals[goal]);
    planner->policy = imig__select_policy(opt->policy);
    if (planner->policy == UINT32_MAX || imig__place_policy(opt->policy) != planner->policy)
        return imig__fail_name(error, IMIG_ERR_ARGUMENT, "no policy", opt->policy,
                               imig_plan_policy_name);
    if (opt->drain_count > 0 && !opt->drain)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "drain: NULL");
    if ((planner->goal == IMIG__DRAIN) != (opt->drain_count > 0))
        return imig__fail(error, IMIG_ERR_ARGUMENT, planner->goal == IMIG__DRAIN
                              ? "goal drain needs the hosts to drain"
                              : "hosts to drain need goal drain");
    for (size_t i = 0; i < opt->drain_count; i++)
        if (opt->drain[i] >= planner->cluster->host_count)
            return imig__fail(error, IMIG_ERR_ARGUMENT, "drain[%zu]: %u: no such host", i,
                              opt->drain[i]);
    if (opt->migrate_flags & ~IMIG__MIGRATE_FLAGS)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "migrate_flags: an unknown flag");
    if (opt->order_by < 0 || opt->order_by > IMIG_ORDER_BY_DOWNTIME)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "order_by %d: not known", opt->order_by);
    if (!(opt->set & IMIG_PLAN_HAS_NOW))
        opt->now_s = planner->cluster->time_s;
    if (!isfinite(opt->now_s))
        return imig__fail(error, IMIG_ERR_ARGUMENT, "now_s %g: must be finite", opt->now_s);
    if (!(opt->set & IMIG_PLAN_HAS_MAX_MOVES))
        opt->max_moves = UINT32_MAX;
    if (!(opt->set & IMIG_PLAN_HAS_CONCURRENCY))
        opt->concurrency = 1;
    if (!(opt->set & IMIG_PLAN_HAS_MAX_PARALLEL))
        opt->max_parallel = UINT32_MAX;
    if (opt->concurrency < 1 || opt->max_parallel < 1)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "concurrency and max_parallel must be >= 1");
    return IMIG_OK;
}

double
imig__planner_move_loss(const imig__planner *planner, uint32_t vm, const imig_cost *cost)
{
    const imig__load *load = planner->problem.load;

    return load->brings[vm].cpu_w * (cost->slowdown_ratio * cost->time_s + cost->downtime_s)
           / planner->opt.horizon_s;
}

/* A migration that does not converge by itself is no way, unless it is to be made to. */
static gboolean
may_go(const imig__planner *planner, const imig_cost *cost)
{
    /* Bandwidth is not what was predicted to the last per cent: who needs many rounds may need
       endless ones. */
    return (cost->converges && cost->rounds <= MOST_ROUNDS)
           || planner->opt.migrate_flags & (IMIG_MIGRATE_AUTO_CONVERGE | IMIG_MIGRATE_POST_COPY);
}

/* A disk that only its host sees keeps a VM there, unless it is copied or taken for shared. */
static gboolean
has_fixed_disk(const imig__planner *planner, uint32_t vm)
{
    return !imig__flags_move_disks(planner->opt.migrate_flags)
           && imig__vm_has_local_disk(&planner->cluster->vms[vm], NULL);
}

static void
price_moves(imig__planner *planner)
{
    uint32_t vms = planner->problem.load->vms;
    const char **fixed = planner->problem.space->fixed;

    planner->traffic = imig__traffic_new(planner->cluster, planner->problem.workload,
                                         &planner->predict);
    planner->move_loss = g_new(double, vms);
    planner->move_price = g_new(double, vms);
    for (uint32_t v = 0; v < vms; v++) {
        imig_cost cost = IMIG_COST_INIT;

        imig__traffic_predict_idle(planner->traffic, v, &cost);
        planner->move_loss[v] = imig__planner_move_loss(planner, v, &cost);
        planner->move_price[v] =
            planner->opt.gain_ratio
            * (planner->move_loss[v]
               + (WORK_S + WORK_S_PER_BYTE * cost.transferred_bytes) / planner->opt.horizon_s);
        if (!fixed[v] && has_fixed_disk(planner, v))
            fixed[v] = "local-disk";
        if (!fixed[v] && !may_go(planner, &cost))
            fixed[v] = "will-not-converge";
    }
}

static void
find_sources(imig__planner *planner)
{
    const imig__problem *problem = &planner->problem;
    uint32_t hosts = problem->load->hosts;

    planner->sheds = g_new0(uint8_t, hosts);
    planner->empties = g_new0(uint8_t, hosts);
    for (size_t i = 0; i < planner->opt.drain_count; i++)
        planner->empties[planner->opt.drain[i]] = 1;
    for (uint32_t h = 0; h < hosts; h++) {
        /* A host in maintenance is emptied too: that is what it is there for. */
        if (planner->cluster->hosts[h].state == IMIG_HOST_MAINTENANCE)
            planner->empties[h] = 1;
        if (planner->empties[h])
            problem->space->accepts[h] = 0;
        /* Memory that is short is broken, not out of balance: every goal repairs it. */
        planner->sheds[h] = planner->empties[h]
                            || imig__space_excess(problem->space, problem->state, h) > 0
                            || (planner->goal <= IMIG__RELIEVE
                                && imig__space_overloaded(problem->space, problem->state, h));
    }
}

/* -- order and schedule -- */

static size_t
collect_moves(const imig__planner *planner, imig__move *moves)
{
    const imig__problem *problem = &planner->problem;
    size_t n = 0;

    for (uint32_t v = 0; v < problem->load->vms; v++)
        if (problem->state->host[v] != planner->home[v])
            moves[n++] = (imig__move) { v, problem->state->host[v], imig__aim_group(planner, v) };
    return n;
}

static gboolean
is_informed(const char *policy)
{
    return !policy || g_str_equal(policy, imig_order_policy_name(0));
}

/* The pairwise model is where to begin; what is really predicted decides. */
static void
improve_order(const imig__planner *planner, const imig__move *moves, size_t n, uint32_t *order)
{
    uint32_t *vm = g_new(uint32_t, 2 * n + 1), *to = vm + n;
    double *price = g_new0(double, n + 1);

    for (size_t i = 0; i < n; i++) {
        vm[i] = moves[i].vm;
        to[i] = moves[i].to;
        if (planner->opt.order_by == IMIG_ORDER_BY_DOWNTIME)
            price[i] = ORDER_BY_DOWNTIME_PRICE;
        else if (planner->cluster->vms[vm[i]].prefer == IMIG_PREFER_DOWNTIME)
            price[i] = ORDER_PREFER_DOWNTIME_PRICE;
    }
    imig__sequence_improve(planner->cluster, planner->traffic, vm, to, n, price, ORDER_EFFORT,
                           order);
    g_free(vm);
    g_free(price);
}

static int
order_moves(const imig__planner *planner, imig__move *moves, size_t n, imig_error **error)
{
    const imig_plan_options *opt = &planner->opt;
    const imig__traffic *traffic = planner->traffic;
    imig_order_options options = IMIG_ORDER_OPTIONS_INIT;
    uint32_t *source = g_new(uint32_t, 3 * n + 1), *to = source + n, *order = source + 2 * n;
    double *time_s = g_new(double, 5 * n + 1), *down_s = time_s + n, *hold_a = time_s + 2 * n;
    double *hold_b = time_s + 3 * n, *memory = time_s + 4 * n;
    int32_t *class = g_new(int32_t, 2 * n + 1), *prefer = class + n;
    imig__move *sorted = g_new(imig__move, n + 1);
    int r;

    for (size_t i = 0; i < n; i++) {
        const imig_vm_info *vm = &planner->cluster->vms[moves[i].vm];
        imig_cost cost = IMIG_COST_INIT;

        imig__traffic_predict(traffic, moves[i].vm, moves[i].to, 1, 1, &cost);
        imig__traffic_hold(traffic, moves[i].vm, moves[i].to, &hold_a[i], &hold_b[i]);
        source[i] = vm->host;
        to[i] = moves[i].to;
        time_s[i] = cost.time_s;
        down_s[i] = cost.downtime_s;
        memory[i] = vm->memory_bytes;
        class[i] = planner->problem.workload[moves[i].vm];
        prefer[i] = vm->prefer;
    }
    options.policy = opt->order_policy ? opt->order_policy : opt->policy;
    options.source = source;
    options.destination = to;
    options.hold_source = hold_a;
    options.hold_destination = hold_b;
    options.downtime_s = down_s;
    options.memory_bytes = memory;
    options.prefer = prefer;
    options.seed = opt->seed;
    options.order_by = opt->order_by;
    r = imig_order(class, time_s, n, &options, order, error);
    if (r == IMIG_OK && is_informed(options.policy) && opt->order_by != IMIG_ORDER_BY_COMPLETION)
        improve_order(planner, moves, n, order);
    for (size_t i = 0; i < n && r == IMIG_OK; i++)
        sorted[i] = moves[order[i]];
    if (r == IMIG_OK)
        memcpy(moves, sorted, n * sizeof *moves);
    g_free(source);
    g_free(time_s);
    g_free(class);
    g_free(sorted);
    return r;
}

/* Gives up what has no way or would not converge; returns how many VMs that is. */
static size_t
give_up(imig__planner *planner, const imig__move *moves)
{
    const imig__schedule *schedule = &planner->schedule;
    const char **fixed = planner->problem.space->fixed;
    size_t n = 0;

    for (size_t i = 0; i < schedule->stuck_count; i++, n++)
        planner->kept[moves[schedule->stuck[i]].vm] = "no-path";
    for (size_t i = 0; i < schedule->step_count; i++)
        if (!may_go(planner, &schedule->steps[i].cost)
            && !planner->kept[schedule->steps[i].vm]) {
            planner->kept[schedule->steps[i].vm] = "will-not-converge";
            n++;
        }
    imig__aim_give_up(planner);
    for (uint32_t v = 0; v < planner->problem.load->vms; v++)
        if (planner->kept[v])
            fixed[v] = planner->kept[v];
    return n;
}

/* What was given up stays, with the rest of its unit, until nothing more has to be. */
static int
schedule_the_rest(imig__planner *planner, imig__move *moves, size_t n,
                  const imig__schedule_options *options, imig_error **error)
{
    int r;

    do {
        size_t left = 0;

        for (size_t i = 0; i < n; i++)
            if (!imig__space_unit_fixed(planner->problem.space, moves[i].vm))
                moves[left++] = moves[i];
        n = left;
        imig__schedule_clear(&planner->schedule);
        r = order_moves(planner, moves, n, error);
        if (r != IMIG_OK)
            return r;
        imig__schedule_make(planner->cluster, planner->traffic, moves, n, options,
                            &planner->schedule);
    } while (give_up(planner, moves) > 0);
    /* Half of an exchange may be worse than nothing. */
    if (planner->policy == IMIG__POLICY_INFORMED && !imig__planner_is_worthwhile(planner)) {
        imig__schedule_clear(&planner->schedule);
        imig__schedule_make(planner->cluster, planner->traffic, moves, 0, options,
                            &planner->schedule);
    }
    return IMIG_OK;
}

int
imig__planner_decide(imig__planner *planner, gboolean may_park, imig_error **error)
{
    imig__move *moves = g_new(imig__move, planner->problem.load->vms + 1);
    imig__schedule_options options = {
        .concurrency = planner->opt.concurrency,
        .max_parallel = planner->opt.max_parallel == UINT32_MAX ? 0 : planner->opt.max_parallel,
        .may_park = may_park,
    };
    int r = IMIG_OK;

    for (int attempt = 0;; attempt++) {
        size_t n;

        imig__aim_place(planner);
        n = collect_moves(planner, moves);
        r = order_moves(planner, moves, n, error);
        if (r != IMIG_OK)
            break;
        imig__schedule_make(planner->cluster, planner->traffic, moves, n, &options,
                            &planner->schedule);
        if (give_up(planner, moves) == 0)
            break;
        if (attempt + 1 >= ATTEMPTS) {
            r = schedule_the_rest(planner, moves, n, &options, error);
            break;
        }
        imig__schedule_clear(&planner->schedule);
        imig__planner_reset(planner);
    }
    g_free(moves);
    return r;
}

int
imig__planner_prepare(imig__planner *planner, imig_error **error)
{
    const imig_cluster *cluster = planner->cluster;
    const imig_plan_options *opt = &planner->opt;
    const imig__loss_options loss = {
        .network_price = opt->network_price, .communication_price = opt->communication_price,
    };
    int r = imig__problem_init(&planner->problem, cluster, opt->workload, opt->affinity, &loss,
                               opt->threshold, opt->now_s, error);

    if (r != IMIG_OK)
        return r;
    for (size_t i = 0; i < opt->drain_count; i++)
        planner->problem.space->accepts[opt->drain[i]] = 0;
    if (opt->spare_hosts > 0)
        r = imig__planner_spare_hosts(planner, error);
    if (r != IMIG_OK) {
        imig__problem_clear(&planner->problem);
        return r;
    }
    planner->before = imig__state_copy(planner->problem.state);
    planner->home = g_memdup2(planner->problem.load->home, cluster->vm_count * sizeof(uint32_t));
    planner->kept = g_new0(const char *, cluster->vm_count + 1);
    planner->unpaid = g_new0(uint8_t, cluster->vm_count + 1);
    price_moves(planner);
    find_sources(planner);
    imig__aim_make(planner);
    return IMIG_OK;
}

void
imig__planner_clear(imig__planner *planner)
{
    imig__problem_clear(&planner->problem);
    imig__schedule_clear(&planner->schedule);
    imig__state_free(planner->before);
    imig__traffic_free(planner->traffic);
    g_free(planner->home);
    g_free(planner->move_loss);
    g_free(planner->move_price);
    g_free(planner->sheds);
    g_free(planner->empties);
    g_free(planner->kept);
    g_free(planner->unpaid);
    imig__aim_clear(planner);
}

int
imig_plan_make(const imig_cluster *cluster, const imig_plan_options *options, imig_plan **plan,
               imig_error **error)
{
    imig__planner planner = { .cluster = cluster };
    int r = imig__copy_struct(&planner.opt, sizeof planner.opt, options,
                              IMIG__END_OF(imig_plan_options, explain), error);

    if (r == IMIG_OK)
        r = imig__check_set(planner.opt.set, IMIG_PLAN_HAS_TOLERANCE << 1, error);
    if (r != IMIG_OK)
        return r;
    if (!cluster || !cluster->finished || !plan)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "imig_plan_make: NULL, or not finished");
    r = check_options(&planner, error);
    if (r != IMIG_OK)
        return r;
    planner.predict = (imig_predict_options) IMIG_PREDICT_OPTIONS_INIT;
    if (planner.opt.set & IMIG_PLAN_HAS_BANDWIDTH)
        planner.predict.set |= IMIG_PREDICT_HAS_BANDWIDTH;
    if (planner.opt.set & IMIG_PLAN_HAS_DOWNTIME_LIMIT)
        planner.predict.set |= IMIG_PREDICT_HAS_DOWNTIME_LIMIT;
    planner.predict.migrate_flags = planner.opt.migrate_flags;
    planner.predict.calibration = planner.opt.calibration;
    planner.predict.bandwidth_bytes_per_s = planner.opt.bandwidth_bytes_per_s;
    planner.predict.downtime_limit_s = planner.opt.downtime_limit_s;
    r = imig__planner_prepare(&planner, error);
    if (r != IMIG_OK)
        return r;
    r = imig__planner_decide(&planner, planner.policy == IMIG__POLICY_INFORMED, error);
    if (r == IMIG_OK && planner.policy == IMIG__POLICY_INFORMED)
        r = imig__planner_fall_back(&planner, error);
    if (r == IMIG_OK)
        *plan = imig__planner_explain(&planner);
    imig__planner_clear(&planner);
    return r;
}
