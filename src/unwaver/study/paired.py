"""The arithmetic of two arms on the same prompts: tests, intervals, effect sizes, and the correction for a family.

Reads two tables of labels or scores by prompt id (None: unscored), returns numbers. Guarantees: the unit of pairing is
the prompt id; a prompt without a score in both arms is left out and counted; the order of the input never matters; an
interval that nothing varied to make is None. Pure: a seed is an argument. Ours, not the paper's: docs/statistics.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from unwaver.intervals import LEVEL, Interval, wilson
from unwaver.study.stats import (
    RESAMPLES,
    Floats,
    Label,
    Score,
    finite,
    percentiles,
    replicates,
    standard_error,
    t_quantile,
)


@dataclass(frozen=True)
class McNemar:
    """Exact McNemar test of paired labels."""

    n_pairs: int
    n_left_out: int
    only_a: int
    """Pairs in which a alone is True."""
    only_b: int
    p: float | None
    """Two-sided binomial p over the discordant pairs; 1 when there is none, None without a pair."""


@dataclass(frozen=True)
class Paired:
    """Paired means; None without a pair."""

    n_pairs: int
    n_left_out: int
    mean_a: float | None
    mean_b: float | None
    low: float | None
    high: float | None
    p: float | None
    error: float | None
    """Standard error of the difference; 0 where nothing varies."""
    df: float | None
    """Its degrees of freedom."""

    @property
    def difference(self) -> float | None:
        """Mean of b minus mean of a."""
        return None if self.mean_a is None or self.mean_b is None else self.mean_b - self.mean_a


def pairs(a: Mapping[str, Score], b: Mapping[str, Score]) -> tuple[Floats, Floats, int]:
    """Both arms' scores in the order of the ids scored in both, and how many ids were left out."""
    both = sorted(k for k in a.keys() & b.keys() if a[k] is not None and b[k] is not None)
    one, two = ({k: float(side[k] or 0) for k in both} for side in (a, b))
    finite(one)
    finite(two)
    left_out = len(a.keys() | b.keys()) - len(both)
    return np.array(list(one.values()), np.float64), np.array(list(two.values()), np.float64), left_out


def labels(a: Mapping[str, Label], b: Mapping[str, Label]) -> tuple[Floats, Floats, int]:
    """`pairs` of labels, True as 1."""
    one, two, left_out = pairs(a, b)
    if not np.isin(np.concatenate([one, two]), (0, 1)).all():
        raise ValueError("labels are True, False or None; compare scores as means")
    return one, two, left_out


def mcnemar_exact(a: Mapping[str, Label], b: Mapping[str, Label]) -> McNemar:
    """Whether two arms' rates on the same prompts differ (McNemar 1947, with the binomial distribution itself)."""
    one, two, left_out = labels(a, b)
    only_a, only_b = int((one > two).sum()), int((two > one).sum())
    p = None
    if one.size:
        discordant = only_a + only_b
        p = float(stats.binomtest(only_a, discordant, 0.5).pvalue) if discordant else 1.0
    return McNemar(one.size, left_out, only_a, only_b, p)


def risk_difference(a: Mapping[str, Label], b: Mapping[str, Label], level: float = LEVEL) -> Interval:
    """Rate of b minus rate of a, with Newcombe's interval for paired rates (1998, method 10).

    Wilson's ends of each rate, added in quadrature with the correlation of the pairs: it has a width at 0 of 50 against
    0 of 50, where a bootstrap has none. `n` counts pairs.
    """
    one, two, _ = labels(a, b)
    n = int(one.size)
    if n == 0:
        return Interval(None, None, None, 0)
    phi = correlation(one, two, correction=n / 2)
    (below_a, above_a), (below_b, above_b) = (_reach(side, level) for side in (one, two))
    difference = float(two.mean() - one.mean())
    low = difference - _added(below_b, above_a, phi)
    high = difference + _added(above_b, below_a, phi)
    return Interval(difference, max(low, -1.0), min(high, 1.0), n)


def _added(one: float, two: float, phi: float) -> float:
    """Two distances added in quadrature; rounding may bring the sum a hair below 0."""
    return math.sqrt(max(0.0, one**2 - 2 * phi * one * two + two**2))


def _reach(side: Floats, level: float) -> tuple[float, float]:
    """How far Wilson's interval reaches below and above the rate."""
    found = wilson(int(side.sum()), side.size, level)
    rate, low, high = found.value or 0.0, found.low or 0.0, found.high or 0.0
    return rate - low, high - rate


def correlation(one: Floats, two: Floats, correction: float = 0.0) -> float:
    """Phi of paired labels; 0 where an arm has one label only. A positive phi is shrunk by Newcombe's correction."""
    n, both, of_a, of_b = one.size, float((one * two).sum()), float(one.sum()), float(two.sum())
    scale = math.sqrt(of_a * (n - of_a) * of_b * (n - of_b))
    product = n * both - of_a * of_b
    return (product if product < 0 else max(0.0, product - correction)) / scale if scale else 0.0


