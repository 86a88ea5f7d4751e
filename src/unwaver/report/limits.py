"""Whether an arm is within a recipe's `[limits]`: met, not met, or it can't be told from these prompts.

Reads `Facts`. A limit is met where the whole 95 % interval lies on its good side, not met where none of it does;
between the two, where too little was scored, or where the unscored or the reader's error could turn it, nobody can
tell. Where people labelled a sample, the rate corrected by their labels has to say the same. Of a change from the
reference arm the paired difference's interval counts, on the prompts both were asked. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from unwaver.errors import RecipeError
from unwaver.recipe import Recipe
from unwaver.records import Estimate
from unwaver.report.facts import ALL, EvaluationFacts, Facts, compared
from unwaver.report.summed import summed
from unwaver.study.compare import corrected
from unwaver.study.comparison import MOST_LEFT_OUT, UNMEASURED, Comparison
from unwaver.study.correction import rate
from unwaver.study.measures import measures
from unwaver.study.reader_error import Misreading

REPORTED = {
    "refusal_auc": "refusal and over_refusal",
    "snowball_slope": "asr_reasoning",
    "text_oscillation": "asr_reasoning",
    "text_self_jailbreak": "asr_reasoning",
    "oscillation": "asr_reasoning",
    "first_token_auc": "refusal and over_refusal",
}
"""Figures that only the report makes -> the measures that say the nearest."""

State = Literal["met", "not met", "can't tell"]


@dataclass(frozen=True)
class Judged:
    """One limit for one arm."""

    metric: str
    arm: str
    limit: float | str
    state: State
    value: float | None
    """The rate, or of a relative limit the difference from the reference."""
    low: float | None
    high: float | None
    n: int
    """Prompts it rests on."""
    reference: str | None
    """The arm a relative limit is meant from."""
    why: str
    """Why it can't be told; empty where it can."""


def check(recipe: Recipe) -> None:
    """RecipeError for a limit of what is no measure, or has no better side."""
    for name in recipe.limits:
        if name in REPORTED:
            raise RecipeError(
                f"limits.{name}: the report works it out from a sample of the replies, so no limit is held against it; "
                f"expected a measure, such as {REPORTED[name]}"
            )
        one = measures().get(name)
        if one is None or one.better is None:
            known = ", ".join(sorted(name for name, one in measures().items() if one.better))
            raise RecipeError(f"limits.{name}: expected a measure that has a better side: {known}")


def judged(facts: Facts, arms: list[str] | None = None) -> list[Judged]:
    """Every limit for every arm but the references, or for the arms named."""
    recipe = facts.results.recipe
    check(recipe)
    chosen = arms if arms is not None else [arm for arm in facts.arms if facts.reference(arm) is not None]
    return [one for arm in chosen or list(facts.arms) for one in _of(facts, recipe, arm)]


def worst(found: Iterable[Judged]) -> State:
    """What they come to together: not met where one isn't, met where all are."""
    states = {one.state for one in found}
    return "not met" if "not met" in states else "can't tell" if "can't tell" in states else "met"


def asked(one: Judged) -> str:
    """A limit in words: `at most 10 %`, `at most +5 points from raw`."""
    most = "at most" if measures()[one.metric].better == "lower" else "at least"
    if isinstance(one.limit, str):
        return f"{most} {100 * float(one.limit):+g} points" + (f" from {one.reference}" if one.reference else "")
    return f"{most} {100 * one.limit:g} %"


def _of(facts: Facts, recipe: Recipe, arm: str) -> Iterator[Judged]:
    for metric, limit in recipe.limits.items():
        sets = _sets(facts, metric)
        if isinstance(limit, str):
            yield _relative(facts, metric, arm, limit, sets)
        else:
            yield _absolute(facts, metric, arm, limit, sets)


def _sets(facts: Facts, metric: str) -> list[EvaluationFacts]:
    """The sets a measure is pooled over: those of all the report's cards that bear it."""
    found = [each for one in summed(facts) if one.metric == metric for each in one.sets]
    return found or facts.of_kind(*measures()[metric].kinds)


def _absolute(facts: Facts, metric: str, arm: str, limit: float, sets: list[EvaluationFacts]) -> Judged:
    found = facts.pooled(metric, arm, sets)
    if found is None or found.value is None:
        return Judged(metric, arm, limit, "can't tell", None, None, None, 0, None, "nothing was scored")
    low, high = found.low, found.high
    state, why = _stands(metric, low, high, limit)
    if (share := found.n_unscored / max(1, found.n + found.n_unscored)) > MOST_LEFT_OUT:
        state, why = "can't tell", f"{share:.0%} are unscored"
    elif found.n_unscored and state != "can't tell" and _turned(metric, state, (found.lowest, found.highest), limit):
        state, why = "can't tell", f"the {found.n_unscored} unscored could turn it"
    elif state != "can't tell" and (doubt := _rate_in_doubt(facts, found, state, limit, sets)):
        state, why = "can't tell", doubt
    return Judged(metric, arm, limit, state, found.value, low, high, found.n, None, why)


