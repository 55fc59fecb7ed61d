# SPDX-License-Identifier: LGPL-2.1-or-later
"""Statistics of what has been measured a few times.  No number here knows an experiment."""

import itertools
import math
from statistics import median

ALPHA = 0.05
ENOUGH = 3      # by chance, three values are apart from three others once in 20 times
MOST_DIFFERENCES = 20       # 2^20 sign patterns are a second


def quantile(values, q):
    """Linear between the ordered values, the least being the quantile 0, the largest 1."""
    ordered = sorted(values)
    at = q * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def p90(values):
    return quantile(values, 0.9)


def spread(values):
    """Median, least and largest: with five repetitions quartiles say no more."""
    return median(values), min(values), max(values)


def enough(groups):
    """Whether medians and spreads of all of them may be compared."""
    return all(len(values) >= ENOUGH for values in groups)


def apart(below, above):
    """All of the first are less than all of the second."""
    return max(below) < min(above)


def repetition_errors(groups):
    """|x / median of the other repetitions - 1| of every x, over groups of at least three
    repetitions of the same thing.

    F, the error with which a migration repeats itself, is the ninth decile of these.  Who has
    seen all other repetitions would predict their median, so this is the error of the best
    prediction that knows nothing but the past; the one that is predicted is not among them, or
    it would be compared with itself.
    """
    return [abs(x / median(values[:i] + values[i + 1:]) - 1)
            for values in groups if len(values) >= 3
            for i, x in enumerate(values)]


def sign_flip(differences):
    """One-sided p of the exact sign-flip test that differences are above 0: the share of all 2^n
    ways to choose their signs whose sum is at least the one seen, which is one of them."""
    if len(differences) > MOST_DIFFERENCES:
        raise ValueError(f"{len(differences)} differences are too many for all sign patterns")
    seen = math.fsum(differences)
    rounding = 1e-9 * math.fsum(map(abs, differences))
    patterns = itertools.product((1, -1), repeat=len(differences))
    reached = sum(math.fsum(sign * d for sign, d in zip(pattern, differences)) >= seen - rounding
                  for pattern in patterns)
    return reached / 2 ** len(differences)


def least_p(n):
    """What no sign-flip test of n differences can be below."""
    return 0.5 ** n


def shown(differences):
    """Whether they are above 0 at ALPHA; None where so few can show nothing."""
    if least_p(len(differences)) > ALPHA:
        return None
    return sign_flip(differences) <= ALPHA


def holm(ps):
    """Holm's adjusted p, in the sequence given."""
    adjusted, least = [0.0] * len(ps), 0.0
    for rank, i in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        least = max(least, min(1.0, (len(ps) - rank) * ps[i]))
        adjusted[i] = least
    return adjusted


def tau(values):
    """Kendall's tau of the values with their sequence: 1 where each is above all before it."""
    signs = [(b > a) - (b < a) for a, b in itertools.combinations(values, 2)]
    return sum(signs) / len(signs)
