/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/xen-host-priv.h"

/* Kinds of disks, as the toolstack lists them. */
static const char *const disk_kinds[] = { "vbd", "virtio_disk" };

/* The place of a backend in xenstore, to be freed.  The toolstack's own list, for that of the guest
   the guest can change. */
static char *
backend_of(const xe_handle *handle, uint32_t domid, const char *kind, const char *device)
{
    return xe_store_read(handle, "/libxl/%u/device/%s/%s/backend", domid, kind, device);
}

static char **
devices_of(const xe_handle *handle, uint32_t domid, const char *kind)
{
    return xe_store_list(handle, "/libxl/%u/device/%s", domid, kind);
}

static gboolean
is(const xe_handle *handle, const char *backend, const char *node, const char *value)
{
    char *text = xe_store_read(handle, "%s/%s", backend, node);
    gboolean same = g_strcmp0(text, value) == 0;

    g_free(text);
    return same;
}

/* ---- counters ---- */

/* What is not connected has counted nothing: true of a guest that has no other way to the device,
   as an HVM guest has, for which a process emulates one as well. */
static gboolean
is_counted(const xe_handle *handle, const char *backend, gboolean is_emulated)
{
    return xe_server_of(backend) == XE_SERVER_KERNEL
           && (!is_emulated || is(handle, backend, "state", "4"));
}

/* FALSE: a disk is not counted here, as where a process or another domain serves it. */
static gboolean
count_disks(const xe_handle *handle, const char *sys, uint32_t domid, const char *kind,
            gboolean is_emulated, imig_vm_counters *counters)
{
    char **devices = devices_of(handle, domid, kind);
    gboolean all = TRUE;

    for (char **device = devices; *device && all; device++) {
        char *backend = backend_of(handle, domid, kind, *device);

        /* A CD drive, which is always a process's in an HVM guest, shall not hide the others. */
        all = backend && (is(handle, backend, "device-type", "cdrom")
                          || (is_counted(handle, backend, is_emulated)
                              && xe_count_block(sys, domid, *device, counters)));
        g_free(backend);
    }
    g_strfreev(devices);
    return all;
}

static gboolean
count_nets(const xe_handle *handle, const char *sys, uint32_t domid, gboolean is_emulated,
           imig_vm_counters *counters)
{
    char **devices = devices_of(handle, domid, "vif");
    gboolean all = TRUE;

    for (char **device = devices; *device && all; device++) {
        char *backend = backend_of(handle, domid, "vif", *device);
        char *name = backend ? xe_store_read(handle, "%s/vifname", backend) : NULL;

        if (!name || !*name) {
            g_free(name);
            name = g_strdup_printf("vif%u.%s", domid, *device);
        }
        all = is_counted(handle, backend, is_emulated) && xe_count_net(sys, name, counters);
        g_free(name);
        g_free(backend);
    }
    g_strfreev(devices);
    return all;
}

void
xe_devices_count(const xe_handle *handle, const char *sys, uint32_t domid,
                 imig_vm_counters *counters)
{
    char *type = xe_store_read(handle, "/libxl/%u/type", domid);
    gboolean is_emulated = g_strcmp0(type, "hvm") == 0, all = type != NULL;

    for (size_t k = 0; k < G_N_ELEMENTS(disk_kinds); k++)
        all = all && count_disks(handle, sys, domid, disk_kinds[k], is_emulated, counters);
    if (all)
        counters->present |= IMIG_COUNTER_HAS_DISK_OPS | IMIG_COUNTER_HAS_DISK_READ
                             | IMIG_COUNTER_HAS_DISK_WRITE;
    if (type && count_nets(handle, sys, domid, is_emulated, counters))
        counters->present |= IMIG_COUNTER_HAS_NET_RX | IMIG_COUNTER_HAS_NET_TX;
    g_free(type);
}

/* ---- whose disks are they ---- */

static double
number_of(char *text)
{
    double number = text ? g_ascii_strtod(text, NULL) : 0;

    g_free(text);
    return number;
}

static xe_disk
read_disk(const xe_handle *handle, const char *sys, const char *device, const char *backend)
{
    xe_server server = xe_server_of(backend);
    char *params = backend ? xe_store_read(handle, "%s/params", backend) : NULL;
    char *made = backend ? xe_store_read(handle, "%s/physical-device-path", backend) : NULL;
    const char *path = xe_disk_path(server, params);
    xe_disk disk = { .path = g_strdup(path && *path ? path : device) };

    if (backend)
        disk.bytes = xe_disk_bytes(server,
                                   number_of(xe_store_read(handle, "%s/sectors", backend)),
                                   number_of(xe_store_read(handle, "%s/sector-size", backend)));
    /* Another domain's paths are its own. */
    disk.is_shared = server != XE_SERVER_ELSEWHERE && xe_disk_is_shared(sys, path, made);
    g_free(made);
    g_free(params);
    return disk;
}

static void
clear_disk(void *data)
{
    g_free(((xe_disk *) data)->path);
}

GArray *
xe_disks_read(const xe_handle *handle, const char *sys, uint32_t domid)
{
    GArray *disks = g_array_new(FALSE, FALSE, sizeof(xe_disk));

    g_array_set_clear_func(disks, clear_disk);
    for (size_t k = 0; k < G_N_ELEMENTS(disk_kinds); k++) {
        char **devices = devices_of(handle, domid, disk_kinds[k]);

        for (char **device = devices; *device; device++) {
            char *backend = backend_of(handle, domid, disk_kinds[k], *device);

            if (!backend || !is(handle, backend, "mode", "r")) {
                xe_disk disk = read_disk(handle, sys, *device, backend);

                g_array_append_val(disks, disk);
            }
            g_free(backend);
        }
        g_strfreev(devices);
    }
    return disks;
}

char *
xe_domain_own_disk(const xe_handle *handle, const char *sys, uint32_t domid)
{
    GArray *disks = xe_disks_read(handle, sys, domid);
    char *own = NULL;

    for (guint i = 0; i < disks->len && !own; i++) {
        const xe_disk *disk = &g_array_index(disks, xe_disk, i);

        if (!disk->is_shared)
            own = g_strdup(disk->path);
    }
    g_array_unref(disks);
    return own;
}
