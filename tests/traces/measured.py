# SPDX-License-Identifier: LGPL-2.1-or-later
"""Measured migrations of others as the tables that `imig predict` and `imig calibrate` read."""

import csv
import io
import pathlib

MB, MBIT = 10 ** 6, 125000
LINKS = {"0": 500, "1": 500, "2": 1000, "3": 1000}  # Mbit/s of the hosts of btrplace-migrations


def btrplace(data):
    """Rows as dictionaries; [] where the data is not there.

    All VMs rewrite a hot set in some time and dirty further memory at a rate, so that both together
    are the slope at first, and the hot set is what is written again and again.
    """
    path = pathlib.Path(data) / "btrplace-migrations" / "measured.csv"
    if not path.is_file():
        return []
    with open(path, newline="") as table:
        return [{
            "run": f"{row['instance']}/{row['repeat']}", "plan": row["instance"], "vm": row["vm"],
            "from": row["src"], "to": row["dst"], "start_s": row["start_s"],
            "memory_bytes": float(row["mem_used_mb"]) * MB,
            "bandwidth_bytes_per_s": float(row["bw_mbps"]) * MBIT,
            "dirty_bytes_per_s": (float(row["hot_dirty_mb"]) / float(row["hot_dirty_s"])
                                  + float(row["dirty_rate_mbps"])) * MB,
            "working_set_bytes": float(row["hot_dirty_mb"]) * MB,
            "from_link_bytes_per_s": LINKS[row["src"]] * MBIT,
            "to_link_bytes_per_s": LINKS[row["dst"]] * MBIT,
            "duration_s": float(row["duration_s"]),
            "x-planned_start_s": row["planned_start_s"],
        } for row in csv.DictReader(table) if float(row["duration_s"]) > 0]


def osic(data):
    """Times of one flavour and series over the repeats; bandwidths and dirty rates are not known,
    so that all that can be learned is what a byte costs there."""
    path = pathlib.Path(data) / "openstack-osic" / "times.csv"
    gib = {"small": 4, "medium": 8, "large": 16}
    if not path.is_file():
        return {}
    series = {}
    with open(path, newline="") as table:
        for row in csv.DictReader(table):
            if float(row["migration_s"]) <= 0:
                continue
            series.setdefault(row["series"], []).append({
                "run": f"{row['flavor']}/{row['iteration']}/{row['vm']}",
                "plan": f"{row['flavor']}/{row['iteration']}", "vm": row["vm"],
                "memory_bytes": gib[row["flavor"]] * 2 ** 30,
                "bandwidth_bytes_per_s": 1.25e9,
                "duration_s": float(row["migration_s"]),
            })
    return series


def as_csv(rows):
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()
