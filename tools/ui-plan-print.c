/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ui.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void
add_row(ui_table *table, const char *what, const char *before, const char *after)
{
    ui_table_add(table, what);
    ui_table_add(table, before);
    ui_table_add(table, after);
}

void
ui_print_totals(const imig_plan_totals *before, const imig_plan_totals *after)
{
    static const char *const headings[] = { "", ">before", ">after", NULL };
    ui_table *table = ui_table_new(headings);

    add_row(table, "lost cores", ui_cores(before->loss), ui_cores(after->loss));
    add_row(table, "  contention", ui_cores(before->contention), ui_cores(after->contention));
    add_row(table, "  interference", ui_cores(before->interference),
            ui_cores(after->interference));
    add_row(table, "  communication", ui_cores(before->communication),
            ui_cores(after->communication));
    add_row(table, "overloaded hosts", ui_text("%u", before->overloaded_hosts),
            ui_text("%u", after->overloaded_hosts));
    add_row(table, "busiest host, CPU", ui_percent(before->cpu_max), ui_percent(after->cpu_max));
    add_row(table, "mean CPU", ui_percent(before->cpu_mean), ui_percent(after->cpu_mean));
    add_row(table, "standard deviation", ui_percent(before->cpu_stddev),
            ui_percent(after->cpu_stddev));
    add_row(table, "fullest host, memory", ui_percent(before->memory_max),
            ui_percent(after->memory_max));
    ui_table_print(table);
}

static const char *
class_of(const imig_cluster *cluster, const int32_t *classes, const char *vm)
{
    uint32_t index = cluster ? imig_cluster_find_vm(cluster, vm) : IMIG_NO_INDEX;
    const char *name = index != IMIG_NO_INDEX ? imig_workload_name(classes[index]) : NULL;

    return name ? name : "-";
}

gboolean
ui_is_predicted(double duration_s)
{
    return duration_s > 0;
}

static void
print_steps(const imig_plan *plan, const imig_cluster *cluster)
{
    static const char *const headings[] = {
        ">step", "VM", "class", "from", "to", ">start", ">time", ">downtime", ">sent", ">gain",
        "|reason", NULL,
    };
    g_autofree int32_t *classes = cluster ? ui_classes(cluster) : NULL;
    ui_table *table = ui_table_new(headings);

    for (size_t i = 0; i < imig_plan_step_count(plan); i++) {
        imig_plan_step step = IMIG_PLAN_STEP_INIT;
        gboolean predicted;

        imig_plan_get_step(plan, i, &step, NULL);
        ui_table_add(table, ui_text("%zu", i + 1));
        ui_table_add(table, ui_vm_name(cluster, step.vm));
        ui_table_add(table, class_of(cluster, classes, step.vm));
        ui_table_add(table, ui_host_name(cluster, step.from));
        ui_table_add(table, ui_host_name(cluster, step.to));
        ui_table_add(table, ui_text("%.1f s", step.start_s));
        predicted = ui_is_predicted(step.duration_s);
        ui_table_add(table, ui_time(predicted ? step.duration_s : NAN));
        ui_table_add_coloured(table, step.converges ? UI_PLAIN : UI_RED,
                              !step.converges ? "never ends"
                                              : ui_time(predicted ? step.downtime_s : NAN));
        ui_table_add(table, ui_bytes(predicted ? step.transferred_bytes : NAN));
        ui_table_add(table, predicted ? ui_text("%+.2f", step.gain) : "-");
        ui_table_add(table, step.reason_text);
    }
    ui_table_print(table);
    puts("\ngain: lost cores more without this step, all others being done; gains do not add up.");
}

/* What the library says in its own words has its name on the command line, too. */
static const char *
kept_text(const char *code, const char *text)
{
    return g_str_equal(code, "local-disk")
               ? "imig cannot tell whether other hosts see its disk: mark it shareable, or say "
                 "--unsafe, where they do; --copy-disks copies it" : text;
}

static void
print_kept(const imig_plan *plan, const imig_cluster *cluster)
{
    static const char *const headings[] = { "stays", "because", NULL };
    ui_table *table = ui_table_new(headings);

    for (size_t i = 0; i < imig_plan_kept_count(plan); i++) {
        const char *vm, *code, *text;

        imig_plan_get_kept(plan, i, &vm, &code, &text, NULL);
        ui_table_add(table, ui_vm_name(cluster, vm));
        ui_table_add(table, kept_text(code, text));
    }
    ui_table_print(table);
}

