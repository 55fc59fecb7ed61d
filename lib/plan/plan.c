/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/check-priv.h"
#include "plan/plan-data-priv.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

/* Sizes in the release that introduced the structs. */
#define END_OF(type, field) (offsetof(type, field) + sizeof(((type *) 0)->field))
enum {
    STEP_FIRST_SIZE = END_OF(imig_plan_step, reserved),
    TOTALS_FIRST_SIZE = END_OF(imig_plan_totals, reserved),
    SUMMARY_FIRST_SIZE = END_OF(imig_plan_summary, reserved),
};

static const char *
keep(imig_plan *plan, const char *text)
{
    return text ? g_string_chunk_insert_const(plan->texts, text) : "";
}

/* What is written has to be read back, whatever the names in it. */
static const char *
keep_reason(imig_plan *plan, const char *text)
{
    const char *valid, *kept;
    char *cut;

    if (!text || strlen(text) <= IMIG__REASON_MAX)
        return keep(plan, text);
    g_utf8_validate_len(text, IMIG__REASON_MAX, &valid);
    cut = g_strndup(text, (size_t) (valid - text));
    kept = keep(plan, cut);
    g_free(cut);
    return kept;
}

imig_plan *
imig__plan_new(const char *goal, const char *policy, double cluster_time_s, const char *sha256)
{
    imig_plan *plan = g_atomic_rc_box_new0(imig_plan);

    g_assert(isfinite(cluster_time_s));
    plan->texts = g_string_chunk_new(4096);
    plan->options = g_array_new(FALSE, FALSE, sizeof(imig__plan_option));
    plan->steps = g_array_new(FALSE, FALSE, sizeof(imig_plan_step));
    plan->kept = g_array_new(FALSE, FALSE, sizeof(imig__plan_kept));
    plan->empty_hosts = g_array_new(FALSE, FALSE, sizeof(const char *));
    plan->above = g_array_new(FALSE, FALSE, sizeof(imig__plan_kept));
    plan->goal = keep(plan, goal);
    plan->policy = keep(plan, policy);
    plan->cluster_time_s = cluster_time_s;
    plan->cluster_sha256 = keep(plan, sha256);
    plan->before = plan->after = (imig_plan_totals) IMIG_PLAN_TOTALS_INIT;
    plan->summary = (imig_plan_summary) IMIG_PLAN_SUMMARY_INIT;
    plan->summary.complete = 1;
    return plan;
}

imig_plan *
imig_plan_ref(imig_plan *plan)
{
    return plan ? g_atomic_rc_box_acquire(plan) : NULL;
}

static void
plan_clear(void *data)
{
    imig_plan *plan = data;

    g_array_unref(plan->options);
    g_array_unref(plan->steps);
    g_array_unref(plan->kept);
    g_array_unref(plan->empty_hosts);
    g_array_unref(plan->above);
    g_string_chunk_free(plan->texts);
    imig_cluster_unref(plan->cluster);
}

void
imig_plan_unref(imig_plan *plan)
{
    if (plan)
        g_atomic_rc_box_release_full(plan, plan_clear);
}

/* ---- making one ---- */

void
imig__plan_set_cluster(imig_plan *plan, const imig_cluster *cluster)
{
    plan->cluster = imig_cluster_ref((imig_cluster *) cluster);
}

void
imig__plan_add_option(imig_plan *plan, const char *key, double value)
{
    imig__plan_option option = { keep(plan, key), NULL, value };

    g_assert(isfinite(value));
    g_array_append_val(plan->options, option);
}

void
imig__plan_add_option_text(imig_plan *plan, const char *key, const char *value)
{
    imig__plan_option option = { keep(plan, key), keep(plan, value), 0 };

    g_array_append_val(plan->options, option);
}

static gboolean
is_amount(double value)
{
    return isfinite(value) && value >= 0;
}

void
imig__plan_add_step(imig_plan *plan, const imig_plan_step *step)
{
    imig_plan_step kept = *step;

    /* What is made here can be read back. */
    g_assert(is_amount(step->start_s) && is_amount(step->duration_s) &&
             is_amount(step->downtime_s) && is_amount(step->transferred_bytes) &&
             is_amount(step->slowdown_ratio) && isfinite(step->gain));
    kept.size = sizeof kept;
    kept.vm = keep(plan, step->vm);
    kept.from = keep(plan, step->from);
    kept.to = keep(plan, step->to);
    kept.reason_code = keep(plan, step->reason_code);
    kept.reason_text = keep_reason(plan, step->reason_text);
    g_array_append_val(plan->steps, kept);
}

void
imig__plan_add_kept(imig_plan *plan, const char *vm, const char *code, const char *text)
{
    imig__plan_kept kept = { keep(plan, vm), keep(plan, code), keep_reason(plan, text) };

    g_array_append_val(plan->kept, kept);
}

void
imig__plan_add_empty_host(imig_plan *plan, const char *host)
{
    const char *kept = keep(plan, host);

    g_array_append_val(plan->empty_hosts, kept);
}

void
imig__plan_add_above(imig_plan *plan, const char *host, const char *code, const char *text)
{
    imig__plan_kept above = { keep(plan, host), keep(plan, code), keep_reason(plan, text) };

    g_array_append_val(plan->above, above);
}

