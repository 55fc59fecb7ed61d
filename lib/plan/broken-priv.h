/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_BROKEN_PRIV_H
#define IMIG_BROKEN_PRIV_H

/* What is said of hard rules that are broken, and of those that a step mends. */

#include "plan/planner-priv.h"

/* The hard rules that a state breaks.  Refers to planner and state. */
typedef struct imig__broken imig__broken;

imig__broken *imig__broken_new(const imig__planner *planner, const imig__state *state);
void imig__broken_free(imig__broken *broken);

/*
 * "rules[2] (apart: a, b) stays broken: ...", or that its list of hosts leaves out where the VM is;
 * NULL where neither is so.  To be freed.
 */
char *imig__broken_text(imig__broken *broken, uint32_t vm);

/* Has the text of its rule been asked for, or has it none? */
gboolean imig__broken_is_named(const imig__broken *broken, uint32_t vm);

/* A hard rule that is broken less where the VM goes to than where it is; IMIG_NO_INDEX. */
uint32_t imig__broken_repairs(const imig__planner *planner, const imig__state *state, uint32_t vm,
                              uint32_t from, uint32_t to);

#endif
