"""How long reasonings and answers are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np

from unwaver.report.charts import Figure, data, light
from unwaver.report.facts import Facts
from unwaver.report.figures import LABELLED, ROW, colours, comparable, names, numbered, rows_of
from unwaver.report.paper import note
from unwaver.report.section import Material, Section, made
from unwaver.report.tables import NOTHING, Table, TableCell, number
from unwaver.report.teachers import Teachers, teacher_of
from unwaver.study.controls import PARTS


def lengths(facts: Facts) -> Figure | None:
    """How long reasonings and answers are, as violins."""
    found = {part: {arm: facts.lengths(arm, part) for arm in facts.arms} for part in ("reasoning", "answer")}
    found = {part: by_arm for part, by_arm in found.items() if any(by_arm.values())}
    if not found:
        return None
    panels = [
        _violins(facts, f"{part}, {facts.length_unit}", by_arm, named=part == next(iter(found)))
        for part, by_arm in found.items()
    ]
    spoken = [
        f"{arm}, {part}: median {np.median(values):.0f}"
        for part, by_arm in found.items()
        for arm, values in by_arm.items()
        if values
    ]
    return Figure(
        "lengths",
        "How long they think, and how long they answer",
        f"All replies of every arm, in {facts.length_unit}: the shape is the distribution, the bar its middle half, "
        "the dot the median. The longest half per cent is out of view.",
        f"Lengths in {facts.length_unit}: " + "; ".join(spoken[: 2 * LABELLED]),
        alt.hconcat(*panels, spacing=24),
        (note("lengths"), comparable(facts)),
    )


FEWEST = 5
"""Replies below which lengths have no shape: then the median stands alone."""


def _violins(facts: Facts, title: str, by_arm: dict[str, list[int]], named: bool) -> Any:
    """One violin an arm."""
    top = max([1.0, *(float(np.quantile(values, 0.995)) for values in by_arm.values() if values)])
    outline: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    for place, (arm, values) in enumerate(by_arm.items()):
        if not values:
            continue
        low, middle, high = (float(q) for q in np.quantile(values, [0.25, 0.5, 0.75]))
        boxes.append({"low": low, "middle": middle, "high": min(high, top), "y": place})
        if len(values) < FEWEST or len(set(values)) == 1:
            continue
        outline += [{"arm": facts.labels[arm], "x": x, "a": place - h, "b": place + h} for x, h in density(values, top)]
    axis = numbered(names(facts)) if named else None
    rows = rows_of(len(by_arm))
    along = alt.Scale(domain=[0, 1.03 * top], nice=False)
    shape = alt.Chart(data(outline)).mark_area(orient="vertical", opacity=0.55, interpolate="monotone")
    shapes = shape.encode(
        x=alt.X("x:Q", title=title, scale=along, axis=alt.Axis(tickCount=5)),
        y=alt.Y("a:Q", axis=axis, scale=rows),
        y2="b:Q",
        color=alt.Color("arm:N", scale=colours(facts), legend=None),
    )
    box = alt.Chart(data(boxes)).encode(y=alt.Y("y:Q", scale=rows, axis=axis))
    halves = box.mark_rule(strokeWidth=3, color=light("ink")).encode(x=alt.X("low:Q", scale=along), x2="high:Q")
    dot = box.mark_point(filled=True, size=42, color=light("paper"), stroke=light("ink"), opacity=1, strokeWidth=1.5)
    layers = shapes + halves + dot.encode(x=alt.X("middle:Q", scale=along))
    return layers.properties(width=310, height=max(80, (ROW + 12) * len(by_arm)))


def density(values: Sequence[int], top: float) -> list[tuple[float, float]]:
    """(length, half width) along a smoothed histogram from 0 to `top`, at its widest 0.42."""
    grid = np.linspace(0, top, 81)
    array = np.asarray(values, dtype=np.float64)
    middle = float(np.subtract(*np.quantile(array, [0.75, 0.25]))) / 1.34
    spread = min(float(array.std()), middle) or float(array.std())
    # Silverman's rule, but never finer than the grid.
    width = max(0.9 * spread * array.size**-0.2, top / 80)
    counts, edges = np.histogram(array, bins=400, range=(0, top))
    middles = (edges[:-1] + edges[1:]) / 2
    heights = (np.exp(-0.5 * ((grid[:, None] - middles[None, :]) / width) ** 2) * counts).sum(axis=1)
    heights = 0.42 * heights / max(float(heights.max()), 1e-12)
    return [(float(x), float(h)) for x, h in zip(grid, heights, strict=True) if h > 0.004]


def length_table(facts: Facts, teachers: Teachers) -> Table:
    """Mean and 90th percentile of the lengths, students' by arm and teachers' before and after the draw."""
    rows = []
    for arm in facts.arms:
        lengths = [facts.lengths(arm, part) for part in PARTS]
        if not any(lengths):
            continue
        cells = [_mean_and_tail(one) for one in lengths]
        rows.append([TableCell(arm), TableCell("all replies"), *cells[0], *cells[1]])
    for taught in teachers.rows.values():
        drawn = [row for row in taught if teachers.trained_on[row.trace.id]]
        for words, kept in (("all traces", taught), ("those an arm was trained on", drawn)):
            if kept:
                parts = [[facts.length(row.trace, part) for row in kept] for part in PARTS]
                cells = [_mean_and_tail([n for n in one if n is not None]) for one in parts]
                rows.append([TableCell(teacher_of(taught[0])), TableCell(words), *cells[0], *cells[1]])
    return Table(
        "lengths",
        "Lengths in figures",
        f"Mean and 90th percentile, in {facts.length_unit}; the teacher's traces are those of harmful prompts.",
        ["written by", "of", "mean", "90 %", "mean", "90 %"],
        rows,
        (),
        [("", 2), ("Reasoning", 2), ("Answer", 2)],
        folded=True,
    )


def _mean_and_tail(lengths: list[int]) -> list[TableCell]:
    if not lengths:
        return [TableCell(NOTHING), TableCell(NOTHING)]
    return [number(float(np.mean(lengths))), number(float(np.quantile(lengths, 0.9)))]


def section(material: Material) -> Section:
    """The section."""
    facts = material.facts
    return made("lengths", "Lengths", "Lengths", "", lengths(facts), length_table(facts, material.taught))
