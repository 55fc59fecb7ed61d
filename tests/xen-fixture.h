/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef XEN_FIXTURE_H
#define XEN_FIXTURE_H

/* For tests of what the module for Xen does without Xen; include cmocka.h before. */

#include "backend/xen-priv.h"

#include <glib/gstdio.h>
#include <imig/connect.h>
#include <unistd.h>

#define BOOT "cd0c81ad-02f7-4ffa-94d4-6baf60c580bf"
#define WITH_FILES(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static void
ignore(void *log_data, int32_t level, const char *line)
{
    (void) log_data;
    (void) level;
    (void) line;
}

static const imig_module_api api = {
    .size = sizeof api, .error_set = imig_error_set, .log = ignore,
};

/* ---- a directory with files of a kernel that is not there ---- */

typedef struct fake {
    char *top;
    xe_places places;
} fake;

static void
put(const fake *f, const char *path, const char *text, gssize length)
{
    char *whole = g_build_filename(f->top, path, NULL), *directory = g_path_get_dirname(whole);

    assert_int_equal(g_mkdir_with_parents(directory, 0700), 0);
    assert_true(g_file_set_contents(whole, text, length, NULL));
    g_free(directory);
    g_free(whole);
}

static int
set_up(void **state)
{
    fake *f = g_new0(fake, 1);
    char *own;

    xe_api = &api;
    f->top = g_dir_make_tmp("imig-xen-XXXXXX", NULL);
    assert_non_null(f->top);
    f->places.proc = g_build_filename(f->top, "proc", NULL);
    f->places.sys = g_build_filename(f->top, "sys", NULL);
    f->places.lock_dir = g_build_filename(f->top, "locks", NULL);
    put(f, "proc/sys/kernel/random/boot_id", BOOT "\n", -1);
    own = g_strdup_printf("proc/%d/stat", (int) getpid());
    put(f, own, "1 (test-xen) R 1 1 1 0 -1 4194560 1 0 0 0 1 1 0 0 20 0 1 0 4711 1000 100\n", -1);
    g_free(own);
    *state = f;
    return 0;
}

static void
remove_tree(const char *path)
{
    GDir *dir = g_file_test(path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        char *child = g_build_filename(path, name, NULL);

        remove_tree(child);
        g_free(child);
    }
    if (dir)
        g_dir_close(dir);
    g_remove(path);
}

static int
tear_down(void **state)
{
    fake *f = *state;

    remove_tree(f->top);
    xe_places_clear(&f->places);
    g_free(f->top);
    g_free(f);
    return 0;
}

#endif
