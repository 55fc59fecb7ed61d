/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TESTS_AIM_FIXTURE_H
#define TESTS_AIM_FIXTURE_H

/* Small random clusters and all their placements.  To be included after <cmocka.h>. */

#include "clusters.h"
#include "policy/level-priv.h"
#include "policy/problem-priv.h"

#include <math.h>

typedef struct aim_world {
    imig_cluster *cluster;
    imig__problem problem;
    imig__state *home;
    imig__limits limits;
    double *mean_cpu, *mean_memory;
    uint8_t *empties;
} aim_world;

typedef struct aim_shape {
    uint32_t hosts, vms;
    gboolean whole;    /* memory in whole GiB */
    gboolean unequal;  /* hosts of two sizes */
    gboolean reserved; /* memory that is, and an overhead for each VM */
    gboolean pools;    /* two */
    gboolean tied;     /* rules, lists of hosts, VMs that are pinned */
} aim_shape;

/* Of VMs that are not at home. */
static inline double
aim_bytes(const imig__state *state)
{
    double bytes = 0;

    for (uint32_t v = 0; v < state->load->vms; v++)
        if (state->host[v] != state->load->home[v])
            bytes += state->load->brings[v].memory;
    return bytes;
}

static inline void
aim_add_hosts(imig_cluster *cluster, const aim_shape *shape)
{
    for (uint32_t h = 0; h < shape->hosts; h++) {
        imig_host_info host = IMIG_HOST_INFO_INIT;
        double size = shape->unequal && h % 2 ? 2 : 1;
        char id[16];

        g_snprintf(id, sizeof id, "h%u", h);
        host.id = id;
        host.pool = shape->pools && h >= shape->hosts / 2 ? "b" : "a";
        host.cpu_cores = 10 * size;
        host.memory_bytes = 40 * 1073741824.0 * size;
        if (shape->reserved) {
            host.reserved_memory_bytes = 2 * 1073741824.0;
            host.vm_overhead_bytes = 2e8;
            host.present |= IMIG_HOST_HAS_RESERVED_MEMORY | IMIG_HOST_HAS_VM_OVERHEAD;
        }
        assert_int_equal(imig_cluster_add_host(cluster, &host, NULL), IMIG_OK);
    }
}

/* Where a VM of this size goes: the first third of the hosts takes more, and memory always fits. */
static inline uint32_t
aim_host_of(const aim_shape *shape, double *left, double bytes, uint64_t seed, uint64_t *key)
{
    uint32_t h = (uint32_t) uniform(seed, key, 0, shape->hosts);

    if (uniform(seed, key, 0, 1) < 0.4)
        h = 0;
    for (uint32_t i = 0; i < shape->hosts && left[h] < bytes; i++)
        h = (h + 1) % shape->hosts;
    assert_true(left[h] >= bytes);
    left[h] -= bytes;
    return h;
}

static inline void
aim_add_vms(imig_cluster *cluster, const aim_shape *shape, uint64_t seed)
{
    double *left = g_new(double, shape->hosts);
    uint64_t key = 0;

    for (uint32_t h = 0; h < shape->hosts; h++)
        left[h] = (shape->unequal && h % 2 ? 70 : 33) * 1073741824.0;
    for (uint32_t v = 0; v < shape->vms; v++) {
        imig_vm_info vm = IMIG_VM_INFO_INIT;
        double gib = uniform(seed, &key, 1, 9);
        uint32_t allowed[2];
        char id[16];

        g_snprintf(id, sizeof id, "v%u", v);
        vm.id = id;
        vm.vcpus = 8;
        vm.memory_bytes = floor((shape->whole ? floor(gib) : gib) * 1073741824.0);
        vm.cpu_cores = uniform(seed, &key, 0.05, 2);
        vm.host = aim_host_of(shape, left, vm.memory_bytes, seed, &key);
        vm.present = UINT64_C(1) << IMIG_METRIC_CPU_CORES;
        vm.workload_class = IMIG_WORKLOAD_CPU;
        if (shape->tied && v % 7 == 3)
            vm.movable = 0;
        if (shape->tied && v % 7 == 5) {
            allowed[0] = vm.host;
            allowed[1] = vm.host > 0 ? vm.host - 1 : vm.host + 1;
            vm.hosts = allowed;
            vm.host_count = 2;
        }
        if (shape->pools && vm.host_count == 2)
            vm.host_count = 1;
        assert_int_equal(imig_cluster_add_vm(cluster, &vm, NULL), IMIG_OK);
    }
    g_free(left);
}

