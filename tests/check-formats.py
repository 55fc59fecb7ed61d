#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Are the pages about the documents true?

usage: check-formats.py IMIG TOP
Every key that the readers know is described under its object, and no other; every reason code that
the planner gives is listed, and no other; the examples are accepted, also without any key that is
not said to be required, and refused without one that is.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

# The tables of the readers, and the section of the page that describes their keys.
PAGES = {
    "doc/imig-capacity.5.scd": ("lib/model/capacities.c lib/model/host-read.c", {
        "members": "DOCUMENT", "host_keys": "HOSTS",
    }),
    "doc/imig-cluster.5.scd": ("lib/model/cluster-read.c lib/model/host-read.c", {
        "members": "DOCUMENT", "host_keys": "HOSTS", "vm_keys": "VMS", "disk_keys": "DISKS",
        "flow_keys": "FLOWS", "rule_keys": "RULES",
    }),
    "doc/imig-constants.5.scd": ("lib/cost/calibration-json.c", {
        "members": "DOCUMENT", "keys": "CONSTANTS",
    }),
    "doc/imig-plan.5.scd": ("lib/plan/plan-read.c lib/plan/plan-data-priv.h", {
        "members": "DOCUMENT", "cluster_keys": "CLUSTER", "step_keys": "STEPS",
        "kept_keys": "KEPT", "reason_keys": "REASON", "totals_keys": "TOTALS",
        "figures_keys": "FIGURES OF GOALS", "above_keys": "HOSTS ABOVE",
    }),
}
# Known to every reader (json-in.c); keys that stand for those of the measurements.
EVERYWHERE, WITHIN = {"format", "optional"}, {"noise_keys"}
# Where the objects of a section stand in a document.
PLACES = {
    "DOCUMENT": "", "HOSTS": "hosts", "VMS": "vms", "DISKS": "vms disks", "FLOWS": "flows",
    "RULES": "rules", "CLUSTER": "cluster", "STEPS": "steps", "KEPT": "kept",
    "CONSTANTS": "constants", "REASON": "steps reason", "TOTALS": "before",
    "FIGURES OF GOALS": "x-figures", "HOSTS ABOVE": "x-figures hosts_above",
}
# The last ones are those of goals that the example does not have.
NOT_IN_EXAMPLES = {"optional", "x-complete", "moved_bytes_bound", "cpu_to_mean", "memory_to_mean",
                   "hosts_in_use", "hosts_in_use_bound", "empty_hosts", "hosts_above",
                   "HOSTS ABOVE"}

faults = []


def check(holds, fault):
    if not holds:
        faults.append(fault)


