/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/search-run-priv.h"

#include "cost/bound-priv.h"
#include "model/cluster-priv.h"
#include "policy/random-priv.h"

#include <math.h>
#include <string.h>

enum {
    ROUNDS = 12,         /* passes over all hosts at most; it ends when one brings nothing */
    KICKS = 400,         /* disturbances at most, on small clusters, */
    PATIENCE = 200,      /* of which so many in a row may bring nothing, */
    KICK_LEAST = 2, KICK_MOST = 7, /* and each of which moves so many VMs */
    KICK_EFFORT = 100000 /* VMs x destinations in all disturbances together */
};

/*
 * On a large cluster, a round that gains no more than this share of all before it is the last;
 * where not all VMs are plain, more rounds are needed to get as far.
 */
#define ENOUGH_PLAIN 2e-3
#define ENOUGH 5e-4

double
imig__search_error(const imig__space *space, const imig__state *state, uint32_t vm, uint32_t from,
                   uint32_t to, double noise_assumed)
{
    const imig__load *load = space->load;
    double n = load->brings[vm].cpu, error = load->noise[vm], variance = 0, price[2];
    const uint32_t ends[] = { from, to };

    if (isnan(error))
        error = noise_assumed * n;
    if (n <= 0 || error <= 0)
        return 0;
    /* The neighbours were measured as badly as the VM itself: the same relative error. */
    for (int e = 0; e < 2; e++) {
        const imig__sums *sums = &state->sums[ends[e]];
        double u = sums->cpu / load->cores[ends[e]], relative = error / n, part;

        part = n * imig__queue_curvature(load, ends[e], u) * relative * sums->cpu
               / sqrt(MAX(sums->count, 1));
        variance += part * part;
        part = M_SQRT2 * relative * imig__state_cross(state, vm, ends[e]) / load->cores[ends[e]];
        variance += part * part;
        price[e] = imig__queue_price(load, ends[e], u);
    }
    return hypot((price[0] - price[1]) * error, sqrt(variance));
}

static void
prefetch_mover(const imig__search_run *run, uint32_t vm)
{
    const imig__sums *sums = run->state->sums;

    imig__prefetch(imig__card_of(run, vm), sizeof *run->cards);
    imig__prefetch(&run->load->brings[vm], sizeof *run->load->brings);
    imig__prefetch(&sums[run->load->home[vm]], sizeof *sums);
    imig__prefetch(&sums[run->state->host[vm]], sizeof *sums);
}

/* Sends home VMs whose move does not gain what it must, of all hosts or those that were touched. */
static double
prune(imig__search_run *run, gboolean everywhere)
{
    const imig__load *load = run->load;
    uint32_t *moved = run->list, n = 0;
    double gained = 0;

    for (uint32_t v = 0; v < load->vms; v++)
        if (run->state->host[v] != load->home[v])
            moved[n++] = v;
    for (int pass = 0; pass < 3; pass++) {
        uint32_t sent = 0;

        for (uint32_t i = 0; i < n; i++) {
            uint32_t v = moved[i], home = load->home[v], host = run->state->host[v];
            double loss, error;

            if (i + IMIG__AHEAD < n)
                prefetch_mover(run, moved[i + IMIG__AHEAD]);
            if (host == home || !(everywhere || run->touched[home] || run->touched[host])
                || !imig__space_unit_alone(run->space, v)
                || !imig__space_fits(run->space, run->state, v, home, IMIG_NO_INDEX))
                continue;
            loss = imig__run_delta(run, v, home);
            error = imig__search_error(run->space, run->state, v, home, host,
                                       run->options->noise_assumed)
                    + run->options->noise_share
                          * (run->state->value[home] + run->state->value[host]);
            if (loss + imig__card_of(run, v)->price
                >= MAX(imig__card_of(run, v)->price, run->options->noise_ratio * error))
                continue;
            imig__run_move(run, v, home);
            gained -= loss;
            sent++;
        }
        if (!sent)
            break;
    }
    return gained;
}

static uint32_t
find(uint32_t *parent, uint32_t i)
{
    while (parent[i] != i)
        i = parent[i] = parent[parent[i]];
    return i;
}

static int
compare_group(const void *a, const void *b, void *data)
{
    const uint32_t *group = data, x = *(const uint32_t *) a, y = *(const uint32_t *) b;

    if (group[x] != group[y])
        return group[x] < group[y] ? -1 : 1;
    return (x > y) - (x < y);
}

