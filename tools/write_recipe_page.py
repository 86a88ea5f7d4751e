"""Write docs/recipe.md from the settings themselves: every key, its type, its default and its docstring.

Usage: python tools/write_recipe_page.py [--check]; with --check it only says whether the page is up to date.
"""

from __future__ import annotations

import sys
import typing
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from unwaver.recipe import Recipe

PAGE = Path(__file__).parent.parent / "docs" / "recipe.md"

HEAD = """# The recipe: every setting

A recipe is a TOML file. Any key can also be given as a flag, `--train.learning_rate 1e-4`, which wins over the file;
a stage's own verb takes that section's keys without the dot: `unwaver train RECIPE --learning-rate 1e-4`.
`[arms.NAME]` tables hold what an arm changes. An unknown key is an error that names the file, the key and what was
expected. Relative file names start at the recipe's own folder. This page is written by `tools/write_recipe_page.py`
from the settings' own docstrings.
"""


def page() -> str:
    """The whole page."""
    lines = [HEAD]
    done: set[type[BaseModel]] = set()

    def section(model: type[BaseModel], where: str) -> None:
        if model in done:
            return
        done.add(model)
        about = " ".join((model.__doc__ or "").split())
        lines.extend([f"\n## `{where}`\n", about, "", "| key | type | default | what |", "|---|---|---|---|"])
        below: list[tuple[type[BaseModel], str]] = []
        for name, field in model.model_fields.items():
            default = "required" if field.default is PydanticUndefined else _plain(field.default)
            inner = _inner(field.annotation)
            if inner is not None:
                prefix = "" if where == "(top level)" else where.strip("[]") + "."
                is_map = typing.get_origin(field.annotation) is dict
                below.append((inner, f"[{prefix}{name}{'.NAME' if is_map else ''}]"))
                default = "required" if default == "required" else "see below"
            about = " ".join((field.description or "").split()).replace("|", "\\|")
            lines.append(f"| `{name}` | {_type(field.annotation)} | {default} | {about} |")
        for inner, place in below:
            section(inner, place)

    section(Recipe, "(top level)")
    return "\n".join(lines) + "\n"


def _inner(annotation: Any) -> type[BaseModel] | None:
    candidates = [annotation, *typing.get_args(annotation)]
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)


def _type(annotation: Any) -> str:
    if typing.get_origin(annotation) is typing.Annotated:
        return _type(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) is typing.Literal:
        return " \\| ".join(f"`{value}`" for value in typing.get_args(annotation))
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return "table" if issubclass(annotation, BaseModel) else annotation.__name__.lower()
    arguments = [_type(a) for a in typing.get_args(annotation) if a is not type(None)]
    origin = typing.get_origin(annotation)
    if origin is dict:
        return f"table of {arguments[1]}"
    if origin is list:
        return f"list of {arguments[0]}"
    return " \\| ".join(arguments) or "any"


def _plain(value: Any) -> str:
    if isinstance(value, BaseModel) or value == {}:
        return "see below" if isinstance(value, BaseModel) else "empty"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`"


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(
            0
            if PAGE.read_text(encoding="utf-8") == page()
            else "docs/recipe.md is out of date; run this without --check"
        )
    PAGE.write_text(page(), encoding="utf-8")
