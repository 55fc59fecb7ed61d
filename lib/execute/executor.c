/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "execute/room-priv.h"
#include "execute/run-priv.h"

#include <math.h>

/* A migration under way, or one that failed and is to be tried again. */
struct running {
    uint64_t job;
    uint32_t step;
    int begun;      /* 0: try again at the next turn */
    int asked_to_stop;
    int32_t state;  /* an imig_job_state, as last seen */
};

struct runner {
    imig_connection *connection;
    imig_execute_options options;
    imig_run *run;
    imig__window *window;
    GArray *running;
    imig__room *room;   /* NULL as long as all goes as planned */
    double began_s;
    const char *broken; /* why nothing can be done any more */
};

static void
tell(const struct runner *r, uint32_t step)
{
    if (r->options.event)
        r->options.event(&r->run->steps[step], imig_connection_clock(r->connection) - r->began_s,
                         r->options.user_data);
}

/* Takes the message. */
static void
close_report(const struct runner *r, uint32_t step, int32_t state, char *message)
{
    r->run->steps[step].state = state;
    if (message)
        imig__run_set_message(r->run, step, message);
    g_free(message);
    tell(r, step);
}

static void
close_lost(struct runner *r)
{
    uint32_t step, because;

    while ((step = imig__window_take_lost(r->window, &because)) != IMIG_NO_INDEX) {
        const imig_step_report *cause = &r->run->steps[because];

        close_report(r, step, IMIG_STEP_SKIPPED,
                     g_strdup_printf("%s did not reach %s, and this step needs that", cause->vm,
                                     cause->to));
    }
}

/* Ends a step that had begun as far as the window goes; takes the message. */
static void
end_step(struct runner *r, uint32_t step, int32_t state, char *message)
{
    if (r->room)
        imig__room_end(r->room, r->run->steps[step].vm,
                       state == IMIG_STEP_DONE ? r->run->steps[step].to
                                               : r->run->steps[step].from);
    close_report(r, step, state, message);
    imig__window_end(r->window, step, state == IMIG_STEP_DONE);
    close_lost(r);
}

/* What nobody does twice: the answer would be the same. */
static gboolean
may_try_again(const struct runner *r, const struct running *job, int code)
{
    return r->run->steps[job->step].attempts <= r->options.retries && !job->asked_to_stop
           && code != IMIG_ERR_ARGUMENT && code != IMIG_ERR_ABI && code != IMIG_ERR_NOT_FOUND
           && code != IMIG_ERR_UNSUPPORTED && code != IMIG_ERR_CANCELLED;
}

static const char *
state_in_words(int32_t state)
{
    return state == IMIG_VM_PAUSED ? "paused" : state == IMIG_VM_STOPPED ? "stopped" : "running";
}

/*
 * An attempt did not end well: the hypervisors are asked where the VM is, and what they say counts.
 * TRUE: the step has ended.
 */
static gboolean
settle(struct runner *r, struct running *job, int code, const char *message)
{
    const imig_step_report *report = &r->run->steps[job->step];
    imig_location at = { .size = sizeof at };
    imig_error *error = NULL;
    gboolean runs;

    if (imig_connection_locate(r->connection, report->vm, &at, &error) != IMIG_OK) {
        end_step(r, job->step, IMIG_STEP_FAILED,
                 g_strdup_printf("%s; where the VM is cannot be asked: %s", message,
                                 imig_error_message(error)));
        imig_error_free(error);
        return TRUE;
    }
    runs = at.state == IMIG_VM_RUNNING || at.state == IMIG_VM_MOVING;
    if (runs && g_str_equal(at.host, report->to)) {
        end_step(r, job->step, IMIG_STEP_DONE, NULL);
        return TRUE;
    }
    if (!runs || !g_str_equal(at.host, report->from)) {
        end_step(r, job->step, IMIG_STEP_FAILED,
                 at.state == IMIG_VM_ABSENT
                     ? g_strdup_printf("%s; the VM is on no host", message)
                     : g_strdup_printf("%s; the VM is %s on %s", message,
                                       state_in_words(at.state), at.host));
        return TRUE;
    }
    if (may_try_again(r, job, code)) {
        if (r->room)
            imig__room_end(r->room, report->vm, report->from);
        job->begun = 0;
        return FALSE;
    }
    end_step(r, job->step, job->asked_to_stop ? IMIG_STEP_CANCELLED : IMIG_STEP_FAILED,
             g_strdup(message));
    return TRUE;
}

