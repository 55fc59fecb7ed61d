/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/connect-priv.h"

#include <math.h>
#include <string.h>

static int
logging_member(imig_connection *connection, const char *host, imig__member **member,
               imig_error **error)
{
    const imig__host_entry *entry;
    int code = imig__connection_find_host(connection, host, &entry, error);

    if (code != IMIG_OK)
        return code;
    *member = entry->member;
    if (!entry->member->ops->dirty_start)
        return imig__member_unsupported(entry->member, "log dirty pages", error);
    return IMIG_OK;
}

int
imig__connection_dirty_start(imig_connection *connection, const char *host, const char *vm,
                             imig_error **error)
{
    imig__member *member;
    int code = logging_member(connection, host, &member, error);

    if (code != IMIG_OK)
        return code;
    code = member->ops->dirty_start(member->state, vm, error);
    return imig__member_answer(member, "dirty_start", code, error);
}

int
imig__connection_dirty_read(imig_connection *connection, const char *host, const char *vm,
                            imig_dirty_point *point, imig_error **error)
{
    imig__member *member;
    int code = logging_member(connection, host, &member, error);

    if (code != IMIG_OK)
        return code;
    *point = (imig_dirty_point) { .size = sizeof *point };
    code = member->ops->dirty_read(member->state, vm, point, error);
    return imig__member_answer(member, "dirty_read", code, error);
}

int
imig__connection_dirty_stop(imig_connection *connection, const char *host, const char *vm,
                            imig_error **error)
{
    imig__member *member;
    int code = logging_member(connection, host, &member, error);

    if (code != IMIG_OK)
        return code;
    code = member->ops->dirty_stop(member->state, vm, error);
    return imig__member_answer(member, "dirty_stop", code, error);
}

double
imig__dirty_reading_s(double for_s, size_t n, size_t k)
{
    const double first_share = 1.0 / 32;

    if (n == 1)
        return for_s;
    return for_s * pow(first_share, (double) (n - 1 - k) / (double) (n - 1));
}

gboolean
imig__dirty_keep(const imig_dirty_point *point, double *elapsed_s, double *dirtied_bytes,
                 size_t *count)
{
    size_t n = *count;

    if (!(isfinite(point->elapsed_s) && point->elapsed_s > 0)
        || !(isfinite(point->dirtied_bytes) && point->dirtied_bytes >= 0))
        return FALSE;
    if (n > 0 && point->elapsed_s == elapsed_s[n - 1])
        n--; /* looked at again: the newer figure knows more */
    else if (n > 0 && point->elapsed_s < elapsed_s[n - 1])
        return FALSE;
    elapsed_s[n] = point->elapsed_s;
    dirtied_bytes[n] = n > 0 ? fmax(point->dirtied_bytes, dirtied_bytes[n - 1])
                             : point->dirtied_bytes;
    if (n < *count)
        return FALSE;
    ++*count;
    return TRUE;
}

/* Points of one VM; the arrays have room for every reading. */
typedef struct points {
    double *elapsed_s, *dirtied_bytes;
    size_t count;
    const imig_cancel *cancel;
} points;

static int
read_at(imig_connection *connection, const char *host, const char *vm, double due_s, points *p,
        imig_error **error)
{
    imig_dirty_point point;
    int code = imig__connection_wait_until(connection, due_s, p->cancel, error);

    if (code == IMIG_OK)
        code = imig__connection_dirty_read(connection, host, vm, &point, error);
    if (code == IMIG_OK)
        imig__dirty_keep(&point, p->elapsed_s, p->dirtied_bytes, &p->count);
    return code;
}

static int
read_points(imig_connection *connection, const char *host, const char *vm, double for_s,
            size_t n, points *p, imig_error **error)
{
    double start_s = imig_connection_clock(connection), due_s = start_s + for_s;
    double patience_s = due_s + IMIG__DIRTY_PATIENCE_S;
    int code = IMIG_OK;

    for (size_t k = 0; k < n && code == IMIG_OK; k++)
        code = read_at(connection, host, vm, start_s + imig__dirty_reading_s(for_s, n, k), p,
                       error);
    while (code == IMIG_OK && p->count == 0 && due_s < patience_s) {
        due_s = fmin(due_s + IMIG__DIRTY_AGAIN_S, patience_s);
        code = read_at(connection, host, vm, due_s, p, error);
    }
    if (code == IMIG_OK && p->count == 0)
        code = imig__fail(error, IMIG_ERR_TIMEOUT, "VM %s: no reading within %g s", vm,
                          for_s + IMIG__DIRTY_PATIENCE_S);
    return code;
}

static int
log_dirty(imig_connection *connection, const char *vm, double for_s, size_t n,
          points *p, imig_error **error)
{
    imig__member *member;
    imig_location location;
    int code = imig__connection_find_vm(connection, vm, &member, &location, error);
    int stopped;

    if (code != IMIG_OK)
        return code;
    if (!member)
        return imig__fail(error, IMIG_ERR_NOT_FOUND, "no VM \"%s\"", vm);
    if (location.state == IMIG_VM_MOVING)
        return imig__fail(error, IMIG_ERR_BUSY, "VM %s is being migrated", vm);
    if (member->id)
        g_strlcpy(location.host, member->id, sizeof location.host);
    code = imig__connection_dirty_start(connection, location.host, vm, error);
    if (code != IMIG_OK)
        return code;
    code = read_points(connection, location.host, vm, for_s, n, p, error);
    stopped = imig__connection_dirty_stop(connection, location.host, vm,
                                          code == IMIG_OK ? error : NULL);
    return code == IMIG_OK ? stopped : code;
}

int
imig_connection_dirty_cancellable(imig_connection *connection, const char *vm, double for_s,
                                  const imig_cancel *cancel, size_t *count, double *elapsed_s,
                                  double *dirtied_bytes, imig_error **error)
{
    points p = { .cancel = cancel };
    int code;

    if (!connection || !vm || !count || !elapsed_s || !dirtied_bytes)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%s is NULL",
                          !connection ? "connection" : !vm ? "vm" : !count ? "count" :
                          elapsed_s ? "dirtied_bytes" : "elapsed_s");
    if (!(for_s > 0 && isfinite(for_s)) || *count < 1)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%g seconds, %zu points: must be positive",
                          for_s, *count);
    p.elapsed_s = g_try_new(double, *count);
    p.dirtied_bytes = g_try_new(double, *count);
    if (p.elapsed_s && p.dirtied_bytes)
        code = log_dirty(connection, vm, for_s, *count, &p, error);
    else
        code = imig__fail(error, IMIG_ERR_ARGUMENT, "%zu points are too many", *count);
    if (code == IMIG_OK) {
        memcpy(elapsed_s, p.elapsed_s, p.count * sizeof *elapsed_s);
        memcpy(dirtied_bytes, p.dirtied_bytes, p.count * sizeof *dirtied_bytes);
        *count = p.count;
    }
    g_free(p.elapsed_s);
    g_free(p.dirtied_bytes);
    return code;
}

int
imig_connection_dirty(imig_connection *connection, const char *vm, double for_s, size_t *count,
                      double *elapsed_s, double *dirtied_bytes, imig_error **error)
{
    return imig_connection_dirty_cancellable(connection, vm, for_s, NULL, count, elapsed_s,
                                             dirtied_bytes, error);
}
