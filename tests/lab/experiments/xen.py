#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Live migrations between two real Xen hosts, predicted and measured: the paper's hypervisor, and
its dirty logging.  Needs a build directory of imig with the module for Xen."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "xen"))

# pylint: disable=wrong-import-position
from lab import Lab, LabUnavailable                 # noqa: E402
from trial import Trial                             # noqa: E402
import runs                                         # noqa: E402
import table                                        # noqa: E402

PAGES_OF_MB = 256
# Memory in MB, what the guest does, pages a second, pages.
CELLS = {"idle": (96, "idle", 0, 1), "cyclic": (112, "cyclic", 1000, 2048),
         "random": (144, "random", 1500, 2048)}


def row(block, cell, step, faults):
    memory, pattern, rate, pages = CELLS[cell]
    return {"experiment": "xen", "block": block, "cell": cell, "position": 1, "hypervisor": "xen",
            "vm": cell, "kind": "idle" if cell == "idle" else "memory-dirty",
            "memory_mb": memory, "size_mb": pages / PAGES_OF_MB, "rate_mb": rate / PAGES_OF_MB,
            "pattern": pattern, "faults": "; ".join(faults), **runs.of_step(step)}


def migrate(trial, cell, words):
    """To the other host; the others are idle meanwhile."""
    _, pattern, rate, pages = CELLS[cell]
    trial.lab.order(cell, pattern, rate, pages)
    target = "xen2" if trial.place(cell) == "xen1" else "xen1"
    moved = trial.outside("migrate", cell, target, "--for", "8s", "--json", "--measure-dirty",
                          *words)
    if not moved.out.startswith("{"):
        raise RuntimeError(str(moved))
    faults = trial.lab.faults()
    trial.lab.order(cell, "idle")
    return moved.document["steps"][0], faults


def run(trial, chosen):
    into = runs.migrations(chosen)
    for cell, (memory, *_) in CELLS.items():
        trial.have(cell, "xen1", memory_mb=memory)
    for block, cell in table.in_blocks(CELLS, chosen.blocks, chosen.seed, into.done("xen")):
        with runs.told("xen", block, cell):
            into.append(row(block, cell, *migrate(trial, cell, chosen.words)))


def main():
    chosen = runs.options(__doc__)
    build = chosen.imig.resolve().parents[1]
    try:
        with Lab(hosts=2, imig_build=build) as lab:
            run(Trial(lab, build, False), chosen)
    except LabUnavailable as unavailable:
        print(f"no laboratory: {unavailable}", file=sys.stderr)
        sys.exit(77)


if __name__ == "__main__":
    main()
