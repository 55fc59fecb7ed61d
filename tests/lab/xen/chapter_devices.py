# SPDX-License-Identifier: LGPL-2.1-or-later
"""Disks and network cards: what imig counts is what the guests count themselves, and a guest whose
disk is on one host only stays there."""

import bisect
import json
import re
from concurrent.futures import ThreadPoolExecutor

from chapter_migrate import note
from lab import guest_uuid
from machine import wait_until
from trial import PAGE

FRAME = 1400        # bytes, as guest-devices.c sends them
HEADER = 14         # of which netback does not count what it takes from a guest
DISK_RATE, SEND_RATE, RECEIVE_RATE = 80, 40, 160        # on a machine that has time for it
WATCHED_S = 8
FIGURES = ("disk_ops_per_s", "disk_read_bytes_per_s", "disk_write_bytes_per_s",
           "net_rx_bytes_per_s", "net_tx_bytes_per_s")
# So that this little is much of what a host has.
CAPACITY = {"format": "imig-capacity/1",
            "hosts": [{"id": "xen1", "disk_ops_per_s": 40, "net_bytes_per_s": 1e5}]}


class Watch:
    """What guests say they did, on the clock of their domain 0, so that it can be compared with
    what was counted in the meantime, however unevenly the machine let them work."""

    def __init__(self, host, names):
        self.host, self.names = host, names
        reads = "; ".join(f"echo $up {name} $(xenstore-read "
                          f"/local/domain/{host.domid(name)}/data/report)" for name in names)
        host.write("/tmp/watch.sh", "exec >/tmp/watch; last=$(date +%s)\n"
                   "while [ $(date +%s) = $last ]; do :; done\n"
                   "read up rest </proc/uptime; echo clock $((last + 1)) $up\n"
                   f"while read up rest </proc/uptime; do {reads}; sleep 0.4; done")
        self.process = host.start("exec sh /tmp/watch.sh")
        self.points, self.booted = {}, None

    def last_sample(self, call):
        """When imig looked last: it goes by the time of day."""
        return call.document["time_s"] - self.booted

    def now(self):
        return self.host.uptime_s()

    def until(self, moment):
        """All guests have reported later than that."""
        def told():
            self.read()
            return all(self.points[name] and self.points[name][-1][0] > moment
                       for name in self.names)
        wait_until(told, "guests report", 60, 0.5)

    def read(self):
        """(moment, work, received) of each report.  A report is seen some time after it was
        written; that which was seen at once tells how far the guest's clock is ahead."""
        lines = [line.split() for line in self.host.run("cat /tmp/watch", False).splitlines()]
        self.booted = next((float(day) - float(up) for first, day, up in
                            (line[:3] for line in lines if len(line) == 3) if first == "clock"),
                           None)
        for name in self.names:
            said = [(float(words[0]), float(words[2]), int(words[3]), int(words[7]))
                    for words in lines if len(words) == 9 and words[1] == name]
            ahead = max((seconds - up for up, seconds, *_ in said), default=0)
            self.points[name] = sorted({(seconds - ahead, *counts) for _, seconds, *counts in said})

    def count(self, name, what, begin, end):
        """So many were done between two moments."""
        column = {"work": 1, "received": 2}[what]

        def at(moment):
            points = self.points[name]
            i = min(max(bisect.bisect([point[0] for point in points], moment), 1), len(points) - 1)
            (x0, y0), (x1, y1) = ((point[0], point[column]) for point in points[i - 1:i + 1])
            return y0 + (y1 - y0) * (moment - x0) / (x1 - x0)
        return at(end) - at(begin)


def stop(process):
    process.kill()
    process.communicate()


def near(seen, known, share=0.1):
    return seen is not None and abs(seen - known) <= share * known


def figures_of(call, name):
    """What was measured of a guest; what was not is absent."""
    vm = next(vm for vm in call.document["vms"] if vm["name"] == name)
    return {key: vm[key] for key in FIGURES if key in vm}


def observe(trial, seconds=2):
    return trial.inside("xen1", "observe", "-c", "xenctl:", "--for", f"{seconds}s",
                        "--interval", f"{seconds / 4}s")


def vbd_counts(host, name):
    """When, and (reads, writes) of a guest until then, as xentop says."""
    lines = [line.split() for line in host.run("cat /proc/uptime; xentop -b -i 1").splitlines()]
    row = next(line for line in lines[2:] if line[0] == name)
    return float(lines[0][0]), [int(row[lines[1].index(key)]) for key in ("VBD_RD", "VBD_WR")]


