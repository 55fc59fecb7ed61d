# SPDX-License-Identifier: LGPL-2.1-or-later
"""A host with five busy guests beside two idle hosts: imig balances, and the guests do more."""

import statistics

BUSY = (("cpu-a", "cpu"), ("cpu-b", "cpu"), ("dirty-a", "memory-dirty"), ("web-a", "web-server"),
        ("receive-a", "net-receive"))
WATCH = ("--for", "18s", "--interval", "4s")


def predicted_beside_measured(trial, run):
    """Every step that was done has both, for time, downtime and bytes."""
    return all(step[key][which] is not None and step[key][which] > 0
               for step in run["steps"] if step["state"] == "done"
               for key in ("duration_s", "downtime_s", "transferred_bytes")
               for which in ("predicted", "measured"))


def note_steps(trial, title, document):
    trial.figures[title] = {
        "steps": [{key: step[key] for key in ("vm", "from", "to", "state", "duration_s",
                                              "downtime_s", "transferred_bytes")}
                  for step in document["run"]["steps"]]}


def balance(trial, turn):
    """Returns how many times the work of all guests grew, as a geometric mean over the guests."""
    trial.lab.start_all([trial.guest("host1", name, kind) for name, kind in BUSY])
    trial.set_cores(0.5)
    before = trial.work_rates()
    done = trial.imig("balance", "--yes", "--json", *WATCH)
    if not trial.claim(done.status in (0, 3) and done.out, f"balance {turn} is carried out", done):
        return 0
    document = done.document
    note_steps(trial, f"balance {turn}", document)
    trial.claim(document["run"]["done"] == len(document["run"]["steps"]) >= 2,
                f"balance {turn}: every step is done", done)
    trial.claim(predicted_beside_measured(trial, document["run"]),
                f"balance {turn}: predicted beside measured for each step", done)
    places = {name: trial.place(name) for name, _ in BUSY}
    trial.claim(None not in places.values() and len(set(places.values())) == 3,
                f"balance {turn}: the busy guests are spread over all hosts", places)
    after = trial.work_rates()
    trial.claim(trial.faults() == [], f"balance {turn}: no guest was lost, none went back",
                trial.faults())
    growth = statistics.geometric_mean(max(after[name], 1e-9) / max(before[name], 1e-9)
                                       for name, _ in BUSY)
    trial.figures[f"work {turn}"] = {
        name: [round(before[name], 1), round(after[name], 1)] for name, _ in BUSY}
    return growth


def again(trial):
    done = trial.imig("balance", "--yes", "--json", *WATCH)
    steps = done.document["plan"]["steps"] if done.status in (0, 3) and done.out else None
    trial.claim(steps == [], "balanced again: nothing to do", done)
    done = trial.imig("watch", "--rounds", "1", "--interval", "12s")
    trial.claim(done.status == 0 and " migrations" not in done.out and done.out.strip(),
                "watched: nothing to do either", done)


def drain(trial):
    """All leave one host for another: who holds up the others goes first, the receiver last."""
    hosts = ("host1", "host2")
    trial.stop_all()
    trial.lab.start_all([trial.guest("host1", name, kind) for name, kind in BUSY])
    trial.set_cores(0.5)
    plan = str(trial.lab.dir / "drain.json")
    # So long that each of the five has looks of four seconds, too: how much they dirty in the time
    # of a round makes their places.
    made = trial.imig("plan", "--drain", "host1", "--for", "75s", "-o", plan, hosts=hosts)
    done = trial.imig("run", plan, "--for", "2s", "--yes", "--json", hosts=hosts)
    if not trial.claim(made.status in (0, 3) and done.status == 0, "a host is drained",
                       f"{made}\n{done}"):
        return
    run_figures = done.document
    names = {guest["uuid"]: name for name, guest in trial.lab.guests.items()}
    order = [names[step["vm"]] for step in sorted(run_figures["steps"],
                                                  key=lambda step: step["start_s"])]
    note_steps(trial, "drain", {"run": run_figures})
    trial.figures["drain"]["order"] = order
    trial.claim(set(order[:2]) == {"dirty-a", "web-a"} and order[-1] == "receive-a",
                "the memory-dirty and web guests leave first, the receiver last",
                f"{order}\n{made}\n{done}")
    trial.claim({trial.place(name) for name, _ in BUSY} == {"host2"}, "nobody is left there",
                done)
    trial.claim(trial.faults() == [], "no guest was lost, none went back",
                trial.faults())


def run(trial):
    turns = 3 if trial.full else 1
    growth = []
    for turn in range(1, turns + 1):
        growth.append(balance(trial, turn))
        if turn == turns:
            again(trial)
        trial.set_cores(None)
        if turn < turns:
            trial.stop_all()
    trial.figures["work grew, times"] = [round(g, 2) for g in growth]
    trial.claim(statistics.median(growth) > 1.2, "the guests do more work afterwards", growth)
    drain(trial)
    trial.set_cores(None)
    trial.stop_all()
