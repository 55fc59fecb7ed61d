/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/xen-priv.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>

static const double SECTOR_BYTES = 512;

/* File systems that several hosts have at once; numbers as the kernel gives them. */
static const uint64_t shared_systems[] = {
    0x6969,     /* NFS */
    0x00c36400, /* Ceph */
    0x01161970, /* GFS2 */
    0x7461636f, /* OCFS2 */
    0xff534d42, /* CIFS */
    0xfe534d42, /* SMB 2 */
};

/* Devices that are there for that, and what stands in the place of those behind a network. */
static const char *const shared_names[] = { "drbd", "rbd", NULL };
static const char *const shared_ways[] = { "/session", "/rport-", NULL };

/* ---- where a disk is ---- */

#define HERE "/local/domain/0/backend/"

xe_server
xe_server_of(const char *backend)
{
    if (backend && (g_str_has_prefix(backend, HERE "vbd/")
                    || g_str_has_prefix(backend, HERE "vif/")))
        return XE_SERVER_KERNEL;
    return backend && g_str_has_prefix(backend, HERE "qdisk/") ? XE_SERVER_PROCESS
                                                               : XE_SERVER_ELSEWHERE;
}

const char *
xe_disk_path(xe_server server, const char *params)
{
    const char *colon = params && server == XE_SERVER_PROCESS ? strchr(params, ':') : NULL;

    return colon ? colon + 1 : params;
}

double
xe_disk_bytes(xe_server server, double sectors, double sector_bytes)
{
    return sectors * (server == XE_SERVER_KERNEL || !(sector_bytes > 0) ? SECTOR_BYTES
                                                                        : sector_bytes);
}

/* ---- who sees it ---- */

static gboolean
is_on_shared_system(const char *path)
{
    struct statfs fs;

    if (statfs(path, &fs) != 0)
        return FALSE;
    for (size_t i = 0; i < G_N_ELEMENTS(shared_systems); i++)
        if ((uint64_t) fs.f_type == shared_systems[i])
            return TRUE;
    return FALSE;
}

static gboolean
is_shared_device(const char *sys, const char *name)
{
    char *link = g_build_filename(sys, "class", "block", name, NULL);
    char *way = realpath(link, NULL);
    gboolean shared = FALSE;

    for (size_t i = 0; shared_names[i]; i++)
        shared |= g_str_has_prefix(name, shared_names[i]);
    for (size_t i = 0; way && shared_ways[i]; i++)
        shared |= strstr(way, shared_ways[i]) != NULL;
    free(way);
    g_free(link);
    return shared;
}

/* Several ways to one device, which is named by what it is: its world-wide identifier. */
static gboolean
is_shared_multipath(const char *sys, const char *name, const char *path)
{
    static const char prefix[] = "mpath-";
    char *uuid = xe_read_file("%s/class/block/%s/dm/uuid", sys, name);
    gboolean shared = uuid && g_str_has_prefix(uuid, prefix) && uuid[strlen(prefix)]
                      && strstr(path, uuid + strlen(prefix));
    char *slaves = g_build_filename(sys, "class", "block", name, "slaves", NULL);
    GDir *dir = shared ? g_dir_open(slaves, 0, NULL) : NULL;
    const char *slave;
    guint ways = 0;

    for (; dir && shared && (slave = g_dir_read_name(dir)); ways++)
        shared = is_shared_device(sys, slave);
    if (dir)
        g_dir_close(dir);
    g_free(slaves);
    g_free(uuid);
    return shared && ways > 0;
}

/* Kernels number devices as they find them: what is sdb here may be another disk there.  DRBD's
   numbers are those of its configuration, which both ends have. */
gboolean
xe_device_is_shared(const char *sys, const char *name, const char *path)
{
    static const char dev[] = "/dev/";
    gboolean is_lasting = !g_path_is_absolute(path) || g_str_has_prefix(name, "drbd")
                          || (g_str_has_prefix(path, dev) && strchr(path + strlen(dev), '/'));

    return is_lasting && (is_shared_device(sys, name) || is_shared_multipath(sys, name, path));
}

gboolean
xe_disk_is_shared(const char *sys, const char *path, const char *device)
{
    /* What is no path is for a script, which finds the same on every host, and makes a device. */
    const char *there = path && !g_path_is_absolute(path) ? device : path;
    char *real = there ? realpath(there, NULL) : NULL;
    struct stat st;
    gboolean shared = FALSE;

    if (real && stat(real, &st) == 0)
        shared = S_ISBLK(st.st_mode)
                     ? xe_device_is_shared(sys, strrchr(real, '/') + 1, path)
                     : is_on_shared_system(real);
    free(real);
    return shared;
}
