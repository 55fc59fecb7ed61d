#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Live migrations between two real Xen hosts, predicted and measured: the paper's hypervisor, and
its dirty logging.  Needs a build directory of imig with the module for Xen, and the constants that
xen_training.py has learned from other guests there."""

import collections
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "xen"))

# pylint: disable=wrong-import-position
from lab import Lab, LabUnavailable                 # noqa: E402
from trial import Trial                             # noqa: E402
import runs                                         # noqa: E402
import table                                        # noqa: E402

PAGES_OF_MB = 256
LOOK = "18s"            # at one guest of a host after the other: three may be there
Cell = collections.namedtuple("Cell", "vm memory_mb pattern rate pages")   # pages a second, pages
CELLS = {"idle": Cell("idle", 96, "idle", 0, 1),
         "cyclic": Cell("cyclic", 112, "cyclic", 1000, 2048),
         "random": Cell("random", 144, "random", 1500, 2048)}


def row(experiment, block, name, cell, step, faults):
    return {"experiment": experiment, "block": block, "cell": name, "position": 1,
            "hypervisor": "xen", "vm": cell.vm,
            "kind": "idle" if cell.pattern == "idle" else "memory-dirty",
            "memory_mb": cell.memory_mb, "size_mb": cell.pages / PAGES_OF_MB,
            "rate_mb": cell.rate / PAGES_OF_MB, "pattern": cell.pattern,
            "faults": "; ".join(faults), **runs.of_step(step)}


def migrate(trial, cell, words):
    """To the other host; the others are idle meanwhile."""
    trial.lab.order(cell.vm, cell.pattern, cell.rate, cell.pages)
    target = "xen2" if trial.place(cell.vm) == "xen1" else "xen1"
    moved = trial.outside("migrate", cell.vm, target, "--for", LOOK, "--json", "--measure-dirty",
                          *words)
    if not moved.out.startswith("{"):
        raise RuntimeError(str(moved))
    faults = trial.lab.faults()
    trial.lab.order(cell.vm, "idle")
    return moved.document["steps"][0], faults


def run(trial, words, experiment, cells, left, into):
    for cell in cells.values():
        if cell.vm not in trial.lab.guests:
            trial.have(cell.vm, "xen1", memory_mb=cell.memory_mb)
    for block, name in left:
        with runs.told(experiment, block, name):
            into.append(row(experiment, block, name, cells[name],
                            *migrate(trial, cells[name], words)))


def measure(chosen, experiment, cells, into, known, *words):
    """Those that are not in the table yet, in a laboratory of their own; exit 77: there is none.
    known: a table for all that imig knew of them and measured."""
    build = chosen.imig.resolve().parents[1]
    store = known.with_suffix(".db")
    left = list(table.in_blocks(cells, chosen.blocks, chosen.seed, into.done(experiment)))
    if not left:
        return
    try:
        with Lab(hosts=2, imig_build=build) as lab:
            run(Trial(lab, build, False), ["--store", store, *words], experiment, cells, left, into)
    except LabUnavailable as unavailable:
        print(f"no laboratory: {unavailable}", file=sys.stderr)
        sys.exit(77)
    subprocess.run([chosen.imig, "history", "--store", store, "-o", known], check=True)


def main():
    chosen = runs.options(__doc__)
    measure(chosen, "xen", CELLS, runs.migrations(chosen), chosen.into / "judged.csv",
            "--constants", chosen.constants or chosen.into / runs.CONSTANTS)


if __name__ == "__main__":
    main()
