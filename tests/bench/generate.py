#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes random imig-cluster/1 documents; the same arguments make the same bytes everywhere.

usage: generate.py [--seed N] [--hosts N] [--vms N] [--cpu RATIO] ... > cluster.json

Every parameter of SHAPE is an option.  Shares are of the VMs and lie in 0 .. 1.
"""

import argparse
import json
import math
import random
import sys

GIB = 2 ** 30
CLASSES = ("idle", "cpu", "disk-io", "memory-dirty", "web-server", "net-receive")

SHAPE = {
    "hosts": 6, "vms": 36,
    "cpu": 0.6,         # demand over cores, of the whole cluster
    "memory": 0.6,      # promised over present, of the whole cluster
    "skew": 1.0,        # how unequally hosts attract VMs: sigma of a log-normal
    "mixed": 0.0,       # share of hosts that are half as large again
    "pools": 1,
    "classes": 0.0,     # share of VMs with a class and its pressures; the others are idle, so that
                        # contention and migrations are all that is lost
    "flows": 0.0,       # flows for each VM
    "rules": 0.0,       # rules for each VM
    "fixed": 0.0,       # share of VMs that are pinned, blocked or cooling down
    "listed": 0.0,      # share of VMs that may be on some hosts only
    "unmeasured": 0.0,  # share of VMs without a measurement of their CPU
    "endless": 0.0,     # share of VMs that dirty memory faster than a link carries it
    "local": 0.0,       # share of VMs with a disk that is not shared
    "broken": 0.0,      # share of VMs whose first host ignores memory, rules and lists
    "closed": 0.0,      # share of hosts in maintenance or offline
    "weights": 0.0,     # share of VMs with a weight other than 1
}


def make_hosts(rng, shape, vms):
    demand, memory = sum(vm["cpu_cores"] for vm in vms), sum(vm["memory_bytes"] for vm in vms)
    largest = max(vm["memory_bytes"] for vm in vms) + GIB
    size = [1.5 if rng.random() < shape["mixed"] else 1.0 for _ in range(shape["hosts"])]
    cores = max(math.ceil(demand / shape["cpu"] / sum(size)), 4)
    room = memory / shape["memory"] / sum(size)
    hosts = []
    for number, factor in enumerate(size):
        host = {"id": f"h{number}", "cpu_cores": math.ceil(cores * factor),
                "memory_bytes": max(math.ceil(room * factor / GIB) * GIB, largest),
                "disk_ops_per_s": 6000 * factor, "net_bytes_per_s": 1.25e9,
                "hypervisor": "qemu", "labels": {"rack": f"r{number // 3}"}}
        if shape["pools"] > 1:
            host["pool"] = f"p{number % shape['pools']}"
        if rng.random() < shape["closed"]:
            host["state"] = rng.choice(("maintenance", "offline"))
        if shape["broken"] and rng.random() < 0.3:
            host["vm_overhead_bytes"] = 2 ** 26
        hosts.append(host)
    return hosts


def make_vm(rng, number):
    vcpus = rng.choice((1, 1, 2, 2, 2, 4, 4, 8))
    memory = rng.choice((1, 2, 2, 4, 4, 8, 16)) * GIB
    used = vcpus * min(rng.lognormvariate(-1.1, 0.8), 1)
    return {"id": f"v{number}", "vcpus": vcpus, "memory_bytes": memory,
            "cpu_cores": round(used, 4), "class": "idle",
            "memory_used_bytes": memory // 2, "dirty_bytes_per_s": 1e6,
            "working_set_bytes": memory // 64}


def add_class(rng, vm):
    vm["class"] = rng.choice(CLASSES)
    memory = vm["memory_bytes"]
    if vm["class"] == "memory-dirty":
        vm.update(dirty_bytes_per_s=round(rng.uniform(4e7, 4e8)), working_set_bytes=memory // 8)
    elif vm["class"] == "web-server":
        vm.update(net_tx_bytes_per_s=round(rng.uniform(1e7, 8e7)), net_rx_bytes_per_s=3e6)
    elif vm["class"] == "net-receive":
        vm.update(net_rx_bytes_per_s=round(rng.uniform(1e7, 8e7)), net_tx_bytes_per_s=1e6)
    elif vm["class"] == "disk-io":
        vm.update(disk_ops_per_s=round(rng.uniform(300, 3000)))


def add_exceptions(rng, shape, hosts, vm):
    if rng.random() < shape["classes"]:
        add_class(rng, vm)
    if rng.random() < shape["fixed"]:
        vm.update(rng.choice(({"movable": False}, {"blocked": "backup-job"},
                              {"cooldown_until_s": 100})))
    if rng.random() < shape["unmeasured"]:
        del vm["cpu_cores"]
    if rng.random() < shape["endless"]:
        vm.update(dirty_bytes_per_s=5e9, working_set_bytes=vm["memory_bytes"])
    if rng.random() < shape["local"]:
        vm["disks"] = [{"bytes": 4 * GIB, "shared": False}]
    if rng.random() < shape["weights"]:
        vm["weight"] = rng.choice((0, 0.5, 2, 10))
    if rng.random() < shape["listed"]:
        pool = rng.choice(hosts).get("pool")
        mine = [host["id"] for host in hosts if host.get("pool") == pool]
        vm["hosts"] = sorted(rng.sample(mine, min(len(mine), rng.randint(1, 3))))


def place(rng, shape, hosts, vms):
    """Large VMs first; where memory and lists leave no room, or are to be broken, anywhere."""
    pull = [math.exp(rng.gauss(0, shape["skew"])) * host["cpu_cores"] for host in hosts]
    free = {host["id"]: host["memory_bytes"] for host in hosts}
    pool = {host["id"]: host.get("pool") for host in hosts}
    for vm in sorted(vms, key=lambda vm: -vm["memory_bytes"]):
        listed = vm.get("hosts", [host["id"] for host in hosts])
        mine = [i for i, host in enumerate(hosts) if pool[host["id"]] == pool[listed[0]]]
        room = [i for i in mine if hosts[i]["id"] in listed
                and free[hosts[i]["id"]] >= vm["memory_bytes"] + 2 ** 26]
        if rng.random() < shape["broken"]:
            room = mine
        if not room:  # as little over-committed as possible
            room = [max(mine, key=lambda i: free[hosts[i]["id"]])]
        vm["host"] = hosts[rng.choices(room, [pull[i] for i in room])[0]]["id"]
        free[vm["host"]] -= vm["memory_bytes"]


def make_rules(rng, shape, hosts, vms):
    """No two rules speak of one VM, so that none contradicts another; some begin broken."""
    pool = {host["id"]: host.get("pool") for host in hosts}
    left = [vm for vm in vms if "hosts" not in vm]
    rng.shuffle(left)
    rules = []
    for _ in range(round(shape["rules"] * len(vms))):
        mine = [vm for vm in left if left and pool[vm["host"]] == pool[left[0]["host"]]]
        group = mine[:rng.randint(2, 3)]
        if len(group) < 2:
            break
        taken = {vm["id"] for vm in group}
        left = [vm for vm in left if vm["id"] not in taken]
        rule = {"kind": rng.choice(("together", "apart", "apart")), "vms": sorted(taken),
                "hard": rng.random() < 0.7}
        if rng.random() < 0.3:
            rule["label"] = "rack"
        rules.append(rule)
    return rules


def make_flows(rng, shape, vms):
    pairs = set()
    for _ in range(round(shape["flows"] * len(vms))):
        a, b = rng.sample(vms, 2)
        pairs.add((a["id"], b["id"]))
    return [{"a": a, "b": b, "bytes_per_s": round(rng.uniform(1e5, 2e7))}
            for a, b in sorted(pairs)]


def make(seed, **given):
    """A document; what is not given is as in SHAPE."""
    shape = {**SHAPE, **given}
    unknown = set(given) - set(SHAPE)
    if unknown:
        raise ValueError(f"no such parameter: {', '.join(sorted(unknown))}")
    rng = random.Random(seed)
    vms = [make_vm(rng, number) for number in range(shape["vms"])]
    hosts = make_hosts(rng, shape, vms)
    for vm in vms:
        add_exceptions(rng, shape, hosts, vm)
    place(rng, shape, hosts, vms)
    return {"format": "imig-cluster/1", "time_s": 0, "hosts": hosts, "vms": vms,
            "flows": make_flows(rng, shape, vms), "rules": make_rules(rng, shape, hosts, vms)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    for name, value in SHAPE.items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    given = vars(parser.parse_args())
    seed = given.pop("seed")
    json.dump(make(seed, **given), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
