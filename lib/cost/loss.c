/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cost/loss-priv.h"

#include "model/cluster-priv.h"
#include "model/workload-priv.h"

#include <math.h>
#include <string.h>

#define KNEE IMIG__KNEE

/* Assumed (doc/paper-map.md): section 3.2 says "significant", Fig. 3 has no figures. */
#define DISK_SLOWDOWN 1.0

static double
link_slope(double u)
{
    u = CLAMP(u, 0, KNEE);
    return (2 * u - u * u) / ((1 - u) * (1 - u));
}

/* The queue of a link, per direction; the same tangent. */
static double
link_queue(double u)
{
    const double knee = KNEE * KNEE / (1 - KNEE);

    if (u <= 0)
        return 0;
    return u > KNEE ? knee + link_slope(KNEE) * (u - KNEE) : u * u / (1 - u);
}

static double
cpu_loss(const imig__load *load, uint32_t host, const imig__sums *s)
{
    return s->cpu > 0
               ? imig__queue_fast(load, host, s->cpu / load->cores[host]) * (s->cpu_w / s->cpu)
               : 0;
}

static double
network_loss(const imig__load *load, uint32_t host, const imig__sums *s)
{
    double all = s->rx + s->tx;

    if (isnan(load->net[host]) || all <= 0)
        return 0;
    return load->options.network_price * (s->net_w / all)
           * (link_queue((s->rx - s->local) / load->net[host])
              + link_queue((s->tx - s->local) / load->net[host]));
}

static double
neighbour_loss(const imig__load *load, uint32_t host, const imig__sums *s)
{
    return s->cross / load->cores[host];
}

static double
disk_loss(const imig__load *load, uint32_t host, const imig__sums *s)
{
    return DISK_SLOWDOWN * (s->disk_use * s->disk - s->disk_own) / load->disk[host];
}

static double
host_value(const imig__load *load, uint32_t host, const imig__sums *s)
{
    return cpu_loss(load, host, s) + network_loss(load, host, s) + neighbour_loss(load, host, s)
           + disk_loss(load, host, s);
}

void
imig__sums_add(imig__sums *into, const imig__sums *s, double sign)
{
    into->cpu += sign * s->cpu;
    into->cpu_w += sign * s->cpu_w;
    into->memory += sign * s->memory;
    into->rx += sign * s->rx;
    into->tx += sign * s->tx;
    into->net_w += sign * s->net_w;
    into->disk += sign * s->disk;
    into->disk_use += sign * s->disk_use;
    into->disk_own += sign * s->disk_own;
    into->count += sign;
    if (into->count <= 0) /* an empty host is exactly empty, whatever was rounded on the way */
        *into = (imig__sums) { 0 };
}

/* What a VM and the VMs of a host lose to each other; the VM itself is left out if it is there. */
double
imig__state_cross(const imig__state *state, uint32_t vm, uint32_t host)
{
    const imig__load *load = state->load;
    size_t k = load->labels, label = load->label[vm];
    const double *cpu = state->label_cpu + host * k, *cpu_w = state->label_cpu_w + host * k;
    const double *suffers = load->slowdown + label * k, *causes = load->slows + label * k;
    double n = load->brings[vm].cpu, n_w = load->brings[vm].cpu_w, mine = 0, theirs = 0;

    if (n <= 0 || load->silent[label])
        return 0;
    for (size_t j = 0; j < k; j++) {
        mine += suffers[j] * cpu[j];
        theirs += causes[j] * cpu_w[j];
    }
    if (state->host[vm] == host) {
        mine -= suffers[label] * n;
        theirs -= suffers[label] * n_w;
    }
    return n_w * mine + n * theirs;
}

static double
pair_cross(const imig__load *load, uint32_t v, uint32_t w)
{
    const imig__sums *a = &load->brings[v], *b = &load->brings[w];
    size_t k = load->labels;

    return a->cpu_w * load->slowdown[load->label[v] * k + load->label[w]] * b->cpu
           + b->cpu_w * load->slowdown[load->label[w] * k + load->label[v]] * a->cpu;
}

static double
local_flows(const imig__state *state, uint32_t vm, uint32_t host)
{
    const imig__load *load = state->load;
    double local = 0;

    for (uint32_t i = load->flow_begin[vm]; i < load->flow_begin[vm + 1]; i++)
        if (state->host[load->flow_peer[i]] == host)
            local += load->flow_bytes[i];
    return local;
}

