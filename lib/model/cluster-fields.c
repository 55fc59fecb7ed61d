/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/cluster-store-priv.h"

const imig__number_field imig__host_numbers[IMIG__HOST_NUMBERS] = {
    { "cpu_cores", offsetof(imig_host_info, cpu_cores), 0, IMIG__CAPACITY_MIN, 0 },
    { "memory_bytes", offsetof(imig_host_info, memory_bytes), 0, IMIG__CAPACITY_MIN, 0 },
    { "memory_overcommit_ratio", offsetof(imig_host_info, memory_overcommit_ratio),
      IMIG_HOST_HAS_MEMORY_OVERCOMMIT, IMIG__CAPACITY_MIN, 1 },
    { "reserved_memory_bytes", offsetof(imig_host_info, reserved_memory_bytes),
      IMIG_HOST_HAS_RESERVED_MEMORY, 0, 0 },
    { "vm_overhead_bytes", offsetof(imig_host_info, vm_overhead_bytes),
      IMIG_HOST_HAS_VM_OVERHEAD, 0, 0 },
    { "disk_ops_per_s", offsetof(imig_host_info, disk_ops_per_s),
      IMIG_HOST_HAS_DISK_OPS, IMIG__CAPACITY_MIN, 0 },
    { "net_bytes_per_s", offsetof(imig_host_info, net_bytes_per_s),
      IMIG_HOST_HAS_NET, IMIG__CAPACITY_MIN, 0 },
    { "migration_bytes_per_s", offsetof(imig_host_info, migration_bytes_per_s),
      IMIG_HOST_HAS_MIGRATION, IMIG__CAPACITY_MIN, 0 },
};

#define METRIC(metric, field) \
    [metric] = { #field, offsetof(imig_vm_info, field), UINT64_C(1) << (metric), 0, 0 }

const imig__number_field imig__vm_metrics[IMIG_METRIC_COUNT] = {
    METRIC(IMIG_METRIC_CPU_CORES, cpu_cores),
    METRIC(IMIG_METRIC_CPU_WAIT_CORES, cpu_wait_cores),
    METRIC(IMIG_METRIC_MEMORY_USED_BYTES, memory_used_bytes),
    METRIC(IMIG_METRIC_MEMORY_NONZERO_BYTES, memory_nonzero_bytes),
    METRIC(IMIG_METRIC_MEMORY_POPULATED_BYTES, memory_populated_bytes),
    METRIC(IMIG_METRIC_DISK_OPS_PER_S, disk_ops_per_s),
    METRIC(IMIG_METRIC_DISK_READ_BYTES_PER_S, disk_read_bytes_per_s),
    METRIC(IMIG_METRIC_DISK_WRITE_BYTES_PER_S, disk_write_bytes_per_s),
    METRIC(IMIG_METRIC_NET_RX_BYTES_PER_S, net_rx_bytes_per_s),
    METRIC(IMIG_METRIC_NET_TX_BYTES_PER_S, net_tx_bytes_per_s),
    METRIC(IMIG_METRIC_DIRTY_BYTES_PER_S, dirty_bytes_per_s),
    METRIC(IMIG_METRIC_WORKING_SET_BYTES, working_set_bytes),
};

const char *const imig__host_states[] = { "active", "maintenance", "offline", NULL };
const char *const imig__prefer_names[] = { NULL, "time", "downtime", NULL };
const char *const imig__rule_kinds[] = { "together", "apart", NULL };
