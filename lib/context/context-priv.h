/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_CONTEXT_PRIV_H
#define IMIG_CONTEXT_PRIV_H

/* What connections ask of their context. */

#include "base/base-priv.h"

#include <imig/context.h>

/* The backend built in: simulated clusters (backend/sim.c). */
extern const imig_backend_ops imig__sim_ops;

/*
 * The operations for a URI, lent as long as the context: of a registered backend, else of the
 * module named like the URI's scheme, else of the module "libvirt".  Loads modules.
 */
int imig__context_find_backend(imig_context *context, const char *uri,
                               const imig_backend_ops **ops, imig_error **error);

/* A line for the log hook; nothing is formatted where nobody listens. */
void imig__context_log(imig_context *context, int32_t level, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* No log line shows what is secret in this URI from now on, whoever writes it. */
void imig__context_keep_secret(imig_context *context, const char *uri);

/* The text without what is secret in such URIs; to be freed. */
char *imig__context_hide(imig_context *context, const char *text);

#endif
