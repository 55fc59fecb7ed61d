/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/cluster-priv.h"
#include "plan/schedule-run-priv.h"

#include <string.h>

/* Sums of doubles differ in their last digits by the order in which they were made. */
#define MEMORY_SLACK_BYTES 1.0

/* One place (a host or a value of a label) of one rule. */
typedef struct imig__place {
    uint64_t key;      /* 0: free */
    uint32_t vms;      /* of the rule, that are there or on their way from or to it */
    uint32_t arrivals; /* so far */
} imig__place;

static uint64_t
place_key(const imig__room *room, uint32_t rule, uint32_t host)
{
    uint64_t place = imig__rule_place(room->cluster, rule, host);

    return (uint64_t) rule << 32 | (place + 1);
}

/* Where this key is, or is to be. */
static imig__place *
find_place(const imig__room *room, uint64_t key)
{
    size_t i = (size_t) ((key * UINT64_C(0x9e3779b97f4a7c15)) >> 20) & room->place_mask;

    while (room->places[i].key != 0 && room->places[i].key != key)
        i = (i + 1) & room->place_mask;
    return &room->places[i];
}

static imig__place *
need_place(imig__room *room, uint64_t key)
{
    imig__place *place = find_place(room, key);

    place->key = key;
    return place;
}

static gboolean
keeps_apart(const imig_rule_info *rule)
{
    return rule->hard && rule->kind == IMIG_RULE_APART;
}

static void
list_rules(imig__room *room)
{
    const imig_cluster *c = room->cluster;
    uint32_t *next;
    size_t slots = 16;

    room->rule_begin = g_new0(uint32_t, c->vm_count + 1);
    for (size_t r = 0; r < c->rule_count; r++)
        for (size_t i = 0; keeps_apart(&c->rules[r]) && i < c->rules[r].vm_count; i++)
            room->rule_begin[c->rules[r].vms[i] + 1]++;
    for (size_t v = 0; v < c->vm_count; v++)
        room->rule_begin[v + 1] += room->rule_begin[v];
    room->rules = g_new(uint32_t, room->rule_begin[c->vm_count]);
    next = g_memdup2(room->rule_begin, c->vm_count * sizeof *next);
    for (uint32_t r = 0; r < c->rule_count; r++)
        for (size_t i = 0; keeps_apart(&c->rules[r]) && i < c->rules[r].vm_count; i++)
            room->rules[next[c->rules[r].vms[i]]++] = r;
    g_free(next);
    /* A VM is in three places at most: where it is, where it is parked, where it goes. */
    while (slots < (size_t) room->rule_begin[c->vm_count] * 6)
        slots *= 2;
    room->place_mask = slots - 1;
    room->places = g_new0(imig__place, slots);
}

void
imig__room_init(imig__room *room, const imig_cluster *cluster)
{
    room->cluster = cluster;
    room->used = g_new0(double, cluster->host_count);
    room->room = g_new(double, cluster->host_count);
    room->overhead = g_new(double, cluster->host_count);
    room->memory = g_new(double, cluster->vm_count);
    for (size_t h = 0; h < cluster->host_count; h++) {
        room->room[h] = imig__host_usable_memory(&cluster->hosts[h]) + MEMORY_SLACK_BYTES;
        room->overhead[h] = cluster->hosts[h].vm_overhead_bytes;
    }
    list_rules(room);
    for (uint32_t v = 0; v < cluster->vm_count; v++) {
        uint32_t host = cluster->vms[v].host;

        room->memory[v] = cluster->vms[v].memory_bytes;
        room->used[host] += imig__room_size(room, v, host);
        for (uint32_t i = room->rule_begin[v]; i < room->rule_begin[v + 1]; i++)
            need_place(room, place_key(room, room->rules[i], host))->vms++;
    }
    room->used_first = g_memdup2(room->used, cluster->host_count * sizeof *room->used);
    room->places_first = g_memdup2(room->places, (room->place_mask + 1) * sizeof *room->places);
}

void
imig__room_reset(imig__room *room)
{
    if (room->cluster->host_count > 0)
        memcpy(room->used, room->used_first, room->cluster->host_count * sizeof *room->used);
    memcpy(room->places, room->places_first, (room->place_mask + 1) * sizeof *room->places);
}

void
imig__room_clear(imig__room *room)
{
    g_free(room->used);
    g_free(room->room);
    g_free(room->overhead);
    g_free(room->memory);
    g_free(room->rule_begin);
    g_free(room->rules);
    g_free(room->places);
    g_free(room->used_first);
    g_free(room->places_first);
}