static double
total_bytes(const imig_plan *plan)
{
    double bytes = 0;

    for (size_t i = 0; i < imig_plan_step_count(plan); i++) {
        imig_plan_step step = IMIG_PLAN_STEP_INIT;

        imig_plan_get_step(plan, i, &step, NULL);
        bytes += ui_is_predicted(step.duration_s) ? step.transferred_bytes : NAN;
    }
    return bytes;
}

static size_t
active_hosts(const imig_cluster *cluster)
{
    size_t n = 0;

    for (uint32_t h = 0; h < imig_cluster_host_count(cluster); h++) {
        imig_host_info host = IMIG_HOST_INFO_INIT;

        imig_cluster_get_host(cluster, h, &host, NULL);
        n += host.state == IMIG_HOST_ACTIVE;
    }
    return n;
}

/* Why there are no steps: a goal is not met where a host is overloaded, nor known to be where a
   budget ends the search. */
static void
print_nothing(const imig_plan *plan, const imig_cluster *cluster, const imig_plan_totals *now,
              const ui_planner *asked)
{
    const char *separator = " within ";

    if (asked->max_moves >= 0 || !isnan(asked->max_bytes)) {
        printf("Nothing to do");
        if (asked->max_moves >= 0) {
            printf("%s--max-moves %" G_GINT64_FORMAT, separator, asked->max_moves);
            separator = " and ";
        }
        if (!isnan(asked->max_bytes))
            printf("%s--max-bytes %s", separator, ui_bytes(asked->max_bytes));
        fputs(": ", stdout);
    } else if (active_hosts(cluster) == 0) {
        puts("Nothing to do: no host is active.");
        return;
    } else if (now->overloaded_hosts > 0) {
        printf("Nothing worth doing for goal %s: ", imig_plan_goal(plan));
    } else {
        printf("Nothing worth doing: goal %s is met with ", imig_plan_goal(plan));
    }
    printf("%s lost cores, the busiest host at %s CPU, %u host%s overloaded.\n",
           ui_cores(now->loss), ui_percent(now->cpu_max), now->overloaded_hosts,
           now->overloaded_hosts == 1 ? "" : "s");
}

static void
print_remainder(const imig_plan_totals *after, const imig_plan_summary *summary)
{
    double left = after->contention + summary->migration_loss;

    printf("\nThe migrations themselves lose %s cores, averaged over the horizon.  With what "
           "contention is\nleft that is %s; no plan can get below %s, so another might save %s of "
           "it at the very most.\n", ui_text("%.4f", summary->migration_loss),
           ui_text("%.3f", left), ui_text("%.3f", summary->loss_bound),
           ui_text("%.1f %%", summary->gap_ratio * 100));
}

/* Goal level: how level, and for how many bytes. */
static void
print_level(const imig_plan_summary *s)
{
    double above = s->moved_bytes_bound > 0 ? s->moved_bytes / s->moved_bytes_bound - 1 : 0;

    printf("\nNo host is above %s the mean of its pool in CPU, nor above %s in memory.\n",
           ui_text("%.3f x", s->cpu_to_mean), ui_text("%.3f x", s->memory_to_mean));
    if (s->moved_bytes > 0 && s->complete)
        printf("VMs with %s of memory move; no plan that gets as far moves less than %s, so this "
               "one is at most\n%s above the least.\n", ui_bytes(s->moved_bytes),
               ui_bytes(s->moved_bytes_bound), ui_text("%.1f %%", 100 * MAX(above, 0)));
    else if (s->moved_bytes > 0)
        printf("VMs with %s of memory move, and not all is reached; to bring each host as far as "
               "this plan\ndoes takes at least %s.\n", ui_bytes(s->moved_bytes),
               ui_bytes(s->moved_bytes_bound));
}

static void
print_above(const imig_plan *plan, const imig_cluster *cluster)
{
    static const char *const headings[] = { "above its limits", "because", NULL };
    ui_table *table;

    if (imig_plan_above_count(plan) == 0)
        return;
    putchar('\n');
    table = ui_table_new(headings);
    for (size_t i = 0; i < imig_plan_above_count(plan); i++) {
        const char *host, *text;

        imig_plan_get_above(plan, i, &host, NULL, &text, NULL);
        ui_table_add(table, ui_host_name(cluster, host));
        ui_table_add(table, text);
    }
    ui_table_print(table);
}

