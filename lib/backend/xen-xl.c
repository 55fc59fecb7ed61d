/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/xen-priv.h"

#include <string.h>

#define REMOTE "xenctl+ssh://"
#define SSH "ssh"

/* xl hands transport and host to a shell, in words of its own: so this is all they may hold. */
static gboolean
is_plain(const char *text, const char *more)
{
    if (!g_ascii_isalnum(*text) && *text != '_')
        return FALSE; /* no option either */
    for (; *text; text++)
        if (!g_ascii_isalnum(*text) && !strchr(more, *text))
            return FALSE;
    return TRUE;
}

/* "PROGRAM://HOST" is that transport; ssh alone understands such an address itself, and needs it
   where there is a port. */
static void
split(const char *address, xe_target *target)
{
    const char *rest = strstr(address, "://");
    char *program = g_strndup(address, rest ? (size_t) (rest - address) : 0);

    target->is_ssh = !rest || strcmp(program, SSH) == 0;
    target->transport = target->is_ssh ? g_strdup("ssh -T -o BatchMode=yes") : g_strdup(program);
    target->host = g_strdup(rest && !target->is_ssh ? rest + strlen("://") : address);
    g_free(program);
}

/* "[USER@]HOST[:PORT][/]" of a URI: with a port, ssh takes it as a URI, too. */
static char *
address_of_uri(const char *uri)
{
    char *rest = g_strdup(uri + strlen(REMOTE));
    size_t length = strlen(rest);

    if (length > 0 && rest[length - 1] == '/')
        rest[length - 1] = '\0';
    if (strchr(rest, ':')) {
        char *address = g_strconcat(SSH "://", rest, NULL);

        g_free(rest);
        return address;
    }
    return rest;
}

int
xe_target_find(const imig_migration *m, xe_target *target, imig_error **error)
{
    char *address = NULL;
    gboolean good;

    *target = (xe_target) { NULL };
    if (m->migrate_uri)
        address = g_strdup(m->migrate_uri);
    else if (m->to_uri && g_str_has_prefix(m->to_uri, REMOTE))
        address = address_of_uri(m->to_uri);
    if (!address)
        return xe_fail(error, IMIG_ERR_NOT_FOUND, "how this host reaches host %s is not known: "
                       "give its URI a \",migrate=ADDRESS\"", m->to);
    split(address, target);
    good = is_plain(target->host, "._-@:/%")
           && (target->is_ssh || is_plain(target->transport, "._-+"));
    /* An address in brackets is none for xl's shell; without a port it needs none. */
    if (!good) {
        xe_fail(error, IMIG_ERR_ARGUMENT, "address \"%s\" of host %s: it may hold letters, digits "
                "and ._-@:/%% only", address, m->to);
        xe_target_clear(target);
    }
    g_free(address);
    return good ? IMIG_OK : IMIG_ERR_ARGUMENT;
}

void
xe_target_clear(xe_target *target)
{
    g_free(target->transport);
    g_free(target->host);
    *target = (xe_target) { NULL };
}

/* "imig pipe": this very program, or one in the PATH; to be freed. */
static char *
own_limiter(void)
{
    char *own = g_file_read_link("/proc/self/exe", NULL);
    char *name = own ? g_path_get_basename(own) : NULL;

    if (g_strcmp0(name, "imig") != 0) {
        g_free(own);
        own = g_find_program_in_path("imig");
    }
    g_free(name);
    return own;
}

/* It is handed to a shell as well; its rate is a whole number of our own. */
char *
xe_limiter(double bytes_per_s)
{
    const struct {
        char *program;
        const char *words;
    } limiters[] = { { own_limiter(), "pipe --rate" }, { g_find_program_in_path("pv"), "-qL" } };
    guint64 rate = (guint64) CLAMP(bytes_per_s, 1, 1e15);
    char *limiter = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(limiters); i++) {
        const char *program = limiters[i].program;

        if (!limiter && program && *program == '/' && is_plain(program + 1, "._-+/"))
            limiter = g_strdup_printf("%s %s %" G_GUINT64_FORMAT, program, limiters[i].words, rate);
        g_free(limiters[i].program);
    }
    return limiter;
}

/* xl runs "exec TRANSPORT HOST xl migrate-receive" in a shell, so a pipeline is a transport, too:
   what is sent goes through it, the answers come straight back. */
char **
xe_xl_command(const char *xl, uint32_t domid, const xe_target *target, const char *limiter)
{
    GPtrArray *words = g_ptr_array_new();

    g_ptr_array_add(words, g_strdup(xl));
    g_ptr_array_add(words, g_strdup("migrate"));
    g_ptr_array_add(words, g_strdup("-s"));
    g_ptr_array_add(words, limiter ? g_strdup_printf("%s | %s", limiter, target->transport)
                                   : g_strdup(target->transport));
    g_ptr_array_add(words, g_strdup_printf("%u", domid));
    g_ptr_array_add(words, g_strdup(target->host));
    g_ptr_array_add(words, NULL);
    return (char **) g_ptr_array_free(words, FALSE);
}

char *
xe_said_path(const xe_places *places, const char *uuid)
{
    return g_strdup_printf("%s/%s.xl", places->lock_dir, uuid);
}

/* How telling a line is, where the migration has failed: the first of the best is taken. */
static const struct {
    const char *part;
    int weight;
} telling[] = {
    { "error:", 3 },
    { "ermission denied", 3 },
    { "refused", 3 },
    { "resolve", 3 },
    { "not found", 3 },
    { "unreachable", 3 },
    { "failed", 2 },
    { "Failure", 2 },
    { "rror", 2 },
};

static int
weight_of(const char *line)
{
    for (size_t i = 0; i < G_N_ELEMENTS(telling); i++)
        if (strstr(line, telling[i].part))
            return telling[i].weight;
    return *line ? 1 : 0;
}

void
xe_progress_line(xe_progress *progress, const char *line)
{
    int weight = weight_of(line);

    progress->acknowledged |= strstr(line, "Target has acknowledged transfer") != NULL;
    progress->go |= strstr(line, "Giving target permission to start") != NULL;
    progress->started |= strstr(line, "Target reports successful startup") != NULL;
    progress->helper_broke |= strstr(line, "save/restore helper") != NULL;
    progress->done |= g_str_has_prefix(line, "Migration successful");
    /* Of lines that say nothing in particular the last one is the best. */
    if (weight > progress->weight || (weight == 1 && progress->weight == 1)) {
        progress->weight = weight;
        g_strlcpy(progress->reason, line, sizeof progress->reason);
    }
}

size_t
xe_progress_text(xe_progress *progress, const char *text, size_t length)
{
    size_t used = 0;
    const char *end;

    while ((end = memchr(text + used, '\n', length - used))) {
        char *line = g_strndup(text + used, (size_t) (end - text) - used);

        g_strdelimit(line, "\r\t", ' ');
        g_strstrip(line);
        xe_progress_line(progress, line);
        g_free(line);
        used = (size_t) (end - text) + 1;
    }
    return used;
}
