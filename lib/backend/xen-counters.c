/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/xen-priv.h"

#include <string.h>
#include <sys/syscall.h>

static const double SECTOR_BYTES = 512;
static const double BYTES_PER_MBIT = 125000;

static gboolean
read_number(double *value, const char *directory, const char *name)
{
    char *text = xe_read_file("%s/%s", directory, name);
    char *end = text;

    if (text)
        *value = g_ascii_strtod(text, &end);
    if (!text || end == text || !(*value >= 0)) {
        g_free(text);
        return FALSE;
    }
    g_free(text);
    return TRUE;
}

gboolean
xe_count_block(const char *sys, uint32_t domid, const char *device, imig_vm_counters *counters)
{
    char *directory = g_strdup_printf("%s/bus/xen-backend/devices/vbd-%u-%s/statistics", sys,
                                      domid, device);
    double reads = 0, writes = 0, read_sectors = 0, write_sectors = 0;
    gboolean all = read_number(&reads, directory, "rd_req")
                   && read_number(&writes, directory, "wr_req")
                   && read_number(&read_sectors, directory, "rd_sect")
                   && read_number(&write_sectors, directory, "wr_sect");

    g_free(directory);
    if (!all)
        return FALSE;
    counters->disk_ops += reads + writes;
    counters->disk_read_bytes += read_sectors * SECTOR_BYTES;
    counters->disk_write_bytes += write_sectors * SECTOR_BYTES;
    return TRUE;
}

/* The interface is this domain's end: what it receives the guest has sent. */
gboolean
xe_count_net(const char *sys, const char *interface, imig_vm_counters *counters)
{
    char *directory;
    double received = 0, sent = 0;
    gboolean all;

    if (strchr(interface, '/'))
        return FALSE;
    directory = g_strdup_printf("%s/class/net/%s/statistics", sys, interface);
    all = read_number(&received, directory, "rx_bytes")
          && read_number(&sent, directory, "tx_bytes");
    g_free(directory);
    if (!all)
        return FALSE;
    counters->net_tx_bytes += received;
    counters->net_rx_bytes += sent;
    return TRUE;
}

/* Bridges have no device behind them, and the ends of guests' devices one of Xen's. */
static double
device_speed(const char *net, const char *name)
{
    char *directory = g_build_filename(net, name, NULL);
    char *device = g_build_filename(directory, "device", NULL);
    char *nodename = g_build_filename(device, "nodename", NULL);
    char *state = xe_read_file("%s/operstate", directory);
    double mbit = 0;

    if (!g_file_test(device, G_FILE_TEST_EXISTS) || g_file_test(nodename, G_FILE_TEST_EXISTS)
        || g_strcmp0(state, "up") != 0 || !read_number(&mbit, directory, "speed"))
        mbit = 0;
    g_free(state);
    g_free(nodename);
    g_free(device);
    g_free(directory);
    return mbit;
}

double
xe_net_speed(const char *sys)
{
    char *net = g_build_filename(sys, "class", "net", NULL);
    GDir *dir = g_dir_open(net, 0, NULL);
    const char *name;
    double most = 0;

    while (dir && (name = g_dir_read_name(dir))) {
        double mbit = device_speed(net, name);

        most = MAX(most, mbit);
    }
    if (dir)
        g_dir_close(dir);
    g_free(net);
    return most * BYTES_PER_MBIT;
}

gboolean
xe_waits_for_answer(const char *proc, int pid)
{
    char *text = xe_read_file("%s/%d/syscall", proc, pid);
    char *begin = g_strdup_printf("%ld 0x0 ", (long) SYS_read); /* call, descriptor */
    gboolean waits = text && g_str_has_prefix(text, begin);

    g_free(begin);
    g_free(text);
    return waits;
}

double
xe_written_bytes(const char *proc, int pid)
{
    static const char key[] = "wchar: ";
    char *text = xe_read_file("%s/%d/io", proc, pid);
    char *at = text ? strstr(text, key) : NULL;
    double bytes = at ? g_ascii_strtod(at + strlen(key), NULL) : -1;

    g_free(text);
    return bytes;
}
