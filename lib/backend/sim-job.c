/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/sim-job-priv.h"

#include <math.h>
#include <string.h>

/* Work a VM loses while it migrates: always, and besides if it dirties as fast as its network. */
static const double LEAST_SLOWDOWN = 0.03;
static const double DIRTY_SLOWDOWN = 0.3;

uint32_t
imig__sim_find_vm(const imig__sim *sim, const char *id)
{
    uint32_t vm = imig_cluster_find_vm(sim->cluster, id);

    /* The look-up takes names as well; a hypervisor does not. */
    return vm != IMIG_NO_INDEX && strcmp(sim->cluster->vms[vm].id, id) == 0 ? vm : IMIG_NO_INDEX;
}

void
imig__sim_job_settle(const imig__sim *sim, imig__sim_job *job)
{
    double copied;

    if (!imig__sim_copies(job))
        return;
    copied = fmin(job->left_bytes, job->rate * (sim->clock_s - job->settled_s));
    job->left_bytes -= copied;
    job->sent_bytes += copied;
    job->settled_s = sim->clock_s;
}

void
imig__sim_job_schedule(imig__sim *sim, imig__sim_job *job)
{
    double at_s = job->phase_end_s;

    if (imig__sim_copies(job))
        at_s = job->left_bytes <= 0 ? sim->clock_s
             : job->rate > 0 ? sim->clock_s + job->left_bytes / job->rate : (double) INFINITY;
    if (job->state == IMIG_JOB_RUNNING)
        at_s = fmin(at_s, job->timeout_at_s);
    imig__sim_heap_set(&sim->events, job->slot, at_s);
}

static void
end_job(imig__sim *sim, imig__sim_job *job, int32_t state)
{
    imig__sim_vm *v = &sim->vms[job->vm];

    imig__sim_settle(sim, job->vm);
    v->throttled = v->slowdown = 0;
    v->job = NULL;
    job->state = state;
    job->phase = IMIG__SIM_ENDED;
    job->ended_s = sim->clock_s;
    imig__sim_link_leave(sim, job);
    imig__sim_heap_remove(&sim->events, job->slot);
    imig__sim_refresh(sim, v->host);
    sim->happened = TRUE;
}

void
imig__sim_job_done(imig__sim *sim, imig__sim_job *job)
{
    end_job(sim, job, IMIG_JOB_DONE);
}

void
imig__sim_job_give_up(imig__sim *sim, imig__sim_job *job, int32_t state, int code,
                      const char *message)
{
    g_assert(job->state == IMIG_JOB_RUNNING);
    imig__sim_job_settle(sim, job);
    job->error_code = code;
    job->message = message;
    sim->hosts[job->to].memory_left += imig__sim_memory_need(sim, job->vm, job->to);
    end_job(sim, job, state);
}

void
imig__sim_job_event(imig__sim *sim, imig__sim_job *job)
{
    imig__sim_job_settle(sim, job);
    if (job->state == IMIG_JOB_RUNNING && sim->clock_s >= job->timeout_at_s) {
        imig__sim_job_give_up(sim, job, IMIG_JOB_FAILED, IMIG_ERR_TIMEOUT,
                              "timed out before it converged");
    } else {
        if (imig__sim_copies(job)) { /* rounding may have left less than a byte */
            job->sent_bytes += job->left_bytes;
            job->left_bytes = 0;
        }
        imig__sim_job_advance(sim, job);
        if (job->phase != IMIG__SIM_ENDED)
            imig__sim_job_schedule(sim, job);
    }
    imig__sim_rebalance(sim);
}

static int
find_both(const imig__sim *sim, const char *vm, const char *host, uint32_t *vm_index,
          uint32_t *host_index, imig_error **error)
{
    *vm_index = imig__sim_find_vm(sim, vm);
    if (*vm_index == IMIG_NO_INDEX)
        return imig__fail(error, IMIG_ERR_NOT_FOUND, "no VM \"%s\"", vm);
    *host_index = imig_cluster_find_host(sim->cluster, host);
    if (*host_index == IMIG_NO_INDEX)
        return imig__fail(error, IMIG_ERR_NOT_FOUND, "no host \"%s\"", host);
    return IMIG_OK;
}

