/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/broken-priv.h"

#include "model/cluster-priv.h"

#include <stdlib.h>

/* Hard rules that are broken: which ones, and the least that keeps them so. */

struct imig__broken {
    const imig__planner *planner;
    const imig__state *state;
    uint32_t *rule; /* [vms] the first one that a VM takes part in breaking, or IMIG_NO_INDEX */
    char **text;    /* [rules] NULL until asked for */
    double *room;   /* [hosts] what fixed VMs leave, for those who may move */
};

/* A rule with so many members and hosts has its reason looked for; beyond, it goes without. */
#define EFFORT 1e7

static gboolean
is_apart(const imig_rule_info *rule)
{
    return rule->kind == IMIG_RULE_APART;
}

/* Members of an apart rule take part where they share a place, those of a together rule all. */
static void
mark_rule(imig__broken *b, uint32_t r, uint32_t *crowd)
{
    const imig_cluster *cluster = b->planner->cluster;
    const imig_rule_info *rule = &cluster->rules[r];
    size_t places = 0;

    for (size_t i = 0; i < rule->vm_count; i++)
        places += crowd[imig__rule_place(cluster, r, b->state->host[rule->vms[i]])]++ == 0;
    for (size_t i = 0; i < rule->vm_count; i++) {
        uint32_t v = rule->vms[i], place = imig__rule_place(cluster, r, b->state->host[v]);

        if (b->rule[v] == IMIG_NO_INDEX && (is_apart(rule) ? crowd[place] > 1 : places > 1))
            b->rule[v] = r;
    }
    for (size_t i = 0; i < rule->vm_count; i++)
        crowd[imig__rule_place(cluster, r, b->state->host[rule->vms[i]])] = 0;
}

/* What the plan itself gave up might move in another. */
static gboolean
is_fixed(const imig__broken *b, uint32_t vm)
{
    return b->planner->problem.space->fixed[vm] && !b->planner->kept[vm];
}

static void
take_room(imig__broken *b, uint32_t vm, double sign)
{
    const imig__space *space = b->planner->problem.space;
    uint32_t h = b->state->host[vm];

    if (is_fixed(b, vm))
        b->room[h] -= sign * (space->load->brings[vm].memory + space->overhead[h]);
}

imig__broken *
imig__broken_new(const imig__planner *planner, const imig__state *state)
{
    const imig_cluster *cluster = planner->cluster;
    imig__broken *b = g_new(imig__broken, 1);
    uint32_t *crowd = g_new0(uint32_t, cluster->host_count + 1);

    *b = (imig__broken) {
        planner, state, g_new(uint32_t, cluster->vm_count + 1),
        g_new0(char *, cluster->rule_count + 1),
        g_memdup2(planner->problem.space->room, cluster->host_count * sizeof *b->room),
    };
    for (uint32_t v = 0; v < cluster->vm_count; v++) {
        b->rule[v] = IMIG_NO_INDEX;
        take_room(b, v, 1);
    }
    for (uint32_t r = 0; r < cluster->rule_count; r++)
        if (cluster->rules[r].hard)
            mark_rule(b, r, crowd);
    g_free(crowd);
    return b;
}

void
imig__broken_free(imig__broken *b)
{
    if (!b)
        return;
    for (size_t r = 0; r < b->planner->cluster->rule_count; r++)
        g_free(b->text[r]);
    g_free(b->text);
    g_free(b->room);
    g_free(b->rule);
    g_free(b);
}

/* -- what keeps it so -- */

/* The room of a rule's members is there for them: given to them (1), and taken back (-1). */
static void
set_aside(imig__broken *b, const imig_rule_info *rule, double sign)
{
    for (size_t i = 0; i < rule->vm_count; i++)
        take_room(b, rule->vms[i], -sign);
}

/* A VM that cannot move is where it is; another may be where it is allowed and would fit. */
static gboolean
may_be_on(const imig__broken *b, uint32_t vm, uint32_t host)
{
    const imig__space *space = b->planner->problem.space;

    if (is_fixed(b, vm))
        return b->state->host[vm] == host;
    if (!space->accepts[host] || !imig__space_allows(space, vm, host))
        return FALSE;
    return b->state->host[vm] == host
           || space->load->brings[vm].memory + space->overhead[host] <= b->room[host] + 1;
}

/* Members of an apart rule, and the places they may have, matched by paths that free a place. */
struct match {
    const imig__broken *b;
    uint32_t rule;
    uint32_t *has, *taken_by; /* [members] a place; [hosts] of a place, a member */
    uint32_t *from;           /* [hosts] of a place: the member that asked for it first */
    uint32_t *queue;          /* [members] */
    size_t asked;             /* of queue: after a failure, more than there are places for them */
};

