/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ui.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const GOptionArg arg_of_kind[] = {
    /* File names are not converted: an argument is taken byte by byte. */
    [UI_FLAG] = G_OPTION_ARG_NONE,        [UI_TEXT] = G_OPTION_ARG_FILENAME,
    [UI_TEXTS] = G_OPTION_ARG_FILENAME_ARRAY, [UI_NUMBER] = G_OPTION_ARG_FILENAME,
    [UI_BYTES] = G_OPTION_ARG_FILENAME,   [UI_BYTES0] = G_OPTION_ARG_FILENAME,
    [UI_RATE] = G_OPTION_ARG_FILENAME,    [UI_RATE0] = G_OPTION_ARG_FILENAME,
    [UI_SECONDS] = G_OPTION_ARG_FILENAME, [UI_COUNT] = G_OPTION_ARG_FILENAME,
    [UI_COUNT1] = G_OPTION_ARG_FILENAME,
};

static const char *const rule_of_kind[] = {
    [UI_NUMBER] = "a number",
    [UI_BYTES] = "an amount such as 4GiB",
    [UI_BYTES0] = "an amount such as 4GiB, or 0",
    [UI_RATE] = "a rate such as 20MB/s or 1Gbit/s",
    [UI_RATE0] = "a rate such as 20MB/s or 1Gbit/s, or 0",
    [UI_SECONDS] = "a time such as 300ms or 60s",
    [UI_COUNT] = "a whole number",
    [UI_COUNT1] = "a whole number from 1 on",
};

static int
convert(const ui_option *option, const char *text)
{
    if (option->kind >= UI_COUNT) {
        guint64 number;

        if (!g_ascii_string_to_unsigned(text, 10, option->kind == UI_COUNT1, G_MAXINT64, &number,
                                        NULL))
            return ui_fail(UI_USAGE, "--%s \"%s\" is not %s", option->name, text,
                           rule_of_kind[option->kind]);
        *(int64_t *) option->value = (int64_t) number;
        return UI_DONE;
    }
    if (!ui_parse_quantity(option->kind, text, option->value))
        return ui_fail(UI_USAGE, "--%s \"%s\" is not %s", option->name, text,
                       rule_of_kind[option->kind]);
    return UI_DONE;
}

static size_t
count_options(const ui_option *options)
{
    size_t n = 0;

    while (options && options[n].name)
        n++;
    return n;
}

static int
print_help(GOptionContext *context)
{
    char *text = g_option_context_get_help(context, TRUE, NULL);

    fputs(text, stdout);
    g_free(text);
    return ui_flush();
}

/* Of a command that needs none. */
static int
refuse_argument(const ui_command *command, const ui_option *options, const char *text)
{
    if (g_strcmp0(options[0].name, "connect") != 0)
        return ui_fail(UI_USAGE, "%s takes no argument \"%s\"; see imig %s --help", command->name,
                       text, command->name);
    return ui_fail(UI_USAGE, "%s: -c is missing before \"%s\"; a simulated cluster is "
                   "-c sim:CLUSTER.json", command->name, text);
}

int
ui_parse(const ui_command *command, const ui_option *options, const ui_option *more, int *argc,
         char **argv)
{
    size_t first = count_options(options), n = first + count_options(more);
    GOptionEntry *entries = g_new0(GOptionEntry, n + 2);
    char **texts = g_new0(char *, n + 1);
    GOptionContext *context = g_option_context_new(command->arguments);
    GError *error = NULL;
    gboolean help = FALSE;
    int status = UI_GO_ON;

    for (size_t i = 0; i < n; i++) {
        const ui_option *o = i < first ? &options[i] : &more[i - first];

        entries[i] = (GOptionEntry) {
            .long_name = o->name, .short_name = o->letter, .arg = arg_of_kind[o->kind],
            .arg_data = o->kind <= UI_TEXTS ? o->value : &texts[i],
            .description = o->help, .arg_description = o->argument,
        };
    }
    entries[n] = (GOptionEntry) { "help", 'h', 0, G_OPTION_ARG_NONE, &help, "print this", NULL };
    g_option_context_add_main_entries(context, entries, NULL);
    g_option_context_set_help_enabled(context, FALSE);
    g_option_context_set_summary(context, command->summary);
    g_set_prgname(ui_text("imig %s", command->name));

    if (!g_option_context_parse(context, argc, &argv, &error)) {
        status = ui_fail(UI_USAGE, "%s: %s", command->name, error->message);
        g_error_free(error);
    } else if (help) {
        status = print_help(context);
    }
    for (size_t i = 0; i < n && status == UI_GO_ON; i++)
        if (texts[i] && convert(i < first ? &options[i] : &more[i - first], texts[i]) != UI_DONE)
            status = UI_USAGE;
    if (status == UI_GO_ON && *argc > 1 && g_str_equal(argv[1], "--")) {
        memmove(&argv[1], &argv[2], (size_t) (*argc - 1) * sizeof *argv);
        --*argc;
    }
    if (status == UI_GO_ON && (*argc - 1 < command->least || *argc - 1 > command->most))
        status = command->most == 0
                     ? refuse_argument(command, options, argv[1])
                     : ui_fail(UI_USAGE, "usage: imig %s [OPTION...] %s; see imig %s --help",
                               command->name, command->arguments, command->name);
    for (size_t i = 0; i < n; i++)
        g_free(texts[i]);
    g_free(texts);
    g_free(entries);
    g_option_context_free(context);
    return status;
}

void
ui_clear(const ui_option *options)
{
    for (const ui_option *o = options; o->name; o++) {
        if (o->kind == UI_TEXT)
            g_clear_pointer((char **) o->value, g_free);
        else if (o->kind == UI_TEXTS)
            g_clear_pointer((char ***) o->value, g_strfreev);
    }
}
