# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes imig-cluster/1 documents from public traces of real data centres.

From the trace: what every VM's CPU did at one moment of the day; for bitbrains also vCPUs, memory,
disk and network; for google-vms also the share of its memory that a VM uses.

By a seed, since no trace has it: vCPUs and memory elsewhere (SIZES), the class of each VM in the
proportions of CLASSES and the pressures that go with it, the hosts (KINDS, or all of one kind), the
placement, flows, and a few rules, pinned and blocked VMs.  Hosts are drawn until the CPU demand
fills 45 to 60 % of them, larger ones for more VMs; their memory is such that the VMs fill 60 to
80 %.  The placement is skewed more and more until an eighth of the hosts is overloaded, and always
fits into memory.
"""

import csv
import math
import pathlib
import random

MIB, GIB = 2 ** 20, 2 ** 30

# (vCPUs, GiB, weight): the common sizes of public clouds, small ones more often.  Assumed.
SIZES = [(1, 1, 4), (1, 2, 5), (2, 4, 6), (2, 8, 3), (4, 8, 4), (4, 16, 2), (8, 16, 1), (8, 32, 1)]

# Class: share of the VMs whose CPU is above 2 %; the others are idle.  Assumed.
CLASSES = [("cpu", 0.40), ("memory-dirty", 0.18), ("web-server", 0.16), ("disk-io", 0.14),
           ("net-receive", 0.12)]

# Hosts in multiples of a base: (cores, 10 Gbit/s links, disk operations per second and core).
KINDS = [(1, 1, 1500), (2, 1, 1000), (3, 2, 1000)]
BASES = (32, 16, 8, 4)
LINK = 1.25e9
OVERLOADED, SHARE = 0.8, 0.125  # the placement is skewed until so many hosts are above this

SAMPLES = 288  # a day, one each five minutes


def series(path):
    """Rows of `name<TAB>v0 v1 ...`."""
    rows = []
    for line in path.read_text().splitlines():
        name, _, values = line.partition("\t")
        rows.append((name, [float(value) for value in values.split()]))
    return rows


def from_planetlab(path, sample):
    return [{"cpu_ratio": values[sample] / 100} for _, values in series(path)]


def from_google(folder, sample):
    memory = [values[sample] / 100 for _, values in series(folder / "mem.tsv")]
    return [{"cpu_ratio": values[sample] / 100, "memory_ratio": used}
            for (_, values), used in zip(series(folder / "cpu.tsv"), memory)]


def from_bitbrains(path, sample):
    """The last row of every VM up to the moment; VMs without memory or cores are left out."""
    with open(path.with_name(path.name.replace(".tsv", ".vms.tsv")), newline="") as table:
        sizes = {row["vm"]: row for row in csv.DictReader(table, delimiter="\t")}
    last = {}
    with open(path, newline="") as table:
        for row in csv.DictReader(table, delimiter="\t"):
            if float(row["t_s"]) <= sample * 86400 / SAMPLES + 300:
                last[row["vm"]] = row
    vms = []
    for name, row in last.items():
        cores, mhz = int(sizes[name]["cores"]), float(sizes[name]["cpu_mhz_provisioned"])
        memory = float(sizes[name]["mem_mib_provisioned"]) * MIB
        if cores < 1 or mhz <= 0 or memory < 64 * MIB:
            continue
        vms.append({
            "cpu_ratio": min(float(row["cpu_mhz"]) / mhz, 1), "vcpus": cores, "memory": memory,
            "memory_ratio": min(float(row["mem_mib"]) * MIB / memory, 1),
            "disk_read": float(row["disk_r_kbs"]) * 1e3,
            "disk_write": float(row["disk_w_kbs"]) * 1e3,
            "rx": float(row["net_rx_kbs"]) * 1e3, "tx": float(row["net_tx_kbs"]) * 1e3})
    return vms


def log_uniform(rng, low, high):
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def make_vm(rng, number, row):
    """One VM of the document, without its host; `busy` is the class that was drawn."""
    if "vcpus" in row:
        vcpus, memory = row["vcpus"], row["memory"]
    else:
        vcpus, gib = rng.choices([size[:2] for size in SIZES], [size[2] for size in SIZES])[0]
        memory = gib * GIB
    cpu = row["cpu_ratio"] * vcpus
    busy = "idle"
    if row["cpu_ratio"] > 0.02:
        busy = rng.choices([name for name, _ in CLASSES], [share for _, share in CLASSES])[0]
    used = memory * max(row.get("memory_ratio", rng.uniform(0.2, 0.9)), 0.05)
    dirty, working_set = log_uniform(rng, 1e4, 2e6), memory * rng.uniform(0.002, 0.02)
    rx, tx = row.get("rx", 0) + log_uniform(rng, 1e3, 1e5), row.get("tx", 0) + 1e4
    reads, writes = row.get("disk_read", 0), row.get("disk_write", 0) + 2e4
    if busy == "memory-dirty":
        dirty, working_set = log_uniform(rng, 4e7, 4e8), memory * rng.uniform(0.05, 0.4)
    elif busy == "web-server":
        tx += log_uniform(rng, 2e7, 1.5e8)
        rx += tx / 20
        dirty, working_set = log_uniform(rng, 1e6, 1e7), memory * rng.uniform(0.01, 0.05)
    elif busy == "net-receive":
        rx += log_uniform(rng, 2e7, 1.5e8)
        tx += rx / 50
        dirty, working_set = log_uniform(rng, 2e6, 2e7), memory * rng.uniform(0.01, 0.08)
    elif busy == "disk-io":
        reads += log_uniform(rng, 1e7, 8e7)
        writes += log_uniform(rng, 5e6, 4e7)
        dirty, working_set = log_uniform(rng, 1e6, 1e7), memory * rng.uniform(0.01, 0.05)
    return {
        "id": f"vm{number}", "vcpus": vcpus, "memory_bytes": memory, "cpu_cores": round(cpu, 4),
        "memory_used_bytes": round(used), "memory_nonzero_bytes": round(used),
        "disk_ops_per_s": round((reads + writes) / 16e3, 1),
        "disk_read_bytes_per_s": round(reads), "disk_write_bytes_per_s": round(writes),
        "net_rx_bytes_per_s": round(rx), "net_tx_bytes_per_s": round(tx),
        "dirty_bytes_per_s": round(dirty), "working_set_bytes": round(min(working_set, used)),
    }, busy


def make_hosts(rng, vms, mixed):
    demand = sum(vm["cpu_cores"] for vm in vms)
    target, fill = rng.uniform(0.45, 0.60), rng.uniform(0.60, 0.80)
    hosts, cores = [], 0
    largest = max(vm["vcpus"] for vm in vms)
    base = next((base for base in BASES if demand / target / base >= len(vms) / 24), BASES[-1])
    while cores < demand / target or len(hosts) < 5:
        factor, links, disk = rng.choice(KINDS) if mixed else KINDS[1]
        own = max(factor * base, largest)
        hosts.append({"id": f"host{len(hosts)}", "cpu_cores": own,
                      "disk_ops_per_s": disk * own, "net_bytes_per_s": links * LINK,
                      "hypervisor": "qemu", "labels": {"rack": f"r{len(hosts) // 4}"}})
        cores += own
    per_core = sum(vm["memory_bytes"] for vm in vms) / fill / cores
    big = max(vm["memory_bytes"] for vm in vms)
    for host in hosts:
        host["memory_bytes"] = max(math.ceil(per_core * host["cpu_cores"] / GIB) * GIB,
                                   math.ceil(1.5 * big / GIB) * GIB)
    return hosts


def place(rng, hosts, vms, classes):
    """More and more skewed, until enough hosts are overloaded or memory sets an end to it."""
    seed = rng.random()
    for step in range(12):
        place_skewed(random.Random(seed), hosts, vms, classes, 0.6 + 0.2 * step)
        load = {host["id"]: 0.0 for host in hosts}
        for vm in vms:
            load[vm["host"]] += vm["cpu_cores"]
        over = sum(load[host["id"]] > OVERLOADED * host["cpu_cores"] for host in hosts)
        if over >= SHARE * len(hosts):
            return


def place_skewed(rng, hosts, vms, classes, skew):
    """Hosts differ in how much they attract, busy VMs more; VMs of a class gather; memory fits."""
    pull = {host["id"]: math.exp(rng.gauss(0, skew)) * host["cpu_cores"] for host in hosts}
    favourite = {name: rng.sample(hosts, max(1, len(hosts) // 4)) for name in sorted(set(classes))}
    free = {host["id"]: 0.95 * host["memory_bytes"] for host in hosts}
    net = {host["id"]: [0.0, 0.0] for host in hosts}
    by_size = sorted(range(len(vms)), key=lambda i: -vms[i]["memory_bytes"])
    large = set(by_size[:len(vms) // 10])
    for i in sorted(range(len(vms)),
                    key=lambda i: (i not in large, -vms[i]["cpu_cores"] * rng.random())):
        vm = vms[i]
        traffic = (vm["net_rx_bytes_per_s"], vm["net_tx_bytes_per_s"])

        def fits(host, link=0.9):
            return (free[host["id"]] >= vm["memory_bytes"] and
                    all(net[host["id"]][way] + traffic[way] <= link * host["net_bytes_per_s"]
                        for way in (0, 1)))

        liked = favourite[classes[i]] if rng.random() < 0.5 else hosts
        room = [h for h in liked if fits(h)] or [h for h in hosts if fits(h)] or \
            [h for h in hosts if fits(h, math.inf)]
        if not room:
            raise ValueError("the VMs do not fit into memory")
        heat = 0.5 + min(vm["cpu_cores"], 2.0)
        host = rng.choices(room, [pull[h["id"]] ** heat for h in room])[0]["id"]
        vm["host"] = host
        free[host] -= vm["memory_bytes"]
        net[host] = [net[host][way] + traffic[way] for way in (0, 1)]


def add_rules(rng, hosts, vms):
    """Flows, rules and exceptions; rules hold at the beginning, so none of them contradicts."""
    flows, seen = [], set()
    for vm in rng.sample(vms, len(vms) // 20):
        other = rng.choice(vms)
        if other is not vm and (vm["id"], other["id"]) not in seen:
            seen.add((vm["id"], other["id"]))
            flows.append({"a": vm["id"], "b": other["id"], "bytes_per_s": round(
                rng.random() * min(vm["net_tx_bytes_per_s"], other["net_rx_bytes_per_s"]))})
    by_host = {}
    for vm in vms:
        by_host.setdefault(vm["host"], []).append(vm)
    rules, taken = [], set()
    for _ in range(max(2, len(vms) // 60)):
        spots = [rng.choice(group) for group in by_host.values()]
        group = [vm["id"] for vm in rng.sample(spots, min(3, len(spots)))
                 if vm["id"] not in taken]
        if len(group) > 1:
            rules.append({"kind": "apart", "vms": group, "hard": rng.random() < 0.7})
            taken.update(group)
        pair = rng.choice([group for group in by_host.values() if len(group) > 1])
        pair = [vm["id"] for vm in rng.sample(pair, 2)]
        if not taken & set(pair):
            rules.append({"kind": "together", "vms": pair, "hard": rng.random() < 0.5})
            taken.update(pair)
    for vm in rng.sample(vms, len(vms) // 25):
        if vm["id"] not in taken:
            vm.update(rng.choice([{"movable": False}, {"blocked": "backup-job"}, {
                "hosts": sorted({vm["host"]} | {h["id"] for h in rng.sample(hosts, 2)})}]))
    return flows, rules


def make(rows, seed, count):
    """A document of `count` VMs; odd seeds state the classes and mix the hosts."""
    rng = random.Random(seed * 1000 + count)
    rows = rng.sample(rows, min(count, len(rows)))
    drawn = [make_vm(rng, number, row) for number, row in enumerate(rows)]
    vms, classes = [vm for vm, _ in drawn], [name for _, name in drawn]
    hosts = make_hosts(rng, vms, mixed=seed % 2 == 1)
    place(rng, hosts, vms, classes)
    flows, rules = add_rules(rng, hosts, vms)
    if seed % 2 == 1:
        for vm, name in zip(vms, classes):
            vm["class"] = name
    return {"format": "imig-cluster/1", "time_s": 0, "hosts": hosts, "vms": vms, "flows": flows,
            "rules": rules}


def find(data, full):
    """(name, rows, seed, VMs) of every cluster to be made; (name, reason) of what is missing."""
    data = pathlib.Path(data)
    wanted, missing = [], []
    days = sorted((data / "planetlab").glob("*.tsv"))
    brains = sorted(path for path in (data / "bitbrains").glob("*.tsv")
                    if not path.name.endswith(".vms.tsv"))
    google = data / "google-vms"
    counts = (120, 250, 500, 1000)
    for number, day in enumerate(days if full else days[:4]):
        for seed in range(1, 5 if full else 3):
            sample = (40 + 61 * number + 97 * seed) % SAMPLES
            wanted.append((f"planetlab-{day.stem}-{seed}", from_planetlab, (day, sample), seed,
                           counts[(number + 2 * seed) % 4]))
    for path in brains[:1]:
        for seed in range(1, 9 if full else 3):
            wanted.append((f"bitbrains-{seed}", from_bitbrains, (path, 60 + 31 * seed), seed,
                           (450, 200)[seed % 2]))
    if (google / "cpu.tsv").is_file():
        for seed in range(1, 9 if full else 3):
            wanted.append((f"google-{seed}", from_google, (google, 20 + 33 * seed), seed,
                           (1000, 300)[seed % 2]))
    for name, there in (("planetlab", days), ("bitbrains", brains),
                        ("google-vms", (google / "cpu.tsv").is_file())):
        if not there:
            missing.append((name, f"{data / name} is not there"))
    return wanted, missing