def sections(page):
    parts = re.split(r"^# (.+)$", page, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def entries(section):
    """Keys and what stands in brackets behind them: *a*, *b* (numbers; required)."""
    found = {}
    for line in re.findall(r"^(\*[\w-]+\*.*)$", section, re.M):
        names = re.match(r"((?:\*[\w-]+\*(?:, )?)+)(.*)", line)
        for name in re.findall(r"\*([\w-]+)\*", names[1]):
            found[name] = names[2]
    return found


def examples(page):
    return re.findall(r"^```\n(.*?)^```$", page, re.M | re.S)


def tables(source):
    """Keys of each table of a reader, by the name of the table."""
    names = dict(re.findall(r'#define (IMIG__PLAN_\w+) "([\w-]+)"', source))
    found = {}
    table = r"static const imig__json_\w+ (\w+)\[\w*\] = \{\n(.*?)^\};"
    for name, body in re.findall(table, source, re.M | re.S):
        rows = re.findall(r'(?:\{ |[A-Z]+\()"([\w-]+)"|(?:TOTAL|FIGURE)\((\w+)|'
                          r"METRIC\(\w+, (\w+)\)|(IMIG__PLAN_\w+)", body)
        found[name] = {names[row[3]] if row[3] else "".join(row) for row in rows}
    return found


def check_keys(top):
    for page, (reader, places) in PAGES.items():
        text = sections((top / page).read_text(encoding="utf-8"))
        known = tables("".join((top / file).read_text(encoding="utf-8")
                               for file in reader.split()))
        check(set(known) - WITHIN == set(places), f"{reader}: tables {sorted(known)}")
        for table, section in places.items():
            want = known.get(table, set()) | (EVERYWHERE if table == "members" else set())
            got = set(entries(text.get(section, "")))
            check(len(want) > 0, f"{reader}: {table} has no keys")
            check(not want - got, f"{page}: {section} lacks {sorted(want - got)}")
            check(not got - want, f"{page}: {section} describes {sorted(got - want)}, unknown")


def check_codes(top):
    page = sections((top / "doc/imig-plan.5.scd").read_text(encoding="utf-8"))
    explain = (top / "lib/plan/explain.c").read_text(encoding="utf-8")
    kept = "".join((top / "lib/plan" / file).read_text(encoding="utf-8")
                   for file in ("kept.c", "aim-explain.c"))
    code = r'"([a-z]+(?:-[a-z]+)*)"'
    steps = set(re.findall(rf"^    \{{ {code}, ", re.search(r"causes\[\] = \{\n(.*?)^\};", explain,
                                                           re.M | re.S)[1], re.M))
    stay = set(re.findall(rf"^    \{{ {code}, ", kept, re.M))
    stay |= set(re.findall(rf"return (?:space->\w+\[vm\] \? fixed : )?{code};", kept))
    for section, want in (("REASONS OF STEPS", steps), ("REASONS TO STAY", stay)):
        got = set(entries(page[section]))
        check(len(want) > 5 and got == want, f"{section}: {sorted(got ^ want)} differ")


def objects(value, path):
    """The objects at a path of keys, through all arrays on the way."""
    if isinstance(value, list):
        for element in value:
            yield from objects(element, path)
    elif isinstance(value, dict):
        if not path:
            yield value
        elif path[0] in value:
            yield from objects(value[path[0]], path[1:])


def run(imig, *args):
    return subprocess.run([imig, *args], stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                          check=False)


def check_example(text, page, accepts):
    """Whole, and then without each of its keys in turn."""
    done = accepts(text)
    check(done.returncode == 0, f"{page}: example: {done.stderr.decode()}")
    for section in PAGES[page][1].values():
        for key, what in entries(sections(page_text(page)).get(section, "")).items():
            changed = json.loads(text)
            found = next((o for o in objects(changed, PLACES[section].split()) if key in o), None)
            check(found is not None or {key, section} & NOT_IN_EXAMPLES,
                  f"{page}: the example has no {key} under {section}")
            if found is None or key == "optional":
                continue
            del found[key]
            done = accepts(json.dumps(changed))
            if "both or none" in what:
                check(done.returncode == 2 and b"given together" in done.stderr,
                      f"{page}: {section}: {key} alone: {done.stderr.decode()}")
            elif "required" in what:
                check(done.returncode == 2 and f"{key}: missing".encode() in done.stderr,
                      f"{page}: {section}: {key} is required, but: {done.stderr.decode()}")
            elif section + key not in ("DOCUMENThosts", "DOCUMENTvms"):
                # Others name what stands in these two.
                check(done.returncode == 0,
                      f"{page}: {section}: without {key}: {done.stderr.decode()}")


def page_text(page):
    return (TOP / page).read_text(encoding="utf-8")


def main(imig, folder):
    file, cluster_file = folder / "document", folder / "cluster.json"

    def accepts(*args):
        def feed(text):
            file.write_text(text, encoding="utf-8")
            return run(imig, *args)
        return feed

    check_keys(TOP)
    check_codes(TOP)
    cluster, = examples(page_text("doc/imig-cluster.5.scd"))
    check_example(cluster, "doc/imig-cluster.5.scd", accepts("status", file))
    cluster_file.write_text(cluster, encoding="utf-8")

    capacities, = examples(page_text("doc/imig-capacity.5.scd"))
    check_example(capacities, "doc/imig-capacity.5.scd",
                  accepts("status", "-c", f"sim:{cluster_file}", "--host-capacity", file))

    constants, = examples(page_text("doc/imig-constants.5.scd"))
    check_example(constants, "doc/imig-constants.5.scd",
                  accepts("plan", cluster_file, "--constants", file))

    plan, *by_hand = examples(page_text("doc/imig-plan.5.scd"))
    check_example(plan, "doc/imig-plan.5.scd", accepts("simulate", cluster_file, file))
    check(len(by_hand) == 1, "doc/imig-plan.5.scd: no example of a chain")
    for text in (plan, *by_hand):
        done = accepts("run", file, "-c", f"sim:{cluster_file}", "--yes")(text)
        check(done.returncode == 0, f"doc/imig-plan.5.scd: run: {done.stderr.decode()}")

    table, = examples(page_text("doc/imig-affinity.5.scd"))
    done = accepts("plan", cluster_file, "--affinity", file)(table)
    check(done.returncode == 0, f"doc/imig-affinity.5.scd: {done.stderr.decode()}")
    for fault in faults:
        print(fault)
    print(f"{len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    TOP = pathlib.Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["XDG_STATE_HOME"] = scratch  # nobody's own store is read
        sys.exit(main(sys.argv[1], pathlib.Path(scratch)))
