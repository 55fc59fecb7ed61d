/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_AGENT_H
#define IMIG_AGENT_H

/**
 * @file
 * Serve a backend to another process, as `imig agent URI` does.
 *
 * The other side is the built-in backend `agent` (see imig_connect()): the two speak
 * `imig-agent/1`, one JSON document per line, described in doc/extending.md.
 */

#include <imig/cancel.h>
#include <imig/context.h>
#include <imig/error.h>

IMIG_BEGIN_DECLS

/**
 * Open a URI and answer requests until the input ends; then close it, which cancels what runs.
 *
 * The first line written says whether the URI could be opened.  A request that cannot be understood
 * is answered with an error and otherwise passed over.  The other side is told of every failure,
 * too, as far as it can be.
 *
 * Nothing else may be written to @p fd_out meanwhile.  Where it is a pipe whose reader has gone,
 * writing raises SIGPIPE: a program that wants the backend closed ignores that signal.
 *
 * @param context    not NULL
 * @param uri        as for imig_connect(), without options behind a comma
 * @param fd_in      open for reading; requests come from here
 * @param fd_out     open for writing, may be the same; replies go there
 * @param cancel     looked at between requests, twice in a second; may be NULL
 * @param[out] error set on failure; may be NULL
 * @ownership{the descriptors stay the caller's and stay open}
 * @threads{one thread at a time for one context; @p cancel from any thread or a signal handler}
 * @retval IMIG_OK              the input has ended
 * @retval IMIG_ERR_ARGUMENT    NULL, or a descriptor below 0
 * @retval IMIG_ERR_CANCELLED   @p cancel was triggered
 * @retval IMIG_ERR_IO          reading or writing failed
 * @retval IMIG_ERR_INVALID     a line is longer than 64 KiB
 * @retval IMIG_ERR_UNSUPPORTED no backend takes this URI; further codes as imig_connect()
 */
IMIG_EXPORT int imig_agent_serve(imig_context *context, const char *uri, int fd_in, int fd_out,
                                 const imig_cancel *cancel, imig_error **error);

IMIG_END_DECLS

#endif