static void
give(struct match *m, uint32_t place)
{
    while (place != IMIG_NO_INDEX) {
        uint32_t member = m->from[place], next = m->has[member];

        m->has[member] = place;
        m->taken_by[place] = member;
        place = next;
    }
}

static gboolean
find_place(struct match *m, uint32_t first)
{
    const imig_cluster *cluster = m->b->planner->cluster;
    const imig_rule_info *rule = &cluster->rules[m->rule];

    for (size_t h = 0; h < cluster->host_count; h++)
        m->from[h] = IMIG_NO_INDEX;
    m->queue[0] = first;
    m->asked = 1;
    for (size_t at = 0; at < m->asked; at++)
        for (uint32_t h = 0; h < cluster->host_count; h++) {
            uint32_t place = imig__rule_place(cluster, m->rule, h);

            if (m->from[place] != IMIG_NO_INDEX
                || !may_be_on(m->b, rule->vms[m->queue[at]], h))
                continue;
            m->from[place] = m->queue[at];
            if (m->taken_by[place] == IMIG_NO_INDEX) {
                give(m, place);
                return TRUE;
            }
            m->queue[m->asked++] = m->taken_by[place];
        }
    return FALSE;
}

static void
put_list(GString *text, const char *const *names, size_t n)
{
    enum { MOST = 4 };

    for (size_t i = 0; i < n && i < MOST; i++)
        imig__append_name(text, i == 0 ? "" : i + 1 == n ? " and " : ", ", names[i]);
    if (n > MOST)
        g_string_append_printf(text, " and %zu more", n - MOST);
}

static int
compare_members(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;

    return (x > y) - (x < y);
}

/* "a, b and c have only 2 hosts to be on: h1 and h2". */
static char *
say_crowded(const struct match *m)
{
    const imig_cluster *cluster = m->b->planner->cluster;
    const imig_rule_info *rule = &cluster->rules[m->rule];
    GPtrArray *vms = g_ptr_array_new(), *hosts = g_ptr_array_new();
    GString *text = g_string_new(NULL);

    qsort(m->queue, m->asked, sizeof *m->queue, compare_members);
    for (size_t i = 0; i < m->asked; i++)
        g_ptr_array_add(vms, (void *) cluster->vms[rule->vms[m->queue[i]]].name);
    for (uint32_t h = 0; h < cluster->host_count; h++) {
        gboolean any = FALSE;

        for (size_t i = 0; i < m->asked && !any; i++)
            any = may_be_on(m->b, rule->vms[m->queue[i]], h);
        if (any)
            g_ptr_array_add(hosts, (void *) cluster->hosts[h].name);
    }
    put_list(text, (const char *const *) vms->pdata, vms->len);
    if (m->asked == 1) {
        g_string_append(text, " has no host to be on");
    } else {
        g_string_append_printf(text, " have only %zu %s%s", m->asked - 1,
                               rule->label ? "place" : "host", m->asked == 2 ? "" : "s");
        if (rule->label)
            imig__append_name(text, " by ", rule->label);
        g_string_append(text, " to be on: ");
        put_list(text, (const char *const *) hosts->pdata, hosts->len);
    }
    g_ptr_array_unref(vms);
    g_ptr_array_unref(hosts);
    return g_string_free(text, FALSE);
}

/* Hall: they can all be apart unless some of them have fewer places than they are. */
static char *
why_not_apart(const imig__broken *b, uint32_t r)
{
    const imig_cluster *cluster = b->planner->cluster;
    size_t n = cluster->rules[r].vm_count, hosts = cluster->host_count;
    uint32_t *memory = g_new(uint32_t, 2 * n + 2 * hosts);
    struct match m = { b, r, memory, memory + 2 * n, memory + 2 * n + hosts, memory + n, 0 };
    char *text = NULL;

    for (size_t i = 0; i < 2 * n + 2 * hosts; i++)
        memory[i] = IMIG_NO_INDEX;
    for (uint32_t i = 0; i < n && !text; i++)
        if (!find_place(&m, i))
            text = say_crowded(&m);
    g_free(memory);
    return text;
}

