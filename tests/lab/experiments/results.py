# SPDX-License-Identifier: LGPL-2.1-or-later
"""What has been measured, read back from the tables, and what follows from it without a verdict.

Nothing is dropped.  A migration that did not end as "done" has no time, downtime and amount of
data: it is counted and listed.  Where whole runs of several migrations are compared, a run with
such a migration, or with fewer of them than its like, is listed and not compared.
"""

import collections
import json
import typing
from statistics import mean, median

import runs
import table

WORDS = {"experiment", "cell", "hypervisor", "vm", "kind", "pattern", "state", "faults", "beside"}
PLACES = {"figure-4": "memory-dirty", "figure-5": "net-receive", "figure-6": "web-server"}
ORDERS = ("informed", "paper", "largest-first", "random", "reverse")


class Amount(typing.NamedTuple):
    """One of the three that imig predicts."""
    name: str
    unit: str
    per_unit: float
    predicted: str
    measured: str
    allowed: float      # of the ninth decile of errors, and how far two are taken for alike


TIME = Amount("time", "s", 1, "predicted_s", "measured_s", 0.10)
DOWNTIME = Amount("downtime", "ms", 1e-3, "predicted_downtime_s", "measured_downtime_s", 0.25)
DATA = Amount("data", "MB", 1e6, "predicted_bytes", "measured_bytes", 0.10)
AMOUNTS = (TIME, DOWNTIME, DATA)


def number(name, text):
    if name in WORDS:
        return text
    return None if text == "" else float(text)


def read_table(path, columns, key=()):
    """The rows as dicts of words and numbers, None where there is none.  No two rows may have the
    same key."""
    if not path.exists():
        return []
    rows = [{name: number(name, text) for name, text in row.items()}
            for row in table.Table(path, columns).rows()]
    if rows and (missing := set(columns) - set(rows[0])):
        raise ValueError(f"{path}: no column {', '.join(sorted(missing))}")
    counts = collections.Counter(tuple(row[name] for name in key) for row in rows if key)
    twice = [each for each, count in counts.items() if count > 1]
    if twice:
        raise ValueError(f"{path}: measured twice: {twice[0]}")
    return rows


def place_of(cell):
    """KIND at PLACE."""
    return int(cell.rsplit(" at ", 1)[1])


def learned_of(path):
    """{hypervisor that imig had constants of: from how many migrations it learned them}"""
    if not path.exists():
        return {}
    return {c["hypervisor"]: c["migrations"]
            for c in json.loads(path.read_text())["constants"] if "from" not in c}


