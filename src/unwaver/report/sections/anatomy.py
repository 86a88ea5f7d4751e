"""What the reasonings are made of (the case study of arXiv 2505.15404)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from unwaver.judging.anatomy import OTHER, SEGMENTS
from unwaver.judging.local.cue_words import CHUNK, along
from unwaver.judging.local.reader_file import shipped
from unwaver.report.charts import SHADES, Figure, data, light, row_axis, short, titled
from unwaver.report.facts import Facts
from unwaver.report.figures import LABELLED, ROW, colours, names
from unwaver.report.reasonings import CUE_WORDS, Apart
from unwaver.report.section import Material, Section, made
from unwaver.report.tables import Table, TableCell, count, of, unit
from unwaver.study.stats import mean

SIDES = (
    "Sides (refuse, neither, comply, in stretches of some 1,000 characters) are read by the trained question "
    "`conclusion`, each stretch alone: the last one agrees with what reasonings were labelled to conclude with kappa "
    "0.52. Reasonings that take no side are unscored for where they keep one; no model was asked again."
)
"""What is known of the reader of stance (docs/statistics.md)."""

CUES = (
    "Read by the cue words of single sentences, in a sample of the reasonings: fit to compare arms here, and no more."
)


METRICS = {
    **{f"anatomy:{name}": name.replace("_", " ") for name in (*SEGMENTS, OTHER)},
    "text_self_jailbreak": "talks itself into it",
    "text_oscillation": "changes sides",
    "text_lock_point": "keeps its side after",
}
"""Measures as people call them, in the table's order."""


TENTHS = 10


def anatomy_table(made: Sequence[Apart]) -> Table | None:
    """Segments, self-jailbreak sentences and changes of side."""
    if not made:
        return None
    metrics = dict.fromkeys(name for name in METRICS for one in made for e in one.estimates if e.metric == name)
    rows = []
    for one in made:
        found = {e.metric: e for e in one.estimates}
        rows.append([TableCell(one.author), TableCell(one.reader), *(of(found.get(metric)) for metric in metrics)])
    return Table(
        "anatomy",
        "What the reasonings are made of, in figures",
        "Mean shares of the text that analyse the problem, check a policy and plan the response (the paper's case "
        "study); how many reasonings hold a sentence that talks the model into going on, or change sides; "
        "and after what part of the text, on average, the side doesn't change any more (the lock point of the text, "
        "arXiv 2606.25013).",
        ["reasonings of", "read by", *(METRICS[metric] for metric in metrics)],
        rows,
        _notes(made),
        folded=True,
    )


def _notes(made: Sequence[Apart]) -> tuple[str, ...]:
    known = shipped().measured("self_jailbreak")
    talks = f"By {CUE_WORDS}, whether one talks itself into it is read by the trained reader `local` ({known})."
    judges = dict.fromkeys(one.reader for one in made if one.reader != CUE_WORDS)
    by_judge = f"By {', '.join(judges)}: the same reasonings, each sentence named through the rubric anatomy."
    return (CUES, SIDES, talks, by_judge) if judges else (CUES, SIDES, talks)


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
    shades = alt.Scale(domain=drawn, range=[light(name) for name in SHADES[: len(drawn)]])
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
        "Stance in the last tenth: " + "; ".join(f"{author} {lean:+z.2f}" for author, lean in ends[: 2 * LABELLED]),
        alt.hconcat(*panels, spacing=30).resolve_scale(color="independent"),
        (SIDES,),
    )


def _counted(rows: list[dict[str, Any]]) -> str:
    sizes = sorted({row["n"] for row in rows})
    return f"n = {sizes[0]}" if len(sizes) == 1 else f"n = {sizes[0]} to {sizes[-1]} reasonings each"


def _lines(rows: list[dict[str, Any]], facts: Facts | None) -> Any:
    authors = list(dict.fromkeys(row["author"] for row in rows))
    greys = [light(SHADES[3 - at % 3]) for at in range(len(authors))]
    shades = colours(facts) if facts is not None else alt.Scale(domain=authors, range=greys)
    dashes = alt.StrokeDash("author:N", sort=authors, legend=None) if facts is None else alt.Undefined
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
            strokeDash=dashes,
        )
    )
    return (zero + lines).properties(width=290, height=210)


def snowball_table(material: Material) -> Table | None:
    """Whether harm grows along the reasonings; None where no reasoning has a slope."""
    rows = []
    for one in material.snowballs:
        e = one.estimate
        why = ", ".join(f"{n} ({reason})" for reason, n in one.unscored.items())
        rows.append([TableCell(e.arm), unit(e, 2), count(e.n), TableCell(why)])
    if all(one.estimate.value is None for one in material.snowballs):
        return None
    return Table(
        "snowball",
        "Does harm grow along the reasoning?",
        "The probability of harm in the last quarter of a reasoning's steps (pieces between blank lines) less that in "
        "the first, the mean over reasonings on harmful prompts: above 0 harm grows, below 0 it fades.",
        ["reasonings of", "slope", "reasonings", "unscored"],
        rows,
        (
            "After the snowball of AdvChain (ICLR 2026), read by the trained reader `local` where the paper asks a "
            "large judge. It was trained on whole reasonings and reads single steps less well (docs/statistics.md), so "
            "the slopes compare arms, and no more.",
        ),
        folded=True,
    )


def section(material: Material) -> Section:
    """The section."""
    facts, apart = material.facts, material.apart
    return made(
        *("anatomy", "Anatomy", "Case study: what the reasonings are made of", ""),
        *(anatomy_figure(apart, facts), stance_figure(material.texts, facts), anatomy_table(apart)),
        snowball_table(material),
    )
