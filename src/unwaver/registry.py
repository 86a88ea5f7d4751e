"""Rooms whose files are found by being there: what has to be told to add one is one file."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from unwaver.errors import RecipeError

S = TypeVar("S", bound=BaseModel)


@cache
def found_in(package: str, name: str) -> dict[str, Any]:
    """What the modules of a package offer under `name` (one thing, or a tuple of them), by each one's own `.name`.

    In the order of the modules' names; a module without it is an ordinary one.
    """
    folder = importlib.import_module(package)
    found: dict[str, Any] = {}
    for module in sorted(one.name for one in pkgutil.iter_modules(folder.__path__)):
        offered = getattr(importlib.import_module(f"{package}.{module}"), name, ())
        for one in offered if isinstance(offered, tuple) else (offered,):
            if one.name in found:
                raise ValueError(f"{package}.{module}: there is already a {one.name}")
            found[one.name] = one
    return found


def no_such(name: str, known: Iterable[str], what: str) -> str:
    """`no WHAT NAME`, with the nearest known name, or all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"no {what} `{name}`" + (f"; did you mean `{near[0]}`?" if near else f"; there are {', '.join(names)}")


def settings(of: type[S], given: Mapping[str, Any], where: str) -> S:
    """The settings of what is one file, as a recipe gives them; RecipeError names the key, and the nearest to one that
    there is not.
    """
    try:
        return of.model_validate(dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        *above, key = (where, *map(str, first["loc"]))
        if first["type"] == "extra_forbidden" and of.model_fields:
            raise RecipeError(f"{'.'.join(above)}: {no_such(key, of.model_fields, 'key')}") from None
        raise RecipeError(f"{'.'.join([*above, key])}: {first['msg'].removeprefix('Value error, ')}") from None


def choose(name: str, known: dict[str, Any], what: str) -> Any:
    """The one of that name; RecipeError with the nearest one where there is none."""
    if name not in known:
        raise RecipeError(no_such(name, known, what))
    return known[name]
