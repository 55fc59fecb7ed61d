/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The smallest backend: one host, one VM, no migrations.  It needs the headers and no library; all
 * it calls is in the table it is given.  Built once as it is, and once in each broken way that a
 * test wants (-D).
 */

#include <imig/backend.h>
#include <stdlib.h>
#include <string.h>

static const imig_module_api *api;

static int
example_probe(const char *uri)
{
#ifdef TAKES_ALL
    (void) uri;
    return 1;
#else
    return strncmp(uri, "example:", 8) == 0 || strncmp(uri, "example+", 8) == 0;
#endif
}

static int
example_open(const char *uri, void **ret_state, imig_error **error)
{
    if (strstr(uri, "refuse"))
        return api->error_set(error, IMIG_ERR_BACKEND, 38, "the example refuses");
    api->log(api->log_data, IMIG_LOG_INFO, "the example opens");
    *ret_state = calloc(1, sizeof(double)); /* the clock */
    return *ret_state ? IMIG_OK : api->error_set(error, IMIG_ERR_BACKEND, 0, "no memory");
}

static void
example_close(void *state)
{
    free(state);
}

static double
example_clock(void *state)
{
    return *(double *) state;
}

static int
example_sample(void *state, imig_sample *into, imig_error **error)
{
    imig_host_info host = IMIG_HOST_INFO_INIT;
    imig_vm_info vm = IMIG_VM_INFO_INIT;
    imig_vm_counters counters = IMIG_VM_COUNTERS_INIT;
    int code;

    host.id = "example-host";
    host.cpu_cores = 4;
    host.memory_bytes = 8e9;
    code = api->sample_add_host(into, &host, error);
    if (code != IMIG_OK)
        return code;
    vm.id = "example-vm";
    vm.host = 0;
    vm.vcpus = 2;
    vm.memory_bytes = 1e9;
    counters.present = IMIG_COUNTER_HAS_CPU;
    counters.time_s = *(double *) state;
    counters.cpu_s = 0.5 * counters.time_s;
    return api->sample_add_vm(into, &vm, &counters, error);
}

static int
example_locate(void *state, const char *vm, imig_location *into, imig_error **error)
{
    (void) state;
    (void) error;
    if (strcmp(vm, "example-vm") == 0) {
        into->state = IMIG_VM_RUNNING;
        strcpy(into->host, "example-host");
    }
    return IMIG_OK;
}

static int
example_wait(void *state, double deadline_s, imig_error **error)
{
    (void) error;
    *(double *) state = deadline_s;
    return IMIG_OK;
}

static const imig_backend_ops ops = {
#ifdef OF_ANOTHER_AGE
    .size = 8,
#else
    .size = sizeof ops,
#endif
#ifdef TAKES_ALL
    .name = "takes-all",
#else
    .name = "example",
#endif
    .probe = example_probe,
    .open = example_open,
    .close = example_close,
    .clock = example_clock,
    .sample = example_sample,
    .locate = example_locate,
#ifndef INCOMPLETE
    .wait = example_wait,
#endif
};

#ifndef WITHOUT_ENTRY
/* A line out of the blue, as a thread of a module might log it; for the test. */
IMIG_EXPORT void imig_example_log(void);

void
imig_example_log(void)
{
    api->log(api->log_data, IMIG_LOG_INFO, "the example is still here");
}

IMIG_EXPORT int
imig_backend_entry(const imig_module_api *host, const imig_backend_ops **ret_ops,
                   imig_error **error);

int
imig_backend_entry(const imig_module_api *host, const imig_backend_ops **ret_ops,
                   imig_error **error)
{
    (void) ret_ops;
    (void) error;
#ifdef FAILS
    return host->error_set(error, IMIG_ERR_BACKEND, 0, "there is no example here");
#else
    api = host;
    *ret_ops = &ops;
    return IMIG_OK;
#endif
}
#endif
