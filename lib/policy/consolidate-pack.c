/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/consolidate-pack-priv.h"

#include "model/cluster-priv.h"
#include "policy/random-priv.h"

#include <math.h>
#include <string.h>

enum { LOOKED_AT = 64 }; /* destinations, before all of them are */

#define SLACK 1e-9

/* -- where one VM, or a unit, goes -- */

static uint32_t
unit_size(const imig__space *space, uint32_t vm)
{
    return space->unit_begin[space->unit[vm] + 1] - space->unit_begin[space->unit[vm]];
}

static void
sum_unit(const imig__space *space, uint32_t vm, double *cpu, double *memory)
{
    uint32_t u = space->unit[vm];

    *cpu = *memory = 0;
    for (uint32_t i = space->unit_begin[u]; i < space->unit_begin[u + 1]; i++) {
        *cpu += space->load->brings[space->unit_vm[i]].cpu;
        *memory += space->load->brings[space->unit_vm[i]].memory;
    }
}

static gboolean
rules_allow(const imig__packing *p, uint32_t vm, uint32_t host)
{
    const imig__space *space = p->space;
    uint32_t u = space->unit[vm];

    if (!(space->tied[vm] & (IMIG__TIED_UNIT | IMIG__TIED_RULE | IMIG__TIED_HOSTS)))
        return TRUE;
    for (uint32_t i = space->unit_begin[u]; i < space->unit_begin[u + 1]; i++)
        if (!imig__space_allows(space, space->unit_vm[i], host)
            || imig__space_conflicts(space, &p->places, space->unit_vm[i], host, TRUE) > 0
            || imig__space_conflicts(space, &p->places, space->unit_vm[i], host, FALSE)
                   > imig__space_conflicts(space, &p->places, space->unit_vm[i],
                                           p->places.host[space->unit_vm[i]], FALSE))
            return FALSE;
    return TRUE;
}

/* What is left of the fuller resource, and how unevenly: less is better.  INFINITY: no room. */
static double
fit_of(const imig__packing *p, uint32_t vm, double cpu, double memory, uint32_t host)
{
    double free_cpu, free_memory;

    if (host == p->places.host[vm])
        return INFINITY;
    memory += unit_size(p->space, vm) * p->space->overhead[host];
    free_cpu = p->limits->cpu[host] - p->cpu[host] - cpu;
    free_memory = p->limits->memory[host] - p->memory[host] - memory;
    if (free_cpu < -SLACK * p->limits->cpu[host] || free_memory < -SLACK * p->limits->memory[host]
        || !rules_allow(p, vm, host))
        return INFINITY;
    free_cpu /= p->limits->cpu[host];
    free_memory /= MAX(p->limits->memory[host], 1);
    return free_cpu + free_memory + fabs(free_cpu - free_memory);
}

static uint32_t
find_host(imig__packing *p, uint32_t vm)
{
    double best = INFINITY, cpu, memory;
    uint32_t to = IMIG_NO_HOST, n = p->takes_count;

    sum_unit(p->space, vm, &cpu, &memory);
    for (int all = n <= 2 * LOOKED_AT; all < 2 && to == IMIG_NO_HOST; all++)
        for (uint32_t i = 0; i < (all ? n : LOOKED_AT); i++) {
            uint32_t h = p->takes[all ? i : imig__random(p->options->seed, p->drawn++) % n];
            double fit = fit_of(p, vm, cpu, memory, h);

            if (fit < best) {
                best = fit;
                to = h;
            }
        }
    return to;
}

static void
list_vm(imig__packing *p, uint32_t vm, uint32_t host)
{
    p->prev[vm] = IMIG_NO_INDEX;
    p->next[vm] = p->first[host];
    if (p->first[host] != IMIG_NO_INDEX)
        p->prev[p->first[host]] = vm;
    p->first[host] = vm;
}

static void
unlist_vm(imig__packing *p, uint32_t vm, uint32_t host)
{
    uint32_t next = p->next[vm], prev = p->prev[vm];

    if (prev == IMIG_NO_INDEX)
        p->first[host] = next;
    else
        p->next[prev] = next;
    if (next != IMIG_NO_INDEX)
        p->prev[next] = prev;
}

