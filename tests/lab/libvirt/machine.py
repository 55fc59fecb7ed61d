# SPDX-License-Identifier: LGPL-2.1-or-later
"""What this machine offers to a lab: permission, cgroups, a guest kernel, a QEMU."""

import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import time

try:
    import libvirt
    libvirt.registerErrorHandler(lambda _, error: None, None)      # exceptions say it all
except ImportError:
    libvirt = None      # require() says so

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"), "imig-lab")
TOOLS = ("ip", "tc", "nsenter", "unshare", "losetup", "modprobe", "gcc", "certtool", "virsh",
         "libvirtd", "qemu-system-x86_64")
MODULES = ("virtio_pci", "virtio_net", "virtio_blk", "virtio_balloon")


os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


class LabUnavailable(Exception):
    """The machine forbids or lacks something; the text says what."""


def run(*argv, check=True, **options):
    """Run a program, return what it printed; a failure carries what it complained of."""
    done = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(map(str, argv))}: {done.stderr.strip()}")
    return done.stdout


def wait_until(condition, what, timeout_s=60.0, every_s=0.1):
    """Wait for a true value and return it."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s:g} s in vain: {what}")
        time.sleep(every_s)


def started_at(pid):
    """When a process began, in ticks; with its number this names it for ever.  None: gone."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat[stat.rindex(")") + 2:].split()
    return None if fields[0] in "ZX" else int(fields[19])


def require():
    """Raise LabUnavailable unless a lab can be had here.  Tries, rather than believes."""
    if os.geteuid() != 0:
        raise LabUnavailable("not root")
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        raise LabUnavailable("not installed: " + " ".join(missing))
    if not libvirt:
        raise LabUnavailable(f"{sys.executable} has no libvirt (python3-libvirt)")
    kernel()
    name = f"imig-lab-{os.getpid()}-try"
    try:
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "add", "try0", "type", "veth", "peer", "name", "try1")
        run("ip", "-n", name, "link", "add", "try2", "type", "bridge")
        run("tc", "-n", name, "qdisc", "add", "dev", "try0", "root", "tbf", "rate", "400mbit",
            "burst", "256kb", "latency", "50ms")
        run("unshare", "--mount", "--uts", "--cgroup", "--pid", "--fork", "--mount-proc", "true")
    except RuntimeError as error:
        raise LabUnavailable(str(error)) from None
    finally:
        run("ip", "netns", "del", name, check=False)


# ---- guests: kernel and initramfs ----

def kernel():
    """The newest cloud kernel: small, and it needs only virtio modules."""
    found = sorted(pathlib.Path("/boot").glob("vmlinuz-*-cloud-amd64"),
                   key=lambda path: [int(n) if n.isdigit() else 0
                                     for n in path.name.replace("-", ".").split(".")])
    if not found:
        raise LabUnavailable("no vmlinuz-*-cloud-amd64 in /boot (linux-image-cloud-amd64)")
    return found[-1]


def module_files():
    """Files of the modules that a guest loads, each after those it needs."""
    version = kernel().name.removeprefix("vmlinuz-")
    files = {}
    for module in MODULES:
        for line in run("modprobe", "-S", version, "--show-depends", module).splitlines():
            word = line.split()
            if word[0] == "insmod":
                files[word[1]] = None
    return list(files)


def cpio(members):
    """An initramfs ("newc" archive) of (name, mode, content)."""
    out = bytearray()

    def add(inode, name, mode, content):
        fields = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        out.extend(b"070701" + b"".join(b"%08X" % field for field in fields))
        out.extend(name.encode() + b"\0")
        out.extend(bytes(-len(out) % 4))
        out.extend(content)
        out.extend(bytes(-len(out) % 4))

    for inode, member in enumerate(members, 1):
        add(inode, *member)
    add(0, "TRAILER!!!", 0, b"")
    return bytes(out)


def build_initramfs(into):
    """One static program and the modules; nothing is compressed, as guests unpack slowly."""
    program = into.with_suffix(".program")
    run("gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Wconversion", "-static", "-pthread",
        "-o", program, HERE / "guest.c")
    members = [("init", 0o100755, program.read_bytes()), ("modules", 0o040755, b"")]
    for number, path in enumerate(module_files(), 10):
        members.append((f"modules/{number}.ko", 0o100644, pathlib.Path(path).read_bytes()))
    into.write_bytes(cpio(members))
    program.unlink()


def qemu():
    """(directory, version) of a QEMU that is good enough; directory None: the one installed.

    Under emulation QEMU 7.2 lost guests that write memory in 3 of 6 migrations, 10.0 in none;
    so an old one is covered, inside the hosts only, by a newer one that is kept in a cache.
    IMIG_LAB_QEMU=system asks for the installed one all the same.
    """
    installed = run("qemu-system-x86_64", "--version").splitlines()[0]
    major = int(re.search(r"version (\d+)", installed)[1])
    if major >= 9 or os.environ.get("IMIG_LAB_QEMU") == "system":
        return None, installed
    private = CACHE / "qemu"
    if not (private / "version").exists():
        try:
            run(HERE / "get-qemu.sh", private)
        except RuntimeError as error:
            raise LabUnavailable(f"{installed} loses guests, and no newer one to be had: "
                                 f"{str(error).splitlines()[-1]}") from None
    return private, (private / "version").read_text().splitlines()[0]


