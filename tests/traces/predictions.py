#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Learns constants from one half of measured migrations and predicts the other half.

usage: predictions.py --imig IMIG [--splits N] [--data DIRECTORY]

The data is read from DIRECTORY, IMIG_TRACE_DATA, or ../shared/data beside this tree; what is not
there is skipped.  A plan is never on both sides.  Prints TAP and figures.
"""

import argparse
import json
import math
import os
import pathlib
import random
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
sys.path.insert(0, str(HERE))
import measured  # noqa: E402

MEDIAN, NINE_OF_TEN = 0.03, 0.10
COVERED = 0.85  # of the others at least, by what nine of ten are said to be within


class Imig:
    def __init__(self, program, folder):
        self.program, self.folder = program, pathlib.Path(folder)

    def run(self, *arguments, data=""):
        done = subprocess.run([self.program, *map(str, arguments)], input=data.encode(),
                              capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.decode(errors="replace").strip())
        return done.stdout.decode()

    def learn(self, rows):
        path = self.folder / "constants.json"
        self.run("calibrate", "--csv", "-", "-o", path, "--quiet", data=measured.as_csv(rows))
        return path

    def predict(self, rows, constants=None):
        options = ("--constants", constants) if constants else ()
        return json.loads(self.run("predict", "--no-store", "--csv", "-", "--json", *options,
                                   data=measured.as_csv(rows)))["rows"]


def quantile(values, share):
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def errors(predicted, rows):
    return [abs(p["duration_s"] / float(row["duration_s"]) - 1)
            for p, row in zip(predicted, rows)]


def planned(rows):
    """The same before anything was measured: beside each other as the plan has it."""
    return [{**{key: value for key, value in row.items() if key != "duration_s"},
             "start_s": row["x-planned_start_s"]} for row in rows]


def halves(rows, seed):
    plans = sorted({row["plan"] for row in rows})
    random.Random(seed).shuffle(plans)
    first = set(plans[:len(plans) // 2])
    one = [row for row in rows if row["plan"] in first]
    other = [row for row in rows if row["plan"] not in first]
    return (one, other), (other, one)


def text(values):
    return f"p50 {quantile(values, 0.5):.1%}, p90 {quantile(values, 0.9):.1%}"


def check_btrplace(imig, rows, splits):
    faults, ahead_faults, covered, worse = [], [], [], []
    all_learned, all_ahead = [], []
    for seed in range(splits):
        for side, (known, judged) in enumerate(halves(rows, seed)):
            constants = imig.learn(known)
            predicted = imig.predict(judged, constants)
            assumed = errors(imig.predict(judged), judged)
            learned = errors(predicted, judged)
            ahead = errors(imig.predict(planned(judged), constants), judged)
            name = f"split {seed}, half {side}"
            print(f"# {name}: assumed {text(assumed)}; learned {text(learned)}; "
                  f"from the plan alone {text(ahead)}")
            for values, into in ((learned, faults), (ahead, ahead_faults)):
                if quantile(values, 0.5) >= MEDIAN or quantile(values, 0.9) >= NINE_OF_TEN:
                    into.append(f"{name}: {text(values)}")
            if sum(learned) > sum(assumed):
                worse.append(f"{name}: {sum(learned):.2f} in all, {sum(assumed):.2f} assumed")
            inside = sum(error <= p["duration_p90_ratio"]
                         for error, p in zip(learned, predicted)) / len(learned)
            if inside < COVERED:
                covered.append(f"{name}: {inside:.1%}")
            all_learned += learned
            all_ahead += ahead
    print(f"# all: learned {text(all_learned)}; from the plan alone {text(all_ahead)}")
    return [
        (f"btrplace: half of the times within {MEDIAN:.0%}, nine of ten within {NINE_OF_TEN:.0%}",
         faults),
        ("btrplace: so they are where only the plan is known", ahead_faults),
        ("btrplace: what was learned is not worse than what is assumed", worse),
        (f"btrplace: at least {COVERED:.0%} are within what nine of ten should be", covered),
    ]


def check_osic(imig, series):
    """Bandwidths and dirty rates were not recorded: learning has to help all the same."""
    worse = []
    for name, rows in sorted(series.items()):
        for side, (known, judged) in enumerate(halves(rows, 0)):
            try:
                constants = imig.learn(known)
            except RuntimeError as refused:
                print(f"# {name}: {refused}")
                continue
            assumed = errors(imig.predict(judged), judged)
            learned = errors(imig.predict(judged, constants), judged)
            print(f"# {name}, half {side}: assumed {text(assumed)}; learned {text(learned)}")
            if sum(learned) > sum(assumed):
                worse.append(f"{name}, half {side}")
    return [("openstack-osic: what was learned is not worse than what is assumed", worse)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--imig", required=True)
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--data", default=os.environ.get("IMIG_TRACE_DATA",
                                                         TOP.parent / "shared" / "data"))
    options = parser.parse_args()
    rows, series = measured.btrplace(options.data), measured.osic(options.data)
    results, skipped = [], []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_STATE_HOME"] = folder
        imig = Imig(options.imig, folder)
        if rows:
            results += check_btrplace(imig, rows, options.splits)
        if series:
            results += check_osic(imig, series)
    for name, there in (("btrplace-migrations", rows), ("openstack-osic", series)):
        if not there:
            skipped.append(f"{name} # SKIP {options.data}/{name} is not there")
    print(f"1..{len(results) + len(skipped)}")
    for number, (claim, faults) in enumerate(results, 1):
        print(f"{'not ok' if faults else 'ok'} {number} - {claim}")
        for fault in faults:
            print(f"#   {fault}")
    for number, line in enumerate(skipped, len(results) + 1):
        print(f"ok {number} - {line}")
    return 1 if any(faults for _, faults in results) else 0


if __name__ == "__main__":
    sys.exit(main())
