/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "execute/room-priv.h"

struct imig__room {
    imig_cluster *cluster;
    uint32_t *host, *target;        /* [vm_count] target: IMIG_NO_INDEX where it is not under way */
    double *left;                   /* [host_count] bytes */
    uint32_t *rule_first, *rules;   /* the hard `apart` rules of each VM */
};

static double
need(const imig__room *room, uint32_t vm, uint32_t host)
{
    return room->cluster->vms[vm].memory_bytes + room->cluster->hosts[host].vm_overhead_bytes;
}

static gboolean
is_hard_apart(const imig_rule_info *rule)
{
    return rule->kind == IMIG_RULE_APART && rule->hard;
}

static void
list_rules(imig__room *room)
{
    const imig_cluster *c = room->cluster;
    uint32_t *cursor;

    room->rule_first = g_new0(uint32_t, c->vm_count + 1);
    for (size_t r = 0; r < c->rule_count; r++)
        for (size_t i = 0; is_hard_apart(&c->rules[r]) && i < c->rules[r].vm_count; i++)
            room->rule_first[c->rules[r].vms[i] + 1]++;
    for (size_t v = 0; v < c->vm_count; v++)
        room->rule_first[v + 1] += room->rule_first[v];
    room->rules = g_new(uint32_t, room->rule_first[c->vm_count] + 1);
    cursor = g_memdup2(room->rule_first, (c->vm_count + 1) * sizeof *cursor);
    for (uint32_t r = 0; r < c->rule_count; r++)
        for (size_t i = 0; is_hard_apart(&c->rules[r]) && i < c->rules[r].vm_count; i++)
            room->rules[cursor[c->rules[r].vms[i]]++] = r;
    g_free(cursor);
}

int
imig__room_new(imig_connection *connection, imig__room **result, imig_error **error)
{
    imig_sample *sample;
    imig_cluster *cluster;
    imig__room *room;
    int code = imig__connection_sample(connection, &sample, error);

    if (code != IMIG_OK)
        return code;
    cluster = imig_cluster_ref(sample->cluster);
    imig__sample_free(sample);
    code = imig_cluster_finish(cluster, error);
    if (code != IMIG_OK) {
        imig_cluster_unref(cluster);
        return code;
    }
    room = g_new0(imig__room, 1);
    room->cluster = cluster;
    room->host = g_new(uint32_t, cluster->vm_count + 1);
    room->target = g_new(uint32_t, cluster->vm_count + 1);
    room->left = g_new(double, cluster->host_count + 1);
    for (size_t h = 0; h < cluster->host_count; h++)
        room->left[h] = imig__host_usable_memory(&cluster->hosts[h]);
    for (uint32_t v = 0; v < cluster->vm_count; v++) {
        room->host[v] = cluster->vms[v].host;
        room->target[v] = IMIG_NO_INDEX;
        room->left[room->host[v]] -= need(room, v, room->host[v]);
    }
    list_rules(room);
    *result = room;
    return IMIG_OK;
}

void
imig__room_free(imig__room *room)
{
    if (!room)
        return;
    imig_cluster_unref(room->cluster);
    g_free(room->host);
    g_free(room->target);
    g_free(room->left);
    g_free(room->rule_first);
    g_free(room->rules);
    g_free(room);
}

/* FALSE: the hypervisors showed no such VM or host. */
static gboolean
find(const imig__room *room, const char *vm_id, const char *host_id, uint32_t *vm, uint32_t *host)
{
    *vm = imig__cluster_vm_by_id(room->cluster, vm_id);
    *host = imig_cluster_find_host(room->cluster, host_id);
    return *vm != IMIG_NO_INDEX && *host != IMIG_NO_INDEX;
}

void
imig__room_begin(imig__room *room, const char *vm_id, const char *to)
{
    uint32_t vm, host;

    if (!find(room, vm_id, to, &vm, &host) || room->host[vm] == host
        || room->target[vm] == host)
        return;
    room->target[vm] = host;
    room->left[host] -= need(room, vm, host);
}

void
imig__room_end(imig__room *room, const char *vm_id, const char *host_id)
{
    uint32_t vm, host;

    if (!find(room, vm_id, host_id, &vm, &host))
        return;
    room->left[room->host[vm]] += need(room, vm, room->host[vm]);
    if (room->target[vm] != IMIG_NO_INDEX)
        room->left[room->target[vm]] += need(room, vm, room->target[vm]);
    room->left[host] -= need(room, vm, host);
    room->host[vm] = host;
    room->target[vm] = IMIG_NO_INDEX;
}

/* The first VM of the rule that is, or will be, where this one would go. */
static uint32_t
find_clash(const imig__room *room, uint32_t rule, uint32_t vm, uint32_t host)
{
    const imig_rule_info *info = &room->cluster->rules[rule];
    uint32_t place = imig__rule_place(room->cluster, rule, host);

    for (size_t i = 0; i < info->vm_count; i++) {
        uint32_t other = info->vms[i];

        if (other != vm
            && (imig__rule_place(room->cluster, rule, room->host[other]) == place
                || (room->target[other] != IMIG_NO_INDEX
                    && imig__rule_place(room->cluster, rule, room->target[other]) == place)))
            return other;
    }
    return IMIG_NO_INDEX;
}

int
imig__room_check(const imig__room *room, const char *vm_id, const char *host_id,
                 imig_error **error)
{
    uint32_t vm, host;

    if (!find(room, vm_id, host_id, &vm, &host))
        return imig__fail(error, IMIG_ERR_UNSUPPORTED, "the hypervisors show no %s or no %s", vm_id,
                          host_id);
    if (need(room, vm, host) > room->left[host])
        return imig__fail(error, IMIG_ERR_UNSUPPORTED, "%s has %.0f bytes left, %s needs %.0f",
                          host_id, MAX(room->left[host], 0), vm_id, need(room, vm, host));
    for (uint32_t i = room->rule_first[vm]; i < room->rule_first[vm + 1]; i++) {
        uint32_t clash = find_clash(room, room->rules[i], vm, host);

        if (clash != IMIG_NO_INDEX)
            return imig__fail(error, IMIG_ERR_UNSUPPORTED, "rules[%u] keeps %s apart from %s",
                              room->rules[i], vm_id, room->cluster->vms[clash].id);
    }
    return IMIG_OK;
}
