/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cost/constants-priv.h"
#include "cost/precopy-priv.h"
#include "model/workload-priv.h"

#include <math.h>
#include <string.h>

/* Sizes in the release that introduced the structs, for ever. */
#define PROFILE_FIRST_SIZE IMIG__END_OF(imig_migration_profile, constants)
#define COST_FIRST_SIZE IMIG__END_OF(imig_cost, reserved)

/* What a VM of unknown class loses while it migrates: between the rows of Table 1. */
static const double unknown_overhead_ratio = 0.08;

/*
 * QEMU asks, whenever what is left of a round has come below downtime limit x bandwidth, what has
 * been dirtied meanwhile, and stops the VM if that still fits.  Xen 4.17 (libxenguest) makes at
 * most five live rounds and calls the one with fewer than 50 pages the last.
 */
/* TCP segments of 1448 bytes in frames of 1538. */
#define LINK_SHARE 0.94

static const imig__hypervisor hypervisors[] = {
    {
        .name = "qemu",
        .skips_zero_pages = TRUE, .caps_live_only = TRUE, .waits_for_limit = TRUE,
        .live_rounds = IMIG__LIVE_ROUNDS_MAX, .look_s = 0.05,
        .page_header_bytes = 8, .zero_page_bytes = 9, .state_bytes = 2e6, .queued_bytes = 1.8e6,
        .setup_s = 0.4, .downtime_s = 0.04, .link_share = LINK_SHARE,
    },
    {
        .name = "xen",
        .live_rounds = 5, .few_pages = 50,
        .page_header_bytes = 8, .stream_bytes = 8.36e6, .suspend_pages = 250,
        .setup_s = 0.4, .round_s = 0.02, .downtime_s = 0.05, .link_share = LINK_SHARE,
    },
};

const imig__hypervisor *
imig__hypervisor_find(const char *name)
{
    if (!name)
        return &hypervisors[0];
    for (size_t i = 0; i < G_N_ELEMENTS(hypervisors); i++)
        if (strcmp(hypervisors[i].name, name) == 0)
            return &hypervisors[i];
    return NULL;
}

const char *
imig_hypervisor_name(uint32_t index)
{
    return index < G_N_ELEMENTS(hypervisors) ? hypervisors[index].name : NULL;
}

/* Bytes of memory that differ after this time from what they were. */
static double
dirtied_after(const imig__precopy *p, double elapsed_s)
{
    double written = p->dirty_bytes_per_s * elapsed_s;

    if (p->dirty_bytes_per_s <= 0 || p->working_set_bytes <= 0)
        return 0;
    if (p->writes == IMIG_WRITES_CYCLIC)
        return MIN(written, p->working_set_bytes);
    return -p->working_set_bytes * expm1(-written / p->working_set_bytes);
}

static double
overhead_ratio(int32_t workload_class)
{
    if (workload_class == IMIG_WORKLOAD_UNKNOWN)
        return unknown_overhead_ratio;
    return imig__workload_rows[workload_class].overhead_ratio;
}

void
imig__precopy_predict(const imig__precopy *p, imig_cost *cost, double *pages)
{
    const imig__hypervisor *hv = p->hypervisor;
    const double stream_ratio = 1 + hv->page_header_bytes / IMIG__PAGE_BYTES;
    /* What QEMU expects to send while the VM stands still is judged by what it sends now. */
    const double fits = hv->waits_for_limit ? p->downtime_limit_s * p->live_bytes_per_s : 0;
    /* It has sent half of what goes in between, as a rule, when it finds that the rest fits. */
    const double left = fmax(fits - hv->look_s / 2 * p->live_bytes_per_s, 0);
    const double fits_s = fits * stream_ratio / p->live_bytes_per_s + hv->round_s;
    const double state = hv->state_bytes - (p->capped ? hv->queued_bytes : 0);
    double bytes = imig__precopy_first_bytes(p);
    double stream = bytes * stream_ratio + hv->stream_bytes;
    double sent = p->disk_bytes, time_s = p->setup_s + p->disk_bytes / p->live_bytes_per_s;
    double counted = 1, next, rest = 0, downtime_s;
    uint32_t rounds = 0;

    if (hv->skips_zero_pages) {
        stream += (p->memory_bytes - bytes) / IMIG__PAGE_BYTES * hv->zero_page_bytes;
        /* Zero pages count for what is left, and cost nothing; no later round has any. */
        counted = bytes / p->memory_bytes;
    }
    for (;;) {
        double round_s = stream / p->live_bytes_per_s + hv->round_s, again = 1;
        gboolean last;

        next = dirtied_after(p, round_s);
        last = next <= fits || (rounds > 0 && bytes < hv->few_pages * IMIG__PAGE_BYTES);
        /* A fixed point: all rounds that are left are like this one. */
        if (!last && rounds > 0 && fabs(next - bytes) <= 1e-9 * bytes)
            again = hv->live_rounds - rounds;
        sent += again * stream;
        time_s += again * round_s;
        while (again-- > 0) {
            if (pages)
                pages[rounds] = bytes / IMIG__PAGE_BYTES;
            rounds++;
        }
        if (last || rounds == hv->live_rounds)
            break;
        bytes = next;
        stream = next * stream_ratio;
        counted = 1;
    }

    /* The rounds come below what fits just if a round of that size is followed by a smaller one. */
    cost->converges = !hv->waits_for_limit || next <= fits || dirtied_after(p, fits_s) < fits;
    /* QEMU stops in the middle of a round, with as much of it left as fits beside what was dirtied
       in it. */
    if (next < left)
        rest = counted * fmax(MIN(left, p->memory_bytes) - next, 0);
    next += hv->suspend_pages * IMIG__PAGE_BYTES;
    if (pages)
        pages[rounds] = next / IMIG__PAGE_BYTES;
    downtime_s = ((rest + next) * stream_ratio + state) / p->stop_bytes_per_s + p->downtime_s;
    cost->time_s = time_s - rest * stream_ratio / p->live_bytes_per_s + downtime_s;
    cost->downtime_s = downtime_s;
    cost->transferred_bytes = sent + next * stream_ratio + hv->state_bytes;
    cost->slowdown_ratio = overhead_ratio(p->workload_class);
    cost->rounds = rounds + 1;
}

