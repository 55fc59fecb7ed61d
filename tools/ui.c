/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ui.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The line at the bottom of a terminal that counts down while hosts are watched. */
static struct {
    GMutex lock;
    GCond changed;
    GThread *thread;
    gint64 end_us;
    guint hosts; /* as many as were named, which may stand for more; 0: not to be shown */
    gboolean over, shown;
} countdown;

static void
clear_countdown(void)
{
    if (countdown.shown)
        fputs("\r\033[K", stderr);
    countdown.shown = FALSE;
}

static void
draw_countdown(void)
{
    gint64 left_s = (countdown.end_us - g_get_monotonic_time() + 500000) / 1000000;

    clear_countdown();
    fputs("watching", stderr);
    if (countdown.hosts > 1)
        fprintf(stderr, " %u hosts", countdown.hosts);
    fprintf(stderr, ", %" G_GINT64_FORMAT " s to go", MAX(left_s, 0));
    fflush(stderr);
    countdown.shown = TRUE;
}

/* Nothing is drawn at once: simulated hosts only count the time. */
static gpointer
count_down(gpointer unused)
{
    gint64 next_us = g_get_monotonic_time() + 300000;

    (void) unused;
    g_mutex_lock(&countdown.lock);
    while (!countdown.over) {
        if (g_cond_wait_until(&countdown.changed, &countdown.lock, next_us))
            continue;
        draw_countdown();
        next_us += G_USEC_PER_SEC;
    }
    clear_countdown();
    g_mutex_unlock(&countdown.lock);
    return NULL;
}

void
ui_countdown_begin(double for_s)
{
    sigset_t all, before;

    if (countdown.hosts == 0)
        return;
    countdown.over = FALSE;
    countdown.end_us = g_get_monotonic_time() + (gint64) (MIN(for_s, 1e9) * 1e6);
    /* Signals are to wake the thread that watches. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    countdown.thread = g_thread_new("countdown", count_down, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void
ui_countdown_end(void)
{
    if (!countdown.thread)
        return;
    g_mutex_lock(&countdown.lock);
    countdown.over = TRUE;
    g_cond_signal(&countdown.changed);
    g_mutex_unlock(&countdown.lock);
    g_thread_join(g_steal_pointer(&countdown.thread));
}

static gboolean
shows_countdown(const ui_common *common)
{
    return !common->json && !common->quiet && isatty(STDERR_FILENO)
           && g_strcmp0(g_getenv("TERM"), "dumb") != 0;
}

static void
say_no(const char *prefix, const char *message)
{
    char *line = g_strdup_printf("%s%s%s", prefix ? prefix : "", prefix ? ": " : "", message);

    g_strdelimit(line, "\n\r\t\033", ' '); /* an argument may hold anything */
    fflush(stdout);
    g_mutex_lock(&countdown.lock);
    clear_countdown();
    fprintf(stderr, "imig: %s\n", line);
    g_mutex_unlock(&countdown.lock);
    g_free(line);
}

int
ui_fail(int status, const char *format, ...)
{
    va_list args;
    char *message;

    va_start(args, format);
    message = g_strdup_vprintf(format, args);
    va_end(args);
    say_no(NULL, message);
    g_free(message);
    return status;
}

int
ui_status_of(const imig_error *error)
{
    int code = imig_error_code(error);

    return code == IMIG_ERR_ARGUMENT || code == IMIG_ERR_SYNTAX || code == IMIG_ERR_INVALID
                   || code == IMIG_ERR_NOT_FOUND
               ? UI_USAGE : UI_FAILED;
}

int
ui_fail_error(const char *prefix, imig_error *error)
{
    int status = ui_status_of(error);

    say_no(g_strcmp0(prefix, "-") == 0 ? "standard input" : prefix, imig_error_message(error));
    imig_error_free(error);
    return status;
}

static int
read_stream(FILE *stream, const char *name, char **text, size_t *length)
{
    GString *all = g_string_new(NULL);
    char *piece = g_malloc(1 << 16);
    size_t n;

    while ((n = fread(piece, 1, 1 << 16, stream)) > 0)
        g_string_append_len(all, piece, (gssize) n);
    g_free(piece);
    if (ferror(stream)) {
        g_string_free(all, TRUE);
        return ui_fail(UI_USAGE, "%s: %s", name, g_strerror(errno));
    }
    *length = all->len;
    *text = g_string_free(all, FALSE);
    return UI_DONE;
}

