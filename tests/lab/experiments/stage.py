# SPDX-License-Identifier: LGPL-2.1-or-later
"""A libvirt laboratory on which imig predicts and carries out, and what each experiment needs of
it."""

import json
import pathlib
import re
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "libvirt"))

# pylint: disable=wrong-import-position
from lab import Lab, LabUnavailable, guest_uuid     # noqa: E402
import runs                                         # noqa: E402

LINK, LINK_BYTES_PER_S = "200mbit", 25e6
WATCH_S = 34            # how long imig looks before it predicts: nine looks at dirty pages, or ten
PATIENCE_S = 300
SHOWN = ("kind", "memory_mb", "size_mb", "rate_mb", "pattern")


def main(experiment, what, hosts=2, link=LINK):
    """Run experiment(stage, options); 77 where there is no laboratory."""
    chosen = runs.options(what)
    try:
        with Lab(hosts=hosts, link=link, weight=1000) as lab:
            experiment(Stage(lab, chosen), chosen)
    except LabUnavailable as unavailable:
        print(f"no laboratory: {unavailable}", file=sys.stderr)
        sys.exit(77)


class Work(threading.Thread):
    """How far each guest's work is, over time, by its own reports (two a second)."""

    def __init__(self, lab):
        super().__init__(daemon=True)
        self.lab, self.seen, self.ended = lab, {}, threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()

    def run(self):
        while not self.ended.wait(0.2):
            now = time.monotonic()
            for name, says in self.lab.work().items():
                points = self.seen.setdefault(name, [])
                heard = now - says["silent_s"]
                if not points or heard > points[-1][0] + 0.05:
                    points.append((heard, says["work"]))

    def rate(self, name, begin, end):
        """Work a second between two moments, interpolated; None: it was not heard of."""
        points = self.seen.get(name, [])
        if len(points) < 2 or end <= begin:
            return None
        return (self._at(points, end) - self._at(points, begin)) / (end - begin)

    @staticmethod
    def _at(points, when):
        for (t0, w0), (t1, w1) in zip(points, points[1:]):
            if when <= t1:
                return w0 + (w1 - w0) * max(0.0, min(1.0, (when - t0) / (t1 - t0)))
        return points[-1][1]


class Stage:
    def __init__(self, lab, chosen):
        self.lab, self.imig = lab, chosen.imig.resolve()
        self.words = chosen.words

    # ---- guests ----

    def have(self, host, **guests):
        """These guests, and no others, work there: name=dict(kind=..., ...)."""
        for name in list(self.lab.guests):
            self.lab.stop(name)
        self.lab.start_all([{**guest, "host": host, "name": name}
                            for name, guest in guests.items()])

    def have_together(self, **guests):
        """These guests, and no others, work on one host, which is returned; the other host is the
        second.  They are started anew only where they are not together and well."""
        hosts = list(self.lab.hosts)
        for host in hosts:
            if (self.lab.guests.keys() == guests.keys()
                    and all(self.lab.where(name) == [(host, "running")] for name in guests)
                    and not self.faults()):
                return host, *(other for other in hosts if other != host)
        self.have(hosts[0], **guests)
        return tuple(hosts)

    def place(self, name):
        return next(host for host, state in self.lab.where(name) if state == "running")

    # ---- imig ----

    def told(self, command, *words):
        """What it prints, as JSON."""
        done = subprocess.run([str(self.imig), command, *map(str, words)], capture_output=True,
                              stdin=subprocess.DEVNULL, text=True, timeout=PATIENCE_S, check=False)
        if not done.stdout.startswith("{"):
            raise RuntimeError(f"imig {command}: exit {done.returncode}: {done.stderr[-800:]}")
        return json.loads(done.stdout)

    def hosts(self):
        """Words that name them and say what they can do."""
        words = ["--host-capacity", self.lab.capacity_file(net_bytes_per_s=LINK_BYTES_PER_S,
                                                           disk_ops_per_s=200.0)]
        for uri in self.lab.uris():
            words += ["-c", uri]
        return words

    def carry_out(self, command, *words):
        """Both hosts see the guests' disks, which imig cannot know.  What it did, and when it
        ended."""
        done = self.told(command, *self.hosts(), "--unsafe", "--json", *self.words, *words)
        return done, time.monotonic()

    def observe(self, seconds):
        """The file with what imig sees in that time."""
        path = self.lab.dir / "cluster.json"
        path.write_text(json.dumps(self.told("observe", *self.hosts(), "--for", f"{seconds}s")))
        return path

    def migrate(self, name, to, *more):
        """One migration: the step as imig tells it, with the overhead: the share of its work that
        the guest did not get done meanwhile."""
        with Work(self.lab) as work:
            began = time.monotonic()
            run, ended = self.carry_out("migrate", name, to, "--for", f"{WATCH_S}s", *more)
            time.sleep(1)
        step = run["steps"][0]
        took = step["duration_s"]["measured"]
        if took:
            before = work.rate(name, began, ended - took - 0.5)
            during = work.rate(name, ended - took, ended)
            step["overhead"] = 1 - during / before if before and during is not None else None
        return step

    @staticmethod
    def plan_of(steps):
        """A plan written by hand, of which nothing is predicted: (guest, from, to) in sequence."""
        return {"format": "imig-plan/1", "goal": "balance", "policy": "as-given",
                "steps": [{"vm": guest_uuid(vm), "from": source, "to": to, "group": i}
                          for i, (vm, source, to) in enumerate(steps)]}

    def run_plan(self, plan):
        """The steps, one at a time, in the plan's sequence."""
        path = self.lab.dir / "plan.json"
        path.write_text(json.dumps(plan))
        return self.carry_out("run", path, "--yes", "--for", "2s")[0]

    # ---- rows ----

    def row(self, experiment, block, cell, step, position=1, **more):
        """A row of table.MIGRATIONS."""
        guests = {guest["uuid"]: guest for guest in self.lab.guests.values()}
        guest = guests[step["vm"]]
        return {"experiment": experiment, "block": block, "cell": cell, "position": position,
                "hypervisor": "qemu", "vm": guest["name"], "overhead": step.get("overhead"),
                "faults": "; ".join(self.faults()), **runs.of_step(step),
                **{key: guest[key] for key in SHOWN}, **more}

    def rows(self, experiment, block, cell, run):
        """Rows of a run, a step each, with its place in the sequence."""
        return [self.row(experiment, block, cell, step, position)
                for position, step in enumerate(run["steps"], 1)]

    def faults(self, suspended=()):
        """What is wrong with guests; who stood still a moment ago is given time to be heard, who
        is suspended may be silent."""
        def wrong():
            return [fault for fault in self.lab.faults()
                    if re.split("[: ]", fault)[0] not in suspended]
        until = time.monotonic() + 10
        while (faults := wrong()) and time.monotonic() < until:
            time.sleep(0.5)
        return faults
