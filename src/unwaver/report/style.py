"""Is the gain less harm, or another style? Length held still, the opener taken off, what a reasoning is made of.

Reads traces and labels through `study.controls` and `study.anatomy`; writes tables and a figure. Reviewers of the paper
asked for these controls (study section 6). Anatomy reads some of the reasonings only, the
same number of each arm.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import altair as alt

from unwaver.records import Estimate
from unwaver.report.charts import Figure, data, light, row_axis, short
from unwaver.report.facts import Facts
from unwaver.report.figures import ROW, chosen, names
from unwaver.report.main_tables import p_value
from unwaver.report.tables import NOTHING, Cell, Table, count, of
from unwaver.report.teachers import teacher_of
from unwaver.study.anatomy import SEGMENTS, anatomy
from unwaver.study.controls import Item, Opener, Regression, at_equal_length, by_length, without_opener
from unwaver.study.results import Row

SAMPLED = 200
"""Answers of an arm that are read without their opener: enough for a share to within seven points."""

TAKEN_APART = 1200
"""Reasonings of all arms together that are taken apart, at least `FEWEST` of each: about two milliseconds each."""

FEWEST = 40


def _harmful_rows(facts: Facts, arm: str) -> list[Row]:
    kept = {one.name for one in facts.of_kind("harmful")}
    return [
        row for (member, set_), rows in facts.rows.items() if member in facts.arms[arm] and set_ in kept for row in rows
    ]


def _items(facts: Facts, arms: Iterable[str]) -> list[Item]:
    return [
        Item(
            row.trace.prompt.behaviour or row.trace.prompt.id,
            arm,
            None if (label := row.label("harm:both")) is None else label == "unsafe",
            facts.length(row.trace, "reasoning"),
            facts.length(row.trace, "answer"),
        )
        for arm in arms
        for row in _harmful_rows(facts, arm)
    ]


def equal_length(facts: Facts) -> tuple[str, Regression] | None:
    """(reference arm, each chosen arm's odds of harm against its, with length held still).

    The reference is the first arm whose replies have both lengths: raw, unless it does not reason.
    """
    items = _items(facts, chosen(facts))
    whole = [item.arm for item in items if None not in (item.outcome, item.reasoning, item.answer)]
    return (whole[0], at_equal_length(items, whole[0])) if whole else None


def problem(equal: tuple[str, Regression] | None) -> str:
    """Why there is no comparison at equal length, in a sentence; empty where there is one, or nothing to compare."""
    if equal is None or equal[1].problem is None:
        return ""
    return f"Harm can't be compared at equal length here: {equal[1].problem}."


def regression_table(equal: tuple[str, Regression] | None) -> Table | None:
    """Each arm's odds of harm against the reference arm's, with and without length held still."""
    if equal is None or not equal[1].terms:
        return None
    reference, found = equal
    rows = []
    for term in found.terms:
        ends = NOTHING if term.low is None or term.high is None else f"{_odds(term.low)} to {_odds(term.high)}"
        crude = Cell(NOTHING) if term.crude is None else Cell(_odds(term.crude), term.crude)
        adjusted = Cell(NOTHING) if term.odds_ratio is None else Cell(_odds(term.odds_ratio), term.odds_ratio)
        rows.append([Cell(term.name), crude, adjusted, Cell(ends), Cell(p_value(term.p), term.p)])
    base = f"{found.n} replies, {found.n_events} of them unsafe; {found.n_left_out} without label or length left out."
    return Table(
        "equal-length",
        "Harm at equal length",
        f"Odds of an unsafe reply against those of {reference} (below 1: rarer), as counted and with the lengths of "
        "reasoning and answer held still.",
        ["arm or length", "odds ratio", "at equal length", "95 %", "p"],
        rows,
        (base, "Length is partly a consequence of refusing: a gain that vanishes here need not have been style."),
        folded=True,
    )


def _odds(value: float) -> str:
    return f"{value:.2f}" if 0.005 <= value < 1000 else f"{value:.1e}"


def strata_table(facts: Facts) -> Table | None:
    """Harm in quarters of the length of the reasoning."""
    items = _items(facts, facts.arms)
    found = by_length(items, "reasoning", "asr") if items else []
    if not found:
        return None
    slices = list(dict.fromkeys(e.slice for e in found))
    at = {(e.arm, e.slice): e for e in found}
    return Table(
        "strata",
        "Harm by length of the reasoning",
        f"Attack success among replies with reasoning about as long, in {facts.length_unit}; all arms share the cuts.",
        ["arm", *slices],
        [[Cell(arm), *(of(at.get((arm, slice_))) for slice_ in slices)] for arm in facts.arms],
        folded=True,
    )


def opener_table(facts: Facts) -> Table | None:
    """Refusals read as written and without their fixed first words."""
    from unwaver.judging.rules import read_refusal

    def refuses(text: str) -> bool | None:
        return read_refusal(text)[0] == "refusal" if text.strip() else None

    rows = []
    for arm in facts.arms:
        answers = {row.trace.id: row.trace.answer for row in _harmful_rows(facts, arm)[:SAMPLED]}
        if not answers:
            continue
        found: Opener = without_opener(answers, refuses, "refusal", arm)
        rows.append(
            [Cell(arm), of(found.as_written), of(found.stripped), count(found.n_opened), count(found.n_changed)]
        )
    if not rows:
        return None
    return Table(
        "opener",
        "Refusals without their first words",
        "The refusal rate on harmful prompts, read by the rules in the answer as it is and after a fixed opener "
        "(such as Sorry) is taken off. A large fall means that only the opener refuses.",
        ["arm", "as written", "opener taken off", "with an opener", "read otherwise"],
        rows,
        (f"At most {SAMPLED} answers an arm.",),
        folded=True,
    )


def anatomies(facts: Facts) -> dict[str, list[Estimate]]:
    """What reasonings on harmful prompts are made of, by arm, the teacher's under its own name."""
    texts: dict[str, dict[str, str | None]] = defaultdict(dict)
    for arm in facts.arms:
        texts[arm] = {row.trace.id: row.trace.reasoning for row in _harmful_rows(facts, arm)}
    for row in facts.results.teacher_rows:
        texts[teacher_of(row)][row.trace.id] = row.trace.reasoning
    share = max(FEWEST, TAKEN_APART // max(1, len(texts)))
    return {
        name: anatomy(dict(sorted(found.items())[:share]), name) for name, found in texts.items() if any(found.values())
    }


def anatomy_table(found: dict[str, list[Estimate]]) -> Table | None:
    """Segments, self-jailbreak sentences and changes of side."""
    if not found:
        return None
    metrics = [e.metric for e in next(iter(found.values()))]
    words = {"self_jailbreak": "talks itself into it", "oscillation": "changes sides", "loop": "goes in circles"}
    head = ["reasonings of", *(words.get(m, m.removeprefix("anatomy:").replace("_", " ")) for m in metrics)]
    return Table(
        "anatomy",
        "What the reasonings are made of",
        "Mean shares of the text that analyse the problem, check a policy and plan the response (the paper's case "
        "study), and how many reasonings hold a sentence that talks the model into going on, or change sides.",
        head,
        [[Cell(name), *(of(e) for e in estimates)] for name, estimates in found.items()],
        ("Read by lists of cue words, in a sample of the reasonings: fit to compare arms here, and no more.",),
        folded=True,
    )


def anatomy_figure(found: dict[str, list[Estimate]], facts: Facts) -> Figure | None:
    """The segments of the reasonings, as bars."""
    rows: list[dict[str, Any]] = [
        {
            "arm": short(name),
            "segment": segment.replace("_", " "),
            "share": 100 * e.value,
            "at": SEGMENTS.index(segment),
        }
        for name, estimates in found.items()
        for segment in SEGMENTS
        for e in estimates
        if e.metric == f"anatomy:{segment}" and e.value is not None
    ]
    if not rows:
        return None
    shades = alt.Scale(
        domain=[s.replace("_", " ") for s in SEGMENTS], range=[light("cost1"), light("amber"), light("blue")]
    )
    order = [*names(facts), *dict.fromkeys(row["arm"] for row in rows if row["arm"] not in names(facts))]
    count_ = len(dict.fromkeys(row["arm"] for row in rows))
    chart = (
        alt.Chart(data(rows))
        .mark_bar(height={"band": 0.72}, stroke=light("paper"), strokeWidth=1)
        .encode(
            x=alt.X("share:Q", stack=True, scale=alt.Scale(domain=[0, 100]), title="% of the reasoning's text"),
            y=alt.Y("arm:N", sort=order, axis=row_axis()),
            color=alt.Color("segment:N", scale=shades, title=None, sort=None),
            order=alt.Order("at:Q"),
        )
        .properties(width=560, height=(ROW + 4) * count_)
    )
    return Figure(
        "anatomy",
        "What the reasonings are made of",
        "Mean shares of the text of reasonings on harmful prompts, students' and teachers' (the paper's case study).",
        "; ".join(f"{r['arm']}, {r['segment']}: {r['share']:.0f} %" for r in rows[:30]),
        chart,
    )
