#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A laboratory: one or two real Xen hosts, each in a QEMU of its own, with guests that work.

    with Lab(hosts=2, imig_build="build") as lab:
        lab.start("xen1", "dirty1", kind="cyclic", rate=1000, pages=4096)
        lab.hosts["xen1"].run("xl list")
        lab.migrate("dirty1", "xen1", "xen2")

usage: lab.py up [--hosts N] [--imig-build DIR] [--guests HOST:NAME[:key=value...] ...]
           bring a lab up, print how to reach it, keep it until Ctrl-C
       lab.py exec HOST COMMAND...         run a command line in a domain 0 of a lab that is up
       lab.py put HOST FILE [TO]           copy a file there, by default among the programs
       lab.py call METHOD [ARGUMENT | key=value]...
       lab.py down                         take down what a killed lab left behind
"""

import argparse
import contextlib
import json
import os
import pathlib
import shlex
import shutil
import signal
import sys
import tempfile
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import image            # says where the modules of both laboratories are
import commandline
from host import XenHost
from image import LabUnavailable
from machine import started_at, wait_until

PREFIX = "imig-xenlab-"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GUEST = """name = "{name}"
uuid = "{uuid}"
type = "pvh"
kernel = "/guest/vmlinux"
ramdisk = "/guest/{initrd}"
memory = {memory_mb}
vcpus = {vcpus}
cpus = "{cpus}"
cmdline = "console=hvc0 quiet mitigations=off nokaslr random.trust_cpu=on \
transparent_hugepage=never SET_PAGES={set_pages}{devices}"
on_crash = "destroy"
"""
DISKS = "/var/disks"        # files of guests, in domain 0


def guest_uuid(name):
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name + ".guest.imig-xenlab"))


class Lab:
    """Hosts (`hosts`, by name: xen1, xen2) and guests (`guests`, by name).

    As a context manager it brings all up, and takes all down whatever happens; `attach` gives
    other programs the same object for a lab that is up.
    """

    def __init__(self, hosts=2, imig_build=None, programs=(), keep_logs=None):
        """programs: more files for /usr/local/bin.  keep_logs: where logs go at the end."""
        self.count, self.imig_build, self.programs = hosts, imig_build, programs
        self.keep_logs = keep_logs
        self.dir, self.hosts, self.guests = None, {}, {}
        self._handlers = {}
        self._record = threading.Lock()

    # ---- up and down ----

    def __enter__(self):
        self._catch_signals()
        try:
            images = image.image()
            clear_stale()
            self._up(images)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def _catch_signals(self):
        """They shall unwind the stack; also SIGINT, which a shell's "&" has set to be ignored."""
        def leave(number, _):
            raise SystemExit(128 + number)
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._handlers[number] = signal.signal(number, leave)

    def _up(self, images):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=PREFIX))
        self._save()        # before there is anything, for then whoever kills us leaves a trace
        shutil.copy(images / "remote", self.dir / "remote")
        archive = self.dir / "dom0.cpio"
        shutil.copy(images / "dom0.cpio", archive)
        if self.imig_build or self.programs:
            with open(archive, "ab") as both:
                both.write(image.programs_of(self.imig_build, self.programs))
        for number in range(1, self.count + 1):
            host = XenHost(self.dir, number)
            self.hosts[host.name] = host
            host.power_on(images, archive)
        with ThreadPoolExecutor() as pool:
            list(pool.map(XenHost.wait_ready, self.hosts.values()))
        archive.unlink()
        self._write_ssh()
        self._save()

    def _write_ssh(self):
        """What `imig --transport` gets: hosts by name, as ssh would have it."""
        cases = "".join(f"{name}) host=127.0.0.1:{host.port} ;;\n"
                        for name, host in self.hosts.items())
        script = self.dir / "ssh"
        script.write_text("#!/bin/sh\n# [-OPTION... | -o OPTION] HOST COMMAND...\n"
                          'while :; do case "$1" in -o) shift 2 ;; -*) shift ;; *) break ;; esac;'
                          " done\n"
                          f'case "$1" in\n{cases}*) echo "no host $1" >&2; exit 255 ;;\nesac\n'
                          f'shift\nexec {self.dir}/remote "$host" "$@"\n')
        script.chmod(0o755)

    @property
    def transport(self):
        """For `imig --transport`."""
        return f"{self.dir}/ssh %h"

    def uris(self):
        return [f"xenctl+ssh://{name}" for name in self.hosts]

    def _save(self):
        with self._record:
            new = self.dir / "lab.json.new"
            new.write_text(json.dumps({
                "format": "imig-xenlab/1", "dir": str(self.dir),
                "owner": [os.getpid(), started_at(os.getpid())], "guests": dict(self.guests),
                "hosts": [[host.number, host.port] for host in self.hosts.values()]}) + "\n")
            new.rename(self.dir / "lab.json")

    @classmethod
    def attach(cls):
        """The lab that $IMIG_XENLAB names, else any that is up."""
        named = os.environ.get("IMIG_XENLAB")
        for directory in [pathlib.Path(named)] if named else recorded():
            record = read_record(directory)
            if record and alive(record):
                lab = cls(len(record["hosts"]))
                lab.dir, lab.guests = directory, record["guests"]
                for number, port in record["hosts"]:
                    host = XenHost(directory, number)
                    host.port = port
                    lab.hosts[host.name] = host
                return lab
        raise LabUnavailable("no lab is up")

    def close(self):
        """Take all down; once more is no harm."""
        held = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            if self.dir and self.dir.exists():
                for host in self.hosts.values():
                    host.power_off()
                if self.keep_logs:
                    pathlib.Path(self.keep_logs).mkdir(parents=True, exist_ok=True)
                    for path in self.dir.glob("*.log"):
                        shutil.copy(path, self.keep_logs)
                take_down(self.dir)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            self._handlers = {}

    # ---- guests ----

    def start(self, host, name, kind="idle", rate=0, pages=0, memory_mb=112, set_pages=4096,
              vcpus=1, cpus="1", disk_mb=0, nic=False):
        """Start a guest and wait until it works as ordered.  Returns its UUID.  Domain 0 has the
        host's processor 0 to itself, as long as guests are told to run on the other one only.
        disk_mb: size of a disk, on a loop device of that host.  nic: has a network card, behind
        which there is only its end in domain 0."""
        config = GUEST.format(name=name, uuid=guest_uuid(name), memory_mb=memory_mb, vcpus=vcpus,
                              cpus=cpus, set_pages=set_pages,
                              initrd="initrd-devices" if disk_mb or nic else "initrd",
                              devices=" DISK=1" * bool(disk_mb)
                              + " NIC=1 ipv6.disable=1" * bool(nic))
        if disk_mb:
            config += f'disk = ["phy:{self._loop(host, name, disk_mb)},xvda,w"]\n'
        if nic:
            config += 'vif = [""]\n'
        self.guests[name] = {"boot": None, "work": 0, "order": 0}
        self._save()
        path = f"/tmp/{guest_uuid(name)}.cfg"
        self.hosts[host].write(path, config)
        self.hosts[host].run(f"xl create -q {path}", timeout_s=180)
        try:
            wait_until(lambda: self.report(name), f"{name} works", 150, 0.5)
        except TimeoutError as error:
            said = self.hosts[host].run(f"tail -n 8 /var/log/xen/console/guest-{name}.log",
                                        check=False)
            raise RuntimeError(f"{error}; its console: {said}") from None
        self.guests[name]["boot"] = self.report(name)["boot"]
        if kind != "idle":
            self.order(name, kind, rate, pages)
        self._save()
        return guest_uuid(name)

    def _loop(self, host, name, size_mb):
        """A new loop device, on a file that takes memory as it is written."""
        path = shlex.quote(f"{DISKS}/{name}")
        return self.hosts[host].run(f"mkdir -p {DISKS} && truncate -s {size_mb}M {path} && "
                                    f"d=$(losetup -f) && losetup $d {path} && echo $d").strip()

    def stop(self, name):
        for host in self.hosts.values():
            domain = host.domains().get(name)
            if domain:
                host.run(f"xl destroy {domain['id']}")
                path = f"{DISKS}/{name}"
                host.run(["sh", "-c", 'd=$(losetup -a | grep -F " $0" | cut -d : -f 1); '
                          '[ -z "$d" ] || losetup -d "$d"; rm -f "$0"', path])
        del self.guests[name]
        self._save()

    def stop_all(self):
        for name in list(self.guests):
            self.stop(name)

    def order(self, name, kind, rate=0, pages=1):
        """Give a guest other work, and wait until it does it: pages a second (0: as fast as it
        goes), written in that sequence (cyclic, random; idle, busy: none), over so many pages;
        disk: operations, over so many blocks; net: frames."""
        host, domain = self._at(name)
        self.guests[name]["order"] += 1
        number = self.guests[name]["order"]
        host.run(["xenstore-write", f"/local/domain/{domain}/data/order",
                  f"{number} {kind} {rate} {pages}"])
        wait_until(lambda: (self.report(name) or {}).get("order") == number,
                   f"{name} takes order {number}", 60, 0.3)

    def _at(self, name):
        for host in self.hosts.values():
            domain = host.domains().get(name)
            if domain:
                return host, domain["id"]
        raise RuntimeError(f"{name} is on no host")

    def report(self, name):
        """What a guest says of itself: seconds, work, errors, order, boot, received, stood (for
        so many seconds); None: nothing."""
        for host in self.hosts.values():
            said = host.stored("data/report").get(name, "").split()
            if len(said) == 7:
                return {"seconds": float(said[0]), "work": int(said[1]),
                        "errors": int(said[2]), "order": int(said[3]), "boot": said[4],
                        "received": int(said[5]), "stood": int(said[6]) / 1e3}
        return None

    @staticmethod
    def work_rate(first, last, what="work"):
        """Work, or frames received, a second between two reports, by the guest's own count and
        clock."""
        return (last[what] - first[what]) / (last["seconds"] - first["seconds"])

    def where(self, name):
        """[(host, state)] of a guest, as every host has it: running, paused, ended."""
        found = []
        for host in self.hosts.values():
            domain = host.domains().get(name)
            if domain:
                flags = domain["state"]
                found.append((host.name, "paused" if "p" in flags else
                              "ended" if set(flags) & set("scd") else "running"))
        return found

    def faults(self, patience_s=25):
        """What is wrong with guests; an empty list is what a test wants.  A guest is right that
        runs on one host, still reports, has the kernel it began with, has not gone back, and has
        found all its pages as it wrote them."""
        wrong = []
        for name, guest in self.guests.items():
            places = self.where(name)
            if len(places) != 1 or places[0][1] != "running":
                wrong.append(f"{name} is at {places}; {self.last_words(name)}")
                continue
            first = self.report(name)
            try:        # two more reports: a look at all pages lies between them
                wait_until(lambda: (self.report(name) or {}).get("seconds", 0)
                           > (first or {}).get("seconds", 0) + 2, name, patience_s, 0.5)
            except TimeoutError:
                wrong.append(f"{name} is silent; {self.last_words(name)}")
                continue
            last = self.report(name)
            if last["errors"]:
                wrong.append(f"{name}: {last['errors']} pages are wrong")
            if last["boot"] != guest["boot"]:
                wrong.append(f"{name} was started anew")
            if last["work"] < guest["work"]:
                wrong.append(f"{name} went back")
            guest["work"] = last["work"]
        return wrong

    def last_words(self, name):
        """What every host has of a guest that was lost: its console, what the toolstack did with
        it, what the hypervisor says."""
        log = shlex.quote(name)
        told = "xl list; xl vm-list; tail -n 12 /var/log/xen/console/guest-" + log + ".log " \
            "/var/log/xen/xl-" + log + "*.log; xl dmesg | tail -n 12"
        return "\n".join(f"{host.name}: {host.run(told + ' 2>&1', check=False)}"
                         for host in self.hosts.values())

    def migrate(self, name, source, target, transport=None):
        """By hand, without imig: what an administrator does.  Returns what xl said."""
        more = f"-s {shlex.quote(transport)} " if transport else ""
        done = self.hosts[source].call(f"xl migrate {more}{shlex.quote(name)} {target}",
                                       timeout_s=300)
        if done.returncode:
            raise RuntimeError(f"xl migrate: exit {done.returncode}: {done.stderr[-800:]}")
        return done.stderr

    def logs(self, lines=12):
        """The end of every log there is: what to print when a test fails."""
        text = []
        for path in sorted(self.dir.glob("*.log")):
            end = path.read_text(errors="replace").splitlines()[-lines:]
            text += [f"==> {path.name}", *end] if end else []
        return "\n".join(text)