uint32_t
imig__room_conflict(const imig__room *room, uint32_t vm, uint32_t from, uint32_t to,
                    const uint32_t *turns)
{
    uint32_t begin = room->rule_begin[vm];

    for (uint32_t i = begin; i < room->rule_begin[vm + 1]; i++) {
        uint64_t key = place_key(room, room->rules[i], to);
        const imig__place *place;

        if (key == place_key(room, room->rules[i], from))
            continue;
        place = find_place(room, key);
        if (place->vms > 0 || (turns && place->arrivals != turns[i - begin]))
            return room->rules[i];
    }
    return IMIG_NO_INDEX;
}

uint32_t
imig__room_turns(const imig__room *room, uint32_t vm, uint32_t to, uint32_t *turns)
{
    uint32_t begin = room->rule_begin[vm], end = room->rule_begin[vm + 1];

    for (uint32_t i = begin; i < end; i++)
        turns[i - begin] = find_place(room, place_key(room, room->rules[i], to))->arrivals;
    return end - begin;
}

void
imig__room_enter(imig__room *room, uint32_t vm, uint32_t from, uint32_t to)
{
    room->used[to] += imig__room_size(room, vm, to);
    for (uint32_t i = room->rule_begin[vm]; i < room->rule_begin[vm + 1]; i++) {
        uint64_t key = place_key(room, room->rules[i], to);
        imig__place *place;

        if (key == place_key(room, room->rules[i], from))
            continue;
        place = need_place(room, key);
        place->vms++;
        place->arrivals++;
    }
}

void
imig__room_leave(imig__room *room, uint32_t vm, uint32_t from, uint32_t to)
{
    room->used[from] -= imig__room_size(room, vm, from);
    for (uint32_t i = room->rule_begin[vm]; i < room->rule_begin[vm + 1]; i++) {
        uint64_t key = place_key(room, room->rules[i], from);

        if (key != place_key(room, room->rules[i], to))
            find_place(room, key)->vms--;
    }
}

void
imig__room_undo(imig__room *room, uint32_t vm, uint32_t from, uint32_t to)
{
    room->used[to] -= imig__room_size(room, vm, to);
    room->used[from] += imig__room_size(room, vm, from);
    for (uint32_t i = room->rule_begin[vm]; i < room->rule_begin[vm + 1]; i++) {
        uint64_t key = place_key(room, room->rules[i], to);
        uint64_t back = place_key(room, room->rules[i], from);

        if (key == back)
            continue;
        find_place(room, key)->vms--;
        find_place(room, key)->arrivals--;
        find_place(room, back)->vms++;
    }
}

void
imig__queues_init(imig__queues *queues, size_t count, size_t n)
{
    queues->count = count;
    queues->head = g_new(uint32_t, count);
    for (size_t i = 0; i < count; i++)
        queues->head[i] = IMIG_NO_INDEX;
    queues->left = g_new(uint32_t, n);
    queues->right = g_new(uint32_t, n);
    queues->key = g_new(double, n);
}

void
imig__queues_clear(imig__queues *queues)
{
    g_free(queues->head);
    g_free(queues->left);
    g_free(queues->right);
    g_free(queues->key);
}

static gboolean
is_before(const imig__queues *queues, uint32_t a, uint32_t b)
{
    if (queues->key[a] != queues->key[b])
        return queues->key[a] < queues->key[b];
    return a < b;
}

static uint32_t
merge(imig__queues *queues, uint32_t a, uint32_t b)
{
    uint32_t head = IMIG_NO_INDEX, *link = &head;

    while (a != IMIG_NO_INDEX && b != IMIG_NO_INDEX) {
        uint32_t first = is_before(queues, b, a) ? b : a;

        b = first == a ? b : a;
        a = queues->right[first];
        queues->right[first] = queues->left[first];
        *link = first;
        link = &queues->left[first];
    }
    *link = a != IMIG_NO_INDEX ? a : b;
    return head;
}

void
imig__queues_push(imig__queues *queues, size_t queue, uint32_t move, double key)
{
    queues->left[move] = queues->right[move] = IMIG_NO_INDEX;
    queues->key[move] = key;
    queues->head[queue] = merge(queues, queues->head[queue], move);
}

uint32_t
imig__queues_pop(imig__queues *queues, size_t queue)
{
    uint32_t first = queues->head[queue];

    if (first != IMIG_NO_INDEX)
        queues->head[queue] = merge(queues, queues->left[first], queues->right[first]);
    return first;
}

void
imig__queues_pour(imig__queues *queues, size_t from, size_t into)
{
    queues->head[into] = merge(queues, queues->head[into], queues->head[from]);
    queues->head[from] = IMIG_NO_INDEX;
}
