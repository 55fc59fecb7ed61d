# SPDX-License-Identifier: LGPL-2.1-or-later
"""What becomes of the switch when the process that turned it on is killed, and of a measurement
when its domain goes."""

from machine import wait_until


def killed(trial):
    host = trial.lab.hosts["xen1"]
    trial.have("known", "xen1", "cyclic", 1000, 2048)
    call = trial.begin("xen1", "dirty", "-c", "xenctl:", "known", "--for", "90s", "--json")
    wait_until(lambda: call.ended or trial.logging("xen1", "known") == "on",
               "logging is on", 30, 1)
    host.run("kill -9 $(cat /tmp/imig.pid)")
    call.wait()
    trial.claim(call.status == 128 + 9 and trial.logging("xen1", "known") == "on",
                "imig killed while it measures: the logging stays on", call)
    after = trial.inside("xen1", "dirty", "-c", "xenctl:", "known", "--for", "2s")
    trial.claim(after.status == 0 and "turned off" in after.err and "process" in after.err,
                "the next run says so, and measures", after)
    trial.claim(trial.logging("xen1", "known") == "off", "and has cleared it")
    again = trial.inside("xen1", "dirty", "-c", "xenctl:", "known", "--for", "2s")
    trial.claim(again.status == 0 and "process" not in again.err, "it is said once", again)


def killed_and_observed(trial):
    """Who only looks on clears it, too."""
    host = trial.lab.hosts["xen1"]
    call = trial.begin("xen1", "dirty", "-c", "xenctl:", "known", "--for", "90s", "--json")
    wait_until(lambda: call.ended or trial.logging("xen1", "known") == "on",
               "logging is on", 30, 1)
    host.run("kill -9 $(cat /tmp/imig.pid)")
    call.wait()
    after = trial.inside("xen1", "status", "-c", "xenctl:", "--for", "2s")
    trial.claim(after.status == 0 and "turned off" in after.err
                and trial.logging("xen1", "known") == "off",
                "a run that only observes clears it, too", after)


def foreign(trial):
    """On without a record of ours: somebody else's, which is nobody's business."""
    host = trial.lab.hosts["xen1"]
    domain = host.domid("known")
    host.run(f"logdirty on {domain}")
    call = trial.inside("xen1", "dirty", "-c", "xenctl:", "known", "--for", "2s")
    trial.claim(call.status == 1 and call.err.strip() and trial.logging("xen1", "known") == "on",
                "turned on by somebody else: refused, and left on", call)
    host.run(f"logdirty off {domain}")


def destroyed(trial):
    host = trial.lab.hosts["xen1"]
    trial.have("gone", "xen1", "random", 1000, 2048)
    one = trial.begin("xen1", "dirty", "-c", "xenctl:", "gone", "--for", "14s")
    other = trial.begin("xen1", "dirty", "-c", "xenctl:", "known", "--for", "14s", "--json")
    wait_until(lambda: trial.logging("xen1", "gone") == "on", "logging is on", 30, 1)
    host.run(f"xl destroy {host.domid('gone')}")
    one.wait()
    other.wait()
    del trial.lab.guests["gone"]
    lines = [line for line in one.err.splitlines() if line.strip()]
    trial.claim(one.status in (1, 2) and 1 <= len(lines) <= 2 and one.out == "",
                "a domain destroyed while it is measured: a clear line", one)
    trial.claim(other.status == 0 and other.document["dirty_bytes_per_s"] > 0
                and trial.logging("xen1", "known") == "off",
                "the measurement of another one goes on", other)
    trial.figures["said of a domain that was destroyed"] = lines


def no_such(trial):
    call = trial.inside("xen1", "dirty", "-c", "xenctl:", "nobody", "--for", "2s")
    trial.claim(call.status in (1, 2) and "nobody" in call.err, "no such domain: said", call)
    call = trial.inside("xen1", "dirty", "-c", "xenctl:", "Domain-0", "--for", "2s")
    trial.claim(call.status in (1, 2) and call.err.strip(), "domain 0 is not measured", call)


def run(trial):
    killed(trial)
    killed_and_observed(trial)
    foreign(trial)
    no_such(trial)
    destroyed(trial)
    trial.whole("after the faults")
