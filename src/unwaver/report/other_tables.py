"""The tables of circumstances: who judged, what it cost, what it was made with, and the leak check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from unwaver.report.arms import spoken
from unwaver.report.facts import Facts
from unwaver.report.tables import NOTHING, Cell, Table, count, number
from unwaver.report.teachers import Teachers, teacher_of
from unwaver.study.controls import PARTS


def cost_table(facts: Facts) -> Table:
    """Every run: calls, tokens, seconds, cost."""
    rows = []
    for name, manifest in facts.results.manifests.items():
        calls: dict[str, dict[str, int]] = manifest.get("calls") or {}
        asked = sum(one.get("asked", 0) + one.get("found", 0) for one in calls.values())
        tokens = [sum(one.get(way, 0) for one in calls.values()) for way in ("tokens_in", "tokens_out")]
        cost = manifest.get("cost")
        rows.append(
            (
                *(Cell(str(manifest.get("stage", ""))), Cell(str(manifest.get("name", ""))), count(asked)),
                *(count(n) for n in tokens),
                *(number(_float(manifest.get("seconds")), 1), number(_float(cost), 4)),
                *(Cell(str(manifest.get("finished", NOTHING))), Cell(name)),
            )
        )
    totals = [sum(row[i].value or 0 for row in rows) for i in (2, 3, 4, 5)]
    costs = [row[6].value for row in rows if row[6].value is not None]
    rows.append(
        (
            *(Cell("all"), Cell(""), *(number(total) for total in totals[:3]), number(totals[3], 1)),
            *(number(sum(costs), 4) if costs else Cell(NOTHING), Cell(""), Cell("")),
        )
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
    """What training sets share with what is evaluated; arms with the same figures in one row, of seeds the largest."""
    found: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    checked = [arm for arm in facts.arms if any(member in facts.results.overlaps for member in facts.arms[arm])]
    for arm in checked:
        sets: dict[str, list[list[int]]] = {}
        for member in facts.arms[arm]:
            for name, one in facts.results.overlaps.get(member, {}).get("counts", {}).get("sets", {}).items():
                sets.setdefault(str(name), []).append([int(one.get(key, 0)) for key in OVERLAPS])
        for name, figures in sets.items():
            most = tuple(max(column) for column in zip(*figures, strict=True))
            found.setdefault((name, most), []).append(arm)
    if not found:
        return None
    rows = [[Cell(name), Cell(spoken(arms, checked)), *map(count, most)] for (name, most), arms in found.items()]
    return Table(
        "overlap",
        "Leak check: evaluation prompts that stand in the training set",
        "An overlap is the same text, the same words, or eight words in a row.",
        ["evaluation set", "arm", "texts", "prompts overlapping", "exact", "same words", "eight words"],
        rows,
        folded=not any(row[3].value for row in rows),
    )


OVERLAPS = ("texts", "prompts", "exact", "normalised", "ngram")


def overlap_sentence(facts: Facts) -> str:
    """The leak check's result in one sentence."""
    table = overlap_table(facts)
    if table is None:
        return ""
    found = [f"{row[3].text} prompts of {row[0].text} ({row[1].text})" for row in table.rows if row[3].value]
    if not found:
        return "No prompt that is evaluated stands in the training set of any arm that was checked."
    return f"In training sets stand: {', '.join(found)}. Figures on these sets are not held out."


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
                *(Cell(arm), count(len(found)), Cell(parts or NOTHING)),
                *(_mean([_float(one.get(key)) for one in counts]) for key in ("trained", "held_out")),
                *(_mean(dropped), Cell(_perplexity(found))),
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


def _mean(values: Sequence[float | None]) -> Cell:
    known = [value for value in values if value is not None]
    return number(float(np.mean(known)) if known else None)


def length_table(facts: Facts, teachers: Teachers) -> Table:
    """Mean and 90th percentile of the lengths, students' by arm and teachers' before and after the draw."""
    rows = []
    for arm in facts.arms:
        lengths = [facts.lengths(arm, part) for part in PARTS]
        if not any(lengths):
            continue
        cells = [_mean_and_tail(one) for one in lengths]
        rows.append([Cell(arm), Cell("all replies"), *cells[0], *cells[1]])
    for taught in teachers.rows.values():
        drawn = [row for row in taught if teachers.trained_on[row.trace.id]]
        for words, kept in (("all traces", taught), ("those an arm was trained on", drawn)):
            if kept:
                parts = [[facts.length(row.trace, part) for row in kept] for part in PARTS]
                cells = [_mean_and_tail([n for n in one if n is not None]) for one in parts]
                rows.append([Cell(teacher_of(taught[0])), Cell(words), *cells[0], *cells[1]])
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


def _mean_and_tail(lengths: list[int]) -> list[Cell]:
    if not lengths:
        return [Cell(NOTHING), Cell(NOTHING)]
    return [number(float(np.mean(lengths))), number(float(np.quantile(lengths, 0.9)))]
