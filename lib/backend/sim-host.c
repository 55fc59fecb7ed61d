/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/sim-priv.h"

#include <math.h>

/* The simulator's own parameters; doc/paper-map.md says where they come from. */
static const double ASSUMED_NET_BYTES_PER_S = 1.25e8; /* of a host that states none */
static const double PAYLOAD_RATIO = 0.94;             /* of a link, what is not headers */
static const double LEAST_RATIO = 0.1;                /* of a network, left to migrations */
static const double CPU_BESIDE_CPU = 0.2;             /* work lost on a host that others fill */
static const double DISK_BESIDE_DISK = 0.6;           /* the same of a VM that uses the disk */
static const double USES_DISK_RATIO = 0.05;           /* of the disk's capacity, from here on */

static double
disk_demand(const imig__sim *sim, uint32_t vm, uint32_t host)
{
    double capacity = sim->cluster->hosts[host].disk_ops_per_s;

    if (!(sim->cluster->hosts[host].present & IMIG_HOST_HAS_DISK_OPS))
        return 0;
    return sim->cluster->vms[vm].disk_ops_per_s / capacity;
}

/* Adds what the host's shares grew by since it was last looked at. */
static void
settle_host(imig__sim *sim, imig__sim_host *h, double cores)
{
    double dt = sim->clock_s - h->settled_s;
    imig__sim_shares *s = &h->shares;

    s->cpu_s += h->cpu_ratio * dt;
    s->disk_s += h->disk_ratio * dt;
    s->crowd_s += h->cpu_ratio * h->demand_cores / cores * dt;
    s->queue_s += h->cpu_ratio * h->disk_load * dt;
    s->mix_s += h->cpu_ratio * h->disk_ratio * dt;
    h->settled_s = sim->clock_s;
}

double
imig__sim_cpu_s(imig__sim *sim, uint32_t host)
{
    settle_host(sim, &sim->hosts[host], sim->cluster->hosts[host].cpu_cores);
    return sim->hosts[host].shares.cpu_s;
}

void
imig__sim_settle(imig__sim *sim, uint32_t vm)
{
    imig__sim_vm *v = &sim->vms[vm];
    const imig__sim_shares *now = &sim->hosts[v->host].shares;
    double cores = sim->cluster->hosts[v->host].cpu_cores, queue;
    double own = v->demand_cores / cores, cpu_s, lost_s, running = 1 - v->throttled;

    imig__sim_cpu_s(sim, v->host);
    if (!v->stopped) {
        cpu_s = now->cpu_s - v->mark.cpu_s;
        v->active_s += sim->clock_s - v->settled_s;
        v->cpu_s += cpu_s * running;
        v->wait_s += fmax(0, sim->clock_s - v->settled_s - cpu_s * running);
        v->disk_s += (now->disk_s - v->mark.disk_s) * running;

        /* Interference: what its neighbours, not itself, take. */
        lost_s = CPU_BESIDE_CPU * (now->crowd_s - v->mark.crowd_s - own * cpu_s);
        queue = disk_demand(sim, vm, v->host);
        if (queue >= USES_DISK_RATIO)
            lost_s += DISK_BESIDE_DISK * (now->queue_s - v->mark.queue_s -
                                          queue * (now->mix_s - v->mark.mix_s));
        v->work_s += v->demand_cores * (cpu_s - lost_s) * running * (1 - v->slowdown);
    }
    v->mark = *now;
    v->settled_s = sim->clock_s;
}

/* Bytes/s a VM exchanges with VMs on its own host: they never see the network. */
static void
local_traffic(const imig__sim *sim, uint32_t vm, double *tx, double *rx)
{
    *tx = *rx = 0;
    for (uint32_t i = sim->flow_start[vm]; i < sim->flow_start[vm + 1]; i++) {
        const imig__flow *flow = &sim->cluster->flows[sim->flow_list[i]];

        if (sim->vms[flow->a].host != sim->vms[flow->b].host)
            continue;
        *(flow->a == vm ? tx : rx) += flow->bytes_per_s;
    }
}

static double
link_capacity(const imig_host_info *info, double net_bytes_per_s, double used_bytes_per_s)
{
    if (info->present & IMIG_HOST_HAS_MIGRATION)
        return PAYLOAD_RATIO * info->migration_bytes_per_s;
    return PAYLOAD_RATIO * fmax(LEAST_RATIO * net_bytes_per_s, net_bytes_per_s - used_bytes_per_s);
}

