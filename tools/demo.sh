#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# From a fresh clone to a balanced cluster: installs what is missing, builds, shows the demo cluster
# before, its plan and execution in the simulator, and after.  Everything stays in build-demo/.
set -eu
unset CFLAGS LDFLAGS

top=$(cd "$(dirname "$0")/.." && pwd)
build=$top/build-demo
log=$build/demo.log
imig=$build/tools/imig
state=$build/demo-state.json

say()
{
    printf '\n\033[1m%s\033[0m\n' "$*"
}
[ -t 1 ] || say()
{
    printf '\n%s\n' "$*"
}

# Shows the command as one would type it in the clone, then runs it.
show()
{
    printf '$ imig'
    for word; do
        case $word in
        *[\?\*\&]*) word="'$word'" ;;
        esac
        printf ' %s' "$word" | sed "s|$top/||g"
    done
    echo
    "$imig" "$@"
}

"$top/tools/install-deps.sh" build
mkdir -p "$build"
echo "Building in ${build#"$top"/} ..."
if ! { { [ -f "$build/build.ninja" ] || CC=gcc meson setup --buildtype release -Dtests=false \
            -Ddocs=disabled "$build" "$top"; } && ninja -C "$build"; } >"$log" 2>&1 </dev/null
then
    tail -n 30 "$log" >&2
    exit 1
fi

rm -f "$state"
uri="sim:$top/tools/demo-cluster.json?state=$state"

say "A cluster out of balance: some hosts have more work than cores, others idle."
show status "$top/tools/demo-cluster.json"

say "Watch it, plan, migrate in the simulator, and watch again: who goes, where to, when, and why."
show balance -c "$uri" --yes

say "Again: nothing is worth doing, so nothing moves."
show balance -c "$uri" --yes

say "Next:"
cat <<END
  build-demo/tools/imig simulate --compare tools/demo-cluster.json   # every policy
  build-demo/tools/imig plan --explain tools/demo-cluster.json       # why the other VMs stay
  build-demo/tools/imig predict --memory 4GiB --dirty-rate 20MB/s --working-set 300MB \\
      --bandwidth 1Gbit/s                                            # what one migration costs
  tests/run.sh                                                       # every test
END
