/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cost/cover-priv.h"

#include <math.h>
#include <string.h>

/*
 * Dynamic programming over bytes in quanta.  A level is all sets of one rounded-down cost; it keeps
 * the most CPU, the most memory and the fewest bytes that any of its sets has, each by itself, so
 * that what a level promises is never less than what one of its sets holds.
 */

enum { LEVELS = 1024 };

#define UNREACHABLE (-1e300)
#define SLACK 1e-9 /* of a demand: sums of doubles differ in their last digits */

typedef struct level {
    double cpu, memory, bytes;
} level;

struct imig__cover {
    level *levels;  /* [LEVELS + 1] */
    uint8_t *taken; /* [taken_size] item x level: the set with the most CPU has this item */
    size_t taken_size;
};

imig__cover *
imig__cover_new(void)
{
    imig__cover *cover = g_new0(imig__cover, 1);

    cover->levels = g_new(level, LEVELS + 1);
    return cover;
}

void
imig__cover_free(imig__cover *cover)
{
    if (!cover)
        return;
    g_free(cover->levels);
    g_free(cover->taken);
    g_free(cover);
}

/* Takes what frees most of what is still needed for each byte; the bytes of that set. */
static double
greedy(const imig__cover_item *items, size_t n, double need_memory, double need_cpu,
       uint8_t *chosen)
{
    double all_memory = MAX(need_memory, 0), all_cpu = MAX(need_cpu, 0), bytes = 0;

    memset(chosen, 0, n);
    while (need_memory > SLACK * all_memory || need_cpu > SLACK * all_cpu) {
        double most = 0;
        size_t best = n;

        for (size_t i = 0; i < n; i++) {
            double useful = 0;

            if (chosen[i])
                continue;
            if (need_memory > 0)
                useful += MIN(items[i].memory, need_memory) / all_memory;
            if (need_cpu > 0)
                useful += MIN(items[i].cpu, need_cpu) / all_cpu;
            if (useful / items[i].bytes > most) {
                most = useful / items[i].bytes;
                best = i;
            }
        }
        if (best == n)
            return INFINITY;
        chosen[best] = 1;
        bytes += items[best].bytes;
        need_memory -= items[best].memory;
        need_cpu -= items[best].cpu;
    }
    /* What was taken early may not be needed any more. */
    for (size_t i = 0; i < n; i++)
        if (chosen[i] && need_memory + items[i].memory <= 0 && need_cpu + items[i].cpu <= 0) {
            chosen[i] = 0;
            bytes -= items[i].bytes;
            need_memory += items[i].memory;
            need_cpu += items[i].cpu;
        }
    return bytes;
}

/* The unit that all sizes are multiples of, where it is coarse enough; else a LEVELS-th. */
static double
quantum(const imig__cover_item *items, size_t n, double most)
{
    uint64_t unit = 0;

    for (size_t i = 0; i < n && unit != 1; i++) {
        uint64_t a = (uint64_t) items[i].bytes, b = unit;

        if ((double) a != items[i].bytes)
            unit = 1;
        else
            for (unit = a; b != 0;) {
                uint64_t rest = unit % b;

                unit = b;
                b = rest;
            }
    }
    return unit > 0 && most / (double) unit <= LEVELS ? (double) unit : most / LEVELS;
}

static void
add_item(level *levels, size_t top, const imig__cover_item *item, size_t cost, uint8_t *taken)
{
    for (size_t j = top + 1; j-- > cost;) {
        const level *from = &levels[j - cost];
        level *to = &levels[j];

        if (from->cpu < 0)
            continue;
        if (from->cpu + item->cpu > to->cpu) {
            to->cpu = from->cpu + item->cpu;
            taken[j] = 1;
        }
        to->memory = MAX(to->memory, from->memory + item->memory);
        to->bytes = MIN(to->bytes, from->bytes + item->bytes);
    }
}

double
imig__cover_least(imig__cover *cover, const imig__cover_item *items, size_t n, double need_memory,
                  double need_cpu, uint8_t *chosen)
{
    double most = greedy(items, n, need_memory, need_cpu, chosen), unit, least = INFINITY;
    double overhead = 0;
    size_t top, best = 0;

    if (most <= 0 || isinf(most))
        return most <= 0 ? 0 : INFINITY;
    unit = quantum(items, n, most);
    top = MIN((size_t) (most / unit * (1 + SLACK)), LEVELS);
    if (cover->taken_size < n * (top + 1)) {
        cover->taken_size = n * (top + 1);
        g_free(cover->taken);
        cover->taken = g_new(uint8_t, cover->taken_size);
    }
    memset(cover->taken, 0, n * (top + 1));
    for (size_t j = 0; j <= top; j++)
        cover->levels[j] = (level) { UNREACHABLE, UNREACHABLE, INFINITY };
    cover->levels[0] = (level) { 0, 0, 0 };
    for (size_t i = 0; i < n; i++) {
        overhead += items[i].memory - items[i].bytes;
        /* A quotient of whole numbers is rounded: (1 + SLACK) would lift no size to another level
           that is not a multiple of the unit. */
        add_item(cover->levels, top, &items[i], (size_t) (items[i].bytes / unit),
                 cover->taken + i * (top + 1));
    }
    for (size_t j = 0; j <= top; j++) {
        const level *l = &cover->levels[j];

        if (l->cpu >= need_cpu * (1 - SLACK) && l->memory >= need_memory * (1 - SLACK)
            && l->bytes < least) {
            least = l->bytes;
            best = j;
        }
    }
    least = MIN(least, most);
    if (least < most) {
        memset(chosen, 0, n);
        for (size_t i = n; i-- > 0;)
            if (cover->taken[i * (top + 1) + best]) {
                chosen[i] = 1;
                best -= (size_t) (items[i].bytes / unit);
            }
    }
    /* Whatever leaves has the memory that has to, but for the overhead. */
    return MAX(least, need_memory - overhead) * (1 - SLACK);
}
