"""What a measure is: one question about a trace that has been read, counted over prompts.

A measure is one file of this folder that offers `MEASURE` (or several, as a tuple). It says of which kinds of prompt it
is taken, what it reads, what counts, which way is better and in which table it stands; how it becomes a rate with its
interval, and how arms are compared by it, is the same for all (docs/statistics.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from unwaver.records import Kind
from unwaver.study.rows import Row

Table = Literal["main", "split", "further"]
"""`main`: the one its kinds of prompt are summed up by; `split`: reasoning and answer apart; `further`: beside."""


@dataclass(frozen=True)
class Measure:
    """One measure; every one is a share of items, from 0 to 1."""

    name: str
    title: str
    """As people call it."""
    kinds: tuple[Kind, ...]
    """The kinds of prompt it is taken of."""
    reads: tuple[str, ...]
    """What must have been read, as `rubric:text` (`questions.read`)."""
    counts: str
    """What counts, in words."""
    of: Callable[[Row], bool | None]
    """Whether a trace counts; None: unscored."""
    better: Literal["lower", "higher"] | None
    """Which way is better; None: neither."""
    among: Callable[[Row], bool | None] | None = None
    """Which traces it is taken of, where not of all of these kinds: the others are left out, and one of which that
    can't be told (None) is unscored."""
    several: tuple[str, str, bool] | None = None
    """Of k replies to a prompt: what at least one of them counting is called, what all of them being good is called
    (`NAME@k`), and whether counting is good."""
    table: Table = "further"
    on_cards: bool = False
    """Whether the report's first answers and cards tell it beside the main one of its kinds."""
    source: str = ""
    """Where the measure comes from."""
    caveat: str = ""
    """What it can't tell."""


def labelled(key: str, *labels: str) -> Callable[[Row], bool | None]:
    """Whether the label under `rubric:text` is one of these; None where there is none."""

    def of(row: Row) -> bool | None:
        label = row.label(key)
        return None if label is None else label in labels

    return of
