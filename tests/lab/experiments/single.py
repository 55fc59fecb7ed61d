#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""One guest migrates alone: Fig. 1 (memory size and dirty size), Table 1 (kinds of workloads), and
caps on bandwidth.  All of it also tells how good predictions are."""

import stage
import table
from runs import migrations, told

FIGURE_1 = {f"memory {memory}, dirty {dirty}":
            {"kind": "memory-dirty", "memory_mb": memory, "size_mb": dirty, "rate_mb": 10,
             "pattern": "random", "fill_mb": memory // 4}
            for memory in (128, 256) for dirty in (4, 16, 32)}
TABLE_1 = {"idle": {}, "cpu": {}, "disk-io": {"rate_mb": 3}, "net-receive": {"rate_mb": 5},
           "web-server": {"rate_mb": 5}, "memory-dirty": {"rate_mb": 8, "size_mb": 16}}
CAPS = {"cpu, 8 MiB/s": ("cpu", {}, 8),
        "memory-dirty, 12 MiB/s": ("memory-dirty", {"rate_mb": 4}, 12)}
CELLS = {
    **{cell: ("figure-1", guest, None) for cell, guest in FIGURE_1.items()},
    **{kind: ("table-1", {"kind": kind, "memory_mb": 128, "fill_mb": 32, **guest}, None)
       for kind, guest in TABLE_1.items()},
    **{cell: ("caps", {"kind": kind, "memory_mb": 128, "fill_mb": 32, **guest}, cap)
       for cell, (kind, guest, cap) in CAPS.items()},
}


def run(where, chosen):
    into = migrations(chosen)
    done = {key for name in ("figure-1", "table-1", "caps") for key in into.done(name)}
    for block, cell in table.in_blocks(CELLS, chosen.blocks, chosen.seed, done):
        experiment, guest, cap = CELLS[cell]
        with told(experiment, block, cell):
            where.have("host1", subject=guest)
            more = ("--bandwidth", f"{cap}MiB/s") if cap else ()
            step = where.migrate("subject", "host2", "--force", *more)
            into.append(where.row(experiment, block, cell, step, cap_mb_s=cap))


if __name__ == "__main__":
    stage.main(run, __doc__)
