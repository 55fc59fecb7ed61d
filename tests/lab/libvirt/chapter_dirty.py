# SPDX-License-Identifier: LGPL-2.1-or-later
"""Dirty rate and working set by imig dirty, against what the guests are told to do."""

# QEMU takes one sample for each 2 MiB: of the set of such a guest there are 32, of a second's
# writes 12.  That is a quarter off as a rule; a factor of two is a fault.  The set of a random
# writer is not seen whole in four seconds: what is found is where the curve bends to.
SIZE_MB, RATE_MB, WITHIN, SET_WITHIN = 64, 24, 2, 3


def measure(trial, name):
    guest = trial.lab.guests[name]
    seen = trial.imig("dirty", name, "--for", "13s", "--json")
    if not trial.claim(seen.status == 0, f"imig dirty measures a {guest['pattern']} writer", seen):
        return
    found = seen.document
    rate, size = RATE_MB * 2**20, SIZE_MB * 2**20
    rate_error = found["dirty_bytes_per_s"] / rate - 1
    size_error = found["working_set_bytes"] / size - 1 if found["working_set_bytes"] else None
    trial.figures[f"dirty, {guest['pattern']}"] = {
        "known": {"rate": rate, "set": size}, "rate_error": round(rate_error, 3),
        "set_error": None if size_error is None else round(size_error, 3), "found": found}
    trial.claim(1 / WITHIN < 1 + rate_error < WITHIN
                and (size_error is None or 1 / SET_WITHIN < 1 + size_error < SET_WITHIN),
                f"rate and working set of a {guest['pattern']} writer are found", seen.out)


def run(trial):
    guests = [trial.guest("host1", f"{pattern}-writer", "memory-dirty", memory_mb=192,
                          size_mb=SIZE_MB, rate_mb=RATE_MB, pattern=pattern)
              for pattern in ("cyclic", "random")]
    quiet = trial.guest("host2", "quiet", "idle")
    trial.lab.start_all([*guests, quiet])
    for guest in guests:
        measure(trial, guest["name"])
    seen = trial.imig("dirty", "quiet", "--for", "6s", "--json")
    trial.claim(seen.status == 0 and seen.document["dirty_bytes_per_s"] < RATE_MB * 2**20 / 6,
                "an idle guest dirties little", seen)
    trial.figures["dirty, idle"] = seen.document if seen.status == 0 else None
    trial.stop_all()
