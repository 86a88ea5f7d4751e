"""Safety against helpfulness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any, Literal

import altair as alt

from unwaver.judging.local.reader_file import shipped
from unwaver.report.charts import Figure, data, light, short
from unwaver.report.choice import alike, pareto, told_apart, trade_offs
from unwaver.report.facts import Facts
from unwaver.report.figures import LABELLED, colours
from unwaver.report.section import Material, Section, made
from unwaver.report.tables import Table, TableCell, count, unit
from unwaver.study.refusal_auc import FEWEST, Told


@dataclass(frozen=True)
class Plot:
    """The size of the scatter's plot, in pixels, and how long a name in it may be."""

    across: int
    down: int
    longest: int


WIDE, NARROW = Plot(640, 290, 40), Plot(264, 270, 22)


def trade_off(facts: Facts) -> Figure | None:
    """Harm against over-refusal, with the front of arms that no other arm beats in both."""
    points = trade_offs(facts)
    if len(points) < 2:
        return None
    best = pareto([(p["x"], p["y"]) for p in points])
    key = _named(points, best)[1]
    return Figure(
        "trade-off",
        "Harm against over-refusal",
        "Better is down and to the left. The dashed line joins the arms that no other beats in both; whiskers are 95 % "
        f"intervals.{key}",
        "; ".join(f"{p['arm']}: over-refusal {p['x']:.0f} %, harm {p['y']:.0f} %" for p in points[:LABELLED])
        + f". On the front: {', '.join(points[at]['arm'] for at in best)}.",
        _scatter(facts, points, WIDE),
        (_apart_note(points), *alike(facts).notes),
        _scatter(facts, points, NARROW),
    )


def _scatter(facts: Facts, points: Sequence[dict[str, Any]], plot: Plot) -> Any:
    best = pareto([(p["x"], p["y"]) for p in points])
    right, up = (_room([p[far] for p in points]) for far in ("x2", "y2"))
    few = alt.Axis(tickCount=6 if plot is WIDE else 4)
    harmless = short(", ".join(one.name for one in facts.harmless), 60)
    asked = f"{_asked(facts.harmless)} prompts" + (f" ({harmless})" if plot is WIDE else "")
    x = alt.X("x:Q", scale=right, axis=few, title=f"over-refusal, % of {asked}")
    y = alt.Y("y:Q", scale=up, axis=few, title=f"attack success, % of {_asked(facts.of_kind('harmful'))} prompts")
    base = alt.Chart(data(points))
    whisker = base.mark_rule(color=light("grey"), opacity=0.5)
    across = whisker.encode(x=alt.X("x1:Q", scale=right), x2="x2:Q", y=y)
    upright = whisker.encode(x=x, y=alt.Y("y1:Q", scale=up), y2="y2:Q")
    edge = alt.Chart(data([points[at] for at in best])).mark_line(
        color=light("soft"), strokeDash=[5, 4], strokeWidth=1.5
    )
    shade = alt.Color("arm:N", scale=colours(facts), legend=None)
    dots = base.mark_point(filled=True, size=130, opacity=1, stroke=light("ink"), strokeWidth=0.8)
    chart = across + upright + edge.encode(x=x, y=y, order=alt.Order("x:Q")) + dots.encode(x=x, y=y, color=shade)
    ends = (max(p["x2"] for p in points), max(p["y2"] for p in points))
    placed = _apart(_named(points, best)[0], points, (_end(ends[0]), _end(ends[1])), plot)
    sides: tuple[tuple[Literal["left", "right"], int], ...] = (("left", 9), ("right", -9))
    for side, offset in sides:
        mine = alt.Chart(data([row for row in placed if row["side"] == side]))
        text = mine.mark_text(align=side, dx=offset, fontSize=12, color=light("ink"))
        chart += text.encode(x=x, y=alt.Y("label_y:Q", scale=up), text="label:N")
    return chart.properties(width=plot.across, height=plot.down)


def _apart_note(points: Sequence[dict[str, Any]]) -> str:
    """Does an arm tell harm apart, or does it refuse more?"""
    read = [(p, apart) for p in points if (apart := told_apart(p)) is not None]
    best = sorted(read, key=lambda pair: (not pair[0]["raw"], -pair[1]))[:LABELLED]
    told = ", ".join(f"{p['arm']} {apart:z.0f}" for p, apart in best) or "nobody read the refusals"
    return (
        f"Told apart (per cent of harmful prompts refused less that of harmless ones): {told}. 100 is no mistake, 0 is "
        "who refuses both equally often: refusing more of everything doesn't raise it."
    )


