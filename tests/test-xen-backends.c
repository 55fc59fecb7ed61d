/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Which devices of a guest are counted, and which disks keep it where it is: by what xenstore says
 * of their backends.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fake-xen.h"

/* What the toolstack has listed, and what is written of its backend. */
#define LISTED(kind, device, domain, server) \
    "/libxl/7/device/" kind "/" device "/backend", \
    "/local/domain/" domain "/backend/" server "/7/" device
#define SAID(domain, server, device, node, value) \
    "/local/domain/" domain "/backend/" server "/7/" device "/" node, value

/* A writable disk of 8 MiB on a local device, the first one. */
#define DISK LISTED("vbd", "51712", "0", "vbd"), SAID("0", "vbd", "51712", "mode", "w"), \
    SAID("0", "vbd", "51712", "params", "/dev/null"), \
    SAID("0", "vbd", "51712", "sectors", "16384"), \
    SAID("0", "vbd", "51712", "sector-size", "4096")
#define CARD LISTED("vif", "0", "0", "vif")

enum { NOTHING = 0, DISKS = 1, CARDS = 2, BOTH = 3 };

static const struct device_case {
    const char *name, *type;
    int counted;
    double operations, bytes_sent;
    size_t disks;       /* that are written to */
    double bytes;       /* of the first one */
    const char *own;    /* what keeps it */
    const char *store[24];
} cases[] = {
    { "no devices", "pvh", BOTH, 0, 0, 0, 0, NULL, { NULL } },
    { "a disk and a card", "pvh", BOTH, 15, 1000, 1, 8388608, "/dev/null", { DISK, CARD } },
    { "two disks", "pvh", BOTH, 22, 0, 2, 8388608, "/dev/null",
      { DISK, LISTED("vbd", "51728", "0", "vbd"), SAID("0", "vbd", "51728", "mode", "w") } },
    { "one that is not written to", "pvh", BOTH, 7, 0, 0, 0, NULL,
      { LISTED("vbd", "51728", "0", "vbd"), SAID("0", "vbd", "51728", "mode", "r") } },
    { "a second disk, of a process", "pvh", CARDS, 0, 0, 2, 8388608, "/dev/null",
      { DISK, LISTED("vbd", "51744", "0", "qdisk"), SAID("0", "qdisk", "51744", "mode", "w") } },
    { "sectors of a process", "pvh", CARDS, 0, 0, 1, 8388608, "/dev/zero",
      { LISTED("vbd", "51744", "0", "qdisk"), SAID("0", "qdisk", "51744", "mode", "w"),
        SAID("0", "qdisk", "51744", "params", "aio:/dev/zero"),
        SAID("0", "qdisk", "51744", "sectors", "2048"),
        SAID("0", "qdisk", "51744", "sector-size", "4096") } },
    { "a CD drive, of a process", "hvm", BOTH, 15, 0, 1, 8388608, "/dev/null",
      { DISK, SAID("0", "vbd", "51712", "state", "4"), LISTED("vbd", "5632", "0", "qdisk"),
        SAID("0", "qdisk", "5632", "mode", "r"), SAID("0", "qdisk", "5632", "params", "aio:"),
        SAID("0", "qdisk", "5632", "device-type", "cdrom") } },
    { "what an HVM guest has not connected to", "hvm", NOTHING, 0, 0, 1, 8388608, "/dev/null",
      { DISK, SAID("0", "vbd", "51712", "state", "2"), CARD } },
    { "what a PVH guest has not connected to", "pvh", BOTH, 15, 0, 1, 8388608, "/dev/null",
      { DISK, SAID("0", "vbd", "51712", "state", "2") } },
    { "a disk of another domain", "pvh", CARDS, 0, 0, 1, 0, "/dev/drbd0",
      { LISTED("vbd", "51712", "5", "vbd"), SAID("5", "vbd", "51712", "mode", "w"),
        SAID("5", "vbd", "51712", "params", "/dev/drbd0") } },
    { "a card of another domain", "pvh", DISKS, 15, 0, 1, 8388608, "/dev/null",
      { DISK, LISTED("vif", "0", "5", "vif") } },
    { "a virtio disk", "pvh", CARDS, 0, 0, 1, 0, "51712",
      { LISTED("virtio_disk", "51712", "0", "virtio_disk") } },
    { "a disk that is not counted yet", "pvh", CARDS, 0, 0, 1, 0, "51760",
      { LISTED("vbd", "51760", "0", "vbd") } },
    { "a card with a name of its own", "pvh", BOTH, 0, 500, 0, 0, NULL,
      { CARD, SAID("0", "vif", "0", "vifname", "web0") } },
    { "one that xl has not made", NULL, NOTHING, 0, 0, 0, 0, NULL, { NULL } },
};

static void
put_counters(void)
{
    static const struct { const char *device, *of, *text; } files[] = {
        { "bus/xen-backend/devices/vbd-7-51712", "rd_req", "10" },
        { "bus/xen-backend/devices/vbd-7-51712", "wr_req", "5" },
        { "bus/xen-backend/devices/vbd-7-51728", "rd_req", "4" },
        { "bus/xen-backend/devices/vbd-7-51728", "wr_req", "3" },
        { "class/net/vif7.0", "rx_bytes", "1000" }, { "class/net/vif7.0", "tx_bytes", "1" },
        { "class/net/web0", "rx_bytes", "500" }, { "class/net/web0", "tx_bytes", "1" },
        { "bus/xen-backend/devices/vbd-7-51712", "rd_sect", "80" },
        { "bus/xen-backend/devices/vbd-7-51712", "wr_sect", "16" },
        { "bus/xen-backend/devices/vbd-7-51728", "rd_sect", "0" },
        { "bus/xen-backend/devices/vbd-7-51728", "wr_sect", "0" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        char *path = g_strdup_printf("sys/%s/statistics/%s", files[i].device, files[i].of);

        put(xen.files, path, files[i].text, -1);
        g_free(path);
    }
}

static void
devices_are_what_their_backends_are(void **state)
{
    enum { DISK_BITS = IMIG_COUNTER_HAS_DISK_OPS | IMIG_COUNTER_HAS_DISK_READ
                       | IMIG_COUNTER_HAS_DISK_WRITE,
           NET_BITS = IMIG_COUNTER_HAS_NET_RX | IMIG_COUNTER_HAS_NET_TX };
    const xe_handle handle = { NULL, NULL };

    (void) state;
    put_counters();
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const struct device_case *c = &cases[i];
        imig_vm_counters counted = IMIG_VM_COUNTERS_INIT;
        GArray *disks;
        char *own;

        xen.type = c->type;
        xen.more = c->store;
        xe_devices_count(&handle, xen.files->places.sys, DOMID, &counted);
        disks = xe_disks_read(&handle, xen.files->places.sys, DOMID);
        own = xe_domain_own_disk(&handle, xen.files->places.sys, DOMID);
        if (counted.present != ((c->counted & DISKS ? DISK_BITS : 0u)
                                | (c->counted & CARDS ? NET_BITS : 0u)))
            fail_msg("%s: counts %#" PRIx64, c->name, counted.present);
        if ((c->counted & DISKS && counted.disk_ops != c->operations)
            || (c->counted & CARDS && counted.net_tx_bytes != c->bytes_sent))
            fail_msg("%s: %g operations, %g bytes", c->name, counted.disk_ops,
                     counted.net_tx_bytes);
        if (disks->len != c->disks
            || (disks->len > 0 && g_array_index(disks, xe_disk, 0).bytes != c->bytes))
            fail_msg("%s: %u disks", c->name, disks->len);
        if (g_strcmp0(own, c->own) != 0)
            fail_msg("%s: %s keeps it", c->name, own ? own : "nothing");
        g_free(own);
        g_array_unref(disks);
    }
}

static void
who_is_not_of_xl_is_not_moved(void **state)
{
    const xe_handle handle = { NULL, NULL };
    const xe_limits limits = { FALSE };
    xe_domain domain = { .info = xen.info };

    (void) state;
    assert_null(xe_domain_blocked(&handle, &limits, &domain));
    xen.type = NULL;
    assert_string_equal(xe_domain_blocked(&handle, &limits, &domain), "unknown-to-xl");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_XEN(devices_are_what_their_backends_are),
        WITH_XEN(who_is_not_of_xl_is_not_moved),
    };

    return cmocka_run_group_tests_name("xen-backends", tests, NULL, NULL);
}
