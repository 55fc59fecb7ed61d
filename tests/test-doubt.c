/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-hosts.h"

#include "plan/plan-priv.h"

#include <imig/execute.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * The hosts of fake-hosts.h with faults that come and go: daemons that do not answer, jobs that
 * fail, VMs that are shown where and as they should not be.
 */
enum { HOSTS = 3, NOT_SHOWN = -1 };

static struct {
    const char *next;           /* what is left of the script */
    gboolean down[HOSTS], dead[HOSTS]; /* dead: until it is opened anew */
    int32_t shown[VMS][HOSTS];  /* instead of what is true; an imig_vm_state */
    gboolean broken[VMS], deaf[VMS], busy[VMS], cancelled[VMS];
    imig_cancel *cancel;
    GString *told;
    double told_s[VMS];         /* when the step of this VM ended */
} faults;

static int
host_of(const fake *f)
{
    return f->host[0] - 'A';
}

static int
index_of(const char *vm)
{
    return (int) (find(vm) - world.vms);
}

static void
put(const char *vm, const char *host)
{
    static const char *const names[HOSTS] = { "A", "B", "C" };

    find(vm)->host = names[host[0] - 'A'];
    find(vm)->to = NULL;
}

static void
show(const char *vm, const char *host, const char *as)
{
    static const struct {
        const char *name;
        int32_t state;
    } states[] = {
        { "absent", IMIG_VM_ABSENT }, { "running", IMIG_VM_RUNNING }, { "paused", IMIG_VM_PAUSED },
        { "stopped", IMIG_VM_STOPPED }, { "truth", NOT_SHOWN },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(states); i++)
        if (strcmp(states[i].name, as) == 0)
            faults.shown[index_of(vm)][host[0] - 'A'] = states[i].state;
}

/* One entry: "4 down A". */
static void
happen(const char *entry)
{
    char what[16], a[16] = "", b[16] = "", c[16] = "";

    assert_true(sscanf(entry, "%*f %15[^ ,] %15[^ ,] %15[^ ,] %15[^ ,]", what, a, b, c) >= 1);
    if (strcmp(what, "down") == 0)
        faults.down[a[0] - 'A'] = TRUE;
    else if (strcmp(what, "up") == 0)
        faults.down[a[0] - 'A'] = FALSE;
    else if (strcmp(what, "dead") == 0)
        faults.dead[a[0] - 'A'] = TRUE;
    else if (strcmp(what, "show") == 0)
        show(a, b, c);
    else if (strcmp(what, "put") == 0)
        put(a, b);
    else if (strcmp(what, "deaf") == 0)
        faults.deaf[index_of(a)] = TRUE;
    else if (strcmp(what, "busy") == 0)
        faults.busy[index_of(a)] = TRUE;
    else if (strcmp(what, "cancel") == 0)
        imig_cancel_trigger(faults.cancel);
    else if (strcmp(what, "fail") == 0) {
        faults.broken[index_of(a)] = TRUE;
        find(a)->to = NULL;
    } else {
        fail_msg("no fault \"%s\"", what);
    }
}

static double
next_fault_s(void)
{
    return *faults.next ? atof(faults.next) : (double) INFINITY;
}

static void
let_happen(void)
{
    while (next_fault_s() <= world.clock_s + 1e-9) {
        happen(faults.next);
        faults.next += strcspn(faults.next, ",");
        faults.next += *faults.next == ',';
    }
}

static int
doubt_probe(const char *uri)
{
    return g_str_has_prefix(uri, "doubt:");
}

static int
say_down(imig_error **error)
{
    return imig_error_set(error, IMIG_ERR_BACKEND, 38, "the daemon is gone");
}

static int
doubt_open(const char *uri, void **ret_state, imig_error **error)
{
    int code = fake_open(uri + 1, ret_state, error); /* one letter longer than "fake:" */
    int host = host_of(*ret_state);

    if (code == IMIG_OK && faults.down[host])
        return say_down(error);
    faults.dead[host] = FALSE;
    return code;
}

static int
doubt_locate(void *state, const char *vm, imig_location *into, imig_error **error)
{
    const fake *f = state;
    int32_t shown = faults.shown[index_of(vm)][host_of(f)];

    if (faults.down[host_of(f)] || faults.dead[host_of(f)])
        return say_down(error);
    if (shown == NOT_SHOWN)
        return fake_locate(state, vm, into, error);
    into->state = shown;
    g_strlcpy(into->host, shown == IMIG_VM_ABSENT ? "" : f->host, sizeof into->host);
    return IMIG_OK;
}

