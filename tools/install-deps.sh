#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Installs what is missing on Debian 12, for: build | test | bench | lab | xenlab | experiments
set -eu

build='meson ninja-build pkg-config gcc libc6-dev libglib2.0-dev libjansson-dev
       libsqlite3-dev libvirt-dev libxml2-dev libxen-dev'
# tests/lab/libvirt: hosts, guests, the kernel of the guests
lab="$build libvirt-daemon-system libvirt-clients qemu-system-x86 python3 python3-libvirt
     linux-image-cloud-amd64 kmod iproute2 mount util-linux gnutls-bin"
# tests/lab/xen: hosts, guests; the hypervisor and the kernels are downloaded, never installed
xenlab="$build qemu-system-x86 python3 busybox-static kmod lz4 libcmocka-dev"
# tests/lab/experiments: what they run in, and the pictures
experiments="$lab $xenlab gnuplot-nox"
test="$experiments clang libclang-rt-14-dev g++ binutils libcmocka-dev valgrind doxygen scdoc
      abigail-tools"
# tests/bench: the exact optimum, instruction counts, Ganeti's balancer
bench="$build python3 python3-scipy valgrind ganeti-htools"

case "${1-}" in
build) wanted=$build ;;
test) wanted=$test ;;
bench) wanted=$bench ;;
lab) wanted=$lab ;;
xenlab) wanted=$xenlab ;;
experiments) wanted=$experiments ;;
*) echo "usage: $0 build | test | bench | lab | xenlab | experiments" >&2; exit 2 ;;
esac

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    echo "Not a Debian machine; please see to it that these are there:" $wanted >&2
    exit 0
fi

missing=
for package in $wanted; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -eq 0 ]; then
    root=
elif command -v sudo >/dev/null; then
    root='sudo -n'
else
    echo "Missing:$missing (neither root nor sudo here, so install them by hand)" >&2
    exit 1
fi

echo "Installing:$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
run()
{
    if ! $root env DEBIAN_FRONTEND=noninteractive "$@" </dev/null >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        echo "Failed: $*" >&2
        exit 1
    fi
}
run apt-get -q update
run apt-get -q -y --no-install-recommends install $missing
