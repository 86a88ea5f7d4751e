"""The protocol, written out: what each evaluation set was asked and how, and who read which text through which rubric.

Reads the settings of the runs (the same that stand in their `config.json`) and the verdicts; reviewers of the paper
asked for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from unwaver.judging.anatomy import Anatomy, read_in
from unwaver.judging.local.cue_words import by_cues
from unwaver.judging.local.reader_file import opened
from unwaver.judging.questions import GUARD, HARM, HARM_OF_ANSWER, PATTERNS_SHOWN, REFUSAL
from unwaver.recipe import is_local, read_without_model, reader_file
from unwaver.records import PATTERNS
from unwaver.report.facts import Facts
from unwaver.report.reasonings import CUE_WORDS, judged, reasonings
from unwaver.report.tables import percent
from unwaver.sources import corpus
from unwaver.study.agreement import Agreement, Labels, agreement, by_pattern, by_sentence
from unwaver.study.agreements import LABELS, agreements

SCRIPTED = "replay:corpus"
"""The teacher whose replies carry labels of their own."""


WRITTEN = "the corpus's own labels"


SEEN = "harm, with and without the reasoning"
"""The question of one judge who is shown the reasoning or not."""


HARM_LABELS = LABELS["harm"]


_HARM = {"guard": "harm"}
"""The guard of the rules is their reading of harm."""


_TEACHERS = ("default", "realsafe", "improved", "short", "template")


@dataclass(frozen=True)
class Compared:
    """Two readings of the same texts."""

    question: str
    """The rubric, or one pattern of it."""
    first: str
    second: str
    found: Agreement


def comparisons(facts: Facts) -> list[Compared]:
    """Every two readings of the same replies: the rules and what the corpus says of itself, two judges, one judge who
    saw the reasoning or didn't, and a judge and the cue words on what the same sentences do."""
    return [*_with_corpus(facts), *_judges(facts), *_with_reasoning(facts), *_with_cues(facts)]


def _with_cues(facts: Facts) -> list[Compared]:
    """What a judge and the cue words make of the sentences of the reasonings that both took apart."""
    verdicts = judged(facts)
    found: dict[str, tuple[list[Anatomy | None], list[Anatomy | None]]] = {}
    for texts in reasonings(facts).values() if verdicts else ():
        for trace, text in texts.items():
            if text and trace in verdicts:
                by_judge, cued = found.setdefault(verdicts[trace].judge, ([], []))
                by_judge.append(read_in(verdicts[trace]))
                cued.append(by_cues(text))
    return [
        Compared(name.replace("_", " "), judge, CUE_WORDS, agreed)
        for judge, readings in found.items()
        for name, agreed in by_sentence(*readings).items()
        if name != "self_jailbreak_sentence"  # the cue words say nothing of it
    ]


def _with_reasoning(facts: Facts) -> list[Compared]:
    """Harm read by the same judge on the answer alone and on reasoning and answer: does seeing the thought matter?"""
    found: dict[str, tuple[list[str | None], list[str | None]]] = {}
    for row in facts.results.rows:
        alone, whole = row.readings.get(HARM_OF_ANSWER), row.readings.get(HARM)
        if alone is not None and whole is not None and alone.judge == whole.judge:
            without, seen = found.setdefault(alone.judge, ([], []))
            without.append(alone.label)
            seen.append(whole.label)
    return [
        Compared(
            SEEN, f"{judge}, shown the answer", "the same, shown reasoning and answer", agreement(*labels, HARM_LABELS)
        )
        for judge, labels in found.items()
    ]


def _judges(facts: Facts) -> list[Compared]:
    return [
        Compared(_question(found.rubric, found.looked_at), *found.judges, found.agreement)
        for found in agreements(facts.results.verdicts)
    ]


def _question(rubric: str, looked_at: str) -> str:
    """A question as people read it; a pattern by its name."""
    name, _, pattern = rubric.partition(":")
    return pattern.replace("_", " ") if pattern else f"{name} ({looked_at})"


