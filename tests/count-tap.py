#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Counts test results, TAP lines one by one.

usage: count-tap.py TESTLOG.JSON          what meson wrote
       count-tap.py --tap OUTPUT STATUS   what one program printed, and its exit status
Prints every failure and the tail of its output; the last line is `PASSED FAILED SKIPPED`.
"""

import json
import re
import sys

LINE = re.compile(r"^(not ok|ok)\b(.*)$")
TAIL = 25


def count(output):
    """(passed, failed, skipped, lines of the failures with their comments)"""
    passed, shown, skipped, failing = 0, [], 0, False
    failed = 0
    for line in output.splitlines():
        found = LINE.match(line)
        if found:
            failing = found.group(1) == "not ok"
            if failing:
                failed += 1
            elif re.search(r"#\s*skip", found.group(2), re.I):
                skipped += 1
            else:
                passed += 1
        if failing and (found or line.startswith("#")):
            shown.append(line)
    plan = re.search(r"^1\.\.(\d+)", output, re.M)
    if plan and int(plan.group(1)) > passed + failed + skipped:
        failed += 1
        shown.append(f"{plan.group(1)} tests were announced")
    return passed, failed, skipped, shown


def one(name, verdict, output, errors):
    """The sums of one program; verdict is OK, SKIP, or why it failed as a whole."""
    passed, failed, skipped, shown = count(output)
    if verdict == "SKIP" and not skipped:
        skipped += 1
    elif verdict == "OK" and not passed + failed + skipped:
        passed += 1
    elif verdict not in ("OK", "SKIP") and not failed:
        failed += 1  # a crash, a leak, a time-out, an exit status
        shown = output.splitlines()[-TAIL:]
    if failed:
        print(f"{name}: {verdict}")
        for line in shown[:2 * TAIL] + errors.splitlines()[-TAIL:]:
            print(f"    {line}")
    return passed, failed, skipped


def main(arguments):
    if len(arguments) == 3 and arguments[0] == "--tap":
        with open(arguments[1], encoding="utf-8", errors="replace") as file:
            verdict = {"0": "OK", "77": "SKIP"}.get(arguments[2], f"exit status {arguments[2]}")
            sums = [one(arguments[1].rsplit("/", 1)[-1], verdict, file.read(), "")]
    elif len(arguments) == 1:
        with open(arguments[0], encoding="utf-8", errors="replace") as log:
            sums = [one(entry["name"], entry["result"], entry.get("stdout", ""),
                        entry.get("stderr", "")) for entry in map(json.loads, log)]
    else:
        sys.exit(__doc__)
    print(*(sum(column) for column in zip(*sums)))


if __name__ == "__main__":
    main(sys.argv[1:])
