/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/base-priv.h"

#include <string.h>

/* What a secret looks like to everybody else. */
#define HIDDEN "***"

/* A shorter secret is hidden only where it stands alone: "1" is no reason to spoil every number. */
enum { LONG_SECRET = 4 };

/* Part of a URI. */
typedef struct span {
    const char *text;
    size_t length;
} span;

static gboolean
contains(span name, const char *word)
{
    size_t length = strlen(word);

    for (size_t i = 0; i + length <= name.length; i++)
        if (g_ascii_strncasecmp(name.text + i, word, length) == 0)
            return TRUE;
    return FALSE;
}

/* Is the value of a query under this name one to hide?  `keyfile` is a path, and not one. */
static gboolean
is_secret_name(span name)
{
    static const char *const words[] = { "pass", "pwd", "secret", "token", "credential" };
    static const size_t KEY = 3;

    for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
        if (contains(name, words[i]))
            return TRUE;
    return name.length >= KEY
           && g_ascii_strncasecmp(name.text + name.length - KEY, "key", KEY) == 0;
}

/* "user:secret@host" up to the end of what may name a host; NULL text: no password. */
static span
find_password(const char *authority, size_t length)
{
    const char *colon, *at = NULL;

    for (size_t i = 0; i < length; i++)
        if (authority[i] == '@')
            at = authority + i; /* the last one: a password may hold others */
    colon = at ? memchr(authority, ':', (size_t) (at - authority)) : NULL;
    return colon ? (span) { colon + 1, (size_t) (at - colon - 1) } : (span) { NULL, 0 };
}

static void
add_span(GArray *spans, span s)
{
    if (s.text && s.length > 0)
        g_array_append_val(spans, s);
}

/* Behind each "://", of which "agent:" and ",migrate=" may bring several; without any, behind the
   scheme.  A password with a bare '/' in it is no URI, and all the more none to be printed. */
static void
find_passwords(const char *uri, GArray *spans)
{
    const char *slashes = strstr(uri, "://"), *colon = strchr(uri, ':');

    if (colon && colon != slashes)
        add_span(spans, find_password(colon + 1, strcspn(colon + 1, "/?#")));
    while (slashes) {
        const char *authority = slashes + strlen("://");
        size_t length = *authority == '/' ? 0 : strcspn(authority, "?#");

        slashes = strstr(authority, "://");
        if (slashes)
            length = MIN(length, (size_t) (slashes - authority));
        add_span(spans, find_password(authority, length));
    }
}

static void
find_values(const char *uri, GArray *spans)
{
    for (const char *mark = strpbrk(uri, "?&;"); mark; mark = strpbrk(mark + 1, "?&;")) {
        span name = { mark + 1, strcspn(mark + 1, "=&;#,") };
        const char *value = name.text + name.length;

        if (*value == '=' && is_secret_name(name))
            add_span(spans, (span) { value + 1, strcspn(value + 1, "&;#") });
    }
}

static gint
compare_spans(gconstpointer a, gconstpointer b)
{
    const span *x = a, *y = b;

    return (x->text > y->text) - (x->text < y->text);
}

/* The secrets in a URI, of span, in their order. */
static GArray *
find_secrets(const char *uri)
{
    GArray *spans = g_array_new(FALSE, FALSE, sizeof(span));

    find_passwords(uri, spans);
    find_values(uri, spans);
    g_array_sort(spans, compare_spans);
    return spans;
}

char *
imig__uri_shown(const char *uri)
{
    GArray *spans = find_secrets(uri);
    GString *shown = g_string_new(NULL);
    const char *from = uri;

    for (guint i = 0; i < spans->len; i++) {
        const span *s = &g_array_index(spans, span, i);

        if (s->text < from)
            continue; /* inside the one before */
        g_string_append_len(shown, from, s->text - from);
        g_string_append(shown, HIDDEN);
        from = s->text + s->length;
    }
    g_string_append(shown, from);
    g_array_unref(spans);
    return g_string_free(shown, FALSE);
}

/* Takes the text.  Longer ones go first: one may be part of another. */
static void
keep_secret(GPtrArray *secrets, char *text)
{
    guint at = 0;

    while (at < secrets->len && strlen(g_ptr_array_index(secrets, at)) > strlen(text))
        at++;
    for (guint i = at; text[0] && i < secrets->len; i++)
        if (strcmp(g_ptr_array_index(secrets, i), text) == 0)
            text[0] = '\0';
    if (text[0])
        g_ptr_array_insert(secrets, (gint) at, text);
    else
        g_free(text);
}

void
imig__secrets_add(GPtrArray *secrets, const char *uri)
{
    GArray *spans = find_secrets(uri);

    for (guint i = 0; i < spans->len; i++) {
        const span *s = &g_array_index(spans, span, i);
        char *text = g_strndup(s->text, s->length);
        char *plain = g_uri_unescape_string(text, NULL); /* as a backend may show it */

        keep_secret(secrets, text);
        if (plain)
            keep_secret(secrets, plain);
    }
    g_array_unref(spans);
}

static gboolean
stands_alone(const char *text, const char *at, size_t length)
{
    return (at == text || !g_ascii_isalnum(at[-1])) && !g_ascii_isalnum(at[length]);
}

char *
imig__secrets_hide(const GPtrArray *secrets, const char *text)
{
    GString *clean = g_string_new(text);

    for (guint i = 0; i < secrets->len; i++) {
        const char *secret = g_ptr_array_index(secrets, i), *at;
        size_t length = strlen(secret), from = 0;

        while ((at = strstr(clean->str + from, secret))) {
            size_t position = (size_t) (at - clean->str);

            from = position + length;
            if (length < LONG_SECRET && !stands_alone(clean->str, at, length))
                continue;
            g_string_erase(clean, (gssize) position, (gssize) length);
            g_string_insert(clean, (gssize) position, HIDDEN);
            from = position + strlen(HIDDEN);
        }
    }
    return g_string_free(clean, FALSE);
}
