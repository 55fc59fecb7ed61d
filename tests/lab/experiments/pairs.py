#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two guests on a host of one core: Table 2, Fig. 2(a) and Fig. 3.  How much each kind of work gets
done alone and beside each other kind, and what of that is affinity: affinity.csv, for imig.

The paper has running times of a fixed amount of work, the inverse of work a second.  Two guests
that both want a whole core get half of it each, and so with a link.  imig prices that as
contention, and Table 2, all of it measured in pairs on one processor, has it in every cell.  What
is left is the slowdown of imig-affinity(5): how much longer a guest takes than with its fair share
of core and link."""

import itertools
import statistics
import time

import stage
import table
from runs import rates as rates_of, told

SETTLE_S, MEASURE_S = 1.5, 6
LATE_S = 0.6            # the last report of a measurement comes after its end
KINDS = {"cpu": {}, "memory-dirty": {"rate_mb": 0, "size_mb": 32}, "disk-io": {"rate_mb": 0},
         "net-receive": {"rate_mb": 0}, "web-server": {"rate_mb": 0}}
SERVED = {"net-receive": ("received", 1), "web-server": ("sent", 65536)}    # bytes of its work
LINK_BYTES_PER_S = stage.LINK_BYTES_PER_S * 1448 / 1514     # without headers
CELLS = {**{kind: (kind,) for kind in KINDS},
         **{f"{a}, {b}": (a, b) for a, b in itertools.combinations_with_replacement(KINDS, 2)}}


class Guests:
    """Two of each kind on one host, of which only those that are measured are not suspended."""

    def __init__(self, where):
        self.where, self.suspended, self.domains = where, set(), {}
        self.host = where.lab.hosts["host1"].connect()
        for kind, more in KINDS.items():        # the machine is too small for all at once
            names = [f"{kind}-{i}" for i in (1, 2)]
            where.lab.start_all([{"host": "host1", "name": name, "kind": kind, "memory_mb": 128,
                                  **more} for name in names])
            self.domains.update((name, self.host.lookupByName(name)) for name in names)
            self.only([])

    def only(self, names):
        """Who is suspended has no clients: they would wait, time out, and be late afterwards."""
        leave = self.domains.keys() - self.suspended - set(names)
        for name in filter(is_served, leave):
            self.where.lab.unload(name)
        time.sleep(0.2)
        for name in leave:
            self.domains[name].suspend()
        for name in self.suspended & set(names):
            self.domains[name].resume()
            if is_served(name):
                self.where.lab.load(name)
        self.suspended = self.domains.keys() - set(names)

    def measure(self, names):
        """Work a second and cores in use of each of them, by name; all others stand still."""
        self.only(names)
        with stage.Work(self.where.lab) as work:
            time.sleep(SETTLE_S)
            began, before = time.monotonic(), self.cpu_s(names)
            time.sleep(MEASURE_S)
            ended, after = time.monotonic(), self.cpu_s(names)
            time.sleep(LATE_S)
        if faults := self.where.faults(self.suspended):
            raise RuntimeError("; ".join(faults))
        return {name: (work.rate(name, began, ended),
                       (after[name] - before[name]) / (ended - began)) for name in names}

    def cpu_s(self, names):
        return {name: self.domains[name].info()[4] / 1e9 for name in names}


def is_served(name):
    return name.rpartition("-")[0] in SERVED


class Rates:
    """Medians of what was measured, and what follows from them."""

    def __init__(self, rows):
        self.seen = {}
        for row in rows:
            self.seen.setdefault((row["kind"], row["beside"]), []).append(
                (float(row["work_per_s"]), float(row["cpu_cores"])))
        self.wants = {kind: self.demand(kind) for kind in KINDS}

    def work(self, kind, beside=""):
        return statistics.median(work for work, _ in self.seen[kind, beside])

    def demand(self, kind):
        """The part that it takes of each thing if it is alone."""
        cores = statistics.median(cores for _, cores in self.seen[kind, ""])
        wants = {"core": min(1, cores)}
        if kind in SERVED:
            direction, size = SERVED[kind]
            wants[direction] = min(1, self.work(kind) * size / LINK_BYTES_PER_S)
        return wants

    def fair(self, kind, beside):
        """The part of its work that it gets done where all is shared fairly: half of each thing,
        and what the other leaves."""
        other = self.wants[beside]
        return min(1, *(max(0.5, 1 - other.get(thing, 0)) / part
                        for thing, part in self.wants[kind].items()))

    def slowdown(self, kind, beside):
        """Beyond the fair share."""
        return self.fair(kind, beside) * self.work(kind) / self.work(kind, beside) - 1

    def table(self):
        """imig-affinity/1.  imig's slowdowns are beside a neighbour that wants all cores of the
        host, and in proportion less beside one that wants less."""
        lines = [["neighbour", *KINDS],
                 ["solo", *(f"{1 / self.work(kind):.6g}" for kind in KINDS)]]
        for beside in KINDS:
            full = {kind: max(0, self.slowdown(kind, beside)) / self.wants[beside]["core"]
                    for kind in KINDS}
            lines.append([beside, *(f"{(1 + full[kind]) / self.work(kind):.6g}"
                                    for kind in KINDS)])
        return "".join(",".join(line) + "\n" for line in lines)


def run(where, chosen):
    into = rates_of(chosen)
    cells = list(table.in_blocks(CELLS, chosen.blocks, chosen.seed, into.done("pairs")))
    if cells:
        guests = Guests(where)
        where.lab.hosts["host1"].set_cores(1)
    for block, cell in cells:
        with told("pairs", block, cell):
            kinds = CELLS[cell]
            beside = kinds[::-1] if len(kinds) == 2 else [""]
            done = guests.measure([f"{kind}-{i}" for i, kind in enumerate(kinds, 1)])
            into.append(*({"experiment": "pairs", "block": block, "cell": cell, "vm": name,
                           "kind": kind, "beside": neighbour, "work_per_s": work,
                           "cpu_cores": cores}
                          for kind, neighbour, (name, (work, cores))
                          in zip(kinds, beside, done.items())))
    rates = Rates(into.rows("pairs"))
    (chosen.into / "affinity.csv").write_text(rates.table(), encoding="utf-8")


if __name__ == "__main__":
    stage.main(run, __doc__)
