/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/xen-host-priv.h"

#include <string.h>

/* What is found in the lock of a domain: the work of processes that have ended is put in order. */

static const char *const left_by[] = {
    [XE_USE_ENABLING] = "turned on", [XE_USE_LOGGING] = "turned on", [XE_USE_LEFT] = "left on",
    [XE_USE_MIGRATING] = "turned on for a migration",
};

static int
turn_off(const xe_handle *handle, const xe_places *places, uint32_t domid, const xe_lock *lock,
         imig_error **error)
{
    const xe_record *found = &lock->found;
    int code = xe_switch_off(handle, places, lock, domid, error);

    /* After a migration it is on only where the helper was killed, too. */
    if (code == IMIG_OK)
        xe_log(found->use == XE_USE_MIGRATING ? IMIG_LOG_INFO : IMIG_LOG_WARNING,
               "VM %s: its log-dirty mode, %s by process %d, was turned off", lock->uuid,
               left_by[found->use], found->pid);
    return code;
}

/* Who was about to turn it on may have been told that it is on already: then it is not ours.  The
   toolstack copes with that: a migration turns it off and on again. */
static int
clear_enabling(const xe_handle *handle, const xe_places *places, uint32_t domid,
               const xe_lock *lock, xe_use purpose, imig_error **error)
{
    static const char doubt[] = "VM %s: its log-dirty mode is on, and process %d, which has ended, "
                                "may or may not have turned it on: %s";
    int pid = lock->found.pid;

    if (xe_switch_on(handle, domid) == 0) {
        xe_lock_note(places, lock, XE_USE_LOGGING, domid, NULL); /* it is now */
        return turn_off(handle, places, domid, lock, error);
    }
    if (purpose != XE_USE_MIGRATING)
        return xe_fail(error, IMIG_ERR_BUSY, doubt, lock->uuid, pid, "a migration will clear it");
    xe_log(IMIG_LOG_WARNING, doubt, lock->uuid, pid, "this migration clears it");
    return IMIG_OK;
}

/* Has xl told the destination to start this VM, in its last migration?  Also TRUE where that is not
   known. */
static gboolean
was_handed_over(const xe_places *places, const char *uuid)
{
    char *path = xe_said_path(places, uuid), *said;
    gboolean is_known = g_file_get_contents(path, &said, NULL, NULL);
    xe_progress progress = { 0 };

    g_free(path);
    if (!is_known)
        return TRUE;
    xe_progress_line(&progress, said + xe_progress_text(&progress, said, strlen(said)));
    g_free(said);
    return progress.go;
}

/* Is it suspended, with nobody left who could be about to save it? */
static gboolean
stands_still(const xe_handle *handle, const xe_places *places, uint32_t domid, const char *uuid)
{
    GArray *savers = xe_savers_read(places->proc);
    xe_domain domain;
    gboolean stands = xe_domain_look(handle, domid, uuid, &domain) == XE_DOMAIN_HERE
                      && xe_domain_is_suspended(&domain);

    if (stands)
        domain.name = xe_domain_name(handle, domid);
    stands = stands && domain.name && !xe_domain_is_away(&domain)
             && !xe_savers_find(savers, domid, domain.name, uuid);
    xe_domain_clear(&domain);
    g_array_unref(savers);
    return stands;
}

/* A migration of which everybody was killed: xl is not there any more to have its domain go on. */
static int
resume(const xe_handle *handle, const xe_places *places, uint32_t domid, const xe_lock *lock,
       imig_error **error)
{
    int pid = lock->found.pid;

    if (!stands_still(handle, places, domid, lock->uuid))
        return IMIG_OK;
    if (was_handed_over(places, lock->uuid))
        return xe_fail(error, IMIG_ERR_BUSY, "VM %s stands still here: process %d and its xl were "
                       "killed when the destination may have been told to start it", lock->uuid,
                       pid);
    if (!xe_domain_resume(handle, domid))
        return xe_fail(error, IMIG_ERR_BUSY, "VM %s stands still: process %d and its xl were "
                       "killed while they migrated it, and it cannot be resumed from here",
                       lock->uuid, pid);
    xe_log(IMIG_LOG_WARNING, "VM %s stood still, for process %d and its xl were killed while they "
           "migrated it: it was resumed", lock->uuid, pid);
    return IMIG_OK;
}

/* What is written in a lock that was free. */
static int
bring_in_order(const xe_handle *handle, const xe_places *places, const xe_domain *domain,
               const xe_lock *lock, xe_use purpose, imig_error **error)
{
    const xe_record *found = &lock->found;
    uint32_t domid = domain->info.domain;
    xe_verdict verdict = xe_record_judge(places, found, domid);
    int code = IMIG_OK;

    if (verdict == XE_RECORD_VOID)
        return found->use == XE_USE_NONE
                   ? IMIG_OK : xe_lock_note(places, lock, XE_USE_NONE, domid, error);
    if (verdict == XE_RECORD_ALIVE && found->use != XE_USE_LEFT)
        return xe_fail(error, IMIG_ERR_BUSY, "VM %s: process %d, which lives, has written down "
                       "that it works on it", lock->uuid, found->pid);
    if (verdict == XE_RECORD_DEAD && found->use == XE_USE_MIGRATING)
        code = resume(handle, places, domid, lock, error);
    if (code != IMIG_OK)
        return code;
    if (xe_saved_elsewhere(handle, places, domid, lock->uuid, NULL))
        return xe_fail(error, IMIG_ERR_BUSY, "VM %s is being saved or migrated by others",
                       lock->uuid);
    return found->use == XE_USE_ENABLING
               ? clear_enabling(handle, places, domid, lock, purpose, error)
               : turn_off(handle, places, domid, lock, error);
}

int
xe_switch_take(const xe_handle *handle, const xe_places *places, const xe_domain *domain,
               xe_use purpose, xe_lock *lock, imig_error **error)
{
    char *who = NULL;
    int code = xe_lock_take(places, domain->uuid, lock, error);

    if (code != IMIG_OK)
        return code;
    code = bring_in_order(handle, places, domain, lock, purpose, error);
    if (code == IMIG_OK
        && xe_saved_elsewhere(handle, places, domain->info.domain, domain->uuid, &who))
        code = xe_fail(error, IMIG_ERR_BUSY, "VM %s is being saved or migrated: %s", domain->uuid,
                       who);
    g_free(who);
    if (code != IMIG_OK)
        xe_lock_release(lock);
    return code;
}

/* Quietly passes over what is at work; says what stays in doubt.  What is written of a VM that is
   not here any more is void. */
static void
tidy(const xe_handle *handle, const xe_places *places, const char *uuid)
{
    xe_lock lock = XE_LOCK_INIT;
    xe_domain domain;
    gboolean found;

    if (xe_lock_take(places, uuid, &lock, NULL) != IMIG_OK)
        return;
    if (xe_domain_find(handle, uuid, &domain, &found, NULL) == IMIG_OK) {
        if (!found)
            xe_lock_note(places, &lock, XE_USE_NONE, lock.found.domid, NULL);
        else if (bring_in_order(handle, places, &domain, &lock, XE_USE_NONE, NULL) != IMIG_OK)
            xe_log(IMIG_LOG_WARNING, "%s", xe_last_failure());
        if (found)
            xe_domain_clear(&domain);
    }
    xe_lock_release(&lock);
}

void
xe_switch_tidy(const xe_handle *handle, const xe_places *places)
{
    char **uuids = xe_lock_records(places);

    for (char **uuid = uuids; *uuid; uuid++)
        tidy(handle, places, *uuid);
    g_strfreev(uuids);
}
