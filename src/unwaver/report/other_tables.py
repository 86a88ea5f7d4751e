"""The tables of circumstances: who judged, what it cost, what it was made with, and the leak check."""

from __future__ import annotations

from collections import Counter
from typing import Any

from unwaver.report.facts import Facts
from unwaver.report.tables import NOTHING, Cell, Table, count, number


def cost_table(facts: Facts) -> Table:
    """Every run: calls, tokens, seconds, cost."""
    rows = []
    for name, manifest in facts.results.manifests.items():
        calls: dict[str, dict[str, int]] = manifest.get("calls") or {}
        asked = sum(one.get("asked", 0) + one.get("found", 0) for one in calls.values())
        tokens = [sum(one.get(way, 0) for one in calls.values()) for way in ("tokens_in", "tokens_out")]
        cost = manifest.get("cost")
        rows.append(
            [Cell(str(manifest.get("stage", ""))), Cell(str(manifest.get("name", ""))), count(asked)]
            + [count(n) for n in tokens]
            + [number(_float(manifest.get("seconds")), 1), number(_float(cost), 4)]
            + [Cell(str(manifest.get("finished", NOTHING))), Cell(name)]
        )
    totals = [sum(row[i].value or 0 for row in rows) for i in (2, 3, 4, 5)]
    costs = [row[6].value for row in rows if row[6].value is not None]
    rows.append(
        [Cell("all"), Cell(""), *(number(total) for total in totals[:3]), number(totals[3], 1)]
        + [number(sum(costs), 4) if costs else Cell(NOTHING), Cell(""), Cell("")]
    )
    return Table(
        "cost",
        "Calls, tokens, seconds and cost, by run",
        "A run shared by several arms stands here once. Cost only where the recipe gives prices.",
        ["stage", "of", "calls", "tokens in", "tokens out", "seconds", "cost", "finished", "run"],
        rows,
        folded=True,
    )


def _float(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def version_table(facts: Facts) -> Table:
    """What the runs were made with; more than one version of a thing is said."""
    found: dict[str, Counter[str]] = {}
    for manifest in facts.results.manifests.values():
        for what, version in (manifest.get("versions") or {}).items():
            found.setdefault(str(what), Counter())[str(version)] += 1
    rows = [
        [Cell(what), Cell(", ".join(versions)), count(versions.total())] for what, versions in sorted(found.items())
    ]
    return Table(
        "versions",
        "Made with",
        "Versions as the runs' manifests have them.",
        ["what", "version", "runs"],
        rows,
        folded=True,
    )


def overlap_table(facts: Facts) -> Table | None:
    """What each training set shares with what is evaluated."""
    rows = []
    for arm, manifest in facts.results.overlaps.items():
        for name, one in manifest.get("counts", {}).get("sets", {}).items():
            figures = [int(one.get(key, 0)) for key in ("texts", "prompts", "exact", "normalised", "ngram")]
            rows.append([Cell(arm), Cell(str(name)), *(count(n) for n in figures)])
    if not rows:
        return None
    return Table(
        "overlap",
        "Leak check: evaluation prompts that stand in the training set",
        "An overlap is the same text, the same words, or eight words in a row.",
        ["arm", "evaluation set", "prompts", "overlapping", "exact", "same words", "eight words"],
        rows,
    )
