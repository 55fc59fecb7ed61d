/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/aim-priv.h"

#include "model/cluster-priv.h"

#include <math.h>

/* What a plan says of goals level and consolidate. */

static double
cpu_ratio(const imig__state *state, uint32_t host)
{
    return state->sums[host].cpu / state->load->cores[host];
}

static double
memory_ratio(const imig__space *space, const imig__state *state, uint32_t host)
{
    return space->room[host] > 0
               ? imig__space_memory(space, state, host) / space->room[host] : 0;
}

gboolean
imig__aim_misses(const imig__planner *planner, const imig__state *state, uint32_t host)
{
    return planner->aim && planner->problem.space->accepts[host]
           && imig__level_over(planner->problem.space, &planner->aim->limits, state, host);
}

/* -- steps -- */

imig__aim_cause
imig__aim_why(const imig__planner *planner, uint32_t vm)
{
    const imig__aim *aim = planner->aim;
    const imig__space *space = planner->problem.space;
    uint32_t home = planner->home[vm];
    double cpu, memory;

    if (!aim)
        return IMIG__AIM_NONE;
    if (planner->goal == IMIG__CONSOLIDATE && aim->frees[home])
        return IMIG__AIM_FREES;
    if (!imig__level_over(space, &aim->limits, planner->before, home))
        return IMIG__AIM_ROOM;
    if (planner->goal == IMIG__CONSOLIDATE)
        return IMIG__AIM_NONE;
    if (imig__space_excess(space, planner->before, home) > 0
        && !imig__level_over_cpu(&aim->limits, planner->before, home))
        return IMIG__AIM_SHORT;
    cpu = cpu_ratio(planner->before, home) - aim->limits.cpu[home] / space->load->cores[home];
    memory = memory_ratio(space, planner->before, home)
             - aim->limits.memory[home] / MAX(space->room[home], 1);
    return cpu > memory ? IMIG__AIM_CPU : IMIG__AIM_MEMORY;
}

/* -- VMs that stay -- */

static const char *
host_id(const imig__planner *planner, uint32_t host)
{
    return planner->cluster->hosts[host].id;
}

static const char *
host_name(const imig__planner *planner, uint32_t host)
{
    return planner->cluster->hosts[host].name;
}

/* Is there no host that could have it, even alone, within its limits? */
static gboolean
is_too_large(const imig__planner *planner, uint32_t vm)
{
    const imig__space *space = planner->problem.space;
    const imig__limits *limits = &planner->aim->limits;
    const imig__sums *in = &space->load->brings[vm];

    for (uint32_t h = 0; h < space->load->hosts; h++)
        if (space->accepts[h] && imig__space_allows(space, vm, h)
            && in->cpu <= limits->cpu[h] && in->memory + space->overhead[h] <= limits->memory[h])
            return FALSE;
    return TRUE;
}

static const char *
level_code(const imig__planner *planner, const imig__state *state, uint32_t vm, char **text)
{
    const imig__aim *aim = planner->aim;
    uint32_t host = state->host[vm], pool = planner->cluster->host_pool[host];
    double cpu = 100 * cpu_ratio(state, host);
    double memory = 100 * memory_ratio(planner->problem.space, state, host);

    if (!planner->problem.space->accepts[host])
        return NULL;
    if (!imig__aim_misses(planner, state, host)) {
        *text = g_strdup_printf("%s is within its limits: CPU %.1f %%, memory %.1f %%, the "
                                "means of the pool being %.1f %% and %.1f %%",
                                host_name(planner, host), cpu, memory,
                                100 * aim->mean_cpu[pool], 100 * aim->mean_memory[pool]);
        return "host-not-overloaded";
    }
    if (planner->unpaid[vm])
        return NULL;
    if (is_too_large(planner, vm)) {
        *text = g_strdup_printf("it alone is above the limits of every host it may be on: %.3g "
                                "cores, %.4g GiB", state->load->brings[vm].cpu,
                                state->load->brings[vm].memory / 1073741824.0);
        return "too-large";
    }
    *text = g_strdup_printf("%s stays above its limits: CPU %.1f %%, memory %.1f %%, the means of "
                            "the pool being %.1f %% and %.1f %%; %s",
                            host_name(planner, host), cpu, memory, 100 * aim->mean_cpu[pool],
                            100 * aim->mean_memory[pool],
                            aim->is_cut ? "the budget of migrations or bytes is used up"
                                        : "nothing better was found");
    if (aim->is_cut)
        return "budget";
    return "above-level";
}

