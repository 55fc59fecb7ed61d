/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_ROOM_PRIV_H
#define IMIG_ROOM_PRIV_H

/*
 * Where the VMs are while a plan runs, and whether one more fits.  Made once something did not go
 * as planned: hypervisors do not mind a host that is short of memory, nor know the rules.
 */

#include "backend/connect-priv.h"

typedef struct imig__room imig__room;

/* As the hypervisors show it now, without what is under way. */
int imig__room_new(imig_connection *connection, imig__room **room, imig_error **error);
void imig__room_free(imig__room *room);

/* A VM that is on its way counts on both hosts. */
void imig__room_begin(imig__room *room, const char *vm, const char *to);

/* It is on this host alone. */
void imig__room_end(imig__room *room, const char *vm, const char *host);

/* Do memory and hard `apart` allow this VM there?  IMIG_ERR_UNSUPPORTED: no, the error says why. */
int imig__room_check(const imig__room *room, const char *vm, const char *host,
                     imig_error **error);

#endif
