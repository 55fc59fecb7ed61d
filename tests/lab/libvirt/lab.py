#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A laboratory: several real libvirtd "hosts" on one machine, QEMU guests that work, migrations.

    with Lab(hosts=3) as lab:
        lab.start("host1", "web1", "web-server", rate_mb=5)
        lab.hosts["host1"].set_cores(0.5)
        lab.migrate("web1", "host2")

usage: lab.py up [--hosts N] [--link RATE] [--guests HOST:NAME:KIND[:key=value...] ...]
           bring a lab up, print how to reach it, keep it until Ctrl-C
       lab.py call METHOD [ARGUMENT | key=value]...
           on a lab that is up: lab.py call start host1 a cpu; lab.py call host1.set_cores 0.5
       lab.py manager COMMAND...
           run a command where hosts can be reached over TCP and TLS
       lab.py down
           take down what a killed lab left behind
"""

import argparse
import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import commandline
import machine
import pki
from host import Host, ip, netns_pids
from machine import LabUnavailable, libvirt, run, wait_until

PREFIX = "imig-lab-"
NET = "10.77.0"
MANAGER_IP = NET + ".254"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
KINDS = ("idle", "cpu", "disk-io", "memory-dirty", "net-receive", "web-server")
# Parameters of guests and their defaults; guest.c says what they mean.
PARAMETERS = {"fill_mb": 16, "rate_mb": 2, "size_mb": 16, "pattern": "cyclic", "page_kb": 64,
              "disk_mb": 32}

DOMAIN = """
<domain type='qemu'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <memory unit='MiB'>{memory_mb}</memory>
  <vcpu>{vcpus}</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{kernel}</kernel>
    <initrd>{initramfs}</initrd>
    <cmdline>{cmdline}</cmdline>
  </os>
  <features><acpi/><apic/><tcg><tb-cache unit='MiB'>64</tb-cache></tcg></features>
  <cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model></cpu>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>destroy</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    {disk}
    <interface type='bridge'>
      <mac address='52:54:00:77:00:{number:02x}'/>
      <source bridge='br0'/>
      <model type='virtio'/>
    </interface>
    <serial type='file'><source path='{console}' append='on'/><target port='0'/></serial>
    <controller type='usb' model='none'/>
    <memballoon model='virtio'><stats period='1'/></memballoon>
  </devices>
