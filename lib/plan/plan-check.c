/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/plan-data-priv.h"

#include <stdlib.h>
#include <string.h>

/* Sums of bytes are compared with this much slack, for the rounding of the sums alone. */
static const double SLACK = 1e-9;

/* How many VMs that a rule keeps apart are on one of its places, or on their way from or to it. */
typedef struct crowd {
    uint64_t key; /* rule, place; also the key in the table */
    uint32_t count;
} crowd;

/* The cluster while the plan runs. */
typedef struct replay {
    const imig_plan *plan;
    const imig_cluster *cluster;
    imig__plan_move *moves;  /* [step_count] */
    uint32_t *is_on;         /* [vm_count] */
    uint32_t *step_of;       /* [vm_count] its last step so far, or IMIG_NO_INDEX */
    gboolean *on_its_way;    /* [vm_count] */
    double *used;            /* [host_count] bytes */
    size_t *rules_begin;     /* [vm_count + 1] into rules */
    uint32_t *rules;         /* the hard rules that keep this VM apart from others */
    GHashTable *crowds;      /* set of crowd, by key */
    crowd *crowd_room;       /* their memory */
    size_t crowd_count;
    size_t *by_end;          /* [step_count] steps in the order in which they end */
    char **faults;           /* [step_count] of steps left out; NULL: the first one ends it */
} replay;