/* What speaks against it whatever else happens. */
static int
check_place(const imig__sim *sim, uint32_t vm, uint32_t host, imig_error **error)
{
    const imig_cluster *cluster = sim->cluster;
    const imig_host_info *from = &cluster->hosts[sim->vms[vm].host], *to = &cluster->hosts[host];
    const imig_vm_info *v = &cluster->vms[vm];

    if (to->state != IMIG_HOST_ACTIVE)
        return imig__fail(error, IMIG_ERR_UNSUPPORTED, "host %s takes no VMs: it is %s", to->id,
                          to->state == IMIG_HOST_OFFLINE ? "offline" : "in maintenance");
    if (from->state == IMIG_HOST_OFFLINE)
        return imig__fail(error, IMIG_ERR_UNSUPPORTED, "host %s is offline", from->id);
    if (v->blocked)
        return imig__fail(error, IMIG_ERR_UNSUPPORTED, "VM %s is blocked: %s", v->id, v->blocked);
    if (cluster->host_pool[sim->vms[vm].host] != cluster->host_pool[host])
        return imig__fail(error, IMIG_ERR_UNSUPPORTED, "VM %s: host %s is in pool %s, not %s",
                          v->id, to->id, to->pool, from->pool);
    if (!imig__vm_may_be_on(cluster, vm, host))
        return imig__fail(error, IMIG_ERR_UNSUPPORTED, "VM %s may not be on host %s", v->id,
                          to->id);
    return IMIG_OK;
}

int
imig__sim_check(void *state, const char *vm, const char *host, imig_error **error)
{
    uint32_t vm_index, host_index;
    int code = find_both(state, vm, host, &vm_index, &host_index, error);

    return code == IMIG_OK ? check_place(state, vm_index, host_index, error) : code;
}

static int
check_migration(const imig__sim *sim, const imig_migration *m, uint32_t vm, uint32_t to,
                imig_error **error)
{
    const imig__sim_vm *v = &sim->vms[vm];
    int code;

    if (m->to_uri)
        return imig__fail(error, IMIG_ERR_UNSUPPORTED, "%s is another simulated cluster",
                          m->to_uri);
    if (v->host == to)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "VM %s is on host %s already", m->vm, m->to);
    if (v->job || v->log)
        return imig__fail(error, IMIG_ERR_BUSY, "VM %s is being %s", m->vm,
                          v->job ? "migrated" : "measured");
    code = check_place(sim, vm, to, error);
    if (code != IMIG_OK)
        return code;
    if (!imig__flags_move_disks(m->flags)
        && imig__vm_has_local_disk(&sim->cluster->vms[vm], NULL))
        return imig__fail(error, IMIG_ERR_UNSUPPORTED,
                          "VM %s has a disk on its host only; IMIG_MIGRATE_COPY_DISKS copies it",
                          m->vm);
    if (imig__sim_memory_need(sim, vm, to) > sim->hosts[to].memory_left)
        return imig__fail(error, IMIG_ERR_UNSUPPORTED,
                          "VM %s needs %.0f bytes of memory, host %s has %.0f left", m->vm,
                          imig__sim_memory_need(sim, vm, to), m->to,
                          fmax(0, sim->hosts[to].memory_left));
    return IMIG_OK;
}

static uint32_t
free_slot(imig__sim *sim, imig__sim_job *job)
{
    uint32_t slot;

    if (sim->free_slots->len > 0) {
        slot = g_array_index(sim->free_slots, uint32_t, sim->free_slots->len - 1);
        g_array_set_size(sim->free_slots, sim->free_slots->len - 1);
        g_ptr_array_index(sim->jobs, slot) = job;
        return slot;
    }
    g_ptr_array_add(sim->jobs, job);
    return sim->jobs->len - 1;
}

