/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/planner-priv.h"

#include "model/cluster-priv.h"
#include "policy/search-priv.h"

#include <math.h>
#include <string.h>

/* The search, and whether what it finds is more than the errors of the measurements pretend. */

/* Without a stated error a measurement counts as this uncertain; assumed. */
#define NOISE_ASSUMED 0.05

/* Share of the loss that errors may pretend to be avoidable; assumed. */
#define NOISE_SHARE 0.02

/* Above every loss; and VMs x hosts up to which the rules of thumb are tried as well. */
#define VIOLATION 1e6
#define RULES_EFFORT 20000.0

/* Prices of the whole budget that are tried, each half the one before. */
enum { PRICES = 10 };

void
imig__planner_reset(imig__planner *planner)
{
    imig__state_free(planner->problem.state);
    planner->problem.state = imig__state_copy(planner->before);
}

static void
search(imig__planner *planner, double noise_ratio, double noise_assumed, double noise_share)
{
    imig__search_options options = {
        .price = planner->move_price,
        .noise_ratio = noise_ratio,
        .noise_assumed = noise_assumed,
        .noise_share = noise_share,
        .doubt = planner->problem.doubt,
        .doubts = planner->problem.doubt[0] ? IMIG__DOUBTS : 0,
        .sheds = planner->goal == IMIG__BALANCE ? NULL : planner->sheds,
        .empties = planner->empties,
        .relief_price = planner->goal == IMIG__RELIEVE ? IMIG__RELIEF_PRICE : 0,
        .seed = planner->opt.seed,
        .cancel = planner->opt.cancel,
    };
    imig__problem *problem = &planner->problem;
    imig__state *start = imig__planner_has_budget(planner) ? imig__state_copy(problem->state)
                                                           : NULL;
    imig__budget spent;

    imig__search(problem->space, problem->state, &options);
    spent = imig__planner_spent(planner, problem->state);
    /* Part of what only many moves together bring is worth less than moves that are good alone. */
    if (!imig__planner_can_pay(planner, &spent)) {
        imig__state_free(problem->state);
        problem->state = g_steal_pointer(&start);
        options.descends_only = TRUE;
        imig__search(problem->space, problem->state, &options);
    }
    imig__state_free(start);
    imig__planner_keep_budget(planner);
}

/* May a VM not be where it is: by its list, by a rule, or apart from its unit? */
static gboolean
is_misplaced(const imig__planner *planner, const imig__state *state, uint32_t vm)
{
    const imig__space *space = planner->problem.space;

    return state->host[imig__space_unit_first(space, vm)] != state->host[vm]
           || imig__space_misplaced(space, state, vm);
}

gboolean
imig__planner_is_demanded(const imig__planner *planner)
{
    const imig__state *before = planner->before;
    const imig__space *space = planner->problem.space;
    const imig__load *load = planner->problem.load;

    for (uint32_t h = 0; h < load->hosts; h++)
        if (imig__space_excess(space, before, h) > 0
            || (planner->empties[h] && before->sums[h].count > 0)
            || (planner->goal == IMIG__RELIEVE && planner->sheds[h]))
            return TRUE;
    for (uint32_t v = 0; v < load->vms; v++)
        if (is_misplaced(planner, before, v))
            return TRUE;
    return FALSE;
}

/*
 * Measured again, a cluster in its best placement looks improvable: the search finds what the
 * errors pretend.  With price p(u) per core and a standard error s of a host's demand that is about
 * p'(u) s^2 / 2 a host, and as much again because the placement was found on other errors.
 */
static double
worth_of_errors(const imig__planner *planner)
{
    const imig__state *before = planner->before;
    const imig__load *load = planner->problem.load;
    double *variance = g_new0(double, load->hosts), worth = 0;

    for (uint32_t v = 0; v < load->vms; v++) {
        double error = isnan(load->noise[v]) ? NOISE_ASSUMED * load->cpu[v]
                                             : load->noise[v];

        variance[load->home[v]] += error * error;
    }
    for (uint32_t h = 0; h < load->hosts; h++)
        worth += imig__queue_curvature(load, h, before->sums[h].cpu / load->cores[h])
                 * variance[h];
    g_free(variance);
    return worth;
}

/* What the placement saves, as one view of the cluster sees it. */
static double
saved_as_seen(const imig__planner *planner, const imig__load *load)
{
    const uint32_t *host = planner->problem.state->host;
    imig__state *state = imig__state_new(load);
    double saved = imig__state_loss(state);

    for (uint32_t v = 0; v < load->vms; v++)
        imig__state_move(state, v, host[v]);
    saved -= imig__state_loss(state);
    imig__state_free(state);
    return saved;
}

