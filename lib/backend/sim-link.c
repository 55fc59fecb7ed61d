/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/sim-job-priv.h"

#include <math.h>

/* The simulator's own parameters; doc/paper-map.md says where they come from. */
static const double DIRTY_NEIGHBOUR = 0.35; /* time a full set of dirtying neighbours costs */
static const double BUSY_FROM = 0.5;        /* CPU load of the source from which they matter */
static const double SENDING = 0.1;          /* time that it costs to receive where as much is sent
                                               as the link carries; by the fourth power of it */

static imig__sim_link *
link_at(imig__sim *sim, const imig__sim_job *job, imig__sim_way way)
{
    return &sim->hosts[way == IMIG__SIM_OUT ? job->from : job->to].link[way];
}

static imig__sim_way
way_of(const imig__sim_link *link)
{
    return link->id % IMIG__SIM_WAYS;
}

static void
touch(imig__sim *sim, imig__sim_link *link)
{
    if (link->touched)
        return;
    link->touched = TRUE;
    g_ptr_array_add(sim->touched, link);
}

void
imig__sim_link_touch(imig__sim *sim, uint32_t host)
{
    for (imig__sim_way way = 0; way < IMIG__SIM_WAYS; way++)
        if (sim->hosts[host].link[way].first)
            touch(sim, &sim->hosts[host].link[way]);
}

void
imig__sim_link_enter(imig__sim *sim, imig__sim_job *job)
{
    for (imig__sim_way way = 0; way < IMIG__SIM_WAYS; way++) {
        imig__sim_link *link = link_at(sim, job, way);

        job->prev[way] = NULL;
        job->next[way] = link->first;
        if (link->first)
            link->first->prev[way] = job;
        link->first = job;
        touch(sim, link);
    }
    job->on_link = TRUE;
}

void
imig__sim_link_leave(imig__sim *sim, imig__sim_job *job)
{
    if (!job->on_link)
        return;
    for (imig__sim_way way = 0; way < IMIG__SIM_WAYS; way++) {
        imig__sim_link *link = link_at(sim, job, way);

        if (job->prev[way])
            job->prev[way]->next[way] = job->next[way];
        else
            link->first = job->next[way];
        if (job->next[way])
            job->next[way]->prev[way] = job->prev[way];
        touch(sim, link);
    }
    job->on_link = FALSE;
    job->rate = 0;
}

static void
collect(imig__sim *sim, imig__sim_link *link)
{
    if (link->collected)
        return;
    link->collected = TRUE;
    g_ptr_array_add(sim->component, link);
}

/* All links that hang together with the touched ones through jobs. */
static void
collect_component(imig__sim *sim)
{
    for (size_t i = 0; i < sim->touched->len; i++) {
        imig__sim_link *link = g_ptr_array_index(sim->touched, i);

        link->touched = FALSE;
        collect(sim, link);
    }
    g_ptr_array_set_size(sim->touched, 0);
    for (size_t i = 0; i < sim->component->len; i++) { /* it grows meanwhile */
        imig__sim_link *link = g_ptr_array_index(sim->component, i);
        imig__sim_way way = way_of(link), other = IMIG__SIM_IN + IMIG__SIM_OUT - way;
        imig__sim_link *back = &sim->hosts[link->id / IMIG__SIM_WAYS].link[other];

        link->left = link->bytes_per_s;
        link->open = 0;
        if (back->first) /* what a host sends holds up what it receives */
            collect(sim, back);
        for (imig__sim_job *job = link->first; job; job = job->next[way]) {
            job->allotted = -1;
            link->open++;
            collect(sim, link_at(sim, job, other));
        }
    }
}

static void
set_level(imig__sim *sim, const imig__sim_link *link)
{
    if (link->open > 0)
        imig__sim_heap_set(&sim->levels, link->id, fmax(link->left, 0) / link->open);
    else
        imig__sim_heap_remove(&sim->levels, link->id);
}

static void
allot(imig__sim *sim, imig__sim_job *job, double rate)
{
    job->allotted = rate;
    for (imig__sim_way way = 0; way < IMIG__SIM_WAYS; way++) {
        imig__sim_link *link = link_at(sim, job, way);

        link->left -= rate;
        link->open--;
        set_level(sim, link);
    }
}

