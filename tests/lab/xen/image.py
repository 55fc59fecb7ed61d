# SPDX-License-Identifier: LGPL-2.1-or-later
"""All that a Xen host boots from, made once and kept in a cache, as any user.

    xen            the hypervisor, the plain ELF that QEMU's multiboot loader wants
    vmlinuz        kernel of domain 0
    dom0.cpio      its root: busybox, the Xen tools, the programs of this laboratory, a guest

What is special to a kernel or to the boot loader is downloaded and unpacked, never installed.
"""

import contextlib
import fcntl
import gzip
import hashlib
import json
import os
import pathlib
import re
import shutil
import stat
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "libvirt"))
from machine import CACHE, LabUnavailable, cpio, run     # pylint: disable=wrong-import-position

SOURCES = ("image.py", "dom0-init.sh", "guest.c", "guest.h", "guest-devices.c", "hotplug.sh",
           "logdirty.c", "remote.c")
# Named by what depends on the one that is current, or by themselves.
DOWNLOADED = ("linux-image-amd64", "linux-image-cloud-amd64", "xen-hypervisor-4.17-amd64",
              "xen-utils-4.17", "xenstore-utils")
INSTALLED = ("libxenmisc4.17", "libxen-dev", "busybox-static", "libc6", "libc6-dev")
TOOLS = ("gcc", "lz4", "depmod", "dpkg-deb", "apt-get", "ldd", "tar", "qemu-system-x86_64")
MODULES = ("xen-privcmd", "xen-evtchn", "xen-gntdev", "xen-gntalloc", "xenfs", "virtio_pci",
           "virtio_net", "loop", "xen-blkback", "xen-netback")
GUEST_MODULES = ("xen-blkfront", "xen-netfront")
MODULE_PARTS = ("kernel/drivers/xen/*", "kernel/drivers/virtio/*", "kernel/drivers/net/virtio*",
                "kernel/drivers/net/net_failover*", "kernel/net/core/failover*",
                "kernel/drivers/block/loop.ko", "kernel/drivers/block/xen-blk*",
                "kernel/drivers/net/xen-net*")
XEN_BIN = "usr/lib/xen-4.17/bin"
XEN_PROGRAMS = ("xl", "xenstored", "xenconsoled", "xenconsole", "libxl-save-helper",
                "xen-init-dom0", "xentop")
DIRECTORIES = ("dev", "etc/xen", "guest", "mnt", "proc", "root", "run", "sbin", "sys", "tmp",
               "usr/sbin", "var/lib/xen/dump", "var/lib/xenstored", "var/log/xen/console")
LINK_MTU = 60000        # per packet, not per byte, an emulated network costs


def require():
    """Raise LabUnavailable unless images can be made, or are there already, on this machine."""
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    missing += [package for package in INSTALLED if not installed_version(package)]
    if os.uname().machine != "x86_64":
        raise LabUnavailable(f"Xen hosts are x86_64, this machine is {os.uname().machine}")
    if missing:
        raise LabUnavailable("not installed: " + " ".join(missing))


def installed_version(package):
    return run("dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", package,
               check=False).removeprefix("installed ").strip()


def packages():
    """{name: version} of what is to be downloaded."""
    found = {}
    for name in DOWNLOADED:
        if name.startswith("linux-image"):
            behind = re.search(r"Depends: (linux-image-\S+)",
                               run("apt-cache", "depends", name, check=False))
            name = behind[1] if behind else name
        version = re.search(r"Candidate: ([^\s(]+)", run("apt-cache", "policy", name, check=False))
        if not version:
            raise LabUnavailable(f"apt knows no package {name} (apt-get update)")
        found[name] = version[1]
    return found


def image():
    """The directory with the images; builds them where they are not there, or out of date."""
    require()
    wanted = packages()
    key = hashlib.sha256(repr((sorted(wanted.items()),
                               [installed_version(package) for package in INSTALLED])).encode())
    for name in SOURCES:
        key.update((HERE / name).read_bytes())
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "xen-lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        into = CACHE / f"xen-image-{key.hexdigest()[:16]}"
        if not into.exists():
            with tempfile.TemporaryDirectory(dir=CACHE, prefix="xen-new-") as work:
                build(pathlib.Path(work), wanted)
                (pathlib.Path(work) / "image").rename(into)
        os.utime(into)
        for old in sorted(CACHE.glob("xen-image-*"), key=os.path.getmtime)[:-3]:
            shutil.rmtree(old)
    return into


