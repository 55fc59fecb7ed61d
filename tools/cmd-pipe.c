/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands.h"
#include "ui.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <unistd.h>

/*
 * Standard input to standard output, so many bytes a second: the module for Xen caps with it what
 * xl sends.  It keeps little for itself, and notices at once that nobody reads any more: who fills
 * it may have nothing more to say, and wait for an answer.
 */

static const double BURST_S = 0.5; /* what was not used of the rate is made up for no longer */
static const double CHUNK_S = 0.05;
enum { CHUNK = 65536 };

static double
now_s(void)
{
    return (double) g_get_monotonic_time() / G_USEC_PER_SEC;
}

/* Until that time, or with until_s 0 until there is something to read; FALSE: nobody reads. */
static gboolean
await(double until_s)
{
    struct pollfd at[] = {
        { .fd = STDOUT_FILENO }, { .fd = until_s > 0 ? -1 : STDIN_FILENO, .events = POLLIN },
    };
    double left_s;

    do {
        left_s = until_s - now_s();
        if (until_s > 0 && left_s <= 0)
            return TRUE;
        if (poll(at, 2, until_s > 0 ? (int) ceil(fmin(left_s, 1000) * 1e3) : -1) < 0)
            at[0].revents = at[1].revents = 0;
        if (at[0].revents)
            return FALSE;
    } while (!at[1].revents);
    return TRUE;
}

static gboolean
write_all(const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t done = write(STDOUT_FILENO, bytes, length);

        if (done < 0 && errno != EINTR)
            return FALSE;
        if (done > 0) {
            bytes += done;
            length -= (size_t) done;
        }
    }
    return TRUE;
}

static int
copy(double bytes_per_s)
{
    static char chunk[CHUNK];
    const size_t most = (size_t) fmax(1, fmin(CHUNK, CHUNK_S * bytes_per_s));
    double due_s = now_s(); /* when more may pass */

    for (;;) {
        ssize_t got;

        if (!await(due_s) || !await(0))
            return UI_FAILED;
        got = read(STDIN_FILENO, chunk, most);
        if (got == 0)
            return UI_DONE;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ui_fail(UI_FAILED, "standard input: %s", g_strerror(errno));
        if (!write_all(chunk, (size_t) got))
            return UI_FAILED;
        due_s = fmax(due_s, now_s() - BURST_S) + (double) got / bytes_per_s;
    }
}

int
cmd_pipe(int argc, char **argv)
{
    static const ui_command command = {
        "pipe", "", "Copy standard input to standard output, no faster than that.", 0, 0,
    };
    double bytes_per_s = NAN;
    const ui_option options[] = {
        { "rate", 0, UI_RATE, &bytes_per_s, "RATE", "such as 100Mbit/s" },
        UI_OPTION_END,
    };
    int status = ui_parse(&command, options, NULL, &argc, argv);

    if (status != UI_GO_ON)
        return status;
    return isnan(bytes_per_s) ? ui_fail(UI_USAGE, "--rate is needed") : copy(bytes_per_s);
}
