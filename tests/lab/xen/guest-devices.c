/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE
#include "guest.h"

#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { ETHER_TYPE = 0x88b5 /* for experiments */, FRAME_BYTES = 1400 };

/* ---- modules ---- */

/* Drivers are loaded only where a guest has devices. */
static void
load(const char *name)
{
    char path[64];
    int file;

    snprintf(path, sizeof path, "/modules/%s.ko", name);
    file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || syscall(SYS_finit_module, file, "", 0) != 0)
        die(path);
    close(file);
}

/* A device comes some time after its driver. */
static void
await(const char *path)
{
    const struct timespec tick = { 0, 20000000 };

    for (int i = 0; i < 1500; i++) {
        if (access(path, F_OK) == 0)
            return;
        nanosleep(&tick, NULL);
    }
    die(path);
}

/* ---- disk ---- */

static int disk = -1;
static uint64_t disk_blocks;
static uint32_t *block_counts;  /* how often each block was written */
static unsigned char *block;    /* as O_DIRECT wants it aligned */

static void
open_disk(void)
{
    uint64_t bytes;

    load("xen-blkfront");
    await("/dev/xvda");
    disk = open("/dev/xvda", O_RDWR | O_DIRECT | O_CLOEXEC);
    if (disk < 0 || (bytes = (uint64_t) lseek(disk, 0, SEEK_END)) < PAGE)
        die("/dev/xvda");
    disk_blocks = bytes / PAGE;
    block_counts = calloc(disk_blocks, sizeof *block_counts);
    block = aligned_alloc(PAGE, PAGE);
    if (!block_counts || !block)
        die("memory");
    memset(block, 0, PAGE);
}

/* Writes a block, and the next time reads it: half of the operations are of either kind. */
bool
disk_work(uint64_t step, uint64_t blocks)
{
    uint64_t size = blocks < disk_blocks ? blocks : disk_blocks;
    uint64_t at = size > 0 ? step / 2 % size : 0;
    struct stamp want = { at, 0 };

    bool good;

    if (disk < 0)
        return false;
    if (step % 2 == 0) {
        want.count = ++block_counts[at];
        memcpy(block, &want, sizeof want);
        good = pwrite(disk, block, PAGE, (off_t) (at * PAGE)) == PAGE;
    } else {
        want.count = block_counts[at];
        good = pread(disk, block, PAGE, (off_t) (at * PAGE)) == PAGE
               && (want.count == 0 || memcmp(block, &want, sizeof want) == 0);
    }
    if (!good)
        is_wrong("block", at, want.count);
    return good;
}

/* ---- network ---- */

static int net = -1;

static int
open_net(const char *interface)
{
    struct sockaddr_ll address = { .sll_family = AF_PACKET };
    int s = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0); /* takes nothing itself */
    struct ifreq request = { 0 };

    strncpy(request.ifr_name, interface, sizeof request.ifr_name - 1);
    if (s < 0 || ioctl(s, SIOCGIFFLAGS, &request) != 0)
        die(interface);
    request.ifr_flags |= IFF_UP;
    if (ioctl(s, SIOCSIFFLAGS, &request) != 0)
        die(interface);
    address.sll_ifindex = (int) if_nametoindex(interface);
    if (bind(s, (struct sockaddr *) &address, sizeof address) != 0)
        die(interface);
    return s;
}

/* To everybody on the wire, which is one: the other end of it. */
static bool
send_frame(int s)
{
    static unsigned char frame[FRAME_BYTES] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, 1, ETHER_TYPE >> 8, ETHER_TYPE & 255,
    };

    return send(s, frame, sizeof frame, 0) == sizeof frame;
}

bool
net_work(void)
{
    return net >= 0 && send_frame(net);
}

/* As this kernel has counted them, for a program may be late to take them. */
unsigned long long
frames_received(void)
{
    unsigned long long frames = 0;
    FILE *file = net < 0 ? NULL : fopen("/proc/net/dev", "r");
    char line[512];

    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, " eth0: %*u %llu", &frames) == 1)
            break;
    if (file)
        fclose(file);
    return frames;
}

/* ---- both ---- */

void
open_devices(void)
{
    if (getenv("DISK"))
        open_disk();
    if (!getenv("NIC"))
        return;
    load("xen-netfront");
    await("/proc/sys/net/ipv4/conf/eth0");
    net = open_net("eth0");
}

int
send_frames(const char *interface, const char *rate)
{
    const struct timespec tick = { 0, 5000000 };
    double per_s = atof(rate), begun_s = now_s();
    int s = open_net(interface);

    for (double sent = 0;; nanosleep(&tick, NULL))
        for (; sent < (now_s() - begun_s) * per_s; sent++)
            if (!send_frame(s))
                die(interface);
}
