#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plans and simulates clusters made from real traces, and checks what comes out.

usage: run.py --imig IMIG [--full] [--only TEXT] [--data DIRECTORY] [--keep DIRECTORY]

The traces are read from DIRECTORY, IMIG_TRACE_DATA, or ../shared/data beside this tree; what is not
there is skipped.  How the clusters are made stands in clusters.py.  Prints TAP and a table.
"""

import argparse
import concurrent.futures
import json
import math
import os
import pathlib
import random
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
sys.path[:0] = [str(HERE), str(TOP / "tools" / "python")]
import clusters  # noqa: E402
import imig as library  # noqa: E402
from replay import Replay, figures  # noqa: E402

POLICIES = ("informed", "paper", "least-loaded", "smallest-first", "largest-first", "random",
            "as-given")
GOALS = ("relieve", "balance")
RANDOM_SEQUENCES = 20
WITHIN = 0.005      # of the lowest sum of migration times
PREDICTED = 0.10    # error of the predicted total time
NOISE_ROUNDS, SETTLED_AFTER = 50, 5


class Imig:
    def __init__(self, program, folder):
        self.program, self.folder = program, pathlib.Path(folder)

    def run(self, *arguments, statuses=(0,)):
        done = subprocess.run([self.program, *map(str, arguments)], stdin=subprocess.DEVNULL,
                              capture_output=True, check=False)
        if done.returncode not in statuses:
            raise RuntimeError(f"imig {' '.join(map(str, arguments))}: status {done.returncode}, "
                               f"{done.stderr.decode(errors='replace').strip()}")
        return done.stdout

    def plan(self, cluster, *options):
        """The bytes of a plan; a partial one (3) is a plan, too."""
        return self.run("plan", cluster, "--json", *options, statuses=(0, 3))

    def simulate(self, cluster, plan, *options):
        """The steps as the simulator measured them, in starting order; None where one failed."""
        path = self.folder / f"{cluster.stem}-steps-{random.getrandbits(64):x}.json"
        path.write_text(json.dumps(plan))
        try:
            run = json.loads(self.run("simulate", cluster, path, "--json", *options,
                                      statuses=(0, 3)))
        finally:
            path.unlink()
        steps = []
        for step in run["steps"]:
            if step["state"] != "done":
                return None
            steps.append({"vm": step["vm"], "from": step["from"], "to": step["to"],
                          "start_s": step["start_s"], "time_s": step["duration_s"]["measured"],
                          "end_s": step["start_s"] + step["duration_s"]["measured"]})
        return sorted(steps, key=lambda step: step["start_s"])


def timed(plan):
    return [{**step, "end_s": step["start_s"] + step["duration_s"]} for step in plan["steps"]]


def check_figures(cluster, plan, name, placement, faults):
    """The totals of a plan, computed anew."""
    for key, value in figures(cluster, placement).items():
        if key == "waiting":
            if plan[name]["contention"] < value * (1 - 1e-6) - 1e-9:
                faults.append(f"{name}.contention {plan[name]['contention']} is less than the "
                              f"{value} vCPUs that wait")
        elif abs(plan[name][key] - value) > 1e-6 * max(1, abs(value)):
            faults.append(f"{name}.{key} is {plan[name][key]}, not {value}")


def check_plan(cluster, plan, faults):
    replay = Replay(cluster)
    check_figures(cluster, plan, "before", replay.placement(), faults)
    faults += replay.run(timed(plan), concurrency=1)
    if not faults:
        check_figures(cluster, plan, "after", replay.placement(), faults)
    if plan["after"]["overloaded_hosts"] > plan["before"]["overloaded_hosts"]:
        faults.append("more hosts are overloaded than before")


def free_moves(cluster, steps):
    """The steps that can be done in any sequence: their memory is free from the beginning and no
    rule speaks of them, so that every sequence is a schedule of the same moves."""
    hosts = {host["id"]: host["memory_bytes"] for host in cluster["hosts"]}
    vms = {vm["id"]: vm for vm in cluster["vms"]}
    for vm in cluster["vms"]:
        hosts[vm["host"]] -= vm["memory_bytes"]
    ruled = {vm for rule in cluster["rules"] if rule["hard"] for vm in rule["vms"]}
    count = {}
    for step in steps:
        count[step["vm"]] = count.get(step["vm"], 0) + 1
    chosen = []
    for step in steps:
        memory = vms[step["vm"]]["memory_bytes"]
        if step["vm"] not in ruled and count[step["vm"]] == 1 and hosts[step["to"]] >= memory:
            hosts[step["to"]] -= memory
            chosen.append(step)
    return chosen


def in_sequence(plan, steps):
    """A plan of these steps one after the other."""
    start, rewritten = 0.0, []
    for step in steps:
        rewritten.append({**step, "start_s": start})
        start += step["duration_s"]
    return {**plan, "steps": rewritten}


class Case:
    """One cluster: what was found, as (claim, faults) and a row of the table."""

    def __init__(self, imig, name, rows, seed, count):
        self.name, self.imig = name, imig
        self.cluster = clusters.make(rows, seed, count)
        self.path = imig.folder / f"{name}.json"
        self.path.write_text(json.dumps(self.cluster))
        self.results, self.row, self.sums, self.losses = [], {}, {}, {}

    def claim(self, claim, faults):
        self.results.append((f"{self.name}: {claim}", faults))

    def run(self, noise):
        for part in (self.policies, self.sequences, self.twice, self.noise if noise else None):
            if part:
                try:
                    part()
                except (RuntimeError, KeyError, ValueError) as fault:
                    self.claim(part.__name__, [f"{type(fault).__name__}: {fault}"])
        return self

    def policies(self):
        violations, lowest, again = [], [], []
        for goal in GOALS:
            for policy in POLICIES:
                options = ("--goal", goal, "--policy", policy, "--seed", "1")
                text = self.imig.plan(self.path, *options)
                plan, faults = json.loads(text), []
                check_plan(self.cluster, plan, faults)
                violations += [f"{goal} {policy}: {fault}" for fault in faults]
                self.losses[goal, policy] = plan["after"]["loss"] + plan["migration_loss"]
                if policy == "informed":
                    if text != self.imig.plan(self.path, *options):
                        again.append(f"{goal}: other bytes the second time")
                    self.simulate(goal, plan, violations)
                    self.row[goal] = plan
            losses = {policy: self.losses[goal, policy] for policy in POLICIES}
            mine, best = losses["informed"], min(losses.values())
            if mine > best * (1 + 1e-9) + 1e-12:
                who = [policy for policy in POLICIES if losses[policy] == best]
                lowest.append(f"{goal}: informed leaves {mine:.6f}, {who[0]} {best:.6f}")
        self.claim("no violation at any moment of any schedule", violations)
        self.claim("informed leaves the least loss, its migrations included", lowest)
        self.claim("the same plan has the same bytes", again)

    def simulate(self, goal, plan, violations):
        """The plan as it is, and whether the prediction holds."""
        if not plan["steps"]:
            return
        measured = self.imig.simulate(self.path, plan)
        if not measured:
            violations.append(f"{goal}, simulated: a step failed")
            return
        violations += [f"{goal}, simulated: {fault}"
                       for fault in Replay(self.cluster).run(measured, concurrency=1)]
        predicted = sum(step["duration_s"] for step in plan["steps"])
        simulated = sum(step["time_s"] for step in measured)
        end = max(step["end_s"] for step in measured) - min(step["start_s"] for step in measured)
        faults = []
        for what, ours, real in (("total time", predicted, simulated),
                                 ("makespan", plan["makespan_s"], end)):
            self.row[f"{goal} {what}"] = ours / real - 1
            if abs(ours / real - 1) > PREDICTED:
                faults.append(f"{what}: {ours:.1f} s predicted, {real:.1f} s simulated")
        self.claim(f"{goal}: predicted time within {PREDICTED:.0%} of the simulated", faults)

    def sequences(self):
        """One set of moves, informed's, in many sequences, one after the other.  Where a VM does
        not converge in time, because others hold it up, the sequence takes for ever."""
        informed = json.loads(self.imig.plan(self.path, "--goal", "balance", "--max-parallel", "1",
                                             "--order-by", "time"))
        steps = free_moves(self.cluster, informed["steps"])
        if len(steps) < 2:
            self.claim("fewer than two moves to put in sequence", [])
            return
        given = {vm["id"]: position for position, vm in enumerate(self.cluster["vms"])}
        as_given = sorted(steps, key=lambda step: given[step["vm"]])
        tried = {"informed": steps, "paper": self.papers(as_given), "as-given": as_given,
                 "reversed": steps[::-1]}
        rng = random.Random(7)
        for number in range(RANDOM_SEQUENCES):
            tried[f"random {number}"] = rng.sample(steps, len(steps))
        sums = {}
        for name, sequence in tried.items():
            measured = self.imig.simulate(self.path, in_sequence(informed, sequence),
                                          "--max-parallel", "1")
            if measured and [s["vm"] for s in measured] != [s["vm"] for s in sequence]:
                raise RuntimeError(f"{name}: the sequence was not kept")
            sums[name] = sum(s["time_s"] for s in measured) if measured else math.inf
        best = min(sums, key=sums.get)
        faults = []
        if not sums["informed"] <= sums[best] * (1 + WITHIN) or sums["informed"] == math.inf:
            faults.append(f"informed takes {sums['informed']:.3f} s, {best} {sums[best]:.3f} s")
        self.sums = sums
        self.claim(f"its sequence of {len(steps)} moves takes the least time, or within "
                   f"{WITHIN:.1%} of it", faults)

    def papers(self, steps):
        """Section 3.4 applied to these moves: by class, then by the time each takes alone."""
        cluster = library.Cluster.from_json(self.cluster)
        classes = cluster.classes()
        alone = [library.predict_sequence(cluster, [(step["vm"], step["to"])])[0].time_s
                 for step in steps]
        return [steps[position] for position in library.order(
            [classes[cluster.find_vm(step["vm"])] for step in steps], alone, "paper")]

    def balance(self, uri):
        """The steps of one round of observe and balance on simulated hosts."""
        report = json.loads(self.imig.run("balance", "-c", uri, "--yes", "--json",
                                          statuses=(0, 3)))
        return report["run"]["steps"] if report.get("run") else []

    def twice(self):
        state = self.imig.folder / f"{self.name}.once.json"
        state.unlink(missing_ok=True)
        uri = f"sim:{self.path}?state={state}"
        first, second = self.balance(uri), self.balance(uri)
        self.claim(f"balanced again after {len(first)} moves, nothing moves",
                   [f"{step['vm']} moves to {step['to']}" for step in second])

    def noise(self):
        """Rounds of observe and balance with 5 % noise on every measurement."""
        state = self.imig.folder / f"{self.name}.state.json"
        state.unlink(missing_ok=True)
        visited = {vm["id"]: [vm["host"]] for vm in self.cluster["vms"]}
        back, late, moves = [], [], 0
        for number in range(NOISE_ROUNDS):
            uri = f"sim:{self.path}?noise=0.05&seed={number + 1}&state={state}"
            for step in self.balance(uri):
                been = visited[step["vm"]]
                if step["to"] in been:
                    back.append(f"round {number}: {step['vm']} is back on {step['to']}")
                been.append(step["to"])
                moves += 1
                if number >= SETTLED_AFTER:
                    late.append(f"round {number}: {step['vm']} moves to {step['to']}")
        self.claim(f"{NOISE_ROUNDS} rounds with 5 % noise: no VM of {moves} moves comes back", back)
        self.claim(f"after {SETTLED_AFTER} rounds with noise nothing moves", late)


def print_table(cases):
    print("# lost cores before, and after with the migrations, by policy")
    heads = ["cluster", "hosts", "VMs", "goal", "moves", "before", *POLICIES]
    print("# " + " ".join(f"{head:>14}" for head in heads))
    for case in cases:
        for goal in GOALS:
            plan = case.row.get(goal)
            if not plan:
                continue
            cells = [case.name[-14:], len(case.cluster["hosts"]), len(case.cluster["vms"]), goal,
                     len(plan["steps"]), f"{plan['before']['loss']:.4f}",
                     *(f"{case.losses[goal, policy]:.4f}" for policy in POLICIES)]
            print("# " + " ".join(f"{cell:>14}" for cell in cells))
    print("# sum of simulated migration times (s), one after the other")
    names = ["informed", "paper", "as-given", "reversed", "best random", "worst random"]
    print("# " + " ".join(f"{name:>14}" for name in ["cluster", *names]))
    for case in cases:
        if case.sums:
            chance = [value for name, value in case.sums.items() if name.startswith("random")]
            values = [*(case.sums[name] for name in names[:4]), min(chance), max(chance)]
            print("# " + " ".join([f"{case.name[-14:]:>14}", *(f"{v:14.3f}" for v in values)]))
    print("# predicted / simulated - 1")
    for case in cases:
        for key in (f"{goal} {what}" for goal in GOALS for what in ("total time", "makespan")):
            if key in case.row:
                print(f"#   {case.name} {key}: {case.row[key]:+.2%}")


def over_all(cases):
    """(claim, faults) about all clusters together, and where the paper's policy stands."""
    sums, faults = {}, []
    for case in cases:
        for name, value in case.sums.items():
            sums[name] = sums.get(name, 0.0) + value
    if sums:
        best = min(sums, key=sums.get)
        if best != "informed":
            faults.append(f"informed {sums['informed']:.3f} s, {best} {sums[best]:.3f} s")
        for name in ("paper", "as-given", "reversed"):
            ended = [case.sums for case in cases if case.sums.get(name, math.inf) < math.inf]
            if not ended:
                continue
            more = sum(c[name] for c in ended) / sum(c["informed"] for c in ended) - 1
            rank = sorted(sums, key=sums.get).index(name) + 1
            print(f"# sequence {name}: {more:+.2%} against informed where it converges, in "
                  f"{len(ended)} of {sum(bool(case.sums) for case in cases)} clusters; "
                  f"place {rank} of {len(sums)}")
    for goal in GOALS:
        places = {}
        for case in cases:
            if goal in case.row:
                order = sorted(POLICIES, key=lambda p: case.losses[goal, p])
                for place, policy in enumerate(order, 1):
                    places.setdefault(policy, []).append(place)
        print(f"# {goal}: mean place by loss: " + ", ".join(
            f"{policy} {sum(p) / len(p):.1f}" for policy, p in places.items()))
    return ("summed over all clusters, informed's sequence takes the least time", faults)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--imig", required=True)
    parser.add_argument("--full", action="store_true", help="more days, seeds and rounds")
    parser.add_argument("--only", default="", help="clusters whose name has this text")
    parser.add_argument("--data", default=os.environ.get("IMIG_TRACE_DATA",
                                                         TOP.parent / "shared" / "data"))
    parser.add_argument("--keep", help="leave the clusters in this directory")
    options = parser.parse_args()

    library.load(str(pathlib.Path(options.imig).resolve().parents[1] / "lib" / "libimig.so.0"))
    wanted, missing = clusters.find(options.data, options.full)
    wanted = [entry for entry in wanted if options.only in entry[0]]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_STATE_HOME"] = folder  # nobody's own constants are used
        if options.keep:
            folder = options.keep
            pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        imig = Imig(options.imig, folder)

        def work(number):
            name, read, arguments, seed, count = wanted[number]
            case = Case(imig, name, read(*arguments), seed, count)
            return case.run(noise=options.full or len(case.cluster["vms"]) <= 300)

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            cases = list(pool.map(work, range(len(wanted))))

    results = [result for case in cases for result in case.results]
    if cases:
        results.append(over_all(cases))
        print_table(cases)
    failed = 0
    print(f"1..{len(results) + len(missing)}")
    for number, (claim, faults) in enumerate(results, 1):
        print(f"{'not ok' if faults else 'ok'} {number} - {claim}")
        for fault in faults[:10]:
            print(f"#   {fault}")
        if len(faults) > 10:
            print(f"#   and {len(faults) - 10} more")
        failed += bool(faults)
    for number, (name, reason) in enumerate(missing, len(results) + 1):
        print(f"ok {number} - {name} # SKIP {reason}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