/* Its migrations paid for, in every view: a class that came out otherwise must not make the
   difference. */
static double
worth_of_plan(const imig__planner *planner)
{
    const imig__state *state = planner->problem.state;
    double saved = imig__state_loss(planner->before) - imig__state_loss(state), paid = 0;

    for (int i = 0; i < IMIG__DOUBTS; i++)
        if (planner->problem.doubt[i])
            saved = MIN(saved, saved_as_seen(planner, planner->problem.doubt[i]));
    for (uint32_t v = 0; v < state->load->vms; v++)
        paid += state->host[v] != planner->home[v] ? planner->move_loss[v] : 0;
    return saved - paid;
}

gboolean
imig__planner_is_worthwhile(const imig__planner *planner)
{
    const imig__schedule *schedule = &planner->schedule;
    imig__state *state = imig__state_copy(planner->before);
    double worth = imig__state_loss(state);

    for (size_t i = 0; i < schedule->step_count; i++) {
        const imig__scheduled *step = &schedule->steps[i];

        imig__state_move(state, step->vm, step->to);
        worth -= imig__planner_move_loss(planner, step->vm, &step->cost);
    }
    worth -= imig__state_loss(state);
    imig__state_free(state);
    return worth >= 0 || planner->aim || imig__planner_is_demanded(planner);
}

/* Loss, migrations, and what the goal and the limits ask for: what a search makes small. */
static double
value_of(const imig__planner *planner)
{
    const imig__problem *problem = &planner->problem;
    const imig__state *state = problem->state;
    double value = imig__state_loss(state);

    for (uint32_t v = 0; v < state->load->vms; v++) {
        value += state->host[v] != planner->home[v] ? planner->move_loss[v] : 0;
        if (planner->empties[state->host[v]] || is_misplaced(planner, state, v))
            value += VIOLATION;
    }
    for (uint32_t h = 0; h < state->load->hosts; h++) {
        double over = state->sums[h].cpu
                      - imig__space_threshold(problem->space, h) * state->load->cores[h];

        if (imig__space_excess(problem->space, state, h) > 0)
            value += VIOLATION;
        if (planner->goal == IMIG__RELIEVE && over > 0)
            value += IMIG__RELIEF_PRICE * over;
    }
    return value;
}

/* Who is where, and who would go if it were paid for. */
struct placement {
    uint32_t *host;
    uint8_t *unpaid;
    double value;
};

static struct placement
keep_placement(const imig__planner *planner)
{
    uint32_t vms = planner->problem.load->vms;

    return (struct placement) {
        g_memdup2(planner->problem.state->host, vms * sizeof(uint32_t)),
        g_memdup2(planner->unpaid, vms), value_of(planner),
    };
}

static void
drop_placement(struct placement *placement)
{
    g_free(placement->host);
    g_free(placement->unpaid);
}

/* What the planner has, where that is better. */
static gboolean
keep_better(const imig__planner *planner, struct placement *best)
{
    if (!(value_of(planner) < best->value))
        return FALSE;
    drop_placement(best);
    *best = keep_placement(planner);
    return TRUE;
}

/* Makes the planner have it again; it is used up. */
static void
restore_placement(imig__planner *planner, struct placement *placement)
{
    uint32_t vms = planner->problem.load->vms;

    imig__planner_reset(planner);
    for (uint32_t v = 0; v < vms; v++)
        imig__state_move(planner->problem.state, v, placement->host[v]);
    if (vms > 0)
        memcpy(planner->unpaid, placement->unpaid, vms);
    drop_placement(placement);
}

static void
place_by_rule(imig__planner *planner, uint32_t policy)
{
    imig__planner_reset(planner);
    planner->policy = policy;
    imig__planner_place_by_rule(planner);
    planner->policy = IMIG__POLICY_INFORMED;
}

/*
 * Where a rule of thumb begins better than the search ended, the search goes on from there.  It may
 * give up what the rule gained; then the rule has the last word.
 */
static void
search_from_rules(imig__planner *planner, double noise_ratio)
{
    const imig__load *load = planner->problem.load;
    struct placement best;

    if ((double) load->vms * load->hosts > RULES_EFFORT)
        return;
    best = keep_placement(planner);
    for (uint32_t p = IMIG__POLICY_INFORMED + 1; imig_plan_policy_name(p); p++) {
        place_by_rule(planner, p);
        if (!keep_better(planner, &best))
            continue;
        search(planner, noise_ratio, 0, 0);
        keep_better(planner, &best);
    }
    restore_placement(planner, &best);
}

