"""Which arms a figure or a card shows where there are many: raw, and those that no other arm beats. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from unwaver.report.comparable import Together, together
from unwaver.report.facts import Facts
from unwaver.report.figures import as_rows

CHOSEN = 8
"""Most arms that are compared at equal length."""


SHOWN = 4
"""Most arms with a card and examples; one fewer where not all have one, and the tables are long."""


def alike(facts: Facts) -> Together:
    """The arms whose harm and over-refusal may be ranked together, and what keeps the others out."""
    return together(facts, [("asr", facts.of_kind("harmful")), ("over_refusal", facts.harmless)])


def trade_offs(facts: Facts) -> list[dict[str, Any]]:
    """Harm and over-refusal of the arms that were measured alike, as a chart's rows."""
    points = []
    for arm in alike(facts).arms:
        across = as_rows(facts.pooled("over_refusal", arm, facts.harmless))
        up = as_rows(facts.pooled("asr", arm, facts.of_kind("harmful")))
        if not across or not up:
            continue
        x, y = across[0], up[0]
        point = {"name": arm, "arm": facts.labels[arm], "raw": facts.is_raw(arm)}
        point |= {"x": x["value"], "x1": x["low"], "x2": x["high"]}
        point |= {"refuses_harmful": _value(facts.pooled("refusal", arm, facts.of_kind("harmful")))}
        point |= {"refuses_harmless": _value(facts.pooled("full_refusal", arm, facts.harmless))}
        points.append(point | {"y": y["value"], "y1": y["low"], "y2": y["high"]})
    return points


def _value(found: Any) -> float | None:
    rows = as_rows(found)
    return float(rows[0]["value"]) if rows else None


def told_apart(point: Mapping[str, Any]) -> float | None:
    """How far an arm tells harm from harmlessness: harmful prompts refused in full less harmless ones, in per cent.

    Youden's J (Cancer 1950, 3:32): 100 for whoever makes no mistake, 0 for whoever refuses harmful and harmless prompts
    equally often, so it doesn't rise by refusing more; None where either wasn't read.
    """
    harmful, harmless = point["refuses_harmful"], point["refuses_harmless"]
    return None if harmful is None or harmless is None else float(harmful - harmless)


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
    points = trade_offs(facts)
    best = {points[at]["name"] for at in pareto([(p["x"], p["y"]) for p in points])}
    return [arm for arm in facts.arms if facts.is_raw(arm) or arm in best][:CHOSEN]


def shown(facts: Facts) -> list[str]:
    """The arms with a card and with examples: all, or where they are many the first and the best of the chosen."""
    found = chosen(facts)
    if len(facts.arms) <= SHOWN:
        return found
    first = found[:1] + [arm for arm in found[1:] if arm == best(facts)]
    kept = [*first, *(arm for arm in found if arm not in first)][: SHOWN - 1]
    return [arm for arm in found if arm in kept]


def best(facts: Facts) -> str | None:
    """The trained arm with the least of harm and over-refusal together; None where nothing can be ranked."""
    trained = [point for point in trade_offs(facts) if not point["raw"]]
    found = min(trained, key=lambda point: point["x"] + point["y"], default=None)
    return None if found is None else str(found["name"])
