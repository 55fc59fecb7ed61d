/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cost/beside-priv.h"
#include "cost/interplay-priv.h"

#include <math.h>
#include <string.h>

/* Rates and what they hold up depend on each other; they settle quickly, for holds are small. */
enum { SETTLING = 8 };

typedef struct flow {
    const imig_record *record;
    uint32_t from, to;            /* hosts as numbers; NOWHERE: not known */
    double begin_s, end_s;
    double from_link, to_link, bandwidth;
} flow;

typedef struct segment {
    double length_s;
    uint32_t first, count; /* in active */
} segment;

struct imig__beside {
    flow *flows;           /* [n] as the records */
    uint32_t n;
    GArray *segments, *active;
    uint32_t hosts, widest;
};

#define NOWHERE UINT32_MAX

static uint32_t
host_number(GHashTable *hosts, const char *id)
{
    gpointer number;

    if (!id)
        return NOWHERE;
    if (!g_hash_table_lookup_extended(hosts, id, NULL, &number)) {
        number = GUINT_TO_POINTER(g_hash_table_size(hosts));
        g_hash_table_insert(hosts, (gpointer) id, number);
    }
    return GPOINTER_TO_UINT(number);
}

static void
fill_flows(imig__beside *b, const imig_records *records, const double *duration_s)
{
    GHashTable *hosts = g_hash_table_new(g_str_hash, g_str_equal);

    for (uint32_t i = 0; i < b->n; i++) {
        const imig_record *r = imig__records_at(records, i);

        b->flows[i] = (flow) {
            .record = r,
            .from = host_number(hosts, r->from),
            .to = host_number(hosts, r->to),
            .begin_s = r->start_s,
            .end_s = r->start_s + fmax(duration_s[i], 1e-6),
            .bandwidth = r->bandwidth_bytes_per_s,
            .from_link = r->present & IMIG_RECORD_HAS_FROM_LINK ? r->from_link_bytes_per_s
                                                                : r->bandwidth_bytes_per_s,
            .to_link = r->present & IMIG_RECORD_HAS_TO_LINK ? r->to_link_bytes_per_s
                                                            : r->bandwidth_bytes_per_s,
        };
    }
    b->hosts = g_hash_table_size(hosts);
    g_hash_table_unref(hosts);
}

static gboolean
runs_with_others(const flow *f)
{
    return f->record->run && f->record->present & IMIG_RECORD_HAS_START;
}

static int
compare_flows(const void *a, const void *b, void *data)
{
    const flow *flows = data;
    uint32_t i = *(const uint32_t *) a, j = *(const uint32_t *) b;
    const flow *x = &flows[i], *y = &flows[j];
    int by_run = g_strcmp0(runs_with_others(x) ? x->record->run : NULL,
                           runs_with_others(y) ? y->record->run : NULL);

    if (by_run != 0)
        return by_run;
    if (x->begin_s != y->begin_s)
        return x->begin_s < y->begin_s ? -1 : 1;
    return (i > j) - (i < j);
}

static void
add_segment(imig__beside *b, const uint32_t *open, uint32_t count, double length_s)
{
    segment s = { length_s, b->active->len, count };

    if (count == 0 || length_s <= 0)
        return;
    g_array_append_vals(b->active, open, count);
    g_array_append_val(b->segments, s);
    b->widest = MAX(b->widest, count);
}

/* The flows of a run, in the order in which they begin. */
static void
cut(imig__beside *b, const uint32_t *order, uint32_t n, uint32_t *open)
{
    uint32_t count = 0, next = 0;
    double now = 0;

    while (next < n || count > 0) {
        double then = next < n ? b->flows[order[next]].begin_s : INFINITY;
        uint32_t kept = 0;

        for (uint32_t i = 0; i < count; i++)
            then = fmin(then, b->flows[open[i]].end_s);
        add_segment(b, open, count, then - now);
        now = then;
        for (uint32_t i = 0; i < count; i++)
            if (b->flows[open[i]].end_s > now)
                open[kept++] = open[i];
        for (count = kept; next < n && b->flows[order[next]].begin_s <= now; next++)
            open[count++] = order[next];
    }
}

