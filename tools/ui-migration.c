/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ui.h"

#include <math.h>
#include <string.h>

/* What becomes of a migration whose rounds do not shrink; the first is the default. */
static const struct {
    const char *name;
    int32_t action; /* an imig_stall_action */
    uint64_t flags; /* IMIG_MIGRATE_* */
} stalls[] = {
    { "abort", IMIG_STALL_ABORT, 0 },
    { "raise-downtime", IMIG_STALL_RAISE_DOWNTIME, 0 },
    { "throttle", IMIG_STALL_ABORT, IMIG_MIGRATE_AUTO_CONVERGE },
    { "post-copy", IMIG_STALL_ABORT, IMIG_MIGRATE_POST_COPY },
    { "continue", IMIG_STALL_GO_ON, 0 },
};

void
ui_migration_init(ui_migration *m, unsigned int takes)
{
    enum {
        ACTS = UI_CARRIES_OUT | UI_MIGRATES, ALL = UI_DECIDES | ACTS, PREDICTS = ALL | UI_CHECKS,
    };
    const struct {
        unsigned int by;
        ui_option option;
    } rows[] = {
        { PREDICTS, { "bandwidth", 0, UI_RATE, &m->bandwidth, "RATE",
                      "cap of each migration" } },
        { PREDICTS, { "downtime-limit", 0, UI_SECONDS, &m->downtime_limit_s, "TIME",
                 "a VM may stand still so long (300ms)" } },
        { PREDICTS, { "copy-disks", 0, UI_FLAG, &m->copy_disks, NULL,
                 "copy disks that are not shared" } },
        { PREDICTS, { "unsafe", 0, UI_FLAG, &m->unsafe, NULL,
                 "even where the hypervisor calls it unsafe; every disk counts as shared" } },
        { UI_DECIDES | UI_CARRIES_OUT, { "concurrency", 0, UI_COUNT1, &m->concurrency, "N",
                 "migrations out of and into each host at a time (1)" } },
        { UI_DECIDES | UI_CARRIES_OUT, { "max-parallel", 0, UI_COUNT1, &m->max_parallel, "N",
                 "migrations in all at a time" } },
        { ACTS, { "encrypt", 0, UI_FLAG, &m->encrypt, NULL, "send memory and disks by TLS" } },
        { ACTS, { "timeout", 0, UI_SECONDS, &m->timeout_s, "TIME",
                  "give a migration up after it (4 times the predicted, at least 60s)" } },
        { ACTS, { "retries", 0, UI_COUNT, &m->retries, "N",
                  "further attempts at one that failed (1)" } },
        { ALL, { "on-stall", 0, UI_TEXT, &m->on_stall, "WHAT",
                  "where its rounds do not shrink: abort (default), raise-downtime, throttle, "
                  "post-copy, continue" } },
        { ACTS, { "max-downtime", 0, UI_SECONDS, &m->max_downtime_s, "TIME",
                  "raise-downtime goes no further (10s)" } },
        { ALL, { "auto-converge", 0, UI_FLAG, &m->auto_converge, NULL,
                  "the same as --on-stall throttle" } },
        { ALL, { "post-copy", 0, UI_FLAG, &m->post_copy, NULL,
                  "the same as --on-stall post-copy" } },
        { UI_MIGRATES, { "force", 0, UI_FLAG, &m->force, NULL,
                         "even where it is predicted never to end" } },
    };
    size_t n = 0;

    G_STATIC_ASSERT(G_N_ELEMENTS(rows) < G_N_ELEMENTS(m->table));
    *m = (ui_migration) {
        .bandwidth = NAN, .downtime_limit_s = NAN, .timeout_s = NAN, .max_downtime_s = NAN,
        .concurrency = -1, .max_parallel = -1, .retries = -1,
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (rows[i].by & takes)
            m->table[n++] = rows[i].option;
}

void
ui_migration_clear(ui_migration *m)
{
    ui_clear(m->table);
}

int
ui_migration_read(ui_migration *m)
{
    size_t i = 0;

    while (m->on_stall && i < G_N_ELEMENTS(stalls) && !g_str_equal(m->on_stall, stalls[i].name))
        i++;
    if (i == G_N_ELEMENTS(stalls))
        return ui_fail(UI_USAGE, "no --on-stall \"%s\"; there are abort, raise-downtime, throttle, "
                       "post-copy, continue", m->on_stall);
    m->stall = stalls[i].action;
    m->flags = stalls[i].flags | (m->copy_disks ? IMIG_MIGRATE_COPY_DISKS : 0)
               | (m->unsafe ? IMIG_MIGRATE_UNSAFE : 0)
               | (m->encrypt ? IMIG_MIGRATE_ENCRYPT : 0)
               | (m->auto_converge ? IMIG_MIGRATE_AUTO_CONVERGE : 0)
               | (m->post_copy ? IMIG_MIGRATE_POST_COPY : 0);
    if (!isnan(m->max_downtime_s) && m->stall != IMIG_STALL_RAISE_DOWNTIME)
        return ui_fail(UI_USAGE, "--max-downtime needs --on-stall raise-downtime");
    if (m->downtime_limit_s > m->max_downtime_s)
        return ui_fail(UI_USAGE, "--max-downtime is below --downtime-limit");
    return UI_DONE;
}

gboolean
ui_migration_ends(const ui_migration *m)
{
    return m->stall != IMIG_STALL_ABORT
           || m->flags & (IMIG_MIGRATE_AUTO_CONVERGE | IMIG_MIGRATE_POST_COPY);
}

static void
set_number(imig_execute_options *o, uint64_t bit, double *field, double value)
{
    if (!isnan(value)) {
        *field = value;
        o->set |= bit;
    }
}

static void
set_count(imig_execute_options *o, uint64_t bit, uint32_t *field, int64_t value)
{
    if (value >= 0) {
        *field = (uint32_t) MIN(value, UINT32_MAX);
        o->set |= bit;
    }
}

void
ui_execute_options(const ui_migration *m, imig_execute_options *o)
{
    o->flags = m->flags;
    o->on_stall = m->stall;
    set_number(o, IMIG_EXECUTE_HAS_BANDWIDTH, &o->bandwidth_bytes_per_s, m->bandwidth);
    set_number(o, IMIG_EXECUTE_HAS_DOWNTIME_LIMIT, &o->downtime_limit_s, m->downtime_limit_s);
    set_number(o, IMIG_EXECUTE_HAS_TIMEOUT, &o->timeout_s, m->timeout_s);
    set_number(o, IMIG_EXECUTE_HAS_MAX_DOWNTIME, &o->max_downtime_s, m->max_downtime_s);
    set_count(o, IMIG_EXECUTE_HAS_CONCURRENCY, &o->concurrency, m->concurrency);
    set_count(o, IMIG_EXECUTE_HAS_MAX_PARALLEL, &o->max_parallel, m->max_parallel);
    set_count(o, IMIG_EXECUTE_HAS_RETRIES, &o->retries, m->retries);
}