def counted_alike(trial, host, watch):
    """Figures and classes of guests that work."""
    host.write("/tmp/capacity.json", json.dumps(CAPACITY))
    watch.until(watch.now())
    top_begin, top_first = vbd_counts(host, "disk")
    classes = trial.begin("xen1", "status", "-c", "xenctl:", "--for", f"{WATCHED_S - 1}s",
                          "--interval", "2s", "--json", "--host-capacity", "/tmp/capacity.json")
    seen = observe(trial, WATCHED_S)
    classes.wait()
    top_end, top_last = vbd_counts(host, "disk")
    watch.until(top_end)
    if not trial.claim(seen.status == 0 and classes.status == 0, "guests with devices are watched",
                       f"{seen}\n{classes}"):
        return
    end = watch.last_sample(seen)
    operations, sent, got = (
        watch.count(name, what, end - WATCHED_S, end) / WATCHED_S
        for name, what in (("disk", "work"), ("net", "work"), ("net", "received")))
    disk, net = figures_of(seen, "disk"), figures_of(seen, "net")
    trial.figures["devices"] = {"disk: guest, imig": [round(operations, 1), disk],
                                "frames sent, received: guest, imig":
                                [round(sent, 1), round(got, 1), net]}
    detail = f"{trial.figures['devices']}\n{watch.points}\n{end}\n{seen}"
    trial.claim(min(operations, sent, got) > 2, "the guests work", detail)
    trial.claim(near(disk.get("disk_ops_per_s"), operations),
                "disk operations are those the guest did", detail)
    trial.claim(near(disk.get("disk_read_bytes_per_s"), operations / 2 * PAGE)
                and near(disk.get("disk_write_bytes_per_s"), operations / 2 * PAGE),
                "so are the bytes it read and wrote", detail)
    work = watch.count("disk", "work", top_begin, top_end)
    trial.claim(all(near(last - first, work / 2) for first, last in zip(top_first, top_last)),
                "and xentop counts the same", f"{top_first} {top_last} {work}\n{detail}")
    trial.claim(near(net.get("net_tx_bytes_per_s"), sent * (FRAME - HEADER)),
                "bytes sent are those the guest sent", detail)
    trial.claim(near(net.get("net_rx_bytes_per_s"), got * FRAME),
                "bytes received are those the guest received", detail)
    trial.claim(disk.get("net_tx_bytes_per_s") == disk.get("net_rx_bytes_per_s") == 0
                and net.get("disk_ops_per_s") == 0, "who has no device uses none", detail)
    trial.claim({vm["name"]: vm["class"] for vm in classes.document["vms"]}
                == {"disk": "disk-io", "net": "net-receive"}, "their classes say so", classes)


def invent(host, device, kind, **nodes):
    """A disk that xenstore knows and nobody else.  Returns what takes it away."""
    domain = host.domid("disk")
    listed = f"/libxl/{domain}/device/vbd/{device}"
    backend = f"/local/domain/0/backend/{kind}/{domain}/{device}"
    words = [f"{listed}/backend", backend]
    for key, value in nodes.items():
        words += [f"{backend}/{key.replace('_', '-')}", value]
    host.run(["xenstore-write", *words])
    return f"xenstore-rm {listed}; xenstore-rm {backend}"


def absent_or_right(trial, host):
    """A process that serves disks is not part of this laboratory; what the toolstack would write of
    it is."""
    cd_gone = invent(host, 51760, "qdisk", params="aio:/cd.iso", mode="r", device_type="cdrom")
    seen = observe(trial)
    figures, net = figures_of(seen, "disk"), figures_of(seen, "net")
    trial.claim(set(figures) == set(FIGURES) and max(figures.values()) < 100,
                "an idle disk is idle, and a CD drive hides no disk", seen)
    trial.claim(max(net.values()) < 100, "an idle card is idle", seen)
    disk_gone = invent(host, 51728, "qdisk", params="aio:/d.img", mode="w", device_type="disk",
                       sectors="2048", sector_size="512")
    seen = observe(trial)
    figures = figures_of(seen, "disk")
    disks = next(vm for vm in seen.document["vms"] if vm["name"] == "disk")["disks"]
    trial.claim(not any(key.startswith("disk") for key in figures) and len(figures) == 2,
                "what a process serves is not known, rather than 0", seen)
    trial.claim(sorted(disk["bytes"] for disk in disks) == [2 ** 20, 2 ** 23]
                and not any(disk["shared"] for disk in disks), "its sizes are", seen)
    host.run(f"{cd_gone}; {disk_gone}")


