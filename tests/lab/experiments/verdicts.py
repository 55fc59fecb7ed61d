# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the paper claims, the rule by which a measurement agrees with it, and the verdict.

The rules were written before what they judge was measured.  A claim is a list of cases, each of
which is so, is not so, or has not been measured; the verdict follows from them alone.
"""

import itertools
import math
import typing
from statistics import geometric_mean, median

import measures
from results import AMOUNTS, DATA, DOWNTIME, ORDERS, PLACES, TIME

ALIKE = ("1, but for "
         + ", ".join(f"{100 * a.allowed:.0f} % in {a.name}" for a in AMOUNTS))
WORTH_SAYING = 0.10     # slowdowns below are none
WHOLE_CORE = ("cpu", "memory-dirty")    # that want one, as all workloads of the paper's Table 2
TEST = f"exact one-sided sign-flip test over blocks, p <= {measures.ALPHA}"


class Case(typing.NamedTuple):
    name: str
    figure: str
    holds: bool | None


class Claim(typing.NamedTuple):
    where: str
    says: str
    rule: str
    cases: list

    def verdict(self):
        known = [case for case in self.cases if case.holds is not None]
        good = [case.name for case in known if case.holds]
        missing = [case.name for case in self.cases if case.holds is None and case.name]
        if not known:
            return "not measured"
        if not good:
            words = "does not hold here"
        elif len(good) == len(known):
            words = "holds"
        else:
            words = f"holds under the condition: {', '.join(good)}"
        return words + (f" (not measured: {', '.join(missing)})" if missing else "")


def shown(value):
    """Three digits, at most two of them decimals, and no powers of ten."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{round(value, 2):.3g}"


def per_cent(value):
    return f"{100 * value:.0f} %"


def in_unit(amount, value):
    return f"{shown(value / amount.per_unit)} {amount.unit}"


def p_value(differences):
    if not differences:
        return "no blocks"
    if measures.shown(differences) is None:
        return f"n = {len(differences)}, too few"
    return f"p = {measures.sign_flip(differences):.2g}"


def higher(name, pairs, amount):
    """Case: of (lower, higher) by block, the second is higher."""
    differences = [high - low for low, high in pairs]
    figure = p_value(differences)
    if pairs:
        low, high = (in_unit(amount, median(values)) for values in zip(*pairs))
        figure = f"{low} -> {high}, {figure}"
    return Case(name, figure, measures.shown(differences))


def alike(amount, ratios):
    """Case: the median of ratios is 1, by and large."""
    if not ratios:
        return Case(amount.name, "none", None)
    return judged(amount.name, f"x {median(ratios):.2f}",
                  abs(median(ratios) - 1) <= amount.allowed, ratios)


# ---- one guest migrates alone ----

def lines(rows, amount, along):
    """(name, sizes, values at each) along the memory size (0) or the dirty size (1), where all else
    is the same."""
    found = {}
    for row in rows:
        sizes = row["memory_mb"], row["size_mb"]
        rest = sizes[1 - along], row["rate_mb"], row["pattern"]
        found.setdefault(rest, {}).setdefault(sizes[along], []).append(row[amount.measured])
    found = {rest: sorted(values.items()) for rest, values in sorted(found.items())
             if len(values) > 1}
    several = len({rest[1:] for rest in found}) > 1
    for (fixed, rate, pattern), values in found.items():
        name = f"{('dirty', 'memory')[along]} {shown(fixed)} MB"
        if several:
            name += f", {shown(rate)} MB/s {pattern}"
        yield name, *zip(*values)


def rises(series):
    """Medians that rise from one to the next, and ends whose spreads do not overlap."""
    middle = [median(values) for values in series]
    return (all(a < b for a, b in itertools.pairwise(middle))
            and measures.apart(series[0], series[-1]))


def judged(name, figure, holds, *groups):
    """A case, which too few repetitions leave open."""
    if not measures.enough(groups):
        return Case(name, f"{figure}, n = {min(map(len, groups))}, too few", None)
    return Case(name, figure, holds)


def exponent(sizes, series):
    """e of value ~ size^e between the ends; 1 is in proportion."""
    return (math.log(median(series[-1]) / median(series[0]))
            / math.log(sizes[-1] / sizes[0]))


