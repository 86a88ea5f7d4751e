"""How far readers can be trusted: their agreement with others, and with themselves shown more.

Reads verdicts and, where the teacher is the scripted one, the labels its replies were written to; writes tables and a
figure. Agreement is measured only where two readings of the same text are at hand; reviewers of the paper asked for it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Any

import altair as alt

from unwaver.judging.agreement import Agreement, agreement, by_pattern, by_sentence
from unwaver.judging.anatomy import Anatomy, told_in
from unwaver.recipe import RULES
from unwaver.records import NO_PATTERN, PATTERNS
from unwaver.report import anatomy_figures
from unwaver.report.charts import Figure, data, light, titled
from unwaver.report.facts import Facts
from unwaver.report.protocol import PEOPLE
from unwaver.report.tables import NOTHING, Cell, Table, count, percent
from unwaver.sources import corpus
from unwaver.study.agreements import LABELS, agreements
from unwaver.study.anatomy import by_cues

SCRIPTED = "replay:corpus"
"""The teacher whose replies carry labels of their own."""

WRITTEN = "the corpus's own labels"

_BY_SENTENCE = (
    "Of sentences n counts sentences; those of one reasoning are alike, so their intervals are narrower than they "
    "should be."
)

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
    saw the reasoning or didn't, and a judge and the cue words on the same sentences."""
    return [*_with_corpus(facts), *_judges(facts), *_with_reasoning(facts), *_with_cues(facts)]


def _with_cues(facts: Facts) -> list[Compared]:
    """What a judge and the cue words make of the sentences of the reasonings that both took apart."""
    verdicts = anatomy_figures.judged(facts)
    found: dict[str, tuple[list[Anatomy | None], list[Anatomy | None]]] = {}
    for texts in anatomy_figures.reasonings(facts).values() if verdicts else ():
        for trace, text in texts.items():
            if text and trace in verdicts:
                by_judge, cued = found.setdefault(verdicts[trace].judge, ([], []))
                by_judge.append(told_in(verdicts[trace]))
                cued.append(by_cues(text))
    return [
        Compared(name.replace("_", " "), judge, anatomy_figures.CUE_WORDS, agreed)
        for judge, readings in found.items()
        for name, agreed in by_sentence(*readings).items()
    ]


def _with_reasoning(facts: Facts) -> list[Compared]:
    """Harm read by the same judge on the answer alone and on reasoning and answer: does seeing the thought matter?"""
    found: dict[str, tuple[list[str | None], list[str | None]]] = {}
    for row in facts.results.rows:
        alone, whole = row.readings.get("harm:answer"), row.readings.get("harm:both")
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
    for rubric, key in (("guard:both", "unsafe"), ("risky-patterns:both", "patterns"), ("refusal:answer", "refusal")):
        ours: list[str | None] = []
        theirs: list[str | None] = []
        judges: Counter[str] = Counter()
        seen: set[str] = set()
        for row in rows:
            reply, verdict = told.get((row.trace.prompt.text, row.trace.answer or "")), row.readings.get(rubric)
            if reply is None or verdict is None or row.trace.id in seen:
                continue
            seen.add(row.trace.id)
            judges[verdict.judge] += 1
            ours.append(verdict.label)
            theirs.append(_label(reply[key]))
        if ours:
            question = rubric.replace(":", " (") + ")"
            found += _compared(question, judges.most_common(1)[0][0], WRITTEN, ours, theirs)
    return found


@cache
def _replies() -> tuple[dict[str, Any], ...]:
    return tuple(reply for name in _TEACHERS for reply in corpus.replies(name))


def _label(value: object) -> str:
    if isinstance(value, bool):
        return "unsafe" if value else "safe"
    if isinstance(value, list):
        return "+".join(name for name in PATTERNS if name in value) or NO_PATTERN
    return str(value)


def _compared(
    question: str, first: str, second: str, ours: list[str | None], theirs: list[str | None]
) -> list[Compared]:
    if not question.startswith("risky-patterns"):
        return [Compared(question, first, second, agreement(ours, theirs))]
    return [
        Compared(pattern.replace("_", " "), first, second, found) for pattern, found in by_pattern(ours, theirs).items()
    ]