/* TRUE: the step has ended already. */
static gboolean
begin(struct runner *r, struct running *job)
{
    imig_step_report *report = &r->run->steps[job->step];
    imig_migration migration = IMIG_MIGRATION_INIT;
    imig_error *error = NULL;
    gboolean ended;
    int code;

    migration.flags = r->options.flags;
    migration.vm = report->vm;
    migration.from = report->from;
    migration.to = report->to;
    migration.bandwidth_bytes_per_s = r->options.bandwidth_bytes_per_s;
    migration.downtime_limit_s = r->options.downtime_limit_s;
    migration.on_stall = r->options.on_stall;
    migration.max_downtime_s = r->options.max_downtime_s;
    migration.timeout_s = r->options.set & IMIG_EXECUTE_HAS_TIMEOUT
                              ? r->options.timeout_s : fmax(60, 4 * report->predicted_s);
    report->attempts++;
    report->present = 0;
    report->measured_bytes = report->remaining_bytes = 0;
    report->start_s = imig_connection_clock(r->connection) - r->began_s;
    code = imig_connection_migrate(r->connection, &migration, &job->job, &error);
    if (code != IMIG_OK) {
        ended = settle(r, job, code, imig_error_message(error));
        imig_error_free(error);
        return ended;
    }
    if (r->room)
        imig__room_begin(r->room, report->vm, report->to);
    job->begun = 1;
    job->state = IMIG_JOB_RUNNING;
    report->state = IMIG_STEP_RUNNING;
    tell(r, job->step);
    return FALSE;
}

static void
note_progress(imig_step_report *report, const imig_job *job)
{
    report->present = job->present;
    report->measured_downtime_s = job->downtime_s;
    report->measured_bytes = job->transferred_bytes;
    report->remaining_bytes = job->remaining_bytes;
    report->rounds = job->rounds;
}

/* A job has ended: TRUE where its step has, too. */
static gboolean
finish(struct runner *r, struct running *job)
{
    imig_step_report *report = &r->run->steps[job->step];
    imig_job result = { .size = sizeof result };
    imig_error *error = NULL;
    gboolean ended;
    int code;

    code = imig_connection_result(r->connection, job->job, &result, &error);
    if (code != IMIG_OK) {
        ended = settle(r, job, code, imig_error_message(error));
        imig_error_free(error);
        return ended;
    }
    note_progress(report, &result);
    if (result.state == IMIG_JOB_DONE) {
        report->measured_s = result.ended_s - result.started_s;
        report->remaining_bytes = 0;
        end_step(r, job->step, IMIG_STEP_DONE, NULL);
        return TRUE;
    }
    if (result.state == IMIG_JOB_CANCELLED)
        return settle(r, job, IMIG_ERR_CANCELLED,
                      result.message[0] ? result.message : "the migration was cancelled");
    return settle(r, job, result.error_code,
                  result.message[0] ? result.message : "the migration failed");
}

/* TRUE: the step has ended. */
static gboolean
look(struct runner *r, struct running *job)
{
    imig_step_report *report = &r->run->steps[job->step];
    imig_job now = { .size = sizeof now };
    imig_error *error = NULL;
    gboolean ended;
    int code;

    if (!job->begun)
        return FALSE;
    code = imig_connection_poll(r->connection, job->job, &now, &error);
    if (code != IMIG_OK) {
        ended = settle(r, job, code, imig_error_message(error));
        imig_error_free(error);
        return ended;
    }
    job->state = now.state;
    if (now.state != IMIG_JOB_RUNNING && now.state != IMIG_JOB_FINISHING)
        return finish(r, job);
    if (report->measured_bytes != now.transferred_bytes) {
        note_progress(report, &now);
        tell(r, job->step);
    }
    return FALSE;
}

