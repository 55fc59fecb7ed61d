/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/search-run-priv.h"

#include "model/cluster-priv.h"

#include <math.h>

enum {
    SWAP_PARTNERS = 4 /* hosts that one host tries to swap with in a round, on large clusters */
};

#define WINDOW IMIG__WINDOW

static int
compare_price(const void *a, const void *b, void *data)
{
    const imig__search_run *run = data;
    const double *price = run->scratch;
    const uint32_t *pool = run->space->cluster->host_pool;
    uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;

    if (pool[x] != pool[y])
        return pool[x] < pool[y] ? -1 : 1;
    if (price[x] != price[y])
        return price[x] < price[y] ? -1 : 1;
    return (x > y) - (x < y);
}

/* Largest demand first. */
static int
compare_cpu(const void *a, const void *b, void *data)
{
    const imig__load *load = data;
    uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;
    double cx = load->brings[x].cpu, cy = load->brings[y].cpu;

    if (cx != cy)
        return cx > cy ? -1 : 1;
    return (x > y) - (x < y);
}

/* By what one more core of demand would cost. */
void
imig__run_sort_hosts(imig__search_run *run)
{
    double *price = run->scratch;

    for (uint32_t h = 0; h < run->load->hosts; h++) {
        run->reserve[h] = h;
        price[h] = imig__run_price(run, h) + 1e-6 * run->state->sums[h].cpu / run->load->cores[h];
    }
    g_qsort_with_data(run->reserve, (gint) run->load->hosts, sizeof *run->reserve, compare_price,
                      run);
}

/* Those that take VMs; they are replaced as they warm up. */
void
imig__run_fill_window(imig__search_run *run)
{
    for (uint32_t p = 0; p < run->space->cluster->pool_count; p++) {
        uint32_t *window = run->window + run->pool_begin[p], size = 0, next = run->pool_begin[p];

        for (; next < run->pool_begin[p + 1] && size < WINDOW; next++)
            if (run->space->accepts[run->reserve[next]])
                window[size++] = run->reserve[next];
        run->window_size[p] = size;
        run->reserve_next[p] = next;
    }
}

uint32_t
imig__run_window(const imig__search_run *run, uint32_t host, const uint32_t **window)
{
    uint32_t pool = run->space->cluster->host_pool[host];

    *window = run->window + run->pool_begin[pool];
    return run->window_size[pool];
}

/* A host of the window that is no longer among the coldest: the next one takes its place. */
static void
refresh_window(imig__search_run *run, uint32_t host)
{
    uint32_t pool = run->space->cluster->host_pool[host], end = run->pool_begin[pool + 1];
    uint32_t *window = run->window + run->pool_begin[pool], *next = &run->reserve_next[pool];

    while (*next < end && !run->space->accepts[run->reserve[*next]])
        ++*next;
    if (*next >= end || imig__run_price(run, host) <= imig__run_price(run, run->reserve[*next]))
        return;
    for (uint32_t i = 0; i < run->window_size[pool]; i++)
        if (window[i] == host) {
            window[i] = run->reserve[(*next)++];
            return;
        }
}

gboolean
imig__run_may_move(const imig__search_run *run, uint32_t vm)
{
    const imig__search_options *o = run->options;

    return !run->fixed[vm] && (!o->sheds || o->sheds[run->load->home[vm]]);
}

struct best {
    double delta;
    uint32_t vm, host;
};

static void
try_move(imig__search_run *run, uint32_t vm, uint32_t host, struct best *best)
{
    double delta;

    if (!imig__space_unit_fits(run->space, run->state, vm, host))
        return;
    delta = imig__run_unit_delta(run, vm, host);
    if (delta < best->delta - run->worth)
        *best = (struct best) { delta, vm, host };
}

/* What a VM could gain at the most wherever it went, but for the price of the new host. */
static double
potential(const imig__search_run *run, uint32_t vm)
{
    const imig__load *load = run->load;
    uint32_t from = run->state->host[vm];
    double gain = imig__state_leave(run->state, vm), flows = 0;

    for (uint32_t i = load->flow_begin[vm]; i < load->flow_begin[vm + 1]; i++)
        flows += load->flow_price[i];
    if (from == load->home[vm])
        gain -= run->price[vm];
    else
        gain += run->price[vm];
    return gain + flows;
}