def agreement_table(compared: list[Compared]) -> Table | None:
    """How often two readings agree, with chance taken off."""
    if not compared:
        return None
    rows = []
    for c in compared:
        f = c.found
        share = Cell(percent(f.share, f.n), f.share, f.low, f.high, f.n, f.n_unscored, share=True)
        chance = [Cell(NOTHING) if value is None else Cell(f"{value:.2f}", value) for value in (f.kappa, f.ac1)]
        rows.append([Cell(c.question), Cell(c.first), Cell(c.second), count(f.n), share, *chance])
    return Table(
        "agreement",
        "How far readers agree",
        "The share of texts on which two readings give the same label, with its 95 % interval; kappa (Cohen) and AC1 "
        "(Gwet) take off what chance alone would give.",
        ["question", "reader", "compared with", "n", "agree", "kappa", "AC1"],
        rows,
        (
            "The corpus's labels say what a scripted reply was written to show. They measure the rules on this "
            "corpus's wording; on other models' words they can only do worse.",
            *([_BY_SENTENCE] if any("sentence" in c.question for c in compared) else []),
        ),
    )


def agreement_figure(compared: list[Compared]) -> Figure | None:
    """Confusion tables of the first few comparisons."""
    shown = [c for c in compared if c.found.n][:9]
    if not shown:
        return None
    panels = []
    for c in shown:
        labels = list(c.found.labels)
        rows = [
            {"first": a, "second": b, "n": n, "share": n / max(1, sum(row)), "right": a == b}
            for a, row in zip(labels, c.found.table, strict=True)
            for b, n in zip(labels, row, strict=True)
        ]
        base = alt.Chart(data(rows)).encode(
            x=alt.X("second:N", sort=labels, title=c.second, axis=alt.Axis(labelAngle=0, grid=False, ticks=False)),
            y=alt.Y("first:N", sort=labels, title="reader", axis=alt.Axis(grid=False)),
        )
        shade = alt.condition("datum.right", alt.value(light("cost2")), alt.value(light("worse")))
        strength = alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0.06, 0.85]), legend=None)
        tiles = base.mark_rect(stroke=light("paper"), strokeWidth=2).encode(color=shade, opacity=strength)
        chart = tiles + base.mark_text(fontSize=12, color=light("ink")).encode(text="n:Q")
        size = 66 if len(labels) > 2 else 76
        panels.append(
            titled(chart.properties(width=size * len(labels), height=32 * len(labels)), c.question, size=11.5)
        )
    return Figure(
        "agreement",
        "Where readers differ",
        "Counts of texts by the label of the reader (rows) and of what it is compared with (columns). Blue is "
        "agreement; the stronger the colour, the larger its share of the row.",
        "; ".join(f"{c.question}: {percent(c.found.share, c.found.n)} of {c.found.n} agree" for c in shown),
        alt.concat(*panels, columns=3, spacing=26),
    )


def trust(facts: Facts, compared: list[Compared], *questions: str) -> str:
    """How far the rules that a figure rests on agree with others, in one sentence; empty where no rules were asked.

    A question is meant with whatever text it was read on: `guard` stands for `guard (both)`.
    """
    judge = facts.results.recipe.judge
    asked = {"guard": judge.harm, "refusal": judge.refusal}
    if not any(RULES in asked.get(question, judge.patterns)[:1] for question in questions):
        return ""
    mine = [c for c in compared if c.first.startswith(RULES) and c.second == WRITTEN and c.found.n]
    known = {c.question.partition(" (")[0]: c.found for c in mine}
    said = [f"{_HARM.get(q, q)} {percent(known[q].share, known[q].n)}" for q in questions if q in known]
    if said:
        n = max(known[q].n for q in questions if q in known)
        return f"Read by rules. On {n} of the teacher's replies they agree with {WRITTEN}: {', '.join(said)}."
    people = " and ".join(f"{100 * share:.1f} % of {name}'s answers" for name, _, share in PEOPLE)
    return (
        "Read by rules, whose agreement isn't measured on these models: of refusals it is known from people's labels "
        f"on {people} (docs/rules.md), of harm and patterns from our own corpus alone."
    )
