#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The built library has the ABI that is recorded: check-abi.sh LIBIMIG.SO
# A legal addition is accepted by tests/abi/renew.sh in the same commit.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
abidiff --drop-private-types --headers-dir2 "$here/../include" --harmless \
    "$here/abi/libimig-0.1.abi" "$1"
echo "as recorded in tests/abi/libimig-0.1.abi"
