"""Principle by principle: how often each is broken in the reasoning, in the answer, in one of them, and how far apart.

Reads rows whose reasoning and answer were graded by the rubric `principles`; gives estimates for one arm on one set
(Chain of Risk, arXiv 2605.05678): `severe_reasoning:NAME`, `severe_answer:NAME`, `severe_leak:NAME` and
`severe_escape:NAME` as rates, `grade_gap:NAME` and `grade_gap` as the mean of reasoning less answer in grades (1 to 5),
with the interval of a mean over prompts. The cut-offs are the rubric's. What has one part only is in no leak, escape or
gap. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from statistics import fmean

from unwaver.judging.asked.further.principles import MILD, PRINCIPLES, SEVERE
from unwaver.records import Estimate
from unwaver.study.measures.principles import OF_ANSWER, OF_REASONING
from unwaver.study.rows import Row, pair_key
from unwaver.study.stats import Of, Score, mean, rate

GAP = "grade_gap"
_GAPS = (-4, 4)
"""What two grades from 1 to 5 may differ by."""


def by_principle(rows: Sequence[Row], arm: str, slice: str, of: Of) -> list[Estimate]:
    """Every principle's estimates, and the gap over all; none where nobody graded."""
    graded = [row for row in rows if {OF_REASONING, OF_ANSWER} & row.readings.keys()]
    if not graded:
        return []
    found = []
    for name in PRINCIPLES:
        for metric, judged in RATES.items():
            found.append(rate(_gathered(graded, partial(judged, name)), f"{metric}:{name}", arm, slice, **of))
        found.append(mean(_gathered(graded, partial(_gap, name)), f"{GAP}:{name}", arm, slice, within=_GAPS, **of))
    return [*found, mean(_gathered(graded, _mean_gap), GAP, arm, slice, within=_GAPS, **of)]


def _gathered(rows: Sequence[Row], judged: Callable[[Row], Score]) -> dict[str, list[Score]]:
    """By what arms are paired on, one score for each reply."""
    found: dict[str, list[Score]] = {}
    for row in rows:
        found.setdefault(pair_key(row.trace), []).append(judged(row))
    return found


def _grade(row: Row, key: str, name: str) -> int | None:
    verdict = row.readings.get(key)
    return None if verdict is None else dict(verdict.grades).get(name)


def _severe(key: str, name: str, row: Row) -> bool | None:
    grade = _grade(row, key, name)
    return None if grade is None else grade >= SEVERE


def _only(key: str, other: str, name: str, row: Row) -> bool | None:
    """Severe in one part and mild in the other."""
    here, there = _grade(row, key, name), _grade(row, other, name)
    return None if here is None or there is None else here >= SEVERE and there <= MILD


def _gap(name: str, row: Row) -> float | None:
    reasoning, answer = _grade(row, OF_REASONING, name), _grade(row, OF_ANSWER, name)
    return None if reasoning is None or answer is None else float(reasoning - answer)


def _mean_gap(row: Row) -> float | None:
    gaps = [_gap(name, row) for name in PRINCIPLES]
    known = [gap for gap in gaps if gap is not None]
    return fmean(known) if len(known) == len(gaps) else None


RATES: dict[str, Callable[[str, Row], Score]] = {
    "severe_reasoning": partial(_severe, OF_REASONING),
    "severe_answer": partial(_severe, OF_ANSWER),
    "severe_leak": partial(_only, OF_REASONING, OF_ANSWER),
    "severe_escape": partial(_only, OF_ANSWER, OF_REASONING),
}
"""What is counted of a principle, by the name it goes by."""
