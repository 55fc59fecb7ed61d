/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/json-out-priv.h"
#include "plan/plan-data-priv.h"

static void
put_reason(imig__json_out *out, const char *code, const char *text)
{
    if (!*code && !*text)
        return;
    imig__json_put_object(out, "reason");
    if (*code)
        imig__json_put_text(out, "code", code);
    if (*text)
        imig__json_put_text(out, "text", text);
    imig__json_put_end(out);
}

static void
put_step(imig__json_out *out, const imig_plan_step *step)
{
    imig__json_put_object(out, NULL);
    imig__json_put_text(out, "vm", step->vm);
    imig__json_put_text(out, "from", step->from);
    imig__json_put_text(out, "to", step->to);
    imig__json_put_number(out, "group", step->group);
    imig__json_put_number(out, "start_s", step->start_s);
    imig__json_put_number(out, "duration_s", step->duration_s);
    imig__json_put_number(out, "downtime_s", step->downtime_s);
    imig__json_put_number(out, "transferred_bytes", step->transferred_bytes);
    imig__json_put_number(out, "rounds", step->rounds);
    imig__json_put_bool(out, "converges", step->converges);
    imig__json_put_number(out, "slowdown_ratio", step->slowdown_ratio);
    imig__json_put_number(out, "gain", step->gain);
    put_reason(out, step->reason_code, step->reason_text);
    imig__json_put_end(out);
}

static void
put_totals(imig__json_out *out, const char *key, const imig_plan_totals *totals)
{
    imig__json_put_object(out, key);
    imig__json_put_number(out, "loss", totals->loss);
    imig__json_put_number(out, "contention", totals->contention);
    imig__json_put_number(out, "interference", totals->interference);
    imig__json_put_number(out, "communication", totals->communication);
    imig__json_put_number(out, "overloaded_hosts", totals->overloaded_hosts);
    imig__json_put_number(out, "cpu_max", totals->cpu_max);
    imig__json_put_number(out, "cpu_mean", totals->cpu_mean);
    imig__json_put_number(out, "cpu_stddev", totals->cpu_stddev);
    imig__json_put_number(out, "memory_max", totals->memory_max);
    imig__json_put_number(out, "memory_stddev", totals->memory_stddev);
    imig__json_put_end(out);
}

static void
put_head(imig__json_out *out, const imig_plan *plan)
{
    imig__json_put_text(out, "format", IMIG__PLAN_FORMAT);
    imig__json_put_text(out, "goal", plan->goal);
    imig__json_put_text(out, "policy", plan->policy);
    imig__json_put_object(out, "options");
    for (unsigned i = 0; i < plan->options->len; i++) {
        const imig__plan_option *o = &g_array_index(plan->options, imig__plan_option, i);

        if (o->text)
            imig__json_put_text(out, o->key, o->text);
        else
            imig__json_put_number(out, o->key, o->number);
    }
    imig__json_put_end(out);
    imig__json_put_object(out, "cluster");
    imig__json_put_number(out, "time_s", plan->cluster_time_s);
    imig__json_put_text(out, "sha256", imig_plan_cluster_sha256(plan));
    imig__json_put_end(out);
}

/* VMs, or hosts, and why. */
static void
put_kept(imig__json_out *out, const char *name, const char *key, const GArray *list)
{
    imig__json_put_array(out, name);
    for (unsigned i = 0; i < list->len; i++) {
        const imig__plan_kept *kept = &g_array_index(list, imig__plan_kept, i);

        imig__json_put_object(out, NULL);
        imig__json_put_text(out, key, kept->id);
        put_reason(out, kept->code, kept->text);
        imig__json_put_end(out);
    }
    imig__json_put_end(out);
}

/* What only some goals have to say. */
static void
put_figures(imig__json_out *out, const imig_plan *plan)
{
    const imig_plan_summary *s = &plan->summary;
    const struct {
        const char *key;
        double value;
    } figures[] = {
        { "moved_bytes", s->moved_bytes },
        { "moved_bytes_bound", s->moved_bytes_bound },
        { "cpu_to_mean", s->cpu_to_mean },
        { "memory_to_mean", s->memory_to_mean },
        { "hosts_in_use", s->hosts_in_use },
        { "hosts_in_use_bound", s->hosts_in_use_bound },
    };
    gboolean any = plan->empty_hosts->len > 0 || plan->above->len > 0;

    for (size_t i = 0; i < G_N_ELEMENTS(figures); i++)
        any |= figures[i].value > 0;
    if (!any)
        return;
    imig__json_put_object(out, IMIG__PLAN_FIGURES);
    for (size_t i = 0; i < G_N_ELEMENTS(figures); i++)
        if (figures[i].value > 0)
            imig__json_put_number(out, figures[i].key, figures[i].value);
    if (plan->empty_hosts->len > 0) {
        imig__json_put_array(out, "empty_hosts");
        for (unsigned i = 0; i < plan->empty_hosts->len; i++)
            imig__json_put_text(out, NULL, g_array_index(plan->empty_hosts, const char *, i));
        imig__json_put_end(out);
    }
    if (plan->above->len > 0)
        put_kept(out, "hosts_above", "host", plan->above);
    imig__json_put_end(out);
}

static void
put_plan(imig__json_out *out, const imig_plan *plan)
{
    put_head(out, plan);
    imig__json_put_array(out, "steps");
    for (size_t i = 0; i < plan->steps->len; i++)
        put_step(out, imig__plan_step(plan, i));
    imig__json_put_end(out);
    put_kept(out, "kept", "vm", plan->kept);
    put_totals(out, "before", &plan->before);
    put_totals(out, "after", &plan->after);
    imig__json_put_number(out, "migration_loss", plan->summary.migration_loss);
    imig__json_put_number(out, "loss_bound", plan->summary.loss_bound);
    imig__json_put_number(out, "gap_ratio", plan->summary.gap_ratio);
    imig__json_put_number(out, "makespan_s", plan->summary.makespan_s);
    imig__json_put_number(out, "makespan_bound_s", plan->summary.makespan_bound_s);
    put_figures(out, plan);
    if (!plan->summary.complete)
        imig__json_put_bool(out, IMIG__PLAN_COMPLETE, FALSE);
}

int
imig_plan_to_json(const imig_plan *plan, char **text, size_t *length, imig_error **error)
{
    imig__json_out out;
    GString *all;

    if (!plan || !text)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%s is NULL", plan ? "text" : "plan");
    all = g_string_new(NULL);
    imig__json_begin(&out, imig__json_to_string, all);
    put_plan(&out, plan);
    imig__json_end(&out);
    if (length)
        *length = all->len;
    *text = g_string_free(all, FALSE);
    return IMIG_OK;
}
