/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/agent-priv.h"

#include <math.h>
#include <string.h>

/* An agent without jobs has nothing to do before it ends; one with jobs has the whole time-out. */
static const double GRACE_S = 5;

/* A clock that goes back by more was set, and is followed. */
static const double CLOCK_SLACK_S = 1;

/* What fits into a moment. */
static const double LONGEST_S = 1e9;

typedef struct agent {
    imig_context *context;   /* lent; NULL: none */
    char *shown, **argv;     /* the URI without its secrets; what serves it */
    double timeout_s;
    double patience_s;       /* with the answer that is waited for */
    imig__agent_child child; /* started anew by whoever needs it */
    uint32_t last_id;

    gboolean is_virtual;
    double seen_s;           /* its clock at the last answer, */
    int64_t seen_us;         /* and ours */
    double told_s;           /* what we last said: time never runs back */

    GHashTable *jobs;        /* number -> number at the agent that runs now */
    uint64_t last_job;
} agent;

/* ---- time ---- */

static void
see_clock(agent *a, double clock_s)
{
    a->seen_s = clock_s;
    a->seen_us = g_get_monotonic_time();
}

/* Between answers a real clock goes on as ours does, and a virtual one stands still. */
static double
agent_clock(void *state)
{
    agent *a = state;
    double now_s = a->seen_s;

    if (!a->is_virtual)
        now_s += (double) (g_get_monotonic_time() - a->seen_us) / G_USEC_PER_SEC;
    /* The answers' way here differs by milliseconds. */
    if (!a->is_virtual && now_s < a->told_s && now_s > a->told_s - CLOCK_SLACK_S)
        now_s = a->told_s;
    a->told_s = now_s;
    return now_s;
}

static int64_t
moment(double from_now_s)
{
    return g_get_monotonic_time() + (int64_t) (MIN(from_now_s, LONGEST_S) * G_USEC_PER_SEC);
}

/* ---- the process ---- */

/* In front of the reason; the connection names the URI for these two by itself. */
static void
name_operation(const agent *a, const char *what, imig_error **error)
{
    imig__error_prefix(error, "%s", what);
    if (strcmp(what, "open") != 0 && strcmp(what, "sample") != 0)
        imig__error_prefix(error, "%s", a->shown);
}

/*
 * Ends a process that cannot be talked to any more.  code: of its input or output.  Its jobs are
 * lost, but the hypervisor may go on with them.
 */
static int
lose(agent *a, const char *what, int code, const char *reason, imig_error **error)
{
    /* One that has closed its end is about to end; the others are not waited for. */
    char *end = imig__agent_child_end(&a->child, code == IMIG_ERR_IO ? 1 : 0);

    if (g_hash_table_size(a->jobs) > 0 && a->context)
        imig__context_log(a->context, IMIG_LOG_WARNING, "%s: what becomes of %u jobs is not known",
                          a->shown, g_hash_table_size(a->jobs));
    g_hash_table_remove_all(a->jobs);
    if (code == IMIG_ERR_TIMEOUT)
        imig__fail(error, code, "no answer from the agent within %g s, %s", a->patience_s, end);
    else if (code == IMIG_ERR_IO)
        imig__fail(error, IMIG_ERR_BACKEND, "the agent is gone: %s", end);
    else
        imig__fail(error, IMIG_ERR_BACKEND, "the agent does not speak " IMIG__AGENT_FORMAT ": %s",
                   reason);
    name_operation(a, what, error);
    g_free(end);
    return code == IMIG_ERR_TIMEOUT ? code : IMIG_ERR_BACKEND;
}

/* The line at hand breaks a rule: says which, and what the line is. */
static int
lose_for(agent *a, const char *what, imig_error *rule, imig_error **error)
{
    char quoted[IMIG__QUOTE_LENGTH], *reason;
    char *line = g_strndup(a->child.input->str, MIN(a->child.length, IMIG__QUOTE_LENGTH));
    int code;

    reason = g_strdup_printf("%s, in %s", rule ? imig_error_message(rule) : "too long a line",
                             imig__quote(g_strchomp(line), quoted));
    g_free(line);
    code = lose(a, what, IMIG_ERR_INVALID, reason, error);
    g_free(reason);
    imig_error_free(rule);
    return code;
}