/* What n VMs gain by being where they are, together. */
static double
group_gain(imig__state *state, const uint32_t *vm, size_t n, const uint32_t *was)
{
    double gain = 0;

    for (size_t i = 0; i < n; i++) {
        gain += imig__state_delta(state, vm[i], state->load->home[vm[i]]);
        imig__state_move(state, vm[i], state->load->home[vm[i]]);
    }
    for (size_t i = 0; i < n; i++)
        imig__state_move(state, vm[i], was[i]);
    return gain;
}

/* Sends n VMs home if all of them together do not gain what their errors ask for. */
static void
judge_group(imig__search_run *run, const uint32_t *vm, size_t n, uint32_t *was,
            imig__state *const *doubt)
{
    const imig__search_options *o = run->options;
    double gain = 0, price = 0, variance = 0, values = 0, needed;

    for (size_t i = 0; i < n; i++) {
        uint32_t v = vm[i], home = run->load->home[v];
        double error = imig__search_error(run->space, run->state, v, home, run->state->host[v],
                                          o->noise_assumed);

        variance += error * error;
        price += imig__card_of(run, v)->price;
        values += run->state->value[home] + run->state->value[run->state->host[v]];
    }
    for (size_t i = 0; i < n; i++) {
        was[i] = run->state->host[vm[i]];
        gain += imig__run_delta(run, vm[i], run->load->home[vm[i]]);
        imig__run_move(run, vm[i], run->load->home[vm[i]]);
    }
    gain += price;
    for (int d = 0; d < o->doubts; d++)
        gain = MIN(gain, group_gain(doubt[d], vm, n, was));
    needed = MAX(price, o->noise_ratio * (sqrt(variance) + o->noise_share * values));
    if (gain >= needed)
        for (size_t i = n; i-- > 0;)
            imig__run_move(run, vm[i], was[i]);
}

/*
 * Two moves may each look right given the other, and be worth nothing together: an exchange of two
 * VMs that are alike.  So moves that share hosts must stand out as a group.
 */
static void
judge_groups(imig__search_run *run)
{
    const imig__load *load = run->load;
    uint32_t *parent = g_new(uint32_t, load->hosts), *moved = g_new(uint32_t, load->vms);
    uint32_t *group = g_new(uint32_t, load->vms), *was = g_new(uint32_t, load->vms), n = 0;
    imig__state **doubt = g_new0(imig__state *, (size_t) run->options->doubts + 1);

    for (uint32_t h = 0; h < load->hosts; h++)
        parent[h] = h;
    for (uint32_t v = 0; v < load->vms; v++)
        if (run->state->host[v] != load->home[v]) {
            parent[find(parent, load->home[v])] = find(parent, run->state->host[v]);
            moved[n++] = v;
        }
    for (int d = 0; d < run->options->doubts; d++) {
        doubt[d] = imig__state_new(run->options->doubt[d]);
        for (uint32_t i = 0; i < n; i++)
            imig__state_move(doubt[d], moved[i], run->state->host[moved[i]]);
    }
    for (uint32_t i = 0; i < n; i++)
        group[moved[i]] = find(parent, load->home[moved[i]]);
    g_qsort_with_data(moved, (gint) n, sizeof *moved, compare_group, group);
    for (uint32_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && group[moved[end]] == group[moved[i]]; end++)
            continue;
        judge_group(run, moved + i, end - i, was, doubt);
    }
    for (int d = 0; d < run->options->doubts; d++)
        imig__state_free(doubt[d]);
    g_free(doubt);
    g_free(parent);
    g_free(moved);
    g_free(group);
    g_free(was);
}

/* Numbers the VMs in the order of their hosts. */
static void
order_cards(imig__search_run *run)
{
    uint32_t hosts = run->load->hosts, vms = run->load->vms;
    uint32_t *next = g_new0(uint32_t, hosts + 1);

    run->card = g_new(uint32_t, vms);
    for (uint32_t v = 0; v < vms; v++)
        next[run->state->host[v] + 1]++;
    for (uint32_t h = 0; h < hosts; h++)
        next[h + 1] += next[h];
    for (uint32_t v = 0; v < vms; v++)
        run->card[v] = next[run->state->host[v]]++;
    /* Those of a host are a list, in the order of their numbers. */
    for (uint32_t h = 0, c = 0; h < hosts; h++) {
        run->first[h] = c < next[h] ? c : IMIG_NO_INDEX;
        for (uint32_t first = c; c < next[h]; c++) {
            run->cards[c].prev = c > first ? c - 1 : IMIG_NO_INDEX;
            run->cards[c].next = c + 1 < next[h] ? c + 1 : IMIG_NO_INDEX;
        }
    }
    g_free(next);
}

