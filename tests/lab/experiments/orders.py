#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The whole: all guests of an overloaded host, one of each kind, leave it for the other host in
several orders, section 3.4's among them.  Who leaves and where to is the same in all of them, so
that the order alone is compared."""

import stage
import table
from runs import migrations, told

GUESTS = {
    "cpu": {"memory_mb": 160},
    "disk-io": {"memory_mb": 96, "rate_mb": 3},
    "idle": {"memory_mb": 192},
    "memory-dirty": {"memory_mb": 128, "rate_mb": 8, "size_mb": 16, "pattern": "random"},
    "net-receive": {"memory_mb": 144, "rate_mb": 6},
    "web-server": {"memory_mb": 112, "rate_mb": 6},
}
CORES = 0.5             # of each host; the guests want more
WATCH_S = 26            # dirty pages are looked at for 3.5 s of each guest, one after the other
ORDERS = ("informed", "paper", "random", "largest-first", "reverse")


def drain(where, order, block):
    """All leave in this order, as imig finds guests just before; reverse: the informed order from
    its end, of which nothing is predicted.  A run begins on the host where the one before ended."""
    source, to = where.have_together(**{
        kind: {"kind": kind, "fill_mb": guest["memory_mb"] // 4, **guest}
        for kind, guest in GUESTS.items()})
    policy = "informed" if order == "reverse" else order
    plan, _ = where.call("plan", "--drain", source, "--order-policy", policy, "--seed", block,
                         "--for", f"{WATCH_S}s", "--json")
    if len(plan["steps"]) != len(GUESTS):
        raise RuntimeError(f"{order}: not all leave {source} for {to}: {plan['kept']}")
    if order == "reverse":
        plan["policy"] = "as-given"
        plan["steps"] = [{key: step[key] for key in ("vm", "from", "to", "group")}
                         for step in reversed(plan["steps"])]
    return where.run_plan(plan)


def run(where, chosen):
    for host in where.lab.hosts.values():
        host.set_cores(CORES)
    into = migrations(chosen)
    for block, order in table.in_blocks(ORDERS, chosen.blocks, chosen.seed,
                                              into.done("orders")):
        with told("orders", block, order):
            into.append(*where.rows("orders", block, order, drain(where, order, block)))


if __name__ == "__main__":
    stage.main(run, __doc__)
