"""Losses, and what was trained how."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt
import numpy as np

from unwaver.report.charts import SHADES, Figure, data, light, short, titled
from unwaver.report.facts import Facts
from unwaver.report.figures import PANELS, first
from unwaver.report.section import Material, Section, made
from unwaver.report.tables import NOTHING, Table, TableCell, count, number


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
    shades = [light("soft"), *(light(SHADES[1 + at % 3]) for at in range(len(kinds) - 1))]
    colour = alt.Color("part:N", scale=alt.Scale(domain=kinds, range=shades), title=None)
    shape = alt.Shape("part:N", sort=kinds, title=None, legend=None)
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
        kept = base.transform_filter("datum.part != 'training'")
        held_out = kept.mark_line(strokeWidth=2) + kept.mark_point(size=55, filled=True, opacity=1).encode(shape=shape)
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
        first(arms),
    )


def _losses(entry: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "heldout_loss" in entry:
        part = f"held out: {short(str(entry.get('part', '')), 24)}"
        yield {"step": entry["step"], "loss": entry["heldout_loss"], "part": part}
    elif "loss" in entry:
        yield {"step": entry["step"], "loss": entry["loss"], "part": "training"}


def _float(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def training_table(facts: Facts) -> Table | None:
    """What each arm was trained on, how well the student could tell it beforehand, and how long it took."""
    shown = {member: arm for arm, members in facts.arms.items() for member in members}
    runs: dict[str, list[dict[str, Any]]] = {}
    for manifest in facts.results.manifests.values():
        if manifest.get("stage") == "train":
            name = str(manifest.get("name", ""))
            runs.setdefault(shown.get(name, name), []).append(manifest)
    if not runs:
        return None
    rows = []
    for arm, found in runs.items():
        counts = [manifest.get("counts", {}) for manifest in found]
        parts = ", ".join(f"{part} {n:,}" for part, n in counts[0].get("parts", {}).items())
        dropped = [sum((one.get("dropped") or {}).values()) for one in counts]
        rows.append(
            [
                *(TableCell(arm), count(len(found)), TableCell(parts or NOTHING)),
                *(_mean([_float(one.get(key)) for one in counts]) for key in ("trained", "held_out")),
                *(_mean(dropped), TableCell(_perplexity(found))),
                _mean([_float(manifest.get("seconds")) for manifest in found]),
            ]
        )
    return Table(
        "training",
        "What was trained on",
        "Examples by part of the mix, of which some are held out to follow the loss; means over runs where there are "
        "several.",
        ["arm", "runs", "parts of the mix", "trained on", "held out", "dropped", "perplexity before", "seconds"],
        rows,
        (
            "Perplexity before: the student's own of each part of the mix before the first step (geometric mean over "
            "runs). The higher, the stranger the traces are to it, and the more of its reasoning they may cost.",
        ),
    )


def _perplexity(runs: list[dict[str, Any]]) -> str:
    """The student's perplexity of each part before training, over runs."""
    found: dict[str, list[float]] = {}
    for manifest in runs:
        for part, entry in (manifest.get("perplexity") or {}).items():
            found.setdefault(str(part), []).append(float(entry["perplexity"]))
    said = [f"{part} {float(np.exp(np.mean(np.log(values)))):.3g}" for part, values in found.items()]
    return ", ".join(said) or NOTHING


def _mean(values: Sequence[float | None]) -> TableCell:
    known = [value for value in values if value is not None]
    return number(float(np.mean(known)) if known else None)


def section(material: Material) -> Section:
    """The section."""
    facts = material.facts
    return made("training", "Training", "Training", "", losses(facts), training_table(facts))
