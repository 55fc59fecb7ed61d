#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Describes the ABI anew: what the library exports (libimig-0.1.abi), and the constants of the
# headers, of which debug information says nothing (constants-0.1.txt).  A change of either is a
# line in NEWS.md.
# usage: renew.sh LIBIMIG.SO [DIRECTORY]    the library is built with debug information
set -eu
export LC_ALL=C

here=$(cd "$(dirname "$0")" && pwd)
headers=$here/../../include
to=${2-$here}

abidw --exported-interfaces-only --drop-private-types --headers-dir "$headers" \
    --type-id-style hash --no-comp-dir-path --no-corpus-path --no-show-locs \
    --out-file "$to/libimig-0.1.abi" "$1"

# A program that prints NAME VALUE for every enumerator and every bit.
program=$(mktemp)
trap 'rm -f "$program"' EXIT
{
    echo '#include <imig/imig.h>'
    echo '#include <inttypes.h>'
    echo '#include <stdio.h>'
    echo 'int main(void) {'
    sed -n -e 's/^ *\(IMIG_[A-Z0-9_]*\) = .*/\1/p' \
        -e 's/^#define \(IMIG_[A-Z_]*\) *(UINT64_C(1) << .*/\1/p' \
        -e 's/^#define \(IMIG_NO_[A-Z_]*\) .*/\1/p' "$headers"/imig/*.h | sort |
        sed 's/.*/    printf("& %" PRId64 "\\n", (int64_t) &);/'
    echo '    return 0; }'
} | ${CC-cc} -x c -I"$headers" -o "$program" -
"$program" >"$to/constants-0.1.txt"
