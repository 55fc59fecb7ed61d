/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/xen-host-priv.h"

#include <errno.h>

static double
memory_of(const xe_domain *domain)
{
    return (double) (domain->info.tot_pages + domain->info.outstanding_pages) * XC_PAGE_SIZE;
}

static const char *
blocked(xe_host *host, const GArray *savers, const xe_domain *domain)
{
    if (xe_job_runs(host, domain->uuid)
        || xe_savers_find(savers, domain->info.domain, domain->name, domain->uuid))
        return "being-migrated";
    return xe_domain_blocked(&host->handle, &host->limits, domain);
}

static int
add_vm(xe_host *host, const GArray *savers, const xe_domain *domain, imig_sample *into,
       imig_error **error)
{
    imig_vm_counters counters = IMIG_VM_COUNTERS_INIT;
    imig_vm_info info = IMIG_VM_INFO_INIT;
    GArray *disks = xe_disks_read(&host->handle, host->places.sys, domain->info.domain);
    double *disk_bytes = g_new(double, disks->len);
    int32_t *disk_shared = g_new(int32_t, disks->len);
    int code;

    for (guint i = 0; i < disks->len; i++) {
        const xe_disk *disk = &g_array_index(disks, xe_disk, i);

        disk_bytes[i] = disk->bytes;
        disk_shared[i] = disk->is_shared;
    }

    info.id = domain->uuid;
    info.name = domain->name;
    info.host = 0;
    info.vcpus = MAX(domain->info.nr_online_vcpus, 1);
    info.memory_bytes = memory_of(domain);
    /* A migration sends all of it first, zero pages included. */
    info.memory_populated_bytes = (double) domain->info.tot_pages * XC_PAGE_SIZE;
    info.present = UINT64_C(1) << IMIG_METRIC_MEMORY_POPULATED_BYTES;
    info.blocked = blocked(host, savers, domain);
    info.disk_bytes = disk_bytes;
    info.disk_shared = disk_shared;
    info.disk_count = disks->len;
    /* Time that a vCPU waits for a CPU is known to the guest alone: no call tells domain 0. */
    counters.cpu_s = (double) domain->info.cpu_time * 1e-9;
    counters.present = IMIG_COUNTER_HAS_CPU;
    xe_devices_count(&host->handle, host->places.sys, domain->info.domain, &counters);
    counters.time_s = xe_clock(host);
    code = xe_api->sample_add_vm(into, &info, &counters, error);
    g_free(disk_bytes);
    g_free(disk_shared);
    g_array_unref(disks);
    return code;
}

/* What is neither free nor a guest's is the hypervisor's and domain 0's. */
static int
add_host(const xe_host *host, const GArray *domains, imig_sample *into, imig_error **error)
{
    imig_host_info info = IMIG_HOST_INFO_INIT;
    xc_physinfo_t physical = { 0 };
    double guests = 0, net = xe_net_speed(host->places.sys);

    if (xc_physinfo(host->handle.xc, &physical) != 0)
        return xe_fail_errno(error, errno, "asking about the host");
    for (guint i = 0; i < domains->len; i++)
        guests += memory_of(&g_array_index(domains, xe_domain, i));
    info.id = host->name;
    info.hypervisor = "xen";
    info.pool = "xen";
    info.cpu_cores = physical.nr_cpus;
    info.memory_bytes = (double) physical.total_pages * XC_PAGE_SIZE;
    info.reserved_memory_bytes = MAX(0, info.memory_bytes - guests
        - (double) (physical.free_pages + physical.scrub_pages) * XC_PAGE_SIZE);
    info.present |= IMIG_HOST_HAS_RESERVED_MEMORY;
    if (net > 0) {
        info.net_bytes_per_s = net;
        info.present |= IMIG_HOST_HAS_NET;
    }
    return xe_api->sample_add_host(into, &info, error);
}

/* One that has been handed over is the destination's. */
static gboolean
is_shown(const xe_domain *domain)
{
    return !xe_domain_is_away(domain) && domain->info.tot_pages > 0;
}

int
xe_sample(void *state, imig_sample *into, imig_error **error)
{
    xe_host *host = state;
    GArray *domains, *savers;
    int code = xe_domains_read(&host->handle, &domains, error);

    if (code != IMIG_OK)
        return code;
    savers = xe_savers_read(host->places.proc);
    code = add_host(host, domains, into, error);
    for (guint i = 0; i < domains->len && code == IMIG_OK; i++) {
        const xe_domain *domain = &g_array_index(domains, xe_domain, i);

        if (is_shown(domain))
            code = add_vm(host, savers, domain, into, error);
    }
    g_array_unref(savers);
    g_array_unref(domains);
    return code;
}