def ends(amount, series):
    return f"{in_unit(amount, median(series[0]))} -> {in_unit(amount, median(series[-1]))}"


def figure_1(rows, where="Fig. 1"):
    """Of memory-dirty guests that differ in memory and dirty size."""
    rule = "medians rise at each step, and the spreads at both ends do not overlap"
    for along, what in ((0, "memory size"), (1, "dirty size")):
        yield Claim(where, f"The migration time grows with the {what}.", rule,
                    [judged(name, ends(TIME, series), rises(series), *series)
                     for name, _, series in lines(rows, TIME, along)])
    yield Claim(where, "The downtime is proportional to the dirty size.",
                f"the downtime rises ({rule}) at least with the power 0.75 of the dirty size",
                [judged(name, f"{ends(DOWNTIME, series)}, power {exponent(sizes, series):.2f}",
                        rises(series) and exponent(sizes, series) >= 0.75, *series)
                 for name, sizes, series in lines(rows, DOWNTIME, 1)])
    yield Claim(where, "The downtime is unrelated to the memory size.",
                "the medians at the least and the largest memory size differ by at most "
                f"{per_cent(DOWNTIME.allowed)}",
                [judged(name, ends(DOWNTIME, series),
                        abs(median(series[-1]) / median(series[0]) - 1) <= DOWNTIME.allowed,
                        *series)
                 for name, _, series in lines(rows, DOWNTIME, 0)])


def by_block(results, column, low, high):
    """[(of one kind, of the other)] in the same blocks of Table 1."""
    below, above = ({row["block"]: row[column] for row in results.of("table-1", kind=kind)
                     if row[column] is not None} for kind in (low, high))
    return [(below[block], above[block]) for block in sorted(below.keys() & above.keys())]


OVERHEAD = TIME._replace(name="overhead", unit="%", per_unit=0.01, measured="overhead")


def table_1(results):
    def best(amount, kind, choose):
        values = {}
        for row in results.of("table-1"):
            if row["kind"] != "idle" and row[amount.measured] is not None:
                values.setdefault(row["kind"], []).append(row[amount.measured])
        if kind not in values or len(values) < 2:
            return Case(amount.name, "none", None)
        found = {one: median(values[one]) for one in sorted(values)}
        first = choose(found, key=found.get)
        return judged(amount.name, f"{kind} {in_unit(amount, found[kind])}"
                      + (f", {first} {in_unit(amount, found[first])}" if first != kind else ""),
                      first == kind, *values.values())

    yield Claim("Table 1", "CPU workloads have the least time, downtime and overhead.",
                "the median of cpu is the least of all kinds but idle",
                [best(amount, "cpu", min) for amount in (TIME, DOWNTIME, OVERHEAD)])
    yield Claim("Table 1", "The disk workload migrates longest.",
                "its median time is the largest of all kinds", [best(TIME, "disk-io", max)])
    for kind, says in (("memory-dirty", "Many memory accesses"),
                       ("web-server", "A network workload")):
        yield Claim("Table 1", f"{says}: longer migration, more overhead than CPU work.",
                    f"{kind} has more than cpu in the same block; {TEST}",
                    [higher(amount.name, by_block(results, amount.measured, "cpu", kind), amount)
                     for amount in (TIME, OVERHEAD)])


# ---- guests beside each other ----

def max_difference(left):
    """The neighbours with the least and the most work left, and (max - min) / max of the running
    time, as in the last row of the paper's Table 2."""
    slow, fast = (choose(left, key=lambda beside: median(left[beside])) for choose in (min, max))
    return slow, fast, 1 - median(left[slow]) / median(left[fast])


