# SPDX-License-Identifier: LGPL-2.1-or-later
"""Dirty rate and working set of guests whose writes are known.

A guest dirties pages on its own, too: its kernel's, and those of its reports.  An idle guest shows
how many after which time; that curve is subtracted, point by point, before the library fits its
own.  The rate is compared with what the guest itself has counted in the same time by its clock,
which is the hypervisor's: an emulated host that is slow slows both.  Where the machine under the
host lets the guest stand still, by the guest's own account, it did not do the work that the figures
are to be compared with: it is measured again, and where no moment is quiet the middle one of the
three least disturbed counts.
"""

import ctypes
import time
from ctypes import POINTER, byref, c_double, c_int32, c_void_p

from trial import PAGE

WITHIN = 0.10
RATES, SIZES = (750, 1500, 3000), (1024, 2048, 4096)
CI = list(zip(RATES, SIZES))    # in a short run: every rate and every size once with each kind
# Logged for so many times what the guest needs to write its set once: slope and plateau are seen.
TURNS = {"cyclic": 3, "random": 4}
STOOD, ATTEMPTS = 0.03, 8   # share of the time that a guest may stand still; to find a quiet moment


def fit(library, points):
    """(rate, set) in pages, by the library."""
    n = len(points)
    elapsed = (c_double * n)(*(t for t, _ in points))
    dirtied = (c_double * n)(*(pages * PAGE for _, pages in points))
    rate, size, residual = c_double(), c_double(), c_double()
    writes, error = c_int32(), c_void_p()
    library.imig_dirty_fit.argtypes = [POINTER(c_double), POINTER(c_double), ctypes.c_size_t,
                                       POINTER(c_double), POINTER(c_double), POINTER(c_int32),
                                       POINTER(c_double), POINTER(c_void_p)]
    if library.imig_dirty_fit(elapsed, dirtied, n, byref(rate), byref(size), byref(writes),
                              byref(residual), byref(error)):
        raise RuntimeError("imig_dirty_fit")
    return rate.value / PAGE, size.value / PAGE     # NaN: the curve has no plateau


def measure(trial, seconds):
    """imig's own figures in pages, and the points."""
    seen = trial.inside("xen1", "dirty", "-c", "xenctl:", "known", "--for", f"{seconds:.1f}s",
                        "--json")
    if seen.status != 0:
        raise RuntimeError(str(seen))
    found = seen.document
    points = [(p["elapsed_s"], p["dirtied_bytes"] / PAGE) for p in found["points"]]
    plain = [found["dirty_bytes_per_s"] / PAGE,
             found["working_set_bytes"] / PAGE if found["working_set_bytes"] else None]
    return plain, points, found["writes"]


def at(curve, t):
    """Pages of the background after t seconds; between points along a line, then level."""
    before = (0.0, 0.0)
    for point in curve:
        if point[0] >= t:
            share = (t - before[0]) / (point[0] - before[0])
            return before[1] + share * (point[1] - before[1])
        before = point
    return before[1]


def background(trial):
    trial.lab.order("known", "idle")
    short, long = (measure(trial, seconds)[1] for seconds in (3, 17))
    curve = short + [point for point in long if point[0] > short[-1][0]]
    for i in range(1, len(curve)):      # of two measurements: the pages are not quite the same
        curve[i] = (curve[i][0], max(curve[i][1], curve[i - 1][1]))
    trial.figures["background, pages after seconds"] = [[round(t, 2), round(p)] for t, p in curve]
    trial.claim(curve[-1][1] < 400 and trial.logging("xen1", "known") == "off",
                "an idle guest shows its own background only, and logging is off afterwards",
                curve)
    return curve


def one_measurement(trial, library, curve, kind, rate, size):
    """Share of the time that the guest stood still; its true rate; found (rate, set); what imig
    says of both and of the writes; the points."""
    first = trial.lab.report("known")
    plain, points, writes = measure(trial, TURNS[kind] * size / rate)
    last = trial.lab.report("known")
    own, most = [], 0.0
    for t, pages in points:     # a union never shrinks, for all that was guessed of its parts
        most = max(most, pages - at(curve, t))
        own.append((t, most))
    stood = (last["stood"] - first["stood"]) / (last["seconds"] - first["seconds"])
    return stood, trial.lab.work_rate(first, last), fit(library, own), plain, writes, points


def known_writer(trial, library, curve, kind, rate, size):
    trial.lab.order("known", kind, rate, size)
    time.sleep(1.5)     # the report that says so came a moment before the first tick
    seen = []
    while len(seen) < ATTEMPTS and not (seen and seen[-1][0] < STOOD):
        seen.append(one_measurement(trial, library, curve, kind, rate, size))
    if seen[-1][0] < STOOD:
        chosen = seen[-1]
    else:       # of the three least disturbed the one in the middle
        chosen = sorted(sorted(seen, key=lambda m: m[0])[:3], key=lambda m: m[2][0] / m[1])[1]
    stood, true_rate, found, plain, writes, points = chosen
    off = [found[0] / true_rate - 1, found[1] / size - 1]
    trial.figures.setdefault("dirty", []).append(
        {"kind": kind, "rate": round(true_rate), "set": size, "found": [f"{f:.0f}" for f in found],
         "off": [f"{o:+.1%}" for o in off], "plain": [p and round(p) for p in plain],
         "writes": writes, "attempts": len(seen), "stood": round(stood, 3)})
    trial.claim(all(abs(o) < WITHIN for o in off),
                f"{kind}, {rate} pages/s over {size} pages: rate and working set within 10 %",
                f"truth {true_rate:.0f}, found {found}, stood still {stood:.3f}\n{points}")
    return writes


def slowdown(trial):
    """As fast as it goes: how much of its work a guest loses while it is measured."""
    host, lab = trial.lab.hosts["xen1"], trial.lab
    lab.order("known", "cyclic", 0, 4096)

    def rate(meanwhile=None):
        process = host.start(meanwhile) if meanwhile else None
        time.sleep(1.5)
        first = lab.report("known")
        time.sleep(5)
        last = lab.report("known")
        if process:
            process.communicate(timeout=60)
        return lab.work_rate(first, last)
    domain = host.domid("known")
    alone = rate()
    ways = {"imig, peeking": "imig dirty -c xenctl: known --for 8s --json",
            "peeking each second": f"logdirty peek {domain} 1 8",
            "cleaning each second": f"logdirty clean {domain} 1 8",
            "cleaning each 0.1 s": f"logdirty clean {domain} 0.1 80"}
    if not trial.full:
        ways = {way: ways[way] for way in ("imig, peeking", "cleaning each 0.1 s")}
    lost = {way: round(1 - rate(command) / alone, 3) for way, command in ways.items()}
    trial.figures["page writes/s undisturbed"] = round(alone)
    trial.figures["share of its work that a guest loses while measured"] = lost
    trial.claim(lost["imig, peeking"] < lost["cleaning each 0.1 s"],
                "peeking costs the guest less than cleaning", lost)


def run(trial):
    library = ctypes.CDLL(str(trial.build / "lib/libimig.so"))
    trial.only("known")
    trial.have("known", "xen1")
    curve = background(trial)
    for kind in TURNS:
        cases = [(r, s) for r in RATES for s in SIZES] if trial.full else CI
        recognised = [known_writer(trial, library, curve, kind, rate, size) == kind
                      for rate, size in cases]
        trial.claim(sum(recognised) * 2 > len(recognised), f"{kind} writes are recognised as such",
                    recognised)
    slowdown(trial)
    trial.lab.order("known", "cyclic", 1000, 2048)
    trial.whole("measured")
