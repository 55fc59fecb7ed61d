/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The whole user space of a Xen guest: process 1, its work, and its reports.
 *
 * Work is ordered through xenstore, so that one guest serves a whole series of measurements:
 * dom0 writes "NUMBER KIND RATE PAGES" to the guest's node data/order.
 *   KIND    idle; busy, which computes; cyclic or random: in which sequence pages are written
 *   RATE    pages a second (0: as fast as it goes)
 *   PAGES   size of the set that is written, of those that SET_PAGES on the kernel's command
 *           line set aside
 * Once a second the guest writes "SECONDS WORK ERRORS NUMBER BOOT" to data/report: its own clock,
 * the pages written so far (busy: rounds computed), pages found to be wrong, the order in force,
 * and the boot id of its kernel.  WORK lives in memory alone and only grows: a guest that was
 * started anew, or went back to an old copy of its memory, shows it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, XS_READ = 2, XS_WRITE = 11, XS_PAYLOAD = 4096 };

static atomic_ullong work_done, errors;
static atomic_uint order_number;
static atomic_int writes, at_random, computes;
static atomic_ullong order_rate, order_pages;

static void
die(const char *what)
{
    perror(what);
    sleep(1);       /* let the console take it */
    exit(1);        /* process 1: the kernel panics, dom0 sees a crash */
}

static double
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

/* What a page carries, at its begin and once more at its end. */
struct stamp {
    uint64_t page, count;
};

static unsigned char *memory;
static uint32_t *counts;        /* how often each page was written: the copy to compare with */
static uint64_t set_pages;

/* A page that a migration sends in an old state carries an old count. */
static void
check(uint64_t page)
{
    const struct stamp want = { page, counts[page] };
    const unsigned char *at = memory + page * PAGE;

    if (memcmp(at, &want, sizeof want) == 0
        && memcmp(at + PAGE - sizeof want, &want, sizeof want) == 0)
        return;
    printf("page %llu is not what was written last, %llu\n", (unsigned long long) page,
           (unsigned long long) want.count);
    atomic_fetch_add(&errors, 1);
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

/* Writes what is due in ticks of some milliseconds, and looks at all pages once a second.  Time
 * lost while the guest stood still is not caught up with: that would be a burst. */
static void
work(void)
{
    const struct timespec tick = { 0, 4000000 };
    double begun_s = now_s(), checked_s = begun_s;
    uint64_t next = 0, done = 0, due, pages, rate;
    unsigned number = 0;

    for (;;) {
        double now = now_s();

        if (number != atomic_load(&order_number)) {
            number = atomic_load(&order_number);
            begun_s = now;
            done = 0;
        }
        rate = atomic_load(&order_rate);
        pages = atomic_load(&order_pages);
        due = !atomic_load(&writes) ? 0
            : rate == 0 ? 256 : (uint64_t) ((now - begun_s) * (double) rate);
        if (rate != 0 && due > done + rate / 4 + 16) {
            begun_s = now;
            done = due = 0;
        } else if (rate != 0) {
            due -= due > done ? done : due;
        }
        for (uint64_t i = 0; i < due; i++) {
            uint64_t page = (atomic_load(&at_random) ? random64() >> 16 : next++) % pages;

            check(page);
            put(page);
        }
        done += due;
        atomic_fetch_add(&work_done, due);
        if (now - checked_s >= 1) {
            for (uint64_t page = 0; page < set_pages; page++)
                check(page);
            checked_s = now;
        }
        if (atomic_load(&computes))
            compute();
        else if (rate != 0 || !atomic_load(&writes))
            nanosleep(&tick, NULL);
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
    unsigned long long rate, pages;
    unsigned number;
    char kind[16];

    if (sscanf(text, "%u %15s %llu %llu", &number, kind, &rate, &pages) != 4
        || number == atomic_load(&order_number))
        return;
    atomic_store(&writes, 0);
    atomic_store(&at_random, strcmp(kind, "random") == 0);
    atomic_store(&order_rate, rate);
    atomic_store(&order_pages, pages < 1 ? 1 : pages > set_pages ? set_pages : pages);
    atomic_store(&order_number, number);
    atomic_store(&computes, strcmp(kind, "busy") == 0);
    atomic_store(&writes, strcmp(kind, "cyclic") == 0 || atomic_load(&at_random));
}

static void *
report(void *boot)
{
    static char answer[XS_PAYLOAD + 1];
    char line[160];

    for (;;) {
        snprintf(line, sizeof line, "%.4f %llu %llu %u %s", now_s(), atomic_load(&work_done),
                 atomic_load(&errors), atomic_load(&order_number), (char *) boot);
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
main(void)
{
    static char boot[64];
    pthread_t reporter;
    int console;

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
    xenbus = open("/dev/xen/xenbus", O_RDWR);
    if (xenbus < 0)
        die("/dev/xen/xenbus");
    atomic_store(&order_pages, set_pages);
    if (pthread_create(&reporter, NULL, report, boot))
        die("thread");
    puts("the guest works");
    work();
}