/* One line from the agent; where there is none, it is lost. */
static int
receive(agent *a, const char *what, size_t longest, int64_t until_us, imig_error **error)
{
    int code = imig__agent_child_receive(&a->child, longest, until_us);

    if (code == IMIG_ERR_INVALID)
        return lose_for(a, what, NULL, error);
    return code == IMIG_OK ? code : lose(a, what, code, NULL, error);
}

static int
give_failure(const imig__agent_failure *failure, imig_error **error)
{
    return imig_error_set(error, failure->code, failure->backend_code, failure->message);
}

static int
take_greeting(agent *a, imig_error **error)
{
    imig__agent_greeting greeting;
    imig_error *rule = NULL;
    int code = imig__agent_read_greeting(a->child.input->str, a->child.length, &greeting, &rule);

    if (code != IMIG_OK) {
        code = lose_for(a, "open", rule, error);
    } else if (greeting.failure.code != IMIG_OK) {
        code = give_failure(&greeting.failure, error);
        g_free(imig__agent_child_end(&a->child, GRACE_S));
    } else {
        a->is_virtual = greeting.is_virtual;
        see_clock(a, greeting.clock_s);
    }
    imig__agent_failure_clear(&greeting.failure);
    return code;
}

static int
start(agent *a, imig_error **error)
{
    int code = imig__agent_child_start(&a->child, a->argv, error);

    a->patience_s = a->timeout_s;
    if (code == IMIG_OK)
        code = receive(a, "open", IMIG__AGENT_LINE_MAX, moment(a->patience_s), error);
    if (code == IMIG_OK)
        code = take_greeting(a, error);
    if (code == IMIG_OK && a->context)
        imig__context_log(a->context, IMIG_LOG_INFO, "%s: an agent has been started", a->shown);
    return code;
}

/* Starts another where the last was lost.  Why that fails is no answer of the operation: a file
   that is gone is not a VM that is not there. */
static int
ensure_child(agent *a, const char *what, imig_error **error)
{
    imig_error *reason = NULL;
    int code;

    if (a->child.pid)
        return IMIG_OK;
    code = start(a, &reason);
    if (code == IMIG_OK)
        return IMIG_OK;
    code = code == IMIG_ERR_TIMEOUT ? code : IMIG_ERR_BACKEND;
    imig_error_set(error, code, imig_error_backend_code(reason), imig_error_message(reason));
    name_operation(a, what, error);
    imig_error_free(reason);
    return code;
}

/* ---- requests ---- */

static int
exchange(agent *a, imig__agent_request *request, imig_error **error)
{
    const char *what = imig__agent_op_names[request->op];
    size_t longest = request->op == IMIG__AGENT_SAMPLE ? IMIG__AGENT_SAMPLE_MAX
                                                       : IMIG__AGENT_LINE_MAX;
    int64_t until_us = moment(a->patience_s);
    GString *line = g_string_new(NULL);
    int code;

    request->id = ++a->last_id;
    imig__agent_put_request(line, request);
    code = imig__agent_child_send(&a->child, line->str, line->len, until_us);
    g_string_free(line, TRUE);
    if (code != IMIG_OK)
        return lose(a, what, code, NULL, error);
    return receive(a, what, longest, until_us, error);
}

static int
take_reply(agent *a, const imig__agent_request *request, imig__agent_reply *reply,
           imig_error **error)
{
    const char *what = imig__agent_op_names[request->op];
    imig_error *rule = NULL;
    int code = imig__agent_read_reply(a->child.input->str, a->child.length, request->op, reply,
                                      &rule);

    if (code == IMIG_OK && reply->id != request->id)
        code = imig__fail(&rule, IMIG_ERR_INVALID, "id: %u: must be %u", reply->id, request->id);
    if (code != IMIG_OK) {
        code = lose_for(a, what, rule, error);
    } else {
        see_clock(a, reply->clock_s);
        if (reply->failure.code != IMIG_OK)
            code = give_failure(&reply->failure, error);
    }
    imig__agent_failure_clear(&reply->failure);
    return code;
}

