/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_XEN_HOST_PRIV_H
#define IMIG_XEN_HOST_PRIV_H

/* The part of the module for Xen that talks to the hypervisor; see xen-priv.h about its rules. */

#include "backend/xen-priv.h"

#include <xenctrl.h>
#include <xenstore.h>

/* ---- xen-hyper.c ---- */

/* For one thread; a handle does not survive a fork. */
typedef struct xe_handle {
    xc_interface *xc;
    struct xs_handle *xs;
} xe_handle;

/* IMIG_ERR_UNSUPPORTED where this is no domain 0.  Prints nothing, leaves nothing open. */
int xe_handle_open(xe_handle *handle, imig_error **error);
void xe_handle_close(xe_handle *handle);

/* A domain that may be a VM. */
typedef struct xe_domain {
    xc_domaininfo_t info;
    char uuid[XE_UUID_SIZE];
    char *name; /* NULL: it has none */
} xe_domain;

/* Every guest: an array of xe_domain, for g_array_unref().  Neither domain 0, nor the domains that
   serve others, nor what is being torn down, nor a copy that is still arriving. */
int xe_domains_read(const xe_handle *handle, GArray **ret_domains, imig_error **error);

/* The guest with this UUID, to be cleared; *found says whether there is one. */
int xe_domain_find(const xe_handle *handle, const char *uuid, xe_domain *domain, gboolean *found,
                   imig_error **error);

typedef enum xe_presence {
    XE_DOMAIN_HERE,
    XE_DOMAIN_DYING,  /* is being torn down: its log-dirty mode says yes to all, and does nothing */
    XE_DOMAIN_GONE,
    XE_DOMAIN_UNKNOWN /* the hypervisor gives no answer; errno says why */
} xe_presence;

/* Is there a domain with this number and this UUID?  Without its name, which xenstore has to be
   asked for; nothing is to be cleared. */
xe_presence xe_domain_look(const xe_handle *handle, uint32_t domid, const char *uuid,
                           xe_domain *domain);

/* The name that a domain has now, to be freed; NULL: none, or it cannot be read. */
char *xe_domain_name(const xe_handle *handle, uint32_t domid);

/* The guest with this number, where it still has this UUID. */
gboolean xe_domain_get(const xe_handle *handle, uint32_t domid, const char *uuid,
                       xe_domain *domain);
/* The same without its name, also where it is being torn down; nothing is to be cleared. */
gboolean xe_domain_peek(const xe_handle *handle, uint32_t domid, const char *uuid,
                        xe_domain *domain);
void xe_domain_clear(void *domain);

gboolean xe_domain_is_shutdown(const xe_domain *domain);

/* Stands still for the last part of a save: shut down, with the reason "suspend". */
gboolean xe_domain_is_suspended(const xe_domain *domain);

gboolean xe_domain_is_away(const xe_domain *domain); /* by its name */

/* Has a suspended domain go on as if it had never been asked.  FALSE: that failed, or it is HVM,
   whose device model stands still, too, and which the toolstack alone can wake. */
gboolean xe_domain_resume(const xe_handle *handle, uint32_t domid);

/* May it be saved, as far as one can tell without asking the toolstack? */
typedef struct xe_limits {
    gboolean shadow; /* the hypervisor can log dirty pages of PV guests */
} xe_limits;

/* Why it cannot be moved, a constant text; NULL: nothing is known against it. */
const char *xe_domain_blocked(const xe_handle *handle, const xe_limits *limits,
                              const xe_domain *domain);

