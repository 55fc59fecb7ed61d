/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_TESTS_VERIFY_H
#define IMIG_TESTS_VERIFY_H

/*
 * Replays steps on a cluster and says what is wrong first, by looking at everything at every
 * moment.  Knows the public description only, and takes all the time it needs.
 */

#include "model/cluster-priv.h"

#include <imig/model.h>
#include <stdio.h>

typedef struct verify_step {
    uint32_t vm, from, to;
    double start_s, end_s;
} verify_step;

typedef struct verify_state {
    const imig_cluster *cluster;
    uint32_t *on, *heading; /* [vm_count] where it is; where it goes, the same where it rests */
    size_t vm_count, host_count;
    char *what;             /* NULL: nothing is wrong */
} verify_state;

static inline void
verify_fail(verify_state *v, double now_s, const char *what, const char *item)
{
    if (!v->what)
        v->what = g_strdup_printf("%g s: %s: %s", now_s, what, item);
}

/* With everybody in flight on both hosts. */
static inline double
verify_memory(const verify_state *v, uint32_t host)
{
    double sum = 0;

    for (uint32_t i = 0; i < v->vm_count; i++) {
        imig_vm_info vm = IMIG_VM_INFO_INIT;
        imig_host_info info = IMIG_HOST_INFO_INIT;

        if (v->on[i] != host && v->heading[i] != host)
            continue;
        imig_cluster_get_vm(v->cluster, i, &vm, NULL);
        imig_cluster_get_host(v->cluster, host, &info, NULL);
        sum += vm.memory_bytes + info.vm_overhead_bytes;
    }
    return sum;
}

static inline const char *
verify_label(const verify_state *v, uint32_t host, const char *label)
{
    imig_host_info info = IMIG_HOST_INFO_INIT;

    imig_cluster_get_host(v->cluster, host, &info, NULL);
    for (uint32_t i = 0; label && i < info.label_count; i++)
        if (strcmp(info.labels[2 * i], label) == 0)
            return info.labels[2 * i + 1];
    return NULL;
}

static inline gboolean
verify_same_place(const verify_state *v, const char *label, uint32_t a, uint32_t b)
{
    const char *value = verify_label(v, a, label);

    return a == b || (value && g_strcmp0(value, verify_label(v, b, label)) == 0);
}

/* What has just set out may not be where another of its rule is, unless it was there before. */
static inline void
verify_rules(verify_state *v, uint32_t vm, double now_s)
{
    for (size_t r = 0; r < imig_cluster_rule_count(v->cluster); r++) {
        imig_rule_info rule = IMIG_RULE_INFO_INIT;
        gboolean named = FALSE;

        imig_cluster_get_rule(v->cluster, r, &rule, NULL);
        for (size_t i = 0; i < rule.vm_count; i++)
            named |= rule.vms[i] == vm;
        if (!named || !rule.hard || rule.kind != IMIG_RULE_APART
            || verify_same_place(v, rule.label, v->on[vm], v->heading[vm]))
            continue;
        for (size_t i = 0; i < rule.vm_count; i++) {
            uint32_t other = rule.vms[i];

            if (other != vm
                && (verify_same_place(v, rule.label, v->on[other], v->heading[vm])
                    || verify_same_place(v, rule.label, v->heading[other], v->heading[vm])))
                verify_fail(v, now_s, "not kept apart", v->cluster->vms[vm].id);
        }
    }
}