/* more_s: how long the operation itself may last. */
static int
ask(agent *a, imig__agent_request *request, double more_s, imig__agent_reply *reply,
    imig_error **error)
{
    int code = ensure_child(a, imig__agent_op_names[request->op], error);

    if (code != IMIG_OK)
        return code;
    a->patience_s = a->timeout_s + more_s;
    code = exchange(a, request, error);
    return code == IMIG_OK ? take_reply(a, request, reply, error) : code;
}

static int
ask_about_vm(void *state, int32_t op, const char *vm, imig__agent_reply *reply,
             imig_error **error)
{
    imig__agent_request request = { .op = op, .vm = vm };

    return ask(state, &request, 0, reply, error);
}

/* ---- the operations ---- */

static void
agent_close(void *state)
{
    agent *a = state;

    if (!a)
        return;
    if (a->child.pid) /* it cancels its jobs first; a hand-over is not to be cut short */
        g_free(imig__agent_child_end(&a->child, g_hash_table_size(a->jobs) > 0
                                                    ? MAX(a->timeout_s, GRACE_S)
                                                    : MIN(a->timeout_s, GRACE_S)));
    imig__agent_child_clear(&a->child);
    g_hash_table_unref(a->jobs);
    g_strfreev(a->argv);
    g_free(a->shown);
    g_free(a);
}

static int
open_with(imig_context *context, const imig__agent_settings *settings, const char *uri,
          void **ret_state, imig_error **error)
{
    agent *a;
    char **argv;
    int code = imig__agent_command(settings, uri, &argv, error);

    if (code != IMIG_OK)
        return code;
    a = g_new0(agent, 1);
    a->context = context;
    a->shown = imig__uri_shown(uri);
    a->argv = argv;
    a->timeout_s = settings->timeout_s;
    a->told_s = -INFINITY;
    a->jobs = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    imig__agent_child_init(&a->child);
    code = start(a, error);
    if (code == IMIG_OK)
        *ret_state = a;
    else
        agent_close(a);
    return code;
}

int
imig__agent_open(imig_context *context, const char *uri, void **ret_state, imig_error **error)
{
    return open_with(context, imig__context_agent(context), uri, ret_state, error);
}

/* For who has no context. */
static int
agent_open(const char *uri, void **ret_state, imig_error **error)
{
    imig__agent_settings defaults;
    int code = imig__agent_settings_init(&defaults, NULL, error);

    if (code == IMIG_OK) {
        code = open_with(NULL, &defaults, uri, ret_state, error);
        imig__agent_settings_clear(&defaults);
    }
    return code;
}

static int
agent_sample(void *state, imig_sample *into, imig_error **error)
{
    imig__agent_request request = { .op = IMIG__AGENT_SAMPLE };
    imig__agent_reply reply = { .sample = into };

    return ask(state, &request, 0, &reply, error);
}

static int
agent_locate(void *state, const char *vm, imig_location *into, imig_error **error)
{
    imig__agent_reply reply = { .id = 0 };
    int code = ask_about_vm(state, IMIG__AGENT_LOCATE, vm, &reply, error);

    if (code == IMIG_OK)
        *into = reply.location;
    return code;
}

static int
agent_wait(void *state, double deadline_s, imig_error **error)
{
    imig__agent_request request = { .op = IMIG__AGENT_WAIT, .deadline_s = deadline_s };
    imig__agent_reply reply = { .id = 0 };

    return ask(state, &request, MAX(0, deadline_s - agent_clock(state)), &reply, error);
}

