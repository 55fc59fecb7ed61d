/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The whole user space of a guest: process 1, its work, and its reports.
 *
 * The kernel hands KEY=VALUE of its command line to us in the environment:
 *   NAME, IP        who we are
 *   REPORT          address that is told, twice a second, "NAME BOOT_ID WORK ERRORS"
 *   KIND            idle cpu disk-io memory-dirty net-receive web-server
 *   FILL_MB         memory that is held, not zero and not compressible, beside the work
 *   RATE_MB         MB/s of disk-io or of page writes (0: as fast as it goes)
 *   SIZE_MB         working set of memory-dirty
 *   PATTERN         of memory-dirty: cyclic or random
 *   PAGE_KB         size of the page that web-server serves
 *
 * WORK only ever grows and lives in memory alone, as does ERRORS: a guest that was lost and
 * started anew, or went back to an old copy of its memory, shows it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, REPORT_PORT = 9000, WORK_PORT = 8000, CLIENTS = 16 };
static const double MB = 1048576.0;

static atomic_ullong work, errors;

static void
die(const char *what)
{
    perror(what);
    sleep(1);       /* let the serial line take it */
    exit(1);        /* process 1: the kernel panics, the guest ends, the lab sees that */
}

static const char *
text(const char *key, const char *otherwise)
{
    const char *value = getenv(key);

    return value ? value : otherwise;
}

static double
number(const char *key, double otherwise)
{
    const char *value = getenv(key);

    return value ? strtod(value, NULL) : otherwise;
}

static uint64_t
random64(void)
{
    static uint64_t x = 88172645463325252u;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x;
}

static double
now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

/* Sleep so that no more than `rate` bytes a second are done.  Time lost while the guest stood
 * still is not caught up with: that would be a burst no real program shows. */
static void
pace(double bytes, double rate)
{
    static double start_s, done;
    double ahead_s;

    if (rate <= 0)
        return;
    if (start_s <= 0)
        start_s = now_s();
    done += bytes;
    ahead_s = start_s + done / rate - now_s();
    if (ahead_s < -0.2) {
        start_s = now_s();
        done = 0;
    } else if (ahead_s > 0.002) {
        struct timespec t = { .tv_sec = (time_t) ahead_s };

        t.tv_nsec = (long) ((ahead_s - (double) t.tv_sec) * 1e9);
        nanosleep(&t, NULL);
    }
}

/* ---- memory ---- */

/* Pages that are neither zero nor alike, so that a migration has to send each in full. */
static unsigned char *
filled(size_t bytes)
{
    unsigned char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        die("memory");
    for (size_t page = 0; page < bytes; page += PAGE)
        for (size_t i = 0; i < 512; i += sizeof(uint64_t)) {
            uint64_t value = random64();

            memcpy(memory + page + i, &value, sizeof value);
        }
    return memory;
}

/* Every page carries how often it was written, and a second count of that is kept elsewhere.
 * A write that a migration loses makes the two differ. */
static void
memory_dirty(void)
{
    size_t pages = (size_t) (number("SIZE_MB", 16) * MB) / PAGE, next = 0;
    double rate = number("RATE_MB", 0) * MB;
    int at_random = strcmp(text("PATTERN", "cyclic"), "random") == 0;
    unsigned char *memory = filled(pages * PAGE);
    uint32_t *written = calloc(pages, sizeof *written), seen;

    if (!written)
        die("memory");
    for (size_t i = 0; i < pages; i++)
        memcpy(memory + i * PAGE, &written[i], sizeof *written);
    for (;;) {
        for (int batch = 0; batch < 64; batch++) {
            size_t i = at_random ? random64() % pages : next++ % pages;

            memcpy(&seen, memory + i * PAGE, sizeof seen);
            if (seen != written[i]) {
                printf("page %zu was written %u times, but holds %u\n", i, written[i], seen);
                atomic_fetch_add(&errors, 1);
            }
            written[i]++;
            memcpy(memory + i * PAGE, &written[i], sizeof *written);
        }
        atomic_fetch_add(&work, 64);
        pace(64.0 * PAGE, rate);
    }
}

