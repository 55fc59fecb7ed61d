# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tables of the page, as Markdown."""

import collections
from statistics import median

import measures
import verdicts
from results import AMOUNTS, DATA, DOWNTIME, ORDERS, PLACES, TIME
from runs import CONSTANTS
from verdicts import OVERHEAD, per_cent, shown

NONE = "Not measured."


def markdown(head, rows):
    """A table; the first column is words, the others as they are."""
    rows = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    if not rows:
        return NONE
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def with_spread(amount, values):
    values = [value / amount.per_unit for value in values if value is not None]
    if not values:
        return ""
    middle, least, most = map(shown, measures.spread(values))
    return f"{middle} ({least}..{most})"


def titles(*amounts):
    return [f"{amount.name}, {amount.unit}" for amount in amounts]


def claims(found):
    return markdown(
        ["figure", "claim", "rule", "measured", "verdict"],
        [[claim.where, claim.says, claim.rule,
          "; ".join(f"{case.name}: {case.figure}" if case.name else case.figure
                    for case in claim.cases) or "none", f"**{claim.verdict()}**"]
         for claim in found])


def overview(found):
    return markdown(["figure", "claim", "verdict"],
                    [[claim.where, claim.says, claim.verdict()] for claim in found])


def constants(results):
    if not results.learned:
        return "predicts with its default constants"
    learned = " and ".join(f"on {hypervisor} with constants learned from {count} migrations"
                           for hypervisor, count in sorted(results.learned.items()))
    return (f"predicts {learned}, none of those here ([{CONSTANTS}]({CONSTANTS})), elsewhere with "
            "its default constants")


def counts(results):
    """What there is, and how much of it is not done."""
    rows = collections.defaultdict(lambda: [set(), set(), 0, 0])
    for row in results.migrations:
        found = rows[f"{row['experiment']}, {row['hypervisor']}"]
        found[0].add(row["cell"])
        found[1].add(row["block"])
        found[2] += 1
        found[3] += row["state"] != "done"
    lines = [[name, len(cells), len(blocks), f"{count} migrations", bad]
             for name, (cells, blocks, count, bad) in sorted(rows.items())]
    for experiment in sorted({row["experiment"] for row in results.rates}):
        there = [row for row in results.rates if row["experiment"] == experiment]
        lines.append([experiment, len({row["cell"] for row in there}),
                      len({row["block"] for row in there}), f"{len(there)} rates",
                      sum(row["work_per_s"] is None for row in there)])
    return markdown(["experiment", "cells", "blocks", "rows", "not done"], lines)


def not_done(results):
    """Migrations that failed, runs that are not compared, and what guests complained of."""
    whole = results.whole()
    lines = [[row["experiment"], f"{row['block']:.0f}", row["cell"], row["vm"],
              "; ".join(filter(None, [row["state"] if row["state"] != "done" else "",
                                      row["faults"]]))]
             for row in results.migrations if row["state"] != "done" or row["faults"]]
    lines += [[experiment, f"{block:.0f}", cell, "the run", "not whole, not compared as a run"]
              for experiment, block, cell in results.runs(*PLACES, "orders")
              if (experiment, block, cell) not in whole]
    if not lines:
        return "Nothing."
    return markdown(["experiment", "block", "cell", "guest", "what"], lines)


def cells(rows):
    """Time, downtime, data and overhead of each cell."""
    found = collections.defaultdict(list)
    for row in rows:
        found[row["cell"]].append(row)
    amounts = (*AMOUNTS, OVERHEAD)
    return markdown(["cell", "n", *titles(*amounts), "rounds"],
                    [[cell, len(there),
                      *(with_spread(amount, [row[amount.measured] for row in there])
                        for amount in amounts),
                      with_spread(TIME, [row["rounds"] for row in there])]
                     for cell, there in sorted(found.items())])


