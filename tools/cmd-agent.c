/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands.h"
#include "ui.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

/* Standard output is for replies alone; what a hypervisor's library prints goes to stderr. */
static int
take_output(int *fd)
{
    *fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (*fd < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        return ui_fail(UI_FAILED, "standard output: %s", g_strerror(errno));
    return UI_DONE;
}

static int
serve(const char *uri)
{
    g_autoptr(imig_context) context = NULL;
    imig_error *error = NULL;
    int fd, code;
    int status = ui_make_context(&context);

    if (status == UI_DONE)
        status = take_output(&fd);
    if (status != UI_DONE)
        return status;
    /* Where nobody reads any more, the hypervisor is to be closed all the same. */
    signal(SIGPIPE, SIG_IGN);
    code = imig_agent_serve(context, uri, STDIN_FILENO, fd, ui_catch_signals(), &error);
    close(fd);
    status = code == IMIG_OK ? UI_DONE
             : code == IMIG_ERR_CANCELLED ? UI_INTERRUPTED : ui_status_of(error);
    imig_error_free(error); /* the other side has been told, and tells the user in one line */
    return status;
}

int
cmd_agent(int argc, char **argv)
{
    static const ui_command command = {
        "agent", "URI", "Serve a hypervisor to another imig, which starts this by itself for\n"
        "agent:URI and xenctl+ssh://HOST: requests on standard input, replies on\n"
        "standard output, imig-agent/1.", 1, 1,
    };
    const ui_option options[] = { UI_OPTION_MEASURE_DIRTY, UI_OPTION_END };
    int status = ui_parse(&command, options, NULL, &argc, argv);

    return status == UI_GO_ON ? serve(argv[1]) : status;
}
