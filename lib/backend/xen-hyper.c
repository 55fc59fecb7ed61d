/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/xen-host-priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <xenguest.h>

/* What the library would print on standard error is reported by us. */
static void
ignore(xentoollog_logger *logger, xentoollog_level level, int number, const char *context,
       const char *format, va_list args)
{
    (void) logger;
    (void) level;
    (void) number;
    (void) context;
    (void) format;
    (void) args;
}

static xentoollog_logger quiet = { .vmessage = ignore };

/* Without Xen none of its devices is there; saying so is better than the library's ENOENT. */
static int
fail_open(int number, imig_error **error)
{
    if (number == ENOENT || number == ENODEV || number == ENXIO)
        return xe_fail(error, IMIG_ERR_UNSUPPORTED, "this machine is no domain 0 of Xen");
    return xe_fail_errno(error, number, "cannot reach the hypervisor");
}

int
xe_handle_open(xe_handle *handle, imig_error **error)
{
    xc_physinfo_t info = { 0 };
    int code = IMIG_OK;

    *handle = (xe_handle) { NULL };
    if (access("/dev/xen/privcmd", F_OK) != 0 && access("/proc/xen/privcmd", F_OK) != 0)
        return fail_open(ENOENT, error);
    handle->xc = xc_interface_open(&quiet, &quiet, 0);
    if (!handle->xc)
        return fail_open(errno, error);
    if (xc_physinfo(handle->xc, &info) != 0)
        code = errno == EPERM || errno == EACCES
                   ? xe_fail(error, IMIG_ERR_UNSUPPORTED, "this domain is not the domain 0 of its "
                             "host")
                   : xe_fail_errno(error, errno, "asking about the host");
    if (code == IMIG_OK && !(handle->xs = xs_open(0)))
        code = xe_fail_errno(error, errno, "cannot reach xenstore");
    if (code != IMIG_OK)
        xe_handle_close(handle);
    return code;
}

void
xe_handle_close(xe_handle *handle)
{
    if (handle->xc)
        xc_interface_close(handle->xc);
    if (handle->xs)
        xs_close(handle->xs);
    *handle = (xe_handle) { NULL };
}

/* ---- xenstore ---- */

char *
xe_store_read(const xe_handle *handle, const char *format, ...)
{
    va_list args;
    unsigned int length;
    char *path, *text, *copy;

    va_start(args, format);
    path = g_strdup_vprintf(format, args);
    va_end(args);
    text = xs_read(handle->xs, XBT_NULL, path, &length);
    g_free(path);
    copy = text ? g_strndup(text, length) : NULL;
    free(text);
    return copy;
}

char **
xe_store_list(const xe_handle *handle, const char *format, ...)
{
    va_list args;
    unsigned int n = 0;
    char *path, **names, **copy;

    va_start(args, format);
    path = g_strdup_vprintf(format, args);
    va_end(args);
    names = xs_directory(handle->xs, XBT_NULL, path, &n);
    g_free(path);
    copy = g_new0(char *, (names ? n : 0) + 1);
    for (unsigned int i = 0; names && i < n; i++)
        copy[i] = g_strdup(names[i]);
    free(names);
    return copy;
}

/* ---- domains ---- */

void
xe_domain_clear(void *data)
{
    xe_domain *domain = data;

    g_clear_pointer(&domain->name, g_free);
}

static unsigned
shutdown_reason(const xe_domain *domain)
{
    return (domain->info.flags >> XEN_DOMINF_shutdownshift) & XEN_DOMINF_shutdownmask;
}

gboolean
xe_domain_is_shutdown(const xe_domain *domain)
{
    return (domain->info.flags & XEN_DOMINF_shutdown) != 0;
}

gboolean
xe_domain_is_suspended(const xe_domain *domain)
{
    return xe_domain_is_shutdown(domain) && shutdown_reason(domain) == SHUTDOWN_suspend;
}

gboolean
xe_domain_is_away(const xe_domain *domain)
{
    return domain->name && g_str_has_suffix(domain->name, XE_NAME_AWAY);
}

