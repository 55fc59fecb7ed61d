/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/xen-host-priv.h"

#include <errno.h>

/*
 * Looking and turning off belong together: a look that took longer is taken again.  Where all of
 * them do there are many processes, or the machine is slow, and the toolstacks on it are, too: then
 * one that half of the others were no faster than will do.
 */
static const gint64 FRESH_US = 3000;
enum { LOOKS = 30, ENOUGH_LOOKS = 4 };

/* Who saves it, where no process shows it; NULL: nobody.  number: errno of the look. */
static char *
read_signs(xe_presence presence, int number, const xe_domain *domain)
{
    if (presence == XE_DOMAIN_UNKNOWN)
        return g_strdup_printf("the hypervisor does not say how it is (%s)", g_strerror(number));
    if (presence != XE_DOMAIN_HERE)
        return NULL; /* its switch goes with it */
    if (xe_domain_is_away(domain))
        return g_strdup_printf("its name is \"%s\"", domain->name);
    return xe_domain_is_suspended(domain) ? g_strdup("it is suspended, as at the end of a save")
                                          : NULL;
}

gboolean
xe_saved_elsewhere(const xe_handle *handle, const xe_places *places, uint32_t domid,
                   const char *uuid, char **ret_who)
{
    /* The processes first: one that starts later has not turned the switch on by the time the
       domain has been looked at. */
    GArray *savers = xe_savers_read(places->proc);
    xe_domain domain;
    xe_presence presence = xe_domain_look(handle, domid, uuid, &domain);
    int number = errno;
    gboolean is_saved;
    const xe_saver *saver;
    char *who;

    if (presence == XE_DOMAIN_HERE)
        domain.name = xe_domain_name(handle, domid);
    saver = xe_savers_find(savers, domid, domain.name, uuid);
    if (!saver && presence == XE_DOMAIN_HERE && !domain.name)
        saver = xe_savers_by_name(savers);
    who = saver ? g_strdup_printf("process %d (%s) saves it", saver->pid, saver->words[0])
                : read_signs(presence, number, &domain);
    is_saved = who != NULL;
    g_array_unref(savers);
    xe_domain_clear(&domain);
    if (ret_who)
        *ret_who = who;
    else
        g_free(who);
    return is_saved;
}

/* FALSE: somebody saves it. */
static gboolean
is_ours_alone(const xe_handle *handle, const xe_places *places, uint32_t domid, const char *uuid,
              char **who)
{
    gint64 took_us[LOOKS];

    for (int i = 0; i < LOOKS; i++) {
        gint64 before_us = g_get_monotonic_time();
        int slower = 0;

        if (xe_saved_elsewhere(handle, places, domid, uuid, who))
            return FALSE;
        took_us[i] = g_get_monotonic_time() - before_us;
        for (int k = 0; k < i; k++)
            slower += took_us[k] >= took_us[i];
        if (took_us[i] < FRESH_US || (i >= ENOUGH_LOOKS && 2 * slower >= i))
            return TRUE;
    }
    *who = g_strdup("this machine is too busy to be sure of it");
    return FALSE;
}

/*
 * A save that began while it was turned off.  Where it had turned the switch on before, it has lost
 * what was written since; it cannot be told, but its administrator can.
 */
static int
turn_on_again(const xe_handle *handle, const xe_places *places, const xe_lock *lock,
              uint32_t domid, const char *who, imig_error **error)
{
    static const char words[] = "VM %s: a save of it began just as the logging of its dirty pages "
                                "was turned off (%s): let that save be repeated";
    int number = xe_switch_on(handle, domid);

    if (number == EINVAL || number == ESRCH)
        return xe_lock_note(places, lock, XE_USE_NONE, domid, error); /* it did so itself, since */
    xe_lock_note(places, lock, XE_USE_LEFT, domid, NULL);
    xe_log(IMIG_LOG_ERROR, words, lock->uuid, who);
    return xe_fail(error, IMIG_ERR_BUSY, words, lock->uuid, who);
}

int
xe_switch_on(const xe_handle *handle, uint32_t domid)
{
    return xc_shadow_control(handle->xc, domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, NULL, 0) < 0
               ? errno : 0;
}

int
xe_switch_off(const xe_handle *handle, const xe_places *places, const xe_lock *lock,
              uint32_t domid, imig_error **error)
{
    char *who = NULL;
    int number = 0;

    if (!is_ours_alone(handle, places, domid, lock->uuid, &who)) {
        xe_lock_note(places, lock, XE_USE_LEFT, domid, NULL);
        xe_log(IMIG_LOG_WARNING, "VM %s: the logging of its dirty pages was left on: %s",
               lock->uuid, who);
        xe_fail(error, IMIG_ERR_BUSY, "VM %s: the logging of its dirty pages was left on: %s",
                lock->uuid, who);
        g_free(who);
        return IMIG_ERR_BUSY;
    }
    if (xc_shadow_control(handle->xc, domid, XEN_DOMCTL_SHADOW_OP_OFF, NULL, 0) < 0)
        number = errno;
    if (number != 0 && number != ESRCH) {
        xe_lock_note(places, lock, XE_USE_LEFT, domid, NULL);
        return xe_fail_errno(error, number, "VM %s: its log-dirty mode cannot be turned off",
                             lock->uuid);
    }
    if (number == 0 && xe_saved_elsewhere(handle, places, domid, lock->uuid, &who)) {
        int code = turn_on_again(handle, places, lock, domid, who, error);

        g_free(who);
        return code;
    }
    return xe_lock_note(places, lock, XE_USE_NONE, domid, error);
}
