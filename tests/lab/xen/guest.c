/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The whole user space of a Xen guest: process 1, its work, and its reports.
 *
 * Work is ordered through xenstore, so that one guest serves a whole series of measurements:
 * dom0 writes "NUMBER KIND RATE PAGES" to the guest's node data/order.
 *   KIND    idle; busy, which computes; cyclic or random: in which sequence pages are written;
 *           disk, which writes and reads blocks of /dev/xvda; net, which sends frames
 *   RATE    pages, operations or frames a second (0: as fast as it goes)
 *   PAGES   size of the set that is written, of those that SET_PAGES on the kernel's command
 *           line set aside; disk: of the blocks
 * Once a second the guest writes "SECONDS WORK ERRORS NUMBER BOOT RECEIVED STOOD" to data/report:
 * its own clock, the pages written, operations done and frames sent so far (busy: rounds computed),
 * pages found to be wrong, the order in force, the boot id of its kernel, the frames received, and
 * for how many milliseconds it stood still, in pauses that its own work does not explain.
 * WORK lives in memory alone and only grows: a guest that was started anew, or went back to an old
 * copy of its memory, shows it.
 *
 * In domain 0 the same program, "frames INTERFACE RATE", sends frames to a guest.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { XS_READ = 2, XS_WRITE = 11, XS_PAYLOAD = 4096 };

/* What is done again and again, as often as is due. */
enum { NOTHING, CYCLIC, RANDOM, DISK, NET };

static atomic_ullong work_done, errors, stood_ms;
static atomic_uint order_number;
static atomic_int repeats, computes;
static atomic_ullong order_rate, order_pages;

void
die(const char *what)
{
    perror(what);
    sleep(1);       /* let the console take it */
    exit(1);        /* process 1: the kernel panics, dom0 sees a crash */
}

double
now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static uint64_t
random64(void)
{
    static uint64_t x = 0x2545f4914f6cdd1dU;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    return x * 0x9e3779b97f4a7c15U;
}

/* ---- pages ---- */

static unsigned char *memory;
static uint32_t *counts;        /* how often each page was written: the copy to compare with */
static uint64_t set_pages;

void
is_wrong(const char *what, uint64_t number, uint64_t count)
{
    printf("%s %llu is not what was written last, %llu\n", what, (unsigned long long) number,
           (unsigned long long) count);
    atomic_fetch_add(&errors, 1);
}

/* A page that a migration sends in an old state carries an old count. */
static void
check(uint64_t page)
{
    const struct stamp want = { page, counts[page] };
    const unsigned char *at = memory + page * PAGE;

    if (memcmp(at, &want, sizeof want) == 0
        && memcmp(at + PAGE - sizeof want, &want, sizeof want) == 0)
        return;
    is_wrong("page", page, want.count);
}

static void
put(uint64_t page)
{
    const struct stamp stamp = { page, ++counts[page] };
    unsigned char *at = memory + page * PAGE;

    memcpy(at, &stamp, sizeof stamp);
    memcpy(at + PAGE - sizeof stamp, &stamp, sizeof stamp);
}

static void
set_aside(void)
{
    const char *asked = getenv("SET_PAGES");

    set_pages = asked ? strtoull(asked, NULL, 10) : 1024;
    memory = mmap(NULL, set_pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                  -1, 0);
    counts = calloc(set_pages, sizeof *counts);
    if (memory == MAP_FAILED || !counts)
        die("memory");
    /* Nor shall the kernel gather pages behind our back: that copies, and dirties, others. */
    madvise(memory, set_pages * PAGE, MADV_NOHUGEPAGE);
    for (uint64_t page = 0; page < set_pages; page++)
        put(page);
}

/* ---- work ---- */

static void
compute(void)
{
    volatile uint64_t x = 1;

    for (int i = 0; i < 200000; i++)
        x = x * 6364136223846793005U + 1442695040888963407U;
    atomic_fetch_add(&work_done, 1);
}

/* One piece of work; false: it could not be done. */
static bool
repeat(int what, uint64_t step, uint64_t pages)
{
    uint64_t page;

    if (what == DISK)
        return disk_work(step, pages);
    if (what == NET)
        return net_work();
    page = (what == RANDOM ? random64() >> 16 : step) % (pages < set_pages ? pages : set_pages);
    check(page);
    put(page);
    return true;
}

/* A turn of the loop takes a few hundredths of a second at most. */
static const double PAUSE_S = 0.1;

/* Does what is due in ticks of some milliseconds, and looks at all pages once a second.  Time
 * lost while the guest stood still is not caught up with: that would be a burst. */
