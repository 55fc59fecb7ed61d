/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/json-in-priv.h"
#include "plan/plan-data-priv.h"

#include <stddef.h>
#include <string.h>

/* What is being read. */
typedef struct reader {
    imig_plan *plan;
    GHashTable *last_step;     /* VM -> its last step so far, counted from 1 */
    GHashTable *kept;          /* set of VMs */
} reader;

static int
read_text(imig__json_in *in, const imig__path *path, json_t *value, reader *r, const char **field)
{
    const char *text;

    if (imig__json_text(in, path, value, &text) != IMIG_OK ||
        imig__check_text(path, text, IMIG__TEXT_MAX, imig__json_error(in)) != IMIG_OK)
        return IMIG_ERR_INVALID;
    *field = g_string_chunk_insert_const(r->plan->texts, text);
    return IMIG_OK;
}

static int
read_amount(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    if (imig__json_number(in, path, value, field) != IMIG_OK)
        return IMIG_ERR_INVALID;
    return json_number_value(value) < 0
               ? imig__json_refuse(in, path, value, "must not be negative") : IMIG_OK;
}

/* ---- what stands once ---- */

static int
read_goal(imig__json_in *in, const imig__path *path, json_t *value, void *state)
{
    reader *r = state;

    return read_text(in, path, value, r, &r->plan->goal);
}

static int
read_policy(imig__json_in *in, const imig__path *path, json_t *value, void *state)
{
    reader *r = state;

    return read_text(in, path, value, r, &r->plan->policy);
}

static int
read_options(imig__json_in *in, const imig__path *path, json_t *value, void *state)
{
    reader *r = state;
    const char *key;
    json_t *option;

    if (imig__json_want_object(in, path, value) != IMIG_OK)
        return IMIG_ERR_INVALID;
    json_object_foreach(value, key, option) {
        const imig__path *at = IMIG__KEY(path, key);
        const char *text;

        if (imig__check_text(path, key, IMIG__TEXT_MAX, imig__json_error(in)) != IMIG_OK)
            return IMIG_ERR_INVALID;
        if (json_is_number(option)) {
            imig__plan_add_option(r->plan, key, json_number_value(option));
        } else if (json_is_string(option)) {
            if (read_text(in, at, option, r, &text) != IMIG_OK)
                return IMIG_ERR_INVALID;
            imig__plan_add_option_text(r->plan, key, text);
        } else {
            return imig__json_refuse(in, at, option, "must be a number or a string");
        }
    }
    return IMIG_OK;
}

static int
read_digest(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    enum { DIGITS = 64 };
    const char *text;

    if (imig__json_text(in, path, value, &text) != IMIG_OK)
        return IMIG_ERR_INVALID;
    if (*text && (strlen(text) != DIGITS || strspn(text, "0123456789abcdef") != DIGITS))
        return imig__json_refuse(in, path, value, "must be 64 hexadecimal digits, or empty");
    *(const char **) field = text;
    return IMIG_OK;
}

struct cluster_ref {
    double time_s;
    const char *sha256;
};

static const imig__json_key cluster_keys[] = {
    { "time_s", imig__json_number, offsetof(struct cluster_ref, time_s), 0, FALSE },
    { "sha256", read_digest, offsetof(struct cluster_ref, sha256), 0, FALSE },
};

static int
read_cluster(imig__json_in *in, const imig__path *path, json_t *value, void *state)
{
    reader *r = state;
    struct cluster_ref ref = { 0, "" };

    if (imig__json_object(in, path, value, cluster_keys, G_N_ELEMENTS(cluster_keys), &ref, NULL)
        != IMIG_OK)
        return IMIG_ERR_INVALID;
    r->plan->cluster_time_s = ref.time_s;
    r->plan->cluster_sha256 = g_string_chunk_insert_const(r->plan->texts, ref.sha256);
    return IMIG_OK;
}