static void
assert_finite(const imig_plan_totals *t)
{
    g_assert(isfinite(t->loss) && isfinite(t->contention) && isfinite(t->interference) &&
             isfinite(t->communication) && isfinite(t->cpu_max) && isfinite(t->cpu_mean) &&
             isfinite(t->cpu_stddev) && isfinite(t->memory_max) && isfinite(t->memory_stddev));
}

void
imig__plan_set_totals(imig_plan *plan, const imig_plan_totals *before,
                      const imig_plan_totals *after)
{
    assert_finite(before);
    assert_finite(after);
    plan->before = *before;
    plan->after = *after;
    plan->before.size = plan->after.size = sizeof *after;
}

void
imig__plan_set_summary(imig_plan *plan, const imig_plan_summary *summary)
{
    g_assert(isfinite(summary->migration_loss) && isfinite(summary->loss_bound) &&
             isfinite(summary->gap_ratio) && is_amount(summary->makespan_s) &&
             is_amount(summary->makespan_bound_s) && is_amount(summary->moved_bytes) &&
             is_amount(summary->moved_bytes_bound) && is_amount(summary->cpu_to_mean) &&
             is_amount(summary->memory_to_mean));
    plan->summary = *summary;
    plan->summary.size = sizeof *summary;
}

/* ---- looking at one ---- */

const char *
imig_plan_goal(const imig_plan *plan)
{
    return plan ? plan->goal : NULL;
}

const char *
imig_plan_policy(const imig_plan *plan)
{
    return plan ? plan->policy : NULL;
}

const char *
imig_plan_cluster_sha256(const imig_plan *plan)
{
    if (!plan)
        return "";
    return plan->cluster ? imig_cluster_sha256(plan->cluster) : plan->cluster_sha256;
}

size_t
imig_plan_step_count(const imig_plan *plan)
{
    return plan ? plan->steps->len : 0;
}

size_t
imig_plan_kept_count(const imig_plan *plan)
{
    return plan ? plan->kept->len : 0;
}

size_t
imig_plan_empty_host_count(const imig_plan *plan)
{
    return plan ? plan->empty_hosts->len : 0;
}

const char *
imig_plan_empty_host(const imig_plan *plan, size_t index)
{
    return index < imig_plan_empty_host_count(plan)
               ? g_array_index(plan->empty_hosts, const char *, index) : NULL;
}

static int
check_index(const imig_plan *plan, const char *what, size_t index, size_t count,
            imig_error **error)
{
    if (!plan)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "plan is NULL");
    if (index >= count)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%s %zu of %zu", what, index, count);
    return IMIG_OK;
}

int
imig_plan_get_step(const imig_plan *plan, size_t index, imig_plan_step *step, imig_error **error)
{
    int code = check_index(plan, "step", index, imig_plan_step_count(plan), error);

    if (code != IMIG_OK)
        return code;
    if (!step)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "step is NULL");
    return imig__fill_struct(step, imig__plan_step(plan, index), sizeof *step, STEP_FIRST_SIZE,
                             error);
}

static void
lend(const imig__plan_kept *kept, const char **id, const char **code, const char **text)
{
    if (id)
        *id = kept->id;
    if (code)
        *code = kept->code;
    if (text)
        *text = kept->text;
}

int
imig_plan_get_kept(const imig_plan *plan, size_t index, const char **vm, const char **code,
                   const char **text, imig_error **error)
{
    int failed = check_index(plan, "kept VM", index, imig_plan_kept_count(plan), error);

    if (failed)
        return failed;
    lend(&g_array_index(plan->kept, imig__plan_kept, index), vm, code, text);
    return IMIG_OK;
}

size_t
imig_plan_above_count(const imig_plan *plan)
{
    return plan ? plan->above->len : 0;
}

int
imig_plan_get_above(const imig_plan *plan, size_t index, const char **host, const char **code,
                    const char **text, imig_error **error)
{
    int failed = check_index(plan, "host above its limits", index, imig_plan_above_count(plan),
                             error);

    if (failed)
        return failed;
    lend(&g_array_index(plan->above, imig__plan_kept, index), host, code, text);
    return IMIG_OK;
}

int
imig_plan_get_totals(const imig_plan *plan, imig_plan_totals *before, imig_plan_totals *after,
                     imig_error **error)
{
    int code = IMIG_OK;

    if (!plan)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "plan is NULL");
    /* Both sizes first, so that neither is touched where one is wrong. */
    if (before)
        code = imig__check_size(before, TOTALS_FIRST_SIZE, error);
    if (code == IMIG_OK && after)
        code = imig__check_size(after, TOTALS_FIRST_SIZE, error);
    if (code != IMIG_OK)
        return code;
    if (before)
        imig__fill_struct(before, &plan->before, sizeof *before, TOTALS_FIRST_SIZE, error);
    if (after)
        imig__fill_struct(after, &plan->after, sizeof *after, TOTALS_FIRST_SIZE, error);
    return IMIG_OK;
}

int
imig_plan_get_summary(const imig_plan *plan, imig_plan_summary *summary, imig_error **error)
{
    if (!plan || !summary)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%s is NULL", plan ? "summary" : "plan");
    return imig__fill_struct(summary, &plan->summary, sizeof *summary, SUMMARY_FIRST_SIZE, error);
}
