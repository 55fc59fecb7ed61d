/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "observe/series-priv.h"

#include <math.h>
#include <string.h>

imig__series *
imig__series_new(uint32_t counter_count, uint32_t window)
{
    imig__series *series = g_new0(imig__series, 1);

    series->counter_count = counter_count;
    series->window = window;
    series->free_slots = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    series->frames = g_new0(double *, window);
    series->frame_slots = g_new0(uint32_t, window);
    return series;
}

void
imig__series_free(imig__series *series)
{
    if (!series)
        return;
    for (uint32_t i = 0; i < series->window; i++)
        g_free(series->frames[i]);
    g_free(series->frames);
    g_free(series->frame_slots);
    g_free(series->seen);
    g_free(series->last);
    g_free(series->elsewhere);
    g_array_unref(series->free_slots);
    g_free(series);
}

static double *
last_of(const imig__series *series, uint32_t slot)
{
    return &series->last[(size_t) slot * (1 + series->counter_count)];
}

uint32_t
imig__series_take(imig__series *series)
{
    uint32_t slot;

    if (series->free_slots->len > 0) {
        slot = g_array_index(series->free_slots, uint32_t, series->free_slots->len - 1);
        g_array_set_size(series->free_slots, series->free_slots->len - 1);
    } else {
        slot = series->slot_count++;
        if (slot == series->slot_room) {
            series->slot_room = MAX(2 * slot, 16);
            series->seen = g_renew(uint64_t, series->seen, series->slot_room);
            series->last = g_renew(double, series->last,
                                   (size_t) series->slot_room * (1 + series->counter_count));
            series->elsewhere = g_renew(gboolean, series->elsewhere, series->slot_room);
        }
    }
    series->seen[slot] = series->begun;
    series->elsewhere[slot] = FALSE;
    for (uint32_t k = 0; k <= series->counter_count; k++)
        last_of(series, slot)[k] = NAN; /* nothing was read yet */
    return slot;
}

void
imig__series_begin(imig__series *series)
{
    uint32_t frame = (uint32_t) (series->begun++ % series->window);

    g_free(series->frames[frame]);
    series->frame_slots[frame] = series->slot_count;
    series->frames[frame] = g_new0(double, (size_t) series->slot_count *
                                              (1 + series->counter_count));
}

gboolean
imig__series_expire(imig__series *series, uint32_t slot)
{
    if (series->seen[slot] + series->window >= series->begun)
        return FALSE;
    g_array_append_val(series->free_slots, slot);
    return TRUE;
}

static gboolean
counts_on(const double *before, const double *now, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++)
        if (now[k] < before[k]) /* not so where one of them is NaN */
            return FALSE;
    return TRUE;
}

static double *
interval_at(const imig__series *series, uint32_t frame, uint32_t slot)
{
    if (!series->frames[frame] || slot >= series->frame_slots[frame])
        return NULL;
    return &series->frames[frame][(size_t) slot * (1 + series->counter_count)];
}

/* What was counted before a move says nothing any more, once there is something else. */
static void
forget_before(imig__series *series, uint32_t slot)
{
    for (uint32_t frame = 0; frame < series->window && series->elsewhere[slot]; frame++) {
        double *interval = interval_at(series, frame, slot);

        if (interval)
            interval[0] = 0;
    }
    series->elsewhere[slot] = FALSE;
}

void
imig__series_add(imig__series *series, uint32_t slot, double time_s, const double *counters,
                 gboolean broken)
{
    uint32_t frame = (uint32_t) ((series->begun - 1) % series->window);
    uint32_t n = series->counter_count;
    double *last = last_of(series, slot), length_s = time_s - last[0];
    gboolean goes_on = !broken && counts_on(last + 1, counters, n);
    double *interval;

    series->seen[slot] = series->begun;
    if (length_s <= 0 && goes_on)
        return; /* the same reading again, or a clock that was put back a little */
    series->elsewhere[slot] |= broken;
    interval = goes_on && length_s > 0 ? interval_at(series, frame, slot) : NULL;
    if (interval) {
        forget_before(series, slot);
        interval[0] = length_s;
        for (uint32_t k = 0; k < n; k++)
            interval[1 + k] = (counters[k] - last[1 + k]) / length_s;
    }
    last[0] = time_s;
    memcpy(last + 1, counters, n * sizeof *counters);
}

gboolean
imig__series_rate(const imig__series *series, uint32_t slot, uint32_t counter, double *rate,
                  double *standard_error)
{
    double time_s = 0, sum = 0, square = 0;
    uint32_t n = 0;

    for (uint32_t frame = 0; frame < series->window; frame++) {
        const double *interval = interval_at(series, frame, slot);

        if (!interval || interval[0] <= 0 || isnan(interval[1 + counter]))
            continue;
        time_s += interval[0];
        sum += interval[0] * interval[1 + counter];
        n++;
    }
    if (n == 0)
        return FALSE;
    *rate = sum / time_s;
    *standard_error = 0;
    if (n == 1)
        return TRUE;
    for (uint32_t frame = 0; frame < series->window; frame++) {
        const double *interval = interval_at(series, frame, slot);
        double off;

        if (!interval || interval[0] <= 0 || isnan(interval[1 + counter]))
            continue;
        off = interval[1 + counter] - *rate;
        square += interval[0] * off * off;
    }
    *standard_error = sqrt(square / time_s / (n - 1));
    return TRUE;
}
