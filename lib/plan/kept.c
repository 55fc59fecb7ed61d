/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/aim-priv.h"
#include "plan/broken-priv.h"

#include "model/cluster-priv.h"

#include <math.h>

/* Hosts that are looked at to say why a VM stays: the emptiest ones, and on to one that fits. */
enum { LOOKED_AT = 32 };

#define NOTHING 1e-6 /* lost cores */

#define HOST_NAME(planner, host) ((planner)->cluster->hosts[host].name)

static const struct {
    const char *code, *text;
} fixed_texts[] = {
    { "pinned", "it is marked as not movable" },
    { "blocked", "it cannot be migrated now" },
    { "cooldown", "it was moved a short while ago" },
    { "no-measurement", "its CPU use was not measured" },
    { "local-disk", "whether other hosts see its disk is not known: mark it shareable, or take it "
                    "for shared (IMIG_MIGRATE_UNSAFE), where they do; IMIG_MIGRATE_COPY_DISKS "
                    "copies it" },
    { "host-offline", "its host cannot be reached" },
    { "will-not-converge", "it dirties memory faster than the link can carry" },
    { "no-path", "no sequence of migrations leads there within memory and rules" },
};

static char *
fixed_text(const imig__planner *planner, uint32_t vm, const char *code)
{
    const char *blocked = planner->cluster->vms[vm].blocked;

    for (size_t i = 0; i < G_N_ELEMENTS(fixed_texts); i++)
        if (g_str_equal(fixed_texts[i].code, code))
            return blocked && g_str_equal(code, "blocked")
                       ? g_strdup_printf("%s: %s", fixed_texts[i].text, blocked)
                       : g_strdup(fixed_texts[i].text);
    g_assert_not_reached();
}

static int
compare_free(const void *a, const void *b, void *data)
{
    const imig__state *state = data;
    uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;
    double ux = state->sums[x].cpu / state->load->cores[x];
    double uy = state->sums[y].cpu / state->load->cores[y];

    if (ux != uy)
        return ux < uy ? -1 : 1;
    return (x > y) - (x < y);
}

/* What is asked for every VM: hosts that take VMs, by pool, the emptiest first; what is spent. */
struct look {
    uint32_t *begin, *host; /* [pools + 1], [hosts] */
    imig__budget spent;
};

static struct look
look_around(const imig__planner *planner, const imig__state *state)
{
    const imig_cluster *cluster = planner->cluster;
    const uint8_t *accepts = planner->problem.space->accepts;
    struct look e = { g_new0(uint32_t, cluster->pool_count + 1),
                      g_new(uint32_t, state->load->hosts),
                      imig__planner_spent(planner, state) };
    uint32_t *fill;

    for (uint32_t h = 0; h < state->load->hosts; h++)
        e.begin[cluster->host_pool[h] + 1] += accepts[h];
    for (uint32_t p = 0; p < cluster->pool_count; p++)
        e.begin[p + 1] += e.begin[p];
    fill = g_memdup2(e.begin, cluster->pool_count * sizeof *fill);
    for (uint32_t h = 0; h < state->load->hosts; h++)
        if (accepts[h])
            e.host[fill[cluster->host_pool[h]]++] = h;
    for (uint32_t p = 0; p < cluster->pool_count; p++)
        g_qsort_with_data(e.host + e.begin[p], (gint) (e.begin[p + 1] - e.begin[p]),
                          sizeof *e.host, compare_free, (gpointer) state);
    g_free(fill);
    return e;
}

/* The host where a VM would cost least, of its list or of the emptiest; delta: what it costs. */
static uint32_t
best_host(const imig__planner *planner, const imig__state *state, uint32_t vm,
          const struct look *look, double *delta)
{
    const imig_vm_info *info = &planner->cluster->vms[vm];
    uint32_t pool = planner->cluster->host_pool[state->host[vm]], best = IMIG_NO_HOST;
    const uint32_t *hosts = look->host + look->begin[pool];
    uint32_t count = look->begin[pool + 1] - look->begin[pool];

    if (info->host_count > 0 && info->host_count <= LOOKED_AT) {
        hosts = info->hosts;
        count = info->host_count;
    }
    *delta = INFINITY;
    for (uint32_t i = 0; i < count && (i < LOOKED_AT || best == IMIG_NO_HOST); i++) {
        double d;

        if (!imig__space_unit_fits(planner->problem.space, state, vm, hosts[i]))
            continue;
        d = imig__state_delta(state, vm, hosts[i]);
        if (d < *delta) {
            *delta = d;
            best = hosts[i];
        }
    }
    return best;
}

