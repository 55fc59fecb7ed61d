/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cost/calibration-priv.h"
#include "cost/interplay-priv.h"
#include "cost/precopy-priv.h"
#include "cost/traffic-priv.h"
#include "model/cluster-priv.h"
#include "model/workload-priv.h"

#include <imig/workload.h>
#include <math.h>

/* doc/paper-map.md says where each number comes from. */
static const double assumed_net_bytes_per_s = 1.25e8;
static const double least_share = 0.1;       /* of a shared link that a migration always gets */
static const double cpu_bound_from = 0.5;    /* utilisation at which that begins to show */

/* What is asked of a VM again and again, wherever it is. */
struct guest {
    double tx, rx; /* bytes/s in all */
    double dirty;  /* bytes/s, with as much CPU as it wants, */
    double seen;   /* and as measured */
    double demand; /* cores; 0 where it was not measured */
};

/* What it exchanges with VMs on its own host does not use the NIC. */
struct local {
    double tx, rx;
};

struct neighbour {
    uint32_t vm;
    double tx, rx; /* of the VM in whose list it stands */
};

struct imig__traffic {
    const imig_cluster *cluster;
    const int32_t *workload;
    double cap_bytes_per_s, downtime_limit_s; /* cap: of the stream; INFINITY: none */
    gboolean copies_disks;         /* those that are not shared */
    imig__side *sides;             /* [host_count] */
    uint32_t *host;                /* [vm_count] where each VM is */
    struct local *local;           /* [vm_count]; NULL where there are no flows */
    gboolean is_copy;              /* the rest belongs to the one it was copied from */
    imig_constants *assumed;       /* [imig_hypervisor_name()] */
    imig__pairs *pairs;            /* NULL: nothing was learned of any */
    const imig__hypervisor **hypervisor; /* [host_count] */
    struct guest *guests;          /* [vm_count] */
    struct neighbour *neighbours;  /* [first[vm] .. first[vm + 1]) of a VM */
    size_t *first;                 /* [vm_count + 1] */
};

static gboolean
has(const imig_vm_info *vm, imig_metric metric)
{
    return (vm->present & UINT64_C(1) << metric) != 0;
}

static double
value_of(const imig_vm_info *vm, imig_metric metric, double value)
{
    return has(vm, metric) ? value : 0;
}

const imig__side *
imig__traffic_side(const imig__traffic *t, uint32_t host)
{
    return &t->sides[host];
}

imig__usage
imig__traffic_usage(const imig__traffic *t, uint32_t vm)
{
    const struct guest *g = &t->guests[vm];
    struct local local = t->local ? t->local[vm] : (struct local) { 0, 0 };

    return (imig__usage) {
        .tx = MAX(g->tx - local.tx, 0),
        .rx = MAX(g->rx - local.rx, 0),
        .dirty = MIN(g->dirty / t->sides[t->host[vm]].net, 1),
        .demand = g->demand,
    };
}

double
imig__side_cpu_share(const imig__side *side)
{
    return side->usage.demand > side->cores ? side->cores / side->usage.demand : 1;
}

/* That others take its CPU before it leaves is nothing to count on. */
double
imig__traffic_dirty(const imig__traffic *t, uint32_t vm)
{
    const struct guest *g = &t->guests[vm];

    return MAX(g->dirty * imig__side_cpu_share(&t->sides[t->host[vm]]), g->seen);
}

/* Adds a VM to the sums of its host, or with sign -1 takes it out. */
static void
add_guest(imig__traffic *t, uint32_t vm, double sign)
{
    imig__usage usage = imig__traffic_usage(t, vm);

    imig__side_add(&t->sides[t->host[vm]], &usage, sign);
}

