#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Programs outside the tree against the installed library, as a stranger would build them:
# check-outside.sh TOP WORK     (installed into WORK/prefix)
set -eu

top=$1 work=$2
out=$work/outside
export PKG_CONFIG_PATH=$work/prefix/lib/pkgconfig LD_LIBRARY_PATH=$work/prefix/lib
mkdir -p "$out"

flags=$(pkg-config --cflags libimig)
libs=$(pkg-config --libs libimig)
echo "cflags: $flags, libs: $libs"
case "$flags $libs" in
*glib* | *jansson* | *sqlite*)
    echo "those who link libimig need not know what it is made of" >&2
    exit 1 ;;
esac

g++ -std=c++11 -Wall -Wextra -Werror $flags -o "$out/headers" "$top/tests/headers.cc" $libs
"$out/headers"
gcc -std=c99 -pedantic -Wall -Wextra -Werror $flags -o "$out/readme" \
    -x c <("$top/tests/readme.py" "$top/README.md" c) -x none $libs
"$out/readme" "$top/tools/demo-cluster.json"

# The binding finds the installed library by itself.
"$top/tests/readme.py" "$top/README.md" python >"$out/readme.py"
PYTHONPATH=$top/tools/python PYTHONDONTWRITEBYTECODE=1 python3 "$out/readme.py" \
    "$top/tools/demo-cluster.json"