static void
fill_cards(imig__search_run *run)
{
    const imig__load *load = run->load;
    const imig__space *space = run->space;
    const uint8_t *sheds = run->options->sheds;

    run->plain = TRUE;
    for (uint32_t v = 0; v < load->vms; v++) {
        imig__card *card = &run->cards[run->card[v]];
        const imig__sums *b = &load->brings[v];

        if (v + 2 * IMIG__AHEAD < load->vms)
            imig__prefetch(&run->cards[run->card[v + 2 * IMIG__AHEAD]], sizeof *card);
        card->vm = v;
        card->cpu = b->cpu;
        card->memory = b->memory;
        card->price = run->options->price[v];
        card->home = load->home[v];
        card->label = load->label[v];
        card->kind = run->where.kind[v];
        card->fixed = imig__space_unit_fixed(space, v) != NULL;
        card->may_move = !card->fixed && (!sheds || sheds[card->home]);
        card->leads = imig__space_unit_first(space, v) == v;
        card->tied = space->tied[v];
        card->plain = load->silent[card->label] && b->disk <= 0 && b->disk_use <= 0 && b->rx <= 0
                      && b->tx <= 0 && !(card->tied & IMIG__TIED_FLOWS);
        run->weighted |= load->weight[v] != 1;
        run->plain &= card->plain;
    }
}

static void
run_init(imig__search_run *run)
{
    const imig__load *load = run->load;
    size_t vms = load->vms, hosts = load->hosts, labels = load->labels;

    run->first = g_new(uint32_t, hosts);
    run->by_price = g_new(uint32_t, hosts);
    run->scratch = g_new(double, MAX(16 * vms, hosts));
    run->active = g_new0(uint8_t, hosts);
    run->touched = g_new0(uint8_t, hosts);
    run->list = g_new(uint32_t, 4 * vms);
    run->left = g_new(double, hosts);
    run->most_other = g_new(double, hosts);
    run->pairs = g_new(double, labels * labels);
    run->worst_pair = g_new0(double, labels);
    for (size_t i = 0; i < labels * labels; i++) {
        run->pairs[i] = load->slowdown[i] + load->slows[i];
        run->worst_pair[i / labels] = MAX(run->worst_pair[i / labels], run->pairs[i]);
    }
    for (uint32_t h = 0; h < hosts; h++) {
        const imig__sums *sums = &run->state->sums[h];

        run->most_other[h] = NAN;
        run->left[h] = run->space->room[h] - sums->memory - sums->count * run->space->overhead[h];
        run->cluster_memory += run->space->room[h];
    }
    imig__where_init(&run->where, run->space);
    run->cards = g_new(imig__card, vms);
    order_cards(run);
    fill_cards(run);
}

/* Where there is much to do, nobody leaves for a host that is cheap only until others come. */
static void
find_prices(imig__search_run *run)
{
    const imig__load *load = run->load;
    uint8_t *movable = g_new(uint8_t, load->vms);

    for (uint32_t v = 0; v < load->vms; v++)
        movable[v] = imig__card_of(run, v)->may_move;
    if (load->hosts > IMIG__SMALL && !run->weighted)
        imig__bound_prices(load, run->options->price, movable, run->space->cluster->host_pool,
                           run->where.pools, run->space->accepts, run->where.price);
    g_free(movable);
}

static void
run_clear(imig__search_run *run)
{
    g_free(run->card);
    g_free(run->cards);
    g_free(run->first);
    imig__where_clear(&run->where);
    g_free(run->by_price);
    g_free(run->left);
    g_free(run->most_other);
    g_free(run->pairs);
    g_free(run->worst_pair);
    g_free(run->active);
    g_free(run->touched);
    g_free(run->scratch);
    g_free(run->list);
}

/*
 * Improves until a round brings next to nothing; returns what it gained.  The first round looks at
 * every host, or only at those that were touched; later ones at those that changed since, and on
 * small clusters at every host again.
 */
static double
descend(imig__search_run *run, uint32_t rounds, gboolean everywhere, double least)
{
    uint32_t hosts = run->load->hosts;
    double all = 0;

    for (uint32_t round = 0; round < rounds; round++) {
        double gained;

        if (everywhere && (round == 0 || hosts <= IMIG__SMALL))
            memset(run->active, 1, hosts);
        else
            memcpy(run->active, run->touched, hosts);
        memset(run->touched, 0, hosts);
        gained = imig__run_relieve_hosts(run);
        gained += imig__run_swap_round(run, round);
        if (everywhere)
            gained += prune(run, hosts <= IMIG__SMALL);
        all += gained;
        if (hosts > IMIG__SMALL)
            least = MAX(least, (run->plain ? ENOUGH_PLAIN : ENOUGH) * all);
        if (gained < least || imig_cancel_level(run->options->cancel))
            break;
    }
    return all;
}

