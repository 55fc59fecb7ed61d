#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The page about the experiments and its pictures, from the tables that they wrote.

Words are in page.md, verdicts and what they go by in verdicts.py; what is in the directory of the
tables but for them is written anew.
"""

import argparse
import pathlib
import re

import plots
import sections
import verdicts
from results import PLACES, Results

HERE = pathlib.Path(__file__).resolve().parent
CAPTIONS = {
    "figure-1": "time and downtime over the dirty size", "figure-1-xen": "the same on Xen",
    **{name: f"idle guests before and after {kind}" for name, kind in PLACES.items()},
    "orders": "time, total time, downtime of each order", "predictions": "predicted over measured"}


def claims(results):
    """{section: claims}"""
    places = list(verdicts.places(results))
    xen = results.of("xen", kind="memory-dirty")
    return {"figure-1": [*verdicts.figure_1(results.of("figure-1")),
                         *verdicts.figure_1(xen, "Fig. 1, Xen")],
            "table-1": list(verdicts.table_1(results)), "table-2": list(verdicts.table_2(results)),
            "affinity": list(verdicts.affinity(results)), "places": places,
            "orders": list(verdicts.order_claims(results)),
            "predictions": list(verdicts.prediction_claims(results))}


def page(results, template):
    """The template with every {name} replaced.  A name that is not known, and one that is not
    used, is a fault."""
    judged, drawn = claims(results), plots.programs(results)
    texts = {
        "overview": sections.overview([claim for part in judged.values() for claim in part]),
        "constants": sections.constants(results), "counts": sections.counts(results),
        "not-done": sections.not_done(results),
        "figure-1-table": sections.cells(results.of("figure-1")),
        "table-1-table": sections.cells(results.of("table-1")),
        "caps-table": sections.cells(results.of("caps")),
        "xen-table": sections.cells(results.of("xen")),
        "table-2-table": sections.slowdowns(results),
        "affinity-table": sections.affinity(results),
        **{f"{name}-table": sections.place(results, name) for name in PLACES},
        "orders-table": sections.orders(results),
        "comparisons-table": sections.comparisons(results),
        "predictions-table": sections.predictions(results),
        "unpredicted": sections.unpredicted(results),
        **{f"{name}-claims": sections.claims(part) for name, part in judged.items()},
        **{f"{name}-picture": f"![{caption}]({name}.svg)" if name in drawn else ""
           for name, caption in CAPTIONS.items()},
    }
    names = re.findall(r"\{([a-z0-9-]+)\}", template)
    if set(names) != set(texts):
        raise ValueError(f"page.md: {sorted(set(names) ^ set(texts))} has no text or no place")
    filled = re.sub(r"\{([a-z0-9-]+)\}", lambda match: texts[match[1]], template)
    return re.sub(r"\n{3,}", "\n\n", filled)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", default=HERE.parents[2] / "doc/experiments", type=pathlib.Path,
                        help="where the tables are, and the page goes")
    into = parser.parse_args().into
    results = Results.read(into)
    if not results.migrations and not results.rates:
        parser.error(f"{into}: no tables, or nothing in them")
    drawn = plots.programs(results)
    for old in into.glob("*.svg"):
        if old.stem in CAPTIONS and old.stem not in drawn:
            old.unlink()
    for name, program in drawn.items():
        plots.draw(program, into / f"{name}.svg")
    text = page(results, (HERE / "page.md").read_text(encoding="utf-8"))
    (into / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
