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
    double left_a, left_b;     /* memory */
    double per_core, per_disk; /* what two VMs that cross share less, on either host together */
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
        run->left[a] + 1, run->left[b] + 1, 1 / load->cores[a] + 1 / load->cores[b],
        1 / load->disk[a] + 1 / load->disk[b],
    };

    /* Relief ends at the threshold: it cannot be told how much is left of it half way. */
    if (run->options->relief_price > 0 && ua > imig__space_threshold(run->space, a)) {
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
swappable(const imig__card *card)
{
    return !(card->tied & ~IMIG__TIED_HOSTS) && card->may_move;
}

/* What a VM gains at most beside CPU contention by leaving, less what it pays; that it may go home
   and get something back is left to single moves. */
static double
other_gain(const imig__search_run *run, const imig__card *card, uint32_t from)
{
    double gain = from == card->home ? -card->price : 0;

    if (card->plain)
        return gain;
    return gain + imig__state_other_gain(run->state, card->vm,
                                         imig__state_cross(run->state, card->vm, from));
}

/* The most of all VMs of a host; it is asked for again and again while nothing changes there. */
static double
most_other(imig__search_run *run, uint32_t host)
{
    double most = run->most_other[host];

    if (!isnan(most))
        return most;
    most = -INFINITY;
    for (uint32_t c = run->first[host]; c != IMIG_NO_INDEX; c = run->cards[c].next)
        if (swappable(&run->cards[c]))
            most = MAX(most, other_gain(run, &run->cards[c], host));
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
    uint32_t n, *vm, *label;
    double *cpu, *memory;
    double *here, *there; /* what it and its neighbours lose on either host */
    double *other;        /* at most gained beside CPU contention by going alone, the price paid */
    double *disk, *use;   /* of the disk, operations and lost cores; lost cores that depend on it */
    double *most;         /* gained with any partner */
    /* Over all of them, at the price of the pair. */
    double best, most_cpu, most_disk, most_use;
};

static void
look_at_side(const imig__search_run *run, struct side *side, uint32_t from, uint32_t to,
             double price)
{
    const imig__load *load = run->load;

    side->n = 0;
    side->best = -INFINITY;
    side->most_cpu = side->most_disk = side->most_use = 0;
    for (uint32_t c = run->first[from]; c != IMIG_NO_INDEX; c = run->cards[c].next) {
        const imig__card *card = &run->cards[c];
        uint32_t i = side->n, v = card->vm;

        if (!swappable(card))
            continue;
        side->vm[i] = v;
        side->label[i] = card->label;
        side->cpu[i] = card->cpu;
        side->memory[i] = card->memory;
        side->here[i] = side->there[i] = side->disk[i] = side->use[i] = 0;
        side->other[i] = (to == card->home ? card->price : 0)
                         - (from == card->home ? card->price : 0);
        side->n++;
        if (card->plain) {
            side->best = MAX(side->best, side->other[i] + side->cpu[i] * price);
            continue;
        }
        side->here[i] = imig__state_cross(run->state, v, from);
        side->there[i] = imig__state_cross(run->state, v, to);
        side->disk[i] = load->brings[v].disk;
        side->use[i] = load->brings[v].disk_use;
        side->other[i] += side->here[i] / load->cores[from] - side->there[i] / load->cores[to]
                          + imig__state_disk(run->state, v, from)
                          - imig__state_disk(run->state, v, to)
                          + imig__state_link_gain(run->state, v);
        side->best = MAX(side->best, side->other[i] + side->cpu[i] * price);
        side->most_cpu = MAX(side->most_cpu, side->cpu[i]);
        side->most_disk = MAX(side->most_disk, side->disk[i]);
        side->most_use = MAX(side->most_use, side->use[i]);
    }
}

/* With the best partner that there could be. */
static double
most_with_anyone(const imig__search_run *run, const struct pair *pair, const struct side *side,
                 uint32_t i)
{
    const struct side *x = &side[0], *y = &side[1];

    return x->cpu[i] * pair->price + x->other[i] + y->best
           + x->cpu[i] * y->most_cpu * run->worst_pair[x->label[i]] * pair->per_core
           + (x->use[i] * y->most_disk + y->most_use * x->disk[i]) * pair->per_disk;
}

/*
 * No more than this is gained by exchanging VM i of the first side and j of the second; -INFINITY
 * where memory is short.  What they would do to each other they do not, wherever they are.
 */
static double
most_of_exchange(const imig__search_run *run, const struct pair *pair, const struct side *side,
                 uint32_t i, uint32_t j)
{
    const struct side *x = &side[0], *y = &side[1];
    double grows = x->memory[i] - y->memory[j], cross, disk;

    if (grows > pair->left_b || -grows > pair->left_a)
        return -INFINITY;
    cross = x->cpu[i] * y->cpu[j]
            * run->pairs[(size_t) x->label[i] * run->load->labels + y->label[j]];
    disk = x->use[i] * y->disk[j] + y->use[j] * x->disk[i];
    return most_gain(pair, x->cpu[i] - y->cpu[j]) + x->other[i] + y->other[j]
           + cross * pair->per_core + disk * pair->per_disk;
}

struct exchange {
    double gain;
    uint32_t v, w;
};

static void
try_exchange(imig__search_run *run, const struct pair *pair, const struct side *side, uint32_t i,
             uint32_t j, struct exchange *best)
{
    const struct side *x = &side[0], *y = &side[1];
    uint32_t v = x->vm[i], w = y->vm[j];
    double gain;

    if (!imig__space_fits(run->space, run->state, v, pair->b, w)
        || !imig__space_fits(run->space, run->state, w, pair->a, v))
        return;
    gain = -imig__run_swap_delta(run, v, w, (const double[]) {
        x->here[i], x->there[i], y->here[j], y->there[j],
    });
    if (gain > best->gain)
        *best = (struct exchange) { gain, v, w };
}

/* The best exchange of two sides: those that promise most first, until no other can gain more. */
static void
find_exchange(imig__search_run *run, const struct pair *pair, struct side *side,
              struct exchange *best)
{
    struct side *x = &side[0], *y = &side[1];
    double *most = y->most;

    for (uint32_t i = 0; i < x->n; i++) {
        x->most[i] = -INFINITY;
        if (most_with_anyone(run, pair, side, i) <= best->gain)
            continue;
        for (uint32_t j = 0; j < y->n; j++)
            x->most[i] = MAX(x->most[i], most_of_exchange(run, pair, side, i, j));
    }
    for (;;) {
        uint32_t i = 0, j;

        for (uint32_t k = 1; k < x->n; k++)
            if (x->most[k] > x->most[i])
                i = k;
        if (!(x->most[i] > best->gain))
            return;
        x->most[i] = -INFINITY;
        for (j = 0; j < y->n; j++)
            most[j] = most_of_exchange(run, pair, side, i, j);
        for (;;) {
            j = 0;
            for (uint32_t k = 1; k < y->n; k++)
                if (most[k] > most[j])
                    j = k;
            if (!(most[j] > best->gain))
                break;
            most[j] = -INFINITY;
            try_exchange(run, pair, side, i, j, best);
        }
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
        double *own = run->scratch + s * 8 * vms;

        side[s] = (struct side) {
            0, run->list + 2 * s * vms, run->list + (2 * s + 1) * vms, own, own + vms,
            own + 2 * vms, own + 3 * vms, own + 4 * vms, own + 5 * vms, own + 6 * vms,
            own + 7 * vms, -INFINITY, 0, 0, 0,
        };
    }
    look_at_side(run, &side[0], a, b, pair.price);
    look_at_side(run, &side[1], b, a, -pair.price);
    if (side[0].n == 0 || side[1].n == 0)
        return 0;
    if (run->weighted)
        for (uint32_t i = 0; i < side[0].n; i++)
            for (uint32_t j = 0; j < side[1].n; j++)
                try_exchange(run, &pair, side, i, j, &best);
    else
        find_exchange(run, &pair, side, &best);
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

    for (uint32_t i = hosts; i-- > hosts / 2 && !imig_cancel_level(run->options->cancel);) {
        if (i >= IMIG__AHEAD) {
            imig__run_prefetch(run, order[i - IMIG__AHEAD]);
            imig__run_prefetch(run, order[hosts - 1 - i + IMIG__AHEAD]);
        }
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
