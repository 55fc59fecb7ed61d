/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/agent-priv.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* How often a wish to stop is looked for, and how long a clock is watched before it is virtual. */
enum { LOOK_MS = 500, TICKS = 20, TICK_US = 1000 };

typedef struct server {
    imig_context *context;
    const imig_backend_ops *ops;
    void *state;
    int fd_in, fd_out;
    const imig_cancel *cancel;
    GString *input;  /* read, but not answered yet */
    GString *output;
    double clock_s;  /* the last that was a number */
} server;

/* ---- lines ---- */

static int
write_output(server *s, imig_error **error)
{
    size_t written = 0;

    while (written < s->output->len) {
        ssize_t n = write(s->fd_out, s->output->str + written, s->output->len - written);

        if (n < 0 && errno == EAGAIN)
            poll(&(struct pollfd) { .fd = s->fd_out, .events = POLLOUT }, 1, -1);
        else if (n < 0 && errno != EINTR)
            return imig__fail(error, IMIG_ERR_IO, "writing a reply: %s", g_strerror(errno));
        written += n > 0 ? (size_t) n : 0;
    }
    g_string_free(s->output, TRUE); /* a sample's room is not kept */
    s->output = g_string_new(NULL);
    return IMIG_OK;
}

/* Waits for more; *ended where there will be none. */
static int
read_more(server *s, gboolean *ended, imig_error **error)
{
    struct pollfd p = { .fd = s->fd_in, .events = POLLIN };
    char piece[4096];
    ssize_t n;

    for (;;) {
        int ready = poll(&p, 1, s->cancel ? LOOK_MS : -1);

        if (imig_cancel_level(s->cancel) > 0)
            return imig__fail(error, IMIG_ERR_CANCELLED, "the agent was asked to stop");
        if (ready > 0)
            break;
        if (ready < 0 && errno != EINTR)
            return imig__fail(error, IMIG_ERR_IO, "waiting for a request: %s", g_strerror(errno));
    }
    n = read(s->fd_in, piece, sizeof piece);
    if (n < 0 && errno != EINTR && errno != EAGAIN)
        return imig__fail(error, IMIG_ERR_IO, "reading a request: %s", g_strerror(errno));
    if (n > 0)
        g_string_append_len(s->input, piece, n);
    *ended = n == 0;
    return IMIG_OK;
}

/* *length: of the line that s->input begins with; 0 where the input has ended. */
static int
next_line(server *s, size_t *length, imig_error **error)
{
    gboolean ended = FALSE;
    const char *end;

    while (!(end = memchr(s->input->str, '\n', s->input->len))) {
        int code = s->input->len > IMIG__AGENT_LINE_MAX
                       ? imig__fail(error, IMIG_ERR_INVALID, "a request is longer than %zu bytes",
                                    IMIG__AGENT_LINE_MAX)
                       : read_more(s, &ended, error);

        if (code != IMIG_OK)
            return code;
        if (ended)
            break;
    }
    *length = end ? (size_t) (end + 1 - s->input->str) : 0;
    return IMIG_OK;
}

/* ---- operations ---- */

static int
unsupported(const server *s, const char *what, imig_error **error)
{
    return imig__fail(error, IMIG_ERR_UNSUPPORTED, "backend %s cannot %s", s->ops->name, what);
}

static int
not_a_number(imig_error **error)
{
    return imig__fail(error, IMIG_ERR_BACKEND, "the backend gave a value out of range");
}

static int
locate(const server *s, const char *vm, imig_location *into, imig_error **error)
{
    int code;

    *into = (imig_location) { .size = sizeof *into };
    code = s->ops->locate(s->state, vm, into, error);
    into->host[sizeof into->host - 1] = '\0';
    if (code == IMIG_OK && (into->state < IMIG_VM_ABSENT || into->state > IMIG_VM_STOPPED))
        return not_a_number(error);
    return code;
}

