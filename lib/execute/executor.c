/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "execute/runner-priv.h"

#include "backend/connect-priv.h"

#include <math.h>

void
imig__runner_tell(const imig__runner *r, uint32_t step)
{
    if (r->options.event)
        r->options.event(&r->run->steps[step], imig_connection_clock(r->connection) - r->began_s,
                         r->options.user_data);
}

/* Takes the message. */
static void
close_report(const imig__runner *r, uint32_t step, int32_t state, char *message)
{
    r->run->steps[step].state = state;
    if (message)
        imig__run_set_message(r->run, step, message);
    g_free(message);
    imig__runner_tell(r, step);
}

static void
close_lost(imig__runner *r)
{
    uint32_t step, because;

    while ((step = imig__window_take_lost(r->window, &because)) != IMIG_NO_INDEX) {
        const imig_step_report *cause = &r->run->steps[because];

        close_report(r, step, IMIG_STEP_SKIPPED,
                     g_strdup_printf("%s did not reach %s, and this step needs that", cause->vm,
                                     cause->to));
    }
}

void
imig__runner_end_step(imig__runner *r, uint32_t step, int32_t state, char *message)
{
    if (r->room)
        imig__room_end(r->room, r->run->steps[step].vm,
                       state == IMIG_STEP_DONE ? r->run->steps[step].to
                                               : r->run->steps[step].from);
    close_report(r, step, state, message);
    imig__window_end(r->window, step, state == IMIG_STEP_DONE);
    close_lost(r);
}

/* From now on it counts where every VM is. */
static int
look_around(imig__runner *r, imig_error **error)
{
    int code = imig__room_new(r->connection, &r->room, error);

    for (guint i = 0; code == IMIG_OK && i < r->running->len; i++) {
        const imig__running *job = &g_array_index(r->running, imig__running, i);

        if (job->phase != IMIG__AGAIN)
            imig__room_begin(r->room, r->run->steps[job->step].vm, r->run->steps[job->step].to);
    }
    return code;
}

/*
 * The plan counted on a VM leaving the destination that is still there.  Is the step possible all
 * the same?  *fits FALSE: not now; TRUE: it never will, and the step has ended.
 */
static gboolean
no_longer_fits(imig__runner *r, imig__running *job, gboolean *fits)
{
    const imig_step_report *report = &r->run->steps[job->step];
    uint32_t stays = imig__window_doubt(r->window, job->step);
    imig_error *error = NULL;
    gboolean ended = FALSE;
    char *message;
    int code = IMIG_OK;

    *fits = TRUE;
    if (stays == IMIG_NO_INDEX)
        return FALSE;
    if (!r->room)
        code = look_around(r, &error);
    if (code == IMIG_OK)
        code = imig__room_check(r->room, report->vm, report->to, &error);
    if (code == IMIG_OK)
        code = imig_connection_check(r->connection, report->vm, report->to, &error);
    if (code == IMIG_OK)
        return FALSE;
    *fits = FALSE;
    message = g_strdup_printf("%s is still on %s: %s", r->run->steps[stays].vm, report->to,
                              imig_error_message(error));
    if (imig__is_silence(code)) {
        ended = imig__runner_put_off(r, job, message);
        g_free(message);
    } else {
        imig__runner_end_step(r, job->step, IMIG_STEP_SKIPPED, message);
        ended = TRUE;
    }
    imig_error_free(error);
    return ended;
}

/* What imig__runner_fail() makes of an error; frees it. */
static gboolean
fail_error(imig__runner *r, imig__running *job, int code, imig_error *error)
{
    gboolean ended = imig__runner_fail(r, job, code, imig_error_backend_code(error),
                                       imig_error_message(error));

    imig_error_free(error);
    return ended;
}

/* Of a plan that was written by hand. */
#define UNPREDICTED_TIMEOUT_S 3600

