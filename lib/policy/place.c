/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/cluster-priv.h"
#include "model/workload-priv.h"
#include "policy/problem-priv.h"
#include "policy/random-priv.h"
#include "policy/search-priv.h"

#include <imig/place.h>
#include <math.h>
#include <string.h>

/* What a host is worth to a VM; the smaller is better, then the position decides. */
typedef void (*score_fn)(const imig__state *state, uint32_t vm, uint32_t host, uint64_t seed,
                         double score[4]);

static double
free_cores(const imig__state *state, uint32_t host)
{
    return state->load->cores[host] - state->sums[host].cpu;
}

static void
score_informed(const imig__state *state, uint32_t vm, uint32_t host, uint64_t seed,
               double score[4])
{
    (void) seed;
    score[0] = imig__state_delta(state, vm, host);
    score[1] = -free_cores(state, host);
}

/*
 * Section 3.4, second rule, in the order of section 3.2's observations turned round: a nonsharable
 * resource is avoided first, then VMs that communicate meet, then affinity decides.
 */
static void
score_paper(const imig__state *state, uint32_t vm, uint32_t host, uint64_t seed, double score[4])
{
    const imig__load *load = state->load;

    (void) seed;
    score[0] = load->brings[vm].disk_use > 0 && state->sums[host].disk_use > 0;
    for (uint32_t i = load->flow_begin[vm]; i < load->flow_begin[vm + 1]; i++)
        if (state->host[load->flow_peer[i]] == host)
            score[1] -= load->flow_bytes[i];
    score[2] = imig__state_cross(state, vm, host) / load->cores[host];
    score[3] = -free_cores(state, host);
}

static void
score_most_free(const imig__state *state, uint32_t vm, uint32_t host, uint64_t seed,
                double score[4])
{
    (void) vm;
    (void) seed;
    score[0] = -free_cores(state, host);
}

static void
score_random(const imig__state *state, uint32_t vm, uint32_t host, uint64_t seed, double score[4])
{
    (void) state;
    score[0] = (double) (imig__random(imig__random(seed, vm), host) >> 11);
}

static void
score_first(const imig__state *state, uint32_t vm, uint32_t host, uint64_t seed, double score[4])
{
    (void) state;
    (void) vm;
    (void) seed;
    score[0] = host;
}

static const struct {
    const char *name;
    score_fn score;
} policies[] = {
    { "informed", score_informed },
    { "paper", score_paper },
    { "least-loaded", score_most_free },
    { "smallest-first", score_most_free },
    { "largest-first", score_most_free },
    { "random", score_random },
    { "as-given", score_first },
};

uint32_t
imig__place_policy(const char *name)
{
    for (uint32_t i = 0; i < G_N_ELEMENTS(policies); i++)
        if (!name || strcmp(policies[i].name, name) == 0)
            return i;
    return UINT32_MAX;
}

const char *
imig_place_policy_name(uint32_t index)
{
    return index < G_N_ELEMENTS(policies) ? policies[index].name : NULL;
}

/* What the unit of a VM would add to a host. */
static double
unit_demand(const imig__problem *problem, const imig__state *state, uint32_t vm, uint32_t host)
{
    const imig__space *space = problem->space;
    uint32_t u = space->unit[vm];
    double cpu = 0;

    for (uint32_t i = space->unit_begin[u]; i < space->unit_begin[u + 1]; i++)
        if (state->host[space->unit_vm[i]] != host)
            cpu += problem->load->brings[space->unit_vm[i]].cpu;
    return cpu;
}

uint32_t
imig__place_one(const imig__problem *problem, const imig__state *state, uint32_t policy,
                uint32_t vm, uint64_t seed)
{
    const imig__load *load = problem->load;
    double best[5] = { 0 };
    uint32_t to = IMIG_NO_HOST;

    for (uint32_t h = 0; h < load->hosts; h++) {
        double score[5] = { 0 };
        int i = 0;

        if (state->host[vm] == h || !imig__space_unit_fits(problem->space, state, vm, h))
            continue;
        /* A host that would be overloaded is taken only where there is no other. */
        score[0] = state->sums[h].cpu + unit_demand(problem, state, vm, h)
                   > imig__space_threshold(problem->space, h) * load->cores[h];
        policies[policy].score(state, vm, h, seed, score + 1);
        while (to != IMIG_NO_HOST && i < 4 && score[i] == best[i])
            i++;
        if (to == IMIG_NO_HOST || score[i] < best[i]) {
            memcpy(best, score, sizeof best);
            to = h;
        }
    }
    return to;
}