class Results:
    def __init__(self, migrations, rates=(), learned=None):
        self.migrations, self.rates = list(migrations), list(rates)
        self.learned = learned or {}    # of hypervisors with constants of their own

    @classmethod
    def read(cls, where):
        return cls(read_table(where / "migrations.csv", table.MIGRATIONS,
                              ("experiment", "block", "cell", "position")),
                   read_table(where / "rates.csv", table.RATES),
                   learned_of(where / runs.CONSTANTS))

    def of(self, experiment, **wanted):
        """The migrations of an experiment that are done."""
        return [row for row in self.migrations
                if row["experiment"] == experiment and row["state"] == "done"
                and all(row[name] == value for name, value in wanted.items())]

    # ---- runs of several migrations ----

    def runs(self, *experiments):
        """{(experiment, block, cell): its migrations by position}, whole or not."""
        found = collections.defaultdict(list)
        for row in self.migrations:
            if not experiments or row["experiment"] in experiments:
                found[row["experiment"], row["block"], row["cell"]].append(row)
        return {key: sorted(rows, key=lambda row: row["position"]) for key, rows in found.items()}

    def whole(self, *experiments):
        """Those that can be compared."""
        runs = self.runs(*experiments)
        most = collections.Counter()
        for (experiment, _, _), rows in runs.items():
            most[experiment] = max(most[experiment], len(rows))
        return {key: rows for key, rows in runs.items()
                if len(rows) == most[key[0]] and all(row["state"] == "done" for row in rows)}

    def same(self, amount, rows):
        """Repetitions of the same migration: the same cell, at the same place of the same
        sequence of guests, for it is not the same after others."""
        sequence = {key: tuple(row["vm"] for row in run) for key, run in self.runs().items()}
        groups = collections.defaultdict(list)
        for row in rows:
            if row["state"] == "done" and row[amount.measured]:
                run = row["experiment"], row["block"], row["cell"]
                groups[row["experiment"], row["cell"], row["position"], sequence[run]].append(
                    row[amount.measured])
        return list(groups.values())

    # ---- the place of a workload in a sequence of idle guests ----

    def baseline(self, amount, position):
        """What an idle guest takes where no guest works: at the same position of such runs; where
        there are none, alone (Table 1 has one of the same size)."""
        there = [row[amount.measured] for rows in self.whole(*PLACES).values() for row in rows
                 if row["position"] == position and all(other["kind"] == "idle" for other in rows)]
        return there or [row[amount.measured] for row in self.of("table-1", kind="idle")]

    def placed(self, experiment):
        """(block, place, migrations) of runs in which one guest worked."""
        for (_, block, cell), rows in self.whole(experiment).items():
            if any(row["kind"] != "idle" for row in rows):
                yield block, place_of(cell), rows

    def others(self, experiment, amount):
        """{(place, "before" or "after"): [mean of the idle guests there, for each block]}"""
        values = collections.defaultdict(list)
        for _, place, rows in sorted(self.placed(experiment), key=lambda run: run[:2]):
            for side, there in (("before", [row for row in rows if row["position"] < place]),
                                ("after", [row for row in rows if row["position"] > place])):
                if there:
                    values[place, side].append(mean(row[amount.measured] for row in there))
        return values

    def before_and_after(self, experiment, amount):
        """[(before, after)] for each block: the mean of idle guests that migrate before the one
        that works and after it, over those positions in the sequence that have seen both: the
        position by itself must not make a difference."""
        at = collections.defaultdict(lambda: collections.defaultdict(lambda: ([], [])))
        for block, place, rows in self.placed(experiment):
            for row in rows:
                if row["position"] != place:
                    side = 0 if row["position"] < place else 1
                    at[block][row["position"]][side].append(row[amount.measured])
        pairs = []
        for _, positions in sorted(at.items()):
            both = [sides for sides in positions.values() if all(sides)]
            if both:
                pairs.append(tuple(mean(mean(sides[side]) for sides in both) for side in (0, 1)))
        return pairs

    def after_beside_baseline(self, experiment, amount):
        """Idle guests after the one that works: the mean of their ratios to the median baseline,
        for each block."""
        ratios = collections.defaultdict(list)
        for block, place, rows in self.placed(experiment):
            for row in rows:
                usual = self.baseline(amount, row["position"])
                if row["position"] > place and usual:
                    ratios[block].append(row[amount.measured] / median(usual))
        return [mean(values) for _, values in sorted(ratios.items())]

    def means_by_place(self, experiment, amount):
        """[[mean of all migrations of the run, by the place of the workload]] for each block."""
        blocks = collections.defaultdict(dict)
        for block, place, rows in self.placed(experiment):
            blocks[block][place] = mean(row[amount.measured] for row in rows)
        return [[value for _, value in sorted(places.items())]
                for _, places in sorted(blocks.items()) if len(places) > 1]

    # ---- sequences of guests that all work ----

    def orders(self):
        """{order: {block: {what: value}}}"""
        found = collections.defaultdict(dict)
        for (_, block, order), rows in self.whole("orders").items():
            ends = [row["start_s"] + row["measured_s"] for row in rows]
            found[order][block] = {
                "mean time": mean(row["measured_s"] for row in rows),
                "total time": max(ends) - min(row["start_s"] for row in rows),
                "mean downtime": mean(row["measured_downtime_s"] for row in rows)}
        return found

    # ---- guests beside each other ----

    def slowdowns(self):
        """{(kind, beside): [share of its work that it does not get done there, for each block]}"""
        rates = collections.defaultdict(list)
        for row in self.rates:
            if row["experiment"] == "pairs" and row["work_per_s"] is not None:
                rates[row["kind"], row["beside"], row["block"]].append(row["work_per_s"])
        found = collections.defaultdict(list)
        for (kind, beside, block), values in sorted(rates.items()):
            alone = rates.get((kind, "", block))
            if beside and alone and mean(alone) > 0:
                found[kind, beside].append(1 - mean(values) / mean(alone))
        return found

    def affinity(self):
        """{block: {(vm, kind): work with learned affinities / work without}}"""
        work = collections.defaultdict(dict)
        for row in self.rates:
            if row["experiment"] == "affinity":
                work[row["block"], row["vm"], row["kind"]][row["cell"]] = row["work_per_s"]
        found = collections.defaultdict(dict)
        for (block, vm, kind), cells in work.items():
            if cells.get("neutral") and cells.get("learned"):
                found[block][vm, kind] = cells["learned"] / cells["neutral"]
        return found
