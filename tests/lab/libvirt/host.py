# SPDX-License-Identifier: LGPL-2.1-or-later
"""One host of a lab: namespaces, a shaped link, a share of the processors, a libvirtd."""

import os
import pathlib
import signal
import subprocess
import uuid

import machine
from machine import libvirt, run, wait_until

DIRECTORIES = ("run/libvirt", "var/lib/libvirt/qemu", "etc/libvirt", "var/log/libvirt/qemu",
               "var/cache/libvirt")
# By libvirt's number; a blocked guest is one that waits for nothing but work.
STATES = ("none", "running", "running", "paused", "shutdown", "shutoff", "crashed", "suspended")


def ip(netns, command):
    run("ip", "-n", netns, *command.split())


def netns_pids(netns):
    return [int(pid) for pid in run("ip", "netns", "pids", netns, check=False).split()]


class Host:
    """Methods take effect at once and may be called from any process that is root.

    Everything is read from the machine, nothing remembered, so that several programs can hold
    the same host.
    """

    def __init__(self, lab_dir, name, ip, netns, switch, cgroup):
        self.name, self.ip, self.netns, self.switch, self.cgroup = name, ip, netns, switch, cgroup
        self.dir = lab_dir / name
        self.pki = lab_dir / "pki"
        self.socket = self.dir / "run/libvirt/libvirt-sock"
        self.unix_uri = f"qemu+unix:///system?socket={self.socket}"
        self.tcp_uri = f"qemu+tcp://{ip}/system"
        self.tls_uri = f"qemu+tls://{ip}/system?pkipath={self.pki}/right"
        self.wrong_tls_uri = f"qemu+tls://{ip}/system?pkipath={self.pki}/wrong"

    def uri(self, migrate="tcp"):
        """What `imig -c` takes: migrate is how other hosts reach this one, tcp or tls."""
        return f"{self.unix_uri},migrate={self.tls_uri if migrate == 'tls' else self.tcp_uri}"

    def describe(self):
        return {"name": self.name, "ip": self.ip, "netns": self.netns, "socket": str(self.socket),
                "uri": self.unix_uri, "tcp_uri": self.tcp_uri, "tls_uri": self.tls_uri,
                "imig_uri": self.uri()}

    # ---- up and down ----

    def wire(self, rate):
        """Network namespace, switch port, bridge.  Taps of guests join the bridge, too, so their
        traffic and migrations share the link.  The bridge has a MAC address of its own, else it
        would take that of a guest's tap if lower, and the neighbours would lose the host."""
        run("ip", "netns", "add", self.netns)
        ip(self.netns, "link set lo up")
        ip(self.netns, f"link add eth0 type veth peer name {self.name} netns {self.switch}")
        mac = f"02:00:00:77:00:{int(self.ip.rpartition('.')[2]):02x}"
        ip(self.netns, f"link add br0 address {mac} type bridge forward_delay 0")
        ip(self.netns, "link set eth0 master br0 up")
        ip(self.netns, f"addr add {self.ip}/24 dev br0")
        ip(self.netns, "link set br0 up")
        ip(self.switch, f"link set {self.name} master switch up")
        self.set_link(rate)

    def configure(self, names):
        """Files below our directory that host-init.sh lays over the machine's."""
        for place in DIRECTORIES:
            (self.dir / place).mkdir(parents=True)
        (self.dir / "etc/hosts").write_text(
            "127.0.0.1 localhost\n" + "".join(f"{ip} {name}\n" for name, ip in names))
        certificates = self.pki / self.name
        (self.dir / "etc/libvirt/libvirtd.conf").write_text(f"""\
host_uuid = "{uuid.uuid5(uuid.NAMESPACE_DNS, self.name + '.imig-lab')}"
auth_unix_rw = "none"
unix_sock_rw_perms = "0700"
listen_addr = "{self.ip}"
listen_tcp = 1
auth_tcp = "none"
listen_tls = 1
auth_tls = "none"
ca_file = "{certificates}/ca-cert.pem"
cert_file = "{certificates}/server-cert.pem"
key_file = "{certificates}/server-key.pem"
log_outputs = "2:file:/var/log/libvirt/libvirtd.log"
""")
        # No virtlogd here (stdio_handler), no devices hidden (namespaces), files owned by root.
        (self.dir / "etc/libvirt/qemu.conf").write_text(f"""\
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = []
stdio_handler = "file"
migration_address = "{self.ip}"
migration_host = "{self.ip}"
default_tls_x509_cert_dir = "{certificates}"
migrate_tls_x509_cert_dir = "{certificates}"
migrate_tls_x509_verify = 1
""")

    def power_on(self):
        """Boot: namespaces, mounts, libvirtd.  Returns when it answers."""
        mounted = self.dir / "mounted"
        mounted.unlink(missing_ok=True)
        qemu, _ = machine.qemu()
        controllers = " ".join(self.cgroup.directories) if self.cgroup.version == 1 else ""
        with open(self.dir / "init.log", "ab") as log:
            self._spawn(["nsenter", f"--net=/run/netns/{self.netns}", "unshare", "--mount", "--uts",
                         "--cgroup", "--pid", "--fork", "--kill-child", "--mount-proc",
                         machine.HERE / "host-init.sh", self.name, self.dir, qemu or "",
                         controllers], log)
        try:
            wait_until(mounted.exists, f"{self.name} boots", 20)
        except TimeoutError:
            raise RuntimeError((self.dir / "init.log").read_text()) from None
        self.start_daemon()

    def power_off(self):
        """Pull the plug: libvirtd and all guests are gone, what is on disk stays."""
        init = self.init_pid()
        if init:
            os.kill(init, signal.SIGKILL)
        wait_until(lambda: not netns_pids(self.netns), f"{self.name} is off", 20)
        for stale in (self.dir / "run/libvirt").rglob("*"):      # /run is empty after a boot
            if not stale.is_dir():
                stale.unlink(missing_ok=True)

    def _spawn(self, argv, log=subprocess.DEVNULL):
        """Start a program within the host's share of the processors."""
        join = 'until [ "$1" = -- ]; do echo $$ >"$1/cgroup.procs"; shift; done; shift; exec "$@"'
        return subprocess.Popen(
            ["/bin/sh", "-c", join, "sh", *self.cgroup.directories.values(), "--", *argv],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    # ---- link and processors ----

    def set_link(self, rate="400mbit"):
        """Shape both directions; burst is a few milliseconds at that rate."""
        for netns, device in ((self.netns, "eth0"), (self.switch, self.name)):
            run("tc", "-n", netns, "qdisc", "replace", "dev", device, "root", "tbf",
                "rate", rate, "burst", "256kb", "latency", "50ms")

    def cut_link(self):
        ip(self.netns, "link set eth0 down")

    def restore_link(self):
        ip(self.netns, "link set eth0 up")

    def set_cores(self, cores=None):
        """Limit the host, libvirtd and guests together, to so many cores; None: no limit."""
        self.cgroup.limit(cores)

    def set_weight(self, weight=100):
        """Share of a busy machine's processors; 100 is what everybody has."""
        self.cgroup.weigh(weight)

    # ---- processes ----

    def init_pid(self):
        """Process 1 of the host as seen from outside; None: the host is off."""
        for pid in netns_pids(self.netns):
            try:
                status = pathlib.Path(f"/proc/{pid}/status").read_text()
            except OSError:
                continue
            numbers = next((line.split()[1:] for line in status.splitlines()
                            if line.startswith("NSpid:")), [])
            if len(numbers) > 1 and numbers[-1] == "1" and machine.started_at(pid):
                return pid
        return None

    def pids(self, program, *words):
        """Live processes of a program on this host that were given these words."""
        found = []
        for pid in netns_pids(self.netns):
            try:
                argv = pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            except OSError:
                continue
            if os.path.basename(argv[0]) == program and all(word in argv for word in words):
                found.append(pid)
        return found

    def argv(self, *command):
        """How to run a command on the host, for subprocess."""
        init = self.init_pid()
        if not init:
            raise RuntimeError(f"{self.name} is off")
        return ["nsenter", "-t", str(init), "-m", "-u", "-n", "-p", "-C", "--", *map(str, command)]

    def run(self, *command):
        return run(*self.argv(*command))

    # ---- libvirtd ----

    def daemon_pid(self):
        found = self.pids("libvirtd", "--listen")
        return found[0] if found else None

    def daemon_state(self):
        """running, stopped (it was sent SIGSTOP) or gone."""
        pid = self.daemon_pid()
        if not pid:
            return "gone"
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
        return "stopped" if stat[stat.rindex(")") + 2] == "T" else "running"

    def daemon_cpu_s(self):
        """Processor time that libvirtd has used; guests are not in it."""
        stat = pathlib.Path(f"/proc/{self.daemon_pid()}/stat").read_text()
        fields = stat[stat.rindex(")") + 2:].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def start_daemon(self):
        with open(self.dir / "init.log", "ab") as log:
            self._spawn(self.argv("libvirtd", "--daemon", "--listen", "--config",
                                  "/etc/libvirt/libvirtd.conf", "--pid-file",
                                  "/run/libvirt/libvirtd.pid"), log).wait()

        def answers():
            try:
                self.connect().close()
                return True
            except libvirt.libvirtError:
                return False
        wait_until(answers, f"libvirtd of {self.name} answers", 60)

    def kill_daemon(self):
        """As a crash does; guests run on."""
        os.kill(self.daemon_pid(), signal.SIGKILL)
        wait_until(lambda: not self.daemon_pid(), f"libvirtd of {self.name} is dead", 10)

    def stop_daemon(self):
        """It hangs: connections are taken and never answered."""
        os.kill(self.daemon_pid(), signal.SIGSTOP)
        wait_until(lambda: self.daemon_state() == "stopped", f"libvirtd of {self.name} stops", 10)

    def continue_daemon(self):
        os.kill(self.daemon_pid(), signal.SIGCONT)

    def connect(self):
        """A new connection; close() it.  Would hang while the daemon is stopped."""
        return libvirt.open(self.unix_uri)

    # ---- guests, as this host sees them ----

    def qemu_pids(self, guest_uuid=None):
        words = ("-uuid", guest_uuid) if guest_uuid else ()
        return self.pids("qemu-system-x86_64", *words)

    def kill_qemu(self, guest_uuid):
        for pid in self.qemu_pids(guest_uuid):
            os.kill(pid, signal.SIGKILL)

    def state_of(self, guest_uuid):
        """A word out of STATES; None: not here; "unknown": a QEMU, and no libvirtd to ask."""
        if self.daemon_state() != "running":
            return "unknown" if self.qemu_pids(guest_uuid) else None
        connection = self.connect()
        try:
            return STATES[connection.lookupByUUIDString(guest_uuid).state()[0]]
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                return None
            raise
        finally:
            connection.close()