static void
list_neighbours(imig__traffic *t)
{
    const imig_cluster *c = t->cluster;
    size_t *next;

    t->first = g_new0(size_t, c->vm_count + 1);
    t->neighbours = g_new(struct neighbour, 2 * c->flow_count);
    for (size_t i = 0; i < c->flow_count; i++) {
        t->first[c->flows[i].a + 1]++;
        t->first[c->flows[i].b + 1]++;
    }
    for (size_t i = 0; i < c->vm_count; i++)
        t->first[i + 1] += t->first[i];
    next = g_memdup2(t->first, c->vm_count * sizeof *next);
    for (size_t i = 0; i < c->flow_count; i++) {
        const imig__flow *f = &c->flows[i];

        t->neighbours[next[f->a]++] = (struct neighbour) { .vm = f->b, .tx = f->bytes_per_s };
        t->neighbours[next[f->b]++] = (struct neighbour) { .vm = f->a, .rx = f->bytes_per_s };
    }
    g_free(next);
}

static void
fill_guest(imig__traffic *t, uint32_t vm)
{
    const imig_vm_info *info = &t->cluster->vms[vm];
    struct guest *g = &t->guests[vm];
    double demand = imig__vm_demand(info), tx = 0, rx = 0;

    t->host[vm] = info->host;
    g->seen = value_of(info, IMIG_METRIC_DIRTY_BYTES_PER_S, info->dirty_bytes_per_s);
    g->dirty = g->seen;
    g->demand = isnan(demand) ? 0 : demand;
    for (size_t i = t->first[vm]; i < t->first[vm + 1]; i++) {
        const struct neighbour *n = &t->neighbours[i];

        tx += n->tx;
        rx += n->rx;
        if (t->cluster->vms[n->vm].host == info->host) {
            t->local[vm].tx += n->tx;
            t->local[vm].rx += n->rx;
        }
    }
    /* A flow says as much as a counter that was not read. */
    g->tx = has(info, IMIG_METRIC_NET_TX_BYTES_PER_S) ? info->net_tx_bytes_per_s : tx;
    g->rx = has(info, IMIG_METRIC_NET_RX_BYTES_PER_S) ? info->net_rx_bytes_per_s : rx;
}

/* Who is short of CPU dirties less than he would, and was measured so. */
static void
allow_for_shortage(imig__traffic *t)
{
    const imig_cluster *c = t->cluster;
    double *share = g_new(double, c->host_count);

    for (size_t i = 0; i < c->host_count; i++)
        share[i] = imig__side_cpu_share(&t->sides[i]);
    for (uint32_t i = 0; i < c->vm_count; i++) {
        if (share[t->host[i]] == 1)
            continue;
        add_guest(t, i, -1);
        t->guests[i].dirty /= share[t->host[i]];
        add_guest(t, i, 1);
    }
    g_free(share);
}

imig__traffic *
imig__traffic_new(const imig_cluster *cluster, const int32_t *workload,
                  const imig_predict_options *options)
{
    imig__traffic *t = g_new0(imig__traffic, 1);

    g_assert(cluster->finished && (workload || cluster->vm_count == 0));
    t->cluster = cluster;
    t->workload = workload;
    t->cap_bytes_per_s = options && options->set & IMIG_PREDICT_HAS_BANDWIDTH
        ? options->bandwidth_bytes_per_s : INFINITY;
    t->downtime_limit_s = options && options->set & IMIG_PREDICT_HAS_DOWNTIME_LIMIT
        ? options->downtime_limit_s : IMIG__DOWNTIME_LIMIT_S;
    t->copies_disks = imig__flags_copy_disks(options ? options->migrate_flags : 0);
    t->assumed = imig__constants_all_assumed();
    t->pairs = imig__pairs_new(options ? options->calibration : NULL, cluster);
    t->sides = g_new0(imig__side, cluster->host_count);
    t->host = g_new(uint32_t, cluster->vm_count);
    t->local = cluster->flow_count > 0 ? g_new0(struct local, cluster->vm_count) : NULL;
    t->hypervisor = g_new(const imig__hypervisor *, cluster->host_count);
    t->guests = g_new(struct guest, cluster->vm_count);
    list_neighbours(t);
    for (size_t i = 0; i < cluster->host_count; i++) {
        const imig_host_info *host = &cluster->hosts[i];

        t->sides[i].net = host->present & IMIG_HOST_HAS_NET ? host->net_bytes_per_s
                                                           : assumed_net_bytes_per_s;
        if (host->present & IMIG_HOST_HAS_MIGRATION)
            t->sides[i].link = host->migration_bytes_per_s;
        t->sides[i].cores = host->cpu_cores;
        t->sides[i].host = (uint32_t) i;
        t->hypervisor[i] = imig__hypervisor_find(host->hypervisor);
        if (!t->hypervisor[i])
            t->hypervisor[i] = imig__hypervisor_find(NULL);
        t->sides[i].constants = imig__calibration_lookup(options ? options->calibration : NULL,
                                                         t->assumed, host->hypervisor);
    }
    for (uint32_t i = 0; i < cluster->vm_count; i++) {
        fill_guest(t, i);
        add_guest(t, i, 1);
    }
    allow_for_shortage(t);
    return t;
}

