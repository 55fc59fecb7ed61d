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

LINK, LINK_BYTES_PER_S = "2gbit", 250e6     # none of the kinds uses it; guests are soon moved
DISK_OPS_PER_S = 1e5                        # files in memory: their core is what runs out
OUT_OF = ("cpu", "memory-dirty", "disk-io")
PAUSE_MS = 2000                             # whoever dirties all the time has to be stopped
SETTLE_S, MEASURE_S = 3, 8


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
    made = where.told("plan", seen, "--drain", "host3", "--affinity", told_of, "--downtime-limit",
                      f"{PAUSE_MS}ms", "--no-store", "--json")
    return [(guests[step["vm"]]["name"], step["to"]) for step in made["steps"]]


def gather(where):
    """All on the host that they are to leave; only the two others are limited, now they are not."""
    for host in ("host1", "host2"):
        where.lab.hosts[host].set_cores(None)
    for name in where.lab.guests:
        if where.place(name) != "host3":
            where.lab.migrate(name, "host3", downtime_ms=PAUSE_MS)


def measure(where, experiment, block, cell):
    """Rows of table.RATES."""
    for host in ("host1", "host2"):
        where.lab.hosts[host].set_cores(1)
    with stage.Work(where.lab) as work:
        time.sleep(SETTLE_S)
        began = time.monotonic()
        time.sleep(MEASURE_S)
        ended = time.monotonic()
        time.sleep(pairs.LATE_S)
    if faults := where.faults():
        raise RuntimeError("; ".join(faults))
    guests = where.lab.guests
    places = {name: where.place(name) for name in guests}
    for name, guest in guests.items():
        beside = sorted(guests[other]["kind"] for other in guests
                        if other != name and places[other] == places[name])
        yield {"experiment": experiment, "block": block, "cell": cell, "vm": name,
               "kind": guest["kind"], "beside": "; ".join(beside),
               "work_per_s": work.rate(name, began, ended)}


def run(where, chosen):
    into = rates_of(chosen)
    rates = pairs.Rates(into.rows("pairs"))
    known = tables(rates)
    left = list(table.in_blocks(known, chosen.blocks, chosen.seed, into.done("affinity")))
    if left:
        where.have("host3", **{f"{kind}-{i}": {"kind": kind, "memory_mb": 128, **pairs.KINDS[kind]}
                               for kind in choose(rates) for i in (1, 2)})
    for block, cell in left:
        with told("affinity", block, cell):
            gather(where)
            for name, host in plan(where, known[cell]):
                where.lab.migrate(name, host, downtime_ms=PAUSE_MS)
            into.append(*measure(where, "affinity", block, cell))
    for cell in known:
        slowdowns = [rates.work(row["kind"]) / float(row["work_per_s"])
                     for row in into.rows("affinity") if row["cell"] == cell]
        print(f"{cell}: {statistics.geometric_mean(slowdowns):.3f} times as long as alone")


if __name__ == "__main__":
    stage.main(run, __doc__, hosts=3, link=LINK)
