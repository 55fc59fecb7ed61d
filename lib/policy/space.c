/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/space-priv.h"

#include <math.h>
#include <string.h>

/* Sums of doubles differ in their last digits by the order in which they were made. */
#define MEMORY_SLACK_BYTES 1.0

static uint32_t
find(uint32_t *parent, uint32_t i)
{
    while (parent[i] != i)
        i = parent[i] = parent[parent[i]];
    return i;
}

static gboolean
makes_units(const imig_rule_info *rule)
{
    return rule->kind == IMIG_RULE_TOGETHER && rule->hard && !rule->label;
}

static void
build_units(imig__space *space)
{
    const imig_cluster *cluster = space->cluster;
    uint32_t vms = space->load->vms, *parent = g_new(uint32_t, vms), *fill;

    for (uint32_t v = 0; v < vms; v++)
        parent[v] = v;
    for (size_t r = 0; r < cluster->rule_count; r++) {
        const imig_rule_info *rule = &cluster->rules[r];

        for (size_t i = 1; makes_units(rule) && i < rule->vm_count; i++) {
            uint32_t a = find(parent, rule->vms[0]), b = find(parent, rule->vms[i]);

            parent[MAX(a, b)] = MIN(a, b);
        }
    }
    space->unit = g_new(uint32_t, vms);
    for (uint32_t v = 0; v < vms; v++) {
        uint32_t root = find(parent, v);

        space->unit[v] = root == v ? space->units++ : space->unit[root];
    }
    space->unit_begin = g_new0(uint32_t, space->units + 1);
    space->unit_vm = g_new(uint32_t, vms);
    for (uint32_t v = 0; v < vms; v++)
        space->unit_begin[space->unit[v] + 1]++;
    for (uint32_t u = 0; u < space->units; u++)
        space->unit_begin[u + 1] += space->unit_begin[u];
    fill = g_memdup2(space->unit_begin, (space->units + 1) * sizeof *fill);
    for (uint32_t v = 0; v < vms; v++)
        space->unit_vm[fill[space->unit[v]]++] = v;
    g_free(fill);
    g_free(parent);
}

static void
build_rules(imig__space *space)
{
    const imig_cluster *cluster = space->cluster;
    uint32_t vms = space->load->vms, *fill;

    space->rule_begin = g_new0(uint32_t, vms + 1);
    for (size_t r = 0; r < cluster->rule_count; r++) {
        const imig_rule_info *rule = &cluster->rules[r];

        if (makes_units(rule))
            continue;
        for (size_t i = 0; i < rule->vm_count; i++)
            space->rule_begin[rule->vms[i] + 1]++;
    }
    for (uint32_t v = 0; v < vms; v++)
        space->rule_begin[v + 1] += space->rule_begin[v];
    space->rule_of = g_new(uint32_t, space->rule_begin[vms]);
    fill = g_memdup2(space->rule_begin, (vms + 1) * sizeof *fill);
    for (uint32_t r = 0; r < cluster->rule_count; r++)
        for (size_t i = 0; !makes_units(&cluster->rules[r]) && i < cluster->rules[r].vm_count; i++)
            space->rule_of[fill[cluster->rules[r].vms[i]]++] = r;
    g_free(fill);
}

static void
find_ties(imig__space *space)
{
    const imig__load *load = space->load;

    for (uint32_t v = 0; v < load->vms; v++) {
        uint32_t u = space->unit[v];

        if (space->unit_begin[u + 1] - space->unit_begin[u] > 1)
            space->tied[v] |= IMIG__TIED_UNIT;
        if (space->rule_begin[v] != space->rule_begin[v + 1])
            space->tied[v] |= IMIG__TIED_RULE;
        if (load->flow_begin[v] != load->flow_begin[v + 1])
            space->tied[v] |= IMIG__TIED_FLOWS;
    }
}