</domain>
"""
# A block device counts as shared storage for libvirt, a file on a local file system does not:
# that would need VIR_MIGRATE_UNSAFE.
DISK = """<disk type='block' device='disk'>
      <driver name='qemu' type='raw' cache='none' io='threads'/>
      <source dev='{device}'/><target dev='vda' bus='virtio'/>
    </disk>"""


def guest_uuid(name):
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name + ".guest.imig-lab"))


class Lab:
    """Hosts (`hosts`, by name), guests (`guests`, by name), a manager, all on one switch.

    As a context manager it brings all up, and takes all down whatever happens.  `attach` gives
    other programs the same object for a lab that is up.
    """

    def __init__(self, hosts=3, link="400mbit", weight=100):
        """link: rate of every host's link, each way.  weight: each host's share of a busy
        machine's processors; 100 is what everybody has, timings repeat better with more."""
        self.link, self.weight = link, weight
        self.names = [f"host{i}" for i in range(1, hosts + 1)] if isinstance(hosts, int) else hosts
        self.dir = None
        self._handlers = {}

    # ---- up and down ----

    def __enter__(self):
        self._catch_signals()
        try:
            machine.require()
            clear_stale()
            self._up()
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

    def _up(self):
        _, qemu_version = machine.qemu()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=PREFIX))
        self._open(f"{PREFIX}{os.getpid()}-{self.dir.name[len(PREFIX):]}", machine.Cgroups())
        self.covered = machine.covered(self.cgroups, qemu_version)
        # What is about to be made is recorded before it is made.
        self._record.update(
            format="imig-lab/1", dir=str(self.dir), link=self.link, names=self.names,
            owner=[os.getpid(), machine.started_at(os.getpid())], prefix=self.prefix,
            cgroup_version=self.cgroups.version,
            cgroups=[{c: str(path) for c, path in host.cgroup.directories.items()}
                     for host in self.hosts.values()],
            manager={"netns": self.manager, "ip": MANAGER_IP},
            netns=[self.switch, self.manager] + [h.netns for h in self.hosts.values()],
            hosts=[h.describe() for h in self.hosts.values()], guests={}, covered=self.covered)
        self._save()
        (self.dir / "console").mkdir()
        (self.dir / "disks").mkdir()
        machine.build_initramfs(self.dir / "initramfs")
        addresses = [(host.name, host.ip) for host in self.hosts.values()]
        pki.make(self.dir / "pki", addresses)
        self._wire()
        for host in self.hosts.values():
            host.cgroup.create()
            host.set_weight(self.weight)
            host.configure(addresses)
            host.wire(self.link)
        with ThreadPoolExecutor() as pool:
            list(pool.map(Host.power_on, self.hosts.values()))

    def _open(self, prefix, cgroups):
        self.prefix, self.cgroups = prefix, cgroups
        self.switch, self.manager = prefix + "-switch", prefix + "-manager"
        self.hosts = {
            name: Host(self.dir, name, f"{NET}.{10 + i}", f"{prefix}-{name}", self.switch,
                       cgroups.group(f"{prefix}-{name}"))
            for i, name in enumerate(self.names, 1)}
        self._record = {}

    def _wire(self):
        """The switch, and the manager's place at it, where loads come from."""
        run("ip", "netns", "add", self.switch)
        run("ip", "netns", "add", self.manager)
        ip(self.switch, "link add switch type bridge forward_delay 0")
        ip(self.switch, "link set switch up")
        ip(self.manager, "link set lo up")
        ip(self.manager, f"link add eth0 type veth peer name manager netns {self.switch}")
        ip(self.switch, "link set manager master switch up")
        ip(self.manager, f"addr add {MANAGER_IP}/24 dev eth0")
        ip(self.manager, "link set eth0 up")
        with open(self.dir / "loadgen.log", "ab") as log:
            self._loadgen = subprocess.Popen(
                self.manager_argv(sys.executable, machine.HERE / "loadgen.py",
                                  self.dir / "loadgen.sock"),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        wait_until((self.dir / "loadgen.sock").exists, "the load generator is up", 20)

    def close(self):
        """Take all down; once more is no harm."""
        held = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            if self.dir and self.dir.exists():
                take_down(self.dir)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            self._handlers = {}

    @classmethod
    def attach(cls, directory=None):
        """The lab in a directory, else the one that $IMIG_LAB names, else any that is up."""
        directory = directory or os.environ.get("IMIG_LAB")
        directories = [pathlib.Path(directory)] if directory else [
            d for d in recorded() if alive(read_record(d))]
        if not directories:
            raise LabUnavailable("no lab is up")
        record = read_record(directories[0])
        lab = cls(record["names"], record["link"])
        lab.dir = directories[0]
        lab._open(record["prefix"], machine.Cgroups())
        lab.covered = record["covered"]
        for host, directories in zip(lab.hosts.values(), record["cgroups"]):
            host.cgroup = machine.Cgroup(record["cgroup_version"], directories)
        return lab

    # ---- the record: lab.json ----

    def _save(self):
        new = self.dir / "lab.json.new"
        new.write_text(json.dumps(self._record, indent=1) + "\n")
        new.rename(self.dir / "lab.json")

    @contextlib.contextmanager
    def _locked_record(self):
        """Change self._record; other programs may do so, too."""
        with open(self.dir / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._record = read_record(self.dir)
            yield self._record
            self._save()

    def record(self):
        """What lab.json says now."""
        return read_record(self.dir)

    @property
    def guests(self):
        """name -> uuid, ip, kind, parameters"""
        return self.record()["guests"]

    # ---- manager ----

    def manager_argv(self, *command):
        """How to run a command where all hosts can be reached over TCP and TLS."""
        return ["nsenter", f"--net=/run/netns/{self.manager}", "--", *map(str, command)]

    def _tell_loadgen(self, **order):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.settimeout(30)
            s.connect(str(self.dir / "loadgen.sock"))
            s.sendall(json.dumps(order).encode() + b"\n")
            with s.makefile() as answer:
                return json.loads(answer.readline())

    # ---- imig ----

    def uri(self, host, migrate="tcp"):
        """For `imig -c`."""
        return self.hosts[host].uri(migrate)

    def uris(self, migrate="tcp"):
        return [host.uri(migrate) for host in self.hosts.values()]

    def capacity_file(self, memory_bytes=2 << 30, net_bytes_per_s=5e7, disk_ops_per_s=2000.0,
                      cpu_cores=1.0, names=None):
        """A file for `imig --host-capacity`: every libvirtd sees the whole machine as its own.
        names: hosts that imig is told of, all of them by default."""
        hosts = [{"id": host.name, "cpu_cores": host.cgroup.cores() or cpu_cores,
                  "memory_bytes": memory_bytes, "net_bytes_per_s": net_bytes_per_s,
                  "disk_ops_per_s": disk_ops_per_s}
                 for host in self.hosts.values() if names is None or host.name in names]
        path = self.dir / "capacity.json"
        path.write_text(json.dumps({"format": "imig-capacity/1", "hosts": hosts}, indent=1) + "\n")
        return str(path)

    # ---- guests ----

    def start(self, host, name, kind, **parameters):
        """Start a guest and wait until it works.  Returns its UUID."""
        return self.start_all([dict(parameters, host=host, name=name, kind=kind)])[0]

    def start_all(self, guests, timeout_s=180):
        """Start many at once: dicts of host, name, kind, and any of memory_mb, vcpus,
        persistent, PARAMETERS.  Limits on processors are lifted while they boot."""
        cores = {host: host.cgroup.cores() for host in self.hosts.values()}
        for host in cores:
            host.set_cores(None)
        try:
            started = [self._boot(**guest) for guest in guests]
            for guest in started:
                self._wait_for_work(guest, timeout_s)
        finally:
            for host, limit in cores.items():
                host.set_cores(limit)
        return [guest["uuid"] for guest in started]

    def _boot(self, host, name, kind, memory_mb=96, vcpus=1, persistent=False, **given):
        if kind not in KINDS or not given.keys() <= PARAMETERS.keys():
            raise ValueError(f"{name}: kind {kind}, parameters {given}")
        with self._locked_record() as record:
            if name in record["guests"]:
                raise ValueError(f"there is a guest {name}")
            taken = {guest["number"] for guest in record["guests"].values()}
            number = next(n for n in range(101, 250) if n not in taken)
            guest = record["guests"][name] = {
                "name": name, "uuid": guest_uuid(name), "number": number, "ip": f"{NET}.{number}",
                "kind": kind, "memory_mb": memory_mb, "vcpus": vcpus, "started_on": host,
                **PARAMETERS, **given}
        try:
            xml = self._domain_xml(guest)
            connection = self.hosts[host].connect()
            if persistent:
                connection.defineXML(xml).create()
            else:
                connection.createXML(xml)
            connection.close()
            if kind in ("net-receive", "web-server"):
                self.load(name)
        except BaseException:
            self.stop(name)
            raise
        return guest

    def _domain_xml(self, guest):
        name = guest["name"]
        console = self.dir / f"console/{name}.log"
        console.unlink(missing_ok=True)
        words = {"NAME": name, "IP": guest["ip"], "KIND": guest["kind"], "REPORT": MANAGER_IP}
        words.update((key.upper(), guest[key]) for key in PARAMETERS)
        return DOMAIN.format(
            **guest, kernel=machine.kernel(), initramfs=self.dir / "initramfs", console=console,
            disk=self._disk(name, guest["disk_mb"]) if guest["kind"] == "disk-io" else "",
            cmdline="console=ttyS0 quiet panic=-1 no_timer_check tsc=unstable nokaslr "
                    + " ".join(f"{key}={word}" for key, word in words.items()))

    def _disk(self, name, size_mb):
        image = self.dir / f"disks/{name}"
        with open(image, "wb") as f:
            f.truncate(size_mb << 20)
        return DISK.format(device=run("losetup", "--find", "--show", image).strip())

    def _wait_for_work(self, guest, timeout_s):
        def works():
            return self.work().get(guest["name"], {}).get("work", 0) > 0
        try:
            wait_until(works, f"{guest['name']} works", timeout_s, 0.2)
        except TimeoutError as error:
            said = (self.dir / f"console/{guest['name']}.log").read_text(errors="replace")
            raise RuntimeError(f"{error}; its console: {said[-500:]}") from None

    def load(self, name, rate_mb=None):
        """Send to a net-receive guest, fetch from a web-server; again for another rate."""
        guest = self.guests[name]
        self._tell_loadgen(do="send" if guest["kind"] == "net-receive" else "fetch", to=name,
                           ip=guest["ip"], mb_s=guest["rate_mb"] if rate_mb is None else rate_mb,
                           page_kb=guest["page_kb"] if guest["kind"] == "web-server" else 0)

    def unload(self, name):
        """Nobody sends to it or fetches from it until load(); what it reported is forgotten."""
        self._tell_loadgen(do="stop", to=name)

    def start_hopeless(self, host, name, link="50mbit", **parameters):
        """A guest whose pre-copy never converges: it writes faster than the host's link sends."""
        self.hosts[host].set_link(link)
        return self.start(host, name, "memory-dirty", memory_mb=128, size_mb=48, rate_mb=0,
                          pattern="random", **parameters)

    def stop(self, name):
        """Remove a guest from wherever it is."""
        for host, _ in self.where(guest_uuid(name)):
            connection = self.hosts[host].connect()
            domain = connection.lookupByName(name)
            persistent = domain.isPersistent()
            if domain.isActive():
                domain.destroy()
            if persistent:
                domain.undefine()
            connection.close()
        self.unload(name)
        detach_disks(self.dir, name)
        with self._locked_record() as record:
            del record["guests"][name]

    def work(self):
        """name -> work, boots, went_back, errors, silent_s, ... as the guests themselves report.
        A guest that was never lost has boots 1, went_back 0, errors 0."""
        return self._tell_loadgen(do="work")

    def faults(self, silent_s=3.0):
        """What is wrong with guests by their own reports; an empty list is what a test wants."""
        wrong = []
        work = self.work()
        for name in self.guests:
            if name not in work:
                wrong.append(f"{name} was never heard of")
                continue
            says = work[name]
            for key, good in (("boots", 1), ("went_back", 0), ("errors", 0)):
                if says[key] != good:
                    wrong.append(f"{name}: {key} {says[key]}")
            if says["silent_s"] > silent_s:
                wrong.append(f"{name}: silent for {says['silent_s']} s")
        return wrong

    def where(self, identity):
        """[(host, state)] of a guest, by name or UUID, straight from every libvirtd."""
        try:
            wanted = str(uuid.UUID(identity))
        except ValueError:
            wanted = guest_uuid(identity)
        states = [(host.name, host.state_of(wanted)) for host in self.hosts.values()]
        return [(name, state) for name, state in states if state]

    def logs(self, lines=8):
        """The end of every log there is: what to print when a test fails."""
        text = []
        for path in sorted(self.dir.rglob("*.log")):
            end = path.read_text(errors="replace").splitlines()[-lines:]
            text += [f"==> {path.relative_to(self.dir)}", *end] if end else []
        return "\n".join(text)

    # ---- migrations, without imig ----

    def _domain(self, name):
        host = next(h for h, state in self.where(name) if state in ("running", "paused"))
        return self.hosts[host].connect().lookupByName(name)

    def migrate(self, name, to, tls=False, downtime_ms=300):
        """Peer to peer; returns libvirt's statistics of the completed job."""
        target = self.hosts[to]
        domain = self._domain(name)
        domain.migrateSetMaxDowntime(downtime_ms)
        flags = libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_PEER2PEER
        if domain.isPersistent():
            flags |= libvirt.VIR_MIGRATE_PERSIST_DEST | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
        if tls:
            flags |= libvirt.VIR_MIGRATE_TLS
        domain.migrateToURI3(target.tls_uri if tls else target.tcp_uri, {}, flags)
        return self._domain(name).jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED)

    def abort(self, name):
        """Cancel the migration that a guest is in."""
        self._domain(name).abortJob()


# ---- labs on this machine ----

def recorded():
    """Directories of labs, newest first."""
    records = pathlib.Path(tempfile.gettempdir()).glob(PREFIX + "*/lab.json")
    return sorted((path.parent for path in records), key=os.path.getmtime, reverse=True)


def read_record(directory):
    return json.loads((directory / "lab.json").read_text())


def alive(record):
    pid, begun = record["owner"]
    return machine.started_at(pid) == begun


def clear_stale():
    """Take down labs whose owner was killed.  Owners are told apart by number and birth."""
    lock = os.open(tempfile.gettempdir(), os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for directory in recorded():
            if not alive(read_record(directory)):
                take_down(directory)
    finally:
        os.close(lock)


def detach_disks(directory, name="*"):
    for image in (directory / "disks").glob(name):
        for line in run("losetup", "--associated", image, check=False).splitlines():
            run("losetup", "--detach", line.split(":")[0], check=False)
        image.unlink()


def take_down(directory):
    """Undo what a record says was, or was about to be, made.  Processes are found by the lab's
    own network namespaces, which nobody else has a reason to be in."""
    if (directory / "lab.json").exists():
        record = read_record(directory)

        def empty():
            left = [pid for netns in record["netns"] for pid in netns_pids(netns)]
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not left
        wait_until(empty, "processes of the lab end", 30)
        for netns in record["netns"]:
            run("ip", "netns", "del", netns, check=False)
        for directories in record["cgroups"]:
            machine.Cgroup(record["cgroup_version"], directories).remove()
        detach_disks(directory)
    shutil.rmtree(directory)


# ---- command line ----

def up(options):
    begin = time.monotonic()
    with Lab(options.hosts, options.link) as lab:
        print(f"lab up after {time.monotonic() - begin:.1f} s: {lab.dir}/lab.json", flush=True)
        guests = []
        for guest in options.guests:
            host, name, kind, *more = guest.split(":")
            guests.append(dict(commandline.arguments(more)[1], host=host, name=name, kind=kind))
        lab.start_all(guests)
        if guests:
            print(f"{len(guests)} guests work after {time.monotonic() - begin:.1f} s")
        for host in lab.hosts.values():
            print(f"-c '{host.uri()}'")
        print("Ctrl-C takes it down", flush=True)
        while True:
            signal.pause()


def main(argv):
    if argv[:1] == ["up"]:
        parser = argparse.ArgumentParser(prog="lab.py up")
        parser.add_argument("--hosts", type=int, default=3)
        parser.add_argument("--link", default="400mbit")
        parser.add_argument("--guests", nargs="*", default=[], metavar="HOST:NAME:KIND[:key=value]")
        up(parser.parse_args(argv[1:]))
    elif argv[:1] == ["call"] and len(argv) > 1:
        commandline.call(Lab.attach(), argv[1:])
    elif argv[:1] == ["manager"] and len(argv) > 1:
        command = Lab.attach().manager_argv(*argv[1:])
        os.execvp(command[0], command)
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
