#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plans the balancing scenarios of credativ/proxlb-solver and compares what they expect.

usage: run.py --imig IMIG [--only TEXT] [--data DIRECTORY]

The scenarios are read from DIRECTORY, or data/proxlb-scenarios of IMIG_SHARED, by default ../shared
beside this tree; where they are not there, all is skipped.  How they become clusters stands in
scenarios.py.  Their placements follow from another objective: least spread of load, whatever it
costs, where imig asks what work is lost.  What is expected differently stands in DIFFERENT, with
the reason; everything else must come out as expected, and a difference that is not there any more
fails, too.  Prints TAP.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
sys.path[:0] = [str(HERE), str(TOP / "tests" / "traces")]
import scenarios  # noqa: E402
from replay import EPSILON, Replay, capacity  # noqa: E402

MEMORY = "memory is a capacity, not a queue: a host that is full of it loses no work"
BUSY = "its vCPUs are taken for busy, and the CPU counts as well"
STORAGE = "space on disks is not a load of the model, and a copied disk costs time"
VCPUS = "vCPUs that do nothing may be promised more often than there are cores"
HOST_PRESSURE = "what a node suffers beside its VMs is not in the model"
ALIKE = "either host is as good as the other: the VM that is cheaper to move goes"
NEVER_THERE = "a VM is never put where it may not be, not even on its way"

LESS = "the spread is not less"
DIFFERENT = {
    "basic-balanciness_aggressive": {LESS: MEMORY},
    "basic-cpu_assigned_rebalance": {LESS: VCPUS},
    "basic-cpu_dual_strategy": {"vm-2 is on node-A, not on node-B": VCPUS},
    "basic-cpu_threshold_exceeded": {
        "exit status 3 (vm-1: no-host-fits)": "vm-1 alone is above the threshold: that is said"},
    "basic-disk_rebalance": {LESS: STORAGE},
    "basic-global_smart_io_space": {"vm-disk-user is on node-A, not on node-B": STORAGE},
    "basic-global_smart_rebalance": {"vm-ram-hog is on node-B, not on node-A": MEMORY},
    "basic-io_smart_rebalance": {LESS: STORAGE},
    "basic-memory_smart_rebalance": {LESS: MEMORY},
    "basic-memory_threshold_exceeded": {"vm-2 is on node-A, not on node-B": MEMORY, LESS: MEMORY},
    "basic-priority_balancing": {"vm-prod is on node-A, not on node-B": ALIKE},
    "basic-priority_psi": {"vm-high is on node-A, not on node-B": ALIKE},
    "constraints-cpu_reservation": {"vm-1 is on node-A, not on node-B": VCPUS},
    "constraints-cpu_smart_maintenance": {
        "vm-heavy is on node-B, not on node-C": HOST_PRESSURE,
        "vm-stalling is on node-C, not on node-B": HOST_PRESSURE},
    "infeasible-cpu_overflow": {
        "exit status 0 where not everything can be reached": VCPUS,
        "everything is met although it cannot be": VCPUS},
    "migration-circular_swap": {"vm-a is on node-C, not on node-B": "node-C is allowed, too, and "
                                "one migration less"},
    "migration-io_smart_cycle": {"vm-a is on node-A, not on node-B": STORAGE,
                                 "vm-b is on node-B, not on node-A": STORAGE},
    "migration-pve_anti_affinity_swap": {
        "vm-a may not be on node-A": NEVER_THERE, "vm-b may not be on node-B": NEVER_THERE,
        "exit status 3 (vm-a: no-host-fits, vm-b: no-host-fits)": NEVER_THERE,
        "vm-a is on node-A, not on node-B": NEVER_THERE,
        "vm-b is on node-B, not on node-A": NEVER_THERE},
    "real-world-dev_cluster_no_threshold_migrates": {LESS: MEMORY},
    "real-world-homelab_balanciness3_migrates": {LESS: BUSY},
}


