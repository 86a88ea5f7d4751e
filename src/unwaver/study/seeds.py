"""Training seeds as a level of their own: what a number over seeds and prompts is unsure of, and how unsure.

Reads scores by seed and prompt id (None: unscored), or seeds x prompts grids (NaN: unscored; any dimensions before
them are so many tables at once); writes means, the variance each level adds, and the p, the interval and the least
difference that follow. Guarantees: a prompt enters with whatever seeds it was scored under; no degrees of freedom are
estimated, so a p holds in its tail (docs/statistics.md has the simulation). Pure.

The distribution is that of Behrens (1929) and Fisher (1935): every level keeps its own t, and their sum is what the
value is held against. Robinson (1976) shows it never to claim more than it should. Satterthwaite's approximation does:
seeds that agree by chance lower the error and raise the degrees of freedom at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

from unwaver.intervals import ALPHA, LEVEL, POWER

Floats = NDArray[np.float64]

MOST_SEEDS = 50
"""Where not even so many seeds would do, their number is no advice."""

ROUNDING = 1e-9
"""What a processor's rounding may make of nothing, beside what a table holds: below it two seeds are not linked."""

_STEPS = 10
"""Shares of the error that a level may have, when the least difference is looked up."""

_DFS = (200, 50)
"""Degrees of freedom of many prompts that are taken for the same there."""

_DRAWS = 16
"""Equally likely variances that the power of a difference is averaged over; half as many of each of two arms."""

_COARSE = 24
"""The same where a hundredth is enough, as for the ends of an interval: they are right to three thousandths."""

_NODES = 40
"""Points of a quadrature over one level's variance: p is right to a thousandth of itself down to 1e-5."""


@dataclass(frozen=True)
class Level:
    """What one source of chance adds to a mean: prompts, or the seeds of one arm."""

    variance: float
    """Estimated variance of the mean."""
    df: int
    """Degrees of freedom of that estimate: one fewer than there are prompts, or seeds."""


@dataclass(frozen=True)
class Spread:
    """What a mean, or a difference of two, is unsure of."""

    prompts: Level
    a: Level | None
    """Arm a's seeds; None where it has one, which is taken as it stands."""
    b: Level | None
    """Arm b's; the only arm is b."""

    @property
    def seeds(self) -> tuple[Level, ...]:
        """The arms that have several seeds."""
        return tuple(level for level in (self.a, self.b) if level is not None)

    @property
    def error(self) -> float:
        """Standard error; 0 where nothing varies."""
        return math.sqrt(self.prompts.variance + sum(level.variance for level in self.seeds))


@dataclass(frozen=True)
class Grid:
    """A seeds x prompts table; fields have the dimensions that stood before those two."""

    prompts: Floats
    """Each prompt's own mean over the seeds it was scored under; NaN where under none."""
    seeds: Floats
    """Variance of the mean that is due to the seeds; 0 for one seed."""

    @property
    def mean(self) -> Floats:
        """The mean of the prompts' own means."""
        return np.asarray(np.nanmean(self.prompts, axis=-1))


def grid(scores: Floats) -> Grid:
    """What a seeds x prompts table holds of prompts and of seeds.

    Seeds are told apart on the prompts they share (least squares of a prompt's effect and a seed's), so that a reply
    that is missing moves no seed; where seeds share too few for that, by their own means.
    """
    scored = np.isfinite(scores)
    count = scored.sum(axis=-2)
    total = np.where(scored, scores, 0.0).sum(axis=-2)
    prompts = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    number = scores.shape[-2]
    if number < 2:
        return Grid(prompts, np.zeros(scores.shape[:-2]))
    effects = scores.mean(axis=-1) if scored.all() else _effects(scores, scored, count)
    kept = count > 0
    share = np.divide(scored, count[..., None, :], out=np.zeros(scores.shape), where=scored & kept[..., None, :])
    weight = share.sum(axis=-1) / kept.sum(axis=-1)[..., None]
    return Grid(prompts, effects.var(axis=-1, ddof=1) * (weight**2).sum(axis=-1))


