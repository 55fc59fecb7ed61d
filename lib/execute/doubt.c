/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "execute/runner-priv.h"

#include <math.h>

/*
 * A hypervisor's daemon that was killed cannot be asked at once, and one that has come back first
 * cleans up: an incoming copy goes away, a source goes on.  So what does not look like an end is
 * looked at again before it counts, while the other steps go on.
 */
static const double CLOCK_SLACK_S = 1e-6;
static const double FIRST_PAUSE_S = 0.5, LAST_PAUSE_S = 8; /* doubled from one to the next */
static const double LOOK_APART_S = 1;                      /* at what will clear up by itself */

/* How long it must look like that; NaN: as long as there may be doubt. */
static const double patience_s[IMIG__SIGHTS] = {
    [IMIG__SIGHT_COPY] = 5,
    [IMIG__SIGHT_STILL] = 5,
    [IMIG__SIGHT_GONE] = 1,
    [IMIG__SIGHT_TWICE] = 1, /* the hand-over may fall between two questions */
    [IMIG__SIGHT_MOVING] = NAN,
    [IMIG__SIGHT_CUT_OFF] = NAN,
    [IMIG__SIGHT_UNKNOWN] = NAN,
};

static double
now_s(const imig__runner *r)
{
    return imig_connection_clock(r->connection);
}

/* What nobody does twice: the answer would be the same. */
static gboolean
may_try_again(const imig__runner *r, const imig__running *job)
{
    int code = job->code;

    return r->run->steps[job->step].attempts <= r->options.retries && !job->asked_to_stop
           && code != IMIG_ERR_ARGUMENT && code != IMIG_ERR_ABI && code != IMIG_ERR_NOT_FOUND
           && code != IMIG_ERR_UNSUPPORTED && code != IMIG_ERR_CANCELLED;
}

static imig__sight
judge(const imig__place *place, const imig_step_report *report)
{
    const imig_location *at = &place->at;

    if (imig__place_runs(at) && imig__place_runs(&place->other))
        return at->state == IMIG_VM_RUNNING ? IMIG__SIGHT_TWICE : IMIG__SIGHT_MOVING;
    if (imig__place_runs(at) && g_str_equal(at->host, report->to))
        return IMIG__SIGHT_ARRIVED;
    if (imig__place_runs(at) && g_str_equal(at->host, report->from))
        return at->state == IMIG_VM_MOVING ? IMIG__SIGHT_MOVING
               : place->other.state != IMIG_VM_ABSENT ? IMIG__SIGHT_COPY
               : place->to_silent ? IMIG__SIGHT_CUT_OFF : IMIG__SIGHT_HOME;
    if (imig__place_runs(at))
        return IMIG__SIGHT_ELSEWHERE;
    if (place->silent)
        return IMIG__SIGHT_UNKNOWN;
    return at->state == IMIG_VM_ABSENT ? IMIG__SIGHT_GONE : IMIG__SIGHT_STILL;
}

/* Behind what the hypervisor said, if it said something. */
static char *G_GNUC_PRINTF(2, 3)
add_place(const imig_step_report *report, const char *format, ...)
{
    g_autofree char *where = NULL;
    va_list args;

    va_start(args, format);
    where = g_strdup_vprintf(format, args);
    va_end(args);
    return report->message[0] ? g_strdup_printf("%s; %s", report->message, where)
                              : g_steal_pointer(&where);
}

static char *
in_words(const imig__running *job, const imig__place *place, const imig_step_report *report)
{
    const imig_location *at = &place->at, *other = &place->other;

    switch (job->sight) {
    case IMIG__SIGHT_COPY:
        return add_place(report, "the VM runs on %s, and is %s on %s as well", at->host,
                         imig__place_state(other->state), other->host);
    case IMIG__SIGHT_CUT_OFF:
        return add_place(report, "the VM runs on %s; %s cannot be asked: %s", at->host, report->to,
                         imig_error_message(place->silent));
    case IMIG__SIGHT_MOVING:
        return add_place(report, "the VM is on %s, %s", at->host, imig__place_state(at->state));
    case IMIG__SIGHT_STILL:
        return other->state == IMIG_VM_ABSENT
                   ? add_place(report, "the VM is %s on %s", imig__place_state(at->state), at->host)
                   : add_place(report, "the VM is %s on %s and %s on %s",
                               imig__place_state(at->state), at->host,
                               imig__place_state(other->state), other->host);
    case IMIG__SIGHT_GONE:
        return add_place(report, "the VM is on no host");
    case IMIG__SIGHT_TWICE:
        return add_place(report, "THE VM RUNS ON %s AND ON %s: stop one of them at once, both "
                         "write to its disks", at->host, other->host);
    case IMIG__SIGHT_UNKNOWN:
        return add_place(report, "where the VM is cannot be asked: %s",
                         imig_error_message(place->silent));
    default:
        return add_place(report, "the VM is running on %s", at->host);
    }
}

/* Nothing was done to a VM that was not migrated: its step is skipped. */
static int32_t
state_of(const imig__runner *r, const imig__running *job)
{
    gboolean refused = !job->migrated && job->code == IMIG_ERR_BUSY;

    if (job->sight == IMIG__SIGHT_TWICE)
        return IMIG_STEP_FAILED;
    if (job->asked_to_stop && (job->sight == IMIG__SIGHT_HOME || job->sight == IMIG__SIGHT_COPY
                               || job->sight == IMIG__SIGHT_CUT_OFF))
        return IMIG_STEP_CANCELLED;
    return refused || r->run->steps[job->step].attempts == 0 ? IMIG_STEP_SKIPPED
                                                             : IMIG_STEP_FAILED;
}

