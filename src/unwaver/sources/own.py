"""Which column of one's own file holds the prompts, where nobody has said."""

from __future__ import annotations

from pathlib import Path

from unwaver.errors import RecipeError
from unwaver.sources import files

TEXT = ("text", "prompt", "question", "query", "instruction", "request", "goal", "behavior", "behaviour", "input",
        "message", "content", "user", "forbidden_prompt")  # fmt: skip
"""Columns that prompts usually stand in, the likeliest first."""
LOOKED_AT = 200
"""Rows that are looked at to find the column."""


def text_column(rows: list[files.RawRow], given: str | None, path: Path, flag: str) -> str:
    """The column the prompts stand in: the one named, one of the usual names, or the only one that holds texts."""
    rows = rows[:LOOKED_AT]
    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    if given is not None:
        if given not in names:
            raise RecipeError(f"{flag}{given}: {path} has {', '.join(names)}")
        if not any(_is_plain(row.get(given)) for row in rows):
            raise RecipeError(f"{flag}{given}: {path} holds no text there; expected a prompt in each row")
        return given
    usual = [
        name for one in TEXT for name in names if name.lower() == one and any(_is_plain(r.get(name)) for r in rows)
    ]
    if usual:
        return usual[0]
    texts = [name for name in names if sum(_is_text(row.get(name)) for row in rows) > len(rows) / 2]
    if len(texts) == 1:
        return texts[0]
    raise RecipeError(f"{path}: which column holds the prompts? It has {', '.join(names)}; say {flag}NAME")


def _is_plain(value: object) -> bool:
    """Whether it is a text at all: a logged call has its turns under the names that prompts have elsewhere."""
    return isinstance(value, str)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value.split()) >= 3
