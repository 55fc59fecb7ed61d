# SPDX-License-Identifier: LGPL-2.1-or-later
"""Live migrations through imig, predicted and measured beside each other."""

from lab import guest_uuid

AMOUNTS = ("duration_s", "downtime_s", "transferred_bytes")


def both_known(step):
    return all(step[key][which] is not None and step[key][which] > 0
               for key in AMOUNTS for which in ("predicted", "measured"))


def note(trial, title, steps):
    trial.figures.setdefault("migrations", {})[title] = [
        {**{key: step[key] for key in ("from", "to", "state", "rounds")},
         **{key: {which: value and round(value, 3) for which, value in step[key].items()}
            for key in AMOUNTS}} for step in steps]


def one(trial, name, source, target, title, *more):
    moved = trial.outside("migrate", name, target, "--for", "4s", "--json", *more)
    steps = moved.document["steps"] if moved.out.startswith("{") else []
    trial.claim(moved.status == 0 and len(steps) == 1 and steps[0]["state"] == "done"
                and trial.place(name) == target, f"{title}: {source} to {target}", moved)
    if steps:
        note(trial, title, steps)
        trial.claim(both_known(steps[0]), f"{title}: predicted and measured beside each other",
                    steps)
        trial.claim(steps[0]["vm"] == guest_uuid(name), f"{title}: it is that guest", steps)
    return trial.whole(title)


def run(trial):
    trial.only("known")
    trial.have("known", "xen1", "cyclic", 1000, 2048)
    one(trial, "known", "xen1", "xen2", "a guest that writes round and round")
    trial.lab.order("known", "random", 1000, 4096)
    one(trial, "known", "xen2", "xen1", "a guest that writes at random, back", "--measure-dirty")
    odd = "-s odd;$(reboot) 'name\""
    if trial.full:
        trial.lab.start("xen1", odd)
        one(trial, guest_uuid(odd), "xen1", "xen2", "a guest with an odd name")
        trial.lab.stop(odd)