imig__space *
imig__space_new(const imig_cluster *cluster, const imig__load *load, double threshold,
                double now_s)
{
    imig__space *space = g_new0(imig__space, 1);

    space->cluster = cluster;
    space->load = load;
    space->threshold = threshold;
    space->share = g_new(double, load->hosts);
    space->room = g_new(double, load->hosts);
    space->overhead = g_new(double, load->hosts);
    space->accepts = g_new(uint8_t, load->hosts);
    for (uint32_t h = 0; h < load->hosts; h++) {
        space->share[h] = 1;
        space->room[h] = imig__host_usable_memory(&cluster->hosts[h]);
        space->overhead[h] = cluster->hosts[h].vm_overhead_bytes;
        space->accepts[h] = cluster->hosts[h].state == IMIG_HOST_ACTIVE;
    }
    space->fixed = g_new(const char *, load->vms);
    space->tied = g_new(uint8_t, load->vms);
    for (uint32_t v = 0; v < load->vms; v++) {
        space->tied[v] = cluster->vms[v].host_count > 0 ? IMIG__TIED_HOSTS : 0;
        space->fixed[v] = imig__vm_why_fixed(&cluster->vms[v], now_s);
        if (!space->fixed[v] && cluster->hosts[load->home[v]].state == IMIG_HOST_OFFLINE)
            space->fixed[v] = "host-offline";
    }
    build_units(space);
    build_rules(space);
    find_ties(space);
    return space;
}

void
imig__space_free(imig__space *space)
{
    if (!space)
        return;
    g_free(space->share);
    g_free(space->room);
    g_free(space->overhead);
    g_free(space->accepts);
    g_free(space->fixed);
    g_free(space->tied);
    g_free(space->unit);
    g_free(space->unit_begin);
    g_free(space->unit_vm);
    g_free(space->rule_begin);
    g_free(space->rule_of);
    g_free(space);
}

double
imig__space_excess(const imig__space *space, const imig__state *state, uint32_t host)
{
    double excess = imig__space_memory(space, state, host) - space->room[host];

    return excess > MEMORY_SLACK_BYTES ? excess : 0;
}

gboolean
imig__space_overloaded(const imig__space *space, const imig__state *state, uint32_t host)
{
    return state->sums[host].cpu / space->load->cores[host]
               > imig__space_threshold(space, host) + 1e-9
           || imig__space_excess(space, state, host) > 0;
}

uint32_t
imig__space_rule_conflicts(const imig__space *space, const imig__state *state, uint32_t vm,
                           uint32_t host, uint32_t r)
{
    const imig_rule_info *rule = &space->cluster->rules[r];
    uint32_t place = imig__rule_place(space->cluster, r, host), conflicts = 0;

    for (size_t j = 0; j < rule->vm_count; j++) {
        uint32_t other = rule->vms[j];
        gboolean same = imig__rule_place(space->cluster, r, state->host[other]) == place;

        if (space->unit[other] != space->unit[vm] && same == (rule->kind == IMIG_RULE_APART))
            conflicts++;
    }
    return conflicts;
}

uint32_t
imig__space_conflicts(const imig__space *space, const imig__state *state, uint32_t vm,
                      uint32_t host, gboolean hard)
{
    uint32_t conflicts = 0;

    for (uint32_t i = space->rule_begin[vm]; i < space->rule_begin[vm + 1]; i++) {
        uint32_t r = space->rule_of[i];

        if (!space->cluster->rules[r].hard == !hard)
            conflicts += imig__space_rule_conflicts(space, state, vm, host, r);
    }
    return conflicts;
}

gboolean
imig__space_misplaced(const imig__space *space, const imig__state *state, uint32_t vm)
{
    return !imig__space_allows(space, vm, state->host[vm])
           || (space->tied[vm] & IMIG__TIED_RULE
               && imig__space_conflicts(space, state, vm, state->host[vm], TRUE) > 0);
}

/* A destination may be lifted over the threshold only where it still ends below the source. */
static gboolean
cpu_fits(const imig__space *space, const imig__state *state, double added, uint32_t from,
         uint32_t host)
{
    const imig__load *load = space->load;
    double after = (state->sums[host].cpu + added) / load->cores[host];

    return added <= 0 || space->may_overload || after <= imig__space_threshold(space, host)
           || after < state->sums[from].cpu / load->cores[from];
}

/*
 * What is broken already may stay broken, but no rule may be broken more for the sake of another,
 * and nobody who is to be apart sets out for a place where a partner is.
 */