#define TOTAL(field) { #field, imig__json_number, offsetof(imig_plan_totals, field), 0, FALSE }

static const imig__json_key totals_keys[] = {
    TOTAL(loss), TOTAL(contention), TOTAL(interference), TOTAL(communication),
    { "overloaded_hosts", imig__json_whole, offsetof(imig_plan_totals, overloaded_hosts), 0,
      FALSE },
    TOTAL(cpu_max), TOTAL(cpu_mean), TOTAL(cpu_stddev), TOTAL(memory_max), TOTAL(memory_stddev),
};

static int
read_before(imig__json_in *in, const imig__path *path, json_t *value, void *state)
{
    reader *r = state;

    return imig__json_object(in, path, value, totals_keys, G_N_ELEMENTS(totals_keys),
                             &r->plan->before, NULL);
}

static int
read_after(imig__json_in *in, const imig__path *path, json_t *value, void *state)
{
    reader *r = state;

    return imig__json_object(in, path, value, totals_keys, G_N_ELEMENTS(totals_keys),
                             &r->plan->after, NULL);
}

#define SUMMARY(field, read) \
    static int \
    read_##field(imig__json_in *in, const imig__path *path, json_t *value, void *state) \
    { \
        return read(in, path, value, &((reader *) state)->plan->summary.field); \
    }

SUMMARY(migration_loss, imig__json_number)
SUMMARY(loss_bound, imig__json_number)
SUMMARY(gap_ratio, imig__json_number)
SUMMARY(makespan_s, read_amount)
SUMMARY(makespan_bound_s, read_amount)
SUMMARY(complete, imig__json_bool)

/* ---- steps and kept VMs ---- */

struct reason {
    const char *code, *text;
};

static int
read_explanation(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    if (imig__json_text(in, path, value, field) != IMIG_OK)
        return IMIG_ERR_INVALID;
    return imig__check_text(path, json_string_value(value), IMIG__REASON_MAX,
                            imig__json_error(in));
}

static int
read_id(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    if (imig__json_text(in, path, value, field) != IMIG_OK)
        return IMIG_ERR_INVALID;
    return imig__check_text(path, json_string_value(value), IMIG__TEXT_MAX, imig__json_error(in));
}

static const imig__json_key reason_keys[] = {
    { "code", read_id, offsetof(struct reason, code), 0, FALSE },
    { "text", read_explanation, offsetof(struct reason, text), 0, FALSE },
};

static int
read_reason(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    return imig__json_object(in, path, value, reason_keys, G_N_ELEMENTS(reason_keys), field, NULL);
}

struct step {
    imig_plan_step step;
    struct reason reason;
};

#define STEP(name, read, field, required) \
    { name, read, offsetof(struct step, field), 0, required }

static const imig__json_key step_keys[] = {
    STEP("vm", read_id, step.vm, TRUE),
    STEP("from", read_id, step.from, TRUE),
    STEP("to", read_id, step.to, TRUE),
    STEP("group", imig__json_whole, step.group, FALSE),
    STEP("start_s", read_amount, step.start_s, FALSE),
    STEP("duration_s", read_amount, step.duration_s, FALSE),
    STEP("downtime_s", read_amount, step.downtime_s, FALSE),
    STEP("transferred_bytes", read_amount, step.transferred_bytes, FALSE),
    STEP("rounds", imig__json_whole, step.rounds, FALSE),
    STEP("converges", imig__json_bool, step.converges, FALSE),
    STEP("slowdown_ratio", read_amount, step.slowdown_ratio, FALSE),
    STEP("gain", imig__json_number, step.gain, FALSE),
    STEP("reason", read_reason, reason, FALSE),
};

