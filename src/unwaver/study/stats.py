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
from typing import TypedDict, TypeVar, Unpack

import numpy as np
from scipy import special

from unwaver.basis import Basis
from unwaver.intervals import LEVEL, Interval, bounded_ends, normal_quantile, score_ends
from unwaver.plain import counted
from unwaver.records import Estimate
from unwaver.study.seeds import Floats, Level, Spread, grid, half_width, of_table

Label = bool | None
Score = float | None
S = TypeVar("S")


@dataclass(frozen=True)
class Seeds:
    """A value over several training seeds."""

    value: float | None
    """The mean of the prompts' own means over the seeds they were scored under: a prompt counts once."""
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


def clustered_mean(values: Mapping[str, Sequence[Score]], level: float = LEVEL, bounded: bool = False) -> Interval:
    """A mean over prompts sampled once or more: the mean of the prompts' own means, with the cluster-robust t interval.

    Degrees of freedom: prompts - 1. No interval below two prompts or where all prompts have the same mean. `bounded`:
    scores lie in [0, 1], and so does the interval, a score interval as wide as t's.
    """
    means = _prompt_means(values)
    samples = sum(_scored(row) for row in values.values())
    if means.size == 0:
        return Interval(None, None, None, 0)
    value, error = float(means.mean()), standard_error(means)
    if error == 0:
        return Interval(value, None, None, samples)
    half = t_quantile(level, means.size - 1) * error
    low, high = _ends(value, half, bounded)
    return Interval(value, low, high, samples)


def _ends(value: float, half: float, bounded: bool) -> tuple[float, float]:
    return bounded_ends(value, half) if bounded else (value - half, value + half)


def standard_error(values: Floats) -> float:
    """Standard error of a mean; exactly 0 where all values are the same but for rounding, or there is one."""
    if values.size < 2 or np.ptp(values) <= 1e-12 * max(1.0, float(np.abs(values).max())):
        return 0.0
    return float(values.std(ddof=1) / math.sqrt(values.size))


def over_seeds(values: Mapping[int, Mapping[str, Score]], bounded: bool = True, level: float = LEVEL) -> Seeds:
    """A mean over seeds and prompts (seed -> prompt id -> score), both taken as samples of more.

    The interval is that of `seeds.half_width`. `bounded`: scores lie in [0, 1], and so does the interval: a score
    interval as wide as the plain one, never narrower than if every score were a prompt of its own; where nothing varies
    a prompt counts as one, whatever the number of seeds. Unbounded scores that don't vary have no interval.
    """
    kept = {n: {p: s for p, s in row.items() if s is not None} for n, row in sorted(values.items())}
    by_seed = {number: math.fsum(row.values()) / len(row) for number, row in kept.items() if row}
    prompts = sorted({prompt for row in kept.values() for prompt in row})
    if not prompts:
        return Seeds(None, None, None, 0, 0, {})
    scores = of_table(kept, prompts)
    found, n = grid(scores), int(np.isfinite(scores).sum())
    value, of_prompts = float(found.mean), Level(standard_error(found.prompts) ** 2, max(1, len(prompts) - 1))
    of_seeds = Level(float(found.seeds), len(by_seed) - 1) if len(by_seed) > 1 else None
    half = half_width(Spread(of_prompts, None, of_seeds), level) if len(prompts) > 1 else 0.0
    low, high = _over_seeds_ends(value, half, len(prompts), n, level) if bounded else _ends(value, half, False)
    nothing = half == 0 and not bounded
    return Seeds(value, None if nothing else low, None if nothing else high, n, len(prompts), by_seed)


def _over_seeds_ends(value: float, half: float, prompts: int, n: int, level: float) -> tuple[float, float]:
    if value < -1e-12 or value > 1 + 1e-12:
        raise ValueError("a rate is made of labels, or of scores between 0 and 1")
    z = normal_quantile(level)
    if half == 0 or not 1e-12 < value < 1 - 1e-12:
        return score_ends(min(max(value, 0.0), 1.0), prompts, z)
    return bounded_ends(value, max(half, z * math.sqrt(value * (1 - value) / n)))


class Of(TypedDict, total=False):
    """What else an estimate says of itself: see the fields of `Estimate`."""

    n_truncated: int
    runs: tuple[str, ...]
    basis: Basis | None


def rate(
    values: Mapping[str, Score | Sequence[Score]], metric: str, arm: str, slice: str = "", **of: Unpack[Of]
) -> Estimate:
    """The share of True among scored labels, by prompt id; a prompt sampled several times has a list of labels."""
    rows = _rows(values)
    found = clustered_rate(rows)
    return _estimate(
        found,
        _unscored(rows),
        f"Wilson 95 %{_clusters(rows)}",
        metric=metric,
        arm=arm,
        slice=slice,
        of=of,
        worst=_worst(list(rows.values()), found.value),
    )