static void
try_destinations(imig__search_run *run, uint32_t vm, struct best *best)
{
    const imig_vm_info *info = &run->space->cluster->vms[vm];
    const imig__load *load = run->load;
    const uint32_t *window, size = imig__run_window(run, load->home[vm], &window);

    if (info->host_count > 0 && info->host_count <= WINDOW) {
        for (uint32_t i = 0; i < info->host_count; i++)
            try_move(run, vm, info->hosts[i], best);
        return;
    }
    for (uint32_t i = 0; i < size; i++)
        try_move(run, vm, window[i], best);
    if (load->hosts > size)
        try_move(run, vm, load->home[vm], best);
    for (uint32_t i = load->flow_begin[vm]; i < load->flow_begin[vm + 1]; i++)
        try_move(run, vm, run->state->host[load->flow_peer[i]], best);
}

static void
make_move(imig__search_run *run, const struct best *best)
{
    imig__run_unit_move(run, best->vm, best->host);
    refresh_window(run, best->host);
}

/* Could this VM, which stands for its unit, gain more than `least` anywhere? */
static gboolean
is_worth_a_look(const imig__search_run *run, uint32_t vm, uint32_t host, double least)
{
    const imig__space *space = run->space;
    const imig__search_options *o = run->options;

    if (!imig__run_may_move(run, vm)
        || (!imig__space_unit_alone(space, vm)
            && space->unit_vm[space->unit_begin[space->unit[vm]]] != vm))
        return FALSE;
    return space->tied[vm] & ~IMIG__TIED_FLOWS || o->relief_price > 0
           || (o->empties && o->empties[host])
           || imig__space_excess(space, run->state, host) > 0
           || potential(run, vm) > least + run->worth;
}

/* Moves VMs away from a host, best first, until none gains anything. */
static double
relieve_host_best(imig__search_run *run, uint32_t host)
{
    double gained = 0;

    while (!imig_cancel_level(run->options->cancel)) {
        struct best best = { 0, IMIG_NO_INDEX, IMIG_NO_HOST };

        for (uint32_t v = run->first[host]; v != IMIG_NO_INDEX; v = run->next[v])
            if (is_worth_a_look(run, v, host, -best.delta))
                try_destinations(run, v, &best);
        if (best.vm == IMIG_NO_INDEX)
            break;
        make_move(run, &best);
        gained -= best.delta;
    }
    return gained;
}

/* The same on large clusters: every VM goes at once to the best place for it. */
static double
relieve_host_fast(imig__search_run *run, uint32_t host)
{
    uint32_t n = 0, *list = run->list + run->load->vms;
    double gained = 0;

    for (uint32_t v = run->first[host]; v != IMIG_NO_INDEX; v = run->next[v])
        list[n++] = v;
    g_qsort_with_data(list, (gint) n, sizeof *list, compare_cpu, (gpointer) run->load);
    for (uint32_t i = 0; i < n && !imig_cancel_level(run->options->cancel); i++) {
        struct best best = { 0, IMIG_NO_INDEX, IMIG_NO_HOST };

        if (run->state->host[list[i]] != host || !is_worth_a_look(run, list[i], host, 0))
            continue;
        try_destinations(run, list[i], &best);
        if (best.vm == IMIG_NO_INDEX)
            continue;
        make_move(run, &best);
        gained -= best.delta;
    }
    return gained;
}

double
imig__run_relieve_hosts(imig__search_run *run)
{
    double gained = 0;

    imig__run_sort_hosts(run);
    imig__run_fill_window(run);
    /* Hottest first; the window uses the same order up from the other end. */
    for (uint32_t i = run->load->hosts; i-- > 0;)
        if (run->active[run->reserve[i]])
            gained += run->load->hosts > WINDOW ? relieve_host_fast(run, run->reserve[i])
                                                : relieve_host_best(run, run->reserve[i]);
    return gained;
}

/* Two hosts between which VMs may be exchanged. */
struct pair {
    uint32_t a, b;
    double price;     /* of a core on a, less that on b */
    double curvature; /* of both prices together */
};

/*
 * Could exchanging v and w gain anything?  A price falls as load is moved; half of what it falls by
 * at first is allowed for, since it falls less and less.
 */
static gboolean
could_gain(const imig__search_run *run, const struct pair *pair, uint32_t v, uint32_t w,
           double other)
{
    double moved = run->load->brings[v].cpu - run->load->brings[w].cpu;

    return moved * pair->price - pair->curvature * moved * moved / 4 + other > run->worth;
}