void
imig__traffic_free(imig__traffic *t)
{
    if (!t)
        return;
    g_free(t->sides);
    g_free(t->host);
    g_free(t->local);
    if (!t->is_copy) {
        imig__pairs_free(t->pairs);
        g_free(t->assumed);
        g_free(t->hypervisor);
        g_free(t->guests);
        g_free(t->neighbours);
        g_free(t->first);
    }
    g_free(t);
}

imig__traffic *
imig__traffic_copy(const imig__traffic *t)
{
    imig__traffic *copy = g_memdup2(t, sizeof *t);
    const imig_cluster *c = t->cluster;

    copy->is_copy = TRUE;
    copy->sides = g_memdup2(t->sides, c->host_count * sizeof *t->sides);
    copy->host = g_memdup2(t->host, c->vm_count * sizeof *t->host);
    copy->local = t->local ? g_memdup2(t->local, c->vm_count * sizeof *t->local) : NULL;
    return copy;
}

void
imig__traffic_move(imig__traffic *t, uint32_t vm, uint32_t host)
{
    uint32_t from = t->host[vm];

    g_assert(vm < t->cluster->vm_count && host < t->cluster->host_count);
    if (from == host)
        return;
    add_guest(t, vm, -1);
    for (size_t i = t->first[vm]; i < t->first[vm + 1]; i++) {
        const struct neighbour *n = &t->neighbours[i];
        struct local *mine = &t->local[vm], *theirs = &t->local[n->vm];
        double sign = t->host[n->vm] == host ? 1 : t->host[n->vm] == from ? -1 : 0;

        if (sign == 0)
            continue;
        add_guest(t, n->vm, -1);
        mine->tx += sign * n->tx;
        mine->rx += sign * n->rx;
        theirs->rx += sign * n->tx;
        theirs->tx += sign * n->rx;
        add_guest(t, n->vm, 1);
    }
    t->host[vm] = host;
    add_guest(t, vm, 1);
}

double
imig__side_link_left(const imig__side *side, double taken)
{
    if (side->link > 0)
        return side->link;
    return MAX(side->net - MAX(taken, 0), least_share * side->net);
}

double
imig__dirty_hold(double dirty_hold_ratio, double cpu_ratio, double dirty_ratio)
{
    double bound = CLAMP((cpu_ratio - cpu_bound_from) / (1 - cpu_bound_from), 0, 1);

    return dirty_hold_ratio * bound * MAX(dirty_ratio, 0);
}

static double
dirty_hold(const imig__side *side, double dirty)
{
    return imig__dirty_hold(side->constants->dirty_hold_ratio, side->usage.demand / side->cores,
                            dirty * imig__side_cpu_share(side));
}

/* Only a queue that is nearly always there holds up the acknowledgements. */
double
imig__receive_hold(double receive_hold_ratio, double sent_ratio)
{
    double u = CLAMP(sent_ratio, 0, 1), squared = u * u;

    return receive_hold_ratio * squared * squared;
}

