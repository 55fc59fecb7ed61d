/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/xen-priv.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/*
 * Who saves a domain?  Every toolstack on libxl (xl, libvirt) does so in a process of its own,
 * "libxl-save-helper --save-domain FD FD DOMID FLAGS CALLBACKS CHECKPOINTED"; xl itself is there
 * long before that.  XAPI has programs of its own, whose arguments are not known here: they may
 * mean any domain.
 */
#define HELPER "libxl-save-helper"
#define XL "xl"
enum { HELPER_MODE = 1, HELPER_FD = 2, HELPER_DOMID = 4, HELPER_WORDS = 8 };

static const char *const shells[] = { "sh", "dash", "bash", NULL };
static const char *const other_savers[] = { "xenguest", "emu-manager", NULL };
static const char *const xl_saves[] = { "migrate", "save", "remus", NULL };

static void
saver_clear(void *data)
{
    g_strfreev(((xe_saver *) data)->words);
}

/* The words of a process's command; NULL: it has none, as threads of the kernel, or is gone. */
static char **
read_words(const char *proc, int pid)
{
    char path[64], text[8192];
    GPtrArray *words;
    ssize_t got;
    int fd;

    g_snprintf(path, sizeof path, "/%d/cmdline", pid);
    {
        char *whole = g_strconcat(proc, path, NULL);

        fd = open(whole, O_RDONLY | O_CLOEXEC);
        g_free(whole);
    }
    if (fd < 0)
        return NULL;
    got = read(fd, text, sizeof text - 1);
    close(fd);
    if (got <= 0)
        return NULL;
    text[got] = '\0';
    words = g_ptr_array_new();
    for (ssize_t at = 0; at < got; at += (ssize_t) strlen(text + at) + 1)
        g_ptr_array_add(words, g_strdup(text + at));
    g_ptr_array_add(words, NULL);
    return (char **) g_ptr_array_free(words, FALSE);
}

static int
parent_of(const char *proc, int pid)
{
    char *text = xe_read_file("%s/%d/stat", proc, pid);
    char *at = text ? strrchr(text, ')') : NULL; /* ") STATE PARENT" */
    int parent = at && strlen(at) > 4 ? (int) g_ascii_strtoll(at + 4, NULL, 10) : 0;

    g_free(text);
    return parent;
}

static const char *
program_of(char **words)
{
    const char *slash = strrchr(words[0], '/');

    return slash ? slash + 1 : words[0];
}

/* xl may be a script that looks for the one of this release, as on Debian: then the shell's words
   come first, until it is that one. */
static void
drop_shell(char **words)
{
    guint at = 1, n = g_strv_length(words);

    if (!g_strv_contains(shells, program_of(words)))
        return;
    while (words[at] && words[at][0] == '-')
        at++;
    if (!words[at] || strcmp(program_of(words + at), XL) != 0)
        return;
    for (guint i = 0; i < at; i++)
        g_free(words[i]);
    memmove(words, words + at, (n - at + 1) * sizeof *words);
}

/* Where the subcommand of xl is; 0: there is none. */
static guint
subcommand(char **words)
{
    guint at = 1;

    while (words[at] && words[at][0] == '-')
        at++;
    return words[at] ? at : 0;
}

static gboolean
is_saver(char **words)
{
    const char *program = program_of(words);

    if (strcmp(program, HELPER) == 0) /* any but one that receives */
        return g_strcmp0(words[HELPER_MODE], "--restore-domain") != 0;
    if (strcmp(program, XL) == 0)
        return subcommand(words) > 0 && g_strv_contains(xl_saves, words[subcommand(words)]);
    return g_strv_contains(other_savers, program);
}

GArray *
xe_savers_read(const char *proc)
{
    GArray *savers = g_array_new(FALSE, FALSE, sizeof(xe_saver));
    GDir *dir = g_dir_open(proc, 0, NULL);
    const char *name;

    g_array_set_clear_func(savers, saver_clear);
    if (!dir) {
        xe_saver anybody = { .words = g_strsplit("unknown", " ", 1) };

        g_array_append_val(savers, anybody);
    }
    while (dir && (name = g_dir_read_name(dir))) {
        int pid = g_ascii_isdigit(*name) ? (int) g_ascii_strtoll(name, NULL, 10) : 0;
        char **words = pid > 0 ? read_words(proc, pid) : NULL;

        if (words)
            drop_shell(words);
        if (words && is_saver(words)) {
            xe_saver saver = {
                .pid = pid, .parent = parent_of(proc, pid), .words = words,
                .is_helper = strcmp(program_of(words), HELPER) == 0,
            };

            g_array_append_val(savers, saver);
        } else {
            g_strfreev(words);
        }
    }
    if (dir)
        g_dir_close(dir);
    return savers;
}

/* Is this word the domain's number?  xl takes any number of zeros before it. */
static gboolean
is_number(const char *word, uint32_t domid)
{
    guint64 number;

    return g_ascii_string_to_unsigned(word, 10, 0, G_MAXUINT32, &number, NULL) && number == domid;
}

static gboolean
means(const char *word, uint32_t domid, const char *name, const char *uuid)
{
    return is_number(word, domid) || (name && strcmp(word, name) == 0)
           || (uuid && g_ascii_strcasecmp(word, uuid) == 0);
}

static gboolean
any_means(char **words, guint from, uint32_t domid, const char *name, const char *uuid)
{
    for (guint i = from; i < g_strv_length(words); i++)
        if (means(words[i], domid, name, uuid))
            return TRUE;
    return FALSE;
}

/* Where the words are not those of the release that is known here, any of them may be it. */
static gboolean
saves(const xe_saver *saver, uint32_t domid, const char *name, const char *uuid)
{
    char **words = saver->words;

    if (saver->is_helper)
        return g_strv_length(words) == HELPER_WORDS
                   ? is_number(words[HELPER_DOMID], domid)
                   : g_strv_length(words) <= HELPER_DOMID
                         || any_means(words, HELPER_FD, domid, NULL, NULL);
    if (strcmp(program_of(words), XL) != 0)
        return TRUE;
    return any_means(words, subcommand(words) + 1, domid, name, uuid);
}

const xe_saver *
xe_savers_find(const GArray *savers, uint32_t domid, const char *name, const char *uuid)
{
    for (guint i = 0; i < savers->len; i++) {
        const xe_saver *saver = &g_array_index(savers, xe_saver, i);

        if (saves(saver, domid, name, uuid))
            return saver;
    }
    return NULL;
}

const xe_saver *
xe_savers_by_name(const GArray *savers)
{
    for (guint i = 0; i < savers->len; i++) {
        const xe_saver *saver = &g_array_index(savers, xe_saver, i);

        if (!saver->is_helper)
            return saver;
    }
    return NULL;
}

int
xe_savers_helper(const GArray *savers, uint32_t domid, int parent)
{
    for (guint i = 0; i < savers->len; i++) {
        const xe_saver *saver = &g_array_index(savers, xe_saver, i);

        if (saver->is_helper && saver->parent == parent && saves(saver, domid, NULL, NULL))
            return saver->pid;
    }
    return 0;
}
