"""What changed since the last report of the same recipe: figures, arms and sets, and how they were measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from unwaver.records import Estimate
from unwaver.report.before import Before
from unwaver.report.cells import LONG
from unwaver.report.facts import titles
from unwaver.report.section import Material, Section, made
from unwaver.report.tables import Table, TableCell, of
from unwaver.study.measures import of_table

Key = tuple[str, str, str]
"""Arm, set, measure."""


def said(material: Material) -> str:
    """What changed, in a sentence; empty where there is no older report."""
    before = material.before
    if before is None:
        return ""
    old, new = _main(before.estimates), _main(material.facts.results.estimates)
    both = [key for key in new if key in old]
    changed = [key for key in both if _moved(old[key], new[key])]
    pieces = [f"{len(changed)} of {len(both)} figures changed" if changed else f"none of {len(both)} figures changed"]
    otherwise = dict.fromkeys(field for key in both for field in _otherwise(old[key], new[key]))
    pieces += [f"measured otherwise: another {', '.join(otherwise)}"] if otherwise else []
    for what, at in (("arms", 0), ("sets", 1)):
        names, were = (dict.fromkeys(key[at] for key in some) for some in (new, old))
        pieces += [f"new {what}: {'; '.join(added)}"] if (added := [name for name in names if name not in were]) else []
        pieces += [f"{what} gone: {'; '.join(gone)}"] if (gone := [name for name in were if name not in names]) else []
    return f"Since the report of {before.date} ({before.name}): {'. '.join(pieces)}."


def changed_table(before: Before, now: Sequence[Estimate]) -> Table | None:
    """The figures that changed, before and now; None where none did."""
    old, new = _main(before.estimates), _main(now)
    rows = []
    for key, estimate in new.items():
        if key in old and _moved(old[key], estimate):
            arm, set_, metric = key
            fields = _otherwise(old[key], estimate)
            word = f"measured otherwise: another {', '.join(fields)}" if fields else ""
            named = (TableCell(arm), TableCell(set_), TableCell(titles().get(metric, metric)))
            rows.append([*named, of(old[key]), of(estimate), TableCell(word)])
    if not rows:
        return None
    return Table(
        "changes",
        "What changed since the last report",
        f"Figures of {before.name}, written {before.date}, and the same now. Two that were measured otherwise say "
        "nothing about each other.",
        ["arm", "set", "measure", "before", "now", ""],
        rows,
        folded=len(rows) > LONG,
    )


def _main(estimates: Iterable[Estimate]) -> dict[Key, Estimate]:
    names = {one.name for one in of_table("main")}
    return {(e.arm, e.slice, e.metric): e for e in estimates if e.metric in names}


def _moved(old: Estimate, new: Estimate) -> bool:
    return (old.value, old.n, old.n_unscored) != (new.value, new.n, new.n_unscored) or bool(_otherwise(old, new))


def _otherwise(old: Estimate, new: Estimate) -> tuple[str, ...]:
    """What differs in how the two were measured; a figure without a reading rests on nothing that could differ."""
    return () if old.basis is None or new.basis is None else old.differs(new)


def section(material: Material) -> Section:
    """The section."""
    before = material.before
    table = None if before is None else changed_table(before, material.facts.results.estimates)
    return made("changes", "Changes", "What changed", said(material), table)