int
ui_read(const char *path, char **text, size_t *length)
{
    FILE *file;
    int status;

    if (g_str_equal(path, "-"))
        return read_stream(stdin, "standard input", text, length);
    file = fopen(path, "rbe");
    if (!file)
        return ui_fail(UI_USAGE, "%s: %s", path, g_strerror(errno));
    status = read_stream(file, path, text, length);
    fclose(file);
    return status;
}

int
ui_flush(void)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        return ui_fail(UI_FAILED, "standard output: %s", g_strerror(errno));
    return UI_DONE;
}

int
ui_can_write(const char *path)
{
    g_autofree char *folder = g_path_get_dirname(path);
    gboolean renamed = !g_file_test(path, G_FILE_TEST_EXISTS)
                       || g_file_test(path, G_FILE_TEST_IS_REGULAR);

    if (g_str_equal(path, "-") || g_access(renamed ? folder : path, W_OK) == 0)
        return UI_DONE;
    return ui_fail(UI_FAILED, "%s: %s", path, g_strerror(errno));
}

int
ui_write(const char *path, const char *text, size_t length)
{
    GError *error = NULL;
    const char *reason;
    int status;

    if (g_str_equal(path, "-")) {
        fwrite(text, 1, length, stdout);
        return ui_flush();
    }
    /* A device or a pipe cannot be renamed over. */
    if (g_file_test(path, G_FILE_TEST_EXISTS) && !g_file_test(path, G_FILE_TEST_IS_REGULAR)) {
        FILE *file = fopen(path, "wbe");

        if (!file || fwrite(text, 1, length, file) != length || fflush(file) != 0) {
            status = ui_fail(UI_FAILED, "%s: %s", path, g_strerror(errno));
            if (file)
                fclose(file);
            return status;
        }
        fclose(file);
        return UI_DONE;
    }
    if (g_file_set_contents_full(path, text, (gssize) length, G_FILE_SET_CONTENTS_CONSISTENT, 0666,
                                 &error))
        return UI_DONE;
    /* It speaks of the temporary file; the reason comes last. */
    reason = strrchr(error->message, ':');
    status = ui_fail(UI_FAILED, "%s%s", path, reason ? reason : "");
    g_error_free(error);
    return status;
}

