/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/search-run-priv.h"

#include "model/cluster-priv.h"

#include <math.h>
#include <string.h>

enum { LOOKS = 64 }; /* destinations that are evaluated for a VM that has to leave */

/*
 * What has to move whatever it costs: VMs on hosts to be emptied or on hosts they may not be on,
 * units that are split, rules that are broken.  Largest first, each to the host where it costs
 * least; where none has room, one other VM makes room.
 */

static gboolean
is_split(const imig__search_run *run, uint32_t unit)
{
    const imig__space *space = run->space;
    uint32_t begin = space->unit_begin[unit], end = space->unit_begin[unit + 1];

    for (uint32_t i = begin + 1; i < end; i++)
        if (run->state->host[space->unit_vm[i]] != run->state->host[space->unit_vm[begin]])
            return TRUE;
    return FALSE;
}

static gboolean
must_move(const imig__search_run *run, uint32_t vm)
{
    const imig__space *space = run->space;
    uint32_t host = run->state->host[vm];

    if (!imig__space_unit_alone(space, vm) && imig__space_unit_first(space, vm) == vm
        && is_split(run, space->unit[vm]))
        return TRUE;
    /* Its card lies elsewhere: last of all, as next to none gets so far. */
    return ((run->options->empties && run->options->empties[host])
            || imig__space_misplaced(space, run->state, vm))
           && !imig__card_of(run, vm)->fixed;
}

static gboolean
move_to_best(imig__search_run *run, uint32_t vm)
{
    gboolean split = is_split(run, run->space->unit[vm]);
    struct imig__best best = { split ? INFINITY : 0, IMIG_NO_INDEX, IMIG_NO_HOST };

    imig__run_try(run, vm, LOOKS, UINT32_MAX, &best);
    if (best.vm == IMIG_NO_INDEX)
        return FALSE;
    imig__run_make_move(run, &best);
    return TRUE;
}

/* One VM of a host goes to a cold one, so that another fits: the cheapest such pair of moves. */
static gboolean
make_room(imig__search_run *run, uint32_t vm)
{
    const imig__space *space = run->space;
    uint32_t hosts = run->load->hosts, from = run->state->host[vm];
    const uint32_t *window, kind = imig__card_of(run, vm)->kind;
    uint32_t size = MIN(imig__where_look(&run->where, space, kind, from, &window), IMIG__SMALL);
    double best = INFINITY;
    uint32_t best_w = IMIG_NO_INDEX, best_to = IMIG_NO_HOST, best_host = IMIG_NO_HOST;

    if (!imig__space_unit_alone(space, vm))
        return FALSE;
    for (uint32_t h = 0; h < hosts; h++) {
        if (h == from || !space->accepts[h])
            continue;
        for (uint32_t c = run->first[h]; c != IMIG_NO_INDEX; c = run->cards[c].next) {
            uint32_t w = run->cards[c].vm;

            if (run->cards[c].fixed || !imig__space_unit_alone(space, w)
                || !imig__space_fits(space, run->state, vm, h, w))
                continue;
            for (uint32_t i = 0; i < size; i++) {
                uint32_t to = window[i];
                double delta;

                if (to == h
                    || !imig__space_fits(space, run->state, w, to, IMIG_NO_INDEX))
                    continue;
                delta = imig__run_delta(run, w, to);
                if (delta < best) {
                    best = delta;
                    best_w = w;
                    best_to = to;
                    best_host = h;
                }
            }
        }
    }
    if (best_w == IMIG_NO_INDEX)
        return FALSE;
    imig__run_move(run, best_w, best_to);
    if (!imig__space_fits(space, run->state, vm, best_host, IMIG_NO_INDEX)) {
        imig__run_move(run, best_w, best_host);
        return FALSE;
    }
    imig__run_move(run, vm, best_host);
    return TRUE;
}

static int
compare_memory(const void *a, const void *b, void *data)
{
    const imig__load *load = data;
    uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;
    double mx = load->brings[x].memory, my = load->brings[y].memory;

    if (mx != my)
        return mx > my ? -1 : 1;
    return (x > y) - (x < y);
}

/* Returns how many VMs moved. */
static uint32_t
move_forced(imig__search_run *run, gboolean may_make_room)
{
    GArray *forced = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    uint32_t moved = 0;

    for (uint32_t v = 0; v < run->load->vms; v++)
        if (must_move(run, v))
            g_array_append_val(forced, v);
    g_array_sort_with_data(forced, compare_memory, (gpointer) run->load);
    for (guint i = 0; i < forced->len && !imig_cancel_level(run->options->cancel); i++) {
        uint32_t v = g_array_index(forced, uint32_t, i);

        if (must_move(run, v))
            moved += move_to_best(run, v) || (may_make_room && make_room(run, v));
    }
    g_array_unref(forced);
    return moved;
}

void
imig__run_repair(imig__search_run *run)
{
    move_forced(run, run->options->empties != NULL);
}

/* Moves what costs least until the memory of a host suffices; returns how many VMs moved. */
static uint32_t
free_memory(imig__search_run *run, uint32_t host)
{
    const imig__space *space = run->space;
    uint32_t moved = 0;

    while (imig__space_excess(space, run->state, host) > 0
           && !imig_cancel_level(run->options->cancel)) {
        struct imig__best best = { 0, IMIG_NO_INDEX, IMIG_NO_HOST };

        for (uint32_t c = run->first[host]; c != IMIG_NO_INDEX; c = run->cards[c].next)
            if (run->cards[c].may_move)
                imig__run_try(run, run->cards[c].vm, LOOKS, UINT32_MAX, &best);
        if (best.vm == IMIG_NO_INDEX)
            break;
        imig__run_make_move(run, &best);
        moved++;
    }
    return moved;
}

gboolean
imig__run_last_resort(imig__search_run *run)
{
    const imig__space *space = run->space;
    imig__space relaxed = *space;
    uint32_t moved;

    relaxed.may_overload = TRUE;
    run->space = &relaxed;
    memset(run->touched, 0, run->load->hosts);
    moved = move_forced(run, FALSE);
    for (uint32_t h = 0; h < run->load->hosts; h++)
        moved += free_memory(run, h);
    run->space = space;
    return moved > 0;
}
