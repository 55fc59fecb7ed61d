#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Every public header compiles alone, twice in one file, as C99 and as C++11, without a warning.
# usage: check-headers.sh TOP COMPILER...     where each COMPILER is cc:NAME or c++:NAME
set -eu

top=$1
shift
count=0
for entry; do
    case $entry in
    cc:*) flags='-x c -std=c99' ;;
    c++:*) flags='-x c++ -std=c++11' ;;
    esac
    for header in "$top"/include/imig/*.h; do
        name=imig/$(basename "$header")
        printf '#include <%s>\n#include <%s>\nextern int unused;\n' "$name" "$name" |
            ${entry#*:} $flags -pedantic -Wall -Wextra -Wconversion -Wpadded \
                -Werror -I"$top/include" -fsyntax-only -
        count=$((count + 1))
    done
done
echo "$count compilations"
