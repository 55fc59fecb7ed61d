/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ui.h"

#include <string.h>

static uint32_t
count_missing(const imig_connection *connection)
{
    uint32_t n = 0;

    while (imig_connection_missing(connection, n))
        n++;
    return n;
}

/* The NAME of "URI,id=NAME"; NULL. */
static char *
id_of(const char *uri)
{
    const char *id = strstr(uri, ",id=");

    return id ? g_strndup(id + 4, strcspn(id + 4, ",")) : NULL;
}

/* Is this what was given with -c?  `shown` is without options, and has *** for what is secret. */
static gboolean
is_shown(const char *given, const char *shown)
{
    static const char *const options[] = { ",id=", ",migrate=" };
    g_autofree char *uri = g_strdup(given);

    for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
        char *option = strstr(uri, options[i]);

        if (option)
            *option = '\0';
    }
    return g_pattern_match_simple(shown, uri);
}

/* By what it may be known: its id, where one was given, or its URI without secrets. */
static char *
name_of(char *const *uris, const char *line)
{
    const char *reason = strstr(line, ": ");
    char *shown = reason ? g_strndup(line, (size_t) (reason - line)) : g_strdup(line);

    for (; uris && *uris; uris++) {
        char *id = is_shown(*uris, shown) ? id_of(*uris) : NULL;

        if (id) {
            g_free(shown);
            return id;
        }
    }
    return shown;
}

/* As a whole word: n1 is not in n10. */
static gboolean
names(const char *text, const char *host)
{
    size_t length = strlen(host);

    for (const char *at = strstr(text, host); at; at = strstr(at + 1, host))
        if ((at == text || !g_ascii_isalnum(at[-1])) && !g_ascii_isalnum(at[length]))
            return TRUE;
    return FALSE;
}

/* Does the cluster show it?  Without an id only a host's name within the URI can tell. */
static gboolean
is_in(const imig_cluster *cluster, const char *name)
{
    for (uint32_t h = 0; h < imig_cluster_host_count(cluster); h++) {
        imig_host_info host = IMIG_HOST_INFO_INIT;

        imig_cluster_get_host(cluster, h, &host, NULL);
        if (host.state == IMIG_HOST_OFFLINE && (names(name, host.id) || names(name, host.name)))
            return TRUE;
    }
    return FALSE;
}

char **
ui_unseen(const imig_connection *connection, const ui_common *common, const imig_cluster *cluster)
{
    GPtrArray *names = g_ptr_array_new();
    const char *line;

    for (size_t i = 0; (line = imig_connection_missing(connection, i)); i++) {
        char *name = name_of(common->uris, line);

        if (is_in(cluster, name))
            g_free(name);
        else
            g_ptr_array_add(names, name);
    }
    g_ptr_array_add(names, NULL);
    return (char **) g_ptr_array_free(names, FALSE);
}

int
ui_missing_status(const imig_connection *connection, int status)
{
    uint32_t n = count_missing(connection);

    if (n == 0)
        return status;
    return ui_fail(status == UI_DONE ? UI_PARTIAL : status, "%u host%s not seen", n,
                   n == 1 ? " was" : "s were");
}

int
ui_fail_missing(const imig_connection *connection, const ui_common *common,
                const imig_cluster *cluster, const char *host)
{
    g_auto(GStrv) unseen = ui_unseen(connection, common, cluster);
    uint32_t index = ui_find_host(cluster, host), n = count_missing(connection);
    imig_host_info info = IMIG_HOST_INFO_INIT;

    if (index != IMIG_NO_INDEX && imig_cluster_get_host(cluster, index, &info, NULL) == IMIG_OK
        && info.state != IMIG_HOST_OFFLINE)
        return UI_DONE;
    if (index != IMIG_NO_INDEX || g_strv_contains((const char *const *) unseen, host))
        return ui_fail(UI_FAILED, "host %s does not answer", host);
    return n == 0 ? ui_fail_host(cluster, host)
                  : ui_fail(UI_USAGE, "no host \"%s\" among those that answer; this does not: %s%s",
                            host, imig_connection_missing(connection, 0),
                            n > 1 ? ", and others" : "");
}
