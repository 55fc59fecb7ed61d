# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the chapters of a run share: claims, figures, and imig as a user calls it, in a host's
domain 0 or from outside."""

import json
import os
import pathlib
import shlex
import subprocess
import time

from claims import Claims
from machine import wait_until

PAGE = 4096
# What a migration attains here: domain 0's emulated processor is the limit, not the link.
LINK_BYTES_PER_S = 10e6
PREDICTING = ("migrate", "balance", "plan")
# Seconds for one migration, where nobody says how busy the laboratory's machine is.
PATIENCE = {"migrate": ["--timeout", "200s"], "balance": ["--timeout", "200s"]}


class Call:
    """A command under way, and then its exit status and what it printed."""

    def __init__(self, process, what, timeout_s):
        self.process, self.what, self.timeout_s = process, what, timeout_s
        self.out = self.err = ""
        self.status = None
        self.began, self.seconds = time.monotonic(), 0.0

    def wait(self):
        try:
            self.out, self.err = self.process.communicate(timeout=self.timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.out, self.err = self.process.communicate()
            self.err += f"killed after {self.timeout_s} s\n"
        self.status = self.process.returncode
        self.seconds = time.monotonic() - self.began
        return self

    @property
    def ended(self):
        return self.process.poll() is not None

    @property
    def document(self):
        return json.loads(self.out)

    def __str__(self):
        return (f"{self.what}: exit {self.status} after {self.seconds:.1f} s\n"
                f"{self.out[-4000:]}{self.err[-3000:]}")


class Trial(Claims):
    """A lab that is up, the imig under test, the claims made so far and the figures seen."""

    def __init__(self, lab, build, full):
        super().__init__()
        self.lab, self.build, self.full = lab, pathlib.Path(build).resolve(), full
        self.turns = 10 if full else 1      # of what may go well once by luck

    def whole(self, when):
        """All guests run, on one host each, with their memory as they wrote it."""
        faults = self.lab.faults()
        return self.claim(faults == [], f"{when}: every guest is alive, its memory intact", faults)

    # ---- imig ----

    def begin(self, host, *words, timeout_s=150):
        """imig in a domain 0, under way.  Its process number there is in /tmp/imig.pid."""
        line = "echo $$ >/tmp/imig.pid; exec " + shlex.join(["imig", *map(str, words)])
        return Call(self.lab.hosts[host].start(line), f"{host}: imig {words[0]}", timeout_s)

    def inside(self, host, *words, timeout_s=150):
        return self.begin(host, *words, timeout_s=timeout_s).wait()

    def measuring(self, host, seconds, *more, vm="known"):
        """A measurement of the guest `known`, called vm, with the switch on by now."""
        call = self.begin(host, "dirty", "-c", "xenctl:", vm, "--for", f"{seconds}s", *more)
        wait_until(lambda: call.ended or self.logging(host, "known") == "on", "logging is on",
                   30, 1)
        return call

    def begin_outside(self, command, *words, timeout_s=420):
        """imig on this machine, which reaches both hosts through the transport."""
        argv = [str(self.build / "tools/imig"), command]
        for uri in self.lab.uris():
            argv += ["-c", uri]
        argv += ["--transport", self.lab.transport, *PATIENCE.get(command, []),
                 *map(str, words)]
        if command in PREDICTING:
            argv += ["--host-capacity", self.capacities()]
        return Call(subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, text=True),
                    f"imig {command}", timeout_s)

    def capacities(self):
        path = self.lab.dir / "capacity.json"
        path.write_text(json.dumps({"format": "imig-capacity/1", "hosts": [
            {"id": name, "net_bytes_per_s": LINK_BYTES_PER_S} for name in self.lab.hosts]}))
        return str(path)

    def outside(self, command, *words, timeout_s=420):
        return self.begin_outside(command, *words, timeout_s=timeout_s).wait()

    def contract(self, *uris, timeout_s=600):
        """tests/test-backend on this machine; there `ssh` is the lab's."""
        environment = {**os.environ, "PATH": f"{self.lab.dir}:{os.environ['PATH']}",
                       "CMOCKA_MESSAGE_OUTPUT": "TAP",
                       "IMIG_TEST_AGENT": str(self.build / "tools/imig")}
        return Call(subprocess.Popen([self.build / "tests/test-backend", *uris],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, text=True, env=environment),
                    "test-backend", timeout_s).wait()

    # ---- guests ----

    def have(self, name, host, kind="idle", rate=0, pages=1, **more):
        """A guest that runs there and does that, new or not."""
        lab = self.lab
        if name in lab.guests and lab.where(name) != [(host, "running")]:
            lab.stop(name)
        if name not in lab.guests:
            lab.start(host, name, kind, rate, pages, **more)
        else:
            lab.order(name, kind, rate, pages)

    def only(self, *names):
        for name in list(self.lab.guests):
            if name not in names:
                self.lab.stop(name)

    def place(self, name):
        """The host a guest runs on; None unless it runs on exactly one."""
        places = self.lab.where(name)
        return places[0][0] if len(places) == 1 and places[0][1] == "running" else None

    def logging(self, host, name):
        """Is log-dirty on?  To be asked only where nobody migrates that guest."""
        lab_host = self.lab.hosts[host]
        return lab_host.run(f"logdirty state {lab_host.domid(name)}").strip()
