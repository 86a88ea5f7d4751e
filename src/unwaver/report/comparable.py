"""Which figures may be drawn or ranked together: those the same readers took of the same prompts, drawn the same way.

Reads what each figure rests on (`Facts.bases`); names the fields that differ. Two arms that are compared prompt by
prompt need not have been asked the same set, since only the prompts they share are used; two that merely stand in one
chart or one order must. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from unwaver.report.facts import EvaluationFacts, Facts

Taken = tuple[str, Sequence[EvaluationFacts]]
"""A measure and the sets it is pooled over."""


@dataclass(frozen=True)
class Together:
    """The arms that may stand in one chart."""

    arms: Sequence[str]
    notes: Sequence[str]
    """Which are left out, and what differs."""


def together(facts: Facts, taken: Iterable[Taken], arms: Iterable[str] | None = None) -> Together:
    """Of these arms (all, unless said) the most that were measured alike, the others named with what differs."""
    taken = list(taken)
    groups: list[list[str]] = []
    for arm in facts.arms if arms is None else arms:
        if not any(facts.bases(metric, arm, one.name) for metric, sets in taken for one in sets):
            continue
        mine = next((group for group in groups if not _differing(facts, taken, group[0], arm)), None)
        if mine is None:
            groups.append([arm])
        else:
            mine.append(arm)
    best = max(groups, key=len, default=[])
    left: dict[tuple[str, ...], list[str]] = {}
    for group in groups:
        if group is not best:
            left.setdefault(_differing(facts, taken, best[0], group[0]), []).extend(group)
    return Together(best, [_note(fields, those) for fields, those in left.items()])


def _note(fields: Sequence[str], arms: Sequence[str]) -> str:
    return f"Not drawn with the others, {', '.join(fields)} being another: {'; '.join(arms)}."


def _differing(facts: Facts, taken: Iterable[Taken], one: str, other: str) -> tuple[str, ...]:
    found = (facts.differing(metric, one, other, each.name) for metric, sets in taken for each in sets)
    return tuple(dict.fromkeys(field for fields in found for field in fields))
