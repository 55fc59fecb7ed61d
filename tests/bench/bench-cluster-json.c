/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Reads and writes a cluster of 10,000 hosts and 200,000 VMs (or as many hosts as the argument
 * says), and prints seconds of CPU and peak memory.  Never fails on a time.  Two kinds of numbers:
 * as measured, with every digit a double has, and with six digits.
 */

#include <glib.h>
#include <imig/imig.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static double
peak_mb(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double) usage.ru_maxrss / 1024;
}

static double
seconds_since(clock_t *start)
{
    clock_t now = clock(), before = *start;

    *start = now;
    return (double) (now - before) / CLOCKS_PER_SEC;
}

static double
metric(GRand *random, double most, gboolean every_digit)
{
    double value = g_rand_double_range(random, 0, most);
    char text[G_ASCII_DTOSTR_BUF_SIZE];

    return every_digit ? value
                       : g_ascii_strtod(g_ascii_formatd(text, sizeof text, "%.6g", value), NULL);
}

static imig_cluster *
build(unsigned hosts, gboolean every_digit)
{
    imig_cluster *cluster = imig_cluster_new(1790000000);
    GRand *random = g_rand_new_with_seed(1);

    for (unsigned i = 0; i < hosts; i++) {
        imig_host_info host = IMIG_HOST_INFO_INIT;
        char id[32], rack[32];
        const char *labels[] = { "rack", rack };

        g_snprintf(id, sizeof id, "host-%u", i);
        g_snprintf(rack, sizeof rack, "r%u", i / 40);
        host.id = id;
        host.cpu_cores = 48;
        host.memory_bytes = 384e9;
        host.present = IMIG_HOST_HAS_NET | IMIG_HOST_HAS_DISK_OPS;
        host.net_bytes_per_s = 1.25e9;
        host.disk_ops_per_s = 20000;
        host.labels = labels;
        host.label_count = 1;
        imig_cluster_add_host(cluster, &host, NULL);
    }
    for (unsigned i = 0; i < 20 * hosts; i++) {
        imig_vm_info vm = IMIG_VM_INFO_INIT;
        double *metrics = &vm.cpu_cores, disk = 1e10;
        int32_t shared = 1;
        char id[48], name[32];

        g_snprintf(id, sizeof id, "%08x-%04x-4000-8000-%012x", g_rand_int(random),
                   g_rand_int(random) & 0xffff, i);
        g_snprintf(name, sizeof name, "vm-%u", i);
        vm.id = id;
        vm.name = name;
        vm.host = (uint32_t) g_rand_int_range(random, 0, (gint32) hosts);
        vm.vcpus = 4;
        vm.memory_bytes = 8e9;
        vm.present = (UINT64_C(1) << IMIG_METRIC_COUNT) - 1;
        for (int m = 0; m < IMIG_METRIC_COUNT; m++)
            metrics[m] = metric(random, m < 2 ? 2 : 1e6, every_digit);
        vm.disk_bytes = &disk;
        vm.disk_shared = &shared;
        vm.disk_count = 1;
        imig_cluster_add_vm(cluster, &vm, NULL);
    }
    g_rand_free(random);
    imig_cluster_finish(cluster, NULL);
    return cluster;
}

static int
run(unsigned hosts, gboolean every_digit)
{
    imig_cluster *cluster, *again = NULL;
    char *text = NULL, *other = NULL;
    size_t length = 0, other_length = 0;
    clock_t start = clock();
    gboolean same;

    cluster = build(hosts, every_digit);
    printf("%u hosts, %u VMs, %s\n", hosts, 20 * hosts, every_digit ? "all digits" : "6 digits");
    printf("  build  %6.3f s %5.0f MB peak\n", seconds_since(&start), peak_mb());
    imig_cluster_sha256(cluster);
    printf("  digest %6.3f s %5.0f MB peak\n", seconds_since(&start), peak_mb());
    imig_cluster_to_json(cluster, &text, &length, NULL);
    printf("  write  %6.3f s %5.0f MB peak, %.1f MB of text\n", seconds_since(&start), peak_mb(),
           (double) length / 1e6);
    imig_cluster_unref(cluster);
    seconds_since(&start);
    if (imig_cluster_from_json(text, length, &again, NULL) != IMIG_OK)
        return 1;
    printf("  read   %6.3f s %5.0f MB peak\n", seconds_since(&start), peak_mb());
    imig_cluster_to_json(again, &other, &other_length, NULL);
    same = length == other_length && memcmp(text, other, length) == 0;
    printf("  the same bytes again: %s\n", same ? "yes" : "no");
    imig_cluster_unref(again);
    imig_free(text);
    imig_free(other);
    return same ? 0 : 1;
}

int
main(int argc, char **argv)
{
    unsigned hosts = argc > 1 ? (unsigned) strtoul(argv[1], NULL, 10) : 10000;

    return run(hosts, FALSE) | run(hosts, TRUE);
}