/* One pair apart; one pair together, where it stands together already. */
static inline void
aim_add_rules(imig_cluster *cluster, const aim_shape *shape)
{
    uint32_t apart[] = { 0, 2 }, together[] = { 1, 4 };
    imig_rule_info rule = IMIG_RULE_INFO_INIT;

    if (!shape->tied)
        return;
    rule.vms = apart;
    rule.vm_count = 2;
    rule.kind = IMIG_RULE_APART;
    if (cluster->vms[0].host != cluster->vms[2].host)
        assert_int_equal(imig_cluster_add_rule(cluster, &rule, NULL), IMIG_OK);
    rule.vms = together;
    rule.kind = IMIG_RULE_TOGETHER;
    if (cluster->vms[1].host == cluster->vms[4].host)
        assert_int_equal(imig_cluster_add_rule(cluster, &rule, NULL), IMIG_OK);
}

static inline void
aim_world_init(aim_world *w, const aim_shape *shape, uint64_t seed)
{
    w->cluster = imig_cluster_new(0);
    aim_add_hosts(w->cluster, shape);
    aim_add_vms(w->cluster, shape, seed);
    aim_add_rules(w->cluster, shape);
    assert_int_equal(imig_cluster_finish(w->cluster, NULL), IMIG_OK);
    assert_int_equal(imig__problem_init(&w->problem, w->cluster, NULL, NULL, &imig__loss_defaults,
                                        0.8, 0, NULL), IMIG_OK);
    w->home = imig__state_new(w->problem.load);
    w->limits = imig__limits_new(shape->hosts);
    w->mean_cpu = g_new0(double, 2);
    w->mean_memory = g_new0(double, 2);
    w->empties = g_new0(uint8_t, shape->hosts);
}

static inline void
aim_world_clear(aim_world *w)
{
    imig__limits_clear(&w->limits);
    imig__state_free(w->home);
    imig__problem_clear(&w->problem);
    imig_cluster_unref(w->cluster);
    g_free(w->mean_cpu);
    g_free(w->mean_memory);
    g_free(w->empties);
}

/* May a placement as a whole be, as far as rules, pools, lists and pins go? */
static inline gboolean
aim_is_allowed(const aim_world *w, const imig__state *state)
{
    const imig__space *space = w->problem.space;

    for (uint32_t v = 0; v < state->load->vms; v++)
        if ((space->fixed[v] && state->host[v] != state->load->home[v])
            || !imig__vm_may_be_on(w->cluster, v, state->host[v])
            || imig__space_conflicts(space, state, v, state->host[v], TRUE) > 0)
            return FALSE;
    for (size_t r = 0; r < w->cluster->rule_count; r++) {
        const imig_rule_info *rule = &w->cluster->rules[r];

        if (rule->kind == IMIG_RULE_TOGETHER
            && state->host[rule->vms[0]] != state->host[rule->vms[1]])
            return FALSE;
    }
    return TRUE;
}

/* Calls back with every placement that is allowed. */
typedef void (*aim_visit)(const aim_world *w, const imig__state *state, void *data);

static inline void
aim_try_all(const aim_world *w, imig__state *state, uint32_t v, aim_visit visit, void *data)
{
    uint32_t home;

    if (v == state->load->vms) {
        if (aim_is_allowed(w, state))
            visit(w, state, data);
        return;
    }
    home = state->host[v];
    aim_try_all(w, state, v + 1, visit, data);
    for (uint32_t h = 0; h < state->load->hosts && !w->problem.space->fixed[v]; h++) {
        if (h == home || !imig__vm_may_be_on(w->cluster, v, h))
            continue;
        imig__state_move(state, v, h);
        aim_try_all(w, state, v + 1, visit, data);
    }
    imig__state_move(state, v, home);
}

#endif
