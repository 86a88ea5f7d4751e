"""Two arms on the same prompts: the difference, what it is worth, and the word for it.

Reads two tables of labels or scores by prompt id (None: unscored) and writes a `Comparison`. Guarantees: a difference
is arm b minus arm a; swapping the arms turns the difference and the word round; what was not scored in both arms is
counted, and too much of it is said instead of a verdict. Pure: a seed is an argument. The paper (arXiv 2505.15404,
section 4) compares percentages of one run by eye; everything here is ours, and docs/statistics.md gives the reasons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict, Unpack

from unwaver.intervals import LEVEL
from unwaver.records import Record
from unwaver.study.paired import (
    Paired,
    cohens_h,
    correlation,
    holm,
    labels,
    mcnemar_exact,
    paired_bootstrap,
    paired_over_seeds,
    risk_difference,
)
from unwaver.study.power import POWER, smallest_detectable
from unwaver.study.stats import ALPHA, Label, Score, t_quantile

FEWEST_PAIRS = 10
"""Below this, too few scored: with five discordant pairs or fewer exact McNemar can't reach 0.05 whatever they say."""

MOST_LEFT_OUT = 0.2
"""Above this share of prompts left out, too few scored: what was left out could then make or undo most differences."""

BETTER: Mapping[str, Literal["lower", "higher"]] = {
    "asr": "lower",
    "asr_answer": "lower",
    "asr_reasoning": "lower",
    "leak": "lower",
    "escape": "lower",
    "refusal": "higher",
    "over_refusal": "lower",
    "full_refusal": "lower",
    "accuracy": "higher",
    "pass": "higher",
    "pattern": "lower",
    "self_jailbreak": "lower",
    "oscillation": "lower",
    "loop": "lower",
    "tokens": "lower",
}
"""Which way is better, by the metric's name up to its first `@` or `:`. `refusal` is read on harmful prompts."""

Word = Literal["better", "worse", "not distinguishable", "too few scored"]


class Comparison(Record):
    """Arm b against arm a on the same prompts."""

    metric: str
    slice: str
    arm_a: str
    """What is compared with."""
    arm_b: str
    """What the verdict speaks of."""
    n_pairs: int
    """Prompts scored in both arms, under every seed."""
    n_left_out: int
    """Prompts of either arm that were not."""
    difference: float | None
    """Arm b minus arm a, in the metric's own unit (rates: 0.04 is four points); None without a pair."""
    low: float | None
    """Lower end of the difference's own 95 % interval, not widened for the family; None where nothing varied."""
    high: float | None
    h: float | None
    """Cohen's h of two rates, in the direction of the difference; None for means."""
    p: float | None
    """Two-sided, as if it were the only comparison."""
    p_holm: float | None
    """Corrected for its family by Holm; equal to `p` until `corrected` has seen the family."""
    verdict: Word
    smallest_detectable: float | None
    """The smallest difference these pairs would show four times in five, before correction; None where none would."""
    method: str
    """How interval and p were made."""


def verdict(comparison: Comparison) -> Word:
    """What may be said of arm b: see the module's constants for the rule, and `BETTER` for the direction."""
    way = BETTER.get(comparison.metric.partition("@")[0].partition(":")[0])
    if way is None:
        raise ValueError(f"no known direction for the metric {comparison.metric!r}; known: {', '.join(BETTER)}")
    asked = comparison.n_pairs + comparison.n_left_out
    if comparison.n_pairs < FEWEST_PAIRS or comparison.n_left_out > MOST_LEFT_OUT * asked:
        return "too few scored"
    if comparison.p_holm is None or comparison.difference is None or comparison.p_holm > ALPHA:
        return "not distinguishable"
    return "better" if (comparison.difference < 0) == (way == "lower") else "worse"


def corrected(family: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons of one table with Holm's p and the verdict that follows, in the order given."""
    adjusted = holm([comparison.p for comparison in family])
    return [_judged(**c.model_dump() | {"p_holm": p}) for c, p in zip(family, adjusted, strict=True)]


def _judged(**fields: Any) -> Comparison:
    draft = Comparison(**fields | {"verdict": "not distinguishable"})
    return Comparison(**fields | {"verdict": verdict(draft)})


class Between(TypedDict):
    """What is compared: see the fields of `Comparison`."""

    metric: str
    slice: str
    arm_a: str
    arm_b: str


def compare_rates(a: Mapping[str, Label], b: Mapping[str, Label], **between: Unpack[Between]) -> Comparison:
    """Labels by prompt id: exact McNemar, Newcombe's interval, Cohen's h."""
    one, two, left_out = labels(a, b)
    found, test = risk_difference(a, b), mcnemar_exact(a, b)
    h = detectable = None
    if one.size:
        h = cohens_h(float(one.mean()), float(two.mean()))
        # To the nearest tenth: a correlation of some tens of labels is known no better.
        detectable = smallest_detectable(one.size, float(one.mean()), paired=round(correlation(one, two), 1))
    return _judged(
        **between,
        n_pairs=one.size,
        n_left_out=left_out,
        difference=found.value,
        low=found.low,
        high=found.high,
        h=h,
        p=test.p,
        p_holm=test.p,
        smallest_detectable=detectable,
        method="exact McNemar; paired Newcombe 95 %",
    )


def compare_means(
    a: Mapping[str, Score], b: Mapping[str, Score], *, seed: int = 0, **between: Unpack[Between]
) -> Comparison:
    """Scores by prompt id: paired t test, paired bootstrap interval."""
    return _of_means(paired_bootstrap(a, b, seed=seed), "paired t test; paired bootstrap 95 %", None, between)


def compare_over_seeds(
    a: Mapping[int, Mapping[str, Score]], b: Mapping[int, Mapping[str, Score]], **between: Unpack[Between]
) -> Comparison:
    """Labels or scores by seed and prompt id: prompts paired, seeds as a level; Cohen's h where all are labels."""
    found = paired_over_seeds(a, b)
    every_label = all(score in (None, 0, 1) for side in (a, b) for row in side.values() for score in row.values())
    h = None
    if every_label and found.mean_a is not None and found.mean_b is not None:
        h = cohens_h(found.mean_a, found.mean_b)
    return _of_means(found, f"t over prompts and seeds ({len(a)} and {len(b)}) 95 %", h, between)


def _of_means(found: Paired, method: str, h: float | None, between: Between) -> Comparison:
    detectable = None
    if found.error and found.df:
        detectable = (t_quantile(LEVEL, found.df) + t_quantile(2 * POWER - 1, found.df)) * found.error
    return _judged(
        **between,
        n_pairs=found.n_pairs,
        n_left_out=found.n_left_out,
        difference=found.difference,
        low=found.low,
        high=found.high,
        h=h,
        p=found.p,
        p_holm=found.p,
        smallest_detectable=detectable,
        method=method,
    )
