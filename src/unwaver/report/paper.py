"""The paper's published tables beside ours, and where its tables and figures stand in a report.

Reads `paper.toml` (arXiv 2505.15404 v2) through `setting`, which says row by row what may be compared. A table of the
paper stands beside ours whether or not the setting is the same, for orientation; it says which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unwaver.judging.questions import PATTERNS_SHOWN
from unwaver.report.facts import Facts
from unwaver.report.setting import (
    method,
    of_training,
    published,
    student_name,
)

NUMBERS, DIRECTIONS = "numbers, within intervals", "directions only"


@dataclass(frozen=True)
class Entry:
    """One of the paper's tables or figures."""

    name: str
    shows: str
    here: Sequence[tuple[str, str]]
    """(id, title) of the pieces of this report that show the same."""
    why: str
    """Why there are none, or what may be compared."""


def contents(facts: Facts, pieces: Mapping[str, str]) -> list[Entry]:
    """The paper's tables and figures by name, then a study's own; `pieces` are the titles of the report's, by id.
    Nothing where the paper has nothing to do with these arms."""
    found: list[Entry] = []
    if not matches(facts):
        return found
    own = dict(facts.results.tables)
    for one in published()["contents"]:
        here = [(id_, pieces[id_]) for id_ in one["pieces"] if id_ in pieces]
        arms = own.pop(one["name"], ())
        why = "" if here else f"not in this study: {_lacks(facts, one)}"
        if arms and not here:
            why = f"not in this report yet: its arms ({'; '.join(_shown(facts, arms))}) are not all finished"
        elif arms:
            why = f"arms: {'; '.join(_shown(facts, arms))}"
        found.append(Entry(one["name"], one["shows"], here, why))
    main = [(id_, pieces[id_]) for id_ in ("table-main",) if id_ in pieces]
    for name, arms in own.items():
        found.append(Entry(name, "this study's own", main, f"arms: {'; '.join(_shown(facts, arms))}"))
    return found


def _lacks(facts: Facts, one: Mapping[str, str]) -> str:
    """Why nothing here shows the same; of patterns that were read and never could be, that."""
    read = [v for row in facts.results.teacher_rows if (v := row.readings.get(PATTERNS_SHOWN)) is not None]
    if "figure-patterns" in one["pieces"] and read:
        return f"all {len(read)} readings of the teacher's traces are unscored ({read[0].reason})"
    return one["lacks"]


def _shown(facts: Facts, arms: Sequence[str]) -> list[str]:
    """Arms of the results under the names they are shown by, each once."""
    names = {member: arm for arm, members in facts.arms.items() for member in members}
    # A combination that a study names twice is shown once: under the name of the arm whose settings it has.
    same = {_settings(facts, member): arm for member, arm in reversed(names.items())}
    return list(dict.fromkeys(names.get(arm, same.get(_settings(facts, arm), arm)) for arm in arms))


def _settings(facts: Facts, member: str) -> str:
    return repr(sorted(facts.results.cells.get(member, {}).items()))


def is_table_1(facts: Facts) -> bool:
    """Whether the main table is the paper's Table 1: a study says so, or two of its recipes stand side by side."""
    rows = {method(facts, arm) for arm in facts.arms} - {None, "raw"}
    return "Table 1" in facts.results.tables or len(rows) > 1


def matches(facts: Facts) -> bool:
    """Whether the paper has anything to do with these arms: one was taught by a recipe of its, a student or checkpoint
    is one of its, or a study names its tables."""
    own = {name.lower() for name in (*published()["students"], *(entry["model"] for entry in published()["table3"]))}
    students = {student_name(str(facts.cell(arm).get("student") or "")).lower() for arm in facts.arms}
    taught = any(method(facts, arm) not in (None, "raw") for arm in facts.arms)
    return bool(facts.results.tables) or taught or not own.isdisjoint(students)


def beside(facts: Facts) -> dict[str, str]:
    """By row of Table 1 the arm that stands beside it: of its recipe the one that differs least."""
    wanted = [published()["table1"]["student"]]
    rows = [name for name in published()["table1"] if name not in ("student", "columns")]
    found = {}
    for row in rows:
        arms = [arm for arm in facts.arms if method(facts, arm) == row]
        if arms:
            found[row] = min(arms, key=lambda arm: len(of_training(facts, arm, wanted)))
    return found


def note(name: str) -> str:
    """The paper's figure for one of ours; empty where it gives none."""
    return str(published()["notes"].get(name, ""))