def _effects(scores: Floats, scored: NDArray[np.bool_], count: NDArray[np.int_]) -> Floats:
    """Every seed's effect, up to a constant."""
    shared = scored & (count > 1)[..., None, :]
    inverse = np.divide(1.0, count, out=np.zeros(count.shape), where=count > 1)
    filled = np.where(shared, scores, 0.0)
    present = shared.astype(np.float64)
    left = -(present * inverse[..., None, :]) @ np.swapaxes(present, -1, -2)
    number = scores.shape[-2]
    left[..., range(number), range(number)] += present.sum(axis=-1)
    right = (filled - present * (filled.sum(axis=-2) * inverse)[..., None, :]).sum(axis=-1)
    effects = (np.linalg.pinv(left, rcond=ROUNDING, hermitian=True) @ right[..., None])[..., 0]
    own = np.where(scored, scores, 0.0).sum(axis=-1) / np.maximum(scored.sum(axis=-1), 1)
    linked = np.linalg.matrix_rank(left, tol=ROUNDING * scores.shape[-1], hermitian=True) == number - 1
    return np.asarray(np.where(linked[..., None], effects, own))


def of_table(values: Mapping[int, Mapping[str, float | None]], prompts: Sequence[str]) -> Floats:
    """Scores by seed and prompt id as a grid, in the order of the seeds; seeds with nothing scored are left out."""
    rows = [[_number(row.get(prompt)) for prompt in prompts] for _, row in sorted(values.items())]
    kept = [row for row in rows if not all(map(math.isnan, row))]
    return np.array(kept, np.float64).reshape(len(kept), len(prompts))


def _number(score: float | None) -> float:
    if score is None:
        return math.nan
    if not math.isfinite(score):
        raise ValueError(f"a score is {score}; what could not be scored is None")
    return float(score)


@lru_cache(maxsize=64)
def _mixture(df: int, nodes: int = _NODES) -> tuple[Floats, Floats]:
    """Factors by which a variance with `df` degrees of freedom may be off, and how likely each is."""
    low, high = np.log(stats.chi2.ppf(1e-13, df)), np.log(stats.chi2.isf(1e-13, df))
    at = np.exp(np.linspace(low, high, nodes))
    likely = stats.chi2.pdf(at, df) * at
    return df / at, likely / likely.sum()