/* Does something other than the goal ask for it to leave? */
static gboolean
is_broken(const imig__planner *planner, const imig__state *state, uint32_t vm)
{
    const imig__space *space = planner->problem.space;
    uint32_t host = state->host[vm];

    return !space->accepts[host] || imig__space_excess(space, state, host) > 0
           || imig__space_misplaced(space, state, vm);
}

static const char *
consolidate_code(const imig__planner *planner, const imig__state *state, uint32_t vm, char **text)
{
    const char *host = host_name(planner, state->host[vm]);

    if (is_broken(planner, state, vm))
        return NULL;
    if (planner->unpaid[vm]) {
        *text = g_strdup_printf("%s stays in use: the budget of migrations or bytes does not allow "
                                "all that has to leave it", host);
        return "budget";
    }
    if (imig__aim_misses(planner, state, state->host[vm]))
        *text = g_strdup_printf("%s stays in use, though above its limits: this goal takes what a "
                                "host has whole or not at all", host);
    else
        *text = g_strdup_printf("%s stays in use: the other hosts cannot take all it has, or not "
                                "as cheaply as what was taken", host);
    return "host-in-use";
}

const char *
imig__aim_stay_code(const imig__planner *planner, const imig__state *state, uint32_t vm,
                    char **text)
{
    if (!planner->aim)
        return NULL;
    return planner->goal == IMIG__LEVEL ? level_code(planner, state, vm, text)
                                        : consolidate_code(planner, state, vm, text);
}

/* -- hosts that stay above -- */

/* The VMs of a host that stays above. */
struct stays {
    double cpu, memory; /* of those that cannot leave */
    uint32_t count;
    GString *names;     /* of the first few; NULL: the host is not above */
    gboolean some_fit;  /* of the others, elsewhere */
};

static struct stays *
look_at_hosts(const imig__planner *planner, const imig__state *after, const char *const *fixed)
{
    enum { MOST = 3 };
    const imig__space *space = planner->problem.space;
    struct stays *all = g_new0(struct stays, after->load->hosts + 1);

    for (uint32_t h = 0; h < after->load->hosts; h++)
        if (imig__aim_misses(planner, after, h))
            all[h].names = g_string_new(NULL);
    for (uint32_t v = 0; v < after->load->vms; v++) {
        struct stays *s = &all[after->host[v]];

        if (!s->names)
            continue;
        if (!fixed[v]) {
            s->some_fit = s->some_fit || !is_too_large(planner, v);
            continue;
        }
        s->cpu += space->load->brings[v].cpu;
        s->memory += space->load->brings[v].memory + space->overhead[after->host[v]];
        if (s->count++ >= MOST)
            continue;
        imig__append_name(s->names, s->count > 1 ? ", " : "", planner->cluster->vms[v].name);
        g_string_append_printf(s->names, " (%s)", fixed[v]);
    }
    for (uint32_t h = 0; h < after->load->hosts; h++)
        if (all[h].count > MOST)
            g_string_append_printf(all[h].names, " and %u more", all[h].count - MOST);
    return all;
}

/* Which limits, and by how much. */
static GString *
over_which(const imig__planner *planner, const imig__state *after, uint32_t host)
{
    const imig__limits *limits = &planner->aim->limits;
    double cores = after->load->cores[host], room = MAX(planner->problem.space->room[host], 1);
    double memory = imig__space_memory(planner->problem.space, after, host);
    GString *text = g_string_new(NULL);

    if (imig__level_over_cpu(limits, after, host))
        g_string_printf(text, "CPU %.1f %% of at most %.1f %%", 100 * cpu_ratio(after, host),
                        100 * limits->cpu[host] / cores);
    if (imig__level_is_over(memory, limits->memory[host]))
        g_string_append_printf(text, "%smemory %.1f %% of at most %.1f %%",
                               text->len > 0 ? ", " : "", 100 * memory / room,
                               100 * limits->memory[host] / room);
    return text;
}

