/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/cluster-store-priv.h"

#include <math.h>
#include <stdlib.h>

/*
 * Which VMs do hard rules hold together?  Two levels of union-find: `host` joins what must be on
 * one host, `label`, on the roots of `host`, what must be on one value of the label at hand as
 * well.  Labels are looked at one after the other, and only what a label touched is taken back, so
 * that all of it is linear in the size of the rules.
 */
typedef struct groups {
    const imig_cluster *cluster;
    uint32_t *host, *label; /* [vm_count] parents */
    uint32_t *mark;         /* [vm_count] scratch, IMIG_NO_INDEX between uses */
    uint32_t *seen;         /* [host_count] scratch, 0 between uses */
} groups;

static uint32_t
root_of(uint32_t *parent, uint32_t i)
{
    while (parent[i] != i)
        i = parent[i] = parent[parent[i]];
    return i;
}

/* The smaller root wins: with path halving that is quick enough, and the same everywhere. */
static void
join(uint32_t *parent, uint32_t a, uint32_t b)
{
    a = root_of(parent, a);
    b = root_of(parent, b);
    parent[MAX(a, b)] = MIN(a, b);
}

static uint32_t
group_of(groups *g, uint32_t vm)
{
    return root_of(g->label, root_of(g->host, vm));
}

static gboolean
holds(const imig_rule_info *rule, int32_t kind)
{
    return rule->hard && rule->kind == kind;
}

static const imig__path *
rule_vms(imig__path path[3], size_t rule)
{
    path[0] = (imig__path) { NULL, "rules", 0 };
    path[1] = (imig__path) { &path[0], NULL, rule };
    path[2] = (imig__path) { &path[1], "vms", 0 };
    return &path[2];
}

static int
refuse_pair(const groups *g, size_t rule, uint32_t a, uint32_t b, const char *why,
            imig_error **error)
{
    char first[IMIG__QUOTE_LENGTH], second[IMIG__QUOTE_LENGTH];
    char both[2 * IMIG__QUOTE_LENGTH + 8];
    imig__path path[3];

    g_snprintf(both, sizeof both, "%s and %s", imig__quote(g->cluster->vms[a].id, first),
               imig__quote(g->cluster->vms[b].id, second));
    return imig__refuse(rule_vms(path, rule), both, why, error);
}

static gboolean
names_vm(const imig_rule_info *rule, uint32_t vm)
{
    for (size_t i = 0; i < rule->vm_count; i++)
        if (rule->vms[i] == vm)
            return TRUE;
    return FALSE;
}

/* Only for a message: the rules that hold a and b together, or the two ends of the chain. */
static int
refuse_apart(const groups *g, size_t apart, uint32_t a, uint32_t b, imig_error **error)
{
    const imig_cluster *cluster = g->cluster;
    const char *label = cluster->rules[apart].label;
    size_t of_a = cluster->rule_count, of_b = of_a;
    char why[96];

    for (size_t i = cluster->rule_count; i-- > 0;) {
        const imig_rule_info *rule = &cluster->rules[i];
        gboolean has_a, has_b;

        if (!holds(rule, IMIG_RULE_TOGETHER) || (rule->label && rule->label != label))
            continue;
        has_a = names_vm(rule, a);
        has_b = names_vm(rule, b);
        if (has_a && has_b) {
            of_a = of_b = i;
            break;
        }
        of_a = has_a ? i : of_a;
        of_b = has_b ? i : of_b;
    }
    if (of_a == of_b)
        g_snprintf(why, sizeof why, "apart, but rules[%zu] keeps them together", of_a);
    else
        g_snprintf(why, sizeof why, "apart, but rules[%zu] and rules[%zu] keep them together",
                   MIN(of_a, of_b), MAX(of_a, of_b));
    return refuse_pair(g, apart, a, b, why, error);
}

static int
check_apart(groups *g, size_t rule, imig_error **error)
{
    const imig_rule_info *info = &g->cluster->rules[rule];
    int code = IMIG_OK;

    for (size_t i = 0; i < info->vm_count && code == IMIG_OK; i++) {
        uint32_t group = group_of(g, info->vms[i]);

        if (g->mark[group] != IMIG_NO_INDEX)
            code = refuse_apart(g, rule, g->mark[group], info->vms[i], error);
        g->mark[group] = info->vms[i];
    }
    for (size_t i = 0; i < info->vm_count; i++)
        g->mark[group_of(g, info->vms[i])] = IMIG_NO_INDEX;
    return code;
}

