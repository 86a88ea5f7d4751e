"""Rates and differences corrected by people's labels of a sample: the reader's error is in them, and in their interval.

Reads, for every reply that could have been drawn, its stratum and, where somebody labelled it, what he found; gives
each reply a value whose mean is the corrected rate. In a stratum (a run and one verdict in it) labels are a random
sample, so its mean holds for it: the estimator is that of prediction-powered inference (Angelopoulos et al. 2023, arXiv
2301.09633) for a sample stratified by the prediction, and of double sampling (Tenenbein 1970). A labelled reply's value
departs from its stratum's mean by its own label over the chance that it was drawn; so the spread of the values over
prompts is the error of both, of prompts and of labels, arms stay paired, and nothing is taken for granted of the
reader. What a person could not tell is in no rate: then it is a ratio, linearised. `ppi-python` has the same mean,
without strata, and brings numba and scikit-learn. Pure; docs/statistics.md has the coverage.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from unwaver.intervals import LEVEL, Interval, normal_quantile, score_ends
from unwaver.records import Record
from unwaver.study.paired import paired_over_seeds
from unwaver.study.seeds import Floats, Level, Spread, grid, half_width, of_table, p_value
from unwaver.study.stats import Score

FEWEST_LABELS = 10
"""Labels below which a rate is not corrected."""


@dataclass(frozen=True)
class Drawable:
    """One reply that could have been drawn."""

    key: str
    """What arms are paired on."""
    stratum: str
    labelled: bool = False
    label: Score = None
    """What people found; the mean where several did. None: nobody labelled it, or nobody could tell."""


@dataclass(frozen=True)
class Values:
    """What one seed's replies are worth with their labels."""

    by_key: Mapping[str, float]
    """By what arms are paired on, the mean of its replies' values; the mean over all is near the rate."""
    rate: float
    labels: int
    replies: int
    likely: float
    """The rate with one label of each kind added to every stratum: never 0 or 1 where not all is labelled."""
    more: float
    """Variance to be added where a stratum's labels happen to agree."""
    df: int
    """Degrees of freedom of the labels."""


class Corrected(Record):
    """A difference, arm b minus arm a, from people's labels."""

    difference: float
    low: float | None
    high: float | None
    p: float
    p_holm: float
    labels: tuple[int, int]
    """How many rest under arm a and arm b."""
    n_pairs: int


def values(items: Sequence[Drawable]) -> Values | str:
    """The values of one seed's replies; a sentence where there are too few labels."""
    strata: dict[str, list[Drawable]] = defaultdict(list)
    for item in items:
        strata[item.stratum].append(item)
    found = [_Stratum.of(members) for members in strata.values()]
    labels = sum(item.label is not None for item in items)
    if empty := sum(not one.drawn for one in found):
        without = sum(one.size for one in found if not one.drawn)
        return f"no label in {empty} of {len(found)} strata ({without} of {len(items)} replies)"
    if labels < FEWEST_LABELS:
        return f"{labels} labels, and a rate is corrected from {FEWEST_LABELS} on"
    total, told = sum(one.size * one.yes for one in found), sum(one.size * one.told for one in found)
    rate = total / told
    share = told / len(items)
    by_key: dict[str, list[float]] = defaultdict(list)
    for one, members in zip(found, strata.values(), strict=True):
        for item in members:
            by_key[item.key].append(rate + one.departure(item, rate) / share)
    return Values(
        by_key={key: float(np.mean(row)) for key, row in by_key.items()},
        rate=rate,
        labels=labels,
        replies=len(items),
        likely=sum(one.size * one.likely for one in found) / len(items),
        more=sum((one.size / len(items)) ** 2 * one.more(rate) for one in found) / share**2,
        df=max(1, sum(one.drawn - 1 for one in found if one.drawn < one.size)) if _sampled(found) else len(by_key) - 1,
    )


