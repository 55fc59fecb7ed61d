/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The imig command with hosts that fail: linked with everything of it, its contexts know a backend
 * "faulty:NAME[:WHAT[:WHEN]]" as well.  Each is one host NAME with one VM NAME-vm, all on one
 * virtual time.  WHAT: "closed" cannot be opened, "dies" does not answer from second WHEN on.  Its
 * error messages hold the URI, as those of many a library do.
 */

#undef imig_context_new
#include <imig/imig.h>

#include <glib.h>
#include <stdlib.h>
#include <string.h>

imig_context *faulty_context_new(void);

typedef struct faulty {
    char *uri, **part; /* NAME, WHAT, WHEN */
} faulty;

static double clock_s;

static int
fails(const faulty *f, imig_error **error)
{
    char *message = g_strdup_printf("cannot reach %s", f->uri);
    int code = imig_error_set(error, IMIG_ERR_BACKEND, 38, message);

    g_free(message);
    return code;
}

static gboolean
is_dead(const faulty *f)
{
    return g_strcmp0(f->part[1], "dies") == 0 && clock_s >= strtod(f->part[2], NULL);
}

static int
faulty_probe(const char *uri)
{
    return g_str_has_prefix(uri, "faulty:");
}

static int
faulty_open(const char *uri, void **ret_state, imig_error **error)
{
    faulty *f = g_new0(faulty, 1);
    const char *at = strchr(uri, '@');

    f->uri = g_strdup(uri);
    f->part = g_strsplit(at ? at + 1 : uri + strlen("faulty:"), ":", 3);
    *ret_state = f;
    return g_strcmp0(f->part[1], "closed") == 0 ? fails(f, error) : IMIG_OK;
}

static void
faulty_close(void *state)
{
    faulty *f = state;

    g_free(f->uri);
    g_strfreev(f->part);
    g_free(f);
}

static double
faulty_clock(void *state)
{
    (void) state;
    return clock_s;
}

static int
faulty_sample(void *state, imig_sample *into, imig_error **error)
{
    const faulty *f = state;
    imig_host_info host = IMIG_HOST_INFO_INIT;
    imig_vm_info vm = IMIG_VM_INFO_INIT;
    imig_vm_counters counters = IMIG_VM_COUNTERS_INIT;
    char *id = g_strconcat(f->part[0], "-vm", NULL);
    int code;

    if (is_dead(f)) {
        g_free(id);
        return fails(f, error);
    }
    host.id = f->part[0];
    host.cpu_cores = 4;
    host.memory_bytes = 8e9;
    vm.id = id;
    vm.host = 0;
    vm.vcpus = 2;
    vm.memory_bytes = 1e9;
    counters.present = IMIG_COUNTER_HAS_CPU;
    counters.time_s = clock_s;
    counters.cpu_s = 0.5 * clock_s;
    code = imig_sample_add_host(into, &host, error);
    if (code == IMIG_OK)
        code = imig_sample_add_vm(into, &vm, &counters, error);
    g_free(id);
    return code;
}

static int
faulty_locate(void *state, const char *vm, imig_location *into, imig_error **error)
{
    const faulty *f = state;
    size_t length = strlen(f->part[0]);

    if (is_dead(f))
        return fails(f, error);
    if (strncmp(vm, f->part[0], length) == 0 && strcmp(vm + length, "-vm") == 0) {
        into->state = IMIG_VM_RUNNING;
        g_strlcpy(into->host, f->part[0], sizeof into->host);
    }
    return IMIG_OK;
}

static int
faulty_wait(void *state, double deadline_s, imig_error **error)
{
    const faulty *f = state;

    clock_s = MAX(clock_s, deadline_s);
    return is_dead(f) ? fails(f, error) : IMIG_OK;
}

static const imig_backend_ops faulty_ops = {
    .size = sizeof faulty_ops, .name = "faulty", .probe = faulty_probe, .open = faulty_open,
    .close = faulty_close, .clock = faulty_clock, .sample = faulty_sample,
    .locate = faulty_locate, .wait = faulty_wait,
};

imig_context *
faulty_context_new(void)
{
    imig_context *context = imig_context_new();

    imig_context_register_backend(context, &faulty_ops, NULL);
    return context;
}
