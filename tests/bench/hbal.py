#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Goal level beside Ganeti's hbal on the same clusters: bytes, spread, CPU time.

usage: hbal.py IMIG [--tolerance T]... [--seeds N] [HOSTS]...

hbal comes from Debian's ganeti-htools (tools/install-deps.sh bench).  Its instances are of disk
template ext, which any node sees, so that it migrates as we do; it gets each VM's CPU load by -U,
as a share of a host.  Memory is in whole GiB, hosts are alike.  The spread is the standard
deviation of the utilisation over hosts, in per cent; "worst" is the highest one over the mean.
"""

import argparse
import json
import pathlib
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile

CORES, MEMORY_GIB, EACH = 48, 384, 15
SIZES = [2, 4, 4, 8, 8, 8, 12, 16, 16, 24, 32, 48]
GIB, MIB_PER_GIB = 2 ** 30, 1024


def make_cluster(hosts, seed):
    """[(host, GiB, vCPUs, cores in demand)]: a fifth of the hosts begins with twice its share, a
    quarter with a third of it."""
    draw = random.Random(seed)
    share = [2.2 if h % 10 < 2 else 0.35 if h % 20 < 7 else 1 for h in range(hosts)]
    left, vms = [MEMORY_GIB - 16] * hosts, []
    for _ in range(hosts * EACH):
        size = draw.choice(SIZES)
        host = draw.choices(range(hosts), share)[0]
        while left[host] < size:
            host = (host + 1) % hosts
        left[host] -= size
        vcpus = max(size // 4, 1)
        vms.append((host, size, vcpus, min(vcpus, 0.1 + 2 * draw.random() * vcpus ** 0.5)))
    return vms


def as_imig(hosts, vms):
    return {"format": "imig-cluster/1", "time_s": 0,
            "hosts": [{"id": f"n{h}", "cpu_cores": CORES, "memory_bytes": MEMORY_GIB * GIB,
                       "net_bytes_per_s": 1.25e9} for h in range(hosts)],
            "vms": [{"id": f"v{i}", "host": f"n{h}", "vcpus": vcpus, "memory_bytes": size * GIB,
                     "cpu_cores": cores, "class": "cpu"}
                    for i, (h, size, vcpus, cores) in enumerate(vms)]}


def as_ganeti(hosts, vms):
    used = [0] * hosts
    for host, size, _, _ in vms:
        used[host] += size * MIB_PER_GIB
    whole = MEMORY_GIB * MIB_PER_GIB
    nodes = [f"n{h}|{whole}|0|{whole - used[h]}|10000000|10000000|{CORES}|N|uuid|1"
             for h in range(hosts)]
    instances = [f"v{i}|{size * MIB_PER_GIB}|1024|{vcpus}|running|Y|n{h}||ext||1"
                 for i, (h, size, vcpus, _) in enumerate(vms)]
    policy = "1024,1,1024,1,1,1|1,1,1,1,0,1;1000000,1000,100000000,16,8,12|ext|1000.0|1000.0"
    return "\n".join(["group|uuid|preferred||", "", *nodes, "", *instances, "", "",
                      "|" + policy, "group|" + policy, ""])


def run(command):
    """Standard output, and the CPU time of the child."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 3):
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr or done.stdout}")
    return done.stdout, after.ru_utime - before.ru_utime


def by_hbal(folder, hosts, vms):
    data, load, saved = folder / "cluster.data", folder / "load", folder / "after"
    data.write_text(as_ganeti(hosts, vms))
    # As hbal wants it: between 0 and 1, and none of them 0.
    load.write_text("".join(f"v{i} {cores / CORES:.6f} 0.000001 0.000001 0.000001\n"
                            for i, (_, _, _, cores) in enumerate(vms)))
    text, took = run(["hbal", "-t", str(data), "-U", str(load), "-S", str(saved), "--no-disk-moves",
                      "-C"])
    moved = list(moved_instances(text))
    place, rows = {}, (folder / "after.balanced").read_text().split("\n\n")[2]
    for row in rows.splitlines():
        fields = row.split("|")
        place[fields[0]] = int(fields[6][1:])
    where = [place[f"v{i}"] for i in range(len(vms))]
    return where, sum(vms[int(name[1:])][1] for name in moved), len(moved), took


def moved_instances(text):
    """The instance of every migration that is carried out, as often as it is."""
    for line in text.splitlines():
        words = line.split()
        if "gnt-instance" in words and ("migrate" in words or "failover" in words):
            yield words[-1]


def by_imig(imig, folder, hosts, vms, tolerance):
    data = folder / "cluster.json"
    data.write_text(json.dumps(as_imig(hosts, vms)))
    text, took = run([imig, "plan", str(data), "--goal", "level", "--tolerance", str(tolerance),
                      "--json"])
    plan, where = json.loads(text), [host for host, _, _, _ in vms]
    for step in plan["steps"]:
        where[int(step["vm"][1:])] = int(step["to"][1:])
    sent = sum(vms[int(step["vm"][1:])][1] for step in plan["steps"])
    return where, sent, len(plan["steps"]), took


def figures(hosts, vms, where):
    cpu, memory = [0.0] * hosts, [0.0] * hosts
    for (_, size, _, cores), host in zip(vms, where):
        cpu[host] += cores / CORES
        memory[host] += size / MEMORY_GIB
    return [(100 * statistics.pstdev(u), max(u) / statistics.mean(u)) for u in (cpu, memory)]


def show(what, hosts, vms, where, sent, moves, took):
    (cpu, cpu_worst), (memory, memory_worst) = figures(hosts, vms, where)
    print(f"{hosts:5} hosts  {what:14} {sent:7} GiB in {moves:4} moves, CPU +-{cpu:5.2f} % worst "
          f"{cpu_worst:.3f}, memory +-{memory:5.2f} % worst {memory_worst:.3f}, {took:9.3f} s",
          flush=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1])
    parser.add_argument("imig", type=pathlib.Path)
    parser.add_argument("--tolerance", type=float, action="append")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("hosts", type=int, nargs="*", default=[10, 20, 50])
    given = parser.parse_args()
    if not shutil.which("hbal"):
        sys.exit("hbal is not there: tools/install-deps.sh bench")
    for hosts in given.hosts:
        for seed in range(1, given.seeds + 1):
            vms = make_cluster(hosts, seed)
            with tempfile.TemporaryDirectory() as name:
                folder = pathlib.Path(name)
                show("before", hosts, vms, [vm[0] for vm in vms], 0, 0, 0)
                show("hbal", hosts, vms, *by_hbal(folder, hosts, vms))
                for tolerance in given.tolerance or [0.1, 0.015, 0.01]:
                    show(f"level {tolerance:g}", hosts, vms,
                         *by_imig(given.imig, folder, hosts, vms, tolerance))


if __name__ == "__main__":
    main()
