"""From a TOML file to recipes: read it, lay flags and arms over it, check it, and say what is wrong in a line a key.

Reads one file and `--dotted.override value` flags; answers with a `Recipe`, or one for each arm, or with one
`RecipeError` that names the file, the key and what was expected. Relative paths in a file are relative to that file.
Nothing here touches data or models.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from unwaver.errors import RecipeError
from unwaver.keys import KEY, names_a_key
from unwaver.progress import say
from unwaver.recipe import LOCAL, RECORDED, Recipe, Settings


def load(path: Path, overrides: dict[str, Any] | None = None) -> Recipe:
    """The recipe in a TOML file, dotted overrides laid over it; RecipeError names file, key and what was expected."""
    return build(read_toml(path), path, overrides)


LONGEST = 1 << 24
"""Characters of a recipe that are read: more than any has."""


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file as a tree; RecipeError where it isn't there or isn't TOML."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            text = file.read(LONGEST + 1)
        if len(text) > LONGEST:
            raise RecipeError(f"{path}: more than {LONGEST >> 20} million characters; expected a recipe's TOML file")
        return tomllib.loads(text)
    except FileNotFoundError:
        raise RecipeError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise RecipeError(f"{path}: is a folder; expected a TOML file") from None
    except OSError as error:
        raise RecipeError(f"{path}: {os.strerror(error.errno or 0).lower()}; expected a TOML file") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits is a ValueError of its own
        hint = "; a text stands between quotes" if "Invalid value" in str(error) else ""
        raise RecipeError(f"{path}: not readable as TOML: {error}{hint}") from None


def build(tree: dict[str, Any], path: Path, overrides: dict[str, Any] | None = None) -> Recipe:
    """A tree of settings as a checked Recipe; `path` is where relative file names start and what errors name."""
    for dotted, value in (overrides or {}).items():
        tree = laid_over(tree, dotted, value, path)
    tree = _anchor_paths(tree, path.parent)
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        raise RecipeError("\n".join(explain(error, path, Recipe))) from None


def laid_over(tree: dict[str, Any], dotted: str, value: Any, path: Path) -> dict[str, Any]:
    """A copy of the tree with one dotted key set. `*` stands for every key at its level."""
    head, _, rest = dotted.partition(".")
    copy = dict(tree)
    for key in list(copy) if head == "*" else [head]:
        if not rest:
            copy[key] = value
            continue
        below = copy.get(key, {})
        if isinstance(below, str):
            below = {"name": below}
        if not isinstance(below, dict):
            raise RecipeError(f"{path}: {dotted}: `{key}` holds a value, not a table")
        copy[key] = laid_over(below, rest, value, path)
    return copy


def parse_value(text: str) -> Any:
    """A flag's value: TOML where it reads as TOML (numbers, true, lists, tables, "strings"), else the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def _anchor_paths(tree: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Relative file names in a recipe start at the recipe's own folder."""

    def anchored(value: Any) -> Any:
        if not isinstance(value, str) or not value or Path(value).is_absolute() or value.startswith("~"):
            return str(Path(value).expanduser()) if isinstance(value, str) and value else value
        return str((folder / value).resolve())

    tree = dict(tree)
    sets = tree.get("prompts")
    if isinstance(sets, dict):
        tree["prompts"] = {
            name: {
                key: anchored(value)
                if key == "path" or (key == "templates" and isinstance(value, str) and value.endswith(".jsonl"))
                else value
                for key, value in entry.items()
            }
            if isinstance(entry, dict)
            else entry
            for name, entry in sets.items()
        }
    distil = tree.get("distil")
    if isinstance(distil, dict) and isinstance(distil.get("instruction_file"), str):
        tree["distil"] = {**distil, "instruction_file": anchored(distil["instruction_file"])}
    judge = tree.get("judge")
    if isinstance(judge, dict) and isinstance(judge.get("rubric_files"), dict):
        files = {rubric: anchored(file) for rubric, file in judge["rubric_files"].items()}
        tree["judge"] = judge = {**judge, "rubric_files": files}
    if isinstance(judge, dict):
        tree["judge"] = {key: _reader_anchored(value, anchored) for key, value in judge.items()}
    train = tree.get("train")
    if isinstance(train, dict) and isinstance(given := train.get("launch_config"), str) and Path(given).suffix:
        tree["train"] = {**train, "launch_config": anchored(given)}  # a configuration of ours has a name without one
    models = tree.get("models")
    if isinstance(models, dict):
        tree["models"] = {name: _anchor_model(entry, anchored) for name, entry in models.items()}
    return tree


def _anchor_model(entry: Any, anchored: typing.Callable[[Any], Any]) -> Any:
    if isinstance(entry, str):
        entry = {"name": entry}
    if isinstance(entry, dict) and isinstance(given := entry.get("steering"), str | dict):
        given = {"file": given} if isinstance(given, str) else given
        entry = {**entry, "steering": {**given, "file": anchored(given.get("file"))}}
    if isinstance(entry, dict) and isinstance(entry.get("name"), str):
        door, _, target = entry["name"].partition(":")
        given = target.startswith(("./", "../", "~")) or (door == "replay" and target not in RECORDED)
        beside = door in ("hf", "vllm") and ":" not in target and Path(str(anchored(target))).exists()
        if given or beside:  # else it is a name on the hub
            entry = {**entry, "name": f"{door}:{anchored(target)}"}
    return entry


PLAIN_WORDS = {
    "missing": "expected, and not given",
    "list_type": "expected a list",
    **dict.fromkeys(("model_type", "dict_type"), "expected a table"),
    **dict.fromkeys(("path_type", "string_type"), "expected a text"),
}
"""What is expected, where the library's own words are about Python."""