static imig_migration
migration_of(const imig__runner *r, const imig_step_report *report)
{
    const imig_execute_options *o = &r->options;
    imig_migration m = IMIG_MIGRATION_INIT;

    m.flags = o->flags;
    m.vm = report->vm;
    m.from = report->from;
    m.to = report->to;
    m.bandwidth_bytes_per_s = o->bandwidth_bytes_per_s;
    m.downtime_limit_s = o->downtime_limit_s;
    m.on_stall = o->on_stall;
    m.max_downtime_s = o->max_downtime_s;
    m.timeout_s = o->set & IMIG_EXECUTE_HAS_TIMEOUT ? o->timeout_s
                  : report->predicted_s > 0 ? fmax(60, 4 * report->predicted_s)
                                            : UNPREDICTED_TIMEOUT_S;
    return m;
}

/* TRUE: the step has ended already. */
static gboolean
begin(imig__runner *r, imig__running *job)
{
    imig_step_report *report = &r->run->steps[job->step];
    imig_migration migration = migration_of(r, report);
    imig_error *error = NULL;
    gboolean possible, ended;
    int code;

    ended = no_longer_fits(r, job, &possible);
    if (possible)
        ended = imig__runner_may_begin(r, job, &possible);
    if (!possible)
        return ended;
    job->timeout_s = migration.timeout_s;
    report->attempts++;
    report->present = 0;
    report->measured_bytes = report->remaining_bytes = 0;
    report->start_s = imig_connection_clock(r->connection) - r->began_s;
    code = imig_connection_migrate(r->connection, &migration, &job->job, &error);
    if (code != IMIG_OK)
        return fail_error(r, job, code, error);
    if (r->room)
        imig__room_begin(r->room, report->vm, report->to);
    job->phase = IMIG__UNDER_WAY;
    job->state = IMIG_JOB_RUNNING;
    job->migrated = TRUE;
    job->doubted = FALSE;
    report->message = "";
    report->backend_code = 0;
    report->state = IMIG_STEP_RUNNING;
    imig__runner_tell(r, job->step);
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
finish(imig__runner *r, imig__running *job)
{
    imig_step_report *report = &r->run->steps[job->step];
    imig_job result = { .size = sizeof result };
    imig_error *error = NULL;
    gboolean cancelled;
    int code;

    code = imig_connection_result(r->connection, job->job, &result, &error);
    if (code != IMIG_OK)
        return fail_error(r, job, code, error);
    note_progress(report, &result);
    if (result.state == IMIG_JOB_DONE) {
        report->measured_s = result.ended_s - result.started_s;
        report->remaining_bytes = 0;
        imig__runner_end_step(r, job->step, IMIG_STEP_DONE, NULL);
        return TRUE;
    }
    cancelled = result.state == IMIG_JOB_CANCELLED;
    return imig__runner_fail(r, job, cancelled ? IMIG_ERR_CANCELLED : result.error_code,
                             result.backend_code,
                             result.message[0] ? result.message
                             : cancelled ? "the migration was cancelled" : "the migration failed");
}

/* TRUE: the step has ended. */
static gboolean
look(imig__runner *r, imig__running *job)
{
    imig_step_report *report = &r->run->steps[job->step];
    imig_job now = { .size = sizeof now };
    imig_error *error = NULL;
    int code;

    if (job->phase != IMIG__UNDER_WAY)
        return job->phase == IMIG__IN_DOUBT ? imig__runner_ask(r, job) : FALSE;
    code = imig_connection_poll(r->connection, job->job, &now, &error);
    if (code != IMIG_OK)
        return fail_error(r, job, code, error);
    job->state = now.state;
    if (now.state != IMIG_JOB_RUNNING && now.state != IMIG_JOB_FINISHING)
        return finish(r, job);
    if (report->measured_bytes != now.transferred_bytes) {
        note_progress(report, &now);
        imig__runner_tell(r, job->step);
    }
    return FALSE;
}

/* Runs fn on all that is under way and takes out what has ended; the order stays. */
static void
for_each_running(imig__runner *r, gboolean (*fn)(imig__runner *, imig__running *))
{
    guint kept = 0;

    for (guint i = 0; i < r->running->len; i++) {
        imig__running job = g_array_index(r->running, imig__running, i);

        if (!fn(r, &job))
            g_array_index(r->running, imig__running, kept++) = job;
    }
    g_array_set_size(r->running, kept);
}

static gboolean
try_again(imig__runner *r, imig__running *job)
{
    return job->phase == IMIG__AGAIN && imig_connection_clock(r->connection) >= job->ask_s
               ? begin(r, job) : FALSE;
}

/* Asks pre-copy to stop; a hand-over goes on, and a doubt is cleared up first. */
static gboolean
stop(imig__runner *r, imig__running *job)
{
    if (job->phase == IMIG__AGAIN) {
        imig__runner_end_step(r, job->step, IMIG_STEP_CANCELLED, NULL);
        return TRUE;
    }
    if (job->asked_to_stop)
        return FALSE;
    if (job->phase == IMIG__IN_DOUBT) {
        job->asked_to_stop = TRUE;
        job->ask_s = imig_connection_clock(r->connection);
    } else if (job->state == IMIG_JOB_RUNNING) {
        /* What it answers does not matter: the next look says what became of the job. */
        imig_connection_cancel(r->connection, job->job, NULL);
        job->asked_to_stop = TRUE;
    }
    return FALSE;
}

static void
close_waiting(imig__runner *r, int32_t state, const char *message)
{
    uint32_t step;

    while ((step = imig__window_take_waiting(r->window)) != IMIG_NO_INDEX)
        close_report(r, step, state, g_strdup(message));
}

static void
begin_steps(imig__runner *r)
{
    uint32_t step;

    for_each_running(r, try_again);
    while ((step = imig__window_next(r->window)) != IMIG_NO_INDEX) {
        imig__running job = { .step = step, .phase = IMIG__AGAIN };

        if (!begin(r, &job))
            g_array_append_val(r->running, job);
    }
}

/* The hypervisors do not answer any more: what runs is asked for once more, then given up. */
static gboolean
give_up(imig__runner *r, imig__running *job)
{
    if (look(r, job))
        return TRUE;
    imig__runner_end_step(r, job->step, IMIG_STEP_FAILED,
             g_strdup_printf("lost sight of it: %s", r->broken));
    return TRUE;
}

/*
 * Until something happens, or the next look is due.  Nobody says to which job it happened, so all
 * are looked at; at every end of one of thousands that would take their square.  So looks are a
 * millisecond apart for each job that runs, which is nothing beside the time they take.
 */
static int
wait_for_news(const imig__runner *r, imig_error **error)
{
    double now_s = imig_connection_clock(r->connection);
    double apart_s = MIN(r->options.poll_s, 1e-3 * r->running->len);
    int code = imig_connection_wait(r->connection, now_s + r->options.poll_s, error);

    return code == IMIG_OK
               ? imig__connection_wait_until(r->connection, now_s + apart_s, NULL, error) : code;
}

/* What is left when nobody waits any more. */
static gboolean
leave(imig__runner *r, imig__running *job)
{
    const imig_step_report *report = &r->run->steps[job->step];
    g_autofree char *message = NULL;

    if (job->phase == IMIG__AGAIN)
        return stop(r, job);
    if (job->phase != IMIG__IN_DOUBT)
        return FALSE;
    message = g_strdup_printf("%s%swhere the VM is was not found out", report->message,
                              report->message[0] ? "; " : "");
    imig__run_set_message(r->run, job->step, message);
    return FALSE;
}

static void
carry_out(imig__runner *r)
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
    for_each_running(r, leave);
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

        if (!g_hash_table_add(seen, GUINT_TO_POINTER(steps[i].vm))
            || imig__place_is_home(connection, step->vm, step->from))
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
                              imig__place_state(at.state));
    }
    g_hash_table_destroy(seen);
    return code;
}

int
imig_execute(imig_connection *connection, const imig_plan *plan,
             const imig_execute_options *options, imig_run **run, imig_error **error)
{
    imig__runner r = { .connection = connection };
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
        r.running = g_array_new(FALSE, FALSE, sizeof(imig__running));
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
