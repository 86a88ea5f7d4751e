"""How small a difference a number of prompts can show.

Reads counts and rates, returns the smallest difference a test would find, or the prompts it would take. Guarantees: the
power of paired labels is that of the very test `compare` runs, not of an approximation. Pure. The paper (arXiv
2505.15404, section 4) compares arms on 50 prompts; docs/statistics.md says what 50 can and can't show.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy import stats

from unwaver.intervals import ALPHA, POWER, normal_quantile
from unwaver.study.seeds import Floats


def needed_per_arm(rate_a: float, rate_b: float, power: float = POWER, alpha: float = ALPHA) -> int:
    """Prompts per arm to tell two rates apart, with other prompts in each arm (Fleiss 1981, without correction)."""
    if rate_a == rate_b:
        raise ValueError("equal rates are never told apart")
    middle = (rate_a + rate_b) / 2
    under_null = normal_quantile(1 - alpha) * math.sqrt(2 * middle * (1 - middle))
    under_other = normal_quantile(2 * power - 1) * math.sqrt(rate_a * (1 - rate_a) + rate_b * (1 - rate_b))
    return math.ceil(((under_null + under_other) / (rate_b - rate_a)) ** 2)


@lru_cache(maxsize=4096)
def smallest_detectable(
    n: int, base_rate: float, power: float = POWER, alpha: float = ALPHA, paired: float | None = None
) -> float | None:
    """The smallest difference of rates that n prompts show with this power, before any correction; None: none at all.

    Counted from `base_rate` towards one half, the side on which a difference is harder to show. `paired` is the
    correlation (phi) of the two arms' labels on the same prompts, and the test is then exact McNemar; None means other
    prompts in each arm, as in `needed_per_arm`. Precise to 0.0005.
    """
    base = min(base_rate, 1 - base_rate)

    def shown(difference: float) -> bool:
        if paired is None:
            return needed_per_arm(base, base + difference, power, alpha) <= n
        return _mcnemar_power(n, base, base + difference, paired, alpha) >= power

    low, high = 0.0, 1 - base
    if n < 1 or not shown(high):
        return None
    while high - low > 0.0005:
        middle = (low + high) / 2
        low, high = (low, middle) if shown(middle) else (middle, high)
    return high


def _mcnemar_power(n: int, rate_a: float, rate_b: float, phi: float, alpha: float) -> float:
    """The chance that exact McNemar on n pairs rejects: over how many pairs disagree, then over which way."""
    both = rate_a * rate_b + phi * math.sqrt(rate_a * (1 - rate_a) * rate_b * (1 - rate_b))
    both = min(max(both, 0.0, rate_a + rate_b - 1), rate_a, rate_b)
    disagree, down = rate_a + rate_b - 2 * both, rate_a - both
    count = np.arange(n + 1)
    likely = stats.binom.pmf(count, n, min(disagree, 1.0))
    kept = likely > 1e-9
    count, likely, limit = count[kept], likely[kept], _limits(n, alpha)[kept]
    share = min(max(down / disagree, 0.0), 1.0)
    rejects = stats.binom.cdf(limit, count, share) + stats.binom.cdf(limit, count, 1 - share)
    return float((likely * rejects).sum())


@lru_cache(maxsize=64)
def _limits(n: int, alpha: float) -> Floats:
    """For 0 to n discordant pairs, the largest minority that exact McNemar still rejects; -1 for none."""
    count = np.arange(n + 1)
    limit = stats.binom.ppf(alpha / 2, count, 0.5)
    return np.asarray(np.where(stats.binom.cdf(limit, count, 0.5) <= alpha / 2, limit, limit - 1), np.float64)