static int
agent_check(void *state, const char *vm, const char *host, imig_error **error)
{
    imig__agent_request request = { .op = IMIG__AGENT_CHECK, .vm = vm, .host = host };
    imig__agent_reply reply = { .id = 0 };

    return ask(state, &request, 0, &reply, error);
}

static int
agent_dirty_start(void *state, const char *vm, imig_error **error)
{
    imig__agent_reply reply = { .id = 0 };

    return ask_about_vm(state, IMIG__AGENT_DIRTY_START, vm, &reply, error);
}

static int
agent_dirty_read(void *state, const char *vm, imig_dirty_point *into, imig_error **error)
{
    imig__agent_reply reply = { .id = 0 };
    int code = ask_about_vm(state, IMIG__AGENT_DIRTY_READ, vm, &reply, error);

    if (code == IMIG_OK)
        *into = reply.point;
    return code;
}

static int
agent_dirty_stop(void *state, const char *vm, imig_error **error)
{
    imig__agent_reply reply = { .id = 0 };

    return ask_about_vm(state, IMIG__AGENT_DIRTY_STOP, vm, &reply, error);
}

static int
agent_migrate(void *state, const imig_migration *m, uint64_t *ret_job, imig_error **error)
{
    agent *a = state;
    imig__agent_request request = { .op = IMIG__AGENT_MIGRATE, .migration = *m };
    imig__agent_reply reply = { .id = 0 };
    int64_t number;
    int code;

    if (m->to_uri)
        request.migration.to_uri = imig__agent_far_uri(m->to_uri);
    code = ask(a, &request, 0, &reply, error);
    if (code != IMIG_OK)
        return code;
    number = (int64_t) ++a->last_job;
    g_hash_table_insert(a->jobs, g_memdup2(&number, sizeof number),
                        g_memdup2(&reply.job, sizeof reply.job));
    *ret_job = a->last_job;
    return IMIG_OK;
}

static int
ask_about_job(agent *a, int32_t op, uint64_t job, imig__agent_reply *reply, imig_error **error)
{
    imig__agent_request request = { .op = op };
    int64_t number = (int64_t) job;
    const uint64_t *own = g_hash_table_lookup(a->jobs, &number);

    if (!own)
        return imig__fail(error, IMIG_ERR_BACKEND, "%s: %s: the agent was restarted, and what "
                          "became of this job is not known", a->shown, imig__agent_op_names[op]);
    request.job = *own;
    return ask(a, &request, 0, reply, error);
}

static int
agent_poll(void *state, uint64_t job, imig_job *into, imig_error **error)
{
    imig__agent_reply reply = { .id = 0 };
    int code = ask_about_job(state, IMIG__AGENT_POLL, job, &reply, error);

    if (code == IMIG_OK)
        *into = reply.report;
    return code;
}

static int
agent_cancel(void *state, uint64_t job, imig_error **error)
{
    imig__agent_reply reply = { .id = 0 };

    return ask_about_job(state, IMIG__AGENT_CANCEL, job, &reply, error);
}

static int
agent_result(void *state, uint64_t job, imig_job *into, imig_error **error)
{
    agent *a = state;
    imig__agent_reply reply = { .id = 0 };
    int64_t number = (int64_t) job;
    int code = ask_about_job(a, IMIG__AGENT_RESULT, job, &reply, error);

    if (code != IMIG_OK)
        return code;
    g_hash_table_remove(a->jobs, &number);
    *into = reply.report;
    return IMIG_OK;
}

const imig_backend_ops imig__agent_ops = {
    .size = sizeof imig__agent_ops,
    .name = "agent",
    .probe = imig__agent_probe,
    .open = agent_open,
    .close = agent_close,
    .clock = agent_clock,
    .sample = agent_sample,
    .locate = agent_locate,
    .wait = agent_wait,
    .check = agent_check,
    .dirty_start = agent_dirty_start,
    .dirty_read = agent_dirty_read,
    .dirty_stop = agent_dirty_stop,
    .migrate = agent_migrate,
    .poll = agent_poll,
    .cancel = agent_cancel,
    .result = agent_result,
};
