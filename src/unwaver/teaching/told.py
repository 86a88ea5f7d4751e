"""What methods of several calls share: material between fences, and a judge's reply read as one object. Pure.

The texts that are shown stand between lines with a mark that occurs in none of them, so that a reasoning can't end its
own quotation. A reply is read strictly: one JSON object with the wanted fields, each of its type, or nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from unwaver.records import digest

T = TypeVar("T", bound=BaseModel)

MOST_OBJECTS = 8
"""Objects in one reply; one with more is no verdict but a quotation of many."""

_OPENING = re.compile(r"\{\s*\"")


def shown(wording: str, **texts: str) -> str:
    """A wording with its slots `{name}` filled in one pass, every text between a pair of fences of its own."""
    mark = digest([wording, texts], size=12)
    while any(mark in text for text in texts.values()):
        mark = digest(mark, size=12)
    pattern = re.compile("|".join(re.escape(f"{{{name}}}") for name in texts))

    def fenced(slot: re.Match[str]) -> str:
        name = slot[0][1:-1]
        return f"<<<{name} {mark}\n{texts[name]}\n{name} {mark}>>>"

    return pattern.sub(fenced, wording)


def read_as(form: type[T], text: str | None) -> T | None:
    """The one object of this form in a reply; None where there is none, or two that differ.

    One with a field of the form's that doesn't fit it counts as another: it may be what was meant, and the one that
    fits a quotation of what was read.
    """
    found: list[T] = []
    objects = _objects(text or "")
    for fields in objects:
        try:
            found.append(form.model_validate(fields))
        except ValidationError:
            if fields.keys() & form.model_fields.keys():
                return None
    whole = found and len(objects) <= MOST_OBJECTS and all(one == found[0] for one in found)
    return found[0] if whole else None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; one that names a field twice is kept as one that fits no form: what was meant is anybody's guess."""
    fields = dict(pairs)
    return fields if len(fields) == len(pairs) else dict.fromkeys(fields)


def _objects(text: str) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    at = 0
    while (opening := _OPENING.search(text, at)) and len(found) <= MOST_OBJECTS:
        try:
            value, at = json.JSONDecoder(strict=False, object_pairs_hook=_object).raw_decode(text, opening.start())
            found.append(value)
        except (ValueError, RecursionError):
            at = opening.end()
    return found
