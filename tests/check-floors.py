#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which folder may include which: reads the #include lines and names each that goes up a floor.

usage: check-floors.py TOP [STAMP DEPFILE]
With STAMP and DEPFILE it serves as a build step: both are written when all is well.
"""

import pathlib
import re
import sys

# Folder of lib/ -> folders of lib/ it may include, besides itself.  STYLE section 3, "Floors".
LOW = ["base", "context", "model"]
FLOORS = {
    "base": [],
    "context": ["base"],
    "model": ["base", "context"],
    "cost": LOW,
    "policy": LOW + ["cost"],
    "plan": LOW + ["cost", "policy"],
    "backend": LOW,
    "store": LOW,
    "observe": LOW + ["backend"],
    "execute": LOW + ["plan", "backend", "store"],
    "record": LOW + ["cost", "store", "execute"],
}

# The public headers are floors as well: their contracts stand in the folder that implements them.
PUBLIC = {
    "common": "base", "error": "base", "log": "base", "cancel": "base", "context": "context",
    "model": "model", "workload": "model",
    "records": "model",
    "cost": "cost", "calibration": "cost",
    "affinity": "policy", "select": "policy", "place": "policy", "order": "policy",
    "plan": "plan",
    "agent": "backend", "backend": "backend", "connect": "backend",
    "monitor": "observe",
    "execute": "execute",
    "store": "store",
    "recorder": "record",
}
# backend.h holds the operations a context registers, and the context's own header needs them.
ALSO = {"context": ["backend"]}

# Libraries that only these folders may use.
FOREIGN = {
    "jansson.h": {"model", "plan"},
    "sqlite3.h": {"store"},
    "libvirt/": {"backend"},
    "xenctrl.h": {"backend"},
    "xenguest.h": {"backend"},
    "xenstore.h": {"backend"},
    "cmocka.h": set(),
}
# No I/O, no clock, no randomness, no log in the floors that are pure.
PURE = {"model", "cost", "policy", "plan"}
IMPURE_HEADERS = {"time.h", "sys/time.h", "unistd.h", "fcntl.h", "sys/stat.h",
                  "gio/gio.h", "glib/gstdio.h", "gmodule.h", "imig/log.h"}
IMPURE_CALLS = re.compile(
    r"\b(g_get_(?:monotonic|real)_time|clock_gettime|gettimeofday|g_random_\w+|rand|srand|random|"
    r"getenv|g_getenv|printf|fprintf|puts|fopen|g_print|g_printerr|g_message|g_warning|g_debug|"
    r"g_log|g_file_\w+)\s*\(")

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.M)
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"", re.S)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def check_lib(path, folder, text, complain):
    allowed = set(FLOORS[folder]) | {folder} | set(ALSO.get(folder, []))
    for found in INCLUDE.finditer(text):
        quoted, name = found.group(1) == '"', found.group(2)
        line = line_of(text, found.start())
        top = name.split("/")[0]
        if quoted:
            if "/" not in name:
                complain(path, line, f'"{name}": write the folder as well')
            elif top not in FLOORS:
                complain(path, line, f'"{name}": no such floor')
            elif top not in allowed:
                complain(path, line, f"{folder} may not include {top}")
            continue
        if top == "imig":
            floor = PUBLIC.get(name[len("imig/"):-len(".h")])
            if floor is None:
                complain(path, line, f"<{name}>: include the headers that are needed, by name")
            elif floor not in allowed:
                complain(path, line, f"{folder} may not include <{name}>, which belongs to {floor}")
        for foreign, where in FOREIGN.items():
            if name.startswith(foreign) and folder not in where:
                complain(path, line, f"{folder} may not include <{name}>")
        if folder in PURE and name in IMPURE_HEADERS:
            complain(path, line, f"{folder} is pure: no <{name}>")
    if folder in PURE:
        code = COMMENT.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)
        for found in IMPURE_CALLS.finditer(code):
            complain(path, line_of(code, found.start()), f"{folder} is pure: no {found.group(1)}()")


def check_outside(path, text, complain):
    for found in INCLUDE.finditer(text):
        name = found.group(2)
        inside = name.split("/")[0] in FLOORS or name.startswith("../")
        if found.group(1) == '"' and inside or name.startswith("lib/"):
            complain(path, line_of(text, found.start()), f"{name}: only <imig/...> out here")


def main(top, stamp=None, depfile=None):
    top = pathlib.Path(top).resolve()
    faults, read = [], [pathlib.Path(__file__).resolve()]

    def complain(path, line, what):
        faults.append(f"{path.relative_to(top)}:{line}: {what}")

    for path in sorted((top / "lib").glob("*/*.[ch]")):
        folder = path.parent.name
        text = path.read_text(encoding="utf-8")
        read.append(path)
        if folder not in FLOORS:
            complain(path, 1, f"{folder}: a folder without a floor")
            continue
        check_lib(path, folder, text, complain)
    outside = list((top / "tools").glob("**/*.[ch]")) + list((top / "include").glob("**/*.h"))
    for path in sorted(outside):
        read.append(path)
        check_outside(path, path.read_text(encoding="utf-8"), complain)

    for fault in faults:
        print(fault, file=sys.stderr)
    if faults:
        return 1
    if stamp:
        names = " ".join(str(path).replace(" ", "\\ ") for path in read)
        pathlib.Path(depfile).write_text(f"{pathlib.Path(stamp).name}: {names}\n")
        pathlib.Path(stamp).write_text(f"{len(read)} files\n")
    else:
        print(f"{len(read) - 1} files, no include goes up a floor")
    return 0


if __name__ == "__main__":
    if len(sys.argv) not in (2, 4):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
