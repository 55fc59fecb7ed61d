#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The built library has the ABI that is recorded: check-abi.sh LIBIMIG.SO
# A legal addition is accepted by tests/abi/renew.sh in the same commit.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
now=$(mktemp -d)
trap 'rm -rf "$now"' EXIT

"$here/abi/renew.sh" "$1" "$now"
abidiff --harmless "$here/abi/libimig-0.1.abi" "$now/libimig-0.1.abi"
diff -u "$here/abi/constants-0.1.txt" "$now/constants-0.1.txt"
echo "as recorded in tests/abi"
