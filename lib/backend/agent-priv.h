/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_AGENT_PRIV_H
#define IMIG_AGENT_PRIV_H

/*
 * A backend in a process of its own: agent.c asks, agent-child.c keeps the process, agent-serve.c
 * answers, and agent-json.c is what both say, imig-agent/1, one document per line.
 */

#include "backend/sample-priv.h"
#include "base/base-priv.h"
#include "context/context-priv.h"

#include <imig/agent.h>

#define IMIG__AGENT_FORMAT "imig-agent/1"

/* Longest lines, in bytes: a sample of 200,000 VMs is 80 MB. */
#define IMIG__AGENT_LINE_MAX ((size_t) 64 << 10)
#define IMIG__AGENT_SAMPLE_MAX ((size_t) 256 << 20)

typedef enum imig__agent_op {
    IMIG__AGENT_CLOCK, IMIG__AGENT_SAMPLE, IMIG__AGENT_LOCATE, IMIG__AGENT_WAIT,
    IMIG__AGENT_CHECK, IMIG__AGENT_DIRTY_START, IMIG__AGENT_DIRTY_READ, IMIG__AGENT_DIRTY_STOP,
    IMIG__AGENT_MIGRATE, IMIG__AGENT_POLL, IMIG__AGENT_CANCEL, IMIG__AGENT_RESULT,
    IMIG__AGENT_OPS
} imig__agent_op;

/* As they are called in requests and messages. */
extern const char *const imig__agent_op_names[IMIG__AGENT_OPS];

/* ---- agent-json.c ---- */

/* A failure that travels; code IMIG_OK: none. */
typedef struct imig__agent_failure {
    int32_t code;
    int64_t backend_code;
    char *message;
} imig__agent_failure;

/* The first line of an agent: its backend is open, or has failed to open. */
typedef struct imig__agent_greeting {
    imig__agent_failure failure;
    int32_t is_virtual; /* its clock stands still between operations */
    double clock_s;
    unsigned given;     /* for the reader */
} imig__agent_greeting;

typedef struct imig__agent_request {
    uint32_t id;
    int32_t op; /* an imig__agent_op; what follows counts where it needs it */
    const char *vm, *host;
    double deadline_s;
    uint64_t job;
    imig_migration migration;
    GPtrArray *texts; /* for the reader: keeps what the pointers above point to */
    unsigned given;   /* for the reader */
} imig__agent_request;

typedef struct imig__agent_reply {
    uint32_t id;
    double clock_s; /* after the operation */
    imig__agent_failure failure;
    imig_location location;   /* locate */
    imig_dirty_point point;   /* dirty_read */
    uint64_t job;             /* migrate */
    imig_job report;          /* poll, result */
    imig_sample *sample;      /* sample: lent by who writes, to be filled by who reads */
} imig__agent_reply;

/* Append one line. */
void imig__agent_put_greeting(GString *line, const char *backend,
                              const imig__agent_greeting *greeting);
void imig__agent_put_request(GString *line, const imig__agent_request *request);
void imig__agent_put_reply(GString *line, int32_t op, const imig__agent_reply *reply);

/* What is read is to be cleared in either case.  They answer as imig__json_read(). */
int imig__agent_read_greeting(const char *line, size_t length, imig__agent_greeting *greeting,
                              imig_error **error);
int imig__agent_read_request(const char *line, size_t length, imig__agent_request *request,
                             imig_error **error);
int imig__agent_read_reply(const char *line, size_t length, int32_t op, imig__agent_reply *reply,
                           imig_error **error);

void imig__agent_request_clear(imig__agent_request *request);
void imig__agent_failure_clear(imig__agent_failure *failure);

/* ---- agent-uri.c ---- */

/* The command that serves this URI, to be freed with g_strfreev(). */
int imig__agent_command(const imig__agent_settings *settings, const char *uri, char ***argv,
                        imig_error **error);

/* 1 for "agent:..." and "xenctl+ssh:..."; what belongs to the second alone is the remote part. */
int imig__agent_probe(const char *uri);

/* A URI as the agent at the other end of `uri` is to see it: without an "agent:" of our own. */
const char *imig__agent_far_uri(const char *uri);

/* ---- agent-child.c ---- */

typedef struct imig__agent_child {
    GPid pid;      /* 0: none */
    int fd;        /* both ways */
    GString *line; /* the last one received, or as much of it as there is */
} imig__agent_child;

void imig__agent_child_init(imig__agent_child *child);

/* Starts the command, in a session of its own: what a terminal sends is not for it. */
int imig__agent_child_start(imig__agent_child *child, char **argv, imig_error **error);

/* Moments on the local monotonic clock, in microseconds.  IMIG_ERR_TIMEOUT: not in time;
   IMIG_ERR_IO: the other end is closed; IMIG_ERR_INVALID: more than one line, or a longer one. */
int imig__agent_child_send(imig__agent_child *child, const char *text, size_t length,
                           int64_t until_us);
int imig__agent_child_receive(imig__agent_child *child, size_t longest, int64_t until_us);

/* Closes the connection, waits so long for the end of the process, and kills it then.  Says in
   words how it ended, to be freed. */
char *imig__agent_child_end(imig__agent_child *child, double grace_s);

void imig__agent_child_clear(imig__agent_child *child);

#endif
