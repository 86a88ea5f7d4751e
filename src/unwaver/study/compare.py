"""Two arms on the same prompts: the difference, what it is worth, and the word for it.

Reads two tables of labels or scores by prompt id (None: unscored) and writes a `Comparison`. Guarantees: a difference
is arm b minus arm a; swapping the arms turns the difference and the word round; what was not scored in both arms is
counted, and too much of it is said instead of a verdict. Pure: a seed is an argument. The paper (arXiv 2505.15404,
section 4) compares percentages of one run by eye; everything here is ours, and docs/statistics.md gives the reasons.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypedDict, Unpack

from unwaver.basis import Basis
from unwaver.errors import IncomparableError
from unwaver.intervals import ALPHA
from unwaver.study.comparison import Comparison, verdict
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
from unwaver.study.power import smallest_detectable
from unwaver.study.seeds import Level, Spread, least, p_value, seeds_needed
from unwaver.study.stats import Label, Score
from unwaver.study.unscored import (
    FILLINGS,
    Outcomes,
    by_prompts,
    fillings,
    heard,
    only,
    only_means,
    share_unscored,
    single,
    unscored_in,
)


def corrected(family: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons of one table with Holm's p and the verdict that follows, in the order given."""
    adjusted = holm([comparison.p for comparison in family])
    fillings = [_filled_family(family, number) for number in range(len(FILLINGS))]
    people = holm([c.by_people.p if c.by_people else None for c in family])
    arms = len({c.arm_b for c in family})
    size = sum(comparison.p is not None for comparison in family)
    found = []
    for at, (c, p) in enumerate(zip(family, adjusted, strict=True)):
        filled = tuple(
            filling.model_copy(update={"p_holm": fillings[number][at]}) for number, filling in enumerate(c.filled)
        )
        read = {
            "reader_error": c.uneven.furthest(arms) if c.uneven else None,
            "by_people": c.by_people.model_copy(update={"p_holm": people[at]}) if c.by_people else None,
        }
        needed = _needed(c, p, size)
        found.append(_judged(**_fields(c) | {"p_holm": p, "filled": filled, "seeds_needed": needed} | read))
    return found


def _filled_family(family: Sequence[Comparison], number: int) -> list[float | None]:
    return holm([c.filled[number].p if c.filled else c.p for c in family])


def _needed(c: Comparison, p_holm: float | None, size: int) -> int | None:
    """Seeds that would show what these models show and their seeds can't."""
    if c.p_models is None or c.errors is None or c.difference is None or p_holm is None or p_holm <= ALPHA:
        return None
    levels = [
        Level(error**2, seeds - 1) if seeds > 1 else None for error, seeds in zip(c.errors[1:], c.seeds, strict=True)
    ]
    if c.p_models * size > ALPHA:
        return None
    return seeds_needed(c.difference, Spread(Level(c.errors[0] ** 2, c.n_pairs - 1), *levels), ALPHA / size)


def _fields(comparison: Comparison) -> dict[str, Any]:
    return {name: getattr(comparison, name) for name in Comparison.model_fields}


def _judged(**fields: Any) -> Comparison:
    draft = Comparison(**fields | {"verdict": "not distinguishable"})
    return draft.model_copy(update={"verdict": verdict(draft)})


class Between(TypedDict):
    """What is compared: see the fields of `Comparison`."""

    metric: str
    slice: str
    arm_a: str
    arm_b: str


def compare(
    a: Mapping[int, Outcomes],
    b: Mapping[int, Outcomes],
    bases: tuple[Basis | None, Basis | None] = (None, None),
    **between: Unpack[Between],
) -> Comparison:
    """Labels by seed and by what arms are paired on, by the test that fits seeds and samples.

    The arms must have been measured alike, but for the set of prompts, of which the shared ones are paired: else
    `IncomparableError` names what differs.
    """
    if fields := kept_apart(*bases):
        raise IncomparableError(f"{between['arm_a']} and {between['arm_b']} differ in {', '.join(fields)}")
    one, two = heard(a) or a, heard(b) or b
    if max(len(one), len(two)) > 1:
        made = _over_seeds(by_prompts(one), by_prompts(two), between)
    elif single(one) and single(two):
        return compare_rates(only(one), only(two), **between)
    else:
        made = compare_means(only_means(one), only_means(two), **between)
    return _judged(**_fields(made) | _of_unscored(a, b))


def _of_unscored(a: Mapping[int, Outcomes], b: Mapping[int, Outcomes]) -> dict[str, Any]:
    number = unscored_in(a) + unscored_in(b)
    return {
        "n_unscored": number,
        "most_unscored": max(share_unscored(a), share_unscored(b)),
        "filled": fillings(a, b) if number else (),
    }


