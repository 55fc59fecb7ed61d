/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_RUNNER_PRIV_H
#define IMIG_RUNNER_PRIV_H

/* What the loop of the executor and the doubts about single steps share. */

#include "execute/place-priv.h"
#include "execute/room-priv.h"
#include "execute/run-priv.h"

/* What is seen of a VM after an attempt that did not end well, or before the first. */
typedef enum imig__sight {
    IMIG__SIGHT_NONE,      /* not looked yet */
    IMIG__SIGHT_ARRIVED,   /* runs on the destination */
    IMIG__SIGHT_HOME,      /* runs on the source */
    IMIG__SIGHT_COPY,      /* runs on the source, and a copy that does not run is elsewhere */
    IMIG__SIGHT_CUT_OFF,   /* runs on the source; the destination cannot be asked */
    IMIG__SIGHT_MOVING,    /* is being migrated away from the source */
    IMIG__SIGHT_ELSEWHERE, /* runs on a third host */
    IMIG__SIGHT_STILL,     /* is there and does not run */
    IMIG__SIGHT_GONE,      /* is on no host, and all were asked */
    IMIG__SIGHT_TWICE,     /* runs on two hosts */
    IMIG__SIGHT_UNKNOWN,   /* who could know does not answer */
    IMIG__SIGHTS
} imig__sight;

typedef enum imig__phase {
    IMIG__UNDER_WAY, /* a job copies it */
    IMIG__AGAIN,     /* to be begun at the next turn, or from ask_s on */
    IMIG__IN_DOUBT,  /* to be asked about from ask_s on */
} imig__phase;

/* A step that has begun as far as the window goes, and has not ended. */
typedef struct imig__running {
    uint64_t job;
    uint32_t step;
    imig__phase phase;
    int32_t state;       /* an imig_job_state, as last seen */
    int32_t code;        /* why the last attempt did not end well: an imig_errcode */
    gboolean asked_to_stop;
    gboolean migrated;   /* a job was begun for it */
    double timeout_s;    /* of the last attempt */
    /* Doubt, from the first failure on; all on the connection's clock. */
    gboolean doubted;
    double since_s;
    imig__sight sight;
    double sight_since_s; /* since when it looks like that */
    double ask_s, pause_s;
} imig__running;

typedef struct imig__runner {
    imig_connection *connection;
    imig_execute_options options;
    imig_run *run;
    imig__window *window;
    GArray *running;     /* imig__running */
    imig__room *room;    /* NULL as long as all goes as planned */
    double began_s;
    const char *broken;  /* why nothing can be done any more */
} imig__runner;

/* ---- executor.c ---- */

void imig__runner_tell(const imig__runner *runner, uint32_t step);

/* Ends a step as far as the window goes, too; takes the message. */
void imig__runner_end_step(imig__runner *runner, uint32_t step, int32_t state, char *message);

/* ---- doubt.c; TRUE: the step has ended ---- */

/* An attempt did not end well: what the hypervisors say about the VM counts. */
gboolean imig__runner_fail(imig__runner *runner, imig__running *job, int code,
                           int64_t backend_code, const char *message);

/* Asks again about a step in doubt, where it is time. */
gboolean imig__runner_ask(imig__runner *runner, imig__running *job);

/* Before a step begins: does its VM still run where the plan takes it from?  *may_begin FALSE: not
   for sure; the step is in doubt then. */
gboolean imig__runner_may_begin(imig__runner *runner, imig__running *job, gboolean *may_begin);

/* It cannot be begun at this moment; later, with growing pauses, until doubt_s is over. */
gboolean imig__runner_put_off(imig__runner *runner, imig__running *job, const char *message);

#endif