# ---- labs on this machine ----

def recorded():
    """Directories of our own labs, newest first."""
    directories = [path for path in pathlib.Path(tempfile.gettempdir()).glob(PREFIX + "*")
                   if path.stat().st_uid == os.geteuid()]
    return sorted(directories, key=os.path.getmtime, reverse=True)


def read_record(directory):
    try:
        return json.loads((directory / "lab.json").read_text())
    except FileNotFoundError:
        return None


def alive(record):
    """Owners are told apart by number and birth."""
    pid, begun = record["owner"]
    return started_at(pid) == begun


def clear_stale():
    """Take down labs whose owner was killed."""
    for directory in recorded():
        record = read_record(directory)
        if record and not alive(record):
            take_down(directory)


def take_down(directory):
    """Kill what has this lab's directory among its words: nothing else has a reason to."""
    def empty():
        left = []
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = path.read_bytes()
                if b"qemu-system" in words and f"{directory}/".encode() in words:
                    left.append(int(path.parent.name))
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not left
    wait_until(empty, "processes of the lab end", 30)
    shutil.rmtree(directory)


# ---- command line ----

def up(options):
    begin = time.monotonic()
    with Lab(options.hosts, options.imig_build) as lab:
        print(f"lab up after {time.monotonic() - begin:.1f} s: {lab.dir}", flush=True)
        for guest in options.guests:
            host, name, *more = guest.split(":")
            lab.start(host, name, **commandline.arguments(more)[1])
        if options.guests:
            print(f"{len(options.guests)} guests work after {time.monotonic() - begin:.1f} s")
        print(f"--transport '{lab.transport}' " + " ".join(f"-c {uri}" for uri in lab.uris()))
        print("Ctrl-C takes it down", flush=True)
        while True:
            signal.pause()


def main(argv):
    if argv[:1] == ["up"]:
        parser = argparse.ArgumentParser(prog="lab.py up")
        parser.add_argument("--hosts", type=int, default=2, choices=(1, 2))
        parser.add_argument("--imig-build")
        parser.add_argument("--guests", nargs="*", default=[], metavar="HOST:NAME[:key=value]")
        up(parser.parse_args(argv[1:]))
    elif argv[:1] == ["exec"] and len(argv) > 2:
        command = Lab.attach().hosts[argv[1]].argv(" ".join(argv[2:]))
        os.execv(command[0], command)
    elif argv[:1] == ["put"] and len(argv) in (3, 4):
        Lab.attach().hosts[argv[1]].put(*argv[2:])
    elif argv[:1] == ["call"] and len(argv) > 1:
        commandline.call(Lab.attach(), argv[1:])
    elif argv == ["down"]:
        clear_stale()
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except LabUnavailable as error:
        print(f"no lab: {error}", file=sys.stderr)
        sys.exit(77)
    except KeyboardInterrupt:
        sys.exit(130)
