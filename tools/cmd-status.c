/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands.h"
#include "ui.h"

#include <math.h>
#include <stdio.h>

static int
show_status(const ui_common *common, const ui_watch *watch, const char *path, gboolean hosts,
            gboolean vms)
{
    g_autoptr(imig_connection) connection = NULL;
    g_autoptr(imig_cluster) cluster = NULL;
    int status = ui_get_cluster(common, watch, path, &connection, &cluster);

    if (status != UI_DONE)
        return status;
    if (common->json) {
        g_autoptr(json_t) figures = ui_cluster_figures(cluster);

        if (hosts != vms)
            json_object_del(figures, hosts ? "vms" : "hosts");
        json_object_set_new(figures, "missing", ui_missing(connection));
        return ui_write_json("-", figures);
    }
    if (hosts || !vms) {
        g_auto(GStrv) unseen = ui_unseen(connection, common, cluster);

        ui_print_hosts(cluster, unseen);
    }
    if (hosts == vms)
        putchar('\n');
    if (vms || !hosts)
        ui_print_vms(cluster);
    return ui_flush();
}

int
cmd_status(int argc, char **argv)
{
    static const ui_command command = {
        "status", "[CLUSTER.json]", "Hosts and VMs: load, class, dirty rate, working set.", 0, 1,
    };
    ui_common common = UI_COMMON_INIT;
    ui_watch watch = UI_WATCH_INIT;
    int hosts = 0, vms = 0;
    const ui_option options[] = {
        UI_OPTION_CONNECT(&common),
        UI_OPTION_FOR(&watch),
        UI_OPTION_INTERVAL(&watch),
        { "hosts", 0, UI_FLAG, &hosts, NULL, "only the hosts" },
        { "vms", 0, UI_FLAG, &vms, NULL, "only the VMs" },
        UI_OPTION_JSON(&common),
        UI_OPTION_END,
    };
    int status = ui_parse(&command, options, NULL, &argc, argv);

    if (status == UI_GO_ON)
        status = show_status(&common, &watch, argc > 1 ? argv[1] : NULL, hosts, vms);
    ui_clear(options);
    return status;
}