/* A node of xenstore, to be freed; NULL: it is not there. */
char *xe_store_read(const xe_handle *handle, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Names of its children, NULL-ended, for g_strfreev(). */
char **xe_store_list(const xe_handle *handle, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* ---- xen-device.c ---- */

/* Adds what the devices of a domain have counted, as far as all of a kind are counted here. */
void xe_devices_count(const xe_handle *handle, const char *sys, uint32_t domid,
                      imig_vm_counters *counters);

/* A disk that is written to. */
typedef struct xe_disk {
    double bytes;       /* 0: not known */
    gboolean is_shared; /* known to be seen by the destination, too */
    char *path;         /* or its number, where that is not known */
} xe_disk;

/* Those of a domain: an array of xe_disk, for g_array_unref(). */
GArray *xe_disks_read(const xe_handle *handle, const char *sys, uint32_t domid);

/* A disk of which it is not known that the destination sees it, to be freed; NULL: none.  The
   toolstack copies none: it takes what it finds there under the same name. */
char *xe_domain_own_disk(const xe_handle *handle, const char *sys, uint32_t domid);

/* ---- xen-job.c, xen-migrate.c ---- */

/* Wakes who waits for a job to end; shared by a host and its jobs. */
typedef struct xe_bell {
    gint refs;
    GMutex lock;
    GCond rung;
    guint rings;
} xe_bell;

xe_bell *xe_bell_new(void);
xe_bell *xe_bell_ref(xe_bell *bell);
void xe_bell_unref(xe_bell *bell);

/* One migration: a thread starts the toolstack and follows it. */
typedef struct xe_job {
    gint refs;
    /* Never changes. */
    char *vm;
    uint32_t domid;
    xe_places places;
    xe_target target;
    char *limiter;       /* NULL: no cap on bandwidth */
    double timeout_s;
    double epoch_s;      /* of the host's clock */
    xe_bell *bell;       /* its lock guards what follows */
    imig_job info;
    gboolean cancel;     /* asked for */
    /* Of the thread alone. */
    xe_lock lock;
} xe_job;

typedef struct xe_host xe_host;

int xe_migrate(void *state, const imig_migration *migration, uint64_t *ret_job,
               imig_error **error);
int xe_poll(void *state, uint64_t job, imig_job *into, imig_error **error);
int xe_cancel(void *state, uint64_t job, imig_error **error);
int xe_result(void *state, uint64_t job, imig_job *into, imig_error **error);

/* Is a job of ours moving this VM? */
gboolean xe_job_runs(xe_host *host, const char *vm);
/* Asks every job to stop and waits for them for a while. */
void xe_jobs_end(xe_host *host);
void xe_job_unref(xe_job *job);
double xe_job_clock(const xe_job *job);

/* The thread of a job; takes a reference. */
void *xe_job_run(void *job);

/* ---- xen-dirty.c ---- */

/* Pages counted dirty since the bitmap was last cleaned, or ever, modulo 2^32; errno on failure,
   else 0.  No bitmap is filled: it takes no bits, ends at once, and disturbs nobody. */
int xe_dirty_peek(const xe_handle *handle, uint32_t domid, uint32_t *pages);

int xe_dirty_start(void *state, const char *vm, imig_error **error);
int xe_dirty_read(void *state, const char *vm, imig_dirty_point *into, imig_error **error);
int xe_dirty_stop(void *state, const char *vm, imig_error **error);
void xe_dirty_free(void *logger);
/* Every logger, as dirty_stop would. */
void xe_dirty_end(xe_host *host);

/* ---- xen-switch.c ---- */

/* Is somebody saving this domain who is not us, as far as one can tell?  Says who in *ret_who, to
   be freed; may be NULL.  Also TRUE where that cannot be found out: where the hypervisor does not
   answer, or where its name cannot be read while a toolstack saves some domain or other. */
gboolean xe_saved_elsewhere(const xe_handle *handle, const xe_places *places, uint32_t domid,
                            const char *uuid, char **ret_who);

/* Turns the switch of a domain on; errno where that fails, EINVAL: it is on already. */
int xe_switch_on(const xe_handle *handle, uint32_t domid);

/* Turns the switch of a domain off, unless somebody else saves it: IMIG_ERR_BUSY, then it is left
   on and written down; so it is where a save was seen to begin meanwhile.  The lock is held, and
   the switch is ours or of one who has ended. */
int xe_switch_off(const xe_handle *handle, const xe_places *places, const xe_lock *lock,
                  uint32_t domid, imig_error **error);

/* ---- xen-left.c ---- */

/* Takes the lock of a domain, for XE_USE_LOGGING or XE_USE_MIGRATING, and brings what a process
   left that has ended in order: the switch is off then, as far as anybody has written down; where
   it is on and may be somebody else's, it is left to a migration.  IMIG_ERR_BUSY where that cannot
   be done now. */
int xe_switch_take(const xe_handle *handle, const xe_places *places, const xe_domain *domain,
                   xe_use purpose, xe_lock *lock, imig_error **error);

/* The same for every domain about which something is written. */
void xe_switch_tidy(const xe_handle *handle, const xe_places *places);

/* ---- xen-sample.c ---- */

int xe_sample(void *state, imig_sample *into, imig_error **error);

/* ---- xen.c ---- */

/* The state of one URI. */
struct xe_host {
    xe_handle handle;
    xe_places places;
    xe_limits limits;
    char *name;
    double epoch_s;      /* the clock is this and the time since the machine started */
    xe_bell *bell;
    guint rings_seen;
    uint64_t last_job;
    GHashTable *jobs;    /* number -> xe_job */
    GHashTable *loggers; /* UUID -> struct of xen-dirty.c */
};

double xe_clock(void *state);

#endif
