# SPDX-License-Identifier: LGPL-2.1-or-later
"""Migrations that do not come to their end: cancelled, out of time, or with a process killed or the
link cut under them.  Whatever happens, the guest is on one host, its memory whole, its log-dirty
mode off, and nothing is left on the other host.  And one that is held back by --bandwidth.
"""

import re
import signal
import time

from chapter_meet import other, under_way
from machine import wait_until

CAP_BYTES_PER_S = 4e6
SLOW = ("--bandwidth", "2MB/s")
XL = "xl migrate -s"
# An xl that has received a domain stays, to look after it.
BUSY = XL + "|imig (agent|migrate|pipe)|libxl-save-helper|ssh.*migrate-receive"
LOOK = "for i in 1 2; do cat /proc/uptime; grep wchar /proc/{}/io; sleep 6; done"


def busy(trial):
    """What still works on a migration: processes, and domains that nobody shall see."""
    left = []
    for host in trial.lab.hosts.values():
        left += host.processes(BUSY)
        left += [name for name in host.domains() if "--" in name]
    return left


def settled(trial, title, call, places):
    """The guest is on one of these hosts, as if nothing had happened."""
    try:
        wait_until(lambda: not busy(trial), "all have ended", 90, 0.5)
    except TimeoutError:
        trial.claim(False, f"{title}: all have ended", f"{busy(trial)}\n{call}")
    place = trial.place("known")
    trial.claim(place in places, f"{title}: the guest is on {' or '.join(places)}",
                f"{trial.lab.where('known')}\n{call}")
    if "left on" in call.err:       # said, where domain 0 is too slow to be sure
        trial.inside(place, "status", "-c", "xenctl:", "--for", "1s")
    trial.claim(place and trial.logging(place, "known") == "off", f"{title}: the logging is off",
                call)
    if not trial.whole(title):
        trial.have("known", "xen1", "cyclic", 300, 512)
    trial.figures.setdefault("not to their end", {})[title] = [
        call.status, round(call.seconds, 1), place, (call.err.strip().splitlines() or [""])[-1]]


def from_outside(trial, host, *more):
    return trial.begin_outside("migrate", "known", other(host), "--for", "2s", "--retries", "0",
                               *more)


def from_inside(trial, host, *more):
    """The imig in the source's domain 0: no agent between it and xl."""
    return trial.begin(host, "migrate", "-c", f"xenctl:,migrate={host}", "-c",
                       f"xenctl+ssh://{other(host)}", "known", other(host), "--for", "2s",
                       "--retries", "0", *more)


def begun(trial, title, call, host):
    """False: it never got to send anything, and all that follows would be about nothing."""
    under_way(trial, host, call.process)
    return trial.claim(not call.ended, f"{title}: a migration is under way",
                       call.wait() if call.ended else "")


def interrupted(trial, host, delay_s=0.0):
    title = f"interrupted {1.5 + delay_s:g} s under way"
    call = from_outside(trial, host)
    if not begun(trial, title, call, host):
        return
    time.sleep(delay_s)
    call.process.send_signal(signal.SIGINT)
    call.wait()
    trial.claim(call.status in ((130, 0) if delay_s else (130,)), f"{title}: exit status", call)
    settled(trial, title, call, (host,) if call.status == 130 else (other(host),))


def out_of_time(trial, host):
    call = from_outside(trial, host, "--timeout", "8s", *SLOW)
    if not begun(trial, "out of time", call, host):
        return
    call.wait()
    trial.claim(call.status not in (0, 130) and "time" in call.err + call.out,
                "out of time: said so", call)
    settled(trial, "out of time", call, (host,))


def imig_killed_outside(trial, host):
    """Its agent on the source notices, and cancels."""
    call = from_outside(trial, host, *SLOW)
    if not begun(trial, "imig killed outside", call, host):
        return
    call.process.kill()
    call.wait()
    settled(trial, "imig killed outside", call, (host,))


def imig_killed_inside(trial, host):
    """xl goes on without it, and the next run finds all in order."""
    call = from_inside(trial, host)
    if not begun(trial, "imig killed inside", call, host):
        return
    trial.lab.hosts[host].run("kill -9 $(cat /tmp/imig.pid)")
    call.wait()
    settled(trial, "imig killed inside", call, (other(host),))


def xl_killed(trial, host):
    call = from_inside(trial, host)
    if not begun(trial, "xl killed", call, host):
        return
    trial.lab.hosts[host].kill(XL)
    call.wait()
    trial.claim(call.status not in (0, 130), "xl killed: the migration has failed", call)
    settled(trial, "xl killed", call, (host,))


