/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "plan/plan-priv.h"

#include <imig/context.h>
#include <imig/execute.h>
#include <stdlib.h>
#include <string.h>

/*
 * A backend for what the simulator will not do: lose a VM, find it elsewhere, refuse to begin, fall
 * silent.  Every VM has a script, one letter for each attempt to migrate it; beyond the last it
 * goes well.  Every migration takes 10 s of virtual time.
 */
enum { MAX_VMS = 8, MAX_JOBS = 64 };

struct mock_vm {
    char id[2];
    const char *host;
    const char *script;
    int32_t state;
};

struct mock_job {
    struct mock_vm *vm;
    const char *to;
    double started_s;
    int32_t state;
    char outcome;
};

static struct {
    struct mock_vm vms[MAX_VMS];
    struct mock_job jobs[MAX_JOBS];
    size_t vm_count, job_count;
    double now_s, silent_from_s; /* from then on waiting and asking fail */
    double memory_bytes;         /* of each host; a VM has 1 */
    GString *log;
} mock;

static const char *const host_ids[] = { "h0", "h1", "h2", "h3" };

static struct mock_vm *
mock_find(const char *id)
{
    for (size_t i = 0; i < mock.vm_count; i++)
        if (strcmp(mock.vms[i].id, id) == 0)
            return &mock.vms[i];
    return NULL;
}

static int
mock_probe(const char *uri)
{
    return g_str_has_prefix(uri, "mock:");
}

static int
mock_open(const char *uri, void **ret_state, imig_error **error)
{
    (void) uri;
    (void) error;
    *ret_state = &mock;
    return IMIG_OK;
}

static void
mock_close(void *state)
{
    (void) state;
}

static double
mock_clock(void *state)
{
    (void) state;
    return mock.now_s;
}

static int
mock_sample(void *state, imig_sample *into, imig_error **error)
{
    (void) state;
    for (size_t h = 0; h < G_N_ELEMENTS(host_ids); h++) {
        imig_host_info host = IMIG_HOST_INFO_INIT;

        host.id = host_ids[h];
        host.cpu_cores = 1;
        host.memory_bytes = mock.memory_bytes;
        assert_int_equal(imig_sample_add_host(into, &host, error), IMIG_OK);
    }
    for (size_t v = 0; v < mock.vm_count; v++) {
        imig_vm_info vm = IMIG_VM_INFO_INIT;
        imig_vm_counters counters = IMIG_VM_COUNTERS_INIT;

        if (mock.vms[v].state == IMIG_VM_ABSENT)
            continue;
        vm.id = mock.vms[v].id;
        vm.vcpus = 1;
        vm.memory_bytes = 1;
        vm.host = (uint32_t) (mock.vms[v].host[1] - '0');
        counters.time_s = mock.now_s;
        assert_int_equal(imig_sample_add_vm(into, &vm, &counters, error), IMIG_OK);
    }
    return IMIG_OK;
}

static int
mock_locate(void *state, const char *id, imig_location *into, imig_error **error)
{
    const struct mock_vm *vm = mock_find(id);

    (void) state;
    if (mock.now_s >= mock.silent_from_s)
        return imig_error_set(error, IMIG_ERR_BACKEND, 38, "the daemon is gone");
    into->state = vm ? vm->state : IMIG_VM_ABSENT;
    g_strlcpy(into->host, vm && vm->state != IMIG_VM_ABSENT ? vm->host : "", sizeof into->host);
    return IMIG_OK;
}

static void
mock_end(struct mock_job *job)
{
    job->state = job->outcome == 'd' || job->outcome == 'h' ? IMIG_JOB_DONE : IMIG_JOB_FAILED;
    job->vm->state = job->outcome == 'p' ? IMIG_VM_PAUSED
                     : job->outcome == 'a' ? IMIG_VM_ABSENT : IMIG_VM_RUNNING;
    if (strchr("dhl", job->outcome))
        job->vm->host = job->to;
    else if (job->outcome == 'e')
        job->vm->host = "h3";
}

static int
mock_wait(void *state, double deadline_s, imig_error **error)
{
    struct mock_job *next = NULL;

    (void) state;
    if (mock.now_s >= mock.silent_from_s)
        return imig_error_set(error, IMIG_ERR_BACKEND, 38, "the daemon is gone");
    for (size_t i = 0; i < mock.job_count; i++) {
        struct mock_job *job = &mock.jobs[i];

        if (job->state <= IMIG_JOB_FINISHING && (!next || job->started_s < next->started_s))
            next = job;
    }
    if (!next || next->started_s + 10 > deadline_s) {
        mock.now_s = deadline_s;
        return IMIG_OK;
    }
    mock.now_s = next->started_s + 10;
    mock_end(next);
    return IMIG_OK;
}