/* Could the rules of thumb do anything, and is it soon known what? */
static gboolean
rules_apply(const imig__planner *planner)
{
    const imig__state *before = planner->before;
    double asked = 0;

    for (uint32_t h = 0; h < before->load->hosts; h++)
        asked += planner->sheds[h] ? before->sums[h].count : 0;
    return asked > 0 && asked * before->load->hosts <= RULES_EFFORT;
}

/*
 * What is left of all that was found once errors of measurement are allowed for; but all of it
 * where even a rule of thumb gains more than errors pretend: most of the loss is load that no host
 * can take then, and its share says nothing about what could be gained.
 */
static void
doubt_errors(imig__planner *planner, double noise_ratio)
{
    double ratio = noise_ratio + sqrt(2 * log(MAX(planner->problem.load->vms, 1)));
    struct placement all = keep_placement(planner), sure;
    double errors = 2 * noise_ratio * worth_of_errors(planner);
    gboolean beaten = FALSE;

    imig__planner_reset(planner);
    search(planner, ratio, NOISE_ASSUMED, NOISE_SHARE);
    sure = keep_placement(planner);
    for (uint32_t p = IMIG__POLICY_INFORMED + 1;
         rules_apply(planner) && !beaten && imig_plan_policy_name(p); p++) {
        place_by_rule(planner, p);
        beaten = value_of(planner) + errors < sure.value;
    }
    if (beaten && all.value < sure.value) {
        restore_placement(planner, &all);
        drop_placement(&sure);
    } else {
        restore_placement(planner, &sure);
        drop_placement(&all);
    }
}

/* The share of the budget that moving a VM takes. */
static double
share_of_budget(const imig__planner *planner, uint32_t vm)
{
    const imig_plan_options *opt = &planner->opt;
    double share = opt->max_moves == UINT32_MAX ? 0 : 1.0 / MAX(opt->max_moves, 1);

    return isnan(opt->max_bytes)
               ? share
               : MAX(share, planner->problem.load->brings[vm].memory / MAX(opt->max_bytes, 1));
}

/*
 * Where the budget cuts a plan down, it gets a price (a Lagrange multiplier): the search then finds
 * what is worth it together, chains and exchanges too.  At the loss itself nothing is but repairs.
 */
static void
search_at_prices(imig__planner *planner, double noise_ratio)
{
    const imig__load *load = planner->problem.load;
    double *price = planner->move_price, *dear = g_new(double, load->vms + 1);
    double each = imig__state_loss(planner->before);
    struct placement best;
    uint8_t *unpaid;

    if ((double) load->vms * load->hosts > RULES_EFFORT || !memchr(planner->unpaid, 1, load->vms)) {
        g_free(dear);
        return;
    }
    best = keep_placement(planner);
    unpaid = g_memdup2(planner->unpaid, load->vms);
    for (int i = 0; i < PRICES; i++, each /= 2) {
        for (uint32_t v = 0; v < load->vms; v++)
            dear[v] = price[v] + each * share_of_budget(planner, v);
        imig__planner_reset(planner);
        planner->move_price = dear;
        search(planner, noise_ratio, 0, 0);
        planner->move_price = price;
        keep_better(planner, &best);
    }
    restore_placement(planner, &best);
    for (uint32_t v = 0; v < load->vms; v++)
        planner->unpaid[v] |= unpaid[v] && planner->problem.state->host[v] == planner->home[v];
    g_free(unpaid);
    g_free(dear);
}

/*
 * Where the cluster as a whole gains no more than its errors could pretend, with a share of the
 * loss for what the curvature does not see, only moves that stand out by themselves are left: each
 * against its own error, as one of as many candidates as there are VMs (the largest of n normal
 * errors is about sqrt(2 ln n) of them).
 */
void
imig__planner_place_informed(imig__planner *planner)
{
    double ratio = planner->opt.noise_ratio;

    search(planner, ratio, 0, 0);
    search_from_rules(planner, ratio);
    search_at_prices(planner, ratio);
    if (ratio > 0 && !imig__planner_is_demanded(planner)
        && worth_of_plan(planner)
               < ratio * (worth_of_errors(planner)
                          + NOISE_SHARE * imig__state_loss(planner->before)))
        doubt_errors(planner, ratio);
}
