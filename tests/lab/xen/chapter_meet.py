# SPDX-License-Identifier: LGPL-2.1-or-later
"""Measuring and migrating meet.  Turning log-dirty off under a migration, or cleaning its bitmap,
loses the guest while the toolstack reports success; so whatever is said, the guest has to be alive
on one host with its memory intact.
"""

import re
import time

from machine import wait_until

# Whoever is to move it found nobody: the guest had ended before, and nothing has met.
TOO_LATE = re.compile(r"known is an invalid domain identifier|no VM \"?known", re.I)
MARKED = re.compile(r"busy|migrat|saved|in use|logg", re.I)


def other(host):
    return "xen2" if host == "xen1" else "xen1"


def under_way(trial, host, process):
    """The other host has the domain in the making, by the name that xl gives it until then."""
    wait_until(lambda: process.poll() is not None
               or "known--incoming" in trial.lab.hosts[other(host)].domains(),
               "the guest arrives", 60, 0.3)
    time.sleep(1.5)


def begin_xl(trial, host):
    """An administrator's own migration."""
    return trial.lab.hosts[host].start(f"exec xl migrate known {other(host)}")


def ours_then_measure(trial, host):
    moved = trial.begin_outside("migrate", "known", other(host), "--for", "2s", "--json")
    under_way(trial, host, moved.process)
    measured = trial.inside(host, "dirty", "-c", "xenctl:", "known", "--for", "2s")
    waited = moved.ended
    moved.wait()
    return (moved.status == 0 and trial.place("known") == other(host)
            and (waited or (measured.status != 0 and MARKED.search(measured.err))),
            f"{moved}\n{measured}", measured)


def measure_then_ours(trial, host):
    measured = trial.measuring(host, 8)
    moved = trial.outside("migrate", "known", other(host), "--for", "2s", "--json", "--retries",
                          "0")
    early = not measured.ended
    measured.wait()
    place = trial.place("known")
    refused = moved.status != 0 and place == host and early
    waited = moved.status == 0 and place == other(host)
    return (measured.status == 0 and (refused or waited), f"{moved}\n{measured}", moved)


def xl_then_measure(trial, host):
    process = begin_xl(trial, host)
    under_way(trial, host, process)
    measured = trial.inside(host, "dirty", "-c", "xenctl:", "known", "--for", "2s")
    said = process.communicate(timeout=240)[1]
    return (process.returncode == 0 and trial.place("known") == other(host)
            and measured.status != 0 and MARKED.search(measured.err),
            f"{said[-600:]}\n{measured}", measured)


def measure_then_xl(trial, host):
    """The measurement ends while xl is half through: the switch has to stay on."""
    measured = trial.measuring(host, 8)
    process = begin_xl(trial, host)
    measured.wait()
    early = process.poll() is None
    said = process.communicate(timeout=240)[1]
    return (process.returncode == 0 and trial.place("known") == other(host)
            and (not early or "left on" in measured.err or measured.status != 0),
            f"{said[-600:]}\n{measured}", measured)


def left_on_then_cleared(trial, host):
    """The foreign migration is given up after a measurement has left the switch on."""
    measured = trial.measuring(host, 6)
    process = begin_xl(trial, host)
    measured.wait()
    trial.lab.hosts[host].kill("ssh.*migrate-receive")
    said = process.communicate(timeout=240)[1]
    after = trial.inside(host, "dirty", "-c", "xenctl:", "known", "--for", "2s")
    return (trial.place("known") == host and after.status == 0
            and trial.logging(host, "known") == "off",
            f"{said[-600:]}\n{measured}\n{after}", after)


MEETINGS = {"measuring asked for while imig migrates": ours_then_measure,
            "imig asked to migrate while measured": measure_then_ours,
            "measuring asked for while xl migrates": xl_then_measure,
            "xl migrates while measured": measure_then_xl,
            "xl gives up after the switch was left on": left_on_then_cleared}
# Only with --full: what goes wrong there is a message, not a guest.
LONG = (left_on_then_cleared,)


def meeting(trial, meet, title):
    """One meeting, and once more where the guest crashed in the emulator before anybody began to
    move it.  That is said, and is a fault where it happens again."""
    outcome = meet(trial, trial.place("known"))
    if outcome[0] or trial.place("known") or not TOO_LATE.search(outcome[1]):
        return outcome
    trial.say(f"{title}: the guest ended before it was moved: {outcome[1]}\n"
              f"{trial.lab.last_words('known')}")
    trial.figures["ended before they met"] = trial.figures.get("ended before they met", 0) + 1
    trial.have("known", "xen1", "random", 1000, 2048)
    return meet(trial, "xen1")


def run(trial):
    trial.only("known")
    trial.have("known", "xen1", "random", 1000, 2048, memory_mb=96)
    for title, meet in MEETINGS.items():
        if meet in LONG and not trial.full:
            continue
        outcomes = []
        for turn in range(1, 1 + trial.turns):
            good, detail, told = meeting(trial, meet, f"{title}, {turn}")
            trial.claim(good, f"{title}, {turn}", detail)
            outcomes.append([told.status, told.err.strip().splitlines()[-1:]])
            if not trial.whole(f"{title}, {turn}"):
                trial.have("known", "xen1", "random", 1000, 2048)
        trial.figures.setdefault("meetings", {})[title] = outcomes
    trial.claim(trial.figures.get("ended before they met", 0) <= 1,
                "at most one guest ended before it met anybody", trial.figures)