static guint
crowd_hash(gconstpointer key)
{
    return (guint) ((((const crowd *) key)->key * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

static crowd *
crowd_at(replay *r, uint32_t rule, uint32_t host)
{
    crowd wanted = { (uint64_t) rule << 32 | imig__rule_place(r->cluster, rule, host), 0 };
    crowd *known = g_hash_table_lookup(r->crowds, &wanted);

    if (!known) {
        known = &r->crowd_room[r->crowd_count++];
        *known = wanted;
        g_hash_table_add(r->crowds, known);
    }
    return known;
}

static int
stale(imig_error **error, size_t step, const char *key, const char *id, const char *format, ...)
    G_GNUC_PRINTF(5, 6);

static int
stale(imig_error **error, size_t step, const char *key, const char *id, const char *format, ...)
{
    char quoted[IMIG__QUOTE_LENGTH];
    va_list args;
    char *why;

    va_start(args, format);
    why = g_strdup_vprintf(format, args);
    va_end(args);
    imig__fail(error, IMIG_ERR_STALE, "steps[%zu].%s: %s: %s", step, key, imig__quote(id, quoted),
               why);
    g_free(why);
    return IMIG_ERR_STALE;
}

static int
stale_rule(imig_error **error, size_t step, const char *key, const char *id,
           const imig_cluster *cluster, size_t rule, const char *what)
{
    char *text = imig__rule_text(cluster, rule);

    stale(error, step, key, id, "%s %s", text, what);
    g_free(text);
    return IMIG_ERR_STALE;
}

int
imig__plan_find_move(const imig_plan *plan, size_t step, const imig_cluster *cluster,
                     imig__plan_move *move, imig_error **error)
{
    const imig_plan_step *s = imig__plan_step(plan, step);

    move->vm = imig__cluster_vm_by_id(cluster, s->vm);
    move->from = imig_cluster_find_host(cluster, s->from);
    move->to = imig_cluster_find_host(cluster, s->to);
    if (move->vm == IMIG_NO_INDEX)
        return stale(error, step, "vm", s->vm, "no such VM");
    if (move->from == IMIG_NO_INDEX)
        return stale(error, step, "from", s->from, "no such host");
    if (move->to == IMIG_NO_INDEX)
        return stale(error, step, "to", s->to, "no such host");
    return IMIG_OK;
}

int
imig__plan_check_origin(const imig_plan *plan, size_t step, const imig_cluster *cluster,
                        uint32_t is_on, const imig__plan_move *move, imig_error **error)
{
    const imig_plan_step *s = imig__plan_step(plan, step);
    char quoted[IMIG__QUOTE_LENGTH];

    if (is_on != move->from)
        return stale(error, step, "from", s->from, "the VM is on %s",
                     imig__quote(cluster->hosts[is_on].id, quoted));
    if (!imig__vm_may_be_on(cluster, move->vm, move->to))
        return stale(error, step, "to", s->to, "the VM is not allowed there");
    return IMIG_OK;
}

/* Takes an error of a step: the step is left out, and the rest goes on; FALSE where it ends. */
static gboolean
leave_out(replay *r, size_t step, imig_error **error)
{
    const char *message, *dot;

    if (!r->faults)
        return FALSE;
    message = imig_error_message(*error);
    dot = strchr(message, '.'); /* behind "steps[3]" */
    if (!r->faults[step])
        r->faults[step] = g_strdup(dot + 1);
    imig_error_free(*error);
    *error = NULL;
    return TRUE;
}

static gboolean
is_left_out(const replay *r, size_t step)
{
    return r->faults && r->faults[step];
}

static gboolean
keeps_apart(const imig_rule_info *rule)
{
    return rule->hard && rule->kind == IMIG_RULE_APART;
}

/* Which hard rules keep each VM apart from others, and where do those others stand? */
static void
list_rules(replay *r)
{
    const imig_cluster *cluster = r->cluster;
    size_t members = 0, arrivals = 0, *at;

    r->rules_begin = g_new0(size_t, cluster->vm_count + 1);
    for (size_t i = 0; i < cluster->rule_count; i++)
        for (size_t j = 0; keeps_apart(&cluster->rules[i]) && j < cluster->rules[i].vm_count; j++) {
            r->rules_begin[cluster->rules[i].vms[j] + 1]++;
            members++;
        }
    for (size_t i = 0; i < cluster->vm_count; i++)
        r->rules_begin[i + 1] += r->rules_begin[i];
    r->rules = g_new(uint32_t, members);
    at = g_memdup2(r->rules_begin, cluster->vm_count * sizeof *at);
    for (size_t i = 0; i < cluster->rule_count; i++)
        for (size_t j = 0; keeps_apart(&cluster->rules[i]) && j < cluster->rules[i].vm_count; j++)
            r->rules[at[cluster->rules[i].vms[j]]++] = (uint32_t) i;
    g_free(at);
    for (size_t i = 0; i < r->plan->steps->len; i++)
        if (!is_left_out(r, i))
            arrivals += r->rules_begin[r->moves[i].vm + 1] - r->rules_begin[r->moves[i].vm];
    r->crowd_room = g_new(crowd, members + arrivals);
    r->crowds = g_hash_table_new(crowd_hash, g_int64_equal);
    for (uint32_t i = 0; i < cluster->vm_count; i++)
        for (size_t j = r->rules_begin[i]; j < r->rules_begin[i + 1]; j++)
            crowd_at(r, r->rules[j], r->is_on[i])->count++;
}

static double
end_of(const imig_plan *plan, size_t step)
{
    return imig__plan_step(plan, step)->start_s + imig__plan_step(plan, step)->duration_s;
}

static int
compare_ends(gconstpointer a, gconstpointer b, gpointer plan)
{
    size_t x = *(const size_t *) a, y = *(const size_t *) b;
    double end_x = end_of(plan, x), end_y = end_of(plan, y);

    if (end_x != end_y)
        return end_x < end_y ? -1 : 1;
    return (x > y) - (x < y);
}

static void
replay_init(replay *r, const imig_plan *plan, const imig_cluster *cluster)
{
    size_t steps = plan->steps->len;

    *r = (replay) { .plan = plan, .cluster = cluster };
    r->moves = g_new(imig__plan_move, steps);
    r->is_on = g_new(uint32_t, cluster->vm_count);
    r->step_of = g_new(uint32_t, cluster->vm_count);
    r->on_its_way = g_new0(gboolean, cluster->vm_count);
    r->used = g_new0(double, cluster->host_count);
    r->by_end = g_new(size_t, steps);
    for (size_t i = 0; i < cluster->vm_count; i++) {
        r->is_on[i] = cluster->vms[i].host;
        r->step_of[i] = IMIG_NO_INDEX;
        r->used[r->is_on[i]] += cluster->vms[i].memory_bytes +
                                cluster->hosts[r->is_on[i]].vm_overhead_bytes;
    }
    for (size_t i = 0; i < steps; i++)
        r->by_end[i] = i;
    if (steps)
        g_qsort_with_data(r->by_end, (gint) steps, sizeof *r->by_end, compare_ends,
                          (void *) plan);
}

static void
replay_clear(replay *r)
{
    g_free(r->moves);
    g_free(r->is_on);
    g_free(r->step_of);
    g_free(r->on_its_way);
    g_free(r->used);
    g_free(r->rules_begin);
    g_free(r->rules);
    g_free(r->crowd_room);
    g_free(r->by_end);
    g_clear_pointer(&r->crowds, g_hash_table_unref);
}

static void
end_step(replay *r, size_t step)
{
    const imig__plan_move *m = &r->moves[step];

    if (is_left_out(r, step))
        return;
    r->used[m->from] -= r->cluster->vms[m->vm].memory_bytes +
                        r->cluster->hosts[m->from].vm_overhead_bytes;
    for (size_t i = r->rules_begin[m->vm]; i < r->rules_begin[m->vm + 1]; i++)
        crowd_at(r, r->rules[i], m->from)->count--;
    r->is_on[m->vm] = m->to;
    r->on_its_way[m->vm] = FALSE;
}

static int
check_movable(const replay *r, size_t step, imig_error **error)
{
    const imig__plan_move *m = &r->moves[step];
    const imig_plan_step *s = imig__plan_step(r->plan, step);
    const imig_vm_info *vm = &r->cluster->vms[m->vm];
    char quoted[IMIG__QUOTE_LENGTH];

    if (!vm->movable)
        return stale(error, step, "vm", s->vm, "it is pinned");
    if (vm->blocked)
        return stale(error, step, "vm", s->vm, "it is blocked, %s",
                     imig__quote(vm->blocked, quoted));
    if (r->on_its_way[m->vm])
        return stale(error, step, "vm", s->vm, "steps[%u] is not over then", r->step_of[m->vm]);
    if (r->cluster->hosts[m->from].state == IMIG_HOST_OFFLINE)
        return stale(error, step, "from", s->from, "the host is offline");
    if (r->cluster->hosts[m->to].state != IMIG_HOST_ACTIVE)
        return stale(error, step, "to", s->to, "the host takes no VMs now");
    return imig__plan_check_origin(r->plan, step, r->cluster, r->is_on[m->vm], m, error);
}

static int
start_step(replay *r, size_t step, imig_error **error)
{
    const imig__plan_move *m = &r->moves[step];
    const imig_plan_step *s = imig__plan_step(r->plan, step);
    const imig_host_info *to = &r->cluster->hosts[m->to];
    double usable = imig__host_usable_memory(to);
    double used = r->used[m->to] + r->cluster->vms[m->vm].memory_bytes + to->vm_overhead_bytes;

    if (check_movable(r, step, error) != IMIG_OK)
        return IMIG_ERR_STALE;
    if (used > usable * (1 + SLACK))
        return stale(error, step, "to", s->to, "no memory for the VM then");
    for (size_t i = r->rules_begin[m->vm]; i < r->rules_begin[m->vm + 1]; i++) {
        uint32_t rule = r->rules[i];

        if (crowd_at(r, rule, m->to)->count > 0 &&
            imig__rule_place(r->cluster, rule, m->to) !=
                imig__rule_place(r->cluster, rule, m->from))
            return stale_rule(error, step, "to", s->to, r->cluster, rule,
                              "keeps the VM away then");
    }
    for (size_t i = r->rules_begin[m->vm]; i < r->rules_begin[m->vm + 1]; i++)
        crowd_at(r, r->rules[i], m->to)->count++;
    r->used[m->to] = used;
    r->on_its_way[m->vm] = TRUE;
    r->step_of[m->vm] = (uint32_t) step;
    return IMIG_OK;
}

static int
run_steps(replay *r, imig_error **error)
{
    size_t ended = 0, steps = r->plan->steps->len;

    for (size_t i = 0; i < steps; i++) {
        double now = imig__plan_step(r->plan, i)->start_s;

        /* What ends at this very moment makes room; sums of durations are not exact. */
        while (ended < i && r->by_end[ended] < i &&
               end_of(r->plan, r->by_end[ended]) <= now * (1 + SLACK))
            end_step(r, r->by_end[ended++]);
        if (!is_left_out(r, i) && start_step(r, i, error) != IMIG_OK && !leave_out(r, i, error))
            return IMIG_ERR_STALE;
    }
    while (ended < steps)
        end_step(r, r->by_end[ended++]);
    return IMIG_OK;
}

/* On how many places is this rule?  seen: [host_count], all below `stamp`. */
static size_t
count_places(const replay *r, size_t rule, gboolean at_the_end, size_t *seen, size_t stamp)
{
    const imig_rule_info *info = &r->cluster->rules[rule];
    size_t count = 0;

    for (size_t i = 0; i < info->vm_count; i++) {
        uint32_t vm = info->vms[i];
        uint32_t host = at_the_end ? r->is_on[vm] : r->cluster->vms[vm].host;
        uint32_t place = imig__rule_place(r->cluster, rule, host);

        count += seen[place] != stamp;
        seen[place] = stamp;
    }
    return count;
}

/* Hard together holds at the end, or is at least no worse than it was. */
static int
check_together(replay *r, imig_error **error)
{
    size_t *seen = g_new0(size_t, r->cluster->host_count);
    int code = IMIG_OK;

    for (size_t i = 0; i < r->cluster->rule_count && code == IMIG_OK; i++) {
        const imig_rule_info *rule = &r->cluster->rules[i];
        uint32_t last = IMIG_NO_INDEX;

        if (!rule->hard || rule->kind != IMIG_RULE_TOGETHER ||
            count_places(r, i, TRUE, seen, 2 * i + 1) <=
            count_places(r, i, FALSE, seen, 2 * i + 2))
            continue;
        for (size_t j = 0; j < rule->vm_count; j++) {
            uint32_t step = r->step_of[rule->vms[j]];

            if (step != IMIG_NO_INDEX && (last == IMIG_NO_INDEX || step > last))
                last = step;
        }
        code = stale_rule(error, last, "vm", imig__plan_step(r->plan, last)->vm, r->cluster, i,
                          "keeps it together with others in the end");
        if (leave_out(r, last, error))
            code = IMIG_OK;
    }
    g_free(seen);
    return code;
}

/* faults: as in replay, filled; with them error must not be NULL. */
static int
check(const imig_plan *plan, const imig_cluster *cluster, char **faults, imig_error **error)
{
    replay r;
    int code = IMIG_OK;

    if (!plan || !cluster)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%s is NULL", plan ? "cluster" : "plan");
    if (!cluster->finished)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "the cluster is not finished");
    for (size_t i = 0; faults && i < plan->steps->len; i++)
        faults[i] = NULL;
    replay_init(&r, plan, cluster);
    r.faults = faults;
    for (size_t i = 0; i < plan->steps->len && code == IMIG_OK; i++) {
        code = imig__plan_find_move(plan, i, cluster, &r.moves[i], error);
        if (code != IMIG_OK && leave_out(&r, i, error))
            code = IMIG_OK;
    }
    if (code == IMIG_OK) {
        list_rules(&r);
        code = run_steps(&r, error);
    }
    if (code == IMIG_OK)
        code = check_together(&r, error);
    replay_clear(&r);
    return code;
}

int
imig_plan_check(const imig_plan *plan, const imig_cluster *cluster, imig_error **error)
{
    return check(plan, cluster, NULL, error);
}

int
imig_plan_check_steps(const imig_plan *plan, const imig_cluster *cluster, char **faults,
                      imig_error **error)
{
    imig_error *fault = NULL;
    int code;

    if (!faults)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "faults is NULL");
    code = check(plan, cluster, faults, &fault);
    if (fault)
        imig__fail(error, code, "%s", imig_error_message(fault));
    imig_error_free(fault);
    return code;
}

int
imig_plan_apply(const imig_plan *plan, const imig_cluster *cluster, imig_cluster **after,
                imig_error **error)
{
    imig_cluster *copy;
    int code = IMIG_OK;

    if (!plan || !cluster || !after)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%s is NULL",
                          !plan ? "plan" : cluster ? "after" : "cluster");
    if (!cluster->finished)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "the cluster is not finished");
    copy = imig__cluster_copy(cluster);
    for (size_t i = 0; i < plan->steps->len && code == IMIG_OK; i++) {
        imig__plan_move move;

        code = imig__plan_find_move(plan, i, cluster, &move, error);
        if (code == IMIG_OK)
            code = imig__plan_check_origin(plan, i, cluster, copy->vms[move.vm].host, &move,
                                           error);
        if (code == IMIG_OK)
            copy->vms[move.vm].host = move.to;
    }
    if (code == IMIG_OK)
        code = imig_cluster_finish(copy, error);
    if (code == IMIG_OK)
        *after = copy;
    else
        imig_cluster_unref(copy);
    return code;
}
