"""The interval of a rate, for every room that prints one (no figure without its n and interval). Pure.

Everything else of statistics is in `study/stats.py`, which builds on this.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

LEVEL = 0.95
"""Level of every interval in this package."""

ALPHA = 0.05
"""A difference is spoken of when its p, corrected for its family, is no larger."""

POWER = 0.8
"""How often a difference of the size called detectable would be found (Cohen 1988's convention)."""


@dataclass(frozen=True)
class Interval:
    """A value and the ends of its interval; None where nothing was scored, or nothing varied to make an interval of."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    """Scored items."""


def normal_quantile(level: float) -> float:
    """The z of a two-sided interval: 1.96 at 0.95."""
    return NormalDist().inv_cdf(0.5 + level / 2)


def wilson(successes: int, n: int, level: float = LEVEL) -> Interval:
    """A rate with its Wilson score interval (Wilson 1927); all None when n is 0."""
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}")
    if n == 0:
        return Interval(None, None, None, 0)
    low, high = score_ends(successes / n, n, normal_quantile(level))
    return Interval(successes / n, low, high, n)


def score_ends(rate: float, n: float, quantile: float) -> tuple[float, float]:
    """Both ends of the score interval of a rate on n items, which need not be whole (an effective sample size)."""
    square = quantile**2 / n
    centre = (rate + square / 2) / (1 + square)
    half = math.sqrt(square * (rate * (1 - rate) + square / 4)) / (1 + square)
    return (0.0 if rate == 0 else max(0.0, centre - half)), (1.0 if rate == 1 else min(1.0, centre + half))


def bounded_ends(rate: float, half: float) -> tuple[float, float]:
    """Both ends of the score interval of a rate strictly between 0 and 1 whose plain interval reaches `half` each way.

    The same as `score_ends` on as many items as would make the plain interval so wide; it never leaves [0, 1].
    """
    return score_ends(rate, rate * (1 - rate), half)