@dataclass(frozen=True)
class _Stratum:
    """One stratum: how many replies, and what the labels of those that were drawn say."""

    size: int
    drawn: int
    yes: float
    """Mean of the labels, what nobody could tell counted as 0."""
    told: float
    """Share of the drawn that somebody could tell."""
    labels: tuple[float, ...]

    @classmethod
    def of(cls, members: Sequence[Drawable]) -> _Stratum:
        """What the members of a stratum come to."""
        drawn = sum(item.labelled for item in members)
        labels = tuple(float(item.label) for item in members if item.label is not None)
        return cls(len(members), drawn, sum(labels) / max(1, drawn), len(labels) / max(1, drawn), labels)

    @property
    def likely(self) -> float:
        """The mean of the labels, shrunk by one label of each kind where not all are drawn."""
        n, unseen = len(self.labels), 1 - self.drawn / self.size
        return (1 - unseen) * sum(self.labels) / max(1, n) + unseen * (sum(self.labels) + 1) / (n + 2)

    def departure(self, item: Drawable, rate: float) -> float:
        """By how much a reply's value departs from the rate."""
        mean = self.yes - rate * self.told
        if not item.labelled:
            return mean
        own = 0.0 if item.label is None else item.label - rate
        return mean + (own - mean) * self.size / self.drawn

    def more(self, rate: float) -> float:
        """What the variance of the stratum's mean lacks: that with one label of each kind added, less that as it is."""
        own = [label - rate for label in self.labels] + [0.0] * (self.drawn - len(self.labels))
        added = float(np.var([*own, 1 - rate, -rate]))
        as_is = float(np.var(own, ddof=1)) if self.drawn > 1 else 0.0
        return max(0.0, added - as_is) * (1 - self.drawn / self.size) / self.drawn


def _sampled(strata: Sequence[_Stratum]) -> bool:
    return any(one.drawn < one.size for one in strata)


def rate(seeds: Mapping[int, Values]) -> Interval:
    """The corrected rate over seeds, with a score interval as wide as t of prompts, labels and seeds together."""
    every = sorted({key for one in seeds.values() for key in one.by_key})
    table = of_table({seed: one.by_key for seed, one in seeds.items()}, every)
    found, labels = grid(table), sum(one.labels for one in seeds.values())
    value = min(1.0, max(0.0, sum(one.rate for one in seeds.values()) / len(seeds)))
    likely = float(np.mean([one.likely for one in seeds.values()]))
    quantile, known = normal_quantile(LEVEL), likely * (1 - likely)
    if known <= 0:
        return Interval(value, *score_ends(value, len(every), quantile), labels)
    variance = max(_of_prompts(found.prompts) + _more(seeds), known / sum(one.replies for one in seeds.values()))
    of_seeds = Level(float(found.seeds), len(seeds) - 1) if len(seeds) > 1 else None
    half = half_width(Spread(Level(variance, _df(seeds, len(every))), None, of_seeds))
    return Interval(value, *score_ends(value, known * (quantile / half) ** 2, quantile), labels)


def difference(a: Mapping[int, Values], b: Mapping[int, Values]) -> Corrected | None:
    """Corrected rate of b minus that of a on the prompts of both; None below two of them."""
    tables = [{seed: one.by_key for seed, one in side.items()} for side in (a, b)]
    found = paired_over_seeds(tables[0], tables[1], level=None)
    if found.spread is None or found.difference is None or found.p is None:
        return None
    more = _more(a) + _more(b)
    df = min(found.n_pairs - 1, sum(one.df for side in (a, b) for one in side.values()))
    spread = Spread(Level(found.spread.prompts.variance + more, df), found.spread.a, found.spread.b)
    p, low, high = found.p, None, None
    if spread.error > 0:
        p, half = p_value(found.difference, spread), half_width(spread)
        low, high = max(-1.0, found.difference - half), min(1.0, found.difference + half)
    labels = sum(one.labels for one in a.values()), sum(one.labels for one in b.values())
    value = min(1.0, max(-1.0, found.difference))
    return Corrected(difference=value, low=low, high=high, p=p, p_holm=p, labels=labels, n_pairs=found.n_pairs)


def _of_prompts(values_: Floats) -> float:
    return float(np.var(values_, ddof=1) / len(values_)) if len(values_) > 1 else 0.0


def _more(seeds: Mapping[int, Values]) -> float:
    return math.fsum(one.more for one in seeds.values()) / len(seeds) ** 2


def _df(seeds: Mapping[int, Values], prompts: int) -> int:
    return max(1, min(prompts - 1, sum(one.df for one in seeds.values())))
