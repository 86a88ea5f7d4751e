"""What is counted in a study, one file a measure (docs/evaluation.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

from unwaver.judging import questions
from unwaver.records import Kind
from unwaver.registry import found_in
from unwaver.study.measures.measure import Measure, Table


@cache
def measures() -> dict[str, Measure]:
    """Every measure by its name; ValueError where one of them can't be taken (`refuse`)."""
    found: dict[str, Measure] = found_in(__name__, "MEASURE")
    refuse(found.values())
    return found


def refuse(found: Iterable[Measure]) -> None:
    """ValueError for a measure of what nobody reads, and for a second one that a kind of prompt is summed up by."""
    main: dict[Kind, str] = {}
    known = questions.read()
    for one in found:
        if unread := sorted(set(one.reads) - known):
            raise ValueError(
                f"measure {one.name}: nothing is read as `{unread[0]}`; there are {', '.join(sorted(known))}"
            )
        for kind in one.kinds if one.table == "main" else ():
            if main.setdefault(kind, one.name) != one.name:
                raise ValueError(f"measure {one.name}: {kind} prompts are summed up by {main[kind]} already (`table`)")


def of_kind(kind: Kind) -> list[Measure]:
    """The measures that are taken of a kind of prompt."""
    return [one for one in measures().values() if kind in one.kinds]


def taken_of(kind: Kind, is_read: Callable[[str], bool]) -> list[Measure]:
    """The measures of a kind of prompt for which all is read (`rubric:text`) that is asked about such prompts."""
    return [one for one in of_kind(kind) if all(is_read(key) or kind not in questions.about(key) for key in one.reads)]


def of_table(table: Table) -> list[Measure]:
    """The measures that stand in a table."""
    return [one for one in measures().values() if one.table == table]


def main_measure(kind: Kind) -> Measure:
    """The measure that a kind of prompt is summed up by."""
    return next(one for one in of_kind(kind) if one.table == "main")
