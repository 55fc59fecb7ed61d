/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_INTERPLAY_FIXTURE_H
#define IMIG_INTERPLAY_FIXTURE_H

/* Hosts and VMs of which only what matters to migrations of others is said. */

#include <glib.h>
#include <imig/model.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MB   1e6
#define HAS(metric) (UINT64_C(1) << (metric))

static void
assert_near(double got, double want, double relative)
{
    if (!(fabs(got - want) <= fabs(want) * relative))
        fail_msg("%g is not within %g %% of %g", got, relative * 100, want);
}

static void
add_host_with(imig_cluster *cluster, const char *hypervisor, const char *id, double cores,
              double net, double link)
{
    imig_host_info host = IMIG_HOST_INFO_INIT;

    host.id = id;
    host.hypervisor = hypervisor;
    host.cpu_cores = cores;
    host.memory_bytes = 1e12;
    host.net_bytes_per_s = net;
    host.migration_bytes_per_s = link;
    host.present = (net > 0 ? IMIG_HOST_HAS_NET : 0) | (link > 0 ? IMIG_HOST_HAS_MIGRATION : 0);
    assert_int_equal(imig_cluster_add_host(cluster, &host, NULL), IMIG_OK);
}

static void
add_host(imig_cluster *cluster, const char *id, double cores, double net, double link)
{
    add_host_with(cluster, NULL, id, cores, net, link);
}

/* What a test VM does; 0: not measured. */
struct load {
    double cpu_cores, tx, rx, dirty, working_set;
    int32_t workload;
};

static void
add_vm(imig_cluster *cluster, uint32_t number, uint32_t host, double memory,
       const struct load *load)
{
    imig_vm_info vm = IMIG_VM_INFO_INIT;
    char id[16];

    g_snprintf(id, sizeof id, "vm%u", number);
    vm.id = id;
    vm.host = host;
    vm.vcpus = 4;
    vm.memory_bytes = memory;
    vm.cpu_cores = load->cpu_cores;
    vm.net_tx_bytes_per_s = load->tx;
    vm.net_rx_bytes_per_s = load->rx;
    vm.dirty_bytes_per_s = load->dirty;
    vm.working_set_bytes = load->working_set;
    vm.workload_class = load->workload;
    vm.present = (load->cpu_cores > 0 ? HAS(IMIG_METRIC_CPU_CORES) : 0)
        | (load->tx > 0 ? HAS(IMIG_METRIC_NET_TX_BYTES_PER_S) : 0)
        | (load->rx > 0 ? HAS(IMIG_METRIC_NET_RX_BYTES_PER_S) : 0)
        | (load->dirty > 0 ? HAS(IMIG_METRIC_DIRTY_BYTES_PER_S) : 0)
        | (load->working_set > 0 ? HAS(IMIG_METRIC_WORKING_SET_BYTES) : 0);
    assert_int_equal(imig_cluster_add_vm(cluster, &vm, NULL), IMIG_OK);
}

static void
finish(imig_cluster *cluster)
{
    imig_error *error = NULL;

    if (imig_cluster_finish(cluster, &error) != IMIG_OK)
        fail_msg("%s", imig_error_message(error));
}

#endif