class Expected:
    """What a scenario expects, against what was planned."""

    def __init__(self, scenario, cluster, plan, status):
        self.scenario, self.cluster, self.expect = scenario, cluster, scenario["expect"]
        self.plan, self.status = plan, status
        self.replay = Replay(cluster)
        steps = [{**step, "end_s": step["start_s"] + step["duration_s"]} for step in plan["steps"]]
        balancing = scenario["balancing"]
        self.faults = self.replay.run(steps, balancing.get("max_node_inflow", 1),
                                      balancing.get("max_parallel_migrations"))
        self.placement = self.replay.placement()

    def broken(self):
        """Every constraint that does not hold at the end."""
        hosts, on = self.replay.hosts, self.placement
        for host in hosts.values():
            if self.replay.used[host["id"]] > capacity(host) * (1 + EPSILON):
                yield f"{host['id']} is over-committed"
        for vm in self.cluster["vms"]:
            if on[vm["id"]] not in vm.get("hosts", hosts):
                yield f"{vm['id']} may not be on {on[vm['id']]}"
            if hosts[on[vm["id"]]].get("state", "active") != "active":
                yield f"{vm['id']} is on {on[vm['id']]} in maintenance"
        if self.scenario.get("evacuate_node") in on.values():
            yield f"{self.scenario['evacuate_node']} is not empty"
        for rule in self.cluster["rules"]:
            places = [on[vm] for vm in rule["vms"]]
            wanted = 1 if rule["kind"] == "together" else len(places)
            if rule["hard"] and len(set(places)) != wanted:
                yield f"{' '.join(rule['vms'])} are not {rule['kind']}"

    def recognised(self):
        """What cannot be is said, with a reason."""
        broken = list(self.broken())
        if self.status != 3:
            yield f"exit status {self.status} where not everything can be reached"
        if not broken:
            yield "everything is met although it cannot be"
        kept = [vm for vm in self.plan["kept"] if vm["reason"]["code"] and vm["reason"]["text"]]
        if not kept:
            yield "no reason is given"

    def reached(self):
        yield from self.broken()
        if self.status != 0:
            reasons = ", ".join(f"{vm['vm']}: {vm['reason']['code']}" for vm in self.plan["kept"])
            yield f"exit status {self.status} ({reasons})"

    def agreed(self):
        """What another objective would have otherwise."""
        for vm, wanted in self.expect.get("placements", {}).items():
            where = self.placement[wanted[3:]] if wanted.startswith("== ") else wanted
            if self.placement[vm] != where:
                yield f"{vm} is on {self.placement[vm]}, not on {where}"
        most = self.expect.get("max_migrations")
        if most is not None and len(self.plan["steps"]) > most:
            yield f"{len(self.plan['steps'])} migrations, not {most} at most"
        if self.expect.get("spread_improved"):
            home = {vm["id"]: vm["host"] for vm in self.cluster["vms"]}
            before = scenarios.spread(self.scenario, home)
            after = scenarios.spread(self.scenario, self.placement)
            if after >= before:
                yield "the spread is not less"
        if self.expect.get("node_empty") in self.placement.values():
            yield f"{self.expect['node_empty']} is not empty"

    def judge(self):
        """(faults, differences): what is wrong by itself, and what the scenario has otherwise."""
        if self.expect["feasible"] and self.expect.get("path_feasible", True):
            return self.faults, [*self.reached(), *self.agreed()]
        return self.faults, list(self.recognised())


def refused(scenario, status, errors):
    """Rules that contradict each other are refused as a document, and the error names them."""
    if scenario["expect"]["feasible"] or status != 2 or "rules[" not in errors:
        return [f"exit status {status}: {errors.strip()}"]
    return []


def plan(imig, folder, scenario, options):
    cluster = scenarios.make_cluster(scenario)
    path = folder / "cluster.json"
    path.write_text(json.dumps(cluster))
    done = subprocess.run([imig, "plan", path, "--json", *options], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):
        return refused(scenario, done.returncode, done.stderr), []
    return Expected(scenario, cluster, json.loads(done.stdout), done.returncode).judge()


def run(imig, folder, scenario, known):
    """(faults, differences); memory that goal balance leaves where it is, goal level spreads."""
    faults, differences = plan(imig, folder, scenario, scenarios.options(scenario))
    if MEMORY in (known.get(what) for what in differences):
        more, differences = plan(imig, folder, scenario, ["--goal", "level"])
        # In so small a cluster no host may get as near to the mean as is asked for: that is said.
        differences = [what for what in differences if not what.startswith("exit status 3 (")]
        faults += more
    return faults, differences


def compare(known, differences):
    """(faults, what is otherwise and why): a fault is what is not known, or known in vain."""
    faults = [what for what in differences if what not in known]
    faults += [f"as expected now: not so that {what}" for what in known if what not in differences]
    return faults, [f"{what}: {known[what]}" for what in differences if what in known]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--imig", required=True)
    parser.add_argument("--only", default="", help="scenarios whose name has this text")
    parser.add_argument("--data")
    options = parser.parse_args()
    shared = pathlib.Path(os.environ.get("IMIG_SHARED", TOP.parent / "shared"))
    data = options.data or shared / "data" / "proxlb-scenarios"

    everything = scenarios.read_all(data)
    if not everything:
        print(f"1..0 # SKIP {data} has no scenarios")
        return 77
    chosen = {name: scenario for name, scenario in everything.items() if options.only in name}
    failed = different = 0
    print(f"1..{len(chosen)}")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_STATE_HOME"] = folder  # nobody's own constants are used
        for number, (name, scenario) in enumerate(chosen.items(), 1):
            known = DIFFERENT.get(name, {})
            faults, differences = run(options.imig, pathlib.Path(folder), scenario, known)
            known = {what: why for what, why in known.items() if why != MEMORY}
            more, said = compare(known, differences)
            faults += more
            failed += bool(faults)
            different += bool(said)
            print(f"{'not ok' if faults else 'ok'} {number} - {name}")
            for line in faults:
                print(f"#   {line}")
            for line in said:
                print(f"#   otherwise: {line}")
    print(f"# {len(chosen)} scenarios, {failed} failed, {different} otherwise with a reason")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
