#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a machine can check of the style: line length, tabs, blanks at line ends, SPDX lines; and
that every test is built.

usage: check-style.py TOP
Lists files over 500 lines, which want to be two, without calling that a fault.
"""

import pathlib
import sys

CODE = {".c", ".h", ".cc", ".py", ".sh", ".map", ".build"}
SKIP = {".git", "build", "__pycache__", "data", "abi"}
SPDX = "SPDX-License-Identifier: LGPL-2.1-or-later"


def files(top):
    for path in sorted(top.rglob("*")):
        parts = path.relative_to(top).parts
        if any(part in SKIP or part.startswith("build-") for part in parts) or not path.is_file():
            continue
        if path.suffix in CODE or path.name in ("meson.build", "run"):
            yield path


def forgotten(top):
    """Tests in C that tests/meson.build does not name."""
    named = (top / "tests" / "meson.build").read_text(encoding="utf-8")
    for path in sorted((top / "tests").glob("test-*.c")):
        short = path.stem[len("test-"):]
        if f"'{short}'" not in named and f"'{path.name}'" not in named:
            yield f"tests/{path.name}: not in tests/meson.build"


def main(top):
    top = pathlib.Path(top)
    faults, long_files, count = list(forgotten(top)), [], 0
    for path in files(top):
        name = path.relative_to(top)
        lines = path.read_text(encoding="utf-8").split("\n")
        count += 1
        if lines[-1]:
            faults.append(f"{name}:{len(lines)}: no newline at the end of the file")
        if path.suffix in (".c", ".h", ".cc", ".py", ".sh") and SPDX not in "\n".join(lines[:2]):
            faults.append(f"{name}:1: no SPDX line")
        for number, line in enumerate(lines, 1):
            if "\t" in line:
                faults.append(f"{name}:{number}: a tab")
            if line != line.rstrip():
                faults.append(f"{name}:{number}: blanks at the end of the line")
            if len(line) > 100 and path.suffix != ".map" and "http" not in line:
                faults.append(f"{name}:{number}: {len(line)} columns")
        if len(lines) > 501 and path.suffix in (".c", ".h"):
            long_files.append(f"{name}: {len(lines) - 1} lines")
    for fault in faults:
        print(fault, file=sys.stderr)
    for line in long_files:
        print(f"over 500 lines: {line}")
    print(f"{count} files, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
