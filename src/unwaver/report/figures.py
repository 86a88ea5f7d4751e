"""The figures of outcomes: rates by set, harm against over-refusal, parts of replies, every arm against every other.

Each function makes one `Figure` of `Facts`, or None where there is nothing to show. Every axis is labelled and says on
how many prompts it rests; every rate has its 95 % interval.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from string import ascii_uppercase
from typing import Any

import altair as alt

from unwaver.records import Estimate
from unwaver.report import paper, setting
from unwaver.report.charts import COST, SERIES, Figure, data, hues, light, row_axis, short, titled
from unwaver.report.facts import Facts
from unwaver.report.tables import percent

ROW = 22
"""Height of one arm's row."""

LABELLED = 12
"""Most arms that are named in the scatter; above, the front has letters and the raw students their names."""

CHOSEN = 8
"""Most arms that are summed up at the top of the page and compared at equal length."""

PER_CENT = alt.Scale(domain=[0, 100])

UNITS = {"asr": "% unsafe", "over_refusal": "% refused", "accuracy": "% correct"}
"""What the axis of a measure counts."""


def as_rows(estimate: Estimate | None, **more: Any) -> list[dict[str, Any]]:
    """A rate as a chart's row, in per cent; none where there is no value."""
    if estimate is None or estimate.value is None:
        return []
    low = estimate.value if estimate.low is None else estimate.low
    high = estimate.value if estimate.high is None else estimate.high
    return [{"value": 100 * estimate.value, "low": 100 * low, "high": 100 * high, "n": estimate.n, **more}]


def names(facts: Facts) -> list[str]:
    """The arms as charts call them."""
    return list(facts.labels.values())


def colours(facts: Facts) -> alt.Scale:
    """Grey for raw students, a colour for each arm; where those are too many, one for each recipe."""
    groups: list[str | None] = [None if facts.is_raw(arm) else arm for arm in facts.arms]
    if len(groups) > len(SERIES):
        groups = [None if facts.is_raw(arm) else str(facts.cell(arm).get("instruction", arm)) for arm in facts.arms]
    return alt.Scale(domain=names(facts), range=hues(groups))