def cohens_h(rate_a: float, rate_b: float) -> float:
    """Difference of the rates' arcsines, b minus a: 0.2 small, 0.5 medium, 0.8 large (Cohen 1988, section 6.2)."""
    return 2 * math.asin(math.sqrt(rate_b)) - 2 * math.asin(math.sqrt(rate_a))


def paired_bootstrap(
    a: Mapping[str, Score], b: Mapping[str, Score], resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL
) -> Paired:
    """Mean of b minus mean of a: the interval by resampling prompts, p by the paired t test.

    The bootstrap gives the ends because scores are skewed; p comes from t because a resampled p can't be smaller than
    1 in `resamples`, which a correction for many comparisons would turn into never. A prompt sampled several times
    enters with its mean: `stats.by_prompt`.
    """
    one, two, left_out = pairs(a, b)
    change = two - one
    if change.size == 0:
        return Paired(0, left_out, *[None] * 7)
    low, high = percentiles(replicates(change[None, :], resamples, seed), change.size, level)
    error = standard_error(change)
    df = change.size - 1.0
    means = float(one.mean()), float(two.mean())
    return Paired(change.size, left_out, *means, low, high, _t_test(change, error, df), error, df)


def paired_over_seeds(
    a: Mapping[int, Mapping[str, Score]], b: Mapping[int, Mapping[str, Score]], level: float = LEVEL
) -> Paired:
    """Mean of b minus mean of a over training seeds and prompts (seed -> prompt id -> score).

    Prompts are paired, seeds are not: seed 1 of one arm has nothing in common with seed 1 of another. The variance is
    that of the prompts' differences plus those of either arm's seeds minus what was counted in both (Cameron, Gelbach
    and Miller 2011), with t at Satterthwaite's degrees of freedom. An arm with one seed is taken as it stands, which is
    right for the student before training and too hopeful for a trained one. Only prompts scored under every seed of
    both arms enter.
    """
    rows = [*a.values(), *b.values()]
    if not a or not b or max(len(a), len(b)) < 2:
        raise ValueError("a comparison over seeds needs two seeds or more in one arm, and one in the other")
    every = {prompt for row in rows for prompt in row}
    kept = sorted(prompt for prompt in every if all(row.get(prompt) is not None for row in rows))
    n, left_out = len(kept), len(every) - len(kept)
    if n < 2:
        return Paired(n, left_out, *[None] * 7)
    one, two = (np.array([[side[s][p] for p in kept] for s in sorted(side)], np.float64) for side in (a, b))
    if not (np.isfinite(one).all() and np.isfinite(two).all()):
        raise ValueError("a score is NaN or infinite; what could not be scored is None")
    change = two.mean(axis=0) - one.mean(axis=0)
    of_prompts = standard_error(change) ** 2
    of_seeds = [standard_error(side.mean(axis=1)) ** 2 for side in (one, two)]
    total = of_prompts + sum(of_seeds)
    error = math.sqrt(max(total - sum(map(_twice_counted, (one, two))), of_prompts, sum(of_seeds)))
    means, value = (float(one.mean()), float(two.mean())), float(change.mean())
    if error == 0:
        return Paired(n, left_out, *means, None, None, _t_test(change, 0.0, n - 1.0), 0.0, n - 1.0)
    parts = [(of_prompts, n), *zip(of_seeds, (len(a), len(b)), strict=True)]
    df = total**2 / sum(part**2 / (count - 1) for part, count in parts if part > 0)
    half = t_quantile(level, df) * error
    return Paired(n, left_out, *means, value - half, value + half, _t_test(change, error, df), error, df)


def _twice_counted(grid: Floats) -> float:
    """The part of a seeds x prompts mean's variance that is neither the seeds' nor the prompts'."""
    seeds, prompts = grid.shape
    if seeds < 2:
        return 0.0
    rest = grid - grid.mean(axis=0) - grid.mean(axis=1)[:, None] + grid.mean()
    return float((rest**2).sum() / ((seeds - 1) * (prompts - 1) * seeds * prompts))


def _t_test(change: Floats, error: float, df: float) -> float:
    """Two-sided p. Where every prompt changed alike t says nothing: then that of the signs, 2 to the 1 - n."""
    value = float(change.mean())
    if error == 0:
        return 1.0 if abs(value) < 1e-12 else min(1.0, math.ldexp(1.0, 1 - change.size))
    return float(2 * special.stdtr(df, -abs(value) / error))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's (1979) step-down correction over a family, in the order given; None (no test) stays and doesn't count."""
    # statsmodels' multipletests agrees but collects garbage at every call: a second, with a study in memory.
    tested = np.array([p for p in p_values if p is not None], np.float64)
    order = np.argsort(tested)
    steps = np.maximum.accumulate(tested[order] * np.arange(tested.size, 0, -1)).clip(max=1.0)
    adjusted = iter(steps[np.argsort(order)].tolist())
    return [None if p is None else float(next(adjusted)) for p in p_values]
