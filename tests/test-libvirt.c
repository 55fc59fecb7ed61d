/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The module for libvirt on libvirt's own mock, "test:///default": what needs no hypervisor.  All
 * else is tested on real ones, see tests/lab/libvirt.
 */

#include "backend/connect-priv.h"

#include <imig/connect.h>
#include <imig/monitor.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static const char nobody[] = "qemu+unix:///system?socket=/nonexistent/socket";

static imig_context *
context_with_modules(uint64_t process)
{
    imig_context *context = imig_context_new();

    imig_context_set_module_directory(context, g_getenv("IMIG_TEST_BACKENDS"), NULL);
    assert_int_equal(imig_context_set_process(context, process, NULL), IMIG_OK);
    return context;
}

static imig_connection *
connect_to(const char *uri)
{
    imig_context *context = context_with_modules(0);
    imig_connection *connection = NULL;
    imig_error *error = NULL;

    if (imig_connect(context, &uri, 1, &connection, &error) != IMIG_OK)
        fail_msg("%s", imig_error_message(error));
    imig_context_unref(context);
    return connection;
}

static void
the_mock_s_vm_is_seen(void **state)
{
    imig_connection *connection = connect_to("test:///default");
    imig_monitor_options options = IMIG_MONITOR_OPTIONS_INIT;
    imig_cluster *cluster = NULL;
    imig_host_info host = IMIG_HOST_INFO_INIT;
    imig_vm_info vm = IMIG_VM_INFO_INIT;

    (void) state;
    options.set = IMIG_MONITOR_HAS_INTERVAL;
    options.interval_s = 0.2;
    assert_int_equal(imig_observe(connection, 0.5, &options, &cluster, NULL), IMIG_OK);
    assert_int_equal(imig_cluster_host_count(cluster), 1);
    assert_int_equal(imig_cluster_vm_count(cluster), 1);
    imig_cluster_get_host(cluster, 0, &host, NULL);
    assert_string_equal(host.hypervisor, "test");
    assert_true(host.cpu_cores == 16);
    imig_cluster_get_vm(cluster, 0, &vm, NULL);
    assert_string_equal(vm.name, "test");
    assert_int_equal(vm.vcpus, 2);
    assert_null(vm.blocked);
    imig_cluster_unref(cluster);
    imig_connection_unref(connection);
}

static void
a_vm_is_found_by_its_uuid_alone(void **state)
{
    static const struct {
        const char *vm;
        int32_t want;
    } rows[] = {
        { "6695eb01-f6a4-8304-79aa-97f2502e193f", IMIG_VM_RUNNING },
        { "6695eb01-f6a4-8304-79aa-97f2502e1930", IMIG_VM_ABSENT },
        { "test", IMIG_VM_ABSENT },
    };
    imig_connection *connection = connect_to("test:///default");

    (void) state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        imig_location at = { .size = sizeof at };

        assert_int_equal(imig_connection_locate(connection, rows[i].vm, &at, NULL), IMIG_OK);
        assert_int_equal(at.state, rows[i].want);
    }
    imig_connection_unref(connection);
}

/* What the driver cannot do is the hypervisor's limit, not a failure. */
static void
what_the_driver_cannot_do_is_unsupported(void **state)
{
    imig_connection *connection = connect_to("test:///default");
    imig_error *error = NULL;
    imig_sample *sample;

    (void) state;
    assert_int_equal(imig__connection_sample(connection, &sample, NULL), IMIG_OK);
    assert_int_equal(imig__connection_dirty_start(connection, sample->cluster->hosts[0].id,
                                                  sample->cluster->vms[0].id, &error),
                     IMIG_ERR_UNSUPPORTED);
    assert_int_equal(imig_error_backend_code(error), VIR_ERR_NO_SUPPORT);
    imig_error_free(error);
    imig__sample_free(sample);
    imig_connection_unref(connection);
}

static void
who_does_not_answer_is_said_with_libvirt_s_words(void **state)
{
    imig_context *context = context_with_modules(IMIG_PROCESS_QUIET);
    const char *uri = nobody;
    imig_connection *connection = NULL;
    imig_error *error = NULL;

    (void) state;
    assert_int_equal(imig_connect(context, &uri, 1, &connection, &error), IMIG_ERR_BACKEND);
    assert_int_equal(imig_error_backend_code(error), VIR_ERR_SYSTEM_ERROR);
    assert_non_null(strstr(imig_error_message(error), nobody));
    assert_non_null(strstr(imig_error_message(error), "No such file or directory"));
    imig_error_free(error);
    imig_context_unref(context);
}

static void
count_error(void *user_data, virErrorPtr error)
{
    (void) error;
    g_atomic_int_inc((gint *) user_data);
}

static void
a_program_s_own_error_handler_stays(void **state)
{
    imig_context *context;
    const char *uri = nobody;
    imig_connection *connection = NULL;
    gint heard = 0;

    (void) state;
    virSetErrorFunc(&heard, count_error);
    context = context_with_modules(0);
    assert_int_equal(imig_connect(context, &uri, 1, &connection, NULL), IMIG_ERR_BACKEND);
    assert_true(g_atomic_int_get(&heard) > 0);
    heard = 0;
    assert_null(virConnectOpen("no-such-driver:///"));
    assert_true(g_atomic_int_get(&heard) > 0);
    virSetErrorFunc(NULL, NULL);
    imig_context_unref(context);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_s_own_error_handler_stays),
        cmocka_unit_test(the_mock_s_vm_is_seen),
        cmocka_unit_test(a_vm_is_found_by_its_uuid_alone),
        cmocka_unit_test(what_the_driver_cannot_do_is_unsupported),
        cmocka_unit_test(who_does_not_answer_is_said_with_libvirt_s_words),
    };

    return cmocka_run_group_tests_name("libvirt", tests, NULL, NULL);
}