void
imig__sim_refresh(imig__sim *sim, uint32_t host)
{
    const imig_host_info *info = &sim->cluster->hosts[host];
    imig__sim_host *h = &sim->hosts[host];
    double disk = 0, tx = 0, rx = 0;

    settle_host(sim, h, info->cpu_cores);
    h->demand_cores = 0;
    for (uint32_t vm = h->first_vm; vm != IMIG_NO_INDEX; vm = sim->vms[vm].next) {
        const imig__sim_vm *v = &sim->vms[vm];
        double local_tx, local_rx;

        if (v->stopped)
            continue;
        local_traffic(sim, vm, &local_tx, &local_rx);
        h->demand_cores += v->demand_cores * (1 - v->throttled);
        disk += disk_demand(sim, vm, host) * (1 - v->throttled);
        tx += fmax(0, sim->cluster->vms[vm].net_tx_bytes_per_s - local_tx);
        rx += fmax(0, sim->cluster->vms[vm].net_rx_bytes_per_s - local_rx);
    }
    h->cpu_ratio = h->demand_cores > info->cpu_cores ? info->cpu_cores / h->demand_cores : 1;
    h->disk_ratio = disk > h->disk_most ? h->disk_most / disk : 1;
    h->disk_load = fmin(disk, 1);
    h->dirtying = 0;
    for (uint32_t vm = h->first_vm; vm != IMIG_NO_INDEX; vm = sim->vms[vm].next)
        h->dirtying += imig__sim_dirty_ratio(sim, vm);
    h->link[IMIG__SIM_OUT].bytes_per_s = link_capacity(info, h->net_bytes_per_s, tx);
    h->link[IMIG__SIM_OUT].full_bytes_per_s = link_capacity(info, h->net_bytes_per_s, 0);
    h->link[IMIG__SIM_IN].bytes_per_s = link_capacity(info, h->net_bytes_per_s, rx);
    imig__sim_link_touch(sim, host);
}

double
imig__sim_dirty_rate(const imig__sim *sim, uint32_t vm)
{
    const imig__sim_vm *v = &sim->vms[vm];

    if (v->stopped)
        return 0;
    return v->dirty_bytes_per_s * (1 - v->throttled) * sim->hosts[v->host].cpu_ratio;
}

double
imig__sim_dirty_ratio(const imig__sim *sim, uint32_t vm)
{
    return fmin(1, imig__sim_dirty_rate(sim, vm) / sim->hosts[sim->vms[vm].host].net_bytes_per_s);
}

double
imig__sim_dirtied(const imig__sim *sim, uint32_t vm, double cpu_s)
{
    const imig__sim_vm *v = &sim->vms[vm];
    double written = v->dirty_bytes_per_s * (1 - v->throttled) * cpu_s;

    if (v->working_set_bytes <= 0)
        return 0;
    return v->working_set_bytes * -expm1(-written / v->working_set_bytes);
}

double
imig__sim_memory_need(const imig__sim *sim, uint32_t vm, uint32_t host)
{
    return sim->cluster->vms[vm].memory_bytes + sim->cluster->hosts[host].vm_overhead_bytes;
}

static void
list_enter(imig__sim *sim, uint32_t vm, uint32_t host)
{
    imig__sim_vm *v = &sim->vms[vm];
    imig__sim_host *h = &sim->hosts[host];

    v->host = host;
    v->prev = IMIG_NO_INDEX;
    v->next = h->first_vm;
    if (h->first_vm != IMIG_NO_INDEX)
        sim->vms[h->first_vm].prev = vm;
    h->first_vm = vm;
}

static void
list_leave(imig__sim *sim, uint32_t vm)
{
    const imig__sim_vm *v = &sim->vms[vm];

    if (v->prev != IMIG_NO_INDEX)
        sim->vms[v->prev].next = v->next;
    else
        sim->hosts[v->host].first_vm = v->next;
    if (v->next != IMIG_NO_INDEX)
        sim->vms[v->next].prev = v->prev;
}

