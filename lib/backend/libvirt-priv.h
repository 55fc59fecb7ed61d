/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_LIBVIRT_PRIV_H
#define IMIG_LIBVIRT_PRIV_H

/*
 * The module for libvirt.  One URI is one host.  Calls into libvirt have no time-out of their own,
 * so each runs on a thread that its caller waits for and, if need be, leaves behind.
 */

#include <glib.h>
#include <imig/backend.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

/* What the library gave to the module. */
extern const imig_module_api *lv_api;

#define LV_CALL_S 10.0 /* a daemon that has not answered after it counts as hanging */
#define LV_HANG_S 60.0 /* so long one call that hangs stands for all that would */

/* ---- libvirt-base.c ---- */

/* One failure, copied out of libvirt or of our own. */
typedef struct lv_failure {
    int code;             /* an imig_errcode; IMIG_OK: none */
    int64_t backend_code; /* a virErrorNumber, or 0 */
    gboolean lost;        /* the connection is of no use any more */
    char message[1024];
} lv_failure;

/* The last error of libvirt on this thread; returns its imig_errcode. */
int lv_failure_take(lv_failure *failure, const char *what);
int lv_failure_set(lv_failure *failure, int code, const char *format, ...) G_GNUC_PRINTF(3, 4);
int lv_failure_give(const lv_failure *failure, imig_error **error);
int lv_fail(imig_error **error, int code, const char *format, ...) G_GNUC_PRINTF(3, 4);
void lv_log(int32_t level, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Keeps libvirt from printing what is reported anyway; as the process allows. */
void lv_keep_quiet(virConnectPtr connection);

/* A thread that nobody joins.  Signals are the program's own business, and a daemon that hangs up
   must not kill it by SIGPIPE: the thread has all of them blocked.  FALSE: there can be no more. */
gboolean lv_thread(const char *name, GThreadFunc run, void *data);

/* ---- libvirt-session.c ---- */

/* A connection and what was learnt over it; used by one call at a time, freed by the last. */
typedef struct lv_session {
    gint refs;
    virConnectPtr connection;
    char *hostname, *hypervisor;
    char *host_cpu;         /* <cpu> of the host, for comparisons; NULL: not known */
    double cpu_cores, memory_bytes;
    double net_bytes_per_s; /* 0: not known */
    GHashTable *facts;      /* UUID -> lv_facts, see libvirt-facts.c */
} lv_session;

/* Connects, with libvirt's own configuration of credentials; NULL: see the failure. */
lv_session *lv_session_open(const char *uri, lv_failure *failure);
lv_session *lv_session_ref(lv_session *session);
/* Closing may hang, so the last reference lets a thread do it. */
void lv_session_unref(lv_session *session);

/* A bare connection for a job; close it with virConnectClose(). */
virConnectPtr lv_connect(const char *uri, lv_failure *failure);

/* libvirt's event loop on a thread of ours, without which there is no keepalive. */
void lv_loop_start(void);

/* ---- libvirt-call.c ---- */

typedef struct lv_host lv_host;

/* One call.  Embed it first; what it needs and yields lies behind it and belongs to it, since its
   caller may be gone by the time it ends. */
typedef struct lv_call {
    gint refs;
    /* Runs on the call's thread, perhaps twice: a connection may turn out to be lost. */
    int (*run)(struct lv_call *call);
    void (*clear)(struct lv_call *call); /* frees what lies behind it; NULL: nothing to free */
    lv_session *session;
    lv_failure failure;
    char *uri;
    gint64 alive_us; /* when it began, or last got an answer; guarded by the lock, as is done */
    gboolean done;
    GMutex lock;
    GCond ended;
} lv_call;

void *lv_call_new(size_t size, int (*run)(lv_call *), void (*clear)(lv_call *));
void lv_call_unref(lv_call *call);

/* It is made of many, and got on: its time begins anew. */
void lv_call_goes_on(lv_call *call);

/* Makes the call; its session is the host's from then on.  The caller keeps its reference. */
int lv_call_make(lv_host *host, lv_call *call, imig_error **error);

/* The next call makes a new connection: one may say that it is alive and be of no use. */
void lv_call_anew(lv_host *host);

/* ---- libvirt-facts.c ---- */

/* What only the definition of a VM says; looked at again now and then. */
typedef struct lv_facts {
    int domain_id;        /* changes when it starts anew */
    gint64 read_us;
    uint32_t vcpus;
    double memory_bytes;
    const char *blocked;  /* a constant text, or NULL */
    gboolean emulated;    /* its CPU is not the host's */
    char *cpu;            /* <cpu> of the VM; NULL: none */
    gboolean passes_cpu;  /* ... which is the host's own */
    char **host_view;     /* NULL-ended: devices whose counters are the host's, not the VM's */
    GHashTable *shared;   /* target of each writable disk -> 1 shared, 2 not */
    GHashTable *bytes;    /* target -> size of the disk, a double, as it was last told */
} lv_facts;

/* Read now; the caller's.  NULL: see the failure. */
lv_facts *lv_facts_read(virConnectPtr connection, virDomainPtr domain, lv_failure *failure);
void lv_facts_free(void *facts);

/* Lent until the next call; NULL: see the failure. */
lv_facts *lv_facts_get(lv_session *session, virDomainPtr domain, const char *uuid, gboolean fresh,
                       lv_failure *failure);
/* Those of VMs that have long gone. */
void lv_facts_forget(lv_session *session);

/* The virDomainJobOperation that is under way on a VM; -1: none.  Does not wait for a hypervisor
   that hangs: what it does is unknown then. */
int lv_operation(virDomainPtr domain);

/* The text of the first node of an XPath; free() it. */
char *lv_xml_text(const char *xml, const char *xpath);

/* ---- libvirt-sample.c ---- */

int lv_sample(void *state, imig_sample *into, imig_error **error);

/* ---- libvirt-dirty.c ---- */

int lv_dirty_start(void *state, const char *vm, imig_error **error);
int lv_dirty_read(void *state, const char *vm, imig_dirty_point *into, imig_error **error);
int lv_dirty_stop(void *state, const char *vm, imig_error **error);
gboolean lv_dirty_runs(lv_host *host, const char *vm);
void lv_dirty_free(void *logger);

/* ---- libvirt-job.c, libvirt-migrate.c, libvirt-watch.c ---- */

/* Wakes who waits for a job to end; shared by a host and its jobs. */
typedef struct lv_bell {
    gint refs;
    GMutex lock;
    GCond rung;
    guint rings;
} lv_bell;

lv_bell *lv_bell_new(void);
lv_bell *lv_bell_ref(lv_bell *bell);
void lv_bell_unref(lv_bell *bell);

/* One migration: a thread moves, another one watches. */
typedef struct lv_job {
    gint refs;
    /* As asked for; never changes. */
    char *vm, *uri, *to_uri, *migrate_uri, *to;
    uint64_t flags;
    double bandwidth_bytes_per_s, downtime_limit_s, max_downtime_s, timeout_s;
    int32_t on_stall;
    double epoch_s;       /* of the host's clock */
    lv_bell *bell;        /* its lock guards what follows */
    imig_job info;
    double seen_s;        /* when the watch last saw it under way */
    gboolean begun;       /* libvirt has been told to migrate */
    gboolean returned;    /* and has answered: nothing happens any more */
    gboolean cancel;      /* asked for */
    const char *stopped;  /* why we ended it ourselves, a constant text; NULL: not so */
    int stopped_code;
    gboolean switched;    /* to post-copy */
} lv_job;

/* The lock of the bell is held: the job has this outcome from now on. */
void lv_job_end(lv_job *job, int32_t state, int code, const char *message);


int lv_migrate(void *state, const imig_migration *migration, uint64_t *ret_job,
               imig_error **error);
int lv_poll(void *state, uint64_t job, imig_job *into, imig_error **error);
int lv_cancel(void *state, uint64_t job, imig_error **error);
int lv_result(void *state, uint64_t job, imig_job *into, imig_error **error);

/* Is a job of ours moving this VM? */
gboolean lv_job_runs(lv_host *host, const char *vm);

/* Asks every job to stop and waits for them for a while. */
void lv_jobs_end(lv_host *host);

/* A statistic of a job by its name; NaN: it is not there. */
double lv_stat(virTypedParameterPtr params, int n, const char *name);

lv_job *lv_job_ref(lv_job *job);
void lv_job_unref(lv_job *job);
double lv_job_clock(const lv_job *job);

/* The threads of a job; each takes a reference. */
void *lv_job_move(void *job);
void *lv_job_watch(void *job);

/* ---- libvirt.c ---- */

/* The state of one URI. */
struct lv_host {
    gint refs;
    char *uri;
    double epoch_s;       /* the clock is this and the time since the machine started */
    lv_bell *bell;
    guint rings_seen;
    uint64_t last_job;
    GHashTable *jobs;     /* number -> lv_job */
    GHashTable *loggers;  /* UUID -> struct of libvirt-dirty.c */
    GMutex lock;          /* guards what follows: check() uses other hosts, too */
    lv_session *session;  /* NULL: to be opened */
    char *name;           /* as last seen; NULL: never */
};

double lv_clock(void *state);

/* Another open URI that leads to this host, with a reference; NULL: none. */
lv_host *lv_host_find(const lv_host *besides, const char *name);
void lv_host_rename(lv_host *host, const char *name);
void lv_host_unref(lv_host *host);

/* ---- libvirt-check.c ---- */

int lv_check(void *state, const char *vm, const char *host, imig_error **error);

#endif
