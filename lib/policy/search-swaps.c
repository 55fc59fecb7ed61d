/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/search-run-priv.h"

#include "model/cluster-priv.h"

#include <math.h>

enum {
    PARTNERS = 4, /* hosts that one host tries to exchange with in a round, on large clusters */
    AGAIN = 8     /* exchanges between two hosts in a row */
};

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

void
imig__run_sort_hosts(imig__search_run *run)
{
    double *price = run->scratch;

    for (uint32_t h = 0; h < run->load->hosts; h++) {
        run->by_price[h] = h;
        price[h] = imig__run_price(run, h) + 1e-6 * run->state->sums[h].cpu / run->load->cores[h];
    }
    g_qsort_with_data(run->by_price, (gint) run->load->hosts, sizeof *run->by_price, compare_price,
                      run);
}

/* Two hosts between which VMs may be exchanged. */
struct pair {
    uint32_t a, b;
    double price;     /* of a core on a, less that on b */
    double curvature; /* of both prices together */
};

static struct pair
pair_of(const imig__search_run *run, uint32_t a, uint32_t b)
{
    const imig__load *load = run->load;
    double ua = run->state->sums[a].cpu / load->cores[a];
    double ub = run->state->sums[b].cpu / load->cores[b];
    struct pair pair = {
        a, b, imig__run_price(run, a) - imig__run_price(run, b),
        imig__queue_curvature(load, a, ua) + imig__queue_curvature(load, b, ub),
    };

    /* Relief ends at the threshold: it cannot be told how much is left of it half way. */
    if (run->options->relief_price > 0 && ua > run->space->threshold) {
        pair.price += run->options->relief_price;
        pair.curvature = 0;
    }
    return pair;
}

/*
 * No more than this does moving so much load gain.  A price falls as load is moved; half of what it
 * falls by at first is allowed for, since it falls less and less.
 */
static double
most_gain(const struct pair *pair, double moved)
{
    return moved * pair->price - pair->curvature * moved * moved / 4;
}

/* VMs with flows or rules depend on each other: they are left to single moves. */
static gboolean
swappable(const imig__search_run *run, uint32_t v)
{
    return !(run->card[v].tied & ~IMIG__TIED_HOSTS) && run->card[v].may_move;
}

/* What a VM gains at most beside CPU contention by leaving; what it pays or gets back for it. */
static double
other_gain(const imig__search_run *run, uint32_t vm, uint32_t from)
{
    const imig__card *card = &run->card[vm];
    double gain = from == card->home ? -card->price : card->price;

    if (card->plain)
        return gain;
    return gain + imig__state_other_gain(run->state, vm, imig__state_cross(run->state, vm, from));
}

/* The most of all VMs of a host; it is asked for again and again while nothing changes there. */
static double
most_other(imig__search_run *run, uint32_t host)
{
    double most = run->most_other[host];

    if (!isnan(most))
        return most;
    most = -INFINITY;
    for (uint32_t v = run->first[host]; v != IMIG_NO_INDEX; v = run->card[v].next)
        if (swappable(run, v))
            most = MAX(most, other_gain(run, v, host));
    return run->most_other[host] = most;
}

/* Where the two cannot gain whatever is exchanged, nobody need look at their VMs in pairs. */
static gboolean
is_hopeless(imig__search_run *run, const struct pair *pair)
{
    double most = most_other(run, pair->a) + most_other(run, pair->b);

    if (isinf(most))
        return TRUE;
    if (run->weighted || pair->curvature <= 0)
        return FALSE;
    return pair->price * pair->price / pair->curvature + most <= run->worth;
}

/* The VMs of a host that may be exchanged with another, and what that needs to know of each. */
struct side {
    uint32_t n, *vm;
    double *cpu;
    double *here, *there; /* what it and its neighbours lose on either host */
    double *other;        /* at most gained beside CPU contention, the price paid */
};