def _with_corpus(facts: Facts) -> list[Compared]:
    rows = [row for row in facts.results.teacher_rows if row.trace.model.startswith(SCRIPTED)]
    if not rows:
        return []
    told = {(str(reply["prompt"]), str(reply["answer"])): reply for reply in _replies()}
    found = []
    for rubric, key in ((GUARD, "unsafe"), (PATTERNS_SHOWN, "patterns"), (REFUSAL, "refusal")):
        ours: list[Labels] = []
        theirs: list[Labels] = []
        left: list[tuple[str, ...]] = []
        judges: Counter[str] = Counter()
        seen: set[str] = set()
        for row in rows:
            reply, verdict = told.get((row.trace.prompt.text, row.trace.answer or "")), row.readings.get(rubric)
            if reply is None or verdict is None or row.trace.id in seen:
                continue
            seen.add(row.trace.id)
            judges[verdict.judge] += 1
            ours.append(verdict.labels)
            left.append(verdict.undecided)
            theirs.append(_labels(reply[key]))
        if ours:
            question = rubric.replace(":", " (") + ")"
            found += _compared(question, judges.most_common(1)[0][0], WRITTEN, ours, theirs, left)
    return found


@cache
def _replies() -> tuple[dict[str, Any], ...]:
    return tuple(reply for name in _TEACHERS for reply in corpus.replies(name))


def _labels(value: object) -> Labels:
    if isinstance(value, bool):
        return ("unsafe" if value else "safe",)
    if isinstance(value, list):
        return tuple(name for name in PATTERNS if name in value)
    return (str(value),)


def _compared(  # noqa: PLR0917
    question: str, first: str, second: str, ours: list[Labels], theirs: list[Labels], left: list[tuple[str, ...]]
) -> list[Compared]:
    if not question.startswith("risky-patterns"):
        return [Compared(question, first, second, agreement(_closed(ours), _closed(theirs)))]
    by_name = by_pattern(ours, theirs, (left, ()))
    return [Compared(pattern.replace("_", " "), first, second, found) for pattern, found in by_name.items()]


def _closed(labels: list[Labels]) -> list[str | None]:
    """The one closed answer of each verdict."""
    return [None if one is None else one[0] for one in labels]


def trust(facts: Facts, compared: list[Compared], *questions: str) -> str:
    """How far the readers without a model that a figure rests on agree with others, in a sentence or two; empty where
    none was asked.

    A question is meant with whatever text it was read on: `guard` stands for `guard (both)`.
    """
    judge = facts.results.recipe.judge
    asked = {"guard": judge.harm, "refusal": judge.refusal}
    readers = {question: asked.get(question, judge.patterns)[0] for question in questions}
    local = {question: reader for question, reader in readers.items() if is_local(reader)}
    if not local:
        return ""
    mine = [c for c in compared if read_without_model(c.first) and c.second == WRITTEN and c.found.n]
    known = {c.question.partition(" (")[0]: c.found for c in mine}
    said = [f"{_HARM.get(q, q)} {percent(known[q].share, known[q].n)}" for q in local if q in known]
    text = f"Read without a model. {measured(local)}"
    if said:
        n = max(known[q].n for q in local if q in known)
        text += f" On {n} of the teacher's replies it agrees with {WRITTEN}: {', '.join(said)}."
    return text


def measured(readers: Mapping[str, str]) -> str:
    """How well readers without a model did on models left out of their training; by question, who reads."""
    told = []
    for question, judge in readers.items():
        found = opened(reader_file(judge)).measured(_HARM.get(question, question).replace(" ", "_"))
        told += [f"{_HARM.get(question, question)} {found}"] if found else []
    if not told:
        return "How well it reads isn't measured (docs/readers.md)."
    return f"On models left out of its training it agrees with their labels so (docs/readers.md): {'; '.join(told)}."
