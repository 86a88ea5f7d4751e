"""The figures of traces and training: risky patterns before and after the guard, losses, and lengths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt
import numpy as np

from unwaver.records import PATTERNS
from unwaver.report import paper, setting
from unwaver.report.charts import SERIES, Figure, data, light, short, titled
from unwaver.report.facts import Facts
from unwaver.report.figures import LABELLED, PER_CENT, ROW, as_rows, colours, names
from unwaver.report.teachers import GROUPS, Teachers

PANELS = 8
"""Most arms that are drawn side by side; the tables have all."""


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
    shades = alt.Scale(domain=list(GROUPS), range=[light("grey"), light("orange"), light("blue")])
    panels = []
    columns = min(3, len(arms))
    words = [pattern.replace("_", " ") for pattern in PATTERNS]
    for at, arm in enumerate(arms[:PANELS]):
        mine = [row for row in rows if row["arm"] == arm]
        place = {(w, g): n + 0.26 * (m - 1) for n, w in enumerate(words) for m, g in enumerate(GROUPS)}
        placed = [row | {"y": place[row["pattern"], row["group"]]} for row in mine]
        y = alt.Y("y:Q", scale=_rows(len(words)), axis=None if at % columns else _numbered(words))
        base = alt.Chart(data(placed)).encode(y=y)
        x = alt.X("value:Q", scale=PER_CENT, title="% of traces", axis=alt.Axis(tickCount=5))
        bar = base.mark_bar(orient="horizontal", height=9)
        bars = bar.encode(x=x, x2=alt.datum(0), color=alt.Color("group:N", title=None, scale=shades))
        whisker = base.mark_rule(color=light("ink"), opacity=0.6)
        whiskers = whisker.encode(x=alt.X("low:Q", scale=PER_CENT), x2="high:Q")
        counts = {row["group"]: row["n"] for row in mine}
        said = "n = " + ", ".join(str(counts.get(group, 0)) for group in GROUPS)
        layers = (bars + whiskers).properties(width=min(300, 560 // columns), height=42 * len(words))
        panels.append(titled(layers, arm, said))
    return Figure(
        "patterns",
        "Risky patterns before and after the guard, and in what was trained on",
        "Bars are shares of the teacher's traces of harmful prompts, with 95 % intervals. What is left in the mix is "
        "what the student learned from. n: before the guard, after it, in the mix.",
        "Shares of risky patterns: "
        + "; ".join(f"{r['arm']}, {r['pattern']}, {r['group']}: {r['value']:.0f} %" for r in rows[:30]),
        alt.concat(*panels, columns=columns, spacing=22),
        (*_first(arms), paper.note("patterns"), _comparable(teachers.facts, "guard", "patterns")),
    )


def _comparable(facts: Facts, *rubrics: str) -> str:
    """What may be compared of the teachers' traces: as far as teacher, prompts and their readers go."""
    of_traces = {"recipe", "teacher", "training prompts"}
    found = [setting.of_training(facts, arm, ()) for arm in facts.arms if not facts.is_raw(arm)]
    kept = [{key: text for key, text in one.items() if key in of_traces} for one in found]
    return setting.sentence(setting.together([*kept, setting.of_filter(facts, *rubrics)]))


def _first(arms: Sequence[str]) -> tuple[str, ...]:
    return (f"Only the first {PANELS} of {len(arms)} arms are drawn.",) if len(arms) > PANELS else ()


def losses(facts: Facts) -> Figure | None:
    """Training loss and the loss on what was held out, part by part."""
    rows = [
        {"arm": facts.labels[arm], "run": n, **row}
        for arm, members in facts.arms.items()
        for n, member in enumerate(members)
        for entry in facts.results.losses.get(member, ())
        for row in _losses(entry)
    ]
    if not rows:
        return None
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    kinds = ["training", *dict.fromkeys(row["part"] for row in rows if row["part"] != "training")]
    shades = [light("grey"), *(light(SERIES[at % len(SERIES)]) for at in range(len(kinds) - 1))]
    colour = alt.Color("part:N", scale=alt.Scale(domain=kinds, range=shades), title=None)
    steps = alt.Axis(grid=False, tickMinStep=1, format="d", tickCount=6)
    panels = []
    for arm in arms[:PANELS]:
        base = alt.Chart(data([row for row in rows if row["arm"] == arm])).encode(
            x=alt.X("step:Q", title="optimiser step", axis=steps),
            y=alt.Y("loss:Q", title="nats per trained token"),
            color=colour,
            detail="run:N",
        )
        training = base.transform_filter("datum.part == 'training'").mark_line(strokeWidth=1, opacity=0.6)
        dots = alt.OverlayMarkDef(size=45, filled=True)
        held_out = base.transform_filter("datum.part != 'training'").mark_line(strokeWidth=2, point=dots)
        panels.append(titled((training + held_out).properties(width=295, height=170), arm))
    ends = [
        [r["loss"] for r in rows if (r["arm"], r["run"], r["part"]) == (arm, 0, "training")] or [0.0] for arm in arms
    ]
    return Figure(
        "losses",
        "The loss while training",
        "The thin line is the loss of each step's batch, the dots the loss on examples that were kept out of training, "
        "by part of the mix. Each seed has lines of its own.",
        "Loss by optimiser step: "
        + "; ".join(f"{arm}: from {e[0]:.2f} to {e[-1]:.2f}" for arm, e in zip(arms[:PANELS], ends, strict=False)),
        alt.concat(*panels, columns=2, spacing=24).resolve_scale(y="shared"),
        _first(arms),
    )


def _losses(entry: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "heldout_loss" in entry:
        part = f"held out: {short(str(entry.get('part', '')), 24)}"
        yield {"step": entry["step"], "loss": entry["heldout_loss"], "part": part}
    elif "loss" in entry:
        yield {"step": entry["step"], "loss": entry["loss"], "part": "training"}


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
        (paper.note("lengths"), _comparable(facts)),
    )


def _violins(facts: Facts, title: str, by_arm: dict[str, list[int]], named: bool) -> Any:
    """One violin an arm."""
    top = max([1.0, *(float(np.quantile(values, 0.995)) for values in by_arm.values() if values)])
    outline: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    for number, (arm, values) in enumerate(by_arm.items()):
        if not values:
            continue
        low, middle, high = (float(q) for q in np.quantile(values, [0.25, 0.5, 0.75]))
        boxes.append({"low": low, "middle": middle, "high": min(high, top), "y": number})
        outline += [
            {"arm": facts.labels[arm], "x": x, "a": number - h, "b": number + h} for x, h in density(values, top)
        ]
    axis = _numbered(names(facts)) if named else None
    rows = _rows(len(by_arm))
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


def _rows(count: int) -> alt.Scale:
    """Rows 0 to `count` - 1 from top to bottom, placed by number, so that marks may stand between them."""
    return alt.Scale(domain=[count - 0.5, -0.5], nice=False, zero=False)


def _numbered(texts: Sequence[str]) -> alt.Axis:
    """The axis that names rows placed by number."""
    label = f"{_listed(texts)}[datum.value]"
    return alt.Axis(values=list(range(len(texts))), labelExpr=label, title=None, grid=False, ticks=False)


def _listed(texts: Sequence[str]) -> str:
    """The names as a list in Vega's expression language; whatever could end a string there is put as a code."""

    def quoted(text: str) -> str:
        safe = (c if c.isalnum() or c in " ,.;:_+-=/()" else "".join(map(_code, c)) for c in text)
        return f"'{''.join(safe)}'"

    return "[" + ",".join(map(quoted, texts)) + "]"


def _code(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


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