double
imig__state_leave(const imig__state *state, uint32_t vm)
{
    uint32_t host = state->host[vm];
    imig__sums a = state->sums[host];

    a.cross -= imig__state_cross(state, vm, host);
    a.local -= local_flows(state, vm, host);
    imig__sums_add(&a, &state->load->brings[vm], -1);
    return state->value[host] - host_value(state->load, host, &a);
}

double
imig__state_join(const imig__state *state, uint32_t vm, uint32_t host)
{
    imig__sums b = state->sums[host];

    b.cross += imig__state_cross(state, vm, host);
    b.local += local_flows(state, vm, host);
    imig__sums_add(&b, &state->load->brings[vm], 1);
    return host_value(state->load, host, &b) - state->value[host];
}

double
imig__state_cross_price(const imig__state *state, uint32_t label, uint32_t host)
{
    const imig__load *load = state->load;
    size_t k = load->labels;
    const double *cpu = state->label_cpu + host * k, *cpu_w = state->label_cpu_w + host * k;
    double sum = 0;

    if (load->silent[label])
        return 0;
    for (size_t j = 0; j < k; j++)
        sum += load->slowdown[label * k + j] * cpu[j] + load->slows[label * k + j] * cpu_w[j];
    return sum / load->cores[host];
}

double
imig__state_join_like(const imig__state *state, const imig__sums *brings, uint32_t label,
                      uint32_t host)
{
    imig__sums b = state->sums[host];

    b.cross += brings->cpu * imig__state_cross_price(state, label, host)
               * state->load->cores[host];
    imig__sums_add(&b, brings, 1);
    return host_value(state->load, host, &b) - state->value[host];
}

double
imig__state_flows(const imig__state *state, uint32_t vm, uint32_t host)
{
    const imig__load *load = state->load;
    uint32_t from = state->host[vm];
    double price = 0;

    for (uint32_t i = load->flow_begin[vm]; i < load->flow_begin[vm + 1]; i++) {
        uint32_t there = state->host[load->flow_peer[i]];

        if (there == from)
            price += load->flow_price[i];
        else if (there == host)
            price -= load->flow_price[i];
    }
    return price;
}

double
imig__state_delta(const imig__state *state, uint32_t vm, uint32_t host)
{
    if (state->host[vm] == host)
        return 0;
    return imig__state_join(state, vm, host) - imig__state_leave(state, vm)
           + imig__state_flows(state, vm, host);
}

/* In lost cores already, unlike imig__state_cross(). */
double
imig__state_disk(const imig__state *state, uint32_t vm, uint32_t host)
{
    const imig__sums *v = &state->load->brings[vm], *s = &state->sums[host];
    double disk = s->disk, use = s->disk_use;

    if (state->host[vm] == host) {
        disk -= v->disk;
        use -= v->disk_use;
    }
    return DISK_SLOWDOWN * (v->disk_use * disk + use * v->disk) / state->load->disk[host];
}

double
imig__state_link_gain(const imig__state *state, uint32_t vm)
{
    const imig__load *load = state->load;
    uint32_t host = state->host[vm];
    const imig__sums *v = &load->brings[vm], *s = &state->sums[host];

    if (isnan(load->net[host]) || v->rx + v->tx <= 0)
        return 0;
    /* The link's queue is convex: its slope now bounds what less traffic can bring. */
    return load->options.network_price
           * (v->rx * link_slope(s->rx / load->net[host])
              + v->tx * link_slope(s->tx / load->net[host])) / load->net[host];
}

double
imig__state_other_gain(const imig__state *state, uint32_t vm, double cross)
{
    uint32_t host = state->host[vm];

    return cross / state->load->cores[host] + imig__state_disk(state, vm, host)
           + imig__state_link_gain(state, vm);
}

double
imig__state_swap_delta(const imig__state *state, uint32_t v, uint32_t w, double v_here,
                       double v_there, double w_here, double w_there)
{
    const imig__load *load = state->load;
    uint32_t ha = state->host[v], hb = state->host[w];
    imig__sums a = state->sums[ha], b = state->sums[hb];
    double pair = pair_cross(load, v, w);

    a.cross += w_there - v_here - pair;
    b.cross += v_there - w_here - pair;
    imig__sums_add(&a, &load->brings[w], 1);
    imig__sums_add(&a, &load->brings[v], -1);
    imig__sums_add(&b, &load->brings[v], 1);
    imig__sums_add(&b, &load->brings[w], -1);
    return host_value(load, ha, &a) - state->value[ha] + host_value(load, hb, &b)
           - state->value[hb];
}

