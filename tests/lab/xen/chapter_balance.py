# SPDX-License-Identifier: LGPL-2.1-or-later
"""A host with more work than processors beside an idle one: imig balances."""

import time
from concurrent.futures import ThreadPoolExecutor

from chapter_migrate import both_known, note

NAMES = ("known", "small", "third")     # the first may be there from other chapters


def work_rates(trial, names, seconds=6):
    first = {name: trial.lab.report(name) for name in names}
    time.sleep(seconds)
    return {name: trial.lab.work_rate(first[name], trial.lab.report(name)) for name in names}


def overload(trial):
    """All of them on one host, busy, on whichever processor is free."""
    trial.only(*NAMES)
    source = trial.place(NAMES[0]) or "xen1"
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: trial.have(name, source, memory_mb=96, set_pages=4096,
                                              cpus="all"), NAMES))
    for name in NAMES:
        trial.lab.hosts[source].run(["xl", "vcpu-pin", name, "all", "all"])
        trial.lab.order(name, "busy")


def run(trial):
    overload(trial)
    before = work_rates(trial, NAMES)
    done = trial.outside("balance", "--yes", "--json", "--for", "10s", "--interval", "3s")
    document = done.document if done.status in (0, 3) and done.out else None
    if not trial.claim(done.status == 0 and document and "run" in document,
                       "balance is carried out", f"{done}\nwork before: {before}"):
        return
    steps = document["run"]["steps"]
    note(trial, "balance", steps)
    trial.claim(len(steps) >= 1 and document["run"]["done"] == len(steps), "every step is done",
                done)
    trial.claim(all(map(both_known, steps)), "predicted and measured beside each other", steps)
    places = {name: trial.place(name) for name in NAMES}
    trial.claim(set(places.values()) == {"xen1", "xen2"}, "the guests are on both hosts", places)
    trial.whole("balanced")
    after = work_rates(trial, NAMES)
    trial.figures["work before and after a balance"] = {
        name: [round(before[name], 1), round(after[name], 1)] for name in NAMES}
