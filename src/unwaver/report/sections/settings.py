"""What the settings of a study do (arXiv 2505.15404, Figures 3 to 5)."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from unwaver.plain import plain
from unwaver.report import setting as comparison
from unwaver.report.arms import labelled
from unwaver.report.charts import SHADES, Figure, data, light, titled
from unwaver.report.comparable import together
from unwaver.report.facts import Facts
from unwaver.report.figures import as_rows, hue_of
from unwaver.report.paper import note
from unwaver.report.section import Material, Section, made


@dataclass(frozen=True)
class Setting:
    """A setting whose effect is drawn."""

    key: str
    """In `Results.cells`."""
    title: str
    axis: str
    scale: str | None
    """log or linear for an amount; None for names."""
    caption: str


SETTINGS = (
    Setting(
        "size",
        "Figure 3: how many safety traces",
        "safety traces in the mix",
        "log",
        "What more safety examples do, at the same number of harmless ones.",
    ),
    Setting(
        "benign",
        "Figure 4: with and without harmless traces",
        "harmless traces in the mix",
        "linear",
        "What harmless examples in the mix do to harm and to over-refusal.",
    ),
    Setting("lr", "Figure 5: the learning rate", "learning rate", "log", "What the learning rate does."),
    Setting(
        "keep",
        "Figure 2: which traces are kept",
        "kept traces",
        None,
        "What filtering the teacher's traces more strictly does, at the same number of examples.",
    ),
    Setting(
        "teacher", "Table 2: who the teacher is", "teacher", None, "What another teacher does, at the same recipe."
    ),
    Setting(
        "afterwards",
        "Does it last?",
        "steps of harmless fine-tuning afterwards",
        "linear",
        "What is left of the safety training when somebody fine-tunes the student on harmless prompts afterwards.",
    ),
)


MEASURES = (("asr", "attack success, %"), ("over_refusal", "over-refusal, %"))


def all_of(facts: Facts) -> list[Figure]:
    """The figures this study has the arms for."""
    return [figure for setting in SETTINGS if (figure := drawn(facts, setting)) is not None]


def drawn(facts: Facts, setting: Setting) -> Figure | None:
    """One setting's figure; None where no arms differ in it alone."""
    lines = families(facts, setting.key)
    if not lines:
        return None
    panels = []
    spoken: list[str] = []
    called = _called(facts, lines, setting.key)
    shades = dict(zip(called, _shades(facts, lines), strict=True))
    left: list[str] = []
    for metric, title in MEASURES:
        sets = facts.of_kind("harmful") if metric == "asr" else facts.harmless
        alike = together(facts, [(metric, sets)], [arm for line in lines for arm in line])
        left += alike.notes
        rows: list[dict[str, Any]] = []
        for line, arms in zip(called, lines, strict=True):
            for arm in arms:
                if arm not in alike.arms:
                    continue
                rows += as_rows(facts.pooled(metric, arm, sets), at=facts.cell(arm)[setting.key], line=line)
        if not rows:
            continue
        spoken += [f"{row['line']}, {setting.axis} {row['at']}: {title[:-3]} {row['value']:.0f} %" for row in rows]
        panels.append(titled(_panel(rows, setting, title, shades), f"{title[:-3]} (n={max(r['n'] for r in rows)})"))
    if not panels:
        return None
    arms = [arm for line in lines for arm in line]
    sets = [*facts.of_kind("harmful"), *facts.harmless]
    said = comparison.compare_what(facts, arms, sets, (setting.key,))
    return Figure(
        f"study-{setting.key}",
        setting.title,
        f"{setting.caption}{_mixes(facts, arms, setting.key)} Points are means, bands or bars 95 % intervals.",
        "; ".join(spoken[:24]),
        alt.hconcat(*panels, spacing=26),
        [text for text in (*dict.fromkeys(left), note(setting.key), said) if text],
    )


def _shades(facts: Facts, lines: Sequence[Sequence[str]]) -> list[str]:
    """A line's colour: its arms', where they have one; else, or where another line has it, a grey."""
    hue = hue_of(facts)
    found = [({hue[arm] for arm in arms}.pop() if len({hue[arm] for arm in arms}) == 1 else "") for arms in lines]
    return [
        colour if colour and found.count(colour) == 1 else light(SHADES[3 - at % 3]) for at, colour in enumerate(found)
    ]