def plan_of(name):
    """As somebody might write it by hand."""
    return {"format": "imig-plan/1", "goal": "balance", "policy": "informed", "makespan_s": 10,
            "makespan_bound_s": 10, "steps": [{
                "vm": guest_uuid(name), "from": "xen1", "to": "xen2", "duration_s": 10,
                "downtime_s": 0.3, "transferred_bytes": 1e8, "converges": True,
                "slowdown_ratio": 0, "reason": {"code": "asked-for", "text": "asked for"}}]}


def stays(trial, host):
    began = host.domains()["disk"]["id"]
    plan = trial.lab.dir / "plan.json"
    plan.write_text(json.dumps(plan_of("disk")))
    run = trial.begin_outside("run", plan, "--yes", "--retries", "0")
    asked = trial.outside("migrate", "disk", "xen2", "--for", "1s")
    run.wait()
    trial.claim(asked.status == 1 and "disk" in asked.err, "a guest with a disk of its own is not "
                "migrated", asked)
    trial.claim(run.status != 0 and re.search("disk /dev/loop[0-9]+ is not known to be shared",
                                              run.out + run.err),
                "nor where a plan says so: the module itself says why", run)
    tried = host.run(f"ls /run/imig/{guest_uuid('disk')}.xl", check=False)
    trial.claim(host.domains().get("disk", {}).get("id") == began and not tried,
                "and nothing was begun", f"{tried} {host.domains()}")


def goes_on(trial):
    """A card is made anew on the destination, and its counters begin anew."""
    trial.lab.order("net", "net", SEND_RATE)
    through = trial.begin_outside("observe", "--for", "30s", "--interval", "3s")
    moved = trial.outside("migrate", "net", "xen2", "--for", "1s", "--json")
    trial.claim(moved.status == 0 and trial.place("net") == "xen2",
                "a guest with a network card is migrated", moved)
    if moved.out.startswith("{"):
        note(trial, "a guest with a network card", moved.document["steps"])
    watch = Watch(trial.lab.hosts["xen2"], ("net",))
    try:
        watch.until(watch.now())
        seen = trial.inside("xen2", "observe", "-c", "xenctl:", "--for", f"{WATCHED_S}s",
                            "--interval", "2s")
        watch.until(watch.now())
        end = watch.last_sample(seen)
        sent = watch.count("net", "work", end - WATCHED_S, end) / WATCHED_S
    finally:
        stop(watch.process)
    figures = figures_of(seen, "net")
    trial.claim(sent > 2 and near(figures.get("net_tx_bytes_per_s"), sent * (FRAME - HEADER))
                and 0 <= figures.get("net_rx_bytes_per_s", -1) < 100,
                "and its figures go on there", f"{sent} {figures}\n{watch.points}\n{seen}")
    through.wait()
    figures = figures_of(through, "net") if through.status == 0 else {}
    trial.claim(0 <= figures.get("net_tx_bytes_per_s", -1) < 1.5 * SEND_RATE * FRAME
                and 0 <= figures.get("net_rx_bytes_per_s", -1) < 1000,
                "who watched it through the migration saw no jump", through)


def run(trial):
    host = trial.lab.hosts["xen1"]
    trial.lab.stop_all()
    with ThreadPoolExecutor() as pool:
        for start in [pool.submit(trial.lab.start, "xen1", "disk", "disk", DISK_RATE, 1024,
                                  memory_mb=96, set_pages=512, disk_mb=8),
                      pool.submit(trial.lab.start, "xen1", "net", "net", SEND_RATE, memory_mb=96,
                                  set_pages=512, nic=True)]:
            start.result()
    watch = Watch(host, ("disk", "net"))
    sender = host.start(f"exec frames vif{host.domid('net')}.0 {RECEIVE_RATE}")
    try:
        counted_alike(trial, host, watch)
    finally:
        stop(sender)
        stop(watch.process)
    for name in ("disk", "net"):
        trial.lab.order(name, "idle")
    absent_or_right(trial, host)
    stays(trial, host)
    goes_on(trial)
    trial.whole("devices")
    trial.lab.stop_all()