static int
doubt_wait(void *state, double deadline_s, imig_error **error)
{
    const fake *f = state;
    int code;

    if (faults.down[host_of(f)])
        return say_down(error);
    code = fake_wait(state, MIN(deadline_s, next_fault_s() + f->offset_s), error);
    let_happen();
    return code;
}

static int
doubt_migrate(void *state, const imig_migration *m, uint64_t *ret_job, imig_error **error)
{
    int vm = index_of(m->vm);

    if (faults.busy[vm])
        return imig_error_set(error, IMIG_ERR_BUSY, 55, "a backup is running");
    if (faults.down[m->to[0] - 'A'])
        return imig_error_set(error, IMIG_ERR_BACKEND, 38, "cannot connect");
    faults.broken[vm] = FALSE;
    return fake_migrate(state, m, ret_job, error);
}

static int
doubt_poll(void *state, uint64_t job, imig_job *into, imig_error **error)
{
    if (faults.deaf[job - 1])
        return say_down(error);
    fake_poll(state, job, into, error);
    if (faults.cancelled[job - 1])
        into->state = IMIG_JOB_CANCELLED;
    if (faults.broken[job - 1]) {
        into->state = IMIG_JOB_FAILED;
        into->error_code = IMIG_ERR_BACKEND;
        into->backend_code = 9;
        g_strlcpy(into->message, "socket closed", sizeof into->message);
    }
    return IMIG_OK;
}

static int
doubt_cancel(void *state, uint64_t job, imig_error **error)
{
    faults.cancelled[job - 1] = world.vms[job - 1].to != NULL;
    return fake_cancel(state, job, error);
}

static const imig_backend_ops doubt_ops = {
    .size = sizeof doubt_ops, .name = "doubt", .probe = doubt_probe, .open = doubt_open,
    .close = fake_close, .clock = fake_clock, .sample = fake_sample, .locate = doubt_locate,
    .wait = doubt_wait, .migrate = doubt_migrate, .poll = doubt_poll, .cancel = doubt_cancel,
    .result = doubt_poll,
};

/*
 * A row is a plan, the faults, and what must be told: "+v" VM v begins, "?v" it is in doubt, then
 * how its step ended: "v" done, "-v" failed, "~v" skipped, "/v" cancelled.  A migration takes
 * 2.5 s.  v1 and the rest are on A, B, B and C in the beginning.
 */
