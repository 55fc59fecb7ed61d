/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_SIM_JOB_PRIV_H
#define IMIG_SIM_JOB_PRIV_H

/* One simulated migration: from phase to phase, each ended by an event. */

#include "backend/sim-priv.h"

typedef enum imig__sim_phase {
    IMIG__SIM_SETUP,
    IMIG__SIM_DISK,   /* copies disks that are not shared */
    IMIG__SIM_ROUND,  /* copies memory while the VM runs */
    IMIG__SIM_GAP,    /* the fixed part of a round */
    IMIG__SIM_STOP,   /* copies the rest while it stands still */
    IMIG__SIM_RESUME, /* the fixed part of that */
    IMIG__SIM_PULL,   /* post-copy: it runs on the destination, the rest follows */
    IMIG__SIM_ENDED
} imig__sim_phase;

/* When a hypervisor stops copying, and what it sends and spends beside copying. */
typedef struct imig__sim_rules {
    const char *hypervisor;
    double setup_s, round_s, downtime_s; /* fixed parts */
    double page_header_bytes;            /* with each page */
    double zero_page_bytes;              /* instead of a page of zeros; 0: sent like any other */
    double stream_bytes;                 /* once, at the beginning */
    double state_bytes;                  /* while the VM stands still, besides memory */
    double queued_bytes;                 /* of those, what waits for the link; none under a cap */
    double suspend_bytes;                /* dirtied by suspending the VM */
    double downtime_limit_s;             /* stops where the rest fits into it; 0: not its rule */
    uint32_t max_rounds;                 /* live rounds; 0: for ever */
    double last_round_bytes;             /* a round of less is the last live one; 0: not its rule */
    gboolean caps_live_only;             /* a cap is off while the VM stands still, and after it */
    gboolean can_throttle;               /* knows auto-converge and post-copy */
} imig__sim_rules;

struct imig__sim_job {
    uint64_t number;
    uint32_t slot, vm, from, to;
    imig__sim_job *next[IMIG__SIM_WAYS], *prev[IMIG__SIM_WAYS]; /* on its two links */
    const imig__sim_rules *rules;
    imig__sim_phase phase;
    int32_t state;         /* an imig_job_state */
    uint64_t flags;
    double cap_bytes_per_s;/* infinite: none */
    double downtime_limit_s;
    double timeout_at_s;   /* infinite: none */
    double started_s, ended_s;

    gboolean on_link;
    double allotted;       /* by the links */
    double rate;           /* what comes of it */
    double settled_s;      /* up to when the following hold */
    double sent_bytes;
    double left_bytes;     /* until this phase ends, or its next look; as sent */
    double phase_end_s;    /* of a phase that copies nothing */

    uint32_t rounds;
    double round_bytes;    /* of memory, that this round copies */
    double round_weight;   /* bytes of memory to a byte sent, as QEMU counts what is left */
    double rest_bytes;     /* of this round, after the next look */
    double round_cpu_s;    /* the source's share of CPU time at its start */
    uint32_t high_rounds;  /* rounds that dirtied too much, for auto-converge */
    uint32_t idle_rounds;  /* rounds that gained nothing, for post-copy */
    gboolean fails;        /* half way, as the URI wants it */
    gboolean post_copy;    /* the VM runs on before all of it was copied */
    double stopped_s, downtime_s;
    int error_code;
    const char *message;
};

/* sim-precopy.c: what comes after the phase that has just ended; the clock is at its end. */
void imig__sim_job_advance(imig__sim *sim, imig__sim_job *job);
const imig__sim_rules *imig__sim_rules_of(const char *hypervisor);

/* sim-job.c: bytes copied up to now. */
void imig__sim_job_settle(const imig__sim *sim, imig__sim_job *job);
/* When something happens to it next. */
void imig__sim_job_schedule(imig__sim *sim, imig__sim_job *job);
/* It is over, well. */
void imig__sim_job_done(imig__sim *sim, imig__sim_job *job);

static inline gboolean
imig__sim_copies(const imig__sim_job *job)
{
    return job->phase == IMIG__SIM_DISK || job->phase == IMIG__SIM_ROUND ||
           job->phase == IMIG__SIM_STOP || job->phase == IMIG__SIM_PULL;
}

#endif