/* Goal consolidate: what is left, and what can go. */
static void
print_empty_hosts(const imig_plan *plan, const imig_cluster *cluster, const imig_plan_summary *s)
{
    size_t n = imig_plan_empty_host_count(plan);

    printf("\n%u host%s in use then; at least %u %s needed.\n", s->hosts_in_use,
           s->hosts_in_use == 1 ? " is" : "s are", s->hosts_in_use_bound,
           s->hosts_in_use_bound == 1 ? "is" : "are");
    if (n == 0) {
        puts("No host can be switched off.");
        return;
    }
    fputs("Without VMs, and can be switched off: ", stdout);
    for (size_t i = 0; i < n; i++)
        printf("%s%s", i > 0 ? ", " : "", ui_host_name(cluster, imig_plan_empty_host(plan, i)));
    puts(".");
}

static void
print_goal(const imig_plan *plan, const imig_cluster *cluster, const imig_plan_summary *s)
{
    if (s->cpu_to_mean > 0 || s->memory_to_mean > 0)
        print_level(s);
    print_above(plan, cluster);
    if (s->hosts_in_use > 0 || imig_plan_empty_host_count(plan) > 0)
        print_empty_hosts(plan, cluster, s);
}

/* Hosts to spare that cannot be had: beside a busiest host of 48 % the number alone is a riddle. */
static void
print_no_spare(const imig_plan *plan, const imig_plan_totals *after, const ui_planner *planner)
{
    uint32_t n = after->overloaded_hosts;

    if (planner->spare_hosts > 0 && n > 0 && strcmp(imig_plan_goal(plan), "consolidate") != 0)
        printf("\n%u host%s too much for --spare-hosts %" G_GINT64_FORMAT ": if as many, the "
               "largest of each pool, failed and\nthe others took over in proportion, %s would be "
               "overloaded.\n", n, n == 1 ? " has" : "s have", planner->spare_hosts,
               n == 1 ? "it" : "they");
}

void
ui_print_plan(const imig_plan *plan, const imig_cluster *cluster, const ui_planner *planner)
{
    imig_plan_totals before = IMIG_PLAN_TOTALS_INIT, after = IMIG_PLAN_TOTALS_INIT;
    imig_plan_summary summary = IMIG_PLAN_SUMMARY_INIT;
    size_t steps = imig_plan_step_count(plan), kept = imig_plan_kept_count(plan);
    gboolean predicted;

    imig_plan_get_totals(plan, &before, &after, NULL);
    imig_plan_get_summary(plan, &summary, NULL);
    predicted = steps == 0 || ui_is_predicted(summary.makespan_s);
    if (steps == 0 && summary.complete) {
        print_nothing(plan, cluster, &before, planner);
        print_goal(plan, cluster, &summary);
    } else {
        printf("%sGoal %s, policy %s: %zu migration%s, %s to send, %s in all.%s\n\n",
               ui_colour_on(UI_BOLD), imig_plan_goal(plan), imig_plan_policy(plan), steps,
               steps == 1 ? "" : "s", ui_bytes(total_bytes(plan)),
               ui_time(predicted ? summary.makespan_s : NAN),
               ui_colour_off());
        if (predicted) {
            ui_print_totals(&before, &after);
            print_remainder(&after, &summary);
        }
        print_goal(plan, cluster, &summary);
        if (steps > 0) {
            if (predicted)
                putchar('\n');
            print_steps(plan, cluster);
        }
    }
    print_no_spare(plan, &after, planner);
    if (before.cpu_mean > 1)
        printf("\nDemand is %s of all cores: no placement can cure this.\n",
               ui_percent(before.cpu_mean));
    if (!summary.complete)
        printf("\n%sThe goal cannot be reached whole%s\n", ui_colour_on(UI_YELLOW),
               kept > 0 ? ":" : ".");
    if (kept > 0 && (planner->explain || !summary.complete)) {
        if (summary.complete)
            putchar('\n');
        print_kept(plan, cluster);
    }
    if (!summary.complete)
        fputs(ui_colour_off(), stdout);
}
