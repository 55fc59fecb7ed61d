#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# usage: get-qemu.sh DIR
# Unpacks the QEMU of bookworm-backports into DIR without installing it, for Debian 12's own, 7.2,
# dies when asked for a dirty rate by bitmap, and guests that it emulates do not survive their
# migrations.  Packages come through apt, from the mirror it knows.
set -eu
umask 022

into=$1
mirror=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' \
    'Created-By: Packages' | awk '$1 == "bookworm" && $2 == "main" { print $3; exit }')
[ -n "$mirror" ] || { echo "apt knows no mirror of Debian 12" >&2; exit 1; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch/lists/partial" "$scratch/cache/archives/partial" "$scratch/root"
echo "deb $mirror bookworm main
deb $mirror bookworm-backports main" >"$scratch/sources.list"

apt()
{
    timeout 120 apt-get -q -o Dir::Etc::sourcelist="$scratch/sources.list" \
        -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists="$scratch/lists" \
        -o Dir::Cache="$scratch/cache" -o APT::Sandbox::User=root "$@" >"$scratch/log" 2>&1 ||
        { tail -n 3 "$scratch/log" >&2; exit 1; }
}
cd "$scratch/cache/archives"
apt update
apt -t bookworm-backports download qemu-system-x86 qemu-system-common qemu-system-data seabios
for package in ./*.deb; do
    dpkg-deb -x "$package" "$scratch/root"
done
"$scratch/root/usr/bin/qemu-system-x86_64" --version >"$scratch/root/version"

# Whole or not at all, also when two labs do this at once.
mkdir -p "${into%/*}"
[ -d "$into" ] || mv -T "$scratch/root" "$into"