static int
dirty(const server *s, const imig__agent_request *r, imig_dirty_point *into, imig_error **error)
{
    int code;

    if (!s->ops->dirty_start)
        return unsupported(s, "log dirty pages", error);
    if (r->op == IMIG__AGENT_DIRTY_START)
        return s->ops->dirty_start(s->state, r->vm, error);
    if (r->op == IMIG__AGENT_DIRTY_STOP)
        return s->ops->dirty_stop(s->state, r->vm, error);
    *into = (imig_dirty_point) { .size = sizeof *into };
    code = s->ops->dirty_read(s->state, r->vm, into, error);
    if (code == IMIG_OK && !(isfinite(into->elapsed_s) && isfinite(into->dirtied_bytes)
                             && isfinite(into->grain_bytes)))
        return not_a_number(error);
    return code;
}

/* What is absent may be anything; the rest has to be a number. */
static gboolean
is_report(imig_job *job)
{
    job->message[sizeof job->message - 1] = '\0';
    return job->state >= IMIG_JOB_RUNNING && job->state <= IMIG_JOB_CANCELLED
           && job->error_code <= IMIG_OK && job->error_code >= IMIG_ERR_IO
           && isfinite(job->started_s) && isfinite(job->ended_s)
           && (!(job->present & IMIG_JOB_HAS_DOWNTIME) || isfinite(job->downtime_s))
           && (!(job->present & IMIG_JOB_HAS_TRANSFERRED) || isfinite(job->transferred_bytes))
           && (!(job->present & IMIG_JOB_HAS_REMAINING) || isfinite(job->remaining_bytes))
           && (!(job->present & IMIG_JOB_HAS_DIRTY) || isfinite(job->dirty_bytes_per_s));
}

static int
migrate(const server *s, const imig__agent_request *r, imig__agent_reply *reply,
        imig_error **error)
{
    imig_job *report = &reply->report;
    int code;

    if (!s->ops->migrate)
        return unsupported(s, "migrate", error);
    if (r->op == IMIG__AGENT_MIGRATE)
        return s->ops->migrate(s->state, &r->migration, &reply->job, error);
    if (r->op == IMIG__AGENT_CANCEL)
        return s->ops->cancel(s->state, r->job, error);
    *report = (imig_job) { .size = sizeof *report };
    code = r->op == IMIG__AGENT_POLL ? s->ops->poll(s->state, r->job, report, error)
                                     : s->ops->result(s->state, r->job, report, error);
    return code == IMIG_OK && !is_report(report) ? not_a_number(error) : code;
}

static int
operate(const server *s, const imig__agent_request *r, imig__agent_reply *reply,
        imig_error **error)
{
    switch (r->op) {
    case IMIG__AGENT_CLOCK:
        return IMIG_OK; /* it is in every reply */
    case IMIG__AGENT_SAMPLE:
        return s->ops->sample(s->state, reply->sample, error);
    case IMIG__AGENT_LOCATE:
        return locate(s, r->vm, &reply->location, error);
    case IMIG__AGENT_WAIT:
        return s->ops->wait(s->state, r->deadline_s, error);
    case IMIG__AGENT_CHECK: /* where nothing is known, nothing speaks against it */
        return s->ops->check ? s->ops->check(s->state, r->vm, r->host, error) : IMIG_OK;
    case IMIG__AGENT_DIRTY_START:
    case IMIG__AGENT_DIRTY_READ:
    case IMIG__AGENT_DIRTY_STOP:
        return dirty(s, r, &reply->point, error);
    default:
        return migrate(s, r, reply, error);
    }
}

/* ---- replies ---- */

static double
look_at_clock(server *s)
{
    double now_s = s->ops->clock(s->state);

    if (isfinite(now_s))
        s->clock_s = now_s;
    return s->clock_s;
}

/* A failure always has a code and words, and no secrets. */
static imig__agent_failure
failure_of(const server *s, int code, const imig_error *error, const char *what)
{
    imig__agent_failure failure = { .code = code };

    if (code == IMIG_OK)
        return failure;
    if (code > 0 || code < IMIG_ERR_IO)
        failure.code = IMIG_ERR_BACKEND;
    failure.backend_code = imig_error_backend_code(error);
    failure.message = error ? imig__context_hide(s->context, imig_error_message(error))
                            : g_strdup_printf("%s failed without a reason", what);
    return failure;
}