static void
put(imig__state *state, uint32_t vm, uint32_t host, double sign)
{
    const imig__load *load = state->load;
    imig__sums *sums = &state->sums[host];
    size_t cell = (size_t) host * load->labels + load->label[vm];

    sums->cross += sign * imig__state_cross(state, vm, host);
    sums->local += sign * local_flows(state, vm, host);
    imig__sums_add(sums, &load->brings[vm], sign);
    state->label_cpu[cell] += sign * load->brings[vm].cpu;
    state->label_cpu_w[cell] += sign * load->brings[vm].cpu_w;
    if (sums->count <= 0)
        state->label_cpu[cell] = state->label_cpu_w[cell] = 0;
    state->value[host] = host_value(load, host, sums);
}

void
imig__state_move(imig__state *state, uint32_t vm, uint32_t host)
{
    uint32_t from = state->host[vm];

    if (from == host)
        return;
    state->communication += imig__state_flows(state, vm, host);
    put(state, vm, from, -1);
    state->host[vm] = IMIG_NO_HOST; /* not there yet: nothing to leave out */
    put(state, vm, host, 1);
    state->host[vm] = host;
}

imig__losses
imig__state_host_losses(const imig__state *state, uint32_t host)
{
    const imig__sums *s = &state->sums[host];

    return (imig__losses) {
        .cpu = cpu_loss(state->load, host, s),
        .network = network_loss(state->load, host, s),
        .neighbours = neighbour_loss(state->load, host, s),
        .disk = disk_loss(state->load, host, s),
    };
}

imig__losses
imig__state_losses(const imig__state *state)
{
    imig__losses all = { .communication = MAX(state->communication, 0) };

    for (uint32_t h = 0; h < state->load->hosts; h++) {
        imig__losses one = imig__state_host_losses(state, h);

        all.cpu += one.cpu;
        all.network += one.network;
        all.neighbours += one.neighbours;
        all.disk += one.disk;
    }
    return all;
}

double
imig__state_loss(const imig__state *state)
{
    imig__losses l = imig__state_losses(state);

    return l.cpu + l.network + l.neighbours + l.disk + l.communication;
}

imig__state *
imig__state_new(const imig__load *load)
{
    imig__state *state = g_new0(imig__state, 1);
    size_t cells = (size_t) load->hosts * load->labels;

    state->load = load;
    state->host = g_memdup2(load->home, load->vms * sizeof *state->host);
    state->sums = g_new0(imig__sums, load->hosts);
    state->label_cpu = g_new0(double, cells);
    state->label_cpu_w = g_new0(double, cells);
    state->value = g_new0(double, load->hosts);
    for (uint32_t v = 0; v < load->vms; v++) {
        uint32_t h = load->home[v];
        imig__sums *sums = &state->sums[h];
        size_t cell = (size_t) h * load->labels + load->label[v];

        state->host[v] = IMIG_NO_HOST; /* not there yet: nothing to leave out */
        sums->cross += imig__state_cross(state, v, h);
        state->host[v] = h;
        imig__sums_add(sums, &load->brings[v], 1);
        state->label_cpu[cell] += load->brings[v].cpu;
        state->label_cpu_w[cell] += load->brings[v].cpu_w;
        for (uint32_t i = load->flow_begin[v]; i < load->flow_begin[v + 1]; i++) {
            /* every flow stands with both of its VMs: half each time */
            if (load->home[load->flow_peer[i]] == h)
                sums->local += load->flow_bytes[i] / 2;
            else
                state->communication += load->flow_price[i] / 2;
        }
    }
    for (uint32_t h = 0; h < load->hosts; h++)
        state->value[h] = host_value(load, h, &state->sums[h]);
    return state;
}

imig__state *
imig__state_copy(const imig__state *state)
{
    imig__state *copy = g_memdup2(state, sizeof *state);
    const imig__load *load = state->load;
    size_t cells = (size_t) load->hosts * load->labels;

    copy->host = g_memdup2(state->host, load->vms * sizeof *state->host);
    copy->sums = g_memdup2(state->sums, load->hosts * sizeof *state->sums);
    copy->label_cpu = g_memdup2(state->label_cpu, cells * sizeof *state->label_cpu);
    copy->label_cpu_w = g_memdup2(state->label_cpu_w, cells * sizeof *state->label_cpu_w);
    copy->value = g_memdup2(state->value, load->hosts * sizeof *state->value);
    return copy;
}

void
imig__state_free(imig__state *state)
{
    if (!state)
        return;
    g_free(state->host);
    g_free(state->sums);
    g_free(state->label_cpu);
    g_free(state->label_cpu_w);
    g_free(state->value);
    g_free(state);
}
