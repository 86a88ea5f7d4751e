"""Is the gain less harm, or another style? Outcomes at the same length, and answers without their opener.

Reads outcomes with the lengths they came at, or answers with a reader of refusals; writes estimates and a regression.
Guarantees: all arms share one set of strata; an item without an outcome is unscored, one without a length is told
apart, never counted as short; a regression that has no answer says why. Pure. Reviewers of the paper (arXiv 2505.15404)
asked for these controls; it has none.

Length is partly a consequence of refusing, so a difference that vanishes at equal length need not have been one of
style: docs/statistics.md says how to read both.
"""

from __future__ import annotations

import re
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Unpack

import numpy as np
from statsmodels.discrete.discrete_model import Logit
from statsmodels.tools.sm_exceptions import PerfectSeparationError

from unwaver.intervals import LEVEL, normal_quantile
from unwaver.records import Estimate
from unwaver.study.seeds import Floats
from unwaver.study.stats import Label, Of, rate

Part = Literal["reasoning", "answer"]
PARTS: tuple[Part, Part] = ("reasoning", "answer")

STRATA = 4
"""Quarters of the pooled lengths."""

EVENTS_PER_TERM = 5
"""Fewest of the rarer outcome per term of a regression (Vittinghoff and McCulloch 2007; the older rule said 10)."""

WIDEST = 5.0
"""A standard error of log odds above this is separation: the odds are anywhere between nothing and everything."""


@dataclass(frozen=True)
class Item:
    """One trace of one arm, with what came of it."""

    prompt: str
    """The id of the prompt; what repeats within an arm is a further sample."""
    arm: str
    outcome: Label
    reasoning: int | None
    """Length of the reasoning, in one unit throughout; None: there was no block."""
    answer: int | None
    """Length of the answer; None: it was never reached."""


@dataclass(frozen=True)
class Term:
    """What one thing does to the odds of the outcome, all others held still."""

    name: str
    """An arm against the reference, or a length that doubles."""
    odds_ratio: float | None
    """Below 1: rarer. None: a length that is the same everywhere."""
    low: float | None
    high: float | None
    p: float | None
    crude: float | None
    """The arm's odds ratio without regard to length; None for lengths."""


@dataclass(frozen=True)
class Regression:
    """A logistic regression of an outcome on arms and lengths, or why there is none."""

    terms: tuple[Term, ...]
    """Empty where there is a problem."""
    n: int
    n_left_out: int
    """Items without an outcome or without a length."""
    n_events: int
    """Outcomes that are True."""
    one_sided: tuple[str, ...]
    """Arms whose outcomes are all the same: their odds are nothing or everything, and they are not in the fit."""
    problem: str | None
    """Why there are no terms; None where there are."""
    method: str = "logistic regression, errors clustered by prompt, 95 %"


def by_length(items: Iterable[Item], part: Part, metric: str, strata: int = STRATA, **of: Unpack[Of]) -> list[Estimate]:
    """The rate of every arm in every stratum of one part's length: shortest stratum first, arms as they first appear.

    Strata are cut at quantiles of all arms' lengths together; equal lengths share a stratum, so there may be fewer.
    Slices are named by the lengths they hold; items without the part come last. An arm with nothing in a stratum has an
    estimate without a value there.
    """
    items = list(items)
    arms = dict.fromkeys(item.arm for item in items)
    lengths = [length for item in items if (length := _length(item, part)) is not None]
    cuts = np.unique(np.quantile(lengths, np.arange(1, strata) / strata)) if lengths else np.array([])
    held: dict[int, set[int]] = defaultdict(set)
    rows: dict[tuple[int, str], dict[str, list[Label]]] = defaultdict(lambda: defaultdict(list))
    for item in items:
        length = _length(item, part)
        stratum = len(cuts) + 1
        if length is not None:
            stratum = int(np.searchsorted(cuts, length))
            held[stratum].add(length)
        rows[stratum, item.arm][item.prompt].append(item.outcome)
    names = {stratum: f"{part} {min(found)} to {max(found)}" for stratum, found in held.items()}
    names |= {len(cuts) + 1: f"no {part}"} if len(lengths) < len(items) else {}
    return [rate(rows[key, arm], metric, arm, names[key], **of) for key in sorted(names) for arm in arms]


def _length(item: Item, part: Part) -> int | None:
    return item.reasoning if part == "reasoning" else item.answer


def at_equal_length(items: Iterable[Item], reference: str) -> Regression:
    """Each arm's odds of the outcome against the reference arm's, at the same lengths of reasoning and answer.

    Lengths enter as logarithms to base 2, so their odds ratio is for a doubling; errors are clustered by prompt, which
    all arms share. Too few of either outcome, arms and lengths that decide it alone, or lengths that tell the arms
    apart give a `problem`.
    """
    items = list(items)
    scored = [i for i in items if None not in (i.outcome, i.reasoning, i.answer)]
    outcomes = {arm: {i.outcome for i in scored if i.arm == arm} for arm in dict.fromkeys(i.arm for i in scored)}
    one_sided = tuple(arm for arm, found in outcomes.items() if len(found) == 1)
    kept = [i for i in scored if i.arm not in one_sided]
    events = sum(bool(i.outcome) for i in kept)
    columns = {
        arm: np.array([float(i.arm == arm) for i in kept]) for arm in outcomes if arm not in (*one_sided, reference)
    }
    columns |= {f"{part} length doubled": np.log2([1.0 + (_length(i, part) or 0) for i in kept]) for part in PARTS}
    varying = {name: column for name, column in columns.items() if column.size and np.ptp(column) > 0}
    terms: list[Term] = []
    rarer, needed = min(events, len(kept) - events), EVENTS_PER_TERM * len(varying)
    problem: str | None = None
    if reference not in outcomes:
        problem = f"nothing scored in the reference arm {reference}"
    elif reference in one_sided or len(columns) == len(PARTS):
        problem = f"separation: one outcome only in {', '.join(one_sided)}" if one_sided else "no arm but the reference"
    elif rarer < needed:
        problem = f"too few: the rarer outcome came {rarer} times, {len(varying)} terms need {needed}"
    else:
        fit = _fit(np.array([float(bool(i.outcome)) for i in kept]), list(varying.values()), [i.prompt for i in kept])
        if isinstance(fit, str):
            problem = fit
        else:
            found = dict(zip(varying, fit, strict=True))
            terms = [_term(name, found.get(name), _crude(kept, name, reference)) for name in columns]
    return Regression(tuple(terms), len(kept), len(items) - len(scored), events, one_sided, problem)


