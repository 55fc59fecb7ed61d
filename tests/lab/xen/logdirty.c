/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The laboratory's own hand on log-dirty, to make states that imig must recognise and to see
 * those that it leaves.
 *
 *   logdirty state DOMAIN      prints "on" or "off"; never ask while DOMAIN is being migrated
 *   logdirty on|off DOMAIN     exit status 1 where the hypervisor refuses
 *   logdirty peek|clean DOMAIN SECONDS TIMES
 *                              on, then so many looks, so far apart, then off; one line each:
 *                              dirty pages at that look, and pages of all looks together
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xenctrl.h>

static xc_interface *xen;
static uint32_t domain;

static int
say(const char *what)
{
    fprintf(stderr, "logdirty: %s: %s\n", what, strerror(errno));
    return 1;
}

static int
turn(unsigned operation)
{
    return xc_shadow_control(xen, domain, operation, NULL, 0) < 0 ? -1 : 0;
}

static int
state(void)
{
    if (turn(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY) == 0) {
        puts("off");
        return turn(XEN_DOMCTL_SHADOW_OP_OFF) ? say("off") : 0;
    }
    if (errno != EINVAL)
        return say("on");
    puts("on");
    return 0;
}

static unsigned long
bits(const uint64_t *words, size_t n)
{
    unsigned long sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (unsigned long) __builtin_popcountll(words[i]);
    return sum;
}

static int
look(unsigned operation, double every_s, int times)
{
    struct timespec pause = { .tv_sec = (time_t) every_s };
    xen_pfn_t last;
    size_t words;
    int bitmap_pages;
    uint64_t *all;
    int failed = 0;
    DECLARE_HYPERCALL_BUFFER(uint64_t, bitmap);

    pause.tv_nsec = (long) ((every_s - (double) pause.tv_sec) * 1e9);
    if (xc_domain_maximum_gpfn(xen, domain, &last))
        return say("maximum_gpfn");
    words = (last + 64) / 64;
    bitmap_pages = (int) ((words * 8 + XC_PAGE_SIZE - 1) / XC_PAGE_SIZE);
    bitmap = xc_hypercall_buffer_alloc_pages(xen, bitmap, bitmap_pages);
    all = calloc(words, sizeof *all);
    if (!bitmap || !all)
        return say("memory");
    if (turn(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY))
        return say("on");
    for (int i = 0; i < times && !failed; i++) {
        nanosleep(&pause, NULL);
        memset(bitmap, 0, words * sizeof *bitmap);
        if (xc_logdirty_control(xen, domain, operation, HYPERCALL_BUFFER(bitmap), last + 1, 0,
                                NULL) < 0)
            failed = say("look");
        for (size_t w = 0; w < words; w++)
            all[w] |= bitmap[w];
        printf("%lu %lu\n", bits(bitmap, words), bits(all, words));
        fflush(stdout);
    }
    if (turn(XEN_DOMCTL_SHADOW_OP_OFF))
        failed = say("off");
    return failed;
}

int
main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";

    xen = xc_interface_open(NULL, NULL, 0);
    if (!xen)
        return say("xen");
    domain = argc > 2 ? (uint32_t) strtoul(argv[2], NULL, 10) : 0;
    if (strcmp(what, "state") == 0)
        return state();
    if (strcmp(what, "on") == 0)
        return turn(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY) ? say(what) : 0;
    if (strcmp(what, "off") == 0)
        return turn(XEN_DOMCTL_SHADOW_OP_OFF) ? say(what) : 0;
    if (strcmp(what, "peek") == 0 && argc == 5)
        return look(XEN_DOMCTL_SHADOW_OP_PEEK, strtod(argv[3], NULL), atoi(argv[4]));
    if (strcmp(what, "clean") == 0 && argc == 5)
        return look(XEN_DOMCTL_SHADOW_OP_CLEAN, strtod(argv[3], NULL), atoi(argv[4]));
    fputs("usage: logdirty state|on|off DOMAIN, logdirty peek|clean DOMAIN SECONDS TIMES\n",
          stderr);
    return 2;
}
