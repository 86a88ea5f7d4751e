"""What reasonings are made of (the paper's case study): segments, self-persuasion, and the stance along the trace.

Reads traces through `study.anatomy`, some of the reasonings only, as many of each author, and of the same reasonings
what a judge read, where the recipe names one; writes a table and two figures. Authors are the arms and the teachers,
each once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from unwaver.judging.anatomy import OTHER, SEGMENTS, told_in
from unwaver.records import Estimate, Verdict
from unwaver.report.charts import Figure, data, hues, light, row_axis, short, titled
from unwaver.report.facts import Facts
from unwaver.report.figures import LABELLED, ROW, names
from unwaver.report.style import harmful_rows
from unwaver.report.tables import Cell, Table, of
from unwaver.report.teachers import teacher_of
from unwaver.study.anatomy import CHUNK, along, anatomy
from unwaver.study.anatomy import judged as anatomy_by_judge
from unwaver.study.stats import mean

TAKEN_APART = 1200
"""Reasonings of all authors together that are taken apart, at least `FEWEST` of each: about two milliseconds each."""

FEWEST = 40

CUE_WORDS = "cue words"
"""The reader that is no model."""

CUES = "Read by lists of cue words, in a sample of the reasonings: fit to compare arms here, and no more."

KEY = "anatomy:reasoning"
"""A judge's reading, `rubric:looked_at`."""

METRICS = {
    **{f"anatomy:{name}": name.replace("_", " ") for name in (*SEGMENTS, OTHER)},
    "self_jailbreak": "talks itself into it",
    "oscillation": "changes sides",
    "loop": "goes in circles",
}
"""Measures as people call them, in the table's order."""

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


def anatomies(texts: Mapping[str, Mapping[str, str | None]], verdicts: Mapping[str, Verdict]) -> list[Apart]:
    """What the reasonings are made of, by author: read by cue words, and the same reasonings by whom a judge read."""
    made = []
    for name, found in texts.items():
        made.append(Apart(name, CUE_WORDS, anatomy(found, name)))
        mine = {key: verdicts[key] for key in found if key in verdicts}
        for judge in dict.fromkeys(verdict.judge for verdict in mine.values()):
            read = {key: told_in(verdict) for key, verdict in mine.items() if verdict.judge == judge}
            made.append(Apart(name, judge, anatomy_by_judge(found, read, name)))
    return made


def anatomy_table(made: Sequence[Apart]) -> Table | None:
    """Segments, self-jailbreak sentences and changes of side."""
    if not made:
        return None
    metrics = dict.fromkeys(name for name in METRICS for one in made for e in one.estimates if e.metric == name)
    rows = []
    for one in made:
        found = {e.metric: e for e in one.estimates}
        rows.append([Cell(one.author), Cell(one.reader), *(of(found.get(metric)) for metric in metrics)])
    return Table(
        "anatomy",
        "What the reasonings are made of",
        "Mean shares of the text that analyse the problem, check a policy and plan the response (the paper's case "
        "study), and how many reasonings hold a sentence that talks the model into going on, or change sides.",
        ["reasonings of", "read by", *(METRICS[metric] for metric in metrics)],
        rows,
        _notes(made),
        folded=True,
    )


def _notes(made: Sequence[Apart]) -> tuple[str, ...]:
    judges = dict.fromkeys(one.reader for one in made if one.reader != CUE_WORDS)
    by_judge = f"By {', '.join(judges)}: the same reasonings, each sentence named through the rubric anatomy."
    return (CUES, by_judge) if judges else (CUES,)


def anatomy_figure(made: Sequence[Apart], facts: Facts) -> Figure | None:
    """The segments of the reasonings, as bars; a panel for each reader."""
    segments = {metric: METRICS[metric] for metric in (*(f"anatomy:{name}" for name in SEGMENTS), f"anatomy:{OTHER}")}
    rows: list[dict[str, Any]] = [
        {
            "arm": short(one.author),
            "reader": one.reader,
            "segment": segments[e.metric],
            "share": 100 * e.value,
            "at": list(segments).index(e.metric),
        }
        for one in made
        for e in one.estimates
        if e.metric in segments and e.value is not None
    ]
    if not rows:
        return None
    readers = list(dict.fromkeys(row["reader"] for row in rows))
    drawn = [text for text in segments.values() if any(row["segment"] == text for row in rows)]
    colours = [light(name) for name in ("cost1", "amber", "blue", "grey")]
    shades = alt.Scale(domain=drawn, range=colours[: len(drawn)])
    order = [*names(facts), *dict.fromkeys(row["arm"] for row in rows if row["arm"] not in names(facts))]
    by = {reader: f" by {reader}" if len(readers) > 1 else "" for reader in readers}
    panels = []
    for reader in readers:
        mine = [row for row in rows if row["reader"] == reader]
        chart = (
            alt.Chart(data(mine))
            .mark_bar(height={"band": 0.72}, stroke=light("paper"), strokeWidth=1)
            .encode(
                x=alt.X("share:Q", stack=True, scale=alt.Scale(domain=[0, 100]), title="% of the reasoning's text"),
                y=alt.Y("arm:N", sort=order, axis=row_axis()),
                color=alt.Color("segment:N", scale=shades, title=None, sort=None),
                order=alt.Order("at:Q"),
            )
            .properties(width=560, height=(ROW + 4) * len(dict.fromkeys(row["arm"] for row in mine)))
        )
        panels.append(titled(chart, f"read by {reader}") if len(readers) > 1 else chart)
    return Figure(
        "anatomy",
        "What the reasonings are made of",
        "Mean shares of the text of reasonings on harmful prompts, students' and teachers' (the paper's case study).",
        "; ".join(f"{r['arm']}{by[r['reader']]}, {r['segment']}: {r['share']:.0f} %" for r in rows[:30]),
        alt.vconcat(*panels, spacing=20) if len(panels) > 1 else panels[0],
        _notes(made),
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
