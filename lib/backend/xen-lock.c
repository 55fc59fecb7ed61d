/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/xen-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* One file for each domain, named by its UUID.  It is never removed: who waits to open it would
   hold the lock of a file that nobody else finds.  The directory is emptied by the next boot. */
#define SUFFIX ".lock"
#define RECORD "imig-lock/1 use=%15s pid=%d start=%" SCNu64 " domid=%" SCNu32 " uuid=%36s boot=%36s"

static const char *const use_names[] = {
    [XE_USE_NONE] = "none", [XE_USE_ENABLING] = "enabling", [XE_USE_LOGGING] = "logging",
    [XE_USE_LEFT] = "left", [XE_USE_MIGRATING] = "migrating",
};

/* When a process started, in the kernel's ticks since it booted; 0: there is no such process. */
static uint64_t
start_of(const char *proc, int pid)
{
    char *text = xe_read_file("%s/%d/stat", proc, pid);
    /* What stands in brackets may hold anything, so it counts from the last one. */
    char *at = text ? strrchr(text, ')') : NULL;
    uint64_t start = 0;

    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    /* One that has ended and was not asked how is no owner either. */
    if (at && !strstr(text, ") Z ") && !strstr(text, ") X "))
        start = g_ascii_strtoull(at + 1, NULL, 10);
    g_free(text);
    return start;
}

static char *
boot_of(const char *proc)
{
    char *boot = xe_read_file("%s/sys/kernel/random/boot_id", proc);

    if (boot && !g_uuid_string_is_valid(boot))
        g_clear_pointer(&boot, g_free);
    return boot ? boot : g_strdup("-");
}

static char *
path_of(const xe_places *places, const char *uuid)
{
    return g_strdup_printf("%s/%s" SUFFIX, places->lock_dir, uuid);
}

/* What cannot be read is no record. */
static void
read_record(int fd, xe_record *record)
{
    char text[512], use[16];
    ssize_t got = pread(fd, text, sizeof text - 1, 0);
    xe_record r = { .use = XE_USE_NONE };

    *record = r;
    if (got <= 0)
        return;
    text[got] = '\0';
    if (sscanf(text, RECORD, use, &r.pid, &r.start, &r.domid, r.uuid, r.boot) != 6)
        return;
    for (size_t i = 0; i < G_N_ELEMENTS(use_names); i++)
        if (strcmp(use, use_names[i]) == 0)
            r.use = (int) i;
    *record = r;
}

static int
busy(int fd, const char *uuid, imig_error **error)
{
    xe_record r;

    read_record(fd, &r);
    if (r.use == XE_USE_MIGRATING)
        return xe_fail(error, IMIG_ERR_BUSY, "VM %s is being migrated, by process %d", uuid,
                       r.pid);
    if (r.use != XE_USE_NONE)
        return xe_fail(error, IMIG_ERR_BUSY, "VM %s: its dirty pages are being logged, by process "
                       "%d", uuid, r.pid);
    return xe_fail(error, IMIG_ERR_BUSY, "VM %s is being worked on", uuid);
}

int
xe_lock_take(const xe_places *places, const char *uuid, xe_lock *lock, imig_error **error)
{
    char *path = path_of(places, uuid);
    int fd, code = IMIG_OK;

    if (mkdir(places->lock_dir, 0700) != 0 && errno != EEXIST)
        code = xe_fail(error, IMIG_ERR_IO, "directory of locks %s: %s", places->lock_dir,
                       g_strerror(errno));
    fd = code == IMIG_OK ? open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    if (code == IMIG_OK && fd < 0)
        code = xe_fail(error, IMIG_ERR_IO, "lock %s: %s", path, g_strerror(errno));
    if (code == IMIG_OK && flock(fd, LOCK_EX | LOCK_NB) != 0)
        code = errno == EWOULDBLOCK
                   ? busy(fd, uuid, error)
                   : xe_fail(error, IMIG_ERR_IO, "lock %s: %s", path, g_strerror(errno));
    g_free(path);
    if (code != IMIG_OK) {
        if (fd >= 0)
            close(fd);
        return code;
    }
    lock->fd = fd;
    g_strlcpy(lock->uuid, uuid, sizeof lock->uuid);
    read_record(fd, &lock->found);
    return IMIG_OK;
}

/* The new text is not shorter than the old one, and whole with one call: whoever reads it after a
   sudden end finds the one or the other. */
int
xe_lock_note(const xe_places *places, const xe_lock *lock, xe_use use, uint32_t domid,
             imig_error **error)
{
    enum { LENGTH = 256 };
    char *boot = boot_of(places->proc);
    int pid = (int) getpid();
    char text[LENGTH + 1];

    g_snprintf(text, sizeof text, "imig-lock/1 use=%s pid=%d start=%" PRIu64 " domid=%" PRIu32
               " uuid=%s boot=%s", use_names[use], pid, start_of(places->proc, pid), domid,
               lock->uuid, boot);
    g_free(boot);
    memset(text + strlen(text), ' ', LENGTH - strlen(text));
    text[LENGTH - 1] = '\n';
    if (pwrite(lock->fd, text, LENGTH, 0) != LENGTH)
        return xe_fail(error, IMIG_ERR_IO, "lock of VM %s: %s", lock->uuid, g_strerror(errno));
    return IMIG_OK;
}

void
xe_lock_release(xe_lock *lock)
{
    if (lock->fd < 0)
        return;
    flock(lock->fd, LOCK_UN); /* closing alone leaves it to children that have it, too */
    close(lock->fd);
    lock->fd = -1;
}

xe_verdict
xe_record_judge(const xe_places *places, const xe_record *record, uint32_t domid)
{
    char *boot = boot_of(places->proc);
    gboolean is_this_boot = strcmp(boot, record->boot) == 0;
    uint64_t start = record->pid > 0 ? start_of(places->proc, record->pid) : 0;

    g_free(boot);
    /* The number of a domain is used again only after all others; one that started anew, or came
       back, has another one and its switch is off. */
    if (record->use == XE_USE_NONE || !is_this_boot || record->domid != domid)
        return XE_RECORD_VOID;
    return start != 0 && start == record->start ? XE_RECORD_ALIVE : XE_RECORD_DEAD;
}

static gboolean
has_record(const xe_places *places, const char *uuid)
{
    char *path = path_of(places, uuid);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    xe_record record = { .use = XE_USE_NONE };

    g_free(path);
    if (fd >= 0) {
        read_record(fd, &record);
        close(fd);
    }
    return record.use != XE_USE_NONE;
}

char **
xe_lock_records(const xe_places *places)
{
    GPtrArray *uuids = g_ptr_array_new();
    GDir *dir = g_dir_open(places->lock_dir, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        char *uuid = g_strndup(name, XE_UUID_SIZE - 1);

        if (g_uuid_string_is_valid(uuid) && strcmp(name + XE_UUID_SIZE - 1, SUFFIX) == 0
            && has_record(places, uuid))
            g_ptr_array_add(uuids, uuid);
        else
            g_free(uuid);
    }
    if (dir)
        g_dir_close(dir);
    g_ptr_array_add(uuids, NULL);
    return (char **) g_ptr_array_free(uuids, FALSE);
}
