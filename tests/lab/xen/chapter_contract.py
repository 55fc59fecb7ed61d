# SPDX-License-Identifier: LGPL-2.1-or-later
"""What every backend promises, on real hosts: tests/test-backend.c from outside, by way of agents
that the transport starts in each domain 0."""

import re


def run(trial):
    trial.only("small")
    trial.have("small", trial.place("small") or "xen1", "cyclic", 500, 512, memory_mb=96,
               set_pages=512)
    done = trial.contract(*trial.lab.uris())
    lines = re.findall(r"^(ok|not ok) \d+ - (.*)$", done.out, re.M)
    for word, what in lines:
        if "# SKIP" in what.upper():
            trial.claim(False, f"contract: {what.split('#')[0].strip()} is not skipped here")
        else:
            trial.claim(word == "ok", f"contract: {what}", done)
    trial.claim(done.status == 0 and len(lines) > 5, "the contract is kept", done)
    trial.whole("contract")
