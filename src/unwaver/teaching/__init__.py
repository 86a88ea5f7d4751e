"""Teaching methods: how a prompt becomes the trace a student is trained on, one file each (docs/instructions.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unwaver import registry
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
    return registry.settings(method.Settings, given, "distil.method_settings")