/* A VM takes the place of one that goes the opposite way; returns what that gained. */
static double
kick_out(imig__search_run *run, uint32_t vm, uint32_t host, uint64_t seed)
{
    const imig__space *space = run->space;
    uint32_t from = run->state->host[vm], n = 0, *others = run->list, other;
    double gained;

    if (from == host || !imig__space_unit_alone(space, vm))
        return 0;
    for (uint32_t c = run->first[host]; c != IMIG_NO_INDEX; c = run->cards[c].next) {
        uint32_t w = run->cards[c].vm;

        if (run->cards[c].may_move && imig__space_unit_alone(space, w)
            && imig__space_fits(space, run->state, vm, host, w)
            && imig__space_fits(space, run->state, w, from, vm))
            others[n++] = w;
    }
    if (n == 0)
        return 0;
    other = others[imig__random(seed, vm) % n];
    gained = -imig__run_delta(run, vm, host);
    imig__run_move(run, vm, host);
    gained -= imig__run_delta(run, other, from);
    imig__run_move(run, other, from);
    return gained;
}

/*
 * Moves a few VMs anywhere, in exchange for another where they do not fit; returns what that
 * gained, usually less than nothing.
 */
static double
kick(imig__search_run *run, uint64_t seed)
{
    uint64_t moves = KICK_LEAST + seed % (KICK_MOST - KICK_LEAST + 1);
    double gained = 0;

    for (uint64_t i = 0; i < moves; i++) {
        uint32_t v = (uint32_t) (imig__random(seed, 2 * i) % run->load->vms);
        uint32_t h = (uint32_t) (imig__random(seed, 2 * i + 1) % run->load->hosts);

        v = imig__space_unit_first(run->space, v);
        if (!imig__card_of(run, v)->may_move)
            continue;
        if (!imig__space_unit_fits(run->space, run->state, v, h)) {
            gained += kick_out(run, v, h, seed);
            continue;
        }
        gained -= imig__run_unit_delta(run, v, h);
        imig__run_unit_move(run, v, h);
    }
    return gained;
}

/*
 * Iterated local search (Lourenço, Martin, Stützle 2003): where a cluster is small enough for
 * it, the best placement is disturbed and improved again, and the better one is kept.
 */
static void
escape(imig__search_run *run, double least)
{
    uint32_t vms = run->load->vms, hosts = run->load->hosts;
    double effort = (double) vms * MIN(hosts, IMIG__SMALL);
    uint64_t kicks = (uint64_t) MIN(KICK_EFFORT / effort, KICKS), misses = 0;
    uint32_t *best = g_memdup2(run->state->host, vms * sizeof *best);

    for (uint64_t i = 0; i < kicks && misses < PATIENCE; i++) {
        double gained;

        if (imig_cancel_level(run->options->cancel))
            break;
        memset(run->touched, 0, hosts);
        gained = kick(run, imig__random(run->options->seed, i));
        gained += descend(run, ROUNDS / 3, FALSE, least);
        if (gained > run->worth) {
            memcpy(best, run->state->host, vms * sizeof *best);
            misses = 0;
            continue;
        }
        misses++;
        for (uint32_t v = 0; v < vms; v++)
            if (run->state->host[v] != best[v])
                imig__run_move(run, v, best[v]);
    }
    g_free(best);
}

void
imig__search(const imig__space *space, imig__state *state, const imig__search_options *options)
{
    imig__search_run run = {
        .space = space, .load = space->load, .state = state, .options = options,
    };
    double total = MAX(imig__state_loss(state), 1e-3), least = 1e-5 * total;

    if (space->load->vms == 0 || space->load->hosts < 2)
        return;
    run.worth = 1e-7 * total;
    run_init(&run);
    find_prices(&run);
    imig__where_sort(&run.where, space, state);
    imig__run_repair(&run);
    descend(&run, ROUNDS, TRUE, least);
    if (imig__run_last_resort(&run))
        descend(&run, ROUNDS / 3, FALSE, least);
    if (!options->descends_only)
        escape(&run, least);
    prune(&run, TRUE);
    if (options->noise_share > 0)
        judge_groups(&run);
    run_clear(&run);
}
