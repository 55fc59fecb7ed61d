/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/agent-priv.h"

#include <string.h>

#define LOCAL "agent:"
#define REMOTE "xenctl+ssh://"
#define REMOTE_URI "xenctl:" /* what there is at the other end */
#define MEASURE_DIRTY "--measure-dirty"

int
imig__agent_probe(const char *uri)
{
    return g_str_has_prefix(uri, LOCAL) || g_str_has_prefix(uri, REMOTE);
}

const char *
imig__agent_far_uri(const char *uri)
{
    return g_str_has_prefix(uri, LOCAL) ? uri + strlen(LOCAL) : uri;
}

/* A name that no command takes for an option, and no shell for anything but a word. */
static gboolean
is_plain(const char *text, size_t length, const char *more)
{
    for (size_t i = 0; i < length; i++)
        if (!g_ascii_isalnum(text[i]) && !strchr(more, text[i]))
            return FALSE;
    return length > 0 && text[0] != '-';
}

static gboolean
is_port(const char *text)
{
    guint64 number;

    return g_ascii_string_to_unsigned(text, 10, 1, G_MAXUINT16, &number, NULL);
}

/*
 * "[USER@]HOST[:PORT][/]" as ssh names it: "USER@HOST", or as a URI where there is a port.  An IPv6
 * address stands in brackets.
 */
static int
parse_host(const char *text, char **ret_host, imig_error **error)
{
    size_t length = strcspn(text, "/?#");
    char *all = g_strndup(text, length);
    char *at = strchr(all, '@'), *host = at ? at + 1 : all, *bracket = NULL, *port;
    gboolean good = !at || is_plain(all, (size_t) (at - all), "._-");

    if (*host == '[')
        bracket = strchr(host, ']');
    port = bracket ? bracket + 1 : host + strcspn(host, ":");
    if (bracket)
        good = good && is_plain(host + 1, (size_t) (bracket - host - 1), ".:%");
    else
        good = good && is_plain(host, (size_t) (port - host), "._-");
    if (*port)
        good = good && *port == ':' && is_port(port + 1);
    if (good && *port)
        *ret_host = g_strconcat("ssh://", all, NULL);
    else if (good)
        *ret_host = bracket ? g_strdup_printf("%.*s%.*s", (int) (host - all), all,
                                              (int) (bracket - host - 1), host + 1)
                            : g_strdup(all);
    g_free(all);
    if (!good)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "what follows // is not [USER@]HOST[:PORT]");
    if (text[length] && strcmp(text + length, "/") != 0) {
        g_clear_pointer(ret_host, g_free);
        return imig__fail(error, IMIG_ERR_ARGUMENT, "nothing may follow the host");
    }
    return IMIG_OK;
}

/* "%h" becomes the host and "%%" a "%". */
static char *
fill_in(const char *word, const char *host)
{
    GString *filled = g_string_new(NULL);

    for (; *word; word++) {
        if (word[0] == '%' && word[1] == 'h')
            g_string_append(filled, host);
        else
            g_string_append_c(filled, *word);
        if (word[0] == '%' && (word[1] == 'h' || word[1] == '%'))
            word++;
    }
    return g_string_free(filled, FALSE);
}

static int
remote_command(const imig__agent_settings *settings, const char *uri, GPtrArray *words,
               imig_error **error)
{
    char *host = NULL;
    int code = parse_host(uri + strlen(REMOTE), &host, error);

    if (code != IMIG_OK)
        return code;
    for (char **word = settings->transport; *word; word++)
        g_ptr_array_add(words, fill_in(*word, host));
    g_ptr_array_add(words, g_strdup("imig"));
    g_ptr_array_add(words, g_strdup("agent"));
    if (settings->measure_dirty)
        g_ptr_array_add(words, g_strdup(MEASURE_DIRTY));
    g_ptr_array_add(words, g_strdup(REMOTE_URI));
    g_free(host);
    return IMIG_OK;
}

int
imig__agent_command(const imig__agent_settings *settings, const char *uri, char ***argv,
                    imig_error **error)
{
    GPtrArray *words = g_ptr_array_new_with_free_func(g_free);
    int code = IMIG_OK;

    if (g_str_has_prefix(uri, REMOTE)) {
        code = remote_command(settings, uri, words, error);
    } else if (!uri[strlen(LOCAL)] || uri[strlen(LOCAL)] == '-') { /* an option of the command */
        code = imig__fail(error, IMIG_ERR_ARGUMENT, "no URI follows " LOCAL);
    } else {
        for (char **word = settings->command; *word; word++)
            g_ptr_array_add(words, g_strdup(*word));
        if (settings->measure_dirty)
            g_ptr_array_add(words, g_strdup(MEASURE_DIRTY));
        g_ptr_array_add(words, g_strdup(imig__agent_far_uri(uri)));
    }
    if (code != IMIG_OK) {
        g_ptr_array_unref(words);
        return code;
    }
    g_ptr_array_add(words, NULL);
    *argv = (char **) g_ptr_array_free(words, FALSE);
    return IMIG_OK;
}
