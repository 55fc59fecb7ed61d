#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The checker of schedules finds what is wrong: every row is a schedule and the fault in it."""

import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from replay import Replay, waiting  # noqa: E402


def cluster(**more):
    hosts = [{"id": name, "cpu_cores": 8, "memory_bytes": 10, "labels": {"rack": rack}}
             for name, rack in (("h1", "r1"), ("h2", "r1"), ("h3", "r2"))]
    vms = [{"id": name, "host": host, "vcpus": 1, "memory_bytes": memory, "cpu_cores": 0.5}
           for name, host, memory in (("a", "h1", 6), ("b", "h2", 6), ("c", "h1", 3),
                                      ("d", "h3", 3), ("e", "h3", 3))]
    return {"hosts": hosts, "vms": vms, **more}


def step(vm, source, to, start, end):
    return {"vm": vm, "from": source, "to": to, "start_s": start, "end_s": end}


def with_vm(name, **values):
    made = cluster()
    next(vm for vm in made["vms"] if vm["id"] == name).update(values)
    return made


def with_host(name, **values):
    made = cluster()
    next(host for host in made["hosts"] if host["id"] == name).update(values)
    return made


APART = cluster(rules=[{"kind": "apart", "vms": ["c", "d"], "hard": True}])
RACKS = cluster(rules=[{"kind": "apart", "vms": ["c", "d"], "hard": True, "label": "rack"}])
TOGETHER = cluster(rules=[{"kind": "together", "vms": ["d", "e"], "hard": True}])
SOFT = cluster(rules=[{"kind": "apart", "vms": ["c", "d"], "hard": False}])
C_TO_H2 = step("c", "h1", "h2", 0, 1)
D_TO_H2 = step("d", "h3", "h2", 0, 1)

# (claim, cluster, steps, concurrency, words of the fault; None: there is none)
ROWS = [
    ("one that fits", cluster(), [C_TO_H2], 1, None),
    ("memory is full", cluster(), [step("a", "h1", "h2", 0, 1)], 1, "memory"),
    ("in flight counts on the source", cluster(),
     [step("a", "h1", "h3", 0, 2), step("b", "h2", "h1", 1, 3)], 1, "memory"),
    ("a swap by way of a third host", with_host("h3", memory_bytes=12),
     [step("a", "h1", "h3", 0, 1), step("b", "h2", "h1", 1, 2), step("a", "h3", "h2", 2, 3)], 1,
     None),
    ("not where the plan says", cluster(), [step("c", "h2", "h3", 0, 1)], 1, "the VM is on"),
    ("twice at the same time", cluster(), [step("c", "h1", "h2", 0, 2),
                                           step("c", "h2", "h3", 1, 3)], 1, "the VM is on"),
    ("two into one host", cluster(), [step("c", "h1", "h2", 0, 2), step("d", "h3", "h2", 1, 2)],
     1, "more than 1"),
    ("two into one host, two allowed", with_vm("d", memory_bytes=1),
     [step("c", "h1", "h2", 0, 2), step("d", "h3", "h2", 1, 2)], 2, None),
    ("one after the other", with_vm("d", memory_bytes=1),
     [step("c", "h1", "h2", 0, 2), step("d", "h3", "h2", 2, 3)], 1, None),
    ("not in starting order", cluster(), [step("c", "h1", "h2", 5, 6),
                                          step("d", "h3", "h1", 1, 2)], 1, "starting order"),
    ("pinned", with_vm("c", movable=False), [C_TO_H2], 1, "pinned"),
    ("blocked", with_vm("c", blocked="backup"), [C_TO_H2], 1, "blocked"),
    ("cooling down", with_vm("c", cooldown_until_s=9), [C_TO_H2], 1, "cooling"),
    ("not an allowed host", with_vm("c", hosts=["h1", "h3"]), [C_TO_H2], 1, "may not be there"),
    ("into maintenance", with_host("h2", state="maintenance"), [C_TO_H2], 1, "maintenance"),
    ("out of its pool", with_host("h2", pool="other"), [C_TO_H2], 1, "pool"),
    ("apart", APART, [step("c", "h1", "h3", 0, 1)], 1, "apart"),
    ("apart while both are in flight", APART,
     [step("c", "h1", "h2", 0, 2), step("d", "h3", "h2", 1, 3)], 2, "apart"),
    ("apart by rack", RACKS, [D_TO_H2], 1, "apart"),
    ("apart by rack, within the rack", RACKS, [C_TO_H2], 1, None),
    ("a soft rule may be broken", SOFT, [step("c", "h1", "h3", 0, 1)], 1, None),
    ("together at the end", TOGETHER, [D_TO_H2], 1, "not together"),
    ("an over-committed host may shed", with_host("h1", memory_bytes=5), [C_TO_H2], 1, None),
    ("an over-committed host takes nothing", with_host("h1", memory_bytes=5),
     [step("d", "h3", "h1", 0, 1)], 1, "memory"),
    ("no time at all", cluster(), [step("c", "h1", "h2", 1, 1)], 1, "no time"),
]


def main():
    print(f"1..{len(ROWS) + 1}")
    failed = 0
    for number, (claim, document, steps, concurrency, words) in enumerate(ROWS, 1):
        faults = Replay(document).run(steps, concurrency)
        good = not faults if words is None else any(words in fault for fault in faults)
        print(f"{'ok' if good else 'not ok'} {number} - {claim}")
        if not good:
            failed += 1
            print(f"# found {faults}")
    # M/M/1 at one half: 0.5 customers wait, exactly; M/M/2 at one half: 1/3, the formula 0.366.
    good = abs(waiting(1, 0.5) - 0.5) < 1e-12 and abs(waiting(2, 1.0) - 1 / 3) < 0.04
    print(f"{'ok' if good else 'not ok'} {len(ROWS) + 1} - queues as in the textbook")
    return 1 if failed or not good else 0


if __name__ == "__main__":
    sys.exit(main())
