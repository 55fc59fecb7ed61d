/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/agent-json-priv.h"

#include <math.h>
#include <string.h>

/* Whole numbers above this are not all doubles. */
#define WHOLE_MAX 9007199254740992.0

const char *const imig__agent_op_names[IMIG__AGENT_OPS] = {
    "clock", "sample", "locate", "wait", "check", "dirty_start", "dirty_read", "dirty_stop",
    "migrate", "poll", "cancel", "result",
};

static const char *const clock_names[] = { "real", "virtual" };
static const char *const stall_actions[] = { "abort", "raise-downtime", "go-on" };
static const char *const flag_names[] = {
    "copy-disks", "unsafe", "auto-converge", "post-copy", "encrypt",
};

/* What a request gives besides its id; each operation needs some of it and takes no more. */
enum { OP = 1, VM = 2, HOST = 4, DEADLINE = 8, JOB = 16, MIGRATION = 32 };

static const unsigned needs[IMIG__AGENT_OPS] = {
    [IMIG__AGENT_CLOCK] = OP,
    [IMIG__AGENT_SAMPLE] = OP,
    [IMIG__AGENT_LOCATE] = OP | VM,
    [IMIG__AGENT_WAIT] = OP | DEADLINE,
    [IMIG__AGENT_CHECK] = OP | VM | HOST,
    [IMIG__AGENT_DIRTY_START] = OP | VM,
    [IMIG__AGENT_DIRTY_READ] = OP | VM,
    [IMIG__AGENT_DIRTY_STOP] = OP | VM,
    [IMIG__AGENT_MIGRATE] = OP | MIGRATION,
    [IMIG__AGENT_POLL] = OP | JOB,
    [IMIG__AGENT_CANCEL] = OP | JOB,
    [IMIG__AGENT_RESULT] = OP | JOB,
};

/* ---- failures, and other parts ---- */

void
imig__agent_put_text(imig__json_out *out, const char *key, const char *text, size_t longest)
{
    char *clean = g_utf8_make_valid(text, -1);
    size_t length = strlen(clean);

    if (length > longest) {
        for (length = longest; (clean[length] & 0xc0) == 0x80; length--)
            ;
        clean[length] = '\0';
    }
    imig__json_put_text(out, key, clean);
    g_free(clean);
}

void
imig__agent_put_job(imig__json_out *out, uint64_t job)
{
    char text[24];

    g_snprintf(text, sizeof text, "%" G_GUINT64_FORMAT, job);
    imig__json_put_text(out, "job", text);
}

int
imig__agent_read_job(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    const char *text = json_string_value(value);
    guint64 job;

    if (!text || !g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64, &job, NULL))
        return imig__json_refuse(in, path, value, "must be the number of a job, as a string");
    *(uint64_t *) field = job;
    return IMIG_OK;
}

int
imig__agent_read_code(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    const char *text = json_string_value(value);

    for (int32_t code = IMIG_ERR_ARGUMENT; code >= IMIG_ERR_IO; code--)
        if (g_strcmp0(text, imig_errcode_name(code)) == 0) {
            *(int32_t *) field = code;
            return IMIG_OK;
        }
    return imig__json_refuse(in, path, value, "no such code");
}

int
imig__agent_read_backend_code(imig__json_in *in, const imig__path *path, json_t *value,
                              void *field)
{
    double number;

    if (imig__json_number(in, path, value, &number) != IMIG_OK)
        return IMIG_ERR_INVALID;
    if (number != trunc(number) || fabs(number) > WHOLE_MAX)
        return imig__json_refuse(in, path, value, "must be a whole number");
    *(int64_t *) field = (int64_t) number;
    return IMIG_OK;
}

void
imig__agent_put_backend_code(imig__json_out *out, int64_t backend_code)
{
    if (backend_code != 0 && fabs((double) backend_code) <= WHOLE_MAX)
        imig__json_put_number(out, "backend_code", (double) backend_code);
}

void
imig__agent_put_failure(imig__json_out *out, const imig__agent_failure *failure)
{
    imig__json_put_object(out, "error");
    imig__json_put_text(out, "code", imig_errcode_name(failure->code));
    imig__agent_put_backend_code(out, failure->backend_code);
    imig__agent_put_text(out, "message", failure->message, IMIG__REASON_MAX);
    imig__json_put_end(out);
}