def place(results, experiment):
    """The others, before and after the guest that works, beside the baseline."""
    def line(name, side):
        values = [side(amount) for amount in AMOUNTS]
        return [name, max(map(len, values)), *map(with_spread, AMOUNTS, values)]

    others = {amount: results.others(experiment, amount) for amount in AMOUNTS}
    lines = [line(f"{side} {PLACES[experiment]} at {where}",
                  lambda amount, key=(where, side): others[amount][key])
             for where, side in sorted(others[TIME])]
    if lines:
        first = line("idle guests without it", lambda amount: results.baseline(amount, 1))
        working = line(f"{PLACES[experiment]} itself", lambda amount: [
            row[amount.measured] for _, at, rows in results.placed(experiment) for row in rows
            if row["position"] == at])
        lines += [first, working]
    return markdown(["mean of idle guests", "n", *titles(*AMOUNTS)], lines)


def slowdowns(results):
    """Who slows whom: columns are slowed by rows."""
    found = results.slowdowns()
    kinds = sorted({kind for kind, _ in found})
    lines = [[f"beside {beside}", *(
        with_spread(OVERHEAD, found[kind, beside]) if (kind, beside) in found else ""
        for kind in kinds)] for beside in sorted({beside for _, beside in found})]
    if lines:
        largest = []
        for kind in kinds:
            left = {beside: [1 - s for s in values]
                    for (who, beside), values in found.items() if who == kind}
            largest.append(per_cent(verdicts.max_difference(left)[2]) if len(left) > 1 else "")
        lines.append(["max-difference", *largest])
    return markdown(["% slower", *kinds], lines)


def affinity(results):
    kinds = collections.defaultdict(list)
    for ratios in results.affinity().values():
        for (_, kind), ratio in ratios.items():
            kinds[kind].append(ratio - 1)
    return markdown(["kind", "n", "more work with learned affinities, %"],
                    [[kind, len(values), with_spread(OVERHEAD, values)]
                     for kind, values in sorted(kinds.items())])


WHATS = {"mean time": TIME, "total time": TIME, "mean downtime": DOWNTIME}


def orders(results):
    found = results.orders()
    return markdown(["order", "n", *(f"{what}, {amount.unit}" for what, amount in WHATS.items())],
                    [[order, len(found[order]),
                      *(with_spread(amount, [values[what] for values in found[order].values()])
                        for what, amount in WHATS.items())]
                     for order in ORDERS if order in found])


def comparisons(results):
    """Ratios and tests, and what tests of so few blocks can say."""
    found = verdicts.comparisons(results)
    adjusted = measures.holm([c.better for c in found])
    made = markdown(["informed against", "what", "blocks", "informed / it", "p that it is better",
                     "by Holm", "p that it is worse"],
                    [[c.order, c.what, len(c.ratios),
                      "{:.2f} ({:.2f}..{:.2f})".format(*measures.spread(c.ratios)),
                      f"{c.better:.3g}", f"{p:.3g}", f"{c.worse:.3g}"]
                     for c, p in zip(found, adjusted)])
    return made + "\n\n" + power(found) if found else NONE


def power(found):
    n = max(len(c.ratios) for c in found)
    needed = next(k for k in range(1, 64) if len(found) * measures.least_p(k) <= measures.ALPHA)
    least = min(1, len(found) * measures.least_p(n))
    text = (f"With {n} blocks no p of a sign-flip test is below 1/{2 ** n}, and with "
            f"{len(found)} comparisons no p by Holm is below {least:.3g}. ")
    if least > measures.ALPHA:
        text += (f"So the corrected test cannot find a better order here; that would take {needed} "
                 f"blocks. The verdict therefore goes by the uncorrected p.")
    return text


def predictions(results):
    return markdown(
        ["amount", "migrations", "n", "predicted / measured, median", "median error", "p90",
         "F", "allowed p90", "within"],
        [[p.amount.name, p.who, len(p.ratios), f"{median(p.ratios):.2f}", f"{100 * p.middle:.1f} %",
          f"{100 * p.p90:.1f} %", "" if p.repeats is None else f"{100 * p.repeats:.1f} %",
          f"{100 * p.allowed:.1f} %", "yes" if p.holds else "no"]
         for p in verdicts.predictions(results)])


def unpredicted(results):
    """What is done and cannot be held against a prediction."""
    done = [row for row in results.migrations if row["state"] == "done"]
    return "; ".join(
        f"{amount.name}: {sum(row[amount.predicted] is None for row in done)} not predicted, "
        f"{sum(not row[amount.measured] for row in done)} not measured"
        for amount in (TIME, DATA, DOWNTIME))
