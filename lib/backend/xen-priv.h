/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_XEN_PRIV_H
#define IMIG_XEN_PRIV_H

/*
 * The module for Xen: "xenctl:" is the host whose domain 0 this is.  Domain 0 is no VM: it is never
 * shown, measured or moved.  What it and the hypervisor hold of the memory is reserved; the CPU
 * time it takes is not counted, for what of it serves which guest is not known.
 *
 * MEASURING AND MIGRATING MUST NOT MEET.  Xen has one log-dirty switch for each domain and does
 * not know who turned it.  Turning it off, or cleaning its bitmap, under a migration makes that
 * migration lose writes and report success: the guest is gone.  Therefore
 *
 *   - one lock for each domain, a file under the lock directory, is held over measuring and over
 *     migrating, across processes;
 *   - the bitmap is peeked at and never cleaned;
 *   - whoever turns the switch on writes down before that it does, and turns it off afterwards;
 *     a record of a process that has ended is recognised, and only then is its switch turned off
 *     by another one;
 *   - "already on" is somebody else: busy;
 *   - the toolstack knows nothing of our lock.  Before the switch is turned off we look for a save
 *     of this domain that is not ours: a process of the toolstack that saves it, a name or a state
 *     that shows it on its way.  In doubt the switch stays on, and that is written down and said.
 *
 * What remains: a save that begins, and gets as far as turning the switch on, between the look and
 * the call that turns it off, a few milliseconds later.  libvirt shows nothing before it starts its
 * helper, which takes about as long to get there; `xl save` takes a little longer, a migration,
 * which reaches the other host first, far longer.  Therefore processes are looked at once more
 * afterwards: where a save has begun the switch is turned on again, and the administrator is told
 * to repeat that save.  Nobody tells him only where this process is stopped or killed between the
 * call and that look.  Whoever cannot accept that does not measure: on Xen it is done only where
 * IMIG_PROCESS_MEASURE_DIRTY says so.
 */

#include <glib.h>
#include <imig/backend.h>
#include <sys/types.h>

/* What the library gave to the module. */
extern const imig_module_api *xe_api;

#define XE_UUID_SIZE 37 /* 36 characters and the end */

/* ---- xen-error.c: no hypervisor is needed from here ... ---- */

