# SPDX-License-Identifier: LGPL-2.1-or-later
"""What every backend promises, on real hosts: tests/test-backend.c on the URIs of the lab."""

import os
import re
import subprocess


def run(trial):
    if not trial.contract:
        trial.skip("the contract of a backend", "no --contract given")
        return
    guests = [trial.guest(host, f"contract-{i}", kind) for i, (host, kind) in enumerate(
        (("host1", "idle"), ("host2", "memory-dirty"), ("host3", "cpu")))]
    trial.lab.start_all(guests)
    backends = os.path.join(os.path.dirname(os.path.dirname(trial.imig_path)),
                            "lib/imig/backends")
    done = subprocess.run([trial.contract, *trial.lab.uris()], capture_output=True, text=True,
                          timeout=300, stdin=subprocess.DEVNULL, check=False,
                          env={**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP",
                               "IMIG_TEST_BACKENDS": backends})
    lines = re.findall(r"^(ok|not ok) \d+ - (.*)$", done.stdout, re.M)
    for word, what in lines:
        if "# SKIP" in what.upper():
            trial.claim(False, f"contract: {what.split('#')[0].strip()} is not skipped here")
        else:
            trial.claim(word == "ok", f"contract: {what}", done.stdout + done.stderr)
    trial.claim(done.returncode == 0 and len(lines) > 5, "the contract is kept", done)
    trial.claim(trial.faults() == [], "no guest was lost", trial.faults())
    trial.stop_all()
