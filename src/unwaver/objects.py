"""JSON from files and servers, in which no object names a field twice.

JSON lets an object do that, and Python's reader keeps the last: of two answers in one row, one would be read and nobody
told. Two fields of one name that hold the same are one. Pure.
"""

from __future__ import annotations

import json
from typing import Any

MOST_VALUES = 2 << 20
"""More than a reply has values, or lines where it is streamed: one of 100,000 tokens, an event each, has a tenth."""


def unfolds(text: str) -> bool:
    """Whether a text of JSON may hold so many values that they take many times its length in memory."""
    return sum(map(text.count, "[{,")) > MOST_VALUES


def of_json(text: str | bytes) -> Any:
    """What a text of JSON holds; ValueError where it is none, or where a field stands in it twice and differs."""
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of its fields; ValueError where one is named twice and differs."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        for name, value in pairs:
            if fields[name] != value:
                raise ValueError(f"the field `{name[:40]}` stands twice in one object, and differs")
    return fields