static void
print_uuid(const uint8_t *handle, char *uuid)
{
    int at = 0;

    for (int i = 0; i < 16; i++)
        at += snprintf(uuid + at, (size_t) (XE_UUID_SIZE - at), "%s%02x",
                       i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", handle[i]);
}

static gboolean
is_nil(const uint8_t *handle)
{
    for (int i = 0; i < 16; i++)
        if (handle[i] != 0)
            return FALSE;
    return TRUE;
}

char *
xe_domain_name(const xe_handle *handle, uint32_t domid)
{
    return xe_store_read(handle, "/local/domain/%u/name", domid);
}

/* A domain that is there for another one, as the device model of an HVM guest may be. */
static gboolean
serves_another(const xe_handle *handle, uint32_t domid)
{
    char *target = xe_store_read(handle, "/local/domain/%u/target", domid);
    gboolean serves = target != NULL;

    g_free(target);
    return serves;
}

/* FALSE: it is no guest; the domain is to be cleared only where it is one. */
static gboolean
is_guest(const xe_handle *handle, const xc_domaininfo_t *info, xe_domain *domain)
{
    *domain = (xe_domain) { .info = *info };
    if (info->domain == 0 || info->flags & (XEN_DOMINF_dying | XEN_DOMINF_xs_domain)
        || is_nil(info->handle) || serves_another(handle, info->domain))
        return FALSE;
    print_uuid(info->handle, domain->uuid);
    domain->name = xe_domain_name(handle, info->domain);
    if (!domain->name || !g_str_has_suffix(domain->name, XE_NAME_INCOMING))
        return TRUE;
    xe_domain_clear(domain);
    return FALSE;
}

/* As they are: an array of xc_domaininfo_t. */
static int
read_infos(const xe_handle *handle, GArray **ret_infos, imig_error **error)
{
    enum { AT_ONCE = 256 };
    GArray *infos = g_array_new(FALSE, FALSE, sizeof(xc_domaininfo_t));
    uint32_t first = 1;
    int n;

    do {
        guint before = infos->len;
        xc_domaininfo_t *more;

        g_array_set_size(infos, before + AT_ONCE);
        more = &g_array_index(infos, xc_domaininfo_t, before);
        n = xc_domain_getinfolist(handle->xc, first, AT_ONCE, more);
        if (n > 0)
            first = more[n - 1].domain + 1u;
        g_array_set_size(infos, before + (guint) MAX(n, 0));
    } while (n > 0);
    if (n < 0) {
        n = errno;
        g_array_unref(infos);
        return xe_fail_errno(error, n, "asking for the domains");
    }
    *ret_infos = infos;
    return IMIG_OK;
}

int
xe_domains_read(const xe_handle *handle, GArray **ret_domains, imig_error **error)
{
    GArray *domains, *infos;
    int code = read_infos(handle, &infos, error);

    if (code != IMIG_OK)
        return code;
    domains = g_array_new(FALSE, FALSE, sizeof(xe_domain));
    g_array_set_clear_func(domains, xe_domain_clear);
    for (guint i = 0; i < infos->len; i++) {
        xe_domain domain;

        if (is_guest(handle, &g_array_index(infos, xc_domaininfo_t, i), &domain))
            g_array_append_val(domains, domain);
    }
    g_array_unref(infos);
    *ret_domains = domains;
    return IMIG_OK;
}

static gboolean
has_uuid(const xc_domaininfo_t *info, const char *uuid)
{
    char printed[XE_UUID_SIZE];

    print_uuid(info->handle, printed);
    return g_ascii_strcasecmp(printed, uuid) == 0;
}

/* Xenstore is asked about those alone that have the UUID.  Of two with one the one that is not on
   its way out: its name says so. */
int
xe_domain_find(const xe_handle *handle, const char *uuid, xe_domain *domain, gboolean *found,
               imig_error **error)
{
    GArray *infos;
    int code = read_infos(handle, &infos, error);

    *found = FALSE;
    if (code != IMIG_OK)
        return code;
    for (guint i = 0; i < infos->len; i++) {
        const xc_domaininfo_t *info = &g_array_index(infos, xc_domaininfo_t, i);
        xe_domain d;

        if (!has_uuid(info, uuid) || !is_guest(handle, info, &d))
            continue;
        if (*found && xe_domain_is_away(&d)) {
            xe_domain_clear(&d);
            continue;
        }
        if (*found)
            xe_domain_clear(domain);
        *domain = d;
        *found = TRUE;
    }
    g_array_unref(infos);
    return IMIG_OK;
}

xe_presence
xe_domain_look(const xe_handle *handle, uint32_t domid, const char *uuid, xe_domain *domain)
{
    int n;

    *domain = (xe_domain) { .name = NULL };
    n = xc_domain_getinfolist(handle->xc, domid, 1, &domain->info);
    if (n < 0)
        return errno == ESRCH ? XE_DOMAIN_GONE : XE_DOMAIN_UNKNOWN;
    if (n == 0 || domain->info.domain != domid || !has_uuid(&domain->info, uuid))
        return XE_DOMAIN_GONE;
    print_uuid(domain->info.handle, domain->uuid);
    return domain->info.flags & XEN_DOMINF_dying ? XE_DOMAIN_DYING : XE_DOMAIN_HERE;
}

gboolean
xe_domain_peek(const xe_handle *handle, uint32_t domid, const char *uuid, xe_domain *domain)
{
    xe_presence presence = xe_domain_look(handle, domid, uuid, domain);

    return presence == XE_DOMAIN_HERE || presence == XE_DOMAIN_DYING;
}

gboolean
xe_domain_get(const xe_handle *handle, uint32_t domid, const char *uuid, xe_domain *domain)
{
    xe_domain seen;

    return xe_domain_peek(handle, domid, uuid, &seen) && is_guest(handle, &seen.info, domain);
}

gboolean
xe_domain_resume(const xe_handle *handle, uint32_t domid)
{
    char *type = xe_store_read(handle, "/libxl/%u/type", domid);
    gboolean has_no_model = g_strcmp0(type, "pvh") == 0 || g_strcmp0(type, "pv") == 0;

    g_free(type);
    if (!has_no_model || xc_domain_resume(handle->xc, domid, 1) != 0)
        return FALSE;
    xs_resume_domain(handle->xs, domid);
    return TRUE;
}

const char *
xe_domain_blocked(const xe_handle *handle, const xe_limits *limits, const xe_domain *domain)
{
    char **pci, *type;
    gboolean has_pci, is_known;

    if (xe_domain_is_shutdown(domain))
        return "shut-down";
    if (domain->info.flags & XEN_DOMINF_paused)
        return "paused";
    /* What cannot be logged cannot be migrated live. */
    if (!(domain->info.flags & (XEN_DOMINF_hvm_guest | XEN_DOMINF_hap)) && !limits->shadow)
        return "pv-without-log-dirty";
    /* Made by XAPI, say: xl would not know what it consists of. */
    type = xe_store_read(handle, "/libxl/%u/type", domain->info.domain);
    is_known = type != NULL;
    g_free(type);
    if (!is_known)
        return "unknown-to-xl";
    pci = xe_store_list(handle, "/libxl/%u/device/pci", domain->info.domain);
    has_pci = pci[0] != NULL;
    g_strfreev(pci);
    return has_pci ? "passed-through-device" : NULL;
}
