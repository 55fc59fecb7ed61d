/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/search-run-priv.h"

#include "policy/random-priv.h"

#include <math.h>
#include <string.h>

/*
 * Iterated local search (Lourenço, Martin, Stützle 2003): where a cluster is small enough for it,
 * its placement is disturbed and improved again.  What comes out is where to go on if it is better,
 * or a little worse, less and less as time goes by (as in simulated annealing); and now and then
 * everything begins again at the best.  None counts to which there is no way.
 */

enum {
    KICKS = 2000,         /* disturbances at most, */
    KICK_LEAST = 2, KICK_MOST = 7, /* each of which moves so many VMs, */
    KICK_EFFORT = 400000, /* and VMs x destinations in all of them together, */
    MOST = 100000,        /* where a cluster does not have more of these */
    AGAIN = 500,          /* after so many it goes on from the best */
    DETOURS = 6           /* tried for a placement to which there is no way */
};

/* Shares of the loss that a placement may be worse by, at first and in the end. */
#define HEAT 0.2
#define HEAT_LEAST 5e-5

static void
go(imig__search_run *run, uint32_t vm, uint32_t host, double *gained)
{
    *gained -= imig__run_delta(run, vm, host);
    imig__run_move(run, vm, host);
}

/* VMs of a host that could leave by themselves, in run->list; returns how many. */
static uint32_t
list_movable(imig__search_run *run, uint32_t host)
{
    uint32_t n = 0;

    for (uint32_t c = run->first[host]; c != IMIG_NO_INDEX; c = run->cards[c].next)
        if (run->cards[c].may_move && imig__space_unit_alone(run->space, run->cards[c].vm))
            run->list[n++] = run->cards[c].vm;
    return n;
}

/* One that goes the opposite way makes room for a VM; FALSE where nobody can. */
static gboolean
exchange(imig__search_run *run, uint32_t vm, uint32_t host, uint64_t seed, double *gained)
{
    const imig__space *space = run->space;
    uint32_t from = run->state->host[vm], all = list_movable(run, host), n = 0, other;

    for (uint32_t i = 0; i < all; i++)
        if (imig__space_fits(space, run->state, vm, host, run->list[i])
            && imig__space_fits(space, run->state, run->list[i], from, vm))
            run->list[n++] = run->list[i];
    if (n == 0)
        return FALSE;
    other = run->list[imig__random(seed, vm) % n];
    go(run, vm, host, gained);
    go(run, other, from, gained);
    return TRUE;
}

/* Some that go anywhere make room for a VM, if they can. */
static void
push_in(imig__search_run *run, uint32_t vm, uint32_t host, uint64_t seed, double *gained)
{
    const imig__space *space = run->space;
    uint32_t n = list_movable(run, host);

    for (uint64_t i = 0; !imig__space_fits(space, run->state, vm, host, IMIG_NO_INDEX); i++) {
        uint32_t to = (uint32_t) (imig__random(seed, 2 * i) % run->load->hosts), k, other;

        if (n == 0)
            return;
        k = (uint32_t) (imig__random(seed, 2 * i + 1) % n);
        other = run->list[k];
        run->list[k] = run->list[--n];
        if (imig__space_fits(space, run->state, other, to, IMIG_NO_INDEX))
            go(run, other, to, gained);
    }
    go(run, vm, host, gained);
}

/*
 * Moves a few VMs anywhere, whether they overload a host or not; others make room where they have
 * to.  Returns what that gained, usually less than nothing.
 */
static double
kick(imig__search_run *run, uint64_t seed)
{
    const imig__space *space = run->space;
    imig__space relaxed = *space;
    uint64_t moves = KICK_LEAST + seed % (KICK_MOST - KICK_LEAST + 1);
    double gained = 0;

    relaxed.may_overload = TRUE;
    run->space = &relaxed;
    for (uint64_t i = 0; i < moves; i++) {
        uint32_t v = (uint32_t) (imig__random(seed, 2 * i) % run->load->vms);
        uint32_t h = (uint32_t) (imig__random(seed, 2 * i + 1) % run->load->hosts);

        v = imig__space_unit_first(space, v);
        if (!imig__card_of(run, v)->may_move)
            continue;
        if (imig__space_unit_fits(&relaxed, run->state, v, h)) {
            gained -= imig__run_unit_delta(run, v, h);
            imig__run_unit_move(run, v, h);
        } else if (run->state->host[v] != h && imig__space_unit_alone(space, v)
                   && !exchange(run, v, h, seed, &gained)) {
            push_in(run, v, h, seed + v, &gained);
        }
    }
    run->space = space;
    return gained;
}