/*
 * d: done.  f: fails, on the source.  h: done, and its hand-over cannot be cancelled.
 * l: fails, but is found on the destination.  p: fails and stands still.
 * a: fails and is nowhere.  e: fails and is elsewhere.  r: refused now.  u: refused for ever.
 */
static int
mock_migrate(void *state, const imig_migration *m, uint64_t *ret_job, imig_error **error)
{
    struct mock_vm *vm = mock_find(m->vm);
    char outcome = *vm->script ? *vm->script++ : 'd';

    (void) state;
    if (outcome == 'r')
        return imig_error_set(error, IMIG_ERR_BACKEND, 1, "not now");
    if (outcome == 'u')
        return imig_error_set(error, IMIG_ERR_UNSUPPORTED, 1, "the CPU is too old");
    assert_true(mock.job_count < MAX_JOBS);
    *ret_job = mock.job_count + 1;
    vm->state = IMIG_VM_MOVING;
    mock.jobs[mock.job_count++] = (struct mock_job) {
        .vm = vm, .to = host_ids[m->to[1] - '0'], .started_s = mock.now_s, .outcome = outcome,
        .state = outcome == 'h' ? IMIG_JOB_FINISHING : IMIG_JOB_RUNNING,
    };
    return IMIG_OK;
}

static int
mock_poll(void *state, uint64_t job, imig_job *into, imig_error **error)
{
    const struct mock_job *j = &mock.jobs[job - 1];

    (void) state;
    (void) error;
    into->present = IMIG_JOB_HAS_DOWNTIME;
    into->started_s = j->started_s;
    into->ended_s = mock.now_s;
    into->downtime_s = 0.5;
    into->state = j->state;
    g_strlcpy(into->message, j->state == IMIG_JOB_FAILED ? "it broke" : "", sizeof into->message);
    return IMIG_OK;
}

static int
mock_cancel(void *state, uint64_t job, imig_error **error)
{
    struct mock_job *j = &mock.jobs[job - 1];

    (void) state;
    (void) error;
    if (j->state == IMIG_JOB_RUNNING) {
        j->state = IMIG_JOB_CANCELLED;
        j->vm->state = IMIG_VM_RUNNING;
    }
    return IMIG_OK;
}

static const imig_backend_ops mock_ops = {
    .size = sizeof mock_ops, .name = "mock", .probe = mock_probe, .open = mock_open,
    .close = mock_close, .clock = mock_clock, .sample = mock_sample, .locate = mock_locate,
    .wait = mock_wait, .migrate = mock_migrate, .poll = mock_poll, .cancel = mock_cancel,
    .result = mock_poll,
};

/*
 * A row is a plan, what the hypervisors do, and what must be told: "+a" VM a begins, then the state
 * in which it ended: "a" done, "-a" failed, "~a" skipped, "/a" cancelled; "?a" is in doubt
 * before.
 */
static const struct run_case {
    const char *name;
    const char *plan;     /* "a01,0": VM a from h0 to h1, planned start 0; all take 10 s; a group
                             each, or "=N" behind */
    const char *scripts;  /* "a:fd b:d" */
    const char *told;
    const char *message;  /* begins the message of the first step that is not done */
    int cancel_level;     /* from the first event on */
    double silent_from_s; /* 0: never */
    double memory_bytes;  /* of each host, 0: plenty; a VM has 1 */
} cases[] = {
    { "steps run in the plan's order", "a01,0 b01,10 c23,0", "", "+a+ca+bcb", NULL },
    { "a failed step is tried again", "a01,0", "a:fd", "+a+aa", NULL },
    { "and then given up", "a01,0", "a:ff", "+a+a-a", "it broke; the VM is running on h0" },
    { "a refusal may pass", "a01,0", "a:rd", "+aa", NULL },
    { "a refusal for good is not repeated", "a01,0", "a:u", "-a",
      "the CPU is too old; the VM is running on h0" },
    { "a failure that is none: the VM is on the destination", "a01,0", "a:l", "+aa", NULL },
    { "a VM that stands still is not touched again", "a01,0", "a:p", "+a?a-a",
      "it broke; the VM is paused on h0" },
    { "a VM that is nowhere", "a01,0", "a:a", "+a?a-a", "it broke; the VM is on no host" },
    { "a VM that is elsewhere", "a01,0", "a:e", "+a-a", "it broke; the VM is running on h3" },
    { "the rest goes on after a failure", "a01,0 b23,10", "a:p", "+a+b?ab-a",
      "it broke; the VM is paused on h0" },
    { "later steps of the VM are skipped", "a01,0 a12,10 b03,10", "a:p", "+a?a-a~a+bb",
      "it broke; the VM is paused on h0" },
    { "the group is skipped", "a01,0=5 b02,10=5 c03,20=6", "a:p", "+a?a-a~b+cc",
      "it broke; the VM is paused on h0" },
    { "memory that did not become free", "a12,0 b01,10", "a:p", "+a?a-a~b",
      "it broke; the VM is paused on h1", 0, 0, 1 },
    { "memory that is there all the same", "a12,0 b01,10", "a:p", "+a?a-a+bb",
      "it broke; the VM is paused on h1", 0, 0, 2 },
    { "cancel: pre-copy stops, nothing begins", "a01,0 b01,10 c23,0", "", "+a+c/b/a/c",
      "", 1 },
    { "cancel: a hand-over is waited for", "a01,0 b01,10", "a:h", "+a/ba", "", 1 },
    { "cancel twice: nothing is waited for", "a01,0 b01,10", "a:h", "+a/b", "", 2 },
    { "hypervisors that fall silent", "a01,0 b01,10", "", "+a~b-a",
      "lost sight of it: ", 0, 5 },
};

