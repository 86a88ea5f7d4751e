"""What reasonings are made of (the paper's case study): segments, self-persuasion, and the stance along the trace.

Reads traces through `study.anatomy`, some of the reasonings only, as many of each author; writes a table and two
figures. Authors are the arms and the teachers, each once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import altair as alt

from unwaver.records import Estimate
from unwaver.report.charts import Figure, data, hues, light, row_axis, short, titled
from unwaver.report.facts import Facts
from unwaver.report.figures import LABELLED, ROW, names
from unwaver.report.style import harmful_rows
from unwaver.report.tables import Cell, Table, of
from unwaver.report.teachers import teacher_of
from unwaver.study.anatomy import CHUNK, SEGMENTS, along, anatomy
from unwaver.study.stats import mean

TAKEN_APART = 1200
"""Reasonings of all authors together that are taken apart, at least `FEWEST` of each: about two milliseconds each."""

FEWEST = 40

CUES = "Read by lists of cue words, in a sample of the reasonings: fit to compare arms here, and no more."

TENTHS = 10


def reasonings(facts: Facts) -> dict[str, dict[str, str | None]]:
    """The reasonings that are taken apart, by author and trace; authors without any are left out."""
    texts: dict[str, dict[str, str | None]] = defaultdict(dict)
    for arm in facts.arms:
        texts[arm] = {row.trace.id: row.trace.reasoning for row in harmful_rows(facts, arm)}
    for row in facts.results.teacher_rows:
        texts[teacher_of(row)][row.trace.id] = row.trace.reasoning
    share = max(FEWEST, TAKEN_APART // max(1, len(texts)))
    return {name: dict(sorted(found.items())[:share]) for name, found in texts.items() if any(found.values())}


def anatomies(texts: Mapping[str, Mapping[str, str | None]]) -> dict[str, list[Estimate]]:
    """What the reasonings are made of, by author."""
    return {name: anatomy(found, name) for name, found in texts.items()}


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
        (CUES,),
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
        (CUES,),
    )


def stance_figure(texts: Mapping[str, Mapping[str, str | None]], facts: Facts) -> Figure | None:
    """What the reasonings lean to from their beginning to their end, students' and teachers' side by side."""
    rows: list[dict[str, Any]] = []
    for name, found in texts.items():
        leaning = {key: along(text, TENTHS) for key, text in found.items() if text}
        for tenth in range(TENTHS):
            e = mean(
                {key: None if tenths is None else tenths[tenth] for key, tenths in leaning.items()}, "stance", name
            )
            if e.value is not None:
                student = name in facts.arms
                said = facts.labels[name] if student else short(name.removeprefix("teacher: "))
                rows.append({"author": said, "student": student, "tenth": tenth + 1, "lean": e.value, "n": e.n})
    if not rows:
        return None
    panels = []
    for student, title in ((True, "students"), (False, "teachers")):
        mine = [row for row in rows if row["student"] == student]
        if mine:
            panels.append(titled(_lines(mine, facts if student else None), title, _counted(mine)))
    ends = [(r["author"], r["lean"]) for r in rows if r["tenth"] == TENTHS]
    return Figure(
        "stance",
        "Where a reasoning leans, from its first tenth to its last",
        "The mean stance of reasonings on harmful prompts: +1 where all lean to complying, -1 where all refuse, "
        "0 before there is a stance. A line that begins above and ends below is one that thinks better of it. "
        f"Stance is read in chunks of some {CHUNK} characters, so short reasonings have few.",
        "Stance in the last tenth: " + "; ".join(f"{author} {lean:+.2f}" for author, lean in ends[: 2 * LABELLED]),
        alt.hconcat(*panels, spacing=30).resolve_scale(color="independent"),
        (CUES,),
    )


def _counted(rows: list[dict[str, Any]]) -> str:
    sizes = sorted({row["n"] for row in rows})
    return f"n = {sizes[0]}" if len(sizes) == 1 else f"n = {sizes[0]} to {sizes[-1]} reasonings each"


def _lines(rows: list[dict[str, Any]], facts: Facts | None) -> Any:
    authors = list(dict.fromkeys(row["author"] for row in rows))
    raw = {facts.labels[arm] for arm in facts.arms if facts.is_raw(arm)} if facts is not None else set()
    shades = alt.Scale(domain=authors, range=hues([None if author in raw else author for author in authors]))
    legend = alt.Legend(title=None, columns=2, symbolOpacity=1)
    zero = alt.Chart(data([{"lean": 0}])).mark_rule(color=light("grey"), strokeDash=[3, 3]).encode(y="lean:Q")
    lines = (
        alt.Chart(data(rows))
        .mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=24, filled=True))
        .encode(
            x=alt.X(
                "tenth:Q", title="tenth of the reasoning", axis=alt.Axis(values=[1, 5, 10], grid=False, format="d")
            ),
            y=alt.Y("lean:Q", title="refuses   ←   stance   →   complies", scale=alt.Scale(domain=[-1, 1])),
            color=alt.Color("author:N", scale=shades, legend=legend),
        )
    )
    return (zero + lines).properties(width=290, height=210)
