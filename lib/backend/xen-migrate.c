/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/xen-move-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * One migration: xl in a session of its own, which goes on where this process ends.  So what it
 * says goes into a file, for a pipe without a reader would kill it at the worst moment; and it
 * inherits the lock, which stays taken as long as it, or its helper, works.
 *
 * It is stopped by ending its helper: xl then says so to the other end, which destroys its copy,
 * and has the domain go on.  Once the domain is suspended it is too late.
 */

static const int STILL_S = 120;           /* a VM stands still, and nothing is sent or said */
static const double ASKING_S = 75;        /* xl gives a domain 60 s to suspend itself */
static const double UNHEARD_S = 30;       /* who does not stop in that time is killed */
enum { LOCK_FD = 3 };

/* ---- xl ---- */

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

/* xl is a tool of the administrator, and not always where commands are looked for. */
static char *
find_xl(void)
{
    static const char *const places[] = { "/usr/sbin/xl", "/usr/local/sbin/xl", "/sbin/xl", NULL };
    char *found = g_find_program_in_path("xl");

    for (size_t i = 0; !found && places[i]; i++)
        if (g_file_test(places[i], G_FILE_TEST_IS_EXECUTABLE))
            found = g_strdup(places[i]);
    return found;
}

static int
open_said(const xe_job *job)
{
    char *path = xe_said_path(&job->places, job->vm);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        xe_fail(NULL, IMIG_ERR_IO, "%s: %s", path, g_strerror(errno));
    g_free(path);
    return fd;
}

static int
spawn(xe_moving *m, char **argv)
{
    const int from = m->job->lock.fd, to = LOCK_FD;
    GError *reason = NULL;
    int code = IMIG_OK;

    if (!g_spawn_async_with_pipes_and_fds("/", (const char *const *) argv, NULL,
                                          G_SPAWN_DO_NOT_REAP_CHILD, set_up, NULL, -1, m->said_fd,
                                          m->said_fd, &from, &to, 1, &m->pid, NULL, NULL, NULL,
                                          &reason)) {
        code = xe_fail(NULL, IMIG_ERR_BACKEND, "xl cannot be started: %s", reason->message);
        g_error_free(reason);
        m->pid = 0;
    }
    return code;
}

/* Is the number still that VM's, and does it run?  Numbers are not used again soon, but it may have
   ended since it was asked for. */
static int
check_again(const xe_moving *m)
{
    xe_domain domain;
    gboolean runs;

    if (!xe_domain_get(&m->handle, m->job->domid, m->job->vm, &domain))
        return xe_fail(NULL, IMIG_ERR_NOT_FOUND, "VM %s has gone", m->job->vm);
    runs = !xe_domain_is_shutdown(&domain);
    xe_domain_clear(&domain);
    return runs ? IMIG_OK : xe_fail(NULL, IMIG_ERR_UNSUPPORTED, "VM %s does not run", m->job->vm);
}

static int
begin(xe_moving *m)
{
    xe_job *job = m->job;
    char *xl = find_xl(), **argv;
    int code = IMIG_OK;

    if (!xl)
        return xe_fail(NULL, IMIG_ERR_UNSUPPORTED, "xl, the toolstack, is not there");
    argv = xe_xl_command(xl, job->domid, &job->target, job->limiter);
    m->said_fd = open_said(job);
    if (m->said_fd < 0)
        code = IMIG_ERR_IO;
    if (code == IMIG_OK)
        code = xe_lock_note(&job->places, &job->lock, XE_USE_MIGRATING, job->domid, NULL);
    if (code == IMIG_OK)
        code = check_again(m);
    if (code == IMIG_OK)
        code = spawn(m, argv);
    if (code != IMIG_OK)
        xe_lock_note(&job->places, &job->lock, XE_USE_NONE, job->domid, NULL);
    g_strfreev(argv);
    g_free(xl);
    return code;
}

/* ---- stopping it ---- */

static gboolean
is_to_stop(xe_moving *m)
{
    xe_job *job = m->job;
    gboolean cancel, running;

    g_mutex_lock(&job->bell->lock);
    cancel = job->cancel;
    running = job->info.state == IMIG_JOB_RUNNING;
    g_mutex_unlock(&job->bell->lock);
    if (!running) { /* the VM stands still, so nobody may wait for ever */
        m->stuck = m->suspended_us != 0 && !m->progress.go
                   && g_get_monotonic_time() - MAX(m->suspended_us, m->stirred_us)
                          > STILL_S * (gint64) G_USEC_PER_SEC;
        return m->stuck;
    }
    if (!cancel && job->timeout_s > 0
        && xe_job_clock(job) - job->info.started_s > job->timeout_s)
        m->timed_out = TRUE;
    return cancel || m->timed_out;
}

/* It has asked xl to have the domain suspended, and waits.  A signal now would make it end without
   cleaning up, and the domain may yet be suspended, with nobody left to have it go on. */
static gboolean
is_asking(xe_moving *m, double now_s)
{
    if (m->helper == 0 || now_s - m->stop_s > ASKING_S
        || !xe_waits_for_answer(m->job->places.proc, m->helper))
        return FALSE;
    m->asked_s = now_s;
    return TRUE;
}

/* The helper cleans up on SIGTERM, with the log-dirty mode turned off.  Before there is one, xl has
   nothing to clean up.  The transport is left alone: it ends when the other end has cleaned up. */