def build(work, wanted):
    (work / "image").mkdir()
    unpack(work / "root", wanted)
    programs = compile_programs(work)
    kernels = {cloud: next(path for path in (work / "root/boot").glob("vmlinuz-*")
                           if ("-cloud-" in path.name) == cloud) for cloud in (False, True)}
    with gzip.open(work / "root/boot/xen-4.17-amd64.gz") as packed:
        (work / "image/xen").write_bytes(packed.read())
    shutil.copy(kernels[False], work / "image/vmlinuz")
    tree = Tree()
    for directory in DIRECTORIES:
        tree.directory(directory)
    tree.file("init", HERE / "dom0-init.sh", 0o755)
    tree.program("bin/busybox", "/bin/busybox")
    for name in XEN_PROGRAMS:
        tree.program(f"{XEN_BIN}/{name}", work / "root" / XEN_BIN / name)
    tree.program("usr/bin/xenstore", work / "root/usr/bin/xenstore")
    for what in ("exists", "list", "ls", "read", "rm", "watch", "write"):
        tree.link(f"usr/bin/xenstore-{what}", "xenstore")
    # pthread_cancel() loads it by name; without it "xl create" aborts.
    tree.library(run("gcc", "-print-file-name=libgcc_s.so.1").strip())
    tree.program("usr/local/bin/remote", programs["remote"])
    tree.program("usr/local/bin/logdirty", programs["logdirty"])
    tree.program("usr/local/bin/frames", programs["guest"])
    tree.file("etc/xen/scripts/block", HERE / "hotplug.sh", 0o755)
    tree.link("etc/xen/scripts/vif-bridge", "block")
    tree.link("usr/local/bin/ssh", "remote")
    tree.link("var/run", "../run")
    tree.link("var/lock", "../run/lock")
    for name, text in (("etc/xen/xl.conf", 'autoballoon="off"\n'), ("etc/group", "root:x:0:\n"),
                       ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
                       ("etc/nsswitch.conf", "hosts: files\n"), ("etc/link-mtu", f"{LINK_MTU}\n"),
                       ("etc/hosts", "127.0.0.1 localhost\n" + "".join(
                           f"10.99.0.{i} xen{i}\n" for i in range(1, 10)))):
        tree.text(name, text)
    add_modules(tree, work / "root", kernels[False].name.removeprefix("vmlinuz-"))
    tree.text("guest/vmlinux", plain_kernel(kernels[True]))
    init = ("init", 0o100755, programs["guest"].read_bytes())
    tree.text("guest/initrd", cpio([init]))
    tree.text("guest/initrd-devices", cpio([init, ("modules", 0o040755, b""),
                                            *guest_modules(work / "root", kernels[True])]))
    (work / "image/dom0.cpio").write_bytes(tree.archive())


def unpack(into, wanted):
    """Kernels are taken in part: most of their modules have nobody to load them."""
    debs = CACHE / "xen-debs"
    debs.mkdir(exist_ok=True)
    files = []
    for name, version in wanted.items():
        path = debs / f"{name}_{version.replace(':', '%3a')}_amd64.deb"
        if not path.exists():
            try:
                run("apt-get", "-q", "download", f"{name}={version}", cwd=debs)
            except RuntimeError as error:
                raise LabUnavailable(str(error).splitlines()[-1]) from None
        files.append(path)
        into.mkdir(exist_ok=True)
        parts = ["--wildcards", "./boot/*", "./lib/modules/*/modules.*",
                 *(f"./lib/modules/*/{part}" for part in MODULE_PARTS)] \
            if name.startswith("linux-image") else []
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", path],
                              stdout=subprocess.PIPE) as whole:
            # Some of these parts the guests' kernel does not have.
            subprocess.run(["tar", "-x", "-C", into, *parts], stdin=whole.stdout, check=not parts,
                           stderr=subprocess.DEVNULL)
    for path in debs.iterdir():
        if path not in files:
            path.unlink()


def compile_programs(work):
    programs = {}
    for name, more in (("guest", [HERE / "guest-devices.c", "-static", "-pthread"]),
                       ("logdirty", ["-lxenctrl"]), ("remote", ["-pthread"])):
        programs[name] = work / name
        run("gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Wconversion", "-s", "-o",
            programs[name], HERE / f"{name}.c", *more)
    shutil.copy(programs["remote"], work / "image/remote")
    return programs