static int
check_one_pool(const groups *g, size_t rule, imig_error **error)
{
    const imig_cluster *cluster = g->cluster;
    const imig_rule_info *info = &cluster->rules[rule];
    uint32_t first = info->vms[0];

    for (size_t i = 1; i < info->vm_count; i++)
        if (cluster->host_pool[cluster->vms[info->vms[i]].host] !=
            cluster->host_pool[cluster->vms[first].host])
            return refuse_pair(g, rule, first, info->vms[i], "together, but in two pools", error);
    return IMIG_OK;
}

typedef struct member {
    uint32_t group, vm;
    size_t rule;
} member;

static int
compare_members(const void *a, const void *b)
{
    const member *x = a, *y = b;

    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    if (x->vm != y->vm)
        return x->vm < y->vm ? -1 : 1;
    return (x->rule > y->rule) - (x->rule < y->rule);
}

/* Marks the places where this VM and all before it may be; FALSE where there is none. */
static gboolean
narrow(groups *g, const member *m, uint32_t before)
{
    const imig_vm_info *vm = &g->cluster->vms[m->vm];
    gboolean any = FALSE;

    for (uint32_t i = 0; i < vm->host_count; i++) {
        uint32_t place = imig__rule_place(g->cluster, m->rule, vm->hosts[i]);

        if (g->cluster->host_pool[vm->hosts[i]] != g->cluster->host_pool[vm->host] ||
            g->seen[place] != before)
            continue;
        g->seen[place] = before + 1;
        any = TRUE;
    }
    return any;
}

static void
forget(groups *g, const member *m)
{
    const imig_vm_info *vm = &g->cluster->vms[m->vm];

    for (uint32_t i = 0; i < vm->host_count; i++)
        g->seen[imig__rule_place(g->cluster, m->rule, vm->hosts[i])] = 0;
}

/* members: of the hard together rules with one label, those that may not be on every host. */
static int
check_common_place(groups *g, member *members, size_t n, imig_error **error)
{
    for (size_t begin = 0, end; begin < n; begin = end) {
        gboolean possible = TRUE;
        uint32_t count = 0;

        for (end = begin; end < n && members[end].group == members[begin].group; end++) {
            if (end > begin && members[end].vm == members[end - 1].vm)
                continue;
            possible = narrow(g, &members[end], count++);
            if (!possible)
                break;
        }
        if (!possible)
            return refuse_pair(g, members[end].rule, members[begin].vm, members[end].vm,
                               "together, but the hosts they are allowed have none in common",
                               error);
        for (size_t i = begin; i < end; i++)
            forget(g, &members[i]);
    }
    return IMIG_OK;
}

static int
check_allowed_together(groups *g, const size_t *rules, size_t n, imig_error **error)
{
    GArray *members = g_array_new(FALSE, FALSE, sizeof(member));
    int code;

    for (size_t i = 0; i < n; i++) {
        const imig_rule_info *rule = &g->cluster->rules[rules[i]];

        for (size_t j = 0; holds(rule, IMIG_RULE_TOGETHER) && j < rule->vm_count; j++)
            if (g->cluster->vms[rule->vms[j]].host_count) {
                member m = { group_of(g, rule->vms[j]), rule->vms[j], rules[i] };

                g_array_append_val(members, m);
            }
    }
    if (members->len)
        g_array_sort(members, compare_members);
    code = check_common_place(g, (member *) (void *) members->data, members->len, error);
    g_array_unref(members);
    return code;
}

/* rules: [n] those with one label, or all without. */
static int
check_label(groups *g, const size_t *rules, size_t n, imig_error **error)
{
    const imig_rule_info *all = g->cluster->rules;
    int code = IMIG_OK;

    for (size_t i = 0; i < n; i++)
        for (size_t j = 1; holds(&all[rules[i]], IMIG_RULE_TOGETHER) && j < all[rules[i]].vm_count;
             j++)
            join(g->label, root_of(g->host, all[rules[i]].vms[0]),
                 root_of(g->host, all[rules[i]].vms[j]));
    for (size_t i = 0; i < n && code == IMIG_OK; i++)
        if (holds(&all[rules[i]], IMIG_RULE_APART))
            code = check_apart(g, rules[i], error);
        else if (holds(&all[rules[i]], IMIG_RULE_TOGETHER) && !all[rules[i]].label)
            code = check_one_pool(g, rules[i], error);
    if (code == IMIG_OK)
        code = check_allowed_together(g, rules, n, error);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < all[rules[i]].vm_count; j++) {
            uint32_t root = root_of(g->host, all[rules[i]].vms[j]);

            g->label[root] = root;
        }
    return code;
}

