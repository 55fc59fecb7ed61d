#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compares plans with the exact optimum of small clusters: contention and migrations, no rules.

usage: optimum.py --imig IMIG [--size HOSTSxVMS]... [--seeds N] [--memory RATIO]... [--time SECONDS]
                  [--priced] [--keep DIRECTORY]

Where is each VM best, if what counts is the sum over hosts of the vCPUs that wait (convex in the
host's demand) and what each VM that leaves home loses by it, within memory?  A mixed-integer
program, solved by HiGHS: binary x[v, h], and for each host a cost above tangents of its curve.
Tangents are below a convex curve, so that what the solver proves is a lower bound; the true cost of
the placement it finds is an upper one.  Tangents are added where the placement is until both are
within 0.05 % of what can be gained: that is the optimum.  Of the way there it only knows that a VM
in flight needs its memory twice: one that is larger than all that is free cannot move.

A plan has to gain more than that: each move some times its loss and the work of its hosts
(--gain-ratio).  So there is a second optimum, of what the search makes small: --priced.

Prints, for each cluster, bound, optimum and plan, and how much of what the optimum gains is left.
Needs Debian's python3-scipy, therefore /usr/bin/python3.  Ends with 1 only where a proof is
contradicted: a bound above the optimum, or a plan below what nothing can be below.
"""

import argparse
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
sys.path[:0] = [str(HERE), str(TOP / "tests" / "traces"), str(TOP / "tools" / "python")]
import generate  # noqa: E402
import imig as library  # noqa: E402
from replay import capacity, waiting  # noqa: E402

try:
    import numpy
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import coo_matrix
except ImportError as missing:
    print(f"skipped: {missing} (Debian: python3-scipy)")
    sys.exit(77)

PROVED = 0.0005   # of what can be gained
HORIZON_S = 3600

# What leaving costs the search, by default (lib/plan/planner.c): core-seconds of both hosts.
GAIN_RATIO, WORK_S, WORK_S_PER_BYTE = 3, 1.5, 1e-9
SIZES = [(4, 24), (6, 36), (8, 48)]


def slope(cores, demand):
    """Of waiting(): its derivative by demand."""
    u, power = min(demand / cores, 0.9), math.sqrt(2 * (cores + 1))
    return u ** power / (1 - u) * (power / u + 1 / (1 - u)) / cores if u > 0 else 0.0


class Problem:
    def __init__(self, document, priced):
        self.hosts, self.vms = document["hosts"], document["vms"]
        self.number = {host["id"]: i for i, host in enumerate(self.hosts)}
        self.home = [self.number[vm["host"]] for vm in self.vms]
        self.demand = [min(vm["cpu_cores"], vm["vcpus"]) for vm in self.vms]
        cluster = library.Cluster.from_json(document)
        self.leaving = []
        for vm, home, demand in zip(self.vms, self.home, self.demand):
            other = self.hosts[(home + 1) % len(self.hosts)]["id"]  # their links are all alike
            cost = library.predict_sequence(cluster, [(vm["id"], other)])[0]
            loss = demand * (cost.slowdown_ratio * cost.time_s + cost.downtime_s)
            work = WORK_S + WORK_S_PER_BYTE * cost.transferred_bytes
            self.leaving.append((GAIN_RATIO * (loss + work) if priced else loss) / HORIZON_S)
        free = sum(map(capacity, self.hosts)) - sum(vm["memory_bytes"] for vm in self.vms)
        self.stuck = [vm["memory_bytes"] > free for vm in self.vms]
        self.points = [self.first_points(host["cpu_cores"]) for host in self.hosts]

    def first_points(self, cores):
        most = max(sum(self.demand) / cores, 1.0)
        return {0.25, *(0.4 + 0.5 * i / 24 for i in range(25)), most}

    def cost(self, placement):
        """Lost cores of contention and of migrations."""
        load = self.loads(placement)
        return (sum(waiting(host["cpu_cores"], cores) for host, cores in zip(self.hosts, load)) +
                sum(leaving for leaving, home, host in zip(self.leaving, self.home, placement)
                    if home != host))

    def loads(self, placement):
        load = [0.0] * len(self.hosts)
        for host, demand in zip(placement, self.demand):
            load[host] += demand
        return load

    def constraints(self):
        """Columns: x of every VM and host, then the cost of every host."""
        hosts, vms = len(self.hosts), len(self.vms)
        rows = []  # (least, most, [(column, value)])
        for vm in range(vms):
            rows.append((1, 1, [(vm * hosts + host, 1.0) for host in range(hosts)]))
        sizes = [vm["memory_bytes"] / generate.GIB for vm in self.vms]
        for host, info in enumerate(self.hosts):
            rows.append((-math.inf, capacity(info) / generate.GIB,
                         [(vm * hosts + host, sizes[vm]) for vm in range(vms)]))
            for u in sorted(self.points[host]):
                at = u * info["cpu_cores"]
                rise = slope(info["cpu_cores"], at)
                rows.append((waiting(info["cpu_cores"], at) - rise * at, math.inf,
                             [(vms * hosts + host, 1.0)] +
                             [(vm * hosts + host, -rise * self.demand[vm]) for vm in range(vms)]))
        cells = [(row, column, value) for row, (_, _, filled) in enumerate(rows)
                 for column, value in filled]
        row, column, value = zip(*cells)
        matrix = coo_matrix((value, (row, column)), shape=(len(rows), (vms + 1) * hosts))
        return LinearConstraint(matrix.tocsr(), [least for least, _, _ in rows],
                                [most for _, most, _ in rows])

    def solve(self, gap, limit_s):
        """(placement, what is proved to be below every placement) with the tangents there are."""
        hosts, vms = len(self.hosts), len(self.vms)
        cost = numpy.concatenate((numpy.repeat(self.leaving, hosts), numpy.ones(hosts)))
        least = numpy.zeros(len(cost))
        for vm, home in enumerate(self.home):
            cost[vm * hosts + home] = 0
            least[vm * hosts + home] = self.stuck[vm]
        binary = numpy.concatenate((numpy.ones(hosts * vms), numpy.zeros(hosts)))
        found = milp(cost, integrality=binary, constraints=self.constraints(),
                     bounds=Bounds(least, numpy.where(binary > 0, 1, math.inf)),
                     options={"time_limit": limit_s, "mip_rel_gap": gap})
        below = found.mip_dual_bound or 0.0
        if found.x is None:
            return None, below
        chosen = numpy.reshape(found.x[:hosts * vms], (vms, hosts))
        return [int(host) for host in chosen.argmax(axis=1)], below

    def optimum(self, start, limit_s):
        """(least cost found, what is proved to be below all): they are near when it is proved."""
        best, below = self.cost(start), 0.0
        before = self.cost(self.home)
        end = time.monotonic() + limit_s
        self.add_points(start)
        while best - below > PROVED * (before - best) and time.monotonic() < end:
            gap = max(PROVED / 2 * (before - best) / max(best, 1e-9), 1e-7)
            placement, proved = self.solve(gap, end - time.monotonic())
            below = max(below, proved)
            if placement is None:
                break
            best = min(best, self.cost(placement))
            self.add_points(placement)
        return best, below

    def add_points(self, placement):
        for points, host, load in zip(self.points, self.hosts, self.loads(placement)):
            points.add(load / host["cpu_cores"])


def find_faults(plan, mine, best, below):
    """What contradicts a proof; mine: the plan's cost, computed anew."""
    claimed = plan["after"]["contention"] + plan["migration_loss"]
    if plan["loss_bound"] > best * (1 + 1e-6):
        yield f"bound {plan['loss_bound']:.6f} is above the optimum {best:.6f}"
    if claimed < mine * (1 - 1e-4) - 1e-6:
        yield f"the plan says {claimed:.6f} and is {mine:.6f}"
    if mine < below * (1 - 1e-6):
        yield f"the plan is {mine:.6f}, and {below:.6f} is least"


def compare(options, folder, seed, hosts, vms, memory):
    """A row: of the plan, the optimum, the bound, and faults."""
    document = generate.make(seed, hosts=hosts, vms=vms, memory=memory, mixed=0.3 * (seed % 2),
                             cpu=(0.45, 0.6, 0.75)[seed % 3])
    path = folder / f"optimum-{hosts}x{vms}-{seed}-{round(100 * memory)}.json"
    path.write_text(json.dumps(document))
    plan = json.loads(subprocess.run([options.imig, "plan", path, "--no-store", "--json"],
                                     check=True, stdin=subprocess.DEVNULL,
                                     capture_output=True).stdout)
    problem = Problem(document, options.priced)
    on = {vm["id"]: vm["host"] for vm in document["vms"]}
    on.update((step["vm"], step["to"]) for step in plan["steps"])
    placement = [problem.number[on[vm["id"]]] for vm in document["vms"]]
    before, mine = problem.cost(problem.home), problem.cost(placement)
    began = time.monotonic()
    best, below = problem.optimum(placement, options.time)
    took = time.monotonic() - began
    gain = before - best
    faults = [] if options.priced else list(find_faults(plan, mine, best, below))
    return {"gain": gain, "left": (mine - best) / gain if gain > 0 else 0.0,
            "open": (best - below) / gain if gain > 0 else 0.0, "faults": faults,
            "text": f"{hosts:2}x{vms:<3} seed {seed:2} memory {memory:.0%}: before {before:9.4f}, "
                    f"bound {plan['loss_bound']:8.4f}, optimum {below:8.4f} .. {best:8.4f}, plan "
                    f"{mine:8.4f} with {len(plan['steps']):2} steps, {took:5.1f} s"}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--imig", required=True)
    parser.add_argument("--size", action="append")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--memory", action="append", type=float)
    parser.add_argument("--time", type=float, default=60, help="of proving each")
    parser.add_argument("--priced", action="store_true")
    parser.add_argument("--keep", help="leave the clusters in this directory")
    options = parser.parse_args()

    sizes = [tuple(map(int, size.split("x"))) for size in options.size or []] or SIZES
    library.load(str(pathlib.Path(options.imig).resolve().parents[1] / "lib" / "libimig.so.0"))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        if options.keep:
            folder = options.keep
            pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        for hosts, vms in sizes:
            for memory in options.memory or (0.6, 0.85):
                for seed in range(options.first_seed, options.first_seed + options.seeds):
                    row = compare(options, pathlib.Path(folder), seed, hosts, vms, memory)
                    rows.append(row)
                    proof = "" if row["open"] <= PROVED else f"; open {row['open']:.2%}"
                    print(f"{row['text']}: {row['left']:.3%} left{proof}", flush=True)
                    for fault in row["faults"]:
                        print(f"    contradiction: {fault}")
    gain = sum(row["gain"] for row in rows)
    left = sum(row["left"] * row["gain"] for row in rows)
    print(f"{len(rows)} clusters, {sum(row['open'] <= PROVED for row in rows)} proved: of the gain "
          f"{left / gain:.3%} is left in all, at worst {max(row['left'] for row in rows):.3%}; "
          f"above 1 %: {sum(row['left'] > 0.01 for row in rows)}")
    return 1 if any(row["faults"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
