# SPDX-License-Identifier: LGPL-2.1-or-later
"""Turns scenarios of credativ/proxlb-solver into imig-cluster/1 documents and planner options.

    nodes        hosts; a reservation of cores takes them away, one of memory is reserved
    vms          CPU in use as stated, otherwise all of its vCPUs; pressure is the share of them
                 that waits; priority is weight; a disk on storage of the node is not shared, and
                 the VM may only be where storage of that name has room for it
    constraints  affinity is together, anti_affinity apart, pin the allowed hosts; tags likewise
    balancing    an evacuated node is drained; a CPU threshold is the threshold of goal relieve;
                 where the level asks for nothing that need not be, goal relieve with a threshold
                 that no host exceeds; everything else is goal balance
"""

import json
import math
import pathlib

GIB = 2 ** 30
NEVER = 10  # a threshold of CPU that no host exceeds here: only what is broken is mended

# The spread up to which a level leaves a cluster alone; that of memory counts twice.
TOLERATED = {1: math.inf, 2: 0.25, 3: 0.15, 4: 0.05, 5: 0.0}


def make_host(name, node):
    reserve = node.get("reserve", {})
    host = {"id": name, "cpu_cores": node["cpu_total"] - reserve.get("cpu", 0),
            "memory_bytes": node["memory_total_gb"] * GIB,
            "reserved_memory_bytes": reserve.get("memory_gb", 0) * GIB, "net_bytes_per_s": 1.25e9}
    if node.get("maintenance"):
        host["state"] = "maintenance"
    return host


def has_room(node, disks):
    free = node.get("storage_free", {})
    return all(free.get(storage, -1) >= size for storage, size in disks.items())


def make_vm(name, vm, nodes, pins):
    used = vm.get("cpu_usage", vm["cpu"])
    waiting = vm.get("cpu_pressure", 0) / 100 * vm["cpu"]
    made = {"id": name, "host": vm["node"], "memory_bytes": vm["memory_gb"] * GIB,
            "vcpus": max(vm["cpu"], math.ceil(used + waiting)), "cpu_cores": used,
            "cpu_wait_cores": waiting, "weight": vm.get("priority", 1)}
    allowed = set(pins.get(name, nodes))
    disks = vm.get("disks", {})
    if disks:
        made["disks"] = [{"bytes": size * GIB, "shared": False} for size in disks.values()]
        allowed &= {n for n in nodes if n == vm["node"] or has_room(nodes[n], disks)}
    if allowed != set(nodes):
        made["hosts"] = sorted(allowed)
    return made


def make_rules(scenario):
    rules = []
    for key, kind in (("affinity", "together"), ("anti_affinity", "apart")):
        groups = list((scenario.get("constraints") or {}).get(key, []))
        tagged = {}
        for name, vm in scenario["vms"].items():
            for tag in vm.get("tags", []):
                if tag.startswith(f"plb_{key}_"):
                    tagged.setdefault(tag, []).append(name)
        groups += [{"vms": vms} for vms in tagged.values()]
        rules += [{"kind": kind, "vms": group["vms"], "hard": group.get("hard", True)}
                  for group in groups]
    return rules


def make_cluster(scenario):
    nodes = scenario["nodes"]
    pins = {pin["vm"]: pin["nodes"] for pin in
            (scenario.get("constraints") or {}).get("pin", [])}
    return {"format": "imig-cluster/1", "time_s": 0,
            "hosts": [make_host(name, node) for name, node in nodes.items()],
            "vms": [make_vm(name, vm, nodes, pins) for name, vm in scenario["vms"].items()],
            "rules": make_rules(scenario)}


def is_tolerated(scenario):
    """Is nothing to move that need not?"""
    balancing = scenario["balancing"]
    home = {name: vm["node"] for name, vm in scenario["vms"].items()}
    difference = spread(scenario, home)
    if balancing["method"] == "memory":
        difference *= 2
    return ("memory_threshold" in balancing
            or difference < TOLERATED[balancing.get("balanciness", 5)])


def options(scenario):
    """Of imig plan."""
    balancing, chosen = scenario["balancing"], ["--copy-disks"]
    if "evacuate_node" in scenario:
        chosen += ["--drain", scenario["evacuate_node"]]
    elif is_tolerated(scenario):
        chosen += ["--goal", "relieve", "--threshold", str(NEVER)]
    elif "cpu_threshold" in balancing:
        chosen += ["--goal", "relieve", "--threshold", str(balancing["cpu_threshold"] / 100)]
    if "max_parallel_migrations" in balancing:
        chosen += ["--max-parallel", str(balancing["max_parallel_migrations"])]
    if "max_node_inflow" in balancing:
        chosen += ["--concurrency", str(balancing["max_node_inflow"])]
    return chosen


def assigned_or_used(scenario, vm):
    assigned = scenario["balancing"].get("mode") == "assigned"
    return vm["cpu"] if assigned else vm.get("cpu_usage", vm["cpu"])


# What each method balances, of what the model knows: (capacity of a node, load of a VM).
CPU = ("cpu_total", assigned_or_used)
PRESSURE = ("cpu_total", lambda scenario, vm: vm.get("cpu_pressure", 0))
MEMORY = ("memory_total_gb", lambda scenario, vm: vm["memory_gb"])
BALANCED = {"memory": [MEMORY], "cpu": [CPU], "cpu_psi": [PRESSURE], "cpu_smart": [CPU, PRESSURE],
            "memory_smart": [MEMORY], "global_smart": [CPU, MEMORY], "io_smart": [], "disk": []}


def spread_of(scenario, placement, capacity, load):
    loads = {name: 0.0 for name, node in scenario["nodes"].items() if not node.get("maintenance")}
    for name, vm in scenario["vms"].items():
        if placement[name] in loads:
            loads[placement[name]] += (load(scenario, vm) /
                                       scenario["nodes"][placement[name]][capacity])
    return max(loads.values()) - min(loads.values()) if loads else 0.0


def spread(scenario, placement):
    """The largest less the least load of a node in use, summed over what is to be balanced."""
    return sum(spread_of(scenario, placement, *resource)
               for resource in BALANCED[scenario["balancing"]["method"]])


def read_all(folder):
    return {path.stem: json.loads(path.read_text())
            for path in sorted(pathlib.Path(folder).glob("*.json"))}