def tail(value: Floats, prompts: Floats, df: int, seeds: Sequence[tuple[Floats, int]], nodes: int = _NODES) -> Floats:
    """Two-sided p of values (one dimension) with these variances of prompts and of each arm's seeds (`df` each)."""
    if not seeds:
        return np.asarray(2 * special.stdtr(df, -np.abs(value) / np.sqrt(prompts)))
    factor, likely = _mixture(df, nodes if df < 20 else nodes // 2)
    return _mixed(value, prompts[:, None] * factor, likely, seeds, nodes)


def _mixed(value: Floats, total: Floats, weight: Floats, seeds: Sequence[tuple[Floats, int]], nodes: int) -> Floats:
    """The normal tail of values, averaged over what their variances might be."""
    for variance, seed_df in seeds:
        factor, likely = _mixture(seed_df, nodes)
        total = (total[:, :, None] + variance[:, None, None] * factor).reshape(len(value), weight.size * factor.size)
        weight = (weight[:, None] * likely).ravel()
    size = np.abs(value)[:, None]
    ratio = np.divide(size, np.sqrt(total), out=np.where(size > 0, np.inf, 0.0) + 0 * total, where=total > 0)
    return np.asarray(2 * special.ndtr(-ratio) @ weight)


def p_value(value: float, spread: Spread, nodes: int = _NODES) -> float:
    """Two-sided p of one value."""
    one = np.ones(1)
    seeds = [(level.variance * one, level.df) for level in spread.seeds]
    return float(tail(value * one, spread.prompts.variance * one, spread.prompts.df, seeds, nodes)[0])


def half_width(spread: Spread, level: float = LEVEL) -> float:
    """Half of the interval at this level: the value whose p is what the level leaves; 0 where nothing varies."""
    if spread.error == 0:
        return 0.0
    left, nothing = 1 - level, 1e-12 * spread.error**2
    parts = [part for part in (spread.prompts, *spread.seeds) if part.variance > nothing]
    far = [float(special.stdtrit(part.df, 1 - left / 2 / len(parts))) * math.sqrt(part.variance) for part in parts]
    if len(parts) == 1:
        return far[0]
    ends = (spread.error, sum(far) + spread.error)
    return float(optimize.brentq(lambda x: math.log(p_value(x, spread, _COARSE) / left), *ends, rtol=1e-3))


def least(spread: Spread, rates: tuple[float, float] | None = None) -> float | None:
    """The smallest true difference that would be found at `ALPHA` with `POWER`; None where nothing varies, and of rates
    where none that is possible would.

    Variances are taken as found; of rates (arm a's and arm b's, as found) arm b's are those of a rate that lies as far
    from arm a's as is asked, towards one half: noise goes with p(1 - p), a shift of the log odds with its square.
    """
    found = _least(spread)
    if found is None or rates is None:
        return found
    base, was = min(rates[0], 1 - rates[0]), max(rates[1] * (1 - rates[1]), 0.02)
    for _ in range(3):
        rate = min(base + found, 0.99)
        found = (found + (_least(_scaled(spread, rate * (1 - rate) / was)) or found)) / 2
    return found if found <= 1 - base else None


def _scaled(spread: Spread, factor: float) -> Spread:
    prompts = Level(spread.prompts.variance * (1 + factor) / 2, spread.prompts.df)
    return Spread(prompts, spread.a, None if spread.b is None else Level(spread.b.variance * factor**1.5, spread.b.df))


def _least(spread: Spread) -> float | None:
    """`least` with these variances; few seeds' is too small more often than not, and made right in the median."""
    factor = _median_factor(spread.seeds)
    variances = [level.variance * factor for level in spread.seeds]
    scale = math.sqrt(spread.prompts.variance + sum(variances))
    if scale == 0:
        return None
    shares = [math.sqrt(variance) / scale for variance in variances]
    df = next((known for known in _DFS if known <= spread.prompts.df), spread.prompts.df)
    return scale * _between(df, shares, tuple(level.df for level in spread.seeds))


def _between(df: int, shares: Sequence[float], dfs: tuple[int, ...]) -> float:
    """`_unscaled` between the steps it is made for, so that many comparisons have their costly part in common."""
    found = 0.0
    for corner in product((0, 1), repeat=len(shares)):
        at = tuple(min(int(_STEPS * share), _STEPS - 1) + up for share, up in zip(shares, corner, strict=True))
        near = math.prod(1 - abs(_STEPS * share - step) for share, step in zip(shares, at, strict=True))
        found += near * _unscaled(df, at, dfs) if near > 0 else 0.0
    return found


def _median_factor(seeds: Sequence[Level]) -> float:
    """Mean over median of the summed variances, a chi-squared with Satterthwaite's degrees of freedom."""
    total = sum(one.variance for one in seeds)
    if total == 0:
        return 1.0
    df = total**2 / sum(one.variance**2 / one.df for one in seeds)
    return df / float(stats.chi2.median(df))


@lru_cache(maxsize=4096)
def _unscaled(df: int, shares: tuple[int, ...], dfs: tuple[int, ...]) -> float:
    """`least` where the error is 1: the power is the mean over what the seeds' variances might be found to be."""
    true = np.array(shares, np.float64) ** 2 / _STEPS**2
    of_prompts = max(0.0, 1 - float(true.sum()))
    number = _DRAWS // len(dfs) if dfs else 1
    at = (np.arange(number) + 0.5) / number
    draws = [share * stats.chi2.ppf(at, d) / d for share, d in zip(true, dfs, strict=True)]
    found = [axis.ravel() for axis in np.meshgrid(*draws, indexing="ij")] if draws else []
    critical = _critical(of_prompts, df, list(zip(found, dfs, strict=True)), found[0].size if found else 1)

    def missing(difference: float) -> float:
        shown = special.ndtr(difference - critical) + special.ndtr(-difference - critical)
        return float(shown.mean()) - POWER

    return float(optimize.brentq(missing, 0.0, float(critical.max()) + 5, xtol=1e-4))


def _critical(of_prompts: float, df: int, seeds: list[tuple[Floats, int]], size: int) -> Floats:
    """The values whose p is `ALPHA`, by halving."""
    low, high = np.zeros(size), np.full(size, 64.0)
    # As wide as their t, and known: what their variance may be off by hardly shows at this p.
    prompts = np.full((size, 1), of_prompts * (float(special.stdtrit(df, 1 - ALPHA / 2)) / 1.959964) ** 2)
    for _ in range(13):
        middle = (low + high) / 2
        shown = _mixed(middle, prompts, np.ones(1), seeds, _COARSE) <= ALPHA
        low, high = np.where(shown, low, middle), np.where(shown, middle, high)
    return np.asarray(high)


def seeds_needed(value: float, spread: Spread, alpha: float) -> int:
    """Seeds an arm (of those that have several) it takes to show this difference at this spread of the seeds.

    Counted from the spread per seed that was found; one more than `MOST_SEEDS` where not even these would do.
    """

    def shown(number: int) -> bool:
        a, b = (None if one is None else Level(one.variance * (one.df + 1) / number, number - 1) for one in of_arms)
        return p_value(value, Spread(spread.prompts, a, b)) <= alpha

    of_arms = (spread.a, spread.b)
    low, high = 1, MOST_SEEDS + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if shown(middle) else (middle, high)
    return high