def _reader_anchored(value: Any, anchored: Callable[[Any], Any]) -> Any:
    """A judge's name, or a list of them, with the file of a reader (`local:FILE`) beside the recipe."""
    if isinstance(value, list):
        return [_reader_anchored(one, anchored) for one in value]
    if isinstance(value, str) and value.startswith(f"{LOCAL}:"):
        return f"{LOCAL}:{anchored(value.partition(':')[2])}"
    return value


def _is_secret(given: str) -> bool:
    """Whether a value may be a key, or an address with a password in it."""
    return KEY.search(given) is not None or re.search(r"://[^/\s]*@", given) is not None


def explain(error: ValidationError, path: Path | str, settings: type[Settings]) -> list[str]:
    """What is wrong with a settings file or a flag's value, a line for each key: where, the key, what was expected."""
    lines = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            key = str(problem["loc"][-1])
            known = _fields_at(problem["loc"][:-1], settings)
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"expected one of {', '.join(sorted(known))}"
            if "key_env" in known and names_a_key(key):
                hint = "a key belongs in the environment; `key_env` names its variable"
            lines.append(f"{path}: {where}: unknown key; {hint}")
        else:
            message = PLAIN_WORDS.get(problem["type"]) or problem["msg"].removeprefix("Value error, ")
            got = problem.get("input")
            shown = f" (got {got!r})" if isinstance(got, str | int | float | bool) and not _is_secret(str(got)) else ""
            lines.append(f"{path}: {where + ': ' if where else ''}{message}{shown}")
    return lines


def _fields_at(loc: tuple[int | str, ...], settings: type[Settings]) -> list[str]:
    """The names allowed at a place in the tree."""
    current: Any = settings
    for part in loc:
        if isinstance(current, type) and issubclass(current, BaseModel):
            field = current.model_fields.get(str(part))
            current = field.annotation if field else None
        elif typing.get_origin(current) is dict:
            current = typing.get_args(current)[1]
        if typing.get_origin(current) in (typing.Union, types.UnionType):
            current = next((a for a in typing.get_args(current) if isinstance(a, type) and a is not type(None)), None)
    if typing.get_origin(current) is dict:
        current = typing.get_args(current)[1]
    return list(current.model_fields) if isinstance(current, type) and issubclass(current, BaseModel) else []


def arms(tree: dict[str, Any], path: Path, overrides: dict[str, Any] | None = None) -> dict[str, Recipe]:
    """Every arm of a recipe file as a recipe of its own, by name; the file itself where it has no `[arms]`.

    An arm's table is laid over the file, and the flags over both. A flag that takes the place of what an arm sets is
    told; RecipeError where arms become one by it.
    """
    whole = build(tree, path, overrides)
    if not whole.arms:
        return {whole.distil.method: whole}
    base = {key: value for key, value in tree.items() if key != "arms"}
    tables = {name: _dotted(table) for name, table in whole.arms.items()}
    result = {name: build(base, path, {**table, **(overrides or {})}) for name, table in tables.items()}
    for flag in overrides or ():
        if over := [name for name, table in tables.items() if any(same_key(flag, key) for key in table)]:
            alike = {name: result[name] for name in over}
            if len(over) > 1 and all(one == alike[over[0]] for one in alike.values()):
                raise RecipeError(
                    f"--{flag}: the arms {', '.join(over)} set it themselves, and with the flag they would be one "
                    "under several names; leave it out, or take the others out of [arms]"
                )
            say(f"--{flag} takes the place of what these arms set: {', '.join(over)}")
    return result


def same_key(one: str, other: str) -> bool:
    """Whether two dotted keys name the same setting, or one a table that holds the other; `*` stands for any name."""
    return all(a == b or "*" in (a, b) for a, b in zip(one.split("."), other.split("."), strict=False))


def _dotted(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested table as dotted keys, so that `distil.method` may be written either way."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict) and value:  # an empty table is a value: `mix.parts = {}` trains nothing
            flat.update(_dotted(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat
