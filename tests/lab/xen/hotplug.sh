#!/bin/busybox sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# In place of Xen's own hotplug scripts "block" and "vif-bridge", which need far more than busybox:
# connects a disk on a block device, or the end of a network card, which nothing is behind.
# xl runs it with XENBUS_PATH, the backend's directory in xenstore, and for cards vif in its
# environment.
export PATH=/bin:/usr/bin
case "$(basename "$0") $1" in
"block add")
    device=$(xenstore-read "$XENBUS_PATH/params")
    xenstore-write "$XENBUS_PATH/physical-device" "$(stat -L -c %t:%T "$device")" \
        "$XENBUS_PATH/physical-device-path" "$device"
    ;;
"vif-bridge online")
    echo 1 >"/proc/sys/net/ipv6/conf/$vif/disable_ipv6" # it would talk by itself
    ip link set "$vif" up
    ;;
*)
    exit 0
    ;;
esac
xenstore-write "$XENBUS_PATH/hotplug-status" connected
