/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/cluster-store-priv.h"

#include <string.h>

enum { CHUNK = 64 * 1024, ALIGNMENT = sizeof(double) };

/* g_int64_hash() folds the halves together: chains of VMs (1 to 2, 2 to 3) would all collide. */
guint
imig__pair_hash(gconstpointer pair)
{
    uint64_t value;

    memcpy(&value, pair, sizeof value);
    return (guint) ((value * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

imig__cluster_store *
imig__store_new(void)
{
    imig__cluster_store *store = g_new0(imig__cluster_store, 1);

    store->chunks = g_ptr_array_new_with_free_func(g_atomic_rc_box_release);
    store->texts = g_hash_table_new(g_str_hash, g_str_equal);
    store->host_ids = g_hash_table_new(g_str_hash, g_str_equal);
    store->vm_ids = g_hash_table_new(g_str_hash, g_str_equal);
    store->flow_pairs = g_hash_table_new(imig__pair_hash, g_int64_equal);
    return store;
}

void
imig__store_free(imig__cluster_store *store)
{
    g_ptr_array_unref(store->chunks);
    g_hash_table_unref(store->texts);
    g_hash_table_unref(store->host_ids);
    g_hash_table_unref(store->vm_ids);
    g_clear_pointer(&store->flow_pairs, g_hash_table_unref);
    g_clear_pointer(&store->places, g_ptr_array_unref);
    g_clear_pointer(&store->vm_names, g_hash_table_unref);
    g_free(store);
}

static void *
take(imig__cluster_store *store, size_t length, size_t alignment)
{
    size_t gap = store->free ? (size_t) -(uintptr_t) store->free & (alignment - 1) : 0;
    char *taken;

    if (!store->free || store->left < gap + length) {
        size_t room = MAX(length, (size_t) CHUNK);

        store->free = g_atomic_rc_box_alloc(room);
        store->left = room;
        g_ptr_array_add(store->chunks, store->free);
        gap = 0;
    }
    taken = store->free + gap;
    store->free += gap + length;
    store->left -= gap + length;
    return taken;
}

void *
imig__store_bytes(imig__cluster_store *store, const void *bytes, size_t length)
{
    return bytes && length ? memcpy(take(store, length, ALIGNMENT), bytes, length) : NULL;
}

const char *
imig__store_text(imig__cluster_store *store, const char *text)
{
    size_t length;

    if (!text)
        return NULL;
    length = strlen(text) + 1;
    return memcpy(take(store, length, 1), text, length);
}

const char *
imig__store_shared_text(imig__cluster_store *store, const char *text)
{
    const char *known;

    if (!text)
        return NULL;
    known = g_hash_table_lookup(store->texts, text);
    if (!known) {
        known = imig__store_text(store, text);
        g_hash_table_add(store->texts, (void *) known);
    }
    return known;
}

gboolean
imig__store_add_pair(imig__cluster_store *store, uint32_t a, uint32_t b)
{
    uint64_t pair = (uint64_t) a << 32 | b;

    if (g_hash_table_contains(store->flow_pairs, &pair))
        return FALSE;
    g_hash_table_add(store->flow_pairs, imig__store_bytes(store, &pair, sizeof pair));
    return TRUE;
}
