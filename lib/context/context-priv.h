/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_CONTEXT_PRIV_H
#define IMIG_CONTEXT_PRIV_H

/* What connections ask of their context. */

#include "base/base-priv.h"

#include <imig/context.h>

/* The backends built in: simulated clusters (backend/sim.c), and backends in processes of their own
   (backend/agent.c), which ask the context how to start them. */
extern const imig_backend_ops imig__sim_ops, imig__agent_ops;
int imig__agent_open(imig_context *context, const char *uri, void **ret_state, imig_error **error);

/* What imig_context_set_agent() said; vectors are NULL-ended. */
typedef struct imig__agent_settings {
    char **command, **transport;
    double timeout_s;
    gboolean measure_dirty; /* IMIG_PROCESS_MEASURE_DIRTY */
} imig__agent_settings;

/* context-agent.c; options NULL gives the defaults.  To be cleared where it is IMIG_OK. */
int imig__agent_settings_init(imig__agent_settings *settings, const imig_agent_options *options,
                              imig_error **error);
void imig__agent_settings_clear(imig__agent_settings *settings);

/* Lent until they are set anew. */
const imig__agent_settings *imig__context_agent(const imig_context *context);

/*
 * The operations for a URI, lent as long as the context: of a registered backend, else of the
 * module named like the URI's scheme, else of the module "libvirt".  Loads modules.
 */
int imig__context_find_backend(imig_context *context, const char *uri,
                               const imig_backend_ops **ops, imig_error **error);

/* As ops->open(); what is built in is told the context. */
int imig__context_open(imig_context *context, const imig_backend_ops *ops, const char *uri,
                       void **ret_state, imig_error **error);

/* A line for the log hook; nothing is formatted where nobody listens. */
void imig__context_log(imig_context *context, int32_t level, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* No log line shows what is secret in this URI from now on, whoever writes it. */
void imig__context_keep_secret(imig_context *context, const char *uri);

/* The text without what is secret in such URIs; to be freed. */
char *imig__context_hide(imig_context *context, const char *text);

#endif
