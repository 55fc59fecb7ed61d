/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/connect-priv.h"

#include <math.h>

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

static int
read_points(imig_connection *connection, const char *host, const char *vm, double for_s,
            size_t n, imig_dirty_point *points, imig_error **error)
{
    double start_s = imig_connection_clock(connection);

    for (size_t k = 0; k < n; k++) {
        double due_s = start_s + imig__dirty_reading_s(for_s, n, k);
        int code = IMIG_OK;

        /* Waiting also ends when something happens to a job. */
        while (code == IMIG_OK && imig_connection_clock(connection) < due_s)
            code = imig_connection_wait(connection, due_s, error);
        if (code == IMIG_OK)
            code = imig__connection_dirty_read(connection, host, vm, &points[k], error);
        if (code != IMIG_OK)
            return code;
    }
    return IMIG_OK;
}

static int
log_dirty(imig_connection *connection, const char *vm, double for_s, size_t n,
          imig_dirty_point *points, imig_error **error)
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
    code = read_points(connection, location.host, vm, for_s, n, points, error);
    stopped = imig__connection_dirty_stop(connection, location.host, vm,
                                          code == IMIG_OK ? error : NULL);
    return code == IMIG_OK ? stopped : code;
}

int
imig_connection_dirty(imig_connection *connection, const char *vm, double for_s, size_t points,
                      double *elapsed_s, double *dirtied_bytes, imig_error **error)
{
    imig_dirty_point *point;
    int code;

    if (!connection || !vm || !elapsed_s || !dirtied_bytes)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%s is NULL",
                          !connection ? "connection" : !vm ? "vm" :
                          elapsed_s ? "dirtied_bytes" : "elapsed_s");
    if (!(for_s > 0 && isfinite(for_s)) || points < 1)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%g seconds, %zu points: must be positive",
                          for_s, points);
    point = g_try_new0(imig_dirty_point, points);
    if (!point)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%zu points are too many", points);
    code = log_dirty(connection, vm, for_s, points, point, error);
    for (size_t k = 0; k < points && code == IMIG_OK; k++) {
        elapsed_s[k] = point[k].elapsed_s;
        dirtied_bytes[k] = point[k].dirtied_bytes;
    }
    g_free(point);
    return code;
}