/* Runs fn on all that is under way and takes out what has ended; the order stays. */
static void
for_each_running(struct runner *r, gboolean (*fn)(struct runner *, struct running *))
{
    guint kept = 0;

    for (guint i = 0; i < r->running->len; i++) {
        struct running job = g_array_index(r->running, struct running, i);

        if (!fn(r, &job))
            g_array_index(r->running, struct running, kept++) = job;
    }
    g_array_set_size(r->running, kept);
}

static gboolean
try_again(struct runner *r, struct running *job)
{
    return job->begun ? FALSE : begin(r, job);
}

/* Asks pre-copy to stop; a hand-over goes on. */
static gboolean
stop(struct runner *r, struct running *job)
{
    if (!job->begun) {
        end_step(r, job->step, IMIG_STEP_CANCELLED, NULL);
        return TRUE;
    }
    if (!job->asked_to_stop && job->state == IMIG_JOB_RUNNING) {
        /* What it answers does not matter: the next look says what became of the job. */
        imig_connection_cancel(r->connection, job->job, NULL);
        job->asked_to_stop = 1;
    }
    return FALSE;
}

static void
close_waiting(struct runner *r, int32_t state, const char *message)
{
    uint32_t step;

    while ((step = imig__window_take_waiting(r->window)) != IMIG_NO_INDEX)
        close_report(r, step, state, g_strdup(message));
}

/* From now on it counts where every VM is. */
static int
look_around(struct runner *r, imig_error **error)
{
    int code = imig__room_new(r->connection, &r->room, error);

    for (guint i = 0; code == IMIG_OK && i < r->running->len; i++) {
        const struct running *job = &g_array_index(r->running, struct running, i);

        imig__room_begin(r->room, r->run->steps[job->step].vm, r->run->steps[job->step].to);
    }
    return code;
}

/*
 * The plan counted on a VM leaving the destination that is still there.  Is the step possible all
 * the same?  TRUE: it is not, and has ended.
 */
static gboolean
no_longer_fits(struct runner *r, uint32_t step)
{
    const imig_step_report *report = &r->run->steps[step];
    uint32_t doubt = imig__window_doubt(r->window, step);
    imig_error *error = NULL;
    int code = IMIG_OK;

    if (doubt == IMIG_NO_INDEX)
        return FALSE;
    if (!r->room)
        code = look_around(r, &error);
    if (code == IMIG_OK)
        code = imig__room_check(r->room, report->vm, report->to, &error);
    if (code == IMIG_OK)
        code = imig_connection_check(r->connection, report->vm, report->to, &error);
    if (code == IMIG_OK)
        return FALSE;
    end_step(r, step, IMIG_STEP_SKIPPED,
             g_strdup_printf("%s is still on %s: %s", r->run->steps[doubt].vm, report->to,
                             imig_error_message(error)));
    imig_error_free(error);
    return TRUE;
}

static void
begin_steps(struct runner *r)
{
    uint32_t step;

    for_each_running(r, try_again);
    while ((step = imig__window_next(r->window)) != IMIG_NO_INDEX) {
        struct running job = { .step = step };

        if (!no_longer_fits(r, step) && !begin(r, &job))
            g_array_append_val(r->running, job);
    }
}

/* The hypervisors do not answer any more: what runs is asked for once more, then given up. */
static gboolean
give_up(struct runner *r, struct running *job)
{
    if (look(r, job))
        return TRUE;
    end_step(r, job->step, IMIG_STEP_FAILED,
             g_strdup_printf("lost sight of it: %s", r->broken));
    return TRUE;
}

/*
 * Until something happens, or the next look is due.  Nobody says to which job it happened, so all
 * are looked at; at every end of one of thousands that would take their square.  So looks are a
 * millisecond apart for each job that runs, which is nothing beside the time they take.
 */