/* What stands in the way, and on how many hosts. */
static char *
why_no_host(const imig__planner *planner, const imig__state *state, uint32_t vm)
{
    static const struct {
        const char *one, *several;
    } limits[IMIG__LIMITS] = {
        [IMIG__LIMIT_PLACE] = { "is not allowed", "are not allowed" },
        [IMIG__LIMIT_MEMORY] = { "lacks memory", "lack memory" },
        [IMIG__LIMIT_CPU] = { "would be overloaded", "would be overloaded" },
        [IMIG__LIMIT_RULE] = { "has what a rule keeps it apart from",
                               "have what a rule keeps it apart from" },
    };
    uint32_t count[IMIG__LIMITS] = { 0 };
    GString *text = g_string_new("no host can take it");
    const char *separator = ": ";

    for (uint32_t h = 0; h < state->load->hosts; h++)
        if (h != state->host[vm])
            count[imig__space_limit(planner->problem.space, state, vm, h)]++;
    for (int i = 0; i < IMIG__LIMITS; i++)
        if (count[i] > 0 && limits[i].one) {
            g_string_append_printf(text, "%s%u host%s %s", separator, count[i],
                                   count[i] == 1 ? "" : "s",
                                   count[i] == 1 ? limits[i].one : limits[i].several);
            separator = ", ";
        }
    return g_string_free(text, FALSE);
}

/* Does what moves leave nothing for one more? */
static gboolean
is_spent(const imig__planner *planner, const struct look *look, uint32_t vm, uint32_t to)
{
    imig__budget spent = look->spent;

    return !imig__planner_spend(planner, vm, to, &spent);
}

/* Would it move, were it not for the budget?  Not where what was paid for has relieved its host. */
static gboolean
is_unpaid(const imig__planner *planner, const imig__state *state, uint32_t vm)
{
    uint32_t host = state->host[vm];

    return planner->unpaid[vm]
           && (planner->goal != IMIG__RELIEVE || planner->empties[host]
               || imig__space_overloaded(planner->problem.space, state, host));
}

/* Why a VM that could go there does not. */
static const char *
no_gain_code(const imig__planner *planner, const imig__state *state, const struct look *look,
             uint32_t vm, uint32_t to, double cost, char **text)
{
    uint32_t home = state->host[vm];
    const char *name = HOST_NAME(planner, to);
    double price = planner->move_price[vm];

    if (-cost > price && planner->goal == IMIG__RELIEVE
        && !imig__space_overloaded(planner->problem.space, state, home)) {
        *text = g_strdup_printf("%s is not above the threshold any more", HOST_NAME(planner, home));
        return "host-not-overloaded";
    }
    if (-cost > price && is_spent(planner, look, vm, to)) {
        *text = g_strdup_printf("going to %s would save %.3g lost cores, but the budget of "
                                "migrations or bytes is used up", name, -cost);
        return "budget";
    }
    if (fabs(cost) < NOTHING)
        *text = g_strdup_printf("the best other host, %s, would save nothing", name);
    else if (cost >= 0)
        *text = g_strdup_printf("the best other host, %s, would cost %.3g lost cores", name, cost);
    else
        *text = g_strdup_printf("going to %s would save %.3g lost cores; %.3g%s asked for", name,
                                -cost, price, -cost > price
                                    ? " and what errors of measurement could pretend are" : " is");
    return "no-gain";
}

static const char *
stay_code(const imig__planner *planner, const imig__state *state, uint32_t vm,
          const struct look *look, gboolean missed, char **text)
{
    const imig__space *space = planner->problem.space;
    const char *fixed = imig__space_unit_fixed(space, vm), *code;
    uint32_t home = state->host[vm], to;
    double best;

    /* Others of its unit may be fixed where it would go. */
    if (fixed && (space->fixed[vm] || !is_unpaid(planner, state, vm))) {
        *text = space->fixed[vm] ? fixed_text(planner, vm, fixed)
                                 : g_strdup("a VM that must stay with it cannot move");
        return space->fixed[vm] ? fixed : "group-fixed";
    }
    code = imig__aim_stay_code(planner, state, vm, text);
    if (code)
        return code;
    if (!missed && !planner->sheds[home] && planner->goal != IMIG__BALANCE) {
        *text = g_strdup_printf(planner->goal == IMIG__DRAIN ? "%s is not to be emptied"
                                                             : "%s is not above the threshold",
                                HOST_NAME(planner, home));
        return "host-not-overloaded";
    }
    if (is_unpaid(planner, state, vm)) {
        *text = g_strdup("it would move, but the budget of migrations or bytes is used up");
        return "budget";
    }
    to = best_host(planner, state, vm, look, &best);
    if (to == IMIG_NO_HOST) {
        *text = why_no_host(planner, state, vm);
        return "no-host-fits";
    }
    if (planner->policy != IMIG__POLICY_INFORMED) {
        *text = g_strdup_printf("policy %s left it where it is",
                                imig_plan_policy_name(planner->policy));
        return "not-selected";
    }
    return no_gain_code(planner, state, look, vm, to, best, text);
}

