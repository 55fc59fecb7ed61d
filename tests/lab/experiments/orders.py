#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The whole: all guests of an overloaded host, one of each kind, leave it for the other host in
several orders, section 3.4's among them.  Who leaves and where to is the same in all of them, so
that the order alone is compared."""

import sys

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
LOOKS = 4
WATCH_S = 26            # dirty pages are looked at for 3.5 s of each guest, one after the other
POLICIES = ("informed", "paper", "random", "largest-first")
ORDERS = (*POLICIES, "reverse")     # the informed order from its end


def together(where):
    """(the host where all are, the other one)"""
    return where.have_together(**{
        kind: {"kind": kind, "fill_mb": guest["memory_mb"] // 4, **guest}
        for kind, guest in GUESTS.items()})


def decide(where, block):
    """{order: guests in that sequence}, all from one look at them."""
    source, _ = together(where)
    names = {guest["uuid"]: name for name, guest in where.lab.guests.items()}
    seen, orders = where.observe(WATCH_S), {}
    for policy in POLICIES:
        plan = where.told("plan", seen, "--drain", source, "--order-policy", policy, "--seed",
                          block, "--unsafe", "--json", *where.words)
        orders[policy] = [names[step["vm"]] for step in plan["steps"]]
        if len(orders[policy]) != len(GUESTS):
            print(f"looked again, for {plan['kept']}", file=sys.stderr, flush=True)
            return None
    return {**orders, "reverse": orders["informed"][::-1]}


def leave(where, sequence):
    """A run begins on the host where the one before ended."""
    source, to = together(where)
    return where.run_plan(where.plan_of([(name, source, to) for name in sequence]))


def run(where, chosen):
    for host in where.lab.hosts.values():
        host.set_cores(CORES)
    into, decided = migrations(chosen), {}
    for block, order in table.in_blocks(ORDERS, chosen.blocks, chosen.seed, into.done("orders")):
        with told("orders", block, order):
            # By a small sample of its pages a guest may seem to dirty them too fast to leave.
            for _ in range(LOOKS):
                decided[block] = decided.get(block) or decide(where, block)
            if not decided[block]:
                raise RuntimeError(f"in {LOOKS} looks somebody always seemed unable to leave")
            into.append(*where.rows("orders", block, order, leave(where, decided[block][order])))


if __name__ == "__main__":
    stage.main(run, __doc__)
