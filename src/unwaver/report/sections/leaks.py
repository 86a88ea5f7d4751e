"""What training sets share with what is evaluated."""

from __future__ import annotations

from unwaver.report.arms import spoken
from unwaver.report.facts import Facts
from unwaver.report.section import Material, Section, made
from unwaver.report.tables import Table, TableCell, count


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
    rows = [
        [TableCell(name), TableCell(spoken(arms, checked)), *map(count, most)] for (name, most), arms in found.items()
    ]
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


def section(material: Material) -> Section:
    """The section."""
    facts = material.facts
    return made("leaks", "Leaks", "Leak check", overlap_sentence(facts), overlap_table(facts))
