#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Four guests leave a host one after the other, three of them idle; the fourth works, and its place
in the sequence varies: section 3.3 with a guest that dirties memory (Fig. 4), receives (Fig. 5),
serves pages (Fig. 6).  The paper has eight guests."""

import stage
import table
from runs import migrations, told

MEMORY = {"memory_mb": 128, "fill_mb": 32}
IDLE = {f"idle-{i}": {"kind": "idle", **MEMORY} for i in (1, 2, 3)}
WORKLOADS = {
    "figure-4": {"kind": "memory-dirty", "rate_mb": 8, "size_mb": 16, "pattern": "random"},
    "figure-5": {"kind": "net-receive", "rate_mb": 8},
    "figure-6": {"kind": "web-server", "rate_mb": 8},
}


def leave(where, workload, place):
    """All leave, the one that works at this place.  A run begins on the host where the one before
    has ended."""
    name = workload["kind"]
    source, to = where.have_together(**IDLE, **{name: {**workload, **MEMORY}})
    sequence = list(IDLE)
    sequence.insert(place - 1, name)
    return where.run_plan(where.plan_of([(vm, source, to) for vm in sequence]))


def run(where, chosen):
    into = migrations(chosen)
    for block, figure in table.in_blocks(WORKLOADS, chosen.blocks, chosen.seed):
        workload, done = WORKLOADS[figure], into.done(figure)
        places = {f"{workload['kind']} at {place}": place for place in (1, 2, 3, 4)}
        left = places.keys() - {cell for there, cell in done if there == block}
        for _, cell in table.in_blocks(left, 1, f"{chosen.seed}-{block}-{figure}"):
            with told(figure, block, cell):
                into.append(*where.rows(figure, block, cell,
                                        leave(where, workload, places[cell])))


if __name__ == "__main__":
    stage.main(run, __doc__)
