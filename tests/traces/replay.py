# SPDX-License-Identifier: LGPL-2.1-or-later
"""Replays a schedule on a cluster document and names everything that is wrong at any moment.

Written from the documents' description alone; it shares nothing with the library.
"""

import math

EPSILON = 1e-9


def capacity(host):
    return (host["memory_bytes"] * host.get("memory_overcommit_ratio", 1.0) -
            host.get("reserved_memory_bytes", 0.0))


def host_value(host, label):
    """What a rule compares: the host itself, or the value of its label (None: no such label)."""
    return host["id"] if label is None else host.get("labels", {}).get(label)


class Replay:
    def __init__(self, cluster):
        self.hosts = {host["id"]: host for host in cluster["hosts"]}
        self.vms = {vm["id"]: vm for vm in cluster["vms"]}
        self.time_s = cluster.get("time_s", 0.0)
        self.on = {vm["id"]: [vm["host"]] for vm in cluster["vms"]}  # two hosts in flight
        self.rules = cluster.get("rules", [])
        self.rules_of = {}
        for rule in self.rules:
            for vm in rule["vms"]:
                self.rules_of.setdefault(vm, []).append(rule)
        self.used = dict.fromkeys(self.hosts, 0.0)
        for vm in cluster["vms"]:
            self.used[vm["host"]] += self.footprint(vm["id"], vm["host"])
        self.spread = [self.values_of(rule) for rule in self.rules]
        self.moving = {}
        self.out, self.into = dict.fromkeys(self.hosts, 0), dict.fromkeys(self.hosts, 0)
        self.faults = []

    def footprint(self, vm, host):
        return self.vms[vm]["memory_bytes"] + self.hosts[host].get("vm_overhead_bytes", 0.0)

    def values_of(self, rule):
        return {host_value(self.hosts[host], rule.get("label"))
                for vm in rule["vms"] for host in self.on[vm]}

    def fault(self, step, what):
        self.faults.append(f"{step['start_s']:.3f} s {step['vm']} {step['from']} -> {step['to']}: "
                           f"{what}")

    def begin(self, step, concurrency, max_parallel):
        vm, host = self.vms.get(step["vm"]), self.hosts.get(step["to"])
        if vm is None or host is None or step["from"] not in self.hosts:
            self.fault(step, "no such VM or host")
            return False
        if self.on[vm["id"]] != [step["from"]] or step["to"] == step["from"]:
            self.fault(step, f"the VM is on {self.on[vm['id']]}")
            return False
        if not vm.get("movable", True):
            self.fault(step, "the VM is pinned")
        if vm.get("blocked"):
            self.fault(step, "the VM is blocked")
        if "cpu_cores" not in vm:
            self.fault(step, "the VM was not measured")
        if vm.get("cooldown_until_s", -math.inf) > self.time_s:
            self.fault(step, "the VM is cooling down")
        if host["id"] not in vm.get("hosts", [host["id"]]):
            self.fault(step, "the VM may not be there")
        if host.get("state", "active") != "active":
            self.fault(step, f"the host is {host['state']}")
        if host.get("pool") != self.hosts[step["from"]].get("pool"):
            self.fault(step, "the VM leaves its pool")
        self.used[host["id"]] += self.footprint(vm["id"], host["id"])
        if self.used[host["id"]] > capacity(host) * (1 + EPSILON):
            self.fault(step, f"memory: {self.used[host['id']]:.0f} of {capacity(host):.0f} bytes")
        for rule in self.rules_of.get(vm["id"], []):
            if rule["kind"] == "apart" and rule.get("hard", True):
                self.check_apart(step, vm["id"], host, rule)
        self.on[vm["id"]] = [step["from"], host["id"]]
        self.out[step["from"]] += 1
        self.into[host["id"]] += 1
        self.moving[vm["id"]] = step
        if concurrency and max(self.out[step["from"]], self.into[host["id"]]) > concurrency:
            self.fault(step, f"more than {concurrency} at a time on one host")
        if max_parallel and len(self.moving) > max_parallel:
            self.fault(step, f"more than {max_parallel} at a time")
        return True

    def check_apart(self, step, vm, host, rule):
        label = rule.get("label")
        value = host_value(host, label)
        mine = {host_value(self.hosts[name], label) for name in self.on[vm]}
        for other in rule["vms"]:
            theirs = {host_value(self.hosts[name], label) for name in self.on[other]}
            if other != vm and value is not None and value in theirs and value not in mine:
                self.fault(step, f"{other} is to be kept apart and is there")

    def end(self, step):
        vm = step["vm"]
        self.on[vm] = [step["to"]]
        self.used[step["from"]] -= self.footprint(vm, step["from"])
        self.out[step["from"]] -= 1
        self.into[step["to"]] -= 1
        del self.moving[vm]

    def run(self, steps, concurrency=None, max_parallel=None):
        """Steps in starting order with start_s and end_s; what ends frees before what begins."""
        pending = []
        last = -math.inf
        for step in steps:
            if step["start_s"] < last - EPSILON:
                self.fault(step, "not in starting order")
            last = max(last, step["start_s"])
            now = step["start_s"] + EPSILON * max(1.0, abs(step["start_s"]))
            for done in sorted(pending, key=lambda s: s["end_s"]):
                if done["end_s"] <= now:
                    self.end(done)
                    pending.remove(done)
            if not step["end_s"] > step["start_s"]:
                self.fault(step, "takes no time")
            if self.begin(step, concurrency, max_parallel):
                pending.append(step)
        for done in pending:
            self.end(done)
        for rule, before in zip(self.rules, self.spread):
            if rule["kind"] == "together" and rule.get("hard", True):
                after = self.values_of(rule)
                if len(after) > max(1, len(before)):
                    self.faults.append(f"at the end: {' '.join(rule['vms'])} are not together")
        return self.faults

    def placement(self):
        return {vm: hosts[0] for vm, hosts in self.on.items()}