static double
live_rate(const imig__traffic *t, double share, double link_bytes_per_s)
{
    return MIN(share * link_bytes_per_s, t->cap_bytes_per_s);
}

static double
stop_rate(const imig__traffic *t, uint32_t from, double share, double link_bytes_per_s)
{
    return t->hypervisor[from]->caps_live_only ? share * link_bytes_per_s
                                               : live_rate(t, share, link_bytes_per_s);
}

/* sent: of the destination's link, by migrations that leave it. */
static void
find_rates(const imig__traffic *t, const imig__usage *own, const imig__side *from,
           const imig__side *into, uint32_t out_sharing, uint32_t in_sharing, double sent,
           double *live, double *stop)
{
    const double share = imig__pairs_link_share(t->pairs, from->host, into->host,
                                                from->constants->link_share_ratio);
    /* A VM that stands still sends nothing, nor do dirtying neighbours keep it from copying. */
    double out_live = imig__side_link_left(from, from->usage.tx) / out_sharing;
    double out_stop = imig__side_link_left(from, from->usage.tx - own->tx) / out_sharing;
    double in = imig__side_link_left(into, into->usage.rx) / in_sharing;
    double hold = dirty_hold(from, from->usage.dirty - own->dirty);
    double received = 1 + imig__receive_hold(from->constants->receive_hold_ratio, sent);

    *live = live_rate(t, share, MIN(out_live, in) / received) / (1 + hold);
    *stop = stop_rate(t, from->host, share, MIN(out_stop, in) / received);
}

void
imig__traffic_rates(const imig__traffic *t, const imig__usage *own, const imig__side *from,
                    const imig__side *into, uint32_t out_sharing, uint32_t in_sharing,
                    double *live, double *stop)
{
    find_rates(t, own, from, into, out_sharing, in_sharing, 0, live, stop);
}

static imig__precopy
precopy_of(const imig__traffic *t, uint32_t vm, double live, double stop)
{
    const imig_vm_info *info = &t->cluster->vms[vm];
    imig__precopy p = {
        .hypervisor = t->hypervisor[t->host[vm]],
        .memory_bytes = info->memory_bytes,
        .nonzero_bytes = info->memory_bytes,
        .populated_bytes = info->memory_bytes,
        .working_set_bytes = info->memory_bytes,
        .dirty_bytes_per_s = imig__traffic_dirty(t, vm),
        .downtime_limit_s = t->downtime_limit_s,
        .live_bytes_per_s = live,
        .stop_bytes_per_s = stop,
        .capped = t->cap_bytes_per_s < stop,
        .writes = IMIG_WRITES_RANDOM,
        .workload_class = t->workload[vm],
    };

    if (has(info, IMIG_METRIC_MEMORY_NONZERO_BYTES))
        p.nonzero_bytes = MIN(info->memory_nonzero_bytes, info->memory_bytes);
    if (has(info, IMIG_METRIC_MEMORY_POPULATED_BYTES))
        p.populated_bytes = info->memory_populated_bytes;
    if (has(info, IMIG_METRIC_WORKING_SET_BYTES))
        p.working_set_bytes = MIN(info->working_set_bytes, info->memory_bytes);
    if (t->copies_disks)
        imig__vm_has_local_disk(info, &p.disk_bytes);
    imig__precopy_learn(&p, t->sides[t->host[vm]].constants);
    return p;
}

void
imig__traffic_predict_at(const imig__traffic *t, uint32_t vm, double live, double stop,
                         imig_cost *cost)
{
    imig__precopy p = precopy_of(t, vm, live, stop);

    imig__precopy_predict(&p, cost, NULL);
}

void
imig__traffic_predict(const imig__traffic *t, uint32_t vm, uint32_t to, uint32_t out_sharing,
                      uint32_t in_sharing, imig_cost *cost)
{
    double rate;

    imig__traffic_predict_beside(t, vm, to, out_sharing, in_sharing, 0, cost, &rate);
}

