/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/sample-priv.h"

#include <math.h>

static const uint64_t ALL_COUNTERS = (UINT64_C(1) << IMIG__COUNTER_COUNT) - 1;

/* What a backend may say of a VM without counting. */
static const uint64_t GAUGES =
    UINT64_C(1) << IMIG_METRIC_MEMORY_USED_BYTES | UINT64_C(1) << IMIG_METRIC_MEMORY_NONZERO_BYTES |
    UINT64_C(1) << IMIG_METRIC_MEMORY_POPULATED_BYTES | IMIG_VM_HAS_WEIGHT | IMIG_VM_HAS_COOLDOWN;

static const char *const counter_names[IMIG__COUNTER_COUNT] = {
    "cpu_s", "cpu_wait_s", "disk_ops", "disk_read_bytes", "disk_write_bytes", "net_rx_bytes",
    "net_tx_bytes",
};

imig_sample *
imig__sample_new(double time_s)
{
    imig_sample *sample = g_new0(imig_sample, 1);

    sample->cluster = imig_cluster_new(time_s);
    g_assert(sample->cluster);
    return sample;
}

void
imig__sample_free(imig_sample *sample)
{
    if (!sample)
        return;
    imig_cluster_unref(sample->cluster);
    g_free(sample->counters);
    g_free(sample);
}

void
imig__counters(const imig_vm_counters *counters, double values[IMIG__COUNTER_COUNT])
{
    values[0] = counters->cpu_s;
    values[1] = counters->cpu_wait_s;
    values[2] = counters->disk_ops;
    values[3] = counters->disk_read_bytes;
    values[4] = counters->disk_write_bytes;
    values[5] = counters->net_rx_bytes;
    values[6] = counters->net_tx_bytes;
}

int
imig_sample_add_host(imig_sample *sample, const imig_host_info *info, imig_error **error)
{
    if (!sample || !info)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%s is NULL", sample ? "info" : "sample");
    return imig_cluster_add_host(sample->cluster, info, error);
}

static int
check_counters(const char *vm, const imig_vm_counters *counters, imig_error **error)
{
    double values[IMIG__COUNTER_COUNT];

    if (counters->present & ~ALL_COUNTERS)
        return imig__fail(error, IMIG_ERR_ABI, "VM %s: a counter is newer than this library", vm);
    if (!isfinite(counters->time_s))
        return imig__fail(error, IMIG_ERR_INVALID, "VM %s: time_s: not finite", vm);
    imig__counters(counters, values);
    for (unsigned i = 0; i < IMIG__COUNTER_COUNT; i++)
        if ((counters->present >> i & 1) && !(values[i] >= 0 && isfinite(values[i])))
            return imig__fail(error, IMIG_ERR_INVALID, "VM %s: %s: %g: must be finite and >= 0", vm,
                              counter_names[i], values[i]);
    return IMIG_OK;
}

int
imig_sample_add_vm(imig_sample *sample, const imig_vm_info *info, const imig_vm_counters *counters,
                   imig_error **error)
{
    imig_vm_info vm;
    imig_vm_counters count;
    size_t index;
    int code;

    if (!sample || !info || !counters)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%s is NULL",
                          !sample ? "sample" : info ? "counters" : "info");
    code = imig__copy_struct(&vm, sizeof vm, info, IMIG__END_OF(imig_vm_info, movable), error);
    if (code == IMIG_OK)
        code = imig__copy_struct(&count, sizeof count, counters,
                                 IMIG__END_OF(imig_vm_counters, net_tx_bytes), error);
    if (code == IMIG_OK)
        code = check_counters(vm.id ? vm.id : "without an id", &count, error);
    if (code != IMIG_OK)
        return code;
    vm.size = sizeof vm;
    vm.present &= GAUGES;
    vm.noise_count = 0;
    index = sample->cluster->vm_count;
    code = imig_cluster_add_vm(sample->cluster, &vm, error);
    if (code != IMIG_OK)
        return code;
    if (index == sample->counter_room) {
        sample->counter_room = MAX(2 * index, (size_t) 16);
        sample->counters = g_renew(imig_vm_counters, sample->counters, sample->counter_room);
    }
    sample->counters[index] = count;
    return IMIG_OK;
}

int
imig_sample_add_flow(imig_sample *sample, uint32_t a, uint32_t b, double bytes, imig_error **error)
{
    if (!sample)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "sample is NULL");
    return imig_cluster_add_flow(sample->cluster, a, b, bytes, error);
}

int
imig_sample_add_rule(imig_sample *sample, const imig_rule_info *info, imig_error **error)
{
    if (!sample || !info)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%s is NULL", sample ? "info" : "sample");
    return imig_cluster_add_rule(sample->cluster, info, error);
}