def transport_cut(trial, host):
    call = from_outside(trial, host)
    if not begun(trial, "transport cut", call, host):
        return
    trial.lab.hosts[host].kill("ssh.*migrate-receive")
    call.wait()
    trial.claim(call.status not in (0, 130), "transport cut: the migration has failed", call)
    settled(trial, "transport cut", call, (host,))


def cable_pulled(trial, host):
    """Nobody is told: what was sent is simply not heard of again.  Time ends it."""
    call = from_outside(trial, host, "--timeout", "12s")
    if not begun(trial, "cable pulled", call, host):
        return
    trial.lab.hosts[host].monitor("set_link link off")
    call.wait()
    trial.lab.hosts[host].monitor("set_link link on")
    trial.claim(call.status not in (0, 130), "cable pulled: the migration has failed", call)
    settled(trial, "cable pulled", call, (host,))


def as_it_suspends(trial, host, title, number, victim):
    """A signal to processes at the moment in which the guest is asked to suspend itself."""
    lab_host = trial.lab.hosts[host]
    call = from_inside(trial, host)
    if not begun(trial, title, call, host):
        return
    node = f"/local/domain/{lab_host.domid('known')}/control/shutdown"
    # One event for the watch itself, one for the request.
    victims = " ".join(map(str, lab_host.processes(victim)))
    lab_host.run(f"timeout 90 xenstore-watch -n 2 {node} >/dev/null; kill -{number} {victims}",
                 check=False)
    call.wait()
    arrived = call.status == 0
    trial.claim(call.status in (0, 1, 3, 130), f"{title}: exit status", call)
    settled(trial, title, call, (other(host) if arrived else host,))


def cancelled_as_it_suspends(trial, host):
    as_it_suspends(trial, host, "cancelled as it suspends", "INT", "^imig migrate")


def xl_killed_as_it_suspends(trial, host):
    as_it_suspends(trial, host, "xl killed as it suspends", "KILL", XL)


def held_back(trial, host):
    """The cap is what flows while rounds are sent; rounds are seen as they go by."""
    call = from_outside(trial, host, "--json", "--bandwidth", f"{CAP_BYTES_PER_S:.0f}B/s")
    if not begun(trial, "held back", call, host):
        return
    pipes = trial.lab.hosts[host].processes("^/[^ ]*imig pipe")
    said = trial.lab.hosts[host].run(LOOK.format(*pipes)) if pipes else "no pipe"
    call.wait()
    steps = call.document["steps"] if call.out.startswith("{") else []
    seen = [float(word) for word in re.findall(r"^([\d.]+) |wchar: (\d+)", said, re.M)
            for word in word if word]
    rate = (seen[3] - seen[1]) / (seen[2] - seen[0]) if len(seen) == 4 else 0
    # How near it comes to the cap is the machine's affair.
    trial.claim(0 < rate < 1.15 * CAP_BYTES_PER_S, "held back: the cap is kept",
                f"{rate}\n{said}\n{call}")
    if trial.claim(len(steps) == 1 and steps[0]["state"] == "done", "held back: it arrives", call):
        step = steps[0]
        trial.claim(step["transferred_bytes"]["measured"] / step["duration_s"]["measured"]
                    < 1.15 * CAP_BYTES_PER_S, "held back: from begin to end", step)
        trial.claim(2 <= step["rounds"] <= 6, "held back: rounds are counted", step)
        trial.figures["held back"] = {"bytes_per_s": round(rate), "rounds": step["rounds"],
                                      **{key: step[key] for key in
                                         ("duration_s", "downtime_s", "transferred_bytes")}}
    settled(trial, "held back", call, (other(host),))


SHORT = (interrupted, xl_killed)
LONG = (held_back, out_of_time, imig_killed_inside, imig_killed_outside, transport_cut,
        cable_pulled, xl_killed_as_it_suspends, cancelled_as_it_suspends)
DELAYS_S = (3, 5, 7, 9, 11, 13)         # one of them meets the suspension, or nearly so


def run(trial):
    trial.only("known")
    trial.have("known", "xen1", "cyclic", 300, 512, memory_mb=96)
    for one in SHORT + (LONG if trial.full else ()):
        one(trial, trial.place("known"))
    for delay_s in DELAYS_S if trial.full else ():
        interrupted(trial, trial.place("known"), delay_s)
