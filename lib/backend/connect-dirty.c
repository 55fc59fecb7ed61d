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
imig__dirty_keep(const imig_dirty_point *point, imig__dirty_points *points)
{
    size_t n = points->count, at = n;

    if (!(isfinite(point->elapsed_s) && point->elapsed_s > 0)
        || !(isfinite(point->dirtied_bytes) && point->dirtied_bytes >= 0)
        || !(isfinite(point->grain_bytes) && point->grain_bytes >= 0))
        return FALSE;
    if (n > 0 && point->elapsed_s < points->elapsed_s[n - 1])
        return FALSE;
    if (n > 0 && (point->elapsed_s == points->elapsed_s[n - 1] || n == points->room))
        at--; /* looked at again: the newer figure knows more */
    points->elapsed_s[at] = point->elapsed_s;
    points->dirtied_bytes[at] = point->dirtied_bytes;
    points->grain_bytes[at] = point->grain_bytes;
    if (at > 0 && point->grain_bytes == 0)
        points->dirtied_bytes[at] = fmax(point->dirtied_bytes, points->dirtied_bytes[at - 1]);
    points->count = at + 1;
    return at == n;
}

static int
read_point(imig_connection *connection, const char *host, const char *vm, imig_dirty_point *point,
           imig_error **error)
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
imig__dirty_collect(imig_connection *connection, const char *host, const char *vm,
                    imig__dirty_points *points, imig_error **error)
{
    imig_dirty_point point = { .size = sizeof point };
    int code = read_point(connection, host, vm, &point, error);

    for (uint32_t left = point.waiting; code == IMIG_OK; left--) {
        imig__dirty_keep(&point, points);
        if (left == 0 || point.waiting == 0)
            break;
        code = read_point(connection, host, vm, &point, error);
    }
    return code;
}

static int
collect_at(imig_connection *connection, const char *host, const char *vm, double due_s,
           const imig_cancel *cancel, imig__dirty_points *p, imig_error **error)
{
    int code = imig__connection_wait_until(connection, due_s, cancel, error);

    return code == IMIG_OK ? imig__dirty_collect(connection, host, vm, p, error) : code;
}

static int
read_points(imig_connection *connection, const char *host, const char *vm, double for_s,
            const imig_cancel *cancel, imig__dirty_points *p, imig_error **error)
{
    double start_s = imig_connection_clock(connection), due_s = start_s + for_s;
    double patience_s = due_s + IMIG__DIRTY_PATIENCE_S;
    int code = IMIG_OK;

    for (size_t k = 0; k < p->room && code == IMIG_OK; k++)
        code = collect_at(connection, host, vm,
                          start_s + imig__dirty_reading_s(for_s, p->room, k), cancel, p, error);
    while (code == IMIG_OK && p->count == 0 && due_s < patience_s) {
        due_s = fmin(due_s + IMIG__DIRTY_AGAIN_S, patience_s);
        code = collect_at(connection, host, vm, due_s, cancel, p, error);
    }
    if (code == IMIG_OK && p->count == 0)
        code = imig__fail(error, IMIG_ERR_TIMEOUT, "VM %s: no reading within %g s", vm,
                          for_s + IMIG__DIRTY_PATIENCE_S);
    return code;
}

static int
log_dirty(imig_connection *connection, const char *vm, double for_s, const imig_cancel *cancel,
          imig__dirty_points *p, imig_error **error)
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
    code = read_points(connection, location.host, vm, for_s, cancel, p, error);
    stopped = imig__connection_dirty_stop(connection, location.host, vm,
                                          code == IMIG_OK ? error : NULL);
    return code == IMIG_OK ? stopped : code;
}

int
imig_connection_dirty_sampled(imig_connection *connection, const char *vm, double for_s,
                              const imig_cancel *cancel, size_t *count, double *elapsed_s,
                              double *dirtied_bytes, double *grain_bytes, imig_error **error)
{
    imig__dirty_points p = { .room = 0 };
    int code;

    if (!connection || !vm || !count || !elapsed_s || !dirtied_bytes || !grain_bytes)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%s is NULL",
                          !connection ? "connection" : !vm ? "vm" : !count ? "count" :
                          !elapsed_s ? "elapsed_s" : !dirtied_bytes ? "dirtied_bytes" :
                          "grain_bytes");
    if (!(for_s > 0 && isfinite(for_s)) || *count < 1)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%g seconds, %zu points: must be positive",
                          for_s, *count);
    p.elapsed_s = g_try_new(double, *count);
    p.dirtied_bytes = g_try_new(double, *count);
    p.grain_bytes = g_try_new(double, *count);
    p.room = *count;
    if (p.elapsed_s && p.dirtied_bytes && p.grain_bytes)
        code = log_dirty(connection, vm, for_s, cancel, &p, error);
    else
        code = imig__fail(error, IMIG_ERR_ARGUMENT, "%zu points are too many", *count);
    if (code == IMIG_OK) {
        memcpy(elapsed_s, p.elapsed_s, p.count * sizeof *elapsed_s);
        memcpy(dirtied_bytes, p.dirtied_bytes, p.count * sizeof *dirtied_bytes);
        memcpy(grain_bytes, p.grain_bytes, p.count * sizeof *grain_bytes);
        *count = p.count;
    }
    g_free(p.elapsed_s);
    g_free(p.dirtied_bytes);
    g_free(p.grain_bytes);
    return code;
}

int
imig_connection_dirty_cancellable(imig_connection *connection, const char *vm, double for_s,
                                  const imig_cancel *cancel, size_t *count, double *elapsed_s,
                                  double *dirtied_bytes, imig_error **error)
{
    double *grain_bytes = count && *count > 0 ? g_try_new(double, *count) : NULL;
    int code;

    if (count && *count > 0 && !grain_bytes)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%zu points are too many", *count);
    code = imig_connection_dirty_sampled(connection, vm, for_s, cancel, count, elapsed_s,
                                         dirtied_bytes, grain_bytes, error);
    for (size_t i = 1; code == IMIG_OK && i < *count; i++) /* no union shrinks */
        dirtied_bytes[i] = fmax(dirtied_bytes[i], dirtied_bytes[i - 1]);
    g_free(grain_bytes);
    return code;
}

int
imig_connection_dirty(imig_connection *connection, const char *vm, double for_s, size_t *count,
                      double *elapsed_s, double *dirtied_bytes, imig_error **error)
{
    return imig_connection_dirty_cancellable(connection, vm, for_s, NULL, count, elapsed_s,
                                             dirtied_bytes, error);
}
