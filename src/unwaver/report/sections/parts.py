"""Reasoning and answer judged apart."""

from __future__ import annotations

from typing import Any

import altair as alt

from unwaver.report.cells import LONG, compared_cell
from unwaver.report.charts import Figure, data, light, row_axis, short, titled
from unwaver.report.comparable import together
from unwaver.report.facts import Facts, split, titles
from unwaver.report.figures import LABELLED, PER_CENT, ROW, as_rows, names
from unwaver.report.section import Material, Section, made
from unwaver.report.tables import Table, TableCell, of


def split_table(facts: Facts) -> Table | None:
    """Harm in the reasoning, in the answer, and in one of them alone."""
    sets = facts.of_kind("harmful")
    if not sets:
        return None
    rows = []
    for arm in facts.arms:
        for one in sets:
            whole = compared_cell(facts.main, facts, "asr", arm, one)
            parts = [compared_cell(facts.split, facts, metric, arm, one) for metric in split()]
            refusal = of(facts.estimate("refusal", arm, one.name))
            rows.append([TableCell(arm), TableCell(one.name), whole, *parts, refusal])
    head = ["arm", "set", "whole reply", *(titles()[metric] for metric in split()), "refused"]
    return Table(
        "reasoning-and-answer",
        "Reasoning and answer judged apart",
        "Leak: harm in the reasoning under a clean answer. Escape: harm in the answer after clean reasoning.",
        head,
        rows,
        (
            "A reply without one of the parts is unscored for it, so the columns need not rest on the same n "
            "(in the CSV). The four columns of parts are one family of comparisons.",
        ),
        folded=len(rows) > LONG,
    )


def parts(facts: Facts) -> Figure | None:
    """Harm in the reasoning against harm in the answer, arm by arm."""
    both = alt.Scale(domain=["reasoning", "answer"], range=[light("shade4"), light("shade2")])
    shapes = alt.Scale(domain=["reasoning", "answer"], range=["circle", "diamond"])
    panels: list[Any] = []
    spoken: list[str] = []
    harmful = facts.of_kind("harmful")
    left: list[str] = []
    for one in harmful:
        alike = together(facts, [("asr", [one])])
        left += alike.notes
        rows = [
            row
            for part in ("reasoning", "answer")
            for arm in alike.arms
            for row in as_rows(facts.estimate(f"asr_{part}", arm, one.name), arm=facts.labels[arm], part=part)
        ]
        if not rows:
            continue
        spoken += [f"{row['arm']}, {one.name}, {row['part']}: {row['value']:.0f} %" for row in rows]
        x = alt.X("value:Q", scale=PER_CENT, title=f"% unsafe (of {one.prompts} prompts, less the unscored)")
        y = alt.Y("arm:N", sort=names(facts), axis=None if panels else row_axis())
        base = alt.Chart(data(rows)).encode(x=x, y=y)
        line = base.mark_line(color=light("grey"), strokeWidth=1.5).encode(detail="arm:N")
        dots = base.mark_point(filled=True, size=80, opacity=1).encode(
            color=alt.Color("part:N", scale=both, title=None), shape=alt.Shape("part:N", scale=shapes)
        )
        layers = (line + dots).properties(width=min(330, 640 // len(harmful)), height=ROW * len(facts.arms) + 6)
        panels.append(titled(layers, short(one.name)))
    if not panels:
        return None
    return Figure(
        "parts",
        "Where the harm stands",
        "The share of replies with harm in the reasoning (circles) and in the answer (diamonds). A circle far to the "
        "right of its diamond is a model that thinks what it does not say.",
        "Harm in reasoning and answer by arm: " + "; ".join(spoken[: 2 * LABELLED]),
        alt.hconcat(*panels, spacing=20),
        tuple(dict.fromkeys(left)),
    )


def section(material: Material) -> Section:
    """The section."""
    facts = material.facts
    return made("parts", "Parts", "Reasoning and answer", material.by_harm, parts(facts), split_table(facts))
