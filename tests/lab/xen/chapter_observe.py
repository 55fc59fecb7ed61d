# SPDX-License-Identifier: LGPL-2.1-or-later
"""What imig shows of a host and its guests is what the toolstack shows."""

import math

from lab import guest_uuid

MIB = 2.0 ** 20


def run(trial):
    host = trial.lab.hosts["xen1"]
    trial.have("known", "xen1", "cyclic", 1000, 2048)
    seen = trial.inside("xen1", "observe", "-c", "xenctl:", "--for", "3s")
    info, domains = host.info(), host.domains()
    if not trial.claim(seen.status == 0, "imig observe -c xenctl: in domain 0", seen):
        return
    hosts, vms = seen.document["hosts"], seen.document["vms"]
    trial.claim(len(hosts) == 1 and hosts[0]["cpu_cores"] == int(info["nr_cpus"])
                and math.isclose(hosts[0]["memory_bytes"], int(info["total_memory"]) * MIB,
                                 abs_tol=MIB),
                "processors and memory of the host are those of xl info", f"{hosts}\n{info}")
    left = hosts[0]["memory_bytes"] - hosts[0].get("reserved_memory_bytes", 0) \
        - sum(vm["memory_bytes"] for vm in vms)
    trial.claim(abs(left - int(info["free_memory"]) * MIB) < 16 * MIB,
                "memory that is left is that of xl info", f"{left / MIB}\n{seen}\n{info}")
    trial.claim({vm["name"] for vm in vms} == set(domains) - {"Domain-0"},
                "domains are those of xl list, without domain 0", f"{seen}\n{domains}")
    for vm in vms:
        domain = domains[vm["name"]]
        trial.claim(vm["vcpus"] == domain["vcpus"]
                    and abs(vm["memory_bytes"] - domain["mb"] * MIB) <= 2 * MIB
                    and vm["id"] == guest_uuid(vm["name"]),
                    f"{vm['name']}: vCPUs, memory and UUID are those of xl list",
                    f"{vm}\n{domain}")
    before, first = trial.lab.report("known"), host.domains()["known"]["cpu_s"]
    watched = trial.inside("xen1", "observe", "-c", "xenctl:", "--for", "8s")
    last, after = host.domains()["known"]["cpu_s"], trial.lab.report("known")
    if trial.claim(watched.status == 0, "it is watched for longer", watched):
        cores = next(vm["cpu_cores"] for vm in watched.document["vms"] if vm["name"] == "known")
        by_xl = (last - first) / (after["seconds"] - before["seconds"])
        trial.figures["cpu cores of a guest: imig, xl list"] = [round(cores, 3), round(by_xl, 3)]
        trial.claim(by_xl / 2 < cores < by_xl * 2, "its CPU demand is what xl list counts",
                    f"{cores} {by_xl}")
    table = trial.inside("xen1", "status", "-c", "xenctl:", "--for", "2s")
    trial.claim(table.status == 0 and "known" in table.out and "xen1" in table.out
                and "Domain-0" not in table.out, "and as a table", table)
    both = trial.outside("status", "--for", "3s", "--json")
    trial.claim(both.status == 0 and {h["id"] for h in both.document["hosts"]} == {"xen1", "xen2"}
                and {vm["name"]: vm["host"] for vm in both.document["vms"]} == {"known": "xen1"},
                "both hosts are seen from one place, through the transport", both)