void
imig__sim_move(imig__sim *sim, uint32_t vm, uint32_t host)
{
    imig__sim_vm *v = &sim->vms[vm];
    uint32_t from = v->host;

    imig__sim_settle(sim, vm);
    list_leave(sim, vm);
    list_enter(sim, vm, host);
    sim->hosts[from].memory_left += imig__sim_memory_need(sim, vm, from);
    v->active_s = v->cpu_s = v->disk_s = v->wait_s = 0; /* its counters restart */
    imig__sim_counters_restart(sim, vm);
    imig__sim_refresh(sim, from);
    imig__sim_refresh(sim, host);
    v->mark = sim->hosts[host].shares;
    v->settled_s = sim->clock_s;
}

static void
list_flows(imig__sim *sim)
{
    const imig_cluster *cluster = sim->cluster;
    uint32_t *at;

    sim->flow_start = g_new0(uint32_t, cluster->vm_count + 1);
    sim->flow_list = g_new(uint32_t, 2 * cluster->flow_count);
    for (size_t i = 0; i < cluster->flow_count; i++) {
        sim->flow_start[cluster->flows[i].a + 1]++;
        sim->flow_start[cluster->flows[i].b + 1]++;
    }
    for (size_t i = 0; i < cluster->vm_count; i++)
        sim->flow_start[i + 1] += sim->flow_start[i];
    at = g_memdup2(sim->flow_start, (cluster->vm_count + 1) * sizeof *at);
    for (uint32_t i = 0; i < cluster->flow_count; i++) {
        sim->flow_list[at[cluster->flows[i].a]++] = i;
        sim->flow_list[at[cluster->flows[i].b]++] = i;
    }
    g_free(at);
}

static void
init_vm(imig__sim *sim, uint32_t vm)
{
    const imig_vm_info *info = &sim->cluster->vms[vm];
    imig__sim_vm *v = &sim->vms[vm];
    double demand = imig__vm_demand(info);

    v->demand_cores = isnan(demand) ? 0 : demand;
    v->settled_s = sim->clock_s;
    v->dirty_bytes_per_s = info->dirty_bytes_per_s;
    v->working_set_bytes = info->present & UINT64_C(1) << IMIG_METRIC_WORKING_SET_BYTES
                               ? info->working_set_bytes : info->memory_bytes;
    sim->hosts[info->host].disk_most += disk_demand(sim, vm, info->host);
    list_enter(sim, vm, info->host);
    sim->hosts[info->host].memory_left -= imig__sim_memory_need(sim, vm, info->host);
}

void
imig__sim_hosts_init(imig__sim *sim)
{
    const imig_cluster *cluster = sim->cluster;

    list_flows(sim);
    sim->hosts = g_new0(imig__sim_host, cluster->host_count);
    sim->vms = g_new0(imig__sim_vm, cluster->vm_count);
    for (size_t i = 0; i < cluster->host_count; i++) {
        const imig_host_info *info = &cluster->hosts[i];

        sim->hosts[i].first_vm = IMIG_NO_INDEX;
        for (imig__sim_way way = 0; way < IMIG__SIM_WAYS; way++)
            sim->hosts[i].link[way].id = (uint32_t) (IMIG__SIM_WAYS * i + way);
        sim->hosts[i].settled_s = sim->clock_s;
        sim->hosts[i].net_bytes_per_s = info->present & IMIG_HOST_HAS_NET ? info->net_bytes_per_s
                                                                          : ASSUMED_NET_BYTES_PER_S;
        sim->hosts[i].memory_left = imig__host_usable_memory(info);
    }
    for (uint32_t i = (uint32_t) cluster->vm_count; i-- > 0;) /* lists in the document's order */
        init_vm(sim, i);
    for (uint32_t i = 0; i < cluster->host_count; i++) {
        /* What a document says is done: a disk that does more than it can is a faster disk. */
        sim->hosts[i].disk_most = fmax(1, sim->hosts[i].disk_most);
        imig__sim_refresh(sim, i);
    }

    /* A document says what a VM dirties where it is, with the share of the CPU it gets there. */
    for (uint32_t i = 0; i < cluster->vm_count; i++)
        sim->vms[i].dirty_bytes_per_s /= sim->hosts[sim->vms[i].host].cpu_ratio;
    for (uint32_t i = 0; i < cluster->host_count; i++)
        imig__sim_refresh(sim, i);
}
