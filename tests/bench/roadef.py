#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Machine reassignment (ROADEF/EURO challenge 2012): how far plans carry in a foreign model.

usage: roadef.py --imig IMIG [--data DIRECTORY] [--seconds N] [--only TEXT]

Machines become hosts, processes VMs, services hard apart rules.  Of the resources a host knows
four: CPU, memory, and two directions of a network, all but memory full enough at the safety
capacity that something waits.  So each round plans once for every resource whose safety capacity is
exceeded, with that one as CPU, the tightest of the others as memory and, every other time, the next
as network.  It carries out the steps, each of which has to keep every hard constraint of the
challenge (capacities, transient use, conflict, spread, dependency) and must not cost more than it
brings; the others are left out.

Prints the objective before, after, and the best that is known, computed here from the definition
and compared with the cost that is stored with the instance.
"""

import argparse
import itertools
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
FULL = 0.75       # CPU utilisation of a host that is at its safety capacity; assumed
MEAN_CORES = 16.0


class Instance:
    def __init__(self, folder, name):
        self.name = name
        words = iter(map(int, (folder / f"model_{name}.txt").read_text().split()))

        def take(n):
            return [next(words) for _ in range(n)]

        resources = next(words)
        self.transient, self.load_weight = zip(*(take(2) for _ in range(resources)))
        machines = next(words)
        self.resources, self.machines = range(resources), range(machines)
        rows = [take(2 + 2 * resources + machines) for _ in self.machines]
        self.neighbourhood, self.location = [r[0] for r in rows], [r[1] for r in rows]
        self.capacity = [r[2:2 + resources] for r in rows]
        self.safety = [r[2 + resources:2 + 2 * resources] for r in rows]
        self.machine_move = [r[2 + 2 * resources:] for r in rows]
        self.spread, self.needs = [], []
        for _ in range(next(words)):
            self.spread.append(next(words))
            self.needs.append(take(next(words)))
        rows = [take(2 + resources) for _ in range(next(words))]
        self.processes = range(len(rows))
        self.service = [r[0] for r in rows]
        self.use, self.move_cost = [r[1:-1] for r in rows], [r[-1] for r in rows]
        self.balances = [(take(3), next(words)) for _ in range(next(words))]
        self.move_weights = take(3)
        self.home = list(map(int, (folder / f"assignment_{name}.txt").read_text().split()))
        self.members = [[] for _ in self.spread]
        for process, service in enumerate(self.service):
            self.members[service].append(process)
        self.needed_by = [[] for _ in self.spread]
        for service, needs in enumerate(self.needs):
            for other in needs:
                self.needed_by[other].append(service)


class Assignment:
    """Where every process is; what is used; moves that keep the hard constraints."""

    def __init__(self, instance):
        self.i, self.on = instance, list(instance.home)
        self.used = [[0] * len(instance.resources) for _ in instance.machines]
        for process in instance.processes:
            self.add(self.used[self.on[process]], process)
        self.left = [[0] * len(instance.resources) for _ in instance.machines]  # transient
        self.moved = [0] * len(instance.spread)

    def add(self, sums, process, sign=1):
        for resource, use in enumerate(self.i.use[process]):
            sums[resource] += sign * use

    def cost_of(self, machine):
        i, used = self.i, self.used[machine]
        cost = sum(i.load_weight[r] * max(0, used[r] - i.safety[machine][r]) for r in i.resources)
        free = [i.capacity[machine][r] - used[r] for r in i.resources]
        return cost + sum(weight * max(0, target * free[a] - free[b])
                          for (a, b, target), weight in i.balances)

    def cost_of_moves(self, process):
        i, home, on = self.i, self.i.home[process], self.on[process]
        if home == on:
            return 0
        return i.move_weights[0] * i.move_cost[process] + \
            i.move_weights[2] * i.machine_move[home][on]

    def cost(self):
        return (sum(map(self.cost_of, self.i.machines)) +
                sum(map(self.cost_of_moves, self.i.processes)) +
                self.i.move_weights[1] * max(self.moved))

    def fits(self, process, machine):
        i, home = self.i, self.i.home[process]
        for r in i.resources:
            use = i.use[process][r]
            there = self.used[machine][r] + self.left[machine][r]
            if i.transient[r] and machine == home:
                use = 0  # what it left behind is still counted
            if there + use > i.capacity[machine][r]:
                return False
        return True

    def keeps_services(self, process, machine):
        i, service = self.i, self.i.service[process]
        others = [self.on[p] for p in i.members[service] if p != process]
        if machine in others:
            return False
        if len({i.location[m] for m in [*others, machine]}) < i.spread[service]:
            return False
        here = {i.neighbourhood[m] for m in [*others, machine]}
        for needed in i.needs[service]:
            if not here <= {i.neighbourhood[self.on[p]] for p in i.members[needed]}:
                return False
        return all({i.neighbourhood[self.on[p]] for p in i.members[user]} <= here
                   for user in i.needed_by[service])

    def shift(self, process, machine):
        i, home, was = self.i, self.i.home[process], self.on[process]
        self.add(self.used[was], process, -1)
        self.add(self.used[machine], process)
        for r in i.resources:
            if i.transient[r]:
                self.left[home][r] += i.use[process][r] * ((was == home) - (machine == home))
        self.moved[i.service[process]] += (was == home) - (machine == home)
        self.on[process] = machine

    def try_move(self, process, machine):
        """Moves it where nothing forbids it and it costs no more than before."""
        was = self.on[process]
        if not self.fits(process, machine) or not self.keeps_services(process, machine):
            return False

        def cost():
            return self.cost_of(was) + self.cost_of(machine) + self.cost_of_moves(process)

        before = cost()
        self.shift(process, machine)
        if cost() <= before:
            return True
        self.shift(process, was)
        return False


def excess(assignment):
    """Of every resource: what load above the safety capacities costs."""
    i = assignment.i
    return [i.load_weight[r] * sum(max(0, assignment.used[m][r] - i.safety[m][r])
                                   for m in i.machines) for r in i.resources]


def roles(assignment, cpu, network):
    """The resources that stand for CPU, memory and the two directions of the network, or None."""
    i = assignment.i

    def share(r):
        return sum(used[r] for used in assignment.used) / max(sum(c[r] for c in i.capacity), 1)

    others = sorted((r for r in i.resources if r != cpu), key=share, reverse=True)
    return [cpu, *others[:3 if network else 1], None, None, None][:4]


def make_cluster(assignment, cpu, network):
    i = assignment.i
    cpu, memory, rx, tx = roles(assignment, cpu, network)

    def of(row, resource):
        return row[resource] if resource is not None else 0

    scale = FULL * MEAN_CORES * len(i.machines) / max(sum(s[cpu] for s in i.safety), 1)
    # A host has one capacity for both directions: what is received is scaled to what is sent.
    ratio = (sum(of(s, tx) for s in i.safety) or 1) / (sum(of(s, rx) for s in i.safety) or 1)
    hosts = [{"id": f"m{m}", "cpu_cores": max(safety[cpu] * scale / FULL, 1e-3),
              "memory_bytes": max(of(i.capacity[m], memory), 1), "migration_bytes_per_s": 1e12,
              "net_bytes_per_s": max(of(safety, tx) or of(safety, rx) * ratio, 1) / FULL}
             for m, safety in enumerate(i.safety)]
    vms = [{"id": f"p{p}", "host": f"m{assignment.on[p]}", "class": "idle",
            "vcpus": max(math.ceil(use[cpu] * scale), 1), "cpu_cores": use[cpu] * scale,
            "memory_bytes": max(of(use, memory), 1e-6),
            "net_rx_bytes_per_s": of(use, rx) * ratio, "net_tx_bytes_per_s": of(use, tx)}
           for p, use in enumerate(i.use)]
    rules = [{"kind": "apart", "vms": [f"p{p}" for p in members], "hard": True}
             for members in i.members if len(members) > 1]
    return {"format": "imig-cluster/1", "hosts": hosts, "vms": vms, "rules": rules}


def carry_out(assignment, steps):
    """How many could be taken; what makes room for others is tried first or again."""
    taken = 0
    while steps:
        left = [step for step in steps if not assignment.try_move(*step)]
        if len(left) == len(steps):
            break
        taken += len(steps) - len(left)
        steps = left
    return taken


def plan(imig, document, folder):
    path = folder / "cluster.json"
    path.write_text(json.dumps(document))
    done = subprocess.run([imig, "plan", path, "--no-store", "--json", "--gain-ratio", "0",
                           "--noise-ratio", "0"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):
        raise RuntimeError(done.stderr.strip())
    return [(int(step["vm"][1:]), int(step["to"][1:])) for step in json.loads(done.stdout)["steps"]]


def improve(imig, assignment, folder, limit_s):
    """(steps planned, steps taken); ends where nothing can be taken any more, or with the time."""
    planned = taken = in_vain = 0
    end = time.monotonic() + limit_s
    for number in itertools.count():
        before = taken
        costs = excess(assignment)
        for cpu in sorted(assignment.i.resources, key=lambda r: -costs[r]):
            if costs[cpu] == 0 or time.monotonic() > end:
                continue
            steps = plan(imig, make_cluster(assignment, cpu, number % 2), folder)
            planned += len(steps)
            taken += carry_out(assignment, steps)
        in_vain = in_vain + 1 if taken == before else 0
        if in_vain == 2 or time.monotonic() > end:
            return planned, taken


def best_known(folder):
    best = {}
    for line in (folder / "best.tsv").read_text().splitlines()[1:]:
        name, value, _ = line.split("\t")
        best[name] = min(int(value), best.get(name, int(value)))
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--imig", required=True)
    parser.add_argument("--data")
    parser.add_argument("--seconds", type=float, default=60, help="for each instance at most")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    shared = pathlib.Path(os.environ.get("IMIG_SHARED", TOP.parent / "shared"))
    data = pathlib.Path(options.data or shared / "data" / "roadef2012")
    names = sorted(path.stem[len("model_"):] for path in data.glob("model_*.txt"))
    if not names:
        print(f"skipped: {data} has no instances")
        return 77
    best = best_known(data)
    print(f"{'instance':8} {'machines':>8} {'procs':>6} {'res':>3} {'before':>14} {'after':>14} "
          f"{'best known':>14} {'of the gain':>11} {'planned':>7} {'taken':>6} {'s':>6}")
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in (name for name in names if options.only in name):
            began = time.monotonic()
            assignment = Assignment(Instance(data, name))
            before = assignment.cost()
            stored = int((data / f"original_cost_{name}.txt").read_text())
            if abs(before - stored) > 10:  # stored rounded
                print(f"{name}: the cost is {before}, stored is {stored}")
                wrong += 1
            planned, taken = improve(options.imig, assignment, pathlib.Path(folder),
                                     options.seconds)
            after, i = assignment.cost(), assignment.i
            gained = (before - after) / max(before - best[name], 1) if name in best else math.nan
            print(f"{name:8} {len(i.machines):8} {len(i.processes):6} {len(i.resources):3} "
                  f"{before:14} {after:14} {best.get(name, 0):14} {gained:11.1%} {planned:7} "
                  f"{taken:6} {time.monotonic() - began:6.1f}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
