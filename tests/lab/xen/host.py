# SPDX-License-Identifier: LGPL-2.1-or-later
"""One Xen host: a QEMU, the hypervisor in it, and a way to run commands in its domain 0."""

import contextlib
import json
import pathlib
import re
import shlex
import socket
import subprocess

from image import LINK_MTU
from machine import wait_until

# What a host is able to do for domains: SVM with nested paging, as PVH guests need.  "-cpu max" of
# QEMU 7.2 does not do: SMAP kills a PV domain 0, RDTSCP PVH guests, AVX registers get mixed up.
CPU = "qemu64,+svm,+npt,+pdpe1gb,+erms"
XEN = ("console=com1 com1=115200,8n1 dom0_mem={dom0_mb}M,max:{dom0_mb}M dom0_max_vcpus=1 "
       "dom0_vcpus_pin noreboot=1 loglvl=warning guest_loglvl=warning spec-ctrl=no")
DOM0 = "console=hvc0 quiet mitigations=off NAME={name} LINK_IP={link_ip}"
DOMAIN_LINE = re.compile(r"^(.*?)\s+(\d+)\s+(\d+)\s+(\d+)\s+([rbpscd-]{6})\s+([\d.]+)$")
STORE_LINE = re.compile(r'^/local/domain/(\d+)/(\S+)\s+= "(.*)"$')


class Dead(RuntimeError):
    """A host's QEMU, or its domain 0, ended on its own."""