static void
work(void)
{
    /* Every one of them costs much on an emulated processor. */
    const struct timespec tick = { 0, 4000000 }, long_tick = { 0, 25000000 };
    double begun_s = now_s(), checked_s = begun_s, before_s = begun_s;
    uint64_t next = 0, done = 0, did, due, pages, rate;
    unsigned number = 0;
    int what;

    for (;;) {
        double now = now_s();

        if (now - before_s > PAUSE_S)
            atomic_fetch_add(&stood_ms, (unsigned long long) ((now - before_s) * 1e3));
        before_s = now;
        if (number != atomic_load(&order_number)) {
            number = atomic_load(&order_number);
            begun_s = now;
            done = 0;
        }
        rate = atomic_load(&order_rate);
        pages = atomic_load(&order_pages);
        what = atomic_load(&repeats);
        due = what == NOTHING ? 0
            : rate == 0 ? 256 : (uint64_t) ((now - begun_s) * (double) rate);
        if (rate != 0 && due > done + rate / 4 + 16) {
            begun_s = now;
            done = due = 0;
        } else if (rate != 0) {
            due -= due > done ? done : due;
        }
        did = 0;
        for (uint64_t i = 0; i < due; i++)
            did += repeat(what, next++, pages);
        done += due;
        atomic_fetch_add(&work_done, did);
        if (now - checked_s >= 1) {
            for (uint64_t page = 0; page < set_pages; page++)
                check(page);
            checked_s = now;
        }
        if (atomic_load(&computes))
            compute();
        else if (rate != 0 || what == NOTHING)
            nanosleep(what == CYCLIC || what == RANDOM ? &tick : &long_tick, NULL);
    }
}

/* ---- xenstore ---- */

struct xs_header {
    uint32_t type, request, transaction, length;
};

static int xenbus = -1;

/* One request and its answer; returns the length of the answer, or -1. */
static ssize_t
xenstore(uint32_t type, const char *path, const char *value, char *answer)
{
    char out[sizeof(struct xs_header) + 512];
    struct xs_header header = { .type = type };
    size_t length = strlen(path) + 1;
    ssize_t n = 0;

    memcpy(out + sizeof header, path, length);
    if (value) {
        memcpy(out + sizeof header + length, value, strlen(value));
        length += strlen(value);
    }
    header.length = (uint32_t) length;
    memcpy(out, &header, sizeof header);
    if (write(xenbus, out, sizeof header + length) < 0)
        return -1;
    if (read(xenbus, &header, sizeof header) != sizeof header || header.length > XS_PAYLOAD)
        return -1;
    while ((size_t) n < header.length) {
        ssize_t more = read(xenbus, answer + n, header.length - (size_t) n);

        if (more <= 0)
            return -1;
        n += more;
    }
    answer[n] = '\0';
    return header.type == type ? n : -1;
}

static void
take_order(const char *text)
{
    static const char *const kinds[] = {
        [CYCLIC] = "cyclic", [RANDOM] = "random", [DISK] = "disk", [NET] = "net",
    };
    unsigned long long rate, pages;
    int what = NOTHING;
    unsigned number;
    char kind[16];

    if (sscanf(text, "%u %15s %llu %llu", &number, kind, &rate, &pages) != 4
        || number == atomic_load(&order_number))
        return;
    for (int k = CYCLIC; k <= NET; k++)
        if (strcmp(kind, kinds[k]) == 0)
            what = k;
    atomic_store(&repeats, NOTHING);
    atomic_store(&order_rate, rate);
    atomic_store(&order_pages, pages < 1 ? 1 : pages);
    atomic_store(&order_number, number);
    atomic_store(&computes, strcmp(kind, "busy") == 0);
    atomic_store(&repeats, what);
}

static void *
report(void *boot)
{
    static char answer[XS_PAYLOAD + 1];
    char line[160];

    for (;;) {
        snprintf(line, sizeof line, "%.4f %llu %llu %u %s %llu %llu", now_s(),
                 atomic_load(&work_done), atomic_load(&errors), atomic_load(&order_number),
                 (char *) boot, frames_received(), atomic_load(&stood_ms));
        xenstore(XS_WRITE, "data/report", line, answer);
        if (xenstore(XS_READ, "data/order", NULL, answer) > 0)
            take_order(answer);
        sleep(1);
    }
    return NULL;
}

/* ---- process 1 ---- */

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
main(int argc, char **argv)
{
    static char boot[64];
    pthread_t reporter;
    int console;

    if (getpid() != 1)
        return argc == 3 ? send_frames(argv[1], argv[2]) : 2;
    mkdir("/proc", 0755);
    mkdir("/dev", 0755);
    mount("dev", "/dev", "devtmpfs", 0, NULL);
    mount("proc", "/proc", "proc", 0, NULL);
    console = open("/dev/console", O_RDWR);
    for (int i = 0; i < 3 && console >= 0; i++)
        dup2(console, i);
    setvbuf(stdout, NULL, _IOLBF, 0);
    read_boot_id(boot, sizeof boot);
    set_aside();
    open_devices();
    xenbus = open("/dev/xen/xenbus", O_RDWR);
    if (xenbus < 0)
        die("/dev/xen/xenbus");
    atomic_store(&order_pages, set_pages);
    if (pthread_create(&reporter, NULL, report, boot))
        die("thread");
    puts("the guest works");
    work();
}