void
imig__traffic_predict_beside(const imig__traffic *t, uint32_t vm, uint32_t to,
                             uint32_t out_sharing, uint32_t in_sharing, double sending,
                             imig_cost *cost, double *rate)
{
    const imig__side *into = &t->sides[to];
    double link = into->link > 0 ? into->link : into->net;
    imig__usage own;
    double sent, stop;

    g_assert(vm < t->cluster->vm_count && to < t->cluster->host_count);
    g_assert(out_sharing >= 1 && in_sharing >= 1);
    own = imig__traffic_usage(t, vm);
    sent = sending / (t->sides[t->host[vm]].constants->link_share_ratio * link);
    find_rates(t, &own, &t->sides[t->host[vm]], into, out_sharing, in_sharing, sent, rate,
               &stop);
    imig__traffic_predict_at(t, vm, *rate, stop, cost);
}

void
imig__traffic_predict_idle(const imig__traffic *t, uint32_t vm, imig_cost *cost)
{
    const struct guest *g = &t->guests[vm];
    const imig__side *from = &t->sides[t->host[vm]];
    imig_cost least = IMIG_COST_INIT;
    double own = g->tx, share;
    imig__precopy p;

    g_assert(vm < t->cluster->vm_count);
    /* What it sends to VMs of the cluster may be local by then; the rest it sends anyway. */
    for (size_t i = t->first[vm]; i < t->first[vm + 1]; i++)
        own -= t->neighbours[i].tx;
    share = imig__pairs_best_share(t->pairs, from->host, from->constants->link_share_ratio);
    p = precopy_of(t, vm, live_rate(t, share, imig__side_link_left(from, own)),
                   stop_rate(t, from->host, share, imig__side_link_left(from, 0)));
    imig__precopy_predict(&p, cost, NULL);
    /* More bandwidth may mean a larger remainder, never a shorter fixed part. */
    p.dirty_bytes_per_s = p.downtime_limit_s = 0;
    imig__precopy_predict(&p, &least, NULL);
    cost->downtime_s = least.downtime_s;
}

void
imig__traffic_hold(const imig__traffic *t, uint32_t vm, uint32_t to, double *hold_source,
                   double *hold_destination)
{
    const struct guest *g = &t->guests[vm];
    const imig_vm_info *info = &t->cluster->vms[vm];
    const imig__workload_row *row = t->workload[vm] == IMIG_WORKLOAD_UNKNOWN
        ? NULL : &imig__workload_rows[t->workload[vm]];
    const imig__side *from = &t->sides[t->host[vm]], *into = &t->sides[to];
    const imig__usage own = imig__traffic_usage(t, vm);
    gboolean has_flows = t->first[vm] < t->first[vm + 1];

    g_assert(vm < t->cluster->vm_count && to < t->cluster->host_count);
    if (has_flows || has(info, IMIG_METRIC_NET_TX_BYTES_PER_S)
        || has(info, IMIG_METRIC_DIRTY_BYTES_PER_S)) {
        double now = imig__side_link_left(from, from->usage.tx)
                     / (1 + dirty_hold(from, from->usage.dirty));
        double without = imig__side_link_left(from, from->usage.tx - own.tx)
                         / (1 + dirty_hold(from, from->usage.dirty - own.dirty));

        *hold_source = 1 - now / without;
    } else {
        /* The row says by how much it lengthens the time without it. */
        *hold_source = row ? row->hold_source / (1 + row->hold_source) : 0;
    }
    if (has_flows || has(info, IMIG_METRIC_NET_RX_BYTES_PER_S))
        *hold_destination = imig__side_link_left(into, into->usage.rx)
                            / imig__side_link_left(into, into->usage.rx + g->rx) - 1;
    else
        *hold_destination = row ? row->hold_destination : 0;
}