def _fit(outcome: Floats, columns: Sequence[Floats], prompts: Sequence[str]) -> list[tuple[float, float, float]] | str:
    """Log odds, standard error and p of every column but the intercept, or why there are none."""
    design = np.column_stack([np.ones_like(outcome), *((column - column.mean()) / column.std() for column in columns)])
    if np.linalg.matrix_rank(design, tol=1e-6 * len(outcome) ** 0.5) < design.shape[1]:
        return "the lengths alone tell the arms apart, so neither can be held still"
    groups = np.unique(np.array(prompts), return_inverse=True)[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            fit = Logit(outcome, design).fit(disp=0, maxiter=100, cov_type="cluster", cov_kwds={"groups": groups})
        except (np.linalg.LinAlgError, PerfectSeparationError):
            return "separation: arm and lengths decide the outcome"
    errors = np.asarray(fit.bse)[1:]
    if not (fit.mle_retvals["converged"] and np.isfinite(errors).all() and errors.max() < WIDEST):
        return "separation: arm and lengths decide the outcome"
    scales = [float(column.std()) for column in columns]
    found = zip(np.asarray(fit.params)[1:], errors, np.asarray(fit.pvalues)[1:], scales, strict=True)
    return [(float(value / scale), float(error / scale), float(p)) for value, error, p, scale in found]


def _term(name: str, found: tuple[float, float, float] | None, crude: float | None) -> Term:
    if found is None:
        return Term(name, None, None, None, None, crude)
    value, error, p = found
    half = normal_quantile(LEVEL) * error
    return Term(name, _exp(value), _exp(value - half), _exp(value + half), p, crude)


def _exp(log_odds: float) -> float:
    return float(np.exp(np.clip(log_odds, -700, 700)))


def _crude(kept: Sequence[Item], arm: str, reference: str) -> float | None:
    """The odds ratio of an arm without regard to length; None for what is no arm."""
    sides = [[bool(i.outcome) for i in kept if i.arm == name] for name in (arm, reference)]
    if not sides[0]:
        return None
    (yes, no), (yes_reference, no_reference) = ((sum(side), len(side) - sum(side)) for side in sides)
    return (yes / no) / (yes_reference / no_reference)


OPENER = re.compile(
    r"""[\s*_>\#"'“”‘]*
    (?: (?:i['’]m|i\ am|we['’]re|we\ are)\ (?:(?:so|very|truly|really|deeply)\ )?sorry | sorry
      | (?:(?:my|our)\ )?(?:sincere(?:st)?\ )?apologies | (?:i|we)\ (?:(?:sincerely|must)\ )?apologi[sz]e
      | unfortunately | regrettably | i\ regret )
    \b [\s,.;:!…—–*_-]* (?:but\b[\s,]*)?""",
    re.IGNORECASE | re.VERBOSE,
)
"""The fixed first words of a refusal: what the `improved` recipe teaches, and its usual neighbours."""


def strip_opener(answer: str) -> str:
    """The answer without its opener, or as it was; two openers in a row are both taken off."""
    for _ in range(2):
        found = OPENER.match(answer)
        answer = answer[found.end() :] if found else answer
    return answer


@dataclass(frozen=True)
class Opener:
    """The same answers read as they are and without their opener."""

    as_written: Estimate
    stripped: Estimate
    """Where nothing but the opener was said, there is nothing to read: unscored."""
    n_opened: int
    """Answers that began with an opener."""
    n_changed: int
    """Answers scored both times, with another reading the second time."""


def without_opener(
    answers: Mapping[str, str | None],
    read: Callable[[str], Label],
    metric: str,
    arm: str,
    slice: str = "",
    **of: Unpack[Of],
) -> Opener:
    """Whether refusals are refusals beyond their first word: the rate `read` finds before and after stripping it.

    `read` says whether a text refuses, None where it can't tell. A large fall means that the reader, or the model,
    goes by the opener alone.
    """
    before = {key: None if answer is None else read(answer) for key, answer in answers.items()}
    rest = {key: None if answer is None else strip_opener(answer) for key, answer in answers.items()}
    opened = [key for key, text in rest.items() if text != answers[key]]
    after = before | {key: read(text) if (text := rest[key]) else None for key in opened}
    changed = sum(None not in (before[key], after[key]) and before[key] != after[key] for key in opened)
    as_written = rate(before, metric, arm, slice, **of)
    return Opener(as_written, rate(after, f"{metric}:opener stripped", arm, slice, **of), len(opened), changed)
