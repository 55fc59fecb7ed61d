/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GUEST_H
#define GUEST_H

#include <stdbool.h>
#include <stdint.h>

enum { PAGE = 4096 };

/* What a page carries, at its begin and once more at its end; a block of a disk at its begin. */
struct stamp {
    uint64_t number, count;
};

/* ---- guest.c ---- */

_Noreturn void die(const char *what);
double now_s(void);
/* Is not as it was written last, for the time that is said. */
void is_wrong(const char *what, uint64_t number, uint64_t count);

/* ---- guest-devices.c ---- */

/* Those that the kernel's command line names: DISK=1, NIC=1. */
void open_devices(void);

/* One operation of 4 KiB, by its number, on one of so many blocks; false: it failed. */
bool disk_work(uint64_t step, uint64_t blocks);

/* Sends one frame; false: it was not taken. */
bool net_work(void);

/* So many have come until now; 0 without a card. */
unsigned long long frames_received(void);

/* Sends in domain 0, for ever: so many a second out of this interface. */
int send_frames(const char *interface, const char *rate);

#endif