static void
look_at_side(const imig__search_run *run, struct side *side, uint32_t from, uint32_t to)
{
    const imig__load *load = run->load;

    side->n = 0;
    for (uint32_t v = run->first[from]; v != IMIG_NO_INDEX; v = run->card[v].next) {
        uint32_t i = side->n;

        if (!swappable(run, v))
            continue;
        side->vm[i] = v;
        side->cpu[i] = run->card[v].cpu;
        side->here[i] = side->there[i] = 0;
        side->other[i] = -imig__run_price_delta(run, v, from, to);
        side->n++;
        if (run->card[v].plain)
            continue;
        side->here[i] = imig__state_cross(run->state, v, from);
        side->there[i] = imig__state_cross(run->state, v, to);
        side->other[i] += imig__state_other_gain(run->state, v, side->here[i])
                          - side->there[i] / load->cores[to];
    }
}

struct exchange {
    double gain;
    uint32_t v, w;
};

/* The best partner of VM i of the first side among those of the second. */
static void
find_partner(imig__search_run *run, const struct pair *pair, const struct side *side, uint32_t i,
             struct exchange *best)
{
    const imig__load *load = run->load;
    const struct side *x = &side[0], *y = &side[1];
    uint32_t v = x->vm[i];
    const double *slows = run->pairs + (size_t) run->card[v].label * load->labels;
    double both = x->cpu[i] * (1 / load->cores[pair->a] + 1 / load->cores[pair->b]);

    for (uint32_t j = 0; j < y->n; j++) {
        uint32_t w = y->vm[j];
        double gain;

        /* What they would do to each other they do not, wherever they are. */
        if (!run->weighted
            && most_gain(pair, x->cpu[i] - y->cpu[j]) + x->other[i] + y->other[j]
                       + both * y->cpu[j] * slows[run->card[w].label] <= best->gain)
            continue;
        if (!imig__space_fits(run->space, run->state, v, pair->b, w)
            || !imig__space_fits(run->space, run->state, w, pair->a, v))
            continue;
        gain = -imig__run_swap_delta(run, v, w, (const double[]) {
            x->here[i], x->there[i], y->here[j], y->there[j],
        });
        if (gain > best->gain)
            *best = (struct exchange) { gain, v, w };
    }
}

/* The best exchange between two hosts, if any gains; returns the gain. */
static double
swap_hosts(imig__search_run *run, uint32_t a, uint32_t b)
{
    const struct pair pair = pair_of(run, a, b);
    size_t vms = run->load->vms;
    struct exchange best = { run->worth, IMIG_NO_INDEX, IMIG_NO_INDEX };
    struct side side[2];

    if (is_hopeless(run, &pair))
        return 0;
    for (size_t s = 0; s < 2; s++) {
        double *own = run->scratch + s * 4 * vms;

        side[s] = (struct side) {
            0, run->list + s * vms, own, own + vms, own + 2 * vms, own + 3 * vms,
        };
    }
    look_at_side(run, &side[0], a, b);
    look_at_side(run, &side[1], b, a);
    for (uint32_t i = 0; i < side[0].n; i++)
        find_partner(run, &pair, side, i, &best);
    if (best.v == IMIG_NO_INDEX)
        return 0;
    imig__run_move(run, best.v, b);
    imig__run_move(run, best.w, a);
    return best.gain;
}

/*
 * Pairs the hottest hosts of a pool with the coldest, a little shifted in each round, and every
 * pair where it is small.
 */
static double
swap_in_pool(imig__search_run *run, const uint32_t *order, uint32_t hosts, uint32_t round)
{
    gboolean all = hosts <= IMIG__SMALL / 2;
    uint32_t partners = all ? hosts : PARTNERS;
    double gained = 0;

    for (uint32_t i = hosts; i-- > hosts / 2 && !imig_cancel_level(run->options->cancel);)
        for (uint32_t k = 0; k < partners; k++) {
            uint32_t mirror = hosts - 1 - i;
            uint32_t j = all ? k : (mirror + k * (1 + round * hosts / 40)) % hosts;

            if (i == j || (all && j > i) || (!run->active[order[i]] && !run->active[order[j]]))
                continue;
            for (int again = 0; again < AGAIN; again++) {
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
    const uint32_t *begin = run->where.pool_begin;
    double gained = 0;

    imig__run_sort_hosts(run);
    for (uint32_t p = 0; p < run->where.pools; p++)
        gained += swap_in_pool(run, run->by_price + begin[p], begin[p + 1] - begin[p], round);
    return gained;
}