static gboolean
find_stuck(const imig__search_run *run, uint8_t *stuck)
{
    const imig__search_options *o = run->options;

    return o->find_stuck && o->find_stuck(o->stuck_data, run->state, stuck);
}

/*
 * Somebody who goes elsewhere, too, may make the room that is missing on the way; returns what that
 * gained.  FALSE: nobody who was asked does.
 */
static gboolean
find_detour(imig__search_run *run, uint8_t *stuck, uint64_t seed, double enough, double *gained)
{
    for (uint64_t i = 0; i < DETOURS; i++) {
        uint32_t v = (uint32_t) (imig__random(seed, 2 * i) % run->load->vms);
        uint32_t h = (uint32_t) (imig__random(seed, 2 * i + 1) % run->load->hosts);
        uint32_t was = run->state->host[v];
        double then = *gained;

        if (!imig__card_of(run, v)->may_move || !imig__space_unit_alone(run->space, v)
            || !imig__space_fits(run->space, run->state, v, h, IMIG_NO_INDEX))
            continue;
        go(run, v, h, &then);
        if (then > enough && !find_stuck(run, stuck)) {
            *gained = then;
            return TRUE;
        }
        imig__run_move(run, v, was);
    }
    return FALSE;
}

/* Makes a placement one to which there is a way; whoever has none goes home where nothing else
   helps.  Returns what that gained. */
static double
find_way(imig__search_run *run, uint64_t seed, double enough)
{
    uint8_t *stuck = g_new0(uint8_t, 2 * run->load->vms), *others = stuck + run->load->vms;
    double gained = 0;

    if (find_stuck(run, stuck) && !find_detour(run, others, seed, enough, &gained))
        for (uint32_t v = 0; v < run->load->vms; v++)
            if (stuck[v])
                go(run, v, run->load->home[v], &gained);
    g_free(stuck);
    return gained;
}

/* Cores above the threshold, of all hosts. */
static double
overload_of(const imig__search_run *run)
{
    double all = 0;

    for (uint32_t h = 0; h < run->load->hosts; h++)
        all += MAX(run->state->sums[h].cpu
                       - imig__space_threshold(run->space, h) * run->load->cores[h], 0);
    return all;
}

static void
go_to(imig__search_run *run, const uint32_t *host)
{
    for (uint32_t v = 0; v < run->load->vms; v++)
        if (run->state->host[v] != host[v])
            imig__run_move(run, v, host[v]);
}

/* A placement, and what it is better by than the one at first. */
struct placement {
    uint32_t *host;
    double gained, overload;
};

static void
keep(const imig__search_run *run, struct placement *placement, double gained)
{
    memcpy(placement->host, run->state->host, run->load->vms * sizeof *placement->host);
    placement->gained = gained;
    placement->overload = overload_of(run);
}

/* Exponential, mean 1. */
static double
draw(uint64_t seed, uint64_t counter)
{
    return -log(((double) (imig__random(seed, counter) >> 11) + 0.5) / 9007199254740992.0);
}

void
imig__run_escape(imig__search_run *run, uint32_t rounds, double least)
{
    uint32_t vms = run->load->vms, hosts = run->load->hosts;
    double effort = (double) vms * MIN(hosts, IMIG__SMALL), loss = imig__state_loss(run->state);
    uint64_t kicks = (uint64_t) (run->options->effort * MIN(KICK_EFFORT / effort, KICKS));
    uint64_t seed = run->options->seed;
    struct placement best = { 0 }, here = { 0 };

    if (effort > MOST)
        return;
    best.host = g_new(uint32_t, vms);
    here.host = g_new(uint32_t, vms);
    find_way(run, seed, INFINITY);
    keep(run, &best, 0);
    for (uint64_t i = 0; i < kicks && !imig_cancel_level(run->options->cancel); i++) {
        double heat = HEAT * loss * pow(HEAT_LEAST / HEAT, (double) i / (double) kicks);
        double gained, enough;

        if (i % AGAIN == 0) {
            go_to(run, best.host);
            keep(run, &here, best.gained);
        }
        enough = here.gained - heat * draw(~seed, i);
        memset(run->touched, 0, hosts);
        gained = here.gained + kick(run, imig__random(seed, i));
        gained += imig__run_descend(run, rounds, FALSE, least);
        if (gained > enough)
            gained += find_way(run, imig__random(seed, i), enough - gained);
        /* No host is overloaded for the sake of others. */
        if (gained <= enough || overload_of(run) > best.overload + 1e-6) {
            go_to(run, here.host);
            continue;
        }
        keep(run, &here, gained);
        if (gained > best.gained + run->worth)
            keep(run, &best, gained);
    }
    go_to(run, best.host);
    g_free(best.host);
    g_free(here.host);
}