static int
check_profile(const imig_migration_profile *m, imig_error **error)
{
    const struct {
        const char *name;
        double value;
        gboolean given, zero_allowed;
    } fields[] = {
        { "memory_bytes", m->memory_bytes, TRUE, FALSE },
        { "bandwidth_bytes_per_s", m->bandwidth_bytes_per_s, TRUE, FALSE },
        { "dirty_bytes_per_s", m->dirty_bytes_per_s, TRUE, TRUE },
        { "disk_bytes", m->disk_bytes, TRUE, TRUE },
        { "working_set_bytes", m->working_set_bytes,
          (m->present & IMIG_PROFILE_HAS_WORKING_SET) != 0, TRUE },
        { "memory_nonzero_bytes", m->memory_nonzero_bytes,
          (m->present & IMIG_PROFILE_HAS_NONZERO) != 0, TRUE },
        { "memory_populated_bytes", m->memory_populated_bytes,
          (m->present & IMIG_PROFILE_HAS_POPULATED) != 0, TRUE },
        { "downtime_limit_s", m->downtime_limit_s,
          (m->present & IMIG_PROFILE_HAS_DOWNTIME_LIMIT) != 0, FALSE },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
        double value = fields[i].value;

        if (fields[i].given && (!isfinite(value) || value < 0
                                || (value == 0 && !fields[i].zero_allowed)))
            return imig__fail(error, IMIG_ERR_ARGUMENT, "%s: %g is not a number %s", fields[i].name,
                              value, fields[i].zero_allowed ? ">= 0" : "> 0");
    }
    if (m->writes != IMIG_WRITES_RANDOM && m->writes != IMIG_WRITES_CYCLIC)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "writes: %d is no imig_writes", m->writes);
    if (m->workload_class < IMIG_WORKLOAD_UNKNOWN || m->workload_class >= IMIG_WORKLOAD_COUNT)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "workload_class: %d is no imig_workload",
                          m->workload_class);
    return IMIG_OK;
}

int
imig_predict(const imig_migration_profile *profile, imig_cost *cost, imig_error **error)
{
    imig_migration_profile m;
    imig_cost result = IMIG_COST_INIT;
    imig_constants constants;
    imig__precopy p;
    double rate;
    int rc;

    if (!profile || !cost)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "profile or cost is NULL");
    rc = imig__copy_struct(&m, sizeof m, profile, PROFILE_FIRST_SIZE, error);
    if (rc == IMIG_OK)
        rc = check_profile(&m, error);
    if (rc == IMIG_OK)
        rc = imig__constants_of(m.hypervisor, m.constants, &constants, error);
    if (rc != IMIG_OK)
        return rc;
    rate = constants.link_share_ratio * m.bandwidth_bytes_per_s;
    p = (imig__precopy) {
        .hypervisor = imig__hypervisor_find(m.hypervisor),
        .memory_bytes = m.memory_bytes,
        .nonzero_bytes = m.memory_bytes,
        .populated_bytes = m.memory_bytes,
        .disk_bytes = m.disk_bytes,
        .dirty_bytes_per_s = m.dirty_bytes_per_s,
        .working_set_bytes = m.memory_bytes,
        .downtime_limit_s = IMIG__DOWNTIME_LIMIT_S,
        .live_bytes_per_s = rate,
        .stop_bytes_per_s = rate,
        .writes = m.writes,
        .workload_class = m.workload_class,
    };
    if (m.present & IMIG_PROFILE_HAS_NONZERO)
        p.nonzero_bytes = MIN(m.memory_nonzero_bytes, m.memory_bytes);
    if (m.present & IMIG_PROFILE_HAS_POPULATED)
        p.populated_bytes = m.memory_populated_bytes;
    if (m.present & IMIG_PROFILE_HAS_WORKING_SET)
        p.working_set_bytes = MIN(m.working_set_bytes, m.memory_bytes);
    if (m.present & IMIG_PROFILE_HAS_DOWNTIME_LIMIT)
        p.downtime_limit_s = m.downtime_limit_s;
    imig__precopy_learn(&p, &constants);
    imig__precopy_predict(&p, &result, NULL);
    imig__cost_errors(&p, m.bandwidth_bytes_per_s, m.dirty_bytes_per_s, &constants, &result);
    return imig__fill_struct(cost, &result, sizeof result, COST_FIRST_SIZE, error);
}
