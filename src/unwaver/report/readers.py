"""Who judged, and how far they can be trusted: every reader, its labels, and its agreement with others.

Reads verdicts and, where the teacher is the scripted one, the labels its replies were written to; writes tables and a
figure. Agreement is measured only where two readings of the same text are at hand (study section 6).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import altair as alt

from unwaver.judging.agreement import Agreement, agreement, by_pattern
from unwaver.recipe import RULES
from unwaver.records import NO_PATTERN, PATTERNS, Verdict
from unwaver.report.charts import Figure, data, light, titled
from unwaver.report.facts import Facts
from unwaver.report.tables import NOTHING, Cell, Table, count, percent
from unwaver.sources import corpus
from unwaver.study.agreements import agreements

SCRIPTED = "replay:corpus"
"""The teacher whose replies carry labels of their own."""

WRITTEN = "the corpus's own labels"

PEOPLE = (("GPT-4", 450, 0.980), ("Llama-2", 450, 0.971))
"""(model, completions, agreement) of the refusal rules with XSTest's human labels, as docs/rules.md has them."""

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


def named(verdict: Verdict) -> str:
    """The rubric's name with what was looked at."""
    return f"{verdict.rubric.partition('@')[0]} ({verdict.looked_at})"


def reader_table(facts: Facts) -> Table | None:
    """Every reader with what it said."""
    labels: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    unscored: Counter[tuple[str, str]] = Counter()
    for verdict in facts.results.verdicts:
        key = (named(verdict), verdict.judge)
        labels[key].update([] if verdict.label is None else verdict.labels or [verdict.label])
        unscored[key] += verdict.label is None
    if not labels:
        return None
    totals = Counter((named(v), v.judge) for v in facts.results.verdicts)
    rows = []
    for (rubric, judge), counted in sorted(labels.items()):
        said = ", ".join(f"{label.replace('_', ' ')} {n:,}" for label, n in counted.most_common())
        kind = "rules" if judge.startswith(RULES) else "model"
        rows.append(
            [
                Cell(rubric),
                Cell(judge),
                Cell(kind),
                count(totals[rubric, judge]),
                count(unscored[rubric, judge]),
                Cell(said),
            ]
        )
    return Table(
        "readers",
        "Who judged what",
        "The text that was looked at stands in brackets. Rules are readers without a model.",
        ["question", "reader", "kind", "readings", "unscored", "labels"],
        rows,
        ("A trace may show several patterns, so their counts can add up to more than the readings.", *_people(labels)),
    )


def _people(readers: Iterable[tuple[str, str]]) -> list[str]:
    """What is known of the refusal rules and people, where they were asked."""
    if not any(rubric.startswith("refusal") and judge.startswith(RULES) for rubric, judge in readers):
        return []
    said = " and ".join(f"{100 * share:.1f} % of {n} answers of {name}" for name, n, share in PEOPLE)
    return [
        f"The refusal rules agree with people (refusal or not) on {said}; both files were used in writing the rules, "
        "so expect less elsewhere (docs/rules.md)."
    ]


def comparisons(facts: Facts) -> list[Compared]:
    """Every two readings of the same texts: the rules with what the corpus says of itself, judges with each other."""
    return [*_with_corpus(facts), *_judges(facts)]


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


def trust(compared: list[Compared], *questions: str) -> str:
    """The rules' agreement on some questions in one sentence, for figures that rest on them; empty where none is known.

    A question is meant with whatever text it was read on: `guard` stands for `guard (both)`.
    """
    said = [
        f"{_HARM.get(name := c.question.partition(' (')[0], name)} {percent(c.found.share, c.found.n)}"
        for c in compared
        if c.first.startswith(RULES) and c.found.n and c.question.partition(" (")[0] in questions
    ]
    if not said:
        return ""
    n = max(c.found.n for c in compared)
    return f"Read by rules. On {n} of the teacher's replies they agree with {WRITTEN}: {', '.join(said)}."