static inline void
verify_start(verify_state *v, const verify_step *step)
{
    imig_vm_info vm = IMIG_VM_INFO_INIT;
    imig_host_info to = IMIG_HOST_INFO_INIT, from = IMIG_HOST_INFO_INIT;
    gboolean allowed = FALSE;
    double usable;

    imig_cluster_get_vm(v->cluster, step->vm, &vm, NULL);
    imig_cluster_get_host(v->cluster, step->to, &to, NULL);
    imig_cluster_get_host(v->cluster, step->from, &from, NULL);
    if (v->on[step->vm] != step->from || v->heading[step->vm] != step->from
        || step->from == step->to)
        verify_fail(v, step->start_s, "does not rest on its source", vm.id);
    if (to.state != IMIG_HOST_ACTIVE || from.state == IMIG_HOST_OFFLINE)
        verify_fail(v, step->start_s, "a host takes no part", vm.id);
    for (uint32_t i = 0; i < vm.host_count; i++)
        allowed |= vm.hosts[i] == step->to;
    if (strcmp(to.pool, from.pool) != 0 || (vm.host_count > 0 && !allowed))
        verify_fail(v, step->start_s, "may not be there", vm.id);
    v->heading[step->vm] = step->to;
    usable = to.memory_bytes * to.memory_overcommit_ratio - to.reserved_memory_bytes;
    if (verify_memory(v, step->to) > usable * (1 + 1e-9))
        verify_fail(v, step->start_s, "memory is short", to.id);
    verify_rules(v, step->vm, step->start_s);
}

static inline void
verify_links(verify_state *v, uint32_t concurrency, uint32_t max_parallel, double now_s)
{
    uint32_t *out = g_new0(uint32_t, 2 * v->host_count), *in = out + v->host_count, all = 0;

    for (uint32_t i = 0; i < v->vm_count; i++)
        if (v->on[i] != v->heading[i]) {
            out[v->on[i]]++;
            in[v->heading[i]]++;
            all++;
        }
    for (uint32_t h = 0; h < v->host_count; h++)
        if (MAX(out[h], in[h]) > concurrency)
            verify_fail(v, now_s, "too many migrations", v->cluster->hosts[h].id);
    if (max_parallel && all > max_parallel)
        verify_fail(v, now_s, "too many migrations", "in all");
    g_free(out);
}

/*
 * steps: [n] in starting order.  want: [vm_count] where everybody is to be in the end.  Returns
 * what is wrong, to be freed; NULL: nothing.
 */
static inline char *
verify_steps(const imig_cluster *cluster, const verify_step *steps, size_t n,
             uint32_t concurrency, uint32_t max_parallel, const uint32_t *want)
{
    verify_state v = { .cluster = cluster, .vm_count = imig_cluster_vm_count(cluster),
                       .host_count = imig_cluster_host_count(cluster) };
    const verify_step **running = g_new(const verify_step *, n + 1);
    size_t running_count = 0;

    v.on = g_new(uint32_t, v.vm_count);
    for (uint32_t i = 0; i < v.vm_count; i++)
        v.on[i] = cluster->vms[i].host;
    v.heading = g_memdup2(v.on, v.vm_count * sizeof *v.on);
    for (size_t i = 0; i <= n; i++) {
        if (i > 0 && i < n && steps[i].start_s < steps[i - 1].start_s)
            verify_fail(&v, steps[i].start_s, "not in starting order", "");
        /* What has ended by then is over: a VM whose move ends at the moment makes room. */
        for (size_t j = 0; j < running_count;)
            if (i == n || running[j]->end_s <= steps[i].start_s) {
                v.on[running[j]->vm] = running[j]->to;
                running[j] = running[--running_count];
            } else {
                j++;
            }
        if (i == n)
            break;
        if (!(steps[i].end_s > steps[i].start_s))
            verify_fail(&v, steps[i].start_s, "takes no time", cluster->vms[steps[i].vm].id);
        verify_start(&v, &steps[i]);
        running[running_count++] = &steps[i];
        verify_links(&v, concurrency, max_parallel, steps[i].start_s);
    }
    for (uint32_t i = 0; i < v.vm_count; i++)
        if (v.on[i] != want[i])
            verify_fail(&v, 0, "not where it is to be in the end", cluster->vms[i].id);
    g_free(running);
    g_free(v.on);
    g_free(v.heading);
    return v.what;
}

#endif
