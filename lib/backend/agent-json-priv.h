/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_AGENT_JSON_PRIV_H
#define IMIG_AGENT_JSON_PRIV_H

/* What the lines of imig-agent/1 have in common: agent-json.c, and agent-reply.c for replies. */

#include "backend/agent-priv.h"
#include "model/cluster-json-priv.h"

/* Callers and hypervisors may say anything; what does not fit is cut off between characters. */
void imig__agent_put_text(imig__json_out *out, const char *key, const char *text, size_t longest);

/* Jobs have 64 bits, and so are texts. */
void imig__agent_put_job(imig__json_out *out, uint64_t job);
/* A code that is 0, or that no hypervisor has, is left out. */
void imig__agent_put_backend_code(imig__json_out *out, int64_t backend_code);
void imig__agent_put_failure(imig__json_out *out, const imig__agent_failure *failure);

/* Readers for keys; the field is a uint64_t, an int64_t, an imig__agent_failure. */
int imig__agent_read_job(imig__json_in *in, const imig__path *path, json_t *value, void *field);
int imig__agent_read_backend_code(imig__json_in *in, const imig__path *path, json_t *value,
                                  void *field);
int imig__agent_read_failure(imig__json_in *in, const imig__path *path, json_t *value,
                             void *field);

/* The name of a failure; the field is an int32_t. */
int imig__agent_read_code(imig__json_in *in, const imig__path *path, json_t *value, void *field);

#endif