def _relative(facts: Facts, metric: str, arm: str, limit: str, sets: list[EvaluationFacts]) -> Judged:
    reference = facts.reference(arm)
    if reference is None:
        why = "it is the reference arm itself" if arm == facts.named_reference else "there is no reference arm"
        return Judged(metric, arm, limit, "can't tell", None, None, None, 0, None, why)
    a, b = (facts.pooled_values(metric, name, sets) for name in (reference, arm))
    apart = [field for one in sets for field in facts.apart(metric, arm, one.name)]
    if not a or not b or apart:
        why = f"the arms differ in {', '.join(dict.fromkeys(apart))}" if apart else "nothing was scored"
        return Judged(metric, arm, limit, "can't tell", None, None, None, 0, reference, why)
    about = facts.doubts.about(compared(a, b, (metric, ALL, reference, arm)), [one.name for one in sets])
    found = corrected([about])[0]
    state, why = _stands(metric, found.low, found.high, float(limit))
    left_out = found.n_left_out / max(1, found.n_pairs + found.n_left_out)
    if max(left_out, found.most_unscored) > MOST_LEFT_OUT:
        state, why = "can't tell", f"{max(left_out, found.most_unscored):.0%} are unscored"
    elif state != "can't tell" and any(
        filling.difference is not None and _turned(metric, state, (filling.difference,), float(limit))
        for filling in found.filled
        if filling.a == filling.b
    ):
        state, why = "can't tell", f"the {found.n_unscored} unscored could turn it"
    elif state != "can't tell" and (doubt := _change_in_doubt(facts, found, state, float(limit), sets)):
        state, why = "can't tell", doubt
    return Judged(metric, arm, limit, state, found.difference, found.low, found.high, found.n_pairs, reference, why)


def _stands(metric: str, low: float | None, high: float | None, limit: float) -> tuple[State, str]:
    """By the interval alone."""
    if low is None or high is None:
        return "can't tell", "there is no interval"
    lower = measures()[metric].better == "lower"
    if (high <= limit) if lower else (low >= limit):
        return "met", ""
    if (low > limit) if lower else (high < limit):
        return "not met", ""
    return "can't tell", "the interval holds the limit: ask more prompts"


def _rate_in_doubt(facts: Facts, found: Estimate, state: State, limit: float, sets: list[EvaluationFacts]) -> str:
    """Why a rate's state rests on its reader; empty where it doesn't, or where nothing is known of the reader."""
    names = [one.name for one in sets]
    worth = facts.doubts.corrected(found.metric, found.arm, names)
    if isinstance(worth, dict):
        told = rate(worth)
        same = _stands(found.metric, told.low, told.high, limit)[0] == state
        return "" if same else _by_labels(told.n)
    if facts.doubts.unmeasured(found.metric, found.arm, names):
        return f"{UNMEASURED}; label some replies"
    at = facts.doubts.misread(found.metric, [found.arm], names, limit)
    return _reader_could_turn(found, state, limit, at) if at else ""


def _change_in_doubt(facts: Facts, found: Comparison, state: State, limit: float, sets: list[EvaluationFacts]) -> str:
    """The same of a change: two arms that truly differ by the limit are read to differ by less, and unevenly."""
    if found.by_people is not None:
        same = _stands(found.metric, found.by_people.low, found.by_people.high, limit)[0] == state
        return "" if same else _by_labels(sum(found.by_people.labels))
    if found.unmeasured:
        return f"{UNMEASURED}; label some replies"
    if found.reader_error is None:
        return ""
    arms, names = (found.arm_a, found.arm_b), [one.name for one in sets]
    none, some = (facts.doubts.misread(found.metric, arms, names, at) for at in (0.0, abs(limit)))
    read = math.copysign(1.0, limit) * (some.read - none.read) if none and some else limit
    return _reader_could_turn(found, state, limit, Misreading(read, found.reader_error))


def _reader_could_turn(found: Estimate | Comparison, state: State, limit: float, at: Misreading) -> str:
    """Why the reader's error could have made a state; empty where it could not.

    `at`: what an arm exactly at the limit is read to have. How far off that may be, and the way from the value to its
    interval's end, are added in quadrature, as for the words of a comparison.
    """
    value = found.value if isinstance(found, Estimate) else found.difference
    if value is None or found.low is None or found.high is None:
        return ""
    below = (measures()[found.metric].better == "lower") == (state == "met")
    chance, way = (found.high - value, at.read - value) if below else (value - found.low, value - at.read)
    if way > math.hypot(chance, at.off):
        return ""
    unit, least = ("%", 0.0) if isinstance(found, Estimate) else ("points", -1.0)
    low, high = max(least, at.read - at.off), min(1.0, at.read + at.off)
    as_read = f"{100 * limit:g} {unit} may be read as {100 * low:.0f} to {100 * high:.0f} {unit}"
    return f"the reader's error could make this: {as_read}; label some replies"


def _by_labels(number: int) -> str:
    return f"by {number} labels of people it isn't shown"


def _turned(metric: str, state: State, values: tuple[float | None, ...], limit: float) -> bool:
    """Whether one of these values would stand on the other side of a limit."""
    lower = measures()[metric].better == "lower"
    return any(v is not None and ((v <= limit) if lower else (v >= limit)) != (state == "met") for v in values)
