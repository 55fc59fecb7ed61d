/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/xen-priv.h"

/*
 * Between two rounds the helper cleans the bitmap of dirty pages, which sets their count back to 0:
 * a count that is smaller than the one before is another round.  Who looks now and then sees no
 * round that is shorter than the time between two looks.
 */

static const double RATE_S = 0.2; /* a rate from less is none */

static double
dirtied(const xe_rounds *r)
{
    return (double) (r->pages - r->before) * XE_PAGE_BYTES;
}

static void
begin(xe_rounds *r, double bytes, double sent_bytes, double now_s)
{
    r->rounds++;
    r->round_bytes = bytes;
    r->sent_before = sent_bytes;
    r->began_s = now_s;
}

void
xe_rounds_begin(xe_rounds *r, uint32_t pages, double memory_bytes, double now_s)
{
    *r = (xe_rounds) { .before = pages, .pages = pages, .dirty_bytes_per_s = -1 };
    begin(r, memory_bytes, 0, now_s);
}

void
xe_rounds_look(xe_rounds *r, uint32_t pages, double sent_bytes, double now_s)
{
    if (pages < r->pages) {
        begin(r, dirtied(r), sent_bytes, now_s);
        r->before = 0;
    }
    r->pages = pages;
    if (now_s - r->began_s >= RATE_S)
        r->dirty_bytes_per_s = dirtied(r) / (now_s - r->began_s);
}

void
xe_rounds_last(xe_rounds *r, double sent_bytes, double now_s)
{
    begin(r, dirtied(r), sent_bytes, now_s);
}

double
xe_rounds_remaining(const xe_rounds *r, double sent_bytes)
{
    return MAX(r->round_bytes - (sent_bytes - r->sent_before), 0);
}
