/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/agent-priv.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A killed process is gone at once, unless it hangs in the kernel: then nobody waits for it. */
static const double KILLED_S = 5;

enum { PIECE = 1 << 16, KEPT_ROOM = 1 << 20, NAP_US = 2000 };

void
imig__agent_child_init(imig__agent_child *child)
{
    *child = (imig__agent_child) { .pid = 0, .fd = -1, .line = g_string_new(NULL) };
}

void
imig__agent_child_clear(imig__agent_child *child)
{
    g_string_free(child->line, TRUE);
}

/* In the child, between fork and exec: only calls that are safe there. */
static void
set_up(void *data)
{
    sigset_t none;

    (void) data;
    setsid();
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
}

int
imig__agent_child_start(imig__agent_child *child, char **argv, imig_error **error)
{
    GError *reason = NULL;
    int fds[2], code = IMIG_OK;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        return imig__fail(error, IMIG_ERR_IO, "no socket for an agent: %s", g_strerror(errno));
    /* One socket is its input and its output; unlike a pipe it can be written to without SIGPIPE.
       GLib closes all else but standard error. */
    if (!g_spawn_async_with_fds(NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_SEARCH_PATH,
                                set_up, NULL, &child->pid, fds[1], fds[1], -1, &reason)) {
        code = imig__fail(error, IMIG_ERR_BACKEND, "the agent cannot be started: %s",
                          reason->message);
        g_error_free(reason);
        child->pid = 0;
        close(fds[0]);
    } else {
        child->fd = fds[0];
    }
    close(fds[1]);
    return code;
}

/* IMIG_ERR_TIMEOUT, or IMIG_OK where reading or writing will not block. */
static int
wait_ready(int fd, short events, int64_t until_us)
{
    for (;;) {
        struct pollfd p = { .fd = fd, .events = events };
        int64_t left_ms = (until_us - g_get_monotonic_time() + 999) / 1000;
        int ready = poll(&p, 1, (int) CLAMP(left_ms, 0, G_MAXINT));

        if (ready > 0)
            return IMIG_OK;
        if (ready == 0 && left_ms <= G_MAXINT)
            return IMIG_ERR_TIMEOUT;
        if (ready < 0 && errno != EINTR)
            return IMIG_ERR_IO;
    }
}

int
imig__agent_child_send(imig__agent_child *child, const char *text, size_t length, int64_t until_us)
{
    while (length > 0) {
        int code = wait_ready(child->fd, POLLOUT, until_us);
        ssize_t sent;

        if (code != IMIG_OK)
            return code;
        sent = send(child->fd, text, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return IMIG_ERR_IO;
        if (sent > 0) {
            text += sent;
            length -= (size_t) sent;
        }
    }
    return IMIG_OK;
}

/* Appends what there is to the line. */
static int
receive_piece(imig__agent_child *child, int64_t until_us)
{
    char piece[PIECE];
    ssize_t got;
    int code = wait_ready(child->fd, POLLIN, until_us);

    if (code != IMIG_OK)
        return code;
    got = recv(child->fd, piece, sizeof piece, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        return IMIG_ERR_IO;
    if (got > 0)
        g_string_append_len(child->line, piece, got);
    return IMIG_OK;
}

int
imig__agent_child_receive(imig__agent_child *child, size_t longest, int64_t until_us)
{
    size_t seen = 0;

    if (child->line->allocated_len > KEPT_ROOM) {
        g_string_free(child->line, TRUE);
        child->line = g_string_new(NULL);
    }
    g_string_truncate(child->line, 0);
    for (;;) {
        const char *end;
        int code = receive_piece(child, until_us);

        if (code != IMIG_OK)
            return code;
        end = memchr(child->line->str + seen, '\n', child->line->len - seen);
        seen = child->line->len;
        if (end) /* whatever comes behind the line was not asked for */
            return end + 1 == child->line->str + seen ? IMIG_OK : IMIG_ERR_INVALID;
        if (seen > longest)
            return IMIG_ERR_INVALID;
    }
}

/* TRUE where the process has ended; *status is -1 where somebody else has asked how. */
static gboolean
reap(GPid pid, double patience_s, int *status)
{
    int64_t until_us = g_get_monotonic_time() + (int64_t) (patience_s * G_USEC_PER_SEC);

    for (;;) {
        pid_t ended = waitpid(pid, status, WNOHANG);

        if (ended == pid)
            return TRUE;
        if (ended < 0 && errno != EINTR) {
            *status = -1;
            return TRUE;
        }
        if (g_get_monotonic_time() >= until_us)
            return FALSE;
        g_usleep(NAP_US);
    }
}

static char *
in_words(int status)
{
    if (status != -1 && WIFEXITED(status))
        return g_strdup_printf("it ended with status %d", WEXITSTATUS(status));
    if (status != -1 && WIFSIGNALED(status))
        return g_strdup_printf("it was ended by signal %d (%s)", WTERMSIG(status),
                               g_strsignal(WTERMSIG(status)));
    return g_strdup("it has ended");
}

char *
imig__agent_child_end(imig__agent_child *child, double grace_s)
{
    GPid pid = child->pid;
    int status;

    child->pid = 0;
    close(child->fd);
    child->fd = -1;
    if (grace_s > 0 && reap(pid, grace_s, &status))
        return in_words(status);
    kill(-pid, SIGKILL); /* and what it has started: the session is its own */
    if (reap(pid, KILLED_S, &status))
        return g_strdup("it was killed");
    return g_strdup_printf("it was killed, but process %d hangs in the kernel", (int) pid);
}
