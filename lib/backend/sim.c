/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/sim-job-priv.h"

#include <math.h>
#include <string.h>

static int
sim_probe(const char *uri)
{
    return g_str_has_prefix(uri, "sim:");
}

static void
sim_free(imig__sim *sim)
{
    for (size_t i = 0; i < sim->jobs->len; i++)
        g_free(g_ptr_array_index(sim->jobs, i));
    for (size_t i = 0; sim->vms && i < sim->cluster->vm_count; i++)
        g_free(sim->vms[i].log);
    g_ptr_array_unref(sim->jobs);
    g_array_unref(sim->free_slots);
    g_hash_table_unref(sim->by_number);
    imig__sim_heap_clear(&sim->events);
    g_ptr_array_unref(sim->touched);
    g_ptr_array_unref(sim->component);
    g_ptr_array_unref(sim->capped);
    imig__sim_heap_clear(&sim->levels);
    g_rand_free(sim->rand);
    g_free(sim->shown);
    g_free(sim->truth);
    g_free(sim->shown_flow);
    g_free(sim->truth_flow);
    g_free(sim->faults);
    g_free(sim->hosts);
    g_free(sim->vms);
    g_free(sim->flow_start);
    g_free(sim->flow_list);
    imig_cluster_unref(sim->cluster);
    imig__sim_options_clear(&sim->options);
    g_free(sim);
}

static imig__sim *
sim_new(const imig__sim_options *options, imig_cluster *cluster)
{
    imig__sim *sim = g_new0(imig__sim, 1);

    sim->options = *options;
    sim->cluster = cluster;
    sim->clock_s = cluster->time_s;
    sim->jobs = g_ptr_array_new();
    sim->free_slots = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    sim->by_number = g_hash_table_new(g_int64_hash, g_int64_equal);
    sim->touched = g_ptr_array_new();
    sim->component = g_ptr_array_new();
    sim->capped = g_ptr_array_new();
    sim->rand = g_rand_new_with_seed(options->seed);
    if (options->noise > 0) {
        sim->shown = g_new0(double, IMIG__COUNTER_COUNT * cluster->vm_count);
        sim->truth = g_new0(double, IMIG__COUNTER_COUNT * cluster->vm_count);
        sim->shown_flow = g_new0(double, cluster->flow_count);
        sim->truth_flow = g_new0(double, cluster->flow_count);
    }
    imig__sim_hosts_init(sim);
    return sim;
}

static int
sim_open(const char *uri, void **ret_state, imig_error **error)
{
    imig__sim_options options;
    imig_cluster *cluster;
    imig__sim *sim;
    int code = imig__sim_parse(uri, &options, error);

    if (code != IMIG_OK)
        return code;
    code = imig__sim_read_cluster(&options, &cluster, error);
    if (code != IMIG_OK) {
        imig__sim_options_clear(&options);
        return code;
    }
    sim = sim_new(&options, cluster);
    code = imig__sim_resolve_faults(sim, error);
    if (code == IMIG_OK) /* closing cannot report that the path is no good */
        code = imig__sim_write_state(sim, error);
    if (code != IMIG_OK) {
        sim_free(sim);
        return code;
    }
    *ret_state = sim;
    return IMIG_OK;
}

/* Virtual time runs on; at a pace, if one is wanted. */
static void
advance_to(imig__sim *sim, double time_s)
{
    if (time_s <= sim->clock_s)
        return;
    if (sim->options.pace > 0)
        g_usleep((gulong) ((time_s - sim->clock_s) / sim->options.pace * G_USEC_PER_SEC));
    sim->clock_s = time_s;
}

/* FALSE where no job has anything to do by then. */
static gboolean
next_event(imig__sim *sim, double deadline_s)
{
    uint32_t slot;

    if (sim->events.count == 0)
        return FALSE;
    slot = sim->events.ids[0];
    if (!(sim->events.key[slot] <= deadline_s))
        return FALSE;
    advance_to(sim, sim->events.key[slot]);
    imig__sim_job_event(sim, g_ptr_array_index(sim->jobs, slot));
    return TRUE;
}

static int
sim_wait(void *state, double deadline_s, imig_error **error)
{
    imig__sim *sim = state;

    (void) error;
    while (!sim->happened && next_event(sim, deadline_s))
        ;
    if (sim->happened) {
        while (next_event(sim, sim->clock_s)) /* what happens at the same moment belongs to it */
            ;
        sim->happened = FALSE;
        return IMIG_OK;
    }
    advance_to(sim, deadline_s);
    return IMIG_OK;
}

static void
sim_close(void *state)
{
    imig__sim *sim = state;

    if (!sim)
        return;
    for (size_t i = 0; i < sim->jobs->len; i++) {
        imig__sim_job *job = g_ptr_array_index(sim->jobs, i);

        if (job && job->state == IMIG_JOB_RUNNING)
            imig__sim_job_give_up(sim, job, IMIG_JOB_CANCELLED, IMIG_ERR_CANCELLED, "cancelled");
    }
    imig__sim_rebalance(sim);
    sim->options.pace = 0;
    while (next_event(sim, INFINITY)) /* a hand-over that has begun is finished */
        ;
    /* The path was good when it was opened; here nobody can be told. */
    imig__sim_write_state(sim, NULL);
    sim_free(sim);
}

static double
sim_clock(void *state)
{
    const imig__sim *sim = state;

    return sim->clock_s;
}

static int
sim_locate(void *state, const char *vm, imig_location *into, imig_error **error)
{
    const imig__sim *sim = state;
    uint32_t index = imig__sim_find_vm(sim, vm);

    (void) error;
    *into = (imig_location) { .size = sizeof *into, .state = IMIG_VM_ABSENT };
    if (index == IMIG_NO_INDEX)
        return IMIG_OK;
    into->state = sim->vms[index].job ? IMIG_VM_MOVING : IMIG_VM_RUNNING;
    g_strlcpy(into->host, sim->cluster->hosts[sim->vms[index].host].id, sizeof into->host);
    return IMIG_OK;
}

const imig_backend_ops imig__sim_ops = {
    .size = sizeof imig__sim_ops,
    .name = "sim",
    .probe = sim_probe,
    .open = sim_open,
    .close = sim_close,
    .clock = sim_clock,
    .sample = imig__sim_sample,
    .locate = sim_locate,
    .wait = sim_wait,
    .check = imig__sim_check,
    .dirty_start = imig__sim_dirty_start,
    .dirty_read = imig__sim_dirty_read,
    .dirty_stop = imig__sim_dirty_stop,
    .migrate = imig__sim_migrate,
    .poll = imig__sim_poll,
    .cancel = imig__sim_cancel,
    .result = imig__sim_result,
};
