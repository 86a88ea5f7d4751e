"""The prompt sets that are known by name, and how a row of each becomes a prompt.

A `Source` says where a set lives on the hub, under which licence, and has a `read` that turns one row (from the hub or
from a local copy: the column names of both are known) into a `Draft`, or into None where the row is no part of the set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from unwaver.errors import RecordError
from unwaver.records import Kind
from unwaver.sources.files import Row


@dataclass(frozen=True)
class Draft:
    """A prompt before it knows its source; the fields are those of `records.Prompt`."""

    text: str
    kind: Kind
    behaviour: str | None = None
    category: str | None = None
    attack: str | None = None
    target: str | None = None
    split: str | None = None
    """`train` or `heldout`, in sources that are split."""


Reader = Callable[[Row, str], Draft | None]
"""(row, its place for messages) -> the draft, or None where the row is no part of the set."""


@dataclass(frozen=True)
class Source:
    """One set of prompts."""

    name: str
    """What a recipe calls it."""
    title: str
    """What it is, in a few words."""
    kind: Kind | None
    """What its prompts are; None: the recipe says."""
    licence: str
    """As its publisher states it."""
    read: Reader
    hub: str | None = None
    """The data set's id on the hub; None: it is not there, or it is ours."""
    revision: str | None = None
    """The commit it was tested with; None: not pinned."""
    config: str | None = None
    """The hub's name for the table inside the data set."""
    part: str = "train"
    """The hub's name for the split that is read."""
    splits: bool = False
    """Whether it is divided into `train` and `heldout`."""


def columns(kind: Kind, fields: Mapping[str, tuple[str, ...]], keep: Callable[[Row], bool] | None = None) -> Reader:
    """A reader by column names: for each field the columns it may stand in, the first that is there counts.

    `text` must be there. A harmful prompt without a behaviour column is its own behaviour.
    """

    def read(row: Row, place: str) -> Draft | None:
        if keep is not None and not keep(row):
            return None
        found = {name: pick(row, names, place, name == "text") for name, names in fields.items()}
        text = str(found.pop("text"))
        draft = Draft(text=text, kind=kind, **found)
        return replace(draft, behaviour=draft.behaviour or text) if kind == "harmful" else draft

    return read


def pick(row: Mapping[str, Any], names: tuple[str, ...], place: str, required: bool) -> str | None:
    """The text in the first of the columns that the row has; numbers are written out, a list of words is joined.

    RecordError where a required column is missing or empty, or where it holds anything but text.
    """
    name = next((name for name in names if row.get(name) not in (None, "")), None)
    if name is None:
        if required:
            raise RecordError(f"{place}: expected text in `{'` or `'.join(names)}`; the row has {_listed(row)}")
        return None
    value = row[name]
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        value = ", ".join(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and not required:
        value = str(value)
    if not isinstance(value, str):
        raise RecordError(f"{place}: {name}: expected text, got {type(value).__name__}")
    if required and not value.strip():
        raise RecordError(f"{place}: {name}: expected text, got only blanks")
    return value


def _listed(row: Mapping[str, Any]) -> str:
    names = sorted(str(name)[:40] for name in row)
    return ", ".join(names[:12]) + (" ..." if len(names) > 12 else "") if names else "no columns"


CORPUS: dict[str, Kind] = {"harmful": "harmful", "borderline": "borderline", "plain": "benign", "maths": "maths"}
"""The packaged corpus: its sets and what their prompts are."""


def _corpus(name: str, kind: Kind) -> Source:
    read = columns(kind, {name: (name,) for name in ("text", "category", "target", "split")})
    title = f"{name} prompts written for this package, mild on purpose"
    return Source(f"corpus/{name}", title, kind, "Apache-2.0", read, splits=True)


ALL = [_corpus(name, kind) for name, kind in CORPUS.items()]

SOURCES: dict[str, Source] = {source.name: source for source in ALL}
"""The sources by name; besides them there is `file`, a file of one's own."""
