/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/xen-host-priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BACKEND_HERE "/local/domain/0/backend/"

/* Writable disks of a VM, as far as they are known. */
typedef struct disks {
    GArray *bytes;  /* double */
    GArray *shared; /* int32_t */
} disks;

static double
number_of(char *text)
{
    double number = text ? g_ascii_strtod(text, NULL) : 0;

    g_free(text);
    return number;
}

static void
keep_disk(const xe_handle *handle, const char *sys, const char *backend, disks *d)
{
    char *mode = xe_store_read(handle, "%s/mode", backend);
    char *path = xe_store_read(handle, "%s/params", backend);
    int32_t shared = path && xe_disk_is_shared(sys, path);
    double sectors = number_of(xe_store_read(handle, "%s/sectors", backend));
    double sector_bytes = number_of(xe_store_read(handle, "%s/sector-size", backend));
    double bytes = sectors * (sector_bytes > 0 ? sector_bytes : 512);

    if (g_strcmp0(mode, "w") == 0) {
        g_array_append_val(d->bytes, bytes);
        g_array_append_val(d->shared, shared);
    }
    g_free(path);
    g_free(mode);
}

/* FALSE: a disk is not counted here, as where a process or another domain serves it. */
static gboolean
count_disks(const xe_host *host, uint32_t domid, imig_vm_counters *counters, disks *d)
{
    char **devices = xe_store_list(&host->handle, "/libxl/%u/device/vbd", domid);
    gboolean all = TRUE;

    for (char **device = devices; *device; device++) {
        char *backend = xe_store_read(&host->handle, "/libxl/%u/device/vbd/%s/backend", domid,
                                      *device);

        all = all && backend && g_str_has_prefix(backend, BACKEND_HERE "vbd/")
              && xe_count_block(host->places.sys, domid, *device, counters);
        if (backend)
            keep_disk(&host->handle, host->places.sys, backend, d);
        g_free(backend);
    }
    g_strfreev(devices);
    return all;
}

static gboolean
count_nets(const xe_host *host, uint32_t domid, imig_vm_counters *counters)
{
    char **devices = xe_store_list(&host->handle, "/libxl/%u/device/vif", domid);
    gboolean all = TRUE;

    for (char **device = devices; *device && all; device++) {
        char *backend = xe_store_read(&host->handle, "/libxl/%u/device/vif/%s/backend", domid,
                                      *device);
        char *name = backend ? xe_store_read(&host->handle, "%s/vifname", backend) : NULL;

        if (!name || !*name) {
            g_free(name);
            name = g_strdup_printf("vif%u.%s", domid, *device);
        }
        all = backend && g_str_has_prefix(backend, BACKEND_HERE "vif/")
              && xe_count_net(host->places.sys, name, counters);
        g_free(name);
        g_free(backend);
    }
    g_strfreev(devices);
    return all;
}

/* Time that a vCPU waits for a CPU is known to the guest alone: no call tells domain 0 of it. */
static void
count(const xe_host *host, const xe_domain *domain, imig_vm_counters *counters, disks *d)
{
    uint32_t domid = domain->info.domain;

    counters->cpu_s = (double) domain->info.cpu_time * 1e-9;
    counters->present = IMIG_COUNTER_HAS_CPU;
    if (count_disks(host, domid, counters, d))
        counters->present |= IMIG_COUNTER_HAS_DISK_OPS | IMIG_COUNTER_HAS_DISK_READ
                             | IMIG_COUNTER_HAS_DISK_WRITE;
    if (count_nets(host, domid, counters))
        counters->present |= IMIG_COUNTER_HAS_NET_RX | IMIG_COUNTER_HAS_NET_TX;
}

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
    disks d = {
        g_array_new(FALSE, FALSE, sizeof(double)), g_array_new(FALSE, FALSE, sizeof(int32_t)),
    };
    int code;

    info.id = domain->uuid;
    info.name = domain->name;
    info.host = 0;
    info.vcpus = MAX(domain->info.nr_online_vcpus, 1);
    info.memory_bytes = memory_of(domain);
    /* A migration sends all of it first, zero pages included. */
    info.memory_populated_bytes = (double) domain->info.tot_pages * XC_PAGE_SIZE;
    info.present = UINT64_C(1) << IMIG_METRIC_MEMORY_POPULATED_BYTES;
    info.blocked = blocked(host, savers, domain);
    count(host, domain, &counters, &d);
    counters.time_s = xe_clock(host);
    info.disk_bytes = (const double *) (void *) d.bytes->data;
    info.disk_shared = (const int32_t *) (void *) d.shared->data;
    info.disk_count = d.bytes->len;
    code = xe_api->sample_add_vm(into, &info, &counters, error);
    g_array_unref(d.bytes);
    g_array_unref(d.shared);
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