static void
stop(xe_moving *m)
{
    double now_s = xe_job_clock(m->job);

    if (m->stop_s == 0) {
        m->stop_s = now_s;
        m->looked_us = 0;
        xe_moving_find_helper(m);
    }
    if (!m->stopped_helper && is_asking(m, now_s))
        return;
    if (m->helper != 0 && !m->stopped_helper) {
        m->stopped_helper = kill(m->helper, SIGTERM) == 0;
    } else if (!m->had_helper && !m->stopped_helper) {
        kill(m->pid, SIGTERM);
        m->stopped_helper = TRUE;
    } else if (now_s - MAX(m->stop_s, m->asked_s) > UNHEARD_S && !m->killed && !m->progress.go) {
        xe_log(IMIG_LOG_WARNING, "VM %s: its migration does not stop, and is killed", m->job->vm);
        kill(-m->pid, SIGKILL);
        m->killed = TRUE;
    }
}

/* TRUE: xl has ended. */
static gboolean
has_ended(xe_moving *m)
{
    pid_t ended = waitpid(m->pid, &m->status, WNOHANG);

    if (ended == 0 || (ended < 0 && errno == EINTR))
        return FALSE;
    if (ended < 0)
        m->status = -1; /* somebody else in this process has asked */
    return TRUE;
}

static void
follow(xe_moving *m)
{
    for (;;) {
        /* Before: what it has said and done by its end must not be missed. */
        gboolean ended = has_ended(m);

        xe_moving_listen(m);
        if (ended)
            return;
        xe_moving_look(m);
        if (m->stop_s > 0 || is_to_stop(m))
            stop(m);
        g_usleep(XE_TICK_US);
    }
}

/* ---- its end ---- */

static gboolean
has_moved(const xe_moving *m)
{
    return m->progress.done || (m->status == 0 && m->progress.started);
}

/* Under the lock of the bell. */
static void
say_failure(xe_moving *m, const char *words)
{
    imig_job *info = &m->job->info;
    const char *reason = *m->progress.reason ? m->progress.reason : "it gave no reason";
    const char *more = words ? words : "";

    if (m->status != -1 && WIFSIGNALED(m->status) && m->progress.weight <= 1)
        reason = "it was killed"; /* and what it said last is no reason */
    info->state = IMIG_JOB_FAILED;
    info->error_code = IMIG_ERR_BACKEND;
    if (m->status != -1)
        info->backend_code = WIFEXITED(m->status) ? WEXITSTATUS(m->status) : -WTERMSIG(m->status);
    if (m->stuck) {
        g_snprintf(info->message, sizeof info->message, "nothing was sent for %d s while the VM "
                   "stood still; it was stopped%s", STILL_S, more);
        info->error_code = IMIG_ERR_TIMEOUT;
        return;
    }
    if (m->stop_s > 0) {
        reason = m->timed_out ? "it did not end in the time it was given; it was stopped"
                              : "cancelled";
        if (!m->timed_out && !words)
            info->state = IMIG_JOB_CANCELLED;
        info->error_code = m->timed_out ? IMIG_ERR_TIMEOUT : words ? IMIG_ERR_CANCELLED : 0;
        g_snprintf(info->message, sizeof info->message, "%s%s", reason, more);
        return;
    }
    g_snprintf(info->message, sizeof info->message, "xl: %s%s", reason, more);
}

static void
conclude(xe_moving *m, gboolean moved, const char *words)
{
    imig_job *info = &m->job->info;

    g_mutex_lock(&m->job->bell->lock);
    info->ended_s = xe_job_clock(m->job);
    if (moved) {
        info->state = IMIG_JOB_DONE;
        info->remaining_bytes = 0;
    } else {
        say_failure(m, words);
    }
    if (moved && m->suspended_us != 0 && m->started_us > m->suspended_us) {
        info->downtime_s = (double) (m->started_us - m->suspended_us) / G_USEC_PER_SEC;
        info->present |= IMIG_JOB_HAS_DOWNTIME;
    }
    g_cond_broadcast(&m->job->bell->rung);
    m->job->bell->rings++;
    g_mutex_unlock(&m->job->bell->lock);
}

/* It never began. */
static void
give_up(xe_job *job, int code)
{
    g_mutex_lock(&job->bell->lock);
    job->info.ended_s = xe_job_clock(job);
    job->info.state = IMIG_JOB_FAILED;
    job->info.error_code = code;
    g_strlcpy(job->info.message, xe_last_failure(), sizeof job->info.message);
    g_cond_broadcast(&job->bell->rung);
    job->bell->rings++;
    g_mutex_unlock(&job->bell->lock);
}

static void
run(xe_moving *m)
{
    xe_job *job = m->job;
    const char *words = NULL;
    gboolean moved;

    follow(m);
    moved = has_moved(m);
    if (moved)
        xe_lock_note(&job->places, &job->lock, XE_USE_NONE, job->domid, NULL);
    else
        words = xe_moving_settle(m);
    xe_lock_release(&job->lock); /* before anybody hears of the end, and tries again */
    conclude(m, moved, words);
}

void *
xe_job_run(void *data)
{
    xe_moving m = { .job = data, .said_fd = -1 };
    int code = xe_handle_open(&m.handle, NULL);

    if (code == IMIG_OK)
        code = begin(&m);
    if (code == IMIG_OK) {
        run(&m);
    } else {
        xe_lock_release(&m.job->lock);
        give_up(m.job, code);
    }
    if (m.said_fd >= 0)
        close(m.said_fd);
    xe_handle_close(&m.handle);
    xe_job_unref(m.job);
    return NULL;
}