def table_2(results):
    found = results.slowdowns()

    def difference(kind):
        left = {beside: [1 - s for s in found[kind, beside]] for beside in WHOLE_CORE
                if (kind, beside) in found}
        if len(left) < 2:
            return Case(kind, "none", None)
        slow, fast, size = max_difference(left)
        return judged(kind, f"{per_cent(size)} ({slow} against {fast})",
                      size >= WORTH_SAYING and measures.apart(left[slow], left[fast]),
                      *left.values())

    def beside(kind, other, slower):
        values = found.get((kind, other), [])
        name = f"{kind} beside {other}"
        if not values:
            return Case(name, "none", None)
        figure = f"{per_cent(median(values))} slower"
        if not slower:
            return judged(name, figure, abs(median(values)) < WORTH_SAYING, values)
        proven = measures.shown(values)
        return Case(name, f"{figure}, {p_value(values)}",
                    proven and median(values) >= WORTH_SAYING)

    yield Claim("Table 2, Fig. 2 (a)", "Which neighbour a workload gets matters, by up to 37.5 %.",
                "running times beside the worst and the best of the neighbours that want a whole "
                f"core differ by at least {per_cent(WORTH_SAYING)} of the longer one, and their "
                "spreads do not overlap",
                [difference(kind) for kind in WHOLE_CORE])
    yield Claim("Fig. 3", "Two disk workloads beside each other slow each other down.",
                f"at least {per_cent(WORTH_SAYING)} slower than alone; {TEST}",
                [beside("disk-io", "disk-io", True)])
    yield Claim("Fig. 3", "A disk and a CPU workload work well beside each other.",
                f"less than {per_cent(WORTH_SAYING)} slower than alone",
                [beside("disk-io", "cpu", False), beside("cpu", "disk-io", False)])


def affinity(results):
    blocks = results.affinity()
    gains = [geometric_mean(ratios.values()) - 1 for _, ratios in sorted(blocks.items())]
    figure = f"{per_cent(median(gains))} more work, {p_value(gains)}" if gains else "none"
    yield Claim("3.2", "Guests get more done where hosts are chosen by affinity.",
                "work a second with learned affinities in relation to that without, geometric "
                f"mean of all guests; {TEST}", [Case("", figure, measures.shown(gains))])


# ---- the sequence ----

def places(results):
    def side(where, experiment, first, amounts, says):
        """Guests on the one side of the workload take longer than those on the other."""
        order = slice(None, None, -1) if first == "before" else slice(None)
        other = "after" if first == "before" else "before"
        return Claim(where, says, f"idle guests {first} it against those {other} it, at the same "
                     f"positions of the sequence; {TEST}",
                     [higher(amount.name, [pair[order] for pair
                                           in results.before_and_after(experiment, amount)],
                             amount) for amount in amounts])

    yield side("Fig. 4 (a)", "figure-4", "before", [TIME],
               "Guests that migrate before a memory-dirty one take longer than those after it.")
    yield Claim("Fig. 4 (a)", "Guests that migrate after a memory-dirty one are not affected.",
                f"median over blocks of the ratio to idle guests without it: {ALIKE}",
                [alike(TIME, results.after_beside_baseline("figure-4", TIME))])
    yield Claim("Fig. 4 (b, c)", "It affects neither data nor downtime of the others.",
                "median over blocks of the ratio of guests before it to those after it, at the "
                f"same positions: {ALIKE}",
                [alike(amount, [before / after for before, after
                                in results.before_and_after("figure-4", amount)])
                 for amount in (DATA, DOWNTIME)])
    yield side("Fig. 5 (a)", "figure-5", "after", [TIME],
               "Guests that migrate after a receiving one take longer than those before it.")
    yield side("Fig. 5 (b)", "figure-5", "before", [DOWNTIME],
               "Guests that migrate before a receiving one have a longer downtime.")
    yield side("Fig. 6", "figure-6", "before", [TIME, DOWNTIME],
               "Guests that migrate before a web server take longer and have a longer downtime.")
    for experiment, says, directions in (
            ("figure-4", "The later a memory-dirty guest migrates, the longer is the mean time.",
             [(TIME, 1)]),
            ("figure-5", "The later a receiving guest migrates, the shorter is the mean time, and "
             "the longer the mean downtime.", [(TIME, -1), (DOWNTIME, 1)]),
            ("figure-6", "The later a web server migrates, the longer are mean time and downtime.",
             [(TIME, 1), (DOWNTIME, 1)])):
        yield Claim(f"3.3, {PLACES[experiment]}", says,
                    "Kendall's tau of the mean of the whole sequence with the place, in each "
                    f"block; {TEST}",
                    [trend(results, experiment, amount, sign) for amount, sign in directions])


