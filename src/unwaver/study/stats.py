"""One arm's numbers: a rate or a mean with the interval it deserves, as an `Estimate`.

Reads labels and scores by prompt id (None: unscored), returns numbers. Guarantees: the unscored are in no rate and are
counted; the unit is the prompt, however often it was sampled; the order of the input never matters; where there is
nothing to make a number or an interval of, it is None, never 0. Pure: a seed is an argument. The paper (arXiv
2505.15404, section 4) reports bare percentages of one run; everything here is ours, and docs/statistics.md gives the
reasons and the figures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray
from scipy import special

from unwaver.intervals import LEVEL, Interval, normal_quantile, score_ends
from unwaver.records import Estimate

Floats = NDArray[np.float64]
Label = bool | None
Score = float | None

ALPHA = 0.05
"""A difference is spoken of when its p, corrected for its family, is no larger."""

RESAMPLES = 10_000
"""Bootstrap replicates: the Monte Carlo error of an interval's end is then about a fiftieth of its half-width."""

_CELLS = 100_000
"""Draws made at once: they stay in the processor's cache, three times as fast as two million."""


@dataclass(frozen=True)
class Seeds:
    """A value over several training seeds."""

    value: float | None
    """The mean over seeds of each seed's own mean: a seed counts once, however many of its items were scored."""
    low: float | None
    high: float | None
    n: int
    """Scored items, prompts times seeds."""
    n_prompts: int
    """Prompts scored under at least one seed."""
    by_seed: Mapping[int, float]
    """Each seed's own mean; a seed with nothing scored is left out."""

    @property
    def spread(self) -> float | None:
        """Standard deviation of the seeds' means (n - 1); None below two seeds."""
        return float(np.std(list(self.by_seed.values()), ddof=1)) if len(self.by_seed) > 1 else None


def t_quantile(level: float, df: float) -> float:
    """The t of a two-sided interval with `df` degrees of freedom."""
    return float(special.stdtrit(df, 0.5 + level / 2))


def clustered_rate(values: Mapping[str, Sequence[Score]], level: float = LEVEL) -> Interval:
    """A rate over prompts that were sampled several times: the mean of the prompts' own rates.

    Samples are labels, or scores in [0, 1]. Wilson's interval on the effective sample size: the number of independent
    samples that would vary as much as these prompts' rates do, never more than there are, widened by t for few prompts
    (Korn and Graubard 1998). It stays in [0, 1], has a width when all samples agree (then a prompt counts as one), and
    with one sample a prompt it is Wilson's own. `n` counts samples.
    """
    rates = _prompt_means(values)
    samples, prompts = sum(_scored(row) for row in values.values()), len(rates)
    if prompts == 0:
        return Interval(None, None, None, 0)
    if rates.min() < 0 or rates.max() > 1:
        raise ValueError("a rate is made of labels, or of scores between 0 and 1")
    rate = float(rates.mean())
    effective = float(prompts)
    if 0 < rate < 1 and prompts > 1:
        variance = float(rates.var()) / prompts
        alike = rate * (1 - rate) / samples
        effective = samples * alike / max(variance, alike)
        effective *= (t_quantile(level, samples - 1) / t_quantile(level, prompts - 1)) ** 2
    low, high = score_ends(rate, effective, normal_quantile(level))
    return Interval(rate, low, high, samples)


def clustered_mean(values: Mapping[str, Sequence[Score]], level: float = LEVEL) -> Interval:
    """A mean over prompts sampled once or more: the mean of the prompts' own means, with the cluster-robust t interval.

    Degrees of freedom: prompts - 1. No interval below two prompts or where all prompts have the same mean.
    """
    means = _prompt_means(values)
    samples = sum(_scored(row) for row in values.values())
    if means.size == 0:
        return Interval(None, None, None, 0)
    value, error = float(means.mean()), standard_error(means)
    if error == 0:
        return Interval(value, None, None, samples)
    half = t_quantile(level, means.size - 1) * error
    return Interval(value, value - half, value + half, samples)


def standard_error(values: Floats) -> float:
    """Standard error of a mean; exactly 0 where all values are the same but for rounding, or there is one."""
    if values.size < 2 or np.ptp(values) <= 1e-12 * max(1.0, float(np.abs(values).max())):
        return 0.0
    return float(values.std(ddof=1) / math.sqrt(values.size))


def hierarchical_bootstrap(
    values: Mapping[int, Mapping[str, Score]], resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL
) -> Seeds:
    """A mean over seeds and prompts (seed -> prompt id -> score), both taken as samples of more.

    Each replicate draws seeds, then prompts, the same prompts for every drawn seed since each seed met the same ones.
    One fewer is drawn than there are, of seeds where there are two or more and of prompts, so that the variance is
    unbiased (Rao and Wu 1988); percentiles are taken at the t level of the number of prompts (Hesterberg 2015). No
    interval where nothing varies.
    """
    rows = {number: {p: s for p, s in row.items() if s is not None} for number, row in sorted(values.items())}
    rows = {number: row for number, row in rows.items() if row}
    prompts = sorted({prompt for row in rows.values() for prompt in row})
    if not rows:
        return Seeds(None, None, None, 0, 0, {})
    by_seed = {number: math.fsum(row.values()) / len(row) for number, row in rows.items()}
    finite(by_seed)
    grid = np.array([[row.get(prompt, math.nan) for prompt in prompts] for row in rows.values()], dtype=np.float64)
    low, high = percentiles(replicates(grid, resamples, seed), len(prompts), level)
    value = float(np.mean(list(by_seed.values())))
    return Seeds(value, low, high, int(np.isfinite(grid).sum()), len(prompts), by_seed)


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