int
ui_write_json(const char *path, json_t *document)
{
    char *text = json_dumps(document, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
    char *line = g_strconcat(text, "\n", NULL);
    int status = ui_write(path, line, strlen(line));

    free(text);
    g_free(line);
    return status;
}

char *ui_transport;
int ui_measure_dirty;

/* May come from a backend's own thread: one call, one line. */
static void
print_line(int32_t level, const char *line, void *user_data)
{
    (void) user_data;
    say_no(level <= IMIG_LOG_WARNING ? "warning" : NULL, line);
}

int
ui_make_context(imig_context **ret_context)
{
    g_autoptr(imig_context) context = imig_context_new();
    g_autofree char *program = g_file_read_link("/proc/self/exe", NULL);
    const char *command[] = { program, "agent", NULL };
    imig_agent_options agent = IMIG_AGENT_OPTIONS_INIT;
    g_auto(GStrv) transport = NULL;
    imig_error *error = NULL;
    GError *reason = NULL;

    if (ui_transport && !g_shell_parse_argv(ui_transport, NULL, &transport, &reason)) {
        ui_fail(UI_USAGE, "--transport: %s", reason->message);
        g_error_free(reason);
        return UI_USAGE;
    }
    agent.command = program ? command : NULL;
    agent.transport = (const char *const *) transport;
    if (imig_context_set_agent(context, &agent, &error) != IMIG_OK)
        return ui_fail_error("--transport", error);
    /* What hypervisor libraries would print is reported anyway. */
    imig_context_set_process(context, IMIG_PROCESS_QUIET
                             | (ui_measure_dirty ? IMIG_PROCESS_MEASURE_DIRTY : 0), NULL);
    imig_context_set_log(context, IMIG_LOG_WARNING, print_line, NULL, NULL);
    *ret_context = g_steal_pointer(&context);
    return UI_DONE;
}

static int
set_capacities(imig_connection *connection, const char *path)
{
    g_autofree char *text = NULL;
    imig_error *error = NULL;
    size_t length;
    int status = ui_read(path, &text, &length);

    if (status != UI_DONE)
        return status;
    if (imig_connection_set_capacities(connection, text, length, &error) != IMIG_OK)
        return ui_fail_error(path, error);
    return UI_DONE;
}

/* What was meant: a file for the simulator, if there is one, else a host. */
static int
fail_scheme(const char *text)
{
    g_autofree char *path = g_strndup(text, strcspn(text, "?,"));

    if (g_file_test(path, G_FILE_TEST_IS_REGULAR))
        return ui_fail(UI_USAGE, "-c %s: a URI begins with a scheme; a simulated cluster is "
                       "-c sim:%s", text, text);
    return ui_fail(UI_USAGE, "-c %s: a URI begins with a scheme; a host of libvirt is "
                   "-c qemu+ssh://%s%s/system", text, strchr(path, '@') ? "" : "root@", path);
}

int
ui_connect(const ui_common *common, imig_connection **connection)
{
    g_autoptr(imig_context) context = NULL;
    char *const *uris = common->uris;
    imig_error *error = NULL;
    gboolean wrong_uri;
    int status;

    if (!uris || !uris[0])
        return ui_fail(UI_USAGE, "no hypervisor given; name one with -c URI");
    for (char *const *uri = uris; *uri; uri++)
        if (!strchr(*uri, ':'))
            return fail_scheme(*uri);
    status = ui_make_context(&context);
    if (status != UI_DONE)
        return status;
    countdown.hosts = shows_countdown(common) ? g_strv_length((char **) uris) : 0;
    imig_context_set_log(context, common->verbose ? IMIG_LOG_INFO : common->quiet ? IMIG_LOG_ERROR
                                  : IMIG_LOG_WARNING, print_line, NULL, NULL);
    if (imig_connect(context, (const char *const *) uris, g_strv_length((char **) uris),
                     connection, &error) == IMIG_OK)
        return common->capacities ? set_capacities(*connection, common->capacities) : UI_DONE;
    wrong_uri = imig_error_code(error) == IMIG_ERR_UNSUPPORTED;
    status = ui_fail_error(NULL, error);
    return wrong_uri ? UI_USAGE : status;
}

json_t *
ui_missing(const imig_connection *connection)
{
    json_t *missing = json_array();
    const char *line;

    for (size_t i = 0; (line = imig_connection_missing(connection, i)); i++)
        json_array_append_new(missing, json_string(line));
    return missing;
}

int
ui_can_confirm(void)
{
    return isatty(STDIN_FILENO)
               ? UI_DONE
               : ui_fail(UI_USAGE, "standard input is no terminal to confirm on; say --yes");
}

int
ui_confirm(const char *question)
{
    char answer[16];
    int status = ui_can_confirm();

    if (status != UI_DONE)
        return status;
    fprintf(stderr, "%s [y/N] ", question);
    if (!fgets(answer, sizeof answer, stdin)
        || (g_ascii_strcasecmp(g_strchomp(answer), "y") != 0
            && g_ascii_strcasecmp(answer, "yes") != 0))
        return ui_fail(UI_FAILED, "not confirmed, nothing was done");
    return UI_DONE;
}

static imig_cancel *wish; /* a signal handler has no argument of ours */

static void
on_signal(int number)
{
    (void) number;
    imig_cancel_trigger(wish);
}

static void
on_broken_pipe(int number)
{
    (void) number;
}

void
ui_outlive_reader(void)
{
    /* Not ignored: what is started in between inherits that, but no handler. */
    struct sigaction action = { .sa_handler = on_broken_pipe };

    sigaction(SIGPIPE, &action, NULL);
}

imig_cancel *
ui_catch_signals(void)
{
    struct sigaction action = { .sa_handler = on_signal };

    if (!wish) {
        struct sigaction before;

        wish = imig_cancel_new();
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
        /* What nohup has begun goes on. */
        sigaction(SIGHUP, NULL, &before);
        if (before.sa_handler != SIG_IGN)
            sigaction(SIGHUP, &action, NULL);
    }
    return wish;
}
