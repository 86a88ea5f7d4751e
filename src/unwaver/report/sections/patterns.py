"""The risky patterns in the teachers' traces (arXiv 2505.15404 section 3)."""

from __future__ import annotations

from typing import Any

import altair as alt

from unwaver.records import PATTERNS
from unwaver.report.cells import LONG
from unwaver.report.charts import Figure, data, light, titled
from unwaver.report.figures import PANELS, PER_CENT, as_rows, comparable, first, numbered, rows_of
from unwaver.report.paper import note
from unwaver.report.section import Material, Section, made
from unwaver.report.tables import Table, TableCell, count, of
from unwaver.report.teachers import GROUPS, Teachers


def pattern_table(teachers: Teachers) -> Table | None:
    """Shares of the risky patterns among the teacher's traces of harmful prompts."""
    rows = []
    for arm, shares in teachers.patterns.items():
        for group, found in shares.items():
            if any(e is not None and e.n for e in found):
                n = max(e.n + e.n_unscored for e in found if e is not None)
                rows.append([TableCell(arm), TableCell(group), count(n), *(of(e) for e in found)])
    if not rows:
        return None
    return Table(
        "patterns",
        "Risky patterns in the teacher's traces",
        "The share of harmful prompts' traces that show each pattern, before the guard, among those it calls safe, and "
        "among those the student was trained on. Which traces could be decided may hang on what they show: the worst "
        "case is what the others could make of a share, and stands alone where they are most.",
        ["arm", "traces", "n", *(pattern.replace("_", " ") for pattern in PATTERNS)],
        rows,
        folded=len(rows) > LONG,
    )


def patterns(teachers: Teachers) -> Figure | None:
    """Shares of the risky patterns before and after the guard and in the mix."""
    rows: list[dict[str, Any]] = []
    labels = teachers.facts.labels
    for arm, shares in teachers.patterns.items():
        for group, estimates in shares.items():
            for pattern, found in zip(PATTERNS, estimates, strict=True):
                rows += as_rows(found, arm=labels[arm], pattern=pattern.replace("_", " "), group=group)
    if not rows:
        return None
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    shades = alt.Scale(domain=list(GROUPS), range=[light(shade) for shade in ("shade1", "shade2", "shade4")])
    panels = []
    columns = min(3, len(arms))
    words = [pattern.replace("_", " ") for pattern in PATTERNS]
    for at, arm in enumerate(arms[:PANELS]):
        mine = [row for row in rows if row["arm"] == arm]
        place = {(w, g): n + 0.26 * (m - 1) for n, w in enumerate(words) for m, g in enumerate(GROUPS)}
        placed = [row | {"y": place[row["pattern"], row["group"]]} for row in mine]
        y = alt.Y("y:Q", scale=rows_of(len(words)), axis=None if at % columns else numbered(words))
        base = alt.Chart(data(placed)).encode(y=y)
        x = alt.X("value:Q", scale=PER_CENT, title="% of traces", axis=alt.Axis(tickCount=5))
        bar = base.mark_bar(orient="horizontal", height=9)
        bars = bar.encode(x=x, x2=alt.datum(0), color=alt.Color("group:N", title=None, scale=shades))
        whisker = base.mark_rule(color=light("ink"), opacity=0.6)
        whiskers = whisker.encode(x=alt.X("low:Q", scale=PER_CENT), x2="high:Q")
        worst = base.mark_rule(color=light("ink"), opacity=0.2, strokeWidth=5)
        worsts = worst.encode(x=alt.X("lowest:Q", scale=PER_CENT), x2="highest:Q")
        counts = {row["group"]: row["n"] for row in mine}
        said = "n = " + ", ".join(str(counts.get(group, 0)) for group in GROUPS)
        layers = (bars + worsts + whiskers).properties(width=min(300, 560 // columns), height=42 * len(words))
        panels.append(titled(layers, arm, said))
    return Figure(
        "patterns",
        "Risky patterns before and after the guard, and in what was trained on",
        "Bars are shares of the teacher's traces of harmful prompts, with 95 % intervals; the pale band is what the "
        "traces that could not be decided would make of them, and a share that leaves out most has no bar. What is "
        "left in the mix is what the student learned from. n: before the guard, after it, in the mix.",
        "Shares of risky patterns: "
        + "; ".join(f"{r['arm']}, {r['pattern']}, {r['group']}: {r['value']:.0f} %" for r in rows[:30]),
        alt.concat(*panels, columns=columns, spacing=22),
        (*first(arms), note("patterns"), comparable(teachers.facts, "guard", "patterns")),
    )


def section(material: Material) -> Section:
    """The section."""
    taught = material.taught
    return made("patterns", "Patterns", "Risky patterns", material.by_pattern, patterns(taught), pattern_table(taught))