struct session {
    const struct run_case *row;
    imig_cancel *cancel;
};

static void
note_event(const imig_step_report *report, double clock_s, void *user_data)
{
    static const char *const marks[] = {
        [IMIG_STEP_RUNNING] = "+", [IMIG_STEP_DONE] = "", [IMIG_STEP_FAILED] = "-",
        [IMIG_STEP_SKIPPED] = "~", [IMIG_STEP_CANCELLED] = "/",
        [IMIG_STEP_IN_DOUBT] = "?",
    };
    struct session *s = user_data;

    g_string_append_printf(mock.log, "%s%s", marks[report->state], report->vm);
    if (imig_cancel_level(s->cancel) == 0)
        for (int i = 0; i < s->row->cancel_level; i++)
            imig_cancel_trigger(s->cancel);
    assert_true(clock_s >= 0);
}

static imig_plan *
make_plan(const char *text)
{
    static const imig_plan_totals totals = IMIG_PLAN_TOTALS_INIT;
    static const imig_plan_summary summary = { .size = sizeof summary, .complete = 1 };
    imig_plan *plan = imig__plan_new("balance", "informed", 0, "");
    char **steps = g_strsplit(text, " ", -1);

    for (uint32_t i = 0; steps[i]; i++) {
        imig_plan_step step = IMIG_PLAN_STEP_INIT;
        char vm[2] = { steps[i][0], 0 };
        char *end;

        step.vm = vm;
        step.from = host_ids[steps[i][1] - '0'];
        step.to = host_ids[steps[i][2] - '0'];
        step.start_s = strtod(steps[i] + 4, &end);
        step.group = *end == '=' ? (uint32_t) atoi(end + 1) : 100 + i;
        step.duration_s = 10;
        step.reason_code = step.reason_text = "test";
        step.converges = 1;
        imig__plan_add_step(plan, &step);
        if (!mock_find(vm)) {
            struct mock_vm *new_vm = &mock.vms[mock.vm_count++];

            *new_vm = (struct mock_vm) { .host = step.from, .state = IMIG_VM_RUNNING };
            new_vm->id[0] = vm[0];
            new_vm->script = "";
        }
    }
    imig__plan_set_totals(plan, &totals, &totals);
    imig__plan_set_summary(plan, &summary);
    g_strfreev(steps);
    return plan;
}

static imig_connection *
connect_mock(void)
{
    imig_context *context = imig_context_new();
    imig_connection *connection;

    assert_int_equal(imig_context_register_backend(context, &mock_ops, NULL), IMIG_OK);
    assert_int_equal(imig_connect(context, &(const char *) { "mock:" }, 1, &connection, NULL),
                     IMIG_OK);
    imig_context_unref(context);
    return connection;
}

static void
reset_mock(void)
{
    memset(&mock, 0, sizeof mock);
    mock.log = g_string_new(NULL);
    mock.silent_from_s = 1e9;
    mock.memory_bytes = 100;
}

static void
clear(imig_run *run, imig_plan *plan, imig_connection *connection)
{
    imig_run_free(run);
    imig_plan_unref(plan);
    imig_connection_unref(connection);
    g_string_free(mock.log, TRUE);
}

