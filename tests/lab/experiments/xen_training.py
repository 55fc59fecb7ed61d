#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Learns what holds for the Xen of the laboratory, from migrations of guests that xen.py does not
measure: other memory, other work.  They are predicted by default constants, and kept in a store."""

import subprocess

import runs
import table
from xen import Cell, measure

WORKS = {"small": (88, [("cyclic", 600, 1024), ("random", 2000, 3072)]),
         "middle": (128, [("cyclic", 2000, 4096), ("random", 700, 1024)]),
         "large": (168, [("cyclic", 1500, 3072), ("random", 1000, 4096)])}
CELLS = {f"{vm} {pattern}": Cell(vm, memory_mb, pattern, rate, pages)
         for vm, (memory_mb, works) in WORKS.items()
         for pattern, rate, pages in [("idle", 0, 1), *works]}
BLOCKS = 3


def main():
    chosen = runs.options(__doc__)
    chosen.blocks = BLOCKS
    calibration = chosen.into / runs.CALIBRATION
    measure(chosen, "xen-training", CELLS,
            table.Table(chosen.into / "training.csv", table.MIGRATIONS), calibration)
    subprocess.run([chosen.imig, "calibrate", "--csv", calibration,
                    "-o", chosen.into / runs.CONSTANTS], check=True)


if __name__ == "__main__":
    main()