# ---- cgroups ----

class Cgroups:
    """Which cgroup hierarchy limits processors here, and where a lab may put its groups.

    Groups are made below the one we are in ourselves, so a lab never escapes from a limit
    that somebody set on it.  Version 2 wants no processes in a group that has children, so
    there it is the nearest group above that can hand the "cpu" controller on.
    """

    def __init__(self):
        self.version, self.parents = 0, {}
        mounts = [line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
        own = {}
        for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            own.update(dict.fromkeys(controllers.split(","), path))
        for _, where, kind, options, *_ in mounts:
            names = [n for n in ("cpu", "cpuacct") if n in options.split(",")]
            if kind == "cgroup" and names:
                parent = pathlib.Path(where + own.get(names[0], "/"))
                self.parents[",".join(names)] = parent if parent.is_dir() else pathlib.Path(where)
        if any("cpu" in names.split(",") for names in self.parents):
            self.version = 1
            return
        self.parents = {}
        for _, where, kind, *_ in mounts:
            if kind == "cgroup2":
                parent = self._delegating(pathlib.Path(where), own.get("", "/"))
                if parent:
                    self.version, self.parents = 2, {"cpu": parent}
                    return

    @staticmethod
    def _delegating(top, path):
        below = pathlib.Path(str(top) + path)
        while below.is_dir() and below.is_relative_to(top):
            try:
                (below / "cgroup.subtree_control").write_text("+cpu")
                return below
            except OSError:
                below = below.parent
        return None

    def group(self, name):
        return Cgroup(self.version, {c: str(parent / name) for c, parent in self.parents.items()})


class Cgroup:
    """One group, in as many hierarchies as there are: {controllers: directory}."""

    def __init__(self, version, directories):
        self.version = version
        self.directories = {c: pathlib.Path(path) for c, path in directories.items()}
        self.cpu = next((path for c, path in self.directories.items() if "cpu" in c.split(",")),
                        None)

    def create(self):
        for path in self.directories.values():
            path.mkdir(exist_ok=True)

    def cores(self):
        """The limit in force, in cores; None: no limit."""
        if not self.cpu:
            return None
        if self.version == 1:
            quota = int((self.cpu / "cpu.cfs_quota_us").read_text())
            return quota / int((self.cpu / "cpu.cfs_period_us").read_text()) if quota > 0 else None
        quota, period = (self.cpu / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)

    def limit(self, cores):
        """At most so many cores; None lifts the limit.  A short period keeps guests smooth."""
        period = 20000
        quota = max(1000, int(cores * period)) if cores else None
        if self.version == 1:
            (self.cpu / "cpu.cfs_period_us").write_text(str(period))
            (self.cpu / "cpu.cfs_quota_us").write_text(str(quota or -1))
        elif self.version == 2:
            (self.cpu / "cpu.max").write_text(f"{quota or 'max'} {period}")
        elif cores:
            raise LabUnavailable("no cgroup that limits processors")

    def weigh(self, weight):
        """Share of a busy machine; 100 is what everybody has."""
        if self.version == 1:
            (self.cpu / "cpu.shares").write_text(str(weight * 1024 // 100))
        elif self.version == 2:
            (self.cpu / "cpu.weight").write_text(str(weight))

    def throttled_s(self):
        """How long the group stood still because of its limit; needs one to have been set."""
        if not self.cpu:
            return 0.0
        stat = dict(line.split() for line in (self.cpu / "cpu.stat").read_text().splitlines())
        if "throttled_usec" in stat:
            return int(stat["throttled_usec"]) / 1e6
        return int(stat.get("throttled_time", 0)) / 1e9

    def remove(self):
        """Remove the group and what libvirt made below it, as soon as it is empty."""
        def gone():
            for path in self.directories.values():
                for inner, _, _ in os.walk(path, topdown=False):
                    try:
                        os.rmdir(inner)
                    except OSError:
                        pass
            return not any(path.exists() for path in self.directories.values())
        wait_until(gone, f"processes leave {list(map(str, self.directories.values()))}", 10)


def covered(cgroups, qemu_version):
    """What a lab on this machine exercises and what it does not."""
    apparmor = pathlib.Path("/sys/module/apparmor/parameters/enabled")
    enabled = apparmor.exists() and apparmor.read_text().strip() == "Y"
    return {
        "cgroup_version": cgroups.version,
        "cpu_quota": cgroups.version != 0,
        "libvirt_sees_cgroups": cgroups.version == 1,
        "apparmor": enabled,
        "apparmor_confines_guests": False,      # qemu.conf says security_driver = "none"
        "kvm": False,                           # guests are emulated everywhere
        "shared_block_device": os.path.exists("/dev/loop-control"),
        "qemu": qemu_version,
        "kernel": platform.release(),
        "guest_kernel": kernel().name.removeprefix("vmlinuz-"),
    }