static void
add_above(const imig__planner *planner, const imig__state *after, const char *const *fixed,
          imig_plan *plan)
{
    const imig__limits *limits = &planner->aim->limits;
    struct stays *all = look_at_hosts(planner, after, fixed);

    for (uint32_t h = 0; h < after->load->hosts; h++) {
        const char *code = "above-level";
        GString *text;

        if (!all[h].names)
            continue;
        text = over_which(planner, after, h);
        if (imig__level_is_over(all[h].cpu, limits->cpu[h])
            || imig__level_is_over(all[h].memory, limits->memory[h])) {
            code = "fixed-vms";
            g_string_append_printf(text, "; what cannot leave is more than that already: %s",
                                   all[h].names->str);
        } else if (planner->aim->is_cut) {
            code = "budget";
            g_string_append(text, "; the budget of migrations or bytes is used up");
        } else if (!all[h].some_fit) {
            code = "too-large";
            g_string_append(text, "; each VM that could leave is above the limits of every host "
                            "it may be on");
        } else {
            g_string_append(text, "; nothing better was found");
        }
        imig__plan_add_above(plan, host_id(planner, h), code, text->str);
        g_string_free(text, TRUE);
        g_string_free(all[h].names, TRUE);
    }
    g_free(all);
}

/* -- the whole -- */

static double
moved_bytes(const imig__planner *planner)
{
    double bytes = 0;

    for (size_t i = 0; i < planner->schedule.step_count; i++)
        bytes += planner->problem.load->brings[planner->schedule.steps[i].vm].memory;
    return bytes;
}

/* [vms] what fixes them, whatever else the plan gave up. */
static const char **
really_fixed(const imig__planner *planner)
{
    const char **fixed = g_new(const char *, planner->problem.load->vms + 1);

    for (uint32_t v = 0; v < planner->problem.load->vms; v++)
        fixed[v] = planner->kept[v] ? NULL : planner->problem.space->fixed[v];
    return fixed;
}

/* The limits, none for hosts to be emptied; or what this plan leaves where that is more. */
static imig__limits
limits_reached(const imig__planner *planner, const imig__state *after)
{
    const imig__space *space = planner->problem.space;
    uint32_t hosts = space->load->hosts;
    imig__limits reached = imig__limits_new(hosts);

    for (uint32_t h = 0; h < hosts; h++) {
        if (planner->empties[h] || space->accepts[h]) {
            double cpu = planner->empties[h] ? 0 : planner->aim->limits.cpu[h];
            double memory = planner->empties[h] ? 0 : planner->aim->limits.memory[h];

            reached.cpu[h] = MAX(cpu, after->sums[h].cpu);
            reached.memory[h] = MAX(memory, imig__space_memory(space, after, h));
        }
    }
    return reached;
}

static void
sum_up_level(const imig__planner *planner, const imig__state *after, imig_plan_summary *summary)
{
    const imig__aim *aim = planner->aim;

    for (uint32_t h = 0; h < after->load->hosts; h++) {
        uint32_t pool = planner->cluster->host_pool[h];

        if (!planner->problem.space->accepts[h])
            continue;
        if (aim->mean_cpu[pool] > 0)
            summary->cpu_to_mean = MAX(summary->cpu_to_mean,
                                       cpu_ratio(after, h) / aim->mean_cpu[pool]);
        if (aim->mean_memory[pool] > 0)
            summary->memory_to_mean =
                MAX(summary->memory_to_mean, memory_ratio(planner->problem.space, after, h)
                                                 / aim->mean_memory[pool]);
    }
}

static void
sum_up_hosts(const imig__planner *planner, const imig__state *after, imig_plan_summary *summary,
             imig_plan *plan)
{
    for (uint32_t h = 0; h < after->load->hosts; h++) {
        if (!planner->problem.space->accepts[h])
            continue;
        if (after->sums[h].count > 0 || !planner->aim->frees[h])
            summary->hosts_in_use++;
        else
            imig__plan_add_empty_host(plan, host_id(planner, h));
    }
}

void
imig__aim_sum_up(const imig__planner *planner, const imig__state *after,
                 imig_plan_summary *summary, imig_plan *plan)
{
    imig__limits reached;
    const char **fixed;

    summary->moved_bytes = moved_bytes(planner);
    if (!planner->aim)
        return;
    fixed = really_fixed(planner);
    reached = limits_reached(planner, after);
    if (planner->goal == IMIG__LEVEL) {
        summary->moved_bytes_bound = imig__level_bound(planner->problem.space, planner->before,
                                                       &reached, fixed);
        sum_up_level(planner, after, summary);
        add_above(planner, after, fixed, plan);
    } else {
        sum_up_hosts(planner, after, summary, plan);
        summary->hosts_in_use_bound =
            imig__consolidate_bound(planner->problem.space, planner->before, &reached, fixed,
                                    planner->opt.spare_hosts);
    }
    imig__limits_clear(&reached);
    g_free(fixed);
}
