#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The symbol map, the headers and the built library name the same symbols, and nothing else leaks.

usage: check-symbols.py TOP LIBIMIG.SO
"""

import pathlib
import re
import subprocess
import sys

NEEDED = re.compile(r"^(libc|libm|libglib-2\.0|libgmodule-2\.0|libjansson|libsqlite3)\.so\.\d+$")
# Sanitizers bring their own run-time library.
SANITIZER = re.compile(r"^lib(asan|ubsan|tsan|lsan)\.so\.\d+$|^ld-linux|^libgcc_s\.so")


def read_map(path, complain):
    """Symbol -> node; says where names are out of order or nodes are not chained."""
    text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
    symbols, before = {}, None
    for node, body, parent in re.findall(r"(LIBIMIG_[\d.]+)\s*\{(.*?)\}\s*(LIBIMIG_[\d.]+)?\s*;",
                                         text, re.S):
        if parent != (before or ""):
            complain(f"{path.name}: {node} does not follow {before or 'nothing'}")
        shown = body.split("local:")[0].replace("global:", "")
        names = [name.strip() for name in shown.split(";") if name.strip()]
        for name in names:
            if not re.fullmatch(r"imig_[a-z0-9_]+", name) or name.startswith("imig__"):
                complain(f"{path.name}: {name} is not a public name")
            if name in symbols:
                complain(f"{path.name}: {name} twice")
            symbols[name] = node
        for first, second in zip(names, names[1:]):
            if first >= second:
                complain(f"{path.name}: {second} after {first} is out of order")
        before = node
    if not symbols:
        complain(f"{path.name}: no node found")
    elif not re.search(r"local:\s*\*;", text):
        complain(f"{path.name}: local: * is missing")
    return symbols


def read_headers(folder):
    """Functions declared with IMIG_EXPORT, and those declared without."""
    exported, bare = {}, {}
    for path in sorted(folder.glob("*.h")):
        text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
        for mark, name in re.findall(
                r"^(IMIG_EXPORT\s+)?(?!typedef|#)[a-z][\w \t*]*?\b(imig_\w+)\s*\(", text, re.M):
            (exported if mark else bare)[name] = path.name
    return exported, bare


def read_library(path):
    listing = subprocess.run(["nm", "-D", "--defined-only", path], check=True, text=True,
                             capture_output=True).stdout
    symbols = {}
    for line in listing.splitlines():
        kind, name = line.split()[-2:]
        if kind != "A":  # the names of the version nodes themselves
            base, _, version = name.partition("@@")
            symbols[base] = version
    dynamic = subprocess.run(["objdump", "-p", path], check=True, text=True,
                             capture_output=True).stdout
    return symbols, re.findall(r"NEEDED\s+(\S+)", dynamic), re.findall(r"SONAME\s+(\S+)", dynamic)


def main(top, library):
    top = pathlib.Path(top)
    faults = []
    in_map = read_map(top / "lib" / "libimig.map", faults.append)
    exported, bare = read_headers(top / "include" / "imig")
    built, needed, soname = read_library(library)

    for name in sorted(bare):
        faults.append(f"{bare[name]}: {name} is declared without IMIG_EXPORT")
    for name in sorted(set(exported) - set(in_map)):
        faults.append(f"{exported[name]}: {name} is exported but not in libimig.map")
    for name in sorted(set(in_map) - set(exported)):
        faults.append(f"libimig.map: {name} is in no header")
    for name in sorted(set(in_map) - set(built)):
        faults.append(f"libimig.map: {name} is not defined by the library")
    for name in sorted(set(built) - set(in_map)):
        faults.append(f"the library exports {name}, which is not in libimig.map")
    for name, node in sorted(in_map.items()):
        if built.get(name, node) != node:
            faults.append(f"{name} is built as {built[name]}, the map says {node}")
    for name in needed:
        if not NEEDED.match(name) and not SANITIZER.match(name):
            faults.append(f"the library needs {name}")
    if soname != ["libimig.so.0"]:
        faults.append(f"the soname is {soname}")

    for fault in faults:
        print(fault, file=sys.stderr)
    if not faults:
        print(f"{len(in_map)} symbols in headers, map and library; needs {' '.join(needed)}")
    return 1 if faults else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