class Of(TypedDict, total=False):
    """What else an estimate says of itself: see the fields of `Estimate`."""

    n_truncated: int
    runs: tuple[str, ...]


def rate(
    values: Mapping[str, Label | Sequence[Label]], metric: str, arm: str, slice: str = "", **of: Unpack[Of]
) -> Estimate:
    """The share of True among scored labels, by prompt id; a prompt sampled several times has a list of labels."""
    rows = _rows(values)
    return _estimate(
        clustered_rate(rows),
        _unscored(rows),
        f"Wilson 95 %{_clusters(rows)}",
        metric=metric,
        arm=arm,
        slice=slice,
        of=of,
    )


def mean(
    values: Mapping[str, Score | Sequence[Score]], metric: str, arm: str, slice: str = "", **of: Unpack[Of]
) -> Estimate:
    """The mean of scored numbers, by prompt id; a prompt sampled several times has a list of scores."""
    rows = _rows(values)
    return _estimate(
        clustered_mean(rows), _unscored(rows), f"t 95 %{_clusters(rows)}", metric=metric, arm=arm, slice=slice, of=of
    )


def rate_over_seeds(
    values: Mapping[int, Mapping[str, Label]], metric: str, arm: str, slice: str = "", **of: Unpack[Of]
) -> Estimate:
    """The rate over training seeds (seed -> prompt id -> label), by `hierarchical_bootstrap`.

    Where every label is the same nothing can be resampled: then Wilson's interval on the number of prompts.
    """
    found = hierarchical_bootstrap(values)
    how = "hierarchical bootstrap 95 %"
    if found.value is not None and found.low is None:
        low, high = score_ends(found.value, found.n_prompts, normal_quantile(LEVEL))
        found, how = replace(found, low=low, high=high), f"Wilson 95 % on {found.n_prompts} prompts"
    return _estimate(
        found, _unscored(_cells(values)), f"{how}, {_spread(found)}", metric=metric, arm=arm, slice=slice, of=of
    )


def mean_over_seeds(
    values: Mapping[int, Mapping[str, Score]], metric: str, arm: str, slice: str = "", **of: Unpack[Of]
) -> Estimate:
    """The mean over training seeds (seed -> prompt id -> score), by `hierarchical_bootstrap`."""
    found = hierarchical_bootstrap(values)
    how = f"hierarchical bootstrap 95 %, {_spread(found)}"
    return _estimate(found, _unscored(_cells(values)), how, metric=metric, arm=arm, slice=slice, of=of)


def _estimate(
    found: Interval | Seeds, n_unscored: int, method: str, *, metric: str, arm: str, slice: str, of: Of
) -> Estimate:
    ends = {"value": found.value, "low": found.low, "high": found.high}
    return Estimate(metric=metric, arm=arm, slice=slice, n=found.n, n_unscored=n_unscored, method=method, **ends, **of)


def _clusters(rows: Mapping[str, Sequence[Score]]) -> str:
    if all(len(row) <= 1 for row in rows.values()):
        return ""
    return f", clustered in {sum(_scored(row) > 0 for row in rows.values())} prompts"


def _spread(found: Seeds) -> str:
    if found.spread is None:
        return f"{len(found.by_seed)} seed{'' if len(found.by_seed) == 1 else 's'}"
    low, high = min(found.by_seed.values()), max(found.by_seed.values())
    return f"{len(found.by_seed)} seeds from {low:.3g} to {high:.3g} (sd {found.spread:.2g})"


def _cells(values: Mapping[int, Mapping[str, Score]]) -> dict[str, tuple[Score, ...]]:
    return {str(seed): tuple(row.values()) for seed, row in values.items()}


def _rows(values: Mapping[str, Score | Sequence[Score]]) -> dict[str, tuple[Score, ...]]:
    return {prompt: tuple(row) if isinstance(row, Sequence) else (row,) for prompt, row in values.items()}


def _unscored(rows: Mapping[str, Sequence[Score]]) -> int:
    return sum(score is None for row in rows.values() for score in row)


def _scored(row: Sequence[Score]) -> int:
    return sum(score is not None for score in row)


def by_prompt(values: Mapping[str, Sequence[Score]]) -> dict[str, Score]:
    """The mean of each prompt's scored samples, in the order of the ids; None where it has none."""
    kept = {prompt: [score for score in values[prompt] if score is not None] for prompt in sorted(values)}
    return {prompt: math.fsum(row) / len(row) if row else None for prompt, row in kept.items()}


def _prompt_means(values: Mapping[str, Sequence[Score]]) -> Floats:
    means = {prompt: score for prompt, score in by_prompt(values).items() if score is not None}
    finite(means)
    return np.array(list(means.values()), dtype=np.float64)


def finite(scores: Mapping[str, float] | Mapping[int, float]) -> None:
    """Refuse NaN and infinity: what could not be scored is None."""
    for name, score in scores.items():
        if not math.isfinite(score):
            raise ValueError(f"the score of {name} is {score}; what could not be scored is None")