def rates(facts: Facts) -> Figure | None:
    """Every arm on every set, as points with intervals."""
    panels: list[Any] = []
    width = max(96, min(230, 690 // max(1, len(facts.sets)) - 18))
    for one in facts.sets:
        rows = [
            row
            for arm in facts.arms
            for row in as_rows(facts.estimate(one.metric, arm, one.name), arm=facts.labels[arm])
        ]
        if not rows:
            continue
        base = alt.Chart(data(rows)).encode(
            y=alt.Y("arm:N", sort=names(facts), axis=None if panels else row_axis()),
            color=alt.Color("arm:N", scale=colours(facts), legend=None),
        )
        axis = alt.Axis(values=[0, 50, 100])
        x = alt.X("value:Q", scale=PER_CENT, title=f"{UNITS[one.metric]} (n={one.prompts})", axis=axis)
        bar = base.mark_rule(strokeWidth=2.5, opacity=0.45, strokeCap="round")
        bars = bar.encode(x=alt.X("low:Q", scale=PER_CENT), x2="high:Q")
        points = base.mark_point(filled=True, size=70, opacity=1).encode(x=x)
        layers = (bars + points).properties(width=width, height=ROW * len(facts.arms) + 6)
        panels.append(titled(layers, short(one.name), size=11.5, width=max(14, width // 7)))
    if not panels:
        return None
    return Figure(
        "rates",
        "Every arm on every set",
        "Points are rates, bars their 95 % intervals. Harm and over-refusal are better to the left, accuracy to the "
        "right.",
        "Rates by arm and evaluation set: " + _spoken(facts),
        alt.hconcat(*panels, spacing=20),
    )


def _spoken(facts: Facts) -> str:
    pieces = []
    for arm in list(facts.arms)[:LABELLED]:
        found = [(one, facts.estimate(one.metric, arm, one.name)) for one in facts.sets]
        said = ", ".join(f"{one.name} {percent(e.value, e.n)}" for one, e in found if e is not None)
        pieces.append(f"{arm}: {said}")
    return "; ".join(pieces)


def trade_off(facts: Facts) -> Figure | None:
    """Harm against over-refusal, with the front of arms that no other arm beats in both."""
    points = _trade_offs(facts)
    if len(points) < 2:
        return None
    harmless = ", ".join(one.name for one in facts.harmless)
    right, up = (_room([p[far] for p in points]) for far in ("x2", "y2"))
    few = alt.Axis(tickCount=6)
    x = alt.X(
        "x:Q",
        scale=right,
        axis=few,
        title=f"over-refusal, % of {_asked(facts.harmless)} prompts ({short(harmless, 60)})",
    )
    y = alt.Y("y:Q", scale=up, axis=few, title=f"attack success, % of {_asked(facts.of_kind('harmful'))} prompts")
    base = alt.Chart(data(points))
    whisker = base.mark_rule(color=light("grey"), opacity=0.5)
    across = whisker.encode(x=alt.X("x1:Q", scale=right), x2="x2:Q", y=y)
    upright = whisker.encode(x=x, y=alt.Y("y1:Q", scale=up), y2="y2:Q")
    best = pareto([(p["x"], p["y"]) for p in points])
    edge = alt.Chart(data([points[at] for at in best])).mark_line(
        color=light("soft"), strokeDash=[5, 4], strokeWidth=1.5
    )
    named, key = _named(points, best)
    ends = (max(p["x2"] for p in points), max(p["y2"] for p in points))
    placed = data(_apart(named, (min(100.0, 1.04 * max(5.0, end)) for end in ends)))
    labels = alt.Chart(placed).mark_text(align="left", dx=9, fontSize=12, color=light("ink"))
    chart = across + upright + edge.encode(x=x, y=y, order=alt.Order("x:Q"))
    dot: dict[str, Any] = {"filled": True, "size": 130, "opacity": 1, "stroke": light("ink"), "strokeWidth": 0.8}
    for known in (False, True):
        shown = [p for p in points if (p["cost"] is not None) == known]
        colour = _cost_colour(points, facts.length_unit) if known else {"color": alt.value(light("grey"))}
        chart += alt.Chart(data(shown)).mark_point(**dot).encode(x=x, y=y, **colour)
    chart += labels.encode(x=x, y=alt.Y("label_y:Q", scale=up), text="label:N")
    return Figure(
        "trade-off",
        "Harm against over-refusal",
        "Better is down and to the left. The dashed line joins the arms that no other arm beats in both; the colour is "
        f"the mean length of the reasoning on harmful prompts, in {facts.length_unit} (grey: there is none). Whiskers "
        f"are 95 % intervals; prompts that seek the same behaviour count as one cluster.{key}",
        "; ".join(f"{p['arm']}: over-refusal {p['x']:.0f} %, harm {p['y']:.0f} %" for p in points[:LABELLED])
        + f". On the front: {', '.join(points[at]['arm'] for at in best)}.",
        chart.properties(width=ACROSS, height=DOWN),
        (paper.note("trade-off"), setting.compare_what(facts)),
    )


ACROSS, DOWN = 640, 340
"""The scatter's plot, in pixels."""


def _apart(named: Sequence[dict[str, Any]], ends: Iterable[float]) -> list[dict[str, Any]]:
    """The named points with the heights of their names (`label_y`): beside the point, or as near as leaves none on
    another; `ends` are those of the axes."""
    right, top = ends
    placed: list[dict[str, Any]] = []
    taken: list[tuple[float, float, float]] = []
    for point in sorted(named, key=lambda p: (p["y"], p["x"])):
        left, height = point["x"] / right * ACROSS, point["y"] / top * DOWN
        end = left + 7.5 * len(point["label"]) + 12
        steps = (9 + sign * 14 * n for n in range(len(named) + 1) for sign in (1, -1))
        free = next(h for step in steps if _is_free(h := height + step, left, end, taken))
        taken.append((left, end, free))
        placed.append(point | {"label_y": free / DOWN * top})
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


def _trade_offs(facts: Facts) -> list[dict[str, Any]]:
    points = []
    for arm in facts.arms:
        across = as_rows(facts.pooled("over_refusal", arm, facts.harmless))
        up = as_rows(facts.pooled("asr", arm, facts.of_kind("harmful")))
        if not across or not up:
            continue
        x, y = across[0], up[0]
        lengths = facts.lengths(arm, "reasoning", "harmful")
        point = {
            "arm": facts.labels[arm],
            "raw": facts.is_raw(arm),
            "cost": sum(lengths) / len(lengths) if lengths else None,
        }
        point |= {"x": x["value"], "x1": x["low"], "x2": x["high"]}
        points.append(point | {"y": y["value"], "y1": y["low"], "y2": y["high"]})
    return points


def _asked(sets: Sequence[Any]) -> int:
    return sum(one.prompts for one in sets)


def _room(ends: Sequence[float]) -> alt.Scale:
    return alt.Scale(domain=[0, min(100.0, 1.04 * max(5.0, *ends))], nice=False)


def _cost_colour(points: Sequence[dict[str, Any]], unit: str) -> dict[str, Any]:
    known = sorted(p["cost"] for p in points if p["cost"] is not None) or [0.0]
    domain = [known[0], max(known[-1], known[0] + 1)]
    scale = alt.Scale(type="quantize", domain=domain, range=[light(name) for name in COST])
    legend = alt.Legend(title=f"mean reasoning, {unit}", direction="horizontal", format=",.0f")
    return {"color": alt.Color("cost:Q", scale=scale, legend=legend)}


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """The points that none beats: none is as low in both and lower in one. By x; equal points are all there."""
    front = [
        at for at, (x, y) in enumerate(points) if not any(a <= x and b <= y and (a, b) != (x, y) for a, b in points)
    ]
    return sorted(front, key=lambda at: points[at])


def chosen(facts: Facts) -> list[str]:
    """All arms, or where they are many raw and those that no other beats in both harm and over-refusal."""
    if len(facts.arms) <= CHOSEN:
        return list(facts.arms)
    points = _trade_offs(facts)
    best = {points[at]["arm"] for at in pareto([(p["x"], p["y"]) for p in points])}
    return [arm for arm, label in facts.labels.items() if facts.is_raw(arm) or label in best][:CHOSEN]


def parts(facts: Facts) -> Figure | None:
    """Harm in the reasoning against harm in the answer, arm by arm."""
    both = alt.Scale(domain=["reasoning", "answer"], range=[light("purple"), light("amber")])
    shapes = alt.Scale(domain=["reasoning", "answer"], range=["circle", "diamond"])
    panels: list[Any] = []
    spoken: list[str] = []
    harmful = facts.of_kind("harmful")
    for one in harmful:
        rows = [
            row
            for part in ("reasoning", "answer")
            for arm in facts.arms
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
    )


def pairs(facts: Facts) -> Figure | None:
    """The significance matrix: every arm against every other on all harmful prompts."""
    found = facts.pairs
    if len(facts.arms) < 3 or not found:
        return None
    rows: list[dict[str, Any]] = []
    turned = {"better": "worse", "worse": "better"}
    for c in found:
        for of, against, word, sign in (
            (c.arm_b, c.arm_a, str(c.verdict), 1),
            (c.arm_a, c.arm_b, turned.get(c.verdict, c.verdict), -1),
        ):
            text = "" if c.difference is None else f"{100 * sign * c.difference:+.0f}"
            rows.append({"of": facts.labels[of], "against": facts.labels[against], "word": word, "text": text})
    large = len(facts.arms) <= 9
    top = alt.Axis(orient="top", labelAngle=-40, grid=False, ticks=False, domain=False)
    words = ["better", "worse", "not distinguishable", "too few scored"]
    shades = [light(name) for name in ("better", "worse", "neutral", "unknown")]
    base = alt.Chart(data(rows)).encode(
        x=alt.X("against:N", sort=names(facts), title="against", axis=top),
        y=alt.Y("of:N", sort=names(facts), axis=row_axis()),
    )
    legend = alt.Legend(title="the row is …", symbolStrokeColor=light("grey"), symbolStrokeWidth=1)
    colour = alt.Color("word:N", scale=alt.Scale(domain=words, range=shades), legend=legend)
    chart: Any = base.mark_rect(stroke=light("paper"), strokeWidth=2).encode(color=colour)
    if large:
        told_apart = "datum.word == 'better' || datum.word == 'worse'"
        ink = alt.condition(told_apart, alt.value("#fffffe"), alt.value(light("ink")))
        chart += base.mark_text(fontSize=12).encode(text="text:N", color=ink)
    across, down = (58, 34) if large else (15, 15)
    return Figure(
        "pairs",
        "Attack success, pair by pair",
        "Attack success on all harmful prompts, difference in points: row minus column, paired by behaviour, corrected "
        f"by Holm over all {len(found)} pairs. Blue: the row is safer.",
        "; ".join(f"{c.arm_b} against {c.arm_a}: {c.verdict}" for c in found[:30]),
        chart.properties(width=across * len(facts.arms), height=down * len(facts.arms)),
    )
