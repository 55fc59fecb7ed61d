#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Writes the ABI description anew from a built library; a change of it is a line in NEWS.md.
# usage: renew.sh LIBIMIG.SO     (built by gcc with debug information, as tests/run.sh does)
set -eu

here=$(cd "$(dirname "$0")" && pwd)
abidw --no-comp-dir-path --no-corpus-path --no-show-locs --drop-private-types \
    --headers-dir "$here/../../include" --out-file "$here/libimig-0.1.abi" "$1"
