#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Counts the results in meson's testlog.json, TAP tests one by one.

usage: count-tap.py TESTLOG.JSON
Prints every failure and the tail of its output; the last line is `PASSED FAILED SKIPPED`.
"""

import json
import re
import sys

LINE = re.compile(r"^(not ok|ok)\b(.*)$", re.M)
TAIL = 25


def main(path):
    passed = failed = skipped = 0
    with open(path, encoding="utf-8", errors="replace") as log:
        for entry in map(json.loads, log):
            output = entry.get("stdout", "")
            good = bad = left_out = 0
            for verdict, rest in LINE.findall(output):
                if verdict == "not ok":
                    bad += 1
                elif re.search(r"#\s*skip", rest, re.I):
                    left_out += 1
                else:
                    good += 1
            whole = entry["result"]
            if whole == "SKIP" and not left_out:
                left_out += 1
            elif whole == "OK" and not good and not left_out:
                good += 1
            elif whole not in ("OK", "SKIP") and not bad:
                bad += 1  # a crash, a leak, a time-out, an exit status
            if bad:
                print(f"{entry['name']}: {whole.lower()} ({entry.get('returncode', '?')})")
                for line in (output + "\n" + entry.get("stderr", "")).splitlines()[-TAIL:]:
                    print(f"    {line}")
            passed, failed, skipped = passed + good, failed + bad, skipped + left_out
    print(passed, failed, skipped)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
