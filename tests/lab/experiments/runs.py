# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the programs of all experiments share, whatever the laboratory."""

import argparse
import contextlib
import pathlib
import sys
import time

import table

TOP = pathlib.Path(__file__).resolve().parents[3]
# What was learned, and from which migrations, beside the tables.
CONSTANTS, CALIBRATION = "constants.json", "calibration.csv"
AMOUNTS = {"duration_s": ("predicted_s", "measured_s"),
           "downtime_s": ("predicted_downtime_s", "measured_downtime_s"),
           "transferred_bytes": ("predicted_bytes", "measured_bytes")}


def options(what):
    """The command line that all experiments have."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--imig", required=True, type=pathlib.Path, help="the program")
    parser.add_argument("--into", default=TOP / "doc/experiments", type=pathlib.Path,
                        help="where tables are, or go")
    parser.add_argument("--blocks", type=int, default=5, help="repetitions of each cell")
    parser.add_argument("--seed", type=int, default=1, help="of their sequence")
    parser.add_argument("--constants", type=pathlib.Path, help="what imig predicts with")
    parser.add_argument("--store", type=pathlib.Path, help="where imig keeps what it measured")
    chosen = parser.parse_args()
    chosen.words = ["--store", chosen.store] if chosen.store else ["--no-store"]
    if chosen.constants:
        chosen.words += ["--constants", chosen.constants]
    chosen.into.mkdir(parents=True, exist_ok=True)
    return chosen


def of_step(step):
    """The columns that imig's account of a migration fills."""
    columns = {key: step[key] for key in ("state", "rounds", "start_s")}
    for amount, (predicted, measured) in AMOUNTS.items():
        columns[predicted] = step[amount]["predicted"]
        columns[measured] = step[amount]["measured"]
    return columns


@contextlib.contextmanager
def told(experiment, block, cell):
    """Says on standard error what is being done, and how long it took."""
    began = time.monotonic()
    print(f"{experiment} {block} {cell} ...", end=" ", file=sys.stderr, flush=True)
    yield
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def migrations(chosen):
    return table.Table(chosen.into / "migrations.csv", table.MIGRATIONS)


def rates(chosen):
    return table.Table(chosen.into / "rates.csv", table.RATES)