static const struct doubt_case {
    const char *name;
    const char *plan;     /* "v1AB": from A to B */
    const char *script;   /* faults with their time, in sequence */
    const char *told;
    const char *message;  /* begins that of the first step that is not done */
    double ended_s;       /* of the first step, to half a second; 0: no matter */
    int64_t backend_code; /* of the first step */
} cases[] = {
    { "the source's daemon is gone for 3 s", "v1AB", "1 fail v1,1 down A,4 up A",
      "+v1 ?v1 +v1 v1", NULL, 7, 0 },
    { "and for ever", "v1AB", "1 fail v1,1 down A", "+v1 ?v1 -v1",
      "socket closed; where the VM is cannot be asked: doubt:", 61, 9 },
    { "and the VM has arrived meanwhile", "v1AB", "1 fail v1,1 down A,3 put v1 B",
      "+v1 ?v1 v1", NULL, 4.5, 0 },
    { "the destination's daemon is gone for a while: no attempt is wasted", "v1AB",
      "1 fail v1,1 down B,30 up B", "+v1 ?v1 +v1 v1", NULL, 0, 0 },
    { "and for ever", "v1AB", "1 fail v1,1 down B", "+v1 ?v1 -v1",
      "socket closed; the VM runs on A; B cannot be asked: doubt:", 61, 9 },
    { "a daemon that has come back is asked through a new connection", "v1AB",
      "1 fail v1,1 dead A", "+v1 +v1 v1", NULL, 3.5, 0 },
    { "a third daemon that is gone is no matter", "v1AB", "0 down C,1 fail v1", "+v1 +v1 v1", NULL,
      3.5, 0 },
    { "the VM is lost", "v1AB", "1 fail v1,1 show v1 A absent", "+v1 ?v1 -v1",
      "socket closed; the VM is on no host", 2, 9 },
    { "it is not lost after one look", "v1AB",
      "1 fail v1,1 show v1 A absent,1.4 show v1 A truth", "+v1 ?v1 +v1 v1", NULL, 4.5, 0 },
    { "what is only defined is not there", "v1AB",
      "1 fail v1,1 show v1 A absent,1 show v1 C stopped", "+v1 ?v1 -v1",
      "socket closed; the VM is stopped on C", 6, 9 },
    { "it runs on both", "v1AB", "1 fail v1,1 show v1 B running", "+v1 ?v1 -v1",
      "socket closed; THE VM RUNS ON A AND ON B", 2, 9 },
    { "both for a moment, while it is handed over", "v1AB",
      "1 fail v1,1 show v1 B running,1.5 show v1 A absent", "+v1 ?v1 v1", NULL, 2, 0 },
    { "paused, then running", "v1AB", "1 fail v1,1 show v1 A paused,3 show v1 A truth",
      "+v1 ?v1 +v1 v1", NULL, 5.5, 0 },
    { "paused for good", "v1AB", "1 fail v1,1 show v1 A paused", "+v1 ?v1 -v1",
      "socket closed; the VM is paused on A", 6, 9 },
    { "paused on both", "v1AB", "1 fail v1,1 show v1 A paused,1 show v1 B paused",
      "+v1 ?v1 -v1", "socket closed; the VM is paused on A and paused on B", 6, 9 },
    { "an incoming copy is waited for", "v1AB", "1 fail v1,1 show v1 B paused,3 show v1 B truth",
      "+v1 ?v1 +v1 v1", NULL, 5.5, 0 },
    { "and said where it stays", "v1AB", "1 fail v1,1 show v1 B paused,7 fail v1",
      "+v1 ?v1 +v1 ?v1 -v1",
      "socket closed; the VM runs on A, and is paused on B as well", 12, 9 },
    { "it runs elsewhere", "v1AB", "1 fail v1,1 put v1 C", "+v1 -v1",
      "socket closed; the VM is running on C", 1, 9 },
    { "a migration that goes on unseen", "v1AB", "1 deaf v1", "+v1 ?v1 v1", NULL, 3, 0 },
    { "the others go on", "v1AB v3BC", "1 fail v1,1 down A", "+v1 +v3 ?v1 v3 -v1", NULL, 61, 9 },
    { "the places of a step in doubt stay taken", "v1AC v3BC", "1 fail v1,1 down A",
      "+v1 ?v1 -v1 +v3 v3", NULL, 61, 9 },
    { "a VM that was lost before its step", "v1AC v3BC", "1 show v3 B absent",
      "+v1 v1 ?v3 ~v3", "the VM is on no host", 2.5, 0 },
    { "paused before its step", "v1AC v3BC", "1 show v3 B paused", "+v1 v1 ?v3 ~v3",
      "the VM is paused on B", 2.5, 0 },
    { "paused before its step, for a moment", "v1AC v3BC",
      "1 show v3 B paused,4 show v3 B truth", "+v1 v1 ?v3 +v3 v3", NULL, 2.5, 0 },
    { "moved before its step", "v1AC v3BC", "1 put v3 A", "+v1 v1 ~v3", "the VM is running on A",
      2.5, 0 },
    { "moved to where it should go", "v1AC v3BC", "1 put v3 C", "+v1 v1 v3", NULL, 2.5, 0 },
    { "its host falls silent before its step", "v1AC v3BC", "1 down B,9 up B",
      "+v1 v1 ?v3 +v3 v3", NULL, 2.5, 0 },
    { "busy for good is not right any more", "v1AB", "0 busy v1", "~v1",
      "a backup is running; the VM is running on A", 0, 55 },
    { "cancel: a doubt is cleared up", "v1AB v3BC", "1 fail v1,1 down A,2 cancel,4 up A",
      "+v1 +v3 ?v1 /v3 /v1", "socket closed; the VM is running on A", 4.5, 9 },
    { "cancel twice: nobody waits for it", "v1AB", "1 fail v1,1 down A,2 cancel,2 cancel",
      "+v1 ?v1", "socket closed; where the VM is was not found out", 0, 9 },
};

