"""What an arm is summed up by: each measure pooled over the sets of one kind of prompt, before training and after.

Reads `Facts`; writes what the answers, the cards and the order of the arms are made of. Before and after are taken on
the sets that both were asked alike; what keeps others out is named. Compared together, and so corrected together. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from unwaver.records import Estimate, Kind
from unwaver.report.facts import ALL, EvaluationFacts, Facts, compared, titles
from unwaver.study.compare import corrected
from unwaver.study.comparison import Comparison
from unwaver.study.measures import main_measure, of_kind

KINDS: tuple[tuple[Kind, ...], ...] = (("harmful",), ("borderline",), ("benign",), ("maths", "code"))
"""The kinds of prompt that are pooled, in the order they are told."""

CALLED: dict[Kind, str] = {"harmful": "harmful", "borderline": "borderline", "benign": "plain"}
"""Kinds of prompt as people call them."""


@dataclass(frozen=True)
class Summed:
    """A measure, and the sets it is pooled over."""

    metric: str
    kind: Kind
    title: str
    """As people call it; with the kind of prompt where another kind has the same measure."""
    sets: Sequence[EvaluationFacts]


@dataclass(frozen=True)
class Change:
    """One measure of one arm, and the same before training."""

    summed: Summed
    sets: Sequence[EvaluationFacts]
    """Those it is taken on: where there is a comparison, the ones that arm and reference were both asked alike."""
    now: Estimate | None
    before: Estimate | None = None
    """None for students before training, and where nothing may be compared."""
    comparison: Comparison | None = None
    apart: Sequence[str] = ()
    """What differs on the sets that were left out."""


Changes = dict[tuple[str, str], Change]
"""By a measure's title and the arm."""


def summed(facts: Facts) -> list[Summed]:
    """The measures an arm is summed up by."""
    found = []
    for kinds in KINDS:
        if sets := facts.of_kind(*kinds):
            told = [main_measure(kinds[0]), *(one for one in of_kind(kinds[0]) if one.on_cards)]
            found += [(one.name, kinds[0], sets) for one in told]
    metrics = [metric for metric, _, _ in found]
    return [
        Summed(metric, kind, titles()[metric] + (f", {CALLED[kind]}" if metrics.count(metric) > 1 else ""), sets)
        for metric, kind, sets in found
    ]


def changes(facts: Facts) -> Changes:
    """Every arm on every measure, each against its reference; corrected over all of them."""
    found = {(one.title, arm): _change(facts, one, arm) for one in summed(facts) for arm in facts.arms}
    keys = [key for key, change in found.items() if change.comparison is not None]
    family = corrected([c for key in keys if (c := found[key].comparison) is not None])
    for key, comparison in zip(keys, family, strict=True):
        found[key] = replace(found[key], comparison=comparison)
    return found


def _change(facts: Facts, one: Summed, arm: str) -> Change:
    reference, metric = facts.reference(arm), one.metric
    asked = [each for each in one.sets if facts.values(arm, each.name, metric)]
    if reference is None:
        return Change(one, asked, facts.pooled(metric, arm, asked))
    both = [each for each in asked if facts.values(reference, each.name, metric)]
    alike = [each for each in both if not facts.apart(metric, arm, each.name)]
    apart = dict.fromkeys(field for each in both for field in facts.apart(metric, arm, each.name))
    if not alike:
        return Change(one, asked, facts.pooled(metric, arm, asked), apart=tuple(apart))
    a, b = (facts.pooled_values(metric, name, alike) for name in (reference, arm))
    now, before = (facts.pooled(metric, name, alike) for name in (arm, reference))
    found = compared(a, b, (metric, ALL, reference, arm))
    told = facts.doubts.about(found, [each.name for each in alike])
    return Change(one, alike, now, before, told, tuple(apart))