typedef struct failure_keys {
    int32_t code;
    int64_t backend_code;
    const char *message;
} failure_keys;

static const imig__json_key failure_table[] = {
    { "code", imig__agent_read_code, offsetof(failure_keys, code), 0, TRUE },
    { "backend_code", imig__agent_read_backend_code, offsetof(failure_keys, backend_code), 0,
      FALSE },
    { "message", imig__json_text, offsetof(failure_keys, message), 0, TRUE },
};

int
imig__agent_read_failure(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    imig__agent_failure *failure = field;
    failure_keys keys = { 0 };
    int code = imig__json_object(in, path, value, failure_table, G_N_ELEMENTS(failure_table),
                                 &keys, NULL);

    if (code != IMIG_OK)
        return code;
    *failure = (imig__agent_failure) {
        .code = keys.code, .backend_code = keys.backend_code,
        .message = g_strdup(keys.message),
    };
    return IMIG_OK;
}

void
imig__agent_failure_clear(imig__agent_failure *failure)
{
    g_clear_pointer(&failure->message, g_free);
}

/* ---- the greeting ---- */

/* What a greeting gives besides `format` and `version`. */
enum { BACKEND = 1, CLOCK = 2, CLOCK_S = 4, FAILURE = 8 };

void
imig__agent_put_greeting(GString *line, const char *backend, const imig__agent_greeting *greeting)
{
    imig__json_out out;

    imig__json_begin_line(&out, imig__json_to_string, line);
    imig__json_put_text(&out, "format", IMIG__AGENT_FORMAT);
    imig__json_put_text(&out, "version", imig_version());
    if (greeting->failure.code != IMIG_OK) {
        imig__agent_put_failure(&out, &greeting->failure);
    } else {
        imig__agent_put_text(&out, "backend", backend, IMIG__TEXT_MAX);
        imig__json_put_text(&out, "clock", clock_names[greeting->is_virtual != 0]);
        imig__json_put_number(&out, "clock_s", greeting->clock_s);
    }
    imig__json_end(&out);
}

static int
read_text_only(imig__json_in *in, const imig__path *path, json_t *value, void *state)
{
    const char *text;

    (void) state;
    return imig__json_text(in, path, value, &text);
}

static int
read_backend(imig__json_in *in, const imig__path *path, json_t *value, void *state)
{
    imig__agent_greeting *greeting = state;

    greeting->given |= BACKEND;
    return read_text_only(in, path, value, NULL);
}

static int
read_clock(imig__json_in *in, const imig__path *path, json_t *value, void *state)
{
    imig__agent_greeting *greeting = state;

    greeting->given |= CLOCK;
    return imig__json_name(in, path, value, clock_names, G_N_ELEMENTS(clock_names),
                           "no such kind of clock", &greeting->is_virtual);
}

static int
read_greeting_time(imig__json_in *in, const imig__path *path, json_t *value, void *state)
{
    imig__agent_greeting *greeting = state;

    greeting->given |= CLOCK_S;
    return imig__json_number(in, path, value, &greeting->clock_s);
}

static int
read_greeting_failure(imig__json_in *in, const imig__path *path, json_t *value, void *state)
{
    imig__agent_greeting *greeting = state;

    greeting->given |= FAILURE;
    return imig__agent_read_failure(in, path, value, &greeting->failure);
}

static const imig__json_member greeting_members[] = {
    { "version", read_text_only, NULL, NULL, TRUE },
    { "backend", read_backend, NULL, NULL, FALSE },
    { "clock", read_clock, NULL, NULL, FALSE },
    { "clock_s", read_greeting_time, NULL, NULL, FALSE },
    { "error", read_greeting_failure, NULL, NULL, FALSE },
};

int
imig__agent_read_greeting(const char *line, size_t length, imig__agent_greeting *greeting,
                          imig_error **error)
{
    int code;

    *greeting = (imig__agent_greeting) { .given = 0 };
    code = imig__json_read(line, length, IMIG__AGENT_FORMAT, greeting_members,
                           G_N_ELEMENTS(greeting_members), greeting, error);
    if (code == IMIG_OK && greeting->given != FAILURE
        && greeting->given != (BACKEND | CLOCK | CLOCK_S))
        code = imig__fail(error, IMIG_ERR_INVALID,
                          "either error or backend, clock and clock_s must be there");
    return code;
}

