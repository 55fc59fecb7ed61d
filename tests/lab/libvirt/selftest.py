#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Does the laboratory do what tests rely on?  Exit 0: yes, 1: no, 77: no lab on this machine.

usage: selftest.py
"""

import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

from lab import KINDS, Lab, LabUnavailable, guest_uuid
from machine import HERE, libvirt, run, wait_until


passed = 0


def expect(truth, what):
    global passed
    passed += bool(truth)
    print(f"{'ok' if truth else 'NOT OK'} - {what}", flush=True)
    if not truth:
        raise AssertionError(what)


def refused(call):
    """The text of the libvirt error that a call ends with; "" if it succeeds."""
    try:
        call()
    except libvirt.libvirtError as error:
        return str(error) or "error"
    return ""


def advanced(lab, names, seconds=3):
    """Guests among names whose work went on within some seconds."""
    before = lab.work()
    time.sleep(seconds)
    after = lab.work()
    return sorted(name for name in names if after[name]["work"] > before[name]["work"])


def check_guests(lab):
    lab.start_all([{"host": "host1", "name": kind, "kind": kind} for kind in KINDS])
    lab.start("host1", "random", "memory-dirty", pattern="random", persistent=True)
    everybody = sorted((*KINDS, "random"))
    expect(advanced(lab, everybody) == everybody, "every kind of work goes on")
    for name in everybody:
        job = lab.migrate(name, "host2", tls=name == "cpu")
        expect(lab.where(name) == [("host2", "running")],
               f"{name} migrates, {job['time_elapsed']} ms, downtime {job['downtime']} ms")
    expect(advanced(lab, everybody) == everybody, "every kind of work goes on there")
    expect(lab.faults() == [], "no guest was lost, no write either")
    everybody.remove("memory-dirty")
    for name in everybody:
        lab.stop(name)
    expect(lab.where("cpu") == [], "a stopped guest is gone")
    return "memory-dirty"


def check_limits(lab, guest):
    host = lab.hosts["host2"]
    if lab.covered["cpu_quota"]:
        lab.start("host2", "busy", "cpu")
        host.set_cores(0.2)
        connection = host.connect()
        domain, begin = connection.lookupByName("busy"), time.monotonic()
        before = domain.getCPUStats(True)[0]["cpu_time"]
        time.sleep(3)
        cores = (domain.getCPUStats(True)[0]["cpu_time"] - before) / 1e9
        cores /= time.monotonic() - begin
        connection.close()
        host.set_cores(None)
        lab.stop("busy")
        expect(0.05 < cores < 0.25, f"a host limited to 0.2 cores uses {cores:.2f}")
    times = []
    for rate, to in (("400mbit", "host1"), ("100mbit", "host2")):
        for each in lab.hosts.values():
            each.set_link(rate)
        times.append(lab.migrate(guest, to)["time_elapsed"])
    for each in lab.hosts.values():
        each.set_link(lab.link)
    expect(times[1] > 2 * times[0], f"a quarter of the link, {times[1] / times[0]:.1f} x the time")


def check_tls(lab):
    host = lab.hosts["host3"]
    for uri in (host.tcp_uri, host.tls_uri):
        said = run(*lab.manager_argv("virsh", "-c", uri, "hostname")).strip()
        expect(said == "host3", f"the manager reaches {uri.split('?')[0]}")
    try:
        run(*lab.manager_argv("timeout", "20", "virsh", "-c", host.wrong_tls_uri, "hostname"))
        said = ""
    except RuntimeError as error:
        said = str(error)
    expect("ertificate" in said or "TLS" in said or "rejected" in said,
           f"the wrong certificate is refused: {said.splitlines()[-1] if said else 'it is not'}")


def check_faults(lab, guest):
    """On host2 a guest; host3 takes nothing."""
    host2, host3, uuid = lab.hosts["host2"], lab.hosts["host3"], guest_uuid(guest)
    lab.start_hopeless("host1", "hopeless")
    failure = []
    migration = threading.Thread(
        target=lambda: failure.append(refused(lambda: lab.migrate("hopeless", "host3"))))
    migration.start()
    time.sleep(8)
    expect(migration.is_alive(), "a hopeless migration does not end")
    lab.abort("hopeless")
    migration.join(30)
    expect(failure and failure[0] and lab.where("hopeless") == [("host1", "running")],
           "it can be aborted")
    lab.hosts["host1"].set_link(lab.link)
    lab.hosts["host1"].kill_qemu(guest_uuid("hopeless"))
    wait_until(lambda: lab.where("hopeless") == [], "libvirt sees that a QEMU is dead", 10)
    expect(True, "a QEMU can be killed")

    host2.stop_daemon()
    expect(host2.daemon_state() == "stopped" and lab.where(guest) == [("host2", "unknown")],
           "a libvirtd can be stopped")
    host2.continue_daemon()
    expect(lab.where(guest) == [("host2", "running")], "and continued")
    host2.kill_daemon()
    expect(host2.daemon_state() == "gone" and lab.where(guest) == [("host2", "unknown")],
           "a libvirtd can be killed")
    host2.start_daemon()
    expect(lab.where(guest) == [("host2", "running")], "and started, and knows its guest")

    def reached():
        tcp = lab.manager_argv("timeout", "3", "virsh", "-c", host3.tcp_uri, "hostname")
        return subprocess.run(tcp, capture_output=True, check=False).returncode == 0
    host3.cut_link()
    expect(not reached(), "a link can be cut")
    host3.restore_link()
    wait_until(reached, "host3 is reached again", 20)
    expect(True, "and restored")

    host3.power_off()
    expect(host3.daemon_state() == "gone" and not host3.init_pid(), "a host can be powered off")
    host3.power_on()
    lab.migrate(guest, "host3")
    expect(lab.where(uuid) == [("host3", "running")], "and on, and takes guests")
    expect(lab.hosts["host3"].daemon_cpu_s() > 0, "libvirtd's processor time can be read")
    expect([f for f in lab.faults() if not f.startswith("hopeless")] == [], "no guest was lost")


def leftovers(record):
    """What a lab that is down should not have left."""
    left = [name for name in run("ip", "netns").split() if name in record["netns"]]
    left += [path for paths in record["cgroups"] for path in paths.values()
             if os.path.exists(path)]
    left += [line for line in run("losetup", "--list").splitlines() if record["dir"] in line]
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if record["dir"] in path.read_text():
                left.append(str(path))
        except OSError:
            pass
    return left + [record["dir"]] * os.path.exists(record["dir"])


def check_killed_lab():
    """A lab whose owner is killed is cleared by the next one, a lab that lives is not."""
    up = subprocess.Popen([sys.executable, HERE / "lab.py", "up", "--hosts", "1"],
                          stdout=subprocess.PIPE, text=True)
    try:
        killed = Lab.attach(pathlib.Path(up.stdout.readline().split()[-1]).parent).record()
    finally:
        up.send_signal(signal.SIGKILL)
        up.wait()
    expect(leftovers(killed), "a killed lab leaves something")
    run(sys.executable, HERE / "lab.py", "down")
    expect(leftovers(killed) == [], "which is cleared afterwards")


def main():
    begin = time.monotonic()
    with Lab(hosts=3) as lab:
        record = lab.record()
        print(f"# up after {time.monotonic() - begin:.1f} s")
        for what, how in lab.covered.items():
            print(f"# {what}: {how}")
        try:
            check_tls(lab)
            guest = check_guests(lab)
            check_limits(lab, guest)
            check_faults(lab, guest)
            check_killed_lab()
            expect(lab.where(guest), "while another lab lives on")
        except Exception:
            print(lab.logs())
            raise
    expect(leftovers(record) == [], "nothing is left of the lab")
    print(f"{passed} checks passed in {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    try:
        main()
    except LabUnavailable as unavailable:
        print(f"skipped: {unavailable}")
        sys.exit(77)
    except Exception as failure:        # pylint: disable=broad-except
        print(f"failed: {failure!r}")
        sys.exit(1)