_PARTS = {"size": "harmful", "benign": "harmless"}
"""What a number of examples is the sum of."""


def _mixes(facts: Facts, arms: Sequence[str], key: str) -> str:
    """What the numbers along the axis are the sums of, where they are sums."""
    sums = {facts.cell(arm)[key]: str(facts.cell(arm).get(_PARTS.get(key, "")) or "none") for arm in arms}
    if not any(", " in text for text in sums.values()):
        return ""
    return " In the mix: " + "; ".join(f"{n} ({text})" for n, text in sums.items()) + "."


def families(facts: Facts, key: str) -> list[list[str]]:
    """Arms that differ in one setting alone, family by family; families of one are none."""
    groups: dict[str, list[str]] = defaultdict(list)
    for arm in facts.arms:
        cell = facts.cell(arm)
        if key in cell and cell[key] is not None and not facts.is_raw(arm):
            apart = (key, "seed", _PARTS.get(key), "models" if key == "teacher" else None)  # a teacher is a model
            rest = {k: v for k, v in cell.items() if k not in apart}
            groups[repr(sorted(rest.items()))].append(arm)
    return [arms for arms in groups.values() if len({str(facts.cell(arm)[key]) for arm in arms}) > 1]


def _called(facts: Facts, lines: list[list[str]], key: str) -> list[str]:
    """The lines by the recipe and whatever else sets them apart."""
    cells = [facts.cell(arms[0]) for arms in lines]
    others = [k for k in cells[0] if k not in (key, "seed", "method", "models", "rest", *_PARTS.values())]
    apart = [k for k in others if len({str(cell.get(k)) for cell in cells}) > 1]
    texts = [", ".join(str(cell.get(k)) for k in ("method", *apart)) for cell in cells]
    called = labelled(list(dict.fromkeys(texts)), 40)
    return [called[text] for text in texts]


def _panel(rows: list[dict[str, Any]], setting: Setting, title: str, shades: Mapping[str, str]) -> Any:
    lines = list(dict.fromkeys(row["line"] for row in rows))
    legend = alt.Legend(title=None, symbolOpacity=1)
    colour = alt.Color("line:N", scale=alt.Scale(domain=lines, range=[shades[line] for line in lines]), legend=legend)
    y = alt.Y("value:Q", scale=alt.Scale(domain=[0, 100]), title=title)
    ends = {"y": alt.Y("low:Q"), "y2": "high:Q", "color": colour}
    numbers = all(isinstance(row["at"], int | float) for row in rows)
    if setting.scale is None or not numbers:
        wrapped = [row | {"at": "\n".join(textwrap.wrap(plain(str(row["at"])).replace("-", " "), 16))} for row in rows]
        axis = alt.Axis(labelAngle=0, grid=False, labelExpr="split(datum.label, '\\n')")
        base = alt.Chart(data(wrapped)).encode(
            x=alt.X("at:N", title=setting.axis, sort=None, axis=axis), xOffset=alt.XOffset("line:N")
        )
        whiskers = base.mark_rule(strokeWidth=2, opacity=0.5).encode(**ends)
        points = base.mark_point(filled=True, size=80, opacity=1).encode(y=y, color=colour)
        return (whiskers + points).properties(width=290, height=210)
    values = sorted({row["at"] for row in rows})
    far = alt.Scale(type="log" if setting.scale == "log" and values[0] > 0 else "linear", nice=False, padding=14)
    form = "~e" if setting.key == "lr" else ",d"
    x = alt.X("at:Q", title=setting.axis, scale=far, axis=alt.Axis(values=values, grid=False, format=form))
    base = alt.Chart(data(rows)).encode(x=x)
    band = base.mark_area(opacity=0.16).encode(**ends)
    line = base.mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=60, filled=True)).encode(y=y, color=colour)
    return (band + line).properties(width=290, height=210)


def section(material: Material) -> Section:
    """The section."""
    return made("settings", "Settings", "What the settings do", material.by_harm, *all_of(material.facts))
