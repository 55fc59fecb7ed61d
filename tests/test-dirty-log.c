/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim-fixture.h"

#include <imig/monitor.h>

/* Two seconds show half of its working set, one shows hardly more than a line. */
static imig_vm_info
half_seen_vm(const char *id)
{
    imig_vm_info vm = idle_vm(id, 0);

    vm.dirty_bytes_per_s = 2e7;
    vm.working_set_bytes = 64 * MIB;
    vm.present |= METRIC(DIRTY_BYTES_PER_S) | METRIC(WORKING_SET_BYTES);
    return vm;
}

static imig_vm_info
observed(const imig_cluster *cluster, const char *id)
{
    imig_vm_info vm = { .size = sizeof vm };

    assert_int_equal(imig_cluster_get_vm(cluster, imig_cluster_find_vm(cluster, id), &vm, NULL),
                     IMIG_OK);
    return vm;
}

/* Without a word about it every VM of a host is logged, and as long as there is time for. */
static void
logging_shares_the_time_there_is(void **state)
{
    imig_monitor_options o = IMIG_MONITOR_OPTIONS_INIT;
    lab l = lab_new();
    imig_cluster *cluster;

    (void) state;
    add_host(&l, plain_host("a", "qemu"));
    for (int i = 0; i < 4; i++) {
        char id[] = { 'v', (char) ('0' + i), 0 };

        add_vm(&l, half_seen_vm(id));
    }
    lab_open(&l, "");
    assert_int_equal(imig_observe(l.connection, 40, &o, &cluster, NULL), IMIG_OK);
    for (int i = 0; i < 4; i++) {
        char id[] = { 'v', (char) ('0' + i), 0 };

        assert_near(observed(cluster, id).working_set_bytes, 64 * MIB, 0.05, "working set");
    }
    imig_cluster_unref(cluster);
    lab_close(&l);
}

static void
watching_ends_on_request(void **state)
{
    imig_monitor_options o = IMIG_MONITOR_OPTIONS_INIT;
    imig_cancel *cancel = imig_cancel_new();
    lab l = lab_new();
    imig_cluster *cluster = NULL;
    imig_error *error = NULL;
    double began_s;

    (void) state;
    add_host(&l, plain_host("a", "qemu"));
    add_vm(&l, half_seen_vm("v"));
    lab_open(&l, "");
    began_s = imig_connection_clock(l.connection);
    o.cancel = cancel;
    imig_cancel_trigger(cancel);
    assert_int_equal(imig_observe(l.connection, 1e6, &o, &cluster, &error), IMIG_ERR_CANCELLED);
    assert_null(cluster);
    assert_true(imig_connection_clock(l.connection) <= began_s + 1);
    imig_error_free(error);
    /* No logging is left on: it can begin again. */
    o.cancel = NULL;
    assert_int_equal(imig_observe(l.connection, 20, &o, &cluster, NULL), IMIG_OK);
    assert_true(observed(cluster, "v").dirty_bytes_per_s > 0);
    imig_cluster_unref(cluster);
    imig_cancel_unref(cancel);
    lab_close(&l);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(logging_shares_the_time_there_is),
        cmocka_unit_test(watching_ends_on_request),
    };

    return cmocka_run_group_tests_name("dirty-log", tests, NULL, NULL);
}