imig__beside *
imig__beside_new(const imig_records *records, const double *duration_s)
{
    imig__beside *b = g_new0(imig__beside, 1);
    uint32_t *order, *open;

    b->n = (uint32_t) imig_records_count(records);
    b->flows = g_new(flow, b->n);
    b->segments = g_array_new(FALSE, FALSE, sizeof(segment));
    b->active = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    fill_flows(b, records, duration_s);
    order = g_new(uint32_t, b->n);
    open = g_new(uint32_t, b->n);
    for (uint32_t i = 0; i < b->n; i++)
        order[i] = i;
    g_qsort_with_data(order, (gint) b->n, sizeof *order, compare_flows, b->flows);
    for (uint32_t i = 0, end; i < b->n; i = end) {
        const flow *f = &b->flows[order[i]];

        end = i + 1;
        while (runs_with_others(f) && end < b->n && runs_with_others(&b->flows[order[end]])
               && strcmp(b->flows[order[end]].record->run, f->record->run) == 0)
            end++;
        cut(b, &order[i], end - i, open);
    }
    g_free(order);
    g_free(open);
    return b;
}

void
imig__beside_free(imig__beside *b)
{
    if (!b)
        return;
    g_free(b->flows);
    g_array_unref(b->segments);
    g_array_unref(b->active);
    g_free(b);
}

/* Per host, in turn: migrations that leave and that arrive, and the share of its link they fill. */
struct scratch {
    uint32_t *leaving, *arriving;
    double *sent;
    double *fair, *rate; /* [active] */
};

static void
settle(const imig__beside *b, const segment *s, const double *hold, struct scratch *w)
{
    const uint32_t *active = &g_array_index(b->active, uint32_t, s->first);

    for (uint32_t i = 0; i < s->count; i++) {
        const flow *f = &b->flows[active[i]];

        if (f->from != NOWHERE)
            w->leaving[f->from] = 0;
        if (f->to != NOWHERE)
            w->arriving[f->to] = 0;
    }
    for (uint32_t i = 0; i < s->count; i++) {
        const flow *f = &b->flows[active[i]];

        if (f->from != NOWHERE)
            w->leaving[f->from]++;
        if (f->to != NOWHERE)
            w->arriving[f->to]++;
    }
    for (uint32_t i = 0; i < s->count; i++) {
        const flow *f = &b->flows[active[i]];
        double out = f->from == NOWHERE ? f->bandwidth : f->from_link / w->leaving[f->from];
        double in = f->to == NOWHERE ? f->bandwidth : f->to_link / w->arriving[f->to];

        w->fair[i] = w->rate[i] = fmin(f->bandwidth, fmin(out, in));
    }
    for (int turn = 0; turn < SETTLING; turn++) {
        for (uint32_t i = 0; i < s->count; i++) {
            const flow *f = &b->flows[active[i]];

            if (f->from != NOWHERE)
                w->sent[f->from] = 0;
            if (f->to != NOWHERE)
                w->sent[f->to] = 0;
        }
        for (uint32_t i = 0; i < s->count; i++) {
            const flow *f = &b->flows[active[i]];

            if (f->from != NOWHERE)
                w->sent[f->from] += w->rate[i] / f->from_link;
        }
        for (uint32_t i = 0; i < s->count; i++) {
            const flow *f = &b->flows[active[i]];
            double sent = f->to != NOWHERE ? w->sent[f->to] : 0;

            /* Half way each time: what holds up may itself be held up. */
            w->rate[i] = (w->rate[i]
                          + w->fair[i] / (1 + imig__receive_hold(hold[active[i]], sent))) / 2;
        }
    }
}