/* Every placed VM may still change its mind once the others have a place. */
static void
improve(const imig__problem *problem, const uint32_t *chosen, size_t n)
{
    imig__state *state = problem->state;

    for (int pass = 0; pass < 8; pass++) {
        gboolean changed = FALSE;

        for (size_t i = 0; i < n; i++) {
            uint32_t v = chosen[i], to;

            if (state->host[v] == problem->load->home[v])
                continue;
            to = imig__place_one(problem, state, IMIG__POLICY_INFORMED, v, 0);
            if (to == IMIG_NO_HOST || to == problem->load->home[v]
                || imig__state_delta(state, v, to) >= -1e-9)
                continue;
            imig__space_unit_move(problem->space, state, v, to);
            changed = TRUE;
        }
        if (!changed)
            return;
    }
}

static int
check_chosen(const imig_cluster *cluster, const uint32_t *chosen, size_t n, imig_error **error)
{
    uint8_t *seen = g_new0(uint8_t, cluster->vm_count);
    int r = IMIG_OK;

    for (size_t i = 0; i < n && r == IMIG_OK; i++) {
        if (chosen[i] >= cluster->vm_count)
            r = imig__fail(error, IMIG_ERR_ARGUMENT, "chosen[%zu]: %u: no such VM", i, chosen[i]);
        else if (seen[chosen[i]]++)
            r = imig__fail(error, IMIG_ERR_ARGUMENT, "chosen[%zu]: %u: twice", i, chosen[i]);
    }
    g_free(seen);
    return r;
}

int
imig_place(const imig_cluster *cluster, const int32_t *workload, const imig_affinity *affinity,
           const uint32_t *chosen, size_t n, const imig_place_options *options, uint32_t *host,
           imig_error **error)
{
    imig_place_options opt;
    imig__problem problem;
    uint32_t policy;
    int r = imig__copy_struct(&opt, sizeof opt, options,
                              IMIG__END_OF(imig_place_options, seed), error);

    if (r == IMIG_OK)
        r = imig__check_set(opt.set, IMIG_PLACE_HAS_THRESHOLD << 1, error);
    if (r != IMIG_OK)
        return r;
    if (!(opt.set & IMIG_PLACE_HAS_THRESHOLD))
        opt.threshold = IMIG__THRESHOLD;
    policy = imig__place_policy(opt.policy);
    if (!cluster || !cluster->finished || (n > 0 && (!chosen || !host)))
        return imig__fail(error, IMIG_ERR_ARGUMENT, "imig_place: NULL, or not finished");
    if (policy == UINT32_MAX)
        return imig__fail_name(error, IMIG_ERR_ARGUMENT, "no place policy", opt.policy,
                               imig_place_policy_name);
    if (!(opt.threshold > 0) || isinf(opt.threshold))
        return imig__fail(error, IMIG_ERR_ARGUMENT, "threshold %g: must be > 0", opt.threshold);
    r = check_chosen(cluster, chosen, n, error);
    if (r == IMIG_OK)
        r = imig__problem_init(&problem, cluster, workload, affinity, &imig__loss_defaults,
                               opt.threshold, cluster->time_s, error);
    if (r != IMIG_OK)
        return r;
    for (size_t i = 0; i < n; i++) {
        uint32_t v = chosen[i], to;

        if (problem.state->host[v] != problem.load->home[v]
            || imig__space_unit_fixed(problem.space, v))
            continue; /* it went with its unit, or stays */
        to = imig__place_one(&problem, problem.state, policy, v, opt.seed);
        if (to != IMIG_NO_HOST)
            imig__space_unit_move(problem.space, problem.state, v, to);
    }
    if (policy == IMIG__POLICY_INFORMED)
        improve(&problem, chosen, n);
    for (size_t i = 0; i < n; i++) {
        uint32_t v = chosen[i], at = problem.state->host[v];

        host[i] = at == problem.load->home[v] ? IMIG_NO_HOST : at;
    }
    imig__problem_clear(&problem);
    return IMIG_OK;
}