def _apart(
    named: Sequence[dict[str, Any]], every: Sequence[dict[str, Any]], ends: tuple[float, float], plot: Plot
) -> list[dict[str, Any]]:
    """The named points with the heights of their names (`label_y`) and the side they stand on (`side`): beside the
    point, or as near as leaves none on another or on a point, and none outside; `ends` are those of the axes."""
    right, top = ends
    placed: list[dict[str, Any]] = []
    taken = [
        (p["x"] / right * plot.across - 7, p["x"] / right * plot.across + 7, p["y"] / top * plot.down) for p in every
    ]
    for point in sorted(named, key=lambda p: (p["y"], p["x"])):
        at, height = point["x"] / right * plot.across, point["y"] / top * plot.down
        label = short(point["label"], plot.longest)
        width = 7.5 * len(label) + 12
        beside = {"left": (at + 9, at + width), "right": (at - width, at - 9)}
        inside = [side for side, (a, b) in beside.items() if a >= -12 and b <= plot.across + 12] or ["left"]
        steps = (9 + sign * 14 * n for n in range(len(named) + len(every) + 2) for sign in (1, -1))
        places = ((side, height + step) for step in steps for side in inside)
        side, free = next((side, h) for side, h in places if h > 6 and _is_free(h, *beside[side], taken))
        taken.append((*beside[side], free))
        placed.append(point | {"label": label, "side": side, "label_y": free / plot.down * top})
    return placed


def _is_free(height: float, left: float, end: float, taken: Sequence[tuple[float, float, float]]) -> bool:
    return all(abs(height - other) >= 13 or end < a or b < left for a, b, other in taken)


def _named(points: Sequence[dict[str, Any]], front: Sequence[int]) -> tuple[list[dict[str, Any]], str]:
    """The points that are named in the chart, and the key to their letters where there are too many for names."""
    if len(points) <= LABELLED:
        return [point | {"label": point["arm"]} for point in points], ""
    letters = {at: ascii_uppercase[n] for n, at in enumerate(front[: len(ascii_uppercase)])}
    named = [p | {"label": p["arm"] if p["raw"] else letters[at]} for at, p in enumerate(points) if at in letters]
    named += [p | {"label": p["arm"]} for at, p in enumerate(points) if p["raw"] and at not in letters]
    return named, " " + "; ".join(f"{letter}: {points[at]['arm']}" for at, letter in letters.items()) + "."


def _asked(sets: Sequence[Any]) -> int:
    return sum(one.prompts for one in sets)


def _end(furthest: float) -> float:
    return min(100.0, 1.04 * max(5.0, furthest))


def _room(ends: Sequence[float]) -> alt.Scale:
    return alt.Scale(domain=[0, _end(max(ends))], nice=False)


def told_table(material: Material) -> Table | None:
    """Whether arms tell harm apart or refuse more; None where no arm was asked both."""
    rows = [
        [
            *(
                TableCell(told.estimate.arm),
                TableCell(told.estimate.slice),
                unit(told.estimate, 2, told.estimate.method),
            ),
            *(count(told.harmful), count(told.harmless)),
        ]
        for told in material.told_apart
    ]
    if not rows:
        return None
    unscored = [
        f"{told.estimate.arm}, {told.estimate.slice}: {why}" for told in material.told_apart if (why := said(told))
    ]
    return Table(
        "told-apart",
        "Does it tell harm apart, or does it refuse more?",
        "The area under the curve of refusing: how often a harmful prompt is likelier refused than "
        "a harmless one. 1 is always, 0.5 is who can't tell them apart, however often it refuses.",
        ["arm", "prompts", "area", "harmful", "harmless"],
        rows,
        (
            f"{_scored(material.told_apart)} Of seeds it is the mean over their replies, so the interval is one over "
            "prompts.",
            *(("Unscored: " + "; ".join(unscored) + ".",) if unscored else ()),
        ),
        folded=True,
    )


def _scored(every: Sequence[Told]) -> str:
    """What the areas are made of."""
    own = sorted({told.by for told in every if told.by})
    said = (
        f"A prompt's score is the share of its replies that were labelled a refusal, by {'; '.join(own)}."
        if own
        else ""
    )
    if all(told.by for told in every):
        return said
    read = (
        f"{'Of other arms it' if own else 'The score'} is the probability of a refusal by the trained reader `local` "
        f"({shipped().measured('refusal')}), in at most so many prompts of a kind as stand here."
    )
    return f"{said} {read}".strip()


def said(told: Told) -> str:
    """Why prompts of an area are unscored, or why it has no value."""
    lacking = (
        "" if told.estimate.value is not None else f"no value, as fewer than {FEWEST} prompts of a side are scored"
    )
    return ", ".join(filter(None, (lacking, *(f"{n} ({reason})" for reason, n in told.unscored.items()))))


def section(material: Material) -> Section:
    """The section."""
    return made(
        *("trade-off", "Trade-off", "Harm against over-refusal", material.by_harm_in_short),
        *(trade_off(material.facts), told_table(material)),
    )
