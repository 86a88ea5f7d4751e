"""What a source is: where a set of prompts lives, under which licence, and how one of its rows becomes a prompt."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from unwaver.errors import RecordError
from unwaver.records import Kind
from unwaver.sources.files import RawRow
from unwaver.sources.own import TEXT


@dataclass(frozen=True)
class Draft:
    """A prompt before it knows its source; the fields are those of `records.Prompt`."""

    text: str
    kind: Kind
    behaviour: str | None = None
    category: str | None = None
    attack: str | None = None
    target: str | None = None
    of: str | None = None
    split: str | None = None
    """`train` or `heldout`, in sources that are split."""
    source: str | None = None
    """The set within the source that a row is from, where its rows say that."""


Reader = Callable[[RawRow, str], Draft | None]
"""(row, its place for messages) -> the draft, or None where the row is no part of the set."""


@dataclass(frozen=True)
class Home:
    """Where the rows are fetched from."""

    id: str
    """A data set on the Hugging Face hub, or `github:OWNER/REPOSITORY`."""
    revision: str | None
    """The commit this version was written for; None: not pinned, because none could be verified."""
    config: str | None = None
    """The hub's name for a table inside the data set."""
    part: str = "train"
    """The hub's name for the split that is read."""
    file: str | None = None
    """The file in a GitHub repository."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Passed on to `datasets.load_dataset`."""


@dataclass(frozen=True)
class Source:
    """One set of prompts."""

    name: str
    """What a recipe calls it; with `path` it is read from a file of one's own, of the same columns."""
    title: str
    """What it is, in a few words."""
    kind: Kind
    """What its prompts are."""
    licence: str
    """As its publisher states it."""
    read: Reader
    home: Home | None = None
    """None: packaged with us."""
    packaged: str = ""
    """The packaged file's name without its ending; "": what follows the slash of the source's own."""
    splits: bool = False
    """Whether it is divided into `train` and `heldout`; `recipe.DIVIDED` then names it too."""
    size: int | None = None
    """How many prompts it holds, as its publisher or the study states, for `check` without a network; None: unknown."""


def columns(kind: Kind, fields: Mapping[str, tuple[str, ...]], keep: Callable[[RawRow], bool] | None = None) -> Reader:
    """A reader by column names: for each field the columns it may stand in; the first that holds something counts.

    `text` must be there. A harmful prompt without a behaviour is its own behaviour.
    """

    def read(row: RawRow, place: str) -> Draft | None:
        if keep is not None and not keep(row):
            return None
        found = {name: pick(row, names, place, name == "text") for name, names in fields.items()}
        text = str(found.pop("text"))
        draft = Draft(text=text, kind=kind, **found)
        return replace(draft, behaviour=draft.behaviour or text) if kind == "harmful" else draft

    return read


def pick(row: Mapping[str, Any], names: tuple[str, ...], place: str, required: bool) -> str | None:
    """The text in the first of the columns that holds something; numbers are written out, a list of words is joined.

    NaN is how tables say that a cell is empty. RecordError where a required column is missing or empty, or where one
    holds anything but text.
    """
    name = next((name for name in names if row.get(name) not in (None, "") and row[name] == row[name]), None)
    if name is None:
        empty = next((name for name in names if name in row), None)
        if required and empty is not None:
            raise RecordError(f"{place}: {empty}: expected text, got an empty cell")
        if required:
            meant = next((one for one in TEXT if row.get(one)), None) if names == ("text",) else None
            hint = f'; say columns = {{ text = "{meant}" }}' if meant else ""
            raise RecordError(f"{place}: expected text in `{'` or `'.join(names)}`; the row has {listed(row)}{hint}")
        return None
    value = row[name]
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        value = ", ".join(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and not required:
        value = str(value)
    if not isinstance(value, str):
        raise RecordError(f"{place}: {name}: expected text, got {type(value).__name__}")
    if required and blank(value):
        raise RecordError(f"{place}: {name}: expected text, got only blanks")
    return value


def blank(text: str) -> bool:
    """Whether nobody could see anything in a text: spaces, control characters, invisible joints."""
    return all(character.isspace() or unicodedata.category(character) in ("Cc", "Cf") for character in text)


def listed(row: Mapping[str, Any]) -> str:
    """A row's column names, for messages."""
    names = sorted(str(name)[:40] for name in row)
    return ", ".join(names[:12]) + (" ..." if len(names) > 12 else "") if names else "no columns"