/* A VM's steps are a chain: each begins where and when, or after, the one before has ended. */
static int
check_chain(imig__json_in *in, const imig__path *path, const imig_plan_step *step, reader *r)
{
    static const double SLACK = 1e-9; /* sums of durations are not exact */
    uint32_t last = GPOINTER_TO_UINT(g_hash_table_lookup(r->last_step, step->vm));
    const imig_plan_step *before;

    if (!last)
        return IMIG_OK;
    before = imig__plan_step(r->plan, last - 1);
    if (strcmp(before->to, step->from) != 0)
        return imig__refuse_text(IMIG__KEY(path, "from"), step->from,
                                 "must be where the VM's step before has taken it",
                                 imig__json_error(in));
    if (before->start_s + before->duration_s > step->start_s * (1 + SLACK))
        return imig__refuse_number(IMIG__KEY(path, "start_s"), step->start_s,
                                   "must not be before the end of the VM's step before",
                                   imig__json_error(in));
    return IMIG_OK;
}

static int
check_step(imig__json_in *in, const imig__path *path, const imig_plan_step *step, reader *r)
{
    size_t count = r->plan->steps->len;

    if (strcmp(step->from, step->to) == 0)
        return imig__refuse_text(IMIG__KEY(path, "to"), step->to, "must be another host than from",
                                 imig__json_error(in));
    if (count && step->start_s < imig__plan_step(r->plan, count - 1)->start_s)
        return imig__refuse_number(IMIG__KEY(path, "start_s"), step->start_s,
                                   "must not be before that of the step before",
                                   imig__json_error(in));
    return check_chain(in, path, step, r);
}

static int
read_step(imig__json_in *in, const imig__path *path, json_t *element, void *state)
{
    reader *r = state;
    struct step s = { IMIG_PLAN_STEP_INIT, { NULL, NULL } };
    int code;

    s.step.converges = 1;
    code = imig__json_object(in, path, element, step_keys, G_N_ELEMENTS(step_keys), &s, NULL);
    if (code == IMIG_OK)
        code = check_step(in, path, &s.step, r);
    if (code != IMIG_OK)
        return code;
    s.step.reason_code = s.reason.code;
    s.step.reason_text = s.reason.text;
    imig__plan_add_step(r->plan, &s.step);
    g_hash_table_insert(r->last_step,
                        (void *) imig__plan_step(r->plan, r->plan->steps->len - 1)->vm,
                        GUINT_TO_POINTER(r->plan->steps->len));
    return IMIG_OK;
}

struct kept {
    const char *id;
    struct reason reason;
};

static const imig__json_key kept_keys[] = {
    { "vm", read_id, offsetof(struct kept, id), 0, TRUE },
    { "reason", read_reason, offsetof(struct kept, reason), 0, FALSE },
};

static const imig__json_key above_keys[] = {
    { "host", read_id, offsetof(struct kept, id), 0, TRUE },
    { "reason", read_reason, offsetof(struct kept, reason), 0, FALSE },
};

static int
read_kept(imig__json_in *in, const imig__path *path, json_t *element, void *state)
{
    reader *r = state;
    struct kept kept = { NULL, { NULL, NULL } };

    if (imig__json_object(in, path, element, kept_keys, G_N_ELEMENTS(kept_keys), &kept, NULL)
        != IMIG_OK)
        return IMIG_ERR_INVALID;
    if (g_hash_table_contains(r->kept, kept.id))
        return imig__refuse_text(IMIG__KEY(path, "vm"), kept.id, "must not come twice",
                                 imig__json_error(in));
    imig__plan_add_kept(r->plan, kept.id, kept.reason.code, kept.reason.text);
    g_hash_table_add(r->kept, (void *) g_array_index(r->plan->kept, imig__plan_kept,
                                                     r->plan->kept->len - 1).id);
    return IMIG_OK;
}

/* ---- what only some goals have to say ---- */

struct figures {
    imig_plan_summary summary;
    json_t *empty_hosts, *hosts_above; /* lent */
};

static int
keep_array(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    *(json_t **) field = value;
    return imig__json_want_array(in, path, value);
}

