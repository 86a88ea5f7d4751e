"""The reasonings on harmful prompts, and how cue words and judges take them apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from unwaver.judging.anatomy import read_in
from unwaver.judging.questions import ANATOMY
from unwaver.records import Estimate, Verdict
from unwaver.report.doubts import behaviour_of
from unwaver.report.facts import Facts, harmful_rows
from unwaver.report.teachers import teacher_of
from unwaver.study.anatomy import anatomy
from unwaver.study.anatomy import judged as anatomy_by_judge

TAKEN_APART = 1200
"""Reasonings of all authors together that are taken apart, at least `FEWEST` of each: about two milliseconds each."""


FEWEST = 40


CUE_WORDS = "cue words"
"""The reader that is no model."""


KEY = ANATOMY
"""A judge's reading, `rubric:looked_at`."""


def reasonings(facts: Facts) -> dict[str, dict[str, str | None]]:
    """The reasonings that are taken apart, by author and trace; authors without any are left out."""
    texts: dict[str, dict[str, str | None]] = defaultdict(dict)
    for arm in facts.arms:
        texts[arm] = {row.trace.id: row.trace.learnt.reasoning for row in harmful_rows(facts, arm)}
    for row in facts.results.teacher_rows:
        texts[teacher_of(row)][row.trace.id] = row.trace.reasoning
    share = max(FEWEST, TAKEN_APART // max(1, len(texts)))
    return {name: dict(sorted(found.items())[:share]) for name, found in texts.items() if any(found.values())}


def prompts(facts: Facts) -> dict[str, str]:
    """By trace, what is asked of it: the behaviour that a prompt seeks, the same on all sets and for all seeds."""
    return {row.trace.id: behaviour_of(row.trace) for row in [*facts.results.rows, *facts.results.teacher_rows]}


def judged(facts: Facts) -> dict[str, Verdict]:
    """By trace, the first judge's verdict through the rubric `anatomy`; none where the recipe names no judge for it."""
    rows = [*facts.results.rows, *facts.results.teacher_rows]
    return {row.trace.id: verdict for row in rows if (verdict := row.readings.get(KEY)) is not None}


@dataclass(frozen=True)
class Apart:
    """An author's reasonings as one reader takes them apart."""

    author: str
    reader: str
    estimates: list[Estimate]


def anatomies(
    texts: Mapping[str, Mapping[str, str | None]], verdicts: Mapping[str, Verdict], to: Mapping[str, str]
) -> list[Apart]:
    """What the reasonings are made of, by author: read by cue words, and the same reasonings by whom a judge read.

    `to`: by trace, the prompt (`prompts`).
    """
    made = []
    for name, found in texts.items():
        made.append(Apart(name, CUE_WORDS, anatomy(found, name, prompts=to)))
        mine = {key: verdicts[key] for key in found if key in verdicts}
        for judge in dict.fromkeys(verdict.judge for verdict in mine.values()):
            read = {key: read_in(verdict) for key, verdict in mine.items() if verdict.judge == judge}
            made.append(Apart(name, judge, anatomy_by_judge(found, read, name, prompts=to)))
    return made