static void
note_event(const imig_step_report *report, double clock_s, void *user_data)
{
    static const char *const marks[] = {
        [IMIG_STEP_RUNNING] = "+", [IMIG_STEP_DONE] = "", [IMIG_STEP_FAILED] = "-",
        [IMIG_STEP_SKIPPED] = "~", [IMIG_STEP_CANCELLED] = "/", [IMIG_STEP_IN_DOUBT] = "?",
    };

    (void) user_data;
    g_string_append_printf(faults.told, "%s%s%s", faults.told->len > 0 ? " " : "",
                           marks[report->state], report->vm);
    faults.told_s[index_of(report->vm)] = clock_s;
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
        char from[2] = { steps[i][2], 0 }, to[2] = { steps[i][3], 0 };

        steps[i][2] = '\0';
        step.vm = steps[i];
        step.from = from;
        step.to = to;
        step.group = i;
        step.duration_s = 2.5;
        step.reason_code = step.reason_text = "test";
        imig__plan_add_step(plan, &step);
    }
    imig__plan_set_totals(plan, &totals, &totals);
    imig__plan_set_summary(plan, &summary);
    g_strfreev(steps);
    return plan;
}

static imig_connection *
connect_doubt(void)
{
    static const char *const uris[] = { "doubt:A", "doubt:B", "doubt:C" };
    imig_context *context = imig_context_new();
    imig_connection *connection;
    imig_sample *sample;

    world = (struct world) {
        .vms = { { "v1", "A", NULL, 0 }, { "pinned2", "B", NULL, 0 }, { "v3", "B", NULL, 0 },
                 { "shy", "C", NULL, 0 } },
    };
    assert_int_equal(imig_context_register_backend(context, &doubt_ops, NULL), IMIG_OK);
    assert_int_equal(imig_connect(context, uris, HOSTS, &connection, NULL), IMIG_OK);
    imig_context_unref(context);
    assert_int_equal(imig__connection_sample(connection, &sample, NULL), IMIG_OK);
    imig__sample_free(sample);
    return connection;
}

static void
check_reports(const struct doubt_case *c, const imig_run *run, size_t n)
{
    const char *message = "";

    for (size_t i = n; i-- > 0;) {
        imig_step_report report = IMIG_STEP_REPORT_INIT;

        assert_int_equal(imig_run_get_step(run, i, &report, NULL), IMIG_OK);
        if (report.state != IMIG_STEP_DONE)
            message = report.message;
        else
            assert_string_equal(report.message, "");
        if (i == 0)
            assert_true(report.backend_code == c->backend_code);
    }
    if (c->message && !g_str_has_prefix(message, c->message))
        fail_msg("\"%s\" does not begin with \"%s\"", message, c->message);
}

static void
a_step_in_doubt_is_cleared_up(void **state)
{
    const struct doubt_case *c = *state;
    imig_execute_options options = IMIG_EXECUTE_OPTIONS_INIT;
    imig_connection *connection;
    imig_plan *plan;
    imig_run *run;

    memset(&faults, 0, sizeof faults);
    memset(faults.shown, 0xff, sizeof faults.shown); /* NOT_SHOWN */
    faults.next = c->script;
    faults.told = g_string_new(NULL);
    faults.cancel = imig_cancel_new();
    connection = connect_doubt();
    let_happen();
    plan = make_plan(c->plan);
    options.event = note_event;
    options.cancel = faults.cancel;
    assert_int_equal(imig_execute(connection, plan, &options, &run, NULL), IMIG_OK);
    assert_string_equal(faults.told->str, c->told);
    check_reports(c, run, imig_plan_step_count(plan));
    if (c->ended_s > 0 && fabs(faults.told_s[0] - c->ended_s) > 0.51)
        fail_msg("ended after %g s, not %g", faults.told_s[0], c->ended_s);
    imig_run_free(run);
    imig_plan_unref(plan);
    imig_connection_unref(connection);
    imig_cancel_unref(faults.cancel);
    g_string_free(faults.told, TRUE);
}

int
main(void)
{
    enum { ROWS = G_N_ELEMENTS(cases) };
    struct CMUnitTest tests[ROWS];

    for (size_t i = 0; i < ROWS; i++)
        tests[i] = (struct CMUnitTest) {
            .name = cases[i].name, .test_func = a_step_in_doubt_is_cleared_up,
            .initial_state = (void *) &cases[i],
        };
    return cmocka_run_group_tests_name("doubt", tests, NULL, NULL);
}
