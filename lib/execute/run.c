/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/connect-priv.h"
#include "execute/run-priv.h"

#include <math.h>

static const uint64_t OPTION_BITS = IMIG_EXECUTE_HAS_POLL | IMIG_EXECUTE_HAS_BANDWIDTH |
    IMIG_EXECUTE_HAS_DOWNTIME_LIMIT | IMIG_EXECUTE_HAS_TIMEOUT | IMIG_EXECUTE_HAS_CONCURRENCY |
    IMIG_EXECUTE_HAS_MAX_PARALLEL | IMIG_EXECUTE_HAS_RETRIES | IMIG_EXECUTE_HAS_MAX_DOWNTIME |
    IMIG_EXECUTE_HAS_DOUBT;

static gboolean
is_positive(double value)
{
    return isfinite(value) && value > 0;
}

int
imig__run_read_options(imig_execute_options *into, const imig_execute_options *options,
                       imig_error **error)
{
    enum { FIRST_SIZE = IMIG__END_OF(imig_execute_options, on_stall) };
    int code = imig__copy_struct(into, sizeof *into, options, FIRST_SIZE, error);

    if (code != IMIG_OK)
        return code;
    if (into->set & ~OPTION_BITS || into->flags & ~IMIG__MIGRATE_FLAGS)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "execute options: an unknown bit");
    if (!(into->set & IMIG_EXECUTE_HAS_POLL))
        into->poll_s = 0.5;
    if (!(into->set & IMIG_EXECUTE_HAS_CONCURRENCY))
        into->concurrency = 1;
    if (!(into->set & IMIG_EXECUTE_HAS_RETRIES))
        into->retries = 1;
    if (!(into->set & IMIG_EXECUTE_HAS_BANDWIDTH))
        into->bandwidth_bytes_per_s = 0;
    if (!(into->set & IMIG_EXECUTE_HAS_DOWNTIME_LIMIT))
        into->downtime_limit_s = 0;
    if (!(into->set & IMIG_EXECUTE_HAS_DOUBT))
        into->doubt_s = 60;
    else if (!(isfinite(into->doubt_s) && into->doubt_s >= 0))
        return imig__fail(error, IMIG_ERR_ARGUMENT, "doubt_s is not a number >= 0");
    if (!is_positive(into->poll_s))
        return imig__fail(error, IMIG_ERR_ARGUMENT, "poll_s is not above 0");
    if (into->set & IMIG_EXECUTE_HAS_BANDWIDTH && !is_positive(into->bandwidth_bytes_per_s))
        return imig__fail(error, IMIG_ERR_ARGUMENT, "bandwidth_bytes_per_s is not above 0");
    if (into->set & IMIG_EXECUTE_HAS_DOWNTIME_LIMIT && !is_positive(into->downtime_limit_s))
        return imig__fail(error, IMIG_ERR_ARGUMENT, "downtime_limit_s is not above 0");
    if (!(into->set & IMIG_EXECUTE_HAS_MAX_DOWNTIME))
        into->max_downtime_s = 0;
    else if (!is_positive(into->max_downtime_s))
        return imig__fail(error, IMIG_ERR_ARGUMENT, "max_downtime_s is not above 0");
    if (into->on_stall < IMIG_STALL_ABORT || into->on_stall > IMIG_STALL_GO_ON)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "on_stall: %d is no imig_stall_action",
                          into->on_stall);
    if (into->set & IMIG_EXECUTE_HAS_TIMEOUT && !is_positive(into->timeout_s))
        return imig__fail(error, IMIG_ERR_ARGUMENT, "timeout_s is not above 0");
    if (into->concurrency == 0)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "concurrency is 0");
    if (!(into->set & IMIG_EXECUTE_HAS_MAX_PARALLEL))
        into->max_parallel = 0;
    else if (into->max_parallel == 0)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "max_parallel is 0");
    return IMIG_OK;
}

static uint32_t
intern(GHashTable *table, const char *text)
{
    gpointer index;

    if (!g_hash_table_lookup_extended(table, text, NULL, &index)) {
        index = GUINT_TO_POINTER(g_hash_table_size(table));
        g_hash_table_insert(table, (gpointer) text, index);
    }
    return GPOINTER_TO_UINT(index);
}

static uint32_t
intern_number(GHashTable *table, uint32_t number)
{
    gpointer index;

    if (!g_hash_table_lookup_extended(table, GUINT_TO_POINTER(number), NULL, &index)) {
        index = GUINT_TO_POINTER(g_hash_table_size(table));
        g_hash_table_insert(table, GUINT_TO_POINTER(number), index);
    }
    return GPOINTER_TO_UINT(index);
}

imig_run *
imig__run_new(const imig_plan *plan, imig__window_step **window_steps)
{
    GHashTable *vms = g_hash_table_new(g_str_hash, g_str_equal);
    GHashTable *hosts = g_hash_table_new(g_str_hash, g_str_equal);
    GHashTable *groups = g_hash_table_new(NULL, NULL);
    imig_run *run = g_new0(imig_run, 1);

    run->plan = imig_plan_ref((imig_plan *) plan); /* counts references; the plan never changes */
    run->messages = g_string_chunk_new(256);
    run->n = imig_plan_step_count(plan);
    run->steps = g_new0(imig_step_report, run->n + 1);
    *window_steps = g_new0(imig__window_step, run->n + 1);
    for (size_t i = 0; i < run->n; i++) {
        imig_plan_step step = IMIG_PLAN_STEP_INIT;

        imig_plan_get_step(plan, i, &step, NULL);
        run->steps[i] = (imig_step_report) {
            .size = sizeof(imig_step_report), .vm = step.vm, .from = step.from, .to = step.to,
            .message = "", .predicted_s = step.duration_s,
            .predicted_downtime_s = step.downtime_s, .predicted_bytes = step.transferred_bytes,
            .step = (uint32_t) i, .state = IMIG_STEP_WAITING,
        };
        (*window_steps)[i] = (imig__window_step) {
            .vm = intern(vms, step.vm), .from = intern(hosts, step.from),
            .to = intern(hosts, step.to), .group = intern_number(groups, step.group),
            .start_s = step.start_s, .end_s = step.start_s + step.duration_s,
        };
    }
    g_hash_table_destroy(vms);
    g_hash_table_destroy(hosts);
    g_hash_table_destroy(groups);
    return run;
}

void
imig__run_set_message(imig_run *run, uint32_t step, const char *message)
{
    run->steps[step].message = g_string_chunk_insert(run->messages, message);
}

void
imig_run_free(imig_run *run)
{
    if (!run)
        return;
    imig_plan_unref(run->plan);
    g_string_chunk_free(run->messages);
    g_free(run->steps);
    g_free(run);
}

size_t
imig_run_count(const imig_run *run, int32_t state)
{
    size_t count = 0;

    for (size_t i = 0; run && i < run->n; i++)
        count += run->steps[i].state == state;
    return count;
}

double
imig_run_duration_s(const imig_run *run)
{
    return run ? run->duration_s : 0;
}

int
imig_run_get_step(const imig_run *run, size_t step, imig_step_report *report, imig_error **error)
{
    enum { FIRST_SIZE = IMIG__END_OF(imig_step_report, state) };

    if (!run || !report)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "no run or no place for the report");
    if (step >= run->n)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "no step %zu in a run of %zu", step, run->n);
    return imig__fill_struct(report, &run->steps[step], sizeof *report, FIRST_SIZE, error);
}
