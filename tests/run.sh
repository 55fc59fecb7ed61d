#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Installs what is missing, builds with gcc and clang, runs every test and check.
# The last line is `N passed, N failed, N skipped`; the exit status is 0 where nothing failed.
set -u
export LC_ALL=C.UTF-8
unset CC CXX CFLAGS CXXFLAGS LDFLAGS PKG_CONFIG_PATH LD_LIBRARY_PATH

top=$(cd "$(dirname "$0")/.." && pwd)
work=$top/build-test
logs=$work/logs
export XDG_STATE_HOME=$work/state  # nobody's own history is written, nor his constants used
passed=0 failed=0 skipped=0
mkdir -p "$logs"

# check NAME COMMAND...: status 0 is passed, 77 skipped (the last line says why), else failed.
check()
{
    local name=$1 log=$logs/$1.log began=$SECONDS status
    shift
    (cd "$top" && "$@") </dev/null >"$log" 2>&1
    status=$?
    case $status in
    0) passed=$((passed + 1)); echo "ok    $name: $(tail -n 1 "$log") [$((SECONDS - began)) s]" ;;
    77) skipped=$((skipped + 1)); echo "skip  $name: $(tail -n 1 "$log")" ;;
    *)
        failed=$((failed + 1))
        echo "FAIL  $name (status $status), the end of ${log#"$top"/}:"
        tail -n 40 "$log" | sed 's/^/      /'
        ;;
    esac
    return $status
}

# count NAME RESULT: adds the sums of tests/count-tap.py and shows what failed.
count()
{
    local name=$1 began=$2 result=$3 word='ok   '
    set -- $(tail -n 1 <<<"$result")
    if [ $# -ne 3 ] || [ "$1$2$3" = 000 ]; then
        failed=$((failed + 1))
        echo "FAIL  $name did not run, the end of build-test/logs/$name.log:"
        tail -n 40 "$logs/$name.log" | sed 's/^/      /'
        return 1
    fi
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
    [ "$2" -eq 0 ] || word='FAIL '
    echo "$word $name: $1 passed, $2 failed, $3 skipped [$((SECONDS - began)) s]"
    [ "$2" -eq 0 ] || head -n -1 <<<"$result" | sed 's/^/      /'
    [ "$2" -eq 0 ]
}

# suite NAME BUILD ARGUMENT...: meson tests, counted one by one.
suite()
{
    local name=$1 build=$work/$2 began=$SECONDS
    shift 2
    rm -f "$build/meson-logs/$name.json"
    meson test -C "$build" --no-rebuild --logbase "${name%-valgrind}" "$@" \
        </dev/null >"$logs/$name.log" 2>&1
    count "$name" $began "$("$top/tests/count-tap.py" "$build/meson-logs/$name.json" 2>&1)"
}

# tap NAME COMMAND...: a program that prints TAP.
tap()
{
    local name=$1 began=$SECONDS
    shift
    (cd "$top" && "$@") </dev/null >"$logs/$name.log" 2>&1
    count "$name" $began "$("$top/tests/count-tap.py" --tap "$logs/$name.log" $?)"
}

# compile NAME MESON-OPTION...: warnings are errors.  `targets` may name what is to be built.
compile()
{
    local build=$work/$1 again=
    shift
    [ ! -f "$build/build.ninja" ] || again=--reconfigure
    meson setup $again --werror "$@" "$build" "$top" && ninja --quiet -C "$build" ${targets-} &&
        echo "with $($CC --version | head -n 1)"
}

finish()
{
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ]
    exit
}

# A function, so that the shell has read all of this file before it begins.
main()
{
    "$top/tools/install-deps.sh" test || { failed=1; finish; }

    export CC=gcc
    check build-gcc compile gcc --prefix "$work/prefix" --libdir lib || finish
    suite unit gcc
    check abi tests/check-abi.sh "$work/gcc/lib/libimig.so"
    check headers tests/check-headers.sh "$top" cc:gcc cc:clang c++:g++ c++:clang++
    check install meson install -C "$work/gcc" --no-rebuild
    check outside tests/check-outside.sh "$top" "$work"
    tap lab-libvirt tests/lab/libvirt/run --imig "$work/prefix/bin/imig" \
        --contract "$work/gcc/tests/test-backend"
    tap lab-xen tests/lab/xen/run --imig-build "$work/gcc"
    check docs ninja -C "$work/gcc" docs

    export CC=clang
    check build-clang compile clang --buildtype release &&
        {
            tap traces tests/traces/run.py --imig "$work/clang/tools/imig"
            tap proxlb tests/proxlb/run.py --imig "$work/clang/tools/imig"
            tap soak tests/bench/soak.py --imig "$work/clang/tools/imig"
        }
    check build-sanitizers compile sanitizers -Db_sanitize=address,undefined -Db_lundef=false \
        -Dc_args=-fno-sanitize-recover=all -Ddocs=disabled --optimization 1 &&
        UBSAN_OPTIONS=print_stacktrace=1 suite unit-sanitizers sanitizers --suite unit

    # ThreadSanitizer cannot see how GLib's slices change hands.
    targets=tests/test-threads check build-threads compile threads -Db_sanitize=thread \
        -Db_lundef=false -Ddocs=disabled &&
        G_SLICE=always-malloc suite threads threads threads

    suite unit-valgrind gcc --setup valgrind --suite unit
    finish
}

main
