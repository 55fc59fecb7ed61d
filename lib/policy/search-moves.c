/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/search-run-priv.h"

#include "model/cluster-priv.h"

#include <math.h>

enum {
    LOOKS = 8,   /* destinations that are evaluated for one VM on large clusters, */
    LOOKS_PLAIN = 4, /* and for one that brings CPU demand alone */
    SCANS = 64,  /* hosts that are asked whether they have room */
    FAILURES = 100, /* and a quarter of the hosts: then the floors have risen */
    MISSES = 16, /* VMs of a size in a row that find no room: then others do not ask any more */
    LISTED = 64  /* a VM with no more allowed hosts than this tries them all */
};

/* Cards: largest demand first. */
static int
compare_cpu(const void *a, const void *b, void *data)
{
    const imig__search_run *run = data;
    const imig__card *x = &run->cards[*(const uint32_t *) a];
    const imig__card *y = &run->cards[*(const uint32_t *) b];

    if (x->cpu != y->cpu)
        return x->cpu > y->cpu ? -1 : 1;
    return (x->vm > y->vm) - (x->vm < y->vm);
}

/* leave: what leaving changes, of a VM that is alone in its unit.  Says whether it fits. */
static gboolean
try_move(imig__search_run *run, uint32_t vm, uint32_t host, double leave, struct imig__best *best)
{
    double delta;

    if (!imig__space_unit_fits(run->space, run->state, vm, host))
        return FALSE;
    delta = imig__space_unit_alone(run->space, vm) ? leave + imig__run_join(run, vm, host)
                                                   : imig__run_unit_delta(run, vm, host);
    if (delta < best->delta - run->worth)
        *best = (struct imig__best) { delta, vm, host };
    return TRUE;
}

/*
 * No core of this VM costs less than this, wherever it goes; price: of one where it is.  There,
 * too, it is worth what it will be once everything is at its best.
 */
static double
floor_of(const imig__search_run *run, const imig__card *card, double price)
{
    const imig__where *where = &run->where;
    const uint8_t *silent = run->load->silent;
    uint32_t label = where->label[card->kind];
    uint32_t pool = run->space->cluster->host_pool[card->home];
    double floor;

    if (label != card->label && !(silent[label] && silent[card->label]))
        return 0;
    floor = *imig__where_floor(where, card->kind, pool, card->memory);
    if (isinf(floor) && !card->plain)
        return 0; /* only plain ones stop asking */
    return floor - MAX(where->price[pool] - price, 0);
}

/* What joining any host costs at least, as far as it can be told. */
static double
least_join(const imig__search_run *run, uint32_t vm)
{
    const imig__card *card = imig__card_of(run, vm);
    uint32_t host = run->state->host[vm];

    if (run->weighted || card->tied & ~IMIG__TIED_HOSTS || host != card->home)
        return -INFINITY;
    return card->cpu * floor_of(run, card, imig__run_price(run, host));
}

gboolean
imig__run_try(imig__search_run *run, uint32_t vm, uint32_t looks, uint32_t scans,
              struct imig__best *best)
{
    const imig__card *card = imig__card_of(run, vm);
    const imig__load *load = run->load;
    gboolean alone = !(card->tied & IMIG__TIED_UNIT), home = FALSE;
    double leave = alone ? imig__run_leave(run, vm) : 0;
    uint32_t looked = 0;
    const uint32_t *order;
    uint32_t n = imig__where_look(&run->where, run->space, card->kind, card->home, &order);

    if (alone && leave + least_join(run, vm) >= best->delta - run->worth)
        return TRUE;
    if (card->tied & IMIG__TIED_HOSTS) {
        const imig_vm_info *info = &run->space->cluster->vms[vm];

        for (uint32_t i = 0; i < info->host_count && info->host_count <= LISTED; i++)
            try_move(run, vm, info->hosts[i], leave, best);
        if (info->host_count <= LISTED)
            return TRUE;
    }
    for (uint32_t i = 0; i < n && i < scans && looked < looks; i++) {
        home |= order[i] == card->home;
        if (alone && run->left[order[i]] + 1 < card->memory + run->space->overhead[order[i]])
            continue;
        looked += try_move(run, vm, order[i], leave, best) ? 1 : 0;
    }
    if (!home)
        try_move(run, vm, card->home, leave, best);
    for (uint32_t i = load->flow_begin[vm]; i < load->flow_begin[vm + 1]; i++)
        try_move(run, vm, run->state->host[load->flow_peer[i]], leave, best);
    return looked > 0;
}

/* Whether a VM that could go anywhere found a host with room. */
static void
note_room(imig__search_run *run, const imig__card *card, gboolean found)
{
    const imig__where *where = &run->where;
    double *floor = imig__where_floor(where, card->kind,
                                      run->space->cluster->host_pool[card->home], card->memory);
    uint8_t *misses = where->misses + (floor - where->floor);

    if (found)
        *misses = 0;
    else if (++*misses >= MISSES)
        *floor = INFINITY;
}

