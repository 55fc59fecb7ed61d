/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/host-read-priv.h"

#include "model/cluster-store-priv.h"

#include <math.h>
#include <string.h>

static int
read_state(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    return imig__json_name(in, path, value, imig__host_states, IMIG_HOST_OFFLINE + 1,
                           "no such state", field);
}

static int
read_labels(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    imig__host_in *host = field;
    const char *key;
    json_t *label;

    if (imig__json_want_object(in, path, value) != IMIG_OK)
        return IMIG_ERR_INVALID;
    json_object_foreach(value, key, label) {
        const char *text;

        if (imig__json_text(in, IMIG__KEY(path, key), label, &text) != IMIG_OK)
            return IMIG_ERR_INVALID;
        g_ptr_array_add(host->labels, (void *) key);
        g_ptr_array_add(host->labels, (void *) text);
    }
    host->labels_given = TRUE;
    return IMIG_OK;
}

#define TEXT(key, field) { key, imig__json_text, offsetof(imig__host_in, field), 0, FALSE }
#define NUMBER(key, field, bit) \
    { key, imig__json_number, offsetof(imig__host_in, field), bit, FALSE }
#define REQUIRED(key, read, field) { key, read, offsetof(imig__host_in, field), 0, TRUE }
#define SPECIAL(key, read) { key, read, 0, 0, FALSE }

static const imig__json_key host_keys[] = {
    REQUIRED("id", imig__json_text, info.id),
    TEXT("name", info.name),
    TEXT("pool", info.pool),
    REQUIRED("cpu_cores", imig__json_number, info.cpu_cores),
    REQUIRED("memory_bytes", imig__json_number, info.memory_bytes),
    NUMBER("memory_overcommit_ratio", info.memory_overcommit_ratio,
           IMIG_HOST_HAS_MEMORY_OVERCOMMIT),
    NUMBER("reserved_memory_bytes", info.reserved_memory_bytes, IMIG_HOST_HAS_RESERVED_MEMORY),
    NUMBER("vm_overhead_bytes", info.vm_overhead_bytes, IMIG_HOST_HAS_VM_OVERHEAD),
    NUMBER("disk_ops_per_s", info.disk_ops_per_s, IMIG_HOST_HAS_DISK_OPS),
    NUMBER("net_bytes_per_s", info.net_bytes_per_s, IMIG_HOST_HAS_NET),
    NUMBER("migration_bytes_per_s", info.migration_bytes_per_s, IMIG_HOST_HAS_MIGRATION),
    TEXT("hypervisor", info.hypervisor),
    { "state", read_state, offsetof(imig__host_in, info.state), 0, FALSE },
    SPECIAL("labels", read_labels),
};

int
imig__host_read(imig__json_in *in, const imig__path *path, json_t *element, gboolean whole,
                imig__host_in *host)
{
    imig__json_key keys[G_N_ELEMENTS(host_keys)];

    memcpy(keys, host_keys, sizeof keys);
    host->info = (imig_host_info) IMIG_HOST_INFO_INIT;
    host->labels_given = FALSE;
    g_ptr_array_set_size(host->labels, 0);
    if (!whole) {
        for (size_t i = 1; i < G_N_ELEMENTS(keys); i++) /* behind the id */
            keys[i].required = FALSE;
        host->info.cpu_cores = host->info.memory_bytes = NAN;
        host->info.state = -1;
    }
    if (imig__json_object(in, path, element, keys, G_N_ELEMENTS(keys), host, &host->info.present)
        != IMIG_OK)
        return IMIG_ERR_INVALID;
    host->info.labels = (const char *const *) host->labels->pdata;
    host->info.label_count = host->labels->len / 2;
    return IMIG_OK;
}
