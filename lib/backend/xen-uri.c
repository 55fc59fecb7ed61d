/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/xen-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#define SCHEME "xenctl:"
#define LOCK_DIR "lock-dir="

static const char default_lock_dir[] = "/run/imig";

int
xe_uri_parse(const char *uri, xe_places *places, imig_error **error)
{
    const char *query = uri + strlen(SCHEME);
    const char *lock_dir = default_lock_dir;

    if (*query == '?' && g_str_has_prefix(query + 1, LOCK_DIR))
        lock_dir = query + 1 + strlen(LOCK_DIR);
    else if (*query)
        return xe_fail(error, IMIG_ERR_ARGUMENT,
                       "only \"?" LOCK_DIR "DIRECTORY\" may follow " SCHEME);
    if (!g_path_is_absolute(lock_dir))
        return xe_fail(error, IMIG_ERR_ARGUMENT, LOCK_DIR "%s: must begin with \"/\"", lock_dir);
    *places = (xe_places) {
        .proc = g_strdup("/proc"), .sys = g_strdup("/sys"), .lock_dir = g_strdup(lock_dir),
    };
    return IMIG_OK;
}

void
xe_places_clear(xe_places *places)
{
    g_free(places->proc);
    g_free(places->sys);
    g_free(places->lock_dir);
    *places = (xe_places) { NULL };
}

/* Files of the kernel have no length, so they are read to their end, or to as much as counts. */
char *
xe_read_file(const char *format, ...)
{
    enum { MOST = 8192 };
    va_list args;
    char *path, *text;
    size_t length = 0;
    ssize_t got = 1;
    int fd;

    va_start(args, format);
    path = g_strdup_vprintf(format, args);
    va_end(args);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    g_free(path);
    if (fd < 0)
        return NULL;
    text = g_malloc(MOST + 1);
    while (length < MOST && got != 0) {
        got = read(fd, text + length, MOST - length);
        if (got > 0)
            length += (size_t) got;
        else if (got < 0 && errno != EINTR)
            break;
    }
    close(fd);
    if (got < 0) {
        g_free(text);
        return NULL;
    }
    text[length] = '\0';
    if (length > 0 && text[length - 1] == '\n')
        text[length - 1] = '\0';
    return text;
}