class XenHost:
    """`run` and `start` take a shell command line, or a vector of words."""

    def __init__(self, lab_dir, number, memory_mb=1024, dom0_mb=448):
        self.dir, self.number, self.memory_mb, self.dom0_mb = lab_dir, number, memory_mb, dom0_mb
        self.name, self.link_ip = f"xen{number}", f"10.99.0.{number}"
        self.serial = pathlib.Path(lab_dir) / f"{self.name}.serial.log"
        self.remote = pathlib.Path(lab_dir) / "remote"
        self.process = self.port = None

    # ---- power ----

    def power_on(self, images, archive):
        """archive: what the kernel of domain 0 unpacks."""
        xen = XEN.format(dom0_mb=self.dom0_mb)
        dom0 = DOM0.format(name=self.name, link_ip=self.link_ip)
        # Ahead of other work where we may: a processor that stands still distorts what is measured.
        argv = ["nice", "-n", "-10",
                "qemu-system-x86_64", "-accel", "tcg,thread=multi,tb-size=192", "-machine", "q35",
                "-cpu", CPU, "-smp", "2", "-m", str(self.memory_mb), "-nodefaults",
                "-no-user-config", "-display", "none", "-no-reboot",
                "-qmp", f"unix:{self.dir}/{self.name}.qmp,server=on,wait=off",
                "-serial", f"file:{self.serial}", "-kernel", f"{images}/xen", "-append", xen,
                "-initrd", f"{images}/vmlinuz {dom0.replace(',', ',,')},{archive}",
                "-netdev", "user,id=in,restrict=on,hostfwd=tcp:127.0.0.1:0-:7000",
                "-device", f"virtio-net-pci,netdev=in,mac=52:54:00:7a:00:0{self.number},romfile="]
        if self.number <= 2:        # a cable between two, so there is nobody else to talk to
            role = "server=on" if self.number == 1 else "server=off"
            argv += ["-netdev", f"stream,id=link,{role},addr.type=unix,addr.path={self.dir}/link",
                     "-device", f"virtio-net-pci,netdev=link,host_mtu={LINK_MTU},"
                     f"mac=52:54:00:7a:01:0{self.number},romfile="]
        with open(f"{self.dir}/{self.name}.qemu.log", "ab") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True)
        # Where sessions share processors evenly whatever is nice in them, its session has to be.
        with contextlib.suppress(OSError):
            pathlib.Path(f"/proc/{self.process.pid}/autogroup").write_text("-20", encoding="ascii")
        wait_until(lambda: self._forwarded() or self._gone(), f"QEMU of {self.name} runs", 20)
        self.port = self._forwarded()

    def _gone(self):
        if self.process and self.process.poll() is not None:
            log = pathlib.Path(f"{self.dir}/{self.name}.qemu.log").read_text(errors="replace")
            raise Dead(f"QEMU of {self.name} ended: {log.strip()[-500:]}")

    def _forwarded(self):
        """The port on this machine behind which the command channel is; None: not yet."""
        try:
            said = self.monitor("info usernet")
        except OSError:
            return None
        found = re.search(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)", said)
        return int(found[1]) if found else None

    def monitor(self, command):
        """What QEMU's monitor says to a command."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(f"{self.dir}/{self.name}.qmp")
            with s.makefile("rw") as lines:
                lines.readline()
                for order in ({"execute": "qmp_capabilities"},
                              {"execute": "human-monitor-command",
                               "arguments": {"command-line": command}}):
                    lines.write(json.dumps(order) + "\n")
                    lines.flush()
                    answer = json.loads(lines.readline())
                    while "event" in answer:
                        answer = json.loads(lines.readline())
        return answer["return"]

    def wait_ready(self, timeout_s=150):
        def ready():
            self._gone()
            return subprocess.run(self.argv("true"), stdin=subprocess.DEVNULL, timeout=60,
                                  capture_output=True, check=False).returncode == 0
        try:
            wait_until(lambda: "is ready" in self.console() or self._gone(),
                       f"{self.name} boots", timeout_s, 0.3)
            wait_until(ready, f"{self.name} takes commands", 60, 0.3)
        except TimeoutError as error:
            raise Dead(f"{error}\n{self.console()[-1500:]}") from None

    def console(self):
        return self.serial.read_text(errors="replace") if self.serial.exists() else ""

    def power_off(self):
        """As if the plug were pulled."""
        if self.process:
            self.process.kill()
            self.process.wait()

    # ---- commands ----

    def argv(self, command):
        words = command if isinstance(command, str) else shlex.join(map(str, command))
        return [str(self.remote), f"127.0.0.1:{self.port}", words]

    def run(self, command, check=True, timeout_s=120, given=None):
        """What a command in domain 0 prints; RuntimeError where it fails and check is set."""
        done = self.call(command, timeout_s, given)
        if check and done.returncode:
            raise RuntimeError(f"{self.name}: {command}: exit {done.returncode}: "
                               f"{done.stderr.strip()[-800:]}")
        return done.stdout

    def call(self, command, timeout_s=120, given=None):
        """A subprocess.CompletedProcess with the exit status that the command has there."""
        return subprocess.run(self.argv(command), timeout=timeout_s, text=True, check=False,
                              capture_output=True, errors="replace",
                              **({"input": given} if given is not None
                                 else {"stdin": subprocess.DEVNULL}))

    def start(self, command, **options):
        """A subprocess.Popen; to kill it ends the command there, too."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                   "stderr": subprocess.PIPE, "text": True, **options}
        return subprocess.Popen(self.argv(command), **options)

    def put(self, path, to=None, mode="755"):
        """Copy a file into domain 0, by default among its programs."""
        to = to or f"/usr/local/bin/{pathlib.Path(path).name}"
        quoted = shlex.quote(to)
        with open(path, "rb") as content:
            subprocess.run(self.argv(f"mkdir -p $(dirname {quoted}) && cat >{quoted}.new && "
                                     f"chmod {mode} {quoted}.new && mv {quoted}.new {quoted}"),
                           stdin=content, check=True, timeout=300)

    def processes(self, pattern):
        """Numbers of those whose command line matches, but for the search.  There is no pgrep."""
        return [int(line.split()[0]) for line in self.run("ps -o pid,args").splitlines()[1:]
                if re.search(pattern, line.split(None, 1)[1])]

    def kill(self, pattern):
        self.run(["kill", "-9", *self.processes(pattern)])

    def write(self, to, text):
        self.run(f"cat >{shlex.quote(to)}", given=text)

    # ---- domains, as the toolstack has them ----

    def domains(self):
        """{name: {"id", "mb", "vcpus", "state", "cpu_s"}}, as `xl list` says."""
        found = {}
        for line in self.run("xl list").splitlines():
            match = DOMAIN_LINE.match(line)
            if match:
                found[match[1]] = {"id": int(match[2]), "mb": int(match[3]),
                                   "vcpus": int(match[4]), "state": match[5],
                                   "cpu_s": float(match[6])}
        return found

    def stored(self, what):
        """{name: value} of a node that domains have in xenstore.  One look at all, for every
        process is dear on an emulated processor."""
        nodes = {}
        for line in self.run("xenstore-ls -f /local/domain", check=False).splitlines():
            match = STORE_LINE.match(line)
            if match:
                nodes.setdefault(match[1], {})[match[2]] = match[3]
        return {n["name"]: n[what] for n in nodes.values() if "name" in n and what in n}

    def domid(self, name):
        return self.domains()[name]["id"]

    def info(self):
        """{key: value}, as `xl info` says."""
        return {key.strip(): value.strip() for key, _, value in
                (line.partition(":") for line in self.run("xl info").splitlines())}

    def uptime_s(self):
        return float(self.run("cat /proc/uptime").split()[0])