/* ---- processor and disk ---- */

static void
idle(void)
{
    for (;;) {
        sleep(1);
        atomic_fetch_add(&work, 1);
    }
}

static void
cpu(void)
{
    volatile uint64_t x = 1;

    for (;;) {
        for (int i = 0; i < 100000; i++)
            x = x * 6364136223846793005u + 1442695040888963407u;
        atomic_fetch_add(&work, 1);
    }
}

/* Reads and writes at random places, past the page cache.  A block that was written is
 * checked when it is read. */
static void
disk_io(void)
{
    enum { BLOCK = 65536 };
    int disk = open("/dev/vda", O_RDWR | O_DIRECT);
    double rate = number("RATE_MB", 2) * MB;
    off_t size = disk < 0 ? -1 : lseek(disk, 0, SEEK_END);
    uint64_t *block, *stamp, blocks;

    if (size < BLOCK)
        die("/dev/vda");
    blocks = (uint64_t) size / BLOCK;
    block = aligned_alloc(PAGE, BLOCK);
    stamp = calloc(blocks, sizeof *stamp);
    if (!block || !stamp)
        die("memory");
    memset(block, 0x5a, BLOCK);
    for (;;) {
        uint64_t i = random64() % blocks;
        off_t at = (off_t) (i * BLOCK);

        if (random64() & 1) {
            block[0] = stamp[i] = random64();
            if (pwrite(disk, block, BLOCK, at) != BLOCK)
                die("disk write");
        } else {
            if (pread(disk, block, BLOCK, at) != BLOCK)
                die("disk read");
            if (stamp[i] && block[0] != stamp[i]) {
                printf("block %llu is not what was written\n", (unsigned long long) i);
                atomic_fetch_add(&errors, 1);
            }
        }
        atomic_fetch_add(&work, 1);
        pace(BLOCK, rate);
    }
}

/* ---- network ---- */

static struct sockaddr_in
address(const char *ip, uint16_t port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };

    a.sin_addr.s_addr = ip ? inet_addr(ip) : htonl(INADDR_ANY);
    return a;
}

/* Takes what comes (net-receive, `page` is NULL), or answers every byte that comes with a
 * page (web-server: one byte is one request).  Clients come and go as they like. */
static void
serve(const unsigned char *page, size_t page_bytes)
{
    struct sockaddr_in any = address(NULL, WORK_PORT);
    struct pollfd at[1 + CLIENTS] = { { .events = POLLIN } };
    size_t owed[1 + CLIENTS] = { 0 };
    static unsigned char in[65536];
    nfds_t n = 1;

    at[0].fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(at[0].fd, (struct sockaddr *) &any, sizeof any) || listen(at[0].fd, CLIENTS))
        die("listen");
    for (;;) {
        if (poll(at, n, -1) < 0)
            continue;
        for (nfds_t i = n; i-- > 1;) {
            ssize_t moved = 1;

            if (at[i].revents & POLLOUT) {
                size_t from = (page_bytes - owed[i] % page_bytes) % page_bytes;
                size_t left = page_bytes - from;

                moved = send(at[i].fd, page + from, left, MSG_NOSIGNAL);
                if (moved > 0) {
                    owed[i] -= (size_t) moved;
                    atomic_fetch_add(&work, (size_t) moved == left);
                }
            } else if (at[i].revents) {
                moved = read(at[i].fd, in, sizeof in);
                if (moved > 0 && page)
                    owed[i] += (size_t) moved * page_bytes;
                else if (moved > 0)
                    atomic_fetch_add(&work, (unsigned long long) moved);
            }
            at[i].events = owed[i] ? POLLOUT : POLLIN;
            if (moved <= 0) {
                close(at[i].fd);
                n--;
                at[i] = at[n];
                owed[i] = owed[n];
            }
        }
        if (at[0].revents && n <= CLIENTS) {
            at[n] = (struct pollfd) { .fd = accept4(at[0].fd, NULL, NULL, SOCK_NONBLOCK),
                                      .events = POLLIN };
            owed[n] = 0;
            n += at[n].fd >= 0;
        }
    }
}