int
imig__sim_migrate(void *state, const imig_migration *m, uint64_t *ret_job, imig_error **error)
{
    imig__sim *sim = state;
    imig__sim_job *job;
    imig__sim_vm *v;
    uint32_t vm, to;
    int code = find_both(sim, m->vm, m->to, &vm, &to, error);

    if (code == IMIG_OK)
        code = check_migration(sim, m, vm, to, error);
    if (code != IMIG_OK)
        return code;
    v = &sim->vms[vm];
    job = g_new0(imig__sim_job, 1);
    job->number = ++sim->last_job;
    job->slot = free_slot(sim, job);
    job->vm = vm;
    job->from = v->host;
    job->to = to;
    job->rules = imig__sim_rules_of(sim->cluster->hosts[v->host].hypervisor);
    job->phase = IMIG__SIM_SETUP;
    job->flags = m->flags;
    job->cap_bytes_per_s = m->bandwidth_bytes_per_s > 0 ? m->bandwidth_bytes_per_s
                                                        : (double) INFINITY;
    job->downtime_limit_s = m->downtime_limit_s > 0 ? m->downtime_limit_s
                                                    : job->rules->downtime_limit_s;
    job->timeout_at_s = m->timeout_s > 0 ? sim->clock_s + m->timeout_s : (double) INFINITY;
    job->started_s = sim->clock_s;
    job->phase_end_s = sim->clock_s + job->rules->setup_s;
    if (sim->faults && sim->faults[vm].fail_count > 0) {
        sim->faults[vm].fail_count--;
        job->fails = TRUE;
    }
    sim->hosts[to].memory_left -= imig__sim_memory_need(sim, vm, to);
    imig__sim_settle(sim, vm);
    v->job = job;
    v->slowdown = LEAST_SLOWDOWN + DIRTY_SLOWDOWN * imig__sim_dirty_ratio(sim, vm);
    g_hash_table_insert(sim->by_number, &job->number, job);
    imig__sim_job_schedule(sim, job);
    *ret_job = job->number;
    return IMIG_OK;
}

void
imig__sim_job_free(imig__sim *sim, imig__sim_job *job)
{
    g_hash_table_remove(sim->by_number, &job->number);
    g_ptr_array_index(sim->jobs, job->slot) = NULL;
    g_array_append_val(sim->free_slots, job->slot);
    g_free(job);
}

static int
find_job(const imig__sim *sim, uint64_t number, imig__sim_job **job, imig_error **error)
{
    *job = g_hash_table_lookup(sim->by_number, &number);
    if (!*job)
        return imig__fail(error, IMIG_ERR_NOT_FOUND, "no job %" G_GUINT64_FORMAT, number);
    return IMIG_OK;
}

int
imig__sim_poll(void *state, uint64_t number, imig_job *into, imig_error **error)
{
    const imig__sim *sim = state;
    imig__sim_job *real, copy, *job = &copy; /* looking changes nothing, not even roundings */
    int code = find_job(sim, number, &real, error);

    if (code != IMIG_OK)
        return code;
    copy = *real;
    imig__sim_job_settle(sim, job);
    *into = (imig_job) {
        .size = sizeof *into,
        .present = IMIG_JOB_HAS_TRANSFERRED | IMIG_JOB_HAS_ROUNDS,
        .started_s = job->started_s,
        .ended_s = job->phase == IMIG__SIM_ENDED ? job->ended_s : sim->clock_s,
        .transferred_bytes = job->sent_bytes,
        .rounds = job->rounds,
        .state = job->state,
        .error_code = job->error_code,
    };
    if (job->message)
        g_strlcpy(into->message, job->message, sizeof into->message);
    if (job->downtime_s > 0) {
        into->present |= IMIG_JOB_HAS_DOWNTIME;
        into->downtime_s = job->downtime_s;
    }
    if (job->phase == IMIG__SIM_ENDED)
        return IMIG_OK;
    into->present |= IMIG_JOB_HAS_REMAINING;
    into->remaining_bytes = imig__sim_copies(job) ? job->left_bytes + job->rest_bytes : 0;
    if (sim->cluster->vms[job->vm].present & UINT64_C(1) << IMIG_METRIC_DIRTY_BYTES_PER_S) {
        into->present |= IMIG_JOB_HAS_DIRTY;
        into->dirty_bytes_per_s = imig__sim_dirty_rate(sim, job->vm);
    }
    return IMIG_OK;
}

int
imig__sim_cancel(void *state, uint64_t number, imig_error **error)
{
    imig__sim *sim = state;
    imig__sim_job *job;
    int code = find_job(sim, number, &job, error);

    if (code != IMIG_OK || job->state != IMIG_JOB_RUNNING)
        return code;
    imig__sim_job_give_up(sim, job, IMIG_JOB_CANCELLED, IMIG_ERR_CANCELLED, "cancelled");
    imig__sim_rebalance(sim);
    return IMIG_OK;
}

int
imig__sim_result(void *state, uint64_t number, imig_job *into, imig_error **error)
{
    imig__sim *sim = state;
    imig__sim_job *job;
    int code = find_job(sim, number, &job, error);

    if (code != IMIG_OK)
        return code;
    if (job->phase != IMIG__SIM_ENDED)
        return imig__fail(error, IMIG_ERR_BUSY, "job %" G_GUINT64_FORMAT " has not ended", number);
    code = imig__sim_poll(state, number, into, error);
    imig__sim_job_free(sim, job);
    return code;
}
