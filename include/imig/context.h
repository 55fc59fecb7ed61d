/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_CONTEXT_H
#define IMIG_CONTEXT_H

/**
 * @file
 * A context holds what must be held: backends, the module directory, the log hook.
 *
 * There is no global state; two parts of one program may each have a context of their own.
 */

#include <imig/backend.h>
#include <imig/error.h>
#include <imig/log.h>

IMIG_BEGIN_DECLS

/** Registered backends, module directory, agents' settings, log hook; opaque, reference-counted. */
typedef struct imig_context imig_context;

/**
 * Make a context with the built-in backends `sim` and `agent` and the module directory chosen at
 * build time.
 *
 * @return a context with one reference; never NULL
 * @ownership{the caller's; end it with imig_context_unref()}
 * @threads{set a context up on one thread; afterwards it may be shared}
 */
IMIG_EXPORT imig_context *imig_context_new(void);

/**
 * Take a reference.
 *
 * @param context  not NULL
 * @return @p context
 * @threads{safe from any thread}
 */
IMIG_EXPORT imig_context *imig_context_ref(imig_context *context);

/**
 * Drop a reference; the last one frees.  Modules stay loaded.
 *
 * @param context  may be NULL
 * @threads{safe from any thread}
 */
IMIG_EXPORT void imig_context_unref(imig_context *context);

/**
 * Look for backend modules in another directory.
 *
 * @param context    not NULL
 * @param directory  path; NULL for the one chosen at build time
 * @param[out] error set on failure; may be NULL
 * @ownership{the path is copied}
 * @threads{not while another thread connects with @p context}
 * @retval IMIG_OK            modules are looked for there when a URI is opened
 * @retval IMIG_ERR_ARGUMENT  @p context is NULL or @p directory is empty
 */
IMIG_EXPORT int imig_context_set_module_directory(imig_context *context, const char *directory,
                                                  imig_error **error);

/**
 * Say what a module may take for granted about the process.
 *
 * Some hypervisor libraries have process-wide parts.  Without a word here a module for libvirt
 * registers libvirt's default event loop and runs it on a thread of its own (keepalive needs one),
 * and leaves the process-wide error handler as it is: unless the program has set one, libvirt
 * prints some errors on stderr.
 *
 * Xen has one switch for logging dirty pages, which a migration uses, too: turned off at the wrong
 * moment it loses the guest.  The module for Xen guards against that as well as it can and logs
 * dirty pages only with #IMIG_PROCESS_MEASURE_DIRTY, which agents are told as well.
 *
 * @param context    not NULL
 * @param process    IMIG_PROCESS_*
 * @param[out] error set on failure; may be NULL
 * @threads{not while another thread connects with @p context}
 * @retval IMIG_OK            counts for modules that are loaded, and agents started, from now on
 * @retval IMIG_ERR_ARGUMENT  @p context is NULL, or an unknown bit
 */
IMIG_EXPORT int imig_context_set_process(imig_context *context, uint64_t process,
                                         imig_error **error);

/** How the built-in backend `agent` reaches the processes that serve its URIs. */
typedef struct imig_agent_options {
    size_t size; /**< sizeof(imig_agent_options) */
    /** What serves `agent:URI` on this machine: words, NULL-ended, to which the URI is appended,
        after `--measure-dirty` with #IMIG_PROCESS_MEASURE_DIRTY; the first is a path, or is looked
        for in PATH.  NULL: `imig agent` */
    const char *const *command;
    /** What runs a command on another machine: words, NULL-ended, to which `imig`, `agent` and
        `xenctl:` are appended, with the same option before the last.  At least one has `%h`, which
        stands for the host as ssh takes it: `USER@HOST`, or `ssh://USER@HOST:PORT` where there is a
        port; `%%` is a `%`.  NULL: `ssh -T -o BatchMode=yes %h` */
    const char *const *transport;
    double timeout_s; /**< an agent that does not answer for so long is killed; 0: 30 s */
} imig_agent_options;

/** The defaults. */
#define IMIG_AGENT_OPTIONS_INIT { sizeof(imig_agent_options), NULL, NULL, 0.0 }

/**
 * Say how agents are started: processes that serve `agent:URI` and `xenctl+ssh://HOST`.
 *
 * Commands are started as they are, never through a shell on this machine (ssh hands its words to
 * the shell of the other one), in a session of their own, with the environment and the standard
 * error of this process, and without its other descriptors.  The URI, with what is secret in it, is
 * a word of the command, which other users of the machine may see.
 *
 * @param context    not NULL
 * @param options    NULL for the defaults
 * @param[out] error set on failure; may be NULL
 * @units{seconds}
 * @ownership{everything is copied}
 * @threads{not while another thread connects with @p context}
 * @retval IMIG_OK            counts for URIs that are opened from now on
 * @retval IMIG_ERR_ARGUMENT  @p context is NULL, a command is empty, a transport without `%h`, or
 *                            a time that is not finite and >= 0; nothing is changed
 * @retval IMIG_ERR_ABI       `options->size` is not known; nothing is changed
 */
IMIG_EXPORT int imig_context_set_agent(imig_context *context, const imig_agent_options *options,
                                       imig_error **error);

/**
 * Register a backend of the calling program.
 *
 * @param context    not NULL
 * @param ops        its operations; see backend.h
 * @param[out] error set on failure; may be NULL
 * @ownership{@p ops must stay valid as long as the context}
 * @threads{not while another thread connects with @p context}
 * @retval IMIG_OK            URIs that its probe accepts are its own
 * @retval IMIG_ERR_ARGUMENT  NULL, a mandatory operation is missing, or the name is taken
 * @retval IMIG_ERR_ABI       `ops->size` is not known
 */
IMIG_EXPORT int imig_context_register_backend(imig_context *context, const imig_backend_ops *ops,
                                              imig_error **error);

/**
 * The name of a backend that is registered or already loaded.
 *
 * @param context  not NULL
 * @param index    from 0
 * @return the name; NULL beyond the last
 * @ownership{lent as long as the context}
 * @threads{not while another thread changes @p context}
 */
IMIG_EXPORT const char *imig_context_backend_name(const imig_context *context, uint32_t index);

/**
 * Say where log lines go; without a hook they go nowhere.
 *
 * @param context    not NULL
 * @param max_level  lines above this #imig_log_level are not made
 * @param log        NULL for none
 * @param user_data  given to @p log
 * @param destroy    called with @p user_data when the hook is replaced or the context ends; may be
 *                   NULL
 * @ownership{@p user_data passes to the context, on failure too}
 * @threads{not while another thread uses @p context; the hook runs on the thread that logs}
 */
IMIG_EXPORT void imig_context_set_log(imig_context *context, int32_t max_level, imig_log_fn log,
                                      void *user_data, imig_destroy_fn destroy);

IMIG_END_DECLS

#endif