static gboolean
rules_fit(const imig__space *space, const imig__state *state, uint32_t vm, uint32_t host)
{
    uint32_t from = state->host[vm];

    for (uint32_t i = space->rule_begin[vm]; i < space->rule_begin[vm + 1]; i++) {
        uint32_t r = space->rule_of[i], there;
        const imig_rule_info *rule = &space->cluster->rules[r];

        if (!rule->hard
            || imig__rule_place(space->cluster, r, host)
                   == imig__rule_place(space->cluster, r, from))
            continue;
        there = imig__space_rule_conflicts(space, state, vm, host, r);
        if (there > 0 && (rule->kind == IMIG_RULE_APART
                          || there > imig__space_rule_conflicts(space, state, vm,
                                                                from, r)))
            return FALSE;
    }
    return TRUE;
}

gboolean
imig__space_fits(const imig__space *space, const imig__state *state, uint32_t vm, uint32_t host,
                 uint32_t leaves)
{
    const imig__sums *in = &space->load->brings[vm];
    double memory = in->memory + space->overhead[host], cpu = in->cpu;

    if (state->host[vm] == host || !space->accepts[host])
        return FALSE;
    if (leaves != IMIG_NO_INDEX) {
        memory -= space->load->brings[leaves].memory + space->overhead[host];
        cpu -= space->load->brings[leaves].cpu;
    }
    if (memory > 0
        && imig__space_memory(space, state, host) + memory > space->room[host] + MEMORY_SLACK_BYTES)
        return FALSE;
    return cpu_fits(space, state, cpu, state->host[vm], host)
           && imig__space_allows(space, vm, host)
           && (!(space->tied[vm] & IMIG__TIED_RULE) || rules_fit(space, state, vm, host));
}

imig__limit
imig__space_limit(const imig__space *space, const imig__state *state, uint32_t vm, uint32_t host)
{
    const imig__sums *in = &space->load->brings[vm];
    double memory = imig__space_memory(space, state, host) + in->memory + space->overhead[host];

    if (!space->accepts[host] || !imig__space_allows(space, vm, host))
        return IMIG__LIMIT_PLACE;
    if (memory > space->room[host] + MEMORY_SLACK_BYTES)
        return IMIG__LIMIT_MEMORY;
    if (!cpu_fits(space, state, in->cpu, state->host[vm], host))
        return IMIG__LIMIT_CPU;
    return rules_fit(space, state, vm, host) ? IMIG__LIMIT_NONE : IMIG__LIMIT_RULE;
}

gboolean
imig__space_unit_fits(const imig__space *space, const imig__state *state, uint32_t vm,
                      uint32_t host)
{
    uint32_t u = space->unit[vm], from = state->host[vm];
    double memory = 0, cpu = 0;
    gboolean moves = FALSE;

    if (imig__space_unit_alone(space, vm))
        return imig__space_fits(space, state, vm, host, IMIG_NO_INDEX);
    for (uint32_t i = space->unit_begin[u]; i < space->unit_begin[u + 1]; i++) {
        uint32_t v = space->unit_vm[i];

        if (state->host[v] == host)
            continue;
        moves = TRUE;
        memory += space->load->brings[v].memory + space->overhead[host];
        cpu += space->load->brings[v].cpu;
        if (space->fixed[v] || !imig__space_allows(space, v, host)
            || !rules_fit(space, state, v, host))
            return FALSE;
    }
    return moves && space->accepts[host]
           && imig__space_memory(space, state, host) + memory
                  <= space->room[host] + MEMORY_SLACK_BYTES
           && (from == host || cpu_fits(space, state, cpu, from, host));
}

void
imig__space_unit_move(const imig__space *space, imig__state *state, uint32_t vm, uint32_t host)
{
    uint32_t u = space->unit[vm];

    for (uint32_t i = space->unit_begin[u]; i < space->unit_begin[u + 1]; i++)
        imig__state_move(state, space->unit_vm[i], host);
}

const char *
imig__space_unit_fixed(const imig__space *space, uint32_t vm)
{
    uint32_t u = space->unit[vm];

    if (imig__space_unit_alone(space, vm))
        return space->fixed[vm];
    for (uint32_t i = space->unit_begin[u]; i < space->unit_begin[u + 1]; i++)
        if (space->fixed[space->unit_vm[i]])
            return space->fixed[space->unit_vm[i]];
    return NULL;
}