static void
try_destinations(imig__search_run *run, uint32_t vm, struct imig__best *best)
{
    const imig__card *card = imig__card_of(run, vm);
    gboolean found;

    if (run->load->hosts <= IMIG__SMALL) {
        imig__run_try(run, vm, IMIG__SMALL, IMIG__SMALL, best);
        return;
    }
    found = imig__run_try(run, vm, card->plain ? LOOKS_PLAIN : LOOKS, SCANS, best);
    if (card->plain)
        note_room(run, card, found);
}

void
imig__run_make_move(imig__search_run *run, const struct imig__best *best)
{
    uint32_t from = run->state->host[best->vm];

    imig__run_unit_move(run, best->vm, best->host);
    imig__where_update(&run->where, run->space, run->state, best->host);
    imig__where_update(&run->where, run->space, run->state, from);
}

static void
find_floors(imig__search_run *run)
{
    imig__where_find_floors(&run->where, run->space, run->state, run->left);
    run->failures = 0;
}

/* What a VM could gain at the most wherever it went; price: of a core on its host. */
static double
potential(const imig__search_run *run, const imig__card *card, uint32_t host, double price)
{
    const imig__load *load = run->load;
    uint32_t vm = card->vm;
    double gain = host == card->home ? -card->price : card->price;

    if (!run->weighted && card->cpu > 0)
        gain += card->cpu * (price - floor_of(run, card, price));
    if (card->plain && !run->weighted)
        return gain;
    for (uint32_t i = load->flow_begin[vm]; i < load->flow_begin[vm + 1]; i++)
        gain += load->flow_price[i];
    return gain + (run->weighted ? imig__state_leave(run->state, vm)
                                 : imig__state_other_gain(run->state, vm,
                                       imig__state_cross(run->state, vm, host)));
}

/* Could this VM, which stands for its unit, gain more than `least` anywhere? */
static gboolean
is_worth_a_look(const imig__search_run *run, const imig__card *card, uint32_t host, double price,
                double least)
{
    const imig__search_options *o = run->options;

    if (!card->may_move || !card->leads)
        return FALSE;
    return card->tied & ~IMIG__TIED_FLOWS || o->relief_price > 0
           || (o->empties && o->empties[host])
           || imig__space_excess(run->space, run->state, host) > 0
           || potential(run, card, host, price) > least + run->worth;
}

/* Moves VMs away from a host, best first, until none gains anything. */
static double
relieve_host_best(imig__search_run *run, uint32_t host)
{
    double gained = 0;

    while (!imig_cancel_level(run->options->cancel)) {
        struct imig__best best = { 0, IMIG_NO_INDEX, IMIG_NO_HOST };
        double price = imig__run_price(run, host);

        for (uint32_t c = run->first[host]; c != IMIG_NO_INDEX; c = run->cards[c].next)
            if (is_worth_a_look(run, &run->cards[c], host, price, -best.delta))
                try_destinations(run, run->cards[c].vm, &best);
        if (best.vm == IMIG_NO_INDEX)
            break;
        imig__run_make_move(run, &best);
        gained -= best.delta;
    }
    return gained;
}

/* The same on large clusters: every VM goes at once to the best place for it. */
static double
relieve_host_fast(imig__search_run *run, uint32_t host)
{
    uint32_t n = 0, *list = run->list + run->load->vms;
    double gained = 0, price = imig__run_price(run, host);

    if (run->failures > FAILURES + run->load->hosts / 4)
        find_floors(run);
    for (uint32_t c = run->first[host]; c != IMIG_NO_INDEX; c = run->cards[c].next)
        if (is_worth_a_look(run, &run->cards[c], host, price, 0)) {
            imig__prefetch(&run->load->brings[run->cards[c].vm], sizeof *run->load->brings);
            list[n++] = c;
        }
    if (n > 1)
        g_qsort_with_data(list, (gint) n, sizeof *list, compare_cpu, run);
    for (uint32_t i = 0; i < n && !imig_cancel_level(run->options->cancel); i++) {
        struct imig__best best = { 0, IMIG_NO_INDEX, IMIG_NO_HOST };
        const imig__card *card = &run->cards[list[i]];

        if (!is_worth_a_look(run, card, host, price, 0) || run->state->host[card->vm] != host)
            continue;
        try_destinations(run, card->vm, &best);
        if (best.vm == IMIG_NO_INDEX) {
            run->failures++;
            continue;
        }
        imig__run_make_move(run, &best);
        price = imig__run_price(run, host);
        gained -= best.delta;
    }
    return gained;
}

double
imig__run_relieve_hosts(imig__search_run *run)
{
    double gained = 0;

    imig__run_sort_hosts(run);
    imig__where_sort(&run->where, run->space, run->state);
    find_floors(run);
    /* Hottest first. */
    for (uint32_t i = run->load->hosts; i-- > 0;) {
        if (i >= IMIG__AHEAD && run->active[run->by_price[i - IMIG__AHEAD]])
            imig__run_prefetch(run, run->by_price[i - IMIG__AHEAD]);
        if (run->active[run->by_price[i]])
            gained += run->load->hosts > IMIG__SMALL ? relieve_host_fast(run, run->by_price[i])
                                                     : relieve_host_best(run, run->by_price[i]);
    }
    return gained;
}