static void
net_receive(void)
{
    serve(NULL, 1);
}

static void
web_server(void)
{
    size_t bytes = (size_t) number("PAGE_KB", 64) * 1024;

    serve(filled((bytes + PAGE - 1) / PAGE * PAGE), bytes);
}

/* ---- process 1 ---- */

static const struct {
    const char *name;
    void (*run)(void);
} kinds[] = {
    { "idle", idle }, { "cpu", cpu }, { "disk-io", disk_io }, { "memory-dirty", memory_dirty },
    { "net-receive", net_receive }, { "web-server", web_server },
};

static void *
report(void *boot_id)
{
    struct sockaddr_in to = address(text("REPORT", "127.0.0.1"), REPORT_PORT);
    const struct timespec pause = { 0, 500000000 };
    int out = socket(AF_INET, SOCK_DGRAM, 0);
    char line[200];

    for (;;) {
        int length = snprintf(line, sizeof line, "%s %s %llu %llu", text("NAME", "-"),
                              (char *) boot_id, atomic_load(&work), atomic_load(&errors));

        sendto(out, line, (size_t) length, MSG_DONTWAIT, (struct sockaddr *) &to, sizeof to);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

/* Kernel modules lie in /modules and are named in the order they need. */
static void
load_modules(void)
{
    char path[64];

    for (int i = 10; i < 100; i++) {
        int file;

        snprintf(path, sizeof path, "/modules/%d.ko", i);
        file = open(path, O_RDONLY);
        if (file < 0)
            return;
        if (syscall(SYS_finit_module, file, "", 0))
            perror(path);
        close(file);
        unlink(path);
    }
}

static void
network_up(const char *device, const char *ip)
{
    struct ifreq request = { 0 };
    struct sockaddr_in a = address(ip, 0), mask = address("255.255.255.0", 0);
    int s = socket(AF_INET, SOCK_DGRAM, 0);

    strncpy(request.ifr_name, device, IFNAMSIZ - 1);
    memcpy(&request.ifr_addr, &a, sizeof a);
    if (ioctl(s, SIOCSIFADDR, &request))
        die(device);
    memcpy(&request.ifr_netmask, &mask, sizeof mask);
    if (ioctl(s, SIOCSIFNETMASK, &request))
        die(device);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    if (ioctl(s, SIOCSIFFLAGS, &request))
        die(device);
    close(s);
}

static void
read_boot_id(char *into, size_t size)
{
    int file = open("/proc/sys/kernel/random/boot_id", O_RDONLY);
    ssize_t n = file < 0 ? -1 : read(file, into, size - 1);

    if (n <= 0)
        die("boot id");
    into[n] = '\0';
    into[strcspn(into, "\n")] = '\0';
    close(file);
}

int
main(void)
{
    static char boot_id[64];
    const char *kind = text("KIND", "idle");
    size_t fill = (size_t) (number("FILL_MB", 16) * MB);
    pthread_t reporter;

    mkdir("/proc", 0755);
    mkdir("/dev", 0755);
    mount("dev", "/dev", "devtmpfs", 0, NULL);
    mount("proc", "/proc", "proc", 0, NULL);
    load_modules();
    read_boot_id(boot_id, sizeof boot_id);
    network_up("eth0", text("IP", "10.77.0.250"));
    if (fill > 0)
        filled(fill);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, kind) == 0) {
            if (pthread_create(&reporter, NULL, report, boot_id))
                die("thread");
            printf("%s works: %s\n", text("NAME", "-"), kind);
            kinds[i].run();
        }
    fprintf(stderr, "no kind of work \"%s\"\n", kind);
    die("KIND");
}
