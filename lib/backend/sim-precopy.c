/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/sim-job-priv.h"

#include <math.h>
#include <string.h>

/*
 * What the hypervisors do: stop rules and steps of QEMU's migration and of Xen 4.17's libxenguest;
 * doc/paper-map.md says where the fixed parts come from.
 */
static const imig__sim_rules rules[] = {
    {
        .hypervisor = "qemu", .setup_s = 0.4, .downtime_s = 0.04,
        .page_header_bytes = 8, .zero_page_bytes = 9, .state_bytes = 2e6, .queued_bytes = 1.8e6,
        .downtime_limit_s = 0.3, .caps_live_only = TRUE, .can_throttle = TRUE,
    },
    {
        .hypervisor = "xen", .setup_s = 0.4, .round_s = 0.02, .downtime_s = 0.05,
        .page_header_bytes = 8, .stream_bytes = 8.36e6,
        .suspend_bytes = 250.0 * IMIG__SIM_PAGE_BYTES,
        .max_rounds = 5, .last_round_bytes = 50.0 * IMIG__SIM_PAGE_BYTES,
    },
};

static const double LOOK_S = 0.05;            /* QEMU looks as often as that what is left */
static const double HIGH_DIRTY_RATIO = 0.5;   /* dirtied / sent, from which auto-converge counts */
static const uint32_t HIGH_ROUNDS = 2;        /* so many such rounds make one step */
static const double THROTTLE_FIRST = 0.2;
static const double THROTTLE_STEP = 0.1;
static const double THROTTLE_MOST = 0.99;
static const double NO_GAIN_RATIO = 0.9;      /* left / sent, from which a round gained nothing */
static const double STUCK_ROUND_S = 1;        /* added to rounds that are to go on for ever */
static const uint32_t IDLE_ROUNDS = 2;        /* so many such rounds switch to post-copy */

const imig__sim_rules *
imig__sim_rules_of(const char *hypervisor)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rules); i++)
        if (g_strcmp0(rules[i].hypervisor, hypervisor) == 0)
            return &rules[i];
    return &rules[0];
}

static gboolean
has(const imig_vm_info *vm, imig_metric metric)
{
    return vm->present >> metric & 1;
}

/* Bytes of memory that the first round copies: zero pages are not, where they are told apart. */
static double
first_round_bytes(const imig_vm_info *vm, const imig__sim_rules *r)
{
    if (r->zero_page_bytes > 0)
        return has(vm, IMIG_METRIC_MEMORY_NONZERO_BYTES)
                   ? fmin(vm->memory_nonzero_bytes, vm->memory_bytes) : vm->memory_bytes;
    return has(vm, IMIG_METRIC_MEMORY_POPULATED_BYTES) ? vm->memory_populated_bytes
                                                       : vm->memory_bytes;
}

/* What goes over the link for so many bytes of memory. */
static double
as_sent(const imig__sim_rules *r, double bytes)
{
    return bytes * (1 + r->page_header_bytes / IMIG__SIM_PAGE_BYTES);
}

static void
begin_copying(imig__sim *sim, imig__sim_job *job, imig__sim_phase phase, double bytes)
{
    job->phase = phase;
    job->left_bytes = bytes;
    job->rest_bytes = 0;
    job->settled_s = sim->clock_s;
}

static void
begin_waiting(const imig__sim *sim, imig__sim_job *job, imig__sim_phase phase, double for_s)
{
    job->phase = phase;
    job->phase_end_s = sim->clock_s + for_s;
}

static double
dirtied_in_round(imig__sim *sim, const imig__sim_job *job)
{
    return imig__sim_dirtied(sim, job->vm, imig__sim_cpu_s(sim, job->from) - job->round_cpu_s);
}

