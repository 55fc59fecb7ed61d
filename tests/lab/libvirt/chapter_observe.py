# SPDX-License-Identifier: LGPL-2.1-or-later
"""What each guest does is found out by watching it, at next to no cost."""

import time

from trial import KINDS


def classes_are_right(trial, when, seconds):
    """All guests, by observation alone."""
    daemons = {name: host.daemon_cpu_s() for name, host in trial.lab.hosts.items()}
    began = time.monotonic()
    seen = trial.imig("status", "--for", f"{seconds}s", "--interval", "10s", "--json")
    took = time.monotonic() - began
    if not trial.claim(seen.status == 0, f"12 guests are observed {when}", seen):
        return
    found = {vm["name"]: vm["class"] for vm in seen.document["vms"]}
    right = {name: guest["kind"] for name, guest in trial.lab.guests.items()}
    trial.claim(found == right, f"all 12 classes are right {when}",
                {name: (kind, found.get(name)) for name, kind in right.items()
                 if found.get(name) != kind} | {"seen": seen.out[-6000:]})
    used = {name: (host.daemon_cpu_s() - daemons[name] + seen.cpu_s / 3) / took
            for name, host in trial.lab.hosts.items()}
    trial.figures[f"observing, share of a core by host, {when}"] = {
        name: round(share, 5) for name, share in used.items()}
    trial.claim(max(used.values()) < 0.01, f"observing takes under 1 % of a core {when}", used)


def one_of_each_migrates(trial, hosts):
    steps = []
    for kind in KINDS:
        here = trial.place(f"{kind}-1")
        steps.append((f"{kind}-1", here, hosts[(hosts.index(here) + 1) % len(hosts)]))
    moved = trial.imig("run", trial.plan_file(steps), "--for", "2s", "--yes", "--unsafe", "--json")
    trial.claim(moved.status == 0 and all(trial.place(name) == to for name, _, to in steps),
                "one guest of each class migrates", moved)


def run(trial):
    guests, hosts = [], list(trial.lab.hosts)
    for number in (1, 2):
        for i, kind in enumerate(KINDS):
            more = {"pattern": "random"} if kind == "memory-dirty" and number == 2 else {}
            guests.append(trial.guest(hosts[(i + number) % len(hosts)], f"{kind}-{number}", kind,
                                      **more))
    trial.lab.start_all(guests)
    trial.set_cores(0.5)
    classes_are_right(trial, "at first", 60)
    one_of_each_migrates(trial, hosts)
    classes_are_right(trial, "after a migration", 60 if trial.full else 40)
    trial.claim(trial.lab.faults() == [], "no guest was lost, none went back",
                trial.lab.faults())
    trial.set_cores(None)
    trial.stop_all()