/* The line that s->input begins with. */
static void
answer(server *s, size_t length)
{
    imig__agent_request request;
    imig__agent_reply reply = { .sample = NULL };
    imig_error *error = NULL;
    int code = imig__agent_read_request(s->input->str, length, &request, &error);

    if (code == IMIG_OK) {
        reply.sample = imig__sample_new(s->clock_s);
        code = operate(s, &request, &reply, &error);
    }
    reply.failure = failure_of(s, code, error, imig__agent_op_names[request.op]);
    reply.id = request.id;
    reply.clock_s = look_at_clock(s);
    imig__agent_put_reply(s->output, request.op, &reply);
    imig_error_free(error);
    imig__agent_failure_clear(&reply.failure);
    imig__agent_request_clear(&request);
    imig__sample_free(reply.sample);
}

/* Does the clock stand still while nobody waits? */
static gboolean
is_virtual(const server *s)
{
    double begin_s = s->ops->clock(s->state);

    for (int i = 0; i < TICKS; i++) {
        g_usleep(TICK_US);
        if (s->ops->clock(s->state) > begin_s)
            return FALSE;
    }
    return TRUE;
}

static int
greet(server *s, imig_error **error)
{
    imig__agent_greeting greeting = {
        .is_virtual = is_virtual(s), .clock_s = look_at_clock(s),
    };

    imig__agent_put_greeting(s->output, s->ops->name, &greeting);
    return write_output(s, error);
}

/* Instead of a greeting: why there is nothing to serve. */
static int
refuse(server *s, int code, const imig_error *why, imig_error **error)
{
    imig__agent_greeting greeting = { .failure = failure_of(s, code, why, "open") };

    imig__agent_put_greeting(s->output, NULL, &greeting);
    write_output(s, NULL);
    code = imig_error_set(error, greeting.failure.code, greeting.failure.backend_code,
                          greeting.failure.message);
    imig__agent_failure_clear(&greeting.failure);
    return code;
}

/* To no request in particular: why there will be no more replies. */
static void
take_leave(server *s, int code, const imig_error *why)
{
    imig__agent_reply reply = {
        .failure = failure_of(s, code, why, "reading"), .clock_s = look_at_clock(s),
    };

    imig__agent_put_reply(s->output, IMIG__AGENT_CLOCK, &reply);
    write_output(s, NULL);
    imig__agent_failure_clear(&reply.failure);
}

static int
serve(server *s, imig_error **error)
{
    size_t length = 0;
    int code = greet(s, error);

    while (code == IMIG_OK) {
        imig_error *why = NULL;

        code = next_line(s, &length, &why);
        if (code != IMIG_OK) {
            take_leave(s, code, why);
            imig_error_set(error, code, 0, imig_error_message(why));
            imig_error_free(why);
        }
        if (code != IMIG_OK || length == 0)
            break;
        answer(s, length);
        g_string_erase(s->input, 0, (gssize) length);
        code = write_output(s, error);
    }
    return code;
}

int
imig_agent_serve(imig_context *context, const char *uri, int fd_in, int fd_out,
                 const imig_cancel *cancel, imig_error **error)
{
    server s = { .context = context, .fd_in = fd_in, .fd_out = fd_out, .cancel = cancel };
    imig_error *why = NULL;
    int code;

    if (!context || !uri)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%s is NULL", context ? "uri" : "context");
    if (fd_in < 0 || fd_out < 0)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "a descriptor is below 0");
    s.input = g_string_new(NULL);
    s.output = g_string_new(NULL);
    imig__context_keep_secret(context, uri);
    code = imig__context_find_backend(context, uri, &s.ops, &why);
    if (code == IMIG_OK)
        code = imig__context_open(context, s.ops, uri, &s.state, &why);
    code = code == IMIG_OK ? serve(&s, error) : refuse(&s, code, why, error);
    if (s.ops)
        s.ops->close(s.state);
    imig_error_free(why);
    g_string_free(s.input, TRUE);
    g_string_free(s.output, TRUE);
    return code;
}
