"""Every arm against every other."""

from __future__ import annotations

from typing import Any

import altair as alt

from unwaver.report.charts import Figure, data, light, row_axis
from unwaver.report.facts import Facts
from unwaver.report.figures import names
from unwaver.report.section import Material, Section, made

NOT_COMPARED = "not compared"

SHADED = {
    "better": "better",
    "worse": "worse",
    "not distinguishable": "neutral",
    "depends on the unscored": "shade1",
    "too few scored": "unknown",
    "can't tell": "shade2",
    NOT_COMPARED: "paper",
}
"""What is said of two arms, and its colour."""


def _apart(facts: Facts) -> list[str]:
    """Which pairs are not compared, and what differs."""
    found: dict[tuple[str, ...], list[str]] = {}
    for (a, b), fields in facts.unpaired.items():
        found.setdefault(fields, []).append(f"{a} and {b}")
    return [f"Not compared, {', '.join(fields)} being another: {'; '.join(two)}." for fields, two in found.items()]


def pairs(facts: Facts) -> Figure | None:
    """The significance matrix: every arm against every other on all harmful prompts."""
    found = facts.pairs
    if len(facts.arms) < 3 or not (found or facts.unpaired):
        return None
    rows: list[dict[str, Any]] = []
    turned = {"better": "worse", "worse": "better"}
    for c in found:
        for of, against, word, sign in (
            (c.arm_b, c.arm_a, str(c.verdict), 1),
            (c.arm_a, c.arm_b, turned.get(c.verdict, c.verdict), -1),
        ):
            text = "" if c.difference is None else f"{100 * sign * c.difference:+z.0f}"
            rows.append({"of": facts.labels[of], "against": facts.labels[against], "word": word, "text": text})
    for a, b in facts.unpaired:
        both = [(facts.labels[a], facts.labels[b]), (facts.labels[b], facts.labels[a])]
        rows += [{"of": of, "against": against, "word": NOT_COMPARED, "text": ""} for of, against in both]
    large = len(facts.arms) <= 9
    top = alt.Axis(orient="top", labelAngle=-40, grid=False, ticks=False, domain=False)
    words = [word for word in SHADED if any(row["word"] == word for row in rows)]
    shades = [light(SHADED[word]) for word in words]
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
        _apart(facts),
    )


def section(material: Material) -> Section:
    """The section."""
    return made("pairs", "Pairs", "Every arm against every other", material.by_harm, pairs(material.facts))
