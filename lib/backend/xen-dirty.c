/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/xen-host-priv.h"

#include <errno.h>

/*
 * Section 3.1 of the paper: turn log-dirty on, wait, look, wait, look, turn it off.  Looking is a
 * peek, which takes no bits away: the count of dirty pages is the union since the beginning, and
 * each page costs the guest one fault.  Without a bitmap to fill it costs next to nothing.
 */

typedef struct logger {
    xe_host *host;
    uint32_t domid;
    xe_lock lock;
    uint32_t before; /* the count of dirty pages goes on from the last logging */
    uint32_t last;   /* what it was when it was read last */
    gint64 begun_us;
    double memory_bytes;
} logger;

void
xe_dirty_free(void *data)
{
    logger *l = data;

    xe_lock_release(&l->lock);
    g_free(l);
}

static int
not_found(const char *vm, imig_error **error)
{
    return xe_fail(error, IMIG_ERR_NOT_FOUND, "no VM \"%s\"", vm);
}

int
xe_dirty_peek(const xe_handle *handle, uint32_t domid, uint32_t *pages)
{
    xc_shadow_op_stats_t stats = { 0 };

    if (xc_logdirty_control(handle->xc, domid, XEN_DOMCTL_SHADOW_OP_PEEK, NULL, 0, 0,
                            &stats) < 0)
        return errno;
    *pages = stats.dirty_count;
    return 0;
}

static int
turn_on(const xe_host *host, const xe_domain *domain, const xe_lock *lock, imig_error **error)
{
    uint32_t domid = domain->info.domain;
    int number, code = xe_lock_note(&host->places, lock, XE_USE_ENABLING, domid, error);

    if (code != IMIG_OK)
        return code;
    number = xe_switch_on(&host->handle, domid);
    if (number == 0) {
        code = xe_lock_note(&host->places, lock, XE_USE_LOGGING, domid, error);
        if (code != IMIG_OK)
            xe_switch_off(&host->handle, &host->places, lock, domid, NULL);
        return code;
    }
    xe_lock_note(&host->places, lock, XE_USE_NONE, domid, NULL);
    if (number == EINVAL)
        return xe_fail(error, IMIG_ERR_BUSY, "VM %s: its dirty pages are being logged already, by "
                       "a migration or somebody else", lock->uuid);
    if (number == EOPNOTSUPP)
        return xe_fail(error, IMIG_ERR_UNSUPPORTED, "VM %s: this hypervisor cannot log its dirty "
                       "pages", lock->uuid);
    return xe_fail_errno(error, number, "VM %s: its dirty pages cannot be logged", lock->uuid);
}

static int
check_mode(const xe_host *host, const xe_domain *domain, imig_error **error)
{
    if (!(xe_api->process & IMIG_PROCESS_MEASURE_DIRTY))
        return xe_fail(error, IMIG_ERR_UNSUPPORTED, "on Xen dirty pages are logged only where that "
                       "is asked for (--measure-dirty)");
    if (!(domain->info.flags & (XEN_DOMINF_hvm_guest | XEN_DOMINF_hap)) && !host->limits.shadow)
        return xe_fail(error, IMIG_ERR_UNSUPPORTED, "VM %s is a PV guest, and this hypervisor has "
                       "no shadow paging: its dirty pages cannot be logged", domain->uuid);
    if (xe_domain_is_shutdown(domain))
        return xe_fail(error, IMIG_ERR_UNSUPPORTED, "VM %s does not run", domain->uuid);
    return IMIG_OK;
}

int
xe_dirty_start(void *state, const char *vm, imig_error **error)
{
    xe_host *host = state;
    xe_lock lock = XE_LOCK_INIT;
    xe_domain domain;
    gboolean found;
    uint32_t before = 0;
    logger *l;
    int code = xe_domain_find(&host->handle, vm, &domain, &found, error);

    if (code != IMIG_OK || !found)
        return code != IMIG_OK ? code : not_found(vm, error);
    code = check_mode(host, &domain, error);
    if (code == IMIG_OK)
        code = xe_switch_take(&host->handle, &host->places, &domain, XE_USE_LOGGING, &lock, error);
    if (code == IMIG_OK)
        xe_dirty_peek(&host->handle, domain.info.domain, &before); /* or what follows fails */
    if (code == IMIG_OK)
        code = turn_on(host, &domain, &lock, error);
    if (code == IMIG_OK) {
        l = g_new(logger, 1);
        *l = (logger) {
            .host = host, .domid = domain.info.domain, .lock = lock,
            .before = before, .last = before, .begun_us = g_get_monotonic_time(),
            .memory_bytes = (double) domain.info.tot_pages * XC_PAGE_SIZE,
        };
        g_hash_table_replace(host->loggers, g_strdup(vm), l);
    } else {
        xe_lock_release(&lock);
    }
    xe_domain_clear(&domain);
    return code;
}

