/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_PLACE_PRIV_H
#define IMIG_PLACE_PRIV_H

/*
 * Where a VM is, as every hypervisor shows it.  imig_connection_locate() gives the best of their
 * answers; after a failure the others count as well, and who did not answer.
 */

#include "backend/connect-priv.h"

typedef struct imig__place {
    imig_location at;     /* the best answer */
    imig_location other;  /* the next best, of another host; IMIG_VM_ABSENT: none */
    imig_error *silent;   /* why the first that did not answer did not; NULL: all did */
    gboolean to_silent;   /* the destination did not answer */
} imig__place;

/* Asks all.  to: id of the destination. */
void imig__place_ask(imig_connection *connection, const char *vm, const char *to,
                     imig__place *place);
void imig__place_clear(imig__place *place);

/* Asks the hypervisor of this host alone: does the VM run there, and is it left alone? */
gboolean imig__place_is_home(imig_connection *connection, const char *vm, const char *host);

gboolean imig__place_runs(const imig_location *at);

/* "paused", for messages. */
const char *imig__place_state(int32_t state);

#endif
