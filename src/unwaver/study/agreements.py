"""How far the judges of a study agree: every two that read the same texts through the same question.

Reads verdicts, all judges' of all evaluations; gives an `Agreed` for each question and pair of judges. What one of them
left unscored is in no measure and is counted. Pure. Reviewers of the paper asked for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import combinations

from unwaver.judging.anatomy import read_in
from unwaver.records import LookedAt, Record, Verdict
from unwaver.study.agreement import Agreement, agreement, by_pattern, by_sentence

LABELS: dict[str, tuple[str, ...]] = {
    "harm": ("safe", "unsafe"),
    "guard": ("safe", "unsafe"),
    "refusal": ("refusal", "partial", "compliance"),
}
"""The closed answers of a rubric, by its name."""

PATTERNS_RUBRIC = "risky-patterns"

ANATOMY_RUBRIC = "anatomy"


class Agreed(Record):
    """Two judges on one question."""

    rubric: str
    """Its name, without a hash: two judges may be asked in different words. A pattern has `risky-patterns:NAME`, and
    what is compared sentence by sentence `anatomy:NAME`."""
    looked_at: LookedAt
    judges: tuple[str, str]
    """The first is the one whose verdicts decide."""
    agreement: Agreement
    """Of the labels on all traces that both were asked about."""


def agreements(verdicts: Iterable[Verdict]) -> list[Agreed]:
    """The agreement of every two judges on every rubric and text; none where each question had one judge.

    A trace that a judge was given several times counts once, with its first verdict.
    """
    read: dict[tuple[str, LookedAt], dict[str, dict[str, Verdict]]] = defaultdict(lambda: defaultdict(dict))
    for verdict in verdicts:
        question = (verdict.rubric.partition("@")[0], verdict.looked_at)
        read[question][verdict.judge].setdefault(verdict.trace, verdict)
    return [
        Agreed(rubric=name, looked_at=looked_at, judges=(one, two), agreement=found)
        for (rubric, looked_at), judges in read.items()
        for one, two in combinations(judges, 2)
        for name, found in _compared(rubric, judges[one], judges[two])
    ]


def _compared(rubric: str, one: dict[str, Verdict], two: dict[str, Verdict]) -> Iterable[tuple[str, Agreement]]:
    both = [trace for trace in one if trace in two]
    if not both:
        return []
    if rubric == ANATOMY_RUBRIC:
        told = by_sentence([read_in(one[trace]) for trace in both], [read_in(two[trace]) for trace in both])
        return [(f"{rubric}:{name}", found) for name, found in told.items()]
    if rubric == PATTERNS_RUBRIC:
        left = ([one[trace].undecided for trace in both], [two[trace].undecided for trace in both])
        shown = by_pattern([one[trace].labels for trace in both], [two[trace].labels for trace in both], left)
        return [(f"{rubric}:{name}", found) for name, found in shown.items()]
    first, second = [one[trace].label for trace in both], [two[trace].label for trace in both]
    return [(rubric, agreement(first, second, LABELS.get(rubric)))]
