/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_SIM_PRIV_H
#define IMIG_SIM_PRIV_H

/*
 * A simulated cluster on virtual time.
 *
 * What a VM is given depends on its host alone, so a host keeps the integrals of its shares over
 * time, and a VM the values they had when it was last looked at: a change on a host costs nothing
 * for the VMs on it.  Nothing here knows how migrations are predicted.
 */

#include "backend/sample-priv.h"
#include "base/base-priv.h"
#include "context/context-priv.h"
#include "model/cluster-priv.h"

#include <imig/backend.h>

enum { IMIG__SIM_PAGE_BYTES = 4096 };

/* sim-heap.c: the smallest key first, equal keys by id; ids are small numbers. */
typedef struct imig__sim_heap {
    double *key;        /* [room] by id */
    uint32_t *position; /* [room] by id, where it stands in `ids`; IMIG_NO_INDEX: nowhere */
    uint32_t *ids;      /* [count] the heap */
    uint32_t count, room;
} imig__sim_heap;

void imig__sim_heap_set(imig__sim_heap *heap, uint32_t id, double key); /* enters or moves it */
void imig__sim_heap_remove(imig__sim_heap *heap, uint32_t id);
void imig__sim_heap_clear(imig__sim_heap *heap);

/* What a host's shares add up to over time. */
typedef struct imig__sim_shares {
    double cpu_s;   /* of the cores a VM wants, the part it gets */
    double disk_s;  /* of the disk operations */
    double crowd_s; /* cpu x CPU load of the host, as far as it is served */
    double queue_s; /* cpu x disk load */
    double mix_s;   /* cpu x disk */
} imig__sim_shares;

typedef struct imig__sim_job imig__sim_job;

/* One direction of a host's network, as migrations see it. */
typedef enum imig__sim_way { IMIG__SIM_OUT, IMIG__SIM_IN, IMIG__SIM_WAYS } imig__sim_way;

typedef struct imig__sim_link {
    uint32_t id;          /* 2 x host + way */
    double bytes_per_s;   /* for migrations */
    double full_bytes_per_s; /* if VMs sent nothing; of the way out only */
    imig__sim_job *first; /* those that are using it */
    double left;          /* while rates are worked out: not yet given away, */
    uint32_t open;        /* and jobs that have no rate yet */
    gboolean touched;     /* to be worked out again */
    gboolean collected;   /* is being worked out */
} imig__sim_link;

typedef struct imig__sim_host {
    imig__sim_link link[IMIG__SIM_WAYS];
    uint32_t first_vm;      /* of the list of VMs on it */
    double net_bytes_per_s; /* stated, or assumed */
    double memory_left;     /* for further VMs */
    double demand_cores;    /* wanted by the VMs that run */
    double dirtying;        /* of its VMs: sum of dirty rate / net, at most 1 each */
    double cpu_ratio;       /* shares at present */
    double disk_most;       /* used / capacity, at most: 1, or what the document says */
    double disk_ratio;
    double disk_load;       /* used / capacity, at most 1 */
    double settled_s;       /* when the integrals were brought up to date */
    imig__sim_shares shares;
} imig__sim_host;

/* A VM whose dirty pages are logged. */
typedef struct imig__sim_log {
    double start_s;
    double cpu_s;        /* its host's share then */
    double truth_bytes;  /* at the last reading */
    double shown_bytes;  /* the same with noise */
} imig__sim_log;

typedef struct imig__sim_vm {
    uint32_t host, next, prev;   /* IMIG_NO_INDEX at the ends of the list */
    gboolean stopped;
    double demand_cores;
    double dirty_bytes_per_s;    /* where it gets all the CPU it wants */
    double working_set_bytes;
    double throttled;            /* by its migration: share of the CPU taken away */
    double slowdown;             /* by its migration: share of the work lost */
    double settled_s;
    imig__sim_shares mark;       /* its host's, then */
    /* Since it came here: time it ran, its shares, and the rest of that time.  The rest is summed
       on its own: a difference of sums may fall, which counters must not. */
    double active_s, cpu_s, disk_s, wait_s;
    double work_s;               /* core-seconds of useful work since the beginning */
    imig__sim_job *job;
    imig__sim_log *log;
} imig__sim_vm;

typedef struct imig__sim_fault {
    uint32_t fail_count; /* migrations of this VM that still have to fail */
    gboolean stuck;      /* its migrations never converge */
} imig__sim_fault;

/* The query of the URI. */
typedef struct imig__sim_options {
    char *file, *state;
    double noise;      /* standard deviation / value of every measurement */
    double pace;       /* virtual seconds per second; 0: as fast as possible */
    uint32_t seed;
    GPtrArray *faults; /* "fail=VM:N", "stuck=VM"; resolved when the document is read */
} imig__sim_options;