def mean(
    values: Mapping[str, Score | Sequence[Score]],
    metric: str,
    arm: str,
    slice: str = "",
    *,
    within: tuple[float, float] = (-math.inf, math.inf),
    **of: Unpack[Of],
) -> Estimate:
    """The mean of scored numbers, by prompt id; a prompt sampled several times has a list of scores.

    No score lies outside `within`, and so no end of the interval does.
    """
    rows = _rows(values)
    found, method = clustered_mean(rows), f"t 95 %{_clusters(rows)}"
    if found.low is not None and found.high is not None:
        found = replace(found, low=max(within[0], found.low), high=min(within[1], found.high))
    return _estimate(found, _unscored(rows), method, metric=metric, arm=arm, slice=slice, of=of)


def share(
    values: Mapping[str, Score | Sequence[Score]], metric: str, arm: str, slice: str = "", **of: Unpack[Of]
) -> Estimate:
    """The mean of scored shares, each between 0 and 1, as `mean`; its interval lies there, too."""
    rows = _rows(values)
    found, method = clustered_mean(rows, bounded=True), f"score interval as wide as t, 95 %{_clusters(rows)}"
    return _estimate(found, _unscored(rows), method, metric=metric, arm=arm, slice=slice, of=of)


def rate_over_seeds(
    values: Mapping[int, Mapping[str, Label | Sequence[Label]]],
    metric: str,
    arm: str,
    slice: str = "",
    **of: Unpack[Of],
) -> Estimate:
    """The rate over training seeds (seed -> prompt id -> label, or a list of them), by `over_seeds`."""
    rows = {seed: _rows(row) for seed, row in values.items()}
    found = over_seeds({seed: by_prompt(row) for seed, row in rows.items()})
    scored = sum(_scored(labels) for row in rows.values() for labels in row.values())
    how = "score interval over prompts and seeds 95 %"
    if found.value in (0.0, 1.0):
        how = f"Wilson 95 % on {found.n_prompts} prompts"
    worst = _worst([labels for row in rows.values() for labels in row.values()], found.value)
    return _estimate(
        Interval(found.value, found.low, found.high, scored),
        sum(_unscored(row) for row in rows.values()),
        f"{how}, {_spread(found)}",
        metric=metric,
        arm=arm,
        slice=slice,
        of=of,
        worst=worst,
    )


def _worst(rows: Sequence[Sequence[Score]], value: float | None) -> tuple[float | None, float | None]:
    """The mean of the rows' means if all that is unscored were False, and if it were True; of seeds, row by row."""
    if not any(rows):
        return None, None
    if all(score is not None for row in rows for score in row):
        return value, value
    filled = [[math.fsum(bool_ if s is None else s for s in row) / len(row) for row in rows if row] for bool_ in (0, 1)]
    return math.fsum(filled[0]) / len(filled[0]), math.fsum(filled[1]) / len(filled[1])


def _estimate(
    found: Interval,
    n_unscored: int,
    method: str,
    *,
    metric: str,
    arm: str,
    slice: str,
    of: Of,
    worst: tuple[float | None, float | None] = (None, None),
) -> Estimate:
    return Estimate(
        metric=metric,
        arm=arm,
        slice=slice,
        value=found.value,
        low=found.low,
        high=found.high,
        n=found.n,
        n_unscored=n_unscored,
        lowest=worst[0],
        highest=worst[1],
        method=method,
        **of,
    )


def _clusters(rows: Mapping[str, Sequence[Score]]) -> str:
    if all(len(row) <= 1 for row in rows.values()):
        return ""
    return f", clustered in {sum(_scored(row) > 0 for row in rows.values())} prompts"


def _spread(found: Seeds) -> str:
    if found.spread is None:
        return counted(len(found.by_seed), "seed")
    low, high = min(found.by_seed.values()), max(found.by_seed.values())
    return f"{len(found.by_seed)} seeds from {low:.3g} to {high:.3g} (sd {found.spread:.2g})"


def _rows(values: Mapping[str, Score | Sequence[Score]]) -> dict[str, tuple[Score, ...]]:
    return {prompt: tuple(row) if isinstance(row, Sequence) else (row,) for prompt, row in values.items()}


def _unscored(rows: Mapping[str, Sequence[Score]]) -> int:
    return sum(score is None for row in rows.values() for score in row)


def _scored(row: Sequence[Score]) -> int:
    return sum(score is not None for score in row)


def gathered(values: Mapping[str, S], prompts: Mapping[str, str]) -> dict[str, list[S]]:
    """Scores by trace id as scores by prompt (trace id -> prompt; itself where it isn't there): replies to one prompt
    are alike, so an interval stands on prompts."""
    found: dict[str, list[S]] = {}
    for trace, score in values.items():
        found.setdefault(prompts.get(trace, trace), []).append(score)
    return found


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
