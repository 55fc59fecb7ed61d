# SPDX-License-Identifier: LGPL-2.1-or-later
"""What can go wrong while `imig run` works, done to it: a clear message, no guest in two places,
and the rest of the plan carried out where that is still right."""

import time

import libvirt

from lab import guest_uuid
from machine import wait_until

SLOW = "150mbit"        # long enough under way to be hit
BASIC = ("--for", "1s", "--yes", "--json", "--unsafe")


def job(lab, host, name):
    """Statistics of a guest's job as its host has them; empty: none, or nobody to ask."""
    connection = None
    try:
        connection = lab.hosts[host].connect()
        return connection.lookupByName(name).jobStats()
    except libvirt.libvirtError:
        return {}
    finally:
        if connection:
            connection.close()


def under_way(lab, host, name):
    wait_until(lambda: job(lab, host, name).get("data_processed", 0) > 4e6,
               f"{name} is being migrated", 40, 0.1)


class Row:
    """One fault: who suffers, what is done, and where the victim may be afterwards."""

    def __init__(self, trial, what, fault, *options, kind="idle", places=("host1",), said="",
                 statuses=(3,), uris=None, other_to="host1", mend=lambda: None, more=None,
                 lost=False, hit=True):
        self.trial, self.what, self.fault, self.options = trial, what, fault, options
        self.kind, self.places, self.said, self.statuses = kind, places, said, statuses
        self.uris, self.other_to, self.mend, self.lost = uris, other_to, mend, lost
        self.more, self.hit = more or {}, hit

    def meanwhile(self):
        if self.hit:
            under_way(self.trial.lab, "host1", "victim")
        self.fault()

    def check(self):
        trial, lab = self.trial, self.trial.lab
        if "victim" not in lab.guests:
            lab.start("host1", "victim", self.kind, **self.more)
        elif trial.place("victim") != "host1":
            lab.migrate("victim", "host1")
        if trial.place("other") != "host3":
            lab.migrate("other", "host3")
        for host in lab.hosts.values():
            host.set_link(SLOW)
        steps = [("other", "host3", self.other_to), ("victim", "host1", "host2")]
        done = trial.imig("run", trial.plan_file(steps), *BASIC, *self.options, uris=self.uris,
                          timeout_s=180, meanwhile=self.meanwhile)
        self.mend()
        for host in lab.hosts.values():
            host.set_link("1gbit")
        self.judge(done)
        if self.lost or self.kind != "idle":
            lab.stop("victim")

    def judge(self, done):
        trial = self.trial
        report = done.document["steps"] if done.out.startswith("{") else []
        victim = next((s for s in report if s["vm"] == guest_uuid("victim")), {})
        other = next((s for s in report if s["vm"] == guest_uuid("other")), {})
        place = trial.place("victim")
        trial.figures.setdefault("faults", {})[self.what] = {
            "exit": done.status, "seconds": round(done.seconds, 1), "victim": victim.get("state"),
            "attempts": victim.get("attempts"), "place": place, "message": victim.get("message")}
        right = done.status in self.statuses and self.said in victim.get("message", "")
        if self.lost:
            right = right and victim.get("state") == "failed" and place is None
        else:
            right = right and place in self.places \
                and (victim.get("state") == "done") == (place == "host2")
        trial.claim(right, f"{self.what}: said, and the guest is where it is said to be",
                    f"{done}\n{trial.lab.where('victim')}")
        trial.claim(other.get("state") == "done" and trial.place("other") == self.other_to,
                    f"{self.what}: the rest is carried out", done)
        wrong = [fault for fault in trial.faults(0 if self.lost else 10)
                 if not (self.lost and "victim" in fault)]
        trial.claim(wrong == [], f"{self.what}: no guest went back", wrong)


def restart(host, after_s=3):
    host.kill_daemon()
    time.sleep(after_s)
    host.start_daemon()


def cut(host):
    host.cut_link()
    time.sleep(32)          # libvirt's keepalive gives up after about 29 s
    host.restore_link()


def suspend(lab, name):
    connection = lab.hosts["host1"].connect()
    connection.lookupByName(name).suspend()
    connection.close()


def kill_in_post_copy(lab, uuid):
    """Once the VM runs on its destination and its memory is still on both hosts."""
    def switched():
        return lab.hosts["host1"].state_of(uuid) == "paused" \
            and lab.hosts["host2"].state_of(uuid) == "running"
    wait_until(switched, "post-copy", 60, 0.02)
    lab.hosts["host2"].kill_qemu(uuid)


