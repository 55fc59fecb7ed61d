/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/cluster-priv.h"
#include "model/workload-priv.h"
#include "policy/problem-priv.h"
#include "policy/random-priv.h"
#include "policy/search-priv.h"

#include <imig/select.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What the policies sort by; the smaller leaves first. */
struct candidate {
    double key[3];
    uint32_t vm;
};

typedef void (*key_fn)(const imig__problem *problem, uint32_t vm, uint64_t seed, double key[3]);

/* Section 3.4, first rule: CPU and disk-I/O are preferred, then small memory, then small dirty
   size. */
static void
key_paper(const imig__problem *problem, uint32_t vm, uint64_t seed, double key[3])
{
    const imig_vm_info *info = &problem->cluster->vms[vm];

    (void) seed;
    key[0] = !imig__workload_rows[problem->workload[vm]].preferred;
    key[1] = info->memory_bytes;
    key[2] = info->present & (UINT64_C(1) << IMIG_METRIC_WORKING_SET_BYTES)
                 ? info->working_set_bytes : 0;
}

static void
key_most_cpu(const imig__problem *problem, uint32_t vm, uint64_t seed, double key[3])
{
    (void) seed;
    key[0] = -problem->load->brings[vm].cpu;
}

static void
key_small(const imig__problem *problem, uint32_t vm, uint64_t seed, double key[3])
{
    (void) seed;
    key[0] = problem->cluster->vms[vm].memory_bytes;
}

static void
key_large(const imig__problem *problem, uint32_t vm, uint64_t seed, double key[3])
{
    (void) seed;
    key[0] = -problem->cluster->vms[vm].memory_bytes;
}

static void
key_random(const imig__problem *problem, uint32_t vm, uint64_t seed, double key[3])
{
    (void) problem;
    key[0] = (double) (imig__random(seed, vm) >> 11);
}

static void
key_position(const imig__problem *problem, uint32_t vm, uint64_t seed, double key[3])
{
    (void) problem;
    (void) vm;
    (void) seed;
    key[0] = 0;
}

static const struct {
    const char *name;
    key_fn key;
} policies[] = {
    { "informed", NULL }, /* the search for the least loss */
    { "paper", key_paper },
    { "least-loaded", key_most_cpu },
    { "smallest-first", key_small },
    { "largest-first", key_large },
    { "random", key_random },
    { "as-given", key_position },
};

static int
compare(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    for (int i = 0; i < 3; i++)
        if (x->key[i] != y->key[i])
            return x->key[i] < y->key[i] ? -1 : 1;
    return (x->vm > y->vm) - (x->vm < y->vm);
}

uint32_t
imig__select_policy(const char *name)
{
    for (uint32_t i = 0; i < G_N_ELEMENTS(policies); i++)
        if (!name || strcmp(policies[i].name, name) == 0)
            return i;
    return UINT32_MAX;
}

const char *
imig_select_policy_name(uint32_t index)
{
    return index < G_N_ELEMENTS(policies) ? policies[index].name : NULL;
}

/* The VM that stands for those of a unit that begin on one host. */
static uint32_t
first_at_home(const imig__space *space, uint32_t vm)
{
    const uint32_t *home = space->load->home;
    uint32_t i = space->unit_begin[space->unit[vm]];

    while (home[space->unit_vm[i]] != home[vm])
        i++;
    return space->unit_vm[i];
}

size_t
imig__select_rank(const imig__problem *problem, uint32_t policy, const uint32_t *vm, size_t n,
                  uint64_t seed, uint32_t *ranked)
{
    const imig__space *space = problem->space;
    struct candidate *found = g_new0(struct candidate, n + 1);
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t v = vm[i];

        if (imig__space_unit_fixed(space, v) || first_at_home(space, v) != v)
            continue;
        found[count].vm = v;
        policies[policy].key(problem, v, seed, found[count++].key);
    }
    qsort(found, count, sizeof *found, compare);
    for (size_t i = 0; i < count; i++)
        ranked[i] = found[i].vm;
    g_free(found);
    return count;
}

