/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/sim-priv.h"

static gboolean
goes_before(const imig__sim_heap *heap, uint32_t a, uint32_t b)
{
    return heap->key[a] < heap->key[b] || (!(heap->key[b] < heap->key[a]) && a < b);
}

static void
put(imig__sim_heap *heap, uint32_t at, uint32_t id)
{
    heap->ids[at] = id;
    heap->position[id] = at;
}

static void
sift(imig__sim_heap *heap, uint32_t at, uint32_t id)
{
    while (at > 0 && goes_before(heap, id, heap->ids[(at - 1) / 2])) {
        put(heap, at, heap->ids[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        uint32_t child = 2 * at + 1;

        if (child + 1 < heap->count && goes_before(heap, heap->ids[child + 1], heap->ids[child]))
            child++;
        if (child >= heap->count || !goes_before(heap, heap->ids[child], id))
            break;
        put(heap, at, heap->ids[child]);
        at = child;
    }
    put(heap, at, id);
}

void
imig__sim_heap_set(imig__sim_heap *heap, uint32_t id, double key)
{
    if (id >= heap->room) {
        uint32_t room = MAX(2 * heap->room, id + 1);

        heap->key = g_renew(double, heap->key, room);
        heap->position = g_renew(uint32_t, heap->position, room);
        heap->ids = g_renew(uint32_t, heap->ids, room);
        while (heap->room < room)
            heap->position[heap->room++] = IMIG_NO_INDEX;
    }
    heap->key[id] = key;
    sift(heap, heap->position[id] == IMIG_NO_INDEX ? heap->count++ : heap->position[id], id);
}

void
imig__sim_heap_remove(imig__sim_heap *heap, uint32_t id)
{
    uint32_t at, last;

    if (id >= heap->room || heap->position[id] == IMIG_NO_INDEX)
        return;
    at = heap->position[id];
    last = heap->ids[--heap->count];
    heap->position[id] = IMIG_NO_INDEX;
    if (last != id)
        sift(heap, at, last);
}

void
imig__sim_heap_clear(imig__sim_heap *heap)
{
    g_free(heap->key);
    g_free(heap->position);
    g_free(heap->ids);
    *heap = (imig__sim_heap) { NULL };
}