def trend(results, experiment, amount, sign):
    taus = [measures.tau(means) for means in results.means_by_place(experiment, amount)]
    figure = f"tau {median(taus):+.2f}, {p_value([sign * t for t in taus])}" if taus else "none"
    return Case(amount.name, figure, measures.shown([sign * t for t in taus]))


class Comparison(typing.NamedTuple):
    """Informed against another order; by how much it is shorter, in the same blocks."""
    order: str
    what: str
    ratios: list        # informed / order
    differences: list   # order - informed
    better: float       # p that the order is better than informed
    worse: float        # p that it is worse


def comparisons(results):
    orders = results.orders()
    found = []
    for order in ORDERS[1:]:
        blocks = sorted(orders["informed"].keys() & orders[order].keys())
        for what in ("mean time", "total time", "mean downtime") if blocks else ():
            pairs = [(orders["informed"][block][what], orders[order][block][what])
                     for block in blocks]
            differences = [theirs - ours for ours, theirs in pairs]
            found.append(Comparison(order, what, [ours / theirs for ours, theirs in pairs],
                                    differences, measures.sign_flip([-d for d in differences]),
                                    measures.sign_flip(differences)))
    return found


def order_claims(results):
    found = comparisons(results)

    def case(order, what):
        one = next((c for c in found if (c.order, c.what) == (order, what)), None)
        if one is None:
            return Case(f"{what} against {order}", "none", None)
        return Case(f"{what} against {order}",
                    f"x {median(one.ratios):.2f}, {p_value(one.differences)}",
                    measures.shown(one.differences))

    yield Claim("3.3, 3.4", "An informed sequence is shorter than one that is not informed.",
                f"informed against random and reverse, in the same blocks; {TEST}",
                [case(order, what) for order in ("random", "reverse")
                 for what in ("mean time", "total time", "mean downtime")])
    yield Claim("libimig", "No other order is better than informed.",
                "none that the uncorrected test takes for better, p <= "
                f"{measures.ALPHA}: the corrected one may be unable to",
                [Case(order, "; ".join(f"{c.what} p = {c.better:.2g}" for c in theirs) or "none",
                      all(c.better > measures.ALPHA for c in theirs)
                      if theirs and measures.shown(theirs[0].differences) is not None else None)
                 for order in ORDERS[1:]
                 for theirs in [[c for c in found if c.order == order]]])


# ---- predictions ----

class Prediction(typing.NamedTuple):
    amount: typing.Any
    who: str
    ratios: list        # predicted / measured
    middle: float       # median error
    p90: float
    repeats: float | None       # F
    allowed: float

    @property
    def holds(self):
        return self.p90 <= self.allowed


def prediction(results, amount, who, rows):
    ratios = [row[amount.predicted] / row[amount.measured] for row in rows
              if row["state"] == "done" and row[amount.predicted] is not None
              and row[amount.measured]]
    if not ratios:
        return None
    errors = [abs(ratio - 1) for ratio in ratios]
    repeats = measures.repetition_errors(results.same(amount, rows))
    f = measures.p90(repeats) if repeats else None
    return Prediction(amount, who, ratios, median(errors), measures.p90(errors), f,
                      max(amount.allowed, 1.5 * (f or 0)))


def predictions(results):
    """Of all migrations, then of those of each hypervisor, experiment and kind, each beside its
    own F."""
    rows = results.migrations
    groups = [("all", rows)]
    for column in ("hypervisor", "experiment", "kind"):
        values = sorted({row[column] for row in rows})
        if len(values) > 1:
            groups += [(f"{column} {value}", [row for row in rows if row[column] == value])
                       for value in values]
    return [found for amount in AMOUNTS for who, there in groups
            if (found := prediction(results, amount, who, there))]


def prediction_claims(results):
    found = {p.amount.name: p for p in predictions(results) if p.who == "all"}
    yield Claim("libimig", "Predictions are about as good as the past could make them.",
                "ninth decile of |predicted / measured - 1| at most 1.5 F, or "
                + ", ".join(f"{per_cent(a.allowed)} ({a.name})" for a in AMOUNTS),
                [judged(amount.name, f"{per_cent(p.p90)}, allowed {per_cent(p.allowed)}", p.holds,
                        p.ratios)
                 if (p := found.get(amount.name)) else Case(amount.name, "none", None)
                 for amount in AMOUNTS])
