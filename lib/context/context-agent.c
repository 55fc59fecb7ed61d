/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "context/context-priv.h"

#include <math.h>
#include <string.h>

static const char *const default_command[] = { "imig", "agent", NULL };
static const char *const default_transport[] = { "ssh", "-T", "-o", "BatchMode=yes", "%h", NULL };
static const double DEFAULT_TIMEOUT_S = 30;

static gboolean
names_host(const char *const *words)
{
    for (; *words; words++)
        for (const char *c = strchr(*words, '%'); c; c = strchr(c + 2, '%')) {
            if (c[1] == 'h')
                return TRUE;
            if (!c[1])
                break;
        }
    return FALSE;
}

static gboolean
is_empty(const char *const *words)
{
    return words && (!words[0] || !*words[0]);
}

static int
check_options(const imig_agent_options *options, imig_error **error)
{
    if (is_empty(options->command) || is_empty(options->transport))
        return imig__fail(error, IMIG_ERR_ARGUMENT, "the %s of agents names no program",
                          is_empty(options->command) ? "command" : "transport");
    if (options->transport && !names_host(options->transport))
        return imig__fail(error, IMIG_ERR_ARGUMENT,
                          "the transport of agents: no word has %%h, which stands for the host");
    if (!(options->timeout_s >= 0 && isfinite(options->timeout_s)))
        return imig__fail(error, IMIG_ERR_ARGUMENT,
                          "the time-out of agents: %g: must be finite and >= 0",
                          options->timeout_s);
    return IMIG_OK;
}

int
imig__agent_settings_init(imig__agent_settings *settings, const imig_agent_options *options,
                          imig_error **error)
{
    imig_agent_options o;
    int code = imig__copy_struct(&o, sizeof o, options,
                                 IMIG__END_OF(imig_agent_options, timeout_s), error);

    if (code == IMIG_OK)
        code = check_options(&o, error);
    if (code != IMIG_OK)
        return code;
    settings->command = g_strdupv((char **) (o.command ? o.command : default_command));
    settings->transport = g_strdupv((char **) (o.transport ? o.transport : default_transport));
    settings->timeout_s = o.timeout_s > 0 ? o.timeout_s : DEFAULT_TIMEOUT_S;
    settings->measure_dirty = FALSE;
    return IMIG_OK;
}

void
imig__agent_settings_clear(imig__agent_settings *settings)
{
    g_strfreev(settings->command);
    g_strfreev(settings->transport);
}
