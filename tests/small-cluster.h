/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_TESTS_SMALL_CLUSTER_H
#define IMIG_TESTS_SMALL_CLUSTER_H

/* A cluster to add to.  To be included after <cmocka.h>. */

#include "model/cluster-priv.h"

#include <imig/model.h>

static const double GIB = 1024.0 * 1024 * 1024;

/* Three hosts, h1 and h2 in rack r1, h3 in r2 and pool "b"; VMs v0..v3 on h1, v4 on h3. */
static inline imig_cluster *
small_cluster(void)
{
    static const char *const rack1[] = { "rack", "r1" }, *const rack2[] = { "rack", "r2" };
    imig_cluster *cluster = imig_cluster_new(1790000000.5);

    for (int i = 0; i < 3; i++) {
        imig_host_info host = IMIG_HOST_INFO_INIT;
        char id[8];

        g_snprintf(id, sizeof id, "h%d", i + 1);
        host.id = id;
        host.pool = i < 2 ? "a" : "b";
        host.cpu_cores = 16;
        host.memory_bytes = 64 * GIB;
        host.labels = i < 2 ? rack1 : rack2;
        host.label_count = 1;
        assert_int_equal(imig_cluster_add_host(cluster, &host, NULL), IMIG_OK);
    }
    for (int i = 0; i < 5; i++) {
        imig_vm_info vm = IMIG_VM_INFO_INIT;
        char id[8];

        g_snprintf(id, sizeof id, "v%d", i);
        vm.id = id;
        vm.host = i < 4 ? 0 : 2;
        vm.vcpus = 4;
        vm.memory_bytes = 4 * GIB;
        assert_int_equal(imig_cluster_add_vm(cluster, &vm, NULL), IMIG_OK);
    }
    return cluster;
}

/* Tests from a table whose rows begin with a name. */
#define ROWS(cases, function) \
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) \
        tests[count++] = (struct CMUnitTest) { .name = cases[i].name, .test_func = function, \
                                               .initial_state = (void *) &cases[i] }

#endif
