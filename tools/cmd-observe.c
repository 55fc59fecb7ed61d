/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands.h"
#include "ui.h"

#include <math.h>
#include <stdio.h>

static int
observe(const ui_common *common, const ui_watch *watch)
{
    g_autoptr(imig_connection) connection = NULL;
    g_autoptr(imig_cluster) cluster = NULL;
    const char *path = common->output ? common->output : "-";
    int status = ui_connect(common, &connection);

    if (status == UI_DONE)
        status = ui_observe(connection, watch, &cluster);
    if (status == UI_DONE)
        status = ui_write_cluster(path, cluster);
    if (status == UI_DONE && !common->quiet && !g_str_equal(path, "-"))
        printf("%zu hosts and %zu VMs in %s\n", imig_cluster_host_count(cluster),
               imig_cluster_vm_count(cluster), path);
    return status == UI_DONE ? ui_flush() : status;
}

int
cmd_observe(int argc, char **argv)
{
    static const ui_command command = {
        "observe", "", "Watch hosts for a while and write what they carry as imig-cluster/1.", 0, 0,
    };
    ui_common common = UI_COMMON_INIT;
    ui_watch watch = UI_WATCH_INIT;
    const ui_option options[] = {
        UI_OPTION_CONNECT(&common),
        UI_OPTION_FOR(&watch),
        UI_OPTION_INTERVAL(&watch),
        { "no-dirty", 0, UI_FLAG, &watch.no_dirty, NULL, "do not measure dirty rates" },
        UI_OPTION_OUTPUT(&common, "write it there (standard output)"),
        UI_OPTION_QUIET(&common),
        UI_OPTION_END,
    };
    int status = ui_parse(&command, options, NULL, &argc, argv);

    if (status == UI_GO_ON)
        status = observe(&common, &watch);
    ui_clear(options);
    return status;
}