/* The VMs whose leaving costs least, as the search sees it: wherever the cluster has room. */
static size_t
select_informed(const imig__problem *problem, uint32_t host, uint32_t *chosen)
{
    const imig__load *load = problem->load;
    double *free_moves = g_new0(double, load->vms);
    uint8_t *sheds = g_new0(uint8_t, load->hosts);
    imig__search_options options = {
        .price = free_moves, .sheds = sheds, .relief_price = IMIG__RELIEF_PRICE,
    };
    size_t n = 0;

    sheds[host] = 1;
    imig__search(problem->space, problem->state, &options);
    for (uint32_t v = 0; v < load->vms; v++)
        if (problem->state->host[v] != load->home[v])
            chosen[n++] = v;
    g_free(free_moves);
    g_free(sheds);
    return n;
}

static size_t
select_ranked(const imig__problem *problem, uint32_t policy, uint32_t host, uint64_t seed,
              uint32_t *chosen)
{
    const imig__space *space = problem->space;
    uint32_t *ranked = g_new(uint32_t, problem->load->vms);
    size_t here = 0, found, n = 0;
    imig__sums left = problem->state->sums[host];
    double limit = imig__space_threshold(space, host) * problem->load->cores[host];

    for (uint32_t v = 0; v < problem->load->vms; v++)
        if (problem->load->home[v] == host)
            ranked[here++] = v;
    found = imig__select_rank(problem, policy, ranked, here, seed, ranked);
    for (size_t i = 0; i < found; i++) {
        uint32_t u = space->unit[ranked[i]];

        if (left.cpu <= limit
            && left.memory + left.count * space->overhead[host] <= space->room[host])
            break;
        for (uint32_t j = space->unit_begin[u]; j < space->unit_begin[u + 1]; j++) {
            const imig__sums *brings = &problem->load->brings[space->unit_vm[j]];

            if (problem->load->home[space->unit_vm[j]] != host)
                continue;
            left.cpu -= brings->cpu;
            left.memory -= brings->memory;
            left.count--;
            chosen[n++] = space->unit_vm[j];
        }
    }
    g_free(ranked);
    return n;
}

int
imig_select(const imig_cluster *cluster, const int32_t *workload, uint32_t host,
            const imig_select_options *options, uint32_t *chosen, size_t *count,
            imig_error **error)
{
    imig_select_options opt;
    imig__problem problem;
    uint32_t policy;
    int r = imig__copy_struct(&opt, sizeof opt, options,
                              IMIG__END_OF(imig_select_options, seed), error);

    if (r == IMIG_OK)
        r = imig__check_set(opt.set, IMIG_SELECT_HAS_THRESHOLD << 1, error);
    if (r != IMIG_OK)
        return r;
    if (!(opt.set & IMIG_SELECT_HAS_THRESHOLD))
        opt.threshold = IMIG__THRESHOLD;
    policy = imig__select_policy(opt.policy);
    if (!cluster || !cluster->finished || !chosen || !count)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "imig_select: NULL, or not finished");
    if (host >= cluster->host_count)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "host %u: there are %zu", host,
                          cluster->host_count);
    if (policy == UINT32_MAX)
        return imig__fail_name(error, IMIG_ERR_ARGUMENT, "no select policy", opt.policy,
                               imig_select_policy_name);
    if (!(opt.threshold > 0) || isinf(opt.threshold))
        return imig__fail(error, IMIG_ERR_ARGUMENT, "threshold %g: must be > 0", opt.threshold);
    r = imig__problem_init(&problem, cluster, workload, opt.affinity, &imig__loss_defaults,
                           opt.threshold, cluster->time_s, error);
    if (r != IMIG_OK)
        return r;
    if (!imig__space_overloaded(problem.space, problem.state, host))
        *count = 0;
    else if (policy == IMIG__POLICY_INFORMED)
        *count = select_informed(&problem, host, chosen);
    else
        *count = select_ranked(&problem, policy, host, opt.seed, chosen);
    imig__problem_clear(&problem);
    return IMIG_OK;
}
