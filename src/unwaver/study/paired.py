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
from unwaver.study.seeds import Floats, Level, Spread, grid, half_width, of_table, p_value
from unwaver.study.stats import Label, Score, finite, standard_error, t_quantile

RESAMPLES = 10_000
"""Bootstrap replicates: the Monte Carlo error of an interval's end is then about a fiftieth of its half-width."""

_CELLS = 100_000
"""Draws made at once: they stay in the processor's cache, three times as fast as two million."""


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
    spread: Spread | None
    """What the difference is unsure of; its error is 0 where nothing varies."""

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
        return Paired(0, left_out, *[None] * 6)
    low, high = percentiles(replicates(change[None, :], resamples, seed), change.size, level)
    error = standard_error(change)
    df = change.size - 1
    means = float(one.mean()), float(two.mean())
    spread = Spread(Level(error**2, max(1, df)), None, None)
    return Paired(change.size, left_out, *means, low, high, _t_test(change, error, df), spread)


def paired_over_seeds(
    a: Mapping[int, Mapping[str, Score]], b: Mapping[int, Mapping[str, Score]], level: float | None = LEVEL
) -> Paired:
    """Mean of b minus mean of a over training seeds and prompts (seed -> prompt id -> score).

    Prompts are paired, seeds are not: seed 1 of one arm has nothing in common with seed 1 of another. A prompt enters
    with the seeds it was scored under in either arm. The prompts' differences and either arm's seeds are levels of
    their own (`seeds`), each with its own t. An arm with one seed is taken as it stands, which is right for the student
    before training and too hopeful for a trained one. Without a level there is no interval, which takes most time.
    """
    every = {prompt for row in (*a.values(), *b.values()) for prompt in row}
    kept = sorted(every & _scored_in(a) & _scored_in(b))
    n, left_out = len(kept), len(every) - len(kept)
    one, two = (of_table(side, kept) for side in (a, b))
    if n < 2:
        return Paired(n, left_out, *[None] * 6)
    of_a, of_b = grid(one), grid(two)
    change = of_b.prompts - of_a.prompts
    parts = (None if len(x) < 2 else Level(float(g.seeds), len(x) - 1) for x, g in ((one, of_a), (two, of_b)))
    spread = Spread(Level(standard_error(change) ** 2, n - 1), *parts)
    means, value = (float(of_a.mean), float(of_b.mean)), float(change.mean())
    if spread.error == 0:
        return Paired(n, left_out, *means, None, None, _t_test(change, 0.0, n - 1.0), spread)
    p, half = p_value(value, spread), None if level is None else half_width(spread, level)
    if half is None:
        return Paired(n, left_out, *means, None, None, p, spread)
    return Paired(n, left_out, *means, value - half, value + half, p, spread)


def _scored_in(side: Mapping[int, Mapping[str, Score]]) -> set[str]:
    """The prompts scored under at least one seed."""
    return {prompt for row in side.values() for prompt, score in row.items() if score is not None}


def replicates(grid: Floats, resamples: int, seed: int) -> Floats:
    """Bootstrap means of a seeds x prompts grid, NaN where unscored; fewer where a draw met no scored item."""
    seeds, prompts = grid.shape
    random = np.random.default_rng(seed)
    weights = random.multinomial(max(seeds - 1, 1), np.full(seeds, 1 / seeds), resamples).astype(np.float64)
    present = np.isfinite(grid)
    filled, complete = np.where(present, grid, 0.0), bool(present.all())
    draws = max(prompts - 1, 1)
    means = []
    step = max(1, _CELLS // prompts)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = random.integers(0, prompts, (rows, draws))
        total = np.stack([row[drawn].sum(axis=1) for row in filled], axis=1)
        scored = (
            np.full_like(total, draws) if complete else np.stack([row[drawn].sum(axis=1) for row in present], axis=1)
        )
        of_seed = np.divide(total, scored, out=np.zeros_like(total), where=scored > 0)
        kept = weights[start : start + rows] * (scored > 0)
        heard = kept.sum(axis=1) > 0
        means.append((kept * of_seed).sum(axis=1)[heard] / kept.sum(axis=1)[heard])
    return np.concatenate(means)


def percentiles(means: Floats, n: int, level: float) -> tuple[float | None, float | None]:
    """The ends of a bootstrap interval, at the level that makes it as wide as a t interval on n items would be."""
    if n < 2 or np.ptp(means) <= 1e-12 * max(1.0, abs(float(means[0]))):
        return None, None
    tail = float(special.ndtr(-t_quantile(level, n - 1)))
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


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
