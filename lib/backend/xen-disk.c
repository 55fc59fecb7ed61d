/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/xen-priv.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>

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

gboolean
xe_disk_is_shared(const char *sys, const char *path)
{
    char *real = realpath(path, NULL);
    struct stat st;
    gboolean shared = FALSE;

    if (real && stat(real, &st) == 0)
        shared = S_ISBLK(st.st_mode) ? is_shared_device(sys, strrchr(real, '/') + 1)
                                     : is_on_shared_system(real);
    free(real);
    return shared;
}