/* ---- requests ---- */

static void
put_migration(imig__json_out *out, const imig_migration *m)
{
    const struct { const char *key, *text; } texts[] = {
        { "vm", m->vm }, { "from", m->from }, { "to", m->to }, { "to_uri", m->to_uri },
        { "migrate_uri", m->migrate_uri },
    };
    const struct { const char *key; double number; } numbers[] = {
        { "bandwidth_bytes_per_s", m->bandwidth_bytes_per_s },
        { "downtime_limit_s", m->downtime_limit_s }, { "timeout_s", m->timeout_s },
        { "max_downtime_s", m->max_downtime_s },
    };

    imig__json_put_object(out, "migration");
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
        if (texts[i].text)
            imig__agent_put_text(out, texts[i].key, texts[i].text, IMIG__REASON_MAX);
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
        if (numbers[i].number != 0)
            imig__json_put_number(out, numbers[i].key, numbers[i].number);
    if (m->on_stall != IMIG_STALL_ABORT)
        imig__json_put_text(out, "on_stall", stall_actions[m->on_stall]);
    if (m->flags) {
        imig__json_put_array(out, "flags");
        for (size_t i = 0; i < G_N_ELEMENTS(flag_names); i++)
            if (m->flags >> i & 1)
                imig__json_put_text(out, NULL, flag_names[i]);
        imig__json_put_end(out);
    }
    imig__json_put_end(out);
}

void
imig__agent_put_request(GString *line, const imig__agent_request *r)
{
    imig__json_out out;

    imig__json_begin_line(&out, imig__json_to_string, line);
    imig__json_put_number(&out, "id", r->id);
    imig__json_put_text(&out, "op", imig__agent_op_names[r->op]);
    if (needs[r->op] & VM)
        imig__agent_put_text(&out, "vm", r->vm, IMIG__REASON_MAX);
    if (needs[r->op] & HOST)
        imig__agent_put_text(&out, "host", r->host, IMIG__REASON_MAX);
    if (needs[r->op] & DEADLINE)
        imig__json_put_number(&out, "deadline_s", r->deadline_s);
    if (needs[r->op] & JOB)
        imig__agent_put_job(&out, r->job);
    if (needs[r->op] & MIGRATION)
        put_migration(&out, &r->migration);
    imig__json_end(&out);
}

/* A text that outlives the value it was lent by. */
static const char *
keep(imig__agent_request *r, const char *text)
{
    char *copy = g_strdup(text);

    if (copy)
        g_ptr_array_add(r->texts, copy);
    return copy;
}

static int
read_id(imig__json_in *in, const imig__path *path, json_t *value, void *state)
{
    imig__agent_request *r = state;

    return imig__json_whole(in, path, value, &r->id);
}

static int
read_op(imig__json_in *in, const imig__path *path, json_t *value, void *state)
{
    imig__agent_request *r = state;

    r->given |= OP;
    return imig__json_name(in, path, value, imig__agent_op_names, IMIG__AGENT_OPS,
                           "no such operation", &r->op);
}

static int
read_vm(imig__json_in *in, const imig__path *path, json_t *value, void *state)
{
    imig__agent_request *r = state;
    int code = imig__json_text(in, path, value, &r->vm);

    r->given |= VM;
    r->vm = code == IMIG_OK ? keep(r, r->vm) : NULL;
    return code;
}

static int
read_host(imig__json_in *in, const imig__path *path, json_t *value, void *state)
{
    imig__agent_request *r = state;
    int code = imig__json_text(in, path, value, &r->host);

    r->given |= HOST;
    r->host = code == IMIG_OK ? keep(r, r->host) : NULL;
    return code;
}

static int
read_deadline(imig__json_in *in, const imig__path *path, json_t *value, void *state)
{
    imig__agent_request *r = state;

    r->given |= DEADLINE;
    return imig__json_number(in, path, value, &r->deadline_s);
}

static int
read_job(imig__json_in *in, const imig__path *path, json_t *value, void *state)
{
    imig__agent_request *r = state;

    r->given |= JOB;
    return imig__agent_read_job(in, path, value, &r->job);
}

static int
read_stall(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    return imig__json_name(in, path, value, stall_actions, G_N_ELEMENTS(stall_actions),
                           "no such action", field);
}