/* Did the goal want this VM to move? */
static gboolean
is_missed(const imig__planner *planner, const imig__state *state, uint32_t vm)
{
    const imig__space *space = planner->problem.space;
    uint32_t host = state->host[vm];

    return planner->kept[vm] || is_unpaid(planner, state, vm) || planner->empties[host]
           || imig__aim_misses(planner, state, host)
           || ((planner->sheds[host] || planner->goal == IMIG__RELIEVE)
               && imig__space_overloaded(space, state, host))
           || imig__space_misplaced(space, state, vm);
}

static gboolean
unit_is_split(const imig__space *space, const imig__state *state, uint32_t vm)
{
    uint32_t u = space->unit[vm];

    if (imig__space_unit_alone(space, vm))
        return FALSE;
    for (uint32_t i = space->unit_begin[u]; i < space->unit_begin[u + 1]; i++)
        if (state->host[space->unit_vm[i]] != state->host[vm])
            return TRUE;
    return FALSE;
}

/* Is it where it may not be? */
static gboolean
is_broken(const imig__planner *planner, const imig__state *state, uint32_t vm)
{
    const imig__space *space = planner->problem.space;

    return unit_is_split(space, state, vm) || planner->empties[state->host[vm]]
           || imig__space_misplaced(space, state, vm);
}

/* Takes the text, and gives it back with what stays broken. */
static char *
add_broken(imig__broken *broken, uint32_t vm, char *text)
{
    char *what = imig__broken_text(broken, vm), *both;

    if (!what)
        return text;
    both = g_strdup_printf("%s; %s", text, what);
    g_free(text);
    g_free(what);
    return both;
}

/* VMs that go to where a rule is still broken, as nobody who stays can say that. */
static void
add_movers(const imig__planner *planner, imig_plan *plan, const imig__state *state,
           imig__broken *broken)
{
    for (uint32_t v = 0; v < state->load->vms; v++) {
        char *why, *text;

        if (state->host[v] == planner->home[v] || imig__broken_is_named(broken, v))
            continue;
        why = why_no_host(planner, state, v);
        text = g_strdup_printf("it goes where a rule is still broken, for beside that %s", why);
        text = add_broken(broken, v, text);
        imig__plan_add_kept(plan, planner->cluster->vms[v].id, "no-host-fits", text);
        g_free(why);
        g_free(text);
    }
}

/* Hosts to spare are asked for whatever the goal; consolidate sees to them by what it leaves on. */
static gboolean
wants_no_overload(const imig__planner *planner)
{
    return planner->goal == IMIG__RELIEVE
           || (planner->opt.spare_hosts > 0 && planner->goal != IMIG__CONSOLIDATE);
}

gboolean
imig__planner_add_kept(const imig__planner *planner, imig_plan *plan, const imig__state *state)
{
    const imig__space *space = planner->problem.space;
    gboolean complete = TRUE;
    struct look look = look_around(planner, state);
    imig__broken *rules = NULL;

    for (uint32_t v = 0; v < state->load->vms; v++) {
        gboolean missed = is_missed(planner, state, v), broken = is_broken(planner, state, v);
        char *text = NULL;
        const char *code;

        complete &= !broken;
        if (broken && !rules)
            rules = imig__broken_new(planner, state);
        if (state->host[v] != planner->home[v])
            continue;
        if (!missed && !broken && !planner->opt.explain)
            continue;
        code = stay_code(planner, state, v, &look, missed || broken, &text);
        if (broken)
            text = add_broken(rules, v, text);
        imig__plan_add_kept(plan, planner->cluster->vms[v].id, code, text);
        g_free(text);
    }
    for (uint32_t h = 0; h < state->load->hosts; h++)
        complete &= imig__space_excess(space, state, h) <= 0
                    && !imig__aim_misses(planner, state, h)
                    && !(wants_no_overload(planner) && imig__space_overloaded(space, state, h));
    if (rules)
        add_movers(planner, plan, state, rules);
    imig__broken_free(rules);
    g_free(look.begin);
    g_free(look.host);
    return complete;
}