static int
wait_for_news(const struct runner *r, imig_error **error)
{
    double now_s = imig_connection_clock(r->connection);
    double apart_s = MIN(r->options.poll_s, 1e-3 * r->running->len);
    int code = imig_connection_wait(r->connection, now_s + r->options.poll_s, error);

    while (code == IMIG_OK && imig_connection_clock(r->connection) < now_s + apart_s)
        code = imig_connection_wait(r->connection, now_s + apart_s, error);
    return code;
}

static void
carry_out(struct runner *r)
{
    imig_error *error = NULL;
    int level;

    while ((level = imig_cancel_level(r->options.cancel)) < 2) {
        if (level > 0) {
            close_waiting(r, IMIG_STEP_CANCELLED, "");
            for_each_running(r, stop);
        } else {
            begin_steps(r);
        }
        if (r->running->len == 0)
            break;
        if (wait_for_news(r, &error) != IMIG_OK) {
            r->broken = imig_error_message(error);
            close_waiting(r, IMIG_STEP_SKIPPED, r->broken);
            for_each_running(r, give_up);
            break;
        }
        for_each_running(r, look);
    }
    close_waiting(r, IMIG_STEP_CANCELLED, "");
    imig_error_free(error);
}

static gboolean
can_migrate(const imig_connection *connection)
{
    for (size_t i = 0; i < connection->member_count; i++)
        if (connection->members[i].ops->migrate)
            return TRUE;
    return FALSE;
}

/* Every VM must be where its first step takes it from, and run. */
static int
check_places(imig_connection *connection, const imig_run *run, const imig__window_step *steps,
             imig_error **error)
{
    GHashTable *seen = g_hash_table_new(NULL, NULL);
    int code = IMIG_OK;

    for (size_t i = 0; i < run->n && code == IMIG_OK; i++) {
        const imig_step_report *step = &run->steps[i];
        imig_location at = { .size = sizeof at };

        if (!g_hash_table_add(seen, GUINT_TO_POINTER(steps[i].vm)))
            continue;
        code = imig_connection_locate(connection, step->vm, &at, error);
        if (code != IMIG_OK)
            imig__error_prefix(error, "steps[%zu]", i);
        else if (at.state == IMIG_VM_ABSENT)
            code = imig__fail(error, IMIG_ERR_STALE, "steps[%zu]: %s is on no host, not on %s", i,
                              step->vm, step->from);
        else if (!g_str_equal(at.host, step->from))
            code = imig__fail(error, IMIG_ERR_STALE, "steps[%zu]: %s is on %s, not on %s", i,
                              step->vm, at.host, step->from);
        else if (at.state != IMIG_VM_RUNNING)
            code = imig__fail(error, IMIG_ERR_STALE, "steps[%zu]: %s is %s", i, step->vm,
                              at.state == IMIG_VM_MOVING ? "being migrated already"
                                                         : state_in_words(at.state));
    }
    g_hash_table_destroy(seen);
    return code;
}

int
imig_execute(imig_connection *connection, const imig_plan *plan,
             const imig_execute_options *options, imig_run **run, imig_error **error)
{
    struct runner r = { .connection = connection };
    imig__window_step *steps;
    int code;

    if (!connection || !plan || !run)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "no connection, plan or place for the run");
    code = imig__run_read_options(&r.options, options, error);
    if (code != IMIG_OK)
        return code;
    if (!can_migrate(connection))
        return imig__fail(error, IMIG_ERR_UNSUPPORTED, "none of the backends can migrate");
    r.run = imig__run_new(plan, &steps);
    code = check_places(connection, r.run, steps, error);
    if (code == IMIG_OK) {
        r.window = imig__window_new(steps, r.run->n, r.options.concurrency,
                                    r.options.max_parallel);
        r.running = g_array_new(FALSE, FALSE, sizeof(struct running));
        r.began_s = imig_connection_clock(connection);
        carry_out(&r);
        r.run->duration_s = imig_connection_clock(connection) - r.began_s;
        imig__room_free(r.room);
        g_array_free(r.running, TRUE);
        imig__window_free(r.window);
    }
    g_free(steps);
    if (code == IMIG_OK)
        *run = r.run;
    else
        imig_run_free(r.run);
    return code;
}