static void
put(imig__packing *p, uint32_t vm, uint32_t to)
{
    const imig__space *space = p->space;
    uint32_t u = space->unit[vm], from = p->places.host[vm];
    double cpu, memory, count = unit_size(space, vm);

    sum_unit(space, vm, &cpu, &memory);
    p->cpu[from] -= cpu;
    p->memory[from] -= memory + count * space->overhead[from];
    p->cpu[to] += cpu;
    p->memory[to] += memory + count * space->overhead[to];
    for (uint32_t i = space->unit_begin[u]; i < space->unit_begin[u + 1]; i++)
        p->places.host[space->unit_vm[i]] = to;
    unlist_vm(p, vm, from);
    list_vm(p, vm, to);
}

/* -- one host -- */

static gboolean
has_spare(const imig__packing *p, const double *limit, uint32_t without, double spare)
{
    double *largest, sum = 0;
    uint32_t n = 0;

    if (p->options->spare_hosts == 0)
        return spare - limit[without] >= 0;
    /* Few hosts are to spare: the largest of those left are found by insertion. */
    largest = g_new0(double, p->options->spare_hosts + 1);
    for (uint32_t i = 0; i < p->n; i++) {
        uint32_t h = p->host[i], at;

        if (p->frees[h] || h == without)
            continue;
        for (at = n; at > 0 && largest[at - 1] < limit[h]; at--)
            largest[at] = largest[at - 1];
        largest[at] = limit[h];
        n = MIN(n + 1, p->options->spare_hosts);
    }
    for (uint32_t i = 0; i < n; i++)
        sum += largest[i];
    g_free(largest);
    return spare - limit[without] - sum >= 0;
}

gboolean
imig__pack_can_do_without(const imig__packing *p, uint32_t host)
{
    return has_spare(p, p->limits->cpu, host, p->spare_cpu + SLACK * p->spare_cpu)
           && has_spare(p, p->limits->memory, host,
                        p->spare_memory + SLACK * p->spare_memory);
}

static void
drop_host(imig__packing *p, uint32_t host)
{
    uint32_t at = p->takes_at[host], last = p->takes[--p->takes_count];

    p->takes[at] = last;
    p->takes_at[last] = at;
}

void
imig__pack_free(imig__packing *p, uint32_t host)
{
    p->frees[host] = 1;
    p->spare_cpu -= p->limits->cpu[host];
    p->spare_memory -= p->limits->memory[host];
}

static int
compare_memory(const void *a, const void *b, void *data)
{
    const imig__load *load = data;
    uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;
    double mx = load->brings[x].memory, my = load->brings[y].memory;

    if (mx != my)
        return mx > my ? -1 : 1;
    return (x > y) - (x < y);
}

gboolean
imig__pack_empty(imig__packing *p, uint32_t host)
{
    uint32_t n = 0, done = 0;

    for (uint32_t v = p->first[host]; v != IMIG_NO_INDEX; v = p->next[v])
        p->leaving[n++] = v;
    g_qsort_with_data(p->leaving, (gint) n, sizeof *p->leaving, compare_memory,
                      (gpointer) p->space->load);
    drop_host(p, host);
    for (; done < n; done++) {
        uint32_t vm = p->leaving[done];
        uint32_t to = p->space->fixed[vm] ? IMIG_NO_HOST : find_host(p, vm);

        if (to == IMIG_NO_HOST)
            break;
        put(p, vm, to);
    }
    if (done == n) {
        imig__pack_free(p, host);
        return TRUE;
    }
    while (done-- > 0)
        put(p, p->leaving[done], host);
    p->takes_at[host] = p->takes_count;
    p->takes[p->takes_count++] = host;
    return FALSE;
}

void
imig__pack_begin(imig__packing *p, const imig__state *state)
{
    const imig__space *space = p->space;

    p->takes_count = 0;
    p->spare_cpu = p->spare_memory = 0;
    p->drawn = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        uint32_t h = p->host[i];

        p->cpu[h] = state->sums[h].cpu;
        p->memory[h] = imig__space_memory(space, state, h);
        p->frees[h] = 0;
        p->first[h] = IMIG_NO_INDEX;
        p->takes_at[h] = p->takes_count;
        p->takes[p->takes_count++] = h;
        p->spare_cpu += p->limits->cpu[h] - p->cpu[h];
        p->spare_memory += p->limits->memory[h] - p->memory[h];
        for (uint32_t k = p->begin[h]; k < p->begin[h + 1]; k++) {
            uint32_t vm = p->vm[k];

            p->places.host[vm] = h;
            if (imig__space_unit_first(space, vm) == vm)
                list_vm(p, vm, h);
        }
    }
}
