#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two guests of each of two kinds leave a host for two others of one core each: section 3.2, first
rule, "the kinds that have well affinity" as neighbours.  imig places them with the slowdowns that
pairs.py measured, and with the mean of these for all alike, which knows no kinds.

Kinds are those for which it matters most by that table who is beside whom, out of those that want
a whole core: who wants less is placed by its demand for core and link.  imig is told the kinds, as
the paper's planner is, and what the hosts are good for."""

import itertools
import json
import statistics
import time

import pairs
import stage
import table
from runs import rates as rates_of, told

LINK, LINK_BYTES_PER_S = "2gbit", 250e6     # none of the kinds uses it
DISK_OPS_PER_S = 1e5                        # files in memory: their core is what runs out
OUT_OF = ("cpu", "memory-dirty", "disk-io")
SETTLE_S, MEASURE_S = 1.5, 6


def choose(rates):
    """The two kinds whose slowdowns differ most between like and unlike neighbours."""
    def matters(kinds):
        a, b = kinds
        loss = {(x, y): max(0, rates.slowdown(x, y)) for x in kinds for y in kinds}
        return abs(loss[a, b] + loss[b, a] - loss[a, a] - loss[b, b])
    return max(itertools.combinations(OUT_OF, 2), key=matters)


def tables(rates):
    """By cell: imig-affinity/1."""
    known = [1 + max(0, rates.slowdown(a, b)) for a in OUT_OF for b in OUT_OF]
    same = f"{statistics.fmean(known):.6g}"
    lines = [["neighbour", *OUT_OF], ["solo", *("1" for _ in OUT_OF)]]
    lines += [[beside, *(same for _ in OUT_OF)] for beside in OUT_OF]
    return {"learned": rates.table(), "neutral": "".join(",".join(x) + "\n" for x in lines)}


def plan(where, slowdowns):
    """[(guest, host)] in imig's sequence."""
    guests = {guest["uuid"]: guest for guest in where.lab.guests.values()}
    seen, told_of = where.observe(stage.WATCH_S), where.lab.dir / "affinity.csv"
    cluster = json.loads(seen.read_text())
    for host in cluster["hosts"]:
        host.update(disk_ops_per_s=DISK_OPS_PER_S, net_bytes_per_s=LINK_BYTES_PER_S)
    for vm in cluster["vms"]:
        vm["class"] = guests[vm["id"]]["kind"]
    seen.write_text(json.dumps(cluster))
    told_of.write_text(slowdowns)
    made = where.told("plan", seen, "--drain", "host3", "--affinity", told_of, "--unsafe",
                      "--on-stall", "continue", "--no-store", "--json")
    if {step["vm"] for step in made["steps"]} != guests.keys():
        raise RuntimeError(f"not all are placed: {made['kept']}")
    return [(guests[step["vm"]]["name"], step["to"]) for step in made["steps"]]


def suspend(where, names):
    for name in names:
        where.lab.domain(name).suspend()


def resume(where, names):
    for name in names:
        where.lab.domain(name).resume()


def measure(where, block, cell):
    """Rows of table.RATES.  One host after the other: they share the machine's caches, as hosts
    do not."""
    guests = where.lab.guests
    for host in ("host1", "host2"):
        here = [name for name in guests if where.lab.where(name)[0][0] == host]
        resume(where, here)
        with stage.Work(where.lab) as work:
            time.sleep(SETTLE_S)
            began = time.monotonic()
            time.sleep(MEASURE_S)
            ended = time.monotonic()
            time.sleep(pairs.LATE_S)
        if faults := where.faults(guests.keys() - set(here)):
            raise RuntimeError("; ".join(faults))
        suspend(where, here)
        for name in here:
            beside = sorted(guests[other]["kind"] for other in here if other != name)
            yield {"experiment": "affinity", "block": block, "cell": cell, "vm": name,
                   "kind": guests[name]["kind"], "beside": "; ".join(beside),
                   "work_per_s": work.rate(name, began, ended)}


def trial(where, block, cell, slowdowns):
    """All work on the host that they are to leave while imig looks.  They are moved suspended: it
    is the place that is measured, and they end up suspended there."""
    guests = list(where.lab.guests)
    resume(where, guests)
    time.sleep(SETTLE_S)
    steps = plan(where, slowdowns)
    suspend(where, guests)
    for name, host in steps:
        where.lab.migrate(name, host)
    rows = list(measure(where, block, cell))
    for name in guests:
        where.lab.migrate(name, "host3")
    return rows


def run(where, chosen):
    into = rates_of(chosen)
    rates = pairs.Rates(into.rows("pairs"))
    known = tables(rates)
    left = list(table.in_blocks(known, chosen.blocks, chosen.seed, into.done("affinity")))
    if left:
        where.have("host3", **{f"{kind}-{i}": {"kind": kind, "memory_mb": 128, **pairs.KINDS[kind]}
                               for kind in choose(rates) for i in (1, 2)})
        suspend(where, where.lab.guests)
        for host in where.lab.hosts.values():
            host.set_cores(1)
    for block, cell in left:
        with told("affinity", block, cell):
            into.append(*trial(where, block, cell, known[cell]))
    for cell in known:
        slowdowns = [rates.work(row["kind"]) / float(row["work_per_s"])
                     for row in into.rows("affinity") if row["cell"] == cell]
        print(f"{cell}: {statistics.geometric_mean(slowdowns):.3f} times as long as alone")


if __name__ == "__main__":
    stage.main(run, __doc__, hosts=3, link=LINK)