typedef struct imig__sim {
    imig__sim_options options;
    imig_cluster *cluster; /* the document; hosts of VMs and rates as they were */
    double clock_s;
    imig__sim_host *hosts; /* [host_count] */
    imig__sim_vm *vms;     /* [vm_count] */
    imig__sim_fault *faults; /* [vm_count]; NULL: none */
    uint32_t *flow_start;  /* [vm_count + 1] into flow_list: the flows a VM sends or receives */
    uint32_t *flow_list;

    GPtrArray *jobs;       /* by slot; NULL: free */
    GArray *free_slots;
    GHashTable *by_number; /* number -> imig__sim_job */
    uint64_t last_job;
    imig__sim_heap events; /* by slot: when something happens to the job next */
    gboolean happened;     /* a job ended since the last wait */

    GPtrArray *touched;    /* links whose rates have to be worked out again */
    GPtrArray *component;  /* links that hang together by jobs */
    GPtrArray *capped;     /* jobs in it that have a cap */
    imig__sim_heap levels; /* of the links that are being worked out */

    GRand *rand;
    double *shown;         /* [IMIG__COUNTER_COUNT * vm_count] with noise, */
    double *truth;         /* and without */
    double *shown_flow;    /* [flow_count] */
    double *truth_flow;
} imig__sim;

/* sim-uri.c */
int imig__sim_parse(const char *uri, imig__sim_options *options, imig_error **error);
void imig__sim_options_clear(imig__sim_options *options);
int imig__sim_read_cluster(const imig__sim_options *options, imig_cluster **cluster,
                           imig_error **error);
int imig__sim_resolve_faults(imig__sim *sim, imig_error **error);
/* Writes the present state atomically; no option "state": nothing. */
int imig__sim_write_state(imig__sim *sim, imig_error **error);

/* sim-host.c */
void imig__sim_hosts_init(imig__sim *sim);
/* Brings what a VM got up to now; before anything about it changes. */
void imig__sim_settle(imig__sim *sim, uint32_t vm);
/* The VMs of this host, or what they do, changed. */
void imig__sim_refresh(imig__sim *sim, uint32_t host);
void imig__sim_move(imig__sim *sim, uint32_t vm, uint32_t host);
/* The host's share of CPU time since the beginning. */
double imig__sim_cpu_s(imig__sim *sim, uint32_t host);
/* At present; and as a share of its host's network, at most 1. */
double imig__sim_dirty_rate(const imig__sim *sim, uint32_t vm);
double imig__sim_dirty_ratio(const imig__sim *sim, uint32_t vm);
/* Bytes dirtied while the host's share of CPU time grew by cpu_s, as a set. */
double imig__sim_dirtied(const imig__sim *sim, uint32_t vm, double cpu_s);
double imig__sim_memory_need(const imig__sim *sim, uint32_t vm, uint32_t host);

/* sim-link.c */
void imig__sim_link_touch(imig__sim *sim, uint32_t host);
void imig__sim_link_enter(imig__sim *sim, imig__sim_job *job);
void imig__sim_link_leave(imig__sim *sim, imig__sim_job *job);
/* Works out the rates of all jobs that share links with what was touched. */
void imig__sim_rebalance(imig__sim *sim);

/* sim-sample.c */
int imig__sim_sample(void *state, imig_sample *into, imig_error **error);
void imig__sim_counters_restart(imig__sim *sim, uint32_t vm);
int imig__sim_dirty_start(void *state, const char *vm, imig_error **error);
int imig__sim_dirty_read(void *state, const char *vm, imig_dirty_point *into, imig_error **error);
int imig__sim_dirty_stop(void *state, const char *vm, imig_error **error);

/* sim-job.c */
uint32_t imig__sim_find_vm(const imig__sim *sim, const char *id);
int imig__sim_check(void *state, const char *vm, const char *host, imig_error **error);
int imig__sim_migrate(void *state, const imig_migration *migration, uint64_t *ret_job,
                      imig_error **error);
int imig__sim_poll(void *state, uint64_t job, imig_job *into, imig_error **error);
int imig__sim_cancel(void *state, uint64_t job, imig_error **error);
int imig__sim_result(void *state, uint64_t job, imig_job *into, imig_error **error);
/* Takes the VM back to the source, unless the hand-over has begun. */
void imig__sim_job_give_up(imig__sim *sim, imig__sim_job *job, int32_t state, int code,
                           const char *message);
void imig__sim_job_free(imig__sim *sim, imig__sim_job *job);
/* The clock is at the time of its event. */
void imig__sim_job_event(imig__sim *sim, imig__sim_job *job);

#endif