def waiting(cores, demand):
    """Mean vCPUs that wait, Sakasegawa's approximation of M/M/c, its tangent above 0.9."""
    def queue(u):
        return u ** math.sqrt(2 * (cores + 1)) / (1 - u)

    u = demand / cores
    if u <= 0.9:
        return queue(u)
    power = math.sqrt(2 * (cores + 1))
    slope = queue(0.9) * (power / 0.9 + 1 / (1 - 0.9))
    return queue(0.9) + slope * (u - 0.9)


def figures(cluster, placement):
    """CPU and memory utilisation as a plan's totals state them, computed anew."""
    cpu = {host["id"]: 0.0 for host in cluster["hosts"]}
    memory = dict(cpu)
    overhead = {host["id"]: host.get("vm_overhead_bytes", 0.0) for host in cluster["hosts"]}
    for vm in cluster["vms"]:
        host = placement[vm["id"]]
        demand = vm.get("cpu_cores", 0.0) + vm.get("cpu_wait_cores", 0.0)
        cpu[host] += min(demand, vm["vcpus"])
        memory[host] += vm["memory_bytes"] + overhead[host]
    active = [h for h in cluster["hosts"] if h.get("state", "active") == "active"]
    u = [cpu[h["id"]] / h["cpu_cores"] for h in active]
    m = [memory[h["id"]] / capacity(h) for h in active]

    def stddev(values):
        mean = sum(values) / len(values)
        return math.sqrt(sum((v - mean) ** 2 for v in values) / len(values))

    return {"cpu_max": max(u), "memory_max": max(m),
            "cpu_mean": sum(cpu[h["id"]] for h in active) / sum(h["cpu_cores"] for h in active),
            "cpu_stddev": stddev(u), "memory_stddev": stddev(m),
            "overloaded_hosts": sum(a > 0.8 or b > 1 for a, b in zip(u, m)),
            "waiting": sum(waiting(h["cpu_cores"], cpu[h["id"]]) for h in active)}
