#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# usage: host-init.sh NAME DIR QEMU_DIR CGROUP_V1_CONTROLLERS
# Process 1 of a host, inside its own namespaces.  Gives libvirtd directories of its own, then
# only reaps what is orphaned.  Killing it is pulling the plug: the kernel takes everything else
# in the pid namespace with it, libvirtd and guests alike.
set -eu

name=$1 dir=$2 qemu=$3 controllers=$4

hostname "$name"
# This network namespace's devices: libvirt looks for bridges here.  All cgroups go, too: those
# of the machine are not ours, and libvirt would want to use each that is mounted.
umount --lazy /sys
mount -t sysfs sysfs /sys
for place in run/libvirt var/lib/libvirt etc/libvirt var/log/libvirt var/cache/libvirt; do
    mkdir -p "/$place"
    mount --bind "$dir/$place" "/$place"
done
mount --bind "$dir/etc/hosts" /etc/hosts
if [ -n "$qemu" ]; then
    mount --bind "$qemu/usr/bin/qemu-system-x86_64" /usr/bin/qemu-system-x86_64
    for place in usr/share/qemu usr/share/seabios usr/lib/x86_64-linux-gnu/qemu; do
        [ ! -d "/$place" ] || [ ! -d "$qemu/$place" ] || mount --bind "$qemu/$place" "/$place"
    done
fi
# A systemd outside would register the guests of all hosts as its own machines.
[ ! -d /run/dbus ] || mount -t tmpfs nothing /run/dbus
# The cgroup namespace makes the host's own group look like the root, so that the groups which
# two libvirtd make for guests of one name do not meet.
if [ -n "$controllers" ]; then
    mount -t tmpfs -o mode=755 cgroups /sys/fs/cgroup
    for controller in $controllers; do
        mkdir "/sys/fs/cgroup/$controller"
        mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller"
    done
fi
touch "$dir/mounted"
trap : CHLD
while :; do
    sleep 3600 &
    wait $! || true
done