static void
run_follows_the_row(void **state)
{
    const struct run_case *c = *state;
    struct session session = { c, imig_cancel_new() };
    imig_execute_options options = IMIG_EXECUTE_OPTIONS_INIT;
    imig_error *error = NULL;
    imig_connection *connection;
    imig_plan *plan;
    imig_run *run;

    reset_mock();
    plan = make_plan(c->plan);
    for (const char *s = c->scripts; s && (s = strchr(s, ':')); s++)
        mock_find((char[]) { s[-1], 0 })->script = s + 1;
    if (c->silent_from_s > 0)
        mock.silent_from_s = c->silent_from_s;
    if (c->memory_bytes > 0)
        mock.memory_bytes = c->memory_bytes;
    connection = connect_mock();
    options.event = note_event;
    options.user_data = &session;
    options.cancel = session.cancel;
    assert_int_equal(imig_execute(connection, plan, &options, &run, &error), IMIG_OK);
    assert_null(error);
    assert_string_equal(mock.log->str, c->told);
    for (size_t i = 0; i < imig_plan_step_count(plan); i++) {
        imig_step_report report = IMIG_STEP_REPORT_INIT;

        assert_int_equal(imig_run_get_step(run, i, &report, NULL), IMIG_OK);
        if (report.state != IMIG_STEP_DONE && c->message) {
            assert_true(g_str_has_prefix(report.message, c->message));
            break;
        }
    }
    imig_cancel_unref(session.cancel);
    clear(run, plan, connection);
}

/* What is measured stands beside what was predicted, and times count from the start of the run. */
static void
reports_have_both(void **state)
{
    imig_execute_options options = IMIG_EXECUTE_OPTIONS_INIT;
    imig_step_report report = IMIG_STEP_REPORT_INIT;
    imig_connection *connection;
    imig_plan *plan;
    imig_run *run;

    (void) state;
    reset_mock();
    mock.now_s = 1000;
    plan = make_plan("a01,0 b01,10");
    mock_find("b")->script = "fd";
    connection = connect_mock();
    assert_int_equal(imig_execute(connection, plan, &options, &run, NULL), IMIG_OK);
    assert_int_equal(imig_run_count(run, IMIG_STEP_DONE), 2);
    assert_int_equal(imig_run_get_step(run, 0, &report, NULL), IMIG_OK);
    assert_string_equal(report.vm, "a");
    assert_float_equal(report.predicted_s, 10, 0);
    assert_float_equal(report.measured_s, 10, 1e-9);
    assert_float_equal(report.measured_downtime_s, 0.5, 0);
    assert_float_equal(report.start_s, 0, 0);
    assert_int_equal(report.attempts, 1);
    assert_int_equal(imig_run_get_step(run, 1, &report, NULL), IMIG_OK);
    assert_int_equal(report.attempts, 2);
    assert_true(report.start_s >= 20);
    assert_float_equal(imig_run_duration_s(run), report.start_s + 10, 1e-9);
    assert_int_equal(imig_run_get_step(run, 2, &report, NULL), IMIG_ERR_ARGUMENT);
    clear(run, plan, connection);
}

static const struct refusal {
    const char *name;
    const char *host;
    int32_t state;
    const char *message;
} refusals[] = {
    { "a VM that has gone", "h0", IMIG_VM_ABSENT, "steps[0]: a is on no host, not on h0" },
    { "a VM that moved", "h2", IMIG_VM_RUNNING, "steps[0]: a is on h2, not on h0" },
    { "a VM that stands still", "h0", IMIG_VM_PAUSED, "steps[0]: a is paused" },
    { "a VM that somebody else migrates", "h0", IMIG_VM_MOVING,
      "steps[0]: a is being migrated already" },
};

static void
stale_plan_begins_nothing(void **state)
{
    const struct refusal *c = *state;
    imig_connection *connection;
    imig_error *error = NULL;
    imig_run *run = NULL;
    imig_plan *plan;

    reset_mock();
    plan = make_plan("a01,0 b23,0");
    mock_find("a")->host = c->host;
    mock_find("a")->state = c->state;
    connection = connect_mock();
    assert_int_equal(imig_execute(connection, plan, NULL, &run, &error), IMIG_ERR_STALE);
    assert_string_equal(imig_error_message(error), c->message);
    assert_null(run);
    assert_int_equal(mock.job_count, 0);
    imig_error_free(error);
    clear(run, plan, connection);
}

int
main(void)
{
    enum { ROWS = G_N_ELEMENTS(cases), REFUSALS = G_N_ELEMENTS(refusals) };
    struct CMUnitTest tests[ROWS + REFUSALS + 1];
    size_t n = 0;

    for (size_t i = 0; i < ROWS; i++)
        tests[n++] = (struct CMUnitTest) {
            cases[i].name, run_follows_the_row, NULL, NULL, (void *) &cases[i],
        };
    for (size_t i = 0; i < REFUSALS; i++)
        tests[n++] = (struct CMUnitTest) {
            refusals[i].name, stale_plan_begins_nothing, NULL, NULL, (void *) &refusals[i],
        };
    tests[n] = (struct CMUnitTest) cmocka_unit_test(reports_have_both);
    return cmocka_run_group_tests_name("executor", tests, NULL, NULL);
}