static logger *
find(xe_host *host, const char *vm, imig_error **error)
{
    logger *l = g_hash_table_lookup(host->loggers, vm);

    if (!l)
        xe_fail(error, IMIG_ERR_NOT_FOUND, "VM %s: its dirty pages are not being logged", vm);
    return l;
}

/* Whether it is there to be read: the switch of one that is being torn down says yes to all. */
static int
check_presence(const logger *l, imig_error **error)
{
    xe_domain domain;

    switch (xe_domain_look(&l->host->handle, l->domid, l->lock.uuid, &domain)) {
    case XE_DOMAIN_HERE:
        return IMIG_OK;
    case XE_DOMAIN_UNKNOWN:
        return xe_fail_errno(error, errno, "VM %s: asking how it is", l->lock.uuid);
    default:
        return xe_fail(error, IMIG_ERR_BACKEND, "VM %s has gone while its dirty pages were logged",
                       l->lock.uuid);
    }
}

/*
 * A save cleans the bitmap under way, which sets the count to 0, and turns the switch off at its
 * end: what was counted is of no use from there on.  One that has ended is seen by what it did.
 * Where turning the switch on succeeds it was off, and is ours to turn off again.
 */
static int
check_undisturbed(const logger *l, uint32_t pages, imig_error **error)
{
    const xe_host *host = l->host;
    char *who = NULL;
    int number;

    if (xe_saved_elsewhere(&host->handle, &host->places, l->domid, l->lock.uuid, &who)) {
        xe_fail(error, IMIG_ERR_BUSY, "VM %s: a save or migration by others has begun: %s",
                l->lock.uuid, who);
        g_free(who);
        return IMIG_ERR_BUSY;
    }
    number = xe_switch_on(&host->handle, l->domid);
    if (number == 0)
        return xe_fail(error, IMIG_ERR_BUSY, "VM %s: its log-dirty mode was turned off while it "
                       "was measured, as by a save: the measurement is void", l->lock.uuid);
    if (number != EINVAL)
        return xe_fail_errno(error, number, "VM %s: asking for its log-dirty mode", l->lock.uuid);
    if ((int32_t) (pages - l->last) < 0)
        return xe_fail(error, IMIG_ERR_BUSY, "VM %s: its dirty pages were taken by somebody else "
                       "while it was measured, as by a save: the measurement is void",
                       l->lock.uuid);
    return IMIG_OK;
}

int
xe_dirty_read(void *state, const char *vm, imig_dirty_point *into, imig_error **error)
{
    xe_host *host = state;
    logger *l = find(host, vm, error);
    gint64 before_us = g_get_monotonic_time(), after_us;
    uint32_t pages = 0;
    int number, code;

    if (!l)
        return IMIG_ERR_NOT_FOUND;
    number = xe_dirty_peek(&host->handle, l->domid, &pages);
    after_us = g_get_monotonic_time();
    if (number != 0 && number != ESRCH)
        return xe_fail_errno(error, number, "VM %s: reading its dirty pages", vm);
    code = check_presence(l, error);
    if (code == IMIG_OK)
        code = check_undisturbed(l, pages, error);
    if (code != IMIG_OK)
        return code;
    l->last = pages;
    into->elapsed_s = ((double) (before_us + after_us) / 2 - (double) l->begun_us)
                      / G_USEC_PER_SEC;
    into->dirtied_bytes = MIN((double) (pages - l->before) * XC_PAGE_SIZE, l->memory_bytes);
    return IMIG_OK;
}

int
xe_dirty_stop(void *state, const char *vm, imig_error **error)
{
    xe_host *host = state;
    logger *l = find(host, vm, error);
    int code;

    if (!l)
        return IMIG_ERR_NOT_FOUND;
    code = xe_switch_off(&host->handle, &host->places, &l->lock, l->domid, error);
    g_hash_table_remove(host->loggers, vm);
    return code;
}

void
xe_dirty_end(xe_host *host)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, host->loggers);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        logger *l = value;

        xe_switch_off(&host->handle, &host->places, &l->lock, l->domid, NULL);
    }
    g_hash_table_remove_all(host->loggers);
}