int xe_fail(imig_error **error, int code, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* The hypervisor said no; what it said is in errno. */
int xe_fail_errno(imig_error **error, int number, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* What the last of them on this thread said. */
const char *xe_last_failure(void);
void xe_log(int32_t level, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* ---- xen-uri.c ---- */

/* Where things are; another place only in tests, and as the URI says. */
typedef struct xe_places {
    char *proc, *sys;
    char *lock_dir;
} xe_places;

int xe_uri_parse(const char *uri, xe_places *places, imig_error **error);
void xe_places_clear(xe_places *places);

/* The beginning of a small file, without the end of its last line, to be freed; NULL: there is
   none. */
char *xe_read_file(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* ---- xen-lock.c ---- */

/* What the holder of a lock has done to the domain's switch. */
typedef enum xe_use {
    XE_USE_NONE,
    XE_USE_ENABLING,  /* about to turn it on; it may have been on before */
    XE_USE_LOGGING,   /* turned it on, to measure */
    XE_USE_LEFT,      /* left it on when it went, in doubt */
    XE_USE_MIGRATING  /* lets the toolstack use it */
} xe_use;

typedef struct xe_record {
    int use; /* an xe_use */
    int pid;
    uint64_t start; /* of the process, as the kernel counts it */
    uint32_t domid;
    char uuid[XE_UUID_SIZE], boot[XE_UUID_SIZE];
} xe_record;

/* Whose is a record that was found with a lock that is free? */
typedef enum xe_verdict {
    XE_RECORD_VOID,  /* nobody's: there is none, or not of this domain as it runs now */
    XE_RECORD_ALIVE, /* of a process that lives */
    XE_RECORD_DEAD   /* of one that has ended */
} xe_verdict;

typedef struct xe_lock {
    int fd; /* -1: not held */
    char uuid[XE_UUID_SIZE];
    xe_record found; /* what was written in it when it was taken */
} xe_lock;

#define XE_LOCK_INIT { .fd = -1 }

/* IMIG_ERR_BUSY where another one holds it, in this process or elsewhere. */
int xe_lock_take(const xe_places *places, const char *uuid, xe_lock *lock, imig_error **error);

/* Writes down what is about to be done; XE_USE_NONE: it is undone. */
int xe_lock_note(const xe_places *places, const xe_lock *lock, xe_use use, uint32_t domid,
                 imig_error **error);

/* For everybody who has inherited it, too.  What is written in it stays. */
void xe_lock_release(xe_lock *lock);

xe_verdict xe_record_judge(const xe_places *places, const xe_record *record, uint32_t domid);

/* UUIDs of domains about which something is written, NULL-ended, for g_strfreev(). */
char **xe_lock_records(const xe_places *places);

/* ---- xen-saver.c ---- */

/* A process of a toolstack that saves a domain, or may do so. */
typedef struct xe_saver {
    int pid, parent;
    gboolean is_helper; /* the one that sends the memory */
    char **words;       /* of its command */
} xe_saver;

/* All there are: an array of xe_saver, for g_array_unref().  Where processes cannot be seen, it
   holds one that may save any domain. */
GArray *xe_savers_read(const char *proc);

/* The first that saves this domain, as far as one can tell; NULL: none. */
const xe_saver *xe_savers_find(const GArray *savers, uint32_t domid, const char *name,
                               const char *uuid);

/* The first that may have been told a domain by its name; NULL: none. */
const xe_saver *xe_savers_by_name(const GArray *savers);

/* The helper that this process has started for this domain; 0: there is none. */
int xe_savers_helper(const GArray *savers, uint32_t domid, int parent);

#define XE_NAME_INCOMING "--incoming"
#define XE_NAME_AWAY "--migratedaway"

/* ---- xen-counters.c ---- */

/* Add what the backends in this domain have counted; FALSE: it is not there. */
gboolean xe_count_block(const char *sys, uint32_t domid, const char *device,
                        imig_vm_counters *counters);
gboolean xe_count_net(const char *sys, const char *interface, imig_vm_counters *counters);

/* The fastest network device that is up, in bytes per second; 0: not known. */
double xe_net_speed(const char *sys);

/* Bytes that a process, and those it has waited for, have written; below 0: not known. */
double xe_written_bytes(const char *proc, int pid);

/* Does this process wait for what is to come from its standard input, as a helper that has asked xl
   for something?  FALSE also where that cannot be seen. */
gboolean xe_waits_for_answer(const char *proc, int pid);

/* ---- xen-rounds.c ---- */

#define XE_PAGE_BYTES 4096.0

/* Rounds of a migration under way, as far as looks at the count of dirty pages show them: what is
   shorter than the time between two looks is part of the round before.  `rounds` 0: none yet. */
typedef struct xe_rounds {
    uint32_t rounds;          /* begun so far */
    uint32_t pages, before;   /* counted at the last look, and when the round began */
    double round_bytes;       /* to be sent in this one */
    double sent_before, began_s;
    double dirty_bytes_per_s; /* in this round, or where it is young the one before; below 0: not
                                 known yet */
} xe_rounds;

/* The first one, which sends all memory; the count goes on from what was logged before. */
void xe_rounds_begin(xe_rounds *rounds, uint32_t pages, double memory_bytes, double now_s);
void xe_rounds_look(xe_rounds *rounds, uint32_t pages, double sent_bytes, double now_s);
/* The VM stands still from now on. */
void xe_rounds_last(xe_rounds *rounds, double sent_bytes, double now_s);
double xe_rounds_remaining(const xe_rounds *rounds, double sent_bytes);

/* ---- xen-disk.c ---- */

/* What serves a device. */
typedef enum xe_server {
    XE_SERVER_KERNEL,   /* of this domain, which counts */
    XE_SERVER_PROCESS,  /* of this domain */
    XE_SERVER_ELSEWHERE /* another domain, or what is not known here */
} xe_server;

/* By the place of its backend in xenstore; NULL is allowed. */
xe_server xe_server_of(const char *backend);

/* The file or device of a disk, or what its script is told, in the params of its backend. */
const char *xe_disk_path(xe_server server, const char *params);

/* Linux' backend counts in 512 bytes, whatever it says of its sectors; others in sectors. */
double xe_disk_bytes(xe_server server, double sectors, double sector_bytes);

/* Is this file or device known to be one that other hosts see, too, under the same name?  device:
   what a script has made of a path that is none; may be NULL. */
gboolean xe_disk_is_shared(const char *sys, const char *path, const char *device);

/* The same of a block device, by the kernel's name and the path that it is known by. */
gboolean xe_device_is_shared(const char *sys, const char *name, const char *path);

/* ---- xen-xl.c ---- */

/* What runs a command on the destination, as `xl migrate -s` takes it, and what that is told. */
typedef struct xe_target {
    char *transport, *host;
    gboolean is_ssh;
} xe_target;

/*
 * From the address that other hosts reach the destination by, "[USER@]HOST", "ssh://HOST:PORT", or
 * "PROGRAM://HOST" for another transport; else from the URI "xenctl+ssh://HOST".
 */
int xe_target_find(const imig_migration *m, xe_target *target, imig_error **error);
void xe_target_clear(xe_target *target);

/* What lets so many bytes a second through, as a shell takes it; NULL: there is no such program. */
char *xe_limiter(double bytes_per_s);

/* The command; the domain by its number, which is safe whatever the name is.  limiter: NULL: all
   the transport takes. */
char **xe_xl_command(const char *xl, uint32_t domid, const xe_target *target, const char *limiter);

/* The file with what xl says in a VM's last migration, to be freed. */
char *xe_said_path(const xe_places *places, const char *uuid);

/* How far xl has said it is. */
typedef struct xe_progress {
    gboolean acknowledged; /* the destination has got it all */
    gboolean go;           /* ... and was told to start it: no way back */
    gboolean started;      /* ... and has */
    gboolean done;
    gboolean helper_broke; /* its helper has ended without saying so, and has not cleaned up */
    int weight;            /* of the reason: more telling lines take its place */
    char reason[200];      /* what it says of a failure; "": nothing */
} xe_progress;

void xe_progress_line(xe_progress *progress, const char *line);

/* Reads what is new in a text of so many bytes, whole lines only; returns how much was read. */
size_t xe_progress_text(xe_progress *progress, const char *text, size_t length);

#endif