/* What is seen counts now. */
static gboolean
conclude(imig__runner *r, imig__running *job, const imig__place *place)
{
    imig_step_report *report = &r->run->steps[job->step];
    gboolean home = job->sight == IMIG__SIGHT_HOME || job->sight == IMIG__SIGHT_COPY;

    if (job->sight == IMIG__SIGHT_ARRIVED) {
        report->message = "";
        report->backend_code = 0;
        /* It arrived, but nobody said what it took. */
        report->present = 0;
        imig__runner_end_step(r, job->step, IMIG_STEP_DONE, NULL);
        return TRUE;
    }
    if (home && may_try_again(r, job)) {
        if (r->room)
            imig__room_end(r->room, report->vm, report->from);
        job->phase = IMIG__AGAIN;
        job->ask_s = now_s(r);
        return FALSE;
    }
    imig__runner_end_step(r, job->step, state_of(r, job), in_words(job, place, report));
    return TRUE;
}

/* Until when it may look like that before it counts. */
static double
deadline_s(const imig__runner *r, const imig__running *job)
{
    double limit_s = job->since_s + r->options.doubt_s;
    gboolean waits = isnan(patience_s[job->sight]);

    /* A migration that goes on without us has the time that it was given. */
    if (job->sight == IMIG__SIGHT_MOVING && job->migrated)
        return limit_s + job->timeout_s;
    if (job->sight == IMIG__SIGHT_CUT_OFF && !may_try_again(r, job))
        return job->sight_since_s;
    return waits ? limit_s : MIN(limit_s, job->sight_since_s + patience_s[job->sight]);
}

static void
doubt(const imig__runner *r, imig__running *job)
{
    if (job->doubted)
        return;
    job->doubted = TRUE;
    job->since_s = now_s(r);
    job->pause_s = FIRST_PAUSE_S;
    job->sight = IMIG__SIGHT_NONE;
}

static double
take_pause(imig__running *job)
{
    double pause_s = job->pause_s;

    job->pause_s = MIN(2 * pause_s, LAST_PAUSE_S);
    return pause_s;
}

static gboolean
weigh(imig__runner *r, imig__running *job, const imig__place *place)
{
    imig_step_report *report = &r->run->steps[job->step];
    imig__sight sight = judge(place, report);
    double now = now_s(r), until_s;

    if (sight != job->sight)
        job->sight_since_s = now;
    job->sight = sight;
    until_s = deadline_s(r, job);
    if (!(now < until_s - CLOCK_SLACK_S))
        return conclude(r, job, place);
    job->ask_s = now + (isnan(patience_s[sight]) ? take_pause(job) : LOOK_APART_S);
    job->ask_s = MIN(job->ask_s, until_s);
    job->phase = IMIG__IN_DOUBT;
    if (report->state != IMIG_STEP_IN_DOUBT) {
        report->state = IMIG_STEP_IN_DOUBT;
        imig__runner_tell(r, job->step);
    }
    return FALSE;
}

static gboolean
ask(imig__runner *r, imig__running *job)
{
    const imig_step_report *report = &r->run->steps[job->step];
    imig__place place;
    gboolean ended;

    imig__place_ask(r->connection, report->vm, report->to, &place);
    ended = weigh(r, job, &place);
    imig__place_clear(&place);
    return ended;
}

gboolean
imig__runner_fail(imig__runner *r, imig__running *job, int code, int64_t backend_code,
                  const char *message)
{
    imig__run_set_message(r->run, job->step, message);
    r->run->steps[job->step].backend_code = backend_code;
    job->code = code;
    doubt(r, job);
    return ask(r, job);
}

gboolean
imig__runner_ask(imig__runner *r, imig__running *job)
{
    return now_s(r) < job->ask_s - CLOCK_SLACK_S ? FALSE : ask(r, job);
}

gboolean
imig__runner_may_begin(imig__runner *r, imig__running *job, gboolean *may_begin)
{
    const imig_step_report *report = &r->run->steps[job->step];
    imig__place place;
    imig__sight sight;
    gboolean ended = FALSE;

    *may_begin = imig__place_is_home(r->connection, report->vm, report->from);
    if (*may_begin)
        return FALSE;
    imig__place_ask(r->connection, report->vm, report->to, &place);
    sight = judge(&place, report);
    *may_begin = sight == IMIG__SIGHT_HOME || sight == IMIG__SIGHT_COPY
                 || sight == IMIG__SIGHT_CUT_OFF;
    if (!*may_begin) {
        doubt(r, job);
        ended = weigh(r, job, &place);
    }
    imig__place_clear(&place);
    return ended;
}

gboolean
imig__runner_put_off(imig__runner *r, imig__running *job, const char *message)
{
    double now = now_s(r);

    doubt(r, job);
    if (!(now < job->since_s + r->options.doubt_s)) {
        imig__runner_end_step(r, job->step, IMIG_STEP_SKIPPED, g_strdup(message));
        return TRUE;
    }
    job->phase = IMIG__AGAIN;
    job->ask_s = now + take_pause(job);
    return FALSE;
}
