# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the chapters of a run share: claims, figures, and imig as a user calls it."""

import json
import resource
import subprocess
import time

from claims import Claims
from lab import guest_uuid

LINK = "200mbit"
LINK_BYTES_PER_S = 25e6
DISK_OPS_PER_S = 200.0
KINDS = {"idle": {}, "cpu": {}, "disk-io": {"rate_mb": 3},
         "memory-dirty": {"rate_mb": 8, "size_mb": 16},
         "net-receive": {"rate_mb": 5}, "web-server": {"rate_mb": 5}}


class Result:
    """One call of imig: exit status, what it printed, how long and how much CPU it took."""

    def __init__(self, argv, timeout_s, meanwhile=None):
        """meanwhile: called once it has been started."""
        used, began = _children_cpu_s(), time.monotonic()
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as process:
            try:
                if meanwhile:
                    meanwhile()
                self.out, self.err = process.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                self.out, self.err = process.communicate()
                self.err += f"killed after {timeout_s} s\n"
        self.status = process.returncode
        self.seconds = time.monotonic() - began
        self.cpu_s = _children_cpu_s() - used
        self.argv = argv

    @property
    def document(self):
        return json.loads(self.out)

    def __str__(self):
        return (f"{' '.join(map(str, self.argv[:2]))}: exit {self.status} after "
                f"{self.seconds:.1f} s\n{self.out[-3000:]}{self.err}")


def _children_cpu_s():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Trial(Claims):
    """A lab that is up, the imig under test, the claims made so far and the figures seen."""

    def __init__(self, lab, imig, full):
        super().__init__()
        self.lab, self.imig_path, self.full = lab, imig, full

    # ---- imig ----

    def start(self, command, *arguments, uris=None, hosts=None):
        """The argument vector; uris may stand for what the lab calls its hosts."""
        hosts = hosts or list(self.lab.hosts)
        argv = [self.imig_path, command]
        for uri in [self.lab.uri(host) for host in hosts] if uris is None else uris:
            argv += ["-c", uri]
        return argv + ["--host-capacity", self.capacities(hosts)] + [str(a) for a in arguments]

    def imig(self, command, *arguments, uris=None, hosts=None, timeout_s=240, meanwhile=None):
        return Result(self.start(command, *arguments, uris=uris, hosts=hosts), timeout_s, meanwhile)

    def capacities(self, hosts):
        return self.lab.capacity_file(net_bytes_per_s=LINK_BYTES_PER_S,
                                      disk_ops_per_s=DISK_OPS_PER_S, names=hosts)

    def plan_file(self, steps):
        """A plan written by hand; steps are (guest, from, to), each worth doing alone."""
        path = self.lab.dir / "plan.json"
        path.write_text(json.dumps({
            "format": "imig-plan/1", "goal": "balance", "policy": "as-given",
            "steps": [{"vm": guest_uuid(vm), "from": source, "to": to, "group": i}
                      for i, (vm, source, to) in enumerate(steps)]}))
        return str(path)

    # ---- guests ----

    def guest(self, host, name, kind, **more):
        return {"host": host, "name": name, "kind": kind, **KINDS[kind], **more}

    def set_cores(self, cores):
        for host in self.lab.hosts.values():
            host.set_cores(cores)

    def place(self, name):
        """The host a guest runs on; None unless it runs on exactly one."""
        running = [host for host, state in self.lab.where(name) if state == "running"]
        return running[0] if len(running) == 1 and len(self.lab.where(name)) == 1 else None

    def work_rates(self, seconds=8):
        """Units of work a second, by guest."""
        before, began = self.lab.work(), time.monotonic()
        time.sleep(seconds)
        after, took = self.lab.work(), time.monotonic() - began
        return {name: (after[name]["work"] - before[name]["work"]) / took
                for name in self.lab.guests}

    def faults(self, patience_s=10):
        """What is wrong with guests; who stood still a moment ago is given time to be heard."""
        until = time.monotonic() + patience_s
        while (wrong := self.lab.faults()) and time.monotonic() < until:
            time.sleep(0.5)
        return wrong

    def recover(self):
        """Mends what a chapter that broke off may have left."""
        self.set_cores(None)
        for host in self.lab.hosts.values():
            host.restore_link()
            host.set_link(LINK)
            if not host.init_pid():
                host.power_on()
            elif host.daemon_state() == "gone":
                host.start_daemon()
            else:
                host.continue_daemon()
        self.stop_all()

    def stop_all(self):
        for name in list(self.lab.guests):
            self.lab.stop(name)