/* VMs with flows or rules depend on each other: they are left to single moves. */
static gboolean
swappable(const imig__search_run *run, uint32_t v)
{
    return !(run->space->tied[v] & ~IMIG__TIED_HOSTS) && imig__run_may_move(run, v);
}

static struct pair
pair_of(const imig__search_run *run, uint32_t a, uint32_t b)
{
    const imig__load *load = run->load;
    double ua = run->state->sums[a].cpu / load->cores[a];
    double ub = run->state->sums[b].cpu / load->cores[b];

    return (struct pair) {
        a, b, imig__run_price(run, a) - imig__run_price(run, b),
        imig__queue_curvature(load, a, ua) + imig__queue_curvature(load, b, ub),
    };
}

/* The best exchange between two hosts, if any gains; returns the gain. */
static double
swap_hosts(imig__search_run *run, uint32_t a, uint32_t b)
{
    const imig__space *space = run->space;
    const struct pair pair = pair_of(run, a, b);
    double best_delta = -run->worth, *here = run->scratch;
    double *there = here + run->load->vms, *other = there + run->load->vms;
    uint32_t best_v = IMIG_NO_INDEX, best_w = IMIG_NO_INDEX, n = 0;

    for (uint32_t w = run->first[b]; w != IMIG_NO_INDEX; w = run->next[w]) {
        if (!swappable(run, w))
            continue;
        run->list[n] = w;
        here[n] = imig__state_cross(run->state, w, b);
        there[n] = imig__state_cross(run->state, w, a);
        other[n] = imig__state_other_gain(run->state, w, here[n]);
        n++;
    }
    for (uint32_t v = run->first[a]; n > 0 && v != IMIG_NO_INDEX; v = run->next[v]) {
        double v_here, v_there, v_other;

        if (!swappable(run, v))
            continue;
        v_here = imig__state_cross(run->state, v, a);
        v_there = imig__state_cross(run->state, v, b);
        v_other = imig__state_other_gain(run->state, v, v_here);
        for (uint32_t i = 0; i < n; i++) {
            uint32_t w = run->list[i];
            double delta;

            if (!run->weighted && !could_gain(run, &pair, v, w, v_other + other[i]))
                continue;
            if (!imig__space_fits(space, run->state, v, b, w)
                || !imig__space_fits(space, run->state, w, a, v))
                continue;
            delta = imig__state_swap_delta(run->state, v, w, v_here, v_there, here[i], there[i])
                    + imig__run_price_delta(run, v, a, b) + imig__run_price_delta(run, w, b, a);
            if (delta < best_delta) {
                best_delta = delta;
                best_v = v;
                best_w = w;
            }
        }
    }
    if (best_v == IMIG_NO_INDEX)
        return 0;
    imig__run_move(run, best_v, b);
    imig__run_move(run, best_w, a);
    return -best_delta;
}

/*
 * Pairs the hottest hosts of a pool with the coldest, a little shifted in each round, and every
 * pair where it is small.
 */
static double
swap_in_pool(imig__search_run *run, const uint32_t *order, uint32_t hosts, uint32_t round)
{
    gboolean all = hosts <= WINDOW / 2;
    uint32_t partners = all ? hosts : SWAP_PARTNERS;
    double gained = 0;

    for (uint32_t i = hosts; i-- > hosts / 2 && !imig_cancel_level(run->options->cancel);)
        for (uint32_t k = 0; k < partners; k++) {
            uint32_t mirror = hosts - 1 - i;
            uint32_t j = all ? k : (mirror + k * (1 + round * hosts / 40)) % hosts;

            if (i == j || (all && j > i) || (!run->active[order[i]] && !run->active[order[j]]))
                continue;
            for (int again = 0; again < 8; again++) {
                double g = swap_hosts(run, order[i], order[j]);

                gained += g;
                if (g <= 0)
                    break;
            }
        }
    return gained;
}

double
imig__run_swap_round(imig__search_run *run, uint32_t round)
{
    const uint32_t *begin = run->pool_begin;
    double gained = 0;

    imig__run_sort_hosts(run);
    for (uint32_t p = 0; p < run->space->cluster->pool_count; p++)
        gained += swap_in_pool(run, run->reserve + begin[p], begin[p + 1] - begin[p], round);
    return gained;
}
