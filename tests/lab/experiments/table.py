# SPDX-License-Identifier: LGPL-2.1-or-later
"""What experiments write: CSV files, a row as soon as it has been measured.  Nothing is ever taken
out again; a run that is begun anew goes on where the last one stopped.
"""

import csv
import random

# One migration.  cell: what is the same in all repetitions; block: the repetition; position: its
# place in the sequence, from 1.  Predicted by imig just before.
MIGRATIONS = ("experiment", "block", "cell", "position", "hypervisor", "vm", "kind", "memory_mb",
              "size_mb", "rate_mb", "pattern", "cap_mb_s", "state", "rounds", "start_s",
              "predicted_s", "measured_s", "predicted_downtime_s", "measured_downtime_s",
              "predicted_bytes", "measured_bytes", "overhead", "faults")

# What one guest got done, a second, in some company.  overhead and work are by its own count;
# cpu_cores: processor time that its QEMU used for it, a second, where that was measured.
RATES = ("experiment", "block", "cell", "vm", "kind", "beside", "work_per_s", "cpu_cores")


class Table:
    """A CSV file with the given columns."""

    def __init__(self, path, columns):
        self.path, self.columns = path, columns
        if not path.exists():
            with open(path, "w", newline="", encoding="utf-8") as f:
                csv.writer(f, lineterminator="\n").writerow(columns)

    def append(self, *rows):
        """Dicts; the rows of one run together, so that there are all of them or none."""
        with open(self.path, "a", newline="", encoding="utf-8") as f:
            writer = csv.DictWriter(f, self.columns, lineterminator="\n")
            writer.writerows({key: rounded(value) for key, value in row.items()} for row in rows)

    def rows(self, experiment=None):
        with open(self.path, newline="", encoding="utf-8") as f:
            return [row for row in csv.DictReader(f)
                    if experiment is None or row["experiment"] == experiment]

    def done(self, experiment):
        """{(block, cell)} that are there."""
        return {(int(row["block"]), row["cell"]) for row in self.rows(experiment)}


def rounded(value):
    return f"{value:.6g}" if isinstance(value, float) else value


def in_blocks(cells, blocks, seed, done=frozenset()):
    """(block, cell), each cell once in every block, in a random order that depends on the seed
    alone: what drifts with time meets all cells alike."""
    for block in range(1, blocks + 1):
        order = sorted(cells)
        random.Random(f"{seed}-{block}").shuffle(order)
        for cell in order:
            if (block, cell) not in done:
                yield block, cell
