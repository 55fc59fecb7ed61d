/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Devices of guests, as the module for Xen sees them in sysfs and understands what their backends
 * say.  Real ones are in tests/lab/xen.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "xen-fixture.h"

/* ---- counters ---- */

static void
counters_are_the_backends_own(void **state)
{
    const fake *f = *state;
    imig_vm_counters c = IMIG_VM_COUNTERS_INIT;
    static const char vbd[] = "sys/bus/xen-backend/devices/vbd-7-51712/statistics/";
    static const char vif[] = "sys/class/net/vif7.0/statistics/";
    static const struct { const char *directory, *name, *text; } files[] = {
        { vbd, "rd_req", "10\n" }, { vbd, "wr_req", "5\n" }, { vbd, "rd_sect", "80\n" },
        { vbd, "wr_sect", "16\n" }, { vif, "rx_bytes", "1000\n" }, { vif, "tx_bytes", "3000\n" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        char *path = g_strconcat(files[i].directory, files[i].name, NULL);

        put(f, path, files[i].text, -1);
        g_free(path);
    }
    assert_true(xe_count_block(f->places.sys, 7, "51712", &c));
    assert_true(xe_count_net(f->places.sys, "vif7.0", &c));
    assert_true(c.disk_ops == 15 && c.disk_read_bytes == 40960 && c.disk_write_bytes == 8192);
    assert_true(c.net_tx_bytes == 1000 && c.net_rx_bytes == 3000); /* the guest's view */
    assert_false(xe_count_block(f->places.sys, 7, "51728", &c));
    assert_false(xe_count_net(f->places.sys, "../net/vif7.0", &c));
    put(f, "sys/class/net/eth0/operstate", "up\n", -1);
    put(f, "sys/class/net/eth0/speed", "1000\n", -1);
    assert_true(xe_net_speed(f->places.sys) == 0); /* no device behind it */
    put(f, "sys/class/net/eth0/device/vendor", "1\n", -1);
    assert_true(xe_net_speed(f->places.sys) == 125e6);
    put(f, "sys/class/net/card/operstate", "up\n", -1); /* a guest's, by a name of its own */
    put(f, "sys/class/net/card/speed", "10000\n", -1);
    put(f, "sys/class/net/card/device/nodename", "backend/vif/7/1\n", -1);
    assert_true(xe_net_speed(f->places.sys) == 125e6);
    put(f, "proc/9/io", "rchar: 1\nwchar: 4096\nsyscr: 1\n", -1);
    assert_true(xe_written_bytes(f->places.proc, 9) == 4096);
    assert_true(xe_written_bytes(f->places.proc, 10) < 0);
}

/* ---- disks ---- */

static void
a_local_disk_is_not_called_shared(void **state)
{
    const fake *f = *state;
    char *path = g_build_filename(f->top, "disk.img", NULL);

    put(f, "disk.img", "", 0);
    assert_false(xe_disk_is_shared(f->places.sys, path, NULL));
    assert_false(xe_disk_is_shared(f->places.sys, "iqn=a,portal=b", path));
    assert_false(xe_disk_is_shared(f->places.sys, "iqn=a,portal=b", NULL));
    assert_false(xe_disk_is_shared(f->places.sys, "/nonexistent", path));
    assert_false(xe_disk_is_shared(f->places.sys, "", NULL));
    assert_false(xe_disk_is_shared(f->places.sys, NULL, NULL));
    g_free(path);
}

static const struct server_case {
    const char *backend;
    int server;
    const char *params, *path;
} server_cases[] = {
    { "/local/domain/0/backend/vbd/7/51712", XE_SERVER_KERNEL, "/dev/vg/a:b", "/dev/vg/a:b" },
    { "/local/domain/0/backend/vif/7/0", XE_SERVER_KERNEL, NULL, NULL },
    { "/local/domain/0/backend/qdisk/7/51712", XE_SERVER_PROCESS, "aio:/nfs/a:b", "/nfs/a:b" },
    { "/local/domain/0/backend/qdisk/7/5632", XE_SERVER_PROCESS, "aio:", "" },
    { "/local/domain/0/backend/vbd3/7/51712", XE_SERVER_ELSEWHERE, "a:b", "a:b" },
    { "/local/domain/5/backend/vbd/7/51712", XE_SERVER_ELSEWHERE, "/dev/drbd0", "/dev/drbd0" },
    { "/local/domain/05/backend/vbd/7/51712", XE_SERVER_ELSEWHERE, "", "" },
    { NULL, XE_SERVER_ELSEWHERE, NULL, NULL },
};

static void
a_backend_s_place_tells_who_serves(void **state)
{
    (void) state;
    for (size_t i = 0; i < G_N_ELEMENTS(server_cases); i++) {
        const struct server_case *c = &server_cases[i];

        assert_int_equal(xe_server_of(c->backend), c->server);
        if (g_strcmp0(xe_disk_path(xe_server_of(c->backend), c->params), c->path) != 0)
            fail_msg("%s", c->params);
    }
}

static void
the_kernel_counts_in_512_bytes(void **state)
{
    (void) state;
    assert_true(xe_disk_bytes(XE_SERVER_KERNEL, 16384, 512) == 8388608);
    assert_true(xe_disk_bytes(XE_SERVER_KERNEL, 16384, 4096) == 8388608);
    assert_true(xe_disk_bytes(XE_SERVER_PROCESS, 2048, 4096) == 8388608);
    assert_true(xe_disk_bytes(XE_SERVER_PROCESS, 16384, 0) == 8388608);
    assert_true(xe_disk_bytes(XE_SERVER_ELSEWHERE, 0, 0) == 0);
}

#define WWID "3600140593e8fcf2a1b4b0f4b8d0e6c1a"

static const struct device_case {
    const char *name, *path;
    gboolean shared;
} device_cases[] = {
    { "drbd0", "/dev/drbd0", TRUE },
    { "drbd0", "drbd-resource", TRUE },
    { "rbd0", "/dev/rbd/pool/disk", TRUE },
    { "rbd0", "/dev/rbd0", FALSE },     /* the first that was mapped here */
    { "sda", "/dev/disk/by-id/ata-1", FALSE },
    { "sdb", "/dev/disk/by-path/ip-10.0.0.9:3260-iscsi-iqn.2020-01.a:b-lun-0", TRUE },
    { "sdb", "iqn=iqn.2020-01.a:b,portal=10.0.0.9", TRUE },
    { "sdb", "/dev/sdb", FALSE },       /* the second that was found here */
    { "sdb", "/srv/disk", FALSE },      /* somebody's link, or node */
    { "sdc", "/dev/disk/by-id/wwn-0x1", TRUE },
    { "dm-0", "/dev/mapper/" WWID, TRUE },
    { "dm-0", "/dev/disk/by-id/dm-uuid-mpath-" WWID, TRUE },
    { "dm-0", "/dev/mapper/mpatha", FALSE },
    { "dm-0", "/dev/dm-0", FALSE },
    { "dm-1", "/dev/mapper/3500a", FALSE },     /* one of its ways is local */
    { "dm-2", "/dev/vg/disk", FALSE },
    { "loop0", "/dev/loop0", FALSE },
};

static void
link_to(const fake *f, const char *directory, const char *name)
{
    char *class = g_build_filename(f->top, "sys", "class", "block", NULL);
    char *from = g_build_filename(class, name, NULL);
    char *to = g_build_filename(f->top, "sys", "devices", directory, name, NULL);

    assert_int_equal(g_mkdir_with_parents(class, 0700) | g_mkdir_with_parents(to, 0700), 0);
    assert_int_equal(symlink(to, from), 0);
    g_free(to);
    g_free(from);
    g_free(class);
}

static void
a_shared_disk_has_a_network_behind_it_and_a_name_that_lasts(void **state)
{
    const fake *f = *state;

    link_to(f, "pci0000:00/ata1/host0/target0:0:0/0:0:0:0/block", "sda");
    link_to(f, "platform/host3/session1/target3:0:0/3:0:0:0/block", "sdb");
    link_to(f, "pci0000:00/host4/rport-4:0-1/target4:0:0/4:0:0:0/block", "sdc");
    for (int i = 0; i < 3; i++) {
        char *name = g_strdup_printf("dm-%d", i);

        link_to(f, "virtual/block", name);
        g_free(name);
    }
    put(f, "sys/class/block/dm-0/dm/uuid", "mpath-" WWID "\n", -1);
    put(f, "sys/class/block/dm-0/slaves/sdb/size", "1\n", -1);
    put(f, "sys/class/block/dm-0/slaves/sdc/size", "1\n", -1);
    put(f, "sys/class/block/dm-1/dm/uuid", "mpath-3500a\n", -1);
    put(f, "sys/class/block/dm-1/slaves/sdb/size", "1\n", -1);
    put(f, "sys/class/block/dm-1/slaves/sda/size", "1\n", -1);
    put(f, "sys/class/block/dm-2/dm/uuid", "LVM-abc\n", -1);
    put(f, "sys/class/block/dm-2/slaves/sdb/size", "1\n", -1);
    for (size_t i = 0; i < G_N_ELEMENTS(device_cases); i++) {
        const struct device_case *c = &device_cases[i];

        if (xe_device_is_shared(f->places.sys, c->name, c->path) != c->shared)
            fail_msg("%s by %s", c->name, c->path);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILES(counters_are_the_backends_own),
        WITH_FILES(a_local_disk_is_not_called_shared),
        cmocka_unit_test(a_backend_s_place_tells_who_serves),
        cmocka_unit_test(the_kernel_counts_in_512_bytes),
        WITH_FILES(a_shared_disk_has_a_network_behind_it_and_a_name_that_lasts),
    };

    return cmocka_run_group_tests_name("xen-device", tests, NULL, NULL);
}