def plain_kernel(bzimage):
    """The ELF inside, for else every start of a guest unpacks it on an emulated processor.
    Linux' x86 boot protocol says where the payload lies; it ends with its plain size."""
    data = bzimage.read_bytes()
    sectors = data[0x1f1] or 4
    offset, length = struct.unpack_from("<II", data, 0x248)
    payload = data[(sectors + 1) * 512 + offset:][:length]
    unpackers = {b"\x02\x21\x4c\x18": ["lz4", "-dcq"], b"\xfd7zX": ["xz", "-dcq"],
                 b"(\xb5/\xfd": ["zstd", "-dcq"]}
    if payload[:4] not in unpackers:
        raise LabUnavailable(f"{bzimage.name} is packed in a way not known here")
    # Exit status: they complain of the size behind the packed data.
    plain = subprocess.run(unpackers[payload[:4]], input=payload, stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, check=False).stdout
    if len(plain) != struct.unpack("<I", payload[-4:])[0] or plain[:4] != b"\x7fELF":
        raise LabUnavailable(f"{bzimage.name} cannot be unpacked")
    return plain


def add_modules(tree, root, version):
    """Those domain 0 needs, and the sequence in which to load them."""
    run("depmod", "-b", root, version)
    top = root / "lib/modules" / version
    needs, order = {}, []
    for line in (top / "modules.dep").read_text().splitlines():
        path, behind = line.split(":")
        needs[path] = behind.split()
    names = {pathlib.Path(path).name.split(".")[0].replace("-", "_"): path for path in needs}

    def take(path):
        if path not in order:
            for other in needs[path]:
                take(other)
            order.append(path)
    for name in MODULES:
        if name.replace("-", "_") in names:         # else it is built in
            take(names[name.replace("-", "_")])
    for path in order:
        tree.file(f"modules/{pathlib.Path(path).name}", top / path)
    tree.text("modules/order", "".join(pathlib.Path(path).name + "\n" for path in order))


def guest_modules(root, kernel):
    """Members of an archive: drivers of a guest's devices, which need no others."""
    top = root / "lib/modules" / kernel.name.removeprefix("vmlinuz-")
    return [(f"modules/{name}.ko", 0o100644, next(top.rglob(f"{name}.ko")).read_bytes())
            for name in GUEST_MODULES]


class Tree:
    """A root directory in the making, never on a disk: no root needed, no left-overs."""

    def __init__(self):
        self._members = {}

    def directory(self, name):
        for parent in reversed(pathlib.PurePath(name, "x").parents[:-1]):
            self._members.setdefault(str(parent), (0o040755, b""))

    def _add(self, name, mode, content):
        self.directory(str(pathlib.PurePath(name).parent))
        self._members[name] = (mode, content)

    def text(self, name, content, mode=0o644):
        self._add(name, stat.S_IFREG | mode,
                  content.encode() if isinstance(content, str) else content)

    def file(self, name, path, mode=0o644):
        self.text(name, pathlib.Path(path).read_bytes(), mode)

    def link(self, name, to):
        self._add(name, 0o120777, to.encode())

    def library(self, path, name=None):
        name = name or f"lib/x86_64-linux-gnu/{pathlib.Path(path).name}"
        if name not in self._members:
            self.file(name, os.path.realpath(path), 0o755)

    def program(self, name, path):
        """With the libraries that it needs, all in one place, whatever it says itself."""
        self.file(name, path, 0o755)
        self.needs(path)

    def needs(self, path):
        for line in run("ldd", path, check=False).splitlines():
            found = re.search(r"(/\S+) \(0x", line)
            if found and "ld-linux" in found[1]:
                self.library(found[1], found[1].lstrip("/"))
            elif found:
                self.library(found[1])

    def archive(self):
        return cpio([(name, mode, content) for name, (mode, content) in self._members.items()])


def programs_of(build, more=()):
    """A second archive, for the kernel to unpack over the first: what a Meson build directory of
    this project made, and other programs."""
    tree = Tree()
    for path in more:
        tree.program(f"usr/local/bin/{pathlib.Path(path).name}", path)
    if build is None:
        return tree.archive()
    build = pathlib.Path(build)
    tree.program("usr/local/bin/imig", build / "tools/imig")
    contract = build / "tests/test-backend"
    if contract.exists():
        tree.program("usr/local/bin/test-backend", contract)
    options = {option["name"]: option["value"] for option in
               json.loads(run("meson", "introspect", "--buildoptions", build))}
    for module in sorted((build / "lib").glob("xen*.so")):
        tree.program(f"{options['prefix']}/{options['libdir']}/imig/backends/{module.name}"
                     .lstrip("/"), module)
    return tree.archive()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        try:
            print(image())
        except LabUnavailable as error:
            sys.exit(f"no lab: {error}")