#define FIGURE(field, read) { #field, read, offsetof(struct figures, summary.field), 0, FALSE }

static const imig__json_key figures_keys[] = {
    FIGURE(moved_bytes, read_amount),
    FIGURE(moved_bytes_bound, read_amount),
    FIGURE(cpu_to_mean, read_amount),
    FIGURE(memory_to_mean, read_amount),
    FIGURE(hosts_in_use, imig__json_whole),
    FIGURE(hosts_in_use_bound, imig__json_whole),
    { "empty_hosts", keep_array, offsetof(struct figures, empty_hosts), 0, FALSE },
    { "hosts_above", keep_array, offsetof(struct figures, hosts_above), 0, FALSE },
};

static int
read_figures(imig__json_in *in, const imig__path *path, json_t *value, void *state)
{
    reader *r = state;
    struct figures f = { r->plan->summary, NULL, NULL };
    int code = imig__json_object(in, path, value, figures_keys, G_N_ELEMENTS(figures_keys), &f,
                                 NULL);
    size_t index;
    json_t *host;

    if (code != IMIG_OK)
        return code;
    r->plan->summary = f.summary;
    json_array_foreach(f.empty_hosts, index, host) {
        const char *id;

        if (read_text(in, IMIG__KEY(path, "empty_hosts"), host, r, &id) != IMIG_OK)
            return IMIG_ERR_INVALID;
        imig__plan_add_empty_host(r->plan, id);
    }
    json_array_foreach(f.hosts_above, index, host) {
        const imig__path *at = IMIG__AT(IMIG__KEY(path, "hosts_above"), index);
        struct kept above = { NULL, { NULL, NULL } };

        if (imig__json_object(in, at, host, above_keys, G_N_ELEMENTS(above_keys), &above, NULL)
            != IMIG_OK)
            return IMIG_ERR_INVALID;
        imig__plan_add_above(r->plan, above.id, above.reason.code, above.reason.text);
    }
    return IMIG_OK;
}

/* ---- the document ---- */

static const imig__json_member members[] = {
    { "goal", read_goal, NULL, NULL, TRUE },
    { "policy", read_policy, NULL, NULL, TRUE },
    { "options", read_options, NULL, NULL, FALSE },
    { "cluster", read_cluster, NULL, NULL, FALSE },
    { "steps", NULL, read_step, NULL, TRUE },
    { "kept", NULL, read_kept, NULL, FALSE },
    { "before", read_before, NULL, NULL, FALSE },
    { "after", read_after, NULL, NULL, FALSE },
    { "migration_loss", read_migration_loss, NULL, NULL, FALSE },
    { "loss_bound", read_loss_bound, NULL, NULL, FALSE },
    { "gap_ratio", read_gap_ratio, NULL, NULL, FALSE },
    { "makespan_s", read_makespan_s, NULL, NULL, FALSE },
    { "makespan_bound_s", read_makespan_bound_s, NULL, NULL, FALSE },
    { IMIG__PLAN_COMPLETE, read_complete, NULL, NULL, FALSE },
    { IMIG__PLAN_FIGURES, read_figures, NULL, NULL, FALSE },
};

int
imig_plan_from_json(const char *text, size_t length, imig_plan **plan, imig_error **error)
{
    reader r = { 0 };
    int code;

    if (!text || !plan)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%s is NULL", text ? "plan" : "text");
    r.plan = imig__plan_new("", "", 0, "");
    r.last_step = g_hash_table_new(g_str_hash, g_str_equal);
    r.kept = g_hash_table_new(g_str_hash, g_str_equal);
    code = imig__json_read(text, length, IMIG__PLAN_FORMAT, members, G_N_ELEMENTS(members), &r,
                           error);
    g_hash_table_unref(r.last_step);
    g_hash_table_unref(r.kept);
    if (code == IMIG_OK)
        *plan = r.plan;
    else
        imig_plan_unref(r.plan);
    return code;
}
