# SPDX-License-Identifier: LGPL-2.1-or-later
"""Disks and network cards: what imig counts is what the guests count themselves, and a guest whose
disk is on one host only stays there."""

import json
import re
from concurrent.futures import ThreadPoolExecutor

from chapter_migrate import note
from lab import guest_uuid
from trial import PAGE

FRAME = 1400        # bytes, as guest-devices.c sends them
HEADER = 14         # of which netback does not count what it takes from a guest
DISK_RATE, SEND_RATE, RECEIVE_RATE = 80, 40, 160
FIGURES = ("disk_ops_per_s", "disk_read_bytes_per_s", "disk_write_bytes_per_s",
           "net_rx_bytes_per_s", "net_tx_bytes_per_s")
# So that this little is much of what a host has.
CAPACITY = {"format": "imig-capacity/1",
            "hosts": [{"id": "xen1", "disk_ops_per_s": 400, "net_bytes_per_s": 1e6}]}


def near(seen, known, share=0.1):
    return seen is not None and abs(seen - known) <= share * known


def figures_of(call, name):
    """What was measured of a guest; what was not is absent."""
    vm = next(vm for vm in call.document["vms"] if vm["name"] == name)
    return {key: vm[key] for key in FIGURES if key in vm}


def observe(trial, seconds=4):
    return trial.inside("xen1", "observe", "-c", "xenctl:", "--for", f"{seconds}s",
                        "--interval", f"{seconds / 4}s")


def vbd_counts(host, name):
    """(reads, writes) of a guest so far, as xentop says."""
    lines = [line.split() for line in host.run("xentop -b -i 1").splitlines()]
    row = next(line for line in lines[1:] if line[0] == name)
    return tuple(int(row[lines[0].index(key)]) for key in ("VBD_RD", "VBD_WR"))


def counted_alike(trial, host):
    """Figures and classes of guests that work, for as long as their own counts are taken."""
    host.write("/tmp/capacity.json", json.dumps(CAPACITY))
    before, top_before = both_reports(trial), vbd_counts(host, "disk")
    classes = trial.begin("xen1", "status", "-c", "xenctl:", "--for", "8s", "--interval", "2s",
                          "--json", "--host-capacity", "/tmp/capacity.json")
    seen, classes = observe(trial, 8), classes.wait()
    after, top_after = both_reports(trial), vbd_counts(host, "disk")
    if not trial.claim(seen.status == 0 and classes.status == 0, "guests with devices are watched",
                       f"{seen}\n{classes}"):
        return
    operations, sent = (trial.lab.work_rate(before[name], after[name]) for name in ("disk", "net"))
    got = trial.lab.work_rate(before["net"], after["net"], "received")
    disk, net = figures_of(seen, "disk"), figures_of(seen, "net")
    trial.figures["devices"] = {"disk: guest, imig": [round(operations, 1), disk],
                                "frames sent, received: guest, imig":
                                [round(sent, 1), round(got, 1), net]}
    detail = f"{trial.figures['devices']}\n{before}\n{after}\n{top_before} {top_after}\n{seen}"
    trial.claim(near(operations, DISK_RATE) and near(sent, SEND_RATE) and near(got, RECEIVE_RATE),
                "the guests work as ordered", detail)
    trial.claim(near(disk.get("disk_ops_per_s"), operations),
                "disk operations are those the guest did", detail)
    trial.claim(near(disk.get("disk_read_bytes_per_s"), operations / 2 * PAGE)
                and near(disk.get("disk_write_bytes_per_s"), operations / 2 * PAGE),
                "so are the bytes it read and wrote", detail)
    work = after["disk"]["work"] - before["disk"]["work"]
    trial.claim(all(near(last - first, work / 2) for first, last in zip(top_before, top_after)),
                "and xentop counts the same", detail)
    trial.claim(near(net.get("net_tx_bytes_per_s"), sent * (FRAME - HEADER)),
                "bytes sent are those the guest sent", detail)
    trial.claim(near(net.get("net_rx_bytes_per_s"), got * FRAME),
                "bytes received are those the guest received", detail)
    trial.claim(disk.get("net_tx_bytes_per_s") == disk.get("net_rx_bytes_per_s") == 0
                and net.get("disk_ops_per_s") == 0, "who has no device uses none", detail)
    trial.claim({vm["name"]: vm["class"] for vm in classes.document["vms"]}
                == {"disk": "disk-io", "net": "net-receive"}, "their classes say so", classes)


def both_reports(trial):
    return {name: trial.lab.report(name) for name in ("disk", "net")}


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
    seen = observe(trial, 2)
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
    asked = trial.outside("migrate", "disk", "xen2", "--for", "2s")
    trial.claim(asked.status == 1 and "disk" in asked.err, "a guest with a disk of its own is not "
                "migrated", asked)
    plan = trial.lab.dir / "plan.json"
    plan.write_text(json.dumps(plan_of("disk")))
    run = trial.outside("run", plan, "--yes")
    trial.claim(run.status != 0 and re.search("disk /dev/loop[0-9]+ is not known to be shared",
                                              run.out + run.err),
                "nor where a plan says so: the module itself says why", run)
    tried = host.run(f"ls /run/imig/{guest_uuid('disk')}.xl", check=False)
    trial.claim(host.domains().get("disk", {}).get("id") == began and not tried,
                "and nothing was begun", f"{tried} {host.domains()}")


def goes_on(trial):
    """A card is made anew on the destination, and its counters begin anew."""
    trial.lab.order("net", "net", SEND_RATE)
    moved = trial.outside("migrate", "net", "xen2", "--for", "2s", "--json")
    trial.claim(moved.status == 0 and trial.place("net") == "xen2",
                "a guest with a network card is migrated", moved)
    if moved.out.startswith("{"):
        note(trial, "a guest with a network card", moved.document["steps"])
    first = trial.lab.report("net")
    seen = trial.outside("observe", "--for", "6s", "--interval", "1.5s")
    sent = trial.lab.work_rate(first, trial.lab.report("net"))
    figures = figures_of(seen, "net")
    trial.claim(sent > SEND_RATE / 2 and near(figures.get("net_tx_bytes_per_s"),
                                              sent * (FRAME - HEADER))
                and 0 <= figures.get("net_rx_bytes_per_s", -1) < 100,
                "and its figures go on there", f"{sent} {figures}\n{seen}")


def run(trial):
    host = trial.lab.hosts["xen1"]
    trial.lab.stop_all()
    with ThreadPoolExecutor() as pool:
        for start in [pool.submit(trial.lab.start, "xen1", "disk", "disk", DISK_RATE, 1024,
                                  memory_mb=96, set_pages=512, disk_mb=8),
                      pool.submit(trial.lab.start, "xen1", "net", "net", SEND_RATE, memory_mb=96,
                                  set_pages=512, nic=True)]:
            start.result()
    sender = host.start(f"exec frames vif{host.domid('net')}.0 {RECEIVE_RATE}")
    try:
        counted_alike(trial, host)
    finally:
        sender.kill()
        sender.wait()
    for name in ("disk", "net"):
        trial.lab.order(name, "idle")
    absent_or_right(trial, host)
    stays(trial, host)
    goes_on(trial)
    trial.whole("devices")
    trial.lab.stop_all()