/* Two that cannot move; else hosts where all may be, and their memory. */
static char *
why_not_together(const imig__broken *b, uint32_t r)
{
    const imig_cluster *cluster = b->planner->cluster;
    const imig__space *space = b->planner->problem.space;
    const imig_rule_info *rule = &cluster->rules[r];
    uint32_t first = IMIG_NO_INDEX, common = 0;
    double need = 0, most = 0;
    GString *text = g_string_new(NULL);

    for (size_t i = 0; i < rule->vm_count; i++) {
        uint32_t v = rule->vms[i];

        need += space->load->brings[v].memory;
        if (!is_fixed(b, v))
            continue;
        if (first == IMIG_NO_INDEX)
            first = v;
        if (imig__rule_place(cluster, r, b->state->host[v])
            == imig__rule_place(cluster, r, b->state->host[first]))
            continue;
        imig__append_name(text, "", cluster->vms[first].name);
        imig__append_name(text, " stays on ", cluster->hosts[b->state->host[first]].name);
        imig__append_name(text, " and ", cluster->vms[v].name);
        imig__append_name(text, " on ", cluster->hosts[b->state->host[v]].name);
        g_string_append_printf(text, " (%s, %s)", space->fixed[first], space->fixed[v]);
        return g_string_free(text, FALSE);
    }
    for (uint32_t h = 0; h < cluster->host_count && !rule->label; h++) {
        gboolean all = TRUE;

        for (size_t i = 0; i < rule->vm_count && all; i++)
            all = may_be_on(b, rule->vms[i], h);
        common += all ? 1 : 0;
        most = all ? MAX(most, b->room[h] - (double) rule->vm_count * space->overhead[h]) : most;
    }
    if (!rule->label && common == 0)
        g_string_assign(text, "no host could take all of them");
    else if (!rule->label && need > most + 1)
        g_string_printf(text, "they have %.4g GiB in all, and no host they may share has more than "
                        "%.4g GiB for them", need / 1073741824.0, most / 1073741824.0);
    return g_string_free(text, text->len == 0);
}

static const char *
rule_text(imig__broken *b, uint32_t r)
{
    const imig_cluster *cluster = b->planner->cluster;
    const imig_rule_info *rule = &cluster->rules[r];

    if (!b->text[r]) {
        char *name = imig__rule_text(cluster, r), *why = NULL;

        if ((double) rule->vm_count * (double) cluster->host_count <= EFFORT) {
            set_aside(b, rule, 1);
            why = is_apart(rule) ? why_not_apart(b, r) : why_not_together(b, r);
            set_aside(b, rule, -1);
        }
        b->text[r] = g_strdup_printf("%s stays broken%s%s", name, why ? ": " : "", why ? why : "");
        g_free(name);
        g_free(why);
    }
    return b->text[r];
}

gboolean
imig__broken_is_named(const imig__broken *b, uint32_t vm)
{
    return b->rule[vm] == IMIG_NO_INDEX || b->text[b->rule[vm]];
}

char *
imig__broken_text(imig__broken *b, uint32_t vm)
{
    uint32_t host = b->state->host[vm];

    if (b->rule[vm] != IMIG_NO_INDEX)
        return g_strdup(rule_text(b, b->rule[vm]));
    if (!imig__space_allows(b->planner->problem.space, vm, host))
        return g_strdup_printf("its list of hosts leaves out %s",
                               b->planner->cluster->hosts[host].name);
    return NULL;
}

/* -- what a step mends -- */

static gboolean
is_split(const imig__planner *planner, uint32_t r, uint32_t vm)
{
    const imig_rule_info *rule = &planner->cluster->rules[r];
    gboolean named = FALSE, split = FALSE;

    if (!rule->hard || is_apart(rule) || rule->label)
        return FALSE;
    for (size_t i = 0; i < rule->vm_count; i++) {
        named |= rule->vms[i] == vm;
        split |= planner->home[rule->vms[i]] != planner->home[rule->vms[0]];
    }
    return named && split;
}

static gboolean
was_split(const imig__planner *planner, uint32_t unit)
{
    const imig__space *space = planner->problem.space;
    const uint32_t *vm = space->unit_vm;

    for (uint32_t i = space->unit_begin[unit] + 1; i < space->unit_begin[unit + 1]; i++)
        if (planner->home[vm[i]] != planner->home[vm[i - 1]])
            return TRUE;
    return FALSE;
}

uint32_t
imig__broken_repairs(const imig__planner *planner, const imig__state *state, uint32_t vm,
                     uint32_t from, uint32_t to)
{
    const imig__space *space = planner->problem.space;

    for (uint32_t i = space->rule_begin[vm]; i < space->rule_begin[vm + 1]; i++) {
        uint32_t r = space->rule_of[i];

        if (space->cluster->rules[r].hard
            && imig__space_rule_conflicts(space, state, vm, from, r)
                   > imig__space_rule_conflicts(space, state, vm, to, r))
            return r;
    }
    /* Rules that make a unit are no conflicts: it was split, and moves as one. */
    if (!was_split(planner, space->unit[vm]))
        return IMIG_NO_INDEX;
    for (uint32_t r = 0; r < space->cluster->rule_count; r++)
        if (is_split(planner, r, vm))
            return r;
    return IMIG_NO_INDEX;
}
