"""Teaching methods: how a prompt becomes the trace a student is trained on, one file each (docs/instructions.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from unwaver.errors import RecipeError
from unwaver.records import Record
from unwaver.registry import found_in, no_such
from unwaver.teaching.method import Method


def methods() -> dict[str, Method]:
    """Every method by its name."""
    return found_in(__name__, "METHOD")


def find(name: str, key: str = "distil.method") -> Method:
    """The method of that name; RecipeError with the nearest one where there is none."""
    known = methods()
    if name not in known:
        raise RecipeError(f"{key}: {no_such(name, known, 'method')}")
    return known[name]


def settings(method: Method, given: Mapping[str, Any]) -> Record:
    """A method's own settings, laid over by the recipe's; RecipeError names the key."""
    if given and not method.Settings.model_fields:
        having = ", ".join(name for name, one in methods().items() if one.Settings.model_fields)
        raise RecipeError(f"distil.method_settings: method {method.name} has none; {having} have settings")
    try:
        return method.Settings.model_validate(dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(["distil.method_settings", *map(str, first["loc"])])
        raise RecipeError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None