def kept_apart(a: Basis | None, b: Basis | None) -> tuple[str, ...]:
    """What keeps two arms from being compared prompt by prompt."""
    if a is None or b is None:
        return () if a is b else ("basis",)
    return a.differs(replace(b, prompts=a.prompts))


def compare_rates(a: Mapping[str, Label], b: Mapping[str, Label], **between: Unpack[Between]) -> Comparison:
    """Labels by prompt id: exact McNemar, Newcombe's interval, Cohen's h."""
    one, two, left_out = labels(a, b)
    found, test = risk_difference(a, b), mcnemar_exact(a, b)
    h = detectable = None
    if one.size:
        h = cohens_h(float(one.mean()), float(two.mean()))
        # To the nearest tenth: a correlation of some tens of labels is known no better.
        detectable = smallest_detectable(one.size, float(one.mean()), paired=round(correlation(one, two), 1))
    unscored = _of_unscored(_of_labels({0: a}), _of_labels({0: b}))
    return _judged(
        **between,
        **unscored,
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
    rates = all(score is None or 0 <= score <= 1 for side in (a, b) for score in side.values())
    return _of_means(paired_bootstrap(a, b, seed=seed), "paired t test; paired bootstrap 95 %", between, rates)


def compare_over_seeds(
    a: Mapping[int, Mapping[str, Score]], b: Mapping[int, Mapping[str, Score]], **between: Unpack[Between]
) -> Comparison:
    """Labels or scores by seed and prompt id: prompts paired, seeds as a level; Cohen's h where all are labels."""
    if not a or not b or max(len(a), len(b)) < 2:
        raise ValueError("a comparison over seeds needs two seeds or more in one arm, and one in the other")
    if all(score in (None, 0, 1) for side in (a, b) for row in side.values() for score in row.values()):
        return compare(_of_labels(a), _of_labels(b), **between)
    return _over_seeds(a, b, between)


def _over_seeds(
    a: Mapping[int, Mapping[str, Score]], b: Mapping[int, Mapping[str, Score]], between: Between
) -> Comparison:
    found, values = paired_over_seeds(a, b), [v for x in (a, b) for row in x.values() for v in row.values()]
    seeds = tuple(sum(any(score is not None for score in row.values()) for row in side.values()) for side in (a, b))
    more: dict[str, Any] = {"seeds": seeds}
    spread = found.spread
    if found.spread is not None and {found.mean_a, found.mean_b} <= {0.0, 1.0}:
        # Nothing varies in either arm: the prompts still say what a difference may be, once each.
        one, two = (dict.fromkeys(map(str, range(found.n_pairs)), mean == 1) for mean in (found.mean_a, found.mean_b))
        ends = risk_difference(one, two)
        found = replace(found, low=ends.low, high=ends.high)
    if spread is not None and found.difference is not None:
        parts = (spread.prompts, spread.a, spread.b)
        more["errors"] = tuple(0.0 if level is None else level.variance**0.5 for level in parts)
        more["p_models"] = found.p
        if spread.prompts.variance:
            more["p_models"] = p_value(found.difference, Spread(spread.prompts, None, None))
    rates = all(value is None or 0 <= value <= 1 for value in values)
    method = f"t over prompts and seeds ({seeds[0]} and {seeds[1]}), each its own, 95 %"
    return _of_means(found, method, between, rates, all(value in (None, 0, 1) for value in values), **more)


def _of_labels(side: Mapping[int, Mapping[str, Score]]) -> dict[int, dict[str, tuple[Label]]]:
    return {
        seed: {key: (None if score is None else bool(score),) for key, score in row.items()}
        for seed, row in side.items()
    }


def _of_means(
    found: Paired, method: str, between: Between, rates: bool, labels_: bool = False, **more: Any
) -> Comparison:
    """`rates`: all scores lie in [0, 1], and no difference beyond 1 is possible; `labels_`: they are 0 or 1."""
    means = None if found.mean_a is None or found.mean_b is None else (found.mean_a, found.mean_b)
    furthest = 1.0 if rates else math.inf
    return _judged(
        **between,
        n_pairs=found.n_pairs,
        n_left_out=found.n_left_out,
        difference=found.difference,
        low=None if found.low is None else max(-furthest, found.low),
        high=None if found.high is None else min(furthest, found.high),
        h=cohens_h(*means) if labels_ and means else None,
        p=found.p,
        p_holm=found.p,
        smallest_detectable=None if found.spread is None else least(found.spread, means if rates else None),
        method=method,
        **more,
    )
