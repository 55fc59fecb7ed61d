/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ui.h"

/* Names come from the library alone. */

char *
ui_list_names(const char *(*name)(uint32_t))
{
    GString *text = g_string_new(NULL);

    for (uint32_t i = 0; name(i); i++)
        g_string_append_printf(text, "%s%s", i > 0 ? ", " : "", name(i));
    return g_string_free(text, FALSE);
}

int
ui_find_name(const char *(*name)(uint32_t), const char *wanted)
{
    for (uint32_t i = 0; name(i); i++)
        if (g_str_equal(name(i), wanted))
            return (int) i;
    return -1;
}

const char *
ui_class_name(uint32_t index)
{
    return imig_workload_name((int32_t) index);
}

int
ui_read_class(const char *text, int32_t *class)
{
    g_autofree char *names = NULL;

    *class = imig_workload_from_name(text);
    if (*class != IMIG_WORKLOAD_UNKNOWN)
        return UI_DONE;
    names = ui_list_names(ui_class_name);
    return ui_fail(UI_USAGE, "no --class \"%s\"; there are %s", text, names);
}
