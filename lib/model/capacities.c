/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/capacities-priv.h"

#include "model/cluster-store-priv.h"
#include "model/host-read-priv.h"

#include <math.h>

#define FORMAT "imig-capacity/1"

struct imig__capacities {
    imig_cluster *cluster; /* checks the items, and owns their texts; it is never finished */
    GArray *items;         /* of imig_host_info, as imig__host_read() leaves what is absent */
    GArray *has_labels;    /* of gboolean */
};

typedef struct reader {
    imig__capacities *capacities;
    imig__host_in host;
} reader;

static int
read_item(imig__json_in *in, const imig__path *path, json_t *element, void *state)
{
    reader *r = state;
    imig_host_info info, *kept;
    imig_cluster *cluster = r->capacities->cluster;
    int code;

    if (imig__host_read(in, path, element, FALSE, &r->host) != IMIG_OK)
        return IMIG_ERR_INVALID;
    /* What is absent is not wrong. */
    info = r->host.info;
    info.cpu_cores = isnan(info.cpu_cores) ? 1 : info.cpu_cores;
    info.memory_bytes = isnan(info.memory_bytes) ? 1 : info.memory_bytes;
    info.state = info.state < 0 ? IMIG_HOST_ACTIVE : info.state;
    code = imig_cluster_add_host(cluster, &info, imig__json_error(in));
    if (code != IMIG_OK)
        return code;
    kept = &cluster->hosts[cluster->host_count - 1];
    info = r->host.info;
    info.id = kept->id;
    info.name = info.name ? kept->name : NULL;
    info.pool = info.pool ? kept->pool : NULL;
    info.hypervisor = info.hypervisor ? kept->hypervisor : NULL;
    info.labels = kept->labels;
    g_array_append_val(r->capacities->items, info);
    g_array_append_val(r->capacities->has_labels, r->host.labels_given);
    return IMIG_OK;
}

static const imig__json_member members[] = {
    { "hosts", NULL, read_item, NULL, TRUE },
};

int
imig__capacities_from_json(const char *text, size_t length, imig__capacities **ret_capacities,
                           imig_error **error)
{
    imig__capacities *capacities = g_new0(imig__capacities, 1);
    reader r = { .capacities = capacities, .host.labels = g_ptr_array_new() };
    int code;

    capacities->cluster = imig_cluster_new(0);
    capacities->items = g_array_new(FALSE, FALSE, sizeof(imig_host_info));
    capacities->has_labels = g_array_new(FALSE, FALSE, sizeof(gboolean));
    code = imig__json_read(text, length, FORMAT, members, G_N_ELEMENTS(members), &r, error);
    g_ptr_array_unref(r.host.labels);
    if (code == IMIG_OK)
        *ret_capacities = capacities;
    else
        imig__capacities_free(capacities);
    return code;
}

void
imig__capacities_free(imig__capacities *capacities)
{
    if (!capacities)
        return;
    imig_cluster_unref(capacities->cluster);
    g_array_unref(capacities->items);
    g_array_unref(capacities->has_labels);
    g_free(capacities);
}

void
imig__capacities_apply(const imig__capacities *capacities, imig_host_info *host)
{
    uint32_t index = imig_cluster_find_host(capacities->cluster, host->id);
    imig_host_info item;

    if (index == IMIG_NO_INDEX)
        return;
    item = g_array_index(capacities->items, imig_host_info, index);
    host->name = item.name ? item.name : host->name;
    host->pool = item.pool ? item.pool : host->pool;
    host->hypervisor = item.hypervisor ? item.hypervisor : host->hypervisor;
    host->state = item.state >= 0 ? item.state : host->state;
    if (g_array_index(capacities->has_labels, gboolean, index)) {
        host->labels = item.labels;
        host->label_count = item.label_count;
    }
    for (size_t i = 0; i < IMIG__HOST_NUMBERS; i++) {
        const imig__number_field *field = &imig__host_numbers[i];
        double value = *imig__number_in(&item, field);

        if (field->bit ? !(item.present & field->bit) : isnan(value))
            continue;
        *imig__number_in(host, field) = value;
        host->present |= field->bit;
    }
}

int
imig__capacities_check(const imig__capacities *capacities, GHashTable *hosts, imig_error **error)
{
    for (size_t i = 0; i < capacities->items->len; i++) {
        const char *id = g_array_index(capacities->items, imig_host_info, i).id;

        if (!g_hash_table_contains(hosts, id))
            return imig__refuse_text(IMIG__KEY(IMIG__AT(IMIG__KEY(NULL, "hosts"), i), "id"), id,
                                     "no such host", error);
    }
    return IMIG_OK;
}