static void
begin_round(imig__sim *sim, imig__sim_job *job, double bytes)
{
    const imig_vm_info *vm = &sim->cluster->vms[job->vm];
    const imig__sim_rules *r = job->rules;
    double counted = bytes, sent = as_sent(r, bytes);

    if (job->rounds == 0) {
        sent += r->stream_bytes;
        if (r->zero_page_bytes > 0) {
            sent += (vm->memory_bytes - bytes) / IMIG__SIM_PAGE_BYTES * r->zero_page_bytes;
            counted = vm->memory_bytes; /* a page of zeros is as large as any, though cheap */
        }
    }
    begin_copying(sim, job, IMIG__SIM_ROUND, 0); /* a first look at once, when the rate is known */
    job->rest_bytes = sent;
    job->rounds++;
    job->round_bytes = bytes;
    job->round_weight = sent > 0 ? counted / sent : 1;
    job->round_cpu_s = imig__sim_cpu_s(sim, job->from);
    if (job->fails)
        job->left_bytes = job->rest_bytes = sent / 2; /* and then it breaks */
}

/* The VM stands still from now on; its traffic and its demand are gone. */
static void
stop_vm(imig__sim *sim, imig__sim_job *job)
{
    imig__sim_settle(sim, job->vm);
    sim->vms[job->vm].stopped = TRUE;
    job->state = IMIG_JOB_FINISHING;
    job->stopped_s = sim->clock_s;
    if (job->rules->caps_live_only)
        job->cap_bytes_per_s = INFINITY;
}

/* bytes: what is left, as sent. */
static void
begin_stop(imig__sim *sim, imig__sim_job *job, double bytes)
{
    double queued = job->allotted < job->cap_bytes_per_s ? job->rules->queued_bytes : 0;

    job->sent_bytes += job->rules->queued_bytes - queued; /* has gone before, under a cap */
    stop_vm(sim, job);
    job->rounds++;
    begin_copying(sim, job, IMIG__SIM_STOP,
                  bytes + job->rules->state_bytes - job->rules->queued_bytes + queued
                      + as_sent(job->rules, job->rules->suspend_bytes));
    imig__sim_refresh(sim, job->from);
}

/* The VM runs on the destination from now on. */
static void
resume_vm(imig__sim *sim, imig__sim_job *job)
{
    imig__sim_vm *v = &sim->vms[job->vm];

    imig__sim_settle(sim, job->vm);
    job->downtime_s = sim->clock_s - job->stopped_s;
    v->stopped = FALSE;
    v->throttled = v->slowdown = 0;
    imig__sim_move(sim, job->vm, job->to);
}

static void
throttle(imig__sim *sim, imig__sim_job *job, double dirtied)
{
    imig__sim_vm *v = &sim->vms[job->vm];

    if (!(job->flags & IMIG_MIGRATE_AUTO_CONVERGE) || !job->rules->can_throttle ||
        dirtied <= HIGH_DIRTY_RATIO * job->round_bytes || ++job->high_rounds < HIGH_ROUNDS)
        return;
    job->high_rounds = 0;
    imig__sim_settle(sim, job->vm);
    v->throttled = v->throttled > 0 ? fmin(v->throttled + THROTTLE_STEP, THROTTLE_MOST)
                                    : THROTTLE_FIRST;
    imig__sim_refresh(sim, job->from);
}

static gboolean
wants_post_copy(imig__sim_job *job, double dirtied)
{
    if (!(job->flags & IMIG_MIGRATE_POST_COPY) || !job->rules->can_throttle)
        return FALSE;
    job->idle_rounds = dirtied > NO_GAIN_RATIO * job->round_bytes ? job->idle_rounds + 1 : 0;
    return job->idle_rounds >= IDLE_ROUNDS;
}

static gboolean
is_stuck(const imig__sim *sim, const imig__sim_job *job)
{
    return sim->faults && sim->faults[job->vm].stuck;
}

/*
 * In the middle of a round.  QEMU stops as soon as it sees that what is left of it and what was
 * dirtied meanwhile fit into the downtime limit: half a look later, as a rule, than they do.
 */