def rows(trial):
    lab, uuid = trial.lab, guest_uuid("victim")
    one, two = lab.hosts["host1"], lab.hosts["host2"]
    wrong = lab.uris()
    wrong[1] = f"{two.unix_uri},migrate=qemu+tcp://10.77.0.199/system"
    hopeless = {"memory_mb": 128, "size_mb": 48, "rate_mb": 0, "pattern": "random"}
    either = ("host1", "host2")
    # libvirt says that it was aborted, or that a connection broke: then it is tried again.
    yield Row(trial, "aborted by somebody else", lambda: lab.abort("victim"), places=either,
              statuses=(0, 3))
    yield Row(trial, "libvirtd of the destination killed", lambda: restart(two), places=either,
              statuses=(0, 3))
    yield Row(trial, "libvirtd of the source killed", lambda: restart(one), places=either,
              statuses=(0, 3), other_to="host2")
    yield Row(trial, "QEMU of the destination killed", lambda: two.kill_qemu(uuid), places=either,
              statuses=(0, 3))
    yield Row(trial, "guest suspended meanwhile", lambda: suspend(lab, "victim"),
              places=("host2",), statuses=(0,))
    yield Row(trial, "wrong address of the destination", lambda: None, uris=wrong, hit=False,
              said="libvirt error")
    yield Row(trial, "link cut", lambda: cut(two), places=either, statuses=(0, 3))
    yield Row(trial, "QEMU of the source killed", lambda: one.kill_qemu(uuid), lost=True,
              said="on no host")
    yield Row(trial, "never converges", lambda: None, kind="memory-dirty", more=hopeless,
              said="rounds no longer shrink")
    yield Row(trial, "never converges, downtime raised", lambda: None, "--on-stall",
              "raise-downtime", kind="memory-dirty", more=hopeless, places=("host2",),
              statuses=(0,))
    yield Row(trial, "never converges, post-copy", lambda: None, "--on-stall", "post-copy",
              kind="memory-dirty", more=hopeless, places=("host2",), statuses=(0,))
    if trial.full:
        yield Row(trial, "never converges, throttled", lambda: None, "--on-stall", "throttle",
                  "--timeout", "150s", kind="memory-dirty", more=hopeless, places=either,
                  statuses=(0, 3))
        yield Row(trial, "QEMU of the destination killed in post-copy",
                  lambda: kill_in_post_copy(lab, uuid), "--on-stall", "post-copy",
                  kind="memory-dirty", more=hopeless, lost=True, said="paused on host1")


def hanging_host(trial):
    """A daemon that takes connections and never answers: the others are seen all the same."""
    host = trial.lab.hosts["host3"]
    host.stop_daemon()
    try:
        seen = trial.imig("status", "--for", "3s", "--json")
    finally:
        host.continue_daemon()
    hosts = {h["id"] for h in seen.document["hosts"] if h["state"] == "active"} \
        if seen.out.startswith("{") else set()
    trial.claim(seen.status == 0 and hosts == {"host1", "host2"} and "host3" in seen.err,
                "a host that hangs is said, the others are seen", seen)
    trial.claim(seen.seconds < 40, "it does not hold up the others for long", seen.seconds)
    seen = trial.imig("status", "--for", "3s", "--json")
    trial.claim(seen.status == 0 and len(seen.document["hosts"]) == 3 and not seen.err,
                "and seen again once it answers", seen)


def obstacles(trial):
    """What keeps a guest where it is shows, and so does that it is gone."""
    trial.lab.start("host3", "copied", "disk-io")
    connection = trial.lab.hosts["host3"].connect()
    copied = connection.lookupByName("copied")
    paused = connection.lookupByName("other")
    image = trial.lab.dir / "disks/copy"
    copied.blockCopy("vda", f"<disk type='file'><source file='{image}'/></disk>")
    paused.suspend()
    try:
        seen = trial.imig("status", "--for", "2s", "--json")
    finally:
        copied.blockJobAbort("vda")
        paused.resume()
        connection.close()
    blocked = {vm["name"]: vm["blocked"] for vm in seen.document["vms"]} if seen.out else {}
    trial.claim(blocked.get("copied") == "block-job", "a block job shows as what keeps a guest",
                seen)
    trial.claim(blocked.get("other") == "paused", "so does a pause", seen)
    trial.lab.stop("copied")


def in_another_process(trial):
    """The same through agents, one process for each host."""
    agents = [f"agent:{uri}" for uri in trial.lab.uris()]
    seen = trial.imig("status", "--for", "3s", "--json", uris=agents)
    trial.claim(seen.status == 0 and len(seen.document["hosts"]) == 3 and seen.document["vms"],
                "hosts are seen through agents, too", seen)


def run(trial):
    trial.lab.start("host3", "other", "idle")
    obstacles(trial)
    for row in rows(trial):
        row.check()
    slowest = max(trial.figures["faults"][what]["seconds"] for what in trial.figures["faults"]
                  if what == "never converges")
    trial.claim(slowest < 60, "who cannot converge wastes less than a minute", slowest)
    hanging_host(trial)
    in_another_process(trial)
    for host in trial.lab.hosts.values():
        host.set_link(trial.lab.link)
    trial.stop_all()
