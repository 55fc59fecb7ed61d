# SPDX-License-Identifier: LGPL-2.1-or-later
"""What becomes of the switch when the process that turned it on is killed or asked to stop, and of
a measurement when its domain is saved meanwhile, or goes."""

import time

from lab import guest_uuid
from machine import wait_until

SAVED_S = 30    # with ten looks the last but one is after 68 % of it, and a save takes 3 to 6 s


def begin_and_kill(trial):
    call = trial.measuring("xen1", 90, "--json")
    trial.lab.hosts["xen1"].run("kill -9 $(cat /tmp/imig.pid)")
    return call.wait()


def interrupted(trial):
    """A name is looked for while the host is watched, a UUID is not."""
    host = trial.lab.hosts["xen1"]
    uuid = guest_uuid("known")
    for signal, vm in (("INT", uuid), ("TERM", "known"), ("HUP", uuid)):
        call = trial.measuring("xen1", 90, "--json", vm=vm)
        host.run(f"kill -{signal} $(cat /tmp/imig.pid)")
        call.wait()
        trial.claim(call.status == 130 and call.out == "" and call.seconds < 90
                    and call.err.splitlines() == [f"imig: {vm}: stopped on request"]
                    and trial.logging("xen1", "known") == "off",
                    f"SIG{signal} while it measures: the logging is off, exit status 130", call)


def saved(trial):
    """Somebody else's save takes the dirty pages, and turns the switch off in the end."""
    host = trial.lab.hosts["xen1"]
    call = trial.measuring("xen1", SAVED_S, "--json")
    time.sleep(0.72 * SAVED_S)
    began = time.monotonic()
    host.run("xl save -c known /dev/null")
    took, early = time.monotonic() - began, not call.ended
    call.wait()
    trial.claim(early and call.status == 1 and call.out == "" and "save" in call.err,
                "saved while it is measured: no figure, and a line says why", call)
    trial.figures["said of a domain that was saved"] = [round(took, 1), call.err.splitlines()]
    after = trial.inside("xen1", "status", "-c", "xenctl:", "--for", "2s")
    trial.claim(after.status == 0 and trial.logging("xen1", "known") == "off",
                "and the logging is off afterwards", after)


def left_suspended(trial):
    """As imig and then xl leave a guest that are killed at the end of a migration: it stands still,
    under a record of a process that has ended."""
    host = trial.lab.hosts["xen1"]
    call = begin_and_kill(trial)
    domain = host.domid("known")
    uuid = guest_uuid("known")
    host.run(f"sed -i s/use=logging/use=migrating/ /run/imig/{uuid}.lock && "
             f"echo 'migration sender: Target has acknowledged transfer.' >/run/imig/{uuid}.xl && "
             f"xenstore-write /local/domain/{domain}/control/shutdown suspend")
    wait_until(lambda: "s" in host.domains()["known"]["state"], "the guest stands still", 60, 1)
    after = trial.inside("xen1", "status", "-c", "xenctl:", "--for", "2s")
    trial.claim(after.status == 0 and "it was resumed" in after.err
                and trial.logging("xen1", "known") == "off",
                "left suspended by a migration that was killed: the next run resumes it", after)
    trial.whole("resumed")


def killed(trial):
    host = trial.lab.hosts["xen1"]
    call = begin_and_kill(trial)
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
    call = begin_and_kill(trial)
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
    trial.have("known", "xen1", "cyclic", 1000, 2048)
    interrupted(trial)
    saved(trial)
    left_suspended(trial)
    killed(trial)
    killed_and_observed(trial)
    foreign(trial)
    no_such(trial)
    destroyed(trial)
    trial.whole("after the faults")
