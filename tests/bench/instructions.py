#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Counts the instructions of a plan, by floor and by function, with callgrind.

usage: instructions.py --imig IMIG [--functions N] [--record]

A fixed cluster of generate.py is planned under valgrind.  What comes out hardly depends on the
machine, and not at all on what else runs there, so that two versions can be compared; it does
depend on the compiler and its options.  Prints the numbers beside those of instructions.json, which
--record writes, and asserts nothing.
"""

import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import generate  # noqa: E402

RECORD = HERE / "instructions.json"
CLUSTER = {"hosts": 100, "vms": 1500, "memory": 0.8, "classes": 0.6, "flows": 0.1, "rules": 0.02,
           "mixed": 0.3}
SEED = 1
NAME = re.compile(r"^(c?)(fl|fi|fe|fn)=\((\d+)\)(?: (.*))?$")  # c: of what is called


def floor_of(path):
    """lib/plan/planner.c is of plan; what is not ours is elsewhere."""
    found = re.search(r"(?:^|/)(?:lib/(\w+)/[^/]+|(tools)/[^/]+)\.[ch]$", path)
    return (found.group(1) or found.group(2)) if found else "elsewhere"


def read_counts(path):
    """Instructions by (file, function), without those of the functions that it calls."""
    names = {"file": {}, "fn": {}}
    counts, file, function, skip = {}, "", "", False
    for line in path.read_text().splitlines():
        found = NAME.match(line)
        if found:
            called, kind, number, text = found.groups()
            known = names["fn" if kind == "fn" else "file"]
            name = known.setdefault(number, text) if text else known[number]
            if kind == "fn" and not called:
                function = name
            elif not called:
                file = name
        elif line.startswith("calls="):
            skip = True  # the line that follows is what the call took
        elif line[:1] in "0123456789+-*" and line:
            if not skip:
                key = (file, function)
                counts[key] = counts.get(key, 0) + int(line.split()[1])
            skip = False
    return counts


def count(imig):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        cluster, out = folder / "cluster.json", folder / "callgrind.out"
        cluster.write_text(json.dumps(generate.make(SEED, **CLUSTER)))
        subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", imig, "plan",
                        cluster, "--json"], check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        return read_counts(out)


def print_sums(sums, recorded):
    for name, number in sorted(sums.items(), key=lambda item: -item[1]):
        before = recorded.get(name)
        ratio = f"{number / before:8.3f} x" if before else "         -"
        print(f"{name:40} {number / 1e6:12.2f} million {ratio}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--imig", required=True)
    parser.add_argument("--functions", type=int, default=25, help="how many are named")
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    if not shutil.which("valgrind"):
        print("skipped: valgrind is not there")
        return 77

    floors, functions = {"all": 0}, {}
    for (file, function), number in count(options.imig).items():
        floor = floor_of(file)
        floors[floor] = floors.get(floor, 0) + number
        floors["all"] += number
        name = f"{floor}: {function}"
        functions[name] = functions.get(name, 0) + number
    named = dict(sorted(functions.items(), key=lambda item: -item[1])[:options.functions])
    recorded = json.loads(RECORD.read_text()) if RECORD.is_file() else {}
    print(f"{CLUSTER['hosts']} hosts, {CLUSTER['vms']} VMs; beside what is recorded")
    print_sums(floors, recorded)
    print()
    print_sums(named, recorded)
    if options.record:
        RECORD.write_text(json.dumps({**floors, **named}, indent=1, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