static int
read_flags(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    json_t *element;
    size_t i;

    if (imig__json_want_array(in, path, value) != IMIG_OK)
        return IMIG_ERR_INVALID;
    json_array_foreach(value, i, element) {
        int32_t flag;

        if (imig__json_name(in, IMIG__AT(path, i), element, flag_names, G_N_ELEMENTS(flag_names),
                            "no such flag", &flag) != IMIG_OK)
            return IMIG_ERR_INVALID;
        *(uint64_t *) field |= UINT64_C(1) << flag;
    }
    return IMIG_OK;
}

#define FIELD(name, read, required) { #name, read, offsetof(imig_migration, name), 0, required }

static const imig__json_key migration_keys[] = {
    FIELD(vm, imig__json_text, TRUE),
    FIELD(from, imig__json_text, FALSE),
    FIELD(to, imig__json_text, TRUE),
    FIELD(to_uri, imig__json_text, FALSE),
    FIELD(migrate_uri, imig__json_text, FALSE),
    FIELD(bandwidth_bytes_per_s, imig__json_number, FALSE),
    FIELD(downtime_limit_s, imig__json_number, FALSE),
    FIELD(timeout_s, imig__json_number, FALSE),
    FIELD(max_downtime_s, imig__json_number, FALSE),
    FIELD(on_stall, read_stall, FALSE),
    FIELD(flags, read_flags, FALSE),
};

static int
check_limits(imig__json_in *in, const imig__path *path, const imig_migration *m)
{
    const struct { const char *key; double number; } limits[] = {
        { "bandwidth_bytes_per_s", m->bandwidth_bytes_per_s },
        { "downtime_limit_s", m->downtime_limit_s }, { "timeout_s", m->timeout_s },
        { "max_downtime_s", m->max_downtime_s },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(limits); i++)
        if (limits[i].number < 0)
            return imig__refuse_number(IMIG__KEY(path, limits[i].key), limits[i].number,
                                       "must be at least 0", imig__json_error(in));
    return IMIG_OK;
}

static int
read_migration(imig__json_in *in, const imig__path *path, json_t *value, void *state)
{
    imig__agent_request *r = state;
    imig_migration m = IMIG_MIGRATION_INIT;
    int code = imig__json_object(in, path, value, migration_keys, G_N_ELEMENTS(migration_keys), &m,
                                 NULL);

    if (code == IMIG_OK)
        code = check_limits(in, path, &m);
    if (code != IMIG_OK)
        return code;
    m.vm = keep(r, m.vm);
    m.from = keep(r, m.from);
    m.to = keep(r, m.to);
    m.to_uri = keep(r, m.to_uri);
    m.migrate_uri = keep(r, m.migrate_uri);
    r->migration = m;
    r->given |= MIGRATION;
    return IMIG_OK;
}

static const imig__json_member request_members[] = {
    { "id", read_id, NULL, NULL, TRUE },
    { "op", read_op, NULL, NULL, TRUE },
    { "vm", read_vm, NULL, NULL, FALSE },
    { "host", read_host, NULL, NULL, FALSE },
    { "deadline_s", read_deadline, NULL, NULL, FALSE },
    { "job", read_job, NULL, NULL, FALSE },
    { "migration", read_migration, NULL, NULL, FALSE },
};

int
imig__agent_read_request(const char *line, size_t length, imig__agent_request *r,
                         imig_error **error)
{
    unsigned wrong;
    int code;

    *r = (imig__agent_request) { .texts = g_ptr_array_new_with_free_func(g_free) };
    code = imig__json_read(line, length, NULL, request_members, G_N_ELEMENTS(request_members), r,
                           error);
    if (code != IMIG_OK || r->given == needs[r->op])
        return code;
    wrong = r->given ^ needs[r->op];
    for (size_t i = 0; i < G_N_ELEMENTS(request_members) - 1; i++)
        if (wrong & 1u << i)
            return imig__fail(error, IMIG_ERR_INVALID, "%s: %s %s", request_members[i + 1].name,
                              imig__agent_op_names[r->op],
                              needs[r->op] & 1u << i ? "needs it" : "does not take it");
    return IMIG_ERR_INVALID;
}

void
imig__agent_request_clear(imig__agent_request *r)
{
    g_clear_pointer(&r->texts, g_ptr_array_unref);
}