static int
compare_caps(const void *a, const void *b)
{
    const imig__sim_job *x = *(imig__sim_job *const *) a, *y = *(imig__sim_job *const *) b;

    if (x->cap_bytes_per_s != y->cap_bytes_per_s)
        return x->cap_bytes_per_s < y->cap_bytes_per_s ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

/* The jobs of the component that have a cap, smallest first. */
static void
list_capped(imig__sim *sim)
{
    g_ptr_array_set_size(sim->capped, 0);
    for (size_t i = 0; i < sim->component->len; i++) {
        const imig__sim_link *link = g_ptr_array_index(sim->component, i);

        if (way_of(link) == IMIG__SIM_OUT)
            for (imig__sim_job *job = link->first; job; job = job->next[IMIG__SIM_OUT])
                if (isfinite(job->cap_bytes_per_s))
                    g_ptr_array_add(sim->capped, job);
    }
    g_ptr_array_sort(sim->capped, compare_caps);
}

/* Max-min fair: the tightest link divides evenly, what it leaves elsewhere goes to the others. */
static void
fill(imig__sim *sim)
{
    size_t next_capped = 0;

    list_capped(sim);
    for (size_t i = 0; i < sim->component->len; i++)
        set_level(sim, g_ptr_array_index(sim->component, i));
    while (sim->levels.count > 0) {
        uint32_t id = sim->levels.ids[0];
        double level = sim->levels.key[id];
        imig__sim_way way = id % IMIG__SIM_WAYS;
        imig__sim_job *job = NULL;

        while (next_capped < sim->capped->len) {
            job = g_ptr_array_index(sim->capped, next_capped);
            if (job->allotted < 0)
                break;
            next_capped++;
        }
        if (next_capped < sim->capped->len && job->cap_bytes_per_s <= level) {
            allot(sim, job, job->cap_bytes_per_s);
            continue;
        }
        for (job = sim->hosts[id / IMIG__SIM_WAYS].link[way].first; job; job = job->next[way])
            if (job->allotted < 0)
                allot(sim, job, level);
    }
}

/* How much longer memory-dirtying neighbours make it on a source that is short of CPU. */
static double
stretch(const imig__sim *sim, const imig__sim_job *job)
{
    const imig__sim_host *source = &sim->hosts[job->from];
    double load, others;

    if (job->phase != IMIG__SIM_DISK && job->phase != IMIG__SIM_ROUND &&
        job->phase != IMIG__SIM_GAP)
        return 1;
    load = source->demand_cores / sim->cluster->hosts[job->from].cpu_cores;
    others = fmax(0, source->dirtying - imig__sim_dirty_ratio(sim, job->vm));
    return 1 + DIRTY_NEIGHBOUR * CLAMP((load - BUSY_FROM) / (1 - BUSY_FROM), 0, 1) * others;
}

/* How much longer it takes to receive on a host that sends migrations itself: acknowledgements
   queue behind what fills the link.  What VMs send does not (Fig. 6). */
static double
held_up(const imig__sim *sim, const imig__sim_job *job)
{
    const imig__sim_host *host = &sim->hosts[job->to];
    const imig__sim_link *out = &host->link[IMIG__SIM_OUT];
    double migrations = out->first ? (out->bytes_per_s - fmax(out->left, 0)) : 0;

    return 1 + SENDING * pow(fmin(1, migrations / out->full_bytes_per_s), 4);
}

void
imig__sim_rebalance(imig__sim *sim)
{
    if (sim->touched->len == 0)
        return;
    collect_component(sim);
    fill(sim);
    for (size_t i = 0; i < sim->component->len; i++) {
        imig__sim_link *link = g_ptr_array_index(sim->component, i);

        link->collected = FALSE;
        if (way_of(link) != IMIG__SIM_OUT)
            continue;
        for (imig__sim_job *job = link->first; job; job = job->next[IMIG__SIM_OUT]) {
            double rate = job->allotted / stretch(sim, job) / held_up(sim, job);

            if (rate == job->rate)
                continue;
            imig__sim_job_settle(sim, job);
            job->rate = rate;
            imig__sim_job_schedule(sim, job);
        }
    }
    g_ptr_array_set_size(sim->component, 0);
}