typedef struct keyed_rule {
    const char *label;
    size_t rule;
} keyed_rule;

/* No label first; labels are shared texts, but their addresses are no order to rely on. */
static int
compare_labels(const void *a, const void *b)
{
    const keyed_rule *x = a, *y = b;
    int by_label = g_strcmp0(x->label, y->label);

    return by_label ? by_label : (x->rule > y->rule) - (x->rule < y->rule);
}

static int
check_rules(groups *g, imig_error **error)
{
    size_t n = g->cluster->rule_count;
    keyed_rule *keyed = g_new(keyed_rule, n);
    size_t *rules = g_new(size_t, n);
    int code = IMIG_OK;

    for (size_t i = 0; i < n; i++)
        keyed[i] = (keyed_rule) { g->cluster->rules[i].label, i };
    qsort(keyed, n, sizeof *keyed, compare_labels);
    for (size_t i = 0; i < n; i++)
        rules[i] = keyed[i].rule;
    for (size_t begin = 0, end; begin < n && code == IMIG_OK; begin = end) {
        for (end = begin; end < n && keyed[end].label == keyed[begin].label; end++)
            ;
        code = check_label(g, &rules[begin], end - begin, error);
    }
    g_free(rules);
    g_free(keyed);
    return code;
}

static void
groups_init(groups *g, const imig_cluster *cluster)
{
    g->cluster = cluster;
    g->host = g_new(uint32_t, cluster->vm_count);
    g->label = g_new(uint32_t, cluster->vm_count);
    g->mark = g_new(uint32_t, cluster->vm_count);
    g->seen = g_new0(uint32_t, cluster->host_count);
    for (uint32_t i = 0; i < cluster->vm_count; i++) {
        g->host[i] = g->label[i] = i;
        g->mark[i] = IMIG_NO_INDEX;
    }
    for (size_t i = 0; i < cluster->rule_count; i++) {
        const imig_rule_info *rule = &cluster->rules[i];

        for (size_t j = 1; holds(rule, IMIG_RULE_TOGETHER) && !rule->label && j < rule->vm_count;
             j++)
            join(g->host, rule->vms[0], rule->vms[j]);
    }
}

static void
groups_clear(groups *g)
{
    g_free(g->host);
    g_free(g->label);
    g_free(g->mark);
    g_free(g->seen);
}

/* What a VM without any memory of its own would leave on this host. */
static double
room_for_one(const imig_host_info *host)
{
    return imig__host_usable_memory(host) - host->vm_overhead_bytes;
}

static int
check_sizes(const imig_cluster *cluster, imig_error **error)
{
    double *largest = g_new(double, cluster->pool_count); /* of each pool */
    int code = IMIG_OK;

    for (uint32_t i = 0; i < cluster->pool_count; i++)
        largest[i] = -INFINITY;
    for (size_t i = 0; i < cluster->host_count; i++) {
        uint32_t pool = cluster->host_pool[i];

        largest[pool] = MAX(largest[pool], room_for_one(&cluster->hosts[i]));
    }
    for (size_t i = 0; i < cluster->vm_count && code == IMIG_OK; i++) {
        const imig_vm_info *vm = &cluster->vms[i];
        const imig__path *path = IMIG__AT(IMIG__KEY(NULL, "vms"), i);
        uint32_t pool = cluster->host_pool[vm->host];
        double room = vm->host_count ? -INFINITY : largest[pool];

        for (uint32_t j = 0; j < vm->host_count; j++)
            if (cluster->host_pool[vm->hosts[j]] == pool)
                room = MAX(room, room_for_one(&cluster->hosts[vm->hosts[j]]));
        if (isinf(room))
            code = imig__refuse(IMIG__KEY(path, "hosts"), NULL, "none of them is in the VM's pool",
                                error);
        else if (vm->memory_bytes > room)
            code = imig__refuse_number(IMIG__KEY(path, "memory_bytes"), vm->memory_bytes,
                                       "larger than every host the VM may be on", error);
    }
    g_free(largest);
    return code;
}

int
imig__cluster_check(const imig_cluster *cluster, imig_error **error)
{
    groups g;
    int code = check_sizes(cluster, error);

    if (code != IMIG_OK || cluster->rule_count == 0)
        return code;
    groups_init(&g, cluster);
    code = check_rules(&g, error);
    groups_clear(&g);
    return code;
}
