#!/bin/busybox sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Process 1 of a Xen host's domain 0.  The kernel hands NAME and LINK_IP to us in the environment.
/bin/busybox --install -s /bin
export PATH=/usr/local/bin:/usr/lib/xen-4.17/bin:/bin:/sbin:/usr/bin:/usr/sbin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mkdir -p /run/lock /run/xen /run/xenstored
while read -r module; do
    insmod "/modules/$module" || echo "lab: no $module"
done </modules/order
mount -t xenfs xenfs /proc/xen

hostname "$NAME"
ip link set lo up
# The way in from outside, then the link between the hosts; the second takes large packets.
for device in /sys/class/net/*; do
    device=${device##*/}
    case $(cat "/sys/class/net/$device/address") in
    52:54:00:7a:00:*) ip addr add 10.0.2.15/24 dev "$device"; ip link set "$device" up ;;
    52:54:00:7a:01:*)
        ip addr add "$LINK_IP/24" dev "$device"
        ip link set "$device" mtu "$(cat /etc/link-mtu)" up
        ;;
    esac
done

xenstored --pid-file /run/xenstored.pid
until xenstore-read / >/dev/null 2>&1; do sleep 0.1; done
xen-init-dom0
# As administrators do: guests that compute shall not keep domain 0 from its work.
xl sched-credit2 -d 0 -w 4096
xenconsoled --pid-file=/run/xenconsoled.pid --log=guest --log-dir=/var/log/xen/console
echo "lab: $NAME is ready"
remote serve 7000
echo "lab: the command channel ended"
poweroff -f
