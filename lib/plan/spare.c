/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/planner-priv.h"

#include "model/cluster-priv.h"

static int
compare_cores(const void *a, const void *b, void *data)
{
    const imig_cluster *cluster = data;
    uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;
    double cx = cluster->hosts[x].cpu_cores, cy = cluster->hosts[y].cpu_cores;

    if (cluster->host_pool[x] != cluster->host_pool[y])
        return cluster->host_pool[x] < cluster->host_pool[y] ? -1 : 1;
    return (cx < cy) - (cx > cy);
}

/* Hosts of one pool, the largest first: what is left of them when so many fail; 0: nothing. */
static double
share_left(const imig_cluster *cluster, const uint32_t *hosts, size_t n, uint32_t spare)
{
    double all = 0, fail = 0;

    for (size_t i = 0; i < n; i++) {
        all += cluster->hosts[hosts[i]].cpu_cores;
        fail += i < spare ? cluster->hosts[hosts[i]].cpu_cores : 0;
    }
    return n > spare ? (all - fail) / all : 0;
}

/*
 * With N hosts to spare in each pool, the load of its N largest must fit on its others under the
 * threshold.  Hosts that are not active, or to be emptied, carry nothing.  Goal consolidate decides
 * itself which hosts are left.
 */
int
imig__planner_spare_hosts(imig__planner *planner, imig_error **error)
{
    const imig_cluster *cluster = planner->cluster;
    const imig__space *space = planner->problem.space;
    uint32_t *hosts = g_new(uint32_t, cluster->host_count + 1), spare = planner->opt.spare_hosts;
    size_t n = 0;
    int r = IMIG_OK;

    for (uint32_t h = 0; h < cluster->host_count; h++)
        if (space->accepts[h])
            hosts[n++] = h;
    g_qsort_with_data(hosts, (gint) n, sizeof *hosts, compare_cores, (gpointer) cluster);
    for (size_t i = 0, end; i < n && r == IMIG_OK; i = end) {
        uint32_t pool = cluster->host_pool[hosts[i]];
        double share;

        for (end = i; end < n && cluster->host_pool[hosts[end]] == pool; end++)
            continue;
        share = share_left(cluster, hosts + i, end - i, spare);
        if (share <= 0)
            r = imig__fail(error, IMIG_ERR_ARGUMENT, "spare_hosts %u: there are %zu hosts in use"
                           "%s%s", spare, end - i, cluster->pool_count > 1 ? " in pool " : "",
                           cluster->pool_count > 1 ? cluster->hosts[hosts[i]].pool : "");
        for (size_t k = i; k < end; k++)
            space->share[hosts[k]] = planner->goal == IMIG__CONSOLIDATE ? 1 : share;
    }
    if (n == 0)
        r = imig__fail(error, IMIG_ERR_ARGUMENT, "spare_hosts %u: there are 0 hosts in use", spare);
    g_free(hosts);
    return r;
}
