/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_CONNECT_PRIV_H
#define IMIG_CONNECT_PRIV_H

/* Several backends behind one connection, and what the monitor asks of it. */

#include "backend/sample-priv.h"
#include "base/base-priv.h"
#include "context/context-priv.h"
#include "model/capacities-priv.h"

#include <imig/connect.h>

/* One URI.  One that is missing takes no part in clock and wait, and is tried at every sample. */
typedef struct imig__member {
    const imig_backend_ops *ops;
    void *state;
    gboolean is_open;     /* FALSE: it could never be opened */
    gboolean silent;      /* its last sample failed; a state that stays silent is opened anew */
    char *missing;        /* "URI: reason"; NULL: it takes part */
    imig_cluster *last;   /* what it last showed, where there are others; NULL: never */
    imig_context *context;/* the connection's */
    char *uri;
    char *shown;          /* the URI without its secrets, for people */
    char *migrate_uri;    /* NULL: the backend's choice */
    char *id;             /* stands for the id of its only host; NULL: none */
    double clock_offset_s;/* its clock less the connection's */
    size_t running;       /* jobs that have not been seen to end */
    size_t jobs;          /* that have a number, ended or not */
} imig__member;

struct imig_connection {
    imig_context *context;
    imig__member *members;
    size_t member_count;
    imig__member *reference; /* whose clock is the connection's; NULL: nothing is open yet */
    double clock_s;    /* as it was last read: it never goes back */
    GHashTable *hosts; /* id -> imig__host_entry, as the last sample showed them */
    imig__capacities *capacities; /* what the caller knows better; NULL: nothing */
    gboolean capacities_known;    /* every host that they name was there once */
    GHashTable *jobs;  /* number -> struct of connect-job.c */
    uint64_t last_job;
};

typedef struct imig__host_entry {
    imig__member *member;
    char *own_id; /* what its backend calls it */
} imig__host_entry;

/* An empty table of hosts. */
GHashTable *imig__hosts_new(void);

/* One reference; n members, of which nothing is known. */
imig_connection *imig__connection_new(imig_context *context, size_t n);

/* Opens a member, or opens it anew: its jobs are lost then, the state it had stays on failure. */
int imig__member_open(imig_connection *connection, imig__member *member, imig_error **error);

/* Does this code say that a hypervisor does not answer, which others do not suffer from? */
gboolean imig__is_silence(int code);

/* The member is missing from now on, or no longer: a warning, once each time. */
void imig__member_lost(imig__member *member, const imig_error *error);
void imig__member_back(imig__member *member);

/* May VMs go from one to the other?  Where one is behind an agent, what it serves counts. */
gboolean imig__member_is_alike(const imig__member *a, const imig__member *b);

/* Gives words to an answer that has none, and keeps strange codes and secrets from getting out. */
int imig__member_answer(const imig__member *member, const char *what, int code,
                        imig_error **error);

/* Puts the URI in front of the message, where it does not begin with it. */
void imig__member_prefix(const imig__member *member, imig_error **error);

/* For a slot that is missing. */
int imig__member_unsupported(const imig__member *member, const char *what, imig_error **error);

/* Where this member alone says that a VM is; the host is the backend's own id of it. */
int imig__member_locate(const imig__member *member, const char *vm, imig_location *location,
                        imig_error **error);

/* Of two answers about one VM: during a migration both ends know it, and the source's counts. */
int imig__state_rank(int32_t state);

/* As imig_connection_locate(), and whose VM it is; *member is NULL where it is absent.  The host in
   the location is the backend's own id of it. */
int imig__connection_find_vm(imig_connection *connection, const char *vm, imig__member **member,
                             imig_location *location, imig_error **error);

/* Asks for the jobs that are running: did one of them end? */
gboolean imig__connection_job_ended(imig_connection *connection);

/* The host with this id, its member missing or not; samples once where it is not known. */
int imig__connection_find_host(imig_connection *connection, const char *id,
                               const imig__host_entry **entry, imig_error **error);

/* Every host and VM of every member that answers; hosts of the others are offline, their VMs left
   out.  Fails only where nobody answers, or where one fails in another way than by silence. */
int imig__connection_sample(imig_connection *connection, imig_sample **sample, imig_error **error);

/* Until then, whatever happens meanwhile; IMIG_ERR_CANCELLED where that is wished, soon. */
int imig__connection_wait_until(imig_connection *connection, double until_s,
                                const imig_cancel *cancel, imig_error **error);

/* Dirty logging of one VM that is on a host of the last sample. */
int imig__connection_dirty_start(imig_connection *connection, const char *host, const char *vm,
                                 imig_error **error);
int imig__connection_dirty_stop(imig_connection *connection, const char *host, const char *vm,
                                imig_error **error);

/* Points of one VM, later ones behind; each array has room for so many. */
typedef struct imig__dirty_points {
    double *elapsed_s, *dirtied_bytes, *grain_bytes;
    size_t count, room;
} imig__dirty_points;

/* Puts a point behind those there are, later than they and, where pages were counted, no less; one
   for the same time as the last stands in its place, as does a later one where there is no room.
   FALSE: it is no further one, as where a backend has nothing new yet. */
gboolean imig__dirty_keep(const imig_dirty_point *point, imig__dirty_points *points);

/* Reads a VM's point, and those that wait behind it. */
int imig__dirty_collect(imig_connection *connection, const char *host, const char *vm,
                        imig__dirty_points *points, imig_error **error);

/* Who has no point at the end of the asked time is asked so often for so long: hypervisors that
   estimate over whole seconds need more than they were given. */
#define IMIG__DIRTY_AGAIN_S    0.5
#define IMIG__DIRTY_PATIENCE_S 5.0

/* When to take reading k of n: close together at first, where the curve bends. */
double imig__dirty_reading_s(double for_s, size_t n, size_t k);

#endif
