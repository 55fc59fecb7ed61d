#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plans random clusters with everything that goes wrong in them, and looks at what comes out.

usage: soak.py --imig IMIG [--seed N] [--count N] [--keep DIRECTORY]

Each seed is a cluster (generate.py): rules, lists, pools, pinned, local and endless VMs, closed
hosts, flows, weights, a beginning that is broken; and options of the planner.  Every goal and
policy is asked.  What is looked at stands in the methods of Look; the library is only asked for
plans.  A seed runs in a process of its own, so that one that crashes is only one that failed.
Prints TAP: a line for all seeds together, and the seeds that failed.
"""

import argparse
import json
import os
import pathlib
import random
import sys

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
sys.path[:0] = [str(HERE), str(TOP / "tests" / "traces"), str(TOP / "tools" / "python")]
import generate  # noqa: E402
import imig as library  # noqa: E402
from replay import EPSILON, Replay, capacity, figures, host_value  # noqa: E402

POLICIES = ("informed", "paper", "least-loaded", "smallest-first", "largest-first", "random",
            "as-given")
# What a plan must gain to be made, about: of the loss, and in lost cores (lib/plan/worth.c).
WORTH, WORTH_CORES = 0.02, 0.01
RELIEF_PRICE = 10  # lost cores for each core above the threshold


def shape_of(rng):
    """Parameters of a cluster; about half of what can go wrong does."""
    def maybe(most):
        return rng.choice((0.0, 0.0, most / 3, most)) * rng.random()

    hosts = rng.choice((2, 3, 4, 6, 9, 14))
    return {
        "hosts": hosts, "vms": hosts * rng.choice((2, 4, 6, 10)),
        "cpu": rng.choice((0.3, 0.5, 0.7, 0.9, 1.3)), "memory": rng.choice((0.4, 0.7, 0.85, 0.95)),
        "skew": rng.choice((0.2, 1.0, 1.6)), "mixed": maybe(0.5),
        "pools": rng.choice((1, 1, 1, 2)) if hosts > 3 else 1, "classes": rng.choice((0.0, 1.0)),
        "flows": maybe(1.0), "rules": maybe(0.3), "fixed": maybe(0.3), "listed": maybe(0.4),
        "unmeasured": maybe(0.1), "endless": maybe(0.2), "local": maybe(0.3),
        "broken": maybe(0.6), "closed": maybe(0.3), "weights": maybe(0.5),
    }


def options_of(rng):
    """Numbers for the planner."""
    options = {}
    if rng.random() < 0.2:
        options["max_moves"] = rng.randint(0, 6)
    if rng.random() < 0.1:
        options["max_bytes"] = rng.choice((0.0, 8.0, 30.0)) * generate.GIB
    if rng.random() < 0.3:
        options["concurrency"] = rng.randint(1, 3)
    if rng.random() < 0.2:
        options["max_parallel"] = rng.randint(1, 4)
    if rng.random() < 0.2:
        options["threshold"] = rng.choice((0.5, 0.7, 0.95))
    if rng.random() < 0.6:
        options["noise_ratio"] = 0.0
    if rng.random() < 0.2:
        options["migrate_flags"] = rng.choice((library.COPY_DISKS, library.UNSAFE))
    if rng.random() < 0.3:
        options["order_by"] = rng.choice(library.ORDER_BY)
    options["explain"] = rng.random() < 0.3
    return options


# Goals with limits of their own, and why VMs stay where these are not kept.
STAYS = {"above-level", "too-large", "pinned", "blocked", "cooldown", "no-measurement",
         "local-disk", "will-not-converge", "group-fixed", "no-path", "budget", "no-host-fits",
         "not-selected"}
LIMITS = {"level": STAYS, "consolidate": STAYS | {"no-gain"}}


class Look:
    """One plan, and what is wrong with it."""

    def __init__(self, document, plan, goal, drained, options):
        self.document, self.plan, self.goal, self.drained = document, plan, goal, drained
        self.options = options
        self.vms = {vm["id"]: vm for vm in document["vms"]}
        self.hosts = {host["id"]: host for host in document["hosts"]}
        self.replay = Replay(document)
        self.start = self.replay.placement()
        steps = [{**step, "end_s": step["start_s"] + step["duration_s"]} for step in plan["steps"]]
        self.faults = self.replay.run(steps, options.get("concurrency", 1),
                                      options.get("max_parallel"))
        self.end = self.replay.placement()
        self.kept = {entry["vm"]: entry["reason"] for entry in plan.get("kept", [])}
        self.before, self.after = self.unmet(self.start), self.unmet(self.end)

    def unmet(self, on):
        """What is not as it must be: {what: (how much, VMs that are concerned)}."""
        found, used = {}, dict.fromkeys(self.hosts, 0.0)
        for vm, host in on.items():
            info = self.hosts[host]
            used[host] += self.vms[vm]["memory_bytes"] + info.get("vm_overhead_bytes", 0.0)
            if host not in self.vms[vm].get("hosts", [host]):
                found[f"{vm} may not be on its host"] = (1, [vm])
            if info.get("state") == "maintenance" or host in self.drained:
                found[f"{vm} is on a host to be emptied"] = (1, [vm])
        for host, bytes_used in used.items():
            over = bytes_used - capacity(self.hosts[host])
            if over > max(EPSILON * bytes_used, 1):
                found[f"{host} is over-committed"] = (over, [v for v in on if on[v] == host])
        for number, rule in enumerate(self.document["rules"]):
            values = [host_value(self.hosts[on[vm]], rule.get("label")) for vm in rule["vms"]]
            if rule["kind"] == "together":
                wrong = len(set(values)) - 1
            else:
                known = [value for value in values if value is not None]
                wrong = len(known) - len(set(known))
            if rule["hard"] and wrong:
                found[f"rule {number} is broken"] = (wrong, rule["vms"])
        return found

    def run(self):
        for part in (self.steps, self.worse, self.reasons, self.figures, self.budget, self.bytes,
                     self.whole):
            self.faults += part()
        return self.faults

    def steps(self):
        """VMs that must not move; what the document of a plan promises."""
        for step in self.plan["steps"]:
            vm = self.vms[step["vm"]]
            if any(not disk["shared"] for disk in vm.get("disks", [])) and \
                    not self.options.get("migrate_flags"):
                yield f"{vm['id']} moves with a local disk"
            if self.hosts[step["from"]].get("state") == "offline":
                yield f"{vm['id']} leaves a host that is offline"
            if not step["converges"]:
                yield f"{vm['id']} never converges"
            if not step["reason"]["code"] or not step["reason"]["text"]:
                yield f"{vm['id']} moves without a reason"
        unmet = {vm for _, vms in self.after.values() for vm in vms}
        for vm in self.vms:  # who goes where a rule is still broken says so
            if vm in self.kept and self.end[vm] != self.start[vm] and vm not in unmet:
                yield f"{vm} is kept and moves"

    def worse(self):
        """Nothing that is broken gets more broken, and nothing gets broken."""
        for what, (much, _) in self.after.items():
            had = self.before.get(what, (0, []))[0]
            if much > had * (1 + EPSILON):
                yield f"{what}: {much} where it was {had}"

    def reasons(self):
        """A plan says that it is incomplete exactly if something is not as it must be, and why."""
        unmet = dict(self.after)
        if self.goal == "relieve":
            unmet.update(self.overloaded())
        complete = self.plan.get("x-complete", True)
        if self.goal in LIMITS and not complete and not unmet:
            # Only the library knows its limits; whoever stays above says so.
            said = any(reason["code"] in LIMITS[self.goal] or "above its limits" in reason["text"]
                       for reason in self.kept.values())
            if not said and not self.plan["steps"]:
                yield "said to be incomplete, but nobody is above the limits"
            return
        if complete and unmet:
            yield f"said to be complete, but {'; '.join(unmet)}"
        if not complete and not unmet:
            yield "said to be incomplete, but everything is as it must be"
        for what, (_, vms) in unmet.items():
            if not any(vm in self.kept or self.end[vm] != self.start[vm] for vm in vms):
                yield f"{what}, and no VM is kept for a reason"
        for vm in self.vms if self.options["explain"] else ():
            if vm not in self.kept and self.end[vm] == self.start[vm]:
                yield f"{vm} stays and is not explained"
        for vm, reason in self.kept.items():
            if not reason["code"] or not reason["text"]:
                yield f"{vm} is kept without a reason"

    def demand(self, vm):
        return min(vm.get("cpu_cores", 0.0) + vm.get("cpu_wait_cores", 0.0), vm["vcpus"])

    def overloaded(self):
        """Hosts above the threshold, and by how many cores."""
        limit = self.options.get("threshold", 0.8)
        found = {}
        for host, info in self.hosts.items():
            mine = [vm for vm in self.vms if self.end[vm] == host]
            over = sum(self.demand(self.vms[vm]) for vm in mine) - limit * info["cpu_cores"]
            if over > 1e-9 * info["cpu_cores"]:
                found[f"{host} is overloaded"] = (over, mine)
        return found

    def figures(self):
        """Totals, computed anew; the bound is one."""
        active = [host for host in self.hosts.values() if host.get("state", "active") == "active"]
        for name, on in (("before", self.start), ("after", self.end)) if active else ():
            wanted = figures(self.document, on)
            del wanted["overloaded_hosts"]
            if any("weight" in vm for vm in self.vms.values()):
                del wanted["waiting"]
            for key, value in wanted.items():
                stated = self.plan[name]["contention" if key == "waiting" else key]
                wrong = (stated < value * (1 - 1e-6) - 1e-9 if key == "waiting"
                         else abs(stated - value) > 1e-6 * max(1, abs(value)))
                if wrong:
                    yield f"{name}.{key} is {stated}, not {value}"
        reached = self.plan["after"]["contention"] + self.plan["migration_loss"]
        if self.plan["loss_bound"] > reached * (1 + 1e-9) + 1e-12:
            yield f"the bound {self.plan['loss_bound']} is above the {reached} that is reached"

    def budget(self):
        moved = [vm for vm in self.vms if self.end[vm] != self.start[vm]]
        if len(moved) > self.options.get("max_moves", len(moved)):
            yield f"{len(moved)} VMs move"
        size = sum(self.vms[vm]["memory_bytes"] for vm in moved)
        if size > self.options.get("max_bytes", size):
            yield f"{size} bytes move"

    def bytes(self):
        """What a plan says of the memory that moves, and of what must."""
        said = self.plan.get("x-figures", {})
        moved = sum(self.vms[step["vm"]]["memory_bytes"] for step in self.plan["steps"])
        if abs(said.get("moved_bytes", 0) - moved) > 1e-9 * moved:
            yield f"moves {moved} bytes and says {said.get('moved_bytes', 0)}"
        if said.get("moved_bytes_bound", 0) > moved * (1 + 1e-9):
            yield f"moves {moved} bytes where {said['moved_bytes_bound']} are needed"
        if self.goal == "level" and self.plan.get("x-complete", True):
            if max(said.get("cpu_to_mean", 0), said.get("memory_to_mean", 0)) > 1.1 + 1e-8:
                yield f"said to be complete, but {said}"

    def whole(self):
        """Goal consolidate: hosts are emptied whole; as many are in use as are said to be."""
        if self.goal != "consolidate":
            return
        said, used = self.plan.get("x-figures", {}), set(self.end.values())
        empty, needed = said.get("empty_hosts", []), said.get("hosts_in_use", 0)
        for step in self.plan["steps"]:
            if step["reason"]["code"] == "frees-host" and step["from"] in used:
                yield f"{step['from']} is half emptied"
        yield from (f"{host} is said to be empty" for host in empty if host in used)
        active = [host for host in self.hosts.values() if host.get("state", "active") == "active"]
        if needed + len(empty) != len(active):
            yield f"{needed} in use and {len(empty)} empty of {len(active)} hosts"
        if said.get("hosts_in_use_bound", 0) > needed:
            yield f"{said['hosts_in_use_bound']} hosts needed and {needed} in use"

    def loss(self):
        """How many things are unmet, how much of each, and lost cores."""
        over = sum(much for much, _ in self.overloaded().values())
        return (len(self.after), {what: much for what, (much, _) in self.after.items()},
                self.plan["after"]["loss"] + self.plan["migration_loss"] +
                (RELIEF_PRICE * over if self.goal == "relieve" else 0.0))


def goals(rng, document):
    """(goal, hosts to empty)"""
    names = [host["id"] for host in document["hosts"]]
    return [("balance", []), ("relieve", []), ("level", []), ("consolidate", []),
            ("drain", rng.sample(names, rng.randint(1, max(1, len(names) // 3))))]


def read_back(cluster, plan, look):
    """The document of a plan says all; applied, it leads where the replay says."""
    again = library.Plan.from_json(plan.to_json())
    if again.to_json() != plan.to_json():
        yield "read back, it is another plan"
    after = json.loads(plan.apply(cluster).to_json())
    if {vm["id"]: vm["host"] for vm in after["vms"]} != look.end:
        yield "applied, it leads elsewhere"


def is_worse(mine, other, options):
    """By what is unmet first; where that is the same, by the loss, as far as it must be gained.
    With a ratio of noise a plan may be refused that gains less than errors could pretend."""
    if mine[1] == other[1] and options.get("noise_ratio") == 0:
        return mine[2] > other[2] * (1 + WORTH) + WORTH_CORES
    return mine[0] > other[0]


def soak(seed):
    """(document, faults) of one seed."""
    rng = random.Random(seed)
    document = generate.make(seed, **shape_of(rng))
    options = options_of(rng)
    cluster = library.Cluster.from_json(document)
    faults = []
    for goal, drained in goals(rng, document):
        losses = {}
        for policy in POLICIES if goal not in LIMITS else ("informed", "least-loaded"):
            plan = library.plan(cluster, goal, policy, drain=drained, seed=seed, **options)
            look = Look(document, json.loads(plan.to_json()), goal, drained, options)
            found = look.run()
            if policy == "informed":
                found += read_back(cluster, plan, look)
            faults += [f"{goal} {' '.join(drained)} {policy} {options}: {fault}" for fault in found]
            losses[policy] = look.loss()
        if goal in LIMITS:
            continue  # bytes and hosts come first there
        if {"max_moves", "max_bytes"} & set(options) or options.get("concurrency", 1) > 1:
            # What is spent on one thing is missing for another; and on a shared link the sequence
            # decides who converges, which is not compared here.
            continue
        mine = losses["informed"]
        for policy, other in losses.items():
            if is_worse(mine, other, options):
                faults.append(f"{goal} {' '.join(drained)} {options}: informed leaves {mine[0]} "
                              f"unmet and {mine[2]:.6f}, {policy} {other[0]} and {other[2]:.6f}")
    return document, faults


def in_child(seed, keep):
    """Soaks in another process; its faults, or the signal that it died of."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(readable)
        document, faults = soak(seed)
        if faults and keep:
            (pathlib.Path(keep) / f"soak-{seed}.json").write_text(json.dumps(document))
        with os.fdopen(writable, "w") as pipe:
            json.dump(faults, pipe)
        os._exit(0)
    os.close(writable)
    with os.fdopen(readable) as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    return json.loads(text) if status == 0 else [f"the process ended with status {status}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--imig", required=True)
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--keep", help="leave the clusters that failed in this directory")
    options = parser.parse_args()

    library.load(str(pathlib.Path(options.imig).resolve().parents[1] / "lib" / "libimig.so.0"))
    if options.keep:
        pathlib.Path(options.keep).mkdir(parents=True, exist_ok=True)
    failed = []
    for seed in range(options.seed, options.seed + options.count):
        faults = in_child(seed, options.keep)
        if faults:
            failed.append(seed)
        for fault in faults[:10]:
            print(f"# seed {seed}: {fault}", flush=True)
    print("1..1")
    print(f"{'not ok' if failed else 'ok'} 1 - plans of {options.count} random clusters")
    if failed:
        print(f"# seeds: {' '.join(map(str, failed))}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