static void
look(imig__sim *sim, imig__sim_job *job)
{
    double dirtied = dirtied_in_round(sim, job), excess, limit_s;

    job->left_bytes = job->rest_bytes;
    if (job->rules->downtime_limit_s > 0) {
        limit_s = fmax(job->downtime_limit_s - LOOK_S / 2, 0);
        excess = job->rest_bytes * job->round_weight + dirtied - limit_s * job->rate;
        if (excess <= IMIG__SIM_PAGE_BYTES && !is_stuck(sim, job)) {
            begin_stop(sim, job, job->rest_bytes + as_sent(job->rules, dirtied));
            return;
        }
        /* When it would fit if nothing more were dirtied; not in ever smaller steps. */
        job->left_bytes = CLAMP(excess / job->round_weight, job->rest_bytes / 32, job->rest_bytes);
        if (job->rest_bytes - job->left_bytes < IMIG__SIM_PAGE_BYTES)
            job->left_bytes = job->rest_bytes;
    }
    job->rest_bytes -= job->left_bytes;
}

static gboolean
may_stop(const imig__sim *sim, const imig__sim_job *job, double dirtied)
{
    const imig__sim_rules *r = job->rules;

    if (is_stuck(sim, job))
        return FALSE;
    return (r->downtime_limit_s > 0 && dirtied <= job->downtime_limit_s * job->rate) ||
           (r->max_rounds > 0 && job->rounds >= r->max_rounds) ||
           (job->rounds > 1 && job->round_bytes < r->last_round_bytes);
}

/* A live round is over: once more, stop and copy, or post-copy? */
static void
end_round(imig__sim *sim, imig__sim_job *job)
{
    double dirtied = dirtied_in_round(sim, job);

    if (may_stop(sim, job, dirtied)) {
        begin_stop(sim, job, as_sent(job->rules, dirtied));
    } else if (wants_post_copy(job, dirtied)) {
        job->rest_bytes = as_sent(job->rules, dirtied);
        stop_vm(sim, job);
        imig__sim_refresh(sim, job->from);
        begin_waiting(sim, job, IMIG__SIM_RESUME, job->rules->downtime_s);
        job->post_copy = TRUE;
    } else {
        throttle(sim, job, dirtied);
        begin_round(sim, job, dirtied);
    }
}

static void
begin_memory(imig__sim *sim, imig__sim_job *job)
{
    begin_round(sim, job, first_round_bytes(&sim->cluster->vms[job->vm], job->rules));
}

void
imig__sim_job_advance(imig__sim *sim, imig__sim_job *job)
{
    double disk_bytes = 0;

    switch (job->phase) {
    case IMIG__SIM_SETUP:
        imig__sim_link_enter(sim, job);
        if (imig__flags_copy_disks(job->flags))
            imig__vm_has_local_disk(&sim->cluster->vms[job->vm], &disk_bytes);
        if (disk_bytes > 0)
            begin_copying(sim, job, IMIG__SIM_DISK, disk_bytes);
        else
            begin_memory(sim, job);
        break;
    case IMIG__SIM_DISK:
        begin_memory(sim, job);
        break;
    case IMIG__SIM_ROUND:
        if (job->fails) {
            imig__sim_job_give_up(sim, job, IMIG_JOB_FAILED, IMIG_ERR_BACKEND,
                                  "failed half way, as the URI wants it");
            break;
        }
        if (job->rest_bytes > 0)
            look(sim, job);
        else
            begin_waiting(sim, job, IMIG__SIM_GAP,
                          is_stuck(sim, job) ? STUCK_ROUND_S : job->rules->round_s);
        break;
    case IMIG__SIM_GAP:
        end_round(sim, job);
        break;
    case IMIG__SIM_STOP:
        begin_waiting(sim, job, IMIG__SIM_RESUME, job->rules->downtime_s);
        break;
    case IMIG__SIM_RESUME:
        resume_vm(sim, job);
        if (job->post_copy)
            begin_copying(sim, job, IMIG__SIM_PULL, job->rest_bytes);
        else
            imig__sim_job_done(sim, job);
        break;
    case IMIG__SIM_PULL:
        imig__sim_job_done(sim, job);
        break;
    case IMIG__SIM_ENDED:
        g_assert_not_reached();
    }
}
