/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TESTS_CLUSTERS_H
#define TESTS_CLUSTERS_H

/* Random clusters for property tests: the same for the same seed, everywhere. */

#include "model/cluster-priv.h"
#include "policy/random-priv.h"

#include <stdio.h>

typedef struct cluster_shape {
    uint32_t hosts, vms;
    double cpu, memory; /* mean utilisation, memory at most */
    int flows, rules, skew, unequal, measured;
} cluster_shape;

static inline double
uniform(uint64_t seed, uint64_t *key, double low, double high)
{
    return low + (high - low) * (double) (imig__random(seed, (*key)++) >> 11) / 9007199254740992.0;
}

/* Host of each VM: the first third takes more where the shape is skewed; memory always fits. */
static inline imig_cluster *
make_cluster(const cluster_shape *shape, uint64_t seed, int32_t *workload)
{
    imig_cluster *cluster = imig_cluster_new(0);
    uint64_t key = 0;
    double demand = 0, memory = 0, *share = g_new(double, shape->vms);
    double *size = g_new(double, shape->vms), *left = g_new(double, shape->hosts);
    double room = 64e9;

    for (uint32_t v = 0; v < shape->vms; v++) {
        demand += share[v] = uniform(seed, &key, 0.1, 2);
        memory += size[v] = 1e9 * (1 + (double) (int) uniform(seed, &key, 0, 8));
    }
    room = memory / shape->memory / shape->hosts;
    for (uint32_t h = 0; h < shape->hosts; h++) {
        imig_host_info host = IMIG_HOST_INFO_INIT;
        char id[32], rack[32];
        const char *labels[] = { "rack", rack };

        snprintf(id, sizeof id, "h%u", h);
        snprintf(rack, sizeof rack, "r%u", h % 3);
        host.id = id;
        host.cpu_cores = demand / shape->cpu / shape->hosts;
        host.memory_bytes = room + 9e9;
        if (shape->unequal && h % 3 == 0) {
            host.cpu_cores *= 1.6;
            host.memory_bytes *= 1.4;
        }
        host.net_bytes_per_s = 1.25e9;
        host.disk_ops_per_s = 5000;
        host.present = IMIG_HOST_HAS_NET | IMIG_HOST_HAS_DISK_OPS;
        host.labels = labels;
        host.label_count = 1;
        left[h] = host.memory_bytes;
        g_assert(imig_cluster_add_host(cluster, &host, NULL) == IMIG_OK);
    }
    for (uint32_t v = 0; v < shape->vms; v++) {
        imig_vm_info vm = IMIG_VM_INFO_INIT;
        char id[32];
        uint32_t h = (uint32_t) uniform(seed, &key, 0, shape->hosts), tries = 0;

        if (shape->skew && uniform(seed, &key, 0, 1) < 0.5)
            h /= 3;
        while (left[h] < size[v] && tries++ < shape->hosts)
            h = (h + 1) % shape->hosts;
        g_assert(left[h] >= size[v]);
        left[h] -= size[v];
        snprintf(id, sizeof id, "v%u", v);
        vm.id = id;
        vm.host = h;
        vm.vcpus = 4;
        vm.memory_bytes = size[v];
        vm.cpu_cores = share[v];
        vm.present = UINT64_C(1) << IMIG_METRIC_CPU_CORES;
        workload[v] = (int32_t) uniform(seed, &key, 0, IMIG_WORKLOAD_COUNT);
        if (shape->measured) {
            vm.net_rx_bytes_per_s = uniform(seed, &key, 0, 3e7);
            vm.net_tx_bytes_per_s = uniform(seed, &key, 0, 3e7);
            vm.disk_ops_per_s = workload[v] == IMIG_WORKLOAD_DISK_IO ? 900 : 20;
            vm.dirty_bytes_per_s = workload[v] == IMIG_WORKLOAD_MEMORY_DIRTY ? 4e7 : 1e6;
            vm.working_set_bytes = 5e7;
            vm.present |= UINT64_C(1) << IMIG_METRIC_NET_RX_BYTES_PER_S
                          | UINT64_C(1) << IMIG_METRIC_NET_TX_BYTES_PER_S
                          | UINT64_C(1) << IMIG_METRIC_DISK_OPS_PER_S
                          | UINT64_C(1) << IMIG_METRIC_DIRTY_BYTES_PER_S
                          | UINT64_C(1) << IMIG_METRIC_WORKING_SET_BYTES;
        }
        g_assert(imig_cluster_add_vm(cluster, &vm, NULL) == IMIG_OK);
    }
    for (int i = 0; i < shape->flows; i++) {
        uint32_t a = (uint32_t) uniform(seed, &key, 0, shape->vms);
        uint32_t b = (uint32_t) uniform(seed, &key, 0, shape->vms);

        imig_cluster_add_flow(cluster, a, b, uniform(seed, &key, 0, 2e7), NULL);
    }
    for (int i = 0; i < shape->rules; i++) {
        imig_rule_info rule = IMIG_RULE_INFO_INIT;
        uint32_t vms[2] = { (uint32_t) i * 2, (uint32_t) i * 2 + 1 };

        rule.kind = i % 2 ? IMIG_RULE_TOGETHER : IMIG_RULE_APART;
        rule.label = i % 4 == 2 ? "rack" : NULL;
        rule.hard = i % 5 != 4;
        rule.vms = vms;
        rule.vm_count = 2;
        g_assert(imig_cluster_add_rule(cluster, &rule, NULL) == IMIG_OK);
    }
    g_free(share);
    g_free(size);
    g_free(left);
    g_assert(imig_cluster_finish(cluster, NULL) == IMIG_OK);
    return cluster;
}

#endif