void
imig__beside_rates(const imig__beside *b, const double *receive_hold_ratio, double *rate)
{
    struct scratch w = {
        .leaving = g_new(uint32_t, b->hosts + 1), .arriving = g_new(uint32_t, b->hosts + 1),
        .sent = g_new(double, b->hosts + 1), .fair = g_new(double, b->widest + 1),
        .rate = g_new(double, b->widest + 1),
    };

    memset(rate, 0, b->n * sizeof *rate);
    for (guint i = 0; i < b->segments->len; i++) {
        const segment *s = &g_array_index(b->segments, segment, i);

        settle(b, s, receive_hold_ratio, &w);
        for (uint32_t k = 0; k < s->count; k++)
            rate[g_array_index(b->active, uint32_t, s->first + k)] += w.rate[k] * s->length_s;
    }
    for (uint32_t i = 0; i < b->n; i++)
        rate[i] /= b->flows[i].end_s - b->flows[i].begin_s;
    g_free(w.leaving);
    g_free(w.arriving);
    g_free(w.sent);
    g_free(w.fair);
    g_free(w.rate);
}

static imig__precopy
precopy_of(const imig_record *r, const imig_constants *constants)
{
    imig__precopy p = {
        .hypervisor = imig__hypervisor_find(r->hypervisor),
        .memory_bytes = r->memory_bytes,
        .nonzero_bytes = r->memory_bytes,
        .populated_bytes = r->memory_bytes,
        .disk_bytes = r->disk_bytes,
        .dirty_bytes_per_s = r->dirty_bytes_per_s,
        .working_set_bytes = r->memory_bytes,
        .downtime_limit_s = IMIG__DOWNTIME_LIMIT_S,
        .writes = r->writes,
        .workload_class = r->workload_class,
    };

    if (!p.hypervisor)
        p.hypervisor = imig__hypervisor_find(NULL);
    if (r->present & IMIG_RECORD_HAS_NONZERO)
        p.nonzero_bytes = fmin(r->memory_nonzero_bytes, r->memory_bytes);
    if (r->present & IMIG_RECORD_HAS_POPULATED)
        p.populated_bytes = r->memory_populated_bytes;
    if (r->present & IMIG_RECORD_HAS_WORKING_SET)
        p.working_set_bytes = fmin(r->working_set_bytes, r->memory_bytes);
    if (r->present & IMIG_RECORD_HAS_DOWNTIME_LIMIT)
        p.downtime_limit_s = r->downtime_limit_s;
    imig__precopy_learn(&p, constants);
    return p;
}

/* How many times the bandwidth that was allowed the links have. */
static double
links_beyond_cap(const imig_record *r)
{
    const uint64_t both = IMIG_RECORD_HAS_FROM_LINK | IMIG_RECORD_HAS_TO_LINK;

    if ((r->present & both) != both)
        return 1;
    return fmax(fmin(r->from_link_bytes_per_s, r->to_link_bytes_per_s) / r->bandwidth_bytes_per_s,
                1);
}

void
imig__record_predict(const imig_record *record, const imig_constants *constants, double rate,
                     imig_cost *cost)
{
    imig__precopy p = precopy_of(record, constants);
    double beyond = p.hypervisor->caps_live_only ? links_beyond_cap(record) : 1;

    p.capped = beyond > 1;
    p.stop_bytes_per_s = constants->link_share_ratio * rate * beyond;
    p.live_bytes_per_s = constants->link_share_ratio * rate
        / (1 + imig__dirty_hold(constants->dirty_hold_ratio, record->from_cpu_ratio,
                                record->from_dirty_ratio));
    imig__precopy_predict(&p, cost, NULL);
}

double
imig__record_first_bytes(const imig_record *record)
{
    imig_constants none = { .dirty_ratio = 1 };
    imig__precopy p = precopy_of(record, &none);

    return imig__precopy_first_bytes(&p);
}

void
imig__record_errors(const imig_record *record, const imig_constants *constants, imig_cost *cost)
{
    imig__precopy p = precopy_of(record, constants);

    imig__cost_errors(&p, record->bandwidth_bytes_per_s, record->dirty_bytes_per_s, constants,
                      cost);
}
